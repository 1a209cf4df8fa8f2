"""What the chart makes of its values."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from gates.reference import OF_THE_POD
from suanli.base.settings import Settings, load

Render = Callable[..., dict[tuple[str, str], dict[str, Any]]]
ON = {
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"team": "sre"}}},
    "networkPolicy": {"enabled": True, "scrapeNamespaceLabels": {"name": "monitoring"}},
}
EXAMPLES: dict[str, Any] = {"log_level": "DEBUG", "log_format": "text", "allow_loopback_members": "Allow"}


def the_pod(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment", "suanli"]["spec"]["template"]["spec"]
    return spec


def environment(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    return {e["name"]: e["value"] for e in the_pod(objects)["containers"][0]["env"] if "value" in e}


def test_the_pod_meets_pod_security_restricted(render: Render) -> None:
    pod = the_pod(render())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(set(v) & {"emptyDir", "persistentVolumeClaim"} for v in pod["volumes"])


def test_no_variable_of_a_service_is_taken_for_a_setting(render: Render) -> None:
    assert the_pod(render())["enableServiceLinks"] is False


def test_probes_and_metrics_reach_the_port_the_operator_listens_on(render: Render) -> None:
    objects = render()
    (container,) = the_pod(objects)["containers"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == environment(objects)["SUANLI_HTTP_PORT"]
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    assert objects["Service", "suanli-metrics"]["spec"]["ports"][0]["targetPort"] == port["name"]


def test_selectors_find_the_pod(render: Render) -> None:
    objects = render(ON)
    labels = objects["Deployment", "suanli"]["spec"]["template"]["metadata"]["labels"].items()
    service = objects["Service", "suanli-metrics"]
    assert service["spec"]["selector"].items() <= labels
    assert objects["Deployment", "suanli"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert objects["PodDisruptionBudget", "suanli"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert objects["NetworkPolicy", "suanli"]["spec"]["podSelector"]["matchLabels"].items() <= labels
    monitor = objects["ServiceMonitor", "suanli"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["team"] == "sre"


def test_the_operator_understands_every_setting_of_the_chart(render: Render) -> None:
    fields = {name: field for name, field in Settings.model_fields.items() if name not in OF_THE_POD}
    wanted = {name: EXAMPLES.get(name, field.default) for name, field in fields.items()}
    objects = render({"operator": {"settings": {to_camel(name): value for name, value in wanted.items()}}})
    settings = load(environment(objects))
    assert {name: getattr(settings, name) for name in wanted} == wanted
    assert settings.data_dir == "/var/lib/suanli"


def test_large_numbers_stay_whole(render: Render) -> None:
    objects = render({"operator": {"settings": {"retainFinishedS": 2_592_000}}})
    assert environment(objects)["SUANLI_RETAIN_FINISHED_S"] == "2592000"


def test_the_ledger_is_where_the_operator_writes(render: Render) -> None:
    objects = render()
    pod = the_pod(objects)
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claim = volumes[mounts[environment(objects)["SUANLI_DATA_DIR"]]]["persistentVolumeClaim"]["claimName"]
    assert objects["PersistentVolumeClaim", claim]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert objects["Deployment", "suanli"]["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("persistence", "volume"),
    [
        ({"enabled": False}, {"emptyDir": {}}),
        ({"existingClaim": "mine"}, {"persistentVolumeClaim": {"claimName": "mine"}}),
    ],
)
def test_no_claim_is_made_when_none_is_wanted(
    render: Render, persistence: dict[str, Any], volume: dict[str, Any]
) -> None:
    objects = render({"persistence": persistence})
    assert {"name": "ledger", **volume} in the_pod(objects)["volumes"]
    assert not [kind for kind, _ in objects if kind == "PersistentVolumeClaim"]


def test_no_replicas_is_a_choice(render: Render) -> None:
    assert render({"operator": {"replicas": 0}})["Deployment", "suanli"]["spec"]["replicas"] == 0


def test_a_digest_goes_before_a_tag(render: Render) -> None:
    digest = "sha256:" + "0" * 64
    objects = render({"image": {"repository": "here/suanli", "tag": "x", "digest": digest}})
    assert the_pod(objects)["containers"][0]["image"] == f"here/suanli@{digest}"


def test_constraints_on_nodes_reach_the_pod(render: Render) -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    toleration = {"key": "hub", "operator": "Exists", "effect": "NoSchedule"}
    operator = {"topologySpreadConstraints": [spread], "tolerations": [toleration], "nodeSelector": {"role": "hub"}}
    pod = the_pod(render({"operator": operator}))
    assert pod["tolerations"] == [toleration]
    assert pod["nodeSelector"] == {"role": "hub"}
    (found,) = pod["topologySpreadConstraints"]
    assert found["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "suanli"
    assert {key: found[key] for key in spread} == spread


def test_names_follow_the_release(render: Render) -> None:
    assert ("Deployment", "prod-suanli") in render(release="prod")
    assert ("Deployment", "hub") in render({"fullnameOverride": "hub"})


def test_roles_join_the_clusters_own_only_when_wanted(render: Render) -> None:
    def aggregated(objects: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
        labels = [o["metadata"]["labels"] for (kind, _), o in objects.items() if kind == "ClusterRole"]
        return sorted(key.rpartition("-")[2] for each in labels for key in each if "aggregate" in key)

    assert aggregated(render()) == ["admin", "edit", "view"]
    assert aggregated(render({"rbac": {"aggregate": False}})) == []


def test_crds_and_policy_can_be_left_out(render: Render) -> None:
    kinds = {kind for kind, _ in render()}
    assert {"CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} <= kinds
    fewer = {kind for kind, _ in render({"crds": {"enabled": False}, "admissionPolicy": {"enabled": False}})}
    assert not [kind for kind in fewer if kind.startswith(("CustomResource", "ValidatingAdmission"))]


def test_kept_crds_survive_the_release(render: Render) -> None:
    def kept(values: dict[str, Any]) -> set[str]:
        crds = [o for (kind, _), o in render(values).items() if kind == "CustomResourceDefinition"]
        return {(crd["metadata"].get("annotations") or {}).get("helm.sh/resource-policy", "") for crd in crds}

    assert kept({}) == {"keep"}
    assert kept({"crds": {"keep": False}}) == {""}
