"""The biller: months are closed when they are over, every party gets its Statement once, tariffs are judged, and trouble waits."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import virtualtime
from builders import a_site, an_object
from memoryhub import MemoryClient, MemoryServer
from shop import CARD_HOUR, TARIFF, Shop
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.billing.period import month
from suanli.kube.client import Json
from suanli.reconcile.bill import Biller
from suanli.reconcile.books import Books
from suanli.reconcile.state import Mirror
from suanli.telemetry.metrics import Metrics

MAP = "/apis/suanli.io/v1alpha1"
MARCH = month("2026-03", "Asia/Shanghai")
APRIL = month("2026-04", "Asia/Shanghai")
DAY_MS = 24 * 3_600_000


class Clock:
    """One that is set."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


class Office:
    """A hub, the stores, and a biller that looks every second."""

    def __init__(self, folder: Path) -> None:
        self.shop = Shop(folder)
        self.clock = Clock(APRIL.start_ms + DAY_MS)
        self.hub = MemoryServer(self.clock)
        self.metrics = Metrics()
        self.mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
        self.mirror.apply("ADDED", a_site("east", operator="East Compute"))
        self.account = an_object("ComputeAccount", "lab", {"namespaces": ["team-a"], "customerClass": "university"})
        self.mirror.apply("ADDED", self.account)
        self.failing = ""

    def open_books(self) -> Books:
        if self.failing:
            raise SuanliError(Reason.LEDGER_UNUSABLE, self.failing)
        return self.shop.books

    def biller(self) -> Biller:
        return Biller(
            hub=MemoryClient(self.hub, "hub"),
            mirror=self.mirror,
            open_books=self.open_books,
            clock=self.clock,
            settings=Settings(bill_s=1, close_after_s=2 * 86_400),
            metrics=self.metrics,
            thread=virtualtime.InlinePool(),
        )

    def put_tariff(self) -> None:
        self.hub.put(TARIFF)

    def statements(self) -> dict[tuple[str, str, str], Json]:
        found = self.hub.items(f"{MAP}/statements")
        return {(s["spec"]["role"], s["spec"]["party"], s["spec"]["period"]): s for s in found}

    def writes(self) -> int:
        return len(self.hub.writes())


Play = Callable[[Callable[[Office], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """An office whose biller runs in virtual time."""

    def run(scene: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            office = Office(tmp_path)
            task = asyncio.create_task(office.biller().run())
            try:
                await scene(office)
            finally:
                task.cancel()
                await asyncio.wait([task])
                office.shop.books.leave()

        virtualtime.run(whole())

    return run


def test_a_month_is_closed_when_it_is_over_and_everybody_gets_a_statement_once(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        await asyncio.sleep(5)
        assert office.statements() == {}
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        owed = 10 * 4 * CARD_HOUR * 80 // 100
        found = office.statements()
        assert {key[:2] for key in found} == {
            ("Consumer", "lab"),
            ("Provider", "East Compute"),
            ("Operator", "operator"),
        }
        lab = found["Consumer", "lab", "2026-03"]["status"]
        assert (lab["totals"]["net"], lab["lines"]) == (str(-owed), 1)
        assert [(c["type"], c["status"]) for c in lab["conditions"]] == [("Issued", "True")]
        assert lab["evidence"]["rootHash"] == office.shop.ledger.root()[1]
        assert sum(int(s["status"]["totals"]["net"]) for s in found.values()) == 0
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes

    play(scene)


def test_months_in_which_nothing_ran_are_closed_too_one_by_one(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", month("2026-01", "Asia/Shanghai").start_ms + DAY_MS, 1)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        assert [c.period.name for c in office.shop.books.closings()] == ["2026-01", "2026-02", "2026-03"]

    play(scene)


def test_without_a_tariff_nothing_is_billed(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms, 1)
        office.clock.at_ms = APRIL.end_ms
        await asyncio.sleep(5)
        assert office.shop.books.closings() == []
        assert office.writes() == 0

    play(scene)


def test_a_tariff_that_does_not_fit_says_so_until_it_does(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.put_tariff()
        await asyncio.sleep(3)

        def said() -> tuple[str, str]:
            status = office.hub.get(f"{MAP}/tariffs/east-2026")["status"]
            return status["conditions"][0]["status"], status["conditions"][0]["message"]

        assert said()[0] == "False"
        assert "no site of provider" in said()[1] or "has a price" in said()[1]

    play(scene)


def test_while_the_ledger_cannot_be_used_bills_wait_and_say_so(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(office: Office) -> None:
        office.failing = "the disk is full"
        office.shop.ran("p", MARCH.start_ms, 1)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(5)
        assert "bills wait" in caplog.text
        assert office.statements() == {}
        office.failing = ""
        await asyncio.sleep(5)
        assert len(office.statements()) == 3
        assert office.metrics.surprises._value.get() == 0

    play(scene)
