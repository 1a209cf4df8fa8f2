"""What runs on is recorded at marks, what nobody will know is told, and nobody is asked or written to for either."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from builders import a_job
from simulation import JOBS, PODS, Simulate, Simulation
from suanli.api.tariff import Tariff
from suanli.base.units import MS_PER_HOUR
from suanli.billing.facts import Facts
from suanli.billing.period import Period, month
from suanli.billing.usage import MAX_SKEW_MS, Gap, PodUsage
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books
from suanli.reconcile.marks import LOOK_S

DAY_MS = 24 * MS_PER_HOUR
MARCH, APRIL, MAY = (month(f"2026-0{n}", "Asia/Shanghai") for n in (3, 4, 5))
LONG = {"image": "x", "command": ["sleep", "2000"]}
TARIFF: dict[str, Any] = {
    "apiVersion": "suanli.io/v1alpha1",
    "kind": "Tariff",
    "metadata": {"name": "east-2026"},
    "spec": {
        "provider": "east",
        "effectiveFrom": "2026-01-01",
        "items": [{"name": "cores", "unit": "CoreHour", "class": "cpu", "price": "1"}],
        "commissionPermille": 0,
        "taxPermille": 60,
    },
}
FACTS = Facts((Tariff.model_validate(TARIFF),), {})


async def let_pass(sim: Simulation, ms: int) -> None:
    """So much time on every clock, and a look."""
    for clock in (sim.clock, *(cluster.clock for cluster in sim.clusters.values())):
        clock.off_ms += ms
    await asyncio.sleep(LOOK_S + 1)


def lose(sim: Simulation, name: str) -> None:
    """The member's disks are gone: nobody can say how what ran there ended."""
    cluster = sim.clusters[name]
    cluster.stop()
    for run in cluster.alive:
        cluster.ends(run)
    cluster.runs.clear()
    for path in (PODS, JOBS):
        for raw in cluster.server.items(path):
            metadata = raw["metadata"]
            cluster.server.put({**raw, "metadata": {**metadata, "finalizers": []}})
            root = "/apis/batch/v1" if path == JOBS else "/api/v1"
            plural = path.rsplit("/", 1)[1]
            cluster.server.delete(f"{root}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}")
    cluster.wrong.clear()


def told(folder: Path) -> tuple[list[PodUsage], list[Gap]]:
    """What the ledger holds of pods whose end it does not know, and of what nobody will know."""
    with UsageStore(folder / "usage.sqlite3") as store:
        return store.open_pods(store.count()), store.gaps(store.count())


def billed_ms(books: Books, period: Period) -> int:
    """Time of one core on the bill of a month."""
    books.close(period, FACTS, period.end_ms)
    return sum(line.quantity for line in books.lines(period.name)) // 1_000


async def running(sim: Simulation, **spec: Any) -> int:
    """When the job's only pod began."""
    sim.put(a_job(**{"template": LONG, **spec}))
    await sim.until(lambda: sim.state("train")[0] == "Running")
    return next(sim.runs()).start_ms


def test_a_job_over_two_months_ends_is_billed_in_each_of_three_as_if_it_had_been_told_at_once(
    simulate: Simulate, tmp_path: Path
) -> None:
    books = Books(
        UsageStore(tmp_path / "usage.sqlite3"),
        BookStore(tmp_path / "books.sqlite3"),
        SqliteLedger(tmp_path / "ledger.sqlite3"),
        "hub",
    )

    async def play(sim: Simulation) -> None:
        start_ms = await running(sim)
        await asyncio.sleep(60)
        before = len(sim.hub.writes()), len(sim.clusters["east"].server.writes())
        for days in range(5, 70, 5):
            await let_pass(sim, 5 * DAY_MS)
            ((so_far,), gaps) = told(tmp_path)
            mark_ms = (sim.clock.now_ms() - MAX_SKEW_MS) // DAY_MS * DAY_MS
            assert (so_far.start_ms, so_far.end_ms, gaps) == (start_ms, mark_ms, [])
            if days == 20:
                await sim.kill()
                sim.start()
            if days == 35:
                assert billed_ms(books, MARCH) == MARCH.end_ms - start_ms
        assert (len(sim.hub.writes()), len(sim.clusters["east"].server.writes())) == before
        assert billed_ms(books, APRIL) == APRIL.end_ms - APRIL.start_ms
        await sim.kill()  # between what was told so far and the end
        sim.start()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", 3_000, every=100.0)
        assert told(tmp_path) == ([], [])
        (run,) = sim.runs()
        assert billed_ms(books, MAY) == (run.end_ms or 0) - MAY.start_ms
        assert sum(billed_ms(books, period) for period in (MARCH, APRIL, MAY)) == (run.end_ms or 0) - run.start_ms
        assert not any(line.adjusts for period in (MARCH, APRIL, MAY) for line in books.lines(period.name))

    simulate(play)
    books.leave()


def test_a_site_that_is_cut_off_has_no_marks_and_what_ended_meanwhile_is_told_when_it_is_back(
    simulate: Simulate, tmp_path: Path
) -> None:
    async def play(sim: Simulation) -> None:
        start_ms = await running(sim, template={"image": "x", "command": ["sleep", "300"]})
        await let_pass(sim, 2 * DAY_MS)
        ((so_far,), _) = told(tmp_path)
        sim.clusters["east"].server.cut = True
        await asyncio.sleep(30)
        await let_pass(sim, 5 * DAY_MS)
        assert told(tmp_path) == ([so_far], [])
        await asyncio.sleep(300)
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        await asyncio.sleep(LOOK_S)
        assert told(tmp_path) == ([], [])
        assert so_far.start_ms == start_ms

    simulate(play)


@pytest.mark.parametrize("deleted", [False, True])
def test_what_ran_at_a_site_that_lost_it_is_told_as_a_gap_and_not_guessed(
    simulate: Simulate, tmp_path: Path, deleted: bool
) -> None:
    async def play(sim: Simulation) -> None:
        await running(sim)
        uid = sim.job("train")["metadata"]["uid"]
        await let_pass(sim, 2 * DAY_MS)
        ((so_far,), _) = told(tmp_path)
        sim.clusters["east"].server.cut = True
        await sim.until(lambda: sim.state("train")[0] == "Unknown")
        lose(sim, "east")
        if deleted:
            sim.delete("train")
        await sim.kill()
        sim.start()
        await let_pass(sim, 5 * DAY_MS)
        assert told(tmp_path) == ([so_far], [])
        sim.clusters["east"].server.cut = False
        back_ms = sim.clock.now_ms()
        await sim.until(lambda: told(tmp_path)[1], 600, every=5.0)
        (open_pods, (gap,)) = told(tmp_path)
        assert (gap.site, gap.job_uid, gap.epoch, gap.pod_uid, gap.pods) == ("east", uid, 1, so_far.pod_uid, 1)
        assert gap.start_ms == so_far.end_ms
        assert back_ms <= gap.end_ms <= sim.clock.now_ms()
        assert open_pods == []
        assert sim.process is not None
        assert 'suanli_usage_gap_pods_total{site="east"} 1.0' in sim.process.operator.scrape().decode()

    simulate(play)


def test_what_started_after_the_last_mark_and_was_lost_is_a_gap_from_its_start(
    simulate: Simulate, tmp_path: Path
) -> None:
    async def play(sim: Simulation) -> None:
        start_ms = await running(sim, tasks=3)
        sim.clusters["east"].server.cut = True
        await sim.until(lambda: sim.state("train")[0] == "Unknown")
        lose(sim, "east")
        await sim.kill()
        sim.start()
        sim.clusters["east"].server.cut = False
        await sim.until(lambda: told(tmp_path)[1], 600, every=5.0)
        (_, (gap,)) = told(tmp_path)
        assert (gap.site, gap.epoch, gap.pod_uid, gap.pods) == ("east", 1, "", 3)
        assert gap.start_ms // 1_000 == start_ms // 1_000
        await sim.until(lambda: sim.state("train") == ("Failed", "DeletedOnMember"))

    simulate(play)
