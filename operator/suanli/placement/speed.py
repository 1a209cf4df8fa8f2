"""How long a job runs on a class that is not the one it wishes first: by the petaflops of one unit, of one precision only."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from suanli.api.site import Precision, SiteResource
from suanli.base.units import micro

Ints = npt.NDArray[np.int64]

LONGEST_MS = 1 << 60  # sums with times stay within 64 bits


def durations_ms_rp(duration_ms_r: Ints, wishes_r: Sequence[Sequence[str]], offers_p: Sequence[SiteResource]) -> Ints:
    """Expected runs in every pool: the duration times the first wish's petaflops over the pool's, rounded up.

    Where sites differ about the petaflops of the first wish, the fastest is meant. A pool of the first wish itself, of another
    precision than it, or with a speed that nobody knows, takes as long as the duration says.
    Shapes: duration_ms_r (R,), classes wished by each row, the class of each pool -> (R, P). Units: ms.
    """
    found = np.broadcast_to(duration_ms_r[:, None], (len(wishes_r), len(offers_p)))
    several = [r for r, wishes in enumerate(wishes_r) if len(wishes) > 1]
    if not several or not any(offer.petaflops for offer in offers_p):
        return found
    found, fastest = found.copy(), _fastest(offers_p)
    known: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for r in several:
        key = int(duration_ms_r[r]), tuple(wishes_r[r])
        if key not in known:
            known[key] = [_lasts_ms(*key, offer, fastest) for offer in offers_p]
        found[r] = known[key]
    return found


def _fastest(offers: Sequence[SiteResource]) -> dict[tuple[str, Precision], int]:
    """The speed of each class at each precision. Units: petaflops x 10^-6."""
    found: dict[tuple[str, Precision], int] = {}
    for offer in offers:
        if offer.petaflops:
            key = offer.class_, offer.precision
            found[key] = max(micro(offer.petaflops), found.get(key, 0))
    return found


def _lasts_ms(
    lasts_ms: int, wishes: tuple[str, ...], offer: SiteResource, fastest: dict[tuple[str, Precision], int]
) -> int:
    wished = fastest.get((wishes[0], offer.precision))
    if offer.class_ not in wishes[1:] or not offer.petaflops or not wished:
        return lasts_ms
    return min(LONGEST_MS, -(-lasts_ms * wished // micro(offer.petaflops)))
