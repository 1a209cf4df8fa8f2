"""The question as a linear program, for every solver alike: needs numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

Ints = np.typing.NDArray[np.int64]
Floats = np.typing.NDArray[np.float64]


@dataclass(frozen=True)
class Transport:
    """A min-cost flow from rows over arcs to pools and on to one sink.

    Shapes: `supply_v` (V,), rows, then pools, then the sink; `tail_a`, `head_a`, `capacity_a`, `cost_a` (A,), arcs; cost of a unit.
    """

    supply_v: Ints
    tail_a: Ints
    head_a: Ints
    capacity_a: Ints
    cost_a: Ints


@dataclass(frozen=True)
class Model:
    """Jobs into pools: minimise sum cost_n x_n, where the columns of a row sum up to its jobs and those of a pool keep its capacity.

    Shapes: `row_n`, `pool_n`, `cost_n` (N,): a column for every pool that a row may use; `count_r` (R,); `demand_nk` (N, K) and
    `capacity_pk` (P, K): the resources that can run short, `resource_k` of the market's.
    Units: of a resource, the greatest common divisor of what jobs take; what is left of a capacity is cut off, since no
    whole job could use it.
    """

    row_n: Ints
    pool_n: Ints
    cost_n: Ints
    count_r: Ints
    demand_nk: Ints
    capacity_pk: Ints
    resource_k: Ints

    @classmethod
    def of(
        cls, cost_rp: Ints, allowed_rp: np.typing.NDArray[np.bool_], count_r: Ints, demand_rpk: Ints, capacity_pk: Ints
    ) -> Self:
        """The program of rows of jobs. Shapes: (R, P), (R, P), (R,), (R, P or 1, K), (P, K)."""
        row_n, pool_n = np.nonzero(allowed_rp & (count_r > 0)[:, None])
        demand_nk = demand_rpk[row_n, pool_n if demand_rpk.shape[1] > 1 else 0]
        most_pk = np.zeros(capacity_pk.shape)
        np.add.at(most_pk, pool_n, demand_nk.astype(float) * count_r[row_n, None])
        scarce_k = np.flatnonzero((most_pk > capacity_pk).any(axis=0))
        unit_k = np.gcd.reduce(demand_nk[:, scarce_k], axis=0)
        return cls(
            row_n,
            pool_n,
            cost_rp[row_n, pool_n],
            count_r,
            demand_nk[:, scarce_k] // unit_k,
            capacity_pk[:, scarce_k] // unit_k,
            scarce_k,
        )

    def matrix(self) -> tuple[Ints, Ints, Ints]:
        """Constraints by column: where each column starts (N + 1,), and of its entries the constraint and the value.

        Constraint r is row r's sum; R + p K + k is what pool p has of resource k.
        """
        columns, resources = self.demand_nk.shape
        capacity_nk = len(self.count_r) + self.pool_n[:, None] * resources + np.arange(resources)
        index = np.column_stack([self.row_n, capacity_nk]).reshape(-1)
        value = np.column_stack([np.ones(columns, dtype=np.int64), self.demand_nk]).reshape(-1)
        return np.arange(columns + 1) * (1 + resources), index, value

    def cost(self, taken: Sequence[int]) -> int:
        """What a plan costs that takes these columns, once for each job.

        Raises: ValueError if it leaves a job out, has one twice, or needs more than there is.
        """
        columns = np.array(taken, dtype=np.int64)
        if (np.bincount(self.row_n[columns], minlength=len(self.count_r)) != self.count_r).any():
            raise ValueError("a job is left out or has two places")
        load_pk = np.zeros_like(self.capacity_pk)
        np.add.at(load_pk, self.pool_n[columns], self.demand_nk[columns])
        if (load_pk > self.capacity_pk).any():
            raise ValueError("a pool is given more than it has")
        return int(self.cost_n[columns].sum())

    def tightest(self) -> int:
        """Which of the K resources all jobs together use most of. Raises: ValueError if none can run short."""
        if not len(self.resource_k):
            raise ValueError("no resource can run short")
        load_rk = np.zeros((len(self.count_r), len(self.resource_k)))
        load_rk[self.row_n] = self.demand_nk
        return int(np.argmax(self.count_r @ load_rk / np.maximum(1, self.capacity_pk.sum(axis=0))))

    def transport(self, k: int) -> Transport:
        """What is left if only resource k counts and a job may be split into its units: no plan costs less.

        A unit costs the job's cost divided by its units, rounded down. Raises: ValueError if a row needs none of it, or not
        the same everywhere.
        """
        rows, pools = len(self.count_r), len(self.capacity_pk)
        demand_r = np.zeros(rows, dtype=np.int64)
        demand_r[self.row_n] = self.demand_nk[:, k]
        demand_n = demand_r[self.row_n]
        if (demand_n != self.demand_nk[:, k]).any() or (demand_n == 0).any():
            raise ValueError("a job needs none of the resource, or not the same in every pool")
        units_r = self.count_r * demand_r
        pool_p = rows + np.arange(pools)
        return Transport(
            supply_v=np.concatenate([units_r, np.zeros(pools, dtype=np.int64), [-units_r.sum()]]),
            tail_a=np.concatenate([self.row_n, pool_p]),
            head_a=np.concatenate([rows + self.pool_n, np.full(pools, rows + pools)]),
            capacity_a=np.concatenate([units_r[self.row_n], self.capacity_pk[:, k]]),
            cost_a=np.concatenate([self.cost_n // demand_n, np.zeros(pools, dtype=np.int64)]),
        )

    def save(self, path: Path) -> None:
        """Write it down for a solver's process."""
        np.savez(path, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(*(arrays[field.name] for field in fields(cls)))
