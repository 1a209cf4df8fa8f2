"""Small markets with one scarce resource, through knapsacks: a better bound, proofs, and the plans between bound and proof.

What is relaxed is that every job has one place (multipliers v_j); what is left is a knapsack a pool, solved exactly. Its bound
is better than that of prices, and it says of every column (a job in a pool) what forcing it in or out costs at least: at a
target close above the bound few jobs are left open. Such targets are searched one after the other: without a find the bound
rises, a find is the next plan to beat (Posta, Ferland and Michelon 2012; Fisher, Jaikumar and Van Wassenhove 1986). What the
knapsacks took on the way to the multipliers is close to a plan in fractions, from which plans are drawn (Barahona and Anbil 2000). Each
knapsack is solved over its core: the columns about the critical ratio, and more where that is not proven to do (Pisinger 1995).
Many nodes of the tree are looked at together, each knapsack is a row of one array.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.market import Market
from suanli.placement.prices import scarce

MOST_ROOM = 20_000  # of a pool, in units of the resource
MOST_PLACES = 100_000  # jobs x pools
MOST_COLUMNS = 12  # a job, on average
NEVER = -1e30  # the profit of a column that may not be taken
CORE, WIDE_CORE = 16, 40  # columns of a knapsack that are not decided by ratio alone; where losses are asked for
ROOT_STEPS = 150
WHOLE = 3  # times the root's work: with less effort the trees would not come to anything
COOLING, NODE_COOLING = 0.01, 0.2  # the last step as a share of the first
INERTIA, NODE_INERTIA = 0.8, 0.7  # how much of its direction a step keeps
BACK_AFTER = 8  # steps without gain after which the best multipliers are taken up again
FIRST_STEPS, STEPS = 20, 8  # at the first node of a tree, at the others
WORK_PER_CELL, WORK_PER_COLUMN, WORK_PER_STEP = 0.1, 4, 8_000


@dataclass(frozen=True)
class _Manner:
    """How a tree is searched: nodes at a time, first step in usual differences, share of the sure jobs that are settled at once."""

    nodes: int
    step: float
    settled: float


THOROUGH = _Manner(16, 0.15, 0.0)
BOLD = (_Manner(4, 0.3, 0.8), _Manner(4, 0.15, 0.5), _Manner(4, 0.3, 0.5))  # in turn
NODES = 160  # of a tree, before another one is looked at
FAR, CLOSE = 6.0, 2.0  # usual differences above the bound: a bold target; what a plan costs when proofs begin
AHEAD = (0.25, 1.0, 0.12, 0.5)  # bold targets in turn, times `FAR`
TRIAL = 0.6  # of the effort may be spent before anything is found
DIVES, DIVES_IN_VAIN = 0.7, 4  # of the effort; so many in vain end them
DIVING = _Manner(8, 0.15, 0.5)
DEPTHS = (1.0, 0.5)  # of the way from the bound to the plan, in turn: what a dive aims at
FIRST_SETTLED, SETTLED = 0.85, 0.1  # of the jobs that are sure at first, of those still open at every level: settled
SURE, DOUBT = 0.99, 0.05  # of the steps in one place; by how much shares are shaken
LEVEL_STEPS = 16
FEW_JOBS = 12  # so few are left to a tree
TRIES = 4  # in vain before a proof is tried, and trees get more nodes


@dataclass(frozen=True)
class _Nodes:
    """Nodes of a tree. Shapes: `multiplier_bj` (B, J), `open_bc` (B, C), `bound_b` (B,), `share_bc` (B, C): of steps it was taken."""

    multiplier_bj: Floats
    open_bc: Bools
    bound_b: Floats
    share_bc: Floats

    def __getitem__(self, some: Ints | Bools | slice) -> "_Nodes":
        return _Nodes(self.multiplier_bj[some], self.open_bc[some], self.bound_b[some], self.share_bc[some])

    def __add__(self, other: "_Nodes") -> "_Nodes":
        return _Nodes(
            np.vstack([self.multiplier_bj, other.multiplier_bj]),
            np.vstack([self.open_bc, other.open_bc]),
            np.concatenate([self.bound_b, other.bound_b]),
            np.vstack([self.share_bc, other.share_bc]),
        )


Polish = Callable[
    [Ints, Effort], Ints
]  # of plans (B, J), the pools of which may be too full, the best that becomes of one (J,)


class Columns:
    """Jobs that have to be in one of some pools each.

    Shapes: `job`, `pool`, `cost`, `size` (C,), sorted by pool, whole numbers; `room_p` (P,). Every job has a column.
    """

    def __init__(self, job: Ints, pool: Ints, cost: Floats, size: Ints, room_p: Ints) -> None:
        order = np.lexsort((job, pool))
        self.job, self.pool, self.cost, self.size, self.room_p = (
            job[order],
            pool[order],
            cost[order],
            size[order],
            room_p,
        )
        many = np.bincount(pool, minlength=len(room_p))
        self._place = np.arange(len(job)) - (np.cumsum(many) - many)[self.pool]
        self._at_pd = np.full((len(room_p), int(many.max(initial=1))), len(job))
        self._at_pd[self.pool, self._place] = np.arange(len(job))
        self._size_pd = np.append(self.size, 0)[self._at_pd]
        self.by_job = np.argsort(self.job, kind="stable")
        self.first_j = np.flatnonzero(np.diff(self.job[self.by_job], prepend=-1))

    def top_of_job(self, worth_c: Floats) -> Ints:
        """The column of each job that is worth most. Shapes: (C,) -> (J,)."""
        order = np.lexsort((worth_c, self.job))
        return np.asarray(order[np.append(self.first_j[1:], len(order)) - 1])

    def of_job(self, some_bc: Bools) -> Ints:
        """How many columns of each job are among these. Shapes: (B, C) -> (B, J)."""
        return np.asarray(np.add.reduceat(some_bc[:, self.by_job], self.first_j, axis=1, dtype=np.int64))

    def relaxed(self, multiplier_bj: Floats, open_bc: Bools, effort: Effort) -> tuple[Floats, Bools]:
        """The bound and what the knapsacks take. Shapes: (B, J), (B, C) -> (B,), (B, C)."""
        profit, size, room = self._rows(multiplier_bj, open_bc)
        value, taken = knapsacks(profit, size, room, effort)
        return self._bound(multiplier_bj, value), np.asarray(self._in_columns(taken), dtype=bool)

    def narrowed(self, multiplier_bj: Floats, open_bc: Bools, target: float, effort: Effort) -> tuple[Floats, Bools]:
        """The bound, and the columns that a plan of at most `target` may use. Shapes: (B, J), (B, C) -> (B,), (B, C)."""
        profit, size, room = self._rows(multiplier_bj, open_bc)
        value, _ = knapsacks(profit, size, room, effort)
        bound_b = self._bound(multiplier_bj, value)
        slack_b = np.maximum(target - bound_b, 0.0)
        loss_in, loss_out = losses(profit, size, room, value, np.repeat(slack_b, len(self.room_p)), effort)
        must = open_bc & (self._in_columns(loss_out) > slack_b[:, None])
        settled = self.of_job(must)[:, self.job] > 0
        return bound_b, open_bc & (self._in_columns(loss_in) <= slack_b[:, None]) & (must | ~settled)

    def _rows(self, multiplier_bj: Floats, open_bc: Bools) -> tuple[Floats, Ints, Ints]:
        """Every pool of every node a knapsack."""
        nodes = len(multiplier_bj)
        profit_bc = np.full((nodes, len(self.job) + 1), NEVER)
        profit_bc[:, :-1] = np.where(open_bc, multiplier_bj[:, self.job] - self.cost, NEVER)
        shape = (nodes * len(self.room_p), self._at_pd.shape[1])
        return profit_bc[:, self._at_pd].reshape(shape), np.tile(self._size_pd, (nodes, 1)), np.tile(self.room_p, nodes)

    def _bound(self, multiplier_bj: Floats, value: Floats) -> Floats:
        return np.asarray(multiplier_bj.sum(axis=1) - value.reshape(len(multiplier_bj), -1).sum(axis=1))

    def _in_columns(self, rows: Floats | Bools) -> Floats | Bools:
        """Of knapsacks back to nodes and columns. Shapes: (B * P, D) -> (B, C)."""
        return rows.reshape(-1, *self._at_pd.shape)[:, self.pool, self._place]


def knapsacks(profit: Floats, size: Ints, room: Ints, effort: Effort) -> tuple[Floats, Bools]:
    """The most profit of each knapsack, and what it takes. Shapes: (N, D), (N, D), (N,) -> (N,), (N, D)."""
    reduced, bound = _by_ratio(profit, size, room)
    return _over_cores(profit, size, room, reduced, bound, CORE, effort)


def losses(
    profit: Floats, size: Ints, room: Ints, value: Floats, slack: Floats, effort: Effort
) -> tuple[Floats, Floats]:
    """What it costs each knapsack at least to take a column, and not to take it; exact up to about `slack` (N,).

    Shapes: as in `knapsacks`, `value` (N,) the most profit -> (N, D), (N, D).
    """
    reduced, bound = _by_ratio(profit, size, room)
    gap = bound - value
    far = np.maximum(np.abs(reduced) - gap[:, None], 0.0)
    loss_in, loss_out = np.where(reduced <= 0, far, 0.0), np.where(reduced > 0, far, 0.0)
    near = int((np.abs(reduced) <= (gap + slack)[:, None]).sum(axis=1).max(initial=0))
    core, beyond, _, room = _core(profit, size, room, reduced, min(WIDE_CORE, near))
    profit, size = np.take_along_axis(profit, core, axis=1), np.take_along_axis(size, core, axis=1)
    dead = profit <= NEVER / 2
    profit, size = np.where(dead, 0.0, profit), np.where(dead, 0, size)
    room = np.minimum(room, size.sum(axis=1))
    knapsack, items = profit.shape
    width, largest = int(room.max(initial=0)) + 1, int(size.max(initial=0))
    stride = largest + width
    effort.spend(int(4 * WORK_PER_CELL * knapsack * items * stride + WORK_PER_STEP))
    ahead = np.full((items + 1, knapsack, stride), -np.inf)  # what the columns before yield within so much room
    ahead[0, :, largest:] = 0.0
    begin = (np.arange(knapsack) * stride)[:, None] + np.arange(width)
    for t in range(items):
        ahead[t + 1] = ahead[t]
        taking = ahead[t].ravel().take(begin + largest - size[:, t, None]) + profit[:, t, None]
        np.maximum(ahead[t, :, largest:], taking, out=ahead[t + 1, :, largest:])
    behind = np.full((knapsack, stride), -np.inf)  # what the columns after yield when so much room is used
    behind[:, :width] = np.where(np.arange(width) <= room[:, None], 0.0, -np.inf)
    best = ahead[items, np.arange(knapsack), largest + room][:, None]
    within, without = np.empty(profit.shape), np.empty(profit.shape)
    for t in range(items - 1, -1, -1):
        before = ahead[t, :, largest:]
        taking = behind.ravel().take(begin + size[:, t, None]) + profit[:, t, None]
        within[:, t] = (before + taking).max(axis=1)
        without[:, t] = (before + behind[:, :width]).max(axis=1)
        np.maximum(behind[:, :width], taking, out=behind[:, :width])
    most = np.maximum(beyond - gap, 0.0)[:, None]  # what lies beyond the core may make good more than that
    np.put_along_axis(loss_in, core, np.where(dead, np.inf, np.minimum(best - within, most)), axis=1)
    np.put_along_axis(loss_out, core, np.minimum(best - without, most), axis=1)
    return loss_in, loss_out


def _by_ratio(profit: Floats, size: Ints, room: Ints) -> tuple[Floats, Floats]:
    """Profit less the critical price of the room, and Dantzig's bound. Shapes: (N, D), (N,)."""
    ratio = profit / np.maximum(size, 1e-9)
    order = np.argsort(-ratio, axis=1, kind="stable")
    full = np.cumsum(np.take_along_axis(size, order, axis=1), axis=1) <= room[:, None]
    critical = np.minimum(full.sum(axis=1), full.shape[1] - 1)[:, None]
    price = np.take_along_axis(ratio, np.take_along_axis(order, critical, axis=1), axis=1)[:, 0].clip(0.0)
    price[full.all(axis=1)] = 0.0
    reduced = profit - price[:, None] * size
    return reduced, np.asarray(np.maximum(reduced, 0.0).sum(axis=1) + price * room)


def _core(profit: Floats, size: Ints, room: Ints, reduced: Floats, items: int) -> tuple[Ints, Floats, Bools, Ints]:
    """The columns nearest to the critical ratio, how near the next one is, what is in of the others, and the room left."""
    if items < reduced.shape[1]:
        order = np.argpartition(np.abs(reduced), items, axis=1)
        core = order[:, :items]
        beyond = np.abs(np.take_along_axis(reduced, order[:, items : items + 1], axis=1))[:, 0]
    else:
        core, beyond = np.tile(np.arange(reduced.shape[1]), (len(reduced), 1)), np.full(len(reduced), np.inf)
    inside = reduced > 0
    np.put_along_axis(inside, core, False, axis=1)
    return core, beyond, inside, room - (size * inside).sum(axis=1)


def _over_cores(
    profit: Floats, size: Ints, room: Ints, reduced: Floats, bound: Floats, items: int, effort: Effort
) -> tuple[Floats, Bools]:
    """By cores of so many columns, and of twice as many where that does not prove itself."""
    core, beyond, taken, left = _core(profit, size, room, reduced, items)
    core_profit, core_size = np.take_along_axis(profit, core, axis=1), np.take_along_axis(size, core, axis=1)
    useful = core_profit > 0
    core_profit, core_size = np.where(useful, core_profit, 0.0), np.where(useful, core_size, 0)
    core_value, core_taken = _whole(core_profit, core_size, np.minimum(left, core_size.sum(axis=1)), effort)
    value = (np.where(taken, profit, 0.0)).sum(axis=1) + core_value
    np.put_along_axis(taken, core, core_taken, axis=1)
    open_ = np.flatnonzero(bound - value > beyond)
    if len(open_):
        value[open_], taken[open_] = _over_cores(
            profit[open_], size[open_], room[open_], reduced[open_], bound[open_], 2 * items, effort
        )
    return value, taken


def _whole(profit: Floats, size: Ints, room: Ints, effort: Effort) -> tuple[Floats, Bools]:
    """Knapsacks by dynamic programming over room, all at once (Bellman 1957)."""
    knapsack, items = profit.shape
    width, largest = int(room.max(initial=0)) + 1, int(size.max(initial=0))
    stride = largest + width
    effort.spend(int(WORK_PER_CELL * knapsack * items * width + WORK_PER_STEP))
    most = np.full((knapsack, stride), -np.inf)
    within = most[:, largest:]
    within[:] = 0.0
    takes = np.empty((items, knapsack, width), dtype=bool)
    begin = (np.arange(knapsack) * stride)[:, None] + largest + np.arange(width)
    for t in range(items):
        taking = most.ravel().take(begin - size[:, t, None])
        taking += profit[:, t, None]
        np.greater(taking, within, out=takes[t])
        np.maximum(within, taking, out=within)
    every, left, taken = np.arange(knapsack), room.copy(), np.zeros((knapsack, items), dtype=bool)
    for t in range(items - 1, -1, -1):
        taken[:, t] = takes[t, every, left]
        left -= taken[:, t] * size[:, t]
    return within[every, room], taken


class _Tree:
    """The search for a plan of at most `target` over some columns.

    `unit` is a usual difference of costs, `heavy` more than any multiplier: it holds a job in its only column.
    """

    def __init__(
        self, columns: Columns, multiplier_j: Floats, target: float, unit: float, heavy: float, manner: _Manner
    ) -> None:
        self.columns, self.target, self.unit, self.heavy, self.manner = columns, target, unit, heavy, manner
        self.taken: Bools | None = None
        self._multiplier_j = multiplier_j
        self._nodes: _Nodes | None = None

    def search(self, most_nodes: int, effort: Effort) -> bool:
        """Look at so many nodes more. Whether it came to an end: found (`taken` (C,) says what), or all looked through."""
        if self._nodes is None:
            every = np.ones((1, len(self.columns.job)), dtype=bool)
            self._nodes = self.climbed(self._multiplier_j[None, :], every, FIRST_STEPS, effort)
        while len(self._nodes.bound_b) and self.taken is None:
            if most_nodes <= 0 or effort.is_spent:
                return False
            settled = (self.columns.of_job(self._nodes.open_bc) == 1).sum(axis=1)
            order = np.lexsort((self._nodes.bound_b, -settled))
            now, later = self._nodes[order[: self.manner.nodes]], self._nodes[order[self.manner.nodes :]]
            most_nodes -= len(now.bound_b)
            multiplier_bj, open_bc = self._branched(now)
            self._nodes = later + self.climbed(multiplier_bj, open_bc, STEPS, effort)
        return True

    def pools(self, taken_c: Ints | Bools) -> Ints:
        """The pools of columns that are one of each job. Shape (J,)."""
        pool_j = np.empty(len(self.columns.first_j), dtype=np.int64)
        pool_j[self.columns.job[taken_c]] = self.columns.pool[taken_c]
        return pool_j

    def leaning(self) -> Ints | None:
        """The column that each job was most often in, at the node where most are settled: pools may be too full. Shape (J,)."""
        columns, nodes = self.columns, self._nodes
        if nodes is None or not len(nodes.bound_b):
            return None
        settled = (columns.of_job(nodes.open_bc) == 1).sum(axis=1)
        best = np.lexsort((nodes.bound_b, -settled))[0]
        return columns.top_of_job(np.where(nodes.open_bc[best], nodes.share_bc[best], -1.0))

    def _branched(self, nodes: _Nodes) -> tuple[Floats, Bools]:
        """The job that was least sure where it was most often, and anywhere else."""
        columns, b = self.columns, np.arange(len(nodes.bound_b))
        share = np.where(nodes.open_bc, nodes.share_bc, -1.0)
        top = np.maximum.reduceat(share[:, columns.by_job], columns.first_j, axis=1)
        several = columns.of_job(nodes.open_bc) > 1
        job = np.where(several, top, np.inf).argmin(axis=1)
        own = columns.job[None, :] == job[:, None]
        column = np.where(own, share, -2.0).argmax(axis=1)
        there, elsewhere = nodes.open_bc & ~own, nodes.open_bc.copy()
        there[b, column], elsewhere[b, column] = True, False
        if self.manner.settled:
            there &= ~self._rivals(share, top, several)
        open_bc = np.vstack([there, elsewhere])
        return self._held(np.vstack([nodes.multiplier_bj, nodes.multiplier_bj]), open_bc), open_bc

    def _rivals(self, share: Floats, top: Floats, several: Bools) -> Bools:
        """The other columns of some of the jobs that were always in one place and nowhere else."""
        columns = self.columns
        always = share >= 1.0
        sure = several & (top >= 1.0) & (columns.of_job(share > 0) == 1)
        enough = np.maximum(1, (several.sum(axis=1) * self.manner.settled).astype(np.int64))
        some = sure & (np.cumsum(sure, axis=1) <= enough[:, None])
        return np.asarray(some[:, columns.job] & ~always)

    def _held(self, multiplier_bj: Floats, open_bc: Bools) -> Floats:
        only = self.columns.of_job(open_bc) == 1
        return np.where(only & (multiplier_bj < self.heavy / 2), multiplier_bj + self.heavy, multiplier_bj)

    def climbed(self, multiplier_bj: Floats, open_bc: Bools, steps: int, effort: Effort) -> _Nodes:
        """Better multipliers, fewer columns, and of the nodes those that may still hold a plan."""
        columns, share_bc = self.columns, np.zeros(open_bc.shape)
        best_bj, best_b, along_bj = multiplier_bj, np.full(len(multiplier_bj), -np.inf), np.zeros(multiplier_bj.shape)
        for step in range(steps):
            bound_b, taken_bc = columns.relaxed(multiplier_bj, open_bc, effort)
            slope_bj = 1.0 - columns.of_job(taken_bc)
            found = np.flatnonzero(~slope_bj.any(axis=1) & (bound_b <= self.target))
            if len(found):
                self.taken = taken_bc[found[0]]
                break
            best_bj = np.where((bound_b > best_b)[:, None], multiplier_bj, best_bj)
            best_b = np.maximum(best_b, bound_b)
            share_bc += taken_bc
            if effort.is_spent:
                break
            along_bj = (1.0 - NODE_INERTIA) * slope_bj + NODE_INERTIA * along_bj
            length = self.unit * self.manner.step * NODE_COOLING ** (step / steps)
            multiplier_bj = multiplier_bj + length * _directions(along_bj)
        bound_b, open_bc = columns.narrowed(best_bj, open_bc, self.target, effort)
        keep = (bound_b <= self.target) & (columns.of_job(open_bc) > 0).all(axis=1)
        nodes = _Nodes(best_bj, open_bc, bound_b, share_bc / steps)[keep]
        return _Nodes(self._held(nodes.multiplier_bj, nodes.open_bc), nodes.open_bc, nodes.bound_b, nodes.share_bc)


def _directions(along_bj: Floats) -> Floats:
    return np.asarray(along_bj / np.maximum(np.linalg.norm(along_bj, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True)
class _Attempt:
    """Where jobs have to be (J,), which of them are open, and the tree of these; no `pool_j` where nothing can be found."""

    target: int
    pool_j: Ints | None
    jobs: Ints
    tree: _Tree | None

    def with_open(self, pool_j: Ints) -> Ints:
        """The plan with the open jobs there. Shapes: as many as are open -> (J,)."""
        whole_j = np.zeros(len(self.jobs), dtype=np.int64) if self.pool_j is None else self.pool_j.copy()
        whole_j[self.jobs] = pool_j
        return whole_j


class KnapsackSearch:
    """Narrows the space between a plan and what is proven of all that place every job, from both sides.

    `pool_j` (J,) is the best plan so far, the pool after the last is to wait at `waiting_r` (R,); `cost` is what it costs, `bound` what every plan that places all costs at least.
    """

    def __init__(self, market: Market, plan: Jobs, key_rp: Floats, waiting_r: Floats, bound: int) -> None:
        self.pool_j, self.bound = plan.pool_j.copy(), bound
        self._row_j, self._cost_rp = plan.row_j, np.column_stack([market.open_cost_rp, waiting_r])
        self.cost = self._cost_of(self.pool_j)
        self._polish: Polish | None = None
        one = single(market, plan)
        self._size_jp, self._room_p = one.size_jp, one.room_p
        key_jp = key_rp[plan.row_j]
        self._share_jp = np.zeros(key_jp.shape)
        self._least_j, self._least_pool_j = key_jp.min(axis=1), key_jp.argmin(axis=1)
        second = np.partition(key_jp, 1, axis=1)[:, 1] - self._least_j
        self._unit = max(1.0, float(np.median(second[np.isfinite(second)]))) if np.isfinite(second).any() else 1.0
        regret_jp = key_jp - self._least_j[:, None]
        self._open_jp = regret_jp <= self.cost - bound + 1.0  # plans with any other column cost more
        self._heavy = 1e3 * (1.0 + float(np.ptp(market.open_cost_rp[market.allowed_rp])))
        self._rounding = 1e-6 + 1e-12 * self._heavy * len(plan.row_j)

    def better(
        self, effort: Effort, polish: Polish | None = None, rng: np.random.Generator | None = None, copies: int = 1
    ) -> None:
        """Try targets above the bound until the plan and the bound meet, for long nothing is found, or the effort is spent.

        Boldly, until something is found; when the plan is close to the bound or little is found, thoroughly at the bound, which
        raises it. As long as nothing is found at all, so much of the effort as is `TRIAL`. `polish` makes of plans that were found,
        `copies` at a time, one that is at least as good; with it and `rng` dives come first.
        """
        self._polish = polish
        left, started = effort.part(TRIAL), self.cost
        multiplier_j, proof, vain = self._root(left), None, 0
        if polish is not None and rng is not None:
            self._dive(multiplier_j, effort.part(DIVES), rng, copies)
        left = effort if self.cost < started else left
        while self.bound < self.cost and vain < TRIES * effort.patience and not left.is_spent:
            before, gap = self.cost, int(self.cost - self.bound)
            ahead = min(FAR * self._unit, gap) * AHEAD[vain % len(AHEAD)]
            target = self.bound + min(max(1, int(ahead)), gap - 1)
            nodes = NODES * (1 + vain // TRIES)
            self._ends(self._attempt(multiplier_j, target, BOLD[vain % len(BOLD)], left), nodes, left)
            vain = vain + 1 if self.cost == before else 0
            left = effort if self.cost < started else left
            if self.cost - self.bound <= CLOSE * self._unit or (vain and vain % TRIES == 0):
                proof = self._proven(proof, multiplier_j, nodes, left)

    def _proven(self, proof: "_Attempt | None", multiplier_j: Floats, nodes: int, effort: Effort) -> "_Attempt | None":
        """Look thoroughly for plans at the bound: without any it rises. The attempt that is not at its end."""
        while self.bound < self.cost and not effort.is_spent:
            proof = proof or self._attempt(multiplier_j, min(self.bound, int(self.cost) - 1), THOROUGH, effort)
            if not self._ends(proof, nodes, effort):
                return proof
            self.bound, proof = self.bound if self.cost <= proof.target else proof.target + 1, None
        return None

    def _root(self, effort: Effort) -> Floats:
        """Multipliers by steps along the slope, each shorter than the one before; raises the bound. Shape (J,)."""
        columns = self._columns(self._open_jp)
        multiplier_bj, every = self._least_j[None, :], np.ones((1, len(columns.job)), dtype=bool)
        best_bj, best, idle, along_bj = multiplier_bj, -np.inf, 0, np.zeros(multiplier_bj.shape)
        many_c = np.zeros(len(columns.job))
        for step in range(ROOT_STEPS):
            (bound,), taken_bc = columns.relaxed(multiplier_bj, every, effort)
            best_bj, best, idle = (multiplier_bj, bound, 0) if bound > best else (best_bj, best, idle + 1)
            slope_bj = 1.0 - columns.of_job(taken_bc)
            if 2 * step >= ROOT_STEPS:
                many_c += taken_bc[0]
            if effort.is_spent or not slope_bj.any():
                break
            along_bj = (1.0 - INERTIA) * slope_bj + INERTIA * along_bj
            if idle >= BACK_AFTER:
                multiplier_bj, idle = best_bj, 0
            multiplier_bj = multiplier_bj + self._unit * COOLING ** (step / ROOT_STEPS) * _directions(along_bj)
        self._share_jp[columns.job, columns.pool] = many_c
        self.bound = max(self.bound, min(math.ceil(best - self._rounding), int(self.cost)))
        return np.asarray(best_bj[0])

    def _attempt(self, multiplier_j: Floats, target: int, manner: _Manner, effort: Effort) -> "_Attempt":
        """A search for a plan of at most `target`, over the columns that such a plan may use."""
        open_jp = self._narrowed(multiplier_j, target, effort)
        if open_jp is None:
            return _Attempt(target, None, np.empty(0, dtype=np.int64), None)
        return self._rest(open_jp, multiplier_j, target, manner)

    def _narrowed(self, multiplier_j: Floats, target: int, effort: Effort) -> Bools | None:
        """The columns that a plan of at most `target` may use; None if there is no such plan. Shape (J, P)."""
        columns, limit = self._columns(self._open_jp), target + self._rounding
        every = np.ones((1, len(columns.job)), dtype=bool)
        (bound,), open_bc = columns.narrowed(multiplier_j[None, :], every, limit, effort)
        open_jp = np.zeros(self._open_jp.shape, dtype=bool)
        open_jp[columns.job[open_bc[0]], columns.pool[open_bc[0]]] = True
        return open_jp if bound <= limit else None

    def _rest(self, open_jp: Bools, multiplier_j: Floats, target: int, manner: _Manner) -> "_Attempt":
        """A search for a plan of at most `target` among the jobs that have several columns left, in the room that the others leave."""
        rest, nobody = self._settled(open_jp), np.empty(0, dtype=np.int64)
        if rest is None:
            return _Attempt(target, None, nobody, None)
        open_jp, room_p = rest
        only, pool_j = open_jp.sum(axis=1) == 1, open_jp.argmax(axis=1)
        jobs = np.flatnonzero(~only)
        if not len(jobs):
            return _Attempt(target, pool_j, nobody, None)
        some = _columns_of(open_jp[jobs], self._cost_rp[self._row_j[jobs]], self._size_jp[jobs], room_p)
        settled = float(self._cost_rp[self._row_j[only], pool_j[only]].sum())
        limit = target + self._rounding - settled
        return _Attempt(target, pool_j, jobs, _Tree(some, multiplier_j[jobs], limit, self._unit, self._heavy, manner))

    def _ends(self, attempt: "_Attempt", nodes: int, effort: Effort) -> bool:
        """Go on with it for so many nodes; whether it came to an end. A plan that it finds is taken over."""
        pool_j, tree = attempt.pool_j, attempt.tree
        if pool_j is None:
            return True
        ended = True
        if tree is not None:
            ended = tree.search(nodes, effort)
            taken = tree.leaning() if not ended and tree.manner.settled else tree.taken
            if taken is None:
                return ended
            pool_j = attempt.with_open(tree.pools(taken))
        self._take(pool_j[None], effort)
        return ended

    def _dive(self, multiplier_j: Floats, effort: Effort, rng: np.random.Generator, copies: int) -> None:
        """Dive again and again, and polish what comes of it."""
        vain = 0
        while vain < DIVES_IN_VAIN and self.bound < self.cost and not effort.is_spent:
            before = self.cost
            target = max(self.bound, math.ceil(self.bound + (self.cost - self.bound) * DEPTHS[vain % len(DEPTHS)]) - 1)
            pool_j = self._dived(multiplier_j, target, effort, rng)
            if pool_j is not None:
                self._take(np.repeat(pool_j[None], copies, axis=0), effort)
            vain = 0 if self.cost < before else vain + 1

    def _dived(self, multiplier_j: Floats, target: int, effort: Effort, rng: np.random.Generator) -> Ints | None:
        """A plan of about `target`, some pools of which may be too full; None where nothing came of it. Shape (J,).

        The surest jobs are settled, multipliers climb with what is left, and again, until few jobs are open. By chance where jobs
        are as sure as others, so that no two dives are alike.
        """
        open_jp = self._narrowed(multiplier_j, target, effort)
        if open_jp is None:
            return None
        open_jp, multiplier_j, leaning_j = self._sure(open_jp, rng), multiplier_j.copy(), None
        while True:
            attempt = self._rest(open_jp, multiplier_j, target, DIVING)
            jobs, tree = attempt.jobs, attempt.tree
            if tree is None or effort.is_spent:
                return leaning_j if attempt.pool_j is None else attempt.pool_j
            columns = tree.columns
            if len(jobs) <= FEW_JOBS:
                tree.search(NODES, effort)
                taken = tree.leaning() if tree.taken is None else tree.taken
                return leaning_j if taken is None else attempt.with_open(tree.pools(taken))
            every = np.ones((1, len(columns.job)), dtype=bool)
            nodes = tree.climbed(multiplier_j[None, jobs], every, LEVEL_STEPS, effort)
            if tree.taken is not None:
                return attempt.with_open(tree.pools(tree.taken))
            if not len(nodes.bound_b):
                return leaning_j
            multiplier_j[jobs] = nodes.multiplier_bj[0]
            share_c = np.where(nodes.open_bc[0], nodes.share_bc[0] + DOUBT * rng.random(len(columns.job)), -1.0)
            top_j = columns.top_of_job(share_c)
            leaning_j = attempt.with_open(columns.pool[top_j])
            open_jp[jobs] = False
            open_jp[jobs[columns.job[nodes.open_bc[0]]], columns.pool[nodes.open_bc[0]]] = True
            many = math.ceil(SETTLED * len(jobs))
            surest = np.argsort(-share_c[top_j], kind="stable")[:many]
            self._settle(open_jp, jobs[surest], columns.pool[top_j[surest]], columns.room_p)

    def _sure(self, open_jp: Bools, rng: np.random.Generator) -> Bools:
        """With most of those jobs settled that were in one place only on the way to the multipliers."""
        many_j, every = self._share_jp.sum(axis=1), np.arange(len(open_jp))
        top_j = self._share_jp.argmax(axis=1)
        sure = (self._share_jp[every, top_j] >= SURE * np.maximum(many_j, 1.0)) & open_jp[every, top_j]
        some = np.flatnonzero(sure & (rng.random(len(sure)) < FIRST_SETTLED))
        self._settle(open_jp, some, top_j[some], self._room_p)
        return open_jp

    def _settle(self, open_jp: Bools, jobs: Ints, pools: Ints, room_p: Ints) -> None:
        """Leave jobs no other pool, one after the other, as long as it has room for them."""
        left_p = room_p.copy()
        for job, pool in zip(jobs.tolist(), pools.tolist(), strict=True):
            if self._size_jp[job, pool] <= left_p[pool]:
                left_p[pool] -= self._size_jp[job, pool]
                open_jp[job] = False
                open_jp[job, pool] = True

    def _take(self, pool_bj: Ints, effort: Effort) -> None:
        """Take over what becomes of plans, if no pool is too full then and it is better."""
        pool_j = self._polish(pool_bj, effort) if self._polish is not None else pool_bj[0]
        cost = self._cost_of(pool_j)
        if cost < self.cost and (pool_j < len(self._room_p)).all():
            load_p = np.bincount(pool_j, self._size_jp[np.arange(len(pool_j)), pool_j], len(self._room_p))
            if (load_p <= self._room_p).all():
                self.pool_j, self.cost = pool_j, cost

    def _settled(self, open_jp: Bools) -> tuple[Bools, Ints] | None:
        """Without the columns that jobs with one place left leave no room for, and the room they leave; None if that fails."""
        while True:
            many = open_jp.sum(axis=1)
            room_p = self._room_p - (self._size_jp * (open_jp & (many == 1)[:, None])).sum(axis=0)
            if (many == 0).any() or (room_p < 0).any():
                return None
            tight = open_jp & (many > 1)[:, None] & (self._size_jp > room_p)
            if not tight.any():
                return open_jp, room_p
            open_jp = open_jp & ~tight

    def _columns(self, open_jp: Bools) -> Columns:
        return _columns_of(open_jp, self._cost_rp[self._row_j], self._size_jp, self._room_p)

    def _cost_of(self, pool_j: Ints) -> float:
        return float(self._cost_rp[self._row_j, pool_j].sum())


def _columns_of(open_jp: Bools, cost_jp: Floats, size_jp: Ints, room_p: Ints) -> Columns:
    job, pool = np.nonzero(open_jp)
    return Columns(job, pool, cost_jp[job, pool], size_jp[job, pool], room_p)


@dataclass(frozen=True)
class Single:
    """The one resource that is scarce, in its largest common unit. Shapes: `size_rp` (R, P), `size_jp` (J, P), `room_p` (P,)."""

    size_rp: Ints
    size_jp: Ints
    room_p: Ints


def single(market: Market, plan: Jobs) -> Single:
    """What jobs take and pools have of the only scarce resource."""
    kind = int(np.flatnonzero(scarce(market, market.count_r).any(axis=0))[0])
    grain = _grain(market, kind)
    size_rp = np.broadcast_to(market.demand_rpk[:, :, kind], market.cost_rp.shape).astype(np.int64) // grain
    return Single(size_rp, size_rp[plan.row_j], market.capacity_pk[:, kind].astype(np.int64) // grain)


def is_single(market: Market, plan: Jobs) -> bool:
    """Whether one resource alone is scarce, in numbers a knapsack may count, and every job may move and has a pool that takes it."""
    if plan.held_rp is not None and plan.held_rp.any():
        return False
    kinds = np.flatnonzero(scarce(market, market.count_r).any(axis=0))
    return (
        len(kinds) == 1
        and len(market.nodes) > 1
        and bool(market.able_r[plan.row_j].all())
        and float((market.capacity_pk[:, kinds[0]] / _grain(market, int(kinds[0]))).max()) <= MOST_ROOM
    )


def is_for(market: Market, plan: Jobs, effort: Effort) -> bool:
    """Whether it is such a market, small enough, and effort allows for trees."""
    work = WHOLE * ROOT_STEPS * (WORK_PER_STEP + WORK_PER_COLUMN * MOST_COLUMNS * len(plan.row_j))
    return effort.affords(work) and len(plan.row_j) * len(market.nodes) <= MOST_PLACES and is_single(market, plan)


def _grain(market: Market, kind: int) -> int:
    """What all that jobs take of a resource is a multiple of."""
    return max(1, int(np.gcd.reduce(market.demand_rpk[market.count_r > 0][:, :, kind].astype(np.int64), axis=None)))
