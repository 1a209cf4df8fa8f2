"""Two plans side by side."""

from collections.abc import Mapping

from hypothesis import given

from suanli.api.site import ComputeUnit
from suanli.placement.difference import Use, compare, placed_by_tier, use
from suanli.placement.question import Answered, Held, Question
from worlds import (
    Taste,
    World,
    a_class,
    a_country,
    a_job,
    a_node,
    a_policy,
    a_random_world,
    a_site,
    a_world,
    seeded,
    tastes,
)


def answered(world: World, held: Mapping[str, Held] | None = None) -> Answered:
    return Answered(Question(*world.question), world.plan(), held or {})


@seeded(60)
@given(tastes(jobs=10, sites=4, fewest=1))
def test_every_job_is_counted_once(taste: Taste) -> None:
    world = a_random_world(taste)
    other = World(world.jobs[1:], world.sites[1:], world.country, world.now_ms)
    before, after = answered(world), answered(other)
    d = compare(before, after)
    told = sum(d.moved.values()) + len(d.newly_waiting) + len(d.newly_placed) + d.same_place + d.still_wait
    assert told == len(world.jobs) - 1
    assert (d.came, d.went) == ((), (world.jobs[0].uid,))
    assert compare(before, before).nothing
    back = compare(after, before)
    assert (back.newly_waiting, back.newly_placed) == (d.newly_placed, d.newly_waiting)
    assert {(b, a): n for (a, b), n in back.moved.items()} == dict(d.moved)


def test_use_counts_what_is_held_and_what_is_planned() -> None:
    sites = [
        a_site(
            "one",
            {"gpu": [a_node()], "cpu": [a_node(2, cards=0, cores=8)]},
            classes=[a_class(), a_class("cpu", "Core")],
        ),
        a_site("two"),
    ]
    jobs = [a_job("a", cards=2, tasks=3), a_job("b", classes=["cpu"], cards=0, cores="1500m", tasks=2)]
    held = {"h": Held(a_job("h", cards=1), "two", "gpu", 0, 5), "lost": Held(a_job("lost"), "gone", "gpu", 0)}
    found = answered(a_world(jobs, sites), held)
    assert use(found) == {
        ("one", "gpu"): Use(ComputeUnit.CARD, 6, 8, 1),
        ("one", "cpu"): Use(ComputeUnit.CORE, 3_000, 16_000, 1),
        ("two", "gpu"): Use(ComputeUnit.CARD, 1, 8, 1),
    }
    assert [found.paid(uid) for uid in ("a", "h", "lost")] == [6_000_000, 5, 0]
    assert found.place_of("h") == ("two", "gpu")


def test_tiers_count_who_has_a_place_of_all_who_ask() -> None:
    policy = a_policy(latencyTiers=[{"name": "city", "oneWay": "1ms"}])
    jobs = [
        a_job("a", cards=8, latency={"tier": "city"}),
        a_job("b", cards=8, latency={"tier": "city"}),
        a_job("c", cards=9),
    ]
    assert placed_by_tier(answered(a_world(jobs, [a_site()], a_country(policy=policy)))) == {
        "any": (0, 1),
        "city": (1, 2),
    }
