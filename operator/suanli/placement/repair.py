"""Finds room on nodes for who has none yet, and moves who stands dear, job by job and exactly.

Sums may say that a pool has room where its nodes have not. What is done here is done on nodes. Source of the moves:
ejection chains of generalised assignment (Yagiura, Ibaraki and Glover 2004).
"""

from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.draft import Draft

REPAIRS = 4_000  # moves that making room may try in one plan
IMPROVEMENTS = 4_000  # moves that improving may try
MOVERS = 64  # moves that are tried to make room for one job in one pool
DEPTH = 2  # jobs that are moved in a chain to make room for one


@dataclass
class Budget:
    """Tries that are left."""

    left: int

    def spend(self) -> bool:
        """Whether another one may be made."""
        self.left -= 1
        return self.left >= 0


def fill_rest(draft: Draft, key_rp: Floats) -> None:
    """Who waits yet, in the order of the queue; who finds no place has room made for it by moving others, never by dropping one.

    Shape: `key_rp` (R, P), by which a row's pools are tried, the least first.
    """
    market, budget = draft.market, Budget(REPAIRS)
    waiting_r = (market.count_r - draft.placed_rp.sum(axis=1)).tolist()
    hopeless: set[int] = set()
    for row, jobs in market.queue.tolist():
        left = min(jobs, waiting_r[row])
        waiting_r[row] -= left
        if not left or row in hopeless:
            continue
        pools = market.preference(row, key_rp[row])
        left = _pour(draft, row, left, pools)
        while left:
            if not _squeeze(draft, row, pools, budget):
                hopeless.add(row)
                break
            left = _pour(draft, row, left - 1, pools)


def improve(draft: Draft) -> None:
    """Move jobs to cheaper pools, straight or by sending another one on, while that makes the plan cheaper."""
    market, budget = draft.market, Budget(IMPROVEMENTS)
    changed = True
    while changed and budget.left > 0:
        changed = False
        for row, pool in _dearest_first(draft):
            if budget.left <= 0:
                break
            changed |= _cheaper(draft, row, pool, market.preference(row, market.open_cost_rp[row]), budget)


def _pour(draft: Draft, row: int, jobs: int, pools: list[int]) -> int:
    """Put jobs into the row's pools in order, as many as fit; how many are left."""
    may_p: Bools = np.all(draft.left_pk >= draft.market.demand_pk(row), axis=1)
    for pool in pools:
        if not jobs:
            break
        if not may_p[pool]:
            continue
        fits = min(jobs, draft.room(row, pool))
        if fits:
            draft.put(row, pool, fits)
            jobs -= fits
    return jobs


def _squeeze(draft: Draft, row: int, pools: list[int], budget: Budget) -> bool:
    """Put one job in by packing a pool anew, or by moving others out of it."""
    may_p: Bools = np.all(draft.left_pk >= draft.market.demand_pk(row), axis=1)
    if any(draft.tidy_for(row, p) for p in pools if may_p[p] and budget.spend()):
        return True
    return any(_make_room(draft, row, pool, DEPTH, (pool,), budget) for pool in pools)


def _make_room(draft: Draft, row: int, pool: int, depth: int, closed: tuple[int, ...], budget: Budget) -> bool:
    """Put one job of the row into the pool after others have moved on to their next choices; nothing changes if that fails."""
    if not budget.spend():
        return False
    mark = draft.mark()
    others = _others(draft, row, pool)
    for other, goal in _movers(draft, pool, others, closed, draft.left_pk if depth == 1 else None):
        while draft.placed_rp[other, pool] and budget.spend():
            if not _move(draft, other, pool, goal, depth, closed, budget):
                break
            if draft.room(row, pool):
                draft.put(row, pool, 1)
                return True
    draft.undo(mark)
    return False


def _move(draft: Draft, row: int, pool: int, goal: int, depth: int, closed: tuple[int, ...], budget: Budget) -> bool:
    """Move one job to its goal, if need be by making room there."""
    has_room, mark = draft.room(row, goal) > 0, draft.mark()
    if (depth == 1 and not has_room) or not draft.take_out(row, pool, 1):
        return False
    if has_room:
        draft.put(row, goal, 1)
        return True
    if _make_room(draft, row, goal, depth - 1, (*closed, goal), budget):
        return True
    draft.undo(mark)
    return False


def _others(draft: Draft, row: int, pool: int) -> Ints:
    """The other rows in the pool."""
    others = draft.placed_rp[:, pool] > 0
    others[row] = False
    return np.flatnonzero(others)


def _movers(
    draft: Draft,
    pool: int,
    others: Ints,
    closed: tuple[int, ...],
    left_pk: Floats | None,
    most_extra: int | None = None,
) -> list[tuple[int, int]]:
    """Rows in the pool that could go elsewhere, and where; the cheapest moves per freed share of the pool, these first.

    With `left_pk` only to pools that have so much left.
    """
    market = draft.market
    here = np.full(len(others), pool)
    freed = np.maximum((market.demand(others, here) / np.maximum(market.capacity_pk[pool], 1.0)).max(axis=1), 1e-12)
    extra = market.cost_rp[others] - market.cost_rp[others, pool][:, None]
    open_ = market.allowed_rp[others]
    open_[:, list(closed)] = False
    if most_extra is not None:
        open_ &= extra < most_extra
    if left_pk is not None:
        open_ &= (left_pk[None, :, :] >= market.demand_rpk[others]).all(axis=2)
    found, goals = np.nonzero(open_)
    order = np.argsort(extra[found, goals] / freed[found], kind="stable")
    return [(int(others[found[i]]), int(goals[i])) for i in order[:MOVERS]]


def _dearest_first(draft: Draft) -> list[tuple[int, int]]:
    """Places that cost more than the row's cheapest pool, the greatest loss first."""
    market = draft.market
    rows, pools = np.nonzero(draft.placed_rp)
    least_r = np.where(market.allowed_rp, market.cost_rp, np.iinfo(np.int64).max).min(axis=1)
    loss = market.cost_rp[rows, pools] - least_r[rows]
    order = np.argsort(-loss, kind="stable")
    return [(int(rows[i]), int(pools[i])) for i in order if loss[i] > 0]


def _cheaper(draft: Draft, row: int, pool: int, pools: list[int], budget: Budget) -> bool:
    """Move jobs of a row from a pool to a cheaper one."""
    cost_p = draft.market.cost_rp[row]
    for goal in pools:
        if cost_p[goal] >= cost_p[pool] or not draft.placed_rp[row, pool] or not budget.spend():
            return False
        fits = min(int(draft.placed_rp[row, pool]), draft.room(row, goal))
        if fits and draft.take_out(row, pool, fits):
            draft.put(row, goal, fits)
            return True
        if not fits and _exchange(draft, row, pool, goal, budget):
            return True
    return False


def _exchange(draft: Draft, row: int, pool: int, goal: int, budget: Budget) -> bool:
    """One job goes to a full pool and another one leaves it, if that is cheaper together."""
    market = draft.market
    gain = int(market.cost_rp[row, pool] - market.cost_rp[row, goal])
    others = _others(draft, row, goal)
    one = np.array([row])
    short_k = market.demand(one, np.array([goal]))[0] - draft.left_pk[goal]
    others = others[(market.demand(others, np.full(len(others), goal)) >= short_k).all(axis=1)]
    left_pk = draft.left_pk.copy()
    left_pk[pool] += market.demand(one, np.array([pool]))[0]
    for other, refuge in _movers(draft, goal, others, (goal,), left_pk, most_extra=gain):
        if refuge != pool and not draft.room(other, refuge):
            continue
        if not budget.spend():
            return False
        mark = draft.mark()
        if draft.take_out(row, pool, 1) and draft.take_out(other, goal, 1) and draft.room(row, goal):
            draft.put(row, goal, 1)
            if draft.room(other, refuge):
                draft.put(other, refuge, 1)
                return True
        draft.undo(mark)
    return False
