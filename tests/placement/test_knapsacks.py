import itertools

import numpy as np
import pytest

from markets import a_market
from suanli.placement.build import Jobs, by_regret
from suanli.placement.effort import Effort
from suanli.placement.knapsacks import Columns, KnapsackSearch, is_for, knapsacks, losses
from suanli.placement.market import Market
from suanli.placement.prices import ascend, priced

ENOUGH_MS = 100_000


def a_knapsack(rng: np.random.Generator, items: int) -> tuple[list[float], list[int], int]:
    sizes = rng.integers(1, 12, items).tolist()
    return rng.integers(-3, 30, items).astype(float).tolist(), sizes, int(sum(sizes) * rng.uniform(0.2, 1.1))


def most(
    profit: list[float], size: list[int], room: int, *, takes: int | None = None, leaves: int | None = None
) -> float:
    best = -np.inf
    for some in itertools.product((0, 1), repeat=len(profit)):
        if (takes is not None and not some[takes]) or (leaves is not None and some[leaves]):
            continue
        if sum(x * a for x, a in zip(some, size, strict=True)) <= room:
            best = max(best, sum(x * p for x, p in zip(some, profit, strict=True)))
    return best


def a_tight_market(seed: int, jobs: int, pools: int) -> Market:
    """Generalised assignment but for sizes that do not differ by pool; there is room for a plan made at random."""
    rng = np.random.default_rng(seed)
    cards, home = rng.integers(1, 9, jobs), rng.integers(0, pools, jobs)
    room = np.bincount(home, weights=cards, minlength=pools).astype(int) + 1
    costs = rng.integers(10, 50, (jobs, pools)).tolist()
    return a_market(costs, cards=cards.tolist(), room=room.tolist(), count=[1] * jobs)


def bettered(market: Market, plan: Jobs | None = None) -> tuple[KnapsackSearch, float]:
    guide = ascend(market, market.count_r, np.full(len(market.count_r), 1e3))
    key_rp = priced(market, guide.price_pk)
    plan = plan or by_regret(market, key_rp)
    search = KnapsackSearch(market, plan, key_rp, guide.bound)
    before = search.cost
    search.better(Effort(ENOUGH_MS))
    return search, before


@pytest.mark.parametrize("seed", range(10))
def test_knapsacks_of_a_batch_are_each_as_good_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = [a_knapsack(rng, 10) for _ in range(5)]
    profit, size, room = (np.array(part) for part in zip(*asked, strict=True))
    value, taken = knapsacks(profit, size, room, Effort(ENOUGH_MS))
    assert value.tolist() == [most(*one) for one in asked]
    assert ((taken * size).sum(axis=1) <= room).all()
    assert (taken * profit).sum(axis=1).tolist() == value.tolist()


def test_a_core_that_does_not_prove_itself_is_widened() -> None:
    size = np.arange(2, 122, 2)[None, :]  # even sizes of equal ratio, and room that no sum of few of them fills
    profit = size.astype(float)
    value, taken = knapsacks(profit, size, np.array([1_001]), Effort(ENOUGH_MS))
    assert value.tolist() == [1_000.0]
    assert (taken * size).sum() == 1_000


@pytest.mark.parametrize("seed", range(10))
def test_losses_are_what_forcing_costs(seed: int) -> None:
    profit, size, room = a_knapsack(np.random.default_rng(seed), 9)
    row = np.array([profit]), np.array([size]), np.array([room])
    value, _ = knapsacks(*row, Effort(ENOUGH_MS))
    within, without = losses(*row, value, np.array([1e3]), Effort(ENOUGH_MS))
    for i in range(9):
        if size[i] <= room:
            assert within[0, i] == pytest.approx(value[0] - most(profit, size, room, takes=i))
        assert without[0, i] == pytest.approx(value[0] - most(profit, size, room, leaves=i))


def test_what_is_narrowed_away_is_in_no_plan_of_the_target() -> None:
    columns = Columns(
        np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.array([1.0, 1, 9, 2]), np.ones(4, int), np.ones(2, int)
    )
    every = np.ones((1, 4), dtype=bool)
    bound, left = columns.narrowed(np.array([[2.0, 2.0]]), every, 3.0, Effort(ENOUGH_MS))
    assert bound.tolist() == [3.0]
    assert [(int(columns.job[c]), int(columns.pool[c])) for c in np.flatnonzero(left[0])] == [(0, 0), (1, 0), (1, 1)]


@pytest.mark.parametrize("seed", range(12))
def test_small_plans_are_proven_best(seed: int) -> None:
    market = a_tight_market(seed, jobs=7, pools=3)
    everybody = range(3)
    costs, cards, room = market.cost_rp, market.demand_rpk[:, 0, 2], market.capacity_pk[:, 2]
    plans = [p for p in itertools.product(everybody, repeat=7) if (np.bincount(p, cards, minlength=3) <= room).all()]
    best = min(plans, key=lambda p: sum(int(costs[j, i]) for j, i in enumerate(p)))
    worst = max(plans, key=lambda p: sum(int(costs[j, i]) for j, i in enumerate(p)))
    search, _ = bettered(market, Jobs(np.arange(7), np.array(worst)))
    assert search.cost == sum(int(costs[j, i]) for j, i in enumerate(best))
    assert search.bound == search.cost


@pytest.mark.parametrize("seed", range(4))
def test_plans_keep_capacities_and_equal_searches_are_equal(seed: int) -> None:
    market = a_tight_market(seed, jobs=40, pools=5)
    guide = ascend(market, market.count_r, np.full(40, 1e3))
    plan = by_regret(market, priced(market, guide.price_pk))
    if not is_for(market, plan, Effort(ENOUGH_MS)):
        pytest.skip("the first plan lets somebody wait")
    search, before = bettered(market)
    again, _ = bettered(market)
    assert search.pool_j.tolist() == again.pool_j.tolist()
    assert search.bound <= search.cost <= before
    load = np.bincount(search.pool_j, weights=market.demand_rpk[:, 0, 2], minlength=5)
    assert (load <= market.capacity_pk[:, 2]).all()


def test_it_is_for_one_scarce_resource_whole_plans_and_enough_effort() -> None:
    market = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[4, 4], count=[1, 1])
    whole, waits = Jobs(np.arange(2), np.array([0, 1])), Jobs(np.arange(2), np.array([0, 2]))
    assert is_for(market, whole, Effort(ENOUGH_MS))
    assert not is_for(market, waits, Effort(ENOUGH_MS))
    assert not is_for(market, whole, Effort(1))
    roomy = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[9, 9], count=[1, 1])
    assert not is_for(roomy, whole, Effort(ENOUGH_MS))
