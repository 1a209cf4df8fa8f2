"""The operator put together: the mirror's watch always runs, the loops that write run while it leads."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor

from suanli.base.clock import Clock
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.billing.ledger import Ledger
from suanli.kube.client import ApiClient, Target
from suanli.ledgerstore.usage import UsageStore
from suanli.placement.snapshot import Plan
from suanli.placement.solve import place
from suanli.reconcile import compare, watch
from suanli.reconcile.bill import Biller
from suanli.reconcile.books import Books
from suanli.reconcile.compare import Comparison
from suanli.reconcile.cycle import Cycle
from suanli.reconcile.events import Recorder
from suanli.reconcile.fences import Fences
from suanli.reconcile.indicators import Indicators
from suanli.reconcile.maps import MapKeeper, key_of
from suanli.reconcile.marks import Marks
from suanli.reconcile.meter import Meter
from suanli.reconcile.purse import Purse
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import ACCOUNT, NATIONAL, SITE, TARIFF, JobEntry, Mirror
from suanli.reconcile.sweep import Sweep
from suanli.reconcile.tenancy import Tenancy
from suanli.reconcile.worker import JobWorker
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
# Whose status depends on another kind's objects.
DEPENDENTS = {
    "ComputeRegion": ("ComputeLink", "HubPolicy", SITE),
    "HubPolicy": (SITE,),
    "ComputeLink": ("HubPolicy",),
    SITE: ("ComputeLink", "HubPolicy", ACCOUNT),
    ACCOUNT: (ACCOUNT,),
}
MANY_PODS = 256  # a job of more is looked at for many changes at once
PODS_PER_S = 10_000
REASONS = frozenset(str(reason) for reason in Reason)
STATES = frozenset(("Invalid", "Waiting", "Suspended", "Starting", "Running", "Unknown", "Succeeded", "Failed"))


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
        certain: Callable[[], bool] = lambda: True,
        connect: Callable[[Target, str], ApiClient] | None = None,
        place_all: Callable[..., Plan] = place,
        ledger_thread: Executor | None = None,
        open_books: Callable[[], Books] | None = None,
        open_ledger: Callable[[], Ledger] | None = None,
    ) -> None:
        """`certain`: whether it is certain that no other replica leads; else nothing is sent to members, nor by `hub` to the hub.
        `open_books`: without it nothing is billed. `open_ledger`: without it no account's budget is looked at.
        """
        self._target = target
        self._hub = hub
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._certain = certain
        self._turn = asyncio.Lock()  # with the members' pages
        self._filled = False
        self._leads = False
        self._states: dict[str, tuple[bool, bool, bool]] = {}  # of sites, as their jobs were last told
        self.mirror = Mirror(on_job=self._job_changed, on_map=self._map_changed)
        self._meter = Meter(store, ledger_thread, metrics.unknown_usage)
        self._biller = None
        if open_books is not None:
            self._biller = Biller(
                hub=hub,
                mirror=self.mirror,
                open_books=open_books,
                clock=clock,
                settings=settings,
                metrics=metrics,
                thread=ledger_thread,
            )
        self._recorder = Recorder(hub, clock, settings.identity)
        self._sites = Sites(
            hub=hub,
            hub_id=hub_id,
            mirror=self.mirror,
            clock=clock,
            settings=settings,
            connect=connect or self._connect,
            on_job=self._member_job_changed,
            on_site=self._site_changed,
            on_figures=self._figures_changed,
        )
        self._fences = Fences(
            mirror=self.mirror,
            sites=self._sites,
            clock=clock,
            settings=settings,
            on_change=lambda name: self._maps.queue.add(key_of(SITE, name)),
        )
        self._sweep = Sweep(mirror=self.mirror, sites=self._sites, settings=settings, on_change=self._sweep_changed)
        self._purse = Purse(
            mirror=self.mirror,
            meter=self._meter,
            sites=self._sites,
            open_ledger=open_ledger,
            clock=clock,
            settings=settings,
            metrics=metrics,
            on_room=lambda: self._cycle.wake(),
            on_due=lambda uid: self._worker.queue.add(uid),
            on_unknown=lambda: self._comparison.soon(),
            on_money=self._money_changed,
            thread=ledger_thread,
        )
        self._worker = JobWorker(
            hub=hub,
            hub_id=hub_id,
            mirror=self.mirror,
            sites=self._sites,
            fences=self._fences,
            sweep=self._sweep,
            meter=self._meter,
            purse=self._purse,
            clock=clock,
            settings=settings,
            metrics=metrics,
            on_waiting=lambda: self._cycle.wake(),
            on_unknown=lambda: self._comparison.soon(),
            warn=self._warn_job,
        )
        self._marks = Marks(sites=self._sites, meter=self._meter, clock=clock, settings=settings, metrics=metrics)
        self._tenancy = Tenancy(sites=self._sites, settings=settings)
        self._cycle = Cycle(
            mirror=self.mirror,
            sites=self._sites,
            worker=self._worker,
            purse=self._purse,
            clock=clock,
            settings=settings,
            metrics=metrics,
            place_all=place_all,
        )
        self._maps = MapKeeper(
            hub=hub,
            mirror=self.mirror,
            sites=self._sites,
            clock=clock,
            settings=settings,
            metrics=metrics,
            warn=lambda raw, reason, text: self._recorder.warn(raw["kind"], raw["metadata"], reason, text),
            figures=lambda: self._indicators.figures,
            fence=self._fences.state,
            sweep=self._sweep,
            purse=self._purse,
        )
        self._indicators = Indicators(
            mirror=self.mirror,
            settings=settings,
            metrics=metrics,
            computed=lambda: self._maps.queue.add(key_of("HubPolicy", NATIONAL)),
        )
        self._comparison = Comparison(
            hub,
            self.mirror,
            on_members=lambda: (u for m in self._sites.members.values() for u in m.job_uids()),
            look_at=self._worker.queue.add,
            every_s=settings.full_compare_s,
        )

    async def watch(self, stop: asyncio.Event, started: Callable[[], None]) -> None:
        """Keep the mirror warm until stopped; first by a full list, then by events. `started` as `watch.run` tells it."""
        await compare.fill_patiently(self._hub, self.mirror)
        self._filled = True
        await watch.run(self._target, self.mirror.apply, stop, started)

    async def lead(self) -> None:
        """Decide and write until cancelled."""
        await compare.fill_patiently(self._hub, self.mirror)
        self._leads = True
        self._metrics.leading(True)
        LOG.info("leading", extra={"jobs": len(self.mirror.jobs), "sites": len(self.mirror.sites)})
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sites.secrets.run())
                await self._sites.secrets.synced.wait()
                for kind, name in self.mirror.raw:
                    self._maps.queue.add(key_of(kind, name))
                for uid in self.mirror.jobs:
                    self._worker.queue.add(uid)
                self._indicators.wake()
                group.create_task(self._tenancy.run())
                loops = (self._maps, self._cycle, self._worker, self._recorder, self._comparison, self._indicators)
                for loop in (*loops, self._fences, self._marks, self._purse):
                    group.create_task(loop.run())
                if self._biller is not None:
                    group.create_task(self._biller.run())
                self._cycle.wake()
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
            state, reason = entry.told
            jobs[
                state if state in STATES else "New",
                assignment.site if assignment else "",
                reason if reason in REASONS else "",
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
            may_write=self._certain,
            turn=self._turn,
        )

    def _job_changed(self, uid: str, changed: bool) -> None:
        if not self._leads:
            return
        self._worker.queue.add(uid)
        self._purse.job_changed(uid, changed)
        if not changed:
            return
        self._worker.spec_changed(uid)
        self._cycle.wake()
        self._indicators.wake()
        for account in self.mirror.moved():
            self._maps.use_changed(account)
        entry = self.mirror.jobs.get(uid)
        assignment = entry.assignment if entry else None
        if assignment is not None:
            self._maps.figures_changed(assignment.site)

    def _member_job_changed(self, uid: str) -> None:
        if not self._leads or not uid:
            return
        entry = self.mirror.jobs.get(uid)
        assignment = entry.assignment if entry else None
        member = self._sites.members.get(assignment.site) if assignment else None
        pods = len(member.pods.get(uid, ())) if member else 0
        if pods > MANY_PODS:
            self._worker.queue.add_later(uid, pods / PODS_PER_S)
        else:
            self._worker.queue.add(uid)

    def _map_changed(self, kind: str, name: str, changed: bool) -> None:
        self._sites.refresh()
        if not self._leads:
            return
        self._maps.queue.add(key_of(kind, name))
        if kind == SITE:
            self._look_at_sites()
        if kind == SITE or changed:
            self._indicators.wake()
        if not changed:
            return
        if kind in (ACCOUNT, SITE, TARIFF):
            self._purse.accounts_changed()
        for other, other_name in self.mirror.raw:
            if other in DEPENDENTS.get(kind, ()):
                self._maps.queue.add(key_of(other, other_name))
        self._cycle.wake()

    def _money_changed(self, account: str, is_news: bool) -> None:
        """What an account has, or spends, is another amount."""
        if is_news:
            self._maps.queue.add(key_of(ACCOUNT, account))
        else:
            self._maps.use_changed(account)

    def _site_changed(self, name: str) -> None:
        """Its connection or its health is another one."""
        if not self._leads:
            return
        self._maps.queue.add(key_of(SITE, name))
        self._look_at_sites()
        self._cycle.wake()

    def _figures_changed(self, name: str) -> None:
        """Only what stands there is."""
        if self._leads:
            self._maps.figures_changed(name)
            self._cycle.wake()

    def _sweep_changed(self, name: str) -> None:
        """Something there is held, or is not held any more."""
        self._maps.queue.add(key_of(SITE, name))
        member = self._sites.members.get(name)
        for uid in member.job_uids() if member is not None else ():
            self._worker.queue.add(uid)

    def _look_at_sites(self) -> None:
        """Have the jobs looked at whose site can be used again, or not any more, or drains; one site may decide of its twin."""
        before = self._states
        names = dict.fromkeys([*self.mirror.sites, *before])
        self._states = {name: self._sites.look(name) for name in names}
        for name in names:
            if self._states[name] == before.get(name):
                continue
            self._cycle.wake()
            self._maps.queue.add(key_of(SITE, name))
            member = self._sites.members.get(name)
            for uid in [*(e.uid for e in self.mirror.held_at(name)), *(member.job_uids() if member else ())]:
                self._worker.queue.add(uid)

    def _warn_job(self, entry: JobEntry, reason: Reason, text: str) -> None:
        metadata = {"name": entry.name, "namespace": entry.namespace, "uid": entry.uid}
        self._recorder.warn("ComputeJob", metadata, reason, text)
