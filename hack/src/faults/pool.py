"""Runs seeds in processes of their own, each of which draws and orders alike."""

import gc
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import Any

import editrun
from faultrun import Outcome, crash_outcome, outcome

LONGEST_S = 120  # of processor time; a run that takes longer turns in a circle


def outcomes(seeds: Iterable[int], processes: int) -> Iterator[Outcome]:
    """What became of each seed, in their order."""
    return _in_processes(outcome, [(seed,) for seed in seeds], processes)


def edit_outcomes(seeds: Iterable[int], processes: int) -> Iterator[Outcome]:
    """What became of the edits of each seed, in their order."""
    return _in_processes(editrun.outcome, [(seed,) for seed in seeds], processes)


def crash_outcomes(points: Iterable[tuple[int, str]], processes: int) -> Iterator[Outcome]:
    """What became of the routine for each crash, before or after a write of that number, in their order."""
    return _in_processes(crash_outcome, list(points), processes)


def _in_processes(run: Callable[..., Outcome], cases: Sequence[tuple[Any, ...]], processes: int) -> Iterator[Outcome]:
    """The order in which sets are walked is the same in every process."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"  # processes that are begun inherit it
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            yield from pool.map(partial(bounded, run), cases)
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


def bounded(run: Callable[..., Outcome], case: tuple[Any, ...]) -> Outcome:
    """What became of a case; a run without end is a defect, too."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {LONGEST_S} s")

    gc.collect()
    gc.freeze()  # what is there by now stays: it need not be looked through during the run
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    try:
        return run(*case)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
