"""A member dies: what may run twice moves, paced; the rest waits; when it is back nothing is left over, and all use is exact."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from harness import Amount, Federation, Observer, OperatorProcess, Tenant, wait_for
from harness.pods import ran
from suanli.base.names import LABEL_EPOCH

A_MINUTE = 2  # so many leave one site
PACED = {"SUANLI_DEAD_AFTER_S": "15", "SUANLI_SITE_FAILOVERS_PER_MINUTE": str(A_MINUTE)}
MINUTE = timedelta(seconds=59)  # less the second that a time is rounded by
LONG_S = 240  # on a machine that has much else to do
MOVING = ("moves-0", "moves-1", "moves-2")
WEST = {"allowedSites": ["west"]}


@pytest.fixture
def paced(federation: Federation, process: OperatorProcess, settings: dict[str, str]) -> Iterator[OperatorProcess]:
    """Instead of the session's operator one that gives a silent site up soon and lets few jobs leave it; the same ledger."""
    if process.running:
        process.terminate()  # its Lease is free at once
    changed = {**settings, **PACED, "SUANLI_DATA_DIR": str(process.ledger.parent)}
    with federation.operator("paced", **changed) as made:
        made.start()
        made.wait_leading()
        federation.wait_ready()
        yield made
        wish(federation, "east", "Active")
        made.terminate()


def wish(federation: Federation, site: str, state: str) -> None:
    """What an administrator wants of a site."""
    patch = json.dumps({"spec": {"desiredState": state}})
    federation.hub("patch", "computesite", site, "--type", "merge", "--patch", patch)


def ran_as(tenant: Tenant, name: str, epoch: int) -> Amount:
    """What the pods of one attempt ran."""
    return ran(pod for _, pod in tenant.pods(name) if pod["metadata"]["labels"][LABEL_EPOCH] == str(epoch))


def ran_at(tenant: Tenant, name: str) -> list[tuple[str, str]]:
    """Every member Job of a job that was ever seen: its site and its epoch."""
    found = ((site, job["metadata"]["name"].rpartition("-")[2]) for site, job in tenant.member_jobs(name))
    return sorted(found, key=lambda one: one[1])


@pytest.mark.timeout(900)  # about 50 s on a machine that has nothing else to do
def test_a_member_that_dies_is_left_at_the_pace_by_what_may_run_twice_and_all_is_counted(
    tenant: Tenant, federation: Federation, observer: Observer, paced: OperatorProcess
) -> None:
    wish(federation, "east", "Inactive")
    tenant.apply(
        *(tenant.manifest(name, "hang", failover="AtLeastOnce") for name in MOVING),
        tenant.manifest("stays", "hang"),
        tenant.manifest("deleted", "hang", tasks=2),
    )
    for name in (*MOVING, "stays", "deleted"):
        tenant.wait_state(name, "Running", seconds=LONG_S)
    wish(federation, "east", "Active")
    tenant.run("ends", "sleep 20", data=WEST)
    tenant.wait_pods("ends", 1, "running", seconds=LONG_S)
    federation.clusters["west"].stop()
    try:
        observer.wait_site("west", "Unreachable")
        tenant.delete("deleted")
        tenant.run("patient", "sleep 1", data=WEST)
        wait_for("as many to have moved as may", lambda: len(moved(tenant)) >= A_MINUTE, seconds=LONG_S)
        for name in moved(tenant):
            job = tenant.wait_state(name, "Running", seconds=LONG_S)
            assert (job["status"]["assignment"]["site"], job["status"]["assignment"]["epoch"]) == ("east", 2)
            assert [(lost["epoch"], lost["site"]) for lost in job["status"]["lost"]] == [(1, "west")]
        running = tenant.wait_reason("stays", "Running", "SiteUnreachable", seconds=LONG_S)
        assert "no fence is known to stop it" in running["message"]
        assert ran_at(tenant, "stays") == [("west", "1")]
    finally:
        federation.clusters["west"].start()
    observer.wait_site("west", "Ready")
    tenant.wait_gone("deleted", seconds=LONG_S)
    for name, run_ms in (("ends", 20_000), ("patient", 1_000)):
        assert tenant.wait_state(name, "Succeeded", seconds=LONG_S)["status"]["assignment"]["epoch"] == 1
        assert ran_at(tenant, name) == [("west", "1")]
        assert tenant.told(name) == tenant.ran(name) == paced.recorded(tenant.uid(name))
        assert tenant.ran(name).run_ms == run_ms
    left_at = sorted(datetime.fromisoformat(tenant.status(name)["lost"][0]["time"]) for name in moved(tenant))
    assert len(left_at) >= A_MINUTE
    assert all(later - first >= MINUTE for first, later in zip(left_at, left_at[A_MINUTE:], strict=False))

    still = {name: 2 if name in moved(tenant) else 1 for name in MOVING} | {"stays": 1}
    for name, epoch in still.items():
        assert tenant.wait_state(name, "Running", seconds=LONG_S)["status"]["assignment"]["epoch"] == epoch
        tenant.patch(name, {"desiredState": "Suspended"})
    for name, epoch in still.items():
        tenant.wait_state(name, "Suspended", seconds=LONG_S)
        tenant.wait_gone(name, seconds=LONG_S)
        assert ran_at(tenant, name) == [("west", "1"), ("east", "2")][:epoch], "no epoch ran in two places"
        # What the lost attempt ran until it was removed is recorded, and billed to nobody.
        assert tenant.told(name) == ran_as(tenant, name, epoch)
        assert paced.recorded(tenant.uid(name)) == tenant.ran(name)
        assert ran_as(tenant, name, 1).run_ms > 0
    assert len(tenant.pods("deleted")) == 2
    assert paced.recorded(tenant.uid("deleted")) == tenant.ran("deleted")


def moved(tenant: Tenant) -> list[str]:
    """Those whose attempt at the silent site was given up."""
    return [name for name in MOVING if tenant.status(name).get("lost")]
