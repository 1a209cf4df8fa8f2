"""The admission policy on new building outside the hubs, with the HubPolicy named national as its parameter."""

from collections.abc import Callable, Iterator

import pytest

from harness.shell import wait_for
from manifests import Manifest, a_policy, a_site, changed
from verdicts import Hub

HUBS = [
    {
        "name": "delta",
        "side": "East",
        "regions": ["shanghai"],
        "clusters": [{"name": "wuhu", "regions": ["wuhu"], "pueCeiling": "1.25"}],
    },
    {"name": "gansu", "side": "West", "regions": ["lanzhou"]},
]
Enforce = Callable[..., None]


@pytest.fixture(scope="module")
def national(hub: Hub) -> Iterator[Hub]:
    """The hub, which has no policy afterwards."""
    yield hub
    hub.kubectl("delete", "hubpolicy", "national", "--ignore-not-found")


@pytest.fixture
def enforce(national: Hub) -> Iterator[Enforce]:
    """Puts a policy in force, and returns when admission goes by it: it learns of it a moment later."""

    def put(limit: int, enforcement: str = "Deny") -> None:
        new_build = {"maxRacksOutsideHubs": limit, "enforcement": enforcement}
        national.verdicts([a_policy("national", hubs=HUBS, newBuild=new_build)], "apply")
        probe = a_site("probe", region="nowhere", standardRacks=1_000_000)
        wait_for(f"a limit of {limit}", lambda: f"maxRacksOutsideHubs is {limit};" in create(national, probe))

    yield put
    national.kubectl("delete", "csite", "old", "--ignore-not-found")


def create(hub: Hub, site: Manifest, *flags: str) -> str:
    """All that is said to a site, warnings too."""
    return hub.says("create", *(flags or ("--dry-run=server",)), manifest=site)


def test_a_large_new_site_outside_the_hubs_is_denied(hub: Hub, enforce: Enforce) -> None:
    enforce(2_999)
    said = create(hub, a_site("big", region="wuhan", standardRacks=3_000))
    assert "created" not in said
    assert "ComputeSite big: spec.standardRacks: 3000" in said
    assert 'region "wuhan" is in no hub of HubPolicy national' in said
    assert "build at most 2999 standard racks there, or choose a region of a hub" in said


@pytest.mark.parametrize(
    ("region", "racks"), [("wuhan", 2_999), ("wuhan", 0), ("shanghai", 50_000), ("wuhu", 50_000), ("lanzhou", 3_000)]
)
def test_a_site_at_the_limit_or_in_a_hub_is_taken(hub: Hub, enforce: Enforce, region: str, racks: int) -> None:
    enforce(2_999)
    said = create(hub, a_site("other", region=region, standardRacks=racks))
    assert said.strip() == "computesite.suanli.io/other created (server dry run)"


def test_with_warn_it_is_taken_with_a_warning(hub: Hub, enforce: Enforce) -> None:
    enforce(2_998, "Warn")
    said = create(hub, a_site("big", region="wuhan", standardRacks=2_999))
    assert "computesite.suanli.io/big created" in said
    assert "Warning: " in said
    assert "ComputeSite big: spec.standardRacks: 2999" in said
    assert "maxRacksOutsideHubs is 2998" in said


def test_what_stands_already_may_be_changed_but_not_grow(hub: Hub, enforce: Enforce) -> None:
    old = a_site("old", region="wuhan", standardRacks=8_000)
    enforce(8_000)
    assert "created" in create(hub, old, "--save-config")
    enforce(2_997)
    renamed, smaller, larger = (
        changed(old, "spec.operator", "a new one"),
        changed(old, "spec.standardRacks", 7_999),
        changed(old, "spec.standardRacks", 8_001),
    )
    assert hub.verdicts([renamed], "apply", "--dry-run=server") == {"old": ""}
    assert hub.verdicts([smaller], "apply", "--dry-run=server") == {"old": ""}
    assert "ComputeSite old: spec.standardRacks: 8001" in hub.verdicts([larger], "apply", "--dry-run=server")["old"]


def test_the_operator_may_write_the_status_of_what_is_too_large(hub: Hub, enforce: Enforce) -> None:
    enforce(8_000)
    assert "created" in create(hub, a_site("old", region="wuhan", standardRacks=8_000), "--save-config")
    enforce(2_996)
    patch = '{"status": {"side": "Outside", "sizeClass": "Large"}}'
    assert "patched" in hub.says("patch", "csite", "old", "--subresource=status", "--type=merge", "--patch", patch)


def test_a_policy_that_leaves_the_limit_out_means_large_sites(hub: Hub, enforce: Enforce) -> None:
    enforce(1)
    hub.kubectl(
        "patch", "hubpolicy", "national", "--type=json", '-p=[{"op":"replace","path":"/spec/newBuild","value":{}}]'
    )
    big, small = (
        a_site("big", region="wuhan", standardRacks=3_000),
        a_site("small", region="wuhan", standardRacks=2_999),
    )
    wait_for("a limit of 2999", lambda: "maxRacksOutsideHubs is 2999;" in create(hub, big))
    assert "created" in create(hub, small)


def test_without_a_limit_or_without_a_policy_all_sites_are_taken(hub: Hub, enforce: Enforce) -> None:
    enforce(2_995)
    big = a_site("big", region="wuhan", standardRacks=900_000)
    assert "created" not in create(hub, big)
    hub.kubectl("patch", "hubpolicy", "national", "--type=json", '-p=[{"op":"remove","path":"/spec/newBuild"}]')
    wait_for("no limit", lambda: "created" in create(hub, big))
    enforce(2_994)
    hub.kubectl("delete", "hubpolicy", "national")
    wait_for("no policy", lambda: "created" in create(hub, big))


def test_other_policies_do_not_bind(hub: Hub, enforce: Enforce) -> None:
    hub.verdicts([a_policy("another", hubs=HUBS, newBuild={"maxRacksOutsideHubs": 1})], "apply")
    enforce(5_000)
    said = create(hub, a_site("big", region="wuhan", standardRacks=4_000))
    assert "created" in said
    hub.kubectl("delete", "hubpolicy", "another")
