from collections.abc import Callable
from typing import Any

from demo.pods import by_job, pod_run
from harness.pods import Amount

Build = Callable[..., dict[str, Any]]


def test_a_run_is_time_times_request_exactly(a_pod: Build) -> None:
    run = pod_run(a_pod("train"), "east")
    assert (run.site, run.job_uid, run.over) == ("east", "uid-train", True)
    assert run.amount == Amount(10_000, 10_000 * 500, 10_000 * 1024, 10_000 * 3)


def test_a_running_container_counts_nothing_yet(a_pod: Build) -> None:
    run = pod_run(a_pod("train", phase="Running", end=None), "east")
    assert (run.amount, run.over) == (Amount(), False)


def test_a_pod_without_containers_counts_nothing() -> None:
    raw = {"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"phase": "Pending"}}
    assert pod_run(raw, "east").amount == Amount()


def test_fractions_of_a_second_count(a_pod: Build) -> None:
    pod = a_pod("train", end="10.250")
    assert pod_run(pod, "east").amount.run_ms == 10_250


def test_pods_of_a_job_add_up(a_pod: Build) -> None:
    runs = [pod_run(a_pod("a"), "east"), pod_run(a_pod("a", start="05"), "west"), pod_run(a_pod("b"), "east")]
    assert {uid: amount.run_ms for uid, amount in by_job(runs).items()} == {"uid-a": 15_000, "uid-b": 10_000}
