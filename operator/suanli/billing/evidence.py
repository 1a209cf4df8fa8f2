"""What somebody who does not trust us recomputes a period's statements from: a folder of files, as text. Pure.

Every file is canonical JSON, one object a line: keys sorted, no blanks, nothing escaped but what must be, amounts as digits
in strings. `manifest.json` has the SHA-256 of each file and of each of its blocks, so a changed byte is found and its place
named, and a seal over itself. The ledger's chain binds the rest to the root hash that the Statement on the hub shows.
`hack/audit` reads it and shares no code with this.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from suanli.api.statement import Role
from suanli.api.tariff import Tariff
from suanli.api.voucher import VoucherProgram
from suanli.billing.event import UsageEvent, as_record
from suanli.billing.inclusion import NO_TREE
from suanli.billing.ledger import Entry, line
from suanli.billing.line import RatedLine, line_record
from suanli.billing.period import Period
from suanli.billing.pricebook import Change
from suanli.billing.rating import Customer
from suanli.billing.statements import Bill, Party, StatementLine
from suanli.billing.usage import Gap
from suanli.billing.vouchers import Given, Holding, Redemption, Scope

VERSION = 4
BLOCK_BYTES = 4_096
MANIFEST = "manifest.json"
NOWHERE = Scope({}, {})
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
_EVENT = tuple(each.name for each in fields(UsageEvent))


@dataclass(frozen=True, slots=True)
class Redeemed:
    """One redemption as it was decided. Units: micro-yuan, ms since the epoch."""

    voucher: str
    bill: str
    time_ms: int
    remaining_micro_yuan: int  # before it
    paid_micro_yuan: int
    lines: tuple[str, ...]  # ids, in the order in which they were asked for
    subsidised: Mapping[str, str]
    redemption: Redemption
    approved_by: str = ""  # who looked at what the tenant alone says of it: rent that was paid, units in service
    approved_why: str = ""


@dataclass(frozen=True, slots=True)
class Award:
    """What a dispute about a line of a closed period came to. Units: micro-yuan."""

    line: RatedLine
    dispute: str
    amount_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Reimbursed:
    """A line of a closed period that a user gets something back of, with what vouchers ask of its site as it was then."""

    line: RatedLine
    side: str
    chip: str


@dataclass(frozen=True, slots=True)
class Corrected:
    """An earlier line below zero that took so much from line `of`. Units: micro-yuan."""

    line: RatedLine
    of: str
    amount_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Subsidised:
    """What a voucher had paid of a line that is corrected now: by which bill, at which rate. The ledger has the amount."""

    line: str
    voucher: str
    bill: str
    rate_permille: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """Pods that ran in the period, whose they were and where, and of which nobody will know for how long."""

    gap: Gap
    account: str
    provider: str

    def is_of(self, party: Party) -> bool:
        """Whether it is told on a party's statement."""
        return party in (Party(Role.CONSUMER, self.account), Party(Role.PROVIDER, self.provider))


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed period that is corrected now, and what it was rated by: names of tariffs, sites' providers, links' carriers, customers."""

    period: Period
    tariffs: Sequence[str]
    providers: Mapping[str, str]
    customers: Mapping[str, Customer]
    changes: Sequence[Change] = ()
    carriers: Mapping[str, str] = field(default_factory=dict)
    by_link: bool = True


@dataclass(frozen=True, slots=True)
class Dossier:
    """All of a period. `tariffs` has those of the closed periods as well, `rated_by` the names of its own; so has `events`. `billed` has what was billed before of the closed periods that have adjustments now.

    `programs` may have a programme more than once, as it was when vouchers were granted; `granted_by` says, by voucher, the
    place in it of the one that counts, where that is not the first of the name. `entries` may be gone through again, and `tree_hash` is over all of them. `party`: of whom alone
    it is (`own.py`); then `proof` shows that `entries` are in the tree. `after`: how many entries there were when the period before was closed.
    """

    period: Period
    events: Iterable[UsageEvent]
    tariffs: Sequence[Tariff]
    providers: Mapping[str, str]
    customers: Mapping[str, Customer]
    lines: Sequence[RatedLine]
    entries: Iterable[Entry]
    bills: Sequence[Bill]
    root: tuple[int, str]
    rated_by: Sequence[str] = ()
    closed: Sequence[Closed] = ()
    billed: Sequence[RatedLine] = ()
    awards: Sequence[Award] = ()
    programs: Sequence[VoucherProgram] = ()
    holdings: Sequence[tuple[Holding, Given]] = ()
    redeemed: Sequence[Redeemed] = ()
    reimbursed: Sequence[Reimbursed] = ()
    corrected: Sequence[Corrected] = ()
    subsidised: Sequence[Subsidised] = ()
    scope: Scope = NOWHERE
    granted_by: Mapping[str, int] = field(default_factory=dict)
    gaps: Sequence[Unknown] = ()
    tree_hash: str = NO_TREE
    after: int | None = None
    changes: Sequence[Change] = ()  # of providers, within the period
    carriers: Mapping[str, str] = field(default_factory=dict)  # by link
    by_link: bool = True  # whether each link has lines of its own
    party: Party | None = None
    proof: Iterable[str] = ()


def write(dossier: Dossier, out: Callable[[str, str], None]) -> str:
    """Give each file's text to `out`, piece by piece with its name; the manifest, the last one, is returned as well."""
    sealed = {}
    for name, records in _files(dossier):
        seal = _Seal()
        out(name, "")  # so that an empty file is there, too
        for record in records:
            text = (record if isinstance(record, str) else canonical(record)) + "\n"
            seal.take(text.encode("utf-8"))
            out(name, text)
        sealed[name] = seal.record()
    count, root = dossier.root
    body = {
        "version": VERSION,
        "period": dossier.period.name,
        "entries": count,
        "root_hash": root,
        "tree_hash": dossier.tree_hash,
        "party": None if dossier.party is None else {"role": dossier.party.role, "name": dossier.party.name},
        "block_bytes": BLOCK_BYTES,
        "files": sealed,
    }
    manifest = canonical(body | {"seal": hashlib.sha256(canonical(body).encode()).hexdigest()}) + "\n"
    out(MANIFEST, manifest)
    return manifest


def canonical(record: object) -> str:
    """One line of JSON that is always written the same way."""
    return _CANONICAL.encode(record)


def statement_record(bill: Bill) -> dict[str, Any]:
    """A statement with its lines, as the package and `-o json` show it."""
    return {
        "role": bill.party.role,
        "party": bill.party.name,
        "period": bill.period.name,
        "entries": bill.entries,
        "root_hash": bill.root_hash,
        "events": bill.events,
        "unknown_pods": bill.unknown_pods,
        "net_micro_yuan": str(bill.net_micro_yuan),
        "paid_micro_yuan": str(bill.paid_micro_yuan),
        "receivable_micro_yuan": str(bill.receivable_micro_yuan),
        "lines": [_line_record(each) for each in bill.lines],
    }


def _files(d: Dossier) -> Iterator[tuple[str, Iterable[Any]]]:
    yield "period.json", [_period_record(d)]
    yield "usage.jsonl", (as_record(event, _EVENT) for event in d.events)
    yield "gaps.jsonl", ({**asdict(u.gap), "account": u.account, "provider": u.provider} for u in d.gaps)
    yield "tariffs.json", (_object(tariff) for tariff in d.tariffs)
    yield "customers.json", (_customer(d.customers[name]) for name in sorted(d.customers))
    yield "programmes.json", (_object(program) for program in d.programs)
    yield "vouchers.jsonl", (_holding(d, holding, given) for holding, given in d.holdings)
    yield "redemptions.jsonl", map(_redeemed, d.redeemed)
    yield (
        "reimbursed.jsonl",
        ({"line": line_record(each.line), "side": each.side, "chip": each.chip} for each in d.reimbursed),
    )
    yield (
        "corrected.jsonl",
        (
            {"line": line_record(each.line), "of": each.of, "amount_micro_yuan": str(each.amount_micro_yuan)}
            for each in d.corrected
        ),
    )
    yield "subsidised.jsonl", map(asdict, d.subsidised)
    yield "billed.jsonl", map(line_record, d.billed)
    yield "lines.jsonl", map(line_record, d.lines)
    yield "ledger.jsonl", map(line, d.entries)
    yield "proof.jsonl", ({"hash": each} for each in d.proof)
    yield "statement.json", map(statement_record, d.bills)


def _period_record(d: Dossier) -> dict[str, Any]:
    def bounds(period: Period) -> dict[str, Any]:
        return {"name": period.name, "start_ms": period.start_ms, "end_ms": period.end_ms}

    return {
        **bounds(d.period),
        "after": d.after,
        "tariffs": sorted(d.rated_by),
        "closed": [
            bounds(c.period)
            | {
                "tariffs": sorted(c.tariffs),
                "providers": dict(c.providers),
                "changes": [list(change) for change in c.changes],
                "carriers": dict(c.carriers),
                "by_link": c.by_link,
                "customers": [_customer(c.customers[name]) for name in sorted(c.customers)],
            }
            for c in d.closed
        ],
        "providers": dict(d.providers),
        "changes": [list(change) for change in d.changes],
        "carriers": dict(d.carriers),
        "by_link": d.by_link,
        "sides": dict(d.scope.side_of_site),
        "chips": [[site, class_, chip] for (site, class_), chip in sorted(d.scope.chip_of_class.items())],
        "awards": [
            {"line": line_record(a.line), "dispute": a.dispute, "amount_micro_yuan": str(a.amount_micro_yuan)}
            for a in d.awards
        ],
    }


def _object(resource: Tariff | VoucherProgram) -> dict[str, Any]:
    return {
        "name": resource.metadata.name,
        "spec": resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _customer(customer: Customer) -> dict[str, Any]:
    return {
        "account": customer.account,
        "customer_class": customer.customer_class,
        "plan": customer.plan,
        "subscriptions": [
            {"provider": s.provider, "package": s.package, "since": s.since, "until": s.until}
            for s in customer.subscriptions
        ],
    }


def _holding(d: Dossier, holding: Holding, given: Given) -> dict[str, Any]:
    claim, granted = holding.claim, holding.grant
    names = [program.metadata.name for program in d.programs]
    return {
        "voucher": claim.voucher,
        "program": granted.program,
        "program_line": d.granted_by.get(claim.voucher, names.index(granted.program)) + 1,
        "entity": claim.entity,
        "family": sorted(claim.family),
        "applicant_class": claim.applicant_class,
        "contract": claim.contract,
        "provider": claim.provider,
        "amount_micro_yuan": str(claim.amount_micro_yuan),
        "contract_days": claim.contract_days,
        "time_ms": claim.time_ms,
        "units": claim.units,
        "own_class": claim.own_class,
        "approved_by": claim.approved_by,
        "approved_why": claim.approved_why,
        "year": granted.year,
        "granted_micro_yuan": str(granted.amount_micro_yuan),
        "expires_ms": granted.expires_ms,
        "entity_before_micro_yuan": str(given.entity_micro_yuan),
        "pool_before_micro_yuan": str(given.pool_micro_yuan),
        "programs_of_contract": list(given.programs_of_contract),
    }


def _redeemed(each: Redeemed) -> dict[str, Any]:
    return {
        "voucher": each.voucher,
        "bill": each.bill,
        "time_ms": each.time_ms,
        "remaining_micro_yuan": str(each.remaining_micro_yuan),
        "paid_micro_yuan": str(each.paid_micro_yuan),
        "lines": list(each.lines),
        "subsidised": dict(each.subsidised),
        "approved_by": each.approved_by,
        "approved_why": each.approved_why,
        "parts": [
            {"line": p.line, "rate_permille": p.rate_permille, "amount_micro_yuan": str(p.amount_micro_yuan)}
            for p in each.redemption.parts
        ],
    }


def _line_record(each: StatementLine) -> dict[str, Any]:
    return {
        "what": each.what,
        "reference": each.reference,
        "charge_micro_yuan": str(each.charge_micro_yuan),
        "commission_micro_yuan": str(each.commission_micro_yuan),
        "tax_micro_yuan": str(each.tax_micro_yuan),
        "subsidy_micro_yuan": str(each.subsidy_micro_yuan),
    }


class _Seal:
    """The hashes of one file while it is written."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._bytes = 0
        self._open = b""
        self._blocks: list[str] = []

    def take(self, piece: bytes) -> None:
        """The next bytes of the file."""
        self._whole.update(piece)
        self._bytes += len(piece)
        self._open += piece
        while len(self._open) >= BLOCK_BYTES:
            self._block(self._open[:BLOCK_BYTES])
            self._open = self._open[BLOCK_BYTES:]

    def record(self) -> dict[str, Any]:
        """What the manifest says of the file."""
        if self._open:
            self._block(self._open)
            self._open = b""
        return {"bytes": self._bytes, "sha256": self._whole.hexdigest(), "blocks": self._blocks}

    def _block(self, block: bytes) -> None:
        self._blocks.append(hashlib.sha256(block).hexdigest()[:16])
