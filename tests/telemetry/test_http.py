"""Probes and metrics as Kubernetes and Prometheus ask for them."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from suanli.telemetry.http import ProbeServer


class Checks:
    """What the server asks."""

    def __init__(self) -> None:
        self.wrong = ""
        self.not_ready = "the first full list of the hub is not complete"
        self.server = ProbeServer(
            "127.0.0.1", 0, healthy=lambda: self.wrong, ready=lambda: self.not_ready, metrics=lambda: b"up 1\n"
        )


Ask = Callable[[str], Awaitable[tuple[int, str, str]]]


def play(work: Callable[[Checks, Ask], Awaitable[None]]) -> None:
    async def whole() -> None:
        checks = Checks()
        port = await checks.server.start()
        async with aiohttp.ClientSession() as session:

            async def ask(path: str) -> tuple[int, str, str]:
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    return answer.status, await answer.text(), answer.headers["Content-Type"]

            try:
                await work(checks, ask)
            finally:
                await checks.server.stop()

    asyncio.run(whole())


def test_probes_say_what_is_wrong() -> None:
    async def work(checks: Checks, ask: Ask) -> None:
        assert (await ask("/healthz"))[:2] == (200, "ok\n")
        assert (await ask("/readyz"))[:2] == (503, "the first full list of the hub is not complete\n")
        checks.wrong, checks.not_ready = "the event loop has stood for 31 s", ""
        assert (await ask("/healthz"))[:2] == (503, "the event loop has stood for 31 s\n")
        assert (await ask("/readyz"))[:2] == (200, "ok\n")
        assert (await ask("/nothing"))[0] == 404

    play(work)


def test_metrics_are_text_of_prometheus() -> None:
    async def work(checks: Checks, ask: Ask) -> None:
        status, text, type_ = await ask("/metrics")
        assert (status, text) == (200, "up 1\n")
        assert type_ == "text/plain; version=0.0.4; charset=utf-8"

    play(work)


def test_a_taken_port_is_an_error_at_once() -> None:
    async def whole() -> None:
        first = Checks().server
        port = await first.start()
        second = ProbeServer("127.0.0.1", port, healthy=str, ready=str, metrics=bytes)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        await second.stop()
        await first.stop()

    asyncio.run(whole())


def test_stopping_what_never_started_is_no_harm() -> None:
    asyncio.run(Checks().server.stop())
