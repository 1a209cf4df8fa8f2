"""A plan in the making: who is where, and what the nodes can still take."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from suanli.placement.batch import Floats, Ints
from suanli.placement.market import Market, load_pk
from suanli.placement.packing import Nodes, Shape, by_size, pack, slots, take


@dataclass(frozen=True)
class Step:
    """Jobs of a row put into a pool, or taken out where they are fewer than none, and how the pool was before."""

    row: int
    pool: int
    jobs: int
    nodes: Nodes


class Draft:
    """Jobs of rows put into pools.

    Shapes: `placed_rp` (R, P), how many; `left_pk` (P, 4), what all nodes of a pool together can still take: with less
    than a job needs there is no room for it, with more there may be none.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self.placed_rp: Ints = np.zeros(market.cost_rp.shape, dtype=np.int64)
        self.left_pk: Floats = market.capacity_pk.copy()
        self._nodes = list(market.nodes)
        self._tasks: list[dict[Shape, int]] = [{} for _ in market.nodes]
        self._steps: list[Step] = []

    @classmethod
    def of(cls, market: Market, wanted_rp: Ints) -> Self:
        """As many of the wanted jobs, `wanted_rp` (R, P), as each pool's nodes take, the largest shapes first."""
        draft = cls(market)
        draft.placed_rp = wanted_rp.copy()
        for pool in np.flatnonzero(wanted_rp.any(axis=0)).tolist():
            rows = np.flatnonzero(wanted_rp[:, pool])
            loads: dict[Shape, list[tuple[int, int, int]]] = {}
            for row, jobs, tasks in zip(
                rows.tolist(), wanted_rp[rows, pool].tolist(), market.tasks_r[rows].tolist(), strict=True
            ):
                loads.setdefault(market.shape(row, pool), []).append((row, jobs, tasks))
            for shape in by_size(loads):
                draft._pour(pool, shape, loads[shape])
        draft.left_pk -= load_pk(draft.placed_rp, market.demand_rpk)
        return draft

    def _pour(self, pool: int, shape: Shape, wanted: list[tuple[int, int, int]]) -> None:
        """Give nodes to jobs whose tasks have one shape, as many as fit; what is wanted of them is (row, jobs, tasks of a job)."""
        nodes, tasks = self._nodes[pool], sum(jobs * of_job for _, jobs, of_job in wanted)
        left = take(nodes, shape, tasks)
        if left is None:
            free, tasks = slots(nodes, shape), 0
            for row, jobs, of_job in wanted:
                fits = min(jobs, (free - tasks) // of_job)
                self.placed_rp[row, pool] = fits
                tasks += fits * of_job
            left = take(nodes, shape, tasks)
            assert left is not None, "there are slots for them"
        if tasks:
            self._nodes[pool], self._tasks[pool][shape] = left, tasks

    @property
    def cost(self) -> int:
        """What everything placed costs, in micro-yuan."""
        return sum(count * cost for count, cost in self._costs())

    @property
    def amounts(self) -> int:
        """The same with what policy takes off counted as if it put it on. Units: micro-yuan."""
        return sum(count * abs(cost) for count, cost in self._costs())

    def _costs(self) -> Iterator[tuple[int, int]]:
        """How many jobs cost how much."""
        used = np.nonzero(self.placed_rp)
        yield from zip(self.placed_rp[used].tolist(), self.market.cost_rp[used].tolist(), strict=True)

    def placed(self, row: int) -> int:
        """Jobs of a row that have a place."""
        return int(self.placed_rp[row].sum())

    def room(self, row: int, pool: int) -> int:
        """Jobs of a row that the pool still takes."""
        if not self.market.allowed_rp[row, pool]:
            return 0
        return slots(self._nodes[pool], self.market.shape(row, pool)) // int(self.market.tasks_r[row])

    def put(self, row: int, pool: int, jobs: int) -> None:
        """Put jobs there; `room` has said that they fit."""
        left = take(self._nodes[pool], *self.market.load(row, pool, jobs))
        assert left is not None, "room was asked before"
        self._step(row, pool, jobs, left)

    def take_out(self, row: int, pool: int, jobs: int) -> bool:
        """Take jobs out; false, and nothing changed, if the rest cannot be packed anew."""
        return self._repacked(row, pool, -jobs)

    def tidy_for(self, row: int, pool: int) -> bool:
        """Pack the pool anew with one more job of the row; false, and nothing changed, if that does not fit either."""
        return bool(self.market.allowed_rp[row, pool]) and self._repacked(row, pool, 1)

    def mark(self) -> int:
        """How it is now, to be returned to."""
        return len(self._steps)

    def undo(self, mark: int) -> None:
        """Make it as it was at that mark."""
        while len(self._steps) > mark:
            last = self._steps.pop()
            self._count(last.row, last.pool, -last.jobs)
            self._nodes[last.pool] = last.nodes

    def _repacked(self, row: int, pool: int, jobs: int) -> bool:
        left = pack(self.market.nodes[pool], [*self._tasks[pool].items(), self.market.load(row, pool, jobs)])
        if left is None:
            return False
        self._step(row, pool, jobs, left)
        return True

    def _step(self, row: int, pool: int, jobs: int, left: Nodes) -> None:
        self._steps.append(Step(row, pool, jobs, self._nodes[pool]))
        self._count(row, pool, jobs)
        self._nodes[pool] = left

    def _count(self, row: int, pool: int, jobs: int) -> None:
        self.placed_rp[row, pool] += jobs
        demand_pk = self.market.demand_pk(row)
        self.left_pk[pool] -= jobs * demand_pk[pool if len(demand_pk) > 1 else 0]
        shape, tasks = self.market.load(row, pool, jobs)
        inside = self._tasks[pool]
        inside[shape] = inside.get(shape, 0) + tasks
        if not inside[shape]:
            del inside[shape]
