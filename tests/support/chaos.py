"""Trouble of every kind at random, drawn from a seed; then the trouble ends, and everything has to come right."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from apistore import Refusal
from builders import a_job
from memoryhub import Meeting, MemoryServer
from simulation import JOBS, Simulation, place_first
from suanli.base.conditions import readable
from suanli.kube.client import ApiError
from suanli.placement.snapshot import Plan, SiteView, WaitingJob

NONSENSE = (
    {"assignment": None},
    {"assignment": {"site": None}},
    {"assignment": {"epoch": "two"}},
    {
        "conditions": ["?", {"type": 7}, {"type": "Finished", "status": "Maybe"}],
        "failures": "many",
        "usage": {"pods": -1},
    },
)
TROUBLE_S = 40.0
REST_S = 400.0


class Chaos:
    """A play of users, administrators, networks and crashes."""

    def __init__(self, simulation: Simulation, random: Random) -> None:
        self.sim = simulation
        self.random = random
        self.troubled = True
        self._names = 0
        self._writes = 0
        self._fatal_write = random.randrange(1, 25)
        self._crash: asyncio.Event | None = None

    async def play(self) -> None:
        """All of it; afterwards nothing is lost, doubled, left over or miscounted. Raises: AssertionError."""
        sim, random = self.sim, self.random
        self._crash = asyncio.Event()
        for server in self._servers():
            server.meet = self._meeting(server)
            server.lag_s = lambda resource: random.choice((0.0, 0.0, 0.02, 0.3, 1.0)) if self.troubled else 0.0
        for cluster in sim.clusters.values():
            cluster.start_s = lambda: random.choice((0.05, 0.3, 1.0))
            cluster.grace_s = lambda: random.choice((0.1, 1.0, 8.0))
            cluster.clock.off_ms = random.randrange(-300_000, 300_000)
        sim.place_all = self._place
        sim.lose_event = lambda: self.troubled and random.random() < 0.05
        sim.start()
        crashes = asyncio.ensure_future(self._crashes())
        loop = asyncio.get_running_loop()
        end = loop.time() + TROUBLE_S
        for _ in range(3):
            self._new_job()
        while loop.time() < end:
            await asyncio.sleep(random.expovariate(2.0))
            await random.choices(*zip(*self._acts(), strict=True))[0]()
        self.troubled = False
        crashes.cancel()
        if sim.process is None:
            sim.start()
        for server in self._servers():
            server.cut = False
        await self._come_right()

    # --- what can happen

    def _acts(self) -> list[tuple[Callable[[], Awaitable[None]], float]]:
        return [
            (self._apply, 1.0),
            (self._suspend_or_resume, 5.0),
            (self._delete, 0.5),
            (self._recreate, 0.5),
            (self._touch, 1.0),
            (self._edit, 0.5),
            (self._damage, 0.7),
            (self._cut, 1.0),
            (self._drop_watches, 1.0),
            (self._compact, 0.5),
            (self._delete_behind_our_back, 0.5),
            (self._crash_now, 0.3),
            (self._jump, 0.5),
        ]

    def _new_job(self) -> None:
        self._names += 1
        tasks = self.random.choice((1, 1, 2))
        command = [self.random.choices(("sleep", "fail"), (5, 1))[0], self.random.choice(("1", "9", "30"))]
        limits = {"retries": self.random.choice((0, 2))}
        template = {"image": "busybox", "command": command}
        self.sim.put(a_job(f"job-{self._names}", tasks=tasks, template=template, limits=limits))

    async def _apply(self) -> None:
        self._new_job()

    async def _suspend_or_resume(self) -> None:
        if name := self._any_job():
            now = self.sim.job(name)["spec"].get("desiredState", "Running")
            self.sim.edit(name, desiredState="Running" if now == "Suspended" else "Suspended")

    async def _delete(self) -> None:
        if name := self._any_job():
            self.sim.delete(name)

    async def _recreate(self) -> None:
        """Another job of the same name, at once."""
        if name := self._any_job():
            spec = self.sim.job(name)["spec"]
            self.sim.delete(name)
            self.sim.put(a_job(name, **{**spec, "desiredState": "Running"}))

    async def _touch(self) -> None:
        """Somebody labels a job: what was read of it is old now."""
        if name := self._any_job():
            raw = self.sim.job(name)
            labels = {"touched": str(self.random.random())}
            self.sim.hub.put({**raw, "metadata": {**raw["metadata"], "labels": labels}})

    async def _edit(self) -> None:
        if name := self._any_job():
            self.sim.edit(name, priority=self.random.randrange(100))

    async def _damage(self) -> None:
        """Somebody edits a status into nonsense, and mends it or not."""
        if not (name := self._any_job()):
            return
        status = self.sim.job(name).get("status") or {}
        if not status.get("assignment") or _finished(self.sim.job(name)):
            return
        uid = self.sim.job(name)["metadata"]["uid"]
        self.sim.edit_status(name, self.random.choice(NONSENSE))
        await asyncio.sleep(self.random.choice((0.5, 3.0)))
        with contextlib.suppress(Refusal):
            now = self.sim.job(name)
            mendable = now["metadata"]["uid"] == uid and now["status"].get("epoch") == status.get("epoch")
            if mendable and now["status"].get("assignment") != status["assignment"]:
                self.sim.edit_status(name, {"assignment": status["assignment"]})

    async def _cut(self) -> None:
        server = self.random.choice(self._servers())
        server.cut = True
        server.drop_watches()
        await asyncio.sleep(self.random.choice((0.5, 3.0, 25.0)) if server is not self.sim.hub else 2.0)
        server.cut = False

    async def _drop_watches(self) -> None:
        self.random.choice(self._servers()).drop_watches()

    async def _compact(self) -> None:
        server = self.random.choice(self._servers())
        server.store.compact()
        server.drop_watches()

    async def _delete_behind_our_back(self) -> None:
        cluster = self.random.choice(list(self.sim.clusters.values()))
        jobs = cluster.server.items(JOBS)
        if jobs:
            metadata = self.random.choice(jobs)["metadata"]
            cluster.server.delete(f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{metadata['name']}")

    async def _crash_now(self) -> None:
        assert self._crash is not None, "play made it"
        self._crash.set()

    async def _jump(self) -> None:
        """The hub's clock is set."""
        self.sim.clock.off_ms = self.random.choice((-3_600_000, 0, 3_600_000))

    # --- how it happens

    def _place(self, waiting: Sequence[WaitingJob], sites: Sequence[SiteView], *args: Any, **kwargs: Any) -> Plan:
        """Anywhere, so that a new attempt is seldom where the last one was."""
        return place_first(waiting, self.random.sample(sites, len(sites)), *args, **kwargs)

    def _any_job(self) -> str:
        names = sorted(self.sim.jobs())
        return self.random.choice(names) if names else ""

    def _servers(self) -> list[MemoryServer]:
        return [self.sim.hub, *(c.server for c in self.sim.clusters.values())]

    def _meeting(self, server: MemoryServer) -> Callable[[str, str], Meeting]:
        def meet(verb: str, path: str) -> Meeting:
            random = self.random
            if not self.troubled:
                return Meeting()
            delay_s = random.choice((0.0, 0.01, 0.1))
            if verb != "GET":
                self._writes += 1
                if self._writes == self._fatal_write:
                    self._fatal_write += random.randrange(20, 100)
                    assert self._crash is not None, "play made it"
                    asyncio.get_running_loop().call_later(random.choice((0.0, delay_s, delay_s * 1.5)), self._crash.set)
            chance = random.random()
            if chance < 0.03:
                return Meeting(delay_s, lost_before=True)
            if chance < 0.08:
                return Meeting(delay_s, lost_after=True)
            if chance < 0.10 and verb == "POST":
                return Meeting(delay_s, late_s=random.choice((0.5, 2.0, 6.0)))
            if chance < 0.10:
                return Meeting(delay_s, ApiError(429, "TooManyRequests", "slow down", 1.0))
            if chance < 0.12:
                return Meeting(delay_s, ApiError(500, "InternalError", "no"))
            return Meeting(delay_s)

        return meet

    async def _crashes(self) -> None:
        assert self._crash is not None, "play made it"
        while True:
            await self._crash.wait()
            self._crash.clear()
            if self.sim.process is not None:
                await self.sim.kill()
                await asyncio.sleep(self.random.choice((0.0, 2.0, 12.0)))
                self.sim.start()

    # --- how it has to end

    async def _come_right(self) -> None:
        sim = self.sim
        for name, job in sim.jobs().items():
            if job["spec"].get("desiredState") == "Suspended":
                sim.edit(name, desiredState="Running")
        await sim.until(self._all_ended, REST_S, every=1.0)
        await sim.until(lambda: not sim.member_objects(), REST_S, every=1.0)
        await asyncio.sleep(30)
        written = [len(s.writes()) for s in self._servers()]
        await asyncio.sleep(60)
        assert [len(s.writes()) for s in self._servers()] == written, "it writes for nothing"
        await sim.end()
        sim.check()
        for job in sim.jobs().values():
            self._check_job(job["metadata"]["uid"], job)

    def _all_ended(self) -> bool:
        return all(_finished(job) for job in self.sim.jobs().values())

    def _check_job(self, uid: str, job: dict[str, object]) -> None:
        status = job["status"]
        assert isinstance(status, dict), "an ended job has a status"
        used = status["usage"]
        pods, cpu = self.sim.truth().get(uid, (0, 0))
        assert (used["pods"], int(used["cpuMilliMs"])) == (pods, cpu), f"{job['metadata']}: {used} is not {pods}, {cpu}"


def _finished(job: dict[str, object]) -> bool:
    status = job.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    return any(c["type"] == "Finished" and c["status"] == "True" for c in readable(conditions))
