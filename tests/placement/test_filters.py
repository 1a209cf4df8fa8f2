"""Every reason why a site falls, by one case each, in its words and numbers."""

from dataclasses import replace
from typing import Any

import pytest

from suanli.base.reasons import Reason
from suanli.placement.batch import make_batch
from suanli.placement.filters import CHANGES_WITH_TIME, FILTERS, MENDED_BY_WAITING, sift
from suanli.placement.scores import score
from suanli.placement.snapshot import Country, FreeNodes
from worlds import World, a_class, a_country, a_job, a_link, a_node, a_policy, a_region, a_site, a_world

EAST_WEST = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "steppe", "side": "West", "clusters": [{"name": "c", "regions": ["there"], "pueCeiling": "1.2"}]},
]


def a_map(*rules: dict[str, Any], link: str | None = None) -> Country:
    """Two regions on two sides and a third on none."""
    regions = [a_region("here"), a_region("there", "31", "111"), a_region("aside", "32", "112")]
    links = [a_link("here", "there", link, bandwidth="10G")] if link else []
    tiers = [{"name": "city", "oneWay": "1ms"}]
    return a_country(regions, links, a_policy(hubs=EAST_WEST, latencyTiers=tiers, placementRules=list(rules)))


def falls(world: World) -> tuple[Reason | None, str]:
    """Why the only job finds no place at the first site by name."""
    batch = make_batch(world.jobs, world.sites, world.country, world.now_ms)
    sieve = sift(batch, score(batch))
    reason = sieve.reason(0, 0)
    return reason, sieve.why(batch, 0, 0) if reason else ""


def rule(**more: Any) -> dict[str, Any]:
    return {"name": "stay", "effect": "Require", **more}


CASES: dict[str, tuple[World, Reason, str]] = {
    "another account": (
        a_world([a_job()], [a_site(allowedAccounts=["red", "blue"])]),
        Reason.ACCOUNT_NOT_ALLOWED,
        "one is for other accounts than team",
    ),
    "another class": (
        a_world([a_job(classes=["npu", "xpu"])], [a_site()]),
        Reason.CLASS_NOT_OFFERED,
        "one offers gpu, not npu, xpu",
    ),
    "no class at all": (
        a_world([a_job()], [a_site(rooms={}), a_site("two")]),
        Reason.CLASS_NOT_OFFERED,
        "one offers no class",
    ),
    "no cards of a class of cards": (
        a_world([a_job(cards=0)], [a_site()]),
        Reason.CLASS_NOT_OFFERED,
        "one counts gpu in cards, the job asks for no cards",
    ),
    "cards of a class of cores": (
        a_world([a_job(classes=["cpu"], cards=2)], [a_site(rooms={"cpu": []}, resources=[a_class("cpu", "Core")])]),
        Reason.CLASS_NOT_OFFERED,
        "one counts cpu in cores, the job asks for 2 cards a task",
    ),
    "another region": (
        a_world([a_job(data={"allowedRegions": ["there"]})], [a_site()], a_map()),
        Reason.RESIDENCY_FORBIDS,
        "one stands in here, data.allowedRegions are there",
    ),
    "another site": (
        a_world([a_job(data={"allowedSites": ["two"]})], [a_site(), a_site("two")]),
        Reason.RESIDENCY_FORBIDS,
        "one is not in data.allowedSites two",
    ),
    "another domain": (
        a_world([a_job(data={"domain": "health"})], [a_site(dataDomains=["roads"])]),
        Reason.RESIDENCY_FORBIDS,
        "one is not of data domain health",
    ),
    "another side": (
        a_world([a_job()], [a_site(region="there")], a_map(rule(sides=["East"]))),
        Reason.POLICY_FORBIDS,
        "one is West, steppe; rule stay requires East",
    ),
    "another hub, and outside of all": (
        a_world([a_job()], [a_site(region="aside")], a_map(rule(hubs=["coast"]))),
        Reason.POLICY_FORBIDS,
        "one is outside the hubs; rule stay requires coast",
    ),
    "other labels": (
        a_world([a_job()], [a_site()], a_map(rule(siteSelector={"matchLabels": {"grade": "a"}}))),
        Reason.POLICY_FORBIDS,
        "one is East, coast; rule stay requires grade=a",
    ),
    "too far by links": (
        a_world([a_job(latency={"tier": "city"})], [a_site(region="there")], a_map(link="3.25ms")),
        Reason.LATENCY_BOUND_EXCEEDED,
        "one is 3.25ms from here, the bound is 1ms",
    ),
    "too far by distance": (
        a_world([a_job(latency={"oneWay": "800us"})], [a_site(region="there")], a_map()),
        Reason.LATENCY_BOUND_EXCEEDED,
        "one is 1.101ms from here by distance, the bound is 0.8ms",
    ),
    "nowhere, with a bound": (
        a_world([a_job(latency={"tier": "city"})], [a_site(region="atlantis")], a_map()),
        Reason.LATENCY_BOUND_EXCEEDED,
        "one stands in atlantis, which is no ComputeRegion",
    ),
    "too dear": (
        a_world([a_job(limits={"maxCost": "999999"})], [a_site()]),
        Reason.COST_LIMIT_EXCEEDED,
        "one would cost 1.000000 CNY, limits.maxCost is 0.999999 CNY",
    ),
    "too late": (
        a_world([a_job(timing={"expectedDuration": "6h", "deadline": "2026-01-31T11:45:00Z"})], [a_site()]),
        Reason.DEADLINE_UNREACHABLE,
        "one would end 6h after now, 2h15m after timing.deadline 2026-01-31T11:45:00Z",
    ),
    "drains": (
        a_world([a_job()], [a_site(desiredState="Drain")]),
        Reason.SITE_INACTIVE,
        "one has spec.desiredState Drain, not Active",
    ),
    "no node is large enough": (
        a_world([a_job(cards=16, memory="1.5Ti", cores="500m")], [a_site()]),
        Reason.TASK_FITS_NO_NODE,
        "one has no node of gpu for a task of 16 cards, 0.5 cores, 1.5Ti; the largest has 8 cards, 64 cores, 512Gi",
    ),
    "no node at all": (
        a_world([a_job()], [a_site(rooms={"gpu": []})]),
        Reason.TASK_FITS_NO_NODE,
        "one has no node of gpu",
    ),
    "the site is too small": (
        a_world([a_job(tasks=5, cards=4)], [a_site(rooms={"gpu": [a_node(2)]})]),
        Reason.INSUFFICIENT_CAPACITY,
        "one holds 4 tasks of 4 cards, 1 core, 1Gi on gpu when empty, the job has 5",
    ),
    "not ready": (
        a_world([a_job()], [a_site(ready=False, not_ready="did not answer for 20s")]),
        Reason.SITE_NOT_READY,
        "one did not answer for 20s",
    ),
    "not ready, and nobody said why": (
        a_world([a_job()], [a_site(ready=False)]),
        Reason.SITE_NOT_READY,
        "one is not ready",
    ),
    "nowhere": (
        a_world([a_job()], [a_site(region="atlantis")]),
        Reason.SITE_NOT_READY,
        "one stands in atlantis, which is no ComputeRegion",
    ),
    "it failed there": (
        a_world([a_job(backoff={"one": "an attempt there ended badly"})], [a_site()]),
        Reason.SITE_BACKOFF,
        "one an attempt there ended badly",
    ),
    "out of quota": (
        a_world([replace(a_job(), denied={"gpu": "team may hold 4 cards"})], [a_site()]),
        Reason.QUOTA_EXCEEDED,
        "one is out of quota: team may hold 4 cards",
    ),
    "cards are taken": (
        a_world([a_job(cards=8)], [a_site(rooms={"gpu": [a_node(cards=7)]}, empty={"gpu": [a_node()]})]),
        Reason.WAITING_FOR_CAPACITY,
        "one has 7 cards of gpu free now, the job needs 8",
    ),
    "cores are taken": (
        a_world([a_job(cores="4")], [a_site(rooms={"gpu": [a_node(cores=1.5)]}, empty={"gpu": [a_node()]})]),
        Reason.WAITING_FOR_CAPACITY,
        "one has 1.5 cores of gpu free now, the job needs 4 cores",
    ),
    "memory is taken": (
        a_world([a_job(memory="8Gi")], [a_site(rooms={"gpu": [a_node(memory_gib=6)]}, empty={"gpu": [a_node()]})]),
        Reason.WAITING_FOR_CAPACITY,
        "one has 6Gi memory of gpu free now, the job needs 8Gi",
    ),
    "what is free lies apart": (
        a_world([a_job(cards=8)], [a_site(rooms={"gpu": [a_node(2, cards=4)]}, empty={"gpu": [a_node(2)]})]),
        Reason.CAPACITY_FRAGMENTED,
        "one has nodes of gpu free for 0 tasks of 8 cards, 1 core, 1Gi now, the job has 1",
    ),
    "pods are taken": (
        a_world([a_job(tasks=2)], [a_site(rooms={"gpu": [a_node(pods=1)]}, empty={"gpu": [a_node()]})]),
        Reason.CAPACITY_FRAGMENTED,
        "one has nodes of gpu free for 1 task of 1 card, 1 core, 1Gi now, the job has 2",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_why_a_site_falls(case: str) -> None:
    world, reason, text = CASES[case]
    assert falls(world) == (reason, text)


def test_every_filter_has_its_case() -> None:
    world = a_world([a_job()], [a_site()])
    batch = make_batch(world.jobs, world.sites, world.country, world.now_ms)
    reasons = [filter_(batch, score(batch)).reason for filter_ in FILTERS]
    assert {reason for _, reason, _ in CASES.values()} == set(reasons)
    assert len(set(reasons)) == len(reasons)
    assert set(MENDED_BY_WAITING) < set(reasons)
    assert set(reasons) > CHANGES_WITH_TIME


@pytest.mark.parametrize(
    ("deadline", "copies", "text"),
    [
        ("2026-01-31T14:00:11Z", [], ""),
        (
            "2026-01-31T14:00:10Z",
            [],
            "one would end 6h and 11s of moving inputs after now, 738ms after timing.deadline ",
        ),
        ("2026-01-31T14:00:00Z", ["maps"], ""),
    ],
)
def test_inputs_have_to_come_before_the_run_ends(deadline: str, copies: list[str], text: str) -> None:
    """10 GiB at 8 Gbit/s take 10.738 s."""
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi", "dataset": "maps"}]}
    job = a_job(data=data, timing={"expectedDuration": "6h", "deadline": deadline})
    country = a_country([a_region("here"), a_region("there")], [a_link("here", "there", "1ms", bandwidth="8G")])
    reason, said = falls(a_world([job], [a_site(cachedDatasets=copies)], country))
    assert said == (text + deadline if text else "")
    assert reason is (Reason.DEADLINE_UNREACHABLE if text else None)


def test_results_may_leave_the_regions_where_the_job_may_run() -> None:
    data: dict[str, Any] = {"allowedRegions": ["here"], "outputs": {"region": "there", "size": "1Gi"}}
    data["inputs"] = [{"name": "a", "region": "there", "size": "1Gi"}]
    assert falls(a_world([a_job(data=data)], [a_site()], a_map())) == (None, "")
    reason, _ = falls(a_world([a_job(data=data)], [a_site(region="there")], a_map()))
    assert reason is Reason.RESIDENCY_FORBIDS


@pytest.mark.parametrize(
    "world",
    [
        a_world([a_job()], [a_site(allowedAccounts=["team"])]),
        a_world(
            [a_job(data={"allowedRegions": ["here"], "allowedSites": ["one"], "domain": "x"})],
            [a_site(dataDomains=["x"])],
        ),
        a_world([a_job()], [a_site(region="there")], a_map(rule(sides=["West"], hubs=["steppe"]))),
        a_world([a_job()], [a_site(labels={"grade": "a"})], a_map(rule(siteSelector={"matchLabels": {"grade": "a"}}))),
        a_world([a_job(latency={"tier": "city"})], [a_site(region="there")], a_map(link="1ms")),
        a_world([a_job(limits={"maxCost": "1000000"})], [a_site()]),
        a_world([a_job(timing={"expectedDuration": "6h", "deadline": "2026-01-31T14:00:00Z"})], [a_site()]),
        a_world([a_job(cards=8, cores="64", memory="512Gi")], [a_site()]),
        a_world([a_job(backoff={"two": "no"})], [a_site()]),
        a_world([a_job(classes=["npu", "gpu"])], [a_site()]),
    ],
)
def test_what_just_fits_does_not_fall(world: World) -> None:
    assert falls(world) == (None, "")


@pytest.mark.parametrize(
    ("match", "about"),
    [
        ({"categories": ["Backup"]}, False),
        ({"categories": ["Backup", "General"]}, True),
        ({"originSides": ["East"]}, True),
        ({"originSides": ["West"]}, False),
        ({"computeTypes": ["Super", "Intelligent"]}, True),
        ({"computeTypes": ["General"]}, False),
        ({"tiers": ["any"]}, False),
        ({"tiers": ["city"]}, True),
        ({"categories": ["General"], "tiers": ["any"]}, False),
        ({}, True),
    ],
)
def test_a_rule_is_about_a_job_if_all_that_it_gives_matches(match: dict[str, Any], about: bool) -> None:
    job = a_job(latency={"oneWay": "0.9ms"})
    reason, _ = falls(a_world([job], [a_site()], a_map(rule(match=match, sides=["West"]))))
    assert (reason is Reason.POLICY_FORBIDS) is about


def test_a_rule_about_one_type_of_compute_leaves_the_other_class_of_the_site() -> None:
    sites = [a_site(rooms={"gpu": [a_node()], "cpu": [a_node()]}, resources=[a_class(), a_class("cpu", "Core")])]
    country = a_map(rule(match={"computeTypes": ["General"]}, sides=["West"]))
    assert falls(a_world([a_job(classes=["cpu", "gpu"])], sites, country)) == (None, "")
    reason, text = falls(a_world([a_job(classes=["cpu", "gpu"], cards=0)], sites, country))
    assert (reason, text) == (Reason.POLICY_FORBIDS, "one is East, coast; rule stay requires West")


def test_a_site_falls_with_its_last_class_and_says_so_of_that_class() -> None:
    rooms = {"gpu": [a_node(cards=4)], "npu": [a_node()]}
    classes = [a_class(listPrice="1"), a_class("npu", listPrice="9")]
    job = a_job(classes=["npu", "gpu"], cards=8, limits={"maxCost": "10000000"})
    # npu is too dear, and gpu, which gets further, is too small.
    reason, text = falls(a_world([job], [a_site(rooms=rooms, resources=classes)]))
    assert reason is Reason.TASK_FITS_NO_NODE
    assert text == "one has no node of gpu for a task of 8 cards, 1 core, 1Gi; the largest has 4 cards, 64 cores, 512Gi"


def test_tasks_and_nodes_beyond_64_bits_are_compared_exactly() -> None:
    huge = a_node(1, cards=8)
    sites = [a_site(rooms={"gpu": [huge]})]
    for memory, tasks, fits in (("512Gi", 1, True), ("512Gi", 2, False), ("1Pi", 10_000, False)):
        reason, _ = falls(a_world([a_job(memory=memory, tasks=tasks)], sites))
        assert (reason is None) is fits


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (a_node(cards=0), "no card"),
        (a_node(cards=2, pods=0), "no pod left"),
        (a_node(cards=2, cores=1 << 60, memory_gib=1 << 40), "2 cards"),
        (a_node(cards=2, cores=1 << 60), "2 cards, 512Gi"),
    ],
)
def test_of_the_largest_node_what_is_short_or_limited_is_told(node: FreeNodes, told: str) -> None:
    _, text = falls(a_world([a_job(cards=4)], [a_site(rooms={"gpu": [node]})]))
    assert text == f"one has no node of gpu for a task of 4 cards, 1 core, 1Gi; the largest has {told}"
