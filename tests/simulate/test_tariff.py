from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from suanli.api.site import Energy
from suanli.base.clock import parse_time_ms
from suanli.simulate.tariff import mean_price
from worlds import Raw

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SUMMER = {"from": "08:00", "to": "12:00", "months": [7], "pricePerKwh": "2"}
BANDS: list[Raw] = [
    SUMMER,
    {"from": "08:00", "to": "20:00", "pricePerKwh": "1"},
    {"from": "22:30", "to": "06:00", "pricePerKwh": "0.25"},
]


def energy(*bands: Raw, timezone: str = "Asia/Shanghai") -> Energy:
    return Energy.model_validate({"priceSchedule": list(bands), "timezone": timezone})


def minute_by_minute(spec: Energy, start_ms: int, minutes: int) -> float:
    """The same, slowly: the price of each minute of the clock, in the month of the start."""
    begin = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(ZoneInfo(spec.timezone))
    total = 0.0
    for i in range(minutes):
        clock = (begin.replace(tzinfo=None) + timedelta(minutes=i)).strftime("%H:%M")
        for band in spec.price_schedule:
            over_midnight = band.from_ > band.to
            inside = band.from_ <= clock or clock < band.to if over_midnight else band.from_ <= clock < band.to
            if inside and (not band.months or begin.month in band.months):
                total += float(band.price_per_kwh) * 1e6
                break
    return total / minutes


@pytest.mark.parametrize("start", ["2026-01-05T00:00:00Z", "2026-07-05T00:10:00Z", "2026-07-31T21:59:30Z"])
@pytest.mark.parametrize("minutes", [1, 59, 60, 600, 1_440, 1_441, 4_000])
@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "UTC"])
def test_the_mean_is_that_of_the_minutes(start: str, minutes: int, timezone: str) -> None:
    spec, start_ms = energy(*BANDS, timezone=timezone), parse_time_ms(start)
    assert mean_price(spec, start_ms, minutes * MINUTE_MS) == pytest.approx(minute_by_minute(spec, start_ms, minutes))


def test_a_part_of_a_minute_counts_whole_and_no_schedule_costs_nothing() -> None:
    spec, start_ms = energy(*BANDS), parse_time_ms("2026-01-05T11:59:00Z")  # 19:59 there
    assert mean_price(spec, start_ms, 1) == 1_000_000
    assert mean_price(spec, start_ms, MINUTE_MS + 1) == 500_000
    assert mean_price(energy(), start_ms, HOUR_MS) == 0


def test_schedules_do_not_mix() -> None:
    start_ms = parse_time_ms("2026-07-05T01:00:00Z")
    assert mean_price(energy(*BANDS), start_ms, HOUR_MS) == 2_000_000
    assert mean_price(energy(*BANDS[1:]), start_ms, HOUR_MS) == 1_000_000
    assert mean_price(energy(*BANDS), parse_time_ms("2026-08-05T01:00:00Z"), HOUR_MS) == 1_000_000
