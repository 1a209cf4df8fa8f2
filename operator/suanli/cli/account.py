"""`suanli account`: what a ComputeAccount has paid and owes."""

from datetime import date
from typing import Annotated

import typer

from suanli.base.money import yuan_text
from suanli.base.units import micro
from suanli.billing.ledger import ACCEPTED, Outcome
from suanli.billing.period import midnight_ms
from suanli.billing.posting import consumer
from suanli.cli.base import ZONE
from suanli.cli.market import Stores, Zone
from suanli.cli.options import grouped
from suanli.cli.printing import Now, fail, moment_ms, plain_errors
from suanli.ledgerstore.places import open_ledger
from suanli.ledgerstore.sqlite import Access

account_app = typer.Typer(no_args_is_help=True, help="Take payments of accounts, and see what they have or owe.")
Name = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A ComputeAccount, or a namespace that no account names.")]


@account_app.command("top-up")
@grouped
def top_up(
    account: Name,
    amount: Annotated[str, typer.Argument(metavar="CNY", help='What was paid, such as "5000" or "12.50".')],
    payment: Annotated[
        str,
        typer.Option("--id", help="Number of the payment; the same payment again changes nothing.", show_default=False),
    ],
    paid_on: Annotated[str, typer.Option(help='Day of the payment, such as "2026-11-28".', show_default=False)],
    *,
    timezone: Zone = ZONE,
    stores: Stores,
    now: Now = None,
) -> None:
    """Enter a payment of an account into the ledger.

    Exit codes: 0 entered, also before; 2 the input is wrong, or another payment has this number; 4 the ledger cannot be used.
    """
    paid, time_ms = _micro_yuan(amount), _day_ms(paid_on, timezone)
    if time_ms > moment_ms(now):  # the ledger's time would be that day, and what is valid until then be over
        raise fail(f'--paid-on: "{paid_on}" has not begun in {timezone}; enter the payment when it is there')
    with stores.opened() as books:
        outcome = books.pay(consumer(account), paid, payment, time_ms)
        balance = books.balance_micro_yuan(consumer(account))
    if outcome is Outcome.EXISTS_DIFFERENTLY:
        raise fail(f'--id: "{payment}" is the number of another payment in the ledger; give this one its own')
    if outcome not in ACCEPTED:
        raise fail(f"the ledger refuses the payment: {outcome}")
    known = "was there already" if outcome is Outcome.EXISTS else "entered"
    typer.echo(f"{account}: {yuan_text(paid)} CNY {known}, balance {yuan_text(balance)} CNY")


@account_app.command()
@grouped
def balance(account: Name, stores: Stores) -> None:
    """Say what an account has; below zero it owes.

    Exit codes: 0 done, 2 the input is wrong, 4 the ledger cannot be used.
    """
    with plain_errors(), open_ledger(stores.place, Access.READ) as ledger:
        has = ledger.balance(consumer(account)).posted_micro_yuan
    typer.echo(f"{account}: {yuan_text(has)} CNY")


def _day_ms(text: str, timezone: str) -> int:
    try:
        return midnight_ms(date.fromisoformat(text).toordinal(), timezone)
    except ValueError as error:
        raise fail(f'--paid-on: "{text}": {error}; write a day such as "2026-11-28"') from error


def _micro_yuan(text: str) -> int:
    try:
        amount = micro(text)
    except ValueError as error:
        raise fail(f"amount: {error}") from error
    if amount <= 0:
        raise fail(f'amount: "{text}" is not above zero; enter what was paid')
    return amount
