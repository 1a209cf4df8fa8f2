"""What the operator writes into a ComputeJob's status, as functions of what is known. Pure."""

from collections.abc import Sequence
from typing import Any

from suanli.api.job import Assignment, Placement, Usage
from suanli.base.clock import time_text
from suanli.base.conditions import Condition, merged
from suanli.base.reasons import Reason
from suanli.base.untrusted import mapping
from suanli.kube.client import Json
from suanli.placement.snapshot import Decision
from suanli.reconcile.state import JobEntry

ORDER = ("Accepted", "QuotaReserved", "Placed", "Dispatched", "Running", "Finished")
NOT_ACCEPTED = frozenset(
    {Reason.INVALID_SPEC, Reason.UNKNOWN_REGION, Reason.UNKNOWN_CLASS, Reason.UNKNOWN_SITE, Reason.UNKNOWN_TIER}
)


def changed(entry: JobEntry, now_ms: int, conditions: Sequence[Condition], **fields: Any) -> Json:
    """The entry's status with these conditions and fields; a field that is None is taken away."""
    status = dict(entry.status)
    status["conditions"] = merged(status.get("conditions"), conditions, entry.generation, time_text(now_ms), ORDER)
    for name, value in fields.items():
        if value is None:
            status.pop(name, None)
        else:
            status[name] = value
    status["state"], status["reason"] = summary(status)
    return status


def summary(status: Json) -> tuple[str, str]:
    """One word of state and one of reason, for `kubectl get`."""
    by_type: dict[str, Any] = {c["type"]: c for c in status["conditions"]}

    def reason(type_: str) -> str:
        return str(by_type.get(type_, {}).get("reason", ""))

    if by_type.get("Finished", {}).get("status") == "True":
        return ("Succeeded" if reason("Finished") == Reason.SUCCEEDED else "Failed"), reason("Finished")
    if by_type.get("Placed", {}).get("status") == "Unknown":
        return "Unknown", reason("Placed")
    if by_type.get("Accepted", {}).get("status") == "False":
        return "Invalid", reason("Accepted")
    if not status.get("assignment"):
        return ("Suspended" if reason("Placed") == Reason.SUSPENDED else "Waiting"), reason("Placed")
    running = by_type.get("Running", {})
    if running.get("status") == "True":
        return "Running", Reason.RUNNING
    if running.get("status") == "Unknown":
        return "Unknown", reason("Running")
    return "Starting", reason("Running") or reason("Dispatched") or reason("Placed")


def patch_of(old: Json, new: Json) -> Json:
    """A merge patch of the fields that differ; empty when none does."""
    patch: Json = {k: v for k, v in new.items() if old.get(k) != v}
    patch.update({k: None for k in old if k not in new})
    return {k: _replacing(old.get(k), v) for k, v in patch.items()}


def _replacing(old: Any, new: Any) -> Any:
    """A merge patch keeps keys that it does not name; name those that are to go."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {k: _replacing(old.get(k), v) for k, v in new.items()} | {k: None for k in old if k not in new}


def accepted(decision: Decision | None = None) -> list[Condition]:
    """A spec that can be read, and what the decision says of its account's quotas."""
    unlimited = Condition("QuotaReserved", True, Reason.QUOTA_UNLIMITED, "no quota is set for the account")
    return [
        Condition("Accepted", True, Reason.ACCEPTED, "the spec can be read and all it names is known"),
        (decision.quota if decision else None) or unlimited,
    ]


def placed(entry: JobEntry, decision: Decision, assignment: Assignment, gap_ppm: int | None, now_ms: int) -> Json:
    """The status that commits an assignment."""
    return changed(
        entry,
        now_ms,
        [
            *accepted(decision),
            Condition("Placed", True, Reason.PLACED, decision.message),
            Condition("Dispatched", False, Reason.DISPATCHING, f"to be created at {assignment.site}"),
            Condition("Running", False, Reason.DISPATCHING, "not created yet"),
            Condition("Finished", False, Reason.NOT_FINISHED),
        ],
        assignment=wire(assignment),
        epoch=assignment.epoch,
        placement=wire(decision.placement.model_copy(update={"bound_gap_ppm": gap_ppm})),
        estimate=wire(decision.estimate) if decision.estimate else None,
        queue=None,
        startedAt=None,
        failover=str(entry.outline.failover) if entry.outline else None,
    )


def waiting(entry: JobEntry, decision: Decision, now_ms: int) -> Json:
    """The status of a job that waits, with the reasons in numbers."""
    if decision.reason in NOT_ACCEPTED:
        conditions = [
            Condition("Accepted", False, decision.reason, decision.message),
            Condition("Placed", False, decision.reason, decision.message),
        ]
    else:
        conditions = [*accepted(decision), Condition("Placed", False, decision.reason, decision.message)]
    placement = decision.placement.model_copy(update={"bound_gap_ppm": None})
    return changed(
        entry,
        now_ms,
        conditions,
        placement=wire(placement) if placement != Placement() else None,
        estimate=wire(decision.estimate) if decision.estimate else None,
        queue=wire(decision.queue) if decision.queue else None,
    )


def invalid(entry: JobEntry, now_ms: int) -> Json:
    """The status of a job whose spec cannot be read."""
    text = f"{entry.problem}; correct the field and apply it again"
    return changed(entry, now_ms, [Condition("Accepted", False, Reason.INVALID_SPEC, text)], placement=None, queue=None)


def damaged(entry: JobEntry, now_ms: int) -> Json:
    """The status of a job of which nobody can say where it is assigned."""
    text = (
        f"{entry.damage}; nothing is started or stopped for the job until what stood there is put back, the job is"
        " deleted, or, if it certainly runs nowhere, both status.assignment and this condition are removed"
    )
    return changed(entry, now_ms, [Condition("Placed", None, Reason.STATUS_UNREADABLE, text)])


def finished(entry: JobEntry, reason: Reason, message: str, usage: Usage, now_ms: int, **fields: Any) -> Json:
    """The status of a job that has ended for good."""
    ran = bool(fields.get("startedAt") or entry.status.get("startedAt") or entry.is_true("Running"))
    return changed(
        entry,
        now_ms,
        [
            Condition(
                "Dispatched", True if ran else None, Reason.DISPATCHED if ran else reason, "" if ran else message
            ),
            Condition("Running", False, reason, message),
            Condition("Finished", True, reason, message),
        ],
        usage=used(entry, usage),
        finishedAt=time_text(now_ms),
        queue=None,
        **fields,
    )


def used(entry: JobEntry, usage: Usage) -> Json:
    """The usage as it is to stand; what a later version put beside it stays."""
    return {**mapping(entry.status.get("usage")), **wire(usage)}


def wire(model: Any) -> Json:
    """A model as the API server stores it, without what is not set."""
    raw: Json = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return raw
