from dataclasses import replace

import numpy as np
import pytest

from markets import a_market
from suanli.placement import exact
from suanli.placement.draft import Draft
from suanli.placement.exact import MOST_JOBS, search, value


def test_the_value_counts_who_waits_by_priority_and_then_money() -> None:
    market = a_market([[3], [5]], cards=[1, 1], room=[8], count=[2, 3], priority=[0, 7])
    draft = Draft(market)
    draft.put(0, 0, 2)
    draft.put(1, 0, 1)
    assert value(market, draft) == ((2, 0), 11, (False, False, False, True, True))


def test_two_small_ones_go_before_a_large_one_and_a_higher_priority_before_both() -> None:
    low = a_market([[1], [1]], cards=[8, 4], room=[8], count=[1, 2])
    high = a_market([[1], [1]], cards=[8, 4], room=[8], count=[1, 2], priority=[1, 0])
    for market, placed in ((low, [[0], [2]]), (high, [[1], [0]])):
        found = search(market, Draft(market))
        assert found is not None
        assert found.proven
        assert found.draft.placed_rp.tolist() == placed


def test_a_plan_that_cannot_be_bettered_is_kept_and_proven() -> None:
    market = a_market([[1, 2]], cards=[8], room=[8, 8], count=[2])
    start = Draft(market)
    start.put(0, 0, 1)
    start.put(0, 1, 1)
    found = search(market, start)
    assert found is not None
    assert found.draft is start
    assert found.proven


def test_what_is_gained_on_paper_counts() -> None:
    market = a_market([[5, -5]], cards=[1], room=[8, 1], count=[2])
    found = search(market, Draft(market))
    assert found is not None
    assert found.draft.cost == 0


def test_a_large_batch_is_not_searched() -> None:
    market = a_market([[1]], cards=[1], room=[99], count=[MOST_JOBS + 1])
    assert search(market, Draft(market)) is None


def test_a_search_that_is_cut_short_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    market = a_market([[3, 2, 1]] * 4, cards=[2, 3, 4, 5], room=[5, 5, 5], count=[1, 1, 1, 1])
    monkeypatch.setattr(exact, "MOST_VISITS", 6)
    found = search(market, Draft(market))
    assert found is None or not found.proven


def test_a_packing_that_may_exist_but_was_not_found_proves_nothing() -> None:
    easy = a_market([[1], [1]], cards=[3, 2], room=[6], count=[2, 3], nodes_a_pool=2)
    found = search(easy, Draft(easy))
    assert found is not None
    assert found.proven
    assert found.draft.placed_rp.tolist() == [[2], [3]]
    # Twice 4 + 3 + 2 fills two nodes of 9, but the largest first puts 4 + 4 together.
    hard = a_market([[1], [1], [1]], cards=[4, 3, 2], room=[9], count=[2, 2, 2], nodes_a_pool=2)
    found = search(hard, Draft(hard))
    assert found is not None
    assert not found.proven
    assert found.draft.placed_rp.tolist() == [[2], [2], [1]]


def test_of_equal_plans_the_one_is_taken_in_which_the_older_run() -> None:
    market = a_market([[1, 2], [1, 2]], cards=[8, 8], room=[8, 8], count=[2, 1])
    market = replace(market, queue=np.array([(0, 1), (1, 1), (0, 1)]))
    start = Draft(market)
    start.put(0, 0, 1)
    start.put(0, 1, 1)
    found = search(market, start)
    assert found is not None
    assert found.proven
    assert found.draft.placed_rp.sum(axis=1).tolist() == [1, 1]
