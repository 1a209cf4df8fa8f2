"""The country that is simulated: its sites with what the trace's users have of them, and its pools."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from suanli.api.site import ComputeSite
from suanli.base.units import cpu_milli, micro, whole
from suanli.placement.accounts import Accounts
from suanli.placement.batch import Batch, Pool, make_batch
from suanli.placement.declared import declared_view
from suanli.placement.snapshot import Country, FreeNodes, SiteView

PPM = 1_000_000


@dataclass(frozen=True, order=True)
class Outage:
    """A site, by name, is out of reach. Units: ms since the epoch."""

    from_ms: int
    to_ms: int
    site: str


@dataclass(frozen=True)
class Land:
    """A country with its sites, empty. Pools are in the order of placement: by site, then as the site lists its classes.

    `accounts` are there if jobs are of them: then quotas, turns and budgets count. `balances` is what prepaid ones paid in, in
    micro-yuan, where that is known; `timezone` says when periods of budgets begin.
    """

    country: Country
    views: tuple[SiteView, ...]
    outages: tuple[Outage, ...] = ()
    accounts: Accounts = field(default_factory=Accounts)
    balances: Mapping[str, int] = field(default_factory=dict)
    timezone: str = "Asia/Shanghai"

    @cached_property
    def _nothing(self) -> Batch:
        return make_batch([], self.views, self.country, 0)

    @property
    def sites(self) -> tuple[SiteView, ...]:
        """Sites by name."""
        return self._nothing.sites

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Classes of compute at sites."""
        return self._nothing.pools

    @cached_property
    def pool_index(self) -> Mapping[tuple[str, str], int]:
        """The pool of a site's name and a class."""
        return {(self.site_name(p), pool.resource.class_): p for p, pool in enumerate(self.pools)}

    def site_name(self, p: int) -> str:
        """The name of a pool's site."""
        return self.sites[self.pools[p].site].site.metadata.name

    def site(self, p: int) -> ComputeSite:
        """A pool's site."""
        return self.sites[self.pools[p].site].site

    @property
    def rooms(self) -> list[FreeNodes]:
        """What each pool has: declared capacity is one large node."""
        return [pool.room.empty[0] for pool in self.pools]


def land_of(
    country: Country,
    sites: Iterable[ComputeSite],
    share: str,
    outages: Iterable[Outage] = (),
    accounts: Accounts | None = None,
    balances: Mapping[str, int] | None = None,
) -> Land:
    """The sites with a share of what they declare, rounded down."""
    ppm = micro(share)
    views = tuple(declared_view(_shared(site, ppm)) for site in sites)
    return Land(country, views, tuple(sorted(outages)), accounts or Accounts(), balances or {})


def _shared(site: ComputeSite, ppm: int) -> ComputeSite:
    if ppm == PPM:
        return site
    declared = site.spec.declared_capacity
    resources = [
        r.model_copy(update={"declared_units": (r.declared_units or 0) * ppm // PPM}) for r in site.spec.resources
    ]
    if declared:
        cpu, memory = cpu_milli(declared.cpu) * ppm // PPM, whole(declared.memory) * ppm // PPM
        declared = declared.model_copy(update={"cpu": f"{cpu}m", "memory": str(memory)})
    spec = site.spec.model_copy(update={"resources": resources, "declared_capacity": declared})
    return site.model_copy(update={"spec": spec})
