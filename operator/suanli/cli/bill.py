"""`suanli usage` and `suanli bill`: what accounts used and owe in a period, open or closed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from suanli.base.clock import time_text
from suanli.base.money import yuan_text
from suanli.base.units import decimal_text
from suanli.billing.event import UsageKind
from suanli.billing.focus import SERVICES
from suanli.billing.line import RatedLine, line_record
from suanli.billing.period import Period
from suanli.billing.rating import Unrated
from suanli.billing.usage import Gap, PodUsage
from suanli.cli.market import LOCAL, Files, HubId, Month, Stores, facts_of
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import BAD_INPUT, Format, Now, Output, dump, moment_ms, table
from suanli.reconcile.books import Preview

Account = Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this ComputeAccount.")]
# How people call the units in which FOCUS counts.
SHOWN: Mapping[UsageKind, str] = {
    UsageKind.CORE_TIME: "core-hours",
    UsageKind.CARD_TIME: "card-hours",
    UsageKind.MEMORY_TIME: "GiB-hours",
    UsageKind.NODE_TIME: "node-hours",
    UsageKind.STORAGE_TIME: "GiB-hours",
    UsageKind.TRANSFER: "GiB",
    UsageKind.ENERGY: "kWh",
    UsageKind.CARBON: "kg CO2e",
}


@grouped
def usage(
    account: Account = None,
    *,
    month: Month,
    files: Files = None,
    stores: Stores,
    hub_id: HubId = LOCAL,
    hub: Hub,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say what accounts used in a month, exactly: what began in it, of what runs on up to its last mark; and what is not in it, and why.

    Nothing is made or changed: the operator's files have to be there.

    Exit codes: 0 done, 2 the input is wrong (what can be read counts all the same), 4 the hub, a file or the ledger cannot be used.
    """
    seen, is_whole = _preview(month.at(moment_ms(now)), files, stores, hub_id, hub)
    sums = {key: amount for key, amount in seen.used_by.items() if account in (None, key[0])}
    if output is Output.TABLE:
        rows: list[Sequence[str]] = [("ACCOUNT", "KIND", "CLASS OR LINK", "PRECISION", "AMOUNT", "UNIT")]
        rows += [(*key, *_amount(key[1], amount)) for key, amount in sorted(sums.items())]
        typer.echo(f"Used in {seen.period.name}, {_span(seen)}")
        table(rows, right=[4], indent="  ")
        if account is None:
            _print_rest(seen)
    else:
        dump(
            {
                "period": seen.period.name,
                "usage": [
                    {**dict(zip(_names(key), key, strict=True)), "amount": str(n)} for key, n in sorted(sums.items())
                ],
                "unbilled": [
                    {**_told(u.pod), "from": time_text(u.pod.start_ms), "until": time_text(u.pod.end_ms), "why": u.why}
                    for u in seen.unbilled
                ],
                "gaps": [
                    {
                        **_told(gap),
                        "pods": gap.pods,
                        "from": time_text(gap.start_ms),
                        "until": time_text(gap.end_ms),
                        "why": gap.why,
                    }
                    for gap in seen.gaps
                ],
                "running": [{**_told(pod), "countedUntil": time_text(pod.end_ms)} for pod in seen.running],
            },
            output,
        )
    if not is_whole:
        raise typer.Exit(BAD_INPUT)


@grouped
def bill(
    account: Account = None,
    *,
    month: Month,
    files: Files = None,
    stores: Stores,
    hub_id: HubId = LOCAL,
    hub: Hub,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say what accounts owe for a month, line by line: as it was billed, or, while the month is open, as it would be now.

    Nothing is made or changed: the operator's files have to be there.

    Exit codes: 0 done, 2 the input is wrong (what can be read counts all the same), 4 the hub, a file or the ledger cannot be used.
    """
    asked = month.at(moment_ms(now))
    is_whole = True
    with stores.read(may_be_new=True) as books:
        closed = next((c for c in books.closings() if c.period.name == asked.name), None)
        lines = books.lines(asked.name) if closed is not None else []
    unrated: Sequence[Unrated] = ()
    if closed is None:
        seen, is_whole = _preview(asked, files, stores, hub_id, hub)
        lines, unrated = list(seen.rating.lines), seen.rating.unrated
    lines = [line for line in lines if account in (None, line.account)]
    state = "closed" if closed is not None else "open: it is not billed yet"
    if output is not Output.TABLE:
        told = [
            {"account": u.account, "site": u.site, "kind": u.kind, "why": u.why, "events": u.events} for u in unrated
        ]
        dump(
            {"period": asked.name, "state": state, "lines": [line_record(line) for line in lines], "unrated": told},
            output,
        )
    else:
        typer.echo(f"{asked.name} is {state}")
        _print(lines)
        for one in unrated:
            text = f"{one.events} events of {one.account} at {one.site} are not rated: {one.why}"
            typer.echo(f"warning: {text}", err=True)
    if not is_whole:
        raise typer.Exit(BAD_INPUT)


def _names(key: tuple[str, UsageKind, str, str]) -> tuple[str, str, str, str]:
    """What the parts of a sum's key are; a transfer has a link and no class."""
    return "account", "kind", "link" if key[1] is UsageKind.TRANSFER else "class", "precision"


def _told(what: PodUsage | Gap) -> dict[str, str | int]:
    return {"site": what.site, "job": what.job_uid, "epoch": what.epoch, "pod": what.pod_uid}


def _print_rest(seen: Preview) -> None:
    """What is not in the sums, by attempt, and up to when that counts which runs on."""
    rest: defaultdict[tuple[str, str, str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for u in seen.unbilled:
        rest[u.pod.site, u.pod.job_uid, str(u.pod.epoch), f"not billed: {u.why}"].append(
            (1, u.pod.start_ms, u.pod.end_ms)
        )
    for gap in seen.gaps:
        rest[gap.site, gap.job_uid, str(gap.epoch), f"gap: {gap.why}"].append((gap.pods, gap.start_ms, gap.end_ms))
    if rest:
        typer.echo("Not in it:")
        rows: list[Sequence[str]] = [("SITE", "JOB", "EPOCH", "PODS", "FROM", "UNTIL", "WHY")]
        for (*whose, why), spans in sorted(rest.items()):
            since, until = min(span[1] for span in spans), max(span[2] for span in spans)
            rows.append((*whose, str(sum(span[0] for span in spans)), time_text(since), time_text(until), why))
        table(rows, right=[2, 3], indent="  ")
    if seen.running:
        oldest = min(seen.running, key=lambda pod: pod.end_ms)
        typer.echo(
            f"{len(seen.running)} pods have not told their end; they count up to their last marks, "
            f"the oldest of {time_text(oldest.end_ms)} at {oldest.site}"
        )


def _print(lines: Sequence[RatedLine]) -> None:
    rows: list[Sequence[str]] = [
        (
            "ACCOUNT",
            "JOB",
            "SITE OR LINK",
            "ITEM",
            "BAND",
            "QUANTITY",
            "UNIT",
            "LIST CNY",
            "DISCOUNT",
            "NET CNY",
            "ADJUSTS",
        )
    ]
    for line in lines:
        job = f"{line.namespace}/{line.job}" if line.job else ""
        money = map(yuan_text, (line.list_micro_yuan, line.discount_micro_yuan, line.net_micro_yuan))
        band = line.band + (f" ({line.bracket})" if line.bracket else "")
        rows.append(
            (
                line.account,
                job,
                line.link or line.site,
                line.item,
                band,
                *_amount(line.kind, line.quantity),
                *money,
                line.adjusts,
            )
        )
    if len(rows) > 1:
        table(rows, right=[5, 7, 8, 9], indent="  ")
    typer.echo(f"{len(lines)} lines, {yuan_text(sum(line.net_micro_yuan for line in lines))} CNY")


def _preview(
    asked: Period, files: Sequence[Path] | None, stores: Stores, hub_id: str, hub: Hub
) -> tuple[Preview, bool]:
    """The period as it stands, and whether all that it goes by could be read."""
    facts, of_hub, is_whole = facts_of(files, hub_id, hub)
    with stores.read(of_hub, may_be_new=True) as books:
        return books.preview(asked, facts), is_whole


def _amount(kind: UsageKind, amount: int) -> tuple[str, str]:
    _, _, _, size, _ = SERVICES[kind]
    return decimal_text(amount, size, 4), SHOWN[kind]


def _span(seen: Preview) -> str:
    return f"{time_text(seen.period.start_ms)} to {time_text(seen.period.end_ms)}"
