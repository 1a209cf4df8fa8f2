"""A run becomes events that add up to it, however it is cut, with ids that follow from what they describe."""

import hashlib
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import a_site
from rates import A100, CPU, HOUR, HUB, T0, a_book, a_run, an_event, an_owner, events_of, identified
from suanli.api import ComputeSite
from suanli.api.site import ComputeUnit
from suanli.billing.event import UsageKind, class_facts, event_id, full_hours, pod_events

K = UsageKind


def amounts(run_ms: int, **held: Any) -> Counter[UsageKind]:
    found: Counter[UsageKind] = Counter()
    for event in pod_events(a_run(run_ms=run_ms), an_owner(), A100, **held):
        found[event.kind] += event.amount
    return found


def test_an_hour_of_four_cards_in_all_kinds() -> None:
    assert amounts(HOUR, scratch_bytes=10) == {
        K.CORE_TIME: 2_000 * HOUR,
        K.CARD_TIME: 4 * HOUR,
        K.MEMORY_TIME: (1 << 30) * HOUR,
        K.STORAGE_TIME: 10 * HOUR,
        K.ENERGY: 1_920_000,  # 4 x 400 W x 1.2
        K.CARBON: 768_000,  # 1.92 kWh x 500 g x 0.8
    }


def test_a_pod_that_holds_whole_nodes_is_counted_in_nodes_alone() -> None:
    assert amounts(HOUR, nodes=3).keys() == {K.NODE_TIME, K.ENERGY, K.CARBON}
    assert amounts(HOUR, nodes=3)[K.NODE_TIME] == 3 * HOUR


def test_cores_of_a_class_of_cores_take_its_power() -> None:
    events = pod_events(a_run(cards=0, cpu_milli=500), an_owner(), CPU)
    assert {e.kind: e.amount for e in events}[K.ENERGY] == 3_250  # half a core of 5 W x 1.3


def test_a_pod_that_ran_no_time_used_nothing() -> None:
    assert pod_events(a_run(run_ms=0), an_owner(), A100) == []


def test_a_run_is_cut_at_full_hours_and_where_bands_change() -> None:
    begin = T0 + DAY_AND_A_HALF
    cards = [e for e in events_of([a_run(begin, 3 * HOUR)], a_book()) if e.kind is K.CARD_TIME]
    assert [(e.start_ms - T0, e.end_ms - e.start_ms) for e in cards] == [
        (DAY_AND_A_HALF, HOUR // 2),  # Monday 07:30 in Shanghai; 08:00 is both
        (DAY_AND_A_HALF + HOUR // 2, HOUR),
        (DAY_AND_A_HALF + 3 * HOUR // 2, HOUR),
        (DAY_AND_A_HALF + 5 * HOUR // 2, HOUR // 2),
    ]


DAY_AND_A_HALF = 24 * HOUR + 15 * HOUR // 2


@given(
    run_ms=st.integers(1, 9 * HOUR),
    at=st.integers(0, HOUR),
    cuts=st.lists(st.integers(1, 9 * HOUR), max_size=8),
    watts=st.integers(0, 1_000),
    pue=st.integers(1_000_000, 2_000_000),
    factor=st.integers(0, 1_000),
    green=st.integers(0, 1_000_000),
)
@settings(max_examples=60, deadline=None)
def test_however_a_run_is_cut_its_events_add_up_to_the_whole_rounded_once(
    run_ms: int, at: int, cuts: list[int], watts: int, pue: int, factor: int, green: int
) -> None:
    facts = replace(A100, rated_power_w=watts, pue_micro=pue, grid_factor_g_per_kwh=factor, green_share_micro=green)
    run = a_run(T0 + at, run_ms, cards=3)
    sums: Counter[UsageKind] = Counter()
    for event in pod_events(run, an_owner(), facts, lambda a, b: sorted({a + c for c in cuts if a + c < b})):
        sums[event.kind] += event.amount
    mwh = Fraction(3 * watts * run_ms * pue, 3_600 * 1_000_000)
    carbon = mwh * factor / 1_000 * Fraction(1_000_000 - green, 1_000_000)
    assert sums[K.CARD_TIME] == 3 * run_ms
    assert sums[K.ENERGY] == int(mwh + Fraction(1, 2))
    assert sums[K.CARBON] == int(carbon + Fraction(1, 2))


def test_the_id_is_of_what_an_event_describes_and_not_of_how_much_it_was() -> None:
    event = an_event()
    assert event.id == event_id(HUB, event) == identified(HUB, replace(event, amount=1)).id
    changes: dict[str, Any] = {
            "site": "b", "job_uid": "b", "epoch": 2, "pod_uid": "b", "kind": K.ENERGY, "link": "b", "start_ms": 1, "end_ms": 1,
            "adjusts": "b",
    }  # fmt: skip
    others = [replace(event, **{name: value}) for name, value in changes.items()]
    assert len({event.id, event_id("hub-2", event), *(event_id(HUB, other) for other in others)}) == len(others) + 2


def test_adjustments_of_one_event_differ_by_their_amount() -> None:
    event = an_event()
    ids = {an_event(adjusts=event.id, amount=amount).id for amount in (-1, -2, -1)}
    assert len(ids) == 2


def test_the_id_is_what_the_documentation_says() -> None:
    """An auditor derives it by itself."""
    e = an_event()
    parts = ("event", HUB, e.site, "u1", "1", "p1", "card-time", "", str(T0), str(T0 + HOUR), "", "")
    assert e.id == hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@pytest.mark.parametrize(("start", "end", "borders"), [(0, HOUR, []), (1, HOUR, []), (0, HOUR + 1, [HOUR]), (5, 5, [])])
def test_full_hours_lie_strictly_between(start: int, end: int, borders: list[int]) -> None:
    assert list(full_hours(start, end)) == borders


def test_facts_are_read_from_the_site() -> None:
    energy = {"pue": "1.25", "greenShare": "0.4", "gridFactorGPerKwh": 581}
    resource = {
        "class": "a",
        "type": "Intelligent",
        "resourceName": "x/gpu",
        "unit": "Card",
        "precision": "FP16",
        "ratedPowerW": 310,
    }
    site = ComputeSite.model_validate(a_site(energy=energy, resources=[resource]))
    facts = class_facts(site, "a")
    assert facts is not None
    assert (facts.precision, facts.unit, facts.rated_power_w) == ("FP16", ComputeUnit.CARD, 310)
    assert (facts.pue_micro, facts.grid_factor_g_per_kwh, facts.green_share_micro) == (1_250_000, 581, 400_000)
    assert class_facts(site, "b") is None
