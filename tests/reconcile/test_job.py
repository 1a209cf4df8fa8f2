"""Every stage, every step: what is due, seen from nothing but what hub and members hold."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from builders import T0, a_condition, a_job, a_member_job, a_member_pod, an_assignment, ended, running
from suanli.api.job import Assignment, Usage
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.federation.facts import OwnJob, OwnPod
from suanli.placement.snapshot import Decision
from suanli.reconcile import job as stages
from suanli.reconcile.job import AtSite, Attempt, Commit, Create, Delete, Find, Record, Release, View, Wait, Write
from suanli.reconcile.state import Assumption, JobEntry, Mirror
from suanli.reconcile.status import wire

NOW_MS = parse_time_ms(T0) + 60_000
SETTINGS = Settings()
UNREACHABLE = AtSite(usable=False, silence="east was last heard from at noon")


def an_entry(*, status: Any = None, generation: int = 1, **spec: Any) -> JobEntry:
    """A job as the mirror has it."""
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    mirror.apply("ADDED", a_job(status=status, metadata={"generation": generation}, **spec))
    return mirror.jobs["uid-train"]


def assigned(
    *conditions: dict[str, Any], epoch: int = 1, generation: int = 1, status: Any = None, **spec: Any
) -> JobEntry:
    """A job whose attempt is at site east, with what is said of it."""
    said = {"Placed": a_condition("Placed"), "Accepted": a_condition("Accepted")}
    said |= {c["type"]: c for c in conditions}
    whole = {
        "assignment": an_assignment(epoch=epoch),
        "epoch": epoch,
        "conditions": list(said.values()),
        **(status or {}),
    }
    return an_entry(status=whole, generation=generation, **spec)


def at(*objects: OwnJob | OwnPod, usable: bool = True) -> AtSite:
    """What one member holds."""
    jobs = tuple(o for o in objects if isinstance(o, OwnJob))
    pods = tuple(o for o in objects if isinstance(o, OwnPod))
    return AtSite(usable, "", jobs, pods)


def a_view(entry: JobEntry | None, sites: Mapping[str, AtSite] | None = None, **known: Any) -> View:
    """What a stage may look at; the site east is well and empty."""
    whole: dict[str, Any] = {
        "uid": "uid-train",
        "entry": entry,
        "gone": entry is None,
        "sites": {"east": at()} if sites is None else sites,
        "recorded": frozenset(),
        "usage": Usage,
        "cost": lambda: None,
        "offered": True,
        "decision": None,
        "explained_ms": 0,
        "explain_every_ms": 20_000,
        "explain_other_ms": 10,
        "attempt": Attempt(),
        "leaving_s": {},
        "now_ms": NOW_MS,
        "settings": SETTINGS,
        **known,
    }
    return View(**whole)


def step(entry: JobEntry | None, *here: OwnJob | OwnPod, **known: Any) -> stages.Step:
    """What is due when only site east holds anything, and it is well."""
    return stages.next_step(a_view(entry, {"east": at(*here)}, **known))


def written(found: stages.Step) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition of a write."""
    assert isinstance(found, Write), found
    return {c["type"]: (c["status"], c["reason"]) for c in found.status["conditions"]}


def message(found: stages.Step, type_: str) -> str:
    """The words of a condition of a write."""
    assert isinstance(found, Write), found
    return next(str(c["message"]) for c in found.status["conditions"] if c["type"] == type_)


DISPATCHED = a_condition("Dispatched")
RUNNING = a_condition("Running")


def taken_back(reason: str, text: str = "why") -> tuple[dict[str, Any], dict[str, Any]]:
    """An attempt that is being taken back."""
    return a_condition("Dispatched", "False", reason, text), a_condition("Running", "False", "Stopping", text)


# --- record, release


def test_what_ended_is_metered_before_anything_else() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded")
    assert step(assigned(), a_member_job(Complete=True), pod) == Record((("east", pod),))
    assert step(None, a_member_job(), pod) == Record((("east", pod),))


def test_a_metered_pod_that_is_being_deleted_is_let_go() -> None:
    pod = a_member_pod(state=ended(137), phase="Failed", deletion=T0)
    assert step(None, pod, recorded={pod.uid}) == Release("east", (pod,))


def test_a_metered_pod_stays_for_people_while_its_job_stands() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded")
    finished = assigned(a_condition("Finished"), status={"usage": wire(Usage()), "finishedAt": T0})
    found = step(finished, a_member_job(Complete=True), pod, recorded={pod.uid})
    assert found == Wait(3_600 - 60)


def test_a_metered_pod_without_its_job_is_let_go() -> None:
    pod = a_member_pod(state=ended(), phase="Failed")
    assert step(None, pod, recorded={pod.uid}) == Release("east", (pod,))


GONE = [{"type": "DisruptionTarget", "status": "True"}]


def test_a_metered_pod_stays_until_the_hub_knows_how_its_attempt_ended() -> None:
    pod = a_member_pod(state=ended(137), phase="Failed", deletion=T0, conditions=GONE)
    entry = assigned(DISPATCHED, RUNNING)
    assert isinstance(step(entry, a_member_job(), pod, recorded={pod.uid}), Write | Wait)
    failed = a_member_job(Failed=("BackoffLimitExceeded", ""))
    found = step(entry, failed, pod, recorded={pod.uid})
    assert written(found)["Dispatched"] == ("False", "Disrupted")
    assert isinstance(found, Write)
    assert step(an_entry(status=found.status), failed, pod, recorded={pod.uid}) == Release("east", (pod,))


def test_a_success_whose_job_was_removed_is_seen_before_its_pods_go() -> None:
    pod = replace(a_member_pod(state=ended(), phase="Succeeded", deletion=T0), completed=True)
    found = step(assigned(DISPATCHED), pod, recorded={pod.uid})
    assert written(found)["Finished"] == ("True", "Succeeded")
    assert isinstance(found, Write)
    told = an_entry(status={**found.status, "usage": wire(Usage())})
    assert step(told, pod, recorded={pod.uid}) == Release("east", (pod,))


@pytest.mark.parametrize(
    ("node", "deletion", "leaving_s", "expected"),
    [
        ("", "2026-03-01T09:00:00Z", 0.0, "released"),
        ("n1", "2026-03-01T08:00:30Z", 0.0, "released"),
        ("n1", "2026-03-01T08:01:10Z", 0.0, Wait(10.0)),
        ("n1", "2026-03-01T09:00:00Z", 0.0, Wait(60.0)),
        ("n1", "2026-03-01T09:00:00Z", 60.0, "released"),
    ],
)
def test_a_pod_that_never_ran_goes_when_it_cannot_start_any_more(
    node: str, deletion: str, leaving_s: float, expected: object
) -> None:
    pod = a_member_pod(node=node, deletion=deletion)
    found = step(None, pod, leaving_s={pod.uid: leaving_s})
    assert found == (Release("east", (pod,)) if expected == "released" else expected)


def test_a_running_pod_is_never_let_go() -> None:
    assert step(None, a_member_pod(state=running(), deletion=T0)) == Wait()


def test_a_pod_that_does_not_end_is_told_of_and_waited_for() -> None:
    """The node may be dead or only silent: nobody starts a second copy, and people read what would help."""
    pod, job = a_member_pod(state=running(), node="n1", deletion=T0), a_member_job(deleting=True)
    entry = assigned(*taken_back("Suspended"))
    assert step(entry, job, pod, leaving_s={pod.uid: 0.0}) == Wait(300)
    assert step(entry, job, pod, leaving_s={pod.uid: 290.0}) == Wait(10)
    found = step(entry, job, pod, leaving_s={pod.uid: 300.0})
    assert written(found)["Running"] == ("False", "PodStuck")
    assert written(found)["Dispatched"] == ("False", "Suspended")
    said = message(found, "Running")
    assert f"pod {pod.name} on node n1" in said
    assert "node.kubernetes.io/out-of-service" in said
    assert isinstance(found, Write)
    assert found.status["reason"] == "PodStuck"
    assert found.status["assignment"] == entry.status["assignment"]
    told = an_entry(status=found.status)
    for later_s in (300.0, 1e6):
        assert step(told, job, pod, leaving_s={pod.uid: later_s}) == Wait()
    # Without its Job, as somebody may have removed that, it is the same.
    assert step(told, pod, leaving_s={pod.uid: 1e6}) == Wait()


def test_a_stuck_pod_that_its_member_gave_up_is_metered_and_the_job_goes_on() -> None:
    """As Kubernetes leaves it when its Node is deleted or out of service: Failed, its container still said to run."""
    pod = a_member_pod(state=running(), phase="Failed", node="n1", deletion=T0, conditions=GONE)
    job = a_member_job(deleting=True)
    entry = assigned(a_condition("Dispatched", "False", "Suspended"), a_condition("Running", "False", "PodStuck"))
    assert step(entry, job, pod, leaving_s={}) == Record((("east", pod),))
    assert step(entry, job, pod, recorded={pod.uid}) == Release("east", (pod,))
    found = step(entry, attempt=Attempt(missing=True))
    assert isinstance(found, Write)
    assert found.status.get("assignment") is None


def test_a_pod_without_our_finalizer_is_not_ours_to_let_go() -> None:
    pod = a_member_pod(state=ended(), phase="Failed", deletion=T0, metered=False)
    assert step(None, pod, recorded={pod.uid}) == Wait()


def test_nothing_is_done_at_a_member_that_cannot_be_used() -> None:
    pod = a_member_pod(state=ended(), phase="Failed", deletion=T0)
    silent = {"east": at(a_member_job(), pod, usable=False)}
    assert stages.next_step(a_view(None, silent, recorded={pod.uid})) == Wait()


# --- damage and what nobody owns


def test_while_it_is_unknown_where_a_job_is_nothing_is_touched() -> None:
    entry = an_entry(status={"assignment": {"site": "east"}})
    found = step(entry, a_member_job())
    assert written(found)["Placed"] == ("Unknown", "StatusUnreadable")
    assert "status.assignment.epoch" in message(found, "Placed")
    assert isinstance(found, Write)
    told = an_entry(status=found.status)
    assert step(told, a_member_job()) == Wait()
    assert told.status["state"] == "Unknown"


def test_an_assignment_that_was_put_back_is_said_to_stand() -> None:
    entry = assigned(a_condition("Placed", "Unknown", "StatusUnreadable"), DISPATCHED, RUNNING)
    assert written(step(entry, a_member_job(), a_member_pod(state=running())))["Placed"] == ("True", "Placed")


def test_what_no_job_owns_is_removed_when_that_is_certain() -> None:
    job = a_member_job()
    assert step(None, job) == Delete("east", job, "no ComputeJob owns it")
    assert step(None, job, gone=False) == Wait()
    assert step(None, a_member_job(deleting=True)) == Wait()


def test_what_is_held_until_a_person_was_asked_stays_and_keeps_others_waiting() -> None:
    job = a_member_job(epoch=2)
    here = {"east": replace(at(job), kept=frozenset({2}))}
    assert stages.next_step(a_view(None, here)) == Wait()
    assert stages.next_step(a_view(assigned(), here)) == Wait(), "nothing is made beside it"
    assert step(None, job) == Delete("east", job, "no ComputeJob owns it")


@pytest.mark.parametrize(
    ("here", "left_s", "expected"),
    [
        ((a_member_job(), a_member_pod(state=running())), 0.0, "Drained"),
        ((a_member_job(), a_member_pod(state=running())), 7.0, 7.0),
        ((a_member_job(), a_member_pod(state=running())), None, None),
        ((), 7.0, "Drained"),  # what has not begun there does not begin
        ((a_member_job(Complete=True), a_member_pod(state=running())), 0.0, None),
        ((a_member_job(deleting=True),), 0.0, "DeletedOnMember"),
    ],
)
def test_an_attempt_leaves_a_site_that_drains_when_it_is_its_turn(
    here: tuple[OwnJob | OwnPod, ...], left_s: float | None, expected: str | float | None
) -> None:
    entry = assigned(*([DISPATCHED, RUNNING] if here else []), status={"startedAt": T0})
    found = step(entry, *here, leaves_in_s=left_s)
    if isinstance(expected, str):
        assert written(found)["Dispatched"] == ("False", expected)
        assert isinstance(found, Write)
        assert found.leaves == ("east" if here and expected == "Drained" else "")
    else:
        assert not isinstance(found, Create | Delete)
        assert not isinstance(found, Wait) or found.seconds == expected


@pytest.mark.parametrize("deleting", [False, True])
def test_an_attempt_that_was_done_when_it_was_told_to_leave_is_done(deleting: bool) -> None:
    entry = assigned(a_condition("Dispatched", "False", "Drained"), status={"startedAt": T0})
    pod = a_member_pod(phase="Succeeded", state=ended(), metered=not deleting)
    found = step(entry, a_member_job(Complete=True, deleting=deleting), pod, recorded=frozenset({pod.uid}))
    assert written(found)["Finished"] == ("True", "Succeeded")
    job = a_member_job(deleting=deleting)
    assert step(entry, job) == (Wait() if deleting else Delete("east", job, "the attempt ended: Drained", runs=True))


def test_an_older_attempt_is_removed_before_a_new_one_is_made() -> None:
    old = a_member_job(epoch=1)
    assert step(assigned(epoch=2), old) == Delete("east", old, "it is of another attempt")
    elsewhere = {"east": at(), "west": at(a_member_job(epoch=2))}
    assert isinstance(stages.next_step(a_view(assigned(epoch=2), elsewhere)), Delete)


@pytest.mark.parametrize(
    "left",
    [
        at(a_member_job(deleting=True)),
        at(a_member_pod(state=running())),
        at(a_member_job(), usable=False),
        at(a_member_pod()),
    ],
)
def test_nothing_is_committed_or_made_while_older_things_stand_anywhere(left: AtSite) -> None:
    sites = {"east": at(), "west": left}
    assert stages.next_step(a_view(assigned(epoch=2), sites)) == Wait()
    entry = an_entry()
    entry.assumed = Assumption(
        Assignment.model_validate(an_assignment(epoch=2)), Decision("east", "cpu", Reason.PLACED, ""), 0, 0
    )
    assert stages.next_step(a_view(entry, sites)) in (
        Wait(),
        Delete("west", a_member_job(), "it is of another attempt"),
    )
    assert stages.next_step(a_view(entry)) == Commit()


# --- invalid, waiting


def test_a_spec_that_cannot_be_read_is_said_once() -> None:
    entry = an_entry(tasks="many")
    found = step(entry)
    assert written(found) == {"Accepted": ("False", "InvalidSpec")}
    assert "spec.tasks" in message(found, "Accepted")
    assert isinstance(found, Write)
    assert found.warning is Reason.INVALID_SPEC
    assert step(an_entry(status=found.status, tasks="many")) == Wait()


def test_an_attempt_that_runs_goes_on_when_the_spec_becomes_nonsense() -> None:
    entry = assigned(DISPATCHED, RUNNING, generation=2, tasks="many")
    first = step(entry, a_member_job(), a_member_pod(state=running()))
    assert written(first)["Accepted"] == ("False", "InvalidSpec")
    assert isinstance(first, Write)
    told = an_entry(status=first.status, generation=2, tasks="many")
    done = a_member_pod(state=ended(), phase="Succeeded")
    assert written(step(told, a_member_job(Complete=True), done, recorded={done.uid}))["Finished"][0] == "True"


def test_a_waiting_job_says_why_but_not_too_often() -> None:
    full = Decision(None, None, Reason.WAITING_FOR_CAPACITY, "3 sites are full")
    first = step(an_entry(), decision=full)
    assert written(first)["Placed"] == ("False", "WaitingForCapacity")
    assert isinstance(first, Write)
    entry = an_entry(status=first.status)
    assert step(entry, decision=full) == Wait()
    more = replace(full, message="2 sites are full")
    assert step(entry, decision=more, explained_ms=NOW_MS - 5_000) == Wait(15.0)
    assert isinstance(step(entry, decision=more, explained_ms=NOW_MS - 20_000), Write)
    assert isinstance(step(entry, decision=more, explained_ms=NOW_MS + 3_600_000), Write)  # the clock was set back
    other = replace(full, reason=Reason.NO_FEASIBLE_SITE)
    assert isinstance(step(entry, decision=other, explained_ms=NOW_MS - 10), Write)
    assert step(entry, decision=other, explained_ms=NOW_MS - 4, explain_other_ms=5_000) == Wait(4.996)
    assert step(an_entry()) == Wait()


def test_what_a_job_names_and_nobody_knows_makes_it_invalid() -> None:
    found = step(an_entry(), decision=Decision(None, None, Reason.UNKNOWN_REGION, "no such region"))
    assert written(found)["Accepted"] == ("False", "UnknownRegion")
    assert isinstance(found, Write)
    assert found.status["state"] == "Invalid"


def test_a_suspended_job_that_waits_says_so_once() -> None:
    found = step(an_entry(desiredState="Suspended"))
    assert isinstance(found, Write)
    assert (found.status["state"], found.status["reason"]) == ("Suspended", "Suspended")
    assert step(an_entry(status=found.status, desiredState="Suspended")) == Wait()


# --- silence


def test_a_silent_site_is_said_and_nothing_is_concluded() -> None:
    entry = assigned(DISPATCHED, RUNNING)
    found = stages.next_step(a_view(entry, {"east": UNREACHABLE}))
    assert written(found)["Running"] == ("Unknown", "SiteUnreachable")
    assert "may still be running" in message(found, "Running")
    assert isinstance(found, Write)
    told = an_entry(status=found.status)
    assert stages.next_step(a_view(told, {"east": UNREACHABLE})) == Wait()


def test_a_site_that_is_only_not_known_yet_is_not_called_silent() -> None:
    assert stages.next_step(a_view(assigned(DISPATCHED, RUNNING), {})) == Wait()


def test_a_site_that_is_back_ends_the_silence() -> None:
    silent = a_condition("Running", "Unknown", "SiteUnreachable")
    running_again = step(assigned(DISPATCHED, silent), a_member_job(), a_member_pod(state=running()))
    assert written(running_again)["Running"] == ("True", "Running")
    pending = step(assigned(DISPATCHED, silent), a_member_job(), a_member_pod())
    assert written(pending)["Running"] == ("False", "PodsPending")


# --- create


def test_an_attempt_is_created_once() -> None:
    found = step(assigned())
    assert isinstance(found, Create)
    assert (found.site, found.assignment.epoch) == ("east", 1)


@pytest.mark.parametrize(
    ("entry", "pods", "attempt"),
    [
        (assigned(DISPATCHED), [], Attempt()),
        (assigned(), [], Attempt(created=True)),
        (assigned(), [a_member_pod(state=running())], Attempt()),
    ],
)
def test_a_job_that_was_there_and_is_not_was_removed_by_somebody(
    entry: JobEntry, pods: list[OwnPod], attempt: Attempt
) -> None:
    assert isinstance(step(entry, *pods, attempt=attempt), Find), "the member is asked before anything is believed"
    found = step(entry, *pods, attempt=replace(attempt, missing=True))
    assert written(found)["Dispatched"] == ("False", "DeletedOnMember")


def test_a_job_that_is_being_removed_by_somebody_is_no_other() -> None:
    assert written(step(assigned(), a_member_job(deleting=True)))["Dispatched"] == ("False", "DeletedOnMember")


def test_a_job_that_was_removed_when_all_was_done_has_succeeded() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded", metered=False)
    found = step(assigned(DISPATCHED), pod, recorded={pod.uid})
    assert written(found)["Finished"] == ("True", "Succeeded")


def test_a_task_that_may_have_ended_because_it_was_told_to_is_not_done_when_its_job_is_removed() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded", deletion=T0)
    found = step(assigned(DISPATCHED), pod, recorded={pod.uid}, attempt=Attempt(missing=True))
    assert written(found)["Dispatched"] == ("False", "DeletedOnMember")


@pytest.mark.parametrize(("deleting", "expected"), [(False, Write), (True, Wait)])
def test_a_complete_job_that_is_being_deleted_proves_nothing(deleting: bool, expected: type) -> None:
    entry = assigned(a_condition("Dispatched", "False", "Drained"), status={"startedAt": T0})
    pod = a_member_pod(state=ended(), phase="Succeeded", deletion=T0, metered=False)
    found = step(entry, a_member_job(Complete=True, deleting=deleting), pod, recorded={pod.uid})
    assert isinstance(found, expected)


def test_a_spec_changed_before_the_attempt_began_is_placed_anew() -> None:
    found = step(assigned(generation=2))
    assert written(found)["Dispatched"] == ("False", "SpecChanged")


def test_a_class_that_is_not_offered_any_more_ends_the_attempt() -> None:
    found = step(assigned(), offered=False)
    assert written(found)["Dispatched"] == ("False", "ClassNotOffered")
    assert "east no longer offers class cpu" in message(found, "Dispatched")


def test_a_member_that_refuses_for_good_ends_the_job() -> None:
    found = step(assigned(), attempt=Attempt(refused="422 Invalid: image"))
    assert written(found)["Finished"] == ("True", "DispatchRefused")
    assert "422 Invalid: image" in message(found, "Finished")


def test_a_member_that_puts_off_is_told_after_a_while_and_given_up_after_a_longer_one() -> None:
    said = "403 Forbidden: quota"
    assert isinstance(step(assigned(), attempt=Attempt(put_off=said, tried_s=1)), Create)
    assert step(assigned(), attempt=Attempt(put_off=said, tried_s=1, unanswered_s=7)) == Wait(7)
    found = step(assigned(), attempt=Attempt(put_off=said, tried_s=60))
    assert written(found)["Dispatched"] == ("False", "DispatchRefused")
    assert "403 Forbidden: quota" in message(found, "Dispatched")
    assert isinstance(found, Write)
    told = an_entry(status=found.status)
    assert isinstance(step(told, attempt=Attempt(put_off=said, tried_s=90)), Create)
    assert written(step(told, attempt=Attempt(put_off=said, tried_s=600)))["Dispatched"] == ("False", "GangTimeout")


# --- follow


def test_a_running_job_is_said_to_run_once() -> None:
    found = step(assigned(), a_member_job(), a_member_pod(state=running()))
    assert written(found)["Running"] == ("True", "Running")
    assert isinstance(found, Write)
    assert found.status["startedAt"] == T0
    assert step(an_entry(status=found.status), a_member_job(), a_member_pod(state=running())) == Wait()


def test_a_job_that_ended_before_anybody_looked_is_finished_in_one_write() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded")
    found = step(assigned(), a_member_job(Complete=True), pod, recorded={pod.uid})
    assert written(found)["Finished"] == ("True", "Succeeded")
    assert isinstance(found, Write)
    assert found.status["usage"] == wire(Usage())
    assert found.warning is None


def test_a_complete_job_waits_for_the_news_of_its_last_pods() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded")
    entry = assigned(tasks=2)
    early = {"recorded": {pod.uid}, "now_ms": parse_time_ms(T0) + 10_000}
    assert step(entry, a_member_job(Complete=True), pod, **early) == Wait(20.0)
    late = {"recorded": {pod.uid}, "now_ms": parse_time_ms(T0) + 30_000}
    assert written(step(entry, a_member_job(Complete=True), pod, **late))["Finished"][0] == "True"


def test_a_job_with_a_pod_that_still_runs_has_not_ended() -> None:
    job = a_member_job(Failed=("BackoffLimitExceeded", ""))
    assert step(assigned(), job, a_member_pod(state=running(), deletion=T0)) == Wait()


def test_a_failure_without_retries_ends_the_job_with_its_exit_code() -> None:
    pod = a_member_pod(state=ended(3), phase="Failed")
    found = step(assigned(), a_member_job(Failed=("BackoffLimitExceeded", "")), pod, recorded={pod.uid})
    assert written(found)["Finished"] == ("True", "Failed")
    assert "1 of 1 tasks failed at east; first: exit code 3" in message(found, "Finished")
    assert isinstance(found, Write)
    assert (found.status["failures"], found.warning) == (1, Reason.FAILED)


def test_a_failure_with_retries_takes_the_attempt_back() -> None:
    pod = a_member_pod(state=ended(3), phase="Failed")
    entry = assigned(limits={"retries": 1})
    found = step(entry, a_member_job(Failed=("BackoffLimitExceeded", "")), pod, recorded={pod.uid})
    assert written(found)["Dispatched"] == ("False", "Failed")


def test_what_the_cluster_did_costs_no_retry() -> None:
    pod = a_member_pod(state=ended(137), phase="Failed", conditions=GONE)
    found = step(assigned(), a_member_job(Failed=("BackoffLimitExceeded", "")), pod, recorded={pod.uid})
    assert written(found)["Dispatched"] == ("False", "Disrupted")


def test_the_active_deadline_ends_the_job() -> None:
    job = a_member_job(Failed=("DeadlineExceeded", "Job was active longer than specified deadline"))
    found = step(assigned(limits={"activeDeadline": "10s", "retries": 5}), job)
    assert written(found)["Finished"] == ("True", "Deadline")
    assert "limits.activeDeadline 10s" in message(found, "Finished")


def test_pods_that_do_not_start_are_told_then_taken_back() -> None:
    unbound = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]
    pod = a_member_pod(node="", conditions=unbound)
    assert step(assigned(), a_member_job(), pod, attempt=Attempt(seen_s=10)) == Wait(50.0)
    found = step(assigned(), a_member_job(), pod, attempt=Attempt(seen_s=60))
    assert written(found)["Running"] == ("False", "PodsPending")
    assert "0 of 1 tasks started at east, 1 pending; 1 of them: Unschedulable: 0/3 nodes" in message(found, "Running")
    assert isinstance(found, Write)
    told = an_entry(status=found.status)
    assert step(told, a_member_job(), pod, attempt=Attempt(seen_s=70)) == Wait(530.0)
    assert written(step(told, a_member_job(), pod, attempt=Attempt(seen_s=600)))["Dispatched"] == (
        "False",
        "GangTimeout",
    )


def test_an_image_that_is_not_found_ends_the_attempt_sooner() -> None:
    pod = a_member_pod(state={"waiting": {"reason": "ErrImagePull", "message": "not found"}})
    found = step(assigned(), a_member_job(), pod, attempt=Attempt(seen_s=120))
    assert written(found)["Dispatched"] == ("False", "ImagePullFailed")
    assert "ErrImagePull: not found" in message(found, "Dispatched")


def test_an_edit_while_it_runs_is_told_once_and_changes_nothing() -> None:
    entry = assigned(DISPATCHED, RUNNING, generation=2, tasks=5)
    found = step(entry, a_member_job(), a_member_pod(state=running()))
    assert "goes on as it began" in message(found, "Accepted")
    assert isinstance(found, Write)
    assert found.status["state"] == "Running"
    told = an_entry(status={**found.status, "startedAt": T0}, generation=2, tasks=5)
    after = stages.follow(a_view(told, {"east": at(a_member_job(), a_member_pod(state=running()))}))
    assert isinstance(after, Write | Wait)
    assert stages.note_edit(a_view(told)) is None
    assert not isinstance(after, Write) or written(after)["Running"] == ("True", "Running")


# --- stopping


def test_suspending_is_written_before_anything_is_stopped() -> None:
    entry = assigned(DISPATCHED, RUNNING, desiredState="Suspended")
    found = step(entry, a_member_job(), a_member_pod(state=running()))
    assert written(found)["Dispatched"] == ("False", "Suspended")


def test_what_nobody_pays_for_is_stopped_when_its_time_comes_and_not_before() -> None:
    entry, pod = assigned(DISPATCHED, RUNNING), a_member_pod(state=running())
    early = step(entry, a_member_job(), pod, unpaid=(90.0, "no money"))
    assert isinstance(early, Wait) or "Dispatched" not in written(early) or written(early)["Dispatched"][0] == "True"
    found = step(entry, a_member_job(), pod, unpaid=(0.0, "no money"))
    assert written(found)["Dispatched"] == ("False", "BudgetExceeded")
    assert isinstance(found, Write)
    assert (found.warning, found.text) == (Reason.BUDGET_EXCEEDED, "no money")
    done = a_member_pod(state=ended(), phase="Succeeded")
    found = step(entry, a_member_job(Complete=True), done, recorded={done.uid}, unpaid=(0.0, "no money"))
    assert written(found)["Finished"] == ("True", "Succeeded")


def test_what_has_ended_by_itself_is_not_suspended() -> None:
    pod = a_member_pod(state=ended(), phase="Succeeded")
    entry = assigned(DISPATCHED, RUNNING, desiredState="Suspended")
    found = step(entry, a_member_job(Complete=True), pod, recorded={pod.uid})
    assert written(found)["Finished"] == ("True", "Succeeded")


def test_an_attempt_is_given_up_only_when_nothing_of_it_is_left() -> None:
    entry = assigned(*taken_back("Suspended"), desiredState="Suspended")
    job, pod = a_member_job(), a_member_pod(state=running())
    assert step(entry, job, pod) == Delete("east", job, "the attempt ended: Suspended", runs=True)
    assert step(entry, job) == Delete("east", job, "the attempt ended: Suspended", runs=True)
    failed = a_member_pod(state=ended(1), phase="Failed")
    over = step(entry, job, failed, recorded={failed.uid})
    assert over == Delete("east", job, "the attempt ended: Suspended", runs=False)
    assert step(entry, a_member_job(deleting=True), pod) == Wait()
    assert step(entry, replace(pod, deleting=True)) == Wait(300)
    found = step(entry)
    assert isinstance(found, Write)
    assert "assignment" not in found.status
    assert (found.status["state"], found.warning, found.backs_off) == ("Suspended", None, False)
    assert found.status["epoch"] == 1


def test_a_create_without_an_answer_may_still_come_true() -> None:
    entry = assigned(*taken_back("Suspended"), desiredState="Suspended")
    assert step(entry, attempt=Attempt(unanswered_s=7.0)) == Wait(7.0)
    assert step(entry, a_member_job(), attempt=Attempt(unanswered_s=7.0)) == Wait(7.0)


def test_what_was_created_without_an_answer_is_looked_for_before_it_counts_as_gone() -> None:
    entry, asked = assigned(*taken_back("Suspended"), desiredState="Suspended"), Attempt(put_off="no answer")
    assert isinstance(step(entry, attempt=asked), Find)
    assert isinstance(step(entry, attempt=replace(asked, missing=True)), Write)


def test_pods_of_a_job_that_is_gone_are_looked_for_before_its_attempt_counts_as_gone() -> None:
    entry = assigned(*taken_back("Suspended"), desiredState="Suspended")
    assert isinstance(step(entry, attempt=Attempt(created=True)), Find)
    pod = a_member_pod(state=running())
    assert step(entry, pod, attempt=Attempt(created=True, missing=True)) == Wait(), "one was found"
    assert isinstance(step(entry, attempt=Attempt(created=True, missing=True)), Write)


def test_a_job_that_was_resumed_while_it_stopped_is_queued_again_and_nobody_is_to_blame() -> None:
    found = step(assigned(*taken_back("Suspended")))
    assert isinstance(found, Write)
    assert written(found)["Placed"] == ("False", "Requeued")
    assert (found.warning, found.backs_off, found.status.get("failures")) == (None, False, None)


@pytest.mark.parametrize(
    ("reason", "failures", "retries", "expected"),
    [
        ("Failed", 0, 1, ("Waiting", 1)),
        ("Failed", 1, 1, ("Failed", 2)),
        ("DeletedOnMember", 0, 0, ("Failed", 1)),
        ("ImagePullFailed", 0, 0, ("Failed", 1)),
        ("GangTimeout", 0, 0, ("Waiting", None)),
        ("Disrupted", 3, 3, ("Waiting", 3)),
        ("ClassNotOffered", 0, 0, ("Waiting", None)),
    ],
)
def test_retries_are_spent_by_what_the_job_did(
    reason: str, failures: int, retries: int, expected: tuple[str, int | None]
) -> None:
    entry = assigned(*taken_back(reason), status={"failures": failures}, limits={"retries": retries})
    found = step(entry)
    assert isinstance(found, Write)
    assert (found.status["state"], found.status.get("failures")) == expected
    assert found.warning is Reason(reason)
    assert found.backs_off == (expected[0] == "Waiting")


# --- finished


def test_a_finished_job_is_left_alone_then_removed() -> None:
    told = {"usage": wire(Usage()), "finishedAt": T0}
    finished = assigned(a_condition("Finished"), status=told)
    job = a_member_job(Complete=True)
    assert step(finished, job) == Wait(3_540.0)
    assert step(finished, job, now_ms=NOW_MS + 3_600_000) == Delete("east", job, "the job has finished")
    assert stages.next_step(a_view(finished, {"east": at(job, usable=False)}, now_ms=NOW_MS + 3_600_000)) == Wait()
    assert step(finished) == Wait()


def test_use_that_came_late_is_put_right() -> None:
    finished = assigned(a_condition("Finished"), status={"usage": {"pods": -1}, "finishedAt": T0})
    found = step(finished)
    assert isinstance(found, Write)
    assert found.status["usage"] == wire(Usage())


# --- whatever is there


# --- a silent site


def silent(*, silent_s: float = 0.0, fenced_in_s: float | None = None) -> dict[str, AtSite]:
    """Site east, of which nothing is known any more."""
    return {"east": replace(UNREACHABLE, silent_s=silent_s, fenced_in_s=fenced_in_s)}


AT_MOST_ONCE = {"failover": "AtMostOnce"}


@pytest.mark.parametrize(
    ("spec", "status", "site", "given_up"),
    [
        ("AtLeastOnce", {}, silent(silent_s=299), False),
        ("AtLeastOnce", {}, silent(silent_s=300), True),
        ("AtLeastOnce", AT_MOST_ONCE, silent(silent_s=300), True),
        ("AtMostOnce", AT_MOST_ONCE, silent(silent_s=9e9), False),
        ("AtMostOnce", AT_MOST_ONCE, silent(fenced_in_s=0.1), False),
        ("AtMostOnce", AT_MOST_ONCE, silent(fenced_in_s=0.0), True),
        ("AtMostOnce", {"failover": "AtLeastOnce"}, silent(fenced_in_s=0.0), False),
        ("AtMostOnce", {}, silent(fenced_in_s=0.0), False),
    ],
)
def test_an_attempt_at_a_silent_site_is_given_up_only_when_it_may_be(
    spec: str, status: dict[str, Any], site: dict[str, AtSite], given_up: bool
) -> None:
    entry = assigned(DISPATCHED, RUNNING, epoch=3, status=status, failover=spec)
    found = stages.next_step(a_view(entry, site))
    assert isinstance(found, Write)
    assert (found.leaves == "east") is given_up
    assert ("assignment" not in found.status) is given_up
    assert [lost["epoch"] for lost in found.status.get("lost", [])] == [3] * given_up


def test_what_waits_for_the_end_of_a_silence_says_when_and_looks_again_then() -> None:
    entry = assigned(DISPATCHED, RUNNING, failover="AtLeastOnce")
    told = stages.next_step(a_view(entry, silent(silent_s=100)))
    assert message(told, "Running").endswith("after 300 s of silence it is started elsewhere")
    assert isinstance(told, Write)
    again = an_entry(status=told.status, failover="AtLeastOnce")
    assert stages.next_step(a_view(again, silent(silent_s=100))) == Wait(200.0)


def test_what_was_given_up_keeps_the_next_attempt_waiting_only_where_it_can_be_removed() -> None:
    lost = {"lost": [{"epoch": 1, "site": "east", "time": T0}], "epoch": 1}
    entry = an_entry(status=lost)
    entry.assumed = Assumption(
        Assignment.model_validate({"site": "west", "epoch": 2, "class": "cpu", "time": T0}),
        Decision("west", "cpu", Reason.PLACED, ""),
        0,
        NOW_MS,
    )
    pod = a_member_pod(state=running())
    old = at(a_member_job(), pod)
    assert stages.next_step(a_view(entry, {"east": replace(old, usable=False)})) == Commit()
    found = stages.next_step(a_view(entry, {"east": old}))
    assert isinstance(found, Delete), "the site is back: first the old copy goes"
    strange = at(a_member_job(epoch=5), usable=False)
    assert stages.next_step(a_view(entry, {"east": strange})) == Wait(), "nobody gave that one up"


def test_a_suspended_job_is_not_given_up() -> None:
    entry = assigned(DISPATCHED, RUNNING, failover="AtLeastOnce", desiredState="Suspended")
    found = stages.next_step(a_view(entry, silent(silent_s=9e9)))
    assert isinstance(found, Write)
    assert not found.leaves


@pytest.mark.parametrize("conditions", [{}, {"Failed": ("BackoffLimitExceeded", "")}])
def test_an_attempt_that_the_fence_stopped_ends_without_blame(conditions: dict[str, Any]) -> None:
    job = replace(a_member_job(**conditions), fenced=True)
    assert written(step(assigned(DISPATCHED, RUNNING), job))["Dispatched"] == ("False", "Fenced")
    ending = assigned(*taken_back("Fenced"))
    requeued = step(ending)
    assert written(requeued)["Placed"] == ("False", "Requeued")
    assert isinstance(requeued, Write)
    assert "failures" not in requeued.status


def test_what_was_complete_before_the_fence_came_has_succeeded() -> None:
    job = replace(a_member_job(Complete=True), fenced=True)
    pod = a_member_pod(state=ended(), phase="Succeeded")
    assert written(step(assigned(DISPATCHED, RUNNING), job, pod, recorded={pod.uid}))["Finished"] == (
        "True",
        "Succeeded",
    )


def test_every_stage_is_in_the_table_once() -> None:
    assert len(set(stages.STAGES)) == len(stages.STAGES) == 17


@pytest.mark.parametrize("usable", [True, False])
@pytest.mark.parametrize("jobs", [(), (a_member_job(),), (a_member_job(deleting=True),), (a_member_job(epoch=2),)])
@pytest.mark.parametrize("pods", [(), (a_member_pod(),), (a_member_pod(state=running()),), (a_member_pod(epoch=2),)])
@pytest.mark.parametrize(
    "entry",
    [
        None,
        an_entry(),
        an_entry(tasks="many"),
        an_entry(status={"assignment": "?"}),
        assigned(),
        assigned(tasks="many"),
        assigned(DISPATCHED, RUNNING),
        assigned(*taken_back("Failed"), tasks="many"),
        assigned(a_condition("Finished")),
        an_entry(status={"conditions": [a_condition("Finished")]}),
    ],
)
def test_there_is_a_step_for_everything_and_no_create_beside_another_copy(
    entry: JobEntry | None, jobs: tuple[OwnJob, ...], pods: tuple[OwnPod, ...], usable: bool
) -> None:
    found = stages.next_step(a_view(entry, {"east": AtSite(usable, "", jobs, pods)}))
    if isinstance(found, Create):
        assert usable
        assert not jobs
        assert not pods
    if isinstance(found, Create | Delete | Release):
        assert usable
