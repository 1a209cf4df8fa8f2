"""Events come late, twice and out of order; a period has each of them once, in one order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from suanli.billing.event import UsageEvent
from suanli.billing.period import Period


class Taken(StrEnum):
    """What became of an event."""

    NEW = "New"
    KNOWN = "Known"  # it was there already: nothing changes
    CONTRADICTS = "Contradicts"  # another one with its id was there, which stays
    LATE = "Late"  # new, but its period is closed: the next bill adjusts


class Intake:
    """All events that came, by what they describe."""

    def __init__(self) -> None:
        self.contradictions: list[tuple[UsageEvent, UsageEvent]] = []  # the one that stays, the one that does not
        self._events: dict[str, UsageEvent] = {}
        self._late: dict[str, Period] = {}  # by id of the event
        self._closed: dict[str, Period] = {}

    def take(self, event: UsageEvent) -> Taken:
        """One event, however often it comes."""
        known = self._events.get(event.id)
        if known is not None and known == event:
            return Taken.KNOWN
        if known is not None:
            if (known, event) not in self.contradictions:
                self.contradictions.append((known, event))
            return Taken.CONTRADICTS
        self._events[event.id] = event
        closed = next((period for period in self._closed.values() if period.holds(event.start_ms)), None)
        if closed is None:
            return Taken.NEW
        self._late[event.id] = closed
        return Taken.LATE

    def close(self, period: Period) -> tuple[UsageEvent, ...]:
        """The events that a period is billed by. From now on what comes for it is late; to close it again gives the same.

        Raises: ValueError when it overlaps a closed period.
        """
        for other in self._closed.values():
            if other != period and other.start_ms < period.end_ms and period.start_ms < other.end_ms:
                raise ValueError(
                    f"period {period.name} overlaps period {other.name}, which is closed; let one begin where the other ends"
                )
        self._closed[period.name] = period
        return tuple(event for event in self.events(period) if event.id not in self._late)

    def events(self, period: Period) -> tuple[UsageEvent, ...]:
        """All that is known of a period, late ones too, in the order in which they are rated."""
        found = (event for event in self._events.values() if period.holds(event.start_ms))
        return tuple(sorted(found, key=lambda event: (event.start_ms, event.id)))

    def late(self, period: Period) -> tuple[UsageEvent, ...]:
        """What came for a period after it was closed."""
        return tuple(event for event in self.events(period) if event.id in self._late)


@dataclass(frozen=True, slots=True)
class Gap:
    """Time of which a site's use is not fully known. Units: ms since the epoch."""

    site: str
    start_ms: int
    end_ms: int


def gaps(site: str, heard: Iterable[tuple[int, int]], since_ms: int, until_ms: int, retention_ms: int) -> list[Gap]:
    """The gaps of a site in a span of time; nothing is guessed for them.

    `heard`: intervals in which the hub saw the site's pods, in any order. A site keeps a pod for `retention_ms` after its end: of a
    silence the last part of that length is told afterwards, what ended before may be lost.
    """
    found = []
    silent_ms = since_ms
    for begin, end in [*sorted(heard), (until_ms, until_ms)]:
        lost_ms = min(begin, until_ms) - retention_ms
        if lost_ms > silent_ms:
            found.append(Gap(site, silent_ms, lost_ms))
        silent_ms = max(silent_ms, end)
    return found
