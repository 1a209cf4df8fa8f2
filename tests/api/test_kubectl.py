"""What a person sees of the resources through kubectl."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from manifests import (
    BUILDERS,
    Manifest,
    a_job,
    a_link,
    a_policy,
    a_region,
    a_site,
    changed,
)
from suanli.api import KINDS, ComputeJob, ComputeRegion
from verdicts import Hub

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "national"
MODELS = {model.kind_info.kind: model for model in KINDS}


def one_of_each(name: str) -> list[Manifest]:
    return [build(f"{name}-{kind}") for kind, build in BUILDERS.items()]


def unwrapped(text: str) -> str:
    return re.sub(r"\s+", " ", text)


# --- explain and get


def test_explain_reads_like_documentation(hub: Hub) -> None:
    said = unwrapped(hub.kubectl("explain", "computejob.spec"))
    fields = ComputeJob.model_fields["spec"].annotation
    assert fields is not None
    for name, field in fields.model_fields.items():
        assert f" {field.alias or name} <" in said
        assert f"{field.description} " in f"{said} "
    assert "origin <string> -required-" in said
    assert "enum: AtMostOnce, AtLeastOnce" in said
    assert "What that choice stands on cannot be changed afterwards" in said


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_can_be_explained_to_the_last_field(hub: Hub, kind: str) -> None:
    said = hub.kubectl("explain", kind.lower(), "--recursive")
    assert said.count("\t<") > 15
    for part in ("spec", "status"):
        assert "<no description>" not in hub.kubectl("explain", f"{kind.lower()}.{part}")


def test_get_shows_state_site_class_reason_and_age(hub: Hub) -> None:
    hub.verdicts([a_job("shown")], "apply")
    time = "2026-01-31T08:00:00Z"
    status = {
        "state": "Waiting",
        "reason": "LatencyBoundExceeded",
        "assignment": {"site": "wuhu-dc1", "epoch": 1, "class": "cpu-x86", "time": time},
        "usage": {"cardHours": "1.500000", "coreHours": "3.000000"},
        "conditions": [
            {
                "type": "Placed",
                "status": "False",
                "reason": "LatencyBoundExceeded",
                "message": "12 of 16 sites are too far",
                "lastTransitionTime": time,
            }
        ],
    }
    patch = json.dumps({"status": status})
    hub.kubectl("patch", "cjob", "shown", "--subresource=status", "--type=merge", "--patch", patch)
    head, row = hub.kubectl("get", "cjob", "shown").splitlines()
    assert head.split() == ["NAME", "STATE", "SITE", "CLASS", "REASON", "AGE"]
    assert row.split()[:-1] == ["shown", "Waiting", "wuhu-dc1", "cpu-x86", "LatencyBoundExceeded"]
    assert re.fullmatch(r"\d+[sm]", row.split()[-1])
    wide = hub.kubectl("get", "cjob", "shown", "-o", "wide")
    for text in ("ORIGIN", "shanghai", "1.500000", "12 of 16 sites are too far"):
        assert text in wide


def test_a_job_that_nobody_has_looked_at_has_empty_columns(hub: Hub) -> None:
    hub.verdicts([a_job("fresh")], "apply")
    _, row = hub.kubectl("get", "cjob", "fresh").splitlines()
    name, age = row.split()
    assert (name, bool(re.fullmatch(r"\d+[sm]", age))) == ("fresh", True)


def test_one_word_lists_them_all(hub: Hub) -> None:
    hub.verdicts(one_of_each("listed"), "apply")
    said = hub.kubectl("get", "suanli", "-o", "name")
    assert {line.split(".")[0] for line in said.split() if "/listed-" in line} == {kind.lower() for kind in MODELS}


def test_no_name_clashes_with_another_kind(hub: Hub) -> None:
    resources: list[dict[str, Any]] = []
    for line in hub.kubectl("api-resources", "--no-headers").splitlines():
        words = line.split()
        short = words[1].split(",") if len(words) == 5 else []
        group = words[-3].rpartition("/")[0]
        resources.append({"group": group, "names": {words[0], words[-1].lower(), *short}})
    ours = [each for each in resources if each["group"] == "suanli.io"]
    others = {name for each in resources if each["group"] != "suanli.io" for name in each["names"]}
    assert len(ours) == len(KINDS)
    assert len(others) > 60
    for each in ours:
        assert not each["names"] & others


# --- apply


def versions(hub: Hub) -> dict[str, tuple[str, int]]:
    found = hub.kubectl.json("get", "suanli", "--all-namespaces")["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": (
            each["metadata"]["resourceVersion"],
            each["metadata"]["generation"],
        )
        for each in found
    }


def test_the_national_example_is_taken_and_applying_it_again_changes_nothing(hub: Hub) -> None:
    first = hub.kubectl("apply", "--recursive", "-f", EXAMPLES)
    assert len(first.splitlines()) > 100
    before = versions(hub)
    again = hub.kubectl("apply", "--recursive", "-f", EXAMPLES)
    assert {line.split()[-1] for line in again.splitlines()} == {"unchanged"}
    assert versions(hub) == before
    hub.kubectl("delete", "--recursive", "-f", EXAMPLES, "--wait=false")


def test_server_side_apply_again_changes_nothing(hub: Hub) -> None:
    objects = one_of_each("owned")
    hub.verdicts(objects, "apply", "--server-side")
    before = versions(hub)
    assert set(hub.verdicts(objects, "apply", "--server-side").values()) == {""}
    assert versions(hub) == before


def test_defaults_are_filled_in_as_the_models_have_them(hub: Hub) -> None:
    bare = {"origin": "wuhan", "resources": {"class": ["a"], "perTask": {"cpu": "1", "memory": "1Gi"}}}
    manifest = changed(a_job("bare"), "spec", {**bare, "template": {"image": "a"}})
    hub.verdicts([manifest], "apply")
    stored = hub.kubectl.json("get", "cjob", "bare")
    assert stored["spec"]["timing"] == {"expectedDuration": "1h"}
    assert stored["spec"]["limits"] == {"retries": 0}
    assert ComputeJob.model_validate({**stored, "status": None}).spec == ComputeJob.model_validate(manifest).spec


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (a_region(), "spec.altitude"),
        (a_link(), "spec.latency"),
        (a_policy(), "spec.hubs.0.capital"),
        (a_site(), "spec.energy.price"),
        (a_job(), "spec.template.privileged"),
        (a_job(), "spec.resources.perTask.gpu"),
        (a_job(), "phase"),
    ],
)
def test_a_field_that_nobody_knows_is_refused(hub: Hub, manifest: Manifest, path: str) -> None:
    """kubectl asks for strict checks by itself; a client that does not has such a field dropped, never kept."""
    wrong = changed(changed(manifest, path, "x"), "metadata.name", "unknown")
    said = hub.says("apply", manifest=wrong)
    field = re.sub(r"\.(\d+)", r"[\1]", path)
    assert f'unknown field "{field}"' in said
    assert "unknown" not in hub.kubectl("get", manifest["kind"], "-o", "name")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted") as refused:
        MODELS[manifest["kind"]].model_validate(wrong)
    assert ".".join(map(str, refused.value.errors()[0]["loc"])) == path
    lax = hub.says("create", "--validate=ignore", "--dry-run=server", "-o", "json", manifest=wrong)
    assert '"uid":' in lax
    assert f'"{path.rpartition(".")[2]}":' not in lax


# --- large and foreign


def test_a_manifest_of_300_kib_is_refused_in_a_sentence(hub: Hub) -> None:
    large = changed(a_job("large"), "spec.template.args", ["x" * 4_096] * 75)
    assert len(json.dumps(large)) > 300 << 10
    said = hub.says("create", manifest=large)
    assert "spec.template: Invalid value: " in said
    assert "command, args and env hold more than 131072 characters in sum; put what is larger into the image" in said
    assert len(said) < 1_000
    with pytest.raises(ValidationError, match="more than 131072 characters"):
        ComputeJob.model_validate(large)


def test_an_annotation_of_300_kib_is_refused_in_a_sentence(hub: Hub) -> None:
    large = changed(a_region("large"), "metadata.annotations", {"note": "x" * (300 << 10)})
    said = hub.says("create", manifest=large)
    assert "metadata.annotations: Too long: may not be more than 262144 bytes" in said


def test_a_job_just_below_the_limit_can_be_applied(hub: Hub) -> None:
    most = changed(a_job("most"), "spec.template.args", ["x" * 4_096] * 31)
    assert hub.verdicts([most], "apply") == {"most": ""}
    assert hub.verdicts([changed(most, "spec.priority", 5)], "apply") == {"most": ""}


def test_people_may_write_in_their_own_script(hub: Hub) -> None:
    region = a_region("written", displayName="乌兰察布 ᠤᠯᠠᠭᠠᠨᠴᠠᠪ", province="内蒙古自治区")
    job = changed(a_job("written"), "spec.template.env", [{"name": "GREETING", "value": "你好，世界"}])
    assert set(hub.verdicts([region], "apply").values()) == {""}
    assert set(hub.verdicts([job], "apply").values()) == {""}
    stored = hub.kubectl.json("get", "cregion", "written")
    assert stored["spec"]["displayName"] == region["spec"]["displayName"]
    assert ComputeRegion.model_validate({**stored, "status": None}).spec.province == "内蒙古自治区"
    assert "乌兰察布" in hub.kubectl("get", "cregion", "written")
    assert hub.kubectl.json("get", "cjob", "written")["spec"]["template"]["env"][0]["value"] == "你好，世界"


def test_a_name_in_chinese_is_refused_with_the_letters_that_may_be_used(hub: Hub) -> None:
    said = hub.says("create", manifest=a_job("训练"))
    assert 'metadata.name: Invalid value: "训练"' in said
    assert "lower case alphanumeric characters" in said
