"""Every field of every kind edited at random while jobs run, and set back: it ends as it is declared."""

import pytest

from faults.__main__ import replay, report
from faults.pool import edit_outcomes

RUNS = 100
PROCESSES = 2


@pytest.mark.timeout(600)  # some 25 seconds of two whole cores
def test_whatever_is_edited_and_set_back_nothing_breaks_and_nothing_stays() -> None:
    done = list(edit_outcomes(range(1, RUNS + 1), PROCESSES))
    wrong = [f"seed {one.seed}: {text}; {replay(one.seed, edits=True)}" for one in done for text in one.violations]
    assert not wrong, "\n".join(wrong)
    assert report(done, 1, 0.0, edits=True)["neverMet"] == [], "every field of every kind is edited"
    assert all(one.jobs == 3 and one.containers >= 4 for one in done), "jobs run meanwhile"
