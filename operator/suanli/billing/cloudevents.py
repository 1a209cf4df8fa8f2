"""Usage events on the wire: CloudEvents 1.0 in JSON, written and read. What comes in is not trusted. Pure.

Source: CloudEvents 1.0.2 and its JSON event format. Extension attributes, which brokers add, are passed over.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Never

from suanli.api.common import NAME
from suanli.api.site import Precision
from suanli.api.tariff import Qos
from suanli.base.clock import LAST_MS, time_text, time_text_ms
from suanli.base.untrusted import text
from suanli.billing.event import Borders, Owner, UsageEvent, UsageKind, as_record, event_id
from suanli.billing.usage import MAX_CARDS, MAX_CPU_MILLI, MAX_MEMORY_BYTES, MAX_RUN_MS, MAX_SKEW_MS

TYPE = "io.suanli.usage.v1alpha1"
MAX_BYTES = 16 << 10
SHOWN = 64
MAX_EPOCH = 1 << 31
MAX_BYTES_MOVED = 1 << 60
# The most of a kind in one millisecond that can be true; energy and carbon of 10 GW and 5 kg/kWh.
MOST_PER_MS: Mapping[UsageKind, int] = {
    UsageKind.CORE_TIME: MAX_CPU_MILLI,
    UsageKind.CARD_TIME: MAX_CARDS,
    UsageKind.MEMORY_TIME: MAX_MEMORY_BYTES,
    UsageKind.NODE_TIME: 100_000,
    UsageKind.STORAGE_TIME: MAX_MEMORY_BYTES,
    UsageKind.ENERGY: 3_000_000,
    UsageKind.CARBON: 15_000_000,
}
DATA = tuple(field.name for field in fields(UsageEvent) if field.name != "id")
WIRE = tuple(name.rstrip("_") for name in DATA)

_DIGITS = re.compile(r"-?(0|[1-9][0-9]{0,29})")
_UID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]{0,63}")
_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(NAME.pattern)


class EventRefused(ValueError):
    """An event that is not taken: which one, the field, its value, and what to do."""

    def __init__(self, event: str, field: str, value: object, why: str) -> None:
        shown = text(value if isinstance(value, str) else json.dumps(value, default=str)[:SHOWN], SHOWN)
        super().__init__(f'usage event {event or "without an id"}: {field}: "{shown}": {why}')
        self.field = field


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, by what the connection proves, and what can be true of it. `owner_of`: of a job's attempt that the site had."""

    hub: str
    site: str
    borders: Borders
    owner_of: Callable[[str, int], Owner | None]


def written(event: UsageEvent, hub: str) -> dict[str, Any]:
    """The event as a CloudEvent, ready for JSON."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": source(hub, event.site),
        "type": TYPE,
        "subject": event.job_uid,
        "time": time_text_ms(event.end_ms),
        "datacontenttype": "application/json",
        "data": as_record(event, DATA),
    }


def source(hub: str, site: str) -> str:
    """Where events of a site come from."""
    return f"/suanli/hubs/{hub}/sites/{site}"


def read(raw: bytes, sender: Sender, now_ms: int) -> UsageEvent:
    """The event that somebody sent.

    Raises: EventRefused with the event, the field, its value and what to do.
    """
    whole = _parsed(raw)
    id_ = whole.get("id")
    if not isinstance(id_, str) or _ID.fullmatch(id_) is None:
        raise EventRefused(
            "", "id", id_, "is not an id of 32 hexadecimal digits; derive it from what the event describes"
        )
    data = _data(whole, id_, sender)
    event = _Reader(id_, data).event()
    for check in (_from_the_sender, _in_time, _amount, _reference):
        check(event, sender, now_ms)
    expected = event_id(sender.hub, event)
    if id_ != expected:
        raise EventRefused(id_, "id", id_, f"does not follow from what it describes; the id of that is {expected}")
    return event


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise EventRefused("", "event", f"{len(raw)} bytes", f"is too long; an event has at most {MAX_BYTES}")
    try:
        whole = json.loads(raw.decode(), object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise EventRefused(
            "", "event", text(str(error), SHOWN), "is not JSON of an event; send one CloudEvent 1.0"
        ) from None
    if not isinstance(whole, dict):
        raise EventRefused("", "event", whole, "is not an object; send one CloudEvent 1.0")
    return whole


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a field stands twice in one object")
    return made


def _no_float(number: str) -> Never:
    raise ValueError(f"{number[:SHOWN]} is no whole number")


def _data(whole: Mapping[str, Any], id_: str, sender: Sender) -> dict[str, Any]:
    wanted = {"specversion": "1.0", "type": TYPE, "source": source(sender.hub, sender.site)}
    for name, value in wanted.items():
        if whole.get(name) != value:
            raise EventRefused(id_, name, whole.get(name), f'is not what this sender may send; it is "{value}"')
    if whole.get("datacontenttype", "application/json") != "application/json":
        raise EventRefused(id_, "datacontenttype", whole["datacontenttype"], 'is not read; send "application/json"')
    data = whole.get("data")
    if not isinstance(data, dict):
        raise EventRefused(id_, "data", data, "is not an object; put the event's fields there")
    for name in data:
        if name not in WIRE:
            raise EventRefused(
                id_, f"data.{text(name, SHOWN)}", data[name], f"is no field of an event; there are {', '.join(WIRE)}"
            )
    return data


@dataclass(frozen=True, slots=True)
class _Reader:
    """The fields of one event, each of its type and shape."""

    id: str
    data: Mapping[str, Any]

    def event(self) -> UsageEvent:
        return UsageEvent(
            id=self.id,
            kind=UsageKind(self._one_of("kind", [*UsageKind])),
            site=self._text("site", _NAME, NAME.wrong),
            account=self._text("account", _NAME, NAME.wrong),
            namespace=self._text("namespace", _NAME, NAME.wrong),
            job=self._text("job", _NAME, NAME.wrong),
            job_uid=self._text("job_uid", _UID, "is not a UID; send that of the ComputeJob"),
            epoch=self._number("epoch", MAX_EPOCH),
            pod_uid=self._text("pod_uid", _UID, "is not a UID; send that of the pod", empty=True),
            class_=self._text("class", _NAME, NAME.wrong, empty=True),
            precision=self._one_of("precision", ["", *Precision]),
            start_ms=self._number("start_ms", LAST_MS),
            end_ms=self._number("end_ms", LAST_MS),
            amount=int(self._text("amount", _DIGITS, "is not a whole number in quotes; write digits without a point")),
            link=self._text("link", _NAME, NAME.wrong, empty=True),
            adjusts=self._text("adjusts", _ID, "is not the id of an event; leave it empty or name one", empty=True),
            qos=self._one_of("qos", [*Qos]),
        )

    def _text(self, name: str, shape: re.Pattern[str], wrong: str, *, empty: bool = False) -> str:
        value = self.data.get(name)
        if isinstance(value, str) and ((empty and not value) or shape.fullmatch(value)):
            return value
        raise EventRefused(self.id, f"data.{name}", value, wrong)

    def _number(self, name: str, most: int) -> int:
        value = self.data.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        raise EventRefused(
            self.id, f"data.{name}", value, f"is not a whole number from 0 to {most}; send it without quotes"
        )

    def _one_of(self, name: str, words: list[str]) -> str:
        value = self.data.get(name)
        if isinstance(value, str) and value in words:
            return value
        raise EventRefused(
            self.id, f"data.{name}", value, f"is unknown; send one of {', '.join(word or 'nothing' for word in words)}"
        )


def _from_the_sender(event: UsageEvent, sender: Sender, _now_ms: int) -> None:
    if event.site != sender.site:
        raise EventRefused(
            event.id, "data.site", event.site, f"is not the site that sent it; {sender.site} may send its own use only"
        )
    owner = sender.owner_of(event.job_uid, event.epoch)
    if owner is None:
        raise EventRefused(
            event.id, "data.job_uid", event.job_uid,
            f"attempt {event.epoch} of this job never was at site {event.site}; send the use of what the hub has put there",
        )  # fmt: skip
    for name in ("account", "namespace", "job", "qos"):
        said, known = getattr(event, name), getattr(owner, name)
        if said != known:
            raise EventRefused(event.id, f"data.{name}", said, f'is not what the job belongs to; it is "{known}"')


def _in_time(event: UsageEvent, sender: Sender, now_ms: int) -> None:
    if event.end_ms < event.start_ms or (event.end_ms == event.start_ms and event.kind is not UsageKind.TRANSFER):
        raise EventRefused(
            event.id,
            "data.end_ms",
            event.end_ms,
            f"is not after start_ms {event.start_ms}; send the interval as it was",
        )
    if event.end_ms > now_ms + MAX_SKEW_MS:
        raise EventRefused(
            event.id, "data.end_ms", event.end_ms,
            f"is in the future, {time_text(event.end_ms)}; set the site's clock, it may be off by {MAX_SKEW_MS // 60_000} minutes",
        )  # fmt: skip
    if event.start_ms < now_ms - MAX_RUN_MS:
        raise EventRefused(
            event.id, "data.start_ms", event.start_ms,
            f"is more than five years ago, {time_text(event.start_ms)}; bills of that time are not made any more",
        )  # fmt: skip
    border = next(iter(sender.borders(event.start_ms, event.end_ms)), None)
    if border is not None:
        raise EventRefused(
            event.id,
            "data.end_ms",
            event.end_ms,
            f"lies behind the border {time_text_ms(border)} ({border}); cut the event there",
        )


def _amount(event: UsageEvent, _sender: Sender, _now_ms: int) -> None:
    if event.amount < 0 and not event.adjusts:
        raise EventRefused(
            event.id, "data.amount", event.amount, "is below zero; only an event that adjusts another may be"
        )
    if event.amount == 0:
        raise EventRefused(event.id, "data.amount", event.amount, "is nothing; send no event where nothing was used")
    per_ms = MOST_PER_MS.get(event.kind)
    most = MAX_BYTES_MOVED if per_ms is None else per_ms * (event.end_ms - event.start_ms) + per_ms
    if abs(event.amount) > most:
        raise EventRefused(
            event.id,
            "data.amount",
            event.amount,
            f"is more than the {most} that {event.kind} can be in that time; look at the site's meter",
        )


def _reference(event: UsageEvent, _sender: Sender, _now_ms: int) -> None:
    is_transfer = event.kind is UsageKind.TRANSFER
    if is_transfer != bool(event.link):
        raise EventRefused(
            event.id, "data.link", event.link, "does not go with the kind; a transfer names its link, nothing else does"
        )
    if not is_transfer and not event.pod_uid:
        raise EventRefused(event.id, "data.pod_uid", event.pod_uid, "is empty; only a transfer is of no pod")
    if event.adjusts == event.id:
        raise EventRefused(
            event.id, "data.adjusts", event.adjusts, "is the event itself; name the one that it corrects"
        )
