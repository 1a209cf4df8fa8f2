"""`suanli ledger`: what the ledger comes to, whether it is as it was written, and copies of it."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from suanli.base.reasons import Reason
from suanli.base.units import decimal_text
from suanli.billing.book import Standing
from suanli.cli.printing import BAD_INPUT, Format, Output, dump, fail, plain_errors, table
from suanli.ledgerstore import places
from suanli.ledgerstore.addresses import shown
from suanli.ledgerstore.sqlite import Access

FILE = "ledger.sqlite3"
EXITS = {Reason.LEDGER_CHANGED: 1, Reason.INVALID_SPEC: BAD_INPUT}

ledger_app = typer.Typer(no_args_is_help=True, help="Look at the ledger, prove that it is whole, copy it.")

Where = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="LEDGER",
        envvar="SUANLI_LEDGER",
        help=f"A file, or a postgresql:// address with its password in PGPASSWORD or ~/.pgpass. [default: {FILE} in SUANLI_DATA_DIR]",
        show_default=False,
    ),
]


@ledger_app.command()
def verify(
    ledger: Where = None,
    expect: Annotated[
        str | None,
        typer.Option(metavar="COUNT:HASH", help="A root that was noted, as on a statement: it must still be there."),
    ] = None,
    output: Format = Output.TABLE,
) -> None:
    """Compute every hash, rule and sum of the ledger anew; the first thing that does not fit is named.

    It may run beside the operator. That entries were cut off at the end can only be told with --expect.

    Exit codes: 0 all fits, 1 something was changed, 2 the input is wrong, 4 the ledger cannot be used.
    """
    expected = _root(expect)
    place = _place(ledger)
    with plain_errors(EXITS), places.open_ledger(place, Access.READ) as opened:
        root = opened.verify(expected)
    _tell(place, root, "every hash, rule and sum fits", output)


@ledger_app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy: a new file.")],
    ledger: Where = None,
    output: Format = Output.TABLE,
) -> None:
    """Copy the ledger into a new file while the operator writes it; every entry is checked meanwhile.

    Exit codes: 0 done, 1 something was changed, 2 the input is wrong, 4 the ledger cannot be used or the copy not be written.
    """
    with plain_errors(EXITS), places.open_ledger(_place(ledger), Access.READ) as opened:
        root = places.backup(opened, file)
    _tell(str(file), root, "copied", output)


@ledger_app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `backup` made.")],
    ledger: Where = None,
    output: Format = Output.TABLE,
) -> None:
    """Fill a new or empty ledger from a copy, all or nothing; also from a file into PostgreSQL, and back.

    Exit codes: 0 done, 1 the copy was changed, 2 the input is wrong, 4 the copy or the ledger cannot be used.
    """
    place = _place(ledger)
    with plain_errors(EXITS):
        root = places.restore(file, place)
    _tell(place, root, "restored", output)


@ledger_app.command()
def balances(
    prefix: Annotated[
        str, typer.Argument(metavar="[PREFIX]", help='Only accounts that begin so, such as "consumer:".')
    ] = "",
    ledger: Where = None,
    output: Format = Output.TABLE,
) -> None:
    """Say what every account comes to: credits less debits, what is held of it, and its limits, in CNY.

    Exit codes: 0 done, 2 the input is wrong, 4 the ledger cannot be used.
    """
    with plain_errors(EXITS), places.open_ledger(_place(ledger), Access.READ) as opened:
        found = [standing for standing in opened.standings() if standing.account.name.startswith(prefix)]
    if output is not Output.TABLE:
        dump({"accounts": [_whole(standing) for standing in found]}, output)
        return
    head = ("ACCOUNT", "BALANCE", "HELD DEBITS", "HELD CREDITS", "LEAST", "MOST")
    table([head, *map(_row, found)], right=range(1, 6))


def _row(standing: Standing) -> tuple[str, ...]:
    sums, account = standing.balance, standing.account
    amounts = (sums.posted_micro_yuan, sums.held_debits_micro_yuan, sums.held_credits_micro_yuan)
    limits = (account.min_micro_yuan, account.max_micro_yuan)
    return (account.name, *map(decimal_text, amounts), *("" if x is None else decimal_text(x) for x in limits))


def _whole(standing: Standing) -> dict[str, str | None]:
    """Everything, for programs; digits of micro-yuan."""
    sums, account = standing.balance, standing.account
    limits = {"least": account.min_micro_yuan, "most": account.max_micro_yuan}
    return {
        "account": account.name,
        "balance": str(sums.posted_micro_yuan),
        "debits": str(sums.debits_micro_yuan),
        "credits": str(sums.credits_micro_yuan),
        "heldDebits": str(sums.held_debits_micro_yuan),
        "heldCredits": str(sums.held_credits_micro_yuan),
        **{name: None if limit is None else str(limit) for name, limit in limits.items()},
    }


def _tell(place: str, root: tuple[int, str], what: str, output: Output) -> None:
    if output is Output.TABLE:
        typer.echo(f"{shown(place)}: {what}\nroot {root[0]}:{root[1]}")
    else:
        dump({"ledger": shown(place), "entries": root[0], "hash": root[1]}, output)


def _place(ledger: str | None) -> str:
    if ledger:
        return ledger
    folder = os.environ.get("SUANLI_DATA_DIR")
    if not folder:
        raise fail(f"name the ledger with --ledger, or its folder with SUANLI_DATA_DIR; it is {FILE} there")
    return str(Path(folder) / FILE)


def _root(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise fail(
            f'--expect: "{text[:100]}" is not a count, a colon and 64 hexadecimal digits; take it from `suanli ledger verify`'
        )
    return int(found[1]), found[2]
