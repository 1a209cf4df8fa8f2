"""Closes periods: use becomes lines, lines become transfers, and both become every party's statement and its evidence.

Every step can be done again. A period is fixed in the books first, with all that its lines follow from; then its lines are posted, under
ids that follow from the lines, so that whoever comes after a crash posts the rest and nothing twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suanli.api.statement import Role
from suanli.api.voucher import VoucherProgram
from suanli.base.clock import time_text
from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing import limits, posting
from suanli.billing.decisions import Decision
from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.evidence import Award, Closed, Dossier, canonical
from suanli.billing.facts import Facts, read_facts, read_line
from suanli.billing.ledger import ACCEPTED, Ledger, LedgerAccount, Outcome, Transfer
from suanli.billing.line import RatedLine, line_record
from suanli.billing.owned import Unbilled
from suanli.billing.period import Period, calendar
from suanli.billing.rating import Rating, adjustments
from suanli.billing.statements import Party, bills
from suanli.billing.usage import MAX_SKEW_MS, Gap, PodUsage
from suanli.billing.vouchers import Claim, Granted, Rejected
from suanli.ledgerstore.books import BookStore, Closing, KeptAward
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.subsidies import Subsidies
from suanli.reconcile.used import Events, Used
from suanli.reconcile.vouchers import Standing, Vouchers, kept_back, kept_of, refused

MOST_AT_ONCE = 1_000  # transfers of one commit
LATEST = 3  # closed periods of which prepaid accounts may still have use that is counted


@dataclass(frozen=True)
class Preview:
    """A period as it stands: what was used, what it is rated to, what nobody is billed for, and what is not known.

    `used_by`: by account, kind, class and precision, of a transfer its link in place of the class; in the kind's unit.

    `gaps`: what nobody will ever know. `running`: pods whose end is not known yet, up to their last mark, where that is before the period's end.
    """

    period: Period
    used_by: Mapping[tuple[str, UsageKind, str, str], int]
    rating: Rating
    unbilled: tuple[Unbilled, ...]
    gaps: tuple[Gap, ...] = ()
    running: tuple[PodUsage, ...] = ()


class Books:
    """What was used, what was billed, and what was posted. Synchronous: whoever has an event loop calls it in a thread."""

    def __init__(self, usage: UsageStore, books: BookStore, ledger: Ledger, hub_id: str) -> None:
        self._usage = usage
        self._books = books
        self._ledger = ledger
        self._hub_id = hub_id
        self._vouchers = Vouchers(books, ledger)
        self._subsidies = Subsidies(books, ledger, self._vouchers)
        self._posted: set[str] = set()  # periods of which all is known to be in the ledger

    def preview(self, period: Period, facts: Facts) -> Preview:
        """What the period would be billed if it were closed now. Raises: SuanliError."""
        counted = self._usage.count()
        used = self._used(period, counted)
        sums: Counter[tuple[str, UsageKind, str, str]] = Counter()
        unbilled: list[Unbilled] = []

        def look(events: list[UsageEvent], not_billed: list[Unbilled]) -> None:
            unbilled.extend(not_billed)
            for event in events:
                sums[event.account, event.kind, event.class_ or event.link, event.precision] += event.amount

        rating = used.rated(replace(facts, providers=used.providers(), carriers=used.carriers()), look)
        running = [pod for pod in self._usage.open_pods(counted) if pod.end_ms < period.end_ms]
        gaps = self._gaps(period, counted)
        return Preview(period, sums, rating, tuple(unbilled), tuple(gaps), tuple(running))

    def close(self, period: Period, facts: Facts, now_ms: int) -> Closing:
        """Close a period that is over, and post it; one that is closed is posted as far as it is not yet. Raises: SuanliError."""
        closing = self.fix(period, facts, now_ms)
        self.post(closing)
        return closing

    def fix(self, period: Period, facts: Facts, now_ms: int) -> Closing:
        """Keep what a period that is over is billed, once; nothing is posted yet. Raises: SuanliError."""
        closing = self._books.closing(period.name)
        if closing is None:
            return self._fixed(period, facts, now_ms)
        if closing.period != period:
            raise _refused(f"period {period.name} was closed with other days; give this one another name")
        return closing

    def post(self, closing: Closing) -> None:
        """Post a closed period as far as it is not yet. Raises: SuanliError.

        Once all of it was acknowledged that is remembered, with the ledger's root; a ledger that has not come to that root is another
        one, or an older copy, and gets everything again.
        """
        name = closing.period.name
        root = self._books.posted(name)
        if root is None or not self._has(root):
            lines = self.lines(name)
            by_id = {line.id: line for line in lines}
            self._vouchers.post_corrected(by_id)
            self._post(lines, closing.closed_ms)
            self._vouchers.post(self._vouchers.of_period(closing.period, by_id), by_id)
            self._vouchers.give_back(by_id)
            if root is None:
                self._books.keep_posted(name, self._ledger.root())
        self._posted.add(name)

    def grant(self, program: VoucherProgram, claim: Claim) -> Granted | Rejected:
        """The voucher of a claim, or the rule that rejects it; asked again, the same. Raises: SuanliError."""
        return self._vouchers.grant(program, claim)

    def standings(self) -> dict[str, Standing]:
        """What became of each claim, by voucher. Raises: SuanliError."""
        return self._vouchers.standings()

    def pay_out(self, voucher: str, paid_micro_yuan: int, now_ms: int) -> int | Rejected:
        """Pay a rent subsidy or a deployment reward out, once. Raises: SuanliError."""
        return self._vouchers.pay_out(voucher, paid_micro_yuan, now_ms)

    def reimburse(self, now_ms: int) -> dict[str, Rejected]:
        """Pay users back by their vouchers what they paid of closed periods, once, and say by voucher why not; nothing while a
        period is closed and not posted by these books. Raises: SuanliError.
        """
        closings = self._books.closings()
        if any(closing.period.name not in self._posted for closing in closings):
            return {}
        return self._subsidies.reimburse(closings, now_ms)

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
        corrects = {line.adjusts for line in lines} | set(self._subsidies.roots(line for line in lines if line.adjusts))
        adjusted = [c for c in self._books.closings() if c.period.name in corrects]
        root = self._ledger.root()
        by_id = {line.id: line for line in lines}
        redeemed = self._vouchers.of_period(closing.period, by_id)
        below = [line for line in lines if line.net_micro_yuan < 0]
        subsidised = self._subsidies.subsidised(below, closing.closed_ms)
        reimbursed = self._subsidies.reimbursed(id_ for each in redeemed for id_ in each.lines if id_ not in by_id)
        asked = {each.voucher for each in redeemed} | {each.voucher for each in subsidised}
        decisions = self._vouchers.decisions(closing.period, asked)
        programs: dict[str, tuple[int, VoucherProgram]] = {}  # each as it was when a voucher was granted
        for decision in decisions:
            programs.setdefault(_as_granted(decision), (len(programs), decision.program))
        terms = {c.period.name: _terms(c, self._used(c.period, closing.counted)) for c in adjusted}
        tariffs = {t.metadata.name: t for each in (*terms.values(), facts) for t in each.tariffs}
        rated_by = [*((c.period, terms[c.period.name]) for c in adjusted), (closing.period, facts)]
        return Dossier(
            period=closing.period,
            events=Events(lambda: self._events(rated_by, closing.counted)),
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
            reimbursed=reimbursed,
            corrected=self._subsidies.corrected(
                {each.line for each in subsidised} | {each.line.id for each in reimbursed},
                [*below, *(each.line for each in reimbursed)],
                name,
            ),
            subsidised=subsidised,
            awards=[award for id_, award in self._awards().items() if id_ in by_id],
            scope=facts.scope,
            granted_by={each.claim.voucher: programs[_as_granted(each)][0] for each in decisions},
            unknown=self._unknown(closing.period),
            carriers=facts.carriers,
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

    def about(self, lines: Sequence[str]) -> tuple[dict[str, RatedLine], dict[str, int]]:
        """Those of these lines that were billed, and what disputes about them came to, in micro-yuan. Raises: SuanliError."""
        texts = {line: self._books.billed_line(line) for line in lines}
        awarded: dict[str, int] = {}
        for award in self._books.awards().values():
            if award.line in texts:
                awarded[award.line] = awarded.get(award.line, 0) + award.amount_micro_yuan
        return {line: read_line(text) for line, text in texts.items() if text is not None}, awarded

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
        used = self._used(period, counted)
        facts = replace(facts, providers=used.providers(), carriers=used.carriers(), hub=self._hub_id)
        lines = [
            *used.rated(facts).lines,
            *(line for other in earlier for line in self._late(period, other, counted)),
            *(
                posting.awarded(award.line, period.name, award.dispute, award.amount_micro_yuan)
                for id_, award in self._awards().items()
                if self._books.billed_line(id_) is None
            ),
        ]
        closing = Closing(period, counted, now_ms, facts.text())
        redeemed, known = self._vouchers.on_bills(period, lines, facts.scope, now_ms)
        back = self._subsidies.taken_back(period, lines, now_ms)
        texts = ((line.id, line.adjusts, _text(line)) for line in lines)
        return self._books.close_period(closing, texts, [*map(kept_of, redeemed), *map(kept_back, back)], known)

    def _late(self, period: Period, closed: Closing, counted: int) -> Sequence[RatedLine]:
        """What came too late for a closed period, as lines of this one."""
        start, end = closed.period.start_ms, closed.period.end_ms
        known = max(c.counted for c in self._books.closings())
        if not self._usage.heard_within(start, end, known, counted):
            return []
        used = self._used(closed.period, counted)
        now = used.rated(_terms(closed, used)).lines
        return adjustments(period, closed.period, self._billed_before(closed, None), now)

    def _awards(self) -> dict[str, Award]:
        """What disputes came to, by the id of the line that gives it."""
        found = {}
        for id_, kept in self._books.awards().items():
            text = self._books.billed_line(kept.line)
            assert text is not None, "only a billed line is disputed, and none goes"
            found[id_] = Award(read_line(text), kept.dispute, kept.amount_micro_yuan)
        return found

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

    def _gaps(self, period: Period, counted: int) -> list[Gap]:
        return [g for g in self._usage.gaps(counted) if g.start_ms < period.end_ms and g.end_ms > period.start_ms]

    def _unknown(self, period: Period) -> dict[Party, int]:
        """Pods of a period of which nobody will know for how long they ran, by consumer and by provider."""
        gaps = self._gaps(period, self._usage.count())
        agreements = self._usage.agreements_of({gap.job_uid for gap in gaps})
        found: Counter[Party] = Counter()
        for gap in gaps:
            agreement = agreements.get((gap.job_uid, gap.epoch))
            if agreement is not None:
                found[Party(Role.CONSUMER, agreement.account)] += gap.pods
                found[Party(Role.PROVIDER, agreement.provider)] += gap.pods
        return found

    def _used(self, period: Period, counted: int) -> Used:
        return Used(self._usage, period, counted, self._hub_id)

    def _events(self, periods: Iterable[tuple[Period, Facts]], counted: int) -> Iterator[UsageEvent]:
        """What periods were rated by."""
        for period, facts in periods:
            for _, events, _ in self._used(period, counted).by_account(facts.book(), facts.hub):
                yield from events

    # --- posting

    def _has(self, root: tuple[int, str]) -> bool:
        """Whether the ledger once came to this root."""
        count, hash_ = root
        if count == 0:
            return True
        last = next(self._ledger.entries(after=count - 1), None)
        return last is not None and last.hash == hash_

    def _post(self, lines: Sequence[RatedLine], time_ms: int) -> None:
        """Every line once, whoever began it."""
        self._ledger.open(list(_accounts(lines)))
        transfers = (transfer for line in lines for transfer in posting.post(line, time_ms))
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


def _whole_groups(transfers: Iterable[Transfer]) -> Iterator[list[Transfer]]:
    """Batches that part no group."""
    batch: list[Transfer] = []
    for transfer in transfers:
        if len(batch) >= MOST_AT_ONCE and transfer.linked != batch[-1].linked:
            yield batch
            batch = []
        batch.append(transfer)
    if batch:
        yield batch


def _terms(closed: Closing, used: Used) -> Facts:
    """What a closed period is rated by again: what held then, and whose sites and links were that were not heard of before."""
    facts = read_facts(closed.facts)
    carriers = {**used.carriers(), **facts.carriers}
    return replace(facts, providers={**used.providers(), **facts.providers}, carriers=carriers)


def _closed(period: Period, facts: Facts) -> Closed:
    names = [tariff.metadata.name for tariff in facts.tariffs]
    return Closed(period, names, facts.providers, facts.customers, facts.carriers)


def _as_granted(decision: Decision) -> str:
    program = decision.program
    return f"{program.metadata.name} {program.spec.model_dump_json()}"


def _text(line: RatedLine) -> str:
    return canonical(line_record(line))


def _refused(why: str) -> SuanliError:
    return SuanliError(Reason.BOOKS_REFUSED, why)
