"""Killed at any moment of a commit: every transfer that was acknowledged is there once, and nothing by halves."""

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from ledgers import Place, Size, a_transfer, opened
from suanli.billing.ledger import LedgerAccount
from suanli.ledgerstore.sql import SqlLedger


def killed(place: Place, name: str, acknowledged: int, wait_s: float) -> list[str]:
    """A writer that is killed so long after so many groups were acknowledged; the ids that were."""
    process = place.start("acknowledge", name)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        told = [process.stdout.readline() for _ in range(acknowledged)]
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return [id_ for line in told if line.endswith("\n") for id_ in line.split()]


def test_what_was_acknowledged_is_there_once(place: Place, size: Size) -> None:
    with place.open() as ledger:
        opened(ledger, 10**12)
        ledger.open([LedgerAccount("provider:east")])
    chance = random.Random(1)
    moments = [(chance.randrange(1, 4), chance.uniform(0, 0.02)) for _ in range(size.kills)]
    with ThreadPoolExecutor(2) as pool:  # two writers at a time, on one ledger
        runs = [pool.submit(killed, place, f"w{number}", *moment) for number, moment in enumerate(moments)]
        acknowledged = [id_ for run in runs for id_ in run.result()]
    with place.open() as ledger:
        check(ledger, acknowledged, size.kills)


def check(ledger: SqlLedger, acknowledged: list[str], kills: int) -> None:
    """Nothing lost, doubled or by halves."""
    ledger.verify()
    there = [entry.transfer for entry in ledger.entries() if entry.transfer]
    ids = Counter(transfer.id for transfer in there)
    assert set(acknowledged) <= set(ids)
    assert set(ids.values()) == {1}
    groups = Counter(transfer.linked for transfer in there if transfer.linked)
    assert set(groups.values()) == {3}
    # at most one group of each writer was committed and could not be told any more
    assert kills <= len(acknowledged) / 3 <= len(groups) <= len(acknowledged) / 3 + kills
    assert ledger.balance("provider:east").credits_micro_yuan == len(there) - 1
    again = [a_transfer(id_, 1, linked=id_.rsplit("-", 1)[0], time_ms=int(id_.split("-")[1])) for id_ in acknowledged]
    assert set(ledger.commit(again)) == {"exists"}
