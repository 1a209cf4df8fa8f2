"""What a site's electricity costs over time: the bands of its schedule, hourly prices over them, and what is expected after those."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from suanli.api.site import Energy, HourlyPrices, PriceBand
from suanli.base.clock import parse_time_ms
from suanli.base.units import MS_PER_HOUR, micro

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MS_PER_MINUTE = 60_000
MS_PER_DAY = 24 * MS_PER_HOUR
LOOKED_AHEAD_MS = 366 * MS_PER_DAY  # of a longer run the first year is looked at
DAY_HOURS = 24
DAYS_BEHIND = 7  # of the hourly prices, from which the hours after them are expected
QUARTER_MS = 15 * MS_PER_MINUTE  # clocks change at whole quarters of an hour


@dataclass(frozen=True)
class Curve:
    """A price over time, in steps.

    Shapes: `edges_ms` (E + 1,) in ascending order, `price_e` (E,) between them. Units: ms since the epoch, micro-yuan per kWh.
    """

    edges_ms: Ints
    price_e: Floats

    @cached_property
    def _paid_e(self) -> Floats:
        """What one kW has cost from the first edge up to each edge. Shape (E + 1,). Units: micro-yuan."""
        hours_e = np.diff(self.edges_ms) / MS_PER_HOUR
        return np.concatenate([[0.0], np.cumsum(self.price_e * hours_e)])

    def paid(self, at_ms: Ints) -> Floats:
        """What one kW has cost from the first edge to each moment. Any shape. Units: micro-yuan."""
        first = self.edges_ms[0]
        return np.asarray(np.interp(at_ms - first, self.edges_ms - first, self._paid_e))

    def mean(self, start_ms: int, duration_ms: Ints) -> Floats:
        """Mean price over runs from one moment. Any shape. Units: micro-yuan per kWh.

        Of a run that outlasts the curve, the mean of what the curve knows.
        """
        known_ms = np.minimum(duration_ms, self.edges_ms[-1] - start_ms)
        paid = self.paid(start_ms + known_ms) - self.paid(np.array(start_ms))
        return np.asarray(paid / (known_ms / MS_PER_HOUR))


@dataclass(frozen=True, eq=False)
class _Same:
    """A site's energy as a key: the very same object, which costs less to tell than whether all its bands are equal."""

    energy: Energy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.energy is self.energy

    def __hash__(self) -> int:
        return id(self.energy)


def mean_price(energy: Energy, start_ms: int, duration_ms: Ints) -> Floats:
    """Mean price over runs from one moment. Any shape. Units: micro-yuan per kWh.

    The curve of whole days is kept: cycle after cycle asks for the same ones, and making one costs far more than asking it.
    """
    known_ms = np.clip(duration_ms, 1, LOOKED_AHEAD_MS)
    first = start_ms // MS_PER_DAY
    days = int(known_ms.max(initial=1)) // MS_PER_DAY + 2
    return _days(_Same(energy), first, 1 << (days - 1).bit_length()).mean(start_ms, known_ms)


@lru_cache(maxsize=1_024)
def _days(key: _Same, first: int, days: int) -> Curve:
    """The prices of whole days."""
    return price_curve(key.energy, first * MS_PER_DAY, (first + days) * MS_PER_DAY)


def price_curve(energy: Energy, since_ms: int, until_ms: int) -> Curve:
    """The prices of a span of time: an hourly price where one is given or expected, otherwise the first band that covers it."""
    bands = _schedule(energy, since_ms, until_ms)
    return bands if energy.hourly_prices is None else _overlaid(bands, energy.hourly_prices, until_ms)


def _schedule(energy: Energy, since_ms: int, until_ms: int) -> Curve:
    """The bands of every local day, cut to the span; of a site without bands the mean of its hourly prices: unknown is not free."""
    if not energy.price_schedule:
        given = [micro(text) for text in energy.hourly_prices.prices_per_kwh] if energy.hourly_prices else [0]
        return Curve(np.array([since_ms, until_ms]), np.array([sum(given) / len(given)]))
    first = _local(since_ms, energy.timezone).date().toordinal()
    days = (until_ms - since_ms) // MS_PER_DAY + 2
    midnight_d = _midnights_ms(energy.timezone, first, days + 1)
    months: dict[int, tuple[Ints, Floats]] = {}
    edges, prices = [], []
    for day, (begin, end) in enumerate(pairwise(midnight_d)):
        month = date.fromordinal(first + day).month
        if month not in months:
            months[month] = _day(energy.price_schedule, month)
        minute_e, price_e = months[month]
        if end - begin != MS_PER_DAY:
            minute_e, price_e = _odd_day(minute_e, price_e, begin, end, energy.timezone)
        edges.append(begin + minute_e * MS_PER_MINUTE)
        prices.append(price_e)
    edges_ms, price = np.concatenate(edges), np.concatenate(prices)
    inside = (edges_ms > since_ms) & (edges_ms < until_ms)
    at_first = int(np.searchsorted(edges_ms, since_ms, side="right")) - 1
    return Curve(
        np.concatenate([[since_ms], edges_ms[inside], [until_ms]]), np.concatenate([price[[at_first]], price[inside]])
    )


def _overlaid(under: Curve, hourly: HourlyPrices, until_ms: int) -> Curve:
    """The hourly prices, and what is expected after them, over a curve."""
    begin_ms = parse_time_ms(hourly.from_)
    since_ms = int(under.edges_ms[0])
    first = max(0, (since_ms - begin_ms) // MS_PER_HOUR)
    hours = np.arange(first, max(first, -(-(until_ms - begin_ms) // MS_PER_HOUR)))
    price_h = _price_of_hours(hourly.prices_per_kwh, hours)
    edges_ms = np.unique(np.concatenate([under.edges_ms, begin_ms + np.append(hours, hours[-1:] + 1) * MS_PER_HOUR]))
    edges_ms = edges_ms[(edges_ms >= since_ms) & (edges_ms <= until_ms)]
    start_e = edges_ms[:-1]
    price_e = under.price_e[np.searchsorted(under.edges_ms, start_e, side="right") - 1]
    hour_e = (start_e - begin_ms) // MS_PER_HOUR - first
    here = (start_e >= begin_ms) & (hour_e < len(hours))
    own_e = np.where(here, np.append(price_h, np.nan)[np.where(here, hour_e, -1)], np.nan)
    return Curve(edges_ms, np.where(np.isnan(own_e), price_e, own_e))


def _price_of_hours(given: Sequence[str], hours: Ints) -> Floats:
    """The given price of each hour, counted from the first; after the last one the expected one, NaN where there is none."""
    price_h, expected_h = _told(tuple(given))
    after = hours - len(given)
    return np.where(after < 0, price_h[np.minimum(hours, len(given) - 1)], expected_h[after % DAY_HOURS])


@lru_cache(maxsize=1_024)
def _told(given: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Given prices as numbers, and those of the first day after them: halfway between the day before and the median of a week.

    Prices repeat by the hour of the day; the median keeps one wild day from being taken for the next.
    """
    prices = [float(micro(text)) for text in given]
    expected = []
    for hour in range(DAY_HOURS):
        before = [prices[i] for d in range(1, DAYS_BEHIND + 1) if (i := len(prices) + hour - d * DAY_HOURS) >= 0]
        expected.append((before[0] + median(before)) / 2 if before else float("nan"))
    return np.array(prices), np.array(expected)


def _day(bands: Sequence[PriceBand], month: int) -> tuple[Ints, Floats]:
    """The first minute and the price of each step of a day: the first band that covers a minute holds, and none is free."""
    price_m = np.zeros(DAY_HOURS * 60)
    for band in reversed(bands):
        if band.months and month not in band.months:
            continue
        begin, end = _minute(band.from_), _minute(band.to)
        price = float(micro(band.price_per_kwh))
        if begin < end:
            price_m[begin:end] = price
        else:
            price_m[begin:] = price
            price_m[:end] = price
    return _steps(price_m)


def _odd_day(minute_e: Ints, price_e: Floats, begin_ms: int, end_ms: int, zone: str) -> tuple[Ints, Floats]:
    """The steps of a day on which the clocks change, in minutes that pass since its midnight."""
    quarters = [_local(ms, zone) for ms in range(begin_ms, end_ms, QUARTER_MS)]
    clock_m = np.concatenate([(q.hour * 60 + q.minute + np.arange(15)) % (DAY_HOURS * 60) for q in quarters])
    return _steps(price_e[np.searchsorted(minute_e, clock_m, side="right") - 1])


def _steps(price_m: Floats) -> tuple[Ints, Floats]:
    """Where the price of a minute differs from that of the minute before."""
    minute_e = np.flatnonzero(np.diff(price_m, prepend=np.nan) != 0)
    return minute_e, price_m[minute_e]


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _local(ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone))


@lru_cache(maxsize=256)
def _midnights_ms(zone: str, first: int, days: int) -> tuple[int, ...]:
    """When local days begin, from the day with that ordinal on."""
    dates = [date.fromordinal(first + i) for i in range(days)]
    return tuple(round(datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000) for d in dates)
