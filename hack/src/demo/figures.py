"""The policy's figures that the hub publishes, held against what the members' pods say. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from demo.country import ANY_TIER, Country
from demo.report import Check, Raw, Seen, few, site_of
from suanli.api.job import ComputeJobSpec
from suanli.api.policy import Kpi
from suanli.api.site import ComputeUnit
from suanli.base.units import decimal_text

PLACES = 4  # of a value in the hub's status


def counted(seen: Seen, country: Country) -> dict[str, str]:
    """Some figures by name, as the hub would write them, of the jobs that it still has."""
    jobs = {str(job["metadata"]["uid"]): job for name, job in seen.jobs.items() if name not in seen.gone}
    return _east_to_west(jobs, seen, country) | _tier_compliance(jobs.values(), country)


def differing(kpis: Sequence[Kpi], wanted: Mapping[str, str]) -> list[str]:
    """Where the hub says something else than was counted."""
    said = {kpi.name: kpi.value for kpi in kpis}
    return [f"{name} is {said.get(name)}, counted {value}" for name, value in wanted.items() if said.get(name) != value]


def check(kpis: Sequence[Kpi], wanted: Mapping[str, str]) -> Check:
    """Whether the hub's figures are those that were counted."""
    wrong = differing(kpis, wanted)
    return Check("the hub's figures are those counted here", not wrong, few(wrong) or f"{len(wanted)} figures")


def _east_to_west(jobs: Mapping[str, Raw], seen: Seen, country: Country) -> dict[str, str]:
    """Of what jobs of eastern origin ran, what ran in the West; cards and cores apart."""
    part, whole = Counter[ComputeUnit](), Counter[ComputeUnit]()
    for run in seen.runs:
        job = jobs.get(run.job_uid)
        if job is None or country.side(job["spec"]["origin"]) != "East":
            continue
        unit = _unit(job, country)
        ran = run.amount.card_ms if unit is ComputeUnit.CARD else run.amount.cpu_milli_ms
        whole[unit] += ran
        part[unit] += ran if country.site_side(run.site) == "West" else 0
    return {
        f"east-to-west-share-{unit.lower()}s": decimal_text(part[unit], whole[unit], PLACES)
        for unit in ComputeUnit
        if whole[unit]
    }


def _unit(job: Raw, country: Country) -> ComputeUnit:
    class_ = job["status"]["assignment"]["class"]
    return next(r.unit for r in country.sites[site_of(job)].spec.resources if r.class_ == class_)


def _tier_compliance(jobs: Iterable[Raw], country: Country) -> dict[str, str]:
    """Pairs of origin and site that keep the bound of the tier that joins them."""
    specs = [(ComputeJobSpec.model_validate(job["spec"]), site_of(job)) for job in jobs if site_of(job)]
    pairs = {(country.tier(spec), spec.origin, site) for spec, site in specs}
    times = [
        (country.one_way_us(origin, site), country.bound_us(tier)) for tier, origin, site in pairs if tier != ANY_TIER
    ]
    within = sum(bound is not None and us <= bound for us, bound in times)
    return {"tier-compliance": decimal_text(within, len(times), PLACES)} if times else {}
