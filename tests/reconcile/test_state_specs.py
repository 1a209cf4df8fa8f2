"""Fields that a schema lets through and nobody can reckon with are refused one by one, before anything relies on them."""

from typing import Any

import pytest

from builders import a_job, a_site, an_object
from suanli.reconcile.state import Mirror


def problem(raw: dict[str, Any]) -> str:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    mirror.apply("ADDED", raw)
    if raw["kind"] == "ComputeJob":
        return mirror.jobs[raw["metadata"]["uid"]].problem
    return mirror.problems.get((raw["kind"], raw["metadata"]["name"]), "")


def per_task(**amounts: str) -> dict[str, Any]:
    return {"resources": {"class": ["cpu"], "perTask": {"cpu": "1", "memory": "1Gi", **amounts}}}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (per_task(cpu="9" * 28), "spec.resources.perTask.cpu"),
        (per_task(cpu="1000001"), "spec.resources.perTask.cpu"),
        (per_task(memory="2Pi"), "spec.resources.perTask.memory"),
        (per_task(memory="9" * 28), "spec.resources.perTask.memory"),
        ({"timing": {"notBefore": "tomorrow"}}, "spec.timing.notBefore"),
        ({"timing": {"deadline": "2026-03-01T08:00:00"}}, "spec.timing.deadline"),
    ],
)
def test_a_job_that_cannot_be_meant_is_refused_by_its_field(spec: dict[str, Any], field: str) -> None:
    said = problem(a_job(**spec))
    assert said.startswith(field), said


def test_a_site_in_no_time_zone_is_refused() -> None:
    said = problem(a_site(energy={"timezone": "Asia/Nowhere"}))
    assert said.startswith("spec.energy.timezone"), said
    assert "Asia/Nowhere" in said


@pytest.mark.parametrize("raw", [a_job(), a_site(), a_site(energy={"timezone": "Asia/Shanghai"})])
def test_what_is_sound_passes(raw: dict[str, Any]) -> None:
    assert problem(raw) == ""


def test_a_link_is_read_too() -> None:
    spec = {"endpoints": ["a", "b"], "oneWay": "3.2ms", "bandwidth": "400G"}
    assert problem(an_object("ComputeLink", "a-b", spec)) == ""
