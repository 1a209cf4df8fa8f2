"""Replicas of the operator, of which one leads, that are killed or replaced; and how long nobody could write."""

import asyncio
import itertools
from dataclasses import dataclass, field
from random import Random

from apistore import Refusal
from memoryhub import Request
from simulation import NAMESPACE, Process, Simulation
from suanli.main import LEASE

LEASE_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"
WAIT_S = 60.0
MOST_WRITES = 40  # of a leader that is to be killed at a write
AWAY_S = (0.5, 2.0, 8.0)  # until a Deployment has a new one in place of one that was killed


@dataclass(frozen=True)
class Handover:
    """From the end of one leader to the next one's work. Units: seconds."""

    before: str
    after: str
    leads_s: float  # until the next one held the lease
    writes_s: float  # until it had written something


@dataclass
class Replicas:
    """So many replicas of one simulation; each life has a name of its own."""

    sim: Simulation
    random: Random
    count: int = 3
    handovers: list[Handover] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _last_write: int = 0
    _deadly: tuple[int, str] = (0, "")

    def __post_init__(self) -> None:
        self.sim.dies = self._dies
        for _ in range(self.count):
            self.add()

    def add(self) -> str:
        """A new replica; its name."""
        name = f"operator-{next(self._numbers)}"
        self.sim.start(name, elect=True)
        return name

    @property
    def leader(self) -> str:
        """Who holds the lease, by the hub's word, and lives; empty for nobody."""
        try:
            holder = str(self.sim.hub.get(LEASE_PATH)["spec"].get("holderIdentity") or "")
        except Refusal:
            return ""
        name = holder.rpartition("_")[0]
        return name if name in self.sim.processes else ""

    @property
    def standbys(self) -> dict[str, Process]:
        """Who waits for the lead."""
        return {name: process for name, process in self.sim.processes.items() if name != self.leader}

    async def until_one_works(self) -> str:
        """Until a leader has written something, whatever; its name."""
        await self.sim.until(lambda: self.leader and self._first_write(self.leader), WAIT_S, every=0.25)
        return self.leader

    async def kill_leader(self) -> None:
        """SIGKILL it, before or after some write of its, or at any moment; wait until another one works, and add one again."""
        name = self.leader
        life = self.sim.processes[name].life
        if self.random.random() < 0.5:
            self._deadly = (self._last_write + self.random.randrange(1, MOST_WRITES), self._either())
            await life.over.wait()
        else:
            await asyncio.sleep(self.random.uniform(0.0, 20.0))
            life.end()
        ended_s = asyncio.get_running_loop().time()
        await self.sim.kill(name)
        await asyncio.gather(self._taken_over(name, ended_s), self._replaced())

    async def replace(self, name: str) -> None:
        """As a rolling update does: a new one is started, and when it is ready an old one is ended by SIGTERM."""
        led = name == self.leader
        mirror = self.sim.processes[self.add()].operator.mirror
        await self.sim.until(
            lambda: {entry.name for entry in mirror.jobs.values()} >= self.sim.jobs().keys() and mirror.sites, WAIT_S
        )
        ended_s = asyncio.get_running_loop().time()
        await self.sim.stop(name)
        if led:
            await self._taken_over(name, ended_s)

    async def _replaced(self) -> None:
        await asyncio.sleep(self.random.choice(AWAY_S))
        self.add()

    async def _taken_over(self, before: str, ended_s: float) -> None:
        after = await self.until_one_works()
        leads_s = next(
            moment
            for moment, change in zip(self.sim.hub.moments_s, self.sim.hub.store.history, strict=True)
            if change.resource == "leases" and (change.after or {})["spec"]["holderIdentity"].startswith(f"{after}_")
        )
        first = self._first_write(after)
        assert first is not None, "it has written"
        self.handovers.append(Handover(before, after, leads_s - ended_s, first.acted_s - ended_s))

    def _first_write(self, name: str) -> Request | None:
        servers = (self.sim.hub, *(cluster.server for cluster in self.sim.clusters.values()))
        found = [
            next((r for r in server.requests if r.who == name and r.changed and "/leases" not in r.path), None)
            for server in servers
        ]
        return min((r for r in found if r is not None), key=lambda r: r.acted_s, default=None)

    def _either(self) -> str:
        return self.random.choice(("before", "after"))

    def _dies(self, number: int, moment: str) -> bool:
        self._last_write = max(self._last_write, number)  # their answers come out of order
        return (number, moment) == self._deadly
