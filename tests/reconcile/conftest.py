"""A simulated federation for a test, and the coroutines that play in it."""

from pathlib import Path
from typing import Any

import pytest

import virtualtime
from simulation import Play, Simulate, Simulation


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Run a play in a federation with the operator running; afterwards nothing may be wrong."""

    def run(play: Play, **settings: Any) -> None:
        async def whole() -> None:
            simulation = Simulation(tmp_path, **settings)
            simulation.start()
            try:
                await play(simulation)
            finally:
                await simulation.end()
            simulation.check()

        virtualtime.run(whole())

    return run
