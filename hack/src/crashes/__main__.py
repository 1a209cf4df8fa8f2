"""`./hack/crashes`: kills the operator before and after each of its writes to real API servers, one at a time."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commandline import interrupt, number, whole
from crashes.ground import SETTINGS, SITES, prepare
from crashes.points import Point, drawn
from crashes.routine import ROUTINES
from crashes.run import Crashes, Outcome
from harness import CommandError, Federation, Observer
from localfed import LocalfedError, provider_from_env
from suanli.base.errors import SuanliError

PROMISED_S = 60.0
TROUBLE = (LocalfedError, CommandError, SuanliError, TimeoutError, subprocess.TimeoutExpired, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 nothing is wrong, 1 something is, or it could not be tried, 2 wrong arguments, 130 interrupted."""
    args = arguments(argv)
    signal.signal(signal.SIGTERM, interrupt)
    began_s = time.monotonic()
    done: list[Outcome] = []

    def say(text: str) -> None:
        print(f"crashes {time.monotonic() - began_s:4.0f} s: {text}", file=sys.stderr, flush=True)

    code = 0
    try:
        with (
            tempfile.TemporaryDirectory(prefix="suanli-crashes-") as folder,
            provider_from_env(report=say) as provider,
        ):
            os.environ["KUBECACHEDIR"] = f"{folder}/kubectl-cache"
            federation = Federation(provider, Path(folder), SITES)
            prepare(federation)
            with Observer(federation) as observer, Crashes(federation, observer, SETTINGS) as crashes:
                late = _tried(crashes, args, done, say)
    except KeyboardInterrupt:
        print("crashes: ended; nothing is left running", file=sys.stderr)
        late, code = [], 130
    except TROUBLE as error:
        print(f"crashes: not tried: {error}", file=sys.stderr)
        late, code = [], 1
    result = report(done, late, args.seed, time.monotonic() - began_s)
    if args.report is not None:
        args.report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(text(result))
    return code or int(bool(result["failed"] or result["late"]))


def report(done: Sequence[Outcome], late: Sequence[str], seed: int, seconds: float) -> dict[str, Any]:
    """All figures. Units: seconds, `settledS` from the kill on."""
    met = [one for one in done if one.settled_s is not None]
    settled = sorted(one.settled_s for one in met if one.settled_s is not None and not one.violations) or [0.0]
    return {
        "seed": seed,
        "points": len(met),
        "writes": len({(one.routine, one.point.write) for one in met if one.point}),
        "calm": {one.routine: one.writes for one in done if one.point is None},
        "neverCame": [str(one.point) for one in done if one.point and one.settled_s is None],
        "failed": [
            {"point": str(one.point or f"{one.routine} calm"), "violations": one.violations}
            for one in done
            if one.violations
        ],
        "late": list(late),
        "settledS": {"median": settled[len(settled) // 2], "max": settled[-1]},
        "each": [
            {"point": str(one.point), "settledS": one.settled_s, "tookS": one.took_s, "starts": one.starts}
            for one in met
        ],
        "seconds": round(seconds, 1),
    }


def text(result: dict[str, Any]) -> str:
    """What a person wants to know of the figures."""
    lines = [
        f"{result['points']} crashes at {result['writes']} writes, seed {result['seed']}: {len(result['failed'])} failed, "
        f"{len(result['late'])} things came late, {result['seconds']} s",
        f"settled {result['settledS']['median']:.0f} s after the kill, at most {result['settledS']['max']:.0f} s; "
        f"promised: at most {PROMISED_S:.0f} s",
        f"never came in their run: {', '.join(result['neverCame']) or 'none'}",
    ]
    lines += [f"{one['point']}: {'; '.join(one['violations'])}; {again(one['point'])}" for one in result["failed"]]
    return "\n".join(lines + result["late"])


def again(point: str) -> str:
    """The command that shows a point again."""
    return f"./hack/crashes --only '{point}'"


def _tried(crashes: Crashes, args: argparse.Namespace, done: list[Outcome], say: Any) -> list[str]:
    points: Sequence[Point] = args.only
    if not points:
        calm = [crashes.calm(name, args.within) for name in args.routine or ROUTINES]
        done += calm
        points = drawn({one.routine: one.writes for one in calm}, args.seed, args.points)
        for one in calm:
            say(f"{one.routine}: {len(one.writes)} writes in {one.took_s} s {'; '.join(one.violations)}")
    for count, point in enumerate(points, 1):
        one = crashes.at(point, args.within)
        done.append(one)
        told = "never came:" if one.settled_s is None else f"settled in {one.settled_s} s:"
        say(f"{count} of {len(points)} {told} {point} {'; '.join(one.violations)}")
    return crashes.afterwards()


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises: SystemExit with 2 and what is wrong."""
    parser = argparse.ArgumentParser(
        prog="hack/crashes",
        description="A federation of real API servers, whose operator is killed (SIGKILL) before or after one of its "
        "writes while users do a fixed routine, of work or around a site that is lost, and begun again; then all jobs must have ended right, once, and exactly "
        "measured, with nothing left over. Without --only, every write of one calm run of each routine is tried both ways.",
        epilog="Exit code: 0 nothing was wrong; 1 something was, or it could not be tried; 2 wrong arguments; 130 interrupted.",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order, and of the choice with --points (1)")
    parser.add_argument("--points", type=whole(1, 10_000), help="so many points, drawn (all)")
    parser.add_argument(
        "--routine", choices=tuple(ROUTINES), action="append", help="what users do meanwhile: one of these (all)"
    )
    parser.add_argument("--only", type=_point, action="append", default=[], help="one point, as the report names it")
    parser.add_argument(
        "--within", type=number(10, 3600), default=PROMISED_S, help="seconds in which all must have settled (60)"
    )
    parser.add_argument("--report", type=Path, help="file for all figures as JSON")
    return parser.parse_args(argv)


def _point(text: str) -> Point:
    try:
        point = Point.of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no point; give one as the report names it") from None
    if point.routine not in ROUTINES:
        raise argparse.ArgumentTypeError(f"{text!r} names no routine; there are {', '.join(ROUTINES)}")
    return point


if __name__ == "__main__":
    sys.exit(main())
