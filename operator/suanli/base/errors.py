"""Errors that reach a person: a reason from the one table, and a sentence with object, field, value, remedy."""

from suanli.base.reasons import Reason


class SuanliError(Exception):
    """An error with a reason from the one table and a whole sentence."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
