"""Rows of a cluster trace: when a job came, how long it ran, what it asked for."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from suanli.base.untrusted import text as shown_text

MOST_H = 1_000_000.0  # over a century
LONGEST_H = 8_760.0  # as long as a ComputeJob may say that it runs
MOST_UNITS = 10_000_000
MOST_TOLD = 5
HOURS: Mapping[str, float] = {"ms": 1 / 3_600_000, "s": 1 / 3_600, "m": 1 / 60, "h": 1.0}


@dataclass(frozen=True)
class Columns:
    """What the columns are called, and the unit of their times: one of HOURS."""

    arrival: str = "arrival_time"
    length: str = "length"
    units: str = "cpus"
    time_unit: str = "h"


@dataclass(frozen=True)
class TraceRow:
    """One job of the trace: hours, and accelerators or cores."""

    arrival_h: float
    length_h: float
    units: int


@dataclass(frozen=True)
class Trace:
    """The rows that can be used, by arrival; how many cannot and what is wrong with the first of these; what else is odd."""

    rows: tuple[TraceRow, ...]
    bad: int = 0
    told: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


PAI = Columns()


def read(lines: Iterable[str], columns: Columns = PAI) -> Trace:
    """Read a trace: a line of column names, then a line a job. Other columns are not looked at; parts of a unit count whole.

    Raises: ValueError where no row can be used, with the line and what is wrong.
    """
    table = csv.reader(lines)
    try:
        where = _places(next(table, []), columns)
        rows, lines_of, bad, told = _rows(table, where, HOURS[columns.time_unit])
    except csv.Error as error:
        raise ValueError(f"line {table.line_num}: it is not CSV: {error}; save it as text with commas") from error
    if not rows:
        why = f"; {told[0]}" if told else ""
        raise ValueError(f"none of {bad} rows can be used{why}")
    return Trace(tuple(sorted(rows, key=lambda r: r.arrival_h)), bad, tuple(told), tuple(_disorder(rows, lines_of)))


def _places(names: Sequence[str], columns: Columns) -> tuple[int, int, int]:
    """Where the three columns stand."""
    found = [name.strip().lstrip("\ufeff") for name in names]
    wanted = (columns.arrival, columns.length, columns.units)
    for name in wanted:
        if name not in found:
            there = ", ".join(shown_text(n, 40) for n in found[:12]) or "nothing"
            raise ValueError(
                f'line 1: there is no column "{name}" (there is {there}); add it, or say in spec.trace of the scenario what '
                "the columns are called"
            )
    arrival, length, units = (found.index(name) for name in wanted)
    return arrival, length, units


def _rows(
    table: Iterable[list[str]], where: tuple[int, int, int], hours: float
) -> tuple[list[TraceRow], list[int], int, list[str]]:
    """Usable rows with their lines, how many are not, and of the first of these what is wrong."""
    rows, lines, bad = list[TraceRow](), list[int](), 0
    told: list[str] = []
    for number, cells in enumerate(table, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        row = _row(cells, where, hours)
        if isinstance(row, TraceRow):
            rows.append(row)
            lines.append(number)
            continue
        bad += 1
        if len(told) < MOST_TOLD:
            told.append(f"line {number}: {shown_text(','.join(cells), 80)!r}: {row}")
    return rows, lines, bad, told


def _row(cells: Sequence[str], where: tuple[int, int, int], hours: float) -> TraceRow | str:
    """A row, or what is wrong with it."""
    try:
        arrival, length, units = (float(cells[place]) for place in where)
    except IndexError:
        return "it has too few columns"
    except ValueError:
        return "it is not two times and a number of units"
    arrival, length = arrival * hours, length * hours
    for name, value, least, most in (("arrival", arrival, 0.0, MOST_H), ("length", length, 0.0, LONGEST_H)):
        if not least <= value <= most:  # NaN is in no range
            return f"the {name} is not between {least:.0f} and {most:.0f} hours"
    if length == 0:
        return "the length is 0"
    if not 0 < units <= MOST_UNITS:
        return f"the units are not above 0 and up to {MOST_UNITS}"
    return TraceRow(arrival, length, math.ceil(units))


def _disorder(rows: Sequence[TraceRow], lines: Sequence[int]) -> Iterable[str]:
    back = [
        line for (before, row), line in zip(pairwise(rows), lines[1:], strict=True) if row.arrival_h < before.arrival_h
    ]
    if back:
        yield f"line {back[0]}: the arrival is before that of the row above ({len(back)} such rows); they are put in order"
