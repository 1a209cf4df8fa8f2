"""Members that are cut off, wholly or in one direction, and come back: nothing is killed, moved, left over or miscounted."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from apistore import Json
from builders import a_job
from memoryhub import Fate, Meeting, MemoryServer
from simulation import JOBS, PODS, Run, Simulate, Simulation
from suanli.kube.client import ApiError
from suanli.kube.watch import SILENCE_S

UNREACHABLE_S = 8
QUICK = {"probe_s": 2, "unreachable_after_s": UNREACHABLE_S, "retry_backoff_s": 0}
SCOPES: Mapping[str, tuple[str, ...]] = {"one site": ("east",), "all sites": ("east", "west")}
ENDS_S = 4  # work that is over before a cut is


async def cut(servers: list[MemoryServer], lasts_s: float) -> None:
    """Nothing comes through, and no connection says so."""
    for server in servers:
        server.cut = True
    await asyncio.sleep(lasts_s)


async def cut_and_forgotten(servers: list[MemoryServer], lasts_s: float) -> None:
    """The members forget meanwhile what a watch could have told afterwards."""
    await cut(servers, lasts_s)
    for server in servers:
        server.store.compact()
        server.drop_watches()


async def flapping(servers: list[MemoryServer], lasts_s: float) -> None:
    """Up and down, each time for too short to be called unreachable or well."""
    for number in range(int(lasts_s / 1.5)):
        for server in servers:
            server.cut = number % 2 == 0
            server.drop_watches()
        await asyncio.sleep(1.5)


async def answers_lost(servers: list[MemoryServer], lasts_s: float) -> None:
    """Requests arrive and are carried out; the watches live."""
    for server in servers:
        server.meet = lambda verb, path: Meeting(lost_after=True)
    await asyncio.sleep(lasts_s)


async def writes_lost(servers: list[MemoryServer], lasts_s: float) -> None:
    """The watches live, reads are answered, and no write arrives."""
    for server in servers:
        server.meet = lambda verb, path: Meeting(lost_before=verb != "GET")
    await asyncio.sleep(lasts_s)


async def writes_refused(servers: list[MemoryServer], lasts_s: float) -> None:
    """The same, and the server says so: its store is full."""
    full = ApiError(500, "InternalError", "etcdserver: mvcc: database space exceeded")
    for server in servers:
        server.meet = lambda verb, path: Meeting(error=full if verb != "GET" else None)
    await asyncio.sleep(lasts_s)


async def watches_silent(servers: list[MemoryServer], lasts_s: float) -> None:
    """Reads and writes succeed; the watches stay open and tell nothing."""
    for server in servers:
        server.fate = lambda resource: Fate(stuck=True)
    await asyncio.sleep(lasts_s)


def mend(server: MemoryServer) -> None:
    server.cut = False
    server.meet, server.fate = (lambda verb, path: Meeting()), (lambda resource: Fate())


@dataclass(frozen=True)
class Cut:
    """How members are cut off, for how long, and within what time all is well again. Units: seconds, virtual."""

    act: Callable[[list[MemoryServer], float], Awaitable[None]]
    lasts_s: float
    settles_s: float


CUTS: Mapping[str, Cut] = {
    "shorter than the unreachable time": Cut(cut, UNREACHABLE_S * 0.75, 15),
    "longer than the unreachable time": Cut(cut, UNREACHABLE_S * 5, 15),
    "longer than what can be read again": Cut(cut_and_forgotten, 500, 15),
    "flapping": Cut(flapping, 60, 15),
    "answers are lost": Cut(answers_lost, 40, 15),
    "writes are lost": Cut(writes_lost, 40, 15),
    "writes are refused": Cut(writes_refused, 40, 15),
    "watches are silent": Cut(watches_silent, 40, SILENCE_S + 15),
}


def put(sim: Simulation, name: str, site: str, seconds: float) -> None:
    template = {"image": "busybox", "command": ["sleep", str(seconds)]}
    sim.put(a_job(f"{name}-{site}", template=template, data={"allowedSites": [site]}))


def places(sim: Simulation, name: str) -> list[Json]:
    """Every word of the hub where a job is, one after the other."""
    uid = sim.job(name)["metadata"]["uid"]
    changes = [c.after for c in sim.hub.store.history if c.after is not None and c.after["metadata"]["uid"] == uid]
    words = [(after.get("status") or {}).get("assignment") for after in changes]
    return [word for word, _ in itertools.groupby(words) if word]


def ran(sim: Simulation, name: str) -> list[Run]:
    uid = sim.job(name)["metadata"]["uid"]
    return [run for run in sim.runs() if run.job_uid == uid]


def used(sim: Simulation, name: str) -> tuple[int, int]:
    """What a job's status says."""
    told = sim.job(name)["status"].get("usage") or {}
    return told.get("pods", 0), int(told.get("cpuMilliMs", 0))


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", CUTS)
def test_what_is_cut_off_and_comes_back_goes_on(simulate: Simulate, name: str, scope: str) -> None:
    case, both = CUTS[name], SCOPES["all sites"]

    async def play(sim: Simulation) -> None:
        for site in both:
            put(sim, "stays", site, 4_000)
            put(sim, "goes", site, 4_000)
        await sim.until(lambda: all(sim.state(name)[0] == "Running" for name in sim.jobs()))
        for site in both:
            put(sim, "ends", site, ENDS_S)
        await sim.until(lambda: all(sim.state(name)[0] == "Running" for name in sim.jobs()))
        servers = [sim.clusters[site].server for site in SCOPES[scope]]
        going = asyncio.ensure_future(case.act(servers, case.lasts_s))
        await asyncio.sleep(0.5)
        for site in both:
            sim.delete(f"goes-{site}")
            put(sim, "late", site, 4_000)
        await going
        for server in servers:
            mend(server)
        await sim.until(lambda: all(well(sim, site) for site in both), case.settles_s, every=0.5)
        await asyncio.sleep(30)
        for site in both:
            for name in (f"stays-{site}", f"late-{site}"):
                (run,) = ran(sim, name)
                assert run.end_ms is None, "nothing that runs is stopped because of a link"
                assert run.site == site
            assert [(word["site"], word["epoch"]) for word in places(sim, f"stays-{site}")] == [(site, 1)], "or moved"
            assert used(sim, f"ends-{site}") == sim.truth()[sim.job(f"ends-{site}")["metadata"]["uid"]]
            assert len(sim.clusters[site].server.items(JOBS)) == 2, "no orphan"
            sim.delete(f"stays-{site}")
            sim.delete(f"late-{site}")
        await sim.until(lambda: not sim.member_objects())

    simulate(play, **QUICK)


def well(sim: Simulation, site: str) -> bool:
    """Whether the site is ready, what ended is known and not metered twice, and what is not wanted any more is gone."""
    states = (sim.state(f"stays-{site}")[0], sim.state(f"late-{site}")[0], sim.state(f"ends-{site}")[0])
    gone = not any(f"goes-{site}" in str(j["metadata"]) for j in sim.jobs().values())
    alive = len({run.job_uid for run in sim.clusters[site].alive})
    ready = sim.site_condition(site)[0] == "True"
    return ready and gone and alive == 2 and states == ("Running", "Running", "Succeeded")


def test_what_expired_on_a_member_while_it_was_cut_off_is_shown_as_a_gap(simulate: Simulate) -> None:
    """Somebody there removed Job and pod, finalizer and all: what it ran nobody can know any more, and the job says so."""

    async def play(sim: Simulation) -> None:
        put(sim, "ends", "east", ENDS_S)
        await sim.until(lambda: sim.state("ends-east")[0] == "Running")
        east = sim.clusters["east"].server
        east.cut = True
        await asyncio.sleep(30)
        (pod,), (job,) = east.items(PODS), east.items(JOBS)
        east.put({**pod, "metadata": {**pod["metadata"], "finalizers": []}})
        east.delete(f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}")
        east.delete(f"/apis/batch/v1/namespaces/{job['metadata']['namespace']}/jobs/{job['metadata']['name']}")
        sim.clusters["east"].runs.clear()  # nobody knows
        mend(east)
        await sim.until(lambda: sim.state("ends-east")[0] == "Failed", 30)
        assert sim.state("ends-east") == ("Failed", "DeletedOnMember")
        assert "east" in sim.condition("ends-east", "Finished")["message"]
        assert used(sim, "ends-east") == (0, 0)

    simulate(play, **QUICK)
