"""Vouchers in the books and in the ledger: what is granted, what they pay of a bill, and what is left of each.

Every step can be done again. What is decided is kept first, then posted under ids that follow from it; a hold that the ledger refuses,
because somebody else was faster, makes a rejection of the grant.
"""

import logging
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suanli.api.voucher import Flow, ProgramKind, VoucherProgram
from suanli.base.clock import time_text
from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing import posting, vouchers
from suanli.billing.clawback import Paid
from suanli.billing.decisions import (
    Decision,
    Refusal,
    TakenBack,
    read_decision,
    read_redeemed,
    read_refusal,
    redeemed_text,
)
from suanli.billing.evidence import Redeemed, Subsidised
from suanli.billing.facts import read_line
from suanli.billing.ledger import ACCEPTED, Ledger, LedgerAccount, Outcome, Transfer, TransferKind, wrong_account
from suanli.billing.line import RatedLine
from suanli.billing.period import Period
from suanli.billing.vouchers import Claim, Given, Granted, Holding, Part, Redemption, Rejected, Scope
from suanli.ledgerstore.books import BookStore, KeptRedemption

LOG = logging.getLogger(__name__)
OF_NO_LINE = (ProgramKind.RENT, ProgramKind.DEPLOYMENT)
# What the ledger says of a redemption whose hold is gone: it expired; it was to be of the rest of such a one; or all of this was posted before.
HOLD_GONE = (Outcome.HOLD_OVER, Outcome.HOLD_UNKNOWN, Outcome.EXISTS_DIFFERENTLY)
PAYOUT_BILL = "payout"  # a voucher that is for no line of ours is paid out once


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a claim: a grant with what was redeemed of it, or a refusal. Units: micro-yuan."""

    decision: Decision | None
    refusal: Refusal | None = None
    redeemed_micro_yuan: int = 0
    bills: tuple[str, ...] = ()  # by which it was redeemed, in order
    taken_back_micro_yuan: int = 0  # because lines were corrected; it is not redeemed again
    late: tuple[str, ...] = ()  # those of the bills that were posted after the voucher had expired


class Vouchers:
    """All that was decided, read once and then as far as it is new. Synchronous, of one thread, as the stores are."""

    def __init__(self, store: BookStore, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._granted: dict[str, Decision] = {}
        self._refused: dict[str, Refusal] = {}
        self._redeemed: dict[str, list[Redeemed]] = {}
        self._in_order: list[Redeemed] = []
        self._taken_back: list[TakenBack] = []
        self._read = {"grants": 0, "rejections": 0, "redemptions": 0}
        self._held: set[str] = set()  # vouchers whose hold is known to be in the ledger
        self._of_contract: dict[str, list[Decision]] = {}
        self._late = store.late()  # bills by voucher

    # --- grants

    def grant(self, program: VoucherProgram, claim: Claim) -> Granted | Rejected:
        """The voucher of a claim, or why it is rejected; asked again, the same. Raises: SuanliError."""
        self._refresh()
        if claim.voucher in self._refused:
            return self._refused[claim.voucher].why
        if claim.voucher in self._granted:
            return self._hold(self._granted[claim.voucher])
        given = self._given(program, claim)
        found = vouchers.grant(program, claim, given)
        if isinstance(found, Rejected):
            return self._refuse(program, claim, found)
        decision = Decision(program, claim, given, found)
        for account in posting.voucher_accounts(program, decision.holding()):
            if wrong := wrong_account(account):
                return self._refuse(program, claim, Rejected(Reason.INVALID_SPEC, f"no account can be kept: {wrong}"))
        text = decision.text()
        kept = self._store.keep_grant(claim.voucher, text)
        if kept == text:  # the programme's limits are those of now
            self._ledger.open(posting.voucher_accounts(program, decision.holding()))
        return self._hold(read_decision(kept))

    def standings(self) -> dict[str, Standing]:
        """What became of each claim, by voucher. Raises: SuanliError."""
        self._refresh()
        for decision in list(self._granted.values()):
            self._hold(decision)
        found = {uid: Standing(None, refusal) for uid, refusal in self._refused.items()}
        back = Counter[str]()
        for each in self._taken_back:
            back[each.voucher] += each.amount_micro_yuan
        for uid, decision in self._granted.items():
            if uid not in found:
                bills = tuple(redeemed.bill for redeemed in self._redeemed.get(uid, ()))
                found[uid] = Standing(
                    decision, None, self._spent(uid), bills, back[uid], tuple(self._late.get(uid, ()))
                )
        return found

    def _given(self, program: VoucherProgram, claim: Claim) -> Given:
        year = vouchers.year(program, claim.time_ms)
        cap = posting.cap_account(program, claim.entity, claim.applicant_class, year)
        of_contract = [
            decision.granted.program
            for decision in self._of_contract.get(claim.contract, ())
            if decision.claim.voucher not in self._refused and decision.claim.entity in claim.family
        ]
        return Given(
            -self._ledger.balance(cap.name).least_micro_yuan,
            self._ledger.balance(posting.pool_account(program, year).name).most_micro_yuan,
            tuple(of_contract),
        )

    def _hold(self, decision: Decision) -> Granted | Rejected:
        """The grant, with its hold in the ledger; whoever kept the decision may have died before that."""
        program, claim = decision.program, decision.claim
        if claim.voucher in self._held:
            return decision.granted
        if claim.voucher in self._refused:
            return self._refused[claim.voucher].why
        if self._is_held(decision):
            return decision.granted
        hold = posting.grant_hold(program, decision.holding())
        (outcome,) = self._ledger.commit([hold])
        if outcome is Outcome.ACCOUNT_UNKNOWN:
            self._ledger.open(posting.voucher_accounts(program, decision.holding()))
            (outcome,) = self._ledger.commit([hold])
        if outcome in ACCEPTED:
            self._held.add(claim.voucher)
            return decision.granted
        if outcome is Outcome.HOLD_OVER:
            why = f"it would have expired at {time_text(decision.granted.expires_ms)}, before it was held for"
            return self._refuse(program, claim, Rejected(Reason.VOUCHER_EXPIRED, why))
        if outcome is Outcome.EXCEEDS_LIMIT:
            return self._refuse(program, claim, self._exceeded(decision))
        why = f"the ledger has something else under the voucher's id or refuses its hold ({outcome}); apply another one"
        return self._refuse(program, claim, Rejected(Reason.BOOKS_REFUSED, why))

    def _is_held(self, decision: Decision) -> bool:
        """Whether the grant's hold is in the ledger, and nobody refused the claim before it was."""
        uid = decision.claim.voucher
        if uid not in self._held and uid not in self._refused:
            hold = posting.grant_hold(decision.program, decision.holding())
            if self._ledger.transfer(hold.id) == hold:
                self._held.add(uid)
        return uid in self._held and uid not in self._refused

    def _exceeded(self, decision: Decision) -> Rejected:
        """Which limit of the ledger a grant would pass, because others were granted meanwhile."""
        program, claim, granted = decision.program, decision.claim, decision.granted
        given = self._given(program, claim)
        pool = program.spec.pool_per_year
        amount = granted.amount_micro_yuan
        if pool is not None and given.pool_micro_yuan + amount > int(pool):
            return Rejected(
                Reason.POOL_EXHAUSTED,
                f"{yuan_text(given.pool_micro_yuan)} CNY of {yuan_text(int(pool))} (poolPerYear) of {granted.year} are granted; "
                f"{yuan_text(amount)} more exceed it",
            )
        cap = vouchers.cap_micro_yuan(program, claim.applicant_class) or 0
        return Rejected(
            Reason.CAP_EXHAUSTED,
            f"{claim.entity} has {yuan_text(given.entity_micro_yuan)} CNY of {yuan_text(cap)} (capPerEntityYear) of "
            f"{granted.year}; {yuan_text(amount)} more exceed it",
        )

    def _refuse(self, program: VoucherProgram, claim: Claim, why: Rejected) -> Rejected:
        refusal = Refusal(program.metadata.name, vouchers.year(program, claim.time_ms), why)
        kept = read_refusal(self._store.keep_rejection(claim.voucher, refusal.text()))
        self._refused[claim.voucher] = kept
        return kept.why

    # --- redemptions

    def on_bills(
        self, period: Period, lines: Sequence[RatedLine], scope: Scope, now_ms: int
    ) -> tuple[list[Redeemed], int]:
        """What vouchers that cut bills pay of a period's lines, and the number of the last redemption that is known.

        Of one account's vouchers the one that expires first pays first. Nothing is kept yet. Raises: SuanliError.
        """
        standings = self.standings()
        by_account: dict[str, list[RatedLine]] = {}
        for line in lines:
            by_account.setdefault(line.account, []).append(line)
        granted = [
            (standing.decision, standing.redeemed_micro_yuan)
            for standing in standings.values()
            if standing.decision is not None
            and standing.decision.claim.entity in by_account
            and standing.decision.program.spec.flow is Flow.DEDUCT_AT_CHECKOUT
        ]
        granted.sort(key=lambda one: (one[0].granted.expires_ms, one[0].claim.time_ms, one[0].claim.voucher))
        made: list[Redeemed] = []
        subsidised: dict[str, dict[str, str]] = {}  # by account
        others: Counter[str] = Counter()  # what is paid by line
        for decision, spent in granted:
            own = by_account[decision.claim.entity]
            paid_for = subsidised.setdefault(decision.claim.entity, {})
            holding = decision.holding(spent)
            found = vouchers.redeem(
                decision.program, holding, own, scope, now_ms=now_ms, subsidised=paid_for, others=others
            )
            if isinstance(found, Rejected):
                continue
            if found.passed_over:
                reasons = Counter(str(why.reason) for _, why in found.passed_over)
                told = {"voucher": decision.claim.voucher, "period": period.name, "lines": dict(reasons)}
                LOG.info("a voucher does not pay for all lines", extra=told)
            if not found.parts:
                continue
            providers = [line.provider for line in own]
            if any(map(wrong_account, posting.voucher_accounts(decision.program, holding, providers))):
                continue  # no account of the ledger can have such a name: the bill is not cut, and nothing else waits
            made.append(_redeemed(holding, period, own, found, now_ms, subsidised=paid_for))
            paid_for |= {part.line: decision.program.metadata.name for part in found.parts}
            others.update({part.line: part.amount_micro_yuan for part in found.parts})
        return made, self._read["redemptions"]

    def to_pay_back(self, now_ms: int) -> list[Decision]:
        """The valid vouchers whose users get back what they paid of bills of ours, the one that expires first first. Raises: SuanliError."""
        found = [
            standing.decision
            for standing in self.standings().values()
            if standing.decision is not None
            and standing.decision.program.spec.flow is Flow.REIMBURSE_USER
            and not is_paid_out(standing)
            and now_ms < standing.decision.granted.expires_ms
            and standing.redeemed_micro_yuan < standing.decision.granted.amount_micro_yuan
        ]
        return sorted(found, key=lambda one: (one.granted.expires_ms, one.claim.time_ms, one.claim.voucher))

    def pay_back(
        self,
        decision: Decision,
        period: Period,
        own: Sequence[RatedLine],
        scope: Scope,
        *,
        paid_micro_yuan: int,
        taken: Mapping[str, int],
        closed: int,
        now_ms: int,
    ) -> Redeemed | Rejected:
        """Pay a user back what a voucher is for of a closed period's lines, once; or why not. Raises: SuanliError.

        `taken` is what corrections took of the lines since, as known when so many periods were `closed`.
        """
        uid = decision.claim.voucher
        holding = decision.holding(self._spent(uid))
        subsidised, others = self._paid_for({line.id for line in own})
        found = vouchers.redeem(
            decision.program, holding, own, scope, now_ms=now_ms, paid_micro_yuan=paid_micro_yuan, subsidised=subsidised,
            others=others, taken=taken,
        )  # fmt: skip
        if isinstance(found, Rejected):
            return found
        if not found.parts:
            return found.passed_over[0][1]
        made = _redeemed(holding, period, own, found, now_ms, subsidised=subsidised, paid_micro_yuan=paid_micro_yuan)
        self._store.keep_payout(kept_of(made), self._read["redemptions"], closed)
        self._refresh()
        self.post([made], {line.id: line for line in own})
        return made

    def paid_back(self) -> list[Redeemed]:
        """All that was paid back to users by bills of ours, in order. Raises: SuanliError."""
        self._refresh()
        return [each for each in self._in_order if self._is_paid_back(each)]

    def paid(self, lines: Container[str]) -> list[Paid]:
        """What vouchers paid of lines, less what was taken back, in the order in which it was paid. Raises: SuanliError."""
        self._refresh()
        back = Counter[tuple[str, str]]()
        for each in self._taken_back:
            back.update({(part.voucher, part.of): part.amount_micro_yuan for part in each.parts})
        return [
            Paid(
                each.voucher,
                part.line,
                self._granted[each.voucher].program.spec.flow,
                part.rate_permille,
                part.amount_micro_yuan - back[each.voucher, part.line],
            )
            for each in self._in_order
            for part in each.redemption.parts
            if part.line in lines
        ]

    def subsidised(self, lines: Container[str], until_ms: int) -> list[Subsidised]:
        """What evidence says of what vouchers paid of lines by then. Raises: SuanliError."""
        self._refresh()
        return [
            Subsidised(part.line, each.voucher, each.bill, part.rate_permille)
            for each in self._in_order
            if each.time_ms <= until_ms
            for part in each.redemption.parts
            if part.line in lines
        ]

    def taken_back(self, lines: Container[str]) -> list[TakenBack]:
        """What vouchers got back by these lines. Raises: SuanliError."""
        self._refresh()
        return [each for each in self._taken_back if each.parts[0].by in lines]

    def _paid_for(self, lines: Container[str]) -> tuple[dict[str, str], Counter[str]]:
        """Which programme pays for a line, the last one, and how much vouchers paid of it."""
        programs, amounts = {}, Counter[str]()
        for one in self.paid(lines):
            programs[one.line] = self._granted[one.voucher].program.metadata.name
            amounts[one.line] += one.amount_micro_yuan
        return programs, amounts

    def _is_paid_back(self, each: Redeemed) -> bool:
        program = self._granted[each.voucher].program
        return program.spec.flow is Flow.REIMBURSE_USER and program.spec.kind not in OF_NO_LINE

    def pay_out(
        self, voucher: str, paid_micro_yuan: int, now_ms: int, approved_by: str = "", approved_why: str = ""
    ) -> int | Rejected:
        """Pay a rent subsidy or a deployment reward out, once; what was paid, or why not yet. Raises: SuanliError."""
        self._refresh()
        decision = self._granted[voucher]
        before = self._redeemed.get(voucher, [])
        if not before:
            holding = decision.holding()
            found = vouchers.payout(decision.program, holding, now_ms=now_ms, paid_micro_yuan=paid_micro_yuan)
            if isinstance(found, Rejected):
                return found
            parts = (Part(PAYOUT_BILL, 0, found),)
            made = Redeemed(
                voucher, PAYOUT_BILL, now_ms, found, paid_micro_yuan, (), {}, Redemption(parts, ()), approved_by, approved_why
            )  # fmt: skip
            self._store.keep_payout(kept_of(made), self._read["redemptions"])
            self._refresh()
            before = self._redeemed[voucher]
        self.post(before, {})
        return before[0].redemption.amount_micro_yuan

    def of_period(self, period: Period, lines: Mapping[str, RatedLine]) -> list[Redeemed]:
        """The redemptions of a closed period: for its lines, and what was paid out or back in its time. Raises: SuanliError."""
        self._refresh()
        found = [
            each
            for each in self._in_order
            if (
                period.holds(each.time_ms)
                if each.bill == PAYOUT_BILL or self._is_paid_back(each)
                else any(part.line in lines for part in each.redemption.parts)
            )
        ]
        return sorted(found, key=lambda each: (each.time_ms, len(each.subsidised), each.voucher))

    def decisions(self, period: Period, asked: Container[str]) -> list[Decision]:
        """The grants that were made in a period or are asked for, with a hold in the ledger; nothing is held. Raises: SuanliError."""
        self._refresh()
        return [
            decision
            for uid, decision in self._granted.items()
            if (uid in asked or period.holds(decision.claim.time_ms)) and self._is_held(decision)
        ]

    def post(self, redemptions: Iterable[Redeemed], lines: Mapping[str, RatedLine]) -> None:
        """The transfers of redemptions that are kept; those that are there already change nothing. Raises: SuanliError."""
        for each in redemptions:
            decision = self._granted[each.voucher]
            self._hold(decision)
            of = self._lines(each, lines)
            transfers = list(self._transfers(decision, each, of))
            providers = [line.provider for line in of.values()]
            accounts = posting.voucher_accounts(decision.program, decision.holding(), providers)
            self._ledger.open([one for one in accounts if not _is_counter(one)])
            counters = [LedgerAccount(one.name) for one in accounts if _is_counter(one)]
            outcomes = self._commit(transfers, counters)
            if outcomes[0] in HOLD_GONE:
                transfers = posting.unheld(transfers)
                outcomes = self._commit(transfers, counters)
                if outcomes[0] in ACCEPTED:
                    self._say_late(each)
            _accepted(transfers, outcomes)

    def _commit(self, transfers: Sequence[Transfer], counters: Sequence[LedgerAccount]) -> list[Outcome]:
        """One redemption; it is paid also from a pool or cap that was made smaller than what is granted."""
        outcomes = self._ledger.commit(transfers)
        if Outcome.EXCEEDS_LIMIT in outcomes:
            self._ledger.open(counters)
            outcomes = self._ledger.commit(transfers)
        return outcomes

    def _say_late(self, each: Redeemed) -> None:
        """Keep that a redemption was posted after its hold had expired, and tell the log, once."""
        late = self._late.setdefault(each.voucher, [])
        if each.bill not in late:
            self._store.keep_late(each.voucher, each.bill)
            late.append(each.bill)
            told = {"voucher": each.voucher, "bill": each.bill}
            LOG.warning("a voucher's hold expired before what it pays was posted; it is paid all the same", extra=told)

    def post_corrected(self, lines: Container[str]) -> None:
        """The redemptions of lines that these lines correct, before they are corrected: a crash may have come between. Raises: SuanliError."""
        of = {part.of for each in self.taken_back(lines) for part in each.parts}
        self.post((each for each in self._in_order if any(p.line in of for p in each.redemption.parts)), {})

    def give_back(self, lines: Mapping[str, RatedLine]) -> None:
        """The transfers of what vouchers got back by a period's lines, the same way. Raises: SuanliError."""
        for each in self.taken_back(lines):
            decision = self._granted[each.voucher]
            parts = [(part, lines[part.by].provider) for part in each.parts]
            transfers = posting.given_back(decision.program, decision.holding(), each.period, parts, each.time_ms)
            _accepted(transfers, self._ledger.commit(transfers))

    def _lines(self, each: Redeemed, known: Mapping[str, RatedLine]) -> dict[str, RatedLine]:
        """The lines that a redemption is for."""
        found = {}
        for part in each.redemption.parts if each.bill != PAYOUT_BILL else ():
            text = None if part.line in known else self._store.billed_line(part.line)
            found[part.line] = known[part.line] if text is None else read_line(text)
        return found

    def _transfers(self, decision: Decision, each: Redeemed, lines: Mapping[str, RatedLine]) -> Iterator[Transfer]:
        hold = self._newest_hold(decision, each)
        holding, now_ms = decision.holding(), each.time_ms
        if decision.program.spec.kind in OF_NO_LINE:
            amount = each.redemption.amount_micro_yuan
            yield from posting.paid_out(decision.program, holding, hold, each.bill, amount, now_ms)
        else:
            parts = [(part, lines[part.line]) for part in each.redemption.parts]
            yield from posting.redeemed(decision.program, holding, hold, each.bill, parts, now_ms)

    def _newest_hold(self, decision: Decision, until: Redeemed) -> Transfer:
        """The hold that a redemption takes from: of the grant, or the rest of the redemption before it."""
        hold = posting.grant_hold(decision.program, decision.holding())
        for each in self._redeemed[until.voucher]:
            if each.bill == until.bill:
                break
            rest = hold.amount_micro_yuan - each.redemption.amount_micro_yuan
            id_ = f"{posting.VOUCHER}{each.voucher}:{each.bill}:rest"
            hold = replace(hold, id=id_, amount_micro_yuan=rest, kind=TransferKind.HOLD)
        return hold

    def _spent(self, voucher: str) -> int:
        return sum(each.redemption.amount_micro_yuan for each in self._redeemed.get(voucher, ()))

    # --- what is kept

    def _refresh(self) -> None:
        for number, uid, text in self._store.grants(self._read["grants"]):
            decision = self._granted[uid] = read_decision(text)
            self._of_contract.setdefault(decision.claim.contract, []).append(decision)
            self._read["grants"] = number
        for number, uid, text in self._store.rejections(self._read["rejections"]):
            self._refused[uid] = read_refusal(text)
            self._read["rejections"] = number
        for number, uid, text in self._store.redemptions(self._read["redemptions"]):
            each = read_redeemed(text)
            if isinstance(each, TakenBack):
                self._taken_back.append(each)
            else:
                self._redeemed.setdefault(uid, []).append(each)
                self._in_order.append(each)
            self._read["redemptions"] = number


def is_paid_out(standing: Standing) -> bool:
    """Whether it is a grant that is for no line of a bill: rent, or a deployment."""
    return standing.decision is not None and standing.decision.program.spec.kind in OF_NO_LINE


def kept_back(each: TakenBack) -> KeptRedemption:
    """What a voucher got back as the books keep it; no period has a name with a colon."""
    return KeptRedemption(each.voucher, f"{each.period}:back", each.time_ms, each.text())


def kept_of(each: Redeemed) -> KeptRedemption:
    """A redemption as the books keep it."""
    return KeptRedemption(each.voucher, each.bill, each.time_ms, redeemed_text(each))


def refused(transfer: Transfer, outcome: Outcome) -> SuanliError:
    """A transfer that the ledger refused."""
    why = f"transfer {transfer.id} of {transfer.debit} to {transfer.credit} was refused: {outcome}"
    return SuanliError(Reason.BOOKS_REFUSED, why)


def _accepted(transfers: Sequence[Transfer], outcomes: Sequence[Outcome]) -> None:
    for transfer, outcome in zip(transfers, outcomes, strict=True):
        if outcome not in (*ACCEPTED, Outcome.LINKED_FAILED):
            raise refused(transfer, outcome)


def _redeemed(
    holding: Holding,
    period: Period,
    own: Sequence[RatedLine],
    found: Redemption,
    now_ms: int,
    *,
    subsidised: Mapping[str, str],
    paid_micro_yuan: int = 0,
) -> Redeemed:
    return Redeemed(
        voucher=holding.claim.voucher,
        bill=period.name,
        time_ms=now_ms,
        remaining_micro_yuan=holding.remaining_micro_yuan,
        paid_micro_yuan=paid_micro_yuan,
        lines=tuple(line.id for line in own),
        subsidised=dict(subsidised),
        redemption=Redemption(found.parts, ()),
    )


def _is_counter(account: LedgerAccount) -> bool:
    return account.name.startswith(("voucher:", "cap:"))
