"""The figures of the policy on the hub: from what is on record, not too often, and written when they are news."""

import asyncio
from typing import Any

import pytest

from builders import a_condition, a_job, a_region, a_site, an_assignment, an_object
from simulation import Simulate, Simulation
from suanli.placement.kpis import Facts, Work
from suanli.reconcile.indicators import facts_of_hub
from suanli.reconcile.state import Mirror

MAP = "/apis/suanli.io/v1alpha1"
HUBS = [
    {"name": "delta", "side": "East", "regions": ["shanghai"]},
    {"name": "steppe", "side": "West", "regions": ["zhongwei"]},
]
CORES = {
    "class": "cpu",
    "type": "General",
    "resourceName": "cpu",
    "unit": "Core",
    "petaflops": "0.001",
    "declaredUnits": 9,
}
CARDS = {"class": "gpu", "type": "Intelligent", "resourceName": "x.com/gpu", "unit": "Card", "declaredUnits": 7}
DONE = [a_condition("Finished")]


def a_policy(**spec: Any) -> dict[str, Any]:
    return an_object(
        "HubPolicy", "national", {"hubs": HUBS, "latencyTiers": [{"name": "city", "oneWay": "1ms"}], **spec}
    )


def a_mirror(*objects: dict[str, Any]) -> Mirror:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    for raw in (a_region(), a_region("zhongwei"), a_policy(), *objects):
        mirror.apply(None, raw)
    if not mirror.sites:
        mirror.apply(None, a_site("east", resources=[CORES, CARDS]))
    return mirror


def facts(mirror: Mirror) -> Facts:
    return asyncio.run(facts_of_hub(mirror))


def units(made: Facts) -> dict[str, tuple[int, int]]:
    return {u.resource.class_: (u.capacity_milli, u.used_milli) for u in made.units}


def used(**counts: str) -> dict[str, Any]:
    return {"assignment": an_assignment(), "conditions": DONE, "usage": counts}


def test_a_site_has_what_was_counted_and_until_then_what_it_declares() -> None:
    assert units(facts(a_mirror())) == {"cpu": (9_000, 0), "gpu": (7_000, 0)}
    counted = [{"class": "cpu", "capacity": 64, "allocatable": 60, "allocated": 1}]
    counted_site = a_site("east", resources=[CORES, CARDS], status={"classes": counted})
    assert units(facts(a_mirror(counted_site))) == {"cpu": (64_000, 0), "gpu": (7_000, 0)}


@pytest.mark.parametrize(
    "classes", [7, [7], [{"class": "cpu"}], [{"class": "cpu", "capacity": "many"}], [{"class": "cpu", "capacity": -1}]]
)
def test_a_status_that_somebody_edits_counts_as_nothing_known(classes: Any) -> None:
    site = a_site("east", resources=[CORES, CARDS], status={"classes": classes})
    assert units(facts(a_mirror(site)))["cpu"][0] in (0, 9_000)


def test_jobs_hold_while_they_are_assigned_and_count_as_work_once_they_have_ended() -> None:
    mirror = a_mirror(
        a_job("runs", tasks=3, status={"assignment": an_assignment()}, latency={"tier": "city"}),
        a_job("waits"),
        a_job("ended", status=used(cpuMilliMs="5000", cardMs="99")),
        a_job("too", status=used(cpuMilliMs="2000")),
        a_job("elsewhere", status={**used(cpuMilliMs="1"), "assignment": an_assignment("gone")}),
        a_job("bad", status=used(cpuMilliMs="-4")),
        a_job("worse", status={**used(), "usage": [7]}),
    )
    made = facts(mirror)
    assert units(made)["cpu"] == (9_000, 3_000)
    assert set(made.work) == {
        Work("shanghai", "city", "east", "cpu", 0),
        Work("shanghai", "any", "east", "cpu", 7_000),
    }


def test_cards_are_counted_in_cards() -> None:
    status = {**used(cardMs="6000", cpuMilliMs="1"), "assignment": {**an_assignment(), "class": "gpu"}}
    assert facts(a_mirror(a_job("ended", status=status))).work == (Work("shanghai", "any", "east", "gpu", 6_000_000),)


def test_many_jobs_let_others_have_their_turn() -> None:
    mirror = a_mirror(*(a_job(f"j{n}", status={"assignment": an_assignment()}) for n in range(1_500)))
    turns = 0

    async def play() -> Facts:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            turns += 1

        task = asyncio.create_task(count())
        made = await facts_of_hub(mirror)
        assert turns
        await task
        return made

    assert units(asyncio.run(play()))["cpu"] == (9_000, 1_500_000)


# --- written


def kpis(sim: Simulation) -> dict[str, Any]:
    return {kpi["name"]: kpi for kpi in sim.hub.get(f"{MAP}/hubpolicies/national").get("status", {}).get("kpis", [])}


def metric(sim: Simulation, line: str) -> bool:
    assert sim.process is not None
    return line in sim.process.operator.scrape().decode()


def test_figures_are_written_when_they_are_news_and_are_metrics(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        target = {"kpi": "average-pue", "comparison": "AtMost", "value": "1.3"}
        sim.put(a_region("zhongwei"))
        sim.put(a_policy(targets=[target]))
        for name in ("east", "west"):
            power = {**CORES, "ratedPowerW": 10}
            sim.put(a_site(name, resources=[power], energy={"pue": "1.2" if name == "east" else "1.4"}))
        await sim.until(lambda: kpis(sim).get("average-pue", {}).get("value") == "1.3000", 300)
        await sim.until(lambda: kpis(sim)["hub-usage-gap-fp32"]["denominator"] == "0.128", 300)
        assert kpis(sim)["average-pue"]["met"] == "True"
        assert metric(sim, 'suanli_policy_kpi{kpi="average-pue"} 1.3')
        assert metric(sim, 'suanli_policy_kpi_met{kpi="average-pue"} 1.0')

        sim.put(a_job("long", template={"image": "x", "command": ["sleep", "9000"]}))
        await sim.until(lambda: kpis(sim)["hub-usage-gap-fp32"]["numerator"] == "0.001", 300)
        before = len(sim.hub.writes("hubpolicies"))
        await asyncio.sleep(1_800)
        assert len(sim.hub.writes("hubpolicies")) == before
        began = asyncio.get_running_loop().time()
        for n in range(200):
            sim.put(a_job(f"j{n}", template={"image": "x", "command": ["sleep", "1"]}))
            await asyncio.sleep(3)
        await sim.until(lambda: kpis(sim)["east-to-west-share-cores"]["denominator"] > "0.05", 300)
        took = asyncio.get_running_loop().time() - began
        assert 2 <= len(sim.hub.writes("hubpolicies")) - before <= took / sim.settings.kpi_s + 1

    simulate(play)


def test_a_figure_that_somebody_edits_is_put_right(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_policy())
        await sim.until(lambda: kpis(sim).get("tier-compliance"), 300)
        raw = sim.hub.get(f"{MAP}/hubpolicies/national")
        wrong = [{"name": "tier-compliance", "value": "1.0000"}, {"name": "made-up", "value": "7"}]
        sim.hub.put({**raw, "status": {**raw["status"], "kpis": wrong}})
        await sim.until(lambda: kpis(sim).keys() == {k["name"] for k in raw["status"]["kpis"]}, 300)
        assert "value" not in kpis(sim)["tier-compliance"]

    simulate(play)


def test_without_a_policy_there_are_no_figures_and_a_contradiction_is_told(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await asyncio.sleep(200)
        assert not metric(sim, "suanli_policy_kpi{")
        sim.put(a_region("zhongwei"))
        lost = {"name": "lost", "effect": "Require", "siteSelector": {"matchLabels": {"no": "where"}}}
        sim.put(a_policy(placementRules=[lost]))

        def said() -> str:
            conditions = sim.hub.get(f"{MAP}/hubpolicies/national").get("status", {}).get("conditions", [])
            return str([(c["status"], c["reason"], c["message"]) for c in conditions])

        await sim.until(lambda: "('False', 'MatchesNothing', 'rule lost requires no=where" in said(), 300)
        site = sim.hub.get(f"{MAP}/computesites/east")
        sim.hub.put({**site, "metadata": {**site["metadata"], "labels": {"no": "where"}}})
        await sim.until(lambda: "('True', 'Consistent', '1 rules over 2 hubs')" in said(), 300)

    simulate(play)
