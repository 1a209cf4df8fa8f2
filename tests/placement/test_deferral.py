"""Jobs that wait for cheaper hours: by hand, and checked by a checker that shares no code with placement."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import violations
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision, Release, SiteView, WaitingJob
from worlds import (
    NOW_MS,
    Taste,
    World,
    a_class,
    a_country,
    a_job,
    a_link,
    a_node,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    a_world,
    raw,
    seeded,
    shuffled,
    tastes,
)

HOUR = 3_600_000
# NOW is 16:00 in Shanghai; the night begins in six hours.
NIGHT = {"from": "22:00", "to": "06:00", "pricePerKwh": "0.30"}
DAY = {"from": "06:00", "to": "22:00", "pricePerKwh": "0.90"}


def powered(name: str = "one", *, watts: int = 1_000, cards: int = 8, **more: Any) -> SiteView:
    """A site whose cards draw one kW each."""
    energy = {"pue": "1", "priceSchedule": [NIGHT, DAY], **more.pop("energy", {})}
    offer = a_class(listPrice=more.pop("price", "0"), ratedPowerW=watts)
    return a_site(name, {"gpu": [a_node(cards=cards)]}, resources=[offer], energy=energy, **more)


def patient(name: str = "job", lasts: str = "2h", deferrable: str = "12h", **more: Any) -> WaitingJob:
    """A job that came now and may wait."""
    timing = {"expectedDuration": lasts, "deferrable": deferrable, **more.pop("timing", {})}
    return a_job(name, timing=timing, submitted_ms=more.pop("submitted_ms", NOW_MS), **more)


def decided(jobs: list[WaitingJob], sites: list[SiteView], now_ms: int = NOW_MS) -> dict[str, Decision]:
    world = a_world(jobs, sites, now_ms=now_ms)
    plan = world.plan()
    assert violations(*world.question, plan) == []
    return dict(plan.decisions)


def start(decision: Decision) -> str | None:
    return decision.estimate.start if decision.estimate else None


# --- when


def test_a_job_waits_for_the_night_and_says_what_that_saves() -> None:
    decision = decided([patient()], [powered()])["job"]
    assert decision.reason is Reason.DEFERRED
    assert decision.message == (
        "starts at 2026-01-31T14:00:00Z at one (gpu): saves 1.20 of 1.80 CNY; it can wait until 2026-01-31T20:00:00Z there"
    )
    assert (decision.site, start(decision)) == (None, "2026-01-31T14:00:00Z")
    assert decision.placement.cost is not None
    assert decision.placement.cost.energy == decision.placement.cost.total == "600000"


def test_it_goes_when_its_hour_has_come_and_also_a_moment_later() -> None:
    job, night = patient(), parse_time_ms("2026-01-31T14:00:00Z")
    for late_ms in (0, 5, 900):
        assert decided([job], [powered()], night + late_ms)["job"].site == "one"


def test_a_run_that_is_to_end_with_the_night_is_not_put_off_to_the_next_night_for_a_moment() -> None:
    job = patient(lasts="8h", deferrable="40h")
    assert decided([job], [powered()], parse_time_ms("2026-01-31T14:00:00.700Z"))["job"].site == "one"


@pytest.mark.parametrize("deferrable", ["1s", "3h59m59s"])
def test_it_goes_at_once_if_no_cheaper_hour_is_near_enough(deferrable: str) -> None:
    assert decided([patient(lasts="2h", deferrable=deferrable)], [powered()])["job"].site == "one"


def test_the_window_is_counted_from_when_it_came() -> None:
    early = patient(deferrable="12h", submitted_ms=NOW_MS - 7 * HOUR)
    assert start(decided([early], [powered()])["job"]) == "2026-01-31T13:00:00Z"  # its latest: half of it in the night
    assert decided([patient(submitted_ms=NOW_MS - 12 * HOUR)], [powered()])["job"].site == "one"
    old = patient(submitted_ms=NOW_MS - 90 * HOUR, timing={"notBefore": "2026-01-31T07:00:00Z"})
    assert start(decided([old], [powered()])["job"]) == "2026-01-31T14:00:00Z"
    assert (
        decided([patient(timing={"notBefore": "2026-01-31T09:00:00Z"})], [powered()])["job"].reason is Reason.NOT_BEFORE
    )


def test_a_deadline_is_kept_with_a_minute_to_spare() -> None:
    due = patient(timing={"deadline": "2026-01-31T15:01:30Z"})
    assert start(decided([due], [powered()])["job"]) == "2026-01-31T13:00:30Z"
    assert decided([patient(timing={"deadline": "2026-01-31T10:00:30Z"})], [powered()])["job"].site == "one"
    gone = decided([patient(timing={"deadline": "2026-01-31T09:59:59Z"})], [powered()])["job"]
    assert {r.reason for r in gone.placement.rejections} == {"DeadlineUnreachable"}


def test_a_deadline_leaves_time_for_inputs_to_come() -> None:
    """10 GiB at 8 Mbit/s take 10,738 s."""
    country = a_country([a_region("here"), a_region("there")], [a_link("here", "there", "1ms", bandwidth="8M")])
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi"}]}
    world = a_world([patient(data=data, timing={"deadline": "2026-01-31T20:00:00Z"})], [powered()], country)
    plan = world.plan()
    assert violations(*world.question, plan) == []
    planned = start(plan.decisions["job"])
    assert planned is not None
    assert parse_time_ms(planned) + 10_738_000 + 2 * HOUR <= parse_time_ms("2026-01-31T20:00:00Z")


def test_a_job_longer_than_the_horizon_and_a_year_of_patience_are_planned_too() -> None:
    job = patient(lasts="500h", deferrable="8760h")
    found = start(decided([job], [powered()])["job"])
    assert found is None or parse_time_ms(found) <= NOW_MS + 48 * HOUR
    month = {"priceSchedule": [{"from": "00:00", "to": "24:00", "months": [1], "pricePerKwh": "9"}]}
    cheap_february = start(decided([patient(lasts="500h", deferrable="9h")], [powered(energy=month)])["job"])
    assert cheap_february == "2026-01-31T16:00:00Z"


def test_a_job_that_is_not_deferrable_or_gains_nothing_goes_at_once() -> None:
    assert decided([a_job(submitted_ms=NOW_MS)], [powered()])["job"].site == "one"
    assert decided([patient()], [powered(watts=0)])["job"].site == "one"
    assert decided([patient()], [powered(energy={"priceSchedule": []})])["job"].site == "one"


def test_hourly_prices_decide_where_they_are_given_and_may_be_below_zero() -> None:
    hours = {"hourlyPrices": {"from": "2026-01-31T08:00:00Z", "pricesPerKwh": ["0.5", "0.2", "-0.1", "-0.1", "0.4"]}}
    decision = decided([patient(lasts="2h", deferrable="3h")], [powered(energy=hours)])["job"]
    assert start(decision) == "2026-01-31T10:00:00Z"
    assert "saves 0.90 of 0.70 CNY" in decision.message


def test_a_limit_of_cost_may_be_kept_by_waiting() -> None:
    decision = decided([patient(limits={"maxCost": "700000"})], [powered()])["job"]
    assert start(decision) == "2026-01-31T14:00:00Z"
    assert "now it would cost more than limits.maxCost everywhere" in decision.message
    never = decided([patient(limits={"maxCost": "500000"})], [powered()])["job"]
    assert {r.reason for r in never.placement.rejections} == {"CostLimitExceeded"}


# --- where


def test_it_does_not_wait_where_another_site_is_as_cheap_now() -> None:
    sites = [powered("here"), powered("there", energy={"timezone": "America/New_York"})]  # 03:00 there
    assert decided([patient()], sites)["job"].site == "there"


def test_it_does_not_wait_for_a_site_that_it_may_not_use() -> None:
    sites = [
        powered("dear", energy={"priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": "2"}]}),
        powered("cheap", allowedAccounts=["other"]),
    ]
    assert decided([patient()], sites)["job"].site == "dear"


# --- room


def test_more_than_fit_into_the_night_go_one_after_the_other() -> None:
    jobs = [patient(f"job-{i}", cards=8, lasts="4h", deferrable="10h") for i in range(2)]
    found = decided(jobs, [powered()])
    assert sorted(str(start(d)) for d in found.values()) == ["2026-01-31T14:00:00Z", "2026-01-31T18:00:00Z"]


@pytest.mark.parametrize("bands", [[NIGHT, DAY], [{"from": "00:00", "to": "24:00", "pricePerKwh": "1"}]])
def test_who_could_wait_leaves_the_room_to_who_must_go(bands: list[dict[str, str]]) -> None:
    waiting = patient("old", cards=8, submitted_ms=NOW_MS - 3 * HOUR, deferrable="15h")
    must = patient("must", cards=8, submitted_ms=NOW_MS - 2 * HOUR, deferrable="2h")
    urgent = a_job("now", cards=8, submitted_ms=NOW_MS, timing={"expectedDuration": "1h"})
    for other in (must, urgent):
        found = decided([waiting, other], [powered(energy={"priceSchedule": bands})])
        assert (found[other.uid].site, found["old"].reason) == ("one", Reason.DEFERRED)


def test_who_leaves_the_room_says_so_where_waiting_saves_nothing() -> None:
    waiting = patient("old", cards=8, submitted_ms=NOW_MS - 3 * HOUR, deferrable="15h")
    urgent = a_job("now", cards=8, submitted_ms=NOW_MS, timing={"expectedDuration": "1h"})
    found = decided([waiting, urgent], [powered(energy={"priceSchedule": []})])["old"]
    assert (
        "starts at 2026-01-31T09:00:00Z at one (gpu): what is free now goes to jobs that cannot wait" in found.message
    )


def test_room_that_running_jobs_give_back_is_planned_with() -> None:
    full = replace(powered(), classes={"gpu": replace(powered().classes["gpu"], free=())})
    assert decided([patient(cards=8)], [full])["job"].reason is Reason.WAITING_FOR_CAPACITY
    freed = replace(full, releases=(Release("gpu", parse_time_ms("2026-01-31T15:10:00Z"), 8.0),))
    assert start(decided([patient(cards=8)], [freed])["job"]) == "2026-01-31T16:00:00Z"


# --- from cycle to cycle

MINUTE = 60_000


def a_night(*more: str) -> World:
    """Two jobs that fill the night one after the other, and others."""
    jobs = [patient(name, cards=8, lasts="4h", deferrable="10h") for name in ("one", "other", *more)]
    return a_world(jobs, [powered()])


def test_within_half_an_hour_a_job_keeps_its_hour_and_others_are_planned_beside_it() -> None:
    world = a_night()
    first = replace(world, jobs=world.jobs[1:]).plan()
    assert start(first.decisions["other"]) == "2026-01-31T14:00:00Z"
    then = replace(world, now_ms=NOW_MS + 29 * MINUTE).plan(first.prices)
    assert then.decisions["other"] is first.decisions["other"]
    assert start(then.decisions["one"]) == "2026-01-31T18:00:00Z"


@pytest.mark.parametrize(("minutes", "begins"), [(29, "2026-01-31T18:00:00Z"), (30, "2026-01-31T14:00:00Z")])
def test_every_half_hour_all_are_planned_anew(minutes: int, begins: str) -> None:
    world = a_night()
    first = world.plan()
    (later,) = (job for job in world.jobs if start(first.decisions[job.uid]) == "2026-01-31T18:00:00Z")
    then = replace(world, jobs=(later,), now_ms=NOW_MS + minutes * MINUTE).plan(first.prices)
    assert start(then.decisions[later.uid]) == begins


def without_night(world: World) -> World:
    return replace(world, sites=(powered(energy={"priceSchedule": [DAY]}),))


def under_a_policy(world: World) -> World:
    return replace(world, country=a_country(policy=a_policy()))


def asked_anew(world: World) -> World:
    (job,) = world.jobs
    spec = job.job.spec.model_copy(update={"timing": job.job.spec.timing.model_copy(update={"deferrable": None})})
    return replace(world, jobs=(replace(job, job=job.job.model_copy(update={"spec": spec})),))


def backed_off(world: World) -> World:
    return replace(world, jobs=tuple(replace(job, backoff={"one": "failed there"}) for job in world.jobs))


def not_ready(world: World) -> World:
    return replace(world, sites=tuple(replace(view, ready=False, not_ready="away") for view in world.sites))


def at_its_hour(world: World) -> World:
    return replace(world, now_ms=parse_time_ms("2026-01-31T08:20:00Z"))


@pytest.mark.parametrize("changed", [without_night, under_a_policy, asked_anew, backed_off, not_ready, at_its_hour])
def test_what_changed_is_planned_anew_at_once(changed: Callable[[World], World]) -> None:
    soon = {"from": "16:20", "to": "06:00", "pricePerKwh": "0.30"}
    world = a_world([patient()], [powered(energy={"priceSchedule": [soon, DAY]})])
    first = world.plan()
    assert start(first.decisions["job"]) == "2026-01-31T08:20:00Z"
    other = changed(replace(world, now_ms=NOW_MS + MINUTE))
    then = other.plan(first.prices)
    assert then.decisions["job"] is not first.decisions["job"]
    assert then == other.plan()


def test_who_waits_for_room_alone_goes_as_soon_as_there_is_some() -> None:
    waiting, urgent = patient("old", cards=8), a_job("now", cards=8, timing={"expectedDuration": "1h"})
    world = a_world([waiting, urgent], [powered(energy={"priceSchedule": []})])
    first = world.plan()
    assert first.decisions["old"].reason is Reason.DEFERRED
    then = replace(world, jobs=(waiting,), now_ms=NOW_MS + MINUTE).plan(first.prices)
    assert then.decisions["old"].site == "one"


# --- random worlds


def with_patience(taste: Taste) -> World:
    """A random world whose jobs came a while ago, most of them deferrable."""
    world, jobs = a_random_world(taste), []
    for job in world.jobs:
        dice = taste.dice("patience", job.uid)
        spec = job.job.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        if dice.random() < 0.8:
            spec["timing"]["deferrable"] = dice.choice(
                ["1m", "6h", "12h", "47h", "400h", f"{dice.randrange(1, 99_999)}s"]
            )
        came = world.now_ms - dice.choice([0, 1, dice.randrange(20 * HOUR)])
        model = type(job.job).model_validate(raw("ComputeJob", job.uid, spec, namespace=job.account))
        jobs.append(replace(job, job=model, submitted_ms=came))
    return replace(world, jobs=tuple(jobs))


def test_random_worlds_put_off_many() -> None:
    plans = [with_patience(Taste(jobs=10, sites=5, seed=seed)).plan() for seed in range(40)]
    assert sum(d.reason is Reason.DEFERRED for plan in plans for d in plan.decisions.values()) > 10


@seeded(120)
@given(tastes(jobs=10))
def test_nobody_is_put_off_too_long_or_for_nothing(taste: Taste) -> None:
    world = with_patience(taste)
    assert violations(*world.question, world.plan()) == []


@seeded(60)
@given(tastes(jobs=12, sites=4, fewest=2), st.integers(0, 40 * MINUTE))
def test_nobody_is_in_the_next_cycle_either(taste: Taste, later_ms: int) -> None:
    world = with_patience(taste)
    first = replace(world, jobs=world.jobs[::2]).plan()
    later = replace(world, now_ms=world.now_ms + later_ms)
    assert violations(*later.question, later.plan(first.prices)) == []


@seeded(50)
@given(tastes(jobs=16, sites=3, fewest=6, tight=True))
def test_nobody_is_where_room_is_scarce(taste: Taste) -> None:
    world = with_patience(taste)
    assert violations(*world.question, world.plan()) == []


@seeded(40)
@given(tastes(jobs=8, sites=4, fewest=1, huge=True))
def test_nobody_is_where_numbers_are_enormous(taste: Taste) -> None:
    world = with_patience(taste)
    assert violations(*world.question, world.plan()) == []


@seeded(60)
@given(tastes(jobs=8, fewest=2), st.integers(0, 1 << 20))
def test_equal_questions_have_equal_answers(taste: Taste, order: int) -> None:
    world = with_patience(taste)
    assert shuffled(world, order).plan() == world.plan()
