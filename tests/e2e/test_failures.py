"""Jobs that do not end well: each ends in one condition with a reason, a message with its numbers, and an Event."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Amount, Federation, Tenant

EAST = {"allowedSites": ["east"]}


@pytest.fixture(scope="module")
def jobs(new_tenant: Callable[[str], Tenant]) -> Iterator[Tenant]:
    """All jobs of this file, applied at once."""
    with new_tenant("failures") as made:
        missing = {"image": "example/missing:1", "command": ["sleep", "1"]}
        made.apply(
            made.manifest("false", "false", data=EAST),
            made.manifest("gang", "sleep 1; exit 3", tasks=3, data=EAST),
            made.manifest("stubborn", "sleep 1; exit 3", limits={"retries": 2}),
            made.manifest("endless", "hang", limits={"activeDeadline": "4s"}, data=EAST),
            made.manifest("typo", "", template=missing, tasks=2, data=EAST),
            made.manifest("robbed", "hang", data=EAST),
            made.manifest("robbed-once", "hang", limits={"retries": 1}),
            made.manifest("evicted", "hang"),
            made.manifest("unharmed", "sleep 5", data=EAST),
        )
        yield made


def warned(tenant: Tenant, name: str) -> list[tuple[str, str]]:
    return [(event["reason"], event["note"]) for event in tenant.events(name)]


def finished(job: dict[str, Any]) -> tuple[str, str]:
    (found,) = (c for c in job["status"]["conditions"] if c["type"] == "Finished")
    assert found["status"] == "True"
    return found["reason"], found["message"]


def test_a_failing_job_fails_with_its_exit_code(jobs: Tenant) -> None:
    text = "1 of 1 tasks failed at east; first: exit code 1, Error"
    job = jobs.wait_state("false", "Failed")
    assert finished(job) == ("Failed", text)
    assert job["status"]["failures"] == 1
    assert warned(jobs, "false") == [("Failed", text)]
    assert jobs.told("false") == jobs.ran("false") == Amount(1_000, 500_000, 1_000 * (256 << 20), 0)


def test_a_gang_fails_together(jobs: Tenant) -> None:
    reason, message = finished(jobs.wait_state("gang", "Failed"))
    assert reason == "Failed"
    assert message.endswith("of 3 tasks failed at east; first: exit code 3, Error")
    assert len(jobs.pods("gang")) == 3
    assert jobs.told("gang") == jobs.ran("gang")
    assert jobs.ran("gang").run_ms > 0


def test_every_retry_is_a_new_attempt_and_all_are_metered(jobs: Tenant) -> None:
    job = jobs.wait_state("stubborn", "Failed")
    assert job["status"]["failures"] == 3
    assert job["status"]["assignment"]["epoch"] == 3
    assert job["status"]["usage"]["attempts"] == 3
    names = {member_job["metadata"]["name"] for _, member_job in jobs.member_jobs("stubborn")}
    assert names == {f"j-{jobs.uid('stubborn')}-{epoch}" for epoch in (1, 2, 3)}
    assert jobs.told("stubborn") == jobs.ran("stubborn") == Amount(3_000, 1_500_000, 3_000 * (256 << 20), 0)
    told = [note for reason, note in warned(jobs, "stubborn") if reason == "Failed"]
    assert len(told) == 3
    assert any(note.startswith("attempt 1 at ") for note in told)


def test_an_attempt_that_runs_too_long_is_stopped(jobs: Tenant) -> None:
    job = jobs.wait_state("endless", "Failed")
    text = "the attempt ran longer than limits.activeDeadline 4s at east"
    assert finished(job) == ("Deadline", text)
    assert warned(jobs, "endless") == [("Deadline", text)]
    ran = jobs.ran("endless")
    assert ran.run_ms > 0
    assert jobs.told("endless") == ran
    assert len(jobs.pods("endless")) == 1


def test_an_image_that_cannot_be_pulled_is_told_and_ends_the_job(jobs: Tenant) -> None:
    pending = jobs.wait_seen("typo", "Running", "PodsPending")
    assert pending["message"].startswith("0 of 2 tasks started at east, 2 pending")
    reason, message = finished(jobs.wait_state("typo", "Failed"))
    assert reason == "ImagePullFailed"
    assert message.startswith("0 of 2 tasks started at east, 2 pending; 2 of them: ")
    assert "ImagePull" in message
    assert "example/missing:1" in message
    assert [reason for reason, _ in warned(jobs, "typo")] == ["ImagePullFailed"]
    assert jobs.told("typo") == jobs.ran("typo") == Amount()
    jobs.wait_gone("typo")


def test_a_job_removed_on_its_member_is_noticed_metered_and_retried_only_if_it_may(
    jobs: Tenant, federation: Federation
) -> None:
    names = ("robbed", "robbed-once")
    for name in names:
        jobs.wait_state(name, "Running")
        ((site, member_job),) = jobs.member_jobs(name)
        metadata = member_job["metadata"]
        federation.member(site)("delete", "job", metadata["name"], "--namespace", metadata["namespace"], "--wait=false")
    text = "the member Job was removed at east, not by suanli"
    assert finished(jobs.wait_state("robbed", "Failed")) == ("DeletedOnMember", text)
    assert warned(jobs, "robbed") == [("DeletedOnMember", text)]
    assert jobs.told("robbed") == jobs.ran("robbed")
    jobs.wait_gone("robbed")

    job = wait_second_attempt(jobs, "robbed-once")
    assert job["status"]["failures"] == 1
    text = "attempt 1 at west ended: the member Job was removed at west, not by suanli"
    assert warned(jobs, "robbed-once") == [("DeletedOnMember", text)]
    epochs = {pod["metadata"]["labels"]["suanli.io/epoch"] for _, pod in jobs.pods("robbed-once")}
    assert epochs == {"1", "2"}


def test_an_eviction_costs_no_retry(jobs: Tenant, federation: Federation) -> None:
    jobs.wait_state("evicted", "Running")
    ((site, pod),) = jobs.pods("evicted")
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    federation.member(site)("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
    job = wait_second_attempt(jobs, "evicted")
    assert "failures" not in job["status"]
    ((reason, note),) = warned(jobs, "evicted")
    assert reason == "Disrupted"
    assert note.startswith(f"attempt 1 at {site} ended: 1 of 1 tasks failed at {site}; first: ")
    jobs.patch("evicted", {"desiredState": "Suspended"})
    jobs.wait_state("evicted", "Suspended")
    assert jobs.told("evicted") == jobs.ran("evicted")
    assert len(jobs.pods("evicted")) == 2


def test_a_job_beside_them_is_not_harmed(jobs: Tenant) -> None:
    jobs.wait_state("unharmed", "Succeeded")
    assert jobs.told("unharmed") == jobs.ran("unharmed") == Amount(5_000, 2_500_000, 5_000 * (256 << 20), 0)


def wait_second_attempt(tenant: Tenant, name: str) -> dict[str, Any]:
    """Until the job runs as its second attempt."""

    def runs_again_or_ended(job: dict[str, Any]) -> bool:
        status = job.get("status", {})
        return bool(status.get("finishedAt") or (status.get("epoch") == 2 and status.get("state") == "Running"))

    job = tenant.wait(name, "to run as its second attempt", runs_again_or_ended)
    assert job["status"]["state"] == "Running", job["status"]["conditions"]
    return job
