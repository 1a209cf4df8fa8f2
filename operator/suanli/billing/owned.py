"""Use with its owner: what the members' pods ran, as far as it was agreed, as events that can be rated. Pure."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from suanli.api.site import ComputeUnit
from suanli.base.units import MS_PER_HOUR
from suanli.billing.agreement import Agreement, Carried
from suanli.billing.event import Borders, ClassFacts, Owner, UsageEvent, UsageKind, event_id, pod_events
from suanli.billing.period import Period
from suanli.billing.usage import MAX_SKEW_MS, PodUsage

Agreements = Mapping[tuple[str, int], Agreement]
TOO_MANY = "the attempt has {} tasks, and as many other pods of it ran at that time"


@dataclass(frozen=True, slots=True)
class Unbilled:
    """A pod that nobody is billed for, or that part of its run, and why. It stays in the usage ledger."""

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
    attempts: defaultdict[tuple[str, int], list[PodUsage]] = defaultdict(list)
    for pod in pods:
        agreement = agreements.get((pod.job_uid, pod.epoch))
        why = _unbilled(pod, agreement, given_up(pod.job_uid))
        if agreement is None or why:
            unbilled.append(Unbilled(pod, why))
        else:
            attempts[pod.job_uid, pod.epoch].append(pod)
    for key, of_attempt in attempts.items():
        agreement = agreements[key]
        for pod, since_ms in in_turn(of_attempt, agreement):
            if max(pod.start_ms, period.start_ms) < min(since_ms, period.end_ms):
                unbilled.append(Unbilled(replace(pod, end_ms=since_ms), TOO_MANY.format(agreement.tasks)))
            made = pod_events(
                pod,
                Owner(hub, agreement.account, agreement.namespace, agreement.job, agreement.qos),
                facts_of(agreement),
                borders_at(agreement.site),
                scratch_bytes=agreement.scratch_bytes,
                since_ms=max(since_ms, period.start_ms // MS_PER_HOUR * MS_PER_HOUR),
                until_ms=-(-period.end_ms // MS_PER_HOUR) * MS_PER_HOUR,
            )
            events += [event for event in made if period.holds(event.start_ms)]
    return events, unbilled


def carried_events(
    carried: Iterable[Carried],
    agreements: Agreements,
    given_up: Callable[[str], frozenset[int]],
    period: Period,
    hub: str,
) -> list[UsageEvent]:
    """What attempts sent over links in the period, an event for each leg: all at its moment, by the size that was declared."""
    events: list[UsageEvent] = []
    for one in carried:
        agreement = agreements.get((one.job_uid, one.epoch))
        if agreement is None or one.epoch in given_up(one.job_uid) or not period.holds(one.at_ms):
            continue
        for leg in (leg for leg in agreement.legs if leg.direction is one.direction):
            event = UsageEvent(
                id="",
                kind=UsageKind.TRANSFER,
                site=agreement.site,
                account=agreement.account,
                namespace=agreement.namespace,
                job=agreement.job,
                job_uid=one.job_uid,
                epoch=one.epoch,
                pod_uid="",
                class_="",
                precision="",
                start_ms=one.at_ms,
                end_ms=one.at_ms,
                amount=leg.size,
                link=leg.link,
                qos=agreement.qos,
            )
            events.append(replace(event, id=event_id(hub, event)))
    return events


def in_turn(pods: Iterable[PodUsage], agreement: Agreement) -> list[tuple[PodUsage, int]]:
    """The pods of one attempt, each as far as it was agreed, and from when on it is billed."""
    agreed = [bounded(pod, agreement) for pod in pods]
    since = billed_since(agreed, agreement.tasks)
    return [(pod, since[pod.pod_uid]) for pod in agreed]


def billed_since(pods: Sequence[PodUsage], tasks: int) -> dict[str, int]:
    """By pod of one attempt, from when on it is billed: at no moment are more pods billed than the attempt has tasks.

    Who started first goes first, and the next one follows when one ends; a pod that never gets its turn is billed from its end on. What
    is heard of later about a later time changes nothing of an earlier one.
    """
    since: dict[str, int] = {}
    billed: list[int] = []  # when those that are billed end
    waiting: deque[PodUsage] = deque()

    def let_in(until_ms: int) -> None:
        while billed and billed[0] <= until_ms:
            freed_ms = heappop(billed)
            while waiting:
                pod = waiting.popleft()
                since[pod.pod_uid] = min(pod.end_ms, freed_ms)
                if pod.end_ms > freed_ms:
                    heappush(billed, pod.end_ms)
                    break

    for pod in sorted(pods, key=lambda each: (each.start_ms, each.pod_uid)):
        let_in(pod.start_ms)
        if len(billed) < tasks:
            since[pod.pod_uid] = pod.start_ms
            heappush(billed, pod.end_ms)
        else:
            waiting.append(pod)
    let_in(max((pod.end_ms for pod in pods), default=0))
    return {pod.pod_uid: since.get(pod.pod_uid, pod.end_ms) for pod in pods}


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
