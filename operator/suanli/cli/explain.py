"""`suanli explain`: all that is known of one job's placement, and what would help it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer

from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import decimal_text
from suanli.cli.base import Base, Files
from suanli.cli.options import Hub, grouped
from suanli.cli.plan import job_told
from suanli.cli.printing import BAD_INPUT, SOME_WAIT, Format, Now, Output, dump, fail, moment_ms, table, tell
from suanli.cli.start import begin_changed
from suanli.placement.accept import WRONG
from suanli.placement.advice import Advice, advise
from suanli.placement.chain import STEPS, Chain, Way, chain
from suanli.placement.scores import SCORES
from suanli.placement.snapshot import Decision, Plan

NEXT = 3  # ways beside the chosen one
LINES = (*SCORES, "total")


@dataclass(frozen=True)
class Story:
    """One job: its decision in the plan of all, its chain, and what would help.

    `stands` says where the hub has it already, if it has, and `decided` what was said when it was put there; of a job that waits on the
    hub, `since` says since when, and `decided` why when the operator looked last.
    """

    name: str
    decision: Decision
    gap_ppm: int
    chain: Chain
    advice: tuple[Advice, ...]
    others: dict[str, str]  # full names by UID
    stands: str
    decided: str
    since: str = ""

    @property
    def chosen(self) -> Way | None:
        """The way that the plan takes."""
        place = self.decision.site, self.decision.class_
        return next((way for way in self.chain.ways if (way.site, way.class_) == place), None)

    @property
    def shown(self) -> list[Way]:
        """The chosen way, and the next three."""
        others = [way for way in self.chain.ways if way is not self.chosen]
        return ([self.chosen] if self.chosen else []) + others[:NEXT]


@grouped
def explain(
    job: Annotated[str, typer.Argument(metavar="JOB", help="NAME or NAMESPACE/NAME of a ComputeJob.")],
    files: Files = None,
    *,
    hub: Hub,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say why a job goes where it goes, or why it waits: every site with its numbers, every cost, and what would help.

    What would help is found by changing one thing of the job and asking the production solver again, with all other jobs.
    With -f it plans manifests as `suanli plan` does. Without, it reads the hub: there too each class of a site counts as one
    large node, and a job that has its place already is planned as if it still waited.

    Exit codes: 0 the job has a place, 2 the input is wrong, 3 the job waits, 4 the hub refuses or cannot be reached.
    """
    base = begin_changed(files, hub, moment_ms(now))
    try:
        name = base.find(job)
    except ValueError as error:
        tell(base.found.problems, base.found.warnings)
        raise fail(f"JOB {error}") from error
    if name in base.ended:
        tell(base.found.problems, base.found.warnings)
        _print_ended(name, base.ended[name], output)
        return
    story = _story(base, name)
    if story.decision.reason in WRONG:
        base.found.problems.append(base.found.says("ComputeJob", name, story.decision.message))
    tell(base.found.problems, base.found.warnings)
    if output is Output.TABLE:
        _print(story)
    else:
        dump(_whole(story), output)
    if base.found.problems:
        raise typer.Exit(BAD_INPUT)
    if story.decision.site is None and not story.stands:
        raise typer.Exit(SOME_WAIT)


def _story(base: Base, name: str) -> Story:
    stands = ""
    held = base.held.pop(name, None)
    if held is not None:
        base.waiting[name] = held.job
        stands = f"{held.site} ({held.class_})"
    question = base.question()
    uid = base.waiting[name].uid
    plan: Plan = question.plan()
    return Story(
        name,
        plan.decisions[uid],
        plan.gap_ppm,
        chain(question, replace(question.job(uid), denied=plan.denied.get(uid, {}))),
        advise(question, uid, plan),
        {job.uid: full for full, job in base.waiting.items()},
        stands,
        base.decided.get(name, ""),
        base.since.get(name, ""),
    )


def _print_ended(name: str, word: str, output: Output) -> None:
    if output is Output.TABLE:
        typer.echo(f"{name}: {word}")
    else:
        namespace, _, short = name.partition("/")
        dump({"namespace": namespace, "name": short, "ended": word}, output)


def _print(story: Story) -> None:
    decision = story.decision
    place = f"{decision.site} ({decision.class_})" if decision.site else str(decision.reason)
    if story.stands:
        typer.echo(f"{story.name} has its place: {story.stands}")
        typer.echo(f"  {story.decided}\nPlanned anew now, beside the others:")
    typer.echo(f"{story.name}: {place}")
    typer.echo(f"  {decision.message}")
    if story.since:
        said = "" if decision.message in story.decided else f"; the operator says: {story.decided}"
        typer.echo(f"  it waits since {story.since}{said}")
    if decision.site:
        typer.echo(f"  one way {decision.placement.latency} ({decision.placement.latency_source})")
    if decision.estimate and decision.estimate.transfer_time:
        typer.echo(f"  its inputs are there after {decision.estimate.transfer_time}, at {decision.estimate.start}")
    if decision.quota and decision.quota.status is False and decision.quota.message not in decision.message:
        typer.echo(f"  {decision.quota.message}")
    if decision.queue:
        ahead = decision.queue.ahead
        typer.echo(f"  {'1 job is' if ahead == 1 else f'{ahead} jobs are'} ahead of it")
    typer.echo(f"  proven gap of the whole plan: {decimal_text(story.gap_ppm, 10_000, 4)} %")
    if story.shown:
        _print_ways(story)
    if story.chain.fallen:
        _print_fallen(story)
    _print_advice(story)


def _print_ways(story: Story) -> None:
    left = len(story.chain.ways) - len(story.shown)
    typer.echo("\nWays to run it, in CNY; the total is what is compared" + (f" ({left} more)" if left else ""))
    rows: list[Sequence[str]] = [("SITE", "CLASS", *(line.upper() for line in LINES), "")]
    for way in story.shown:
        amounts = [yuan_text(way.lines[line]) for line in LINES]
        rows.append((way.site, way.class_, *amounts, _note(story, way)))
    table(rows, right=range(2, 2 + len(LINES)), indent="  ")


def _note(story: Story, way: Way) -> str:
    if way is story.chosen:
        return "chosen"
    cheaper = story.chosen is not None and way.total < story.chosen.total
    return "needed by other jobs" if cheaper or story.decision.reason is Reason.WAITING_FOR_CAPACITY else ""


def _print_fallen(story: Story) -> None:
    typer.echo(f"\nSites that cannot run it; the step is that of the {STEPS} filters it fell to")
    rows = [("SITE", "STEP", "REASON", "WHY")]
    rows += [(fell.site, str(fell.step), str(fell.reason), fell.why) for fell in story.chain.fallen]
    table(rows, right=[1], indent="  ")


def _print_advice(story: Story) -> None:
    waits = story.decision.site is None
    if not story.advice:
        helps = "have it placed" if waits else "make it cheaper"
        typer.echo(
            f"\nNo single change of its tier, classes, limits, times, priority, size, quota or budget would {helps}."
        )
        return
    typer.echo(f"\nWhat would {'have it placed' if waits else 'make it cheaper'}, one thing at a time")
    rows: list[Sequence[str]] = [("FIELD", "NOW", "THEN", "SITE", "CLASS", "PAID CNY", "SAVES CNY", "")]
    for advice in story.advice:
        saves = "" if advice.saves is None else yuan_text(advice.saves)
        account = f"ComputeAccount {advice.change.account}: " if advice.change.account else ""
        change = f"{account}{advice.change.path}", advice.change.before, advice.change.after
        place = advice.site, advice.class_
        rows.append((*change, *place, yuan_text(advice.paid), saves, _others(story, advice)))
    table(rows, right=[5, 6], indent="  ")


def _others(story: Story, advice: Advice) -> str:
    """What it does to other jobs."""
    said = []
    if advice.displaced:
        first, count = story.others[advice.displaced[0]], len(advice.displaced)
        said.append(f"{first} waits instead" if count == 1 else f"{count} others wait instead, such as {first}")
    if advice.admitted:
        said.append(f"{len(advice.admitted)} {'other gets' if len(advice.admitted) == 1 else 'others get'} a place")
    if advice.others_pay:
        word = "more" if advice.others_pay > 0 else "less"
        said.append(f"others pay {yuan_text(abs(advice.others_pay))} {word}")
    return "; ".join(said)


def _whole(story: Story) -> dict[str, Any]:
    """Everything, for programs; money in micro-yuan as digits, as in a status."""
    return {
        **job_told(story.name, story.decision),
        "gapPercent": decimal_text(story.gap_ppm, 10_000, 4),
        **({"stands": story.stands, "decided": story.decided} if story.stands else {}),
        **({"since": story.since, "decided": story.decided} if story.since else {}),
        "ways": [
            {
                "site": way.site,
                "class": way.class_,
                "cost": {name: str(amount) for name, amount in way.lines.items()},
                "paid": str(way.paid),
                "chosen": way is story.chosen,
            }
            for way in story.chain.ways
        ],
        "fallen": [{**asdict(fell), "reason": str(fell.reason)} for fell in story.chain.fallen],
        "advice": [_advice(story, advice) for advice in story.advice],
    }


def _advice(story: Story, advice: Advice) -> dict[str, Any]:
    return {
        **({"account": advice.change.account} if advice.change.account else {}),
        "field": advice.change.path,
        "now": advice.change.before,
        "then": advice.change.after,
        "site": advice.site,
        "class": advice.class_,
        "paid": str(advice.paid),
        "total": str(advice.total),
        **({} if advice.saves is None else {"saves": str(advice.saves)}),
        "othersPay": str(advice.others_pay),
        "wouldWait": [story.others[uid] for uid in advice.displaced],
        "wouldRun": [story.others[uid] for uid in advice.admitted],
    }
