"""What one pod really ran, read from the member's own pod, and exact sums of it.

Times are the member's: start and finish come from one clock, so its offset to the hub's does not matter. The member is
not trusted: what cannot be true is bounded, never refused, and the record says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from suanli.api.job import Usage
from suanli.base.clock import parse_time_ms
from suanli.base.names import ANNOTATION_CLASS, CONTAINER, LABEL_EPOCH, LABEL_JOB_UID
from suanli.base.units import MS_PER_HOUR, cpu_milli, decimal_text, whole
from suanli.base.untrusted import Raw, count, items, mapping, text

MAX_SKEW_MS = 10 * 60_000  # a member's clock may be off by this much
MAX_RUN_MS = 5 * 366 * 24 * MS_PER_HOUR
MAX_CPU_MILLI = 1_000_000 * 1_000
MAX_MEMORY_BYTES = 1 << 50
MAX_CARDS = 1_000_000


@dataclass(frozen=True)
class PodUsage:
    """One pod's run and what it held meanwhile.

    Units: milliseconds since the Unix epoch (member's clock), millicores, bytes, cards.
    """

    pod_uid: str
    job_uid: str
    epoch: int
    site: str
    class_: str
    start_ms: int
    end_ms: int
    cpu_milli: int
    memory_bytes: int
    cards: int
    estimated: bool = False
    note: str = ""  # why it is estimated

    @property
    def run_ms(self) -> int:
        """How long it ran."""
        return self.end_ms - self.start_ms

    @property
    def cpu_milli_ms(self) -> int:
        """Millicores times milliseconds."""
        return self.cpu_milli * self.run_ms

    @property
    def memory_byte_ms(self) -> int:
        """Bytes of memory times milliseconds."""
        return self.memory_bytes * self.run_ms

    @property
    def card_ms(self) -> int:
        """Cards times milliseconds."""
        return self.cards * self.run_ms


@dataclass(frozen=True)
class Gap:
    """What certainly ran, and of which nobody will ever know how long: it is told, and not billed.

    Units: milliseconds since the Unix epoch. `start_ms` is the last moment that is accounted for, `end_ms` when it was found missing.
    """

    site: str
    job_uid: str
    epoch: int
    pod_uid: str  # "" for pods of an attempt of which nothing else is known
    pods: int
    start_ms: int
    end_ms: int
    why: str


def pod_usage(pod: Raw, *, site: str, now_ms: int) -> PodUsage | None:
    """What a member's pod used; None while its container runs, or when it never ran.

    A pod that was lost with its node ends at the earliest time at which that is certain.
    """
    notes: list[str] = []
    return _used(pod, site, _interval(pod, now_ms, notes), notes)


def last_mark_ms(now_ms: int, every_ms: int) -> int:
    """The last mark that is past by every clock; marks are the whole multiples of a time that is itself one of full hours."""
    return (now_ms - MAX_SKEW_MS) // every_ms * every_ms


def used_so_far(pod: Raw, *, site: str, mark_ms: int, now_ms: int) -> PodUsage | None:
    """What a pod that runs on used up to a mark; None where it did not run then, or has ended or is about to.

    Events are cut at full hours, so those of this are the first of those that the pod's whole run makes.
    """
    metadata, status = mapping(pod.get("metadata")), mapping(pod.get("status"))
    state = mapping(_ours(items(status.get("containerStatuses"))).get("state"))
    start = _time(mapping(state.get("running")).get("startedAt"))
    if start is None or start >= mark_ms or state.get("terminated") or status.get("phase") != "Running":
        return None
    if metadata.get("deletionTimestamp") or _disruptions(status):
        return None  # how it ended will be told, and may be a moment before the mark
    notes: list[str] = []
    interval = _bounded(start, mark_ms, _created(metadata), now_ms, notes)
    return _used(pod, site, interval, notes) if interval[0] < interval[1] else None


def _used(pod: Raw, site: str, interval: tuple[int, int] | None, notes: list[str]) -> PodUsage | None:
    metadata = mapping(pod.get("metadata"))
    labels, uid = mapping(metadata.get("labels")), text(metadata.get("uid"))
    if interval is None or not uid:
        return None
    cpu, memory, cards = _amounts(pod, notes)
    return PodUsage(
        pod_uid=uid,
        job_uid=text(labels.get(LABEL_JOB_UID)),
        epoch=count(labels.get(LABEL_EPOCH)),
        site=site,
        class_=text(mapping(metadata.get("annotations")).get(ANNOTATION_CLASS)),
        start_ms=interval[0],
        end_ms=interval[1],
        cpu_milli=cpu,
        memory_bytes=memory,
        cards=cards,
        estimated=bool(notes),
        note="; ".join(notes),
    )


def total(usages: Iterable[PodUsage]) -> Usage:
    """The exact sum; hours are rounded once, at the end."""
    attempts: set[tuple[str, int]] = set()
    pods = run = cpu = memory = card = 0
    for usage in usages:
        attempts.add((usage.job_uid, usage.epoch))
        pods += 1
        run += usage.run_ms
        cpu += usage.cpu_milli_ms
        memory += usage.memory_byte_ms
        card += usage.card_ms
    return Usage(
        attempts=len(attempts),
        pods=pods,
        run_ms=str(run),
        cpu_milli_ms=str(cpu),
        memory_byte_ms=str(memory),
        card_ms=str(card),
        core_hours=decimal_text(cpu, 1_000 * MS_PER_HOUR),
        card_hours=decimal_text(card, MS_PER_HOUR),
    )


def _interval(pod: Raw, now_ms: int, notes: list[str]) -> tuple[int, int] | None:
    """When the container ran, in the member's time."""
    state = mapping(_ours(items(mapping(pod.get("status")).get("containerStatuses"))).get("state"))
    terminated = mapping(state.get("terminated"))
    running = mapping(state.get("running"))
    start = _time((terminated or running).get("startedAt"))  # the kubelet writes 0001 or 1970 where nothing started
    over = bool(terminated)
    end = _time(terminated.get("finishedAt"))
    if end is None:
        end = _lost_at(pod, now_ms)
        over = over or end is not None
        notes.append("lost without a last word, ended when that was certain")
    if start is None or not over:
        return None
    if end is None:
        end = start
    return _bounded(start, end, _created(mapping(pod.get("metadata"))), now_ms, notes)


def _created(metadata: Raw) -> int | None:
    return _time(metadata.get("creationTimestamp"))


def _disruptions(status: Raw) -> list[Raw]:
    """Where the cluster says that the pod's node is gone, or that it was put out."""
    conditions = items(status.get("conditions"))
    return [c for c in conditions if c.get("type") == "DisruptionTarget" and c.get("status") == "True"]


def _bounded(start: int, end: int, created: int | None, now_ms: int, notes: list[str]) -> tuple[int, int]:
    if created is not None and start < created - MAX_SKEW_MS:
        notes.append("started before it was created")
        start = created
    if created is not None and created > now_ms + MAX_SKEW_MS:
        notes.append("the hub's clock is far behind the member's")  # one of them was set; the length is still true
    elif end > now_ms + MAX_SKEW_MS:
        notes.append("ended in the future")
        end = now_ms
    if end < start:
        notes.append("ended before it started")
        end = start
    if end - start > MAX_RUN_MS:
        notes.append("ran for more than five years")
        end = start + MAX_RUN_MS
    return start, end


def _lost_at(pod: Raw, now_ms: int) -> int | None:
    """The earliest certain end of a pod whose node is gone; None while it may still run."""
    metadata, status = mapping(pod.get("metadata")), mapping(pod.get("status"))
    phase = status.get("phase")
    if phase not in ("Failed", "Succeeded", "Unknown"):
        return None
    told = [_time(c.get("lastTransitionTime")) for c in _disruptions(status)]
    certain = [t for t in (*told, _time(metadata.get("deletionTimestamp"))) if t is not None and t <= now_ms]
    if certain:
        return min(certain)
    return now_ms if phase != "Unknown" else None


def _amounts(pod: Raw, notes: list[str]) -> tuple[int, int, int]:
    """Millicores, bytes and cards that the container requests."""
    container = _ours(items(mapping(pod.get("spec")).get("containers")))
    requests = mapping(mapping(container.get("resources")).get("requests"))
    cards = [n for name in sorted(requests) if _is_card(name) and (n := _amount(requests, name, MAX_CARDS, notes))]
    if len(cards) > 1:
        notes.append("more than one extended resource, the smallest amount counts")
    return (
        _amount(requests, "cpu", MAX_CPU_MILLI, notes),
        _amount(requests, "memory", MAX_MEMORY_BYTES, notes),
        min(cards, default=0),
    )


def _is_card(name: object) -> bool:
    return isinstance(name, str) and "/" in name and not name.split("/")[0].endswith("kubernetes.io")


def _amount(requests: Raw, name: str, most: int, notes: list[str]) -> int:
    try:
        raw = str(requests.get(name, 0))
        value = cpu_milli(raw) if name == "cpu" else whole(raw)
    except ValueError:
        notes.append(f"requests of {text(name, 64)} cannot be read")
        return 0
    if value > most:
        notes.append(f"requests of {text(name, 64)} are absurd")
        return most
    return value


def _ours(containers: list[Raw]) -> Raw:
    """The task's container or its status; a member's webhooks may have put others beside it."""
    return next((c for c in containers if c.get("name") == CONTAINER), containers[0] if len(containers) == 1 else {})


def _time(value: object) -> int | None:
    """Milliseconds of an RFC 3339 time after 1970; None for anything else."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        ms = parse_time_ms(value)
    except (ValueError, OverflowError):
        return None
    return ms if ms > 0 else None
