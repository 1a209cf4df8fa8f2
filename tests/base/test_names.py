"""Names on members: valid, told apart, and the same every time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base import names

DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAMESPACES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMESPACES, NAMESPACES)
def test_every_namespace_of_the_hub_has_its_own_on_a_member(one: str, other: str) -> None:
    mine, theirs = names.member_namespace("hub", one), names.member_namespace("hub", other)
    assert re.fullmatch(DNS, mine)
    assert len(mine) <= 63
    assert mine.startswith(names.MEMBER_NAMESPACE_PREFIX)
    assert (mine == theirs) == (one == other)
    assert mine != names.member_namespace("another", one)


def test_an_attempt_has_one_name() -> None:
    uid = "3f0c5f2e-9c55-4a39-8d4e-1c2b3a4d5e6f"
    assert names.member_job_name(uid, 12) == f"j-{uid}-12"
    assert len(names.member_job_name(uid, 999_999_999)) <= 63 - len("-0-abcde")


@pytest.mark.parametrize(("one", "other"), [(("a", "b"), ("ab",)), (("a", ""), ("a",)), (("a", "b"), ("b", "a"))])
def test_a_hash_tells_its_parts_apart(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert names.short_hash(*one) != names.short_hash(*other)
    assert len(names.short_hash(*one, length=12)) == 12
