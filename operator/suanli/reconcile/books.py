"""Closes periods: use becomes lines, lines become transfers, and both become every party's statement and its evidence.

Every step can be done again. A period is fixed in the books first, with all that its lines follow from; then its lines are posted, under
ids that follow from the lines, so that whoever comes after a crash posts the rest and nothing twice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from suanli.api.voucher import VoucherProgram
from suanli.base.clock import time_text
from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing import limits, posting
from suanli.billing.decisions import Decision
from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.evidence import Award, Closed, Dossier, Unknown, canonical
from suanli.billing.facts import Facts, read_facts, read_line
from suanli.billing.inclusion import Tree
from suanli.billing.ledger import ACCEPTED, Entry, Ledger, LedgerAccount, Outcome, Transfer, TransferKind
from suanli.billing.line import RatedLine, line_record
from suanli.billing.own import Again
from suanli.billing.owned import Unbilled
from suanli.billing.period import Period, calendar
from suanli.billing.rating import Rating, adjustments
from suanli.billing.statements import bills
from suanli.billing.usage import MAX_SKEW_MS, Gap, PodUsage
from suanli.billing.vouchers import Claim, Granted, Rejected
from suanli.ledgerstore.books import BookStore, Closing, KeptAward
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.subsidies import Subsidies
from suanli.reconcile.used import Used
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

        rating = used.rated(self._with_sites(facts, used), look)
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

    def pay_out(
        self, voucher: str, paid_micro_yuan: int, now_ms: int, approved_by: str = "", approved_why: str = ""
    ) -> int | Rejected:
        """Pay a rent subsidy or a deployment reward out, once. Raises: SuanliError."""
        return self._vouchers.pay_out(voucher, paid_micro_yuan, now_ms, approved_by, approved_why)

    def reimburse(self, now_ms: int) -> dict[str, Rejected]:
        """Pay users back by their vouchers what they paid of closed periods, once, and say by voucher why not; nothing while a
        period is closed and not posted by these books. Raises: SuanliError.
        """
        closings = self._books.closings()
        if any(closing.period.name not in self._posted for closing in closings):
            return {}
        return self._subsidies.reimburse(closings, now_ms)

    def keep_providers(self, providers: Mapping[str, str], now_ms: int) -> None:
        """Keep whose the sites are from now on; use before is the former one's. Raises: SuanliError."""
        self._books.keep_providers(providers, now_ms)

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

    def keep_issued(self, period: str, statements: Iterable[str]) -> None:
        """Remember that all Statements of a closed period, by name, are on the hub. Raises: SuanliError."""
        self._books.keep_issued(period, statements)

    def issued(self, period: str) -> frozenset[str] | None:
        """The names of a closed period's Statements; None while not all of them were on the hub. Raises: SuanliError."""
        return self._books.issued(period)

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
        root = self._root(name)
        entries = Again(lambda: takewhile(lambda entry: entry.sequence <= root[0], self._ledger.entries()))
        after, seen, gaps = self._after(name), _Seen(), self._unknown(closing)
        by_id = {line.id: line for line in lines}
        redeemed = self._vouchers.of_period(closing.period, by_id)
        made = bills(closing.period, seen.through(entries), by_id, root, after)
        below = [line for line in lines if line.net_micro_yuan < 0]
        subsidised = self._subsidies.subsidised(below, closing.closed_ms)
        reimbursed = self._subsidies.reimbursed(id_ for each in redeemed for id_ in each.lines if id_ not in by_id)
        asked = {each.voucher for each in redeemed} | {each.voucher for each in subsidised}
        asked |= seen.late(closing.period, after)
        decisions = [d for d in self._vouchers.decisions(closing.period, asked) if d.claim.voucher in seen.granted]
        programs: dict[str, tuple[int, VoucherProgram]] = {}  # each as it was when a voucher was granted
        for decision in decisions:
            programs.setdefault(_as_granted(decision), (len(programs), decision.program))
        terms = {c.period.name: self._terms(c, self._used(c.period, closing.counted)) for c in adjusted}
        tariffs = {t.metadata.name: t for each in (*terms.values(), facts) for t in each.tariffs}
        rated_by = [*((c.period, terms[c.period.name]) for c in adjusted), (closing.period, facts)]
        return Dossier(
            period=closing.period,
            events=Again(lambda: self._events(rated_by, closing.counted)),
            tariffs=[tariffs[name] for name in sorted(tariffs)],
            rated_by=[tariff.metadata.name for tariff in facts.tariffs],
            providers=facts.providers,
            changes=facts.changes,
            customers=facts.customers,
            lines=lines,
            entries=entries,
            bills=[replace(b, unknown_pods=sum(u.gap.pods for u in gaps if u.is_of(b.party))) for b in made],
            root=root,
            tree_hash=seen.tree.root(),
            after=after,
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
            gaps=gaps,
            carriers=facts.carriers,
            by_link=facts.by_link,
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
        asked = KeptAward(line_id, dispute, amount_micro_yuan)
        kept = self._books.keep_award(id_, asked, line.net_micro_yuan)
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
        facts = replace(self._with_sites(facts, used), hub=self._hub_id)
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
        now = used.rated(self._terms(closed, used)).lines
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

    def _unknown(self, closing: Closing) -> list[Unknown]:
        """Pods of a period of which nobody will know for how long they ran, as far as that was known when it was closed."""
        gaps = self._gaps(closing.period, closing.counted)
        agreements = self._usage.agreements_of({gap.job_uid for gap in gaps})
        found = ((gap, agreements.get((gap.job_uid, gap.epoch))) for gap in gaps)
        return [Unknown(gap, agreed.account, agreed.provider) for gap, agreed in found if agreed is not None]

    def _with_sites(self, facts: Facts, used: Used) -> Facts:
        """Facts with whose the sites and links were, and when."""
        providers, changes = used.whose(self._books.providers())
        return replace(facts, providers=providers, changes=changes, carriers=used.carriers())

    def _terms(self, closed: Closing, used: Used) -> Facts:
        """What a closed period is rated by again: what held then, and whose sites and links were that were not heard of before."""
        facts = read_facts(closed.facts)
        now = self._with_sites(facts, used)
        changes = [*facts.changes, *(change for change in now.changes if change.site not in facts.providers)]
        return replace(
            facts,
            providers={**now.providers, **facts.providers},
            changes=tuple(changes),
            carriers={**now.carriers, **facts.carriers},
        )

    def _used(self, period: Period, counted: int) -> Used:
        return Used(self._usage, period, counted, self._hub_id)

    def _events(self, periods: Iterable[tuple[Period, Facts]], counted: int) -> Iterator[UsageEvent]:
        """What periods were rated by."""
        for period, facts in periods:
            for _, events, _ in self._used(period, counted).by_account(facts.book(), facts.hub):
                yield from events

    # --- posting

    def _root(self, period: str) -> tuple[int, str]:
        """What the ledger had come to when all of a closed period was in it: whoever asks later, its evidence is the same."""
        root = self._books.posted(period)
        return root if root is not None and self._has(root) else self._ledger.root()

    def _after(self, period: str) -> int | None:
        """How many entries there were when the period that was closed before this one was posted; None of the first."""
        names = [closing.period.name for closing in self._books.closings()]
        before = names.index(period) - 1
        root = self._books.posted(names[before]) if before >= 0 else None
        return None if root is None else root[0]

    def _has(self, root: tuple[int, str]) -> bool:
        """Whether the ledger once came to this root."""
        count, hash_ = root
        return count == 0 or self._ledger.hash_of(count) == hash_

    def _post(self, lines: Sequence[RatedLine], time_ms: int) -> None:
        """Every line once, whoever began it."""
        self._ledger.open(list(_accounts(lines)))
        transfers = (transfer for line in lines for transfer in posting.post(line, time_ms))
        for batch in _whole_groups(transfers):
            for transfer, outcome in zip(batch, self._ledger.commit(batch), strict=True):
                if outcome not in ACCEPTED:
                    raise refused(transfer, outcome)


class _Seen:
    """What is noted of the ledger's entries on their way to the statements."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.granted: dict[str, Entry] = {}  # the holds of grants, by voucher

    def through(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries."""
        for entry in entries:
            self.tree.add(entry.hash)
            moved = entry.transfer
            if moved is not None and moved.kind is TransferKind.HOLD and moved.id == f"{moved.reference}:granted":
                self.granted[moved.reference.removeprefix(posting.VOUCHER)] = entry
            yield entry

    def late(self, period: Period, after: int | None) -> set[str]:
        """The vouchers that were claimed before a period and granted when what was before it had been closed."""
        return {
            voucher
            for voucher, entry in self.granted.items()
            if after is not None
            and entry.sequence > after
            and entry.transfer is not None
            and entry.transfer.time_ms < period.start_ms
        }


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


def _closed(period: Period, facts: Facts) -> Closed:
    names = [tariff.metadata.name for tariff in facts.tariffs]
    return Closed(period, names, facts.providers, facts.customers, facts.changes, facts.carriers, facts.by_link)


def _as_granted(decision: Decision) -> str:
    program = decision.program
    return f"{program.metadata.name} {program.spec.model_dump_json()}"


def _text(line: RatedLine) -> str:
    return canonical(line_record(line))


def _refused(why: str) -> SuanliError:
    return SuanliError(Reason.BOOKS_REFUSED, why)
