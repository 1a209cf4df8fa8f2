"""What is held for jobs: amounts, ids, limits, and that whatever happens in whatever order no counter passes its limit."""

from suanli.billing.book import Book
from suanli.billing.holds import Held, Terms, read_held, settled
from suanli.billing.ledger import MOST_MICRO_YUAN, Balance, LedgerAccount, Outcome, Transfer, TransferKind, wrong
from suanli.billing.period import calendar

ZONE = "Asia/Shanghai"
NOVEMBER = calendar(1_795_000_000_000, 1, ZONE)
HOUR_MS = 3_600_000
TERMS = Terms(10_000_000, 2 * HOUR_MS)
WAYS = (("prepaid:lab", "unbilled:lab:2026-11"), ("budget:lab:2026-Q4", "used:lab"))


def a_group(number: int = 5, amount: int = 11_000_000, since_ms: int = 0) -> Held:
    return Held("uid-1", 3, number, amount, WAYS, TERMS, since_ms)


def a_book(least: int = -30_000_000) -> Book:
    book = Book()
    for debit, credit in WAYS:
        book.open(LedgerAccount(debit, least))
        book.open(LedgerAccount(credit))
    return book


def test_amounts_are_exact_and_rounded_up() -> None:
    terms = Terms(10, 3)
    assert [terms.worth(ms) for ms in (-1, 0, 1, 2, 3, 4)] == [0, 0, 4, 7, 10, 14]
    assert [Terms(7, 1).need(permille) for permille in (0, 1, 100, 1_000)] == [7, 8, 8, 14]
    assert TERMS.lasts(TERMS.need(100)) == 2 * HOUR_MS * 11 // 10
    assert Terms(MOST_MICRO_YUAN, 1).need(1_000) == MOST_MICRO_YUAN == Terms(MOST_MICRO_YUAN, 1).worth(2)


def test_ids_follow_from_the_attempt_and_the_same_again_changes_nothing() -> None:
    book = a_book()
    holds = a_group().holds(9)
    assert [hold.id for hold in holds] == ["job:uid-1:3:5:0", "job:uid-1:3:5:1"]
    assert [wrong(hold) for hold in holds] == ["", ""]
    assert book.commit(holds) == [Outcome.CREATED] * 2
    assert book.commit(holds) == [Outcome.EXISTS] * 2
    ends = settled([a_group()], 4_000_000, 12)
    assert [wrong(end) for end in ends] == ["", ""]
    assert book.commit(ends) == [Outcome.CREATED] * 2
    assert book.commit(ends) == [Outcome.EXISTS] * 2
    assert Outcome.CREATED not in book.commit(settled([a_group()], 0, 99))  # another process ends it otherwise
    for debit, _ in WAYS:
        assert book.standings[debit].balance == Balance(debits_micro_yuan=4_000_000)


def test_a_group_that_one_limit_refuses_holds_nothing_at_the_others() -> None:
    book = a_book()
    book.open(LedgerAccount("budget:lab:2026-Q4", -10_999_999))
    assert set(book.commit(a_group().holds(1))) == {Outcome.LINKED_FAILED, Outcome.EXCEEDS_LIMIT}
    assert book.standings["prepaid:lab"].balance == Balance()


def test_what_was_used_is_taken_of_the_groups_in_turn_and_never_more_than_was_held() -> None:
    groups = [a_group(7, 2_000_000), a_group(5, 11_000_000)]
    for used, expected in (
        (0, [0, 0]),
        (11_000_000, [11_000_000, 0]),
        (12_000_000, [11_000_000, 1_000_000]),
        (99_000_000, [11_000_000, 2_000_000]),
    ):
        ends = settled(groups, used, 9)
        assert [end.amount_micro_yuan for end in ends] == [amount for amount in expected for _ in WAYS]
        kinds = {end.kind for end in ends if not end.amount_micro_yuan}
        assert kinds <= {TransferKind.VOID_HOLD}
        assert len({end.linked for end in ends}) == 1
    assert settled([], 5, 9) == []


def test_what_was_used_beyond_what_was_held_is_posted_with_it_or_nothing_is() -> None:
    book = a_book(-12_000_000)
    book.commit(a_group().holds(1))
    ends = settled([a_group()], 13_000_000, 5, beyond_micro_yuan=2_000_000)
    assert [wrong(end) for end in ends] == [""] * 4
    assert Outcome.EXCEEDS_LIMIT in book.commit(ends)
    assert book.standings["prepaid:lab"].balance == Balance(held_debits_micro_yuan=11_000_000)
    ends = settled([a_group()], 12_000_000, 5, beyond_micro_yuan=1_000_000)
    assert book.commit(ends) == [Outcome.CREATED] * 4
    assert book.standings["prepaid:lab"].balance == Balance(debits_micro_yuan=12_000_000)


def test_what_the_ledger_holds_tells_all_that_is_known() -> None:
    groups = [a_group(5), a_group(7, 2_000_000, since_ms=44)]
    strangers = [
        Transfer("job:x", "cap:a:b:2026", "voucher:a:2026", 1, TransferKind.HOLD, 1),
        Transfer("job:uid:1:2:0", "cap:a:b:2026", "voucher:a:2026", 1, TransferKind.HOLD, 1, reference="nonsense"),
    ]
    holds = [hold for group in groups for hold in group.holds(1)]
    assert read_held([*strangers, *reversed(holds)]) == list(reversed(groups))
