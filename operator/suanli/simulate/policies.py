"""Who decides where jobs go: suanli's own solver, and the baselines that it is compared with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np

from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.placement.accounts import Tenancy
from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.funds import cost_of
from suanli.placement.question import ROUNDS, Question
from suanli.placement.queue import Quotas
from suanli.placement.snapshot import Decision, FreeNodes, Prices, Release, SiteView, WaitingJob
from suanli.placement.solve import settle
from suanli.simulate.land import Land
from suanli.simulate.purse import Purse
from suanli.simulate.rooms import Rooms
from suanli.simulate.workload import MS_PER_MINUTE, JobType, Workload

SUANLI, AT_ONCE = "suanli", "at-once"


class Policy(Protocol):
    """Decides upon the jobs that wait.

    `gaps_ppm` are proven, one a decision, empty where nothing is proven; `put_off` are the jobs that it has let wait for a better
    hour; at `wake_ms` it wants to be asked again although nothing has changed.
    """

    gaps_ppm: list[int]
    put_off: set[int]
    wake_ms: int | None

    def choose(self, waiting: Sequence[int], holding: Collection[int], rooms: Rooms, now_ms: int) -> Mapping[int, int]:
        """The pool of each job that starts now; `holding` are those that hold room already."""
        ...


# The pool of each job that starts, what was said of those that do not, and moments at which some of these may have money again.
Chosen = tuple[Mapping[int, int], Mapping[str, Decision], Collection[int]]


class Suanli:
    """The operator's cycle: the same snapshot, the same `settle`, prices kept from one cycle to the next.

    With `at_once` no job says that it may be put off. Where a purse is given, jobs wait for money as `suanli plan` says it.
    """

    def __init__(self, land: Land, workload: Workload, *, at_once: bool = False, purse: Purse | None = None) -> None:
        self.gaps_ppm: list[int] = []
        self.put_off: set[int] = set()
        self.wake_ms: int | None = None
        self._land = land
        self._workload = workload
        self._at_once = at_once
        self._purse = purse
        self._releases: dict[int, tuple[int, Release]] = {}  # by job, with the site
        self._known: dict[int, WaitingJob] = {}
        self._views: dict[int, tuple[int, SiteView]] = {}
        self._pools_s = [[p for p, pool in enumerate(land.pools) if pool.site == s] for s in range(len(land.sites))]
        self._prices: Prices | None = None

    def choose(self, waiting: Sequence[int], holding: Collection[int], rooms: Rooms, now_ms: int) -> Mapping[int, int]:
        """As the operator decides."""
        work = self._workload
        self._known = {n: self._known.get(n) or work.waiting(n, at_once=self._at_once) for n in waiting}
        views = [self._view(s, rooms) for s in range(len(self._land.sites))]
        if not self._at_once and bool((work.arrival_ms[waiting] + work.patience_ms[waiting] > now_ms).any()):
            views = self._looking_ahead(views, holding)
        tenancy = Tenancy(self._land.accounts, rooms.held_milli)
        asked = Question(list(self._known.values()), views, self._land.country, now_ms, tenancy)
        found, decisions, broke_until = (
            self._without_limits(asked) if self._purse is None else self._paid(asked, self._purse)
        )
        if not self._at_once:
            self._releases.update({n: self._release(n, p, now_ms) for n, p in found.items()})
        starts_ms = []
        for uid, decision in decisions.items():
            if decision.reason is Reason.DEFERRED and decision.estimate is not None and decision.estimate.start:
                self.put_off.add(int(uid))
                starts_ms.append(parse_time_ms(decision.estimate.start))
        self.wake_ms = min([*starts_ms, *broke_until], default=None)
        return found

    def _without_limits(self, asked: Question) -> Chosen:
        """Where nobody's money is limited, no estimate is needed, nor a word of why."""
        waiting, sites, country, now_ms, tenancy, _ = asked
        plan = settle(waiting, sites, country, now_ms, tenancy, warm=self._prices)
        self._prices = plan.prices
        self.gaps_ppm.append(plan.gap_ppm)
        return {int(job.uid): p for job, p in plan.places()}, plan.decisions, ()

    def _paid(self, asked: Question, purse: Purse) -> Chosen:
        """With the money of accounts, as `suanli plan` asks."""
        funds = purse.funds(asked.now_ms)
        plan = asked._replace(funds=funds).plan(self._prices)
        self._prices = plan.prices
        self.gaps_ppm.append(plan.gap_ppm)
        found, lacking = {}, {}
        for uid, decision in plan.decisions.items():
            if decision.site is not None and decision.class_ is not None:
                found[int(uid)] = self._land.pool_index[decision.site, decision.class_]
            elif decision.reason is Reason.BUDGET_EXCEEDED:
                lacking[int(uid)] = cost_of(decision)
        purse.hold(funds, {n: cost_of(plan.decisions[f"{n:09d}"]) for n in found})
        return found, plan.decisions, purse.lacking(funds, lacking)

    def _looking_ahead(self, views: Sequence[SiteView], holding: Collection[int]) -> list[SiteView]:
        """The sites with what the jobs that run are expected to give back."""
        self._releases = {n: self._releases[n] for n in holding}
        by_site: dict[int, list[Release]] = {}
        for s, release in self._releases.values():
            by_site.setdefault(s, []).append(release)
        return [replace(view, releases=tuple(by_site.get(s, ()))) for s, view in enumerate(views)]

    def _release(self, n: int, p: int, now_ms: int) -> tuple[int, Release]:
        """When a job that starts now is expected to end, and what it gives back then."""
        work, pool = self._workload, self._land.pools[p]
        ends_ms = now_ms + int(work.expected_min[n]) * MS_PER_MINUTE
        cpu_milli, _, cards, _ = work.types[int(work.type_n[n])].shape
        units = work.types[int(work.type_n[n])].tasks * (cards or cpu_milli / 1_000)
        return pool.site, Release(pool.resource.class_, ends_ms, units)

    def _view(self, s: int, rooms: Rooms) -> SiteView:
        """A site as it is now; made anew only where something changed."""
        version, view = self._views.get(s, (-1, self._land.sites[s]))
        if version != rooms.version_s[s]:
            empty = self._land.sites[s]
            classes = {
                self._land.pools[p].resource.class_: self._land.pools[p].room.with_free((FreeNodes(1, *rooms.free(p)),))
                for p in self._pools_s[s]
            }
            ready = s not in rooms.away
            view = SiteView(empty.site, ready, "" if ready else "it is out of reach", classes)
            self._views[s] = (rooms.version_s[s], view)
        return view


@dataclass(frozen=True)
class Offer:
    """What a baseline may ask of one job. Shapes: (P,) each; µs, share of a pool's units that is held, micro-yuan with policy weights."""

    one_way_us_p: Ints
    used: Callable[[], Floats]
    cost: Callable[[], Floats]
    chance: Callable[[], Floats]


Baseline = Callable[[Offer], Floats]


def nearest(offer: Offer) -> Floats:
    """The site with the shortest way from the job's origin."""
    return offer.one_way_us_p.astype(float)


def cheapest(offer: Offer) -> Floats:
    """The cheapest place for this job, whatever the others need: greedy on the very cost that suanli makes small."""
    return offer.cost()


def spread(offer: Offer) -> Floats:
    """The emptiest place."""
    return offer.used()


def random(offer: Offer) -> Floats:
    """Any place."""
    return offer.chance()


# The smallest number wins, among equal ones the first site by name.
BASELINES: Mapping[str, Baseline] = {"nearest": nearest, "cheapest": cheapest, "spread": spread, "random": random}


@dataclass
class Greedy:
    """A baseline: the jobs in the order of the queue, each to the best place that suanli's filters allow and that has room."""

    baseline: Baseline
    land: Land
    workload: Workload
    costs: Callable[[int, int], Floats]  # of a job that starts then, (P,)
    seed: int
    purse: Purse | None = None
    paid: Callable[[int, int, int], int] | None = (
        None  # of a job in a pool that starts then, by its estimate, with a purse
    )
    gaps_ppm: list[int] = field(default_factory=list)
    put_off: set[int] = field(default_factory=set)
    wake_ms: int | None = None

    def __post_init__(self) -> None:
        self._classes = [pool.resource.class_ for pool in self.land.pools]
        self._chance = np.random.Generator(np.random.PCG64([99, self.seed]))

    def choose(self, waiting: Sequence[int], holding: Collection[int], rooms: Rooms, now_ms: int) -> Mapping[int, int]:
        """One job after the other; those that lack money leave their room to others."""
        if self.purse is None or self.paid is None:
            return self._chosen(waiting, rooms, now_ms)
        funds, lacking = self.purse.funds(now_ms), dict[int, int]()
        for _ in range(ROUNDS + 1):
            found = self._chosen([n for n in waiting if n not in lacking], rooms, now_ms)
            costs = {n: self.paid(n, p, now_ms) for n, p in found.items()}
            said = funds.refused((str(n), self.workload.account(n), cost) for n, cost in costs.items())
            if not said:
                break
            lacking |= {int(uid): costs[int(uid)] for uid in said}
        costs = {n: cost for n, cost in costs.items() if n not in lacking}
        self.purse.hold(funds, costs)
        self.wake_ms = min(self.purse.lacking(funds, lacking), default=None)
        return {n: found[n] for n in costs}

    def _chosen(self, waiting: Sequence[int], rooms: Rooms, now_ms: int) -> Mapping[int, int]:
        work, found = self.workload, {}
        left = rooms.copy()
        sites = (view.site for view in self.land.sites)
        quotas = Quotas(Tenancy(self.land.accounts, rooms.held_milli), sites)
        for n in sorted(waiting, key=lambda n: (-work.types[work.type_n[n]].kind.priority, work.arrival_ms[n], n)):
            t = int(work.type_n[n])
            open_p: Bools = work.probe.allowed_tp[t] & left.fits_p(work.types[t])
            if self.land.accounts.by_name:
                open_p &= self._within(quotas, work.types[t], left.asks_milli(work.types[t]))
            if not open_p.any():
                continue
            offer = Offer(work.probe.one_way_us_tp[t], left.used_p, partial(self.costs, n, now_ms), self._draw)
            p = int(np.where(open_p, self.baseline(offer), np.inf).argmin())
            left.take(p, work.types[t])
            quotas.take(work.types[t].kind.account, [self._classes[p]], left.asks_milli(work.types[t]))
            found[n] = p
        return found

    def _within(self, quotas: Quotas, type_: JobType, milli: int) -> Bools:
        """The pools whose class the quotas allow. Shape (P,)."""
        within = {c for c in type_.classes if quotas.exceeded(type_.kind.account, c, milli) is None}
        return np.array([class_ in within for class_ in self._classes], dtype=bool)

    def _draw(self) -> Floats:
        return self._chance.random(len(self.land.pools))
