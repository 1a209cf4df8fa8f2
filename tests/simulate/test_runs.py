from collections.abc import Callable
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from pages import Page
from suanli.placement.kpis import KPIS
from suanli.simulate.engine import Simulation
from suanli.simulate.facts import facts_of
from suanli.simulate.land import Land
from suanli.simulate.outcome import edges, percentile
from suanli.simulate.policies import BASELINES, Offer, Suanli
from suanli.simulate.report import charts, html
from suanli.simulate.result import Asked, Result, as_json
from suanli.simulate.runs import POLICIES, Runs
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
HOUR_MS = 3_600_000


def asked(work: Workload) -> Asked:
    return Asked("a <small> one", 1, 60_000, int(work.arrival_ms[0]), len(work), 2, 1, "too & large", 2, ("odd <b>",))


def simulated(land: Land, work: Workload, *policies: str, cycles: int | None = None, seed: int = 1) -> Result:
    runs = Runs(land, work, policies or POLICIES, seed=seed, cycle_ms=60_000)
    done = 0
    while (cycles is None or done < cycles) and runs.advance():
        done += 1
    return runs.result(asked(work), interrupted=cycles is not None)


@pytest.fixture
def work(land: Land, spec_of: Spec, rows: list[TraceRow]) -> Workload:
    return draw(rows, spec_of(redraws=20), land, 1)


@pytest.fixture
def whole(land: Land, work: Workload) -> Result:
    return simulated(land, work)


def test_the_same_seed_gives_the_same_bytes(land: Land, work: Workload, whole: Result) -> None:
    again = simulated(land, work)
    assert as_json(again) == as_json(whole)
    assert html(again) == html(whole)
    assert as_json(simulated(land, work, "random", seed=2)) != as_json(simulated(land, work, "random", seed=3))


def test_baselines_count_no_less_than_suanli(whole: Result) -> None:
    suanli, *baselines = whole.outcomes
    assert [o.policy for o in whole.outcomes] == list(POLICIES)
    assert all(o.jobs == suanli.jobs for o in baselines)
    for baseline in baselines:
        assert baseline.money.counted_micro_yuan >= suanli.money.counted_micro_yuan * 0.999, baseline.policy
    dearer = {o.policy for o in baselines if o.money.counted_micro_yuan > suanli.money.counted_micro_yuan}
    assert {"nearest", "random"} <= dearer


def test_what_is_metered_adds_up(whole: Result, work: Workload) -> None:
    units = np.array([t.units for t in work.types])[work.type_n]
    is_card = np.array([t.kind.unit == "Card" for t in work.types])[work.type_n]
    unit_hours = units * work.run_ms / HOUR_MS
    for o in whole.outcomes:
        assert o.card_hours == pytest.approx(unit_hours[is_card].sum())
        assert o.core_hours == pytest.approx(unit_hours[~is_card].sum())
        assert sum(m.unit_hours for m in o.metered) == pytest.approx(unit_hours.sum())
        assert sum(f.card_hours + f.core_hours for f in o.flows) == pytest.approx(unit_hours.sum())
        assert sum(m.jobs for m in o.metered) == sum(f.jobs for f in o.flows) == len(work)
        assert o.queue[-1].jobs == len(work) == sum(q.jobs for q in o.queue[:-1])
        money = o.money
        assert money.paid_micro_yuan == money.run_micro_yuan + money.energy_micro_yuan + money.transfer_micro_yuan
        assert all(0 <= m.use <= 1 for m in o.metered)
        for use in o.use:
            assert max(use.share) <= 1.0
            mean = sum(use.share) / len(use.share)
            of_site = [m for m in o.metered if (m.site, m.unit) == (use.site, use.unit)]
            assert mean == pytest.approx(sum(m.use for m in of_site) / len(of_site), rel=0.1, abs=0.01)


def test_figures_of_the_policy_say_what_they_are_made_from(whole: Result) -> None:
    by_policy = {o.policy: {k.name: k for k in o.kpis} for o in whole.outcomes}
    near, ours = by_policy["nearest"], by_policy["suanli"]
    for o in whole.outcomes:
        found = by_policy[o.policy]
        assert KPIS.keys() <= {k.rsplit("-", 1)[0] if k not in KPIS else k for k in found}
        assert found["tier-compliance"].value == "1.0000"
        assert 1.15 <= float(found["work-average-pue"].value or 0) <= 1.25
        assert (found["average-pue"].target, found["average-pue"].met) == ("AtMost 1.5", "True")
        assert float(found["work-average-pue"].numerator or 0) == pytest.approx(o.energy_kwh, abs=0.001)
    share = ours["east-to-west-share-cards"]
    east_h = sum(f.card_hours for f in whole.outcomes[0].flows if f.source_side == "East")
    west_h = sum(f.card_hours for f in whole.outcomes[0].flows if (f.source_side, f.target_side) == ("East", "West"))
    assert (float(share.numerator or 0), float(share.denominator or 0)) == pytest.approx((west_h, east_h), abs=1e-5)
    assert float(near["east-to-west-share-cards"].value or 0) < float(share.value or 0)


def test_use_in_the_figures_is_the_mean_over_the_whole_time(land: Land, work: Workload) -> None:
    runs = Runs(land, work, ["suanli"], seed=1, cycle_ms=60_000)
    while runs.advance():
        pass
    (found,) = runs.result(asked(work), interrupted=False).outcomes
    run = Simulation(land, work, Suanli(land, work), cycle_ms=60_000)
    while run.advance():
        pass
    facts = facts_of(land, work, run.ran())
    held = {(m.site, m.class_): m.use * m.units for m in found.metered}
    assert facts.units
    for units in facts.units:
        at = units.site.metadata.name, units.resource.class_
        assert units.used_milli / 1_000 == pytest.approx(held[at], abs=0.001)


def test_an_interrupted_run_keeps_what_it_has_of_all_policies(land: Land, work: Workload) -> None:
    found = simulated(land, work, cycles=250)
    assert found.partial
    assert all(o.partial for o in found.outcomes)
    moments = [o.until for o in found.outcomes]
    assert max(moments) - min(moments) <= HOUR_MS
    assert all(0 < o.jobs.placed < len(work) for o in found.outcomes)
    assert "Partial result" in html(found)
    assert '"partial": true' in as_json(found)


def test_what_an_interrupted_run_tells_is_how_the_whole_one_began(land: Land, work: Workload) -> None:
    part, whole = (Simulation(land, work, Suanli(land, work), cycle_ms=60_000) for _ in range(2))
    for _ in range(40):
        assert part.advance()
    while whole.advance():
        pass
    begun, ended = part.ran(), whole.ran()
    placed = begun.pool_n >= 0
    assert begun.partial
    assert 0 < placed.sum() < len(work)
    for name in ("pool_n", "placed_ms", "start_ms", "end_ms"):
        assert (getattr(begun, name)[placed] == getattr(ended, name)[placed]).all()


def test_before_the_first_cycle_there_is_a_result_of_nothing(land: Land, work: Workload) -> None:
    found = simulated(land, work, cycles=0)
    assert [o.jobs.placed for o in found.outcomes] == [0] * len(POLICIES)
    by_name = {kpi.name: kpi for kpi in found.outcomes[0].kpis}
    assert by_name["work-green-share"].value is None
    assert "no work of classes with a rated power is on record" in html(found)


def test_the_page_needs_nothing_else_and_its_charts_are_xml(whole: Result) -> None:
    page = Page(html(whole))
    assert page.addresses == []
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed"})
    assert len(page.svgs) == 6
    for svg in page.svgs:
        root = ET.fromstring(svg)
        named = {element.get("id") for element in root.iter()}
        assert root.get("role") == "img"
        assert set((root.get("aria-labelledby") or "").split()) <= named
        assert root.find("title") is not None
    assert "a &lt;small&gt; one" in page.text
    assert "odd &lt;b&gt;" in page.text
    assert "too &amp; large" in page.text


def test_a_chart_of_its_own_says_what_it_is(whole: Result) -> None:
    for chart in charts(whole):
        assert ET.fromstring(chart.file).tag == "{http://www.w3.org/2000/svg}svg"


def test_each_baseline_goes_by_one_thing() -> None:
    offer = Offer(
        np.array([3, 1, 2]),
        lambda: np.array([0.5, 0.7, 0.1]),
        lambda: np.array([1.0, 2.0, 3.0]),
        lambda: np.array([9.0, 8.0, 7.0]),
    )
    best = {name: int(baseline(offer).argmin()) for name, baseline in BASELINES.items()}
    assert best == {"nearest": 1, "cheapest": 0, "spread": 2, "random": 2}


def test_percentiles_are_nearest_rank_and_edges_are_even() -> None:
    assert [percentile([1, 2, 3, 4], p) for p in (50, 95, 99)] == [2, 4, 4]
    assert percentile([], 99) == 0
    assert edges(0, 100, 4).tolist() == [0, 25, 50, 75, 100]
    assert len(np.unique(edges(5, 5, 4))) == 5
