"""What placement is given and what it gives back: frozen, and nothing but data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Self

from suanli.api.job import ComputeJob, ComputeJobSpec, Estimate, Placement, Queue
from suanli.api.link import ComputeLink
from suanli.api.policy import Hub, HubPolicy, LatencyTier
from suanli.api.region import ComputeRegion
from suanli.api.site import ComputeSite
from suanli.base.conditions import Condition
from suanli.base.reasons import Reason
from suanli.placement.charges import Charges
from suanli.placement.network import Network
from suanli.placement.packing import Nodes, Rows, nodes_of, rows_of, units_of

if TYPE_CHECKING:
    from suanli.placement.deferral import Agenda
    from suanli.placement.explain import Memory
    from suanli.placement.ground import Ground

OUTSIDE = "Outside"
_MODEL = attrgetter("job")


@dataclass(frozen=True)
class FreeNodes:
    """`count` equal nodes and what each can still take; less than nothing is nothing."""

    count: int
    cpu_milli: int
    memory_bytes: int
    cards: int
    pods: int = 110

    def __post_init__(self) -> None:
        for name in ("count", "cpu_milli", "memory_bytes", "cards", "pods"):
            if getattr(self, name) < 0:
                object.__setattr__(self, name, 0)


@dataclass(frozen=True)
class ClassRoom:
    """The nodes of one class at one site: as free as they are now, and as free as they are without our own jobs."""

    free: tuple[FreeNodes, ...]
    empty: tuple[FreeNodes, ...]

    def with_free(self, free: tuple[FreeNodes, ...]) -> Self:
        """The same nodes with other jobs on them."""
        other = replace(self, free=free)
        other.__dict__.update(empty_nodes=self.empty_nodes, empty_rows=self.empty_rows)
        return other

    @cached_property
    def free_nodes(self) -> Nodes:
        """What is free, alike nodes once."""
        return nodes_of(self.free)

    @cached_property
    def empty_nodes(self) -> Nodes:
        """What there is, alike nodes once."""
        return nodes_of(self.empty)

    @cached_property
    def free_rows(self) -> Rows:
        """What is free as an array."""
        return rows_of(self.free_nodes)

    @cached_property
    def empty_rows(self) -> Rows:
        """What there is as an array."""
        return rows_of(self.empty_nodes)

    @cached_property
    def units(self) -> tuple[int, int, int]:
        """Millicores, bytes and cards that are free on all nodes together."""
        return units_of(self.free_nodes)


@dataclass(frozen=True)
class Release:
    """What a running job is expected to give back of a class. Units: `units` cards, or cores; `at_ms` since the epoch."""

    class_: str
    at_ms: int
    units: float


@dataclass(frozen=True)
class SiteView:
    """A site at this moment; `not_ready` says why nothing can be placed there, if so.

    `releases` may be left empty: then what is taken counts as taken for as long as anybody plans.
    """

    site: ComputeSite
    ready: bool
    not_ready: str = ""
    classes: Mapping[str, ClassRoom] = field(default_factory=dict)
    releases: tuple[Release, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job without a place.

    `backoff` names the sites that are not tried again yet, `denied` the classes that its account's quotas do not allow now, and
    why; `turn` is its place among jobs of its priority. The last two are found by `queue.py`.
    """

    uid: str
    job: ComputeJob
    account: str
    submitted_ms: int
    backoff: Mapping[str, str] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)
    turn: int = 0


def specs_of(jobs: Iterable[WaitingJob]) -> tuple[list[ComputeJobSpec], list[int]]:
    """What jobs ask for, each object once, and the number of each job's.

    To look into a hundred thousand objects that lie anywhere takes longer than what is then asked of them.
    """
    models = list(map(_MODEL, jobs))
    by_id = dict(zip(map(id, models), models, strict=True))
    number = dict(zip(by_id, range(len(by_id)), strict=True))
    return [model.spec for model in by_id.values()], list(map(number.__getitem__, map(id, models)))


@dataclass(frozen=True)
class Country:
    """Regions, links, the policy and the tariffs in force; what is derived from them is derived once.

    With `before`, the network of the country as it was, only the paths that a changed link can be on are searched again.
    """

    regions: Mapping[str, ComputeRegion]
    links: Mapping[str, ComputeLink]
    policy: HubPolicy | None
    before: Network | None = field(default=None, compare=False, repr=False)
    charges: Charges | None = field(default=None, compare=False, repr=False)  # None: no tariff is in force

    @cached_property
    def network(self) -> Network:
        """One-way times and transfer prices between places."""
        return Network(self.regions.values(), self.links.values(), self.before)

    @cached_property
    def hub_by_region(self) -> Mapping[str, Hub]:
        """The hub that each region belongs to; regions outside all hubs are missing."""
        return hubs_by_region(self.policy)

    @cached_property
    def tiers(self) -> Mapping[str, LatencyTier]:
        """The policy's latency tiers by name."""
        return {t.name: t for t in self.policy.spec.latency_tiers} if self.policy else {}

    @cached_property
    def grounds(self) -> "list[Ground]":
        """What `ground_of` keeps."""
        return []

    def side(self, region: str) -> str:
        """East, West or Outside."""
        hub = self.hub_by_region.get(region)
        return str(hub.side) if hub else OUTSIDE


@dataclass(frozen=True)
class Decision:
    """What is to become of one waiting job, and the numbers that made it so."""

    site: str | None
    class_: str | None
    reason: Reason
    message: str
    placement: Placement = field(default_factory=Placement)
    estimate: Estimate | None = None
    queue: Queue | None = None
    quota: Condition | None = None  # what its account may hold; None: nothing limits it


@dataclass(frozen=True)
class Prices:
    """A start for the next cycle: shadow prices, and the plan that was made with them.

    `by_pool` are micro-yuan per millicore, per byte, per card and per pod by (site, class); `places` say by account and question
    how many such jobs were to run at which site and class; `memory` is what was said of them; `agenda` has the hours of those put off.
    """

    by_pool: Mapping[tuple[str, str], tuple[float, float, float, float]] = field(default_factory=dict)
    places: Mapping[tuple[str, str], Mapping[tuple[str, str], int]] = field(default_factory=dict)
    memory: "Memory | None" = field(default=None, compare=False, repr=False)
    agenda: "Agenda | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Plan:
    """One decision for every waiting job, by UID.

    `gap_ppm` is proven: no way to run the jobs that are placed is cheaper by more than this share of the amounts of their costs;
    jobs that have claimed a place in an enclave of their hub stay in its enclaves. `denied` are, by UID, the classes that quotas do
    not allow, and why.
    """

    decisions: Mapping[str, Decision]
    gap_ppm: int = 0
    prices: Prices = field(default_factory=Prices)
    denied: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def hubs_by_region(policy: HubPolicy | None) -> Mapping[str, Hub]:
    """Every region of every hub and of its clusters; the first hub that names a region has it."""
    found: dict[str, Hub] = {}
    for hub in policy.spec.hubs if policy else ():
        for region in (*hub.regions, *(r for c in hub.clusters for r in c.regions)):
            found.setdefault(region, hub)
    return found


def hub_of(region: str, policy: HubPolicy | None) -> str | None:
    """The name of the hub a region belongs to."""
    hub = hubs_by_region(policy).get(region)
    return hub.name if hub else None


def side_of(region: str, policy: HubPolicy | None) -> str:
    """East, West or Outside."""
    hub = hubs_by_region(policy).get(region)
    return str(hub.side) if hub else OUTSIDE
