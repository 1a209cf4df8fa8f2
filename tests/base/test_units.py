"""Units are exact integers, in both directions, and nothing absurd becomes a number."""

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.base.units import (
    bytes_text,
    cpu_milli,
    decimal_text,
    duration_ms,
    duration_text,
    duration_us,
    micro,
    quantity,
    whole,
)

SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
UNITS_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("0", 0),
        ("90m", 5_400_000_000),
        ("1h30m", 5_400_000_000),
        ("3.2ms", 3_200),
        ("1.5us", 2),
        ("7µs", 7),
        ("0.0001ms", 1),
        ("2h45m0.5s", 9_900_500_000),
    ],
)
def test_a_duration_is_read_in_microseconds_rounded_up(text: str, us: int) -> None:
    assert duration_us(text) == us


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS_US))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    total = sum(number * UNITS_US[unit] for number, unit in parts)
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration_us(text) == total
    assert duration_ms(text) == -(-total // 1_000)


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "s", "1h-5m", "1d", "1,5s", "1h\n", "５s", "1hm"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as"):
        duration_us(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(SUFFIXES)))
def test_a_quantity_is_its_number_times_its_suffix(number: int, suffix: str) -> None:
    assert whole(f"{number}{suffix}") == number * SUFFIXES[suffix]
    assert cpu_milli(f"{number}{suffix}") == 1_000 * number * SUFFIXES[suffix]


@given(st.decimals(0, 10**6, places=3))
def test_fractions_are_rounded_up_so_that_nobody_gets_less(number: Decimal) -> None:
    assert whole(f"{number}Ki") == int((number * 1024).to_integral_value(ROUND_CEILING))
    assert cpu_milli(f"{number}m") == int(number.to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(("text", "value"), [("1e3", 1_000), ("2E2", 200), (8, 8), ("1E", 10**18), ("0.5", 1)])
def test_exponents_and_numbers_are_quantities_too(text: str | int, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize(
    "text", ["", "-1", "1e999", "1e999999999", "9" * 25, "1 Gi", "1Zi", "1ki", "Gi", "0x10", "1\n", "１", "1.", "nan"]
)
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity such as"):
        quantity(text)


@given(st.integers(-(10**17), 10**17))
def test_money_goes_to_text_and_back_to_the_last_micro(value: int) -> None:
    assert micro(decimal_text(value)) == value


@pytest.mark.parametrize(
    "text", ["", "1.1234567", "1e3", "1_000", " 1", "1 ", "NaN", "Infinity", "１", "+1", ".5", "1.", "1\n", "9" * 19]
)
def test_what_is_no_decimal_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal number"):
        micro(text)


@given(st.integers(-(10**15), 10**15), st.integers(0, 6))
def test_decimals_are_rounded_half_away_from_zero(value: int, places: int) -> None:
    shown = Decimal(decimal_text(value, places=places))
    assert abs(shown * 10**6 - value) * 2 <= 10 ** (6 - places)
    assert (
        decimal_text(-value, places=places) == (f"-{decimal_text(value, places=places)}").replace("--", "") or not value
    )


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0ms"),
        (3_200, "3.2ms"),
        (999, "0.999ms"),
        (1_000_000, "1s"),
        (1_000_001, "2s"),
        (5_400_000_000, "1h30m"),
        (8_100_000_000, "2h15m"),
        (3_600_000_000, "1h"),
    ],
)
def test_durations_for_people(us: int, text: str) -> None:
    assert duration_text(us) == text


@given(st.integers(0, 10**12))
def test_a_duration_for_people_is_one_that_is_read_again_and_not_shorter(us: int) -> None:
    again = duration_us(duration_text(us))
    assert us <= again < us + 1_000_000


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1536, "1.5Ki"),
        (64 << 30, "64Gi"),
        (3 << 39, "1.5Ti"),
        (1 << 50, "1024Ti"),
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert bytes_text(count) == text
