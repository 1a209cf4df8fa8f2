"""What a programme grants and pays: each rule that says no, with its number, and the amounts."""

from dataclasses import replace
from typing import Any

import pytest

from months import GUIAN, SCOPE, WUHU, a_program
from suanli.api.voucher import VoucherProgram
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.billing.event import UsageKind
from suanli.billing.line import RatedLine
from suanli.billing.vouchers import (
    RULES,
    Claim,
    Given,
    Granted,
    Holding,
    Redemption,
    Rejected,
    cap_micro_yuan,
    grant,
    payout,
    redeem,
    year,
)

NOW_MS = parse_time_ms("2026-06-01T12:00:00+08:00")
CNY = 1_000_000


def a_claim(**more: Any) -> Claim:
    claim = Claim("v", "lab", frozenset({"lab", "university"}), "lab", "c-1", WUHU, 1_000 * CNY, 90, NOW_MS)
    return replace(claim, **more)


def a_line(id_: str = "l1", **more: Any) -> RatedLine:
    line = RatedLine(
        id=id_, period="2026-06", account="lab", namespace="team-a", job="train", job_uid="u", site="guian-dc1", provider=GUIAN,
        tariff="t", item="ascend", band="", bracket=0, qos="Normal", customer_class="", kind=UsageKind.CARD_TIME,
        class_="ascend", precision="FP16", quantity=1, price_micro_yuan=1, list_micro_yuan=100 * CNY, discount_micro_yuan=0,
        net_micro_yuan=100 * CNY, commission_permille=50, tax_permille=60, events=1,
    )  # fmt: skip
    return replace(line, **more)


STRICT: dict[str, Any] = {
    "flow": "DeductAtCheckout",
    "terms": [{"name": "labs", "applicantClasses": ["lab", "start-up"], "ratePermille": 200}],
    "from": "2026-01-01",
    "until": "2026-12-31",
    "capPerEntityYear": str(500 * CNY),
    "poolPerYear": str(900 * CNY),
    "minAmount": str(50 * CNY),
    "maxContractDays": 366,
}

# What is wrong, and a word of the answer with its number.
NO: dict[Reason, tuple[Claim, Given, str]] = {
    Reason.NOT_IN_FORCE: (
        a_claim(time_ms=parse_time_ms("2026-12-31T00:00:00+08:00")), Given(), "2026-12-30T16:00:00Z, grants are from 2026-01-01",
    ),
    Reason.APPLICANT_NOT_ELIGIBLE: (a_claim(applicant_class="bank"), Given(), '"bank" has no term; there are terms for lab, start-up'),
    Reason.RELATED_PARTIES: (a_claim(provider="university"), Given(), '"university" and applicant "lab" belong together'),
    Reason.CONTRACT_TOO_LONG: (a_claim(contract_days=367), Given(), "367 days, maxContractDays is 366"),
    Reason.CLAIMED_ALREADY: (a_claim(), Given(programs_of_contract=("city",)), "c-1 has 1 voucher of this programme"),
    Reason.STACKING_FORBIDDEN: (a_claim(), Given(programs_of_contract=("state",)), "vouchers of state"),
    Reason.BELOW_MINIMUM: (a_claim(amount_micro_yuan=249 * CNY), Given(), "49.80 CNY, minAmount is 50.00"),
    Reason.CAP_EXHAUSTED: (a_claim(), Given(entity_micro_yuan=451 * CNY), "451.00 CNY of 500.00 (capPerEntityYear) of 2026, 49.00"),
    Reason.POOL_EXHAUSTED: (a_claim(), Given(pool_micro_yuan=900 * CNY), "900.00 CNY of 900.00 (poolPerYear) of 2026 are granted, 0.00"),
}  # fmt: skip


def test_every_rule_of_a_grant_has_a_case() -> None:
    assert [reason for reason, _ in RULES] == list(NO)


@pytest.mark.parametrize("reason", NO)
def test_a_claim_is_rejected_by_the_rule_with_its_number(reason: Reason) -> None:
    claim, given, says = NO[reason]
    found = grant(a_program("city", **STRICT), claim, given)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    assert says in found.message


def test_the_same_claim_without_the_mistake_is_granted() -> None:
    found = grant(a_program("city", **STRICT), a_claim(), Given())
    assert found == Granted("city", 2026, "labs", 200, 200 * CNY, NOW_MS + 365 * 86_400_000)


@pytest.mark.parametrize(
    ("given", "amount", "cut_by"),
    [
        (Given(entity_micro_yuan=301 * CNY), 199 * CNY, "capPerEntityYear"),
        (Given(pool_micro_yuan=701 * CNY), 199 * CNY, "poolPerYear"),
        (Given(entity_micro_yuan=300 * CNY), 200 * CNY, ""),
    ],
)
def test_what_is_left_of_cap_and_pool_cuts_a_grant(given: Given, amount: int, cut_by: str) -> None:
    found = grant(a_program("city", **STRICT), a_claim(), given)
    assert isinstance(found, Granted)
    assert (found.amount_micro_yuan, found.cut_by) == (amount, cut_by)


def test_a_rate_is_at_most_and_never_rounded_up() -> None:
    found = grant(a_program("city", **{**STRICT, "minAmount": "1"}), a_claim(amount_micro_yuan=9_999), Given())
    assert isinstance(found, Granted)
    assert found.amount_micro_yuan == 1_999


def test_the_calendar_year_is_the_programmes_own() -> None:
    program = a_program("city")
    assert year(program, parse_time_ms("2026-12-31T15:59:59Z")) == 2026
    assert year(program, parse_time_ms("2026-12-31T16:00:00Z")) == 2027


def test_of_several_terms_the_best_one_counts_and_the_highest_cap() -> None:
    terms = [
        {"name": "any", "ratePermille": 500, "capPerEntityYear": "10"},
        {"name": "start-ups", "applicantClasses": ["start-up"], "ratePermille": 600, "capPerEntityYear": "30"},
    ]
    program = a_program("shenzhen", terms=terms)
    assert cap_micro_yuan(program, "start-up") == 30
    assert cap_micro_yuan(program, "bank") == 10
    assert cap_micro_yuan(a_program("free"), "") is None
    found = grant(program, a_claim(applicant_class="start-up", amount_micro_yuan=40), Given())
    assert isinstance(found, Granted)
    assert (found.term, found.amount_micro_yuan) == ("start-ups", 24)


def test_a_deployment_is_rewarded_by_the_unit() -> None:
    terms = [{"name": "all", "rewardPerUnit": str(3 * CNY)}]
    program = a_program("built", kind="Deployment", flow="ReimburseUser", terms=terms, capPerEntityYear=str(10 * CNY))
    found = grant(program, a_claim(units=3), Given())
    assert isinstance(found, Granted)
    assert found.amount_micro_yuan == 9 * CNY
    assert isinstance(cut := grant(program, a_claim(units=4), Given()), Granted)
    assert (cut.amount_micro_yuan, cut.cut_by) == (10 * CNY, "capPerEntityYear")


def a_holding(program: VoucherProgram, amount: int = 50 * CNY, **claim: Any) -> Holding:
    made = a_claim(provider="", **claim)
    return Holding(made, Granted(program.metadata.name, 2026, "all", 200, amount, NOW_MS + 1_000), amount)


def test_a_bill_is_cut_line_by_line_until_the_voucher_is_used_up() -> None:
    program = a_program("city")
    lines = [a_line(), a_line("l2", net_micro_yuan=99), a_line("l3", net_micro_yuan=200 * CNY), a_line("l4")]
    found = redeem(program, a_holding(program), lines, SCOPE, now_ms=NOW_MS)
    assert isinstance(found, Redemption)
    assert [(p.line, p.amount_micro_yuan) for p in found.parts] == [("l1", 20 * CNY), ("l2", 19), ("l3", 30 * CNY - 19)]
    assert [(line, why.reason) for line, why in found.passed_over] == [("l4", Reason.VOUCHER_USED_UP)]
    assert found.amount_micro_yuan == 50 * CNY


def test_the_chip_decides_the_rate() -> None:
    terms = [{"name": "any", "ratePermille": 200}, {"name": "domestic", "chips": ["ascend"], "ratePermille": 300}]
    program = a_program("hangzhou", terms=terms)
    lines = [a_line(), a_line("l2", site="wuhu-dc1", class_="a100")]
    found = redeem(program, a_holding(program, 99 * CNY), lines, SCOPE, now_ms=NOW_MS)
    assert isinstance(found, Redemption)
    assert [part.rate_permille for part in found.parts] == [300, 200]


WEST: dict[str, Any] = {
    "eligible": {"sides": ["West"], "sites": ["guian-dc1"], "classes": ["ascend"], "chips": ["ascend"]}
}


@pytest.mark.parametrize(
    ("line", "claim", "reason", "says"),
    [
        ({"account": "bureau"}, {}, Reason.NOT_TRANSFERABLE, 'account "bureau", the voucher of "lab"'),
        ({"kind": UsageKind.STORAGE_TIME}, {}, Reason.OUT_OF_SCOPE, 'kind "storage-time"'),
        ({"kind": UsageKind.TRANSFER}, {}, Reason.OUT_OF_SCOPE, 'kind "transfer"'),
        ({"site": "wuhu-dc1"}, {}, Reason.OUT_OF_SCOPE, 'side "East" is not of West'),
        ({"site": "nowhere"}, {}, Reason.OUT_OF_SCOPE, 'side "none"'),
        ({"class_": "cpu"}, {}, Reason.OUT_OF_SCOPE, 'class "cpu" is not of ascend'),
        ({}, {"contract": "team-b/train"}, Reason.OUT_OF_SCOPE, 'job "team-a/train" is not of team-b/train'),
    ],
)
def test_a_line_that_is_not_paid_for_is_passed_over_with_the_rule(
    line: dict[str, Any], claim: dict[str, Any], reason: Reason, says: str
) -> None:
    program = a_program("city", **WEST)
    holding = a_holding(program, **claim)
    found = redeem(program, holding, [a_line(**line)], SCOPE, now_ms=NOW_MS)
    assert isinstance(found, Redemption)
    ((_, why),) = found.passed_over
    assert (found.parts, why.reason) == ((), reason)
    assert says in why.message


def test_a_line_that_another_programme_pays_for_is_not_paid_twice() -> None:
    program, lines = a_program("city"), [a_line()]
    found = redeem(program, a_holding(program), lines, SCOPE, now_ms=NOW_MS, subsidised={"l1": "state"})
    assert isinstance(found, Redemption)
    assert [why.reason for _, why in found.passed_over] == [Reason.STACKING_FORBIDDEN]
    allowed = a_program("city", stacking="Allowed")
    found = redeem(allowed, a_holding(allowed), lines, SCOPE, now_ms=NOW_MS, subsidised={"l1": "state"})
    assert isinstance(found, Redemption)
    assert found.amount_micro_yuan == 20 * CNY


def test_an_expired_or_empty_voucher_pays_nothing() -> None:
    program = a_program("city")
    late = redeem(program, a_holding(program), [a_line()], SCOPE, now_ms=NOW_MS + 1_000)
    assert isinstance(late, Rejected)
    assert (late.reason, late.message) == (Reason.VOUCHER_EXPIRED, "expired at 2026-06-01T04:00:01Z")
    empty = redeem(program, replace(a_holding(program), remaining_micro_yuan=0), [a_line()], SCOPE, now_ms=NOW_MS)
    assert isinstance(empty, Rejected)
    assert empty.reason is Reason.VOUCHER_USED_UP


def test_who_is_paid_back_has_paid_in_full() -> None:
    program = a_program("beijing", flow="ReimburseUser")
    short = redeem(program, a_holding(program), [a_line()], SCOPE, now_ms=NOW_MS, paid_micro_yuan=100 * CNY - 1)
    assert isinstance(short, Rejected)
    assert short.reason is Reason.NOT_PAID
    assert "of 100.00 were paid" in short.message
    paid = redeem(program, a_holding(program), [a_line()], SCOPE, now_ms=NOW_MS, paid_micro_yuan=100 * CNY)
    assert isinstance(paid, Redemption)
    assert paid.amount_micro_yuan == 20 * CNY


def test_rent_is_paid_back_when_it_was_paid_and_a_deployment_as_granted() -> None:
    rent = a_program("rent", kind="Rent", flow="ReimburseUser", terms=[{"name": "all", "ratePermille": 100}])
    holding = a_holding(rent)
    short = payout(rent, holding, now_ms=NOW_MS, paid_micro_yuan=1)
    assert isinstance(short, Rejected)
    assert short.reason is Reason.NOT_PAID
    assert payout(rent, holding, now_ms=NOW_MS, paid_micro_yuan=1_000 * CNY) == 50 * CNY
    terms = [{"name": "all", "rewardPerUnit": "1"}]
    built = a_program("built", kind="Deployment", flow="ReimburseUser", terms=terms)
    assert payout(built, a_holding(built), now_ms=NOW_MS, paid_micro_yuan=0) == 50 * CNY


def test_a_correction_below_zero_takes_nothing_from_a_voucher() -> None:
    program = a_program("city")
    found = redeem(program, a_holding(program), [a_line(net_micro_yuan=-5 * CNY)], SCOPE, now_ms=NOW_MS)
    assert isinstance(found, Redemption)
    assert found.parts == ()
