"""Carries out the steps that the stages name: the only writer of ComputeJob status and of the members' objects."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from suanli.base.clock import Clock
from suanli.base.errors import SuanliError
from suanli.base.names import GROUP, VERSION
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.federation import render
from suanli.federation.member import Member
from suanli.kube.client import ApiClient, ApiError, Unreachable
from suanli.placement.snapshot import Decision
from suanli.reconcile import job as stages
from suanli.reconcile import status
from suanli.reconcile.meter import Meter
from suanli.reconcile.queue import WorkQueue
from suanli.reconcile.state import JobEntry, Mirror
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
MOST_STEPS = 8
FINAL_REFUSALS = (400, 413, 422)


class JobWorker:
    """Takes jobs forward, a few at a time, each by one step after the other."""

    def __init__(
        self,
        *,
        hub: ApiClient,
        hub_id: str,
        mirror: Mirror,
        members: Callable[[], Mapping[str, Member]],
        meter: Meter,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        on_waiting: Callable[[], None],
        warn: Callable[[JobEntry, Reason, str], None],
    ) -> None:
        self.queue = WorkQueue()
        self.decisions: dict[str, Decision] = {}
        self.backoff: dict[str, dict[str, tuple[int, str]]] = {}  # by job UID, by site: until when, and why
        self._hub = hub
        self._hub_id = hub_id
        self._mirror = mirror
        self._members = members
        self._meter = meter
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._on_waiting = on_waiting
        self._warn = warn
        self._explained: dict[str, int] = {}
        self._refused: dict[str, str] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            uid = await self.queue.get()
            try:
                await self._advance(uid)
                self.queue.succeeded(uid)
            except ApiError as error:
                await self._on_api_error(uid, error)
            except (Unreachable, SuanliError) as error:
                LOG.warning(
                    "job step failed, will be tried again", extra={"job": self._label(uid), "error": str(error)}
                )
                self.queue.failed(uid)
            except Exception:
                LOG.exception("job step failed unexpectedly, will be tried again", extra={"job": self._label(uid)})
                self._metrics.surprises.inc()
                self.queue.failed(uid, at_least_s=5.0)
            finally:
                self.queue.done(uid)

    async def _advance(self, uid: str) -> None:
        await self._meter.load(uid)
        for _ in range(MOST_STEPS):
            view = self.view(uid)
            step = stages.next_step(view)
            if isinstance(step, stages.Wait):
                if step.seconds is not None:
                    self.queue.add_later(uid, step.seconds)
                if view.entry is None and not any(at.jobs or at.pods for at in view.sites.values()):
                    self._forget(uid, view)
                return
            if not await self._carry_out(uid, view, step):
                return
        self.queue.add(uid)

    def view(self, uid: str) -> stages.View:
        """All that is known of one job now."""
        entry = self._mirror.jobs.get(uid)
        assigned = entry.assignment.site if entry and entry.assignment else None
        sites = {
            name: stages.AtSite(
                m.usable, m.last_heard_ms, tuple(m.jobs.get(uid, {}).values()), tuple(m.pods.get(uid, {}).values())
            )
            for name, m in self._members().items()
            if name == assigned or uid in m.jobs or uid in m.pods
        }
        return stages.View(
            uid=uid,
            entry=entry,
            sites=sites,
            recorded=self._meter.recorded(uid),
            usage=lambda: self._meter.usage(uid),
            decision=self.decisions.get(uid),
            explained_ms=self._explained.get(uid, 0),
            create_refused=self._refused.get(uid, ""),
            now_ms=self._clock.now_ms(),
            settings=self._settings,
        )

    async def _carry_out(self, uid: str, view: stages.View, step: stages.Step) -> bool:
        """Do one step; false when nothing can follow before something changes."""
        members = self._members()
        if isinstance(step, stages.Write) and view.entry is not None:
            return await self._write(view.entry, step)
        if isinstance(step, stages.Create) and view.entry is not None:
            await self._create(view.entry, step, members[step.assignment.site])
            return False  # the member's watch tells what comes of it
        if isinstance(step, stages.Delete):
            LOG.info(
                "stopping",
                extra={"job": self._label(uid), "site": step.site, "member_job": step.job.name, "why": step.why},
            )
            await members[step.site].delete_job(step.job)
            return False
        if isinstance(step, stages.Record):
            await self._meter.record(step.pods, self._clock.now_ms())
            return True
        if isinstance(step, stages.Release):
            await asyncio.gather(*(members[site].release_pod(pod) for site, pod in step.pods))
            return False
        return False

    async def _write(self, entry: JobEntry, step: stages.Write) -> bool:
        """One status write, checked by resourceVersion; a refused assignment is rolled back."""
        patch = status.patch_of(entry.status, step.status)
        if not patch:
            entry.assumed = None
            return False
        body = {"metadata": {"resourceVersion": str(entry.version), "uid": entry.uid}, "status": patch}
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{entry.namespace}/computejobs/{entry.name}/status"
        before, had_finished = entry.status.get("assignment"), entry.finished
        try:
            answer = await self._hub.patch(path, body)
        except ApiError as error:
            if error.status in (404, 409):
                self._roll_back(entry)
                await self._refresh(entry)
                return False
            raise
        self._mirror.apply("MODIFIED", answer)
        current = self._mirror.jobs.get(entry.uid)
        if current is not None:
            current.assumed = None
            current.assumed_status = {}
        self._after_write(entry, before, had_finished, step)
        return True

    def _after_write(self, entry: JobEntry, before: object, had_finished: bool, step: stages.Write) -> None:
        after = step.status.get("assignment")
        if after and not before:
            self.decisions.pop(entry.uid, None)
            self._metrics.placed(after["site"])
            LOG.info(
                "placed",
                extra={"job": entry.label, "site": after["site"], "class": after["class"], "epoch": after["epoch"]},
            )
        elif not after:
            self._explained[entry.uid] = self._clock.now_ms()
            if isinstance(before, dict) and step.warning is not None:
                until = self._clock.now_ms() + self._settings.retry_backoff_s * 1000
                self.backoff.setdefault(entry.uid, {})[str(before["site"])] = (until, step.text)
            self._on_waiting()
        if step.status.get("finishedAt") and not had_finished:
            state, reason = step.status["state"], step.status["reason"]
            LOG.info(
                "finished",
                extra={"job": entry.label, "state": state, "reason": reason, "usage": step.status.get("usage")},
            )
            self._metrics.finished(reason)
            self._on_waiting()
        if step.warning is not None:
            self._warn(entry, step.warning, step.text)

    async def _create(self, entry: JobEntry, step: stages.Create, member: Member) -> None:
        assignment = step.assignment
        assert entry.model is not None, "only a readable job is placed"
        site = self._mirror.sites.get(assignment.site)
        resource = next((r for r in site.spec.resources if r.class_ == assignment.class_), None) if site else None
        if resource is None:
            raise SuanliError(
                Reason.UNKNOWN_CLASS,
                f"ComputeSite {assignment.site} no longer offers class {assignment.class_}; put it back or delete the job",
            )
        manifest = render.job_manifest(
            hub_id=self._hub_id,
            namespace=entry.namespace,
            name=entry.name,
            uid=entry.uid,
            spec=entry.model.spec,
            assignment=assignment,
            resource=resource,
        )
        try:
            await member.create_job(render.namespace_manifest(self._hub_id, entry.namespace), manifest)
        except ApiError as error:
            if error.status not in FINAL_REFUSALS:
                raise
            self._refused[entry.uid] = error.message
            self.queue.add(entry.uid)
            return
        self._metrics.dispatched(assignment.site)

    async def _on_api_error(self, uid: str, error: ApiError) -> None:
        entry = self._mirror.jobs.get(uid)
        LOG.warning("job step refused, will be tried again", extra={"job": self._label(uid), "error": str(error)[:500]})
        if entry is not None and entry.assumed is not None and error.status in (400, 403, 413, 422):
            self._roll_back(entry)
        self.queue.failed(uid, at_least_s=error.retry_after_s or 0.0)

    def _roll_back(self, entry: JobEntry) -> None:
        current = self._mirror.jobs.get(entry.uid, entry)
        for held in (entry, current):
            held.assumed = None
            held.assumed_status = {}
        self._on_waiting()

    async def _refresh(self, entry: JobEntry) -> None:
        """The hub knows better: read it."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{entry.namespace}/computejobs/{entry.name}"
        try:
            answer = await self._hub.get(path)
        except ApiError as error:
            if error.status != 404:
                raise
            self._mirror.removed(entry)
            return
        if answer["metadata"]["uid"] != entry.uid:
            self._mirror.removed(entry)
        self._mirror.apply("MODIFIED", answer)
        self.queue.add(entry.uid)

    def _forget(self, uid: str, view: stages.View) -> None:
        pods = [p.uid for at in view.sites.values() for p in at.pods]
        self._meter.forget(uid, pods)
        for kept in (self.decisions, self.backoff, self._explained, self._refused):
            kept.pop(uid, None)

    def _label(self, uid: str) -> str:
        entry = self._mirror.jobs.get(uid)
        return entry.label if entry else f"uid {uid}"
