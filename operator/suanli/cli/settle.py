"""`suanli settle` and `suanli statement`: close a month, and say what every party owes and gets for it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from suanli.api.statement import Role
from suanli.base.money import yuan_text
from suanli.base.units import micro
from suanli.billing import evidence, focus, pages
from suanli.billing.evidence import Dossier, statement_record
from suanli.billing.own import of_party
from suanli.billing.statements import Bill, totals, unbalanced
from suanli.billing.words import Language
from suanli.cli.market import LOCAL, Files, HubId, Month, Stores, facts_of
from suanli.cli.options import Hub, grouped
from suanli.cli.parquet import focus_parquet
from suanli.cli.printing import BAD_INPUT, Format, Now, Output, dump, fail, moment_ms, plain_errors, table


class Form(StrEnum):
    """How one statement is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    HTML = "html"
    FOCUS = "focus"
    FOCUS_PARQUET = "focus-parquet"


PAPERS: Mapping[Form, Callable[[Bill, Language], str]] = {Form.CSV: pages.csv, Form.HTML: pages.html}
EXPORTS: Mapping[Form, Callable[[Iterable[focus.Row]], str | bytes]] = {
    Form.FOCUS: focus.csv_text,
    Form.FOCUS_PARQUET: focus_parquet,
}
Folder = Annotated[
    Path | None, typer.Option("--evidence", help="Write the evidence package into this folder, which is made.")
]


@grouped
def settle(
    *,
    month: Month,
    files: Files = None,
    stores: Stores,
    hub_id: HubId = LOCAL,
    hub: Hub,
    folder: Folder = None,
    output: Format = Output.TABLE,
    now: Now = None,
) -> None:
    """Close a month that is over: rate its use, post its lines to the ledger, and say what every party owes and gets.

    Again: the same, and nothing is posted twice. Use that comes later is billed with the next month that is closed.

    Exit codes: 0 done, 2 the input is wrong, 4 the hub or the ledger cannot be used.
    """
    at_ms = moment_ms(now)
    asked = month.at(at_ms)
    facts, of_hub, is_whole = facts_of(files, hub_id, hub)
    if not is_whole:
        raise typer.Exit(BAD_INPUT)
    with stores.opened(of_hub) as books:
        books.close(asked, facts, at_ms)
        dossier = books.dossier(asked.name)
        if folder is not None:
            write_package(dossier, folder)
    _tell(dossier, dossier.bills, output)


@grouped
def statement(
    party: Annotated[
        str | None, typer.Argument(metavar="[PARTY]", help="Account, provider, issuer or network operator.")
    ] = None,
    role: Annotated[Role | None, typer.Option(help="What the party is.")] = None,
    *,
    month: Month,
    stores: Stores,
    hub_id: HubId = LOCAL,
    folder: Folder = None,
    form: Annotated[
        Form,
        typer.Option(
            "-o",
            "--output",
            help="How to print; csv, html, focus (FinOps FOCUS 1.2 as CSV) and focus-parquet are of one party alone.",
        ),
    ] = Form.TABLE,
    language: Annotated[Language, typer.Option(help="Language of csv and html.")] = Language.ENGLISH,
    issuer: Annotated[str, typer.Option(help="Name of the platform, in focus.")] = "suanli",
    now: Now = None,
) -> None:
    """Say what parties owe and get for a month that is closed, and write the evidence for it.

    The evidence for PARTY alone has nothing of others; without PARTY it has all of the month, for the operator and auditors.

    Exit codes: 0 done, 2 the input is wrong or nobody of that name has a statement, 4 the ledger cannot be used.
    """
    asked = month.at(moment_ms(now))
    with stores.read(hub_id) as books:
        dossier = books.dossier(asked.name)
        bills = [bill for bill in dossier.bills if party in (None, bill.party.name) and role in (None, bill.party.role)]
        if not bills:
            raise fail(f'no party "{party or ""}" has a statement of {asked.name}; without a name all are listed')
        if folder is not None:
            write_package(dossier if party is None else _alone(dossier, bills), folder)
    if form in (Form.TABLE, Form.JSON, Form.YAML):
        _tell(dossier, bills, Output(form))
        return
    if len(bills) > 1:
        raise fail(f"{len(bills)} statements are meant, and {form} is of one; name its party, and its --role")
    (bill,) = bills
    if form in PAPERS:
        typer.echo(PAPERS[form](bill, language), nl=False)
        return
    if bill.party.role is not Role.CONSUMER:
        raise fail(f"{form} is of what a consumer is billed, and {bill.party.name} is {bill.party.role}; use csv")
    corrected = {closed.period.name: closed.period for closed in dossier.closed}
    rows = focus.rows(bill, issuer=issuer, names={}, corrected=corrected)
    with plain_errors():
        typer.echo(EXPORTS[form](rows), nl=False)


@grouped
def award(
    line: Annotated[str, typer.Argument(metavar="LINE", help="Id of the line, as the statement shows it.")],
    amount: Annotated[str, typer.Argument(metavar="CNY", help='What is given back of it, such as "12.50".')],
    dispute: Annotated[str, typer.Option(help="Name of the dispute; a line may have several.", show_default=False)],
    *,
    stores: Stores,
) -> None:
    """End a dispute about a line of a closed month: so much less is owed, as an adjustment in the next month that is closed.

    Nothing that was posted is edited. Again: the same, once.

    Exit codes: 0 kept, also before; 2 the input is wrong, or more than the line came to; 4 the ledger cannot be used.
    """
    try:
        given = micro(amount)
    except ValueError as error:
        raise fail(f"amount: {error}") from error
    with stores.opened() as books:
        kept = books.award(line, dispute, given)
    whose = f"{kept.line.account} for {kept.line.item} in {kept.line.period}"
    typer.echo(f"{whose}: {yuan_text(given)} CNY less, with the next month that is closed")


def write_package(dossier: Dossier, folder: Path) -> None:
    """Put the evidence of a period into a folder. Raises: typer.Exit when it cannot be written, or is not empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise fail(f"--evidence: {folder} is not empty; name a new folder")
        with ExitStack() as stack:
            files: dict[str, IO[str]] = {}

            def out(name: str, text: str) -> None:
                if name not in files:
                    path = folder / name
                    files[name] = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
                files[name].write(text)

            evidence.write(dossier, out)
    except OSError as error:
        raise fail(f"--evidence: {folder} cannot be written: {error.strerror}; name another folder") from error


def _alone(dossier: Dossier, bills: Sequence[Bill]) -> Dossier:
    """The evidence of one statement. Raises: typer.Exit."""
    if len(bills) > 1:
        raise fail(f"--evidence: {len(bills)} statements are meant; name the --role, too")
    try:
        return of_party(dossier, bills[0].party)
    except ValueError as error:
        raise fail(f"--evidence: {error}; leave PARTY out") from error


def _tell(dossier: Dossier, bills: Sequence[Bill], output: Output) -> None:
    over = unbalanced(dossier.bills)
    if output is not Output.TABLE:
        dump(
            {"period": dossier.period.name, "statements": [statement_record(b) for b in bills], "unbalanced": over},
            output,
        )
        return
    head = ("ROLE", "PARTY", "LINES", "CHARGES", "ADJUSTED", "SUBSIDIES", "COMMISSION", "TAX", "NET CNY")
    rows: list[Sequence[str]] = [head]
    for bill in bills:
        t = totals(bill)
        sums = (t.charges, t.adjustments, t.subsidies, t.commission, t.tax, t.net)
        rows.append((bill.party.role, bill.party.name, str(len(bill.lines)), *(yuan_text(int(s)) for s in sums)))
    count, root = dossier.root
    typer.echo(f"{dossier.period.name}: above zero the party gets it, below it owes it")
    table(rows, right=range(2, 9), indent="  ")
    typer.echo("All statements of the period add up to 0.00 CNY" if not over else "; ".join(over))
    typer.echo(f"Ledger: {count} entries, root {root}")
