"""When and where jobs start that may wait: a plan of the next 48 hours, in money, within what is free over that time.

Axes: w rows of equal jobs, p pools, k moments at which a row could start, t slots of time.

Every start costs what does not depend on the hour, and electricity by the price curve of the pool's site, or where a tariff says
what is paid, what its bill will be. Prices are steps, so the cheapest start is now, at the latest moment, at a step, or so that the run ends at a step: these moments are tried, and every
hour, at which room may become free. Where more wants to run than there is room, slots get shadow prices (subgradient ascent of
the Lagrangian dual), and rows are placed one after the other by cost and shadow price, each where there is room for its whole
run. Rows that must go now are placed before all others, so that nobody who could wait takes their room.
Source: Fisher, The Lagrangian relaxation method for solving integer programming problems, Management Science 1981.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from suanli.base.units import MS_PER_HOUR
from suanli.placement.tariff import LOOKED_AHEAD_MS, Curve

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOT_MS = MS_PER_HOUR // 2
SLOTS = 96
HORIZON_MS = SLOTS * SLOT_MS
CELLS = 1 << 20  # rows x pools x moments that are looked at together
FEWEST_MOMENTS = 12  # of very many rows and pools
MOST_STEPS = 4 * SLOTS  # of all price curves together; of more, only whole hours are tried
ASCENTS = 12
MOST_ROUNDS, ROUNDS_IN_VAIN = 16, 3  # of placing rows again, so that who lost most goes first; so many in vain end them
ROWS_PLACED_AGAIN = 1_000  # in all rounds together
# A start is no worse than the best if it costs more by so small a share of what depends on the hour: an earlier one is taken instead.
# Without it a job that is called at its hour, and comes a moment late, would be put off again.
INDIFFERENT = 0.001
DUST = 1e-9  # of a unit of room


class Fees(Protocol):
    """What rows pay at some pools by tariffs of the hour, beside electricity; nothing anywhere else."""

    def edges_ms(self, since_ms: int, until_ms: int) -> Ints:
        """When prices change, strictly between two moments, ascending."""

    def cost_wk(self, rows: Ints, pool: int, begins_wk: Ints, ends_wk: Ints) -> Floats:
        """What runs of these rows of the work cost in a pool. Shapes: (W,), (W, K), (W, K) -> (W, K). Units: micro-yuan."""


@dataclass(frozen=True)
class Work:
    """Rows of jobs that want to start, in the order in which they go where not all fit.

    Shapes: `count_w` (W,) jobs; `must_w` (W,) whether they go now; all others (W, P) for one job: `units_wp` cards or cores held,
    `duration_ms_wp`, `latest_ms_wp` last moment to start, `fixed_wp` micro-yuan whatever the hour, `kilowatts_wp` drawn and paid,
    `hourly_limit_wp` most micro-yuan for what depends on the hour, `allowed_wp` whether the pool may take it. `fees` are None where
    no tariff says what anybody pays.
    """

    count_w: Ints
    must_w: Bools
    units_wp: Floats
    duration_ms_wp: Ints
    latest_ms_wp: Ints
    fixed_wp: Floats
    kilowatts_wp: Floats
    hourly_limit_wp: Floats
    allowed_wp: Bools
    fees: Fees | None = None


@dataclass(frozen=True)
class Start:
    """So many jobs of a row start in a pool at a moment.

    Units: `cost` and `at_once` in micro-yuan for one job, the latter for the cheapest start now, infinite if there is none.
    """

    row: int
    pool: int
    jobs: int
    at_ms: int
    cost: float
    at_once: float

    @property
    def saving(self) -> float:
        """What waiting saves. Units: micro-yuan."""
        return self.at_once - self.cost


@dataclass(frozen=True)
class _Choices:
    """What a block of rows can choose from.

    Shapes: `row_w` (W,) numbers in the work; `start_wpk`, `cost_wpk` (W, P, K) ms and micro-yuan, infinite where it cannot start;
    `first_wpk`, `behind_wpk` (W, P, K) the slots that a run takes; `slack_w` (W,) micro-yuan that do not matter.
    """

    row_w: Ints
    start_wpk: Ints
    cost_wpk: Floats
    first_wpk: Ints
    behind_wpk: Ints
    slack_w: Floats

    @property
    def at_once_w(self) -> Floats:
        """The cheapest start now. Shape (W,)."""
        return np.asarray(self.cost_wpk[:, :, 0].min(axis=1, initial=np.inf))


def schedule(work: Work, curves: Sequence[Curve], room_pt: Floats, now_ms: int) -> list[Start]:
    """The starts of all rows that find room in the next 48 hours; of the others nothing is said.

    Shapes: one curve a pool, from now until the last run ends or for a year; room_pt (P, SLOTS) units free in each slot, the
    first of which began before now at a whole half hour. Equal input gives equal starts.
    """
    left_pt = room_pt.copy()
    starts = _now(work, curves, left_pt, now_ms)
    later = np.flatnonzero(~work.must_w & work.allowed_wp.any(axis=1))
    moments = _Moments.of(work, later, curves, now_ms)
    block = max(1, CELLS // max(1, len(curves) * moments.count))
    for begin in range(0, len(later), block):
        choices = _choices(work, later[begin : begin + block], curves, moments)
        starts += _placed(work, choices, left_pt)
    return starts


def first_slot_ms(now_ms: int) -> int:
    """When the slot began in which we are."""
    return now_ms // SLOT_MS * SLOT_MS


# --- rows that go now


def _now(work: Work, curves: Sequence[Curve], left_pt: Floats, now_ms: int) -> list[Start]:
    """Rows that must go, at their cheapest pool that has room, or else as soon as one has: nobody else gets that room."""
    must = np.flatnonzero(work.must_w & work.allowed_wp.any(axis=1))
    if not len(must):
        return []
    begins_k = np.append(now_ms, first_slot_ms(now_ms) + np.arange(1, SLOTS) * SLOT_MS)
    starts: list[Start] = []
    block = max(1, CELLS // max(1, len(curves) * SLOTS))
    for begin in range(0, len(must), block):
        rows = must[begin : begin + block]
        start_wpk = np.broadcast_to(begins_k, (len(rows), len(curves), SLOTS))
        choices = _with_costs(work, rows, curves, start_wpk, np.ones(start_wpk.shape, dtype=bool), now_ms)
        simple = _without_conflict(work, choices, left_pt, choices.cost_wpk[:, :, :1])
        if simple is None:  # time comes before money here
            sooner_wpk = np.where(np.isfinite(choices.cost_wpk), (choices.start_wpk - now_ms).astype(float), np.inf)
            exactly = replace(choices, slack_w=np.zeros(len(rows)))
            simple = _greedy(work, exactly, left_pt, sooner_wpk, range(len(rows)))
        starts += simple
    return starts


# --- rows that may wait


@dataclass(frozen=True)
class _Moments:
    """Moments that are the same for all rows: at which they may start, and at which it may be well to have ended."""

    now_ms: int
    start_k: Ints
    end_k: Ints

    @property
    def count(self) -> int:
        """Moments that each row tries: these and its latest one."""
        return len(self.start_k) + len(self.end_k) + 1

    @classmethod
    def of(cls, work: Work, rows: Ints, curves: Sequence[Curve], now_ms: int) -> "_Moments":
        """Now, whole hours and the steps of the prices, as far as any of the rows can wait, and the steps after that."""
        allowed_wp = work.allowed_wp[rows]
        until_ms = min(now_ms + HORIZON_MS, int(work.latest_ms_wp[rows].max(initial=now_ms, where=allowed_wp)))
        longest_ms = int(work.duration_ms_wp[rows].max(initial=0, where=allowed_wp))
        last_ms = until_ms + min(longest_ms, HORIZON_MS)
        fees = np.zeros(0, dtype=np.int64) if work.fees is None else work.fees.edges_ms(now_ms, last_ms)
        steps = np.unique(np.concatenate([fees, *(curve.edges_ms for curve in curves)]))
        steps = steps[(steps > now_ms) & (steps < last_ms)]
        if len(steps) > MOST_STEPS:
            steps = steps[:0]
        hours = np.arange(now_ms // MS_PER_HOUR + 1, until_ms // MS_PER_HOUR + 1) * MS_PER_HOUR
        found = cls(now_ms, np.append(now_ms, np.union1d(hours, steps[steps < until_ms])), steps)
        return found._thinned(max(FEWEST_MOMENTS, CELLS // max(1, allowed_wp.size)))

    def _thinned(self, most: int) -> "_Moments":
        """No more than so many, now and evenly over the time."""
        if self.count <= most:
            return self
        every = -(-len(self.start_k) // most)
        return replace(self, start_k=self.start_k[::every], end_k=self.end_k[:0])


def _choices(work: Work, rows: Ints, curves: Sequence[Curve], moments: _Moments) -> _Choices:
    """The common moments, starts that let the run end at a step, and the latest moment."""
    now_ms, shape = moments.now_ms, (len(rows), len(curves), len(moments.start_k))
    duration_wp1 = work.duration_ms_wp[rows][:, :, None]
    latest_wp1 = np.clip(work.latest_ms_wp[rows], now_ms, now_ms + HORIZON_MS)[:, :, None]
    told_wpk = np.concatenate([moments.end_k - duration_wp1, latest_wp1], axis=2) // 1_000 * 1_000  # to the second
    start_wpk = np.concatenate([np.broadcast_to(moments.start_k, shape), told_wpk], axis=2)
    in_time_wpk = (start_wpk >= now_ms) & (start_wpk <= latest_wp1)
    return _with_costs(work, rows, curves, np.where(in_time_wpk, start_wpk, now_ms), in_time_wpk, now_ms)


def _with_costs(
    work: Work, rows: Ints, curves: Sequence[Curve], start_wpk: Ints, in_time_wpk: Bools, now_ms: int
) -> _Choices:
    """The costs and slots of these starts."""
    duration_wp = work.duration_ms_wp[rows]
    known_wp = np.minimum(duration_wp, LOOKED_AHEAD_MS)
    energy_wpk = np.empty(start_wpk.shape)
    for p, curve in enumerate(curves):
        begins, ends = start_wpk[:, p], start_wpk[:, p] + known_wp[:, p, None]
        energy_wpk[:, p] = curve.paid(ends) - curve.paid(begins)
    hourly_wpk = energy_wpk * work.kilowatts_wp[rows][:, :, None]
    if work.fees is not None:
        for p in range(len(curves)):
            begins = start_wpk[:, p]
            hourly_wpk[:, p] += work.fees.cost_wk(rows, p, begins, begins + known_wp[:, p, None])
    hourly_wpk *= (duration_wp / np.maximum(1, known_wp))[:, :, None]
    able_wpk = in_time_wpk & work.allowed_wp[rows][:, :, None] & (hourly_wpk <= work.hourly_limit_wp[rows][:, :, None])
    cost_wpk = np.where(able_wpk, hourly_wpk + work.fixed_wp[rows][:, :, None], np.inf)
    origin = first_slot_ms(now_ms)
    first_wpk = np.minimum((start_wpk - origin) // SLOT_MS, SLOTS - 1)
    behind_wpk = np.clip(-(-(start_wpk - origin + duration_wp[:, :, None]) // SLOT_MS), first_wpk + 1, SLOTS)
    cheapest_w = cost_wpk[:, :, 0].argmin(axis=1)
    at_once_w = np.abs(hourly_wpk[np.arange(len(rows)), cheapest_w, 0])
    return _Choices(rows, start_wpk, cost_wpk, first_wpk, behind_wpk, INDIFFERENT * at_once_w)


def _placed(work: Work, choices: _Choices, left_pt: Floats) -> list[Start]:
    """The starts of a block of rows, whose room is taken from what is left.

    Where not all have their best, rows are placed in several orders, and again with those first that lost most: the cheapest
    plan of all is taken. Source: Joslin and Clements, Squeaky Wheel Optimization, JAIR 1999.
    """
    simple = _without_conflict(work, choices, left_pt, choices.cost_wpk)
    if simple is not None:
        return simple
    priced_wpk = choices.cost_wpk + _charge_wpk(work, choices, _ascend(work, choices, left_pt))
    urgent = np.argsort(work.latest_ms_wp[choices.row_w].max(axis=1), kind="stable")
    tries = [
        _tried(work, choices, left_pt, value_wpk, order)
        for value_wpk in (choices.cost_wpk, priced_wpk)
        for order in (urgent, _by_gain(work, choices, value_wpk))
    ]
    best = min(tries, key=lambda tried: tried.value)
    last, vain = best, 0
    for _ in range(min(MOST_ROUNDS, ROWS_PLACED_AGAIN // len(urgent))):
        last = _tried(work, choices, left_pt, last.value_wpk, _losers_first(work, choices, last))
        best, vain = (last, 0) if last.value < best.value else (best, vain + 1)
        if vain == ROUNDS_IN_VAIN:
            break
    left_pt[:] = best.left_pt
    return best.starts


@dataclass(frozen=True)
class _Tried:
    """Rows placed in one order by one value; `value` is what is to be small: jobs without a start, then the cost."""

    order: Ints
    value_wpk: Floats
    left_pt: Floats
    starts: list[Start]
    value: tuple[int, float]


def _tried(work: Work, choices: _Choices, left_pt: Floats, value_wpk: Floats, order: Ints) -> _Tried:
    left_pt = left_pt.copy()
    starts = _greedy(work, choices, left_pt, value_wpk, order.tolist())
    waiting = int(work.count_w[choices.row_w].sum()) - sum(start.jobs for start in starts)
    return _Tried(order, value_wpk, left_pt, starts, (waiting, sum(start.jobs * start.cost for start in starts)))


def _losers_first(work: Work, choices: _Choices, tried: _Tried) -> Ints:
    """The order with every row moved ahead by what it lost against its best start, who lost most to the front."""
    least_w = choices.cost_wpk.min(axis=(1, 2), initial=np.inf)
    number = {int(row): w for w, row in enumerate(choices.row_w)}
    lost_w, without_w = np.zeros(len(least_w)), work.count_w[choices.row_w].copy()
    for start in tried.starts:
        w = number[start.row]
        lost_w[w] += start.jobs * (start.cost - least_w[w])
        without_w[w] -= start.jobs
    lost_w = np.where((without_w > 0) & np.isfinite(least_w), lost_w.max(initial=0.0) + 1.0, lost_w)
    place_w = np.empty(len(lost_w))
    place_w[tried.order] = np.arange(len(lost_w))
    return np.argsort(place_w - lost_w / max(DUST, float(lost_w.max(initial=0.0))) * len(lost_w), kind="stable")


def _by_gain(work: Work, choices: _Choices, reduced_wpk: Floats) -> Ints:
    """Rows that lose most by not having their best start, for the room that they take, first."""
    flat_wn = reduced_wpk.reshape(len(reduced_wpk), -1)
    best_w = flat_wn.argmin(axis=1)
    p_w, k_w = np.divmod(best_w, reduced_wpk.shape[2])
    all_w = np.arange(len(best_w))
    taken_w = work.units_wp[choices.row_w, p_w] * (choices.behind_wpk - choices.first_wpk)[all_w, p_w, k_w]
    finite = np.isfinite(flat_wn)
    mean_w = np.where(finite, flat_wn, 0.0).sum(axis=1) / np.maximum(1, finite.sum(axis=1))
    gain_w = np.where(np.isfinite(flat_wn[all_w, best_w]), mean_w - flat_wn[all_w, best_w], 0.0)
    return np.argsort(-gain_w / np.maximum(DUST, taken_w), kind="stable")


def _without_conflict(work: Work, choices: _Choices, left_pt: Floats, cost_wpk: Floats) -> list[Start] | None:
    """Every row's best start, if there is room for all of them together; the room is taken."""
    p_w, k_w = _best(choices, cost_wpk)
    able_w = np.isfinite(cost_wpk[np.arange(len(p_w)), p_w, k_w])
    load_pt = _load_pt(work, choices, p_w, k_w, left_pt.shape[1], able_w)
    if (load_pt > left_pt + DUST).any():
        return None
    left_pt -= load_pt
    at_once_w = choices.at_once_w
    return [
        Start(
            int(choices.row_w[w]),
            int(p_w[w]),
            int(work.count_w[choices.row_w[w]]),
            int(choices.start_wpk[w, p_w[w], k_w[w]]),
            float(choices.cost_wpk[w, p_w[w], k_w[w]]),
            float(at_once_w[w]),
        )
        for w in np.flatnonzero(able_w)
    ]


def _best(choices: _Choices, value_wpk: Floats) -> tuple[Ints, Ints]:
    """Pool and moment of every row: of the starts worth as much as the best, the earliest, there the cheapest. Shapes: (W,), (W,)."""
    moments = value_wpk.shape[2]
    least_w = value_wpk.min(axis=(1, 2), initial=np.inf)
    good_wpk = value_wpk <= (least_w + choices.slack_w)[:, None, None]
    start_wpk = np.where(good_wpk, choices.start_wpk[:, :, :moments], np.iinfo(np.int64).max)
    first_w = start_wpk.min(axis=(1, 2))
    among_wpk = np.where(start_wpk == first_w[:, None, None], choices.cost_wpk[:, :, :moments], np.inf)
    best_w = among_wpk.reshape(len(value_wpk), -1).argmin(axis=1)
    p_w, k_w = np.divmod(best_w, moments)
    return p_w, k_w


def _load_pt(work: Work, choices: _Choices, p_w: Ints, k_w: Ints, slots: int, able_w: Bools) -> Floats:
    """Units that the starts of these rows hold in each slot. Shape (P, T)."""
    all_w = np.flatnonzero(able_w)
    rows, p, k = choices.row_w[all_w], p_w[all_w], k_w[all_w]
    units = work.units_wp[rows, p] * work.count_w[rows]
    change_pt = np.zeros((choices.cost_wpk.shape[1], slots + 1))
    np.add.at(change_pt, (p, choices.first_wpk[all_w, p, k]), units)
    np.add.at(change_pt, (p, choices.behind_wpk[all_w, p, k]), -units)
    return np.asarray(np.cumsum(change_pt, axis=1)[:, :-1])


def _charge_wpk(work: Work, choices: _Choices, price_pt: Floats) -> Floats:
    """What the slots of each start cost at these shadow prices."""
    until_pt = np.concatenate([np.zeros((len(price_pt), 1)), np.cumsum(price_pt, axis=1)], axis=1)
    p = np.arange(len(price_pt))[None, :, None]
    charge_wpk = until_pt[p, choices.behind_wpk] - until_pt[p, choices.first_wpk]
    return np.asarray(charge_wpk * work.units_wp[choices.row_w][:, :, None])


def _ascend(work: Work, choices: _Choices, room_pt: Floats) -> Floats:
    """Shadow prices of slots that make rows want no more than there is, as nearly as a few steps come. Shape (P, T)."""
    price_pt = np.zeros(room_pt.shape)
    count_w = work.count_w[choices.row_w]
    finite_wpk = np.isfinite(choices.cost_wpk)
    costs_wpk = np.where(finite_wpk, choices.cost_wpk, 0.0)
    most_w = np.where(finite_wpk, costs_wpk, -np.inf).max(axis=(1, 2), initial=-np.inf)
    least_w = np.where(finite_wpk, costs_wpk, np.inf).min(axis=(1, 2), initial=np.inf)
    spread = float(np.where(np.isfinite(most_w), most_w - least_w, 0.0).max(initial=0.0)) + 1.0
    waiting_w = np.where(np.isfinite(most_w), most_w, 0.0) + spread  # what it costs not to start at all
    target = float((count_w * np.where(np.isfinite(most_w), most_w, 0.0)).sum())
    best, best_pt, size = -np.inf, price_pt, 1.0
    for _ in range(ASCENTS):
        reduced_wpk = choices.cost_wpk + _charge_wpk(work, choices, price_pt)
        p_w, k_w = _best(choices, reduced_wpk)
        own_w = reduced_wpk[np.arange(len(p_w)), p_w, k_w]
        able_w = own_w < waiting_w
        value = float((count_w * np.minimum(own_w, waiting_w)).sum() - (price_pt * room_pt).sum())
        over_pt = _load_pt(work, choices, p_w, k_w, room_pt.shape[1], able_w) - room_pt
        if value > best:
            best, best_pt = value, price_pt
        else:
            size /= 2
        over_pt = np.where((over_pt < 0) & (price_pt <= 0), 0.0, over_pt)
        length = float((over_pt * over_pt).sum())
        if length <= DUST:
            break
        price_pt = np.maximum(0.0, price_pt + size * max(0.0, target - value) / length * over_pt)
    return best_pt


def _greedy(
    work: Work, choices: _Choices, left_pt: Floats, value_wpk: Floats, order: Sequence[int] | range
) -> list[Start]:
    """Rows one after the other, each where it is worth most among the starts that have room for the whole run."""
    starts: list[Start] = []
    at_once_w = choices.at_once_w
    best_p_w, best_k_w = (best_w.tolist() for best_w in _best(choices, value_wpk))
    for w in order:
        row, left = int(choices.row_w[w]), int(work.count_w[choices.row_w[w]])
        p, k = best_p_w[w], best_k_w[w]
        while left and np.isfinite(value_wpk[w, p, k]):
            units, slots = float(work.units_wp[row, p]), slice(choices.first_wpk[w, p, k], choices.behind_wpk[w, p, k])
            free = float(left_pt[p, slots].min()) + DUST
            if free < units:
                found = _with_room(work, choices, left_pt, value_wpk, w)
                if found is None:
                    break
                p, k = found
                continue
            jobs = max(1, min(left, int(free // units))) if units > 0 else left
            left_pt[p, slots] -= jobs * units
            left -= jobs
            starts.append(
                Start(
                    row, p, jobs, int(choices.start_wpk[w, p, k]), float(choices.cost_wpk[w, p, k]), float(at_once_w[w])
                )
            )
    return starts


def _with_room(work: Work, choices: _Choices, left_pt: Floats, value_wpk: Floats, w: int) -> tuple[int, int] | None:
    """The best start of a row that has room for one job, if there is one."""
    short_pt = left_pt + DUST < work.units_wp[choices.row_w[w]][:, None]
    until_pt = np.concatenate([np.zeros((len(short_pt), 1), dtype=np.int64), np.cumsum(short_pt, axis=1)], axis=1)
    p_p = np.arange(len(short_pt))[:, None]
    blocked_pk = until_pt[p_p, choices.behind_wpk[w]] > until_pt[p_p, choices.first_wpk[w]]
    value_pk = np.where(blocked_pk, np.inf, value_wpk[w])
    least = float(value_pk.min(initial=np.inf))
    if not np.isfinite(least):
        return None
    start_pk = np.where(value_pk <= least + choices.slack_w[w], choices.start_wpk[w], np.iinfo(np.int64).max)
    among_pk = np.where(start_pk == start_pk.min(), choices.cost_wpk[w], np.inf)
    p, k = np.unravel_index(int(among_pk.argmin()), among_pk.shape)
    return int(p), int(k)
