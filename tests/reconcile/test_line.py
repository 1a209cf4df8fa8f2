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


def test_tenants_take_turns_however_many_keys_one_of_them_has() -> None:
    """S4: of a flood of 10,000 keys, as many go before another tenant's key as tenants wait."""
    line = Line(lambda key: key[0])
    for n in range(10_000):
        line.add(f"f{n}", urgent=n % 2 == 0)
    assert line.take() == "f0"
    for key in ("b0", "a0", "a1"):
        line.add(key, urgent=True)
    assert [line.take() for _ in range(5)] == ["f2", "b0", "a0", "f4", "a1"]
    line.add("c0")
    assert "c0" in [line.take() for _ in range(2 * TURNS)], "the others' turns are shared out too"
    rest = all_of(line)
    assert len(rest) == len(set(rest)) == 10_004 - 22
