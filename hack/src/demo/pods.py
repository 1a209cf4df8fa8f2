"""What a member's pods say they ran, read as its administrator sees them. Shares no code with the operator's metering."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from suanli.base.names import LABEL_JOB_UID
from suanli.base.units import cpu_milli, whole

Raw = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Amount:
    """Milliseconds that containers ran, alone and times what they had requested."""

    run_ms: int = 0
    cpu_milli_ms: int = 0
    memory_byte_ms: int = 0
    card_ms: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.run_ms + other.run_ms,
            self.cpu_milli_ms + other.cpu_milli_ms,
            self.memory_byte_ms + other.memory_byte_ms,
            self.card_ms + other.card_ms,
        )


@dataclass(frozen=True)
class PodRun:
    """One pod of one job at one site."""

    site: str
    job_uid: str
    name: str
    amount: Amount
    over: bool


def pod_run(raw: Raw, site: str) -> PodRun:
    """A pod's run. A container that has not ended counts nothing yet, and `over` is false."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    requests = {c["name"]: c.get("resources", {}).get("requests", {}) for c in spec["containers"]}
    states = {c["name"]: c.get("state", {}) for c in status.get("containerStatuses", [])}
    amount = sum((_amount(state.get("terminated"), requests[name]) for name, state in states.items()), Amount())
    over = status.get("phase") in ("Succeeded", "Failed")
    return PodRun(site, metadata.get("labels", {}).get(LABEL_JOB_UID, ""), metadata["name"], amount, over)


def by_job(runs: Iterable[PodRun]) -> dict[str, Amount]:
    """What each job's pods ran, by the job's UID."""
    found: dict[str, Amount] = {}
    for run in runs:
        found[run.job_uid] = found.get(run.job_uid, Amount()) + run.amount
    return found


def _amount(terminated: Raw | None, requests: Mapping[str, str]) -> Amount:
    if not terminated or not terminated.get("startedAt"):
        return Amount()
    ms = _ms(terminated["finishedAt"]) - _ms(terminated["startedAt"])
    cards = sum(whole(amount) for name, amount in requests.items() if "/" in name)
    return Amount(ms, ms * cpu_milli(requests.get("cpu", "0")), ms * whole(requests.get("memory", "0")), ms * cards)


def _ms(moment: str) -> int:
    return (datetime.fromisoformat(moment) - EPOCH) // MS
