"""Rules that make jobs impossible, pull both ways or do nothing: who is meant, why, and what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given

from checker import Judge
from suanli.api.job import Category
from suanli.base.reasons import Reason
from suanli.placement.consistency import policy_findings
from suanli.placement.contradictions import Kind, contradictions
from suanli.placement.snapshot import Country
from worlds import (
    Raw,
    Taste,
    World,
    a_class,
    a_country,
    a_job,
    a_policy,
    a_random_world,
    a_region,
    a_site,
    seeded,
    tastes,
)

HUBS = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "steppe", "side": "West", "regions": ["there"]},
]
TIERS = [{"name": "city", "oneWay": "1ms"}, {"name": "wide", "oneWay": "20ms"}]
BOTH = [a_site("east"), a_site("west", region="there", labels={"grade": "a"})]


def a_map(*rules: Raw, **policy: Any) -> Country:
    """East at "here", West at "there" 960 km from it, and "aside" outside the hubs."""
    regions = [a_region("here", "30", "110"), a_region("there", "30", "120"), a_region("aside", "30", "110.1")]
    spec = {"hubs": HUBS, "latencyTiers": TIERS, "placementRules": list(rules), **policy}
    return a_country(regions, policy=a_policy(**spec))


def rule(name: str, **more: Any) -> Raw:
    weight = {} if more.get("effect", "Require") == "Require" else {"weight": "500000"}
    return {"name": name, "effect": "Require", **weight, **more}


def found(*rules: Raw, sites: Any = BOTH, **policy: Any) -> list[tuple[bool, Reason, str]]:
    made = contradictions(a_map(*rules, **policy), [view.site for view in sites])
    return [(finding.is_error, finding.reason, finding.text) for finding in made]


def test_nothing_is_wrong_with_rules_that_can_all_hold() -> None:
    west = rule("west", match={"originSides": ["East"], "tiers": ["wide", "any"]}, sides=["West"])
    near = rule("near", match={"originSides": ["East"], "tiers": ["city"]}, sides=["East"])
    assert found(west, near, rule("like", effect="Prefer", siteSelector={"matchLabels": {"grade": "a"}})) == []


def test_without_a_policy_or_a_site_nothing_is_asked() -> None:
    lost = rule("lost", siteSelector={"matchLabels": {"no": "where"}})
    assert found(lost, sites=[]) == []
    assert contradictions(a_country(), []) == []
    assert found(lost, sites=[a_site(region="atlantis")]) == []


LOST = {"siteSelector": {"matchLabels": {"no": "where"}}}
EASTERN_CORES = [a_site("east", {"cpu": []}, classes=[a_class("cpu", "Core")]), BOTH[1]]
CASES: dict[str, tuple[list[Raw], Any, tuple[bool, Reason, str]]] = {
    "no site is what a rule requires": (
        [rule("lost", match={"categories": ["Backup"], "tiers": ["any"]}, **LOST)],
        BOTH,
        (
            True,
            Reason.MATCHES_NOTHING,
            "rule lost requires no=where, and no ComputeSite is such a one: jobs of Backup in tier any can run nowhere; "
            "join one, or change the rule",
        ),
    ),
    "two rules of the same jobs require different sites": (
        [
            rule(
                "go",
                match={"originSides": ["East"], "categories": ["Backup"], "tiers": ["wide", "any"]},
                sides=["West"],
            ),
            rule("stay", match={"categories": ["Backup", "Finance"], "tiers": ["any"]}, sides=["East"]),
        ],
        BOTH,
        (
            True,
            Reason.CONTRADICTION,
            "rule go requires West and rule stay requires East, and no ComputeSite is both: jobs of Backup of the East in "
            "tier any can run nowhere; narrow the match of one of the rules",
        ),
    ),
    "three rules leave nothing, though any two do": (
        [rule(f"r{i}", match={"tiers": ["any"]}, siteSelector={"matchLabels": {f"l{i}": "y"}}) for i in range(3)],
        [a_site(f"s{i}", labels={f"l{j}": "y" for j in range(3) if j != i}) for i in range(3)],
        (
            True,
            Reason.CONTRADICTION,
            "rule r0 requires l0=y and rule r1 requires l1=y and rule r2 requires l2=y, and no ComputeSite is all of this: "
            "jobs in tier any can run nowhere; narrow the match of one of the rules",
        ),
    ),
    "no such site has the compute that the rule is about": (
        [rule("cores", match={"computeTypes": ["General"], "tiers": ["any"]}, sides=["West"])],
        EASTERN_CORES,
        (
            True,
            Reason.MATCHES_NOTHING,
            "rule cores requires West, and no such ComputeSite offers General compute: jobs on General compute in tier any "
            "can run nowhere; join one that does, or change the rule",
        ),
    ),
    "no such site has any compute": (
        [rule("go", match={"tiers": ["any"]}, sides=["West"])],
        [BOTH[0], a_site("bare", {}, region="there")],
        (
            True,
            Reason.MATCHES_NOTHING,
            "rule go requires West, and no such ComputeSite offers any compute: jobs in tier any can run nowhere; join one "
            "that does, or change the rule",
        ),
    ),
    "what a rule requires is too far for its tier": (
        [rule("go", match={"originSides": ["East"], "tiers": ["city"], "categories": ["Backup"]}, sides=["West"])],
        BOTH,
        (
            True,
            Reason.CONTRADICTION,
            "rule go requires West, and tier city allows 1ms, but the nearest such ComputeSite, west, is 7.221ms from here, "
            "the nearest region of the East: jobs of Backup of the East in tier city can run nowhere; exempt the tier by "
            "match.tiers, or change the rule",
        ),
    ),
    "what a rule about all tiers requires is too far for one": (
        [rule("go", match={"originSides": ["East"]}, sides=["West"])],
        BOTH,
        (
            False,
            Reason.CONTRADICTION,
            "rule go requires West, and tier city allows 1ms, but the nearest such ComputeSite, west, is 7.221ms from here, "
            "the nearest region of the East: jobs of the East in tier city can run nowhere; exempt the tier by match.tiers, "
            "or change the rule",
        ),
    ),
    "one side of those that a rule about a tier does not tell apart is too far": (
        [rule("near", match={"tiers": ["city"], "categories": ["Finance"]}, sides=["East"])],
        BOTH,
        (
            False,
            Reason.CONTRADICTION,
            "rule near requires East, and tier city allows 1ms, but the nearest such ComputeSite, east, is 7.221ms from "
            "there, the nearest region of the West: jobs of Finance of the West in tier city can run nowhere; exempt the "
            "tier by match.tiers, or change the rule",
        ),
    ),
    "the same sites are preferred and avoided": (
        [
            rule("like", effect="Prefer", sides=["West"]),
            rule("shun", effect="Avoid", weight="2000000", hubs=["steppe"], match={"categories": ["Backup"]}),
        ],
        BOTH,
        (
            False,
            Reason.CONTRADICTION,
            "rules like and shun prefer and avoid the same sites: for jobs of Backup they come to 1.50 CNY a task and hour on "
            "top; leave one of them",
        ),
    ),
    "no site is what a rule prefers": (
        [rule("like", effect="Prefer", **LOST)],
        BOTH,
        (
            False,
            Reason.MATCHES_NOTHING,
            "rule like prefers no=where, and no ComputeSite is such a one: the rule has no effect; join one or drop it",
        ),
    ),
    "what a rule avoids is forbidden anyway": (
        [
            rule("shun", effect="Avoid", match={"tiers": ["any"]}, sides=["West"]),
            rule("stay", match={"tiers": ["wide", "any"]}, sides=["East"]),
        ],
        BOTH,
        (
            False,
            Reason.CONTRADICTION,
            "rule shun avoids West, which Require rules forbid to the same jobs: the rule has no effect; drop it",
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_told_with_who_suffers_why_and_the_remedy(case: str) -> None:
    rules, sites, finding = CASES[case]
    assert found(*rules, sites=sites) == [finding]


def test_a_green_site_outside_the_hubs_may_be_all_that_a_rule_needs() -> None:
    green = {"minGreenShare": "0.8", "maxPue": "1.2", "tiers": ["any"]}
    aside = a_site("aside", region="aside", energy={"greenShare": "0.9", "pue": "1.1"})
    go = rule("go", match={"originSides": ["East"], "tiers": ["any"]}, sides=["West"])
    assert found(go, sites=[BOTH[0], aside], greenSites=green) == []
    assert [is_error for is_error, _, _ in found(go, sites=[BOTH[0], aside])] == [True]


def test_errors_come_first_and_targets_and_enclaves_are_remarks() -> None:
    made = found(
        rule("lost", match={"tiers": ["any"]}, **LOST),
        targets=[
            {"kpi": "happiness", "comparison": "AtLeast", "value": "1"},
            {"kpi": "hub-usage-gap-fp16", "comparison": "AtLeast", "value": "0"},
        ],
        pairings=[{"from": "coast", "to": "steppe", "kind": "Enclave", "siteSelector": {"matchLabels": {"a": "b"}}}],
    )
    assert [is_error for is_error, _, _ in made] == [True, False, False]
    assert made[1][2].startswith('target "happiness" is no figure that is computed; there are new-compute-hub-share, ')
    assert made[2][2] == "the enclave of hub coast in hub steppe has no ComputeSite; join one there"


def test_names_that_nobody_knows_are_told_alone() -> None:
    country = a_map(rule("lost", **LOST), pairings=[{"from": "coast", "to": "moon", "kind": "Enclave"}])
    assert [f.text for f in policy_findings(country, [v.site for v in BOTH])] == [
        'the enclave of coast and moon names hub "moon", which the policy does not have'
    ]
    green = {"minGreenShare": "0.8", "maxPue": "1.2", "tiers": ["far"]}
    assert [f.reason for f in policy_findings(a_map(greenSites=green), [])] == [Reason.UNKNOWN_TIER]


# --- the same by trying: every region, every site, every rule, as the checker reads them


def possible(judge: Judge, kind: Kind) -> bool:
    """Whether a job of this kind, from some region of its side, has a class of compute that no rule and no bound forbids."""
    policy = judge.country.policy
    assert policy is not None
    for region in judge.country.regions:
        if judge.ways.side(region) != kind.side:
            continue
        latency: Raw = {} if kind.tier == "any" else {"latency": {"tier": kind.tier}}
        job = a_job(origin=region, category=kind.category, **latency)
        for place in judge.places.values():
            if place.resource.type != kind.type_ or place.site.spec.region not in judge.country.regions:
                continue
            bound, way = judge.bound_us(job.job.spec), judge.ways.way(region, place.key[0], place.site.spec.region)
            near = bound is None or (way is not None and way.us <= bound)
            if near and judge.policy_forbids(job, place) is None:
                return True
    return False


@seeded(150)
@given(tastes(jobs=0, sites=5, fewest=0, plain=False))
def test_it_is_told_that_jobs_can_run_nowhere_when_that_is_so(taste: Taste) -> None:
    world = a_random_world(taste)
    judge = Judge(list(world.sites), world.country, world.now_ms)
    made = contradictions(world.country, [view.site for view in world.sites])
    told = {kind for finding in made for kind in finding.kinds}
    assert not [kind for kind in told if possible(judge, kind)]
    rules = world.country.policy.spec.placement_rules if world.country.policy else []
    if any(rule.match.compute_types for rule in rules if rule.effect == "Require"):
        return  # what a rule leaves out without meaning it is not told; here it cannot be told apart so simply
    left_out = {(kind.category, kind.side, kind.tier) for kind in told}
    for kind in check_kinds(world, judge):
        if (kind.category, kind.side, kind.tier) not in left_out:
            others = [replace(kind, type_=type_) for type_ in offered(judge)]
            assert any(possible(judge, other) for other in others), kind


def offered(judge: Judge) -> set[str]:
    return {str(p.resource.type) for p in judge.places.values() if p.site.spec.region in judge.country.regions}


def check_kinds(world: World, judge: Judge) -> Iterator[Kind]:
    """Every kind of job that a Require rule is about, of the classes that there are."""
    policy = world.country.policy
    sides = {judge.ways.side(region) for region in world.country.regions}
    for category, side, type_, tier in product(Category, sides, offered(judge), (*world.country.tiers, "any")):
        for rule in policy.spec.placement_rules if policy else []:
            lists: list[tuple[Sequence[str], str]] = [
                (rule.match.categories, category),
                (rule.match.origin_sides, side),
                (rule.match.tiers, tier),
            ]
            if rule.effect == "Require" and all(value in listed for listed, value in lists if listed):
                yield Kind(category, side, type_, tier)
