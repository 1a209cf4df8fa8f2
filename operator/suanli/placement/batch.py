"""Waiting jobs and sites as arrays.

Jobs that placement cannot tell apart share one row; every way to run a job, a class at a site, is a pool. Axes: r rows,
s sites, p pools, u regions that some row names.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from typing import Self

import numpy as np
import numpy.typing as npt

from suanli.api.job import Checkpoint, ComputeJobSpec
from suanli.api.link import Direction, Leg
from suanli.api.policy import Side
from suanli.api.site import SiteResource, SiteState
from suanli.base.clock import parse_time_ms
from suanli.base.units import cpu_milli, duration_ms, duration_us, whole
from suanli.placement.charges import Billed, billed_of
from suanli.placement.freight import Freight
from suanli.placement.ground import Ground, Sort, Ways, ground_of
from suanli.placement.legs import legs_of
from suanli.placement.network import Path
from suanli.placement.packing import Rows, Shape, slots_hp
from suanli.placement.snapshot import ClassRoom, Country, SiteView, WaitingJob, specs_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FOREVER_US = 1 << 60  # a bound that no path exceeds
MOST = 1 << 60  # times and capacities are cut here: sums of arrays stay within 64 bits
NO_WISH = 1 << 16
NO_ROOM = ClassRoom((), ())
ANY_TIER = "any"
_SUBMITTED, _TURN, _ACCOUNT = attrgetter("submitted_ms"), attrgetter("turn"), attrgetter("account")


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
    """One class of compute at one site; `site` is its number in `Batch.sites`."""

    site: int
    resource: SiteResource
    room: ClassRoom


@dataclass(frozen=True)
class Kept:
    """A checkpoint that can be had; `site` is its number in `Batch.sites`. Units: bytes."""

    site: int
    region: str
    size: int


@dataclass(frozen=True)
class Batch:
    """One cycle's question.

    Shape: `line_j` (J,) the rows of all jobs in the order of the queue. `claims` are UIDs of jobs that go first in the enclaves of
    their hub, `closed` pools that take nobody but partners.
    """

    rows: tuple[Row, ...]
    line_j: Ints
    sites: tuple[SiteView, ...]
    pools: tuple[Pool, ...]
    country: Country
    now_ms: int
    claims: frozenset[str] = frozenset()
    closed: frozenset[int] = frozenset()

    def in_line(self, rows: tuple[Row, ...], line_j: Ints) -> Self:
        """The same rows with their jobs in another order: what was reckoned of them holds."""
        other = replace(self, rows=rows, line_j=line_j)
        other.__dict__.update({name: known for name, known in self.__dict__.items() if name not in other.__dict__})
        return other

    @cached_property
    def ground(self) -> Ground:
        """What does not change with the jobs."""
        return ground_of(self.country, [view.site for view in self.sites])

    # --- rows

    @cached_property
    def specs(self) -> tuple[ComputeJobSpec, ...]:
        """What each row asks for."""
        return tuple(row.spec for row in self.rows)

    @cached_property
    def tasks_r(self) -> Ints:
        """Tasks of one job. Shape (R,)."""
        return _ints(spec.tasks for spec in self.specs)

    @cached_property
    def need_rk(self) -> Ints:
        """What one task needs. Shape (R, 4). Units: millicores, bytes, cards, pods."""
        return np.array(
            [
                (min(MOST, cpu_milli(t.cpu)), min(MOST, whole(t.memory)), t.cards, 1)
                for t in (spec.resources.per_task for spec in self.specs)
            ],
            dtype=np.int64,
        ).reshape(len(self.rows), 4)

    @cached_property
    def duration_ms_r(self) -> Ints:
        """Expected run on the class that is wished first. Shape (R,). Units: ms."""
        return _ints(min(MOST, duration_ms(spec.timing.expected_duration)) for spec in self.specs)

    @cached_property
    def duration_ms_rp(self) -> Ints:
        """Expected run in each pool, by the speed of its class. Shape (R, P). Units: ms."""
        return self.duration_ms_lp[self.length_r]

    @cached_property
    def length_r(self) -> Ints:
        """The number of each row's expected run: those of one number take as long as each other everywhere. Shape (R,)."""
        return _ints(self._lengths[length] for length in self._length_r)

    @cached_property
    def duration_ms_lp(self) -> Ints:
        """Every expected run in each pool. Shape (L, P). Units: ms."""
        found = [self.ground.speeds.durations_ms_p(ms, wishes) for ms, wishes in self._lengths]
        return np.array(found, dtype=np.int64).reshape(len(found), len(self.pools))

    @cached_property
    def _length_r(self) -> list[tuple[int, tuple[str, ...]]]:
        """How long each row runs, and on what, if it wishes several classes."""
        wishes_r = (tuple(spec.resources.class_) for spec in self.specs)
        return [(ms, w if len(w) > 1 else ()) for ms, w in zip(self.duration_ms_r.tolist(), wishes_r, strict=True)]

    @cached_property
    def _lengths(self) -> Mapping[tuple[int, tuple[str, ...]], int]:
        """All different ones, numbered."""
        return {length: number for number, length in enumerate(dict.fromkeys(self._length_r))}

    @cached_property
    def priority_r(self) -> Ints:
        """Higher goes first. Shape (R,)."""
        return _ints(spec.priority for spec in self.specs)

    @cached_property
    def claimed_r(self) -> Bools:
        """Rows of jobs with a claim. Shape (R,)."""
        return np.array([row.jobs[0].uid in self.claims for row in self.rows], dtype=bool)

    @cached_property
    def latency_bound_us_r(self) -> Ints:
        """Longest one-way time from origin to site. Shape (R,). Units: µs."""
        return _ints(bound_us(spec, self.country) for spec in self.specs)

    @cached_property
    def deadline_ms_r(self) -> Ints:
        """To be finished by then. Shape (R,). Units: ms since the epoch."""
        texts = (spec.timing.deadline for spec in self.specs)
        return _ints(parse_time_ms(text) if text else MOST for text in texts)

    @cached_property
    def max_cost_r(self) -> Floats:
        """Most that the expected run may cost. Shape (R,). Units: micro-yuan."""
        limits = (spec.limits.max_cost for spec in self.specs)
        return np.array([float(limit) if limit is not None else np.inf for limit in limits])

    @cached_property
    def tier_r(self) -> tuple[str, ...]:
        """The latency tier each row is in."""
        return tuple(tier_of(spec, self.country) for spec in self.specs)

    @cached_property
    def hub_r(self) -> npt.NDArray[np.str_]:
        """The hub of each row's origin, "" outside all hubs. Shape (R,)."""
        hubs = (self.country.hub_by_region.get(spec.origin) for spec in self.specs)
        return np.array([hub.name if hub else "" for hub in hubs], dtype=np.str_)

    @cached_property
    def green_r(self) -> Bools:
        """Rows for which green sites outside the hubs count as the West: from the East, in a tier of greenSites. Shape (R,)."""
        green = self.country.policy.spec.green_sites if self.country.policy else None
        tiers = green.tiers if green else []
        return np.array(
            [
                tier in tiers and self.country.side(spec.origin) == Side.EAST
                for spec, tier in zip(self.specs, self.tier_r, strict=True)
            ],
            dtype=bool,
        )

    @cached_property
    def sort_r(self) -> Ints:
        """The number of what the policy asks of each row, in `sorts`. Shape (R,)."""
        return _ints(self.sorts[sort] for sort in self._sort_r)

    @cached_property
    def sorts(self) -> Mapping[Sort, int]:
        """All that the policy asks of some row, numbered."""
        return {sort: number for number, sort in enumerate(dict.fromkeys(self._sort_r))}

    @cached_property
    def _sort_r(self) -> list[Sort]:
        side = self.country.side
        return [
            Sort(spec.category, hub, side(spec.origin), tier, green)
            for spec, hub, tier, green in zip(
                self.specs, self.hub_r.tolist(), self.tier_r, self.green_r.tolist(), strict=True
            )
        ]

    @cached_property
    def kept_r(self) -> tuple[Kept | None, ...]:
        """The checkpoint of each row, if it is known where it lies and that site answers. Shape (R,)."""
        return tuple(self._kept(spec.checkpoint) for spec in self.specs)

    def _kept(self, checkpoint: Checkpoint | None) -> Kept | None:
        s = self._site_index.get(checkpoint.site) if checkpoint and checkpoint.site else None
        if checkpoint is None or s is None:
            return None
        view, spec = self.sites[s], self.sites[s].site.spec
        # What is not to have new work may be read all the same.
        can_be_had = view.ready or spec.desired_state is not SiteState.ACTIVE
        return (
            Kept(s, spec.region, whole(checkpoint.size)) if can_be_had and spec.region in self.country.regions else None
        )

    @cached_property
    def billed(self) -> Billed | None:
        """What runs begun now cost by tariffs; None where there are none."""
        return billed_of(self)

    @cached_property
    def freight(self) -> Freight:
        """What moving data costs now."""
        return Freight(self)

    def legs(self, r: int, s: int) -> tuple[Leg, ...]:
        """What one of a row's jobs sends over links, if it runs at a site."""
        kept = self.kept_r[r]
        at = self.sites[kept.site].site if kept is not None else None
        return legs_of(self.country.network, self.sites[s].site, self.rows[r].spec, at)

    def bill(self, r: int, p: int, start_ms: int, sent_ms: int | None = None) -> int | None:
        """What the run of one of a row's jobs in a pool, and what it moves, will be billed, exact; None where no tariff says it.

        `sent_ms`: when its inputs begin to move; absent: when it starts. Units: micro-yuan.
        """
        charges, pool, row = self.country.charges, self.pools[p], self.rows[r]
        if charges is None:
            return None
        site, duration = self.sites[pool.site].site, int(self.duration_ms_rp[r, p])
        moments = {Direction.IN: start_ms if sent_ms is None else sent_ms, Direction.OUT: start_ms + duration}
        moves = [(leg, moments[leg.direction]) for leg in self.legs(r, pool.site)]
        return charges.cost(site, pool.resource.class_, row.spec, row.account, start_ms, duration, moves)

    def tariff(self, r: int, p: int) -> str:
        """The Tariff that says what a row pays in a pool; "" for none."""
        price = self.billed.price(r, p) if self.billed is not None else None
        return price.tariff_at(self.now_ms) if price is not None else ""

    # --- sites and pools

    @cached_property
    def _site_index(self) -> Mapping[str, int]:
        return {view.site.metadata.name: s for s, view in enumerate(self.sites)}

    @property
    def site_p(self) -> Ints:
        """The site of each pool, in ascending order. Shape (P,)."""
        return self.ground.site_p

    @property
    def is_card_p(self) -> Bools:
        """Whether the pool is counted in cards. Shape (P,)."""
        return self.ground.is_card_p

    @cached_property
    def wish_rp(self) -> Ints:
        """The place of the pool's class in the row's list of classes, NO_WISH where it is not in it. Shape (R, P)."""
        column = self.ground.classes
        wish_rc = np.full((len(self.rows), len(column)), NO_WISH, dtype=np.int64)
        for r, spec in enumerate(self.specs):
            for place, name in enumerate(spec.resources.class_):
                if name in column:
                    wish_rc[r, column[name]] = place
        return wish_rc[:, self.ground.class_p]

    @property
    def wished_rp(self) -> Bools:
        """Whether the row asks for the pool's class. Shape (R, P)."""
        return np.asarray(self.wish_rp < NO_WISH)

    def over_sites(self, any_rp: Bools) -> Bools:
        """Whether any pool of the site holds. Shapes: (R, P) -> (R, S)."""
        found = np.zeros((len(self.rows), len(self.sites)), dtype=bool)
        if len(self.pools):
            firsts = self.ground.first_pools
            found[:, self.site_p[firsts]] = np.logical_or.reduceat(any_rp, firsts, axis=1)
        return found

    @cached_property
    def empty_slots_rp(self) -> Ints:
        """Tasks of each row that each pool's nodes take when nothing runs there. Shape (R, P)."""
        return self._slots_rp([pool.room.empty_rows for pool in self.pools])

    @cached_property
    def free_slots_rp(self) -> Ints:
        """Tasks of each row that each pool's nodes take now. Shape (R, P)."""
        return self._slots_rp([pool.room.free_rows for pool in self.pools])

    def _slots_rp(self, rows_p: Sequence[Rows]) -> Ints:
        """Rows of one shape are counted once."""
        needs = [tuple(need) for need in self.need_rk.tolist()]
        shapes: dict[Shape, int] = {need: h for h, need in enumerate(dict.fromkeys(needs))}
        return np.asarray(slots_hp(rows_p, list(shapes))[[shapes[need] for need in needs]])

    @property
    def holders(self) -> Mapping[str, Bools]:
        """Of every dataset that lies at some site, the sites with a copy. Shape (S,) each."""
        return self.ground.holders

    # --- the network

    @cached_property
    def region_index(self) -> Mapping[str, int]:
        """Every region that a row names, as origin or for its data."""
        names: dict[str, int] = {}
        for spec, kept in zip(self.specs, self.kept_r, strict=True):
            data = spec.data
            sources = [i.region for i in data.inputs] if data else []
            sources += [kept.region] if kept else []
            goal = [data.outputs.region] if data and data.outputs else []
            for name in (spec.origin, *sources, *goal):
                names.setdefault(name, len(names))
        return names

    @cached_property
    def ways_u(self) -> list[Ways]:
        """The ways from every named region. Shape (U,)."""
        return [self.ground.ways(name) for name in self.region_index]

    @cached_property
    def paths_us(self) -> list[Sequence[Path]]:
        """The way from every named region to every site, [u][s]."""
        return [ways.paths for ways in self.ways_u]

    @cached_property
    def origin_r(self) -> Ints:
        """The row's origin among the named regions. Shape (R,)."""
        return _ints(self.region_index[spec.origin] for spec in self.specs)

    @cached_property
    def one_way_us_us(self) -> Ints:
        """One-way time. Shape (U, S). Units: µs."""
        times = [ways.one_way_us_s for ways in self.ways_u]
        return np.array(times, dtype=np.int64).reshape(len(times), len(self.sites))


def make_batch(waiting: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int) -> Batch:
    """Group the jobs, order the sites by name and number their pools."""
    ordered = tuple(sorted(sites, key=lambda view: view.site.metadata.name))
    pools = tuple(
        Pool(s, resource, view.classes.get(resource.class_, NO_ROOM))
        for s, view in enumerate(ordered)
        for resource in view.site.spec.resources
    )
    return Batch(*group(waiting), ordered, pools, country, now_ms)


def group(waiting: Sequence[WaitingJob], claims: Container[str] = ()) -> tuple[tuple[Row, ...], Ints]:
    """Rows in the order of the queue, and the rows of all jobs in that order (J,).

    Jobs with a claim, or without the quota for a class, are not like others.
    """
    specs, number_j = specs_of(waiting)
    order = _order(waiting, specs, number_j)
    asked = [spec.question for spec in specs]
    keys: list[tuple[object, ...]] = list(zip(map(_ACCOUNT, waiting), map(asked.__getitem__, number_j), strict=True))
    for i, job in enumerate(waiting):
        if job.backoff or job.denied or (claims and job.uid in claims):
            keys[i] = *keys[i], tuple(sorted(job.backoff.items())), tuple(sorted(job.denied)), job.uid in claims
    in_line = [keys[i] for i in order.tolist()]
    rows = dict.fromkeys(in_line)
    numbers = dict(zip(rows, range(len(rows)), strict=True))
    line_j = np.array(list(map(numbers.__getitem__, in_line)), dtype=np.int64)
    of_rows = [waiting[i] for i in order[np.argsort(line_j, kind="stable")].tolist()]
    ends = np.cumsum(np.bincount(line_j, minlength=len(rows))).tolist()
    return tuple(Row(tuple(of_rows[begin:end])) for begin, end in pairwise([0, *ends])), line_j


def in_order(jobs: Sequence[WaitingJob]) -> list[WaitingJob]:
    """The jobs as they stand in the queue, by `queue_order`."""
    return [jobs[i] for i in _order(jobs, *specs_of(jobs)).tolist()]


def _order(jobs: Sequence[WaitingJob], specs: Sequence[ComputeJobSpec], number_j: Sequence[int]) -> Ints:
    """The numbers of the jobs as they stand in the queue. Shape (J,)."""
    priority_n = _ints([spec.priority for spec in specs])
    keys = (_ints(map(_SUBMITTED, jobs)), _ints(map(_TURN, jobs)), -priority_n[_ints(number_j)])
    order = np.lexsort(keys)
    like_next: Bools = np.logical_and.reduce([key[order[1:]] == key[order[:-1]] for key in keys])
    if not like_next.any():
        return order
    alike = order[np.append(like_next, False) | np.append(False, like_next)].tolist()
    uid_j = np.zeros(len(jobs), dtype=np.int64)
    uid_j[sorted(alike, key=lambda i: jobs[i].uid)] = np.arange(len(alike))
    return np.lexsort((uid_j, *keys))


def queue_order(job: WaitingJob) -> tuple[int, int, int, str]:
    """Who goes first: higher priority, then whose turn it is among the accounts (`queue.py`), then older, then UID."""
    return -job.job.spec.priority, job.turn, job.submitted_ms, job.uid


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
