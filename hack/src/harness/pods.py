"""What a member's pods say they ran, read as its administrator sees them. Shares no code with the operator's metering."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from suanli.base.units import cpu_milli, whole

Raw = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
WIRE = {"run_ms": "runMs", "cpu_milli_ms": "cpuMilliMs", "memory_byte_ms": "memoryByteMs", "card_ms": "cardMs"}


@dataclass(frozen=True)
class Amount:
    """Milliseconds that containers ran, alone and times what they had requested."""

    run_ms: int = 0
    cpu_milli_ms: int = 0
    memory_byte_ms: int = 0
    card_ms: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def ran(pods: Iterable[Raw]) -> Amount:
    """What pods ran together. A container that has not ended counts nothing yet."""
    return sum((_of_pod(pod) for pod in pods), Amount())


def told(usage: Raw | None) -> Amount:
    """The same as a ComputeJob's status.usage tells it."""
    return Amount(**{name: int((usage or {}).get(wire, "0")) for name, wire in WIRE.items()})


def _of_pod(raw: Raw) -> Amount:
    requests = {c["name"]: c.get("resources", {}).get("requests", {}) for c in raw["spec"]["containers"]}
    states = {c["name"]: c.get("state", {}) for c in raw.get("status", {}).get("containerStatuses", [])}
    return sum((_of_container(state.get("terminated"), requests[name]) for name, state in states.items()), Amount())


def _of_container(terminated: Raw | None, requests: Mapping[str, str]) -> Amount:
    if not terminated or not terminated.get("startedAt"):
        return Amount()
    ms = _ms(terminated["finishedAt"]) - _ms(terminated["startedAt"])
    cards = sum(whole(amount) for name, amount in requests.items() if "/" in name)
    return Amount(ms, ms * cpu_milli(requests.get("cpu", "0")), ms * whole(requests.get("memory", "0")), ms * cards)


def _ms(moment: str) -> int:
    return (datetime.fromisoformat(moment) - EPOCH) // MS
