"""The election on a thread and an event loop of its own: a lease is renewed in time however long the work keeps its loop busy."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any

Lead = Callable[[], Coroutine[Any, Any, None]]


class Election:
    """Runs the election apart, and the lead where it is asked to."""

    def __init__(
        self, elect: Callable[[Lead], Coroutine[Any, Any, None]], on_end: Callable[[], None] = lambda: None
    ) -> None:
        """`elect` is what `Lease.run` does. `on_end` is told, by the election's thread, when a lead is to end; it has not ended then."""
        self._elect = elect
        self._on_end = on_end

    async def run(self, lead: Lead) -> None:
        """As `Lease.run`; `lead` runs on this loop."""
        here, there = asyncio.get_running_loop(), asyncio.new_event_loop()
        thread = Thread(target=there.run_forever, name="election", daemon=True)
        thread.start()
        try:
            await run_on(there, lambda: self._elect(lambda: run_on(here, lead, self._on_end)))
        finally:
            there.call_soon_threadsafe(there.stop)
            thread.join()
            there.close()


async def run_on(
    loop: asyncio.AbstractEventLoop,
    work: Callable[[], Coroutine[Any, Any, None]],
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Run it on another thread's loop, until it has ended there; cancelling this cancels it. What it raises comes through.

    `on_end` is told when it is cancelled, at once.
    """
    here = asyncio.get_running_loop()
    ended: asyncio.Future[None] = here.create_future()
    begun: list[asyncio.Task[None]] = []

    def begin() -> None:
        begun.append(loop.create_task(work()))
        begun[0].add_done_callback(lambda _: here.call_soon_threadsafe(ended.set_result, None))

    loop.call_soon_threadsafe(begin)
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        on_end()
        loop.call_soon_threadsafe(lambda: begun[0].cancel())
        await asyncio.wait({ended})
        if not begun[0].cancelled():
            begun[0].result()
        raise
    begun[0].result()
