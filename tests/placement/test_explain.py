"""What a decision says: why a job waits, what it costs where it runs, and what it beat."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from suanli.api import ComputeJob
from suanli.api.crd import schema
from suanli.api.job import CostLines
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision
from worlds import (
    Taste,
    World,
    a_class,
    a_country,
    a_job,
    a_node,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    a_world,
    seeded,
    tastes,
)


def closed(part: Any) -> Any:
    """The same schema that takes no field it does not name, as the API server drops them."""
    if isinstance(part, dict):
        made = {key: closed(value) for key, value in part.items() if not key.startswith("x-")}
        return made | ({"additionalProperties": False} if isinstance(part.get("properties"), dict) else {})
    return [closed(one) for one in part] if isinstance(part, list) else part


def test_what_is_made_without_checks_is_as_if_it_had_been_checked() -> None:
    lines = {"run": "7", "energy": "2", "transfer": "0", "carbon": "0", "policy": "-1", "total": "8"}
    made, checked = CostLines.trusted(**lines), CostLines.model_validate(lines)
    assert made == checked
    assert made.model_dump_json(exclude_unset=True) == checked.model_dump_json(exclude_unset=True)
    assert made.model_copy(update={"total": "9"}).total == "9"


def test_all_that_is_told_of_a_placed_job_has_all_its_fields() -> None:
    decision = a_world([a_job("one")], [a_site("near"), a_site("far")]).plan().decisions["one"]
    placement, estimate = decision.placement, decision.estimate
    assert estimate is not None
    assert placement.cost is not None
    assert placement.runners_up
    for told in (placement, estimate, placement.cost, *placement.runners_up):
        assert type(told).model_validate(told.model_dump()) == told


STATUS = closed(schema(ComputeJob)["properties"]["status"])


def status_of(decision: Decision) -> dict[str, Any]:
    """What of a decision goes into a ComputeJob's status."""
    condition = {
        "type": "Placed",
        "status": "True" if decision.site else "False",
        "reason": str(decision.reason),
        "message": decision.message,
        "lastTransitionTime": "2026-01-31T08:00:00Z",
    }
    parts = {"placement": decision.placement, "estimate": decision.estimate, "queue": decision.queue}
    told = {
        name: part.model_dump(mode="json", by_alias=True, exclude_none=True) for name, part in parts.items() if part
    }
    if decision.site:
        told["assignment"] = {
            "site": decision.site,
            "class": decision.class_,
            "epoch": 1,
            "time": "2026-01-31T08:00:00Z",
        }
    return {"conditions": [condition], **told}


@seeded(120)
@given(tastes(jobs=8, fewest=1))
def test_every_decision_is_a_valid_status(taste: Taste) -> None:
    validator = Draft202012Validator(STATUS)
    for uid, decision in a_random_world(taste).plan().decisions.items():
        status = status_of(decision)
        assert [error.message for error in validator.iter_errors(status)] == [], uid
        ComputeJob.model_validate({**RAW, "status": status})


RAW = a_job().job.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_schema_of_the_test_refuses_what_is_too_long_or_unknown() -> None:
    validator = Draft202012Validator(STATUS)
    long = status_of(Decision(None, None, Reason.NO_SITES, "x" * 1_025))
    assert not validator.is_valid(long)
    assert not validator.is_valid({"placement": {"runnersUp": [{"site": "one"}]}})
    assert not validator.is_valid({"surprise": 1})


# --- waiting


def test_a_job_that_waits_says_how_many_sites_fell_to_what_with_an_example() -> None:
    regions = [a_region("here"), a_region("there", "35", "115")]
    sites = [
        a_site("far-1", region="there"),
        a_site("far-2", region="there"),
        a_site("full", rooms={"gpu": [a_node(cards=2)]}, empty={"gpu": [a_node()]}),
        a_site("silent", ready=False, not_ready="did not answer for 20s"),
        a_site("other", rooms={"npu": [a_node()]}),
    ]
    job = a_job(cards=4, latency={"oneWay": "2ms"})
    decision = a_world([job], sites, a_country(regions)).plan().decisions["job"]
    assert (decision.site, decision.reason) == (None, Reason.WAITING_FOR_CAPACITY)
    assert decision.message == (
        "none of 5 sites: 2 LatencyBoundExceeded (far-1 is 5.454ms from here by distance, the bound is 2ms); "
        "1 WaitingForCapacity (full has 2 cards of gpu free now, the job needs 4); "
        "1 ClassNotOffered (other offers npu, not gpu); 1 SiteNotReady"
    )
    assert [(r.reason, r.count) for r in decision.placement.rejections] == [
        ("LatencyBoundExceeded", 2),
        ("WaitingForCapacity", 1),
        ("ClassNotOffered", 1),
        ("SiteNotReady", 1),
    ]
    assert decision.placement.rejections[3].example == "silent did not answer for 20s"


@pytest.mark.parametrize(
    ("sites", "reason", "queued"),
    [
        ([a_site(rooms={"gpu": [a_node(cards=0)]}, empty={"gpu": [a_node()]})], Reason.WAITING_FOR_CAPACITY, True),
        ([a_site(rooms={"gpu": [a_node(pods=0)]}, empty={"gpu": [a_node()]})], Reason.CAPACITY_FRAGMENTED, True),
        ([a_site(ready=False)], Reason.SITE_NOT_READY, True),
        ([a_site("bad")], Reason.SITE_BACKOFF, True),
        ([a_site(desiredState="Inactive")], Reason.NO_FEASIBLE_SITE, False),
        ([a_site(desiredState="Inactive"), a_site("two", ready=False)], Reason.SITE_NOT_READY, True),
    ],
)
def test_who_may_run_later_has_a_place_in_the_queue(sites: list[Any], reason: Reason, queued: bool) -> None:
    job = a_job(backoff={"bad": "it failed"})
    decision = a_world([job], sites).plan().decisions["job"]
    assert (decision.reason, decision.queue is not None) == (reason, queued)


def test_what_others_of_the_plan_take_is_told_as_that() -> None:
    decisions = a_world([a_job("old", cards=8), a_job("young", cards=8, submitted_ms=1)], [a_site()]).plan().decisions
    assert decisions["young"].message == (
        "none of 1 sites: 1 WaitingForCapacity (one could take it, but what is free there goes to other jobs of this plan)"
    )


def test_positions_count_those_that_can_run_by_priority_and_age() -> None:
    jobs = [a_job(f"job-{i}", cards=8, submitted_ms=i, priority=int(i == 3)) for i in range(4)]
    jobs += [a_job("never", cards=9, priority=9), a_job("soon", timing={"notBefore": "2027-01-01T00:00:00Z"})]
    decisions = a_world(jobs, [a_site(rooms={"gpu": [a_node(cards=0)]}, empty={"gpu": [a_node()]})]).plan().decisions
    ahead = {uid: decision.queue.ahead for uid, decision in decisions.items() if decision.queue}
    assert ahead == {"job-3": 0, "job-0": 1, "job-1": 2, "job-2": 3}


def test_a_back_off_is_told_in_the_jobs_own_words() -> None:
    jobs = [a_job(f"job-{i}", backoff={"one": f"it failed {i} s ago"}) for i in range(3)]
    decisions = a_world(jobs, [a_site()]).plan().decisions
    for i in range(3):
        assert decisions[f"job-{i}"].placement.rejections[0].example == f"one it failed {i} s ago"


def test_the_longest_words_stay_within_the_limits() -> None:
    name = "x" * 63
    classes = [f"{c}{'y' * 62}" for c in "abcdefgh"]
    sites = [a_site(name, ready=False, not_ready="z" * 2_000), a_site("a" * 63, rooms={c: [] for c in classes})]
    sites += [a_site("b" * 63, allowedAccounts=["w" * 63]), a_site("c" * 63, region="v" * 63)]
    job = a_job(classes=[*(c.upper().lower()[::-1] for c in classes[:7]), "gpu"])
    decision = a_world([job], sites).plan().decisions["job"]
    assert len(decision.message) <= 1_024
    assert max(len(r.example) for r in decision.placement.rejections) <= 512
    assert sum(r.count for r in decision.placement.rejections) == 4


# --- placed


@pytest.fixture(scope="module")
def country_wide() -> World:
    """Five sites at rising prices; the cheapest has room for one job only."""
    rooms = {"gpu": [a_node(2)]}
    sites = [a_site("site-0", rooms={"gpu": [a_node()]}, resources=[a_class(listPrice="1")])]
    sites += [a_site(f"site-{i}", rooms=rooms, resources=[a_class(listPrice=str(1 + i))]) for i in range(1, 5)]
    sites += [a_site("site-9", desiredState="Inactive")]
    return a_world(
        [a_job("job-0", cards=8), a_job("job-1", cards=8, submitted_ms=1, limits={"maxCost": "33000000"})], sites
    )


def test_a_placed_job_says_what_it_costs_and_what_it_beat(country_wide: World) -> None:
    decision = country_wide.plan().decisions["job-0"]
    assert (decision.site, decision.class_, decision.reason) == ("site-0", "gpu", Reason.PLACED)
    assert decision.message == "site-0: 8.00 CNY with policy weights, the cheapest of 5 sites; next site-1 16.00 CNY"
    assert [(r.site, r.class_, r.total) for r in decision.placement.runners_up] == [
        ("site-1", "gpu", "16000000"),
        ("site-2", "gpu", "24000000"),
        ("site-3", "gpu", "32000000"),
    ]
    assert decision.estimate is not None
    assert decision.estimate.cost == "8000000"
    assert [(r.reason, r.count) for r in decision.placement.rejections] == [("SiteInactive", 1)]


def test_who_pays_more_because_of_others_is_told_so(country_wide: World) -> None:
    decision = country_wide.plan().decisions["job-1"]
    assert decision.message == (
        "site-1: 16.00 CNY with policy weights; 1 of 4 sites are cheaper but needed by other jobs, such as site-0 8.00 CNY"
    )
    assert [r.site for r in decision.placement.runners_up] == ["site-0", "site-2", "site-3"]


def test_the_only_site_is_told_as_that() -> None:
    decision = a_world([a_job()], [a_site()]).plan().decisions["job"]
    assert decision.message == "one: 1.00 CNY with policy weights; the only site that can take it now"
    assert decision.placement.runners_up == []


def test_the_cheaper_class_of_a_runner_up_is_named() -> None:
    both = {"gpu": [a_node()], "npu": [a_node()]}
    classes = [a_class("gpu", listPrice="3"), a_class("npu", listPrice="2")]
    sites = [a_site("one"), a_site("two", rooms=both, resources=classes)]
    decision = a_world([a_job(classes=["gpu", "npu"])], sites).plan().decisions["job"]
    assert [(r.site, r.class_, r.total) for r in decision.placement.runners_up] == [("two", "npu", "2000000")]


@pytest.mark.parametrize(
    ("copies", "told"),
    [
        ([], ""),
        (["maps"], "; maps is read from the copy there, not moved"),
        (["talks", "maps", "scans", "logs"], "; maps, scans, talks and 1 more are read from the copy there, not moved"),
    ],
)
def test_a_copy_at_the_site_is_told_as_the_reason_why_nothing_is_paid_for(copies: list[str], told: str) -> None:
    inputs = [
        {"name": name, "region": "there", "size": "1Gi", "dataset": name} for name in ("maps", "scans", "talks", "logs")
    ]
    country = a_country([a_region("here"), a_region("there", "31", "111")], policy=a_policy(transferPricePerGib="1"))
    jobs = [a_job(data={"inputs": inputs})]
    decision = a_world(jobs, [a_site(cachedDatasets=copies)], country).plan().decisions["job"]
    assert decision.message.endswith("the only site that can take it now" + told)
    assert decision.placement.cost is not None
    assert decision.placement.cost.transfer == str((4 - len(copies)) * 1_000_000)


def test_a_copy_attracts_the_jobs_that_read_it() -> None:
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi", "dataset": "maps"}]}
    country = a_country([a_region("here"), a_region("there", "31", "111")], policy=a_policy(transferPricePerGib="1"))
    sites = [a_site("cheap", resources=[a_class(listPrice="1")])]
    sites += [a_site("with-copy", resources=[a_class(listPrice="4")], cachedDatasets=["maps"])]
    decisions = a_world([a_job("reads", data=data), a_job("other")], sites, country).plan().decisions
    assert (decisions["reads"].site, decisions["other"].site) == ("with-copy", "cheap")


@pytest.mark.parametrize(
    ("old", "site", "told"),
    [
        ({}, "old", "; its checkpoint lies there, moving it to new would cost 10.00 CNY"),
        ({"price": "20"}, "new", "; its checkpoint comes from old for 10.00 CNY"),
        ({"ready": False}, "new", "; its checkpoint at old cannot be had and counts for nothing"),
    ],
)
def test_what_a_checkpoint_costs_or_saves_is_told(old: Mapping[str, Any], site: str, told: str) -> None:
    country = a_country([a_region("here"), a_region("there", "31", "111")], policy=a_policy(transferPricePerGib="1"))
    price = [a_class(listPrice=old.get("price", "2"))]
    sites = [a_site("new"), a_site("old", region="there", resources=price, ready=old.get("ready", True))]
    job = a_job(checkpoint={"size": "10Gi", "site": "old"})
    decision = a_world([job], sites, country).plan().decisions["job"]
    assert decision.site == site
    assert decision.message.endswith(told)


def test_among_equal_sites_a_job_goes_back_to_its_checkpoint() -> None:
    sites = [a_site(name) for name in ("a", "b", "c")]
    jobs = [a_job(checkpoint={"size": "1Gi", "site": "b"}), a_job("new", checkpoint={"size": "1Gi"})]
    decisions = a_world(jobs, sites).plan().decisions
    assert (decisions["job"].site, decisions["new"].site) == ("b", "a")
    assert "checkpoint" not in decisions["new"].message


@pytest.mark.parametrize(("classes", "chosen"), [(["gpu", "npu"], "gpu"), (["npu", "gpu"], "npu")])
def test_of_equal_costs_the_class_wished_first_is_taken(classes: list[str], chosen: str) -> None:
    both: Mapping[str, Any] = {"gpu": [a_node()], "npu": [a_node()]}
    decision = a_world([a_job(classes=classes)], [a_site(rooms=both)]).plan().decisions["job"]
    assert decision.class_ == chosen


def test_cost_lines_are_those_of_the_place_and_paper_is_not_paid() -> None:
    policy = a_policy(
        placementRules=[{"name": "all", "effect": "Avoid", "sides": [], "weight": "5", "siteSelector": GRADE}],
        carbonPricePerTonne="80",
    )
    site = a_site(
        labels={"grade": "a"},
        resources=[a_class(listPrice="2", ratedPowerW=1_000)],
        energy={
            "pue": "1",
            "gridFactorGPerKwh": 500,
            "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": "1"}],
        },
    )
    decision = a_world([a_job()], [site], a_country(policy=policy)).plan().decisions["job"]
    assert decision.placement.cost is not None
    assert decision.placement.cost.model_dump(exclude_defaults=True) == {
        "run": "2000000",
        "energy": "1000000",
        "carbon": "40000",
        "policy": "5",
        "total": "3040005",
    }
    assert decision.estimate is not None
    assert decision.estimate.cost == "3000000"


GRADE = {"matchLabels": {"grade": "a"}}
