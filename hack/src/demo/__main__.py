"""`./hack/demo`."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from commandline import interrupt, whole
from demo import figures, money, slices, steps, table
from demo.board import Board
from demo.country import ANY_TIER, Country, load
from demo.jobs import EXAMPLE
from demo.report import compute
from demo.screen import Screen
from harness import CommandError
from localfed import LocalfedError, Provider, provider_from_env

MEMBERS = "yrd-demo-dc1,zhongwei-dc1,wuhan-edge1"
MOST_JOBS = 1000
OPERATOR_LINES = 15


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 all came true, 1 something did not, 2 wrong arguments, 130 interrupted."""
    args = _arguments(argv)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=180)
    try:
        country = load(EXAMPLE).only(args.members.split(","))
    except ValueError as error:
        console.print(f"demo: {error}", markup=False)
        return 2
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="suanli-demo-") as folder,
            provider_from_env(report=lambda text: console.print(f"  {text}", markup=False)) as provider,
        ):
            os.environ["KUBECACHEDIR"] = f"{folder}/kubectl-cache"
            return _demo(args, console, country, provider, Path(folder))
    except KeyboardInterrupt:
        console.print("\ndemo: ended; nothing is left running")
        return 130
    except (LocalfedError, CommandError, TimeoutError) as error:
        console.print(f"demo: {error}", markup=False)
        return 1


def _demo(args: argparse.Namespace, console: Console, country: Country, provider: Provider, folder: Path) -> int:
    began_ms = time.time_ns() // 1_000_000
    rooms = slices.rooms(country)
    stages = steps.Stages(lambda text: console.print(text, markup=False))
    plan = steps.plan(country, rooms, EXAMPLE, count=args.jobs, seed=args.seed, over_s=args.over)
    with stages("servers", f"Starting a hub and {len(country.sites)} members: {', '.join(country.sites)}"):
        federation = steps.bring_up(provider, folder, country, rooms)
    with stages("chart", "Installing the chart with Helm, applying regions, policy and links"):
        steps.install(federation, EXAMPLE)
    with federation.operator(**steps.SETTINGS) as operator:
        try:
            with stages("join", "Joining the members with `suanli site join`, starting the operator"):
                steps.join(federation, operator, stages.say)
            run, board = steps.Run(federation, operator, plan), Board(country, rooms)
            with (
                stages("jobs", f"Applying {len(plan)} jobs over {args.over} s, seed {args.seed}"),
                Screen(console, board) as screen,
            ):
                run.until_settled(board, screen)
            with stages("report", "Reading the members' pods and the policy's figures, explaining a job that waits"):
                seen = run.seen()
                counted = figures.counted(seen, country)
                kpis = run.figures(counted)
            with stages(
                "bill", "Closing the month as if it were over: bills, statements, and an audit of their evidence"
            ):
                moments_ms = (began_ms, time.time_ns() // 1_000_000)
                settled = money.settle(federation, steps.data_of(operator), folder, seen.runs, moments_ms)
            found = compute(plan, seen, country, [figures.check(kpis, counted), *settled.checks])
        except (CommandError, TimeoutError, RuntimeError):
            console.print("\n".join(operator.words().splitlines()[-OPERATOR_LINES:]), markup=False)
            raise
        words = {f"suanli explain {name}": text for name, text in seen.stories.items()} | settled.printed
        tiers = [*(tier.name for tier in country.policy.spec.latency_tiers), ANY_TIER]
        console.print(table.report(found, tiers, kpis, words, stages.seconds))
        if args.keep:
            console.print(steps.how_to_look(federation, operator, os.getpid()), markup=False, soft_wrap=True)
            while operator.running:
                time.sleep(1)
        code = operator.terminate()
        if code:
            console.print(f"demo: the operator ended with {code} when asked to stop")
    return 0 if found.ok and code == 0 else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/demo",
        description="Real control planes of several data centres take jobs of a real trace; every job is placed, run and metered.",
        epilog="Exit code: 0 all came true, 1 something did not, 2 wrong arguments, 130 interrupted.",
    )
    parser.add_argument("--keep", action="store_true", help="leave everything up after the report, until Ctrl-C")
    parser.add_argument("--jobs", type=whole(1, MOST_JOBS), default=64, help="jobs of the trace (64)")
    parser.add_argument(
        "--over", type=whole(1, 3600), default=60, metavar="SECONDS", help="time in which they come (60)"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides which jobs (1)")
    parser.add_argument(
        "--members", default=MEMBERS, metavar="SITE,...", help=f"sites of examples/national to bring up ({MEMBERS})"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
