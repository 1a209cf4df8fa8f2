"""Runs seeds in processes of their own, each of which draws and orders alike."""

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import FrameType

from faultrun import Outcome, outcome

LONGEST_S = 120  # of real time; a run that takes longer turns in a circle


def outcomes(seeds: Iterable[int], processes: int) -> Iterator[Outcome]:
    """What became of each seed, in their order. The order in which sets are walked is the same in every process."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"  # processes that are begun inherit it
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            yield from pool.map(bounded, seeds)
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


def bounded(seed: int) -> Outcome:
    """What became of a seed; a defect of the operator, and a run without end, are violations too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {LONGEST_S} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_S)
    try:
        return outcome(seed)
    finally:
        signal.alarm(0)
