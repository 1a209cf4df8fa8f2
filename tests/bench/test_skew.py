import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.skew.__main__ import NOW_MS, arguments, main
from bench.skew.figures import as_json, as_table, missed, result
from bench.skew.ground import Ground, Wish, ground
from checker import violations
from suanli.placement.snapshot import Plan
from suanli.placement.solve import place

ROOT = Path(__file__).resolve().parents[2]
WISH = Wish(regions=6, jobs=200, ratio=2.63, load=0.9, headroom=0.02)


def placed(made: Ground) -> Plan:
    return place(made.jobs, made.sites, made.country, NOW_MS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_ground_is_as_uneven_as_wished(seed: int) -> None:
    made = ground(WISH, seed)
    assert len(made.jobs) == WISH.jobs
    assert max(made.before.values()) == pytest.approx(WISH.ratio, rel=0.05)
    assert sum(made.demand.values()) / sum(made.supply.values()) == pytest.approx(WISH.load, rel=0.05)
    cards = Counter[str]()
    for job in made.jobs:
        cards[job.job.spec.origin] += job.job.spec.tasks * job.job.spec.resources.per_task.cards
        assert job.job.spec.data is not None
        assert job.job.spec.data.inputs[0].region == job.job.spec.origin
    assert cards == Counter(made.demand)


def test_the_same_seed_is_the_same_ground() -> None:
    assert ground(WISH, 4).jobs == ground(WISH, 4).jobs
    assert ground(WISH, 4).jobs != ground(WISH, 5).jobs


@pytest.mark.parametrize("seed", [1, 2])
def test_the_plan_keeps_every_rule_and_what_is_told_of_it_is_so(seed: int) -> None:
    made = ground(WISH, seed)
    plan = placed(made)
    assert violations(made.jobs, made.sites, made.country, NOW_MS, plan) == []
    found = result(made, plan, seed, 0.0)
    assert found.unplaced == 0
    assert max(found.after.values()) <= 0.98
    assert max(found.before.values()) > 2.5
    assert all(found.met.values())
    assert 0 < found.moved_gib < found.data_gib
    assert found.transfer_cny > 0
    assert found.cost_ratio >= 1.0


def test_trace_sizes_are_used_and_too_much_for_any_region_is_an_error() -> None:
    made = ground(WISH, 1, [4, 8])
    assert {job.job.spec.tasks * job.job.spec.resources.per_task.cards for job in made.jobs} == {4, 8}
    with pytest.raises(ValueError, match="take more regions or a lower --ratio"):
        ground(Wish(regions=3, jobs=100, ratio=50, load=0.9, headroom=0.02), 1)


def test_a_missed_goal_is_told() -> None:
    tight = ground(Wish(regions=6, jobs=200, ratio=2.63, load=0.9, headroom=0.3), 1)
    short = result(tight, placed(tight), 1, 0.0)
    assert short.unplaced > 0
    assert missed(short) == [f"missed: {short.unplaced} jobs wait at a load of {short.load:.3f}"]
    assert as_table(short).endswith(missed(short)[0])


def test_the_json_has_flat_figures_first() -> None:
    made = ground(WISH, 1)
    told = json.loads(as_json(result(made, placed(made), 1, 0.5)))
    assert list(told)[:3] == ["worst_before", "worst_after", "unplaced"]
    assert set(told["regions"]) == set(made.supply)


def test_it_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.skew", "--jobs", "100", "--regions", "5", "--output", "json"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/operator:{ROOT}/hack/src"},
    )
    assert json.loads(done.stdout)["jobs"] == 100


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--jobs", "49"], "'49' is not a whole number from 50 to"),
        (["--regions", "2"], "'2' is not a whole number from 3 to"),
        (["--ratio", "nan"], "'nan' is not a number from 1 to"),
        (["--load", "1.1"], "'1.1' is not a number from"),
        (["--headroom", "x"], "'x' is not a number from"),
        (["--seed", "-1"], "-1"),
        (["--output", "yaml"], "invalid choice: 'yaml'"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_is_wrong(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_trace_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trace", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: No such file" in capsys.readouterr().err
