from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets import a_market
from suanli.placement.draft import Draft
from suanli.placement.market import Market
from suanli.placement.packing import pack
from suanli.placement.prices import ascend, priced, proven_bound
from worlds import seeded

DEAR = np.full(9, 1e3)  # what it costs to wait


def least(market: Market) -> int | None:
    """The least cost of running all jobs, by trying every way; None if they do not fit."""
    rows = [r for r, n in enumerate(market.count_r.tolist()) for _ in range(n)]
    found = None
    for choice in product(range(len(market.nodes)), repeat=len(rows)):
        if not all(market.allowed_rp[r, p] for r, p in zip(rows, choice, strict=True)):
            continue
        loads = [
            [market.load(r, q, 1) for r, p in zip(rows, choice, strict=True) if p == q]
            for q in range(len(market.nodes))
        ]
        if any(pack(nodes, load) is None for nodes, load in zip(market.nodes, loads, strict=True)):
            continue
        cost = sum(int(market.cost_rp[r, p]) for r, p in zip(rows, choice, strict=True))
        found = cost if found is None else min(found, cost)
    return found


@st.composite
def markets(draw: st.DrawFn) -> Market:
    rows, pools = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    scale = draw(st.sampled_from([1, 1_000, 10**12]))
    costs = [[scale * draw(st.integers(-9, 30)) + draw(st.integers(0, 2)) for _ in range(pools)] for _ in range(rows)]
    return a_market(
        costs,
        cards=[draw(st.sampled_from([1, 2, 4])) for _ in range(rows)],
        room=[draw(st.integers(0, 8)) for _ in range(pools)],
        count=[draw(st.integers(0, 2)) for _ in range(rows)],
        allowed=[[draw(st.integers(0, 3)) > 0 for _ in range(pools)] for _ in range(rows)],
    )


@seeded(150)
@given(markets(), st.sampled_from([0.0, 0.5, 3.0, 1e6]), st.sampled_from([0.0, 1.0, 1e9]))
def test_the_bound_is_never_above_the_best_plan(market: Market, target: float, start: float) -> None:
    best = least(market)
    if best is not None:
        start_pk = np.full((len(market.nodes), 4), start)
        waiting_r = np.full(len(market.count_r), best * target)
        for proof in (ascend(market, market.count_r, waiting_r, start_pk), ascend(market, market.count_r, waiting_r)):
            assert proof.bound <= best
            assert proven_bound(market, market.count_r, proof.price_pk) <= best


@seeded(80)
@given(markets())
def test_no_job_may_be_worth_more_than_waiting(market: Market) -> None:
    waiting_r = np.full(len(market.count_r), 7.0)
    proof = ascend(market, market.count_r, waiting_r)
    able = market.allowed_rp.any(axis=1)
    assert proof.bound <= 7 * int(market.count_r[able].sum())
    best = least(market)
    assert best is None or proof.bound <= best


def test_without_scarcity_nothing_has_a_price_and_the_bound_is_the_cost() -> None:
    market = a_market([[3, 5], [9, 2]], cards=[1, 1], room=[8, 8], count=[2, 3])
    proof = ascend(market, market.count_r, DEAR[: len(market.count_r)])
    assert proof.bound == 2 * 3 + 3 * 2
    assert not proof.price_pk.any()


def test_a_scarce_pool_has_the_price_that_clears_it() -> None:
    # Two of three equal jobs must go where it costs 10 more: a card of the cheap pool is worth 10.
    market = a_market([[0, 10]], cards=[1], room=[1, 8], count=[3])
    proof = ascend(market, market.count_r, DEAR[: len(market.count_r)])
    assert proof.bound == 20
    assert proof.price_pk[0, 2] == pytest.approx(10.0, rel=1e-3)
    assert priced(market, proof.price_pk)[0].tolist() == pytest.approx([10.0, 10.0], rel=1e-3)


def test_warm_prices_that_are_too_high_come_down() -> None:
    market = a_market([[0, 10]], cards=[1], room=[1, 8], count=[3])
    warm_pk = np.array([[0.0, 0, 10.03, 0], [0.0, 0, 0, 0]])  # few take the cheap pool, so nothing is too full
    proof = ascend(market, market.count_r, DEAR[:1], warm_pk)
    assert proof.bound == 20
    assert proof.price_pk[0, 2] == pytest.approx(10.0, rel=1e-3)


def test_places_that_are_not_allowed_have_no_key() -> None:
    market = a_market([[1, 2]], cards=[1], room=[4, 4], count=[1], allowed=[[False, True]])
    assert priced(market, np.zeros((2, 4))).tolist() == [[np.inf, 2.0]]


def test_nobody_to_place() -> None:
    market = a_market([[1, 2]], cards=[1], room=[4, 0], count=[0])
    assert ascend(market, market.count_r, DEAR[: len(market.count_r)]).bound == 0
    assert Draft(market).cost == 0
