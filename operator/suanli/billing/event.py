"""What was used, as events: ids derived from what they describe, so that sending one twice changes nothing. Pure.

An event never spans a border (`Borders`): a full hour of UTC, or a moment at which some tariff's band or day changes. What
many events make of one pod is what the whole pod used, whatever the cuts.
Source: CloudEvents 1.0.2, JSON format; W3C trace ids for the length of an id.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any

from suanli.api.site import ComputeSite, ComputeUnit
from suanli.base.names import short_hash
from suanli.base.units import MICRO, MS_PER_HOUR, micro
from suanli.billing.usage import PodUsage

ID_LENGTH = 32  # hexadecimal digits: 128 bits
DEFAULT_QOS = "Normal"
FOREVER_MS = 1 << 62
MILLI = 1_000
PER_WATT_MS = MICRO * MS_PER_HOUR  # of milli-units x W x (PUE in millionths) x ms, for one mWh
PER_CARBON_MS = PER_WATT_MS * MILLI * MICRO  # of the same x g/kWh x (share in millionths), for one mg

# The borders strictly between two moments, ascending. Units: ms since the epoch.
Borders = Callable[[int, int], Sequence[int]]


class UsageKind(StrEnum):
    """What an amount is of; its unit stands beside it."""

    CORE_TIME = "core-time"  # millicores x ms
    CARD_TIME = "card-time"  # cards x ms
    MEMORY_TIME = "memory-time"  # bytes x ms
    NODE_TIME = "node-time"  # whole nodes x ms
    STORAGE_TIME = "storage-time"  # bytes x ms
    TRANSFER = "transfer"  # bytes over one link
    ENERGY = "energy"  # milliwatt-hours
    CARBON = "carbon"  # milligrams of CO2 equivalent


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """What one pod, or one transfer, used of one kind between two borders.

    Units: ms since the epoch (the member's clock), `amount` in the kind's unit.
    """

    id: str
    kind: UsageKind
    site: str
    account: str
    namespace: str
    job: str
    job_uid: str
    epoch: int
    pod_uid: str
    class_: str  # "" where it has none, and the same of the precision
    precision: str
    start_ms: int
    end_ms: int
    amount: int  # below zero in an adjustment only
    link: str = ""  # of a transfer
    adjusts: str = ""  # id of the event that it corrects
    qos: str = DEFAULT_QOS


def event_id(hub: str, event: UsageEvent) -> str:
    """The id that an event must have: of what it describes, not of how much it was.

    A second word about the same pod, kind and interval is thus the same event. An adjustment's amount is part of what it is.
    """
    return _id(hub, event, event.start_ms, event.end_ms, event.amount)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose job it was, on which hub, and how urgent it was sold."""

    hub: str
    account: str
    namespace: str
    job: str
    qos: str = DEFAULT_QOS


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """What a site says of one class of compute. Units: W of one unit, millionths, g of CO2 for a kWh."""

    class_: str
    precision: str
    unit: ComputeUnit
    rated_power_w: int
    pue_micro: int
    grid_factor_g_per_kwh: int
    green_share_micro: int


def class_facts(site: ComputeSite, class_: str) -> ClassFacts | None:
    """The facts of a class that the site offers; None when it offers no such class."""
    found = next((r for r in site.spec.resources if r.class_ == class_), None)
    if found is None:
        return None
    energy = site.spec.energy
    return ClassFacts(
        class_=class_,
        precision=str(found.precision),
        unit=found.unit,
        rated_power_w=found.rated_power_w,
        pue_micro=micro(energy.pue),
        grid_factor_g_per_kwh=energy.grid_factor_g_per_kwh,
        green_share_micro=micro(energy.green_share),
    )


def full_hours(start_ms: int, end_ms: int) -> Sequence[int]:
    """The full hours of UTC strictly between two moments."""
    return range((start_ms // MS_PER_HOUR + 1) * MS_PER_HOUR, end_ms, MS_PER_HOUR)


def pod_events(
    usage: PodUsage,
    owner: Owner,
    facts: ClassFacts,
    borders: Borders = full_hours,
    *,
    scratch_bytes: int = 0,
    nodes: int = 0,
    since_ms: int = 0,
    until_ms: int = FOREVER_MS,
) -> list[UsageEvent]:
    """All that one pod's run used from one moment to another, cut at the borders; a pod that ran no time used nothing.

    A pod that holds whole nodes is counted in nodes, and not in cores, cards and memory beside it. Energy and carbon are those
    of the rated power under PUE; what is rounded is the pod's use from its start up to a moment, half up, and an event holds
    the difference of two moments. So the events of a pod add up to its use rounded once, and from one border to another they are the
    same as among those of the whole run.
    """
    window = max(usage.start_ms, since_ms), min(usage.end_ms, until_ms)
    made: list[UsageEvent] = []
    for kind, numerator, denominator in rates(usage, facts, scratch_bytes, nodes):
        if numerator:
            whole = _event(owner, kind, usage, facts)
            made += _shared_out(owner.hub, whole, window, numerator, denominator, borders)
    return made


def rates(
    usage: PodUsage, facts: ClassFacts, scratch_bytes: int, nodes: int = 0
) -> Iterator[tuple[UsageKind, int, int]]:
    """What a pod uses in one millisecond, as a fraction."""
    if nodes:
        yield UsageKind.NODE_TIME, nodes, 1
    else:
        yield UsageKind.CORE_TIME, usage.cpu_milli, 1
        yield UsageKind.CARD_TIME, usage.cards, 1
        yield UsageKind.MEMORY_TIME, usage.memory_bytes, 1
    yield UsageKind.STORAGE_TIME, scratch_bytes, 1
    milli_units = usage.cpu_milli if facts.unit is ComputeUnit.CORE else usage.cards * MILLI
    power = milli_units * facts.rated_power_w * facts.pue_micro
    yield UsageKind.ENERGY, power, PER_WATT_MS
    yield UsageKind.CARBON, power * facts.grid_factor_g_per_kwh * (MICRO - facts.green_share_micro), PER_CARBON_MS


def _event(owner: Owner, kind: UsageKind, usage: PodUsage, facts: ClassFacts) -> UsageEvent:
    return UsageEvent(
        id="",
        kind=kind,
        site=usage.site,
        account=owner.account,
        namespace=owner.namespace,
        job=owner.job,
        job_uid=usage.job_uid,
        epoch=usage.epoch,
        pod_uid=usage.pod_uid,
        class_=facts.class_,
        precision=facts.precision,
        start_ms=usage.start_ms,
        end_ms=usage.end_ms,
        amount=0,
        qos=owner.qos,
    )


def _shared_out(
    hub: str, whole: UsageEvent, window: tuple[int, int], numerator: int, denominator: int, borders: Borders
) -> Iterator[UsageEvent]:
    """Of an amount of numerator/denominator for each ms what is in a window, in events that add up to the whole, rounded once."""
    since, until = window
    if since >= until:
        return

    def up_to(at_ms: int) -> int:
        return (2 * numerator * (at_ms - whole.start_ms) + denominator) // (2 * denominator)

    told = up_to(since)
    for start, end in pairwise([since, *borders(since, until), until]):
        up_to_here = up_to(end)
        if up_to_here > told:
            yield _part(hub, whole, start, end, up_to_here - told)
        told = up_to_here


def _part(hub: str, whole: UsageEvent, start_ms: int, end_ms: int, amount: int) -> UsageEvent:
    """A part of an event with its own id, made without `replace`: a month has millions of these."""
    return UsageEvent(
        id=_id(hub, whole, start_ms, end_ms, amount),
        kind=whole.kind,
        site=whole.site,
        account=whole.account,
        namespace=whole.namespace,
        job=whole.job,
        job_uid=whole.job_uid,
        epoch=whole.epoch,
        pod_uid=whole.pod_uid,
        class_=whole.class_,
        precision=whole.precision,
        start_ms=start_ms,
        end_ms=end_ms,
        amount=amount,
        link=whole.link,
        adjusts=whole.adjusts,
        qos=whole.qos,
    )


def _id(hub: str, event: UsageEvent, start_ms: int, end_ms: int, amount: int) -> str:
    return short_hash(
        "event",
        hub,
        event.site,
        event.job_uid,
        str(event.epoch),
        event.pod_uid,
        event.kind,
        event.link,
        str(start_ms),
        str(end_ms),
        event.adjusts,
        str(amount) if event.adjusts else "",
        length=ID_LENGTH,
    )


def as_record(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields as canonical JSON has them: amounts and times may pass 53 bits, so amounts are digits in a string."""
    values, shown, digits = _fields(names)
    record = dict(zip(shown, values(thing), strict=True))
    for name in digits:
        record[name] = str(record[name])
    return record


@lru_cache(maxsize=8)
def _fields(names: tuple[str, ...]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[str, ...], tuple[str, ...]]:
    """How the fields are read, how they are called, and which of them are digits."""
    digits = (name for name in names if name in ("amount", "quantity") or name.endswith("_yuan"))
    return attrgetter(*names), tuple(name.rstrip("_") for name in names), tuple(digits)
