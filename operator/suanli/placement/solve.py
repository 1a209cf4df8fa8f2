"""The pipeline: refuse, group, score, filter, solve, explain. Equal input gives an equal plan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suanli.placement import explain
from suanli.placement.accept import refusals
from suanli.placement.batch import Batch, Floats, make_batch, queue_order
from suanli.placement.build import fill, fill_in_turn, fill_rest, improve
from suanli.placement.deferral import defer
from suanli.placement.draft import Draft
from suanli.placement.exact import search, value
from suanli.placement.filters import Sieve, sift
from suanli.placement.market import Market, merged
from suanli.placement.packing import nodes_of
from suanli.placement.prices import ascend
from suanli.placement.scores import Costs, score
from suanli.placement.snapshot import Country, Decision, Plan, Prices, SiteView, WaitingJob

PPM = 1_000_000
RESOURCES = 4


def place(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    *,
    warm: Prices | None = None,
) -> Plan:
    """A decision for every waiting job: the cheapest places that all of them can have together, and why."""
    refused = refusals(waiting, sites, country, now_ms)
    decisions: dict[str, Decision] = {uid: explain.refused(said) for uid, said in refused.items()}
    asked = [job for job in waiting if job.uid not in refused]
    decisions |= defer(asked, sites, country, now_ms)
    asked = [job for job in asked if job.uid not in decisions]
    if not asked:
        return Plan(decisions, prices=warm or Prices())
    batch = make_batch(asked, sites, country, now_ms)
    costs = score(batch)
    sieve = sift(batch, costs)
    market = market_of(batch, costs, sieve)
    solution = solve(market, _start(batch, warm))
    return Plan(
        decisions | _explained(batch, explain.Explainer(batch, costs, sieve), solution.draft),
        solution.gap_ppm,
        _prices(batch, solution.price_pk),
    )


@dataclass(frozen=True)
class Solution:
    """A draft that is final, its proven gap, and the prices (P, 4) that prove it."""

    draft: Draft
    gap_ppm: int
    price_pk: Floats


def market_of(batch: Batch, costs: Costs, sieve: Sieve) -> Market:
    """The batch in bare numbers."""
    order = sorted((queue_order(job), r) for r, row in enumerate(batch.rows) for job in row.jobs)
    return Market(
        cost_rp=costs.total_rp.astype(np.int64),
        allowed_rp=sieve.allowed_rp,
        wish_rp=batch.wish_rp,
        count_r=np.array([len(row.jobs) for row in batch.rows], dtype=np.int64),
        tasks_r=batch.tasks_r,
        priority_r=batch.priority_r,
        shapes=tuple((int(c), int(m), int(k), int(o)) for c, m, k, o in batch.need_rk),
        nodes=tuple(nodes_of(pool.room.free) for pool in batch.pools),
        queue=merged([r for _, r in order]),
    )


def solve(market: Market, start_pk: Floats) -> Solution:
    """The best plan found: as many jobs as can run, higher priority first, and these as cheaply as possible."""
    plain = np.where(market.allowed_rp, market.cost_rp.astype(float), np.inf)
    cheapest = fill(market, plain)
    least = _least_cost(market, market.count_r)
    if _all_placed(market, cheapest) and cheapest.cost == least:
        return Solution(cheapest, 0, np.zeros((len(market.nodes), RESOURCES)))
    guide = ascend(market, market.count_r, _worst_cost(market), start_pk, _waiting_cost(market))
    draft = _best(market, [cheapest, fill(market, guide.key_rp)])
    if not _all_placed(market, draft):
        draft = _best(market, [draft, fill_in_turn(market, guide.key_rp)])
    improve(draft)
    if not _all_placed(market, draft):
        fill_rest(draft, guide.key_rp)  # what moved to cheaper pools has left room
    found = search(market, draft)
    if found is not None:
        draft = found.draft
    if found is not None and found.proven:
        return Solution(draft, 0, guide.price_pk)
    placed_r = draft.placed_rp.sum(axis=1)
    proof = ascend(market, placed_r, float(draft.cost), guide.price_pk)
    bound = max(proof.bound, _least_cost(market, placed_r))
    return Solution(draft, gap_ppm(draft, bound), proof.price_pk)


def gap_ppm(draft: Draft, bound: int) -> int:
    """How much less the placed jobs could cost at most, as millionths of what the plan moves: the sum of its costs' amounts.

    The amounts, because policy weights may bring a plan's cost near zero or below it. Rounded up: it is proven.
    """
    return max(0, -((bound - draft.cost) * PPM // draft.amounts)) if draft.amounts else 0


def _best(market: Market, drafts: list[Draft]) -> Draft:
    return min(drafts, key=lambda draft: value(market, draft))


def _all_placed(market: Market, draft: Draft) -> bool:
    """Whether every job that some pool takes has a place."""
    able_r = market.allowed_rp.any(axis=1)
    return bool((draft.placed_rp.sum(axis=1) == market.count_r)[able_r].all())


def _least_cost(market: Market, count_r: np.typing.NDArray[np.int64]) -> int:
    """What the jobs cost if each had its cheapest pool: nothing is cheaper."""
    able = np.flatnonzero(market.allowed_rp.any(axis=1) & (count_r > 0))
    least = np.where(market.allowed_rp[able], market.cost_rp[able], np.iinfo(np.int64).max).min(axis=1, initial=2**62)
    return sum(int(n) * int(c) for n, c in zip(count_r[able], least, strict=True))


def _worst_cost(market: Market) -> float:
    """More than any plan costs, jobs that wait included."""
    return float((market.count_r * _waiting_cost(market))[market.allowed_rp.any(axis=1)].sum())


def _waiting_cost(market: Market) -> Floats:
    """What it is worth to run a job, so that prices do not climb for ever where not all fit: above its dearest place, higher with priority."""
    dearest = np.where(market.allowed_rp, market.cost_rp, np.iinfo(np.int64).min).max(axis=1, initial=-(2**62))
    least = np.where(market.allowed_rp, market.cost_rp, np.iinfo(np.int64).max).min(axis=1, initial=2**62)
    able = market.allowed_rp.any(axis=1)
    spread = float((dearest - least)[able].max(initial=1))
    rank = np.unique(market.priority_r, return_inverse=True)[1].reshape(-1)
    return np.asarray(dearest + (spread + 1.0) * (2.0 + rank))


def _explained(batch: Batch, explainer: explain.Explainer, draft: Draft) -> dict[str, Decision]:
    """Of equal jobs the older ones run, the cheaper places first; the others wait."""
    decisions, left = {}, []
    for r, row in enumerate(batch.rows):
        places = sorted((int(draft.market.cost_rp[r, p]), p) for p in np.flatnonzero(draft.placed_rp[r]).tolist())
        pools = [p for _, p in places for _ in range(int(draft.placed_rp[r, p]))]
        for job, p in zip(row.jobs, pools, strict=False):
            decisions[job.uid] = explainer.placed(r, p)
        left += [(queue_order(job), r, job.uid) for job in row.jobs[len(pools) :]]
    ahead = 0
    for _, r, uid in sorted(left):
        decisions[uid] = explainer.waiting(r, ahead)
        ahead += decisions[uid].queue is not None  # who can never be placed is in nobody's way
    return decisions


def _start(batch: Batch, warm: Prices | None) -> Floats:
    none = (0.0,) * RESOURCES
    known = warm.by_pool if warm else {}
    prices = [known.get((batch.sites[p.site].site.metadata.name, p.resource.class_), none) for p in batch.pools]
    return np.array(prices, dtype=float).reshape(len(batch.pools), RESOURCES)


def _prices(batch: Batch, price_pk: Floats) -> Prices:
    found = {}
    for pool, (cpu, memory, cards, pods) in zip(batch.pools, price_pk.tolist(), strict=True):
        if cpu or memory or cards or pods:
            found[batch.sites[pool.site].site.metadata.name, pool.resource.class_] = (cpu, memory, cards, pods)
    return Prices(found)
