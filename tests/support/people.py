"""What users and administrators do to a federation, at random, drawn from a seed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from apistore import Refusal
from builders import a_job, a_region, an_object
from faultplan import TROUBLE_S
from simulation import JOBS, Simulation
from suanli.base.conditions import readable

STEADY = "steady-"
ACCOUNTS: dict[str, dict[str, Any]] = {
    "trust": {},
    "bank": {"namespaces": ["team-a"], "parent": "trust"},
    "shop": {"namespaces": ["default"], "parent": "trust"},
}
ENOUGH = 64  # cores
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


# What jobs read comes over one link, and what they write goes over it.
DATA = {
    "inputs": [{"name": "a", "region": "guizhou", "size": "7Gi"}],
    "outputs": {"region": "guizhou", "size": "2Gi"},
}


def put_road(sim: Simulation) -> None:
    """A region beside that of the sites, and the link to it."""
    sim.put(a_region("guizhou", latitude="26.65", longitude="106.63"))
    sim.put(an_object("ComputeLink", "road", {"endpoints": ["guizhou", "shanghai"], "oneWay": "9ms"}))


class Routine:
    """What users do in a fixed order: work that ends, fails, is suspended and goes on, is deleted, and of two tasks."""

    LASTS_S = 12.0

    def __init__(self, simulation: Simulation) -> None:
        self.sim = simulation

    async def act(self) -> None:
        """All of it."""
        work = {"image": "busybox", "command": ["sleep", "2"]}
        wanted: dict[str, dict[str, Any]] = {
            "ends": {},
            "fails": {"template": {"image": "busybox", "command": ["fail", "1"]}, "limits": {"retries": 1}},
            "waits": {},
            "goes": {"template": {"image": "busybox", "command": ["sleep", "8"]}},
            "pair": {"tasks": 2},
        }
        for name, spec in wanted.items():
            self.sim.put(a_job(name, **{"template": work, "data": DATA, **spec}))
        await asyncio.sleep(1.5)
        self.sim.edit("waits", desiredState="Suspended")
        await asyncio.sleep(1.0)
        self.sim.delete("goes")
        await asyncio.sleep(2.0)
        self.sim.edit("waits", desiredState="Running")
        await asyncio.sleep(self.LASTS_S - 4.5)


class People:
    """Who applies, edits, suspends and deletes jobs, damages a status, or removes what is on a member."""

    def __init__(self, simulation: Simulation, random: Random, lasts_s: float, *, quotas: bool = False) -> None:
        self.sim = simulation
        self._quotas = quotas
        self.random = random
        self._lasts_s = lasts_s
        self._names = 0
        self._lengths = ("1", "9", "30") if lasts_s <= TROUBLE_S else ("9", "60")  # seconds
        self._rate = 80.0 / lasts_s  # acts a second

    async def act(self) -> None:
        """For so long; afterwards nothing is kept suspended, and no quota keeps anybody waiting for long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._lasts_s
        if self._quotas:
            for account in ACCOUNTS:
                self._set_quota(account)
        for _ in range(3):
            self._new_job()
        if self._lasts_s > TROUBLE_S:
            self._steady_jobs()
        while loop.time() < end:
            await asyncio.sleep(self.random.expovariate(self._rate))
            await self.random.choices(*zip(*self._acts(), strict=True))[0]()
        for name, job in self.sim.jobs().items():
            if job["spec"].get("desiredState") == "Suspended":
                self.sim.edit(name, desiredState="Running")
        for name in self.sim.clusters:
            self.sim.edit_site(name, desiredState="Active")
        if self._quotas:
            for account in ACCOUNTS:
                self._put_account(account, ENOUGH)

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
            (self._delete_behind_our_back, 0.5),
            (self._jump, 0.5),
            (self._drain_or_not, 0.3),
            *([(self._change_quota, 2.0), (self._neighbour, 0.7)] if self._quotas else []),
        ]

    def _new_job(self) -> None:
        self._names += 1
        tasks = self.random.choice((1, 1, 2))
        command = [self.random.choices(("sleep", "fail"), (5, 1))[0], self.random.choice(self._lengths)]
        limits = {"retries": self.random.choice((0, 2))}
        template = {"image": "busybox", "command": command}
        failover = self.random.choice(("AtMostOnce", "AtMostOnce", "AtLeastOnce"))
        data = {"data": DATA} if self._names % 2 else {}
        name = f"job-{self._names}"
        self.sim.put(a_job(name, tasks=tasks, template=template, limits=limits, failover=failover, **data))

    def _set_quota(self, account: str) -> None:
        nominal, borrowed = self.random.choice((2, 2, 3, 5)), self.random.choice((0, 0, 1, 3))
        self._put_account(account, nominal, borrowed)

    def _put_account(self, name: str, nominal: int, borrowed: int = 0) -> None:
        quota = {"class": "cpu", "nominal": nominal}
        if ACCOUNTS[name].get("parent"):
            quota["borrowingLimit"] = borrowed
        self.sim.put(an_object("ComputeAccount", name, {**ACCOUNTS[name], "quotas": [quota]}))

    def _steady_jobs(self) -> None:
        """Long work that nobody touches on the hub: what becomes of it is the federation's doing."""
        for number in range(4):
            failover = "AtMostOnce" if number % 2 else "AtLeastOnce"
            template = {"image": "busybox", "command": ["sleep", "180"]}
            self.sim.put(a_job(f"{STEADY}{number}", template=template, failover=failover))

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
        if not status.get("assignment") or finished(self.sim.job(name)):
            return
        uid = self.sim.job(name)["metadata"]["uid"]
        self.sim.edit_status(name, self.random.choice(NONSENSE))
        await asyncio.sleep(self.random.choice((0.5, 3.0)))
        with contextlib.suppress(Refusal):
            now = self.sim.job(name)
            mendable = now["metadata"]["uid"] == uid and now["status"].get("epoch") == status.get("epoch")
            if mendable and now["status"].get("assignment") != status["assignment"]:
                self.sim.edit_status(name, {"assignment": status["assignment"]})

    async def _delete_behind_our_back(self) -> None:
        cluster = self.random.choice(list(self.sim.clusters.values()))
        jobs = cluster.server.items(JOBS)
        if jobs:
            metadata = self.random.choice(jobs)["metadata"]
            cluster.server.delete(f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{metadata['name']}")

    async def _jump(self) -> None:
        """The hub's clock is set."""
        self.sim.clock.off_ms = self.random.choice((-3_600_000, 0, 3_600_000))

    async def _drain_or_not(self) -> None:
        """A site takes no more jobs, or takes some again."""
        name = self.random.choice(list(self.sim.clusters))
        self.sim.edit_site(name, desiredState=self.random.choice(("Active", "Inactive", "Drain")))

    async def _change_quota(self) -> None:
        """More or less than before; what is held already stays."""
        self._set_quota(self.random.choice(list(ACCOUNTS)))

    async def _neighbour(self) -> None:
        """A job of the other account of the same parent."""
        self._names += 1
        template = {"image": "busybox", "command": ["sleep", self.random.choice(self._lengths)]}
        name, metadata = f"{STEADY}neighbour-{self._names}", {"namespace": "default"}
        self.sim.put(a_job(name, tasks=self.random.choice((1, 2)), template=template, metadata=metadata))

    def _any_job(self) -> str:
        names = sorted(name for name in self.sim.jobs() if not name.startswith(STEADY))
        return self.random.choice(names) if names else ""


def finished(job: dict[str, Any]) -> bool:
    """Whether a ComputeJob has ended for good."""
    conditions = (job.get("status") or {}).get("conditions")
    return any(c["type"] == "Finished" and c["status"] == "True" for c in readable(conditions))
