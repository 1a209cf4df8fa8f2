"""Why a class of compute at a site cannot take a job, asked one by one in the order in which a site falls."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from checker.money import PAID, Money
from checker.moving import least_ms
from checker.room import Amounts, Groups, tasks_that_fit
from checker.rules import is_about, names
from checker.ways import Ways
from checker.wire import amount, microseconds, milliseconds, moment_ms
from suanli.api.job import ComputeJobSpec
from suanli.api.site import ComputeSite, SiteResource
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, SiteView, WaitingJob

MENDED = ("WaitingForCapacity", "CapacityFragmented", "SiteBackoff", "SiteNotReady", "QuotaExceeded")


@dataclass(frozen=True)
class Place:
    """One class of compute at one site."""

    view: SiteView
    resource: SiteResource

    @property
    def site(self) -> ComputeSite:
        """The site itself."""
        return self.view.site

    @property
    def key(self) -> tuple[str, str]:
        """Site and class."""
        return self.site.metadata.name, self.resource.class_

    @property
    def room(self) -> ClassRoom:
        """What it has and what is free of it."""
        return self.view.classes.get(self.resource.class_, ClassRoom((), ()))


class Judge:
    """Knows the country, the sites and the time, and no plan; of one, which classes quotas deny a job, by UID, and why."""

    def __init__(
        self,
        sites: list[SiteView],
        country: Country,
        now_ms: int,
        denied: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.denied = denied or {}
        self.views = {view.site.metadata.name: view for view in sites}
        self.country = country
        answering = [view.site for view in sites if view.ready or view.site.spec.desired_state.value != "Active"]
        regions = {site.metadata.name: site.spec.region for site in answering}
        self.ways = Ways(country, {site: region for site, region in regions.items() if region in country.regions})
        self.now_ms = now_ms
        self.money = Money(country, self.ways, now_ms)
        self.places = {place.key: place for view in sites for place in places_of(view)}
        self._costs: dict[tuple[str, tuple[str, str]], dict[str, int]] = {}
        self._noes: dict[tuple[str, tuple[str, str]], str | None] = {}

    def refusals(self, job: WaitingJob) -> set[str]:
        """What is wrong with the job itself; nothing of it may be placed."""
        spec, found = job.job.spec, set()
        data = spec.data
        regions = [spec.origin]
        if data is not None:
            regions += [*(i.region for i in data.inputs), *data.allowed_regions]
            regions += [data.outputs.region] if data.outputs else []
            if any(name not in self.views for name in data.allowed_sites):
                found.add("UnknownSite")
        if any(name not in self.country.regions for name in regions):
            found.add("UnknownRegion")
        if spec.latency is not None and spec.latency.tier is not None and spec.latency.tier not in self._tiers:
            found.add("UnknownTier")
        if not self.views:
            found.add("NoSites")
        if not any(place.resource.class_ in spec.resources.class_ for place in self.places.values()):
            found.add("UnknownClass")
        if spec.timing.not_before is not None and moment_ms(spec.timing.not_before) > self.now_ms:
            found.add("NotBefore")
        if spec.desired_state.value == "Suspended":
            found.add("Suspended")
        return found

    def cost(self, job: WaitingJob, place: Place) -> dict[str, int]:
        """The cost lines there."""
        key = (job.uid, place.key)
        if key not in self._costs:
            ms = self.lasts_ms(job.job.spec, place.resource)
            self._costs[key] = self.money.lines(job.job.spec, place.site, place.resource, ms)
        return self._costs[key]

    def lasts_ms(self, spec: ComputeJobSpec, offer: SiteResource) -> int:
        """The expected run on a class: by petaflops, if it is not the first wish and both are known at one precision."""
        ms, first = milliseconds(spec.timing.expected_duration), spec.resources.class_[0]
        others = [place.resource for place in self.places.values() if place.resource.class_ == first]
        speeds = [Fraction(r.petaflops) for r in others if r.petaflops and r.precision is offer.precision]
        if offer.class_ not in spec.resources.class_[1:] or not offer.petaflops or not speeds:
            return ms
        return math.ceil(ms * max(speeds) / Fraction(offer.petaflops))

    def total(self, job: WaitingJob, place: Place) -> int:
        """All lines together."""
        return sum(self.cost(job, place).values())

    def paid(self, job: WaitingJob, place: Place) -> int:
        """Without what is counted on paper only."""
        return sum(self.cost(job, place)[line] for line in PAID)

    def first_no(self, job: WaitingJob, place: Place) -> str | None:
        """The first reason why not; None if the job could run there alone, as free as it is now."""
        key = (job.uid, place.key)
        if key not in self._noes:
            self._noes[key] = next((reason for reason, no in QUESTIONS.items() if no(self, job, place)), None)
        return self._noes[key]

    def site_falls_to(self, job: WaitingJob, view: SiteView) -> str | None:
        """The reason to which the last of the site's classes falls."""
        order = list(QUESTIONS)
        found = [self.first_no(job, place) for place in places_of(view)]
        if None in found:
            return None
        if not found:
            names_ = view.site.spec.allowed_accounts
            return "AccountNotAllowed" if names_ and job.account not in names_ else "ClassNotOffered"
        return max((reason for reason in found if reason is not None), key=order.index)

    def bound_us(self, spec: ComputeJobSpec) -> int | None:
        """The latency bound; None without one."""
        if spec.latency is None:
            return None
        text = self._tiers.get(spec.latency.tier or "", spec.latency.one_way)
        return None if text is None else microseconds(text)

    def policy_forbids(self, job: WaitingJob, place: Place) -> str | None:
        """The first Require rule that is about the job and does not name the site."""
        policy = self.country.policy.spec if self.country.policy else None
        for rule in policy.placement_rules if policy else []:
            about = is_about(rule, job.job.spec, place.resource, self.ways, policy)
            named = names(rule, place.site, job.job.spec, self.ways, policy)
            if rule.effect.value == "Require" and about and not named:
                return rule.name
        return None

    @cached_property
    def _tiers(self) -> Mapping[str, str]:
        return {t.name: t.one_way for t in self.country.policy.spec.latency_tiers} if self.country.policy else {}


def places_of(view: SiteView) -> list[Place]:
    """The classes of a site."""
    return [Place(view, resource) for resource in view.site.spec.resources]


def task_of(spec: ComputeJobSpec) -> Amounts:
    """What one task takes of a node."""
    per_task = spec.resources.per_task
    return math.ceil(amount(per_task.cpu) * 1000), math.ceil(amount(per_task.memory)), per_task.cards, 1


def groups_of(nodes: tuple[FreeNodes, ...]) -> Groups:
    """Nodes as the room counts them."""
    return [(n.count, (n.cpu_milli, n.memory_bytes, n.cards, n.pods)) for n in nodes]


# --- the questions, in the order in which a site falls


def _account(_: Judge, job: WaitingJob, place: Place) -> bool:
    return bool(place.site.spec.allowed_accounts) and job.account not in place.site.spec.allowed_accounts


def _class(_: Judge, job: WaitingJob, place: Place) -> bool:
    wants = job.job.spec.resources
    asks_cards = wants.per_task.cards > 0
    return place.resource.class_ not in wants.class_ or asks_cards != (place.resource.unit.value == "Card")


def _residency(_: Judge, job: WaitingJob, place: Place) -> bool:
    data = job.job.spec.data
    if data is None:
        return False
    return (
        bool(data.allowed_regions and place.site.spec.region not in data.allowed_regions)
        or bool(data.allowed_sites and place.site.metadata.name not in data.allowed_sites)
        or bool(data.domain and data.domain not in place.site.spec.data_domains)
    )


def _policy(judge: Judge, job: WaitingJob, place: Place) -> bool:
    return judge.policy_forbids(job, place) is not None


def _latency(judge: Judge, job: WaitingJob, place: Place) -> bool:
    bound = judge.bound_us(job.job.spec)
    way = judge.ways.way(job.job.spec.origin, place.site.metadata.name, place.site.spec.region)
    return bound is not None and (way is None or way.us > bound)


def _cost(judge: Judge, job: WaitingJob, place: Place) -> bool:
    most = job.job.spec.limits.max_cost
    return most is not None and judge.paid(job, place) > int(most)


def _deadline(judge: Judge, job: WaitingJob, place: Place) -> bool:
    timing = job.job.spec.timing
    ends = judge.now_ms + judge.lasts_ms(job.job.spec, place.resource) + least_ms(judge.ways, job.job.spec, place.site)
    return timing.deadline is not None and ends > moment_ms(timing.deadline)


def _inactive(_: Judge, __: WaitingJob, place: Place) -> bool:
    return place.site.spec.desired_state.value != "Active"


def _node_size(_: Judge, job: WaitingJob, place: Place) -> bool:
    return place.view.ready and tasks_that_fit(groups_of(place.room.empty), task_of(job.job.spec)) == 0


def _site_size(_: Judge, job: WaitingJob, place: Place) -> bool:
    fits = tasks_that_fit(groups_of(place.room.empty), task_of(job.job.spec))
    return place.view.ready and fits < job.job.spec.tasks


def _not_ready(judge: Judge, _: WaitingJob, place: Place) -> bool:
    return not place.view.ready or place.site.spec.region not in judge.country.regions


def _backoff(_: Judge, job: WaitingJob, place: Place) -> bool:
    return place.site.metadata.name in job.backoff


def _units(_: Judge, job: WaitingJob, place: Place) -> bool:
    task, groups = task_of(job.job.spec), groups_of(place.room.free)
    return any(job.job.spec.tasks * task[k] > sum(count * node[k] for count, node in groups) for k in range(3))


def _nodes(_: Judge, job: WaitingJob, place: Place) -> bool:
    return tasks_that_fit(groups_of(place.room.free), task_of(job.job.spec)) < job.job.spec.tasks


def _quota(judge: Judge, job: WaitingJob, place: Place) -> bool:
    return place.resource.class_ in judge.denied.get(job.uid, {})


QUESTIONS: Mapping[str, Callable[[Judge, WaitingJob, Place], bool]] = {
    "AccountNotAllowed": _account,
    "ClassNotOffered": _class,
    "ResidencyForbids": _residency,
    "PolicyForbids": _policy,
    "LatencyBoundExceeded": _latency,
    "CostLimitExceeded": _cost,
    "DeadlineUnreachable": _deadline,
    "SiteInactive": _inactive,
    "TaskFitsNoNode": _node_size,
    "InsufficientCapacity": _site_size,
    "QuotaExceeded": _quota,
    "SiteNotReady": _not_ready,
    "SiteBackoff": _backoff,
    "WaitingForCapacity": _units,
    "CapacityFragmented": _nodes,
}
