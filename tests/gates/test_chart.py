from typing import Any

from gates import chart


def test_open_and_undescribed_objects_are_found() -> None:
    schema = {
        "description": "x",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "a": {"description": "x", "type": "object", "properties": {}},
            "b": {"type": "string"},
            "c": {"description": "x", "type": "object", "additionalProperties": {"type": "string"}},
            "d": {"description": "x", "type": "array", "items": {"type": "object"}},
        },
    }
    assert [line.split()[0] for line in chart.open_objects(schema)] == [
        "values.a",
        "values.b",
        "values.d[]",
        "values.d[]",
    ]


def test_schema_and_values_must_name_the_same_keys() -> None:
    schema: dict[str, Any] = {
        "properties": {"a": {"properties": {"b": {}, "c": {}}}, "d": {}, "free": {"properties": {"x": {}}}}
    }
    assert list(chart.unequal(schema, {"a": {"b": 1, "e": 1}, "d": 1, "free": {}})) == [
        "values.yaml has a.e, the schema has not",
        "the schema has a.c, values.yaml has not",
    ]


def test_a_value_without_a_word_is_found() -> None:
    text = "# -- What a is.\na: 1\nb: 2\n# -- What c is.\nc:\n  d: 1\ne:\n  # -- What f is.\n  f: 1\n  g: 1\n"
    assert [line.split()[1] for line in chart.undocumented(text)] == ["b", "g"]
