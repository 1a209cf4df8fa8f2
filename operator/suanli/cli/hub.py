"""Reads a hub as it is now: its map, its jobs, and what its sites have, with the rights of the person who asks."""

import asyncio
from collections.abc import Mapping

from pydantic import ValidationError

from suanli.api import PLACEMENT_KINDS
from suanli.api.job import ComputeJob
from suanli.api.site import ComputeSite, ComputeSiteStatus
from suanli.base.clock import time_or_zero
from suanli.base.conditions import find, readable
from suanli.base.names import API_VERSION, GROUP, VERSION
from suanli.base.units import duration_ms
from suanli.base.untrusted import mapping, text
from suanli.billing.funds import spent_of
from suanli.cli.base import Base, Seen
from suanli.cli.manifests import Manifests
from suanli.cli.options import Hub
from suanli.cli.printing import plain_errors
from suanli.cli.site import administered
from suanli.kube.client import Target
from suanli.placement.question import Held
from suanli.placement.snapshot import WaitingJob
from suanli.reconcile.state import JobEntry, Mirror

PLACE = "the hub"


def read_hub(hub: Hub, now_ms: int) -> Base:
    """The hub as it is now. Raises: typer.Exit when it cannot be read."""
    with plain_errors():
        return base_of(asyncio.run(_mirror(hub.target())), now_ms)


async def _mirror(target: Target) -> Mirror:
    """The same mirror that the operator keeps, read once."""
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    async with administered("hub", target) as hub:
        for model in PLACEMENT_KINDS:
            kind = model.kind_info
            for raw in await hub.list_all(f"/apis/{GROUP}/{VERSION}/{kind.plural}"):
                mirror.apply(None, {**raw, "kind": kind.kind, "apiVersion": API_VERSION})
    return mirror


def base_of(mirror: Mirror, now_ms: int) -> Base:
    """What of a hub is planned: jobs that wait, and those that have their place and have not ended."""
    found = Manifests(
        regions=dict(mirror.regions),
        links=dict(mirror.links),
        policies=dict(mirror.policies),
        sites=dict(mirror.sites),
        accounts=dict(mirror.accounts),
        tariffs=dict(mirror.tariffs),
    )
    found.warnings += [
        f"{PLACE}: {kind} {name}: {told}; it is left out" for (kind, name), told in mirror.problems.items()
    ]
    for name in mirror.accounts:
        found.spent |= spent_of(name, mirror.raw.get(("ComputeAccount", name), {}).get("status"))
    paid: dict[str, int] = {}
    base = Base(found, now_ms, seen={name: _seen(mirror, site) for name, site in mirror.sites.items()}, paid=paid)
    for entry in sorted(mirror.jobs.values(), key=lambda e: (e.created_ms, e.uid)):
        if entry.model is None:
            found.warnings.append(f"{PLACE}: {entry.label}: {entry.problem}; it is left out")
            continue
        name, job = f"{entry.namespace}/{entry.name}", _waiting(entry, entry.asked or entry.model)
        found.jobs[name] = entry.model
        if entry.assignment is not None and not entry.finished:
            base.held[name] = held = _held(entry, job, entry.model, now_ms)
            paid[name] = held.paid_micro_yuan or 0
            base.decided[name] = text((entry.condition("Placed") or {}).get("message"), 1_024)
        elif entry.finished or entry.damage:
            base.ended[name] = _ended(entry)
        else:
            base.waiting[name] = job
            placed = entry.condition("Placed")
            if placed is not None and placed.get("status") == "False":
                base.decided[name] = f"{text(placed.get('reason'))}: {text(placed.get('message'), 1_024)}"
                base.since[name] = text(placed.get("lastTransitionTime"), 40)
    for kind, names in (
        ("ComputeJob", found.jobs),
        ("ComputeSite", found.sites),
        ("ComputeRegion", found.regions),
        ("ComputeLink", found.links),
        ("HubPolicy", found.policies),
        ("ComputeAccount", found.accounts),
        ("Tariff", found.tariffs),
    ):
        found.places |= {(kind, name): PLACE for name in names}
    return base


def _ended(entry: JobEntry) -> str:
    state, reason = text(entry.status.get("state")), text(entry.status.get("reason"))
    said = text((entry.condition("Finished") or {}).get("message"), 1_024)
    return entry.damage or ": ".join(dict.fromkeys(part for part in (state, reason, said) if part))


def _waiting(entry: JobEntry, model: ComputeJob) -> WaitingJob:
    return WaitingJob(entry.uid, model, entry.namespace, entry.created_ms)


def _held(entry: JobEntry, job: WaitingJob, model: ComputeJob, now_ms: int) -> Held:
    assignment = entry.assignment
    assert assignment is not None, "asked only of a job that has one"
    begun_ms = time_or_zero(entry.status.get("startedAt")) or now_ms
    until_ms = begun_ms + duration_ms(model.spec.timing.expected_duration)
    until_ms = max(until_ms, now_ms + 1)  # who is overdue still runs
    paid = text(mapping(entry.status.get("estimate")).get("cost"), 20)
    return Held(job, assignment.site, assignment.class_, until_ms, int(paid) if paid.isdecimal() else None)


def _seen(mirror: Mirror, site: ComputeSite) -> Seen:
    raw: Mapping[str, object] = mirror.site_status(site.metadata.name)
    ready = find(readable(raw.get("conditions")), "Ready") or {}
    try:
        status = ComputeSiteStatus.model_validate({k: v for k, v in raw.items() if k != "conditions"})
    except ValidationError:
        return Seen(False, "has a status that cannot be read", {}, 0, 0)
    return Seen(
        ready.get("status") == "True",
        text(ready.get("message")) or "has no condition Ready yet",
        {c.class_: c.allocatable for c in status.classes},
        status.cpu_milli,
        status.memory_bytes,
    )
