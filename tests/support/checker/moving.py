"""How long inputs take, by the descriptions of DataInput, ComputeLink and estimate.transferTime."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from checker.money import checkpoint_from, has_copy
from checker.ways import Way, Ways
from checker.wire import amount
from suanli.api.job import ComputeJobSpec
from suanli.api.site import ComputeSite

BITS_MS = 8 * 1000


def moves(ways: Ways, spec: ComputeJobSpec, site: ComputeSite) -> list[tuple[str, Way, int]]:
    """Region, way and bytes of each input that has a way to go."""
    pieces = [
        (piece.region, piece.size) for piece in (spec.data.inputs if spec.data else []) if not has_copy(site, piece)
    ]
    region = checkpoint_from(ways, spec, site)
    if region is not None and spec.checkpoint is not None:
        pieces.append((region, spec.checkpoint.size))
    found = []
    for region, size in pieces:
        way = ways.way(region, site.metadata.name, site.spec.region)
        if way is not None and (way.us > 0 or not way.measured):
            found.append((region, way, math.ceil(amount(size))))
    return found


def least_ms(ways: Ways, spec: ComputeJobSpec, site: ComputeSite) -> int:
    """What comes from one region cannot come faster than its narrowest link lets it; an unknown width lets all."""
    sums: dict[str, int] = defaultdict(int)
    widths: dict[str, Fraction] = {}
    for region, way, size in moves(ways, spec, site):
        if way.width is not None:
            sums[region] += size
            widths[region] = way.width
    return max((math.ceil(size * BITS_MS / widths[region]) for region, size in sums.items()), default=0)


def loads(ways: Ways, placed: Iterable[tuple[ComputeJobSpec, ComputeSite]]) -> Mapping[str, int]:
    """Bytes that the jobs of a plan send over every link."""
    found: dict[str, int] = defaultdict(int)
    for spec, site in placed:
        for _, way, size in moves(ways, spec, site):
            for name, _ in way.over:
                found[name] += size
    return found


def shared_ms(ways: Ways, spec: ComputeJobSpec, site: ComputeSite, loads_: Mapping[str, int]) -> int | None:
    """Until the busiest link of its ways has carried all that the plan sends over it; None where a width is not known."""
    slowest = 0
    for _, way, _ in moves(ways, spec, site):
        if not way.measured or any(width is None for _, width in way.over):
            return None
        slowest = max([slowest, *(math.ceil(loads_[name] * BITS_MS / width) for name, width in way.over if width)])
    return slowest
