"""A work queue of keys: a key waits once, is worked on by one worker at a time, and comes back later when asked."""

import asyncio
import contextlib
import heapq
from collections import deque

from suanli.reconcile.line import Line

FIRST_BACKOFF_S = 0.2
MOST_BACKOFF_S = 30.0
MOST_DOUBLINGS = 10
HARDLY_S = 0.01  # who reckons anew until the same moment comes to one a little earlier or later


class WorkQueue:
    """Keys to be looked at. Adding a key that is being worked on makes it due again afterwards."""

    def __init__(self, line: Line | None = None) -> None:
        """`line` is the order in which keys that are due have their turn."""
        self._ready = line if line is not None else Line()  # an empty one is false
        self._active: set[str] = set()
        self._again: dict[str, bool] = {}  # keys that were added while they were worked on; whether one is urgent
        self._due: dict[str, float] = {}
        self._later: list[tuple[float, str]] = []  # a heap; what `_due` does not say too is stale
        self._alarm: asyncio.TimerHandle | None = None
        self._failures: dict[str, int] = {}
        self._idle: deque[asyncio.Future[None]] = deque()  # workers, woken one for a key

    def add(self, key: str, *, urgent: bool = False) -> None:
        """Have the key looked at as soon as a worker is free, an urgent one before others."""
        if key in self._active:
            self._again[key] = urgent or self._again.get(key, False)
        elif self._ready.add(key, urgent=urgent):
            self._wake_one()

    def add_later(self, key: str, seconds: float) -> None:
        """Have the key looked at after a while; the earliest such wish holds, but one that is hardly earlier is none."""
        due = asyncio.get_running_loop().time() + seconds
        if due < self._due.get(key, float("inf")) - HARDLY_S:
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            if len(self._later) > 2 * len(self._due) + 64:
                self._later = [(d, k) for k, d in self._due.items()]
                heapq.heapify(self._later)
            self._set_alarm()

    def failed(self, key: str, at_least_s: float = 0.0) -> None:
        """Have the key looked at again after a back-off that doubles with every failure."""
        times = self._failures.get(key, 0)
        self._failures[key] = times + 1
        backoff_s = min(MOST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(times, MOST_DOUBLINGS))
        self.add_later(key, max(at_least_s, backoff_s))

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; the caller must call `done` with it."""
        while not self._ready:
            woken = asyncio.get_running_loop().create_future()
            self._idle.append(woken)
            try:
                await woken
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):
                    self._idle.remove(woken)
                if self._ready:
                    self._wake_one()  # it may have been woken for a key that another has to take now
                raise
        key = self._ready.take()
        self._active.add(key)
        return key

    def seen(self, key: str) -> None:
        """The worker looks at all that is known of the key now: what it was added for so far needs no other look."""
        self._again.pop(key, None)

    def done(self, key: str) -> None:
        """The worker is through with the key."""
        self._active.discard(key)
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))

    def __len__(self) -> int:
        """Keys that are due now."""
        return len(self._ready)

    def _wake_one(self) -> None:
        while self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return

    def _set_alarm(self) -> None:
        """Wake up when the first of the later keys is due."""
        due = self._later[0][0]
        if self._alarm is not None:
            if self._alarm.when() <= due and not self._alarm.cancelled():
                return
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(due, self._move_due)

    def _move_due(self) -> None:
        self._alarm = None
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        if self._later:
            self._set_alarm()
