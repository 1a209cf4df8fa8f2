"""What limits leave for a plan: as the ledger would hold it job by job, and what a status tells of accounts."""

from random import Random
from typing import Any

import pytest

from builders import an_object
from suanli.api.account import ComputeAccount
from suanli.billing.book import Book
from suanli.billing.funds import Funds, Spent, funds_of, spent_of
from suanli.billing.holds import Held, Terms
from suanli.billing.ledger import Outcome
from suanli.billing.limits import limits_of
from suanli.billing.period import calendar

ZONE = "Asia/Shanghai"
NOW_MS = 1_795_000_000_000
MONTH = calendar(NOW_MS, 1, ZONE).name


def an_account(name: str, **spec: Any) -> ComputeAccount:
    return ComputeAccount.model_validate(an_object("ComputeAccount", name, spec))


def monthly(amount: int) -> dict[str, Any]:
    return {"budget": {"amount": str(amount), "period": "Month"}}


@pytest.mark.parametrize("seed", range(20))
def test_those_are_refused_that_the_ledger_would_refuse(seed: int) -> None:
    """Jobs of two labs under one city, one after the other: the same are taken as holds of the ledger's."""
    dice = Random(seed)
    city, east, west = (
        an_account("city", **monthly(dice.randint(50, 300))),
        an_account("east", parent="city", marginPermille=dice.choice([0, 100, 333]), **monthly(dice.randint(20, 200))),
        an_account("west", parent="city", payment="Prepaid"),
    )
    lineages = {"city": [city], "east": [east, city], "west": [west, city]}
    paid = dice.randint(20, 200)
    funds = funds_of(lineages, {"city": Spent(), "east": Spent(), "west": Spent(balance=paid)}, (), NOW_MS, ZONE)
    assert funds is not None
    asked = [(str(n), dice.choice(["east", "west", "city", "other"]), dice.randint(1, 40)) for n in range(30)]
    book, refused = Book(), set()
    for uid, name, cost in asked:
        limits = limits_of(lineages.get(name, []), NOW_MS, ZONE)
        for limit in limits:
            for account in limit.opened(paid):
                book.open(account)
        need = Terms(cost, 1).need(lineages[name][0].spec.margin_permille if name in lineages else 0)
        ways = tuple((limit.debit, limit.credit) for limit in limits)
        if Outcome.EXCEEDS_LIMIT in book.commit(Held(uid, 1, 1, need, ways, Terms(cost, 1)).holds(1)):
            refused.add(uid)
    assert set(funds.refused(asked)) == refused


def test_a_shortage_is_just_what_is_missing() -> None:
    """With so much more the job is taken, with one micro-yuan less it is not."""
    lab = an_account("lab", marginPermille=0, **monthly(100))
    funds = funds_of({"lab": [lab]}, {"lab": Spent(spent=30, held=20, period=MONTH)}, (), NOW_MS, ZONE)
    assert isinstance(funds, Funds)
    ahead, job = ("first", "lab", 40), ("job", "lab", 25)
    (short,) = funds.shortages("lab", 25, [ahead])
    assert (short.account, short.field, short.now, short.short) == ("lab", "budget.amount", 100, 15)
    assert funds.raised(short.limit, short.short).refused([ahead, job]) == {}
    assert list(funds.raised(short.limit, short.short - 1).refused([ahead, job])) == ["job"]


def test_money_of_jobs_that_are_gone_is_free_again_and_of_another_period_not_spent() -> None:
    lab = an_account("lab", marginPermille=100, **monthly(100))
    for period, freed, room in ((MONTH, [], 20), (MONTH, [("gone", "lab", 40)], 64), ("2020-01", [], 50)):
        funds = funds_of({"lab": [lab]}, {"lab": Spent(spent=30, held=50, period=period)}, freed, NOW_MS, ZONE)
        assert funds is not None
        assert [standing.room for standing in funds.standings.values()] == [room]


def test_accounts_of_which_nothing_is_known_limit_nobody() -> None:
    lab, shop = an_account("lab", **monthly(1)), an_account("shop", payment="Prepaid")
    assert funds_of({"lab": [lab], "shop": [shop]}, {"shop": Spent()}, (), NOW_MS, ZONE) is None


@pytest.mark.parametrize("balance", ["", "1.5", "9" * 25, 7, None])
def test_a_status_without_amounts_tells_nothing(balance: object) -> None:
    assert spent_of("lab", {"balance": balance, "held": "0", "spent": "0"}) == {}
    assert spent_of("lab", {"balance": "-5", "held": "1", "spent": "2", "period": MONTH}) == {
        "lab": Spent(-5, 1, 2, MONTH)
    }
