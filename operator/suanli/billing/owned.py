"""Use with its owner: what the members' pods ran, as far as it was agreed, as events that can be rated. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from suanli.api.site import ComputeUnit
from suanli.billing.agreement import Agreement
from suanli.billing.event import Borders, ClassFacts, Owner, UsageEvent, pod_events
from suanli.billing.period import Period
from suanli.billing.usage import MAX_SKEW_MS, PodUsage

Agreements = Mapping[tuple[str, int], Agreement]


@dataclass(frozen=True, slots=True)
class Unbilled:
    """A pod that nobody is billed for, and why. It stays in the usage ledger."""

    pod: PodUsage
    why: str


def owned_events(
    pods: Iterable[PodUsage],
    agreements: Agreements,
    given_up: Callable[[str], frozenset[int]],
    period: Period,
    hub: str,
    borders_at: Callable[[str], Borders],
) -> tuple[list[UsageEvent], list[Unbilled]]:
    """What began in the period, and the pods that nobody is billed for.

    `agreements` by job UID and epoch; `given_up`: the epochs of a job that do not count; `borders_at`: where events of a site are cut.
    """
    events: list[UsageEvent] = []
    unbilled: list[Unbilled] = []
    for pod in pods:
        agreement = agreements.get((pod.job_uid, pod.epoch))
        why = _unbilled(pod, agreement, given_up(pod.job_uid))
        if agreement is None or why:
            unbilled.append(Unbilled(pod, why))
            continue
        made = pod_events(
            bounded(pod, agreement),
            Owner(hub, agreement.account, agreement.namespace, agreement.job, agreement.qos),
            facts_of(agreement),
            borders_at(agreement.site),
            scratch_bytes=agreement.scratch_bytes,
        )
        events += [event for event in made if period.holds(event.start_ms)]
    return events, unbilled


def bounded(pod: PodUsage, agreement: Agreement) -> PodUsage:
    """The pod's use, of no more than one task was to get, and not before the attempt was sent, whatever the member says."""
    start_ms = max(pod.start_ms, agreement.made_ms - MAX_SKEW_MS)
    return replace(
        pod,
        start_ms=start_ms,
        end_ms=max(pod.end_ms, start_ms),
        cpu_milli=min(pod.cpu_milli, agreement.cpu_milli),
        memory_bytes=min(pod.memory_bytes, agreement.memory_bytes),
        cards=min(pod.cards, agreement.cards),
    )


def facts_of(agreement: Agreement) -> ClassFacts:
    """What the site said of the class when the attempt was sent."""
    return ClassFacts(
        class_=agreement.class_,
        precision=agreement.precision,
        unit=ComputeUnit(agreement.unit),
        rated_power_w=agreement.rated_power_w,
        pue_micro=agreement.pue_micro,
        grid_factor_g_per_kwh=agreement.grid_factor_g_per_kwh,
        green_share_micro=agreement.green_micro,
    )


def _unbilled(pod: PodUsage, agreement: Agreement | None, given_up: frozenset[int]) -> str:
    if agreement is None:
        return "no attempt of this job and epoch was ever sent"
    if pod.site != agreement.site:
        return f"the attempt was sent to site {agreement.site}"
    if pod.epoch in given_up:
        return "the attempt was given up while its site was silent"
    return ""
