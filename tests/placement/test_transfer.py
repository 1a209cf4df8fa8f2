"""Times of transfers by numbers reckoned by hand."""

from typing import Any

import numpy as np
import pytest

from suanli.api import ComputeLink
from suanli.base.clock import time_text
from suanli.placement.batch import Batch, make_batch
from suanli.placement.snapshot import Country, SiteView, WaitingJob
from suanli.placement.transfer import Traffic, least_ms_rs
from worlds import NOW_MS, a_country, a_job, a_link, a_region, a_site, a_world

TEN_GIB_MS = 10_738  # 10 x 2^30 x 8 bits at 8 Gbit/s
REGIONS = [a_region("here"), a_region("there", "31", "111"), a_region("lonely", "35", "115")]


def a_map(*links: ComputeLink) -> Country:
    return a_country(REGIONS, links or [a_link("there", "here", "3ms", bandwidth="8G")])


def reading(name: str = "job", *inputs: dict[str, Any], **more: Any) -> WaitingJob:
    """A job with inputs, by default 10 GiB that lie there."""
    told = inputs or ({"region": "there", "size": "10Gi"},)
    data = {"inputs": [{"name": f"part-{i}", **one} for i, one in enumerate(told)]}
    return a_job(name, data=data, timing={"deadline": "2026-02-01T08:00:00Z"}, **more)


def a_batch(*jobs: WaitingJob, country: Country | None = None, sites: tuple[SiteView, ...] = (a_site(),)) -> Batch:
    return make_batch(jobs, sites, country or a_map(), NOW_MS)


def alone(job: WaitingJob, country: Country | None = None, site: SiteView | None = None) -> tuple[int | None, int]:
    """The time of a plan with this job only, and the least time."""
    b = a_batch(job, country=country, sites=(site or a_site(),))
    return Traffic(b, np.array([[1]])).ms(0, 0), int(least_ms_rs(b)[0, 0])


def test_alone_it_takes_bytes_over_bandwidth() -> None:
    assert alone(reading()) == (TEN_GIB_MS, TEN_GIB_MS)


def test_the_narrowest_link_counts() -> None:
    country = a_map(a_link("there", "lonely", "3ms", bandwidth="400G"), a_link("lonely", "here", "3ms", bandwidth="8G"))
    assert alone(reading(), country) == (TEN_GIB_MS, TEN_GIB_MS)


def test_what_lies_here_takes_no_time() -> None:
    assert alone(reading("job", {"region": "here", "size": "9Ti"})) == (0, 0)
    assert alone(a_job()) == (0, 0)


def test_inputs_from_one_region_share_the_way() -> None:
    parts = [{"region": "there", "size": "5Gi"}] * 2
    assert alone(reading("job", *parts)) == (TEN_GIB_MS, TEN_GIB_MS)


def test_inputs_from_two_regions_share_the_last_link() -> None:
    country = a_map(a_link("lonely", "there", "3ms", bandwidth="80G"), a_link("there", "here", "3ms", bandwidth="8G"))
    parts = [{"region": "there", "size": "10Gi"}, {"region": "lonely", "size": "10Gi"}]
    assert alone(reading("job", *parts), country) == (21_475, TEN_GIB_MS)


def test_where_a_bandwidth_is_not_known_nothing_is_told_and_nothing_ruled_out() -> None:
    assert alone(reading("job", {"region": "lonely", "size": "1Gi"})) == (None, 0)
    half = a_map(a_link("there", "lonely", "3ms"), a_link("lonely", "here", "3ms", bandwidth="8G"))
    assert alone(reading(), half) == (None, 0)


def test_a_copy_is_not_moved() -> None:
    job = reading("job", {"region": "there", "size": "9Ti", "dataset": "maps"}, {"region": "there", "size": "10Gi"})
    assert alone(job, site=a_site(cachedDatasets=["maps"])) == (TEN_GIB_MS, TEN_GIB_MS)
    assert alone(job, site=a_site(cachedDatasets=["talks"]))[0] != TEN_GIB_MS


def test_a_checkpoint_comes_like_an_input_unless_it_lies_there() -> None:
    sites = (a_site("here"), a_site("old", region="there"))
    deadline = {"deadline": "2026-02-01T08:00:00Z"}
    b = a_batch(a_job(checkpoint={"size": "10Gi", "site": "old"}, timing=deadline), sites=sites)
    traffic = Traffic(b, np.array([[1, 0]]))
    assert (traffic.ms(0, 0), traffic.ms(0, 1)) == (TEN_GIB_MS, 0)
    assert least_ms_rs(b).tolist() == [[TEN_GIB_MS, 0]]


def test_without_a_deadline_the_least_time_is_not_asked_for() -> None:
    job = a_job(data={"inputs": [{"name": "a", "region": "there", "size": "10Gi"}]})
    assert alone(job) == (TEN_GIB_MS, 0)


def test_jobs_of_a_plan_share_links_wherever_they_go() -> None:
    """Two alike to `one` behind the last link, another to a site on the way: the first link carries three, the last two."""
    country = a_map(a_link("there", "lonely", "3ms", bandwidth="8G"), a_link("lonely", "here", "3ms", bandwidth="4G"))
    sites = (a_site("one"), a_site("two", region="lonely"))
    b = a_batch(reading("a"), reading("b"), reading("c", priority=1), country=country, sites=sites)
    assert [len(row.jobs) for row in b.rows] == [1, 2]
    traffic = Traffic(b, np.array([[0, 1], [2, 0]]))
    assert traffic.ms(1, 0) == 42_950  # 20 GiB at 4 Gbit/s, longer than 30 GiB at 8
    assert traffic.ms(0, 1) == 32_213
    assert Traffic(b, np.array([[0, 1], [0, 0]])).ms(0, 1) == TEN_GIB_MS


def test_the_estimate_of_a_plan_is_the_shared_one() -> None:
    jobs = [reading(f"job-{i}", cards=2) for i in range(3)]
    plan = a_world(jobs, [a_site()], a_map()).plan()
    told = {(d.estimate.transfer_time, d.estimate.start) for d in plan.decisions.values() if d.estimate}
    assert told == {("33s", time_text(NOW_MS + 33_000))}  # 30 GiB at 8 Gbit/s


@pytest.mark.parametrize(
    ("inputs", "start"),
    [
        ([{"region": "here", "size": "1Ti"}], time_text(NOW_MS)),
        ([{"region": "lonely", "size": "1Gi"}], None),
        ([{"region": "there", "size": "1024Pi"}] * 32, "9999-12-31T23:59:59Z"),
    ],
    ids=["nothing is moved", "no bandwidth is known", "later than a time can be written"],
)
def test_a_placed_job_starts_when_its_inputs_are_there(inputs: list[dict[str, str]], start: str | None) -> None:
    job = a_job(data={"inputs": [{"name": f"part-{i}", **one} for i, one in enumerate(inputs)]})
    slow = a_link("there", "here", "3ms", bandwidth="1M")
    decision = a_world([job], [a_site()], a_map(slow)).plan().decisions["job"]
    assert decision.site == "one"
    assert decision.estimate is not None
    assert decision.estimate.start == start


def test_enormous_inputs_take_a_number_of_years() -> None:
    slow = a_map(a_link("there", "here", "3ms", bandwidth="1M"))
    job = reading("job", *[{"region": "there", "size": "1024Pi"}] * 32)
    whole_ms = 32 * (1 << 60) * 8 // 1_000
    assert alone(job, slow) == (whole_ms + 1, whole_ms + 1)
