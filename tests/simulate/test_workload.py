from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from suanli.base.units import MS_PER_HOUR
from suanli.placement.solve import place
from suanli.simulate.engine import Simulation
from suanli.simulate.land import Land, land_of
from suanli.simulate.meter import Meter
from suanli.simulate.policies import BASELINES, Greedy
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import draw, gang
from worlds import a_class, a_country, a_region, a_site

Spec = Callable[..., ScenarioSpec]


def test_a_row_keeps_its_time_and_units_and_gets_the_rest_by_chance(
    land: Land, spec_of: Spec, rows: list[TraceRow]
) -> None:
    work = draw(rows, spec_of(redraws=20), land, 1)
    assert len(work) == len(rows)
    assert work.arrival_ms[1] - work.arrival_ms[0] == MS_PER_HOUR
    for n, row in enumerate(rows):
        spec = work.waiting(n).job.spec
        each = spec.resources.per_task
        assert spec.tasks * max(each.cards, 0 if each.cards else int(each.cpu[:-1]) // 1000) == row.units
        assert spec.timing.expected_duration == f"{max(1, round(row.length_h * 60))}m"
    kinds = Counter(work.types[t].kind.name for t in work.type_n)
    assert kinds["train"] > kinds["serve"] > kinds["crunch"] > 0


def test_the_same_seed_draws_the_same_and_later_rows_change_nothing(
    land: Land, spec_of: Spec, rows: list[TraceRow]
) -> None:
    def told(count: int, seed: int) -> list[str]:
        work = draw(rows[:count], spec_of(durationError="0.5", redraws=5), land, seed)
        return [work.waiting(n).job.spec.model_dump_json() for n in range(len(work))]

    assert told(60, 7) == told(96, 7)[:60]
    assert told(60, 7) != told(60, 8)


def test_a_row_that_no_site_could_run_is_left_out_and_said_why(land: Land, spec_of: Spec) -> None:
    rows = [TraceRow(0, 1, 1), TraceRow(1, 1, 500), TraceRow(2, 1, 9_999_999)]
    work = draw(rows, spec_of(), land, 1)
    assert (len(work), work.left_out) == (1, 2)
    assert "500" in work.left_out_example
    assert "none of 2 sites" in work.left_out_example


def test_wrong_expectations_are_off_both_ways(land: Land, spec_of: Spec) -> None:
    rows = [TraceRow(i, 10, 1) for i in range(400)]
    work = draw(rows, spec_of(durationError="0.3", redraws=20), land, 3)
    log = np.log(work.expected_min / 600)
    assert abs(log.mean()) < 0.05
    assert log.std() == pytest.approx(0.3, rel=0.15)


def test_the_probe_says_what_placement_says(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    work = draw(rows[:40], spec_of(redraws=20), land, 1)
    for n in range(len(work)):
        decision = place([work.waiting(n)], land.views, land.country, int(work.arrival_ms[n])).decisions[
            work.waiting(n).uid
        ]
        assert decision.site is not None
        assert decision.class_ is not None
        assert work.probe.allowed_tp[work.type_n[n], land.pool_index[decision.site, decision.class_]]


def test_units_make_as_few_equal_tasks_as_nodes_allow() -> None:
    assert [gang(units, 8) for units in (1, 8, 9, 31, 48)] == [(1, 1), (1, 8), (3, 3), (31, 1), (6, 8)]


def test_a_faster_class_runs_a_job_in_less_time(spec_of: Spec) -> None:
    slow, fast = a_class("slow", petaflops="0.3", declaredUnits=8), a_class("fast", petaflops="0.6", declaredUnits=8)
    sites = [a_site("one", region="coast", classes=[slow]).site, a_site("two", region="coast", classes=[fast]).site]
    land = land_of(a_country([a_region("coast")]), sites, "1")
    kind = {"name": "any", "classes": [{"names": ["slow", "fast"]}]}
    work = draw([TraceRow(0, 2, 1)], spec_of(origins={"coast": 1}, kinds=[kind]), land, 1)
    assert work.probe.stretch_tp.tolist() == [[1.0, 0.5]]
    run = Simulation(
        land, work, Greedy(BASELINES["cheapest"], land, work, Meter(land, work).expected_p, 1), cycle_ms=1_000
    )
    while run.advance():
        pass
    ran = run.ran()
    assert land.site_name(int(ran.pool_n[0])) == "two"
    assert ran.end_ms[0] - ran.start_ms[0] == MS_PER_HOUR
    assert Meter(land, work).bill(ran).run[0] == pytest.approx(1_000_000)
