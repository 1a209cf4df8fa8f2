"""Ways between places by the descriptions of ComputeLink and ComputeRegion, and sides and hubs by those of HubPolicy."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from checker.wire import amount, microseconds
from suanli.placement.snapshot import Country

EARTH_KM = 6371.0088


@dataclass(frozen=True)
class Way:
    """One way: its time, whether links made it, its width if all are known, its price in micro-yuan per GiB as far as named.

    `unpriced` are the stretches that name no price; `over` the links by name, each with its width.
    """

    us: int
    measured: bool
    price: Fraction = Fraction(0)
    unpriced: int = 1
    width: Fraction | None = None
    over: tuple[tuple[str, Fraction | None], ...] = ()


@dataclass(frozen=True)
class _Link:
    name: str
    ends: tuple[str, str]
    us: int
    price: Fraction | None
    width: Fraction | None


class Ways:
    """The map of one country; `kept` are the regions, by site, of the sites from which a checkpoint can be had."""

    def __init__(self, country: Country, kept: Mapping[str, str] | None = None) -> None:
        self.kept = kept or {}
        self._country = country
        self._links = [
            _Link(
                name,
                (link.spec.endpoints[0], link.spec.endpoints[1]),
                microseconds(link.spec.one_way),
                None if link.spec.price_per_gib is None else Fraction(link.spec.price_per_gib) * 10**6,
                None if link.spec.bandwidth is None else amount(link.spec.bandwidth),
            )
            for name, link in country.links.items()
            if link.spec.desired_state.value == "Up"
        ]
        self._named = {end for link in country.links.values() for end in link.spec.endpoints}
        self._found: dict[tuple[str, str, str], Way | None] = {}

    def way(self, origin: str, site: str, region: str) -> Way | None:
        """From a region to a site in `region`; None where one of the regions is not known."""
        key = (origin, site, region)
        if key not in self._found:
            self._found[key] = self._look(*key)
        return self._found[key]

    def side(self, region: str) -> str:
        """East, West or Outside."""
        return self._hubs.get(region, (None, "Outside"))[1]

    def hub(self, region: str) -> str | None:
        """The first hub that has the region, its own or a cluster's."""
        return self._hubs.get(region, (None, "Outside"))[0]

    def _look(self, origin: str, site: str, region: str) -> Way | None:
        regions = self._country.regions
        if origin not in regions or region not in regions:
            return None
        place = site if site in self._named and site not in regions else region
        if place == origin:
            return Way(0, measured=True, unpriced=0)
        times = self._times(origin)
        if place not in times:
            return Way(math.ceil(self._km(origin, region) * 0.005 * 1.5 * 1000), measured=False)
        ways = set(self._tight(times, [origin], place))
        assert len({(w.price, w.unpriced, w.width) for w in ways}) == 1, (
            f"two equally fast ways from {origin} to {place} differ"
        )
        return ways.pop()

    def _times(self, origin: str) -> dict[str, int]:
        """Least time to every place that links reach: relax all links until nothing changes."""
        times = {origin: 0}
        changed = True
        while changed:
            changed = False
            for link in self._links:
                for one, other in (link.ends, link.ends[::-1]):
                    if one in times and times[one] + link.us < times.get(other, 1 << 62):
                        times[other] = times[one] + link.us
                        changed = True
        return times

    def _tight(
        self, times: dict[str, int], passed: list[str], goal: str, used: tuple[_Link, ...] = ()
    ) -> Iterator[Way]:
        """Every fastest way."""
        here = passed[-1]
        if here == goal:
            prices = [link.price for link in used if link.price is not None]
            widths = [link.width for link in used if link.width is not None]
            yield Way(
                times[goal],
                measured=True,
                price=sum(prices, Fraction(0)),
                unpriced=len(used) - len(prices),
                width=min(widths) if len(widths) == len(used) else None,
                over=tuple((link.name, link.width) for link in used),
            )
            return
        for link in self._links:
            for one, other in (link.ends, link.ends[::-1]):
                if one == here and other not in passed and times[here] + link.us == times[other] <= times[goal]:
                    yield from self._tight(times, [*passed, other], goal, (*used, link))

    def _km(self, one: str, other: str) -> float:
        """Great circle by the angle between two vectors."""
        a, b = (self._vector(name) for name in (one, other))
        cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
        return EARTH_KM * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))

    def _vector(self, region: str) -> tuple[float, float, float]:
        spec = self._country.regions[region].spec
        north, east = math.radians(float(spec.latitude)), math.radians(float(spec.longitude))
        return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)

    @cached_property
    def _hubs(self) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        policy = self._country.policy
        for hub in policy.spec.hubs if policy else []:
            of_clusters = [region for cluster in hub.clusters for region in cluster.regions]
            for region in [*hub.regions, *of_clusters]:
                if region not in found:
                    found[region] = (hub.name, hub.side.value)
        return found
