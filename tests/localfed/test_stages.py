"""What pods do is what their own command says."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from localfed.cluster import ProcessCluster

ENDS = {  # command: (seconds it runs, exit code)
    ("sleep", "2"): (2, 0),
    ("sleep", "2s"): (2, 0),
    ("sleep", "0.05m"): (3, 0),
    ("sleep", "2000ms"): (2, 0),
    ("/usr/bin/sleep", "1"): (1, 0),
    ("sh", "-c", "sleep 2.5"): (2.5, 0),
    ("/bin/sh", "-c", "sleep 1; sleep 1"): (2, 0),
    ("bash", "-ec", "sleep 2 && exit 3"): (2, 3),
    ("sh", "-c", "sleep 1\nfalse\nsleep 100"): (1, 1),
    ("false",): (1, 1),
    ("true",): (1, 0),
    ("sleep", "0"): (0, 0),
    ("sleep", "soon"): (1, 0),
    ("python", "-c", "print('hang on')"): (1, 0),
    (): (1, 0),
}
NEVER_ENDS = (("hang",), ("sleep", "infinity"), ("sh", "-c", "sleep 1; hang"))


def test_a_container_runs_as_long_as_its_command_says(pods: Any) -> None:
    for index, command in enumerate((*ENDS, *NEVER_ENDS)):
        pods.create(f"p{index}", *command)
    for index in range(len(ENDS), len(ENDS) + len(NEVER_ENDS)):
        pods.wait(f"p{index}", "running")
    for index, (command, (seconds, code)) in enumerate(ENDS.items()):
        ended = pods.wait(f"p{index}", "terminated")
        pod = pods.get(f"p{index}")
        started = dt.datetime.fromisoformat(ended["startedAt"])
        ran = (dt.datetime.fromisoformat(ended["finishedAt"]) - started).total_seconds()
        assert ended["exitCode"] == code, command
        assert ended["reason"] == ("Error" if code else "Completed"), command
        assert int(seconds) <= ran <= int(seconds + 1), command
        assert pod["status"]["phase"] == ("Failed" if code else "Succeeded"), command
        assert pod["status"]["startTime"] == ended["startedAt"], command
    for index, command in enumerate(NEVER_ENDS, len(ENDS)):
        assert "running" in pods.state(f"p{index}"), command


def test_started_at_stays_what_it_was(pods: Any) -> None:
    pods.create("once", "sleep", "2")
    running = pods.wait("once", "running")
    assert pods.wait("once", "terminated")["startedAt"] == running["startedAt"]


def test_a_server_that_restarts_always_runs_on(pods: Any) -> None:
    pods.create("server", "python", "-m", "http.server", spec={"restartPolicy": "Always"})
    pods.wait("server", "running")
    pods.create("task", "sleep", "1", spec={"restartPolicy": "Always"})
    pods.wait("task", "terminated")
    assert "running" in pods.state("server")


def test_an_image_that_is_missing_never_starts(pods: Any, eventually: Callable[..., None]) -> None:
    pods.create("stuck", "sleep", "1", image="registry.example/team/missing-image:1")
    eventually(lambda: pods.state("stuck").get("waiting", {}).get("reason") == "ErrImagePull")
    eventually(lambda: pods.state("stuck").get("waiting", {}).get("reason") == "ImagePullBackOff")
    assert "registry.example/team/missing-image:1" in pods.state("stuck")["waiting"]["message"]
    assert pods.get("stuck")["status"]["phase"] == "Pending"
    pods.delete("stuck")
    eventually(lambda: not pods.exists("stuck"))


def test_a_deleted_pod_first_ends_and_keeps_foreign_finalizers(pods: Any, eventually: Callable[..., None]) -> None:
    pods.create("metered", "hang", finalizers=["suanli.io/metering"])
    running = pods.wait("metered", "running")
    pods.delete("metered")
    ended = pods.wait("metered", "terminated")
    assert (ended["exitCode"], ended["reason"], ended["startedAt"]) == (137, "Killed", running["startedAt"])
    eventually(lambda: pods.get("metered")["metadata"]["deletionGracePeriodSeconds"] == 0)
    pod = pods.get("metered")
    assert pod["status"]["phase"] == "Failed"
    assert pod["metadata"]["finalizers"] == ["suanli.io/metering"]
    released = {"metadata": {"finalizers": None}}
    pods.cluster.api.call("PATCH", f"{pods.path}/metered", released, content="application/merge-patch+json")
    eventually(lambda: not pods.exists("metered"))


def test_a_deleted_pod_says_how_it_ended_before_it_goes(
    pods: Any, east: ProcessCluster, eventually: Callable[..., None]
) -> None:
    pods.create("gone", "hang")
    pods.wait("gone", "running")
    pods.delete("gone")
    eventually(lambda: not pods.exists("gone"))

    def verbs() -> list[str]:
        writes = [line for line in east.audit_log.read_text().splitlines() if f'"namespace":"{pods.namespace}"' in line]
        of_pods = [line for line in writes if '"resource":"pods"' in line and '"kwok"' in line]
        return [line.split('"verb":"')[1].split('"')[0] for line in of_pods]

    # A write is done a moment before it stands in the log.
    eventually(lambda: len(verbs()) >= 3)
    assert verbs() == ["patch", "patch", "delete"]


def test_jobs_finish_and_let_their_pods_go(pods: Any, eventually: Callable[..., None]) -> None:
    jobs = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    container = {"name": "main", "image": "example/work:1", "command": ["sh", "-c", "sleep 1.5"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "template": template}
    pods.cluster.api.call("POST", jobs, {"metadata": {"name": "three"}, "spec": spec})
    job = f"{jobs}/three"
    eventually(lambda: pods.cluster.api.call("GET", job)["status"].get("succeeded") == 3)
    # The count of an Indexed job is written before its pods lose the tracking finalizer.
    eventually(lambda: all("finalizers" not in p["metadata"] for p in pods.cluster.api.call("GET", pods.path)["items"]))
    pods.cluster.api.call("DELETE", job, query={"propagationPolicy": "Background"})
    eventually(lambda: not pods.cluster.api.call("GET", pods.path)["items"])


def test_a_job_deleted_while_it_runs_takes_its_pods_along(pods: Any, eventually: Callable[..., None]) -> None:
    jobs = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    container = {"name": "main", "image": "example/work:1", "command": ["hang"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    pods.cluster.api.call("POST", jobs, {"metadata": {"name": "long"}, "spec": {"template": template}})
    eventually(lambda: pods.cluster.api.call("GET", f"{jobs}/long")["status"].get("ready") == 1)
    pods.cluster.api.call("DELETE", f"{jobs}/long", query={"propagationPolicy": "Foreground"})
    eventually(lambda: not pods.cluster.api.call("GET", pods.path)["items"])
