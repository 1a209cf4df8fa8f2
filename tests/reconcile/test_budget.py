"""A job that fails everywhere for its own reason does not wander through the country; what sites do has limits of its own."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from builders import T0, a_condition, a_job
from simulation import Simulate, Simulation
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.reconcile.budget import backoff_ms, spend, waits_until_ms
from suanli.reconcile.state import JobEntry, Mirror

SETTINGS = Settings(retry_backoff_s=30, retry_backoff_most_s=600, image_retries=1, site_retries=2, preempted_retries=3)


def an_entry(status: dict[str, Any], retries: int = 9) -> JobEntry:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    mirror.apply("ADDED", a_job(status=status, limits={"retries": retries}))
    return mirror.jobs["uid-train"]


@pytest.mark.parametrize(
    ("reason", "kind", "most"),
    [
        (Reason.IMAGE_PULL_FAILED, "image", 1),
        (Reason.GANG_TIMEOUT, "site", 2),
        (Reason.CLASS_NOT_OFFERED, "site", 2),
        (Reason.DISRUPTED, "preempted", 3),
    ],
)
def test_each_kind_has_a_budget_of_its_own(reason: Reason, kind: str, most: int) -> None:
    others = {other: 1_000 for other in ("image", "site", "preempted") if other != kind}
    last = spend(an_entry({"setbacks": {**others, kind: most - 1}}), reason, SETTINGS)
    assert (last.over, last.setbacks[kind]) == ("", most)
    over = spend(an_entry({"setbacks": {kind: most}}), reason, SETTINGS)
    assert f"SUANLI_{kind.upper()}_RETRIES allows {most} retries" in over.over


def test_the_users_retries_are_spent_by_what_the_job_did() -> None:
    assert spend(an_entry({"failures": 1}, retries=2), Reason.FAILED, SETTINGS).over == ""
    assert spend(an_entry({"failures": 2}, retries=2), Reason.FAILED, SETTINGS).over == "limits.retries 2 are spent"
    assert spend(an_entry({"failures": 2}, retries=2), Reason.DISRUPTED, SETTINGS).failures == 2


@pytest.mark.parametrize("reason", [Reason.SUSPENDED, Reason.SPEC_CHANGED, Reason.FENCED, Reason.DRAINED])
def test_what_is_nobodys_fault_is_not_counted(reason: Reason) -> None:
    spent = spend(an_entry({}, retries=0), reason, SETTINGS)
    assert (spent.failures, spent.setbacks, spent.over) == (0, {}, "")


def test_the_first_retry_comes_at_once_and_later_ones_ever_later() -> None:
    assert [backoff_ms(n, SETTINGS) // 1000 for n in range(8)] == [0, 0, 30, 90, 210, 450, 600, 600]
    assert backoff_ms(1 << 30, SETTINGS) == 600_000


def test_how_long_it_waits_is_known_from_its_status_alone() -> None:
    waiting = [a_condition("Placed", "False", "Requeued")]
    assert waits_until_ms(an_entry({"failures": 3, "conditions": waiting}), SETTINGS) == parse_time_ms(T0) + 90_000
    assert waits_until_ms(an_entry({"conditions": waiting}), SETTINGS) == 0
    assert waits_until_ms(an_entry({"failures": 3, "conditions": [a_condition("Placed")]}), SETTINGS) == 0


@pytest.mark.parametrize("nonsense", [{"image": "many"}, ["image"], {"image": -1}, 7])
def test_counts_that_cannot_be_read_count_as_none(nonsense: object) -> None:
    assert an_entry({"setbacks": nonsense}).setbacks == {}


def test_a_job_that_fails_everywhere_is_tried_ever_more_seldom_whoever_leads(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(limits={"retries": 100}, template={"image": "x", "command": ["fail", "1"]}))
        sim.put(a_job("well"))
        await asyncio.sleep(600)
        await sim.kill()
        sim.start()
        await asyncio.sleep(1_200)
        attempts = Counter(run.job_uid for run in sim.runs())[sim.job("train")["metadata"]["uid"]]
        assert 6 <= attempts <= 8, "after 0, 30, 90, 210, 450, 600 s"
        assert "so it is not placed before" in sim.condition("train", "Placed")["message"]
        assert sim.state("well")[0] == "Succeeded"

    simulate(play, retry_backoff_s=30, full_compare_s=300)
