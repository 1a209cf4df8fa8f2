"""`suanli plan`: the production solver on manifests, without a cluster."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.api.policy import Kpi
from suanli.base.money import yuan_text
from suanli.base.units import decimal_text
from suanli.cli.base import of_manifests
from suanli.cli.manifests import Manifests, read
from suanli.cli.printing import BAD_INPUT, SOME_WAIT, Format, Now, Output, dump, moment_ms, table, tell
from suanli.placement.accept import WRONG
from suanli.placement.kpis import evidence, facts_of, figures, shown
from suanli.placement.question import Question
from suanli.placement.snapshot import Decision, Plan

COLUMNS = ("JOB", "SITE", "CLASS", "COST CNY", "ONE WAY", "WHY")


def plan(
    files: Annotated[
        list[Path],
        typer.Option("-f", "--file", help='Manifests: files, folders, or "-" for standard input; repeatable.'),
    ],
    output: Format = Output.TABLE,
    with_kpis: Annotated[
        bool, typer.Option("--kpis", help="Print the policy's figures under the table; JSON and YAML have them always.")
    ] = False,
    now: Now = None,
) -> None:
    """Say where each job would go, why, and what it would cost, with the capacity that the sites declare.

    Each class of a site counts as one large node with all its declared units and the site's declared memory.

    Exit codes: 0 every job has a place, 2 the input is wrong (what can be read is planned all the same), 3 some jobs wait.
    """
    at_ms = moment_ms(now)
    found = read(files)
    asked = question(found, at_ms)
    made = asked.plan()
    policy = found.country.policy
    kpis = shown(figures(facts_of(*asked[:3], made)), policy.spec.targets) if policy else []
    for name, decision in made.decisions.items():
        if decision.reason in WRONG:
            found.problems.append(found.says("ComputeJob", name, decision.message))
    if found.changes:
        found.problems.append(f"{found.changes[0][0]}: a WhatIf changes a plan; give it to `suanli what-if`")
    tell(found.problems, found.warnings)
    if output is Output.TABLE:
        _table(found, made)
        _figures(kpis if with_kpis else [])
    else:
        dump(_whole(found, made, kpis), output)
    if found.problems:
        raise typer.Exit(BAD_INPUT)
    if any(decision.site is None for decision in made.decisions.values()):
        raise typer.Exit(SOME_WAIT)


def question(found: Manifests, at_ms: int) -> Question:
    """What the solver is asked of manifests."""
    return of_manifests(found, at_ms).question()


def _table(found: Manifests, made: Plan) -> None:
    rows = [COLUMNS]
    for name in found.jobs:
        decision = made.decisions[name]
        cost = yuan_text(int(decision.estimate.cost)) if decision.estimate and decision.estimate.cost else ""
        why = decision.message if decision.site else f"{decision.reason}: {decision.message}"
        rows.append((name, decision.site or "-", decision.class_ or "-", cost, decision.placement.latency or "", why))
    table(rows, right=[3])
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
        by = f" by {kpi.by}" if kpi.by else ""
        target = f"; target {kpi.target}{by}: {kpi.met}" if kpi.target else ""
        typer.echo(f"{kpi.name:<28} {value:>9}  {evidence(kpi)}{target}")


def _whole(found: Manifests, made: Plan, kpis: Sequence[Kpi]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "jobs": [job_told(name, made.decisions[name]) for name in found.jobs],
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


def job_told(name: str, decision: Decision) -> dict[str, Any]:
    """One decision, for programs."""
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
