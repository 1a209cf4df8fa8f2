"""Jobs that may be put off: when they start, what that saves, and what is told of it."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from suanli.base.units import MS_PER_HOUR
from suanli.simulate.engine import NEVER, Simulation
from suanli.simulate.land import Land
from suanli.simulate.policies import Suanli
from suanli.simulate.report import html
from suanli.simulate.result import Asked, Result, as_json
from suanli.simulate.runs import POLICIES, Runs, usual
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
CYCLE_MS = 60_000


def kind(**more: object) -> dict[str, object]:
    """Jobs that only the eastern site may take: power costs 0.9 CNY by day and 0.3 from eight in the evening to eight."""
    return {"name": "near", "tiers": {"city": 1}, "origins": {"coast": 1}, "classes": [{"names": ["gpu"]}], **more}


def simulated(land: Land, work: Workload, *policies: str) -> Result:
    runs = Runs(land, work, policies or usual(work), seed=1, cycle_ms=CYCLE_MS)
    while runs.advance():
        pass
    asked = Asked("s", 1, CYCLE_MS, work.begin_ms, len(work), 0, 0, "", 2, ())
    return runs.result(asked, interrupted=False)


def started_h(land: Land, work: Workload, *, at_once: bool = False) -> list[float | None]:
    """When jobs had their place, in hours since the trace began at midnight; None for one that never had."""
    run = Simulation(land, work, Suanli(land, work, at_once=at_once), cycle_ms=CYCLE_MS)
    while run.advance():
        pass
    midnight_ms = work.begin_ms // MS_PER_HOUR * MS_PER_HOUR - 10 * MS_PER_HOUR
    return [None if ms == NEVER else (ms - midnight_ms) / MS_PER_HOUR for ms in run.ran().placed_ms.tolist()]


def test_a_job_waits_for_the_cheap_hour_and_is_placed_on_the_dot(land: Land, spec_of: Spec) -> None:
    work = draw([TraceRow(10, 1, 2)], spec_of(kinds=[kind(deferrable={"12h": 1})]), land, 1)
    assert started_h(land, work) == [20.0]
    assert started_h(land, work, at_once=True) == [10.0]


def test_nobody_waits_longer_than_he_may(land: Land, spec_of: Spec) -> None:
    """Nine and a half hours end at half past seven, when it is as dear as before: nothing is to be gained."""
    work = draw([TraceRow(10, 0.25, 2)], spec_of(kinds=[kind(deferrable={"9h30m": 1})]), land, 1)
    assert started_h(land, work) == [10.0]
    work = draw([TraceRow(10, 1, 2)], spec_of(kinds=[kind(deferrable={"9h30m": 1})]), land, 1)
    assert started_h(land, work) == [19.5]  # half of the run is cheap


def test_the_savings_are_those_of_the_tariff(land: Land, spec_of: Spec) -> None:
    """Two cards of 800 W at a PUE of 1.25 for an hour are 2 kWh, each 0.6 CNY cheaper by night; carbon is the same at any hour."""
    result = simulated(land, draw([TraceRow(10, 1, 2)], spec_of(kinds=[kind(deferrable={"12h": 1})]), land, 1))
    assert [o.policy for o in result.outcomes] == list(POLICIES)
    saved = result.savings
    assert saved is not None
    assert (saved.energy_micro_yuan, saved.paid_micro_yuan, saved.counted_micro_yuan) == (1_200_000,) * 3
    assert (saved.carbon_kg, saved.carbon_share) == (0.0, 0.0)
    assert saved.paid_share == pytest.approx(1.2 / (2 * 6 + 2 * 0.9), abs=1e-6)
    ours, at_once = result.outcomes[:2]
    assert (ours.putting_off.may, ours.putting_off.were, ours.putting_off.waited_mean_s) == (1, 1, 36_000)
    assert (at_once.putting_off.may, at_once.putting_off.were) == (1, 0)
    assert json.loads(as_json(result))["savings"]["energyMicroYuan"] == 1_200_000
    assert "1 of 1 jobs that may wait were put off" in html(result)


def test_without_such_jobs_nothing_is_said_of_it(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    work = draw(rows[:10], spec_of(redraws=20), land, 1)
    assert usual(work) == tuple(name for name in POLICIES if name != "at-once")
    result = simulated(land, work, "suanli", "nearest")
    assert result.savings is None
    assert "Putting off" not in html(result)


def test_who_may_wait_is_drawn_apart_from_all_else(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    def drawn(count: int, **more: object) -> Workload:
        return draw(rows[:count], spec_of(kinds=[kind(**more)], redraws=5), land, 1)

    share: dict[str, object] = {"deferrable": {"0": 1, "6h": 1, "24h": 1}}
    without, with_, fewer = drawn(96), drawn(96, **share), drawn(40, **share)
    assert (without.expected_min == with_.expected_min).all()
    assert (without.patience_ms == 0).all()
    assert set(with_.patience_ms.tolist()) == {0, 6 * MS_PER_HOUR, 24 * MS_PER_HOUR}
    assert (with_.patience_ms[:40] == fewer.patience_ms).all()
    job = with_.waiting(int(with_.patience_ms.argmax())).job
    assert job.spec.timing.deferrable == "86400000ms"
    assert with_.waiting(int(with_.patience_ms.argmax()), at_once=True).job.spec.timing.deferrable is None


def test_in_a_full_country_nobody_waits_too_long_while_there_is_room(
    land: Land, spec_of: Spec, rows: list[TraceRow]
) -> None:
    kinds = [kind(deferrable={"0": 1, "8h": 2}), kind(name="far", tiers={"any": 1}, deferrable={"16h": 1})]
    work = draw(rows[:48], spec_of(kinds=kinds, durationError="0.3", redraws=20), land, 1)
    result = simulated(land, work, "suanli", "at-once", "spread")
    ours, at_once, spread = result.outcomes
    assert ours.jobs == at_once.jobs == spread.jobs
    assert ours.jobs.ended == len(work)
    assert ours.putting_off.were > 5
    assert ours.putting_off.late <= at_once.putting_off.late + spread.putting_off.late
    assert ours.money.energy_micro_yuan < at_once.money.energy_micro_yuan
    (row,) = (q for q in ours.queue if q.tier == "may be put off")
    assert row.jobs == (work.patience_ms > 0).sum() == ours.putting_off.may
    assert sum(q.jobs for q in ours.queue[:-1]) == len(work)
    assert np.isclose(sum(m.unit_hours for m in ours.metered), sum(m.unit_hours for m in at_once.metered))
