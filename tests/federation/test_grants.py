"""What a member grants: exactly what the hub does there, named and marked as the hub's. tests/e2e tries it on real clusters."""

import re

import pytest

from suanli.base.names import LABEL_HUB, LABEL_MANAGED, member_account
from suanli.federation.grants import account_objects, fence_objects, forbidden_namespace, system_namespace, token_secret
from suanli.kube.client import Json

HUB = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60"
NAME = member_account(HUB)
MENDED = (("", "namespaces"), ("", "resourcequotas"), ("networking.k8s.io", "networkpolicies"))


def of(kind: str) -> Json:
    (found,) = [o for o in account_objects(HUB) if o["kind"] == kind]
    return found


def test_the_rights_are_those_that_are_used_and_no_more() -> None:
    granted = {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in of("ClusterRole")["rules"]
        for group in rule.get("apiGroups", [""])
        for resource in [*rule.get("resources", ()), *rule.get("nonResourceURLs", ())]
        for verb in rule["verbs"]
    }
    assert granted == {
        ("", "nodes", "list", ()),
        ("", "nodes", "watch", ()),
        ("", "pods", "list", ()),
        ("", "pods", "watch", ()),
        ("", "pods", "patch", ()),
        ("coordination.k8s.io", "leases", "patch", ("suanli-fence",)),
        *((group, resource, verb, ()) for group, resource in MENDED for verb in ("create", "list", "patch")),
        ("", "namespaces", "get", ("kube-system", "suanli-system")),
        ("batch", "jobs", "get", ()),
        ("batch", "jobs", "list", ()),
        ("batch", "jobs", "watch", ()),
        ("batch", "jobs", "create", ()),
        ("batch", "jobs", "delete", ()),
        ("", "/version", "get", ()),
    }


def test_everything_carries_the_hubs_mark_so_that_leaving_finds_it() -> None:
    for made in [*account_objects(HUB), system_namespace(HUB, "s", made=True)]:
        assert made["metadata"]["labels"] == {LABEL_HUB: HUB, LABEL_MANAGED: "suanli"}
    assert {o["metadata"]["name"] for o in account_objects(HUB)} == {NAME}
    assert member_account("another") != NAME


def test_the_fence_comes_before_the_rights_and_the_token_last() -> None:
    assert [o["kind"] for o in account_objects(HUB)] == [
        "ServiceAccount",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ClusterRole",
        "ClusterRoleBinding",
        "Secret",
    ]
    assert token_secret(HUB)["metadata"]["annotations"] == {"kubernetes.io/service-account.name": NAME}


def test_the_fence_is_for_every_write_of_the_hubs_account_and_of_nobody_else() -> None:
    policy, binding = of("ValidatingAdmissionPolicy")["spec"], of("ValidatingAdmissionPolicyBinding")["spec"]
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule == {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"], "scope": "*"}
    (who,) = policy["matchConditions"]
    assert who["expression"] == f"request.userInfo.username == 'system:serviceaccount:suanli-system:{NAME}'"
    assert binding == {"policyName": NAME, "validationActions": ["Deny"]}


@pytest.mark.parametrize("validation", of("ValidatingAdmissionPolicy")["spec"]["validations"])
def test_the_fence_says_what_it_forbids(validation: Json) -> None:
    assert validation["message"].startswith("the hub may ")
    assert validation["reason"] == "Forbidden"
    assert not re.search(r"\{|\}", validation["message"]), "every name is filled in"


def test_the_probe_of_the_fence_is_outside_of_it() -> None:
    assert not forbidden_namespace()["metadata"]["name"].startswith("suanli-t-")


@pytest.mark.parametrize("made", [True, False])
def test_the_system_namespace_tells_whose_it_is(made: bool) -> None:
    annotations = system_namespace(HUB, "s", made=made)["metadata"]["annotations"]
    assert annotations["suanli.io/site"] == "s"
    assert ("suanli.io/made-by-join" in annotations) is made


def test_the_members_fence_is_limited_before_it_runs_and_the_hub_can_rely_on_it_last() -> None:
    made = fence_objects(HUB, "team/suanli:1")
    assert [o["kind"] for o in made] == [
        "ServiceAccount",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "Lease",
    ]
    assert {o["metadata"]["name"] for o in made} == {"suanli-fence"}
    (rights,) = [o["rules"] for o in made if o["kind"] == "ClusterRole"]
    assert {(r["resources"][0], *r["verbs"]) for r in rights} == {
        ("leases", "get", "patch"),
        ("jobs", "list", "patch"),
        ("pods", "list", "delete"),
    }
    (deployment,) = [o["spec"] for o in made if o["kind"] == "Deployment"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert (container["image"], container["args"]) == ("team/suanli:1", ["fence"])
    assert deployment["replicas"] == 2
