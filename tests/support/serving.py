"""Servers in a thread of their own, for commands that have their own event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apiserver import FakeApiServer


@contextmanager
def serving(*servers: FakeApiServer) -> Iterator[None]:
    """They run until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        for server in servers:
            call(server.__aenter__())
        yield
        for server in servers:
            call(server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
