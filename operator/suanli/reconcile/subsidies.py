"""What vouchers pay back to users who paid their bills, and what they get back when a bill that they paid of is corrected.

A user's payments and credits pay for what it owes in the order in which it was posted: so a bill is paid when the account owes no more
than what was posted after it.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.clawback import Back, Correction, clawbacks, corrections
from suanli.billing.decisions import Decision, TakenBack
from suanli.billing.evidence import Corrected, Reimbursed, Subsidised
from suanli.billing.facts import read_facts, read_line
from suanli.billing.ledger import Ledger
from suanli.billing.line import RatedLine
from suanli.billing.period import Period
from suanli.billing.posting import consumer
from suanli.billing.vouchers import Rejected, unpaid
from suanli.ledgerstore.books import BookStore, Closing
from suanli.reconcile.vouchers import Vouchers


@dataclass
class _Sums:
    """What accounts were billed in a period: all of it, and the lines above zero alone. Units: micro-yuan."""

    billed: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)


class Subsidies:
    """Over the stores of the books; synchronous, of one thread, as they are."""

    def __init__(self, store: BookStore, ledger: Ledger, vouchers: Vouchers) -> None:
        self._store = store
        self._ledger = ledger
        self._vouchers = vouchers
        self._sums: dict[str, _Sums] = {}  # by period
        self._nothing: dict[tuple[str, str], Rejected] = {}  # voucher and period of which no line is paid back
        self._posted: set[tuple[str, str]] = set()  # voucher and period whose transfers are known to be in the ledger

    def taken_back(self, period: Period, lines: Sequence[RatedLine], now_ms: int) -> list[TakenBack]:
        """What vouchers get back by lines with which a period is about to be closed; nothing is kept yet. Raises: SuanliError."""
        found: dict[str, list[Back]] = defaultdict(list)
        new = {line.id for line in lines}
        for root in self.roots(line for line in lines if line.net_micro_yuan < 0):
            every = self._corrections(root, lines)
            asked = {each.of for each in every if each.by in new}
            left = {line.id: line.net_micro_yuan for line in self._history(root, lines) if line.id in asked}
            for each in every:
                if each.of in asked and each.by not in new:
                    left[each.of] -= each.amount_micro_yuan
            paid = self._vouchers.paid(asked)
            for back in clawbacks([each for each in every if each.by in new], left, paid):
                found[back.voucher].append(back)
        return [TakenBack(uid, period.name, now_ms, tuple(parts)) for uid, parts in sorted(found.items())]

    def reimburse(self, closings: Sequence[Closing], now_ms: int) -> dict[str, Rejected]:
        """Pay users back what they paid of the closed periods, which are all posted; of vouchers that pay nothing of one, why not.

        Raises: SuanliError, also when another period was closed meanwhile.
        """
        for each in self._vouchers.paid_back():
            if (each.voucher, each.bill) not in self._posted:
                self._vouchers.post([each], {})
                self._posted.add((each.voucher, each.bill))
        done = {(each.voucher, each.bill) for each in self._vouchers.paid_back()}
        waits = {}
        for decision in self._vouchers.to_pay_back(now_ms):
            uid = decision.claim.voucher
            for place, closing in enumerate(closings):
                if closing.closed_ms < decision.claim.time_ms or (uid, closing.period.name) in done:
                    continue
                why = self._pay_back(decision, closings, place, now_ms)
                if why is not None:
                    waits[uid] = replace(why, message=f"bill of {closing.period.name}: {why.message}")
        return waits

    def reimbursed(self, lines: Iterable[str]) -> list[Reimbursed]:
        """What evidence says of lines that were paid back. Raises: SuanliError."""
        scopes = {}
        found = []
        for id_ in dict.fromkeys(lines):
            line = self._line(id_)
            if line.period not in scopes:
                closing = self._store.closing(line.period)
                assert closing is not None, "a line is of a closed period"
                scopes[line.period] = read_facts(closing.facts).scope
            scope = scopes[line.period]
            side = scope.side_of_site.get(line.site, "none")
            found.append(Reimbursed(line, str(side), scope.chip_of_class.get((line.site, line.class_), "")))
        return found

    def corrected(self, asked: Container[str], lines: Sequence[RatedLine], period: str) -> list[Corrected]:
        """What evidence says of earlier corrections: all of the lines that are `asked` for, and every dispute's of what `lines`
        of a closed period correct. Raises: SuanliError.
        """
        names = [closing.period.name for closing in self._store.closings()]
        earlier, awards = set(names[: names.index(period)]), self._store.awards()
        found = []
        for root in self.roots(lines):
            by_id = {line.id: line for line in self._history(root, ())}
            found += [
                Corrected(by_id[each.by], each.of, each.amount_micro_yuan)
                for each in self._corrections(root, ())
                if (each.of in asked or each.by in awards) and by_id[each.by].period in earlier
            ]
        return found

    def subsidised(self, lines: Sequence[RatedLine], closed_ms: int) -> list[Subsidised]:
        """What vouchers had paid of the lines that these correct. Raises: SuanliError."""
        own = {line.id for line in lines}
        corrected = {c.of for root in self.roots(lines) for c in self._corrections(root, ()) if c.by in own}
        return self._vouchers.subsidised(corrected, closed_ms)

    def roots(self, lines: Iterable[RatedLine]) -> list[str]:
        """The periods in which what these lines are about was used."""
        awards = self._store.awards()
        abouts = (self._line(awards[line.id].line) if line.id in awards else line for line in lines)
        return list(dict.fromkeys(about.adjusts or about.period for about in abouts))

    def _pay_back(self, decision: Decision, closings: Sequence[Closing], place: int, now_ms: int) -> Rejected | None:
        """Why nothing of a bill is paid back; None if something is, or if there is no such bill."""
        account, closing = decision.claim.entity, closings[place]
        key = (decision.claim.voucher, closing.period.name)
        billed = self._of(closing).billed[account]
        if billed <= 0 or key in self._nothing:
            return self._nothing.get(key)
        later = sum(self._of(each).charged[account] for each in closings[place + 1 :])
        owed = max(0, -self._ledger.balance(consumer(account)).posted_micro_yuan - later)
        if why := unpaid(billed, max(0, billed - owed)):
            return why
        own = [line for line in self._lines(closing.period.name) if line.account == account]
        taken: Counter[str] = Counter()
        for root in self.roots(own if place + 1 < len(closings) else ()):
            for each in self._corrections(root, ()):
                taken[each.of] += each.amount_micro_yuan
        found = self._vouchers.pay_back(
            decision, closing.period, own, read_facts(closing.facts).scope,
            paid_micro_yuan=billed, taken=taken, closed=len(closings), now_ms=now_ms,
        )  # fmt: skip
        if not isinstance(found, Rejected):
            return None
        self._nothing[key] = found
        return found

    def _of(self, closing: Closing) -> _Sums:
        name = closing.period.name
        if name not in self._sums:
            sums = self._sums[name] = _Sums()
            for line in self._lines(name):
                sums.billed[line.account] += line.net_micro_yuan
                sums.charged[line.account] += max(0, line.net_micro_yuan)
        return self._sums[name]

    # --- what corrects what

    def _history(self, root: str, new: Sequence[RatedLine]) -> list[RatedLine]:
        """All lines about what was used in a period, in the order in which they were billed, `new` ones last."""
        awards = self._store.awards()
        adjusting = map(read_line, self._store.adjusting(root))
        rated = [line for line in self._lines(root) if not line.adjusts]
        rated += [line for line in adjusting if line.id not in awards]
        rated += [line for line in new if line.adjusts == root and line.id not in awards]
        known, fresh = {line.id for line in rated}, {line.id: line for line in new}
        ended = [
            line
            for id_, award in awards.items()
            if award.line in known and (line := fresh.get(id_) or self._billed(id_))
        ]
        order = {closing.period.name: place for place, closing in enumerate(self._store.closings())}
        return sorted([*rated, *ended], key=lambda line: (order.get(line.period, len(order)), line.id in awards))

    def _corrections(self, root: str, new: Sequence[RatedLine]) -> list[Correction]:
        return corrections(self._history(root, new), {id_: award.line for id_, award in self._store.awards().items()})

    def _lines(self, period: str) -> list[RatedLine]:
        return [read_line(text) for text in self._store.billed(period)]

    def _billed(self, id_: str) -> RatedLine | None:
        text = self._store.billed_line(id_)
        return None if text is None else read_line(text)

    def _line(self, id_: str) -> RatedLine:
        line = self._billed(id_)
        if line is None:
            raise SuanliError(Reason.BOOKS_REFUSED, f"line {id_} is not in the books; restore them from a backup")
        return line
