"""Whole plans, every decision of them checked by a checker that shares no code with placement."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import best_plan, idle_room, violations
from full import Fill, a_full_world
from markets import a_market
from suanli.placement import exact
from suanli.placement.effort import Effort
from suanli.placement.market import Market
from suanli.placement.prices import proven_bound
from suanli.placement.snapshot import Plan, Prices
from suanli.placement.solve import MOST_CARRIED_PPM, place, settle, solve
from worlds import Taste, World, a_job, a_random_tenancy, a_random_world, a_site, a_world, seeded, shuffled, tastes

ROUNDINGS = 5  # a job's cost has five lines, each rounded


def wrong(world: World, plan: Plan) -> list[str]:
    return violations(*world.question, plan)


def placed(plan: Plan) -> frozenset[str]:
    return frozenset(uid for uid, decision in plan.decisions.items() if decision.site)


def cost(plan: Plan) -> int:
    return sum(int(d.placement.cost.total) for d in plan.decisions.values() if d.placement.cost)


# --- nothing that a plan says is wrong


@seeded(40)
@given(tastes())
def test_a_plan_without_words_puts_every_job_where_the_plan_does(taste: Taste) -> None:
    world = replace(a_random_world(taste), tenancy=a_random_tenancy(taste))
    plan, settled = world.plan(), settle(*world.question, world.tenancy)
    found = dict[str, tuple[str, str]]()
    assert settled.made is None or settled.gap_ppm == plan.gap_ppm
    for job, p in settled.places():
        assert settled.made is not None
        pool = settled.made.batch.pools[p]
        found[job.uid] = settled.made.batch.sites[pool.site].site.metadata.name, pool.resource.class_
    assert found == {uid: (d.site, d.class_) for uid, d in plan.decisions.items() if d.site is not None}
    assert all(plan.decisions[uid].reason is said.reason for uid, said in settled.decisions.items())


@seeded(120)  # and 400 of test_checker_rules
@given(tastes(jobs=10))
def test_no_decision_breaks_a_rule_and_no_sentence_is_untrue(taste: Taste) -> None:
    world = a_random_world(taste)
    assert wrong(world, world.plan()) == []


@seeded(80)
@given(tastes(jobs=14, fewest=8, plain=True, tight=True))
def test_none_does_where_places_are_scarce(taste: Taste) -> None:
    world = a_random_world(taste)
    assert wrong(world, world.plan()) == []


@seeded(80)
@given(tastes(jobs=20, sites=3, fewest=4, tight=False))
def test_none_does_where_nodes_are_fragmented(taste: Taste) -> None:
    world = a_random_world(taste)
    assert wrong(world, world.plan()) == []


@seeded(40)
@given(tastes(jobs=8, sites=4, fewest=1, huge=True))
def test_none_does_where_numbers_are_enormous(taste: Taste) -> None:
    world = a_random_world(taste)
    assert wrong(world, world.plan()) == []


@seeded(60)
@given(tastes(fewest=2))
def test_prices_of_another_cycle_break_nothing(taste: Taste) -> None:
    world = a_random_world(taste)
    before = replace(world, jobs=world.jobs[1:]).plan().prices
    odd = Prices(dict.fromkeys([*before.by_pool, ("gone", "gpu")], (0.5, 1e-6, 1e9, 3.0)))
    for prices in (before, odd):
        assert wrong(world, place(*world.question, warm=prices)) == []


# --- what the cycle before leaves


@seeded(60)
@given(tastes(fewest=2), st.sampled_from([0, 400, 90_000]), st.booleans())
def test_what_was_said_before_is_said_again_only_where_it_is_still_true(
    taste: Taste, later_ms: int, full: bool
) -> None:
    world = a_random_world(taste)
    before = world.plan().prices
    first = world.sites[0]
    sites = (replace(first, classes={}), *world.sites[1:]) if full else world.sites
    new = replace(world.jobs[-1], uid="new", submitted_ms=world.now_ms)
    now = replace(world, jobs=(*world.jobs[1:], new), sites=sites, now_ms=world.now_ms + later_ms)
    plan = place(*now.question, now.tenancy, warm=before)
    assert plan == place(*now.question, now.tenancy, warm=replace(before, memory=None))
    assert plan == place(*now.question, now.tenancy, warm=before)
    assert wrong(now, plan) == []


def test_an_explanation_is_not_made_twice() -> None:
    world = a_world([a_job("runs", cards=8), a_job("waits", cards=8, submitted_ms=1)], [a_site(), a_site("dear", {})])
    before = world.plan()
    again = place(*world.question, warm=before.prices)
    for uid, site in (("runs", "one"), ("waits", None)):
        assert again.decisions[uid].site == site
        assert again.decisions[uid].placement is before.decisions[uid].placement


def a_large_market(count: list[int]) -> Market:
    """Six sorts of jobs, four pools, nearly full: the cheapest pools run short."""
    costs = [[900 + 37 * row, 1_000, 1_100 + 91 * row, 1_300] for row in range(6)]
    return a_market(costs, cards=[1, 1, 2, 2, 4, 4], room=[16, 16, 16, 16], count=count, nodes_a_pool=24)


def test_a_plan_is_carried_on_where_little_changed_and_stays_proven() -> None:
    first = solve(a_large_market([100] * 6), NO_PRICE, Effort(300))
    market = a_large_market([101, 100, 99, 100, 98, 101])
    held_rp = first.draft.placed_rp
    carried = solve(market, first.price_pk, Effort(300), held_rp=held_rp)
    assert carried.draft.placed_rp.sum(axis=1).tolist() == market.count_r.tolist()
    assert 0 < carried.gap_ppm <= MOST_CARRIED_PPM
    assert np.abs(carried.draft.placed_rp - held_rp).sum() <= 20
    bound = proven_bound(market, market.count_r, first.price_pk)
    assert carried.draft.cost - bound <= carried.gap_ppm * carried.draft.amounts / 1e6


@pytest.mark.parametrize("pool", [0, 3])
def test_where_much_changed_all_is_asked_anew(pool: int) -> None:
    market = a_large_market([100] * 6)
    held_rp = np.zeros((6, 4), dtype=np.int64)
    held_rp[:, pool] = 100
    anew, made = solve(market, NO_PRICE, Effort(300)), solve(market, NO_PRICE, Effort(300), held_rp=held_rp)
    assert made.draft.placed_rp.tolist() == anew.draft.placed_rp.tolist()
    assert (made.gap_ppm, made.price_pk.tolist()) == (anew.gap_ppm, anew.price_pk.tolist())


NO_PRICE = np.zeros((4, 4))


# --- equal questions have equal answers


@seeded(80)
@given(tastes(fewest=2), st.integers(0, 1 << 20))
def test_the_order_of_jobs_sites_regions_and_links_does_not_matter(taste: Taste, order: int) -> None:
    world = a_random_world(taste)
    plan = world.plan()
    assert world.plan() == plan
    assert shuffled(world, order).plan() == plan


def test_equal_jobs_run_by_age_and_the_cheaper_places_go_to_the_older() -> None:
    jobs = [a_job(f"job-{i}", cards=8, submitted_ms=9 - i) for i in range(3)]
    sites = [a_site("cheap", resources=[a_price("1")]), a_site("dear", resources=[a_price("2")])]
    plan = a_world(jobs, sites).plan()
    assert [plan.decisions[f"job-{i}"].site for i in range(3)] == [None, "dear", "cheap"]


def a_price(price: str) -> dict[str, object]:
    return {
        "class": "gpu",
        "type": "Intelligent",
        "resourceName": "example.com/card",
        "unit": "Card",
        "listPrice": price,
    }


@pytest.mark.parametrize("jobs", [0, 3])
@pytest.mark.parametrize("sites", [0, 2])
def test_no_jobs_no_sites(jobs: int, sites: int) -> None:
    world = a_world([a_job(f"job-{i}") for i in range(jobs)], [a_site(f"site-{i}") for i in range(sites)])
    plan = world.plan()
    assert wrong(world, plan) == []
    assert len(placed(plan)) == (jobs if sites else 0)


# --- small batches: nothing better exists


@seeded(50)
@given(tastes(jobs=8, sites=4, fewest=2, one_node=True))
def test_a_small_batch_is_as_good_as_the_best_of_all_plans(taste: Taste) -> None:
    world = a_random_world(taste)
    plan = world.plan()
    best = best_plan(*world.question)
    assert best is not None
    asked = [job for job in world.jobs if plan.decisions[job.uid].placement.rejections or job.uid in placed(plan)]
    waiting = [job.job.spec.priority for job in asked if job.uid not in placed(plan)]
    levels = sorted({job.job.spec.priority for job in asked}, reverse=True)
    assert tuple(waiting.count(level) for level in levels if level in waiting) == tuple(n for n in best.waiting if n)
    assert abs(cost(plan) - best.cost) <= ROUNDINGS * len(asked)
    assert plan.gap_ppm == 0


@seeded(50)
@given(tastes(jobs=8, sites=4, fewest=2, one_node=True))
def test_without_the_search_the_reported_gap_is_never_smaller_than_the_true_one(taste: Taste) -> None:
    world = a_random_world(taste)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "MOST_JOBS", 0)
        plan = world.plan()
    best = best_plan(*world.question, only=placed(plan))
    assert best is not None
    amounts = sum(abs(int(d.placement.cost.total)) for d in plan.decisions.values() if d.placement.cost)
    more = cost(plan) - best.cost - ROUNDINGS * len(placed(plan))
    assert more * 1_000_000 <= plan.gap_ppm * amounts


@seeded(40)
@given(tastes(jobs=20, sites=4, fewest=11, plain=True, tight=True))
def test_nobody_waits_or_pays_more_beside_room(taste: Taste) -> None:
    world = a_random_world(taste)
    assert idle_room(*world.question, world.plan()) == []


# --- when all jobs fit, all are placed


@seeded(24)
@given(
    st.builds(
        Fill,
        jobs=st.sampled_from([20, 40, 60]),
        sites=st.integers(3, 12),
        load=st.sampled_from([0.7, 0.9, 0.95]),
        seed=st.integers(0, 1 << 30),
        scarce=st.booleans(),
    )
)
def test_where_all_fit_all_are_placed(fill: Fill) -> None:
    world = a_full_world(fill)
    plan = world.plan()
    assert [job.uid for job in world.jobs if job.uid not in placed(plan)] == []
    assert wrong(world, plan) == []


@pytest.mark.parametrize("seed", [1, 1227])
def test_a_large_batch_that_fits_is_placed_whole_and_close_to_the_best(seed: int) -> None:
    world = a_full_world(Fill(jobs=250, sites=8, load=0.95, seed=seed))
    plan = world.plan()
    assert len(placed(plan)) == len(world.jobs) > 200
    assert plan.gap_ppm < 20_000
    assert wrong(world, plan) == []


def test_priority_goes_before_number() -> None:
    low = [a_job(f"low-{i}", cards=4) for i in range(2)]
    plan = a_world([*low, a_job("high", cards=8, priority=1)], [a_site()]).plan()
    assert placed(plan) == {"high"}


def test_prices_are_told_of_scarce_pools_only() -> None:
    jobs = [a_job(f"job-{i}", cards=8) for i in range(12)]
    sites = [
        a_site("scarce", {"gpu": [replace(NODE, count=2)]}, resources=[a_price("1")]),
        a_site("ample", {"gpu": [replace(NODE, count=20)]}, resources=[a_price("3")]),
    ]
    prices = a_world(jobs, sites).plan().prices.by_pool
    assert set(prices) == {("scarce", "gpu")}
    assert np.isclose(
        sum(x * y for x, y in zip(prices["scarce", "gpu"], (1_000, 1 << 30, 8, 1), strict=True)), 16e6, rtol=0.1
    )


NODE = a_site().classes["gpu"].free[0]
