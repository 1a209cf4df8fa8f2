"""Sixteen writers, each a process with its own connection, never pass a limit."""

import subprocess
from collections.abc import Sequence

from ledgers import BUDGETS, Place, Size, a_transfer, opened
from suanli.billing.holds import read_held, settled
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


def test_racing_operators_hold_no_more_than_two_limits_allow(place: Place, size: Size) -> None:
    """Each round wants 11 at both, and 3 more of the half of them; there is room for a half of the rounds."""
    rooms = [WRITERS * size.rounds * 8, WRITERS * size.rounds * 5 + 3]
    with place.open() as ledger:
        for (debit, credit), room in zip(BUDGETS, rooms, strict=True):
            ledger.open([LedgerAccount(debit, -room), LedgerAccount(credit)])
        said = raced([place.start("hold", f"w{n}", size.rounds) for n in range(WRITERS)])
        spent, left = sum(n // 1_000_000 for n in said), sum(n % 1_000_000 for n in said)
        for (debit, _), room in zip(BUDGETS, rooms, strict=True):
            sums = ledger.balance(debit)
            assert sums == Balance(debits_micro_yuan=spent, held_debits_micro_yuan=left)
            assert 0 < spent + left <= room
        ledger.verify()  # which also asks of every entry whether its limits held
        groups = read_held(ledger.open_holds("job:"))  # as the next operator finds them
        assert sum(group.amount_micro_yuan for group in groups) == left
        assert set(ledger.commit([end for group in groups for end in settled([group], 0, 9)])) <= {Outcome.CREATED}
        assert ledger.open_holds("job:") == []
        assert ledger.balance(BUDGETS[1][0]) == Balance(debits_micro_yuan=spent)


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
