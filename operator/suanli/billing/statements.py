"""What each party owes and gets for a period, made from what the ledger moved. Pure.

Every transfer that moves money touches two accounts, and every account is some party's, so the statements of a period add
up to nothing, in sum and column by column. Cash is outside: what was paid stands beside the sums. Counters (caps and
pools of vouchers, budgets, prepayments) are no money.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from suanli.api.statement import Evidence, Role, StatementItem, StatementTotals
from suanli.billing.event import UsageKind
from suanli.billing.ledger import Entry, Transfer, TransferKind
from suanli.billing.line import ID_LENGTH, RatedLine
from suanli.billing.period import Period
from suanli.billing.posting import PAYOUT, VOUCHER, whole

OPERATOR = "operator"  # the party that runs the hub: commission, tax to be passed on, and what waits in suspense
MOVING = frozenset({TransferKind.POST, TransferKind.POST_HOLD})
COUNTERS = ("voucher", "cap", "budget", "used", "prepaid", "unbilled")
CASH = "cash"
MOST_ITEMS = 128
_LINE = re.compile(f"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass(frozen=True, slots=True, order=True)
class Party:
    """Who a statement is of."""

    role: Role
    name: str


class What(StrEnum):
    """What a line of a statement is."""

    USE = "use"
    ADJUSTMENT = "adjustment"
    SUBSIDY = "subsidy"
    OTHER = "other"  # moved by hand: suspense, reserves of two parties


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What a party gets, or owes if below zero, for one rated line or voucher. Units: micro-yuan."""

    what: What
    reference: (
        str  # id of the rated line, "voucher:UID:LINE", or "payout:UID:BILL" of what is paid for no line of the period
    )
    line: RatedLine | None  # the rated line that it is for
    voucher: str  # UID of the voucher
    charge_micro_yuan: int
    commission_micro_yuan: int
    tax_micro_yuan: int
    subsidy_micro_yuan: int

    @property
    def net_micro_yuan(self) -> int:
        """All of it."""
        return self.charge_micro_yuan + self.commission_micro_yuan + self.tax_micro_yuan + self.subsidy_micro_yuan


@dataclass(frozen=True, slots=True)
class Bill:
    """A statement with its lines; `Statement` on the hub has its sums. Units: micro-yuan.

    `receivable` is what of a provider's or network operator's money comes from issuers by cut bills, not from consumers: information, in no sum.
    """

    party: Party
    period: Period
    lines: tuple[StatementLine, ...]
    paid_micro_yuan: int
    receivable_micro_yuan: int
    root_hash: str
    entries: int
    unknown_pods: int = 0  # that ran in the period, and of which nobody will ever know for how long

    @property
    def net_micro_yuan(self) -> int:
        """What the party gets, or owes if below zero."""
        return sum(line.net_micro_yuan for line in self.lines)

    @property
    def events(self) -> int:
        """Usage events that its lines sum."""
        return sum(line.line.events for line in self.lines if line.line is not None and line.what is not What.SUBSIDY)


@lru_cache(maxsize=65_536)
def party_of(account: str) -> Party | None:
    """Whose account it is; None of a counter and of cash. Raises: ValueError for an account of an unknown kind."""
    kind, _, rest = account.partition(":")
    if kind in (*COUNTERS, CASH):
        return None
    name = whole(rest.partition(":")[0])
    owners = {
        "consumer": Party(Role.CONSUMER, name),
        "reserve": Party(Role.CONSUMER, name),
        "provider": Party(Role.PROVIDER, name),
        "network": Party(Role.NETWORK, name),
        "subsidy": Party(Role.ISSUER, name),
        "operator": Party(Role.OPERATOR, OPERATOR),
        "tax": Party(Role.OPERATOR, OPERATOR),
        "suspense": Party(Role.OPERATOR, OPERATOR),
    }
    if kind not in owners:
        raise ValueError(f'account "{account}" is of no party; its kind is to be one of {", ".join(owners)}')
    return owners[kind]


def bills(
    period: Period,
    entries: Iterable[Entry],
    lines: Mapping[str, RatedLine],
    root: tuple[int, str],
    after: int | None = None,
) -> list[Bill]:
    """The statements of all parties of a period, by role and name; `lines` are those of the period, by id.

    `after`: how many entries there were when the period before it was closed; what came later for an earlier time is in no statement yet.
    """
    drafts: dict[Party, _Draft] = defaultdict(_Draft)
    for entry in entries:
        moved = entry.transfer
        if (
            moved is not None
            and moved.kind in MOVING
            and _is_of(period, moved, lines, late=after is not None and entry.sequence > after)
        ):
            _take(drafts, moved, lines)
    return [
        Bill(party, period, draft.statement_lines(lines), draft.paid, draft.receivable, root[1], root[0])
        for party, draft in sorted(drafts.items())
    ]


def totals(bill: Bill) -> StatementTotals:
    """The sums of a statement, as the hub shows them."""
    use = [line for line in bill.lines if line.what is not What.ADJUSTMENT]
    return StatementTotals(
        charges=str(sum(line.charge_micro_yuan for line in use)),
        adjustments=str(sum(line.net_micro_yuan for line in bill.lines if line.what is What.ADJUSTMENT)),
        subsidies=str(sum(line.subsidy_micro_yuan for line in use)),
        commission=str(sum(line.commission_micro_yuan for line in use)),
        tax=str(sum(line.tax_micro_yuan for line in use)),
        net=str(bill.net_micro_yuan),
        paid=str(bill.paid_micro_yuan),
    )


def items(bill: Bill) -> list[StatementItem]:
    """Sums by item of the price list, the largest first; vouchers under the word."""
    sums: dict[str, list[int]] = defaultdict(list)
    for line in bill.lines:
        name = "voucher" if line.what is What.SUBSIDY else line.line.item if line.line else "other"
        sums[name].append(line.net_micro_yuan)
    found = [StatementItem(name=name, lines=len(each), net=str(sum(each))) for name, each in sums.items()]
    return sorted(found, key=lambda item: (-abs(int(item.net)), item.name))[:MOST_ITEMS]


def evidence(bill: Bill, tree_hash: str | None = None) -> Evidence:
    """What the hub tells of the evidence."""
    return Evidence(root_hash=bill.root_hash, entries=bill.entries, tree_hash=tree_hash, events=bill.events)


def unbalanced(bills_: Sequence[Bill]) -> list[str]:
    """The columns of a period's statements that do not add up to nothing, with what is over; empty if all is right."""
    columns = {
        "charge": sum(line.charge_micro_yuan for bill in bills_ for line in bill.lines),
        "commission": sum(line.commission_micro_yuan for bill in bills_ for line in bill.lines),
        "tax": sum(line.tax_micro_yuan for bill in bills_ for line in bill.lines),
        "subsidy": sum(line.subsidy_micro_yuan for bill in bills_ for line in bill.lines),
    }
    return [f"{name}: {over} micro-yuan are over" for name, over in columns.items() if over]


@dataclass
class _Draft:
    """A statement while it is made: sums by reference and column."""

    sums: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    paid: int = 0
    receivable: int = 0

    def statement_lines(self, lines: Mapping[str, RatedLine]) -> tuple[StatementLine, ...]:
        made = []
        for reference, columns in sorted(self.sums.items()):
            voucher, line = _parts(reference, lines)
            what = What.SUBSIDY if voucher else What.OTHER
            if line is not None and not voucher:
                what = What.ADJUSTMENT if line.adjusts else What.USE
            made.append(
                StatementLine(
                    what, reference, line, voucher, *(columns[c] for c in ("charge", "commission", "tax", "subsidy"))
                )
            )
        return tuple(made)


def _is_of(period: Period, moved: Transfer, lines: Mapping[str, RatedLine], *, late: bool) -> bool:
    """Whether it belongs to the period: by its line; what is for no line by its time, or as it came too `late` for an earlier one."""
    if moved.debit.partition(":")[0] in COUNTERS:
        return False
    if moved.reference.startswith(VOUCHER):
        return moved.reference.split(":", 2)[-1] in lines
    if _LINE.fullmatch(moved.reference):
        return moved.reference in lines
    return period.holds(moved.time_ms) or (late and moved.time_ms < period.start_ms)


def _take(drafts: dict[Party, "_Draft"], moved: Transfer, lines: Mapping[str, RatedLine]) -> None:
    payer, payee = party_of(moved.debit), party_of(moved.credit)
    if payer is None or payee is None:  # one of them is cash
        for party, amount in ((payer, -moved.amount_micro_yuan), (payee, moved.amount_micro_yuan)):
            if party is not None:
                drafts[party].paid += amount
        return
    column = _column(moved)
    drafts[payer].sums[moved.reference][column] -= moved.amount_micro_yuan
    drafts[payee].sums[moved.reference][column] += moved.amount_micro_yuan
    for account, amount in ((moved.debit, moved.amount_micro_yuan), (moved.credit, -moved.amount_micro_yuan)):
        due_to = account.split(":")[2:]
        if column == "subsidy" and account.startswith("subsidy:") and due_to:
            line = _parts(moved.reference, lines)[1]
            role = Role.NETWORK if line is not None and line.kind is UsageKind.TRANSFER else Role.PROVIDER
            drafts[Party(role, whole(due_to[0]))].receivable += amount


def _column(moved: Transfer) -> str:
    kinds = {account.partition(":")[0] for account in (moved.debit, moved.credit)}
    return next((name for kind, name in _COLUMNS if kind in kinds), "charge")


_COLUMNS = (("subsidy", "subsidy"), ("tax", "tax"), ("operator", "commission"))


def _parts(reference: str, lines: Mapping[str, RatedLine]) -> tuple[str, RatedLine | None]:
    """The voucher's UID and the rated line of a reference."""
    if reference.startswith(VOUCHER):
        _, uid, line = reference.split(":", 2)
        return uid, lines.get(line)
    if reference.startswith(PAYOUT):
        return reference.split(":", 2)[1], None
    return "", lines.get(reference)
