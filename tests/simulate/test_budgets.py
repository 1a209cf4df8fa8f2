"""Where accounts have budgets, or pay in advance, their jobs wait for money, by the very code of plans."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from builders import an_object
from suanli.api.account import ComputeAccount
from suanli.billing.period import calendar
from suanli.placement.accounts import Accounts
from suanli.simulate.engine import NEVER
from suanli.simulate.land import Land
from suanli.simulate.outcome import Budgets, Outcome
from suanli.simulate.policies import BASELINES, SUANLI
from suanli.simulate.report import budgets_text, html
from suanli.simulate.result import Asked, Result, as_json
from suanli.simulate.runs import Runs
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
YUAN = 1_000_000
BUDGET = 40 * YUAN
EVERY = (SUANLI, *BASELINES)


def an_account(name: str, **spec: object) -> ComputeAccount:
    return ComputeAccount.model_validate(an_object("ComputeAccount", name, spec))


def of_account(land: Land, spec_of: Spec, rows: list[TraceRow], account: str, **more: object) -> Workload:
    kinds = [{**kind.model_dump(mode="json", by_alias=True), "account": account} for kind in spec_of().kinds]
    work = draw(rows, spec_of(redraws=20, kinds=kinds, **more), land, 1)
    return replace(work, run_ms=work.expected_min * 60_000)  # nobody is wrong about his time


def simulated(land: Land, work: Workload, *policies: str) -> tuple[Runs, Result]:
    runs = Runs(land, work, policies, seed=1, cycle_ms=60_000)
    while runs.advance():
        pass
    asked = Asked("small", 1, 60_000, work.begin_ms, len(work), 0, 0, "", len(land.sites), ())
    return runs, runs.result(asked, interrupted=False)


def budgets_of(outcome: Outcome) -> Budgets:
    assert outcome.budgets is not None
    return outcome.budgets


def test_without_budgets_nothing_is_told_of_them(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    bound = replace(land, accounts=Accounts({"lab": an_account("lab", weight=2)}))
    _, result = simulated(bound, of_account(bound, spec_of, rows[:10], "lab"), SUANLI)
    assert result.outcomes[0].budgets is None


def test_jobs_of_a_month_cost_no_more_than_its_budget_and_the_next_month_goes_on(
    land: Land, spec_of: Spec, rows: list[TraceRow]
) -> None:
    lab = an_account("lab", budget={"amount": str(BUDGET), "period": "Month"})
    bound = replace(land, accounts=Accounts({"lab": lab}))
    # Half a day before the end of a month, so that some have to wait for the next one.
    work = of_account(bound, spec_of, rows[:16], "lab", start="2026-01-31T12:00:00+08:00")
    runs, result = simulated(bound, work, SUANLI, "cheapest")
    for outcome in result.outcomes:
        budgets, ran = budgets_of(outcome), runs.ran(outcome.policy)
        assert budgets.waited > 0, outcome.policy
        spent: dict[str, int] = defaultdict(int)
        for n in np.flatnonzero(ran.pool_n != NEVER).tolist():
            period = calendar(int(ran.placed_ms[n]), 1, bound.timezone).name
            spent[period] += runs.meter.paid(n, int(ran.pool_n[n]), int(ran.start_ms[n]), int(ran.end_ms[n]))
        assert len(spent) > 1, "the next month has money again"
        assert {one.period: one.spent_micro_yuan for one in budgets.limits} == spent
        # Plans reckon with the hours of the decision, and what then runs may begin a little later.
        assert all(paid <= BUDGET * 1.02 for paid in spent.values()), outcome.policy
        assert [one.held_micro_yuan for one in budgets.limits] == [0] * len(spent)


def test_what_was_paid_in_is_all_there_is(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    """Months pass, and the money does not come back: those who lack it wait for ever, and that ends the run."""
    lab = an_account("lab", payment="Prepaid")
    bound = replace(land, accounts=Accounts({"lab": lab}), balances={"lab": BUDGET})
    work = of_account(bound, spec_of, rows[:16], "lab")
    _, result = simulated(bound, work, SUANLI, "nearest")
    for outcome in result.outcomes:
        budgets = budgets_of(outcome)
        assert outcome.jobs.waiting == budgets.waiting > 0
        assert [(one.account, one.period, one.amount_micro_yuan) for one in budgets.limits] == [("lab", "", BUDGET)]
        assert 0 < budgets.limits[0].spent_micro_yuan <= BUDGET * 1.02
    text = budgets_text(result.outcomes[0], budgets_of(result.outcomes[0]))
    assert f"{budgets_of(result.outcomes[0]).waiting} wait for it at the end" in text
    assert "Budgets and prepayments" in html(result)
    assert '"waited":' in as_json(result)


@pytest.mark.parametrize("policy", EVERY)
def test_a_job_that_no_month_can_pay_waits_and_the_others_go_on(
    land: Land, spec_of: Spec, rows: list[TraceRow], policy: str
) -> None:
    """It asks for no cycle in months to come, else the run would never end; the budget of a parent counts like one's own."""
    parent = an_account("fund", budget={"amount": str(YUAN), "period": "Month"})
    accounts = Accounts({"fund": parent, "lab": an_account("lab", parent="fund")})
    bound = replace(land, accounts=accounts)
    work = of_account(bound, spec_of, rows[:12], "lab")
    kinds = [t.kind.account for t in work.types]
    assert set(kinds) == {"lab"}
    runs, result = simulated(bound, work, policy)
    budgets, ran = budgets_of(result.outcomes[0]), runs.ran(policy)
    dear = [
        n
        for n in range(len(work))
        if min(runs.meter.expected_paid(n, p, int(work.arrival_ms[n])) for p in range(len(bound.pools))
               if work.probe.allowed_tp[int(work.type_n[n]), p]) > YUAN
    ]  # fmt: skip
    assert dear
    assert (ran.pool_n[dear] == NEVER).all()
    assert budgets.waiting >= len(dear)
