"""The figures of a policy, reckoned once more from their descriptions: plain sums over sites, classes and placed jobs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

from checker.judge import Judge, Place, groups_of, task_of
from checker.rules import is_paired, tier_of
from checker.wire import microseconds, milliseconds
from suanli.api.policy import Pairing
from suanli.api.site import ComputeSite, SiteResource
from suanli.placement.snapshot import Country, FreeNodes, Plan, SiteView, WaitingJob

PRECISIONS = ("fp16", "fp32", "fp64")


def ratios(
    waiting: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int, plan: Plan
) -> dict[str, Fraction]:
    """Every figure that has a value, by name."""
    judge = Judge(list(sites), country, now_ms)
    placed = []
    for job in waiting:
        place = judge.places.get((plan.decisions[job.uid].site or "", plan.decisions[job.uid].class_ or ""))
        if place is not None:
            placed.append((job, place))
    sums = _Sums(judge, placed)
    for place in judge.places.values():
        sums.count_place(place)
    for job, place in placed:
        sums.count_job(job, place)
    sums.count_pairs()
    return sums.figures()


class _Sums:
    """Parts and wholes by the figures' names."""

    def __init__(self, judge: Judge, placed: list[tuple[WaitingJob, Place]]) -> None:
        self.judge, self.placed = judge, placed
        self.policy = judge.country.policy.spec if judge.country.policy else None
        self.since = self.policy.new_build.since if self.policy and self.policy.new_build else None
        self.sums: dict[str, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])

    def count(self, name: str, whole: Fraction, share: Fraction | bool) -> None:
        self.sums[name][0] += whole * share
        self.sums[name][1] += whole

    def is_new(self, site: ComputeSite) -> bool:
        return bool(self.since and site.spec.built_on and site.spec.built_on >= self.since)

    def count_place(self, place: Place) -> None:
        """What is there and in use of one class at one site."""
        site, resource, region = place.site, place.resource, place.site.spec.region
        has, free = _units(resource, place.room.empty), _units(resource, place.room.free)
        used = has - free + sum(_held(resource, job) for job, where in self.placed if where.key == place.key)
        flops, at = has * Fraction(resource.petaflops or 0), resource.precision.value.lower()
        in_use = used / has if has else Fraction(0)
        in_hub = self.judge.ways.hub(region) is not None
        energy = site.spec.energy
        watts = has * resource.rated_power_w
        lost = watts * Fraction(energy.pue)
        self.count("average-pue", watts, Fraction(energy.pue))
        self.count("green-share", lost, Fraction(energy.green_share))
        self.count(f"all-{at}", flops, in_use)
        if self.is_new(site):
            self.count(f"new-compute-hub-share-{at}", flops, in_hub)
            if in_hub:
                self.count("green-share-new-hub", lost, Fraction(energy.green_share))
        if self.judge.ways.side(region) == "West":
            self.count(f"western-utilisation-{at}", flops, in_use)
        if in_hub:
            self.count(f"hubs-{at}", flops, in_use)
        if at == "fp32":
            self.count("intelligent-share", flops, resource.type.value == "Intelligent")

    def count_job(self, job: WaitingJob, place: Place) -> None:
        """What one job is to run."""
        spec, site, resource, ways = job.job.spec, place.site, place.resource, self.judge.ways
        hours = _held(resource, job) * milliseconds(spec.timing.expected_duration)
        unit = f"{resource.unit.value.lower()}s"
        if ways.side(spec.origin) == "East":
            self.count(f"east-to-west-share-{unit}", hours, ways.side(site.spec.region) == "West")
        enclaves = [p for p in self.policy.pairings if p.kind.value == "Enclave"] if self.policy else []
        there = [p for p in enclaves if _is_in(p, self.judge, site)]
        if there:
            mine = any(is_paired(p, spec.origin, site, ways) for p in there)
            self.count(f"enclave-partner-share-{unit}", hours, mine)
        watts, pue = hours * resource.rated_power_w, Fraction(site.spec.energy.pue)
        self.count("work-average-pue", watts, pue)
        self.count("work-green-share", watts * pue, Fraction(site.spec.energy.green_share))

    def count_pairs(self) -> None:
        """Origins and sites that jobs of a tier join."""
        tiers = {t.name: t for t in self.policy.latency_tiers} if self.policy else {}
        pairs = {(tier_of(job.job.spec, self.policy), job.job.spec.origin, place.key[0]) for job, place in self.placed}
        for tier, origin, name in pairs:
            if tier != "any":
                way = self.judge.ways.way(origin, name, self.judge.views[name].site.spec.region)
                within = way is not None and way.us <= microseconds(tiers[tier].one_way)
                self.count("tier-compliance", Fraction(1), within)

    def figures(self) -> dict[str, Fraction]:
        """All that have a whole."""
        found = {name: part / whole for name, (part, whole) in self.sums.items() if whole}
        for at in PRECISIONS:
            if f"hubs-{at}" in found:
                found[f"hub-usage-gap-{at}"] = found[f"hubs-{at}"] - found[f"all-{at}"]
        found = {name: ratio for name, ratio in found.items() if not name.startswith(("hubs-", "all-"))}
        if found.get("intelligent-share") == 0:
            del found["intelligent-share"]
        if self.since and self.policy and self.policy.new_build:
            most = self.policy.new_build.max_racks_outside_hubs
            outside = [v.site for v in self.judge.views.values() if self.judge.ways.hub(v.site.spec.region) is None]
            large = [s for s in outside if self.is_new(s) and s.spec.standard_racks > most]
            found["non-hub-violations"] = Fraction(len(large))
        return found


def _is_in(pairing: Pairing, judge: Judge, site: ComputeSite) -> bool:
    labels = pairing.site_selector.match_labels if pairing.site_selector else {}
    return judge.ways.hub(site.spec.region) == pairing.target and labels.items() <= site.metadata.labels.items()


def _units(resource: SiteResource, nodes: Iterable[FreeNodes]) -> Fraction:
    """Cards or cores of the nodes."""
    groups = groups_of(tuple(nodes))
    if resource.unit.value == "Card":
        return Fraction(sum(count * node[2] for count, node in groups))
    return Fraction(sum(count * node[0] for count, node in groups), 1000)


def _held(resource: SiteResource, job: WaitingJob) -> Fraction:
    task = task_of(job.job.spec)
    return job.job.spec.tasks * (Fraction(task[2]) if resource.unit.value == "Card" else Fraction(task[0], 1000))
