"""How long a job runs on a class that is not the one it wishes first: by the petaflops of one unit, of one precision only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from suanli.api.site import Precision, SiteResource
from suanli.base.units import micro

Ints = npt.NDArray[np.int64]

LONGEST_MS = 1 << 60  # sums with times stay within 64 bits


class Speeds:
    """How fast the classes of pools are. Where sites differ about the petaflops of one class, a first wish means the fastest."""

    def __init__(self, offers_p: Sequence[SiteResource]) -> None:
        alike: dict[tuple[str, Precision, str | None], int] = {}
        kinds = [alike.setdefault((o.class_, o.precision, o.petaflops), len(alike)) for o in offers_p]
        self._kind_p = np.array(kinds, dtype=np.int64)
        self._kinds = [(class_, precision, micro(flops) if flops else 0) for class_, precision, flops in alike]
        self._fastest: dict[tuple[str, Precision], int] = {}
        for class_, precision, speed in self._kinds:
            self._fastest[class_, precision] = max(speed, self._fastest.get((class_, precision), 0))

    def durations_ms_p(self, lasts_ms: int, wishes: Sequence[str]) -> Ints:
        """Expected run in every pool: the duration times the first wish's petaflops over the pool's, rounded up.

        A pool of the first wish itself, of another precision than it, or with a speed that nobody knows, takes as long as the
        duration says. Shape (P,). Units: ms.
        """
        if len(wishes) < 2:
            return np.full(len(self._kind_p), lasts_ms, dtype=np.int64)
        found = [self._lasts_ms(lasts_ms, wishes, *kind) for kind in self._kinds]
        return np.array(found, dtype=np.int64)[self._kind_p]

    def _lasts_ms(self, lasts_ms: int, wishes: Sequence[str], class_: str, precision: Precision, speed: int) -> int:
        wished = self._fastest.get((wishes[0], precision))
        if class_ not in wishes[1:] or not speed or not wished:
            return lasts_ms
        return min(LONGEST_MS, -(-lasts_ms * wished // speed))
