"""Statements from the ledger's entries, and that those of a period add up to nothing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from audit.chain import MOVES, Replay
from audit.package import Finding, Package, Record
from audit.posting import LINE, plain

FILE = "statement.json"
ROLES = {
    "consumer": "Consumer",
    "reserve": "Consumer",
    "provider": "Provider",
    "network": "Network",
    "subsidy": "Issuer",
    "operator": "Operator",
    "tax": "Operator",
    "suspense": "Operator",
}
COUNTERS = ("cap", "voucher", "budget", "used", "prepaid", "unbilled")
COLUMNS = ("charge", "commission", "tax", "subsidy")
Party = tuple[str, str]


class Sums:
    """One party's sums."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
        self.paid = 0
        self.receivable = 0


def check(package: Package, lines: Mapping[str, Record], replay: Replay) -> Iterator[Finding]:
    """Every statement, line by line and column by column, and what is over in all of them together."""
    expected = sums(package.period, lines, replay)
    if package.party is not None:  # of others only a part is there
        expected = {party: due for party, due in expected.items() if party == package.party}
    over_all, seen = dict.fromkeys(COLUMNS, 0), set[Party]()
    for there in package.each(FILE):
        party = there["role"], there["party"]
        place = f"{party[0]} {party[1]}"
        if party in seen:
            yield Finding(FILE, place, "has two statements")
        seen.add(party)
        for column in COLUMNS:
            over_all[column] += sum(int(line[f"{column}_micro_yuan"]) for line in there["lines"])
        if party not in expected:
            yield Finding(FILE, place, "has a statement and nothing moved")
            continue
        yield from _compare(place, there, expected[party], lines)
        for name, value in (("entries", package.manifest["entries"]), ("root_hash", package.manifest["root_hash"])):
            if there[name] != value:
                yield Finding(FILE, place, f"{name} is {there[name]} and not {value}")
    for role, name in sorted(expected.keys() - seen):
        yield Finding(FILE, f"{role} {name}", "has no statement")
    for column, over in over_all.items() if package.party is None else ():
        if over:
            yield Finding(
                FILE, f"column {column}", f"the statements do not add up: {over} micro-yuan are over", abs(over)
            )


def sums(period: Record, lines: Mapping[str, Record], replay: Replay) -> dict[Party, Sums]:
    """What each party got and owed."""
    found: dict[Party, Sums] = defaultdict(Sums)
    for transfer in replay.transfers.values():
        if transfer["kind"] in MOVES and _is_of(period, transfer, lines):
            _take(found, transfer, lines)
    return dict(found)


def _take(found: dict[Party, Sums], transfer: Record, lines: Mapping[str, Record]) -> None:
    amount = int(transfer["amount_micro_yuan"])
    sides = [(_party(transfer["debit"]), -amount), (_party(transfer["credit"]), amount)]
    for party, moved in sides:
        if None in (sides[0][0], sides[1][0]):
            if party is not None:
                found[party].paid += moved
        elif party is not None:
            found[party].lines[transfer["reference"]][_column(transfer)] += moved
    for account, more in ((transfer["debit"], amount), (transfer["credit"], -amount)):
        kind, *names = account.split(":")
        if kind == "subsidy" and len(names) > 1 and None not in (sides[0][0], sides[1][0]):
            line = lines.get(transfer["reference"].split(":", 2)[-1])
            role = "Network" if line is not None and line["kind"] == "transfer" else "Provider"
            found[role, plain(names[1])].receivable += more


def _compare(place: str, have: Record, want: Sums, lines: Mapping[str, Record]) -> Iterator[Finding]:
    told = {line["reference"]: line for line in have["lines"]}
    for reference in sorted(told.keys() | want.lines.keys()):
        for column in COLUMNS:
            is_, due = int(told.get(reference, {}).get(f"{column}_micro_yuan", 0)), want.lines[reference][column]
            if is_ != due:
                yield Finding(
                    FILE, f"{place}, {reference}", f"{column} is {is_} and not {due} micro-yuan", abs(is_ - due)
                )
        what = _what(reference, lines)
        if reference in told and told[reference]["what"] != what:
            yield Finding(FILE, f"{place}, {reference}", f"what is {told[reference]['what']} and not {what}")
    net = sum(sum(columns.values()) for columns in want.lines.values())
    events = sum(lines[r]["events"] for r in want.lines if r in lines)
    for name, due in (
        ("net_micro_yuan", net),
        ("paid_micro_yuan", want.paid),
        ("receivable_micro_yuan", want.receivable),
        ("events", events),
    ):
        if int(have[name]) != due:
            yield Finding(FILE, place, f"{name} is {have[name]} and not {due}", abs(int(have[name]) - due))


def _is_of(period: Record, transfer: Record, lines: Mapping[str, Record]) -> bool:
    if transfer["debit"].split(":")[0] in COUNTERS:
        return False
    reference: str = transfer["reference"]
    if reference.startswith("voucher:"):
        return reference.split(":", 2)[-1] in lines
    if LINE.fullmatch(reference):
        return reference in lines
    begin, end = int(period["start_ms"]), int(period["end_ms"])
    late = (
        period["after"] is not None and transfer["sequence"] > period["after"]
    )  # for an earlier time, and in no statement yet
    return int(transfer["time_ms"]) < end and (late or begin <= int(transfer["time_ms"]))


def _party(account: str) -> Party | None:
    kind, _, rest = account.partition(":")
    if kind not in ROLES:
        return None
    return ROLES[kind], "operator" if ROLES[kind] == "Operator" else plain(rest.split(":")[0])


def _column(transfer: Record) -> str:
    kinds = {transfer[side].split(":")[0] for side in ("debit", "credit")}
    return (
        "subsidy"
        if "subsidy" in kinds
        else "tax"
        if "tax" in kinds
        else "commission"
        if "operator" in kinds
        else "charge"
    )


def _what(reference: str, lines: Mapping[str, Record]) -> str:
    if reference.startswith(("voucher:", "payout:")):
        return "subsidy"
    if reference not in lines:
        return "other"
    return "adjustment" if lines[reference]["adjusts"] else "use"
