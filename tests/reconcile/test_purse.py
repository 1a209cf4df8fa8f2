"""Budgets and prepayments: money is held before a job is placed, and let go once when it has ended, whatever breaks between."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from builders import a_job, an_object
from memoryhub import Meeting
from simulation import Simulate, Simulation, place_first
from suanli.api.account import ComputeAccountStatus
from suanli.api.job import Estimate
from suanli.base.units import duration_ms
from suanli.billing.ledger import Balance, LedgerAccount
from suanli.billing.posting import cash_account, payment
from suanli.kube.client import ApiError
from suanli.placement.snapshot import Country, Plan, SiteView, WaitingJob

MAP = "/apis/suanli.io/v1alpha1"
HOUR_YUAN = 10_000_000  # what a task costs an hour
BUDGET = "budget:bank:2026-03"
MARCH = {"amount": "25000000", "period": "Month"}


class Placer:
    """Each job on the first site with room, at the price of this test; remembers whom it was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(
        self,
        waiting: Sequence[WaitingJob],
        sites: Sequence[SiteView],
        country: Country,
        *more: Any,
        warm: object = None,
    ) -> Plan:
        self.asked += [job.job.metadata.name for job in waiting]
        plan = place_first(waiting, sites, country, *more)
        by_uid = {job.uid: job.job.spec for job in waiting}
        return Plan(
            {
                uid: replace(found, estimate=Estimate(cost=str(cost(by_uid[uid]))))
                for uid, found in plan.decisions.items()
            }
        )


def cost(spec: Any) -> int:
    return int(spec.tasks * duration_ms(spec.timing.expected_duration) * HOUR_YUAN // 3_600_000)


def an_account(name: str = "bank", **spec: Any) -> dict[str, Any]:
    return an_object("ComputeAccount", name, {"namespaces": ["team-a"], **spec})


def lasting(name: str, seconds: int, expected: str = "1h", **spec: Any) -> dict[str, Any]:
    command = {"image": "x", "command": ["sleep", str(seconds)]}
    return a_job(name, template=command, timing={"expectedDuration": expected}, **spec)


async def begin(sim: Simulation) -> Placer:
    """A life of the operator in which jobs have a price."""
    if sim.processes:
        await sim.kill()
    placer = Placer()
    sim.place_all = placer
    sim.start()
    return placer


def counter(sim: Simulation, name: str = BUDGET) -> Balance:
    with sim.open_ledger() as ledger:
        ledger.verify()  # also that no entry ever passed a limit
        return ledger.balance(name)


def account(sim: Simulation, name: str = "bank") -> dict[str, Any]:
    found: dict[str, Any] = sim.hub.get(f"{MAP}/computeaccounts/{name}").get("status", {})
    return found


def condition(raw: dict[str, Any], type_: str) -> tuple[str, str]:
    found = next((c for c in raw.get("conditions", []) if c["type"] == type_), None)
    return (found["status"], found["message"]) if found else ("", "")


def nothing_held(sim: Simulation) -> Callable[[], bool]:
    def asked() -> bool:
        with sim.open_ledger() as ledger:
            return not ledger.open_holds("job:")

    return asked


def test_money_is_held_while_a_job_runs_and_what_it_used_is_spent(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        await begin(sim)
        sim.put(lasting("long", 1_800))
        await sim.until(lambda: sim.state("long")[0] == "Running")
        assert counter(sim) == Balance(held_debits_micro_yuan=11_000_000)
        await sim.until(lambda: account(sim).get("held") == "11000000")
        ComputeAccountStatus.model_validate(account(sim))
        await sim.until(lambda: sim.state("long")[0] == "Succeeded", 2_000, 1)
        await sim.until(nothing_held(sim), every=1)
        (run,) = sim.runs()
        assert run.end_ms is not None
        spent = counter(sim).debits_micro_yuan
        assert abs(spent - HOUR_YUAN * (run.end_ms - run.start_ms) // 3_600_000) <= HOUR_YUAN // 3_600 + 1
        await sim.until(lambda: account(sim)["spent"] == str(spent) and account(sim)["held"] == "0")

    simulate(play)


def test_a_job_over_the_budget_waits_with_the_numbers_and_others_go_on(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        placer = await begin(sim)
        for name in ("one", "two"):
            sim.put(lasting(name, 600))
        await sim.until(lambda: {sim.state(name)[0] for name in ("one", "two")} == {"Running"})
        sim.put(lasting("three", 5))
        sim.put(lasting("other", 5, metadata={"namespace": "default"}))
        await sim.until(lambda: sim.state("three") == ("Waiting", "BudgetExceeded"))
        text = sim.condition("three", "Placed")["message"]
        assert text.startswith(
            "account bank has a budget of 25.00 CNY for 2026-03, of which 0.00 are spent, 22.00 held for running jobs, 3.00 left; "
            "the job needs 11.00 CNY: 10.00 by its estimate, the rest is margin; raise spec.budget.amount by 8.00 CNY or more, or wait"
        )
        other = f"{MAP}/namespaces/default/computejobs/other"
        await sim.until(lambda: sim.hub.get(other).get("status", {}).get("state") == "Succeeded")
        asked = placer.asked.count("three")
        await asyncio.sleep(300)
        assert placer.asked.count("three") == asked <= 3
        await sim.until(lambda: sim.state("three")[0] == "Succeeded", 900, 1)
        await sim.until(nothing_held(sim), every=1)
        assert 0 < counter(sim).debits_micro_yuan < 2 * 11_000_000

    simulate(play)


def test_a_budget_that_is_raised_lets_who_waits_go(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget={**MARCH, "amount": "10000000"}))
        await begin(sim)
        sim.put(lasting("waits", 5))
        await sim.until(lambda: sim.state("waits") == ("Waiting", "BudgetExceeded"))
        sim.put(an_account(budget={**MARCH, "amount": "11000000"}))
        await sim.until(lambda: sim.state("waits")[0] == "Succeeded")

    simulate(play)


def test_a_new_period_lets_who_waits_go(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for clock in (sim.clock, *(cluster.clock for cluster in sim.clusters.values())):
            clock.off_ms = 30 * 86_400_000 + 7 * 3_600_000  # 23:00 of 31 March in Shanghai
        sim.put(an_account(budget=MARCH))
        await begin(sim)
        for name in ("one", "two"):
            sim.put(lasting(name, 7_200))
        await sim.until(lambda: {sim.state(name)[0] for name in ("one", "two")} == {"Running"})
        sim.put(lasting("waits", 5))
        await sim.until(lambda: sim.state("waits") == ("Waiting", "BudgetExceeded"))
        await sim.until(lambda: sim.state("waits")[0] == "Succeeded", 3_700, 5)
        march, april = counter(sim), counter(sim, "budget:bank:2026-04")
        assert march.held_debits_micro_yuan == 0
        assert 2 * 9_900_000 <= march.debits_micro_yuan <= 2 * 10_100_000  # an hour of each, at its price
        assert april.held_debits_micro_yuan > 0
        await sim.until(nothing_held(sim), 7_200, 5)
        assert account(sim)["period"] == "2026-04"

    simulate(play)


def test_low_at_the_threshold_and_exceeded_when_all_is_gone(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget={**MARCH, "amount": "22000000"}, warnAtPercent=50))
        await begin(sim)
        await sim.until(lambda: condition(account(sim), "BudgetLow")[0] == "False")
        sim.put(lasting("one", 600))
        await sim.until(lambda: condition(account(sim), "BudgetLow")[0] == "True")
        assert condition(account(sim), "BudgetExceeded")[0] == "False"
        sim.put(lasting("two", 600))
        await sim.until(lambda: condition(account(sim), "BudgetExceeded")[0] == "True")
        assert "0.00 are spent, 22.00 held" in condition(account(sim), "BudgetExceeded")[1]
        await sim.until(lambda: condition(account(sim), "BudgetLow")[0] == "False", 900, 1)
        sim.put(an_account())
        await sim.until(lambda: "balance" not in account(sim))
        assert [c["type"] for c in account(sim)["conditions"]] == ["Consistent"]

    simulate(play)


def test_the_budget_of_a_parent_bounds_its_children_together(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account("ministry", namespaces=[], budget={**MARCH, "period": "Year"}))
        sim.put(an_account(parent="ministry"))
        sim.put(an_account("office", namespaces=["default"], parent="ministry"))
        await begin(sim)
        for name in ("one", "two"):
            sim.put(lasting(name, 60))
        await sim.until(lambda: {sim.state(name)[0] for name in ("one", "two")} == {"Running"})
        sim.put(lasting("three", 5, metadata={"namespace": "default"}))
        path = f"{MAP}/namespaces/default/computejobs/three"
        await sim.until(lambda: sim.hub.get(path).get("status", {}).get("reason") == "BudgetExceeded")
        assert counter(sim, "budget:ministry:2026").held_debits_micro_yuan == 22_000_000
        await sim.until(lambda: sim.hub.get(path)["status"]["state"] == "Succeeded")

    simulate(play)


# --- prepaid


def pay(sim: Simulation, amount: int, id_: str) -> None:
    with sim.open_ledger() as ledger:
        ledger.open([LedgerAccount("consumer:bank"), cash_account("consumer:bank")])
        ledger.commit([payment("consumer:bank", amount, id_, 1)])


def test_a_prepaid_account_spends_what_it_paid_in_and_goes_on_when_it_tops_up(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(payment="Prepaid"))
        await begin(sim)
        sim.put(lasting("early", 5))
        await sim.until(lambda: sim.state("early") == ("Waiting", "BudgetExceeded"))
        assert "suanli account top-up bank" in sim.condition("early", "Placed")["message"]
        pay(sim, 11_000_000, "p1")
        await sim.until(lambda: sim.state("early")[0] == "Succeeded")
        await sim.until(nothing_held(sim), every=1)
        used = counter(sim, "prepaid:bank").debits_micro_yuan
        assert used > 0
        await sim.until(lambda: account(sim).get("balance") == "11000000" and account(sim)["spent"] == str(used))
        sim.put(lasting("late", 5))
        await sim.until(lambda: sim.state("late") == ("Waiting", "BudgetExceeded"))
        pay(sim, used, "p2")
        await sim.until(lambda: sim.state("late")[0] == "Succeeded")

    simulate(play)


def test_a_prepaid_job_over_the_end_of_a_month_is_counted_in_both_and_held_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for clock in (sim.clock, *(cluster.clock for cluster in sim.clusters.values())):
            clock.off_ms = 30 * 86_400_000 + 7 * 3_600_000  # 23:00 of 31 March in Shanghai
        sim.put(an_account(payment="Prepaid", marginPermille=0))
        pay(sim, 20_000_000, "p1")
        await begin(sim)
        sim.put(lasting("long", 7_000, expected="2h"))
        await sim.until(lambda: sim.state("long")[0] == "Running")
        sim.put(lasting("waits", 5))
        await sim.until(lambda: sim.state("waits") == ("Waiting", "BudgetExceeded"))
        await asyncio.sleep(3_700)
        march, both = counter(sim, "unbilled:bank:2026-03"), counter(sim, "prepaid:bank")
        assert 9_900_000 <= march.credits_micro_yuan <= 10_100_000
        assert both.debits_micro_yuan + both.held_debits_micro_yuan == 20_000_000
        assert sim.state("waits") == ("Waiting", "BudgetExceeded")
        await sim.until(lambda: sim.state("long")[0] == "Succeeded", 4_000, 5)
        await sim.until(nothing_held(sim), every=1)
        april = counter(sim, "unbilled:bank:2026-04").credits_micro_yuan
        assert abs(march.credits_micro_yuan + april - HOUR_YUAN * 7_000 // 3_600) <= 50_000

    simulate(play)


# --- jobs that last longer


@pytest.mark.parametrize("action", ["Suspend", "Finish"])
def test_a_job_that_lasts_longer_is_held_for_again_and_stopped_when_nothing_is_left(
    simulate: Simulate, action: str
) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget={**MARCH, "amount": "19000000"}, whenSpent={"action": action}))
        await begin(sim)
        sim.put(lasting("endless", 90_000))
        await sim.until(lambda: sim.state("endless")[0] == "Running")
        await sim.until(lambda: counter(sim).held_debits_micro_yuan > 11_000_000, 4_000, 20)
        await sim.until(lambda: sim.state("endless") == ("Waiting", "BudgetExceeded"), 8_000, 5)
        await sim.until(nothing_held(sim), every=1)
        (run,) = sim.runs()
        assert run.end_ms is not None
        held_s = counter_most(sim) * 3_600 // HOUR_YUAN
        late_s = (run.end_ms - run.start_ms) // 1_000 - held_s
        assert (-61 <= late_s <= -50) if action == "Suspend" else (590 <= late_s <= 620)
        await asyncio.sleep(600)
        assert sim.state("endless") == ("Waiting", "BudgetExceeded")

    simulate(play)


def counter_most(sim: Simulation) -> int:
    """The most that was held at a time."""
    with sim.open_ledger() as ledger:
        held, most = 0, 0
        for entry in ledger.entries():
            if entry.transfer is not None and entry.transfer.kind == "hold":
                held += entry.transfer.amount_micro_yuan
            most = max(most, held)
        return most


def test_what_a_short_job_ran_longer_than_expected_is_spent_too(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        await begin(sim)
        for number in range(3):
            sim.put(lasting(f"short-{number}", 4, expected="1s"))
        await sim.until(lambda: {sim.state(f"short-{n}")[0] for n in range(3)} == {"Succeeded"})
        await sim.until(nothing_held(sim), every=1)
        ran_ms = sum((run.end_ms or 0) - run.start_ms for run in sim.runs())
        assert abs(counter(sim).debits_micro_yuan - HOUR_YUAN * ran_ms // 3_600_000) <= 9_000

    simulate(play)


def test_a_job_for_which_money_comes_in_time_is_not_stopped(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget={**MARCH, "amount": "11000000"}, whenSpent={"action": "Finish", "grace": "20m"}))
        await begin(sim)
        sim.put(lasting("long", 6_000))
        await sim.until(lambda: sim.state("long")[0] == "Running")
        await asyncio.sleep(4_500)
        assert sim.state("long")[0] == "Running"
        sim.put(an_account(budget={**MARCH, "amount": "30000000"}))
        await sim.until(lambda: sim.state("long")[0] == "Succeeded", 3_000, 5)
        assert len(list(sim.runs())) == 1

    simulate(play)


def test_a_job_on_its_second_wish_is_held_for_as_long_as_it_takes_there(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        fast = {"class": "fast", "type": "General", "resourceName": "cpu", "unit": "Core", "petaflops": "4"}
        sim.edit_site("west", resources=[fast])
        slow = {"class": "cpu", "type": "General", "resourceName": "cpu", "unit": "Core", "petaflops": "1"}
        sim.edit_site("east", resources=[slow])
        sim.put(an_account(budget={**MARCH, "amount": "90000000"}, marginPermille=0))
        await begin(sim)
        wishes = {"class": ["fast", "cpu"], "perTask": {"cpu": "1", "memory": "1Gi"}}
        sim.put(lasting("second", 60, resources=wishes, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("second")[0] == "Running")
        with sim.open_ledger() as ledger:
            (hold,) = ledger.open_holds("job:")
        assert hold.reference == f"10000000/{4 * 3_600_000}@0"

    simulate(play)


# --- what breaks


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 7))
def test_a_crash_at_any_write_leaves_no_hold_and_takes_none_twice(simulate: Simulate, number: int, moment: str) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        sim.put(lasting("one", 30))
        await begin(sim)
        sim.dies = lambda n, m: (n, m) == (number, moment)
        await asyncio.sleep(60)
        sim.dies = lambda n, m: False
        await begin(sim)
        await sim.until(lambda: sim.state("one")[0] == "Succeeded")
        await sim.until(nothing_held(sim), every=1)
        (run,) = sim.runs()
        assert run.end_ms is not None
        assert abs(counter(sim).debits_micro_yuan - HOUR_YUAN * (run.end_ms - run.start_ms) // 3_600_000) <= 3_000
        await sim.until(lambda: account(sim).get("held") == "0")

    simulate(play)


def test_holds_of_jobs_that_are_gone_are_released_by_the_next_life(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        await begin(sim)
        sim.put(lasting("gone", 900))
        await sim.until(lambda: sim.state("gone")[0] == "Running")
        await sim.kill()
        sim.delete("gone")
        await asyncio.sleep(30)
        await begin(sim)
        await sim.until(nothing_held(sim), every=1)
        (run,) = sim.runs()
        assert run.end_ms is not None
        assert counter(sim).debits_micro_yuan >= HOUR_YUAN * (run.end_ms - run.start_ms) // 3_600_000 > 0

    simulate(play)


def test_what_is_held_for_a_job_that_went_unseen_and_is_nowhere_is_released_before_the_next_comparison_is_due(
    simulate: Simulate,
) -> None:
    """Seed 47: others wait for that money."""

    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        for cluster in sim.clusters.values():
            cluster.server.meet = lambda verb, path: Meeting(lost_before=verb == "POST" and path.endswith("/jobs"))
        await begin(sim)
        sim.put(lasting("gone", 900))
        await sim.until(lambda: sim.state("gone")[0] == "Starting" and counter(sim).held_debits_micro_yuan)
        await sim.kill()
        sim.delete("gone")
        await begin(sim)
        await sim.until(nothing_held(sim), 60, every=1)

    simulate(play, full_compare_s=3_000)


def test_a_refused_assignment_gives_its_money_back(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget={**MARCH, "amount": "11000000"}))
        await begin(sim)
        refused = [0]

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and path.endswith("/computejobs/one/status") and refused[0] < 1:
                refused[0] += 1
                return Meeting(error=ApiError(422, "Invalid", "no"))
            return Meeting()

        sim.hub.meet = meet
        sim.put(lasting("one", 5))
        await sim.until(lambda: refused[0] == 1)
        sim.delete("one")
        sim.put(lasting("two", 5))
        await sim.until(lambda: sim.state("two")[0] == "Succeeded")
        await sim.until(nothing_held(sim), every=1)

    simulate(play)


def test_without_a_ledger_only_jobs_that_need_money_wait_and_say_why(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        sim.ledger_trouble = "the disk is full"
        await begin(sim)
        sim.put(lasting("limited", 5))
        sim.put(lasting("free", 5, metadata={"namespace": "default"}))
        path = f"{MAP}/namespaces/default/computejobs/free"
        await sim.until(lambda: sim.hub.get(path).get("status", {}).get("state") == "Succeeded")
        await sim.until(lambda: sim.state("limited") == ("Waiting", "LedgerUnusable"))
        assert "the disk is full" in sim.condition("limited", "Placed")["message"]
        sim.ledger_trouble = ""
        await sim.until(lambda: sim.state("limited")[0] == "Succeeded")

    simulate(play)


def test_a_ledger_that_breaks_while_jobs_run_is_read_again(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH))
        await begin(sim)
        sim.put(lasting("one", 60))
        await sim.until(lambda: sim.state("one")[0] == "Running")
        assert sim.process is not None
        purse = sim.process.operator._purse
        assert purse._ledger is not None
        purse._ledger.close()
        sim.ledger_trouble = "gone"
        await sim.until(lambda: sim.state("one")[0] == "Succeeded")
        sim.put(lasting("two", 5))
        await sim.until(lambda: sim.state("two") == ("Waiting", "LedgerUnusable"))
        sim.ledger_trouble = ""
        await sim.until(lambda: sim.state("two")[0] == "Succeeded")
        await sim.until(nothing_held(sim), every=1)
        assert counter(sim).debits_micro_yuan >= HOUR_YUAN * 60 // 3_600

    simulate(play)


def test_nothing_is_written_while_nothing_happens(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(budget=MARCH, payment="Prepaid"))
        pay(sim, 50_000_000, "p1")
        await begin(sim)
        sim.put(lasting("runs", 20_000, expected="5h"))
        sim.put(lasting("waits", 5, expected="5h"))
        await sim.until(lambda: sim.state("waits") == ("Waiting", "BudgetExceeded"))
        await asyncio.sleep(300)
        writes, root = len(sim.hub.writes()), counter(sim)
        await asyncio.sleep(1_800)
        leases = [c for c in sim.hub.writes()[writes:] if "leases" not in c.path]
        assert leases == []
        assert counter(sim) == root

    simulate(play)
