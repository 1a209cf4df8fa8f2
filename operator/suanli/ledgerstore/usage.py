"""The usage ledger: an append-only SQLite file with one row for every attempt that was sent, one for every link that it sends data over,
and one for every pod that ran.

A record that was acknowledged is on the disk. An attempt and a pod are recorded once: the same record again changes nothing,
another one for the same pod is refused, counted and told. What a pod that runs on used up to some mark is recorded beside, and stands
until its end is recorded. What an attempt sends over links counts as soon as a record says that a pod of it ran: the file itself sees to it,
in the same transaction. Sums are made in Python: products of bytes and milliseconds pass 64 bits.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from suanli.api.link import Direction, Leg
from suanli.base.units import MS_PER_HOUR
from suanli.billing.agreement import Agreement, Carried
from suanli.billing.usage import Gap, PodUsage
from suanli.ledgerstore.sqlite import BUSY_MS, Access, SqliteFile

LOG = logging.getLogger(__name__)
MOST_PARAMETERS = 500

_COLUMNS = tuple(f.name for f in fields(PodUsage))
_AGREED = tuple(f.name for f in fields(Agreement) if f.name != "legs")
_AGREED_ROW = attrgetter(*_AGREED)
_AGREE = f"INSERT INTO agreement ({', '.join(_AGREED)}) VALUES ({', '.join('?' * len(_AGREED))})"  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM pod_usage"  # noqa: S608 - the record's own field names
_MARKS = ", ".join("?" * len(_COLUMNS))
_INSERT = f"INSERT INTO pod_usage ({', '.join(_COLUMNS)}) VALUES ({_MARKS})"  # noqa: S608
_NEXT = "(SELECT last + 1 FROM last_sequence)"
_INSERT_SO_FAR = f"INSERT INTO pod_so_far (sequence, {', '.join(_COLUMNS)}) VALUES ({_NEXT}, {_MARKS})"  # noqa: S608
_GAP = tuple(f.name for f in fields(Gap))
_LEG = "job_uid, epoch, direction, link, operator, size"
_CARRIED = ", ".join(f.name for f in fields(Carried))

# A pod of an attempt ran, at the attempt's site: its inputs had come.
_CARRY_IN = """INSERT INTO carried (sequence, job_uid, epoch, direction, at_ms)
  SELECT (SELECT last + 1 FROM last_sequence), a.job_uid, a.epoch, 'in', a.made_ms FROM agreement a
  WHERE a.job_uid = NEW.job_uid AND a.epoch = NEW.epoch
  AND EXISTS (SELECT 1 FROM leg l WHERE l.job_uid = a.job_uid AND l.epoch = a.epoch AND l.direction = 'in')"""

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
    # What pods that run on used so far, and what nobody will ever know. All that changes what a closed period comes to has its place in
    # one order, so also what was given up; that of before counts as known from the beginning, as it did.
    """
ALTER TABLE given_up ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
CREATE INDEX given_up_by_sequence ON given_up (sequence);
CREATE TABLE pod_so_far (
  sequence INTEGER NOT NULL UNIQUE,
  pod_uid TEXT NOT NULL CHECK (length(pod_uid) BETWEEN 1 AND 256),
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
  note TEXT NOT NULL,
  PRIMARY KEY (pod_uid, end_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX pod_so_far_by_end ON pod_so_far (end_ms);
CREATE INDEX pod_so_far_of_job ON pod_so_far (job_uid);
CREATE TRIGGER pod_so_far_keeps_first BEFORE INSERT ON pod_so_far
  WHEN EXISTS (SELECT 1 FROM pod_so_far WHERE pod_uid = NEW.pod_uid AND end_ms = NEW.end_ms OR sequence = NEW.sequence)
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER pod_so_far_no_update BEFORE UPDATE ON pod_so_far BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER pod_so_far_no_delete BEFORE DELETE ON pod_so_far BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE gap (
  sequence INTEGER NOT NULL UNIQUE,
  site TEXT NOT NULL,
  job_uid TEXT NOT NULL CHECK (length(job_uid) BETWEEN 1 AND 256),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  pod_uid TEXT NOT NULL,
  pods INTEGER NOT NULL CHECK (pods > 0),
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL CHECK (end_ms >= start_ms),
  why TEXT NOT NULL,
  PRIMARY KEY (job_uid, epoch, pod_uid)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER gap_keeps_first BEFORE INSERT ON gap
  WHEN EXISTS (
    SELECT 1 FROM gap
    WHERE job_uid = NEW.job_uid AND epoch = NEW.epoch AND pod_uid = NEW.pod_uid OR sequence = NEW.sequence
  )
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER gap_no_update BEFORE UPDATE ON gap BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER gap_no_delete BEFORE DELETE ON gap BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE VIEW last_sequence AS
  SELECT max(
    (SELECT coalesce(max(sequence), 0) FROM pod_order),
    (SELECT coalesce(max(sequence), 0) FROM pod_so_far),
    (SELECT coalesce(max(sequence), 0) FROM given_up),
    (SELECT coalesce(max(sequence), 0) FROM gap)
  ) AS last;
DROP TRIGGER pod_usage_is_ordered;
CREATE TRIGGER pod_usage_is_ordered AFTER INSERT ON pod_usage
  BEGIN INSERT INTO pod_order (sequence, pod_uid) VALUES ((SELECT last + 1 FROM last_sequence), NEW.pod_uid); END;
""",
    # What an account's class is counts when a period is closed: nothing was ever rated by the one of an attempt.
    """
ALTER TABLE agreement DROP COLUMN customer_class;
""",
    # What attempts send over links. Sizes are digits: sums of declared sizes may pass 64 bits.
    f"""
CREATE TABLE leg (
  job_uid TEXT NOT NULL CHECK (length(job_uid) BETWEEN 1 AND 256),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
  link TEXT NOT NULL CHECK (length(link) > 0),
  operator TEXT NOT NULL,
  size TEXT NOT NULL CHECK (size GLOB '[1-9]*' AND size NOT GLOB '*[^0-9]*'),
  PRIMARY KEY (job_uid, epoch, direction, link)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER leg_keeps_first BEFORE INSERT ON leg
  WHEN EXISTS (
    SELECT 1 FROM leg
    WHERE job_uid = NEW.job_uid AND epoch = NEW.epoch AND direction = NEW.direction AND link = NEW.link
  )
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER leg_no_update BEFORE UPDATE ON leg BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER leg_no_delete BEFORE DELETE ON leg BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TABLE carried (
  sequence INTEGER NOT NULL UNIQUE,
  job_uid TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (job_uid, epoch, direction)
) STRICT, WITHOUT ROWID;
CREATE INDEX carried_by_time ON carried (at_ms);
CREATE TRIGGER carried_keeps_first BEFORE INSERT ON carried
  WHEN EXISTS (
    SELECT 1 FROM carried
    WHERE job_uid = NEW.job_uid AND epoch = NEW.epoch AND direction = NEW.direction OR sequence = NEW.sequence
  )
  BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER carried_no_update BEFORE UPDATE ON carried BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER carried_no_delete BEFORE DELETE ON carried BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
DROP VIEW last_sequence;
CREATE VIEW last_sequence AS
  SELECT max(
    (SELECT coalesce(max(sequence), 0) FROM pod_order),
    (SELECT coalesce(max(sequence), 0) FROM pod_so_far),
    (SELECT coalesce(max(sequence), 0) FROM given_up),
    (SELECT coalesce(max(sequence), 0) FROM gap),
    (SELECT coalesce(max(sequence), 0) FROM carried)
  ) AS last;
CREATE TRIGGER pod_usage_carries AFTER INSERT ON pod_usage BEGIN {_CARRY_IN} AND a.site = NEW.site; END;
CREATE TRIGGER pod_so_far_carries AFTER INSERT ON pod_so_far BEGIN {_CARRY_IN} AND a.site = NEW.site; END;
CREATE TRIGGER leg_is_carried AFTER INSERT ON leg WHEN NEW.direction = 'in' BEGIN
  {_CARRY_IN} AND (
    EXISTS (SELECT 1 FROM pod_usage p WHERE p.job_uid = a.job_uid AND p.epoch = a.epoch AND p.site = a.site) OR
    EXISTS (SELECT 1 FROM pod_so_far p WHERE p.job_uid = a.job_uid AND p.epoch = a.epoch AND p.site = a.site)
  );
END;
""",  # noqa: S608 - text of this file
)


class UsageStore(SqliteFile):
    """The ledger's file. One thread at a time may use it; other processes may read it meanwhile."""

    WHAT = "usage ledger"
    APPLICATION_ID = 0x5355414E  # "SUAN"
    MIGRATIONS = _SCHEMAS

    def __init__(self, path: Path, *, busy_ms: int = BUSY_MS, access: Access = Access.MAKE) -> None:
        """Open the file. Raises: SuanliError."""
        super().__init__(path, busy_ms=busy_ms, access=access)
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

    def record_so_far(self, usages: Sequence[PodUsage]) -> None:
        """Append in one transaction what pods used up to their marks, where it is not there yet. Raises: SuanliError, and nothing is kept."""
        with self._plainly(), self._transaction():
            self._db.executemany(_INSERT_SO_FAR, [astuple(usage) for usage in usages])

    def record_gaps(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Append in one transaction what is not there yet, and is not known after all; those that were. Raises: SuanliError."""
        marks = ", ".join("?" * len(_GAP))
        insert = (
            f"INSERT INTO gap (sequence, {', '.join(_GAP)}) SELECT {_NEXT}, {marks} "  # noqa: S608 - its own field names
            "WHERE NOT EXISTS (SELECT 1 FROM pod_usage WHERE pod_uid = ?)"
        )
        with self._plainly(), self._transaction():
            return [gap for gap in gaps if self._db.execute(insert, [*astuple(gap), gap.pod_uid]).rowcount > 0]

    def missing(self, job_uid: str, epoch: int) -> int:
        """Tasks of an attempt of which no pod is recorded, neither whole nor so far; 0 where nobody knows its tasks. Raises: SuanliError."""
        with self._plainly():
            tasks = self._db.execute("SELECT tasks FROM agreement WHERE job_uid = ? AND epoch = ?", [job_uid, epoch])
            known = self._db.execute(
                "SELECT pod_uid FROM pod_usage WHERE job_uid = ?1 AND epoch = ?2 "
                "UNION SELECT pod_uid FROM pod_so_far WHERE job_uid = ?1 AND epoch = ?2",
                [job_uid, epoch],
            )
            return max(0, sum(int(n) for (n,) in tasks) - len(known.fetchall()))

    def gaps(self, upto: int) -> list[Gap]:
        """What nobody will ever know, as far as the records up to a number tell; by job. Raises: SuanliError."""
        columns = ", ".join(_GAP)
        with self._plainly():
            rows = self._db.execute(
                f"SELECT {columns} FROM gap g WHERE sequence <= ? AND NOT EXISTS "  # noqa: S608 - its own field names
                "(SELECT 1 FROM pod_order o WHERE o.pod_uid = g.pod_uid AND o.sequence <= ?) ORDER BY job_uid, epoch, pod_uid",
                [upto, upto],
            )
            return [Gap(**dict(zip(_GAP, row, strict=True))) for row in rows]

    def open_pods(self, upto: int, job_uid: str | None = None) -> list[PodUsage]:
        """What pods, of one job or all, used so far whose end is not recorded, and may be one day; by job. Raises: SuanliError."""
        never = {gap.pod_uid for gap in self.gaps(upto)}
        with self._plainly():
            whose, given = ("TRUE", []) if job_uid is None else ("job_uid = ?", [job_uid])
            return [pod for pod in self._so_far(whose, given, upto) if pod.pod_uid not in never]

    def agree(self, agreements: Sequence[Agreement]) -> None:
        """Append in one transaction what is not there yet; an attempt's first word stays, also of what it sends over links.

        Raises: SuanliError, and nothing is kept.
        """
        with self._plainly(), self._transaction():
            for one in agreements:
                if self._db.execute(_AGREE, _AGREED_ROW(one)).rowcount > 0 and one.legs:
                    rows = [
                        (one.job_uid, one.epoch, leg.direction, leg.link, leg.operator, str(leg.size))
                        for leg in one.legs
                    ]
                    self._db.executemany(f"INSERT INTO leg ({_LEG}) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - its own field names

    def succeed(self, job_uid: str, epoch: int, now_ms: int) -> None:
        """Append that an attempt succeeded, so that all that it sends over links counts; again changes nothing.

        Its outputs went when its last pod ended, as far as that is known, and after its inputs. Raises: SuanliError.
        """
        insert = (
            f"INSERT INTO carried (sequence, {_CARRIED}) SELECT {_NEXT}, ?1, ?2, ?3, ?4 "  # noqa: S608 - its own field names
            "WHERE EXISTS (SELECT 1 FROM leg WHERE job_uid = ?1 AND epoch = ?2 AND direction = ?3)"
        )
        with self._plainly(), self._transaction():
            known = self._db.execute(
                "SELECT a.made_ms, (SELECT max(end_ms) FROM pod_usage p WHERE p.job_uid = a.job_uid AND p.epoch = a.epoch "
                "AND p.site = a.site) FROM agreement a WHERE a.job_uid = ? AND a.epoch = ?",
                [job_uid, epoch],
            )
            for made_ms, ended_ms in known.fetchall():
                self._db.execute(insert, [job_uid, epoch, Direction.IN, made_ms])
                gone_ms = max(made_ms + 1, now_ms if ended_ms is None else ended_ms)
                self._db.execute(insert, [job_uid, epoch, Direction.OUT, gone_ms])

    def carried(self, job_uid: str) -> list[Carried]:
        """What a job's attempts sent over links, by epoch. Raises: SuanliError."""
        return self._carried("job_uid = ?", [job_uid])

    def carried_within(self, start_ms: int, end_ms: int, upto: int) -> list[Carried]:
        """What went over links from one moment to another, exclusive, as far as the records up to a number tell; by job. Raises: SuanliError."""
        return self._carried("at_ms >= ? AND at_ms < ? AND sequence <= ?", [start_ms, end_ms, upto])

    def agreements(self, job_uid: str) -> dict[int, Agreement]:
        """What was fixed of a job's attempts, by epoch. Raises: SuanliError."""
        return {epoch: found for (_, epoch), found in self.agreements_of([job_uid]).items()}

    def agreements_of(self, job_uids: Iterable[str]) -> dict[tuple[str, int], Agreement]:
        """What was fixed of these jobs' attempts, by job and epoch, in the order of jobs. Raises: SuanliError."""
        wanted = sorted(job_uids)
        legs: dict[tuple[str, int], list[Leg]] = defaultdict(list)
        for uid, epoch, way, link, operator, size in self._of_jobs(f"SELECT {_LEG} FROM leg", wanted):  # noqa: S608 - its own field names
            legs[uid, epoch].append(Leg(Direction(way), link, operator, int(size)))
        made = {}
        for row in self._of_jobs(f"SELECT {', '.join(_AGREED)} FROM agreement", wanted):  # noqa: S608 - the same
            one = Agreement(*row)
            key = one.job_uid, one.epoch
            made[key] = replace(one, legs=tuple(legs[key])) if key in legs else one
        return made

    def give_up(self, job_uid: str, epochs: Iterable[int]) -> None:
        """Append that these attempts do not count any more: their use is kept, and not billed. Raises: SuanliError."""
        with self._plainly(), self._transaction():
            self._db.executemany(
                f"INSERT INTO given_up (job_uid, epoch, sequence) VALUES (?, ?, {_NEXT})",  # noqa: S608 - its own words
                [(job_uid, epoch) for epoch in epochs],
            )

    def given_up(self, job_uid: str, upto: int) -> frozenset[int]:
        """Attempts of a job that do not count, as far as the records up to a number tell. Raises: SuanliError."""
        return frozenset(epoch for _, epoch in self.given_up_of([job_uid], upto))

    def given_up_of(self, job_uids: Iterable[str], upto: int) -> list[tuple[str, int]]:
        """Job and epoch of the attempts of these jobs that do not count, as far as the records up to a number tell. Raises: SuanliError."""
        rows = self._of_jobs("SELECT job_uid, epoch, sequence FROM given_up", job_uids)
        return [(job_uid, epoch) for job_uid, epoch, sequence in rows if sequence <= upto]

    def count(self) -> int:
        """The number of the last record. Raises: SuanliError."""
        with self._plainly():
            return int(self._db.execute("SELECT last FROM last_sequence").fetchone()[0])

    def began_ms(self) -> int | None:
        """When the first attempt was sent, by the hub's clock; None before. Raises: SuanliError."""
        with self._plainly():
            found = self._db.execute("SELECT min(made_ms) FROM agreement").fetchone()[0]
            return None if found is None else int(found)

    def run_within(self, start_ms: int, end_ms: int, upto: int) -> list[PodUsage]:
        """What ran at some time from one moment to another, exclusive, as far as the records up to that number tell; by job.

        Of a pod whose end they do not tell, what it used up to its last mark. Raises: SuanliError.
        """
        columns = ", ".join(f"u.{name}" for name in _COLUMNS)
        with self._plainly():
            so_far = self._so_far("end_ms > ? AND start_ms < ?", [start_ms, end_ms], upto)
            rows = self._db.execute(
                f"SELECT {columns} FROM pod_usage u JOIN pod_order o USING (pod_uid) "  # noqa: S608 - its own field names
                "WHERE u.end_ms > ? AND u.start_ms < ? AND o.sequence <= ? ORDER BY u.job_uid, u.start_ms, u.pod_uid",
                [start_ms, end_ms, upto],
            )
            ended = map(_usage, rows)
            return sorted([*ended, *so_far], key=_order) if so_far else list(ended)

    def heard_within(self, start_ms: int, end_ms: int, after: int, upto: int) -> bool:
        """Whether the records after a number, up to another, change anything of what is known of a time. Raises: SuanliError."""
        new, time = [after, upto], [start_ms, end_ms]
        with self._plainly():
            ended = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM pod_order o CROSS JOIN pod_usage u USING (pod_uid) "
                "WHERE o.sequence > ? AND o.sequence <= ? AND u.end_ms > ? AND u.start_ms < ? "
                "AND NOT EXISTS (SELECT 1 FROM pod_so_far s WHERE s.pod_uid = o.pod_uid))",
                [*new, *time],
            )
            given_up = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM given_up g WHERE g.sequence > ? AND g.sequence <= ? AND EXISTS "
                "(SELECT 1 FROM pod_usage u WHERE (u.job_uid, u.epoch) = (g.job_uid, g.epoch) AND u.end_ms > ? AND u.start_ms < ? UNION ALL "
                "SELECT 1 FROM pod_so_far s WHERE (s.job_uid, s.epoch) = (g.job_uid, g.epoch) AND s.end_ms > ? AND s.start_ms < ? UNION ALL "
                "SELECT 1 FROM carried c WHERE (c.job_uid, c.epoch) = (g.job_uid, g.epoch) AND c.at_ms >= ? AND c.at_ms < ?))",
                [*new, *time, *time, *time],
            )
            carried = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM carried WHERE sequence > ? AND sequence <= ? AND at_ms >= ? AND at_ms < ?)",
                [*new, *time],
            )
            marked = self._db.execute(
                "SELECT pod_uid FROM pod_so_far WHERE sequence > ? AND sequence <= ? UNION "
                "SELECT pod_uid FROM pod_order o WHERE sequence > ? AND sequence <= ? "
                "AND EXISTS (SELECT 1 FROM pod_so_far s WHERE s.pod_uid = o.pod_uid)",
                [*new, *new],
            )
            pods = [pod_uid for (pod_uid,) in marked]
            if any(found.fetchone()[0] for found in (ended, given_up, carried)):
                return True
            return self._told(pods, start_ms, end_ms, after) != self._told(pods, start_ms, end_ms, upto)

    def of_job(self, job_uid: str) -> list[PodUsage]:
        """All that is recorded of one job, in the order of start. Raises: SuanliError."""
        with self._plainly():
            rows = self._db.execute(f"{_SELECT} WHERE job_uid = ? ORDER BY start_ms, pod_uid", [job_uid])
            return [_usage(row) for row in rows]

    def of_pods(self, pod_uids: Iterable[str]) -> list[PodUsage]:
        """What is recorded of these pods, in no order. Raises: SuanliError."""
        with self._plainly():
            return list(self._of_pods(list(pod_uids)))

    def _carried(self, where: str, values: Sequence[Any]) -> list[Carried]:
        with self._plainly():
            rows = self._db.execute(
                f"SELECT {_CARRIED} FROM carried WHERE {where} ORDER BY job_uid, epoch, direction",  # noqa: S608 - its own words
                values,
            )
            return [Carried(uid, epoch, Direction(way), at_ms) for uid, epoch, way, at_ms in rows]

    def _so_far(self, where: str, values: Sequence[Any], upto: int) -> list[PodUsage]:
        """The last mark of each pod whose end is not recorded up to that number, of those marks where something holds."""
        columns = ", ".join(
            name if name != "end_ms" else "max(end_ms)" for name in _COLUMNS
        )  # the others are of that row
        rows = self._db.execute(
            f"SELECT {columns} FROM pod_so_far s WHERE {where} AND sequence <= ? AND NOT EXISTS "  # noqa: S608 - its own words
            "(SELECT 1 FROM pod_order o WHERE o.pod_uid = s.pod_uid AND o.sequence <= ?) GROUP BY pod_uid",
            [*values, upto, upto],
        )
        return sorted(map(_usage, rows), key=_order)

    def _told(self, pod_uids: Sequence[str], start_ms: int, end_ms: int, upto: int) -> dict[str, PodUsage]:
        """What the records up to a number tell of some pods' part of a time, to the next full hour: no event goes over one."""
        until_ms = -(-end_ms // MS_PER_HOUR) * MS_PER_HOUR
        found: dict[str, PodUsage] = {}
        for begin in range(0, len(pod_uids), MOST_PARAMETERS):
            part = pod_uids[begin : begin + MOST_PARAMETERS]
            marks = ", ".join("?" * len(part))
            found |= {pod.pod_uid: pod for pod in self._so_far(f"pod_uid IN ({marks})", part, upto)}
            known = self._db.execute(
                f"SELECT pod_uid FROM pod_order WHERE sequence <= ? AND pod_uid IN ({marks})",  # noqa: S608 - question marks
                [upto, *part],
            )
            found |= {pod.pod_uid: pod for pod in self._of_pods([pod_uid for (pod_uid,) in known])}
        return {
            uid: replace(pod, end_ms=min(pod.end_ms, until_ms), estimated=False, note="")
            for uid, pod in found.items()
            if pod.end_ms > start_ms and pod.start_ms < end_ms
        }

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


def _order(usage: PodUsage) -> tuple[str, int, str]:
    return usage.job_uid, usage.start_ms, usage.pod_uid


def _usage(row: tuple[Any, ...]) -> PodUsage:
    values = dict(zip(_COLUMNS, row, strict=True))
    return PodUsage(**{**values, "estimated": bool(values["estimated"])})
