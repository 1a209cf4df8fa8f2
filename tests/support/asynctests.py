"""Tests that are coroutines, and what they wait for.

Import `pytest_pyfunc_call` in a conftest.py, and each coroutine of its folder runs in a loop of its own.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

LONGEST_S = 240.0  # what a test waits for comes at once, or never


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test: Callable[..., Any] = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = pyfuncitem._fixtureinfo.argnames

    async def timed() -> None:
        async with asyncio.timeout(LONGEST_S):
            await test(**{name: pyfuncitem.funcargs[name] for name in names})

    asyncio.run(timed())
    return True


class Happenings:
    """Waits for what callbacks bring about; nothing is looked at but when something happened."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happened(self) -> None:
        """Something has: whoever waits looks again."""
        self._event.set()

    async def until(self, true: Callable[[], object], seconds: float = 120.0) -> None:
        """Until it is true. Raises: TimeoutError."""
        async with asyncio.timeout(seconds):
            while not true():
                self._event.clear()
                await self._event.wait()
