"""A lane for every member: what is to be done there waits for that member alone, and keeps no worker from the others."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class _Lane:
    line: deque[str] = field(default_factory=deque)
    busy: int = 0


class Lanes:
    """Does `work(site, key)` for keys in the order of their coming, at most `width` of a site at a time."""

    def __init__(self, group: asyncio.TaskGroup, width: int, work: Callable[[str, str], Awaitable[None]]) -> None:
        self._group = group
        self._width = width
        self._work = work
        self._lanes: dict[str, _Lane] = defaultdict(_Lane)

    def add(self, site: str, key: str) -> None:
        """Have it done when its turn has come."""
        lane = self._lanes[site]
        lane.line.append(key)
        if lane.busy < self._width:
            lane.busy += 1
            self._group.create_task(self._run(site, lane))

    async def _run(self, site: str, lane: _Lane) -> None:
        while lane.line:
            await self._work(site, lane.line.popleft())
        lane.busy -= 1
        if not lane.busy:
            self._lanes.pop(site, None)
