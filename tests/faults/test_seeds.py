"""Runs of a whole federation under drawn faults, judged by the API servers' histories alone.

A seed that fails is shown again, with its plan and the history of each job concerned, by the command in its line.
"""

import pytest

from faultplan import Fault
from faultrun import crash_outcome
from faults.__main__ import replay, report
from faults.pool import crash_outcomes, outcomes

RUNS = 200
PROCESSES = 2
MOST_AFTER_CRASH_S = 60.0


@pytest.mark.timeout(900)  # about a minute of two whole cores
def test_nothing_is_doubled_lost_left_over_or_miscounted_under_faults() -> None:
    done = list(outcomes(range(1, RUNS + 1), PROCESSES))
    wrong = [f"seed {one.seed}: {text}; {replay(one.seed)}" for one in done for text in one.violations]
    assert not wrong, "\n".join(wrong)
    assert report(done, 1, 0.0)["neverMet"] == [], "every fault hits something"
    assert sum(one.crashes for one in done) > RUNS / 4
    assert sum(one.containers for one in done) > RUNS
    assert any(one.plan["fenced"] and one.given_up for one in done), "fences let work start elsewhere"


def test_a_seed_has_the_same_history_in_every_process() -> None:
    one, other = outcomes([7, 7], 2)
    assert one.digest == other.digest != ""
    assert one.met
    assert set(one.met) <= set(Fault)


def test_jobs_that_wait_in_turn_for_the_money_of_their_account_do_not_stand_still() -> None:
    """Seed 83659: all that users resumed at the end, and what of it fails twice, takes longer than anything else may."""
    (one,) = outcomes([83659], 1)
    assert one.violations == []
    assert one.stood_s < 10 < one.settled_s


@pytest.mark.timeout(900)
def test_an_operator_killed_at_any_write_settles_and_loses_nothing() -> None:
    writes = crash_outcome(0, "before").writes_at_work
    points = [(number, moment) for number in range(1, writes + 1) for moment in ("before", "after")]
    assert len(points) >= 100
    for point, one in zip(points, crash_outcomes(points, PROCESSES), strict=True):
        assert (one.violations, one.crashes) == ([], 1), f"killed {point[1]} write {point[0]}: {one.violations}"
        assert one.settled_s <= MOST_AFTER_CRASH_S, f"killed {point[1]} write {point[0]}: {one.settled_s} s"
