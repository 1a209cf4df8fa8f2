"""requirements.lock and pyproject.toml say the same: all that is needed, pinned, and nothing else.

requirements-peers.lock, of solvers that benchmarks compare with, is pinned too, and agrees with it.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gates.failure import refuse
from gates.tree import ROOT

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+]+)$")
LOCK = "requirements.lock"
PEERS = "requirements-peers.lock"
REMEDY = (
    "Make requirements.lock fit: install what pyproject.toml names (with [dev]) into a fresh environment and put down "
    "`pip freeze --exclude suanli`; for requirements-peers.lock the same with highspy, ortools and the versions of requirements.lock as "
    "constraints."
)


def read_pins(text: str, lock: str = LOCK) -> tuple[dict[str, Version], list[str]]:
    """The pinned versions by canonical name, and what is wrong with the lines."""
    pins: dict[str, Version] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _PIN.match(line)
        if not found:
            wrong.append(f"{lock}:{number}: {line!r} is not name==version and nothing else")
        elif canonicalize_name(found[1]) in pins:
            wrong.append(f"{lock}:{number}: {found[1]} is there twice")
        else:
            pins[canonicalize_name(found[1])] = Version(found[2])
    return pins, wrong


def direct(project: Mapping[str, object]) -> Iterator[Requirement]:
    """What pyproject.toml names: to run, to develop, to build."""
    table = project["project"]
    build = project["build-system"]
    assert isinstance(table, dict)
    assert isinstance(build, dict)
    groups = [table["dependencies"], *table["optional-dependencies"].values(), build["requires"]]
    return (Requirement(text) for group in groups for text in group)


def needed(roots: Iterable[Requirement], *, anywhere: bool) -> dict[str, list[Requirement]]:
    """What the roots need, through all they need, by canonical name; of packages that are installed here.

    With `anywhere`, also what only another Python or system needs.
    """
    found: dict[str, list[Requirement]] = {}
    queue = list(roots)
    seen: set[str] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, []).append(requirement)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if key in seen:
            continue
        seen.add(key)
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        queue += [r for r in map(Requirement, texts) if _applies(r, requirement.extras, anywhere=anywhere)]
    return found


def _applies(requirement: Requirement, extras: set[str], *, anywhere: bool) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    if any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
        return True
    return anywhere and ("extra" not in str(marker) or any(f'"{extra}"' in str(marker) for extra in extras))


def compare(pins: Mapping[str, Version], roots: Iterable[Requirement]) -> list[str]:
    """Where the pins and what is needed differ."""
    roots = list(roots)
    here = needed(roots, anywhere=False)
    wrong = [f"{name} is needed and not in requirements.lock" for name in sorted(here.keys() - pins.keys())]
    for name in sorted(here.keys() & pins.keys()):
        wrong += [
            f"requirements.lock pins {name} {pins[name]}, and {requirement} is asked for"
            for requirement in here[name]
            if not requirement.specifier.contains(pins[name], prereleases=True)
        ]
    extra = sorted(pins.keys() - needed(roots, anywhere=True).keys())
    return wrong + [f"requirements.lock pins {name}, and nothing needs it" for name in extra]


def differing(pins: Mapping[str, Version], peers: Mapping[str, Version]) -> list[str]:
    """What both locks pin, and not at the same version."""
    both = sorted(pins.keys() & peers.keys())
    return [f"{PEERS} pins {name} {peers[name]}, and {LOCK} {pins[name]}" for name in both if pins[name] != peers[name]]


def check(root: Path = ROOT) -> None:
    """Compare the files."""
    pins, wrong = read_pins((root / LOCK).read_text(encoding="utf-8"))
    peers, wrong_too = read_pins((root / PEERS).read_text(encoding="utf-8"), PEERS)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    refuse([*wrong, *wrong_too, *compare(pins, direct(project)), *differing(pins, peers)], REMEDY)
