"""Whatever somebody else put there, what is read is of the type that was asked for, printable and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.untrusted import MAX_TEXT, count, items, mapping, text

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_what_is_right_is_taken_as_it_is() -> None:
    assert mapping({"a": 1}) == {"a": 1}
    assert items([{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]
    assert text("算力 and more") == "算力 and more"
    assert count("42") == 42


@pytest.mark.parametrize("value", [None, "x", 4, [1], True])
def test_what_is_no_object_is_an_empty_one(value: object) -> None:
    assert mapping(value) == {}


@pytest.mark.parametrize(
    ("value", "kept"), [(None, []), ({"a": 1}, []), ("ab", []), ([1, {"a": 1}, None, [2]], [{"a": 1}])]
)
def test_only_the_objects_of_a_list_are_kept(value: object, kept: object) -> None:
    assert items(value) == kept


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31m\nb", "a [31m b"),
        ("half \ud800 a pair", "half   a pair"),
        ("\u202ereversed", " reversed"),
        (4, ""),
        ([], ""),
    ],
)
def test_a_text_is_printable(value: object, shown: str) -> None:
    assert text(value) == shown


def test_a_text_is_bounded() -> None:
    assert text("x" * 5_000) == "x" * MAX_TEXT
    assert text("x" * 5_000, 3) == "xxx"


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1e3", " 1", "1\n", "٣", "²", "9999999999", 7, None, ["1"], True])
def test_what_is_no_count_is_none(value: object) -> None:
    assert count(value) == 0


@given(ANYTHING)
def test_anything_can_be_read(value: object) -> None:
    assert isinstance(mapping(value), dict)
    assert all(isinstance(item, dict) for item in items(value))
    shown = text(value)
    assert len(shown) <= MAX_TEXT
    assert shown.isprintable()
    assert len(shown.encode()) >= len(shown)
    assert 0 <= count(value) < 10**9
