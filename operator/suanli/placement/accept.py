"""What keeps a job from being placed before any site is asked: names that nobody knows, a user or a time that says wait."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suanli.api.job import ComputeJobSpec, JobState
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Country, SiteView, WaitingJob, specs_of

# The object is to be corrected; the rest wait for a time, a site or their user.
WRONG = frozenset({Reason.UNKNOWN_REGION, Reason.UNKNOWN_TIER, Reason.UNKNOWN_SITE, Reason.UNKNOWN_CLASS})


@dataclass(frozen=True)
class Known:
    """All that a job may name."""

    country: Country
    sites: frozenset[str]
    classes: frozenset[str]
    now_ms: int


@dataclass(frozen=True)
class Refusal:
    """Why no site is asked for the job."""

    reason: Reason
    message: str


Check = Callable[[ComputeJobSpec, Known], Refusal | None]


def known_regions(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """Origin and data lie in ComputeRegions that exist."""
    named = [("spec.origin", spec.origin)]
    if spec.data:
        named += [(f"spec.data.inputs[{i.name}].region", i.region) for i in spec.data.inputs]
        named += [("spec.data.outputs.region", spec.data.outputs.region)] if spec.data.outputs else []
        named += [("spec.data.allowedRegions", name) for name in spec.data.allowed_regions]
    for field, name in named:
        if name not in known.country.regions:
            text = f'{field}: "{name}" is no ComputeRegion; create it or correct the name'
            return Refusal(Reason.UNKNOWN_REGION, text)
    return None


def known_tier(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """The latency tier is one of the policy's."""
    tier = spec.latency.tier if spec.latency else None
    if tier is None or tier in known.country.tiers:
        return None
    tiers = ", ".join(known.country.tiers) or "none"
    text = f'spec.latency.tier: "{tier}" is no latency tier of HubPolicy national (it has: {tiers}); use one of them, or oneWay'
    return Refusal(Reason.UNKNOWN_TIER, text)


def known_sites(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """The sites that its data may go to exist."""
    for name in spec.data.allowed_sites if spec.data else ():
        if name not in known.sites:
            return Refusal(Reason.UNKNOWN_SITE, f'spec.data.allowedSites: "{name}" is no ComputeSite; correct the name')
    return None


def any_site(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """There is a site at all."""
    return (
        None if known.sites else Refusal(Reason.NO_SITES, "there is no ComputeSite; join one with `suanli site join`")
    )


def known_class(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """Some site offers one of the classes."""
    if known.classes.intersection(spec.resources.class_):
        return None
    wanted, offered = ", ".join(spec.resources.class_), ", ".join(sorted(known.classes)[:8]) or "nothing"
    text = f'spec.resources.class: no site offers "{wanted}" (they offer {offered}); ask for another class'
    return Refusal(Reason.UNKNOWN_CLASS, text)


def wanted(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """Its user wants it to run."""
    if spec.desired_state is JobState.RUNNING:
        return None
    text = f"spec.desiredState is {spec.desired_state}; set it to {JobState.RUNNING} to have it placed"
    return Refusal(Reason.SUSPENDED, text)


def due(spec: ComputeJobSpec, known: Known) -> Refusal | None:
    """Its time has come."""
    start = spec.timing.not_before
    if start is None or parse_time_ms(start) <= known.now_ms:
        return None
    return Refusal(Reason.NOT_BEFORE, f"spec.timing.notBefore is {start}; it waits until then")


CHECKS: tuple[Check, ...] = (known_regions, known_tier, known_sites, any_site, known_class, wanted, due)


def refusals(
    waiting: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int
) -> dict[str, Refusal]:
    """By UID, the jobs for which no site is asked, each with the first thing that is wrong."""
    known = Known(
        country,
        frozenset(view.site.metadata.name for view in sites),
        frozenset(r.class_ for view in sites for r in view.site.spec.resources),
        now_ms,
    )
    specs, number_j = specs_of(waiting)
    said: dict[tuple[str, JobState], Refusal | None] = {}
    for spec in specs:
        if (spec.question, spec.desired_state) not in said:
            said[spec.question, spec.desired_state] = next((r for check in CHECKS if (r := check(spec, known))), None)
    said_n = [said[spec.question, spec.desired_state] for spec in specs]
    if not any(said_n):
        return {}
    told = ((job.uid, said_n[n]) for job, n in zip(waiting, number_j, strict=True))
    return {uid: refusal for uid, refusal in told if refusal}
