"""`suanli plan`: the production solver on manifests, without a cluster."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from suanli.api.site import ComputeSite, ComputeUnit, SiteResource
from suanli.base.clock import parse_time_ms
from suanli.base.money import yuan_text
from suanli.base.units import cpu_milli, decimal_text, whole
from suanli.cli.manifests import DEFAULT_NAMESPACE, Manifests, read
from suanli.placement.packing import MOST_SLOTS
from suanli.placement.snapshot import ClassRoom, Decision, FreeNodes, Plan, SiteView, WaitingJob
from suanli.placement.solve import place

BAD_INPUT = 2
SOME_WAIT = 3
UNLIMITED = 1 << 46
PIPE_WIDTH = 200


class Output(StrEnum):
    """How the plan is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def plan(
    files: Annotated[
        list[Path],
        typer.Option("-f", "--file", help='Manifests: files, folders, or "-" for standard input; repeatable.'),
    ],
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the plan.")] = Output.TABLE,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="JOB", help="Tell all of one job: NAME or NAMESPACE/NAME.")
    ] = None,
    now: Annotated[
        str | None, typer.Option(help='Plan for this moment, such as "2026-01-31T08:00:00Z".', show_default="now")
    ] = None,
) -> None:
    """Say where each job would go, why, and what it would cost, with the capacity that the sites declare.

    Each class of a site counts as one large node with all its declared units and the site's declared memory.

    Exit codes: 0 every job has a place, 2 the input is wrong (what can be read is planned all the same), 3 some jobs wait.
    """
    found = read(files)
    for problem in found.problems:
        typer.echo(f"error: {problem}", err=True)
    at_ms = _moment_ms(now)
    made = place(_waiting(found), [_view(site) for site in found.sites.values()], found.country, at_ms)
    if explain is not None:
        _tell(found, made, explain, output)
    elif output is Output.TABLE:
        _table(found, made)
    else:
        _dump({"jobs": [_job(name, made.decisions[name]) for name in found.jobs], "summary": _summary(made)}, output)
    if found.problems:
        raise typer.Exit(BAD_INPUT)
    if any(decision.site is None for decision in made.decisions.values()):
        raise typer.Exit(SOME_WAIT)


def _moment_ms(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        return parse_time_ms(text)
    except ValueError as error:
        typer.echo(f'error: --now: "{text}" is not a time with a zone; write it as "2026-01-31T08:00:00Z"', err=True)
        raise typer.Exit(BAD_INPUT) from error


def _waiting(found: Manifests) -> list[WaitingJob]:
    """Jobs in the order of their files: the earlier one is the older one."""
    return [
        WaitingJob(uid=name, job=job, account=job.metadata.namespace or DEFAULT_NAMESPACE, submitted_ms=i)
        for i, (name, job) in enumerate(found.jobs.items())
    ]


def _view(site: ComputeSite) -> SiteView:
    """A site that is ready and empty, with the room that it declares."""
    rooms = {r.class_: _room(site, r) for r in site.spec.resources}
    return SiteView(site=site, ready=True, classes=rooms)


def _room(site: ComputeSite, resource: SiteResource) -> ClassRoom:
    declared = site.spec.declared_capacity
    memory = whole(declared.memory) if declared else UNLIMITED
    units = resource.declared_units or 0
    if resource.unit is ComputeUnit.CARD:
        cpu = cpu_milli(declared.cpu) if declared else UNLIMITED
        nodes = (FreeNodes(count=1, cpu_milli=cpu, memory_bytes=memory, cards=units, pods=MOST_SLOTS),)
    else:
        nodes = (FreeNodes(count=1, cpu_milli=units * 1_000, memory_bytes=memory, cards=0, pods=MOST_SLOTS),)
    return ClassRoom(nodes, nodes)


def _table(found: Manifests, made: Plan) -> None:
    table = Table("job", "site", "class", "cost CNY", "one way", "why", box=None, pad_edge=False)
    for name in found.jobs:
        decision = made.decisions[name]
        cost = yuan_text(int(decision.estimate.cost)) if decision.estimate and decision.estimate.cost else ""
        table.add_row(
            name,
            decision.site or "-",
            decision.class_ or "-",
            cost,
            decision.placement.latency or "",
            decision.message if decision.site else f"{decision.reason}: {decision.message}",
        )
    console = _console()
    console.print(table, crop=False, no_wrap=True, overflow="ignore")
    summary = _summary(made)
    places = ", ".join(f"{site} {count}" for site, count in summary["jobsBySite"].items()) or "none"
    console.print(
        f"{summary['placed']} of {len(found.jobs)} jobs placed ({places}), {summary['waiting']} wait; "
        f"expected cost {summary['costCny']} CNY; proven gap {summary['gapPercent']} %"
    )


def _summary(made: Plan) -> dict[str, Any]:
    placed = [d for d in made.decisions.values() if d.site]
    cost = sum(int(d.estimate.cost) for d in placed if d.estimate and d.estimate.cost)
    return {
        "placed": len(placed),
        "waiting": len(made.decisions) - len(placed),
        "costCny": yuan_text(cost),
        "gapPercent": decimal_text(made.gap_ppm, 10_000, 4),
        "jobsBySite": dict(Counter(str(d.site) for d in placed).most_common()),
    }


def _job(name: str, decision: Decision) -> dict[str, Any]:
    namespace, _, short = name.partition("/")
    told = {
        "namespace": namespace,
        "name": short,
        "site": decision.site,
        "class": decision.class_,
        "reason": str(decision.reason),
        "message": decision.message,
        **decision.placement.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    if decision.estimate:
        told["estimate"] = decision.estimate.model_dump(mode="json", by_alias=True, exclude_none=True)
    return told


def _tell(found: Manifests, made: Plan, wanted: str, output: Output) -> None:
    """Everything about one job."""
    names = [name for name in found.jobs if wanted in (name, name.partition("/")[2])]
    if len(names) != 1:
        text = f"there are several: {', '.join(names)}" if names else "no manifest has it"
        typer.echo(f'error: --explain: "{wanted}": {text}; give NAMESPACE/NAME of a ComputeJob', err=True)
        raise typer.Exit(BAD_INPUT)
    decision = made.decisions[names[0]]
    if output is not Output.TABLE:
        _dump(_job(names[0], decision), output)
        return
    console = _console()
    console.print(f"{names[0]}: {decision.site or decision.reason}", f"({decision.class_})" if decision.class_ else "")
    console.print(f"  {decision.message}")
    placement = decision.placement
    if placement.cost:
        console.print(f"  one way {placement.latency} ({placement.latency_source})")
        _lines(console, "cost, CNY", placement.cost.model_dump())
    if placement.runners_up:
        _lines(console, "runners-up, CNY", {f"{r.site} ({r.class_})": r.total for r in placement.runners_up})
    for rejection in placement.rejections:
        console.print(f"  {rejection.count} sites {rejection.reason}: {rejection.example}")


def _lines(console: Console, title: str, amounts: Mapping[str, str]) -> None:
    console.print(f"  {title}")
    for name, amount in amounts.items():
        console.print(f"    {name:<32} {yuan_text(int(amount)):>14}")


def _dump(value: Mapping[str, Any], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True).rstrip())


def _console() -> Console:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=PIPE_WIDTH, soft_wrap=True)
