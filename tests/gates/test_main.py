"""`hack/check` itself: goes on after a failure, and says what failed."""

import sys

import pytest

from gates import __main__ as check
from gates.failure import Failed, run
from gates.steps import STEPS, Step


def fail() -> None:
    raise Failed("line one\nline two")


def test_a_failure_shows_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check.passes(Step("words", fail))
    said = capsys.readouterr().out
    assert said.startswith("check: words ")
    assert said.endswith("s  FAILED\n  line one\n  line two\n")


def test_a_success_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.passes(Step("words", lambda: "much that nobody needs"))
    assert capsys.readouterr().out.count("\n") == 1


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
