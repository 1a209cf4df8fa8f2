"""The ledger's file: what it says when it cannot be used, and that a changed byte is found wherever it is."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledgers import a_hold, a_post_hold, a_transfer, opened, refused
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.ledger import Outcome
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.sqlite import Access

CHANGED = Reason.LEDGER_CHANGED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


def filled(path: Path, transfers: int = 60) -> None:
    """One file, without a log beside it."""
    with SqliteLedger(path) as ledger:
        opened(ledger)
        ledger.commit([a_transfer(f"t{n}", 1, reference=f"line {n}") for n in range(transfers)])
        ledger.commit([a_hold(), a_hold("h2", 50, expires_ms=10**9), a_post_hold("p1", amount=40)])
        ledger.settle()


def checked(path: Path) -> tuple[int, str]:
    with SqliteLedger(path, access=Access.READ) as ledger:
        return ledger.verify()


def test_the_file_says_what_it_is_and_how_it_is_written(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        pragmas = [ledger._pragma(name) for name in ("journal_mode", "synchronous", "application_id", "user_version")]
    assert pragmas == ["wal", 2, 0x5355414C, 1]


def test_a_replacing_insert_replaces_nothing(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(entry)")]
        for change in ("5 AS amount_micro_yuan", "1000 AS sequence", "NULL AS sequence"):
            name = change.split()[-1]
            kept = ", ".join(change if column == name else column for column in columns)
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(f"INSERT OR REPLACE INTO entry SELECT {kept} FROM entry WHERE id = 't1'")
    checked(path)


def test_a_changed_byte_is_found_wherever_it_matters(path: Path, tmp_path: Path) -> None:
    filled(path)
    good = path.read_bytes()
    with SqliteLedger(path, access=Access.READ) as ledger:
        before = list(ledger.entries()), ledger.standings(), ledger.verify()
    chance = random.Random(7)
    found = named = 0
    for number in range(400):
        changed = bytearray(good)
        at = chance.randrange(len(changed))
        changed[at] ^= 1 << chance.randrange(8)
        copy = tmp_path / f"copy{number}.sqlite3"
        copy.write_bytes(changed)
        try:
            with SqliteLedger(copy, access=Access.READ) as ledger:
                root = ledger.verify(before[2])
                assert (list(ledger.entries()), ledger.standings(), root) == before, f"byte {at} of seed 7"
        except SuanliError as error:
            found += 1
            named += "entry " in str(error)
        copy.unlink()
    assert found > 100
    assert named > 50


def test_every_byte_of_an_entry_is_found_and_names_it(path: Path, tmp_path: Path) -> None:
    filled(path)
    good = path.read_bytes()
    places = [at for at in range(len(good)) if good.startswith(b"line 17", at)]
    assert places
    for at in (at + offset for at in places for offset in range(7)):
        copy = tmp_path / "copy.sqlite3"
        for bit in (1, 0x80):
            changed = bytearray(good)
            changed[at] ^= bit
            copy.write_bytes(changed)
            refused(lambda: checked(tmp_path / "copy.sqlite3"), 'entry 23 (transfer "t17"): its hash', reason=CHANGED)


def test_a_trigger_that_was_taken_away_is_told(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER entry_no_update")
    refused(lambda: checked(path), "trigger entry_no_update is not as it was made", reason=CHANGED)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_file(path: Path, part: float) -> None:
    filled(path, 2_000)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    refused(lambda: checked(path))


def test_a_file_that_is_not_sqlite(path: Path) -> None:
    path.write_bytes(b"these are the accounts of a grocer\n" * 100)
    refused(lambda: SqliteLedger(path), "not a SQLite file")


def test_the_usage_ledger_is_not_this_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 0x5355414E")
    refused(lambda: SqliteLedger(path), "another application")


def test_a_file_that_is_not_there_is_not_made_to_be_read(path: Path) -> None:
    refused(lambda: SqliteLedger(path, access=Access.READ), "there is no such file")
    assert not path.exists()


def test_a_locked_file(path: Path) -> None:
    with SqliteLedger(path, busy_ms=10) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        opened(ledger)
        other.execute("BEGIN IMMEDIATE")
        refused(lambda: ledger.commit([a_transfer()]), "locked", str(path))
        other.execute("ROLLBACK")
        assert ledger.commit([a_transfer()]) == [Outcome.CREATED]


def test_a_read_only_file(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        opened(ledger)
        ledger._db.execute("PRAGMA query_only = 1")  # the tests may run as root, whom no file mode stops
        refused(lambda: ledger.commit([a_transfer()]), "read-only", "writable")
        assert ledger.verify()[0] == 5


def test_a_full_disk_loses_nothing_and_invents_nothing(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        opened(ledger)
        assert ledger.commit([a_transfer()]) == [Outcome.CREATED]
        before = ledger.verify()
        ledger._db.execute(f"PRAGMA max_page_count = {ledger._pragma('page_count')}")
        many = [a_transfer(f"t{n}", 1, reference="x" * 190) for n in range(2, 500)]
        refused(lambda: ledger.commit(many), "the disk is full")
        assert ledger.verify() == before
        ledger._db.execute("PRAGMA max_page_count = 1000000")
        assert ledger.commit(many) == [Outcome.CREATED] * 498
        ledger.verify()


def test_a_file_that_vanished_under_it_is_told(path: Path) -> None:
    filled(path)
    with SqliteLedger(path) as ledger:
        path.write_bytes(b"")
        refused(lambda: ledger.commit([a_transfer("late")]))
