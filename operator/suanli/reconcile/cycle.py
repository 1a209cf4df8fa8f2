"""The placement cycle: a snapshot of all that waits, one decision for each, assumed here and committed by the workers."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping

from suanli.api.job import Assignment, JobState
from suanli.base.clock import Clock, time_text
from suanli.base.settings import Settings
from suanli.base.units import cpu_milli, whole
from suanli.federation.capacity import Demand
from suanli.placement.snapshot import Decision, Plan, Prices, SiteView, WaitingJob
from suanli.placement.solve import place
from suanli.reconcile import status
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import JobEntry, Mirror
from suanli.reconcile.worker import JobWorker
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
IDLE_S = 30.0  # with jobs waiting, look again at least so often: back-offs end and tariffs change
THREAD_FROM = 100  # a larger batch is placed off the event loop


class Cycle:
    """Places all waiting jobs at once, whenever something that matters has changed."""

    def __init__(
        self,
        *,
        mirror: Mirror,
        sites: Sites,
        worker: JobWorker,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        place_all: Callable[..., Plan] = place,
    ) -> None:
        self._mirror = mirror
        self._sites = sites
        self._worker = worker
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._place = place_all
        self._wake = asyncio.Event()
        self._prices: Prices | None = None

    def wake(self) -> None:
        """Something changed that a waiting job may care about."""
        self._wake.set()

    async def run(self) -> None:
        """Cycle until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._wake.clear()
            try:
                waits = await self._once()
            except Exception:
                LOG.exception("placement cycle failed, will be tried again")
                self._metrics.surprises.inc()
                waits = True
            await asyncio.sleep(max(0.0, self._settings.cycle_ms / 1000 - (loop.time() - began)))
            try:
                async with asyncio.timeout(IDLE_S if waits else None):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _once(self) -> bool:
        """One cycle; true when jobs still wait."""
        waiting = self._waiting()
        if not waiting:
            return False
        views = self._views()
        generations = {w.uid: self._mirror.jobs[w.uid].generation for w in waiting}
        now_ms = self._clock.now_ms()
        with self._metrics.cycle_seconds.time():
            args = (waiting, views, self._mirror.country, now_ms)
            if len(waiting) >= THREAD_FROM:
                plan = await asyncio.to_thread(self._place, *args, warm=self._prices)
            else:
                plan = self._place(*args, warm=self._prices)
        self._prices = plan.prices
        left = 0
        for uid, decision in plan.decisions.items():
            entry = self._mirror.jobs.get(uid)
            if entry is None or entry.generation != generations[uid] or entry.holds is not None or entry.finished:
                continue
            if decision.site is None:
                left += 1
                self._worker.decisions[uid] = decision
            else:
                self._assume(entry, decision, plan.gap_ppm, now_ms)
            self._worker.queue.add(uid)
        self._metrics.cycle(len(waiting), left, plan.gap_ppm)
        return left > 0

    def _assume(self, entry: JobEntry, decision: Decision, gap_ppm: int, now_ms: int) -> None:
        """Hold the room at once; the worker commits it on the hub or rolls it back."""
        assert decision.site is not None, "only a placed job is assumed"
        assert decision.class_ is not None, "a placed job has a class"
        epoch = int(entry.status.get("epoch") or 0) + 1
        assignment = Assignment(site=decision.site, epoch=epoch, class_=decision.class_, time=time_text(now_ms))
        entry.assumed = assignment
        entry.assumed_status = status.placed(entry, decision, assignment, gap_ppm, now_ms)

    def _waiting(self) -> list[WaitingJob]:
        now_ms = self._clock.now_ms()
        found = []
        for entry in self._mirror.jobs.values():
            model = entry.model
            if (
                model is None
                or entry.holds is not None
                or entry.finished
                or model.spec.desired_state is JobState.SUSPENDED
            ):
                continue
            found.append(
                WaitingJob(
                    uid=entry.uid,
                    job=model,
                    account=entry.namespace,
                    submitted_ms=entry.created_ms,
                    backoff=self._backoff(entry.uid, now_ms),
                )
            )
        return found

    def _backoff(self, uid: str, now_ms: int) -> Mapping[str, str]:
        sites = self._worker.backoff.get(uid)
        if not sites:
            return {}
        return {
            site: f"an attempt there ended badly; not tried again before {time_text(until)} ({text})"[:300]
            for site, (until, text) in sites.items()
            if until > now_ms
        }

    def _views(self) -> list[SiteView]:
        demands = unbound(self._mirror, self._sites)
        views = []
        for name, site in self._mirror.sites.items():
            ready, why = self._sites.readiness(name)
            member = self._sites.members.get(name)
            if member is None or not ready:
                views.append(SiteView(site=site, ready=False, not_ready=why, classes={}))
                continue
            figures = member.figures(tuple(site.spec.resources), demands.get(name, ()))
            views.append(SiteView(site=site, ready=True, classes={c: f.free for c, f in figures.items()}))
        return views


def unbound(mirror: Mirror, sites: Sites) -> dict[str, tuple[Demand, ...]]:
    """By site, tasks of assigned jobs that hold no node yet, alike ones together."""
    counts: dict[str, dict[tuple[str, int, int, int], int]] = defaultdict(lambda: defaultdict(int))
    for entry in mirror.jobs.values():
        assignment = entry.holds
        if assignment is None or entry.model is None:
            continue
        member = sites.members.get(assignment.site)
        bound = member.bound_tasks(entry.uid, assignment.epoch) if member else 0
        left = entry.model.spec.tasks - bound
        if left > 0:
            per_task = entry.model.spec.resources.per_task
            shape = (assignment.class_, cpu_milli(per_task.cpu), whole(per_task.memory), per_task.cards)
            counts[assignment.site][shape] += left
    return {
        site: tuple(Demand(class_, n, cpu, memory, cards) for (class_, cpu, memory, cards), n in sorted(shapes.items()))
        for site, shapes in counts.items()
    }
