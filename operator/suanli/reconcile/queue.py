"""A work queue of keys: a key waits once, is worked on by one worker at a time, and comes back later when asked."""

import asyncio
import heapq
from collections import deque

FIRST_BACKOFF_S = 0.2
MOST_BACKOFF_S = 30.0


class WorkQueue:
    """Keys to be looked at. Adding a key that is being worked on makes it due again afterwards."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._active: set[str] = set()
        self._again: set[str] = set()
        self._due: dict[str, float] = {}
        self._later: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}
        self._wake = asyncio.Event()

    def add(self, key: str) -> None:
        """Have the key looked at as soon as a worker is free."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._wake.set()

    def add_later(self, key: str, seconds: float) -> None:
        """Have the key looked at after a while; the earliest such wish holds."""
        due = asyncio.get_running_loop().time() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            self._wake.set()

    def failed(self, key: str, at_least_s: float = 0.0) -> None:
        """Have the key looked at again after a back-off that doubles with every failure."""
        times = self._failures.get(key, 0)
        self._failures[key] = times + 1
        self.add_later(key, max(at_least_s, min(MOST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(times, 10))))

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; the caller must call `done` with it."""
        while True:
            self._move_due()
            if self._ready:
                key = self._ready.popleft()
                self._queued.discard(key)
                self._active.add(key)
                return key
            self._wake.clear()
            timeout = self._later[0][0] - asyncio.get_running_loop().time() if self._later else None
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: str) -> None:
        """The worker is through with the key."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def __len__(self) -> int:
        """Keys that are due now."""
        return len(self._ready)

    def _move_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
