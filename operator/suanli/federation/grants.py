"""What a member grants a hub: one service account with the least rights, fenced in by an admission policy. Pure.

RBAC cannot say "only namespaces named suanli-t-*": the policy can, and it also keeps those namespaces under Pod Security
"restricted", so that even a stolen token of the hub starts nothing but restricted pods in the hub's own namespaces.
"""

from typing import Any

from suanli.base.names import (
    ANNOTATION_SITE,
    FINALIZER_METERING,
    LABEL_HUB,
    LABEL_MANAGED,
    MANAGER,
    MEMBER_NAMESPACE_PREFIX,
    MEMBER_SYSTEM_NAMESPACE,
    member_account,
)

Json = dict[str, Any]
ANNOTATION_MADE = "suanli.io/made-by-join"  # the system namespace was not there before, so leaving may remove it

_RULES: list[Json] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch", "create", "patch"]},
    {
        "apiGroups": ["batch"],
        "resources": ["jobs"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["get", "create"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "create"]},
    {"nonResourceURLs": ["/version"], "verbs": ["get"]},
]

_IN_OUR_NAMESPACES = (
    "request.resource.resource == 'namespaces' || "
    f"(has(request.namespace) && request.namespace.startsWith('{MEMBER_NAMESPACE_PREFIX}'))"
)
_ONLY_OUR_FINALIZER = (
    "request.resource.resource != 'pods' || ("
    "request.operation == 'UPDATE' && !has(request.subResource) && object.spec == oldObject.spec"
    " && object.metadata.?labels == oldObject.metadata.?labels"
    " && object.metadata.?annotations == oldObject.metadata.?annotations"
    " && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences"
    " && object.metadata.?finalizers.orValue([])"
    f" == oldObject.metadata.?finalizers.orValue([]).filter(f, f != '{FINALIZER_METERING}'))"
)


def system_namespace(hub_id: str, site: str, *, made: bool) -> Json:
    """The namespace of the account; its label says which hub the cluster belongs to."""
    annotations = {ANNOTATION_SITE: site} | ({ANNOTATION_MADE: "true"} if made else {})
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": MEMBER_SYSTEM_NAMESPACE, "labels": _labels(hub_id), "annotations": annotations},
    }


def account_objects(hub_id: str) -> list[Json]:
    """Account, rights, fence and token, in the order of creation: the fence stands before the token exists."""
    name = member_account(hub_id)
    user = f"system:serviceaccount:{MEMBER_SYSTEM_NAMESPACE}:{name}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": MEMBER_SYSTEM_NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    return [
        _object("v1", "ServiceAccount", hub_id, namespaced=True, automountServiceAccountToken=False),
        _object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", hub_id, spec=_fence(hub_id, user)),
        _object(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            hub_id,
            spec={"policyName": name, "validationActions": ["Deny"]},
        ),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", hub_id, rules=_RULES),
        _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", hub_id, roleRef=role, subjects=[subject]),
        token_secret(hub_id),
    ]


def token_secret(hub_id: str) -> Json:
    """The account's long-lived token; the member fills it in."""
    secret = _object("v1", "Secret", hub_id, namespaced=True, type="kubernetes.io/service-account-token")
    secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": member_account(hub_id)}
    return secret


def _fence(hub_id: str, user: str) -> Json:
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"], "scope": "*"}
            ]
        },
        "matchConditions": [{"name": "is-the-hub", "expression": f"request.userInfo.username == '{user}'"}],
        "validations": [
            {
                "expression": _IN_OUR_NAMESPACES,
                "message": f"the hub may write only in namespaces named {MEMBER_NAMESPACE_PREFIX}*",
                "reason": "Forbidden",
            },
            {
                "expression": _restricted(hub_id),
                "message": f"the hub may write only namespaces named {MEMBER_NAMESPACE_PREFIX}* that are its own"
                " and enforce Pod Security restricted",
                "reason": "Forbidden",
            },
            {
                "expression": _ONLY_OUR_FINALIZER,
                "message": f"the hub may change nothing of a pod but take off the finalizer {FINALIZER_METERING}",
                "reason": "Forbidden",
            },
        ],
    }


def _restricted(hub_id: str) -> str:
    labels = "object.metadata.?labels"
    return (
        "request.resource.resource != 'namespaces' || ("
        "object != null && !has(request.subResource)"
        f" && object.metadata.name.startsWith('{MEMBER_NAMESPACE_PREFIX}')"
        f" && {labels}[?'pod-security.kubernetes.io/enforce'].orValue('') == 'restricted'"
        f" && {labels}[?'{LABEL_HUB}'].orValue('') == '{hub_id}')"
    )


def _labels(hub_id: str) -> dict[str, str]:
    return {LABEL_HUB: hub_id, LABEL_MANAGED: MANAGER}


def _object(api_version: str, kind: str, hub_id: str, *, namespaced: bool = False, **body: object) -> Json:
    metadata: Json = {"name": member_account(hub_id), "labels": _labels(hub_id)}
    if namespaced:
        metadata["namespace"] = MEMBER_SYSTEM_NAMESPACE
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
