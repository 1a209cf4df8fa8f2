"""Usage is exact where the member's word can be true, bounded and flagged where it cannot."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.api.job import Usage
from suanli.base.clock import time_text_ms
from suanli.billing.usage import (
    MAX_CARDS,
    MAX_CPU_MILLI,
    MAX_MEMORY_BYTES,
    MAX_RUN_MS,
    MAX_SKEW_MS,
    PodUsage,
    last_mark_ms,
    pod_usage,
    total,
    used_so_far,
)

Pod = dict[str, Any]
APod = Callable[..., Pod]
HOUR = 3_600_000


def ended(started: object, finished: object) -> Pod:
    return {"terminated": {"exitCode": 0, "startedAt": started, "finishedAt": finished}}


def measured(pod: Pod, now_ms: int) -> PodUsage:
    usage = pod_usage(pod, site="east", now_ms=now_ms)
    assert usage is not None
    return usage


# --- what ran


def test_a_pod_that_ran_is_measured_from_start_to_finish(a_pod: APod, t0: int) -> None:
    assert pod_usage(a_pod(), site="east", now_ms=t0 + HOUR) == PodUsage(
        pod_uid="p1",
        job_uid="u1",
        epoch=1,
        site="east",
        class_="nvidia-a100-80g",
        start_ms=t0,
        end_ms=t0 + 10_000,
        cpu_milli=2_000,
        memory_bytes=1 << 30,
        cards=4,
    )


def test_a_failed_pod_is_measured_like_any_other(a_pod: APod, t0: int) -> None:
    pod = a_pod(status={"phase": "Failed"})
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 137
    assert measured(pod, t0 + HOUR).run_ms == 10_000


def test_milliseconds_and_zones_of_the_members_times_count(a_pod: APod, t0: int) -> None:
    pod = a_pod(state=ended("2026-03-01T16:00:00.250+08:00", "2026-03-01T08:00:01.001Z"))
    usage = measured(pod, t0 + HOUR)
    assert (usage.start_ms - t0, usage.run_ms, usage.estimated) == (250, 751, False)


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_members_clock_that_is_off_changes_nothing(a_pod: APod, t0: int, minutes: int) -> None:
    now_ms = t0 + 10_000 + minutes * 60_000
    usage = measured(a_pod(), now_ms)
    assert (usage.run_ms, usage.estimated) == (10_000, False)


@pytest.mark.parametrize(
    "state",
    [
        {"running": {"startedAt": "2026-03-01T08:00:00Z"}},
        {"waiting": {"reason": "ImagePullBackOff"}},
        {},
    ],
)
def test_nothing_while_it_runs_or_waits(a_pod: APod, t0: int, state: Pod) -> None:
    assert pod_usage(a_pod(state=state, status={"phase": "Running"}), site="east", now_ms=t0) is None


@pytest.mark.parametrize("started", [None, "", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "yesterday", 7])
def test_nothing_when_the_container_never_started(a_pod: APod, t0: int, started: object) -> None:
    pod = a_pod(state=ended(started, "2026-03-01T08:00:10Z"), status={"phase": "Failed"})
    assert pod_usage(pod, site="east", now_ms=t0 + HOUR) is None


def test_a_container_that_the_member_put_beside_ours_is_not_billed(a_pod: APod, t0: int) -> None:
    pod = a_pod()
    pod["spec"]["containers"].insert(0, {"name": "proxy", "resources": {"requests": {"cpu": "50"}}})
    pod["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": {"running": {}}})
    usage = measured(pod, t0 + HOUR)
    assert (usage.cpu_milli, usage.run_ms) == (2_000, 10_000)


# --- what runs on


def running_pod(a_pod: APod, started: object = "2026-03-01T08:00:00Z", **metadata: Any) -> Pod:
    return a_pod(state={"running": {"startedAt": started}}, status={"phase": "Running"}, **metadata)


def test_marks_are_past_by_every_clock() -> None:
    day_ms = 24 * HOUR
    assert last_mark_ms(5 * day_ms + MAX_SKEW_MS, day_ms) == 5 * day_ms
    assert last_mark_ms(5 * day_ms + MAX_SKEW_MS - 1, day_ms) == 4 * day_ms
    assert last_mark_ms(5 * day_ms + MAX_SKEW_MS + 3 * HOUR, HOUR) == 5 * day_ms + 3 * HOUR


def test_what_runs_on_is_measured_up_to_the_mark_as_its_end_will_be(a_pod: APod, t0: int) -> None:
    mark_ms = t0 + 5 * HOUR
    so_far = used_so_far(running_pod(a_pod), site="east", mark_ms=mark_ms, now_ms=mark_ms + MAX_SKEW_MS)
    ended_pod = a_pod(state=ended("2026-03-01T08:00:00Z", "2026-03-01T20:00:00Z"))
    assert so_far == replace(measured(ended_pod, t0 + 13 * HOUR), end_ms=mark_ms)


def test_a_start_before_the_creation_is_bounded_in_both(a_pod: APod, t0: int) -> None:
    early, mark_ms = "2026-02-01T08:00:00Z", t0 + HOUR
    so_far = used_so_far(running_pod(a_pod, early), site="east", mark_ms=mark_ms, now_ms=mark_ms + MAX_SKEW_MS)
    assert so_far is not None
    assert so_far.start_ms == measured(a_pod(state=ended(early, "2026-03-01T20:00:00Z")), t0 + 13 * HOUR).start_ms


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"running": {"startedAt": "2026-03-01T09:00:00Z"}}},
        {"state": {"running": {"startedAt": "yesterday"}}},
        {"state": {"waiting": {}}},
        {"state": ended("2026-03-01T08:00:00Z", "2026-03-01T08:30:00Z")},
        {"status": {"phase": "Unknown"}},
        {"status": {"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}},
        {"deletionTimestamp": "2026-03-01T09:30:00Z"},
        {"uid": ""},
    ],
)
def test_nothing_is_said_of_what_did_not_run_at_the_mark_or_is_about_to_end(
    a_pod: APod, t0: int, change: dict[str, Any]
) -> None:
    running = {"state": {"running": {"startedAt": "2026-03-01T08:00:00Z"}}, "status": {"phase": "Running"}}
    pod = a_pod(**{**running, **change})
    assert used_so_far(pod, site="east", mark_ms=t0 + HOUR, now_ms=t0 + 2 * HOUR) is None


# --- what was lost


def test_a_pod_lost_with_its_node_ends_at_the_earliest_certain_time(a_pod: APod, t0: int) -> None:
    pod = a_pod(
        state={"running": {"startedAt": "2026-03-01T08:00:00Z"}},
        status={
            "phase": "Failed",
            "conditions": [
                {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2026-03-01T08:05:00Z"},
                {"type": "Ready", "status": "False", "lastTransitionTime": "2026-03-01T08:01:00Z"},
            ],
        },
        deletionTimestamp="2026-03-01T08:06:00Z",
    )
    usage = measured(pod, t0 + HOUR)
    assert (usage.run_ms, usage.estimated) == (5 * 60_000, True)
    assert "lost" in usage.note


def test_without_a_disruption_the_end_of_its_grace_counts(a_pod: APod, t0: int) -> None:
    pod = a_pod(
        state={"running": {"startedAt": "2026-03-01T08:00:00Z"}},
        status={"phase": "Unknown"},
        deletionTimestamp="2026-03-01T08:06:00Z",
    )
    assert measured(pod, t0 + HOUR).run_ms == 6 * 60_000


def test_a_pod_whose_grace_is_not_over_may_still_run(a_pod: APod, t0: int) -> None:
    pod = a_pod(
        state={"running": {"startedAt": "2026-03-01T08:00:00Z"}},
        status={"phase": "Unknown"},
        deletionTimestamp="2026-03-01T08:06:00Z",
    )
    assert pod_usage(pod, site="east", now_ms=t0 + 60_000) is None


def test_a_failed_pod_without_any_time_ends_when_it_is_seen(a_pod: APod, t0: int) -> None:
    pod = a_pod(state={"running": {"startedAt": "2026-03-01T08:00:00Z"}}, status={"phase": "Failed"})
    usage = measured(pod, t0 + 42_000)
    assert (usage.run_ms, usage.estimated) == (42_000, True)


def test_a_terminated_container_without_a_finish_ends_with_its_disruption(a_pod: APod, t0: int) -> None:
    gone = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2026-03-01T08:02:00Z"}]
    pod = a_pod(state=ended("2026-03-01T08:00:00Z", None), status={"phase": "Failed", "conditions": gone})
    usage = measured(pod, t0 + HOUR)
    assert (usage.run_ms, usage.estimated) == (120_000, True)


def test_a_hub_whose_clock_was_set_back_loses_nothing(a_pod: APod, t0: int) -> None:
    usage = measured(a_pod(), t0 - HOUR)
    assert (usage.run_ms, usage.estimated) == (10_000, True)
    assert "far behind" in usage.note


# --- what cannot be true


@pytest.mark.parametrize(
    ("started", "finished", "run_ms", "note"),
    [
        ("2026-03-01T08:00:10Z", "2026-03-01T08:00:00Z", 0, "before it started"),
        ("2026-03-01T08:00:00Z", "2026-03-02T08:00:00Z", HOUR, "in the future"),
        ("2026-03-01T08:00:00Z", "9999-12-31T23:59:59Z", HOUR, "in the future"),
        ("2027-03-01T08:00:00Z", "2027-03-01T09:00:00Z", 0, "in the future"),
        ("2001-03-01T08:00:00Z", "2026-03-01T08:00:00Z", 60_000, "before it was created"),
    ],
)
def test_times_that_cannot_be_are_bounded_and_flagged(
    a_pod: APod, t0: int, started: str, finished: str, run_ms: int, note: str
) -> None:
    usage = measured(a_pod(state=ended(started, finished)), t0 + HOUR)
    assert usage.run_ms == run_ms
    assert usage.estimated
    assert note in usage.note


def test_a_run_of_centuries_is_bounded(a_pod: APod, t0: int) -> None:
    pod = a_pod(state=ended("1975-03-01T08:00:00Z", "2026-03-01T08:00:00Z"), creationTimestamp=None)
    assert measured(pod, t0 + HOUR).run_ms == MAX_RUN_MS


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({}, (0, 0, 0)),
        ({"cpu": "1500m", "memory": "64Gi"}, (1_500, 64 << 30, 0)),
        ({"cpu": 3, "memory": 1024, "huawei.com/ascend-910b": 2}, (3_000, 1_024, 2)),
        ({"cpu": "1", "ephemeral-storage": "5Gi", "hugepages-2Mi": "4Mi", "pods": "9"}, (1_000, 0, 0)),
        ({"cpu": "1", "subdomain.kubernetes.io/x": "9"}, (1_000, 0, 0)),
    ],
)
def test_amounts_are_what_the_container_requests(
    a_pod: APod, t0: int, requests: Pod, expected: tuple[int, int, int]
) -> None:
    usage = measured(a_pod(requests=requests), t0 + HOUR)
    assert (usage.cpu_milli, usage.memory_bytes, usage.cards, usage.estimated) == (*expected, False)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({"cpu": "1e999999999"}, (0, 0, 0)),
        ({"cpu": "9e99", "memory": "9e99", "x.io/card": "9e99"}, (MAX_CPU_MILLI, MAX_MEMORY_BYTES, MAX_CARDS)),
        ({"cpu": "-4", "memory": "NaN", "x.io/card": "Infinity"}, (0, 0, 0)),
        ({"cpu": None, "memory": True, "x.io/card": ["1"]}, (0, 0, 0)),
        ({"cpu": "٣"}, (0, 0, 0)),
        ({"cpu": "9" * 5_000}, (0, 0, 0)),
        ({"a.io/card": "8", "b.io/nic": "1"}, (0, 0, 1)),
    ],
)
def test_amounts_that_cannot_be_are_bounded_and_flagged(
    a_pod: APod, t0: int, requests: Pod, expected: tuple[int, int, int]
) -> None:
    usage = measured(a_pod(requests=requests), t0 + HOUR)
    assert (usage.cpu_milli, usage.memory_bytes, usage.cards) == expected
    assert usage.estimated
    assert usage.note


@pytest.mark.parametrize("part", ["metadata", "spec", "status"])
@pytest.mark.parametrize("nonsense", [None, "x", 7, [], [1], True])
def test_nonsense_in_place_of_an_object_stops_nothing(a_pod: APod, t0: int, part: str, nonsense: object) -> None:
    usage = pod_usage({**a_pod(), part: nonsense}, site="east", now_ms=t0 + HOUR)
    assert usage is None or usage.cpu_milli == 0


# --- sums


def a_usage(**fields: Any) -> PodUsage:
    base: dict[str, Any] = {"pod_uid": "p", "job_uid": "u", "epoch": 1, "site": "s", "class_": "c", "start_ms": 0}
    amounts = {"end_ms": HOUR, "cpu_milli": 1_000, "memory_bytes": 1, "cards": 1}
    return PodUsage(**{**base, **amounts, **fields})


def test_nothing_sums_up_to_nothing() -> None:
    assert total([]) == Usage()


def test_the_sum_counts_pods_and_attempts() -> None:
    pods = [a_usage(pod_uid=str(n), epoch=1 + n // 3, cards=8, end_ms=HOUR // 2) for n in range(5)]
    assert total(pods) == Usage(
        attempts=2,
        pods=5,
        run_ms=str(5 * HOUR // 2),
        cpu_milli_ms=str(5 * 1_000 * HOUR // 2),
        memory_byte_ms=str(5 * HOUR // 2),
        card_ms=str(5 * 8 * HOUR // 2),
        core_hours="2.500000",
        card_hours="20.000000",
    )


def test_sums_beyond_64_bits_are_exact_and_fit_the_api() -> None:
    pods = [a_usage(pod_uid=str(n), memory_bytes=MAX_MEMORY_BYTES, end_ms=MAX_RUN_MS) for n in range(10_000)]
    usage = total(pods)
    assert int(usage.memory_byte_ms) == 10_000 * MAX_MEMORY_BYTES * MAX_RUN_MS
    assert Usage.model_validate(usage.model_dump()) == usage


# --- for all inputs

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
times = st.sampled_from(["2026-03-01T08:00:00Z", "2026-03-01T07:00:00.5Z", "9999-12-31T23:59:59Z", "x", "", None, 5])
quantities: st.SearchStrategy[Any] = st.sampled_from(["1", "500m", "1e3", "9E", "-1", "1e9999", None, 4, {}])
states = st.fixed_dictionaries(
    {},
    optional={
        "terminated": st.fixed_dictionaries({"startedAt": times | json_values, "finishedAt": times | json_values}),
        "running": st.fixed_dictionaries({"startedAt": times}) | json_values,
    },
)
hostile_pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"uid": st.text(max_size=300)},
            optional={
                "labels": st.dictionaries(st.sampled_from(["suanli.io/job-uid", "suanli.io/epoch"]), json_values),
                "deletionTimestamp": times,
                "creationTimestamp": times,
            },
        ),
        "spec": st.fixed_dictionaries(
            {
                "containers": st.lists(
                    st.fixed_dictionaries(
                        {
                            "name": st.sampled_from(["task", "other"]),
                            "resources": st.fixed_dictionaries(
                                {
                                    "requests": st.dictionaries(
                                        st.sampled_from(["cpu", "memory", "a/b", "c/d"]), quantities
                                    )
                                }
                            ),
                        }
                    )
                    | json_values,
                    max_size=3,
                )
            }
        ),
        "status": st.fixed_dictionaries(
            {
                "phase": st.sampled_from(["Succeeded", "Failed", "Unknown", "Running"]) | json_values,
                "containerStatuses": st.lists(
                    st.fixed_dictionaries({"name": st.sampled_from(["task", "other"]), "state": states}), max_size=2
                )
                | json_values,
            },
            optional={
                "conditions": st.lists(
                    st.fixed_dictionaries(
                        {
                            "type": st.just("DisruptionTarget"),
                            "status": st.sampled_from(["True", "False"]),
                            "lastTransitionTime": times | json_values,
                        }
                    ),
                    max_size=2,
                )
            },
        ),
    }
)


@settings(max_examples=400, deadline=None)
@given(pod=hostile_pods | st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), json_values))
def test_whatever_a_member_sends_the_result_is_within_bounds(pod: Pod) -> None:
    now_ms = 1_772_352_000_000 + HOUR
    usage = pod_usage(pod, site="east", now_ms=now_ms)
    if usage is None:
        return
    assert usage.pod_uid
    assert usage.pod_uid.isprintable()
    assert 0 <= usage.run_ms <= MAX_RUN_MS
    assert usage.start_ms <= usage.end_ms
    assert usage.run_ms == 0 or usage.end_ms <= now_ms + MAX_SKEW_MS
    assert 0 <= usage.cpu_milli <= MAX_CPU_MILLI
    assert 0 <= usage.memory_bytes <= MAX_MEMORY_BYTES
    assert 0 <= usage.cards <= MAX_CARDS
    assert usage.epoch >= 0
    so_far = used_so_far(pod, site="east", mark_ms=now_ms, now_ms=now_ms + MAX_SKEW_MS)
    assert so_far is None or 0 < so_far.run_ms <= MAX_RUN_MS
    assert usage.estimated == bool(usage.note)
    assert len(json.dumps(usage.note)) < 2_000


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(1_000_000_000_000, 1_900_000_000_000),
    run_ms=st.integers(0, 30 * 24 * HOUR),
    cpu=st.integers(1, 512_000),
    memory=st.integers(1, 1 << 42),
    cards=st.integers(0, 1_024),
)
def test_what_was_written_to_the_millisecond_is_read_back(
    start: int, run_ms: int, cpu: int, memory: int, cards: int
) -> None:
    pod = {
        "metadata": {"uid": "p", "creationTimestamp": time_text_ms(start)},
        "spec": {
            "containers": [
                {"name": "task", "resources": {"requests": {"cpu": f"{cpu}m", "memory": str(memory), "x.io/y": cards}}}
            ]
        },
        "status": {
            "phase": "Succeeded",
            "containerStatuses": [{"name": "task", "state": ended(time_text_ms(start), time_text_ms(start + run_ms))}],
        },
    }
    usage = measured(pod, start + run_ms)
    assert (usage.run_ms, usage.cpu_milli, usage.memory_bytes, usage.cards) == (run_ms, cpu, memory, cards)
    assert not usage.estimated


runs = st.lists(
    st.tuples(
        st.integers(0, MAX_RUN_MS),
        st.integers(0, MAX_CPU_MILLI),
        st.integers(0, MAX_MEMORY_BYTES),
        st.integers(0, MAX_CARDS),
        st.integers(0, 9),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(runs=runs, at=st.integers(0, 30))
def test_the_sum_is_exact_however_it_is_cut(runs: list[tuple[int, int, int, int, int]], at: int) -> None:
    pods = [
        a_usage(pod_uid=str(n), end_ms=run, cpu_milli=cpu, memory_bytes=memory, cards=cards, epoch=epoch)
        for n, (run, cpu, memory, cards, epoch) in enumerate(runs)
    ]
    whole, one, two = total(pods), total(pods[:at]), total(pods[at:])
    for field in ("run_ms", "cpu_milli_ms", "memory_byte_ms", "card_ms"):
        assert int(getattr(whole, field)) == int(getattr(one, field)) + int(getattr(two, field))
    assert int(whole.card_ms) == sum(run * cards for run, _, _, cards, _ in runs)
    assert abs(float(whole.card_hours) * HOUR - int(whole.card_ms)) <= HOUR * 1e-6 + int(whole.card_ms) * 1e-12
    assert total(reversed(pods)) == whole
