"""Ledgers of both kinds for tests: where they are, what is put into them, and writers that are processes of their own.

Run as `python ledgers.py WRITER PLACE ...`: see `WRITERS`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.ledger import LedgerAccount, Outcome, Transfer, TransferKind
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.sql import SqlLedger
from suanli.ledgerstore.sqlite import Access

PATIENT_MS = 240_000  # the wait for a lock where 16 want it on a busy machine


@dataclass(frozen=True)
class Size:
    """Random ledgers and steps of each, kills, rounds of a race."""

    ledgers: int
    steps: int
    kills: int
    rounds: int


SIZES = {"quick": Size(200, 50, 100, 3), "slow": Size(200, 50, 100, 100), "full": Size(10_000, 100, 1_000, 1_000)}


@dataclass(frozen=True)
class Place:
    """A file, or a schema of a PostgreSQL server."""

    where: str
    schema: str = ""

    def open(self, *, busy_ms: int = PATIENT_MS, access: Access = Access.MAKE) -> Any:
        """The ledger there: a SqliteLedger or a PostgresLedger."""
        if not self.schema:
            return SqliteLedger(Path(self.where), busy_ms=busy_ms, access=access)
        from suanli.ledgerstore.postgres import PostgresLedger

        return PostgresLedger(self.where, schema=self.schema, busy_ms=busy_ms, access=access)

    def start(self, writer: str, *words: object) -> subprocess.Popen[str]:
        """One of WRITERS as a process, to be told "go" on its standard input."""
        return subprocess.Popen(
            [sys.executable, __file__, writer, json.dumps(asdict(self)), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )


def a_transfer(id_: str = "t1", amount: int = 100, kind: TransferKind = TransferKind.POST, **fields: Any) -> Transfer:
    """From the consumer "physics" to the provider "east"."""
    base: dict[str, Any] = {"debit": "consumer:physics", "credit": "provider:east", "time_ms": 1_000, **fields}
    return Transfer(id=id_, amount_micro_yuan=amount, kind=kind, **base)


def a_hold(id_: str = "h1", amount: int = 100, **fields: Any) -> Transfer:
    """Set aside."""
    return a_transfer(id_, amount, TransferKind.HOLD, **fields)


def a_post_hold(id_: str, hold: str = "h1", amount: int = 100, **fields: Any) -> Transfer:
    """Post all or a part of a hold."""
    return a_transfer(id_, amount, TransferKind.POST_HOLD, hold=hold, **fields)


def a_void(id_: str, hold: str = "h1", **fields: Any) -> Transfer:
    """Give a hold back."""
    return a_transfer(id_, 0, TransferKind.VOID_HOLD, hold=hold, **fields)


ACCOUNTS = (
    LedgerAccount("consumer:physics", min_micro_yuan=0),
    LedgerAccount("consumer:数学", min_micro_yuan=-500),
    LedgerAccount("provider:east", max_micro_yuan=10_000),
    LedgerAccount("cash:bank"),
)


def opened(ledger: SqlLedger, top_up: int = 1_000) -> None:
    """ACCOUNTS, and some money in the first."""
    ledger.open(ACCOUNTS)
    done = ledger.commit([a_transfer("top-up", top_up, debit="cash:bank", credit="consumer:physics", time_ms=0)])
    assert done == [Outcome.CREATED]


def refused(work: Callable[[], object], *words: str, reason: Reason = Reason.LEDGER_UNUSABLE) -> None:
    """The work fails for the reason, and says these words."""
    import pytest  # writers are many, and are started without it

    with pytest.raises(SuanliError) as caught:
        work()
    assert caught.value.reason is reason
    for word in words:
        assert word in str(caught.value)


# --- writers


def _acknowledge(ledger: SqlLedger, name: str) -> None:
    """Groups of three, one after another, told when they are in; until it is killed."""
    number = 0
    while True:
        number += 1
        ids = [f"{name}-{number}-{part}" for part in "abc"]
        outcomes = ledger.commit([a_transfer(id_, 1, linked=f"{name}-{number}", time_ms=number) for id_ in ids])
        assert set(outcomes) == {Outcome.CREATED}
        print(*ids, flush=True)


def _race(ledger: SqlLedger, name: str, rounds: str) -> None:
    """Spends as much as it is let, by posts and holds in turn; tells how much that was."""
    spent = 0
    for number in range(int(rounds)):
        hold, post = f"{name}-{number}-h", f"{name}-{number}-p"
        outcomes = ledger.commit([a_hold(hold, 7), a_transfer(post, 5)])
        spent += 5 * (outcomes[1] is Outcome.CREATED)
        if outcomes[0] is Outcome.CREATED:
            end = a_post_hold(f"{hold}-end", hold, 3) if number % 2 else a_void(f"{hold}-end", hold)
            assert ledger.commit([end]) == [Outcome.CREATED]
            spent += end.amount_micro_yuan
    print(spent, flush=True)


BUDGETS = (("budget:physics:2026-11", "used:physics"), ("prepaid:physics", "unbilled:physics:2026-11"))


def _hold(ledger: SqlLedger, name: str, rounds: str) -> None:
    """Jobs that are held for at two limits, in turn end early, last longer, or are forgotten; tells what they used and still hold."""
    from suanli.billing.holds import Held, Terms, settled  # the other writers are started without the resources

    spent, left, terms = 0, 0, Terms(10, 10)
    for number in range(int(rounds)):
        groups = [Held(name, number, 0, 11, BUDGETS, terms)]
        if set(ledger.commit(groups[0].holds(1))) != {Outcome.CREATED}:
            continue
        assert set(ledger.commit(groups[0].holds(1))) == {Outcome.EXISTS}  # it did not hear of it
        more = Held(name, number, 1, 3, BUDGETS, terms)
        if number % 3 and set(ledger.commit(more.holds(2))) == {Outcome.CREATED}:
            groups.append(more)
        if number % 3 == 2:
            left += sum(group.amount_micro_yuan for group in groups)
            continue
        used = min(12, sum(group.amount_micro_yuan for group in groups))
        ends = settled(groups, used, 3)
        assert set(ledger.commit(ends)) == {Outcome.CREATED}
        assert Outcome.CREATED not in ledger.commit(settled(groups, 0, 4))  # nor twice by another one
        spent += used
    print(1_000_000 * spent + left, flush=True)


WRITERS: dict[str, Callable[..., None]] = {"acknowledge": _acknowledge, "race": _race, "hold": _hold}


def main(writer: str, place: str, *words: str) -> None:
    """Open, say "ready", wait for "go", write."""
    try:
        with Place(**json.loads(place)).open() as ledger:
            print("ready", flush=True)
            sys.stdin.readline()
            WRITERS[writer](ledger, *words)
    except SuanliError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
