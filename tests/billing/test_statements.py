"""Statements: all of a period add up to nothing, and every figure is what the ledger moved."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from months import CARRIERS, GUIAN, NOVEMBER, OCTOBER, ROADS, WUHU, random_month
from suanli.api.statement import Role
from suanli.billing.event import UsageKind
from suanli.billing.ledger import Transfer, TransferKind, chained
from suanli.billing.period import Period
from suanli.billing.statements import (
    COUNTERS,
    Bill,
    Party,
    What,
    bills,
    evidence,
    items,
    party_of,
    totals,
    unbalanced,
)

RICH = 2
TAKEN_BACK = re.compile(r"voucher:[^:]+:[0-9a-f]{32}:")


@pytest.fixture(scope="module")
def made() -> list[Bill]:
    return list(random_month(RICH).bills)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32))
def test_all_statements_of_a_period_add_up_to_nothing(seed: int) -> None:
    d = random_month(seed, jobs=4)
    assert unbalanced(d.bills) == []
    assert sum(bill.net_micro_yuan for bill in d.bills) == 0
    consumers = [bill for bill in d.bills if bill.party.role is Role.CONSUMER]
    billed = sum(line.net_micro_yuan for line in d.lines)
    subsidies = sum(r.redemption.amount_micro_yuan for r in d.redeemed if r.lines)
    assert billed == sum(-(line.net_micro_yuan - line.subsidy_micro_yuan) for b in consumers for line in b.lines)
    back = sum(e.transfer.amount_micro_yuan for e in d.entries if e.transfer and TAKEN_BACK.match(e.transfer.id))
    assert subsidies - back == sum(line.subsidy_micro_yuan for b in consumers for line in b.lines)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32))
def test_statements_of_all_periods_are_the_balances_of_the_ledger(seed: int) -> None:
    """Nothing that the ledger moved is in no statement, and nothing in two."""
    d = random_month(seed, jobs=4)
    october = bills(OCTOBER, d.entries, {line.id: line for line in d.billed}, d.root)
    later = Period("later", NOVEMBER.end_ms, NOVEMBER.end_ms + 10**10)
    rest = bills(later, d.entries, {}, d.root)
    sums: dict[Party, int] = {}
    for bill in [*october, *d.bills, *rest]:
        sums[bill.party] = sums.get(bill.party, 0) + bill.net_micro_yuan + bill.paid_micro_yuan
    balances: dict[Party, int] = {}
    for entry in d.entries:
        moved = entry.transfer
        if moved is None or moved.kind not in (TransferKind.POST, TransferKind.POST_HOLD):
            continue
        if moved.debit.split(":")[0] in COUNTERS:
            continue
        for account, amount in ((moved.debit, -moved.amount_micro_yuan), (moved.credit, moved.amount_micro_yuan)):
            party = party_of(account)
            if party is not None:
                balances[party] = balances.get(party, 0) + amount
    assert {p: s for p, s in sums.items() if s} == {p: b for p, b in balances.items() if b}


def test_every_role_has_its_statement(made: list[Bill]) -> None:
    assert {bill.party.role for bill in made} == set(Role)
    assert {bill.party.name for bill in made if bill.party.role is Role.PROVIDER} == {WUHU, GUIAN}


def test_who_runs_links_has_the_transfers_and_nothing_else() -> None:
    """Also a provider of sites that runs a link; nobody else, whatever went over links of nobody."""
    d = next(
        m for m in map(random_month, range(20)) if {b.party.name for b in m.bills if _is_network(b)} == {ROADS, WUHU}
    )
    moved = [line for line in d.lines if line.kind is UsageKind.TRANSFER]
    for bill in filter(_is_network, d.bills):
        own = [line for line in moved if line.provider == bill.party.name]
        assert {each.line.id for each in bill.lines if each.line is not None} == {
            line.id for line in own if line.net_micro_yuan
        }
        assert all(each.line.kind is UsageKind.TRANSFER for each in bill.lines if each.line is not None)
    assert {line.provider for line in moved} == {ROADS, WUHU}
    used = {event.link for event in d.events if event.kind is UsageKind.TRANSFER}
    assert used == set(CARRIERS)


def _is_network(bill: Bill) -> bool:
    return bill.party.role is Role.NETWORK


def test_a_providers_receivable_is_what_cut_bills_owe_it() -> None:
    d = next(m for m in map(random_month, range(20)) if any(b.receivable_micro_yuan for b in m.bills))
    by_provider = {bill.party.name: bill.receivable_micro_yuan for bill in d.bills if bill.party.role is Role.PROVIDER}
    cut = {p.metadata.name for p in d.programs if p.spec.flow == "DeductAtCheckout"}
    program_of = {h.claim.voucher: h.grant.program for h, _ in d.holdings}
    lines = {line.id: line for line in d.lines}
    for name, receivable in by_provider.items():
        due = sum(
            part.amount_micro_yuan
            for r in d.redeemed
            if program_of[r.voucher] in cut
            for part in r.redemption.parts
            if lines[part.line].provider == name
        )
        assert receivable == due


def test_totals_add_up_to_the_net_and_items_to_the_same(made: list[Bill]) -> None:
    for bill in made:
        told = totals(bill)
        parts = (told.charges, told.adjustments, told.subsidies, told.commission, told.tax)
        assert sum(map(int, parts)) == int(told.net) == bill.net_micro_yuan
        assert sum(int(item.net) for item in items(bill)) == bill.net_micro_yuan
        assert sum(item.lines for item in items(bill)) == len(bill.lines)


def test_corrections_stand_apart(made: list[Bill]) -> None:
    corrected = [line for bill in made for line in bill.lines if line.what is What.ADJUSTMENT]
    assert corrected
    assert all(line.line is not None and line.line.adjusts == "2026-10" for line in corrected)


def test_a_statement_names_its_evidence(made: list[Bill]) -> None:
    told = evidence(made[0], "a" * 64)
    assert (told.root_hash, told.entries) == (made[0].root_hash, made[0].entries)
    assert told.events == sum(line.line.events for line in made[0].lines if line.line and line.what is not What.SUBSIDY)


def test_what_is_over_is_named(made: list[Bill]) -> None:
    first = next(line for line in made[0].lines if line.charge_micro_yuan)
    wrong = replace(made[0], lines=(replace(first, charge_micro_yuan=first.charge_micro_yuan + 3), *made[0].lines))
    over = first.charge_micro_yuan + 3
    assert unbalanced([wrong, *made[1:]])[0] == f"charge: {over} micro-yuan are over"


def test_an_account_of_nobody_is_refused() -> None:
    assert party_of("cash:consumer:lab") is None
    assert party_of("voucher:p:2026") is party_of("cap:p:lab:2026") is None
    assert party_of("tax:payable") == Party(Role.OPERATOR, "operator")
    with pytest.raises(ValueError, match='account "pocket:mine" is of no party'):
        party_of("pocket:mine")


def test_what_is_moved_by_hand_is_of_the_period_of_its_time() -> None:
    moved = Transfer("m", "suspense:lost", "consumer:lab", 7, TransferKind.POST, NOVEMBER.start_ms, reference="by hand")
    (lab, operator) = bills(NOVEMBER, [chained(1, "0" * 64, moved)], {}, (1, "f" * 64))
    assert (lab.net_micro_yuan, operator.net_micro_yuan) == (7, -7)
    assert lab.lines[0].what is What.OTHER
    assert bills(OCTOBER, [chained(1, "0" * 64, moved)], {}, (1, "f" * 64)) == []
