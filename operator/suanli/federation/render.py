"""A ComputeJob's attempt as the member's objects: one namespace a tenant, one Indexed Job an attempt. Pure.

Everything a tenant could use to reach beyond its container is set here, never taken from the ComputeJob.
Source: Kubernetes Pod Security Standards, profile "restricted".
"""

from collections.abc import Sequence

from suanli.api.job import Assignment, ComputeJobSpec, Failover
from suanli.api.site import ComputeUnit, SiteResource
from suanli.base.names import (
    ANNOTATION_CLASS,
    ANNOTATION_JOB,
    CONTAINER,
    FINALIZER_METERING,
    LABEL_EPOCH,
    LABEL_FAILOVER,
    LABEL_HUB,
    LABEL_JOB_UID,
    LABEL_MANAGED,
    MANAGER,
    member_job_name,
    member_namespace,
)
from suanli.base.units import duration_ms
from suanli.kube.client import Json

RUN_AS = 65_534  # nobody
GRACE_S = 30


def namespace_manifest(hub_id: str, namespace: str) -> Json:
    """The tenant's namespace on a member, under Pod Security "restricted"."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": member_namespace(hub_id, namespace),
            "labels": {
                LABEL_HUB: hub_id,
                LABEL_MANAGED: MANAGER,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
        },
    }


def job_manifest(
    *,
    hub_id: str,
    namespace: str,
    name: str,
    uid: str,
    spec: ComputeJobSpec,
    assignment: Assignment,
    resource: SiteResource,
    failover: Failover | None = None,
) -> Json:
    """The member Job of one attempt; the same input always gives the same object, so a second create is a no-op.

    `failover` is what the attempt began with: it tells the member's fence whether it may stop it.
    """
    labels = {
        LABEL_HUB: hub_id,
        LABEL_JOB_UID: uid,
        LABEL_EPOCH: str(assignment.epoch),
        LABEL_MANAGED: MANAGER,
        **({LABEL_FAILOVER: str(failover)} if failover is not None else {}),
    }
    annotations = {ANNOTATION_JOB: f"{namespace}/{name}", ANNOTATION_CLASS: assignment.class_}
    job: Json = {
        "completions": spec.tasks,
        "parallelism": spec.tasks,
        "completionMode": "Indexed",
        # One attempt is one epoch: a failed task ends it, and whether to try again is decided on the hub.
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "template": {
            "metadata": {"labels": labels, "annotations": annotations, "finalizers": [FINALIZER_METERING]},
            "spec": _pod_spec(spec, resource),
        },
    }
    if spec.limits.active_deadline is not None:
        job["activeDeadlineSeconds"] = -(-duration_ms(spec.limits.active_deadline) // 1000)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": member_job_name(uid, assignment.epoch),
            "namespace": member_namespace(hub_id, namespace),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": job,
    }


def release_patch(uid: str, finalizers: Sequence[str]) -> list[Json]:
    """The JSON patch that takes our finalizer, and nothing else, off a pod; refused when the pod has changed meanwhile.

    Empty when it does not carry it.
    """
    if FINALIZER_METERING not in finalizers:
        return []
    path = f"/metadata/finalizers/{list(finalizers).index(FINALIZER_METERING)}"
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": path, "value": FINALIZER_METERING},
        {"op": "remove", "path": path},
    ]


def _pod_spec(spec: ComputeJobSpec, resource: SiteResource) -> Json:
    template, per_task = spec.template, spec.resources.per_task
    amounts = {"cpu": per_task.cpu, "memory": per_task.memory}
    if resource.unit is ComputeUnit.CARD:
        amounts[resource.resource_name] = str(per_task.cards)
    container: Json = {
        "name": CONTAINER,
        "image": template.image,
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": False,
            "runAsNonRoot": True,
        },
    }
    # Kubernetes expands $(NAME) and $$ in commands, arguments and values; what the user wrote is to stay as it is.
    if template.command:
        container["command"] = [_literal(c) for c in template.command]
    if template.args:
        container["args"] = [_literal(a) for a in template.args]
    if template.env:
        container["env"] = [{"name": e.name, "value": _literal(e.value)} for e in template.env]
    if template.working_dir:
        container["workingDir"] = template.working_dir
    pod: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUN_AS,
            "runAsGroup": RUN_AS,
            "fsGroup": RUN_AS,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if resource.node_labels:
        pod["nodeSelector"] = dict(resource.node_labels)
    if template.scratch is not None:
        pod["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": template.scratch.size}}]
        container["volumeMounts"] = [{"name": "scratch", "mountPath": template.scratch.mount_path}]
    return pod


def _literal(text: str) -> str:
    return text.replace("$", "$$")
