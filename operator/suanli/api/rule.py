"""A rule that an object keeps: declared once, held by the API server in CEL and by everybody else in Python.

Both say the same words. At a text or a number they follow the value (`spec.region: "Bei": is not a name; ...`), so they
need not repeat it; at an object they name the values with holes such as {oneWay}.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
_HOLE = re.compile(r"\{([A-Za-z.]+)\}")

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]


def always(_value: Any) -> bool:
    """The twin of a rule about a change: one manifest alone has no past."""
    return True


@dataclass(frozen=True)
class Rule:
    """One rule. `says` tells what is wrong and what to do; `field` is the field to blame where an object has the rule."""

    cel: str
    holds: Callable[[Any], bool]
    says: str
    field: str = ""
    reason: Reason = "FieldValueInvalid"

    def wire(self) -> dict[str, str]:
        """The rule as the API server reads it. "%s" takes texts, numbers and times, at a cost that it can estimate."""
        made = {"rule": self.cel}
        holes = _HOLE.findall(self.says)
        if holes:
            words = _HOLE.sub("%s", self.says.replace("%", "%%").replace("'", r"\'"))
            values = ", ".join(hole if hole.startswith("oldSelf") else f"self.{hole}" for hole in holes)
            made["messageExpression"] = f"'{words}'.format([{values}])"
        else:
            made["message"] = self.says
        if self.field:
            made["fieldPath"] = f".{self.field}"
        if self.reason != "FieldValueInvalid":
            made["reason"] = self.reason
        return made

    def words(self, wire: Mapping[str, Any]) -> str:
        """What it says of an object."""
        return _HOLE.sub(lambda hole: _shown(_at(wire, hole[1])), self.says)

    def _check(self, value: Any) -> Any:
        if not self.holds(value):
            raise PydanticCustomError("rule", self.says)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """In Annotated[...]: a rule about one text, number or map."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return with_rules(handler(core), [self])


@dataclass(frozen=True)
class Shape:
    """What a text looks like. In Annotated[str, ...], after its length."""

    pattern: str
    wrong: str

    def cel(self, path: str = "self") -> str:
        """That the text has this shape, in CEL."""
        return f"{path}.matches(r'{self.pattern}')"

    def then(self, cel: str, path: str = "self") -> str:
        """That it keeps another rule too. One without this shape is told so, and is not asked."""
        return f"!{self.cel(path)} || {cel}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        shaped = {**handler(source), "pattern": self.pattern}
        return core_schema.custom_error_schema(shaped, "shape", custom_error_message=self.wrong)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return with_rules(handler(core), [Rule(self.cel(), always, self.wrong)])


@dataclass(frozen=True)
class KeysLike:
    """In Annotated[dict[...], ...]: for the API server, which knows no types of keys, that all keys have a shape."""

    shape: Shape

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = with_rules(handler(core), [])
        wrong = f"self.filter(k, size(k) > 317 || !{self.shape.cel('k')})"
        words = self.shape.wrong.replace("'", r"\'")
        found[VALIDATIONS].append(
            {
                "rule": f"self.all(k, size(k) <= 317 && {self.shape.cel('k')})",
                "messageExpression": f"'key %s {words}'.format([{wrong}])",
            }
        )
        return found


def unchanging(field: str, remedy: str, *, optional: bool = False, shown: bool = True) -> Rule:
    """That a field of an object stays as it was created."""
    same = f"self.{field} == oldSelf.{field}"
    if optional:
        same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || {same})"
    was = f' from "{{oldSelf.{field}}}" to "{{{field}}}"' if shown else ""
    return Rule(same, always, f"{field} cannot be changed{was}; {remedy}", field)


def with_rules(schema: JsonSchemaValue, rules: Sequence[Rule]) -> JsonSchemaValue:
    """The JSON schema with these rules after its own."""
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), *(rule.wire() for rule in rules)]}


def broken(rules: Sequence[Rule], value: Any, wire: Callable[[], Mapping[str, Any]]) -> list[InitErrorDetails]:
    """The rules of an object that do not hold, each at the field to blame."""
    return [
        InitErrorDetails(
            type=PydanticCustomError("rule", rule.words(wire())),
            loc=tuple(rule.field.split(".")) if rule.field else (),
            input=_at(wire(), rule.field) if rule.field else wire(),
        )
        for rule in rules
        if not rule.holds(value)
    ]


def refused(title: str, errors: list[InitErrorDetails]) -> ValidationError:
    """All of them as one error."""
    return ValidationError.from_exception_data(title, errors)


def _shown(value: Any) -> str:
    """A value as CEL's "%s" shows it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)


def _at(wire: Mapping[str, Any], path: str) -> Any:
    """The value under a path of wire names, or "" where it is absent."""
    value: Any = wire
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value
