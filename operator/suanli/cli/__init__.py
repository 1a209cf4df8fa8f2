"""The command line: `suanli`."""

import sys

import typer

from suanli import __version__
from suanli.cli.account import account_app
from suanli.cli.asset_report import report
from suanli.cli.bill import bill, usage
from suanli.cli.crds import crds
from suanli.cli.explain import explain
from suanli.cli.fence import fence
from suanli.cli.ledger import ledger_app
from suanli.cli.plan import plan
from suanli.cli.price import price
from suanli.cli.settle import award, settle, statement
from suanli.cli.simulate import simulate
from suanli.cli.site import site_app
from suanli.cli.voucher import voucher_app
from suanli.cli.what_if import what_if

app = typer.Typer(
    name="suanli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Places, runs and meters compute jobs over a federation of Kubernetes clusters.",
)
app.command("plan")(plan)
app.command("explain")(explain)
app.command("what-if")(what_if)
app.command("price")(price)
app.command("simulate")(simulate)
app.command("usage")(usage)
app.command("bill")(bill)
app.command("settle")(settle)
app.command("statement")(statement)
app.command("award")(award)
app.command("asset-report")(report)
app.command("crds")(crds)
app.command("fence")(fence)
app.add_typer(site_app, name="site")
app.add_typer(account_app, name="account")
app.add_typer(ledger_app, name="ledger")
app.add_typer(voucher_app, name="voucher")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"suanli {__version__}")


@app.command()
def operator() -> None:
    """Run the operator; its settings are SUANLI_* variables (docs/operations.md)."""
    from suanli.main import run  # the other commands need none of it

    sys.exit(run())
