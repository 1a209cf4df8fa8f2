"""Shadow prices of scarce pools, and with them a proof of how good a plan is.

Capacity is taken out of the constraints and priced (Lagrangian relaxation): for any prices >= 0 every row takes the pool
that is cheapest with its price on top, and what that costs, less the value of all capacity, is never more than what the
best plan costs (weak duality; Fisher 1981). The bound is concave in the prices but has corners; rounded off at a temperature
(each row spreads over its pools by exp(-cost/T), Nesterov 2005) it has a gradient and a curvature, and Newton steps climb
it while the temperature falls, each time from where the path of the prices points to. Most rows have few pools in question: away from a coarse start on a sample of rows only the
columns that are cheapest at the present prices take part (sifting; Bixby et al. 1992). The bound that is told is always
that of the true corners over all columns.
"""

import math
from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.market import Market

# Temperatures, as shares of a typical difference of costs, and the steps at each. At the end of COLD loads have settled.
COARSE = ((1.0, 4), (0.3, 4), (0.1, 4), (0.03, 4))
MELT = ((0.03, 2), (0.01, 3), (0.003, 4))
COLD = ((0.001, 4), (5e-4, 10))
FINE = ((3e-4, 3),)
FINEST = ((1e-4, 6), (3e-5, 6))
SMALL = 20_000  # rows x pools up to which the finest temperatures are worth their time
COARSE_SAMPLE, SAMPLE = 1_500, 20_000  # rows that the coarse start and the curvature are taken from
COLUMNS = 14  # pools of a row that take part after the coarse start
DENSE = 400_000  # rows x pools up to which all of them do
STEADY = 1e-7  # a climb that gains less than this share ends
SETTLED = 1e-3  # of what is wanted of all pools: with less in excess or to spare of what has a price the temperature may fall,
SETTLED_POOL = 1e-2  # unless a pool has more of its own capacity in excess
DAMPING, DAMPING_AHEAD = 0.3, 0.03  # of the curvature, at first
DAMPED_MORE, DAMPED_LESS = 10, 20  # times, after a step that does not gain, and after one that does
DAMPINGS = 7  # times that a step may be shortened
SCALE = 0.01  # of the mean capacity: smaller pools are measured by so much
TINY = 1e-9  # keeps what nobody wants from being singular
HOLDS = 6  # times that more prices are held at zero within one step
FLAT = 1e-2  # of the usual curvature: where there is less, so much is taken
LOST = -40.0  # e to this power
ROUNDING = 1e-12  # of all that was summed up, far more than floats lose


@dataclass(frozen=True)
class Ascent:
    """Prices and the bound they prove, in whole micro-yuan as all costs are.

    Shapes: `price_pk` (P, 4), micro-yuan per unit of each resource; `pool_rc`, `jobs_rc` (R, C): a plan in fractions of jobs
    that keeps capacities closely, jobs by pool, the pool after the last is to wait; empty where nothing is scarce.
    """

    price_pk: Floats
    bound: int
    pool_rc: Ints
    jobs_rc: Floats


@dataclass(frozen=True)
class _Climb:
    """Rows in units of a typical difference of costs.

    Shapes: `cost_rp` (R, P + 1), the last column is to wait; `demand_rpk` (R, P or 1, K); `count_r` (R,); `capacity_pk` (P, K);
    `scarce_pk` (P, K): all that may come would not fit; `columns_rc` (R, C): the pools in question, None for all.
    """

    cost_rp: Floats
    demand_rpk: Floats
    count_r: Floats
    capacity_pk: Floats
    scarce_pk: Bools
    columns_rc: Ints | None = None


_Trail = list[tuple[float, Floats]]  # prices (P, K) by temperature, the coldest last


@dataclass(frozen=True)
class _Point:
    """The rounded-off bound at some prices. Shapes: `excess_pk` (P, K) load less capacity; `spread_rc` jobs by column."""

    value: float
    excess_pk: Floats
    spread_rc: Floats


def ascend(market: Market, count_r: Ints, waiting_r: Floats, start_pk: Floats | None = None) -> Ascent:
    """Raise the bound on running `count_r` jobs of each row, or letting them wait at `waiting_r` (R,) each.

    Shapes: `count_r` (R,), `start_pk` (P, 4), prices that were good before.
    """
    rows = np.flatnonzero((count_r > 0) & market.able_r)
    scarce_pk = scarce(market, count_r)
    kinds = np.flatnonzero(scarce_pk.any(axis=0))
    price_pk, rows_, pools = np.zeros(market.capacity_pk.shape), len(market.count_r), len(market.nodes)
    pool_rc, jobs_rc = np.full((rows_, 1), pools), np.zeros((rows_, 1))
    if len(kinds):
        unit = _typical_difference(market.open_cost_rp[rows], waiting_r[rows], count_r[rows])
        whole = _Climb(
            np.column_stack([market.open_cost_rp[rows], waiting_r[rows]]) / unit,
            market.demand_rpk[rows][:, :, kinds],
            count_r[rows].astype(float),
            market.capacity_pk[:, kinds],
            scarce_pk[:, kinds],
        )
        start = np.zeros(whole.capacity_pk.shape) if start_pk is None else start_pk[:, kinds] / unit
        best_pk, cold, spread_rc = _climbed(whole, np.where(whole.scarce_pk, start, 0.0))
        price_pk[:, kinds] = best_pk * unit
        columns = cold.columns_rc
        if columns is None:
            columns = np.broadcast_to(np.arange(pools + 1), spread_rc.shape)
        pool_rc, jobs_rc = np.full((rows_, columns.shape[1]), pools), np.zeros((rows_, columns.shape[1]))
        pool_rc[rows], jobs_rc[rows] = columns, spread_rc
    return Ascent(price_pk, proven_bound(market, count_r, price_pk, waiting_r), pool_rc, jobs_rc)


def priced(market: Market, price_pk: Floats) -> Floats:
    """Cost with the price of what a job takes; infinite where it is not allowed. Shapes: (P, 4) -> (R, P). Units: micro-yuan."""
    return _with_prices(market.open_cost_rp, market.demand_rpk, price_pk)


def proven_bound(market: Market, count_r: Ints, price_pk: Floats, waiting_r: Floats | None = None) -> int:
    """No plan that runs `count_r` jobs of each row costs less; with `waiting_r` none that lets some wait at that cost.

    Shapes: `count_r`, `waiting_r` (R,), `price_pk` (P, 4). Units: micro-yuan. Source: weak duality (Fisher 1981).
    """
    rows = np.flatnonzero((count_r > 0) & market.able_r)
    count, cost_rp = count_r[rows].astype(float), market.open_cost_rp[rows]
    least = _with_prices(cost_rp, market.demand_rpk[rows], price_pk).min(axis=1, initial=np.inf)
    if waiting_r is not None:
        least = np.minimum(least, waiting_r[rows])
    worth = float((price_pk * market.capacity_pk).sum())
    amounts = float((count * np.where(market.allowed_rp[rows], np.abs(cost_rp), 0.0).max(axis=1, initial=0.0)).sum())
    return math.ceil(float((count * least).sum()) - worth - (amounts + 2 * worth) * ROUNDING)


def scarce(market: Market, count_r: Ints) -> Bools:
    """Of which resources a pool has less than all that may come to it together. Shapes: (R,) -> (P, 4)."""
    rows = np.flatnonzero((count_r > 0) & market.able_r)
    if market.need_rpk.shape[1] == 1:
        wanted_pk = market.allowed_rp[rows].T.astype(float) @ (count_r[rows, None] * market.demand_rpk[rows, 0])
    else:
        wanted_pk = np.einsum("rp,rpk->pk", market.allowed_rp[rows] * count_r[rows, None], market.demand_rpk[rows])
    return np.asarray(wanted_pk > market.capacity_pk)


def _typical_difference(cost_rp: Floats, waiting_r: Floats, count_r: Ints) -> float:
    """What a row's fifth best place costs more than its best, on average; what to wait costs more where there is no choice."""
    place = min(4, cost_rp.shape[1] - 1)
    near = np.partition(cost_rp, place, axis=1)[:, : place + 1]
    dearest = np.where(np.isfinite(near), near, -np.inf).max(axis=1)
    differences = np.where(dearest > near.min(axis=1), dearest - near.min(axis=1), 0.0)
    mean = float((count_r * differences).sum() / count_r.sum())
    return mean if mean > 0.0 else max(1.0, float((waiting_r - near.min(axis=1)).mean()))


def _climbed(whole: _Climb, start_pk: Floats) -> tuple[Floats, _Climb, Floats]:
    """The best prices found; the columns that were left in the cold and how the rows spread over them."""
    best_pk, best = np.zeros(start_pk.shape), _corner_bound(whole, np.zeros(start_pk.shape))
    warm = start_pk.any() and _corner_bound(whole, start_pk) > best
    trail = [] if warm else _coarse(whole)
    price_pk = trail[-1][1] if trail else start_pk
    stages = (() if warm else MELT) + COLD + FINE + (FINEST if whole.cost_rp.size <= SMALL else ())
    if len(whole.count_r) > COARSE_SAMPLE:
        trail = []  # that of a sample leads elsewhere
    elif not warm:
        stages = stages[1:]  # that was the end of it already
    cold, spread_rc = whole, np.zeros(whole.cost_rp.shape)
    for temperature, steps in stages:
        part = _sifted(whole, price_pk)
        price_pk = _ascent(part, price_pk, temperature, steps, _ahead(trail, temperature))
        trail.append((temperature, price_pk))
        reached = _corner_bound(whole, price_pk)
        if reached > best:
            best_pk, best = price_pk, reached
        if temperature == COLD[-1][0]:
            cold, spread_rc = part, _point(part, price_pk, temperature).spread_rc
    return best_pk, cold, spread_rc


def _coarse(whole: _Climb) -> _Trail:
    """Prices from a sample of the rows, with as much of each capacity as the sample is of all demand."""
    price_pk, trail = np.zeros(whole.capacity_pk.shape), _Trail()
    sample = _sample(len(whole.count_r), COARSE_SAMPLE)
    taken = np.einsum("r,rpk->k", whole.count_r, whole.demand_rpk)
    share = np.einsum("r,rpk->k", whole.count_r[sample], whole.demand_rpk[sample]) / np.where(taken > 0, taken, 1.0)
    part = _Climb(
        whole.cost_rp[sample],
        whole.demand_rpk[sample],
        whole.count_r[sample],
        whole.capacity_pk * share,
        whole.scarce_pk,
    )
    for temperature, steps in COARSE:
        price_pk = _ascent(part, price_pk, temperature, steps, _ahead(trail, temperature))
        trail.append((temperature, price_pk))
    return trail


def _ahead(trail: _Trail, temperature: float) -> Floats | None:
    """Prices as they were if they went on changing with the temperature as they did between the last two."""
    if len(trail) < 2:
        return None
    (hot, hot_pk), (cold, cold_pk) = trail[-2:]
    return np.maximum(0.0, cold_pk + (cold_pk - hot_pk) * ((cold - temperature) / (hot - cold)))


def _sample(rows: int, most: int) -> Ints:
    """Rows spread evenly and without a rhythm: by the golden ratio."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.argsort(np.arange(rows) * 0.6180339887498949 % 1.0)[:most])


def _sifted(whole: _Climb, price_pk: Floats) -> _Climb:
    """Only the columns that are cheapest now, and to wait."""
    pools = len(whole.capacity_pk)
    if pools + 1 <= COLUMNS or whole.cost_rp.size <= DENSE:
        return whole
    priced_rp = _with_prices(whole.cost_rp[:, :pools], whole.demand_rpk, price_pk)
    nearest = np.argpartition(priced_rp, COLUMNS - 1, axis=1)[:, :COLUMNS]
    columns_rc = np.column_stack([nearest, np.full(len(nearest), pools)])
    return _Climb(
        np.take_along_axis(whole.cost_rp, columns_rc, axis=1),
        whole.demand_rpk,
        whole.count_r,
        whole.capacity_pk,
        whole.scarce_pk,
        columns_rc,
    )


def _ascent(climb: _Climb, price_pk: Floats, temperature: float, steps: int, ahead_pk: Floats | None) -> Floats:
    """Newton steps at one temperature within prices >= 0, each damped until it gains (Levenberg 1944, Marquardt 1963).

    They begin at `ahead_pk`, or at `price_pk` if that is better; both (P, K).
    """
    here, damping = _point(climb, price_pk, temperature), DAMPING
    if ahead_pk is not None:
        there = _point(climb, ahead_pk, temperature)
        if there.value > here.value:
            here, price_pk, damping = there, ahead_pk, DAMPING_AHEAD
    for _ in range(steps):
        active = ((price_pk > 0) | (here.excess_pk > 0)) & climb.scarce_pk
        if _is_settled(climb, here, active):
            break
        capacity = _measure(climb.capacity_pk)[active]
        worth = price_pk[active] * capacity
        curvature = _curvature(climb, here.spread_rc, active) / temperature / capacity[:, None] / capacity[None, :]
        slope, bend = here.excess_pk[active] / capacity, np.diag(curvature)
        ridge = np.maximum(bend, FLAT * max(float(np.median(bend)), 1e-300))
        for _ in range(DAMPINGS):
            step = _bounded_step(curvature + np.diag(damping * ridge + TINY), slope, -worth)
            moved_pk = price_pk.copy()
            moved_pk[active] = np.maximum(0.0, worth + step) / capacity
            there = _point(climb, moved_pk, temperature)
            if there.value > here.value:
                break
            damping *= DAMPED_MORE
        else:
            break
        gained, price_pk, here, damping = there.value - here.value, moved_pk, there, max(1e-6, damping / DAMPED_LESS)
        if gained < STEADY * abs(here.value):
            break
    return price_pk


def _is_settled(climb: _Climb, here: _Point, active: Bools) -> bool:
    """Whether load and capacity differ by little where there is a price, in sum and in every pool."""
    off_pk = np.abs(here.excess_pk) * active
    wanted_k = np.maximum(0.0, here.excess_pk + climb.capacity_pk).sum(axis=0)
    return bool(np.all(off_pk.sum(axis=0) <= SETTLED * wanted_k) and np.all(off_pk <= SETTLED_POOL * climb.capacity_pk))


def _measure(capacity_pk: Floats) -> Floats:
    """By what loads are measured: the capacity, and for pools with next to none a share of the usual."""
    measure_pk = np.maximum(capacity_pk, SCALE * capacity_pk.mean(axis=0))
    return np.where(measure_pk > 0, measure_pk, 1.0)


def _bounded_step(curvature: Floats, slope: Floats, least: Floats) -> Floats:
    """The step that gains most by slope and curvature and goes nowhere below `least`: what would is held there. Shape (A,)."""
    step, free = least.copy(), np.ones(len(slope), dtype=bool)
    for _ in range(HOLDS):
        rest = slope[free] - curvature[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], rest)
        below = free & (step < least)
        if not below.any():
            break
        step[below] = least[below]
        free &= ~below
        if not free.any():
            break
    return np.maximum(step, least)


def _point(climb: _Climb, price_pk: Floats, temperature: float) -> _Point:
    columns, pools = climb.columns_rc, len(price_pk)
    if columns is None:
        spread = np.empty(climb.cost_rp.shape)
        spread[:, :pools] = _with_prices(climb.cost_rp[:, :pools], climb.demand_rpk, price_pk)
        spread[:, pools] = climb.cost_rp[:, pools]
    else:
        ahead_pk = np.vstack([price_pk, np.zeros(price_pk.shape[1])])  # to wait costs no capacity
        spread = climb.cost_rp.copy()
        for k in range(price_pk.shape[1]):
            spread += _at(climb.demand_rpk[:, :, k], columns) * ahead_pk[columns, k]
    least = spread.min(axis=1)
    np.subtract(least[:, None], spread, out=spread)
    spread /= temperature
    _exp(spread)
    total = spread.sum(axis=1)
    spread *= (climb.count_r / total)[:, None]
    value = float((climb.count_r * (least - temperature * np.log(total))).sum()) - float(
        (price_pk * climb.capacity_pk).sum()
    )
    return _Point(value, _load(climb, spread, pools) - climb.capacity_pk, spread)


def _exp(powers: Floats) -> None:
    """Put e to powers of 0 and below in their place, to seven digits, which is faster; what would be lost in a sum with 1 is as good as nothing."""
    np.maximum(powers, LOST, out=powers)
    short = powers.astype(np.float32)
    powers[...] = np.exp(short, out=short)


def _load(climb: _Climb, spread_rc: Floats, pools: int) -> Floats:
    columns, demand_rpk = climb.columns_rc, climb.demand_rpk
    if columns is not None:
        where = columns.ravel()
        loads = [
            np.bincount(where, (spread_rc * _at(demand_rpk[:, :, k], columns)).ravel(), minlength=pools + 1)[:pools]
            for k in range(demand_rpk.shape[2])
        ]
        return np.column_stack(loads)
    if demand_rpk.shape[1] == 1:
        return np.asarray(spread_rc[:, :pools].T @ demand_rpk[:, 0])
    return np.asarray(np.einsum("rp,rpk->pk", spread_rc[:, :pools], demand_rpk))


def _curvature(climb: _Climb, spread_rc: Floats, active: Bools) -> Floats:
    """How the load of each active resource falls with each price, times the temperature; of a sample of the rows."""
    pools = len(climb.capacity_pk)
    rows = len(climb.count_r)
    sample = slice(None) if rows <= SAMPLE else _sample(rows, SAMPLE)
    count = climb.count_r[sample]
    scale = climb.count_r.sum() / count.sum()
    if climb.columns_rc is None:
        spread_rp = spread_rc[sample, :pools]
    else:
        spread_rp = np.zeros((len(count), pools + 1))
        np.put_along_axis(spread_rp, climb.columns_rc[sample], spread_rc[sample], axis=1)
    demand_rpk = climb.demand_rpk[sample]
    pool_a, kind_a = np.nonzero(active)
    demand_ra = demand_rpk[:, 0, :][:, kind_a] if demand_rpk.shape[1] == 1 else demand_rpk[:, pool_a, kind_a]
    load_ra = spread_rp[:, pool_a] * demand_ra
    curvature = -(load_ra / count[:, None]).T @ load_ra
    place_pk = np.full(active.shape, -1)
    place_pk[pool_a, kind_a] = np.arange(len(pool_a))
    own_ka = (
        demand_rpk[:, 0].T @ load_ra
        if demand_rpk.shape[1] == 1
        else np.einsum("rak,ra->ka", demand_rpk[:, pool_a], load_ra)
    )
    for k in range(active.shape[1]):
        with_k = np.flatnonzero(place_pk[pool_a, k] >= 0)
        curvature[with_k, place_pk[pool_a[with_k], k]] += own_ka[k, with_k]
    return np.asarray(curvature * scale)


def _corner_bound(climb: _Climb, price_pk: Floats) -> float:
    """The bound as it is, in the climb's unit."""
    pools = len(price_pk)
    least = _with_prices(climb.cost_rp[:, :pools], climb.demand_rpk, price_pk).min(axis=1)
    least = np.minimum(least, climb.cost_rp[:, pools])
    return float((climb.count_r * least).sum() - (price_pk * climb.capacity_pk).sum())


def _with_prices(cost_rp: Floats, demand_rpk: Floats, price_pk: Floats) -> Floats:
    if demand_rpk.shape[1] == 1:
        priced_rp = demand_rpk[:, 0] @ price_pk.T
        priced_rp += cost_rp
        return np.asarray(priced_rp)
    return np.asarray(cost_rp + np.einsum("rpk,pk->rp", demand_rpk, price_pk))


def _at(demand_rp: Floats, columns_rc: Ints) -> Floats:
    """The demand in each row's columns; nothing in the one to wait where pools differ."""
    if demand_rp.shape[1] == 1:
        return demand_rp
    pools = demand_rp.shape[1]
    return np.asarray(np.take_along_axis(demand_rp, np.minimum(columns_rc, pools - 1), axis=1) * (columns_rc < pools))
