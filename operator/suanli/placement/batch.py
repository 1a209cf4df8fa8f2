"""Waiting jobs and sites as arrays.

Jobs that placement cannot tell apart share one row; every way to run a job, a class at a site, is a pool. Axes: r rows,
s sites, p pools, u regions that some row names.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from suanli.api.job import ComputeJobSpec
from suanli.api.policy import Side
from suanli.api.site import ComputeUnit, SiteResource
from suanli.base.clock import parse_time_ms
from suanli.base.units import cpu_milli, duration_ms, duration_us, whole
from suanli.placement.network import Path
from suanli.placement.packing import Nodes, Shape, nodes_of, slots
from suanli.placement.snapshot import ClassRoom, Country, SiteView, WaitingJob
from suanli.placement.speed import durations_ms_rp

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FOREVER_US = 1 << 60  # a bound that no path exceeds
MOST = 1 << 60  # times and capacities are cut here: sums of arrays stay within 64 bits
NO_WISH = 1 << 16
NO_ROOM = ClassRoom((), ())
ANY_TIER = "any"


@dataclass(frozen=True)
class Row:
    """Jobs that are alike, the oldest first."""

    jobs: tuple[WaitingJob, ...]

    @property
    def spec(self) -> ComputeJobSpec:
        """The spec of each of them."""
        return self.jobs[0].job.spec

    @property
    def account(self) -> str:
        """The account of each of them."""
        return self.jobs[0].account


@dataclass(frozen=True)
class Pool:
    """One class of compute at one site."""

    site: int
    resource: SiteResource
    room: ClassRoom


@dataclass(frozen=True)
class Batch:
    """One cycle's question.

    `claims` are UIDs of jobs that go first in the enclaves of their hub, `closed` pools that take nobody but partners.
    """

    rows: tuple[Row, ...]
    sites: tuple[SiteView, ...]
    pools: tuple[Pool, ...]
    country: Country
    now_ms: int
    claims: frozenset[str] = frozenset()
    closed: frozenset[int] = frozenset()

    # --- rows

    @cached_property
    def tasks_r(self) -> Ints:
        """Tasks of one job. Shape (R,)."""
        return _ints(row.spec.tasks for row in self.rows)

    @cached_property
    def need_rk(self) -> Ints:
        """What one task needs. Shape (R, 4). Units: millicores, bytes, cards, pods."""
        return np.array(
            [
                (min(MOST, cpu_milli(t.cpu)), min(MOST, whole(t.memory)), t.cards, 1)
                for t in (row.spec.resources.per_task for row in self.rows)
            ],
            dtype=np.int64,
        ).reshape(len(self.rows), 4)

    @cached_property
    def duration_ms_r(self) -> Ints:
        """Expected run on the class that is wished first. Shape (R,). Units: ms."""
        return _ints(min(MOST, duration_ms(row.spec.timing.expected_duration)) for row in self.rows)

    @cached_property
    def duration_ms_rp(self) -> Ints:
        """Expected run in each pool, by the speed of its class. Shape (R, P). Units: ms."""
        wishes = [row.spec.resources.class_ for row in self.rows]
        return durations_ms_rp(self.duration_ms_r, wishes, [pool.resource for pool in self.pools])

    @cached_property
    def priority_r(self) -> Ints:
        """Higher goes first. Shape (R,)."""
        return _ints(row.spec.priority for row in self.rows)

    @cached_property
    def claimed_r(self) -> Bools:
        """Rows of jobs with a claim. Shape (R,)."""
        return np.array([row.jobs[0].uid in self.claims for row in self.rows], dtype=bool)

    @cached_property
    def latency_bound_us_r(self) -> Ints:
        """Longest one-way time from origin to site. Shape (R,). Units: µs."""
        return _ints(bound_us(row.spec, self.country) for row in self.rows)

    @cached_property
    def deadline_ms_r(self) -> Ints:
        """To be finished by then. Shape (R,). Units: ms since the epoch."""
        texts = (row.spec.timing.deadline for row in self.rows)
        return _ints(parse_time_ms(text) if text else MOST for text in texts)

    @cached_property
    def max_cost_r(self) -> Floats:
        """Most that the expected run may cost. Shape (R,). Units: micro-yuan."""
        limits = (row.spec.limits.max_cost for row in self.rows)
        return np.array([float(limit) if limit is not None else np.inf for limit in limits])

    @cached_property
    def tier_r(self) -> tuple[str, ...]:
        """The latency tier each row is in."""
        return tuple(tier_of(row.spec, self.country) for row in self.rows)

    @cached_property
    def hub_r(self) -> npt.NDArray[np.str_]:
        """The hub of each row's origin, "" outside all hubs. Shape (R,)."""
        hubs = (self.country.hub_by_region.get(row.spec.origin) for row in self.rows)
        return np.array([hub.name if hub else "" for hub in hubs], dtype=np.str_)

    @cached_property
    def green_r(self) -> Bools:
        """Rows for which green sites outside the hubs count as the West: from the East, in a tier of greenSites. Shape (R,)."""
        green = self.country.policy.spec.green_sites if self.country.policy else None
        tiers = green.tiers if green else []
        return np.array(
            [
                tier in tiers and self.country.side(row.spec.origin) == Side.EAST
                for row, tier in zip(self.rows, self.tier_r, strict=True)
            ],
            dtype=bool,
        )

    # --- sites and pools

    @cached_property
    def site_p(self) -> Ints:
        """The site of each pool, in ascending order. Shape (P,)."""
        return _ints(pool.site for pool in self.pools)

    @cached_property
    def is_card_p(self) -> Bools:
        """Whether the pool is counted in cards. Shape (P,)."""
        return np.array([pool.resource.unit is ComputeUnit.CARD for pool in self.pools], dtype=bool)

    @cached_property
    def wish_rp(self) -> Ints:
        """The place of the pool's class in the row's list of classes, NO_WISH where it is not in it. Shape (R, P)."""
        names = sorted({pool.resource.class_ for pool in self.pools})
        column = {name: c for c, name in enumerate(names)}
        wish_rc = np.full((len(self.rows), len(names)), NO_WISH, dtype=np.int64)
        for r, row in enumerate(self.rows):
            for place, name in enumerate(row.spec.resources.class_):
                if name in column:
                    wish_rc[r, column[name]] = place
        return wish_rc[:, _ints(column[pool.resource.class_] for pool in self.pools)]

    def over_sites(self, any_rp: Bools) -> Bools:
        """Whether any pool of the site holds. Shapes: (R, P) -> (R, S)."""
        found = np.zeros((len(self.rows), len(self.sites)), dtype=bool)
        if len(self.pools):
            found[:, self.site_p[self._firsts]] = np.logical_or.reduceat(any_rp, self._firsts, axis=1)
        return found

    @cached_property
    def _firsts(self) -> Ints:
        """The first pool of each site that has one."""
        return np.flatnonzero(np.diff(self.site_p, prepend=-1))

    @cached_property
    def empty_slots_rp(self) -> Ints:
        """Tasks of each row that each pool's nodes take when nothing runs there. Shape (R, P)."""
        return self.slots_rp([nodes_of(pool.room.empty) for pool in self.pools])

    def slots_rp(self, nodes_p: Sequence[Nodes]) -> Ints:
        """Tasks of each row that each pool's nodes take. Rows of one shape are counted once."""
        shapes, index_r = np.unique(self.need_rk, axis=0, return_inverse=True)
        wanted: list[Shape] = [(int(c), int(m), int(k), int(o)) for c, m, k, o in shapes]
        slots_hp = np.array([[slots(nodes, shape) for nodes in nodes_p] for shape in wanted], dtype=np.int64)
        return np.asarray(slots_hp.reshape(len(wanted), len(nodes_p))[index_r.reshape(-1)])

    @cached_property
    def holders(self) -> Mapping[str, Bools]:
        """Of every dataset that lies at some site, the sites with a copy. Shape (S,) each."""
        found: dict[str, Bools] = {}
        for s, view in enumerate(self.sites):
            for name in view.site.spec.cached_datasets:
                found.setdefault(name, np.zeros(len(self.sites), dtype=bool))[s] = True
        return found

    # --- the network

    @cached_property
    def region_index(self) -> Mapping[str, int]:
        """Every region that a row names, as origin or for its data."""
        names: dict[str, int] = {}
        for row in self.rows:
            data = row.spec.data
            sources = [i.region for i in data.inputs] if data else []
            goal = [data.outputs.region] if data and data.outputs else []
            for name in (row.spec.origin, *sources, *goal):
                names.setdefault(name, len(names))
        return names

    @cached_property
    def paths_us(self) -> list[list[Path]]:
        """The way from every named region to every site, [u][s]."""
        network = self.country.network
        places = [(view.site.metadata.name, view.site.spec.region) for view in self.sites]
        return [[network.path(name, site, region) for site, region in places] for name in self.region_index]

    @cached_property
    def origin_r(self) -> Ints:
        """The row's origin among the named regions. Shape (R,)."""
        return _ints(self.region_index[row.spec.origin] for row in self.rows)

    @cached_property
    def one_way_us_us(self) -> Ints:
        """One-way time. Shape (U, S). Units: µs."""
        return np.array([[min(MOST, p.one_way_us) for p in ways] for ways in self.paths_us], dtype=np.int64).reshape(
            len(self.region_index), len(self.sites)
        )


def make_batch(waiting: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int) -> Batch:
    """Group the jobs, order the sites by name and number their pools."""
    ordered = tuple(sorted(sites, key=lambda view: view.site.metadata.name))
    pools = tuple(
        Pool(s, resource, view.classes.get(resource.class_, NO_ROOM))
        for s, view in enumerate(ordered)
        for resource in view.site.spec.resources
    )
    return Batch(group(waiting), ordered, pools, country, now_ms)


def group(waiting: Sequence[WaitingJob], claims: Container[str] = ()) -> tuple[Row, ...]:
    """Rows in the order of the queue: higher priority, then older, then UID. Jobs with a claim are not like others."""
    alike: dict[tuple[str, str, tuple[tuple[str, str], ...], bool], list[WaitingJob]] = defaultdict(list)
    for job in sorted(waiting, key=queue_order):
        backoff = tuple(sorted(job.backoff.items())) if job.backoff else ()
        alike[job.account, job.job.spec.question, backoff, job.uid in claims].append(job)
    return tuple(Row(tuple(jobs)) for jobs in alike.values())


def queue_order(job: WaitingJob) -> tuple[int, int, str]:
    """Who goes first."""
    return -job.job.spec.priority, job.submitted_ms, job.uid


def bound_us(spec: ComputeJobSpec, country: Country) -> int:
    """The job's bound on one-way time in µs; FOREVER_US without one."""
    if spec.latency is None:
        return FOREVER_US
    if spec.latency.one_way is not None:
        return min(FOREVER_US, duration_us(spec.latency.one_way))
    tier = country.tiers.get(spec.latency.tier or "")
    return min(FOREVER_US, duration_us(tier.one_way)) if tier else FOREVER_US


def tier_of(spec: ComputeJobSpec, country: Country) -> str:
    """The tier's name; of a time of its own the tightest tier that allows it; "any" without a bound or beyond all tiers."""
    if spec.latency is None:
        return ANY_TIER
    if spec.latency.tier is not None:
        return spec.latency.tier
    bound = bound_us(spec, country)
    wide = sorted((duration_us(t.one_way), t.name) for t in country.tiers.values())
    return next((name for us, name in wide if us >= bound), ANY_TIER)


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)
