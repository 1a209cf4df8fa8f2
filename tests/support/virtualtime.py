"""An event loop whose time passes when nothing else is to be done."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
STUCK_S = 10.0
BASE_MS = 1_772_352_000_000  # 2026-03-01T08:00:00Z


class _Skipping(selectors.SelectSelector):
    """Instead of waiting, tells how long it would have waited."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # only a thread can do something now: the loop's own, when it closes
            ready = super().select(STUCK_S)
            assert ready, "nothing will ever happen"
            return ready
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


class InlinePool(ThreadPoolExecutor):
    """Does at once what it is given: threads know nothing of virtual time."""

    def __init__(self) -> None:
        super().__init__(1)
        self.done: list[object] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        self.done.append(fn)
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor passes on whatever it is
            future.set_exception(error)
        return future


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, without waiting."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_default_executor(InlinePool())
        return runner.run(work)
