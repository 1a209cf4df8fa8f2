"""Sites that are out of reach for a time: who is lost, who goes on, and what is told of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from suanli.base.units import MS_PER_HOUR
from suanli.simulate.engine import Ran, Simulation
from suanli.simulate.land import Land, Outage
from suanli.simulate.policies import BASELINES, Greedy, Suanli
from suanli.simulate.report import html
from suanli.simulate.result import Asked
from suanli.simulate.runs import Runs
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
BEGIN_MS = round(datetime(2025, 12, 31, 16, tzinfo=UTC).timestamp() * 1000)
CYCLE_MS = 60_000


def hour(h: float) -> int:
    return BEGIN_MS + round(h * MS_PER_HOUR)


def kind(failover: str, tier: str = "any") -> dict[str, object]:
    return {
        "name": "k",
        "category": "ModelTraining",
        "tiers": {tier: 1},
        "origins": {"coast": 1},
        "classes": [{"names": ["gpu"]}],
        "failover": failover,
    }


def without(land: Land, site: str, from_h: float, to_h: float) -> Land:
    return replace(land, outages=(Outage(hour(from_h), hour(to_h), site),))


def ran(land: Land, work: Workload) -> Ran:
    run = Simulation(land, work, Suanli(land, work), cycle_ms=CYCLE_MS)
    while run.advance():
        pass
    return run.ran()


def sites(land: Land, found: Ran) -> list[str]:
    return [land.site_name(p) for p in found.attempts.pool_a.tolist()]


def test_a_job_that_may_run_twice_is_lost_and_starts_again_elsewhere(land: Land, spec_of: Spec) -> None:
    broken = without(land, "west", 2.5, 9)
    work = draw([TraceRow(1, 4, 2)], spec_of(kinds=[kind("AtLeastOnce")]), broken, 1)
    found = ran(broken, work)
    assert sites(broken, found) == ["east", "west"]
    again, lost = zip(found.attempts.placed_ms_a, found.attempts.end_ms_a, strict=True)
    assert again == (hour(2.5), hour(6.5))
    assert lost == (hour(1), hour(2.5))
    assert not found.partial


def test_a_job_that_must_not_run_twice_goes_on_unseen(land: Land, spec_of: Spec) -> None:
    broken = without(land, "west", 2.5, 9)
    work = draw([TraceRow(1, 4, 2)], spec_of(kinds=[kind("AtMostOnce")]), broken, 1)
    found = ran(broken, work)
    assert (sites(broken, found), found.end_ms.tolist(), len(found.lost)) == (["west"], [hour(5)], 0)


@pytest.mark.parametrize("failover", ["AtMostOnce", "AtLeastOnce"])
def test_who_may_go_nowhere_else_waits_until_the_site_is_back(land: Land, spec_of: Spec, failover: str) -> None:
    broken = without(land, "east", 0.5, 3)
    work = draw([TraceRow(1, 1, 2), TraceRow(7, 1, 2)], spec_of(kinds=[kind(failover, "city")]), broken, 1)
    assert ran(broken, work).placed_ms.tolist() == [hour(3), hour(7)]


@pytest.mark.parametrize("policy", ["suanli", *BASELINES])
def test_nobody_starts_at_a_site_that_is_away(land: Land, spec_of: Spec, rows: list[TraceRow], policy: str) -> None:
    broken = without(land, "west", 10, 30)
    kinds = [kind("AtLeastOnce"), {**kind("AtMostOnce"), "name": "once"}]
    work = draw(rows[:48], spec_of(kinds=kinds, redraws=20), broken, 1)
    runs = Runs(broken, work, [policy], seed=1, cycle_ms=CYCLE_MS)
    while runs.advance():
        pass
    result = runs.result(Asked("s", 1, CYCLE_MS, work.begin_ms, len(work), 0, 0, "", 2, ()), interrupted=False)
    (told,) = result.outcomes
    assert (told.jobs.ended, told.jobs.waiting) == (len(work), 0)
    run = Simulation(
        broken,
        work,
        Suanli(broken, work)
        if policy == "suanli"
        else Greedy(BASELINES[policy], broken, work, lambda _n, _ms: np.zeros(len(broken.pools)), 1),
        cycle_ms=CYCLE_MS,
    )
    while run.advance():
        pass
    a = run.ran().attempts
    west = np.array([name == "west" for name in sites(broken, run.ran())])
    assert not (west & (a.placed_ms_a >= hour(10)) & (a.placed_ms_a < hour(30))).any()
    once = np.array([work.types[t].kind.failover == "AtMostOnce" for t in work.type_n[a.job_a]])
    assert not (west & ~once & (a.placed_ms_a < hour(10)) & (a.end_ms_a > hour(10))).any()
    wanted_h = sum(work.types[t].units * ms for t, ms in zip(work.type_n, work.run_ms, strict=True)) / MS_PER_HOUR
    assert told.card_hours == pytest.approx(wanted_h + told.lost.card_hours)
    assert sum(m.unit_hours for m in told.metered) == pytest.approx(told.card_hours)
    assert ("Outages" in html(result)) == (told.lost.attempts > 0)
