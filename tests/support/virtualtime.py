"""An event loop whose time passes when nothing else is to be done."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
BASE_MS = 1_772_352_000_000  # 2026-03-01T08:00:00Z


class _Skipping(selectors.SelectSelector):
    """Instead of waiting, tells how long it would have waited."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen"
            self._skip(max(0.0, timeout))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a number."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Skipping(self._pass))

    def time(self) -> float:
        return self.now_s

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds


class VirtualClock:
    """The wall clock that goes with it; it may be set wrong."""

    def __init__(self) -> None:
        self.off_ms = 0

    def now_ms(self) -> int:
        return BASE_MS + round(asyncio.get_running_loop().time() * 1000) + self.off_ms


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, without waiting."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
