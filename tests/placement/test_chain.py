"""One job's chain says what the plan's own decision says, site by site."""

from collections import Counter

import pytest
from hypothesis import given

from suanli.placement.chain import STEPS, Chain, chain
from suanli.placement.filters import FILTERS
from suanli.placement.question import Question
from worlds import Taste, a_class, a_job, a_node, a_random_world, a_site, a_world, seeded, tastes


@seeded(150)
@given(tastes(jobs=10, fewest=1))
def test_it_is_what_the_decision_counts_and_costs(taste: Taste) -> None:
    question = Question(*a_random_world(taste).question)
    plan = question.plan()
    for job in question.waiting:
        decision, found = plan.decisions[job.uid], chain(question, job)
        if not (decision.placement.rejections or found.ways):
            assert found == Chain()
            continue
        told = Counter({r.reason: r.count for r in decision.placement.rejections})
        fell = Counter(str(f.reason) for f in found.fallen)
        if decision.site is None and found.ways:
            fell["WaitingForCapacity"] += len({way.site for way in found.ways})
        assert told == fell
        assert {f.site for f in found.fallen}.isdisjoint(way.site for way in found.ways)
        if decision.placement.cost is not None and decision.estimate is not None:
            (way,) = [w for w in found.ways if (w.site, w.class_) == (decision.site, decision.class_)]
            assert {k: str(v) for k, v in way.lines.items()} == decision.placement.cost.model_dump()
            assert 0 <= way.paid - int(decision.estimate.cost or 0) <= 1


def test_ways_are_in_the_order_of_cost_and_sites_in_that_of_the_filters() -> None:
    both = {"gpu": [a_node()], "npu": [a_node()]}
    sites = [
        a_site("full", {"gpu": [a_node(cards=0)]}, empty={"gpu": [a_node()]}),
        a_site("off", desiredState="Inactive"),
        a_site("other", {"xpu": [a_node()]}),
        a_site("two", both, classes=[a_class("gpu", listPrice="3"), a_class("npu", listPrice="1")]),
        a_site("one", classes=[a_class(listPrice="2")]),
    ]
    job = a_job(classes=["gpu", "npu"])
    found = chain(Question(*a_world([job], sites).question), job)
    assert [(w.site, w.class_, w.total, w.paid) for w in found.ways] == [
        ("two", "npu", 1_000_000, 1_000_000),
        ("one", "gpu", 2_000_000, 2_000_000),
        ("two", "gpu", 3_000_000, 3_000_000),
    ]
    assert [(f.site, f.reason, f.why) for f in found.fallen] == [
        ("other", "ClassNotOffered", "offers xpu, not gpu, npu"),
        ("off", "SiteInactive", "has spec.desiredState Inactive, not Active"),
        ("full", "WaitingForCapacity", "has 0 cards of gpu free now, the job needs 1"),
    ]
    names = [f.__name__ for f in FILTERS]
    assert [f.step for f in found.fallen] == [
        names.index(name) + 1 for name in ("offered_class", "active_site", "free_units")
    ]
    assert len(names) == STEPS


@pytest.mark.parametrize("spec", [{"origin": "atlantis"}, {"desiredState": "Suspended"}, {"classes": ["xpu"]}])
def test_a_job_for_which_no_site_is_asked_has_none(spec: dict[str, str]) -> None:
    job = a_job(**spec)  # type: ignore[arg-type]
    assert chain(Question(*a_world([job], [a_site()]).question), job) == Chain()
