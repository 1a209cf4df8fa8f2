"""What a job sends over links: told before, metered once when it started and succeeded, and billed to the one who runs the link."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audit.__main__ import audit
from builders import a_job, a_region, a_site, an_object
from months import packed
from simulation import Simulate, Simulation
from suanli.billing.event import UsageKind
from suanli.billing.facts import Facts, customers_of
from suanli.billing.period import month
from suanli.billing.statements import unbalanced
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.placement.solve import place
from suanli.reconcile.books import Books, Preview
from suanli.reconcile.state import Mirror

GIB = 1 << 30
MARCH = month("2026-03", "Asia/Shanghai")
DATA: dict[str, Any] = {
    "inputs": [
        {"name": "a", "region": "guizhou", "size": "7Gi"},
        {"name": "b", "region": "guizhou", "size": "90Gi", "dataset": "maps"},
        {"name": "c", "region": "shanghai", "size": "90Gi"},
    ],
    "outputs": {"region": "guizhou", "size": "2Gi"},
}


def a_place(name: str, **spec: Any) -> dict[str, Any]:
    priced = {"class": "cpu", "type": "General", "resourceName": "cpu", "unit": "Core", "listPrice": "1"}
    return a_site(name, operator="East Compute", resources=[priced], **spec)


def a_tariff(name: str, provider: str, **spec: Any) -> dict[str, Any]:
    return an_object("Tariff", name, {"provider": provider, "effectiveFrom": "2026-01-01", **spec})


def begin(sim: Simulation, **link: Any) -> Mirror:
    """East in Shanghai has a copy of the maps; all else comes from Guizhou over two links. The real solver."""
    sim.put(a_region("guizhou", latitude="26.65", longitude="106.63"))
    sim.put(a_region("wuhan", latitude="30.6", longitude="114.3"))
    ends = {"backbone": ["guizhou", "wuhan"], "feeder": ["wuhan", "shanghai"]}
    for name, endpoints in ends.items():
        more = link if name == "backbone" else {}
        sim.put(an_object("ComputeLink", name, {"endpoints": endpoints, "oneWay": "9ms", **more}))
    sim.put(a_place("east", cachedDatasets=["maps"]))
    sim.put(a_place("west", desiredState="Inactive"))
    cores = {"name": "cores", "unit": "CoreHour", "class": "cpu", "price": "0.72"}
    sim.put(a_tariff("east", "East Compute", items=[cores]))
    any_link = {"name": "any", "unit": "TransferGiB", "price": "0.5"}
    sim.put(a_tariff("roads", "Roads", items=[any_link], commissionPermille=20, taxPermille=60))
    return sim.start().operator.mirror


def seen(sim: Simulation, folder: Path, mirror: Mirror) -> Preview:
    assert sim.process is not None
    with BookStore(folder / "books.sqlite3") as kept, SqliteLedger(folder / "ledger.sqlite3") as ledger:
        books = Books(sim.process.store, kept, ledger, "hub")
        shown = books.preview(MARCH, Facts(tuple(mirror.tariffs.values()), customers_of(mirror.accounts.values())))
    assert shown.rating.unrated == ()
    return shown


def moved(shown: Preview) -> dict[str, int]:
    """GiB by link, metered."""
    return {link: n // GIB for (_, kind, link, _), n in shown.used_by.items() if kind is UsageKind.TRANSFER}


def test_it_is_told_before_what_is_billed_after_and_who_runs_the_link_is_paid(
    simulate: Simulate, tmp_path: Path
) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.place_all = place
        mirror = begin(sim, operator="Roads")
        sim.put(a_job(timing={"expectedDuration": "5s"}, data=DATA))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        status = sim.job("train")["status"]
        assert (status["estimate"]["cost"], status["cost"]) == (
            "4501000",
            "4501000",
        )  # 9 GiB at 0.50, and 5 core-seconds
        shown = seen(sim, tmp_path, mirror)
        assert moved(shown) == {"backbone": 9, "feeder": 9}, "also what nobody is paid for is metered"
        assert shown.rating.net_micro_yuan == 4_501_000
        assert sim.process is not None
        with BookStore(tmp_path / "b.sqlite3") as kept, SqliteLedger(tmp_path / "l.sqlite3") as ledger:
            books = Books(sim.process.store, kept, ledger, "hub")
            books.close(MARCH, Facts(tuple(mirror.tariffs.values()), {}), MARCH.end_ms)
            dossier = books.dossier(MARCH.name)
            assert ledger.balance("network:Roads").posted_micro_yuan == 4_500_000 - 254_717 - 84_906
            assert unbalanced(dossier.bills) == []
            assert [(b.party.role, len(b.lines)) for b in dossier.bills if b.party.name == "Roads"] == [("Network", 1)]
            assert [str(finding) for finding in audit(packed(dossier, tmp_path / "package"))[0]] == []

    simulate(play)


def test_a_link_of_nobody_is_metered_and_costs_nothing(simulate: Simulate, tmp_path: Path) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.place_all = place
        mirror = begin(sim)
        sim.put(a_job(timing={"expectedDuration": "5s"}, data=DATA))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        status = sim.job("train")["status"]
        assert (status["estimate"]["cost"], status["cost"]) == ("1000", "1000")
        shown = seen(sim, tmp_path, mirror)
        assert moved(shown) == {"backbone": 9, "feeder": 9}
        assert {line.kind for line in shown.rating.lines} == {UsageKind.CORE_TIME}

    simulate(play)


def test_what_fails_has_brought_its_inputs_and_what_never_starts_nothing(simulate: Simulate, tmp_path: Path) -> None:
    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.place_all = place
        mirror = begin(sim, operator="Roads")
        sim.put(a_job("fails", template={"image": "x", "command": ["fail", "5"]}, data=DATA))
        await sim.until(lambda: sim.state("fails")[0] == "Failed")
        sim.clusters["east"].start_s = lambda: 10_000.0
        sim.put(a_job("stuck", data=DATA))
        await sim.until(lambda: (sim.job("stuck").get("status") or {}).get("assignment") is not None)
        sim.edit("stuck", desiredState="Suspended")
        await sim.until(lambda: sim.state("stuck")[0] == "Suspended")
        shown = seen(sim, tmp_path, mirror)
        assert moved(shown) == {"backbone": 7, "feeder": 7}
        assert sim.job("fails")["status"]["cost"] == str(shown.rating.net_micro_yuan)

    simulate(play)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_killed_counts_every_gib_once(simulate: Simulate, tmp_path: Path, seed: int) -> None:
    dice = Random(f"transfers {seed}")

    async def play(sim: Simulation) -> None:
        await sim.kill()
        sim.place_all = place
        mirror, names = begin(sim, operator="Roads"), [f"job-{n}" for n in range(4)]
        for name in names:
            sim.put(a_job(name, template={"image": "x", "command": ["sleep", str(dice.randint(1, 20))]}, data=DATA))
        for _ in range(8):
            await asyncio.sleep(dice.random() * 4)
            await sim.kill()
            mirror = sim.start().operator.mirror
        await sim.until(lambda: all(sim.state(name)[0] == "Succeeded" for name in names), 600)
        await sim.until(lambda: len(mirror.tariffs) == 2)
        shown = seen(sim, tmp_path, mirror)
        assert moved(shown) == {"backbone": 4 * 9, "feeder": 4 * 9}
        costs = sum(int(sim.job(name)["status"]["cost"]) for name in names)
        assert abs(costs - shown.rating.net_micro_yuan) <= len(names)

    simulate(play)
