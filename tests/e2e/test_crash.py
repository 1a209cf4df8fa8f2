"""The operator is killed at every point of a job's life: what is begun ends right, once, and its use is exact."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from harness import Amount, Federation, OperatorProcess, Tenant, wait_for
from harness.hold import held_status

EAST = {"allowedSites": ["east"]}
MOMENT = "2026-01-01T00:00:00Z"
ASSIGNMENT = {"site": "east", "epoch": 1, "class": "cpu-x86", "time": MOMENT}
RUNNING = {"type": "Running", "status": "True", "reason": "Running", "lastTransitionTime": MOMENT}
IS_ASSIGNED = "has(object.status) && has(object.status.assignment)"
IS_RUNNING = (
    "has(object.status) && has(object.status.conditions)"
    " && object.status.conditions.exists(c, c.type == 'Running' && c.status == 'True')"
)
HAS_FINISHED = "has(object.status) && has(object.status.finishedAt)"


def restart(federation: Federation, operator: OperatorProcess) -> None:
    """Start it again; its Lease would run out by itself (test_process shows it), which takes some seconds more."""
    federation.hub("delete", "lease", "suanli-operator", "--namespace", "suanli-system")
    operator.start()
    operator.wait_leading()


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


def refused(operator: OperatorProcess) -> float:
    """How many status writes of jobs the hub has refused to it."""
    return operator.metric("suanli_api_requests_total", cluster="hub", resource="computejobs/status", code="403")


def test_killed_before_the_assignment_is_written(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    tenant.run("one", "sleep 1", data=EAST, desiredState="Suspended")
    tenant.wait_state("one", "Suspended")
    with held_status(federation.hub, tenant.namespace, "one", when=IS_ASSIGNED, example={"assignment": ASSIGNMENT}):
        before = refused(operator)
        tenant.patch("one", {"desiredState": "Running"})
        wait_for("the assignment to be refused", lambda: refused(operator) > before)
        operator.kill()
        assert "assignment" not in tenant.status("one")
        assert not tenant.member_jobs("one")
    restart(federation, operator)
    ended_once(tenant, operator, "one", 1_000)


def test_killed_after_the_assignment_while_the_member_does_not_answer(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    federation.clusters["east"].pause()
    try:
        tenant.run("one", "sleep 1", data=EAST)
        tenant.wait("one", "to be assigned", lambda job: job.get("status", {}).get("assignment"))
        operator.kill()
        assert tenant.condition("one", "Dispatched")["reason"] == "Dispatching"
    finally:
        federation.clusters["east"].resume()
    restart(federation, operator)
    ended_once(tenant, operator, "one", 1_000)


def test_killed_after_the_create_before_the_hub_knows(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    tenant.run("one", "sleep 2", data=EAST, desiredState="Suspended")
    tenant.wait_state("one", "Suspended")
    with held_status(federation.hub, tenant.namespace, "one", when=IS_RUNNING, example={"conditions": [RUNNING]}):
        tenant.patch("one", {"desiredState": "Running"})
        tenant.wait_pods("one", 1, "running")
        operator.kill()
    restart(federation, operator)
    ended_once(tenant, operator, "one", 2_000)
    assert not [job for job in tenant.states("one") if job.get("status", {}).get("epoch", 0) > 1]


def test_killed_while_the_job_runs(tenant: Tenant, operator: OperatorProcess, federation: Federation) -> None:
    tenant.run("one", "hang", data=EAST)
    running = tenant.wait_state("one", "Running")
    operator.kill()
    restart(federation, operator)
    federation.wait_ready()
    tenant.run("clock", "sleep 1", data=EAST)
    tenant.wait_state("clock", "Succeeded")
    # What was known of it holds, so nothing is written.
    assert tenant.job("one")["metadata"]["resourceVersion"] == running["metadata"]["resourceVersion"]
    tenant.patch("one", {"desiredState": "Suspended"})
    tenant.wait_state("one", "Suspended")
    assert len(tenant.member_jobs("one")) == len(tenant.pods("one")) == 1
    assert tenant.told("one") == tenant.ran("one") == operator.recorded(tenant.uid("one"))
    assert tenant.ran("one").run_ms >= 1_000


def test_killed_after_the_pods_ended_before_their_use_is_recorded(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    with locked(operator):
        tenant.run("one", "sleep 1", data=EAST)
        tenant.wait_pods("one", 1, "terminated")
        wait_for("the operator to want to record it", lambda: "holds it locked" in operator.words())
        operator.kill()
    assert operator.recorded(tenant.uid("one")) == Amount()
    assert tenant.state("one") != "Succeeded"
    restart(federation, operator)
    ended_once(tenant, operator, "one", 1_000)


def test_killed_after_the_use_is_recorded_before_the_end_is_written(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    tenant.run("one", "sleep 1", data=EAST, desiredState="Suspended")
    tenant.wait_state("one", "Suspended")
    with held_status(federation.hub, tenant.namespace, "one", when=HAS_FINISHED, example={"finishedAt": MOMENT}):
        before = refused(operator)
        tenant.patch("one", {"desiredState": "Running"})
        wait_for("its end to be refused", lambda: refused(operator) > before)
        operator.kill()
        assert tenant.state("one") != "Succeeded"
        assert operator.recorded(tenant.uid("one")).run_ms == 1_000
    restart(federation, operator)
    ended_once(tenant, operator, "one", 1_000)


def test_jobs_that_end_come_or_are_deleted_while_it_is_down(
    tenant: Tenant, operator: OperatorProcess, federation: Federation
) -> None:
    tenant.apply(
        tenant.manifest("deleted", "hang", data=EAST, tasks=2),
        tenant.manifest("suspended", "hang", data=EAST),
        tenant.manifest("ends", "sleep 4", data=EAST),
        tenant.manifest("fails", "sleep 4; exit 4", data=EAST),
    )
    for name in ("deleted", "suspended", "ends", "fails"):
        tenant.wait_pods(name, 1, "running")
    operator.kill()
    for name in ("ends", "fails"):
        tenant.wait_pods(name, 1, "terminated")
    tenant.delete("deleted")
    tenant.patch("suspended", {"desiredState": "Suspended"})
    tenant.run("new", "sleep 1")
    restart(federation, operator)
    ended_once(tenant, operator, "ends", 4_000)
    ended_once(tenant, operator, "new", 1_000)
    job = tenant.wait_state("fails", "Failed")
    assert "exit code 4" in tenant.condition("fails", "Finished")["message"]
    assert tenant.told("fails") == tenant.ran("fails") == Amount(4_000, 2_000_000, 4_000 * (256 << 20), 0)
    assert job["status"]["usage"]["pods"] == 1
    tenant.wait_gone("deleted")
    assert len(tenant.pods("deleted")) == 2
    assert tenant.ran("deleted").run_ms >= 6_000
    assert operator.recorded(tenant.uid("deleted")) == tenant.ran("deleted")
    tenant.wait_state("suspended", "Suspended")
    assert tenant.told("suspended") == tenant.ran("suspended")
    assert tenant.ran("suspended").run_ms >= 3_000


@contextmanager
def locked(operator: OperatorProcess) -> Iterator[None]:
    """Another process holds the ledger."""
    with closing(sqlite3.connect(operator.ledger, isolation_level=None, timeout=30)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        yield
        ledger.execute("ROLLBACK")
