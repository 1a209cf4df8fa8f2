"""What a planner asks of a run, in numbers: waiting, use, flows, money, energy, carbon, figures of the policy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from suanli.api.policy import Kpi
from suanli.placement.batch import Floats, Ints
from suanli.placement.kpis import figures, shown
from suanli.placement.snapshot import OUTSIDE
from suanli.simulate.engine import Ran
from suanli.simulate.facts import facts_of
from suanli.simulate.land import Land
from suanli.simulate.meter import GIB, Bill, Meter
from suanli.simulate.policies import Policy
from suanli.simulate.purse import Purse, Spending
from suanli.simulate.workload import Workload

PERCENTS = (50, 95, 99)
ALL = "all"
MAY_WAIT = "may be put off"
OUTSIDE_HUBS = "outside the hubs"


@dataclass(frozen=True)
class Jobs:
    """How many jobs have come, and what they are: `placed` ones are running or have ended."""

    arrived: int
    placed: int
    ended: int
    running: int
    waiting: int


@dataclass(frozen=True)
class QueueTime:
    """From arrival to start, moving of inputs included, of the jobs of one tier that started. Nearest-rank percentiles; s.

    Jobs that may be put off are told apart from their tier: they may wait because they are to.
    """

    tier: str
    jobs: int
    waiting: int
    p50_s: float
    p95_s: float
    p99_s: float
    longest_s: float


@dataclass(frozen=True)
class PuttingOff:
    """What became of the jobs that may be put off: so many `may`, so many `were`, for a cheaper hour or because others needed what
    was free, and waited so long in the mean, from arrival to the decision. `late` are those that had their place only after their
    time to wait was over: before, there was no room.
    """

    may: int
    were: int
    waited_mean_s: float
    late: int


@dataclass(frozen=True)
class Budgets:
    """How many jobs had to wait for money at some time, and how many do at the end; and what became of every limit."""

    waited: int
    waiting: int
    limits: tuple[Spending, ...]


@dataclass(frozen=True)
class Lost:
    """Attempts that ended because their site went out of reach, and what they had run until then; all other sums count them too."""

    attempts: int
    card_hours: float
    core_hours: float


@dataclass(frozen=True)
class Money:
    """What the jobs cost. `paid` is run, energy and transfer, of runs that tariffs bill the run alone; `counted`, which suanli makes small, is all of it."""

    run_micro_yuan: int
    energy_micro_yuan: int
    transfer_micro_yuan: int
    paid_micro_yuan: int
    carbon_micro_yuan: int
    policy_micro_yuan: int
    counted_micro_yuan: int


@dataclass(frozen=True)
class Metered:
    """What one class of compute at one site ran. `use` is the share of its units that was held, over the whole time."""

    site: str
    side: str
    class_: str
    unit: str
    units: int
    jobs: int
    unit_hours: float
    use: float


@dataclass(frozen=True)
class Flow:
    """Jobs of one place that ran in another: a place is a hub, or all that is outside the hubs."""

    source: str
    target: str
    source_side: str
    target_side: str
    jobs: int
    card_hours: float
    core_hours: float
    moved_gib: float


@dataclass(frozen=True)
class Use:
    """Share of a site's cards or cores that was held, bin by bin."""

    site: str
    side: str
    unit: str
    units: int
    share: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """One policy's run. Gaps are proven by the solver, one a cycle; None for baselines, which prove nothing."""

    policy: str
    partial: bool
    until: int
    cycles: int
    jobs: Jobs
    queue: tuple[QueueTime, ...]
    putting_off: PuttingOff
    money: Money
    energy_kwh: float
    carbon_kg: float
    moved_gib: float
    card_hours: float
    core_hours: float
    lost: Lost
    gap_mean_ppm: float | None
    gap_worst_ppm: int | None
    kpis: tuple[Kpi, ...]
    metered: tuple[Metered, ...]
    flows: tuple[Flow, ...]
    use: tuple[Use, ...] = ()
    budgets: Budgets | None = None

    @property
    def east_to_west(self) -> str:
        """Share of the work of eastern origin that ran in the West, of cards if there are any, for people."""
        kpi = next((kpi for kpi in self.kpis if kpi.name.startswith("east-to-west-share") and kpi.value), None)
        return f"{float(kpi.value):.1%}" if kpi and kpi.value else "none"


def outcome(
    name: str,
    policy: Policy,
    land: Land,
    workload: Workload,
    meter: Meter,
    ran: Ran,
    edges_ms: Ints,
    purse: Purse | None = None,
) -> Outcome:
    """Sum up a run. `edges_ms` divides the time for the use of sites."""
    bill, hub_policy, gaps_ppm = meter.bill(ran), land.country.policy, policy.gaps_ppm
    started = ran.pool_n >= 0
    ended = started & (ran.end_ms <= ran.now_ms)
    cards = meter.is_card_p[ran.attempts.pool_a]
    lost = np.arange(len(cards)) >= int(started.sum())
    return Outcome(
        policy=name,
        partial=ran.partial,
        until=ran.now_ms,
        cycles=ran.cycles,
        jobs=Jobs(
            ran.arrived,
            int(started.sum()),
            int(ended.sum()),
            int((started & ~ended).sum()),
            ran.arrived - int(started.sum()),
        ),
        queue=tuple(_queue(workload, ran)),
        putting_off=_putting_off(workload, policy, ran),
        money=_money(bill),
        energy_kwh=round(float(bill.kwh.sum()), 3),
        carbon_kg=round(float(bill.carbon_g.sum()) / 1_000, 3),
        moved_gib=round(float(bill.moved_bytes.sum()) / GIB, 3),
        card_hours=round(float(bill.unit_hours[cards].sum()), 6),
        core_hours=round(float(bill.unit_hours[~cards].sum()), 6),
        lost=Lost(
            int(lost.sum()),
            round(float(bill.unit_hours[lost & cards].sum()), 6),
            round(float(bill.unit_hours[lost & ~cards].sum()), 6),
        ),
        gap_mean_ppm=round(float(np.mean(gaps_ppm)), 3) if gaps_ppm else None,
        gap_worst_ppm=max(gaps_ppm) if gaps_ppm else None,
        kpis=tuple(shown(figures(facts_of(land, workload, ran)), hub_policy.spec.targets if hub_policy else ())),
        metered=tuple(_metered(land, workload, meter, ran, bill)),
        flows=tuple(_flows(land, workload, cards, ran, bill)),
        use=tuple(_use(land, workload, meter, ran, edges_ms)),
        budgets=Budgets(len(purse.waited), len(purse.waiting), purse.spending()) if purse is not None else None,
    )


def edges(begin_ms: int, end_ms: int, bins: int) -> Ints:
    """Where bins begin and end. Shape (bins + 1,). Units: ms."""
    return np.asarray(np.rint(np.linspace(begin_ms, max(end_ms, begin_ms + bins), bins + 1)).astype(np.int64))


def percentile(sorted_values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of values in order; 0 of none."""
    return sorted_values[math.ceil(len(sorted_values) * percent / 100) - 1] if len(sorted_values) else 0.0


def _queue(workload: Workload, ran: Ran) -> Iterator[QueueTime]:
    tier_n = np.array([t.tier for t in workload.types], dtype=object)[workload.type_n]
    tier_n[workload.patience_ms > 0] = MAY_WAIT
    arrived = np.arange(len(workload)) < ran.arrived
    for tier in (*sorted(set(tier_n.tolist())), ALL):
        mine = arrived & ((tier_n == tier) | (tier == ALL))
        started = mine & (ran.pool_n >= 0)
        waits = sorted(((ran.start_ms - workload.arrival_ms)[started] / 1_000).tolist())
        p50, p95, p99 = (round(percentile(waits, p), 3) for p in PERCENTS)
        yield QueueTime(
            tier, len(waits), int(mine.sum()) - len(waits), p50, p95, p99, round(waits[-1], 3) if waits else 0.0
        )


def _putting_off(workload: Workload, policy: Policy, ran: Ran) -> PuttingOff:
    may, placed = workload.patience_ms > 0, ran.pool_n >= 0
    were = np.zeros(len(workload), dtype=bool)
    were[list(policy.put_off)] = True
    waited_ms = ran.placed_ms - workload.arrival_ms
    late = may & placed & (waited_ms > workload.patience_ms + ran.cycle_ms)
    of_these = waited_ms[were & placed]
    mean_s = round(float(of_these.mean()) / 1_000, 3) if len(of_these) else 0.0
    return PuttingOff(int((may & (np.arange(len(may)) < ran.arrived)).sum()), int(were.sum()), mean_s, int(late.sum()))


def _money(bill: Bill) -> Money:
    run, energy, transfer, carbon, policy = (
        round(float(x.sum())) for x in (bill.run, bill.energy, bill.transfer, bill.carbon, bill.policy)
    )
    counted = run + energy + transfer
    paid = counted - round(float((bill.energy + bill.transfer)[bill.billed].sum()))
    return Money(run, energy, transfer, paid, carbon, policy, counted + carbon + policy)


def _metered(land: Land, workload: Workload, meter: Meter, ran: Ran, bill: Bill) -> Iterator[Metered]:
    begin, attempts = workload.begin_ms, ran.attempts
    held_ms_a = attempts.held_ms_a(begin)
    for p, pool in enumerate(land.pools):
        a = np.flatnonzero(attempts.pool_a == p)
        units = pool.resource.declared_units or 0
        held = float((meter.units_n(workload.type_n[attempts.job_a[a]], p) * held_ms_a[a]).sum())
        offered = units * max(1, ran.now_ms - begin)
        yield Metered(
            site=land.site_name(p),
            side=land.country.side(land.site(p).spec.region),
            class_=pool.resource.class_,
            unit=str(pool.resource.unit),
            units=units,
            jobs=len(a),
            unit_hours=round(float(bill.unit_hours[a].sum()), 6),
            use=round(held / offered, 6) if offered else 0.0,
        )


def _flows(land: Land, workload: Workload, cards: np.ndarray, ran: Ran, bill: Bill) -> Iterator[Flow]:
    place_t = [_place(land, t.origin) for t in workload.types]
    place_p = [_place(land, land.site(p).spec.region) for p in range(len(land.pools))]
    sums: dict[tuple[tuple[str, str], tuple[str, str]], list[float]] = {}
    type_a = workload.type_n[ran.attempts.job_a]
    for a, (t, p) in enumerate(zip(type_a.tolist(), ran.attempts.pool_a.tolist(), strict=True)):
        key = place_t[t], place_p[p]
        total = sums.setdefault(key, [0.0] * 4)
        total[0] += 1
        total[1 if cards[a] else 2] += float(bill.unit_hours[a])
        total[3] += float(bill.moved_bytes[a])
    for ((source, source_side), (target, target_side)), (jobs, card_h, core_h, moved) in sorted(sums.items()):
        yield Flow(
            source,
            target,
            source_side,
            target_side,
            int(jobs),
            round(card_h, 6),
            round(core_h, 6),
            round(moved / GIB, 3),
        )


def _place(land: Land, region: str) -> tuple[str, str]:
    """The hub of a region and its side."""
    hub = land.country.hub_by_region.get(region)
    return (hub.name, str(hub.side)) if hub else (OUTSIDE_HUBS, OUTSIDE)


def _use(land: Land, workload: Workload, meter: Meter, ran: Ran, edges_ms: Ints) -> Iterator[Use]:
    pools: dict[tuple[int, str], list[int]] = {}
    for p, pool in enumerate(land.pools):
        pools.setdefault((pool.site, str(pool.resource.unit)), []).append(p)
    widths, attempts = np.diff(edges_ms), ran.attempts
    for (s, unit), mine in sorted(pools.items()):
        units = sum(land.pools[p].resource.declared_units or 0 for p in mine)
        held = np.zeros(len(widths))
        for p in mine:
            a = np.flatnonzero(attempts.pool_a == p)
            held_a = meter.units_n(workload.type_n[attempts.job_a[a]], p)
            until = np.minimum(attempts.end_ms_a[a], ran.now_ms)
            held += np.diff(_held_by(edges_ms, attempts.placed_ms_a[a], until, held_a))
        site = land.sites[s].site
        share = held / (units * widths) if units else held * 0
        yield Use(
            site.metadata.name,
            land.country.side(site.spec.region),
            unit,
            units,
            tuple(round(float(x), 4) for x in share),
        )


def _held_by(edges_ms: Ints, begin_n: Ints, end_n: Ints, units_n: Floats) -> Floats:
    """Units times ms held from the beginning until each edge. Shape (bins + 1,)."""
    found = np.zeros(len(edges_ms))
    for moments, sign in ((begin_n, 1.0), (end_n, -1.0)):
        order = np.argsort(moments, kind="stable")
        times, units = moments[order].astype(float), units_n[order] * sign
        count = np.searchsorted(moments[order], edges_ms, side="right")
        sum_u = np.concatenate([[0.0], np.cumsum(units)])
        sum_ut = np.concatenate([[0.0], np.cumsum(units * (times - float(edges_ms[0])))])
        found += sum_u[count] * (edges_ms - edges_ms[0]) - sum_ut[count]
    return found
