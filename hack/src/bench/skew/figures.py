"""What came of it, what the goals are, and how both are shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.skew.ground import Ground
from suanli.base.units import MICRO, duration_ms, whole
from suanli.placement.snapshot import Plan

WORST_GOAL = 0.98
LOAD_FOR_ALL = 0.95  # up to this share of all supply, everything is placed
GIB = 1 << 30


@dataclass(frozen=True)
class Result:
    """One run. Loads are demand over a region's whole supply; costs in CNY; times in seconds."""

    seed: int
    jobs: int
    load: float
    load_of_given: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    unplaced: int
    moved_jobs: int
    moved_gib: float
    data_gib: float
    transfer_p50_s: float
    transfer_p95_s: float
    cost_cny: float
    transfer_cny: float
    gap_ppm: int
    place_s: float

    @property
    def cost_ratio(self) -> float:
        """Cost over the proven bound; all costs are above zero here."""
        return 1 / (1 - self.gap_ppm / MICRO)

    @property
    def met(self) -> Mapping[str, bool]:
        """Whether each goal was met."""
        return {
            "worst_after": max(self.after.values()) <= WORST_GOAL,
            "unplaced": self.unplaced == 0 or self.load > LOAD_FOR_ALL,
        }


def result(ground: Ground, plan: Plan, seed: int, place_s: float) -> Result:
    """Count by what the plan says, region by region."""
    region = {view.site.metadata.name: view.site.spec.region for view in ground.sites}
    used = dict.fromkeys(ground.supply, 0)
    moved_jobs, moved, data, cost, transfer = 0, 0, 0, 0, 0
    times = []
    for job in ground.jobs:
        decision, spec = plan.decisions[job.uid], job.job.spec
        inputs = spec.data.inputs if spec.data else []
        data += sum(whole(i.size) for i in inputs)
        if decision.site is None:
            continue
        here = region[decision.site]
        used[here] += spec.tasks * spec.resources.per_task.cards
        moved_jobs += here != spec.origin
        moved += sum(whole(i.size) for i in inputs if i.region != here)
        if decision.placement.cost:
            cost += int(decision.placement.cost.total)
            transfer += int(decision.placement.cost.transfer)
        if decision.estimate and decision.estimate.transfer_time:
            times.append(duration_ms(decision.estimate.transfer_time) / 1_000)
    times.sort()
    total, supply = sum(ground.demand.values()), sum(ground.supply.values())
    given = sum(g.count * g.cards for view in ground.sites for room in view.classes.values() for g in room.empty)
    return Result(
        seed=seed,
        jobs=len(ground.jobs),
        load=total / supply,
        load_of_given=total / given,
        before=ground.before,
        after={name: used[name] / cards for name, cards in ground.supply.items()},
        unplaced=sum(d.site is None for d in plan.decisions.values()),
        moved_jobs=moved_jobs,
        moved_gib=moved / GIB,
        data_gib=data / GIB,
        transfer_p50_s=times[len(times) // 2] if times else 0.0,
        transfer_p95_s=times[len(times) * 95 // 100] if times else 0.0,
        cost_cny=cost / MICRO,
        transfer_cny=transfer / MICRO,
        gap_ppm=plan.gap_ppm,
        place_s=place_s,
    )


def as_json(found: Result) -> str:
    """For programs: flat figures first."""
    flat = {
        "worst_before": round(max(found.before.values()), 4),
        "worst_after": round(max(found.after.values()), 4),
        "unplaced": found.unplaced,
        "load": round(found.load, 4),
        "load_of_given": round(found.load_of_given, 4),
        "moved_jobs": found.moved_jobs,
        "moved_gib": round(found.moved_gib, 1),
        "data_gib": round(found.data_gib, 1),
        "transfer_p50_s": round(found.transfer_p50_s, 1),
        "transfer_p95_s": round(found.transfer_p95_s, 1),
        "cost_cny": round(found.cost_cny, 2),
        "transfer_cny": round(found.transfer_cny, 2),
        "cost_ratio_to_bound": round(found.cost_ratio, 6),
        "gap_ppm": found.gap_ppm,
        "jobs": found.jobs,
        "seed": found.seed,
        "place_s": round(found.place_s, 3),
        "met": found.met,
        "goals": {"worst_after": WORST_GOAL, "unplaced": 0},
    }
    regions = {
        name: {"before": round(found.before[name], 4), "after": round(after, 4)} for name, after in found.after.items()
    }
    return json.dumps(flat | {"regions": regions}, indent=2)


def as_table(found: Result) -> str:
    """For people."""
    lines = [
        f"{found.jobs} jobs, {len(found.after)} regions, demand {found.load:.3f} of all supply; seed {found.seed}",
        "region         before   after",
    ]
    lines += [f"{name:<13} {found.before[name]:7.3f} {after:7.3f}" for name, after in found.after.items()]
    lines += [
        f"worst         {max(found.before.values()):7.3f} {max(found.after.values()):7.3f} (goal <= {WORST_GOAL})",
        f"unplaced      {found.unplaced} (goal 0; demand is {found.load_of_given:.3f} of what the solver is given)",
        f"moved         {found.moved_jobs} jobs, {found.moved_gib:,.0f} of {found.data_gib:,.0f} GiB; to bring inputs: p50 {found.transfer_p50_s:.0f} s, p95 {found.transfer_p95_s:.0f} s",
        f"cost          {found.cost_cny:,.2f} CNY, of it transfer {found.transfer_cny:,.2f}; at most {found.cost_ratio:.6f} of the proven bound",
        f"placed in     {found.place_s:.2f} s",
    ]
    return "\n".join([*lines, *missed(found)])


def missed(found: Result) -> list[str]:
    """A line for each goal that was missed."""
    shown = {
        "worst_after": f"the worst region's load {max(found.after.values()):.3f} is above {WORST_GOAL}",
        "unplaced": f"{found.unplaced} jobs wait at a load of {found.load:.3f}",
    }
    return [f"missed: {shown[goal]}" for goal, met in found.met.items() if not met]
