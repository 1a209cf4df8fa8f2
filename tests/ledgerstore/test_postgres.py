"""The ledger in PostgreSQL: a server that goes away, rights that are enough, addresses that are wrong."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from harness.postgres import Postgres
from ledgers import Place, a_transfer, opened, refused
from suanli.base.errors import SuanliError
from suanli.billing.ledger import Outcome
from suanli.ledgerstore.addresses import shown
from suanli.ledgerstore.postgres import PostgresLedger


@pytest.fixture
def place(postgres_place: Place) -> Place:
    return postgres_place


@pytest.fixture
def ledger(postgres_place: Place) -> Iterator[PostgresLedger]:
    with postgres_place.open() as opened_:
        opened(opened_)
        yield opened_


def kill(server: Postgres, ledger: PostgresLedger) -> None:
    """End the ledger's backend, and wait until it is gone."""
    with psycopg.connect(server.address, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 60000)", [ledger._db.info.backend_pid])


def test_a_connection_that_broke_between_commits(ledger: PostgresLedger, server: Postgres) -> None:
    kill(server, ledger)
    refused(lambda: ledger.commit([a_transfer()]), "the server went away", "send it again")
    assert ledger.commit([a_transfer()]) == [Outcome.CREATED]
    ledger.verify()


@pytest.mark.parametrize("step", ["_lock", "_book", "_know", "_append", "_keep"])
def test_a_connection_that_breaks_inside_a_commit(
    ledger: PostgresLedger, server: Postgres, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = ledger.verify()
    done = getattr(ledger, step)

    def killed(*values: object) -> object:
        result = done(*values)
        kill(server, ledger)
        return result

    monkeypatch.setattr(ledger, step, killed)
    refused(lambda: ledger.commit([a_transfer()]), "the server went away")
    monkeypatch.undo()
    assert ledger.verify() == before
    assert ledger.commit([a_transfer()]) == [Outcome.CREATED]


def test_a_server_that_crashes_and_comes_back_has_all_that_was_acknowledged() -> None:
    with Postgres() as server, Place(server.address, "crash").open() as ledger:
        opened(ledger)
        assert ledger.commit([a_transfer()]) == [Outcome.CREATED]
        root = ledger.root()
        server.crash()
        refused(lambda: ledger.commit([a_transfer("b")]), "the server went away")
        refused(ledger.root, "the server went away")
        server.start()
        assert ledger.commit([a_transfer(), a_transfer("b")]) == [Outcome.EXISTS, Outcome.CREATED]
        assert ledger.verify(root)[0] == root[0] + 1


def test_a_writer_needs_no_right_to_change_entries(postgres_place: Place, server: Postgres) -> None:
    with postgres_place.open() as owner:
        opened(owner)
    schema, role = postgres_place.schema, f"writer_of_{postgres_place.schema}"
    with psycopg.connect(server.address, autocommit=True) as admin:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            f"GRANT UPDATE ON {schema}.standing, {schema}.passed TO {role}",
            f"GRANT DELETE ON {schema}.open_hold TO {role}",
        ):
            admin.execute(statement.encode())
    with Place(server.address.replace("suanli@", f"{role}@"), schema).open() as writer:
        assert writer.commit([a_transfer()]) == [Outcome.CREATED]
        writer.verify()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer._db.execute("UPDATE entry SET reference = 'x'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer._db.execute("ALTER TABLE entry DISABLE TRIGGER ALL")


def test_a_role_that_may_not_write(postgres_place: Place, server: Postgres) -> None:
    postgres_place.open().close()
    role = f"reader_of_{postgres_place.schema}"
    with psycopg.connect(server.address, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN".encode())
    address = server.address.replace("suanli@", f"{role}@")
    refused(lambda: Place(address, postgres_place.schema).open(), "its role may not", "grant")


@pytest.mark.parametrize("statement", ["TRUNCATE entry", "SET session_replication_role = replica; DELETE FROM entry"])
def test_not_even_these_empty_it(ledger: PostgresLedger, raw: Callable[[str], None], statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        raw(statement)
    assert ledger.root()[0] == 5


def test_triggers_that_are_off_are_told(ledger: PostgresLedger, raw: Callable[[str], None]) -> None:
    raw("ALTER TABLE entry DISABLE TRIGGER entry_no_change")
    with pytest.raises(SuanliError, match="its triggers are"):
        ledger.verify()


def test_a_server_that_may_forget_is_refused() -> None:
    with Postgres(["fsync=off"]) as server:
        refused(lambda: PostgresLedger(server.address), "set fsync and full_page_writes to on")


def test_an_address_where_nobody_answers(tmp_path: object) -> None:
    refused(lambda: PostgresLedger(f"postgresql://u:secret@/db?host={tmp_path}"), "cannot be reached", "u:***@/db")
    refused(lambda: PostgresLedger("postgresql://u:secret@localhost:port/db"), "cannot be used", "u:***@localhost")
    refused(lambda: PostgresLedger("postgresql://", schema='"; DROP'), "not a plain lower-case name")


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("postgresql://u:p%40ss@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u@host/db?password=secret&x=1", "postgresql://u@host/db?password=***&x=1"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("/var/lib/suanli/ledger.sqlite3", "/var/lib/suanli/ledger.sqlite3"),
    ],
)
def test_no_password_is_shown(address: str, safe: str) -> None:
    assert shown(address) == safe
