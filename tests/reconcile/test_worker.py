"""The worker: one write at a time over what it was made from, and nothing removed of which the hub may yet know."""

import asyncio
import logging
from dataclasses import replace

import pytest

from builders import a_job
from memoryhub import Fate, Meeting
from simulation import JOBS, Simulate, Simulation
from suanli.kube.client import ApiError
from suanli.placement.snapshot import Plan
from suanli.reconcile import job as stages
from suanli.reconcile import worker as worker_module
from suanli.reconcile.state import Assumption, JobEntry

LONG = {"image": "x", "command": ["sleep", "600"]}
ONLY_EAST = {"allowedSites": ["east"]}


def jobs_at(sim: Simulation, site: str = "east") -> list[str]:
    return [j["metadata"]["name"] for j in sim.clusters[site].server.items(JOBS)]


def test_what_the_mirror_does_not_know_is_removed_only_after_the_hub_was_asked(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template=LONG, data=ONLY_EAST))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        assert sim.process is not None
        mirror = sim.process.operator.mirror
        uid = sim.job("train")["metadata"]["uid"]
        mirror._sort_out(uid)  # as if its event had never come
        del mirror.jobs[uid], mirror._versions[uid]
        sim.process.operator._worker.queue.add(uid)
        await asyncio.sleep(10)
        assert uid in mirror.jobs
        assert len(jobs_at(sim)) == 1
        assert len(list(sim.runs())) == 1

    simulate(play, full_compare_s=3_600)


def test_what_the_hub_certainly_lacks_is_removed(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template=LONG, data=ONLY_EAST))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.hub.fate = lambda resource: Fate(copies=0)
        sim.delete("train")
        assert sim.process is not None
        sim.process.operator._comparison.soon()
        await sim.until(lambda: not sim.member_objects())
        assert len(sim.truth()) == 1

    simulate(play, full_compare_s=3_600)


def test_a_hub_that_cannot_be_asked_has_nothing_removed(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template=LONG, data=ONLY_EAST))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        assert sim.process is not None
        mirror, uid = sim.process.operator.mirror, sim.job("train")["metadata"]["uid"]
        refused = Meeting(error=ApiError(500, "InternalError", "no"))
        sim.hub.meet = lambda verb, path: refused if path.endswith("/computejobs") else Meeting()
        mirror._sort_out(uid)
        del mirror.jobs[uid], mirror._versions[uid]
        sim.process.operator._worker.queue.add(uid)
        await asyncio.sleep(60)
        assert len(jobs_at(sim)) == 1
        sim.hub.meet = lambda verb, path: Meeting()
        await sim.until(lambda: uid in mirror.jobs)
        assert len(list(sim.runs())) == 1

    simulate(play)


@pytest.mark.parametrize("lost", [Meeting(lost_after=True), Meeting(lost_before=True)])
def test_an_assignment_without_an_answer_is_committed_once(simulate: Simulate, lost: Meeting) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("west") == ("True", "Ready"))
        left = [2]

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and "computejobs" in path and left[0]:
                left[0] -= 1
                return lost
            return Meeting()

        sim.hub.meet = meet
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["epoch"] == 1
        assert len(list(sim.runs())) == 1

    simulate(play)


def test_what_was_planned_for_a_site_that_then_was_told_to_take_nothing_more_is_planned_anew(
    simulate: Simulate,
) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        assert sim.process is not None
        operator = sim.process.operator
        assume = operator.mirror.assume

        def told_meanwhile(entry: JobEntry, assumption: Assumption) -> None:
            assume(entry, assumption)
            sim.edit_site("east", desiredState="Inactive")
            operator.mirror.apply("MODIFIED", sim.of_kind("ComputeSite")["east"])

        operator.mirror.assume = told_meanwhile  # type: ignore[method-assign]  # between plan and commit
        sim.put(a_job(template=LONG, data=ONLY_EAST))
        await sim.until(lambda: sim.state("train")[0] == "Waiting")
        await asyncio.sleep(20)
        assert sim.job("train")["status"].get("assignment") is None
        assert not list(sim.runs())

    simulate(play)


def test_a_status_that_changed_meanwhile_is_read_and_decided_upon_anew(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("west") == ("True", "Ready"))
        sim.hub.fate = lambda resource: Fate(copies=0)  # only a refused write can tell
        touched: list[str] = []

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and "computejobs" in path and len(touched) < 3:
                touched.append(path)
                raw = sim.job("train")
                sim.hub.put({**raw, "metadata": {**raw["metadata"], "labels": {"n": str(len(touched))}}})
            return Meeting()

        sim.put(a_job())
        assert sim.process is not None
        sim.process.operator.mirror.apply("ADDED", sim.job("train"))
        sim.hub.meet = meet
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert len(touched) == 3
        assert sim.job("train")["status"]["epoch"] == 1
        assert len(list(sim.runs())) == 1

    simulate(play)


def test_a_hub_that_keeps_nothing_of_a_status_is_said_and_not_written_to_in_a_loop(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("west") == ("True", "Ready"))
        patch = sim.hub.store.patch

        def keeps_nothing(path, body, kind, *, dry_run=False):  # type: ignore[no-untyped-def]  # of the store
            pruned = {k: v for k, v in body.items() if k != "status"} if path.resource == "computejobs" else body
            return patch(path, pruned, kind, dry_run=dry_run)

        sim.hub.store.patch = keeps_nothing  # type: ignore[method-assign]  # an older schema prunes like this
        sim.put(a_job())
        await asyncio.sleep(60)
        tries = [r for r in sim.hub.requests if r.verb == "PATCH" and "computejobs" in r.path]
        assert 2 <= len(tries) <= 15
        sim.hub.store.patch = patch  # type: ignore[method-assign]
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)
    assert any("its CRDs are of another version" in str(vars(r).get("error")) for r in caplog.records)


def test_a_busy_hub_is_given_the_time_it_asks_for(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("west") == ("True", "Ready"))
        tries: list[float] = []

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and "computejobs" in path and len(tries) < 2:
                tries.append(asyncio.get_running_loop().time())
                return Meeting(error=ApiError(429, "TooManyRequests", "slow down", 7.0))
            return Meeting()

        sim.hub.meet = meet
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert tries[1] - tries[0] >= 7

    simulate(play)


def test_a_defect_in_one_jobs_step_is_counted_and_stops_no_other(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        worker = sim.process.operator._worker
        view = worker.view

        def broken(uid: str):  # type: ignore[no-untyped-def]  # as view
            if sim.jobs()["bad"]["metadata"]["uid"] == uid and len(seen) < 2:
                seen.append(uid)
                raise RuntimeError("a defect")
            return view(uid)

        seen: list[str] = []
        worker.view = broken  # type: ignore[method-assign]
        sim.put(a_job("bad"))
        sim.put(a_job("good"))
        await sim.until(lambda: sim.state("good")[0] == "Succeeded")
        await sim.until(lambda: sim.state("bad")[0] == "Succeeded")
        assert "suanli_unexpected_errors_total 2.0" in sim.process.operator.scrape().decode()

    simulate(play)
    assert [r.getMessage() for r in caplog.records] == ["job step failed unexpectedly, will be tried again"] * 2


def test_explanations_of_many_waiting_jobs_are_spread(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        worker, mirror = sim.process.operator._worker, sim.process.operator.mirror
        assert worker._explain_every_ms() == sim.settings.explain_s * 1000
        sim.put(a_job("asleep", desiredState="Suspended"))
        await sim.until(lambda: mirror.jobs)
        (entry,) = mirror.jobs.values()
        mirror.waiting |= {f"u{n}": entry for n in range(2_000)}
        assert worker._explain_every_ms() == 100_000
        mirror.waiting.clear()

    simulate(play)


def test_a_job_whose_reason_stands_is_not_looked_at_before_other_numbers_of_it_are_due(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        operator, loop = sim.process.operator, asyncio.get_running_loop()
        worker, next_step = operator._worker, stages.next_step

        def counted(view: stages.View) -> stages.Step:
            looks.append(loop.time())
            return next_step(view)

        sim.put(a_job("huge", resources={"class": ["cpu"], "perTask": {"cpu": "9000", "memory": "1Gi"}}))
        await sim.until(lambda: sim.state("huge")[0] == "Waiting")
        await asyncio.sleep(1)
        uid, said_s = sim.job("huge")["metadata"]["uid"], loop.time() - 1
        monkeypatch.setattr(stages, "next_step", counted)
        monkeypatch.setattr(operator._cycle, "_place", lambda *args, **more: Plan({}))
        for n in range(9):
            operator._cycle._explain(uid, replace(worker.decisions[uid], message=f"{n} sites are full"))
            await asyncio.sleep(10)
        assert looks == []
        await sim.until(lambda: looks)
        await sim.until(lambda: "8 sites are full" in str(sim.job("huge")["status"]))
        assert looks[0] - said_s > 98

    monkeypatch.setattr(worker_module, "EXPLANATIONS_PER_S", 0.01)
    simulate(play, full_compare_s=3_600)


def test_others_have_their_turn_while_very_many_jobs_are_looked_at(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        worker, turns = sim.process.operator._worker, 0
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))

        async def slow(uid: str) -> None:
            worker._turn_ends_s = 0.0  # as if that had taken long, and waited for nothing

        worker._advance = slow  # type: ignore[method-assign]
        for n in range(1_000):
            worker.queue.add(f"u{n}")
        while len(worker.queue):
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 1_000 / sim.settings.workers

    simulate(play)


def test_a_job_is_looked_at_when_something_happened_and_not_for_its_own_writes(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    next_step = stages.next_step

    def counted(view: stages.View) -> stages.Step:
        step = next_step(view)
        looks.append(type(step).__name__)
        return step

    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        monkeypatch.setattr(stages, "next_step", counted)
        sim.put(a_job(template=LONG, data=ONLY_EAST))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await asyncio.sleep(1)
        # It came, was placed, was to be created, its turn came; its Job is there, its pod is there and runs.
        assert looks == ["Wait", "Commit", "Create", "Create", "Wait", "Wait", "Write", "Wait"]

    simulate(play)


def test_a_job_that_a_read_of_a_moment_ago_does_not_show_is_not_given_up(simulate: Simulate) -> None:
    """Seed 313: it is there, its status was written to meanwhile, and who reads it anew is shown what was before it."""

    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        since_s = asyncio.get_running_loop().time()

        def meet(verb: str, path: str) -> Meeting:
            if "/computejobs/" not in path:
                return Meeting()
            refused = ApiError(409, "Conflict", "the object has been modified") if verb == "PATCH" else None
            return Meeting(error=refused, stale_s=asyncio.get_running_loop().time() - since_s)

        sim.hub.meet = meet
        await asyncio.sleep(1)
        sim.put(a_job(template=LONG))
        await asyncio.sleep(3)
        assert any(r.refused == 404 for r in sim.hub.requests if r.verb == "GET")
        sim.hub.meet = lambda verb, path: Meeting()
        await sim.until(lambda: sim.state("train")[0] == "Running", 30)

    simulate(play, full_compare_s=3_600)
