"""Tests that are coroutines: import `pytest_pyfunc_call` in a conftest.py, and each runs in a loop of its own."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

LONGEST_S = 30.0  # what a test waits for comes at once, or never


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
