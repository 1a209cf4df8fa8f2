"""A job that stands still for no reason is told, and one that rightly waits is not, however long."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import virtualtime
from builders import a_job
from evidence import Evidence, violations
from faultrun import at_rest, evidence_of
from simulation import Simulation
from standing import Hindrance, Money, Need, Standing
from suanli.placement.snapshot import WaitingJob
from suanli.reconcile.cycle import IDLE_S, Cycle

TO_RUN = [Need(10, 1, ""), Need(20, 1, "east"), Need(90, 0, "")]
CAME_FROM_WEST = [Need(10, 1, "west"), Need(20, 1, "east", frozenset({"west"})), Need(90, 0, "")]
RAN = {"a": [(30.0, 40.0), (50.0, 90.0)]}
RICH, POOR = Money(0, 5, {}), Money(0, 5, {"a": 3, "b": 3})
AT_EAST = {"a": TO_RUN, "b": [Need(0, 3, "east"), Need(90, 0, "")]}
AT_NONE = {"a": [Need(10, 1, ""), Need(90, 0, "")], "b": [Need(0, 3, "east"), Need(60, 0, "east"), Need(70, 0, "")]}


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (Standing({"a": TO_RUN}, RAN), [(10, 30), (40, 50)]),
        (Standing({"a": TO_RUN}, {}), [(10, 90)]),
        (Standing({"a": [Need(10, 0, "")]}, {}), []),
        (Standing({"a": TO_RUN}, RAN, begins_s=[25]), [(10, 25), (25, 30), (40, 50)]),
        (Standing({"a": TO_RUN}, RAN, [Hindrance(0, 45)]), [(45, 50)]),
        (Standing({"a": TO_RUN}, RAN, [Hindrance(0, 45, "east")]), [(10, 20), (45, 50)]),
        (Standing({"a": TO_RUN}, RAN, [Hindrance(0, 45, "west")]), [(10, 30), (40, 50)]),
        (Standing({"a": CAME_FROM_WEST}, RAN, [Hindrance(0, 45, "west")]), [(45, 50)]),
        (Standing(AT_EAST, {**RAN, "b": [(0, 90)]}, money=[POOR], task_micro_yuan=3), [(20, 30), (40, 50)]),
        (Standing(AT_NONE, {"b": [(0, 90)]}, money=[POOR], task_micro_yuan=3), [(70, 90)]),
        (Standing(AT_NONE, {"b": [(0, 90)]}, money=[RICH], task_micro_yuan=3), [(10, 90)]),
        (Standing(AT_NONE, {"b": [(0, 90)]}, money=[RICH], task_micro_yuan=6), []),
    ],
    ids=[
        "until-it-runs-and-between-two-attempts",
        "never-ran",
        "is-not-to-run",
        "another-leader",
        "nobody-could",
        "its-site-could-not",
        "another-site-could-not",
        "the-site-that-it-came-from-could-not",
        "others-hold-the-money-until-it-is-placed",
        "what-is-held-for-a-job-that-has-gone",
        "nobody-holds-the-money",
        "dearer-than-all-there-is",
    ],
)
def test_how_long_jobs_stand_still(standing: Standing, told: list[tuple[float, float]]) -> None:
    assert [(one.from_s, one.to_s) for one in standing.stretches(0, 100) if one.job == "a"] == told


def test_only_what_is_between_is_told() -> None:
    assert [(one.from_s, one.to_s) for one in Standing({"a": TO_RUN}, RAN).stretches(25, 45)] == [(25, 30), (40, 45)]


def sound(cycle: type[Cycle], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong."""


def forgets_whom_it_asked(cycle: type[Cycle], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes again is seen when the idle time is over."""
    asked_s, waiting = dict[str, float](), cycle._waiting

    def forgetting(self: Cycle, now_ms: int) -> list[WaitingJob]:
        now_s = asyncio.get_running_loop().time()
        found = [job for job in waiting(self, now_ms) if now_s - asked_s.get(job.uid, -IDLE_S) >= IDLE_S]
        asked_s.update((job.uid, now_s) for job in found)
        return found

    monkeypatch.setattr(cycle, "_waiting", forgetting)


def is_never_woken(cycle: type[Cycle], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what comes when nobody waits it learns nothing."""
    monkeypatch.setattr(cycle, "wake", lambda self: None)


Break = Callable[[type[Cycle], pytest.MonkeyPatch], None]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (sound, set()),
        (forgets_whom_it_asked, {"stood_still"}),
        (is_never_woken, {"stood_still", "lost", "settled_late"}),
    ],
)
def test_a_placement_cycle_that_lets_jobs_stand_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Break, told: set[str]
) -> None:
    async def whole() -> Evidence:
        sim, loop = Simulation(tmp_path), asyncio.get_running_loop()
        sim.start("operator-0", elect=True)
        await sim.until(lambda: sim.site_condition("east") == ("True", "Ready"))
        calm_s = loop.time()
        sim.put(a_job(template={"image": "busybox", "command": ["fail", "2"]}, limits={"retries": 1}))
        with suppress(AssertionError):
            await sim.until(lambda: at_rest(sim), 120, every=1.0)
        settled_s = loop.time()
        await asyncio.sleep(30)
        await sim.end()
        return evidence_of(sim, calm_s, settled_s, loop.time(), untold=False)

    spoil(Cycle, monkeypatch)
    assert {text.partition(":")[0] for text in violations(virtualtime.run(whole()))} == told
