"""A line: urgent keys go first, and the others are not forgotten."""

import pytest

from suanli.reconcile.line import TURNS, Line


def all_of(line: Line) -> list[str]:
    return [line.take() for _ in range(len(line))]


def test_urgent_keys_go_first_each_kind_in_its_order() -> None:
    line = Line()
    assert [line.add("a"), line.add("b"), line.add("c", urgent=True), line.add("d", urgent=True)] == [True] * 4
    assert not line.add("a")
    assert len(line) == 4
    assert all_of(line) == ["c", "d", "a", "b"]
    with pytest.raises(IndexError):
        line.take()


def test_a_key_that_waits_may_become_urgent_but_comes_once() -> None:
    line = Line()
    for key in "abc":
        line.add(key)
    assert not line.add("c", urgent=True)
    assert not line.add("c")
    assert all_of(line) == ["c", "a", "b"]
    line.add("c")
    assert all_of(line) == ["c"]


def test_every_eighth_turn_is_the_others() -> None:
    line = Line()
    line.add("patient")
    for n in range(20):
        line.add(f"u{n}", urgent=True)
    taken = all_of(line)
    assert taken.index("patient") == TURNS - 1
    assert [key for key in taken if key != "patient"] == [f"u{n}" for n in range(20)]
