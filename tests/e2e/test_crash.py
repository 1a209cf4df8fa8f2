"""The operator is killed at every point of a job's life: what is begun ends right, once, and its use is exact."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest

from crashes.ground import SETTINGS
from crashes.points import drawn
from crashes.run import Crashes
from harness import Amount, Federation, Observer, OperatorProcess, Tenant, wait_for
from harness.hold import held_status

Restart = Callable[[OperatorProcess], None]
SEED, POINTS = 1, 2  # ./hack/crashes tries all
FEWEST_WRITES = 50
LONG_S = 240  # on a machine that has much else to do
EAST = {"allowedSites": ["east"]}
ASSIGNMENT = {"site": "east", "epoch": 1, "class": "cpu-x86", "time": "2026-01-01T00:00:00Z"}
HELD = (
    "has(object.status) && ("
    "object.metadata.name == 'assigning' && has(object.status.assignment)"
    " || object.metadata.name == 'created' && has(object.status.conditions)"
    " && object.status.conditions.exists(c, c.type == 'Running' && c.status == 'True')"
    " || object.metadata.name == 'finishing' && has(object.status.finishedAt))"
)


def ended_once(tenant: Tenant, operator: OperatorProcess, name: str, run_ms: int) -> None:
    """One attempt, one member Job, one pod; status, ledger and member agree to the millisecond."""
    job = tenant.wait_state(name, "Succeeded")
    assert job["status"]["assignment"]["epoch"] == 1
    assert [member_job["metadata"]["name"] for _, member_job in tenant.member_jobs(name)] == [f"j-{tenant.uid(name)}-1"]
    assert len(tenant.pods(name)) == 1
    ran = tenant.ran(name)
    assert ran == Amount(run_ms, run_ms * 500, run_ms * (256 << 20), 0)
    assert tenant.told(name) == ran
    assert operator.recorded(tenant.uid(name)) == ran


def refused(operator: OperatorProcess, tenant: Tenant, name: str) -> bool:
    """Whether the hub has refused it a status write of this job."""
    label = f"ComputeJob {tenant.namespace}/{name} "
    return any("403 Forbidden" in line and label in line for line in operator.words().splitlines())


def test_killed_with_jobs_at_four_points_of_their_life(
    tenant: Tenant, operator: OperatorProcess, federation: Federation, restart: Restart
) -> None:
    """The hub refuses the write that each job is due; "runs" has none due."""
    tenant.run("assigning", "sleep 1", data=EAST, desiredState="Suspended")
    tenant.run("runs", "hang", data=EAST)
    tenant.wait_state("assigning", "Suspended")
    example = {"assignment": ASSIGNMENT}
    with held_status(federation.hub, tenant.namespace, "assigning", when=HELD, example=example):
        tenant.patch("assigning", {"desiredState": "Running"})
        tenant.apply(
            tenant.manifest("created", "sleep 6", data=EAST), tenant.manifest("finishing", "sleep 1", data=EAST)
        )
        running = tenant.wait_state("runs", "Running")
        for name in ("assigning", "created", "finishing"):
            wait_for(f"{name} to be held", partial(refused, operator, tenant, name))
        operator.kill()
        # Not assigned; created, and the hub does not know; ended and recorded, and the hub does not know.
        assert "assignment" not in tenant.status("assigning")
        assert not tenant.member_jobs("assigning")
        assert tenant.member_jobs("created")
        assert tenant.condition("created", "Running")["status"] == "False"
        assert operator.recorded(tenant.uid("finishing")).run_ms == 1_000
        assert "finishedAt" not in tenant.status("finishing")
    restart(operator)
    ended_once(tenant, operator, "assigning", 1_000)
    ended_once(tenant, operator, "created", 6_000)
    ended_once(tenant, operator, "finishing", 1_000)
    # What was known of a job that runs on still holds, so nothing was written.
    assert tenant.job("runs")["metadata"]["resourceVersion"] == running["metadata"]["resourceVersion"]
    tenant.patch("runs", {"desiredState": "Suspended"})
    tenant.wait_state("runs", "Suspended")
    assert len(tenant.member_jobs("runs")) == len(tenant.pods("runs")) == 1
    assert tenant.told("runs") == tenant.ran("runs") == operator.recorded(tenant.uid("runs"))
    assert tenant.ran("runs").run_ms >= 2_000


def test_killed_after_the_assignment_while_the_member_does_not_answer(
    tenant: Tenant, operator: OperatorProcess, federation: Federation, restart: Restart
) -> None:
    federation.clusters["east"].pause()
    try:
        tenant.run("one", "sleep 1", data=EAST)
        tenant.wait("one", "to be assigned", lambda job: job.get("status", {}).get("assignment"))
        operator.kill()
        assert tenant.condition("one", "Dispatched")["reason"] == "Dispatching"
    finally:
        federation.clusters["east"].resume()
    restart(operator)
    ended_once(tenant, operator, "one", 1_000)


def test_killed_after_the_pods_ended_before_their_use_is_recorded(
    tenant: Tenant, operator: OperatorProcess, restart: Restart
) -> None:
    with locked(operator):
        tenant.run("one", "sleep 1", data=EAST)
        tenant.wait_pods("one", 1, "terminated")
        wait_for("the operator to want to record it", lambda: "holds it locked" in operator.words())
        operator.kill()
    assert operator.recorded(tenant.uid("one")) == Amount()
    assert tenant.state("one") != "Succeeded"
    restart(operator)
    ended_once(tenant, operator, "one", 1_000)


def test_jobs_that_end_come_or_are_deleted_while_it_is_down(
    tenant: Tenant, operator: OperatorProcess, restart: Restart
) -> None:
    tenant.apply(
        tenant.manifest("deleted", "hang", data=EAST, tasks=2),
        tenant.manifest("suspended", "hang", data=EAST),
        tenant.manifest("ends", "sleep 4", data=EAST),
        tenant.manifest("fails", "sleep 4; exit 4", data=EAST),
    )
    for name, tasks in (("deleted", 2), ("suspended", 1), ("ends", 1), ("fails", 1)):
        tenant.wait_pods(name, tasks, "running")
    operator.kill()
    for name in ("ends", "fails"):
        tenant.wait_pods(name, 1, "terminated")
    tenant.delete("deleted")
    tenant.patch("suspended", {"desiredState": "Suspended"})
    tenant.run("new", "sleep 1")
    restart(operator)
    ended_once(tenant, operator, "ends", 4_000)
    ended_once(tenant, operator, "new", 1_000)
    job = tenant.wait_state("fails", "Failed")
    assert "exit code 4" in tenant.condition("fails", "Finished")["message"]
    assert tenant.told("fails") == tenant.ran("fails") == Amount(4_000, 2_000_000, 4_000 * (256 << 20), 0)
    assert job["status"]["usage"]["pods"] == 1
    tenant.wait_gone("deleted")
    assert len(tenant.pods("deleted")) == 2
    assert tenant.ran("deleted").run_ms >= 2_000
    assert operator.recorded(tenant.uid("deleted")) == tenant.ran("deleted")
    tenant.wait_state("suspended", "Suspended")
    assert tenant.told("suspended") == tenant.ran("suspended")
    assert tenant.ran("suspended").run_ms >= 1_000


@pytest.mark.timeout(1200)  # about two minutes on a machine that has nothing else to do
def test_killed_before_and_after_writes_that_a_seed_draws(
    federation: Federation, observer: Observer, process: OperatorProcess
) -> None:
    """F2. A point that fails is tried again by the command that its line ends with."""
    if process.running:
        process.terminate()
    settings = {**SETTINGS, "SUANLI_DATA_DIR": str(process.ledger.parent)}
    with Crashes(federation, observer, settings) as crashes:
        calm = crashes.calm("work", LONG_S)
        assert calm.violations == []
        assert len(set(calm.writes)) >= FEWEST_WRITES
        done = [crashes.at(point, LONG_S) for point in drawn({"work": calm.writes}, SEED, POINTS)]
        late = crashes.afterwards()
    wrong = [f"{text}; ./hack/crashes --only '{one.point}'" for one in done for text in one.violations]
    assert wrong + late == []
    assert sum(one.settled_s is not None for one in done) >= POINTS / 2


@contextmanager
def locked(operator: OperatorProcess) -> Iterator[None]:
    """Another process holds the ledger."""
    with closing(sqlite3.connect(operator.ledger, isolation_level=None, timeout=30)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        yield
        ledger.execute("ROLLBACK")
