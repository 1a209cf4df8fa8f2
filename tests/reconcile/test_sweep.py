"""A mass deletion is refused until a person has been asked: a hub that was restored, a hub that lost its jobs, and what is no such thing."""

import asyncio
from typing import Any

from builders import a_job, a_member_job
from simulation import JOBS, Simulate, Simulation
from suanli.base.names import ANNOTATION_SWEEP
from suanli.base.settings import Settings
from suanli.federation.facts import OwnJob
from suanli.reconcile.state import Mirror
from suanli.reconcile.sweep import Sweep

SITE = "/apis/suanli.io/v1alpha1/computesites/east"
AT_EAST = {"allowedSites": ["east"]}
HELD, SWEPT = ("False", "SweepHeld"), ("True", "Swept")


async def running(sim: Simulation, count: int, seconds: int = 300) -> dict[str, Any]:
    """So many jobs that run at east; the objects as a backup would have them."""
    for n in range(count):
        sim.put(a_job(f"job-{n}", template={"image": "x", "command": ["sleep", str(seconds)]}, data=AT_EAST))
    await sim.until(lambda: len(sim.clusters["east"].alive) == count)
    await sim.until(lambda: all(sim.state(name)[0] == "Running" for name in sim.jobs()))
    return sim.jobs()


async def lose(sim: Simulation, *names: str) -> None:
    """The hub is put back to when it had no such jobs, while the operator is stopped."""
    await sim.kill()
    for name in names:
        sim.delete(name)
    sim.start()


def standing(sim: Simulation) -> int:
    return len(sim.clusters["east"].server.items(JOBS))


def message(sim: Simulation) -> str:
    return next(str(c["message"]) for c in sim.hub.get(SITE)["status"]["conditions"] if c["type"] == "Swept")


def answer(sim: Simulation) -> None:
    """Do what the message says."""
    key, _, value = message(sim).rsplit(" ", 1)[1].partition("=")
    assert key == ANNOTATION_SWEEP
    site = sim.hub.get(SITE)
    sim.hub.put({**site, "metadata": {**site["metadata"], "annotations": {key: value}}})


def test_a_restored_hub_deletes_nothing_in_mass_and_asks_and_still_meters(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        backup = await running(sim, 10)
        await lose(sim, *[f"job-{n}" for n in range(8)])
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        assert message(sim).startswith("8 of the 10 Jobs of this hub here belong to no attempt that the hub knows")
        assert sim.site_condition("east") == ("True", "Ready"), "other work goes on"
        await asyncio.sleep(60)
        assert standing(sim) == 10
        assert len(sim.clusters["east"].alive) == 10
        await sim.until(lambda: not sim.clusters["east"].alive, 400)
        await asyncio.sleep(20)
        lost = {backup[f"job-{n}"]["metadata"]["uid"] for n in range(8)}
        assert lost <= set(sim.ledger()), "what ran is collected while it is held"
        assert standing(sim) == 8, "what the hub knows is cleaned up as ever"
        answer(sim)
        await sim.until(lambda: not sim.member_objects())
        await sim.until(lambda: sim.site_condition("east", "Swept") == SWEPT)

    simulate(play, sweep_least=5)


def test_a_newer_backup_makes_the_jobs_known_again(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        backup = await running(sim, 6, seconds=200)
        await lose(sim, *backup)
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        await sim.kill()
        for raw in backup.values():
            sim.hub.put(raw)
        sim.start()
        await sim.until(lambda: sim.site_condition("east", "Swept") == SWEPT)
        await sim.until(lambda: all(sim.state(name)[0] == "Succeeded" for name in backup), 400)
        assert len(list(sim.runs())) == 6, "each ran once"

    simulate(play, sweep_least=5)


def test_attempts_that_are_newer_than_the_hub_knows_are_held_too(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        backup = await running(sim, 6)
        await sim.kill()
        for raw in backup.values():
            sim.hub.put({k: v for k, v in raw.items() if k != "status"})
        sim.start()
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        await asyncio.sleep(60)
        assert len(sim.clusters["east"].alive) == 6
        assert len(list(sim.runs())) == 6, "and nothing is started beside them"
        answer(sim)
        await sim.until(lambda: all(sim.state(name)[0] == "Running" for name in backup))
        assert {sim.job(name)["status"]["epoch"] for name in backup} == {2}

    simulate(play, sweep_least=5)


def test_an_answer_holds_for_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running(sim, 12)
        await lose(sim, *[f"job-{n}" for n in range(6)])
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        answer(sim)
        await sim.until(lambda: standing(sim) == 6)
        await sim.until(lambda: sim.site_condition("east", "Swept") == SWEPT)
        await lose(sim, *[f"job-{n}" for n in range(6, 12)])
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        await asyncio.sleep(60)
        assert standing(sim) == 6

    simulate(play, sweep_least=5)


def test_a_new_leader_goes_on_holding_and_an_answer_outlives_a_leader(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running(sim, 6)
        await lose(sim, *[f"job-{n}" for n in range(6)])
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        since = sim.hub.get(SITE)["status"]["conditions"][-1]["lastTransitionTime"]
        await sim.kill()
        sim.start()
        await asyncio.sleep(60)
        assert standing(sim) == 6
        assert since in message(sim)
        await sim.kill()
        answer(sim)
        sim.start()
        await sim.until(lambda: not sim.member_objects())

    simulate(play, sweep_least=5)


def test_what_people_delete_while_the_operator_looks_is_no_mass_deletion(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for name in await running(sim, 10):
            sim.delete(name)
        await sim.until(lambda: not sim.member_objects())
        assert sim.site_condition("east", "Swept") == ("", "")

    simulate(play, sweep_least=5)


def test_a_small_share_is_removed_without_asking(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running(sim, 30)
        await lose(sim, *[f"job-{n}" for n in range(8)])
        await sim.until(lambda: standing(sim) == 22)
        assert sim.site_condition("east", "Swept") == ("", "")

    simulate(play, sweep_least=5)


def test_holding_costs_one_write_while_nothing_changes(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        backup = await running(sim, 6, seconds=4_000)
        await lose(sim, *backup)
        await sim.until(lambda: sim.site_condition("east", "Swept") == HELD)
        await asyncio.sleep(30)
        before = len(sim.hub.writes())
        await asyncio.sleep(1_800)
        assert sim.hub.writes()[before:] == []

    simulate(play, sweep_least=5)


class CountedJobs(dict[str, dict[str, OwnJob]]):
    """What a member holds; notes how often all of it is read."""

    read = 0

    def items(self) -> Any:
        self.read += 1
        return super().items()


class AMember:
    usable = True

    def __init__(self) -> None:
        self.jobs = CountedJobs()


class OneSite:
    def __init__(self, member: AMember) -> None:
        self.member = member

    def trusted(self) -> dict[str, AMember]:
        return {"east": self.member}


def test_a_member_that_tells_of_ever_new_jobs_of_ours_is_not_counted_for_each() -> None:
    async def whole() -> None:
        mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
        member = AMember()
        sites: Any = OneSite(member)
        sweep = Sweep(mirror=mirror, sites=sites, settings=Settings(), on_change=lambda site: None)
        for n in range(500):
            job = a_member_job(f"uid-{n}")
            member.jobs[job.job_uid] = {job.name: job}
            held = sweep.holds("east", None, job)
        assert held
        assert member.jobs.read <= Settings().sweep_least + 1

    asyncio.run(whole())
