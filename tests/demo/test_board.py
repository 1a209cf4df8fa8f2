import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from demo import table
from demo.board import Board
from demo.country import Country, Rooms
from demo.report import Check, Report
from harness.pods import Amount
from suanli.api.policy import Kpi

Build = Callable[..., dict[str, Any]]


def printed(thing: object, width: int = 140) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(thing)
    return out.getvalue()


def test_a_change_is_told_once(a_job: Build, country: Country, small: Rooms) -> None:
    board = Board(country, small)
    assert board.see(a_job("a", why="no room")) is not None
    assert board.see(a_job("a", why="no room")) is None
    assert board.see(a_job("a", why="too far")) is not None
    assert board.see(a_job("a", "Running", "zhongwei-dc1")) is not None
    assert board.see(a_job("a", "Running", "zhongwei-dc1"), gone=True) is not None
    assert board.counts() == {"Deleted": 1}


def test_held_units_go_with_the_job(a_job: Build, country: Country, small: Rooms) -> None:
    board = Board(country, small)

    def used() -> dict[tuple[str, str], int]:
        return {(r.site, r.class_): r.used for r in board.sites() if r.used}

    board.see(a_job("a", "Running", "zhongwei-dc1"))
    assert used() == {("zhongwei-dc1", "nvidia-a100-80g"): 2}
    board.see(a_job("a", "Succeeded", "zhongwei-dc1"))
    assert used() == {}
    assert sum(r.ended for r in board.sites()) == 1


def test_the_latest_come_first_and_no_more_than_asked(a_job: Build, country: Country, small: Rooms) -> None:
    board = Board(country, small)
    for name in ("a", "b", "c"):
        board.see(a_job(name, why="no room"))
    board.see(a_job("a", why="still none"))
    assert [row.name for row in board.latest(["Waiting"], 2)] == ["a", "c"]


def test_a_line_says_where_and_how_far_or_why_not(a_job: Build, country: Country, small: Rooms) -> None:
    board = Board(country, small)
    moved, stays = board.see(a_job("a", "Running", "zhongwei-dc1")), board.see(a_job("b", why="1 ms is not enough"))
    assert moved is not None
    assert stays is not None
    assert "at zhongwei-dc1, 12ms of cross-hub 20ms" in table.line(moved, 1.0)
    assert "1 ms is not enough" in table.line(stays, 1.0)


def test_the_live_table_keeps_to_the_height(a_job: Build, country: Country, small: Rooms) -> None:
    board = Board(country, small)
    for index in range(100):
        board.see(a_job(f"w{index}", why="no room") if index % 2 else a_job(f"r{index}", "Running", "zhongwei-dc1"))
    for height in (34, 40, 60):
        assert len(printed(table.live(board, 1.0, height)).splitlines()) <= height


def test_the_report_shows_every_figure(country: Country) -> None:
    found = Report(
        {("zhongwei-dc1", "cross-hub"): 3},
        [],
        7_200_000,
        3_600_000,
        Amount(0, 3_600_000_000, 0, 7_200_000),
        Amount(0, 3_600_000_000, 0, 7_200_001),
        {"too-far": "1ms is not enough"},
        [Check("all is well", True, "3 of 3"), Check("nothing is wrong", False, "one thing")],
    )
    kpis = [
        Kpi(
            name="average-pue",
            value="1.2345",
            numerator="12.345",
            denominator="10",
            unit="kW",
            target="AtMost 1.5",
            met="True",
        ),
        Kpi(name="path-ratio", message="no path joins anything", target="AtMost 1.5", met="Unknown"),
    ]
    stories = {"too-far": "demo/too-far: [bold]NoFeasibleSite\n  none of 3"}
    text = printed(table.report(found, ["city", "cross-hub"], kpis, stories, {"servers": 10.25}))
    for part in ("2.000000", "1.000000", "50.0%", "-1", "FALSE", "one thing", "10.2", "zhongwei-dc1", "1ms is not"):
        assert part in text
    assert "average-pue 1.2345 AtMost 1.5 True 12.345 of 10 kW" in " ".join(text.split())
    assert "  demo/too-far: [bold]NoFeasibleSite" in text
    assert "path-ratio" not in text
