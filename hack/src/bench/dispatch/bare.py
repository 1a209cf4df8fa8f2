"""The bare client: nothing but the two writes of each job."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp

from bench.dispatch.figures import Pace
from bench.dispatch.work import Pair
from suanli.kube.client import Target

MERGE_PATCH = "application/merge-patch+json"
TIMEOUT_S = 60.0


class Refused(Exception):
    """A server did not take a request."""


class Bare:
    """Kept connections to one API server."""

    def __init__(self, target: Target, connections: int) -> None:
        self._server = target.server.rstrip("/")
        self._connections = connections
        tls = ssl.create_default_context(cadata=target.ca_pem)
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls, keepalive_timeout=60),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Authorization": f"Bearer {target.token}",
            },
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def open(self) -> None:
        """Make the connections."""
        await asyncio.gather(*(self.send("GET", "/version") for _ in range(self._connections)))

    async def send(self, method: str, path: str, body: bytes | None = None, content: str = "application/json") -> None:
        """One request that must succeed. Raises: Refused, aiohttp.ClientError, TimeoutError."""
        headers = {"Content-Type": content} if body is not None else {}
        async with self._session.request(method, self._server + path, data=body, headers=headers) as answer:
            text = await answer.read()
        if answer.status >= 300:
            said = text[:300].decode(errors="replace")
            raise Refused(f"{method} {self._server}{path} was answered {answer.status}: {said}")


async def dispatch(hub: Target, members: Mapping[str, Target], pairs: Sequence[Pair], concurrency: int) -> Pace:
    """Write everything, so many jobs at a time; the connections are there before the clock runs.

    Raises: Refused, aiohttp.ClientError, TimeoutError.
    """
    async with AsyncExitStack() as stack:
        at_hub = await stack.enter_async_context(Bare(hub, concurrency))
        at_member = {
            name: await stack.enter_async_context(Bare(target, concurrency)) for name, target in members.items()
        }
        for server in (at_hub, *at_member.values()):
            await server.open()
        left = iter(pairs)

        async def work() -> None:
            for pair in left:
                await at_hub.send("PATCH", pair.patch_path, pair.patch, MERGE_PATCH)
                await at_member[pair.site].send("POST", pair.create_path, pair.create)

        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return Pace(len(pairs) / took_s, cpu_s * 1000 / len(pairs))
