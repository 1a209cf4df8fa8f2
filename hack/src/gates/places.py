"""No committed file names a package registry or a path of somebody's machine."""

import re
from collections.abc import Iterator
from pathlib import Path

from gates.failure import refuse
from gates.tree import ROOT, texts

# A host with one of these words in its name serves packages or images; the files are the same wherever they come from.
_WORDS = "artifactory|crates|docker|ghcr|goproxy|maven|mirrors?|nexus|npmjs|proxy|pypi|pythonhosted|quay|registry"
_ENDS = "cn|com|dev|internal|io|lan|local|net|org"
REGISTRY = re.compile(
    rf"(?<![\w.-])(?:https?://)?(?:[a-z0-9-]+\.)*(?:[a-z0-9]+-)?(?:{_WORDS})(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*\.(?:{_ENDS})(?![\w-])",
    re.IGNORECASE,
)
HOMES = re.compile(r"(?<![\w./$}-])/(?:home|Users)/[A-Za-z0-9_.-]+")


def machine_paths(root: Path, home: Path) -> re.Pattern[str]:
    """Paths into this checkout or this user's home, and anybody's home."""
    own = "|".join(re.escape(str(path)) for path in (root, home) if len(path.parts) > 1)
    return re.compile(rf"{HOMES.pattern}|(?<![\w./$}}-])(?:{own})(?![\w-])")


def findings(path: Path, text: str, machine: re.Pattern[str]) -> Iterator[str]:
    """Each as `file:line: what`."""
    for number, line in enumerate(text.splitlines(), 1):
        for kind, pattern in (("address of a registry", REGISTRY), ("path of a machine", machine)):
            for found in pattern.finditer(line):
                yield f"{path}:{number}: {kind}: {found[0]}"


def check() -> None:
    """Look through the whole tree."""
    machine = machine_paths(ROOT, Path.home())
    refuse(
        [one for path, text in texts() for one in findings(path, text, machine)],
        "Take them out: packages are named without where they come from, paths are relative to the root.",
    )
