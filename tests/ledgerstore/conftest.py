"""A place for a ledger of each kind, and how much is to be done."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest

from harness.postgres import REMEDY, Postgres, programs
from ledgers import SIZES, Place, Size
from suanli.ledgerstore.sql import SqlLedger


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return SIZES[request.config.getoption("--size")]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip(REMEDY)
    with Postgres(["max_connections=40"]) as running:
        yield running


SCHEMAS = count(1)
POSTGRES_TRIGGERS = ("entry_no_change", "entry_no_truncate")


@pytest.fixture
def postgres_place(server: Postgres) -> Place:
    return Place(server.address, f"test_{next(SCHEMAS)}")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(str(tmp_path / "ledger.sqlite3"))
    found: Place = request.getfixturevalue("postgres_place")
    return found


@pytest.fixture
def ledger(place: Place) -> Iterator[SqlLedger]:
    with place.open() as opened:
        yield opened


@pytest.fixture
def raw(place: Place) -> Callable[[str], None]:
    """A statement by a program that knows nothing of the ledger."""

    def run(statement: str) -> None:
        if not place.schema:
            with closing(sqlite3.connect(place.where)) as db, db:
                db.execute(statement)
            return
        with psycopg.connect(place.where, options=f"-c search_path={place.schema}") as connection:
            connection.execute(statement.encode())

    return run


@pytest.fixture
def unguarded(place: Place, raw: Callable[[str], None]) -> Callable[[SqlLedger, str], None]:
    """A statement by somebody who takes the triggers off and puts them back."""

    def run(ledger: SqlLedger, statement: str) -> None:
        if place.schema:
            off = [f"ALTER TABLE entry DISABLE TRIGGER {name}" for name in POSTGRES_TRIGGERS]
            on = [f"ALTER TABLE entry ENABLE ALWAYS TRIGGER {name}" for name in POSTGRES_TRIGGERS]
        else:
            triggers = ledger._all("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'", [])
            off, on = [f"DROP TRIGGER {name}" for name, _ in triggers], [sql for _, sql in triggers]
        for each in (*off, statement, *on):
            raw(each)

    return run
