"""Money that is held for jobs while they run, at the limits of their accounts (`limits.py`). Pure.

Ids follow from the job's UID, its attempt and a number. A group holds the same amount at every limit of the job, or nothing
at any.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from suanli.billing.ledger import MOST_MICRO_YUAN, Transfer, TransferKind

HOLD = "job:"  # how ids of holds begin
PERMILLE = 1_000
_ID = re.compile(r"job:([^:]+):([0-9]+):([0-9]+):[0-9]+")
_TERMS = re.compile(r"([0-9]{1,19})/([0-9]{1,19})@([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run is estimated to cost, and how long it is expected to be: tasks times milliseconds."""

    cost_micro_yuan: int
    task_ms: int

    def worth(self, task_ms: int) -> int:
        """What so much of it costs, rounded up."""
        return min(-(-self.cost_micro_yuan * max(0, task_ms) // self.task_ms), MOST_MICRO_YUAN)

    def need(self, margin_permille: int) -> int:
        """What is held for all of it, rounded up."""
        return min(-(-self.cost_micro_yuan * (PERMILLE + margin_permille) // PERMILLE), MOST_MICRO_YUAN)

    def lasts(self, amount_micro_yuan: int) -> int:
        """For how much of it an amount is enough."""
        return amount_micro_yuan * self.task_ms // self.cost_micro_yuan


@dataclass(frozen=True, slots=True)
class Held:
    """One group of open holds of an attempt: the same amount by each of `ways` (debit, credit).

    The attempt's use is counted from `since_ms` on; what was before is posted already.
    """

    job_uid: str
    epoch: int
    number: int
    amount_micro_yuan: int
    ways: tuple[tuple[str, str], ...]
    terms: Terms
    since_ms: int = 0

    def holds(self, time_ms: int) -> list[Transfer]:
        """The transfers that hold it."""
        begin = f"{HOLD}{self.job_uid}:{self.epoch}:{self.number}"
        return [
            Transfer(
                id=f"{begin}:{index}",
                debit=debit,
                credit=credit,
                amount_micro_yuan=self.amount_micro_yuan,
                kind=TransferKind.HOLD,
                time_ms=time_ms,
                reference=f"{self.terms.cost_micro_yuan}/{self.terms.task_ms}@{self.since_ms}",
                linked=begin,
            )
            for index, (debit, credit) in enumerate(self.ways)
        ]


def settled(
    groups: Iterable[Held], used_micro_yuan: int, time_ms: int, *, beyond_micro_yuan: int = 0
) -> list[Transfer]:
    """End all groups of an attempt: of each limit what was used is posted, as far as it was held, and the rest released.

    `beyond` is what was used over that and is posted with it, where the limits allow it.
    """
    found: list[Transfer] = []
    left, ordered = used_micro_yuan, sorted(groups, key=lambda group: group.number)
    for group in ordered:
        taken = min(left, group.amount_micro_yuan)
        left -= taken
        found += (
            replace(
                hold,
                id=f"{hold.id}:end",
                amount_micro_yuan=taken,
                kind=TransferKind.POST_HOLD if taken else TransferKind.VOID_HOLD,
                hold=hold.id,
            )
            for hold in group.holds(time_ms)
        )
    if beyond_micro_yuan:
        last = replace(ordered[-1], amount_micro_yuan=beyond_micro_yuan).holds(time_ms)
        found += (replace(hold, id=f"{hold.id}:beyond", kind=TransferKind.POST) for hold in last)
    return [replace(end, linked=found[0].id) for end in found]


def read_held(holds: Iterable[Transfer]) -> list[Held]:
    """The groups that open holds of the ledger make; what is not of a job is left out."""
    groups: dict[tuple[str, int, int], list[Transfer]] = defaultdict(list)
    for hold in holds:
        of = _ID.fullmatch(hold.id)
        if of is not None and _TERMS.fullmatch(hold.reference) is not None:
            groups[of[1], int(of[2]), int(of[3])].append(hold)
    found = []
    for (job_uid, epoch, number), group in groups.items():
        said = _TERMS.fullmatch(group[0].reference)
        assert said is not None, "others were left out"
        terms = Terms(int(said[1]), max(1, int(said[2])))
        ways = tuple((hold.debit, hold.credit) for hold in sorted(group, key=lambda hold: int(hold.id.split(":")[-1])))
        found.append(Held(job_uid, epoch, number, group[0].amount_micro_yuan, ways, terms, int(said[3])))
    return found
