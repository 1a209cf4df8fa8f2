"""What holds for every field of every kind, walked through the definitions as the API server gets them."""

from collections.abc import Iterator
from typing import Any

import pytest

from suanli.api import KINDS, Resource
from suanli.api.crd import crd

# `kubectl api-resources` of a bare cluster and of the controllers that are found everywhere.
TAKEN = (
    "po no ns svc sa cm ep ev pv pvc rc rs ds deploy sts cj hpa pdb ing netpol sc pc quota limits cs csr crd cert cr co"
)
Schema = dict[str, Any]
Place = tuple[str, Schema]


def whole(model: type[Resource]) -> Schema:
    found: Schema = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def below(path: str, schema: Schema) -> Iterator[Place]:
    """The schema and all in it, with where it is."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from below(f"{path}.{name}", child)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from below(path + mark, schema[key])


PLACES: dict[str, Schema] = {
    f"{model.__name__}.{part}{path}": schema
    for model in KINDS
    for part in ("spec", "status")
    for path, schema in below("", whole(model)["properties"][part])
}


def of_type(type_: str) -> list[Place]:
    return [(path, schema) for path, schema in PLACES.items() if schema["type"] == type_]


def test_the_walk_sees_the_fields() -> None:
    assert len(PLACES) > 250
    assert PLACES["ComputeJob.spec.resources.class[]"]["type"] == "string"
    assert PLACES["ComputeSite.spec.resources[].nodeLabels{}"]["maxLength"] == 63


def test_types_are_texts_whole_numbers_lists_and_objects() -> None:
    """No floats, and no booleans where a third state may come."""
    assert {schema["type"] for schema in PLACES.values()} == {"string", "integer", "array", "object"}


def test_every_field_is_explained_in_sentences() -> None:
    poor = [path for path, schema in PLACES.items() if not path.endswith(("[]", "{}")) and _is_poor(schema)]
    assert poor == []


def _is_poor(schema: Schema) -> bool:
    text = schema.get("description", "")
    return len(text) < 8 or not text.endswith(".") or not (text[0].isupper() or text[0].isdigit())


def test_every_text_has_a_limit() -> None:
    bare = [path for path, s in of_type("string") if not ("enum" in s or 0 < s.get("maxLength", 0) <= 4_096)]
    assert bare == []


def test_every_list_has_a_limit_and_says_how_it_is_merged() -> None:
    bare = []
    for path, schema in of_type("array"):
        is_of_objects = schema["items"]["type"] == "object"
        wanted = ("map", "atomic") if is_of_objects else ("set", "atomic")
        if not 0 < schema.get("maxItems", 0) <= 256 or schema.get("x-kubernetes-list-type") not in wanted:
            bare.append(path)
    assert bare == []


def test_lists_of_objects_are_maps_by_fields_that_are_always_there() -> None:
    maps = [(path, s) for path, s in of_type("array") if s["x-kubernetes-list-type"] == "map"]
    assert len(maps) > 15
    for path, schema in maps:
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path
    others = {path for path, s in of_type("array") if s["items"]["type"] == "object"} - {path for path, _ in maps}
    quotas = {
        f"ComputeAccount.{part}.quotas" for part in ("spec", "status")
    }  # of a class or a type: no field is always there
    assert others == {"ComputeSite.spec.energy.priceSchedule", *quotas}  # the order of prices counts


def test_every_map_has_a_limit_and_rules_for_its_keys() -> None:
    maps = [(path, s) for path, s in of_type("object") if "additionalProperties" in s]
    assert len(maps) == 4
    for path, schema in maps:
        assert 0 < schema["maxProperties"] <= 16, path
        assert any("self.all(k," in rule["rule"] for rule in schema["x-kubernetes-validations"]), path


def test_every_object_names_its_fields() -> None:
    vague = [path for path, s in of_type("object") if not (s.get("properties") or "additionalProperties" in s)]
    assert vague == []
    loose = [path for path, s in PLACES.items() if any(key.startswith("x-kubernetes-preserve") for key in s)]
    assert loose == []


def test_every_whole_number_of_a_spec_has_both_bounds() -> None:
    open_ = [path for path, s in of_type("integer") if ".spec" in path and not {"minimum", "maximum"} <= s.keys()]
    assert open_ == []
    assert [path for path, s in of_type("integer") if "minimum" not in s or s["format"] != "int64"] == []


def test_a_choice_is_a_list_of_words() -> None:
    choices = [s["enum"] for s in PLACES.values() if "enum" in s]
    assert len(choices) > 10
    assert all(len(set(words)) == len(words) > 1 and all(word[0].isupper() for word in words) for words in choices)


def test_there_is_no_phase() -> None:
    assert [path for path in PLACES if path.endswith(".phase")] == []


def test_only_a_spec_has_defaults_and_rules() -> None:
    """The operator compares statuses as it wrote them, and nobody else writes any."""
    extra = [
        path for path, s in PLACES.items() if ".status" in path and {"default", "x-kubernetes-validations"} & s.keys()
    ]
    assert extra == []


def test_defaults_are_those_of_the_models() -> None:
    found = {path: s["default"] for path, s in PLACES.items() if "default" in s}
    assert found["ComputeJob.spec.tasks"] == 1
    assert found["ComputeJob.spec.timing"] == {"expectedDuration": "1h"}
    assert found["ComputeSite.spec.energy.timezone"] == "Asia/Shanghai"
    assert found["HubPolicy.spec.newBuild.maxRacksOutsideHubs"] == 2999
    assert "HubPolicy.spec.newBuild" not in found


def test_every_rule_of_a_field_says_what_to_do() -> None:
    rules = [(path, rule) for path, s in PLACES.items() for rule in s.get("x-kubernetes-validations", [])]
    assert len(rules) > 100
    silent = [(path, rule["rule"]) for path, rule in rules if not {"message", "messageExpression"} & rule.keys()]
    assert silent == []
    remedies = [rule.get("message") or rule["messageExpression"] for _, rule in rules]
    assert [text for text in remedies if ";" not in text] == []


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_a_kind_is_a_good_citizen(model: type[Resource]) -> None:
    definition = crd(model)
    names, (version,) = definition["spec"]["names"], definition["spec"]["versions"]
    assert definition["metadata"]["name"] == f"{names['plural']}.suanli.io"
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}
    assert names["categories"] == ["suanli"]
    assert names["shortNames"]
    assert not {*names["shortNames"], names["singular"], names["plural"]} & set(TAKEN.split())
    assert next(iter(whole(model)["properties"]["status"]["properties"])) == "conditions"
    assert whole(model)["required"] == ["spec"]


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__name__)
def test_columns_show_fields_that_exist(model: type[Resource]) -> None:
    (version,) = crd(model)["spec"]["versions"]
    columns = version["additionalPrinterColumns"]
    assert columns[-1]["name"] == "Age"
    assert len({column["name"] for column in columns}) == len(columns) > 2
    for column in columns:
        assert column["description"].endswith(".")
        path = column["jsonPath"].split("[")[0]
        assert path == ".metadata.creationTimestamp" or f"{model.__name__}{path}" in PLACES


def test_short_names_differ() -> None:
    short = [name for model in KINDS for name in model.kind_info.short_names]
    assert len(set(short)) == len(short)


def test_a_condition_is_as_kubernetes_has_it() -> None:
    for model in KINDS:
        conditions = PLACES[f"{model.__name__}.status.conditions"]
        assert conditions["x-kubernetes-list-map-keys"] == ["type"]
        assert set(conditions["items"]["properties"]) == {
            "type", "status", "reason", "message", "observedGeneration", "lastTransitionTime",
        }  # fmt: skip
        assert conditions["items"]["properties"]["lastTransitionTime"]["format"] == "date-time"
