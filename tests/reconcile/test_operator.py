"""The loops together: a job's whole way, and what users, administrators and crashes do to it."""

import asyncio
from collections.abc import Callable

import pytest

from builders import a_job
from memoryhub import Meeting
from simulation import JOBS, Simulate, Simulation
from suanli.kube.client import ApiError
from suanli.reconcile.job import View

JOB_WRITES = "computejobs"


def test_a_job_runs_is_metered_and_costs_three_writes(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert len(sim.hub.writes(JOB_WRITES)) == 3
        usage = sim.job("train")["status"]["usage"]
        assert (usage["pods"], usage["runMs"], usage["cpuMilliMs"]) == (1, "5000", "5000000")
        await sim.until(lambda: not sim.member_objects())

    simulate(play)


def test_many_jobs_cost_three_writes_each_at_most(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for n in range(60):
            sim.put(a_job(f"j{n}"))
        await sim.until(lambda: all(j["status"]["state"] == "Succeeded" for j in sim.jobs().values() if "status" in j))
        await sim.until(lambda: all("status" in j for j in sim.jobs().values()))
        writes = sim.hub.writes(JOB_WRITES)
        assert len(writes) <= 180
        assert all(r.body["metadata"]["resourceVersion"] for r in writes)

    simulate(play)


def test_a_job_is_looked_at_as_often_among_many_as_among_few(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        per_job = []
        for size in (10, 80):
            assert sim.process is not None
            worker = sim.process.operator._worker
            looks, view = [0], worker.view

            def counted(uid: str, looks: list[int] = looks, view: Callable[[str], View] = view) -> View:
                looks[0] += 1
                return view(uid)

            worker.view = counted  # type: ignore[method-assign]  # it is counted and goes on
            for n in range(size):
                sim.put(a_job(f"j{size}-{n}", template={"image": "x", "command": ["sleep", "1"]}))
            await sim.until(lambda: all(j.get("status", {}).get("finishedAt") for j in sim.jobs().values()), every=1.0)
            per_job.append(looks[0] / size)
            await sim.kill()
            sim.start()
        assert per_job[1] <= per_job[0] * 1.5

    simulate(play)


def test_idle_time_and_a_second_apply_write_nothing(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        sim.put(a_job("huge", resources={"class": ["cpu"], "perTask": {"cpu": "500", "memory": "1Gi"}}))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded" and not sim.member_objects())
        await asyncio.sleep(30)
        before = len(sim.hub.writes())
        sim.put(a_job())
        await asyncio.sleep(120)
        assert sim.hub.writes()[before:] == []
        assert sim.state("huge") == ("Waiting", "WaitingForCapacity")

    simulate(play)


def test_a_deleted_job_is_stopped_and_still_metered(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "900"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.delete("train")
        await sim.until(lambda: not sim.member_objects())
        assert [pods for pods, _ in sim.truth().values()] == [1]

    simulate(play)


def test_a_suspended_job_stops_and_goes_on_when_resumed(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.edit("train", desiredState="Suspended")
        await sim.until(lambda: sim.state("train")[0] == "Suspended")
        assert "assignment" not in sim.job("train")["status"]
        await sim.until(lambda: not sim.member_objects())
        sim.edit("train", desiredState="Running")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        status = sim.job("train")["status"]
        assert (status["epoch"], status["usage"]["attempts"], status.get("failures")) == (2, 2, None)

    simulate(play)


def test_a_job_removed_behind_our_back_is_tried_again_within_its_retries(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(limits={"retries": 1}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        (raw,) = [j for c in sim.clusters.values() for j in c.server.items(JOBS)]
        path = f"/apis/batch/v1/namespaces/{raw['metadata']['namespace']}/jobs/{raw['metadata']['name']}"
        sim.clusters[sim.job("train")["status"]["assignment"]["site"]].server.delete(path)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["failures"] == 1

    simulate(play)


def test_a_job_that_was_deleted_while_nobody_looked_leaves_nothing(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "900"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await sim.kill()
        sim.delete("train")
        sim.put(a_job())  # another one of the same name
        sim.start()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        await sim.until(lambda: not sim.member_objects())
        assert len(sim.truth()) == 2

    simulate(play)


def test_a_job_that_ended_while_nobody_looked_is_metered_and_finished(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await sim.kill()
        await asyncio.sleep(60)
        sim.start()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["usage"]["runMs"] == "5000"
        assert len(sim.hub.writes(JOB_WRITES)) == 3

    simulate(play)


def test_a_restart_writes_nothing_about_jobs_that_run(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "300"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await asyncio.sleep(5)
        before = len(sim.hub.writes(JOB_WRITES))
        await sim.kill()
        sim.start()
        await asyncio.sleep(60)
        assert len(sim.hub.writes(JOB_WRITES)) == before

    simulate(play)


def test_a_silent_member_is_said_and_its_job_is_not_started_elsewhere(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "60"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        cluster = sim.clusters[sim.job("train")["status"]["assignment"]["site"]]
        cluster.server.cut = True
        cluster.server.drop_watches()
        await sim.until(lambda: sim.state("train") == ("Unknown", "SiteUnreachable"))
        await asyncio.sleep(90)  # it ends meanwhile
        assert sim.state("train")[0] == "Unknown"
        assert len(list(sim.runs())) == 1
        cluster.server.cut = False
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["usage"]["runMs"] == "60000"

    simulate(play)


def test_one_dead_member_does_not_keep_the_others_from_work(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.clusters["east"].server.cut = True
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 60)
        assert sim.job("train")["status"]["assignment"]["site"] == "west"

    simulate(play)


def test_one_slow_member_does_not_keep_the_others_from_work(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.clusters["east"].server.meet = lambda verb, path: Meeting(1.4 if verb == "POST" else 0.01)
        for n in range(40):
            sim.put(a_job(f"slow-{n}", data={"allowedSites": ["east"]}))
        await asyncio.sleep(1)
        sim.put(a_job("quick", data={"allowedSites": ["west"]}))
        await sim.until(lambda: sim.state("quick")[0] == "Succeeded", 30)
        assert sum(j["status"].get("state") == "Succeeded" for j in sim.jobs().values() if "status" in j) < 41

    simulate(play, workers=2, member_concurrency=1)


def test_a_site_that_is_deleted_under_its_jobs_is_said_and_put_right_by_coming_back(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "20"]}, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        site = sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")
        sim.hub.delete("/apis/suanli.io/v1alpha1/computesites/east")
        await sim.until(lambda: sim.state("train")[0] == "Unknown")
        assert "ComputeSite east is not known" in sim.condition("train", "Running")["message"]
        sim.put({**site, "metadata": {"name": "east"}})
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_a_rotated_secret_disturbs_nothing(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "30"]}, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        before = len(sim.hub.writes(JOB_WRITES))
        sim.hub.delete("/api/v1/namespaces/suanli-system/secrets/site-east")
        await asyncio.sleep(2)
        sim.put_secret("east", "east")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert len(sim.hub.writes(JOB_WRITES)) == before + 1

    simulate(play)


def test_a_secret_that_leads_to_another_cluster_moves_no_job(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "30"]}, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.put_secret("east", "west")
        await sim.until(lambda: sim.site_condition("east") == ("False", "WrongCluster"))
        await sim.until(lambda: sim.state("train")[0] == "Unknown")
        await asyncio.sleep(60)
        assert len(list(sim.runs())) == 1
        sim.put_secret("east", "east")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_two_sites_of_one_cluster_stop_nothing_and_count_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "30"]}, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        twin = {**(site := sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")), "metadata": {"name": "twin"}}
        twin["spec"] = {**site["spec"], "connection": {"kubeconfigSecretRef": {"name": "site-twin"}}}
        twin.pop("status")
        sim.put_secret("twin", "east")
        sim.put(twin)
        await sim.until(lambda: sim.site_condition("twin") == ("False", "DuplicateCluster"))
        assert sim.site_condition("east") == ("True", "Ready")
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert len(list(sim.runs())) == 1

    simulate(play)


@pytest.mark.parametrize("lost", [Meeting(lost_before=True), Meeting(lost_after=True), Meeting(late_s=2.0)])
def test_a_create_without_an_answer_starts_one_copy(simulate: Simulate, lost: Meeting) -> None:
    async def play(sim: Simulation) -> None:
        left = [2]

        def meet(verb: str, path: str) -> Meeting:
            if verb == "POST" and path.endswith("/jobs") and left[0]:
                left[0] -= 1
                return lost
            return Meeting()

        for cluster in sim.clusters.values():
            cluster.server.meet = meet
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert len(list(sim.runs())) == 1

    simulate(play)


def test_an_assignment_the_hub_never_takes_is_not_tried_in_a_loop(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        tries: list[str] = []

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and "computejobs" in path:
                tries.append(path)
                return Meeting(error=ApiError(422, "Invalid", "status.assignment: no"))
            return Meeting()

        await sim.until(lambda: sim.site_condition("east")[1] == "Ready")
        sim.hub.meet = meet
        sim.put(a_job())
        await asyncio.sleep(120)
        assert 2 <= len(tries) <= 10
        sim.hub.meet = lambda verb, path: Meeting()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_a_member_that_refuses_the_job_for_good_ends_it(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        refusal = Meeting(error=ApiError(422, "Invalid", "spec.template: no such thing"))
        for cluster in sim.clusters.values():
            cluster.server.meet = lambda verb, path: refusal if path.endswith("/jobs") and verb == "POST" else Meeting()
        sim.put(a_job())
        await sim.until(lambda: sim.state("train") == ("Failed", "DispatchRefused"))
        assert "no such thing" in sim.condition("train", "Finished")["message"]

    simulate(play)


def test_a_member_that_forbids_the_job_is_said_on_the_job(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        refusal = Meeting(error=ApiError(403, "Forbidden", "exceeded quota"))
        for cluster in sim.clusters.values():
            cluster.server.meet = lambda verb, path: refusal if path.endswith("/jobs") and verb == "POST" else Meeting()
        sim.put(a_job())
        await sim.until(lambda: sim.state("train") == ("Starting", "DispatchRefused"), 90)
        assert "exceeded quota" in sim.condition("train", "Dispatched")["message"]
        for cluster in sim.clusters.values():
            cluster.server.meet = lambda verb, path: Meeting()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play, report_pending_s=30)


def test_a_status_edited_into_nonsense_stops_one_job_and_no_other(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "20"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        good = sim.job("train")["status"]["assignment"]
        sim.edit_status("train", {"assignment": {"epoch": "two"}, "conditions": ["?"], "epoch": []})
        await sim.until(lambda: sim.state("train") == ("Unknown", "StatusUnreadable"))
        sim.put(a_job("other"))
        await sim.until(lambda: sim.state("other")[0] == "Succeeded")
        assert sim.state("train") == ("Unknown", "StatusUnreadable")
        assert len([r for r in sim.runs() if r.job_uid == sim.job("train")["metadata"]["uid"]]) == 1
        sim.edit_status("train", {"assignment": good})
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_a_wiped_status_uses_no_number_twice(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "20"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        raw = sim.job("train")
        sim.hub.put({k: v for k, v in raw.items() if k != "status"})
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        status = sim.job("train")["status"]
        assert (status["epoch"], status["usage"]["attempts"]) == (2, 2)

    simulate(play)


def test_a_job_edited_while_it_runs_goes_on_as_it_began(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.edit("train", tasks=3, priority=7)
        await sim.until(lambda: "goes on as it began" in sim.condition("train", "Accepted")["message"])
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["usage"]["pods"] == 1

    simulate(play)


def test_an_unreadable_job_stops_no_other(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job("bad", resources={"class": ["cpu"], "perTask": {"cpu": "9" * 28, "memory": "1Gi"}}))
        sim.put(a_job("名字" * 20, origin="长安"))
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.state("bad") == ("Invalid", "InvalidSpec")
        assert "spec.resources.perTask.cpu" in sim.condition("bad", "Accepted")["message"]

    simulate(play)


@pytest.mark.parametrize("jump_ms", [-86_400_000, 86_400_000])
def test_a_clock_that_jumps_loses_nothing(simulate: Simulate, jump_ms: int) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "30"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.clock.off_ms = jump_ms
        sim.put(a_job("later"))
        await sim.until(lambda: {sim.state(n)[0] for n in ("train", "later")} == {"Succeeded"})
        assert sim.job("train")["status"]["usage"]["runMs"] == "30000"

    simulate(play)


def test_the_metrics_count_jobs_by_what_is_known(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "60"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        sim.put(a_job("odd", desiredState="Suspended"))
        await sim.until(lambda: sim.state("odd")[0] == "Suspended")
        assert sim.process is not None
        odd = {**(raw := sim.job("odd")), "status": {"state": "x" * 60, "reason": "somebody's"}}
        odd["metadata"] = {**raw["metadata"], "resourceVersion": "999999"}
        sim.process.operator.mirror.apply("MODIFIED", odd)
        text = sim.process.operator.scrape().decode()
        assert 'suanli_jobs{reason="Running",site="east",state="Running"} ' in text
        assert 'suanli_jobs{reason="",site="",state="New"} 1.0' in text
        assert 'suanli_site_ready{site="west"} 1.0' in text

    simulate(play)


def test_it_is_ready_once_the_hub_was_read(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        assert "not complete" in sim.process.operator.ready()

    simulate(play)
