"""What reaches a person is a reason of the one table and a whole sentence."""

from suanli.base.errors import SuanliError
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason


def test_an_error_has_a_reason_and_a_sentence() -> None:
    error = SuanliError(Reason.LEDGER_UNUSABLE, "the disk is full")
    assert (error.reason, str(error)) == (Reason.LEDGER_UNUSABLE, "the disk is full")


def test_money_for_people_is_to_the_fen() -> None:
    assert [yuan_text(v) for v in (12_345_000, 0, -5_000, 4_999)] == ["12.35", "0.00", "-0.01", "0.00"]
