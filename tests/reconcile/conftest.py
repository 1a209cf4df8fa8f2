"""A simulated federation for a test, the coroutines that play in it, and a folder of books."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from shop import Shop
from simulation import Simulate, simulated


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Run a play in a federation with the operator running; afterwards nothing may be wrong."""
    return partial(simulated, tmp_path)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.books.leave()
