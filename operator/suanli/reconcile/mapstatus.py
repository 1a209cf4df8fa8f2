"""What the operator writes into the status of regions, sites, links, policies and accounts, as functions of what is known. Pure."""

import re
from collections.abc import Container, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from suanli.api.account import ComputeAccount, QuotaUse
from suanli.api.link import ComputeLink
from suanli.api.policy import HubPolicy, Kpi
from suanli.api.site import ComputeSite
from suanli.base.clock import time_text
from suanli.base.conditions import Condition, find, merged, readable
from suanli.base.reasons import Reason
from suanli.base.units import decimal_text, micro, milli_text
from suanli.base.untrusted import mapping
from suanli.federation.capacity import ClassFigures
from suanli.federation.member import Member
from suanli.kube.client import Json
from suanli.placement.accounts import Accounts
from suanli.placement.consistency import link_trouble, site_trouble
from suanli.placement.contradictions import Finding
from suanli.placement.queue import Quotas
from suanli.placement.snapshot import hub_of, side_of
from suanli.reconcile.fences import FenceState
from suanli.reconcile.purse import Money
from suanli.reconcile.sites import Credentials

SITE_ORDER = ("Ready", "Reachable", "CredentialsValid", "PolicyCompliant", "Fenced", "Swept")
MEGA_RACKS, LARGE_RACKS = 10_000, 3_000  # 工信部 size classes of data centres, in standard racks of 2.5 kW
# What states whether an object can be read; regions have a condition only while they cannot.
MAIN_CONDITION = {
    "ComputeSite": "Ready",
    "HubPolicy": "Consistent",
    "ComputeLink": "Resolved",
    "ComputeAccount": "Consistent",
}
VALID = "Valid"
MONEY = ("BudgetLow", "BudgetExceeded")
SHOWN = ("name", "value", "unit", "precision", "target", "by", "met")  # of a figure
EVIDENCE = ("numerator", "denominator")
MOST = (
    1 << 63
) - 1  # more the hub does not take for a number; a member may tell nonsense, and the rest is to be said still


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
    heard_ms: int = 0,
    fence: FenceState | None = None,
    swept: Condition | None = None,
) -> Json:
    """A site's status. Figures of a member that does not answer stay, and `lastHeardFrom` says how old they are."""
    reason, said = ready
    conditions = [
        Condition("Ready", reason is Reason.READY, reason, said),
        _reachable(member),
        *([_credentials_valid(credentials, member)] if credentials is not None else []),
        _compliant(site, policy),
        *_fenced(raw, fence),
        *([swept] if swept is not None else []),
    ]
    status = _with(raw, conditions, now_ms, SITE_ORDER)
    hub, racks = hub_of(site.spec.region, policy), site.spec.standard_racks
    status |= {
        "side": side_of(site.spec.region, policy),
        "sizeClass": "Mega" if racks >= MEGA_RACKS else "Large" if racks >= LARGE_RACKS else "Medium",
        "jobs": jobs,
        "hub": hub,
    }
    if hub is None:
        del status["hub"]
    if fence is not None and fence.reason is Reason.FENCE_ANSWERS:
        status["fence"] = {**mapping(status.get("fence")), "leaseSeconds": fence.lease_s}
    if member is not None and member.usable:
        status |= _figures(member, figures, allocated)
        if reason not in (Reason.WRONG_CLUSTER, Reason.DUPLICATE_CLUSTER):
            status["clusterId"] = member.health.cluster_id
        status.pop("lastHeardFrom", None)
    else:
        heard = time_text(heard_ms) if heard_ms else status.get("lastHeardFrom") or _reached_since(raw)
        if heard:
            status["lastHeardFrom"] = heard
    return status


def _reached_since(raw: Json) -> str:
    """When the member answered for certain, if only a predecessor has heard it: the beginning of when it was reachable."""
    stated = find(readable(mapping(raw.get("status")).get("conditions")), "Reachable")
    return str(stated.get("lastTransitionTime", "")) if stated is not None and stated["status"] == "True" else ""


def _fenced(raw: Json, fence: FenceState | None) -> list[Condition]:
    """Whether the member's fence stands; nothing is said of a member that never had one, or of what is not known yet."""
    if fence is None or (fence.reason is Reason.NO_FENCE and not mapping(raw.get("status")).get("fence")):
        return []
    return [Condition("Fenced", fence.reason is Reason.FENCE_ANSWERS, fence.reason, fence.message)]


def _figures(member: Member, figures: Mapping[str, ClassFigures], allocated: Mapping[str, int]) -> Json:
    nodes = member.usable_nodes()
    return {
        "classes": [
            {
                "class": c,
                "capacity": min(MOST, f.capacity),
                "allocatable": min(MOST, f.allocatable),
                "allocated": allocated.get(c, 0),
            }
            for c, f in figures.items()
        ],
        "cpuMilli": min(MOST, sum(n.allocatable.cpu_milli for n in nodes)),
        "memoryBytes": min(MOST, sum(n.allocatable.memory_bytes for n in nodes)),
        "nodes": len(nodes),
        "kubernetesVersion": member.health.version,
    }


def _reachable(member: Member | None) -> Condition:
    if member is None:
        return Condition("Reachable", None, Reason.NOT_CONNECTED, "there is no connection to the member")
    return Condition("Reachable", member.health.reachable, member.health.reason, member.health.message)


def _credentials_valid(credentials: Credentials, member: Member | None) -> Condition:
    if member is not None and member.health.reason is Reason.CREDENTIALS_REFUSED:
        return Condition("CredentialsValid", False, Reason.CREDENTIALS_REFUSED, member.health.message)
    return Condition("CredentialsValid", credentials.target is not None, credentials.reason, credentials.message)


def _compliant(site: ComputeSite, policy: HubPolicy | None) -> Condition:
    """Whether the site keeps the policy's ceilings and limits."""
    trouble = site_trouble(site, policy)
    if trouble is not None:
        return Condition("PolicyCompliant", False, *trouble)
    if policy is None:
        return Condition("PolicyCompliant", True, Reason.COMPLIANT, "there is no HubPolicy named national")
    said = f"PUE {decimal_text(micro(site.spec.energy.pue), places=2)} keeps the policy"
    return Condition("PolicyCompliant", True, Reason.COMPLIANT, said)


def link_status(raw: Json, link: ComputeLink, places: Container[str], now_ms: int) -> Json:
    """A link's status: whether both its ends are known."""
    trouble = link_trouble(link, places)
    if trouble is not None:
        return _with(raw, [Condition("Resolved", False, *trouble)], now_ms)
    return _with(raw, [Condition("Resolved", True, Reason.RESOLVED, "both ends are known")], now_ms)


def policy_status(
    raw: Json, policy: HubPolicy, findings: Sequence[Finding], now_ms: int, kpis: Sequence[Kpi] | None = None
) -> Json:
    """A policy's status: whether its names are known and its rules can all hold, and its figures where it is in force."""
    errors, remarks = ([f for f in findings if f.is_error is wrong] for wrong in (True, False))
    said = f"{len(policy.spec.placement_rules)} rules over {len(policy.spec.hubs)} hubs"
    reason = errors[0].reason if errors else Reason.CONSISTENT
    words = [f.text for f in errors] or [said, *(f.text for f in remarks)]
    text = "; also: ".join(words) if errors else ". Remark: ".join(words)
    status = _with(raw, [Condition("Consistent", not errors, reason, text)], now_ms)
    if kpis is not None:
        status["kpis"] = steady([kpi.model_dump(mode="json", by_alias=True, exclude_none=True) for kpi in kpis], status)
    return status


def steady(kpis: Sequence[Json], before: Json) -> list[Json]:
    """The figures, each as it stands on record while it says the same: a little more evidence alone is no news."""
    old = before.get("kpis")
    known = {str(kpi.get("name")): kpi for kpi in (old if isinstance(old, list) else []) if isinstance(kpi, dict)}
    stands = [known.get(kpi["name"], {}) for kpi in kpis]
    return [old if _news(kpi) == _news(old) else kpi for kpi, old in zip(kpis, stands, strict=True)]


def _news(kpi: Json) -> tuple[object, ...]:
    """What is worth a write: all that is shown, of evidence two digits, of the message its words."""
    words = re.sub(r"[0-9.]+", "", str(kpi.get("message", "")))
    return (*(kpi.get(field) for field in SHOWN), words, *(_two_digits(kpi.get(field)) for field in EVIDENCE))


def _two_digits(text: object) -> str:
    try:
        return f"{Decimal(str(text)):.1e}"
    except InvalidOperation:
        return ""


def account_status(
    raw: Json, account: ComputeAccount, tenants: Accounts, quotas: Quotas, share: float, now_ms: int
) -> Json:
    """An account's status: whether it is consistent with the others, and what is used of its quotas."""
    trouble = tenants.trouble(account.metadata.name)
    said = trouble or (Reason.CONSISTENT, "its parent is there, and its namespaces are its own")
    status = _with(raw, [Condition("Consistent", trouble is None, *said)], now_ms)
    status["quotas"] = [
        QuotaUse(
            class_=quota.class_,
            type=quota.type,
            used=milli_text(used),
            borrowed=milli_text(max(0, used - 1_000 * quota.nominal)),
            nominal=quota.nominal,
        ).model_dump(mode="json", by_alias=True, exclude_none=True)
        for quota, used in quotas.used(account.metadata.name)
    ]
    status["share"] = decimal_text(round(min(1.0, share) * 10_000), 10_000, 4)
    return status


def with_money(raw: Json, status: Json, money: Money, now_ms: int) -> Json:
    """The status of an account with a budget or prepayment: what it has and spends, and whether that is nearly or quite all."""
    spent, low = money.room <= 0, money.is_low
    conditions = [
        Condition("BudgetLow", low, Reason.BUDGET_LOW if low else Reason.WITHIN_BUDGET, money.told),
        Condition("BudgetExceeded", spent, Reason.BUDGET_EXCEEDED if spent else Reason.WITHIN_BUDGET, money.told),
    ]
    found = _with({**raw, "status": status}, conditions, now_ms)
    found.pop("period", None)
    found |= {"balance": str(money.balance), "held": str(money.held), "spent": str(money.spent)}
    return found | ({"period": money.period} if money.period else {})


def without_money(status: Json) -> Json:
    """The same of one without."""
    conditions = readable(status.get("conditions"))
    left = {key: value for key, value in status.items() if key not in ("balance", "held", "spent", "period")}
    return {**left, "conditions": [c for c in conditions if c["type"] not in MONEY]}


def region_status(raw: Json) -> Json:
    """A region's status: nothing is said of one that can be read."""
    old = dict(mapping(raw.get("status")))
    conditions = readable(old.get("conditions"))
    left = [c for c in conditions if c["type"] != VALID]
    if len(left) == len(conditions):
        return old
    return {**old, "conditions": left}


def invalid_status(raw: Json, problem: str, now_ms: int) -> Json:
    """The status of an object that cannot be read."""
    type_ = MAIN_CONDITION.get(raw["kind"], VALID)
    return _with(raw, [Condition(type_, False, Reason.INVALID_SPEC, f"{problem}; correct the field")], now_ms)


def _with(raw: Json, conditions: list[Condition], now_ms: int, order: tuple[str, ...] = ()) -> Json:
    old: dict[str, Any] = dict(mapping(raw.get("status")))
    generation = raw["metadata"].get("generation")
    number = generation if isinstance(generation, int) else 0
    return {**old, "conditions": merged(old.get("conditions"), conditions, number, time_text(now_ms), order)}
