import itertools
from dataclasses import replace

import numpy as np
import pytest

from markets import a_market
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.market import Market
from suanli.placement.paths import PathSearch, is_for
from suanli.placement.prices import ascend, priced
from suanli.placement.solve import solve

ENOUGH_MS = 100_000


def a_tight_market(seed: int, jobs: int, pools: int) -> Market:
    """Generalised assignment, sizes that differ by pool; there is room for a plan made at random and little more."""
    rng = np.random.default_rng(seed)
    market = a_market(
        rng.integers(10, 50, (jobs, pools)).tolist(), cards=[1] * jobs, room=[1] * pools, count=[1] * jobs
    )
    need_rpk = np.ones((jobs, pools, 4), dtype=np.int64)
    need_rpk[:, :, 2] = rng.integers(1, 9, (jobs, pools))
    home = rng.integers(0, pools, jobs)
    room = np.bincount(home, weights=need_rpk[np.arange(jobs), home, 2], minlength=pools).astype(int) + 1
    nodes = tuple(((1, (1 << 40, 1 << 40, int(r), 1 << 40)),) for r in room)
    return replace(market, need_rpk=need_rpk, nodes=nodes, allowed_rp=need_rpk[:, :, 2] <= room)


def search_from(market: Market, pool_j: list[int]) -> PathSearch:
    waiting_r = np.full(len(market.count_r), 1e3)
    guide = ascend(market, market.count_r, waiting_r)
    plan = Jobs(np.arange(len(pool_j)), np.array(pool_j))
    return PathSearch(market, plan, priced(market, guide.price_pk), waiting_r)


def bettered(market: Market, pool_j: list[int], budget_ms: int = 300, patience: int = 3) -> PathSearch:
    search = search_from(market, pool_j)
    before = search.cost
    search.better(-(10**9), Effort(budget_ms, patience=patience), np.random.default_rng(0))
    assert search.cost <= before
    return search


def load_p(market: Market, pool_j: list[int]) -> list[float]:
    pools = market.cost_rp.shape[1]
    takes = [market.need_rpk[j, p if market.need_rpk.shape[1] > 1 else 0, 2] for j, p in enumerate(pool_j)]
    return [float(load) for load in np.bincount(pool_j, weights=takes, minlength=pools)]


def least_cost(market: Market) -> int:
    jobs, pools = market.cost_rp.shape
    best = 10**9
    for plan in itertools.product(range(pools), repeat=jobs):
        if all(load <= room for load, room in zip(load_p(market, list(plan)), market.capacity_pk[:, 2], strict=True)):
            best = min(best, sum(int(market.cost_rp[j, p]) for j, p in enumerate(plan)))
    return best


def test_many_change_places_at_once_where_no_two_could() -> None:
    """Five small ones against a large one: every exchange of fewer leaves no room."""
    market = a_market([[9, 1]] * 5 + [[1, 9]], cards=[2] * 5 + [10], room=[10, 10], count=[1] * 6)
    assert bettered(market, [0] * 5 + [1]).pool_j.tolist() == [1] * 5 + [0]


def test_three_pools_change_in_a_row() -> None:
    market = a_market([[9, 1, 99], [99, 9, 1], [1, 2, 9]], cards=[3, 3, 3], room=[3, 3, 3], count=[1, 1, 1])
    assert bettered(market, [0, 1, 2]).cost == least_cost(market) == 3


@pytest.mark.parametrize("seed", range(8))
def test_small_plans_are_best_whoever_waits_at_first(seed: int) -> None:
    market = a_tight_market(seed, jobs=6, pools=3)
    search = bettered(market, [3] * 6)
    assert search.places_all
    assert search.cost == least_cost(market)


@pytest.mark.parametrize("seed", range(4))
def test_capacities_are_kept_and_equal_searches_are_equal(seed: int) -> None:
    market = a_tight_market(seed, jobs=60, pools=13)
    search, again = (bettered(market, [13] * 60, budget_ms=200) for _ in range(2))
    assert search.pool_j.tolist() == again.pool_j.tolist()
    assert search.places_all
    assert market.allowed_rp[np.arange(60), search.pool_j].all()
    assert (np.array(load_p(market, search.pool_j.tolist())) <= market.capacity_pk[:, 2]).all()


def test_where_not_all_have_room_the_plan_stays() -> None:
    market = a_market([[1, 2], [1, 2], [3, 4]], cards=[3, 3, 3], room=[4, 4], count=[1, 1, 1])
    search = bettered(market, [0, 1, 2], budget_ms=50)
    assert (search.pool_j.tolist(), search.cost) == ([0, 1, 2], 1_003.0)


def test_what_is_polished_costs_no_more() -> None:
    market = a_tight_market(1, jobs=40, pools=5)
    search = search_from(market, [5] * 40)
    search.better(-(10**9), Effort(20), np.random.default_rng(0))
    before, cost = search.pool_j, search.cost
    polished = search.polish(before[None], Effort(ENOUGH_MS), np.random.default_rng(1))
    assert sum(market.cost_rp[np.arange(40), polished]) == search.cost <= cost


def test_it_is_for_one_scarce_resource_and_much_effort() -> None:
    market = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[4, 4], count=[1, 1])
    plan = Jobs(np.arange(2), np.array([0, 1]))
    assert is_for(market, plan, Effort(ENOUGH_MS))
    assert not is_for(market, plan, Effort(1_900))
    roomy = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[9, 9], count=[1, 1])
    assert not is_for(roomy, plan, Effort(ENOUGH_MS))


def test_the_solver_gains_by_paths_where_pools_hold_few() -> None:
    market = a_tight_market(5, jobs=90, pools=30)
    start_pk = np.zeros((30, 4))
    little, much = solve(market, start_pk, Effort(300)), solve(market, start_pk, Effort(2_500, tolerance=0.0))
    assert int(much.draft.placed_rp.sum()) == 90
    assert much.draft.cost < little.draft.cost
    assert much.gap_ppm < little.gap_ppm
