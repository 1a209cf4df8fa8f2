"""What a process remembers of an attempt: whether a create may still come true, and what was said to it."""

import pytest

from builders import a_member_pod, running
from suanli.kube.client import ApiError, NotSent, Unreachable
from suanli.reconcile.attempts import LATE_S, Attempts
from suanli.reconcile.job import Attempt


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


def look(attempts: Attempts, now_s: float, *, epoch: int = 1, seen: bool = False) -> Attempt:
    return attempts.look("u", epoch, seen=seen, now_s=now_s)


def test_a_fresh_leader_does_not_know_what_was_sent_before(attempts: Attempts) -> None:
    attempts.begin(100)
    assert look(attempts, 103) == Attempt(unanswered_s=LATE_S - 3)
    assert look(attempts, 100 + LATE_S) == Attempt()


def test_a_create_may_come_true_until_it_is_answered(attempts: Attempts) -> None:
    attempts.try_create("u", 1, 100)
    assert look(attempts, 100).unanswered_s == LATE_S
    attempts.answered("u", None, 101)
    assert look(attempts, 101) == Attempt(created=True, tried_s=1)


@pytest.mark.parametrize("error", [Unreachable("gone"), ApiError(504, "Timeout", "late"), ApiError(500, "", "")])
def test_without_an_answer_it_may_still_come_true_for_a_while(
    attempts: Attempts, error: ApiError | Unreachable
) -> None:
    attempts.try_create("u", 1, 100)
    attempts.answered("u", error, 103)
    assert look(attempts, 104).unanswered_s == LATE_S - 1
    assert look(attempts, 104).put_off == str(error)
    assert look(attempts, 104 + LATE_S).unanswered_s == 0


def test_what_was_never_sent_cannot_come_true(attempts: Attempts) -> None:
    attempts.try_create("u", 1, 100)
    attempts.answered("u", NotSent("it takes too long"), 101)
    assert (look(attempts, 101).unanswered_s, look(attempts, 101).put_off) == (0, "it takes too long")
    attempts.try_create("u", 1, 102)
    attempts.answered("u", Unreachable("gone"), 103)
    attempts.try_create("u", 1, 104)
    attempts.answered("u", NotSent("it takes too long"), 105)
    assert look(attempts, 105).unanswered_s == LATE_S - 2


def test_a_later_answer_says_nothing_of_an_earlier_create(attempts: Attempts) -> None:
    attempts.try_create("u", 1, 100)
    attempts.answered("u", Unreachable("gone"), 103)
    attempts.try_create("u", 1, 104)
    attempts.answered("u", None, 105)
    assert look(attempts, 105, seen=True).unanswered_s == LATE_S - 2
    assert look(attempts, 105).created


def test_a_refusal_is_final_or_not(attempts: Attempts) -> None:
    attempts.try_create("u", 1, 0)
    attempts.answered("u", ApiError(403, "Forbidden", "quota"), 1)
    assert (look(attempts, 1).refused, look(attempts, 1).put_off) == ("", "403 Forbidden: quota")
    attempts.try_create("u", 1, 2)
    attempts.answered("u", ApiError(422, "Invalid", "image"), 3)
    assert (look(attempts, 3).refused, look(attempts, 3).put_off) == ("422 Invalid: image", "")
    assert look(attempts, 3).unanswered_s == 0


def test_another_attempt_begins_with_nothing(attempts: Attempts) -> None:
    attempts.try_create("u", 1, 0)
    attempts.answered("u", ApiError(422, "Invalid", "image"), 1)
    assert look(attempts, 100, epoch=2) == Attempt()
    attempts.try_create("u", 2, 100)
    assert look(attempts, 101, epoch=2).refused == ""
    attempts.forget("u")
    assert look(attempts, 101, epoch=2) == Attempt()


def test_time_counts_from_when_its_job_was_first_seen(attempts: Attempts) -> None:
    assert look(attempts, 50, seen=True) == Attempt(created=True)
    assert look(attempts, 80, seen=True).seen_s == 30
    assert look(attempts, 90).created


def test_pods_that_leave_and_have_not_ended_are_timed(attempts: Attempts) -> None:
    leaving = a_member_pod(deletion="2026-03-01T08:00:00Z")
    runs = a_member_pod(index=2, state=running(), deletion="2026-03-01T08:00:00Z")
    others = [a_member_pod(index=1), a_member_pod(index=3, phase="Failed", deletion="2026-03-01T08:00:00Z")]
    assert attempts.leaving("u", [leaving, *others], 10) == {leaving.uid: 0}
    assert attempts.leaving("u", [leaving, runs], 15) == {leaving.uid: 5, runs.uid: 0}
    assert attempts.leaving("u", [leaving], 18) == {leaving.uid: 8}
    assert attempts.leaving("u", [], 20) == {}
    assert attempts.leaving("u", [leaving], 30) == {leaving.uid: 0}
