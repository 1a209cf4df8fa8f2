"""Copies of a ledger, from either kind to either kind."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgers import Place, a_hold, a_transfer, opened, refused
from suanli.base.reasons import Reason
from suanli.billing.ledger import Outcome
from suanli.ledgerstore import places, sql
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.sql import SqlLedger
from suanli.ledgerstore.sqlite import Access

CHANGED = Reason.LEDGER_CHANGED


def filled(ledger: SqlLedger) -> None:
    opened(ledger)
    ledger.commit([a_transfer("凭证", 3), a_hold("h1", 7, expires_ms=9_000), a_hold("h2", 5)])


def test_a_copy_is_the_same_ledger(ledger: SqlLedger, tmp_path: Path) -> None:
    filled(ledger)
    copy, again = tmp_path / "copy.sqlite3", tmp_path / "again.sqlite3"
    root = places.backup(ledger, copy)
    assert root == ledger.root()
    ledger.commit([a_transfer("later")])
    assert places.restore(copy, str(again)) == root
    with SqliteLedger(again) as restored:
        assert restored.verify() == root
        assert list(restored.entries()) == list(ledger.entries())[:-1]
        late = a_transfer("late", 1, time_ms=9_000)  # its time and its holds came along
        assert restored.commit([late, a_transfer("later")]) == [Outcome.CREATED] * 2
        assert restored.balance("consumer:physics").held_debits_micro_yuan == 5
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.sqlite3"]


def test_a_copy_is_made_while_others_write(
    ledger: SqlLedger, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PAGE", 2)
    filled(ledger)
    root = ledger.root()
    with place.open() as writer:
        walk = ledger._walk

        def written(after: int, previous: str, last: int) -> object:
            for entry in walk(after, previous, last):
                assert writer.commit([a_transfer(f"during-{entry.sequence}", 1)]) == [Outcome.CREATED]
                yield entry

        monkeypatch.setattr(ledger, "_walk", written)
        assert places.backup(ledger, tmp_path / "copy.sqlite3") == root
        monkeypatch.undo()
    assert ledger.root()[0] == 2 * root[0]


def test_a_file_is_restored_into_postgres_and_back(postgres_place: Place, tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "a.sqlite3") as ledger:
        filled(ledger)
        root = places.backup(ledger, tmp_path / "copy.sqlite3")
    with SqliteLedger(tmp_path / "copy.sqlite3", access=Access.READ) as copy, postgres_place.open() as ledger:
        assert ledger.take(copy.entries()) == root
        assert ledger.verify() == root
        refused(lambda: ledger.take(copy.entries()), "it has 8 entries", "name a new one")
        assert places.backup(ledger, tmp_path / "back.sqlite3") == root


def test_nothing_is_written_over(ledger: SqlLedger, tmp_path: Path) -> None:
    filled(ledger)
    target = tmp_path / "copy.sqlite3"
    target.write_text("mine")
    refused(lambda: places.backup(ledger, target), "is there already")
    assert target.read_text() == "mine"
    target.unlink()
    places.backup(ledger, target)
    other = tmp_path / "other.sqlite3"
    with SqliteLedger(other) as full:
        filled(full)
    refused(lambda: places.restore(target, str(other)), "it has 8 entries")


def test_a_copy_into_a_folder_that_is_not_there(ledger: SqlLedger, tmp_path: Path) -> None:
    refused(lambda: places.backup(ledger, tmp_path / "nowhere" / "copy.sqlite3"), "folder")


def test_a_damaged_ledger_is_not_copied(
    ledger: SqlLedger, tmp_path: Path, unguarded: Callable[[SqlLedger, str], None]
) -> None:
    filled(ledger)
    unguarded(ledger, "UPDATE entry SET amount_micro_yuan = 4 WHERE id = '凭证'")
    refused(lambda: places.backup(ledger, tmp_path / "copy.sqlite3"), 'entry 6 (transfer "凭证")', "verify the source")
    assert not list(tmp_path.glob("copy*"))


def test_a_damaged_copy_is_not_restored(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "a.sqlite3") as ledger:
        filled(ledger)
        ledger.settle()
    raw = (tmp_path / "a.sqlite3").read_bytes()
    assert "凭证".encode() in raw
    (tmp_path / "b.sqlite3").write_bytes(raw.replace("凭证".encode(), "凭據".encode(), 1))
    refused(
        lambda: places.restore(tmp_path / "b.sqlite3", str(tmp_path / "c.sqlite3")),
        "restore the last good copy",
        reason=CHANGED,
    )
    assert not (tmp_path / "c.sqlite3").exists()


def test_a_copy_can_be_read_where_nothing_can_be_written(ledger: SqlLedger, tmp_path: Path) -> None:
    filled(ledger)
    folder = tmp_path / "fixed"
    folder.mkdir()
    root = places.backup(ledger, folder / "copy.sqlite3")
    shutil.copy(folder / "copy.sqlite3", tmp_path / "same")
    folder.chmod(0o555)
    try:
        with SqliteLedger(folder / "copy.sqlite3", access=Access.READ) as copy:
            assert copy.verify() == root
    finally:
        folder.chmod(0o755)
    assert (folder / "copy.sqlite3").read_bytes() == (tmp_path / "same").read_bytes()


def test_without_psycopg_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from suanli.base.errors import SuanliError\n"
        "from suanli.ledgerstore.places import open_ledger\n"
        "try: open_ledger('postgresql://host/db')\n"
        "except SuanliError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "install suanli with its extra" in done.stdout


def test_sums_that_were_changed_are_mended_by_a_copy(
    ledger: SqlLedger, tmp_path: Path, unguarded: Callable[[SqlLedger, str], None]
) -> None:
    filled(ledger)
    root, standings = ledger.verify(), ledger.standings()
    unguarded(ledger, "UPDATE standing SET credits = '9' WHERE account = 'provider:east'")
    refused(ledger.verify, 'account "provider:east" stands as', reason=CHANGED)
    places.backup(ledger, tmp_path / "copy.sqlite3")
    places.restore(tmp_path / "copy.sqlite3", str(tmp_path / "mended.sqlite3"))
    with SqliteLedger(tmp_path / "mended.sqlite3") as mended:
        assert mended.verify() == root
        assert mended.standings() == standings
