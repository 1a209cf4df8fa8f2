"""How much the jobs of an account may spend: its budget of a period, or what it paid in. Pure.

Limits are counters, as caps of vouchers are: accounts of the ledger that no money passes through. What is held or used is a debit
of a counter whose balance may not fall below less its limit: the ledger refuses more in the commit, whoever else is writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from suanli.api.account import Budget, BudgetPeriod, ComputeAccount, Payment
from suanli.base.clock import time_text
from suanli.base.money import yuan_text
from suanli.billing.ledger import Balance, LedgerAccount, Transfer, TransferKind
from suanli.billing.period import Period, calendar
from suanli.billing.posting import part

FEN = 10_000  # micro-yuan: what is asked for is rounded up to it
MONTHS = {BudgetPeriod.MONTH: 1, BudgetPeriod.QUARTER: 3, BudgetPeriod.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Limit:
    """A counter that holds of an account's jobs are taken from, and the one where their use goes.

    `budget` is None of a prepayment, whose limit is what was paid in and not billed.
    """

    account: str
    debit: str
    credit: str
    period: Period
    budget: Budget | None

    def opened(self, paid_micro_yuan: int) -> tuple[LedgerAccount, LedgerAccount]:
        """Both counters with their limits; `paid_micro_yuan` is the account's balance."""
        if self.budget is not None:
            return LedgerAccount(self.debit, -int(self.budget.amount)), LedgerAccount(self.credit)
        return LedgerAccount(self.debit, -paid_micro_yuan), LedgerAccount(self.credit, 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands. Units: micro-yuan; `most` may be spent, `ahead` is what jobs that go first are to take of the rest."""

    limit: Limit
    most: int
    spent: int
    held: int
    ahead: int = 0

    @property
    def room(self) -> int:
        """What can still be held."""
        return self.most - self.spent - self.held - self.ahead

    def words(self, need: int = 0, estimate: int = 0) -> str:
        """The limit in numbers, what a job needs of it, by its estimate and the margin, and what to do. Operator and plans say it so."""
        limit, spent, held = self.limit, yuan_text(self.spent), yuan_text(self.held)
        ahead = f", {yuan_text(self.ahead)} wanted by jobs ahead" if self.ahead else ""
        left = f"{ahead}, {yuan_text(max(0, self.room))} left"
        margin = f": {yuan_text(estimate)} by its estimate, the rest is margin" if 0 < estimate < need else ""
        needs = f"; the job needs {yuan_text(need)} CNY{margin}" if need else ""
        more = f"{yuan_text(-(-(need - self.room) // FEN) * FEN)} CNY or more" if need > self.room else ""
        if limit.budget is None:
            return (
                f"account {limit.account} is Prepaid and has {yuan_text(self.most)} CNY, of which {spent} are used and not billed "
                f"yet, {held} held for running jobs{left}{needs}; pay in{more and f' {more}'} with `suanli account top-up "
                f"{limit.account}`, or wait for jobs to end"
            )
        return (
            f"account {limit.account} has a budget of {yuan_text(self.most)} CNY for {limit.period.name}, of which {spent} are spent, "
            f"{held} held for running jobs{left}{needs}; raise spec.budget.amount{more and f' by {more}'}, or wait for jobs to end or "
            f"for {time_text(limit.period.end_ms)}"
        )


def limits_of(lineage: Sequence[ComputeAccount], at_ms: int, timezone: str) -> tuple[Limit, ...]:
    """The limits of an account's jobs: its own prepayment, its own budget, and those of all that it is a part of."""
    found = []
    for own, account in enumerate(lineage):
        name, spec = account.metadata.name, account.spec
        if own == 0 and spec.payment is Payment.PREPAID:
            month = calendar(at_ms, 1, timezone)
            found.append(Limit(name, prepaid(name), unbilled(name, month.name), month, None))
        if spec.budget is not None:
            period = calendar(at_ms, MONTHS[spec.budget.period], timezone)
            debit = f"budget:{part(name)}:{period.name}"
            found.append(Limit(name, debit, f"used:{part(name)}", period, spec.budget))
    return tuple(found)


def prepaid(account: str) -> str:
    """The counter of what an account paid in."""
    return f"prepaid:{part(account)}"


def unbilled(account: str, month: str) -> str:
    """The counter of what it used in a month, until that is billed."""
    return f"unbilled:{part(account)}:{month}"


def given_back(account: str, month: str, unbilled_: Balance, time_ms: int) -> Transfer | None:
    """What was counted of a month goes back once its bill is posted, which says it better; None when nothing is left."""
    amount = unbilled_.least_micro_yuan
    if amount <= 0:
        return None
    return Transfer(
        id=f"billed:{part(account)}:{month}:{unbilled_.debits_micro_yuan}",
        debit=unbilled(account, month),
        credit=prepaid(account),
        amount_micro_yuan=amount,
        kind=TransferKind.POST,
        time_ms=time_ms,
        reference=f"billed:{month}",
    )
