"""Lines and vouchers as transfers: who gets what, exactly once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from months import NOVEMBER, WUHU, a_program
from suanli.billing.book import Book
from suanli.billing.event import UsageKind
from suanli.billing.ledger import Outcome, TransferKind
from suanli.billing.line import RatedLine
from suanli.billing.posting import (
    Shares,
    accounts,
    awarded,
    cap_account,
    cash_account,
    consumer,
    grant_hold,
    half_even,
    paid_out,
    part,
    payment,
    pool_account,
    post,
    redeemed,
    shares,
    voucher_accounts,
    whole,
)
from suanli.billing.vouchers import Claim, Granted, Holding, Part

NOW_MS = NOVEMBER.end_ms


def a_line(net: int = 1_060_000, id_: str = "0" * 32, **more: Any) -> RatedLine:
    line = RatedLine(
        id=id_, period="2026-11", account="lab", namespace="n", job="j", job_uid="u", site="wuhu-dc1", provider=WUHU, tariff="t",
        item="i", band="", bracket=0, qos="Normal", customer_class="", kind=UsageKind.CARD_TIME, class_="a100", precision="FP16",
        quantity=1, price_micro_yuan=1, list_micro_yuan=net, discount_micro_yuan=0, net_micro_yuan=net, commission_permille=50,
        tax_permille=60, events=1,
    )  # fmt: skip
    return replace(line, **more)


def a_book(*lines: RatedLine) -> Book:
    book = Book()
    for line in lines:
        for account in accounts(line):
            book.open(account)
    return book


def balances(book: Book) -> dict[str, int]:
    return {name: standing.balance.posted_micro_yuan for name, standing in book.standings.items()}


def test_tax_is_in_the_price_and_commission_of_what_is_left() -> None:
    assert shares(a_line()) == Shares(tax=60_000, commission=50_000, provider=950_000)
    assert shares(a_line(-1_060_000)) == Shares(tax=-60_000, commission=-50_000, provider=-950_000)
    assert shares(a_line(tax_permille=0, commission_permille=0)) == Shares(0, 0, 1_060_000)


@settings(derandomize=True, deadline=None)
@given(net=st.integers(-(10**15), 10**15), tax=st.integers(0, 1_000), commission=st.integers(0, 1_000))
def test_shares_add_up_and_have_one_sign(net: int, tax: int, commission: int) -> None:
    found = shares(a_line(net, tax_permille=tax, commission_permille=commission))
    each = (found.tax, found.commission, found.provider)
    assert sum(each) == net
    assert all(amount * net >= 0 for amount in each)
    assert shares(a_line(-net, tax_permille=tax, commission_permille=commission)) == Shares(*(-a for a in each))


@pytest.mark.parametrize(("numerator", "rounded"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4), (0, 0)])
def test_a_half_goes_to_the_even_one(numerator: int, rounded: int) -> None:
    assert half_even(numerator, 2) == rounded


def test_posting_a_line_twice_changes_nothing_and_otherwise_is_refused() -> None:
    line = a_line()
    book = a_book(line)
    assert set(book.commit(post(line, NOW_MS))) == {Outcome.CREATED}
    assert balances(book) == {
        "consumer:lab": -1_060_000,
        "tax:payable": 60_000,
        "operator:commission": 50_000,
        f"provider:{WUHU}": 950_000,
    }
    before = balances(book)
    assert set(book.commit(post(line, NOW_MS))) == {Outcome.EXISTS}
    assert Outcome.EXISTS_DIFFERENTLY in book.commit(post(a_line(2_000_000), NOW_MS))
    assert balances(book) == before


def test_a_line_that_costs_nothing_moves_nothing() -> None:
    assert post(a_line(0), NOW_MS) == []


def test_an_award_gives_back_exactly_its_amount_in_a_later_period() -> None:
    line = a_line()
    award = awarded(line, "2026-12", "d-1", 1_060_000)
    assert (award.period, award.adjusts, award.net_micro_yuan) == ("2026-12", "2026-11", -1_060_000)
    assert len({line.id, award.id, awarded(line, "2026-12", "d-2", 1).id}) == 3
    book = a_book(line)
    book.commit([*post(line, NOW_MS), *post(award, NOW_MS + 1)])
    assert set(balances(book).values()) == {0}


def test_a_transfer_is_the_network_operators() -> None:
    line = a_line(kind=UsageKind.TRANSFER)
    assert {t.credit for t in post(line, NOW_MS)} == {"tax:payable", "operator:commission", f"network:{WUHU}"}


@settings(derandomize=True, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_name_is_a_part_of_an_accounts_and_comes_back(name: str) -> None:
    assert ":" not in part(name)
    assert not any(c.isspace() for c in part(name))
    assert whole(part(name)) == name


# --- vouchers


def granted(book: Book, program: Any, amount: int = 100, provider: str = "") -> tuple[Holding, Any, Outcome]:
    claim = Claim("v1", "lab", frozenset({"lab"}), "", "c", provider, 1_000, 1, NOW_MS)
    holding = Holding(claim, Granted(program.metadata.name, 2026, "all", 200, amount, NOW_MS + 1_000), amount)
    for account in voucher_accounts(program, holding, [WUHU]):
        book.open(account)
    hold = grant_hold(program, holding)
    (outcome,) = book.commit([hold])
    return holding, hold, outcome


def test_a_cut_bill_is_the_providers_receivable_and_the_rest_stays_held() -> None:
    program = a_program("city", capPerEntityYear="100", poolPerYear="150")
    line = a_line()
    book = a_book(line)
    holding, hold, outcome = granted(book, program)
    assert outcome is Outcome.CREATED
    moved = redeemed(program, holding, hold, "2026-11", [(Part(line.id, 200, 70), line)], NOW_MS + 1)
    assert set(book.commit(moved)) == {Outcome.CREATED}
    assert balances(book)[f"subsidy:city-bureau:{WUHU}"] == -70
    assert balances(book)["consumer:lab"] == 70
    rest = moved[-1]
    assert (rest.kind, rest.amount_micro_yuan, rest.expires_ms) == (TransferKind.HOLD, 30, NOW_MS + 1_000)
    pool = book.standings["voucher:city:2026"].balance
    assert (pool.posted_micro_yuan, pool.most_micro_yuan) == (70, 100)
    assert set(book.commit(moved)) == {Outcome.EXISTS}, "the same bill again"
    again = redeemed(program, holding, rest, "2026-12", [(Part(line.id, 200, 30), line)], NOW_MS + 2)
    assert len(again) == 2, "nothing is left to be held"
    assert set(book.commit(again)) == {Outcome.CREATED}


def test_the_ledger_refuses_who_races_past_the_cap_or_the_pool() -> None:
    book = Book()
    program = a_program("city", capPerEntityYear="100", poolPerYear="150")
    assert granted(book, program)[2] is Outcome.CREATED
    second = replace(granted(Book(), program)[1], id="voucher:v2:granted", amount_micro_yuan=1)
    assert book.commit([second]) == [Outcome.EXCEEDS_LIMIT]
    other = cap_account(program, "bureau", "", 2026)
    book.open(other)
    third = replace(second, id="voucher:v3:granted", debit=other.name, amount_micro_yuan=51)
    assert book.commit([third]) == [Outcome.EXCEEDS_LIMIT], "of the pool"
    assert book.commit([replace(third, amount_micro_yuan=50)]) == [Outcome.CREATED]


def test_what_expires_is_free_again() -> None:
    book = Book()
    program = a_program("city", capPerEntityYear="100")
    _, hold, _ = granted(book, program)
    late = replace(hold, id="voucher:v9:granted", time_ms=NOW_MS + 2_000, expires_ms=NOW_MS + 9_000)
    assert book.commit([late]) == [Outcome.CREATED]


def test_rent_is_paid_to_the_user_and_a_deployment_to_the_provider() -> None:
    terms = [{"name": "all", "rewardPerUnit": "1"}]
    built = a_program("built", kind="Deployment", flow="ReimburseUser", terms=terms)
    rent = a_program("rent", kind="Rent", flow="ReimburseUser")
    for program, payee in ((built, f"provider:{WUHU}"), (rent, "consumer:lab")):
        book = Book()
        holding, hold, _ = granted(book, program, provider=WUHU)
        assert set(book.commit(paid_out(program, holding, hold, "b", 100, NOW_MS + 1))) == {Outcome.CREATED}
        assert balances(book)[payee] == 100
        assert balances(book)[f"subsidy:{program.spec.issuer}"] == -100


def test_a_programme_without_limits_opens_accounts_without_limits() -> None:
    program = a_program("free")
    assert pool_account(program, 2026).max_micro_yuan is None
    assert cap_account(program, "lab", "", 2026).min_micro_yuan is None


def test_a_payment_settles_what_is_owed() -> None:
    line = a_line()
    book = a_book(line)
    book.open(cash_account(consumer("lab")))
    book.open(cash_account(f"provider:{WUHU}"))
    book.commit([*post(line, NOW_MS), payment(consumer("lab"), 1_060_000, "p1", NOW_MS)])
    book.commit([payment(f"provider:{WUHU}", -950_000, "p2", NOW_MS)])
    assert balances(book)["consumer:lab"] == balances(book)[f"provider:{WUHU}"] == 0
    assert balances(book)["cash:consumer:lab"] == -1_060_000
