"""What sites, links and the policy say whatever jobs ask, as arrays.

Made once and kept as long as none of these objects is another: a cycle with few jobs pays for the jobs, not for the country.
Axes: s sites by name, p pools, every class at every site.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from suanli.api.policy import Effect, Pairing, PlacementRule
from suanli.api.site import ComputeSite, ComputeUnit, SiteResource, SiteState
from suanli.base.units import micro
from suanli.placement.network import Path
from suanli.placement.rules import has_site, matches, names
from suanli.placement.snapshot import Country
from suanli.placement.speed import Speeds
from suanli.placement.tariff import Tariffs

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FARTHEST_US = 1 << 60  # sums with times stay within 64 bits


class Sort(NamedTuple):
    """All that the policy's rules and pairings ask of a job; `green` sites outside the hubs count as the West for it."""

    category: str
    hub: str
    side: str
    tier: str
    green: bool


@dataclass(frozen=True)
class Stance:
    """What the policy says of one sort of jobs.

    Shapes: `weight_p` (P,) micro-yuan per task and hour; `forbids_p` (P,) the first Require rule that forbids the pool, -1 for none.
    """

    weight_p: Floats
    forbids_p: Ints


@dataclass(frozen=True)
class Ways:
    """The ways from one region to every site.

    Shapes: (S,) each. Units: µs; micro-yuan per GiB; `bps_s` different bandwidths in bit/s, 0 for unknown, and which of them.
    """

    paths: tuple[Path, ...]
    one_way_us_s: Ints
    price_s: Floats
    bps_s: tuple[Ints, Ints]


@dataclass(frozen=True, eq=False)
class Ground:
    """A country with its sites. What it holds is shared: nobody writes into its arrays."""

    country: Country
    sites: tuple[ComputeSite, ...]

    # --- sites

    @cached_property
    def name_s(self) -> npt.NDArray[np.str_]:
        """Names of the sites. Shape (S,)."""
        return np.array([site.metadata.name for site in self.sites], dtype=np.str_)

    @cached_property
    def region_s(self) -> npt.NDArray[np.str_]:
        """Where the sites stand. Shape (S,)."""
        return np.array([site.spec.region for site in self.sites], dtype=np.str_)

    @cached_property
    def stands_s(self) -> Bools:
        """Sites that stand in a region that exists. Shape (S,)."""
        return _bools(site.spec.region in self.country.regions for site in self.sites)

    @cached_property
    def active_s(self) -> Bools:
        """Sites that take new work. Shape (S,)."""
        return _bools(site.spec.desired_state is SiteState.ACTIVE for site in self.sites)

    @cached_property
    def domains_s(self) -> tuple[frozenset[str], ...]:
        """The data domains of each site."""
        return tuple(frozenset(site.spec.data_domains) for site in self.sites)

    @cached_property
    def closed(self) -> Mapping[int, frozenset[str]]:
        """The sites that are not open to all, with the accounts that they take."""
        allowed = ((s, frozenset(site.spec.allowed_accounts)) for s, site in enumerate(self.sites))
        return {s: accounts for s, accounts in allowed if accounts}

    @cached_property
    def holders(self) -> Mapping[str, Bools]:
        """Of every dataset that lies at some site, the sites with a copy. Shape (S,) each."""
        found: dict[str, Bools] = {}
        for s, site in enumerate(self.sites):
            for name in site.spec.cached_datasets:
                found.setdefault(name, np.zeros(len(self.sites), dtype=bool))[s] = True
        return found

    @cached_property
    def tariffs(self) -> Tariffs:
        """What electricity costs at each site."""
        return Tariffs(tuple(site.spec.energy for site in self.sites))

    # --- pools

    @cached_property
    def resources(self) -> tuple[SiteResource, ...]:
        """The class of each pool. Shape (P,)."""
        return tuple(resource for site in self.sites for resource in site.spec.resources)

    @cached_property
    def site_p(self) -> Ints:
        """The site of each pool, in ascending order. Shape (P,)."""
        return np.repeat(np.arange(len(self.sites)), [len(site.spec.resources) for site in self.sites])

    @cached_property
    def first_pools(self) -> Ints:
        """The first pool of each site that has one."""
        return np.flatnonzero(np.diff(self.site_p, prepend=-1))

    @cached_property
    def classes(self) -> Mapping[str, int]:
        """All classes, each with its number."""
        return {name: c for c, name in enumerate(sorted({resource.class_ for resource in self.resources}))}

    @cached_property
    def class_p(self) -> Ints:
        """The number of each pool's class. Shape (P,)."""
        return np.array([self.classes[resource.class_] for resource in self.resources], dtype=np.int64)

    @cached_property
    def is_card_p(self) -> Bools:
        """Whether the pool is counted in cards. Shape (P,)."""
        return _bools(resource.unit is ComputeUnit.CARD for resource in self.resources)

    @cached_property
    def speeds(self) -> Speeds:
        """How fast the pools' classes are."""
        return Speeds(self.resources)

    @cached_property
    def list_price_p(self) -> Floats:
        """Shape (P,). Units: micro-yuan per unit and hour."""
        return np.array([float(micro(resource.list_price)) for resource in self.resources])

    @cached_property
    def watt_p(self) -> Floats:
        """Power of one unit, cooling and losses included. Shape (P,). Units: W."""
        pue_s = np.array([float(site.spec.energy.pue) for site in self.sites])
        watt_p = np.array([float(resource.rated_power_w) for resource in self.resources])
        return np.asarray(watt_p * pue_s[self.site_p])

    @cached_property
    def grams_p(self) -> Floats:
        """Carbon of what is not green, by the grid's factor. Shape (P,). Units: g of CO2 for a kWh."""
        energies = [site.spec.energy for site in self.sites]
        grams_s = [e.grid_factor_g_per_kwh * (1.0 - float(e.green_share)) for e in energies]
        return np.array(grams_s, dtype=float)[self.site_p]

    @cached_property
    def carbon_price_p(self) -> Floats:
        """The same at the policy's price. Shape (P,). Units: micro-yuan per kWh."""
        policy = self.country.policy
        per_tonne = float(micro(policy.spec.carbon_price_per_tonne)) if policy else 0.0
        return self.grams_p * per_tonne / 1e6

    # --- the policy

    def stance(self, sort: Sort) -> Stance:
        """What the policy says of a sort of jobs at each pool."""
        if sort not in self._stances:
            self._stances[sort] = self._stance(sort)
        return self._stances[sort]

    def partner_s(self, pairing: Pairing) -> Bools:
        """The sites that a pairing is about: of the hub that brings the compute, with its labels. Shape (S,)."""
        return _bools(has_site(pairing, site, self.country) for site in self.sites)

    @cached_property
    def _stances(self) -> dict[Sort, Stance]:
        """Those that were asked for: as many as the policy has categories, hubs and tiers at most."""
        return {}

    def _stance(self, sort: Sort) -> Stance:
        pools = len(self.resources)
        weight_p, forbids_p = np.zeros(pools), np.full(pools, -1, dtype=np.int64)
        spec = self.country.policy.spec if self.country.policy else None
        for pairing in spec.pairings if spec else ():
            if pairing.weight is not None and pairing.source == sort.hub:
                weight_p -= float(pairing.weight) * self.partner_s(pairing)[self.site_p]
        for i, rule in enumerate(spec.placement_rules if spec else ()):
            if not matches(rule, sort.category, sort.side, sort.tier):
                continue
            types = rule.match.compute_types
            about_p = _bools(not types or resource.type in types for resource in self.resources)
            named_p = self._named_s(rule, sort.green)[self.site_p]
            if rule.effect is Effect.REQUIRE:
                forbids_p[about_p & ~named_p & (forbids_p < 0)] = i
            elif rule.weight is not None:
                sign = -1.0 if rule.effect is Effect.PREFER else 1.0
                weight_p += sign * float(rule.weight) * (about_p & named_p)
        return Stance(weight_p, forbids_p)

    def _named_s(self, rule: PlacementRule, green: bool) -> Bools:
        return _bools(names(rule, site, self.country, green=green) for site in self.sites)

    # --- the network

    def ways(self, region: str) -> Ways:
        """The ways from a region."""
        if region not in self._ways:
            network, policy = self.country.network, self.country.policy
            default = micro(policy.spec.transfer_price_per_gib) if policy else 0
            places = zip(self.name_s.tolist(), self.region_s.tolist(), strict=True)
            paths = tuple(network.path(region, name, where) for name, where in places)
            self._ways[region] = Ways(
                paths,
                np.array([min(FARTHEST_US, path.one_way_us) for path in paths], dtype=np.int64),
                np.array([float(p.price_micro_yuan_per_gib + p.unpriced * default) for p in paths]),
                np.unique(np.array([p.bandwidth_bps or 0 for p in paths], dtype=np.int64), return_inverse=True),
            )
        return self._ways[region]

    @cached_property
    def _ways(self) -> dict[str, Ways]:
        """Of those regions that were asked for."""
        return {}


def ground_of(country: Country, sites: Sequence[ComputeSite]) -> Ground:
    """The ground that was made last for the country, if all sites are still the very same objects; else a new one."""
    wanted = tuple(sites)
    for known in country.grounds:
        if len(known.sites) == len(wanted) and all(a is b for a, b in zip(known.sites, wanted, strict=True)):
            return known
    made = Ground(country, wanted)
    country.grounds[:] = [made]
    return made


def _bools(values: Iterable[bool]) -> Bools:
    return np.array(list(values), dtype=bool)
