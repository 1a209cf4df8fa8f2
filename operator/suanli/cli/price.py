"""`suanli price`: what one more card or core is worth, by site, class and hour."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from suanli.api.site import ComputeUnit, SiteResource
from suanli.base.clock import time_text
from suanli.base.units import MICRO, decimal_text, micro
from suanli.cli.base import Files
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import BAD_INPUT, Format, Now, Output, dump, moment_ms, table, tell
from suanli.cli.start import begin_changed
from suanli.placement.difference import Place
from suanli.placement.worth import Hour, Worth, worth_by_hour

LEAST = 500.0  # micro-yuan: less is printed as nothing


@grouped
def price(
    files: Files = None,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How many hours, from now on.")] = 24,
    *,
    hub: Hub,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say what one more card, core or GiB of memory would be worth for an hour at each site and class, in CNY.

    It is the plan's shadow price: what the jobs that run would save an hour, by moving to where it is cheaper, if there were
    one more; in the money that plans compare, policy's weights included. Where jobs wait for a place it is worth more than
    that: their number is told. A later hour is planned with the jobs of today that are not over by then; no new ones come.
    Without -f it reads the hub, and counts running jobs as if they could be placed anew.

    Exit codes: 0 done, 2 the input is wrong (what can be read is priced all the same), 4 the hub refuses or cannot be reached.
    """
    base = begin_changed(files, hub, moment_ms(now))
    tell(base.found.problems, base.found.warnings)
    question = base.question()
    held = {one.job.uid: one for one in base.held.values()}
    found = list(worth_by_hour(question, held, hours))
    offered = {(view.site.metadata.name, r.class_): r for view in question.sites for r in view.site.spec.resources}
    if output is Output.TABLE:
        _print(found, offered)
    else:
        dump(_whole(found, offered), output)
    if base.found.problems:
        raise typer.Exit(BAD_INPUT)


Offered = Mapping[Place, SiteResource]


def _print(found: Sequence[Hour], offered: Offered) -> None:
    first = found[0]
    rows: list[Sequence[str]] = [("SITE", "CLASS", "UNIT", "LIST", "WORTH", "ONE CORE", "ONE GIB", "RUN", "WAITING")]
    for place, worth in first.worth.items():
        resource = offered[place]
        unit, core, gib = _texts(worth, resource)
        if unit == "0" and not (core or gib or worth.waiting):
            continue
        run = f"{decimal_text(round(worth.hours * 10), 10, 1)}h"
        list_price = decimal_text(micro(resource.list_price), places=4)
        rows.append((*place, resource.unit.lower(), list_price, unit, core, gib, run, str(worth.waiting or "")))
    typer.echo(f"{time_text(first.at_ms)}: {first.running} running, {first.waiting} waiting for room; CNY an hour")
    if len(rows) > 1:
        table(rows, right=range(3, 9), indent="  ")
    rest = len(offered) - len(rows) + 1
    if not offered:
        typer.echo("There is no class at any site.")
    elif rest:
        typer.echo(f"At {rest} of {len(offered)} classes at sites nothing is scarce: one more unit is worth nothing.")
    _print_hours(found, offered)


def _print_hours(found: Sequence[Hour], offered: Offered) -> None:
    """How the worth of a unit changes: an hour and its price, until the next one."""
    places = sorted({place for hour in found for place in hour.worth})
    if len(found) == 1 or not places:
        return
    rows: list[Sequence[str]] = [("SITE", "CLASS", "FROM (UTC): CNY AN HOUR")]
    for place in places:
        runs = list(_runs(place, found, offered[place]))
        if len(runs) > 1 or not runs[0].endswith(" 0"):
            rows.append((*place, ", ".join(runs)))
    if len(rows) > 1:
        typer.echo("\nWorth of one unit by hour, with the jobs of now")
        table(rows, indent="  ")


def _runs(place: Place, found: Sequence[Hour], resource: SiteResource) -> Iterator[str]:
    last = None
    for hour in found:
        worth = hour.worth.get(place)
        text = _texts(worth, resource)[0] if worth else "0"
        if text != last:
            yield f"{time_text(hour.at_ms)[11:16]} {text}"
        last = text


def _texts(worth: Worth, resource: SiteResource) -> tuple[str, str, str]:
    unit, core, gib = (_yuan(price) for price in (worth.unit, worth.core or 0.0, worth.gib))
    return unit or "0", core if resource.unit is ComputeUnit.CARD else "", gib


def _yuan(micro_yuan: float) -> str:
    """To a hundredth of a fen; nothing where it is less."""
    return decimal_text(round(micro_yuan), MICRO, 4) if micro_yuan >= LEAST else ""


def _whole(found: Sequence[Hour], offered: Offered) -> dict[str, Any]:
    """Everything, for programs; money in CNY an hour as decimal text."""
    return {
        "hours": [
            {
                "from": time_text(hour.at_ms),
                "running": hour.running,
                "waiting": hour.waiting,
                "worth": [
                    {
                        "site": place[0],
                        "class": place[1],
                        "unit": str(offered[place].unit),
                        "perUnit": _exact(worth.unit),
                        **({} if worth.core is None else {"perCore": _exact(worth.core)}),
                        "perGib": _exact(worth.gib),
                        "runHours": decimal_text(round(worth.hours * MICRO)),
                        "waiting": worth.waiting,
                    }
                    for place, worth in hour.worth.items()
                ],
            }
            for hour in found
        ]
    }


def _exact(micro_yuan: float) -> str:
    return decimal_text(round(micro_yuan))
