"""A lane for every member: what is to be done there waits for that member alone, and keeps no worker from the others."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from suanli.reconcile.line import Line


@dataclass
class _Lane:
    line: Line
    busy: int = 0


class Lanes:
    """Does `work(site, key)` for keys in line, at most `width` of a site at a time."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        width: int,
        work: Callable[[str, str], Awaitable[None]],
        make_line: Callable[[], Line] = Line,
    ) -> None:
        self._group = group
        self._width = width
        self._work = work
        self._lanes: dict[str, _Lane] = defaultdict(lambda: _Lane(make_line()))

    def add(self, site: str, key: str, *, urgent: bool = False) -> None:
        """Have it done when its turn has come."""
        lane = self._lanes[site]
        lane.line.add(key, urgent=urgent)
        if lane.busy < self._width:
            lane.busy += 1
            self._group.create_task(self._run(site, lane))

    async def _run(self, site: str, lane: _Lane) -> None:
        while lane.line:
            await self._work(site, lane.line.take())
        lane.busy -= 1
        if not lane.busy:
            self._lanes.pop(site, None)
