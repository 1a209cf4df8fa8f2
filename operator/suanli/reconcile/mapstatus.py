"""What the operator writes into the status of sites, links and policies, as functions of what is known. Pure."""

from collections.abc import Mapping
from typing import Any

from suanli.api.policy import HubPolicy
from suanli.api.site import ComputeSite
from suanli.base.clock import time_text
from suanli.base.conditions import Condition, merged
from suanli.base.reasons import Reason
from suanli.base.units import decimal_text, micro
from suanli.federation.capacity import ClassFigures
from suanli.federation.member import Member
from suanli.kube.client import Json
from suanli.placement.snapshot import hub_of, side_of
from suanli.reconcile.sites import Credentials
from suanli.reconcile.state import Mirror

SITE_ORDER = ("Ready", "Reachable", "CredentialsValid", "PolicyCompliant")
MEGA_RACKS, LARGE_RACKS = 10_000, 3_000  # 工信部 size classes of data centres, in standard racks of 2.5 kW


def site_status(
    raw: Json,
    site: ComputeSite,
    *,
    ready: tuple[Reason, str],
    credentials: Credentials | None,
    member: Member | None,
    policy: HubPolicy | None,
    figures: Mapping[str, ClassFigures],
    allocated: Mapping[str, int],
    jobs: int,
    now_ms: int,
) -> Json:
    """A site's status."""
    old = raw.get("status") or {}
    reason, text = ready
    conditions = [Condition("Ready", reason is Reason.READY, reason, text)]
    if member is not None:
        health = member.health
        conditions.append(Condition("Reachable", health.reachable, health.reason, health.message))
    else:
        conditions.append(Condition("Reachable", None, Reason.NOT_CONNECTED, "there is no connection to the member"))
    if credentials is not None:
        refused = member is not None and member.health.reason is Reason.CREDENTIALS_REFUSED
        why = (
            (Reason.CREDENTIALS_REFUSED, member.health.message)
            if refused and member
            else (credentials.reason, credentials.message)
        )
        conditions.append(Condition("CredentialsValid", credentials.target is not None and not refused, *why))
    conditions.append(_compliance(site, policy))
    status: Json = {
        **old,
        "conditions": merged(
            old.get("conditions") or [], conditions, site.metadata.generation, time_text(now_ms), SITE_ORDER
        ),
        "side": side_of(site.spec.region, policy),
        "sizeClass": "Mega"
        if site.spec.standard_racks >= MEGA_RACKS
        else "Large"
        if site.spec.standard_racks >= LARGE_RACKS
        else "Medium",
        "jobs": jobs,
    }
    hub = hub_of(site.spec.region, policy)
    if hub:
        status["hub"] = hub
    else:
        status.pop("hub", None)
    if member is not None and member.usable:
        nodes = member.usable_nodes()
        status |= {
            "classes": [
                {"class": c, "capacity": f.capacity, "allocatable": f.allocatable, "allocated": allocated.get(c, 0)}
                for c, f in figures.items()
            ],
            "cpuMilli": sum(n.allocatable.cpu_milli for n in nodes),
            "memoryBytes": sum(n.allocatable.memory_bytes for n in nodes),
            "nodes": len(nodes),
            "kubernetesVersion": member.health.version,
        }
        if reason not in (Reason.WRONG_CLUSTER, Reason.DUPLICATE_CLUSTER):
            status["clusterId"] = member.health.cluster_id
        status.pop("lastHeardFrom", None)
    elif member is not None and member.health.reachable is False and member.last_heard_ms:
        status["lastHeardFrom"] = time_text(member.last_heard_ms)
    return status


def _compliance(site: ComputeSite, policy: HubPolicy | None) -> Condition:
    """Whether the site keeps the policy's ceilings and limits."""
    if policy is None:
        return Condition("PolicyCompliant", True, Reason.COMPLIANT, "there is no HubPolicy named national")
    for hub in policy.spec.hubs:
        for cluster in hub.clusters:
            if site.spec.region in cluster.regions and micro(site.spec.energy.pue) > micro(cluster.pue_ceiling):
                text = (
                    f"PUE {site.spec.energy.pue} is above the ceiling {cluster.pue_ceiling} of cluster {cluster.name}"
                )
                return Condition("PolicyCompliant", False, Reason.PUE_ABOVE_CEILING, text)
    limit = policy.spec.new_build
    if hub_of(site.spec.region, policy) is None and limit and site.spec.standard_racks > limit.max_racks_outside_hubs:
        text = f"{site.spec.standard_racks} standard racks outside all hubs; the policy's limit is {limit.max_racks_outside_hubs}"
        return Condition("PolicyCompliant", False, Reason.OUTSIDE_HUBS, text)
    return Condition(
        "PolicyCompliant",
        True,
        Reason.COMPLIANT,
        f"PUE {decimal_text(micro(site.spec.energy.pue), places=2)} keeps the policy",
    )


def link_status(raw: Json, mirror: Mirror, now_ms: int) -> Json:
    """A link's status: whether both its ends are known."""
    ends = raw["spec"].get("endpoints") or []
    unknown = [str(e) for e in ends if e not in mirror.regions and e not in mirror.sites]
    if unknown:
        text = f'spec.endpoints: "{unknown[0]}" is neither a ComputeRegion nor a ComputeSite; create it or correct the name'
        condition = Condition("Resolved", False, Reason.UNKNOWN_ENDPOINT, text)
    else:
        condition = Condition("Resolved", True, Reason.RESOLVED, "both ends are known")
    return _with(raw, [condition], now_ms)


def policy_status(raw: Json, policy: HubPolicy, mirror: Mirror, now_ms: int) -> Json:
    """A policy's status: whether its names are known and its rules can all hold."""
    wrong = _policy_problem(policy, mirror)
    if wrong:
        return _with(raw, [Condition("Consistent", False, *wrong)], now_ms)
    return _with(
        raw,
        [
            Condition(
                "Consistent",
                True,
                Reason.CONSISTENT,
                f"{len(policy.spec.placement_rules)} rules over {len(policy.spec.hubs)} hubs",
            )
        ],
        now_ms,
    )


def _policy_problem(policy: HubPolicy, mirror: Mirror) -> tuple[Reason, str] | None:
    hubs = {h.name for h in policy.spec.hubs}
    seen: dict[str, str] = {}
    for hub in policy.spec.hubs:
        for region in {*hub.regions, *(r for c in hub.clusters for r in c.regions)}:
            if region not in mirror.regions:
                return (
                    Reason.UNKNOWN_REGION,
                    f'hub {hub.name} names region "{region}", which does not exist; create it or correct the name',
                )
            if seen.setdefault(region, hub.name) != hub.name:
                return (
                    Reason.CONTRADICTION,
                    f"region {region} belongs to hubs {seen[region]} and {hub.name}; leave it in one",
                )
    tiers = {t.name for t in policy.spec.latency_tiers} | {"any"}
    for rule in policy.spec.placement_rules:
        for name in rule.hubs:
            if name not in hubs:
                return Reason.MATCHES_NOTHING, f'rule {rule.name} names hub "{name}", which the policy does not have'
        for tier in rule.match.tiers:
            if tier not in tiers:
                return Reason.UNKNOWN_TIER, f'rule {rule.name} names tier "{tier}", which the policy does not have'
    return None


def invalid_status(raw: Json, problem: str, now_ms: int) -> Json:
    """The status of an object that cannot be read."""
    type_ = {"ComputeSite": "Ready", "HubPolicy": "Consistent", "ComputeLink": "Resolved"}.get(raw["kind"], "Valid")
    return _with(raw, [Condition(type_, False, Reason.INVALID_SPEC, f"{problem}; correct the field")], now_ms)


def _with(raw: Json, conditions: list[Condition], now_ms: int) -> Json:
    old: dict[str, Any] = raw.get("status") or {}
    generation = int(raw["metadata"].get("generation") or 0)
    return {**old, "conditions": merged(old.get("conditions") or [], conditions, generation, time_text(now_ms), ())}
