"""The chart: what Helm's linter says, and whether its schema lets nothing unknown through."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from gates.failure import Failed, refuse, run
from gates.tree import ROOT
from localfed import LocalfedError
from localfed.binaries import Binaries

CHART = ROOT / "charts" / "suanli"
FREE = "global"  # a parent chart's values, which Helm puts there


def helm() -> str:
    """The pinned Helm, built if need be."""
    binaries = Binaries()
    try:
        binaries.ensure(["helm"])
    except LocalfedError as error:
        raise Failed(str(error)) from error
    return str(binaries.path("helm"))


def open_objects(schema: dict[str, Any], path: str = "values") -> Iterator[str]:
    """Objects of a schema that let unknown keys through, and values that nobody described."""
    if "description" not in schema:
        yield f"{path} has no description"
    if schema.get("type") == "object":
        more = schema.get("additionalProperties")
        if more is not False and not isinstance(more, dict):
            yield f"{path} lets unknown keys through; set additionalProperties to false, or to a schema for a map"
    for name, child in schema.get("properties", {}).items():
        if name != FREE:
            yield from open_objects(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict) and schema["items"].get("type") == "object":
        yield from open_objects(schema["items"], f"{path}[]")


def unequal(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Keys that only one of schema and values.yaml has; below an empty map or list of values the schema is free."""
    known = schema.get("properties", {}).keys() - {FREE}
    yield from (f"values.yaml has {path}{name}, the schema has not" for name in sorted(values.keys() - known))
    if values or not path:
        yield from (f"the schema has {path}{name}, values.yaml has not" for name in sorted(known - values.keys()))
    for name in sorted(known & values.keys()):
        if isinstance(values[name], dict) and path.count(".") < 2:
            yield from unequal(schema["properties"][name], values[name], f"{path}{name}.")


def undocumented(text: str) -> Iterator[str]:
    """Lines of values.yaml that set something and have no `# --` above them."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        key, colon, value = line.partition(":")
        is_setting = colon and not key.lstrip().startswith("#") and value.strip()
        if is_setting and not lines[number - 2].lstrip().startswith("# -- ") and not _inside_documented(lines, number):
            yield f"values.yaml:{number}: {key.strip()} is not explained; write `# -- what it does` above it"


def _inside_documented(lines: list[str], number: int) -> bool:
    """Whether a map that the line is part of is explained as a whole."""
    indent = len(lines[number - 1]) - len(lines[number - 1].lstrip())
    for above in range(number - 2, 0, -1):
        line = lines[above]
        depth = len(line) - len(line.lstrip())
        if line.strip() and not line.lstrip().startswith("#") and depth < indent:
            return lines[above - 1].lstrip().startswith("# -- ")
    return False


def check_schema() -> None:
    """Strict, described, and equal to values.yaml."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    found = [*open_objects(schema), *unequal(schema, yaml.safe_load(text)), *undocumented(text)]
    refuse(found, "Mend charts/suanli/values.schema.json or values.yaml.")


def lint() -> None:
    """`helm lint --strict`."""
    run(helm(), "lint", "--strict", str(CHART))
