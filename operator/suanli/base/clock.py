"""Times of the wire: RFC 3339 in UTC, and milliseconds since the epoch inside."""

from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

LAST_MS = 253_402_300_799_999  # the end of the year 9999: RFC 3339 writes no later time


class Clock(Protocol):
    """Where the loops take the time from; a test gives its own."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        ...


def parse_time_ms(text: str) -> int:
    """An RFC 3339 time in milliseconds since the Unix epoch.

    Raises: ValueError when it is not such a time or has no zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'"{text}" has no time zone; write it as "2026-01-31T08:00:00Z"')
    return round(moment.timestamp() * 1000)


def time_or_zero(value: object) -> int:
    """The same of a raw value; 0 for anything that is no such time."""
    try:
        return parse_time_ms(value) if isinstance(value, str) else 0
    except (ValueError, OverflowError):
        return 0


def is_zone(name: str) -> bool:
    """Whether it is a time zone of the IANA data base; "America/Argentina", which holds several, is none."""
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return False
    return True


def time_text(ms: int) -> str:
    """Milliseconds since the epoch as Kubernetes writes times, to the second."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_text_ms(ms: int) -> str:
    """The same, to the millisecond."""
    return f"{time_text(ms)[:-1]}.{ms % 1000:03d}Z"
