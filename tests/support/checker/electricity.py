"""What electricity costs over time, by the descriptions of the fields: piece by piece, in exact fractions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from statistics import median
from zoneinfo import ZoneInfo

from checker.wire import moment_ms
from suanli.api.site import Energy

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
DAY_MS = 24 * HOUR_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def spent(energy: Energy, since_ms: int, until_ms: int) -> Fraction:
    """The price added up over every millisecond. Units: micro-yuan per kWh times ms."""
    hourly = energy.hourly_prices
    if hourly is None:
        return _by_bands(energy, since_ms, until_ms)
    begin = moment_ms(hourly.from_)
    total = _by_bands(energy, since_ms, min(until_ms, begin)) if since_ms < begin else Fraction(0)
    given = [Fraction(text) * 10**6 for text in hourly.prices_per_kwh]
    at = max(since_ms, begin)
    while at < until_ms:
        hour = (at - begin) // HOUR_MS
        price = _price(given, hour)
        if hour >= len(given) >= 24 and at + DAY_MS <= until_ms:  # every day after the last hour is like the one before
            days = (until_ms - at) // DAY_MS
            one = Fraction(0)
            for ends in range(at, at + DAY_MS, HOUR_MS):
                step = begin + ((ends - begin) // HOUR_MS + 1) * HOUR_MS - ends
                here, there = ((ends - begin) // HOUR_MS + k for k in (0, 1))
                one += (_price(given, here) or 0) * step + (_price(given, there) or 0) * (HOUR_MS - step)
            total += days * one
            at += days * DAY_MS
            continue
        ends = min(until_ms, begin + (hour + 1) * HOUR_MS)
        total += _by_bands(energy, at, ends) if price is None else price * (ends - at)
        at = ends
    return total


def _price(given: list[Fraction], hour: int) -> Fraction | None:
    """Of that hour, counted from the first: as given, or as expected after the last."""
    if hour < len(given):
        return given[hour]
    same = [given[i] for i in range(hour % 24, len(given), 24)][-7:]
    return (same[-1] + median(same)) / 2 if same else None


def _by_bands(energy: Energy, since_ms: int, until_ms: int) -> Fraction:
    """The same by the schedule alone: whole days by their sum, parts of days minute by minute."""
    if not energy.price_schedule:
        given = (
            [Fraction(text) for text in energy.hourly_prices.prices_per_kwh] if energy.hourly_prices else [Fraction(0)]
        )
        return sum(given, Fraction(0)) / len(given) * 10**6 * (until_ms - since_ms)
    zone, total, sums = ZoneInfo(energy.timezone), 0, dict[int, int]()
    for begin, end, month, plain in _days(zone, since_ms, until_ms):
        if plain and end - begin == DAY_MS:
            if month not in sums:
                sums[month] = sum(_at(energy, month, minute) for minute in range(1440)) * MINUTE_MS
            total += sums[month]
            continue
        at = begin
        while at < end:
            ends = min(end, (at // MINUTE_MS + 1) * MINUTE_MS)
            local = _local(at, zone)
            total += _at(energy, local.month, local.hour * 60 + local.minute) * (ends - at)
            at = ends
    return Fraction(total)


def _days(zone: ZoneInfo, since_ms: int, until_ms: int) -> Iterator[tuple[int, int, int, bool]]:
    """Parts of the span by local day: begin, end, month, and whether clocks go on evenly that day."""
    at = since_ms
    while at < until_ms:
        local = _local(at, zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        next_ = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
        first, last = ((m.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1) for m in (midnight, next_))
        end = min(until_ms, last)
        yield at, end, local.month, last - first == DAY_MS
        at = end


def _at(energy: Energy, month: int, minute: int) -> int:
    """The first band that covers a minute of the day; none is free."""
    for band in energy.price_schedule:
        if band.months and month not in band.months:
            continue
        begin, end = _minute(band.from_), _minute(band.to)
        if begin <= minute < end if begin < end else (minute >= begin or minute < end):
            return _micro_yuan(band.price_per_kwh)
    return 0


@cache
def _minute(text: str) -> int:
    """Of the day."""
    return int(text[:2]) * 60 + int(text[3:])


@cache
def _micro_yuan(text: str) -> int:
    return int(Fraction(text) * 10**6)


def _local(ms: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=ms)).astimezone(zone)
