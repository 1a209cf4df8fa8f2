"""What vouchers get back when a line that they paid of is corrected down later. Pure.

A line keeps what it would have been paid if it had been so from the start: never more than its rate of what is left of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suanli.api.voucher import Flow
from suanli.billing.line import RatedLine, same
from suanli.billing.vouchers import share


@dataclass(frozen=True, slots=True)
class Correction:
    """Line `by`, which is below zero, takes so much from line `of`. Units: micro-yuan."""

    by: str
    of: str
    amount_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Paid:
    """What a voucher paid of a line, less what was taken back of it. Units: micro-yuan."""

    voucher: str
    line: str
    flow: Flow
    rate_permille: int
    amount_micro_yuan: int


@dataclass(frozen=True, slots=True)
class Back:
    """What a voucher gets back of line `of`, because line `by` corrects it. Units: micro-yuan."""

    voucher: str
    by: str
    of: str
    amount_micro_yuan: int


def corrections(lines: Iterable[RatedLine], ended: Mapping[str, str]) -> list[Correction]:
    """What every line below zero takes from which lines above it; `lines` are in the order in which they were billed.

    A line by which a dispute ended takes from the one that `ended` names for it, any other from those that are about the
    same, the last one first. What is more than all of them is left out.
    """
    left: dict[str, int] = {}
    alike: dict[tuple[object, ...], list[str]] = defaultdict(list)
    found = []
    for line in lines:
        if line.net_micro_yuan > 0:
            left[line.id] = line.net_micro_yuan
            alike[same(line)].append(line.id)
            continue
        rest = -line.net_micro_yuan
        for of in [ended[line.id]] if line.id in ended else reversed(alike[same(line)]):
            taken = min(rest, left.get(of, 0))
            if taken:
                found.append(Correction(line.id, of, taken))
                left[of] -= taken
                rest -= taken
    return found


def clawbacks(new: Sequence[Correction], left: Mapping[str, int], paid: Sequence[Paid]) -> list[Back]:
    """What is taken back because of `new` corrections, of lines of which so much was `left` before them.

    `paid` is in the order in which it was paid: of one line later vouchers give back what the earlier ones leave no room for.
    """
    remains = dict(left)
    kept = [one.amount_micro_yuan for one in paid]
    found = []
    for each in new:
        remains[each.of] -= each.amount_micro_yuan
        others = 0
        for place, one in enumerate(paid):
            if one.line != each.of:
                continue
            due = share(one.flow, remains[each.of], others, one.rate_permille)
            if kept[place] > due:
                found.append(Back(one.voucher, each.by, each.of, kept[place] - due))
                kept[place] = due
            others += kept[place]
    return found
