"""A job's way as an ordered table of pure functions.

Each stage looks at what the hub and the members hold now and returns the one step that is due, or None to let the next
stage look. No stage remembers anything: after a crash the same table goes on from the same facts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from suanli.api.job import Assignment, JobState, Usage
from suanli.base.clock import parse_time_ms, time_text
from suanli.base.conditions import Condition
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.federation.facts import OwnJob, OwnPod
from suanli.kube.client import Json
from suanli.placement.snapshot import Decision
from suanli.reconcile import status
from suanli.reconcile.state import JobEntry


@dataclass(frozen=True)
class AtSite:
    """What one member holds of one job."""

    usable: bool
    silent_since_ms: int
    jobs: tuple[OwnJob, ...]
    pods: tuple[OwnPod, ...]


@dataclass(frozen=True)
class View:
    """All that a stage may look at."""

    uid: str
    entry: JobEntry | None  # None: no ComputeJob owns what the members hold
    sites: Mapping[str, AtSite]
    recorded: frozenset[str]  # pods whose use is in the ledger, or that had none
    usage: Callable[[], Usage]  # all that is in the ledger for this job
    decision: Decision | None  # what the last cycle said, if it did not place the job
    explained_ms: int  # when the reason for waiting was last written
    create_refused: str  # what the member said to the last create, if it said no for good
    now_ms: int
    settings: Settings

    @property
    def here(self) -> AtSite | None:
        """The site of the current assignment."""
        assignment = self.entry.assignment if self.entry else None
        return self.sites.get(assignment.site) if assignment else None

    def job(self) -> OwnJob | None:
        """The current attempt's member Job."""
        assignment = self.entry.assignment if self.entry else None
        here = self.here
        if assignment is None or here is None:
            return None
        return next((j for j in here.jobs if j.epoch == assignment.epoch), None)

    def pods(self) -> list[OwnPod]:
        """The current attempt's pods."""
        assignment = self.entry.assignment if self.entry else None
        here = self.here
        if assignment is None or here is None:
            return []
        return [p for p in here.pods if p.epoch == assignment.epoch]


@dataclass(frozen=True)
class Write:
    """Write this status; warn people if there is something to warn of."""

    status: Json
    warning: Reason | None = None
    text: str = ""


@dataclass(frozen=True)
class Create:
    """Create the attempt's Job on its member."""

    assignment: Assignment


@dataclass(frozen=True)
class Delete:
    """Delete this Job on this member."""

    site: str
    job: OwnJob
    why: str


@dataclass(frozen=True)
class Record:
    """Put the use of these pods into the ledger."""

    pods: tuple[tuple[str, OwnPod], ...]


@dataclass(frozen=True)
class Release:
    """Let these pods go."""

    pods: tuple[tuple[str, OwnPod], ...]


@dataclass(frozen=True)
class Wait:
    """Nothing is due before `seconds` have passed, or before something changes."""

    seconds: float | None = None


Step = Write | Create | Delete | Record | Release | Wait
# An attempt that is being taken back for one of these reasons; the reason stands in condition Dispatched.
UNCOUNTED = frozenset({Reason.GANG_TIMEOUT, Reason.DISRUPTED})
ENDING = UNCOUNTED | {Reason.IMAGE_PULL_FAILED, Reason.FAILED, Reason.DELETED_ON_MEMBER}


def record(view: View) -> Step | None:
    """What ended is metered before anything else happens to it."""
    due = tuple((site, p) for site, at in view.sites.items() for p in at.pods if p.ended and p.uid not in view.recorded)
    return Record(due) if due else None


def release(view: View) -> Step | None:
    """A pod that is being deleted goes once it cannot run any more and its use is recorded."""
    due, later = [], 0
    for site, at in view.sites.items():
        for pod in at.pods:
            if not (pod.metered and pod.deleting):
                continue
            unborn = not pod.started and not pod.ended
            grace_left_ms = _time(pod.deletion) - view.now_ms
            if (pod.ended and pod.uid in view.recorded) or (unborn and (not pod.node or grace_left_ms <= 0)):
                due.append((site, pod))
            elif unborn:
                later = max(later, grace_left_ms)
    if due:
        return Release(tuple(due))
    return Wait(later / 1000) if later and view.entry is None else None


def remove_stale(view: View) -> Step | None:
    """What no ComputeJob owns, or an older attempt left, is removed before anything new is made."""
    assignment = view.entry.assignment if view.entry else None
    for site, at in view.sites.items():
        for job in at.jobs:
            current = assignment is not None and (site, job.epoch) == (assignment.site, assignment.epoch)
            if at.usable and not current and not job.deleting:
                return Delete(site, job, "no ComputeJob owns it" if view.entry is None else "it is of an older attempt")
    return None if view.entry else Wait()


def refuse_invalid(view: View) -> Step | None:
    """A spec that cannot be read is said so."""
    entry = _entry(view)
    if entry.model is not None or entry.assignment is not None or entry.finished:
        return None
    return _write_or_wait(entry, status.invalid(entry, view.now_ms), Reason.INVALID_SPEC)


def confirm(view: View) -> Step | None:
    """A decision is committed on the hub before anything is created on a member."""
    entry = _entry(view)
    return Write(entry.assumed_status) if entry.assumed is not None else None


def settle_finished(view: View) -> Step | None:
    """A finished job's objects stay for people to look at, then go; its use is kept right."""
    entry = _entry(view)
    if not entry.finished:
        return None
    usage = status.wire(view.usage())
    if (entry.status.get("usage") or {}) != usage:
        return Write(status.changed(entry, view.now_ms, [], usage=usage))
    job = view.job()
    if job is None or job.deleting:
        return Wait()
    left_ms = _time(entry.status.get("finishedAt")) + view.settings.retain_finished_s * 1000 - view.now_ms
    over = job.complete or job.failed_reason
    if over and left_ms > 0:
        return Wait(left_ms / 1000)
    return Delete(_assigned(entry).site, job, "the job has finished")


def explain_waiting(view: View) -> Step | None:
    """A job without a site says why, but not more often than is read."""
    entry = _entry(view)
    if entry.assignment is not None:
        return None
    if entry.model is not None and entry.model.spec.desired_state is JobState.SUSPENDED:
        text = "spec.desiredState is Suspended; set it to Running to go on"
        conditions = [*status.accepted(), Condition("Placed", False, Reason.SUSPENDED, text)]
        wanted = status.changed(entry, view.now_ms, conditions, placement=None, queue=None)
        return _write_or_wait(entry, wanted)
    if view.decision is None:
        return Wait()
    wanted = status.waiting(entry, view.decision, view.now_ms)
    if not status.patch_of(entry.status, wanted):
        return Wait()
    left_ms = view.explained_ms + view.settings.explain_s * 1000 - view.now_ms
    old = entry.condition("Placed")
    if left_ms > 0 and old is not None and old["reason"] == view.decision.reason:
        return Wait(left_ms / 1000)
    return Write(wanted)


def mark_silence(view: View) -> Step | None:
    """While the site is silent, nothing is done there and nothing old is shown as fresh."""
    entry, here = _entry(view), view.here
    if here is not None and here.usable:
        return None
    assignment = _assigned(entry)
    running = entry.condition("Running")
    if running is None or running["status"] != "True":
        return Wait()
    if here is None:
        text = f"ComputeSite {assignment.site} is not known or not connected; restore it, or delete the job"
    else:
        text = f"{assignment.site} was last heard from at {time_text(here.silent_since_ms)}; the job may still be running there"
    wanted = status.changed(entry, view.now_ms, [Condition("Running", None, Reason.SITE_UNREACHABLE, text)])
    return _write_or_wait(entry, wanted)


def suspend(view: View) -> Step | None:
    """Suspending stops the attempt; what ran stays metered."""
    entry = _entry(view)
    if entry.model is None or entry.model.spec.desired_state is not JobState.SUSPENDED:
        return None
    gone = _stopped(view, "the user suspended it")
    if gone is not None:
        return gone
    text = "spec.desiredState is Suspended; set it to Running to go on"
    conditions = [
        Condition("Placed", False, Reason.SUSPENDED, text),
        Condition("Dispatched", False, Reason.SUSPENDED, text),
        Condition("Running", False, Reason.SUSPENDED, text),
    ]
    usage = status.wire(view.usage())
    return Write(
        status.changed(entry, view.now_ms, conditions, assignment=None, placement=None, startedAt=None, usage=usage)
    )


def take_back(view: View) -> Step | None:
    """An attempt that ended badly is removed first; only then the job is queued again, or ends."""
    entry = _entry(view)
    dispatched = entry.condition("Dispatched")
    if dispatched is None or dispatched["status"] != "False" or dispatched["reason"] not in ENDING:
        return None
    gone = _stopped(view, f"the attempt ended: {dispatched['reason']}")
    if gone is not None:
        return gone
    reason, text = Reason(dispatched["reason"]), str(dispatched["message"])
    counted = reason not in UNCOUNTED
    failures = int(entry.status.get("failures") or 0) + (1 if counted else 0)
    retries = entry.model.spec.limits.retries if entry.model else 0
    if counted and failures > retries:
        wanted = status.finished(entry, reason, text, view.usage(), view.now_ms, failures=failures)
        return Write(wanted, reason, text)
    number = f"attempt {_assigned(entry).epoch} at {_assigned(entry).site} ended: {text}"
    conditions = [
        Condition("Placed", False, Reason.REQUEUED, number),
        Condition("Dispatched", False, Reason.REQUEUED, number),
        Condition("Running", False, Reason.REQUEUED, number),
    ]
    wanted = status.changed(
        entry,
        view.now_ms,
        conditions,
        assignment=None,
        placement=None,
        startedAt=None,
        failures=failures or None,
        usage=status.wire(view.usage()),
    )
    return Write(wanted, reason, number)


def create(view: View) -> Step | None:
    """The attempt's Job is created once; if it was there before and is not any more, somebody removed it."""
    entry = _entry(view)
    if view.job() is not None:
        return None
    if view.create_refused:
        text = f"{_assigned(entry).site} refused the job: {view.create_refused}"
        return Write(
            status.finished(entry, Reason.DISPATCH_REFUSED, text, view.usage(), view.now_ms),
            Reason.DISPATCH_REFUSED,
            text,
        )
    if any(at.jobs or at.pods for at in _others(view)):
        return Wait()  # at most one copy: the old one has to be gone first
    dispatched = entry.condition("Dispatched")
    if view.pods() or (dispatched is not None and dispatched["status"] == "True"):
        text = f"the member Job was removed at {_assigned(entry).site}, not by suanli"
        return _end_attempt(view, Reason.DELETED_ON_MEMBER, text)
    return Create(_assigned(entry))


def follow(view: View) -> Step | None:
    """What the member says becomes the job's conditions."""
    entry, job, pods = _entry(view), view.job(), view.pods()
    if job is None:
        return Wait()
    if job.deleting:
        return (
            Wait()
            if not _dispatched(entry)
            else _end_attempt(
                view, Reason.DELETED_ON_MEMBER, f"the member Job was removed at {_assigned(entry).site}, not by suanli"
            )
        )
    if job.complete or job.failed_reason:
        if any(p.started and not p.ended for p in pods):
            return Wait()
        return _ended(view, job, pods)
    tasks = entry.model.spec.tasks if entry.model else len(pods)
    started = sum(p.started for p in pods)
    if started >= tasks:
        return _mark_running(view, tasks)
    return _pending(view, job, pods, started, tasks)


STAGES: tuple[Callable[[View], Step | None], ...] = (
    record,
    release,
    remove_stale,
    refuse_invalid,
    confirm,
    settle_finished,
    explain_waiting,
    mark_silence,
    suspend,
    take_back,
    create,
    follow,
)


def next_step(view: View) -> Step:
    """The first step that a stage finds due."""
    for stage in STAGES:
        step = stage(view)
        if step is not None:
            return step
    return Wait()


# --- the stages' own words


def _ended(view: View, job: OwnJob, pods: list[OwnPod]) -> Step:
    entry, assignment = _entry(view), _assigned(_entry(view))
    usage = view.usage()
    if job.complete:
        text = f"{len(pods)} of {len(pods)} tasks succeeded at {assignment.site}"
        return Write(status.finished(entry, Reason.SUCCEEDED, text, usage, view.now_ms, startedAt=_started_at(pods)))
    failures = [p for p in pods if p.failure]
    first = failures[0].failure if failures else job.failed_message
    text = f"{len(failures)} of {len(pods)} tasks failed at {assignment.site}; first: {first}"
    if job.failed_reason == "DeadlineExceeded":
        limit = entry.model.spec.limits.active_deadline if entry.model else ""
        text = f"the attempt ran longer than limits.activeDeadline {limit} at {assignment.site}"
        return Write(
            status.finished(entry, Reason.DEADLINE, text, usage, view.now_ms, startedAt=_started_at(pods)),
            Reason.DEADLINE,
            text,
        )
    disrupted = bool(failures) and all(p.disrupted for p in failures)
    retries = entry.model.spec.limits.retries if entry.model else 0
    if disrupted or int(entry.status.get("failures") or 0) < retries:
        return _end_attempt(view, Reason.DISRUPTED if disrupted else Reason.FAILED, text)
    count = int(entry.status.get("failures") or 0) + 1
    wanted = status.finished(
        entry, Reason.FAILED, text, usage, view.now_ms, startedAt=_started_at(pods), failures=count
    )
    return Write(wanted, Reason.FAILED, text)


def _mark_running(view: View, tasks: int) -> Step:
    entry, assignment = _entry(view), _assigned(_entry(view))
    text = f"{tasks} of {tasks} tasks started at {assignment.site}"
    conditions = [
        Condition("Dispatched", True, Reason.DISPATCHED, f"created at {assignment.site}"),
        Condition("Running", True, Reason.RUNNING, text),
    ]
    return _write_or_wait(entry, status.changed(entry, view.now_ms, conditions, startedAt=_started_at(view.pods())))


def _pending(view: View, job: OwnJob, pods: list[OwnPod], started: int, tasks: int) -> Step:
    """Not all tasks have started: say so after a while, and take the attempt back after a longer one."""
    entry, settings = _entry(view), view.settings
    waited_ms = view.now_ms - _time(job.created)
    troubled = [p for p in pods if not p.started and p.trouble]
    image = [p for p in troubled if p.image_trouble]
    told = f"; {len(troubled)} of them: {troubled[0].trouble}" if troubled else ""
    text = f"{started} of {tasks} tasks started at {_assigned(entry).site}, {tasks - started} pending{told}"[:1000]
    running = entry.condition("Running")
    if image and waited_ms >= settings.image_timeout_s * 1000:
        return _end_attempt(view, Reason.IMAGE_PULL_FAILED, text)
    if waited_ms >= settings.gang_timeout_s * 1000 and not (running and running["status"] == "True"):
        return _end_attempt(view, Reason.GANG_TIMEOUT, f"{text}; not all started within {settings.gang_timeout_s} s")
    limits_s = [settings.report_pending_s, settings.gang_timeout_s, *([settings.image_timeout_s] if image else [])]
    next_s = min((s for s in limits_s if s * 1000 > waited_ms), default=settings.gang_timeout_s) - waited_ms / 1000
    if waited_ms >= settings.report_pending_s * 1000 and (running is None or running["reason"] != Reason.PODS_PENDING):
        conditions = [
            Condition("Dispatched", True, Reason.DISPATCHED, f"created at {_assigned(entry).site}"),
            Condition("Running", False, Reason.PODS_PENDING, text),
        ]
        return Write(status.changed(entry, view.now_ms, conditions))
    return Wait(max(0.1, next_s))


def _end_attempt(view: View, reason: Reason, text: str) -> Step:
    """First the hub knows why; only then the member's objects are touched."""
    conditions = [Condition("Dispatched", False, reason, text), Condition("Running", False, Reason.STOPPING, text)]
    return Write(status.changed(_entry(view), view.now_ms, conditions))


def _stopped(view: View, why: str) -> Step | None:
    """None once nothing of the current attempt is left; else the step towards that."""
    job = view.job()
    if job is not None and not job.deleting:
        return Delete(_assigned(_entry(view)).site, job, why)
    if job is not None or view.pods():
        later = [_time(p.deletion) - view.now_ms for p in view.pods() if p.deleting and not p.started]
        return Wait(max(1.0, max(later) / 1000)) if later else Wait()
    return None


def _others(view: View) -> Iterable[AtSite]:
    """What the members hold of this job beside the current attempt."""
    assignment = _assigned(_entry(view))
    for site, at in view.sites.items():
        mine = site == assignment.site
        yield AtSite(
            at.usable,
            at.silent_since_ms,
            tuple(j for j in at.jobs if not (mine and j.epoch == assignment.epoch)),
            tuple(p for p in at.pods if not (mine and p.epoch == assignment.epoch)),
        )


def _write_or_wait(entry: JobEntry, wanted: Json, warning: Reason | None = None) -> Step:
    if not status.patch_of(entry.status, wanted):
        return Wait()
    return Write(wanted, warning, entry.problem if warning else "")


def _dispatched(entry: JobEntry) -> bool:
    condition = entry.condition("Dispatched")
    return condition is not None and condition["status"] == "True"


def _started_at(pods: Iterable[OwnPod]) -> str | None:
    """When the first container started, as its member says."""
    moments = []
    for pod in pods:
        for container in (pod.raw.get("status") or {}).get("containerStatuses") or []:
            state = container.get("state") or {}
            begun = (state.get("running") or state.get("terminated") or {}).get("startedAt")
            if isinstance(begun, str) and _time(begun):
                moments.append(_time(begun))
    return time_text(min(moments)) if moments else None


def _time(text: object) -> int:
    try:
        return parse_time_ms(text) if isinstance(text, str) and text else 0
    except (ValueError, OverflowError):
        return 0


def _entry(view: View) -> JobEntry:
    assert view.entry is not None, "remove_stale ends the way of what no ComputeJob owns"
    return view.entry


def _assigned(entry: JobEntry) -> Assignment:
    assignment = entry.assignment
    assert assignment is not None, "explain_waiting ends the way of a job without assignment"
    return assignment
