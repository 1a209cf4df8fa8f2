"""Conditions as Kubernetes keeps them: a list by type, whose time moves only with the status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suanli.base.reasons import Reason


@dataclass(frozen=True)
class Condition:
    """One statement about an object."""

    type: str
    status: bool | None
    reason: Reason
    message: str = ""


STATUSES = ("True", "False", "Unknown")


def readable(conditions: object) -> list[dict[str, Any]]:
    """The conditions of a raw list that say something; whoever may edit a status may write anything into it."""
    return [
        dict(c)
        for c in (conditions if isinstance(conditions, list) else [])
        if isinstance(c, dict) and isinstance(c.get("type"), str) and c["type"] and c.get("status") in STATUSES
    ]


def status_text(status: bool | None) -> str:
    """The API's word for it: "True", "False" or "Unknown"."""
    return "Unknown" if status is None else str(status)


def merged(
    old: object, new: Iterable[Condition], generation: int, now: str, order: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The old conditions with the new ones put in, in the given order of types; equal input gives equal output."""
    by_type = {c["type"]: c for c in readable(old)}
    for condition in new:
        before = by_type.get(condition.type, {})
        status = status_text(condition.status)
        by_type[condition.type] = {
            "type": condition.type,
            "status": status,
            "reason": str(condition.reason),
            "message": condition.message[:1024],
            "observedGeneration": generation,
            "lastTransitionTime": before.get("lastTransitionTime", now) if before.get("status") == status else now,
        }
    rank = {name: i for i, name in enumerate(order)}
    return sorted(by_type.values(), key=lambda c: (rank.get(c["type"], len(order)), c["type"]))


def find(conditions: Iterable[Mapping[str, Any]], type_: str) -> Mapping[str, Any] | None:
    """The condition of that type, if it is there."""
    return next((c for c in conditions if c.get("type") == type_), None)


def is_true(conditions: Iterable[Mapping[str, Any]], type_: str) -> bool:
    """Whether that condition is stated and true."""
    found = find(conditions, type_)
    return found is not None and found.get("status") == "True"
