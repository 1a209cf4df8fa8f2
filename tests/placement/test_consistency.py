"""What one object of the map says that others contradict."""

from typing import Any

import pytest

from suanli.base.reasons import Reason
from suanli.placement.consistency import link_trouble, policy_trouble, site_trouble
from worlds import a_link, a_policy, a_site

CLUSTER = {"name": "c", "regions": ["dale"], "pueCeiling": "1.25"}
HUB = {"name": "hub", "side": "East", "regions": ["here"], "clusters": [CLUSTER]}
POLICY = a_policy(hubs=[HUB], newBuild={"maxRacksOutsideHubs": 2_999})
REGIONS = {"here", "dale", "aside"}


def test_links_join_what_exists() -> None:
    assert link_trouble(a_link("here", "dale", "1ms"), {"here", "dale"}) is None
    assert link_trouble(a_link("here", "mu", "1ms"), {"here"}) == (
        Reason.UNKNOWN_ENDPOINT,
        'spec.endpoints: "mu" is neither a ComputeRegion nor a ComputeSite; create it or correct the name',
    )


@pytest.mark.parametrize(
    ("region", "racks", "pue", "trouble"),
    [
        ("dale", 99_999, "1.25", None),
        ("here", 99_999, "4", None),
        ("aside", 2_999, "4", None),
        (
            "dale",
            1,
            "1.250001",
            (Reason.PUE_ABOVE_CEILING, "PUE 1.250001 is above the ceiling 1.25 of cluster c"),
        ),
        (
            "aside",
            3_000,
            "1.1",
            (Reason.OUTSIDE_HUBS, "3000 standard racks outside all hubs; the policy's limit is 2999"),
        ),
    ],
)
def test_sites_keep_the_ceiling_and_the_limit(
    region: str, racks: int, pue: str, trouble: tuple[Reason, str] | None
) -> None:
    site = a_site(region=region, standardRacks=racks, energy={"pue": pue}).site
    assert site_trouble(site, POLICY) == trouble
    assert site_trouble(site, None) is None


def test_a_policy_that_sets_no_limit_limits_nothing() -> None:
    assert site_trouble(a_site(region="aside", standardRacks=99_999).site, a_policy(hubs=[HUB])) is None


def rule(**fields: Any) -> dict[str, Any]:
    return {"name": "stay", "effect": "Require", "sides": ["East"], **fields}


@pytest.mark.parametrize(
    ("spec", "trouble"),
    [
        ({"hubs": [HUB]}, None),
        (
            {"hubs": [HUB, {"name": "two", "side": "West", "regions": ["mu"]}]},
            (Reason.UNKNOWN_REGION, 'hub two names region "mu", which does not exist; create it or correct the name'),
        ),
        (
            {"hubs": [{**HUB, "regions": ["here", "aside"]}, {"name": "two", "side": "West", "regions": ["aside"]}]},
            (Reason.CONTRADICTION, "region aside belongs to hubs hub and two; leave it in one"),
        ),
        ({"hubs": [HUB], "placementRules": [rule(hubs=["hub"])]}, None),
        (
            {"hubs": [HUB], "placementRules": [rule(hubs=["hub", "pub"])]},
            (Reason.MATCHES_NOTHING, 'rule stay names hub "pub", which the policy does not have'),
        ),
        ({"hubs": [HUB], "placementRules": [rule(match={"tiers": ["any"]})]}, None),
        (
            {"hubs": [HUB], "placementRules": [rule(match={"tiers": ["any", "city"]})]},
            (Reason.UNKNOWN_TIER, 'rule stay names tier "city", which the policy does not have'),
        ),
    ],
)
def test_policies_name_what_exists(spec: dict[str, Any], trouble: tuple[Reason, str] | None) -> None:
    assert policy_trouble(a_policy(**spec), REGIONS) == trouble
