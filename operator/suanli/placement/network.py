"""Times, prices and bandwidths between places: shortest paths over ComputeLinks, and an estimate where there is none."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from suanli.api.link import ComputeLink
from suanli.api.region import ComputeRegion
from suanli.base.units import duration_us, micro, whole

EARTH_RADIUS_KM = 6_371.0088  # mean radius, IUGG
FIBRE_US_PER_KM = 5.0  # light in fibre, 0.005 ms a kilometre
ROUTING_FACTOR = 1.5  # fibre against the great circle; the ceiling of the 2023-10 action plan between clusters


@dataclass(frozen=True)
class Path:
    """The way from one place to another.

    Units: `one_way_us` µs; `price_micro_yuan_per_gib` None where no link of it names a price; `bandwidth_bps` bit/s of its
    narrowest link, None where one is unknown.
    """

    one_way_us: int
    measured: bool
    price_micro_yuan_per_gib: int | None = None
    bandwidth_bps: int | None = None


HERE = Path(0, measured=True, price_micro_yuan_per_gib=0)
NOWHERE = Path(1 << 60, measured=False)  # to a region that does not exist


class Network:
    """Paths from regions to places. A place is a region, or a site that links name."""

    def __init__(self, regions: Iterable[ComputeRegion], links: Iterable[ComputeLink]) -> None:
        self._at = {r.metadata.name: (float(r.spec.latitude), float(r.spec.longitude)) for r in regions}
        self._graph: nx.Graph[str] = nx.Graph()
        for link in sorted(links, key=lambda link: link.metadata.name):  # of ways equally fast, always the same
            self._add(link)
        self._from: dict[str, Mapping[str, Path]] = {}

    def path(self, origin: str, site: str, region: str) -> Path:
        """The way from a region to a site that stands in `region`.

        A site that no link names stands at its region itself. Without a path of links: great-circle km x 0.005 ms x 1.5.
        Source: 发改数据〔2023〕1779号 gives tiers, not routes; the factor is that of the 2023-10 action plan (<= 1.5).
        """
        if region not in self._at or origin not in self._at:
            return NOWHERE
        place = site if site in self._graph and site not in self._at else region
        if place == origin:
            return HERE
        if origin in self._graph and origin not in self._from:
            self._from[origin] = self._paths(origin)
        known = self._from.get(origin, {}).get(place)
        return known or Path(self.estimated_us(origin, region), measured=False)

    def distance_km(self, one: str, other: str) -> float:
        """Great-circle distance of two regions (haversine)."""
        (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, self._at[name])) for name in (one, other))
        h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
        return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, h)))

    def estimated_us(self, one: str, other: str) -> int:
        """The one-way time that distance alone suggests, rounded up."""
        return math.ceil(self.distance_km(one, other) * FIBRE_US_PER_KM * ROUTING_FACTOR)

    def _add(self, link: ComputeLink) -> None:
        """Of several links between two places the fastest counts."""
        one, other = link.spec.endpoints
        us = duration_us(link.spec.one_way)
        if self._graph.has_edge(one, other) and self._graph[one][other]["us"] <= us:
            return
        price, width = link.spec.price_per_gib, link.spec.bandwidth
        self._graph.add_edge(
            one,
            other,
            us=us,
            price=None if price is None else micro(price),
            bps=None if width is None else whole(width),
        )

    def _paths(self, origin: str) -> Mapping[str, Path]:
        ways = nx.single_source_dijkstra_path(self._graph, origin, weight="us")
        return {place: self._along(way) for place, way in ways.items() if place != origin}

    def _along(self, way: list[str]) -> Path:
        links = [self._graph[a][b] for a, b in pairwise(way)]
        prices = [link["price"] for link in links if link["price"] is not None]
        widths = [link["bps"] for link in links]
        return Path(
            sum(link["us"] for link in links),
            measured=True,
            price_micro_yuan_per_gib=sum(prices) if prices else None,
            bandwidth_bps=None if None in widths else min(widths),
        )
