"""One tenant beside others: what bounds it on members is kept, and what it floods the hub with does not hold others up."""

import asyncio
import logging

import pytest

from apistore import Change
from builders import a_job
from memoryhub import Meeting
from simulation import Simulate, Simulation
from suanli.base.names import member_namespace
from suanli.kube.client import ApiError

SPACE = member_namespace("hub", "team-a")
POLICY = f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/networkpolicies/suanli"
LONG = {"image": "x", "command": ["sleep", "900"]}


def test_what_is_changed_on_a_member_is_put_right_and_told(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template=LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        east = sim.clusters["east"].server
        right = east.get(POLICY)
        before = len(east.writes())
        await asyncio.sleep(200)
        assert east.writes()[before:] == [], "nothing is wrong, so nothing is written"
        east.put({**right, "spec": {"podSelector": {}, "policyTypes": []}})
        await sim.until(lambda: east.get(POLICY)["spec"] == right["spec"], seconds=70)
        assert [r.verb for r in east.writes()[before:]] == ["PATCH"]

    with caplog.at_level(logging.WARNING):
        simulate(play)
    told = [r.__dict__.get("object") for r in caplog.records if "put right" in r.message]
    assert told == [f"NetworkPolicy {SPACE}/suanli"]


def test_an_account_that_may_not_look_is_told_of_once(simulate: Simulate, caplog: pytest.LogCaptureFixture) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template=LONG))
        await sim.until(lambda: sim.state("train")[0] == "Running")
        east = sim.clusters["east"].server
        refusal = ApiError(403, "Forbidden", 'cannot list resource "namespaces"')
        east.meet = lambda verb, path: Meeting(error=refusal if path == "/api/v1/namespaces" else None)
        await asyncio.sleep(200)
        assert sim.state("train")[0] == "Running"
        assert sim.site_condition("east") == ("True", "Ready")

    with caplog.at_level(logging.WARNING):
        simulate(play)
    told = [str(r.__dict__.get("error")) for r in caplog.records if "cannot look after" in r.message]
    assert len(told) == 1
    assert told[0].endswith("join the site again")


FLOOD, OTHERS = 1_000, 50
EVERY_S = 0.13  # so that they come at all moments of a cycle


def times_to_placement_s(simulate: Simulate, flood: int) -> list[float]:
    """How long jobs of one tenant wait for their place while another has so many jobs wait, in virtual time."""
    took: dict[str, float] = {}

    async def play(sim: Simulation) -> None:
        sim.hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flood"}})
        loop, begun = asyncio.get_running_loop(), dict[str, float]()

        def seen(change: Change) -> None:
            if change.resource == "computejobs" and change.after is not None:
                name, status = change.after["metadata"]["name"], change.after.get("status") or {}
                if name in begun and name not in took and status.get("assignment"):
                    took[name] = loop.time() - begun[name]

        sim.hub.store.listen(seen)
        huge = {"class": ["cpu"], "perTask": {"cpu": "500", "memory": "1Gi"}}
        for n in range(flood):
            sim.put(a_job(f"f{n}", resources=huge, metadata={"namespace": "flood"}))
        small = {"class": ["cpu"], "perTask": {"cpu": "10m", "memory": "1Mi"}}
        for n in range(OTHERS):
            await asyncio.sleep(EVERY_S)
            begun[f"j{n}"] = loop.time()
            sim.put(a_job(f"j{n}", resources=small, template=LONG))
        await sim.until(lambda: len(took) == OTHERS)

    simulate(play, explain_s=3600)
    return sorted(took.values())


def test_a_flood_of_one_tenant_does_not_hold_others_up(simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
    alone, flooded = (times_to_placement_s(simulate, flood) for flood in (0, FLOOD))
    p99, p99_flooded = (times[-1 - OTHERS // 100] for times in (alone, flooded))
    with capsys.disabled():
        print(
            f"\nS4: time to placement p99 {p99:.2f} s alone, {p99_flooded:.2f} s under a flood of {FLOOD} jobs (virtual time)"
        )
    assert p99_flooded < 2 * p99
