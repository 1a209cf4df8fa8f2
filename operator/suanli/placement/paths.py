"""Exchanges of many jobs at once, along paths of pools: for small markets with one scarce resource.

Every job of a pool on a path may go to the pool before or to the one after it, so that what two neighbours exchange fills or
empties no other pool. For each two neighbours many sets of such moves are listed, cheap moves in many of them and dear ones in
few; which set each two neighbours use so that no pool holds more than it has room for, and all together gain most, is
decided exactly, by dynamic programming over what a pool gets from the one before it. That takes a look at a number of plans that
is exponential in the length of the path (very large-scale neighbourhoods; Ahuja, Ergun, Orlin and Punnen 2002), and
fills pools to the last unit where exchanges of two jobs leave some unused. Paths are drawn at random, through pools that are near to
each other for many jobs. Costs are shaken, strongly at first and then less and less, and again (Charon and Hudry 1993).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.knapsacks import is_single, single
from suanli.placement.market import Market

LENGTH = 10  # pools of a path; all paths of a step are looked at together
MOST_MOVES = 24  # of two neighbours that are looked at
RANKS = 25  # what the ranks of the moves of one set may sum up to: the cheapest move has rank 1
FEW_MOVES = 8  # of so many all sets are looked at
NEAREST = 12  # pools of a job that say which pools are near to each other
WINDOW = 3  # times the largest usual size: what a pool may get or lose on the way
USUAL = 99  # percentile
WARMTH = (
    0.3  # of the mean difference between a job's two nearest pools: moves that cost so much more are drawn less often
)
SHAKES = (0.8, 0.4, 1.6)  # of that warmth: the noise at the beginning of a cycle, in turn
CYCLE, QUIET = 100, 50  # steps, and at the end so many without noise
OVERLOAD, MORE_OVERLOAD = (
    3.0,
    1.05,
)  # prices for a unit too much in a pool; how it grows with every step until there is none
NEVER, NO_MOVE = 1e18, 1e17  # costs
MOST_PLACES = 400_000  # jobs x pools
WORK = 8_000_000  # with less effort left there are better uses for it
WORK_PER_STEP, WORK_PER_POOL, WORK_PER_LOAD, WORK_PER_JOB, WORK_PER_SET = 3_000, 150, 0.04, 6, 0.15


class PathSearch:
    """A plan that is bettered; who waits is placed first, in pools that are too full then, until all have room.

    `pool_j` (J,) is the best plan found, the pool after the last is to wait at `waiting_r` (R,); `cost` is what it costs.
    """

    def __init__(self, market: Market, plan: Jobs, key_rp: Floats, waiting_r: Floats) -> None:
        one = single(market, plan)
        self._size_jp, self._room_p, self._pools = one.size_jp, one.room_p, len(one.room_p)
        self._every = np.arange(len(plan.row_j))
        self._cost_jp = np.column_stack([market.open_cost_rp, waiting_r])[plan.row_j]
        self._key_jp = np.column_stack([key_rp, np.full(len(key_rp), np.inf)])[plan.row_j]  # nobody goes to no pool
        self._near_jc = np.argsort(key_rp, axis=1, kind="stable")[plan.row_j, :NEAREST]
        two = np.partition(self._key_jp, 1, axis=1)[:, :2]
        regret = (two[:, 1] - two[:, 0])[np.isfinite(two[:, 1])]
        self._warmth = max(1e-3, WARMTH * float(regret.mean())) if len(regret) else 1.0
        sizes = self._size_jp[np.isfinite(self._cost_jp[:, :-1])]
        self._half = max(1, min(int(WINDOW * np.percentile(sizes, USUAL)), int(self._room_p.max())))
        open_ = market.allowed_rp
        prices = (key_rp[open_] - market.open_cost_rp[open_]) / np.maximum(1, one.size_rp[open_])
        self._overload = OVERLOAD * float(prices.max()) + self._warmth
        self.restore(plan.pool_j)

    def restore(self, pool_j: Ints) -> None:
        """Be at that plan. Shape: `pool_j` (J,)."""
        self.pool_j, self.cost = pool_j.copy(), self._cost_of(pool_j)
        self._now_j = np.where(pool_j < self._pools, pool_j, self._key_jp.argmin(axis=1))

    @property
    def places_all(self) -> bool:
        """Whether nobody waits."""
        return bool((self.pool_j < self._pools).all())

    def better(self, bound: int, effort: Effort, rng: np.random.Generator) -> None:
        """Cycles until the plan costs no more than `bound`, many have gained nothing, or the effort is spent."""
        vain, cycle = 0, 0
        while vain < effort.patience and self.cost > bound and not effort.is_spent:
            before = self.cost
            for step in range(CYCLE):
                if self.cost <= bound or effort.is_spent:
                    break
                noise = SHAKES[cycle % len(SHAKES)] * max(0.0, 1.0 - step / (CYCLE - QUIET))
                self._step(noise * self._warmth, effort, rng)
            cycle += 1
            vain = vain + 1 if self.cost == before else 0
            if self.places_all:
                self._now_j = self.pool_j.copy()

    def polish(self, pool_j: Ints, effort: Effort, rng: np.random.Generator) -> Ints:
        """What a few steps without noise make of a plan that places all, or the best before where pools stay too full. Shapes: (J,) -> (J,)."""
        load_p = np.bincount(pool_j, weights=self._size_jp[self._every, pool_j], minlength=self._pools)
        if (load_p > self._room_p).any():
            self._now_j, self.cost = pool_j.copy(), np.inf
        else:
            self.restore(pool_j)
        for _ in range(QUIET):
            if effort.is_spent:
                break
            self._step(0.0, effort, rng)
        return self.pool_j

    def _step(self, noise: float, effort: Effort, rng: np.random.Generator) -> None:
        """Follow some paths through all pools once."""
        load_p = np.bincount(self._now_j, weights=self._size_jp[self._every, self._now_j], minlength=self._pools)
        left_p = self._room_p - load_p.astype(np.int64)
        paths = self._paths(rng)
        moves = self._moves(paths, noise, rng)
        self._now_j = _followed(self._now_j, paths, moves, left_p, self._overload, self._half)
        effort.spend(
            int(
                WORK_PER_STEP
                + (WORK_PER_POOL + WORK_PER_LOAD * self._half) * self._pools
                + WORK_PER_JOB * len(self._every)
                + WORK_PER_SET * moves.cost_es.size
            )
        )
        load_p = np.bincount(self._now_j, weights=self._size_jp[self._every, self._now_j], minlength=self._pools)
        cost = self._cost_of(self._now_j)
        if (load_p > self._room_p).any():
            self._overload *= MORE_OVERLOAD
        elif cost < self.cost:
            self.pool_j, self.cost = self._now_j.copy(), cost

    def _paths(self, rng: np.random.Generator) -> Ints:
        """Pools in random order, the next one near to the one before, cut into paths; the last is filled with no pool. Shape (G, H)."""
        pools, key_jp, now_j = self._pools, self._key_jp, self._now_j
        further_jc = np.take_along_axis(key_jp, self._near_jc, axis=1) - key_jp[self._every, now_j][:, None]
        weight_jc = np.exp(-np.maximum(further_jc, 0.0) / self._warmth)
        code_jc = now_j[:, None] * pools + self._near_jc
        weight = np.bincount(code_jc.ravel(), weights=weight_jc.ravel(), minlength=pools * pools).astype(float)
        weight_pp = weight.reshape(pools, pools)
        drawn_pp = (weight_pp + weight_pp.T + 1e-6) * rng.random((pools, pools))
        at, order = int(rng.integers(pools)), []
        for _ in range(pools):
            order.append(at)
            drawn_pp[:, at] = -1.0
            at = int(drawn_pp[at].argmax())
        many = -(-pools // LENGTH)
        length = -(-pools // many)
        return np.array(order + [pools] * (many * length - pools)).reshape(many, length)

    def _moves(self, paths: Ints, noise: float, rng: np.random.Generator) -> "_Moves":
        """Each job forth or back along its path, whichever costs less, by chance where both cost about as much; the cheapest."""
        pools, now_j, every = self._pools, self._now_j, self._every
        edges = paths.shape[1] - 1
        next_p, last_p, edge_p = (np.full(pools + 1, value) for value in (pools, pools, 0))
        next_p[paths[:, :-1]], last_p[paths[:, 1:]] = paths[:, 1:], paths[:, :-1]
        edge_p[paths] = np.arange(paths.shape[0])[:, None] * edges + np.arange(edges + 1)
        key_j = self._key_jp[every, now_j]
        on_j, back_j = (self._key_jp[every, towards_p[now_j]] - key_j for towards_p in (next_p, last_p))
        forth_j = on_j + rng.logistic(0.0, self._warmth / 2, len(every)) < back_j
        further_j = np.where(forth_j, on_j, back_j)
        job = np.flatnonzero(np.isfinite(further_j))
        forth = forth_j[job]
        source, target = now_j[job], np.where(forth, next_p[now_j[job]], last_p[now_j[job]])
        edge = edge_p[source] - ~forth
        order = np.lexsort((further_j[job], edge))
        rank = np.empty(len(job), dtype=np.int64)
        rank[order] = np.arange(len(job)) - np.searchsorted(edge[order], edge[order])
        some = np.flatnonzero(rank < MOST_MOVES)
        job, forth, source, target, edge, rank = (part[some] for part in (job, forth, source, target, edge, rank))
        sets = _sets(int(rank.max(initial=0)) + 1)
        each_emt = np.zeros((paths.shape[0] * edges, 3, sets.shape[1]))
        each_emt[:, 2] = NO_MOVE
        frees, takes = -self._size_jp[job, source], self._size_jp[job, target]
        each_emt[edge, 0, rank], each_emt[edge, 1, rank] = np.where(forth, (frees, takes), (takes, frees))
        each_emt[edge, 2, rank] = self._cost_jp[job, target] - self._cost_jp[job, source]
        if noise:
            each_emt[edge, 2, rank] += rng.normal(0.0, noise, len(job))
        job_et, target_et = (np.full((len(each_emt), sets.shape[1]), -1) for _ in range(2))
        job_et[edge, rank], target_et[edge, rank] = job, target
        of_sets = (each_emt.reshape(-1, sets.shape[1]) @ sets.T).reshape(len(each_emt), 3, -1)
        return _Moves(
            job_et, target_et, sets > 0, of_sets[:, 0].astype(np.int64), of_sets[:, 1].astype(np.int64), of_sets[:, 2]
        )

    def _cost_of(self, pool_j: Ints) -> float:
        return float(self._cost_jp[self._every, pool_j].sum())


@dataclass(frozen=True)
class _Moves:
    """Between neighbours (edges of all paths, path by path) single moves, and sets of them.

    Shapes: `job_et`, `target_et` (E, T), -1 for none; `member_st` (S, T); by edge and set (E, S) what the pool before
    and the one after get more, and what it costs.
    """

    job_et: Ints
    target_et: Ints
    member_st: Bools
    before_es: Ints
    after_es: Ints
    cost_es: Floats


def _followed(now_j: Ints, paths: Ints, moves: _Moves, left_p: Ints, overload: float, half: int) -> Ints:
    """The plan after the best sets of all edges. Pools that are too full pay `overload` a unit, no other becomes so.

    Shapes: `paths` (G, H); `left_p` (P,). Loads on the way change by `half` at most.
    """
    many, length = paths.shape
    width = 2 * half + 1
    left_gh = np.append(left_p, width)[paths]
    g, every = np.arange(many), np.arange(width)
    begin_g = (g * (width + 1))[:, None, None]  # the last place of each path is for what is too far
    before_ges, after_ges, cost_ges = (
        array.reshape(many, length - 1, -1) for array in (moves.before_es, moves.after_es + half, moves.cost_es)
    )
    from_ges = np.minimum(left_gh[:, :-1, None] + half - before_ges, width - 1)
    from_ges = np.where(from_ges < 0, width, from_ges) + begin_g
    to_ges = np.where((after_ges < 0) | (after_ges >= width), width, after_ges) + begin_g
    least_gw = np.full((many, width + 1), NEVER)
    least_gw[:, half] = 0.0
    leasts, totals = [least_gw], []
    for h in range(length - 1):
        room_gw = _within(least_gw, left_gh[:, h], overload)
        total_gs = room_gw.take(from_ges[:, h]) + cost_ges[:, h]
        least_gw = np.full((many, width + 1), NEVER)
        np.minimum.at(least_gw.reshape(-1), to_ges[:, h].reshape(-1), total_gs.reshape(-1))
        least_gw[:, width] = NEVER
        leasts.append(least_gw)
        totals.append(total_gs)
    then_j, limit_g = now_j.copy(), left_gh[:, -1] + half
    for h in range(length - 1, 0, -1):
        w_g = _cheapest(leasts[h][:, :width], every, limit_g, left_gh[:, h], overload)
        reached_g = leasts[h][g, w_g]
        set_g = ((after_ges[:, h - 1] == w_g[:, None]) & (totals[h - 1] == reached_g[:, None])).argmax(axis=1)
        path, move = np.nonzero(moves.member_st[set_g])
        edge = path * (length - 1) + h - 1
        then_j[moves.job_et[edge, move]] = moves.target_et[edge, move]
        limit_g = left_gh[:, h - 1] + half - before_ges[g, h - 1, set_g]
    return then_j


def _cheapest(least_gw: Floats, every: Ints, limit_g: Ints, left_g: Ints, overload: float) -> Ints:
    """Where it costs least that a pool gets no more than its limit, or more where it is too full. Shape (G,)."""
    dear_gw = np.where(every > limit_g[:, None], NEVER, least_gw)
    full = np.flatnonzero(left_g < 0)
    if len(full):
        dear_gw[full] = least_gw[full] + overload * np.maximum(every - limit_g[full, None], 0)
    return np.asarray(dear_gw.argmin(axis=1))


def _within(least_gw: Floats, left_g: Ints, overload: float) -> Floats:
    """What it costs least that the path so far brings a pool at most so much; more has its price where a pool is too full."""
    room_gw = np.minimum.accumulate(least_gw, axis=1)
    full = np.flatnonzero(left_g < 0)
    if len(full):
        worth = np.arange(least_gw.shape[1]) * overload
        over = np.minimum.accumulate((least_gw[full] + worth)[:, ::-1], axis=1)[:, ::-1] - worth
        room_gw[full] = np.minimum(room_gw[full], over)
    room_gw[:, -1] = NEVER
    return room_gw


def is_for(market: Market, plan: Jobs, effort: Effort) -> bool:
    """Whether one resource alone is scarce, the market is small, and there is much effort."""
    return effort.affords(WORK) and len(plan.row_j) * len(market.nodes) <= MOST_PLACES and is_single(market, plan)


@cache
def _sets(moves: int) -> Floats:
    """Sets of so many moves or a few more, the empty one first: all of few moves, of many those of low ranks. Shape (S, T)."""
    moves = min(MOST_MOVES, max(FEW_MOVES, -(-moves // 4) * 4))
    ranks = moves * (moves + 1) // 2 if moves <= FEW_MOVES else RANKS
    members: list[list[int]] = [[]]
    for some in members:  # grows
        left, least = ranks - sum(some), some[-1] + 1 if some else 1
        members += [[*some, rank] for rank in range(least, min(moves, left) + 1)]
    sets = np.zeros((len(members), moves))
    for row, some in enumerate(members):
        sets[row, np.array(some, dtype=np.int64) - 1] = 1.0
    return sets
