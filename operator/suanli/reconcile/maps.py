"""Keeps the status of sites, links, policies and accounts true, and writes it only when it changed, not too often."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from suanli.api import PLACEMENT_KINDS
from suanli.api.policy import HubPolicy
from suanli.api.site import ComputeSite, ComputeUnit
from suanli.base.clock import Clock
from suanli.base.conditions import readable
from suanli.base.names import GROUP, VERSION
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.units import cpu_milli
from suanli.base.untrusted import mapping
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable
from suanli.placement.consistency import policy_findings
from suanli.placement.contradictions import Finding
from suanli.placement.kpis import Figure, shown
from suanli.placement.queue import Quotas, dominant_share
from suanli.placement.snapshot import Country
from suanli.reconcile import mapstatus
from suanli.reconcile.cycle import unbound
from suanli.reconcile.fences import FenceState
from suanli.reconcile.indicators import capacity_on_record
from suanli.reconcile.purse import Purse
from suanli.reconcile.queue import WorkQueue
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import ACCOUNT, NATIONAL, SITE, TARIFF, Mirror
from suanli.reconcile.status import patch_of
from suanli.reconcile.sweep import AGAIN_S, Sweep
from suanli.reconcile.sweep import CONDITION as SWEPT
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
PLURAL = {model.kind_info.kind: model.kind_info.plural for model in PLACEMENT_KINDS}
URGENT = ("hub", "side", "sizeClass", "clusterId", "kubernetesVersion", "fence")
WARNED_OF = frozenset(mapstatus.MAIN_CONDITION.values()) | {SWEPT}
SURPRISE_S = 5.0


def key_of(kind: str, name: str) -> str:
    """The queue's key of an object."""
    return f"{kind}/{name}"


@dataclass(frozen=True)
class _Checked:
    """A policy in a country with these sites, and what is wrong with it."""

    country: Country
    policy: HubPolicy
    sites: list[ComputeSite]
    findings: list[Finding]


class MapKeeper:
    """Works through "Kind/name" keys."""

    def __init__(
        self,
        *,
        hub: ApiClient,
        mirror: Mirror,
        sites: Sites,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        warn: Callable[[Json, Reason, str], None],
        figures: Callable[[], tuple[Figure, ...] | None],
        fence: Callable[[str], FenceState | None],
        sweep: Sweep,
        purse: Purse,
    ) -> None:
        self.queue = WorkQueue()
        self._hub = hub
        self._mirror = mirror
        self._sites = sites
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._warn = warn
        self._figures = figures
        self._fence = fence
        self._sweep = sweep
        self._purse = purse
        self._checked: dict[str, _Checked] = {}  # by policy
        self._written_ms: dict[str, int] = {}
        self._syncing_s: dict[str, float] = {}  # by site, since when it is not known how it is

    def figures_changed(self, site: str) -> None:
        """What stands at a site changed; that is told now and then."""
        self.queue.add_later(key_of(SITE, site), self._settings.site_status_s)

    def use_changed(self, account: str) -> None:
        """What an account's jobs hold changed; that is told now and then."""
        self.queue.add_later(key_of(ACCOUNT, account), self._settings.site_status_s)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            key = await self.queue.get()
            try:
                await self._keep(key)
                self.queue.succeeded(key)
            except (ApiError, Unreachable) as error:
                LOG.warning("status not written, will be tried again", extra={"object": key, "error": str(error)[:500]})
                retry_after_s = error.retry_after_s if isinstance(error, ApiError) else None
                self.queue.failed(key, at_least_s=retry_after_s or 0.0)
            except Exception:
                LOG.exception("status failed unexpectedly, will be tried again", extra={"object": key})
                self._metrics.surprises.inc()
                self.queue.failed(key, at_least_s=SURPRISE_S)
            finally:
                self.queue.done(key)

    async def _keep(self, key: str) -> None:
        kind, name = key.split("/", 1)
        if kind == TARIFF:
            return  # what is to be said of it, whoever bills by it says
        if kind == SITE:
            await self._sites.sync(name)
        elif kind == "HubPolicy":
            await self._check(name)
        raw = self._mirror.raw.get((kind, name))
        if raw is None:
            self._written_ms.pop(key, None)
            self._syncing_s.pop(name, None)
            return
        now_ms = self._clock.now_ms()
        wanted = self._wanted(kind, name, raw, now_ms)
        patch = patch_of(dict(mapping(raw.get("status"))), wanted)
        if (kind == SITE and self._settles(name, raw, patch)) or not patch:
            return
        left_ms = self._written_ms.get(key, 0) + self._settings.site_status_s * 1000 - now_ms
        if 0 < left_ms <= self._settings.site_status_s * 1000 and not _urgent(raw, wanted, patch):
            self.queue.add_later(key, left_ms / 1000)
            return
        if await self._write(kind, name, raw, patch):
            self._written_ms[key] = now_ms
            self._tell(kind, name, raw, wanted)

    def _settles(self, name: str, raw: Json, patch: Json) -> bool:
        """Whether what is on record of a site still stands: a connection that has just been begun says nothing yet."""
        syncing = self._sites.state(name)[0] is Reason.SYNCING
        if not syncing or not _statements(raw) or "clusterId" in patch:
            self._syncing_s.pop(name, None)
            return False
        now_s = asyncio.get_running_loop().time()
        left_s = self._syncing_s.setdefault(name, now_s) + self._settings.unreachable_after_s - now_s
        if left_s > 0:
            self.queue.add_later(key_of(SITE, name), left_s)
        return left_s > 0

    async def _write(self, kind: str, name: str, raw: Json, patch: Json) -> bool:
        """Whether the status is written, over exactly the version that it was made from. Raises: ApiError, Unreachable."""
        path = f"/apis/{GROUP}/{VERSION}/{PLURAL[kind]}/{name}"
        body = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "status": patch}
        try:
            answer = await self._hub.patch(f"{path}/status", body)
        except ApiError as error:
            if error.status == 404:
                return False  # the watch will tell
            if error.status != 409:
                raise
            self._mirror.apply("MODIFIED", await self._hub.get(path))  # the hub knows better
            self.queue.add(key_of(kind, name))
            return False
        self._mirror.apply("MODIFIED", answer)
        return True

    def _tell(self, kind: str, name: str, raw: Json, wanted: Json) -> None:
        """A line in the log, and a warning when something stopped being well."""
        before = _statements(raw)
        for condition in wanted.get("conditions") or []:
            now = (condition["status"], condition.get("reason"))  # what somebody else wrote may have none
            if before.get(condition["type"]) == now:
                continue
            told = {
                "object": f"{kind} {name}",
                "type": condition["type"],
                "status": now[0],
                "reason": now[1],
                "why": condition["message"],
            }
            LOG.info("condition changed", extra=told)
            is_bad = now[0] == "False" and condition["type"] in WARNED_OF
            if is_bad or (now[0] == "True" and condition["type"] in mapstatus.MONEY):
                self._warn(raw, Reason(now[1]), condition["message"])

    def _wanted(self, kind: str, name: str, raw: Json, now_ms: int) -> Json:
        mirror = self._mirror
        problem = mirror.problems.get((kind, name))
        if problem:
            return mapstatus.invalid_status(raw, problem, now_ms)
        if kind == SITE:
            return self._site_status(name, raw, now_ms)
        if kind == "ComputeLink":
            return mapstatus.link_status(raw, mirror.links[name], {*mirror.regions, *mirror.sites}, now_ms)
        if kind == "HubPolicy":
            return self._policy_status(name, raw, now_ms)
        if kind == ACCOUNT:
            return self._account_status(name, raw, now_ms)
        return mapstatus.region_status(raw)

    def _account_status(self, name: str, raw: Json, now_ms: int) -> Json:
        mirror = self._mirror
        tenancy, sites = mirror.tenancy, mirror.sites
        held: Counter[str] = Counter()
        for (owner, class_), milli in tenancy.held_milli.items():
            if name in mirror.tenants.lineage(owner):
                held[class_] += milli
        capacity: Counter[str] = Counter()
        for site in sites.values():
            for resource in site.spec.resources:
                if resource.class_ in held:
                    capacity[resource.class_] += 1_000 * capacity_on_record(mirror, site, resource.class_)
        share, quotas = dominant_share(held, capacity), Quotas(tenancy, sites.values())
        status = mapstatus.account_status(raw, mirror.accounts[name], mirror.tenants, quotas, share, now_ms)
        if not self._purse.is_limited(name):
            return mapstatus.without_money(status)
        money = self._purse.money(name)
        return status if money is None else mapstatus.with_money(raw, status, money, now_ms)

    def _policy_status(self, name: str, raw: Json, now_ms: int) -> Json:
        policy, figures = self._mirror.policies[name], self._figures() if name == NATIONAL else None
        kpis = shown(figures, policy.spec.targets) if figures is not None else None
        return mapstatus.policy_status(raw, policy, self._checked[name].findings, now_ms, kpis)

    async def _check(self, name: str) -> None:
        """Look for contradictions in a policy, off the event loop, unless it is the same country with the same sites."""
        mirror = self._mirror
        policy, sites = mirror.policies.get(name), list(mirror.sites.values())
        if policy is None:
            self._checked.pop(name, None)
            return
        country, before = mirror.country, self._checked.get(name)
        if before and before.country is country and before.policy is policy and before.sites == sites:
            return
        meant = country if name == NATIONAL else Country(country.regions, country.links, policy)
        findings = await asyncio.to_thread(policy_findings, meant, sites)
        self._checked[name] = _Checked(country, policy, sites, findings)

    def _site_status(self, name: str, raw: Json, now_ms: int) -> Json:
        site, member = self._mirror.sites[name], self._sites.members.get(name)
        units = {r.class_: r.unit for r in site.spec.resources}
        allocated: Counter[str] = Counter()
        held = self._mirror.held_at(name)
        for entry in held:
            if entry.holds is None or entry.outline is None:
                continue
            class_, spec = entry.holds.class_, entry.outline
            is_card = units.get(class_) is ComputeUnit.CARD
            cores = -(-spec.tasks * cpu_milli(spec.resources.per_task.cpu) // 1000)
            allocated[class_] += spec.tasks * spec.resources.per_task.cards if is_card else cores
        usable = member is not None and member.usable
        swept = self._sweep.condition(name, now_ms)
        if self._sweep.is_pending(name):
            self.queue.add_later(key_of(SITE, name), AGAIN_S)
        return mapstatus.site_status(
            raw,
            site,
            ready=self._sites.state(name),
            credentials=self._sites.credentials.get(name),
            member=member,
            heard_ms=self._sites.last_heard_ms(name),
            policy=self._mirror.country.policy,
            figures=member.figures(tuple(site.spec.resources), unbound(self._mirror, name, member))
            if member is not None and usable
            else {},
            allocated=allocated,
            jobs=len(held),
            now_ms=now_ms,
            fence=self._fence(name),
            swept=swept,
        )


def _statements(raw: Json) -> dict[str, tuple[str, object]]:
    """What the conditions of an object say, without their words."""
    conditions = readable(mapping(raw.get("status")).get("conditions"))
    return {c["type"]: (c["status"], c.get("reason")) for c in conditions}


def _urgent(raw: Json, wanted: Json, patch: Json) -> bool:
    """Whether it is more than figures and words that changed."""
    if any(field in patch for field in URGENT):
        return True
    return "conditions" in patch and _statements(raw) != _statements({"status": wanted})
