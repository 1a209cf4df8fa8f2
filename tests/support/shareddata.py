"""Published data beside the project: topologies, round trips. It is not part of it, so a test without it is skipped."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "data"


def shared(path: str) -> Path:
    """A file of the folder that SHARED_DATA names, or of shared/data beside the project."""
    found = Path(os.environ.get("SHARED_DATA") or BESIDE) / path
    if not found.exists():
        pytest.skip(f"there is no {found}; set SHARED_DATA to the folder that holds {path}")
    return found
