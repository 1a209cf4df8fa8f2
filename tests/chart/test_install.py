"""The chart on a real hub: it installs, grants what the operator needs and no more, and leaves what it should."""

import json
from typing import Any

import pytest

from harness.shell import Kubectl, run, wait_for
from installing import NAMESPACE, upgrade
from rights import Question, answers

OPERATOR = f"system:serviceaccount:{NAMESPACE}:suanli"
KINDS = ("computeregions", "hubpolicies", "computelinks", "computesites", "computeaccounts", "computejobs")
GROUP = "suanli.io"


def operator_may() -> list[Question]:
    may = [(verb, GROUP, kind, "", "") for kind in KINDS for verb in ("get", "list", "watch")]
    may += [("patch", GROUP, f"{kind}/status", "", "") for kind in KINDS]
    may += [(verb, "", "secrets", NAMESPACE, "") for verb in ("get", "list", "watch")]
    may += [("create", "coordination.k8s.io", "leases", NAMESPACE, "")]
    may += [(verb, "coordination.k8s.io", "leases", NAMESPACE, "suanli-operator") for verb in ("get", "update")]
    may += [("create", "events.k8s.io", "events", "team-a", ""), ("get", "", "namespaces", "", "kube-system")]
    return may


def operator_may_not() -> list[Question]:
    no = [(verb, GROUP, kind, "", "") for kind in KINDS for verb in ("create", "update", "patch", "delete")]
    no += [("update", GROUP, f"{kind}/status", "", "") for kind in KINDS]
    no += [(verb, "", "secrets", "team-a", "") for verb in ("get", "list", "watch", "create")]
    no += [(verb, "", "secrets", NAMESPACE, "") for verb in ("create", "update", "patch", "delete")]
    no += [(verb, "coordination.k8s.io", "leases", "kube-system", "") for verb in ("get", "create", "update")]
    no += [(verb, "coordination.k8s.io", "leases", NAMESPACE, "another") for verb in ("get", "update", "delete")]
    no += [(verb, "", kind, "", "") for kind in ("pods", "nodes", "configmaps") for verb in ("get", "list", "create")]
    no += [
        ("get", "", "namespaces", "", "team-a"),
        ("list", "", "namespaces", "", ""),
        ("create", "", "pods/exec", "", ""),
    ]
    no += [("create", "", "serviceaccounts/token", NAMESPACE, "suanli"), ("impersonate", "", "users", "", "admin")]
    no += [("create", "rbac.authorization.k8s.io", "clusterrolebindings", "", ""), ("*", "*", "*", "", "")]
    no += [("list", "apiextensions.k8s.io", "customresourcedefinitions", "", "")]
    return no


def test_the_operator_may_do_its_work(installed: Kubectl) -> None:
    def refused() -> list[Question]:
        return [question for question, yes in answers(installed, OPERATOR, operator_may()).items() if not yes]

    wait_for("the API server to know its roles", lambda: not refused())


def test_the_operator_may_do_nothing_else(installed: Kubectl) -> None:
    said = answers(installed, OPERATOR, operator_may_not())
    assert [question for question, yes in said.items() if yes] == []


@pytest.mark.parametrize(
    ("role", "may"),
    [("view", {"get", "list", "watch"}), ("edit", {"get", "list", "watch", "create", "update", "patch", "delete"})],
)
def test_people_have_their_jobs_and_no_more(installed: Kubectl, role: str, may: set[str]) -> None:
    namespace, user = f"team-{role}", f"{role}-of-team"
    installed("create", "namespace", namespace)
    installed("create", "rolebinding", "people", f"--clusterrole={role}", f"--user={user}", "-n", namespace)
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    mine: list[Question] = [(verb, GROUP, "computejobs", namespace, "") for verb in verbs]

    def allowed() -> set[str]:
        return {question[0] for question, yes in answers(installed, user, mine).items() if yes}

    wait_for(f"role {role} to be aggregated", lambda: allowed() >= may)
    assert allowed() == may
    others: list[Question] = [(verb, GROUP, "computejobs", "somebody-else", "") for verb in verbs]
    others += [(verb, GROUP, "computejobs/status", namespace, "") for verb in ("update", "patch")]
    others += [(verb, GROUP, kind, "", "") for kind in KINDS[:5] for verb in verbs]
    assert [question for question, yes in answers(installed, user, others).items() if yes] == []


def test_the_map_has_readers_only_when_somebody_binds_them(installed: Kubectl) -> None:
    installed("create", "clusterrolebinding", "map", "--clusterrole=suanli-map-viewer", "--user=planner")
    asked: list[Question] = [(v, GROUP, k, "", "") for k in KINDS for v in ("list", "create")]
    wait_for("the API server to know of it", lambda: answers(installed, "planner", asked)[asked[0]])
    said = answers(installed, "planner", asked)
    assert {question[2] for question, yes in said.items() if yes} == set(KINDS[:5])
    assert {question[0] for question, yes in said.items() if yes} == {"list"}


def test_the_api_server_takes_every_object_as_it_is(installed: Kubectl, helm: str) -> None:
    said = upgrade(
        installed, helm, "operator.replicas=1", "networkPolicy.enabled=true", "operator.settings.retainFinishedS=2592000"
    )  # fmt: skip
    assert "suanli site join" in said
    deployment: dict[str, Any] = installed.json("get", "deployment", "suanli", "-n", NAMESPACE)
    assert deployment["spec"]["replicas"] == 1
    again = upgrade(installed, helm, "operator.replicas=0")
    assert "operator.replicas is 0" in again


def test_pods_of_the_operator_pass_pod_security_restricted(installed: Kubectl) -> None:
    deployment = installed.json("get", "deployment", "suanli", "-n", NAMESPACE)
    installed("create", "namespace", "strict")
    installed("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    template = deployment["spec"]["template"]
    template["spec"] |= {"serviceAccountName": "default", "automountServiceAccountToken": False}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": template["spec"]}
    wait_for("the default account", lambda: "default" in installed("get", "serviceaccounts", "-n", "strict"))
    installed("create", "-n", "strict", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_what_holds_data_survives_an_uninstall(hub: Kubectl, helm: str) -> None:
    upgrade(hub, helm, "operator.replicas=0")
    run([helm, "uninstall", "suanli", "--kubeconfig", hub.kubeconfig, "--namespace", NAMESPACE])
    assert "computejobs.suanli.io" in hub("get", "crds")
    assert "suanli-ledger" in hub("get", "pvc", "-n", NAMESPACE)
    assert "suanli" not in hub("get", "clusterroles,clusterrolebindings", "-o", "name")
    upgrade(hub, helm, "operator.replicas=0")
    assert "suanli" in hub("get", "serviceaccounts", "-n", NAMESPACE)
