"""Enclaves: what one hub built in another takes its own jobs first, and what they leave is open to all.

No weight in money can promise that, and room that is kept without need is wasted. So a plan is made as if everything were
open, and looked at: where a job of another hub stands in an enclave while one of the partner waits that would fit there
without the others, the partner's job gets a claim, which goes before every priority and holds in enclaves of its hub only;
then the plan is made again. Running jobs are not moved. Source: the same repair by claims as deferred acceptance (Gale and
Shapley 1962), with the solver as it is in the place of one proposal.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suanli.placement.batch import Batch, Bools, Ints, group, queue_order
from suanli.placement.filters import Sieve
from suanli.placement.packing import Load, Nodes, Shape, pack, take
from suanli.placement.rules import enclaves
from suanli.placement.snapshot import WaitingJob

ROUNDS = 4  # plans with claims; whatever is contested then is closed to others
FIRST = 1 << 20  # above every priority that a job may have


@dataclass(frozen=True)
class _Contest:
    """A pool in which others stand though partner's jobs wait that would fit; `partners` stand there already."""

    pool: int
    waiting: tuple[WaitingJob, ...]
    partners: tuple[WaitingJob, ...]


def partner_rp(b: Batch) -> Bools:
    """Rows at the pools of their own hub's enclaves. Shape (R, P)."""
    found_rs = np.zeros((len(b.rows), len(b.sites)), dtype=bool)
    for pairing in enclaves(b.country):
        found_rs |= (b.hub_r == pairing.source)[:, None] & b.ground.partner_s(pairing)[None, :]
    return np.asarray(found_rs[:, b.site_p])


def admits_rp(b: Batch) -> Bools:
    """Where precedence lets rows run: those with a claim in enclaves only, in closed pools nobody but partners. Shape (R, P)."""
    closed_p = np.isin(np.arange(len(b.pools)), list(b.closed))
    if not b.claims and not closed_p.any():
        return np.ones((len(b.rows), len(b.pools)), dtype=bool)
    return np.asarray(partner_rp(b) | (~b.claimed_r[:, None] & ~closed_p[None, :]))


def rank_r(b: Batch) -> Ints:
    """Priority, claims before all. Shape (R,)."""
    return np.asarray(np.where(b.claimed_r, FIRST, b.priority_r))


def repaired(b: Batch, sieve: Sieve, cost_rp: Ints, placed_rp: Ints, rounds: int) -> Batch | None:
    """The batch with the claims, after so many rounds with the closed pools, that its plan calls for; None if it calls for none.

    Shapes: `cost_rp`, `placed_rp` (R, P), of the plan: jobs of each row in each pool.
    """
    if not enclaves(b.country):
        return None
    contests = list(_contests(b, sieve, cost_rp, placed_rp))
    claims = {job.uid for contest in contests for job in contest.waiting}
    if claims - b.claims and rounds < ROUNDS:
        claims |= b.claims | {job.uid for contest in contests for job in contest.partners}
        jobs = [job for row in b.rows for job in row.jobs]
        rows, line_j = group(jobs, frozenset(claims))
        return replace(b, rows=rows, line_j=line_j, claims=frozenset(claims))
    pools = {contest.pool for contest in contests}
    return replace(b, closed=b.closed | pools) if pools else None


def _contests(b: Batch, sieve: Sieve, cost_rp: Ints, placed_rp: Ints) -> Iterator[_Contest]:
    waits_r = placed_rp.sum(axis=1) < np.array([len(row.jobs) for row in b.rows])
    if not waits_r.any():
        return
    mine_rp = partner_rp(b)
    if not (mine_rp & sieve.allowed_rp)[waits_r].any():
        return
    at, waits = _places(b, cost_rp, placed_rp)
    for pool in np.flatnonzero((mine_rp.any(axis=0)) & ((placed_rp > 0) & ~mine_rp).any(axis=0)).tolist():
        able = set(np.flatnonzero(mine_rp[:, pool] & sieve.allowed_rp[:, pool]).tolist())
        inside = [(r, job) for r, job in at.get(pool, ()) if mine_rp[r, pool]]
        nodes, loads = b.pools[pool].room.free_nodes, [_load(b, r) for r, _ in inside]
        fitting = _fitting(b, nodes, loads, [(r, job) for r, job in waits if r in able])
        if fitting:
            yield _Contest(pool, fitting, tuple(job for _, job in inside))


def _fitting(
    b: Batch, nodes: Nodes, loads: Iterable[Load], waits: Sequence[tuple[int, WaitingJob]]
) -> tuple[WaitingJob, ...]:
    """Of the jobs that wait, in their order, those that fit on the nodes beside what stands there."""
    inside, found, too_large = Counter[Shape](), [], set[Load]()
    for shape, tasks in loads:
        inside[shape] += tasks
    left = pack(nodes, inside.items())
    for r, job in waits if left is not None else ():
        shape, tasks = load = _load(b, r)
        if load in too_large:
            continue
        inside[shape] += tasks
        room = take(left, shape, tasks) if left is not None else None
        left_then = room if room is not None else pack(nodes, inside.items())
        if left_then is None:
            inside[shape] -= tasks
            too_large.add(load)
        else:
            left = left_then
            found.append(job)
    return tuple(found)


def _load(b: Batch, r: int) -> Load:
    cpu, memory, cards, pods = (int(x) for x in b.need_rk[r])
    return (cpu, memory, cards, pods), int(b.tasks_r[r])


def _places(
    b: Batch, cost_rp: Ints, placed_rp: Ints
) -> tuple[Mapping[int, list[tuple[int, WaitingJob]]], list[tuple[int, WaitingJob]]]:
    """By pool the jobs in it with their rows, and the jobs that wait in the order of the queue: as the plan is told."""
    at: dict[int, list[tuple[int, WaitingJob]]] = {}
    waits = []
    for r, row in enumerate(b.rows):
        pools = sorted((int(cost_rp[r, p]), p) for p in np.flatnonzero(placed_rp[r]).tolist())
        taken = [p for _, p in pools for _ in range(int(placed_rp[r, p]))]
        for job, p in zip(row.jobs, taken, strict=False):
            at.setdefault(p, []).append((r, job))
        waits += [(r, job) for job in row.jobs[len(taken) :]]
    return at, sorted(waits, key=lambda one: queue_order(one[1]))
