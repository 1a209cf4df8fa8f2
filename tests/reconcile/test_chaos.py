"""Crashes before and after writes, lost answers and events, cut members, nonsense and clocks that jump, each by its seed.

A seed that fails is replayed with `pytest tests/reconcile/test_chaos.py -k "[17]"`.
"""

import logging
from pathlib import Path
from random import Random

import pytest

import virtualtime
from chaos import Chaos
from simulation import Simulation

SEEDS = (*range(13), 19, 123, 253)  # the last ones found something once


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed}")
def test_everything_comes_right_after_trouble(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    async def play() -> None:
        simulation = Simulation(tmp_path, probe_s=1, retry_backoff_s=0, unreachable_after_s=8)
        await Chaos(simulation, Random(seed)).play()

    virtualtime.run(play())
