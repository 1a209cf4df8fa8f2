"""A plan in the making: who is where, and what the nodes can still take."""

from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Ints
from suanli.placement.market import Market
from suanli.placement.packing import Load, Nodes, pack, slots, take


@dataclass(frozen=True)
class Saved:
    """A draft as it was."""

    placed_rp: Ints
    nodes: tuple[Nodes, ...]


class Draft:
    """Jobs of rows put into pools. Shape: `placed_rp` (R, P), how many."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.placed_rp: Ints = np.zeros(market.cost_rp.shape, dtype=np.int64)
        self._nodes = list(market.nodes)

    @property
    def cost(self) -> int:
        """What everything placed costs, in micro-yuan."""
        used = np.nonzero(self.placed_rp)
        pairs = zip(self.placed_rp[used].tolist(), self.market.cost_rp[used].tolist(), strict=True)
        return sum(count * cost for count, cost in pairs)

    def placed(self, row: int) -> int:
        """Jobs of a row that have a place."""
        return int(self.placed_rp[row].sum())

    def room(self, row: int, pool: int) -> int:
        """Jobs of a row that the pool still takes."""
        if not self.market.allowed_rp[row, pool]:
            return 0
        return slots(self._nodes[pool], self.market.shapes[row]) // int(self.market.tasks_r[row])

    def put(self, row: int, pool: int, jobs: int) -> None:
        """Put jobs there; `room` has said that they fit."""
        left = take(self._nodes[pool], *self.market.load(row, jobs))
        assert left is not None, "room was asked before"
        self._nodes[pool] = left
        self.placed_rp[row, pool] += jobs

    def take_out(self, row: int, pool: int, jobs: int) -> bool:
        """Take jobs out; false, and nothing changed, if the rest cannot be packed anew."""
        self.placed_rp[row, pool] -= jobs
        left = pack(self.market.nodes[pool], self.loads(pool))
        if left is None:
            self.placed_rp[row, pool] += jobs
            return False
        self._nodes[pool] = left
        return True

    def tidy_for(self, row: int, pool: int) -> bool:
        """Pack the pool anew with one more job of the row; false, and nothing changed, if that does not fit either."""
        if not self.market.allowed_rp[row, pool]:
            return False
        left = pack(self.market.nodes[pool], [*self.loads(pool), self.market.load(row, 1)])
        if left is None:
            return False
        self._nodes[pool] = left
        self.placed_rp[row, pool] += 1
        return True

    def loads(self, pool: int) -> list[Load]:
        """Everything in a pool."""
        rows = np.flatnonzero(self.placed_rp[:, pool])
        return [self.market.load(int(r), int(self.placed_rp[r, pool])) for r in rows]

    def save(self) -> Saved:
        """Remember how it is."""
        return Saved(self.placed_rp.copy(), tuple(self._nodes))

    def restore(self, saved: Saved) -> None:
        """Make it as it was."""
        self.placed_rp, self._nodes = saved.placed_rp.copy(), list(saved.nodes)
