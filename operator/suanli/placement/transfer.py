"""Moving data: what comes from where, and how long that takes, alone and beside the other transfers of a plan."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from suanli.base.units import whole
from suanli.placement.batch import Batch, Bools, Ints
from suanli.placement.network import HERE

MS_BITS_PER_BYTE = 8 * 1_000


@dataclass(frozen=True)
class Piece:
    """Data that a row moves: from `region`, or to it if it is an output. Units: bytes.

    A checkpoint lies at one `site` of the region, by its number in `Batch.sites`.
    """

    region: str
    size: int
    dataset: str | None = None
    site: int | None = None


def inputs_of(b: Batch, r: int) -> list[Piece]:
    """What each job of a row reads: its data, and the checkpoint that it goes on from."""
    data, kept = b.specs[r].data, b.kept_r[r]
    pieces = [Piece(i.region, whole(i.size), i.dataset) for i in data.inputs] if data else []
    return [*pieces, Piece(kept.region, kept.size, site=kept.site)] if kept else pieces


def outputs_of(b: Batch, r: int) -> list[Piece]:
    """What each job of a row writes: one piece, or none."""
    data = b.specs[r].data
    return [Piece(data.outputs.region, whole(data.outputs.size))] if data and data.outputs else []


def lies_at_s(b: Batch, piece: Piece) -> Bools:
    """Sites that have it, to which it is not moved. Shape (S,)."""
    if piece.site is not None:
        return np.asarray(np.arange(len(b.sites)) == piece.site)
    none = np.zeros(len(b.sites), dtype=bool)
    return b.holders.get(piece.dataset, none) if piece.dataset else none


def copies_at(b: Batch, r: int, s: int) -> list[str]:
    """The datasets that a row reads from the copy at a site."""
    names = [piece.dataset for piece in inputs_of(b, r) if piece.dataset and lies_at_s(b, piece)[s]]
    return list(dict.fromkeys(names))


def moved(b: Batch, r: int, s: int) -> dict[str, int]:
    """Bytes that come to a site for one job of a row, by the region that they come from."""
    found = Counter[str]()
    for piece in inputs_of(b, r):
        if not lies_at_s(b, piece)[s] and b.paths_us[b.region_index[piece.region]][s] is not HERE:
            found[piece.region] += piece.size
    return found


def least_ms_rs(b: Batch) -> Ints:
    """Time below which the inputs of a job with a deadline cannot have come, had it every link for itself. Shape (R, S). Units: ms.

    What comes from one region shares the narrowest link of its path. A bandwidth that is not known counts as no time, so it
    rules nothing out; jobs without a deadline are not looked at.
    """
    least_rs = np.zeros((len(b.rows), len(b.sites)), dtype=np.int64)
    for r, spec in enumerate(b.specs):
        if spec.timing.deadline is None:
            continue
        from_: dict[str, list[Piece]] = defaultdict(list)
        for piece in inputs_of(b, r):
            from_[piece.region].append(piece)
        for region, pieces in from_.items():
            kinds, kind_s = b.ground.ways(region).bps_s
            all_ = sum(piece.size for piece in pieces)
            least_s = np.array([_ms(all_, bps) for bps in kinds.tolist()], dtype=np.int64)[kind_s]
            for s in np.flatnonzero(sum(lies_at_s(b, piece) for piece in pieces)).tolist():
                here = sum(piece.size for piece in pieces if lies_at_s(b, piece)[s])
                least_s[s] = _ms(all_ - here, int(kinds[kind_s[s]]))
            least_rs[r] = np.maximum(least_rs[r], least_s)
    return least_rs


class Traffic:
    """How long inputs take while all jobs that a plan places move theirs at once.

    Every link carries all the bytes that the plan sends over it; the time of a job is that of the busiest link on its ways:
    max over links of bytes of the plan over the link x 8 / bandwidth. It is exact for a job that is alone. It is an upper
    estimate where the links that a job shares are busy all the time: a link shares its bandwidth in some way, and by then
    everything is through. Transfers of earlier plans, and outputs, are not in it.
    """

    def __init__(self, b: Batch, placed_rp: Ints) -> None:
        self._batch = b
        self._bytes = Counter[str]()
        for r, p in np.argwhere(placed_rp > 0).tolist():
            if not inputs_of(b, r):
                continue
            s = int(b.site_p[p])
            for region, size in moved(b, r, s).items():
                for wire in b.country.network.wires(region, *self._place(s)):
                    self._bytes[wire.name] += int(placed_rp[r, p]) * size

    def ms(self, r: int, s: int) -> int | None:
        """Time to move the inputs of a job of a row that the plan places at a site; None where a bandwidth is not known. Units: ms."""
        b, slowest = self._batch, 0
        for region in moved(b, r, s):
            wires = b.country.network.wires(region, *self._place(s))
            if not wires:
                return None
            for wire in wires:
                if wire.bps is None:
                    return None
                slowest = max(slowest, _ms(self._bytes[wire.name], wire.bps))
        return slowest

    def _place(self, s: int) -> tuple[str, str]:
        site = self._batch.sites[s].site
        return site.metadata.name, site.spec.region


def _ms(size: int, bps: int) -> int:
    """Rounded up; no time where the bandwidth is not known."""
    return -(-size * MS_BITS_PER_BYTE // bps) if bps else 0
