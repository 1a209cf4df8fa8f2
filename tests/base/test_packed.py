"""What rests packed comes back as it was, and is the smaller the more typical it is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from suanli.base.packed import packed, typical, unpacked

TYPICAL = typical(
    {"conditions": [{"type": "Accepted", "status": "True", "message": "the spec can be read"}], "epoch": 1}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(document=JSON, like=JSON)
def test_a_document_comes_back_whatever_was_thought_typical(document: Any, like: Any) -> None:
    assert unpacked(packed(document, typical(like)), typical(like)) == document


def test_equal_documents_rest_alike() -> None:
    assert packed({"a": [1, "b"]}, TYPICAL) == packed({"a": [1, "b"]}, TYPICAL)


def test_a_long_document_comes_back_too() -> None:
    document = {str(n): f"{n * n}" for n in range(20_000)}
    assert unpacked(packed(document, TYPICAL), TYPICAL) == document


def test_what_is_typical_takes_hardly_any_room() -> None:
    document = {"conditions": [{"type": "Accepted", "status": "True", "message": "the spec can be read"}], "epoch": 2}
    assert len(packed(document, TYPICAL)) * 5 < len(packed(document, b"")) + 10
