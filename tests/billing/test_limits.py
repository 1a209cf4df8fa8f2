"""What accounts may spend: periods, whose budgets count, and that whatever happens no counter passes its limit or counts twice."""

from random import Random
from typing import Any

import pytest

from builders import an_object
from suanli.api.account import ComputeAccount
from suanli.billing.book import Book
from suanli.billing.holds import Held, Terms, settled
from suanli.billing.ledger import Balance, LedgerAccount, Outcome, Transfer, TransferKind
from suanli.billing.limits import Limit, given_back, limits_of, prepaid, unbilled
from suanli.billing.period import calendar
from suanli.billing.posting import consumer

ZONE = "Asia/Shanghai"
NOVEMBER = calendar(1_795_000_000_000, 1, ZONE)
HOUR_MS = 3_600_000
TERMS = Terms(10_000_000, 2 * HOUR_MS)


def an_account(name: str = "lab", **spec: Any) -> ComputeAccount:
    return ComputeAccount.model_validate(an_object("ComputeAccount", name, spec))


@pytest.mark.parametrize(
    ("months", "at", "name", "days"),
    [
        (1, "2026-12", "2026-12", 31),
        (3, "2026-12", "2026-Q4", 92),
        (12, "2026-12", "2026", 365),
        (3, "2026-02", "2026-Q1", 90),
    ],
)
def test_periods_are_those_of_the_calendar(months: int, at: str, name: str, days: int) -> None:
    year, month = map(int, at.split("-"))
    inside = calendar(
        calendar(1_770_000_000_000, 12, ZONE).start_ms + (month - 1) * 30 * 24 * HOUR_MS + 10 * 24 * HOUR_MS,
        months,
        ZONE,
    )
    assert (year, inside.name) == (2026, name)
    assert inside.end_ms - inside.start_ms == days * 24 * HOUR_MS
    assert calendar(inside.end_ms - 1, months, ZONE) == inside == calendar(inside.start_ms, months, ZONE)
    assert calendar(inside.end_ms, months, ZONE).start_ms == inside.end_ms


def test_the_limits_of_a_job_are_its_prepayment_and_all_budgets_above_it() -> None:
    budget = {"amount": "5000000", "period": "Month"}
    own = an_account(payment="Prepaid", budget=budget, parent="city")
    city, state = an_account("city", payment="Prepaid"), an_account("state", budget={**budget, "period": "Year"})
    found = limits_of([own, city, state], NOVEMBER.start_ms, ZONE)
    assert [(limit.account, limit.debit, limit.credit) for limit in found] == [
        ("lab", "prepaid:lab", f"unbilled:lab:{NOVEMBER.name}"),
        ("lab", f"budget:lab:{NOVEMBER.name}", "used:lab"),
        ("state", f"budget:state:{NOVEMBER.name[:4]}", "used:state"),
    ]
    assert [limit.opened(7)[0].min_micro_yuan for limit in found] == [-7, -5_000_000, -5_000_000]
    assert limits_of([an_account()], NOVEMBER.start_ms, ZONE) == ()


def test_a_billed_month_is_given_back_once() -> None:
    book = Book()
    book.open(LedgerAccount(prepaid("lab"), -100))
    book.open(LedgerAccount(unbilled("lab", "2026-11"), 0))
    used = Transfer("u", prepaid("lab"), unbilled("lab", "2026-11"), 60, TransferKind.POST, 1)
    assert book.commit([used]) == [Outcome.CREATED]
    back = given_back("lab", "2026-11", book.standings[unbilled("lab", "2026-11")].balance, 5)
    assert back is not None
    assert book.commit([back]) == [Outcome.CREATED]
    assert book.standings[prepaid("lab")].balance.least_micro_yuan == 0
    assert given_back("lab", "2026-11", book.standings[unbilled("lab", "2026-11")].balance, 6) is None
    again = Transfer("again", back.debit, back.credit, 60, TransferKind.POST, 7)
    assert book.commit([again]) == [Outcome.EXCEEDS_LIMIT]


class Bank:
    """A prepaid account over three months, whose bills are what it used."""

    def __init__(self, seed: int) -> None:
        self.random, self.book = Random(seed), Book()
        for name in ("cash:consumer:lab", "provider:east", consumer("lab")):
            self.book.open(LedgerAccount(name))
        self.months = [calendar(1_790_000_000_000 + n * 31 * 24 * HOUR_MS, 1, ZONE) for n in range(3)]
        self.used = {month.name: 0 for month in self.months}
        self.groups: dict[str, Held] = {}
        self.now = self.billed = self.number = 0

    def step(self, number: int) -> None:
        """Whatever may happen next."""
        self.number = number
        self.refresh()
        self.random.choice((self.pay, self.begin, self.begin, self.end, self.turn, self.bill))()

    def refresh(self) -> None:
        """What the operator does every few seconds: the limit follows what was paid and billed."""
        for account in self.limit().opened(self.sums(consumer("lab")).posted_micro_yuan):
            self.book.open(account)

    def limit(self) -> Limit:
        (found,) = limits_of([an_account(payment="Prepaid")], self.months[self.now].start_ms, ZONE)
        return found

    def sums(self, name: str) -> Balance:
        return self.book.standings[name].balance if name in self.book.standings else Balance()

    def told(self, transfers: list[Transfer]) -> bool:
        return set(self.book.commit(transfers)) == {Outcome.CREATED}

    def moved(self, name: str, debit: str, credit: str, amount: int) -> None:
        assert self.told([Transfer(f"{name}{self.number}", debit, credit, amount, TransferKind.POST, self.number)])

    def held(self, uid: str, amount: int) -> Held:
        limit = self.limit()
        return Held(uid, 1, self.number, amount, ((limit.debit, limit.credit),), TERMS, self.number)

    def settle(self, held: Held, amount: int) -> list[Transfer]:
        self.used[held.ways[0][1].split(":")[2]] += amount
        return settled([held], amount, self.number)

    def pay(self) -> None:
        self.moved("p", "cash:consumer:lab", consumer("lab"), self.random.randint(1, 40))

    def begin(self) -> None:
        held = self.held(f"u{self.number}", self.random.randint(1, 30))
        if self.told(held.holds(self.number)):
            self.groups[held.job_uid] = held

    def end(self) -> None:
        if self.groups:
            held = self.groups.pop(self.random.choice(sorted(self.groups)))
            assert self.told(self.settle(held, self.random.randint(0, held.amount_micro_yuan)))

    def turn(self) -> None:
        if self.now == 2:
            return
        self.now += 1
        self.refresh()
        for uid, held in self.groups.items():
            amount = self.random.randint(0, held.amount_micro_yuan - 1)
            rest = self.held(uid, held.amount_micro_yuan - amount)
            assert self.told([*self.settle(held, amount), *rest.holds(self.number)]), "it needs no more than was held"
            self.groups[uid] = rest

    def bill(self) -> None:
        if self.billed == self.now:
            return
        name = self.months[self.billed].name
        self.billed += 1
        if self.used[name]:
            self.moved("b", consumer("lab"), "provider:east", self.used[name])
            self.refresh()
            back = given_back("lab", name, self.sums(unbilled("lab", name)), self.number)
            assert back is not None
            assert self.told([back])

    def have(self) -> int:
        """What was paid, less what was billed, used since, and is held."""
        paid = self.sums(consumer("lab")).posted_micro_yuan
        open_use = sum(self.used[month.name] for month in self.months[self.billed :])
        return paid - open_use - sum(held.amount_micro_yuan for held in self.groups.values())

    def room(self) -> int:
        """What the ledger would still hold."""
        return self.sums(prepaid("lab")).least_micro_yuan - (
            self.book.standings[prepaid("lab")].account.min_micro_yuan or 0
        )


@pytest.mark.parametrize("seed", range(20))
def test_at_no_moment_is_more_spent_and_held_than_was_paid_in(seed: int) -> None:
    """Jobs begin, turn into a new month and end, bills are posted and payments come in: nothing counts twice, nothing is left out."""
    bank = Bank(seed)
    for number in range(1, 200):
        bank.step(number)
        assert 0 <= bank.room() <= bank.have()
        bank.refresh()
        assert bank.room() == bank.have()
    assert bank.billed or bank.groups
