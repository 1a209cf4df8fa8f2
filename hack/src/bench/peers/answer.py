"""What a solver's process answers: JSON in a file, since libraries print what they like."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.peers.model import Model


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    `value` is the best found, None if nothing was; `bound` is what the solver proved that nothing is below; `taken` are the columns of
    a plan in whole jobs, one for each job. Units: seconds of wall and processor time from the arrays to the answer, without the start of
    the process.
    """

    status: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    value: float | None = None
    bound: float | None = None
    taken: tuple[int, ...] | None = None


def serve(solve: Callable[[Model, float], Answer]) -> None:
    """The main program of a solver: the model's file, the answer's, and how long it may take."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("seconds", type=float)
    args = parser.parse_args()
    model = Model.load(args.model)
    began, cpu = time.perf_counter(), time.process_time()
    answer = solve(model, args.seconds)
    answer = replace(answer, seconds=time.perf_counter() - began, cpu_seconds=time.process_time() - cpu)
    args.answer.write_text(json.dumps(asdict(answer)), encoding="ascii")
