"""YAML without its traps: one document of objects, lists and plain values; no aliases, tags, duplicates or deep nesting."""

from typing import Any, NoReturn

import yaml

MAX_DEPTH = 16
MAX_NODES = 1_000


class YamlRefused(ValueError):
    """Not YAML, or more than plain YAML; the message quotes nothing of the text, which may be secret."""


class NotText(str):
    """A number, time or the like without quotes: its text, where only a text in quotes would do."""

    __slots__ = ()


def load(text: str) -> Any:
    """The document: dict, list, str, bool, None or NotText.

    Raises: YamlRefused.
    """
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise YamlRefused(f"it is not one valid YAML document{_line(error.problem_mark)}") from None
    except YamlRefused:
        raise
    except (yaml.YAMLError, ValueError, OverflowError):
        raise YamlRefused("it holds characters that YAML does not allow") from None
    if node is None:
        raise YamlRefused("it is empty")
    return _value(node)


class _Composer(yaml.SafeLoader):
    """Refuses while it reads, so that nothing grows."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node and what is in it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):
            _refuse("anchors and aliases (& and *) are not allowed", event)
        if getattr(event, "tag", None):
            _refuse("tags (!) are not allowed", event)
        self._nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            _refuse(f"it is deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} values", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                _refuse("a field's name must be a text", key_node)
            if key_node.value in result:
                _refuse("a field stands twice in one object", key_node)
            result[key_node.value] = _value(value_node)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    kind = node.tag.rsplit(":", 1)[-1]
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() in ("true", "yes", "on")
    return node.value if kind == "str" else NotText(node.value)


def _refuse(why: str, at: yaml.Node | yaml.Event) -> NoReturn:
    raise YamlRefused(f"{why}{_line(at.start_mark)}")


def _line(mark: Any) -> str:
    return f" (line {mark.line + 1})" if mark else ""
