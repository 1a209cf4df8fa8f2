"""Which jobs wait for a cheaper hour, until when, and what that saves. What starts now is left to the plan of this cycle.

A job may wait as long as `timing.deferrable` says, and never so long that it would miss its deadline. One that has waited that
long goes, before all that could wait; among those that go, priority and age decide, and it has become old.

All hours are planned anew every half hour, and when a site, a link, a price or the policy is another one. In between a job that
waits because that saves money keeps its hour and its room, and only the others are asked again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suanli.api.job import CostLines, Estimate, Placement
from suanli.api.site import ComputeUnit
from suanli.base.clock import parse_time_ms, time_text
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import decimal_text, duration_ms
from suanli.placement.batch import MOST, Batch, Bools, Floats, Ints, Pool, make_batch
from suanli.placement.charges import Billed, Share, rates, units_rp, watts_rp
from suanli.placement.filters import CHANGES_WITH_TIME, FILTERS
from suanli.placement.ground import Ground
from suanli.placement.horizon import HORIZON_MS, SLOT_MS, SLOTS, Start, Work, first_slot_ms, schedule
from suanli.placement.scores import PAID, Costs, score
from suanli.placement.snapshot import Country, Decision, FreeNodes, SiteView, WaitingJob, specs_of
from suanli.placement.tariff import LOOKED_AHEAD_MS, Curve, price_curve
from suanli.placement.transfer import least_ms_rs

# A job with a deadline is called so long before its last moment: placing and dispatching takes a while.
LEEWAY_MS = 60_000
LEAST_SAVING = 1.0  # micro-yuan: costs are whole, and nobody waits for less


@dataclass(frozen=True)
class Asked:
    """Jobs as the horizon takes them: the jobs and the row of the batch behind every row of the work."""

    batch: Batch
    costs: Costs
    work: Work
    jobs: tuple[tuple[WaitingJob, ...], ...]
    row_w: tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """The hour of a job that is put off, and the room that it takes then. Units: ms since the epoch; `units` cards or cores."""

    job: WaitingJob
    decision: Decision
    place: tuple[str, str]  # site and class
    at_ms: int
    ends_ms: int
    units: float
    saves: bool

    def stands(self, job: WaitingJob, ready: Collection[str], now_ms: int) -> bool:
        """Whether its hour is still right for the job."""
        same = job.job is self.job.job and job.backoff == self.job.backoff and job.account == self.job.account
        return same and self.saves and self.at_ms > now_ms and self.place[0] in ready


@dataclass(frozen=True)
class Agenda:
    """The hours that a cycle gave, by UID: the next ones of the same half hour go on with them."""

    ground: Ground
    slot_ms: int
    held: Mapping[str, Held]

    @property
    def decisions(self) -> dict[str, Decision]:
        """Who is put off."""
        return {uid: held.decision for uid, held in self.held.items()}

    def standing(
        self, asked: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int
    ) -> "Agenda":
        """What of it holds for these jobs."""
        known = {site.metadata.name: site for site in self.ground.sites}
        same = len(known) == len(sites) and all(known.get(view.site.metadata.name) is view.site for view in sites)
        if not same or country is not self.ground.country or first_slot_ms(now_ms) != self.slot_ms:
            return replace(self, held={})
        ready = {view.site.metadata.name for view in sites if view.ready}
        before = ((job, self.held.get(job.uid)) for job in asked)
        held = {job.uid: held for job, held in before if held is not None and held.stands(job, ready, now_ms)}
        return replace(self, held=held)


def defer(
    asked: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    before: Agenda | None = None,
) -> Agenda | None:
    """The jobs that are put off, each with its planned start; all others go to the market now. `before`: of the last cycle."""
    kept = before.standing(asked, sites, country, now_ms) if before is not None else None
    if kept is not None and kept.held:
        asked = [job for job in asked if job.uid not in kept.held]
    if not may_wait(asked, now_ms):
        return kept
    work = work_of(make_batch(asked, sites, country, now_ms))
    others = kept.held if kept is not None else {}
    return Agenda(work.batch.ground, first_slot_ms(now_ms), {**others, **put_off(work, others.values())})


def put_off(asked: Asked, others: Iterable[Held] = ()) -> dict[str, Held]:
    """Every job whose planned start lies ahead: later is cheaper, or others need what is free now. The room of `others` is taken."""
    b, work = asked.batch, asked.work
    found: dict[str, Held] = {}
    taken = [0] * len(asked.jobs)
    starts = schedule(work, curves_of(b), _without(b, room_pt(b), others), b.now_ms)
    for start in sorted(starts, key=lambda start: (start.row, start.at_ms, start.pool)):
        jobs = asked.jobs[start.row][taken[start.row] : taken[start.row] + start.jobs]
        taken[start.row] += start.jobs
        saves_dust = 0 < start.saving < LEAST_SAVING
        if work.must_w[start.row] or start.at_ms <= b.now_ms or saves_dust:
            continue
        pool, decision = b.pools[start.pool], _told(asked, start)
        place = b.sites[pool.site].site.metadata.name, pool.resource.class_
        ends_ms = start.at_ms + int(work.duration_ms_wp[start.row, start.pool])
        units = float(work.units_wp[start.row, start.pool])
        for job in jobs:
            found[job.uid] = Held(job, decision, place, start.at_ms, ends_ms, units, start.saving >= LEAST_SAVING)
    return found


def _without(b: Batch, room_pt: Floats, others: Iterable[Held]) -> Floats:
    """The room that is left beside others. Shape (P, SLOTS)."""
    pool_of = {(b.sites[pool.site].site.metadata.name, pool.resource.class_): p for p, pool in enumerate(b.pools)}
    origin_ms = first_slot_ms(b.now_ms)
    for held in others:
        first, behind = (held.at_ms - origin_ms) // SLOT_MS, -(-(held.ends_ms - origin_ms) // SLOT_MS)
        room_pt[pool_of[held.place], first:behind] -= held.units
    return np.maximum(room_pt, 0.0)


def may_wait(jobs: Sequence[WaitingJob], now_ms: int) -> bool:
    """Whether for some of them the time to be put off is not over yet."""
    specs, number_j = specs_of(jobs)
    may = [spec.timing.deferrable is not None for spec in specs]
    return any(may) and any(may[n] and patience_ms(job) > now_ms for job, n in zip(jobs, number_j, strict=True))


def patience_ms(job: WaitingJob) -> int:
    """Until when `deferrable` lets the job wait; when it came, for one that is not deferrable. Units: ms since the epoch."""
    timing = job.job.spec.timing
    since = max(job.submitted_ms, parse_time_ms(timing.not_before) if timing.not_before else 0)
    return since + (min(MOST, duration_ms(timing.deferrable)) if timing.deferrable else 0)


def work_of(b: Batch) -> Asked:
    """The batch for the horizon; equal jobs whose patience ends in the same half hour share a row (W of them)."""
    costs = score(b)
    jobs, row_w, patience_w = [], [], []
    for r, row in enumerate(b.rows):
        by_slot: dict[int, list[WaitingJob]] = {}
        for job in row.jobs:
            left_ms = patience_ms(job) - b.now_ms
            by_slot.setdefault(left_ms // SLOT_MS if left_ms > 0 else -1, []).append(job)
        for slot in sorted(by_slot):
            jobs.append(tuple(by_slot[slot]))
            row_w.append(r)
            patience_w.append(min(map(patience_ms, by_slot[slot])))
    patience, own = np.array(patience_w, dtype=np.int64), np.array(row_w, dtype=np.int64)
    lines, by_hour_rp = costs.lines, _by_hour_rp(b, costs)
    last_rp = b.deadline_ms_r[:, None] - b.duration_ms_rp - least_ms_rs(b)[:, b.site_p]
    bound_rp = np.where(b.deadline_ms_r[:, None] < MOST, last_rp - LEEWAY_MS, MOST)
    latest_wp = np.maximum(b.now_ms, np.minimum(patience[:, None], bound_rp[own]))
    allowed_wp = (_some_time(b, costs) & (last_rp >= b.now_ms))[own]
    work = Work(
        count_w=np.array([len(these) for these in jobs], dtype=np.int64),
        must_w=np.asarray(~((latest_wp > b.now_ms) & allowed_wp).any(axis=1)),
        units_wp=units_rp(b)[own],
        duration_ms_wp=np.maximum(1, b.duration_ms_rp[own]),
        latest_ms_wp=latest_wp,
        fixed_wp=sum(lines.values(), -by_hour_rp)[own],
        kilowatts_wp=np.where(b.billed.is_rp if b.billed else False, 0.0, watts_rp(b) / 1_000)[own],
        hourly_limit_wp=(b.max_cost_r[:, None] - (costs.paid_rp - by_hour_rp))[own],
        allowed_wp=allowed_wp,
        fees=RowFees(b, b.billed, own) if b.billed else None,
    )
    return Asked(b, costs, work, tuple(jobs), tuple(row_w))


@dataclass(frozen=True)
class RowFees:
    """What the rows of the work pay by tariffs. Shapes: `row_w` (W,) rows of the batch."""

    batch: Batch
    billed: Billed
    row_w: Ints

    def edges_ms(self, since_ms: int, until_ms: int) -> Ints:
        """When any price changes."""
        found = [share.price.edges_ms(since_ms, until_ms) for share in self.billed.shares]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))

    def cost_wk(self, rows: Ints, pool: int, begins_wk: Ints, ends_wk: Ints) -> Floats:
        """What runs in a pool cost, begun and ended then. Shapes: (W,), (W, K), (W, K) -> (W, K)."""
        cost_wk = np.zeros(begins_wk.shape)
        share_w = self.billed.share_rp[self.row_w[rows], pool]
        for number in np.unique(share_w[share_w >= 0]).tolist():
            here = np.flatnonzero(share_w == number)
            share = Share(self.row_w[rows[here]], np.array([pool]), self.billed.shares[number].price)
            paid_kn = share.price.paid(begins_wk[here].ravel(), ends_wk[here].ravel())
            kinds = np.flatnonzero(paid_kn.any(axis=1)).tolist()
            for kind, rate in rates(self.batch, share.rows, share.pools, kinds).items():
                cost_wk[here] += rate * paid_kn[kind].reshape(len(here), -1)
        return cost_wk


def _by_hour_rp(b: Batch, costs: Costs) -> Floats:
    """The line of each cost that goes by the hour: electricity, or the whole run where a tariff says it. Shape (R, P)."""
    energy_rp = costs.lines["energy"]
    return energy_rp if b.billed is None else np.where(b.billed.is_rp, costs.lines["run"], energy_rp)


def curves_of(b: Batch) -> list[Curve]:
    """The price curve of every pool, as far as a run that starts in the next 48 hours may last. Shape (P,)."""
    longest_ms = min(LOOKED_AHEAD_MS, int(b.duration_ms_rp.max(initial=1)))
    until_ms = b.now_ms + HORIZON_MS + longest_ms
    by_site = [price_curve(view.site.spec.energy, b.now_ms, until_ms) for view in b.sites]
    return [by_site[pool.site] for pool in b.pools]


def room_pt(b: Batch) -> Floats:
    """Cards or cores that are free in every slot: what is free now, and what running jobs give back. Shape (P, SLOTS)."""
    room = np.zeros((len(b.pools), SLOTS))
    for p, pool in enumerate(b.pools):
        room[p] = _units(pool, pool.room.free)
        for release in b.sites[pool.site].releases:
            if release.class_ == pool.resource.class_:
                slot = max(1, -(-(release.at_ms - first_slot_ms(b.now_ms)) // SLOT_MS))
                room[p, slot:] += release.units
        np.minimum(room[p], max(room[p, 0], _units(pool, pool.room.empty)), out=room[p])
    return room


def _units(pool: Pool, nodes: Sequence[FreeNodes]) -> float:
    """Cards or cores of nodes."""
    if pool.resource.unit is ComputeUnit.CARD:
        return float(sum(group.count * group.cards for group in nodes))
    return sum(group.count * group.cpu_milli for group in nodes) / 1_000


def _some_time(b: Batch, costs: Costs) -> Bools:
    """Pools that fall to nothing but what may be otherwise at another hour. Shape (R, P)."""
    allowed_rp = np.ones((len(b.rows), len(b.pools)), dtype=bool)
    for filter_ in FILTERS:
        verdict = filter_(b, costs)
        if verdict.reason not in CHANGES_WITH_TIME:
            allowed_rp &= verdict.allowed if verdict.by_pool else verdict.allowed[:, b.site_p]
    return allowed_rp


def _told(asked: Asked, start: Start) -> Decision:
    """When and where it is to start, and what that saves."""
    b, r, p = asked.batch, asked.row_w[start.row], start.pool
    pool, at = b.pools[p], time_text(start.at_ms)
    site = b.sites[pool.site].site.metadata.name
    lines = {name: int(line[r, p]) for name, line in asked.costs.lines.items()}
    by_tariff = bool(b.tariff(r, p))
    line = "run" if by_tariff else "energy"
    lines[line] = round(start.cost - float(asked.work.fixed_wp[start.row, p]))
    total, billed = sum(lines.values()), b.bill(r, p, start.at_ms)
    paid = lines["run"] if by_tariff else sum(lines[name] for name in PAID)
    gain = _TAKEN
    if not np.isfinite(start.at_once):
        gain = _LIMIT
    elif start.saving > 0:
        gain = f"saves {_cny(start.saving)} of {_cny(start.at_once)} CNY"
    until = time_text(int(asked.work.latest_ms_wp[start.row, p]))
    return Decision(
        None,
        None,
        Reason.DEFERRED,
        f"starts at {at} at {site} ({pool.resource.class_}): {gain}; it can wait until {until} there",
        Placement(cost=CostLines(**{name: str(line) for name, line in lines.items()}, total=str(total))),
        Estimate(cost=str(paid if billed is None else billed), start=at),
    )


_TAKEN = "what is free now goes to jobs that cannot wait"
_LIMIT = "now it would cost more than limits.maxCost everywhere"


def _cny(micro_yuan: float) -> str:
    """To the fen, or exactly where that would be nothing."""
    amount = round(micro_yuan)
    return yuan_text(amount) if abs(amount) >= 10_000 else decimal_text(amount)
