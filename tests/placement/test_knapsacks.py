import itertools

import numpy as np
import pytest

from markets import a_market
from suanli.placement.batch import Ints
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.knapsacks import Columns, KnapsackSearch, is_for, knapsacks, losses
from suanli.placement.market import Market
from suanli.placement.paths import PathSearch
from suanli.placement.prices import ascend, priced
from suanli.placement.solve import solve

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


def searched(market: Market, plan: Jobs) -> tuple[KnapsackSearch, float]:
    """The search at its end, and what the plan had cost."""
    waiting_r = np.full(len(market.count_r), 1e3)
    guide = ascend(market, market.count_r, waiting_r)
    search = KnapsackSearch(market, plan, priced(market, guide.price_pk), waiting_r, guide.bound)
    before = search.cost
    search.better(Effort(ENOUGH_MS))
    return search, before


def nobody_placed(market: Market) -> Jobs:
    jobs, pools = market.cost_rp.shape
    return Jobs(np.arange(jobs), np.full(jobs, pools))


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
def test_small_plans_are_best_and_never_below_what_is_proven(seed: int) -> None:
    market = a_tight_market(seed, jobs=7, pools=3)
    costs, cards, room = market.cost_rp, market.demand_rpk[:, 0, 2], market.capacity_pk[:, 2]
    plans = [p for p in itertools.product(range(3), repeat=7) if (np.bincount(p, cards, minlength=3) <= room).all()]
    least = min(sum(int(costs[j, i]) for j, i in enumerate(plan)) for plan in plans)
    worst = max(plans, key=lambda plan: sum(int(costs[j, i]) for j, i in enumerate(plan)))
    for start in (Jobs(np.arange(7), np.array(worst)), nobody_placed(market)):
        search, _ = searched(market, start)
        assert (search.cost, search.bound) == (least, least)


@pytest.mark.parametrize("seed", range(12))
def test_at_every_step_what_is_proven_is_no_more_than_the_best_plan_costs(seed: int) -> None:
    market = a_tight_market(seed + 100, jobs=6, pools=3)
    costs, cards, room = market.cost_rp, market.demand_rpk[:, 0, 2], market.capacity_pk[:, 2]
    plans = [p for p in itertools.product(range(3), repeat=6) if (np.bincount(p, cards, minlength=3) <= room).all()]
    least = min(sum(int(costs[j, i]) for j, i in enumerate(plan)) for plan in plans)
    waiting_r = np.full(6, 1e3)
    guide = ascend(market, market.count_r, waiting_r)
    key_rp = priced(market, guide.price_pk)
    for budget_ms in (1, 3, 10, 30, 100):
        search = KnapsackSearch(market, nobody_placed(market), key_rp, waiting_r, guide.bound)
        search.better(Effort(budget_ms))
        assert search.bound <= least <= search.cost


@pytest.mark.parametrize("seed", range(4))
def test_plans_keep_capacities_and_equal_searches_are_equal(seed: int) -> None:
    market = a_tight_market(seed, jobs=40, pools=5)
    search, before = searched(market, nobody_placed(market))
    again, _ = searched(market, nobody_placed(market))
    assert search.pool_j.tolist() == again.pool_j.tolist()
    assert search.bound <= search.cost < before
    assert (search.pool_j < 5).all()
    load = np.bincount(search.pool_j, weights=market.demand_rpk[:, 0, 2], minlength=5)
    assert (load <= market.capacity_pk[:, 2]).all()


@pytest.mark.parametrize(("seed", "mends"), [(0, True), (1, True), (1, False)])
def test_dives_better_the_plan_and_none_is_taken_that_is_too_full(seed: int, mends: bool) -> None:
    market = a_tight_market(seed, jobs=40, pools=5)
    waiting_r = np.full(40, 1e3)
    key_rp = priced(market, ascend(market, market.count_r, waiting_r).price_pk)
    search = KnapsackSearch(market, nobody_placed(market), key_rp, waiting_r, 0)
    along = PathSearch(market, nobody_placed(market), key_rp, waiting_r)
    rng, started = np.random.default_rng(seed), search.cost

    def polish(pool_bj: Ints, effort: Effort) -> Ints:
        return along.polish(pool_bj, effort, rng) if mends else pool_bj[0]

    search.better(Effort(ENOUGH_MS), polish, rng, copies=3)
    assert search.bound <= search.cost < started
    load_p = np.bincount(search.pool_j, weights=market.demand_rpk[:, 0, 2], minlength=5)
    assert (load_p <= market.capacity_pk[:, 2]).all()


def test_where_not_all_can_be_placed_the_plan_stays() -> None:
    market = a_market([[1, 2], [1, 2], [3, 4]], cards=[3, 3, 3], room=[4, 4], count=[1, 1, 1])
    plan = Jobs(np.arange(3), np.array([0, 1, 2]))
    search, before = searched(market, plan)
    assert search.cost == before == 1_003.0
    assert search.pool_j.tolist() == [0, 1, 2]


def test_it_is_for_one_scarce_resource_and_enough_effort() -> None:
    market = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[4, 4], count=[1, 1])
    plan = Jobs(np.arange(2), np.array([0, 1]))
    assert is_for(market, plan, Effort(ENOUGH_MS))
    assert not is_for(market, plan, Effort(1))
    assert not is_for(market, Jobs(plan.row_j[:1], plan.pool_j[:1], np.array([[0, 0], [0, 1]])), Effort(ENOUGH_MS))
    roomy = a_market([[1, 2], [1, 2]], cards=[3, 3], room=[9, 9], count=[1, 1])
    assert not is_for(roomy, plan, Effort(ENOUGH_MS))


def test_the_solver_says_what_knapsacks_have_proven() -> None:
    market = a_tight_market(3, jobs=12, pools=3)
    start_pk = np.zeros((3, 4))
    little, much = solve(market, start_pk, Effort(1)), solve(market, start_pk, Effort(ENOUGH_MS, tolerance=0.0))
    assert much.gap_ppm == 0 < little.gap_ppm
    assert much.draft.cost <= little.draft.cost
