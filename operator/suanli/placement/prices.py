"""Shadow prices of scarce pools, and with them a proof of how good a plan is.

Capacity is taken out of the constraints and priced (Lagrangian relaxation): for any prices >= 0 every row takes the pool
that is cheapest with its price on top, and what that costs, less the value of all capacity, is never more than what the
best plan costs. Prices climb along the overload (subgradient; step by Polyak). Sources: Fisher 1981, Held and Karp 1971.
"""

import math
from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Floats, Ints
from suanli.placement.market import Market

PATIENCE = 12  # iterations without a better bound before the step is halved
WORK = 200_000_000  # multiplications that one ascent may take
FEWEST, MOST_ITERATIONS = 40, 300
ROUNDING = 1e-12  # of all that was summed up, far more than floats lose


@dataclass(frozen=True)
class Ascent:
    """Prices and the bound they prove, in whole micro-yuan as all costs are.

    Shapes: `price_pk` (P, 4), micro-yuan per unit of each resource; `key_rp` (R, P), cost with the price of what a job takes.
    """

    price_pk: Floats
    key_rp: Floats
    bound: int


def ascend(
    market: Market, count_r: Ints, target: float, start_pk: Floats | None = None, waiting_r: Floats | None = None
) -> Ascent:
    """Raise the bound on running `count_r` jobs of each row.

    `target` is the cost of a plan that is known, or a guess of it. With `waiting_r` (R,) a job may also wait at that cost.
    """
    rows = np.flatnonzero((count_r > 0) & market.allowed_rp.any(axis=1))
    demand_rk, count = market.demand_rk[rows], count_r[rows].astype(float)
    cost_rp = np.where(market.allowed_rp[rows], market.cost_rp[rows].astype(float), np.inf)
    waits = waiting_r[rows] if waiting_r is not None else np.full(len(rows), np.inf)
    capacity = np.maximum(market.capacity_pk, 1.0)
    worth = np.zeros(capacity.shape) if start_pk is None else start_pk * capacity  # of all the pool has
    best, best_bound, theta, idle = worth, -np.inf, 1.0, 0
    size = max(1, demand_rk.size * len(capacity))
    for _ in range(int(min(MOST_ITERATIONS, max(FEWEST, WORK // size)))):
        bound, overload = _relaxed(cost_rp, demand_rk, count, waits, worth, capacity)
        if bound > best_bound + abs(best_bound if np.isfinite(best_bound) else 0.0) * 1e-9:
            best, best_bound, idle = worth, bound, 0
        else:
            idle += 1
            if idle >= PATIENCE:
                theta, idle, worth = theta / 2, 0, best
                _, overload = _relaxed(cost_rp, demand_rk, count, waits, worth, capacity)
        moving = np.where((worth > 0) | (overload > 0), overload, 0.0)
        norm = float((moving * moving).sum())
        if norm == 0.0 or best_bound >= target or theta < 1e-4:
            break
        worth = np.maximum(0.0, worth + theta * max(target - bound, abs(target) * 1e-6) / norm * moving)
    price_pk = best / capacity
    key_rp = market.cost_rp + market.demand_rk @ price_pk.T
    proven = math.ceil(best_bound - (_amounts(market.cost_rp[rows], count) + 2 * float(best.sum())) * ROUNDING)
    return Ascent(price_pk, np.where(market.allowed_rp, key_rp, np.inf), proven)


def _amounts(cost_rp: Ints, count: Floats) -> float:
    """No row's part of a bound is larger than its dearest pool."""
    return float((count * np.abs(cost_rp).max(axis=1, initial=0)).sum())


def _relaxed(
    cost_rp: Floats, demand_rk: Floats, count: Floats, waits: Floats, worth: Floats, capacity: Floats
) -> tuple[float, Floats]:
    """The bound at these prices, and each pool's overload as a share of what it has."""
    priced_rp = cost_rp + demand_rk @ (worth / capacity).T
    choice = priced_rp.argmin(axis=1)
    least = priced_rp[np.arange(len(choice)), choice]
    runs = least <= waits
    bound = float((count * np.minimum(least, waits)).sum() - worth.sum())
    kinds = demand_rk.shape[1]
    where = choice[:, None] * kinds + np.arange(kinds)
    taken = (count * runs)[:, None] * demand_rk
    load = np.bincount(where.ravel(), taken.ravel(), minlength=capacity.size).reshape(capacity.shape)
    return bound, load / capacity - 1.0
