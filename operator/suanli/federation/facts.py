"""What is read out of a member's raw objects. The member is not trusted: anything may be missing or nonsense."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suanli.base.names import FINALIZER_METERING, LABEL_EPOCH, LABEL_JOB_UID
from suanli.base.units import cpu_milli, whole

Raw = Mapping[str, Any]
MAX_AMOUNT = 1 << 60
MAX_TEXT = 256


@dataclass(frozen=True)
class Amounts:
    """An amount of each resource: cpu in millicores, memory in bytes, others in pieces."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pods: int = 0
    extended: tuple[tuple[str, int], ...] = ()

    def of(self, resource: str) -> int:
        """Pieces of one extended resource."""
        return dict(self.extended).get(resource, 0)


@dataclass(frozen=True)
class NodeFacts:
    """A node: whether work may start there, and what it can give."""

    name: str
    usable: bool
    labels: Mapping[str, str]
    allocatable: Amounts


@dataclass(frozen=True)
class PodLoad:
    """What a pod takes of which node, while it is bound and has not ended."""

    node: str
    requests: Amounts


@dataclass(frozen=True)
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
    raw: Raw


@dataclass(frozen=True)
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


def mapping(value: object) -> Raw:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Raw]:
    """The objects in a list, whatever else it is."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(value: object, limit: int = MAX_TEXT) -> str:
    """A printable, bounded string."""
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:limit])


def amounts(raw: Raw) -> Amounts:
    """A resource list; what cannot be read counts as nothing."""
    extended = []
    values = {"cpu": 0, "memory": 0, "pods": 0}
    for name, value in raw.items():
        try:
            number = min(MAX_AMOUNT, cpu_milli(value) if name == "cpu" else whole(value))
        except (ValueError, OverflowError):
            continue
        if name in values:
            values[name] = number
        elif "/" in name and number:
            extended.append((text(name), number))
    return Amounts(values["cpu"], values["memory"], values["pods"], tuple(sorted(extended)))


def node_facts(raw: Raw) -> NodeFacts:
    """A node as capacity counts it: ready, schedulable, without taints that keep our pods away."""
    spec, status = mapping(raw.get("spec")), mapping(raw.get("status"))
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in items(status.get("conditions")))
    tainted = any(t.get("effect") in ("NoSchedule", "NoExecute") for t in items(spec.get("taints")))
    metadata = mapping(raw.get("metadata"))
    labels = {text(k): text(v) for k, v in mapping(metadata.get("labels")).items()}
    usable = ready and not tainted and not spec.get("unschedulable") and not metadata.get("deletionTimestamp")
    return NodeFacts(text(metadata.get("name")), usable, labels, amounts(mapping(status.get("allocatable"))))


def pod_load(raw: Raw) -> PodLoad:
    """What a bound pod requests: the larger of its containers' sum and its largest init container, plus overhead."""
    spec = mapping(raw.get("spec"))
    running = [amounts(mapping(mapping(c.get("resources")).get("requests"))) for c in items(spec.get("containers"))]
    first = [amounts(mapping(mapping(c.get("resources")).get("requests"))) for c in items(spec.get("initContainers"))]
    over = amounts(mapping(spec.get("overhead")))
    names = {n for a in [*running, *first] for n, _ in a.extended}
    return PodLoad(
        text(spec.get("nodeName")),
        Amounts(
            max(sum(a.cpu_milli for a in running), *(a.cpu_milli for a in first), 0) + over.cpu_milli,
            max(sum(a.memory_bytes for a in running), *(a.memory_bytes for a in first), 0) + over.memory_bytes,
            1,
            tuple((n, max(sum(a.of(n) for a in running), *(a.of(n) for a in first), 0)) for n in sorted(names)),
        ),
    )


def _epoch(labels: Raw) -> int:
    value = labels.get(LABEL_EPOCH)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else 0


_IMAGE_REASONS = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "ImageInspectError",
}


def own_pod(raw: Raw) -> OwnPod:
    """One of our pods, for following and metering."""
    metadata, spec, status = mapping(raw.get("metadata")), mapping(raw.get("spec")), mapping(raw.get("status"))
    labels = mapping(metadata.get("labels"))
    phase = text(status.get("phase"))
    states = [mapping(c.get("state")) for c in items(status.get("containerStatuses"))]
    ended_states = [mapping(s.get("terminated")) for s in states if s.get("terminated")]
    waiting = [mapping(s.get("waiting")) for s in states if s.get("waiting")]
    over = phase in ("Succeeded", "Failed")
    image = [w for w in waiting if w.get("reason") in _IMAGE_REASONS]
    trouble = ""
    if image:
        trouble = f"{text(image[0].get('reason'))}: {text(image[0].get('message'))}"
    elif phase == "Pending":
        unbound = [
            c for c in items(status.get("conditions")) if c.get("type") == "PodScheduled" and c.get("status") == "False"
        ]
        trouble = f"{text(unbound[0].get('reason'))}: {text(unbound[0].get('message'))}" if unbound else ""
    failure = ""
    for state in ended_states:
        if state.get("exitCode") != 0:
            failure = (
                f"exit code {text(str(state.get('exitCode')), 12)}, {text(state.get('reason')) or 'no reason given'}"
            )
    if phase == "Failed" and text(status.get("reason")):
        failure = f"{text(status.get('reason'))}: {text(status.get('message'))}"
    finalizers = metadata.get("finalizers")
    return OwnPod(
        uid=text(metadata.get("uid")),
        name=text(metadata.get("name")),
        namespace=text(metadata.get("namespace")),
        job_uid=text(labels.get(LABEL_JOB_UID)),
        epoch=_epoch(labels),
        node=text(spec.get("nodeName")),
        phase=phase,
        started=over or bool(ended_states) or any(s.get("running") for s in states),
        ended=over or (bool(states) and len(ended_states) == len(states)),
        deleting=bool(metadata.get("deletionTimestamp")),
        metered=isinstance(finalizers, list) and FINALIZER_METERING in finalizers,
        trouble=trouble,
        image_trouble=bool(image),
        failure=failure,
        disrupted=any(
            c.get("type") == "DisruptionTarget" and c.get("status") == "True" for c in items(status.get("conditions"))
        ),
        deletion=text(metadata.get("deletionTimestamp")),
        raw=raw,
    )


def own_job(raw: Raw) -> OwnJob:
    """One of our member Jobs, for following."""
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    labels = mapping(metadata.get("labels"))
    true = {c.get("type"): c for c in items(status.get("conditions")) if c.get("status") == "True"}
    failed = mapping(true.get("Failed"))
    complete = mapping(true.get("Complete"))
    return OwnJob(
        name=text(metadata.get("name")),
        namespace=text(metadata.get("namespace")),
        job_uid=text(labels.get(LABEL_JOB_UID)),
        epoch=_epoch(labels),
        uid=text(metadata.get("uid")),
        created=text(metadata.get("creationTimestamp")),
        deleting=bool(metadata.get("deletionTimestamp")),
        complete=bool(complete),
        failed_reason=text(failed.get("reason")) or ("Failed" if failed else ""),
        failed_message=text(failed.get("message")),
        ended_at=text(complete.get("lastTransitionTime") or failed.get("lastTransitionTime")),
    )


KEPT_STATUS = ("phase", "reason", "message", "conditions", "containerStatuses")


def trimmed_pod(raw: Raw) -> Raw:
    """The parts of one of our pods that following and metering read."""
    metadata, spec, status = mapping(raw.get("metadata")), mapping(raw.get("spec")), mapping(raw.get("status"))
    return {
        "metadata": {
            k: metadata[k]
            for k in (
                "uid",
                "name",
                "namespace",
                "labels",
                "annotations",
                "finalizers",
                "deletionTimestamp",
                "creationTimestamp",
            )
            if k in metadata
        },
        "spec": {
            "nodeName": spec.get("nodeName"),
            "containers": [
                {"name": c.get("name"), "resources": c.get("resources")} for c in items(spec.get("containers"))
            ],
        },
        "status": {k: status[k] for k in KEPT_STATUS if k in status},
    }
