"""Bills and reports for people: pages that need nothing else, and CSV, in two languages."""

import csv
import io
import re
from dataclasses import replace
from decimal import Decimal

import pytest

from months import NOVEMBER, WUHU, random_month
from pages import Page
from suanli.api.statement import Role
from suanli.billing import pages as statement_pages
from suanli.billing.assets import SiteFacts, asset_html, asset_record, asset_report
from suanli.billing.posting import shares
from suanli.billing.statements import Bill, totals
from suanli.billing.words import Language, percent, word, yuan

MONTH = random_month(2)
BILLS = list(MONTH.bills)


def check(text: str) -> None:
    """It asks for nothing, and what is opened is closed."""
    assert Page(text).addresses == []
    body = re.sub(r"<(!doctype|meta|rect)[^>]*>", "", text)
    opened, closed = re.findall(r"<([a-z][a-z0-9]*)[ >]", body), re.findall(r"</([a-z][a-z0-9]*)>", body)
    assert sorted(opened) == sorted(closed)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("bill", BILLS, ids=lambda bill: f"{bill.party.role} {bill.party.name}")
def test_every_statement_is_a_page_that_needs_nothing_else(bill: Bill, language: Language) -> None:
    text = statement_pages.html(bill, language)
    check(text)
    assert f'<html lang="{language}">' in text
    assert bill.root_hash in text
    assert yuan(int(totals(bill).net)) in text
    assert word("statement", language) in text
    assert ("应收/应付" in text) is (language is Language.CHINESE)


@pytest.mark.parametrize("language", Language)
def test_the_csv_adds_up_to_its_own_totals(language: Language) -> None:
    for bill in BILLS:
        head, *rows = csv.reader(io.StringIO(statement_pages.csv(bill, language), newline=""))
        at = head.index(word("net", language))
        lines, sums = rows[: len(bill.lines)], rows[len(bill.lines) :]
        assert len(sums) == len(statement_pages.SUMS)
        assert sum(Decimal(row[at]) for row in lines) == Decimal(sums[statement_pages.SUMS.index("net")][at])
        assert {len(row) for row in rows} == {len(head)}


def test_what_a_tenant_writes_is_no_markup() -> None:
    bill = next(b for b in BILLS if b.party.role is Role.CONSUMER)
    line = next(line for line in bill.lines if line.line is not None and line.line.job)
    assert line.line is not None
    hostile = replace(line, line=replace(line.line, job='<script src="x">'))
    text = statement_pages.html(replace(bill, lines=(hostile,)), Language.ENGLISH)
    assert "<script" not in text
    check(text)


def test_a_providers_page_tells_what_issuers_owe_it() -> None:
    bill = replace(next(b for b in BILLS if b.party.role is Role.PROVIDER), receivable_micro_yuan=12_345_000)
    assert "12.345" in statement_pages.html(bill, Language.ENGLISH)


@pytest.mark.parametrize(
    ("micro", "text"), [(0, "0.00"), (-1, "-0.000001"), (1_234_500_000, "1,234.50"), (-1_000_000, "-1.00")]
)
def test_money_is_shown_to_its_last_digit(micro: int, text: str) -> None:
    assert yuan(micro) == text


def test_words_are_in_both_languages_and_names_stay() -> None:
    assert word("tax", Language.CHINESE) != word("tax", Language.ENGLISH)
    assert word("ascend-910b", Language.CHINESE) == "ascend-910b"
    assert all(word(c, Language.CHINESE) != c for c in (*statement_pages.COLUMNS, *statement_pages.SUMS, *Role))
    assert percent(1, 3) == "33.33 %"
    assert percent(1, 0) == "0.00 %"


# --- the report of a site

FACTS = SiteFacts(
    site="wuhu-dc1",
    provider=WUHU,
    period=NOVEMBER,
    units_of_class={"a100": 64, "cpu": 2_000},
    core_classes=frozenset({"cpu"}),
    available_ms=(NOVEMBER.end_ms - NOVEMBER.start_ms) * 999 // 1_000,
    pue_micro=1_200_000,
    green_share_micro=800_000,
    received_micro_yuan=5_000_000,
)


def test_the_report_is_the_sites_own_money_and_use() -> None:
    report = asset_report(FACTS, MONTH.lines, MONTH.events)
    there = [line for line in MONTH.lines if line.site == "wuhu-dc1"]
    own = [line for line in there if line.kind != "transfer"]
    assert len(own) < len(there), "what is sent there is no revenue of the site"
    assert report.billed == sum(line.net_micro_yuan for line in own)
    assert report.kept == sum(shares(line).provider for line in own) == report.billed - report.tax - report.commission
    assert sum(amount for _, amount in report.customers) == report.kept
    cards = sum(
        e.amount for e in MONTH.events if e.site == "wuhu-dc1" and e.kind == "card-time" and NOVEMBER.holds(e.start_ms)
    )
    assert next(c for c in report.classes if c.class_ == "a100").used == cards > 0
    record = asset_record(report)
    assert record["availability"] == "99.90 %"
    assert record["green_share"] == "80.00 %"
    assert int(record["it_energy_mwh"]) * 12 // 10 <= report.energy_mwh
    assert int(record["outstanding_micro_yuan"]) + 5_000_000 == report.kept


def test_concentration_is_that_of_shares() -> None:
    report = asset_report(FACTS, MONTH.lines, ())
    assert replace(report, customers=(("a", 5),)).hhi == 10_000
    assert replace(report, customers=(("a", 5), ("b", 5))).hhi == 5_000
    assert replace(report, customers=(("a", 6), ("b", 0), ("c", -3))).hhi == 10_000
    assert replace(report, customers=()).hhi == 0


@pytest.mark.parametrize("language", Language)
def test_the_report_is_a_page_with_plots_that_needs_nothing_else(language: Language) -> None:
    text = asset_html(asset_report(FACTS, MONTH.lines, MONTH.events), language)
    check(text)
    assert text.count("<svg") == 2
    assert "1.200000" in text
    empty = asset_html(asset_report(replace(FACTS, site="nowhere", units_of_class={}), (), ()), language)
    check(empty)
