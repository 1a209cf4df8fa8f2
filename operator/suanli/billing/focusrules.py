"""The rules of FOCUS 1.2 for its mandatory columns, as far as a file can show whether they are kept. Pure.

Each rule has the id of the specification's requirements model, version 1.2.0.1. A CSV has nothing but text, so rules that a
column is of type String always hold and are not here; neither are those that only permit, or that speak of other documents.
Null is an empty field.
Source: FOCUS 1.2, columns, attributes, and requirements model.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from suanli.base.clock import parse_time_ms
from suanli.billing.focus import COLUMNS, CORRECTION, MANDATORY, Row

# Of each mandatory column, the rule that it is there.
PRESENCE: Mapping[str, str] = {
    "BillingAccountName": "CostAndUsage-D-005-M",
    "BilledCost": "CostAndUsage-D-006-M",
    "ChargeCategory": "CostAndUsage-D-008-M",
    "BillingPeriodStart": "CostAndUsage-D-009-M",
    "BillingPeriodEnd": "CostAndUsage-D-010-M",
    "PublisherName": "CostAndUsage-D-021-M",
    "InvoiceIssuerName": "CostAndUsage-D-023-M",
    "BillingAccountId": "CostAndUsage-D-024-M",
    "ChargeDescription": "CostAndUsage-D-025-M",
    "ChargeClass": "CostAndUsage-D-026-M",
    "ChargePeriodEnd": "CostAndUsage-D-028-M",
    "ContractedCost": "CostAndUsage-D-030-M",
    "EffectiveCost": "CostAndUsage-D-031-M",
    "ListCost": "CostAndUsage-D-032-M",
    "BillingCurrency": "CostAndUsage-D-035-M",
    "PricingQuantity": "CostAndUsage-D-036-M",
    "ChargePeriodStart": "CostAndUsage-D-037-M",
    "ProviderName": "CostAndUsage-D-038-M",
    "ServiceCategory": "CostAndUsage-D-040-M",
    "ServiceName": "CostAndUsage-D-041-M",
    "PricingUnit": "CostAndUsage-D-068-M",
}
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
MOMENTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
TEXTS = (
    "BillingAccountId",
    "BillingAccountName",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceName",
    "ChargeDescription",
)
CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
SERVICE_CATEGORIES = (
    "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud",
    "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking",
    "Security", "Storage", "Web", "Other",
)  # fmt: skip
CURRENCIES = ("CNY", "HKD", "MOP", "TWD", "USD", "EUR", "JPY", "GBP", "SGD", "KRW")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E-?[0-9]+)?", re.IGNORECASE)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
_CUSTOM = re.compile(r"x_[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a file breaks. `row` counts from 1 and is 0 of the header."""

    rule: str
    column: str
    row: int
    value: str
    says: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.row else "header"
        return f'{where}: {self.column}: "{self.value}": {self.says} ({self.rule})'


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about one row."""

    id: str
    column: str
    says: str
    holds: Callable[[Row], bool]


def violations(
    head: Sequence[str], rows: Iterable[Row], invoices: Mapping[str, int] | None = None
) -> Iterator[Violation]:
    """All that a file breaks; `invoices` has what each invoice comes to, in micro-yuan. Without a column its rows are not read."""
    missing = [name for name in MANDATORY if name not in head]
    yield from (Violation(PRESENCE[name], name, 0, "", "the column is missing; add it") for name in missing)
    yield from _of_the_header(head)
    if missing:
        return
    sums: dict[str, Decimal] = defaultdict(Decimal)
    categories: dict[str, set[str]] = defaultdict(set)
    for number, row in enumerate(rows, 1):
        for rule in RULES:
            if not rule.holds(row):
                yield Violation(rule.id, rule.column, number, row[rule.column], rule.says)
        sums[row.get("InvoiceId", "")] += _number(row["BilledCost"]) or Decimal(0)
        before = len(categories[row["ServiceName"]])
        categories[row["ServiceName"]].add(row["ServiceCategory"])
        if before == 1 and len(categories[row["ServiceName"]]) == 2:
            yield Violation(
                "ServiceName-C-005-C",
                "ServiceName",
                number,
                row["ServiceName"],
                "stands in two categories of services; use one",
            )
    for invoice, micro in (invoices or {}).items():
        if sums[invoice] * 1_000_000 != micro:
            says = f"its rows add up to {sums[invoice]}, the invoice to {Decimal(micro) / 1_000_000}; export it again"
            yield Violation("BilledCost-C-007-M", "BilledCost", 0, invoice, says)


def _of_the_header(head: Sequence[str]) -> Iterator[Violation]:
    for name in head:
        if name in COLUMNS or _CUSTOM.fullmatch(name):
            continue
        if _PASCAL.fullmatch(name):
            yield Violation("ColumnHandling-A-010-M", name, 0, name, 'is not known; begin its name with "x_"')
        else:
            yield Violation("ColumnHandling-A-001-M", name, 0, name, "is not in Pascal case; write it as BilledCost is")


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _moment(text: str) -> int | None:
    try:
        return parse_time_ms(text)
    except (ValueError, OverflowError):
        return None


def _before(row: Row, start: str, end: str) -> bool:
    """Whether a period begins before it ends; what cannot be read is told by another rule."""
    begin, until = _moment(row[start]), _moment(row[end])
    return begin is None or until is None or begin < until


def _is_earlier(row: Row) -> bool:
    """Whether the charge is for a time before the billing period."""
    charged, billed = _moment(row["ChargePeriodEnd"]), _moment(row["BillingPeriodStart"])
    return charged is not None and billed is not None and charged <= billed


def _same_cost(row: Row, column: str) -> bool:
    """Credits stand for themselves: all costs of theirs are the billed one."""
    return row["ChargeCategory"] != "Credit" or _number(row[column]) == _number(row["BilledCost"])


def _decimals(column: str, *, nullable: bool = False) -> Iterator[Rule]:
    yield Rule(
        f"{column}-C-001-M",
        column,
        "is not a decimal number",
        lambda r: not r[column] or _number(r[column]) is not None,
    )
    yield Rule(
        f"{column}-C-002-M",
        column,
        "is not written as numbers are; leave out signs but -, commas, units and symbols",
        lambda r: not r[column] or _number(r[column]) is None or _NUMBER.fullmatch(r[column]) is not None,
    )
    if not nullable:
        yield Rule(f"{column}-C-003-M", column, "is null; give a number, 0 for nothing", lambda r: bool(r[column]))


def _moments(column: str) -> Iterator[Rule]:
    yield Rule(f"{column}-C-001-M", column, "is not a time", lambda r: not r[column] or _moment(r[column]) is not None)
    yield Rule(
        f"{column}-C-002-M",
        column,
        'is not in UTC as "2026-01-31T08:00:00Z"',
        lambda r: not r[column] or _moment(r[column]) is None or _MOMENT.fullmatch(r[column]) is not None,
    )
    yield Rule(f"{column}-C-003-M", column, "is null; give a time", lambda r: bool(r[column]))


def _bound(column: str, start: str, end: str) -> Rule:
    return Rule(
        f"{column}-C-004-M",
        column,
        "is no bound of a period that begins before it ends",
        lambda r: _before(r, start, end),
    )


def _given(rule: str, column: str) -> Rule:
    return Rule(rule, column, "is null; give a name", lambda r: bool(r[column]))


def _not_blank(column: str) -> Rule:
    return Rule(
        "StringHandling-A-007-M", column, "is blank; give a name", lambda r: not r[column] or bool(r[column].strip())
    )


def _credit(rule: str, column: str) -> Rule:
    return Rule(rule, column, "of a credit is not its BilledCost", lambda r: _same_cost(r, column))


RULES: tuple[Rule, ...] = (
    *(rule for column in COSTS for rule in _decimals(column)),
    Rule(
        "BilledCost-C-005-C",
        "BilledCost",
        "is not 0, though another one than the provider makes the invoice",
        lambda r: r["ProviderName"] == r["InvoiceIssuerName"] or _number(r["BilledCost"]) == 0,
    ),
    _given("BillingAccountId-C-003-M", "BillingAccountId"),
    _given("BillingAccountName-C-003-C", "BillingAccountName"),
    Rule(
        "BillingCurrency-C-003-M",
        "BillingCurrency",
        "is not a code of ISO 4217, three capital letters",
        lambda r: not r["BillingCurrency"] or re.fullmatch("[A-Z]{3}", r["BillingCurrency"]) is not None,
    ),
    Rule("BillingCurrency-C-004-M", "BillingCurrency", "is null; give a code", lambda r: bool(r["BillingCurrency"])),
    Rule(
        "BillingCurrency-C-006-M",
        "BillingCurrency",
        f"is not a national currency known here: {', '.join(CURRENCIES)}",
        lambda r: re.fullmatch("[A-Z]{3}", r["BillingCurrency"]) is None or r["BillingCurrency"] in CURRENCIES,
    ),
    *(rule for column in MOMENTS for rule in _moments(column)),
    _bound("BillingPeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"),
    _bound("ChargePeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"),
    Rule("ChargeCategory-C-002-M", "ChargeCategory", "is null; give a category", lambda r: bool(r["ChargeCategory"])),
    Rule(
        "ChargeCategory-C-003-M",
        "ChargeCategory",
        f"is not one of {', '.join(CATEGORIES)}",
        lambda r: not r["ChargeCategory"] or r["ChargeCategory"] in CATEGORIES,
    ),
    Rule(
        "ChargeClass-C-003-C",
        "ChargeClass",
        "is given, though the charge is of the billing period; leave it null",
        lambda r: not r["ChargeClass"] or _is_earlier(r),
    ),
    Rule(
        "ChargeClass-C-004-C",
        "ChargeClass",
        f'is null, though the charge is of an earlier period; write "{CORRECTION}"',
        lambda r: bool(r["ChargeClass"]) or not _is_earlier(r),
    ),
    Rule(
        "ChargeClass-C-005-C",
        "ChargeClass",
        f'is neither null nor "{CORRECTION}"',
        lambda r: r["ChargeClass"] in ("", CORRECTION),
    ),
    Rule(
        "ChargeDescription-C-003-O",
        "ChargeDescription",
        "is null; say what it is for",
        lambda r: bool(r["ChargeDescription"]),
    ),
    _credit("ContractedCost-C-008-C", "ContractedCost"),
    _credit("EffectiveCost-C-010-C", "EffectiveCost"),
    _credit("ListCost-C-008-C", "ListCost"),
    *_decimals("PricingQuantity", nullable=True),
    Rule(
        "PricingQuantity-C-004-C",
        "PricingQuantity",
        "is given for a tax; leave it null",
        lambda r: r["ChargeCategory"] != "Tax" or not r["PricingQuantity"],
    ),
    Rule(
        "PricingQuantity-C-005-C",
        "PricingQuantity",
        "is null, though something was used or bought",
        lambda r: (
            bool(r["PricingQuantity"])
            or r["ChargeCategory"] not in ("Usage", "Purchase")
            or r["ChargeClass"] == CORRECTION
        ),
    ),
    Rule(
        "PricingUnit-C-005-C",
        "PricingUnit",
        "is the unit of nothing; leave it null without PricingQuantity",
        lambda r: bool(r["PricingQuantity"]) or not r["PricingUnit"],
    ),
    Rule(
        "PricingUnit-C-006-C",
        "PricingUnit",
        "is null, though there is a PricingQuantity",
        lambda r: not r["PricingQuantity"] or bool(r["PricingUnit"]),
    ),
    *(_given(f"{column}-C-003-M", column) for column in ("InvoiceIssuerName", "ProviderName", "PublisherName")),
    Rule(
        "ServiceCategory-C-002-M", "ServiceCategory", "is null; give a category", lambda r: bool(r["ServiceCategory"])
    ),
    Rule(
        "ServiceCategory-C-003-M",
        "ServiceCategory",
        "is not a category of the specification",
        lambda r: not r["ServiceCategory"] or r["ServiceCategory"] in SERVICE_CATEGORIES,
    ),
    _given("ServiceName-C-003-M", "ServiceName"),
    *(_not_blank(column) for column in TEXTS),
)
