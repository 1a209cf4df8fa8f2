"""What was saved, what the goals are, and how both are shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench.defer.ground import Ground
from bench.defer.oracle import Floats, cost_cny, peak_s
from bench.defer.play import Played
from suanli.base.units import MS_PER_HOUR

SHARE_GOAL = 0.95


@dataclass(frozen=True)
class Outcome:
    """One way to start the jobs. Savings are against every job at once where it comes from."""

    cost_cny: float
    saved_cny: float
    late: int  # jobs that start after their window, and so miss their deadline
    early: int  # jobs that start before they come
    too_far: int  # jobs at a site beyond their latency tier
    overfull_units: float  # most units that run beyond a site's room
    mean_wait_h: float
    moved: int

    @property
    def violations(self) -> int:
        """All that must not be."""
        return self.late + self.early + self.too_far + (self.overfull_units > 1e-6)


@dataclass(frozen=True)
class Case:
    """One window, with room for all or not. `ways` holds the planner, the oracle and the baselines by name."""

    window_h: float
    room: float | None  # of the peak of every job at once where it comes from; None: room for all
    jobs: int
    unit_hours: float
    at_once_cny: float
    ways: Mapping[str, Outcome]
    plans: int
    seconds: float

    def share(self, way: str) -> float:
        """Its savings as a share of the oracle's; 1 where nothing can be saved."""
        best = self.ways["oracle"].saved_cny
        return self.ways[way].saved_cny / best if best > 0 else 1.0


@dataclass(frozen=True)
class Result:
    """All cases and what they stand on."""

    prices: Sequence[str]
    trace: str
    left_out: int  # jobs that could end after the last price
    movable: float
    seed: int
    known: str
    cases: Sequence[Case]
    peak_mib: float
    seconds: float


def outcome(ground: Ground, played: Played, at_once: Played, room_s: Floats | None = None) -> Outcome:
    """What came of it, at the prices that came true; every rule is checked anew."""
    cost = cost_cny(ground, played)
    wait_ms = played.start_ms_j - ground.arrival_ms_j
    over = 0.0 if room_s is None else float((peak_s(ground, played) - room_s).max(initial=0.0))
    return Outcome(
        cost_cny=cost,
        saved_cny=cost_cny(ground, at_once) - cost,
        late=int((played.start_ms_j > ground.latest_ms_j).sum()),
        early=int((wait_ms < 0).sum()),
        too_far=int((~ground.may_j[np.arange(len(wait_ms)), played.site_j]).sum()),
        overfull_units=max(0.0, over),
        mean_wait_h=float(wait_ms.mean()) / MS_PER_HOUR,
        moved=int((played.site_j != ground.origin_j).sum()),
    )


def missed(result: Result) -> list[str]:
    """The goals that were missed, in words."""
    found = []
    for case in result.cases:
        name = _name(case)
        if case.room is None and case.share("planner") < SHARE_GOAL:
            found.append(
                f"goal missed: {name}: {case.share('planner'):.1%} of the oracle's savings, {SHARE_GOAL:.0%} wanted"
            )
        if case.ways["planner"].violations:
            found.append(f"goal missed: {name}: {case.ways['planner'].violations} violations, 0 wanted")
    return found


def as_json(result: Result) -> str:
    """For programs."""
    told = asdict(result)
    for shown, case in zip(told["cases"], result.cases, strict=True):
        shown["share_of_oracle"] = {way: round(case.share(way), 6) for way in case.ways}
        shown["violations"] = case.ways["planner"].violations
    told["goals"] = {"share_of_oracle": SHARE_GOAL, "violations": 0}
    told["missed"] = missed(result)
    return json.dumps(told, indent=2)


def as_table(result: Result) -> str:
    """For people."""
    lines = [
        f"prices {', '.join(result.prices)}; trace {result.trace}; {result.movable:.0%} of the jobs may leave their site; seed {result.seed}",
        f"the planner knows: {result.known}",
    ]
    if result.left_out:
        lines.append(f"left out, because they could end after the last price: {result.left_out} jobs")
    for case in result.cases:
        lines += [
            "",
            f"{_name(case)}: {case.jobs} jobs, {case.unit_hours:,.0f} unit-hours, at once where they come from {case.at_once_cny:,.0f} CNY",
            f"  {'way':<22} {'saved CNY':>12} {'of oracle':>10} {'waited h':>9} {'moved':>7} {'late':>5} {'too far':>8}",
        ]
        for way, told in case.ways.items():
            lines.append(
                f"  {way:<22} {told.saved_cny:>12,.0f} {case.share(way):>10.2%} {told.mean_wait_h:>9.2f} {told.moved:>7} {told.late:>5} {told.too_far:>8}"
            )
        if case.room is not None:
            lines.append("  the oracle has room for all: its savings are a bound that no plan within the room exceeds")
    lines += [
        "",
        f"{result.seconds:.0f} s, {result.peak_mib:.0f} MiB at most in one process",
        *(missed(result) or ["all goals met"]),
    ]
    return "\n".join(lines)


def _name(case: Case) -> str:
    room = "room for all" if case.room is None else f"room {case.room:g} of the peak at once"
    return f"deferrable {case.window_h:g} h, {room}"
