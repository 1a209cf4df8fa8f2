"""Who may run: no plan exceeds a quota, nobody is denied what could not be exceeded, and accounts have their turn."""

import itertools
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import violations
from checker.quotas import Country as QuotaCountry
from checker.quotas import asked
from suanli.base.reasons import Reason
from suanli.placement.accounts import Tenancy, asked_milli
from suanli.placement.advice import advise
from suanli.placement.batch import queue_order
from suanli.placement.chain import chain
from suanli.placement.question import Question
from suanli.placement.queue import turns
from suanli.placement.snapshot import Decision, Plan, WaitingJob
from worlds import (
    Taste,
    World,
    a_class,
    a_job,
    a_node,
    a_random_tenancy,
    a_random_world,
    a_site,
    a_tenancy,
    a_world,
    an_account,
    seeded,
    tastes,
)

AMPLE = a_site("ample", {c: [a_node(9)] for c in ("gpu", "npu")})


def a_quota(nominal: int, borrows: int = 0, **what: str) -> dict[str, Any]:
    return {**(what or {"class": "gpu"}), "nominal": nominal, "borrowingLimit": borrows}


def with_tenancy(taste: Taste) -> World:
    return replace(a_random_world(taste), tenancy=a_random_tenancy(taste))


def wrong(world: World, plan: Plan) -> list[str]:
    return violations(*world.question, plan, world.tenancy)


def planned(tenancy: Tenancy, *jobs: WaitingJob) -> Plan:
    world = replace(a_world(jobs, [AMPLE]), tenancy=tenancy)
    plan = world.plan()
    assert wrong(world, plan) == []
    return plan


def placed(plan: Plan) -> set[str]:
    return {uid for uid, decision in plan.decisions.items() if decision.site is not None}


# --- whatever the world


@seeded(100)
@given(st.one_of(tastes(), tastes(tight=True, plain=True), tastes(jobs=30, tight=True), tastes(jobs=8, enclaves=True)))
def test_no_plan_exceeds_a_quota_and_all_that_is_said_is_so(taste: Taste) -> None:
    world = with_tenancy(taste)
    assert wrong(world, world.plan()) == []


@seeded(25)
@given(tastes(jobs=14, sites=4, tight=True, plain=True, fewest=3))
def test_no_cycle_exceeds_one_either_as_jobs_start_and_end_and_quotas_change(taste: Taste) -> None:
    """What is assigned holds its part from then on; rooms are as large as ever, so that only quotas are scarce."""
    dice, world = taste.dice("cycles"), with_tenancy(taste)
    waiting, runs = list(world.jobs), dict[str, tuple[WaitingJob, str]]()
    base = world.tenancy.held_milli
    for cycle in range(5):
        held = dict(base)
        for job, class_ in runs.values():
            held[job.account, class_] = held.get((job.account, class_), 0) + asked_milli(job.job.spec)
        accounts = a_random_tenancy(replace(taste, seed=taste.seed + cycle // 3)).accounts
        now = replace(world, jobs=tuple(waiting), tenancy=Tenancy(accounts, held))
        plan = now.plan()
        assert wrong(now, plan) == []
        for job in now.jobs:
            chosen = plan.decisions[job.uid].class_
            if chosen is not None:
                runs[job.uid] = job, chosen
                waiting.remove(job)
        for uid in [uid for uid in runs if dice.random() < 0.4]:
            del runs[uid]


@seeded(60)
@given(st.integers(0, 1 << 30))
def test_a_job_is_denied_a_class_exactly_where_some_plan_could_exceed_a_quota(seed: int) -> None:
    """The oracle tries every way in which the jobs ahead could be placed, with the quotas as the checker reads them."""
    dice = Random(seed)
    tenancy = a_random_tenancy(Taste(jobs=0, sites=0, seed=seed))
    jobs = [
        a_job(
            f"job-{i}",
            account=dice.choice(["red", "blue", "idle"]),
            cards=dice.choice([1, 2, 5]),
            classes=dice.choice([["gpu"], ["npu"], ["npu", "gpu"]]),
            priority=9 - i,  # so that the order is plain
        )
        for i in range(5)
    ]
    plan = planned(tenancy, *jobs)
    country = QuotaCountry(tenancy, [AMPLE])
    before = country.excess(country.held)
    for i, job in enumerate(jobs):
        ways = [
            [None, *(c for c in other.job.spec.resources.class_ if c not in plan.denied.get(other.uid, {}))]
            for other in jobs[:i]
        ]
        for class_ in job.job.spec.resources.class_:
            could_exceed = False
            for choice in itertools.product(*ways):
                holdings = dict(country.held)
                for other, its in [*zip(jobs, choice, strict=False), (job, class_)]:
                    if its is not None:
                        key = other.account, its
                        holdings[key] = holdings.get(key, Fraction(0)) + asked(other.job.spec)
                then = country.excess(holdings)
                could_exceed = could_exceed or any(then[key] > before[key] for key in then)
            assert (class_ in plan.denied.get(job.uid, {})) == could_exceed


@seeded(25)
@given(tastes(jobs=5, fewest=3, plain=True, tight=True))
def test_more_quota_helps_as_it_is_told(taste: Taste) -> None:
    world = with_tenancy(taste)
    question = Question(*world.question, world.tenancy)
    plan = question.plan()
    for job in question.waiting:
        for advice in advise(question, job.uid, plan):
            if advice.change.tenancy is not None:
                then = advice.change.of(question).plan()
                assert violations(*world.question, then, advice.change.tenancy) == []
                assert then.decisions[job.uid].site == advice.site


# --- what a quota is


def test_nominal_is_what_may_be_held_to_the_last_card() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(8)]), team={"gpu": 4})
    assert placed(planned(tenancy, a_job(cards=4))) == {"job"}
    plan = planned(tenancy, a_job(cards=5))
    assert plan.decisions["job"].reason is Reason.QUOTA_EXCEEDED
    text = "account team holds 4 cards of gpu, nominal is 8, it may borrow 0; the job asks for 5"
    assert plan.decisions["job"].message == f"none of 1 sites: 1 QuotaExceeded (ample is out of quota: {text})"
    said = plan.decisions["job"].quota
    assert said is not None
    assert (said.type, said.status, said.reason, said.message) == ("QuotaReserved", False, Reason.QUOTA_EXCEEDED, text)


def test_who_is_ahead_takes_its_part_first() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(8)]))
    late, early = a_job("late", cards=6, submitted_ms=2), a_job("early", cards=6, submitted_ms=1)
    plan = planned(tenancy, late, early)
    assert placed(plan) == {"early"}
    assert "holds 0 cards of gpu and jobs ahead take 6, nominal is 8" in plan.decisions["late"].message
    assert placed(planned(tenancy, replace(late, job=a_job(cards=6, priority=1).job), early)) == {"late"}


def test_who_cannot_run_now_takes_nothing_from_those_behind() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(8)]))
    large = a_job("large", cards=8, tasks=1, cores="100", submitted_ms=1)  # no node has as many cores
    assert placed(planned(tenancy, large, a_job("small", submitted_ms=2))) == {"small"}


def test_what_is_not_limited_is_unlimited() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(0)]))
    plan = planned(tenancy, a_job("npu", classes=["npu"]), a_job("other", account="other"), a_job("gpu"))
    assert placed(plan) == {"npu", "other"}
    assert {uid: str(d.quota.reason) for uid, d in plan.decisions.items() if d.quota} == {
        "npu": "QuotaUnlimited",
        "other": "QuotaUnlimited",
        "gpu": "QuotaExceeded",
    }


def test_a_job_runs_on_the_class_that_its_quota_allows() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(2)]))
    plan = planned(tenancy, a_job(cards=4, classes=["gpu", "npu"]))
    assert plan.decisions["job"].class_ == "npu"
    said = plan.decisions["job"].quota
    assert said is not None
    assert (said.status, said.reason) == (True, Reason.QUOTA_RESERVED)
    assert "the quotas of account team allow it, but not in gpu: account team holds 0 cards" in said.message


def test_a_quota_of_a_type_counts_all_its_classes() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(8, type="Intelligent")]), team={"gpu": 3, "npu": 3})
    assert placed(planned(tenancy, a_job(cards=2))) == {"job"}
    assert "holds 6 cards of Intelligent, nominal is 8" in planned(tenancy, a_job(cards=3)).decisions["job"].message


def test_a_held_class_that_no_site_offers_any_more_counts_for_every_type() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(8, type="Intelligent")]), team={"old": 7})
    assert placed(planned(tenancy, a_job(cards=2))) == set()


def test_cores_are_counted_to_the_thousandth() -> None:
    cores = a_site("cores", {"cpu": [a_node(cards=0)]}, classes=[a_class("cpu", "Core")])
    quotas = [{"class": "cpu", "nominal": 2}]
    jobs = [a_job(f"j{i}", classes=["cpu"], cards=0, cores="700m", submitted_ms=i) for i in range(3)]
    world = replace(a_world(jobs, [cores]), tenancy=a_tenancy(an_account("team", quotas=quotas)))
    plan = world.plan()
    assert wrong(world, plan) == []
    assert placed(plan) == {"j0", "j1"}
    assert "holds 0 cores of cpu and jobs ahead take 1.4, nominal is 2" in plan.decisions["j2"].message


def a_family(borrows: int, **held: dict[str, int]) -> Tenancy:
    """Two sisters of eight cards each below a parent without a quota."""
    sisters = [an_account(name, parent="mother", quotas=[a_quota(8, borrows)]) for name in ("ann", "bea")]
    return a_tenancy(an_account("mother"), *sisters, **held)


@pytest.mark.parametrize(
    ("borrows", "held", "most"), [(0, 0, 8), (3, 0, 11), (9, 0, 16), (9, 5, 11), (3, 5, 11), (9, 8, 8)]
)
def test_what_sisters_leave_may_be_borrowed_up_to_the_limit(borrows: int, held: int, most: int) -> None:
    tenancy = a_family(borrows, bea={"gpu": held})
    for cards in (most, most + 1):
        fits = placed(planned(tenancy, a_job(account="ann", tasks=cards))) == {"job"}
        assert fits == (cards <= most)


def test_what_is_lent_comes_back_when_jobs_end_and_none_is_stopped() -> None:
    plan = planned(a_family(8, bea={"gpu": 14}), a_job(account="ann", cards=4))
    assert (
        "account ann holds 0 cards of gpu, nominal is 8, of which 6 are lent to accounts of mother until their jobs end, "
        "it may borrow 0; the job asks for 4" in plan.decisions["job"].message
    )
    assert placed(planned(a_family(8, bea={"gpu": 12}), a_job(account="ann", cards=4))) == {"job"}


def test_accounts_borrow_from_sisters_only_and_those_without_a_quota_lend_nothing() -> None:
    strangers = a_tenancy(
        an_account("one"),
        an_account("two"),
        an_account("ann", parent="one", quotas=[a_quota(8, 8)]),
        an_account("bea", parent="two", quotas=[a_quota(8, 8)]),
        an_account("eve", parent="one"),
    )
    assert placed(planned(strangers, a_job(account="ann", tasks=9))) == set()
    assert placed(planned(strangers, a_job(account="eve", tasks=50))) == {"job"}


def test_a_parent_bounds_what_its_children_hold_together() -> None:
    children = [an_account(name, parent="mother", quotas=[a_quota(8)]) for name in ("ann", "bea")]
    tenancy = a_tenancy(an_account("mother", quotas=[a_quota(10)]), *children, ann={"gpu": 6})
    assert placed(planned(tenancy, a_job(account="bea", tasks=4))) == {"job"}
    plan = planned(tenancy, a_job(account="bea", tasks=5))
    assert "account mother holds 6 cards of gpu, nominal is 10" in plan.decisions["job"].message


def test_who_holds_more_than_a_lowered_quota_gets_nothing_more() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(2)]), team={"gpu": 9})
    assert "holds 9 cards of gpu, nominal is 2" in planned(tenancy, a_job()).decisions["job"].message


def test_a_site_for_an_account_takes_jobs_of_all_its_namespaces() -> None:
    tenancy = a_tenancy(an_account("bank", namespaces=["till"]))
    mine = a_site("mine", allowedAccounts=["bank"])
    job = a_job(account="till")
    world = replace(a_world([replace(job, account=tenancy.accounts.of("till"))], [mine]), tenancy=tenancy)
    assert placed(world.plan()) == {"job"}


def test_a_job_that_may_be_put_off_takes_no_quota_until_it_starts() -> None:
    hourly = {"from": "2026-01-31T08:00:00Z", "pricesPerKwh": ["2", "0.1", "2"]}
    site = a_site("one", classes=[a_class(ratedPowerW=1_000)], energy={"pue": "1", "hourlyPrices": hourly})
    later = a_job(
        "later", cards=8, submitted_ms=1_769_846_400_000, timing={"expectedDuration": "1h", "deferrable": "2h"}
    )
    world = replace(
        a_world([later, a_job("now", cards=1)], [site]), tenancy=a_tenancy(an_account("team", quotas=[a_quota(8)]))
    )
    plan = world.plan()
    assert wrong(world, plan) == []
    assert {uid: str(d.reason) for uid, d in plan.decisions.items()} == {"later": "Deferred", "now": "Placed"}
    said = plan.decisions["later"].quota
    assert said is not None
    assert (said.status, said.reason) == (None, Reason.DEFERRED)


def test_the_chain_of_a_denied_job_says_so() -> None:
    tenancy = a_tenancy(an_account("team", quotas=[a_quota(0)]))
    question = Question(*a_world([a_job()], [AMPLE]).question, tenancy)
    plan = question.plan()
    found = chain(question, replace(question.job("job"), denied=plan.denied["job"]))
    assert [(fell.site, str(fell.reason)) for fell in found.fallen] == [("ample", "QuotaExceeded")]
    (advice,) = (a for a in advise(question, "job", plan) if a.change.account)
    assert (advice.change.account, advice.change.field, advice.change.before, advice.change.after) == (
        "team", "quotas[gpu].nominal", "0", "1",
    )  # fmt: skip


# --- whose turn it is


def order(tenancy: Tenancy, *jobs: WaitingJob, capacity: int = 100) -> list[str]:
    turn = turns([(job, "gpu") for job in jobs], tenancy, {"gpu": 1_000 * capacity})
    return [job.uid for job in sorted((replace(job, turn=turn[job.uid]) for job in jobs), key=queue_order)]


def line_of(account: str, count: int, since: int = 0, **more: Any) -> list[WaitingJob]:
    return [a_job(f"{account}-{i}", account=account, submitted_ms=since + i, **more) for i in range(count)]


def test_accounts_take_turns_and_the_oldest_goes_first_within_one() -> None:
    tenancy = a_tenancy(an_account("red"), an_account("blue"))
    jobs = [*line_of("red", 3), *line_of("blue", 2, since=10)]
    assert order(tenancy, *jobs) == ["red-0", "blue-0", "red-1", "blue-1", "red-2"]


def test_who_holds_less_for_its_weight_goes_first() -> None:
    accounts = an_account("red", weight=2), an_account("blue")
    jobs = [*line_of("red", 4), *line_of("blue", 2)]
    assert order(a_tenancy(*accounts, red={"gpu": 2}), *jobs) == [
        "blue-0",
        "red-0",
        "blue-1",
        "red-1",
        "red-2",
        "red-3",
    ]


def test_priority_goes_before_every_share() -> None:
    tenancy = a_tenancy(an_account("red"), an_account("blue"), red={"gpu": 50})
    assert order(tenancy, *line_of("red", 1, priority=1), *line_of("blue", 1))[0] == "red-0"


def test_equal_shares_are_a_matter_of_age() -> None:
    jobs = [a_job("b", account="red", submitted_ms=2), a_job("a", account="blue", submitted_ms=1)]
    assert order(a_tenancy(an_account("red"), an_account("blue")), *jobs) == ["a", "b"]


def test_a_class_of_which_nothing_is_there_counts_nothing() -> None:
    tenancy = a_tenancy(an_account("red"), an_account("blue"), red={"gpu": 9})
    assert order(tenancy, *line_of("red", 1), *line_of("blue", 1, since=5), capacity=0) == ["red-0", "blue-0"]


def test_where_only_some_fit_accounts_share_the_room_that_quotas_leave() -> None:
    """Two accounts ask for eight cards each; the parent has eight; each gets four."""
    children = [an_account(name, parent="top") for name in ("red", "blue")]
    tenancy = a_tenancy(an_account("top", quotas=[a_quota(8)]), *children)
    plan = planned(tenancy, *line_of("red", 8), *line_of("blue", 8, since=100))
    assert sorted(placed(plan)) == [f"{name}-{i}" for name in ("blue", "red") for i in range(4)]


def test_without_accounts_nothing_is_said_and_age_decides() -> None:
    plan = a_world([*line_of("red", 2), *line_of("blue", 1, since=9)], [AMPLE]).plan()
    assert [decision.quota for decision in plan.decisions.values()] == [None] * 3
    assert isinstance(plan.decisions["red-0"], Decision)
