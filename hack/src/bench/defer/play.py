"""The year as the operator lives it: jobs come, prices are published, plans are made anew, jobs start."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time

import numpy as np
import numpy.typing as npt

from bench.defer.ground import Ground, rows_of, site_of
from suanli.base.units import MS_PER_HOUR
from suanli.cli.scenarios import BadInput
from suanli.placement.horizon import HORIZON_MS, SLOT_MS, SLOTS, Work, first_slot_ms, schedule
from suanli.placement.tariff import LOOKED_AHEAD_MS, Curve, price_curve

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY_MS = 24 * MS_PER_HOUR
NOT_YET = -1


@dataclass(frozen=True)
class Played:
    """When and where jobs started. Shapes: `start_ms_j`, `site_j` (J,)."""

    start_ms_j: Ints
    site_j: Ints
    plans: int


def play(
    ground: Ground,
    work: Work,
    *,
    published: time,
    cycle_ms: int,
    room_s: Floats | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Played:
    """Plan new jobs every cycle, all that wait at every publication, and start each at its planned moment.

    With `room_s` units a site, a planned or running job holds its units; a job without room is planned again every cycle.
    """
    return _Year(ground, work, published, cycle_ms, room_s).run(say)


class _Year:
    def __init__(self, ground: Ground, work: Work, published: time, cycle_ms: int, room_s: Floats | None) -> None:
        self._ground, self._work, self._published, self._cycle_ms = ground, work, published, cycle_ms
        jobs, sites = len(ground.trace), len(ground.markets)
        self._start_j = np.full(jobs, NOT_YET, dtype=np.int64)
        self._site_j = np.full(jobs, NOT_YET, dtype=np.int64)
        self._curves: list[Curve] = []
        self._plans = 0
        longest_ms = min(LOOKED_AHEAD_MS, int(ground.length_ms_j.max(initial=0)))
        self._ahead_ms = 2 * DAY_MS + HORIZON_MS + longest_ms
        self._origin_ms = first_slot_ms(ground.begin_ms)
        slots = (ground.markets[0].end_ms - self._origin_ms) // SLOT_MS + longest_ms // SLOT_MS + 3 * SLOTS
        self._left_st = None if room_s is None else np.repeat(room_s[:, None], slots, axis=1)
        self._ample_st = np.full((sites, SLOTS), np.inf)

    def run(self, say: Callable[[str], None]) -> Played:
        arrival_j, order = self._ground.arrival_ms_j, np.argsort(self._ground.arrival_ms_j, kind="stable")
        begin, end = self._ground.begin_ms, self._ground.markets[0].end_ms
        publications = sorted({ms for m in self._ground.markets for ms in m.publications_ms(self._published)})
        cycle_j = begin + -(-(arrival_j[order] - begin) // self._cycle_ms) * self._cycle_ms  # the first that sees it
        moments = sorted({begin, *publications, *cycle_j.tolist()})
        news, come = set(publications), 0
        waiting: list[int] = []  # planned to start later
        stuck: list[int] = []  # without room so far
        for number, now in enumerate(moments):
            arrived = int(np.searchsorted(cycle_j, now, side="right"))
            asked = order[come:arrived].tolist() + stuck
            come = arrived
            waiting = [j for j in waiting if self._start_j[j] > now]
            if now in news or not self._curves:
                self._publish(now)
                self._release(waiting)
                asked, waiting = waiting + asked, []
            if asked:
                stuck = self._plan(np.array(asked), now)
                waiting += [j for j in asked if self._start_j[j] > now]
            if number % 2_000 == 0:
                say(f"{(now - begin) / (end - begin):.0%} of the year, {len(waiting)} wait")
        while stuck:  # the last jobs have come
            now += self._cycle_ms
            if now > end + 2 * DAY_MS:
                raise BadInput([f"{len(stuck)} jobs never found room; give more --room"])
            stuck = self._plan(np.array(stuck), now)
        return Played(self._start_j, self._site_j, self._plans)

    def _publish(self, now_ms: int) -> None:
        """The sites' prices as they are known now."""
        self._curves = []
        for market in self._ground.markets:
            energy = site_of(market, market.known_until_ms(now_ms, self._published)).spec.energy
            self._curves.append(price_curve(energy, now_ms, now_ms + self._ahead_ms))

    def _plan(self, jobs: Ints, now_ms: int) -> list[int]:
        """Plan these jobs; who has no room is returned."""
        work = rows_of(self._work, jobs)
        must_w = np.asarray(((work.latest_ms_wp <= now_ms) | ~work.allowed_wp).all(axis=1))
        work = Work(**{**vars(work), "must_w": must_w, "latest_ms_wp": np.maximum(now_ms, work.latest_ms_wp)})
        starts = schedule(work, self._curves, self._room(now_ms), now_ms)
        self._plans += len(jobs)
        placed = np.zeros(len(jobs), dtype=bool)
        for start in starts:
            if must_w[start.row] and start.at_ms > now_ms:
                continue  # only its room is kept in mind
            j = int(jobs[start.row])
            self._start_j[j], self._site_j[j] = start.at_ms, start.pool
            placed[start.row] = True
            self._hold(j, -1)
        return [int(j) for j in jobs[~placed]]

    def _room(self, now_ms: int) -> Floats:
        if self._left_st is None:
            return self._ample_st
        first = (now_ms - self._origin_ms) // SLOT_MS
        return self._left_st[:, first : first + SLOTS]

    def _release(self, jobs: list[int]) -> None:
        """Give up plans, to make them anew."""
        for j in jobs:
            self._hold(j, 1)
            self._start_j[j] = NOT_YET

    def _hold(self, j: int, sign: int) -> None:
        if self._left_st is None:
            return
        start, end = int(self._start_j[j]), int(self._start_j[j] + self._ground.length_ms_j[j])
        first, behind = (start - self._origin_ms) // SLOT_MS, -(-(end - self._origin_ms) // SLOT_MS)
        self._left_st[self._site_j[j], first:behind] += sign * self._ground.trace.units_j[j]
