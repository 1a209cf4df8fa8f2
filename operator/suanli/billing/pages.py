"""Statements for people: a page of HTML that needs nothing else, and CSV. Pure."""

from collections.abc import Iterator, Sequence
from html import escape

from suanli.base.clock import time_text
from suanli.base.units import decimal_text
from suanli.billing.focus import PLACES, SERVICES, table_csv
from suanli.billing.statements import Bill, StatementLine, What, items, totals
from suanli.billing.words import Language, word, yuan

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .85rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #bbb; padding: .2rem .6rem .2rem 0; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; } .hash { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } figure { margin: 1rem 0; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } .wide { overflow: visible; } }
"""
COLUMNS = (
    "what", "account", "provider", "job", "site", "link", "tariff", "item", "band", "bracket", "qos", "class", "precision", "quantity",
    "unit", "price", "list", "discount", "contracted", "voucher", "charge", "commission", "tax", "subsidies", "net", "adjusts",
    "line",
)  # fmt: skip
SUMS = ("charges", "adjustments", "subsidies", "commission", "tax", "net", "paid")


def html(bill: Bill, language: Language) -> str:
    """The page, to be read or printed."""
    title = f"{word('statement', language)} {bill.period.name}: {bill.party.name}"
    return page(title, _body(bill, language), language)


def csv(bill: Bill, language: Language) -> str:
    """Every line of the statement, and the sums in the last ones."""
    head = [word(column, language) for column in COLUMNS]
    rows = [_cells(line, language) for line in bill.lines]
    at = COLUMNS.index("net")
    for name, amount in _sums(bill):
        row = [""] * len(COLUMNS)
        row[0], row[at] = f"{word('total', language)}: {word(name, language)}", decimal_text(amount)
        rows.append(row)
    return table_csv(head, rows)


def page(title: str, body: Iterator[str], language: Language) -> str:
    """A page of HTML around a body."""
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n'
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first cell of a row is its head."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _body(bill: Bill, language: Language) -> Iterator[str]:
    start, end = time_text(bill.period.start_ms), time_text(bill.period.end_ms)
    role = word(bill.party.role, language)
    yield f"<p>{escape(role)}. {escape(word('period', language))}: {start} – {end}. {escape(word('sign', language))}</p>"
    net = word("net", language)
    sums = [(word(name, language), yuan(amount)) for name, amount in _sums(bill)]
    if bill.receivable_micro_yuan:
        sums.append((word("receivable", language), yuan(bill.receivable_micro_yuan)))
    yield table(word("total", language), ("", net), sums)
    by_item = [(word(item.name, language), str(item.lines), yuan(int(item.net))) for item in items(bill)]
    yield table(word("items", language), (word("item", language), word("lines", language), net), by_item)
    yield table(
        word("lines", language),
        [word(column, language) for column in COLUMNS],
        [_cells(line, language) for line in bill.lines],
    )
    yield f"<h2>{escape(word('evidence', language))}</h2>"
    facts = [("root", bill.root_hash), ("entries", str(bill.entries)), ("events", str(bill.events))]
    if bill.unknown_pods:
        facts.append(("unknown", str(bill.unknown_pods)))
    yield "".join(f'<p class="hash">{escape(word(name, language))}: {escape(value)}</p>' for name, value in facts)


def _sums(bill: Bill) -> list[tuple[str, int]]:
    told = totals(bill)
    return [(name, int(getattr(told, name))) for name in SUMS]


def _cells(line: StatementLine, language: Language) -> list[str]:
    """The cells of a line, in the order of COLUMNS. Units: CNY."""
    rated = line.line
    about = [""] * 18
    if rated is not None:
        _, _, unit, one, _ = SERVICES[rated.kind]
        job = f"{rated.namespace}/{rated.job}" if rated.job else ""
        priced = [""] * 6
        if line.what is not What.SUBSIDY:
            amounts = (rated.price_micro_yuan, rated.list_micro_yuan, rated.discount_micro_yuan, rated.net_micro_yuan)
            priced = [decimal_text(rated.quantity, one, PLACES), unit, *map(decimal_text, amounts)]
        about = [
            rated.account, rated.provider, job, rated.site, rated.link, rated.tariff, rated.item, rated.band, str(rated.bracket),
            rated.qos, rated.class_, rated.precision, *priced,
        ]  # fmt: skip
    moved = (
        line.charge_micro_yuan,
        line.commission_micro_yuan,
        line.tax_micro_yuan,
        line.subsidy_micro_yuan,
        line.net_micro_yuan,
    )
    adjusts = rated.adjusts if rated is not None else ""
    return [word(line.what, language), *about, line.voucher, *map(decimal_text, moved), adjusts, line.reference]
