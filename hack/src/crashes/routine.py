"""What users do while the operator is killed, and what must be true once all has settled."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness import Amount, Kubectl, Observer, Tenant
from harness.pods import ran
from suanli.base.names import LABEL_EPOCH

EAST = {"allowedSites": ["east"]}
GONE = "gone"


@dataclass(frozen=True)
class Job:
    """One job of a routine: what it runs, how it ends, in how many attempts of how many tasks, of which some were lost."""

    run: str
    ends: str
    attempts: int = 1
    lost: int = 0
    tasks: int = 1
    limits: dict[str, int] | None = None
    data: dict[str, list[str]] | None = None
    failover: str | None = None

    def spec(self) -> dict[str, Any]:
        """What of its spec is its own."""
        fields = {"tasks": self.tasks, "limits": self.limits, "data": self.data, "failover": self.failover}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Stage:
    """Where a routine is played."""

    hub: Kubectl
    observer: Observer
    tenant: Tenant
    recorded: Callable[[str], Amount]  # what the operator's ledger holds of a job's UID
    cut: Callable[[str, bool], None]  # from now on the operator cannot reach a site, or can again


class Routine(ABC):
    """Jobs, what users do to them, and what must have become of them."""

    JOBS: ClassVar[Mapping[str, Job]]

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tenant = stage.tenant

    def prepare(self, within_s: float) -> None:  # noqa: B027 - a routine may have nothing to prepare
        """What comes before the writes that count. Raises: TimeoutError."""

    @abstractmethod
    def begin(self) -> None:
        """Do what users do first."""

    @abstractmethod
    def step(self) -> None:
        """Do what users do next, if it is time."""

    @abstractmethod
    def end(self) -> None:
        """Leave the sites as they were."""

    def wrong(self) -> list[str]:
        """What is not yet, or not, as it must be in the end."""
        unfinished = [text for name, job in self.JOBS.items() for text in self._unfinished(name, job)]
        return unfinished or self.amiss() + [
            text for name, job in self.JOBS.items() for text in self._mistold(name, job)
        ]

    def amiss(self) -> list[str]:
        """What members and ledger should not, or should, hold or have held; the hub need not know the jobs any more."""
        left = self._stage.observer.left(*(self._tenant.uid(name) for name in self.JOBS))
        found = [text for name, job in self.JOBS.items() for text in self._amiss(name, job)]
        return found + [f"left over: {thing}" for thing in left]

    # --- users

    def _apply(self) -> None:
        tenant = self._tenant
        tenant.apply(*(tenant.manifest(name, job.run, **job.spec()) for name, job in self.JOBS.items()))

    def _runs(self, name: str, epoch: int = 1) -> bool:
        status = self._tenant.status(name)
        return status.get("state") == "Running" and status["assignment"]["epoch"] >= epoch

    def _suspend(self, name: str) -> None:
        self._tenant.patch(name, {"desiredState": "Suspended"})

    def _wish(self, site: str, state: str) -> None:
        patch = f'{{"spec":{{"desiredState":"{state}"}}}}'
        self._stage.hub("patch", "computesite", site, "--type", "merge", "--patch", patch)

    # --- oracles

    def _is_gone(self, name: str) -> bool:
        return self._tenant.uid(name) in self._stage.observer.jobs.gone

    def _unfinished(self, name: str, job: Job) -> Iterator[str]:
        state = self._tenant.state(name) or "without a state"
        if self._tenant.job(name) and self._is_gone(name):
            state = GONE
        if state != job.ends:
            yield f"{name} is {state}, and should be {job.ends}"

    def _mistold(self, name: str, job: Job) -> Iterator[str]:
        if self._is_gone(name):
            return
        told, billed = self._tenant.told(name), ran(p for _, p in self._tenant.pods(name) if _epoch(p) > job.lost)
        if told != billed:
            yield f"{name}: its status says {told}, its pods ran {billed}"
        lost = [attempt["epoch"] for attempt in self._tenant.status(name).get("lost", [])]
        if lost != [*range(1, job.lost + 1)]:
            yield f"{name}: attempts {lost} were given up, and should have been {job.lost}"

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
        for epoch in epochs[job.lost + 1 :]:
            ended = max((_moment(p, "finishedAt") for p in pods[epoch - 1]), default="")
            began = min((_moment(p, "startedAt") for p in pods[epoch]), default=ended)
            if began < ended:
                yield f"{name}: epoch {epoch} began at {began}, before epoch {epoch - 1} ended at {ended}"
        recorded, all_ran = self._stage.recorded(uid), tenant.ran(name)
        if recorded != all_ran:
            yield f"{name}: the ledger says {recorded}, its pods ran {all_ran}"


class Work(Routine):
    """Work that ends, fails and is tried again, comes in threes, is suspended, deleted, and leaves a site that is emptied."""

    JOBS: ClassVar[Mapping[str, Job]] = {
        "ends": Job("sleep 1", "Succeeded", data=EAST),
        "fails": Job("sleep 1; exit 3", "Failed", attempts=2, limits={"retries": 1}, data=EAST),
        "gang": Job("sleep 1", "Succeeded", tasks=3, data=EAST),
        "pauses": Job("hang", "Suspended", data=EAST),
        "goes": Job("hang", GONE, tasks=2, data=EAST),
        "moves": Job("hang", "Suspended", attempts=2),  # the west is cheaper
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._due = {"pauses": self._suspend, "goes": self._tenant.delete, "moves": self._drain}
        self._is_drained = False

    def begin(self) -> None:
        """Apply all jobs at once."""
        self._apply()

    def step(self) -> None:
        """Suspend, delete and drain what runs; what has moved is suspended."""
        for name in [*self._due]:
            if self._runs(name):
                self._due.pop(name)(name)
        if self._is_drained and self._runs("moves", 2):
            self.end()
            self._suspend("moves")

    def end(self) -> None:
        """The west takes work again."""
        self._wish("west", "Active")
        self._is_drained = False

    def _drain(self, _name: str) -> None:
        self._wish("west", "Drain")
        self._is_drained = True


class Lost(Routine):
    """A site falls silent, is given up by what may run twice, and comes back with what was deleted meanwhile."""

    JOBS: ClassVar[Mapping[str, Job]] = {
        "moves": Job("hang", "Suspended", attempts=2, lost=1, failover="AtLeastOnce"),
        "stays": Job("hang", "Suspended"),
        "goes": Job("hang", GONE, tasks=2),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._due = ["moves", "stays"]
        self._is_cut = False

    def prepare(self, within_s: float) -> None:
        """All run in the west."""
        self._wish("east", "Inactive")
        self._apply()
        for name in self.JOBS:
            self._tenant.wait_state(name, "Running", seconds=within_s)
        self._wish("east", "Active")

    def begin(self) -> None:
        """The west falls silent, and a job is deleted that runs there."""
        self._stage.cut("west", True)
        self._is_cut = True
        self._tenant.delete("goes")

    def step(self) -> None:
        """When the one has moved the west is back; then both are suspended once they run."""
        if self._is_cut and self._runs("moves", 2):
            self.end()
        for name in [*self._due]:
            if not self._is_cut and self._runs(name):
                self._due.remove(name)
                self._suspend(name)

    def end(self) -> None:
        """The west can be reached, and the east takes work."""
        self._stage.cut("west", False)
        self._wish("east", "Active")
        self._is_cut = False


ROUTINES: Mapping[str, type[Routine]] = {"work": Work, "lost": Lost}


def _epoch(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["labels"][LABEL_EPOCH])


def _moment(pod: dict[str, Any], which: str) -> str:
    """When its container began or ended; "" if it never did. Times of one form sort as text."""
    state = pod["status"].get("containerStatuses", [{}])[0].get("state", {})
    return str(state.get("terminated", {}).get(which, ""))
