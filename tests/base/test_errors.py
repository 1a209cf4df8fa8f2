"""What reaches a person names object, field, value and remedy."""

from suanli.base.errors import Problem, SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason


def test_a_problem_is_one_line() -> None:
    problem = Problem("ComputeJob team-a/train", "spec.tasks", "0", "give at least 1")
    assert str(problem) == 'ComputeJob team-a/train: spec.tasks: "0": give at least 1'
    assert problem.reason is Reason.INVALID_SPEC


def test_a_long_value_is_cut() -> None:
    assert len(str(Problem("o", "f", "x" * 1_000, "r"))) == len('o: f: "": r') + 120


def test_an_error_has_a_reason_and_a_sentence() -> None:
    error = SuanliError(Reason.LEDGER_UNUSABLE, "the disk is full")
    assert (error.reason, str(error)) == (Reason.LEDGER_UNUSABLE, "the disk is full")


def test_money_for_people_is_to_the_fen() -> None:
    assert [yuan_text(v) for v in (12_345_000, 0, -5_000, 4_999)] == ["12.35", "0.00", "-0.01", "0.00"]
