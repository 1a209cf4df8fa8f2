"""What stands around a tenant's Jobs on a member beside its namespace: a NetworkPolicy and a ResourceQuota. Pure.

The namespace itself, under Pod Security "restricted", is render.namespace_manifest.
Source: Kubernetes documentation, "Network Policies" and "Resource Quotas".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from suanli.base.names import GUARD, LABEL_HUB, LABEL_MANAGED, MANAGER
from suanli.base.settings import Settings, networks
from suanli.base.units import quantity
from suanli.base.untrusted import Raw, mapping, text

Json = dict[str, Any]
# Where clouds keep the credentials of their machines; within a wider network it is never reached.
_LINK_LOCAL = {4: ip_network("169.254.0.0/16"), 6: ip_network("fe80::/10")}
_DNS = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
_OWN: Json = {"podSelector": {}}  # the pods of the same namespace


@dataclass(frozen=True)
class Bounds:
    """What the tasks of one tenant may reach on a member, and how many pods they may be."""

    network: str  # Isolated, Tenant or Open
    egress: tuple[str, ...]
    pods: int

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """As the settings say."""
        return cls(settings.tenant_network, networks(settings.tenant_egress), settings.tenant_pods)


def guards(hub_id: str, namespace: str, bounds: Bounds) -> list[Json]:
    """The objects in a tenant's namespace on a member that bound what its pods may do."""

    def metadata() -> Json:
        return {"name": GUARD, "namespace": namespace, "labels": {LABEL_HUB: hub_id, LABEL_MANAGED: MANAGER}}

    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(),
            "spec": _network(bounds),
        },
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": metadata(),
            # Tasks need no services and no claims: nothing of the hub makes any.
            "spec": {"hard": {"pods": str(bounds.pods), "services": "0", "persistentvolumeclaims": "0"}},
        },
    ]


def mending(seen: Raw, wanted: Json) -> list[Json]:
    """The JSON patch that makes an object what it is to be; empty when it is that. Of one that is not known all is written."""
    labels = mapping(mapping(seen.get("metadata")).get("labels"))
    patch: list[Json] = []
    if not _holds(labels, wanted["metadata"]["labels"]):
        patch.append({"op": "add", "path": "/metadata/labels", "value": {**labels, **wanted["metadata"]["labels"]}})
    if "spec" in wanted and _plain(mapping(seen.get("spec"))) != _plain(wanted["spec"]):
        patch.append({"op": "add", "path": "/spec", "value": wanted["spec"]})
    same = {"op": "test", "path": "/metadata/uid", "value": _uid(seen)}
    return [same, *patch] if patch and seen else patch


def _network(bounds: Bounds) -> Json:
    """All pods, both ways: what is not named is denied."""
    rules: dict[str, tuple[list[Json], list[Json]]] = {
        "Isolated": ([], []),
        "Tenant": ([{"from": [_OWN]}], [{"to": [_OWN]}, _DNS, *_outside(bounds.egress)]),
        "Open": ([{}], [{}]),
    }
    ingress, egress = rules[bounds.network]
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress}


def _outside(egress: tuple[str, ...]) -> list[Json]:
    return [{"to": [{"ipBlock": _block(network)} for network in egress]}] if egress else []


def _block(text: str) -> Json:
    network = ip_network(text)
    kept = _LINK_LOCAL[network.version]
    within = network.version == kept.version and network != kept and kept.subnet_of(network)  # type: ignore[arg-type]
    return {"cidr": str(network), "except": [str(kept)]} if within else {"cidr": str(network)}


def _holds(found: Raw, wanted: Mapping[str, str]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _uid(seen: Raw) -> str:
    return text(mapping(seen.get("metadata")).get("uid"))


def _plain(spec: Raw) -> Json:
    """A spec as it compares: servers leave out what is empty, and write amounts in their own way."""
    plain = {key: value for key, value in spec.items() if value not in (None, [], {})}
    if "hard" in plain:
        plain["hard"] = {key: _amount(value) for key, value in mapping(plain["hard"]).items()}
    return plain


def _amount(value: object) -> object:
    try:
        return quantity(str(value))
    except ValueError:
        return value
