"""What would help a job: each piece of advice is what the production solver does, and what does not help is not told."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import violations
from suanli.placement.advice import Advice, advise
from suanli.placement.question import Question
from suanli.placement.snapshot import Country, SiteView, WaitingJob
from worlds import (
    Taste,
    a_class,
    a_country,
    a_job,
    a_link,
    a_node,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    a_world,
    seeded,
    tastes,
)

TIERS = [{"name": "city", "oneWay": "1ms"}, {"name": "region", "oneWay": "5ms"}, {"name": "wide", "oneWay": "20ms"}]


def told(
    job: WaitingJob, sites: Sequence[SiteView], country: Country | None = None, others: Sequence[WaitingJob] = ()
) -> tuple[Advice, ...]:
    question = Question(*a_world([*others, job], sites, country).question)
    return advise(question, job.uid, question.plan())


def short(advice: tuple[Advice, ...]) -> list[tuple[str, str, str, str, int, int | None]]:
    return [(a.change.field, a.change.before, a.change.after, a.site, a.paid, a.saves) for a in advice]


def two_places(one_way: str = "3ms", price: str = "1") -> tuple[list[SiteView], Country]:
    """A dear site where the job's users are, and another one at a distance."""
    sites = [
        a_site("near", classes=[a_class(listPrice="5")]),
        a_site("far", region="there", classes=[a_class(listPrice=price)]),
    ]
    regions = [a_region("here"), a_region("there", "31", "111")]
    return sites, a_country(regions, [a_link("here", "there", one_way)], a_policy(latencyTiers=TIERS))


# --- what is told is true


@seeded(60)
@given(st.one_of(tastes(jobs=7, fewest=2), tastes(jobs=5, fewest=2, huge=True)))
def test_the_production_solver_does_what_is_told(taste: Taste) -> None:
    question = Question(*a_random_world(taste).question)
    plan = question.plan()
    for job in question.waiting:
        now = plan.decisions[job.uid]
        for advice in advise(question, job.uid, plan):
            asked = question.with_job(advice.change.job)
            then = asked.plan()
            decision = then.decisions[job.uid]
            assert violations(*asked[:4], then, asked.tenancy) == []
            assert (decision.site, decision.class_) == (advice.site, advice.class_)
            assert (advice.saves is None) == (now.site is None)
            assert advice.saves is None or advice.saves > 0
            spec, changed = job.job.spec, advice.change.job.job.spec
            type(changed).model_validate(changed.model_dump(mode="json", by_alias=True, exclude_none=True))
            different = [name for name in type(spec).model_fields if getattr(spec, name) != getattr(changed, name)]
            assert different == [{"max_cost": "limits"}.get(different[0], different[0])]
            assert different[0] not in ("origin", "template", "data", "category")


# --- one kind after the other


def test_looser_tiers_that_place_it() -> None:
    sites, country = two_places()
    assert short(told(a_job(latency={"tier": "city"}), sites[1:], country)) == [
        ("latency", "city (1ms)", "none", "far", 1_000_000, None),
        ("latency", "city (1ms)", "region (5ms)", "far", 1_000_000, None),
        ("latency", "city (1ms)", "wide (20ms)", "far", 1_000_000, None),
    ]
    assert short(told(a_job(latency={"oneWay": "4ms"}), two_places("6ms")[0][1:], two_places("6ms")[1])) == [
        ("latency", "4ms", "none", "far", 1_000_000, None),
        ("latency", "4ms", "wide (20ms)", "far", 1_000_000, None),
    ]


def test_a_tier_that_makes_it_cheaper_and_none_that_does_not() -> None:
    sites, country = two_places("6ms")
    assert short(told(a_job(latency={"tier": "city"}), sites, country)) == [
        ("latency", "city (1ms)", "none", "far", 1_000_000, 4_000_000),
        ("latency", "city (1ms)", "wide (20ms)", "far", 1_000_000, 4_000_000),
    ]
    assert told(a_job(latency={"tier": "city"}), *two_places("6ms", price="5")) == ()
    assert told(a_job(), sites, country) == ()


def test_another_class_of_the_same_kind_of_unit() -> None:
    rooms = {"gpu": [a_node(cards=0)], "npu": [a_node()], "cpu": [a_node(cards=0)]}
    empty = {**rooms, "gpu": [a_node()]}
    classes = [a_class("gpu"), a_class("npu", listPrice="2"), a_class("cpu", "Core")]
    site = a_site(rooms=rooms, empty=empty, classes=classes)
    assert short(told(a_job(), [site])) == [("resources.class", "gpu", "also npu", "one", 2_000_000, None)]
    full = a_job(classes=[f"class-{i}" for i in range(7)] + ["gpu"])
    assert told(full, [site]) == ()  # a list takes eight


def test_the_lowest_limit_of_cost_that_is_enough() -> None:
    sites = [a_site("dear", classes=[a_class(listPrice="9")]), a_site("fair", classes=[a_class(listPrice="3")])]
    job = a_job(limits={"maxCost": "2999999"})
    assert short(told(job, sites)) == [("limits.maxCost", "2999999", "3000000", "fair", 3_000_000, None)]
    rival = a_job("rival", cards=8, priority=1, data={"allowedSites": ["fair"]})
    assert short(told(job, sites, others=[rival])) == [
        ("limits.maxCost", "2999999", "9000000", "dear", 9_000_000, None)
    ]


def test_what_it_makes_others_pay_is_told() -> None:
    sites = [a_site("dear", classes=[a_class(listPrice="9")]), a_site("fair", classes=[a_class(listPrice="3")])]
    job = a_job(limits={"maxCost": "2999999"})
    (advice,) = told(job, sites, others=[a_job("rival", cards=8)])
    assert (advice.site, advice.paid, advice.others_pay) == ("fair", 3_000_000, 48_000_000)


def test_a_deadline_that_can_be_kept() -> None:
    job = a_job(timing={"expectedDuration": "2h", "deadline": "2026-01-31T09:00:00Z"})
    (advice,) = told(job, [a_site()])
    assert advice.change.field == "timing.deadline"
    assert advice.change.after == "2026-01-31T10:00:00Z"
    assert told(a_job(cards=9, timing={"expectedDuration": "2h", "deadline": "2026-01-31T09:00:00Z"}), [a_site()]) == ()
    past = a_job(timing={"expectedDuration": "8760h", "deadline": "2020-01-31T09:00:00Z"})
    assert told(past, [a_site()])[0].change.after == "2027-01-31T08:00:00Z"


def test_to_be_put_off_is_not_blamed_where_there_is_no_room() -> None:
    full = a_site(rooms={"gpu": [a_node(cards=0)]}, empty={"gpu": [a_node()]})
    assert told(a_job(timing={"deferrable": "12h"}), [full]) == ()


def test_the_lowest_priority_that_is_enough_and_who_waits_instead() -> None:
    others = [a_job(f"rival-{p}", cards=8, priority=p) for p in (3, 7, 9)]
    (advice,) = told(a_job(cards=8), [a_site("one"), a_site("two")], others=others)
    assert (advice.change.field, advice.change.before, advice.change.after) == ("priority", "0", "8")
    assert advice.displaced == ("rival-7",)
    alone = a_job(cards=9)
    assert told(alone, [a_site()]) == ()


def test_the_most_tasks_that_find_a_place() -> None:
    (advice,) = told(a_job(cards=4, tasks=9_000), [a_site(rooms={"gpu": [a_node(3)]})])
    assert (advice.change.field, advice.change.before, advice.change.after) == ("tasks", "9000", "6")
    assert advice.paid == 24_000_000


@pytest.mark.parametrize(
    "spec",
    [{"origin": "atlantis"}, {"desiredState": "Suspended"}, {"cards": 9}, {"data": {"allowedSites": ["gone"]}}],
)
def test_what_no_single_change_mends(spec: dict[str, Any]) -> None:
    assert told(a_job(tasks=2, **spec), [a_site()]) == ()
    assert told(a_job(**spec), []) == ()
