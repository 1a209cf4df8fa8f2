"""An independent judge of what reaches a member: what a Job of ours may hold, listed field by field; all else is wrong.

It shares no code with the operator that renders Jobs. Source: Kubernetes Pod Security Standards, profile "restricted".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
_ANY = object()
_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65_534,
    "runAsGroup": 65_534,
    "fsGroup": 65_534,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": False,
    "runAsNonRoot": True,
}
_POD = {
    "restartPolicy": "Never",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 30,
    "securityContext": _SECURITY,
    "containers": _ANY,
}
_CONTAINER = {"name": "task", "image": _ANY, "resources": _ANY, "securityContext": _CONTAINED}
_JOB = {
    "completions": _ANY,
    "parallelism": _ANY,
    "completionMode": "Indexed",
    "backoffLimit": 0,
    "podReplacementPolicy": "Failed",
    "template": _ANY,
}
_WORDS = ("command", "args", "workingDir", "env", "volumeMounts")
_KERNELS = re.compile(r"^/+(\./+)*(proc|sys|dev)(/|$)")
_DEVICES = re.compile(r"^(NVIDIA|ASCEND|AMD|CAMBRICON|HABANA|MTHREADS)_VISIBLE_DEVICES$|_MOUNTS$")


@dataclass(frozen=True)
class Whose:
    """Whom a Job must belong to: nobody else may show in its names and labels."""

    hub: str
    namespace: str  # on the member
    job: str  # namespace/name on the hub
    uid: str
    epoch: int
    resources: frozenset[str]
    node_labels: Mapping[str, str]


def harm(job: Json, whose: Whose) -> list[str]:
    """What is wrong with a Job, each in one sentence; empty when it is as harmless as all of ours."""
    return list(_job(job, whose))


def _job(job: Json, whose: Whose) -> Iterator[str]:
    yield from _like(job, {"apiVersion": "batch/v1", "kind": "Job", "metadata": _ANY, "spec": _ANY}, "")
    labels = {
        "suanli.io/hub": whose.hub,
        "suanli.io/job-uid": whose.uid,
        "suanli.io/epoch": str(whose.epoch),
        "app.kubernetes.io/managed-by": "suanli",
    }
    annotations = {"suanli.io/job": whose.job, "suanli.io/class": _ANY}
    own = {"name": f"j-{whose.uid}-{whose.epoch}", "namespace": whose.namespace, "labels": labels}
    yield from _like(job["metadata"], {**own, "annotations": _ANY}, "metadata")
    spec, template = job["spec"], job["spec"]["template"]
    yield from _like(spec, _JOB, "spec", "activeDeadlineSeconds")
    if not (isinstance(spec["completions"], int) and 1 <= spec["completions"] <= 10_000):
        yield f"{spec['completions']!r} completions"
    if spec["parallelism"] != spec["completions"]:
        yield "another parallelism than completions"
    yield from _like(template, {"metadata": _ANY, "spec": _ANY}, "template")
    pods = {"labels": labels, "annotations": _ANY, "finalizers": ["suanli.io/metering"]}
    yield from _like(template["metadata"], pods, "template.metadata")
    for metadata in (job["metadata"], template["metadata"]):
        yield from _like(metadata["annotations"], annotations, "annotations")
    yield from _pod(template["spec"], whose)


def _pod(pod: Json, whose: Whose) -> Iterator[str]:
    yield from _like(pod, _POD, "pod", "nodeSelector", "volumes")
    if pod.get("nodeSelector", {}) != whose.node_labels:
        yield f"nodes chosen by {pod.get('nodeSelector')}"
    volumes = pod.get("volumes", [])
    for volume in volumes:
        yield from _like(volume, {"name": "scratch", "emptyDir": _ANY}, "volume")
        yield from _like(volume.get("emptyDir", {}), {"sizeLimit": _ANY}, "emptyDir")
    if len(pod["containers"]) != 1 or len(volumes) > 1:
        yield f"{len(pod['containers'])} containers, {len(volumes)} volumes"
    for container in pod["containers"]:
        yield from _container(container, whose)
        mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
        if mounts != [volume["name"] for volume in volumes]:
            yield f"mounts of {mounts}"


def _container(container: Json, whose: Whose) -> Iterator[str]:
    yield from _like(container, _CONTAINER, "container", *_WORDS)
    asked = container["resources"]
    yield from _like(asked, {"requests": _ANY, "limits": asked.get("requests")}, "resources")
    if set(asked["requests"]) != whose.resources:
        yield f"resources {sorted(asked['requests'])}"
    for name, amount in asked["requests"].items():
        if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,3})?[mkMGTPKi]{0,2}", str(amount)):
            yield f"{name}: {amount!r} is no amount"
    for word in (container["image"], *container.get("command", []), *container.get("args", [])):
        if not isinstance(word, str):
            yield f"{word!r} is no word"
        elif re.search(r"\$\(", word.replace("$$", "")):
            yield f"{word[:40]!r} would be expanded"
    for variable in container.get("env", []):
        yield from _like(variable, {"name": _ANY, "value": _ANY}, "variable")
        if _DEVICES.search(variable["name"]):
            yield f"variable {variable['name']} chooses the node's devices"
        if re.search(r"\$\(", variable["value"].replace("$$", "")):
            yield f"variable {variable['name']} would be expanded"
    for mount in container.get("volumeMounts", []):
        yield from _like(mount, {"name": "scratch", "mountPath": _ANY}, "mount")
        yield from _folder(mount["mountPath"])
    yield from _folder(container.get("workingDir", "/"))


def _folder(path: str) -> Iterator[str]:
    if not path.startswith("/") or ".." in path.split("/") or _KERNELS.search(path) or ":" in path:
        yield f"folder {path!r}"


def _like(found: Any, wanted: Mapping[str, Any], where: str, *more: str) -> Iterator[str]:
    """That an object has exactly these fields, with these values, and of `more` what it likes."""
    if not isinstance(found, dict):
        yield f"{where} is {found!r}"
        return
    for field in found.keys() - wanted.keys() - set(more):
        yield f"{where}.{field} is {str(found[field])[:80]}"
    for field, value in wanted.items():
        if field not in found or (value is not _ANY and found[field] != value):
            yield f"{where}.{field} is {str(found.get(field))[:80]}, not {str(value)[:80]}"
