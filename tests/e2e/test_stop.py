"""A job that its user deletes, suspends or changes while it runs: it stops or goes on, and what ran is measured."""

from harness import Amount, Federation, OperatorProcess, Tenant


def test_a_job_deleted_while_it_runs_stops_and_is_metered(
    tenant: Tenant, federation: Federation, operator: OperatorProcess
) -> None:
    resources = {"class": ["nvidia-a100-80g"], "perTask": {"cpu": "2", "memory": "8Gi", "cards": 2}}
    tenant.run("doomed", "hang", tasks=2, resources=resources)
    tenant.wait_state("doomed", "Running")
    tenant.run("clock", "sleep 1")
    tenant.wait_state("clock", "Succeeded")
    tenant.delete("doomed")
    tenant.wait_gone("doomed")

    ran = tenant.ran("doomed")
    assert ran.run_ms >= 2_000
    assert (ran.cpu_milli_ms, ran.card_ms) == (ran.run_ms * 2_000, ran.run_ms * 2)
    assert operator.recorded(tenant.uid("doomed")) == ran
    pods = tenant.pods("doomed")
    assert len(pods) == 2
    assert {pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for _, pod in pods} == {137}
    listed = federation.hub.json("get", "computejobs", "--namespace", tenant.namespace)["items"]
    assert [job["metadata"]["name"] for job in listed] == ["clock"]


def test_a_suspended_job_stops_and_goes_on_as_a_new_attempt(tenant: Tenant) -> None:
    tenant.run("pausing", "hang", data={"allowedSites": ["east"]})
    tenant.wait_state("pausing", "Running")
    tenant.run("clock", "sleep 1")
    tenant.wait_state("clock", "Succeeded")
    tenant.patch("pausing", {"desiredState": "Suspended"})
    job = tenant.wait_state("pausing", "Suspended")
    tenant.wait_gone("pausing")
    first = tenant.ran("pausing")
    assert first.run_ms >= 1_000
    assert tenant.told("pausing") == first
    assert "assignment" not in job["status"]
    for type_ in ("Placed", "Dispatched", "Running"):
        assert tenant.condition("pausing", type_)["reason"] == "Suspended"
    assert "set it to Running" in tenant.condition("pausing", "Placed")["message"]

    tenant.patch("pausing", {"desiredState": "Running"})
    job = tenant.wait_state("pausing", "Running")
    assert job["status"]["assignment"]["epoch"] == 2
    tenant.patch("pausing", {"desiredState": "Suspended"})
    job = tenant.wait_state("pausing", "Suspended")
    tenant.wait_gone("pausing")
    both = tenant.ran("pausing")
    assert tenant.told("pausing") == both
    assert job["status"]["usage"]["attempts"] == 2
    names = sorted(member_job["metadata"]["name"] for _, member_job in tenant.member_jobs("pausing"))
    assert names == [f"j-{tenant.uid('pausing')}-{epoch}" for epoch in (1, 2)]
    assert len(tenant.pods("pausing")) == 2


def test_a_job_that_was_suspended_from_the_start_waits_and_then_runs(tenant: Tenant) -> None:
    tenant.run("later", "sleep 1", desiredState="Suspended")
    tenant.wait_state("later", "Suspended")
    assert not tenant.member_jobs("later")
    tenant.patch("later", {"desiredState": "Running"})
    job = tenant.wait_state("later", "Succeeded")
    assert job["status"]["assignment"]["epoch"] == 1
    assert tenant.told("later") == tenant.ran("later") == Amount(1_000, 500_000, 1_000 * (256 << 20), 0)
