"""What bounds a tenant's pods on a member: nothing is reached but what the settings name."""

from typing import Any

import pytest

from suanli.base.settings import load
from suanli.federation.tenancy import Bounds, guards, mending

Json = dict[str, Any]
HUB, SPACE = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60", "suanli-t-team-a-01234567"


def made(kind: str, **settings: str) -> Json:
    bounds = Bounds.of(load({f"SUANLI_{name.upper()}": value for name, value in settings.items()}))
    (found,) = [each for each in guards(HUB, SPACE, bounds) if each["kind"] == kind]
    return found


def policy(**settings: str) -> Json:
    spec: Json = made("NetworkPolicy", **settings)["spec"]
    assert spec["podSelector"] == {}, "it is for all pods"
    assert spec["policyTypes"] == ["Ingress", "Egress"], "what is not named is denied, both ways"
    return spec


def test_nothing_is_reached_where_tasks_are_isolated() -> None:
    spec = policy(tenant_network="Isolated", tenant_egress="10.0.0.0/8")
    assert (spec["ingress"], spec["egress"]) == ([], [])


def test_by_default_tasks_reach_their_own_tenants_tasks_and_names() -> None:
    spec = policy()
    assert spec["ingress"] == [{"from": [{"podSelector": {}}]}]
    own, names = spec["egress"]
    assert own == {"to": [{"podSelector": {}}]}
    assert {port["port"] for port in names["ports"]} == {53}
    assert names["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]


@pytest.mark.parametrize(
    ("network", "block"),
    [
        ("10.8.0.0/16", {"cidr": "10.8.0.0/16"}),
        ("203.0.113.7", {"cidr": "203.0.113.7/32"}),
        ("0.0.0.0/0", {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}),
        ("169.0.0.0/8", {"cidr": "169.0.0.0/8", "except": ["169.254.0.0/16"]}),
        ("169.254.20.10/32", {"cidr": "169.254.20.10/32"}),
        ("::/0", {"cidr": "::/0", "except": ["fe80::/10"]}),
        ("2001:db8::/32", {"cidr": "2001:db8::/32"}),
    ],
)
def test_a_wide_network_leaves_out_the_credentials_of_machines(network: str, block: Json) -> None:
    *_, outside = policy(tenant_egress=f"192.0.2.0/24, {network}")["egress"]
    assert outside == {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"ipBlock": block}]}


def test_a_list_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(ValueError, match=r'SUANLI_TENANT_EGRESS="10\.8\.0\.1/16": .*has host bits set'):
        load({"SUANLI_TENANT_EGRESS": "10.8.0.1/16"})
    with pytest.raises(ValueError, match='SUANLI_TENANT_NETWORK="Closed"'):
        load({"SUANLI_TENANT_NETWORK": "Closed"})


def test_everything_is_reached_where_that_is_wanted() -> None:
    spec = policy(tenant_network="Open")
    assert (spec["ingress"], spec["egress"]) == ([{}], [{}])


def test_a_tenant_has_pods_and_nothing_that_lasts_or_listens() -> None:
    assert made("ResourceQuota", tenant_pods="20000")["spec"]["hard"] == {
        "pods": "20000",
        "services": "0",
        "persistentvolumeclaims": "0",
    }


def test_as_a_server_writes_it_is_as_it_is_to_be() -> None:
    quota, isolated = made("ResourceQuota", tenant_pods="20000"), made("NetworkPolicy", tenant_network="Isolated")
    hard = {"pods": "20k", "services": "0", "persistentvolumeclaims": "0"}
    assert mending({**quota, "spec": {"hard": hard}}, quota) == []
    stored = {key: value for key, value in isolated["spec"].items() if value != []}
    assert mending({**isolated, "spec": stored}, isolated) == []


@pytest.mark.parametrize(
    "hostile", [{}, {"spec": "x"}, {"metadata": [], "spec": {"hard": 7}}, {"spec": {"hard": {"pods": []}}}]
)
def test_whatever_stands_there_it_is_put_right(hostile: Json) -> None:
    quota = made("ResourceQuota")
    patch = mending(hostile, quota)
    assert [step["path"] for step in patch if step["op"] == "add"] == ["/metadata/labels", "/spec"]
    assert patch[-1]["value"] == quota["spec"]
