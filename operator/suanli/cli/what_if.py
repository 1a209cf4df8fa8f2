"""`suanli what-if`: the production solver on a copy of the country with something changed, and what differs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.api.site import ComputeUnit
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import decimal_text, micro
from suanli.cli.base import Base
from suanli.cli.change import changed
from suanli.cli.manifests import DEFAULT_NAMESPACE
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import BAD_INPUT, SOME_WAIT, Format, Now, Output, dump, fail, moment_ms, table, tell
from suanli.cli.start import begin
from suanli.placement.accept import WRONG
from suanli.placement.difference import Difference, Place, Use, compare, placed_by_tier, use
from suanli.placement.kpis import facts_of, figures, shown
from suanli.placement.question import Answered
from suanli.placement.snapshot import Decision, WaitingJob

MOST_LISTED = 20


@dataclass(frozen=True)
class Figure:
    """One number of a plan, and how it is written for people; `says` stands beside it."""

    name: str
    value: int
    text: Callable[[int], str] = str
    says: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"{self.text(self.value)}{self.says}"


def of_plan(answered: Answered) -> Iterator[Figure]:
    """How many jobs have a place, and what that costs. Weights count for jobs that are being planned, not for those that run."""
    placed = sum(answered.place_of(uid) is not None for uid in answered.jobs)
    costs = (decision.placement.cost for decision in answered.plan.decisions.values())
    yield Figure("jobs with a place", placed)
    yield Figure("jobs that wait", len(answered.jobs) - placed)
    if answered.question.funds is not None:
        reasons = [decision.reason for decision in answered.plan.decisions.values()]
        yield Figure("of these for money", reasons.count(Reason.BUDGET_EXCEEDED))
    yield Figure("to be paid, CNY", sum(map(answered.paid, answered.jobs)), yuan_text)
    yield Figure("with policy weights, CNY", sum(int(cost.total) for cost in costs if cost), yuan_text)
    yield Figure("proven gap, %", answered.plan.gap_ppm, lambda ppm: decimal_text(ppm, 10_000, 4))


def of_tiers(answered: Answered) -> Iterator[Figure]:
    """Who has a place, by tier. A place is always within the job's tier."""
    for tier, (placed, jobs) in placed_by_tier(answered).items():
        yield Figure(f"placed of tier {tier}", placed, says=f" of {jobs}")


def of_policy(answered: Answered) -> Iterator[Figure]:
    """What a regulator reads, of the jobs that are planned."""
    asked = answered.question
    for kpi in shown(figures(facts_of(asked.waiting, asked.sites, asked.country, answered.plan)), []):
        if kpi.value is not None:
            yield Figure(kpi.name, micro(kpi.value), lambda value: decimal_text(value, places=4))


# Each row gives some lines of the comparison.
FIGURES: tuple[Callable[[Answered], Iterator[Figure]], ...] = (of_plan, of_tiers, of_policy)


def _figures(answered: Answered) -> Mapping[str, Figure]:
    return {figure.name: figure for kind in FIGURES for figure in kind(answered)}


@dataclass(frozen=True)
class Comparison:
    """Both plans, and what differs; `names` are full names of jobs by UID."""

    before: Answered
    after: Answered
    difference: Difference
    names: dict[str, str]


@grouped
def what_if(
    files: Annotated[
        list[Path],
        typer.Option(
            "-f",
            "--file",
            help='Documents of kind WhatIf, and manifests to try them on: files, folders, or "-"; repeatable. '
            "Without manifests: the hub.",
        ),
    ],
    *,
    hub: Hub,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Try a change on a copy: a new site, a lost one, another policy, a price, more demand; and print what differs.

    A change is a document of kind WhatIf (docs/planning.md); nothing is written anywhere. On a hub, jobs that have their
    place stay there, unless the change takes their site away; each class of a site counts as one large node.

    Exit codes: 0 after the change every job has a place, 2 the input is wrong (what can be read is compared all the same),
    3 some jobs wait after the change, 4 the hub refuses or cannot be reached.
    """
    base, changes = begin(files, hub, moment_ms(now))
    if not changes:
        tell(base.found.problems, base.found.warnings)
        raise fail("no document of kind WhatIf is in what -f names; docs/planning.md shows one")
    after = changed(base, changes)
    compared = _compared(base, after)
    problems, warnings = after.found.problems, after.found.warnings
    for name, job in base.waiting.items():
        decision = compared.before.plan.decisions[job.uid]
        if decision.reason in WRONG:
            problems.append(base.found.says("ComputeJob", name, decision.message))
    tell(problems, warnings)
    if output is Output.TABLE:
        _print(compared)
    else:
        dump({**_whole(compared), "problems": problems, "warnings": warnings}, output)
    if problems:
        raise typer.Exit(BAD_INPUT)
    if any(compared.after.place_of(uid) is None for uid in compared.after.jobs):
        raise typer.Exit(SOME_WAIT)


def full_name(job: WaitingJob) -> str:
    """Namespace and name."""
    metadata = job.job.metadata
    return f"{metadata.namespace or DEFAULT_NAMESPACE}/{metadata.name}"


def _compared(before: Base, after: Base) -> Comparison:
    old, new = (_answered(base) for base in (before, after))
    names = {uid: full_name(job) for uid, job in [*old.jobs.items(), *new.jobs.items()]}
    return Comparison(old, new, compare(old, new), names)


def _answered(base: Base) -> Answered:
    question = base.question()
    return Answered(question, question.plan(), {held.job.uid: held for held in base.held.values()})


# --- for people


def _print(compared: Comparison) -> None:
    rows = [("", "BEFORE", "AFTER", "CHANGE")]
    before, after = _figures(compared.before), _figures(compared.after)
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        change = _signed(new.value - old.value, new.text) if old and new else ""
        rows.append((name, str(old or "-"), str(new or "-"), change))
    table(rows, right=[1, 2, 3])
    _print_jobs(compared)
    _print_use(use(compared.before), use(compared.after))


def _print_jobs(compared: Comparison) -> None:
    d, decisions, names = compared.difference, compared.after.plan.decisions, compared.names
    moved = [(_at(a), _at(b), str(n)) for (a, b), n in d.moved.items()]
    _listed("Jobs that move", ("FROM", "TO", "JOBS"), moved)
    waiting = [*d.newly_waiting, *(uid for uid in d.came if compared.after.place_of(uid) is None)]
    told = [(names[uid], str(decisions[uid].reason), decisions[uid].message) for uid in waiting]
    _listed("Jobs that wait now", ("JOB", "REASON", "WHY"), told)
    placed = [(names[uid], _at(compared.after.place_of(uid))) for uid in d.newly_placed]
    _listed("Jobs that wait no longer", ("JOB", "PLACE"), placed)
    _listed("Jobs that are new", ("PLACE", "JOBS"), _by_place(compared.after, d.came))
    _listed("Jobs that are no more", ("PLACE", "JOBS"), _by_place(compared.before, d.went))
    typer.echo(f"\nUnchanged: {d.same_place} in the same place, {d.still_wait} still waiting" + _no_change(d))


def _no_change(difference: Difference) -> str:
    return "; the change moves nothing" if difference.nothing else ""


def _by_place(answered: Answered, uids: Sequence[str]) -> list[tuple[str, str]]:
    counts = Counter(_at(answered.place_of(uid)) for uid in uids)
    return [(place, str(count)) for place, count in counts.most_common()]


def _listed(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    counts = head[-1] == "JOBS"
    total = sum(int(row[-1]) for row in rows) if counts else len(rows)
    typer.echo(f"\n{title}: {total}")
    table([head, *rows[:MOST_LISTED]], right=[len(head) - 1] if counts else [], indent="  ")
    if len(rows) > MOST_LISTED:
        typer.echo(f"  and {len(rows) - MOST_LISTED} more; -o json lists all")


def _print_use(before: Mapping[Place, Use], after: Mapping[Place, Use]) -> None:
    rows: list[Sequence[str]] = [("SITE", "CLASS", "UNIT", "BEFORE", "OF", "AFTER", "OF")]
    for place in sorted({*before, *after}):
        old, new = before.get(place), after.get(place)
        if old != new:
            unit = (new or old or _NO_USE).unit
            rows.append((*place, unit.lower(), *_used(old), *_used(new)))
    if len(rows) > 1:
        typer.echo("\nUnits in use, where that changes")
        table(rows, right=range(3, 7), indent="  ")


_NO_USE = Use(ComputeUnit.CARD, 0, 0, 0)


def _used(one: Use | None) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    scale = 1 if one.unit is ComputeUnit.CARD else 1_000
    return _units(one.held, scale), _units(one.all, scale)


def _units(count: int, scale: int) -> str:
    text = decimal_text(count, scale, 3)
    return text.rstrip("0").rstrip(".")


def _at(place: Place | None) -> str:
    return f"{place[0]} ({place[1]})" if place else "waits"


def _signed(value: int, text: Callable[[int], str]) -> str:
    return f"+{text(value)}" if value > 0 else text(value) if value else "0"


# --- for programs


def _whole(compared: Comparison) -> dict[str, Any]:
    d, names, decisions = compared.difference, compared.names, compared.after.plan.decisions
    before, after = use(compared.before), use(compared.after)
    both = _figures(compared.before), _figures(compared.after)
    return {
        "figures": [
            {"name": name, "before": _text(both[0].get(name)), "after": _text(both[1].get(name))}
            for name in {**both[0], **both[1]}
        ],
        "moved": [{"from": _place(a), "to": _place(b), "jobs": n} for (a, b), n in d.moved.items()],
        "newlyWaiting": [{"job": names[uid], **_why(decisions[uid])} for uid in d.newly_waiting],
        "newlyPlaced": [{"job": names[uid], **_place(compared.after.place_of(uid))} for uid in d.newly_placed],
        "new": [{"job": names[uid], **_place(compared.after.place_of(uid)), **_why(decisions[uid])} for uid in d.came],
        "gone": [{"job": names[uid], **_place(compared.before.place_of(uid))} for uid in d.went],
        "unchanged": {"samePlace": d.same_place, "stillWait": d.still_wait},
        "use": [
            {**_place(p), "before": _use(before.get(p)), "after": _use(after.get(p))} for p in sorted({*before, *after})
        ],
    }


def _why(decision: Decision) -> dict[str, str]:
    return {"reason": str(decision.reason), "message": decision.message}


def _text(figure: Figure | None) -> str | None:
    return None if figure is None else str(figure)


def _place(place: Place | None) -> dict[str, str | None]:
    return {"site": place[0], "class": place[1]} if place else {"site": None, "class": None}


def _use(one: Use | None) -> dict[str, Any] | None:
    if one is None:
        return None
    held, all_ = _used(one)
    return {"unit": str(one.unit), "held": held, "of": all_, "jobs": one.jobs}
