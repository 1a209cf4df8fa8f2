"""The folder that outlives the tree, its free space, and the lock that lets two runs share it."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localfed.errors import LocalfedError


def cache_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where built servers are kept: SUANLI_CACHE, else the user's cache."""
    base = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(env.get("SUANLI_CACHE") or base / "suanli") / "servers"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone; a second run waits here until the first is done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise LocalfedError(
            f"cannot write to the cache {path.parent} ({error.strerror}); "
            "set SUANLI_CACHE to a folder that can be written"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_free_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Raise with the remedy when the disk under `folder` is too full."""
    present = folder
    while not present.exists():
        present = present.parent
    free = shutil.disk_usage(present).free
    if free < needed_bytes:
        raise LocalfedError(
            f"{folder} has {free / 2**30:.1f} GiB free and {purpose} needs {needed_bytes / 2**30:.1f}; "
            "free some there, or point SUANLI_CACHE, GOCACHE and GOMODCACHE to a larger disk"
        )
