"""The figures of a policy: by hand, and against a second reckoning that shares no code."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from checker import ratios
from suanli.api.policy import Kpi
from suanli.placement.kpis import KPIS, NAMES, Facts, Figure, Units, Work, facts_of, figures, shown
from suanli.placement.snapshot import Country
from worlds import (
    Raw,
    Taste,
    a_class,
    a_country,
    a_job,
    a_link,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    a_world,
    seeded,
    tastes,
)

CLUSTER = {"pueCeiling": "1.25"}
HUBS = [
    {"name": "coast", "side": "East", "clusters": [{"name": "bay", "regions": ["here"], **CLUSTER}]},
    {"name": "steppe", "side": "West", "clusters": [{"name": "camp", "regions": ["there"], **CLUSTER}]},
]
TIERS = [{"name": "city", "oneWay": "1ms"}, {"name": "wide", "oneWay": "20ms"}]
HOUR_MS = 3_600_000


def a_map(**policy: Any) -> Country:
    """East "here", West "there", and "aside" outside the hubs; a link of 12 ms between East and West."""
    regions = [a_region("here", "30", "110"), a_region("there", "30", "120"), a_region("aside", "30", "110.1")]
    spec = {"hubs": HUBS, "latencyTiers": TIERS, "newBuild": {"since": "2023-01-01"}, **policy}
    return a_country(regions, [a_link("here", "there", "12ms")], a_policy(**spec))


def some(name: str, region: str, *classes: tuple[Raw, int, int], **spec: Any) -> list[Units]:
    """A site with units that are there and in use, in whole cards or cores."""
    site = a_site(name, {}, region=region, classes=[raw for raw, _, _ in classes], **spec).site
    return [
        Units(site, resource, 1_000 * has, 1_000 * used)
        for resource, (_, has, used) in zip(site.spec.resources, classes, strict=True)
    ]


def facts(country: Country, *units: Units, work: tuple[Work, ...] = ()) -> Facts:
    return Facts(country, {u.site.metadata.name: u.site for u in units}, units, work)


def told(figure: Figure, *more: str) -> list[Any]:
    """Value, numerator and denominator, and what else is asked for."""
    return [figure.value, figure.numerator, figure.denominator, *(getattr(figure, name) for name in more)]


def by_name(made: Facts) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(made)}


HALF = a_class("half", petaflops="0.5", precision="FP16", ratedPowerW=1_000)
SINGLE = a_class("single", petaflops="0.25", precision="FP32", ratedPowerW=500)
CPU = a_class("cpu", "Core", petaflops="0.001", precision="FP32", ratedPowerW=10)


def test_precisions_never_meet_and_what_is_not_new_does_not_count() -> None:
    made = by_name(
        facts(
            a_map(),
            *some("old", "here", (HALF, 100, 0), builtOn="2022-12-31"),
            *some("new", "here", (HALF, 30, 15), (SINGLE, 8, 8), builtOn="2023-01-01"),
            *some("out", "aside", (HALF, 10, 0), builtOn="2024-01-01"),
            *some("undated", "aside", (HALF, 1_000, 0)),
        )
    )
    assert [name for name in made if name.startswith("new-compute")] == [
        "new-compute-hub-share-fp16",
        "new-compute-hub-share-fp32",
    ]
    fp16 = made["new-compute-hub-share-fp16"]
    assert told(fp16, "precision") == [Fraction(3, 4), 15, 20, "FP16"]
    assert made["new-compute-hub-share-fp32"].value == 1


def test_the_gap_is_between_hubs_and_all() -> None:
    made = by_name(
        facts(
            a_map(),
            *some("in", "there", (HALF, 10, 5), (CPU, 100, 100)),
            *some("out", "aside", (HALF, 30, 5), (CPU, 100, 0)),
        )
    )
    gap = made["hub-usage-gap-fp16"]
    assert told(gap) == [Fraction(1, 2) - Fraction(10, 40), Fraction(5, 2), 5]
    assert gap.says == "of all sites 5 of 20 petaflops are in use"
    assert made["hub-usage-gap-fp32"].value == Fraction(1, 2)
    assert [made[f"western-utilisation-{at}"].value for at in ("fp16", "fp32")] == [Fraction(1, 2), 1]


def test_what_is_intelligent_is_counted_at_one_precision() -> None:
    made = by_name(facts(a_map(), *some("a", "here", (HALF, 9, 0), (SINGLE, 4, 0), (CPU, 1_000, 0))))
    assert (made["intelligent-share"].value, made["intelligent-share"].precision) == (Fraction(1, 2), "FP32")
    without = by_name(facts(a_map(), *some("a", "here", (HALF, 9, 0), (CPU, 1_000, 0))))["intelligent-share"]
    assert (without.value, without.says) == (None, "no intelligent class gives its petaflops at FP32")


def test_work_of_the_east_by_where_it_ran_cards_and_cores_apart() -> None:
    units = [
        *some("east", "here", (HALF, 1, 0), (CPU, 1, 0)),
        *some("west", "there", (HALF, 1, 0)),
        *some("out", "aside", (HALF, 1, 0)),
    ]
    card_hour = 1_000 * HOUR_MS
    work = (
        Work("here", "any", "west", "half", 3 * card_hour),
        Work("here", "wide", "east", "half", card_hour),
        Work("here", "any", "out", "half", card_hour),
        Work("there", "any", "west", "half", 50 * card_hour),
        Work("here", "any", "east", "cpu", 7 * card_hour),
        Work("here", "any", "gone", "half", 9 * card_hour),
        Work("here", "any", "west", "gone", 9 * card_hour),
    )
    made = by_name(facts(a_map(), *units, work=work))
    cards = made["east-to-west-share-cards"]
    assert told(cards, "unit") == [Fraction(3, 5), 3, 5, "card-hours"]
    assert told(made["east-to-west-share-cores"]) == [0, 0, 7]


def test_an_enclave_is_the_partners_as_far_as_its_work_is() -> None:
    enclave = {"from": "coast", "to": "steppe", "kind": "Enclave", "siteSelector": {"matchLabels": {"owner": "coast"}}}
    country = a_map(pairings=[enclave])
    own = some("own", "there", (HALF, 1, 0))
    own = [
        replace(u, site=a_site("own", {}, region="there", classes=[HALF], labels={"owner": "coast"}).site) for u in own
    ]
    work = (
        Work("here", "any", "own", "half", 3_000),
        Work("aside", "any", "own", "half", 1_000),
        Work("here", "any", "common", "half", 9_000),
    )
    made = by_name(facts(country, *own, *some("common", "there", (HALF, 1, 0)), work=work))
    assert made["enclave-partner-share-cards"].value == Fraction(3, 4)


def test_a_tier_is_kept_by_pairs_not_by_jobs() -> None:
    units = [*some("east", "here", (HALF, 1, 0)), *some("west", "there", (HALF, 1, 0))]
    work = (
        Work("here", "city", "east", "half", 10_000),
        Work("here", "city", "west", "half", 1),
        Work("here", "wide", "west", "half", 0),
        Work("here", "any", "west", "half", 5),
        Work("here", "gone", "west", "half", 5),
    )
    made = by_name(facts(a_map(), *units, work=work))["tier-compliance"]
    assert told(made) == [Fraction(2, 3), 2, 3]
    assert made.says == "city 1 of 2, wide 1 of 1"


def test_paths_between_clusters_against_the_straight_way() -> None:
    """By hand: 10 degrees of longitude at 30 degrees north are 962.7 km, 4,813 µs in straight fibre."""
    units = [
        *some("east", "here", (HALF, 1, 0)),
        *some("west", "there", (HALF, 1, 0)),
        *some("out", "aside", (HALF, 1, 0)),
    ]
    made = by_name(facts(a_map(), *units))
    for name in ("path-ratio", "path-ratio-worst"):
        assert told(made[name])[1:] == [12, Fraction(4813, 1000)]
        assert float(made[name].value or 0) == pytest.approx(2.493, abs=0.001)
    assert (made["path-ratio"].says, made["path-ratio-worst"].says) == ("1 pair of regions", "from here to there")
    unlinked = Country(a_map().regions, {}, a_map().policy)
    assert by_name(facts(unlinked, *units))["path-ratio"].value is None


def test_energy_is_weighed_by_power_and_losses() -> None:
    units = [
        *some("a", "here", (HALF, 1, 0), energy={"pue": "1.2", "greenShare": "0.5"}, builtOn="2023-01-01"),
        *some("b", "aside", (HALF, 3, 0), energy={"pue": "1.6", "greenShare": "0"}),
    ]
    made = by_name(facts(a_map(), *units, work=(Work("here", "any", "a", "half", 2_000 * HOUR_MS),)))
    assert made["average-pue"].value == Fraction(12 + 3 * 16, 40)
    assert made["green-share"].value == Fraction(6, 12 + 48)
    assert (made["green-share-new-hub"].value, made["green-share-new-hub"].denominator) == (
        Fraction(1, 2),
        Fraction(6, 5),
    )
    assert (made["work-average-pue"].value, made["work-green-share"].value) == (Fraction(6, 5), Fraction(1, 2))
    assert (made["work-average-pue"].numerator, made["work-average-pue"].unit) == (Fraction(12, 5), "kWh")


def test_large_new_sites_outside_the_hubs_are_counted_and_named() -> None:
    units = [
        *some("large", "aside", (HALF, 1, 0), standardRacks=3_000, builtOn="2023-01-01"),
        *some("small", "aside", (HALF, 1, 0), standardRacks=2_999, builtOn="2023-01-01"),
        *some("old", "aside", (HALF, 1, 0), standardRacks=9_000, builtOn="2020-01-01"),
        *some("hub", "here", (HALF, 1, 0), standardRacks=9_000, builtOn="2023-01-01"),
    ]
    made = by_name(facts(a_map(), *units))["non-hub-violations"]
    assert told(made, "says") == [1, 1, 2, "large"]


@pytest.mark.parametrize("country", [a_map(newBuild={}), a_country()])
def test_without_a_day_nothing_is_new_and_that_is_said(country: Country) -> None:
    made = by_name(facts(country, *some("a", "here", (HALF, 1, 0))))
    for name in ("new-compute-hub-share", "green-share-new-hub", "non-hub-violations"):
        assert made[name].value is None
        assert "newBuild.since" in made[name].says


def test_an_empty_country_has_every_figure_without_a_value_and_says_why() -> None:
    made = figures(Facts(a_map(), {}))
    assert {figure.kpi for figure in made} == set(KPIS)
    assert all(figure.value is None and figure.says for figure in made if figure.name != "non-hub-violations")


# --- targets


def targets(*wanted: tuple[str, str, str]) -> list[Any]:
    raw = [
        {"kpi": kpi, "comparison": comparison, "value": value, "by": "2025-12-31"} for kpi, comparison, value in wanted
    ]
    policy = a_map(targets=raw).policy
    return list(policy.spec.targets) if policy else []


def figure(name: str, kpi: str, value: Fraction | None) -> Figure:
    return Figure(name, kpi, value, Fraction(2), Fraction(3), "petaflops")


@pytest.mark.parametrize(
    ("value", "comparison", "met"),
    [
        (Fraction(2, 3), "AtLeast", "False"),
        (Fraction(666_667, 10**6), "AtLeast", "True"),
        (Fraction(666_667, 10**6), "AtMost", "True"),
        (Fraction(666_668, 10**6), "AtMost", "False"),
        (None, "AtMost", "Unknown"),
    ],
)
def test_targets_are_compared_exactly(value: Fraction | None, comparison: str, met: str) -> None:
    kpi = shown([figure("x-fp16", "x", value)], targets(("x-fp16", comparison, "0.666667")))[0]
    assert (kpi.met, kpi.by, kpi.target) == (met, "2025-12-31", f"{comparison} 0.666667")
    assert kpi.value == (None if value is None else "0.6667")


def test_a_target_is_about_all_precisions_but_for_one_that_has_its_own() -> None:
    made = [figure("x-fp16", "x", Fraction(1, 2)), figure("x-fp32", "x", Fraction(1, 2)), figure("y", "y", Fraction(1))]
    kpis = shown(made, targets(("x", "AtLeast", "0.6"), ("x-fp32", "AtLeast", "0.4")))
    assert [kpi.met for kpi in kpis] == ["False", "True", None]
    assert (kpis[0].numerator, kpis[0].denominator, kpis[0].unit) == ("2", "3", "petaflops")


def test_what_is_shown_fits_the_status_whatever_the_numbers() -> None:
    huge = Figure("x", "x", Fraction(10**50, 3), Fraction(10**50), Fraction(3), "sites", None, "n" * 999)
    kpi = shown([huge], [])[0]
    Kpi.model_validate(kpi.model_dump())
    assert kpi.message == "n" * 256


def test_numbers_that_no_country_can_come_to_are_told_by_their_power_of_ten() -> None:
    enormous = Figure("x", "x", Fraction(10**300, 7), Fraction(2 * 10**300), Fraction(14), "petaflops")
    (kpi,) = shown([enormous], [])
    assert (kpi.value, kpi.numerator, kpi.denominator) == ("1.428571E+299", "2.000000E+300", "14")


# --- of plans


def test_of_a_plan_by_hand() -> None:
    country = a_map()
    sites = [
        a_site("west", region="there", resources=[a_class(petaflops="0.5", ratedPowerW=1_000)], energy={"pue": "1.2"})
    ]
    jobs = [a_job("a", cards=2, tasks=3, timing={"expectedDuration": "30m"}), a_job("b", cards=99)]
    world_plan = a_world(jobs, sites, country).plan()
    made = by_name(facts_of(jobs, sites, country, world_plan))
    assert told(made["east-to-west-share-cards"]) == [1, 3, 3]
    assert made["western-utilisation-fp32"].value == Fraction(6, 8)


@seeded(150)
@given(tastes(jobs=12, sites=6))
def test_random_plans_have_the_figures_of_a_second_reckoning(taste: Taste) -> None:
    world = a_random_world(replace(taste, enclaves=taste.seed % 2 == 0))
    plan = world.plan()
    made = figures(facts_of(world.jobs, world.sites, world.country, plan))
    assert {f.name for f in made} <= NAMES
    own = ratios(*world.question, plan)
    ours = {f.name: f.value for f in made if f.value is not None and not f.name.startswith("path-ratio")}
    assert ours == own


@seeded(60)
@given(tastes(jobs=8, sites=4, fewest=1, huge=True))
def test_enormous_numbers_can_be_shown(taste: Taste) -> None:
    world = a_random_world(taste)
    made = figures(facts_of(world.jobs, world.sites, world.country, world.plan()))
    assert [Kpi.model_validate(kpi.model_dump()) for kpi in shown(made, [])]


def test_the_second_reckoning_finds_a_figure_that_is_wrong() -> None:
    country, sites = a_map(), [a_site("west", region="there"), a_site("east")]
    jobs = [a_job("a"), a_job("b", data={"allowedSites": ["east"]})]
    world = a_world(jobs, sites, country)
    plan = world.plan()
    elsewhere = replace(plan.decisions["b"], site="west")
    moved = replace(plan, decisions={**plan.decisions, "b": elsewhere})
    name = "east-to-west-share-cards"
    assert by_name(facts_of(jobs, sites, country, plan))[name].value != ratios(*world.question, moved)[name]
