"""Conditions keep their time while their status stands, and survive what people write into them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.conditions import Condition, find, is_true, merged, readable
from suanli.base.reasons import Reason

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("type", "status", "x")), inner, max_size=3)
    ),
    max_leaves=8,
)
ORDER = ("Ready", "Reachable")


def test_the_time_moves_with_the_status_and_not_with_the_words() -> None:
    first = merged([], [Condition("Ready", False, Reason.SYNCING, "one")], 1, "t1", ORDER)
    second = merged(first, [Condition("Ready", False, Reason.UNREACHABLE, "two")], 2, "t2", ORDER)
    third = merged(second, [Condition("Ready", True, Reason.READY)], 3, "t3", ORDER)
    assert [c["lastTransitionTime"] for c in (*first, *second, *third)] == ["t1", "t1", "t3"]
    assert (second[0]["reason"], second[0]["message"], second[0]["observedGeneration"]) == ("Unreachable", "two", 2)


def test_saying_the_same_again_changes_nothing() -> None:
    said = [Condition("Reachable", None, Reason.SYNCING, "wait"), Condition("Ready", False, Reason.SYNCING)]
    once = merged([], said, 1, "t1", ORDER)
    assert merged(once, said, 1, "t2", ORDER) == once
    assert [c["type"] for c in once] == ["Ready", "Reachable"]
    assert [c["status"] for c in once] == ["False", "Unknown"]


def test_others_stay_and_unknown_types_come_last() -> None:
    mine = merged([], [Condition("Aged", True, Reason.READY)], 1, "t1", ORDER)
    both = merged(mine, [Condition("Ready", True, Reason.READY)], 1, "t1", ORDER)
    assert [c["type"] for c in both] == ["Ready", "Aged"]


def test_a_long_message_is_cut_to_what_the_hub_takes() -> None:
    (condition,) = merged([], [Condition("Ready", True, Reason.READY, "州" * 5_000)], 1, "t", ORDER)
    assert condition["message"] == "州" * 1_024


@given(JSON)
def test_whatever_stands_there_is_read_or_left_out(raw: object) -> None:
    for condition in readable(raw):
        assert isinstance(condition["type"], str)
        assert condition["status"] in ("True", "False", "Unknown")
    assert is_true(merged(raw, [Condition("Ready", True, Reason.READY)], 1, "t", ORDER), "Ready")


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_only_true_is_true(status: str) -> None:
    conditions = [{"type": "Ready", "status": status}]
    assert not is_true(conditions, "Ready")
    assert find(conditions, "Ready") == {"type": "Ready", "status": status}
    assert find(conditions, "Reachable") is None
