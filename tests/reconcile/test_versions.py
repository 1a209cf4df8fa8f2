"""Objects of the version before and of the version after: read as they are meant, and nothing in them is lost."""

import copy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

import virtualtime
from apistore import Json
from simulation import JOBS, PODS, Simulation
from suanli.base.clock import time_text_ms

WRITTEN = Path(__file__).parent / "data" / "written-by-aba9ef7.yaml"
CREATED_LATER = "assigned"
HELD = ("epoch", "assignment", "failures", "startedAt", "finishedAt", "usage", "lost", "failover")


@pytest.fixture(scope="module")
def written() -> Any:
    """What the version before left behind."""
    return yaml.safe_load(WRITTEN.read_text(encoding="utf-8"))


def restored(folder: Path, written: Any) -> Simulation:
    """A federation in which that stands; what ran goes on to run."""
    with closing(sqlite3.connect(folder / "usage.sqlite3")) as ledger:
        ledger.executescript(written["ledger"])
    sim = Simulation(folder)
    for raw in copy.deepcopy(written["hub"]):
        if raw["kind"] == "ComputeJob":
            for number in range(1, raw["metadata"]["generation"]):
                sim.hub.put({**raw, "spec": {**raw["spec"], "priority": number}})
        sim.hub.put(raw)
    for name, cluster in sim.clusters.items():
        objects = copy.deepcopy(written[name])
        for namespace in {o["metadata"]["namespace"] for o in objects}:
            cluster.server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for raw in objects:
            cluster.adopt(raw)
    return sim


def end_pods(sim: Simulation) -> None:
    """All that still runs succeeds now."""
    stamp = time_text_ms(sim.clock.now_ms())
    for cluster in sim.clusters.values():
        for pod in cluster.server.items(PODS):
            state = pod["status"]["containerStatuses"][0]["state"]
            if began := state.get("running"):
                ended = {"exitCode": 0, "reason": "Completed", "startedAt": began["startedAt"], "finishedAt": stamp}
                statuses = [{"name": "task", "state": {"terminated": ended}}]
                cluster.server.put({**pod, "status": {"phase": "Succeeded", "containerStatuses": statuses}})
        for job in cluster.server.items(JOBS):
            if not job.get("status"):
                condition = {"type": "Complete", "status": "True", "lastTransitionTime": stamp}
                cluster.server.put({**job, "status": {"conditions": [condition]}})


def held(jobs: dict[str, Json]) -> dict[str, Json]:
    """Of each job, what must not be forgotten."""
    return {name: {k: v for k, v in job["status"].items() if k in HELD} for name, job in jobs.items()}


async def taken_over(sim: Simulation) -> None:
    """Today's operator leads, and everything it has to say is said."""
    sim.start("operator", elect=True)
    await sim.until(lambda: sim.state(CREATED_LATER)[0] == "Running", 40)


def with_unknown(value: Any) -> Any:
    """The same with a field that nobody knows today in every part of it."""
    if isinstance(value, dict):
        return {**{k: with_unknown(v) for k, v in value.items()}, "fromLater": "kept"}
    return [with_unknown(v) for v in value] if isinstance(value, list) else value


def test_what_the_version_before_wrote_goes_on_as_it_was(tmp_path: Path, written: Any) -> None:
    async def story() -> None:
        sim = restored(tmp_path, written)
        before, objects = sim.jobs(), set(sim.member_objects())
        states = {name: job["status"]["state"] for name, job in before.items()}
        await taken_over(sim)
        after = sim.jobs()
        assert {n: j["status"]["state"] for n, j in after.items()} == {**states, CREATED_LATER: "Running"}
        told = held(after)
        assert told[CREATED_LATER].pop("startedAt")
        assert told == held(before)
        patched = {r.path.split("/")[-2] for r in sim.hub.writes("computejobs")}
        assert patched == {CREATED_LATER}, "what still holds is not written again"
        new = set(sim.member_objects()) - objects
        uid, site = after[CREATED_LATER]["metadata"]["uid"], after[CREATED_LATER]["status"]["assignment"]["site"]
        assert {text.rpartition("-0-")[0] or text for text in new} == {f"{site} Job j-{uid}-1", f"{site} Pod j-{uid}-1"}
        end_pods(sim)
        going = {"running", "pair", "retried"}
        await sim.until(lambda: {sim.state(name)[0] for name in going} == {"Succeeded"})
        ended = held(sim.jobs())
        assert [ended[n]["usage"]["pods"] for n in ("running", "pair", "retried")] == [1, 2, 2]
        assert {n: ended[n]["epoch"] for n in going} == {n: before[n]["status"]["epoch"] for n in going}
        sim.edit("suspended", desiredState="Running")
        await sim.until(lambda: sim.job("suspended")["status"]["epoch"] == 2)
        await sim.end()
        assert sim.doubled == []

    virtualtime.run(story())


def test_the_lease_of_the_version_before_is_waited_for_and_taken(tmp_path: Path, written: Any) -> None:
    async def story() -> None:
        sim = restored(tmp_path, written)
        (lease,) = [raw for raw in written["hub"] if raw["kind"] == "Lease"]
        await taken_over(sim)
        spec = sim.hub.get("/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/suanli-operator")["spec"]
        first = min(r.acted_s for r in sim.hub.requests if r.verb != "GET")
        assert lease["spec"]["leaseDurationSeconds"] <= first <= 15
        assert spec["leaseTransitions"] == lease["spec"]["leaseTransitions"] + 1
        assert spec["holderIdentity"].startswith("operator_")
        await sim.end()

    virtualtime.run(story())


def test_what_a_later_version_adds_to_a_status_or_a_members_object_is_neither_refused_nor_lost(
    tmp_path: Path, written: Any
) -> None:
    later = copy.deepcopy(written)
    for raw in later["hub"]:
        if raw.get("status"):
            raw["status"] = with_unknown(raw["status"])
    for site in ("east", "west"):
        for raw in later[site]:
            raw["metadata"]["labels"]["suanli.io/from-later"] = raw["metadata"]["annotations"]["suanli.io/later"] = "x"
            raw["status"] = with_unknown(raw["status"]) if raw.get("status") else {}

    async def story() -> None:
        sim = restored(tmp_path, later)
        before = held(sim.jobs())
        sites = {name: sim.hub.get(f"/apis/suanli.io/v1alpha1/computesites/{name}")["status"] for name in sim.clusters}
        await taken_over(sim)
        await sim.until(lambda: sim.site_condition("east") == sim.site_condition("west") == ("True", "Ready"))
        after = held(sim.jobs())
        assert after[CREATED_LATER].pop("startedAt")
        assert after == before
        assert {job["status"]["fromLater"] for job in sim.jobs().values()} == {"kept"}
        for name in sites:
            status = sim.hub.get(f"/apis/suanli.io/v1alpha1/computesites/{name}")["status"]
            assert status["fromLater"] == "kept"
            assert status["clusterId"] == sites[name]["clusterId"]
        end_pods(sim)
        going = ("running", "pair", "retried")
        await sim.until(lambda: all(sim.state(name)[0] == "Succeeded" for name in going))
        for name in going:
            status = sim.job(name)["status"]
            assert status["assignment"] == before[name]["assignment"]
            assert status["fromLater"] == "kept"
        assert sim.job("retried")["status"]["usage"]["fromLater"] == "kept"
        await sim.end()
        assert sim.doubled == []

    virtualtime.run(story())
