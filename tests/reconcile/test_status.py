"""What is written into a job's status: the least that changes it, and always something the hub takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apistore import merged
from builders import a_condition, a_job, an_assignment
from suanli.api.job import Assignment, ComputeJobStatus, Estimate, Placement, Queue, Rejection, Usage
from suanli.base.conditions import Condition
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision
from suanli.reconcile import status
from suanli.reconcile.state import JobEntry, Mirror

PLAIN = st.none() | st.integers(0, 3) | st.text("ab", max_size=2)
VALUE = st.recursive(
    PLAIN.filter(lambda v: v is not None),
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.sampled_from("xyz"), v, max_size=3),
    max_leaves=6,
)
STATUS = st.dictionaries(st.sampled_from("abcd"), VALUE, max_size=4)


def an_entry(told: Any = None) -> JobEntry:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    mirror.apply("ADDED", a_job(status=told))
    return mirror.jobs["uid-train"]


@given(STATUS, STATUS)
def test_a_patch_makes_the_one_out_of_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = status.patch_of(old, new)
    assert merged(old, patch) == new
    assert (patch == {}) == (old == new)


def test_a_patch_names_only_what_differs() -> None:
    assert status.patch_of({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4}) == {"b": 4, "c": None}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"conditions": []}, ("Waiting", "")),
        ({"conditions": [a_condition("Placed", "False", "NoSites")]}, ("Waiting", "NoSites")),
        ({"conditions": [a_condition("Placed", "False", "Suspended")]}, ("Suspended", "Suspended")),
        ({"conditions": [a_condition("Accepted", "False", "InvalidSpec")]}, ("Invalid", "InvalidSpec")),
        ({"conditions": [a_condition("Placed", "Unknown", "StatusUnreadable")]}, ("Unknown", "StatusUnreadable")),
        ({"assignment": an_assignment(), "conditions": [a_condition("Placed")]}, ("Starting", "Placed")),
        (
            {"assignment": an_assignment(), "conditions": [a_condition("Running", "False", "PodsPending")]},
            ("Starting", "PodsPending"),
        ),
        ({"assignment": an_assignment(), "conditions": [a_condition("Running")]}, ("Running", "Running")),
        (
            {"assignment": an_assignment(), "conditions": [a_condition("Running", "Unknown", "SiteUnreachable")]},
            ("Unknown", "SiteUnreachable"),
        ),
        ({"conditions": [a_condition("Finished", "True", "Succeeded")]}, ("Succeeded", "Succeeded")),
        ({"conditions": [a_condition("Finished", "True", "Deadline")]}, ("Failed", "Deadline")),
        ({"conditions": [a_condition("Finished", "True", "SomebodysWord")]}, ("Failed", "SomebodysWord")),
    ],
)
def test_one_word_for_people(told: dict[str, Any], expected: tuple[str, str]) -> None:
    assert status.summary(told) == expected


def test_fields_are_set_and_taken_away_and_others_stay() -> None:
    entry = an_entry({"queue": {"position": 2, "ahead": 1}, "epoch": 4, "conditions": []})
    found = status.changed(entry, 0, [Condition("Placed", False, Reason.NO_SITES, "none")], queue=None, failures=2)
    assert (found["epoch"], found["failures"], found["reason"]) == (4, 2, "NoSites")
    assert "queue" not in found
    assert entry.status["queue"]  # what is known is not touched


def test_everything_that_is_written_is_a_status_as_the_schema_has_it() -> None:
    rejection = Rejection(reason="NoCapacity", count=2, example="east")
    placement = Placement(rejections=[rejection])
    waits = Decision(None, None, Reason.NO_FEASIBLE_SITE, "no", placement, None, Queue(position=1, ahead=0))
    goes = Decision("east", "cpu", Reason.PLACED, "yes", placement, Estimate(cost="5"))
    assignment = Assignment.model_validate(an_assignment())
    usage = Usage(attempts=1, pods=2, run_ms="3")
    one = status.waiting(an_entry(), waits, 0)
    two = status.placed(an_entry(one), goes, assignment, 12, 0)
    three = status.finished(an_entry(two), Reason.FAILED, "exit code 1", usage, 0, failures=1)
    for written in (one, two, three, status.invalid(an_entry(), 0), status.damaged(an_entry({"assignment": 7}), 0)):
        ComputeJobStatus.model_validate({k: v for k, v in written.items() if v != 7})
    assert one["queue"] == {"position": 1, "ahead": 0}
    assert "queue" not in two
    assert (two["placement"]["boundGapPpm"], two["assignment"]) == (12, an_assignment())
    assert three["usage"]["pods"] == 2


def test_a_job_that_never_ran_is_not_said_to_have_been_dispatched() -> None:
    found = status.finished(an_entry(), Reason.DISPATCH_REFUSED, "no", Usage(), 0)
    conditions = {c["type"]: c["status"] for c in found["conditions"]}
    assert conditions == {"Dispatched": "Unknown", "Running": "False", "Finished": "True"}
