"""Errors that reach a person: object, field, value, remedy."""

from dataclasses import dataclass

from suanli.base.reasons import Reason


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one object, and what to do about it."""

    object: str
    field: str
    value: str
    remedy: str
    reason: Reason = Reason.INVALID_SPEC

    def __str__(self) -> str:
        """One line for logs, conditions and terminals."""
        shown = self.value if len(self.value) <= 120 else self.value[:117] + "..."
        return f'{self.object}: {self.field}: "{shown}": {self.remedy}'


class SuanliError(Exception):
    """An error with a reason from the one table and a whole sentence."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
