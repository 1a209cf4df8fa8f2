"""At most one replica leads, a dead one is replaced in time, and a parting one gives the lead away at once."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol

import pytest

from suanli.kube.client import ApiError, Json
from suanli.kube.lease import Lease, Requests

DURATION_S = 15.0
PATH = "/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/op"
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Server(Protocol):
    leases: dict[str, Json]
    writes: int

    def edit(self, change: Callable[[Json], None]) -> None: ...


class Client(Requests, Protocol):
    cut: bool
    refusal: ApiError | None
    delay_s: Callable[[], float]
    lose_answer: Callable[[], bool]


NewClient = Callable[[], Client]


@dataclass
class Replica:
    """A candidate, and when it led."""

    client: Client
    name: str = "a"
    skew: timedelta = timedelta(0)
    duration_s: float = DURATION_S
    works: bool = True
    spans: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = datetime(2026, 3, 1, tzinfo=UTC) + self.skew
        self.lease = Lease(
            self.client,
            "suanli-system",
            "op",
            self.name,
            duration_s=self.duration_s,
            now=lambda: now + elapsed(),
            uptime_s=clock,
            works=lambda: self.works,
        )

    @property
    def leads(self) -> bool:
        return bool(self.spans) and len(self.spans[-1]) == 1

    async def lead(self) -> None:
        self.spans.append([clock()])
        try:
            await asyncio.Event().wait()
        finally:
            self.spans[-1].append(clock())

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.lease.run(self.lead))


def clock() -> float:
    return asyncio.get_running_loop().time()


def elapsed() -> timedelta:
    return timedelta(seconds=clock())


async def until(true: Callable[[], bool], seconds: float = 120) -> float:
    """How long it took."""
    began = clock()
    while not true():
        assert clock() - began < seconds, "it did not come about"
        await asyncio.sleep(0.01)
    return clock() - began


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_one_replica_takes_the_lease_and_keeps_it(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a = Replica(client())
        task = a.start()
        await asyncio.sleep(600)
        assert a.leads
        assert len(a.spans) == 1
        spec = server.leases[PATH]["spec"]
        assert spec["holderIdentity"] == a.lease.identity
        assert spec["leaseDurationSeconds"] == 10
        assert spec["leaseTransitions"] == 0
        assert spec["acquireTime"] == "2026-03-01T00:00:00.010000Z"
        assert spec["renewTime"] > "2026-03-01T00:09:50"
        await stop(task)
        assert not a.leads

    in_virtual_time(story())


def test_a_standby_writes_nothing_and_a_leader_little(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a"), Replica(client(), "b")
        tasks = [a.start(), b.start()]
        await until(lambda: a.leads or b.leads)
        before = server.writes
        await asyncio.sleep(60)
        assert server.writes - before <= 60 / a.lease.period_s
        await stop(*tasks)

    in_virtual_time(story())


@pytest.mark.parametrize("duration_s", [3.0, 5.0, 15.0, 60.0])
@pytest.mark.parametrize("wait_s", [0.1, 1.3, 2.49, 3.7, 7.1])
def test_a_dead_leader_is_replaced_within_the_duration(
    server: Server, client: NewClient, in_virtual_time: Run, duration_s: float, wait_s: float
) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a", duration_s=duration_s), Replica(client(), "b", duration_s=duration_s)
        task_a = a.start()
        await until(lambda: a.leads)
        task_b = b.start()
        await asyncio.sleep(wait_s)
        a.client.cut = True
        task_a.cancel()  # it dies: nothing it still says reaches the server
        assert await until(lambda: b.leads) <= duration_s
        assert server.leases[PATH]["spec"]["leaseTransitions"] == 1
        await stop(task_a, task_b)

    in_virtual_time(story())


def test_a_parting_leader_gives_the_lead_away_at_once(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a"), Replica(client(), "b")
        task_a = a.start()
        await until(lambda: a.leads)
        task_b = b.start()
        await asyncio.sleep(20)
        task_a.cancel()
        assert await until(lambda: b.leads) <= b.lease.period_s + 0.1
        assert a.spans[0][1] <= b.spans[0][0]
        await stop(task_b)
        assert server.leases[PATH]["spec"]["holderIdentity"] == ""

    in_virtual_time(story())


def test_a_leader_that_is_cut_off_stops_before_another_leads(client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a"), Replica(client(), "b")
        task_a = a.start()
        await until(lambda: a.leads)
        task_b = b.start()
        await asyncio.sleep(20)
        a.client.cut = True
        await until(lambda: not a.lease.certain())
        assert not b.leads
        await until(lambda: b.leads)
        assert task_a.done()
        assert task_a.exception() is None
        assert b.spans[0][0] - a.spans[0][1] >= 1.0
        await stop(task_b)

    in_virtual_time(story())


def test_a_leader_whose_work_stands_still_is_replaced(client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a"), Replica(client(), "b")
        task_a = a.start()
        await until(lambda: a.leads)
        task_b = b.start()
        await asyncio.sleep(20)
        a.works = False
        await until(task_a.done)
        assert not b.leads
        assert await until(lambda: b.leads) <= DURATION_S
        await stop(task_b)

    in_virtual_time(story())


def test_a_leader_that_stood_still_does_not_go_on_leading(client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a = Replica(client())
        assert not a.lease.certain()
        task = a.start()
        await until(lambda: a.leads)
        await asyncio.sleep(20)
        assert a.lease.certain()
        loop: Any = asyncio.get_running_loop()
        loop.now_s += 30  # such as a machine that was suspended
        assert not a.lease.certain(), "before any timer has run"
        woke = clock()
        await until(task.done)
        assert a.spans[0][1] - woke < 0.1

    in_virtual_time(story())


def test_an_answer_that_was_lost_after_the_commit_costs_nothing(
    server: Server, client: NewClient, in_virtual_time: Run
) -> None:
    async def story() -> None:
        a = Replica(client())
        losses = iter([True, False, False, True] + [False, True, False] * 40)
        a.client.lose_answer = lambda: next(losses, False)
        task = a.start()
        await asyncio.sleep(300)
        assert a.leads
        assert len(a.spans) == 1
        assert server.leases[PATH]["spec"]["leaseTransitions"] == 0
        await stop(task)

    in_virtual_time(story())


def test_an_edit_of_something_else_costs_nothing(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a = Replica(client())
        task = a.start()
        await until(lambda: a.leads)
        for _ in range(40):
            server.edit(lambda lease: lease["metadata"].update(annotations={"note": str(clock())}))
            await asyncio.sleep(1.7)
        assert len(a.spans) == 1
        assert a.leads
        assert server.leases[PATH]["metadata"]["annotations"]
        await stop(task)

    in_virtual_time(story())


def test_a_lease_that_was_deleted_is_made_again(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a = Replica(client())
        task = a.start()
        await until(lambda: a.leads)
        server.leases.clear()
        await asyncio.sleep(10)
        assert a.leads
        assert server.leases[PATH]["spec"]["holderIdentity"] == a.lease.identity
        await stop(task)

    in_virtual_time(story())


def test_a_lease_that_was_given_to_another_ends_the_lead(
    server: Server, client: NewClient, in_virtual_time: Run
) -> None:
    async def story() -> None:
        a = Replica(client())
        task = a.start()
        await until(lambda: a.leads)
        server.edit(lambda lease: lease["spec"].update(holderIdentity="another"))
        assert await until(task.done) <= a.lease.period_s + 0.1
        assert not a.leads
        assert server.leases[PATH]["spec"]["holderIdentity"] == "another"

    in_virtual_time(story())


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"holderIdentity": None, "leaseTransitions": None},
        {"holderIdentity": "", "leaseDurationSeconds": 3_600},
    ],
)
def test_a_lease_that_nobody_holds_is_taken_at_once(
    server: Server, client: NewClient, in_virtual_time: Run, spec: Json | None
) -> None:
    async def story() -> None:
        server.leases[PATH] = {"metadata": {"name": "op", "resourceVersion": "x"}, "spec": spec}
        a = Replica(client())
        task = a.start()
        assert await until(lambda: a.leads) < 0.5
        await stop(task)

    in_virtual_time(story())


@pytest.mark.parametrize(("said", "waits_s"), [(30, 30), (None, 10), (-1, 10), ("7", 10)])
def test_a_standby_waits_as_long_as_the_holder_said(
    server: Server, client: NewClient, in_virtual_time: Run, said: object, waits_s: float
) -> None:
    async def story() -> None:
        spec = {"holderIdentity": "gone", "leaseDurationSeconds": said, "renewTime": "1999-01-01T00:00:00Z"}
        server.leases[PATH] = {"metadata": {"name": "op", "resourceVersion": "x"}, "spec": spec}
        a = Replica(client())
        task = a.start()
        assert waits_s <= await until(lambda: a.leads) <= waits_s + 1
        await stop(task)

    in_virtual_time(story())


def test_the_same_name_is_not_the_same_replica(client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        a, b = Replica(client(), "same"), Replica(client(), "same")
        tasks = [a.start(), b.start()]
        await asyncio.sleep(60)
        assert a.leads != b.leads
        await stop(*tasks)

    in_virtual_time(story())


@pytest.mark.parametrize("hours", [-24, 24])
def test_wall_clocks_do_not_matter(client: NewClient, in_virtual_time: Run, hours: int) -> None:
    async def story() -> None:
        a, b = Replica(client(), "a"), Replica(client(), "b", skew=timedelta(hours=hours))
        task_a = a.start()
        await until(lambda: a.leads)
        task_b = b.start()
        await asyncio.sleep(100)
        assert a.leads
        assert not b.spans
        await stop(task_a, task_b)

    in_virtual_time(story())


def test_work_that_ends_by_itself_releases_the_lease(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        async def work() -> None:
            await asyncio.sleep(5)

        await Replica(client()).lease.run(work)
        assert server.leases[PATH]["spec"]["holderIdentity"] == ""

    in_virtual_time(story())


def test_what_the_work_raises_comes_through(server: Server, client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        async def work() -> None:
            raise KeyError("a defect")

        with pytest.raises(KeyError, match="a defect"):
            await Replica(client()).lease.run(work)
        assert server.leases[PATH]["spec"]["holderIdentity"] == ""

    in_virtual_time(story())


def test_a_slow_end_of_the_work_is_waited_for_before_the_release(client: NewClient, in_virtual_time: Run) -> None:
    async def story() -> None:
        ended = 0.0

        async def work() -> None:
            nonlocal ended
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(25)  # longer than the lease: it is renewed meanwhile
                ended = clock()

        a, b = Replica(client(), "a"), Replica(client(), "b")
        task = asyncio.create_task(a.lease.run(work))
        await asyncio.sleep(1)
        other = b.start()
        await asyncio.sleep(20)
        task.cancel()
        await until(lambda: b.leads)
        assert 0 < ended <= b.spans[0][0]
        await stop(other)

    in_virtual_time(story())


def test_a_refusal_is_told_once_and_tried_again(
    client: NewClient, in_virtual_time: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        a = Replica(client())
        a.client.refusal = ApiError(403, "Forbidden", "leases is forbidden")
        task = a.start()
        await asyncio.sleep(60)
        assert not a.spans
        assert caplog.text.count("the lease cannot be written") == 1
        a.client.refusal = None
        await until(lambda: a.leads)
        await stop(task)

    in_virtual_time(story())


@pytest.mark.parametrize("seed", range(60))
def test_under_faults_never_two_lead_and_in_the_end_one_does(
    client: NewClient, in_virtual_time: Run, seed: int
) -> None:
    """Three replicas that are slow, cut off, lose answers, die and come back, for ten minutes."""
    chance = random.Random(seed)

    async def life(replica: Replica, end_s: float) -> None:
        while clock() < end_s:
            task = replica.start()
            await asyncio.wait({task}, timeout=chance.choice([5, 40, 200, 1_000]))
            await stop(task)
            await asyncio.sleep(chance.random() * 5)
            replica.lease = Replica(replica.client, replica.name).lease

    def worse(client: Client) -> None:
        slow, lossy = chance.choice([0.01, 0.3, 2.0]), chance.choice([0.0, 0.0, 0.3])
        client.cut = chance.random() < 0.3
        client.delay_s = lambda: chance.random() * slow
        client.lose_answer = lambda: chance.random() < lossy

    async def faults(replica: Replica, end_s: float) -> None:
        while clock() < end_s:
            worse(replica.client)
            await asyncio.sleep(chance.random() * 20)
        replica.client.cut = False
        replica.client.delay_s = lambda: 0.01
        replica.client.lose_answer = lambda: False

    async def story() -> list[Replica]:
        replicas = [Replica(client(), name) for name in "abc"]
        troubles = [asyncio.create_task(faults(r, 600)) for r in replicas]
        lives = [asyncio.create_task(life(r, 1_000)) for r in replicas]
        await asyncio.gather(*troubles)
        await until(lambda: any(r.leads for r in replicas))
        await stop(*lives)
        return replicas

    replicas = in_virtual_time(story())
    spans = sorted(span for r in replicas for span in r.spans)
    assert spans
    for one, two in pairwise(spans):
        assert one[1] <= two[0], f"seed {seed}: two led at {two[0]}"
