"""The operator put together: the mirror's watch always runs, the loops that write run while it leads."""

import asyncio
import logging
from collections import Counter

from suanli.base.clock import Clock
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.kube.client import ApiClient, Target
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile import compare, watch
from suanli.reconcile.cycle import Cycle
from suanli.reconcile.events import Recorder
from suanli.reconcile.maps import MapKeeper
from suanli.reconcile.meter import Meter
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import JobEntry, Mirror
from suanli.reconcile.worker import JobWorker
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)


class Operator:
    """One replica."""

    def __init__(
        self,
        *,
        target: Target,
        hub: ApiClient,
        hub_id: str,
        store: UsageStore,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._target = target
        self._hub = hub
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._filled = False
        self._leads = False
        self.mirror = Mirror(on_job=self._job_changed, on_map=self._map_changed)
        self._meter = Meter(store)
        self._recorder = Recorder(hub, clock, settings.identity)
        self._sites = Sites(
            hub=hub,
            hub_id=hub_id,
            mirror=self.mirror,
            clock=clock,
            settings=settings,
            connect=self._connect,
            on_job=self._member_job_changed,
            on_site=self._site_changed,
        )
        self._worker = JobWorker(
            hub=hub,
            hub_id=hub_id,
            mirror=self.mirror,
            members=lambda: self._sites.members,
            meter=self._meter,
            clock=clock,
            settings=settings,
            metrics=metrics,
            on_waiting=self._wake,
            warn=self._warn_job,
        )
        self._cycle = Cycle(
            mirror=self.mirror, sites=self._sites, worker=self._worker, clock=clock, settings=settings, metrics=metrics
        )
        self._maps = MapKeeper(
            hub=hub,
            mirror=self.mirror,
            sites=self._sites,
            clock=clock,
            settings=settings,
            metrics=metrics,
            warn=lambda raw, reason, text: self._recorder.warn(raw["kind"], raw["metadata"], reason, text),
        )

    async def watch(self, stop: asyncio.Event) -> None:
        """Keep the mirror warm until stopped; first by a full list, then by events."""
        await compare.fill(self._hub, self.mirror)
        self._filled = True
        await watch.run(self._target, self.mirror.apply, stop)

    async def lead(self) -> None:
        """Decide and write until cancelled."""
        await compare.fill(self._hub, self.mirror)
        self._leads = True
        self._metrics.leading(True)
        LOG.info("leading", extra={"jobs": len(self.mirror.jobs), "sites": len(self.mirror.sites)})
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sites.secrets.run())
                await self._sites.secrets.synced.wait()
                for kind, name in list(self.mirror.raw):
                    self._map_changed(kind, name)
                for uid in list(self.mirror.jobs):
                    self._job_changed(uid)
                group.create_task(self._maps.run())
                group.create_task(self._cycle.run())
                group.create_task(self._worker.run())
                group.create_task(self._recorder.run())
                every = self._settings.full_compare_s
                group.create_task(
                    compare.run(self._hub, self.mirror, lambda: self._sites.members, self._worker.queue.add, every)
                )
        finally:
            self._leads = False
            self._metrics.leading(False)
            await self._sites.close()
            await self._meter.close()

    def ready(self) -> str:
        """Why it is not ready to take over, or nothing."""
        return "" if self._filled else "the first full list of the hub is not complete"

    def scrape(self) -> bytes:
        """The metrics."""
        jobs: Counter[tuple[str, str, str]] = Counter()
        for entry in self.mirror.jobs.values():
            assignment = entry.holds
            jobs[
                str(entry.status.get("state") or "New"),
                assignment.site if assignment else "",
                str(entry.status.get("reason") or ""),
            ] += 1
        now_ms = self._clock.now_ms()
        members = self._sites.members
        ages = {name: (now_ms - m.last_heard_ms) / 1000 for name, m in members.items() if m.last_heard_ms}
        ready = {name: self._sites.readiness(name)[0] for name in self.mirror.sites}
        return self._metrics.scrape(jobs, ages, ready)

    # --- who is told of what

    def _connect(self, target: Target, site: str) -> ApiClient:
        return ApiClient(
            target,
            name=site,
            concurrency=self._settings.member_concurrency,
            observer=self._metrics.request,
            user_agent="suanli-operator",
        )

    def _wake(self) -> None:
        if self._leads:
            self._cycle.wake()

    def _job_changed(self, uid: str) -> None:
        if not self._leads:
            return
        self._worker.queue.add(uid)
        entry = self.mirror.jobs.get(uid)
        if entry is None or entry.holds is None:
            self._cycle.wake()

    def _member_job_changed(self, uid: str) -> None:
        if self._leads and uid:
            self._worker.queue.add(uid)

    def _map_changed(self, kind: str, name: str) -> None:
        if not self._leads:
            return
        self._maps.queue.add(f"{kind}/{name}")
        if kind in ("ComputeRegion", "HubPolicy", "ComputeSite"):
            for other, other_name in self.mirror.raw:
                if other != "ComputeRegion" and other != kind:
                    self._maps.queue.add(f"{other}/{other_name}")
        self._cycle.wake()

    def _site_changed(self, name: str) -> None:
        if not self._leads:
            return
        self._maps.queue.add(f"ComputeSite/{name}")
        for uid, entry in self.mirror.jobs.items():
            assignment = entry.assignment
            if assignment is not None and assignment.site == name and not entry.finished:
                self._worker.queue.add(uid)
        self._cycle.wake()

    def _warn_job(self, entry: JobEntry, reason: Reason, text: str) -> None:
        metadata = {"name": entry.name, "namespace": entry.namespace, "uid": entry.uid}
        self._recorder.warn("ComputeJob", metadata, reason, text)
