"""What an attempt sends over which links, if it runs at a site: what is billed and metered, by the sizes that its job declares."""

from collections import Counter

from suanli.api.job import ComputeJobSpec
from suanli.api.link import Direction, Leg
from suanli.api.site import ComputeSite
from suanli.base.units import whole
from suanli.placement.network import Network


def legs_of(network: Network, site: ComputeSite, spec: ComputeJobSpec, kept: ComputeSite | None) -> tuple[Leg, ...]:
    """The bytes over each link, by direction and link. `kept`: where the checkpoint lies, if it can be had.

    Inputs of which a copy lies at the site are not moved, and no checkpoint that lies there. A way that no links make has no leg.
    """
    data, name, region = spec.data, site.metadata.name, site.spec.region
    moves: list[tuple[Direction, str, str]] = []
    if data is not None:
        copies = site.spec.cached_datasets
        moves += [(Direction.IN, i.region, i.size) for i in data.inputs if i.dataset not in copies]
    if spec.checkpoint is not None and kept is not None and kept.metadata.name != name:
        moves.append((Direction.IN, kept.spec.region, spec.checkpoint.size))
    if data is not None and data.outputs is not None:
        moves.append((Direction.OUT, data.outputs.region, data.outputs.size))
    sizes = Counter[tuple[Direction, str, str]]()
    for direction, place, size in moves:
        for wire in network.wires(place, name, region):
            sizes[direction, wire.name, wire.operator] += whole(size)
    return tuple(Leg(*whose, size) for whose, size in sorted(sizes.items()))
