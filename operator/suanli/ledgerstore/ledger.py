"""The double-entry ledger in a SQLite file.

A transaction that was acknowledged is on the disk (WAL, synchronous FULL). Two operators on one file are safe: each batch
takes the write lock before it reads anything (BEGIN IMMEDIATE), so the second one waits, then sees what the first one wrote.
They are not refused: a lock that outlives its process would keep a new leader from the money for no gain.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from suanli.ledgerstore.sql import ENTRY_COLUMNS, Row, SqlLedger
from suanli.ledgerstore.sqlite import SqliteFile, statements

_APPEND = f"INSERT INTO entry ({', '.join(ENTRY_COLUMNS)}) VALUES ({', '.join('?' * len(ENTRY_COLUMNS))})"  # noqa: S608

# An entry stays, whatever a program does: also INSERT OR REPLACE, which fires no DELETE trigger. `id` is NULL for accounts.
_SCHEMA = """
CREATE TABLE entry (
  sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
  kind TEXT NOT NULL CHECK (kind IN ('account', 'post', 'hold', 'post-hold', 'void-hold', 'expire-hold')),
  id TEXT UNIQUE CHECK (length(id) BETWEEN 1 AND 256),
  debit TEXT NOT NULL,
  credit TEXT NOT NULL,
  amount_micro_yuan INTEGER NOT NULL CHECK (amount_micro_yuan >= 0),
  time_ms INTEGER NOT NULL CHECK (time_ms >= 0),
  hold TEXT NOT NULL,
  expires_ms INTEGER NOT NULL CHECK (expires_ms >= 0),
  reference TEXT NOT NULL,
  linked TEXT NOT NULL,
  released_micro_yuan INTEGER NOT NULL CHECK (released_micro_yuan >= 0),
  account TEXT NOT NULL,
  min_micro_yuan INTEGER,
  max_micro_yuan INTEGER,
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  CHECK ((kind = 'account') = (id IS NULL)),
  CHECK ((kind = 'account') = (account <> '')),
  CHECK (kind = 'account' OR debit <> credit)
) STRICT;
CREATE TRIGGER entry_comes_next BEFORE INSERT ON entry
  WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM entry)
    OR EXISTS (SELECT 1 FROM entry WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE standing (
  account TEXT PRIMARY KEY,
  min_micro_yuan INTEGER,
  max_micro_yuan INTEGER,
  debits TEXT NOT NULL,
  credits TEXT NOT NULL,
  held_debits TEXT NOT NULL,
  held_credits TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE open_hold (
  id TEXT PRIMARY KEY,
  debit TEXT NOT NULL,
  credit TEXT NOT NULL,
  amount_micro_yuan INTEGER NOT NULL CHECK (amount_micro_yuan > 0),
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX open_hold_that_expires ON open_hold (expires_ms) WHERE expires_ms > 0;
CREATE TABLE passed (one INTEGER PRIMARY KEY CHECK (one = 1), time_ms INTEGER NOT NULL) STRICT;
INSERT INTO passed (one, time_ms) VALUES (1, 0);
"""


class SqliteLedger(SqliteFile, SqlLedger):
    """The ledger's file. One thread at a time may use it; other processes may use it meanwhile."""

    WHAT = "ledger"
    APPLICATION_ID = 0x5355414C  # "SUAL"
    MIGRATIONS = (_SCHEMA,)
    READS_ON = True

    def settle(self) -> None:
        """Make of the file and its log one file that can be read where nothing may be written. Raises: SuanliError."""
        with self._plainly():
            self._db.execute("PRAGMA journal_mode = DELETE")

    def _told(self) -> AbstractContextManager[None]:
        return self._plainly()

    def _writing(self) -> AbstractContextManager[None]:
        return self._transaction()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One moment of it; text that is none any more is read as other text, so that its entry can be named."""
        self._db.text_factory = _any_text
        try:
            with self._transaction("DEFERRED"):
                yield
        finally:
            self._db.text_factory = str

    def _run(self, sql: str, values: Sequence[Any]) -> None:
        self._db.execute(sql, values)

    def _all(self, sql: str, values: Sequence[Any]) -> list[Row]:
        return self._db.execute(sql, values).fetchall()

    def _many(self, sql: str, rows: Sequence[Row]) -> None:
        self._db.executemany(sql, rows)

    def _append(self, rows: Sequence[Row]) -> None:
        self._db.executemany(_APPEND, rows)

    def _sound(self) -> None:
        """Pages and indices by SQLite's own check, tables and triggers by those of a new file."""
        found = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise self._changed(f"SQLite's integrity check says: {'; '.join(found)}")
        fresh = sqlite3.connect(":memory:", isolation_level=None)
        try:
            for script in self.MIGRATIONS:
                for statement in statements(script):
                    fresh.execute(statement)
            expected, here = (db.execute(_OBJECTS).fetchall() for db in (fresh, self._db))
        finally:
            fresh.close()
        for kind, name, sql in expected:
            if (kind, name, sql) not in here:
                raise self._changed(f"{kind} {name} is not as it was made, so that entries may have been changed")


_OBJECTS = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"


def _any_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
