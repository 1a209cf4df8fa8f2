"""The run: jobs come, cycles decide, jobs end. Time is simulated; the same input gives the same run."""

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suanli.api.job import Failover
from suanli.placement.batch import Ints
from suanli.simulate.land import Land
from suanli.simulate.policies import Policy
from suanli.simulate.purse import Purse
from suanli.simulate.rooms import Rooms
from suanli.simulate.workload import Workload

NEVER = -1


@dataclass(frozen=True)
class Attempts:
    """Every time that a job had a place, those that were lost behind the others.

    Shapes: (A,) each: numbers of the job and its pool, ms since the epoch. A lost one ended when its site went out of reach.
    """

    job_a: Ints
    pool_a: Ints
    placed_ms_a: Ints
    start_ms_a: Ints
    end_ms_a: Ints
    now_ms: int

    @property
    def run_ms_a(self) -> Ints:
        """How long each has run until now. Shape (A,)."""
        return np.asarray(np.clip(np.minimum(self.now_ms, self.end_ms_a) - self.start_ms_a, 0, None))

    def held_ms_a(self, begin_ms: int) -> Ints:
        """How long each has held its room since a moment. Shape (A,)."""
        until_a = np.minimum(self.end_ms_a, self.now_ms)
        return np.asarray(np.maximum(0, until_a - np.maximum(self.placed_ms_a, begin_ms)))


@dataclass(frozen=True)
class Ran:
    """What became of the jobs until `now_ms`.

    Shapes: (N,) each, NEVER where it has not come to that. A job holds its room from `placed_ms`, runs from `start_ms` when its
    inputs are there, and gives its room back at `end_ms`, which may lie ahead. `arrived` jobs have come; `cycles` decided. `lost`
    (L, 5) are attempts that an outage ended: job, pool, and the moments of place, start and end.
    """

    pool_n: Ints
    placed_ms: Ints
    start_ms: Ints
    end_ms: Ints
    arrived: int
    cycles: int
    cycle_ms: int
    now_ms: int
    lost: Ints
    partial: bool

    @cached_property
    def attempts(self) -> Attempts:
        """All that had a place."""
        n = np.flatnonzero(self.pool_n != NEVER)
        last = np.stack([n, self.pool_n[n], self.placed_ms[n], self.start_ms[n], self.end_ms[n]])
        job_a, pool_a, placed_a, start_a, end_a = np.concatenate([last, self.lost.T], axis=1)
        return Attempts(job_a, pool_a, placed_a, start_a, end_a, self.now_ms)


class Simulation:
    """One policy's run. A cycle is held where the operator would hold one: jobs wait, and something has changed, or the start of
    one that was put off is due.
    """

    def __init__(
        self,
        land: Land,
        workload: Workload,
        policy: Policy,
        *,
        cycle_ms: int,
        until_ms: int | None = None,
        purse: Purse | None = None,
    ) -> None:
        self._workload = workload
        self._policy = policy
        self._cycle_ms = cycle_ms
        self._until_ms = until_ms
        self._land = land
        self._purse = purse
        self._rooms = Rooms(land)
        self._site = {view.site.metadata.name: s for s, view in enumerate(land.sites)}
        self._edges_ms = sorted({ms for outage in land.outages for ms in (outage.from_ms, outage.to_ms)}, reverse=True)
        self._lost: list[tuple[int, int, int, int, int]] = []
        self._waiting: dict[int, None] = {}
        self._running: list[tuple[int, int]] = []  # (end, job), a heap
        self._holding: dict[int, None] = {}  # jobs that hold room, in the order in which they got it
        self._next_ms = 0  # no cycle before: the last one was just held
        self._arrived = self._cycles = 0
        self._now_ms = workload.begin_ms
        self._pool_n, self._placed_ms, self._start_ms, self._end_ms = (
            np.full(len(workload), NEVER, dtype=np.int64) for _ in range(4)
        )

    @property
    def now_ms(self) -> int:
        """How far it has come."""
        return self._now_ms

    @property
    def placed(self) -> int:
        """Jobs that have got a place."""
        return self._arrived - len(self._waiting)

    def advance(self) -> bool:
        """Go on to the next cycle and decide. False when nothing more can happen, or the time is over."""
        while (tick := self._next_tick()) is not None:
            if self._until_ms is not None and tick > self._until_ms:
                self._now_ms = max(self._now_ms, self._until_ms)
                self._go_on(self._until_ms)
                return False
            self._now_ms = tick
            changed = self._go_on(tick) + self._admit(tick)
            due = self._policy.wake_ms is not None and self._policy.wake_ms <= tick
            if self._waiting and (changed or due):
                self._decide()
                return True
        return False

    def ran(self) -> Ran:
        """What has become of the jobs so far; partial where some of them have not come, or have not ended."""
        return Ran(
            self._pool_n.copy(),
            self._placed_ms.copy(),
            self._start_ms.copy(),
            self._end_ms.copy(),
            self._arrived,
            self._cycles,
            self._cycle_ms,
            self._now_ms,
            np.array(self._lost, dtype=np.int64).reshape(-1, 5),
            partial=self._arrived < len(self._workload) or bool(self._holding),
        )

    def _next_tick(self) -> int | None:
        """The first moment for a cycle at which something has changed, or, on the dot, one that the policy waits for."""
        moments = [self._running[0][0]] if self._running else []
        if self._arrived < len(self._workload):
            moments.append(int(self._workload.arrival_ms[self._arrived]))
        if self._edges_ms and (moments or self._waiting):
            moments.append(self._edges_ms[-1])
        ticks = [-(-min(moments) // self._cycle_ms) * self._cycle_ms] if moments else []
        if self._waiting and self._policy.wake_ms is not None:
            ticks.append(self._policy.wake_ms)
        return max(self._next_ms, self._now_ms, min(ticks)) if ticks else None

    def _go_on(self, tick: int) -> int:
        """Let jobs end and sites go and come back until then; how many did."""
        changed = 0
        while self._edges_ms and self._edges_ms[-1] <= tick:
            edge_ms = self._edges_ms.pop()
            changed += self._end_until(edge_ms) + 1
            away = frozenset(
                self._site[outage.site] for outage in self._land.outages if outage.from_ms <= edge_ms < outage.to_ms
            )
            gone = away - self._rooms.away
            self._rooms.go(away)
            for n in [n for n in self._holding if self._land.pools[self._pool_n[n]].site in gone]:
                self._lose(n, edge_ms)
        return changed + self._end_until(tick)

    def _end_until(self, tick: int) -> int:
        """Give back what jobs held that have ended; how many."""
        ended = 0
        while self._running and self._running[0][0] <= tick:
            end_ms, n = heapq.heappop(self._running)
            if n in self._holding and self._end_ms[n] == end_ms:  # else it was lost
                self._leave(n, end_ms)
                ended += 1
        return ended

    def _lose(self, n: int, now_ms: int) -> None:
        """The site of a job is out of reach: it waits again if it may run twice, and otherwise goes on there unseen."""
        if self._workload.types[self._workload.type_n[n]].kind.failover is Failover.AT_MOST_ONCE:
            return
        self._leave(n, now_ms)
        begun_ms = min(int(self._start_ms[n]), now_ms)
        self._lost.append((n, int(self._pool_n[n]), int(self._placed_ms[n]), begun_ms, now_ms))
        for times in (self._pool_n, self._placed_ms, self._start_ms, self._end_ms):
            times[n] = NEVER
        self._waiting[n] = None

    def _leave(self, n: int, now_ms: int) -> None:
        """Give back what a job holds, which ends then."""
        if self._purse is not None:
            self._purse.settle(n, int(self._pool_n[n]), int(self._start_ms[n]), now_ms)
        self._rooms.give_back(int(self._pool_n[n]), self._workload.types[self._workload.type_n[n]])
        del self._holding[n]

    def _admit(self, tick: int) -> int:
        """Take in the jobs that have come; how many."""
        until = int(np.searchsorted(self._workload.arrival_ms, tick, side="right"))
        come = until - self._arrived
        self._waiting.update(dict.fromkeys(range(self._arrived, until)))
        self._arrived = until
        return come

    def _decide(self) -> None:
        chosen = self._policy.choose(list(self._waiting), self._holding, self._rooms, self._now_ms)
        self._cycles += 1
        self._next_ms = self._now_ms + self._cycle_ms
        work = self._workload
        for n, p in chosen.items():
            t = int(work.type_n[n])
            self._rooms.take(p, work.types[t])
            del self._waiting[n]
            self._holding[n] = None
            start = self._now_ms + int(work.probe.transfer_ms_tp[t, p])
            self._pool_n[n], self._placed_ms[n], self._start_ms[n] = p, self._now_ms, start
            self._end_ms[n] = start + max(1, round(work.run_ms[n] * work.probe.stretch_tp[t, p]))
            heapq.heappush(self._running, (int(self._end_ms[n]), n))
