import numpy as np
import pytest

from markets import a_market
from suanli.placement.build import Jobs
from suanli.placement.effort import Effort
from suanli.placement.local import Search
from suanli.placement.market import Market
from suanli.placement.prices import ascend, priced, proven_bound

Ints = np.typing.NDArray[np.int64]


def bettered(market: Market, pools: list[int], effort: Effort | None = None) -> Ints:
    rows = np.repeat(np.arange(len(market.count_r)), market.count_r)
    waiting_r = np.full(len(market.count_r), 1e3)
    search = Search(market, Jobs(rows, np.array(pools)), market.open_cost_rp, waiting_r)
    before = search.cost
    search.better(-(10**9), effort or Effort(10), np.random.default_rng(0))
    assert search.cost <= before
    return search.pool_j


def test_one_moves_to_a_cheaper_pool() -> None:
    market = a_market([[1, 5]], cards=[2], room=[3, 8], count=[1])
    assert bettered(market, [1]).tolist() == [0]


def test_two_swap() -> None:
    market = a_market([[1, 9], [3, 2]], cards=[8, 8], room=[8, 8], count=[1, 1])
    assert bettered(market, [1, 0]).tolist() == [0, 1]


def test_one_sends_another_on() -> None:
    market = a_market([[1, 9, 9], [1, 9, 2]], cards=[8, 8], room=[8, 8, 8], count=[1, 1])
    assert bettered(market, [1, 0]).tolist() == [0, 2]


def test_who_waits_is_let_in_by_one_who_moves_on() -> None:
    market = a_market([[1, 2], [1, 1]], cards=[8, 8], room=[8, 8], count=[1, 1], allowed=[[True, True], [True, False]])
    assert bettered(market, [0, 2]).tolist() == [1, 0]


def test_nobody_is_sent_to_wait() -> None:
    market = a_market([[100], [1]], cards=[8, 8], room=[8], count=[1, 1])
    assert bettered(market, [0, 1]).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_capacities_are_kept_and_equal_searches_are_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 50, (30, 4)).tolist()
    market = a_market(costs, cards=rng.integers(1, 5, 30).tolist(), room=[25, 25, 25, 25], count=[1] * 30)
    waits = [4] * 30
    found = bettered(market, waits, Effort(50))
    assert found.tolist() == bettered(market, waits, Effort(50)).tolist()
    load = np.bincount(found, weights=market.demand_rpk[:, 0, 2], minlength=5)
    assert (load[:4] <= 25).all()


def test_it_ends_when_it_is_as_good_as_can_be() -> None:
    market = a_market([[1, 2], [3, 1]], cards=[1, 1], room=[8, 8], count=[1, 1])
    proof = ascend(market, market.count_r, np.full(2, 1e3))
    assert proven_bound(market, market.count_r, proof.price_pk) == 2
    search = Search(market, Jobs(np.arange(2), np.array([0, 1])), priced(market, proof.price_pk), np.full(2, 1e3))
    effort = Effort(1_000_000, patience=1_000_000_000)
    search.better(2, effort, np.random.default_rng(0))
    assert not effort.is_spent
