"""What stays the same from one cycle to the next is made once, and made anew when any of it changes."""

from dataclasses import replace

import numpy as np
import pytest

from suanli.placement.batch import make_batch
from suanli.placement.ground import Sort, ground_of
from suanli.placement.packing import MOST_SLOTS, Nodes, Shape, rows_of, slots, slots_hp
from suanli.placement.snapshot import SiteView
from worlds import NOW_MS, a_class, a_country, a_job, a_policy, a_region, a_site

HUBS = [
    {"name": "coast", "side": "East", "regions": ["here"]},
    {"name": "steppe", "side": "West", "regions": ["there"]},
]
RULES = [
    {"name": "go", "match": {"originSides": ["East"]}, "effect": "Require", "sides": ["West"]},
    {"name": "not-there", "match": {"tiers": ["city"]}, "effect": "Require", "sides": ["East"]},
    {"name": "like", "match": {}, "effect": "Prefer", "sides": ["West"], "weight": "3"},
    {"name": "shun", "match": {"computeTypes": ["General"]}, "effect": "Avoid", "sides": ["West"], "weight": "5"},
]
REGIONS = [a_region("here", "30", "110"), a_region("there", "30", "111")]


def sites() -> list[SiteView]:
    cores = a_class("cpu", type="General")
    return [a_site("one", region="here"), a_site("two", region="there", resources=[a_class("gpu"), cores])]


def test_the_same_objects_share_a_ground_and_any_other_site_makes_a_new_one() -> None:
    country, views = a_country(REGIONS), sites()
    first = make_batch([a_job()], views, country, NOW_MS).ground
    full = [replace(view, classes={}, ready=False) for view in views]
    assert make_batch([], full, country, NOW_MS + 1).ground is first
    changed = [views[0], replace(views[1], site=views[1].site.model_copy())]
    second = make_batch([a_job()], changed, country, NOW_MS).ground
    assert second is not first
    assert ground_of(replace(country), second.sites) is not second
    assert [len(ground_of(country, second.sites[:n]).resources) for n in (0, 1, 2)] == [0, 1, 3]


def test_a_stance_adds_weights_and_names_the_first_rule_that_forbids() -> None:
    country = a_country(REGIONS, policy=a_policy(hubs=HUBS, placementRules=RULES))
    ground = ground_of(country, [view.site for view in sites()])
    east = ground.stance(Sort("Other", "coast", "East", "city", green=False))
    assert east.forbids_p.tolist() == [0, 1, 1]
    west = ground.stance(Sort("Other", "steppe", "West", "any", green=False))
    assert west.forbids_p.tolist() == [-1, -1, -1]
    assert west.weight_p.tolist() == [0, -3, 2]


def test_a_plan_is_the_same_on_a_ground_that_was_used_before() -> None:
    country, views = a_country(REGIONS, policy=a_policy(hubs=HUBS, placementRules=RULES[2:])), sites()
    job = a_job(data={"inputs": [{"name": "set", "region": "here", "size": "1Gi"}]})
    old = make_batch([job], views, country, NOW_MS)
    assert old.paths_us
    new = make_batch([job], views, a_country(REGIONS, policy=country.policy), NOW_MS)
    for name in ("duration_ms_rp", "one_way_us_us", "wish_rp", "empty_slots_rp", "free_slots_rp"):
        assert getattr(old, name).tolist() == getattr(new, name).tolist(), name


NODES: tuple[Nodes, ...] = (
    ((3, (8_000, 64, 8, 110)), (1, (16_000, 8, 0, 2))),
    (),
    ((10**30, (10**30, 10**30, 10**30, 10**30)),),
    ((MOST_SLOTS - 1, (1 << 60, 1 << 60, 5, 1 << 60)),),
)


@pytest.mark.parametrize("shape", [(1_000, 8, 1, 1), (0, 0, 0, 1), (3_000, 0, 0, 1), (1 << 60, 1 << 60, 9, 1)])
def test_slots_of_many_pools_are_those_of_each(shape: Shape) -> None:
    found = slots_hp([rows_of(nodes) for nodes in NODES], [shape, (1, 1, 1, 1)])
    expected = np.array([slots(nodes, shape) for nodes in NODES])
    assert found.shape == (2, len(NODES))
    assert np.minimum(found[0], 1 << 30).tolist() == np.minimum(expected, 1 << 30).tolist()
