"""A plan in fractions of jobs becomes one in whole jobs, and few of a row's jobs are in many pools.

Rows whose jobs take the same may be exchanged freely: a cycle among them and their pools is emptied without changing how
many jobs any row or pool has, until what they have is a forest; the fractions in it are pushed along its paths, to the pool
that has more room. Rows that take much come first, so that small ones even out what large ones leave. Source: dependent
rounding (Gandhi, Khuller, Parthasarathy and Srinivasan 2006).
"""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from suanli.placement.batch import Floats, Ints

LEAST = 1e-3  # of a job: smaller fractions are given to the row's other pools
WHOLE = 1e-7  # nearer to a whole number is one


def rounded(jobs_rp: Floats, demand_rpk: Floats, left_pk: Floats) -> Ints:
    """Whole jobs of every row, as many as it has together.

    Shapes: `jobs_rp` (R, P), rows sum to whole numbers; `demand_rpk` (R, P or 1, K) what one job takes of each scarce resource;
    `left_pk` (P, K) what pools have left beside these jobs. Pools beyond those of `left_pk` have room without end.
    """
    count_r = np.rint(jobs_rp.sum(axis=1)).astype(np.int64)
    some_rp = np.where(jobs_rp >= LEAST, jobs_rp, 0.0)
    some_rp *= (count_r / np.maximum(some_rp.sum(axis=1), LEAST))[:, None]
    whole_rp = np.zeros(some_rp.shape, dtype=np.int64)
    mean_k = np.maximum(demand_rpk.mean(axis=(0, 1)), 1e-12)
    size_r = (demand_rpk.mean(axis=1) / mean_k).max(axis=1, initial=0.0)
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row in np.flatnonzero(count_r).tolist():
        alike[demand_rpk[row].tobytes()].append(row)
    left_pk = left_pk / mean_k
    for rows in sorted(alike.values(), key=lambda rows: (-float(size_r[rows[0]]), rows[0])):
        forest = _Forest()
        for row in rows:
            for pool in np.flatnonzero(some_rp[row]).tolist():
                forest.add(~row, pool, float(some_rp[row, pool]))
        forest.push(left_pk, demand_rpk[rows[0]].mean(axis=0) / mean_k)
        for row, pool, jobs in forest.whole:
            whole_rp[~row, pool] += jobs
    for row in np.flatnonzero(whole_rp.sum(axis=1) != count_r).tolist():  # floats
        whole_rp[row] = 0
        whole_rp[row, some_rp[row].argmax()] = count_r[row]
    return whole_rp


class _Forest:
    """What rows (numbers below zero) have in pools as edges without a cycle."""

    def __init__(self) -> None:
        self.whole: list[tuple[int, int, int]] = []
        self._above: dict[int, int] = {}  # the node towards the root; the root itself
        self._jobs: dict[int, float] = {}  # on the edge to it

    def add(self, row: int, pool: int, jobs: float) -> None:
        """Add an edge; if that closes a cycle, push around it until it is open again."""
        self._above.setdefault(row, row)
        self._above.setdefault(pool, pool)
        cycle = self._way(row, pool)
        if cycle is None:
            self._link(row, pool, jobs)
            return
        less, more = cycle[0::2], cycle[1::2]  # when the new edge gets more, every other one gets less
        forth, back = min(self._jobs[n] for n in less), min(jobs, *(self._jobs[n] for n in more)) if more else jobs
        step = forth if forth <= back else -back
        for nodes, signed in ((less, -step), (more, step)):
            for node in nodes:
                self._jobs[node] += signed
                if self._jobs[node] <= WHOLE:
                    del self._jobs[node]
                    self._above[node] = node
        if jobs + step > WHOLE:
            self._link(row, pool, jobs + step)

    def push(self, left_pk: Floats, size_k: Floats) -> None:
        """Make all edges whole, path by path; a path's end with more room gets more. `left_pk` changes with it."""
        near = self._fractions()
        ends = [node for node, edges in near.items() if len(edges) == 1]
        while ends:
            begin = ends.pop()
            if len(near[begin]) != 1:
                continue
            path = [begin, *near[begin]]
            while len(near[path[-1]]) > 1:
                path.append(next(node for node in near[path[-1]] if node != path[-2]))
            edges = list(pairwise(path))
            ups, downs = [near[a][b] for a, b in edges[0::2]], [near[a][b] for a, b in edges[1::2]]
            forth, back = min(1.0 - max(ups), min(downs, default=1.0)), min(min(ups), 1.0 - max(downs, default=0.0))
            forward = _room(left_pk, begin, size_k) >= _room(left_pk, path[-1], size_k)
            step = forth if forward else -back
            for i, (a, b) in enumerate(edges):
                near[a][b] = near[b][a] = near[a][b] + (step if i % 2 == 0 else -step)
                if not WHOLE < near[a][b] < 1.0 - WHOLE:
                    self._keep(a, b, round(near[a][b]))
                    del near[a][b], near[b][a]
                    ends += [node for node in (a, b) if len(near[node]) == 1]
            for end, took in ((begin, step), (path[-1], -step)):
                if 0 <= end < len(left_pk):
                    left_pk[end] -= took * size_k
            ends += [node for node in (begin, path[-1]) if len(near[node]) == 1]

    def _fractions(self) -> dict[int, dict[int, float]]:
        """Neighbours and what is not whole on the edges to them; whole jobs are kept."""
        near: dict[int, dict[int, float]] = defaultdict(dict)
        for node, jobs in self._jobs.items():
            whole = int(jobs + WHOLE)
            self._keep(node, self._above[node], whole)
            if jobs - whole > WHOLE:
                near[node][self._above[node]] = near[self._above[node]][node] = jobs - whole
        return near

    def _keep(self, one: int, other: int, jobs: int) -> None:
        if jobs:
            self.whole.append((min(one, other), max(one, other), jobs))

    def _way(self, row: int, pool: int) -> list[int] | None:
        """The edges from the row to the pool, each named by its lower node."""
        ups = [row]
        while self._above[ups[-1]] != ups[-1]:
            ups.append(self._above[ups[-1]])
        place = {node: i for i, node in enumerate(ups)}
        downs = []
        while pool not in place:
            if self._above[pool] == pool:
                return None
            downs.append(pool)
            pool = self._above[pool]
        return ups[: place[pool]] + downs[::-1]

    def _link(self, row: int, pool: int, jobs: float) -> None:
        """Hang the row with its tree below the pool, turned so that the row is on top of it."""
        node, above = row, pool
        while True:
            next_, of_next = self._above[node], self._jobs.get(node, 0.0)
            self._above[node], self._jobs[node] = above, jobs
            if next_ == node:
                return
            node, above, jobs = next_, node, of_next


def _room(left_pk: Floats, pool: int, size_k: Floats) -> float:
    """Jobs of that size that a pool has room for."""
    if not 0 <= pool < len(left_pk):
        return np.inf
    return float((left_pk[pool] / np.maximum(size_k, 1e-12)).min(initial=np.inf))
