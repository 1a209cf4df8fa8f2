"""What jobs cost at the prices that came true, the best that anybody could do, and simple ways to do it."""

import numpy as np
import numpy.typing as npt

from bench.defer.ground import Ground
from bench.defer.play import Played
from suanli.base.units import MICRO, MS_PER_HOUR

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CHUNK = 4_000
DAY_HOURS = 24


class Prices:
    """Prices that came true, added up. Moments are hours since the begin."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.price_sh = np.array([market.price_h for market in ground.markets], dtype=float)
        self._until_sh = np.concatenate([np.zeros((len(self.price_sh), 1)), self.price_sh.cumsum(axis=1)], axis=1)
        self._hour_h = np.arange(self._until_sh.shape[1])

    def spent(self, site: int, start_h: Floats, hours: Floats) -> Floats:
        """What one kW costs from each start on for so long. Any shape. Units: micro-yuan."""
        until = self._until_sh[site]
        return np.asarray(np.interp(start_h + hours, self._hour_h, until) - np.interp(start_h, self._hour_h, until))

    def cost_j(self, played: Played) -> Floats:
        """What every job costs. Shape (J,). Units: micro-yuan."""
        ground, cost = self._ground, np.zeros(len(played.start_ms_j))
        start_h = (played.start_ms_j - ground.begin_ms) / MS_PER_HOUR
        for s in range(len(ground.markets)):
            here = played.site_j == s
            cost[here] = self.spent(s, start_h[here], ground.length_ms_j[here] / MS_PER_HOUR)
        return cost * ground.trace.units_j


def cost_cny(ground: Ground, played: Played) -> float:
    """What all jobs cost together."""
    return float(Prices(ground).cost_j(played).sum()) / MICRO


def room_s(ground: Ground, share: float) -> Floats:
    """That share of the peak when every job starts at once where it comes from; room at least for the largest job. Shape (S,)."""
    largest = ground.trace.units_j.max(initial=0)
    return np.asarray(np.maximum(peak_s(ground, at_once(ground)) * share, largest))


def at_once(ground: Ground) -> Played:
    """Every job starts when it comes, where it comes from."""
    return Played(ground.arrival_ms_j.copy(), ground.origin_j.copy(), 0)


def oracle(ground: Ground) -> Played:
    """Every job at the cheapest of all moments and sites, all prices known, room for all: no plan is cheaper.

    The price is a step an hour, so that a run's cost is linear between the moments at which it starts or ends with an hour: the
    cheapest moment is among these, the arrival and the latest start.
    """
    prices = Prices(ground)
    start, site = np.empty(len(ground.trace), dtype=np.int64), np.empty(len(ground.trace), dtype=np.int64)
    for first in range(0, len(start), CHUNK):
        j = slice(first, first + CHUNK)
        begin, late = (
            (ms[j] - ground.begin_ms)[:, None] / MS_PER_HOUR for ms in (ground.arrival_ms_j, ground.latest_ms_j)
        )
        hours = ground.length_ms_j[j][:, None] / MS_PER_HOUR
        steps = np.arange(1, np.ceil((late - begin).max()) + 1)
        moments = np.concatenate(
            [begin, late, np.floor(begin) + steps, np.floor(begin + hours) + steps - hours], axis=1
        )
        moments = np.clip(moments, begin, late)
        cost_jsk = np.stack([prices.spent(s, moments, hours) for s in range(len(ground.markets))], axis=1)
        cost_jsk[~ground.may_j[j]] = np.inf
        best_s, best_k = np.divmod(cost_jsk.reshape(len(begin), -1).argmin(axis=1), moments.shape[1])
        site[j] = best_s
        start[j] = ground.begin_ms + np.rint(moments[np.arange(len(begin)), best_k] * MS_PER_HOUR).astype(np.int64)
    return Played(start, site, 0)


def by_yesterday(ground: Ground) -> Played:
    """Every job at the hour, of all that begin in its window, and the site that were cheapest the day before; never planned anew.

    Of an hour whose day before has not come yet, the day before that.
    """
    price_sh = Prices(ground).price_sh
    start, site, may_j = ground.arrival_ms_j.copy(), ground.origin_j.copy(), ground.may_j
    begin_j = (start - ground.begin_ms) / MS_PER_HOUR
    length_j, window_h = ground.length_ms_j / MS_PER_HOUR, ground.window_ms / MS_PER_HOUR
    hour_j = np.floor(begin_j).astype(np.int64)
    for now in np.unique(hour_j[hour_j >= DAY_HOURS]).tolist():  # before, there was no yesterday
        j = np.flatnonzero(hour_j == now)
        ahead = np.arange(int(window_h + length_j[j].max()) + 3)
        until_sh = np.zeros((len(price_sh), len(ahead) + 1))
        until_sh[:, 1:] = np.cumsum(price_sh[:, now - DAY_HOURS + ahead % DAY_HOURS], axis=1)
        begin, at = begin_j[j][:, None], now + np.arange(len(ahead) + 1)
        hours = np.broadcast_to(now + 1.0 + np.arange(int(window_h) + 1), (len(j), int(window_h) + 1))
        moments = np.minimum(np.concatenate([begin, hours], axis=1), begin + window_h)
        ends = moments + length_j[j][:, None]
        cost_jsk = np.stack([np.interp(ends, at, until) - np.interp(moments, at, until) for until in until_sh], axis=1)
        cost_jsk[~may_j[j]] = np.inf
        best_s, best_k = np.divmod(cost_jsk.reshape(len(j), -1).argmin(axis=1), moments.shape[1])
        start[j] = ground.begin_ms + np.floor(moments[np.arange(len(j)), best_k] * MS_PER_HOUR + 1e-3).astype(np.int64)
        site[j] = best_s
    return Played(start, site, 0)


def peak_s(ground: Ground, played: Played) -> Floats:
    """Most units that run at one moment at each site. Shape (S,)."""
    peaks = np.zeros(len(ground.markets))
    for s in range(len(peaks)):
        here = played.site_j == s
        begins, ends = played.start_ms_j[here], played.start_ms_j[here] + ground.length_ms_j[here]
        units = ground.trace.units_j[here]
        moments, changes = np.concatenate([ends, begins]), np.concatenate([-units, units])
        order = np.argsort(moments, kind="stable")  # an end comes before a begin
        peaks[s] = np.cumsum(changes[order]).max(initial=0)
    return peaks
