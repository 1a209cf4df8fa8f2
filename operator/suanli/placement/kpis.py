"""The figures that a regulator reads, each with what it was made from: one pure function a row of KPIS.

All is exact: integers and fractions. FLOPS of two precisions never meet: what counts FLOPS gives one figure for each
precision. Source: the national documents named in examples/national/policy.yaml; their targets are data of the policy.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

from suanli.api.job import ComputeJobSpec
from suanli.api.policy import Comparison, Kpi, Side, Target
from suanli.api.site import ComputeSite, ComputeType, ComputeUnit, Precision, SiteResource
from suanli.base.conditions import status_text
from suanli.base.units import MS_PER_HOUR, cpu_milli, decimal_text, duration_ms, duration_us, micro
from suanli.placement.batch import ANY_TIER, tier_of
from suanli.placement.network import FIBRE_US_PER_KM
from suanli.placement.rules import enclaves, has_origin, has_site
from suanli.placement.snapshot import Country, FreeNodes, Plan, SiteView, WaitingJob

MILLI, MICRO = 1_000, 1_000_000
PLACES = 4  # of a value as it is shown; evidence has six
MOST_DIGITS = 60
MOST_SAID = 256


@dataclass(frozen=True)
class Units:
    """One class of compute at one site: what is there and what of it is held. Units: thousandths of a card or core."""

    site: ComputeSite
    resource: SiteResource
    capacity_milli: int
    used_milli: int = 0


@dataclass(frozen=True)
class Work:
    """What ran, or is to run, of jobs that are alike. Units: thousandths of a card or core times ms."""

    origin: str
    tier: str
    site: str
    class_: str
    milli_ms: int


@dataclass(frozen=True)
class Facts:
    """All that the figures are made from."""

    country: Country
    sites: Mapping[str, ComputeSite]
    units: tuple[Units, ...] = ()
    work: tuple[Work, ...] = ()


@dataclass(frozen=True)
class Figure:
    """One figure: `value` is None where there is nothing to divide by, or something is not known; `says` tells why.

    Units: numerator and denominator in `unit`. `kpi` is the row of KPIS that it belongs to.
    """

    name: str
    kpi: str
    value: Fraction | None
    numerator: Fraction
    denominator: Fraction
    unit: str
    precision: Precision | None = None
    says: str = ""


Row = Callable[[Facts], Iterable[Figure]]


# --- compute that is there


def new_compute_hub_share(facts: Facts) -> Iterator[Figure]:
    """Compute of new sites in hubs over that of all new sites. Unit: petaflops.

    Source: implementation opinions of 2023-12: at least 60 % of new compute in hub regions.
    """
    kpi = "new-compute-hub-share"
    if _since(facts) is None:
        yield _unknown(kpi, "petaflops", _NO_DAY)
        return
    new = [units for units in facts.units if _is_new(facts, units.site)]
    in_hubs = [units for units in new if _in_hub(facts, units.site)]
    yield from _by_precision(kpi, _capacity(in_hubs), _capacity(new), "no new site gives its petaflops")


def intelligent_share(facts: Facts) -> Iterator[Figure]:
    """Intelligent compute over all compute, both at FP32. Unit: petaflops.

    Source: action plan of 2023-10: 35 %.
    """
    units = [u for u in facts.units if u.resource.precision is Precision.FP32]
    of_type = [u for u in units if u.resource.type is ComputeType.INTELLIGENT]
    part, whole = (sum(_petaflops(u.resource, u.capacity_milli) for u in some) for some in (of_type, units))
    none = "no intelligent class gives its petaflops at FP32"
    yield _share("intelligent-share", part, whole if part else 0, "petaflops", none, Precision.FP32)


def hub_usage_gap(facts: Facts) -> Iterator[Figure]:
    """Use of the compute in hubs less use of all compute. Unit: petaflops; evidence is that of the hubs.

    Source: implementation opinions of 2023-12: use in hubs well above the national average.
    """
    in_hubs = [units for units in facts.units if _in_hub(facts, units.site)]
    used, whole = _used(facts.units), _capacity(facts.units)
    for hubs in _by_precision(
        "hub-usage-gap", _used(in_hubs), _capacity(in_hubs), "no site in a hub gives its petaflops"
    ):
        if hubs.value is None or hubs.precision is None:
            yield hubs
            continue
        mine, all_ = used[hubs.precision], whole[hubs.precision]
        says = f"of all sites {_amount(mine)} of {_amount(all_)} petaflops are in use"
        yield replace(hubs, value=hubs.value - mine / all_, says=says)


def western_utilisation(facts: Facts) -> Iterator[Figure]:
    """Compute in use over compute that is there, of sites in western hubs. Unit: petaflops.

    Source: plan of 2021-12: from 30 % to at least 50 %.
    """
    west = [units for units in facts.units if _side(facts, units.site) == Side.WEST]
    yield from _by_precision(
        "western-utilisation", _used(west), _capacity(west), "no site in the West gives its petaflops"
    )


# --- work


def east_to_west_share(facts: Facts) -> Iterator[Figure]:
    """Work of eastern origin that ran in the West over all work of eastern origin. Units: card-hours, core-hours."""
    eastern = [w for w in facts.work if facts.country.side(w.origin) == Side.EAST]

    def went_west(work: Work) -> bool:
        site = facts.sites.get(work.site)
        return site is not None and _side(facts, site) == Side.WEST

    yield from _by_unit(facts, "east-to-west-share", eastern, went_west, "no work of eastern origin is on record")


def enclave_partner_share(facts: Facts) -> Iterator[Figure]:
    """Work of the partner over all work at the sites of enclaves. Units: card-hours, core-hours.

    Source: implementation opinions of 2023-12 name enclaves, without a figure for them.
    """
    of_site = {
        name: [pairing for pairing in enclaves(facts.country) if has_site(pairing, site, facts.country)]
        for name, site in facts.sites.items()
    }
    there = [work for work in facts.work if of_site.get(work.site)]

    def is_partners(work: Work) -> bool:
        return any(has_origin(pairing, work.origin, facts.country) for pairing in of_site[work.site])

    yield from _by_unit(
        facts, "enclave-partner-share", there, is_partners, "no work at a site of an enclave is on record"
    )


def tier_compliance(facts: Facts) -> Iterator[Figure]:
    """Pairs of origin and site within the bound of the tier, over all pairs that work of a tier joins. Unit: pairs.

    Source: implementation opinions of 2023-12: 1, 5 and 20 ms; the bounds are data of the policy.
    """
    pairs = sorted({(w.tier, w.origin, w.site) for w in facts.work if w.tier != ANY_TIER and w.site in facts.sites})
    within, of_tier = Counter[str](), Counter[str]()
    for tier, origin, site in pairs:
        bound = facts.country.tiers.get(tier)
        if bound is None:
            continue
        of_tier[tier] += 1
        path = facts.country.network.path(origin, site, facts.sites[site].spec.region)
        within[tier] += path.one_way_us <= duration_us(bound.one_way)
    told = ", ".join(f"{tier} {within[tier]} of {count}" for tier, count in of_tier.items())
    none = "no work of a latency tier is on record"
    yield _share("tier-compliance", within.total(), of_tier.total(), "pairs", none, says=told)


# --- the network


def path_ratio(facts: Facts) -> Iterator[Figure]:
    """Measured over theoretical one-way time between sites of different clusters, of all pairs together. Unit: ms.

    Source: action plan of 2023-10: at most 1.5 times the theoretical time; light in straight fibre is taken for that.
    """
    ways = _ways_of_clusters(facts)
    measured, theory = sum(way[0] for way in ways), sum(way[1] for way in ways)
    yield _share("path-ratio", Fraction(measured, 1_000), Fraction(theory, 1_000), "ms", _NO_WAYS, says=_pairs(ways))


def path_ratio_worst(facts: Facts) -> Iterator[Figure]:
    """The same of the worst pair. Unit: ms."""
    ways = _ways_of_clusters(facts)
    measured, theory, one, other = max(ways, key=lambda way: Fraction(way[0], way[1]), default=(0, 0, "", ""))
    says = f"from {one} to {other}"
    yield _share("path-ratio-worst", Fraction(measured, 1_000), Fraction(theory, 1_000), "ms", _NO_WAYS, says=says)


_NO_WAYS = "no path of links joins sites of two clusters"


def _ways_of_clusters(facts: Facts) -> list[tuple[int, int, str, str]]:
    """Measured and theoretical µs between regions of different clusters in which sites stand, of paths of links."""
    policy, network = facts.country.policy, facts.country.network
    stand = {site.spec.region for site in facts.sites.values()} & facts.country.regions.keys()
    of_region = {
        region: (hub.name, cluster.name)
        for hub in (policy.spec.hubs if policy else ())
        for cluster in hub.clusters
        for region in cluster.regions
    }
    found = []
    for one, other in combinations(sorted(stand & of_region.keys()), 2):
        if of_region[one] == of_region[other]:
            continue
        path = network.path(one, "", other)
        theory_us = round(network.distance_km(one, other) * FIBRE_US_PER_KM)
        if path.measured and theory_us:
            found.append((path.one_way_us, theory_us, one, other))
    return found


def _pairs(ways: Sequence[object]) -> str:
    return "1 pair of regions" if len(ways) == 1 else f"{len(ways)} pairs of regions"


# --- energy


def green_share(facts: Facts) -> Iterator[Figure]:
    """Green energy over all energy of what is there at rated power. Unit: kW, losses included."""
    yield _green("green-share", facts.units)


def green_share_new_hub(facts: Facts) -> Iterator[Figure]:
    """The same of new sites in hubs.

    Source: implementation opinions of 2023-12: more than 80 %.
    """
    if _since(facts) is None:
        yield _unknown("green-share-new-hub", "kW", _NO_DAY)
        return
    new = [u for u in facts.units if _in_hub(facts, u.site) and _is_new(facts, u.site)]
    yield _green("green-share-new-hub", new)


def average_pue(facts: Facts) -> Iterator[Figure]:
    """All power over IT power of what is there at rated power: PUE weighted by IT power. Unit: kW.

    Source: plan of 2024-07: below 1.5.
    """
    it = sum(_it_kw(u.resource, u.capacity_milli) for u in facts.units)
    whole = sum(_it_kw(u.resource, u.capacity_milli) * _pue(u.site) for u in facts.units)
    yield _share("average-pue", whole, it, "kW", _NO_POWER)


def work_green_share(facts: Facts) -> Iterator[Figure]:
    """Green energy over all energy of the work at rated power. Unit: kWh, losses included."""
    spent = [(_kwh(facts, work) * _pue(facts.sites[work.site]), facts.sites[work.site]) for work in _sited(facts)]
    part = sum(kwh * Fraction(site.spec.energy.green_share) for kwh, site in spent)
    yield _share("work-green-share", part, sum(kwh for kwh, _ in spent), "kWh", _NO_WORK)


def work_average_pue(facts: Facts) -> Iterator[Figure]:
    """All energy over IT energy of the work at rated power. Unit: kWh."""
    spent = [(_kwh(facts, work), _pue(facts.sites[work.site])) for work in _sited(facts)]
    whole, it = sum(kwh * pue for kwh, pue in spent), sum(kwh for kwh, _ in spent)
    yield _share("work-average-pue", whole, it, "kWh", _NO_WORK)


_NO_POWER = "no site gives the rated power of what is there"
_NO_WORK = "no work of classes with a rated power is on record"


def _green(name: str, units: Iterable[Units]) -> Figure:
    power = [(_it_kw(u.resource, u.capacity_milli) * _pue(u.site), u.site) for u in units]
    part = sum(kw * Fraction(site.spec.energy.green_share) for kw, site in power)
    return _share(name, part, sum(kw for kw, _ in power), "kW", _NO_POWER)


# --- building


def non_hub_violations(facts: Facts) -> Iterator[Figure]:
    """New sites outside all hubs that are larger than the policy lets be built there. Unit: sites.

    Source: implementation opinions of 2023-12: in principle no new large or mega data centres outside the hubs.
    """
    name, policy = "non-hub-violations", facts.country.policy
    limit = policy.spec.new_build if policy else None
    if limit is None or limit.since is None:
        yield _unknown(name, "sites", _NO_DAY)
        return
    new = [s for s in facts.sites.values() if _is_new(facts, s) and not _in_hub(facts, s)]
    large = sorted(s.metadata.name for s in new if s.spec.standard_racks > limit.max_racks_outside_hubs)
    yield Figure(
        name, name, Fraction(len(large)), Fraction(len(large)), Fraction(len(new)), "sites", None, ", ".join(large[:3])
    )


KPIS: Mapping[str, Row] = {
    "new-compute-hub-share": new_compute_hub_share,
    "intelligent-share": intelligent_share,
    "hub-usage-gap": hub_usage_gap,
    "western-utilisation": western_utilisation,
    "east-to-west-share": east_to_west_share,
    "enclave-partner-share": enclave_partner_share,
    "tier-compliance": tier_compliance,
    "path-ratio": path_ratio,
    "path-ratio-worst": path_ratio_worst,
    "green-share": green_share,
    "green-share-new-hub": green_share_new_hub,
    "average-pue": average_pue,
    "work-green-share": work_green_share,
    "work-average-pue": work_average_pue,
    "non-hub-violations": non_hub_violations,
}
OF_PRECISION = ("new-compute-hub-share", "hub-usage-gap", "western-utilisation")
OF_UNIT = ("east-to-west-share", "enclave-partner-share")
# Every name that a figure may have, and that a target may name.
NAMES = frozenset(
    [
        *KPIS,
        *(f"{kpi}-{precision.lower()}" for kpi in OF_PRECISION for precision in Precision),
        *(f"{kpi}-{unit.lower()}s" for kpi in OF_UNIT for unit in ComputeUnit),
    ]
)


def figures(facts: Facts) -> tuple[Figure, ...]:
    """All figures, in the order of KPIS."""
    return tuple(figure for row in KPIS.values() for figure in row(facts))


def shown(made: Iterable[Figure], targets: Sequence[Target]) -> list[Kpi]:
    """Figures as the policy's status has them, compared with its targets. Values are compared exactly, then rounded."""
    by_name = {target.kpi: target for target in targets}
    return [_shown(figure, by_name.get(figure.name) or by_name.get(figure.kpi)) for figure in made]


def _shown(figure: Figure, target: Target | None) -> Kpi:
    value = figure.value
    return Kpi(
        name=figure.name,
        value=None if value is None else _short(decimal_text(value.numerator, value.denominator, PLACES)),
        numerator=_amount(figure.numerator),
        denominator=_amount(figure.denominator),
        unit=figure.unit,
        precision=figure.precision,
        target=f"{target.comparison} {target.value}" if target else None,
        by=target.by if target else None,
        met=status_text(_is_met(value, target)) if target else None,
        message=figure.says[:MOST_SAID] or None,
    )


def evidence(kpi: Kpi) -> str:
    """What a figure was made from, for people; of one that cannot be computed, why."""
    return kpi.message or "" if kpi.value is None else f"{kpi.numerator} of {kpi.denominator} {kpi.unit}"


def _is_met(value: Fraction | None, target: Target) -> bool | None:
    if value is None:
        return None
    wanted = Fraction(target.value)
    return value >= wanted if target.comparison is Comparison.AT_LEAST else value <= wanted


# --- facts of a plan


def facts_of(waiting: Iterable[WaitingJob], sites: Iterable[SiteView], country: Country, plan: Plan) -> Facts:
    """What would be if the plan were carried out: its jobs hold their units and run as long as they expect to."""
    views = {view.site.metadata.name: view for view in sites}
    resources = {(name, r.class_): r for name, view in views.items() for r in view.site.spec.resources}
    held, work = Counter[tuple[str, str]](), Counter[tuple[str, str, str, str]]()
    for job in waiting:
        decision, spec = plan.decisions[job.uid], job.job.spec
        place = (decision.site or "", decision.class_ or "")
        if place in resources:
            milli = held_milli(spec, resources[place])
            held[place] += milli
            work[spec.origin, tier_of(spec, country), *place] += milli * duration_ms(spec.timing.expected_duration)
    units = []
    for (name, class_), resource in resources.items():
        room = views[name].classes.get(class_)
        empty, free = (_milli(resource, nodes) for nodes in ((room.empty, room.free) if room else ((), ())))
        units.append(Units(views[name].site, resource, empty, max(0, empty - free) + held[name, class_]))
    done = tuple(Work(*key, milli_ms) for key, milli_ms in work.items())
    return Facts(country, {name: view.site for name, view in views.items()}, tuple(units), done)


def held_milli(spec: ComputeJobSpec, resource: SiteResource) -> int:
    """What a job holds of a class. Units: thousandths of a card or core."""
    per_task = spec.resources.per_task
    is_card = resource.unit is ComputeUnit.CARD
    return spec.tasks * (per_task.cards * MILLI if is_card else cpu_milli(per_task.cpu))


def _milli(resource: SiteResource, nodes: Iterable[FreeNodes]) -> int:
    is_card = resource.unit is ComputeUnit.CARD
    return sum(n.count * (n.cards * MILLI if is_card else n.cpu_milli) for n in nodes)


# --- parts of the rows


def _share(
    name: str,
    part: Fraction | int,
    whole: Fraction | int,
    unit: str,
    none: str,
    precision: Precision | None = None,
    kpi: str = "",
    says: str = "",
) -> Figure:
    """A part of a whole; without a whole there is no value, and `none` says why."""
    value = Fraction(part, whole) if whole else None
    return Figure(name, kpi or name, value, Fraction(part), Fraction(whole), unit, precision, says if whole else none)


def _unknown(kpi: str, unit: str, why: str) -> Figure:
    return Figure(kpi, kpi, None, Fraction(0), Fraction(0), unit, None, why)


_NO_DAY = "newBuild.since of the policy does not say from when on a site is new"


def _by_precision(
    kpi: str, part: Mapping[Precision, Fraction], whole: Mapping[Precision, Fraction], none: str
) -> Iterator[Figure]:
    """The share at each precision of which there is any."""
    if not whole:
        yield _unknown(kpi, "petaflops", none)
    for precision in (p for p in Precision if p in whole):
        name = f"{kpi}-{precision.lower()}"
        yield _share(name, part.get(precision, 0), whole[precision], "petaflops", "", precision, kpi)


def _capacity(units: Iterable[Units]) -> Mapping[Precision, Fraction]:
    """Petaflops that are there, at each precision of which there are any."""
    return _petaflops_of((each.resource, each.capacity_milli) for each in units)


def _used(units: Iterable[Units]) -> Mapping[Precision, Fraction]:
    """Petaflops that are in use, 0 included."""
    return defaultdict(Fraction, _petaflops_of((each.resource, each.used_milli) for each in units))


def _petaflops_of(amounts: Iterable[tuple[SiteResource, int]]) -> dict[Precision, Fraction]:
    found: dict[Precision, Fraction] = defaultdict(Fraction)
    for resource, milli in amounts:
        found[resource.precision] += _petaflops(resource, milli)
    return {precision: amount for precision, amount in found.items() if amount}


def _by_unit(
    facts: Facts, kpi: str, work: Iterable[Work], counts: Callable[[Work], bool], none: str
) -> Iterator[Figure]:
    """The share of the work that counts, cards and cores apart."""
    part, whole = Counter[ComputeUnit](), Counter[ComputeUnit]()
    for each in work:
        resource = _resource(facts, each)
        if resource is not None:
            whole[resource.unit] += each.milli_ms
            part[resource.unit] += each.milli_ms if counts(each) else 0
    if not whole.total():
        yield _unknown(kpi, "card-hours", none)
    for unit in ComputeUnit:
        if whole[unit]:
            done, total = (Fraction(n[unit], MILLI * MS_PER_HOUR) for n in (part, whole))
            yield _share(f"{kpi}-{unit.lower()}s", done, total, f"{unit.lower()}-hours", "", kpi=kpi)


def _petaflops(resource: SiteResource, milli: int) -> Fraction:
    return Fraction(micro(resource.petaflops) * milli, MICRO * MILLI) if resource.petaflops else Fraction(0)


def _it_kw(resource: SiteResource, milli: int) -> Fraction:
    return Fraction(resource.rated_power_w * milli, MILLI * 1_000)


def _kwh(facts: Facts, work: Work) -> Fraction:
    resource = _resource(facts, work)
    return _it_kw(resource, work.milli_ms) / MS_PER_HOUR if resource else Fraction(0)


def _sited(facts: Facts) -> list[Work]:
    """Work at sites that are still there."""
    return [work for work in facts.work if work.site in facts.sites]


def _resource(facts: Facts, work: Work) -> SiteResource | None:
    site = facts.sites.get(work.site)
    return next((r for r in site.spec.resources if r.class_ == work.class_), None) if site else None


def _pue(site: ComputeSite) -> Fraction:
    return Fraction(site.spec.energy.pue)


def _side(facts: Facts, site: ComputeSite) -> str:
    return facts.country.side(site.spec.region)


def _in_hub(facts: Facts, site: ComputeSite) -> bool:
    return site.spec.region in facts.country.hub_by_region


def _since(facts: Facts) -> str | None:
    policy = facts.country.policy
    return policy.spec.new_build.since if policy and policy.spec.new_build else None


def _is_new(facts: Facts, site: ComputeSite) -> bool:
    """Whether it went into service on the day from which on sites are new, or later. Dates of the wire sort as texts."""
    since, built = _since(facts), site.spec.built_on
    return since is not None and built is not None and built >= since


def _amount(value: Fraction) -> str:
    text = decimal_text(value.numerator, value.denominator)
    return _short(text.rstrip("0").rstrip("."))


def _short(text: str) -> str:
    """A number as it is; one that no country can come to, rounded, with its power of ten."""
    return text if len(text) <= MOST_DIGITS else f"{Decimal(text):.6E}"
