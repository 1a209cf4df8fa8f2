from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.placement.batch import FOREVER_US, MOST, bound_us, group, in_order, make_batch, queue_order, tier_of
from suanli.placement.snapshot import specs_of
from worlds import NOW_MS, a_class, a_country, a_job, a_node, a_policy, a_site, seeded

TIERS = a_policy(
    latencyTiers=[
        {"name": "wide", "oneWay": "20ms"},
        {"name": "city", "oneWay": "1ms"},
        {"name": "region", "oneWay": "5ms"},
        {"name": "twin", "oneWay": "5ms"},
    ]
)


@pytest.mark.parametrize(
    ("latency", "bound", "tier"),
    [
        (None, FOREVER_US, "any"),
        ({"tier": "region"}, 5_000, "region"),
        ({"tier": "twin"}, 5_000, "twin"),
        ({"oneWay": "1ms"}, 1_000, "city"),
        ({"oneWay": "1.001ms"}, 1_001, "region"),
        ({"oneWay": "20ms"}, 20_000, "wide"),
        ({"oneWay": "21ms"}, 21_000, "any"),
    ],
)
def test_bounds_and_tiers(latency: dict[str, str] | None, bound: int, tier: str) -> None:
    job = a_job(latency=latency) if latency else a_job()
    country = a_country(policy=TIERS)
    assert (bound_us(job.job.spec, country), tier_of(job.job.spec, country)) == (bound, tier)


def test_alike_are_jobs_that_placement_cannot_tell_apart() -> None:
    jobs = [
        a_job("a", submitted_ms=2),
        a_job("b", submitted_ms=1, template={"image": "another"}),
        a_job("c", account="other"),
        a_job("d", backoff={"one": "it failed"}),
        a_job("e", backoff={"one": "it failed again"}),
        a_job("f", tasks=2),
        a_job("g", priority=1),
        a_job("h", timing={"expectedDuration": "2h"}),
        a_job("i", limits={"maxCost": "5"}),
    ]
    rows, line_j = group(jobs)
    assert sorted(["".join(job.uid for job in row.jobs) for row in rows]) == ["ba", *"cdefghi"]
    turns = [iter(row.jobs) for row in rows]
    assert [next(turns[r]).uid for r in line_j.tolist()] == [job.uid for job in sorted(jobs, key=queue_order)]


def test_an_object_that_jobs_share_is_looked_into_once() -> None:
    one, other = a_job("a"), a_job("b", tasks=2)
    specs, number_j = specs_of([one, other, replace(one, uid="c"), a_job("d")])
    assert number_j == [0, 1, 0, 2]
    assert [spec.tasks for spec in specs] == [1, 2, 1]


def test_the_queue_is_by_priority_then_age_then_uid() -> None:
    jobs = [a_job("d"), a_job("c", submitted_ms=-1), a_job("b"), a_job("a", priority=1, submitted_ms=9)]
    assert [job.uid for job in sorted(jobs, key=queue_order)] == ["a", "c", "b", "d"]


@seeded(100)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=30))
def test_all_jobs_together_are_brought_into_that_order(drawn: list[tuple[int, int, int]]) -> None:
    jobs = [
        replace(a_job(f"job-{-i % 7}-{i}", priority=priority, submitted_ms=submitted_ms), turn=turn)
        for i, (priority, turn, submitted_ms) in enumerate(drawn)
    ]
    assert in_order(jobs) == sorted(jobs, key=queue_order)


def test_pools_are_the_classes_of_the_sites_by_name() -> None:
    sites = [
        a_site("two", rooms={"gpu": [a_node(3)]}, resources=[a_class("npu"), a_class("gpu")]),
        a_site("one"),
        a_site("three", rooms={}),
    ]
    batch = make_batch([a_job(classes=["npu", "xpu", "gpu"])], sites, a_country(), NOW_MS)
    assert [view.site.metadata.name for view in batch.sites] == ["one", "three", "two"]
    assert [(p.site, p.resource.class_, len(p.room.free)) for p in batch.pools] == [
        (0, "gpu", 1),
        (2, "npu", 0),
        (2, "gpu", 1),
    ]
    assert batch.wish_rp.tolist() == [[2, 0, 2]]
    assert batch.over_sites(np.array([[False, True, False]])).tolist() == [[False, False, True]]


def test_arrays_hold_whole_units_and_cut_what_is_beyond_them() -> None:
    jobs = [
        a_job("a", cores="1500m", memory="1.5Gi", tasks=3),
        a_job("b", submitted_ms=1, memory="1Pi", cards=0, limits={"maxCost": "7"}, timing={"expectedDuration": "1.5s"}),
    ]
    batch = make_batch(jobs, [a_site()], a_country(), NOW_MS)
    assert batch.need_rk.tolist() == [[1_500, 3 << 29, 1, 1], [1_000, 1 << 50, 0, 1]]
    assert batch.tasks_r.tolist() == [3, 1]
    assert batch.duration_ms_r.tolist() == [3_600_000, 1_500]
    assert batch.deadline_ms_r.tolist() == [MOST, MOST]
    assert batch.max_cost_r.tolist() == [np.inf, 7.0]
