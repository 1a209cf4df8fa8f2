"""The operating report of a site for a period: what the prospectus of a fund that owns it asks. Pure.

Revenue by kind, utilisation, availability, energy, PUE, green share, concentration of customers, cash flow; as a record for
JSON and as a page with plots. Money and shares are exact integers up to the last division.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from suanli.base.units import MICRO, decimal_text
from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.line import RatedLine
from suanli.billing.pages import page, table
from suanli.billing.period import Period
from suanli.billing.posting import shares
from suanli.billing.words import Language, percent, word, yuan

FEW = 5  # customers that are counted as the largest
HHI_WHOLE = 10_000
_WIDTH, _LEFT, _ROW = 900, 220, 30


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What usage and money do not tell. Units: units of a class (cards, cores), ms, millionths, micro-yuan."""

    site: str
    provider: str
    period: Period
    units_of_class: Mapping[str, int]
    core_classes: frozenset[str]  # classes that are counted in cores, and not in cards
    available_ms: int
    pue_micro: int
    green_share_micro: int
    received_micro_yuan: int  # of the provider's revenue of this site


@dataclass(frozen=True, slots=True)
class ClassUse:
    """How much of a class was used. Units: units of the class x ms."""

    class_: str
    used: int
    capacity: int


@dataclass(frozen=True, slots=True)
class AssetReport:
    """The report. Units: micro-yuan, mWh, mg, as SiteFacts."""

    facts: SiteFacts
    revenue: Mapping[UsageKind, int]  # the provider's: without tax and commission
    billed: int
    tax: int
    commission: int
    classes: tuple[ClassUse, ...]
    energy_mwh: int
    carbon_mg: int
    customers: tuple[tuple[str, int], ...]  # by revenue, the largest first

    @property
    def kept(self) -> int:
        """The provider's revenue."""
        return sum(self.revenue.values())

    @property
    def hhi(self) -> int:
        """The sum of the squares of all customers' shares, 10,000 for a single one; of those who brought revenue."""
        earned = [amount for _, amount in self.customers if amount > 0]
        whole = sum(earned)
        return sum(amount * amount for amount in earned) * HHI_WHOLE // (whole * whole) if whole else 0


def asset_report(facts: SiteFacts, lines: Iterable[RatedLine], events: Iterable[UsageEvent]) -> AssetReport:
    """The report of a site from the period's lines and events; those of other sites are passed over."""
    revenue: dict[UsageKind, int] = defaultdict(int)
    customers: dict[str, int] = defaultdict(int)
    billed = tax = commission = 0
    for line in lines:
        if line.site != facts.site or line.kind is UsageKind.TRANSFER:  # that is the network operator's
            continue
        found = shares(line)
        revenue[line.kind] += found.provider
        customers[line.account] += found.provider
        billed, tax, commission = billed + line.net_micro_yuan, tax + found.tax, commission + found.commission
    used: dict[str, int] = defaultdict(int)
    sums: dict[UsageKind, int] = defaultdict(int)
    for event in events:
        if event.site != facts.site or not facts.period.holds(event.start_ms):
            continue
        sums[event.kind] += event.amount
        is_core = event.class_ in facts.core_classes
        if event.kind is (UsageKind.CORE_TIME if is_core else UsageKind.CARD_TIME):
            used[event.class_] += event.amount
    length = facts.period.end_ms - facts.period.start_ms
    classes = tuple(
        ClassUse(name, used[name] // (1_000 if name in facts.core_classes else 1), units * length)
        for name, units in sorted(facts.units_of_class.items())
    )
    return AssetReport(
        facts=facts,
        revenue=dict(revenue),
        billed=billed,
        tax=tax,
        commission=commission,
        classes=classes,
        energy_mwh=sums[UsageKind.ENERGY],
        carbon_mg=sums[UsageKind.CARBON],
        customers=tuple(sorted(customers.items(), key=lambda pair: (-pair[1], pair[0]))),
    )


def asset_record(report: AssetReport) -> dict[str, Any]:
    """The report for JSON; amounts as digits in strings, customers without their names."""
    facts = report.facts
    return {
        "site": facts.site,
        "provider": facts.provider,
        "period": facts.period.name,
        "revenue_micro_yuan": {kind: str(amount) for kind, amount in sorted(report.revenue.items())},
        "billed_micro_yuan": str(report.billed),
        "tax_micro_yuan": str(report.tax),
        "commission_micro_yuan": str(report.commission),
        "kept_micro_yuan": str(report.kept),
        "received_micro_yuan": str(facts.received_micro_yuan),
        "outstanding_micro_yuan": str(report.kept - facts.received_micro_yuan),
        "utilisation": {each.class_: percent(each.used, each.capacity) for each in report.classes},
        "availability": percent(facts.available_ms, facts.period.end_ms - facts.period.start_ms),
        "energy_mwh": str(report.energy_mwh),
        "it_energy_mwh": str(report.energy_mwh * MICRO // facts.pue_micro),
        "carbon_mg": str(report.carbon_mg),
        "pue": decimal_text(facts.pue_micro),
        "green_share": percent(facts.green_share_micro, MICRO),
        "customers": len(report.customers),
        "largest_customer": percent(_top(report, 1), report.kept),
        "five_largest_customers": percent(_top(report, FEW), report.kept),
        "herfindahl_index": report.hhi,
    }


def asset_html(report: AssetReport, language: Language) -> str:
    """The page, to be read or printed."""
    title = f"{word('report', language)} {report.facts.period.name}: {report.facts.site}"
    return page(title, _body(report, language), language)


def _body(report: AssetReport, language: Language) -> Iterator[str]:
    def say(key: str) -> str:
        return word(key, language)

    record = asset_record(report)
    kinds = sorted(report.revenue.items(), key=lambda pair: -pair[1])
    yield f"<h2>{escape(say('revenue'))}</h2>"
    yield _bars(say("revenue"), [(say(kind), max(0, amount), yuan(amount)) for kind, amount in kinds])
    yield table(say("revenue"), (say("kind"), say("revenue")), [(say(kind), yuan(amount)) for kind, amount in kinds])
    yield f"<h2>{escape(say('utilisation'))}</h2>"
    shown = [
        (c.class_, c.used * MICRO // c.capacity if c.capacity else 0, percent(c.used, c.capacity))
        for c in report.classes
    ]
    yield _bars(say("utilisation"), shown, most=MICRO)
    figures = (
        ("availability", record["availability"]),
        ("facility", decimal_text(report.energy_mwh, MICRO, 3)),
        ("it", decimal_text(int(record["it_energy_mwh"]), MICRO, 3)),
        ("pue", record["pue"]),
        ("green", record["green_share"]),
        ("emitted", decimal_text(report.carbon_mg, MICRO, 3)),
    )
    yield table(say("energy"), (say("figure"), say("value")), [(say(name), value) for name, value in figures])
    concentration = (
        ("count", str(record["customers"])),
        ("largest", record["largest_customer"]),
        ("five", record["five_largest_customers"]),
        ("hhi", str(record["herfindahl_index"])),
    )
    yield table(say("customers"), (say("figure"), say("value")), [(say(name), value) for name, value in concentration])
    cash = (
        ("billed", report.billed),
        ("tax", -report.tax),
        ("commission", -report.commission),
        ("kept", report.kept),
        ("received", report.facts.received_micro_yuan),
        ("outstanding", report.kept - report.facts.received_micro_yuan),
    )
    yield table(say("cash"), (say("figure"), say("value")), [(say(name), yuan(amount)) for name, amount in cash])


def _top(report: AssetReport, count: int) -> int:
    return sum(amount for _, amount in report.customers[:count])


def _bars(title: str, values: Sequence[tuple[str, int, str]], most: int = 0) -> str:
    """A bar for each value that is not below zero, with its words; the longest fills the width, or `most` does."""
    scale = max([most, 1, *(value for _, value, _ in values)])
    room = _WIDTH - _LEFT - 180
    drawn = []
    for i, (label, value, told) in enumerate(values):
        y, width = i * _ROW + 6, value * room // scale
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_ROW - 10}" fill="#0b4f8a"/>'
            f'<text x="{_LEFT + width + 6}" y="{y + 14}">{escape(told)}</text>'
        )
    high = len(values) * _ROW + 12
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {high}" role="img" font-family="system-ui, sans-serif" font-size="14">'
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg></figure>"
    )
