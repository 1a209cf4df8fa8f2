"""What a federation looks like: clusters, and the shapes of their nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from localfed.errors import LocalfedError


@dataclass(frozen=True, kw_only=True)
class NodeShape:
    """`count` equal nodes; `cards` of `card_resource` each (none when the resource is empty)."""

    count: int
    cpu: str = "64"
    memory: str = "512Gi"
    card_resource: str = ""
    cards: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    name_prefix: str = "node"
    pods: int = 250

    def __post_init__(self) -> None:
        if self.count < 1:
            raise LocalfedError(
                f"node shape {self.name_prefix!r}: count is {self.count}, and a shape has at least 1 node"
            )
        if bool(self.card_resource) != (self.cards > 0):
            raise LocalfedError(
                f"node shape {self.name_prefix!r}: card_resource is {self.card_resource!r} and cards is {self.cards}; "
                "give both, or neither"
            )

    def node_names(self) -> list[str]:
        """The names of its nodes: prefix-0, prefix-1, ..."""
        return [f"{self.name_prefix}-{index}" for index in range(self.count)]


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster to bring up.

    `workloads` runs a scheduler and KWOK; by default it is true where there are nodes, so a hub is
    etcd, kube-apiserver and kube-controller-manager.
    """

    name: str
    nodes: tuple[NodeShape, ...] = ()
    audit: bool = False
    workloads: bool | None = None
    extra_controllers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [name for shape in self.nodes for name in shape.node_names()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise LocalfedError(
                f"cluster {self.name!r}: two shapes make a node {twice[0]!r}; give each its own name_prefix"
            )
        if self.nodes and self.workloads is False:
            raise LocalfedError(f"cluster {self.name!r}: has nodes but workloads is false; drop one of the two")

    @property
    def runs_workloads(self) -> bool:
        """Whether a scheduler and KWOK run beside the API server."""
        return bool(self.nodes) if self.workloads is None else self.workloads


DEFAULT_SHAPE = NodeShape(
    count=4,
    cpu="64",
    memory="512Gi",
    card_resource="nvidia.com/gpu",
    cards=8,
    labels={"card": "a100"},
    name_prefix="a100",
)


def federation(members: int, shapes: tuple[NodeShape, ...] = (DEFAULT_SHAPE,)) -> list[ClusterSpec]:
    """A hub and `members` equal members."""
    if members < 0:
        raise LocalfedError(f"{members} members were asked for; give 0 or more")
    return [ClusterSpec("hub"), *(ClusterSpec(f"member-{index}", nodes=shapes) for index in range(1, members + 1))]


def read_shape_file(path: Path, members: int) -> list[ClusterSpec]:
    """A hub and the members a file describes.

    The file holds either `nodes`, the shapes every one of the `members` gets, or `members`, the shapes of
    each by name. A shape's fields are those of NodeShape.
    Raises: LocalfedError naming file, place and value.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalfedError(f"the shape file {path} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LocalfedError(f"the shape file {path} is not YAML: {' '.join(str(error).split())}") from error
    match document:
        case {"nodes": list(shapes), **rest} if not rest:
            return federation(members, _shapes(shapes, f"{path}: nodes"))
        case {"members": dict(by_name), **rest} if not rest:
            named = [
                ClusterSpec(str(name), nodes=_shapes(shapes, f"{path}: members.{name}"))
                for name, shapes in by_name.items()
            ]
            return [ClusterSpec("hub"), *named]
    raise LocalfedError(
        f"the shape file {path} must hold either `nodes` (a list of shapes) or `members` (shapes by name)"
    )


def _shapes(documents: object, place: str) -> tuple[NodeShape, ...]:
    if not isinstance(documents, list):
        raise LocalfedError(f"{place} must be a list of shapes")
    return tuple(_shape(document, f"{place}[{index}]") for index, document in enumerate(documents))


def _shape(document: object, place: str) -> NodeShape:
    known = {each.name: each for each in fields(NodeShape)}
    if not isinstance(document, dict):
        raise LocalfedError(f"{place} must be a mapping with {', '.join(known)}")
    unknown = sorted(str(key) for key in document if key not in known)
    if unknown:
        raise LocalfedError(f"{place}.{unknown[0]} is not a field of a shape; there are {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, value in document.items():
        values[name] = _value(name, value, f"{place}.{name}")
    if "count" not in values:
        raise LocalfedError(f"{place}.count is missing: how many nodes have this shape?")
    return NodeShape(**values)


def _value(name: str, value: object, place: str) -> object:
    if name in {"count", "cards", "pods"}:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise LocalfedError(f"{place} is {value!r}; give a whole number")
        return value
    if name == "labels":
        if not isinstance(value, dict):
            raise LocalfedError(f"{place} must be a mapping of labels")
        return {str(key): str(label) for key, label in value.items()}
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise LocalfedError(f"{place} is {value!r}; give a text such as {'64' if name == 'cpu' else '512Gi'!r}")
    return str(value)
