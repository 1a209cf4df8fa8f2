"""Where a job goes on after an interruption: at the site of its checkpoint, if that is as good and can be had."""

import asyncio
from typing import Any

import pytest

from builders import a_job
from simulation import Simulate, Simulation
from suanli.base.clock import parse_time_ms
from suanli.cli.hub import base_of
from suanli.placement.solve import place
from suanli.reconcile.state import Mirror

LONG = {"image": "x", "command": ["sleep", "400"]}
CHECKPOINT = {"size": "1Gi"}


async def running_at_west(sim: Simulation, **spec: Any) -> None:
    """A job that began where it would not go by itself: east is as good and comes first."""
    await sim.kill()
    sim.place_all = place
    sim.start()
    sim.edit_site("east", desiredState="Inactive")
    sim.put(a_job(template=LONG, **spec))
    await sim.until(lambda: sim.state("train")[0] == "Running")
    sim.edit_site("east", desiredState="Active")
    await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
    assert site_of(sim) == "west"


def site_of(sim: Simulation) -> str:
    return str((sim.job("train")["status"].get("assignment") or {}).get("site"))


async def interrupt(sim: Simulation) -> None:
    """Its user stops it and lets it go on."""
    sim.edit("train", desiredState="Suspended")
    await sim.until(lambda: sim.state("train")[0] == "Suspended")
    sim.edit("train", desiredState="Running")


async def second_attempt(sim: Simulation) -> dict[str, Any]:
    """Its status once that runs."""
    await sim.until(lambda: sim.state("train")[0] == "Running" and sim.job("train")["status"]["epoch"] == 2, 600)
    return dict(sim.job("train")["status"])


@pytest.mark.parametrize(
    ("spec", "site", "lies"),
    [
        ({"checkpoint": CHECKPOINT}, "west", "west"),
        ({"checkpoint": {**CHECKPOINT, "site": "east"}}, "east", "west"),
        ({}, "east", None),
    ],
    ids=["where-it-ran", "where-its-user-says", "no-checkpoint"],
)
def test_a_job_goes_on_at_the_site_of_its_checkpoint(
    simulate: Simulate, spec: dict[str, Any], site: str, lies: str | None
) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_west(sim, **spec)
        assert "checkpointSite" not in sim.job("train")["status"]
        await interrupt(sim)
        status = await second_attempt(sim)
        assert (site_of(sim), status.get("checkpointSite")) == (site, lies)
        assert ("; its checkpoint lies there" in sim.condition("train", "Placed")["message"]) == bool(spec)

    simulate(play)


def test_a_checkpoint_at_a_site_that_is_emptied_comes_from_there(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_west(sim, checkpoint=CHECKPOINT)
        sim.edit_site("west", desiredState="Drain")
        await second_attempt(sim)
        assert site_of(sim) == "east"
        assert sim.condition("train", "Placed")["message"].endswith("; its checkpoint comes from west for 0.00 CNY")

    simulate(play)


def test_a_checkpoint_at_a_site_that_is_lost_holds_nobody_up(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_west(sim, checkpoint=CHECKPOINT, failover="AtLeastOnce", limits={"maxCost": "0"})
        sim.clusters["west"].server.cut = True
        status = await second_attempt(sim)
        assert (site_of(sim), status["checkpointSite"]) == ("east", "west")
        told = sim.condition("train", "Placed")["message"]
        assert told.endswith("; its checkpoint at west cannot be had and counts for nothing")
        sim.doubled.clear()  # it was allowed to
        sim.clusters["west"].server.cut = False
        await asyncio.sleep(60)

    simulate(play, dead_after_s=60)


def test_an_attempt_that_never_ran_leaves_the_checkpoint_where_it_was(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_west(sim, checkpoint=CHECKPOINT)
        sim.clusters["east"].start_s = lambda: 60.0
        sim.edit_site("west", desiredState="Drain")
        await sim.until(lambda: site_of(sim) == "east", 300)
        await interrupt(sim)
        await sim.until(lambda: sim.job("train")["status"]["epoch"] == 3, 300)
        assert sim.job("train")["status"]["checkpointSite"] == "west"

    simulate(play)


def test_the_planning_commands_ask_what_the_cycle_asked(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await running_at_west(sim, checkpoint=CHECKPOINT)
        await interrupt(sim)
        await second_attempt(sim)
        mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
        for kind in ("ComputeRegion", "ComputeSite", "ComputeJob"):
            for raw in sim.of_kind(kind).values():
                mirror.apply(None, raw)
        base = base_of(mirror, parse_time_ms("2026-03-01T09:00:00Z"))
        base.waiting |= {name: held.job for name, held in base.held.items()}
        base.held.clear()
        (decision,) = base.question().plan().decisions.values()
        assert (decision.site, decision.message) == ("west", sim.condition("train", "Placed")["message"])

    simulate(play)
