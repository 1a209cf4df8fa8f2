"""`./hack/bench/ledger`: durable transfers a second in batches, on SQLite and PostgreSQL.

The floor of each is the same rows, in as many transactions, by plain INSERTs into a table without rules, chain or sums, with
the same promise of durability. A third of the transfers are posts, a third holds, a third posts of those holds; each batch
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


@dataclass(frozen=True)
class Line:
    """What one store did. Rates are transfers a second by the clock; `cpu_seconds` are this process's."""

    store: str
    transfers_per_s: int
    cpu_seconds: float
    transfers_per_cpu_s: int
    floor_per_s: int
    floor_cpu_seconds: float
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
        f"{'store':<11} {'transfers/s':>11} {'cpu s':>7} {'per cpu s':>9} {'plain INSERTs/s':>15} {'cpu s':>7} {'of floor':>9} {'verify/s':>9}"
    )
    for line in lines:
        print(
            f"{line.store:<11} {line.transfers_per_s:>11} {line.cpu_seconds:>7.2f} {line.transfers_per_cpu_s:>9} {line.floor_per_s:>15} "
            f"{line.floor_cpu_seconds:>7.2f} {line.of_floor_percent:>8.1f}% {line.verify_per_s:>9}"
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


def _filled(ledger: SqlLedger, batches: Sequence[Sequence[Transfer]]) -> tuple[float, float, float]:
    """Seconds, seconds of processor, and seconds of a verification."""
    ledger.open(_accounts())
    began, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        outcomes = ledger.commit(batch)
        assert outcomes.count(Outcome.CREATED) == len(batch)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    ledger.verify()
    return seconds, cpu, time.perf_counter() - began


def _floor(rows: Sequence[Row], batch: int, insert: Callable[[Sequence[Row]], None]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, len(rows), batch):
        insert(rows[begin : begin + batch])
    return time.perf_counter() - began, time.process_time() - cpu


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


def _line(store: str, transfers: int, took: tuple[float, float, float], floor: tuple[float, float]) -> Line:
    seconds, cpu, verify = took
    return Line(
        store=store,
        transfers_per_s=round(transfers / seconds),
        cpu_seconds=round(cpu, 2),
        transfers_per_cpu_s=round(transfers / cpu),
        floor_per_s=round(transfers / floor[0]),
        floor_cpu_seconds=round(floor[1], 2),
        of_floor_percent=round(100 * floor[0] / seconds, 1),
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
