"""A SQLite file that keeps what it acknowledged: how it is opened, made, brought forward, and how its troubles are told."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason

BUSY_MS = 5_000


class Access(StrEnum):
    """What opening a file may do."""

    MAKE = "make"  # also make it when it is not there, or bring it forward
    READ = "read"  # nothing but read


class SqliteFile:
    """A file of one application. One thread at a time may use it; other processes may use it meanwhile."""

    WHAT: ClassVar[str]  # its name in sentences
    APPLICATION_ID: ClassVar[int]
    MIGRATIONS: ClassVar[tuple[str, ...]]  # scripts; the file's version is how many of them it went through

    def __init__(self, path: Path, *, busy_ms: int = BUSY_MS, access: Access = Access.MAKE) -> None:
        """Open the file. Raises: SuanliError."""
        self.path = path
        self._access = access
        with self._plainly():
            self._db = sqlite3.connect(
                self._address(),
                uri=access is Access.READ,
                timeout=busy_ms / 1000,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=32,
            )
        try:
            with self._plainly():
                self._open()
        except SuanliError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; again is no harm."""
        self._db.close()

    def _address(self) -> str:
        if self._access is Access.MAKE:
            return str(self.path)
        if not self.path.is_file():
            raise self._unusable("there is no such file; name the place where the operator made it")
        return f"{self.path.resolve().as_uri()}?mode=ro"

    def _open(self) -> None:
        owner, version = self._pragma("application_id"), self._pragma("user_version")
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if owner != self.APPLICATION_ID and (owner or version or tables):
            raise self._unusable("it belongs to another application; give suanli a folder of its own (SUANLI_DATA_DIR)")
        known = len(self.MIGRATIONS)
        if version > known:
            raise self._unusable(
                f"it is of a newer suanli (schema {version}, this one knows {known}); run that version"
            )
        if self._access is Access.READ:
            if version < known:
                raise self._unusable(older(version, known))
            return
        if self._pragma("journal_mode") != "wal":
            self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if version < known:
            self._migrate()

    def _migrate(self) -> None:
        with self._transaction():
            version = self._pragma("user_version")  # another process may have been faster
            for script in self.MIGRATIONS[version:]:
                for statement in statements(script):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {self.APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {max(version, len(self.MIGRATIONS))}")

    def _pragma(self, name: str) -> Any:
        return self._db.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Every trouble of SQLite as one sentence with what to do."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise self._unusable(f"it is closed ({error})") from error
        except (sqlite3.Error, OverflowError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise self._unusable(_REMEDIES.get(code, f"SQLite says: {error}; look at the disk and the file")) from error

    def _unusable(self, why: str, reason: Reason = Reason.LEDGER_UNUSABLE) -> SuanliError:
        return SuanliError(reason, f"the {self.WHAT} {self.path} cannot be used: {why}")


_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds it locked; end that process, or try again when it is done",
    sqlite3.SQLITE_LOCKED: "another process holds it locked; end that process, or try again when it is done",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; its folder must exist and be writable for this user",
    sqlite3.SQLITE_PERM: "this user may not open it; make the file and its folder writable for this user",
    sqlite3.SQLITE_FULL: "the disk is full; free space, nothing that was acknowledged is lost",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it; look at the disk, then start again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; put the last copy back, and keep this file to recover rows from",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite file; move it away or set SUANLI_DATA_DIR",
}


def older(version: int, known: int) -> str:
    """Why what is behind cannot be read: only who may write brings it forward."""
    if version == 0:
        return "there is nothing in it; name the one that the operator writes"
    return f"its schema is {version}, this suanli's is {known}; open it once with the operator"


def statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
