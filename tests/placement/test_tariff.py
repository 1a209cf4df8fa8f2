"""Prices over time by numbers reckoned by hand: zones with and without summer time, months, hours given and expected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from suanli.api.site import Energy
from suanli.base.clock import parse_time_ms
from suanli.placement.tariff import Tariffs, price_curve

HOUR = 3_600_000
DAY = 24 * HOUR
Band = dict[str, Any]


def band(begin: str, end: str, price: str, **more: Any) -> Band:
    return {"from": begin, "to": end, "pricePerKwh": price, **more}


def paid(energy: Any, start: str, hours: float) -> float:
    """What one kW costs, in thousandths of a yuan."""
    start_ms = parse_time_ms(start)
    curve = price_curve(Energy.model_validate(energy), start_ms, start_ms + 800 * HOUR)
    ends = np.array([start_ms, start_ms + round(hours * HOUR)])
    return float(np.diff(curve.paid(ends))[0]) / 1_000


def scheduled(zone: str, *bands: Band) -> dict[str, Any]:
    return {"timezone": zone, "priceSchedule": list(bands)}


NIGHT, DAYTIME = band("22:00", "06:00", "0.3"), band("06:00", "22:00", "0.9")


def test_shanghai_has_no_summer_time() -> None:
    shanghai = scheduled("Asia/Shanghai", NIGHT, DAYTIME)
    for day in ("2026-03-08", "2026-03-29", "2026-07-01", "2026-11-01"):
        assert paid(shanghai, f"{day}T13:00:00Z", 10) == pytest.approx(900 + 8 * 300 + 900)  # from 21:00 there


def test_the_hour_that_spring_leaves_out_is_not_paid() -> None:
    york = scheduled("America/New_York", band("02:00", "03:00", "9"), band("00:00", "24:00", "1"))
    assert paid(york, "2026-03-07T05:00:00Z", 24) == pytest.approx(23 * 1_000 + 9_000)
    assert paid(york, "2026-03-08T05:00:00Z", 23) == pytest.approx(23 * 1_000)  # that day has 23 hours
    assert paid(york, "2026-03-08T06:30:00Z", 1) == pytest.approx(1_000)
    assert paid(york, "2026-03-09T06:00:00Z", 1) == pytest.approx(9_000)  # 02:00, now in summer time


def test_the_hour_that_autumn_repeats_is_paid_twice() -> None:
    york = scheduled("America/New_York", band("01:00", "02:00", "9"), band("00:00", "24:00", "1"))
    assert paid(york, "2026-11-01T04:00:00Z", 25) == pytest.approx(2 * 9_000 + 23 * 1_000)
    assert paid(york, "2026-11-01T05:30:00Z", 1) == pytest.approx(9_000)
    assert paid(york, "2026-11-01T06:30:00Z", 1) == pytest.approx(4_500 + 500)


def test_summer_time_in_berlin_moves_bands_by_an_hour_of_utc() -> None:
    berlin = scheduled("Europe/Berlin", band("08:00", "09:00", "5"))
    assert paid(berlin, "2026-03-28T07:00:00Z", 1) == pytest.approx(5_000)
    assert paid(berlin, "2026-03-30T06:00:00Z", 1) == pytest.approx(5_000)
    assert paid(berlin, "2026-03-30T07:00:00Z", 1) == 0


def test_the_month_changes_within_a_run() -> None:
    months = scheduled(
        "Asia/Shanghai",
        band("00:00", "24:00", "1", months=[1]),
        band("00:00", "12:00", "2", months=[2]),
        band("00:00", "24:00", "4"),
    )
    assert paid(months, "2026-01-31T10:00:00Z", 6 + 12 + 3) == pytest.approx(6_000 + 24_000 + 12_000)
    assert paid(months, "2026-01-31T10:00:00Z", 6 + 28 * 24 + 1) == pytest.approx(6_000 + 28 * 12 * 6_000 + 4_000)


def test_parts_of_minutes_count() -> None:
    turn = scheduled("Asia/Shanghai", NIGHT, DAYTIME)
    assert paid(turn, "2026-01-31T13:59:30Z", 1 / 60) == pytest.approx((900 + 300) / 120)


def hourly(start: str, prices: Sequence[float], **more: Any) -> dict[str, Any]:
    return {"hourlyPrices": {"from": start, "pricesPerKwh": [f"{p:.3f}" for p in prices]}, **more}


def test_hourly_prices_hold_from_their_first_hour_on() -> None:
    told = hourly("2026-01-31T01:30:00+01:00", [2, -3, 4], **scheduled("Asia/Shanghai", band("00:00", "24:00", "1")))
    assert paid(told, "2026-01-30T23:30:00Z", 1) == pytest.approx(1_000)
    assert paid(told, "2026-01-30T23:30:00Z", 2.5) == pytest.approx(1_000 + 2_000 - 1_500)
    assert paid(told, "2026-01-31T00:45:00Z", 1) == pytest.approx(1_500 - 750)


def test_of_hours_that_nothing_is_known_of_the_schedule_holds_or_the_mean() -> None:
    told = hourly("2026-01-31T00:00:00Z", [2, 3], **scheduled("Asia/Shanghai", band("00:00", "24:00", "1")))
    assert paid(told, "2026-01-31T02:00:00Z", 22) == pytest.approx(22_000)
    assert paid(told, "2026-02-01T00:00:00Z", 3) == pytest.approx(2_000 + 3_000 + 1_000)
    assert paid(hourly("2026-01-31T00:00:00Z", [2, 3]), "2026-01-31T02:00:00Z", 22) == pytest.approx(22 * 2_500)
    assert paid(hourly("2026-02-01T00:00:00Z", [2, 3]), "2026-01-31T23:00:00Z", 2) == pytest.approx(2_500 + 2_000)


def test_an_hour_after_the_last_is_expected_between_the_day_before_and_the_median_of_a_week() -> None:
    days = [100, 1, 2, 3, 4, 5, 6, 7.5]  # the first is more than seven days before the last hour
    told = hourly("2026-01-01T00:00:00Z", [price for price in days for _ in range(24)])
    assert paid(told, "2026-01-08T23:00:00Z", 1) == pytest.approx(7_500)
    for day in ("2026-01-09", "2026-01-10", "2026-02-02"):
        assert paid(told, f"{day}T00:00:00Z", 24) == pytest.approx(24 * (7_500 + 4_000) / 2)
    short = hourly("2026-01-01T00:00:00Z", [10] * 24 + [20] * 6)
    assert paid(short, "2026-01-02T06:00:00Z", 24) == pytest.approx(18 * 10_000 + 6 * (20_000 + 15_000) / 2)


def test_runs_at_several_places_cost_what_each_curve_says() -> None:
    half = scheduled("UTC", band("00:00", "12:00", "1"), band("12:00", "24:00", "3"))
    third = scheduled("Asia/Shanghai", band("00:00", "08:00", "0.6"), band("08:00", "24:00", "0.9"))
    tariffs = Tariffs([Energy.model_validate(half), Energy.model_validate(third)])
    start_ms = parse_time_ms("2026-01-01T10:00:00Z")
    lasting = np.array([[HOUR] * 3, [4 * HOUR, 8 * HOUR, 1], [1 << 60] * 3])
    mean_lp = tariffs.mean(np.array([0, 1, 0]), start_ms, lasting)
    assert mean_lp[0].tolist() == [1_000_000, 900_000, 1_000_000]
    assert mean_lp[1] == pytest.approx([2_000_000, (6 * 900_000 + 2 * 600_000) / 8, 1_000_000])
    assert mean_lp[2] == pytest.approx([2_000_000, 800_000, 2_000_000])
    next_day = tariffs.mean(np.array([0]), start_ms + DAY, np.array([[3 * HOUR]]))
    assert next_day == pytest.approx(np.array([[5_000_000 / 3]]))


def test_no_place_has_no_price() -> None:
    assert Tariffs([]).mean(np.zeros(0, dtype=np.int64), 0, np.zeros((2, 0), dtype=np.int64)).shape == (2, 0)
