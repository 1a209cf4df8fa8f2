"""When nothing happens, nothing is written."""

import asyncio

from builders import a_job
from simulation import Simulate, Simulation

IDLE_S = 30 * 60


def test_thirty_idle_minutes_write_nothing_but_leases(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.start("operator-0", elect=True)
        sim.start("operator-1", elect=True)
        sim.put(a_job("ends"))
        sim.put(a_job("runs", template={"image": "busybox", "command": ["sleep", "7200"]}))
        sim.put(a_job("huge", resources={"class": ["cpu"], "perTask": {"cpu": "500", "memory": "1Gi"}}))
        await sim.until(lambda: sim.state("ends")[0] == "Succeeded" and sim.state("runs")[0] == "Running")
        await asyncio.sleep(120)
        servers = [sim.hub, *(cluster.server for cluster in sim.clusters.values())]
        before = [len(server.requests) for server in servers]
        await asyncio.sleep(IDLE_S)
        sim.put(a_job("ends"))  # the same manifest once more
        await asyncio.sleep(120)
        sent = [r for server, count in zip(servers, before, strict=True) for r in server.requests[count:]]
        assert len(sent) > IDLE_S / 10, "it lives"
        written = [r for r in sent if r.verb != "GET"]
        assert [r.path for r in written if "/leases/" not in r.path] == []
        assert {r.who for r in written} == {"operator-0"}, "a standby writes nothing"

    simulate(play)
