"""`./hack/bench/skew`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.skew import figures
from bench.skew.ground import Wish, ground
from commandline import number, whole
from suanli.cli.scenarios import BadInput, read_trace
from suanli.placement.solve import place
from suanli.simulate.scenario import ScenarioSpec

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MOST_UNITS = 64  # larger jobs of a trace are left out: a region has to hold one


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 2 wrong arguments."""
    args = arguments(argv)
    try:
        units: list[int] = []
        if args.trace:
            units = [row.units for row in read_trace(args.trace, ScenarioSpec()).rows if row.units <= MOST_UNITS]
        made = ground(Wish(args.regions, args.jobs, args.ratio, args.load, args.headroom), args.seed, units)
    except (BadInput, ValueError) as error:
        print(f"skew: {error}", file=sys.stderr)
        return 2
    began = time.perf_counter()
    plan = place(made.jobs, made.sites, made.country, NOW_MS)
    found = figures.result(made, plan, args.seed, time.perf_counter() - began)
    print(figures.as_json(found) if args.output == "json" else figures.as_table(found))
    if args.output == "json":
        print("\n".join(figures.missed(found)), file=sys.stderr)
    return 0


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises: SystemExit with 2 and what is wrong."""
    parser = argparse.ArgumentParser(
        prog="hack/bench/skew",
        description="Brings regions whose demand and supply do not match into balance with the production solver, data gravity "
        "counted. A region's load is what runs there over all it has.",
        epilog="Exit code: 0 measured, also when a goal was missed; 2 wrong arguments.",
    )
    parser.add_argument("--seed", type=whole(0, 1 << 62), default=1, help="decides all that is drawn (1)")
    parser.add_argument("--regions", type=whole(3, 1_000), default=10, help="regions, one site each (10)")
    parser.add_argument("--jobs", type=whole(50, 1_000_000), default=2_000, help="jobs that wait at once (2000)")
    parser.add_argument(
        "--ratio", type=number(1.0, 100.0), default=2.63, help="worst region's demand over its supply (2.63)"
    )
    parser.add_argument("--load", type=number(0.1, 1.0), default=0.92, help="all demand over all supply (0.92)")
    parser.add_argument(
        "--headroom",
        type=number(0.0, 0.5),
        default=0.02,
        help="share of each region's supply that the solver is not given (0.02)",
    )
    parser.add_argument("--trace", type=Path, help="take the sizes of jobs from this trace, by default drawn")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
