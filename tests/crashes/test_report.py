"""What the command says of points."""

import json

import pytest

from crashes import __main__ as command
from crashes.points import Moment, Point
from crashes.run import Outcome

WRITE = "hub PATCH computejobs/gang/status #1"


def outcome(moment: Moment, settled_s: float, *violations: str, was_met: bool = True) -> Outcome:
    return Outcome(
        point=Point(moment, WRITE),
        was_met=was_met,
        settled_s=settled_s,
        took_s=settled_s + 3,
        starts=1,
        writes=[],
        violations=list(violations),
    )


def test_points_are_counted_and_what_is_wrong_is_told_with_the_command_that_shows_it_again() -> None:
    done = [
        Outcome(None, was_met=False, settled_s=1.0, took_s=9.0, starts=0, writes=[WRITE], violations=[]),
        outcome(Moment.BEFORE, 12.0),
        outcome(Moment.BEFORE, 14.0),
        outcome(Moment.AFTER, 16.0),
        outcome(Moment.AFTER, 60.0, "gang is Running, and should be Succeeded"),
        outcome(Moment.AFTER, 1.0, was_met=False),
    ]
    result = command.report(done, ["left over: east: pod/x"], 7, 99.0)
    assert (result["points"], result["writes"], result["calmWrites"]) == (4, 1, [WRITE])
    assert result["settledS"] == {"median": 14.0, "max": 16.0}
    assert result["neverCame"] == [f"after {WRITE}"]
    assert json.loads(json.dumps(result)) == result
    told = command.text(result)
    assert "4 crashes at 1 writes, seed 7: 1 failed, 1 things came late, 99.0 s" in told
    assert f"should be Succeeded; ./hack/crashes --only 'after {WRITE}'" in told
    assert told.endswith("left over: east: pod/x")
    assert command.arguments(["--only", f"after {WRITE}"]).only == [Point(Moment.AFTER, WRITE)]


@pytest.mark.parametrize("wrong", [["--points", "0"], ["--only", "during it"], ["--within", "5"], ["--seed", "x"]])
def test_wrong_arguments_are_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.arguments(wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err
