"""The lease is renewed however busy the loop of the work is, and the work has ended before the lease is given away."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from suanli.kube.client import Json
from suanli.kube.election import Election, Lead, run_on
from suanli.kube.lease import Lease

PATH = "/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/op"
PATIENCE_S = 120.0


class Server(Protocol):
    leases: dict[str, Json]
    writes: int

    def get(self, path: str) -> Json: ...
    def post(self, path: str, body: Json) -> Json: ...
    def put(self, path: str, body: Json) -> Json: ...
    def edit(self, change: Callable[[Json], None]) -> None: ...


class Direct:
    """A client whose requests take no time; it knows in which threads they were made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.threads = set[str]()

    async def get(self, path: str) -> Json:
        return self._server.get(path)

    async def post(self, path: str, body: Json) -> Json:
        return self._server.post(path, body)

    async def put(self, path: str, body: Json) -> Json:
        self.threads.add(threading.current_thread().name)
        return self._server.put(path, body)


class Candidate:
    """A replica whose election runs apart."""

    def __init__(self, server: Server) -> None:
        self.order: list[str] = []
        self.client = Direct(server)
        self.lease = Lease(self.client, "suanli-system", "op", "a", duration_s=3.0)
        self.election = Election(self._elect, lambda: self.order.append("the lead is to end"))
        self.leads = asyncio.Event()

    async def _elect(self, lead: Lead) -> None:
        await self.lease.run(lead)
        self.order.append("elected no more")

    async def lead(self) -> None:
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.order.append("the lead ended")


def in_time(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(bounded())


def test_a_lease_is_renewed_while_the_loop_of_the_work_stands(server: Server) -> None:
    async def story() -> None:
        candidate = Candidate(server)

        async def busy() -> None:
            wanted, until_s = server.writes + 3, time.monotonic() + PATIENCE_S
            while server.writes < wanted and time.monotonic() < until_s:
                pass
            assert server.writes >= wanted, "nobody renewed it"
            assert candidate.lease.certain()

        await candidate.election.run(busy)
        assert candidate.client.threads == {"election"}
        assert server.leases[PATH]["spec"]["holderIdentity"] == "", "it was given back"

    in_time(story)


def test_a_lost_lease_is_told_at_once_and_ends_the_lead_before_the_election(server: Server) -> None:
    async def story() -> None:
        candidate = Candidate(server)
        running = asyncio.create_task(candidate.election.run(candidate.lead))
        await candidate.leads.wait()
        server.edit(lambda lease: lease["spec"].update(holderIdentity="somebody"))
        await running
        assert not candidate.lease.certain()
        assert candidate.order == ["the lead is to end", "the lead ended", "elected no more"]
        assert server.leases[PATH]["spec"]["holderIdentity"] == "somebody"

    in_time(story)


def test_one_that_is_stopped_ends_its_lead_and_then_gives_the_lease_away(server: Server) -> None:
    async def story() -> None:
        candidate = Candidate(server)
        running = asyncio.create_task(candidate.election.run(candidate.lead))
        await candidate.leads.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert candidate.order == ["the lead is to end", "the lead ended"]
        assert server.leases[PATH]["spec"]["holderIdentity"] == ""

    in_time(story)


def test_a_standby_can_be_stopped(server: Server) -> None:
    async def story() -> None:
        leader, standby = Candidate(server), Candidate(server)
        leading = asyncio.create_task(leader.election.run(leader.lead))
        await leader.leads.wait()
        waiting = asyncio.create_task(standby.election.run(standby.lead))
        for task in (waiting, leading):
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert standby.order == []
        assert "election" not in {thread.name for thread in threading.enumerate()}

    in_time(story)


def test_what_the_lead_raises_comes_through(server: Server) -> None:
    async def story() -> None:
        async def fails() -> None:
            raise RuntimeError("a defect")

        with pytest.raises(RuntimeError, match="a defect"):
            await Candidate(server).election.run(fails)

    in_time(story)


def test_what_goes_wrong_at_the_end_is_not_lost() -> None:
    async def story() -> None:
        begun = asyncio.Event()

        async def fails_to_end() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("could not be closed")

        running = asyncio.create_task(run_on(asyncio.get_running_loop(), fails_to_end))
        await begun.wait()
        running.cancel()
        with pytest.raises(RuntimeError, match="could not be closed"):
            await running

    in_time(story)
