"""The whole simulation: what was asked, and each policy's outcome on the same jobs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from suanli.api.policy import Kpi
from suanli.base.clock import time_text
from suanli.simulate.outcome import Outcome
from suanli.simulate.policies import AT_ONCE, SUANLI

FORMAT = "simulate.suanli.io/v1alpha1"


@dataclass(frozen=True)
class Asked:
    """What was simulated. Times: ms since the epoch."""

    scenario: str
    seed: int
    cycle_ms: int
    begin_ms: int
    rows: int
    bad_rows: int
    left_out: int
    left_out_example: str
    sites: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Savings:
    """What suanli saves by putting jobs off, against itself with all jobs at once; negative where that was cheaper.

    Shares are of what at once takes; None where that is nothing.
    """

    energy_micro_yuan: int
    paid_micro_yuan: int
    paid_share: float | None
    counted_micro_yuan: int
    counted_share: float | None
    carbon_kg: float
    carbon_share: float | None


def savings(outcomes: Sequence[Outcome]) -> Savings | None:
    """Of the two outcomes in question; None where one of them was not asked for."""
    by_name = {o.policy: o for o in outcomes}
    if SUANLI not in by_name or AT_ONCE not in by_name:
        return None
    ours, other = by_name[SUANLI], by_name[AT_ONCE]
    energy = other.money.energy_micro_yuan - ours.money.energy_micro_yuan
    paid = other.money.paid_micro_yuan - ours.money.paid_micro_yuan
    counted = other.money.counted_micro_yuan - ours.money.counted_micro_yuan
    carbon = round(other.carbon_kg - ours.carbon_kg, 3)
    return Savings(
        energy,
        paid,
        _share(paid, other.money.paid_micro_yuan),
        counted,
        _share(counted, other.money.counted_micro_yuan),
        carbon,
        _share(carbon, other.carbon_kg),
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole > 0 else None


@dataclass(frozen=True)
class Result:
    """All of it. `partial`: it was interrupted, or --until ended it, before the last job did."""

    asked: Asked
    partial: bool
    end_ms: int
    outcomes: tuple[Outcome, ...]
    savings: Savings | None = None


def as_json(result: Result) -> str:
    """For programs: the same input gives the same bytes."""
    asked = _wire(asdict(result.asked))
    whole = {
        "format": FORMAT,
        **asked,
        "begin": time_text(result.asked.begin_ms),
        "end": time_text(result.end_ms),
        "partial": result.partial,
        "savings": _wire(asdict(result.savings)) if result.savings else None,
        "policies": [_wire(asdict(outcome)) for outcome in result.outcomes],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False)


def _wire(value: Any) -> Any:
    """Names of the wire."""
    if isinstance(value, Kpi):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, dict):
        return {to_camel(key.rstrip("_")): _wire(inner) for key, inner in value.items()}
    return [_wire(inner) for inner in value] if isinstance(value, (list, tuple)) else value
