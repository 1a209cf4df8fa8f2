"""Nothing that nobody uses: of the product, what only tests use counts as dead too."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vulture import Vulture

from gates.failure import refuse
from gates.tree import ROOT

PRODUCT = "operator"
MODELS = ("operator/suanli/api/",)  # fields are there for those who write manifests
ATTRIBUTE = "attribute"  # mostly settings of other libraries' objects


def config() -> Mapping[str, Any]:
    """[tool.vulture] of pyproject.toml."""
    table: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["vulture"]
    return table


def reader() -> Vulture:
    """One that has read nothing yet."""
    table = config()
    return Vulture(ignore_names=table["ignore_names"], ignore_decorators=table["ignore_decorators"])


def unused(vulture: Vulture, folders: Iterable[str], told_of: Iterable[str], root: Path = ROOT) -> list[str]:
    """What nothing uses in `folders` and whatever was read before, of those files whose path begins as told."""
    vulture.scavenge([root / folder for folder in folders])
    found = []
    for item in vulture.get_unused_code(min_confidence=config()["min_confidence"]):
        path = item.filename.relative_to(root).as_posix()
        is_field = item.typ == "variable" and path.startswith(MODELS)
        if path.startswith(tuple(told_of)) and item.typ != ATTRIBUTE and not is_field:
            found.append(f"{path}:{item.first_lineno}: {item.message}")
    return found


def check() -> None:
    """The product without its tests; tools and tests with everything."""
    vulture = reader()
    found = unused(vulture, (PRODUCT, "hack/src"), (f"{PRODUCT}/",))
    found += unused(vulture, ("tests",), ("hack/src/", "tests/"))
    refuse(found, "Delete it, or use it.")
