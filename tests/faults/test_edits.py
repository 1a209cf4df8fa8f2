"""Every field of every kind edited at random while jobs run, and set back: it ends as it is declared."""

from collections import defaultdict

import pytest

from edits import How, declared, draw, edited, fields, is_taken
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


# 9005: a condition of a site that has no reason; 9009: a job whose whole spec is taken away.
@pytest.mark.parametrize("seed", [9005, 9009])
def test_what_edits_found_once_stays_found(seed: int) -> None:
    (one,) = edit_outcomes([seed], 1)
    assert one.violations == []


def test_every_field_is_drawn_in_every_way_valid_and_not() -> None:
    ways, taken = defaultdict(set), defaultdict(set)
    whole = {(raw["kind"], raw["metadata"]["name"]): raw for raw in declared()}
    for seed in range(1, RUNS + 1):
        for edit in draw(seed):
            ways[edit.field].add(edit.how)
            taken[edit.field].add(is_taken(edited(whole[edit.field.kind, edit.name], edit)))
    assert set(ways) == set(fields())
    assert {field.label for field in fields() if ways[field] < set(How)} == set()
    specs = [field for field in fields() if field.path[0] == "spec"]
    assert {field.label for field in specs if False not in taken[field]} == set(), "refused by the API server"
    assert sum(True in taken[field] for field in specs) > 0.95 * len(specs), "taken by it"


def test_what_is_declared_is_right() -> None:
    assert [raw["metadata"]["name"] for raw in declared() if not is_taken(raw)] == []
