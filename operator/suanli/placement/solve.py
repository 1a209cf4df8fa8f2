"""The pipeline: refuse, queue, group, score, filter, solve, explain. Equal input gives an equal plan."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suanli.placement import enclaves, explain, knapsacks, paths, queue
from suanli.placement.accept import refusals
from suanli.placement.accounts import NOBODY, Tenancy
from suanli.placement.batch import Batch, Bools, Floats, Ints, make_batch, queue_order
from suanli.placement.build import Jobs, by_fractions, by_places, in_turn, thinned
from suanli.placement.deferral import defer, may_wait
from suanli.placement.draft import Draft
from suanli.placement.effort import Effort
from suanli.placement.exact import MOST_JOBS, search, value
from suanli.placement.filters import Sieve, sift
from suanli.placement.local import Search
from suanli.placement.market import Market, load_pk, merged
from suanli.placement.prices import Ascent, ascend, priced, proven_bound
from suanli.placement.queue import Quotas
from suanli.placement.repair import fill_rest, improve
from suanli.placement.scores import MOST_MICRO_YUAN, Costs, preference, score
from suanli.placement.snapshot import Country, Decision, Plan, Prices, SiteView, WaitingJob
from suanli.placement.transfer import Traffic

PPM = 1_000_000
RESOURCES = 4
EFFORT_MS = 300
ROUNDS = 4  # times that a plan is made with what nodes have been found to take
FEW_LOST = 1e-3  # of the jobs: so few are found room for one by one
FIRST_EXCHANGES = 0.02  # of the effort, before paths and knapsacks are tried
FIRST_PATHS, KNAPSACKS = 0.06, 0.85  # of what is left, one after the other
FULL = 0.97  # of a pool's capacity: a resource that is wanted so much is what ran short
MOVABLE = 2_000  # jobs that exchanges are looked for, about, where many are alike
MOST_CHANGED = 0.1  # of the jobs may have no place in the plan before that is to be carried on
CARRIED_EFFORT = 0.5  # may be spent on working the changes in
FEW_MOVABLE = 1_000  # jobs that exchanges are looked for when little changed
MOST_CARRIED_PPM = 1_000  # a plan that is carried on is proven to be as close to the best
FEW_JOBS = 500  # up to which single moves on nodes are worth their time


def place(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    tenancy: Tenancy = NOBODY,
    *,
    warm: Prices | None = None,
    effort: Effort | None = None,
    seed: int = 0,
) -> Plan:
    """A decision for every waiting job: the cheapest places that all of them can have together, and why.

    `tenancy` are the accounts of the jobs and what they hold already. `warm` are the prices of the cycle before; `effort`
    bounds the search for exchanges; equal questions, efforts that only count work and equal seeds give equal plans.
    """
    settled = settle(waiting, sites, country, now_ms, tenancy, warm=warm, effort=effort, seed=seed)
    made, prices, queued = settled.made, settled.prices, dict[str, WaitingJob]()
    decisions = dict(settled.decisions)
    if made is not None:
        batch, draft = made.batch, made.solution.draft
        traffic = Traffic(batch, draft.placed_rp)
        explainer = explain.Explainer(batch, made.costs, made.sieve, traffic, warm.memory if warm else None)
        decisions |= _explained(made, explainer)
        prices = replace(prices, memory=explainer.memory)
        queued = {job.uid: job for row in batch.rows for job in row.jobs}
    return _told(Plan(decisions, settled.gap_ppm, prices), waiting, queued, tenancy, settled.quotas)


def settle(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    tenancy: Tenancy = NOBODY,
    *,
    warm: Prices | None = None,
    effort: Effort | None = None,
    seed: int = 0,
) -> "Settled":
    """The plan of `place` without a word of why: for whoever asks a hundred thousand times and reads none."""
    refused = refusals(waiting, sites, country, now_ms)
    decisions: dict[str, Decision] = {uid: explain.refused(said) for uid, said in refused.items()}
    asked = [job for job in waiting if job.uid not in refused] if refused else waiting
    quotas = Quotas(tenancy, (view.site for view in sites))
    agenda = None
    if may_wait(asked, now_ms):
        # Who may not run whatever the hour takes no room from those who may wait.
        able = [job for job in asked if queue.fits_alone(quotas, job)]
        agenda = defer(able, sites, country, now_ms, warm.agenda if warm else None)
    if agenda is not None:
        decisions |= agenda.decisions
        asked = [job for job in asked if job.uid not in decisions]
    if not asked:
        return Settled(decisions, quotas, replace(warm or Prices(), agenda=agenda), None)
    batch = make_batch(asked, sites, country, now_ms)
    judged = _judged(batch)
    if tenancy.accounts.by_name:
        batch = queue.arranged(batch, judged[1].allowed_rp, quotas, tenancy)
        if any(row.jobs[0].denied for row in batch.rows):
            judged = _judged(batch)
    made = _made(batch, judged, _start(batch, warm), effort, seed, _held(batch, warm))
    for rounds in itertools.count():
        placed_rp = made.solution.draft.placed_rp
        repaired = enclaves.repaired(made.batch, made.sieve, made.solution.draft.market.cost_rp, placed_rp, rounds)
        if repaired is None:
            break
        made = _made(repaired, _judged(repaired), made.solution.price_pk, effort, seed)
    return Settled(decisions, quotas, replace(_prices(made.batch, made.solution), agenda=agenda), made)


def _told(
    plan: Plan, waiting: Sequence[WaitingJob], queued: Mapping[str, WaitingJob], tenancy: Tenancy, quotas: Quotas
) -> Plan:
    """The plan with what every decision says of quotas; `queued` are the jobs, by UID, for which they were asked."""
    if not tenancy.accounts.by_name:
        return plan
    said = {
        job.uid: queue.condition(quotas, queued.get(job.uid, job), plan.decisions[job.uid], job.uid in queued)
        for job in waiting
    }
    decisions = {uid: replace(decision, quota=said[uid]) for uid, decision in plan.decisions.items()}
    return replace(plan, decisions=decisions, denied={uid: job.denied for uid, job in queued.items() if job.denied})


@dataclass(frozen=True)
class Solution:
    """A draft that is final, its proven gap, and the prices (P, 4) that prove it."""

    draft: Draft
    gap_ppm: int
    price_pk: Floats


@dataclass(frozen=True)
class Made:
    """A batch with all that was made of it."""

    batch: Batch
    costs: Costs
    sieve: Sieve
    solution: Solution


@dataclass(frozen=True)
class Settled:
    """What a cycle decides.

    `decisions` are of the jobs that never came to the market, `made` is what became of the others; None if there are none.
    """

    decisions: Mapping[str, Decision]
    quotas: Quotas
    prices: Prices
    made: Made | None

    @property
    def gap_ppm(self) -> int:
        """As a plan proves it."""
        return self.made.solution.gap_ppm if self.made is not None else 0

    def places(self) -> Iterator[tuple[WaitingJob, int]]:
        """Every job that has a place, and its pool in the batch."""
        if self.made is not None:
            for _, p, jobs in _runs(self.made):
                yield from ((job, p) for job in jobs)


Judged = tuple[Costs, Sieve]


def _judged(batch: Batch) -> Judged:
    costs = score(batch)
    return costs, sift(batch, costs)


def _made(
    batch: Batch, judged: Judged, start_pk: Floats, effort: Effort | None, seed: int, held_rp: Ints | None = None
) -> Made:
    solution = solve(market_of(batch, *judged), start_pk, effort or Effort(EFFORT_MS), seed, held_rp)
    return Made(batch, *judged, solution)


def market_of(batch: Batch, costs: Costs, sieve: Sieve) -> Market:
    """The batch in bare numbers."""
    rank_r = enclaves.rank_r(batch)
    count_r = np.array([len(row.jobs) for row in batch.rows], dtype=np.int64)
    return Market(
        cost_rp=costs.total_rp.astype(np.int64),
        allowed_rp=sieve.allowed_rp & enclaves.admits_rp(batch),
        wish_rp=preference(batch),
        count_r=count_r,
        tasks_r=batch.tasks_r,
        priority_r=rank_r,
        need_rpk=batch.need_rk[:, None, :],
        nodes=tuple(pool.room.free_nodes for pool in batch.pools),
        queue=merged(batch.line_j[np.argsort(-rank_r[batch.line_j], kind="stable")]),
    )


def solve(market: Market, start_pk: Floats, effort: Effort, seed: int = 0, held_rp: Ints | None = None) -> Solution:
    """The best plan found: as many jobs as can run, who is ahead in the queue first, and these as cheaply as possible.

    Shapes: `start_pk` (P, 4), prices that were good before; `held_rp` (R, P), how many jobs of each row were where then.
    """
    cheapest = _at_cheapest(market)
    if cheapest is not None:
        return Solution(cheapest, 0, np.zeros((len(market.nodes), RESOURCES)))
    waiting_r = _waiting_cost(market)
    if held_rp is not None and int(market.count_r.sum()) > FEW_JOBS:
        carried = _carried(market, start_pk, held_rp, waiting_r, effort.part(CARRIED_EFFORT))
        if carried is not None:
            return carried
    guide = ascend(market, market.count_r, waiting_r, start_pk)
    key_rp = priced(market, guide.price_pk)
    sums_do = effort.affords(paths.WORK) and all(sum(count for count, _ in nodes) <= 1 for nodes in market.nodes)
    draft, least = _drafted(market, guide, waiting_r, effort, seed)
    if int(market.count_r.sum()) <= FEW_JOBS and not (sums_do and _all_placed(market, draft)):
        improve(draft)
        if not _all_placed(market, draft):
            fill_rest(draft, key_rp)  # what moved to cheaper pools has left room
    found = search(market, draft)
    if found is not None:
        draft = found.draft
    if found is not None and found.proven:
        return Solution(draft, 0, guide.price_pk)
    placed_r = draft.placed_rp.sum(axis=1)
    bound = max(proven_bound(market, placed_r, guide.price_pk), _least_cost(market, placed_r))
    if _all_placed(market, draft):
        return Solution(draft, gap_ppm(draft, max(bound, least)), guide.price_pk)
    proof = ascend(market, placed_r, waiting_r, guide.price_pk)
    bound = max(bound, proven_bound(market, placed_r, proof.price_pk))
    return Solution(draft, gap_ppm(draft, bound), proof.price_pk)


def _at_cheapest(market: Market) -> Draft | None:
    """Every job where it is cheapest, if they all fit there: nothing is better."""
    rows = np.flatnonzero(market.able_r & (market.count_r > 0))
    best_r = np.lexsort((market.wish_rp[rows], market.open_cost_rp[rows]), axis=1)[:, 0] if len(rows) else rows
    wanted_rp = np.zeros(market.cost_rp.shape, dtype=np.int64)
    wanted_rp[rows, best_r] = market.count_r[rows]
    load_pk = np.zeros(market.capacity_pk.shape)
    np.add.at(load_pk, best_r, market.demand(rows, best_r) * market.count_r[rows, None])
    if (load_pk > market.capacity_pk).any():
        return None
    draft = Draft.of(market, wanted_rp)
    return draft if _all_placed(market, draft) else None


def _carried(market: Market, price_pk: Floats, held_rp: Ints, waiting_r: Floats, effort: Effort) -> Solution | None:
    """The plan before with what changed worked in, where that is little and the result proves to be good by the prices of then.

    None if many jobs have no place in it, one finds none, or it is not close to the bound: then all has to be asked anew.
    """
    start = by_places(market, price_pk, held_rp)
    if int((start.pool_j == len(market.nodes)).sum()) > MOST_CHANGED * len(start.pool_j):
        return None
    key_rp, bound = priced(market, price_pk), proven_bound(market, market.count_r, price_pk)
    search_ = Search(market, thinned(market, start, FEW_MOVABLE), key_rp, waiting_r)
    search_.descend(effort, bound + abs(bound) * effort.tolerance)
    draft = Draft.of(market, search_.jobs.placed_rp(market))
    if not _all_placed(market, draft):
        fill_rest(draft, key_rp)
    gap = gap_ppm(draft, max(bound, _least_cost(market, market.count_r)))
    return Solution(draft, gap, price_pk) if _all_placed(market, draft) and gap <= MOST_CARRIED_PPM else None


def _drafted(market: Market, guide: Ascent, waiting_r: Floats, effort: Effort, seed: int) -> tuple[Draft, int]:
    """Built from the fractions, and again with less in the pools whose nodes took less than their sums promised.

    If some find no place, in the order of the queue as well, and the better of both. And what every plan that places all
    costs at least.
    """
    usable, prices, drafts, least = market, guide, list[tuple[Draft, Floats]](), guide.bound
    while True:
        key_rp = priced(usable, prices.price_pk)
        start = by_fractions(usable, prices)
        wanted_rp, bound = _bettered(usable, start, key_rp, waiting_r, prices.bound, effort, seed)
        least = bound if usable is market else least  # with less room plans cost more
        draft = Draft.of(market, wanted_rp)
        drafts.append((draft, key_rp))
        usable_pk = _usable(usable.capacity_pk, draft, wanted_rp)
        if usable_pk is None or len(drafts) == ROUNDS:
            break
        usable = replace(market, usable_pk=usable_pk)
        prices = ascend(usable, market.count_r, waiting_r, prices.price_pk)
    draft, key_rp = drafts[0] if len(drafts) == 1 else min(drafts, key=lambda made: value(market, made[0]))
    if not _all_placed(market, draft):
        fill_rest(draft, key_rp)
    if _all_placed(market, draft):
        return draft, least
    key_rp = priced(market, guide.price_pk)
    wanted_rp, _ = _bettered(market, in_turn(market, key_rp), key_rp, waiting_r, guide.bound, effort, seed)
    other = Draft.of(market, wanted_rp)
    fill_rest(other, key_rp)
    return min(draft, other, key=lambda draft: value(market, draft)), least


def _bettered(
    market: Market, start: Jobs, key_rp: Floats, waiting_r: Floats, bound: int, effort: Effort, seed: int
) -> tuple[Ints, int]:
    """The start bettered by sums as long as effort is left, and what every plan that places all costs at least. Shape (R, P)."""
    search_ = Search(market, thinned(market, start, MOVABLE), key_rp, waiting_r)
    if len(start.row_j) > MOST_JOBS:  # fewer are searched whole
        rng = np.random.default_rng(seed)
        search_.better(bound, effort.part(FIRST_EXCHANGES), rng)
        if bound < search_.cost and paths.is_for(market, search_.jobs, effort):
            along = paths.PathSearch(market, search_.jobs, key_rp, waiting_r)
            along.better(bound, effort.part(FIRST_PATHS), rng)
            if bound < along.cost and knapsacks.is_for(market, search_.jobs, effort):
                search_.restore(along.pool_j)
                exact = knapsacks.KnapsackSearch(market, search_.jobs, key_rp, waiting_r, bound)
                part = effort.part(KNAPSACKS)
                exact.better(part, lambda pool_bj, left: along.polish(pool_bj, left, rng), rng, along.copies)
                bound = exact.bound
                along.restore(exact.pool_j)
            if along.places_all:
                along.better(bound, effort, rng)
            search_.restore(along.pool_j)
        search_.better(bound, effort, rng)
    return search_.jobs.placed_rp(market), bound


def _usable(capacity_pk: Floats, draft: Draft, wanted_rp: Ints) -> Floats | None:
    """Capacities with what was taken, where nodes had no room for jobs that the sums had room for; None if these were few."""
    short_p: Bools = np.any(wanted_rp > draft.placed_rp, axis=0)
    if int((wanted_rp - draft.placed_rp).sum()) <= FEW_LOST * int(wanted_rp.sum()):
        return None
    wanted_pk = load_pk(wanted_rp, draft.market.demand_rpk)
    taken_pk = load_pk(draft.placed_rp, draft.market.demand_rpk)
    full_pk = short_p[:, None] & (wanted_pk >= FULL * capacity_pk)
    return np.where(full_pk, np.minimum(capacity_pk, taken_pk), capacity_pk)


def gap_ppm(draft: Draft, bound: int) -> int:
    """How much less the placed jobs could cost at most, as millionths of what the plan moves: the sum of its costs' amounts.

    The amounts, because policy weights may bring a plan's cost near zero or below it. Rounded up: it is proven.
    """
    return max(0, -((bound - draft.cost) * PPM // draft.amounts)) if draft.amounts else 0


def _all_placed(market: Market, draft: Draft) -> bool:
    """Whether every job that some pool takes has a place."""
    return bool((draft.placed_rp.sum(axis=1) == market.count_r)[market.able_r].all())


def _least_cost(market: Market, count_r: np.typing.NDArray[np.int64]) -> int:
    """What the jobs cost if each had its cheapest pool: nothing is cheaper."""
    able = np.flatnonzero(market.allowed_rp.any(axis=1) & (count_r > 0))
    least = np.where(market.allowed_rp[able], market.cost_rp[able], np.iinfo(np.int64).max).min(axis=1, initial=2**62)
    return sum(int(n) * int(c) for n, c in zip(count_r[able], least, strict=True))


def _waiting_cost(market: Market) -> Floats:
    """What it is worth to run a job, so that prices do not climb for ever where not all fit: above its dearest place, higher with priority."""
    dearest = np.where(market.allowed_rp, market.cost_rp, np.iinfo(np.int64).min).max(axis=1, initial=-(2**62))
    least = np.where(market.allowed_rp, market.cost_rp, np.iinfo(np.int64).max).min(axis=1, initial=2**62)
    able = market.allowed_rp.any(axis=1)
    spread = float((dearest - least)[able].max(initial=1))
    rank = np.unique(market.priority_r, return_inverse=True)[1].reshape(-1)
    return np.asarray(dearest + (spread + 1.0) * (2.0 + rank))


def _runs(made: Made) -> Iterator[tuple[int, int, Sequence[WaitingJob]]]:
    """Row, pool, and the jobs of the row that run there: of equal jobs the older ones run, the cheaper places first."""
    draft, taken = made.solution.draft, [0] * len(made.batch.rows)
    rows, pools = np.nonzero(draft.placed_rp)
    order = np.lexsort((pools, draft.market.cost_rp[rows, pools], rows))
    rows, pools = rows[order], pools[order]
    counts = draft.placed_rp[rows, pools].tolist()
    for r, p, jobs in zip(rows.tolist(), pools.tolist(), counts, strict=True):
        yield r, p, made.batch.rows[r].jobs[taken[r] : taken[r] + jobs]
        taken[r] += jobs


def _explained(made: Made, explainer: explain.Explainer) -> dict[str, Decision]:
    """A decision for every job of the batch."""
    runs, decisions, taken = list(_runs(made)), dict[str, Decision](), [0] * len(made.batch.rows)
    rows, pools = (np.array([run[i] for run in runs], dtype=np.int64) for i in range(2))
    for (r, _, jobs), decision in zip(runs, explainer.placed(rows, pools), strict=True):
        decisions.update(dict.fromkeys([job.uid for job in jobs], decision))
        taken[r] += len(jobs)
    left = [(queue_order(job), r, job.uid) for r, row in enumerate(made.batch.rows) for job in row.jobs[taken[r] :]]
    ahead = 0
    for _, r, uid in sorted(left):
        decisions[uid] = explainer.waiting(r, ahead)
        ahead += decisions[uid].queue is not None  # who can never be placed is in nobody's way
    return decisions


def _start(batch: Batch, warm: Prices | None) -> Floats:
    none = (0.0,) * RESOURCES
    if warm is None or not warm.by_pool:
        return np.zeros((len(batch.pools), RESOURCES))
    known = warm.by_pool
    prices = [known.get((batch.sites[p.site].site.metadata.name, p.resource.class_), none) for p in batch.pools]
    start_pk = np.array(prices, dtype=float).reshape(len(batch.pools), RESOURCES)
    return np.asarray(np.nan_to_num(start_pk, posinf=0.0, neginf=0.0).clip(0.0, MOST_MICRO_YUAN))


def _held(batch: Batch, warm: Prices | None) -> Ints | None:
    """How many jobs of each row were where in the plan before. Shape (R, P)."""
    if warm is None or not warm.places:
        return None
    pool = {(batch.sites[p.site].site.metadata.name, p.resource.class_): i for i, p in enumerate(batch.pools)}
    held_rp = np.zeros((len(batch.rows), len(batch.pools)), dtype=np.int64)
    for r, row in enumerate(batch.rows):
        for place, jobs in warm.places.get((row.account, row.spec.question), {}).items():
            if place in pool:
                held_rp[r, pool[place]] = jobs
    return held_rp


def _prices(batch: Batch, solution: Solution) -> Prices:
    """What the next cycle may start from."""
    name = [(batch.sites[pool.site].site.metadata.name, pool.resource.class_) for pool in batch.pools]
    found = {
        place: (cpu, memory, cards, pods)
        for place, (cpu, memory, cards, pods) in zip(name, solution.price_pk.tolist(), strict=True)
        if cpu or memory or cards or pods
    }
    places: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
    rows, pools = np.nonzero(solution.draft.placed_rp)
    for r, p, jobs in zip(rows.tolist(), pools.tolist(), solution.draft.placed_rp[rows, pools].tolist(), strict=True):
        row = batch.rows[r]
        there = places.setdefault((row.account, row.spec.question), {})
        there[name[p]] = there.get(name[p], 0) + jobs
    return Prices(found, places)
