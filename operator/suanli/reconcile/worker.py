"""Carries out the steps that the stages name: the only writer of ComputeJob status and of the members' objects."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from suanli.api.job import Assignment, ComputeJob, ComputeJobSpec
from suanli.api.site import ComputeSite, SiteResource, SiteState
from suanli.base.clock import Clock, time_or_zero
from suanli.base.errors import SuanliError
from suanli.base.names import GROUP, VERSION
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import items
from suanli.billing.agreement import Agreement, agreed
from suanli.billing.event import class_facts
from suanli.federation import render
from suanli.federation.member import Member
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable
from suanli.placement.legs import legs_of
from suanli.placement.snapshot import Decision
from suanli.reconcile import job as stages
from suanli.reconcile import status
from suanli.reconcile.attempts import Attempts, is_final
from suanli.reconcile.fences import Fences
from suanli.reconcile.lanes import Lanes
from suanli.reconcile.line import Line
from suanli.reconcile.meter import Meter
from suanli.reconcile.pace import Pace
from suanli.reconcile.purse import Purse
from suanli.reconcile.queue import WorkQueue
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import JobEntry, Mirror
from suanli.reconcile.sweep import Sweep
from suanli.telemetry.metrics import Metrics

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MOST_STEPS = 8
SURPRISE_S = 5.0
EXPLANATIONS_PER_S = 20  # of all waiting jobs together
REASONS_PER_S = 100  # the same for other reasons: a site that comes may give all that wait another one
NEVER_SO = (400, 403, 413, 422)  # the hub will not take this write, however often it is sent
HELD_UP_S = 30.0
TURN_S = 0.005  # of looks, then others have theirs
REREAD_S = 1.0  # before a job that was not read, though it may be there, is written to again
LEAST_WAIT_S = 0.001  # the rest of a sum of fractions is no time that a clock can tell
UNREAD = "it is gone from the site, and nobody read how long it ran"
PLURAL = ComputeJob.kind_info.plural


class JobWorker:
    """Takes jobs forward, a few at a time, each by one step after the other."""

    def __init__(
        self,
        *,
        hub: ApiClient,
        hub_id: str,
        mirror: Mirror,
        sites: Sites,
        fences: Fences,
        sweep: Sweep,
        meter: Meter,
        purse: Purse,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        on_waiting: Callable[[], None],
        on_unknown: Callable[[], None],
        warn: Callable[[JobEntry, Reason, str], None],
    ) -> None:
        """`on_waiting` is told when a job is to be placed again, `on_unknown` when a member holds what nobody knows."""
        self.queue = WorkQueue(self._fair_line())
        self.decisions: dict[str, Decision] = {}  # why jobs wait, by UID
        self.backoff: dict[str, dict[str, tuple[int, str]]] = {}  # by job UID, by site: until when, and why
        self._hub = hub
        self._hub_id = hub_id
        self._mirror = mirror
        self._sites = sites
        self._fences = fences
        self._sweep = sweep
        self._meter = meter
        self._purse = purse
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._on_waiting = on_waiting
        self._on_unknown = on_unknown
        self._warn = warn
        self._attempts = Attempts()
        self._pace = Pace(of_site=settings.site_failovers_per_minute, of_all=settings.failovers_per_minute)
        self._explained: dict[str, int] = {}
        self._unknown: dict[str, int] = {}  # by UID, comparisons begun when it was first seen on a member
        self._held_up: dict[str, float] = {}  # by UID, until when a refused assignment is not decided anew
        self._lanes: Lanes | None = None
        self._turn_ends_s = 0.0  # of the loop, which all workers share

    async def run(self) -> None:
        """Work until cancelled."""
        self._attempts.begin(asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as group:
            self._lanes = Lanes(group, self._settings.member_concurrency, self._at_member, self._fair_line)
            for _ in range(self._settings.workers):
                group.create_task(self._work())

    def _fair_line(self) -> Line:
        """One in which the tenants take turns, however many namespaces they have."""

        def whose(uid: str) -> str:
            entry = self._mirror.jobs.get(uid)
            return self._mirror.tenants.of(entry.namespace) if entry is not None else ""

        return Line(whose)

    # --- what the cycle asks

    def last_epoch(self, uid: str) -> int:
        """The last attempt of which anything is known anywhere, whatever the status says."""
        known = [self._meter.last_epoch(uid)]
        for member in self._sites.members.values():
            known += [j.epoch for j in member.jobs.get(uid, {}).values()]
            known += [p.epoch for p in member.pods.get(uid, {}).values()]
        return max(known)

    def held_up(self, uid: str) -> bool:
        """Whether the hub refused its last assignment a moment ago."""
        return self._held_up.get(uid, 0.0) > asyncio.get_running_loop().time()

    def explains_in_s(self, uid: str) -> float:
        """When other numbers of why a job waits are to be written: nobody looks at it for them before."""
        left_ms = self._explained.get(uid, 0) + self._explain_every_ms() - self._clock.now_ms()
        return max(self._settings.explain_s, min(left_ms, self._explain_every_ms()) / 1000)

    def spec_changed(self, uid: str) -> None:
        """What was said of an older spec does not hold any more."""
        self.decisions.pop(uid, None)

    # --- one look

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= self._turn_ends_s:  # most looks lead to nothing, and wait for nothing
                await asyncio.sleep(0)
                self._turn_ends_s = loop.time() + TURN_S
            uid = await self.queue.get()
            step = await self._guarded(uid, partial(self._advance, uid))
            if step is None:
                self.queue.done(uid)
            else:
                assert self._lanes is not None, "run made them"
                # The key stays with the lane.
                self._lanes.add(step.site, uid, urgent=isinstance(step, stages.Create))

    async def _at_member(self, site: str, uid: str) -> None:
        """What is due at a member now that it is the job's turn there; what is due elsewhere comes with the next look."""

        async def carry_out() -> None:
            view, step = self._look(uid)
            if isinstance(step, stages.MemberStep) and step.site == site:
                await self._carry_out(uid, view, step)
            elif isinstance(step, stages.Wait):
                self._wait(uid, view, step)
            else:
                self.queue.add(uid)

        await self._guarded(uid, carry_out)
        self.queue.done(uid)

    async def _guarded(self, uid: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the work returns; None when it failed, and then the job is looked at again later."""
        try:
            result = await work()
        except ApiError as error:
            LOG.warning("job step refused, will be tried again", extra=self._told(uid, error))
            self.queue.failed(uid, at_least_s=error.retry_after_s or 0.0)
        except (Unreachable, SuanliError) as error:
            LOG.warning("job step failed, will be tried again", extra=self._told(uid, error))
            self.queue.failed(uid)
        except Exception:
            LOG.exception("job step failed unexpectedly, will be tried again", extra={"job": self._label(uid)})
            self._metrics.surprises.inc()
            self.queue.failed(uid, at_least_s=SURPRISE_S)
        else:
            self.queue.succeeded(uid)
            return result
        return None

    async def _advance(self, uid: str) -> stages.MemberStep | None:
        """All steps that are due on the hub and in the ledger; the one that is due at a member then."""
        await self._meter.load(uid)
        for _ in range(MOST_STEPS):
            if (entry := self._mirror.jobs.get(uid)) is not None:
                await self._meter.give_up(uid, entry.lost)
            view, step = self._look(uid)
            if isinstance(step, stages.MemberStep):
                return step
            if isinstance(step, stages.Wait):
                self._wait(uid, view, step)
                return None
            if isinstance(step, stages.Record):
                self._expect_agreement(view.entry)
                await self._meter.record(step.pods, self._clock.now_ms())
            elif isinstance(step, stages.Write) and (over := self._unaccounted(view, step)) is not None:
                await self._meter.end(uid, over.epoch, over.site, _started_ms(view.entry), UNREAD, self._clock.now_ms())
            elif not await self._sent(view, step) and not await self._write(view, step):
                return None
        self.queue.add(uid)
        return None

    def _look(self, uid: str) -> tuple[stages.View, stages.Step]:
        """All that is known of one job now, and what is due."""
        self.queue.seen(uid)
        view = self.view(uid)
        return view, stages.next_step(view)

    def view(self, uid: str) -> stages.View:
        """All that is known of one job now."""
        entry = self._mirror.jobs.get(uid)
        assignment = entry.assignment if entry else None
        sites = {
            name: self._at(name, member, uid, entry)
            for name, member in self._sites.trusted().items()
            if uid in member.jobs or uid in member.pods
        }
        if assignment is not None and (assignment.site not in sites or not sites[assignment.site].usable):
            known = sites.get(assignment.site, stages.NOWHERE)
            site = assignment.site
            silent_s = self._sites.silent_for_s(site)
            sites[site] = stages.AtSite(
                self._sites.usable(site),
                self._sites.silence(site),
                known.jobs,
                known.pods,
                silent_s=silent_s,
                fenced_in_s=self._fences.certain_in_s(site, silent_s),
            )
        return stages.View(
            uid=uid,
            entry=entry,
            gone=entry is None and self._certainly_gone(uid, bool(sites)),
            sites=sites,
            recorded=self._meter.recorded(uid),
            usage=lambda: self._meter.usage(uid, entry.lost if entry is not None else ()),
            cost=lambda: self._meter.cost(uid, self._mirror.quotes, entry.lost if entry is not None else ()),
            offered=entry is not None and self._resource(entry) is not None,
            decision=self.decisions.get(uid),
            explained_ms=self._explained.get(uid, 0),
            explain_every_ms=self._explain_every_ms(),
            explain_other_ms=len(self._mirror.waiting) * 1000 // REASONS_PER_S,
            attempt=self._attempt(uid, entry, sites),
            leaving_s=self._attempts.leaving(
                uid, (p for at in sites.values() for p in at.pods), asyncio.get_running_loop().time()
            ),
            now_ms=self._clock.now_ms(),
            settings=self._settings,
            leaves_in_s=self._leaves_in_s(entry, sites),
            unpaid=self._purse.unpaid(uid, assignment.epoch) if assignment is not None else None,
        )

    def _leaves_in_s(self, entry: JobEntry | None, sites: dict[str, stages.AtSite]) -> float | None:
        """Until an attempt may leave a site that drains and answers; None where it stays."""
        assignment = entry.assignment if entry is not None and not entry.finished else None
        if assignment is None or not self._sites.drains(assignment.site) or not sites[assignment.site].usable:
            return None
        return self._pace.left_s(assignment.site, asyncio.get_running_loop().time())

    def _at(self, site: str, member: Member, uid: str, entry: JobEntry | None) -> stages.AtSite:
        """What one member holds of a job."""
        jobs = tuple(member.jobs.get(uid, {}).values())
        kept = frozenset(job.epoch for job in jobs if self._sweep.holds(site, entry, job))
        return stages.AtSite(member.usable, jobs=jobs, pods=tuple(member.pods.get(uid, {}).values()), kept=kept)

    def _attempt(self, uid: str, entry: JobEntry | None, sites: dict[str, stages.AtSite]) -> stages.Attempt:
        assignment = entry.assignment if entry else None
        if assignment is None:
            return stages.Attempt()
        here = sites.get(assignment.site, stages.NOWHERE)
        seen = any(job.epoch == assignment.epoch for job in here.jobs)
        return self._attempts.look(uid, assignment.epoch, seen=seen, now_s=asyncio.get_running_loop().time())

    def _explain_every_ms(self) -> int:
        return max(self._settings.explain_s * 1000, len(self._mirror.waiting) * 1000 // EXPLANATIONS_PER_S)

    def _certainly_gone(self, uid: str, somewhere: bool) -> bool:
        """Whether the hub has no such job; asks for a comparison when that is not certain and matters."""
        since = self._unknown.setdefault(uid, self._mirror.begun) if somewhere else self._mirror.begun
        gone = self._mirror.certainly_gone(uid, since)
        if somewhere and not gone:
            self._on_unknown()
        return gone

    def _resource(self, entry: JobEntry) -> SiteResource | None:
        """What the assigned site offers of the assigned class."""
        assignment = entry.assignment
        site = self._mirror.sites.get(assignment.site) if assignment else None
        if site is None or assignment is None:
            return None
        return next((r for r in site.spec.resources if r.class_ == assignment.class_), None)

    def _wait(self, uid: str, view: stages.View, step: stages.Wait) -> None:
        if step.seconds is not None:
            self.queue.add_later(uid, max(step.seconds, LEAST_WAIT_S))
        if view.entry is not None:
            self._unknown.pop(uid, None)
        elif not any(at.jobs or at.pods for at in view.sites.values()):
            self._meter.forget(uid)
            self._attempts.forget(uid)
            for kept in (self.decisions, self.backoff, self._explained, self._unknown, self._held_up):
                kept.pop(uid, None)

    def _unaccounted(self, view: stages.View, step: stages.Write) -> Assignment | None:
        """The attempt that a step lets go though not all that started of it was recorded; what is given up is not billed anyway."""
        entry = view.entry
        before = entry.assignment if entry is not None else None
        if entry is None or before is None or entry.finished or not _started_ms(entry):
            return None
        ends = not step.status.get("assignment") or step.status.get("finishedAt")
        given_up = any(one.get("epoch") == before.epoch for one in items(step.status.get("lost")))
        placed = entry.condition("Placed") or {}
        same = entry.outline is not None and placed.get("observedGeneration") == entry.generation
        tasks = entry.outline.tasks if entry.outline is not None and same else 0  # of an older spec the ledger knows
        return before if ends and not given_up and not self._meter.is_over(entry.uid, before.epoch, tasks) else None

    async def _sent(self, view: stages.View, step: stages.Write | stages.Commit) -> bool:
        """Whether it had to be counted first what an attempt that succeeded sends over links: its cost is another one then."""
        if view.entry is None or not isinstance(step, stages.Write) or step.succeeds is None:
            return False
        self._expect_agreement(view.entry)
        return await self._meter.succeed(view.uid, step.succeeds.epoch, self._clock.now_ms())

    # --- the hub

    async def _write(self, view: stages.View, step: stages.Write | stages.Commit) -> bool:
        """One status write, checked by resourceVersion; false when nothing can follow before something changes."""
        entry = view.entry
        assert entry is not None, "only what is on the hub has a status"
        if isinstance(step, stages.Commit):
            return await self._commit(entry)
        if step.leaves:
            left_s = self._pace.take(step.leaves, asyncio.get_running_loop().time())
            if left_s > 0:
                self.queue.add_later(entry.uid, max(1.0, left_s))  # many wait: not all look for every single one
                return False
        before, had_finished = entry.assignment, entry.finished
        if not await self._patch(entry, step.status):
            return False
        now_ms = self._clock.now_ms()
        if not step.status.get("assignment"):
            self._explained[entry.uid] = now_ms
        if before is not None and not step.status.get("assignment"):
            if step.backs_off:
                until = now_ms + self._settings.retry_backoff_s * 1000
                self.backoff.setdefault(entry.uid, {})[before.site] = (until, step.text)
            LOG.info("queued again", extra={"job": entry.label, "site": before.site, "epoch": before.epoch})
        if step.status.get("finishedAt") and not had_finished:
            told = {k: step.status.get(k) for k in ("state", "reason", "usage")}
            LOG.info("finished", extra={"job": entry.label, **told})
            self._metrics.finished(step.status["reason"])
        if step.warning is not None:
            self._warn(entry, step.warning, step.text)
        return True

    async def _commit(self, entry: JobEntry) -> bool:
        """Write the assumed assignment; a refused one is rolled back."""
        assumed = entry.assumed
        assert assumed is not None, "there is one to commit"
        assignment = assumed.assignment
        if assignment.epoch <= self.last_epoch(entry.uid):
            self._mirror.roll_back(entry.uid)  # the status was tampered with: no number is used twice
            self._on_waiting()
            return False
        if not self._sites.readiness(assignment.site)[0]:
            self._mirror.roll_back(
                entry.uid
            )  # since the plan was made it fell silent, or was told to take nothing more
            self._on_waiting()
            return False
        refused = await self._purse.take(entry, assumed)
        if refused is not None:
            if self._mirror.roll_back(entry.uid):
                self.decisions[entry.uid] = refused
                self.queue.add(entry.uid)
                self._on_waiting()
            return False
        if entry.assumed is not assumed:
            return False  # the hub had another word meanwhile
        wanted = status.placed(entry, assumed.decision, assignment, assumed.gap_ppm, assumed.decided_ms)
        try:
            written = await self._patch(entry, wanted)
        except ApiError as error:
            if error.status in NEVER_SO and self._mirror.roll_back(entry.uid):
                # It is placed again, but not at once: the hub would say the same.
                loop = asyncio.get_running_loop()
                self._held_up[entry.uid] = loop.time() + HELD_UP_S
                loop.call_later(HELD_UP_S, self._on_waiting)
            raise
        if not written:
            if self._mirror.roll_back(entry.uid):
                self._on_waiting()
            return False
        self.decisions.pop(entry.uid, None)
        if entry.assignment == assignment:
            self._expect_agreement(entry)
        self._metrics.placed(assignment.site)
        told = {"site": assignment.site, "class": assignment.class_, "epoch": assignment.epoch}
        LOG.info("placed", extra={"job": entry.label, **told})
        return True

    async def _patch(self, entry: JobEntry, wanted: Json) -> bool:
        """Whether the status is written, over exactly the version that it was made from. Raises: ApiError, Unreachable, SuanliError."""
        patch = status.patch_of(entry.status, wanted)
        if not patch:
            return False
        body = {"metadata": {"resourceVersion": str(entry.version), "uid": entry.uid}, "status": patch}
        version = entry.version
        try:
            answer = await self._hub.patch(f"{self._path(entry)}/status", body)
        except ApiError as error:
            if error.status == 404:
                self._mirror.removed(entry)
            elif error.status == 409:
                await self._refresh(entry)
            else:
                raise
            return False
        self._mirror.apply("MODIFIED", answer)
        if answer["metadata"].get("resourceVersion") == str(version):
            raise SuanliError(
                Reason.INVALID_SPEC,
                f"{entry.label}: the hub kept nothing of {', '.join(patch)}; its CRDs are of another version, apply this one's",
            )
        return True

    async def _refresh(self, entry: JobEntry) -> None:
        """The hub knows better: read it. What is read may be older than what is known: that a job is gone, only a write tells."""
        try:
            answer = await self._hub.get(self._path(entry))
        except ApiError as error:
            if error.status != 404:
                raise
            self.queue.add_later(entry.uid, REREAD_S)
            return
        self._mirror.apply("MODIFIED", answer)
        self.queue.add(entry.uid)

    @staticmethod
    def _path(entry: JobEntry) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{entry.namespace}/{PLURAL}/{entry.name}"

    # --- the members

    async def _carry_out(self, uid: str, view: stages.View, step: stages.MemberStep) -> None:
        member = self._sites.trusted()[step.site]
        if isinstance(step, stages.Create):
            assert view.entry is not None, "only what is on the hub is created"
            await self._create(view.entry, step, member)
        elif isinstance(step, stages.Find):
            assert view.entry is not None, "only what is on the hub is looked for"
            if not await member.find_job(uid, step.assignment.epoch, view.entry.namespace):
                self._attempts.missed(uid, step.assignment.epoch)
            self.queue.add(uid)
        elif isinstance(step, stages.Delete):
            if step.runs and await member.find_ended(step.job):
                self.queue.add(uid)
                return
            told = {"site": step.site, "member_job": step.job.name, "why": step.why}
            LOG.info("stopping", extra={"job": self._label(uid), **told})
            await member.delete_job(step.job)
        else:
            done = await asyncio.gather(*(member.release_pod(pod) for pod in step.pods), return_exceptions=True)
            for error in done:
                if error is not None:
                    raise error

    async def _create(self, entry: JobEntry, step: stages.Create, member: Member) -> None:
        resource = self._resource(entry)
        assert entry.model is not None, "only a readable job is created"
        assert resource is not None, "only where its class is offered"
        manifest = render.job_manifest(
            hub_id=self._hub_id,
            namespace=entry.namespace,
            name=entry.name,
            uid=entry.uid,
            spec=entry.model.spec,
            assignment=step.assignment,
            resource=resource,
            failover=entry.failover,
        )
        agreement = self._agreement(entry, step.assignment)
        assert agreement is not None, "only what can be read is created, and only where its class is offered"
        try:
            await self._meter.agree(agreement)
        except SuanliError as error:  # bills wait for the disk, jobs do not
            LOG.warning("what an attempt is rated by is not on the disk yet", extra=self._told(entry.uid, error))
        loop = asyncio.get_running_loop()
        self._attempts.try_create(entry.uid, step.assignment.epoch, loop.time())
        try:
            await member.create_job(render.namespace_manifest(self._hub_id, entry.namespace), manifest)
        except (ApiError, Unreachable) as error:
            self._attempts.answered(entry.uid, error, loop.time())
            if not is_final(error):
                raise
            self.queue.add(entry.uid)
            return
        self._attempts.answered(entry.uid, None, loop.time())
        self._metrics.dispatched(step.site)

    def _expect_agreement(self, entry: JobEntry | None) -> None:
        """Have it written what the attempt is rated by, if that can be known."""
        assignment = entry.assignment if entry is not None else None
        agreement = self._agreement(entry, assignment) if entry is not None and assignment is not None else None
        if agreement is not None:
            self._meter.expect(agreement)

    def _agreement(self, entry: JobEntry, assignment: Assignment) -> Agreement | None:
        """Whose the attempt is, and by what its use will be rated; None while its spec or what the site offers cannot be read."""
        site = self._mirror.sites.get(assignment.site)
        facts = class_facts(site, assignment.class_) if site is not None else None
        asked = entry.asked
        if asked is None or site is None or facts is None:
            return None
        return agreed(
            job_uid=entry.uid,
            namespace=entry.namespace,
            job=entry.name,
            spec=asked.spec,
            assignment=assignment,
            site=site,
            facts=facts,
            account=self._mirror.tenants.of(entry.namespace),
            now_ms=self._clock.now_ms(),
            legs=legs_of(self._mirror.country.network, site, asked.spec, self._checkpoint_at(asked.spec)),
        )

    def _checkpoint_at(self, spec: ComputeJobSpec) -> ComputeSite | None:
        """The site where a job's checkpoint lies, if it can be had there, as placement has it."""
        name = spec.checkpoint.site if spec.checkpoint is not None else None
        site = self._mirror.sites.get(name) if name is not None else None
        if name is None or site is None:
            return None
        return site if self._sites.readiness(name)[0] or site.spec.desired_state is not SiteState.ACTIVE else None

    # --- words

    def _told(self, uid: str, error: Exception) -> Json:
        return {"job": self._label(uid), "error": str(error)[:500]}

    def _label(self, uid: str) -> str:
        entry = self._mirror.jobs.get(uid)
        return entry.label if entry else f"uid {uid}"


def _started_ms(entry: JobEntry | None) -> int:
    """When the attempt is known to have started, by its member's clock; 0 where it is not."""
    return time_or_zero(entry.status.get("startedAt")) if entry is not None else 0
