from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from demo.cases import Case, End
from demo.country import Country
from demo.pods import pod_run
from demo.report import Check, Report, Seen, compute, settled
from harness.pods import Amount

Build = Callable[..., dict[str, Any]]
RAN = {"runMs": 10_000, "cpuMilliMs": 5_000_000, "memoryByteMs": 10_240_000, "cardMs": 30_000}
NUMBERS = "1 of 3 sites: LatencyBoundExceeded, 12ms is over 1ms"


def a_run(a_job: Build, a_pod: Build) -> tuple[list[Case], Seen]:
    """Four jobs that all ended as they were meant to."""
    jobs = {
        "good": a_job("good", "Succeeded", "zhongwei-dc1", **RAN),
        "bad": a_job("bad", "Failed", "yrd-demo-dc1", **RAN),
        "gone": a_job("gone", "Running", "yrd-demo-dc1"),
        "never": a_job("never", "Waiting", why=NUMBERS),
    }
    ends = {"good": End.SUCCEEDS, "bad": End.FAILS, "gone": End.DELETED, "never": End.WAITS}
    runs = [
        pod_run(a_pod("good"), "zhongwei-dc1"),
        pod_run(a_pod("bad"), "yrd-demo-dc1"),
        pod_run(a_pod("gone"), "yrd-demo-dc1"),
    ]
    ledger = {"uid-gone": Amount(10_000, 5_000_000, 10_240_000, 30_000)}
    cases = [Case(jobs[name], 0.0, end) for name, end in ends.items()]
    return cases, Seen(jobs, frozenset({"gone"}), runs, ledger, ())


def false_ones(found: Report) -> list[str]:
    return [check.name for check in found.checks if not check.true]


def test_all_came_true(a_job: Build, a_pod: Build, country: Country) -> None:
    found = compute(*a_run(a_job, a_pod), country)
    assert found.ok
    assert found.metered == found.pods == Amount(30_000, 15_000_000, 30_720_000, 90_000)
    assert found.east_to_west == Fraction(1, 3)
    assert found.jobs_by_site_and_tier[("yrd-demo-dc1", "cross-hub")] == 2


def test_a_difference_of_a_millisecond_is_seen(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    jobs = {**seen.jobs, "good": a_job("good", "Succeeded", "zhongwei-dc1", **{**RAN, "cardMs": 29_999})}
    found = compute(cases, replace(seen, jobs=jobs), country)
    assert false_ones(found) == ["metered equals the members' pods"]


def test_differences_do_not_cancel_out(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    more, less = {**RAN, "cardMs": 30_001}, {**RAN, "cardMs": 29_999}
    jobs = {
        **seen.jobs,
        "good": a_job("good", "Succeeded", "zhongwei-dc1", **more),
        "bad": a_job("bad", "Failed", "yrd-demo-dc1", **less),
    }
    found = compute(cases, replace(seen, jobs=jobs), country)
    assert found.metered == found.pods
    assert not found.ok


def test_a_deleted_job_is_looked_up_in_the_ledger(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    found = compute(cases, replace(seen, ledger={}), country)
    assert false_ones(found) == ["deleted while it ran, stopped, and is metered", "metered equals the members' pods"]


def test_a_pod_of_nobody_is_seen(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    found = compute(cases, replace(seen, runs=[*seen.runs, pod_run(a_pod("stray"), "wuhan-edge1")]), country)
    assert false_ones(found) == ["metered equals the members' pods"]


def test_a_job_beyond_its_tier_is_a_violation(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    seen.jobs["good"]["spec"]["latency"] = {"tier": "region"}
    found = compute(cases, seen, country)
    assert found.violations == ["good at zhongwei-dc1"]
    assert false_ones(found) == ["tier and policy violations"]


def test_a_reason_without_a_number_is_not_enough(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    jobs = {**seen.jobs, "never": a_job("never", "Waiting", why="no site")}
    assert not compute(cases, replace(seen, jobs=jobs), country).ok


def test_a_job_that_never_came_and_a_pod_that_still_runs_are_seen(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    cases.append(Case(a_job("lost"), 0.0, End.SUCCEEDS))
    found = compute(cases, replace(seen, left=["yrd-demo-dc1/p-1"]), country)
    assert false_ones(found) == ["jobs of the trace succeeded", "nothing is left running"]


def test_what_explain_says_must_be_what_the_status_says(a_job: Build, a_pod: Build, country: Country) -> None:
    cases, seen = a_run(a_job, a_pod)
    seen.jobs["never"]["status"]["reason"] = "NoFeasibleSite"
    stories = {"gone": "demo/gone has its place: yrd-demo-dc1 (a)\n  why", "never": "demo/never: NoFeasibleSite\n  why"}
    assert compute(cases, replace(seen, stories=stories), country).ok
    for name, text in (
        ("gone", "demo/gone: yrd-demo-dc1 (a)"),
        ("never", "demo/never: zhongwei-dc1 (a)"),
        ("never", ""),
    ):
        found = compute(cases, replace(seen, stories={**stories, name: text}), country)
        assert false_ones(found) == ["suanli explain says what the status says"]


def test_a_check_beside_its_own_counts(a_job: Build, a_pod: Build, country: Country) -> None:
    found = compute(*a_run(a_job, a_pod), country, [Check("more", False, "no")])
    assert false_ones(found) == ["more"]


def test_without_cards_of_the_east_the_share_is_nothing(country: Country) -> None:
    assert compute([], Seen({}, frozenset(), [], {}, ()), country).east_to_west == 0


def test_settled(a_job: Build) -> None:
    waits = Case(a_job("w"), 0.0, End.WAITS)
    works = Case(a_job("s"), 0.0, End.SUCCEEDS)
    goes = Case(a_job("d"), 0.0, End.DELETED)
    assert not settled(waits, None, gone=False)
    assert not settled(waits, a_job("w", "New"), gone=False)
    assert settled(waits, a_job("w", why=NUMBERS), gone=False)
    assert not settled(works, a_job("s", why=NUMBERS), gone=False)
    assert settled(works, a_job("s", "Failed", "east"), gone=False)
    assert not settled(goes, a_job("d", "Running", "east"), gone=False)
    assert settled(goes, a_job("d", "Running", "east"), gone=True)
