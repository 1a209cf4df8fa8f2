"""The schema refuses what would not do, and says where."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.shell import CommandError

Render = Callable[..., dict[tuple[str, str], dict[str, Any]]]


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    found: dict[str, Any] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", 1),
        ("operator.replica", 1),
        ("operator.replicas", 2),
        ("operator.replicas", -1),
        ("operator.replicas", "one"),
        ("operator.settings.cycleMs", 1),
        ("operator.settings.cycleMs", "200"),
        ("operator.settings.cycle_ms", 200),
        ("operator.settings.logLevel", "TRACE"),
        ("operator.settings.namespace", "elsewhere"),
        ("operator.settings.httpPort", 9090),
        ("operator.resources.limits.memory", "lots"),
        ("operator.resources.limits.gpu", 1),
        ("operator.nodeSelector.role", "not a label"),
        ("operator.tolerations", [{"key": "a", "effect": "Sometimes"}]),
        ("operator.topologySpreadConstraints", [{"maxSkew": 1}]),
        ("operator.terminationGracePeriodSeconds", 1),
        ("operator.affinity", {}),
        ("image.repository", ""),
        ("image.repository", "Upper/case"),
        ("image.tag", "a b"),
        ("image.digest", "sha256:short"),
        ("image.pullPolicy", "Sometimes"),
        ("image.pullSecrets", [{}]),
        ("crds.keep", "yes"),
        ("crds.install", True),
        ("admissionPolicy.mode", "Deny"),
        ("rbac.create", False),
        ("serviceAccount.name", "Not_A_Name"),
        ("serviceAccount.annotations.key", 1),
        ("persistence.size", "0Gi"),
        ("persistence.size", 1),
        ("persistence.accessMode", "ReadWriteMany"),
        ("persistence.storageClassName", "-"),
        ("podDisruptionBudget.maxUnavailable", 2),
        ("metrics.service.port", 0),
        ("metrics.serviceMonitor.interval", "30"),
        ("networkPolicy.apiServerPorts", []),
        ("networkPolicy.apiServerPorts", [70_000]),
        ("nameOverride", "Upper"),
        ("fullnameOverride", "x" * 53),
    ],
)
def test_refused(render: Render, path: str, value: Any) -> None:
    with pytest.raises(CommandError) as refused:
        render(nested(path, value))
    said = str(refused.value)
    assert "values don't meet the specifications of the schema" in said
    assert "/".join(path.split(".")[:-1]) in said
    assert path.rpartition(".")[2] in said


def test_a_monitor_without_its_service_is_refused(render: Render) -> None:
    with pytest.raises(CommandError, match="values don't meet"):
        render({"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("global", {"anything": 1}),
        ("operator.settings", {"cycleMs": 500, "logLevel": "DEBUG"}),
        ("operator.resources.limits", {"cpu": 2, "memory": "2Gi", "ephemeral-storage": "100Mi"}),
        ("operator.nodeSelector", {"topology.kubernetes.io/zone": "a"}),
        ("image.repository", "somewhere.example:5000/team/suanli"),
        ("persistence.storageClassName", "fast"),
        ("networkPolicy.apiServerPorts", [6443]),
        ("metrics.service.enabled", False),
    ],
)
def test_taken(render: Render, path: str, value: Any) -> None:
    assert ("Deployment", "suanli") in render(nested(path, value))
