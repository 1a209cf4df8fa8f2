"""The rules one by one; tests/ledgerstore/test_model.py asks them of random ledgers."""

from dataclasses import replace
from typing import Any

import pytest

from ledgers import ACCOUNTS, a_hold, a_post_hold, a_transfer, a_void
from suanli.billing.book import Book
from suanli.billing.ledger import (
    EXPIRES,
    Balance,
    Entry,
    LedgerAccount,
    Outcome,
    Transfer,
    TransferKind,
    chained,
)

CREATED, FAILED = Outcome.CREATED, Outcome.LINKED_FAILED
OTHER: dict[str, Any] = {"debit": "consumer:数学"}


def a_book() -> Book:
    book = Book()
    for account in ACCOUNTS:
        book.open(account)
    assert book.commit([a_transfer("top-up", 1_000, debit="cash:bank", credit="consumer:physics")]) == [CREATED]
    return book


@pytest.mark.parametrize(
    ("before", "transfer", "outcome"),
    [
        ([], a_transfer(amount=1_000), CREATED),
        ([], a_transfer(amount=1_001), Outcome.EXCEEDS_LIMIT),
        ([], a_transfer(amount=500, **OTHER), CREATED),  # its limit is 500 below nothing
        ([], a_transfer(amount=501, **OTHER), Outcome.EXCEEDS_LIMIT),
        ([], a_transfer(amount=10_001, debit="cash:bank"), Outcome.EXCEEDS_LIMIT),  # the provider's
        ([a_hold(amount=600)], a_transfer(amount=401), Outcome.EXCEEDS_LIMIT),
        ([a_hold(amount=9_000, debit="cash:bank")], a_transfer("t", 1_001, debit="cash:bank"), Outcome.EXCEEDS_LIMIT),
        ([a_hold(amount=600)], a_hold("h2", 400), CREATED),
        ([a_hold(amount=600)], a_hold("h2", 401), Outcome.EXCEEDS_LIMIT),
        ([a_hold()], a_hold(), Outcome.EXISTS),
        ([a_hold()], a_hold(amount=99), Outcome.EXISTS_DIFFERENTLY),
        ([a_hold()], a_hold(linked="g"), Outcome.EXISTS_DIFFERENTLY),
        ([a_hold()], a_post_hold("p"), CREATED),
        ([a_hold()], a_post_hold("p", amount=101), Outcome.EXCEEDS_HOLD),
        ([a_hold()], a_post_hold("p", **OTHER), Outcome.HOLD_UNKNOWN),
        ([a_hold()], a_void("v", "h2"), Outcome.HOLD_UNKNOWN),
        ([a_transfer("h1")], a_void("v"), Outcome.HOLD_UNKNOWN),
        ([a_hold(), a_void("v")], a_post_hold("p"), Outcome.HOLD_OVER),
        ([a_hold(), a_post_hold("p", amount=1)], a_void("v"), Outcome.HOLD_OVER),
        ([a_hold(), a_post_hold("p", amount=1)], a_void("v", **OTHER), Outcome.HOLD_UNKNOWN),
        ([a_hold(expires_ms=2_000)], a_post_hold("p", time_ms=1_999), CREATED),
        ([a_hold(expires_ms=2_000)], a_post_hold("p", time_ms=2_000), Outcome.HOLD_OVER),
        ([a_transfer("late", 1, time_ms=3_000)], a_hold(expires_ms=3_000), Outcome.HOLD_OVER),
        ([a_transfer("late", 1, time_ms=3_000)], a_hold(expires_ms=3_001), CREATED),
        ([], a_transfer(credit="provider:west"), Outcome.ACCOUNT_UNKNOWN),
        ([], a_transfer(amount=0), Outcome.NOT_A_TRANSFER),
    ],
)
def test_the_outcome_of_one(before: list[Transfer], transfer: Transfer, outcome: Outcome) -> None:
    book = a_book()
    assert book.commit(before) == [CREATED] * len(before)
    entries = list(book.entries)
    assert book.commit([transfer]) == [outcome]
    assert (book.entries == entries) == (outcome is not CREATED)


def test_a_hold_that_is_posted_in_part_releases_the_rest() -> None:
    book = a_book()
    assert book.commit([a_hold(amount=600), a_post_hold("p", amount=250)]) == [CREATED] * 2
    assert book.standings["consumer:physics"].balance == Balance(250, 1_000)
    assert book.standings["provider:east"].balance == Balance(0, 250)
    assert [entry.released_micro_yuan for entry in book.entries[-2:]] == [0, 350]


def test_holds_expire_in_order_before_what_lets_the_time_pass() -> None:
    book = a_book()
    book.commit(
        [a_hold("h1", 1, expires_ms=3_000), a_hold("h2", 2, expires_ms=2_000), a_hold("h3", 3, expires_ms=9_000)]
    )
    assert book.commit([a_transfer("t", 994, time_ms=5_000)]) == [CREATED]
    ended = [e.transfer for e in book.entries[-3:] if e.transfer]
    assert [(t.id, t.kind, t.time_ms) for t in ended] == [
        (f"{EXPIRES}h2", TransferKind.EXPIRE_HOLD, 2_000),
        (f"{EXPIRES}h1", TransferKind.EXPIRE_HOLD, 3_000),
        ("t", TransferKind.POST, 5_000),
    ]
    assert book.standings["consumer:physics"].balance.held_debits_micro_yuan == 3


def test_a_hold_that_expires_in_its_own_batch() -> None:
    book = a_book()
    batch = [a_hold(amount=900, expires_ms=2_000), a_transfer("t", 900, time_ms=2_000), a_void("v", time_ms=0)]
    assert book.commit(batch) == [CREATED, CREATED, Outcome.HOLD_OVER]


def test_a_refused_transfer_lets_no_time_pass_and_ends_no_hold() -> None:
    book = a_book()
    book.commit([a_hold(amount=600, expires_ms=2_000)])
    assert book.commit([a_transfer("t", 1_001, time_ms=9_000)]) == [Outcome.EXCEEDS_LIMIT]
    assert book.time_ms == 1_000
    assert book.commit([a_post_hold("p", amount=600, time_ms=1_999)]) == [CREATED]


def test_a_group_stands_where_its_first_one_stands() -> None:
    book = a_book()
    batch = [a_transfer("a", 400, linked="g"), a_transfer("b", 700), a_transfer("c", 600, linked="g")]
    assert book.commit(batch) == [CREATED, Outcome.EXCEEDS_LIMIT, CREATED]


@pytest.mark.parametrize(
    ("group", "outcomes"),
    [
        ([a_transfer("a"), a_transfer("b", 0), a_transfer("c")], [FAILED, Outcome.NOT_A_TRANSFER, FAILED]),
        ([a_transfer("a", 600), a_transfer("b", 600)], [FAILED, Outcome.EXCEEDS_LIMIT]),
        ([a_transfer("a"), a_transfer("a")], [CREATED, Outcome.EXISTS]),
        ([a_transfer("a"), a_transfer("a", 7)], [FAILED, Outcome.EXISTS_DIFFERENTLY]),
        ([a_hold(amount=900), a_void("v"), a_transfer("a", 1_000)], [CREATED] * 3),
        ([a_transfer("a", 1_100), a_transfer("b", 200, debit="cash:bank", credit="consumer:physics")],
         [Outcome.EXCEEDS_LIMIT, FAILED]),
    ],
)  # fmt: skip
def test_a_group(group: list[Transfer], outcomes: list[Outcome]) -> None:
    book = a_book()
    count = book.sequence
    assert book.commit([replace(transfer, linked="g") for transfer in group]) == outcomes
    assert book.sequence == count + outcomes.count(CREATED)


def test_a_group_of_which_a_part_is_there_is_another_one() -> None:
    book = a_book()
    first = [a_transfer("a", linked="g"), a_transfer("b", linked="g")]
    assert book.commit(first) == [CREATED] * 2
    assert book.commit(first) == [Outcome.EXISTS] * 2
    assert book.commit([*first, a_transfer("c", linked="g")]) == [Outcome.EXISTS, Outcome.EXISTS, FAILED]


def made(book: Book, record: Transfer | LedgerAccount, released: int = 0) -> Entry:
    """A next entry whose chain is right."""
    return chained(book.sequence + 1, book.hash, record, released)


@pytest.mark.parametrize(
    ("record", "released", "words"),
    [
        (a_transfer(amount=901), 0, "the rules refuse it: exceeds-limit"),
        (a_transfer(amount=-1), 0, "amount_micro_yuan -1 is not from 1"),
        (a_transfer(), 5, "another amount"),
        (a_void("v"), 99, "another amount"),
        (a_void("v", "h9"), 0, "the rules refuse it: hold-unknown"),
        (a_transfer(time_ms=2_000), 0, 'hold "h1" expired before it'),
        (replace(a_void(f"{EXPIRES}h1", time_ms=2_001), kind=TransferKind.EXPIRE_HOLD), 100, "otherwise than expiry"),
        (replace(a_void(f"{EXPIRES}h2", "h2", time_ms=0), kind=TransferKind.EXPIRE_HOLD), 1, 'ends hold "h2"'),
        (ACCOUNTS[0], 0, "open with these limits"),
        (LedgerAccount("nobody"), 0, "is not of the form"),
    ],
)
def test_an_entry_that_cannot_come_next_is_told(record: Transfer | LedgerAccount, released: int, words: str) -> None:
    book = a_book()
    book.commit([a_hold(expires_ms=2_000)])
    assert words in book.follow(made(book, record, released))


def test_a_hold_that_expired_too_early_is_told() -> None:
    book = a_book()
    book.commit([a_hold(expires_ms=2_000)])
    early = replace(a_void(f"{EXPIRES}h1", time_ms=2_000), kind=TransferKind.EXPIRE_HOLD)
    assert book.follow(made(book, early, 100)) == ""
    assert "does not bring the time" in book.follow(made(book, a_transfer(time_ms=1_999)))


def test_another_book_comes_to_the_same_by_following() -> None:
    book = a_book()
    book.commit(
        [a_hold(expires_ms=2_000), a_hold("h2", 5), a_transfer("t", 3, time_ms=2_000), a_post_hold("p", "h2", 2)]
    )
    other = Book()
    assert [other.follow(entry) for entry in book.entries] == [""] * len(book.entries)
    assert (other.hash, other.time_ms, other.standings, other.holds) == (
        book.hash,
        book.time_ms,
        book.standings,
        book.holds,
    )
    assert other.follow(replace(made(book, a_transfer("u", 1)), hash="0" * 64)).startswith("its hash")
