"""The keeper of the map's status: written when it changed, figures not too often, and put right when somebody edits it."""

import asyncio
import logging

import pytest

from builders import a_job, a_region, a_site, an_object
from memoryhub import Meeting
from simulation import Simulate, Simulation
from suanli.kube.client import ApiError

MAP = "/apis/suanli.io/v1alpha1"


def condition(sim: Simulation, plural: str, name: str) -> tuple[str, str]:
    status = sim.hub.get(f"{MAP}/{plural}/{name}").get("status", {})
    return next(((c["type"], c["reason"]) for c in status.get("conditions", [])), ("", ""))


async def settled(sim: Simulation) -> None:
    await sim.until(lambda: sim.site_condition("east") == sim.site_condition("west") == ("True", "Ready"))
    await asyncio.sleep(30)


def test_links_and_policies_follow_what_they_name(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_object("ComputeLink", "l", {"endpoints": ["shanghai", "beijing"], "oneWay": "8ms"}))
        hubs = [{"name": "delta", "side": "East", "regions": ["beijing"]}]
        sim.put(an_object("HubPolicy", "national", {"hubs": hubs}))
        await sim.until(lambda: condition(sim, "computelinks", "l") == ("Resolved", "UnknownEndpoint"))
        await sim.until(lambda: condition(sim, "hubpolicies", "national") == ("Consistent", "UnknownRegion"))
        sim.put(a_region("beijing"))
        await sim.until(lambda: condition(sim, "computelinks", "l") == ("Resolved", "Resolved"))
        await sim.until(lambda: condition(sim, "hubpolicies", "national") == ("Consistent", "Consistent"))
        sim.hub.delete(f"{MAP}/computeregions/beijing")
        await sim.until(lambda: condition(sim, "computelinks", "l") == ("Resolved", "UnknownEndpoint"))

    simulate(play)


def test_an_unreadable_region_is_told_and_nothing_more_once_it_is_mended(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(an_object("ComputeRegion", "bad", {"latitude": "north"}))
        await sim.until(lambda: condition(sim, "computeregions", "bad") == ("Valid", "InvalidSpec"))
        sim.put(a_region("bad"))
        await sim.until(lambda: condition(sim, "computeregions", "bad") == ("", ""))

    simulate(play)


def test_figures_of_a_busy_site_are_told_now_and_then(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        before = len(sim.hub.writes("computesites/east"))
        began = asyncio.get_running_loop().time()
        for n in range(40):
            sim.put(a_job(f"j{n}", data={"allowedSites": ["east"]}, template={"image": "x", "command": ["sleep", "2"]}))
            await asyncio.sleep(0.5)
        await sim.until(lambda: all(j.get("status", {}).get("finishedAt") for j in sim.jobs().values()))
        await asyncio.sleep(30)
        took = asyncio.get_running_loop().time() - began
        writes = len(sim.hub.writes("computesites/east")) - before
        assert 2 <= writes <= took / sim.settings.site_status_s + 2
        status = sim.hub.get(f"{MAP}/computesites/east")["status"]
        assert (status["jobs"], status["classes"][0]["allocated"], status["nodes"]) == (0, 0, 1)

    simulate(play)


def test_a_site_counts_what_its_jobs_hold(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        whole = {"class": ["cpu"], "perTask": {"cpu": "1500m", "memory": "1Gi"}}
        long = {"image": "x", "command": ["sleep", "600"]}
        sim.put(a_job(tasks=3, resources=whole, template=long, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        await asyncio.sleep(15)
        status = sim.hub.get(f"{MAP}/computesites/east")["status"]
        assert status["classes"] == [{"class": "cpu", "capacity": 64, "allocatable": 64, "allocated": 5}]
        assert (status["jobs"], status["kubernetesVersion"]) == (1, "v1.36.3")

    simulate(play)


def test_a_status_that_somebody_edits_is_put_right(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        raw = sim.hub.get(f"{MAP}/computesites/east")
        sim.hub.put({**raw, "status": {"conditions": [{"type": 7}, "?"], "jobs": -4, "clusterId": None}})
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        status = sim.hub.get(f"{MAP}/computesites/east")["status"]
        assert (status["jobs"], status["clusterId"]) == (0, "cluster-east")

    simulate(play)


def test_a_silent_member_costs_few_writes_and_shows_its_last_word(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        before = len(sim.hub.writes("computesites/east"))
        sim.clusters["east"].server.cut = True
        sim.clusters["east"].server.drop_watches()
        await sim.until(lambda: sim.site_condition("east") == ("False", "Unreachable"))
        await asyncio.sleep(300)
        assert len(sim.hub.writes("computesites/east")) - before <= 3
        assert sim.hub.get(f"{MAP}/computesites/east")["status"]["lastHeardFrom"].startswith("2026-03-01T08:")
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        assert "lastHeardFrom" not in sim.hub.get(f"{MAP}/computesites/east")["status"]

    simulate(play)


def test_a_new_leader_takes_over_what_is_on_record_until_it_knows_better(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        before = len(sim.hub.writes("computesites"))
        await sim.kill()
        sim.start()
        await asyncio.sleep(120)
        assert len(sim.hub.writes("computesites")) == before
        await sim.kill()
        sim.clusters["east"].server.cut = True
        sim.start()
        await sim.until(lambda: sim.site_condition("east") == ("False", "Unreachable"))
        await asyncio.sleep(60)
        assert len(sim.hub.writes("computesites")) - before <= 2
        assert sim.site_condition("west") == ("True", "Ready")

    simulate(play)


def test_new_credentials_cost_no_write_however_often_they_come(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        before = len(sim.hub.writes("computesites/east"))
        for token in ("second", "third", "fourth"):
            sim.put_secret("east", "east", token)
            await asyncio.sleep(120)
        assert len(sim.hub.writes("computesites/east")) == before
        assert sim.site_condition("east") == ("True", "Ready")

    simulate(play)


def test_what_stopped_being_well_is_told_once(simulate: Simulate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def play(sim: Simulation) -> None:
        await settled(sim)
        sim.put(a_site("east", desiredState="Inactive"))
        await sim.until(lambda: sim.site_condition("east") == ("False", "SiteInactive"))
        await asyncio.sleep(60)
        events = [e for e in sim.hub.items("/apis/events.k8s.io/v1/events") if e["reason"] == "SiteInactive"]
        assert [(e["regarding"]["name"], e["metadata"]["namespace"]) for e in events] == [("east", "default")]

    simulate(play)
    told = [vars(r) for r in caplog.records if r.getMessage() == "condition changed"]
    assert [t["object"] for t in told if t.get("reason") == "SiteInactive"] == ["ComputeSite east"]


@pytest.mark.parametrize(
    "error", [ApiError(409, "Conflict", "modified"), ApiError(500, "", "no"), ApiError(404, "", "no")]
)
def test_a_write_that_is_refused_is_tried_again(simulate: Simulate, error: ApiError) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        refusals: list[str] = []

        def meet(verb: str, path: str) -> Meeting:
            if verb == "PATCH" and "computesites" in path and not refusals:
                refusals.append(path)
                return Meeting(error=error)
            return Meeting()

        sim.hub.meet = meet
        sim.put(a_site("east", standardRacks=12_000))
        sim.put(an_object("ComputeRegion", "another", {"displayName": "x", "latitude": "1", "longitude": "1"}))
        await asyncio.sleep(5)
        sim.put(a_region("third"))  # a watch that tells of something else makes it look again
        await sim.until(lambda: sim.hub.get(f"{MAP}/computesites/east")["status"]["sizeClass"] == "Mega")
        assert refusals

    simulate(play)


def test_a_map_without_anything_is_kept_too(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await settled(sim)
        for name in ("east", "west"):
            sim.hub.delete(f"{MAP}/computesites/{name}")
        await asyncio.sleep(1)
        sim.put(a_job())
        await sim.until(lambda: sim.state("train")[0] == "Waiting")
        assert sim.process is not None
        await sim.until(lambda: sim.process is not None and not sim.process.operator._sites.members)
        assert sim.process.operator._maps._written_ms == {}

    simulate(play)
