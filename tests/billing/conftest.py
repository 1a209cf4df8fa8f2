"""Pods as members send them."""

from collections.abc import Callable
from typing import Any

import pytest

from suanli.base.clock import parse_time_ms

T0 = parse_time_ms("2026-03-01T08:00:00Z")
Pod = dict[str, Any]


def a_pod(*, state: Pod | None = None, requests: Pod | None = None, status: Pod | None = None, **metadata: Any) -> Pod:
    """A pod of job u1's first attempt; by default it ran ten seconds on two cores, 1 GiB and four cards."""
    ran = {"terminated": {"exitCode": 0, "startedAt": "2026-03-01T08:00:00Z", "finishedAt": "2026-03-01T08:00:10Z"}}
    asked = {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "4"}
    return {
        "metadata": {
            "uid": "p1",
            "labels": {"suanli.io/job-uid": "u1", "suanli.io/epoch": "1"},
            "annotations": {"suanli.io/class": "nvidia-a100-80g"},
            "creationTimestamp": "2026-03-01T07:59:00Z",
            **metadata,
        },
        "spec": {"containers": [{"name": "task", "resources": {"requests": asked if requests is None else requests}}]},
        "status": {
            "phase": "Succeeded",
            "containerStatuses": [{"name": "task", "state": ran if state is None else state}],
            **(status or {}),
        },
    }


@pytest.fixture(name="a_pod")
def _a_pod() -> Callable[..., Pod]:
    return a_pod


@pytest.fixture
def t0() -> int:
    """When the default pod started."""
    return T0
