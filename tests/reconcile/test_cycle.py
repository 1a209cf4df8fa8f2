"""The placement cycle: a batch of all that waits, decisions of old specs left aside, and no work for nothing."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import virtualtime
from builders import a_job, a_site
from simulation import Simulate, Simulation, place_first
from suanli.base.clock import parse_time_ms, time_text
from suanli.placement.snapshot import Plan
from suanli.placement.solve import place
from suanli.reconcile import cycle
from suanli.reconcile.cycle import THREAD_FROM


class Watched:
    """A placer that notes what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.sites: list[dict[str, bool]] = []
        self.asked_ms: list[int] = []
        self.fails = 0

    def __call__(self, waiting: Any, sites: Any, country: Any, now_ms: int, *more: Any, **kwargs: Any) -> Plan:
        self.asked_ms.append(now_ms)
        self.batches.append([w.job.metadata.name for w in waiting])
        self.sites.append({v.site.metadata.name: v.ready for v in sites})
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a defect in placement")
        return place_first(waiting, sites, country, now_ms, *more, **kwargs)


async def begin(sim: Simulation, placer: Watched) -> None:
    """A life of the operator with this placer."""
    await sim.kill()
    sim.place_all = placer
    sim.start()


def test_jobs_that_wait_together_are_placed_together_when_all_sites_are_known(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        placer = Watched()
        for n in range(5):
            sim.put(a_job(f"j{n}"))
        await begin(sim, placer)
        await sim.until(lambda: {sim.state(f"j{n}")[0] for n in range(5)} == {"Succeeded"})
        assert placer.batches == [[f"j{n}" for n in range(5)]]
        assert placer.sites == [{"east": True, "west": True}]

    simulate(play)


def test_a_large_batch_is_placed_off_the_loop_and_a_small_one_is_not(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        placer, pool = Watched(), virtualtime.InlinePool()
        asyncio.get_running_loop().set_default_executor(pool)
        short = {"image": "x", "command": ["sleep", "1"]}
        sim.put(a_job(template=short))
        await begin(sim, placer)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert pool.done == []
        await sim.kill()
        for n in range(THREAD_FROM):
            sim.put(a_job(f"j{n}", template=short))
        sim.start()
        await sim.until(lambda: len(placer.batches) > 1)
        assert (len(placer.batches[1]), len(pool.done)) == (THREAD_FROM, 1)

    simulate(play)


FULL = {"class": ["cpu"], "perTask": {"cpu": "65", "memory": "1Gi"}}  # more than any site has


def test_of_an_account_with_very_many_jobs_all_are_asked_in_turn_and_the_first_always(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "MOST_OF_ACCOUNT", 4)

    async def play(sim: Simulation) -> None:
        placer = Watched()
        for n in range(9):
            sim.put(a_job(f"j{n}", resources=FULL, priority=100 - n))
        sim.put(a_job("other", metadata={"namespace": "default"}, resources=FULL))
        await begin(sim, placer)
        await sim.until(lambda: all("conditions" in job.get("status", {}) for job in sim.jobs().values()))
        first = ["j0", "j1"]
        wanted = [*first, "j2", "j3", "other"], [*first, "j4", "j5", "other"], [*first, "j6", "j7", "other"]
        assert [sorted(batch) for batch in placer.batches[:4]] == [*wanted, [*first, "j8", "other"]]
        assert len(placer.batches) < 10, "a round ends, and the next one begins when something changes"
        before = len(placer.batches)
        sim.edit("j8", priority=1_000)
        await sim.until(lambda: "j8" in placer.batches[-1])
        await asyncio.sleep(5)
        asked = {name for batch in placer.batches[before:] for name in batch}
        assert asked == {*(f"j{n}" for n in range(9)), "other"}

    simulate(play)


def test_very_many_jobs_that_fit_are_all_placed_and_what_frees_room_during_a_round_begins_another(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "MOST_OF_ACCOUNT", 4)

    async def play(sim: Simulation) -> None:
        placer = Watched()
        half = {"class": ["cpu"], "perTask": {"cpu": "32", "memory": "1Gi"}}
        short = {"image": "x", "command": ["sleep", "3"]}
        for n in range(20):  # two sites have room for two each
            sim.put(a_job(f"j{n}", resources=half, template=short))
        await begin(sim, placer)
        await sim.until(lambda: {sim.state(f"j{n}")[0] for n in range(20)} == {"Succeeded"}, 120)
        assert max(map(len, placer.batches)) == 4

    simulate(play)


@pytest.mark.parametrize(
    ("waiting", "most", "expected"),
    [
        ([], 1_000, 1_000),
        ([5_000], 10_000, 1_000),
        ([5_000] * 10, 10_000, 1_000),
        ([5_000] * 20, 10_000, 500),
        ([5_000] * 19 + [1], 10_000, 526),
        ([10] * 100, 1_000, 1_000),
        ([10] * 101, 1_000, 9),
        ([1] * 999 + [5_000], 1_000, 2),
        ([3] * 9_000, 1_000, 2),
    ],
)
def test_accounts_that_flood_together_share_a_cycle(waiting: list[int], most: int, expected: int) -> None:
    assert cycle.share(waiting, most) == expected
    assert sum(min(n, expected) for n in waiting) <= max(most, 2 * len(waiting))


@given(st.lists(st.integers(1, 3_000), max_size=60), st.integers(1_000, 5_000))
def test_who_has_few_is_asked_whole_and_no_room_of_a_cycle_is_left(waiting: list[int], most: int) -> None:
    found = cycle.share(waiting, most)
    asked = sum(min(n, found) for n in waiting)
    assert asked <= most
    if found < cycle.MOST_OF_ACCOUNT:
        assert asked > most - len(waiting), "one more of each would be too many"


def test_many_accounts_that_flood_make_no_long_cycle_and_all_are_asked(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = cycle.share
    monkeypatch.setattr(cycle, "share", lambda waiting, most: share(waiting, 12))

    async def play(sim: Simulation) -> None:
        placer = Watched()
        for space in range(5):
            sim.hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"space-{space}"}})
            for n in range(8):
                sim.put(a_job(f"s{space}-{n}", metadata={"namespace": f"space-{space}"}, resources=FULL))
        await begin(sim, placer)
        await sim.until(lambda: all("conditions" in job.get("status", {}) for job in sim.jobs().values()))
        assert max(map(len, placer.batches)) <= 12
        assert all(len({name.split("-")[0] for name in batch}) == 5 for batch in placer.batches[:4]), "all of them"

    simulate(play)


def test_nothing_is_placed_for_jobs_that_do_not_wait(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        placer = Watched()
        sim.put(a_job("asleep", desiredState="Suspended"))
        sim.put(a_job("bad", tasks="many"))
        sim.put(a_job())
        await begin(sim, placer)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        await asyncio.sleep(300)
        assert placer.batches == [["train"]]

    simulate(play)


def test_a_defect_in_placement_is_counted_and_the_next_cycle_comes(
    simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def play(sim: Simulation) -> None:
        placer = Watched()
        placer.fails = 2
        sim.put(a_job())
        await begin(sim, placer)
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert sim.process is not None
        assert "suanli_unexpected_errors_total 2.0" in sim.process.operator.scrape().decode()

    simulate(play)
    assert [r.getMessage() for r in caplog.records] == ["placement cycle failed, will be tried again"] * 2


def test_a_job_that_waits_is_looked_at_again_when_room_is_made(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        whole = {"class": ["cpu"], "perTask": {"cpu": "60", "memory": "1Gi"}}
        for n in range(4):  # two sites have room for one each
            sim.put(a_job(f"j{n}", resources=whole))
        await sim.until(lambda: {sim.state(f"j{n}")[0] for n in range(4)} == {"Succeeded"})
        started = sorted(sim.job(f"j{n}")["status"]["startedAt"] for n in range(4))
        assert started[2] > started[1]
        for cluster in sim.clusters.values():
            first, second = sorted(cluster.runs.values(), key=lambda run: run.start_ms)
            assert first.end_ms is not None
            assert second.start_ms >= first.end_ms

    simulate(play)


def test_a_site_where_an_attempt_ended_badly_is_let_alone_for_a_while(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        sim.put(a_job(template={"image": "x", "command": ["fail", "1"]}, limits={"retries": 1}))
        await sim.until(lambda: sim.state("train")[0] == "Failed")
        assert [run.site for run in sorted(sim.runs(), key=lambda r: r.epoch)] == ["east", "west"]

    simulate(play, retry_backoff_s=60)


def test_a_job_is_looked_at_again_at_the_moment_that_it_waits_for(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        placer, moments = Watched(), [7_000, 45_000]  # and every 30 s in between
        await begin(sim, placer)
        await asyncio.sleep(10)
        began_ms = sim.clock.now_ms()
        full = {"class": ["cpu"], "perTask": {"cpu": "65", "memory": "1Gi"}}  # more than any site has
        for ms in moments:
            sim.put(a_job(f"j{ms}", resources=full, timing={"notBefore": time_text(began_ms + ms)}))
        await asyncio.sleep(60)
        looked = [ms - began_ms for ms in placer.asked_ms]
        assert [ms for ms in looked if ms > 1_000] == [pytest.approx(ms, abs=500) for ms in (7_000, 37_000, 45_000)]

    simulate(play)


def test_what_comes_due_before_a_cycle_is_over_is_looked_at_in_the_next(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        placer = Watched()
        await begin(sim, placer)
        await asyncio.sleep(10)
        began_ms = sim.clock.now_ms()
        sim.put(a_job(resources=FULL, timing={"notBefore": time_text(began_ms + 3_000)}))
        await asyncio.sleep(25)
        assert [ms - began_ms for ms in placer.asked_ms] == [pytest.approx(ms, abs=500) for ms in (0, 5_000)]

    simulate(play, cycle_ms=5_000)


def test_a_site_is_tried_again_as_soon_as_it_was_let_alone_long_enough(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        fails = {"image": "x", "command": ["fail", "1"]}
        sim.put(a_job(template=fails, limits={"retries": 1}, data={"allowedSites": ["west"]}))
        await sim.until(lambda: sim.state("train")[0] == "Failed")
        first, second = sorted(sim.runs(), key=lambda run: run.epoch)
        assert first.end_ms is not None
        assert 12_000 <= second.start_ms - first.end_ms < 15_000

    simulate(play, retry_backoff_s=12)


def test_a_spec_changed_while_it_is_placed_is_decided_anew(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        def place(waiting: Any, sites: Any, *args: Any, **kwargs: Any) -> Plan:
            plan = place_first(waiting, sites, *args, **kwargs)
            if not edited:
                edited.append(sim.job("train")["metadata"]["name"])
                sim.edit("train", data={"allowedSites": ["west"]})
                assert sim.process is not None
                sim.process.operator.mirror.apply("MODIFIED", sim.job("train"))
            return plan

        edited: list[str] = []
        await sim.kill()
        sim.place_all = place
        sim.put(a_job())
        sim.start()
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert [run.site for run in sim.runs()] == ["west"]
        assert sim.job("train")["status"]["epoch"] == 1

    simulate(play)


# --- jobs that are put off


def priced(name: str, begin_ms: int, *prices: str) -> Any:
    """A site whose cores draw power at prices by the hour."""
    offer = {"class": "cpu", "type": "General", "resourceName": "cpu", "unit": "Core", "ratedPowerW": 1_000}
    hourly = {"from": time_text(begin_ms), "pricesPerKwh": list(prices)}
    return a_site(name, resources=[offer], energy={"pue": "1", "hourlyPrices": hourly})


async def begin_priced(sim: Simulation, *prices: str) -> int:
    """A life of the operator with the real solver, at sites with these prices from now on; when that is."""
    await sim.kill()
    sim.place_all = place
    began_ms = sim.clock.now_ms() // 1_000 * 1_000
    for name in ("east", "west"):
        sim.put(priced(name, began_ms, *prices))
    sim.start()
    return began_ms


def planned(sim: Simulation) -> str | None:
    start: str | None = sim.job("train")["status"].get("estimate", {}).get("start")
    return start


def test_a_deferred_job_starts_at_its_planned_hour_and_nothing_is_written_until_then(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        began_ms = await begin_priced(sim, "0.9", "0.9", "0.3", "0.9")
        sim.put(a_job(timing={"expectedDuration": "30m", "deferrable": "12h"}))
        await sim.until(lambda: sim.state("train") == ("Waiting", "Deferred"))
        assert planned(sim) == time_text(began_ms + 7_200_000)
        assert "saves 0.30 of 0.45 CNY" in sim.condition("train", "Placed")["message"]
        version = sim.job("train")["metadata"]["resourceVersion"]
        await asyncio.sleep(7_150)
        assert sim.job("train")["metadata"]["resourceVersion"] == version
        await sim.until(lambda: sim.state("train")[0] == "Succeeded")
        assert 0 <= parse_time_ms(sim.job("train")["status"]["startedAt"]) - began_ms - 7_200_000 < 5_000

    simulate(play)


def test_a_deferred_job_goes_as_soon_as_prices_say_so(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        began_ms = await begin_priced(sim, "0.9", "0.9", "0.3", "0.9")
        sim.put(a_job(timing={"expectedDuration": "30m", "deferrable": "12h"}))
        await sim.until(lambda: sim.state("train") == ("Waiting", "Deferred"))
        sim.put(priced("west", began_ms, "0.9", "0.1", "0.3", "0.9"))
        await sim.until(lambda: planned(sim) == time_text(began_ms + 3_600_000), seconds=60)
        assert "at west" in sim.condition("train", "Placed")["message"]
        sim.put(priced("east", began_ms, "0.01"))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", seconds=60)
        assert [run.site for run in sim.runs()] == ["east"]
        assert planned(sim) == sim.job("train")["status"]["assignment"]["time"]  # it goes at once, and moves nothing

    simulate(play)


def test_a_deferred_job_that_is_not_to_wait_any_more_goes_at_once(simulate: Simulate) -> None:
    async def play(sim: Simulation) -> None:
        await begin_priced(sim, "0.9", "0.9", "0.3", "0.9")
        sim.put(a_job(timing={"expectedDuration": "30m", "deferrable": "12h"}))
        await sim.until(lambda: sim.state("train") == ("Waiting", "Deferred"))
        sim.edit("train", timing={"expectedDuration": "30m", "deferrable": None})
        await sim.until(lambda: sim.state("train")[0] == "Succeeded", seconds=60)

    simulate(play)
