from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pytest

from suanli.simulate.engine import NEVER, Ran, Simulation
from suanli.simulate.land import Land
from suanli.simulate.meter import Meter
from suanli.simulate.policies import AT_ONCE, BASELINES, Greedy, Policy, Suanli
from suanli.simulate.rooms import Rooms
from suanli.simulate.runs import POLICIES
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
CYCLE_MS = 60_000


def policy(name: str, land: Land, work: Workload) -> Policy:
    if name in BASELINES:
        return Greedy(BASELINES[name], land, work, Meter(land, work).expected_p, 1)
    return Suanli(land, work, at_once=name == AT_ONCE)


def ran(land: Land, work: Workload, name: str = "suanli", until_ms: int | None = None) -> Ran:
    run = Simulation(land, work, policy(name, land, work), cycle_ms=CYCLE_MS, until_ms=until_ms)
    while run.advance():
        pass
    return run.ran()


@pytest.fixture
def work(land: Land, spec_of: Spec, rows: list[TraceRow]) -> Workload:
    return draw(rows, spec_of(redraws=20), land, 1)


@pytest.mark.parametrize("name", POLICIES)
def test_every_job_ends_once_at_a_place_that_may_take_it(land: Land, work: Workload, name: str) -> None:
    found = ran(land, work, name)
    assert not found.partial
    assert found.arrived == len(work)
    assert (found.pool_n != NEVER).all()
    assert work.probe.allowed_tp[work.type_n, found.pool_n].all()
    assert (found.placed_ms >= work.arrival_ms).all()
    assert (found.placed_ms % CYCLE_MS == 0).all()
    moving = work.probe.transfer_ms_tp[work.type_n, found.pool_n]
    assert (found.start_ms == found.placed_ms + moving).all()
    assert (found.end_ms == found.start_ms + work.run_ms).all()


@pytest.mark.parametrize("name", POLICIES)
def test_no_pool_ever_holds_more_than_it_declares(land: Land, work: Workload, name: str) -> None:
    """Counted from the record and the manifests alone, moment by moment."""
    found = ran(land, work, name)
    changes: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for n in range(len(work)):
        spec = work.waiting(n).job.spec
        pool = land.pools[found.pool_n[n]]
        key = (land.site_name(int(found.pool_n[n])), pool.resource.class_)
        each = spec.resources.per_task
        units = spec.tasks * (each.cards or int(each.cpu.removesuffix("m")) // 1_000)
        changes[key] += [(int(found.placed_ms[n]), 1, units), (int(found.end_ms[n]), 0, -units)]
    for (site, class_), moves in changes.items():
        view = next(v for v in land.sites if v.site.metadata.name == site)
        declared = next(r.declared_units for r in view.site.spec.resources if r.class_ == class_)
        held, most = 0, 0
        for _, _, units in sorted(moves):
            held += units
            most = max(most, held)
        assert declared is not None
        assert held == 0
        assert 0 < most <= declared


def test_some_jobs_wait_and_start_in_the_first_cycle_with_room(land: Land, work: Workload) -> None:
    found = ran(land, work)
    waited = found.placed_ms - work.arrival_ms
    assert (waited >= CYCLE_MS).sum() > 5
    assert (waited < CYCLE_MS).sum() > 5


def test_the_run_ends_when_it_is_to_and_its_jobs_go_on(land: Land, work: Workload) -> None:
    until_ms = int(work.arrival_ms[0]) + 36 * 3_600_000
    found, whole = ran(land, work, until_ms=until_ms), ran(land, work)
    assert found.partial
    assert found.now_ms == until_ms
    assert (work.arrival_ms[: found.arrived] <= until_ms).all()
    early = whole.placed_ms <= until_ms
    assert (found.pool_n[early] == whole.pool_n[early]).all()
    assert (found.pool_n[~early] == NEVER).all()
    assert (found.end_ms[early] > until_ms).any()


def test_a_job_that_never_fits_ends_nothing(land: Land, work: Workload) -> None:
    class Nobody:
        def __init__(self) -> None:
            self.gaps_ppm: list[int] = []
            self.put_off: set[int] = set()
            self.wake_ms: int | None = None

        def choose(
            self, waiting: Sequence[int], holding: Collection[int], rooms: Rooms, now_ms: int
        ) -> Mapping[int, int]:
            return {}

    run = Simulation(land, work, Nobody(), cycle_ms=CYCLE_MS)
    while run.advance():
        pass
    found = run.ran()
    assert (found.pool_n == NEVER).all()
    assert found.arrived == len(work)
    assert run.placed == 0


def test_a_cycle_is_held_only_where_something_changed(land: Land, work: Workload) -> None:
    found = ran(land, work)
    events = np.concatenate([work.arrival_ms, found.end_ms])
    assert found.cycles <= len(np.unique(-(-events // CYCLE_MS)))


def test_without_jobs_nothing_happens(land: Land, spec_of: Spec) -> None:
    none = draw([], spec_of(), land, 1)
    found = ran(land, none)
    assert (len(found.pool_n), found.cycles, found.partial) == (0, 0, False)
