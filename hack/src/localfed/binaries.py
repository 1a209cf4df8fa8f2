"""Finds the programs in the user's folder or the cache, asks each for its version, has the missing ones built."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localfed.build import build
from localfed.cache import cache_folder, locked
from localfed.errors import LocalfedError
from localfed.tools import TOOL_OF, VERSION_ARGUMENTS

SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
VERSION_SECONDS = 60.0


class Binaries:
    """Programs from one place: the folder the user names, or else the cache, where they are built once."""

    def __init__(self, folder: Path | None = None, env: Mapping[str, str] = os.environ) -> None:
        self._folder = folder.resolve() if folder else None
        self._cache = cache_folder(env)
        self._known: set[str] = set()

    def path(self, name: str) -> Path:
        """Where a program is, or will be."""
        if name not in TOOL_OF:
            raise LocalfedError(f"{name!r} is none of the programs: {', '.join(sorted(TOOL_OF))}")
        return self._folder / name if self._folder else self._cache / TOOL_OF[name].build_id / name

    def ensure(self, names: Sequence[str]) -> None:
        """Make sure these programs are there in the pinned versions; what the cache misses is built."""
        unknown = [name for name in names if name not in self._known]
        if self._folder:
            self._check_folder(unknown)
        elif not all(self._is_right(name) for name in unknown):
            with locked(self._cache / "build.lock"):
                wrong = [name for name in unknown if not self._is_right(name)]
                build([(TOOL_OF[name], name, self.path(name)) for name in wrong], self._cache)
                for name in wrong:
                    self._refuse_wrong(name, "which was built here; please report it")
        self._known.update(unknown)

    def _is_right(self, name: str) -> bool:
        return tell_version(name, self.path(name)) == TOOL_OF[name].version

    def _check_folder(self, names: Sequence[str]) -> None:
        for name in names:
            if not self.path(name).exists():
                raise LocalfedError(
                    f"{self._folder} has no {name}; put {name} {TOOL_OF[name].version} there, "
                    "or name no folder and it is built"
                )
            self._refuse_wrong(name, "put that version there, or name no folder and it is built")

    def _refuse_wrong(self, name: str, remedy: str) -> None:
        found, wanted = tell_version(name, self.path(name)), TOOL_OF[name].version
        if found != wanted:
            raise LocalfedError(f"{self.path(name)} says it is {found or 'nothing'}, and {wanted} is wanted; {remedy}")


def tell_version(name: str, path: Path) -> str | None:
    """The version a program tells when asked, v1.2.3; None when it cannot be asked."""
    arguments = VERSION_ARGUMENTS.get(name, ("--version",))
    try:
        told = subprocess.run(
            [path, *arguments], capture_output=True, text=True, check=False, timeout=VERSION_SECONDS, cwd="/"
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)", told)
    return f"v{found[1]}" if found else None
