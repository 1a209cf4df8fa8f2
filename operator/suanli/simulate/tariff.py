"""What electricity costs over a stretch of time, asked for every job of a year: a site's price schedule, summed up by the minute."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from suanli.api.site import Energy, PriceBand
from suanli.base.units import micro
from suanli.placement.batch import Floats

DAY_MIN = 24 * 60
MS_PER_MINUTE = 60_000
KEPT = 4_096  # months of schedules that are kept summed up: making the sums costs far more than asking them

Band = tuple[str, str, str]  # from, to, price


def mean_price(energy: Energy, start_ms: int, duration_ms: int) -> float:
    """Mean electricity price over a run, as placement reckons it: in whole minutes, in the month of its start. Units: micro-yuan per kWh."""
    if not energy.price_schedule:
        return 0.0
    until_m, first = _at(energy, start_ms)
    minutes = max(1, -(-duration_ms // MS_PER_MINUTE))
    days, rest = divmod(minutes, DAY_MIN)
    return float((days * until_m[DAY_MIN] + until_m[first + rest] - until_m[first]) / minutes)


def _at(energy: Energy, start_ms: int) -> tuple[Floats, int]:
    """The sums of the month in which a moment lies, and which minute of the site's day it is then."""
    local = datetime.fromtimestamp(start_ms / 1_000, UTC).astimezone(ZoneInfo(energy.timezone))
    bands = tuple(_bare(band) for band in energy.price_schedule if not band.months or local.month in band.months)
    return _sums(bands), local.hour * 60 + local.minute


def _bare(band: PriceBand) -> Band:
    return band.from_, band.to, band.price_per_kwh


@lru_cache(maxsize=KEPT)
def _sums(bands: tuple[Band, ...]) -> Floats:
    """Prices summed up from the first minute of a day to the last of the next one. The first band that covers a minute holds."""
    price_m = np.zeros(DAY_MIN)
    for from_, to, price in reversed(bands):
        begin, end = _minute(from_), _minute(to)
        if begin < end:
            price_m[begin:end] = micro(price)
        else:
            price_m[begin:] = micro(price)
            price_m[:end] = micro(price)
    return np.concatenate([[0.0], np.cumsum(np.concatenate([price_m, price_m]))])


def _minute(text: str) -> int:
    return min(DAY_MIN, int(text[:2]) * 60 + int(text[3:]))
