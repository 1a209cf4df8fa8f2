"""How long jobs wait for their place while another tenant floods the hub with jobs, in virtual time; the solver is the real one."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import virtualtime
from apistore import Change, Json
from builders import a_job, an_object
from simulation import Simulation
from suanli.placement.snapshot import Plan
from suanli.placement.solve import place

OTHERS = 100  # as many as the nodes take pods
EVERY_S = 0.13  # so that they come at all moments of a cycle
NAMESPACES = 50  # of the tenant that floods
PATIENCE_S = 900.0
MOST_TIMES = 2  # as long as alone
COMMAND = ["sleep", "900"]


class Kind(StrEnum):
    """What the flood is made of."""

    TOO_LARGE = "TooLarge"  # no site ever has room: what is told of them is all that is written
    FITS = "Fits"  # each is placed, committed and created


ASKED: dict[Kind, dict[str, str]] = {
    Kind.TOO_LARGE: {"cpu": "500", "memory": "1Gi"},
    Kind.FITS: {"cpu": "1m", "memory": "1Mi"},
}


@dataclass(frozen=True)
class Waits:
    """How long the jobs of the others waited, in order. Units: seconds of virtual time."""

    sorted_s: list[float]

    @property
    def p99_s(self) -> float:
        """So long at most waited 99 of 100."""
        return self.sorted_s[-1 - len(self.sorted_s) // 100]


def waits(flood: int, kind: Kind, *, with_solver: bool = False) -> Waits:
    """What the others meet while so many jobs of one tenant, spread over its namespaces, come all at once.

    `with_solver`: the solver's processor time passes too, so the figure is of this machine; else it takes no time. Raises: AssertionError.
    """

    async def whole() -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            sim = Simulation(Path(folder))
            sim.place_all = _place_in_time if with_solver else place
            for cluster in sim.clusters.values():
                cluster.server.put(_with_room_for_pods(cluster.server.get("/api/v1/nodes/n1"), flood + OTHERS))
            sim.start()
            try:
                return await _waited_s(sim, flood, kind)
            finally:
                await sim.end()

    return Waits(sorted(virtualtime.run(whole())))


def _place_in_time(*args: Any, **kwargs: Any) -> Plan:
    """The real solver, whose processor time the virtual clock counts."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtualtime.VirtualLoop), "a simulation runs in it"
    began_s = time.process_time()
    plan = place(*args, **kwargs)
    loop.now_s += time.process_time() - began_s
    return plan


def told(kind: Kind, flood: int, alone: Waits, flooded: Waits) -> str:
    """For people."""
    return (
        f"S4: time to placement of others, p99: {alone.p99_s:.2f} s alone, {flooded.p99_s:.2f} s under a flood of {flood} jobs"
        f" ({kind}; {flooded.p99_s / alone.p99_s:.2f} times, less than {MOST_TIMES} allowed; virtual time)"
    )


async def _waited_s(sim: Simulation, flood: int, kind: Kind) -> list[float]:
    loop, begun, took = asyncio.get_running_loop(), dict[str, float](), dict[str, float]()

    def seen(change: Change) -> None:
        if change.resource == "computejobs" and change.after is not None:
            name, status = change.after["metadata"]["name"], change.after.get("status") or {}
            if name in begun and name not in took and status.get("assignment"):
                took[name] = loop.time() - begun[name]

    sim.hub.store.listen(seen)
    await sim.until(lambda: all(sim.site_condition(name) == ("True", "Ready") for name in sim.clusters))
    spaces = [f"flood-{n}" for n in range(NAMESPACES)]
    sim.put(an_object("ComputeAccount", "flood", {"namespaces": spaces}))
    for space in spaces:
        sim.hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    for n in range(flood):
        metadata = {"namespace": spaces[n % NAMESPACES]}
        sim.put(a_job(f"f{n}", **_spec(ASKED[kind]), metadata=metadata))
    for n in range(OTHERS):
        await asyncio.sleep(EVERY_S)
        begun[f"j{n}"] = loop.time()
        sim.put(a_job(f"j{n}", **_spec({"cpu": "10m", "memory": "1Mi"})))
    await sim.until(lambda: len(took) == OTHERS, PATIENCE_S)
    return list(took.values())


def _spec(per_task: dict[str, str]) -> Json:
    return {
        "resources": {"class": ["cpu"], "perTask": per_task},
        "template": {"image": "busybox", "command": COMMAND},
    }


def _with_room_for_pods(node: Json, pods: int) -> Json:
    amounts = {**node["status"]["allocatable"], "pods": str(pods)}
    return {**node, "status": {**node["status"], "allocatable": amounts, "capacity": amounts}}
