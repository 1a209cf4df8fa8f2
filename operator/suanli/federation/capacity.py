"""What a member can still give, class by class, from its nodes and what stands on them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suanli.api.site import ComputeUnit, SiteResource
from suanli.federation.facts import NodeFacts, PodLoad
from suanli.placement.snapshot import ClassRoom, FreeNodes


@dataclass(frozen=True)
class Demand:
    """Tasks that are assigned here but not yet bound to a node."""

    class_: str
    count: int
    cpu_milli: int
    memory_bytes: int
    cards: int


@dataclass
class _Free:
    cpu_milli: int
    memory_bytes: int
    pods: int
    cards: int


@dataclass(frozen=True)
class ClassFigures:
    """Units of one class: of all its nodes, and of its usable nodes less foreign pods; and those nodes."""

    capacity: int
    allocatable: int
    room: ClassRoom


def class_of(node: NodeFacts, classes: Sequence[SiteResource]) -> SiteResource | None:
    """The first class in the site's order whose resource and labels the node has; classes of cards before cores."""
    ordered = sorted(classes, key=lambda c: c.unit is not ComputeUnit.CARD)
    for resource in ordered:
        if any(node.label(k) != v for k, v in resource.node_labels.items()):
            continue
        if resource.unit is ComputeUnit.CARD and not node.allocatable.of(resource.resource_name):
            continue
        return resource
    return None


def figures(
    classes: Sequence[SiteResource],
    nodes: Iterable[NodeFacts],
    foreign: Iterable[PodLoad],
    own: Iterable[PodLoad],
    unbound: Iterable[Demand],
) -> Mapping[str, ClassFigures]:
    """Every class's figures. Tasks that are assigned but not bound take room first fit, as a scheduler would."""
    rooms: dict[str, tuple[SiteResource, _Free]] = {}
    capacity: Counter[str] = Counter()
    for node in nodes:
        resource = class_of(node, classes)
        if resource is None:
            continue
        given = node.allocatable
        cards = given.of(resource.resource_name)
        capacity[resource.class_] += cards if resource.unit is ComputeUnit.CARD else given.cpu_milli // 1000
        if node.usable:
            rooms[node.name] = (resource, _Free(given.cpu_milli, given.memory_bytes, given.pods or 110, cards))
    _take(rooms, foreign)
    allocatable: Counter[str] = Counter()
    for resource, room in rooms.values():
        allocatable[resource.class_] += max(
            0, room.cards if resource.unit is ComputeUnit.CARD else room.cpu_milli // 1000
        )
    empty = {c.class_: _grouped(rooms, c.class_) for c in classes}
    _take(rooms, own)
    for demand in unbound:
        _fit(rooms, demand)
    return {
        name: ClassFigures(capacity[name], allocatable[name], ClassRoom(_grouped(rooms, name), empty[name]))
        for name in empty
    }


def _take(rooms: Mapping[str, tuple[SiteResource, _Free]], loads: Iterable[PodLoad]) -> None:
    for load in loads:
        found = rooms.get(load.node)
        if found is None:
            continue
        resource, room = found
        room.cpu_milli -= load.requests.cpu_milli
        room.memory_bytes -= load.requests.memory_bytes
        room.pods -= 1
        room.cards -= load.requests.of(resource.resource_name)


def _fit(rooms: Mapping[str, tuple[SiteResource, _Free]], demand: Demand) -> None:
    left = demand.count
    for resource, room in rooms.values():
        if left <= 0:
            return
        if resource.class_ != demand.class_:
            continue
        most = min(left, _times(room, demand))
        if most > 0:
            room.cpu_milli -= most * demand.cpu_milli
            room.memory_bytes -= most * demand.memory_bytes
            room.cards -= most * demand.cards
            room.pods -= most
            left -= most


def _times(room: _Free, demand: Demand) -> int:
    times = room.pods
    for free, asked in (
        (room.cpu_milli, demand.cpu_milli),
        (room.memory_bytes, demand.memory_bytes),
        (room.cards, demand.cards),
    ):
        if asked:
            times = min(times, free // asked)
    return times


def _grouped(rooms: Mapping[str, tuple[SiteResource, _Free]], class_: str) -> tuple[FreeNodes, ...]:
    alike = Counter(
        (max(0, r.cpu_milli), max(0, r.memory_bytes), max(0, r.cards), max(0, r.pods))
        for resource, r in rooms.values()
        if resource.class_ == class_
    )
    return tuple(
        FreeNodes(count=n, cpu_milli=c, memory_bytes=m, cards=k, pods=p)
        for (c, m, k, p), n in sorted(alike.items())
        if p
    )
