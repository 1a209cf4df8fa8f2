"""Bad input: a clear reason for each, never an exception out of placement, and nothing that the checker finds untrue."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import violations
from suanli.api import ComputeJob, ComputeLink, ComputeSite
from suanli.base.reasons import Reason
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, Plan, Prices, WaitingJob
from suanli.placement.solve import place
from worlds import (
    GIB,
    Raw,
    World,
    a_class,
    a_country,
    a_job,
    a_link,
    a_node,
    a_policy,
    a_region,
    a_site,
    a_world,
    seeded,
)  # fmt: skip

HUGE = 1 << 80
FAR = a_region("far", "50", "20")
TWO = [a_region("here"), a_region("there", "31", "111")]
BAND = {"from": "00:00", "to": "24:00", "pricePerKwh": "999999.999999"}


def a_plan(world: World) -> Plan:
    """A plan in which nothing is untrue."""
    plan = world.plan()
    assert violations(*world.question, plan) == []
    return plan


def reading(size: str, region: str = "there", **more: Any) -> WaitingJob:
    return a_job(data={"inputs": [{"name": "a", "region": region, "size": size}]}, **more)


# Of each the reason of the one job "job", None where it is placed, and words of its message.
CASES: dict[str, tuple[World, Reason | None, str]] = {
    "an empty country": (a_world([a_job()], [a_site()], Country({}, {}, None)), Reason.UNKNOWN_REGION, '"here" is no ComputeRegion'),
    "no site": (a_world([a_job()], []), Reason.NO_SITES, "there is no ComputeSite; join one"),
    "a site without classes": (a_world([a_job()], [a_site(rooms={}, classes=[a_class("npu")])]), Reason.UNKNOWN_CLASS, "they offer npu"),
    "a site that offers nothing": (a_world([a_job()], [_bare := a_site(rooms={})]), Reason.UNKNOWN_CLASS, "they offer nothing"),
    "a class without nodes": (a_world([a_job()], [a_site(rooms={"gpu": []})]), Reason.NO_FEASIBLE_SITE, "one has no node of gpu"),
    "nodes of nothing": (
        a_world([a_job()], [a_site(rooms={"gpu": [FreeNodes(3, 0, 0, 0, 0)]})]), Reason.NO_FEASIBLE_SITE, "the largest has no card"
    ),
    "no node of a kind": (a_world([a_job()], [a_site(rooms={"gpu": [a_node(0)]})]), Reason.NO_FEASIBLE_SITE, "one has no node of gpu"),
    "a ready site that says nothing of its class": (
        a_world([a_job()], [replace(a_site(), classes={})]), Reason.NO_FEASIBLE_SITE, "one has no node of gpu"
    ),
    "less than nothing is free": (
        a_world([a_job()], [a_site(rooms={"gpu": [FreeNodes(1, -5_000, -GIB, -8, -1)]}, empty={"gpu": [a_node()]})]),
        Reason.WAITING_FOR_CAPACITY, "has 0 cards of gpu free now, the job needs 1",
    ),
    "a job larger than any site": (
        a_world([a_job(tasks=10_000, cards=1_024, cores="1M", memory="1Pi")], [a_site(), a_site("two", {"gpu": [a_node(9)]})]),
        Reason.NO_FEASIBLE_SITE, "has no node of gpu for a task of 1024 cards",
    ),
    "a gang larger than any site": (
        a_world([a_job(tasks=10_000)], [a_site(rooms={"gpu": [a_node(3)]})]),
        Reason.NO_FEASIBLE_SITE, "one holds 24 tasks of 1 card, 1 core, 1Gi on gpu when empty, the job has 10000",
    ),
    "an enormous gang on enormous nodes": (
        a_world([a_job(tasks=10_000, cards=1_024, cores="1M", memory="1Pi")], [a_site(rooms={"gpu": [FreeNodes(HUGE, HUGE, HUGE, HUGE, HUGE)]})]),
        None, "one: ",
    ),
    "enormous prices": (
        a_world(
            [reading("1024Pi", tasks=10_000, cards=1_024, timing={"expectedDuration": "8760h"})],
            [
                a_site(
                    rooms={"gpu": [FreeNodes(HUGE, HUGE, HUGE, HUGE, HUGE)]},
                    resources=[a_class(listPrice="999999.999999", ratedPowerW=1_000_000)],
                    energy={"pue": "5", "gridFactorGPerKwh": 5_000, "priceSchedule": [BAND]},
                )
            ],
            a_country(
                TWO, [a_link("here", "there", "10s", pricePerGib="999999.999999", bandwidth="1M")],
                a_policy(
                    carbonPricePerTonne="999999.999999", transferPricePerGib="999999.999999",
                    placementRules=[{"name": "no", "effect": "Avoid", "siteSelector": {"matchLabels": {"a": "b"}}, "weight": "9999999999"}],
                ),
            ),
        ),
        None, "the only site that can take it now",
    ),
    "a cost limit of nothing": (
        a_world([a_job(limits={"maxCost": "0"})], [a_site()]), Reason.NO_FEASIBLE_SITE, "limits.maxCost is 0.00 CNY"
    ),
    "a cost limit of nothing where nothing costs": (a_world([a_job(limits={"maxCost": "0"})], [a_site(resources=[a_class(listPrice="0")])]), None, "one: 0.00 CNY"),
    "a deadline long ago": (
        a_world([a_job(timing={"deadline": "1000-01-01T00:00:00Z"})], [a_site()]), Reason.NO_FEASIBLE_SITE, "after timing.deadline 1000-"
    ),
    "a deadline never": (a_world([a_job(timing={"deadline": "2999-12-31T23:59:59Z"})], [a_site()]), None, "one: "),
    "inputs that take longer than the deadline leaves": (
        a_world(
            [reading("1024Pi", timing={"deadline": "2999-12-31T23:59:59Z"})], [a_site()],
            a_country(TWO, [a_link("here", "there", "1ms", bandwidth="1M")]),
        ),
        Reason.NO_FEASIBLE_SITE, "of moving inputs after now",
    ),
    "before the epoch": (a_world([a_job()], [a_site()], now_ms=-62_000_000_000_000), None, "one: "),
    "a region at the end of the earth": (
        a_world([a_job(origin="pole", latency={"oneWay": "10s"})], [a_site()], a_country([a_region("here", "-90", "0"), a_region("pole", "90", "180")])),
        None, "one: ",
    ),
    "two regions at one place": (
        a_world([a_job(origin="there", latency={"oneWay": "1us"})], [a_site()], a_country([a_region("here"), a_region("there")])), None, "one: "
    ),
    "links that join nothing": (
        a_world([a_job(origin="there", latency={"oneWay": "5ms"})], [a_site()], a_country(TWO, [a_link("there", "nowhere", "1us"), a_link("nobody", "here", "1us")])),
        None, "one: ",
    ),
    "all links down": (
        a_world(
            [a_job(origin="far", latency={"oneWay": "9ms"})], [a_site()],
            a_country([*TWO, FAR], [a_link("far", "here", "1ms", desiredState="Down"), a_link("one", "here", "1ms", desiredState="Down")]),
        ),
        Reason.NO_FEASIBLE_SITE, "from far by distance, the bound is 9ms",
    ),
    "a ring of links that cost nothing": (
        a_world(
            [reading("1Ti")], [a_site()],
            a_country([*TWO, FAR], [a_link(a, b, "1ms", pricePerGib="0") for a, b in (("here", "there"), ("there", "far"), ("far", "here"))]),
        ),
        None, "one: 1.00 CNY",
    ),
    "a site in no region": (a_world([a_job()], [a_site(region="atlantis")]), Reason.SITE_NOT_READY, "atlantis, which is no ComputeRegion"),
    "data that may go nowhere": (
        a_world([a_job(data={"allowedRegions": ["there"], "allowedSites": ["one"]})], [a_site()], a_country(TWO)),
        Reason.NO_FEASIBLE_SITE, "data.allowedRegions are there",
    ),
    "rules that contradict each other": (
        a_world(
            [a_job()], [a_site(), a_site("two", region="there")],
            a_country(
                TWO, policy=a_policy(
                    hubs=[{"name": "e", "side": "East", "regions": ["here"]}, {"name": "w", "side": "West", "regions": ["there"]}],
                    placementRules=[{"name": f"only-{side.lower()}", "effect": "Require", "sides": [side]} for side in ("East", "West")],
                ),
            ),
        ),
        Reason.NO_FEASIBLE_SITE, "2 PolicyForbids",
    ),
    "a tier that no policy has": (a_world([a_job(latency={"tier": "city"})], [a_site()]), Reason.UNKNOWN_TIER, '"city" is no latency tier'),
    "a preference for every place and against it": (
        a_world(
            [a_job()], [a_site()],
            a_country(
                policy=a_policy(
                    hubs=[{"name": "e", "side": "East", "regions": ["here"]}],
                    placementRules=[
                        {"name": f"r-{effect.lower()}", "effect": effect, "sides": ["East"], "weight": "9999999999"} for effect in ("Prefer", "Avoid")
                    ],
                )
            ),
        ),
        None, "one: 1.00 CNY with policy weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_has_a_clear_reason_and_no_exception(case: str) -> None:
    world, reason, words = CASES[case]
    decision = a_plan(world).decisions["job"]
    assert decision.reason is (reason or Reason.PLACED), decision.message
    assert words in decision.message


def test_ten_thousand_identical_jobs_are_one_question() -> None:
    job = a_job("job-0", cards=1)
    jobs = [replace(job, uid=f"job-{i}", submitted_ms=i) for i in range(10_000)]
    sites = [
        a_site("near", {"gpu": [a_node(500)]}),
        a_site("other", {"gpu": [a_node(500)]}, resources=[a_class(listPrice="2")]),
    ]
    world = a_world(jobs, sites)
    decisions = world.plan().decisions
    at = [decisions[f"job-{i}"].site for i in range(10_000)]
    assert at == ["near"] * 4_000 + ["other"] * 4_000 + [None] * 2_000
    assert decisions["job-9999"].queue is not None
    assert decisions["job-9999"].queue.ahead == 1_999


def test_warm_prices_that_are_no_numbers_any_more_change_no_rule() -> None:
    jobs = [a_job(f"job-{i}", cards=8) for i in range(3)]
    world = a_world(jobs, [a_site(), a_site("two", resources=[a_class(listPrice="2")])])
    for bad in (float("nan"), float("inf"), -float("inf"), -1.0, 1e300):
        plan = place(*world.question, warm=Prices({("one", "gpu"): (bad,) * 4}))
        assert violations(*world.question, plan) == []
        assert sum(d.site is not None for d in plan.decisions.values()) == 2


AMOUNTS = st.sampled_from([-(1 << 70), -1, 0, 1, 7, 64_000, 1 << 31, 1 << 53, 1 << 62, 1 << 63, 1 << 80])


@st.composite
def nodes(draw: st.DrawFn) -> FreeNodes:
    """Nodes as a member with a broken count could tell of them."""
    count = draw(st.sampled_from([0, 1, 3, 1 << 40, 1 << 70]))
    return FreeNodes(count, draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS))


@seeded(150)
@given(
    st.lists(st.tuples(st.lists(nodes(), max_size=3), st.lists(nodes(), max_size=3)), min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 8, 1_024]), st.sampled_from([1, 2, 10_000]), st.sampled_from(["1m", "1", "1M"]),
            st.sampled_from(["1Mi", "1Gi", "1Pi"]), st.sampled_from(["0", "1", "999999999999999"]),
        ),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
def test_whatever_members_tell_of_their_nodes_there_is_an_answer(
    told: list[tuple[list[FreeNodes], list[FreeNodes]]], wanted: list[tuple[int, int, str, str, str]]
) -> None:
    sites = [
        replace(a_site(f"site-{i}"), classes={"gpu": ClassRoom(tuple(free), tuple(empty))})
        for i, (free, empty) in enumerate(told)
    ]
    jobs = [
        a_job(f"job-{i}", cards=cards, tasks=tasks, cores=cores, memory=memory, limits={"maxCost": cost})
        for i, (cards, tasks, cores, memory, cost) in enumerate(wanted)
    ]
    plan = a_world(jobs, sites).plan()
    assert set(plan.decisions) == {job.uid for job in jobs}
    for job in jobs:
        decision = plan.decisions[job.uid]
        assert decision.message
        if decision.site is not None:
            free = sites[int(decision.site[-1])].classes["gpu"].free
            assert job.job.spec.tasks * job.job.spec.resources.per_task.cards <= sum(
                n.count * max(0, n.cards) for n in free
            )


@pytest.mark.parametrize(
    ("model", "manifest"),
    [
        (ComputeJob, {"tasks": 0}),
        (ComputeJob, {"tasks": -1}),
        (ComputeJob, {"tasks": 1 << 70}),
        (ComputeJob, {"timing": {"expectedDuration": "0"}}),
        (ComputeJob, {"timing": {"expectedDuration": "-1h"}}),
        (ComputeJob, {"timing": {"expectedDuration": "NaN"}}),
        (ComputeJob, {"limits": {"maxCost": "-1"}}),
        (ComputeJob, {"data": {"inputs": [{"name": "a", "region": "here", "size": "-1Gi"}]}}),
        (ComputeJob, {"data": {"inputs": [{"name": "a", "region": "here", "size": "1e99"}]}}),
        (ComputeLink, {"pricePerGib": "-0.1"}),
        (ComputeLink, {"pricePerGib": "NaN"}),
        (ComputeLink, {"pricePerGib": "1e9"}),
        (ComputeLink, {"oneWay": "0"}),
        (ComputeLink, {"oneWay": "-1ms"}),
        (ComputeLink, {"bandwidth": "0"}),
        (ComputeSite, {"resources": [a_class(listPrice="-1")]}),
        (ComputeSite, {"energy": {"priceSchedule": [{**BAND, "pricePerKwh": "nan"}]}}),
    ],
)
def test_numbers_below_zero_and_no_numbers_do_not_come_so_far(model: type[Any], manifest: Raw) -> None:
    """A subsidy per GiB, and so a way that earns the more the longer it is, cannot even be written."""
    good: dict[type[Any], Raw] = {
        ComputeJob: a_job().job.model_dump(mode="json", by_alias=True, exclude_none=True),
        ComputeLink: a_link("here", "there", "1ms").model_dump(mode="json", by_alias=True, exclude_none=True),
        ComputeSite: a_site().site.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    model.model_validate(good[model])
    with pytest.raises(ValueError, match="1 validation error"):
        model.model_validate({**good[model], "spec": {**good[model]["spec"], **manifest}})
