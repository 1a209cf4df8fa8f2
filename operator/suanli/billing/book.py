"""The rules of the ledger: which transfers are accepted, and what they change.

A `Book` holds what a store knows of the accounts, transfers and holds that a batch touches. State is a function of the
entries alone: a refused transfer changes nothing, and time passes only by what is accepted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from suanli.billing.ledger import (
    ACCEPTED,
    EXPIRES,
    NO_ENTRY,
    Balance,
    Entry,
    LedgerAccount,
    Outcome,
    Transfer,
    TransferKind,
    chained,
    wrong,
    wrong_account,
)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold that is not over. Units: micro-yuan, milliseconds since the Unix epoch (0: it never expires)."""

    id: str
    debit: str
    credit: str
    amount_micro_yuan: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An account with its limits and its sums."""

    account: LedgerAccount
    balance: Balance


class Book:
    """The ledger as far as it is known, and the entries that were added to it.

    `sequence`, `hash` and `time_ms` are of the whole ledger: its last entry, and the latest time accepted. A store puts in
    the standings, transfers and holds that it is about to ask for, and every hold that expires by the latest time it sends.
    """

    def __init__(self, sequence: int = 0, hash_: str = NO_ENTRY, time_ms: int = 0) -> None:
        self.sequence = sequence
        self.hash = hash_
        self.time_ms = time_ms
        self.standings: dict[str, Standing] = {}
        self.transfers: dict[str, Transfer] = {}
        self.holds: dict[str, Hold] = {}
        self.entries: list[Entry] = []
        self._told_ms = 0  # by which followed entries say that holds expired
        self._expiring: list[tuple[int, str]] = []  # a heap; what is over by other means stays in it until it is due

    def put(self, hold: Hold) -> None:
        """Know of a hold that is not over."""
        self.holds[hold.id] = hold
        if hold.expires_ms:
            heappush(self._expiring, (hold.expires_ms, hold.id))

    def open(self, account: LedgerAccount) -> None:
        """Open an account or change its limits; nothing when it is open with these."""
        standing = self.standings.get(account.name)
        if standing is None or standing.account != account:
            self.standings[account.name] = Standing(account, standing.balance if standing else Balance())
            self._append(account, 0)

    def commit(self, transfers: Sequence[Transfer], faults: Sequence[str] | None = None) -> list[Outcome]:
        """Judge the transfers in their order; the outcome of each. `faults` is what `wrong` says of each, if that is known."""
        faults = list(map(wrong, transfers)) if faults is None else faults
        outcomes = [Outcome.LINKED_FAILED] * len(transfers)
        for unit in _units(transfers):
            found = self._judge([transfers[index] for index in unit], [faults[index] for index in unit])
            for index, outcome in zip(unit, found, strict=True):
                outcomes[index] = outcome
        return outcomes

    def follow(self, entry: Entry) -> str:
        """Take over an entry of another book; why it cannot come next, or empty.

        It is not asked whether its id was there before: the book remembers no transfer that it follows.
        """
        record = entry.transfer or entry.account
        if record is None or chained(self.sequence + 1, self.hash, record, entry.released_micro_yuan) != entry:
            return "its hash, its sequence or the hash before it does not fit"
        if entry.account is not None:
            why = wrong_account(entry.account)
            if not why:
                self.open(entry.account)
            return why or ("" if self.hash == entry.hash else "it opens an account that is open with these limits")
        assert entry.transfer is not None
        transfer = entry.transfer
        draft = _Draft(self, max(self.time_ms, transfer.time_ms))
        if transfer.kind is TransferKind.EXPIRE_HOLD:
            hold = self.holds.get(transfer.hold)
            if hold is None or not hold.expires_ms or _expiry(hold) != transfer:
                return f'it ends hold "{transfer.hold}", which is over, or otherwise than expiry does'
            draft.expire(hold)
        else:
            why = wrong(transfer)
            late = self._due(draft.time_ms)
            if why or late:
                return why or f'hold "{late[0].id}" expired before it and is not over'
            outcome = draft.apply(transfer)
            if outcome is not Outcome.CREATED:
                return f"the rules refuse it: {outcome}"
        self._take(draft)
        if transfer.kind is TransferKind.EXPIRE_HOLD:
            self._told_ms = max(self._told_ms, transfer.time_ms)
        elif not transfer.linked and self.time_ms < self._told_ms:  # in a group a later one may bring the time
            return "it does not bring the time by which holds expired before it"
        return "" if self.hash == entry.hash else "it releases another amount than its hold's rest"

    def _judge(self, unit: Sequence[Transfer], faults: Sequence[str]) -> list[Outcome]:
        """One transfer, or the whole of a linked group."""
        before = [
            Outcome.NOT_A_TRANSFER if fault else self._before(transfer)
            for transfer, fault in zip(unit, faults, strict=True)
        ]
        if any(before):  # a group of which only a part is there is not the one that was accepted
            return [outcome or Outcome.LINKED_FAILED for outcome in before]
        draft = _Draft(self, max(self.time_ms, *(transfer.time_ms for transfer in unit)))
        due = self._due(draft.time_ms)
        for hold in due:
            draft.expire(hold)
        outcomes: list[Outcome] = []
        for transfer in unit:
            outcomes.append(draft.apply(transfer))
            if outcomes[-1] not in ACCEPTED:
                for hold in due:
                    heappush(self._expiring, (hold.expires_ms, hold.id))
                rest = len(unit) - len(outcomes)
                return [*[Outcome.LINKED_FAILED] * (len(outcomes) - 1), outcomes[-1], *[Outcome.LINKED_FAILED] * rest]
        self._take(draft)
        self.transfers.update(draft.transfers)
        return outcomes

    def _before(self, transfer: Transfer) -> Outcome | None:
        known = self.transfers.get(transfer.id)
        if known is None:
            return None
        return Outcome.EXISTS if known == transfer else Outcome.EXISTS_DIFFERENTLY

    def _due(self, time_ms: int) -> list[Hold]:
        """The holds that expire by then, taken from the heap."""
        due = []
        while self._expiring and self._expiring[0][0] <= time_ms:
            hold = self.holds.get(heappop(self._expiring)[1])
            if hold is not None:
                due.append(hold)
        return due

    def _take(self, draft: "_Draft") -> None:
        self.standings.update(draft.standings)
        for id_, hold in draft.holds.items():
            if hold is None:
                self.holds.pop(id_, None)
            else:
                self.put(hold)
        for transfer, released in draft.records:
            self._append(transfer, released)
        if draft.transfers:
            self.time_ms = draft.time_ms

    def _append(self, record: Transfer | LedgerAccount, released: int) -> None:
        entry = chained(self.sequence + 1, self.hash, record, released)
        self.sequence, self.hash = entry.sequence, entry.hash
        self.entries.append(entry)


class _Draft:
    """What a unit of transfers would change, beside the book; dropped when one of them is refused."""

    def __init__(self, book: Book, time_ms: int) -> None:
        self.time_ms = time_ms
        self.standings: dict[str, Standing] = {}
        self.holds: dict[str, Hold | None] = {}  # None: over
        self.transfers: dict[str, Transfer] = {}
        self.records: list[tuple[Transfer, int]] = []  # with what each releases
        self._book = book

    def expire(self, hold: Hold) -> None:
        """End a hold whose time has come."""
        self._end(hold, 0)
        self.records.append((_expiry(hold), hold.amount_micro_yuan))

    def apply(self, transfer: Transfer) -> Outcome:
        """Accept or refuse a well-formed transfer that the book does not have."""
        known = self.transfers.get(transfer.id)
        if known is not None:
            return Outcome.EXISTS if known == transfer else Outcome.EXISTS_DIFFERENTLY
        begins = transfer.kind in (TransferKind.POST, TransferKind.HOLD)
        outcome, released = self._begin(transfer) if begins else self._finish(transfer)
        if outcome is Outcome.CREATED:
            self.transfers[transfer.id] = transfer
            self.records.append((transfer, released))
        return outcome

    def _begin(self, transfer: Transfer) -> tuple[Outcome, int]:
        debit, credit = self._standing(transfer.debit), self._standing(transfer.credit)
        if debit is None or credit is None:
            return Outcome.ACCOUNT_UNKNOWN, 0
        if 0 < transfer.expires_ms <= self.time_ms:
            return Outcome.HOLD_OVER, 0
        amount = transfer.amount_micro_yuan
        least, most = debit.account.min_micro_yuan, credit.account.max_micro_yuan
        if least is not None and debit.balance.least_micro_yuan - amount < least:
            return Outcome.EXCEEDS_LIMIT, 0
        if most is not None and credit.balance.most_micro_yuan + amount > most:
            return Outcome.EXCEEDS_LIMIT, 0
        if transfer.kind is TransferKind.HOLD:
            hold = Hold(transfer.id, transfer.debit, transfer.credit, amount, transfer.expires_ms)
            self.holds[hold.id] = hold
            self._move(debit, credit, 0, amount)
        else:
            self._move(debit, credit, amount, 0)
        return Outcome.CREATED, 0

    def _finish(self, transfer: Transfer) -> tuple[Outcome, int]:
        first = self.transfers.get(transfer.hold) or self._book.transfers.get(transfer.hold)
        hold = self.holds[transfer.hold] if transfer.hold in self.holds else self._book.holds.get(transfer.hold)
        begun = hold or (first if first is not None and first.kind is TransferKind.HOLD else None)
        if begun is None or (begun.debit, begun.credit) != (transfer.debit, transfer.credit):
            return Outcome.HOLD_UNKNOWN, 0
        if hold is None:
            return Outcome.HOLD_OVER, 0
        if transfer.amount_micro_yuan > hold.amount_micro_yuan:
            return Outcome.EXCEEDS_HOLD, 0
        self._end(hold, transfer.amount_micro_yuan)
        return Outcome.CREATED, hold.amount_micro_yuan - transfer.amount_micro_yuan

    def _end(self, hold: Hold, posted: int) -> None:
        debit, credit = self._standing(hold.debit), self._standing(hold.credit)
        assert debit is not None
        assert credit is not None
        self.holds[hold.id] = None
        self._move(debit, credit, posted, -hold.amount_micro_yuan)

    def _move(self, debit: Standing, credit: Standing, posted: int, held: int) -> None:
        d, c = debit.balance, credit.balance
        self.standings[debit.account.name] = Standing(
            debit.account,
            Balance(
                d.debits_micro_yuan + posted,
                d.credits_micro_yuan,
                d.held_debits_micro_yuan + held,
                d.held_credits_micro_yuan,
            ),
        )
        self.standings[credit.account.name] = Standing(
            credit.account,
            Balance(
                c.debits_micro_yuan,
                c.credits_micro_yuan + posted,
                c.held_debits_micro_yuan,
                c.held_credits_micro_yuan + held,
            ),
        )

    def _standing(self, name: str) -> Standing | None:
        return self.standings.get(name) or self._book.standings.get(name)


def _expiry(hold: Hold) -> Transfer:
    return Transfer(
        id=f"{EXPIRES}{hold.id}",
        debit=hold.debit,
        credit=hold.credit,
        amount_micro_yuan=0,
        kind=TransferKind.EXPIRE_HOLD,
        time_ms=hold.expires_ms,
        hold=hold.id,
    )


def _units(transfers: Iterable[Transfer]) -> Iterator[list[int]]:
    """The indices of what is accepted together, each group where its first one stands."""
    units: list[list[int]] = []
    groups: dict[str, list[int]] = {}
    for index, transfer in enumerate(transfers):
        group = transfer.linked
        if not isinstance(group, str) or not group:
            units.append([index])
        elif group in groups:
            groups[group].append(index)
        else:
            units.append(groups.setdefault(group, [index]))
    return iter(units)
