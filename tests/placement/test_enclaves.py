"""Enclaves: the partner's jobs first, what they leave for all."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from checker import violations
from suanli.placement import enclaves
from suanli.placement.snapshot import Country, Plan, SiteView, WaitingJob
from worlds import (
    Taste,
    World,
    a_class,
    a_country,
    a_job,
    a_node,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    a_world,
    seeded,
    tastes,
)

HUBS = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "delta", "side": "East", "regions": ["mouth"]},
    {"name": "steppe", "side": "West", "regions": ["there"]},
]
ENCLAVE = {"from": "coast", "to": "steppe", "kind": "Enclave"}


def a_map(*pairings: dict[str, Any]) -> Country:
    regions = [a_region("here", "30", "110"), a_region("mouth", "30", "111"), a_region("there", "30", "112")]
    return a_country(regions, policy=a_policy(hubs=HUBS, pairings=list(pairings)))


def steppe(name: str = "enclave", cards: int = 8, **more: Any) -> SiteView:
    return a_site(name, {"gpu": [a_node(cards=cards)]}, region="there", **more)


def partners(count: int, cards: int = 4, **more: Any) -> list[WaitingJob]:
    return [a_job(f"partner-{i}", cards=cards, submitted_ms=100 + i, **more) for i in range(count)]


def others(count: int, cards: int = 4, **more: Any) -> list[WaitingJob]:
    return [a_job(f"other-{i}", cards=cards, origin="mouth", submitted_ms=i, **more) for i in range(count)]


def plan_of(world: World) -> Plan:
    plan = world.plan()
    assert violations(*world.question, plan) == []
    return plan


def placed(plan: Plan) -> dict[str, str]:
    return {uid: decision.site for uid, decision in sorted(plan.decisions.items()) if decision.site}


def test_older_and_more_urgent_jobs_of_others_wait_behind_the_partner() -> None:
    jobs = [*others(2, priority=9), *partners(1)]
    plan = plan_of(a_world(jobs, [steppe()], a_map(ENCLAVE)))
    assert placed(plan) == {"other-0": "enclave", "partner-0": "enclave"}
    assert plan.decisions["other-1"].reason == "WaitingForCapacity"
    assert placed(plan_of(a_world(jobs, [steppe()], a_map()))) == {"other-0": "enclave", "other-1": "enclave"}


def test_what_the_partner_leaves_is_open_to_all() -> None:
    plan = plan_of(a_world([*others(3), *partners(1)], [steppe(cards=16)], a_map(ENCLAVE)))
    assert len(placed(plan)) == 4


def test_nobody_waits_for_a_partner_that_goes_elsewhere() -> None:
    near = a_site("near", resources=[a_class(listPrice="0.1")])
    plan = plan_of(
        a_world([*others(2, data={"allowedSites": ["enclave"]}), *partners(2)], [steppe(), near], a_map(ENCLAVE))
    )
    assert placed(plan) == {"other-0": "enclave", "other-1": "enclave", "partner-0": "near", "partner-1": "near"}


def test_who_is_pushed_out_finds_another_place_and_the_partner_comes_back_for_its_own() -> None:
    """The urgent job loses the enclave, takes the partner's place elsewhere, and the partner claims the enclave after all."""
    near = a_site("near", {"gpu": [a_node(cards=4)]}, resources=[a_class(listPrice="0.1")])
    jobs = [*others(3, priority=5), *partners(2)]
    plan = plan_of(a_world(jobs, [steppe(), near], a_map(ENCLAVE)))
    assert placed(plan) == {"other-0": "near", "partner-0": "enclave", "partner-1": "enclave"}


def test_among_partners_the_usual_order_holds() -> None:
    late = a_job("late", cards=8, submitted_ms=500, priority=1)
    plan = plan_of(a_world([*others(1, cards=8), *partners(1, cards=8), late], [steppe()], a_map(ENCLAVE)))
    assert placed(plan) == {"late": "enclave"}


def test_an_enclave_has_the_sites_with_its_labels() -> None:
    pairing = {**ENCLAVE, "siteSelector": {"matchLabels": {"owner": "coast"}}}
    sites = [steppe("own", labels={"owner": "coast"}), steppe("common")]
    plan = plan_of(a_world([*others(2, cards=8), *partners(2, cards=8)], sites, a_map(pairing)))
    assert placed(plan) == {"other-0": "common", "partner-0": "own"}


def test_an_agreement_gives_no_precedence() -> None:
    jobs = [*others(2), *partners(1)]
    plan = plan_of(a_world(jobs, [steppe()], a_map({**ENCLAVE, "kind": "Pairing"})))
    assert placed(plan) == {"other-0": "enclave", "other-1": "enclave"}


def test_a_partner_that_may_not_run_there_keeps_nobody_out() -> None:
    plan = plan_of(a_world([*others(2), *partners(2, latency={"oneWay": "1us"})], [steppe()], a_map(ENCLAVE)))
    assert placed(plan) == {"other-0": "enclave", "other-1": "enclave"}


def test_the_checker_finds_a_partner_that_was_passed_over() -> None:
    jobs = (*others(2, priority=9), *partners(1))
    open_to_all, enclave = (a_world(jobs, [steppe()], a_map(*pairings)) for pairings in ((), (ENCLAVE,)))
    assert "have its place in the enclave" in str(violations(*enclave.question, open_to_all.plan()))


@seeded(100)
@given(tastes(jobs=14, sites=3, fewest=3, one_node=True, enclaves=True))
def test_no_partner_is_passed_over_in_random_worlds(taste: Taste) -> None:
    plan_of(a_random_world(taste))


@seeded(50)
@given(tastes(jobs=14, sites=3, fewest=6, one_node=True, enclaves=True, tight=True))
def test_nor_where_claims_are_not_repaired_but_pools_closed(taste: Taste) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enclaves, "ROUNDS", 0)
        plan_of(a_random_world(taste))


@seeded(60)
@given(tastes(jobs=14, sites=3, fewest=6, one_node=True, enclaves=True, tight=True))
def test_equal_questions_have_equal_answers(taste: Taste) -> None:
    world = a_random_world(taste)
    turned = replace(world, jobs=world.jobs[::-1], sites=world.sites[::-1])
    assert turned.plan() == world.plan()


def test_partners_that_stand_there_already_keep_their_place_in_one_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    repairs = []
    repaired = enclaves.repaired

    def counted(*args: Any) -> Any:
        repairs.append(repaired(*args))
        return repairs[-1]

    monkeypatch.setattr(enclaves, "repaired", counted)
    jobs = [*others(2, priority=10), a_job("urgent", cards=4, priority=9), *partners(1)]
    plan = plan_of(a_world(jobs, [steppe(cards=12)], a_map(ENCLAVE)))
    assert placed(plan) == {"other-0": "enclave", "partner-0": "enclave", "urgent": "enclave"}
    assert [again is not None for again in repairs] == [True, False]
