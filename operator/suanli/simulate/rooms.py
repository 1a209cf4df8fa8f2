"""What the pools can still take while jobs come and go."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from suanli.api.site import ComputeUnit
from suanli.placement.accounts import asked_milli
from suanli.placement.batch import MOST, Bools, Floats, Ints
from suanli.placement.snapshot import FreeNodes
from suanli.simulate.land import Land
from suanli.simulate.workload import JobType


class Rooms:
    """One large node a pool.

    Shapes: `free_pk` (P, 4): millicores, bytes, cards, pods. `version_s` changes with everything that happens at a site; `away` are
    the sites that are out of reach now, where no job can start. `held_milli` is what jobs hold, by account and class.
    """

    def __init__(self, land: Land) -> None:
        self._land = land
        self._size_pk = _table(land.rooms)
        self.free_pk = self._size_pk.copy()
        self.version_s = [0] * len(land.sites)
        self.away: frozenset[int] = frozenset()
        self._site_p = np.array([pool.site for pool in land.pools], dtype=np.int64)
        column = [2 if pool.resource.unit is ComputeUnit.CARD else 0 for pool in land.pools]
        self._units = np.arange(len(column)), np.array(column, dtype=np.int64)
        self._needs: dict[JobType, Ints] = {}
        self._asks: dict[JobType, int] = {}
        self.held_milli: Counter[tuple[str, str]] = Counter()

    def copy(self) -> "Rooms":
        """The same, to try things on."""
        other = Rooms.__new__(Rooms)
        other.__dict__ = {**self.__dict__, "free_pk": self.free_pk.copy(), "version_s": list(self.version_s)}
        other.held_milli = self.held_milli.copy()
        return other

    def free(self, p: int) -> Sequence[int]:
        """What a pool can still take."""
        return [int(x) for x in self.free_pk[p]]

    def fits_p(self, type_: JobType) -> Bools:
        """The pools that take a whole job of the type. Shape (P,)."""
        fits_p = (self.need_k(type_) <= self.free_pk).all(axis=1)
        return np.asarray(fits_p & ~np.isin(self._site_p, list(self.away)) if self.away else fits_p)

    def go(self, away: frozenset[int]) -> None:
        """From now on these sites are out of reach, and no others."""
        for s in self.away ^ away:
            self.version_s[s] += 1
        self.away = away

    def take(self, p: int, type_: JobType) -> None:
        """Hold what a job needs. A pool never holds more than it has."""
        self._change(p, type_, -1)
        assert (self.free_pk[p] >= 0).all(), f"pool {p} is given more than it has"

    def give_back(self, p: int, type_: JobType) -> None:
        """The job has ended."""
        self._change(p, type_, 1)

    def used_p(self) -> Floats:
        """Share of a pool's cards, or of its cores, that is held. Shape (P,)."""
        size = np.maximum(self._size_pk[self._units], 1)
        return np.asarray(1.0 - self.free_pk[self._units] / size)

    def need_k(self, type_: JobType) -> Ints:
        """What a whole job of the type needs. Shape (4,)."""
        if type_ not in self._needs:
            self._needs[type_] = np.array([min(MOST, need * type_.tasks) for need in type_.shape], dtype=np.int64)
        return self._needs[type_]

    def asks_milli(self, type_: JobType) -> int:
        """What a job of the type takes of its account's quotas. Units: thousandths of cards or cores."""
        if type_ not in self._asks:
            self._asks[type_] = asked_milli(type_.job.spec)
        return self._asks[type_]

    def _change(self, p: int, type_: JobType, sign: int) -> None:
        pool = self._land.pools[p]
        self.free_pk[p] += sign * self.need_k(type_)
        self.held_milli[type_.kind.account, pool.resource.class_] -= sign * self.asks_milli(type_)
        self.version_s[pool.site] += 1


def _table(rooms: Sequence[FreeNodes]) -> Ints:
    sizes = [[r.cpu_milli, r.memory_bytes, r.cards, r.pods] for r in rooms]
    return np.array([[min(MOST, x) for x in size] for size in sizes], dtype=np.int64).reshape(len(sizes), 4)
