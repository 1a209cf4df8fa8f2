"""Accounts on the hub: whose jobs are whose, what they hold, what waits for quota, and what is written of it."""

import asyncio
import itertools
from typing import Any

import pytest

from builders import a_job, an_assignment, an_object
from simulation import Simulate, Simulation
from suanli.api.account import ComputeAccountStatus
from suanli.placement.solve import place
from suanli.reconcile.state import Mirror

MAP = "/apis/suanli.io/v1alpha1"
CORE = {"class": "cpu", "nominal": 1}


def an_account(name: str = "bank", **spec: Any) -> dict[str, Any]:
    return an_object("ComputeAccount", name, {"namespaces": ["team-a"], **spec})


async def begin(sim: Simulation) -> None:
    """A life of the operator with the real solver."""
    await sim.kill()
    sim.place_all = place
    sim.start()


def account(sim: Simulation, name: str = "bank") -> dict[str, Any]:
    found: dict[str, Any] = sim.hub.get(f"{MAP}/computeaccounts/{name}")
    return found


def condition(raw: dict[str, Any], type_: str) -> tuple[str, str, str]:
    found = next((c for c in raw.get("status", {}).get("conditions", []) if c["type"] == type_), None)
    return (found["status"], found["reason"], found["message"]) if found else ("", "", "")


def test_a_job_waits_for_quota_says_so_and_goes_when_it_is_raised(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(quotas=[CORE]))
        sim.put(a_job("holder", template={"image": "x", "command": ["sleep", "900"]}))
        await begin(sim)
        await sim.until(lambda: sim.state("holder")[0] == "Running")
        assert condition(sim.job("holder"), "QuotaReserved")[:2] == ("True", "QuotaReserved")
        sim.put(a_job("waits"))
        await sim.until(lambda: sim.state("waits") == ("Waiting", "QuotaExceeded"))
        text = "account bank holds 1 cores of cpu, nominal is 1, it may borrow 0; the job asks for 1"
        assert condition(sim.job("waits"), "QuotaReserved") == ("False", "QuotaExceeded", text)
        await sim.until(lambda: account(sim).get("status", {}).get("quotas") is not None)
        use = {"class": "cpu", "used": "1", "borrowed": "0", "nominal": 1}
        await sim.until(lambda: account(sim)["status"]["quotas"] == [use])
        sim.put(an_account(quotas=[{"class": "cpu", "nominal": 2}]) | {"metadata": _renewed(account(sim))})
        await sim.until(lambda: sim.state("waits")[0] == "Succeeded")
        assert sim.state("holder")[0] == "Running"

    simulate(play)


def _renewed(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw["metadata"], "generation": raw["metadata"]["generation"] + 1}


def test_what_ends_is_given_back(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(quotas=[CORE]))
        for name in ("one", "two", "three"):
            sim.put(a_job(name))
        await begin(sim)
        await sim.until(lambda: {sim.state(name)[0] for name in ("one", "two", "three")} == {"Succeeded"})
        runs = sorted(sim.runs(), key=lambda run: run.start_ms)
        for before, after in itertools.pairwise(runs):
            assert before.end_ms is not None
            assert before.end_ms <= after.start_ms

    simulate(play)


def test_a_namespace_of_two_accounts_is_the_older_ones_and_the_younger_says_so(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account("old"))
        await asyncio.sleep(2)
        sim.put(an_account("a-young", quotas=[{"class": "cpu", "nominal": 0}]))
        sim.put(a_job())
        await begin(sim)
        await sim.until(lambda: condition(account(sim, "a-young"), "Consistent")[1] == "NamespaceClaimed")
        assert '"team-a" belongs to the older account old' in condition(account(sim, "a-young"), "Consistent")[2]
        await sim.until(lambda: condition(account(sim, "old"), "Consistent")[:2] == ("True", "Consistent"))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        sim.hub.delete(f"{MAP}/computeaccounts/old")
        await sim.until(lambda: condition(account(sim, "a-young"), "Consistent")[:2] == ("True", "Consistent"))
        sim.put(a_job("later"))
        await sim.until(lambda: sim.state("later") == ("Waiting", "QuotaExceeded"))

    simulate(play)


def test_an_account_whose_use_does_not_change_is_not_written(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(namespaces=["team-b"], quotas=[CORE]))
        await begin(sim)
        await sim.until(lambda: condition(account(sim), "Consistent")[0] == "True")
        ComputeAccountStatus.model_validate(account(sim)["status"])
        version = account(sim)["metadata"]["resourceVersion"]
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        await asyncio.sleep(300)
        assert account(sim)["metadata"]["resourceVersion"] == version

    simulate(play)


def test_an_account_that_cannot_be_read_limits_nobody_and_says_so(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_account(quotas="all"))
        sim.put(a_job())
        await begin(sim)
        await sim.until(lambda: condition(account(sim), "Consistent")[1] == "InvalidSpec")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


# --- the mirror


def a_mirror(*objects: dict[str, Any]) -> Mirror:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    for raw in objects:
        mirror.apply(None, raw)
    return mirror


def test_the_mirror_keeps_what_accounts_hold() -> None:
    mirror = a_mirror(an_account(), a_job("runs", tasks=3, status={"assignment": an_assignment()}), a_job("waits"))
    assert mirror.tenancy.held_milli == {("bank", "cpu"): 3_000}
    assert mirror.moved() == ["bank"]
    assert mirror.moved() == []
    ended = [
        {"type": "Finished", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2026-03-01T08:00:00Z"}
    ]
    mirror.apply(None, a_job("runs", tasks=3, status={"assignment": an_assignment(), "conditions": ended}))
    assert mirror.tenancy.held_milli == {}
    assert mirror.moved() == ["bank"]


@pytest.mark.parametrize("gone", ["job", "account"])
def test_what_is_deleted_holds_nothing(gone: str) -> None:
    job, owner = a_job("runs", status={"assignment": an_assignment()}), an_account()
    mirror = a_mirror(owner, an_account("other", namespaces=[]), job)
    assert mirror.tenants.of("team-a") == "bank"
    mirror.apply("DELETED", job if gone == "job" else owner)
    assert mirror.tenancy.held_milli == ({} if gone == "job" else {("team-a", "cpu"): 1_000})
