"""What is read out of a member's raw objects. The member is not trusted: anything may be missing or nonsense."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from sys import intern
from typing import Any, TypeVar

from suanli.base.names import (
    ANNOTATION_CLASS,
    ANNOTATION_FENCED,
    CONTAINER,
    FINALIZER_METERING,
    LABEL_EPOCH,
    LABEL_HUB,
    LABEL_JOB_UID,
    MEMBER_NAMESPACE_PREFIX,
    member_job_name,
)
from suanli.base.packed import packed, typical, unpacked
from suanli.base.units import cpu_milli, whole
from suanli.base.untrusted import MAX_TEXT, Raw, count, items, mapping, text

MAX_AMOUNT = 1 << 60
# What is kept of one object's lists and maps; real ones are far smaller.
MAX_LABELS, MAX_RESOURCES, MAX_CONTAINERS, MAX_CONDITIONS = 128, 64, 16, 16
T = TypeVar("T")
OWN_NAME = "\0"  # no label's value: it cannot be printed
MOST_SHARED = 4_096
_NAMESPACE = re.compile(MEMBER_NAMESPACE_PREFIX + "[a-z0-9-]{1,54}")
_NAME_PART = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


_TYPICAL_POD = typical(
    {
        "metadata": {
            "uid": "",
            "name": "j--1-0-",
            "namespace": MEMBER_NAMESPACE_PREFIX,
            "deletionTimestamp": "2026-",
            "creationTimestamp": "2026-",
            "labels": {LABEL_HUB: "", LABEL_JOB_UID: "", LABEL_EPOCH: "1"},
            "annotations": {ANNOTATION_CLASS: "nvidia-"},
            "finalizers": [FINALIZER_METERING],
        },
        "spec": {
            "nodeName": "",
            "containers": [
                {"name": CONTAINER, "resources": {"requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}}}
            ],
            "initContainers": [],
            "overhead": {},
            "resources": {"requests": {}},
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": type_, "status": "True", "lastTransitionTime": "2026-"}
                for type_ in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [{"name": CONTAINER, "state": {"running": {"startedAt": "2026-"}}}],
        },
    }
)


@dataclass(frozen=True, slots=True)
class Amounts:
    """An amount of each resource: cpu in millicores, memory in bytes, others in pieces."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pods: int = 0
    extended: tuple[tuple[str, int], ...] = ()

    def of(self, resource: str) -> int:
        """Pieces of one extended resource."""
        return dict(self.extended).get(resource, 0)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node: whether work may start there, and what it can give."""

    name: str
    usable: bool
    label_names: tuple[str, ...]
    label_values: tuple[str, ...]  # OWN_NAME where it is the node's name: so alike nodes share the rest
    allocatable: Amounts

    def label(self, name: str) -> str | None:
        """The value of a label, if it has that one."""
        if name not in self.label_names:
            return None
        value = self.label_values[self.label_names.index(name)]
        return self.name if value == OWN_NAME else value


@dataclass(frozen=True, slots=True)
class PodLoad:
    """What a pod takes of which node, while it is bound and has not ended."""

    node: str
    requests: Amounts


@dataclass(frozen=True, slots=True)
class OwnPod:
    """One of our pods."""

    uid: str
    name: str
    namespace: str
    job_uid: str
    epoch: int
    node: str
    phase: str
    started: bool
    ended: bool
    deleting: bool
    metered: bool  # carries our finalizer
    trouble: str  # why it does not start: image or scheduling, in words
    image_trouble: bool
    failure: str  # how it failed, in words
    disrupted: bool  # it was the node's or the cluster's doing
    deletion: str  # when its grace ends, if it is being deleted
    resting: bytes  # what more is read of it now and then
    completed: bool = False  # it was seen to have succeeded before it was told to go

    @property
    def raw(self) -> Raw:
        """As its member shows it, for reading only."""
        raw: Raw = unpacked(self.resting, _TYPICAL_POD)
        return raw


@dataclass(frozen=True, slots=True)
class OwnJob:
    """One of our member Jobs."""

    name: str
    namespace: str
    job_uid: str
    epoch: int
    uid: str
    created: str
    deleting: bool
    complete: bool
    failed_reason: str
    failed_message: str
    ended_at: str
    fenced: bool = False  # the member's fence stopped it


@lru_cache(MOST_SHARED)
def _shared(value: T) -> T:
    """The first that was equal: very many nodes are alike."""
    return value


@lru_cache(MOST_SHARED)
def _interned(values: tuple[str, ...]) -> tuple[str, ...]:
    """The first that was equal, of strings that unlike ones have in common."""
    return tuple(map(intern, values))


def amounts(raw: Raw) -> Amounts:
    """A resource list; what cannot be read counts as nothing."""
    said = tuple(_first(raw, MAX_RESOURCES))
    if all(isinstance(value, str) and len(name) + len(value) <= MAX_TEXT for name, value in said):
        return _amounts_said(said)
    return _amounts(_numbers(raw))


@lru_cache(MOST_SHARED)
def _amounts_said(said: tuple[tuple[str, str], ...]) -> Amounts:
    """The same, read once for all nodes that say the same."""
    read: Amounts = _shared(_amounts(_numbers(dict(said))))
    return read


def node_facts(raw: Raw) -> NodeFacts:
    """A node as capacity counts it: ready, schedulable, without taints that keep our pods away."""
    spec, status = mapping(raw.get("spec")), mapping(raw.get("status"))
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in items(status.get("conditions")))
    tainted = any(t.get("effect") in ("NoSchedule", "NoExecute") for t in items(spec.get("taints")))
    metadata = mapping(raw.get("metadata"))
    name = text(metadata.get("name"))
    labels = dict(_first(mapping(metadata.get("labels")), MAX_LABELS))
    values = tuple([OWN_NAME if value == name else value for value in _bounded(labels.values(), 63)])
    usable = ready and not tainted and not spec.get("unschedulable") and not metadata.get("deletionTimestamp")
    return NodeFacts(
        name=name,
        usable=usable,
        label_names=_interned(tuple(_bounded(labels, MAX_TEXT))),
        label_values=_interned(values),
        allocatable=_shared(amounts(mapping(status.get("allocatable")))),
    )


def pod_load(raw: Raw) -> PodLoad:
    """What a bound pod takes, as a scheduler counts it.

    Source: Kubernetes' resource requests of a pod: containers and sidecars run together; each init container runs beside
    the sidecars before it; an amount for the whole pod goes before those; overhead comes on top.
    """
    spec = mapping(raw.get("spec"))
    together: Counter[str] = Counter()
    for container in items(spec.get("containers")):
        together.update(_requests(container))
    sidecars: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in items(spec.get("initContainers")):
        alone = _requests(container)
        peak |= alone + sidecars
        if container.get("restartPolicy") == "Always":
            sidecars += alone
    needed = (together + sidecars) | peak
    needed.update({n: v - needed[n] for n, v in _requests(spec).items()})
    needed.update(_numbers(mapping(spec.get("overhead"))))
    return PodLoad(intern(text(spec.get("nodeName"))), _shared(_amounts({**needed, "pods": 1})))


def own_pod(raw: Raw) -> OwnPod:
    """One of our pods, for following and metering."""
    metadata, spec, status = mapping(raw.get("metadata")), mapping(raw.get("spec")), mapping(raw.get("status"))
    labels = mapping(metadata.get("labels"))
    phase = text(status.get("phase"))
    states = _states(status)
    task = states.get(CONTAINER)
    over = phase in ("Succeeded", "Failed")
    image, trouble = _trouble(status, states)
    finalizers = metadata.get("finalizers")
    return OwnPod(
        uid=text(metadata.get("uid")),
        name=text(metadata.get("name")),
        namespace=intern(text(metadata.get("namespace"))),
        job_uid=intern(text(labels.get(LABEL_JOB_UID))),
        epoch=count(labels.get(LABEL_EPOCH)),
        node=intern(text(spec.get("nodeName"))),
        phase=intern(phase),
        started=over or any(s.get("running") or s.get("terminated") for s in ([task] if task else states.values())),
        ended=over or (bool(states) and all(s.get("terminated") for s in states.values())),
        deleting=bool(metadata.get("deletionTimestamp")),
        metered=isinstance(finalizers, list) and FINALIZER_METERING in finalizers,
        trouble=trouble,
        image_trouble=image,
        failure=_failure(status, states),
        disrupted=any(
            c.get("type") == "DisruptionTarget" and c.get("status") == "True" for c in items(status.get("conditions"))
        ),
        deletion=text(metadata.get("deletionTimestamp")),
        resting=packed(raw, _TYPICAL_POD),
        completed=phase == "Succeeded" and not metadata.get("deletionTimestamp"),
    )


def own_job(raw: Raw) -> OwnJob:
    """One of our member Jobs, for following."""
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    labels = mapping(metadata.get("labels"))
    true = {text(c.get("type")): c for c in items(status.get("conditions")) if c.get("status") == "True"}
    failed = mapping(true.get("Failed"))
    complete = mapping(true.get("Complete"))
    return OwnJob(
        name=text(metadata.get("name")),
        namespace=intern(text(metadata.get("namespace"))),
        job_uid=intern(text(labels.get(LABEL_JOB_UID))),
        epoch=count(labels.get(LABEL_EPOCH)),
        uid=text(metadata.get("uid")),
        created=text(metadata.get("creationTimestamp")),
        deleting=bool(metadata.get("deletionTimestamp")),
        complete=bool(complete),
        failed_reason=text(failed.get("reason")) or ("Failed" if failed else ""),
        failed_message=text(failed.get("message")),
        ended_at=text(complete.get("lastTransitionTime") or failed.get("lastTransitionTime")),
        fenced=bool(mapping(metadata.get("annotations")).get(ANNOTATION_FENCED)),
    )


def is_ours(found: OwnJob | OwnPod) -> bool:
    """Whether the object is where and what the hub makes; a copy that somebody made of one still has its labels."""
    if not (found.epoch and _NAME_PART.fullmatch(found.job_uid) and _NAMESPACE.fullmatch(found.namespace)):
        return False
    job, name = member_job_name(found.job_uid, found.epoch), found.name
    if isinstance(found, OwnJob):
        return name == job
    return name.startswith(f"{job}-") and _NAME_PART.fullmatch(name.removeprefix(f"{job}-")) is not None


def trimmed_pod(raw: Raw) -> Raw:
    """The parts of one of our pods that following, capacity and metering read, each bounded."""
    metadata, spec, status = mapping(raw.get("metadata")), mapping(raw.get("spec")), mapping(raw.get("status"))
    labels, annotations = mapping(metadata.get("labels")), mapping(metadata.get("annotations"))
    finalizers = metadata.get("finalizers")
    kept_spec = {
        "nodeName": text(spec.get("nodeName")),
        "containers": [_trimmed_container(c) for c in items(spec.get("containers"))[:MAX_CONTAINERS]],
        "initContainers": [_trimmed_container(c) for c in items(spec.get("initContainers"))[:MAX_CONTAINERS]],
        "overhead": _trimmed_amounts(spec.get("overhead")),
        "resources": {"requests": _trimmed_amounts(mapping(spec.get("resources")).get("requests"))},
    }
    return {
        "metadata": {
            **_texts(metadata, ("uid", "name", "namespace", "deletionTimestamp", "creationTimestamp")),
            "labels": _texts(labels, (LABEL_HUB, LABEL_JOB_UID, LABEL_EPOCH)),
            "annotations": _texts(annotations, (ANNOTATION_CLASS,)),
            "finalizers": [text(f) for f in finalizers[:MAX_LABELS]] if isinstance(finalizers, list) else [],
        },
        "spec": kept_spec,
        "status": {
            **_texts(status, ("phase", "reason", "message")),
            "conditions": [
                _texts(c, ("type", "status", "reason", "message", "lastTransitionTime"))
                for c in items(status.get("conditions"))[:MAX_CONDITIONS]
            ],
            "containerStatuses": [
                {"name": text(c.get("name")), "state": _trimmed_state(mapping(c.get("state")))}
                for c in items(status.get("containerStatuses"))[:MAX_CONTAINERS]
            ],
        },
    }


# --- their parts


_IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "ImageInspectError",
)


def _states(status: Raw) -> dict[str, Raw]:
    """The state of each container, by its name."""
    return {text(c.get("name")): mapping(c.get("state")) for c in items(status.get("containerStatuses"))}


def _trouble(status: Raw, states: Mapping[str, Raw]) -> tuple[bool, str]:
    """Whether an image cannot be had, and in words why the pod does not start."""
    for state in states.values():
        waiting = mapping(state.get("waiting"))
        if waiting.get("reason") in _IMAGE_REASONS:
            return True, f"{text(waiting.get('reason'))}: {text(waiting.get('message'))}"
    if status.get("phase") == "Pending":
        for c in items(status.get("conditions")):
            if c.get("type") == "PodScheduled" and c.get("status") == "False":
                return False, f"{text(c.get('reason'))}: {text(c.get('message'))}"
    return False, ""


def _failure(status: Raw, states: Mapping[str, Raw]) -> str:
    """How it failed, in words: what the node says, else how the task ended, else another container."""
    if status.get("phase") == "Failed" and text(status.get("reason")):
        return f"{text(status.get('reason'))}: {text(status.get('message'))}"
    for name in sorted(states, key=lambda n: n != CONTAINER):
        ended = mapping(states[name].get("terminated"))
        if ended and ended.get("exitCode") != 0:
            code = text(str(ended.get("exitCode")), 12)
            return f"exit code {code}, {text(ended.get('reason')) or 'no reason given'}"
    return ""


def _numbers(raw: Raw) -> Counter[str]:
    """A resource list as exact numbers; what cannot be read is left out."""
    found: Counter[str] = Counter()
    for name, value in _first(raw, MAX_RESOURCES):
        if not isinstance(value, str | int):
            continue
        try:
            found[text(name)] = min(MAX_AMOUNT, cpu_milli(value) if name == "cpu" else whole(value))
        except (ValueError, OverflowError):
            continue
    return found


def _requests(section: Raw) -> Counter[str]:
    return _numbers(mapping(mapping(section.get("resources")).get("requests")))


def _amounts(numbers: Mapping[str, int]) -> Amounts:
    extended = sorted((n, v) for n, v in numbers.items() if "/" in n and v > 0)
    return Amounts(numbers.get("cpu", 0), numbers.get("memory", 0), numbers.get("pods", 0), tuple(extended))


def _bounded(values: Collection[Any], limit: int) -> Collection[str]:
    """Each as a printable, bounded text. Nearly always all are such, which is seen of all at once."""
    try:
        if "".join(values).isprintable() and max(map(len, values), default=0) <= limit:
            return values
    except TypeError:  # one is no text
        pass
    return [text(value, limit) for value in values]


def _first(raw: Raw, most: int) -> Iterable[tuple[str, Any]]:
    return islice(raw.items(), most)


def _texts(raw: Raw, fields: Iterable[str]) -> dict[str, str]:
    """Those of the fields that are there, as bounded texts."""
    return {f: text(raw[f]) for f in fields if isinstance(raw.get(f), str)}


def _trimmed_container(raw: Raw) -> Raw:
    requests = _trimmed_amounts(mapping(raw.get("resources")).get("requests"))
    return {**_texts(raw, ("name", "restartPolicy")), "resources": {"requests": requests}}


def _trimmed_amounts(raw: object) -> dict[str, str]:
    return {text(k): text(str(v), 64) for k, v in _first(mapping(raw), MAX_RESOURCES) if isinstance(v, str | int)}


def _trimmed_state(raw: Raw) -> Raw:
    kept = {}
    for name in ("waiting", "running", "terminated"):
        state = mapping(raw.get(name))
        code = state.get("exitCode")
        codes = {"exitCode": code} if isinstance(code, int) and abs(code) < 1 << 31 else {}
        if state:
            kept[name] = {**_texts(state, ("reason", "message", "startedAt", "finishedAt")), **codes}
    return kept
