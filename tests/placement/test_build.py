import numpy as np

from markets import a_market
from suanli.placement.build import Jobs, by_fractions, by_places, in_turn, thinned
from suanli.placement.market import Market
from suanli.placement.prices import ascend

NO_PRICE = np.zeros((2, 4))
DEAR = np.full(3, 1e3)  # what it costs to wait


def places(market: Market, jobs: Jobs) -> list[list[int]]:
    return [[int(n) for n in row] for row in jobs.placed_rp(market)]


def test_a_row_goes_over_into_its_next_choice() -> None:
    market = a_market([[1, 2, 3]], cards=[2], room=[4, 3, 8], count=[5])
    assert places(market, in_turn(market, market.open_cost_rp)) == [[2, 1, 2]]


def test_who_finds_no_room_waits() -> None:
    market = a_market([[1, 2]], cards=[4], room=[8, 4], count=[5])
    jobs = in_turn(market, market.open_cost_rp)
    assert places(market, jobs) == [[2, 1]]
    assert sorted(jobs.pool_j.tolist()) == [0, 0, 1, 2, 2]


def test_in_turn_who_stands_first_in_the_queue_goes_first() -> None:
    market = a_market([[1], [1]], cards=[1, 8], room=[8], count=[1, 1])
    assert places(market, in_turn(market, market.open_cost_rp)) == [[1], [0]]


def test_pools_beyond_the_nearest_are_looked_at_last() -> None:
    costs = [list(range(20))] * 2
    market = a_market(costs, cards=[8, 8], room=[8] * 20, count=[9, 9])
    jobs = in_turn(market, market.open_cost_rp)
    assert jobs.placed_rp(market).sum(axis=0).tolist() == [1] * 18 + [0, 0]


def test_fractions_become_whole_jobs_and_keep_their_sums() -> None:
    market = a_market([[0, 10], [0, 11]], cards=[1, 1], room=[30, 99], count=[40, 20])
    proof = ascend(market, market.count_r, DEAR[:2])
    jobs = by_fractions(market, proof)
    placed = jobs.placed_rp(market)
    assert 58 <= placed.sum() <= 60
    assert 28 <= int(placed[:, 0].sum()) <= 30


def test_alike_rows_are_shared_out_as_one_and_the_urgent_are_not_like_others() -> None:
    costs, cards, count = [[0, 10], [0, 10], [5, 5], [0, 10]], [1, 1, 1, 1], [4, 4, 2, 4]
    market = a_market(costs, cards=cards, room=[5, 99], count=count, priority=[0, 0, 0, 7])
    proof = ascend(market, market.count_r, np.full(4, 1e3))
    placed_rp = by_fractions(market, proof).placed_rp(market)
    assert (placed_rp.sum(axis=1) >= np.array(count) - 1).all()
    assert int(placed_rp[:, 0].sum()) <= 5
    assert ((placed_rp[:2] > 0).sum(axis=1) == 2).sum() <= 1  # one of the two is split at most


def test_who_is_too_many_waits() -> None:
    market = a_market([[0, 10]], cards=[3], room=[10, 3], count=[5])
    proof = ascend(market, market.count_r, DEAR[:1])
    placed = by_fractions(market, proof).placed_rp(market)[0]
    assert placed[0] <= 3
    assert placed[1] <= 1


def test_jobs_are_put_where_their_row_was_and_who_is_new_waits() -> None:
    market = a_market([[1, 2]], cards=[1], room=[8, 8], count=[5])
    assert places(market, by_places(market, NO_PRICE, np.array([[1, 2]]))) == [[1, 2]]


def test_of_fewer_jobs_the_dearest_places_are_given_up() -> None:
    market = a_market([[1, 2]], cards=[1], room=[8, 8], count=[5])
    assert places(market, by_places(market, NO_PRICE, np.array([[3, 4]]))) == [[3, 2]]
    dear = np.array([[0, 0, 9.0, 0], [0, 0, 0, 0]])
    assert places(market, by_places(market, dear, np.array([[3, 4]]))) == [[1, 4]]


def test_a_place_that_is_no_longer_there_is_given_up() -> None:
    market = a_market([[1, 2]] * 2, cards=[1, 2], room=[4, 1], count=[3, 3], allowed=[[True, False], [True, True]])
    placed = by_places(market, NO_PRICE, np.array([[2, 1], [2, 1]])).placed_rp(market)
    assert placed[:, 1].tolist() == [0, 0]
    assert int(placed[0, 0]) + 2 * int(placed[1, 0]) <= 4


def test_of_alike_jobs_in_one_pool_some_may_move_and_all_that_wait() -> None:
    market = a_market([[0, 10], [1, 11]], cards=[1, 1], room=[30, 99], count=[40, 20])
    jobs = in_turn(market, market.open_cost_rp)
    waits = Jobs(np.append(jobs.row_j, [1] * 7), np.append(jobs.pool_j, [2] * 7))
    few = thinned(market, waits, most=9)
    movable = [int((few.pool_j == p).sum()) for p in range(3)]
    assert movable == [2, 4, 7] or movable == [2, 2, 7]
    assert few.placed_rp(market).tolist() == jobs.placed_rp(market).tolist()
