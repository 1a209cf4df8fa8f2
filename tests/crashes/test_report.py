"""What the command says of points."""

import json
from pathlib import Path

import pytest

from crashes import __main__ as command
from crashes.points import Moment, Point
from crashes.run import Outcome

WRITE = "hub PATCH computejobs/gang/status #1"


def outcome(moment: Moment, settled_s: float | None, *violations: str) -> Outcome:
    return Outcome("work", Point("work", moment, WRITE), settled_s, 20.0, 1, [], list(violations))


def test_points_are_counted_and_what_is_wrong_is_told_with_the_command_that_shows_it_again() -> None:
    done = [
        Outcome("work", None, None, 9.0, 0, [WRITE], []),
        outcome(Moment.BEFORE, 12.0),
        outcome(Moment.BEFORE, 14.0),
        outcome(Moment.AFTER, 16.0),
        outcome(Moment.AFTER, 60.0, "gang is Running, and should be Succeeded"),
        outcome(Moment.AFTER, None),
    ]
    result = command.report(done, ["left over: east: pod/x"], 7, 99.0)
    assert (result["points"], result["writes"], result["calm"]) == (4, 1, {"work": [WRITE]})
    assert result["settledS"] == {"median": 14.0, "max": 16.0}
    assert result["neverCame"] == [f"work after {WRITE}"]
    assert json.loads(json.dumps(result)) == result
    told = command.text(result)
    assert "4 crashes at 1 writes, seed 7: 1 failed, 1 things came late, 99.0 s" in told
    assert f"should be Succeeded; ./hack/crashes --only 'work after {WRITE}'" in told
    assert told.endswith("left over: east: pod/x")
    assert command.arguments(["--only", f"work after {WRITE}"]).only == [Point("work", Moment.AFTER, WRITE)]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--points", "0"],
        ["--only", "work during it"],
        ["--only", "play after it"],
        ["--routine", "play"],
        ["--within", "5"],
        ["--seed", "x"],
    ],
)
def test_wrong_arguments_are_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.arguments(wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_without_a_federation_it_says_that_it_was_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUANLI_CLUSTERS", str(tmp_path / "none.yaml"))
    assert command.main(["--report", str(tmp_path / "report.json")]) == 1
    out, err = capsys.readouterr()
    assert "crashes: not tried: " in err
    assert "none.yaml" in err
    assert out.startswith("0 crashes at 0 writes")
    assert json.loads((tmp_path / "report.json").read_text())["points"] == 0
