"""A control plane can be stopped, started, paused; a node can lose its power and get it back."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from localfed import ProcessProvider, Unsupported
from localfed.cluster import ProcessCluster

SLOWEST_NODE_SECONDS = 180


def _is_ready(cluster: ProcessCluster, name: str) -> bool:
    node = cluster.api.call("GET", f"/api/v1/nodes/{name}")
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])


def test_nodes_hold_what_their_shape_says(east: ProcessCluster) -> None:
    node = east.api.call("GET", "/api/v1/nodes/a100-1")
    assert node["metadata"]["labels"]["card"] == "a100"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "a100-1"
    for held in (node["status"]["allocatable"], node["status"]["capacity"]):
        assert (held["cpu"], held["memory"], held["nvidia.com/gpu"]) == ("32", "256Gi", "8")


def test_a_stopped_cluster_comes_back_with_its_data(pods: Any, east: ProcessCluster) -> None:
    server = east.server
    pods.create("before", "hang")
    pods.create("ends-meanwhile", "sleep", "2")
    pods.wait("before", "running")
    running = pods.wait("ends-meanwhile", "running")
    east.stop()
    assert east.pids == {}
    assert not east.api.is_ready()
    time.sleep(2)
    east.start()
    assert east.server == server
    assert "running" in pods.state("before")
    ended = pods.wait("ends-meanwhile", "terminated")
    assert ended["startedAt"] == running["startedAt"]
    assert ended["finishedAt"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "it ended while nobody watched"
    pods.create("after", "true")
    pods.wait("after", "terminated")


def test_a_paused_cluster_answers_nothing_until_it_is_resumed(
    east: ProcessCluster, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    east.pause()
    try:
        with monkeypatch.context() as patch:
            patch.setattr("localfed.apiclient.REQUEST_SECONDS", 0.5)
            with pytest.raises(TimeoutError):
                east.api.request("GET", "/readyz")
    finally:
        east.resume()
    eventually(east.api.is_ready)


def test_a_node_that_lost_its_power_is_not_ready_and_its_pods_have_failed_when_it_is_back(
    pods: Any, east: ProcessCluster, eventually: Callable[..., None]
) -> None:
    pods.create("on-dead", "sleep", "15", spec={"nodeName": "a100-0"})
    pods.create("on-other", "sleep", "15", spec={"nodeName": "a100-1"})
    pods.wait("on-dead", "running")
    east.kill_node("a100-0")
    eventually(lambda: not _is_ready(east, "a100-0"), SLOWEST_NODE_SECONDS)
    assert pods.wait("on-other", "terminated")["exitCode"] == 0
    assert "running" in pods.state("on-dead"), "nobody reports for a dead node"
    assert _is_ready(east, "a100-1")
    east.revive_node("a100-0")
    assert _is_ready(east, "a100-0")
    ended = pods.wait("on-dead", "terminated")
    assert (ended["exitCode"], ended["reason"]) == (137, "NodeLost")
    pods.create("again", "true", spec={"nodeName": "a100-0"})
    pods.wait("again", "terminated")


def test_the_audit_log_holds_every_write_and_no_read(pods: Any, east: ProcessCluster) -> None:
    pods.create("seen", "true")
    entries = [json.loads(line) for line in east.audit_log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    verbs = {entry["verb"] for entry in entries}
    assert verbs <= {"create", "update", "patch", "delete", "deletecollection"}
    ours = [entry for entry in entries if entry["objectRef"].get("namespace") == pods.namespace]
    created = next(entry for entry in ours if entry["objectRef"]["resource"] == "pods" and entry["verb"] == "create")
    assert created["user"]["username"] == "localfed-admin"
    assert created["responseStatus"]["code"] == 201


def test_a_cluster_without_an_audit_log_says_how_to_get_one(federation: ProcessProvider) -> None:
    with pytest.raises(Unsupported, match=r"audit=True"):
        _ = federation.clusters["hub"].audit_log


def test_rbac_is_on_and_each_cluster_trusts_only_its_own_authority(federation: ProcessProvider) -> None:
    hub, east = federation.clusters["hub"], federation.clusters["east"]
    assert hub.api.request("GET", "/api/v1/nodes")[0] == 200
    token = hub.api.call(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    known = hub.api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    unknown = east.api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    assert known["user"]["username"] == "system:serviceaccount:default:default"
    assert not unknown.get("authenticated")


def test_admission_is_the_default_one(pods: Any) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = f"/api/v1/namespaces/{pods.namespace}"
    pods.cluster.api.call("PATCH", namespace, {"metadata": {"labels": labels}}, content="application/merge-patch+json")
    body = {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
    status, answer = pods.cluster.api.request("POST", pods.path, body)
    assert status == 403
    assert b"violates PodSecurity" in answer
