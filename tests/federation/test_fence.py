"""The fence: late for nothing, stops what it has to and nothing else, and starts nothing."""

import asyncio
from typing import Any

import pytest

import virtualtime
from builders import HUB_ID
from fenced import InsideClient, a_fence, put_lease
from memoryhub import MemoryServer
from suanli.base.clock import parse_time_ms
from suanli.base.names import LABEL_FAILOVER, LABEL_HUB, LABEL_MANAGED, MANAGER
from suanli.federation.fence import Countdown, Fence
from suanli.kube.client import ApiError
from virtualtime import VirtualClock

LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/suanli-fence"
NOON, NOON_MS = "2026-03-01T12:00:00.000000Z", parse_time_ms("2026-03-01T12:00:00Z")
LATER = "2026-03-01T12:00:10.000000Z"


def a_lease(stamp: str, lasts: object = 60) -> dict[str, Any]:
    return {"spec": {"renewTime": stamp, "leaseDurationSeconds": lasts}}


# --- when it is over


def test_a_renewal_counts_from_the_look_before_however_late_it_is_seen() -> None:
    countdown = Countdown()
    assert countdown.look(a_lease(NOON), 100.0, NOON_MS)
    assert not countdown.look(a_lease(NOON), 105.0, NOON_MS)
    assert countdown.look(a_lease(LATER), 150.0, NOON_MS), "45 s without an answer"
    assert not countdown.over(164.9)
    assert countdown.over(165.0)


def test_the_same_renewal_again_lengthens_nothing() -> None:
    countdown = Countdown()
    for second in range(0, 100, 5):
        countdown.look(a_lease(NOON), float(second), NOON_MS)
    assert countdown.until_s == 60.0


def test_a_fresh_fence_takes_the_age_of_what_it_finds_from_its_clock() -> None:
    old, young, ahead = Countdown(), Countdown(), Countdown()
    old.look(a_lease(NOON), 100.0, NOON_MS + 61_000)
    young.look(a_lease(NOON), 100.0, NOON_MS + 20_000)
    ahead.look(a_lease(NOON), 100.0, NOON_MS - 20_000)
    assert (old.over(100.0), young.until_s, ahead.until_s) == (True, 140.0, 160.0)


@pytest.mark.parametrize("lease", [{}, {"spec": None}, a_lease(""), a_lease(NOON, None), a_lease(NOON, "60")])
def test_what_was_never_renewed_is_never_over(lease: dict[str, Any]) -> None:
    countdown = Countdown()
    assert not countdown.look(lease, 0.0, NOON_MS)
    assert not countdown.over(1e9)


# --- what it does


def work(name: str, failover: str = "AtMostOnce", **labels: str) -> dict[str, Any]:
    marks = {LABEL_HUB: HUB_ID, LABEL_MANAGED: MANAGER, LABEL_FAILOVER: failover, **labels}
    return {"name": name, "namespace": "suanli-t-a", "labels": marks}


def a_job(name: str, failover: str = "AtMostOnce", *conditions: str, **labels: str) -> dict[str, Any]:
    stated = [{"type": type_, "status": "True"} for type_ in conditions]
    metadata, status = work(name, failover, **labels), {"conditions": stated}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"completions": 1}, "status": status}


def a_pod(name: str, failover: str = "AtMostOnce", phase: str = "Running") -> dict[str, Any]:
    metadata = {**work(name, failover), "finalizers": ["suanli.io/metering"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": phase}}


def a_member(clock: VirtualClock) -> MemoryServer:
    server = MemoryServer(clock, "member")
    put_lease(server)
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "suanli-t-a"}})
    return server


async def renew(server: MemoryServer, stamp: str = NOON) -> None:
    await InsideClient(server, "hub").patch(LEASE_PATH, a_lease(stamp))


def suspended(server: MemoryServer) -> set[str]:
    jobs = server.items("/apis/batch/v1/jobs")
    return {
        j["metadata"]["name"] for j in jobs if j["spec"].get("suspend") and "suanli.io/fenced" in str(j["metadata"])
    }


def leaving(server: MemoryServer) -> set[str]:
    return {p["metadata"]["name"] for p in server.items("/api/v1/pods") if "deletionTimestamp" in p["metadata"]}


def test_when_the_lease_is_over_it_stops_at_most_once_work_and_nothing_else() -> None:
    async def play() -> None:
        clock = VirtualClock()
        server = a_member(clock)
        for job in (
            a_job("once"),
            a_job("twice", "AtLeastOnce"),
            a_job("done", "AtMostOnce", "Complete"),
            a_job("failed", "AtMostOnce", "Failed"),
            a_job("foreign", **{LABEL_MANAGED: "somebody"}),
        ):
            server.put(job)
        for pod in (a_pod("once-0"), a_pod("twice-0", "AtLeastOnce"), a_pod("done-0", phase="Succeeded")):
            server.put(pod)
        async with a_fence(server, clock):
            await asyncio.sleep(1)
            await renew(server)
            await asyncio.sleep(58)
            assert server.get(LEASE_PATH)["metadata"]["annotations"] == {"suanli.io/fence-seen": NOON}
            assert not suspended(server) | leaving(server)
            await asyncio.sleep(12)
            assert (suspended(server), leaving(server)) == ({"once"}, {"once-0"})
            assert [p["metadata"]["finalizers"] for p in server.items("/api/v1/pods")] == [["suanli.io/metering"]] * 3
            server.put(a_job("late"))
            await asyncio.sleep(6)
            assert suspended(server) == {"once", "late"}, "also what comes after the lease was over"
            written = len(server.writes())
            await asyncio.sleep(60)
            assert len(server.writes()) == written
            await renew(server, LATER)
            server.put(a_job("next"))
            await asyncio.sleep(30)
            assert suspended(server) == {"once", "late"}, "what was stopped stays so, and nothing more is"

    virtualtime.run(play())


def test_one_job_that_cannot_be_stopped_keeps_no_other() -> None:
    async def play() -> None:
        clock = VirtualClock()
        server = a_member(clock)
        for name in ("a", "b", "c"):
            server.put(a_job(name))
        fence = Fence(Stubborn(server, "inside"), clock)
        await renew(server, "2026-03-01T00:00:00.000000Z")
        running = asyncio.ensure_future(fence.run())
        await asyncio.sleep(6)
        assert suspended(server) == {"b", "c"}
        running.cancel()
        await asyncio.wait({running})

    virtualtime.run(play())


class Stubborn(InsideClient):
    """Refused for one Job."""

    async def patch(self, path: str, *args: Any, **options: Any) -> Any:
        if path.endswith("/jobs/a"):
            raise ApiError(403, "Forbidden", "no")
        return await super().patch(path, *args, **options)


def test_a_token_that_has_run_out_ends_the_process_for_a_fresh_one() -> None:
    class Expired(InsideClient):
        async def _request(self, *args: Any, **options: Any) -> Any:
            raise ApiError(401, "Unauthorized", "no")

    async def play() -> None:
        clock = VirtualClock()
        with pytest.raises(ApiError, match="no"):
            await Fence(Expired(a_member(clock), "inside"), clock).run()

    virtualtime.run(play())
