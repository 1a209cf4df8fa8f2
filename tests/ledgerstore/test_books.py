"""The books: what was decided about vouchers is kept once, and nothing in the file is ever changed."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from suanli.base.errors import SuanliError
from suanli.billing.period import month
from suanli.ledgerstore.books import BookStore, Closing, KeptRedemption

MARCH = Closing(month("2026-03", "Asia/Shanghai"), 1, 2, "{}")
PAID = KeptRedemption("v1", "2026-03", 5, "{}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BookStore]:
    with BookStore(tmp_path / "books.sqlite3") as store:
        yield store


def test_the_first_word_about_a_voucher_holds(store: BookStore) -> None:
    assert store.keep_grant("v1", "first") == "first"
    assert store.keep_grant("v1", "second") == "first"
    store.keep_grant("v2", "other")
    assert store.keep_rejection("v1", "after all") == "after all"
    assert [(uid, record) for _, uid, record in store.grants()] == [("v1", "first"), ("v2", "other")]
    ((number, _, _), *_) = store.grants()
    assert [uid for _, uid, _ in store.grants(number)] == ["v2"]
    assert [uid for _, uid, _ in store.rejections()] == ["v1"]


def test_the_first_root_after_a_period_was_posted_stays(store: BookStore) -> None:
    assert store.posted("2026-03") is None
    store.keep_posted("2026-03", (5, "a"))
    store.keep_posted("2026-03", (6, "b"))
    assert store.posted("2026-03") == (5, "a")


def test_what_was_posted_after_a_voucher_expired_is_kept_once(store: BookStore) -> None:
    for voucher, bill in (("v", "2026-04"), ("w", "2026-03"), ("v", "2026-03"), ("v", "2026-04")):
        store.keep_late(voucher, bill)
    assert store.late() == {"v": ["2026-04", "2026-03"], "w": ["2026-03"]}


def test_which_statements_told_of_a_period_is_kept_once(store: BookStore) -> None:
    assert store.issued("2026-03") is None
    store.keep_issued("2026-03", ["b", "a"])
    store.keep_issued("2026-03", ["c"])
    assert store.issued("2026-03") == frozenset({"a", "b"})
    store.keep_issued("2026-04", [])
    assert store.issued("2026-04") == frozenset()


def test_redemptions_are_kept_with_their_period_or_not_at_all(store: BookStore) -> None:
    with pytest.raises(SuanliError, match="another process redeemed"):
        store.close_period(MARCH, [], [PAID], known=1)
    assert (store.closings(), store.redemptions()) == ([], [])
    store.close_period(MARCH, [], [PAID], known=0)
    assert [uid for _, uid, _ in store.redemptions()] == ["v1"]
    with pytest.raises(SuanliError, match="append-only"):
        store.keep_payout(PAID, known=1)


@pytest.mark.parametrize("table", ["closing", "billed", "granted", "rejected", "redeemed"])
def test_nothing_in_the_file_is_ever_changed(store: BookStore, tmp_path: Path, table: str) -> None:
    store.keep_grant("v1", "{}")
    store.keep_rejection("v1", "{}")
    store.close_period(MARCH, [("line", "", "{}")], [PAID])
    with sqlite3.connect(tmp_path / "books.sqlite3") as db:
        row = db.execute(f"SELECT * FROM {table}").fetchone()
        marks = ", ".join("?" * len(row))
        column = {"closing": "facts", "billed": "line"}.get(table, "record")
        for statement, values in (
            (f"UPDATE {table} SET {column} = 'x'", ()),
            (f"DELETE FROM {table}", ()),
            (f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row),
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement, values)
    db.close()
