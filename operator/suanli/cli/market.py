"""What bills go by, from manifests or the hub: tariffs, accounts, and what vouchers ask of sites. And the stores that money commands read."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from suanli.api import ComputeAccount, ComputeSite, HubPolicy, Resource, Tariff
from suanli.api.kind import parse
from suanli.base.names import API_VERSION, GROUP, VERSION
from suanli.base.untrusted import mapping
from suanli.billing.facts import Facts, customers_of
from suanli.billing.period import Period, local, month
from suanli.cli.hub import PLACE
from suanli.cli.ledger import FILE
from suanli.cli.manifests import Manifests, by_kind, read, sentence
from suanli.cli.printing import fail, tell
from suanli.cli.site import administered, plain_errors
from suanli.federation.administered import Administered
from suanli.kube.client import Target
from suanli.kube.local import load_target
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.places import open_ledger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books
from suanli.reconcile.claims import scope_of

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="SUANLI_DATA_DIR", help="Folder of the operator's usage ledger and books.", show_envvar=True
    ),
]
Month = Annotated[
    str | None, typer.Option("--period", help='Month, such as "2026-11".', show_default="the present one")
]
Zone = Annotated[str, typer.Option("--timezone", help="IANA time zone in which months begin.")]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "-f",
        "--file",
        help="Manifests with Tariffs, ComputeAccounts and, for vouchers, ComputeSites and the HubPolicy; repeatable. "
        "Without any: those of the hub.",
    ),
]
HubId = Annotated[
    str, typer.Option("--hub-id", help="With -f: UID of the hub's kube-system namespace, which ids of events name.")
]
DATA = Path("/var/lib/suanli")
ZONE = "Asia/Shanghai"
LOCAL = "local"


def period_of(name: str | None, timezone: str, now_ms: int) -> Period:
    """The month that is asked for. Raises: typer.Exit."""
    try:
        shown = local(now_ms, timezone)
        return month(name or f"{shown.year:04d}-{shown.month:02d}", timezone)
    except (ValueError, KeyError) as error:
        raise fail(f"--period: {error}") from error


def facts_of(
    files: Sequence[Path] | None, hub_id: str, kubeconfig: Path | None, context: str | None
) -> tuple[Facts, str]:
    """Tariffs, accounts and sites of the files, or of the hub, and the hub's id. Raises: typer.Exit."""
    if files:
        found = read(files)
    else:
        with plain_errors():
            found, hub_id = asyncio.run(_hub(load_target(kubeconfig, context)))
    tell(found.problems, found.warnings)
    scope = scope_of(found.sites.values(), found.country)
    return Facts(tuple(found.tariffs.values()), customers_of(found.accounts.values()), scope=scope), hub_id


async def _hub(target: Target) -> tuple[Manifests, str]:
    found = Manifests()
    async with administered("hub", target) as hub:
        for model in (Tariff, ComputeAccount, HubPolicy, ComputeSite):
            await _take(found, hub, model)
        system = await hub.get("/api/v1/namespaces/kube-system")
    return found, str(mapping(mapping(system).get("metadata")).get("uid", ""))


async def _take(found: Manifests, hub: Administered, model: type[Resource]) -> None:
    kind = model.kind_info
    for raw in await hub.list_all(f"/apis/{GROUP}/{VERSION}/{kind.plural}"):
        name = str(raw["metadata"]["name"])
        try:
            resource = parse(
                model, {**{k: v for k, v in raw.items() if k != "status"}, "kind": kind.kind, "apiVersion": API_VERSION}
            )
        except ValidationError as error:
            found.problems += [f"{PLACE}: {kind.kind} {name}: {sentence(each)}" for each in error.errors()]
        else:
            by_kind(found)[kind.kind][name] = resource


@contextmanager
def opened(data: Path, ledger: str | None, hub_id: str) -> Iterator[Books]:
    """The books of a folder. Raises: typer.Exit."""
    if not data.is_dir():
        raise fail(f"--data: {data} is no folder; name the operator's SUANLI_DATA_DIR")
    with (
        UsageStore(data / "usage.sqlite3") as usage,
        BookStore(data / "books.sqlite3") as store,
        open_ledger(ledger or os.environ.get("SUANLI_LEDGER") or str(data / FILE)) as kept,
    ):
        yield Books(usage, store, kept, hub_id)
