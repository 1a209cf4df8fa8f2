"""The checker itself: a plan in which one thing is changed does not pass."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from checker import best_plan, fit_together, idle_room, violations
from suanli.api.job import Queue, RunnerUp
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision, Plan
from worlds import Raw, World, a_class, a_country, a_job, a_node, a_policy, a_region, a_site, a_world


@pytest.fixture(scope="module")
def world() -> World:
    """Two jobs run, one waits for them, one is too far from everything."""
    regions = [a_region("here"), a_region("there", "35", "115")]
    policy = a_policy(
        hubs=[{"name": "hub", "side": "West", "regions": ["there"]}],
        placementRules=[
            {"name": "stay", "match": {"categories": ["Finance"]}, "effect": "Require", "sides": ["East"]},
        ],
    )
    energy = {"pue": "1.5", "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": "0.5"}]}
    sites = [
        a_site("cheap", resources=[a_class(listPrice="1", ratedPowerW=500)], energy=energy),
        a_site("dear", resources=[a_class(listPrice="3")], allowedAccounts=["team"]),
        a_site("far", region="there", resources=[a_class(listPrice="4")]),
        a_site("off", desiredState="Drain"),
    ]
    near: Raw = {"latency": {"oneWay": "1ms"}}
    jobs = [
        a_job("first", cards=8, submitted_ms=1, **near),
        a_job("second", cards=8, submitted_ms=2, **near),
        a_job("third", cards=8, submitted_ms=3, **near),
        a_job("money", cards=1, category="Finance", origin="there", **near),
    ]
    return a_world(jobs, sites, a_country(regions, policy=policy))


@pytest.fixture(scope="module")
def plan(world: World) -> Plan:
    made = world.plan()
    assert violations(*world.question, made) == []
    assert {uid for uid, d in made.decisions.items() if d.site} == {"first", "second"}
    return made


def with_placement(decision: Decision, **changes: object) -> Decision:
    return replace(decision, placement=decision.placement.model_copy(update=changes))


def with_cost(decision: Decision, **changes: str) -> Decision:
    assert decision.placement.cost is not None
    return with_placement(decision, cost=decision.placement.cost.model_copy(update=changes))


def with_rejection(decision: Decision, at: int, **changes: object) -> Decision:
    told = list(decision.placement.rejections)
    told[at] = told[at].model_copy(update=changes)
    return with_placement(decision, rejections=told)


CHANGES: dict[str, tuple[str, Callable[[Decision], Decision]]] = {
    "at a site that is full": ("second", lambda d: replace(d, site="cheap")),
    "at a site that is too far": ("second", lambda d: replace(d, site="far")),
    "at a site that drains": ("second", lambda d: replace(d, site="off")),
    "at a site that is not there": ("second", lambda d: replace(d, site="nowhere")),
    "in a class that is not there": ("second", lambda d: replace(d, class_="npu")),
    "where policy forbids it": ("money", lambda d: replace(d, site="far", class_="gpu", reason=Reason.PLACED)),
    "energy is wrong": ("first", lambda d: with_cost(d, energy="2999998")),
    "transfer is wrong": ("first", lambda d: with_cost(d, transfer="2")),
    "the total is no sum": ("first", lambda d: with_cost(d, total="12")),
    "the latency is wrong": ("first", lambda d: with_placement(d, latency="1ms")),
    "the source is wrong": ("first", lambda d: with_placement(d, latency_source="Estimated")),
    "no runner-up": ("first", lambda d: with_placement(d, runners_up=[])),
    "a wrong runner-up": (
        "first",
        lambda d: with_placement(d, runners_up=[RunnerUp(site="far", class_="gpu", total="32000000")]),
    ),
    "a runner-up at a wrong price": (
        "first",
        lambda d: with_placement(d, runners_up=[RunnerUp(site="dear", class_="gpu", total="23000000")]),
    ),
    "a wrong count": ("third", lambda d: with_rejection(d, 0, count=1)),
    "a wrong reason": ("third", lambda d: with_rejection(d, 1, reason="ResidencyForbids")),
    "a wrong example": ("third", lambda d: with_rejection(d, 1, example="cheap is 55.9ms from here, the bound is 1ms")),
    "a wrong number": (
        "third",
        lambda d: with_rejection(
            d, 1, example=d.placement.rejections[1].example.replace("bound is 1ms", "bound is 2ms")
        ),
    ),
    "no rejections": ("third", lambda d: with_placement(d, rejections=[])),
    "another reason to wait": ("third", lambda d: replace(d, reason=Reason.NO_FEASIBLE_SITE)),
    "no message": ("third", lambda d: replace(d, message="")),
    "another place in the queue": ("third", lambda d: replace(d, queue=Queue(position=2, ahead=1))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_decision_is_found(world: World, plan: Plan, change: str) -> None:
    uid, changed = CHANGES[change]
    decisions = {**plan.decisions, uid: changed(plan.decisions[uid])}
    assert violations(*world.question, replace(plan, decisions=decisions)) != []


def test_a_missing_decision_is_found(world: World, plan: Plan) -> None:
    decisions = {uid: d for uid, d in plan.decisions.items() if uid != "money"}
    assert violations(*world.question, replace(plan, decisions=decisions)) != []


def test_a_refused_job_must_not_be_placed(world: World, plan: Plan) -> None:
    late = a_job("first", cards=8, timing={"notBefore": "2027-01-01T00:00:00Z"})
    jobs = tuple(late if job.uid == "first" else job for job in world.jobs)
    assert violations(jobs, *world.question[1:], plan) != []


def test_idle_room_is_found(world: World, plan: Plan) -> None:
    swapped = {**plan.decisions, "first": plan.decisions["third"]}
    assert idle_room(*world.question, plan) == []
    assert len(idle_room(*world.question, replace(plan, decisions=swapped))) == 3


def test_the_best_plan_of_a_case_done_by_hand() -> None:
    jobs = [a_job("big", cards=8), a_job("one", cards=4), a_job("two", cards=4)]
    sites = [a_site("cheap", resources=[a_class(listPrice="1")]), a_site("dear", resources=[a_class(listPrice="3")])]
    question = a_world(jobs, sites).question
    assert best_plan(*question) == best_plan(*question, only=frozenset({"big", "one", "two"}))
    best = best_plan(*question)
    assert best is not None
    assert (best.waiting, best.cost) == ((0,), 8_000_000 * 1 + 8_000_000 * 3)
    alone = best_plan(*question, only=frozenset({"one", "big"}))
    assert alone is not None
    assert alone.cost == 8_000_000 + 12_000_000


Task = tuple[int, int, int, int]
CASES: list[tuple[list[tuple[int, Task]], list[tuple[Task, int]], bool]] = [
    ([(1, (10, 10, 8, 9))], [((1, 1, 4, 1), 2)], True),
    ([(1, (10, 10, 8, 9))], [((1, 1, 4, 1), 3)], False),
    ([(1, (10, 10, 8, 1))], [((1, 1, 4, 1), 2)], False),
    ([(2, (10, 10, 4, 9))], [((1, 1, 8, 1), 1)], False),
    # By sums both fit, on nodes only one way does: 3 + 3 and 2 + 2 + 2 on two nodes of six.
    ([(2, (6, 99, 0, 9))], [((3, 1, 0, 1), 2), ((2, 1, 0, 1), 3)], True),
    ([(2, (6, 99, 0, 9))], [((4, 1, 0, 1), 1), ((3, 1, 0, 1), 2), ((2, 1, 0, 1), 1)], True),
    ([(2, (6, 99, 0, 9))], [((4, 1, 0, 1), 2), ((2, 1, 0, 1), 1), ((1, 1, 0, 1), 2)], True),
    ([(2, (6, 99, 0, 9))], [((4, 1, 0, 1), 2), ((3, 1, 0, 1), 1)], False),
    ([], [], True),
    ([], [((1, 1, 0, 1), 1)], False),
]


@pytest.mark.parametrize(("groups", "wanted", "fits"), CASES)
def test_packing_of_cases_done_by_hand(
    groups: list[tuple[int, Task]], wanted: list[tuple[Task, int]], fits: bool
) -> None:
    assert fit_together(groups, wanted) is fits


def test_a_node_of_a_site_is_what_the_checker_sees() -> None:
    assert a_node(2, cards=4, cores=1.5, memory_gib=1).memory_bytes == 1 << 30
