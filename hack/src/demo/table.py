"""What the terminal shows: the live table, plain lines where there is no terminal, and the report."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from demo.board import ENDED, HELD, Board, Row
from demo.report import Report
from suanli.api.policy import Kpi
from suanli.base.units import decimal_text

MS_PER_HOUR = 3_600_000
COLOUR = {
    "Waiting": "yellow", "Invalid": "red", "Starting": "cyan", "Running": "cyan", "Succeeded": "green", "Failed": "red",
    "Deleted": "magenta",
}  # fmt: skip
WAITING = ("New", "Waiting", "Invalid", "Suspended")
FIXED_LINES = 16  # the line of counts; titles, headings and rules of three tables
FEWEST_ROWS = 8


def live(board: Board, elapsed_s: float, height: int) -> RenderableType:
    """Jobs that run or ended last, jobs that wait, then the sites, which a low terminal cuts off."""
    sites = sites_table(board)
    left = max(FEWEST_ROWS, height - FIXED_LINES - sites.row_count)
    waiting = board.latest(WAITING, left // 3)
    moving = board.latest((*HELD, *ENDED), left - len(waiting))
    parts: list[RenderableType] = [_counts(board.counts(), elapsed_s), _jobs("Jobs, the last to change first", moving)]
    if waiting:
        parts.append(_jobs("Waiting", waiting))
    return Group(*parts, sites)


def line(row: Row, elapsed_s: float) -> str:
    """One change as a line."""
    place = f"at {row.site}, {row.tier}" if row.site else row.why
    return f"{elapsed_s:6.1f} s  {row.name:<16} {row.state:<9}  {row.wants:<26}  {place}"


def sites_table(board: Board) -> Table:
    """Sites with what is held of their classes."""
    table = _table(None, "Site", "Side", "Class", ">In use", ">Jobs", ">Ended")
    last = ""
    for row in board.sites():
        first = row.site != last
        used = Text(f"{row.used} of {row.units}", style="bold" if row.used else "dim")
        table.add_row(
            row.site if first else "", row.side if first else "", row.class_, used, str(row.running), str(row.ended)
        )
        last = row.site
    return table


def report(
    found: Report, tiers: Sequence[str], kpis: Sequence[Kpi], words: Mapping[str, str], stages: Mapping[str, float]
) -> RenderableType:
    """The figures of the whole run; `words` are what commands said, by the command."""
    parts: list[RenderableType] = [_placed(found, tiers), _waits(found)]
    parts += [_metered(found), _figures(kpis)]
    parts += [_said(command, text) for command, text in words.items()]
    parts += [_checks(found), _stages(stages)]
    return Group(*(line for part in parts for line in ("", part)))


def _placed(found: Report, tiers: Sequence[str]) -> Table:
    table = _table("Jobs by site and latency tier", "Site", *(f">{tier}" for tier in tiers), ">all")
    sites = sorted({site for site, _ in found.jobs_by_site_and_tier})
    for site in sites:
        numbers = [found.jobs_by_site_and_tier.get((site, tier), 0) for tier in tiers]
        table.add_row(site, *map(str, numbers), str(sum(numbers)))
    return table


def _waits(found: Report) -> Table:
    table = _table("Why the impossible jobs wait", "Job", "Said of it")
    for name, text in found.waits.items():
        table.add_row(name, text)
    return table


def _said(command: str, text: str) -> Text:
    return Text.assemble((f"{command}\n", "bold"), *(f"  {line}\n" for line in text.splitlines() if line))


def _figures(kpis: Sequence[Kpi]) -> Table:
    """Those with a value and a target, or of eastern work; the targets are national, and these members are a sample."""
    table = _table("The policy's figures, as HubPolicy.status.kpis has them", "Figure", ">Value", "Target", "Met", "Of")
    for kpi in kpis:
        if kpi.value is not None and (kpi.target or kpi.name.startswith("east-to-west")):
            evidence = f"{kpi.numerator} of {kpi.denominator} {kpi.unit}"
            table.add_row(kpi.name, kpi.value, kpi.target or "", kpi.met or "", evidence)
    return table


def _metered(found: Report) -> Table:
    table = _table(
        "Metered by suanli against what the members' pods say",
        "",
        ">card-hours",
        ">core-hours",
        ">card-ms",
        ">millicore-ms",
    )
    for name, amount in (("metered", found.metered), ("pods", found.pods)):
        table.add_row(
            name,
            decimal_text(amount.card_ms, MS_PER_HOUR),
            decimal_text(amount.cpu_milli_ms, MS_PER_HOUR * 1000),
            str(amount.card_ms),
            str(amount.cpu_milli_ms),
        )
    cards, cores = found.metered.card_ms - found.pods.card_ms, found.metered.cpu_milli_ms - found.pods.cpu_milli_ms
    table.add_row("difference", "", "", str(cards), str(cores))
    table.caption = (
        f"East to west: {float(found.east_to_west):.1%} of the card-hours of eastern origin ran in the west "
        f"({found.east_in_west_card_ms} of {found.east_card_ms} card-ms)"
    )
    table.caption_justify = "left"
    return table


def _checks(found: Report) -> Table:
    table = _table("What had to come true", "", "", "")
    table.show_header = False
    for check in found.checks:
        mark = Text("true ", style="green") if check.true else Text("FALSE", style="bold red")
        table.add_row(mark, check.name, check.text)
    return table


def _stages(stages: Mapping[str, float]) -> Table:
    table = _table("Time", "Stage", ">seconds")
    for name, seconds in stages.items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("all", f"{sum(stages.values()):.1f}")
    return table


def _counts(counts: Mapping[str, int], elapsed_s: float) -> Text:
    text = Text(f"{elapsed_s:6.1f} s  ")
    for state, count in sorted(counts.items()):
        text.append(f"{state} {count}   ", style=COLOUR.get(state, ""))
    return text


def _jobs(title: str, rows: Sequence[Row]) -> Table:
    table = _table(title, "Job", "State", "Wants", "One-way", "Where, or why not")
    for column in table.columns[:-1]:
        column.no_wrap = True  # the last one gives way, and keeps to one line
    for row in rows:
        state = Text(row.state, style=COLOUR.get(row.state, ""))
        last = Text(row.site or row.why.replace("\n", " "), no_wrap=True, overflow="ellipsis")
        table.add_row(row.name, state, row.wants, row.tier, last)
    return table


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return table
