"""`./hack/bench/ledger`: durable transfers a second in batches, on SQLite and PostgreSQL.

The floor of each is the same rows, in as many transactions, by plain INSERTs into a table without rules, chain or sums, with
the same promise of durability: SQLite's log is flushed at each commit (synchronous FULL; with NORMAL a power cut may take
commits back that were acknowledged). Where the kernel tells (Linux), the seconds in which this process could have run and had no
core are shown, and the rate by the clock without them: what is left is work and the wait for the disk. A third of the transfers are posts, a third holds, a third posts of those holds; each batch
is one transaction.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from commandline import whole
from harness.postgres import NoPostgresError, Postgres
from suanli.billing.ledger import LedgerAccount, Outcome, Transfer, TransferKind
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.postgres import SCHEMA, PostgresLedger
from suanli.ledgerstore.sql import ENTRY_COLUMNS, Row, SqlLedger

CONSUMERS = 500
PROVIDERS = 10
PLENTY = 10**15
_ROWS = f"SELECT {', '.join(ENTRY_COLUMNS)} FROM entry WHERE id IS NOT NULL ORDER BY sequence"  # noqa: S608
_INSERT = f"INSERT INTO plain VALUES ({', '.join('?' * len(ENTRY_COLUMNS))})"  # noqa: S608
_PLAIN = """
CREATE TABLE plain (
  sequence BIGINT PRIMARY KEY, kind TEXT, id TEXT UNIQUE, debit TEXT, credit TEXT, amount_micro_yuan BIGINT, time_ms BIGINT,
  hold TEXT, expires_ms BIGINT, reference TEXT, linked TEXT, released_micro_yuan BIGINT, account TEXT,
  min_micro_yuan BIGINT, max_micro_yuan BIGINT, hash TEXT)
"""


SCHEDULED = Path("/proc/self/schedstat")  # nanoseconds on a core, and in wait for one


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, of processor, and in wait for a core; the last is 0 where the kernel does not tell."""

    clock: float
    cpu: float
    waited: float

    @classmethod
    def now(cls) -> "Spent":
        """Since some moment."""
        waited = int(SCHEDULED.read_text().split()[1]) / 1e9 if SCHEDULED.exists() else 0.0
        return cls(time.perf_counter(), time.process_time(), waited)

    def since(self, before: "Spent") -> "Spent":
        """What lies between two moments."""
        return Spent(self.clock - before.clock, self.cpu - before.cpu, self.waited - before.waited)

    @property
    def alone(self) -> float:
        """The seconds by the clock on a machine where a core is always free."""
        return max(self.clock - self.waited, self.cpu)


@dataclass(frozen=True)
class Line:
    """What one store did. Rates are transfers a second by the clock; `cpu_seconds` are this process's."""

    store: str
    transfers_per_s: int
    cpu_seconds: float
    waited_for_a_core_s: float
    transfers_per_s_without: int
    floor_per_s: int
    floor_cpu_seconds: float
    floor_per_s_without: int
    of_floor_percent: float
    verify_per_s: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 2 a wrong argument."""
    args = _arguments(argv)
    batches = list(_batches(args.transfers, args.batch))
    lines = [_sqlite(batches)]
    missing = ""
    try:
        with Postgres() as server:
            lines.append(_postgres(server, batches))
    except NoPostgresError as error:
        missing = str(error)
    if args.output == "json":
        result = {"transfers": args.transfers, "batch": args.batch, "stores": [asdict(line) for line in lines]}
        print(json.dumps({**result, **({"postgres": missing} if missing else {})}, indent=2))
        return 0
    print(f"{args.transfers} transfers in batches of {args.batch}, each one durable transaction")
    print(
        f"{'store':<11} {'transfers/s':>11} {'cpu s':>7} {'no core s':>9} {'without/s':>9} {'plain INSERTs/s':>15} {'cpu s':>7} "
        f"{'without/s':>9} {'of floor':>9} {'verify/s':>9}"
    )
    for line in lines:
        print(
            f"{line.store:<11} {line.transfers_per_s:>11} {line.cpu_seconds:>7.2f} {line.waited_for_a_core_s:>9.2f} "
            f"{line.transfers_per_s_without:>9} {line.floor_per_s:>15} {line.floor_cpu_seconds:>7.2f} {line.floor_per_s_without:>9} "
            f"{line.of_floor_percent:>8.1f}% {line.verify_per_s:>9}"
        )
    if missing:
        print(missing)
    return 0


def _batches(transfers: int, batch: int) -> Iterator[list[Transfer]]:
    """As a month's posting makes them: many consumers, few providers, ids of digests' length."""
    every = []
    for number in range(transfers):
        kind = (TransferKind.POST, TransferKind.HOLD, TransferKind.POST_HOLD)[number % 3]
        pair = number // 3
        every.append(
            Transfer(
                id=f"{number:064x}",
                debit=f"consumer:{pair % CONSUMERS}",
                credit=f"provider:{pair % PROVIDERS}",
                amount_micro_yuan=1_000 + number % 7,
                kind=kind,
                time_ms=1_760_000_000_000 + number,
                hold=f"{number - 1:064x}" if kind is TransferKind.POST_HOLD else "",
                expires_ms=1_860_000_000_000 if kind is TransferKind.HOLD else 0,
                reference=f"{pair:032x}",
            )
        )
        if kind is TransferKind.POST_HOLD:
            every[-1] = _smaller(every[-1])
    return (every[begin : begin + batch] for begin in range(0, transfers, batch))


def _smaller(end: Transfer) -> Transfer:
    return Transfer(
        end.id, end.debit, end.credit, 900, end.kind, end.time_ms, end.hold, end.expires_ms, end.reference, end.linked
    )


def _accounts() -> list[LedgerAccount]:
    consumers = [LedgerAccount(f"consumer:{number}", min_micro_yuan=-PLENTY) for number in range(CONSUMERS)]
    return [*consumers, *(LedgerAccount(f"provider:{number}") for number in range(PROVIDERS))]


def _filled(ledger: SqlLedger, batches: Sequence[Sequence[Transfer]]) -> tuple[Spent, float]:
    """What it took, and the seconds of a verification."""
    ledger.open(_accounts())
    began = Spent.now()
    for batch in batches:
        outcomes = ledger.commit(batch)
        assert outcomes.count(Outcome.CREATED) == len(batch)
    spent = Spent.now().since(began)
    verifying = time.perf_counter()
    ledger.verify()
    return spent, time.perf_counter() - verifying


def _floor(rows: Sequence[Row], batch: int, insert: Callable[[Sequence[Row]], None]) -> Spent:
    began = Spent.now()
    for begin in range(0, len(rows), batch):
        insert(rows[begin : begin + batch])
    return Spent.now().since(began)


def _sqlite(batches: Sequence[Sequence[Transfer]]) -> Line:
    with tempfile.TemporaryDirectory(prefix="suanli-bench-") as folder:
        with SqliteLedger(Path(folder) / "ledger.sqlite3") as ledger:
            took = _filled(ledger, batches)
        with closing(sqlite3.connect(Path(folder) / "ledger.sqlite3")) as db:
            rows = db.execute(_ROWS).fetchall()
        with closing(sqlite3.connect(Path(folder) / "plain.sqlite3", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(_PLAIN)

            def insert(part: Sequence[Row]) -> None:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(_INSERT, part)
                db.execute("COMMIT")

            floor = _floor(rows, len(batches[0]), insert)
    return _line("SQLite", sum(map(len, batches)), took, floor)


def _postgres(server: Postgres, batches: Sequence[Sequence[Transfer]]) -> Line:
    with PostgresLedger(server.address) as ledger:
        took = _filled(ledger, batches)
    with psycopg.connect(server.address, autocommit=True) as db:
        db.execute(f"SET search_path TO {SCHEMA}".encode())
        rows = db.execute(_ROWS.encode()).fetchall()
        db.execute(_PLAIN)

        def insert(part: Sequence[Row]) -> None:
            with db.transaction(), db.cursor() as cursor:
                cursor.executemany(_INSERT.replace("?", "%s").encode(), part)

        floor = _floor(rows, len(batches[0]), insert)
    return _line("PostgreSQL", sum(map(len, batches)), took, floor)


def _line(store: str, transfers: int, took: tuple[Spent, float], floor: Spent) -> Line:
    spent, verify = took
    return Line(
        store=store,
        transfers_per_s=round(transfers / spent.clock),
        cpu_seconds=round(spent.cpu, 2),
        waited_for_a_core_s=round(spent.waited, 2),
        transfers_per_s_without=round(transfers / spent.alone),
        floor_per_s=round(transfers / floor.clock),
        floor_cpu_seconds=round(floor.cpu, 2),
        floor_per_s_without=round(transfers / floor.alone),
        of_floor_percent=round(100 * floor.clock / spent.clock, 1),
        verify_per_s=round(transfers / verify),
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/bench/ledger",
        description="Durable transfers a second in batches, beside plain INSERTs of the same rows in the same run.",
        epilog="Exit code: 0 measured, 2 a wrong argument.",
    )
    parser.add_argument("--transfers", type=whole(3, 10_000_000), default=60_000, help="how many (60000)")
    parser.add_argument("--batch", type=whole(1, 100_000), default=1_000, help="transfers of one transaction (1000)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
