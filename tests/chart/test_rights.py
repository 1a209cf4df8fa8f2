"""Who may do what: every role, verb and resource, in one's own namespace, another's and all, asked of a real API server.

The rules of a role are stated here once more, in a line or two each; whatever they do not say, the answer must be no.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import pytest

from harness.shell import Kubectl, wait_for
from installing import NAMESPACE
from rights import Question, answers
from suanli.api import KINDS, PLACEMENT_KINDS
from suanli.base.names import GROUP, member_account
from suanli.federation.grants import account_objects, system_namespace

OWN, OTHER, ALL = "rights-own", "rights-other", ""
HUB_ID = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60"
READ = ("get", "list", "watch")
VERBS = (*READ, "create", "update", "patch", "delete", "deletecollection")
LEAST = 500
JOBS, VOUCHERS, STATEMENTS = "computejobs", "vouchers", "statements"
NATIONAL = tuple(model.kind_info.plural for model in KINDS if not model.kind_info.namespaced)
MAP = tuple(model.kind_info.plural for model in PLACEMENT_KINDS if not model.kind_info.namespaced)
RBAC, ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
# What would give more than the roles of the chart: group, resource.
BEYOND = (
    *((GROUP, f"{kind}/{sub}") for kind in (JOBS, VOUCHERS) for sub in ("scale", "finalizers")),
    *(("", kind) for kind in ("pods", "pods/exec", "pods/log", "pods/ephemeralcontainers", "pods/status", "secrets", "configmaps")),
    *(("", kind) for kind in ("services", "serviceaccounts", "serviceaccounts/token", "events", "resourcequotas", "limitranges")),
    *(("", kind) for kind in ("namespaces", "nodes", "nodes/proxy", "persistentvolumes", "persistentvolumeclaims")),
    ("batch", "jobs"),
    ("batch", "jobs/status"),
    ("apps", "deployments"),
    ("networking.k8s.io", "networkpolicies"),
    ("coordination.k8s.io", "leases"),
    ("events.k8s.io", "events"),
    *((RBAC, kind) for kind in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")),
    (ADMISSION, "validatingadmissionpolicies"),
    (ADMISSION, "validatingadmissionpolicybindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("*", "*"),
)  # fmt: skip
CLUSTER_WIDE = {"namespaces", "nodes", "nodes/proxy", "persistentvolumes", "customresourcedefinitions", *NATIONAL}
CLUSTER_WIDE |= {"clusterroles", "clusterrolebindings", "certificatesigningrequests"}
CLUSTER_WIDE |= {"validatingadmissionpolicies", "validatingadmissionpolicybindings", "*"}
# Verbs that lend somebody else's rights.
BORROWED: tuple[Question, ...] = (
    *(("impersonate", "", kind, "", "") for kind in ("users", "groups", "serviceaccounts")),
    *((verb, RBAC, kind, "", "") for verb in ("bind", "escalate") for kind in ("roles", "clusterroles")),
    ("approve", "certificates.k8s.io", "signers", "", ""),
    ("*", "", "*", "", ""),
)


@dataclass(frozen=True)
class Asked:
    """One question without the user."""

    verb: str
    group: str
    resource: str
    namespace: str

    @property
    def kind(self) -> str:
        return self.resource.partition("/")[0]


def is_read(asked: Asked, *resources: str) -> bool:
    return asked.verb in READ and asked.resource in resources


def operator(asked: Asked) -> bool:
    if asked.group == GROUP:
        if asked.resource.endswith("/status"):
            return asked.kind in (*NATIONAL, JOBS, VOUCHERS) and asked.verb == "patch"
        return is_read(asked, *NATIONAL, JOBS, VOUCHERS) or (asked.resource, asked.verb) == (STATEMENTS, "create")
    in_own = asked.namespace == NAMESPACE
    return (
        (in_own and asked.group == "" and is_read(asked, "secrets"))
        or (in_own and (asked.group, asked.resource, asked.verb) == ("coordination.k8s.io", "leases", "create"))
        or (asked.group, asked.resource, asked.verb) == ("events.k8s.io", "events", "create")
    )


def tenant(asked: Asked) -> bool:
    if asked.group != GROUP or asked.namespace != OWN:
        return False
    if asked.resource == VOUCHERS:
        return asked.verb != "deletecollection"
    return asked.resource == JOBS or (asked.resource, asked.verb) in (
        (f"{JOBS}/status", "get"),
        (f"{VOUCHERS}/status", "get"),
    )


def viewer(asked: Asked) -> bool:
    return (
        asked.group == GROUP
        and asked.namespace == OWN
        and is_read(asked, JOBS, f"{JOBS}/status", VOUCHERS, f"{VOUCHERS}/status")
    )


def approver(asked: Asked) -> bool:
    if asked.group != GROUP or asked.namespace != OWN:
        return False
    return is_read(asked, VOUCHERS) or (asked.resource, asked.verb) in (
        (f"{VOUCHERS}/status", v) for v in ("get", "patch")
    )


def planner(asked: Asked) -> bool:
    return asked.group == GROUP and is_read(asked, *MAP, "tariffs", "voucherprograms")


def auditor(asked: Asked) -> bool:
    return asked.group == GROUP and asked.verb in READ


def member(asked: Asked) -> bool:
    """The hub's account on a member; in which namespaces it may write is for its admission policy."""
    may = {
        ("", "nodes"): ("list", "watch"),
        ("", "pods"): ("list", "watch", "patch"),
        ("", "namespaces"): ("create", "list", "patch"),
        ("", "resourcequotas"): ("create", "list", "patch"),
        ("networking.k8s.io", "networkpolicies"): ("create", "list", "patch"),
        ("batch", "jobs"): (*READ, "create", "delete"),
    }
    return asked.verb in may.get((asked.group, asked.resource), ())


def nobody(asked: Asked) -> bool:
    return False


ROLES: Mapping[str, tuple[str, Callable[[Asked], bool]]] = {
    "operator": (f"system:serviceaccount:{NAMESPACE}:suanli", operator),
    "member account": (f"system:serviceaccount:{NAMESPACE}:{member_account(HUB_ID)}", member),
    "tenant": ("rights-tenant", tenant),
    "viewer": ("rights-viewer", viewer),
    "approver": ("rights-approver", approver),
    "planner": ("rights-planner", planner),
    "auditor": ("rights-auditor", auditor),
    "nobody": ("rights-nobody", nobody),
}
NAMED: Mapping[Question, tuple[str, ...]] = {  # objects that a role may touch by name only
    ("get", "", "namespaces", "", "kube-system"): ("operator", "member account"),
    ("get", "", "namespaces", "", OWN): (),
    ("get", "coordination.k8s.io", "leases", NAMESPACE, "suanli-operator"): ("operator",),
    ("update", "coordination.k8s.io", "leases", NAMESPACE, "suanli-operator"): ("operator",),
    ("delete", "coordination.k8s.io", "leases", NAMESPACE, "suanli-operator"): (),
    ("update", "coordination.k8s.io", "leases", NAMESPACE, "another"): (),
    ("update", "coordination.k8s.io", "leases", "kube-system", "suanli-operator"): (),
    ("get", "", "secrets", NAMESPACE, "site-east"): ("operator",),
    ("patch", "", "secrets", NAMESPACE, "site-east"): (),
}


def questions() -> Iterator[Asked]:
    resources = [(GROUP, name) for kind in (*NATIONAL, JOBS, VOUCHERS) for name in (kind, f"{kind}/status")]
    for group, resource in (*resources, *BEYOND):
        another = OTHER if group == GROUP else NAMESPACE  # where there is something to take
        namespaces = (ALL,) if resource.partition("/")[0] in CLUSTER_WIDE else (OWN, another)
        for namespace in namespaces:
            yield from (Asked(verb, group, resource, namespace) for verb in VERBS)


def is_allowed(hub: Kubectl, user: str, question: Question) -> bool:
    return answers(hub, user, [question])[question]


@pytest.fixture(scope="module")
def bound(installed: Kubectl) -> Iterator[Kubectl]:
    """The chart's roles bound to people, and a hub's account as a member grants it, all on one cluster."""
    for name in (OWN, OTHER):
        installed("create", "namespace", name)
    for role, of_chart in (("tenant", "tenant"), ("viewer", "viewer"), ("approver", "voucher-approver")):
        user = ROLES[role][0]
        installed("create", "rolebinding", user, f"--clusterrole=suanli-{of_chart}", f"--user={user}", "-n", OWN)
    for role, of_chart in (("planner", "map-viewer"), ("auditor", "auditor")):
        user = ROLES[role][0]
        installed("create", "clusterrolebinding", user, f"--clusterrole=suanli-{of_chart}", f"--user={user}")
    granted = [each for each in account_objects(HUB_ID) if each["kind"] != "Secret"]
    assert system_namespace(HUB_ID, "s", made=True)["metadata"]["name"] == NAMESPACE
    installed.apply("\n---\n".join(map(json.dumps, granted)))
    for role, (user, rule) in ROLES.items():
        one = next(((a.verb, a.group, a.resource, a.namespace, "") for a in questions() if rule(a)), None)
        if one is not None:
            wait_for(f"the API server to know role {role}", partial(is_allowed, installed, user, one))
    yield installed
    installed("delete", "-f", "-", stdin="\n---\n".join(map(json.dumps, granted)))
    installed("delete", "clusterrolebinding", ROLES["planner"][0], ROLES["auditor"][0])
    installed("delete", "namespace", OWN, OTHER, "--wait=false")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_exactly_what_its_rule_says(bound: Kubectl, role: str) -> None:
    user, rule = ROLES[role]
    asked = list(questions())
    said = answers(bound, user, [(a.verb, a.group, a.resource, a.namespace, "") for a in asked])
    surprises = {a: yes for a in asked if (yes := said[a.verb, a.group, a.resource, a.namespace, ""]) is not rule(a)}
    assert surprises == {}
    assert role == "nobody" or any(said.values())
    assert not any(answers(bound, user, BORROWED).values())
    by_name = answers(bound, user, list(NAMED))
    assert {question for question, yes in by_name.items() if yes} - {
        q for q, roles in NAMED.items() if role in roles
    } == set()
    assert {q for q, roles in NAMED.items() if role in roles} - {
        question for question, yes in by_name.items() if yes
    } == set()


def test_the_matrix_is_large_enough(capsys: pytest.CaptureFixture[str]) -> None:
    count = len(ROLES) * (len(list(questions())) + len(BORROWED) + len(NAMED))
    with capsys.disabled():
        print(f"\nS3: {count} questions of {len(ROLES)} roles about {len(VERBS)} verbs")
    assert count >= LEAST
