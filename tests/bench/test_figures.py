import json
from dataclasses import replace

import pytest

from bench.dispatch.figures import Result, as_json, as_table, missed, percentile


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(v) for v in range(100, 0, -1)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile(values, 0.5) == 1


def test_percentile_of_a_few_is_one_of_them() -> None:
    assert percentile([7.0], 1) == 7
    assert percentile([1.0, 9.0], 50) == 1
    assert percentile([1.0, 9.0], 51) == 9
    assert percentile([3.0, 1.0, 2.0], 99) == 3


@pytest.mark.parametrize(("values", "percent"), [([], 50.0), ([1.0], 0.0), ([1.0], 100.1)])
def test_percentile_refuses_what_has_none(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile(values, percent)


def test_ratio_is_against_the_better_round_of_the_floor(met: Result) -> None:
    assert met.ratio == 60.0 / 100.0


def test_goals_are_met_at_their_limits_and_missed_beyond(met: Result, missed: Result) -> None:
    assert met.met() == {"ratio": True, "hub_writes_per_job": True, "p99_ms": True}
    assert missed.met() == {"ratio": False, "hub_writes_per_job": False, "p99_ms": False}


def test_each_missed_goal_is_a_line_with_its_figure(met: Result, missed: Result) -> None:
    assert missed_lines(met) == []
    ratio, writes, p99 = missed_lines(missed)
    assert "0.599" in ratio
    assert "3.001" in writes
    assert "1000 ms" in p99


def missed_lines(result: Result) -> list[str]:
    lines = missed(result)
    assert [line for line in as_table(result).splitlines() if line.startswith("missed")] == lines
    return lines


def test_json_has_the_flat_figures(met: Result) -> None:
    found = json.loads(as_json(met))
    assert {k: found[k] for k in ("ratio", "floor_jobs_per_s", "operator_jobs_per_s")} == {
        "ratio": 0.6,
        "floor_jobs_per_s": 100.0,
        "operator_jobs_per_s": 60.0,
    }
    assert (found["hub_writes_per_job"], found["p50_ms"], found["p99_ms"]) == (3.0, 120.0, 1000.0)
    assert (found["jobs"], found["members"], found["concurrency"]) == (2000, 2, 16)
    assert (found["status_patch_bytes"], found["job_create_bytes"]) == (1600, 1500)
    assert found["met"] == met.met()
    assert found["floor"]["rounds"][1] == {"jobs_per_s": 100.0, "cpu_ms_per_job": 4.0}
    assert found["operator"]["cpu_ms_per_job"] == 7.25
    assert found["operator"]["per_site"] == {"west": 1200, "east": 800}


def test_what_was_not_asked_for_is_null_and_not_missed(met: Result) -> None:
    part = replace(met, floor=None, latency=None)
    found = json.loads(as_json(part))
    assert found["ratio"] is None
    assert found["floor"] is None
    assert found["p99_ms"] is None
    assert found["met"] == {"ratio": None, "hub_writes_per_job": True, "p99_ms": None}
    assert missed_lines(part) == []
    text = as_table(part)
    assert "operator" in text
    assert not any(word in text for word in ("floor", "ratio", "latency"))


def test_table_shows_every_figure(met: Result) -> None:
    text = as_table(met)
    for shown in (
        "100.0 jobs/s, 4.00 ms",
        "concurrency 16; rounds 98.0, 100.0",
        "60.0 jobs/s, 7.25 ms",
        "east 800, west 1200",
        "first member Job after 0.50 s, last after 33.30 s; 5000 hub writes",
        "ratio         0.600",
        "hub writes    3.000",
        "p50 120 ms, p99 1000 ms",
        "slowest 1500 ms",
        "900 jobs at 29.9/s",
        "status patch 1600 B, member Job 1500 B",
    ):
        assert shown in text
