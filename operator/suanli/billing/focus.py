"""Lines of a bill as rows of FOCUS 1.2, the FinOps Open Cost and Usage Specification. Pure.

All 21 mandatory columns, a few more, and our own after them with "x_". The platform makes the invoice and is its provider;
who runs the data centre is the publisher. Tax is in our prices and a row of its own here; a voucher that cuts a bill is a
credit. Quantities are rounded to nine places, so there are no columns of unit prices: their product must be the cost exactly.
`focusrules.py` has the rules of the columns.
Source: FOCUS 1.2, columns and attributes.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from suanli.base.clock import time_text
from suanli.base.units import MICRO, MS_PER_HOUR, decimal_text
from suanli.billing.event import UsageKind
from suanli.billing.line import RatedLine
from suanli.billing.period import Period
from suanli.billing.posting import half_even, shares
from suanli.billing.statements import Bill, What
from suanli.billing.vouchers import PERMILLE

MANDATORY = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
)
COLUMNS = (
    *MANDATORY,
    "ConsumedQuantity",
    "ConsumedUnit",
    "InvoiceId",
    "SubAccountId",
    "SubAccountName",
    "x_Band",
    "x_Bracket",
    "x_Class",
    "x_Item",
    "x_Job",
    "x_LineId",
    "x_Link",
    "x_Precision",
    "x_Qos",
    "x_Site",
    "x_Tariff",
    "x_VoucherId",
)
CURRENCY = "CNY"
CORRECTION = "Correction"
PLACES = 9  # of quantities

Row = dict[str, str]

# Of each kind of use: category, name, the unit of prices with how much makes one, the unit of what is counted.
SERVICES: Mapping[UsageKind, tuple[str, str, str, int, str]] = {
    UsageKind.CORE_TIME: ("Compute", "Processor cores", "Core-Hours", 1_000 * MS_PER_HOUR, "Millicore-Milliseconds"),
    UsageKind.CARD_TIME: ("Compute", "Accelerator cards", "Card-Hours", MS_PER_HOUR, "Card-Milliseconds"),
    UsageKind.MEMORY_TIME: ("Compute", "Memory", "GiB-Hours", (1 << 30) * MS_PER_HOUR, "Byte-Milliseconds"),
    UsageKind.NODE_TIME: ("Compute", "Whole nodes", "Node-Hours", MS_PER_HOUR, "Node-Milliseconds"),
    UsageKind.STORAGE_TIME: ("Storage", "Scratch storage", "GiB-Hours", (1 << 30) * MS_PER_HOUR, "Byte-Milliseconds"),
    UsageKind.TRANSFER: ("Networking", "Data transfer", "GiB", 1 << 30, "Bytes"),
    UsageKind.ENERGY: ("Other", "Energy", "kWh", MICRO, "Milliwatt-Hours"),
    UsageKind.CARBON: ("Other", "Carbon", "Kilograms", MICRO, "Milligrams"),
}


def rows(bill: Bill, *, issuer: str, names: Mapping[str, str], corrected: Mapping[str, Period]) -> Iterator[Row]:
    """The rows of one consumer's statement; their BilledCost adds up to what it owes.

    `issuer` names the platform; `names` has those of accounts, for people; `corrected` the closed periods by name.
    """
    account = bill.party.name
    common: Row = dict.fromkeys(COLUMNS, "") | {
        "BillingAccountId": account,
        "BillingAccountName": names.get(account) or account,
        "BillingCurrency": CURRENCY,
        "BillingPeriodStart": time_text(bill.period.start_ms),
        "BillingPeriodEnd": time_text(bill.period.end_ms),
        "InvoiceIssuerName": issuer,
        "ProviderName": issuer,
        "InvoiceId": f"{account}-{bill.period.name}",
    }
    for line in bill.lines:
        rated = line.line
        if rated is None:
            continue
        about = common | _about(rated, bill.period, corrected)
        if line.what is What.SUBSIDY:
            yield about | _credit(rated, line.voucher, -line.subsidy_micro_yuan)
        else:
            yield from _charges(about, rated)


def csv_text(rows_: Iterable[Row]) -> str:
    """A file of CSV (RFC 4180) with its header; null is an empty field."""
    return table_csv(COLUMNS, ([row[name] for name in COLUMNS] for row in rows_))


def table_csv(head: Sequence[str], rows_: Iterable[Sequence[str]]) -> str:
    """Any table as CSV. A field that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_harmless(field) for field in row] for row in rows_)
    return out.getvalue()


def _harmless(field: str) -> str:
    is_number = field.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{field}" if field[:1] in "=+-@\t\r" and field and not is_number else field


def _about(line: RatedLine, period: Period, corrected: Mapping[str, Period]) -> Row:
    category, name, *_ = SERVICES[line.kind]
    charged = corrected.get(line.adjusts, period)
    return {
        "ChargeClass": CORRECTION if line.adjusts else "",
        "ChargePeriodStart": time_text(charged.start_ms),
        "ChargePeriodEnd": time_text(charged.end_ms),
        "PublisherName": line.provider,
        "ServiceCategory": category,
        "ServiceName": name,
        "SubAccountId": line.namespace,
        "SubAccountName": line.namespace,
        "x_Band": line.band,
        "x_Bracket": str(line.bracket),
        "x_Class": line.class_,
        "x_Item": line.item,
        "x_Job": line.job,
        "x_LineId": line.id,
        "x_Link": line.link,
        "x_Precision": line.precision,
        "x_Qos": line.qos,
        "x_Site": line.site,
        "x_Tariff": line.tariff,
    }


def _charges(about: Row, line: RatedLine) -> Iterator[Row]:
    """The use without its tax, and the tax."""
    *_, unit, one, counted = SERVICES[line.kind]
    tax = shares(line).tax
    listed_tax = _tax_in(line.list_micro_yuan, line.tax_permille)
    where = _where(line)
    yield about | {
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{where}, tariff {line.tariff}, job {line.job}"
        if line.job
        else f"{where}, tariff {line.tariff}",
        "PricingQuantity": decimal_text(line.quantity, one, PLACES),
        "PricingUnit": unit,
        "ConsumedQuantity": str(line.quantity),
        "ConsumedUnit": counted,
        **_costs(line.list_micro_yuan - listed_tax, line.net_micro_yuan - tax),
    }
    if tax or listed_tax:
        yield about | {
            "ChargeCategory": "Tax",
            "ChargeDescription": f"Tax of {line.tax_permille} permille in the price of {where}",
            **_costs(listed_tax, tax),
        }


def _where(line: RatedLine) -> str:
    over = f"{line.item} over {line.link}" if line.link else line.item
    return f"{over} at {line.site}" if line.site else over


def _credit(line: RatedLine, voucher: str, amount_micro_yuan: int) -> Row:
    return {
        "ChargeCategory": "Credit",
        "ChargeDescription": f"Voucher {voucher} for {_where(line)}",
        "x_VoucherId": voucher,
        **_costs(amount_micro_yuan, amount_micro_yuan),
    }


def _costs(listed_micro_yuan: int, net_micro_yuan: int) -> Row:
    net = decimal_text(net_micro_yuan)
    return {
        "ListCost": decimal_text(listed_micro_yuan),
        "ContractedCost": net,
        "EffectiveCost": net,
        "BilledCost": net,
    }


def _tax_in(amount_micro_yuan: int, permille: int) -> int:
    part = half_even(abs(amount_micro_yuan) * permille, PERMILLE + permille)
    return -part if amount_micro_yuan < 0 else part
