"""Which jobs of a plan their accounts can pay for, as the operator holds money for them. Pure.

A plan takes no money: what it is to cost is set beside what limits leave, job by job in the order of the queue.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from suanli.api.account import ComputeAccount
from suanli.base.untrusted import mapping, text
from suanli.billing.holds import Terms
from suanli.billing.limits import Limit, Standing, limits_of

MOST_DIGITS = 20
_AMOUNT = re.compile(r"-?[0-9]{1,19}")
Asked = tuple[str, str, int]  # UID, account, and the estimate in micro-yuan


@dataclass(frozen=True)
class Spent:
    """What the status of an account with a budget or prepayment tells of it. Units: micro-yuan; no `balance`: nobody says what was paid in."""

    balance: int | None = None
    held: int = 0
    spent: int = 0
    period: str = ""


def spent_of(account: str, status: object) -> dict[str, Spent]:
    """What the status of an account tells, by its name; nothing where it does not say it."""
    told = mapping(status)
    amounts = {name: text(told.get(name), MOST_DIGITS) for name in ("balance", "held", "spent")}
    if not all(_AMOUNT.fullmatch(amount) for amount in amounts.values()):
        return {}
    return {account: Spent(**{k: int(v) for k, v in amounts.items()}, period=text(told.get("period"), MOST_DIGITS))}


@dataclass(frozen=True)
class Shortage:
    """A limit, by the name of its counter, that is in the way of a job. Units: micro-yuan."""

    account: str
    field: str
    limit: str
    now: int
    short: int


@dataclass(frozen=True)
class Funds:
    """What accounts can still spend.

    `limits` are, by account, the counters of all limits of its jobs, `standings` how these stand, `margins` what is held of an
    estimate beyond it, in thousandths.
    """

    limits: Mapping[str, Sequence[str]]
    standings: Mapping[str, Standing]
    margins: Mapping[str, int] = field(default_factory=dict)

    def need(self, account: str, cost: int) -> int:
        """What is held for a job of an estimate. Units: micro-yuan."""
        return Terms(cost, 1).need(self.margins.get(account, 0))

    def refused(self, asked: Iterable[Asked]) -> Mapping[str, str]:
        """By UID, the jobs for which not enough is left after those before them, and why in numbers."""
        found, standings = {}, dict(self.standings)
        for uid, account, cost in asked:
            debits, need = self.limits.get(account, ()), self.need(account, cost)
            short = next((standings[debit] for debit in debits if standings[debit].room < max(need, 1)), None)
            if short is not None:
                found[uid] = short.words(need, cost)
                continue
            for debit in debits:
                standings[debit] = replace(standings[debit], ahead=standings[debit].ahead + need)
        return found

    def shortages(self, account: str, cost: int, ahead: Iterable[Asked]) -> Sequence[Shortage]:
        """The limits in the way of a job that comes after others which have their place."""
        need, taken = self.need(account, cost), dict.fromkeys(self.limits.get(account, ()), 0)
        for _, other, paid in ahead:
            for debit in self.limits.get(other, ()):
                if debit in taken:
                    taken[debit] += self.need(other, paid)
        return [
            Shortage(
                self.standings[debit].limit.account,
                "status.balance" if self.standings[debit].limit.budget is None else "budget.amount",
                debit,
                self.standings[debit].most,
                short,
            )
            for debit, used in taken.items()
            if (short := max(need, 1) - self.standings[debit].room + used) > 0
        ]

    def raised(self, limit: str, more: int) -> Self:
        """The same with so much more at that limit."""
        standing = self.standings[limit]
        return replace(self, standings={**self.standings, limit: replace(standing, most=standing.most + more)})


def funds_of(
    lineages: Mapping[str, Sequence[ComputeAccount]],
    spent: Mapping[str, Spent],
    freed: Iterable[Asked],
    at_ms: int,
    timezone: str,
) -> Funds | None:
    """What the declared accounts can spend, None where none has a limit of which anything is known.

    `lineages` are, by account, itself and all that it is a part of; `spent` is what is known of accounts: the limits of another one do not
    count; `freed` jobs hold money that is theirs no more.
    """
    limits: dict[str, list[str]] = {}
    standings: dict[str, Standing] = {}
    margins = {name: line[0].spec.margin_permille for name, line in lineages.items()}
    for name, line in lineages.items():
        for limit in limits_of(line, at_ms, timezone):
            standing = _standing(limit, spent.get(limit.account))
            if standing is not None:
                limits.setdefault(name, []).append(limit.debit)
                standings.setdefault(limit.debit, standing)
    funds = Funds(limits, standings, margins)
    for _, account, cost in freed:
        for debit in limits.get(account, ()):
            held = max(0, standings[debit].held - funds.need(account, cost))
            standings[debit] = replace(standings[debit], held=held)
    return funds if limits else None


def _standing(limit: Limit, of: Spent | None) -> Standing | None:
    """How it stands, as far as that is known.

    A status tells what is spent of the budget, if there is one, so what is used of a prepayment beside it only where that is of the month.
    """
    if of is None or (limit.budget is None and of.balance is None):
        return None
    if limit.budget is not None:
        return Standing(limit, int(limit.budget.amount), of.spent if of.period == limit.period.name else 0, of.held)
    used = of.spent if of.period in ("", limit.period.name) else 0
    return Standing(limit, of.balance or 0, used, of.held)
