"""The plan in time against brute force, and what it may never do."""

import itertools
from collections import defaultdict
from random import Random

import numpy as np
import pytest

from suanli.placement.horizon import HORIZON_MS, SLOT_MS, SLOTS, Start, Work, first_slot_ms, schedule
from suanli.placement.tariff import Curve

HOUR = 3_600_000
NOW = 450_000 * HOUR


def a_curve(*prices: float, begin_ms: int = NOW) -> Curve:
    """A price an hour; the last one holds on."""
    edges = [begin_ms + h * HOUR for h in range(len(prices))]
    return Curve(np.array([*edges, begin_ms + 1_000 * HOUR]), np.array(prices, dtype=float))


def a_work(*rows: tuple[int, float, float, float], pools: int = 1, **more: object) -> Work:
    """Rows of (jobs, units, hours, hours of patience); a unit draws one kW."""
    count, units, hours, patience = np.array(rows, dtype=float).T

    def over_pools(column: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
        return np.repeat(column[:, None], pools, axis=1)

    made: dict[str, object] = {
        "count_w": count.astype(np.int64),
        "must_w": patience <= 0,
        "units_wp": over_pools(units),
        "duration_ms_wp": over_pools(hours * HOUR).astype(np.int64),
        "latest_ms_wp": over_pools(NOW + patience * HOUR).astype(np.int64),
        "fixed_wp": np.zeros((len(rows), pools)),
        "kilowatts_wp": over_pools(units),
        "hourly_limit_wp": np.full((len(rows), pools), np.inf),
        "allowed_wp": np.ones((len(rows), pools), dtype=bool),
    }
    return Work(**{**made, **more})  # type: ignore[arg-type]


def room(*units: float) -> np.typing.NDArray[np.float64]:
    return np.repeat(np.array(units, dtype=float)[:, None], SLOTS, axis=1)


def told(starts: list[Start]) -> list[tuple[int, int, int, float]]:
    """Row, pool, jobs and hours from now."""
    return sorted((s.row, s.pool, s.jobs, (s.at_ms - NOW) / HOUR) for s in starts)


# --- by hand


def test_each_starts_at_its_cheapest_hour() -> None:
    curve = a_curve(5, 4, 1, 3, 2, 9)
    assert told(schedule(a_work((1, 1, 1, 6), (3, 2, 1, 1), (1, 1, 2, 6)), [curve], room(99), NOW)) == [
        (0, 0, 1, 2.0),
        (1, 0, 3, 1.0),
        (2, 0, 1, 2.0),
    ]


def test_a_run_may_be_cheapest_if_it_ends_with_an_hour() -> None:
    assert told(schedule(a_work((1, 1, 1.5, 6)), [a_curve(9, 3, 1, 9)], room(9), NOW)) == [(0, 0, 1, 1.5)]


def test_of_equally_cheap_hours_the_earliest_is_taken() -> None:
    assert told(schedule(a_work((1, 1, 1, 40)), [a_curve(5, 2, 5, 2, 2, 5, 1.9999)], room(9), NOW)) == [(0, 0, 1, 1.0)]


def test_what_does_not_fit_goes_to_the_next_best_hour_and_a_row_may_be_split() -> None:
    starts = schedule(a_work((3, 2, 1, 8)), [a_curve(9, 1, 5, 2, 9)], room(4), NOW)
    assert told(starts) == [(0, 0, 1, 3.0), (0, 0, 2, 1.0)]
    assert [round(s.saving) for s in starts] == [16, 14] or [round(s.saving) for s in starts] == [14, 16]


def test_who_must_go_has_the_room_before_who_may_wait_though_it_comes_later() -> None:
    curve = a_curve(1, 2, 3)
    assert told(schedule(a_work((1, 4, 1, 5), (1, 4, 1, 0)), [curve], room(4), NOW)) == [(0, 0, 1, 1.0), (1, 0, 1, 0.0)]


def test_room_that_who_must_go_waits_for_is_kept_for_it() -> None:
    busy = room(4)
    busy[0, :2] = 0
    starts = schedule(a_work((1, 4, 1, 5), (1, 4, 2, 0)), [a_curve(9, 1, 2, 3)], busy, NOW)
    assert told(starts) == [(0, 0, 1, 3.0), (1, 0, 1, 1.0)]


def test_of_a_row_that_finds_no_room_nothing_is_said() -> None:
    assert schedule(a_work((1, 5, 1, 5), (1, 5, 1, 0)), [a_curve(1)], room(4), NOW) == []
    starts = schedule(a_work((2, 4, 3, 1)), [a_curve(1)], room(4), NOW)
    assert told(starts) == [(0, 0, 1, 0.0)]


def test_a_pool_that_is_not_allowed_or_too_dear_is_not_taken() -> None:
    curves = [a_curve(1), a_curve(3)]
    closed = a_work((1, 1, 1, 5), pools=2, allowed_wp=np.array([[False, True]]))
    assert told(schedule(closed, curves, room(9, 9), NOW)) == [(0, 1, 1, 0.0)]
    limit = a_work((1, 1, 1, 5), hourly_limit_wp=np.array([[2.0]]))
    (start,) = schedule(limit, [a_curve(3, 3, 1)], room(9), NOW)
    assert (told([start]), start.at_once, start.saving) == ([(0, 0, 1, 2.0)], np.inf, np.inf)


def test_what_does_not_depend_on_the_hour_counts_between_pools() -> None:
    work = a_work((1, 1, 1, 5), pools=2, fixed_wp=np.array([[2.0, 0.0]]))
    assert told(schedule(work, [a_curve(1), a_curve(2.5)], room(9, 9), NOW)) == [(0, 1, 1, 0.0)]


def test_longer_than_the_horizon_or_than_the_curve_and_nobody_at_all() -> None:
    long = schedule(a_work((1, 1, 900, 90), (1, 1, 9_000, 90)), [a_curve(9, 1, 1)], room(9), NOW)
    assert [row for row, _, _, at in told(long) if 0 <= at <= 48] == [0, 1]
    assert schedule(a_work((1, 1, 1, 5), allowed_wp=np.array([[False]])), [a_curve(1)], room(9), NOW) == []


# --- against brute force


def an_instance(seed: int) -> tuple[Work, list[Curve], np.typing.NDArray[np.float64]]:
    """Few rows of one job, whole hours, prices by the hour, hardly room for all."""
    dice = Random(seed)
    curves = [a_curve(*(dice.randint(1, 60) for _ in range(9))) for _ in range(2)]
    rows = [(1, dice.choice([1, 2, 3]), dice.choice([1, 1, 2, 3]), dice.choice([0, 2, 4, 5])) for _ in range(4)]
    return a_work(*rows, pools=2), curves, room(dice.choice([3, 4]), dice.choice([0, 3]))


def cheapest(work: Work, curves: list[Curve], room_pt: np.typing.NDArray[np.float64]) -> tuple[int, float]:
    """Jobs that cannot start, and what the others cost, of the best plan in whole hours; who must go goes now or not at all."""
    options: list[list[tuple[int, int] | None]] = []
    for w in range(len(work.count_w)):
        hours = range(int(work.latest_ms_wp[w, 0] - NOW) // HOUR + 1)
        options.append([None, *itertools.product(range(2), hours)])
    best = (99, 0.0)
    for plan in itertools.product(*options):
        load: dict[tuple[int, int], float] = defaultdict(float)
        cost, waiting = 0.0, 0
        for w, choice in enumerate(plan):
            if choice is None:
                waiting += 1
                continue
            p, hour = choice
            lasts, units = int(work.duration_ms_wp[w, 0]) // HOUR, float(work.units_wp[w, 0])
            for h in range(hour, hour + lasts):
                load[p, h] += units
            ends = np.array([NOW + hour * HOUR, NOW + (hour + lasts) * HOUR])
            cost += units * float(np.diff(curves[p].paid(ends))[0])
        if (waiting, cost) < best and all(units <= room_pt[p, 0] for (p, _), units in load.items()):
            best = (waiting, cost)
    return best


def test_plans_are_nearly_as_good_as_the_best_of_all() -> None:
    shares = []
    for seed in range(25):
        work, curves, room_pt = an_instance(seed)
        work = Work(**{**vars(work), "must_w": np.zeros(4, dtype=bool)})
        waiting, cost = cheapest(work, curves, room_pt)
        starts = schedule(work, curves, room_pt, NOW)
        assert 4 - len(starts) <= waiting + 1
        if 4 - len(starts) == waiting:
            shares.append(sum(s.cost for s in starts) / cost)
    assert len(shares) >= 23
    assert np.mean(shares) < 1.03
    assert max(shares) < 1.25


@pytest.mark.parametrize("seed", range(40))
def test_no_start_is_out_of_its_window_and_no_slot_too_full(seed: int) -> None:
    dice = Random(seed)
    pools, now = dice.randint(1, 4), NOW + dice.randrange(HOUR)
    curves = [a_curve(*(dice.uniform(-5, 60) for _ in range(60)), begin_ms=NOW) for _ in range(pools)]
    rows = [
        (dice.choice([1, 1, 5]), dice.uniform(0.1, 4), dice.uniform(0.1, 60), dice.choice([0, dice.uniform(0.1, 90)]))
        for _ in range(dice.randint(1, 40))
    ]
    work = a_work(*rows, pools=pools)
    room_pt = room(*(dice.choice([2, 8, 30, 1e9]) for _ in range(pools)))
    starts = schedule(work, curves, room_pt, now)
    assert starts == schedule(work, curves, room_pt, now)
    load = np.zeros(room_pt.shape)
    jobs: dict[int, int] = defaultdict(int)
    for s in starts:
        jobs[s.row] += s.jobs
        first = (s.at_ms - first_slot_ms(now)) // SLOT_MS
        behind = -(-(s.at_ms + work.duration_ms_wp[s.row, s.pool] - first_slot_ms(now)) // SLOT_MS)
        load[s.pool, first:behind] += s.jobs * work.units_wp[s.row, s.pool]
        if not work.must_w[s.row]:
            assert now <= s.at_ms <= max(now, min(now + HORIZON_MS, work.latest_ms_wp[s.row, s.pool]))
            if s.at_ms > now:
                assert s.at_ms % 1_000 == 0
    assert all(jobs[row] <= work.count_w[row] for row in jobs)
    assert (load <= room_pt + 1e-6).all()
