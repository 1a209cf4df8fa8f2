"""A job becomes one Job: always the same one, as the user wrote it, and with nothing of the user's beyond its container."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.api.job import Assignment, ComputeJobSpec
from suanli.api.site import SiteResource
from suanli.base.names import FINALIZER_METERING, LABEL_EPOCH, LABEL_HUB, LABEL_JOB_UID, LABEL_MANAGED
from suanli.federation import facts
from suanli.federation.render import job_manifest, namespace_manifest, release_patch

Json = dict[str, Any]
HUB = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60"
UID = "0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55"
GENERAL = {"class": "general", "type": "General", "resourceName": "cpu", "unit": "Core"}
CARDS = {"class": "a100", "type": "Intelligent", "resourceName": "nvidia.com/gpu", "unit": "Card"}


def rendered(
    template: Json | None = None,
    *,
    resource: Json | None = None,
    per_task: Json | None = None,
    epoch: int = 2,
    **spec: Any,
) -> Json:
    wanted = {
        "origin": "shanghai",
        "tasks": 3,
        "resources": {"class": ["general"], "perTask": {"cpu": "2", "memory": "4Gi", **(per_task or {})}},
        "template": {"image": "registry.example/train:1", **(template or {})},
        **spec,
    }
    return job_manifest(
        hub_id=HUB,
        namespace="team-a",
        name="train",
        uid=UID,
        spec=ComputeJobSpec.model_validate(wanted),
        assignment=Assignment.model_validate(
            {"site": "s", "epoch": epoch, "class": (resource or GENERAL)["class"], "time": "2026-01-31T08:00:00Z"}
        ),
        resource=SiteResource.model_validate(resource or GENERAL),
    )


def pod(job: Json) -> Json:
    spec: Json = job["spec"]["template"]["spec"]
    return spec


def container(job: Json) -> Json:
    (only,) = pod(job)["containers"]
    assert isinstance(only, dict)
    return only


# --- who it is


def test_a_job_is_named_and_labelled_by_uid_and_epoch() -> None:
    job = rendered()
    metadata, template = job["metadata"], job["spec"]["template"]["metadata"]
    assert metadata["name"] == f"j-{UID}-2"
    labels = {LABEL_HUB: HUB, LABEL_JOB_UID: UID, LABEL_EPOCH: "2", LABEL_MANAGED: "suanli"}
    assert metadata["labels"] == template["labels"] == labels
    assert template["finalizers"] == [FINALIZER_METERING]
    assert "finalizers" not in metadata
    assert facts.is_ours(facts.own_job(job)), "the hub knows its own again"


def test_the_same_input_always_gives_the_same_object() -> None:
    template = {"command": ["a"], "env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]}
    first, second = (json.dumps(rendered(template)) for _ in range(2))
    assert first == second
    assert rendered(epoch=3)["metadata"]["name"] != rendered(epoch=2)["metadata"]["name"]


@pytest.mark.parametrize("namespace", ["a", "team-a", "x" * 63, "x" * 39 + "-" + "y" * 23])
def test_a_tenants_namespace_is_a_name_of_its_own_under_restricted_pod_security(namespace: str) -> None:
    made, other = namespace_manifest(HUB, namespace), namespace_manifest("other-hub", namespace)
    assert re.fullmatch(r"suanli-t-[a-z0-9]([-a-z0-9]*[a-z0-9])?", made["metadata"]["name"])
    assert len(made["metadata"]["name"]) <= 63
    assert made["metadata"]["name"] != other["metadata"]["name"]
    assert made["metadata"]["labels"] == {
        LABEL_HUB: HUB,
        LABEL_MANAGED: "suanli",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }


# --- what it may


def test_all_tasks_are_one_indexed_job_that_is_tried_once() -> None:
    spec = rendered(tasks=8)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (8, 8, "Indexed")
    assert (spec["backoffLimit"], pod(rendered())["restartPolicy"]) == (0, "Never")


@pytest.mark.parametrize(("limit", "seconds"), [("90m", 5_400), ("1s", 1), ("1500ms", 2)])
def test_a_deadline_is_whole_seconds_and_never_less_than_asked(limit: str, seconds: int) -> None:
    assert rendered(limits={"activeDeadline": limit})["spec"]["activeDeadlineSeconds"] == seconds
    assert "activeDeadlineSeconds" not in rendered()["spec"]


def test_limits_are_what_is_requested() -> None:
    resources = container(rendered(per_task={"cpu": "500m", "memory": "1Gi"}))["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "500m", "memory": "1Gi"}
    resources = container(rendered(resource=CARDS, per_task={"cards": 4}))["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "4"}


def test_a_pod_has_no_rights_no_token_and_no_more_than_the_restricted_profile_allows() -> None:
    job = rendered({"scratch": {"size": "10Gi", "mountPath": "/scratch"}, "workingDir": "/work"})
    spec, only = pod(job), container(job)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for context in (spec["securityContext"], only["securityContext"]):
        assert context["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert only["securityContext"]["allowPrivilegeEscalation"] is False
    assert spec["volumes"] == [{"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}}]
    assert only["volumeMounts"] == [{"name": "scratch", "mountPath": "/scratch"}]
    assert only["workingDir"] == "/work"
    known = {
        "restartPolicy",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "terminationGracePeriodSeconds",
        "securityContext",
        "containers",
        "volumes",
    }
    assert set(spec) == known, "nothing else can be set, and nothing of it by the user"


def test_a_job_goes_to_the_nodes_of_its_class() -> None:
    assert pod(rendered(resource={**GENERAL, "nodeLabels": {"pool": "batch"}}))["nodeSelector"] == {"pool": "batch"}
    assert "nodeSelector" not in pod(rendered())


# --- what the user wrote


def _as_kubernetes_expands(text: str, values: dict[str, str]) -> str:
    """How a kubelet turns what a pod says into what the container sees: "$(NAME)" is a variable, "$$" is one "$"."""
    result, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            result, at = result + text[at], at + 1
        elif text[at + 1] == "(" and ")" in text[at:]:
            end = text.index(")", at)
            name = text[at + 2 : end]
            result, at = result + values.get(name, f"$({name})"), end + 1
        else:
            result, at = result + ("$" if text[at + 1] == "$" else text[at : at + 2]), at + 2
    return result


VALUES = {"A": "expanded", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "": "empty"}


@pytest.mark.parametrize(
    "text",
    [
        "$(A)",
        "$$(A)",
        "$$$(A)",
        "$",
        "$$",
        "a$",
        "$A",
        "${A}",
        "$()",
        "$(A",
        "$(B)",
        "$((A))",
        "$$$$(A)$(A)$$",
        "awk '{print $1}'",
        "plain",
    ],
)
def test_what_the_user_wrote_reaches_the_container_as_it_is(text: str) -> None:
    only = container(rendered({"command": [text], "args": ["x", text], "env": [{"name": "A", "value": text}]}))
    for written in (only["command"][0], only["args"][1], only["env"][0]["value"]):
        assert _as_kubernetes_expands(written, VALUES) == text


@given(st.text(st.sampled_from("$()A b"), max_size=12))
def test_no_text_is_ever_expanded(text: str) -> None:
    assert _as_kubernetes_expands(container(rendered({"args": [text]}))["args"][0], VALUES) == text


def test_what_is_not_given_is_the_images_own() -> None:
    assert not {"command", "args", "env", "workingDir", "volumeMounts"} & set(container(rendered()))
    assert "volumes" not in pod(rendered())


# --- letting a pod go


def test_our_finalizer_is_taken_off_and_no_other() -> None:
    tracking = "batch.kubernetes.io/job-tracking"
    assert release_patch("u", [tracking, FINALIZER_METERING]) == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/finalizers/1", "value": FINALIZER_METERING},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]
    assert release_patch("u", [tracking]) == []
    assert release_patch("u", []) == []
