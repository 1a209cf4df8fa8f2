"""Sites as they declare themselves, for questions that no cluster is asked about."""

from suanli.api.site import ComputeSite, ComputeUnit, SiteResource
from suanli.base.units import cpu_milli, whole
from suanli.placement.batch import MOST
from suanli.placement.packing import MOST_SLOTS
from suanli.placement.snapshot import ClassRoom, FreeNodes, SiteView


def declared_view(site: ComputeSite) -> SiteView:
    """A site that is ready and empty: each class is one large node with its declared units and the site's declared memory."""
    return SiteView(site=site, ready=True, classes={r.class_: _room(site, r) for r in site.spec.resources})


def declared_node(site: ComputeSite, resource: SiteResource) -> FreeNodes:
    """A class of a site as one large node."""
    declared = site.spec.declared_capacity
    memory = whole(declared.memory) if declared else MOST
    units = resource.declared_units or 0
    if resource.unit is ComputeUnit.CARD:
        cpu = cpu_milli(declared.cpu) if declared else MOST
        return FreeNodes(count=1, cpu_milli=cpu, memory_bytes=memory, cards=units, pods=MOST_SLOTS)
    return FreeNodes(count=1, cpu_milli=units * 1_000, memory_bytes=memory, cards=0, pods=MOST_SLOTS)


def _room(site: ComputeSite, resource: SiteResource) -> ClassRoom:
    nodes = (declared_node(site, resource),)
    return ClassRoom(nodes, nodes)
