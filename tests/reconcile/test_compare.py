"""The full comparison: repairs what events lost, comes sooner when asked, and bears a hub that is away."""

import asyncio

import pytest

import virtualtime
from builders import a_job, a_region
from memoryhub import Meeting, MemoryClient, MemoryServer
from suanli.kube.client import ApiError
from suanli.reconcile.compare import LEAST_S, LOOKS, LOOKS_S, Comparison, fill, fill_patiently
from suanli.reconcile.state import Mirror

JOBS = "/apis/suanli.io/v1alpha1/computejobs"


class Hub:
    """A hub with a few objects, a mirror of it, and the comparison between them."""

    def __init__(self) -> None:
        self.server = MemoryServer(virtualtime.VirtualClock())
        self.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})
        self.server.put(a_region())
        self.server.put(a_job())
        self.mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
        self.client = MemoryClient(self.server, "hub")
        self.looked: list[str] = []
        self.begun = asyncio.Event()  # the first is looked at
        self.comparison = Comparison(
            self.client, self.mirror, on_members=lambda: ["uid-orphan"], look_at=self._look, every_s=300
        )

    def _look(self, uid: str) -> None:
        self.looked.append(uid)
        self.begun.set()


def test_a_list_brings_what_no_event_told() -> None:
    async def whole() -> None:
        hub = Hub()
        await fill(hub.client, hub.mirror)
        assert (list(hub.mirror.jobs), list(hub.mirror.regions)) == (["uid-train"], ["shanghai"])
        hub.server.delete("/apis/suanli.io/v1alpha1/namespaces/team-a/computejobs/train")
        await fill(hub.client, hub.mirror)
        assert not hub.mirror.jobs

    virtualtime.run(whole())


def test_a_list_that_breaks_off_proves_nothing() -> None:
    async def whole() -> None:
        hub = Hub()
        hub.server.meet = lambda verb, path: Meeting(error=ApiError(500, "", "no") if path == JOBS else None)
        since = hub.mirror.begun
        with pytest.raises(ApiError):
            await fill(hub.client, hub.mirror)
        assert not hub.mirror.certainly_gone("uid-orphan", since)

    virtualtime.run(whole())


def test_it_comes_every_so_often_and_sooner_when_asked_but_not_all_the_time() -> None:
    async def whole() -> None:
        hub, loop = Hub(), asyncio.get_running_loop()
        lists: list[float] = []

        def meet(verb: str, path: str) -> Meeting:
            if path == JOBS:
                lists.append(round(loop.time()))
            return Meeting(0.0)

        hub.server.meet = meet
        task = asyncio.ensure_future(hub.comparison.run())
        await asyncio.sleep(310)
        assert lists == [300]
        assert hub.looked == ["uid-orphan", "uid-train"]
        for _ in range(100):
            hub.comparison.soon()
            await asyncio.sleep(0.1)
        assert len(lists) <= 2 + 10 / LEAST_S
        task.cancel()

    virtualtime.run(whole())


def test_the_jobs_of_a_large_hub_are_looked_at_little_by_little() -> None:
    async def whole() -> None:
        hub = Hub()
        for n in range(2_000):
            hub.server.put(a_job(f"j{n}"))
        task = asyncio.ensure_future(hub.comparison.run())
        await hub.begun.wait()
        await asyncio.sleep(LOOKS_S / 2)
        assert (hub.looked[0], len(hub.looked)) == ("uid-orphan", LOOKS)
        await asyncio.sleep(3)
        assert len(hub.looked) == len(set(hub.looked)) == 2_002
        task.cancel()

    virtualtime.run(whole())


def test_a_large_hub_is_not_listed_all_the_time_because_a_member_tells_of_jobs_that_nobody_knows() -> None:
    async def whole() -> None:
        hub, loop = Hub(), asyncio.get_running_loop()
        busy = [0.0]  # seconds of lists of jobs

        def meet(verb: str, path: str) -> Meeting:
            busy[0] += 10.0 * (path == JOBS)
            return Meeting(5.0 if path == JOBS else 0.0)

        hub.server.meet = meet
        task = asyncio.ensure_future(hub.comparison.run())
        while loop.time() < 1_000:
            hub.comparison.soon()
            await asyncio.sleep(0.5)
        assert 0 < busy[0] <= 1_000 / 5
        task.cancel()

    virtualtime.run(whole())


def test_a_hub_that_is_away_is_asked_again() -> None:
    async def whole() -> None:
        hub = Hub()
        hub.server.cut = True
        filling = asyncio.ensure_future(fill_patiently(hub.client, hub.mirror))
        await asyncio.sleep(30)
        assert not filling.done()
        hub.server.cut = False
        await filling
        assert list(hub.mirror.jobs) == ["uid-train"]
        hub.server.meet = lambda verb, path: Meeting(error=ApiError(403, "Forbidden", "no list"))
        with pytest.raises(ApiError, match="no list"):
            await fill_patiently(hub.client, hub.mirror)

    virtualtime.run(whole())
