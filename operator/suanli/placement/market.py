"""The question in bare numbers: rows of equal jobs want places in pools, every place has a cost, pools have nodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.packing import Load, Nodes, Shape


@dataclass(frozen=True)
class Market:
    """What the solver works on.

    Shapes: `cost_rp` (R, P) whole micro-yuan of one job; `allowed_rp` (R, P): one job fits there alone; `wish_rp` (R, P) breaks
    ties of cost; `count_r`, `tasks_r`, `priority_r` (R,). `queue` lists (row, jobs) by priority, then age: who goes first.
    """

    cost_rp: Ints
    allowed_rp: Bools
    wish_rp: Ints
    count_r: Ints
    tasks_r: Ints
    priority_r: Ints
    shapes: tuple[Shape, ...]
    nodes: tuple[Nodes, ...]
    queue: tuple[tuple[int, int], ...]

    @cached_property
    def demand_rk(self) -> Floats:
        """What one job takes. Shape (R, 4)."""
        shape_rk: Floats = np.array(self.shapes, dtype=float).reshape(len(self.shapes), 4)
        return shape_rk * self.tasks_r[:, None]

    @cached_property
    def capacity_pk(self) -> Floats:
        """What all nodes of a pool can still take. Shape (P, 4)."""
        sums = [[sum(count * node[k] for count, node in nodes) for k in range(4)] for nodes in self.nodes]
        return np.array(sums, dtype=float).reshape(len(self.nodes), 4)

    def by_preference(self, key_rp: Floats) -> Ints:
        """Pools of every row, the one with the smallest key first, then by wish. Shape (R, P)."""
        return np.asarray(np.lexsort((self.wish_rp, key_rp), axis=1))

    def load(self, row: int, jobs: int) -> Load:
        """So many jobs of a row as tasks."""
        return self.shapes[row], int(self.tasks_r[row]) * jobs


def merged(queue: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Rows one after the other as (row, how many in succession)."""
    return tuple(_runs(queue))


def _runs(queue: Sequence[int]) -> Iterator[tuple[int, int]]:
    begin = 0
    for i in range(1, len(queue) + 1):
        if i == len(queue) or queue[i] != queue[begin]:
            yield queue[begin], i - begin
            begin = i
