"""A member that stops and comes back, or freezes: nothing is killed or doubled, and the others do not wait for it."""

from harness import Amount, Federation, Observer, OperatorProcess, Tenant

EAST, WEST = {"allowedSites": ["east"]}, {"allowedSites": ["west"]}


def test_a_member_that_stops_and_comes_back_has_lost_and_doubled_nothing(
    tenant: Tenant, federation: Federation, observer: Observer, operator: OperatorProcess
) -> None:
    tenant.apply(
        tenant.manifest("outlives", "hang", data=WEST),
        tenant.manifest("ends-meanwhile", "sleep 15", data=WEST),
    )
    for name in ("outlives", "ends-meanwhile"):
        tenant.wait_state(name, "Running")
    federation.clusters["west"].stop()
    try:
        observer.wait_site("west", "Unreachable")
        assert observer.site("west")["status"]["lastHeardFrom"]
        for name in ("outlives", "ends-meanwhile"):
            running = tenant.wait_reason(name, "Running", "SiteUnreachable")
            assert running["status"] == "Unknown"
            assert "the job may still be running there" in running["message"]
            assert tenant.state(name) == "Unknown"
        tenant.run("elsewhere", "sleep 1")
        assert tenant.wait_state("elsewhere", "Succeeded")["status"]["assignment"]["site"] == "east"
        tenant.run("patient", "sleep 1", data=WEST)
        placed = tenant.wait(
            "patient", "to say why it waits", lambda job: tenant.condition("patient", "Placed").get("status") == "False"
        )
        assert [r["reason"] for r in placed["status"]["placement"]["rejections"]].count("SiteNotReady") == 1
    finally:
        federation.clusters["west"].start()
    observer.wait_site("west", "Ready")
    assert "lastHeardFrom" not in observer.site("west")["status"]
    for name, run_ms in (("ends-meanwhile", 15_000), ("patient", 1_000)):
        assert tenant.wait_state(name, "Succeeded")["status"]["assignment"]["epoch"] == 1
        assert tenant.ran(name) == Amount(run_ms, run_ms * 500, run_ms * (256 << 20), 0)
    assert tenant.wait_state("outlives", "Running")["status"]["assignment"]["epoch"] == 1
    tenant.patch("outlives", {"desiredState": "Suspended"})
    tenant.wait_state("outlives", "Suspended")
    assert tenant.ran("outlives").run_ms >= 6_000
    for name in ("ends-meanwhile", "patient", "outlives"):
        assert len(tenant.member_jobs(name)) == len(tenant.pods(name)) == 1
        assert tenant.told(name) == tenant.ran(name) == operator.recorded(tenant.uid(name))


def test_a_frozen_member_slows_nobody_else(tenant: Tenant, federation: Federation, observer: Observer) -> None:
    tenant.run("before", "hang", data=WEST)
    tenant.wait_state("before", "Running")
    federation.clusters["west"].pause()
    try:
        tenant.run("stuck", "sleep 1", data=WEST)
        tenant.apply(*(tenant.manifest(f"free-{i}", "sleep 1", data=EAST) for i in range(5)))
        for i in range(5):
            tenant.wait_state(f"free-{i}", "Succeeded")
        tenant.delete("before")  # its stop cannot be carried out there, and holds up nothing
        observer.wait_site("west", "Unreachable")
        tenant.apply(*(tenant.manifest(f"moved-{i}", "sleep 1") for i in range(5)))
        for i in range(5):
            assert tenant.wait_state(f"moved-{i}", "Succeeded")["status"]["assignment"]["site"] == "east"
        assert tenant.state("stuck") != "Succeeded"
    finally:
        federation.clusters["west"].resume()
    job = tenant.wait_state("stuck", "Succeeded")
    assert job["status"]["assignment"]["site"] == "west"
    assert len(tenant.member_jobs("stuck")) == len(tenant.pods("stuck")) == 1
    tenant.wait_gone("before")
    observer.wait_site("west", "Ready")
