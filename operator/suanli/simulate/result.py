"""The whole simulation: what was asked, and each policy's outcome on the same jobs."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from suanli.api.policy import Kpi
from suanli.base.clock import time_text
from suanli.simulate.outcome import Outcome

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
class Result:
    """All of it. `partial`: it was interrupted, or --until ended it, before the last job did."""

    asked: Asked
    partial: bool
    end_ms: int
    outcomes: tuple[Outcome, ...]


def as_json(result: Result) -> str:
    """For programs: the same input gives the same bytes."""
    asked = _wire(asdict(result.asked))
    whole = {
        "format": FORMAT,
        **asked,
        "begin": time_text(result.asked.begin_ms),
        "end": time_text(result.end_ms),
        "partial": result.partial,
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
