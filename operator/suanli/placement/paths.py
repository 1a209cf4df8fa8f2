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

COPIES, MOST_POOLS = 8, 160  # plans that are followed at once; pools of all of them
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
Singles = np.typing.NDArray[np.float32]
MOST_PLACES = 400_000  # jobs x pools
WORK = 8_000_000  # with less effort left there are better uses for it
WORK_PER_STEP, WORK_PER_POOL, WORK_PER_LOAD, WORK_PER_JOB, WORK_PER_SET = 3_000, 150, 0.04, 6, 0.15


class PathSearch:
    """A plan that is bettered; who waits is placed first, in pools that are too full then, until all have room.

    `pool_j` (J,) is the best plan found, the pool after the last is to wait at `waiting_r` (R,); `cost` is what it costs.
    Several plans are followed at once, `COPIES` where pools are few: numpy takes little longer for all of them than for one.
    """

    def __init__(self, market: Market, plan: Jobs, key_rp: Floats, waiting_r: Floats) -> None:
        one = single(market, plan)
        self._size_jp, self._room_p, self._pools = one.size_jp, one.room_p, len(one.room_p)
        self.copies = max(1, min(COPIES, MOST_POOLS // self._pools))
        self._every = np.arange(len(plan.row_j))
        self._cost_jp = np.column_stack([market.open_cost_rp, waiting_r])[plan.row_j]
        self._key_jp = np.column_stack([key_rp, np.full(len(key_rp), np.inf)])[plan.row_j]  # nobody goes to no pool
        self._near_jc = np.argsort(key_rp, axis=1, kind="stable")[plan.row_j, :NEAREST]
        self._near_key_jc = np.take_along_axis(self._key_jp, self._near_jc, axis=1)
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
        self.pool_j, self.cost = pool_j.copy(), float(self._cost_of(pool_j[None])[0])
        self._follow(np.repeat(pool_j[None], self.copies, axis=0))

    def _follow(self, now_bj: Ints) -> None:
        """Go on with these plans; who waits in them goes where it is cheapest. Shape (B, J)."""
        self._now_bj = np.where(now_bj < self._pools, now_bj, self._key_jp.argmin(axis=1))
        self._overload_b = np.full(len(now_bj), self._overload)

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
                self._follow(np.repeat(self.pool_j[None], self.copies, axis=0))

    def polish(self, pool_bj: Ints, effort: Effort, rng: np.random.Generator) -> Ints:
        """The best that a few steps without noise make of plans that place all, or the best before. Shapes: (B, J) -> (J,)."""
        self._follow(pool_bj)
        for _ in range(QUIET):
            if effort.is_spent:
                break
            self._step(0.0, effort, rng)
        return self.pool_j

    def _step(self, noise: float, effort: Effort, rng: np.random.Generator) -> None:
        """Follow some paths through all pools of each plan once."""
        left_bp = self._left(self._now_bj)
        paths = self._paths(rng)
        moves = self._moves(paths, noise, rng)
        self._now_bj = _followed(self._now_bj, paths, moves, left_bp, self._overload_b, self._half)
        copies = len(left_bp)
        effort.spend(
            int(
                WORK_PER_STEP
                + (WORK_PER_POOL + WORK_PER_LOAD * self._half) * self._pools * copies
                + WORK_PER_JOB * self._now_bj.size
                + WORK_PER_SET * moves.cost_es.size
            )
        )
        full_b = (self._left(self._now_bj) < 0).any(axis=1)
        self._overload_b[full_b] *= MORE_OVERLOAD
        cost_b = np.where(full_b, np.inf, self._cost_of(self._now_bj))
        best = int(cost_b.argmin())
        if cost_b[best] < self.cost:
            self.pool_j, self.cost = self._now_bj[best].copy(), float(cost_b[best])

    def _left(self, pool_bj: Ints) -> Ints:
        """What plans leave of the pools' room. Shapes: (B, J) -> (B, P)."""
        code_bj = pool_bj + (np.arange(len(pool_bj)) * self._pools)[:, None]
        size_bj = self._size_jp[self._every, pool_bj]
        load = np.bincount(code_bj.ravel(), weights=size_bj.ravel(), minlength=len(pool_bj) * self._pools)
        return np.asarray(self._room_p - load.reshape(len(pool_bj), -1).astype(np.int64))

    def _paths(self, rng: np.random.Generator) -> Ints:
        """Pools of each plan in random order, the next one near to the one before, cut into paths.

        The last path of a plan is filled with no pool. Shape (B, G, H).
        """
        pools, now_bj = self._pools, self._now_bj
        copies = np.arange(len(now_bj))
        further_bjc = self._near_key_jc - self._key_jp[self._every, now_bj][:, :, None]
        weight_bjc = np.exp(-np.maximum(further_bjc, 0.0) / self._warmth)
        code_bjc = ((copies[:, None] * pools + now_bj) * pools)[:, :, None] + self._near_jc
        weight = np.bincount(code_bjc.ravel(), weights=weight_bjc.ravel(), minlength=len(copies) * pools * pools)
        weight_bpp = weight.reshape(-1, pools, pools)
        drawn_bpp = (weight_bpp + weight_bpp.transpose(0, 2, 1) + 1e-6) * rng.random(weight_bpp.shape)
        many = -(-pools // LENGTH)
        length = -(-pools // many)
        order_bp = np.full((len(copies), many * length), pools)
        at_b = rng.integers(pools, size=len(copies))
        for place in range(pools):
            order_bp[:, place] = at_b
            drawn_bpp[copies, :, at_b] = -1.0
            at_b = drawn_bpp[copies, at_b].argmax(axis=1)
        return order_bp.reshape(len(copies), many, length)

    def _moves(self, paths: Ints, noise: float, rng: np.random.Generator) -> "_Moves":
        """Each job forth or back along its path, whichever costs less, by chance where both cost about as much; the cheapest."""
        pools, now_bj = self._pools, self._now_bj
        copies, groups, length = paths.shape
        edges, places = length - 1, pools + 1  # the last place is no pool
        flat = paths.reshape(copies * groups, length) + np.repeat(np.arange(copies) * places, groups)[:, None]
        next_q, last_q, edge_q = (np.full(copies * places, value) for value in (pools, pools, 0))
        next_q[flat[:, :-1]], last_q[flat[:, 1:]] = flat[:, 1:] % places, flat[:, :-1] % places
        edge_q[flat] = np.arange(len(flat))[:, None] * edges + np.arange(length)
        now_q = (now_bj + (np.arange(copies) * places)[:, None]).ravel()
        job, now = np.tile(self._every, copies), now_bj.ravel()
        key = self._key_jp[job, now]
        on, back = (self._key_jp[job, towards_q[now_q]] - key for towards_q in (next_q, last_q))
        forth = on + rng.logistic(0.0, self._warmth / 2, len(job)) < back
        further = np.where(forth, on, back)
        some = np.flatnonzero(np.isfinite(further))
        forth, further, now_q = forth[some], further[some], now_q[some]
        edge = edge_q[now_q] - ~forth
        order = np.lexsort((further, edge))
        ordered = edge[order]
        rank = np.arange(len(some)) - np.searchsorted(ordered, ordered)
        first = order[rank < MOST_MOVES]
        some, forth, edge, rank, now_q = some[first], forth[first], edge[first], rank[rank < MOST_MOVES], now_q[first]
        job, source, target = job[some], now[some], np.where(forth, next_q[now_q], last_q[now_q])
        sets = _sets(int(rank.max(initial=0)) + 1)
        shape = (len(flat) * edges, sets.shape[1])
        before_et, after_et = (np.zeros(shape, dtype=np.float32) for _ in range(2))
        frees, takes = -self._size_jp[job, source], self._size_jp[job, target]
        before_et[edge, rank], after_et[edge, rank] = np.where(forth, (frees, takes), (takes, frees))
        cost_et = np.full(shape, NO_MOVE)
        cost_et[edge, rank] = self._cost_jp[job, target] - self._cost_jp[job, source]
        if noise:
            cost_et[edge, rank] += rng.normal(0.0, noise, len(job))
        at_et, target_et = (np.full(shape, -1) for _ in range(2))
        at_et[edge, rank], target_et[edge, rank] = some, target
        few = sets.astype(np.float32).T  # loads are small whole numbers, and exact
        return _Moves(at_et, target_et, sets > 0, before_et @ few, after_et @ few, cost_et @ sets.T)

    def _cost_of(self, pool_bj: Ints) -> Floats:
        return np.asarray(self._cost_jp[self._every, pool_bj].sum(axis=1))


@dataclass(frozen=True)
class _Moves:
    """Between neighbours (edges of all paths, path by path) single moves, and sets of them.

    Shapes: `at_et` which job of all plans, `target_et` (E, T), -1 for none; `member_st` (S, T); by edge and set (E, S) what the pool before
    and the one after get more, and what it costs.
    """

    at_et: Ints
    target_et: Ints
    member_st: Bools
    before_es: Singles
    after_es: Singles
    cost_es: Floats


def _followed(now_bj: Ints, paths: Ints, moves: _Moves, left_bp: Ints, overload_b: Floats, half: int) -> Ints:
    """The plans after the best sets of all edges. Pools that are too full pay `overload_b` a unit, no other becomes so.

    Shapes: `now_bj` (B, J), `paths` (B, G, H), `left_bp` (B, P), `overload_b` (B,). Loads on the way change by `half` at most.
    """
    copies, groups, length = paths.shape
    many, width = copies * groups, 2 * half + 1
    left_bq = np.column_stack([left_bp, np.full(copies, width)])
    left_gh = left_bq[np.arange(copies)[:, None, None], paths].reshape(many, length)
    overload_g = np.repeat(overload_b, groups)
    g, every = np.arange(many), np.arange(width)
    begin_g = (g * (width + 2))[:, None, None]  # the first and the last place of each path are for what is too far
    before_ges, after_ges, cost_ges = (
        array.reshape(many, length - 1, -1) for array in (moves.before_es, moves.after_es, moves.cost_es)
    )
    limit_gh = (left_gh + half + 1).astype(np.float32)
    from_ges = (limit_gh[:, :-1, None] - before_ges).clip(0, width).astype(np.intp) + begin_g
    to_ges = (after_ges + np.float32(half + 1)).clip(0, width + 1).astype(np.intp) + begin_g
    least_gw = np.full((many, width + 2), NEVER)
    least_gw[:, half + 1] = 0.0
    leasts, totals = [least_gw], []
    for h in range(length - 1):
        room_gw = _within(least_gw, left_gh[:, h], overload_g)
        total_gs = room_gw.take(from_ges[:, h]) + cost_ges[:, h]
        least_gw = np.full((many, width + 2), NEVER)
        np.minimum.at(least_gw.reshape(-1), to_ges[:, h].reshape(-1), total_gs.reshape(-1))
        least_gw[:, [0, -1]] = NEVER
        leasts.append(least_gw)
        totals.append(total_gs)
    then_n, limit_g = now_bj.flatten(), left_gh[:, -1] + half
    for h in range(length - 1, 0, -1):
        w_g = _cheapest(leasts[h][:, 1:-1], every, limit_g, left_gh[:, h], overload_g)
        reached_g = leasts[h][g, w_g + 1]
        here_gs = to_ges[:, h - 1] == (begin_g[:, 0, 0] + w_g + 1)[:, None]
        set_g = (here_gs & (totals[h - 1] == reached_g[:, None])).argmax(axis=1)
        path, move = np.nonzero(moves.member_st[set_g])
        edge = path * (length - 1) + h - 1
        then_n[moves.at_et[edge, move]] = moves.target_et[edge, move]
        limit_g = left_gh[:, h - 1] + half - before_ges[g, h - 1, set_g].astype(np.int64)
    return then_n.reshape(now_bj.shape)


def _cheapest(least_gw: Floats, every: Ints, limit_g: Ints, left_g: Ints, overload_g: Floats) -> Ints:
    """Where it costs least that a pool gets no more than its limit, or more where it is too full. Shape (G,)."""
    dear_gw = np.where(every > limit_g[:, None], NEVER, least_gw)
    full = np.flatnonzero(left_g < 0)
    if len(full):
        dear_gw[full] = least_gw[full] + overload_g[full, None] * np.maximum(every - limit_g[full, None], 0)
    return np.asarray(dear_gw.argmin(axis=1))


def _within(least_gw: Floats, left_g: Ints, overload_g: Floats) -> Floats:
    """What it costs least that the path so far brings a pool at most so much; more has its price where a pool is too full."""
    room_gw = np.minimum.accumulate(least_gw, axis=1)
    full = np.flatnonzero(left_g < 0)
    if len(full):
        worth = np.arange(least_gw.shape[1]) * overload_g[full, None]
        over = np.minimum.accumulate((least_gw[full] + worth)[:, ::-1], axis=1)[:, ::-1] - worth
        room_gw[full] = np.minimum(room_gw[full], over)
    room_gw[:, 0] = NEVER
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
