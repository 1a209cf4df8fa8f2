"""One tenant beside others: what bounds it on members is kept, and what it floods the hub with does not hold others up."""

import asyncio
import logging

import pytest

from builders import a_job
from flood import MOST_TIMES, Kind, Waits, told, waits
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
        await asyncio.sleep(1)
        assert [r.verb for r in east.writes()[before:]] == ["PATCH"]

    with caplog.at_level(logging.WARNING):
        simulate(play)
    told = [r.__dict__.get("object") for r in caplog.records if "put right" in r.message]
    assert told == [f"NetworkPolicy {SPACE}/suanli"]


def test_what_a_leader_that_died_left_without_bounds_is_bounded_soon(simulate: Simulate) -> None:
    """Seed 7812: its namespace was the last that it made, and the job runs elsewhere or not at all by now."""

    async def play(sim: Simulation) -> None:
        east = sim.clusters["east"].server
        east.meet = lambda verb, path: Meeting(60.0 if path.endswith(("/networkpolicies", "/resourcequotas")) else 0.01)
        sim.put(a_job(template=LONG))
        await sim.until(lambda: any(r.path == "/api/v1/namespaces" for r in east.writes()))
        await sim.kill()
        east.meet = lambda verb, path: Meeting()
        sim.delete("train")
        assert not east.items("/apis/networking.k8s.io/v1/networkpolicies")
        sim.start()
        await sim.until(lambda: bool(east.items("/apis/networking.k8s.io/v1/networkpolicies")), seconds=20)

    simulate(play)


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


FLOOD = 1_000  # ./hack/faults --flood 10000 for more


@pytest.fixture(scope="module")
def alone() -> Waits:
    """Without a flood, of whatever kind it would be."""
    return waits(0, Kind.FITS)


@pytest.mark.parametrize("kind", Kind)
def test_a_flood_of_one_tenant_does_not_hold_others_up(
    kind: Kind, alone: Waits, capsys: pytest.CaptureFixture[str]
) -> None:
    flooded = waits(FLOOD, kind)
    with capsys.disabled():
        print(f"\n{told(kind, FLOOD, alone, flooded)}")
    assert flooded.p99_s < MOST_TIMES * alone.p99_s
