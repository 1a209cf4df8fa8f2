"""What both stores do alike: keep entries in a chain, come to sums, find every change."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ledgers import ACCOUNTS, Place, a_hold, a_post_hold, a_transfer, a_void, opened, refused
from suanli.base.reasons import Reason
from suanli.billing.ledger import (
    MOST_MICRO_YUAN,
    NO_ENTRY,
    Balance,
    LedgerAccount,
    Outcome,
    TransferKind,
    line,
)
from suanli.ledgerstore import sql
from suanli.ledgerstore.sql import SqlLedger
from suanli.ledgerstore.sqlite import Access

# --- what it keeps


def test_what_was_committed_is_there_after_opening_again(place: Place) -> None:
    with place.open() as ledger:
        opened(ledger)
        assert ledger.commit([a_transfer(), a_hold(), a_post_hold("p1", amount=30)]) == [Outcome.CREATED] * 3
        before = list(ledger.entries()), ledger.standings(), ledger.root()
    with place.open() as ledger:
        assert (list(ledger.entries()), ledger.standings(), ledger.root()) == before
        assert ledger.balance("consumer:physics") == Balance(130, 1_000)
        assert ledger.balance("provider:east") == Balance(0, 130)
        assert ledger.verify() == before[2]


def test_an_empty_ledger(ledger: SqlLedger) -> None:
    assert ledger.root() == (0, NO_ENTRY)
    assert list(ledger.entries()) == []
    assert ledger.standings() == []
    assert ledger.balance("consumer:nobody") == Balance()
    assert ledger.commit([]) == []
    assert ledger.verify() == (0, NO_ENTRY)


def test_the_same_again_changes_nothing(ledger: SqlLedger) -> None:
    opened(ledger)
    batch = [a_transfer("a", linked="g"), a_transfer("b", linked="g"), a_hold()]
    assert ledger.commit(batch) == [Outcome.CREATED] * 3
    root = ledger.root()
    ledger.open(ACCOUNTS)
    assert ledger.commit(batch) == [Outcome.EXISTS] * 3
    assert ledger.commit([replace(batch[2], amount_micro_yuan=1)]) == [Outcome.EXISTS_DIFFERENTLY]
    assert ledger.root() == root


def test_a_hold_is_known_in_a_later_commit(ledger: SqlLedger) -> None:
    opened(ledger)
    assert ledger.commit([a_hold("h1", 600, expires_ms=5_000), a_hold("h2", 300)]) == [Outcome.CREATED] * 2
    assert ledger.balance("consumer:physics") == Balance(0, 1_000, 900, 0)
    assert ledger.commit([a_transfer("t", 101)]) == [Outcome.EXCEEDS_LIMIT]
    assert ledger.commit([a_post_hold("p", "h1", 601)]) == [Outcome.EXCEEDS_HOLD]
    assert ledger.commit([a_post_hold("p", "h2", 200)]) == [Outcome.CREATED]
    assert ledger.commit([a_void("v", "h2")]) == [Outcome.HOLD_OVER]
    assert ledger.commit([a_void("v", "h3")]) == [Outcome.HOLD_UNKNOWN]
    assert ledger.balance("consumer:physics") == Balance(200, 1_000, 600, 0)
    assert ledger.balance("provider:east") == Balance(0, 200, 0, 600)
    ledger.verify()


def test_a_hold_expires_by_the_time_of_a_later_commit_alone(ledger: SqlLedger) -> None:
    opened(ledger)
    ledger.commit([a_hold("h1", 600, expires_ms=5_000), a_hold("h2", 400, expires_ms=6_000)])
    assert ledger.commit([a_transfer("t", 1, time_ms=4_999)]) == [Outcome.EXCEEDS_LIMIT]
    assert ledger.commit([a_transfer("u", 601, time_ms=5_000)]) == [Outcome.EXCEEDS_LIMIT]
    assert ledger.balance("consumer:physics").held_debits_micro_yuan == 1_000  # a refused one lets no time pass
    assert ledger.commit([a_transfer("t", 600, time_ms=5_000)]) == [Outcome.CREATED]
    assert [e.transfer.id for e in ledger.entries() if e.transfer][-2:] == ["expire:h1", "t"]
    assert ledger.commit([a_post_hold("p", "h1", 1, time_ms=0)]) == [Outcome.HOLD_OVER]
    assert ledger.balance("consumer:physics") == Balance(600, 1_000, 400, 0)
    ledger.verify()


def test_a_group_is_accepted_whole_or_not_at_all(ledger: SqlLedger) -> None:
    opened(ledger)
    root = ledger.root()
    group = [a_transfer("a", 700, linked="g"), a_transfer("b", 700, linked="g"), a_transfer("c", 1, linked="g")]
    assert ledger.commit([a_transfer("z", 1), *group])[1:] == [
        Outcome.LINKED_FAILED,
        Outcome.EXCEEDS_LIMIT,
        Outcome.LINKED_FAILED,
    ]
    assert ledger.root()[0] == root[0] + 1
    assert ledger.balance("provider:east") == Balance(0, 1)


def test_limits_change_by_a_later_opening(ledger: SqlLedger) -> None:
    opened(ledger)
    assert ledger.commit([a_transfer("a", 1_001)]) == [Outcome.EXCEEDS_LIMIT]
    ledger.open([LedgerAccount("consumer:physics", min_micro_yuan=-1)])
    assert ledger.commit([a_transfer("a", 1_001)]) == [Outcome.CREATED]
    ledger.open([LedgerAccount("consumer:physics", min_micro_yuan=0)])  # below it already: nothing more may leave
    assert ledger.commit([a_transfer("b", 1)]) == [Outcome.EXCEEDS_LIMIT]
    assert ledger.commit([a_transfer("c", 1, debit="cash:bank", credit="consumer:physics")]) == [Outcome.CREATED]
    assert [e.account for e in ledger.entries() if e.account][-1] == LedgerAccount("consumer:physics", 0)
    ledger.verify()


def test_an_account_that_was_never_opened(ledger: SqlLedger) -> None:
    opened(ledger)
    assert ledger.commit([a_transfer(credit="provider:west")]) == [Outcome.ACCOUNT_UNKNOWN]


def test_sums_pass_64_bits_exactly(ledger: SqlLedger) -> None:
    ledger.open([LedgerAccount("cash:a"), LedgerAccount("cash:b")])
    most = [
        a_transfer(f"t{n}", MOST_MICRO_YUAN, TransferKind.HOLD if n % 2 else TransferKind.POST, debit="cash:a", credit="cash:b")
        for n in range(8)
    ]  # fmt: skip
    assert ledger.commit(most) == [Outcome.CREATED] * 8
    four = 4 * MOST_MICRO_YUAN
    assert ledger.balance("cash:a") == Balance(four, 0, four, 0)
    assert ledger.balance("cash:b") == Balance(0, four, 0, four)
    too_much = a_transfer("x", MOST_MICRO_YUAN + 1, debit="cash:a", credit="cash:b")
    assert ledger.commit([too_much]) == [Outcome.NOT_A_TRANSFER]
    ledger.verify()


def test_what_is_no_transfer_stops_nothing_else(ledger: SqlLedger) -> None:
    opened(ledger)
    batch = [a_transfer("a", -1), a_transfer("b"), a_transfer("nul\0"), a_transfer("half \ud800"), a_transfer("c", 2)]
    created, bad = Outcome.CREATED, Outcome.NOT_A_TRANSFER
    assert ledger.commit(batch) == [bad, created, bad, bad, created]
    assert ledger.commit([a_transfer("a", -1)]) == [bad]


@pytest.mark.parametrize(
    "name", ["physics", "consumer:", "consumer:a b", "consumer:a\n", "Consumer:a", "c:" + "x" * 200]
)
def test_what_is_no_account_is_refused_and_nothing_is_kept(ledger: SqlLedger, name: str) -> None:
    refused(lambda: ledger.open([LedgerAccount("cash:a"), LedgerAccount(name)]), reason=Reason.INVALID_SPEC)
    assert ledger.root()[0] == 0


def test_text_is_kept_as_it_was_sent(ledger: SqlLedger) -> None:
    opened(ledger)
    odd = a_transfer('"\\/\u2028é e\u0301 %s ? 😀', reference="凭证:2026", linked="'; DROP TABLE entry; --")
    assert ledger.commit([odd]) == [Outcome.CREATED]
    assert [e.transfer for e in ledger.entries()][-1] == odd
    assert ledger.commit([odd]) == [Outcome.EXISTS]
    ledger.verify()


def test_a_batch_larger_than_one_statement_holds_and_pages_of_entries(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PAGE", 100)
    opened(ledger)
    many = [a_transfer(f"t{n}", 1) for n in range(2 * sql.MOST_PARAMETERS + 1)]
    assert ledger.commit(many[::2]).count(Outcome.CREATED) == sql.MOST_PARAMETERS + 1
    assert ledger.commit(many[:900]).count(Outcome.EXISTS) == 450
    assert [e.sequence for e in ledger.entries()] == list(range(1, ledger.root()[0] + 1))
    assert ledger.verify() == ledger.root()


def test_entries_after_one_of_them(ledger: SqlLedger) -> None:
    opened(ledger)
    ledger.commit([a_transfer("a"), a_transfer("b")])
    every = list(ledger.entries())
    assert list(ledger.entries(after=3)) == every[3:]
    assert list(ledger.entries(after=len(every))) == []
    assert list(ledger.entries(after=99)) == []


def test_entries_are_those_of_one_moment(ledger: SqlLedger) -> None:
    opened(ledger)
    begun = ledger.entries()
    next(begun)
    ledger.commit([a_transfer()])
    assert len(list(begun)) == len(ACCOUNTS)


def test_the_chain_is_computed_with_sha256_and_json_alone(ledger: SqlLedger) -> None:
    opened(ledger)
    ledger.commit([a_transfer("凭证", 5, reference='"'), a_hold(), a_post_hold("p", amount=60)])
    previous = NO_ENTRY
    for number, entry in enumerate(ledger.entries(), 1):
        fields = json.loads(line(entry))
        assert (fields["sequence"], fields["previous"]) == (number, previous)
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert entry.hash == previous
    assert ledger.root()[1] == previous
    assert fields["amount_micro_yuan"] == "60"
    assert fields["released_micro_yuan"] == "40"


# --- two at a time


def test_two_writers_see_each_other(ledger: SqlLedger, place: Place) -> None:
    with place.open() as other:
        opened(ledger)
        assert other.commit([a_transfer("a", 900)]) == [Outcome.CREATED]
        assert ledger.commit([a_transfer("a", 900), a_transfer("b", 101)]) == [Outcome.EXISTS, Outcome.EXCEEDS_LIMIT]
        assert ledger.root() == other.root()
        assert other.verify() == ledger.verify()


def test_a_lock_that_is_held_for_long(ledger: SqlLedger, place: Place) -> None:
    opened(ledger)
    with place.open(busy_ms=20) as other:
        with ledger._writing():
            refused(lambda: other.commit([a_transfer()]), "another process holds it locked")
        assert other.commit([a_transfer()]) == [Outcome.CREATED]


def test_a_reader_writes_nothing(ledger: SqlLedger, place: Place) -> None:
    opened(ledger)
    with place.open(access=Access.READ) as reader:
        assert reader.root() == ledger.verify()
        refused(lambda: reader.commit([a_transfer()]), "read-only")
    assert ledger.commit([a_transfer()]) == [Outcome.CREATED]


def test_there_is_nothing_to_read(place: Place) -> None:
    if not place.schema:
        Path(place.where).touch()
    refused(lambda: place.open(access=Access.READ), "there is nothing in it")


def test_a_closed_ledger_says_so(place: Place) -> None:
    ledger = place.open()
    ledger.close()
    ledger.close()
    refused(ledger.root, "closed")
    refused(lambda: ledger.commit([a_transfer()]), "closed")


# --- schema


def test_an_older_schema_is_brought_forward_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.open() as ledger:
        opened(ledger)
        known = type(ledger)
    monkeypatch.setattr(known, "MIGRATIONS", (*known.MIGRATIONS, "CREATE TABLE novelty (one INTEGER);\n"))
    refused(lambda: place.open(access=Access.READ), "its schema is 1, this suanli's is 2")
    with place.open() as ledger, place.open() as again:
        assert ledger._all("SELECT count(*) FROM novelty", []) == [(0,)]
        assert again.commit([a_transfer()]) == [Outcome.CREATED]
        ledger.verify()
    monkeypatch.undo()
    refused(place.open, "newer suanli (schema 2, this one knows 1)")


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.open() as ledger:
        opened(ledger)
        known = type(ledger)
    wrong = "CREATE TABLE novelty (one INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(known, "MIGRATIONS", (*known.MIGRATIONS, wrong))
    refused(place.open, "nowhere")
    monkeypatch.undo()
    with place.open() as ledger:
        assert ledger.commit([a_transfer()]) == [Outcome.CREATED]


# --- nothing is changed, and what is changed is found

CHANGED = Reason.LEDGER_CHANGED
CHANGES = [
    ("UPDATE entry SET amount_micro_yuan = 1 WHERE id = 't1'", 'entry 6 (transfer "t1"): its hash'),
    ("UPDATE entry SET reference = 'x' WHERE id = 'h1'", 'entry 7 (transfer "h1"): its hash'),
    ("UPDATE entry SET credit = 'cash:bank' WHERE id = 't1'", 'entry 6 (transfer "t1"): its hash'),
    ("UPDATE entry SET time_ms = 1001 WHERE id = 't1'", 'entry 6 (transfer "t1"): its hash'),
    ("UPDATE entry SET kind = 'post' WHERE id = 'h1'", 'entry 7 (transfer "h1"): its hash'),
    ("UPDATE entry SET id = 't2' WHERE id = 't1'", 'entry 6 (transfer "t2"): its hash'),
    ("UPDATE entry SET hash = replace(hash, substr(hash, 1, 1), 'g') WHERE id = 't1'", "entry 6 "),
    ("UPDATE entry SET released_micro_yuan = 5 WHERE id = 't1'", "entry 6 "),
    ("UPDATE entry SET min_micro_yuan = 5 WHERE id = 't1'", "entry 6 "),
    ("UPDATE entry SET min_micro_yuan = -9 WHERE account = 'consumer:physics'", "entry 1 (account"),
    ("UPDATE entry SET reference = 'x' WHERE account = 'consumer:physics'", "entry 1 (account"),
    ("DELETE FROM entry WHERE id = 't1'", "entry 7 "),
    ("DELETE FROM entry WHERE sequence = 1", "entry 2 "),
    ("DELETE FROM entry WHERE id = 'p1'", "account"),
    ("UPDATE standing SET credits = '9' WHERE account = 'provider:east'", 'account "provider:east" stands as'),
    ("UPDATE standing SET credits = 'nine' WHERE account = 'provider:east'", 'account "provider:east" stands as'),
    ("UPDATE standing SET min_micro_yuan = -9 WHERE account = 'consumer:physics'", 'account "consumer:physics" stands'),
    ("DELETE FROM standing WHERE account = 'cash:bank'", 'account "cash:bank" stands as None'),
    ("DELETE FROM open_hold WHERE id = 'h2'", 'hold "h2" stands as None'),
    ("UPDATE open_hold SET expires_ms = 1 WHERE id = 'h2'", 'hold "h2" stands as'),
    ("UPDATE passed SET time_ms = 7", "its time stands as"),
]


@pytest.mark.parametrize(("statement", "told"), CHANGES)
def test_what_is_changed_behind_its_back_is_found_and_named(
    ledger: SqlLedger, statement: str, told: str, unguarded: Callable[[SqlLedger, str], None]
) -> None:
    opened(ledger)
    ledger.commit([a_transfer(), a_hold(), a_hold("h2", 50), a_post_hold("p1", amount=40)])
    ledger.verify()
    unguarded(ledger, statement)
    refused(ledger.verify, told, "restore the last good copy", reason=CHANGED)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET amount_micro_yuan = 1",
        "DELETE FROM entry",
        "DELETE FROM entry WHERE sequence = 1",
        "INSERT INTO entry SELECT * FROM entry WHERE sequence = 1 ON CONFLICT (sequence) DO UPDATE SET reference = 'x'",
    ],
)
def test_the_database_lets_no_entry_be_changed(ledger: SqlLedger, statement: str, raw: Callable[[str], None]) -> None:
    opened(ledger)
    before = list(ledger.entries())
    with pytest.raises(Exception, match="append-only"):
        raw(statement)
    assert list(ledger.entries()) == before


def test_a_chain_that_was_written_anew_differs_from_a_root_that_was_noted(ledger: SqlLedger, place: Place) -> None:
    opened(ledger)
    noted = ledger.root()
    ledger.commit([a_transfer()])
    assert ledger.verify(noted) == ledger.root()
    refused(lambda: ledger.verify((noted[0], "0" * 64)), f"entry {noted[0]} ", "was noted", reason=CHANGED)
    refused(lambda: ledger.verify((99, noted[1])), "99 were noted", "cut off", reason=CHANGED)


def test_a_sum_that_is_no_number_is_told(ledger: SqlLedger, unguarded: Callable[[SqlLedger, str], None]) -> None:
    opened(ledger)
    unguarded(ledger, "UPDATE standing SET debits = 'x' WHERE account = 'consumer:physics'")
    refused(lambda: ledger.balance("consumer:physics"), 'account "consumer:physics"', reason=CHANGED)
    refused(lambda: ledger.commit([a_transfer()]), 'account "consumer:physics"', reason=CHANGED)
    assert ledger.root()[0] == 5
