"""P1: no decision breaks a rule of any kind; and the checker that says so finds it when one does."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from census import KINDS, census
from checker import violations
from checker.judge import QUESTIONS
from checker.words import SAYS
from suanli.api.job import Estimate
from suanli.placement import accept, filters, scores
from suanli.placement.batch import Batch, Floats
from suanli.placement.filters import Filter, Verdicts
from suanli.placement.scores import Costs
from suanli.placement.snapshot import Country, Decision, SiteView, WaitingJob
from worlds import (
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
    a_tenancy,
    a_world,
    an_account,
)

CHECKED = 400  # here; `hack/bench/check` takes 10,000 and more


def test_no_decision_breaks_a_rule_of_any_kind() -> None:
    found = census(range(CHECKED))
    assert found.wrong == {}
    assert found.undecided == 0
    assert found.never_met == []
    assert set(found.met) <= set(KINDS), "something was counted that is no kind"


# --- one wrong decision by every kind of rule: the job is moved from the site "good" to the site "bad"

HUBS = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "steppe", "side": "West", "regions": ["there"]},
]
REGIONS = [a_region("here"), a_region("there", "31", "111")]
WEST: Raw = {"sides": ["West"]}


def a_map(*rules: Raw, links: Iterable[Any] = ()) -> Country:
    tiers = [{"name": "city", "oneWay": "1ms"}, {"name": "region", "oneWay": "5ms"}]
    policy = a_policy(hubs=HUBS, latencyTiers=tiers, placementRules=list(rules), transferPricePerGib="0.1")
    return a_country(REGIONS, list(links), policy)


def require(match: Raw | None = None, **where: Any) -> Country:
    return a_map({"name": "must", "effect": "Require", "match": match or {}, **(where or WEST)})


def pair(job: WaitingJob, country: Country | None = None, bad: Raw | None = None, **good: Any) -> World:
    """The job, the site where it belongs, and the cheaper one that a rule forbids."""
    cheap = [a_class(listPrice="0.5")]
    forbidden: SiteView = a_site("bad", **{"resources": cheap, **(bad or {})})
    return a_world([job], [a_site("good", **good), forbidden], country or a_map())


TO_WEST: Raw = {"region": "there"}
TEN_GIB = {"inputs": [{"name": "a", "region": "there", "size": "10Gi", "dataset": "maps"}]}
THIN = [a_link("here", "there", "1ms", bandwidth="8G")]
WRONG: dict[str, tuple[World, str]] = {
    "Require by category": (pair(a_job(category="Backup"), require({"categories": ["Backup"]}), **TO_WEST), "PolicyForbids"),
    "Require by origin side": (pair(a_job(), require({"originSides": ["East"]}), **TO_WEST), "PolicyForbids"),
    "Require by compute type": (pair(a_job(), require({"computeTypes": ["Intelligent"]}), **TO_WEST), "PolicyForbids"),
    "Require by tier": (pair(a_job(latency={"oneWay": "4ms"}), require({"tiers": ["region"]}), **TO_WEST), "PolicyForbids"),
    "Require by no tier": (pair(a_job(), require({"tiers": ["any"]}), **TO_WEST), "PolicyForbids"),
    "Require of a side": (pair(a_job(), require(sides=["West"]), **TO_WEST), "PolicyForbids"),
    "Require of a hub": (pair(a_job(), require(hubs=["steppe"]), **TO_WEST), "PolicyForbids"),
    "Require of labels": (
        pair(a_job(), require(siteSelector={"matchLabels": {"grade": "a"}}), labels={"grade": "a"}),
        "PolicyForbids",
    ),
    "an account": (pair(a_job(), bad={"allowedAccounts": ["others"]}), "AccountNotAllowed"),
    "a class": (pair(a_job(), bad={"rooms": {"npu": [a_node()]}, "resources": [a_class("npu")]}), "ClassNotOffered"),
    "no wish of several": (
        pair(a_job(classes=["xpu", "gpu"]), bad={"rooms": {"npu": [a_node()]}, "resources": [a_class("npu")]}),
        "ClassNotOffered",
    ),
    "cores instead of cards": (
        pair(a_job(), bad={"rooms": {"gpu": [a_node()]}, "resources": [a_class("gpu", "Core")]}),
        "ClassNotOffered",
    ),
    "allowed regions": (pair(a_job(data={"allowedRegions": ["there"]}), **TO_WEST), "ResidencyForbids"),
    "allowed sites": (pair(a_job(data={"allowedSites": ["good"]})), "ResidencyForbids"),
    "a data domain": (pair(a_job(data={"domain": "health"}), dataDomains=["health"]), "ResidencyForbids"),
    "a tier": (pair(a_job(latency={"tier": "city"}), bad={"region": "there"}), "LatencyBoundExceeded"),
    "a time of its own": (pair(a_job(latency={"oneWay": "1ms"}), bad={"region": "there"}), "LatencyBoundExceeded"),
    "a link that is down": (
        pair(
            a_job(latency={"tier": "city"}),
            a_map(links=[a_link("here", "there", "0.5ms", desiredState="Down")]),
            bad={"region": "there"},
        ),
        "LatencyBoundExceeded",
    ),
    "a cost limit": (
        pair(a_job(limits={"maxCost": "1000000"}), bad={"resources": [a_class(listPrice="1.01")]}),
        "CostLimitExceeded",
    ),
    "a deadline that inputs do not meet": (
        pair(
            a_job(data=TEN_GIB, timing={"expectedDuration": "1h", "deadline": "2026-01-31T09:00:05Z"}),
            a_map(links=THIN),
            cachedDatasets=["maps"],
        ),
        "DeadlineUnreachable",
    ),
    "a site that takes no work": (pair(a_job(), bad={"desiredState": "Inactive"}), "SiteInactive"),
    "a site that drains": (pair(a_job(), bad={"desiredState": "Drain"}), "SiteInactive"),
    "a site that is not ready": (pair(a_job(), bad={"ready": False}), "SiteNotReady"),
    "a site nowhere": (pair(a_job(), bad={"region": "atlantis"}), "SiteNotReady"),
    "a quota": (
        replace(
            pair(a_job(classes=["gpu", "npu"]), bad={"rooms": {"npu": [a_node()]}, "resources": [a_class("npu", listPrice="0.5")]}),
            tenancy=a_tenancy(an_account("team", quotas=[{"class": "npu", "nominal": 0}])),
        ),
        "QuotaExceeded",
    ),
    "a site that failed": (pair(a_job(backoff={"bad": "it failed"})), "SiteBackoff"),
    "a node too small": (pair(a_job(cards=8), bad={"rooms": {"gpu": [a_node(2, cards=4)]}}), "TaskFitsNoNode"),
    "a site too small for the gang": (pair(a_job(cards=8, tasks=1, cores="8"), bad={"rooms": {"gpu": []}}), "TaskFitsNoNode"),
    "a gang": (
        pair(a_job(cards=8, tasks=2), bad={"rooms": {"gpu": [a_node()]}}, rooms={"gpu": [a_node(2)]}),
        "InsufficientCapacity",
    ),
    "cores of a class of cards": (pair(a_job(cores="64"), bad={"rooms": {"gpu": [a_node(cores=63)]}}), "TaskFitsNoNode"),
    "memory": (pair(a_job(memory="512Gi"), bad={"rooms": {"gpu": [a_node(memory_gib=511)]}}), "TaskFitsNoNode"),
    "cards that are taken": (
        pair(a_job(cards=8), bad={"rooms": {"gpu": [a_node(cards=7)]}, "empty": {"gpu": [a_node()]}}),
        "WaitingForCapacity",
    ),
    "nodes that are fragmented": (
        pair(a_job(cards=8), bad={"rooms": {"gpu": [a_node(2, cards=4)]}, "empty": {"gpu": [a_node(2)]}}),
        "CapacityFragmented",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", WRONG)
def test_a_job_that_is_where_a_rule_forbids_it_is_found(rule: str) -> None:
    world, reason = WRONG[rule]
    plan = world.plan()
    assert violations(*world.question, plan, world.tenancy) == []
    assert plan.decisions["job"].site == "good", plan.decisions["job"].message
    class_ = world.sites[1].site.spec.resources[0].class_
    moved = replace(plan.decisions["job"], site="bad", class_=class_)
    found = violations(*world.question, replace(plan, decisions={"job": moved}), world.tenancy)
    assert f"job: is at bad, which falls to {reason}" in found


def test_every_reason_why_a_site_falls_is_broken_once() -> None:
    assert {reason for _, reason in WRONG.values()} == set(QUESTIONS) == set(SAYS)


# --- one wrong number by every kind of rule that only weighs

MATCHES: dict[str, tuple[Raw, Raw]] = {
    "a category": ({"categories": ["Backup"]}, {"category": "Backup"}),
    "an origin side": ({"originSides": ["East"]}, {}),
    "a compute type": ({"computeTypes": ["Intelligent"]}, {}),
    "a tier": ({"tiers": ["city"]}, {"latency": {"tier": "city"}}),
}


@pytest.mark.parametrize("effect", ["Prefer", "Avoid"])
@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize(
    "where", [{"sides": ["East"]}, {"hubs": ["coast"]}, {"siteSelector": {"matchLabels": {"a": "b"}}}]
)
def test_a_weight_that_is_left_out_is_found(effect: str, match: str, where: Raw) -> None:
    about, spec = MATCHES[match]
    rule = {"name": "weighs", "effect": effect, "match": about, "weight": "70000", **where}
    world = a_world([a_job(**spec)], [a_site(labels={"a": "b"})], a_map(rule))
    cost = world.plan().decisions["job"].placement.cost
    assert cost is not None
    assert cost.policy == ("-70000" if effect == "Prefer" else "70000")
    without = cost.model_copy(update={"policy": "0", "total": str(int(cost.total) - int(cost.policy))})
    assert_found(
        world, lambda d: replace(d, placement=d.placement.model_copy(update={"cost": without})), "policy costs 0"
    )


def test_a_copy_that_is_forgotten_or_made_up_is_found() -> None:
    for copies in (["maps"], []):
        world = a_world([a_job(data=TEN_GIB)], [a_site(cachedDatasets=copies)], a_map(links=THIN))
        other = a_world([a_job(data=TEN_GIB)], [a_site(cachedDatasets=[] if copies else ["maps"])], a_map(links=THIN))
        instead = other.plan().decisions["job"]
        for words in ("transfer costs", "transferTime is", "the message says"):
            assert_found(world, lambda _, instead=instead: instead, words)  # type: ignore[misc]


def test_a_transfer_that_forgets_the_others_of_the_plan_is_found() -> None:
    jobs = [a_job(f"job-{i}", data=TEN_GIB) for i in range(2)]
    world = a_world(jobs, [a_site()], a_map(links=THIN))
    plan = world.plan()
    alone = {uid: replace(d, estimate=with_time(d, "11s")) for uid, d in plan.decisions.items()}
    assert violations(*world.question, plan) == []
    assert len(violations(*world.question, replace(plan, decisions=alone))) == 2


def with_time(decision: Decision, time: str) -> Estimate:
    assert decision.estimate is not None
    assert decision.estimate.transfer_time == "22s"
    return decision.estimate.model_copy(update={"transfer_time": time})


def assert_found(world: World, change: Callable[[Decision], Decision], words: str) -> None:
    plan = world.plan()
    assert violations(*world.question, plan) == []
    changed = replace(plan, decisions={uid: change(d) for uid, d in plan.decisions.items()})
    assert [text for text in violations(*world.question, changed) if words in text]


# --- placement without one of its rules is found out by random instances

MOST = 600


def numbers_until_wrong() -> int | None:
    """How many instances it takes until one is wrong, or one could not be placed at all."""
    for number in range(MOST):
        try:
            if census([number]).wrong:
                return number
        except (KeyError, IndexError, AssertionError):
            return number
    return None


@pytest.mark.parametrize("name", [filter_.__name__ for filter_ in filters.FILTERS])
def test_a_filter_that_lets_all_through_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(of: Filter) -> Filter:
        def say(b: Batch, costs: Costs) -> Verdicts:
            verdict = of(b, costs)
            return replace(verdict, allowed=np.ones_like(verdict.allowed))

        return say if of.__name__ == name else of

    monkeypatch.setattr(filters, "FILTERS", tuple(blind(filter_) for filter_ in filters.FILTERS))
    assert numbers_until_wrong() is not None


@pytest.mark.parametrize("name", scores.SCORES)
def test_a_score_that_is_always_nothing_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(b: Batch) -> Floats:
        return np.zeros((len(b.rows), len(b.pools)))

    monkeypatch.setattr(scores, "SCORES", {**scores.SCORES, name: nothing})
    assert numbers_until_wrong() is not None


# Without any_site a country without sites refuses every class, which is as true.
@pytest.mark.parametrize("check", [check for check in accept.CHECKS if check is not accept.any_site])
def test_a_job_that_is_not_refused_is_found_out(check: accept.Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "CHECKS", tuple(one for one in accept.CHECKS if one is not check))
    assert numbers_until_wrong() is not None
