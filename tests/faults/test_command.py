"""The command that runs seeds."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edits import fields
from faultrun import Outcome
from faults import __main__ as command
from flood import Kind, Waits


def an_outcome(seed: int, *violations: str) -> Outcome:
    return Outcome(seed, list(violations), {"seed": seed}, settled_s=12.0, met={"Cut": 1}, jobs=3)


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> dict[int, Outcome]:
    """What is to become of seeds; all others end well."""
    told: dict[int, Outcome] = {}

    def outcomes(wanted: Any, processes: int) -> Iterator[Outcome]:
        return (told.get(seed, an_outcome(seed)) for seed in wanted)

    monkeypatch.setattr(command, "outcomes", outcomes)
    return told


def test_a_violation_ends_it_with_1_and_names_its_seed_and_replay(
    seeds: dict[int, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds[9] = an_outcome(9, "lost: job hub-3 never ended")
    path = tmp_path / "report.json"
    assert command.main(["--seed", "7", "--runs", "4", "--report", str(path)]) == 1
    assert "seed 9: lost: job hub-3 never ended; ./hack/faults --replay 9" in capsys.readouterr().out
    told = json.loads(path.read_text())
    assert (told["runs"], told["seed"], told["violations"], told["jobs"]) == (4, 7, 1, 12)
    assert [(one["seed"], one["replay"], one["plan"]) for one in told["failed"]] == [
        (9, "./hack/faults --replay 9", {"seed": 9})
    ]


def test_a_fault_that_many_runs_never_met_ends_it_with_1(seeds: dict[int, Outcome]) -> None:
    assert command.main(["--runs", "199"]) == 0
    assert command.main(["--runs", "200"]) == 1


def test_a_real_seed_is_replayed_with_its_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--replay", "1"]) == 0
    out = capsys.readouterr().out
    plan, _ = json.JSONDecoder().raw_decode(out)
    assert plan["seed"] == 1
    assert plan["windows"]
    assert "seed 1: settled" in out


def test_edits_are_run_reported_and_replayed_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field = fields()[0].label
    wrong = Outcome(3, ["crash: KeyError"], {"seed": 3}, met={field: 2})
    monkeypatch.setattr(command, "edit_outcomes", lambda wanted, processes: (replace(wrong, seed=s) for s in wanted))
    path = tmp_path / "report.json"
    assert command.main(["--edits", "--seed", "3", "--runs", "1", "--report", str(path)]) == 1
    out = capsys.readouterr().out
    assert "seed 3: crash: KeyError; ./hack/faults --edits --replay 3" in out
    assert f"2 edits of {len(fields())} fields" in out
    assert json.loads(path.read_text())["edits"][field] == 2
    assert command.main(["--edits", "--replay", "3"]) == 1


def test_a_flood_is_told_beside_none_of_each_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--flood", "20"]) == 0
    assert capsys.readouterr().out.count("under a flood of 20 jobs") == len(Kind)
    monkeypatch.setattr(command, "waits", lambda jobs, kind, with_solver=False: Waits([0.2 if jobs else 0.1]))
    assert command.main(["--flood", "20"]) == 1


@pytest.mark.parametrize("argv", [["--flood", "0"], ["--runs", "0"], ["--runs", "many"], ["--replay"], ["--verbose"]])
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        command.main(argv)
    assert exit_.value.code == 2
