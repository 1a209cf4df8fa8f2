"""`./hack/bench/defer`."""

import argparse
import multiprocessing
import resource
import signal
import sys
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time
from pathlib import Path

import numpy as np

from bench.defer import figures, oracle
from bench.defer.figures import Case, Result, outcome
from bench.defer.ground import Ground, make_ground, work_of_jobs
from bench.defer.play import Played, play
from bench.defer.prices import Market, read_markets
from bench.defer.trace import Trace, read_trace
from commandline import interrupt, number, whole
from gates.tree import ROOT
from suanli.base.units import MS_PER_HOUR
from suanli.cli.scenarios import BadInput
from suanli.placement.horizon import Work

DATA = ROOT.parent / "shared" / "data"
PRICES = ("price/DE-LU_2023.csv", "price/JP-TK_2023.csv", "price/US-TEX-ERCO_2023.csv")
TRACE = "traces/pai-100k.csv.gz"
PROCESSES = 2


@dataclass(frozen=True)
class Question:
    """One case to be played."""

    ground: Ground
    published: time
    cycle_ms: int
    room: float | None

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.ground.window_ms / MS_PER_HOUR:g} h{'' if self.room is None else f', room {self.room:g}'}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 1 could not measure, 2 wrong arguments, 130 interrupted."""
    args = arguments(argv)
    signal.signal(signal.SIGTERM, interrupt)
    began = clock.monotonic()
    try:
        markets, trace = read_markets(args.prices, args.rate), read_trace(args.trace)
        result = _measured(args, markets, trace, began)
    except BadInput as error:
        print(f"defer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("defer: ended", file=sys.stderr)
        return 130
    print(figures.as_json(result) if args.output == "json" else figures.as_table(result))
    if args.output == "json":
        print("\n".join(figures.missed(result)), file=sys.stderr)
    return 0


def _measured(args: argparse.Namespace, markets: list[Market], trace: Trace, began: float) -> Result:
    questions, left_out = [], 0
    for window_h in args.defer:
        ground = make_ground(markets, trace, round(window_h * MS_PER_HOUR), args.movable, args.seed)
        left_out = max(left_out, len(trace) - len(ground.trace))
        if not len(ground.trace):
            raise BadInput(["no job can end before the last price; give prices of a longer time, or a shorter --defer"])
        questions += [Question(ground, args.published, args.cycle * 60_000, room) for room in (None, *args.room)]
    with multiprocessing.Pool(PROCESSES, initializer=_leave_signals_to_the_parent) as pool:  # ends with its parent
        answers = pool.map(_answer, questions, chunksize=1)
    return Result(
        prices=[f"{market.name} ({market.zone})" for market in markets],
        trace=args.trace.name,
        left_out=left_out,
        movable=args.movable,
        seed=args.seed,
        known="at each moment, of every site the prices up to the end of its local day and, from "
        f"{args.published:%H:%M} local time on, up to the end of the next, and those of at least the seven days before; for later "
        "hours what ComputeSite.spec.energy.hourlyPrices says is expected of them; of the jobs those that have come (it looks "
        f"every {args.cycle} min), with their real length; nothing else. The oracle knows all prices and all jobs.",
        cases=[case for case, _ in answers],
        peak_mib=max(peak for _, peak in answers),
        seconds=clock.monotonic() - began,
    )


def _answer(question: Question) -> tuple[Case, float]:
    """Play it, and what the oracle and the baselines make of the same jobs."""
    began, ground = clock.monotonic(), question.ground

    def say(text: str) -> None:
        print(f"defer {clock.monotonic() - began:4.0f} s: {question.name}: {text}", file=sys.stderr, flush=True)

    def played(work: Work) -> Played:
        return play(ground, work, published=question.published, cycle_ms=question.cycle_ms, room_s=room, say=say)

    now = oracle.at_once(ground)
    room = None if question.room is None else oracle.room_s(ground, question.room)
    say("jobs are made ready")
    work = work_of_jobs(ground)
    planned = played(work)
    ways = {"planner": planned, "oracle": oracle.oracle(ground)}
    if question.room is None:
        say("the same at home")
        home = ground.origin_j[:, None] == np.arange(len(ground.markets))
        ways["planner, no move"] = played(replace(work, allowed_wp=work.allowed_wp & home))
        ways |= {"by yesterday's hours": oracle.by_yesterday(ground), "at once": now}
    case = Case(
        window_h=ground.window_ms / MS_PER_HOUR,
        room=question.room,
        jobs=len(ground.trace),
        unit_hours=float((ground.trace.units_j * ground.length_ms_j / MS_PER_HOUR).sum()),
        at_once_cny=oracle.cost_cny(ground, now),
        ways={name: outcome(ground, way, now, room if name == "planner" else None) for name, way in ways.items()},
        plans=planned.plans,
        seconds=clock.monotonic() - began,
    )
    return case, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises: SystemExit with 2 and what is wrong."""
    parser = argparse.ArgumentParser(
        prog="hack/bench/defer",
        description="What deferrable jobs save by the operator's plan of the next 48 hours, on real prices and a trace, as a share "
        "of what an oracle saves that knows all prices and jobs. A site a price file; jobs come from sites by chance.",
        epilog="Exit code: 0 measured, also when a goal was missed; 1 could not measure; 2 wrong arguments; 130 interrupted.",
    )
    parser.add_argument(
        "--prices", nargs="+", metavar="FILE[@ZONE]", default=[str(DATA / name) for name in PRICES],
        help="hourly prices, a CSV of time and USD per MWh; the zone is that of its market's day (UTC)",
    )  # fmt: skip
    parser.add_argument(
        "--trace", type=Path, default=DATA / TRACE, help="jobs, a CSV with arrival_time and length in hours and cpus"
    )
    parser.add_argument(
        "--defer", nargs="+", type=number(0.25, 240), default=[12.0, 24.0], metavar="HOURS",
        help="how long jobs may be put off, each a case (12 24)",
    )  # fmt: skip
    parser.add_argument(
        "--movable",
        type=number(0, 1),
        default=0.5,
        help="share of jobs whose latency tier lets them leave their site (0.5)",
    )
    parser.add_argument(
        "--room", nargs="*", type=number(0.1, 100), default=[], metavar="SHARE",
        help="also with this room at each site, as a share of the peak of all jobs at once where they come from",
    )  # fmt: skip
    parser.add_argument(
        "--published",
        type=_time_of_day,
        default=time(13),
        help="local time at which prices of the next day are known (13:00)",
    )
    parser.add_argument("--cycle", type=whole(1, 60), default=15, help="minutes between two looks at new jobs (15)")
    parser.add_argument("--rate", type=number(0.01, 1_000), default=7.0, help="CNY for a USD; changes no share (7)")
    parser.add_argument("--seed", type=int, default=1, help="for origins and tiers (1)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    return parser.parse_args(argv)


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _time_of_day(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time of day such as 13:00") from None


if __name__ == "__main__":
    sys.exit(main())
