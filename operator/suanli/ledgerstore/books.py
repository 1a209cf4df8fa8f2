"""The books of periods: an append-only SQLite file with what each closed period was made from, and every line that was billed.

A period is closed once, whole or not at all, with what vouchers pay of it. Closing it again gives what was kept the first time.
What was decided about a voucher is kept the same way: the first word holds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing.period import Period
from suanli.ledgerstore.sqlite import SqliteFile


@dataclass(frozen=True, slots=True)
class Closing:
    """A period that is closed: `counted` is the number of the last usage record that it knew, `facts` what it was rated by, as JSON."""

    period: Period
    counted: int
    closed_ms: int
    facts: str


@dataclass(frozen=True, slots=True)
class KeptRedemption:
    """What a voucher pays of one bill, as JSON; a voucher pays of each bill once."""

    voucher: str
    bill: str
    time_ms: int
    record: str


@dataclass(frozen=True, slots=True)
class KeptAward:
    """So much less is owed for a line of a closed period, by a dispute. Units: micro-yuan."""

    line: str
    dispute: str
    amount_micro_yuan: int


def _append_only(table: str, key: str) -> str:
    return f"""
CREATE TRIGGER {table}_keeps_first BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})
  BEGIN SELECT RAISE(ABORT, 'the books are append-only'); END;
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, 'the books are append-only'); END;
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'the books are append-only'); END;
"""  # noqa: S608 - names of this file


_SCHEMA = f"""
CREATE TABLE closing (
  sequence INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL CHECK (end_ms > start_ms),
  counted INTEGER NOT NULL CHECK (counted >= 0),
  closed_ms INTEGER NOT NULL,
  facts TEXT NOT NULL
) STRICT;
{_append_only("closing", "name")}
CREATE TABLE billed (
  id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
  period TEXT NOT NULL,
  place INTEGER NOT NULL,
  adjusts TEXT NOT NULL,
  line TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX billed_by_period ON billed (period, place);
CREATE INDEX billed_by_adjusted ON billed (adjusts, period, place);
{_append_only("billed", "id")}
CREATE TABLE granted (
  sequence INTEGER PRIMARY KEY,
  voucher TEXT NOT NULL UNIQUE CHECK (length(voucher) BETWEEN 1 AND 100),
  record TEXT NOT NULL
) STRICT;
{_append_only("granted", "voucher")}
CREATE TABLE rejected (
  sequence INTEGER PRIMARY KEY,
  voucher TEXT NOT NULL UNIQUE CHECK (length(voucher) BETWEEN 1 AND 100),
  record TEXT NOT NULL
) STRICT;
{_append_only("rejected", "voucher")}
CREATE TABLE redeemed (
  sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  voucher TEXT NOT NULL,
  bill TEXT NOT NULL,
  time_ms INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;
{_append_only("redeemed", "id")}
CREATE TABLE awarded (
  sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  line TEXT NOT NULL,
  dispute TEXT NOT NULL,
  amount TEXT NOT NULL
) STRICT;
{_append_only("awarded", "id")}
"""
# What a period came to in the ledger, once every transfer of its lines was acknowledged there.
_POSTED = f"""
CREATE TABLE posted (
  sequence INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  entries INTEGER NOT NULL CHECK (entries >= 0),
  hash TEXT NOT NULL
) STRICT;
{_append_only("posted", "name")}
"""
# The Statements by which everybody was told of a period, as a JSON list of their names.
_ISSUED = f"""
CREATE TABLE issued (
  sequence INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  statements TEXT NOT NULL
) STRICT;
{_append_only("issued", "name")}
"""
# Redemptions that were posted after their hold had expired.
_LATE = f"""
CREATE TABLE late (
  sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  voucher TEXT NOT NULL,
  bill TEXT NOT NULL
) STRICT;
{_append_only("late", "id")}
"""
# Whose the sites are, from a moment on: one row for each site, and one more whenever that changes.
_OPERATED = """
CREATE TABLE operated (
  sequence INTEGER PRIMARY KEY,
  site TEXT NOT NULL,
  provider TEXT NOT NULL,
  since_ms INTEGER NOT NULL
) STRICT;
CREATE TRIGGER operated_no_update BEFORE UPDATE ON operated BEGIN SELECT RAISE(ABORT, 'the books are append-only'); END;
CREATE TRIGGER operated_no_delete BEFORE DELETE ON operated BEGIN SELECT RAISE(ABORT, 'the books are append-only'); END;
"""
_CLOSING = "SELECT name, start_ms, end_ms, counted, closed_ms, facts FROM closing"


class BookStore(SqliteFile):
    """The file. One thread at a time may use it; other processes may use it meanwhile."""

    WHAT = "books"
    APPLICATION_ID = 0x53554142  # "SUAB"
    MIGRATIONS = (_SCHEMA, _POSTED, _ISSUED, _LATE, _OPERATED)

    def close_period(
        self,
        closing: Closing,
        lines: Iterable[tuple[str, str, str]],
        redemptions: Iterable[KeptRedemption] = (),
        known: int = 0,
    ) -> Closing:
        """Close a period with its lines (id, the closed period that it adjusts or "", the line as JSON), in their order.

        `redemptions` is what vouchers pay of it and get back by it, as found when the last redemption had the number `known`.
        What is kept of it: this, or what was kept before. Raises: SuanliError, and nothing is kept.
        """
        with self._plainly(), self._transaction():
            before = self._closing(closing.period.name)
            if before is not None:
                return before
            p = closing.period
            self._db.execute(
                "INSERT INTO closing (name, start_ms, end_ms, counted, closed_ms, facts) VALUES (?, ?, ?, ?, ?, ?)",
                [p.name, p.start_ms, p.end_ms, closing.counted, closing.closed_ms, closing.facts],
            )
            self._db.executemany(
                "INSERT INTO billed (id, period, place, adjusts, line) VALUES (?, ?, ?, ?, ?)",
                ((id_, p.name, place, adjusts, line) for place, (id_, adjusts, line) in enumerate(lines)),
            )
            self._redeem(redemptions, known)
        return closing

    def keep_payout(self, redemption: KeptRedemption, known: int, closed: int | None = None) -> None:
        """Keep what a voucher pays for no line of an open period, as found when the last redemption had the number `known` and,
        if it is said, so many periods were `closed`. Raises: SuanliError.
        """
        with self._plainly(), self._transaction():
            (there,) = self._db.execute("SELECT count(*) FROM closing").fetchone()
            if closed not in (None, there):
                raise SuanliError(
                    Reason.BOOKS_REFUSED, "another process closed a period meanwhile; nothing was kept, try again"
                )
            self._redeem([redemption], known)

    def keep_grant(self, voucher: str, record: str) -> str:
        """Keep a grant, as JSON. What is kept of it: this, or what was kept before. Raises: SuanliError."""
        return self._keep("granted", voucher, record)

    def keep_rejection(self, voucher: str, record: str) -> str:
        """The same of a claim that was rejected; of one that is granted, too, the rejection holds. Raises: SuanliError."""
        return self._keep("rejected", voucher, record)

    def grants(self, after: int = 0) -> list[tuple[int, str, str]]:
        """Number, voucher and record of what was granted, in order. Raises: SuanliError."""
        return self._kept("granted", after)

    def rejections(self, after: int = 0) -> list[tuple[int, str, str]]:
        """The same of what was rejected. Raises: SuanliError."""
        return self._kept("rejected", after)

    def redemptions(self, after: int = 0) -> list[tuple[int, str, str]]:
        """The same of what was redeemed. Raises: SuanliError."""
        return self._kept("redeemed", after)

    def keep_late(self, voucher: str, bill: str) -> None:
        """Keep that what a voucher pays of a bill was posted after its hold had expired. Raises: SuanliError."""
        with self._plainly(), self._transaction():
            id_ = f"{voucher}:{bill}"
            if self._db.execute("SELECT 1 FROM late WHERE id = ?", [id_]).fetchone() is None:
                self._db.execute("INSERT INTO late (id, voucher, bill) VALUES (?, ?, ?)", [id_, voucher, bill])

    def late(self) -> dict[str, list[str]]:
        """The bills of which that is kept, in order, by voucher. Raises: SuanliError."""
        found: dict[str, list[str]] = {}
        with self._plainly():
            for voucher, bill in self._db.execute("SELECT voucher, bill FROM late ORDER BY sequence"):
                found.setdefault(voucher, []).append(bill)
        return found

    def closings(self) -> list[Closing]:
        """All closed periods, in the order in which they were closed. Raises: SuanliError."""
        with self._plainly():
            return [_read(row) for row in self._db.execute(f"{_CLOSING} ORDER BY sequence")]

    def closing(self, name: str) -> Closing | None:
        """A closed period; None while it is open. Raises: SuanliError."""
        with self._plainly():
            return self._closing(name)

    def keep_posted(self, name: str, root: tuple[int, str]) -> None:
        """Keep that the ledger acknowledged all of a closed period, and its root after that; the first word stays.

        Raises: SuanliError.
        """
        with self._plainly(), self._transaction():
            if self._db.execute("SELECT 1 FROM posted WHERE name = ?", [name]).fetchone() is None:
                self._db.execute("INSERT INTO posted (name, entries, hash) VALUES (?, ?, ?)", [name, *root])

    def posted(self, name: str) -> tuple[int, str] | None:
        """The ledger's root after all of a closed period was in it; None while that is not known. Raises: SuanliError."""
        with self._plainly():
            row = self._db.execute("SELECT entries, hash FROM posted WHERE name = ?", [name]).fetchone()
            return None if row is None else (int(row[0]), str(row[1]))

    def keep_issued(self, name: str, statements: Iterable[str]) -> None:
        """Keep that these Statements of a closed period are on the hub; the first word stays. Raises: SuanliError."""
        with self._plainly(), self._transaction():
            if self._db.execute("SELECT 1 FROM issued WHERE name = ?", [name]).fetchone() is None:
                text = json.dumps(sorted(statements))
                self._db.execute("INSERT INTO issued (name, statements) VALUES (?, ?)", [name, text])

    def issued(self, name: str) -> frozenset[str] | None:
        """The Statements of a closed period that were put on the hub; None while not all of them were. Raises: SuanliError."""
        with self._plainly():
            row = self._db.execute("SELECT statements FROM issued WHERE name = ?", [name]).fetchone()
            return None if row is None else frozenset(json.loads(row[0]))

    def keep_providers(self, providers: Mapping[str, str], now_ms: int) -> None:
        """Keep whose the sites are now, where that is not what was kept last. Raises: SuanliError."""
        if not self._changed(self.providers(), providers):
            return
        with self._plainly(), self._transaction():
            known = self._providers()
            changed = self._changed(known, providers)
            since = {site: max(now_ms, since_ms) for site, _, since_ms in known}
            self._db.executemany(
                "INSERT INTO operated (site, provider, since_ms) VALUES (?, ?, ?)",
                [(site, provider, since.get(site, now_ms)) for site, provider in sorted(changed.items())],
            )

    def providers(self) -> list[tuple[str, str, int]]:
        """Each site with its provider and since when that is so, in ms since the epoch, in order. Raises: SuanliError."""
        with self._plainly():
            return self._providers()

    def billed(self, period: str) -> list[str]:
        """The lines of a closed period, adjustments of earlier ones too, as JSON. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute("SELECT line FROM billed WHERE period = ? ORDER BY place", [period])
            return [line for (line,) in rows]

    def adjusting(self, period: str) -> list[str]:
        """The lines of later periods that adjust a closed one, as JSON. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute(
                "SELECT b.line FROM billed b JOIN closing c ON c.name = b.period WHERE b.adjusts = ? "
                "ORDER BY c.sequence, b.place",
                [period],
            )
            return [line for (line,) in rows]

    def billed_line(self, id_: str) -> str | None:
        """A line of a closed period as JSON; None when there is none of this id. Raises: SuanliError."""
        with self._plainly():
            row = self._db.execute("SELECT line FROM billed WHERE id = ?", [id_]).fetchone()
            return None if row is None else str(row[0])

    def keep_award(self, id_: str, award: KeptAward, most_micro_yuan: int) -> KeptAward:
        """Keep what a dispute came to. What is kept of it: this, or what was kept before.

        Raises: SuanliError, and nothing is kept, where with all others of the line it passes what the line came to.
        """
        with self._plainly(), self._transaction():
            row = self._db.execute("SELECT line, dispute, amount FROM awarded WHERE id = ?", [id_]).fetchone()
            if row is not None:
                return KeptAward(row[0], row[1], int(row[2]))
            others = self._db.execute("SELECT amount FROM awarded WHERE line = ?", [award.line])
            left = max(0, most_micro_yuan - sum(int(amount) for (amount,) in others))
            if not 0 < award.amount_micro_yuan <= left:
                why = f"line {award.line} has {yuan_text(left)} CNY left that can be given back; award no more, and more than 0"
                raise SuanliError(Reason.BOOKS_REFUSED, why)
            self._db.execute(
                "INSERT INTO awarded (id, line, dispute, amount) VALUES (?, ?, ?, ?)",
                [id_, award.line, award.dispute, str(award.amount_micro_yuan)],
            )
        return award

    def awards(self) -> dict[str, KeptAward]:
        """What disputes came to, by the id of the line that gives it, in order. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute("SELECT id, line, dispute, amount FROM awarded ORDER BY sequence")
            return {id_: KeptAward(line, dispute, int(amount)) for id_, line, dispute, amount in rows}

    def _providers(self) -> list[tuple[str, str, int]]:
        return self._db.execute("SELECT site, provider, since_ms FROM operated ORDER BY sequence").fetchall()

    @staticmethod
    def _changed(known: Iterable[tuple[str, str, int]], providers: Mapping[str, str]) -> dict[str, str]:
        last = {site: provider for site, provider, _ in known}
        return {site: provider for site, provider in providers.items() if last.get(site) != provider}

    def _keep(self, table: str, voucher: str, record: str) -> str:
        with self._plainly(), self._transaction():
            row = self._db.execute(f"SELECT record FROM {table} WHERE voucher = ?", [voucher]).fetchone()  # noqa: S608 - a name of this file
            if row is not None:
                return str(row[0])
            self._db.execute(f"INSERT INTO {table} (voucher, record) VALUES (?, ?)", [voucher, record])  # noqa: S608 - the same
        return record

    def _kept(self, table: str, after: int) -> list[tuple[int, str, str]]:
        with self._plainly():
            rows = self._db.execute(
                f"SELECT sequence, voucher, record FROM {table} WHERE sequence > ? ORDER BY sequence",  # noqa: S608 - the same
                [after],
            )
            return [(sequence, voucher, record) for sequence, voucher, record in rows]

    def _redeem(self, redemptions: Iterable[KeptRedemption], known: int) -> None:
        (last,) = self._db.execute("SELECT coalesce(max(sequence), 0) FROM redeemed").fetchone()
        if last != known:
            raise SuanliError(
                Reason.BOOKS_REFUSED, "another process redeemed vouchers meanwhile; nothing was kept, try again"
            )
        self._db.executemany(
            "INSERT INTO redeemed (id, voucher, bill, time_ms, record) VALUES (?, ?, ?, ?, ?)",
            [(f"{r.voucher}:{r.bill}", r.voucher, r.bill, r.time_ms, r.record) for r in redemptions],
        )

    def _closing(self, name: str) -> Closing | None:
        row = self._db.execute(f"{_CLOSING} WHERE name = ?", [name]).fetchone()
        return None if row is None else _read(row)


def _read(row: tuple[Any, ...]) -> Closing:
    name, start, end, counted, closed, facts = row
    return Closing(Period(name, start, end), counted, closed, facts)
