"""The jobs of a trace as arrays: when they come, how long they run, how much they hold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from suanli.cli import scenarios
from suanli.cli.scenarios import BadInput
from suanli.simulate.scenario import ScenarioSpec

Ints = npt.NDArray[np.int64]

HOUR_S = 3_600
MOST_UNITS = 1_000_000  # cores that a ComputeJob may ask for


@dataclass(frozen=True)
class Trace:
    """Jobs in the order in which they come. Shapes: (J,) each. Units: seconds from the begin, seconds, whole units."""

    arrival_s_j: Ints
    length_s_j: Ints
    units_j: Ints

    def __len__(self) -> int:
        return len(self.arrival_s_j)

    def only(self, these: npt.NDArray[np.bool_]) -> "Trace":
        """Some of them."""
        return Trace(self.arrival_s_j[these], self.length_s_j[these], self.units_j[these])


def read_trace(path: Path) -> Trace:
    """A trace as `suanli simulate` reads it, with the columns of PAI; here every row has to be usable. Raises: BadInput."""
    found = scenarios.read_trace(path, ScenarioSpec())
    if found.bad:
        raise BadInput([f"{path}: {found.told[0]}"])
    arrival_h, length_h, units = np.array([(row.arrival_h, row.length_h, row.units) for row in found.rows]).T
    if units.max() > MOST_UNITS:
        raise BadInput(
            [f"{path}: a job of {units.max():.0f} units is more than the {MOST_UNITS} cores that a job may have"]
        )
    return Trace(
        np.floor(arrival_h * HOUR_S).astype(np.int64),
        np.maximum(1, np.ceil(length_h * HOUR_S - 1e-6)).astype(np.int64),
        units.astype(np.int64),
    )
