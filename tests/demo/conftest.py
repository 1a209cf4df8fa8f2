from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.country import Country, Rooms, load
from demo.slices import rooms

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "national"
MEMBERS = ("yrd-demo-dc1", "zhongwei-dc1", "wuhan-edge1")


@pytest.fixture(scope="session")
def whole_country() -> Country:
    return load(EXAMPLE)


@pytest.fixture(scope="session")
def country(whole_country: Country) -> Country:
    return whole_country.only(MEMBERS)


@pytest.fixture(scope="session")
def small(country: Country) -> Rooms:
    return rooms(country)


Raw = dict[str, Any]
Build = Callable[..., Raw]


@pytest.fixture(name="a_job")
def a_job_fixture() -> Build:
    """A ComputeJob as the hub would give it."""
    return a_job


@pytest.fixture(name="a_pod")
def a_pod_fixture() -> Build:
    """A pod as a member would give it."""
    return a_pod


def a_job(name: str, state: str = "Waiting", site: str = "", why: str = "", **usage: int) -> Raw:
    ended = state in ("Succeeded", "Failed")
    conditions = [{"type": "Placed", "status": "True" if site else "False", "reason": "R", "message": why}]
    if ended:
        conditions.append({"type": "Finished", "status": "True", "reason": state, "message": why})
    status: Raw = {"state": state, "conditions": conditions}
    if site:
        status["assignment"] = {"site": site, "class": "nvidia-a100-80g", "epoch": 1, "time": "2026-01-01T00:00:00Z"}
    if usage:
        status["usage"] = {key: str(value) for key, value in usage.items()}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {
            "category": "ModelTraining",
            "origin": "shanghai",
            "latency": {"tier": "cross-hub"},
            "tasks": 2,
            "resources": {"class": ["nvidia-a100-80g"], "perTask": {"cpu": "6", "memory": "40Gi", "cards": 1}},
            "template": {"image": "a"},
        },
        "status": status,
    }


def a_pod(job: str, *, phase: str = "Succeeded", start: str = "00", end: str | None = "10") -> Raw:
    state: Raw = {"running": {"startedAt": f"2026-01-01T00:00:{start}Z"}}
    if end is not None:
        state = {"terminated": {"startedAt": f"2026-01-01T00:00:{start}Z", "finishedAt": f"2026-01-01T00:00:{end}Z"}}
    return {
        "metadata": {"name": f"p-{job}", "uid": f"pod-{job}", "labels": {"suanli.io/job-uid": f"uid-{job}"}},
        "spec": {
            "containers": [
                {"name": "task", "resources": {"requests": {"cpu": "500m", "memory": "1Ki", "nvidia.com/gpu": "3"}}}
            ]
        },
        "status": {"phase": phase, "containerStatuses": [{"name": "task", "state": state}]},
    }
