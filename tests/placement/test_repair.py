import numpy as np

from markets import a_market
from suanli.placement.draft import Draft
from suanli.placement.market import Market
from suanli.placement.repair import fill_rest, improve


def plain(market: Market) -> np.typing.NDArray[np.float64]:
    """Keys without prices."""
    return market.open_cost_rp


def in_turn(market: Market) -> Draft:
    draft = Draft(market)
    fill_rest(draft, plain(market))
    return draft


def places(draft: Draft) -> list[list[int]]:
    return [[int(jobs) for jobs in row] for row in draft.placed_rp]


def test_in_turn_the_one_who_has_no_place_is_made_room_for() -> None:
    # The first goes where the second must go, and moves on.
    market = a_market([[1, 2], [1, 1]], cards=[8, 8], room=[8, 8], count=[1, 1], allowed=[[True, True], [True, False]])
    assert places(in_turn(market)) == [[0, 1], [1, 0]]


def test_room_is_made_by_a_chain_of_two() -> None:
    market = a_market(
        [[1, 2, 9], [9, 1, 2], [1, 9, 9]],
        cards=[8, 8, 8],
        room=[8, 8, 8],
        count=[1, 1, 1],
        allowed=[[True, True, False], [False, True, True], [True, False, False]],
    )
    assert places(in_turn(market)) == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_room_is_made_by_moving_several_small_ones() -> None:
    market = a_market([[1, 2], [1, 1]], cards=[2, 8], room=[8, 8], count=[4, 1], allowed=[[True, True], [True, False]])
    assert places(in_turn(market)) == [[0, 4], [1, 0]]


def test_nobody_who_has_a_place_loses_it_to_one_behind() -> None:
    market = a_market([[1], [1]], cards=[1, 8], room=[8], count=[1, 1])
    assert places(in_turn(market)) == [[1], [0]]


def test_the_rest_fills_what_is_left() -> None:
    market = a_market([[1, 5], [1, 5]], cards=[8, 4], room=[8, 8], count=[1, 3])
    draft = Draft(market)
    draft.put(1, 1, 1)
    fill_rest(draft, plain(market))
    assert places(draft) == [[1, 0], [0, 2]]


def test_improving_moves_straight_to_a_cheaper_pool() -> None:
    market = a_market([[1, 5]], cards=[2], room=[3, 8], count=[3])
    draft = Draft(market)
    draft.put(0, 1, 3)
    improve(draft)
    assert places(draft) == [[1, 2]]


def test_improving_sends_another_one_on_where_both_together_gain() -> None:
    market = a_market([[1, 9, 9], [1, 9, 2]], cards=[8, 8], room=[8, 8, 8], count=[1, 1])
    draft = Draft(market)
    draft.put(0, 1, 1)
    draft.put(1, 0, 1)
    improve(draft)
    assert places(draft) == [[1, 0, 0], [0, 0, 1]]


def test_improving_swaps_two() -> None:
    market = a_market([[1, 9], [3, 2]], cards=[8, 8], room=[8, 8], count=[1, 1])
    draft = Draft(market)
    draft.put(0, 1, 1)
    draft.put(1, 0, 1)
    improve(draft)
    assert places(draft) == [[1, 0], [0, 1]]


def test_improving_does_nothing_that_does_not_pay() -> None:
    market = a_market([[1, 3], [1, 4]], cards=[8, 8], room=[8, 8], count=[1, 1])
    draft = Draft(market)
    draft.put(0, 1, 1)
    draft.put(1, 0, 1)
    before = places(draft)
    improve(draft)
    assert places(draft) == before
