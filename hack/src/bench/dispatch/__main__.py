"""`./hack/bench/dispatch`."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import aiohttp

from bench.dispatch import figures, placing
from bench.dispatch.bare import Refused
from bench.dispatch.figures import Result
from bench.dispatch.floor import FloorRounds
from bench.dispatch.ground import ARRIVE, QUEUE, SITES, Budget, Ground
from bench.dispatch.process import NotMeasured, Operator
from commandline import interrupt, whole
from harness import CommandError
from localfed import LocalfedError, provider_from_env
from suanli.base.errors import SuanliError
from suanli.kube.client import ApiError, Unreachable

RUN_LIMIT_S = 1200.0
FEWEST_JOBS, MOST_JOBS = 20, 20_000
FEWEST_MEMBERS = 2
TROUBLE = (
    LocalfedError, CommandError, NotMeasured, Refused, SuanliError, ApiError, Unreachable,
    aiohttp.ClientError, subprocess.TimeoutExpired, OSError,
)  # fmt: skip


class Part(StrEnum):
    """What of it is wanted; latency needs the operator's rate first."""

    FLOOR = "floor"
    OPERATOR = "operator"
    LATENCY = "latency"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 1 could not measure, 2 wrong arguments, 130 interrupted."""
    args = arguments(argv)
    signal.signal(signal.SIGTERM, interrupt)
    budget = Budget(RUN_LIMIT_S)

    def say(text: str) -> None:
        print(f"dispatch {budget.spent_s:4.0f} s: {text}", file=sys.stderr, flush=True)

    try:
        with (
            tempfile.TemporaryDirectory(prefix="suanli-bench-") as folder,
            provider_from_env(report=say) as provider,
        ):
            os.environ["KUBECACHEDIR"] = f"{folder}/kubectl-cache"
            ground = Ground(provider, Path(folder), jobs=args.jobs, members=args.members, budget=budget, say=say)
            result = _measured(ground, args.jobs, args.only)
    except KeyboardInterrupt:
        print("dispatch: ended; nothing is left running", file=sys.stderr)
        return 130
    except TROUBLE as error:
        print(f"dispatch: not measured: {error}", file=sys.stderr)
        return 1
    print(figures.as_json(result) if args.output == "json" else figures.as_table(result))
    if args.output == "json":
        print("\n".join(figures.missed(result)), file=sys.stderr)
    return 0


def _measured(ground: Ground, jobs: int, only: Part | None) -> Result:
    """Floor, operator, floor: the rounds that were asked for, on the same servers."""
    dispatch = hub_writes = latency = None
    with Operator(ground) as operator:
        floor = FloorRounds(ground, operator.target, placing.first_status(ground, operator))
        if only in (None, Part.FLOOR):
            floor.find_concurrency(jobs)
            floor.measure(jobs)
        if only is not Part.FLOOR:
            queue = placing.Queue(ground, operator, jobs)
            dispatch = queue.dispatch()
            hub_writes = queue.hub_writes_per_job()
            if only in (None, Part.LATENCY):
                latency = placing.latency(ground, operator, dispatch.pace.jobs_per_s / 2)
            operator.stop()
        if only is None:
            ground.clear(QUEUE, ARRIVE)
            floor.measure(jobs)
    return Result(
        jobs=jobs,
        members=len(ground.sites),
        bodies=floor.bodies(),
        floor=floor.found() if only in (None, Part.FLOOR) else None,
        dispatch=dispatch,
        hub_writes_per_job=hub_writes,
        latency=latency,
        seconds=ground.budget.spent_s,
    )


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises: SystemExit with 2 and what is wrong."""
    parser = argparse.ArgumentParser(
        prog="hack/bench/dispatch",
        description="How fast the operator brings waiting jobs to their members, as a share of what a bare client reaches "
        "that does the same writes in the same run on the same servers.",
        epilog="Exit code: 0 measured, also when a goal was missed; 1 could not measure; 2 wrong arguments; 130 interrupted.",
    )
    parser.add_argument(
        "--jobs",
        type=whole(FEWEST_JOBS, MOST_JOBS),
        default=2000,
        help="jobs that wait when the operator starts (2000)",
    )
    parser.add_argument(
        "--members", type=whole(FEWEST_MEMBERS, len(SITES)), default=FEWEST_MEMBERS, help="member clusters (2)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    parser.add_argument(
        "--only", type=Part, choices=list(Part), help="one part; latency measures the operator's rate first"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
