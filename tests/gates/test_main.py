"""`hack/check` itself: goes on after a failure, and says what failed."""

import sys
import threading

import pytest

from gates import __main__ as check
from gates.failure import Failed, run
from gates.steps import STEPS, Step
from gates.tree import ROOT


def fail() -> None:
    raise Failed("line one\nline two")


def test_a_failure_shows_what_was_found() -> None:
    passed, said = check.outcome(Step("words", fail))
    assert not passed
    assert said.startswith("check: words ")
    assert said.endswith("s  FAILED\n  line one\n  line two")


def test_a_success_is_one_line() -> None:
    passed, said = check.outcome(Step("words", lambda: "much that nobody needs"))
    assert passed
    assert "\n" not in said


def test_steps_run_beside_each_other_and_are_told_in_order_after_a_failure_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = threading.Event()

    def wait() -> None:
        if not begun.wait(60):
            raise Failed("the third did not begin beside the first")

    steps = (Step("waits", wait), Step("fails", fail), Step("begins", begun.set))
    monkeypatch.setattr(check, "STEPS", steps)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.chdir(ROOT)  # where it goes by itself
    assert check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("check: ")] == ["waits", "fails", "begins", "1"]
    assert lines[-1] == "check: 1 of 3 steps failed: fails"


def test_an_unknown_step_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["typos"]) == 2
    assert 'no step "typos"; the steps are: format, ' in capsys.readouterr().err


def test_every_step_has_its_own_name() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)


def test_a_tool_that_says_nothing_still_fails() -> None:
    with pytest.raises(Failed, match="ended with 3 and said nothing"):
        run(sys.executable, "-c", "raise SystemExit(3)")


def test_a_tool_that_is_not_there_is_named() -> None:
    with pytest.raises(Failed, match="no-such-tool was not found; install it"):
        run("no-such-tool")
