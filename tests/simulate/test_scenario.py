"""A scenario's fields are described, and what is left out is filled in."""

from pathlib import Path

import pytest

from suanli.placement.snapshot import Country
from suanli.simulate.land import Land
from suanli.simulate.policies import BASELINES
from suanli.simulate.scenario import JobKind, ScenarioSpec, TraceColumns, completed, troubles

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [ScenarioSpec, JobKind, TraceColumns])
def test_every_field_stands_in_the_docs(model: type[ScenarioSpec | JobKind | TraceColumns]) -> None:
    assert [field.alias for field in model.model_fields.values() if f"`{field.alias}`" not in PAGE] == []
    assert all(field.description for field in model.model_fields.values())


def test_every_baseline_stands_in_the_docs() -> None:
    assert [name for name in BASELINES if f"| `{name}` |" not in PAGE] == []


def test_what_is_left_out_is_all_regions_and_any_card(land: Land) -> None:
    sites = {view.site.metadata.name: view.site for view in land.views}
    spec = completed(ScenarioSpec(), land.country, sites)
    assert spec.origins == {"coast": 1, "desert": 1}
    assert [kind.classes[0].names for kind in spec.kinds] == [["gpu"]]
    assert list(troubles(spec, land.country, sites)) == []


def test_sites_without_classes_are_told(land: Land) -> None:
    sites = {
        v.site.metadata.name: v.site.model_copy(update={"spec": v.site.spec.model_copy(update={"resources": []})})
        for v in land.views
    }
    spec = completed(ScenarioSpec(), land.country, sites)
    assert list(troubles(spec, land.country, sites)) == ["spec.kinds: no site offers a class; give the sites resources"]


def test_an_empty_country_has_no_kinds_and_says_so(land: Land) -> None:
    nothing = Country({}, {}, None)
    spec = completed(ScenarioSpec(), nothing, {})
    assert (spec.origins, spec.kinds) == ({}, [])
    assert list(troubles(spec, nothing, {})) == ["spec.country: it has no ComputeSite; name the folder with the sites"]
