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
        self._budget_ms: float = budget_ms
        self._elapsed_ms = elapsed_ms
        self._whole: Effort | None = None

    def spend(self, work: int) -> None:
        """So many looks were made."""
        self._left -= work
        if self._whole is not None:
            self._whole.spend(work)

    def part(self, share: float) -> "Effort":
        """An effort of its own that may use so much of what is left of this one."""
        elapsed_ms = self._elapsed_ms() if self._elapsed_ms is not None else 0.0
        part = Effort(0, self._elapsed_ms, self.patience, self.tolerance)
        part._left = int(max(0, self._left) * share)
        part._budget_ms = elapsed_ms + (self._budget_ms - elapsed_ms) * share
        part._whole = self
        return part

    def affords(self, work: int) -> bool:
        """Whether so many looks are still left, as far as is known."""
        ms = work / WORK_PER_MS
        return self._left >= work and (self._elapsed_ms is None or self._budget_ms - self._elapsed_ms() >= ms)

    @property
    def is_spent(self) -> bool:
        """Whether the search has to end."""
        return self._left <= 0 or (self._elapsed_ms is not None and self._elapsed_ms() >= self._budget_ms)
