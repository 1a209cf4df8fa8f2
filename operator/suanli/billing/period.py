"""Periods of bills, and days and months of a time zone in milliseconds. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """What one bill is about: what began from `start_ms` on and before `end_ms`. Units: ms since the epoch."""

    name: str
    start_ms: int
    end_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether what begins then is of the period."""
        return self.start_ms <= at_ms < self.end_ms


def month(name: str, timezone: str) -> Period:
    """A calendar month such as "2026-11". Raises: ValueError when it is none."""
    try:
        first = date.fromisoformat(f"{name}-01")
    except ValueError:
        raise ValueError(f'period "{name}" is not a month; write year and month, such as "2026-11"') from None
    after = (first + timedelta(days=31)).replace(day=1)
    return Period(name, midnight_ms(first.toordinal(), timezone), midnight_ms(after.toordinal(), timezone))


def is_month(period: Period, timezone: str) -> bool:
    """Whether it is the calendar month of its name, by the clocks of a time zone."""
    try:
        return month(period.name, timezone) == period
    except ValueError:
        return False


def calendar(at_ms: int, months: int, timezone: str) -> Period:
    """The calendar period of 1, 3 or 12 months that a moment is in: "2026-11", "2026-Q4" or "2026"."""
    shown = local(at_ms, timezone)
    begin = (shown.month - 1) // months * months
    first, end = date(shown.year, begin + 1, 1), begin + months
    after = date(shown.year + end // 12, end % 12 + 1, 1)
    quarter = f"{first.year:04d}-Q{begin // 3 + 1}"
    name = {1: f"{first.year:04d}-{first.month:02d}", 3: quarter, 12: f"{first.year:04d}"}[months]
    return Period(name, midnight_ms(first.toordinal(), timezone), midnight_ms(after.toordinal(), timezone))


@lru_cache(maxsize=4_096)
def midnight_ms(day: int, timezone: str) -> int:
    """When a local day begins, by its ordinal."""
    d = date.fromordinal(day)
    return (datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(timezone)) - _EPOCH) // _MS


def local(at_ms: int, timezone: str) -> datetime:
    """What clocks of the zone show."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(timezone))
