"""The leader dies, is cut off or is replaced: another one leads in time, and nothing is lost, doubled or written twice."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

import virtualtime
from apistore import Json
from builders import a_job
from faultrun import judged
from memoryhub import Meeting, MemoryServer
from replicas import Replicas
from simulation import Simulation

KILLS = 50
LIVE = 100
TAKEOVER_S = 15.0
COLD_START_S = 5.0
CALM_S = 20.0
LONG: dict[str, Any] = {"template": {"image": "busybox", "command": ["sleep", "600"]}}


def sleeping(name: str, seconds: int, **spec: Any) -> dict[str, Any]:
    """A job that runs for so long."""
    return a_job(name, template={"image": "busybox", "command": ["sleep", str(seconds)]}, **spec)


async def arrivals(sim: Simulation, random: Random, a_second: float) -> None:
    """Jobs all the time, most of them short; until cancelled."""
    for number in range(100_000):
        sim.put(sleeping(f"job-{number}", random.choice((1, 5, 20)), tasks=random.choice((1, 1, 2))))
        await asyncio.sleep(random.expovariate(a_second))


def state_of(job: Json) -> str:
    """A job's one word."""
    return str((job.get("status") or {}).get("state"))


def servers(sim: Simulation) -> list[MemoryServer]:
    """The hub's and the members'."""
    return [sim.hub, *(cluster.server for cluster in sim.clusters.values())]


def placed_s(sim: Simulation) -> list[float]:
    """The moments at which jobs were assigned, in order."""
    return [
        moment
        for moment, change in zip(sim.hub.moments_s, sim.hub.store.history, strict=True)
        if change.resource == "computejobs"
        and ((change.after or {}).get("status") or {}).get("epoch", 0)
        > ((change.before or {}).get("status") or {}).get("epoch", 0)
    ]


def longest(moments_s: Iterable[float]) -> float:
    """The longest time between two of them."""
    return max(after - before for before, after in pairwise(moments_s))


@pytest.mark.timeout(900)  # some fifteen seconds of a whole core
def test_fifty_killed_leaders_are_each_replaced_in_time_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        sim, random = Simulation(tmp_path), Random("leaders")
        await asyncio.sleep(COLD_START_S)
        replicas = Replicas(sim, random)
        users = asyncio.ensure_future(arrivals(sim, random, 0.25))
        await replicas.until_one_works()
        for _ in range(KILLS):
            await replicas.kill_leader()
        users.cancel()
        evidence, wrong = await judged(sim, CALM_S)
        leads_s = sorted(one.leads_s for one in replicas.handovers)
        writes_s = sorted(one.writes_s for one in replicas.handovers)
        print(
            f"F5: {KILLS} leaders killed; the next one held the lease after p50 {leads_s[KILLS // 2]:.1f} s, p100"
            f" {leads_s[-1]:.1f} s, and had written after p100 {writes_s[-1]:.1f} s; {len(evidence.jobs)} jobs,"
            f" {len(evidence.containers)} containers"
        )
        assert wrong == []
        assert len(writes_s) == KILLS
        assert writes_s[-1] <= TAKEOVER_S
        assert len(evidence.jobs) > 2 * KILLS

    virtualtime.run(story())


def test_a_rolling_upgrade_under_a_hundred_live_jobs_loses_none_and_stops_dispatch_for_seconds(tmp_path: Path) -> None:
    async def story() -> None:
        sim, random = Simulation(tmp_path), Random("upgrade")
        await asyncio.sleep(COLD_START_S)
        replicas = Replicas(sim, random)
        for number in range(LIVE):
            sim.put(sleeping(f"live-{number}", 120))
        await sim.until(lambda: all(state_of(job) == "Running" for job in sim.jobs().values()))
        begun_s = asyncio.get_running_loop().time()
        users = asyncio.ensure_future(arrivals(sim, random, 1.0))
        old = [*sim.processes]
        for name in old:
            await replicas.replace(name)
        await asyncio.sleep(random.uniform(2.0, 5.0))
        ended_s = asyncio.get_running_loop().time()
        users.cancel()
        assert set(old).isdisjoint(sim.processes)
        evidence, wrong = await judged(sim, CALM_S)
        assert wrong == []
        pause_s = longest([begun_s, *(moment for moment in placed_s(sim) if begun_s < moment < ended_s), ended_s])
        print(
            f"F5: {len(old)} replicas replaced in {ended_s - begun_s:.0f} s under {LIVE} live jobs, {len(replicas.handovers)}"
            f" of them leading; the longest time without a dispatch was {pause_s:.1f} s"
        )
        assert replicas.handovers
        assert pause_s <= TAKEOVER_S
        live = {
            uid
            for uid, (first, *_) in evidence.jobs.items()
            if (first.after or {})["metadata"]["name"].startswith("live-")
        }
        ran = [c for c in evidence.containers if c.job_uid in live]
        assert len(live) == len(ran) == LIVE
        assert all(c.epoch == 1 and c.succeeded for c in ran)

    virtualtime.run(story())


def test_standbys_know_all_that_the_leader_knows_and_write_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        sim, random = Simulation(tmp_path), Random("standbys")
        replicas = Replicas(sim, random)
        users = asyncio.ensure_future(arrivals(sim, random, 2.0))
        for _ in range(10):
            await asyncio.sleep(random.uniform(3.0, 6.0))
            sim.delete(random.choice(sorted(sim.jobs())))
        users.cancel()
        await asyncio.sleep(1.0)
        standbys = replicas.standbys
        assert len(standbys) == replicas.count - 1
        there = {j["metadata"]["uid"]: int(j["metadata"]["resourceVersion"]) for j in sim.jobs().values()}
        for name, process in standbys.items():
            mirror = process.operator.mirror
            known = {uid: entry.version for uid, entry in mirror.jobs.items()}
            lag = [uid for uid, version in there.items() if known.get(uid) != version]
            assert known.keys() == there.keys()
            assert len(lag) <= 2, "only what changed this very moment"
            assert mirror.sites.keys() == sim.clusters.keys()
            sent = [r for server in servers(sim) for r in server.requests if r.who == name]
            assert sent, "it looks at the lease and at the jobs"
            assert [r.path for r in sent if r.changed] == []
        _, wrong = await judged(sim, CALM_S)
        assert wrong == []

    virtualtime.run(story())


@pytest.mark.parametrize(
    "awaited",
    [
        pytest.param("assignment", id="an assignment"),
        pytest.param("startedAt", id="a start"),
        pytest.param("finishedAt", id="an end"),
    ],
)
def test_a_status_write_of_an_old_leader_that_comes_late_is_refused_and_changes_nothing(
    tmp_path: Path, awaited: str
) -> None:
    async def story() -> None:
        sim = Simulation(tmp_path)
        replicas = Replicas(sim, Random(0), count=2)
        old = await replicas.until_one_works()
        await asyncio.sleep(3.0)
        late: list[str] = []

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and path.endswith("/status") and not late and is_due():
                late.append(path)
                # It is on its way when the old leader loses the hub, and comes long after the new one has done the same.
                asyncio.get_running_loop().call_later(0.02, cut_off)
                return Meeting(delay_s=0.0, late_s=60.0)
            return Meeting()

        def cut_off() -> None:
            sim.hub.cut_off.add(old)
            sim.hub.drop_watches()

        def is_due() -> bool:
            status = sim.job("train").get("status") or {}
            return {
                "assignment": "assignment" not in status,
                "startedAt": "assignment" in status,
                "finishedAt": "startedAt" in status,
            }[awaited]

        sim.put(sleeping("train", 5))
        sim.hub.meet = lambda verb, path: meet(verb, path) if "computejobs/train" in path else Meeting()
        await sim.until(lambda: late)
        sent_s = asyncio.get_running_loop().time()
        await sim.until(lambda: replicas.leader not in ("", old) and state_of(sim.job("train")) == "Succeeded", 50)
        before = sim.job("train")
        arrived = len(sim.hub.requests)
        await sim.until(lambda: any(r.who == old and r.refused for r in sim.hub.requests[arrived:]), 60)
        (delayed,) = [r for r in sim.hub.requests[arrived:] if r.who == old and r.verb == "PATCH"]
        assert (delayed.path, delayed.refused, delayed.changed) == (late[0], 409, False)
        assert delayed.acted_s - sent_s > 55
        assert awaited in delayed.body["status"]
        assert sim.job("train") == before
        assert before["status"]["epoch"] == 1
        sim.hub.cut_off.clear()
        _, wrong = await judged(sim, CALM_S)
        assert wrong == []

    virtualtime.run(story())
