"""`suanli usage` and `suanli bill`: what accounts used and owe in a period, open or closed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from suanli.base.clock import time_text
from suanli.base.money import yuan_text
from suanli.base.units import MS_PER_HOUR, decimal_text
from suanli.billing.event import UsageKind
from suanli.billing.line import RatedLine, line_record
from suanli.billing.pricebook import GIB
from suanli.billing.rating import Unrated
from suanli.cli.ledger import Where
from suanli.cli.market import DATA, LOCAL, ZONE, Data, Files, HubId, Month, Zone, facts_of, opened, period_of
from suanli.cli.printing import Format, Now, Output, dump, moment_ms, table
from suanli.cli.site import HubContext, HubKubeconfig, plain_errors
from suanli.reconcile.books import Preview

Account = Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this ComputeAccount.")]
# How people count what is used: the unit, and how much of the kind's own unit it is.
SHOWN: Mapping[UsageKind, tuple[str, int]] = {
    UsageKind.CORE_TIME: ("core-hours", 1_000 * MS_PER_HOUR),
    UsageKind.CARD_TIME: ("card-hours", MS_PER_HOUR),
    UsageKind.MEMORY_TIME: ("GiB-hours", GIB * MS_PER_HOUR),
    UsageKind.NODE_TIME: ("node-hours", MS_PER_HOUR),
    UsageKind.STORAGE_TIME: ("GiB-hours", GIB * MS_PER_HOUR),
    UsageKind.TRANSFER: ("GiB", GIB),
    UsageKind.ENERGY: ("kWh", 10**6),
    UsageKind.CARBON: ("kg CO2e", 10**6),
}


def usage(
    account: Account = None,
    period: Month = None,
    timezone: Zone = ZONE,
    files: Files = None,
    data: Data = DATA,
    ledger: Where = None,
    hub_id: HubId = LOCAL,
    kubeconfig: HubKubeconfig = None,
    context: HubContext = None,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say what accounts used in a month, exactly: what began in it and has ended by now.

    Exit codes: 0 done, 2 the input is wrong, 4 the hub or the ledger cannot be used.
    """
    seen = _preview(period, timezone, files, data, ledger, hub_id, kubeconfig, context, moment_ms(now))
    sums = {key: amount for key, amount in seen.used_by.items() if account in (None, key[0])}
    if output is Output.TABLE:
        rows: list[Sequence[str]] = [("ACCOUNT", "KIND", "CLASS", "PRECISION", "AMOUNT", "UNIT")]
        rows += [(*key, *_amount(key[1], amount)) for key, amount in sorted(sums.items())]
        typer.echo(f"Used in {seen.period.name}, {_span(seen)}")
        table(rows, right=[4], indent="  ")
    else:
        named = ("account", "kind", "class", "precision")
        dump(
            {
                "period": seen.period.name,
                "usage": [{**dict(zip(named, key, strict=True)), "amount": str(n)} for key, n in sorted(sums.items())],
                "unbilled": [{"pod": u.pod.pod_uid, "site": u.pod.site, "why": u.why} for u in seen.unbilled],
            },
            output,
        )


def bill(
    account: Account = None,
    period: Month = None,
    timezone: Zone = ZONE,
    files: Files = None,
    data: Data = DATA,
    ledger: Where = None,
    hub_id: HubId = LOCAL,
    kubeconfig: HubKubeconfig = None,
    context: HubContext = None,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Say what accounts owe for a month, line by line: as it was billed, or, while the month is open, as it would be now.

    Exit codes: 0 done, 2 the input is wrong, 4 the hub or the ledger cannot be used.
    """
    at_ms = moment_ms(now)
    asked = period_of(period, timezone, at_ms)
    with plain_errors(), opened(data, ledger, hub_id) as books:
        closed = next((c for c in books.closings() if c.period.name == asked.name), None)
        lines = books.lines(asked.name) if closed is not None else []
    unrated: Sequence[Unrated] = ()
    if closed is None:
        seen = _preview(period, timezone, files, data, ledger, hub_id, kubeconfig, context, at_ms)
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
        return
    typer.echo(f"{asked.name} is {state}")
    _print(lines)
    for one in unrated:
        typer.echo(f"warning: {one.events} events of {one.account} at {one.site} are not rated: {one.why}", err=True)


def _print(lines: Sequence[RatedLine]) -> None:
    rows: list[Sequence[str]] = [
        ("ACCOUNT", "JOB", "SITE", "ITEM", "BAND", "QUANTITY", "UNIT", "LIST CNY", "DISCOUNT", "NET CNY", "ADJUSTS")
    ]
    for line in lines:
        job = f"{line.namespace}/{line.job}" if line.job else ""
        money = map(yuan_text, (line.list_micro_yuan, line.discount_micro_yuan, line.net_micro_yuan))
        band = line.band + (f" ({line.bracket})" if line.bracket else "")
        rows.append(
            (line.account, job, line.site, line.item, band, *_amount(line.kind, line.quantity), *money, line.adjusts)
        )
    if len(rows) > 1:
        table(rows, right=[5, 7, 8, 9], indent="  ")
    typer.echo(f"{len(lines)} lines, {yuan_text(sum(line.net_micro_yuan for line in lines))} CNY")


def _preview(
    period: str | None,
    timezone: str,
    files: list[Path] | None,
    data: Path,
    ledger: str | None,
    hub_id: str,
    kubeconfig: Path | None,
    context: str | None,
    now_ms: int,
) -> Preview:
    asked = period_of(period, timezone, now_ms)
    facts, hub = facts_of(files, hub_id, kubeconfig, context)
    with plain_errors(), opened(data, ledger, hub) as books:
        return books.preview(asked, facts)


def _amount(kind: UsageKind, amount: int) -> tuple[str, str]:
    unit, size = SHOWN[kind]
    return decimal_text(amount, size, 4), unit


def _span(seen: Preview) -> str:
    return f"{time_text(seen.period.start_ms)} to {time_text(seen.period.end_ms)}"
