from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.dispatch.figures import Bodies, Dispatch, Floor, Latency, Pace, Result

Event = dict[str, Any]
MET = Result(
    jobs=2000,
    members=2,
    bodies=Bodies(status_patch=1600, job_create=1500),
    floor=Floor({8: 90.0, 16: 120.0, 32: 110.0, 64: 100.0}, 16, (Pace(98.0, 5.0), Pace(100.0, 4.0))),
    dispatch=Dispatch(Pace(60.0, 7.25), 0.5, 33.3, 5000, {"west": 1200, "east": 800}),
    hub_writes_per_job=3.0,
    latency=Latency(30.0, 29.9, 900, 120.0, 1000.0, 1500.0, 80.0),
    seconds=300.0,
)


@pytest.fixture
def met() -> Result:
    """A run that just meets every goal."""
    return MET


@pytest.fixture
def an_event() -> Callable[..., Event]:
    """An audit event of a hub's API server."""

    def event(
        verb: str = "create",
        resource: str = "computejobs",
        name: str = "work-00000",
        *,
        user: str = "admin",
        subresource: str = "",
        namespace: str = "bench-queue",
        at: str = "2026-01-01T00:00:00.000000Z",
        code: int = 201,
    ) -> Event:
        about = {"resource": resource, "namespace": namespace, "name": name, "apiVersion": "v1"}
        return {
            "stage": "ResponseComplete",
            "verb": verb,
            "user": {"username": user},
            "objectRef": about | ({"subresource": subresource} if subresource else {}),
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": "2025-12-31T23:59:59.000000Z",
            "stageTimestamp": at,
        }

    return event


@pytest.fixture
def missed(met: Result) -> Result:
    """A run that just misses every goal."""
    assert met.dispatch is not None
    assert met.latency is not None
    return replace(
        met,
        dispatch=replace(met.dispatch, pace=Pace(59.9, 7.25)),
        hub_writes_per_job=3.001,
        latency=replace(met.latency, p99_ms=1000.1),
    )
