"""Events that the hub takes, whatever stands in them; a storm is dropped, not queued for ever."""

import asyncio
import logging
import re

import pytest

import virtualtime
from memoryhub import Meeting, MemoryClient, MemoryServer
from suanli.base.reasons import Reason
from suanli.kube.client import ApiError
from suanli.reconcile.events import MOST_WAITING, Recorder

EVENTS = "/apis/events.k8s.io/v1/events"


def test_an_event_is_as_the_hub_wants_it() -> None:
    async def whole() -> None:
        hub = MemoryServer(virtualtime.VirtualClock())
        for name in ("team-a", "default"):
            hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        recorder = Recorder(MemoryClient(hub, "hub"), hub.clock, "operator-" + "x" * 300)
        task = asyncio.ensure_future(recorder.run())
        job = {"name": "a" * 199 + "-." + "b" * 40, "namespace": "team-a", "uid": "u"}
        recorder.warn("ComputeJob", job, Reason.FAILED, "任务失败" * 500 + "\ud800")
        recorder.warn("ComputeSite", {"name": "east", "uid": "s"}, Reason.UNREACHABLE, "silent")
        await asyncio.sleep(1)
        task.cancel()
        site, mine = sorted(hub.items(EVENTS), key=lambda e: str(e["metadata"]["namespace"]))
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]+)*", mine["metadata"]["name"])
        assert len(mine["metadata"]["name"]) <= 253
        assert len(mine["note"].encode()) <= 1024
        assert mine["note"].startswith("任务失败")
        assert len(mine["reportingInstance"]) <= 128
        assert re.fullmatch(r"2026-03-01T08:00:00\.\d{6}Z", mine["eventTime"])
        assert (mine["type"], mine["reason"], mine["regarding"]["uid"]) == ("Warning", "Failed", "u")
        assert (site["metadata"]["namespace"], site["regarding"]["namespace"]) == ("default", "")

    virtualtime.run(whole())


def test_a_storm_is_dropped_and_a_refusal_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def whole() -> None:
        hub = MemoryServer(virtualtime.VirtualClock())
        hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        refusals = [3]

        def meet(verb: str, path: str) -> Meeting:
            refusals[0] -= 1
            return Meeting(error=ApiError(403, "Forbidden", "no") if refusals[0] >= 0 else None)

        hub.meet = meet
        recorder = Recorder(MemoryClient(hub, "hub"), hub.clock, "operator")
        for n in range(MOST_WAITING + 10):
            recorder.warn("ComputeSite", {"name": f"s{n}", "uid": f"u{n}"}, Reason.UNREACHABLE, "silent")
        task = asyncio.ensure_future(recorder.run())
        await asyncio.sleep(60)
        task.cancel()
        assert len(hub.items(EVENTS)) == MOST_WAITING - 3

    virtualtime.run(whole())
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("event dropped, too many are waiting") == 10
    assert messages.count("event not written") == 3
