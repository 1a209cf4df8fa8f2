"""`suanli simulate`: a trace through the production solver, weeks or a year of it, beside plain policies on the same jobs."""

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from suanli.base.clock import parse_time_ms, time_text
from suanli.base.money import yuan_text
from suanli.base.units import MS_PER_HOUR, duration_ms
from suanli.cli.scenarios import BadInput, Stage, read_stage, read_trace
from suanli.simulate.land import Outage, land_of
from suanli.simulate.plots import short_time
from suanli.simulate.report import budgets_text, charts, html, saved_text
from suanli.simulate.result import Asked, Result, as_json
from suanli.simulate.runs import POLICIES, Runs, usual
from suanli.simulate.trace import Trace
from suanli.simulate.workload import draw

BAD_INPUT = 2
LONGEST_CYCLE_MS = 24 * MS_PER_HOUR
DAYS = re.compile(r"([0-9]{1,6})d")
Name = StrEnum("Name", [(name.upper(), name) for name in POLICIES])  # type: ignore[misc]  # made of the one table


class Output(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    JSON = "json"


def simulate(
    scenario: Annotated[
        Path, typer.Option(help="A scenario's file, or the folder of a country with one (docs/simulate.md).")
    ],
    trace: Annotated[Path, typer.Option(help="Jobs as CSV with a line of column names, also packed with gzip.")],
    policy: Annotated[
        list[Name] | None,
        typer.Option(help="Who decides; repeatable, the first one is drawn.", show_default="all of them"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides all that the trace does not tell.")] = 0,
    cycle: Annotated[str, typer.Option(help='Time between two decisions at least, such as "60s" or "5m".')] = "60s",
    until: Annotated[
        str | None,
        typer.Option(
            help='End then: after "30d" or "720h", or at "2026-02-01T00:00:00Z".', show_default="when all is done"
        ),
    ] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the result.")] = Output.TABLE,
    report: Annotated[Path | None, typer.Option(help="Write a page of HTML with charts there.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Write each chart as an SVG file into this folder.")] = None,
) -> None:
    """Run a trace through the solver of the operator, cycle by cycle, and compare it with plain policies on the same jobs.

    The same input and seed give the same result, byte for byte. Ctrl-C ends it early and keeps what there is.

    Exit codes: 0 done, 2 the input is wrong, 130 interrupted: the result is of the time until then and says so.
    """
    try:
        cycle_ms = _cycle_ms(cycle)
        _check_places(report, pictures)
        stage = read_stage(scenario)
        read = read_trace(trace, stage.spec)
        runs, asked = _prepared(stage, read, [str(p) for p in policy or ()], seed, cycle_ms, until)
    except BadInput as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    for warning in asked.warnings:
        typer.echo(f"warning: {warning}", err=True)
    with _interrupts() as interrupted:
        _run(runs, interrupted)
    result = runs.result(asked, interrupted=bool(interrupted))
    _write(result, report, pictures)
    if output is Output.JSON:
        typer.echo(as_json(result))
    else:
        _table(result)
    if interrupted:
        typer.echo(
            f"interrupted at {time_text(result.end_ms)} of the simulation; the result is of the time until then",
            err=True,
        )
        raise typer.Exit(128 + interrupted[0])


def _prepared(
    stage: Stage, read: Trace, policies: list[str], seed: int, cycle_ms: int, until: str | None
) -> tuple[Runs, Asked]:
    """The simulation, ready to run. Raises: BadInput."""
    start_ms = parse_time_ms(stage.spec.start)
    until_ms = _until_ms(until, start_ms)
    rows = [row for row in read.rows if until_ms is None or start_ms + row.arrival_h * MS_PER_HOUR <= until_ms]
    outages = [Outage(parse_time_ms(o.from_), parse_time_ms(o.to), o.site) for o in stage.spec.outages]
    land = land_of(stage.country, stage.sites, stage.spec.capacity_share, outages, stage.accounts, stage.balances)
    workload = draw(rows, stage.spec, land, seed)
    if not len(workload):
        why = f": {workload.left_out_example}" if workload.left_out else "; none comes before --until"
        raise BadInput([f"no row of the trace can become a job that some site could run{why}"])
    warnings = [*stage.warnings, *read.warnings]
    if read.bad:
        warnings.append(
            f"{read.bad} of {read.bad + len(read.rows)} rows of the trace cannot be used, such as {'; '.join(read.told)}"
        )
    if workload.left_out:
        warnings.append(
            f"{workload.left_out} of {len(rows)} rows are left out, no site could ever run them, such as {workload.left_out_example}"
        )
    asked = Asked(
        scenario=stage.name,
        seed=seed,
        cycle_ms=cycle_ms,
        begin_ms=int(workload.arrival_ms[0]),
        rows=len(rows),
        bad_rows=read.bad,
        left_out=workload.left_out,
        left_out_example=workload.left_out_example,
        sites=len(stage.sites),
        warnings=tuple(warnings),
    )
    unique = list(dict.fromkeys(policies)) or usual(workload)
    return Runs(land, workload, unique, seed=seed, cycle_ms=cycle_ms, until_ms=until_ms), asked


def _run(runs: Runs, interrupted: list[int]) -> None:
    """To the end, or until it is interrupted; with a bar on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f} placed"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=runs.wanted)
        while runs.advance() and not interrupted:
            bar.update(task, completed=runs.placed, description=time_text(runs.now_ms)[:10])


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, the first of each; a second one ends the program."""
    found: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        found.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(result: Result, report: Path | None, pictures: Path | None) -> None:
    if report is not None:
        report.write_text(html(result), encoding="utf-8")
    if pictures is not None:
        for chart in charts(result):
            (pictures / f"{chart.name}.svg").write_text(chart.file, encoding="utf-8")


def _table(result: Result) -> None:
    """The most important figures for people."""
    table = Table(box=None, pad_edge=False)
    for name in (
        "POLICY",
        "PLACED",
        "WAITING",
        "QUEUE p50",
        "p95",
        "p99",
        "COUNTED CNY",
        "PAID CNY",
        "CO2 kg",
        "CARD-HOURS",
        "CORE-HOURS",
        "EAST TO WEST",
    ):
        table.add_column(name, justify="left" if name == "POLICY" else "right", no_wrap=True)
    for o in result.outcomes:
        queue = o.queue[-1]
        times = (short_time(s) for s in (queue.p50_s, queue.p95_s, queue.p99_s))
        money = (yuan_text(o.money.counted_micro_yuan), yuan_text(o.money.paid_micro_yuan))
        hours = (f"{o.card_hours:.1f}", f"{o.core_hours:.1f}")
        table.add_row(
            o.policy,
            str(o.jobs.placed),
            str(o.jobs.waiting),
            *times,
            *money,
            f"{o.carbon_kg:.0f}",
            *hours,
            o.east_to_west,
        )
    console = Console(width=200, highlight=False, color_system=None)
    console.print(table)
    if result.savings is not None:
        typer.echo(saved_text(result.outcomes, result.savings))
    for o in result.outcomes:
        if o.budgets is not None:
            typer.echo(budgets_text(o, o.budgets))
    asked = result.asked
    partial = ", partial" if result.partial else ""
    typer.echo(
        f"{asked.rows} rows, {asked.sites} sites, {time_text(asked.begin_ms)} to {time_text(result.end_ms)}, seed {asked.seed}{partial}"
    )


def _cycle_ms(text: str) -> int:
    try:
        found = duration_ms(text)
    except ValueError:
        found = 0
    if 0 < found <= LONGEST_CYCLE_MS:
        return found
    raise BadInput([f'--cycle: "{text}" is no time from 1ms to 24h; write it as "60s" or "5m"'])


def _until_ms(text: str | None, start_ms: int) -> int | None:
    if text is None:
        return None
    if days := DAYS.fullmatch(text):
        return start_ms + int(days[1]) * 24 * MS_PER_HOUR
    for parse, base_ms in ((duration_ms, start_ms), (parse_time_ms, 0)):
        with suppress(ValueError, OverflowError):
            found = base_ms + parse(text)
            if found > start_ms:
                return found
    raise BadInput(
        [
            f'--until: "{text}" is no time after the start {time_text(start_ms)}; write it as "30d", "720h" or "2026-02-01T00:00:00Z"'
        ]
    )


def _check_places(report: Path | None, pictures: Path | None) -> None:
    """That what is to be written can be, before hours are spent. Raises: BadInput."""
    problems = []
    if report is not None and (report.is_dir() or not report.absolute().parent.is_dir()):
        problems.append(f"--report: {report} is a folder, or in none that exists; name a file in one that does")
    if pictures is not None and not pictures.is_dir():
        problems.append(f"--pictures: {pictures} is no folder; make it first")
    if problems:
        raise BadInput(problems)
