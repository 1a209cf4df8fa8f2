"""Sites that are to be emptied, that take nothing new, and that die while they are emptied."""

import asyncio
from collections import Counter
from typing import Any

from apistore import Change
from builders import a_job, a_site
from simulation import JOBS, Simulate, Simulation


class Leaving:
    """When each job left a site and why, and how all stand, from the hub's own log."""

    def __init__(self, sim: Simulation) -> None:
        self.times: dict[str, list[float]] = {"Drained": [], "SiteLost": []}
        self.now: dict[str, tuple[str, str]] = {}  # by job, its state and site
        sim.hub.store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource != "computejobs" or change.after is None:
            return
        status = change.after.get("status", {})
        site = str(status.get("assignment", {}).get("site"))
        self.now[change.after["metadata"]["name"]] = (str(status.get("state")), site)
        before, after = (
            {c["type"]: c["reason"] for c in (raw or {}).get("status", {}).get("conditions", ())}.get("Dispatched")
            for raw in (change.before, change.after)
        )
        if after in self.times and before != after:
            self.times[after].append(asyncio.get_running_loop().time())

    def are(self, state: str, site: str, count: int) -> bool:
        """Whether so many jobs, and no others, are in that state at that site."""
        return Counter(self.now.values()) == {(state, site): count}

    def most_in_a_minute(self) -> int:
        """Of any minute, less the second that a write may take, how many left in it."""
        times = sorted(t for of_reason in self.times.values() for t in of_reason)
        return max(sum(begin <= t < begin + 59 for t in times) for begin in times)


def enlarge(sim: Simulation) -> None:
    """Every member gets room for all the jobs of a test."""
    amounts = {"cpu": "2000", "memory": "4Ti", "pods": "3000"}
    for cluster in sim.clusters.values():
        node = cluster.server.get("/api/v1/nodes/n1")
        cluster.server.put({**node, "status": {**node["status"], "allocatable": amounts, "capacity": amounts}})


async def running_at_east(sim: Simulation, count: int, seconds: int, **spec: Any) -> Leaving:
    enlarge(sim)
    watched = Leaving(sim)
    await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
    for n in range(count):
        sim.put(a_job(f"job-{n}", template={"image": "x", "command": ["sleep", str(seconds)]}, **spec))
    await sim.until(lambda: watched.are("Running", "east", count))
    return watched


def states(sim: Simulation) -> Counter[str]:
    return Counter(str(job.get("status", {}).get("state")) for job in sim.jobs().values())


def sites(sim: Simulation) -> Counter[str]:
    return Counter(str(job["status"].get("assignment", {}).get("site")) for job in sim.jobs().values())


def wish(sim: Simulation, state: str) -> None:
    sim.put(a_site("east", desiredState=state))


def test_a_site_with_500_jobs_drains_and_dies_paced_and_loses_none(simulate: Simulate) -> None:
    """F6: drained at 100 a minute, dead after half of them are gone; the others are given up at the same pace."""

    async def play(sim: Simulation) -> None:
        jobs = await running_at_east(sim, 500, 500, failover="AtLeastOnce")
        wish(sim, "Drain")
        await sim.until(lambda: len(jobs.times["Drained"]) >= 250, 400)
        sim.clusters["east"].server.cut = True
        await sim.until(lambda: jobs.are("Running", "west", 500), 900, every=1.0)
        assert len(jobs.times["Drained"]) < 350
        assert sum(map(len, jobs.times.values())) <= 600, "each leaves once; who was cut off on its way is given up too"
        assert 90 <= jobs.most_in_a_minute() <= 100
        sim.doubled.clear()  # AtLeastOnce allows it while the site is silent
        await sim.until(lambda: jobs.are("Succeeded", "west", 500), 2_000, every=1.0)
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: not sim.clusters["east"].server.items(JOBS), 200, every=1.0)
        assert all(job["status"].get("failures") is None for job in sim.jobs().values()), "nobody's fault"

    simulate(
        play, site_failovers_per_minute=100, failovers_per_minute=1_000, dead_after_s=60, workers=32, full_compare_s=300
    )


def test_a_job_that_drains_never_runs_twice_at_once_and_costs_no_retry(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, 3, 60)
        wish(sim, "Drain")
        await sim.until(lambda: states(sim) == {"Running": 3} and sites(sim) == {"west": 3})
        await sim.until(lambda: states(sim) == {"Succeeded": 3})
        for job in sim.jobs().values():
            assert (job["status"]["epoch"], job["status"]["usage"]["attempts"]) == (2, 2)
            assert not {"failures", "setbacks", "lost"} & set(job["status"])

    simulate(play)


def test_what_ends_by_itself_before_its_turn_is_left_to_end(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, 6, 40)
        wish(sim, "Drain")
        await sim.until(lambda: states(sim) == {"Succeeded": 6}, 300)
        assert Counter(run.site for run in sim.runs()) == {"east": 6, "west": 2}

    simulate(play, site_failovers_per_minute=2)


def test_a_drain_that_is_taken_back_moves_no_more(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, 6, 400)
        wish(sim, "Drain")
        await sim.until(lambda: sites(sim) == {"east": 4, "west": 2})
        wish(sim, "Active")
        await sim.until(lambda: states(sim) == {"Succeeded": 6}, 600)
        assert sites(sim) == {"east": 4, "west": 2}

    simulate(play, site_failovers_per_minute=2)


def test_a_job_that_may_run_nowhere_else_waits_and_says_so(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, 1, 30, data={"allowedSites": ["east"]})
        wish(sim, "Drain")
        await sim.until(lambda: sim.state("job-0")[0] == "Waiting")
        assert not sim.clusters["east"].alive
        wish(sim, "Active")
        await sim.until(lambda: sim.state("job-0")[0] == "Succeeded")

    simulate(play)


def test_an_inactive_site_takes_nothing_new_and_what_runs_there_goes_on(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_east(sim, 3, 60)
        wish(sim, "Inactive")
        await sim.until(lambda: sim.site_condition("east") == ("False", "SiteInactive"))
        sim.put(a_job("new"))
        await sim.until(lambda: states(sim) == {"Succeeded": 4})
        assert Counter(run.site for run in sim.runs()) == {"east": 3, "west": 1}

    simulate(play)


def test_what_was_placed_but_not_begun_does_not_begin_at_a_site_that_drains(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        east = sim.clusters["east"].server
        sim.put(a_job())
        await sim.until(lambda: sim.job("train").get("status", {}).get("assignment"), every=0.001)
        wish(sim, "Drain")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert {run.site for run in sim.runs()} in ({"west"}, {"east", "west"})
        assert not east.items(JOBS)

    simulate(play)
