"""The example country read from its manifests, and what its places and policy say of a job.

It shares no code with the operator's placement: the demo checks with it what the operator decided.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import yaml

from suanli.api.job import ComputeJobSpec
from suanli.api.link import ComputeLink
from suanli.api.policy import Effect, HubPolicy, PlacementRule
from suanli.api.region import ComputeRegion
from suanli.api.site import ComputeSite, ComputeUnit
from suanli.base.units import duration_us

EARTH_KM = 6371.0088
US_PER_KM = 5  # light in fibre
ROUTING = 1.5
POLICY = "national"
OUTSIDE = "Outside"
ANY_TIER = "any"


@dataclass(frozen=True)
class Room:
    """Equal nodes of one class at one site."""

    nodes: int
    units_per_node: int

    def holds(self, tasks: int, units_per_task: int) -> bool:
        """Whether the tasks fit while nothing else runs."""
        return self.nodes * (self.units_per_node // units_per_task) >= tasks


Rooms = Mapping[tuple[str, str], Room]


@dataclass(frozen=True)
class Country:
    """Regions, policy, links and sites by name."""

    regions: Mapping[str, ComputeRegion]
    policy: HubPolicy
    links: tuple[ComputeLink, ...]
    sites: Mapping[str, ComputeSite]

    def only(self, sites: Iterable[str]) -> "Country":
        """The same country with these sites only. Raises: ValueError for a name that it does not have."""
        wanted = list(sites)
        for name in wanted:
            if name not in self.sites:
                raise ValueError(f'"{name}" is no site of the country; there are {", ".join(self.sites)}')
        return Country(self.regions, self.policy, self.links, {name: self.sites[name] for name in wanted})

    def hub(self, region: str) -> str | None:
        """The hub a region belongs to."""
        return self._hub_and_side.get(region, (None, OUTSIDE))[0]

    def side(self, region: str) -> str:
        """East, West or Outside."""
        return self._hub_and_side.get(region, (None, OUTSIDE))[1]

    def site_side(self, site: str) -> str:
        """East, West or Outside."""
        return self.side(self.sites[site].spec.region)

    def tier(self, spec: ComputeJobSpec) -> str:
        """The name of the job's latency tier; its time if it names one of its own; "any" without a bound."""
        if spec.latency is None:
            return ANY_TIER
        return spec.latency.tier or spec.latency.one_way or ANY_TIER

    def bound_us(self, tier: str) -> int | None:
        """A tier's bound, or a time's; None for any. Raises: ValueError."""
        if tier == ANY_TIER:
            return None
        tiers = {t.name: t.one_way for t in self.policy.spec.latency_tiers}
        return duration_us(tiers.get(tier, tier))

    def one_way_us(self, origin: str, site: str) -> int:
        """One-way time from a region to a site: the shortest path of links, else by distance, rounded up."""
        region = self.sites[site].spec.region
        found = self._paths.get(origin, {}).get(region)
        return found if found is not None else math.ceil(self.distance_km(origin, region) * US_PER_KM * ROUTING)

    def distance_km(self, one: str, other: str) -> float:
        """Great-circle distance of two regions."""
        a, b = self.regions[one].spec, self.regions[other].spec
        lat_a, lon_a, lat_b, lon_b = (
            math.radians(float(x)) for x in (a.latitude, a.longitude, b.latitude, b.longitude)
        )
        half = (
            math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
        )
        return 2 * EARTH_KM * math.asin(math.sqrt(half))

    def permits(self, spec: ComputeJobSpec, site: str) -> bool:
        """Whether latency, residency and every Require rule let the job run at the site."""
        region = self.sites[site].spec.region
        bound = self.bound_us(self.tier(spec))
        if bound is not None and self.one_way_us(spec.origin, site) > bound:
            return False
        if spec.data and spec.data.allowed_regions and region not in spec.data.allowed_regions:
            return False
        if spec.data and spec.data.allowed_sites and site not in spec.data.allowed_sites:
            return False
        if spec.data and spec.data.domain and spec.data.domain not in self.sites[site].spec.data_domains:
            return False
        rules = (r for r in self.policy.spec.placement_rules if r.effect is Effect.REQUIRE)
        return all(self._names(rule, site) for rule in rules if self._matches(rule, spec))

    def homes(self, spec: ComputeJobSpec, rooms: Rooms) -> list[str]:
        """The sites where the job could run if it were alone."""
        return [site for site in self.sites if self.permits(spec, site) and self._has_room(spec, site, rooms)]

    def declared_rooms(self) -> Rooms:
        """What the sites declare, as nodes of 8 cards or 64 cores."""
        rooms = {}
        for name, site in self.sites.items():
            for resource in site.spec.resources:
                each = 8 if resource.unit is ComputeUnit.CARD else 64
                rooms[name, resource.class_] = Room((resource.declared_units or 0) // each, each)
        return rooms

    def _has_room(self, spec: ComputeJobSpec, site: str, rooms: Rooms) -> bool:
        per_task = spec.resources.per_task
        for resource in self.sites[site].spec.resources:
            if resource.class_ not in spec.resources.class_:
                continue
            units = per_task.cards if resource.unit is ComputeUnit.CARD else int(per_task.cpu)
            room = rooms.get((site, resource.class_))
            if units and room is not None and room.holds(spec.tasks, units):
                return True
        return False

    def _matches(self, rule: PlacementRule, spec: ComputeJobSpec) -> bool:
        match = rule.match
        types = {r.type for s in self.sites.values() for r in s.spec.resources if r.class_ in spec.resources.class_}
        return (
            (not match.categories or spec.category in match.categories)
            and (not match.origin_sides or self.side(spec.origin) in match.origin_sides)
            and (not match.tiers or self.tier(spec) in match.tiers)
            and (not match.compute_types or bool(types.intersection(match.compute_types)))
        )

    def _names(self, rule: PlacementRule, site: str) -> bool:
        region, labels = self.sites[site].spec.region, self.sites[site].metadata.labels
        selector = rule.site_selector.match_labels if rule.site_selector else {}
        return (
            (not rule.sides or self.side(region) in rule.sides)
            and (not rule.hubs or self.hub(region) in rule.hubs)
            and all(labels.get(key) == value for key, value in selector.items())
        )

    @cached_property
    def _hub_and_side(self) -> Mapping[str, tuple[str | None, str]]:
        found: dict[str, tuple[str | None, str]] = {}
        for hub in self.policy.spec.hubs:
            for region in (*hub.regions, *(r for cluster in hub.clusters for r in cluster.regions)):
                found[region] = (hub.name, hub.side.value)
        return found

    @cached_property
    def _paths(self) -> Mapping[str, Mapping[str, int]]:
        graph: nx.Graph[str] = nx.Graph()
        for link in self.links:
            one, other = link.spec.endpoints
            graph.add_edge(one, other, us=duration_us(link.spec.one_way))
        lengths = nx.all_pairs_dijkstra_path_length(graph, weight="us")
        return {one: {other: int(us) for other, us in row.items()} for one, row in lengths}


def load(folder: Path) -> Country:
    """The country of a folder of manifests. Raises: ValueError (pydantic's is one), OSError."""
    documents = list(read_manifests([folder / "regions.yaml", folder / "policy.yaml", folder / "links.yaml"]))
    documents += read_manifests(sorted((folder / "sites").glob("*.yaml")))
    kinds: dict[str, list[Any]] = {"ComputeRegion": [], "HubPolicy": [], "ComputeLink": [], "ComputeSite": []}
    for document in documents:
        kinds[document["kind"]].append(document)
    regions = [ComputeRegion.model_validate(d) for d in kinds["ComputeRegion"]]
    policies = [HubPolicy.model_validate(d) for d in kinds["HubPolicy"]]
    sites = [ComputeSite.model_validate(d) for d in kinds["ComputeSite"]]
    return Country(
        {r.metadata.name: r for r in regions},
        next(p for p in policies if p.metadata.name == POLICY),
        tuple(ComputeLink.model_validate(d) for d in kinds["ComputeLink"]),
        {s.metadata.name: s for s in sites},
    )


def read_manifests(files: Sequence[Path]) -> Iterable[dict[str, Any]]:
    """The documents of YAML files, one after the other."""
    for file in files:
        yield from (d for d in yaml.safe_load_all(file.read_text(encoding="utf-8")) if d)
