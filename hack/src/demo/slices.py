"""A small slice of each site's declared data centre, as nodes for a simulated member."""

from collections.abc import Iterable

from demo.country import Country, Room, Rooms
from localfed import NodeShape
from suanli.api.site import ComputeUnit, SiteResource

CARDS_PER_NODE = 8
CORES_PER_NODE = 64
CARDS_FOR_A_NODE = 256  # one node stands for so many declared cards,
CORES_FOR_A_NODE = 8192  # or for so many declared cores
FEWEST, MOST = 2, 8


def rooms(country: Country) -> Rooms:
    """What each site's slice holds, by site and class."""
    found = {}
    for name, site in country.sites.items():
        for resource in site.spec.resources:
            each, stands_for = _scale(resource)
            count = min(MOST, max(FEWEST, (resource.declared_units or 0) // stands_for))
            found[name, resource.class_] = Room(count, each)
    return found


def shapes(country: Country, site: str, slice_: Rooms) -> tuple[NodeShape, ...]:
    """The nodes of one site's slice."""
    return tuple(_shapes(country.sites[site].spec.resources, site, slice_))


def _shapes(resources: Iterable[SiteResource], site: str, slice_: Rooms) -> Iterable[NodeShape]:
    for resource in resources:
        room = slice_[site, resource.class_]
        cards = resource.unit is ComputeUnit.CARD
        yield NodeShape(
            count=room.nodes,
            cpu=str(CORES_PER_NODE),
            memory="512Gi",
            card_resource=resource.resource_name if cards else "",
            cards=room.units_per_node if cards else 0,
            labels=dict(resource.node_labels),
            name_prefix=resource.class_,
        )


def _scale(resource: SiteResource) -> tuple[int, int]:
    if resource.unit is ComputeUnit.CARD:
        return CARDS_PER_NODE, CARDS_FOR_A_NODE
    return CORES_PER_NODE, CORES_FOR_A_NODE
