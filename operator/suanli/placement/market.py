"""The question in bare numbers: rows of equal jobs want places in pools, every place has a cost, pools have nodes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.packing import Load, Nodes, Shape


@dataclass(frozen=True)
class Market:
    """What the solver works on.

    Shapes: `cost_rp` (R, P) whole micro-yuan of one job; `allowed_rp` (R, P): one job fits there alone; `wish_rp` (R, P) breaks
    ties of cost; `count_r`, `tasks_r`, `priority_r` (R,). `need_rpk` (R, P, 4) or, where a task needs the same everywhere,
    (R, 1, 4): millicores, bytes, cards and pods of one task. `queue` (Q, 2) lists row and jobs by priority, then age: who goes first.
    `usable_pk` (P, 4) is how much of each pool's sums its nodes have been found to take; None for all.
    """

    cost_rp: Ints
    allowed_rp: Bools
    wish_rp: Ints
    count_r: Ints
    tasks_r: Ints
    priority_r: Ints
    need_rpk: Ints
    nodes: tuple[Nodes, ...]
    queue: Ints
    usable_pk: Floats | None = None

    @cached_property
    def demand_rpk(self) -> Floats:
        """What one job takes, as `need_rpk` of all its tasks. Shape (R, P or 1, 4). Units: millicores, bytes, cards, pods."""
        return self.need_rpk.astype(float) * self.tasks_r[:, None, None]

    @cached_property
    def capacity_pk(self) -> Floats:
        """What all nodes of a pool can still take. Shape (P, 4). Units: those of `demand_rpk`."""
        if self.usable_pk is not None:
            return self.usable_pk
        return np.array([_sums(nodes) for nodes in self.nodes], dtype=float).reshape(len(self.nodes), 4)

    @cached_property
    def able_r(self) -> Bools:
        """Whether some pool takes a job of the row. Shape (R,)."""
        return np.asarray(self.allowed_rp.any(axis=1))

    @cached_property
    def open_cost_rp(self) -> Floats:
        """What a job costs where it is allowed, infinite elsewhere. Shape (R, P). Units: micro-yuan."""
        return np.where(self.allowed_rp, self.cost_rp.astype(float), np.inf)

    def demand(self, rows: Ints, pools: Ints) -> Floats:
        """What one job of each row takes in its pool. Shapes: (N,), (N,) -> (N, 4)."""
        taken: Floats = self.demand_rpk[rows, pools if self.need_rpk.shape[1] > 1 else 0]
        return taken

    def demand_pk(self, row: int) -> Floats:
        """What one job of a row takes in each pool. Shape (P or 1, 4)."""
        taken: Floats = self.demand_rpk[row]
        return taken

    def shape(self, row: int, pool: int) -> Shape:
        """What one task of a row takes in a pool. Units: millicores, bytes, cards, pods."""
        if self.need_rpk.shape[1] == 1:
            return self._shape_r[row]
        cpu, memory, cards, pods = self.need_rpk[row, pool].tolist()
        return cpu, memory, cards, pods

    @cached_property
    def _shape_r(self) -> list[Shape]:
        """The same where it is one in all pools."""
        return [(cpu, memory, cards, pods) for cpu, memory, cards, pods in self.need_rpk[:, 0].tolist()]

    def load(self, row: int, pool: int, jobs: int) -> Load:
        """So many jobs of a row as tasks in a pool."""
        return self.shape(row, pool), int(self.tasks_r[row]) * jobs

    def preference(self, row: int, key_p: Floats) -> list[int]:
        """The row's pools, the one with the smallest key first, then by wish. Shape: `key_p` (P,)."""
        order = np.lexsort((self.wish_rp[row], key_p))
        return [p for p in order.tolist() if self.allowed_rp[row, p]]


def _sums(nodes: Nodes) -> Shape:
    cpu = memory = cards = pods = 0
    for count, node in nodes:
        cpu += count * node[0]
        memory += count * node[1]
        cards += count * node[2]
        pods += count * node[3]
    return cpu, memory, cards, pods


def load_pk(jobs_rp: Floats | Ints, demand_rpk: Floats) -> Floats:
    """What jobs take of each pool. Shapes: (R, P), (R, P or 1, K) -> (P, K)."""
    if demand_rpk.shape[1] == 1:
        return np.asarray(jobs_rp.T.astype(float) @ demand_rpk[:, 0])
    return np.asarray(np.einsum("rp,rpk->pk", jobs_rp.astype(float), demand_rpk))


def merged(row_j: Ints) -> Ints:
    """Rows one after the other, and how many jobs in succession. Shapes: (J,) -> (Q, 2)."""
    begins = np.flatnonzero(np.diff(row_j, prepend=-1))
    return np.column_stack([row_j[begins], np.diff(begins, append=len(row_j))])
