"""`./hack/faults`: many seeded runs under faults; every violation is told with its seed."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edits import fields
from faultplan import Fault
from faultrun import Outcome
from faults.pool import edit_outcomes, outcomes
from flood import MOST_TIMES, Kind, told, waits
from suanli.main import look_for_circles_rarely

ENOUGH = 200  # in so many runs every fault must have hit something
SAID_S = 10.0  # between two lines where there is no terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 nothing is wrong and every fault was met, 1 something is, 2 wrong arguments."""
    args = _arguments(argv)
    if args.flood is not None:
        return _flood(args.flood)
    if args.replay is not None:
        return _replay(args.replay, args.edits)
    began = time.monotonic()
    done: list[Outcome] = []
    try:
        _run(args, done)
    finally:
        result = report(done, args.seed, time.monotonic() - began, edits=args.edits)
        if args.report is not None:
            args.report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(_text(result))
    return 1 if result["failed"] or (len(done) >= ENOUGH and result["neverMet"]) else 0


def report(done: Sequence[Outcome], seed: int, seconds: float, *, edits: bool = False) -> dict[str, Any]:
    """All figures of the runs that were done. Units: seconds of virtual time, but for `seconds`."""
    met: Counter[str] = Counter()
    for one in done:
        met.update(one.met)
    settled = sorted(one.settled_s for one in done) or [0.0]
    kinds = [field.label for field in fields()] if edits else [str(fault) for fault in Fault]
    return {
        "seed": seed,
        "runs": len(done),
        "violations": sum(len(one.violations) for one in done),
        "failed": [
            {"seed": one.seed, "violations": one.violations, "replay": replay(one.seed, edits=edits), "plan": one.plan}
            for one in done
            if one.violations
        ],
        "edits" if edits else "faults": {kind: met[kind] for kind in kinds},
        "neverMet": [kind for kind in kinds if not met[kind]],
        "jobs": sum(one.jobs for one in done),
        "containers": sum(one.containers for one in done),
        "writes": sum(one.writes for one in done),
        "crashes": sum(one.crashes for one in done),
        "leaders": sum(one.leaders for one in done),
        "settledS": {"median": settled[len(settled) // 2], "max": settled[-1]},
        "stoodS": max([one.stood_s for one in done], default=0.0),
        "seconds": round(seconds, 1),
    }


def replay(seed: int, *, edits: bool = False) -> str:
    """The command that shows a seed again."""
    return f"./hack/faults {'--edits ' if edits else ''}--replay {seed}"


def _run(args: argparse.Namespace, done: list[Outcome]) -> None:
    console = Console(stderr=True)
    columns = (TextColumn("faults"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    said = began = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=args.runs)
        run = edit_outcomes if args.edits else outcomes
        for one in run(range(args.seed, args.seed + args.runs), args.processes):
            done.append(one)
            wrong = sum(bool(o.violations) for o in done)
            bar.update(task, advance=1, description=f"{wrong} wrong")
            for text in one.violations:
                said_text = f"seed {one.seed}: {text}; {replay(one.seed, edits=args.edits)}"
                console.print(said_text, markup=False, highlight=False)
            now = time.monotonic()
            if not console.is_terminal and now - said >= SAID_S:
                said = now
                left = (now - began) / len(done) * (args.runs - len(done))
                line = f"faults {now - began:4.0f} s: {len(done)} of {args.runs}, {wrong} wrong, {left:.0f} s left"
                print(line, file=sys.stderr, flush=True)


def _replay(seed: int, edits: bool) -> int:
    one = next((edit_outcomes if edits else outcomes)([seed], 1))
    print(json.dumps(one.plan, indent=1))
    for line in one.timeline:
        print(line)
    print(f"seed {seed}: settled {one.settled_s:.0f} s after the last fault; histories {one.digest}")
    for text in one.violations:
        print(f"seed {seed}: {text}")
    return 1 if one.violations else 0


def _flood(jobs: int) -> int:
    """Print what other tenants meet meanwhile; 1 when they wait too long for it in virtual time."""
    look_for_circles_rarely()  # as the operator's process does
    wrong = False
    for kind in Kind:
        alone, flooded = waits(0, kind), waits(jobs, kind)
        print(told(kind, jobs, alone, flooded), flush=True)
        counted = waits(jobs, kind, with_solver=True)
        times = counted.p99_s / alone.p99_s
        print(
            f"with the solver's processor time on this machine: p99 {counted.p99_s:.2f} s, {times:.2f} times",
            flush=True,
        )
        wrong |= flooded.p99_s >= MOST_TIMES * alone.p99_s
    return int(wrong)


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['runs']} runs from seed {result['seed']}: {len(result['failed'])} failed, {result['violations']} "
        f"violations, {result['seconds']} s",
        f"{result['jobs']} jobs, {result['containers']} containers, {result['writes']} writes, {result['crashes']} "
        f"crashes, {result['leaders']} leaders; settled {result['settledS']['median']:.0f} s after the last fault, at most "
        f"{result['settledS']['max']:.0f} s; a job stood still for {result['stoodS']:.0f} s at most",
        _met_text(result),
    ]
    lines += [f"seed {one['seed']}: {one['violations'][0]}; {one['replay']}" for one in result["failed"]]
    return "\n".join(lines)


def _met_text(result: dict[str, Any]) -> str:
    if "faults" in result:
        return "faults: " + ", ".join(f"{name} {count}" for name, count in result["faults"].items())
    counts = result["edits"]
    never = ", ".join(result["neverMet"]) or "none"
    return f"{sum(counts.values())} edits of {len(counts)} fields, of the least edited {min(counts.values())}; never edited: {never}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hack/faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default: 1)")
    parser.add_argument("--runs", type=_count, default=1_000, help="how many (default: 1000)")
    parser.add_argument("--report", type=Path, help="file for all figures, plans and violations as JSON")
    parser.add_argument("--processes", type=_count, default=2, help="at once (default: 2)")
    parser.add_argument("--edits", action="store_true", help="edit every field of every kind instead, and set it back")
    parser.add_argument("--flood", type=_count, metavar="JOBS", help="one tenant's, at once: how long others wait then")
    parser.add_argument("--replay", type=int, metavar="SEED", help="show one run: its plan and what is wrong")
    return parser.parse_args(argv)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
