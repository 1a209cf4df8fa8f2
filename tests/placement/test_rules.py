"""Whom a rule names: green sites outside the hubs, and the sites of a pairing."""

from typing import Any

import pytest

from checker import violations
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Country
from worlds import World, a_class, a_country, a_job, a_policy, a_region, a_site, a_world

HUBS = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "steppe", "side": "West", "regions": ["there"]},
    {"name": "hills", "side": "West", "regions": ["hill"]},
]
GO_WEST = {"name": "go", "match": {"originSides": ["East"]}, "effect": "Require", "sides": ["West"]}
GREEN = {"minGreenShare": "0.80", "maxPue": "1.25", "tiers": ["wide", "any"]}
BAND = {"from": "00:00", "to": "24:00", "pricePerKwh": "0"}


def a_map(**policy: Any) -> Country:
    """The East at "here", the West at "there" and "hill", and "aside" outside of all."""
    places = {"here": "110", "there": "111", "hill": "112", "aside": "113"}
    regions = [a_region(name, "30", longitude) for name, longitude in places.items()]
    tiers = [{"name": "city", "oneWay": "1ms"}, {"name": "wide", "oneWay": "20ms"}]
    return a_country(regions, policy=a_policy(hubs=HUBS, latencyTiers=tiers, **policy))


def aside(name: str, share: str, pue: str) -> Any:
    return a_site(name, region="aside", energy={"greenShare": share, "pue": pue, "priceSchedule": [BAND]})


def site_of(world: World, uid: str = "job") -> str | None:
    plan = world.plan()
    assert violations(*world.question, plan) == []
    return plan.decisions[uid].site


# --- green sites outside the hubs

LAX = a_map(placementRules=[GO_WEST], greenSites=GREEN)


@pytest.mark.parametrize(
    ("share", "pue", "tier", "goes"),
    [
        ("0.80", "1.25", "wide", True),
        ("1", "1", None, True),
        ("0.799999", "1.25", "wide", False),
        ("0.80", "1.250001", "wide", False),
        ("1", "1", "city", False),
    ],
)
def test_a_site_that_is_green_enough_serves_the_east_as_if_it_were_west(
    share: str, pue: str, tier: str | None, goes: bool
) -> None:
    job = a_job(latency={"tier": tier} if tier else None)
    assert site_of(a_world([job], [aside("green", share, pue)], LAX)) == ("green" if goes else None)


def test_what_it_lacks_is_told_in_numbers() -> None:
    plan = a_world([a_job()], [aside("one", "0.65", "1.30")], LAX).plan()
    told = plan.decisions["job"].placement.rejections[0]
    assert (told.reason, told.example) == (
        Reason.POLICY_FORBIDS,
        "one is outside the hubs with green share 0.65 and PUE 1.30 (greenSites: at least 0.80, at most 1.25); "
        "rule go requires West",
    )


def test_it_serves_nobody_where_the_policy_says_nothing_of_green_sites() -> None:
    assert site_of(a_world([a_job()], [aside("green", "1", "1")], a_map(placementRules=[GO_WEST]))) is None


@pytest.mark.parametrize(("origin", "goes"), [("here", True), ("hill", False), ("aside", False)])
def test_it_serves_the_east_only(origin: str, goes: bool) -> None:
    everybody = {"name": "all", "effect": "Require", "sides": ["West"]}
    country = a_map(placementRules=[everybody], greenSites=GREEN)
    assert site_of(a_world([a_job(origin=origin)], [aside("green", "1", "1")], country)) == ("green" if goes else None)


def test_it_is_in_no_hub_and_a_green_site_in_the_east_stays_eastern() -> None:
    in_hub = {**GO_WEST, "hubs": ["steppe"]}
    assert (
        site_of(a_world([a_job()], [aside("green", "1", "1")], a_map(placementRules=[in_hub], greenSites=GREEN)))
        is None
    )
    eastern = a_site("one", energy={"greenShare": "1", "pue": "1"})
    assert site_of(a_world([a_job()], [eastern], LAX)) is None


def test_what_is_preferred_in_the_west_is_preferred_at_green_sites_too() -> None:
    prefer = {**GO_WEST, "effect": "Prefer", "weight": "600000"}
    sites = [aside("green", "1", "1"), aside("grey", "0", "1"), a_site("near", resources=[a_class(listPrice="0.5")])]
    plan = a_world([a_job()], sites, a_map(placementRules=[prefer], greenSites=GREEN)).plan()
    assert plan.decisions["job"].site == "green"
    assert [r.site for r in plan.decisions["job"].placement.runners_up] == ["near", "grey"]


def test_the_checker_finds_a_job_at_a_site_that_is_not_green_enough() -> None:
    green, grey = (a_world([a_job()], [aside("one", share, "1.2")], LAX) for share in ("0.9", "0.7"))
    assert violations(*green.question, green.plan()) == []
    assert "which falls to PolicyForbids" in str(violations(*grey.question, green.plan()))


# --- pairings


@pytest.mark.parametrize(
    ("origin", "pairing", "goes"),
    [
        ("here", {"weight": "100000"}, "paired"),
        ("here", {}, "cheap"),
        ("there", {"weight": "100000"}, "cheap"),
        ("here", {"weight": "100000", "siteSelector": {"matchLabels": {"owner": "coast"}}}, "own"),
    ],
)
def test_a_pairing_is_worth_its_weight_at_its_sites(origin: str, pairing: dict[str, Any], goes: str) -> None:
    country = a_map(pairings=[{"from": "coast", "to": "hills", "kind": "Pairing", **pairing}])
    sites = [
        a_site("cheap", region="there"),
        a_site("own", region="hill", labels={"owner": "coast"}, resources=[a_class(listPrice="1.02")]),
        a_site("paired", region="hill", resources=[a_class(listPrice="1.01")]),
    ]
    assert site_of(a_world([a_job(origin=origin)], sites, country)) == goes


def test_subsidies_without_end_make_a_plan_like_any_other() -> None:
    most = "9999999999"
    prefers = [{"name": f"p{i}", "effect": "Prefer", "sides": ["West"], "weight": most} for i in range(64)]
    both = [
        {"from": a, "to": b, "kind": "Pairing", "weight": most} for a, b in (("coast", "steppe"), ("steppe", "coast"))
    ]
    jobs = [
        a_job(f"{o}-{i}", cards=5, origin=o, timing={"expectedDuration": "8760h"})
        for o in ("here", "there")
        for i in range(3)
    ]
    world = a_world(jobs, [a_site("near"), a_site("far", region="there")], a_map(placementRules=prefers, pairings=both))
    plan = world.plan()
    assert violations(*world.question, plan) == []
    assert sum(d.site is not None for d in plan.decisions.values()) == 2


def test_a_country_with_rules_and_without_sites_or_regions_refuses_in_words() -> None:
    country = Country({}, {}, a_map(placementRules=[GO_WEST], greenSites=GREEN).policy)
    for sites in ([], [aside("green", "1", "1")]):
        plan = a_world([a_job()], sites, country).plan()
        assert plan.decisions["job"].reason == Reason.UNKNOWN_REGION


def test_the_checker_finds_a_pairing_that_was_not_counted() -> None:
    pairing = {"from": "coast", "to": "hills", "kind": "Pairing"}
    plain, worth = (a_map(pairings=[{**pairing, **more}]) for more in ({}, {"weight": "100"}))
    sites = [a_site("paired", region="hill")]
    made = a_world([a_job()], sites, plain).plan()
    assert "policy costs 0, it should be -100" in str(violations(*a_world([a_job()], sites, worth).question, made))
