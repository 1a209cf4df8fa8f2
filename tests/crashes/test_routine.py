"""What counts as wrong once the routine is over, of federations that were seen in every wrong way."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crashes.routine import GONE, ROUTINES, Job, Routine, Stage
from harness import Amount, Kubectl, Observer, Tenant
from harness.pods import WIRE

NAMESPACE = "crashes-1"
UIDS = {
    name: f"00000000-0000-4000-8000-00000000000{number}"
    for number, name in enumerate(sorted({name for routine in ROUTINES.values() for name in routine.JOBS}))
}
Raw = dict[str, Any]


class Seen:
    """All that was seen of a federation in which everything went as it should."""

    def __init__(self, routine: str = "work") -> None:
        self.routine = ROUTINES[routine]
        jobs = self.routine.JOBS
        self.jobs = {name: a_job(name, job) for name, job in jobs.items()}
        self.member_jobs = {f"{name} {e}": a_member_job(name, e) for name, job in jobs.items() for e in epochs(job)}
        self.pods = {
            f"{name} {e} {n}": a_pod(name, e, n)
            for name, job in jobs.items()
            for e in epochs(job)
            for n in range(job.tasks)
        }
        self.ledger = {name: ran(job.attempts * job.tasks) for name, job in jobs.items()}
        self.gone = {name for name, job in jobs.items() if job.ends == GONE}


def epochs(job: Job) -> range:
    return range(1, job.attempts + 1)


def ran(seconds: int) -> Amount:
    """What a task, or several together, ran in so many seconds."""
    return Amount(seconds * 1_000, seconds * 500_000, seconds * (1_000 << 30), 0)


def a_job(name: str, job: Job) -> Raw:
    billed = ran((job.attempts - job.lost) * job.tasks)
    usage = {wire: str(getattr(billed, field)) for field, wire in WIRE.items()}
    lost = {"lost": [{"epoch": epoch, "site": "west"} for epoch in epochs(job)[: job.lost]]} if job.lost else {}
    state = "Running" if job.ends == GONE else job.ends
    metadata = {"name": name, "namespace": NAMESPACE, "uid": UIDS[name], "resourceVersion": "7"}
    return {"metadata": metadata, "status": {"state": state, "usage": usage, **lost}}


def a_member_job(name: str, epoch: int) -> Raw:
    labels = {"suanli.io/job-uid": UIDS[name], "suanli.io/epoch": f"{epoch}"}
    metadata = {"name": f"j-{UIDS[name]}-{epoch}", "uid": f"{name} {epoch}", "resourceVersion": "7", "labels": labels}
    return {"metadata": metadata}


def a_pod(name: str, epoch: int, number: int) -> Raw:
    labels = {"suanli.io/job-uid": UIDS[name], "suanli.io/epoch": f"{epoch}"}
    ran = {"startedAt": f"2026-01-01T00:00:0{2 * epoch}Z", "finishedAt": f"2026-01-01T00:00:0{2 * epoch + 1}Z"}
    requests = {"cpu": "500m", "memory": "1Gi"}
    return {
        "metadata": {"uid": f"{name} {epoch} {number}", "resourceVersion": "7", "labels": labels},
        "spec": {"containers": [{"name": "task", "resources": {"requests": requests}}]},
        "status": {"containerStatuses": [{"name": "task", "state": {"terminated": ran}}]},
    }


def routine(seen: Seen, folder: Path, left: str = "") -> Routine:
    """The routine of a federation of which that was seen; its members say that they hold `left`."""
    says = folder / "kubectl"
    says.write_text(f"#!/bin/sh\necho {left}\n")
    says.chmod(0o700)
    kubectl = Kubectl(says, folder / "none")
    sites: Any = SimpleNamespace(hub=kubectl, sites=["east", "west"], member=lambda _name: kubectl)
    observer = Observer(sites)
    for name, job in seen.jobs.items():
        observer.jobs._see("DELETED" if name in seen.gone else "ADDED", job)
    for member_job in seen.member_jobs.values():
        observer._member_jobs["east"]._see("ADDED", member_job)
    for pod in seen.pods.values():
        observer._pods["east"]._see("ADDED", pod)
    ledger = {UIDS[name]: amount for name, amount in seen.ledger.items()}
    tenant = Tenant(kubectl, observer, NAMESPACE)
    return seen.routine(Stage(kubectl, observer, tenant, ledger.__getitem__, lambda _site, _is_cut: None))


def lost(seen: Seen) -> None:
    seen.jobs["ends"]["status"]["state"] = "Waiting"


def kept(seen: Seen) -> None:
    seen.gone.clear()


def not_made(seen: Seen) -> None:
    del seen.member_jobs["moves 2"]


def doubled(seen: Seen) -> None:
    twin = deepcopy(seen.member_jobs["ends 1"])
    twin["metadata"]["uid"] = "another"
    seen.member_jobs["twin"] = twin


def tried_too_often(seen: Seen) -> None:
    seen.member_jobs["ends 2"] = a_member_job("ends", 2)


def ran_twice(seen: Seen) -> None:
    seen.pods["another"] = a_pod("gang", 1, 3)
    seen.ledger["gang"] += ran(1)


def overlapped(seen: Seen) -> None:
    state = seen.pods["moves 1 0"]["status"]["containerStatuses"][0]["state"]["terminated"]
    state["finishedAt"] = "2026-01-01T00:00:05Z"
    seen.ledger["moves"] += ran(2)


def not_recorded(seen: Seen) -> None:
    seen.ledger["goes"] = Amount()


def recorded_twice(seen: Seen) -> None:
    seen.ledger["fails"] += seen.ledger["fails"]


def told_wrong(seen: Seen) -> None:
    seen.jobs["pauses"]["status"]["usage"]["runMs"] = "999"


WRONG: dict[Callable[[Seen], None], str] = {
    lost: "ends is Waiting, and should be Succeeded",
    kept: "goes is Running, and should be gone",
    not_made: "moves should have had a member Job for each of epochs 1 to 2",
    doubled: "ends should have had a member Job for each of epochs 1 to 1",
    tried_too_often: "ends should have had a member Job for each of epochs 1 to 1",
    ran_twice: "gang should have had 3 pods in epoch 1, and had 4",
    overlapped: "moves: epoch 2 began at 2026-01-01T00:00:04Z, before epoch 1 ended at 2026-01-01T00:00:05Z",
    not_recorded: "goes: the ledger says Amount(run_ms=0,",
    recorded_twice: "fails: the ledger says Amount(run_ms=4000,",
    told_wrong: "pauses: its status says Amount(run_ms=999,",
}


@pytest.mark.parametrize("name", ROUTINES)
def test_nothing_is_wrong_when_all_went_well(name: str, tmp_path: Path) -> None:
    assert routine(Seen(name), tmp_path).wrong() == []
    assert routine(Seen(name), tmp_path).amiss() == []


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_what_went_wrong_is_found_and_named(damage: Callable[[Seen], None], tmp_path: Path) -> None:
    seen = Seen()
    damage(seen)
    found = routine(seen, tmp_path).wrong()
    assert any(text.startswith(WRONG[damage]) for text in found), found


def test_two_attempts_may_overlap_once_the_first_was_given_up_but_only_the_second_is_billed(tmp_path: Path) -> None:
    seen = Seen("lost")
    overlapped(seen)
    assert routine(seen, tmp_path).wrong() == []
    status = seen.jobs["moves"]["status"]
    status["usage"] = {wire: str(getattr(ran(2), field)) for field, wire in WIRE.items()}
    del status["lost"]
    told, given_up = routine(seen, tmp_path).wrong()
    assert told.startswith("moves: its status says Amount(run_ms=2000,")
    assert given_up == "moves: attempts [] were given up, and should have been 1"


def test_what_a_member_still_holds_is_left_over(tmp_path: Path) -> None:
    assert routine(Seen(), tmp_path, "pod/x").amiss() == ["left over: east: pod/x", "left over: west: pod/x"]
