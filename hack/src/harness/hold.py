"""Writes that a cluster refuses for a while, so that whoever wants to make them stands still at that point."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml

from harness.shell import CommandError, Kubectl, wait_for

MESSAGE = "held by a test"


@contextmanager
def held(
    cluster: Kubectl, namespace: str, *, group: str, resource: str, operation: str, when: str, probe: Sequence[str]
) -> Iterator[None]:
    """Refuse writes of one resource in one namespace while the CEL expression `when` holds of the new object.

    `probe` is a kubectl command that must be refused; the block begins once it is.
    """
    name = f"hold-{namespace}"
    cluster.apply(yaml.safe_dump_all([_policy(name, group, resource, operation, when), _binding(name, namespace)]))
    try:
        wait_for(f"{resource} of {namespace} to be held", lambda: _is_refused(cluster, probe))
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            cluster("delete", kind, name, "--ignore-not-found")
        wait_for(f"{resource} of {namespace} to be free", lambda: not _is_refused(cluster, probe))


@contextmanager
def held_status(hub: Kubectl, namespace: str, job: str, *, when: str, example: object) -> Iterator[None]:
    """Refuse the status writes of a namespace's ComputeJobs while `when` holds; `example` is a status that is refused."""
    patch = json.dumps({"status": example})
    where = ["patch", "computejob", job, "--namespace", namespace, "--subresource", "status", "--type", "merge"]
    probe = [*where, "--patch", patch, "--dry-run=server"]
    rule = {"group": "suanli.io", "resource": "computejobs/status", "operation": "UPDATE"}
    with held(hub, namespace, **rule, when=when, probe=probe):
        yield


def _is_refused(cluster: Kubectl, probe: Sequence[str]) -> bool:
    try:
        cluster(*probe)
    except CommandError as error:
        if MESSAGE not in str(error):
            raise
        return True
    return False


def _policy(name: str, group: str, resource: str, operation: str, when: str) -> dict[str, object]:
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"!({when})", "message": MESSAGE, "reason": "Forbidden"}],
        },
    }


def _binding(name: str, namespace: str) -> dict[str, object]:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
