"""Reading raw objects that somebody else made: anything may be missing, of another type, or nonsense."""

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]
MAX_TEXT = 256


def mapping(value: object) -> Raw:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Raw]:
    """The objects in a list, whatever else it is."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(value: object, limit: int = MAX_TEXT) -> str:
    """A printable, bounded string."""
    if not isinstance(value, str):
        return ""
    cut = value[:limit]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)


def count(value: object) -> int:
    """A number written as at most nine decimal digits, such as an epoch's label; 0 for anything else."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else 0
