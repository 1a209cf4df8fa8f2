"""Sixteen writers, each a process with its own connection, never pass a limit."""

import subprocess
from collections.abc import Sequence

from ledgers import Place, Size, a_transfer, opened
from suanli.billing.ledger import Balance, LedgerAccount, Outcome

WRITERS = 16


def test_racing_writers_spend_what_there_is_and_no_more(place: Place, size: Size) -> None:
    """Each round wants 12 in one commit; there is money for a third of the rounds."""
    money = WRITERS * size.rounds * 4 + 1
    with place.open() as ledger:
        opened(ledger, money)
        ledger.open([LedgerAccount("provider:east")])
        spent = sum(raced([place.start("race", f"w{n}", size.rounds) for n in range(WRITERS)]))
        sums = ledger.balance("consumer:physics")
        assert sums == Balance(spent, money)
        assert money - 12 - 7 * WRITERS < spent <= money  # at the end each may have held 7 that it gave back
        assert ledger.commit([a_transfer("rest", money - spent + 1)]) == [Outcome.EXCEEDS_LIMIT]
        ledger.verify()  # which also asks of every entry whether its limits held


def raced(processes: Sequence[subprocess.Popen[str]]) -> list[int]:
    """All of them at once; what each one says."""
    said: list[int] = []
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            said.append(int(process.stdout.readline()))
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
    return said
