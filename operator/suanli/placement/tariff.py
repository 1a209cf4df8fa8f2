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


@dataclass(frozen=True, eq=False)
class _Same:
    """A site's energy as a key: the very same object, which costs less to tell than whether all its bands are equal."""

    energy: Energy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.energy is self.energy

    def __hash__(self) -> int:
        return id(self.energy)


class Tariffs:
    """The prices of several places, asked together.

    Curves of whole days are kept for the day that was asked about last: cycle after cycle asks for the same ones, and making one
    costs far more than asking it.
    """

    def __init__(self, energies: Sequence[Energy]) -> None:
        self._energies = tuple(energies)
        self._first = 0
        self._by_days: dict[int, Together] = {}

    def mean(self, place_p: Ints, start_ms: int, duration_ms_lp: Ints) -> Floats:
        """Mean price over runs from one moment. Shapes: (P,), (L, P) -> (L, P). Units: micro-yuan per kWh."""
        known_ms = np.clip(duration_ms_lp, 1, LOOKED_AHEAD_MS)
        together = self._of_days(start_ms // MS_PER_DAY, int(known_ms.max(initial=1)) // MS_PER_DAY + 2)
        paid_p = together.paid(place_p, np.full(place_p.shape, start_ms))
        return np.asarray((together.paid(place_p, start_ms + known_ms) - paid_p) / (known_ms / MS_PER_HOUR))

    def _of_days(self, first: int, days: int) -> "Together":
        days = 1 << (days - 1).bit_length()
        if first != self._first:
            self._first, self._by_days = first, {}
        if days not in self._by_days:
            self._by_days[days] = together([_days(_Same(energy), first, days) for energy in self._energies])
        return self._by_days[days]


@dataclass(frozen=True)
class Together:
    """Curves of several places, with the same edges. Shapes: `edges_ms` (E + 1,), `price_qe` (Q, E), `paid_qe` (Q, E + 1) up to each edge."""

    edges_ms: Ints
    price_qe: Floats
    paid_qe: Floats

    def paid(self, place_p: Ints, at_ms: Ints) -> Floats:
        """What one kW has cost at each place from the first edge to each moment. Shapes: (P,), (..., P) -> (..., P)."""
        edge = np.clip(np.searchsorted(self.edges_ms, at_ms, side="right") - 1, 0, self.price_qe.shape[1] - 1)
        hours = (at_ms - self.edges_ms[edge]) / MS_PER_HOUR
        return np.asarray(self.paid_qe[place_p, edge] + self.price_qe[place_p, edge] * hours)


def together(curves: Sequence[Curve]) -> Together:
    """The curves of places 0, 1, ... of one span of time."""
    edges_ms = (
        np.unique(np.concatenate([curve.edges_ms for curve in curves])) if curves else np.zeros(2, dtype=np.int64)
    )
    steps = [np.searchsorted(curve.edges_ms, edges_ms[:-1], side="right") - 1 for curve in curves]
    price_qe = np.array([curve.price_e[step] for curve, step in zip(curves, steps, strict=True)])
    price_qe = price_qe.reshape(len(curves), len(edges_ms) - 1)
    hours_e = np.diff(edges_ms) / MS_PER_HOUR
    paid_qe = np.column_stack([np.zeros(len(curves)), np.cumsum(price_qe * hours_e, axis=1)])
    return Together(edges_ms, price_qe, paid_qe)


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
