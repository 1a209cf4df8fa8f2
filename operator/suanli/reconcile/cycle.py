"""The placement cycle: a snapshot of all that waits, one decision for each, assumed here and committed by the workers."""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from suanli.api.job import Assignment
from suanli.base.clock import Clock, time_or_zero, time_text
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.units import cpu_milli, duration_ms, whole
from suanli.federation.capacity import Demand
from suanli.federation.member import Member
from suanli.placement.batch import in_order
from suanli.placement.deferral import may_wait
from suanli.placement.snapshot import Decision, Plan, Prices, Release, SiteView, WaitingJob
from suanli.placement.solve import place
from suanli.reconcile.budget import waits_until_ms
from suanli.reconcile.purse import Purse
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import Assumption, JobEntry, Mirror
from suanli.reconcile.worker import JobWorker
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
IDLE_S = 30.0  # with jobs waiting, look again at least so often: tariffs change
SETTLE_S = 3.0  # a fresh leader waits so long, beyond a probe, until it is known which sites are ready
SAME_START_MS = 15 * 60_000  # a planned start that moves by less is not told anew
THREAD_FROM = 100  # a larger batch is placed off the event loop
# Jobs of one account in one cycle: what others wait for must not grow with what one of them sends.
MOST_OF_ACCOUNT, LEAST_OF_ACCOUNT = 1_000, 2


class Cycle:
    """Places all waiting jobs at once, whenever something that matters has changed.

    Of an account with very many the first in the queue are asked in every cycle, the others in turn: a round is over when all have
    been asked since it began.
    """

    def __init__(
        self,
        *,
        mirror: Mirror,
        sites: Sites,
        worker: JobWorker,
        purse: Purse,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        place_all: Callable[..., Plan] = place,
    ) -> None:
        self._mirror = mirror
        self._sites = sites
        self._worker = worker
        self._purse = purse
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._place = place_all
        self._wake = asyncio.Event()
        self._prices: Prices | None = None
        self._starts_ms: list[int] = []  # planned by the last round
        self._looked_ms = 0  # what was due by then has been seen by the last cycle
        self._round = 0
        self._asked: dict[str, int] = {}  # by UID, the round in which a job of such an account was asked last
        self._is_round_over = True

    def wake(self) -> None:
        """Something changed that a waiting job may care about."""
        self._wake.set()

    async def run(self) -> None:
        """Cycle until cancelled."""
        loop = asyncio.get_running_loop()
        await self._settle()
        while True:
            began = loop.time()
            if self._is_round_over:
                self._wake.clear()  # who was asked in this round has not been asked about what changes during it
            try:
                await self._once()
            except Exception:
                LOG.exception("placement cycle failed, will be tried again")
                self._metrics.surprises.inc()
            took = loop.time() - began
            # Half of the time at most is spent on placement: what was placed has to get on its way.
            await asyncio.sleep(max(took, self._settings.cycle_ms / 1000 - took))
            if not self._is_round_over:
                continue
            try:
                async with asyncio.timeout(self._idle_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _settle(self) -> None:
        """The first plan is made when all sites have been heard from, not of the few that answer first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.probe_s + SETTLE_S):
                while self._sites.settling():
                    self._wake.clear()
                    await self._wake.wait()

    def _idle_s(self) -> float | None:
        """How long nothing can change for the jobs that wait, unless something wakes the cycle; None when no job waits.

        What came due while the last cycle was at work is due at once.
        """
        if not self._mirror.waiting:
            return None
        moments = [until for uid in self._mirror.waiting for until, _ in self._worker.backoff.get(uid, {}).values()]
        moments += self._starts_ms
        moments += [waits_until_ms(entry, self._settings) for entry in self._mirror.waiting.values()]
        moments += [
            time_or_zero(entry.outline.timing.not_before) for entry in self._mirror.waiting.values() if entry.outline
        ]
        now_ms = self._clock.now_ms()
        return min([IDLE_S, *(max(0, moment - now_ms) / 1000 for moment in moments if moment > self._looked_ms)])

    async def _once(self) -> None:
        """One cycle."""
        now_ms = self._looked_ms = self._clock.now_ms()
        if self._is_round_over:
            self._round += 1
            self._starts_ms = []
        waiting, out_of_line = self._bounded(self._waiting(now_ms))
        if not waiting:
            return
        decided_upon = {w.uid: self._mirror.waiting[w.uid].model for w in waiting}
        with self._metrics.cycle_seconds.time():
            defers = may_wait(waiting, now_ms)
            args = (
                waiting,
                self._views(now_ms if defers else None),
                self._mirror.country,
                now_ms,
                self._mirror.tenancy,
            )
            if len(waiting) >= THREAD_FROM:
                plan = await asyncio.to_thread(self._place, *args, warm=self._prices)
            else:
                plan = self._place(*args, warm=self._prices)
        self._prices = plan.prices
        self._starts_ms = sorted({*self._starts_ms, *(start_ms(decision) for decision in plan.decisions.values())})
        left = 0
        for uid, decision in plan.decisions.items():
            entry = self._mirror.waiting.get(uid)
            if entry is None or entry.model is not decided_upon[uid]:
                continue
            if decision.site is None:
                left += 1
                # Who was asked in turn stands behind jobs that were not: nobody has counted them.
                self._explain(uid, replace(decision, queue=None) if uid in out_of_line else decision)
            elif decision.site in self._mirror.sites:
                self._assume(entry, decision, plan.gap_ppm, now_ms)
        self._metrics.cycle(len(waiting), left, plan.gap_ppm)

    def _explain(self, uid: str, decision: Decision) -> None:
        """Have the reason written: another one at once, the same in other numbers when it is due."""
        before = self._worker.decisions.get(uid)
        if before is not None and is_still_deferred(before, decision):
            return
        self._worker.decisions[uid] = decision
        if before is None or before.reason is not decision.reason:
            self._worker.queue.add(uid)
        elif before != decision:
            self._worker.queue.add_later(uid, self._worker.explains_in_s(uid))

    def _assume(self, entry: JobEntry, decision: Decision, gap_ppm: int, now_ms: int) -> None:
        """Hold the room at once; the worker commits it on the hub or rolls it back."""
        assert decision.site is not None, "only a placed job is assumed"
        assert decision.class_ is not None, "a placed job has a class"
        epoch = max(entry.epoch, self._worker.last_epoch(entry.uid)) + 1
        assignment = Assignment(site=decision.site, epoch=epoch, class_=decision.class_, time=time_text(now_ms))
        self._mirror.assume(entry, Assumption(assignment, decision, gap_ppm, now_ms))
        self._worker.queue.add(entry.uid, urgent=True)

    def _releases(self, site: str, now_ms: int) -> tuple[Release, ...]:
        """What the jobs that run at a site are expected to give back; who is over its time may end at any moment."""
        found = []
        for entry in self._mirror.held_at(site):
            if entry.holds is not None and entry.outline is not None:
                spec, began_ms = entry.outline, time_or_zero(entry.holds.time)
                ends_ms = began_ms + duration_ms(spec.timing.expected_duration)
                per_task = spec.resources.per_task
                units = spec.tasks * (per_task.cards or cpu_milli(per_task.cpu) / 1_000)
                found.append(Release(entry.holds.class_, max(now_ms, ends_ms), units))
        return tuple(found)

    def _is_paid_for(self, entry: JobEntry, may: Callable[[JobEntry], Decision | bool]) -> bool:
        """Whether its account has money left; if not, the job says so."""
        said = may(entry)
        if isinstance(said, Decision):
            self._explain(entry.uid, said)
        return said is True

    def _waiting(self, now_ms: int) -> list[WaitingJob]:
        accounts, may = self._mirror.tenants, self._purse.gate()
        return [
            WaitingJob(
                uid=entry.uid,
                job=entry.asked,
                account=accounts.of(entry.namespace),
                submitted_ms=entry.created_ms,
                backoff=self._backoff(entry.uid, now_ms),
            )
            for entry in self._mirror.waiting.values()
            if entry.asked is not None
            and not self._worker.held_up(entry.uid)
            and not self._rests(entry, now_ms)
            and self._is_paid_for(entry, may)
        ]

    def _bounded(self, waiting: list[WaitingJob]) -> tuple[list[WaitingJob], frozenset[str]]:
        """Those who are asked in this cycle, and which of them are not the first of their account in the queue."""
        by_account: dict[str, list[WaitingJob]] = defaultdict(list)
        for job in waiting:
            by_account[job.account].append(job)
        self._is_round_over = True
        most = share([len(jobs) for jobs in by_account.values()], self._settings.cycle_jobs)
        if all(len(jobs) <= most for jobs in by_account.values()):
            self._asked.clear()
            return waiting, frozenset()
        asked, in_turn = list[WaitingJob](), dict[str, int]()
        for jobs in by_account.values():
            if len(jobs) <= most:
                asked += jobs
                continue
            line = in_order(jobs)
            half = most // 2
            due = [job for job in line[half:] if self._asked.get(job.uid) != self._round]
            asked += line[:half] + due[:half]
            in_turn |= dict.fromkeys((job.uid for job in due[:half]), self._round)
            self._is_round_over &= len(due) <= half
        known = self._mirror.waiting
        self._asked = {uid: n for uid, n in self._asked.items() if n == self._round and uid in known} | in_turn
        return asked, frozenset(in_turn)

    def _rests(self, entry: JobEntry, now_ms: int) -> bool:
        """Whether it failed so often that it waits; a wait that would last too long is of a clock that jumped back."""
        return 0 < waits_until_ms(entry, self._settings) - now_ms <= self._settings.retry_backoff_most_s * 1000

    def _backoff(self, uid: str, now_ms: int) -> Mapping[str, str]:
        """The sites that are not tried again yet, and why; one that would last too long is of a clock that jumped back."""
        most_ms = self._settings.retry_backoff_s * 1000
        return {
            site: f"an attempt there ended badly; not tried again before {time_text(until)} ({text})"[:300]
            for site, (until, text) in self._worker.backoff.get(uid, {}).items()
            if 0 < until - now_ms <= most_ms
        }

    def _views(self, ahead_of_ms: int | None) -> list[SiteView]:
        """The sites as they are, and where somebody plans ahead, what they are expected to have free later."""
        views = []
        for name, site in self._mirror.sites.items():
            ready, why = self._sites.readiness(name)
            member = self._sites.members.get(name)
            if member is None or not ready:
                views.append(SiteView(site=site, ready=False, not_ready=why))
                continue
            figures = member.figures(tuple(site.spec.resources), unbound(self._mirror, name, member))
            rooms = {c: f.room for c, f in figures.items()}
            releases = () if ahead_of_ms is None else self._releases(name, ahead_of_ms)
            views.append(SiteView(site=site, ready=True, classes=rooms, releases=releases))
        return views


def share(waiting: Sequence[int], most: int) -> int:
    """The most of one account, so that all accounts together have `most` at most: who has few leaves the rest to others.

    `waiting` are the jobs of each account. With more than half as many accounts as `most` each still has two.
    """
    left = most
    for done, count in enumerate(sorted(waiting)):
        of_each = left // (len(waiting) - done)
        if count > of_each:
            return max(LEAST_OF_ACCOUNT, min(MOST_OF_ACCOUNT, of_each))
        left -= count
    return MOST_OF_ACCOUNT


def start_ms(decision: Decision | None) -> int:
    """When a job that is put off is to start; 0 for any other."""
    if decision is None or decision.reason is not Reason.DEFERRED or decision.estimate is None:
        return 0
    return time_or_zero(decision.estimate.start)


def is_still_deferred(before: Decision, now: Decision) -> bool:
    """Whether the plan of a job that is put off is much the same: what was said of it stands."""
    both = before.reason is Reason.DEFERRED and now.reason is Reason.DEFERRED
    return both and abs(start_ms(now) - start_ms(before)) < SAME_START_MS


def unbound(mirror: Mirror, site: str, member: Member) -> tuple[Demand, ...]:
    """Tasks of jobs assigned to a site that hold no node yet, alike ones together."""
    counts: Counter[tuple[str, int, int, int]] = Counter()
    for entry in mirror.held_at(site):
        assignment = entry.holds
        if assignment is None or entry.outline is None or entry.bound_epoch == assignment.epoch:
            continue
        spec = entry.outline
        left = spec.tasks - member.bound_tasks(entry.uid, assignment.epoch)
        if left <= 0:
            entry.bound_epoch = assignment.epoch  # a task that had its node does not come again in this attempt
            continue
        per_task = spec.resources.per_task
        counts[assignment.class_, cpu_milli(per_task.cpu), whole(per_task.memory), per_task.cards] += left
    return tuple(Demand(class_, n, cpu, memory, cards) for (class_, cpu, memory, cards), n in sorted(counts.items()))
