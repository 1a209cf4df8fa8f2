"""`suanli plan`: the production solver on manifests, without a cluster."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from suanli.api.policy import Kpi
from suanli.api.site import ComputeSite, ComputeUnit, SiteResource
from suanli.base.clock import parse_time_ms
from suanli.base.money import yuan_text
from suanli.base.units import cpu_milli, decimal_text, whole
from suanli.cli.manifests import DEFAULT_NAMESPACE, Manifests, read
from suanli.placement.accept import WRONG
from suanli.placement.batch import MOST
from suanli.placement.kpis import facts_of, figures, shown
from suanli.placement.packing import MOST_SLOTS
from suanli.placement.snapshot import ClassRoom, Country, Decision, FreeNodes, Plan, SiteView, WaitingJob
from suanli.placement.solve import place

BAD_INPUT = 2
SOME_WAIT = 3
COLUMNS = ("JOB", "SITE", "CLASS", "COST CNY", "ONE WAY", "WHY")
LAST_MOMENT_MS = 32_503_680_000_000  # the year 3000
# libyaml's dumper is several times faster; it is there in every usual build of PyYAML.
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


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
    with_kpis: Annotated[
        bool, typer.Option("--kpis", help="Print the policy's figures under the table; JSON and YAML have them always.")
    ] = False,
    now: Annotated[
        str | None, typer.Option(help='Plan for this moment, such as "2026-01-31T08:00:00Z".', show_default="now")
    ] = None,
) -> None:
    """Say where each job would go, why, and what it would cost, with the capacity that the sites declare.

    Each class of a site counts as one large node with all its declared units and the site's declared memory.

    Exit codes: 0 every job has a place, 2 the input is wrong (what can be read is planned all the same), 3 some jobs wait.
    """
    at_ms = _moment_ms(now)
    found = read(files)
    asked = question(found, at_ms)
    made = place(*asked)
    policy = found.country.policy
    kpis = shown(figures(facts_of(*asked[:3], made)), policy.spec.targets) if policy else []
    for name, decision in made.decisions.items():
        if decision.reason in WRONG:
            found.problems.append(found.says("ComputeJob", name, decision.message))
    for problem in found.problems:
        typer.echo(f"error: {problem}", err=True)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if explain is not None:
        _tell(found, made, explain, output)
    elif output is Output.TABLE:
        _table(found, made)
        _figures(kpis if with_kpis else [])
    else:
        _dump(_whole(found, made, kpis), output)
    if found.problems:
        raise typer.Exit(BAD_INPUT)
    if any(decision.site is None for decision in made.decisions.values()):
        raise typer.Exit(SOME_WAIT)


Question = tuple[list[WaitingJob], list[SiteView], Country, int]


def question(found: Manifests, at_ms: int) -> Question:
    """What the solver is asked; jobs come now, in the order of their files: the earlier one is the older one."""
    waiting = [
        WaitingJob(uid=name, job=job, account=job.metadata.namespace or DEFAULT_NAMESPACE, submitted_ms=at_ms + i)
        for i, (name, job) in enumerate(found.jobs.items())
    ]
    return waiting, [_view(site) for site in found.sites.values()], found.country, at_ms


def _moment_ms(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        at_ms = parse_time_ms(text)
    except ValueError:
        at_ms = -1
    if 0 <= at_ms < LAST_MOMENT_MS:
        return at_ms
    typer.echo(
        f'error: --now: "{text}" is no time since 1970 with a zone; write it as "2026-01-31T08:00:00Z"', err=True
    )
    raise typer.Exit(BAD_INPUT)


def _view(site: ComputeSite) -> SiteView:
    """A site that is ready and empty, with the room that it declares."""
    rooms = {r.class_: _room(site, r) for r in site.spec.resources}
    return SiteView(site=site, ready=True, classes=rooms)


def _room(site: ComputeSite, resource: SiteResource) -> ClassRoom:
    declared = site.spec.declared_capacity
    memory = whole(declared.memory) if declared else MOST
    units = resource.declared_units or 0
    if resource.unit is ComputeUnit.CARD:
        cpu = cpu_milli(declared.cpu) if declared else MOST
        nodes = (FreeNodes(count=1, cpu_milli=cpu, memory_bytes=memory, cards=units, pods=MOST_SLOTS),)
    else:
        nodes = (FreeNodes(count=1, cpu_milli=units * 1_000, memory_bytes=memory, cards=0, pods=MOST_SLOTS),)
    return ClassRoom(nodes, nodes)


def _table(found: Manifests, made: Plan) -> None:
    rows = [COLUMNS]
    for name in found.jobs:
        decision = made.decisions[name]
        cost = yuan_text(int(decision.estimate.cost)) if decision.estimate and decision.estimate.cost else ""
        why = decision.message if decision.site else f"{decision.reason}: {decision.message}"
        rows.append((name, decision.site or "-", decision.class_ or "-", cost, decision.placement.latency or "", why))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(w) if i == 3 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())
    summary = _summary(made)
    places = ", ".join(f"{site} {count}" for site, count in summary["jobsBySite"].items()) or "none"
    typer.echo(
        f"{summary['placed']} of {len(found.jobs)} jobs placed ({places}), {summary['waiting']} wait; "
        f"expected cost {summary['costCny']} CNY; proven gap {summary['gapPercent']} %"
    )


def _figures(kpis: Sequence[Kpi]) -> None:
    """The policy's figures, with what they were made from and how they meet their targets."""
    for kpi in kpis:
        value = kpi.value if kpi.value is not None else "unknown"
        made_from = f"{kpi.numerator} of {kpi.denominator} {kpi.unit}" if kpi.value is not None else kpi.message
        by = f" by {kpi.by}" if kpi.by else ""
        target = f"; target {kpi.target}{by}: {kpi.met}" if kpi.target else ""
        typer.echo(f"{kpi.name:<28} {value:>9}  {made_from}{target}")


def _whole(found: Manifests, made: Plan, kpis: Sequence[Kpi]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "jobs": [_job(name, made.decisions[name]) for name in found.jobs],
        "summary": _summary(made),
        "kpis": [kpi.model_dump(mode="json", by_alias=True, exclude_none=True) for kpi in kpis],
        "problems": found.problems,
        "warnings": found.warnings,
    }


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
        text = f"there are several: {', '.join(names)}" if names else "no manifest that can be read has it"
        typer.echo(f'error: --explain: "{wanted}": {text}; give NAMESPACE/NAME of a ComputeJob', err=True)
        raise typer.Exit(BAD_INPUT)
    decision = made.decisions[names[0]]
    if output is not Output.TABLE:
        _dump(_job(names[0], decision), output)
        return
    typer.echo(f"{names[0]}: {decision.site or decision.reason}" + (f" ({decision.class_})" if decision.class_ else ""))
    typer.echo(f"  {decision.message}")
    placement = decision.placement
    if placement.cost:
        typer.echo(f"  one way {placement.latency} ({placement.latency_source})")
        _lines("cost, CNY", placement.cost.model_dump())
    if placement.runners_up:
        _lines("runners-up, CNY", {f"{r.site} ({r.class_})": r.total for r in placement.runners_up})
    for rejection in placement.rejections:
        sites = "1 site" if rejection.count == 1 else f"{rejection.count} sites"
        typer.echo(f"  {sites} {rejection.reason}: {rejection.example}")


def _lines(title: str, amounts: Mapping[str, str]) -> None:
    typer.echo(f"  {title}")
    for name, amount in amounts.items():
        typer.echo(f"    {name:<32} {yuan_text(int(amount)):>14}")


def _dump(value: Mapping[str, Any], output: Output) -> None:
    typer.echo(DUMPS[output](value).rstrip())


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(value), Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    return text


DUMPS: Mapping[Output, Callable[[Mapping[str, Any]], str]] = {Output.JSON: _json, Output.YAML: _yaml}
