"""Rows of a cluster trace, made short enough for a demo."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

from suanli.simulate.trace import TraceRow
from suanli.simulate.trace import read as read_trace

SHORTEST_S, LONGEST_S = 2, 30  # what a job of the demo runs
SHORTEST_H, LONGEST_H = 1 / 12, 72.0  # what the trace's jobs ran


def read(lines: Iterable[str]) -> list[TraceRow]:
    """The rows of a trace file. Raises: ValueError with the line's number and what is wrong."""
    found = read_trace(lines)
    if found.bad:
        raise ValueError(found.told[0])
    return list(found.rows)


def rotate(rows: Sequence[TraceRow], seed: int) -> list[TraceRow]:
    """All rows, from a place that the seed decides to the end, then from the beginning."""
    start = random.Random(f"start:{seed}").randrange(len(rows))  # noqa: S311 - chance, not secrecy
    return [*rows[start:], *rows[:start]]


def arrivals_s(rows: Sequence[TraceRow], over_s: float) -> list[float]:
    """When each row comes if all of them come within `over_s`; the gaps keep their proportions, and a jump back is none."""
    moments, now = [0.0], 0.0
    for before, row in pairwise(rows):
        now += max(0.0, row.arrival_h - before.arrival_h)
        moments.append(now)
    return [moment * over_s / now if now else 0.0 for moment in moments]


def short_run_s(length_h: float) -> int:
    """A run of 5 minutes to 3 days as 2 to 30 seconds, by its logarithm: a linear scale would make all but few the shortest."""
    share = math.log(length_h / SHORTEST_H) / math.log(LONGEST_H / SHORTEST_H)
    return round(SHORTEST_S + (LONGEST_S - SHORTEST_S) * min(1.0, max(0.0, share)))
