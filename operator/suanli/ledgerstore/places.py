"""Where a ledger is: a file, or a `postgresql://` address. And copies of one, which are always a file."""

import os
from contextlib import suppress
from pathlib import Path

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.ledger import Ledger
from suanli.ledgerstore.addresses import SCHEMES
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.sql import SqlLedger
from suanli.ledgerstore.sqlite import Access


def open_ledger(place: str, access: Access = Access.MAKE) -> SqlLedger:
    """The ledger of a path or an address. Raises: SuanliError."""
    if not place.startswith(SCHEMES):
        return SqliteLedger(Path(place), access=access)
    try:
        from suanli.ledgerstore.postgres import PostgresLedger  # an extra: not everybody has psycopg
    except ImportError as error:
        text = f'a ledger in PostgreSQL needs psycopg ({error}); install suanli with its extra: "suanli[postgres]"'
        raise SuanliError(Reason.LEDGER_UNUSABLE, text) from error
    return PostgresLedger(place, access=access)


def backup(ledger: Ledger, target: Path) -> tuple[int, str]:
    """Copy a ledger, while it is written, into a new SQLite file, and check every entry meanwhile; the root.

    The file is there whole or not at all. Raises: SuanliError.
    """
    if target.exists():
        raise SuanliError(Reason.LEDGER_UNUSABLE, f"{target} is there already; name a new file for the copy")
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    try:
        with SqliteLedger(partial) as copy:
            root = copy.take(ledger.entries())
            copy.settle()
        os.replace(partial, target)
    except OSError as error:
        text = f"{target} cannot be written: {error.strerror}; look at the folder and the disk"
        raise SuanliError(Reason.LEDGER_UNUSABLE, text) from error
    finally:
        _remove(partial)
    return root


def restore(source: Path, place: str) -> tuple[int, str]:
    """Fill the new or empty ledger of a place with all that a copy holds, verified; the root. Raises: SuanliError."""
    with SqliteLedger(source, access=Access.READ) as copy:
        copy.verify()
        with open_ledger(place) as ledger:
            return ledger.take(copy.entries())


def _remove(partial: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            partial.with_name(partial.name + end).unlink()
