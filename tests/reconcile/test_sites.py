"""Connections follow ComputeSites and Secrets; each thing that is wrong with one is one condition, and stops no other."""

import asyncio
import base64
from typing import Any

import pytest

from badkubeconfigs import CASES, data_of
from builders import a_job, a_site
from memoryhub import Meeting
from simulation import JOBS, NAMESPACE, Simulate, Simulation
from suanli.kube.client import ApiClient, ApiError, Target

SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/site-east"


def secret(**data: str) -> dict[str, Any]:
    metadata = {"name": "site-east", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def ready_message(sim: Simulation, name: str = "east") -> str:
    site = sim.hub.get(f"/apis/suanli.io/v1alpha1/computesites/{name}")
    return next(str(c["message"]) for c in site["status"]["conditions"] if c["type"] == "Ready")


async def other_site_works(sim: Simulation) -> None:
    sim.put(a_job())
    await sim.until(lambda: sim.state("train")[0] == "Succeeded")
    assert {run.site for run in sim.runs()} == {"west"}


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (None, "CredentialsMissing", f"Secret {NAMESPACE}/site-east does not exist"),
        ({}, "CredentialsMissing", 'has no key "kubeconfig"'),
        ({"kubeconfig": "%%%"}, "CredentialsMalformed", f"Secret {NAMESPACE}/site-east"),
        ({"kubeconfig": base64.b64encode(b"exec: rm").decode()}, "CredentialsMalformed", "kubeconfig"),
        ({"kubeconfig": "界"}, "CredentialsMalformed", f"Secret {NAMESPACE}/site-east"),
    ],
)
def test_a_secret_that_cannot_be_used(simulate: Simulate, data: dict[str, str] | None, reason: str, words: str) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.hub.delete(SECRET)
        if data is not None:
            sim.hub.put(secret(**data))
        sim.start()
        await sim.until(lambda: sim.site_condition("east") == ("False", reason))
        assert words in ready_message(sim)
        assert sim.site_condition("east", "CredentialsValid") == ("False", reason)
        await other_site_works(sim)
        sim.put_secret("east", "east")
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))

    simulate(play)


def test_certificates_that_no_connection_can_be_made_of_are_told_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        assert sim.process is not None
        sites = sim.process.operator._sites
        connect, tries = sites._connect, []

        def refusing(target: Target, name: str) -> ApiClient:
            if name == "east":
                tries.append(target)
                raise ValueError("the certificates for east cannot be used: no start line")
            return connect(target, name)

        sites._connect = refusing
        await sim.until(lambda: sim.site_condition("east") == ("False", "CredentialsMalformed"))
        await other_site_works(sim)
        assert len(tries) == 1
        assert "no start line" in ready_message(sim)

    simulate(play)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(401, "Unauthorized", "token expired"), "CredentialsRefused"),
        (ApiError(403, "Forbidden", "no list"), "PermissionDenied"),
        (ApiError(500, "InternalError", "no"), "Unreachable"),
    ],
)
def test_a_member_that_refuses(simulate: Simulate, error: ApiError, reason: str) -> None:
    async def play(sim: Simulation) -> None:
        sim.clusters["east"].server.meet = lambda verb, path: Meeting(error=error)
        await sim.until(lambda: sim.site_condition("east") == ("False", reason))
        await other_site_works(sim)
        sim.clusters["east"].server.meet = lambda verb, path: Meeting()
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))

    simulate(play)


def test_which_cluster_a_site_is_is_on_record_before_anything_runs_there(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job())
        await sim.until(lambda: any(True for _ in sim.runs()))
        site = sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")
        assert site["status"]["clusterId"] == "cluster-east"
        first = next(r for c in sim.clusters.values() for r in c.server.writes("/jobs"))
        assert first.verb == "POST"

    simulate(play)


def test_a_secret_says_which_cluster_it_is_for(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        raw = sim.hub.get(SECRET)
        raw["metadata"]["annotations"] = {"suanli.io/cluster-id": "cluster-of-old"}
        sim.hub.put(raw)
        sim.start()
        await sim.until(lambda: sim.site_condition("east") == ("False", "WrongCluster"))
        await other_site_works(sim)

    simulate(play)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"region": "atlantis"}, "UnknownRegion"),
        ({"connection": None}, "NotConnected"),
        ({"desiredState": "Inactive"}, "SiteInactive"),
        ({"standardRacks": -1}, "InvalidSpec"),
    ],
)
def test_a_site_that_can_take_nothing(simulate: Simulate, spec: dict[str, Any], reason: str) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_site("east", **spec))
        await sim.until(lambda: sim.site_condition("east") == ("False", reason))
        await other_site_works(sim)
        sim.put(a_site("east"))
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))

    simulate(play)


def test_a_site_without_nodes_has_no_capacity(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        node = sim.clusters["east"].server.get("/api/v1/nodes/n1")
        node["spec"] = {"unschedulable": True}
        sim.clusters["east"].server.put(node)
        await sim.until(lambda: sim.site_condition("east") == ("False", "NoCapacity"))
        await other_site_works(sim)

    simulate(play)


def test_the_oldest_of_two_sites_on_record_for_a_cluster_keeps_it(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        sim.put_secret("west", "east")
        await sim.until(lambda: sim.site_condition("west") == ("False", "WrongCluster"))
        assert sim.site_condition("east") == ("True", "Ready")

    simulate(play)


def test_watches_that_end_by_a_defect_begin_again(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        await asyncio.sleep(10)  # nothing else is to be told of it
        assert sim.process is not None
        sites = sim.process.operator._sites

        async def broken() -> None:
            raise RuntimeError("a defect")

        task = asyncio.ensure_future(broken())
        handle = sites._handles["east"]
        old, handle.task = handle.task, task
        task.add_done_callback(lambda t: sites._ended("east", t))
        await asyncio.sleep(0.1)
        old.cancel()
        assert sites.state("east")[0] == "Syncing"
        assert not sites.usable("east")
        await sim.until(lambda: sites.usable("east"))
        await other_or_same(sim)

    async def other_or_same(sim: Simulation) -> None:
        sim.put(a_job(data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_every_bad_kubeconfig_is_one_condition_that_says_what_is_wrong_and_no_request(simulate: Simulate) -> None:
    """S2: each stands in a Secret of a running operator; no connection is made, and the member and the hub's jobs go on."""

    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        sim.hub.delete(SECRET)
        await sim.until(lambda: sim.site_condition("east") == ("False", "CredentialsMissing"))
        assert sim.process is not None
        sites, made = sim.process.operator._sites, []
        connect = sites._connect

        def counted(target: Target, name: str) -> ApiClient:
            made.append(target)
            return connect(target, name)

        sites._connect = counted
        before = len(sim.clusters["east"].server.requests)
        for number, (bad, why) in enumerate(CASES):
            sim.hub.put(secret(kubeconfig=base64.b64encode(data_of(bad)).decode()))
            if data_of(bad):
                await sim.until(lambda why=why: why in ready_message(sim), 30)  # type: ignore[misc]
                expected = ("False", "CredentialsMalformed")
                assert sim.site_condition("east") == expected, number
                assert sim.site_condition("east", "CredentialsValid") == expected, number
        assert (len(made), len(sim.clusters["east"].server.requests)) == (0, before)
        await other_site_works(sim)
        print(f"S2: {len(CASES)} bad kubeconfigs, 0 connections, 0 requests")

    simulate(play)


def test_a_secret_that_is_taken_away_is_not_used_from_then_on(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        sim.hub.delete(SECRET)
        await asyncio.sleep(1)
        before = len(sim.clusters["east"].server.requests)
        await sim.until(lambda: sim.site_condition("east", "CredentialsValid") == ("False", "CredentialsMissing"))
        await asyncio.sleep(60)
        assert len(sim.clusters["east"].server.requests) == before
        site = sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")
        assert site["status"]["nodes"] == 1
        assert site["status"]["lastHeardFrom"], "the figures are old, and say so"
        sim.put_secret("east", "east")
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        assert "lastHeardFrom" not in sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")["status"]

    simulate(play)


def test_a_new_token_is_used_without_reading_a_list_again(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["sleep", "30"]}, data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        requests, lists = sim.clusters["east"].server.requests, ("/nodes", "/pods", "/jobs")
        before, writes = len(requests), len(sim.hub.writes())
        for token in ("second", "third"):
            sim.put_secret("east", "east", token=token)
            await asyncio.sleep(5)
        assert [r for r in requests[before:] if r.verb == "GET" and r.path.endswith(lists)] == []
        assert len(sim.hub.writes()) == writes
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")

    simulate(play)


def test_a_new_leader_of_a_silent_site_says_how_old_the_figures_are(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        await sim.kill()
        sim.clusters["east"].server.cut = True
        sim.start()
        await sim.until(lambda: sim.site_condition("east", "Reachable")[0] == "False")
        status = sim.hub.get("/apis/suanli.io/v1alpha1/computesites/east")["status"]
        assert status["nodes"] == 1
        assert status["lastHeardFrom"].startswith("2026-03-01T08:00:0")

    simulate(play)


def test_a_site_that_returns_is_compared_before_it_is_used(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        east = sim.clusters["east"].server
        east.cut = True
        east.drop_watches()
        await sim.until(lambda: sim.site_condition("east")[1] == "Unreachable")
        east.store.compact()  # what happened meanwhile can only be known from a list
        before = len(east.requests)
        east.cut = False
        sim.put(a_job(data={"allowedSites": ["east"]}))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        since = [(r.verb, r.path) for r in east.requests[before:]]
        first_write = next(i for i, (verb, _) in enumerate(since) if verb != "GET")
        assert {("GET", "/api/v1/nodes"), ("GET", "/api/v1/pods"), ("GET", JOBS)} <= set(since[:first_write])

    simulate(play)
