"""Rows of a cluster trace: when a job came, how long it ran, what it asked for."""

import csv
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

COLUMNS = ["arrival_time", "length", "cpus"]
SHORTEST_S, LONGEST_S = 2, 30  # what a job of the demo runs
SHORTEST_H, LONGEST_H = 1 / 12, 72.0  # what the trace's jobs ran


@dataclass(frozen=True)
class TraceRow:
    """One job of the trace: hours, and accelerators or cores."""

    arrival_h: float
    length_h: float
    units: int


def read(lines: Iterable[str]) -> list[TraceRow]:
    """The rows of a trace file. Raises: ValueError with the line's number and what is wrong."""
    table = csv.reader(lines)
    if next(table, None) != COLUMNS:
        raise ValueError(f"line 1: the columns must be {','.join(COLUMNS)}")
    rows = []
    for number, cells in enumerate(table, start=2):
        try:
            arrival, length, units = cells
            row = TraceRow(float(arrival), float(length), int(units))
        except ValueError as error:
            raise ValueError(f"line {number}: {','.join(cells)!r} is not two times and a whole number") from error
        if not (row.arrival_h >= 0 and 0 < row.length_h < math.inf and row.units > 0):
            raise ValueError(f"line {number}: {','.join(cells)!r} must not be negative, and length and cpus not 0")
        rows.append(row)
    return rows


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
