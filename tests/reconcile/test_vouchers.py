"""Vouchers in the books: granted once, held for in the ledger, redeemed by bills, whoever dies meanwhile; and audited."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.__main__ import audit
from months import a_program, packed
from shop import CARD_HOUR, FACTS, YUAN, Shop, a_claim
from suanli.api.statement import Role
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.ledger import LedgerAccount
from suanli.billing.period import month
from suanli.billing.statements import unbalanced
from suanli.billing.vouchers import Granted, Rejected
from suanli.reconcile.books import Books
from suanli.reconcile.vouchers import kept_of

ZONE = "Asia/Shanghai"
MARCH, APRIL, MAY = (month(f"2026-0{n}", ZONE) for n in (3, 4, 5))
OWED = 10 * 4 * CARD_HOUR * 80 // 100  # what the lab owes for ten hours of March
DAY_MS = 24 * 3_600_000
PROGRAM = a_program("hangzhou")
Found = Granted | Rejected


def granted(found: Found) -> int:
    assert isinstance(found, Granted), found
    return found.amount_micro_yuan


def held(shop: Shop, program: str = "hangzhou") -> int:
    return shop.ledger.balance(f"voucher:{program}:2026").held_credits_micro_yuan


def test_a_claim_is_granted_once_and_held_for(shop: Shop) -> None:
    assert granted(shop.books.grant(PROGRAM, a_claim())) == 40 * YUAN
    root = shop.ledger.root()
    other = a_program("hangzhou", terms=[{"name": "all", "ratePermille": 999}])
    assert granted(shop.books.grant(other, a_claim(amount_micro_yuan=1))) == 40 * YUAN
    assert granted(Books(shop.usage, shop.store, shop.ledger, "hub").grant(PROGRAM, a_claim())) == 40 * YUAN
    assert (shop.ledger.root(), held(shop)) == (root, 40 * YUAN)


@pytest.mark.parametrize(
    ("spec", "second", "reason"),
    [
        ({"poolPerYear": "40000000"}, {"entity": "bureau"}, Reason.POOL_EXHAUSTED),
        ({"capPerEntityYear": "40000000"}, {}, Reason.CAP_EXHAUSTED),
        ({}, {"contract": "c-v1"}, Reason.CLAIMED_ALREADY),
        ({"maxContractDays": 30}, {"contract_days": 31}, Reason.CONTRACT_TOO_LONG),
    ],
)
def test_what_is_rejected_stays_rejected(
    shop: Shop, spec: dict[str, Any], second: dict[str, Any], reason: Reason
) -> None:
    program = a_program("hangzhou", **spec)
    granted(shop.books.grant(program, a_claim()))
    claim = a_claim("v2", **second)
    found = shop.books.grant(program, claim)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    generous = a_program("hangzhou", repeatedClaims="Allowed")
    assert shop.books.grant(generous, claim) == found
    refusal = shop.books.standings()["v2"].refusal
    assert refusal is not None
    assert (refusal.why, refusal.program, refusal.year) == (found, "hangzhou", 2026)
    assert held(shop) == 40 * YUAN


def test_a_claim_of_which_no_account_can_be_kept_is_rejected_and_stops_no_other(shop: Shop) -> None:
    terms = [{"name": "all", "rewardPerUnit": "5"}]
    program = a_program("built", kind="Deployment", flow="ReimburseUser", terms=terms)
    found = shop.books.grant(program, a_claim(provider="算" * 250, units=1))
    assert isinstance(found, Rejected)
    assert found.reason is Reason.INVALID_SPEC
    assert granted(shop.books.grant(program, a_claim("v2", provider="算力", units=3))) == 15
    assert set(shop.books.standings()) == {"v1", "v2"}


def test_what_the_ledger_has_of_other_books_is_rejected_and_stops_no_other(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    lost = Shop(tmp_path / "lost")
    Books(lost.usage, lost.store, shop.ledger, "hub").grant(PROGRAM, a_claim())
    found = shop.books.grant(PROGRAM, a_claim(amount_micro_yuan=YUAN))
    assert isinstance(found, Rejected)
    assert found.reason is Reason.BOOKS_REFUSED
    granted(shop.books.grant(PROGRAM, a_claim("v2")))
    assert held(shop) == 80 * YUAN


def test_a_contract_of_somebody_else_is_another_one(shop: Shop) -> None:
    granted(shop.books.grant(PROGRAM, a_claim()))
    theirs = a_claim("v2", entity="bureau", family=frozenset({"bureau"}), contract="c-v1")
    granted(shop.books.grant(PROGRAM, theirs))
    part_of_it = a_claim("v3", entity="lab-east", family=frozenset({"lab", "lab-east"}), contract="c-v1")
    found = shop.books.grant(PROGRAM, part_of_it)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.CLAIMED_ALREADY


@pytest.mark.parametrize("step", ["open", "commit"])
def test_whoever_dies_before_the_hold_is_followed_by_one_who_holds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shop.ledger, step, die)
        with pytest.raises(KeyboardInterrupt):
            shop.books.grant(PROGRAM, a_claim())
    assert held(shop) == 0
    next_one = Books(shop.usage, shop.store, shop.ledger, "hub")
    assert next_one.standings()["v1"].decision is not None
    assert held(shop) == 40 * YUAN


def test_a_hold_that_others_left_no_room_for_is_a_rejection_with_its_number(shop: Shop, tmp_path: Path) -> None:
    program = a_program("hangzhou", poolPerYear=str(60 * YUAN))
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.grant(program, a_claim())
    shop.ledger.left = 1 << 30
    (tmp_path / "other").mkdir()
    other = Shop(tmp_path / "other")  # an operator with books of its own on the same ledger
    faster = Books(other.usage, other.store, shop.ledger, "hub")
    granted(faster.grant(program, a_claim("v9", entity="bureau")))
    found = Books(shop.usage, shop.store, shop.ledger, "hub").grant(program, a_claim())
    assert isinstance(found, Rejected)
    assert found.reason is Reason.POOL_EXHAUSTED
    assert "40.00 CNY of 60.00 (poolPerYear) of 2026 are granted; 40.00 more exceed it" in found.message
    assert held(shop) == 40 * YUAN
    assert shop.books.standings()["v1"].decision is None


def test_vouchers_pay_of_a_bill_the_one_that_expires_first_first(shop: Shop, tmp_path: Path) -> None:
    late = a_program("late", validDays=365, terms=[{"name": "all", "ratePermille": 500}], stacking="Allowed")
    soon = a_program("soon", validDays=90, terms=[{"name": "all", "ratePermille": 300}], stacking="Allowed")
    shop.books.grant(late, a_claim("v1"))
    shop.books.grant(soon, a_claim("v2", amount_micro_yuan=100 * YUAN))
    shop.books.grant(PROGRAM, a_claim("v3", entity="bureau", family=frozenset({"bureau"})))
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    found = shop.books.standings()
    assert found["v2"].redeemed_micro_yuan == 30 * YUAN
    assert found["v1"].redeemed_micro_yuan == OWED // 2
    assert (found["v3"].redeemed_micro_yuan, found["v3"].bills) == (0, ())
    assert shop.owes("consumer:lab") == OWED - 30 * YUAN - OWED // 2
    assert shop.owes("subsidy:soon-bureau:East%20Compute") == 30 * YUAN
    dossier = shop.books.dossier("2026-03")
    assert [each.voucher for each in dossier.redeemed] == ["v2", "v1"]
    assert unbalanced(dossier.bills) == []
    roles = {(bill.party.role, bill.party.name): bill.net_micro_yuan for bill in dossier.bills}
    assert roles[Role.ISSUER, "soon-bureau"] == -30 * YUAN
    findings, counts = audit(packed(dossier, tmp_path / "package"))
    assert ([str(finding) for finding in findings], counts["redemptions"]) == ([], 2)
    root = shop.ledger.root()
    shop.books.close(MARCH, FACTS, MARCH.end_ms + 9)
    assert shop.ledger.root() == root


def test_what_is_left_pays_of_the_next_bill_until_it_expires(shop: Shop, tmp_path: Path) -> None:
    program = a_program("hangzhou", validDays=62, terms=[{"name": "all", "ratePermille": 200}])
    shop.books.grant(program, a_claim(amount_micro_yuan=10_000 * YUAN))
    for number, period in enumerate((MARCH, APRIL, MAY)):
        shop.ran(f"p{number}", period.start_ms, 10)
        shop.books.close(period, FACTS, period.end_ms)
        findings, _ = audit(packed(shop.books.dossier(period.name), tmp_path / period.name))
        assert [str(finding) for finding in findings] == []
    standing = shop.books.standings()["v1"]
    assert (standing.bills, standing.redeemed_micro_yuan) == (("2026-03", "2026-04"), 2 * (OWED // 5))
    pool = shop.ledger.balance("voucher:hangzhou:2026")
    assert pool.credits_micro_yuan == 2 * (OWED // 5)


def test_a_programme_that_is_changed_leaves_vouchers_as_they_were_granted(shop: Shop, tmp_path: Path) -> None:
    terms = [{"name": "all", "ratePermille": 200}]
    large = a_program("hangzhou", poolPerYear=str(50 * YUAN), terms=terms)
    small = a_program("hangzhou", poolPerYear=str(10 * YUAN), terms=terms)
    larger = a_program("hangzhou", poolPerYear=str(55 * YUAN), terms=terms)
    granted(shop.books.grant(large, a_claim("v1")))
    assert isinstance(shop.books.grant(small, a_claim("v2")), Rejected)
    cut = shop.books.grant(larger, a_claim("v3"))
    assert (granted(cut), cut.cut_by if isinstance(cut, Granted) else "") == (15 * YUAN, "poolPerYear")
    shop.ledger.open([LedgerAccount("voucher:hangzhou:2026", None, 10 * YUAN)])  # less than is granted
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    standing = shop.books.standings()
    assert [standing[v].redeemed_micro_yuan for v in ("v1", "v3")] == [OWED // 5, 0]  # of one programme once a line
    dossier = shop.books.dossier("2026-03")
    assert [program.spec.pool_per_year for program in dossier.programs] == [str(50 * YUAN), str(55 * YUAN)]
    findings, _ = audit(packed(dossier, tmp_path / "package"))
    assert [str(finding) for finding in findings] == []


def test_whoever_dies_while_a_bill_is_posted_is_followed_by_one_who_posts_the_rest(shop: Shop, tmp_path: Path) -> None:
    shop.books.grant(PROGRAM, a_claim("v1"))
    shop.ran("p", MARCH.start_ms, 10)
    for commits in range(2):
        shop.ledger.left = commits
        with pytest.raises(KeyboardInterrupt):
            shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.ledger.left = 1 << 30
    assert shop.owes("subsidy:hangzhou-bureau:East%20Compute") == 0
    next_one = Books(shop.usage, shop.store, shop.ledger, "hub")
    next_one.close(MARCH, FACTS, MAY.end_ms)
    assert shop.owes("subsidy:hangzhou-bureau:East%20Compute") == OWED // 5
    findings, _ = audit(packed(next_one.dossier("2026-03"), tmp_path / "package"))
    assert [str(finding) for finding in findings] == []


def test_what_was_kept_before_a_crash_is_paid_though_the_voucher_expired_before_it_was_posted(
    shop: Shop, tmp_path: Path
) -> None:
    month_and_a_day = a_program("hangzhou", validDays=32)
    shop.books.grant(month_and_a_day, a_claim("v1"))
    shop.ran("p", MARCH.start_ms, 10)
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.ledger.left = 1 << 30
    shop.books.pay("consumer:lab", YUAN, "p-1", MARCH.end_ms + 2 * DAY_MS)  # the ledger's time passes the voucher's end
    assert held(shop) == 0
    for commits in range(3):  # and whoever comes next dies, too
        shop.ledger.left = commits
        with pytest.raises(KeyboardInterrupt):
            Books(shop.usage, shop.store, shop.ledger, "hub").close(MARCH, FACTS, MAY.start_ms)
    shop.ledger.left = 1 << 30
    for _ in range(2):
        next_one = Books(shop.usage, shop.store, shop.ledger, "hub")
        next_one.close(MARCH, FACTS, MAY.start_ms)
        next_one.post(next_one.closings()[0])
    assert shop.owes("consumer:lab") == OWED - OWED // 5 - YUAN
    assert shop.owes("subsidy:hangzhou-bureau:East%20Compute") == OWED // 5
    assert shop.ledger.balance("voucher:hangzhou:2026").posted_micro_yuan == OWED // 5
    for books in (next_one, Books(shop.usage, shop.store, shop.ledger, "hub")):
        standing = books.standings()["v1"]
        assert (standing.bills, standing.redeemed_micro_yuan, standing.late) == (("2026-03",), OWED // 5, ("2026-03",))
    dossier = next_one.dossier("2026-03")
    assert unbalanced(dossier.bills) == []
    findings, counts = audit(packed(dossier, tmp_path / "package"))
    assert ([str(finding) for finding in findings], counts["redemptions"]) == ([], 1)
    shop.ran("q", APRIL.start_ms, 10)
    next_one.close(APRIL, FACTS, APRIL.end_ms)
    assert next_one.standings()["v1"].bills == ("2026-03",)


def test_two_bills_of_an_expired_voucher_that_were_kept_are_both_paid(shop: Shop, tmp_path: Path) -> None:
    program = a_program("hangzhou", validDays=62)
    shop.books.grant(program, a_claim("v1", amount_micro_yuan=10_000 * YUAN))
    for number, period in enumerate((MARCH, APRIL)):
        shop.ran(f"p{number}", period.start_ms, 10)
        shop.books.fix(period, FACTS, period.end_ms)
    shop.books.pay("consumer:lab", YUAN, "p-1", MAY.end_ms)
    for closing in shop.books.closings():
        shop.books.post(closing)
    assert shop.owes("consumer:lab") == 2 * (OWED - OWED // 5) - YUAN
    assert shop.books.standings()["v1"].late == ("2026-03", "2026-04")
    for closing in shop.books.closings():
        findings, _ = audit(packed(shop.books.dossier(closing.period.name), tmp_path / closing.period.name))
        assert [str(finding) for finding in findings] == []


def test_a_rent_subsidy_that_was_kept_before_a_crash_is_paid_out_though_it_expired_since(shop: Shop) -> None:
    terms = [{"name": "all", "ratePermille": 100}]
    program = a_program("rent", kind="Rent", flow="ReimburseUser", terms=terms, validDays=1)
    shop.books.grant(program, a_claim("v1"))
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.pay_out("v1", 200 * YUAN, MARCH.start_ms + 1)
    shop.ledger.left = 1 << 30
    shop.books.pay("consumer:lab", YUAN, "p-1", APRIL.start_ms)
    assert shop.books.pay_out("v1", 200 * YUAN, APRIL.start_ms) == 20 * YUAN
    assert shop.owes("subsidy:rent-bureau") == 20 * YUAN
    assert shop.books.standings()["v1"].late == ("payout",)


def test_a_redemption_that_another_process_made_meanwhile_is_not_made_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.books.grant(PROGRAM, a_claim("v1"))
    shop.ran("p", MARCH.start_ms, 10)
    other = Books(shop.usage, shop.store, shop.ledger, "hub")
    found, known = shop.books._vouchers.on_bills(MARCH, shop.books.preview(MARCH, FACTS).rating.lines, FACTS.scope, 0)
    other.close(MARCH, FACTS, MARCH.end_ms)
    shop.ran("q", APRIL.start_ms, 10)
    with pytest.raises(SuanliError, match="another process redeemed"):
        shop.store.keep_payout(kept_of(replace(found[0], bill="2026-04")), known)
    assert shop.books.standings()["v1"].bills == ("2026-03",)


def test_a_rent_subsidy_is_paid_out_once_when_the_rent_was_paid(shop: Shop, tmp_path: Path) -> None:
    program = a_program("rent", kind="Rent", flow="ReimburseUser", terms=[{"name": "all", "ratePermille": 100}])
    shop.books.grant(program, a_claim("v1"))
    shop.ran("p", MARCH.start_ms, 10)
    at_ms = MARCH.start_ms + 1
    found = shop.books.pay_out("v1", 199 * YUAN, at_ms)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.NOT_PAID
    for _ in range(2):
        assert shop.books.pay_out("v1", 200 * YUAN, at_ms, "Li", "receipt 7") == 20 * YUAN
    assert shop.owes("subsidy:rent-bureau") == 20 * YUAN
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert shop.owes("consumer:lab") == OWED - 20 * YUAN
    dossier = shop.books.dossier("2026-03")
    assert unbalanced(dossier.bills) == []
    findings, counts = audit(packed(dossier, tmp_path / "package"))
    assert ([str(finding) for finding in findings], counts["redemptions"]) == ([], 1)
