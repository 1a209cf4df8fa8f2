"""What is read out of a member's objects, whatever the member puts there."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.names import (
    ANNOTATION_CLASS,
    FINALIZER_METERING,
    LABEL_EPOCH,
    LABEL_JOB_UID,
    member_job_name,
    member_namespace,
)
from suanli.base.untrusted import text
from suanli.billing.usage import pod_usage
from suanli.federation import facts
from suanli.federation.facts import Amounts

Json = dict[str, Any]
QUANTITIES: list[Any] = ["1", "500m", "16Gi", "1e3", "-1", "x", "", 3, 2.5, None, ["1"], True]
UID = "0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55"
SPACE = member_namespace("hub", "team-a")
START, END = "2026-01-31T08:00:00Z", "2026-01-31T08:00:10Z"


def a_pod(status: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "uid": "pod-1",
            "name": f"{member_job_name(UID, 3)}-0-abcde",
            "namespace": SPACE,
            "labels": {LABEL_JOB_UID: UID, LABEL_EPOCH: "3"},
            "annotations": {ANNOTATION_CLASS: "general"},
            "finalizers": ["batch.kubernetes.io/job-tracking", FINALIZER_METERING],
            "creationTimestamp": START,
            **metadata,
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                {"name": "task", "resources": {"requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}}}
            ],
        },
        "status": status or {"phase": "Pending"},
    }


def a_job(conditions: list[Json] | None = None, **metadata: Any) -> Json:
    return {
        "metadata": {
            "uid": "job-1",
            "name": member_job_name(UID, 3),
            "namespace": SPACE,
            "labels": {LABEL_JOB_UID: UID, LABEL_EPOCH: "3"},
            "creationTimestamp": START,
            **metadata,
        },
        "status": {"conditions": conditions or []},
    }


def task(state: Json, name: str = "task") -> Json:
    return {"name": name, "state": state}


RUNNING = {"running": {"startedAt": START}}
FAILED = {"terminated": {"exitCode": 3, "reason": "Error", "startedAt": START, "finishedAt": END}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": START, "finishedAt": END}}


# --- amounts


def test_amounts_are_exact_in_their_unit() -> None:
    found = facts.amounts({"cpu": "1500m", "memory": "1Gi", "pods": "110", "nvidia.com/gpu": "8", "a/b": 2, "c/d": "0"})
    assert found == Amounts(1_500, 1 << 30, 110, (("a/b", 2), ("nvidia.com/gpu", 8)))
    assert (found.of("nvidia.com/gpu"), found.of("c/d"), found.of("cpu")) == (8, 0, 0)


@pytest.mark.parametrize(
    "raw",
    [
        {"cpu": "many"},
        {"cpu": "-4"},
        {"cpu": None},
        {"cpu": ["4"]},
        {"cpu": {"a": 1}},
        {"cpu": True},
        {"cpu": float("nan")},
        {"cpu": "1e999999999"},
        {"cpu": "9" * 5_000},
        {"cpu": ""},
        {"": "4", "hugepages-2Mi": "4", "/": "-1"},
    ],
)
def test_an_amount_that_cannot_be_read_counts_as_nothing(raw: Json) -> None:
    assert facts.amounts(raw) == Amounts()


def test_an_absurd_amount_is_bounded() -> None:
    assert facts.amounts({"memory": "1e99", "cpu": "9" * 24}) == Amounts(facts.MAX_AMOUNT, facts.MAX_AMOUNT)
    assert len(facts.amounts({f"vendor.example/card-{i}": "1" for i in range(10_000)}).extended) == facts.MAX_RESOURCES


# --- nodes

READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}, False),
        ({"status": {"conditions": []}}, False),
        ({"status": {"conditions": "Ready"}}, False),
        ({"spec": {"unschedulable": True}}, False),
        ({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}, False),
        ({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}, False),
        ({"spec": {"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}}, True),
        ({"metadata": {"name": "n", "deletionTimestamp": START}}, False),
    ],
)
def test_a_node_is_usable_when_work_may_start_there(change: Json, usable: bool) -> None:
    raw = {"metadata": {"name": "n"}, "spec": {}, "status": {"conditions": READY}, **change}
    assert facts.node_facts(raw).usable is usable


def test_a_node_has_its_labels_and_what_it_can_give() -> None:
    raw = {
        "metadata": {"name": "n", "labels": {"card": "a100", "odd": 7}},
        "status": {"allocatable": {"cpu": "8", "memory": "16Gi"}, "capacity": {"cpu": "99"}, "conditions": READY},
    }
    found = facts.node_facts(raw)
    assert (found.name, found.label("card"), found.label("odd"), found.label("none")) == ("n", "a100", "", None)
    assert found.allocatable == Amounts(8_000, 16 << 30)


def test_alike_nodes_share_all_but_their_name() -> None:
    def node(name: str) -> Any:
        labels = {"kubernetes.io/hostname": name, "card": "a100"}
        return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": {"cpu": "8"}}}

    one, other = facts.node_facts(node("n1")), facts.node_facts(node("n2"))
    assert (one.label("kubernetes.io/hostname"), other.label("kubernetes.io/hostname")) == ("n1", "n2")
    assert one.label_names is other.label_names
    assert one.label_values is other.label_values
    assert one.allocatable is other.allocatable


@given(st.dictionaries(st.text(max_size=300), st.text(max_size=80) | st.integers(), max_size=5), st.text(max_size=4))
def test_labels_are_read_alike_one_by_one_and_all_at_once(labels: Json, name: str) -> None:
    found = facts.node_facts({"metadata": {"name": name, "labels": labels}})
    assert list(found.label_names) == [text(label) for label in labels]
    values = [found.name if value == facts.OWN_NAME else value for value in found.label_values]
    assert values == [text(value, 63) for value in labels.values()]


@given(st.dictionaries(st.sampled_from(["cpu", "memory", "pods", "a/b", "x"]), st.sampled_from(QUANTITIES), max_size=5))
def test_amounts_are_the_same_when_they_are_read_again(raw: Json) -> None:
    odd = {"never": "read", **raw, "z/" + "z" * 300: "1"}
    assert facts.amounts(raw) == facts.amounts(dict(reversed(raw.items()))) == facts.amounts(raw)
    assert replace(facts.amounts(odd), extended=()) == replace(facts.amounts(raw), extended=())


def test_no_label_can_pretend_to_be_the_name_of_its_node() -> None:
    found = facts.node_facts({"metadata": {"name": "n", "labels": {"card": facts.OWN_NAME}}})
    assert found.label("card") == " "


# --- what a pod takes


def _requests(**amounts: str) -> Json:
    return {"resources": {"requests": {k.replace("_", "."): v for k, v in amounts.items()}}}


@pytest.mark.parametrize(
    ("spec", "cpu_milli"),
    [
        ({"containers": [_requests(cpu="1"), _requests(cpu="500m")]}, 1_500),
        ({"containers": [_requests(cpu="1")], "initContainers": [_requests(cpu="3"), _requests(cpu="2")]}, 3_000),
        ({"containers": [_requests(cpu="4")], "initContainers": [_requests(cpu="3")]}, 4_000),
        ({"containers": [_requests(cpu="1")], "overhead": {"cpu": "250m"}}, 1_250),
        (
            {"containers": [_requests(cpu="1")], "initContainers": [_requests(cpu="2") | {"restartPolicy": "Always"}]},
            3_000,
        ),
        (
            {
                "containers": [_requests(cpu="1")],
                "initContainers": [_requests(cpu="2") | {"restartPolicy": "Always"}, _requests(cpu="4")],
            },
            6_000,
        ),
        (
            {
                "containers": [_requests(cpu="1")],
                "initContainers": [_requests(cpu="4"), _requests(cpu="2") | {"restartPolicy": "Always"}],
            },
            4_000,
        ),
        ({"containers": [_requests(cpu="1")], **_requests(cpu="5"), "overhead": {"cpu": "1"}}, 6_000),
        ({"containers": [_requests(cpu="3")], **_requests(cpu="2")}, 2_000),
        ({"containers": [_requests(memory="1Gi")]}, 0),
        ({"containers": "none", "initContainers": 4, "overhead": [], "resources": "x"}, 0),
        ({}, 0),
    ],
)
def test_a_pod_takes_what_a_scheduler_counts(spec: Json, cpu_milli: int) -> None:
    load = facts.pod_load({"spec": {"nodeName": "n1", **spec}})
    assert (load.node, load.requests.cpu_milli, load.requests.pods) == ("n1", cpu_milli, 1)


def test_cards_are_counted_too() -> None:
    spec = {"containers": [{"resources": {"requests": {"a/b": "2"}}}], "initContainers": [_requests(**{"c/d": "1"})]}
    assert facts.pod_load({"spec": spec}).requests.extended == (("a/b", 2), ("c/d", 1))


# --- our pods


@pytest.mark.parametrize(
    ("status", "started", "ended"),
    [
        ({"phase": "Pending"}, False, False),
        ({"phase": "Pending", "containerStatuses": [task({"waiting": {"reason": "ContainerCreating"}})]}, False, False),
        ({"phase": "Running", "containerStatuses": [task(RUNNING)]}, True, False),
        ({"phase": "Running", "containerStatuses": [task(RUNNING), task(DONE, "proxy")]}, True, False),
        ({"phase": "Running", "containerStatuses": [task({}), task(RUNNING, "proxy")]}, True, False),
        (
            {"phase": "Running", "containerStatuses": [task({"waiting": {"reason": "x"}}), task(RUNNING, "proxy")]},
            False,
            False,
        ),
        ({"phase": "Running", "containerStatuses": [task(DONE), task(RUNNING, "proxy")]}, True, False),
        ({"phase": "Running", "containerStatuses": [task(DONE)]}, True, True),
        ({"phase": "Succeeded"}, True, True),
        ({"phase": "Failed"}, True, True),
        ({"phase": "Unknown"}, False, False),
        ({"phase": "Running", "containerStatuses": "many"}, False, False),
    ],
)
def test_whether_a_pod_has_started_and_ended(status: Json, started: bool, ended: bool) -> None:
    found = facts.own_pod(a_pod(status))
    assert (found.started, found.ended) == (started, ended)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({"phase": "Failed", "containerStatuses": [task(FAILED)]}, "exit code 3, Error"),
        ({"phase": "Succeeded", "containerStatuses": [task(DONE)]}, ""),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory"),
        ({"phase": "Failed", "containerStatuses": [task(DONE), task(FAILED, "proxy")]}, "exit code 3, Error"),
        (
            {"phase": "Failed", "containerStatuses": [task({"terminated": {"exitCode": 137}})]},
            "exit code 137, no reason given",
        ),
        (
            {"phase": "Failed", "containerStatuses": [task({"terminated": {"exitCode": "x" * 99}})]},
            f"exit code {'x' * 12}, no reason given",
        ),
        (
            {"phase": "Failed", "containerStatuses": [task({"terminated": {"exitCode": [0], "reason": {}}})]},
            "exit code [0], no reason given",
        ),
    ],
)
def test_how_a_pod_failed_in_words(status: Json, failure: str) -> None:
    assert facts.own_pod(a_pod(status)).failure == failure


def test_the_tasks_own_failure_goes_before_another_containers() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "Killed", "startedAt": START, "finishedAt": END}}
    found = facts.own_pod(a_pod({"phase": "Failed", "containerStatuses": [task(killed, "a-proxy"), task(FAILED)]}))
    assert found.failure == "exit code 3, Error"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_had_is_told(reason: str) -> None:
    state = {"waiting": {"reason": reason, "message": "no\x1b such\nimage"}}
    found = facts.own_pod(a_pod({"phase": "Pending", "containerStatuses": [task(state)]}))
    assert (found.image_trouble, found.trouble) == (True, f"{reason}: no  such image")


def test_a_pod_that_fits_nowhere_is_told() -> None:
    unbound = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    found = facts.own_pod(a_pod({"phase": "Pending", "conditions": [{"type": "x"}, unbound]}))
    assert (found.image_trouble, found.trouble) == (False, "Unschedulable: 0/3 nodes")


def test_a_disrupted_pod_is_known() -> None:
    conditions = [{"type": "DisruptionTarget", "status": "True"}]
    assert facts.own_pod(a_pod({"phase": "Failed", "conditions": conditions})).disrupted
    assert not facts.own_pod(a_pod({"phase": "Failed"})).disrupted


def test_who_a_pod_is() -> None:
    found = facts.own_pod(a_pod({"phase": "Running"}, deletionTimestamp=END))
    assert (found.uid, found.job_uid, found.epoch, found.node, found.phase) == ("pod-1", UID, 3, "n1", "Running")
    assert (found.metered, found.deleting, found.deletion) == (True, True, END)
    assert not facts.own_pod(a_pod(finalizers=[])).metered
    assert not facts.own_pod(a_pod(finalizers="suanli.io/metering")).metered


# --- our Jobs


def test_a_complete_job() -> None:
    found = facts.own_job(a_job([{"type": "Complete", "status": "True", "lastTransitionTime": END}]))
    assert (found.complete, found.failed_reason, found.ended_at, found.epoch) == (True, "", END, 3)


def test_a_failed_job() -> None:
    condition = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "too long",
        "lastTransitionTime": END,
    }
    found = facts.own_job(a_job([{"type": "FailureTarget", "status": "True"}, condition]))
    assert (found.complete, found.failed_reason, found.failed_message) == (False, "DeadlineExceeded", "too long")
    assert facts.own_job(a_job([{"type": "Failed", "status": "True"}])).failed_reason == "Failed"
    assert facts.own_job(a_job([{"type": "Failed", "status": "False"}])).failed_reason == ""


@pytest.mark.parametrize("epoch", ["-1", "9999999999", "1e3", " 3", "٣", "0x3", "", 3, None, ["3"], "3\n"])
def test_an_absurd_epoch_is_none(epoch: object) -> None:
    labels = {LABEL_JOB_UID: UID, LABEL_EPOCH: epoch}
    job, pod = facts.own_job(a_job(labels=labels)), facts.own_pod(a_pod(labels=labels))
    assert (job.epoch, pod.epoch) == (0, 0)
    assert not facts.is_ours(job)
    assert not facts.is_ours(pod)


# --- what is ours


def test_what_the_hub_made_is_ours() -> None:
    assert facts.is_ours(facts.own_job(a_job()))
    assert facts.is_ours(facts.own_pod(a_pod()))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "my-copy"},
        {"name": member_job_name(UID, 4)},
        {"name": member_job_name(UID, 3) + "x"},
        {"namespace": "default"},
        {"namespace": "suanli-system"},
        {"namespace": "suanli-t-"},
        {"namespace": "suanli-t-a/../../x"},
        {"labels": {LABEL_JOB_UID: "other", LABEL_EPOCH: "3"}},
        {"labels": {LABEL_JOB_UID: UID, LABEL_EPOCH: "2"}},
        {"labels": {LABEL_JOB_UID: UID}},
        {"labels": {LABEL_EPOCH: "3"}},
        {"labels": None},
        {"labels": {LABEL_JOB_UID: "../" + UID, LABEL_EPOCH: "3"}, "name": f"j-../{UID}-3"},
    ],
)
def test_a_copy_with_our_labels_is_not_ours(change: Json) -> None:
    assert not facts.is_ours(facts.own_job(a_job(**change)))
    name = change.get("name", member_job_name(UID, 3))
    assert not facts.is_ours(facts.own_pod(a_pod(**{**change, "name": f"{name}-0-abcde"})))


@pytest.mark.parametrize(
    "name", ["my-copy", member_job_name(UID, 3), f"{member_job_name(UID, 3)}-", "{job}-A", "{job}-a/b"]
)
def test_a_pod_is_ours_by_its_jobs_name(name: str) -> None:
    assert not facts.is_ours(facts.own_pod(a_pod(name=name.format(job=member_job_name(UID, 3)))))


# --- trimming

STATUSES: list[Json] = [
    {"phase": "Running", "containerStatuses": [task(RUNNING)]},
    {"phase": "Failed", "containerStatuses": [task(FAILED), task(RUNNING, "proxy")], "reason": "r", "message": "m"},
    {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "U", "message": "0/3"}]},
    {"phase": "Pending", "containerStatuses": [task({"waiting": {"reason": "ErrImagePull", "message": "no"}})]},
    {
        "phase": "Failed",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": END}],
        "containerStatuses": [task({"terminated": {"exitCode": 137}})],
    },
]


@pytest.mark.parametrize("status", STATUSES)
def test_trimming_loses_nothing_that_is_read(status: Json) -> None:
    raw = a_pod(status, deletionTimestamp=END)
    raw["spec"]["initContainers"] = [{"name": "s", "restartPolicy": "Always", **_requests(cpu="1")}]
    raw["spec"]["overhead"] = {"cpu": "100m"}
    trimmed = facts.trimmed_pod(raw)
    whole, kept = facts.own_pod(raw), facts.own_pod(trimmed)
    assert kept == replace(whole, resting=kept.resting)
    assert facts.pod_load(trimmed) == facts.pod_load(raw)
    now_ms = 1_800_000_000_000
    assert pod_usage(trimmed, site="s", now_ms=now_ms) == pod_usage(raw, site="s", now_ms=now_ms)
    assert facts.trimmed_pod(trimmed) == trimmed


def test_trimming_bounds_what_a_member_can_make_the_hub_keep() -> None:
    long, many = "x" * 100_000, range(300)
    raw = a_pod(
        {
            "phase": long,
            "reason": long,
            "message": long,
            "conditions": [{"type": long, "message": long, "odd": long} for _ in many],
            "containerStatuses": [
                {"name": long, "image": long, "state": {"waiting": {"message": long}, long: {"a": long}}} for _ in many
            ],
        },
        labels={f"l{i}": long for i in many},
        annotations={f"a{i}": long for i in many},
        finalizers=[long for _ in many],
        managedFields=[{"a": long}],
    )
    raw["spec"] = {
        "containers": [{"name": long, "command": [long], **_requests(**{f"r{i}": "1" for i in many})} for _ in many],
        "volumes": [long],
    }
    assert len(json.dumps(facts.trimmed_pod(raw))) < 256 << 10
    assert facts.own_pod(facts.trimmed_pod(a_pod())).raw["metadata"]["finalizers"][1] == FINALIZER_METERING


# --- anything at all

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
FIELDS = st.sampled_from(
    [
        "metadata",
        "spec",
        "status",
        "labels",
        "annotations",
        "finalizers",
        "name",
        "namespace",
        "uid",
        "containers",
        "initContainers",
        "containerStatuses",
        "state",
        "terminated",
        "running",
        "waiting",
        "exitCode",
        "reason",
        "message",
        "conditions",
        "type",
        "resources",
        "requests",
        "cpu",
        "memory",
        "overhead",
        "nodeName",
        "allocatable",
        "taints",
        "effect",
        "phase",
        "suanli.io/epoch",
        "suanli.io/job-uid",
        "restartPolicy",
        "deletionTimestamp",
    ]
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=40
)


@given(st.dictionaries(FIELDS, ANYTHING, max_size=6))
def test_nothing_that_a_member_sends_can_break_the_reading(raw: Json) -> None:
    facts.node_facts(raw)
    facts.pod_load(raw)
    facts.is_ours(facts.own_job(raw))
    facts.is_ours(facts.own_pod(raw))
    trimmed = facts.trimmed_pod(raw)
    facts.is_ours(facts.own_pod(trimmed))
    facts.pod_load(trimmed)
    pod_usage(trimmed, site="s", now_ms=1)
    assert json.dumps(trimmed, ensure_ascii=False).encode()
