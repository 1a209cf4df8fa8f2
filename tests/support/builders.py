"""Objects as the hub or a member shows them, for the loops: raw, with just what a test says."""

import itertools
from dataclasses import replace
from typing import Any

from suanli.base.names import (
    API_VERSION,
    FINALIZER_METERING,
    LABEL_EPOCH,
    LABEL_HUB,
    LABEL_JOB_UID,
    member_job_name,
    member_namespace,
)
from suanli.billing.agreement import Agreement
from suanli.federation.facts import OwnJob, OwnPod, own_job, own_pod

Raw = dict[str, Any]
HUB_ID = "hub"
T0 = "2026-03-01T08:00:00Z"
_versions = itertools.count(1_000)


def an_object(kind: str, name: str, spec: object, *, status: object = None, **metadata: Any) -> Raw:
    """Any object of ours, newer than all that were built before."""
    kept = {
        "name": name,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": str(next(_versions)),
        "creationTimestamp": T0,
        **metadata,
    }
    raw: Raw = {"apiVersion": API_VERSION, "kind": kind, "metadata": kept, "spec": spec}
    if status is not None:
        raw["status"] = status
    return raw


def a_region(name: str = "shanghai", *, status: object = None, **spec: Any) -> Raw:
    """A city."""
    whole = {"displayName": name, "latitude": "31.23", "longitude": "121.47", **spec}
    return an_object("ComputeRegion", name, whole, status=status)


def a_site(name: str = "east", *, status: object = None, metadata: Raw | None = None, **spec: Any) -> Raw:
    """A data centre with a class of cores, and a Secret."""
    whole = {
        "region": "shanghai",
        "connection": {"kubeconfigSecretRef": {"name": f"site-{name}"}},
        "resources": [{"class": "cpu", "type": "General", "resourceName": "cpu", "unit": "Core"}],
        **spec,
    }
    return an_object("ComputeSite", name, whole, status=status, **(metadata or {}))


def a_job(name: str = "train", *, status: object = None, metadata: Raw | None = None, **spec: Any) -> Raw:
    """A job of one core."""
    whole = {
        "origin": "shanghai",
        "resources": {"class": ["cpu"], "perTask": {"cpu": "1", "memory": "1Gi"}},
        "template": {"image": "busybox", "command": ["sleep", "5"]},
        **spec,
    }
    return an_object("ComputeJob", name, whole, status=status, **{"namespace": "team-a", **(metadata or {})})


def a_tariff(name: str = "east-2026", **spec: Any) -> Raw:
    """Prices of East Compute for the cards of its class."""
    whole = {
        "provider": "East Compute",
        "effectiveFrom": "2026-01-01",
        "items": [{"name": "a100", "unit": "CardHour", "class": "nvidia-a100-80g", "price": "5.50"}],
        "customerClasses": [{"name": "university", "percent": 80}],
        "commissionPermille": 50,
        "taxPermille": 60,
        **spec,
    }
    return an_object("Tariff", name, whole)


def a_program(name: str = "city", **spec: Any) -> Raw:
    """Vouchers that pay a fifth of every bill."""
    whole = {
        "displayName": name,
        "issuer": f"{name}-bureau",
        "flow": "DeductAtCheckout",
        "terms": [{"name": "all", "ratePermille": 200}],
        "from": "2026-01-01",
        **spec,
    }
    return an_object("VoucherProgram", name, whole)


def an_assignment(site: str = "east", epoch: int = 1) -> Raw:
    """The assignment of a status."""
    return {"site": site, "epoch": epoch, "class": "cpu", "time": T0}


def a_condition(type_: str, status: str = "True", reason: str = "", message: str = "", generation: int = 1) -> Raw:
    """A condition as the hub keeps it."""
    return {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": T0,
    }


def a_member_job(uid: str = "uid-train", epoch: int = 1, *, deleting: bool = False, **conditions: Any) -> OwnJob:
    """Our Job on a member; `Complete=True`, or `Failed=("reason", "message")`."""
    metadata: Raw = {
        "name": member_job_name(uid, epoch),
        "namespace": member_namespace(HUB_ID, "team-a"),
        "uid": f"job-{uid}-{epoch}",
        "creationTimestamp": T0,
        "labels": _labels(uid, epoch),
    }
    if deleting:
        metadata["deletionTimestamp"] = T0
    stated = [
        {"type": type_, "status": "True", "lastTransitionTime": T0}
        | ({"reason": said[0], "message": said[1]} if isinstance(said, tuple) else {})
        for type_, said in conditions.items()
    ]
    return own_job({"metadata": metadata, "spec": {"completions": 1}, "status": {"conditions": stated}})


def a_member_pod(
    uid: str = "uid-train",
    epoch: int = 1,
    *,
    index: int = 0,
    phase: str = "",
    state: Raw | None = None,
    node: str = "n1",
    deletion: str = "",
    metered: bool = True,
    conditions: list[Raw] | None = None,
) -> OwnPod:
    """Our pod on a member; without a state it has not started."""
    metadata: Raw = {
        "name": f"{member_job_name(uid, epoch)}-{index}",
        "namespace": member_namespace(HUB_ID, "team-a"),
        "uid": f"pod-{uid}-{epoch}-{index}",
        "creationTimestamp": T0,
        "labels": _labels(uid, epoch),
        "annotations": {"suanli.io/class": "cpu"},
        "finalizers": [FINALIZER_METERING] if metered else [],
    }
    if deletion:
        metadata["deletionTimestamp"] = deletion
    shown = phase or ("Running" if state and "running" in state else "Pending")
    statuses = [{"name": "task", "state": state}] if state else []
    return own_pod(
        {
            "metadata": metadata,
            "spec": {
                "nodeName": node,
                "containers": [{"name": "task", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
            },
            "status": {"phase": shown, "containerStatuses": statuses, "conditions": conditions or []},
        }
    )


def running(since: str = T0) -> Raw:
    """The state of a container that runs."""
    return {"running": {"startedAt": since}}


def ended(code: int = 0, *, start: str = T0, end: str = "2026-03-01T08:00:10Z") -> Raw:
    """The state of a container that has ended; by default it ran ten seconds."""
    why = "Completed" if code == 0 else "Error"
    return {"terminated": {"exitCode": code, "reason": why, "startedAt": start, "finishedAt": end}}


def _labels(uid: str, epoch: int) -> Raw:
    return {LABEL_HUB: HUB_ID, LABEL_JOB_UID: uid, LABEL_EPOCH: str(epoch)}


def an_agreement(job: str = "u1", epoch: int = 1, **fields: Any) -> Agreement:
    base = Agreement(
        job_uid=job,
        epoch=epoch,
        namespace="team-a",
        job="train",
        account="lab",
        site="east",
        provider="East Compute",
        class_="nvidia-a100-80g",
        qos="Normal",
        unit="Card",
        precision="FP16",
        tasks=2,
        cpu_milli=2_000,
        memory_bytes=1 << 30,
        scratch_bytes=0,
        cards=4,
        rated_power_w=400,
        pue_micro=1_180_000,
        green_micro=500_000,
        grid_factor_g_per_kwh=477,
        made_ms=1_000,
    )
    return replace(base, **fields)
