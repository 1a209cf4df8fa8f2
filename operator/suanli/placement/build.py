"""Jobs into pools, many at a time, by what all nodes of a pool have together.

Out of a plan in fractions of jobs, made whole so that sums stay; out of the plan before; or in the order of the queue, each job
where it is cheapest of what has room.
"""

from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Floats, Ints
from suanli.placement.market import Market, load_pk
from suanli.placement.prices import Ascent, priced
from suanli.placement.rounding import rounded

COLUMNS = 12  # a row's nearest pools, which are looked at first
BLOCK = 256  # jobs that are placed at a time


@dataclass(frozen=True)
class Jobs:
    """Every job by itself, and where it is.

    Shapes: `row_j`, `pool_j` (J,); the pool after the last one is to wait. `held_rp` (R, P): further jobs, which stay.
    """

    row_j: Ints
    pool_j: Ints
    held_rp: Ints | None = None

    def placed_rp(self, market: Market) -> Ints:
        """How many of each row are where. Shape (R, P)."""
        rows, pools = market.cost_rp.shape
        counts = np.bincount(self.row_j * (pools + 1) + self.pool_j, minlength=rows * (pools + 1))
        placed_rp = counts.reshape(rows, pools + 1)[:, :pools]
        return placed_rp if self.held_rp is None else placed_rp + self.held_rp


def in_turn(market: Market, key_rp: Floats) -> Jobs:
    """All jobs in the order of the queue, each where `key_rp` (R, P) is least of what has room; the others wait."""
    rows, counts = market.queue.T
    nearest = _nearest(market, key_rp, np.flatnonzero(market.count_r > 0))
    place_r = np.zeros(len(market.count_r), dtype=np.int64)
    place_r[nearest.row_i] = np.arange(len(nearest.row_i))
    return _fill(market, key_rp, nearest, np.repeat(place_r[rows], counts))


def by_fractions(market: Market, fractions: Ascent) -> Jobs:
    """All jobs as the fractions say, those of alike rows shared out as one; who is too many in a pool waits."""
    rows, pools = market.cost_rp.shape
    jobs_rp = np.zeros((rows, pools + 1))
    np.put_along_axis(jobs_rp, fractions.pool_rc, fractions.jobs_rc, axis=1)
    kinds = np.flatnonzero((fractions.price_pk > 0).any(axis=0))
    demand_rpk = market.demand_rpk[:, :, kinds]
    left_pk = market.capacity_pk[:, kinds] - load_pk(jobs_rp[:, :pools], demand_rpk)
    order, begins = _alike(market, demand_rpk)
    whole_gp = rounded(np.add.reduceat(jobs_rp[order], begins, axis=0), demand_rpk[order[begins]], left_pk)
    _, pool_n = np.nonzero(whole_gp)
    pool_j = np.repeat(pool_n, whole_gp[whole_gp > 0])
    row_j = np.repeat(order, np.rint(jobs_rp.sum(axis=1)).astype(np.int64)[order])
    whole_rp = np.bincount(row_j * (pools + 1) + pool_j, minlength=jobs_rp.size).reshape(jobs_rp.shape)
    _keep_capacity(market, fractions.price_pk, whole_rp)
    return _one_by_one(whole_rp)


def _alike(market: Market, demand_rpk: Floats) -> tuple[Ints, Ints]:
    """Rows so that those stand together that cost and take the same everywhere and have one priority, and where such rows begin."""
    told_rn = np.column_stack([market.priority_r, market.open_cost_rp, demand_rpk.reshape(len(demand_rpk), -1)])
    numbers: dict[bytes, int] = {}
    group_r = np.array([numbers.setdefault(told.tobytes(), len(numbers)) for told in told_rn], dtype=np.int64)
    order = np.argsort(group_r, kind="stable")
    return order, np.flatnonzero(np.diff(group_r[order], prepend=-1))


def by_places(market: Market, price_pk: Floats, held_rp: Ints) -> Jobs:
    """All jobs where as many of their row were before, those that are cheapest with the prices first; the others wait.

    Shapes: `price_pk` (P, 4), `held_rp` (R, P).
    """
    kept_rp = np.where(market.allowed_rp, held_rp, 0)
    fewer = np.flatnonzero(kept_rp.sum(axis=1) > market.count_r)
    order = np.argsort(priced(market, price_pk)[fewer], axis=1, kind="stable")
    there = np.take_along_axis(kept_rp[fewer], order, axis=1)
    left = market.count_r[fewer, None] - (np.cumsum(there, axis=1) - there)
    few_rp = np.zeros(there.shape, dtype=np.int64)
    np.put_along_axis(few_rp, order, np.clip(left, 0, there), axis=1)
    kept_rp[fewer] = few_rp
    whole_rp = np.column_stack([kept_rp, market.count_r - kept_rp.sum(axis=1)])
    _keep_capacity(market, price_pk, whole_rp)
    return _one_by_one(whole_rp)


def _one_by_one(whole_rp: Ints) -> Jobs:
    row_j, pool_j = (np.repeat(index, whole_rp[whole_rp > 0]) for index in np.nonzero(whole_rp))
    return Jobs(row_j, pool_j)


def _keep_capacity(market: Market, price_pk: Floats, whole_rp: Ints) -> None:
    """Let wait of the too full pools who loses least by the next choice and leaves least of scarce room unused."""
    pools = len(market.nodes)
    key_rp = priced(market, price_pk)
    left_pk = market.capacity_pk - load_pk(whole_rp[:, :pools], market.demand_rpk)
    for pool in np.flatnonzero((left_pk < 0).any(axis=1)).tolist():
        rows = np.flatnonzero(whole_rp[:, pool])
        takes = market.demand(rows, np.full(len(rows), pool))
        elsewhere = key_rp[rows].copy()
        elsewhere[:, pool] = np.inf
        regret = elsewhere.min(axis=1) - key_rp[rows, pool]
        while len(rows) and (left_pk[pool] < 0).any():
            over = np.maximum(-left_pk[pool], 0.0)
            helps = (np.minimum(takes, over) / np.maximum(market.capacity_pk[pool], 1.0)).sum(axis=1)
            unused = np.maximum(takes - over, 0.0) @ price_pk[pool]
            loss = np.where(helps > 0, (regret + unused) / np.maximum(helps, 1e-12), np.inf)
            i = int(loss.argmin())
            whole_rp[rows[i], pool] -= 1
            whole_rp[rows[i], pools] += 1
            left_pk[pool] += takes[i]
            if not whole_rp[rows[i], pool]:
                rows, takes, regret = np.delete(rows, i), np.delete(takes, i, axis=0), np.delete(regret, i)


def thinned(market: Market, jobs: Jobs, most: int) -> Jobs:
    """Of alike jobs that share a pool only some may move, so that about so many may in all; who waits may."""
    pools = len(market.nodes)
    code_j = jobs.row_j * (pools + 1) + jobs.pool_j
    order = np.argsort(code_j, kind="stable")
    begins = np.flatnonzero(np.diff(code_j[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    moves = np.zeros(len(order), dtype=bool)
    moves[order] = place < max(1, most // max(1, len(begins)))
    moves |= jobs.pool_j == pools
    held = Jobs(jobs.row_j[~moves], jobs.pool_j[~moves])
    return Jobs(jobs.row_j[moves], jobs.pool_j[moves], held.placed_rp(market))


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
