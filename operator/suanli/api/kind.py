"""What a resource kind says of itself beside its fields."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field

from suanli.api.common import Model, Name


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`."""

    name: str
    json_path: str
    description: str
    type: Literal["string", "integer", "date"] = "string"
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind's names, scope and columns."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    columns: tuple[PrinterColumn, ...] = field(default=())


class Metadata(Model):
    """The part of the object's metadata that suanli reads."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    namespace: Annotated[str | None, Field(max_length=63)] = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Model):
    """A top-level object."""

    kind_info: ClassVar[Kind]

    api_version: Annotated[str, Field(max_length=63)]
    kind: Annotated[str, Field(max_length=63)]
    metadata: Metadata

    def label(self) -> str:
        """How messages name the object: "ComputeJob team-a/train"."""
        place = f"{self.metadata.namespace}/" if self.metadata.namespace else ""
        return f"{self.kind} {place}{self.metadata.name}"


R = TypeVar("R", bound=Resource)


def parse(model: type[R], raw: dict[str, Any]) -> R:
    """The typed object of a raw one.

    Raises: pydantic.ValidationError.
    """
    return model.model_validate(raw)
