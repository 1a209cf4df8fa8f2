"""What a voucher programme grants and pays, or the rule that forbids it with its number. Pure.

Caps and pools are accounts of the ledger with limits, so what is found here only tells the amount and the reason: whoever
races past it is refused by the ledger (`posting.py`). All rounding is down: a rate is "at most".
Source: domain.md, section 4.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from suanli.api.policy import Side
from suanli.api.voucher import Choice, Flow, ProgramKind, Term, VoucherProgram
from suanli.base.clock import time_text
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing.event import UsageKind
from suanli.billing.line import RatedLine
from suanli.billing.period import local, midnight_ms

# What each kind of programme pays for; storage, energy and carbon are in none.
PAID_KINDS: Mapping[ProgramKind, frozenset[UsageKind]] = {
    ProgramKind.COMPUTE: frozenset(
        {UsageKind.CORE_TIME, UsageKind.CARD_TIME, UsageKind.MEMORY_TIME, UsageKind.NODE_TIME}
    ),
    ProgramKind.TRANSPORT: frozenset({UsageKind.TRANSFER}),
    ProgramKind.RENT: frozenset(),
    ProgramKind.DEPLOYMENT: frozenset(),
}
PERMILLE = 1_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody asks for.

    `family` has the entity and whoever it belongs to or owns. `own_class` is the account's own customer class, None where that was not kept;
    who declares another one needs an approval (`approved_by`). Units: micro-yuan, ms since the epoch.
    """

    voucher: str  # its UID
    entity: str
    family: frozenset[str]
    applicant_class: str
    contract: str  # its name, or "namespace/job"
    provider: str
    amount_micro_yuan: int
    contract_days: int
    time_ms: int
    units: int = 0
    own_class: str | None = None
    approved_by: str = ""
    approved_why: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What was granted before, by the ledger and the hub. Units: micro-yuan, of the programme and the claim's year."""

    entity_micro_yuan: int = 0
    pool_micro_yuan: int = 0
    programs_of_contract: tuple[str, ...] = ()  # of every voucher that the contract has


@dataclass(frozen=True, slots=True)
class Granted:
    """A voucher. `cut_by` names the limit that made it smaller, or is empty. Units: micro-yuan, ms since the epoch."""

    program: str
    year: int
    term: str
    rate_permille: int  # 0 of a reward
    amount_micro_yuan: int
    expires_ms: int
    cut_by: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The rule that said no, with its number."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A granted voucher as it stands. Units: micro-yuan, ms since the epoch."""

    claim: Claim
    grant: Granted
    remaining_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a line of a bill does not say of its site: the hub's side, and the chip of (site, class)."""

    side_of_site: Mapping[str, Side]
    chip_of_class: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Part:
    """What a voucher pays of one line. Units: micro-yuan."""

    line: str
    rate_permille: int
    amount_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """What a voucher pays of a bill, and why it does not pay other lines."""

    parts: tuple[Part, ...]
    passed_over: tuple[tuple[str, Rejected], ...]

    @property
    def amount_micro_yuan(self) -> int:
        """All of it."""
        return sum(part.amount_micro_yuan for part in self.parts)


def grant(program: VoucherProgram, claim: Claim, given: Given) -> Granted | Rejected:
    """The voucher, or the first rule that forbids it."""
    for reason, rule in RULES:
        why = rule(program, claim, given)
        if why:
            return Rejected(reason, why)
    spec = program.spec
    term = _terms_for(program, claim.applicant_class)[0]
    asked = _asked(term, claim)
    limits = {"capPerEntityYear": _cap_left(program, claim, given), "poolPerYear": _pool_left(program, given)}
    amount = min([asked, *(left for left in limits.values() if left is not None)])
    return Granted(
        program=program.metadata.name,
        year=year(program, claim.time_ms),
        term=term.name,
        rate_permille=term.rate_permille or 0,
        amount_micro_yuan=amount,
        expires_ms=claim.time_ms + spec.valid_days * 24 * 3_600_000,
        cut_by=next((name for name, left in limits.items() if left == amount != asked), ""),
    )


def year(program: VoucherProgram, time_ms: int) -> int:
    """The calendar year of a moment, in the programme's time zone."""
    return local(time_ms, program.spec.timezone).year


def terms_by_class(program: VoucherProgram, declared: str, own: str) -> list[str]:
    """The terms that an applicant has by the class that it declares and not by its own one."""
    known = {term.name for term in _terms_for(program, own)}
    return [term.name for term in _terms_for(program, declared) if term.name not in known]


def cap_micro_yuan(program: VoucherProgram, applicant_class: str) -> int | None:
    """Most that an entity of this class gets in a year: of its terms the highest cap; None for no cap."""
    caps = [t.cap_per_entity_year or program.spec.cap_per_entity_year for t in _terms_for(program, applicant_class)]
    return None if not caps or None in caps else max(int(cap) for cap in caps if cap)


def redeem(
    program: VoucherProgram,
    holding: Holding,
    lines: Sequence[RatedLine],
    scope: Scope,
    *,
    now_ms: int,
    paid_micro_yuan: int = 0,
    subsidised: Mapping[str, str] | None = None,
    others: Mapping[str, int] | None = None,
    taken: Mapping[str, int] | None = None,
) -> Redemption | Rejected:
    """What a voucher pays of the lines of a bill, in their order, until it is used up.

    `paid_micro_yuan` is what the user has paid of the bill, asked for by programmes that reimburse; `subsidised` names the
    programme that pays for a line already, `others` says how much vouchers paid of it, `taken` how much of it corrections
    took back since it was billed.
    """
    refused = _not_redeemable(holding, now_ms)
    if refused is not None:
        return refused
    refused = unpaid(sum(line.net_micro_yuan for line in lines), paid_micro_yuan)
    if program.spec.flow is Flow.REIMBURSE_USER and refused is not None:
        return refused
    left, parts, passed = holding.remaining_micro_yuan, [], []
    for line in lines:
        why = _outside(program, holding, line, scope) or _stacked(program, line, subsidised or {})
        rate = 0 if why else _rate(program, holding, line, scope)
        if why is None and not rate:
            why = Rejected(Reason.OUT_OF_SCOPE, f'no term is for chip "{_chip(line, scope)}" of class "{line.class_}"')
        net = line.net_micro_yuan - (taken or {}).get(line.id, 0)
        amount = min(left, share(program.spec.flow, net, (others or {}).get(line.id, 0), rate))
        if why is None and not amount:
            why = Rejected(
                Reason.VOUCHER_USED_UP, f"{yuan_text(left)} CNY are left, {rate} permille of the line are less"
            )
        if why is not None:
            passed.append((line.id, why))
            continue
        left -= amount
        parts.append(Part(line.id, rate, amount))
    return Redemption(tuple(parts), tuple(passed))


def unpaid(billed_micro_yuan: int, paid_micro_yuan: int) -> Rejected | None:
    """Why a user who paid so much of a bill gets nothing back yet."""
    if paid_micro_yuan >= billed_micro_yuan:
        return None
    return Rejected(
        Reason.NOT_PAID,
        f"{yuan_text(paid_micro_yuan)} CNY of {yuan_text(billed_micro_yuan)} were paid; the programme pays back what was paid "
        "in full",
    )


def share(flow: Flow, net_micro_yuan: int, others_micro_yuan: int, rate_permille: int) -> int:
    """What a voucher may pay of a line of which others paid a part: of what the user paid of it, or of the whole; never more
    than is left. Micro-yuan.
    """
    paid = max(0, net_micro_yuan - others_micro_yuan)
    if flow is Flow.REIMBURSE_USER:
        return paid * rate_permille // PERMILLE
    return min(paid, max(0, net_micro_yuan) * rate_permille // PERMILLE)


def payout(program: VoucherProgram, holding: Holding, *, now_ms: int, paid_micro_yuan: int) -> int | Rejected:
    """What a rent subsidy or a deployment reward pays: on no bill of ours, so by what was shown to be paid. Micro-yuan."""
    refused = _not_redeemable(holding, now_ms)
    if refused is not None:
        return refused
    claim = holding.claim
    if program.spec.kind is ProgramKind.RENT and paid_micro_yuan < claim.amount_micro_yuan:
        return Rejected(
            Reason.NOT_PAID,
            f"{yuan_text(paid_micro_yuan)} CNY of the {yuan_text(claim.amount_micro_yuan)} of contract {claim.contract} were paid",
        )
    return holding.remaining_micro_yuan


# --- rules of a grant, in the order in which they are told


def _not_in_force(program: VoucherProgram, claim: Claim, _given: Given) -> str | None:
    spec = program.spec
    begin = _midnight_ms(spec.from_, spec.timezone)
    end = None if spec.until is None else _midnight_ms(spec.until, spec.timezone)
    if begin <= claim.time_ms and (end is None or claim.time_ms < end):
        return None
    return f"claimed at {time_text(claim.time_ms)}, grants are from {spec.from_} until {spec.until or 'further notice'}"


def _not_for_the_applicant(program: VoucherProgram, claim: Claim, _given: Given) -> str | None:
    if _terms_for(program, claim.applicant_class):
        return None
    classes = sorted({name for term in program.spec.terms for name in term.applicant_classes})
    return f'applicant class "{claim.applicant_class}" has no term; there are terms for {", ".join(classes)}'


def _related(program: VoucherProgram, claim: Claim, _given: Given) -> str | None:
    if program.spec.related_parties is Choice.ALLOWED or claim.provider not in claim.family:
        return None
    return f'supplier "{claim.provider}" and applicant "{claim.entity}" belong together'


def _too_long(program: VoucherProgram, claim: Claim, _given: Given) -> str | None:
    most = program.spec.max_contract_days
    if most is None or claim.contract_days <= most:
        return None
    return f"contract {claim.contract} is for {claim.contract_days} days, maxContractDays is {most}"


def _claimed_already(program: VoucherProgram, claim: Claim, given: Given) -> str | None:
    count = given.programs_of_contract.count(program.metadata.name)
    if program.spec.repeated_claims is Choice.ALLOWED or not count:
        return None
    return f"contract {claim.contract} has {count} voucher of this programme; one is allowed"


def _stacks(program: VoucherProgram, claim: Claim, given: Given) -> str | None:
    others = sorted(set(given.programs_of_contract) - {program.metadata.name})
    if program.spec.stacking is Choice.ALLOWED or not others:
        return None
    return f"contract {claim.contract} has vouchers of {', '.join(others)}; the programme allows none beside its own"


def _below_minimum(program: VoucherProgram, claim: Claim, _given: Given) -> str | None:
    asked = _asked(_terms_for(program, claim.applicant_class)[0], claim)
    least = int(program.spec.min_amount or "1")
    if asked >= least:
        return None
    return f"the voucher would be {yuan_text(asked)} CNY, minAmount is {yuan_text(least)}"


def _cap_is_used_up(program: VoucherProgram, claim: Claim, given: Given) -> str | None:
    left = _cap_left(program, claim, given)
    if left is None or left >= int(program.spec.min_amount or "1"):
        return None
    cap = cap_micro_yuan(program, claim.applicant_class) or 0
    return (
        f"{claim.entity} has {yuan_text(given.entity_micro_yuan)} CNY of {yuan_text(cap)} (capPerEntityYear) of "
        f"{year(program, claim.time_ms)}, {yuan_text(max(0, left))} are left"
    )


def _pool_is_used_up(program: VoucherProgram, claim: Claim, given: Given) -> str | None:
    left = _pool_left(program, given)
    if left is None or left >= int(program.spec.min_amount or "1"):
        return None
    pool = int(program.spec.pool_per_year or "0")
    return (
        f"{yuan_text(given.pool_micro_yuan)} CNY of {yuan_text(pool)} (poolPerYear) of {year(program, claim.time_ms)} are "
        f"granted, {yuan_text(max(0, left))} are left"
    )


RULES: tuple[tuple[Reason, Callable[[VoucherProgram, Claim, Given], str | None]], ...] = (
    (Reason.NOT_IN_FORCE, _not_in_force),
    (Reason.APPLICANT_NOT_ELIGIBLE, _not_for_the_applicant),
    (Reason.RELATED_PARTIES, _related),
    (Reason.CONTRACT_TOO_LONG, _too_long),
    (Reason.CLAIMED_ALREADY, _claimed_already),
    (Reason.STACKING_FORBIDDEN, _stacks),
    (Reason.BELOW_MINIMUM, _below_minimum),
    (Reason.CAP_EXHAUSTED, _cap_is_used_up),
    (Reason.POOL_EXHAUSTED, _pool_is_used_up),
)


# --- of a redemption


def _not_redeemable(holding: Holding, now_ms: int) -> Rejected | None:
    if now_ms >= holding.grant.expires_ms:
        return Rejected(Reason.VOUCHER_EXPIRED, f"expired at {time_text(holding.grant.expires_ms)}")
    if holding.remaining_micro_yuan <= 0:
        return Rejected(Reason.VOUCHER_USED_UP, f"0.00 CNY of {yuan_text(holding.grant.amount_micro_yuan)} are left")
    return None


def _outside(program: VoucherProgram, holding: Holding, line: RatedLine, scope: Scope) -> Rejected | None:
    """Why a line is not what the voucher or its programme is for."""
    claim = holding.claim
    if line.account != claim.entity:
        return Rejected(
            Reason.NOT_TRANSFERABLE, f'the line is of account "{line.account}", the voucher of "{claim.entity}"'
        )
    eligible = program.spec.eligible
    asked: Iterable[tuple[str, str, Iterable[str]]] = (
        ("kind", line.kind, PAID_KINDS[program.spec.kind]),
        ("provider", line.provider, [claim.provider] if claim.provider else ()),
        ("job", f"{line.namespace}/{line.job}", [claim.contract] if "/" in claim.contract else ()),
        ("side", scope.side_of_site.get(line.site, "none"), eligible.sides if eligible else ()),
        ("site", line.site, eligible.sites if eligible else ()),
        ("class", line.class_, eligible.classes if eligible else ()),
        ("chip", _chip(line, scope), eligible.chips if eligible else ()),
    )
    for name, value, allowed in asked:
        if allowed and value not in allowed:
            return Rejected(Reason.OUT_OF_SCOPE, f'{name} "{value}" is not of {", ".join(sorted(allowed))}')
    return None


def _stacked(program: VoucherProgram, line: RatedLine, subsidised: Mapping[str, str]) -> Rejected | None:
    other = subsidised.get(line.id)
    if other is None or (other != program.metadata.name and program.spec.stacking is Choice.ALLOWED):
        return None
    return Rejected(Reason.STACKING_FORBIDDEN, f"programme {other} pays for line {line.id} already")


def _rate(program: VoucherProgram, holding: Holding, line: RatedLine, scope: Scope) -> int:
    """The highest rate for the line; 0 when no term is for its chip. Units: permille."""
    chip = _chip(line, scope)
    terms = _terms_for(program, holding.claim.applicant_class)
    return max((t.rate_permille or 0 for t in terms if not t.chips or chip in t.chips), default=0)


def _chip(line: RatedLine, scope: Scope) -> str:
    return scope.chip_of_class.get((line.site, line.class_), "")


# --- what both need


def _terms_for(program: VoucherProgram, applicant_class: str) -> list[Term]:
    """The terms for a class of applicant, the best one first."""
    terms = [t for t in program.spec.terms if not t.applicant_classes or applicant_class in t.applicant_classes]
    return sorted(terms, key=lambda t: (-(t.rate_permille or 0), -int(t.reward_per_unit or "0"), t.name))


def _asked(term: Term, claim: Claim) -> int:
    """What the term alone would pay. Micro-yuan."""
    if term.reward_per_unit is not None:
        return int(term.reward_per_unit) * claim.units
    return claim.amount_micro_yuan * (term.rate_permille or 0) // PERMILLE


def _cap_left(program: VoucherProgram, claim: Claim, given: Given) -> int | None:
    cap = cap_micro_yuan(program, claim.applicant_class)
    return None if cap is None else cap - given.entity_micro_yuan


def _pool_left(program: VoucherProgram, given: Given) -> int | None:
    pool = program.spec.pool_per_year
    return None if pool is None else int(pool) - given.pool_micro_yuan


def _midnight_ms(day: str, timezone: str) -> int:
    return midnight_ms(date.fromisoformat(day).toordinal(), timezone)
