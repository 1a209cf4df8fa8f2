"""What bills go by, from manifests or the hub: tariffs, accounts, and what vouchers ask of sites. And the stores that money commands read."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from suanli.api import ComputeAccount, ComputeSite, HubPolicy, Resource, Tariff
from suanli.api.kind import parse
from suanli.base.clock import is_zone
from suanli.base.names import API_VERSION, GROUP, VERSION
from suanli.base.untrusted import mapping
from suanli.billing.facts import Facts, customers_of
from suanli.billing.period import Period, local, month
from suanli.cli.base import ZONE
from suanli.cli.hub import PLACE
from suanli.cli.ledger import FILE, Where
from suanli.cli.manifests import Manifests, by_kind, read, sentence
from suanli.cli.options import Hub
from suanli.cli.printing import fail, plain_errors, tell
from suanli.cli.site import administered
from suanli.federation.administered import Administered
from suanli.kube.client import Target
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.places import open_ledger
from suanli.ledgerstore.sqlite import Access
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books
from suanli.reconcile.claims import scope_of


def _zone(name: str) -> str:
    if not is_zone(name):
        raise fail(
            f'--timezone: "{name[:100]}" is no time zone of the IANA data base; write it as "Asia/Shanghai" or "UTC"'
        )
    return name


Zone = Annotated[str, typer.Option("--timezone", callback=_zone, help="IANA time zone in which months begin.")]
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
USAGE, BOOKS = "usage.sqlite3", "books.sqlite3"
LOCAL = "local"


@dataclass(frozen=True)
class Month:
    """Which month is asked about."""

    period: Annotated[
        str | None, typer.Option("--period", help='Month, such as "2026-11".', show_default="the present one")
    ] = None
    timezone: Zone = ZONE

    def at(self, now_ms: int) -> Period:
        """That month, for who looks now. Raises: typer.Exit."""
        try:
            shown = local(now_ms, self.timezone)
            return month(self.period or f"{shown.year:04d}-{shown.month:02d}", self.timezone)
        except ValueError as error:
            raise fail(f"--period: {error}") from error


@dataclass(frozen=True)
class Stores:
    """Where an operator keeps what was used and billed."""

    data: Annotated[
        Path,
        typer.Option(
            "--data",
            envvar="SUANLI_DATA_DIR",
            help="Folder of the operator's usage ledger and books.",
            show_envvar=True,
        ),
    ] = Path("/var/lib/suanli")
    ledger: Where = None

    @contextmanager
    def opened(self, hub_id: str = LOCAL) -> Iterator[Books]:
        """The books, to be written; what is not there is made. Raises: typer.Exit, also for what goes wrong with them."""
        self._look()
        with (
            plain_errors(),
            UsageStore(self.data / USAGE) as usage,
            BookStore(self.data / BOOKS) as store,
            open_ledger(self.place) as kept,
        ):
            yield Books(usage, store, kept, hub_id)

    @contextmanager
    def read(self, hub_id: str = LOCAL, *, may_be_new: bool = False) -> Iterator[Books]:
        """The books, of which nothing is made, brought forward or changed; all of them have to be there.

        `may_be_new`: where no books are kept yet nothing is closed and nothing posted. Raises: typer.Exit, also for what goes wrong with them.
        """
        self._look()
        memory, books = Path(":memory:"), self.data / BOOKS
        is_new = may_be_new and not books.exists()
        with (
            plain_errors(),
            UsageStore(self.data / USAGE, access=Access.READ) as usage,
            BookStore(memory) if is_new else BookStore(books, access=Access.READ) as store,
            SqliteLedger(memory) if is_new else open_ledger(self.place, Access.READ) as kept,
        ):
            yield Books(usage, store, kept, hub_id)

    @property
    def place(self) -> str:
        """Where the ledger is."""
        return self.ledger or str(self.data / FILE)

    def _look(self) -> None:
        if not self.data.is_dir():
            raise fail(f"--data: {self.data} is no folder; name the operator's SUANLI_DATA_DIR")


def facts_of(files: Sequence[Path] | None, hub_id: str, hub: Hub) -> tuple[Facts, str, bool]:
    """Tariffs, accounts and sites of the files, or of the hub; the hub's id; and whether all could be read, else it is told why.

    Raises: typer.Exit.
    """
    if files:
        found = read(files)
    else:
        with plain_errors():
            found, hub_id = asyncio.run(_hub(hub.target()))
    tell(found.problems, found.warnings)
    scope = scope_of(found.sites.values(), found.country)
    return (
        Facts(tuple(found.tariffs.values()), customers_of(found.accounts.values()), scope=scope),
        hub_id,
        not found.problems,
    )


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
