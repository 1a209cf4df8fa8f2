"""What a member grants a hub: one service account with the least rights, fenced in by an admission policy. Pure.

RBAC cannot say "only namespaces named suanli-t-*": the policy can, and it also keeps those namespaces under Pod Security
"restricted", so that even a stolen token of the hub starts nothing but restricted pods in the hub's own namespaces.
"""

from typing import Any

from suanli.base.names import (
    ANNOTATION_SITE,
    FENCE,
    FINALIZER_METERING,
    GUARD,
    LABEL_HUB,
    LABEL_MANAGED,
    MANAGER,
    MEMBER_NAMESPACE_PREFIX,
    MEMBER_SYSTEM_NAMESPACE,
    member_account,
)

Json = dict[str, Any]
ANNOTATION_MADE = "suanli.io/made-by-join"  # the system namespace was not there before, so leaving may remove it
FENCE_PODS = {"app.kubernetes.io/name": FENCE}
FENCED = "the hub may create only namespaces"
ENFORCE = "pod-security.kubernetes.io/enforce"

_WHO = ["kube-system", MEMBER_SYSTEM_NAMESPACE]  # which cluster it is, and whose
_RULES: list[Json] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "patch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "create", "delete"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [FENCE], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["namespaces", "resourcequotas"], "verbs": ["create", "list", "patch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "list", "patch"]},
    {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": _WHO, "verbs": ["get"]},
    {"nonResourceURLs": ["/version"], "verbs": ["get"]},
]

_FENCE_RULES: list[Json] = [
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [FENCE],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
]

_ON_THE_LEASE = (
    "(request.resource.group == 'coordination.k8s.io' && request.resource.resource == 'leases'"
    f" && request.operation == 'UPDATE' && request.namespace == '{MEMBER_SYSTEM_NAMESPACE}' && request.name == '{FENCE}')"
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

_ONLY_OUR_GUARDS = (
    "!(request.resource.resource in ['networkpolicies', 'resourcequotas'])"
    f" || (object != null && object.metadata.name == '{GUARD}')"
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


def fence_objects(hub_id: str, image: str) -> list[Json]:
    """The member's fence, in the order of creation: it can do nothing before its limits stand, and the hub relies on it last.

    Its account may suspend the hub's own Jobs and delete their pods, and nothing else.
    """
    user = f"system:serviceaccount:{MEMBER_SYSTEM_NAMESPACE}:{FENCE}"
    subject = {"kind": "ServiceAccount", "name": FENCE, "namespace": MEMBER_SYSTEM_NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": FENCE}
    admission, rbac = "admissionregistration.k8s.io/v1", "rbac.authorization.k8s.io/v1"
    bound = {"policyName": FENCE, "validationActions": ["Deny"]}
    return [
        _object("v1", "ServiceAccount", hub_id, namespaced=True, name=FENCE, automountServiceAccountToken=False),
        _object(admission, "ValidatingAdmissionPolicy", hub_id, name=FENCE, spec=_fence_limits(hub_id, user)),
        _object(admission, "ValidatingAdmissionPolicyBinding", hub_id, name=FENCE, spec=bound),
        _object(rbac, "ClusterRole", hub_id, name=FENCE, rules=_FENCE_RULES),
        _object(rbac, "ClusterRoleBinding", hub_id, name=FENCE, roleRef=role, subjects=[subject]),
        _object("apps/v1", "Deployment", hub_id, namespaced=True, name=FENCE, spec=_fence_deployment(image)),
        _object("coordination.k8s.io/v1", "Lease", hub_id, namespaced=True, name=FENCE),
    ]


def _fence_limits(hub_id: str, user: str) -> Json:
    ours = (
        f"namespaceObject != null && namespaceObject.metadata.name.startsWith('{MEMBER_NAMESPACE_PREFIX}')"
        f" && {_label('namespaceObject', LABEL_HUB)} == '{hub_id}' && !has(request.subResource)"
    )
    jobs = "request.resource.resource == 'jobs' && request.operation == 'UPDATE' && object.spec.?suspend.orValue(false)"
    pods = "request.resource.resource == 'pods' && request.operation == 'DELETE'"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"], "scope": "*"}
            ]
        },
        "matchConditions": [{"name": "is-the-fence", "expression": f"request.userInfo.username == '{user}'"}],
        "validations": [
            {
                "expression": f"{_ON_THE_LEASE} || ({ours} && (({jobs}) || ({pods})))",
                "message": f"the fence may suspend Jobs and delete pods in namespaces named {MEMBER_NAMESPACE_PREFIX}* of its"
                " hub, and nothing else",
                "reason": "Forbidden",
            }
        ],
    }


def _fence_deployment(image: str) -> Json:
    """Two replicas, on two nodes where there are two: each acts by itself, and stopping twice is stopping once."""
    apart = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": FENCE_PODS}}
    container: Json = {
        "name": "fence",
        "image": image,
        "args": ["fence"],
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "serviceAccountName": FENCE,
        "automountServiceAccountToken": True,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": apart}]
            }
        },
        "containers": [container],
    }
    return {
        "replicas": 2,
        "selector": {"matchLabels": FENCE_PODS},
        "template": {"metadata": {"labels": FENCE_PODS}, "spec": pod},
    }


def forbidden_namespace() -> Json:
    """A namespace that the account's rights allow to create, and the fence forbids."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "suanli-fence-probe"}}


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
                "expression": _in_our_namespaces(hub_id),
                "message": f"the hub may write only in namespaces named {MEMBER_NAMESPACE_PREFIX}* that are its own, and"
                " create only where they enforce Pod Security restricted; put the namespace's labels right or delete it",
                "reason": "Forbidden",
            },
            {
                "expression": _makes_our_namespace(hub_id),
                "message": f"{FENCED} named {MEMBER_NAMESPACE_PREFIX}* that are its own and enforce Pod Security restricted,"
                " and change nothing of them but put these labels right",
                "reason": "Forbidden",
            },
            {
                "expression": _ONLY_OUR_GUARDS,
                "message": f"the hub may write only the NetworkPolicy and the ResourceQuota named {GUARD}",
                "reason": "Forbidden",
            },
            {
                "expression": _ONLY_OUR_FINALIZER,
                "message": f"the hub may change nothing of a pod but take off the finalizer {FINALIZER_METERING}",
                "reason": "Forbidden",
            },
        ],
    }


def _in_our_namespaces(hub_id: str) -> str:
    return (
        f"request.resource.resource == 'namespaces' || {_ON_THE_LEASE} || ("
        f"namespaceObject != null && namespaceObject.metadata.name.startsWith('{MEMBER_NAMESPACE_PREFIX}')"
        f" && {_label('namespaceObject', LABEL_HUB)} == '{hub_id}'"
        f" && (request.operation != 'CREATE' || {_restricted('namespaceObject')}))"
    )


def _makes_our_namespace(hub_id: str) -> str:
    ours = [LABEL_HUB, LABEL_MANAGED, ENFORCE, f"{ENFORCE}-version"]
    old, new = (f"{which}.metadata.?labels.orValue({{}})" for which in ("oldObject", "object"))
    mended = (
        f"{_label('oldObject', LABEL_HUB)} == '{hub_id}' && object.spec == oldObject.spec"
        " && object.metadata.?annotations == oldObject.metadata.?annotations"
        " && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences"
        " && object.metadata.?finalizers == oldObject.metadata.?finalizers"
        f" && {new}.all(k, k in {ours} || {old}[?k] == optional.of({new}[k])) && {old}.all(k, k in {ours} || k in {new})"
    )
    return (
        "request.resource.resource != 'namespaces' || ("
        f"(request.operation == 'CREATE' || (request.operation == 'UPDATE' && {mended})) && !has(request.subResource)"
        f" && object.metadata.name.startsWith('{MEMBER_NAMESPACE_PREFIX}')"
        f" && {_label('object', LABEL_HUB)} == '{hub_id}' && {_restricted('object')})"
    )


def _restricted(namespace: str) -> str:
    return (
        f"{_label(namespace, ENFORCE)} == 'restricted' && {_label(namespace, f'{ENFORCE}-version')} in ['', 'latest']"
    )


def _label(namespace: str, key: str) -> str:
    return f"{namespace}.metadata.?labels[?'{key}'].orValue('')"


def _labels(hub_id: str) -> dict[str, str]:
    return {LABEL_HUB: hub_id, LABEL_MANAGED: MANAGER}


def _object(
    api_version: str, kind: str, hub_id: str, *, namespaced: bool = False, name: str = "", **body: object
) -> Json:
    metadata: Json = {"name": name or member_account(hub_id), "labels": _labels(hub_id)}
    if namespaced:
        metadata["namespace"] = MEMBER_SYSTEM_NAMESPACE
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
