"""The benchmark of large plans, on a small one."""

import json

import pytest

from bench.placement import NOW_MS, ground, growth, main, measure
from checker import violations
from suanli.placement.solve import place


def test_everything_fits_and_keeps_the_rules() -> None:
    waiting, sites, country = ground(300, 6, 40, 0.9, 3)
    plan = place(waiting, sites, country, NOW_MS)
    assert all(decision.site for decision in plan.decisions.values())
    assert violations(waiting, sites, country, NOW_MS, plan) == []


def test_equal_seeds_make_equal_batches() -> None:
    assert ground(50, 4, 10, 0.9, 7) == ground(50, 4, 10, 0.9, 7)
    assert ground(50, 4, 10, 0.9, 7) != ground(50, 4, 10, 0.9, 8)


def test_it_prints_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "60", "4", "--size", "120", "4", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(r["jobs"], r["sites"], r["unplaced"]) for r in told["results"]] == [(60, 4, 0), (120, 4, 0)]
    assert told["growth_exponent"] is not None


def test_growth_needs_two_sizes() -> None:
    one = measure(40, 3, 10, 0.9, 1)
    assert growth([one]) is None
    assert growth([one, one]) is None
