"""A job's way as an ordered table of pure functions.

Each stage looks at what the hub and the members hold now and returns the one step that is due, or None to let the next
stage look. No stage remembers anything: after a crash the same table goes on from the same facts.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from suanli.api.job import Assignment, Failover, Usage
from suanli.base.clock import time_or_zero, time_text
from suanli.base.conditions import Condition
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import items, text
from suanli.federation.facts import OwnJob, OwnPod
from suanli.kube.client import Json
from suanli.placement.snapshot import Decision
from suanli.reconcile import budget, status
from suanli.reconcile.state import JobEntry

SUSPENDED = "spec.desiredState is Suspended; set it to Running to go on"
LEAVING_S = 60.0  # twice the grace that our pods have
STUCK_S = 300.0  # a pod that was told to stop so long ago has a node that does not answer, or worse
MOST_STUCK = 3  # pods in a message
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
MOST_LOST = 64  # attempts of one job that are given up at silent sites
POD_NEWS_S = 30.0  # a Job may be known to be complete before the last of its pods is known


@dataclass(frozen=True)
class AtSite:
    """What one member holds of one job; `silence` says why nobody can know what runs there now, if that is certain."""

    usable: bool
    silence: str = ""
    jobs: tuple[OwnJob, ...] = ()
    pods: tuple[OwnPod, ...] = ()
    silent_s: float = 0.0  # since it was found silent
    kept: frozenset[int] = frozenset()  # epochs of Jobs that stay until a person has been asked
    fenced_in_s: float | None = None  # until its fence has certainly stopped AtMostOnce work; None: no fence is known


@dataclass(frozen=True)
class Attempt:
    """What this process knows of the current attempt beside hub and members; a fresh one knows nothing, and may."""

    created: bool = False  # the member said that its Job is there
    unanswered_s: float = 0.0  # a create got no answer; for so long it may still come true
    missing: bool = False  # the member was asked for its Job, and has none; its pods are known
    refused: str = ""  # what the member said to the last create, if it said no for good
    put_off: str = ""  # the same, if it may say yes later
    tried_s: float = 0.0  # since the first try to create it
    seen_s: float = 0.0  # since its Job was first seen


@dataclass(frozen=True)
class View:
    """All that a stage may look at."""

    uid: str
    entry: JobEntry | None  # None: the mirror has no such ComputeJob
    gone: bool  # the hub certainly has none
    sites: Mapping[str, AtSite]
    recorded: AbstractSet[str]  # pods whose use is in the ledger, or that had none
    usage: Callable[[], Usage]  # all that is in the ledger for this job
    cost: Callable[[], int | None]  # what that is billed in micro-yuan, where a tariff says it
    offered: bool  # the assigned site offers the assigned class
    decision: Decision | None  # what the last cycle said, if it did not place the job
    explained_ms: int  # when the reason for waiting was last written
    explain_every_ms: int  # in other numbers
    explain_other_ms: int  # another reason
    attempt: Attempt
    leaving_s: Mapping[str, float]  # by pod that is being deleted and has not ended, since when that is known
    now_ms: int
    settings: Settings
    leaves_in_s: float | None = None  # of an attempt at a site that drains: until it may leave; None: it stays
    unpaid: tuple[float, str] | None = None  # until an attempt is to be stopped for which no money is there, and why

    @property
    def here(self) -> AtSite:
        """The site of the current assignment."""
        assignment = self.entry.assignment if self.entry else None
        return self.sites.get(assignment.site, NOWHERE) if assignment else NOWHERE

    def job(self) -> OwnJob | None:
        """The current attempt's member Job."""
        epoch = self._epoch()
        return next((j for j in self.here.jobs if j.epoch == epoch), None)

    def pods(self) -> list[OwnPod]:
        """The current attempt's pods."""
        epoch = self._epoch()
        return [p for p in self.here.pods if p.epoch == epoch]

    def cost_text(self) -> str | None:
        """What the job's use is billed, as a status has it."""
        cost = self.cost()
        return None if cost is None else str(cost)

    def alive(self, pod: OwnPod) -> bool:
        """Whether a pod may run, or is not metered yet."""
        return not (pod.ended and pod.uid in self.recorded)

    def _epoch(self) -> int:
        return self.entry.assignment.epoch if self.entry and self.entry.assignment else 0


NOWHERE = AtSite(usable=False)


@dataclass(frozen=True)
class Write:
    """Write this status; warn people if there is something to warn of."""

    status: Json
    warning: Reason | None = None
    text: str = ""
    backs_off: bool = False  # the site is not tried again for a while
    leaves: str = ""  # the silent or draining site that it leaves; that is paced
    succeeds: Assignment | None = (
        None  # the attempt that succeeded; what it sends over links counts before that is told
    )


@dataclass(frozen=True)
class Commit:
    """Write the assumed assignment into the status."""


@dataclass(frozen=True)
class Create:
    """Create the attempt's Job on its member."""

    assignment: Assignment

    @property
    def site(self) -> str:
        """Where."""
        return self.assignment.site


@dataclass(frozen=True)
class Find:
    """Ask the member whether it has the attempt's Job, or pods of it, of which its watches tell nothing."""

    assignment: Assignment

    @property
    def site(self) -> str:
        """Where."""
        return self.assignment.site


@dataclass(frozen=True)
class Delete:
    """Delete this Job on this member."""

    site: str
    job: OwnJob
    why: str
    runs: bool = (
        False  # as far as is known; the member is asked before, since what has ended by itself is not done again
    )


@dataclass(frozen=True)
class Record:
    """Put the use of these pods into the ledger."""

    pods: tuple[tuple[str, OwnPod], ...]


@dataclass(frozen=True)
class Release:
    """Let these pods of one member go."""

    site: str
    pods: tuple[OwnPod, ...]


@dataclass(frozen=True)
class Wait:
    """Nothing is due before `seconds` have passed, or before something changes."""

    seconds: float | None = None


MemberStep = Create | Find | Delete | Release
Step = Write | Commit | Record | Wait | MemberStep
# An attempt that is being taken back for one of these reasons; the reason stands in condition Dispatched.
WISHED = frozenset(
    {Reason.SUSPENDED, Reason.SPEC_CHANGED, Reason.BUDGET_EXCEEDED}
)  # nobody is warned, and the site is not to blame
ENDING = WISHED | budget.FAILURES | set(budget.SETBACKS) | {Reason.FENCED, Reason.DRAINED}


def record(view: View) -> Step | None:
    """What ended is metered before anything else happens to it."""
    due = tuple((site, p) for site, at in view.sites.items() for p in at.pods if p.ended and p.uid not in view.recorded)
    return Record(due) if due else None


def release(view: View) -> Step | None:
    """A pod that is being deleted goes once it cannot run any more and its use is recorded."""
    for site, at in view.sites.items():
        due = tuple(p for p in at.pods if at.usable and _release_in_ms(view, site, p) == 0)
        if due:
            return Release(site, due)
    return None


def keep_damaged(view: View) -> Step | None:
    """While nobody can say where a job is assigned, nothing is started or stopped for it."""
    entry = view.entry
    if entry is None or entry.finished or not entry.damage:
        return None
    return _write_or_wait(entry, status.damaged(entry, view.now_ms), Reason.STATUS_UNREADABLE, entry.damage)


def remove_stale(view: View) -> Step | None:
    """What no ComputeJob owns, or an older attempt left, is removed before anything new is made."""
    if view.entry is None and not view.gone:
        return Wait()  # the mirror may lag; a comparison with the hub will tell
    assignment = view.entry.assignment if view.entry else None
    for site, at in view.sites.items():
        for job in at.jobs:
            current = assignment is not None and (site, job.epoch) == (assignment.site, assignment.epoch)
            if at.usable and not current and not job.deleting and job.epoch not in at.kept:
                return Delete(site, job, "no ComputeJob owns it" if view.entry is None else "it is of another attempt")
    return None if view.entry else Wait()


def refuse_invalid(view: View) -> Step | None:
    """A spec that cannot be read is said so; an attempt that was begun before goes on."""
    entry = _entry(view)
    if entry.outline is not None or entry.finished or entry.assumed is not None:
        return None
    wanted = status.invalid(entry, view.now_ms)
    if status.patch_of(entry.status, wanted):
        return Write(wanted, Reason.INVALID_SPEC, entry.problem)
    return None if entry.assignment is not None else Wait()


def confirm(view: View) -> Step | None:
    """A decision is committed on the hub before anything is created on a member, and after all older is gone."""
    if _entry(view).assumed is None:
        return None
    return Wait() if any(_stands(view, _less_lost(view, at)) for at in view.sites.values()) else Commit()


def settle_finished(view: View) -> Step | None:
    """A finished job's objects stay for people to look at, then go; its use is kept right."""
    entry = _entry(view)
    if not entry.finished:
        return None
    usage = status.used(entry, view.usage())
    if (entry.status.get("usage") or {}) != usage:
        return Write(status.changed(entry, view.now_ms, [], usage=usage, cost=view.cost_text()))
    job = view.job()
    if job is None or job.deleting or not view.here.usable:
        return Wait()
    left_s = _left_s(time_or_zero(entry.status.get("finishedAt")), view.settings.retain_finished_s * 1000, view.now_ms)
    if (job.complete or job.failed_reason) and left_s > 0:
        return Wait(left_s)
    return Delete(_assigned(entry).site, job, "the job has finished")


def explain_waiting(view: View) -> Step | None:
    """A job without a site says why, but not more often than is read."""
    entry = _entry(view)
    if entry.assignment is not None:
        return None
    if entry.suspended:
        conditions = [*status.accepted(), Condition("Placed", False, Reason.SUSPENDED, SUSPENDED)]
        return _write_or_wait(entry, status.changed(entry, view.now_ms, conditions, placement=None, queue=None))
    if view.decision is None:
        return Wait()
    wanted = status.waiting(entry, view.decision, view.now_ms)
    if not status.patch_of(entry.status, wanted):
        return Wait()
    old = entry.condition("Placed")
    is_same = old is not None and old.get("reason") == view.decision.reason
    every_ms = view.explain_every_ms if is_same else view.explain_other_ms
    left_s = _left_s(view.explained_ms, every_ms, view.now_ms)
    return Wait(left_s) if left_s > 0 else Write(wanted)


def give_up(view: View) -> Step | None:
    """An attempt at a silent site is given up once it certainly runs no more, or a second copy is allowed."""
    entry, here = _entry(view), view.here
    if not here.silence or entry.suspended or entry.outline is None:
        return None
    left_s, _ = _elsewhere(view)
    if left_s is None or left_s > 0:
        return None
    assignment, now = _assigned(entry), time_text(view.now_ms)
    stopped = "its fence has stopped it" if _at_most_once(entry) else "it may still run there, and is not billed"
    text = f"attempt {assignment.epoch} at {assignment.site} was given up: {here.silence}; {stopped}"
    lost = {"epoch": assignment.epoch, "site": assignment.site, "time": now}
    wanted = status.changed(
        entry,
        view.now_ms,
        [Condition(type_, False, Reason.SITE_LOST, text) for type_ in ("Placed", "Dispatched", "Running")],
        assignment=None,
        placement=None,
        startedAt=None,
        failover=None,
        checkpointSite=_checkpoint_site(entry),
        lost=[*items(entry.status.get("lost")), lost],
    )
    return Write(wanted, Reason.SITE_LOST, text, leaves=assignment.site)


def mark_silence(view: View) -> Step | None:
    """While the site is silent, nothing is done there and nothing old is shown as fresh."""
    entry, here = _entry(view), view.here
    if here.usable:
        return None
    if not here.silence:
        return Wait()
    left_s, when = _elsewhere(view)
    text = f"{here.silence}; the job may still be running there; {when}"
    wanted = status.changed(entry, view.now_ms, [Condition("Running", None, Reason.SITE_UNREACHABLE, text)])
    return Write(wanted) if status.patch_of(entry.status, wanted) else Wait(left_s)


def suspend(view: View) -> Step | None:
    """Suspending stops the attempt; what ran stays metered. What has ended by itself has ended."""
    entry, job = _entry(view), view.job()
    if not entry.suspended or _ending(entry) is not None or (job is not None and (job.complete or job.failed_reason)):
        return None
    return _end_attempt(view, Reason.SUSPENDED, SUSPENDED)


def stop_unpaid(view: View) -> Step | None:
    """An attempt that nobody can pay for any more is stopped when its account's policy says so."""
    entry, job = _entry(view), view.job()
    if view.unpaid is None or _ending(entry) is not None or (job is not None and (job.complete or job.failed_reason)):
        return None
    left_s, text = view.unpaid
    return (
        replace(_end_attempt(view, Reason.BUDGET_EXCEEDED, text), warning=Reason.BUDGET_EXCEEDED, text=text)
        if left_s <= 0
        else None
    )


def take_back(view: View) -> Step | None:
    """An attempt that ended badly is removed first; only then the job is queued again, or ends."""
    entry = _entry(view)
    ending = _ending(entry)
    if ending is None:
        return None
    reason, text = ending
    if (done := _done_meanwhile(view, reason)) is not None:
        return done
    gone = _stopped(view, f"the attempt ended: {reason}")
    if gone is not None:
        return _stuck(view) if gone == Wait() else gone
    spent = budget.spend(entry, reason, view.settings)
    counts = {"failures": spent.failures or None, "setbacks": spent.setbacks or None}
    if spent.over:
        said = text if reason in budget.FAILURES and reason not in budget.SETBACKS else f"{text}; {spent.over}"
        wanted = status.finished(entry, reason, said, view.usage(), view.now_ms, cost=view.cost_text(), **counts)
        return Write(wanted, reason, said)
    assignment = _assigned(entry)
    number = f"attempt {assignment.epoch} at {assignment.site} ended: {text}"
    later_ms = budget.backoff_ms(spent.failures, view.settings)
    if reason in budget.FAILURES and later_ms:
        number += f"; it is the failure number {spent.failures}, so it is not placed before {time_text(view.now_ms + later_ms)}"
    why, said = (Reason.SUSPENDED, SUSPENDED) if entry.suspended else (Reason.REQUEUED, number)
    wanted = status.changed(
        entry,
        view.now_ms,
        [Condition(type_, False, why, said) for type_ in ("Placed", "Dispatched", "Running")],
        assignment=None,
        placement=None,
        startedAt=None,
        failover=None,
        checkpointSite=_checkpoint_site(entry),
        usage=status.used(entry, view.usage()),
        cost=view.cost_text(),
        **counts,
    )
    return Write(wanted) if reason in WISHED else Write(wanted, reason, number, backs_off=True)


def drain(view: View) -> Step | None:
    """An attempt at a site that is to be emptied leaves it when it is its turn; what has not begun there does not begin."""
    if view.leaves_in_s is None:
        return None
    assignment, attempt = _assigned(_entry(view)), view.attempt
    text = f"{assignment.site} is being drained (spec.desiredState Drain); the job is placed elsewhere"
    if _may_leave(view):
        left = view.leaves_in_s == 0
        return replace(_end_attempt(view, Reason.DRAINED, text), leaves=assignment.site) if left else None
    begun = view.job() is not None or view.pods() or attempt.created or _entry(view).is_true("Dispatched")
    return None if begun else _end_attempt(view, Reason.DRAINED, text)


def create(view: View) -> Step | None:
    """The attempt's Job is created once; if it was there before and is not any more, somebody removed it."""
    entry, attempt, assignment = _entry(view), view.attempt, _assigned(_entry(view))
    if view.job() is not None:
        return None
    if any(_stands(view, _less_lost(view, at)) for at in _others(view)):
        return Wait()  # at most one copy: the old one has to be gone first
    pods = view.pods()
    if pods and sum(p.completed for p in pods) >= _tasks(entry, pods):
        return _succeeded(view, pods, len(pods))  # its Job was removed when all was done
    if pods or attempt.created or entry.is_true("Dispatched"):
        if not attempt.missing:
            return Find(assignment)  # events get lost, and lists may be old
        return _end_attempt(view, Reason.DELETED_ON_MEMBER, _removed(assignment))
    if entry.outline is None or _edited(entry, "Placed"):
        return _end_attempt(
            view, Reason.SPEC_CHANGED, "the spec was changed before the attempt began; it is placed anew"
        )
    if not view.offered:
        text = f"{assignment.site} no longer offers class {assignment.class_}"
        return _end_attempt(view, Reason.CLASS_NOT_OFFERED, text)
    if attempt.refused:
        text = f"{assignment.site} refused the job: {attempt.refused}"
        wanted = status.finished(entry, Reason.DISPATCH_REFUSED, text, view.usage(), view.now_ms, cost=view.cost_text())
        return Write(wanted, Reason.DISPATCH_REFUSED, text)
    if attempt.put_off and attempt.unanswered_s > 0:
        # One at a time: a second create could come true, be undone by somebody, and the first one come true after it.
        return _put_off(view) or Wait(attempt.unanswered_s)
    if attempt.put_off:
        return _put_off(view) or Create(assignment)
    return Create(assignment)


def note_edit(view: View) -> Step | None:
    """A spec that was changed while an attempt runs: the attempt goes on as it began."""
    entry, assignment = _entry(view), _assigned(_entry(view))
    placed = entry.condition("Placed") or {}
    if placed.get("reason") == Reason.STATUS_UNREADABLE:
        text = f"assigned to {assignment.site} as attempt {assignment.epoch}"
        return Write(status.changed(entry, view.now_ms, [Condition("Placed", True, Reason.PLACED, text)]))
    if entry.outline is None or not _edited(entry, "Accepted"):
        return None
    text = f"the spec can be read; attempt {assignment.epoch} goes on as it began, what was changed holds for the next"
    return Write(status.changed(entry, view.now_ms, [Condition("Accepted", True, Reason.ACCEPTED, text)]))


def follow(view: View) -> Step | None:
    """What the member says becomes the job's conditions."""
    entry, job, pods = _entry(view), view.job(), view.pods()
    if job is None:
        return Wait()
    if job.deleting:
        return _end_attempt(view, Reason.DELETED_ON_MEMBER, _removed(_assigned(entry)))
    tasks = _tasks(entry, pods)
    if job.fenced and not job.complete:
        text = f"{_assigned(entry).site} was cut off from the hub, and its fence stopped the job"
        return _end_attempt(view, Reason.FENCED, text)
    if job.complete or job.failed_reason:
        return _await_pods(view, job, pods, tasks) or _ended(view, job, pods, tasks)
    started = sum(p.started for p in pods)
    if started >= tasks:
        return _mark_running(view, tasks)
    return _pending(view, pods, started, tasks)


STAGES: tuple[Callable[[View], Step | None], ...] = (
    record,
    release,
    keep_damaged,
    remove_stale,
    refuse_invalid,
    confirm,
    settle_finished,
    explain_waiting,
    give_up,
    mark_silence,
    suspend,
    stop_unpaid,
    take_back,
    drain,
    create,
    note_edit,
    follow,
)


def next_step(view: View) -> Step:
    """The first step that a stage finds due."""
    for stage in STAGES:
        step = stage(view)
        if step is not None:
            return _no_later(view, step) if isinstance(step, Wait) else step
    return Wait()


# --- the stages' own words


def _removed(assignment: Assignment) -> str:
    return f"the member Job was removed at {assignment.site}, not by suanli"


def _await_pods(view: View, job: OwnJob, pods: list[OwnPod], tasks: int) -> Step | None:
    """All that ran must be metered before the job counts as ended, also what is not known yet."""
    if any(p.started and not p.ended for p in pods):
        return Wait()
    missing = job.complete and sum(p.ended for p in pods) < tasks
    left_s = (
        POD_NEWS_S - view.attempt.seen_s
        if not job.ended_at
        else _left_s(time_or_zero(job.ended_at), int(POD_NEWS_S * 1000), view.now_ms)
    )
    return Wait(left_s) if missing and left_s > 0 else None


def _succeeded(view: View, pods: list[OwnPod], tasks: int) -> Step:
    entry = _entry(view)
    text = f"{tasks} of {tasks} tasks succeeded at {_assigned(entry).site}"
    return Write(
        status.finished(
            entry, Reason.SUCCEEDED, text, view.usage(), view.now_ms, cost=view.cost_text(), startedAt=_started_at(pods)
        ),
        succeeds=_assigned(entry),
    )


def _ended(view: View, job: OwnJob, pods: list[OwnPod], tasks: int) -> Step:
    entry, assignment = _entry(view), _assigned(_entry(view))
    usage, started_at = view.usage(), _started_at(pods)
    if job.complete:
        return _succeeded(view, pods, tasks)
    failures = [p for p in pods if p.failure]
    first = failures[0].failure if failures else job.failed_message
    text = f"{len(failures)} of {tasks} tasks failed at {assignment.site}; first: {first}"
    if job.failed_reason == "DeadlineExceeded":
        limit = entry.outline.limits.active_deadline if entry.outline else ""
        text = f"the attempt ran longer than limits.activeDeadline {limit} at {assignment.site}"
        wanted = status.finished(
            entry, Reason.DEADLINE, text, usage, view.now_ms, cost=view.cost_text(), startedAt=started_at
        )
        return Write(wanted, Reason.DEADLINE, text)
    disrupted = bool(failures) and all(p.disrupted for p in failures)
    retries = entry.outline.limits.retries if entry.outline else 0
    if disrupted or entry.failures < retries:
        return _end_attempt(view, Reason.DISRUPTED if disrupted else Reason.FAILED, text)
    wanted = status.finished(
        entry,
        Reason.FAILED,
        text,
        usage,
        view.now_ms,
        cost=view.cost_text(),
        startedAt=started_at,
        failures=entry.failures + 1,
    )
    return Write(wanted, Reason.FAILED, text)


def _done_meanwhile(view: View, reason: Reason) -> Step | None:
    """The end of an attempt that had done its work when it was told to leave, which nobody here knew yet."""
    job, pods = view.job(), view.pods()
    tasks = _tasks(_entry(view), pods)
    if _all_completed(view):
        return _succeeded(view, pods, tasks)
    if reason is not Reason.DRAINED or job is None or not job.complete or job.deleting:
        return None  # of one that is being deleted its tasks may have exited with 0 because they were told to
    return _await_pods(view, job, pods, tasks) or _succeeded(view, pods, tasks)


def _all_completed(view: View) -> bool:
    """Whether every task of the current attempt was done before anybody stopped it, whatever its Job knew of that."""
    spec = _entry(view).outline
    return spec is not None and sum(pod.completed for pod in view.pods()) >= spec.tasks


def _mark_running(view: View, tasks: int) -> Step:
    entry, assignment = _entry(view), _assigned(_entry(view))
    text = f"{tasks} of {tasks} tasks started at {assignment.site}"
    conditions = [_created(assignment), Condition("Running", True, Reason.RUNNING, text)]
    return _write_or_wait(entry, status.changed(entry, view.now_ms, conditions, startedAt=_started_at(view.pods())))


def _pending(view: View, pods: list[OwnPod], started: int, tasks: int) -> Step:
    """Not all tasks have started: say so after a while, and take the attempt back after a longer one."""
    entry, settings, waited_s = _entry(view), view.settings, view.attempt.seen_s
    assignment, running = _assigned(entry), entry.condition("Running") or {}
    troubled = [p for p in pods if not p.started and p.trouble]
    image = [p for p in troubled if p.image_trouble]
    told = f"; {len(troubled)} of them: {troubled[0].trouble}" if troubled else ""
    text = f"{started} of {tasks} tasks started at {assignment.site}, {tasks - started} pending{told}"[:1000]
    if image and waited_s >= settings.image_timeout_s:
        return _end_attempt(view, Reason.IMAGE_PULL_FAILED, text)
    if waited_s >= settings.gang_timeout_s and running.get("status") != "True":
        return _end_attempt(view, Reason.GANG_TIMEOUT, f"{text}; not all started within {settings.gang_timeout_s} s")
    reported = running.get("reason") == Reason.PODS_PENDING
    if not reported and (waited_s >= settings.report_pending_s or running.get("status") == "Unknown"):
        conditions = [_created(assignment), Condition("Running", False, Reason.PODS_PENDING, text)]
        return Write(status.changed(entry, view.now_ms, conditions))
    limits_s = [settings.report_pending_s, settings.gang_timeout_s, *([settings.image_timeout_s] if image else [])]
    next_s = min((s for s in limits_s if s > waited_s), default=None)
    return Wait(None if next_s is None else max(0.1, next_s - waited_s))


def _put_off(view: View) -> Step | None:
    """The member has not taken the attempt's Job so far: the same as pods that do not start."""
    entry, settings, tried_s = _entry(view), view.settings, view.attempt.tried_s
    text = f"{_assigned(entry).site} has not taken the job for {tried_s:.0f} s: {view.attempt.put_off}"
    if tried_s >= settings.gang_timeout_s:
        return _end_attempt(view, Reason.GANG_TIMEOUT, text)
    running = entry.condition("Running") or {}
    if tried_s < settings.report_pending_s or running.get("reason") == Reason.DISPATCH_REFUSED:
        return None
    conditions = [Condition(type_, False, Reason.DISPATCH_REFUSED, text) for type_ in ("Dispatched", "Running")]
    return Write(status.changed(entry, view.now_ms, conditions), Reason.DISPATCH_REFUSED, text)


def _elsewhere(view: View) -> tuple[float | None, str]:
    """Seconds until the job of a silent site may be started elsewhere, None for never, and in words when that is."""
    entry, here = _entry(view), view.here
    if len(entry.lost) >= MOST_LOST:
        return None, f"{MOST_LOST} attempts were given up already, so it is started nowhere else"
    if not _at_most_once(entry):
        dead_s = view.settings.dead_after_s
        return max(0.0, dead_s - here.silent_s), f"after {dead_s} s of silence it is started elsewhere"
    if here.fenced_in_s is None or entry.failover is not Failover.AT_MOST_ONCE:
        return None, "no fence is known to stop it, so it is started nowhere else unless spec.failover is AtLeastOnce"
    return here.fenced_in_s, "it is started elsewhere once the site's fence has certainly stopped it"


def _at_most_once(entry: JobEntry) -> bool:
    return entry.outline is None or entry.outline.failover is Failover.AT_MOST_ONCE


def _end_attempt(view: View, reason: Reason, text: str) -> Write:
    """First the hub knows why; only then the member's objects are touched."""
    conditions = [Condition("Dispatched", False, reason, text), Condition("Running", False, Reason.STOPPING, text)]
    return Write(status.changed(_entry(view), view.now_ms, conditions))


def _ending(entry: JobEntry) -> tuple[Reason, str] | None:
    """Why the current attempt is being taken back, if it is."""
    dispatched = entry.condition("Dispatched")
    if dispatched is None or dispatched["status"] != "False" or dispatched.get("reason") not in ENDING:
        return None
    return Reason(dispatched["reason"]), str(dispatched.get("message", ""))


def _stopped(view: View, why: str) -> Step | None:
    """None once nothing of the current attempt is left, nor can come; else the step towards that."""
    if view.attempt.unanswered_s > 0:
        return Wait(view.attempt.unanswered_s)  # where its Job stands, a late create makes no second one
    job = view.job()
    if job is not None and not job.deleting:
        pods = view.pods()
        runs = not pods or not all(pod.ended for pod in pods)
        return Delete(_assigned(_entry(view)).site, job, why, runs)
    if job is not None or any(view.alive(p) for p in view.pods()):
        return Wait()
    if (view.attempt.created or view.attempt.put_off) and not view.attempt.missing:
        # A create without an answer may have come true; of a Job that somebody removed pods may go on: their events may be lost.
        return Find(_assigned(_entry(view)))
    return None


def _stuck(view: View) -> Step:
    """Say of pods that do not end what to do: as long as nobody has said that their node is gone, they may run.

    Kubernetes itself ends them once their Node is deleted, or out of service by its taint.
    """
    entry, left_s, stuck = _entry(view), list[float](), list[OwnPod]()
    for pod in view.pods():
        if pod.deleting and pod.started and not pod.ended:
            wait_s = STUCK_S - view.leaving_s.get(pod.uid, 0.0)
            left_s += [wait_s] if wait_s > 0 else []
            stuck += [pod] if wait_s <= 0 else []
    if not stuck:
        return Wait(min(left_s, default=None))
    stuck.sort(key=lambda pod: pod.name)
    told = ", ".join(f"pod {p.name} on node {p.node}, told to by {p.deletion}," for p in stuck[:MOST_STUCK])
    more = f" and {len(stuck) - MOST_STUCK} more" if len(stuck) > MOST_STUCK else ""
    text = (
        f"{told}{more} {'does' if len(stuck) == 1 else 'do'} not end at {_assigned(entry).site}, so no other copy is started; if the "
        f"node is gone for good, delete its Node there, or give it the taint {OUT_OF_SERVICE}"
    )
    wanted = status.changed(entry, view.now_ms, [Condition("Running", False, Reason.POD_STUCK, text)])
    return Write(wanted) if status.patch_of(entry.status, wanted) else Wait(min(left_s, default=None))


def _release_in_ms(view: View, site: str, pod: OwnPod) -> int | None:
    """When a pod may be let go: now, after that time, or not before something changes."""
    if not pod.metered:
        return None
    if pod.ended:
        orphaned = not any(job.epoch == pod.epoch for job in view.sites[site].jobs)
        told = pod.uid in view.recorded and not _is_evidence(view, site, pod)
        return 0 if told and (pod.deleting or orphaned) else None
    if pod.started or not pod.deleting:
        return None
    # It never ran. It cannot start any more when it has no node, or when its grace is over: by its member's clock, or by
    # ours if that one is wrong.
    by_clock_ms = time_or_zero(pod.deletion) - view.now_ms
    by_watch_ms = round((LEAVING_S - view.leaving_s.get(pod.uid, 0.0)) * 1000)
    return max(0, min(by_clock_ms, by_watch_ms)) if pod.node else 0


def _is_evidence(view: View, site: str, pod: OwnPod) -> bool:
    """Whether the hub does not know yet how the attempt ended: its pods say whose doing it was, or that it was done."""
    entry = view.entry
    if entry is None or entry.assignment is None or entry.finished:
        return False
    current = (site, pod.epoch) == (entry.assignment.site, entry.assignment.epoch)
    return current and (_ending(entry) is None or _all_completed(view))


def _may_leave(view: View) -> bool:
    """Whether there is an attempt at the site that goes on."""
    job = view.job()
    return job is not None and not (job.deleting or job.complete or job.failed_reason or job.fenced)


def _no_later(view: View, wait: Wait) -> Wait:
    """What is to be waited for, or until a pod is to be let go or it is the job's turn to leave its site."""
    due = [
        left
        for site, at in view.sites.items()
        for pod in at.pods
        if at.usable and (left := _release_in_ms(view, site, pod)) is not None
    ]
    if view.leaves_in_s and _may_leave(view) and _ending(_entry(view)) is None:
        due.append(max(1000, round(view.leaves_in_s * 1000)))
    if view.unpaid is not None and _may_leave(view) and _ending(_entry(view)) is None:
        due.append(max(1000, round(view.unpaid[0] * 1000)))
    if not due:
        return wait
    soonest = max(0.1, min(due) / 1000)
    return Wait(soonest if wait.seconds is None else min(wait.seconds, soonest))


def _stands(view: View, at: AtSite) -> bool:
    """Whether anything is there that runs, may run, or is not metered yet."""
    return bool(at.jobs) or any(view.alive(pod) for pod in at.pods)


def _less_lost(view: View, at: AtSite) -> AtSite:
    """What a site holds; of a silent one without the attempts that were given up there."""
    if at.usable:
        return at
    lost = _entry(view).lost
    jobs = tuple(j for j in at.jobs if j.epoch not in lost)
    return replace(at, jobs=jobs, pods=tuple(p for p in at.pods if p.epoch not in lost))


def _others(view: View) -> Iterable[AtSite]:
    """What the members hold of this job beside the current attempt."""
    assignment = _assigned(_entry(view))
    for site, at in view.sites.items():
        mine = site == assignment.site
        yield AtSite(
            at.usable,
            at.silence,
            tuple(j for j in at.jobs if not (mine and j.epoch == assignment.epoch)),
            tuple(p for p in at.pods if not (mine and p.epoch == assignment.epoch)),
        )


def _write_or_wait(entry: JobEntry, wanted: Json, warning: Reason | None = None, text: str = "") -> Step:
    if not status.patch_of(entry.status, wanted):
        return Wait()
    return Write(wanted, warning, text)


def _checkpoint_site(entry: JobEntry) -> str | None:
    """Where the checkpoint lies after the current attempt: one that never ran has left none."""
    if entry.outline is None or entry.outline.checkpoint is None:
        return None
    return _assigned(entry).site if entry.status.get("startedAt") else text(entry.status.get("checkpointSite")) or None


def _created(assignment: Assignment) -> Condition:
    return Condition("Dispatched", True, Reason.DISPATCHED, f"created at {assignment.site}")


def _edited(entry: JobEntry, condition: str) -> bool:
    """Whether the spec is another than the one the condition was stated of."""
    said = entry.condition(condition)
    return said is not None and said.get("observedGeneration") != entry.generation


def _tasks(entry: JobEntry, pods: list[OwnPod]) -> int:
    """Tasks of the current attempt; of an older spec only what is there is known."""
    if entry.outline is None or _edited(entry, "Placed"):
        return max(1, len(pods))
    return entry.outline.tasks


def _started_at(pods: Iterable[OwnPod]) -> str | None:
    """When the first container started, as its member says."""
    moments = []
    for pod in pods:
        for container in (pod.raw.get("status") or {}).get("containerStatuses") or []:
            state = container.get("state") or {}
            begun = (state.get("running") or state.get("terminated") or {}).get("startedAt")
            if isinstance(begun, str) and time_or_zero(begun):
                moments.append(time_or_zero(begun))
    return time_text(min(moments)) if moments else None


def _left_s(since_ms: int, for_ms: int, now_ms: int) -> float:
    """Seconds until a time span is over; over at once when the clock has jumped back before it."""
    left_ms = since_ms + for_ms - now_ms
    return left_ms / 1000 if 0 < left_ms <= for_ms else 0.0


def _entry(view: View) -> JobEntry:
    assert view.entry is not None, "remove_stale ends the way of what no ComputeJob owns"
    return view.entry


def _assigned(entry: JobEntry) -> Assignment:
    assignment = entry.assignment
    assert assignment is not None, "explain_waiting ends the way of a job without assignment"
    return assignment
