"""The benchmark of deferrable jobs on cases that can be reckoned by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path

import numpy as np
import pytest

from bench.defer import figures, oracle
from bench.defer.__main__ import arguments, main
from bench.defer.figures import Case, Result, outcome
from bench.defer.ground import Ground, make_ground, work_of_jobs
from bench.defer.play import Played, play
from bench.defer.prices import Market, read_markets
from bench.defer.trace import Trace, read_trace
from suanli.base.units import MS_PER_HOUR as HOUR_MS
from suanli.cli.scenarios import BadInput

BEGIN_MS = 1_672_531_200_000  # 2023-01-01T00:00:00Z
DAYS = 6
CHEAP_AT = {"one": 3, "two": 5}


def a_market(name: str, prices: Sequence[int], zone: str = "UTC") -> Market:
    """Prices of days that are all alike, in hundredths of a yuan."""
    return Market(name, zone, BEGIN_MS, np.array(list(prices) * DAYS) * 10_000)


def daily(name: str, least: int) -> Market:
    """Dear by day, cheap for one hour, at which the least is paid."""
    prices = [100] * 24
    prices[CHEAP_AT[name]] = least
    return a_market(name, prices)


def a_trace(*jobs: tuple[float, float, float]) -> Trace:
    """Jobs by arrival and length in hours, and units."""
    arrival, length, units = np.array(jobs, dtype=float).T
    return Trace(*((x * scale).astype(np.int64) for x, scale in ((arrival, 3_600), (length, 3_600), (units, 1))))


def a_ground(trace: Trace, hours: float = 24, movable: float = 1.0, **more: object) -> Ground:
    ground = make_ground([daily("one", 50), daily("two", 20)], trace, round(hours * HOUR_MS), movable, seed=1)
    return replace(ground, origin_j=np.zeros(len(ground.trace), dtype=np.int64), **more)  # type: ignore[arg-type]


def played(ground: Ground, room_s: Sequence[float] | None = None) -> Played:
    room = None if room_s is None else np.array(room_s, dtype=float)
    return play(ground, work_of_jobs(ground), published=time(13), cycle_ms=15 * 60_000, room_s=room)


def hours(ground: Ground, found: Played) -> list[float]:
    return [round((ms - BEGIN_MS) / HOUR_MS, 3) for ms in found.start_ms_j.tolist()]


# --- plays


def test_a_job_goes_to_the_cheapest_hour_of_the_cheapest_site() -> None:
    ground = a_ground(a_trace((48, 1, 2), (48.5, 2, 4)))
    for found in (played(ground), oracle.oracle(ground)):
        assert hours(ground, found) == [53.0, pytest.approx(52.0, abs=1)]
        assert found.site_j.tolist() == [1, 1]
    now = oracle.at_once(ground)
    told = outcome(ground, played(ground), now)
    assert oracle.cost_cny(ground, now) == pytest.approx(2 * 1.0 + 4 * 2.0)
    assert told.saved_cny == pytest.approx(2 * 0.8 + 4 * 0.8)
    assert (told.violations, told.moved) == (0, 2)


def test_a_job_of_a_tight_tier_stays_where_it_comes_from() -> None:
    ground = a_ground(a_trace((48, 1, 2)), movable=0.0)
    for found in (played(ground), oracle.oracle(ground)):
        assert (hours(ground, found), found.site_j.tolist()) == ([51.0], [0])


def test_a_window_ends_in_time() -> None:
    ground = a_ground(a_trace((48, 1, 2), (50, 1, 1)), hours=3.5)
    found = played(ground)
    assert (hours(ground, found), found.site_j.tolist()) == ([51.0, 53.0], [0, 1])
    assert outcome(ground, found, oracle.at_once(ground)).late == 0


def test_room_is_kept_and_the_second_best_hour_is_taken() -> None:
    ground = a_ground(a_trace((48, 1, 8), (48, 1, 8), (48, 1, 8)))
    found = played(ground, [8, 8])
    assert sorted(zip(hours(ground, found), found.site_j.tolist(), strict=True))[:2] == [(51.0, 0), (53.0, 1)] or (
        oracle.peak_s(ground, found).tolist() == [8, 8]
    )
    assert oracle.peak_s(ground, found).max() == 8
    assert outcome(ground, found, oracle.at_once(ground), np.array([8.0, 8.0])).violations == 0


def test_violations_are_counted() -> None:
    ground = a_ground(a_trace((48, 1, 2), (48, 1, 2), (48, 1, 2)), hours=3, movable=0.0)
    starts = BEGIN_MS + np.array([51.1, 47.9, 48.0]) * HOUR_MS
    wrong = Played(starts.astype(np.int64), np.array([0, 0, 1]), 0)
    told = outcome(ground, wrong, oracle.at_once(ground), np.array([1.5, 9.0]))
    assert (told.late, told.early, told.too_far, told.overfull_units, told.violations) == (1, 1, 1, 0.5, 4)


def test_the_oracle_starts_so_that_the_run_ends_with_an_hour() -> None:
    ground = a_ground(a_trace((48, 1.5, 1)), hours=24)
    found = oracle.oracle(ground)
    assert oracle.cost_cny(ground, found) == pytest.approx(0.2 + 0.5)


def test_yesterdays_hours_know_nothing_of_today() -> None:
    changed = a_market("one", [100] * 24)
    prices = changed.price_h.copy()
    prices[24 + 7] = 0  # cheap yesterday at seven
    prices[48 + 9] = 0  # cheap today at nine
    markets = (Market("one", "UTC", BEGIN_MS, prices),)
    ground = make_ground(markets, a_trace((49, 1, 1)), 24 * HOUR_MS, 1.0, seed=1)
    assert hours(ground, oracle.by_yesterday(ground)) == [55.0]
    assert hours(ground, oracle.oracle(ground)) == [57.0]


def test_the_planner_learns_of_tomorrow_when_it_is_published() -> None:
    prices = np.full(24 * DAYS, 1_000_000)
    prices[72 + 8 : 72 + 15] = 2_000_000  # the fourth day from eight to three
    prices[96 + 6] = 0  # the fifth day at six
    at = (72 + 7, 72 + 8, 72 + 13)
    ground = make_ground(
        (Market("one", "UTC", BEGIN_MS, prices),), a_trace(*((h, 1, 1) for h in at)), 24 * HOUR_MS, 1.0, seed=1
    )
    # The first goes at seven, as cheap as anything it knows; the second waits for three o'clock and learns better at one.
    assert hours(ground, played(ground)) == [79.0, 102.0, 102.0]
    assert hours(ground, oracle.oracle(ground)) == [102.0] * 3


def test_jobs_that_could_end_after_the_last_price_are_left_out() -> None:
    ground = a_ground(a_trace((48, 1, 1), (24 * DAYS - 20, 1, 1), (24 * DAYS + 90, 1, 1)))
    assert len(ground.trace) == 1


# --- what is known when


def test_prices_are_known_to_the_end_of_the_local_day_and_of_the_next_once_published() -> None:
    market = a_market("one", range(24), "Asia/Shanghai")
    noon, one, late = (BEGIN_MS + h * HOUR_MS for h in (28, 29, 39))  # 12:00, 13:00 and 23:00 in Shanghai
    known = [(market.known_until_ms(now, time(13)) - BEGIN_MS) // HOUR_MS for now in (noon, one, late, late + HOUR_MS)]
    assert known == [40, 64, 64, 64]
    begin_ms, told = market.told(BEGIN_MS + 40 * HOUR_MS)
    assert (begin_ms, len(told), told[-1]) == (BEGIN_MS, 40, "0.150000")
    published = [(ms - BEGIN_MS) // HOUR_MS for ms in market.publications_ms(time(13))]
    assert published == [5 + 24 * d for d in range(DAYS)]


def test_no_more_is_told_than_a_site_takes() -> None:
    market = Market("one", "UTC", BEGIN_MS, np.arange(24 * 30))
    begin_ms, told = market.told(market.end_ms)
    assert (len(told), (begin_ms - BEGIN_MS) // HOUR_MS) == (216, 720 - 216)


# --- files


def prices_file(folder: Path, *lines: str, name: str = "X_2023.csv") -> str:
    path = folder / name
    path.write_text("\n".join(["datetime_utc,usd_per_mwh", *lines]) + "\n")
    return str(path)


def hourly(count: int) -> list[str]:
    return [f"2023-01-{1 + h // 24:02}T{h % 24:02}:00:00Z,{h}.5" for h in range(count)]


def test_prices_of_files_are_cut_to_what_they_have_in_common(tmp_path: Path) -> None:
    one, two = prices_file(tmp_path, *hourly(96)), prices_file(tmp_path, *hourly(90)[4:], name="Y.csv")
    markets = read_markets([one, f"{two}@Europe/Berlin"], 7.0)
    assert [(m.name, m.zone, m.begin_ms - BEGIN_MS, len(m.price_h)) for m in markets] == [
        ("x-2023", "UTC", 4 * HOUR_MS, 86),
        ("y", "Europe/Berlin", 4 * HOUR_MS, 86),
    ]
    assert markets[0].price_h[0] == 31_500  # 4.5 USD a MWh are 0.0315 CNY a kWh


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["2023-01-01T00:00:00Z,nan"], ":2: the price nan is no amount"),
        (["2023-01-01T00:00:00Z,1", "2023-01-01T01:00:00Z,"], ':3: "2023-01-01T01:00:00Z," is no time and price'),
        (["2023-01-01T00:00:00Z,1", "2023-01-01T02:00:00Z,1"], ":3: 2023-01-01T02:00:00Z does not come one hour after"),
        (["2023-01-01T01:00:00Z,1", "2023-01-01T00:00:00Z,1"], ":3: 2023-01-01T00:00:00Z does not come one hour after"),
        (["2023-01-01T00:30:00Z,1"], ":2: 2023-01-01T00:30:00Z is no whole hour"),
        (["yesterday,1"], ':2: "yesterday,1" is no time and price'),
        (["2023-01-01T00:00:00Z"], ":2: "),
        ([], ": has no prices"),
    ],
)
def test_a_bad_price_is_named_by_file_and_line(tmp_path: Path, lines: list[str], says: str) -> None:
    path = prices_file(tmp_path, *lines)
    with pytest.raises(BadInput) as error:
        read_markets([path], 7.0)
    assert str(error.value).startswith(path + says)


def test_bad_names_zones_and_spans_are_told(tmp_path: Path) -> None:
    path, later = prices_file(tmp_path, *hourly(96)), prices_file(tmp_path, *hourly(400)[90:], name="later.csv")
    for named, says in (
        ([f"{path}@Mars/Base"], "is no time zone"),
        ([path, path], "is there twice"),
        ([path, later], "less than three days in common"),
        ([str(tmp_path / "none.csv")], "cannot be read"),
    ):
        with pytest.raises(BadInput, match=says):
            read_markets(named, 7.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arrival_time,length\n1,2\n", 'trace.csv: line 1: there is no column "cpus"'),
        ("arrival_time,length,cpus\n1,2,x\n", "line 2: '1,2,x': it is not two times and a number of units"),
        ("arrival_time,length,cpus\n1,2,3\n1,-2,3\n", "trace.csv: line 3: '1,-2,3': the length is not between"),
        ("arrival_time,length,cpus\n1,2,3\nnan,2,3\n", "line 3: 'nan,2,3': the arrival is not between"),
        ("arrival_time,length,cpus\n1,9999,3\n", "the length is not between 0 and 8760 hours"),
        ("arrival_time,length,cpus\n1,2,2000000\n", "2000000 units is more than the 1000000 cores"),
        ("arrival_time,length,cpus\n", "none of 0 rows can be used"),
    ],
)
def test_a_bad_trace_is_named_by_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_trace(path)


def test_a_trace_is_sorted_and_in_whole_seconds(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("id,cpus,arrival_time,length\na,2,1.5,0.0001\nb,0.25,0.5,2\n")
    trace = read_trace(path)
    assert (trace.arrival_s_j.tolist(), trace.length_s_j.tolist(), trace.units_j.tolist()) == (
        [1_800, 5_400],
        [7_200, 1],
        [1, 2],
    )


# --- the whole


def test_the_whole_command_prints_shares_and_violations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = prices_file(
        tmp_path, *(f"2023-01-{1 + h // 24:02}T{h % 24:02}:00:00Z,{40 + 30 * (h % 24 > 7)}" for h in range(200))
    )
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "arrival_time,length,cpus\n" + "".join(f"{30 + i * 7.3:.2f},{1 + i % 4},{1 + i % 3}\n" for i in range(12))
    )
    argv = ["--prices", prices, "--trace", str(trace), "--defer", "12", "--room", "1", "--output", "json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    ample, limited = told["cases"]
    assert (ample["room"], limited["room"]) == (None, 1.0)
    assert ample["share_of_oracle"]["oracle"] == 1.0
    assert 0.95 < ample["share_of_oracle"]["planner"] <= 1.0
    assert set(ample["ways"]) == {"planner", "oracle", "planner, no move", "by yesterday's hours", "at once"}
    assert (ample["violations"], limited["violations"], told["missed"]) == (0, 0, [])


def test_what_cannot_be_measured_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prices", str(tmp_path / "no.csv")]) == 1
    assert "no.csv: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--defer", "x"], ["--movable", "2"], ["--cycle", "0"], ["--published", "noon"]])
def test_wrong_arguments_end_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2


def test_a_missed_goal_is_told() -> None:
    told = outcome(
        a_ground(a_trace((48, 1, 1))),
        oracle.at_once(a_ground(a_trace((48, 1, 1)))),
        oracle.at_once(a_ground(a_trace((48, 1, 1)))),
    )
    ways = {"planner": replace(told, saved_cny=94.9, late=2), "oracle": replace(told, saved_cny=100.0)}
    case = Case(24.0, None, 1, 1.0, 200.0, ways, 1, 1.0)
    result = Result(["x (UTC)"], "t", 0, 0.5, 1, "all", [case], 1.0, 1.0)
    assert figures.missed(result) == [
        "goal missed: deferrable 24 h, room for all: 94.9% of the oracle's savings, 95% wanted",
        "goal missed: deferrable 24 h, room for all: 2 violations, 0 wanted",
    ]
    assert "94.90%" in figures.as_table(result)
    fine = replace(case, ways={**ways, "planner": replace(told, saved_cny=95.0)})
    assert figures.missed(replace(result, cases=[fine])) == []
