"""The jobs of a trace: when they come, how long they run, how much they hold."""

import csv
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.defer.prices import BadInput

Ints = npt.NDArray[np.int64]

COLUMNS = ("arrival_time", "length", "cpus")
HOUR_S = 3_600
MOST_HOURS = 8_760.0
MOST_UNITS = 1_000_000.0


@dataclass(frozen=True)
class Trace:
    """Jobs in the order in which they come. Shapes: (J,) each. Units: seconds from the begin, seconds, thousandths of a unit."""

    arrival_s_j: Ints
    length_s_j: Ints
    milli_units_j: Ints

    def __len__(self) -> int:
        return len(self.arrival_s_j)

    def only(self, these: npt.NDArray[np.bool_]) -> "Trace":
        """Some of them."""
        return Trace(self.arrival_s_j[these], self.length_s_j[these], self.milli_units_j[these])


def read_trace(path: Path) -> Trace:
    """A CSV, or a gzipped one, with the columns of PAI: arrival_time and length in hours, cpus. Raises: BadInput."""
    rows: list[tuple[float, float, float]] = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise BadInput(f"{path}:1: column {', '.join(missing)} is missing; the header has {', '.join(header)}")
            places = [header.index(name) for name in COLUMNS]
            rows += [_job(path, number, cells, places) for number, cells in enumerate(reader, start=2) if cells]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    if not rows:
        raise BadInput(f"{path}: has no jobs")
    rows.sort()
    arrival, length, units = np.array(rows).T
    return Trace(
        np.floor(arrival * HOUR_S).astype(np.int64),
        np.maximum(1, np.ceil(length * HOUR_S - 1e-6)).astype(np.int64),
        np.maximum(1, np.ceil(units * 1_000 - 1e-6)).astype(np.int64),
    )


def _job(path: Path, number: int, cells: Sequence[str], places: Sequence[int]) -> tuple[float, float, float]:
    try:
        arrival, length, units = (float(cells[place]) for place in places)
    except (ValueError, IndexError):
        raise BadInput(
            f'{path}:{number}: "{",".join(cells)}" is no job; {", ".join(COLUMNS)} are to be numbers'
        ) from None
    if not all(map(math.isfinite, (arrival, length, units))) or arrival < 0 or length <= 0 or units <= 0:
        raise BadInput(
            f"{path}:{number}: arrival_time {arrival}, length {length}, cpus {units}: a job comes at 0 or later and takes some time and some units"
        )
    if length > MOST_HOURS or units > MOST_UNITS or arrival > 100 * MOST_HOURS:
        raise BadInput(
            f"{path}:{number}: arrival_time {arrival}, length {length}, cpus {units}: no job lasts longer than a year or holds more than a million units"
        )
    return arrival, length, units
