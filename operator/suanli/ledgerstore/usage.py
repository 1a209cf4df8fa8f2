"""The usage ledger: an append-only SQLite file with one row for every pod that ran.

A record that was acknowledged is on the disk. A pod is recorded once: the same record again changes nothing, another one
for the same pod is refused, counted and told. Sums are made in Python: products of bytes and milliseconds pass 64 bits.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from suanli.billing.usage import PodUsage
from suanli.ledgerstore.sqlite import BUSY_MS, SqliteFile

LOG = logging.getLogger(__name__)
MOST_PARAMETERS = 500

_COLUMNS = tuple(f.name for f in fields(PodUsage))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM pod_usage"  # noqa: S608 - the record's own field names
_INSERT = f"INSERT INTO pod_usage ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608

# The first record of a pod stays, whatever a program does: also INSERT OR REPLACE, which fires no DELETE trigger.
_SCHEMA = """
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
"""


class UsageStore(SqliteFile):
    """The ledger's file. One thread at a time may use it; other processes may read it meanwhile."""

    WHAT = "usage ledger"
    APPLICATION_ID = 0x5355414E  # "SUAN"
    MIGRATIONS = (_SCHEMA,)

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

    def of_job(self, job_uid: str) -> list[PodUsage]:
        """All that is recorded of one job, in the order of start. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute(f"{_SELECT} WHERE job_uid = ? ORDER BY start_ms, pod_uid", [job_uid])
            return [_usage(row) for row in rows]

    def of_pods(self, pod_uids: Iterable[str]) -> list[PodUsage]:
        """What is recorded of these pods, in no order. Raises: SuanliError."""
        with self._plainly():
            return list(self._of_pods(list(pod_uids)))

    def _of_pods(self, pod_uids: Sequence[str]) -> Iterator[PodUsage]:
        for begin in range(0, len(pod_uids), MOST_PARAMETERS):
            part = pod_uids[begin : begin + MOST_PARAMETERS]
            marks = ", ".join("?" * len(part))
            yield from (_usage(r) for r in self._db.execute(f"{_SELECT} WHERE pod_uid IN ({marks})", part))


def _usage(row: tuple[Any, ...]) -> PodUsage:
    values = dict(zip(_COLUMNS, row, strict=True))
    return PodUsage(**{**values, "estimated": bool(values["estimated"])})
