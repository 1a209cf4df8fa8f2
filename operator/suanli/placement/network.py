"""Times, prices and bandwidths between places: shortest paths over ComputeLinks, and an estimate where there is none."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from suanli.api.link import ComputeLink, LinkState
from suanli.api.region import ComputeRegion
from suanli.base.units import duration_us, micro, whole

EARTH_RADIUS_KM = 6_371.0088  # mean radius, IUGG
FIBRE_US_PER_KM = 5.0  # light in fibre, 0.005 ms a kilometre
ROUTING_FACTOR = 1.5  # fibre against the great circle; the ceiling of the 2023-10 action plan between clusters


@dataclass(frozen=True)
class Path:
    """The way from one place to another.

    Units: `one_way_us` µs; `price_micro_yuan_per_gib` the sum over its links that name a price, `unpriced` how many do not
    and so cost the policy's (an estimated path counts as one); `bandwidth_bps` bit/s of its narrowest link, None where one
    is unknown.
    """

    one_way_us: int
    measured: bool
    price_micro_yuan_per_gib: int = 0
    unpriced: int = 1
    bandwidth_bps: int | None = None


HERE = Path(0, measured=True, unpriced=0)
NOWHERE = Path(1 << 60, measured=False)  # to a region that does not exist


@dataclass(frozen=True)
class Wire:
    """A link in numbers. Units: `us` µs one way, `price` micro-yuan per GiB, `bps` bit/s; None where it names none.

    `operator`: who is paid for it, "" for nobody.
    """

    name: str
    ends: tuple[str, str]
    us: int
    price: int | None
    bps: int | None
    operator: str = ""


@dataclass(frozen=True)
class Tree:
    """What links reach from an origin: each place's least time, and the places before it on its fastest ways. Units: `us` µs."""

    us: Mapping[str, float]
    before: Mapping[str, Sequence[str]]
    paths: dict[str, tuple[Path, Sequence[Wire]]] = field(default_factory=dict)  # those that were asked for


class Network:
    """Paths from regions to places. A place is a region, or a site that links name.

    With `before`, the network as it was, the paths of an origin are taken over unless a link that changed can be on one.
    """

    def __init__(
        self, regions: Iterable[ComputeRegion], links: Iterable[ComputeLink], before: "Network | None" = None
    ) -> None:
        self._at = {r.metadata.name: (float(r.spec.latitude), float(r.spec.longitude)) for r in regions}
        self.links: dict[str, Wire] = {}  # those that are up
        self._between: dict[tuple[str, str], Wire] = {}  # the fastest one, from either end
        self._graph: nx.Graph[str] = nx.Graph()
        for link in sorted(links, key=lambda link: link.metadata.name):
            self._add(link)
        self._from: dict[str, Tree] = before.kept(self.links) if before else {}
        self._estimated: dict[tuple[str, str], Path] = {}  # those that were asked for

    def path(self, origin: str, site: str, region: str) -> Path:
        """The way from a region to a site that stands in `region`.

        A site that no link names stands at its region itself. Without a path of links: great-circle km x 0.005 ms x 1.5.
        Source: 发改数据〔2023〕1779号 gives tiers, not routes; the factor is that of the 2023-10 action plan (<= 1.5).
        """
        if region not in self._at or origin not in self._at:
            return NOWHERE
        place = self._place(site, region)
        if place == origin:
            return HERE
        known = self._known(origin, place)
        if known:
            return known[0]
        if (origin, region) not in self._estimated:
            self._estimated[origin, region] = Path(self.estimated_us(origin, region), measured=False)
        return self._estimated[origin, region]

    def wires(self, origin: str, site: str, region: str) -> Sequence[Wire]:
        """The links of that path, from the site backwards; none where it stands at the origin or is estimated."""
        if region not in self._at or origin not in self._at:
            return ()
        known = self._known(origin, self._place(site, region))
        return known[1] if known else ()

    def distance_km(self, one: str, other: str) -> float:
        """Great-circle distance of two regions (haversine). Units: km. Raises: KeyError for a region that is not in the network."""
        (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, self._at[name])) for name in (one, other))
        h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
        return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, h)))

    def estimated_us(self, one: str, other: str) -> int:
        """The one-way time that distance alone suggests, rounded up. Units: µs. Raises: KeyError as `distance_km`."""
        return math.ceil(self.distance_km(one, other) * FIBRE_US_PER_KM * ROUTING_FACTOR)

    def kept(self, now: Mapping[str, Wire]) -> dict[str, Tree]:
        """The trees in which no link that came, went or changed has or had a part.

        A link can be on a path only if its time is no longer than the difference between its ends' times. Whatever links
        changed, where that holds of none of them, times and ways are what they were: every way over them is longer.
        """
        was = self.links
        changed = [wires[name] for wires in (was, now) for name in wires if was.get(name) != now.get(name)]
        return {o: tree for o, tree in tuple(self._from.items()) if not any(_on(wire, tree.us) for wire in changed)}

    def _add(self, link: ComputeLink) -> None:
        """Of several links between two places the fastest counts. One that is down joins nothing, but its ends stay places."""
        one, other = link.spec.endpoints
        self._graph.add_nodes_from((one, other))
        if link.spec.desired_state is LinkState.DOWN:
            return
        price, width = link.spec.price_per_gib, link.spec.bandwidth
        wire = Wire(
            link.metadata.name,
            (min(one, other), max(one, other)),
            duration_us(link.spec.one_way),
            None if price is None else micro(price),
            None if width is None else whole(width),
            link.spec.operator or "",
        )
        self.links[wire.name] = wire
        known = self._between.get((one, other))
        if known is None or wire.us < known.us:
            self._graph.add_edge(one, other, us=wire.us)
            self._between[one, other] = self._between[other, one] = wire

    def _place(self, site: str, region: str) -> str:
        return site if site in self._graph and site not in self._at else region

    def _tree(self, origin: str) -> Tree:
        if origin not in self._from:
            alone = {origin: list[str]()}, {origin: 0}
            is_linked = origin in self._graph
            found = nx.dijkstra_predecessor_and_distance(self._graph, origin, weight="us") if is_linked else alone
            self._from[origin] = Tree(us=found[1], before=found[0])
        return self._from[origin]

    def _known(self, origin: str, place: str) -> tuple[Path, Sequence[Wire]] | None:
        """The path that links make, and the links; None where they do not reach the place."""
        tree = self._tree(origin)
        if place not in tree.paths:
            if place not in tree.us:
                return None
            wires = self._back(tree, place)
            tree.paths[place] = _along(wires), wires
        return tree.paths[place]

    def _back(self, tree: Tree, place: str) -> list[Wire]:
        """The links from a place back to the origin. Of ways equally fast the one whose link is first by name."""
        found: list[Wire] = []
        while befores := tree.before[place]:
            ways = [(self._between[before, place].name, before) for before in befores]
            name, place = min(ways) if len(ways) > 1 else ways[0]
            found.append(self.links[name])
        return found


def _along(wires: Sequence[Wire]) -> Path:
    if not wires:
        return HERE
    prices = [wire.price for wire in wires if wire.price is not None]
    widths = [wire.bps for wire in wires if wire.bps is not None]
    return Path(
        sum(wire.us for wire in wires),
        measured=True,
        price_micro_yuan_per_gib=sum(prices),
        unpriced=len(wires) - len(prices),
        bandwidth_bps=min(widths) if len(widths) == len(wires) else None,
    )


def _on(wire: Wire, us: Mapping[str, float]) -> bool:
    """Whether a link is on a fastest path of an origin, or makes one faster or as fast."""
    one, other = (us.get(end) for end in wire.ends)
    if one is None or other is None:
        return one is not other
    return wire.us <= abs(one - other)
