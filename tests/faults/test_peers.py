"""Faults that federations before this one had, each as a test: none of them is here."""

import asyncio

from builders import a_job
from memoryhub import Fate
from simulation import JOBS, Simulate, Simulation

LONG = {"template": {"image": "busybox", "command": ["sleep", "600"]}}


async def at_east(sim: Simulation, name: str = "train") -> str:
    """A long job that runs at east; the UID of its Job there."""
    sim.put(a_job(name, data={"allowedSites": ["east"]}, **LONG))
    await sim.until(lambda: sim.state(name)[0] == "Running")
    return str(sim.clusters["east"].server.items(JOBS)[0]["metadata"]["uid"])


def test_a_job_deleted_while_its_worker_was_unreachable_leaves_no_orphan(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await at_east(sim)
        east = sim.clusters["east"].server
        east.cut = True
        east.drop_watches()
        await asyncio.sleep(60)
        sim.delete("train")
        await asyncio.sleep(60)
        await sim.kill()  # nobody remembers the job any more
        sim.start()
        await asyncio.sleep(60)
        assert sim.member_objects()
        east.cut = False
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_worker_that_keeps_its_connections_and_says_nothing_is_lost_in_time(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await at_east(sim)
        east = sim.clusters["east"].server
        east.fate = lambda resource: Fate(stuck=True)
        east.cut = True  # no watch ends: nothing tells of it but time
        await sim.until(lambda: sim.condition("train", "Running")["status"] == "Unknown", 8 + 2 + 5)
        assert sim.site_condition("east") == ("False", "Unreachable")

    simulate(play, probe_s=2, unreachable_after_s=8)


def test_a_watch_that_reconnects_evicts_nothing(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        uid = await at_east(sim)
        hub_writes = len(sim.hub.writes("computejobs"))
        for number in range(40):
            server = sim.clusters["east"].server if number % 2 else sim.hub
            if number % 3 == 0:
                server.store.compact()
            server.drop_watches()
            await asyncio.sleep(1.5)
        await asyncio.sleep(60)
        assert [j["metadata"]["uid"] for j in sim.clusters["east"].server.items(JOBS)] == [uid]
        assert len(sim.hub.writes("computejobs")) == hub_writes
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects())

    simulate(play)


def test_no_client_of_an_old_configuration_is_kept(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await at_east(sim)
        sim.put_secret("east", "east", token="new")
        await asyncio.sleep(10)
        assert [client.token for _, client in sim.connections if client.name == "east" and not client.closed] == ["new"]
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects())

    simulate(play)
