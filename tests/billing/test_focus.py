"""FOCUS: every generated month keeps all rules of the mandatory columns, and each rule is broken once."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from months import NOVEMBER, OCTOBER, ROADS, WUHU, random_month
from suanli.api.statement import Role
from suanli.billing.evidence import Dossier
from suanli.billing.focus import COLUMNS, MANDATORY, Row, csv_text, rows, table_csv
from suanli.billing.focusrules import PRESENCE, RULES, Violation, violations

RICH = 2


def exported(dossier: Dossier) -> tuple[list[Row], dict[str, int]]:
    """The rows of all consumers, read from the file that was written, and what their invoices come to."""
    consumers = [bill for bill in dossier.bills if bill.party.role is Role.CONSUMER]
    made = [
        row
        for bill in consumers
        for row in rows(bill, issuer="national network", names={"lab": "实验室"}, corrected={"2026-10": OCTOBER})
    ]
    read = list(csv.DictReader(io.StringIO(csv_text(made), newline="")))
    owed = {
        f"{bill.party.name}-2026-11": -sum(line.net_micro_yuan for line in bill.lines if line.line is not None)
        for bill in consumers
    }
    return read, owed


@pytest.fixture(scope="module")
def sample() -> list[Row]:
    return exported(random_month(RICH))[0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32))
def test_a_generated_month_keeps_every_rule(seed: int) -> None:
    made, owed = exported(random_month(seed, jobs=4))
    assert made
    assert [str(v) for v in violations(COLUMNS, made, owed)] == []


def test_the_sample_has_every_category(sample: list[Row]) -> None:
    assert {row["ChargeCategory"] for row in sample} == {"Usage", "Tax", "Credit"}
    assert {row["ChargeClass"] for row in sample} == {"", "Correction"}
    assert {row["ServiceCategory"] for row in sample} >= {"Compute", "Networking"}
    assert {row["BillingAccountName"] for row in sample} >= {"实验室", "bureau"}


def test_what_goes_over_links_is_published_by_who_runs_them(sample: list[Row]) -> None:
    moved = [row for row in sample if row["ServiceCategory"] == "Networking" and row["ChargeCategory"] == "Usage"]
    assert {row["PublisherName"] for row in moved} == {ROADS, WUHU}
    assert {row["PricingUnit"] for row in moved} == {"GiB"}
    assert {row["x_Link"] for row in moved} == {"backbone", "metro", "own"}
    assert all(f" over {row['x_Link']} at {row['x_Site']}" in row["ChargeDescription"] for row in moved)
    assert {row["x_Link"] for row in sample if row["ServiceCategory"] == "Compute"} == {""}
    assert not any(row["PublisherName"] == ROADS for row in sample if row["ServiceCategory"] == "Compute")


def test_there_are_the_21_mandatory_columns_first_and_ours_last() -> None:
    assert len(MANDATORY) == len(set(MANDATORY)) == 21
    assert set(PRESENCE) == set(MANDATORY)
    assert COLUMNS[:21] == MANDATORY
    first = next(i for i, name in enumerate(COLUMNS) if name.startswith("x_"))
    assert all(name.startswith("x_") for name in COLUMNS[first:])


def test_a_corrected_charge_is_of_the_period_that_it_corrects(sample: list[Row]) -> None:
    row = next(row for row in sample if row["ChargeClass"])
    assert row["ChargePeriodEnd"] == row["BillingPeriodStart"] == "2026-10-31T16:00:00Z"


@pytest.mark.parametrize("column", MANDATORY)
def test_a_missing_column_is_told(sample: list[Row], column: str) -> None:
    head = [name for name in COLUMNS if name != column]
    found = list(violations(head, [{k: v for k, v in row.items() if k != column} for row in sample]))
    assert [v.rule for v in found] == [PRESENCE[column]]
    assert str(found[0]) == f'header: {column}: "": the column is missing; add it ({PRESENCE[column]})'


def usage(row: Row) -> bool:
    return row["ChargeCategory"] == "Usage" and not row["ChargeClass"]


def credit(row: Row) -> bool:
    return row["ChargeCategory"] == "Credit"


def tax(row: Row) -> bool:
    return row["ChargeCategory"] == "Tax" and not row["ChargeClass"]


# How each rule is broken: in which row, and how.
BREAKS: dict[tuple[str, str], tuple[Callable[[Row], bool], Row]] = {
    **{(f"{c}-C-001-M", c): (usage, {c: "much"}) for c in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity")},
    **{(f"{c}-C-002-M", c): (usage, {c: "+1"}) for c in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity")},
    **{(f"{c}-C-003-M", c): (usage, {c: ""}) for c in ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")},
    **{
        (f"{c}-C-{n}-M", c): (usage, {c: value})
        for c in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
        for n, value in (("001", "November"), ("002", "2026-11-15T16:00:00+00:00"), ("003", ""))
    },
    **{(f"{c}-C-003-M", c): (usage, {c: ""}) for c in ("BillingAccountId", "InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceName")},
    **{
        ("StringHandling-A-007-M", c): (usage, {c: "  "})
        for c in (
            "BillingAccountId", "BillingAccountName", "InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceName",
            "ChargeDescription",
        )
    },
    ("BilledCost-C-005-C", "BilledCost"): (usage, {"InvoiceIssuerName": "somebody else", "BilledCost": "1"}),
    ("BillingAccountName-C-003-C", "BillingAccountName"): (usage, {"BillingAccountName": ""}),
    ("BillingCurrency-C-003-M", "BillingCurrency"): (usage, {"BillingCurrency": "yuan"}),
    ("BillingCurrency-C-004-M", "BillingCurrency"): (usage, {"BillingCurrency": ""}),
    ("BillingCurrency-C-006-M", "BillingCurrency"): (usage, {"BillingCurrency": "XXX"}),
    ("BillingPeriodEnd-C-004-M", "BillingPeriodEnd"): (usage, {"BillingPeriodEnd": "2026-10-31T16:00:00Z"}),
    ("ChargePeriodEnd-C-004-M", "ChargePeriodEnd"): (usage, {"ChargePeriodStart": "2026-12-31T16:00:00Z"}),
    ("ChargeCategory-C-002-M", "ChargeCategory"): (usage, {"ChargeCategory": ""}),
    ("ChargeCategory-C-003-M", "ChargeCategory"): (usage, {"ChargeCategory": "Rent"}),
    ("ChargeClass-C-003-C", "ChargeClass"): (usage, {"ChargeClass": "Correction"}),
    ("ChargeClass-C-004-C", "ChargeClass"): (lambda row: bool(row["ChargeClass"]), {"ChargeClass": ""}),
    ("ChargeClass-C-005-C", "ChargeClass"): (lambda row: bool(row["ChargeClass"]), {"ChargeClass": "Wrong"}),
    ("ChargeDescription-C-003-O", "ChargeDescription"): (usage, {"ChargeDescription": ""}),
    ("ContractedCost-C-008-C", "ContractedCost"): (credit, {"ContractedCost": "1"}),
    ("EffectiveCost-C-010-C", "EffectiveCost"): (credit, {"EffectiveCost": "1"}),
    ("ListCost-C-008-C", "ListCost"): (credit, {"ListCost": "1"}),
    ("PricingQuantity-C-004-C", "PricingQuantity"): (tax, {"PricingQuantity": "1", "PricingUnit": "GiB"}),
    ("PricingQuantity-C-005-C", "PricingQuantity"): (usage, {"PricingQuantity": "", "PricingUnit": ""}),
    ("PricingUnit-C-005-C", "PricingUnit"): (tax, {"PricingUnit": "GiB"}),
    ("PricingUnit-C-006-C", "PricingUnit"): (usage, {"PricingUnit": ""}),
    ("ServiceCategory-C-002-M", "ServiceCategory"): (usage, {"ServiceCategory": ""}),
    ("ServiceCategory-C-003-M", "ServiceCategory"): (usage, {"ServiceCategory": "Supercomputing"}),
}  # fmt: skip


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert {(rule.id, rule.column) for rule in RULES} == set(BREAKS)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda b: f"{b[0]}-{b[1]}")
def test_a_row_that_breaks_a_rule_is_told_with_its_value(sample: list[Row], broken: tuple[str, str]) -> None:
    chosen, change = BREAKS[broken]
    number = next(i for i, row in enumerate(sample, 1) if chosen(row))
    changed = [{**row, **change} if i == number else row for i, row in enumerate(sample, 1)]
    found = list(violations(COLUMNS, changed))
    assert (*broken, number) in {(v.rule, v.column, v.row) for v in found}
    assert {v.row for v in found if v.rule != "ServiceName-C-005-C"} == {number}
    rules = {v.rule for v in found if v.row == number and v.column == broken[1]}
    assert rules == {broken[0]} or broken[0] in ("BilledCost-C-005-C", "ChargeClass-C-005-C"), (
        "it tells one mistake once"
    )


def test_a_service_in_two_categories_is_told(sample: list[Row]) -> None:
    changed = [{**row, "ServiceName": "Anything"} for row in sample]
    assert {v.rule for v in violations(COLUMNS, changed)} == {"ServiceName-C-005-C"}


def test_rows_that_are_not_the_invoice_are_told(sample: list[Row]) -> None:
    (found,) = violations(COLUMNS, sample[:-1], {sample[-1]["InvoiceId"]: 1})
    assert (found.rule, found.value) == ("BilledCost-C-007-M", sample[-1]["InvoiceId"])


def test_columns_of_others_are_told() -> None:
    found = list(violations([*COLUMNS, "Discount", "my column", "x_Fine"], []))
    assert [(v.rule, v.column) for v in found] == [
        ("ColumnHandling-A-010-M", "Discount"),
        ("ColumnHandling-A-001-M", "my column"),
    ]


def test_money_is_exact_to_the_micro_yuan(sample: list[Row]) -> None:
    assert all(Decimal(row["BilledCost"]).as_tuple().exponent == -6 for row in sample)
    assert NOVEMBER.name == "2026-11"


def test_a_spreadsheet_runs_no_formula_of_a_tenant() -> None:
    assert table_csv(["a"], [["=1+1"], ["@x"], ["-5.25"], ["-x"]]) == "a\r\n'=1+1\r\n'@x\r\n-5.25\r\n'-x\r\n"


def test_a_violation_is_a_sentence() -> None:
    assert str(Violation("R", "C", 3, "v", "is wrong; mend it")) == 'row 3: C: "v": is wrong; mend it (R)'
