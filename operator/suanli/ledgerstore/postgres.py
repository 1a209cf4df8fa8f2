"""The double-entry ledger in PostgreSQL, for two or more replicas: it behaves as the one in a SQLite file.

A batch takes one advisory lock before it reads anything: a chain of hashes has one end, so its writers go one by one. The
role that writes needs to own nothing: INSERT and SELECT on `entry` and the other tables' usual rights are enough.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from psycopg import errors, sql

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.ledgerstore.addresses import shown
from suanli.ledgerstore.sql import ENTRY_COLUMNS, Row, SqlLedger
from suanli.ledgerstore.sqlite import BUSY_MS, Access, older

SCHEMA = "suanli"
CONNECT_S = 10
DEAD_MS = 30_000  # a server that answers nothing for so long is gone
IDLE_MS = 60_000  # a writer that stopped in the middle gives way after it

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TABLES = """
CREATE TABLE entry (
  sequence BIGINT PRIMARY KEY CHECK (sequence > 0),
  kind TEXT NOT NULL CHECK (kind IN ('account', 'post', 'hold', 'post-hold', 'void-hold', 'expire-hold')),
  id TEXT COLLATE "C" UNIQUE CHECK (length(id) BETWEEN 1 AND 256),
  debit TEXT COLLATE "C" NOT NULL,
  credit TEXT COLLATE "C" NOT NULL,
  amount_micro_yuan BIGINT NOT NULL CHECK (amount_micro_yuan >= 0),
  time_ms BIGINT NOT NULL CHECK (time_ms >= 0),
  hold TEXT COLLATE "C" NOT NULL,
  expires_ms BIGINT NOT NULL CHECK (expires_ms >= 0),
  reference TEXT NOT NULL,
  linked TEXT NOT NULL,
  released_micro_yuan BIGINT NOT NULL CHECK (released_micro_yuan >= 0),
  account TEXT COLLATE "C" NOT NULL,
  min_micro_yuan BIGINT,
  max_micro_yuan BIGINT,
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  CHECK ((kind = 'account') = (id IS NULL)),
  CHECK ((kind = 'account') = (account <> '')),
  CHECK (kind = 'account' OR debit <> credit)
);
CREATE FUNCTION entry_stays() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER entry_no_change BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION entry_stays();
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION entry_stays();
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_no_change;
ALTER TABLE entry ENABLE ALWAYS TRIGGER entry_no_truncate;
CREATE TABLE standing (
  account TEXT COLLATE "C" PRIMARY KEY,
  min_micro_yuan BIGINT,
  max_micro_yuan BIGINT,
  debits TEXT NOT NULL,
  credits TEXT NOT NULL,
  held_debits TEXT NOT NULL,
  held_credits TEXT NOT NULL
);
CREATE TABLE open_hold (
  id TEXT COLLATE "C" PRIMARY KEY,
  debit TEXT COLLATE "C" NOT NULL,
  credit TEXT COLLATE "C" NOT NULL,
  amount_micro_yuan BIGINT NOT NULL CHECK (amount_micro_yuan > 0),
  expires_ms BIGINT NOT NULL
);
CREATE INDEX open_hold_that_expires ON open_hold (expires_ms) WHERE expires_ms > 0;
CREATE TABLE passed (one INTEGER PRIMARY KEY CHECK (one = 1), time_ms BIGINT NOT NULL);
INSERT INTO passed (one, time_ms) VALUES (1, 0);
"""
_TRIGGERS = """
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'entry'::regclass AND NOT tgisinternal ORDER BY tgname
"""


class PostgresLedger(SqlLedger):
    """The ledger in one schema of a database. One thread at a time may use it; other processes may use it meanwhile."""

    MIGRATIONS: ClassVar[tuple[str, ...]] = (_TABLES,)
    READS_ON = False

    def __init__(
        self, address: str, *, schema: str = SCHEMA, busy_ms: int = BUSY_MS, access: Access = Access.MAKE
    ) -> None:
        """Connect to a `postgresql://` address, a password in PGPASSWORD or a password file. Raises: SuanliError."""
        self._address = address
        self._schema = schema
        self._busy_ms = busy_ms
        self._access = access
        self._closed = False
        self._inside = False  # of a transaction
        if _NAME.fullmatch(schema) is None:
            raise self._unusable(f'schema "{schema}" is not a plain lower-case name')
        with self._told():
            self._db = self._connected()
        try:
            with self._told():
                self._prepare()
        except SuanliError:
            self._db.close()
            raise

    def close(self) -> None:
        """End the connection; again is no harm."""
        self._closed = True
        self._db.close()

    def _connected(self) -> psycopg.Connection[Row]:
        settings = {
            "search_path": self._schema,
            "lock_timeout": self._busy_ms,
            "idle_in_transaction_session_timeout": IDLE_MS,
            "default_transaction_read_only": "on" if self._access is Access.READ else "off",
            "synchronous_commit": "on",
            "client_encoding": "UTF8",
        }
        return psycopg.connect(
            self._address,
            autocommit=True,
            application_name="suanli ledger",
            connect_timeout=CONNECT_S,
            tcp_user_timeout=DEAD_MS,
            keepalives_idle=DEAD_MS // 1_000,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        )

    def _prepare(self) -> None:
        """Look at the server, and bring the schema forward."""
        if self._db.info.parameter_status("server_encoding") != "UTF8":
            raise self._unusable("its encoding is not UTF8; make a database with ENCODING 'UTF8'")
        if self._show("fsync") != "on" or self._show("full_page_writes") != "on":
            raise self._unusable("its server may forget what it acknowledged; set fsync and full_page_writes to on")
        known = len(self.MIGRATIONS)
        version = self._version()
        if self._access is Access.READ and version < known:
            raise self._unusable(older(version, known))
        if version < known:
            self._migrate()
        if version > known:
            raise self._unusable(
                f"it is of a newer suanli (schema {version}, this one knows {known}); run that version"
            )

    def _migrate(self) -> None:
        with self._db.transaction():
            self._lock()
            version = self._version()  # another process may have been faster
            if version == 0:
                self._db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
                self._db.execute("CREATE TABLE version (number INTEGER NOT NULL)")
                self._db.execute("INSERT INTO version VALUES (0)")
            for script in self.MIGRATIONS[version:]:
                self._db.execute(script)
            self._db.execute("UPDATE version SET number = %s", [max(version, len(self.MIGRATIONS))])

    def _version(self) -> int:
        """How many migrations the schema went through; 0 when it is not there."""
        there = self._db.execute("SELECT to_regclass(%s)", [f"{self._schema}.version"]).fetchone()
        found = self._db.execute("SELECT number FROM version").fetchone() if there and there[0] else None
        return int(found[0]) if found else 0

    def _show(self, name: str) -> str:
        found = self._db.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(found[0]) if found else ""

    def _lock(self) -> None:
        """Be the only writer until the transaction ends."""
        self._db.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, zlib.crc32(self._schema.encode()) >> 1])

    def _again(self) -> None:
        """A connection that broke is made anew by whoever comes next."""
        if self._db.closed and not self._closed:
            self._db = self._connected()
            self._prepare()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            said = str(error).strip().splitlines()
            raise self._unusable(_remedy(error, shown(said[0]) if said else type(error).__name__)) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """On one connection from beginning to end."""
        self._again()
        self._inside = True
        try:
            with self._db.transaction():
                yield
        finally:
            self._inside = False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._transaction():
            self._lock()
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._transaction():
            self._db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def _run(self, sql: str, values: Sequence[Any]) -> None:
        self._db.execute(_marks(sql), values)

    def _all(self, sql: str, values: Sequence[Any]) -> list[Row]:
        if not self._inside:
            self._again()
        return self._db.execute(_marks(sql), values).fetchall()

    def _many(self, sql: str, rows: Sequence[Row]) -> None:
        with self._db.cursor() as cursor:
            cursor.executemany(_marks(sql), rows)

    def _append(self, rows: Sequence[Row]) -> None:
        copy = f"COPY entry ({', '.join(ENTRY_COLUMNS)}) FROM STDIN"
        with self._db.cursor() as cursor, cursor.copy(copy) as stream:
            for row in rows:
                stream.write_row(row)

    def _sound(self) -> None:
        """The triggers that keep entries: there, and never off."""
        found = self._all(_TRIGGERS, [])
        if [tuple(row) for row in found] != [("entry_no_change", "A"), ("entry_no_truncate", "A")]:
            raise self._changed(f"its triggers are {found}, so that entries may have been changed")

    def _unusable(self, why: str, reason: Reason = Reason.LEDGER_UNUSABLE) -> SuanliError:
        place = f"{shown(self._address)} (schema {self._schema})"
        return SuanliError(reason, f"the ledger {place} cannot be used: {why}")


LOCK = 0x5355414C  # "SUAL", the first half of our advisory locks


def _marks(statement: str) -> str:
    return statement.replace("?", "%s")


def _remedy(error: psycopg.Error, said: str) -> str:
    if isinstance(error, (errors.LockNotAvailable, errors.IdleInTransactionSessionTimeout)):
        return "another process holds it locked; end that process, or try again when it is done"
    if isinstance(error, errors.DiskFull):
        return "the server's disk is full; free space, nothing that was acknowledged is lost"
    if isinstance(error, errors.InsufficientPrivilege):
        return f"its role may not ({said}); grant it what the ledger needs"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "it is read-only; name the server that takes writes"
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return f"the server went away or cannot be reached ({said}); what was sent may be there or not: send it again"
    return f"PostgreSQL says: {said}"
