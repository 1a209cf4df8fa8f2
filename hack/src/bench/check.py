"""`./hack/bench/check`: decisions of random instances, re-checked by a checker that shares no code with placement."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from census import KINDS, Census, census
from commandline import whole

ENOUGH = 2_000  # from so many instances on, every kind of rule must have borne on one
PART = 100
SHOWN = 5
MOST = 10_000_000  # instances, processes


def main(argv: Sequence[str] | None = None) -> int:
    """Check; 0 nothing is wrong and every kind of rule was met, 1 something is, 2 wrong arguments."""
    args = _arguments(argv)
    began = time.monotonic()
    parts = [range(args.seed + i, args.seed + min(i + PART, args.instances)) for i in range(0, args.instances, PART)]
    whole = Census()
    for part in _in_parallel(parts, args.processes):
        whole.add(part)
        spent = time.monotonic() - began
        left = spent / whole.instances * (args.instances - whole.instances)
        said = (
            f"check {spent:4.0f} s: {whole.instances} of {args.instances}, {len(whole.wrong)} wrong, {left:.0f} s left"
        )
        print(said, file=sys.stderr, flush=True)
    result = figures(whole, args.seed, time.monotonic() - began)
    print(json.dumps(result, indent=2) if args.output == "json" else _text(result))
    return 1 if whole.wrong or (args.instances >= ENOUGH and whole.never_met) else 0


def _in_parallel(parts: Sequence[range], processes: int) -> Iterator[Census]:
    if processes == 1:
        yield from map(census, parts)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(census, parts)


def figures(whole: Census, seed: int, seconds: float) -> dict[str, Any]:
    """All that was counted. Of what is wrong the first instances; `--seed NUMBER --instances 1` shows one again."""
    return {
        "seed": seed,
        "instances": whole.instances,
        "jobs": whole.jobs,
        "placed": whole.placed,
        "violations": sum(map(len, whole.wrong.values())),
        "wrong": {str(number): whole.wrong[number] for number in sorted(whole.wrong)[:SHOWN]},
        "undecided": whole.undecided,
        "neverMet": whole.never_met,
        "met": {kind: whole.met[kind] for kind in KINDS},
        "seconds": round(seconds, 1),
    }


def _text(result: dict[str, Any]) -> str:
    met = sorted(result["met"].items(), key=lambda one: one[1])
    lines = [
        f"{result['instances']} instances from seed {result['seed']}, {result['jobs']} jobs, {result['placed']} placed, "
        f"{result['seconds']} s",
        f"{result['violations']} violations; {result['undecided']} instances with a packing that was not decided",
        f"{len(met)} kinds of rules, least often met: " + ", ".join(f"{kind} {count}" for kind, count in met[:SHOWN]),
    ]
    lines += [f"seed {number}: {text}" for number, said in result["wrong"].items() for text in said[:SHOWN]]
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hack/bench/check", description=__doc__)
    parser.add_argument("--instances", type=whole(1, MOST), default=10_000, help="how many (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="number of the first instance (default: 1)")
    parser.add_argument("--processes", type=whole(1, MOST), default=2, help="at once (default: 2)")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
