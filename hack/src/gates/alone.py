"""The audit shares no code with what it audits: it imports the standard library and itself, and nothing else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from gates.failure import refuse
from gates.tree import ROOT, with_suffix

FOLDER = Path("hack/src/audit")
OWN = "audit"
LOADERS = frozenset({"__import__", "import_module", "exec", "eval", "compile", "run_path", "run_module"})


def findings(path: Path, source: str) -> Iterator[str]:
    """Imports of something else, and whatever could import without saying so."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in LOADERS and not (
                name == "compile" and isinstance(node, ast.Attribute)
            ):  # re.compile loads nothing
                yield f"{path}:{line}: {name} may load anything"
                yield f"{path}:{node.lineno}: {name} may load anything"
            continue
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            if top != OWN and top not in sys.stdlib_module_names:
                yield f"{path}:{line}: imports {name}"


def check() -> None:
    """All of it."""
    found = [
        finding
        for path in with_suffix(".py")
        if path.is_relative_to(FOLDER)
        for finding in findings(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    refuse(
        found,
        "Write it anew in hack/src/audit with the standard library: it is to prove the product without trusting it.",
    )
