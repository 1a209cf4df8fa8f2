"""Jobs that do not end well: each ends in one condition with a reason, a message with its numbers, and an Event."""

from typing import Any

import pytest

from harness import Amount, Federation, OperatorProcess, Tenant

EAST = {"allowedSites": ["east"]}


def warned(tenant: Tenant, name: str) -> list[tuple[str, str]]:
    return [(event["reason"], event["note"]) for event in tenant.events(name)]


def finished(job: dict[str, Any]) -> tuple[str, str]:
    (found,) = (c for c in job["status"]["conditions"] if c["type"] == "Finished")
    assert found["status"] == "True"
    return found["reason"], found["message"]


def test_a_failing_job_fails_with_its_exit_code(tenant: Tenant) -> None:
    tenant.apply(
        tenant.manifest("false", "false", data=EAST),
        tenant.manifest("gang", "sleep 1; exit 3", tasks=3, data=EAST),
        tenant.manifest("unharmed", "sleep 2", data=EAST),
    )
    text = "1 of 1 tasks failed at east; first: exit code 1, Error"
    job = tenant.wait_state("false", "Failed")
    assert finished(job) == ("Failed", text)
    assert job["status"]["failures"] == 1
    assert warned(tenant, "false") == [("Failed", text)]
    assert tenant.told("false") == tenant.ran("false") == Amount(1_000, 500_000, 1_000 * (256 << 20), 0)

    reason, message = finished(tenant.wait_state("gang", "Failed"))
    assert reason == "Failed"
    assert "exit code 3" in message
    assert len(tenant.pods("gang")) == 3
    assert tenant.told("gang") == tenant.ran("gang")
    tenant.wait_state("unharmed", "Succeeded")


def test_every_retry_is_a_new_attempt_and_all_are_metered(tenant: Tenant) -> None:
    tenant.run("stubborn", "sleep 1; exit 3", limits={"retries": 2})
    job = tenant.wait_state("stubborn", "Failed")
    assert job["status"]["failures"] == 3
    assert job["status"]["assignment"]["epoch"] == 3
    assert job["status"]["usage"]["attempts"] == 3
    names = {member_job["metadata"]["name"] for _, member_job in tenant.member_jobs("stubborn")}
    assert names == {f"j-{tenant.uid('stubborn')}-{epoch}" for epoch in (1, 2, 3)}
    assert tenant.told("stubborn") == tenant.ran("stubborn") == Amount(3_000, 1_500_000, 3_000 * (256 << 20), 0)
    told = [note for reason, note in warned(tenant, "stubborn") if reason == "Failed"]
    assert len(told) == 3
    assert any(note.startswith("attempt 1 at ") for note in told)


def test_an_attempt_that_runs_too_long_is_stopped(tenant: Tenant) -> None:
    tenant.run("endless", "hang", limits={"activeDeadline": "2s"}, data=EAST)
    job = tenant.wait_state("endless", "Failed")
    text = "the attempt ran longer than limits.activeDeadline 2s at east"
    assert finished(job) == ("Deadline", text)
    assert warned(tenant, "endless") == [("Deadline", text)]
    ran = tenant.ran("endless")
    assert ran.run_ms >= 2_000
    assert tenant.told("endless") == ran
    assert len(tenant.pods("endless")) == 1


def test_an_image_that_cannot_be_pulled_is_told_and_ends_the_job(tenant: Tenant) -> None:
    template = {"image": "example/missing:1", "command": ["sleep", "1"]}
    tenant.run("typo", "", template=template, tasks=2, data=EAST)
    pending = tenant.wait_reason("typo", "Running", "PodsPending")
    assert "0 of 2 tasks started at east, 2 pending" in pending["message"]
    assert "ImagePull" in pending["message"]
    reason, message = finished(tenant.wait_state("typo", "Failed"))
    assert reason == "ImagePullFailed"
    assert "0 of 2 tasks started at east, 2 pending; 2 of them: " in message
    assert 'example/missing:1' in message
    assert [reason for reason, _ in warned(tenant, "typo")] == ["ImagePullFailed"]
    assert tenant.told("typo") == tenant.ran("typo") == Amount()
    tenant.wait_gone("typo")


def delete_on_member(federation: Federation, tenant: Tenant, name: str) -> None:
    ((site, member_job),) = tenant.member_jobs(name)
    metadata = member_job["metadata"]
    federation.member(site)("delete", "job", metadata["name"], "--namespace", metadata["namespace"], "--wait=false")


def test_a_job_removed_on_its_member_is_noticed_metered_and_retried_only_if_it_may(
    tenant: Tenant, federation: Federation
) -> None:
    tenant.apply(
        tenant.manifest("robbed", "hang", data=EAST),
        tenant.manifest("retried", "hang", data=EAST, limits={"retries": 1}),
    )
    for name in ("robbed", "retried"):
        tenant.wait_state(name, "Running")
        delete_on_member(federation, tenant, name)
    text = "the member Job was removed at east, not by suanli"
    job = tenant.wait_state("robbed", "Failed")
    assert finished(job) == ("DeletedOnMember", text)
    assert warned(tenant, "robbed") == [("DeletedOnMember", text)]
    assert tenant.told("robbed") == tenant.ran("robbed")
    tenant.wait_gone("robbed")

    job = tenant.wait("retried", "to run again", lambda job: job["status"].get("epoch") == 2 and tenant.state("retried") == "Running")
    assert job["status"]["failures"] == 1
    assert warned(tenant, "retried") == [("DeletedOnMember", f"attempt 1 at east ended: {text}")]
    epochs = {pod["metadata"]["labels"]["suanli.io/epoch"] for _, pod in tenant.pods("retried")}
    assert epochs == {"1", "2"}


def test_an_eviction_costs_no_retry(tenant: Tenant, federation: Federation) -> None:
    tenant.run("evicted", "hang", data=EAST)
    (pod,) = tenant.wait_pods("evicted", 1, "running")
    tenant.wait_state("evicted", "Running")
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    eviction = '{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%(name)s", "namespace": "%(namespace)s"}}'
    federation.member("east")("create", "--raw", path, "--filename", "-", stdin=eviction % metadata)
    job = tenant.wait("evicted", "to run again", lambda job: job["status"].get("epoch") == 2 and tenant.state("evicted") == "Running")
    assert "failures" not in job["status"]
    ((reason, note),) = warned(tenant, "evicted")
    assert reason == "Disrupted"
    assert note.startswith("attempt 1 at east ended: 1 of 1 tasks failed at east; first: ")
    tenant.patch("evicted", {"desiredState": "Suspended"})
    tenant.wait_state("evicted", "Suspended")
    assert tenant.told("evicted") == tenant.ran("evicted")
