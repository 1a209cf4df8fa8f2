"""Corrections of lines, and what vouchers get back: never more than they paid, and what stays is what the line would have been paid."""

from dataclasses import replace

import pytest

from months import random_month
from suanli.api.voucher import Flow
from suanli.billing.clawback import Back, Correction, Paid, clawbacks, corrections
from suanli.billing.line import RatedLine
from suanli.billing.vouchers import share

ANY = random_month(2, jobs=1).lines[0]


def a_line(id_: str, net: int, item: str = "a100") -> RatedLine:
    return replace(ANY, id=id_, net_micro_yuan=net, item=item)


def test_a_correction_takes_from_what_is_about_the_same_and_was_billed_before_the_last_first() -> None:
    lines = [
        a_line("a", 100),
        a_line("b", 50),
        a_line("other", 9, "cores"),
        a_line("c1", -60),
        a_line("d", 30),
        a_line("c2", -95),
    ]
    assert corrections(lines, {}) == [
        Correction("c1", "b", 50),
        Correction("c1", "a", 10),
        Correction("c2", "d", 30),
        Correction("c2", "a", 65),
    ]  # fmt: skip


def test_a_dispute_takes_from_its_line_alone_and_no_more_than_is_left() -> None:
    lines = [a_line("a", 100), a_line("b", 50), a_line("award", -70), a_line("c", -200)]
    found = corrections(lines, {"award": "a"})
    assert found == [Correction("award", "a", 70), Correction("c", "b", 50), Correction("c", "a", 30)]


@pytest.mark.parametrize(
    ("flow", "net", "others", "due"),
    [
        (Flow.DEDUCT_AT_CHECKOUT, 1_001, 0, 600),
        (Flow.DEDUCT_AT_CHECKOUT, 1_001, 500, 501),
        (Flow.REIMBURSE_USER, 1_001, 500, 300),
        (Flow.REIMBURSE_USER, 400, 500, 0),
        (Flow.DEDUCT_AT_CHECKOUT, -5, 0, 0),
    ],
)
def test_a_voucher_pays_its_rate_and_all_together_no_more_than_the_line(
    flow: Flow, net: int, others: int, due: int
) -> None:
    assert share(flow, net, others, 600) == due


def test_what_a_voucher_was_too_small_to_pay_is_not_taken_back() -> None:
    paid = [Paid("v1", "a", Flow.DEDUCT_AT_CHECKOUT, 500, 30)]  # half of 100 would have been 50
    assert clawbacks([Correction("c", "a", 40)], {"a": 100}, paid) == []
    assert clawbacks([Correction("c", "a", 40), Correction("d", "a", 10)], {"a": 100}, paid) == [
        Back("v1", "d", "a", 5)
    ]


def test_of_several_vouchers_each_keeps_what_the_ones_before_it_leave() -> None:
    paid = [
        Paid("v1", "a", Flow.DEDUCT_AT_CHECKOUT, 800, 80),
        Paid("v2", "b", Flow.DEDUCT_AT_CHECKOUT, 800, 8),
        Paid("v3", "a", Flow.REIMBURSE_USER, 500, 10),
    ]
    assert clawbacks([Correction("c", "a", 50)], {"a": 100, "b": 10}, paid) == [
        Back("v1", "c", "a", 40),
        Back("v3", "c", "a", 5),
    ]
    assert sum(back.amount_micro_yuan for back in clawbacks([Correction("c", "a", 100)], {"a": 100}, paid)) == 90
