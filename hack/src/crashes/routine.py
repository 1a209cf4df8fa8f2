"""What users do while the operator is killed, and what must be true once all has settled."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness import Amount, Kubectl, Observer, Tenant
from suanli.base.names import LABEL_EPOCH

EAST = {"allowedSites": ["east"]}
GONE = "gone"


@dataclass(frozen=True)
class Job:
    """One job of the routine: what it runs, how it ends, in how many attempts of how many tasks."""

    run: str
    ends: str
    attempts: int = 1
    tasks: int = 1
    limits: dict[str, int] | None = None
    data: dict[str, list[str]] | None = None

    def spec(self) -> dict[str, Any]:
        """What of its spec is its own."""
        fields = {"tasks": self.tasks, "limits": self.limits, "data": self.data}
        return {name: value for name, value in fields.items() if value is not None}


JOBS = {
    "ends": Job("sleep 1", "Succeeded", data=EAST),
    "fails": Job("sleep 1; exit 3", "Failed", attempts=2, limits={"retries": 1}, data=EAST),
    "gang": Job("sleep 1", "Succeeded", tasks=3, data=EAST),
    "pauses": Job("hang", "Suspended", data=EAST),
    "goes": Job("hang", GONE, tasks=2, data=EAST),
    "moves": Job("hang", "Suspended", attempts=2),  # the west is cheaper, and is emptied
}


class Routine:
    """Work that ends, fails and is tried again, comes in threes, is suspended, deleted, and leaves a site that is emptied."""

    def __init__(self, hub: Kubectl, observer: Observer, tenant: Tenant, recorded: Callable[[str], Amount]) -> None:
        """`recorded` is what the operator's ledger holds of a job's UID."""
        self._hub = hub
        self._observer = observer
        self._tenant = tenant
        self._recorded = recorded
        self._due = {"pauses": self._suspend, "goes": self._delete, "moves": self._drain}
        self._last = {"moves": self._take_in}

    def begin(self) -> None:
        """Apply all jobs at once."""
        tenant = self._tenant
        tenant.apply(*(tenant.manifest(name, job.run, **job.spec()) for name, job in JOBS.items()))

    def step(self) -> None:
        """Do what users do next, if it is time."""
        for name in [*self._due]:
            if self._runs(name, 1):
                self._due.pop(name)(name)
        for name in [*self._last]:
            if name not in self._due and self._runs(name, 2):
                self._last.pop(name)(name)

    def end(self) -> None:
        """Leave the sites as they were."""
        self._wish("Active")

    def wrong(self) -> list[str]:
        """What is not yet, or not, as it must be in the end."""
        unfinished = [text for name, job in JOBS.items() for text in self._unfinished(name, job)]
        return unfinished or self.amiss() + [text for name in JOBS for text in self._mistold(name)]

    def amiss(self) -> list[str]:
        """What members and ledger should not, or should, hold or have held; the hub need not know the jobs any more."""
        left = self._observer.left(*(self._tenant.uid(name) for name in JOBS))
        found = [text for name, job in JOBS.items() for text in self._amiss(name, job)]
        return found + [f"left over: {thing}" for thing in left]

    # --- users

    def _runs(self, name: str, epoch: int) -> bool:
        status = self._tenant.status(name)
        return status.get("state") == "Running" and status["assignment"]["epoch"] >= epoch

    def _suspend(self, name: str) -> None:
        self._tenant.patch(name, {"desiredState": "Suspended"})

    def _delete(self, name: str) -> None:
        self._tenant.delete(name)

    def _drain(self, _name: str) -> None:
        self._wish("Drain")

    def _take_in(self, name: str) -> None:
        self._wish("Active")
        self._suspend(name)

    def _wish(self, state: str) -> None:
        patch = f'{{"spec":{{"desiredState":"{state}"}}}}'
        self._hub("patch", "computesite", "west", "--type", "merge", "--patch", patch)

    # --- oracles

    def _is_gone(self, name: str) -> bool:
        return self._tenant.uid(name) in self._observer.jobs.gone

    def _unfinished(self, name: str, job: Job) -> Iterator[str]:
        state = self._tenant.state(name) or "without a state"
        if self._tenant.job(name) and self._is_gone(name):
            state = GONE
        if state != job.ends:
            yield f"{name} is {state}, and should be {job.ends}"

    def _mistold(self, name: str) -> Iterator[str]:
        told, ran = self._tenant.told(name), self._tenant.ran(name)
        if told != ran and not self._is_gone(name):
            yield f"{name}: its status says {told}, its pods ran {ran}"

    def _amiss(self, name: str, job: Job) -> Iterator[str]:
        tenant = self._tenant
        uid, epochs = tenant.uid(name), range(1, job.attempts + 1)
        made = sorted(member_job["metadata"]["name"] for _, member_job in tenant.member_jobs(name))
        if made != [f"j-{uid}-{epoch}" for epoch in epochs]:
            yield f"{name} should have had a member Job for each of epochs 1 to {job.attempts}, and had {made}"
        pods = {epoch: [p for _, p in tenant.pods(name) if _epoch(p) == epoch] for epoch in epochs}
        for epoch, of_epoch in pods.items():
            if len(of_epoch) != job.tasks:
                yield f"{name} should have had {job.tasks} pods in epoch {epoch}, and had {len(of_epoch)}"
        for epoch in epochs[1:]:
            ended = max((_moment(p, "finishedAt") for p in pods[epoch - 1]), default="")
            began = min((_moment(p, "startedAt") for p in pods[epoch]), default=ended)
            if began < ended:
                yield f"{name}: epoch {epoch} began at {began}, before epoch {epoch - 1} ended at {ended}"
        recorded, ran = self._recorded(uid), tenant.ran(name)
        if recorded != ran:
            yield f"{name}: the ledger says {recorded}, its pods ran {ran}"


def _epoch(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["labels"][LABEL_EPOCH])


def _moment(pod: dict[str, Any], which: str) -> str:
    """When its container began or ended; "" if it never did. Times of one form sort as text."""
    state = pod["status"].get("containerStatuses", [{}])[0].get("state", {})
    return str(state.get("terminated", {}).get(which, ""))
