from collections.abc import Callable

import numpy as np
import pytest

from suanli.placement.scores import SCORES
from suanli.placement.solve import place
from suanli.simulate.engine import Simulation
from suanli.simulate.land import Land
from suanli.simulate.meter import Meter
from suanli.simulate.policies import Suanli
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import draw

Spec = Callable[..., ScenarioSpec]


def test_a_bill_is_what_placement_expected_where_it_knew_the_time(land: Land, spec_of: Spec) -> None:
    """Whole minutes, jobs far apart: each runs as if alone, and placement's own cost lines say what it costs."""
    rows = [TraceRow(i * 30, 1 + (i % 5) * 7, 1 + i % 8) for i in range(40)]
    work = draw(rows, spec_of(redraws=20), land, 2)
    run = Simulation(land, work, Suanli(land, work), cycle_ms=1_000)
    while run.advance():
        pass
    ran, meter = run.ran(), Meter(land, work)
    bill = meter.bill(ran)
    for n in range(len(work)):
        moment = int(ran.start_ms[n])
        decision = place([work.waiting(n)], land.views, land.country, moment).decisions[work.waiting(n).uid]
        lines = decision.placement.cost
        assert lines is not None
        p = land.pool_index[decision.site or "", decision.class_ or ""]
        assert meter.expected_p(n, moment)[p] == pytest.approx(int(lines.total), abs=3)
        if p == ran.pool_n[n]:
            for line in SCORES:
                assert getattr(bill, line)[n] == pytest.approx(int(getattr(lines, line)), abs=1)
    assert bill.paid.sum() == pytest.approx(bill.run.sum() + bill.energy.sum() + bill.transfer.sum())


def test_what_has_not_run_yet_costs_nothing_yet(land: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    work = draw(rows, spec_of(redraws=20), land, 1)
    run = Simulation(land, work, Suanli(land, work), cycle_ms=60_000, until_ms=int(work.arrival_ms[45]))
    while run.advance():
        pass
    ran = run.ran()
    bill = Meter(land, work).bill(ran)
    hours = np.clip(ran.now_ms - ran.start_ms, 0, work.run_ms) / 3_600_000
    units = np.array([work.types[t].units for t in work.type_n])
    assert bill.unit_hours == pytest.approx((hours * units)[ran.pool_n >= 0])
