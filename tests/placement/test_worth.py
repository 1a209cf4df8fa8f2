"""What one more unit is worth: what the jobs really save when there is one more, divided by the hours that they run."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.units import MS_PER_HOUR
from suanli.placement.question import Held, Question
from suanli.placement.snapshot import Plan, SiteView, WaitingJob
from suanli.placement.worth import Hour, worth_by_hour
from worlds import NOW_MS, Taste, a_class, a_job, a_node, a_random_world, a_site, a_world, seeded, tastes

SCARCE = ("scarce", "gpu")


def now(jobs: Sequence[WaitingJob], sites: Sequence[SiteView]) -> Hour:
    (hour,) = worth_by_hour(Question(*a_world(jobs, sites).question), {}, 1)
    return hour


def scarce(cards: int, *, cores: float = 1_000, memory_gib: float = 10_000, price: str = "1") -> SiteView:
    rooms = {"gpu": [a_node(cards=cards, cores=cores, memory_gib=memory_gib, pods=10_000)]}
    return a_site("scarce", rooms, classes=[a_class(listPrice=price)])


def ample(price: str = "3") -> SiteView:
    rooms = {"gpu": [a_node(9, cards=1_000, cores=10_000, memory_gib=100_000, pods=10_000)]}
    return a_site("ample", rooms, classes=[a_class(listPrice=price)])


def cost(plan: Plan) -> int:
    return sum(int(d.placement.cost.total) for d in plan.decisions.values() if d.placement.cost)


@pytest.mark.parametrize(("hours", "each"), [(1, 1), (1, 2), (8, 1), (24, 4)])
def test_it_is_what_one_more_unit_saves_an_hour(hours: int, each: int) -> None:
    """A unit of the cheap site saves 2 CNY an hour against one of the dear site, however long the jobs run."""
    jobs = [a_job(f"job-{i}", cards=each, timing={"expectedDuration": f"{hours}h"}) for i in range(40)]
    hour = now(jobs, [scarce(20), ample()])
    assert set(hour.worth) == {SCARCE}
    worth = hour.worth[SCARCE]
    assert (worth.hours, worth.waiting, hour.running, hour.waiting) == (hours, 0, 40, 0)
    plans = [Question(*a_world(jobs, [scarce(cards), ample()]).question).plan() for cards in (20, 20 + each)]
    saved = (cost(plans[0]) - cost(plans[1])) / each / hours
    assert saved == 2_000_000
    assert worth.unit == pytest.approx(saved, rel=0.05)
    assert worth.core == pytest.approx(0, abs=1_000)
    assert worth.gib == pytest.approx(0, abs=1_000)


def test_with_runs_of_all_lengths_it_is_that_of_an_hour_at_the_margin() -> None:
    """An hour saves 2 CNY whoever runs; the long runs go first, so that 3 h and 2 h are at the margin, 1 h and 4 h are not."""
    jobs = [a_job(f"job-{i}", timing={"expectedDuration": f"{1 + i % 4}h"}) for i in range(40)]
    worth = now(jobs, [scarce(20), ample()]).worth[SCARCE]
    one_more = [Question(*a_world(jobs, [scarce(cards), ample()]).question).plan() for cards in (20, 21)]
    saved = cost(one_more[0]) - cost(one_more[1])
    assert saved == 4_000_000  # the next one is of 2 h
    assert 2 <= worth.hours <= 3
    assert saved * 0.95 <= worth.unit * worth.hours <= 6_000_000 * 1.05
    assert worth.unit == pytest.approx(2_000_000, rel=0.26)


@pytest.mark.parametrize(("cores", "memory_gib", "binds"), [(20, 10_000, "core"), (1_000, 20, "gib")])
def test_what_binds_has_the_worth(cores: float, memory_gib: float, binds: str) -> None:
    jobs = [a_job(f"job-{i}") for i in range(40)]
    worth = now(jobs, [scarce(1_000, cores=cores, memory_gib=memory_gib), ample()]).worth[SCARCE]
    assert getattr(worth, binds) == pytest.approx(2_000_000, rel=0.05)
    assert worth.unit == pytest.approx(0, abs=1_000)


def test_a_class_counted_in_cores_is_priced_by_the_core() -> None:
    def site(name: str, cores: int, price: str) -> SiteView:
        rooms = {"cpu": [a_node(cards=0, cores=cores, pods=10_000)]}
        return a_site(name, rooms, classes=[a_class("cpu", "Core", listPrice=price)])

    jobs = [a_job(f"job-{i}", classes=["cpu"], cards=0, cores="2") for i in range(40)]
    worth = now(jobs, [site("scarce", 40, "0.1"), site("ample", 5_000, "0.3")]).worth["scarce", "cpu"]
    assert worth.unit == pytest.approx(200_000, rel=0.05)
    assert worth.core is None


def test_where_nothing_is_scarce_nothing_is_worth_anything() -> None:
    assert now([a_job()], [scarce(20), ample()]).worth == {}
    assert now([], [scarce(20)]) == Hour(NOW_MS, {}, 0, 0)
    assert now([a_job()], []) == Hour(NOW_MS, {}, 0, 0)


def test_jobs_that_wait_are_told_and_do_not_make_the_price() -> None:
    jobs = [a_job(f"job-{i}", cards=8, submitted_ms=i) for i in range(5)]
    hour = now([*jobs, a_job("never", cards=9, tasks=20)], [scarce(16)])
    assert (hour.running, hour.waiting) == (2, 3)
    assert hour.worth[SCARCE].waiting == 3
    assert hour.worth[SCARCE].unit == pytest.approx(0, abs=1_000)  # nobody who runs would go elsewhere


# --- by hour


def test_it_goes_when_the_jobs_have_ended() -> None:
    jobs = [a_job(f"job-{i}", timing={"expectedDuration": "150m"}) for i in range(40)]
    question = Question(*a_world(jobs, [scarce(20), ample()]).question)
    hours = list(worth_by_hour(question, {}, 5))
    assert [hour.at_ms - NOW_MS for hour in hours] == [i * MS_PER_HOUR for i in range(5)]
    assert [hour.running for hour in hours] == [40, 40, 40, 0, 0]
    prices = [hour.worth[SCARCE].unit if SCARCE in hour.worth else 0.0 for hour in hours]
    assert prices == pytest.approx([2e6, 2e6, 2e6, 0, 0], rel=0.05)


def test_who_waits_comes_in_when_there_is_room_and_who_is_not_due_when_it_is() -> None:
    jobs = [a_job(f"job-{i}", cards=8, submitted_ms=i, timing={"expectedDuration": "2h"}) for i in range(3)]
    jobs.append(a_job("later", cards=8, timing={"expectedDuration": "1h", "notBefore": "2026-01-31T14:00:00Z"}))
    hours = list(worth_by_hour(Question(*a_world(jobs, [scarce(8)]).question), {}, 8))
    assert [hour.running for hour in hours] == [1, 1, 1, 1, 1, 1, 1, 0]
    assert [hour.waiting for hour in hours] == [2, 2, 1, 1, 0, 0, 0, 0]


def test_who_runs_keeps_its_place_against_higher_priority_and_past_its_deadline() -> None:
    timing = {"expectedDuration": "3h", "deadline": "2026-01-31T11:00:00Z"}
    first = a_job("first", cards=8, timing=timing, limits={"maxCost": "24000000"})
    late = a_job("late", cards=8, priority=9, timing={"notBefore": "2026-01-31T09:00:00Z"})
    hours = list(worth_by_hour(Question(*a_world([first, late], [scarce(8)]).question), {}, 5))
    assert [(hour.running, hour.waiting) for hour in hours] == [(1, 0), (1, 1), (1, 1), (1, 0), (0, 0)]


def test_jobs_that_have_their_place_count_until_they_end() -> None:
    jobs = [a_job(f"job-{i}") for i in range(40)]
    free = scarce(20)
    room = replace(free.classes["gpu"], free=(replace(free.classes["gpu"].free[0], cards=0),))
    question = Question(*a_world([], [replace(free, classes={"gpu": room}), ample()]).question)
    held = {job.uid: Held(job, "scarce", "gpu", NOW_MS + MS_PER_HOUR) for job in jobs}
    first, second = worth_by_hour(question, held, 2)
    assert first.worth[SCARCE].unit == pytest.approx(2_000_000, rel=0.05)
    assert (first.running, second.running, second.worth) == (40, 0, {})


@seeded(80)
@given(st.one_of(tastes(jobs=8, sites=3), tastes(jobs=6, sites=3, huge=True)))
def test_whatever_the_numbers_the_prices_are_some(taste: Taste) -> None:
    question = Question(*a_random_world(taste).question)
    for hour in worth_by_hour(question, {}, 3):
        for worth in hour.worth.values():
            amounts = [worth.unit, worth.core or 0.0, worth.gib, worth.hours]
            assert all(math.isfinite(amount) and amount >= 0 for amount in amounts)
        assert hour.running + hour.waiting <= len(question.waiting)
