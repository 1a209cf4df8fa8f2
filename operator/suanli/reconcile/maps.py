"""Keeps the status of sites, links and policies true, and writes it only when it changed, not too often."""

import logging
from collections import Counter
from collections.abc import Callable

from suanli.api import KINDS
from suanli.api.site import ComputeUnit
from suanli.base.clock import Clock
from suanli.base.names import GROUP, VERSION
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.units import cpu_milli
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable
from suanli.reconcile import mapstatus
from suanli.reconcile.cycle import unbound
from suanli.reconcile.queue import WorkQueue
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import Mirror
from suanli.reconcile.status import patch_of
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
PLURAL = {model.kind_info.kind: model.kind_info.plural for model in KINDS}
URGENT = ("conditions", "hub", "side", "sizeClass", "clusterId", "kubernetesVersion")


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
    ) -> None:
        self.queue = WorkQueue()
        self._hub = hub
        self._mirror = mirror
        self._sites = sites
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._warn = warn
        self._written_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            key = await self.queue.get()
            try:
                await self._keep(key)
                self.queue.succeeded(key)
            except (ApiError, Unreachable) as error:
                if not (isinstance(error, ApiError) and error.status in (404, 409)):
                    LOG.warning(
                        "status not written, will be tried again", extra={"object": key, "error": str(error)[:500]}
                    )
                self.queue.failed(key)
            except Exception:
                LOG.exception("status failed unexpectedly, will be tried again", extra={"object": key})
                self._metrics.surprises.inc()
                self.queue.failed(key, at_least_s=5.0)
            finally:
                self.queue.done(key)

    async def _keep(self, key: str) -> None:
        kind, name = key.split("/", 1)
        raw = self._mirror.raw.get((kind, name))
        if kind == "ComputeSite":
            await self._sites.sync(name)
        if raw is None:
            self._written_ms.pop(key, None)
            return
        wanted = self._wanted(kind, name, raw)
        if wanted is None:
            return
        patch = patch_of(raw.get("status") or {}, wanted)
        if not patch:
            return
        now_ms = self._clock.now_ms()
        left_ms = self._written_ms.get(key, 0) + self._settings.site_status_s * 1000 - now_ms
        if left_ms > 0 and not any(field in patch for field in URGENT):
            self.queue.add_later(key, left_ms / 1000)
            return
        body = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "status": patch}
        answer = await self._hub.patch(f"/apis/{GROUP}/{VERSION}/{PLURAL[kind]}/{name}/status", body)
        self._written_ms[key] = now_ms
        self._tell(kind, name, raw, wanted)
        self._mirror.apply("MODIFIED", answer)

    def _tell(self, kind: str, name: str, raw: Json, wanted: Json) -> None:
        """A line in the log, and a warning when something stopped being well."""
        before = {c["type"]: (c["status"], c["reason"]) for c in (raw.get("status") or {}).get("conditions") or []}
        for condition in wanted.get("conditions") or []:
            now = (condition["status"], condition["reason"])
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
            if now[0] == "False" and condition["type"] in ("Ready", "Consistent", "Resolved"):
                self._warn(raw, Reason(now[1]), condition["message"])

    def _wanted(self, kind: str, name: str, raw: Json) -> Json | None:
        now_ms = self._clock.now_ms()
        problem = self._mirror.problems.get((kind, name))
        if problem:
            return mapstatus.invalid_status(raw, problem, now_ms)
        if kind == "ComputeSite":
            return self._site_status(name, raw, now_ms)
        if kind == "ComputeLink":
            return mapstatus.link_status(raw, self._mirror, now_ms)
        if kind == "HubPolicy":
            return mapstatus.policy_status(raw, self._mirror.policies[name], self._mirror, now_ms)
        return None

    def _site_status(self, name: str, raw: Json, now_ms: int) -> Json:
        site, member = self._mirror.sites[name], self._sites.members.get(name)
        units = {r.class_: r.unit for r in site.spec.resources}
        allocated: Counter[str] = Counter()
        jobs = 0
        for entry in self._mirror.jobs.values():
            assignment = entry.holds
            if assignment is None or assignment.site != name or entry.model is None:
                continue
            jobs += 1
            spec = entry.model.spec
            per_task = spec.resources.per_task
            each = (
                per_task.cards
                if units.get(assignment.class_) is ComputeUnit.CARD
                else -(-cpu_milli(per_task.cpu) // 1000)
            )
            allocated[assignment.class_] += spec.tasks * each
        figures = (
            member.figures(tuple(site.spec.resources), unbound(self._mirror, self._sites).get(name, ()))
            if member and member.usable
            else {}
        )
        return mapstatus.site_status(
            raw,
            site,
            ready=self._sites.state(name),
            credentials=self._sites.credentials.get(name),
            member=member,
            policy=self._mirror.country.policy,
            figures=figures,
            allocated=allocated,
            jobs=jobs,
            now_ms=now_ms,
        )
