"""Betters a plan by small exchanges, all of them looked at together: shifts, swaps and chains of two.

What is tried are moves of single jobs to one of their nearest pools: alone into room (shift), against a job that goes the other
way (swap), or with another one moving on from there into room (ejection chain). To wait is a place like the others, dear and
without bounds, so that finding room for a job that has none is the same search. Every sweep applies the best moves that do not
touch one another. When none is left, some costs are shaken a little, and it begins again (noising; Charon and Hudry
1993). Source of the neighbourhoods: Yagiura, Ibaraki and Glover 2004.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.market import Market, load_pk
from suanli.placement.prices import scarce

NEAREST = 5  # pools of a job that moves go to
MOST_MOVES = 60_000  # with more, fewer of the nearest are looked at
ROOMY = 0.95  # a pool that is used less has much room
MOST_WAITING = 500  # who wait may go to every pool, so many of them at a time
MOST_PAIRS = 50_000  # of each kind that one sweep looks at
MOST_APPLIED = 1_000  # of each kind that one sweep applies
AT_ONCE = 4_000  # of the pairs that gain, the best first, are asked whether they have room
SWEEPS_SHAKEN, SWEEPS = 3, 60
SHAKES = (0.2, 2.0)  # of the usual difference between a job's two nearest pools
SHARES = (0.02, 0.1)  # of all jobs that are shaken
SWEEP_WORK = 5_000  # what a sweep costs however few moves there are
NOTHING = -0.5  # a gain: costs are whole


@dataclass(frozen=True)
class _Moves:
    """Single moves. Shapes: (M,); `takes` there and `frees` here (M, K)."""

    job: Ints
    source: Ints
    target: Ints
    extra: Floats
    takes: Floats
    frees: Floats
    fits: Bools
    cost: Floats


class Search:
    """A plan and what of it can be moved.

    Shapes: `row_j`, `pool_j` (J,), the pool after the last is to wait; `left_pk` (P + 1, K) of the K scarce resources.
    """

    def __init__(self, market: Market, jobs: Jobs, key_rp: Floats, waiting_r: Floats) -> None:
        self.row_j, self._held_rp, self._held_cost = jobs.row_j, jobs.held_rp, 0.0
        self._pools = len(market.nodes)
        kinds = np.flatnonzero(scarce(market, market.count_r).any(axis=0))
        self._demand_rpk = market.demand_rpk[:, :, kinds]
        self._capacity_pk = market.capacity_pk[:, kinds]
        if jobs.held_rp is not None:
            self._capacity_pk = self._capacity_pk - load_pk(jobs.held_rp, self._demand_rpk)
            held = np.nonzero(jobs.held_rp)
            self._held_cost = float((market.cost_rp[held] * jobs.held_rp[held]).sum())
        self._cost_rp = np.column_stack([market.open_cost_rp, waiting_r])
        nearest = max(1, min(NEAREST, self._pools, MOST_MOVES // max(1, len(jobs.row_j))))
        near_rc = (
            np.argpartition(key_rp, nearest - 1, axis=1)[:, :nearest]
            if nearest < self._pools
            else np.tile(np.arange(self._pools), (len(key_rp), 1))
        )
        near_rc = _with_roomy(near_rc, key_rp, jobs.placed_rp(market), market)
        job, target = np.repeat(np.arange(len(jobs.row_j)), near_rc.shape[1]), near_rc[jobs.row_j].ravel()
        open_ = np.isfinite(self._cost_rp[jobs.row_j[job], target])
        self._move_job, self._move_to = job[open_], target[open_]
        self._move_takes = self._demand(self._move_job, self._move_to)
        self._move_cost = self._cost_rp[jobs.row_j[self._move_job], self._move_to]
        self._usual = _usual_regret(key_rp)
        self.restore(jobs.pool_j)

    def restore(self, pool_j: Ints) -> None:
        """Be at that plan. Shape: `pool_j` (J,)."""
        self.pool_j = pool_j.copy()
        self._takes_j = self._demand(np.arange(len(pool_j)), pool_j)
        self.left_pk = np.vstack([self._capacity_pk, np.full((1, self._capacity_pk.shape[1]), np.inf)])
        placed = pool_j < self._pools
        np.subtract.at(self.left_pk, pool_j[placed], self._takes_j[placed])
        self._cost_j = self._cost_rp[self.row_j, pool_j]

    @property
    def jobs(self) -> Jobs:
        """The plan as it is."""
        return Jobs(self.row_j, self.pool_j, self._held_rp)

    @property
    def cost(self) -> float:
        """What it costs, jobs that wait included. Units: micro-yuan."""
        return self._held_cost + float(self._cost_rp[self.row_j, self.pool_j].sum())

    def better(self, bound: int, effort: Effort, rng: np.random.Generator) -> None:
        """Descend, then shake again and again: until it is as near to `bound` as the effort asks, idle for long, or out of effort."""
        enough = bound + abs(bound) * effort.tolerance
        self.descend(effort, enough)
        best_j, best, idle = self.pool_j.copy(), self.cost, 0
        while idle < effort.patience and not effort.is_spent and best > enough and self._usual > 0:
            self._shake(rng, effort)
            if self.cost <= best:
                idle = 0 if self.cost < best else idle + 1
                best_j, best = self.pool_j.copy(), self.cost
            else:
                idle += 1
                self.restore(best_j)
        self.restore(best_j)

    def descend(self, effort: Effort, enough: float = -np.inf) -> None:
        """Make all exchanges that pay by themselves, until it costs no more than is `enough`."""
        sweeps = SWEEPS
        while sweeps and self.cost > enough and not effort.is_spent and self._sweep(effort):
            sweeps -= 1

    def _descend(self, sweeps: int, effort: Effort) -> None:
        """Sweep while something is gained."""
        while sweeps and not effort.is_spent and self._sweep(effort):
            sweeps -= 1

    def _shake(self, rng: np.random.Generator, effort: Effort) -> None:
        """Descend with the costs of a few jobs shaken, and then with the true ones."""
        many = min(len(self.pool_j), max(5, int(len(self.pool_j) * rng.uniform(*SHARES))))
        shaken = np.zeros(len(self.pool_j), dtype=bool)
        shaken[rng.choice(len(self.pool_j), many, replace=False)] = True
        moves = np.flatnonzero(shaken[self._move_job])
        strength = self._usual * rng.uniform(*SHAKES)
        true = self._move_cost
        self._move_cost = true.copy()
        self._move_cost[moves] += rng.normal(0.0, strength, len(moves))
        self._cost_j[shaken] += rng.normal(0.0, strength, many)
        self._descend(SWEEPS_SHAKEN, effort)
        self._move_cost, self._cost_j = true, self._cost_rp[self.row_j, self.pool_j]
        self._descend(SWEEPS, effort)

    def _demand(self, jobs: Ints, pools: Ints) -> Floats:
        """What jobs take in pools; nothing where they wait. Shape (N, K)."""
        inside = np.minimum(pools, self._pools - 1) if self._demand_rpk.shape[1] > 1 else 0
        return np.asarray(self._demand_rpk[self.row_j[jobs], inside] * (pools < self._pools)[:, None])

    def _sweep(self, effort: Effort) -> bool:
        moves = self._moves()
        shifts = np.flatnonzero(moves.fits & (moves.extra < NOTHING))
        found = [self._best(moves.extra[shifts], shifts, np.full(len(shifts), -1))]
        for first, second in (self._swaps(moves), self._chains(moves)):
            effort.spend(len(first))
            found.append(self._gainful(moves, first, second))
        effort.spend(4 * len(moves.job) + SWEEP_WORK)
        gain, first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return self._apply(moves, gain, first, second)

    def _moves(self) -> _Moves:
        live = np.flatnonzero(self.pool_j[self._move_job] != self._move_to)
        job, target = self._move_job[live], self._move_to[live]
        cost, takes = self._move_cost[live], self._move_takes[live]
        waiting = np.flatnonzero(self.pool_j == self._pools)[:MOST_WAITING]
        if len(waiting):  # may go everywhere
            there = np.tile(np.arange(self._pools), len(waiting))
            cost_there = self._cost_rp[self.row_j[waiting], : self._pools].ravel()
            open_ = np.isfinite(cost_there)
            more, there = np.repeat(waiting, self._pools)[open_], there[open_]
            job, target = np.concatenate([job, more]), np.concatenate([target, there])
            cost, takes = np.concatenate([cost, cost_there[open_]]), np.vstack([takes, self._demand(more, there)])
        fits: Bools = np.all(self.left_pk[target] >= takes, axis=1)
        extra = cost - self._cost_j[job]
        return _Moves(job, self.pool_j[job], target, extra, takes, self._takes_j[job], fits, cost)

    def _swaps(self, moves: _Moves) -> tuple[Ints, Ints]:
        """Pairs of moves between the same two pools, each pair once."""
        places = self._pools + 1
        order, begin_c, many_c = _sorted_by(moves.source * places + moves.target, places * places)
        back = moves.target * places + moves.source
        many = np.where(moves.source < moves.target, many_c[back], 0)
        return _pairs(np.arange(len(back)), begin_c[back], many, order, moves.extra)

    def _chains(self, moves: _Moves) -> tuple[Ints, Ints]:
        """Moves into a pool with moves from there into room; the first is the one that needs it."""
        free = np.flatnonzero(moves.fits & (moves.source < self._pools))
        order, begin_p, many_p = _sorted_by(moves.target, self._pools + 1)
        source = moves.source[free]
        second, first = _pairs(free, begin_p[source], many_p[source], order, moves.extra)
        return first, second

    def _gainful(self, moves: _Moves, first: Ints, second: Ints) -> tuple[Floats, Ints, Ints]:
        """The best pairs that gain, and that have room when done."""
        gain = moves.extra[first] + moves.extra[second]
        some = np.flatnonzero((gain < NOTHING) & (moves.job[first] != moves.job[second]))
        roomy, many = [some[:0]], 0
        for part in _best_first(some, gain):
            roomy.append(part[self._has_room(moves, first[part], second[part])])
            many += len(roomy[-1])
            if many >= MOST_APPLIED:
                break
        best = np.concatenate(roomy)[:MOST_APPLIED]
        return gain[best], first[best], second[best]

    def _has_room(self, moves: _Moves, first: Ints, second: Ints) -> Bools:
        """Whether there is room where both moves go when both are done."""
        here: Bools = self.left_pk[moves.target[first]] + moves.frees[second] >= moves.takes[first]
        back = (moves.target[second] == moves.source[first])[:, None]
        there: Bools = self.left_pk[moves.target[second]] + moves.frees[first] * back >= moves.takes[second]
        return np.asarray(here.all(axis=1) & there.all(axis=1))

    def _best(self, gain: Floats, first: Ints, second: Ints) -> tuple[Floats, Ints, Ints]:
        order = np.argsort(gain, kind="stable")[:MOST_APPLIED]
        return gain[order], first[order], second[order]

    def _apply(self, moves: _Moves, gain: Floats, first: Ints, second: Ints) -> bool:
        """The best moves first, each job once, while there is room for them."""
        order = np.argsort(gain, kind="stable")
        parts = np.column_stack([first[order], second[order]]).ravel()
        table = _Steps(
            self.left_pk.shape[1],
            moves.source[parts].tolist(),
            moves.target[parts].tolist(),
            moves.takes[parts].ravel().tolist(),
            moves.frees[parts].ravel().tolist(),
        )
        left, moved, done = self.left_pk.ravel().tolist(), set[int](), list[int]()
        ones, others = moves.job[first[order]].tolist(), np.where(second < 0, -1, moves.job[second])[order].tolist()
        for n, (one, other) in enumerate(zip(ones, others, strict=True)):
            if one in moved or other in moved:
                continue
            steps = range(2 * n, 2 * n + (1 if other < 0 else 2))
            if table.make(left, steps):
                moved.update((one, other) if other >= 0 else (one,))
                done += steps
        self.left_pk = np.array(left, dtype=float).reshape(self.left_pk.shape)
        made = parts[done]
        job = moves.job[made]
        self._takes_j[job], self._cost_j[job], self.pool_j[job] = (
            moves.takes[made],
            moves.cost[made],
            moves.target[made],
        )
        return bool(done)


class _Steps(NamedTuple):
    """Single moves in flat lists, which cost the collector of garbage nothing: K resources of each."""

    kinds: int
    source: list[int]
    target: list[int]
    takes: list[float]
    frees: list[float]

    def make(self, left: list[float], steps: range) -> bool:
        """Take and free what the steps do; nothing changes where that is more than there is. `left` is (P + 1) x K."""
        kinds, fits = range(self.kinds), True
        for i in steps:
            source, target, own = self.source[i] * self.kinds, self.target[i] * self.kinds, i * self.kinds
            for k in kinds:
                left[source + k] += self.frees[own + k]
                left[target + k] -= self.takes[own + k]
        for i in steps:
            target = self.target[i] * self.kinds
            for k in kinds:
                fits = fits and left[target + k] >= 0.0
        if fits:
            return True
        for i in steps:
            source, target, own = self.source[i] * self.kinds, self.target[i] * self.kinds, i * self.kinds
            for k in kinds:
                left[source + k] -= self.frees[own + k]
                left[target + k] += self.takes[own + k]
        return False


def _sorted_by(key_m: Ints, keys: int) -> tuple[Ints, Ints, Ints]:
    """Moves in the order of small numbers; where those of each number begin, and how many they are. Shapes: (M,) -> (M,), 2 x (`keys`,)."""
    many = np.bincount(key_m, minlength=keys)
    few = key_m.astype(np.uint16) if keys <= 1 << 16 else key_m  # numbers so small are counted, not compared
    return np.argsort(few, kind="stable"), np.cumsum(many) - many, many


def _best_first(some: Ints, gain: Floats) -> Iterator[Ints]:
    """Those pairs in the order of their gains, so many at once: usually the first of them are enough, and the rest is not sorted."""
    gains = gain[some]
    if len(some) > AT_ONCE:
        near = np.flatnonzero(gains <= np.partition(gains, AT_ONCE - 1)[AT_ONCE - 1])
        yield some[near[np.argsort(gains[near], kind="stable")][:AT_ONCE]]
    order = np.argsort(gains, kind="stable")
    for begin in range(AT_ONCE if len(some) > AT_ONCE else 0, len(some), AT_ONCE):
        yield some[order[begin : begin + AT_ONCE]]


def _with_roomy(near_rc: Ints, key_rp: Floats, placed_rp: Ints, market: Market) -> Ints:
    """One column more where some pools have much room: each row's nearest of these, where chains can end."""
    pools = len(market.nodes)
    taken_pk = np.einsum(
        "rp,rpk->pk", placed_rp.astype(float), np.broadcast_to(market.demand_rpk, (*placed_rp.shape, 4))
    )
    roomy = np.flatnonzero((taken_pk <= ROOMY * market.capacity_pk).all(axis=1))
    if near_rc.shape[1] == pools or not len(roomy):
        return near_rc
    return np.column_stack([near_rc, roomy[key_rp[:, roomy].argmin(axis=1)]])


def _usual_regret(key_rp: Floats) -> float:
    """What the second nearest pool usually costs more than the nearest."""
    if key_rp.shape[1] < 2:
        return 0.0
    two = np.partition(key_rp, 1, axis=1)[:, :2]
    both = two[np.isfinite(two).all(axis=1)]
    regret = both[:, 1] - both[:, 0]
    return float(np.median(regret)) if len(regret) else 0.0


def _pairs(ones: Ints, begin: Ints, many: Ints, order: Ints, extra: Floats) -> tuple[Ints, Ints]:
    """Every one with `many` others, which stand in `order` from `begin`; with too many pairs the ones that cost least."""
    if many.sum() > MOST_PAIRS:
        cheapest = np.argsort(extra[ones], kind="stable")
        keep = cheapest[np.cumsum(many[cheapest]) <= MOST_PAIRS]
        ones, begin, many = ones[keep], begin[keep], many[keep]
    first = np.repeat(ones, many)
    inside = np.arange(len(first)) - np.repeat(np.cumsum(many) - many, many)
    return first, order[np.repeat(begin, many) + inside]
