"""What jobs cost by the tariffs on the hub: where they run, what they wait for, what was told before, and what they are billed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from builders import a_job, a_site, an_object
from simulation import Simulate, Simulation
from suanli.api import Tariff
from suanli.api.kind import parse
from suanli.billing.facts import Facts, customers_of
from suanli.billing.period import month
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.placement.solve import place
from suanli.reconcile.books import Books
from suanli.reconcile.state import Mirror

YUAN = 1_000_000
TIMING = {"expectedDuration": "5s"}  # of a core at 0.72 CNY an hour: 1,000 micro-yuan


def a_tariff(
    name: str = "east-2026", price: str = "0.72", provider: str = "East Compute", **spec: Any
) -> dict[str, Any]:
    item = {"name": "cores", "unit": "CoreHour", "class": "cpu", "price": price}
    classes = [{"name": "university", "percent": 60}]
    whole = {"provider": provider, "effectiveFrom": "2026-01-01", "items": [item], "customerClasses": classes, **spec}
    return an_object("Tariff", name, whole)


def a_place(name: str, operator: str, **spec: Any) -> dict[str, Any]:
    priced = {"class": "cpu", "type": "General", "resourceName": "cpu", "unit": "Core", "listPrice": "1"}
    return a_site(name, operator=operator, resources=[priced], **spec)


async def begin(sim: Simulation) -> Mirror:
    """A life of the operator with the real solver."""
    await sim.kill()
    sim.place_all = place
    return sim.start().operator.mirror


def message(sim: Simulation, name: str) -> str:
    conditions = sim.job(name)["status"]["conditions"]
    return str(next(c["message"] for c in conditions if c["type"] == "Placed"))


def billed(sim: Simulation, folder: Path, mirror: Mirror) -> int:
    """What the month would be billed now."""
    assert sim.process is not None
    with BookStore(folder / "books.sqlite3") as kept, SqliteLedger(folder / "ledger.sqlite3") as ledger:
        books = Books(sim.process.store, kept, ledger, "hub")
        facts = Facts(tuple(mirror.tariffs.values()), customers_of(mirror.accounts.values()))
        shown = books.preview(month("2026-03", "Asia/Shanghai"), facts)
    assert shown.rating.unrated == ()
    return shown.rating.net_micro_yuan


def test_a_job_is_told_before_what_it_is_billed_after(simulate: Simulate, tmp_path: Path) -> None:
    async def play(sim: Simulation) -> None:
        for site in ("east", "west"):
            sim.put(a_place(site, "East Compute"))
        sim.put(a_tariff())
        sim.put(an_object("ComputeAccount", "bank", {"namespaces": ["team-a"], "customerClass": "university"}))
        mirror = await begin(sim)
        sim.put(a_job(timing=TIMING))
        sim.put(a_job("pair", tasks=2, timing=TIMING))
        await sim.until(lambda: all(sim.state(name)[0] == "Succeeded" for name in ("train", "pair")))
        costs = [(sim.job(n)["status"]["estimate"]["cost"], sim.job(n)["status"]["cost"]) for n in ("train", "pair")]
        assert costs == [("600", "600"), ("1200", "1200")]
        assert message(sim, "train").endswith("; billed by Tariff east-2026")
        assert billed(sim, tmp_path, mirror) == 600 + 1_200
        assert len(sim.hub.writes("computejobs")) == 6  # cost is told in writes that there are anyway

    simulate(play)


def test_a_job_may_cost_no_more_than_it_says_by_the_tariff(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for site in ("east", "west"):
            sim.put(a_place(site, "East Compute"))
        sim.put(a_tariff())
        mirror = await begin(sim)
        sim.put(a_job("just", timing=TIMING, limits={"maxCost": "1000"}))
        sim.put(a_job("poor", timing=TIMING, limits={"maxCost": "999"}))
        await sim.until(lambda: sim.state("poor")[0] == "Waiting" and sim.state("just")[0] == "Succeeded")
        assert sim.state("poor")[1] == "NoFeasibleSite"
        assert "would cost 0.001000 CNY by Tariff east-2026, limits.maxCost is 0.000999 CNY" in message(sim, "poor")
        await asyncio.sleep(60)
        before = len(sim.hub.writes())
        await asyncio.sleep(120)
        assert sim.hub.writes()[before:] == []
        sim.put(an_object("ComputeAccount", "bank", {"namespaces": ["team-a"], "customerClass": "university"}))
        await sim.until(lambda: sim.state("poor")[0] == "Succeeded")
        assert sim.job("poor")["status"]["cost"] == "600"
        assert "bank" in mirror.accounts

    simulate(play)


def test_jobs_go_where_the_tariff_is_lower_though_the_list_price_is_not(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_place("east", "East Compute"))
        sim.put(a_place("west", "West Compute"))
        sim.put(a_tariff(price="1.1"))
        sim.put(a_tariff("west-2026", "0.9", "West Compute"))
        await begin(sim)
        sim.put(a_job(timing=TIMING))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.job("train")["status"]["assignment"]["site"] == "west"
        sim.hub.delete("/apis/suanli.io/v1alpha1/tariffs/east-2026")
        sim.put(a_tariff("east-late", "0.8"))
        sim.put(a_job("next", timing=TIMING))
        await sim.until(lambda: sim.state("next")[0] == "Succeeded")
        assert sim.job("next")["status"]["assignment"]["site"] == "east"

    simulate(play)


def test_without_a_tariff_the_list_price_counts_and_nothing_is_told_afterwards(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        for site in ("east", "west"):
            sim.put(a_place(site, "East Compute"))
        sim.put(a_tariff(effectiveFrom="2027-01-01"))
        await begin(sim)
        sim.put(a_job(timing={"expectedDuration": "1h"}))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        status = sim.job("train")["status"]
        assert int(status["estimate"]["cost"]) == YUAN + int(status["placement"]["cost"]["energy"])
        assert "cost" not in status
        assert "Tariff" not in message(sim, "train")

    simulate(play)


def test_prices_are_made_ready_once_for_all_accounts() -> None:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    assert mirror.country.charges is None
    mirror.apply("ADDED", a_tariff())
    first, country = mirror.quotes, mirror.country
    assert country.charges is first is not None
    mirror.apply("ADDED", an_object("ComputeAccount", "bank", {"plan": "spot"}))
    second = mirror.country.charges
    assert second is mirror.quotes is not first
    assert mirror.quotes is not None
    assert mirror.quotes.prices is first.prices
    assert mirror.quotes.terms("bank", "Low") == ("Low", "spot", "")
    mirror.apply("ADDED", a_tariff("west", provider="West Compute"))
    assert mirror.quotes.prices is not first.prices


@pytest.mark.parametrize("field", ["spec", "metadata"])
def test_a_tariff_that_cannot_be_read_prices_nothing(field: str) -> None:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    good = a_tariff()
    parse(Tariff, {k: v for k, v in good.items() if k != "status"})
    bad = (
        {**good, "spec": {**good["spec"], "items": []}}
        if field == "spec"
        else {**good, "metadata": {**good["metadata"], "uid": ""}}
    )
    mirror.apply("ADDED", bad)
    assert mirror.country.charges is None
