"""Lines of a bill and vouchers as transfers of the ledger. Pure.

A party's account has credits less debits: above zero it gets money, below it owes it. All transfers of a line, and all of a
voucher's redemption, are one group: the ledger takes all of them or none. Their ids come from the line's or voucher's id, so
that posting twice changes nothing, and posting something else under the same id is refused.

Caps and pools are accounts that no money passes through: a grant is a hold from `cap:PROGRAM:ENTITY:YEAR`, whose balance may
not fall below less the cap, to `voucher:PROGRAM:YEAR`, whose balance may not rise above the pool. So both are checked where
the hold is committed, whoever else is writing.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from suanli.api.voucher import Flow, ProgramKind, VoucherProgram
from suanli.base.names import short_hash
from suanli.billing.clawback import Back
from suanli.billing.event import UsageKind
from suanli.billing.ledger import LedgerAccount, Transfer, TransferKind, wrong_account
from suanli.billing.line import ID_LENGTH, RatedLine
from suanli.billing.vouchers import PERMILLE, Holding, Part, cap_micro_yuan

COMMISSION = "operator:commission"
TAX = "tax:payable"
VOUCHER = "voucher:"  # how the reference of what a voucher pays begins
PAYOUT = "payout:"  # of what a voucher pays for no line of ours
PAYMENT = "payment:"
_AWKWARD = re.compile(r"[%:\s\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Shares:
    """Who gets what of a line; they add up to its net amount, and all have its sign. Units: micro-yuan."""

    tax: int
    commission: int
    provider: int


def shares(line: RatedLine) -> Shares:
    """Tax is in the net amount (net x t / (1000 + t)); commission is a part of what is left; both half to even."""
    sign = -1 if line.net_micro_yuan < 0 else 1
    net = abs(line.net_micro_yuan)
    tax = half_even(net * line.tax_permille, PERMILLE + line.tax_permille)
    commission = half_even((net - tax) * line.commission_permille, PERMILLE)
    return Shares(sign * tax, sign * commission, sign * (net - tax - commission))


def half_even(numerator: int, denominator: int) -> int:
    """A quotient of numbers that are not negative, rounded to the nearest, a half to the even one."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


# --- accounts


def consumer(account: str) -> str:
    """What a ComputeAccount owes."""
    return f"consumer:{part(account)}"


def seller(line: RatedLine) -> str:
    """Who sold what a line is for: the provider, or for transfers the network operator."""
    return f"{'network' if line.kind is UsageKind.TRANSFER else 'provider'}:{part(line.provider)}"


def no_account(provider: str) -> str:
    """Why nothing can be posted to a provider, or paid to it; empty when it can."""
    return wrong_account(cash_account(f"provider:{part(provider)}"))


def subsidy(program: VoucherProgram, provider: str = "") -> str:
    """What an issuer owes; of a bill that was cut, the receivable of one provider."""
    return f"subsidy:{part(program.spec.issuer)}" + (f":{part(provider)}" if provider else "")


def pool_account(program: VoucherProgram, year: int) -> LedgerAccount:
    """The pool of a programme's year; its credits are what was granted."""
    pool = program.spec.pool_per_year
    return LedgerAccount(f"voucher:{program.metadata.name}:{year}", None, None if pool is None else int(pool))


def cap_account(program: VoucherProgram, entity: str, applicant_class: str, year: int) -> LedgerAccount:
    """The cap of an entity and year; its debits are what was granted."""
    cap = cap_micro_yuan(program, applicant_class)
    return LedgerAccount(f"cap:{program.metadata.name}:{part(entity)}:{year}", None if cap is None else -cap)


def part(name: str) -> str:
    """A name as one part of an account's: colons, blanks and what controls printers are written as %XX."""
    return _AWKWARD.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)


def whole(part_: str) -> str:
    """The name again."""
    return bytes.fromhex(
        re.sub(r"%([0-9A-F]{2})|(.)", lambda m: m[1] or m[2].encode().hex(), part_, flags=re.DOTALL)
    ).decode()


# --- lines


def post(line: RatedLine, time_ms: int) -> list[Transfer]:
    """The transfers of a line; none of a line that costs nothing. An adjustment below zero goes the other way."""
    found, paid = shares(line), consumer(line.account)
    made = (
        ("tax", TAX, found.tax),
        ("commission", COMMISSION, found.commission),
        ("provider", seller(line), found.provider),
    )
    return [
        Transfer(
            id=f"{line.id}:{name}",
            debit=paid if amount > 0 else account,
            credit=account if amount > 0 else paid,
            amount_micro_yuan=abs(amount),
            kind=TransferKind.POST,
            time_ms=time_ms,
            reference=line.id,
            linked=line.id,
        )
        for name, account, amount in made
        if amount
    ]


def accounts(line: RatedLine) -> list[LedgerAccount]:
    """The accounts that its transfers need, without limits: what was used is owed; `limits.py` bounds what is begun."""
    return list(map(LedgerAccount, (consumer(line.account), TAX, COMMISSION, seller(line))))


def awarded(line: RatedLine, period: str, dispute: str, amount_micro_yuan: int) -> RatedLine:
    """The adjustment by which a dispute about a line ends: so much less is owed, in a later period. Nothing is edited."""
    return replace(
        line,
        id=award_id(line.id, dispute),
        period=period,
        adjusts=line.period,
        quantity=0,
        list_micro_yuan=-amount_micro_yuan,
        discount_micro_yuan=0,
        net_micro_yuan=-amount_micro_yuan,
        events=0,
    )


def award_id(line: str, dispute: str) -> str:
    """The id of the line by which a dispute about another one ends."""
    return short_hash("dispute", line, dispute, length=ID_LENGTH)


# --- vouchers


def grant_hold(program: VoucherProgram, holding: Holding) -> Transfer:
    """The hold of a grant, which expires with the voucher."""
    claim, granted = holding.claim, holding.grant
    return Transfer(
        id=f"{VOUCHER}{claim.voucher}:granted",
        debit=cap_account(program, claim.entity, claim.applicant_class, granted.year).name,
        credit=pool_account(program, granted.year).name,
        amount_micro_yuan=granted.amount_micro_yuan,
        kind=TransferKind.HOLD,
        time_ms=claim.time_ms,
        expires_ms=granted.expires_ms,
        reference=f"{VOUCHER}{claim.voucher}",
    )


def redeemed(
    program: VoucherProgram,
    holding: Holding,
    hold: Transfer,
    bill: str,
    parts: Sequence[tuple[Part, RatedLine]],
    now_ms: int,
) -> list[Transfer]:
    """One redemption of a voucher for a bill: its hold is posted in part, the rest held again, and each line subsidised.

    `hold` is the voucher's newest hold; the rest is the last transfer's, if it is a hold. Each bill can be redeemed once.
    What is paid back to the user belongs to the period in which that is done, not to the one of the lines.
    """
    group = f"{VOUCHER}{holding.claim.voucher}:{bill}"
    amount = sum(each.amount_micro_yuan for each, _ in parts)
    money = [
        _money(program, holding, group, each.line, line.provider, each.amount_micro_yuan, now_ms)
        for each, line in parts
    ]
    if program.spec.flow is Flow.REIMBURSE_USER:
        money = [replace(each, reference=f"{PAYOUT}{holding.claim.voucher}:{bill}") for each in money]
    return [*_taken(hold, group, amount, now_ms), *money, *_rest(hold, group, amount, now_ms)]


def paid_out(
    program: VoucherProgram, holding: Holding, hold: Transfer, bill: str, amount_micro_yuan: int, now_ms: int
) -> list[Transfer]:
    """The same of a subsidy that is for no line: rent and deployment."""
    group = f"{VOUCHER}{holding.claim.voucher}:{bill}"
    money = replace(
        _money(program, holding, group, bill, "", amount_micro_yuan, now_ms),
        reference=f"{PAYOUT}{holding.claim.voucher}:{bill}",
    )
    taken, rest = _taken(hold, group, amount_micro_yuan, now_ms), _rest(hold, group, amount_micro_yuan, now_ms)
    return [*taken, money, *rest]


def unheld(transfers: Iterable[Transfer]) -> list[Transfer]:
    """The same redemption taken from no hold, because that expired after the redemption was kept and before it was posted.

    It was made while the voucher was valid, so it is paid; of an expired voucher nothing is held again.
    """
    return [
        replace(each, kind=TransferKind.POST, hold="") if each.kind is TransferKind.POST_HOLD else each
        for each in transfers
        if each.kind is not TransferKind.HOLD
    ]


def given_back(
    program: VoucherProgram, holding: Holding, period: str, parts: Sequence[tuple[Back, str]], now_ms: int
) -> list[Transfer]:
    """What a voucher gets back in a period, each part with the provider of its line; cap and pool have room for it again."""
    claim = holding.claim
    group = f"{VOUCHER}{claim.voucher}:{period}:back"
    hold = grant_hold(program, holding)
    freed = Transfer(
        id=group,
        debit=hold.credit,
        credit=hold.debit,
        amount_micro_yuan=sum(each.amount_micro_yuan for each, _ in parts),
        kind=TransferKind.POST,
        time_ms=now_ms,
        reference=hold.reference,
        linked=group,
    )
    money = [
        Transfer(
            id=f"{VOUCHER}{claim.voucher}:{each.by}:{each.of}",
            debit=_beneficiary(program, holding),
            credit=_debtor(program, provider),
            amount_micro_yuan=each.amount_micro_yuan,
            kind=TransferKind.POST,
            time_ms=now_ms,
            reference=f"{VOUCHER}{claim.voucher}:{each.by}",
            linked=group,
        )
        for each, provider in parts
    ]
    return [*money, freed]


def voucher_accounts(program: VoucherProgram, holding: Holding, providers: Sequence[str] = ()) -> list[LedgerAccount]:
    """The accounts that a voucher's transfers need."""
    claim, granted = holding.claim, holding.grant
    return [
        pool_account(program, granted.year),
        cap_account(program, claim.entity, claim.applicant_class, granted.year),
        LedgerAccount(_beneficiary(program, holding)),
        *(LedgerAccount(name) for name in dict.fromkeys(_debtor(program, provider) for provider in (*providers, ""))),
    ]


# --- payments


def payment(account: str, amount_micro_yuan: int, id_: str, time_ms: int) -> Transfer:
    """A party pays what it owes; below zero, it is paid what it gets. Cash is outside: its account has no limit."""
    cash = cash_account(account).name
    paid_in = amount_micro_yuan > 0
    return Transfer(
        id=f"{PAYMENT}{id_}",
        debit=cash if paid_in else account,
        credit=account if paid_in else cash,
        amount_micro_yuan=abs(amount_micro_yuan),
        kind=TransferKind.POST,
        time_ms=time_ms,
        reference=f"{PAYMENT}{id_}",
    )


def cash_account(account: str) -> LedgerAccount:
    """Where the money of an account comes from and goes to."""
    return LedgerAccount(f"cash:{account}")


def _taken(hold: Transfer, group: str, amount: int, now_ms: int) -> Iterator[Transfer]:
    yield replace(
        hold,
        id=f"{group}:taken",
        amount_micro_yuan=amount,
        kind=TransferKind.POST_HOLD,
        time_ms=now_ms,
        hold=hold.id,
        expires_ms=0,
        linked=group,
    )


def _rest(hold: Transfer, group: str, amount: int, now_ms: int) -> Iterator[Transfer]:
    rest = hold.amount_micro_yuan - amount
    if rest > 0:
        yield replace(hold, id=f"{group}:rest", amount_micro_yuan=rest, time_ms=now_ms, linked=group)


def _money(
    program: VoucherProgram, holding: Holding, group: str, line: str, provider: str, amount: int, now_ms: int
) -> Transfer:
    return Transfer(
        id=f"{group}:{line}",
        debit=_debtor(program, provider),
        credit=_beneficiary(program, holding),
        amount_micro_yuan=amount,
        kind=TransferKind.POST,
        time_ms=now_ms,
        reference=f"{VOUCHER}{holding.claim.voucher}:{line}",
        linked=group,
    )


def _debtor(program: VoucherProgram, provider: str) -> str:
    return subsidy(program, provider if program.spec.flow is Flow.DEDUCT_AT_CHECKOUT else "")


def _beneficiary(program: VoucherProgram, holding: Holding) -> str:
    """Who gets it: a deployment is rewarded to the provider who deployed, all else to the consumer."""
    claim = holding.claim
    if program.spec.kind is ProgramKind.DEPLOYMENT:
        return f"provider:{part(claim.provider or claim.entity)}"
    return consumer(claim.entity)
