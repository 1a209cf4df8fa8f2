"""A federation's folder is locked while its guardian lives; one without is removed by the next run."""

import fcntl
import os
import shutil
from pathlib import Path

LOCK_NAME = ".localfed.lock"


def hold(folder: Path) -> int:
    """A descriptor that holds the folder's lock; the lock is taken before its name can be seen."""
    unnamed = folder / f"{LOCK_NAME}.new"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    unnamed.rename(folder / LOCK_NAME)
    return descriptor


def sweep(base: Path, prefix: str) -> None:
    """Remove federations' folders in `base` whose guardian is gone (nobody holds their lock)."""
    for lock in base.glob(f"{prefix}*/{LOCK_NAME}"):
        if is_abandoned(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)


def is_abandoned(lock: Path) -> bool:
    """Whether nobody holds a federation's lock."""
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
