"""What accounts with a budget or prepayment have spent, and what is held of it for jobs that run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suanli.api.account import Payment
from suanli.billing.funds import Funds
from suanli.billing.limits import Limit, Standing, limits_of
from suanli.simulate.land import Land
from suanli.simulate.workload import Workload

# What the run of a job in a pool is to be paid, from one moment to another. Units: ms since the epoch -> micro-yuan.
Paid = Callable[[int, int, int, int], int]


@dataclass(frozen=True)
class Spending:
    """One limit in one period: a budget of its `amount`, or what was paid in; `held` is for jobs that still run. Units: micro-yuan."""

    account: str
    period: str
    amount_micro_yuan: int
    spent_micro_yuan: int
    held_micro_yuan: int


@dataclass(frozen=True)
class _Hold:
    """What is held for one job, at which limits."""

    debits: tuple[str, ...]
    amount: int


class Purse:
    """The money of one policy's run: as in the ledger, a job counts in the periods in which its money was held.

    Use counts when a job ends. `waited` are jobs that had to wait for money at some time, `waiting` those that did at the last cycle.
    """

    def __init__(self, land: Land, workload: Workload, paid: Paid) -> None:
        self._land = land
        self._workload = workload
        self._paid = paid
        tenants = land.accounts
        self._lines = {name: [tenants.by_name[n] for n in tenants.lineage(name)] for name in sorted(tenants.by_name)}
        self._margins = {name: line[0].spec.margin_permille for name, line in self._lines.items()}
        self._known: dict[str, tuple[Limit, int]] = {}  # by counter, with what may be spent
        self._spent: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._holds: dict[int, _Hold] = {}
        self.waited: set[int] = set()
        self.waiting: frozenset[int] = frozenset()

    def funds(self, at_ms: int) -> Funds:
        """What accounts can spend now."""
        limits: dict[str, list[str]] = {}
        for name, line in self._lines.items():
            for limit in limits_of(line, at_ms, self._land.timezone):
                most = self._land.balances.get(limit.account) if limit.budget is None else int(limit.budget.amount)
                if most is not None:
                    self._known[limit.debit] = limit, most
                    limits.setdefault(name, []).append(limit.debit)
        standings = {
            debit: Standing(*self._known[debit], self._spent[debit], self._held[debit])
            for debits in limits.values()
            for debit in debits
        }
        return Funds(limits, standings, self._margins)

    def hold(self, funds: Funds, costs: Mapping[int, int]) -> None:
        """Jobs begin, with their estimates. Units: micro-yuan."""
        for n, cost in costs.items():
            account = self._workload.account(n)
            hold = _Hold(tuple(funds.limits.get(account, ())), funds.need(account, cost))
            if hold.debits:
                self._holds[n] = hold
                self._held.update(dict.fromkeys(hold.debits, hold.amount))

    def lacking(self, funds: Funds, costs: Mapping[int, int]) -> Sequence[int]:
        """These jobs wait for money, with their estimates; when periods begin that have enough for some of them. Units: ms."""
        self.waiting = frozenset(costs)
        self.waited |= self.waiting
        ends_ms = []
        for n, cost in costs.items():
            account = self._workload.account(n)
            need = max(1, funds.need(account, cost))
            short = [s for debit in funds.limits[account] if (s := funds.standings[debit]).room < need]
            if all(s.limit.budget is not None and s.most >= need for s in short):
                ends_ms.append(max((s.limit.period.end_ms for s in short), default=0))
        return [ms for ms in ends_ms if ms]

    def settle(self, n: int, p: int, start_ms: int, end_ms: int) -> None:
        """A job has ended: what was held is free, and what it used is spent."""
        hold = self._holds.pop(n, None)
        if hold is not None:
            self._held.subtract(dict.fromkeys(hold.debits, hold.amount))
            self._spent.update(dict.fromkeys(hold.debits, self._paid(n, p, start_ms, end_ms)))

    def spending(self) -> tuple[Spending, ...]:
        """Every limit that was met, by account and period; what was paid in has no period."""
        found = [
            Spending(
                limit.account,
                limit.period.name if limit.budget is not None else "",
                most,
                self._spent[debit],
                self._held[debit],
            )
            for debit, (limit, most) in self._known.items()
            if self._spent[debit] or self._held[debit]
        ]
        return tuple(sorted(found, key=lambda one: (one.account, one.period)))


def purse_of(land: Land, workload: Workload, paid: Paid) -> Purse | None:
    """None where nothing limits what the accounts spend."""
    specs = [account.spec for account in land.accounts.by_name.values()]
    limited = any(spec.budget is not None or spec.payment is Payment.PREPAID for spec in specs)
    return Purse(land, workload, paid) if limited else None
