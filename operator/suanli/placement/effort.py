"""How much work a plan may cost: counted, so that equal questions have equal answers, and by the clock where one is given."""

from collections.abc import Callable

WORK_PER_MS = 4_000  # looks at a possible move that a usual core makes in a millisecond
PATIENCE = 8  # shakes in vain after which a search ends
TOLERANCE = 1e-4  # of the bound: a plan that is so near to it is good enough


class Effort:
    """A budget in milliseconds, how many attempts in vain end a search, and how near to the bound is good enough.

    Without `elapsed_ms` only work is counted, and the plan depends on the question alone; with it the search also ends when
    so much time has gone by.
    """

    def __init__(
        self,
        budget_ms: int,
        elapsed_ms: Callable[[], float] | None = None,
        patience: int = PATIENCE,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.patience = patience
        self.tolerance = tolerance
        self._left = budget_ms * WORK_PER_MS
        self._budget_ms = budget_ms
        self._elapsed_ms = elapsed_ms

    def spend(self, work: int) -> None:
        """So many looks were made."""
        self._left -= work

    @property
    def is_spent(self) -> bool:
        """Whether the search has to end."""
        return self._left <= 0 or (self._elapsed_ms is not None and self._elapsed_ms() >= self._budget_ms)
