"""Jobs into pools, many at a time, by what all nodes of a pool have together.

By regret under prices: those who would lose most by their second choice go first, of the others the largest, so that the small
ones fill the gaps (Martello and Toth 1981, with Lagrangian prices in the costs). In the order of the queue. Or out of a plan in
fractions of jobs, rounded so that sums stay (systematic sampling; Madow 1949).
"""

from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Floats, Ints
from suanli.placement.market import Market
from suanli.placement.prices import Ascent

COLUMNS = 12  # a row's nearest pools, which are looked at first
BLOCK = 256  # jobs that are placed at a time
GOLDEN = 0.6180339887498949  # its multiples are spread evenly
CERTAINTIES = (0.1, 0.5, 2.0)  # of the usual regret: where the classes of certainty part


@dataclass(frozen=True)
class Jobs:
    """Every job by itself, and where it is.

    Shapes: `row_j`, `pool_j` (J,); the pool after the last one is to wait.
    """

    row_j: Ints
    pool_j: Ints

    def placed_rp(self, market: Market) -> Ints:
        """How many of each row are where. Shape (R, P)."""
        rows, pools = market.cost_rp.shape
        counts = np.bincount(self.row_j * (pools + 1) + self.pool_j, minlength=rows * (pools + 1))
        return counts.reshape(rows, pools + 1)[:, :pools]


def by_regret(market: Market, key_rp: Floats) -> Jobs:
    """All jobs, the most certain first. Shapes: key_rp (R, P) cost with prices."""
    nearest = _nearest(market, key_rp, np.flatnonzero(market.count_r > 0))
    second = nearest.key_rc[:, 1] if nearest.key_rc.shape[1] > 1 else np.full(len(nearest.row_i), np.inf)
    regret = np.where(np.isfinite(nearest.key_rc[:, 0]), second, np.inf) - np.where(
        np.isfinite(nearest.key_rc[:, 0]), nearest.key_rc[:, 0], 0.0
    )
    usual = float(np.median(regret[np.isfinite(regret)])) if np.isfinite(regret).any() else 0.0
    certainty = np.digitize(regret, [usual * c for c in CERTAINTIES]) if usual > 0 else np.zeros(len(regret), dtype=int)
    share_pk = market.demand_rpk.mean(axis=1)[nearest.row_i] / np.maximum(market.capacity_pk.mean(axis=0), 1.0)
    order = np.lexsort((-share_pk.max(axis=1, initial=0.0), -certainty, -market.priority_r[nearest.row_i]))
    return _fill(market, key_rp, nearest, np.repeat(order, market.count_r[nearest.row_i[order]]))


def in_turn(market: Market, key_rp: Floats) -> Jobs:
    """All jobs in the order of the queue."""
    rows = np.array([row for row, _ in market.queue], dtype=np.int64)
    counts = np.array([jobs for _, jobs in market.queue], dtype=np.int64)
    nearest = _nearest(market, key_rp, np.flatnonzero(market.count_r > 0))
    place_r = np.zeros(len(market.count_r), dtype=np.int64)
    place_r[nearest.row_i] = np.arange(len(nearest.row_i))
    return _fill(market, key_rp, nearest, np.repeat(place_r[rows], counts))


def by_fractions(market: Market, key_rp: Floats, fractions: Ascent) -> Jobs:
    """All jobs as the fractions say; who is too many in a pool waits."""
    order_rc = np.argsort(-fractions.jobs_rc, axis=1, kind="stable")
    pool_rc = np.take_along_axis(fractions.pool_rc, order_rc, axis=1)
    jobs_rc = np.take_along_axis(fractions.jobs_rc, order_rc, axis=1)
    second = pool_rc[:, min(1, pool_rc.shape[1] - 1)]
    size = (market.demand_rpk.mean(axis=1) / np.maximum(market.capacity_pk.mean(axis=0), 1.0)).max(axis=1, initial=0.0)
    rows = np.lexsort((-size, second, pool_rc[:, 0]))
    row_j = np.repeat(rows, market.count_r[rows])
    share_rc = np.cumsum(jobs_rc, axis=1) / np.maximum(jobs_rc.sum(axis=1, keepdims=True), 1e-300)
    draw_j = (np.arange(len(row_j)) * GOLDEN + 0.5) % 1.0
    choice = np.minimum((share_rc[row_j] < draw_j[:, None]).sum(axis=1), pool_rc.shape[1] - 1)
    pool_j = pool_rc[row_j, choice]
    pool_j[~market.allowed_rp[row_j, np.minimum(pool_j, len(market.nodes) - 1)]] = len(market.nodes)
    return Jobs(row_j, _within_capacity(market, key_rp, row_j, pool_j))


def _within_capacity(market: Market, key_rp: Floats, row_j: Ints, pool_j: Ints) -> Ints:
    """Let wait who has the nearest second choice for what it takes of the too full."""
    pools = len(market.nodes)
    left_pk = market.capacity_pk.copy()
    inside = np.flatnonzero(pool_j < pools)
    np.subtract.at(left_pk, pool_j[inside], market.demand(row_j[inside], pool_j[inside]))
    for pool in np.flatnonzero((left_pk < 0).any(axis=1)).tolist():
        jobs = np.flatnonzero(pool_j == pool)
        elsewhere = key_rp[row_j[jobs]].copy()
        elsewhere[:, pool] = np.inf
        regret = elsewhere.min(axis=1) - key_rp[row_j[jobs], pool]
        takes = market.demand(row_j[jobs], pool_j[jobs])
        over = np.maximum(-left_pk[pool], 0.0)
        helps = (np.minimum(takes, over) / np.maximum(market.capacity_pk[pool], 1.0)).sum(axis=1)
        for i in np.argsort(regret / np.maximum(helps, 1e-12), kind="stable").tolist():
            if not (left_pk[pool] < 0).any():
                break
            if (takes[i] * (left_pk[pool] < 0)).any():
                pool_j[jobs[i]] = pools
                left_pk[pool] += takes[i]
    return pool_j


@dataclass(frozen=True)
class _Nearest:
    """Rows and their nearest pools in order. Shapes: `row_i` (I,), `pool_rc`, `key_rc` (I, C)."""

    row_i: Ints
    pool_rc: Ints
    key_rc: Floats


def _nearest(market: Market, key_rp: Floats, rows: Ints) -> _Nearest:
    key = key_rp[rows]
    columns = min(COLUMNS, key.shape[1])
    pools = (
        np.argpartition(key, columns - 1, axis=1)[:, :columns]
        if columns < key.shape[1]
        else np.tile(np.arange(columns), (len(rows), 1))
    )
    near = np.take_along_axis(key, pools, axis=1)
    wish = np.take_along_axis(market.wish_rp[rows], pools, axis=1)
    order = np.lexsort((pools, wish, near), axis=1)
    return _Nearest(rows, np.take_along_axis(pools, order, axis=1), np.take_along_axis(near, order, axis=1))


def _fill(market: Market, key_rp: Floats, nearest: _Nearest, order: Ints) -> Jobs:
    """Place jobs in that order (indices of `nearest`), each where it is cheapest of what has room."""
    row_j = nearest.row_i[order]
    pool_j = np.full(len(order), len(market.nodes), dtype=np.int64)
    left_pk = market.capacity_pk.copy()
    begin, again, elsewhere = 0, np.empty(0, dtype=np.int64), []
    while begin < len(order) or len(again):
        end = min(len(order), begin + BLOCK - len(again))
        jobs, begin = np.concatenate([again, np.arange(begin, end)]), end
        again, lost = _settle(
            market, row_j, pool_j, left_pk, jobs, nearest.pool_rc[order[jobs]], nearest.key_rc[order[jobs]]
        )
        elsewhere.append(lost)
    waiting = np.sort(np.concatenate(elsewhere)) if elsewhere else np.empty(0, dtype=np.int64)
    if nearest.pool_rc.shape[1] < len(market.nodes):
        every = np.arange(len(market.nodes))
        for begin in range(0, len(waiting), BLOCK):
            jobs = waiting[begin : begin + BLOCK]
            while len(jobs):
                columns = np.broadcast_to(every, (len(jobs), len(every)))
                jobs, _ = _settle(market, row_j, pool_j, left_pk, jobs, columns, key_rp[row_j[jobs]])
    return Jobs(row_j, pool_j)


def _settle(
    market: Market, row_j: Ints, pool_j: Ints, left_pk: Floats, jobs: Ints, pool_jc: Ints, key_jc: Floats
) -> tuple[Ints, Ints]:
    """Place of these jobs whom their first choice with room takes together; who must look again, and who has nothing."""
    rows = row_j[jobs]
    demand_jck = market.demand_rpk[rows[:, None], pool_jc if market.need_rpk.shape[1] > 1 else 0]
    fits_jc = np.isfinite(key_jc) & (left_pk[pool_jc] >= demand_jck).all(axis=2)
    key = np.where(fits_jc, key_jc, np.inf)
    choice = key.argmin(axis=1)
    picks = np.arange(len(jobs))
    able = fits_jc[picks, choice]
    found, pools = jobs[able], pool_jc[picks, choice][able]
    order = np.argsort(pools, kind="stable")
    found, pools = found[order], pools[order]
    demand = market.demand(row_j[found], pools)
    total = np.cumsum(demand, axis=0)
    first = np.searchsorted(pools, pools)
    before = np.where(first[:, None] > 0, total[first - 1], 0.0)
    takes = (total - before <= left_pk[pools]).all(axis=1)
    pool_j[found[takes]] = pools[takes]
    np.subtract.at(left_pk, pools[takes], demand[takes])
    return np.sort(found[~takes]), jobs[~able]
