"""Times of the wire are exact to the millisecond, and say their zone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.clock import is_zone, parse_time_ms, time_or_zero, time_text, time_text_ms

TIMES_MS = st.integers(0, 253_402_300_799_999)  # up to the year 9999


@given(TIMES_MS)
def test_a_time_goes_to_text_and_back(ms: int) -> None:
    assert parse_time_ms(time_text_ms(ms)) == ms
    assert parse_time_ms(time_text(ms)) == ms // 1000 * 1000


def test_every_zone_is_the_same_moment() -> None:
    assert parse_time_ms("2026-03-01T16:00:00.25+08:00") == parse_time_ms("2026-03-01T08:00:00.250Z")


def test_a_time_without_a_zone_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match='"2026-03-01T08:00:00" has no time zone; write it as'):
        parse_time_ms("2026-03-01T08:00:00")


@pytest.mark.parametrize(
    "value", ["", "soon", "2026-03-01T08:00:00", None, 7, [], {}, "9" * 400, "2026-13-01T00:00:00Z"]
)
def test_what_is_no_time_counts_as_none(value: object) -> None:
    assert time_or_zero(value) == 0


@pytest.mark.parametrize("name", ["Asia/Shanghai", "UTC", "America/Argentina/Salta"])
def test_a_zone(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "America/Argentina", "/etc/localtime", "../UTC", "UTC\0", f"Asia/{'x' * 300}"]
)
def test_what_is_no_zone_never_raises(name: str) -> None:
    assert not is_zone(name)
