"""How a list behaves when several write it (server-side apply), and that nothing is in it twice."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from suanli.api.rule import refused


@dataclass(frozen=True)
class ListType:
    """In Annotated[list[...], ...]. A map is a list of objects by keys; a set never has an item twice."""

    type: Literal["map", "set", "atomic"]
    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler(source)
        return inner if self.type == "atomic" else core_schema.no_info_after_validator_function(self._check, inner)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = {**handler(core), "x-kubernetes-list-type": self.type}
        return {**made, "x-kubernetes-list-map-keys": list(self.keys)} if self.keys else made

    def _check(self, items: list[Any]) -> list[Any]:
        seen: set[object] = set()
        twice = []
        for index, item in enumerate(items):
            mark = tuple(_value(item, key) for key in self.keys) if self.keys else item
            if mark in seen:
                shown = ", ".join(map(str, mark)) if isinstance(mark, tuple) else str(mark)
                wrong = PydanticCustomError("twice", "is there twice; keep one")
                twice.append(InitErrorDetails(type=wrong, loc=(index,), input=shown))
            seen.add(mark)
        if twice:
            raise refused("list", twice)
        return items


SET = ListType("set")
ATOMIC = ListType("atomic")


def keyed(*keys: str) -> ListType:
    """A list of objects that differ in these fields."""
    return ListType("map", keys)


def _value(item: BaseModel, wire_name: str) -> object:
    names = (name for name, field in type(item).model_fields.items() if (field.alias or name) == wire_name)
    return getattr(item, next(names))
