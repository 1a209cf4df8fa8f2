"""CustomResourceDefinitions from the models: structural schemas as the API server wants them. Pure."""

from collections.abc import Mapping
from typing import Any

from suanli.api.common import NAME
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.rule import VALIDATIONS, Rule, always
from suanli.base.names import GROUP, VERSION

CATEGORY = GROUP.partition(".")[0]
ORDER = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
    "required",
    "properties",
    "items",
    "additionalProperties",
)
REPLACED = ("properties", "items", "additionalProperties", "default")

# Statuses and the members' objects name our objects, so their names are short. Offline, Metadata says the same.
NAMED = Rule(NAME.cel("self.metadata.name"), always, f'"{{metadata.name}}" {NAME.wrong}', "metadata.name")

Schema = dict[str, Any]


def crd(model: type[Resource]) -> Schema:
    """The definition of one kind, with the same keys in the same order every time."""
    kind = model.kind_info
    names: Schema = {
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "shortNames": list(kind.short_names),
        "categories": [CATEGORY],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(model, kind)],
        },
    }


def _version(model: type[Resource], kind: Kind) -> Schema:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(model)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }


def _column(column: PrinterColumn) -> Schema:
    made: Schema = {"name": column.name, "type": column.type, "description": column.description}
    if column.priority:
        made["priority"] = column.priority
    return {**made, "jsonPath": column.json_path}


def schema(model: type[Resource]) -> Schema:
    """The structural schema of a kind: nothing refers, nothing is null, nothing is left without its limits."""
    whole = model.model_json_schema(by_alias=True)
    definitions = whole.get("$defs", {})
    parts = whole["properties"]
    return {
        "description": whole["description"],
        "type": "object",
        VALIDATIONS: [NAMED.wire()],
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "Group and version of the kind, always suanli.io/v1alpha1.",
            },
            "kind": {"type": "string", "description": f"The kind, always {model.kind_info.kind}."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 63}}},
            "spec": _structural(parts["spec"], definitions, defaults=True),
            "status": _structural(parts["status"], definitions, defaults=False),
        },
    }


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any], *, defaults: bool) -> Schema:
    """A JSON schema of pydantic's without references, nulls and titles."""
    node = _resolved(node, definitions)
    made: Schema = {key: value for key, value in node.items() if key in ORDER and key not in REPLACED}
    if "items" in node:
        made["items"] = _structural(node["items"], definitions, defaults=defaults)
    if "properties" in node:
        made["properties"] = {
            name: _structural(child, definitions, defaults=defaults) for name, child in node["properties"].items()
        }
        if node.get("required"):
            made["required"] = node["required"]
    elif node.get("type") == "object":
        ((_, values),) = node["patternProperties"].items()  # the keys' pattern is a rule of the map
        made["additionalProperties"] = _structural(values, definitions, defaults=defaults)
    if made.get("type") == "integer":
        made["format"] = "int64"
    if defaults and node.get("default") not in (None, [], {}, ""):
        made["default"] = _pruned(node["default"])
    # Only operators write a status; what they decided needs no second opinion in CEL.
    if not defaults:
        made.pop(VALIDATIONS, None)
    return {key: made[key] for key in ORDER if key in made}


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The node with what it refers to put in, and without its "or null"; what stands at the node itself goes first."""
    inner: Mapping[str, Any] = {}
    if "anyOf" in node:
        (inner,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
    elif "$ref" in node:
        inner = definitions[node["$ref"].rpartition("/")[2]]
    else:
        return dict(node)
    own = {key: value for key, value in node.items() if key not in ("anyOf", "$ref")}
    resolved = _resolved(inner, definitions)
    rules = [*resolved.get(VALIDATIONS, []), *own.get(VALIDATIONS, [])]
    return {**resolved, **own, **({VALIDATIONS: rules} if rules else {})}


def _pruned(default: Any) -> Any:
    """A default without what is not set; the API server fills in the rest from the fields' own defaults."""
    if isinstance(default, dict):
        return {key: _pruned(value) for key, value in default.items() if value not in (None, [], {})}
    return default
