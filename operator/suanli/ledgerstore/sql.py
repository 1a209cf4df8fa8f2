"""The ledger on a SQL database: what SQLite and PostgreSQL do alike.

`entry` is append-only and the only truth. The other tables are what the entries come to (sums by account, holds that are
not over, the ledger's time), so that a batch need not read them all; `verify` makes them anew and compares. A batch reads
what it touches inside its own exclusive transaction and nothing is remembered between two of them: two writers are safe.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ClassVar, Self

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.book import Book, Hold, Standing
from suanli.billing.ledger import (
    NO_ENTRY,
    Balance,
    Entry,
    LedgerAccount,
    Outcome,
    Transfer,
    TransferKind,
    wrong,
    wrong_account,
)

PAGE = 2_000  # entries that are in memory at a time
MOST_PARAMETERS = 500

ENTRY_COLUMNS = (
    "sequence", "kind", "id", "debit", "credit", "amount_micro_yuan", "time_ms", "hold", "expires_ms", "reference",
    "linked", "released_micro_yuan", "account", "min_micro_yuan", "max_micro_yuan", "hash",
)  # fmt: skip
_ENTRY = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entry"  # noqa: S608 - its own columns
_STANDING = "SELECT account, min_micro_yuan, max_micro_yuan, debits, credits, held_debits, held_credits FROM standing"
_HOLD = "SELECT id, debit, credit, amount_micro_yuan, expires_ms FROM open_hold"
_KEEP_STANDING = """
INSERT INTO standing (account, min_micro_yuan, max_micro_yuan, debits, credits, held_debits, held_credits)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account) DO UPDATE SET
  min_micro_yuan = excluded.min_micro_yuan, max_micro_yuan = excluded.max_micro_yuan, debits = excluded.debits,
  credits = excluded.credits, held_debits = excluded.held_debits, held_credits = excluded.held_credits
"""
_KEEP_HOLD = "INSERT INTO open_hold (id, debit, credit, amount_micro_yuan, expires_ms) VALUES (?, ?, ?, ?, ?)"
_ENDS = frozenset({TransferKind.POST_HOLD, TransferKind.VOID_HOLD, TransferKind.EXPIRE_HOLD})

# What the columns hold, each one of these types: the pages of a damaged file may hold others.
_WHOLE, _WORDS, _LIMIT = (int,), (str,), (int, type(None))
_ENTRY_TYPES = (
    _WHOLE, _WORDS, (str, type(None)), _WORDS, _WORDS, _WHOLE, _WHOLE, _WORDS, _WHOLE, _WORDS,
    _WORDS, _WHOLE, _WORDS, _LIMIT, _LIMIT, _WORDS,
)  # fmt: skip
_STANDING_TYPES = (_WORDS, _LIMIT, _LIMIT, _WORDS, _WORDS, _WORDS, _WORDS)
_HOLD_TYPES = (_WORDS, _WORDS, _WORDS, _WHOLE, _WHOLE)

Row = tuple[Any, ...]


class SqlLedger(ABC):
    """A `billing.ledger.Ledger`. One thread at a time may use it; other processes may use the same database meanwhile."""

    READS_ON: ClassVar[bool]  # whether a transaction can be read on after a page that cannot be read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, accounts: Sequence[LedgerAccount]) -> None:
        """Append the accounts that are not open with these limits. Raises: SuanliError, and nothing is kept."""
        for account in accounts:
            why = wrong_account(account)
            if why:
                raise SuanliError(Reason.INVALID_SPEC, why)
        with self._told(), self._writing():
            book = self._book()
            self._know_standings(book, {account.name for account in accounts})
            for account in accounts:
                book.open(account)
            self._keep(book)

    def commit(self, transfers: Sequence[Transfer]) -> list[Outcome]:
        """Append what the rules allow in one transaction; the outcome of each transfer. Durable when it returns.

        Raises: SuanliError, and nothing is kept; where a connection broke, all may be kept: send the same again.
        """
        faults = [wrong(transfer) for transfer in transfers]
        good = [transfer for transfer, fault in zip(transfers, faults, strict=True) if not fault]
        if not good:
            return Book().commit(transfers, faults)
        with self._told(), self._writing():
            book = self._book()
            self._know(book, good)
            outcomes = book.commit(transfers, faults)
            self._keep(book)
        return outcomes

    def balance(self, account: str) -> Balance:
        """The sums of an account; zeros for one that is not open. Raises: SuanliError."""
        with self._told():
            found = self._all(f"{_STANDING} WHERE account = ?", [account])
            return self._standing(found[0]).balance if found else Balance()

    def open_holds(self, begin: str) -> list[Transfer]:
        """The holds that are not over and whose ids begin so, by id. Raises: SuanliError."""
        with self._told():
            ids = self._all("SELECT id FROM open_hold WHERE substr(id, 1, ?) = ?", [len(begin), begin])
            rows = self._of(f"{_ENTRY} WHERE id IN", {row[0] for row in ids})
            found = [self._entry(row, NO_ENTRY).transfer for row in rows]
        return sorted((hold for hold in found if hold is not None), key=lambda hold: hold.id)

    def standings(self) -> list[Standing]:
        """All accounts with limits and sums, by name. Raises: SuanliError."""
        with self._told():
            return [self._standing(row) for row in self._all(f"{_STANDING} ORDER BY account", [])]

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """All entries of a higher sequence, in order, as they are now. Raises: SuanliError."""
        with self._told():
            last = self._last()[0]
            before = self._all("SELECT hash FROM entry WHERE sequence = ?", [after])
        return self._walk(max(after, 0), before[0][0] if before else NO_ENTRY, last)

    def root(self) -> tuple[int, str]:
        """How many entries there are, and the hash of the last one. Raises: SuanliError."""
        with self._told():
            return self._last()

    def hash_of(self, sequence: int) -> str | None:
        """The hash of an entry, as it is kept; None when there is no such entry. Raises: SuanliError."""
        with self._told():
            found = self._all("SELECT hash FROM entry WHERE sequence = ?", [sequence])
            return str(found[0][0]) if found else None

    def transfer(self, id_: str) -> Transfer | None:
        """The transfer of this id; None when there is none. Raises: SuanliError."""
        with self._told():
            found = self._all(f"{_ENTRY} WHERE id = ?", [id_])
            return self._entry(found[0], NO_ENTRY).transfer if found else None

    def verify(self, expected: tuple[int, str] | None = None) -> tuple[int, str]:
        """Compute every hash, rule and sum anew; the root that they come to.

        Raises: SuanliError that names the first entry, account or hold that is not as it was written. That entries were
        cut off at the end can only be told with an `expected` root that was noted elsewhere.
        """
        with self._told(), self._reading():
            last = self._last()[0]
            book = Book()
            for entry in self._walk(0, NO_ENTRY, last):
                why = book.follow(entry)
                if why:
                    raise self._changed(f"{_named(entry)}: {why}")
                if expected and expected[0] == entry.sequence and expected[1] != entry.hash:
                    raise self._changed(
                        f"{_named(entry)}: its hash is {entry.hash} and {expected[1]} was noted; the entries up to it "
                        "were written anew"
                    )
                book.entries.clear()
            if expected and expected[0] > last:
                raise self._changed(f"it ends with entry {last} and {expected[0]} were noted; the rest was cut off")
            self._compare(book)
            self._sound()
        return book.sequence, book.hash

    def take(self, entries: Iterable[Entry]) -> tuple[int, str]:
        """Fill this ledger, which must be empty, with all entries of another one, in one transaction; the root.

        Raises: SuanliError, and nothing is kept, when it is not empty or an entry does not follow from those before.
        """
        with self._told(), self._writing():
            if self._last()[0]:
                raise self._unusable(f"it has {self._last()[0]} entries; name a new one to be filled")
            book = Book()
            for entry in entries:
                why = book.follow(entry)
                if why:
                    raise self._unusable(f"{_named(entry)} of the source: {why}; verify the source")
                if len(book.entries) == PAGE:
                    self._append([_row(made) for made in book.entries])
                    book.entries.clear()
            self._append([_row(made) for made in book.entries])
            self._many(_KEEP_STANDING, [_standing_row(standing) for standing in book.standings.values()])
            self._many(_KEEP_HOLD, [_hold_row(hold) for hold in book.holds.values()])
            self._run("UPDATE passed SET time_ms = ?", [book.time_ms])
        return book.sequence, book.hash

    # --- what a database does in its own way

    @abstractmethod
    def close(self) -> None:
        """Give the database back; again is no harm."""

    @abstractmethod
    def _told(self) -> AbstractContextManager[None]:
        """Every trouble of the database as SuanliError, one sentence with what to do."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """A transaction of the only writer."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[None]:
        """A transaction that sees one moment."""

    @abstractmethod
    def _run(self, sql: str, values: Sequence[Any]) -> None:
        """One statement, its parameters written "?"."""

    @abstractmethod
    def _all(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """All rows of a query."""

    @abstractmethod
    def _many(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement for each row."""

    @abstractmethod
    def _append(self, rows: Sequence[Row]) -> None:
        """New entries, in the order of ENTRY_COLUMNS."""

    @abstractmethod
    def _sound(self) -> None:
        """Whether the database itself is whole: indices, triggers. Raises: SuanliError."""

    @abstractmethod
    def _unusable(self, why: str, reason: Reason = Reason.LEDGER_UNUSABLE) -> SuanliError:
        """The error that says so of this ledger."""

    # --- what they do alike

    def _changed(self, what: str) -> SuanliError:
        remedy = "keep it as it is for whoever looks into it, and restore the last good copy"
        return self._unusable(f"{what}; {remedy}", Reason.LEDGER_CHANGED)

    def _last(self) -> tuple[int, str]:
        found = self._all("SELECT sequence, hash FROM entry ORDER BY sequence DESC LIMIT 1", [])
        return (found[0][0], found[0][1]) if found else (0, NO_ENTRY)

    def _book(self) -> Book:
        """The ledger as it stands, without what the transfers touch."""
        sequence, hash_ = self._last()
        return Book(sequence, hash_, self._all("SELECT time_ms FROM passed", [])[0][0])

    def _know(self, book: Book, transfers: Sequence[Transfer]) -> None:
        """All that these transfers touch."""
        asked = {transfer.hold for transfer in transfers if transfer.hold}
        for row in self._of(f"{_ENTRY} WHERE id IN", {transfer.id for transfer in transfers} | asked):
            known = self._entry(row, NO_ENTRY).transfer
            assert known is not None
            book.transfers[known.id] = known
        latest = max(transfer.time_ms for transfer in transfers)
        due = self._all(f"{_HOLD} WHERE expires_ms > 0 AND expires_ms <= ?", [latest])
        for hold in {self._hold(row) for row in (*due, *self._of(f"{_HOLD} WHERE id IN", asked))}:
            book.put(hold)
        names = {name for transfer in transfers for name in (transfer.debit, transfer.credit)}
        self._know_standings(book, names | {name for h in book.holds.values() for name in (h.debit, h.credit)})

    def _know_standings(self, book: Book, names: Collection[str]) -> None:
        for row in self._of(f"{_STANDING} WHERE account IN", names):
            standing = self._standing(row)
            book.standings[standing.account.name] = standing

    def _of(self, sql: str, keys: Collection[str]) -> Iterator[Row]:
        """The rows of a query that ends with IN, for any number of keys."""
        wanted = sorted(keys)
        for begin in range(0, len(wanted), MOST_PARAMETERS):
            part = wanted[begin : begin + MOST_PARAMETERS]
            yield from self._all(f"{sql} ({', '.join('?' * len(part))})", part)

    def _keep(self, book: Book) -> None:
        """Append the book's entries, and bring what they come to up to date."""
        if not book.entries:
            return
        self._append([_row(entry) for entry in book.entries])
        touched: set[str] = set()
        begun: set[str] = set()
        ended: list[Row] = []
        for entry in book.entries:
            transfer = entry.transfer
            if transfer is None:
                assert entry.account is not None
                touched.add(entry.account.name)
                continue
            touched |= {transfer.debit, transfer.credit}
            if transfer.kind is TransferKind.HOLD:
                begun.add(transfer.id)
            elif transfer.kind in _ENDS and transfer.hold not in begun:
                ended.append((transfer.hold,))
        self._many(_KEEP_STANDING, [_standing_row(book.standings[name]) for name in sorted(touched)])
        self._many(_KEEP_HOLD, [_hold_row(book.holds[id_]) for id_ in sorted(begun) if id_ in book.holds])
        self._many("DELETE FROM open_hold WHERE id = ?", ended)
        self._run("UPDATE passed SET time_ms = ?", [book.time_ms])

    def _walk(self, after: int, previous: str, last: int) -> Iterator[Entry]:
        """The entries after one of them, up to the last one."""
        page = PAGE
        while after < last:
            try:
                with self._told():
                    rows = self._all(
                        f"{_ENTRY} WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?", [after, last, page]
                    )
            except SuanliError as error:
                if not self.READS_ON:
                    raise
                if page == 1:
                    raise self._changed(f"entry {after + 1} cannot be read ({error})") from error
                page = 1  # one by one, to name it
                continue
            if not rows:
                raise self._changed(f"entry {after + 1} is missing")
            for row in rows:
                entry = self._entry(row, previous)
                yield entry
                after, previous = entry.sequence, entry.hash

    def _entry(self, row: Row, previous: str) -> Entry:
        self._typed(row, _ENTRY_TYPES, "entry")
        try:
            entry = _entry(row, previous)
        except ValueError as error:
            raise self._changed(f"entry {row[0]} is none: {error}") from error
        if _row(entry) != row:  # a column that its kind has no use for is not in its line
            raise self._changed(f"{_named(entry)}: it has values that a {row[1]} has not")
        return entry

    def _standing(self, row: Row) -> Standing:
        self._typed(row, _STANDING_TYPES, "account")
        try:
            return _standing(row)
        except ValueError as error:
            raise self._changed(f'account "{row[0]}" has a sum that is no number: {error}') from error

    def _hold(self, row: Row) -> Hold:
        self._typed(row, _HOLD_TYPES, "hold")
        return Hold(*row)

    def _typed(self, row: Row, types: Sequence[tuple[type, ...]], what: str) -> None:
        if not all(map(isinstance, row, types)):
            raise self._changed(f"{what} {row[0]!r} has values of other types than its columns")

    def _compare(self, book: Book) -> None:
        """Whether the tables hold what the entries come to."""
        twice = self._all(
            "SELECT id, max(sequence) FROM entry WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1", []
        )
        if twice:
            raise self._changed(f'entry {twice[0][1]}: its id "{twice[0][0]}" is there more than once')
        standings = {row[0]: row for row in self._all(_STANDING, [])}
        expected = {name: _standing_row(standing) for name, standing in book.standings.items()}
        for name in sorted(standings.keys() | expected.keys(), key=str):
            if standings.get(name) != expected.get(name):
                raise self._changed(
                    f'account "{name}" stands as {standings.get(name)}, and its entries come to {expected.get(name)}'
                )
        holds = {row[0]: row for row in self._all(_HOLD, [])}
        open_ = {id_: _hold_row(hold) for id_, hold in book.holds.items()}
        for id_ in sorted(holds.keys() | open_.keys(), key=str):
            if holds.get(id_) != open_.get(id_):
                raise self._changed(f'hold "{id_}" stands as {holds.get(id_)}, and the entries leave {open_.get(id_)}')
        times = self._all("SELECT time_ms FROM passed", [])
        if times != [(book.time_ms,)]:
            raise self._changed(f"its time stands as {times}, and the entries come to {book.time_ms}")


def _named(entry: Entry) -> str:
    if entry.transfer is not None:
        return f'entry {entry.sequence} (transfer "{entry.transfer.id}")'
    return f'entry {entry.sequence} (account "{entry.account.name if entry.account else ""}")'


def _row(entry: Entry) -> Row:
    transfer, account = entry.transfer, entry.account
    if transfer is None:
        assert account is not None
        opened = (account.name, account.min_micro_yuan, account.max_micro_yuan)
        return (entry.sequence, "account", None, "", "", 0, 0, "", 0, "", "", 0, *opened, entry.hash)
    return (
        entry.sequence,
        transfer.kind.value,
        transfer.id,
        transfer.debit,
        transfer.credit,
        transfer.amount_micro_yuan,
        transfer.time_ms,
        transfer.hold,
        transfer.expires_ms,
        transfer.reference,
        transfer.linked,
        entry.released_micro_yuan,
        "",
        None,
        None,
        entry.hash,
    )


def _entry(row: Row, previous: str) -> Entry:
    """Raises: ValueError for a kind that there is not."""
    if row[1] == "account":
        return Entry(row[0], None, LedgerAccount(row[12], row[13], row[14]), row[11], previous, row[15])
    return Entry(row[0], _transfer(row), None, row[11], previous, row[15])


def _transfer(row: Row) -> Transfer:
    return Transfer(
        id=row[2],
        debit=row[3],
        credit=row[4],
        amount_micro_yuan=row[5],
        kind=TransferKind(row[1]),
        time_ms=row[6],
        hold=row[7],
        expires_ms=row[8],
        reference=row[9],
        linked=row[10],
    )


def _standing(row: Row) -> Standing:
    """Sums are kept as text: they pass 64 bits."""
    account, least, most, debits, credits_, held_debits, held_credits = row
    sums = Balance(int(debits), int(credits_), int(held_debits), int(held_credits))
    return Standing(LedgerAccount(account, least, most), sums)


def _standing_row(standing: Standing) -> Row:
    account, sums = standing.account, standing.balance
    return (
        account.name,
        account.min_micro_yuan,
        account.max_micro_yuan,
        str(sums.debits_micro_yuan),
        str(sums.credits_micro_yuan),
        str(sums.held_debits_micro_yuan),
        str(sums.held_credits_micro_yuan),
    )


def _hold_row(hold: Hold) -> Row:
    return (hold.id, hold.debit, hold.credit, hold.amount_micro_yuan, hold.expires_ms)
