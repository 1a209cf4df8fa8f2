"""What happens to jobs of a site that falls silent: with a fence, without one, and when a second copy is allowed."""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from builders import a_job, a_site
from fenced import a_fence, fenced, put_lease
from memoryhub import Meeting, MemoryServer
from simulation import JOBS, Cluster, Simulate, Simulation
from suanli.base.names import API_VERSION
from virtualtime import VirtualClock

LONG = {"image": "x", "command": ["sleep", "400"]}
QUICK = {"fence_lease_s": 60, "fence_margin_s": 60, "dead_after_s": 60}


def site_of(sim: Simulation, name: str = "train") -> str:
    return str((sim.job(name)["status"].get("assignment") or {}).get("site"))


async def running_at_east(sim: Simulation, **spec: Any) -> None:
    sim.put(a_job(template=LONG, **spec))
    await sim.until(lambda: sim.state("train")[0] == "Running")
    assert site_of(sim) == "east"


def alive(sim: Simulation, site: str) -> int:
    return len(sim.clusters[site].alive)


def test_an_at_most_once_job_is_started_elsewhere_after_the_fence_has_stopped_it(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        async with fenced(sim):
            await running_at_east(sim)
            loop = asyncio.get_running_loop()
            sim.clusters["east"].server.cut, cut_s = True, loop.time()
            await sim.until(lambda: not alive(sim, "east"))
            assert 45 < loop.time() - cut_s < 70, "a lease and a look"
            await sim.until(lambda: sim.state("train")[0] == "Running", 300)
            assert 105 < loop.time() - cut_s < 150, "the margin too"
            status = sim.job("train")["status"]
            assert (site_of(sim), status["epoch"]) == ("west", 2)
            assert [(lost["epoch"], lost["site"]) for lost in status["lost"]] == [(1, "east")]
            sim.clusters["east"].server.cut = False
            await sim.until(lambda: not sim.clusters["east"].server.items(JOBS))
            assert alive(sim, "west") == 1, "work is not moved because a site is back"
            await sim.until(lambda: sim.state("train")[0] == "Succeeded", 600)
        used, (pods, cpu) = sim.job("train")["status"]["usage"], sim.truth()[sim.job("train")["metadata"]["uid"]]
        (second,) = [run for run in sim.runs() if run.epoch == 2]
        assert pods == 2
        assert used["pods"] == 1, "what was given up is metered and not billed"
        assert int(used["cpuMilliMs"]) == second.cpu_milli * ((second.end_ms or 0) - second.start_ms) < cpu

    simulate(play, **QUICK)


def test_a_cut_that_is_shorter_than_the_lease_stops_nothing(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        async with fenced(sim):
            await running_at_east(sim)
            sim.clusters["east"].server.cut = True
            await asyncio.sleep(40)
            sim.clusters["east"].server.cut = False
            await sim.until(lambda: sim.state("train")[0] == "Succeeded", 600)
        assert sim.job("train")["status"]["epoch"] == 1
        assert len(list(sim.runs())) == 1

    simulate(play, **QUICK)


def test_a_site_that_comes_back_between_fence_and_margin_has_its_job_placed_anew(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        async with fenced(sim):
            await running_at_east(sim, limits={"retries": 0})
            sim.clusters["east"].server.cut = True
            await sim.until(lambda: not alive(sim, "east"))
            sim.clusters["east"].server.cut = False
            await sim.until(lambda: sim.job("train")["status"].get("epoch") == 2)
            await sim.until(lambda: sim.state("train")[0] == "Succeeded", 600)
        status = sim.job("train")["status"]
        assert "lost" not in status
        assert "failures" not in status, "being fenced is no failure of the job"
        assert status["usage"]["pods"] == 2

    simulate(play, **QUICK)


@pytest.mark.parametrize("had_one", [False, True])
def test_without_a_fence_that_answers_an_at_most_once_job_waits_and_says_so(simulate: Simulate, had_one: bool) -> None:
    async def play(sim: Simulation) -> None:
        if had_one:
            async with fenced(sim):
                await running_at_east(sim)
            await sim.until(lambda: sim.site_condition("east", "Fenced") == ("False", "FenceSilent"))
        else:
            await running_at_east(sim)
        sim.clusters["east"].server.cut = True
        await sim.until(lambda: sim.state("train") == ("Unknown", "SiteUnreachable"))
        await asyncio.sleep(3_600)
        assert site_of(sim) == "east"
        assert (
            "started nowhere else unless spec.failover is AtLeastOnce" in sim.condition("train", "Running")["message"]
        )
        sim.edit("train", failover="AtLeastOnce")
        await sim.until(lambda: site_of(sim) == "west")
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: not sim.clusters["east"].server.items(JOBS))

    simulate(play, **QUICK)


def test_a_second_copy_that_is_allowed_runs_and_only_it_is_billed(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, failover="AtLeastOnce")
        sim.clusters["east"].server.cut = True
        await sim.until(lambda: alive(sim, "west") == 1)
        assert alive(sim, "east") == 1
        assert sim.doubled, "it was allowed to"
        sim.doubled.clear()
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: not alive(sim, "east"))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 600)
        assert sim.job("train")["status"]["usage"]["pods"] == 1
        assert len(sim.ledger()) == 1

    simulate(play, **QUICK)


def test_a_new_leader_waits_as_if_its_predecessor_had_renewed_until_it_died(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        async with fenced(sim):
            await running_at_east(sim)
            sim.clusters["east"].server.cut = True
            await asyncio.sleep(40)
            await sim.kill()
            sim.start()
            begun_s = asyncio.get_running_loop().time()
            await sim.until(lambda: site_of(sim) == "west", 300)
            assert asyncio.get_running_loop().time() - begun_s > 60 + 60
            sim.clusters["east"].server.cut = False
            await sim.until(lambda: not sim.clusters["east"].server.items(JOBS))

    simulate(play, **QUICK)


def test_attempts_are_given_up_no_faster_than_is_set(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        names = [f"job-{n}" for n in range(5)]
        for name in names:
            sim.put(a_job(name, template=LONG, failover="AtLeastOnce"))
        await sim.until(lambda: all(sim.state(name)[0] == "Running" for name in names))
        sim.clusters["east"].server.cut = True
        times: dict[str, float] = {}

        def all_left() -> bool:
            for name in names:
                if sim.job(name)["status"].get("lost"):
                    times.setdefault(name, asyncio.get_running_loop().time())
            return len(times) == len(names)

        await sim.until(all_left, 400)
        told = sorted(times.values())
        assert all(third - first >= 59 for first, third in zip(told, told[2:], strict=False)), told
        sim.doubled.clear()

    simulate(play, **QUICK, site_failovers_per_minute=2)


def test_renewing_writes_nothing_on_the_hub(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        put_lease(sim.clusters["east"].server)
        async with a_fence(sim.clusters["east"].server, sim.clusters["east"].clock):
            await sim.until(lambda: sim.site_condition("east", "Fenced")[0] == "True")
            await asyncio.sleep(60)
            before = len(sim.hub.writes())
            writes = len(sim.clusters["east"].server.writes())
            await asyncio.sleep(600)
            assert len(sim.hub.writes()) == before
            per_s = (len(sim.clusters["east"].server.writes()) - writes) / 600
            assert per_s <= 2 / 10 + 0.01, "one renewal each ten seconds, and one word of the fence"

    simulate(play, **QUICK)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_cut_and_killed_at_most_once_jobs_never_run_twice_at_once(simulate: Simulate, seed: int) -> None:
    """Seeded; three jobs, two fenced sites, cuts up to three leases long, dying leaders, restarted fences, lost answers."""
    random = Random(f"failover/{seed}")

    async def play(sim: Simulation) -> None:
        names = [f"job-{n}" for n in range(3)]
        async with AsyncExitStack() as stack:
            fences = {}
            for site, cluster in sim.clusters.items():
                put_lease(cluster.server)
                cluster.clock.off_ms = random.randrange(-15_000, 15_000)
                fences[site] = await stack.enter_async_context(AsyncExitStack())
                await fences[site].enter_async_context(a_fence(cluster.server, cluster.clock))
                cluster.server.meet = lambda verb, path: random.choices(MEETINGS, (90, 3, 3, 3))[0]
            for name in names:
                sim.put(a_job(name, template={"image": "x", "command": ["sleep", "700"]}))
            await sim.until(lambda: all(sim.site_condition(site, "Fenced")[0] == "True" for site in sim.clusters))
            for _ in range(20):
                await asyncio.sleep(random.expovariate(1 / 30))
                site, cluster = random.choice(list(sim.clusters.items()))
                what = random.choice(("cut", "cut", "kill", "fence"))
                if what == "cut":
                    cluster.server.cut = True
                    asyncio.get_running_loop().call_later(random.choice((5, 50, 100, 180)), mend, cluster.server)
                elif what == "kill":
                    await sim.kill()
                    await asyncio.sleep(random.choice((0, 5, 70)))
                    sim.start()
                else:
                    await fences[site].aclose()
                    await asyncio.sleep(random.choice((0, 5)))
                    await fences[site].enter_async_context(a_fence(cluster.server, cluster.clock))
            await asyncio.sleep(200)
            await sim.until(lambda: all(sim.state(name)[0] == "Succeeded" for name in names), 9_000, every=1.0)
            await sim.until(lambda: not sim.member_objects(), 600, every=1.0)
        for name in names:
            status, uid = sim.job(name)["status"], sim.job(name)["metadata"]["uid"]
            lost = {each["epoch"] for each in status.get("lost", ())}
            billed = [run for run in sim.runs() if run.job_uid == uid and run.epoch not in lost]
            assert status["usage"]["pods"] == len(billed)

    simulate(play, **QUICK)


MEETINGS = (Meeting(), Meeting(lost_before=True), Meeting(lost_after=True), Meeting(late_s=2.0))


def mend(server: MemoryServer) -> None:
    server.cut = False


def test_a_cluster_that_is_joined_by_the_name_of_another_has_not_its_fence(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        async with fenced(sim):
            pass
        spare = sim.clusters["spare"] = Cluster("spare", VirtualClock(), lambda run: None, lambda run: None)
        spare.server.meet = lambda verb, path: Meeting(lost_before="leases" in path)  # nothing is learned of a fence
        sim.hub.delete(f"/apis/{API_VERSION}/computesites/east")
        await asyncio.sleep(5)
        sim.put_secret("east", "spare")
        sim.put(a_site("east"))
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        await asyncio.sleep(30)
        assert sim.site_condition("east", "Fenced")[0] != "True"

    simulate(play, **QUICK)
