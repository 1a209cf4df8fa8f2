"""What seeded faults found once, each as the few faults that it takes."""

import asyncio
from typing import Any

import pytest

from builders import a_job
from memoryhub import Fate, Meeting
from simulation import JOBS, PODS, Simulate, Simulation
from suanli.kube.client import ApiError

EAST: dict[str, Any] = {"data": {"allowedSites": ["east"]}}
SHORT: dict[str, Any] = {"template": {"image": "busybox", "command": ["sleep", "3"]}, **EAST}
LONG: dict[str, Any] = {"template": {"image": "busybox", "command": ["sleep", "600"]}, **EAST}


def test_a_job_whose_end_no_event_told_of_ends(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        sim.put(a_job(**SHORT))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        east.fate = lambda resource: Fate(copies=0)
        await asyncio.sleep(5)
        east.fate = lambda resource: Fate()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 30)
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)


def test_an_event_that_comes_after_a_later_one_brings_nothing_back(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        sim.put(a_job(**SHORT))
        sim.put(a_job("another", **LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running" and sim.state("another")[0] == "Running")
        east.fate = lambda resource: Fate(overtaken=True)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 90)
        await sim.until(lambda: len(east.items(JOBS)) == 1, 90)
        east.fate = lambda resource: Fate()
        await asyncio.sleep(30)
        assert sim.process is not None
        member = sim.process.operator._sites.members["east"]
        assert sum(len(jobs) for jobs in member.jobs.values()) == 1
        before = len(east.requests)
        await asyncio.sleep(60)
        assert [r.path for r in east.requests[before:] if r.verb == "DELETE"] == []
        sim.delete("another")
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_job_created_without_an_answer_and_without_an_event_was_removed_by_nobody(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east, lost = sim.clusters["east"].server, [True]
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))

        def meet(verb: str, path: str) -> Meeting:
            is_create = verb == "POST" and path.endswith("/jobs")
            if is_create and lost[0]:
                lost[0] = False
                # Its event is lost, and that of another Job of ours comes before it is tried again.
                asyncio.get_running_loop().call_later(0.1, setattr, east, "fate", lambda resource: Fate())
                asyncio.get_running_loop().call_later(0.15, sim.put, a_job("another", **LONG))
                return Meeting(0.01, lost_after=True)
            return Meeting(1.0 if is_create and "another" not in sim.jobs() else 0.01)

        east.meet = meet
        east.fate = lambda resource: Fate(copies=0)
        sim.put(a_job(**LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running" and sim.state("another")[0] == "Running", 60)
        assert sim.job("train")["status"]["epoch"] == 1
        assert "failures" not in sim.job("train")["status"]
        for name in ("train", "another"):
            sim.delete(name)
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)


def test_a_job_that_is_suspended_after_a_create_without_an_answer_and_without_an_event_runs_once(
    simulate: Simulate,
) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        east.meet = lambda verb, path: Meeting(lost_after=verb == "POST" and path.endswith("/jobs"))
        east.fate = lambda resource: Fate(copies=0)
        sim.put(a_job(**LONG))
        await sim.until(lambda: len(east.items(JOBS)) == 1)
        east.meet = lambda verb, path: Meeting()
        sim.edit("train", desiredState="Suspended")
        await sim.until(lambda: sim.state("train")[0] == "Suspended", 60)
        assert east.items(JOBS) == []
        east.fate = lambda resource: Fate()
        sim.edit("train", desiredState="Running")
        await sim.until(lambda: sim.state("train")[0] == "Running", 60)
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)


def test_a_job_that_ends_as_its_site_begins_to_drain_is_done_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        sim.put(a_job(template={"image": "busybox", "command": ["sleep", "3"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        east.server.fate = lambda resource: Fate(delay_s=2.0)
        await sim.until(lambda: not east.alive)
        await asyncio.sleep(0.15)
        sim.edit_site("east", desiredState="Drain")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 30)
        assert sim.job("train")["status"]["epoch"] == 1
        east.server.fate = lambda resource: Fate()
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_job_that_ends_while_it_is_told_to_leave_is_done_once(simulate: Simulate) -> None:
    """Seed 7486: the request that removes its Job comes after the end of its pod and before that of the Job."""

    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        sim.put(a_job(template={"image": "busybox", "command": ["sleep", "3"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")

        def meet(verb: str, path: str) -> Meeting:
            (run,) = east.runs.values()
            late_s = (run.start_ms + 3_050 - east.clock.now_ms()) / 1000
            return Meeting(max(0.01, late_s) if verb == "DELETE" else 0.01)

        east.server.meet = meet
        sim.edit_site("east", desiredState="Drain")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 60)
        assert sim.job("train")["status"]["epoch"] == 1
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_task_that_ends_well_because_it_was_stopped_is_not_done(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        sim.put(a_job(template={"image": "busybox", "command": ["sleep", "3"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        east.grace_s = lambda: 60.0  # it goes on to its end although it was told to stop
        sim.edit_site("east", desiredState="Drain")
        await sim.until(lambda: sim.job("train")["status"]["epoch"] == 2, 60)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 60)
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_task_that_ends_well_after_somebody_removed_its_job_is_not_done(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        sim.put(a_job(**SHORT, limits={"retries": 1}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await sim.kill()
        east.grace_s = lambda: 60.0
        (raw,) = east.server.items(JOBS)
        east.server.delete(f"{JOBS[:-5]}/namespaces/{raw['metadata']['namespace']}/jobs/{raw['metadata']['name']}")
        await sim.until(lambda: not east.alive, 10)
        sim.start()
        await sim.until(lambda: sim.job("train")["status"].get("epoch") == 2, 60)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 60)
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_a_list_of_a_moment_ago_ends_no_attempt(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        sim.put(a_job(**LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await sim.kill()
        age_s = asyncio.get_running_loop().time()  # as if nothing had ever been there
        east.meet = lambda verb, path: Meeting(stale_s=age_s if path.endswith("/jobs") else 0.0)
        east.fate = lambda resource: Fate(delay_s=4.0)
        sim.start()
        await asyncio.sleep(6)
        east.meet, east.fate = (lambda verb, path: Meeting()), (lambda resource: Fate())
        await asyncio.sleep(30)
        assert (sim.state("train")[0], sim.job("train")["status"]["epoch"]) == ("Running", 1)
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)


def test_a_job_whose_site_shows_a_new_leader_no_lists_is_not_said_to_run(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        sim.put(a_job(**LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await sim.kill()
        broken = ApiError(500, "InternalError", "etcdserver: request timed out")
        east.meet = lambda verb, path: Meeting(error=broken if path == PODS else None)
        sim.start()
        await sim.until(lambda: sim.condition("train", "Running")["status"] == "Unknown", 90)
        east.meet = lambda verb, path: Meeting()
        await sim.until(lambda: sim.condition("train", "Running")["status"] == "True", 90)
        assert sim.job("train")["status"]["epoch"] == 1
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_job_whose_end_no_event_told_of_is_done_once_though_its_site_drains(
    simulate: Simulate, known: bool, dies: bool
) -> None:
    """Also where the leader that lost the event dies with the word on the hub that the attempt is to end."""

    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        if not known:
            east.server.fate = lambda resource: Fate(copies=0 if resource == "pods" else 1)
        sim.put(a_job(template=SHORT["template"]))
        await sim.until(lambda: sim.state("train")[0] == "Running" if known else east.alive)
        east.server.fate = lambda resource: Fate(copies=0)
        await sim.until(lambda: not east.alive)
        sim.edit_site("east", desiredState="Drain")
        if dies:
            await sim.until(lambda: sim.condition("train", "Dispatched")["reason"] == "Drained")
            await sim.kill()
            sim.start()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 60)
        assert sim.job("train")["status"]["epoch"] == 1
        east.server.fate = lambda resource: Fate()
        await sim.until(lambda: not sim.member_objects(), 90)

    simulate(play)


def test_pods_that_go_on_without_their_job_are_awaited_though_no_event_told_of_them(simulate: Simulate) -> None:
    """Seed 52259: the watch of pods has stuck, and somebody removes the Job in the background."""

    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"]
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        east.grace_s = lambda: 8.0
        east.server.fate = lambda resource: Fate(copies=0 if resource == "pods" else 1)
        sim.put(a_job(**LONG, limits={"retries": 1}))
        await sim.until(lambda: east.alive)
        (raw,) = east.server.items(JOBS)
        east.server.delete(f"{JOBS[:-5]}/namespaces/{raw['metadata']['namespace']}/jobs/{raw['metadata']['name']}")
        await sim.until(lambda: sim.job("train")["status"].get("epoch") == 2, 60)
        assert not [run for run in east.alive if run.epoch == 1]
        east.server.fate = lambda resource: Fate()
        await sim.until(lambda: sim.state("train")[0] == "Running", 60)
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects(), 60)

    simulate(play)
