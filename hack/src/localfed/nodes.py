"""The nodes of a cluster: made by shape, killed, and brought back."""

import datetime as dt
from typing import Any

from localfed.apiclient import MERGE_PATCH, STRATEGIC_PATCH, ApiClient
from localfed.servers import POWER_LABEL
from localfed.spec import NodeShape

KILLED_AT = "localfed.suanli.io/killed-at"
SHOWN_AT = "localfed.suanli.io/shown-at"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
NODES = "/api/v1/nodes"


def manifests(shapes: tuple[NodeShape, ...]) -> list[dict[str, Any]]:
    """A Node object for every node of every shape, with what it can hold."""
    return [_manifest(shape, name) for shape in shapes for name in shape.node_names()]


def _manifest(shape: NodeShape, name: str) -> dict[str, Any]:
    holds = {"cpu": shape.cpu, "memory": shape.memory, "pods": str(shape.pods), "ephemeral-storage": "1Ti"}
    if shape.card_resource:
        holds[shape.card_resource] = str(shape.cards)
    standard = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        POWER_LABEL: "on",
    }
    system = {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "kubeletVersion": "kwok",
        "containerRuntimeVersion": "kwok",
    }
    rest = dict.fromkeys(["machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion"], "")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**shape.labels, **standard}},
        "status": {"capacity": holds, "allocatable": holds, "nodeInfo": {**system, **rest}},
    }


def unready(api: ApiClient) -> list[str]:
    """Names of powered nodes that cannot take pods yet."""
    nodes = api.call("GET", NODES, query={"labelSelector": f"{POWER_LABEL}=on"})["items"]
    return [node["metadata"]["name"] for node in nodes if not is_ready(node)]


def is_ready(node: dict[str, Any]) -> bool:
    """Whether a node says it is ready and carries no taint of its own state."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    tainted = any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))
    return conditions.get("Ready") == "True" and not tainted


def switch_off(api: ApiClient, name: str) -> None:
    """Take a node's power: whoever serves nodes by their power label serves it no more."""
    metadata = {"labels": {POWER_LABEL: "off"}, "annotations": {KILLED_AT: _now()}}
    api.call("PATCH", f"{NODES}/{name}", {"metadata": metadata}, content=MERGE_PATCH)


def switch_on(api: ApiClient, name: str) -> None:
    """Give a node its power back. What ran on it ended when it lost its power, and its pods say so."""
    node = api.call("GET", f"{NODES}/{name}")
    killed_at = node["metadata"].get("annotations", {}).get(KILLED_AT, _now())
    pods = api.call("GET", "/api/v1/pods", query={"fieldSelector": f"spec.nodeName={name}"})["items"]
    for pod in pods:
        statuses = pod["status"].get("containerStatuses", [])
        if not any("running" in status["state"] for status in statuses):
            continue
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status"
        ended = {"phase": "Failed", "containerStatuses": [_ended(status, killed_at) for status in statuses]}
        api.call("PATCH", path, {"status": ended}, content=STRATEGIC_PATCH)
    metadata = {"labels": {POWER_LABEL: "on"}, "annotations": {KILLED_AT: None}}
    api.call("PATCH", f"{NODES}/{name}", {"metadata": metadata}, content=MERGE_PATCH)


def _ended(status: dict[str, Any], at: str) -> dict[str, Any]:
    running = status["state"].get("running")
    if running is None:
        return status
    end = {"exitCode": 137, "reason": "NodeLost", "startedAt": running["startedAt"], "finishedAt": at}
    return {**status, "ready": False, "started": False, "state": {"terminated": end}}


def forget_leases(api: ApiClient) -> None:
    """Remove the nodes' leases, which a killed KWOK still holds, so that the next one need not wait for them."""
    api.call("DELETE", LEASES)


def unserved(api: ApiClient) -> list[str]:
    """Names of powered nodes that nobody serves yet."""
    held = {lease["metadata"]["name"] for lease in api.call("GET", LEASES)["items"]}
    return [name for name in _powered(api) if name not in held]


def show_pods(api: ApiClient) -> None:
    """Change a mark on every pod of a powered node that has not ended, so that whoever serves the node looks at it."""
    live = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
    powered = set(_powered(api))
    for pod in api.call("GET", "/api/v1/pods", query={"fieldSelector": live})["items"]:
        if pod["spec"]["nodeName"] in powered:
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            # One that has gone meanwhile needs no look.
            api.request("PATCH", path, {"metadata": {"annotations": {SHOWN_AT: _now()}}}, content=MERGE_PATCH)


def _powered(api: ApiClient) -> list[str]:
    nodes = api.call("GET", NODES, query={"labelSelector": f"{POWER_LABEL}=on"})["items"]
    return [node["metadata"]["name"] for node in nodes]


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
