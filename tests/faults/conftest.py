"""A simulated federation for a test, and the coroutines that play in it."""

from functools import partial
from pathlib import Path

import pytest

from simulation import Simulate, simulated


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Run a play in a federation with the operator running; afterwards nothing may be wrong."""
    return partial(simulated, tmp_path)
