"""Closes periods: use becomes lines, lines become transfers, and both become every party's statement and its evidence.

Every step can be done again. A period is fixed in the books first, with all that its lines follow from; then its lines are posted, under
ids that follow from the lines, so that whoever comes after a crash posts the rest and nothing twice.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from suanli.api.voucher import VoucherProgram
from suanli.base.clock import time_text
from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing import limits, posting
from suanli.billing.agreement import Agreement
from suanli.billing.decisions import Decision
from suanli.billing.event import UsageEvent
from suanli.billing.evidence import Award, Closed, Dossier
from suanli.billing.facts import Facts, read_facts, read_line
from suanli.billing.ledger import ACCEPTED, Ledger, LedgerAccount, Outcome, Transfer
from suanli.billing.line import RatedLine, line_record
from suanli.billing.owned import Unbilled, owned_events
from suanli.billing.period import Period, calendar
from suanli.billing.rating import Rating, adjustments, rate
from suanli.billing.statements import bills
from suanli.billing.usage import MAX_SKEW_MS
from suanli.billing.vouchers import Claim, Granted, Rejected
from suanli.ledgerstore.books import BookStore, Closing, KeptAward
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.vouchers import Standing, Vouchers, kept_of, refused

MOST_AT_ONCE = 1_000  # transfers of one commit
LATEST = 3  # closed periods of which prepaid accounts may still have use that is counted


@dataclass(frozen=True)
class Preview:
    """A period as it stands: what was used, what it is rated to, and what nobody is billed for."""

    period: Period
    events: tuple[UsageEvent, ...]
    rating: Rating
    unbilled: tuple[Unbilled, ...]


class Books:
    """What was used, what was billed, and what was posted. Synchronous: whoever has an event loop calls it in a thread."""

    def __init__(self, usage: UsageStore, books: BookStore, ledger: Ledger, hub_id: str) -> None:
        self._usage = usage
        self._books = books
        self._ledger = ledger
        self._hub_id = hub_id
        self._vouchers = Vouchers(books, ledger)

    def preview(self, period: Period, facts: Facts) -> Preview:
        """What the period would be billed if it were closed now. Raises: SuanliError."""
        counted = self._usage.count()
        return self._rated(period, replace(facts, providers=self._providers(period, counted)), counted)

    def close(self, period: Period, facts: Facts, now_ms: int) -> Closing:
        """Close a period that is over, and post it; one that is closed is posted as far as it is not yet. Raises: SuanliError."""
        closing = self._books.closing(period.name)
        if closing is None:
            closing = self._fixed(period, facts, now_ms)
        elif closing.period != period:
            raise _refused(f"period {period.name} was closed with other days; give this one another name")
        lines = self.lines(period.name)
        self._post(lines, closing.closed_ms)
        by_id = {line.id: line for line in lines}
        self._vouchers.post(self._vouchers.of_period(period, by_id), by_id)
        return closing

    def grant(self, program: VoucherProgram, claim: Claim) -> Granted | Rejected:
        """The voucher of a claim, or the rule that rejects it; asked again, the same. Raises: SuanliError."""
        return self._vouchers.grant(program, claim)

    def standings(self) -> dict[str, Standing]:
        """What became of each claim, by voucher. Raises: SuanliError."""
        return self._vouchers.standings()

    def pay_out(self, voucher: str, paid_micro_yuan: int, now_ms: int) -> int | Rejected:
        """Pay a rent subsidy or a deployment reward out, once. Raises: SuanliError."""
        return self._vouchers.pay_out(voucher, paid_micro_yuan, now_ms)

    def closings(self) -> list[Closing]:
        """The closed periods, in the order of closing. Raises: SuanliError."""
        return self._books.closings()

    def began_ms(self) -> int | None:
        """When anything may have run for the first time, by a member's clock; None when nothing did. Raises: SuanliError."""
        sent_ms = self._usage.began_ms()
        return None if sent_ms is None else sent_ms - MAX_SKEW_MS

    def leave(self) -> None:
        """Give the files back."""
        self._usage.close()
        self._books.close()
        self._ledger.close()

    def give_back(self, accounts: Sequence[str], timezone: str, time_ms: int) -> None:
        """What prepaid accounts used in months whose bills are posted counts no more beside the bills. Raises: SuanliError.

        The limit follows the bill first: what an account may spend is never too much in between.
        """
        closed = [closing.period for closing in self._books.closings()]
        months = {calendar(period.start_ms, 1, timezone) for period in closed[-LATEST:]}
        for month in (month for month in months if _is_whole(month, closed)):
            for account in accounts:
                left = self._ledger.balance(limits.unbilled(account, month.name))
                back = limits.given_back(account, month.name, left, time_ms)
                if back is None:
                    continue
                paid = self.balance_micro_yuan(posting.consumer(account))
                self._ledger.open([LedgerAccount(limits.prepaid(account), -paid)])
                (outcome,) = self._ledger.commit([back])
                if outcome not in (*ACCEPTED, Outcome.EXISTS_DIFFERENTLY):  # by another process, at another time
                    raise refused(back, outcome)

    def lines(self, period: str) -> list[RatedLine]:
        """What was billed for a closed period. Raises: SuanliError."""
        return [read_line(text) for text in self._books.billed(period)]

    def dossier(self, name: str) -> Dossier:
        """All of a closed period, for its statements and their evidence. Raises: SuanliError."""
        closing = self._books.closing(name)
        if closing is None:
            raise _refused(f"period {name} is not closed; close it first")
        facts = read_facts(closing.facts)
        lines = self.lines(name)
        adjusted = [c for c in self._books.closings() if any(line.adjusts == c.period.name for line in lines)]
        root = self._ledger.root()
        by_id = {line.id: line for line in lines}
        redeemed = self._vouchers.of_period(closing.period, by_id)
        decisions = self._vouchers.decisions(closing.period, redeemed)
        programs: dict[str, tuple[int, VoucherProgram]] = {}  # each as it was when a voucher was granted
        for decision in decisions:
            programs.setdefault(_as_granted(decision), (len(programs), decision.program))
        terms = {c.period.name: self._terms(c, closing.counted) for c in adjusted}
        tariffs = {t.metadata.name: t for each in (*terms.values(), facts) for t in each.tariffs}
        late = (self._rated(c.period, terms[c.period.name], closing.counted).events for c in adjusted)
        return Dossier(
            period=closing.period,
            events=[*chain.from_iterable(late), *self._rated(closing.period, facts, closing.counted).events],
            tariffs=[tariffs[name] for name in sorted(tariffs)],
            rated_by=[tariff.metadata.name for tariff in facts.tariffs],
            providers=facts.providers,
            customers=facts.customers,
            lines=lines,
            entries=self._ledger.entries(),
            bills=bills(closing.period, self._ledger.entries(), by_id, root),
            root=root,
            closed=[_closed(c.period, terms[c.period.name]) for c in adjusted],
            billed=[line for c in adjusted for line in self._billed_before(c, closing)],
            programs=[program for _, program in programs.values()],
            holdings=[(decision.holding(), decision.given) for decision in decisions],
            redeemed=redeemed,
            awards=[award for id_, award in self._awards().items() if id_ in by_id],
            scope=facts.scope,
            granted_by={each.claim.voucher: programs[_as_granted(each)][0] for each in decisions},
        )

    def pay(self, account: str, amount_micro_yuan: int, id_: str, time_ms: int) -> Outcome:
        """A party pays so much, or below zero is paid; the same id again changes nothing. Raises: SuanliError."""
        self._ledger.open([LedgerAccount(account), posting.cash_account(account)])
        (outcome,) = self._ledger.commit([posting.payment(account, amount_micro_yuan, id_, time_ms)])
        return outcome

    def balance_micro_yuan(self, account: str) -> int:
        """What an account has; below zero it owes. Raises: SuanliError."""
        return self._ledger.balance(account).posted_micro_yuan

    def award(self, line_id: str, dispute: str, amount_micro_yuan: int) -> Award:
        """End a dispute about a billed line: so much less is owed, with the next period that is closed. Again: the same.

        Raises: SuanliError, also for a line that nobody was billed, for more than it came to, and for another award of the same dispute.
        """
        text = self._books.billed_line(line_id)
        if text is None:
            raise _refused(f"no line {line_id} was billed; copy its id from the statement")
        line = read_line(text)
        id_ = posting.award_id(line_id, dispute)
        others = sum(a.amount_micro_yuan for i, a in self._books.awards().items() if a.line == line_id and i != id_)
        if not 0 < amount_micro_yuan <= line.net_micro_yuan - others:
            left = yuan_text(max(0, line.net_micro_yuan - others))
            raise _refused(f"line {line_id} has {left} CNY left that can be given back; award no more, and more than 0")
        kept = self._books.keep_award(id_, KeptAward(line_id, dispute, amount_micro_yuan))
        if kept.amount_micro_yuan != amount_micro_yuan:
            came = yuan_text(kept.amount_micro_yuan)
            raise _refused(
                f"dispute {dispute} about line {line_id} ended with {came} CNY; give another one its own name"
            )
        return Award(line, dispute, amount_micro_yuan)

    # --- closing

    def _fixed(self, period: Period, facts: Facts, now_ms: int) -> Closing:
        """The period in the books, with its lines and what they follow from."""
        if now_ms < period.end_ms:
            raise _refused(f"period {period.name} ends at {time_text(period.end_ms)}; it can be closed after that")
        earlier = self._books.closings()
        for other in earlier:
            if other.period.start_ms < period.end_ms and period.start_ms < other.period.end_ms:
                raise _refused(f"period {period.name} overlaps {other.period.name}, which is closed; name other days")
        counted = self._usage.count()
        facts = replace(facts, providers=self._providers(period, counted))
        lines = [
            *self._rated(period, facts, counted).rating.lines,
            *(line for other in earlier for line in self._late(period, other, counted)),
            *(
                posting.awarded(award.line, period.name, award.dispute, award.amount_micro_yuan)
                for id_, award in self._awards().items()
                if self._books.billed_line(id_) is None
            ),
        ]
        closing = Closing(period, counted, now_ms, facts.text())
        redeemed, known = self._vouchers.on_bills(period, lines, facts.scope, now_ms)
        texts = ((line.id, line.adjusts, _text(line)) for line in lines)
        return self._books.close_period(closing, texts, map(kept_of, redeemed), known)

    def _late(self, period: Period, closed: Closing, counted: int) -> Sequence[RatedLine]:
        """What came too late for a closed period, as lines of this one."""
        start, end = closed.period.start_ms, closed.period.end_ms
        known = max([c.counted for c in self._books.closings()])
        if len(self._usage.run_within(start, end, counted)) == len(self._usage.run_within(start, end, known)):
            return []
        now = self._rated(closed.period, self._terms(closed, counted), counted).rating.lines
        return adjustments(period, closed.period, self._billed_before(closed, None), now)

    def _awards(self) -> dict[str, Award]:
        """What disputes came to, by the id of the line that gives it."""
        found = {}
        for id_, kept in self._books.awards().items():
            text = self._books.billed_line(kept.line)
            assert text is not None, "only a billed line is disputed, and none goes"
            found[id_] = Award(read_line(text), kept.dispute, kept.amount_micro_yuan)
        return found

    def _terms(self, closed: Closing, counted: int) -> Facts:
        """What a closed period is rated by again: what held then, and whose the sites were that were not heard of before."""
        facts = read_facts(closed.facts)
        return replace(facts, providers={**self._providers(closed.period, counted), **facts.providers})

    def _billed_before(self, closed: Closing, until: Closing | None) -> list[RatedLine]:
        """What was billed of a closed period, in it and in later ones up to another."""
        own = [line for line in self.lines(closed.period.name) if not line.adjusts]
        awards = self._books.awards()  # what was agreed upon stays, whatever use is heard of later
        later = [
            line for text in self._books.adjusting(closed.period.name) if (line := read_line(text)).id not in awards
        ]
        if until is None:
            return own + later
        order = [c.period.name for c in self._books.closings()]
        return own + [line for line in later if order.index(line.period) < order.index(until.period.name)]

    def _rated(self, period: Period, facts: Facts, counted: int) -> Preview:
        book = facts.book()
        pods = self._usage.run_within(period.start_ms, period.end_ms, counted)
        jobs = list(dict.fromkeys(pod.job_uid for pod in pods))
        given_up = {job_uid: self._usage.given_up(job_uid) for job_uid in jobs}
        events, unbilled = owned_events(
            pods, self._agreements(jobs), given_up.__getitem__, period, self._hub_id, book.borders
        )
        return Preview(period, tuple(events), rate(events, book, facts.customers, period), tuple(unbilled))

    def _providers(self, period: Period, counted: int) -> dict[str, str]:
        """Whose the sites were when the last of the period's attempts was sent there."""
        pods = self._usage.run_within(period.start_ms, period.end_ms, counted)
        agreements = self._agreements(dict.fromkeys(pod.job_uid for pod in pods))
        return {one.site: one.provider for one in sorted(agreements.values(), key=lambda one: one.made_ms)}

    def _agreements(self, jobs: Iterable[str]) -> dict[tuple[str, int], Agreement]:
        found = ((job_uid, self._usage.agreements(job_uid)) for job_uid in jobs)
        return {(job_uid, epoch): one for job_uid, of_job in found for epoch, one in of_job.items()}

    # --- posting

    def _post(self, lines: Sequence[RatedLine], time_ms: int) -> None:
        """Every line once, whoever began it."""
        self._ledger.open(list(_accounts(lines)))
        transfers = [transfer for line in lines for transfer in posting.post(line, time_ms)]
        for batch in _whole_groups(transfers):
            for transfer, outcome in zip(batch, self._ledger.commit(batch), strict=True):
                if outcome not in ACCEPTED:
                    raise refused(transfer, outcome)


def _is_whole(month: Period, closed: Iterable[Period]) -> bool:
    """Whether all days of a month are closed; closed periods do not overlap."""
    parts = (min(month.end_ms, p.end_ms) - max(month.start_ms, p.start_ms) for p in closed)
    return sum(part for part in parts if part > 0) == month.end_ms - month.start_ms


def _accounts(lines: Sequence[RatedLine]) -> Iterator[LedgerAccount]:
    yield from {account.name: account for line in lines for account in posting.accounts(line)}.values()


def _whole_groups(transfers: Sequence[Transfer]) -> Iterator[list[Transfer]]:
    """Batches that part no group."""
    batch: list[Transfer] = []
    for transfer in transfers:
        if len(batch) >= MOST_AT_ONCE and transfer.linked != batch[-1].linked:
            yield batch
            batch = []
        batch.append(transfer)
    if batch:
        yield batch


def _closed(period: Period, facts: Facts) -> Closed:
    return Closed(period, [tariff.metadata.name for tariff in facts.tariffs], facts.providers, facts.customers)


def _as_granted(decision: Decision) -> str:
    program = decision.program
    return f"{program.metadata.name} {program.spec.model_dump_json()}"


def _text(line: RatedLine) -> str:
    return json.dumps(line_record(line), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _refused(why: str) -> SuanliError:
    return SuanliError(Reason.BOOKS_REFUSED, why)
