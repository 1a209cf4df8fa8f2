"""Why a site cannot take a job: one pure function a row of FILTERS, in the order in which a site falls.

What waiting does not mend comes first, so that a site is never said to be busy when it is too far anyway.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from suanli.api.site import ComputeUnit
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import bytes_text, decimal_text, duration_text, milli_text
from suanli.placement.batch import MOST, Batch, Bools, Floats, Ints
from suanli.placement.network import NOWHERE
from suanli.placement.packing import Node
from suanli.placement.rules import green_sites
from suanli.placement.scores import Costs
from suanli.placement.transfer import least_ms_rs

# A bill this near to a limit is reckoned to the micro-yuan: a limit may be the very amount that was told.
NEAR_MICRO_YUAN = 1_000
NEAR_SHARE = 1e-6


@dataclass(frozen=True)
class Verdicts:
    """What one filter says.

    Shapes: `allowed` (R, S), or (R, P) with `by_pool`: then a site falls when its last pool does. `why` gives the numbers
    for one row and one site (or pool) that is not allowed.
    """

    reason: Reason
    allowed: Bools
    why: Callable[[int, int], str]
    by_pool: bool = False


Filter = Callable[[Batch, Costs], Verdicts]


def allowed_account(b: Batch, costs: Costs) -> Verdicts:
    """Sites that are open to all, or to the job's account. Shape (R, S)."""
    accounts = [row.account for row in b.rows]
    allowed_rs = np.ones((len(b.rows), len(b.sites)), dtype=bool)
    for s, names in b.ground.closed.items():
        allowed_rs[:, s] = [account in names for account in accounts]

    def why(r: int, s: int) -> str:
        return f"is for other accounts than {accounts[r]}"

    return Verdicts(Reason.ACCOUNT_NOT_ALLOWED, allowed_rs, why)


def latency_bound(b: Batch, costs: Costs) -> Verdicts:
    """Sites within the job's one-way latency bound.

    Shapes: one_way_us_us (U, S), latency_bound_us_r (R,) -> (R, S).
    Source: 发改数据〔2023〕1779号: 1 ms city, 5 ms region, 20 ms between hubs; read as one-way.
    """
    one_way_us_rs = b.one_way_us_us[b.origin_r]

    def why(r: int, s: int) -> str:
        path = b.paths_us[int(b.origin_r[r])][s]
        if path is NOWHERE:
            return _nowhere(b, s)
        source = "" if path.measured else " by distance"
        far, bound = duration_text(int(one_way_us_rs[r, s])), duration_text(int(b.latency_bound_us_r[r]))
        return f"is {far} from {b.rows[r].spec.origin}{source}, the bound is {bound}"

    return Verdicts(Reason.LATENCY_BOUND_EXCEEDED, one_way_us_rs <= b.latency_bound_us_r[:, None], why)


def residency(b: Batch, costs: Costs) -> Verdicts:
    """Sites where the job's data may go: by region, by site, by data domain. Shape (R, S)."""
    regions, names, domains = b.ground.region_s, b.ground.name_s, b.ground.domains_s
    allowed_rs = np.ones((len(b.rows), len(b.sites)), dtype=bool)
    for r, spec in enumerate(b.specs):
        data = spec.data
        if data is None:
            continue
        if data.allowed_regions:
            allowed_rs[r] &= np.isin(regions, data.allowed_regions)
        if data.allowed_sites:
            allowed_rs[r] &= np.isin(names, data.allowed_sites)
        if data.domain:
            allowed_rs[r] &= [data.domain in d for d in domains]

    def why(r: int, s: int) -> str:
        data = b.rows[r].spec.data
        assert data is not None, "a job without data is allowed everywhere"
        if data.allowed_regions and regions[s] not in data.allowed_regions:
            return f"stands in {regions[s]}, data.allowedRegions are {_list(data.allowed_regions)}"
        if data.allowed_sites and names[s] not in data.allowed_sites:
            return f"is not in data.allowedSites {_list(data.allowed_sites)}"
        return f"is not of data domain {data.domain}"

    return Verdicts(Reason.RESIDENCY_FORBIDS, allowed_rs, why)


def policy_rules(b: Batch, costs: Costs) -> Verdicts:
    """Pools that no Require rule of the policy forbids. Shape (R, P)."""
    rule_op = np.array([b.ground.stance(sort).forbids_p for sort in b.sorts], dtype=np.int64)
    rule_rp = rule_op.reshape(len(b.sorts), len(b.pools))[b.sort_r]
    rules = b.country.policy.spec.placement_rules if b.country.policy else []

    def why(r: int, p: int) -> str:
        rule = rules[int(rule_rp[r, p])]
        region = b.sites[b.pools[p].site].site.spec.region
        wanted = [*rule.sides, *rule.hubs, *(f"{k}={v}" for k, v in _labels(rule.site_selector))]
        hub = b.country.hub_by_region.get(region)
        place = f"{hub.side}, {hub.name}" if hub else "outside the hubs"
        short = _short_of_green(b, r, p) if rule.sides and hub is None else ""
        return f"is {place}{short}; rule {rule.name} requires {_list(wanted)}"

    return Verdicts(Reason.POLICY_FORBIDS, rule_rp < 0, why, by_pool=True)


def _short_of_green(b: Batch, r: int, p: int) -> str:
    """What a site outside the hubs lacks to count as one of the West, where it could for this job."""
    green = green_sites(b.country)
    if green is None or not b.green_r[r]:
        return ""
    energy = b.sites[b.pools[p].site].site.spec.energy
    return (
        f" with green share {energy.green_share} and PUE {energy.pue}"
        f" (greenSites: at least {green.min_green_share}, at most {green.max_pue})"
    )


def offered_class(b: Batch, costs: Costs) -> Verdicts:
    """Pools of a class that the job accepts, counted in what it asks for: cards or cores. Shape (R, P)."""
    wished_rp = b.wished_rp
    asks_cards_r = b.need_rk[:, 2] > 0

    def why(r: int, p: int) -> str:
        resource = b.pools[p].resource
        if wished_rp[r, p]:
            asked = f"{_many(int(b.need_rk[r, 2]), 'card')} a task" if asks_cards_r[r] else "no cards"
            return f"counts {resource.class_} in {resource.unit.lower()}s, the job asks for {asked}"
        offered = [pool.resource.class_ for pool in b.pools if pool.site == b.pools[p].site]
        return f"offers {_list(offered)}, not {_list(b.rows[r].spec.resources.class_)}"

    allowed_rp = wished_rp & (asks_cards_r[:, None] == b.is_card_p[None, :])
    return Verdicts(Reason.CLASS_NOT_OFFERED, allowed_rp, why, by_pool=True)


def cost_limit(b: Batch, costs: Costs) -> Verdicts:
    """Pools where the expected run costs no more than the job allows, in what is paid, or will be billed. Shape (R, P)."""
    paid_rp = _exact_at_limits(b, costs)

    def why(r: int, p: int) -> str:
        cost, most = int(paid_rp[r, p]), int(b.max_cost_r[r])
        to_the_fen = yuan_text(cost), yuan_text(most)
        cost_text, most_text = to_the_fen if len(set(to_the_fen)) == 2 else (decimal_text(cost), decimal_text(most))
        tariff = b.tariff(r, p)
        by = f" by Tariff {tariff}" if tariff else ""
        return f"would cost {cost_text} CNY{by}, limits.maxCost is {most_text} CNY"

    return Verdicts(Reason.COST_LIMIT_EXCEEDED, paid_rp <= b.max_cost_r[:, None], why, by_pool=True)


def _exact_at_limits(b: Batch, costs: Costs) -> Floats:
    """What is paid; where rounding may decide, what the bill will be to the micro-yuan. Shape (R, P)."""
    if b.billed is None:
        return costs.paid_rp
    paid_rp, most_r1 = costs.paid_rp.copy(), b.max_cost_r[:, None]
    is_near = b.billed.is_rp & (np.abs(paid_rp - most_r1) <= NEAR_MICRO_YUAN + NEAR_SHARE * np.abs(paid_rp))
    for r, p in zip(*(at.tolist() for at in np.nonzero(is_near)), strict=True):
        exact = b.bill(r, p, b.now_ms)
        paid_rp[r, p] = paid_rp[r, p] if exact is None else exact
    return paid_rp


def deadline(b: Batch, costs: Costs) -> Verdicts:
    """Pools where the expected run ends in time, begun now, at the earliest once the inputs have come over links of their own.

    Shape (R, P).
    """
    moving_rp = least_ms_rs(b)[:, b.site_p]
    late_ms_rp = b.now_ms + b.duration_ms_rp - b.deadline_ms_r[:, None] + moving_rp

    def why(r: int, p: int) -> str:
        lasts, late = (duration_text(int(ms[r, p]) * 1_000) for ms in (b.duration_ms_rp, late_ms_rp))
        moving = f" and {duration_text(int(moving_rp[r, p]) * 1_000)} of moving inputs" if moving_rp[r, p] else ""
        return f"would end {lasts}{moving} after now, {late} after timing.deadline {b.rows[r].spec.timing.deadline}"

    return Verdicts(Reason.DEADLINE_UNREACHABLE, late_ms_rp <= 0, why, by_pool=True)


def node_size(b: Batch, costs: Costs) -> Verdicts:
    """Pools with a node that takes one task when it is empty; a pool whose nodes are not known yet is not judged. Shape (R, P)."""
    slots_rp = b.empty_slots_rp
    known_p = np.array([b.sites[pool.site].ready for pool in b.pools], dtype=bool)

    def why(r: int, p: int) -> str:
        resource = b.pools[p].resource
        nodes = [node for _, node in b.pools[p].room.empty_nodes]
        if not nodes:
            return f"has no node of {resource.class_}"
        return f"has no node of {resource.class_} for a task of {_task(b, r)}; the largest has {_largest(nodes, resource.unit)}"

    return Verdicts(Reason.TASK_FITS_NO_NODE, (slots_rp > 0) | ~known_p[None, :], why, by_pool=True)


def site_size(b: Batch, costs: Costs) -> Verdicts:
    """Pools that take the whole gang when they are empty. Shape (R, P)."""
    slots_rp = b.empty_slots_rp
    known_p = np.array([b.sites[pool.site].ready for pool in b.pools], dtype=bool)

    def why(r: int, p: int) -> str:
        class_ = b.pools[p].resource.class_
        fits = _many(int(slots_rp[r, p]), "task")
        return f"holds {fits} of {_task(b, r)} on {class_} when empty, the job has {b.tasks_r[r]}"

    allowed_rp = (slots_rp >= b.tasks_r[:, None]) | ~known_p[None, :]
    return Verdicts(Reason.INSUFFICIENT_CAPACITY, allowed_rp, why, by_pool=True)


def active_site(b: Batch, costs: Costs) -> Verdicts:
    """Sites that take new work. Shape (R, S)."""

    def why(r: int, s: int) -> str:
        return f"has spec.desiredState {b.sites[s].site.spec.desired_state}, not Active"

    return Verdicts(Reason.SITE_INACTIVE, _all_rows(b, b.ground.active_s), why)


def ready_site(b: Batch, costs: Costs) -> Verdicts:
    """Sites that are ready and stand somewhere."""
    allowed_s = np.array([view.ready for view in b.sites], dtype=bool) & b.ground.stands_s

    def why(r: int, s: int) -> str:
        return _nowhere(b, s) if b.sites[s].ready else b.sites[s].not_ready or "is not ready"

    return Verdicts(Reason.SITE_NOT_READY, _all_rows(b, allowed_s), why)


def backoff(b: Batch, costs: Costs) -> Verdicts:
    """Sites where no attempt of this job ended badly a moment ago. Shape (R, S)."""
    column = {view.site.metadata.name: s for s, view in enumerate(b.sites)}
    allowed_rs = np.ones((len(b.rows), len(b.sites)), dtype=bool)
    for r, row in enumerate(b.rows):
        ended = row.jobs[0].backoff
        if ended:
            allowed_rs[r, [column[name] for name in ended if name in column]] = False
    return Verdicts(
        Reason.SITE_BACKOFF, allowed_rs, lambda r, s: b.rows[r].jobs[0].backoff[b.sites[s].site.metadata.name]
    )


def quota(b: Batch, costs: Costs) -> Verdicts:
    """Pools of classes of which the job's account may hold as much as it asks for, as `queue.py` found. Shape (R, P)."""
    allowed_rp = np.ones((len(b.rows), len(b.pools)), dtype=bool)
    for r, row in enumerate(b.rows):
        denied = row.jobs[0].denied
        if denied:
            allowed_rp[r] = [pool.resource.class_ not in denied for pool in b.pools]

    def why(r: int, p: int) -> str:
        return f"is out of quota: {b.rows[r].jobs[0].denied[b.pools[p].resource.class_]}"

    return Verdicts(Reason.QUOTA_EXCEEDED, allowed_rp, why, by_pool=True)


def free_units(b: Batch, costs: Costs) -> Verdicts:
    """Pools with as many free units as the whole gang needs, on whatever nodes. Shape (R, P)."""
    free_p = [pool.room.units for pool in b.pools]
    free_pk = np.array([[min(MOST, f) for f in free] for free in free_p], dtype=np.int64).reshape(len(b.pools), 3)
    tasks_r1, need_rk = b.tasks_r[:, None], b.need_rk[:, :3]
    needed_rk = np.where(need_rk > MOST // tasks_r1, MOST, tasks_r1 * np.minimum(need_rk, MOST // tasks_r1))
    allowed_rp: Bools = np.logical_and.reduce([needed_rk[:, k, None] <= free_pk[:, k] for k in range(3)])

    def why(r: int, p: int) -> str:
        free, needed = free_p[p], [int(b.tasks_r[r]) * int(need) for need in need_rk[r]]
        class_ = b.pools[p].resource.class_
        if needed[2] > free[2]:
            return f"has {_many(free[2], 'card')} of {class_} free now, the job needs {needed[2]}"
        if needed[0] > free[0]:
            return f"has {_cores(free[0])} of {class_} free now, the job needs {_cores(needed[0])}"
        return f"has {bytes_text(free[1])} memory of {class_} free now, the job needs {bytes_text(needed[1])}"

    return Verdicts(Reason.WAITING_FOR_CAPACITY, allowed_rp, why, by_pool=True)


def free_nodes(b: Batch, costs: Costs) -> Verdicts:
    """Pools whose nodes, as free as they are now, take every task of the gang. Shape (R, P)."""
    slots_rp = b.free_slots_rp

    def why(r: int, p: int) -> str:
        class_ = b.pools[p].resource.class_
        fits = _many(int(slots_rp[r, p]), "task")
        return f"has nodes of {class_} free for {fits} of {_task(b, r)} now, the job has {b.tasks_r[r]}"

    return Verdicts(Reason.CAPACITY_FRAGMENTED, slots_rp >= b.tasks_r[:, None], why, by_pool=True)


FILTERS: tuple[Filter, ...] = (
    allowed_account,
    offered_class,
    residency,
    policy_rules,
    latency_bound,
    cost_limit,
    deadline,
    active_site,
    node_size,
    site_size,
    quota,
    ready_site,
    backoff,
    free_units,
    free_nodes,
)
# A job that has lost a site to one of these may be placed later as it is; the first of them that it met is its own reason.
MENDED_BY_WAITING = (
    Reason.WAITING_FOR_CAPACITY,
    Reason.CAPACITY_FRAGMENTED,
    Reason.SITE_BACKOFF,
    Reason.SITE_NOT_READY,
    Reason.QUOTA_EXCEEDED,
)
# What may be otherwise at another hour: a job that may be put off is not kept from a site by these.
CHANGES_WITH_TIME = frozenset(
    {
        Reason.COST_LIMIT_EXCEEDED,
        Reason.DEADLINE_UNREACHABLE,
        Reason.WAITING_FOR_CAPACITY,
        Reason.CAPACITY_FRAGMENTED,
        Reason.SITE_BACKOFF,
        Reason.QUOTA_EXCEEDED,
    }
)


@dataclass(frozen=True)
class Sieve:
    """What all filters leave.

    Shapes: `allowed_rp` (R, P); `fell_rs` (R, S) and `fell_rp` (R, P) hold the number of the filter that a site, and one of
    its pools, fell to, -1 where they did not. A site falls with its last pool.
    """

    allowed_rp: Bools
    fell_rs: Ints
    fell_rp: Ints
    verdicts: tuple[Verdicts, ...]

    def reason(self, r: int, s: int) -> Reason | None:
        """Why the site fell."""
        filter_ = int(self.fell_rs[r, s])
        return self.verdicts[filter_].reason if filter_ >= 0 else None

    def counted(self) -> list[tuple[Reason, list[int], list[int]]]:
        """Every reason to which sites fell, how many of each row's did, and the first of these. Lists of R."""
        by_reason: dict[Reason, list[int]] = {}
        for filter_ in np.flatnonzero(np.bincount(self.fell_rs.ravel() + 1)[1:]).tolist():
            by_reason.setdefault(self.verdicts[filter_].reason, []).append(filter_)
        fell_krs = [(reason, np.isin(self.fell_rs, filters)) for reason, filters in by_reason.items()]
        return [(reason, fell.sum(axis=1).tolist(), fell.argmax(axis=1).tolist()) for reason, fell in fell_krs]

    def why(self, b: Batch, r: int, s: int) -> str:
        """The same in numbers, with the site's name."""
        filter_ = int(self.fell_rs[r, s])
        verdict = self.verdicts[filter_]
        place = s
        if verdict.by_pool:
            here = np.flatnonzero((b.site_p == s) & (self.fell_rp[r] == filter_)).tolist()
            if not here:
                return f"{b.sites[s].site.metadata.name} offers no class"
            place = min(here, key=lambda p: (int(b.wish_rp[r, p]), p))
        return f"{b.sites[s].site.metadata.name} {verdict.why(r, place)}"


def sift(b: Batch, costs: Costs) -> Sieve:
    """Run every filter over every row and site."""
    allowed_rp = np.ones((len(b.rows), len(b.pools)), dtype=bool)
    standing_rs = np.ones((len(b.rows), len(b.sites)), dtype=bool)
    fell_rs = np.full(standing_rs.shape, -1, dtype=np.int64)
    fell_rp = np.full(allowed_rp.shape, -1, dtype=np.int64)
    verdicts = []
    all_have_pools = len(b.ground.first_pools) == len(b.sites)
    for i, filter_ in enumerate(FILTERS):
        verdict = filter_(b, costs)
        verdicts.append(verdict)
        if verdict.allowed.all() and (not verdict.by_pool or all_have_pools):
            continue
        left_rp = allowed_rp & (verdict.allowed if verdict.by_pool else verdict.allowed[:, b.site_p])
        left_rs = standing_rs & (b.over_sites(left_rp) if verdict.by_pool else verdict.allowed)
        fell_rs[standing_rs & ~left_rs] = i
        fell_rp[allowed_rp & ~left_rp] = i
        standing_rs, allowed_rp = left_rs, left_rp
    return Sieve(allowed_rp, fell_rs, fell_rp, tuple(verdicts))


def _all_rows(b: Batch, allowed_s: Bools) -> Bools:
    return np.asarray(np.broadcast_to(allowed_s[None, :], (len(b.rows), len(b.sites))))


def _nowhere(b: Batch, s: int) -> str:
    return f"stands in {b.sites[s].site.spec.region}, which is no ComputeRegion"


def _labels(selector: object) -> list[tuple[str, str]]:
    return list(getattr(selector, "match_labels", {}).items())


def _many(count: int | str, noun: str) -> str:
    return f"{count} {noun}" if str(count) == "1" else f"{count} {noun}s"


def _cores(milli: int) -> str:
    return _many(milli_text(milli), "core")


def _amount(cpu_milli: int, memory_bytes: int, cards: int) -> str:
    """What is as much as anybody can ask for is left out."""
    told = [_many(cards, "card")] if cards else []
    told += [_cores(cpu_milli)] if cpu_milli < MOST else []
    told += [bytes_text(memory_bytes)] if memory_bytes < MOST else []
    return ", ".join(told)


def _task(b: Batch, r: int) -> str:
    cpu, memory, cards, _ = (int(x) for x in b.need_rk[r])
    return _amount(cpu, memory, cards)


def _largest(nodes: list[Node], unit: ComputeUnit) -> str:
    cpu, memory, cards, pods = max(nodes, key=lambda n: n[2] if unit is ComputeUnit.CARD else n[0])
    if unit is ComputeUnit.CARD and not cards:
        return "no card"
    return _amount(cpu, memory, cards) if pods else "no pod left"


def _list(names: Iterable[str]) -> str:
    shown = [str(n) for n in names]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
