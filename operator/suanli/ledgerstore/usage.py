"""The usage ledger: an append-only SQLite file with one row for every attempt that was sent, and one for every pod that ran.

A record that was acknowledged is on the disk. An attempt and a pod are recorded once: the same record again changes nothing,
another one for the same pod is refused, counted and told. Sums are made in Python: products of bytes and milliseconds pass 64 bits.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from suanli.billing.agreement import Agreement
from suanli.billing.usage import PodUsage
from suanli.ledgerstore.sqlite import BUSY_MS, SqliteFile

LOG = logging.getLogger(__name__)
MOST_PARAMETERS = 500

_COLUMNS = tuple(f.name for f in fields(PodUsage))
_AGREED = tuple(f.name for f in fields(Agreement))
_AGREE = f"INSERT INTO agreement ({', '.join(_AGREED)}) VALUES ({', '.join('?' * len(_AGREED))})"  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM pod_usage"  # noqa: S608 - the record's own field names
_INSERT = f"INSERT INTO pod_usage ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608

# The first record of a pod stays, whatever a program does: also INSERT OR REPLACE, which fires no DELETE trigger.
_SCHEMAS = (
    """
CREATE TABLE pod_usage (
  pod_uid TEXT PRIMARY KEY CHECK (length(pod_uid) BETWEEN 1 AND 256),
  job_uid TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  site TEXT NOT NULL,
  class_ TEXT NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL CHECK (end_ms >= start_ms),
  cpu_milli INTEGER NOT NULL CHECK (cpu_milli >= 0),
  memory_bytes INTEGER NOT NULL CHECK (memory_bytes >= 0),
  cards INTEGER NOT NULL CHECK (cards >= 0),
  estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
  note TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pod_usage_of_job ON pod_usage (job_uid);
CREATE TRIGGER pod_usage_keeps_first BEFORE INSERT ON pod_usage
  WHEN EXISTS (SELECT 1 FROM pod_usage WHERE pod_uid = NEW.pod_uid)
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER pod_usage_no_update BEFORE UPDATE ON pod_usage BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER pod_usage_no_delete BEFORE DELETE ON pod_usage BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
""",
    # The order in which use was recorded: books that are closed hold all up to some number, and what comes later is added to others.
    """
CREATE TABLE pod_order (
  sequence INTEGER PRIMARY KEY,
  pod_uid TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO pod_order (pod_uid) SELECT pod_uid FROM pod_usage ORDER BY end_ms, pod_uid;
CREATE TRIGGER pod_usage_is_ordered AFTER INSERT ON pod_usage
  BEGIN INSERT INTO pod_order (pod_uid) VALUES (NEW.pod_uid); END;
CREATE TRIGGER pod_order_keeps_first BEFORE INSERT ON pod_order
  WHEN EXISTS (SELECT 1 FROM pod_order WHERE sequence = NEW.sequence OR pod_uid = NEW.pod_uid)
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER pod_order_no_update BEFORE UPDATE ON pod_order BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER pod_order_no_delete BEFORE DELETE ON pod_order BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE INDEX pod_usage_by_end ON pod_usage (end_ms);
CREATE TABLE given_up (
  job_uid TEXT NOT NULL CHECK (length(job_uid) BETWEEN 1 AND 256),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  PRIMARY KEY (job_uid, epoch)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER given_up_keeps_first BEFORE INSERT ON given_up
  WHEN EXISTS (SELECT 1 FROM given_up WHERE job_uid = NEW.job_uid AND epoch = NEW.epoch)
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER given_up_no_update BEFORE UPDATE ON given_up BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER given_up_no_delete BEFORE DELETE ON given_up BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE agreement (
  job_uid TEXT NOT NULL CHECK (length(job_uid) BETWEEN 1 AND 256),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  namespace TEXT NOT NULL,
  job TEXT NOT NULL,
  account TEXT NOT NULL,
  customer_class TEXT NOT NULL,
  site TEXT NOT NULL,
  provider TEXT NOT NULL,
  class_ TEXT NOT NULL,
  qos TEXT NOT NULL,
  unit TEXT NOT NULL,
  precision TEXT NOT NULL,
  tasks INTEGER NOT NULL CHECK (tasks >= 0),
  cpu_milli INTEGER NOT NULL CHECK (cpu_milli >= 0),
  memory_bytes INTEGER NOT NULL CHECK (memory_bytes >= 0),
  scratch_bytes INTEGER NOT NULL CHECK (scratch_bytes >= 0),
  cards INTEGER NOT NULL CHECK (cards >= 0),
  rated_power_w INTEGER NOT NULL CHECK (rated_power_w >= 0),
  pue_micro INTEGER NOT NULL CHECK (pue_micro >= 0),
  green_micro INTEGER NOT NULL CHECK (green_micro >= 0),
  grid_factor_g_per_kwh INTEGER NOT NULL CHECK (grid_factor_g_per_kwh >= 0),
  made_ms INTEGER NOT NULL,
  PRIMARY KEY (job_uid, epoch)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER agreement_keeps_first BEFORE INSERT ON agreement
  WHEN EXISTS (SELECT 1 FROM agreement WHERE job_uid = NEW.job_uid AND epoch = NEW.epoch)
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER agreement_no_update BEFORE UPDATE ON agreement BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER agreement_no_delete BEFORE DELETE ON agreement BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
""",
)


class UsageStore(SqliteFile):
    """The ledger's file. One thread at a time may use it; other processes may read it meanwhile."""

    WHAT = "usage ledger"
    APPLICATION_ID = 0x5355414E  # "SUAN"
    MIGRATIONS = _SCHEMAS

    def __init__(self, path: Path, *, busy_ms: int = BUSY_MS) -> None:
        """Open the file, and make it when it is not there. Raises: SuanliError."""
        super().__init__(path, busy_ms=busy_ms)
        self.conflicts = 0  # records that contradicted an earlier one of the same pod

    def record(self, usages: Sequence[PodUsage]) -> int:
        """Append in one transaction what is not there yet; how many that were. Raises: SuanliError, and nothing is kept."""
        fresh: dict[str, PodUsage] = {}
        with self._plainly(), self._transaction():
            known = {u.pod_uid: u for u in self._of_pods([u.pod_uid for u in usages])}
            pairs = [(known.get(u.pod_uid) or fresh.setdefault(u.pod_uid, u), u) for u in usages]
            self._db.executemany(_INSERT, [astuple(usage) for usage in fresh.values()])
        for first, second in pairs:
            if first != second:
                self.conflicts += 1
                LOG.warning(
                    "a pod's use was told twice and differently, the first stays",
                    extra={"first": repr(first), "second": repr(second)},
                )
        return len(fresh)

    def agree(self, agreements: Sequence[Agreement]) -> None:
        """Append in one transaction what is not there yet; an attempt's first word stays. Raises: SuanliError, and nothing is kept."""
        with self._plainly(), self._transaction():
            self._db.executemany(_AGREE, [astuple(agreement) for agreement in agreements])

    def agreements(self, job_uid: str) -> dict[int, Agreement]:
        """What was fixed of a job's attempts, by epoch. Raises: SuanliError."""
        return {epoch: found for (_, epoch), found in self.agreements_of([job_uid]).items()}

    def agreements_of(self, job_uids: Iterable[str]) -> dict[tuple[str, int], Agreement]:
        """What was fixed of these jobs' attempts, by job and epoch, in the order of jobs. Raises: SuanliError."""
        found = (Agreement(*row) for row in self._of_jobs(f"SELECT {', '.join(_AGREED)} FROM agreement", job_uids))  # noqa: S608 - its own field names
        return {(agreement.job_uid, agreement.epoch): agreement for agreement in found}

    def give_up(self, job_uid: str, epochs: Iterable[int]) -> None:
        """Append that these attempts do not count any more: their use is kept, and not billed. Raises: SuanliError."""
        with self._plainly(), self._transaction():
            self._db.executemany(
                "INSERT INTO given_up (job_uid, epoch) VALUES (?, ?)", [(job_uid, epoch) for epoch in epochs]
            )

    def given_up(self, job_uid: str) -> frozenset[int]:
        """Attempts of a job that do not count. Raises: SuanliError."""
        return frozenset(epoch for _, epoch in self.given_up_of([job_uid]))

    def given_up_of(self, job_uids: Iterable[str]) -> list[tuple[str, int]]:
        """Job and epoch of the attempts of these jobs that do not count. Raises: SuanliError."""
        return [(job_uid, epoch) for job_uid, epoch in self._of_jobs("SELECT job_uid, epoch FROM given_up", job_uids)]

    def count(self) -> int:
        """The number of the last record. Raises: SuanliError."""
        with self._plainly():
            return int(self._db.execute("SELECT coalesce(max(sequence), 0) FROM pod_order").fetchone()[0])

    def began_ms(self) -> int | None:
        """When the first attempt was sent, by the hub's clock; None before. Raises: SuanliError."""
        with self._plainly():
            found = self._db.execute("SELECT min(made_ms) FROM agreement").fetchone()[0]
            return None if found is None else int(found)

    def run_within(self, start_ms: int, end_ms: int, upto: int) -> list[PodUsage]:
        """What ran at some time from one moment to another, exclusive, as far as the records up to that number tell; by job.

        Raises: SuanliError.
        """
        columns = ", ".join(f"u.{name}" for name in _COLUMNS)
        with self._plainly():
            rows = self._db.execute(
                f"SELECT {columns} FROM pod_usage u JOIN pod_order o USING (pod_uid) "  # noqa: S608 - its own field names
                "WHERE u.end_ms > ? AND u.start_ms < ? AND o.sequence <= ? ORDER BY u.job_uid, u.start_ms, u.pod_uid",
                [start_ms, end_ms, upto],
            )
            return [_usage(row) for row in rows]

    def heard_within(self, start_ms: int, end_ms: int, after: int, upto: int) -> bool:
        """Whether the records after a number, up to another, tell of anything that ran between two moments. Raises: SuanliError."""
        with self._plainly():
            found = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM pod_order o CROSS JOIN pod_usage u USING (pod_uid) "
                "WHERE o.sequence > ? AND o.sequence <= ? AND u.end_ms > ? AND u.start_ms < ?)",
                [after, upto, start_ms, end_ms],
            )
            return bool(found.fetchone()[0])

    def of_job(self, job_uid: str) -> list[PodUsage]:
        """All that is recorded of one job, in the order of start. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute(f"{_SELECT} WHERE job_uid = ? ORDER BY start_ms, pod_uid", [job_uid])
            return [_usage(row) for row in rows]

    def of_pods(self, pod_uids: Iterable[str]) -> list[PodUsage]:
        """What is recorded of these pods, in no order. Raises: SuanliError."""
        with self._plainly():
            return list(self._of_pods(list(pod_uids)))

    def _of_jobs(self, select: str, job_uids: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """Rows of these jobs, by job and epoch."""
        wanted = sorted(job_uids)
        for begin in range(0, len(wanted), MOST_PARAMETERS):
            part = wanted[begin : begin + MOST_PARAMETERS]
            marks = ", ".join("?" * len(part))
            with self._plainly():
                rows = self._db.execute(f"{select} WHERE job_uid IN ({marks}) ORDER BY job_uid, epoch", part).fetchall()
            yield from rows

    def _of_pods(self, pod_uids: Sequence[str]) -> Iterator[PodUsage]:
        for begin in range(0, len(pod_uids), MOST_PARAMETERS):
            part = pod_uids[begin : begin + MOST_PARAMETERS]
            marks = ", ".join("?" * len(part))
            yield from (_usage(r) for r in self._db.execute(f"{_SELECT} WHERE pod_uid IN ({marks})", part))


def _usage(row: tuple[Any, ...]) -> PodUsage:
    values = dict(zip(_COLUMNS, row, strict=True))
    return PodUsage(**{**values, "estimated": bool(values["estimated"])})
