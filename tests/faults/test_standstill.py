"""A leader that stood still while another took over, as after SIGSTOP or in a suspended machine, sends no member anything when it goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import standstill
from apistore import Path as Place
from faultrun import judged
from fenced import put_lease
from people import Routine, put_road
from simulation import Simulation
from standstill import Standstill
from suanli.base.names import member_namespace

OLD, NEW = "old", "new"
SPACE = member_namespace("hub", "team-a")
POLICY = f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/suanli"
SETTINGS: dict[str, Any] = {"tenant_mend_s": 10, "retry_backoff_s": 0}
WRITES = (
    "POST namespaces",
    "POST networkpolicies",
    "POST resourcequotas",
    "POST jobs",
    "DELETE jobs",
    "PATCH pods",
    "PATCH leases",
    "PATCH networkpolicies",
    "PATCH namespaces",
)
AWAY_S = 5.0


def kind_of(verb: str, path: str) -> str:
    """What a request does, whichever object it concerns."""
    return f"{verb} {Place.of(path).resource}"


async def damage(sim: Simulation) -> None:
    """Somebody changes on a member what bounds a tenant there."""
    east = sim.clusters["east"].server
    await sim.until(lambda: any(c.resource == "networkpolicies" for c in east.store.history))
    await asyncio.sleep(3.0)
    east.put({**east.get(POLICY), "spec": {"podSelector": {}, "policyTypes": []}})
    space = east.get(f"/api/v1/namespaces/{SPACE}")
    labels = {k: v for k, v in space["metadata"]["labels"].items() if "pod-security" not in k}
    east.put({**space, "metadata": {**space["metadata"], "labels": labels}})


async def use(sim: Simulation) -> None:
    """What people do, on the hub and on a member."""
    await asyncio.gather(Routine(sim).act(), damage(sim))


async def whole(sim: Simulation, using: "asyncio.Task[None]") -> list[str]:
    """What is wrong once everything has ended."""
    await using
    _, wrong = await judged(sim)
    return wrong


async def led(sim: Simulation, frozen: Standstill | None) -> "asyncio.Task[None]":
    """The old one leads, and people begin to use it."""
    for cluster in sim.clusters.values():
        put_lease(cluster.server)
    put_road(sim)
    sim.start(OLD, elect=True, standstill=frozen)
    await sim.until(lambda: all(sim.site_condition(name) == ("True", "Ready") for name in sim.clusters))
    return asyncio.create_task(use(sim))


@pytest.mark.parametrize("kind", WRITES)
def test_no_write_of_a_leader_that_stood_still_reaches_a_member(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        sim, loop, frozen, begun_s = (
            Simulation(tmp_path, **SETTINGS),
            asyncio.get_running_loop(),
            Standstill(),
            list[float](),
        )

        def stops(name: str, server: str, verb: str, path: str) -> bool:
            if begun_s or name != OLD or server == "hub" or kind_of(verb, path) != kind:
                return False
            begun_s.append(loop.time())
            return True

        sim.stops = stops
        using = await led(sim, frozen)
        members = [cluster.server for cluster in sim.clusters.values()]
        sim.start(NEW, elect=True)
        await sim.until(lambda: begun_s, 60)
        await sim.until(
            lambda: any(r.who == NEW and r.verb != "GET" for server in members for r in server.requests), 60
        )
        await asyncio.sleep(AWAY_S)
        frozen.go_on()
        await asyncio.wait_for(sim.processes[OLD].life.over.wait(), 30)
        assert await whole(sim, using) == []
        late = [r for server in members for r in server.requests if r.who == OLD and r.sent_s > begun_s[0]]
        assert [(r.verb, r.path) for r in late if r.verb != "GET"] == []

    standstill.run(story())


def test_those_are_all_kinds_of_writes(tmp_path: Path) -> None:
    async def story() -> None:
        sim = Simulation(tmp_path, **SETTINGS)
        assert await whole(sim, await led(sim, None)) == []
        requests = [r for cluster in sim.clusters.values() for r in cluster.server.requests]
        assert {kind_of(r.verb, r.path) for r in requests if r.verb != "GET"} == set(WRITES)

    standstill.run(story())
