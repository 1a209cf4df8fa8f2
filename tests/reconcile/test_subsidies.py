"""What vouchers pay back of bills that were paid, and get back of lines that are corrected: once, never too much, and audited."""

import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest

from audit.__main__ import audit
from months import a_program, packed
from shop import CARD_HOUR, FACTS, TARIFF, YUAN, Shop
from shop import a_claim as a_small_claim
from suanli.api.statement import Role
from suanli.api.tariff import Tariff
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.units import MS_PER_HOUR
from suanli.billing.line import RatedLine, same
from suanli.billing.period import Period, month
from suanli.billing.statements import What, unbalanced
from suanli.billing.vouchers import Granted, Rejected
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books

ZONE = "Asia/Shanghai"
MARCH, APRIL, MAY, JUNE = MONTHS = tuple(month(f"2026-0{n}", ZONE) for n in (3, 4, 5, 6))
HOUR = 4 * CARD_HOUR * 80 // 100  # what the lab owes for an hour of four cards
FIFTH = a_program("beijing", flow="ReimburseUser")
CUT = a_program("hangzhou")
a_claim = partial(a_small_claim, amount_micro_yuan=10_000 * YUAN)
DAY_MS = 24 * MS_PER_HOUR
MONEY = re.compile("voucher:[^:]+:[^:]+:([0-9a-f]{32})")
DEAR = {
    "name": "a100",
    "unit": "CardHour",
    "class": "nvidia-a100-80g",
    "price": "5.50",
    "brackets": [{"above": 40, "price": "2.123457"}],
}
CHEAPER = Tariff.model_validate({**TARIFF, "spec": {**TARIFF["spec"], "items": [DEAR]}})
BRACKETS = replace(FACTS, tariffs=(CHEAPER,))  # what comes late makes others cheaper


def pay(shop: Shop, amount: int, id_: str, time_ms: int) -> None:
    shop.books.pay("consumer:lab", amount, id_, time_ms)


def sound(shop: Shop, folder: Path) -> None:
    """All statements of all closed periods add up, and their evidence is recomputed without a difference."""
    for closing in shop.books.closings():
        dossier = shop.books.dossier(closing.period.name)
        assert unbalanced(dossier.bills) == []
        assert sum(bill.net_micro_yuan for bill in dossier.bills) == 0
        findings, _ = audit(packed(dossier, folder / f"of-{closing.period.name}"), dossier.root[1])
        assert [str(finding) for finding in findings] == [], closing.period.name


def subsidies(shop: Shop, period: Period) -> dict[tuple[str, str], int]:
    """What statements of a period say of subsidies, by role and party."""
    found = {}
    for bill in shop.books.dossier(period.name).bills:
        lines = [line for line in bill.lines if line.what is What.SUBSIDY]
        if lines:
            found[str(bill.party.role), bill.party.name] = sum(line.subsidy_micro_yuan for line in lines)
    return found


def test_a_user_who_has_paid_a_closed_month_is_paid_back_once(shop: Shop, tmp_path: Path) -> None:
    shop.books.grant(FIFTH, a_claim())
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    owed = 10 * HOUR
    waits = shop.books.reimburse(APRIL.start_ms + 1)
    assert (waits["v1"].reason, waits["v1"].message) == (
        Reason.NOT_PAID,
        "bill of 2026-03: 0.00 CNY of 176.00 were paid; the programme pays back what was paid in full",
    )
    pay(shop, owed - YUAN, "a", APRIL.start_ms + 2)
    assert "175.00 CNY of 176.00 were paid" in shop.books.reimburse(APRIL.start_ms + 3)["v1"].message
    assert shop.owes("subsidy:beijing-bureau") == 0
    pay(shop, YUAN, "b", APRIL.start_ms + 4)
    for _ in range(2):
        assert shop.books.reimburse(APRIL.start_ms + 5) == {}
    assert shop.owes("subsidy:beijing-bureau") == owed // 5
    assert shop.owes("consumer:lab") == -(owed // 5)
    standing = shop.books.standings()["v1"]
    assert (standing.redeemed_micro_yuan, standing.bills) == (owed // 5, ("2026-03",))
    root = shop.ledger.root()
    another = Books(shop.usage, shop.store, shop.ledger, "hub")
    another.close(MARCH, FACTS, MAY.end_ms)
    assert another.reimburse(MAY.end_ms) == {}
    assert shop.ledger.root() == root
    assert subsidies(shop, MARCH) == {}
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert subsidies(shop, APRIL) == {("Consumer", "lab"): owed // 5, ("Issuer", "beijing-bureau"): -(owed // 5)}
    sound(shop, tmp_path)


@pytest.mark.parametrize(
    ("spec", "claim", "reason", "says"),
    [
        ({"eligible": {"sites": ["west"]}}, {}, Reason.OUT_OF_SCOPE, 'site "east" is not of west'),
        ({}, {"provider": "another"}, Reason.OUT_OF_SCOPE, 'provider "East Compute" is not of another'),
        ({"kind": "Transport"}, {}, Reason.OUT_OF_SCOPE, 'kind "card-time" is not of transfer'),
    ],
)
def test_what_is_not_paid_back_says_the_rule_and_its_number(
    shop: Shop, spec: dict[str, Any], claim: dict[str, Any], reason: Reason, says: str
) -> None:
    shop.books.grant(a_program("beijing", flow="ReimburseUser", **spec), a_claim(**claim))
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", APRIL.start_ms)
    for _ in range(2):
        found = shop.books.reimburse(APRIL.start_ms + 1)["v1"]
        assert (found.reason, found.message) == (reason, f"bill of 2026-03: {says}")
    assert shop.owes("subsidy:beijing-bureau") == 0


def test_cap_pool_minimum_and_validity_hold_as_for_the_other_flow(shop: Shop, tmp_path: Path) -> None:
    program = a_program(
        "beijing", flow="ReimburseUser", capPerEntityYear=str(20 * YUAN), poolPerYear=str(30 * YUAN), minAmount=str(5 * YUAN),
        validDays=32,
    )  # fmt: skip
    assert isinstance(shop.books.grant(program, a_claim()), Granted)
    found = {v: shop.books.grant(program, a_claim(v, **more)) for v, more in {
        "over": {}, "small": {"entity": "bureau", "amount_micro_yuan": YUAN},
    }.items()}  # fmt: skip
    assert {v: f.reason for v, f in found.items() if isinstance(f, Rejected)} == {
        "over": Reason.CAP_EXHAUSTED,
        "small": Reason.BELOW_MINIMUM,
    }
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", MARCH.end_ms)
    assert shop.books.reimburse(MARCH.start_ms + 32 * DAY_MS) == {}  # it has expired
    assert shop.owes("subsidy:beijing-bureau") == 0
    shop.books.reimburse(MARCH.start_ms + 32 * DAY_MS - 1)
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert shop.owes("subsidy:beijing-bureau") == 20 * YUAN, "a fifth of the first bill is more than the cap leaves"
    sound(shop, tmp_path)


def test_bills_are_paid_in_the_order_in_which_they_were_posted(shop: Shop, tmp_path: Path) -> None:
    shop.books.grant(FIFTH, a_claim())
    for period, hours in ((MARCH, 10), (APRIL, 5)):
        shop.ran(f"p-{period.name}", period.start_ms, hours)
        shop.books.close(period, FACTS, period.end_ms)
    pay(shop, 10 * HOUR, "a", MAY.start_ms)
    assert shop.books.reimburse(MAY.start_ms + 1)["v1"].message.startswith("bill of 2026-04: 35.20 CNY of 88.00")
    assert shop.books.standings()["v1"].bills == ("2026-03",)
    pay(shop, 3 * HOUR, "b", MAY.start_ms + 2)  # with what came back of March that is all
    assert shop.books.reimburse(MAY.start_ms + 3) == {}
    assert shop.books.standings()["v1"].bills == ("2026-03", "2026-04")
    shop.books.close(MAY, FACTS, MAY.end_ms)
    sound(shop, tmp_path)


def test_a_month_that_was_closed_before_the_claim_is_not_paid_back(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.books.grant(FIFTH, a_claim(time_ms=MARCH.end_ms + 1))
    pay(shop, 10 * HOUR, "a", APRIL.start_ms)
    assert shop.books.reimburse(APRIL.start_ms + 1) == {}
    assert shop.owes("subsidy:beijing-bureau") == 0


def test_of_a_line_that_another_voucher_cut_only_what_was_paid_is_paid_back(shop: Shop, tmp_path: Path) -> None:
    shop.books.grant(a_program("hangzhou", stacking="Allowed"), a_claim("v1"))
    shop.books.grant(a_program("beijing", flow="ReimburseUser", stacking="Allowed"), a_claim("v2"))
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    cut = 10 * HOUR // 5
    pay(shop, 10 * HOUR - cut, "a", APRIL.start_ms)
    assert shop.books.reimburse(APRIL.start_ms + 1) == {}
    assert shop.owes("subsidy:beijing-bureau") == (10 * HOUR - cut) // 5
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    sound(shop, tmp_path)


@pytest.mark.parametrize(
    ("program", "debtor"), [(CUT, "subsidy:hangzhou-bureau:East%20Compute"), (FIFTH, "subsidy:beijing-bureau")]
)
def test_what_was_paid_of_a_line_is_taken_back_when_the_line_is_corrected_down(
    shop: Shop, tmp_path: Path, program: Any, debtor: str
) -> None:
    shop.books.grant(program, a_claim())
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", APRIL.start_ms)
    shop.books.reimburse(APRIL.start_ms + 1)
    assert shop.owes(debtor) == 2 * HOUR
    (line,) = shop.books.lines("2026-03")
    shop.books.award(line.id, "d-1", 4 * HOUR)
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert shop.owes(debtor) == 6 * HOUR // 5
    issuer = program.spec.issuer
    told = subsidies(shop, APRIL)
    before = 0 if program is CUT else 2 * HOUR  # what was paid back in April
    assert told == {("Consumer", "lab"): before - 4 * HOUR // 5, ("Issuer", issuer): 4 * HOUR // 5 - before}
    receivable = {
        b.party.name: b.receivable_micro_yuan
        for b in shop.books.dossier("2026-04").bills
        if b.party.role is Role.PROVIDER
    }
    assert receivable == {"East Compute": -4 * HOUR // 5 if program is CUT else 0}
    standing = shop.books.standings()["v1"]
    assert (standing.redeemed_micro_yuan, standing.taken_back_micro_yuan) == (2 * HOUR, 4 * HOUR // 5)
    pool = shop.ledger.balance(f"voucher:{program.metadata.name}:2026")
    assert pool.posted_micro_yuan == 6 * HOUR // 5, "what is taken back is free for others"
    root = shop.ledger.root()
    Books(shop.usage, shop.store, shop.ledger, "hub").close(APRIL, FACTS, JUNE.end_ms)
    assert shop.ledger.root() == root
    shop.books.award(line.id, "d-2", 6 * HOUR)
    shop.books.close(MAY, FACTS, MAY.end_ms)
    assert shop.owes(debtor) == 0
    sound(shop, tmp_path)


def test_a_line_that_is_corrected_before_it_is_paid_back_is_paid_back_as_it_stands(shop: Shop, tmp_path: Path) -> None:
    shop.books.grant(FIFTH, a_claim())
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    (line,) = shop.books.lines("2026-03")
    shop.books.award(line.id, "d-1", 4 * HOUR)
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    pay(shop, 6 * HOUR, "a", MAY.start_ms)
    assert shop.books.reimburse(MAY.start_ms + 1) == {}
    assert shop.owes("subsidy:beijing-bureau") == 6 * HOUR // 5
    shop.books.award(line.id, "d-2", 1 * HOUR)
    shop.books.close(MAY, FACTS, MAY.end_ms)
    assert shop.owes("subsidy:beijing-bureau") == HOUR
    sound(shop, tmp_path)


@pytest.mark.parametrize("commits", range(4))
def test_whoever_dies_while_it_is_taken_back_is_followed_by_one_who_goes_on(
    shop: Shop, tmp_path: Path, commits: int
) -> None:
    shop.books.grant(FIFTH, a_claim())
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", APRIL.start_ms)
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.reimburse(APRIL.start_ms + 1)  # kept, and not posted
    shop.ledger.left = 1 << 30
    shop.books.award(shop.books.lines("2026-03")[0].id, "d-1", 5 * HOUR)
    shop.ledger.left = commits
    try:
        shop.books.close(APRIL, FACTS, APRIL.end_ms)
    except KeyboardInterrupt:
        assert commits < 4
    shop.ledger.left = 1 << 30
    next_one = Books(shop.usage, shop.store, shop.ledger, "hub")
    next_one.close(MARCH, FACTS, JUNE.end_ms)
    next_one.close(APRIL, FACTS, JUNE.end_ms)
    next_one.reimburse(JUNE.end_ms)
    assert shop.owes("subsidy:beijing-bureau") == HOUR
    sound(shop, tmp_path)


def test_a_period_that_another_process_closed_meanwhile_is_seen_before_anything_is_paid_back(shop: Shop) -> None:
    shop.books.grant(FIFTH, a_claim())
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", APRIL.start_ms)
    known = shop.books._books.closings()
    Books(shop.usage, shop.store, shop.ledger, "hub").close(APRIL, FACTS, APRIL.end_ms)
    with pytest.raises(SuanliError, match="another process closed a period"):
        shop.books._subsidies.reimburse(known, MAY.start_ms)
    assert shop.books.reimburse(MAY.start_ms) == {}, "not before it is posted here, too"
    assert shop.owes("subsidy:beijing-bureau") == 0
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    shop.books.reimburse(MAY.start_ms)
    assert shop.owes("subsidy:beijing-bureau") == 2 * HOUR


def test_sixteen_who_race_to_pay_back_pay_once_and_never_more_than_cap_and_pool(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    program = a_program("beijing", flow="ReimburseUser", repeatedClaims="Allowed", stacking="Allowed", capPerEntityYear=str(30 * YUAN), poolPerYear=str(50 * YUAN))  # fmt: skip
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    pay(shop, 10 * HOUR, "a", MARCH.end_ms)
    together = Barrier(16)

    def race(number: int) -> None:
        usage = UsageStore(tmp_path / "usage.sqlite3", busy_ms=60_000)
        store = BookStore(tmp_path / "books.sqlite3", busy_ms=60_000)
        ledger = SqliteLedger(tmp_path / "ledger.sqlite3", busy_ms=60_000)
        books = Books(usage, store, ledger, "hub")
        together.wait()
        for _ in range(40):
            with suppress(SuanliError):  # another process was faster
                books.grant(program, a_claim(f"v{number % 4}", amount_micro_yuan=60 * YUAN))
                books.close(MARCH, FACTS, MARCH.end_ms)
                books.reimburse(APRIL.start_ms)
                break
        books.leave()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(race, range(16)))
    granted = [s.decision.granted.amount_micro_yuan for s in shop.books.standings().values() if s.decision is not None]
    assert 12 * YUAN <= sum(granted) <= 30 * YUAN
    paid = sum(s.redeemed_micro_yuan for s in shop.books.standings().values())
    assert shop.owes("subsidy:beijing-bureau") == paid
    assert 0 < paid <= 12 * YUAN, "one programme pays of a line once"
    counter = shop.ledger.balance("voucher:beijing:2026")
    assert counter.posted_micro_yuan == paid
    assert counter.most_micro_yuan <= 30 * YUAN
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    sound(shop, tmp_path)
    shop.books.leave()


def a_year(dice: Random, folder: Path) -> Shop:
    """Four months of a shop in which anything happens, in any order."""
    shop, awards = Shop(folder), 0
    spec = {"validDays": dice.choice([60, 365]), "stacking": dice.choice(["Allowed", "Forbidden"])}
    rates = [[{"name": "all", "ratePermille": dice.randint(1, 1_000)}] for _ in range(3)]
    programs = [
        a_program("hangzhou", terms=rates[0], **spec),
        a_program("beijing", flow="ReimburseUser", terms=rates[1], **spec),
        a_program(
            "shenzhen", flow="ReimburseUser", terms=rates[2], poolPerYear=str(dice.randint(1, 300 * YUAN)), **spec
        ),
    ]
    pods = 0
    for place, period in enumerate(MONTHS):
        for program in programs:
            if dice.random() < 0.6:
                amount = dice.randint(1, 900 * YUAN)
                shop.books.grant(program, a_claim(f"v-{program.metadata.name}-{period.name}", amount_micro_yuan=amount, time_ms=period.start_ms + 1))  # fmt: skip
        for late in (False, False, True):
            if dice.random() < 0.7:
                when = dice.choice(MONTHS[:place]) if late and place else period
                pods += 1
                shop.ran(f"p{pods}", when.start_ms + dice.randrange(400 * MS_PER_HOUR), dice.randint(1, 30))
        for closed in MONTHS[:place]:
            lines = [line for line in shop.books.lines(closed.name) if line.net_micro_yuan > 0]
            if lines and dice.random() < 0.5:
                line = dice.choice(lines)
                awards += 1
                with suppress(SuanliError):  # no more is left of it than was awarded before
                    shop.books.award(line.id, f"d{awards}", dice.randint(1, line.net_micro_yuan))
        shop.books.close(period, BRACKETS, period.end_ms)
        if dice.random() < 0.7:
            owed = shop.owes("consumer:lab")
            pay(
                shop,
                owed if owed > 0 and dice.random() < 0.7 else dice.randint(1, 500 * YUAN),
                f"paid-{place}",
                period.end_ms + 1,
            )
        shop.books.reimburse(period.end_ms + 2)
    return shop


@pytest.mark.parametrize("seed", range(8))
def test_in_random_months_nobody_gets_too_much_and_all_statements_add_up(tmp_path: Path, seed: int) -> None:
    shop = a_year(Random(seed), tmp_path)
    sound(shop, tmp_path)
    lines = {line.id: line for period in MONTHS for line in shop.books.lines(period.name)}
    left = what_is_left(shop, lines)
    got: Counter[str] = Counter()
    for entry in shop.ledger.entries():
        found = entry.transfer and MONEY.fullmatch(entry.transfer.id)
        if entry.transfer and found:
            back = entry.transfer.debit == "consumer:lab"
            got[found[1]] += -entry.transfer.amount_micro_yuan if back else entry.transfer.amount_micro_yuan
    assert {line: paid for line, paid in got.items() if not 0 <= paid <= left[line]} == {}
    standings = shop.books.standings().values()
    assert sum(got.values()) == sum(s.redeemed_micro_yuan - s.taken_back_micro_yuan for s in standings)
    shop.books.leave()


def test_the_random_months_have_what_they_are_for(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(8):
        (tmp_path / str(seed)).mkdir()
        shop = a_year(Random(seed), tmp_path / str(seed))
        for standing in shop.books.standings().values():
            flow = "back" if standing.decision and standing.decision.program.spec.flow == "ReimburseUser" else "cut"
            seen.update(
                {flow: bool(standing.redeemed_micro_yuan), f"{flow} taken": bool(standing.taken_back_micro_yuan)}
            )
        lines = [line for period in MONTHS for line in shop.books.lines(period.name)]
        seen["rated down"] += sum(line.net_micro_yuan < 0 and line.quantity < 0 for line in lines)
        shop.books.leave()
    assert min(seen[name] for name in ("back", "cut", "back taken", "cut taken", "rated down")) > 0, seen


def what_is_left(shop: Shop, lines: Mapping[str, RatedLine]) -> dict[str, int]:
    """What the user still owes of each line above zero, its corrections counted; those that are no award take the last one first."""
    awards = shop.store.awards()
    left: dict[str, int] = {}
    for line in lines.values():  # in the order in which they were billed
        if line.net_micro_yuan > 0:
            left[line.id] = line.net_micro_yuan
            continue
        root = line.adjusts
        alike = [
            each
            for each in lines.values()
            if each.id in left and same(each) == same(line) and root == (each.adjusts or each.period)
        ]
        of = [lines[awards[line.id].line]] if line.id in awards else alike[::-1]
        rest = -line.net_micro_yuan
        for each in of:
            taken = min(rest, left[each.id])
            left[each.id] -= taken
            rest -= taken
    return left
