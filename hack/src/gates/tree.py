"""The files of the tree that git keeps or would keep."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gates.failure import Failed, run

ROOT = Path(__file__).resolve().parents[3]
SHELLS = ("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh", "# shellcheck shell=")


@cache
def files() -> tuple[Path, ...]:
    """Paths from the root, sorted; what .gitignore names is left out."""
    if not (ROOT / ".git").exists():
        raise Failed(
            f"{ROOT} is no git checkout, so nobody knows which files count; clone the repository and run there"
        )
    listed = run("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return tuple(sorted(Path(name) for name in set(listed.split("\0")) if name and (ROOT / name).is_file()))


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file with what it says."""
    for path in files():
        raw = (ROOT / path).read_bytes()
        if b"\0" not in raw:
            yield path, raw.decode(errors="replace")


def with_suffix(*suffixes: str) -> list[Path]:
    """The files whose names end so."""
    return [path for path in files() if path.suffix in suffixes]


def shell_scripts() -> list[Path]:
    """The files that are shell by their first line or their name."""
    return [path for path, text in texts() if path.suffix == ".sh" or text.startswith(SHELLS)]
