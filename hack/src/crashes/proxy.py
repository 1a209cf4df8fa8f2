"""What stands between the operator and the API servers: it passes everything on, and may kill the operator at a write."""

import asyncio
import base64
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import yaml
from aiohttp import web

from crashes.points import Moment, Write
from localfed.pki import Authority
from suanli.kube.client import Target
from suanli.kube.sockets import Sockets

HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}
STARTS_S = 120.0
CLOSING_S = 0.2  # for connections of those who came to end
BODY_BYTES = 64 << 20


class Tap(Protocol):
    """Who is told of each request that may change something."""

    def comes(self, cluster: str, method: str, path: str, body: bytes) -> Write:
        """It has come; `kill` of the answer says whether the operator is to be killed at it."""
        ...

    def answered(self, write: Write, status: int) -> None:
        """The server's answer."""
        ...

    def spring(self) -> None:
        """Kill it."""
        ...


class Proxies:
    """One server on 127.0.0.1 for each cluster, in a thread of their own, under one authority of their own."""

    def __init__(self, targets: Mapping[str, Target], tap: Tap) -> None:
        self._targets = targets
        self._tap = tap
        self._authority = Authority("proxies")
        self._servers: dict[str, str] = {}
        self._silent: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(STARTS_S):
            raise TimeoutError(f"the proxies did not start within {STARTS_S:.0f} s")
        if self._trouble is not None:
            raise self._trouble
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def through(self, cluster: str, kubeconfig: str) -> str:
        """The same kubeconfig, but by way of the cluster's proxy."""
        document = yaml.safe_load(kubeconfig)
        (entry,) = document["clusters"]
        authority = base64.b64encode(self._authority.certificate_pem).decode()
        entry["cluster"] = {"server": self._servers[cluster], "certificate-authority-data": authority}
        return yaml.safe_dump(document)

    def cut(self, cluster: str, is_cut: bool) -> None:
        """From now on nothing gets through to a cluster or from it, or all does again."""
        if is_cut:
            self._silent.add(cluster)
        else:
            self._silent.discard(cluster)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # noqa: BLE001 - whoever waits for the start is told
            self._trouble = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        sockets = Sockets()
        async with AsyncExitStack() as stack:
            tls = _serving(self._authority)
            for name, target in self._targets.items():
                connector = aiohttp.TCPConnector(
                    limit=0, ssl=ssl.create_default_context(cadata=target.ca_pem), socket_factory=sockets.make
                )
                session = aiohttp.ClientSession(
                    connector=connector,
                    timeout=aiohttp.ClientTimeout(total=None),
                    auto_decompress=False,
                    skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
                )
                app = web.Application(client_max_size=BODY_BYTES)
                app.router.add_route("*", "/{path:.*}", self._handler(name, session))
                # Who is gone needs no answer: its watches end, and what it had sent is carried out all the same.
                runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                stack.push_async_callback(session.close)  # first, so that watches end at once
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
                self._servers[name] = f"https://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
        await sockets.cut()
        await asyncio.sleep(CLOSING_S)

    def _handler(
        self, name: str, session: aiohttp.ClientSession
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        server, tap, silent = self._targets[name].server.rstrip("/"), self._tap, self._silent

        async def pass_on(request: web.Request, body: bytes) -> web.StreamResponse:
            write = tap.comes(name, request.method, request.path, body)
            if write.kill is Moment.BEFORE:
                tap.spring()
                return _cut(request)
            async with session.request(
                request.method, server + request.raw_path, data=body, headers=_kept(request.headers)
            ) as answer:
                said = await answer.read()
            tap.answered(write, answer.status)
            if write.kill is Moment.AFTER:
                tap.spring()
                return _cut(request)
            return web.Response(status=answer.status, body=said, headers=_kept(answer.headers))

        async def read(request: web.Request) -> web.StreamResponse:
            async with session.get(server + request.raw_path, headers=_kept(request.headers)) as answer:
                response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    if name in silent:
                        return _cut(request)
                    await response.write(piece)
            return response

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                if name in silent:
                    return _cut(request)
                if request.method == "GET":
                    return await read(request)
                return await asyncio.shield(pass_on(request, await request.read()))
            except (aiohttp.ClientError, ConnectionError):
                return _cut(request)

        return handle


def _cut(request: web.Request) -> web.Response:
    """No answer at all."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP}


def _serving(authority: Authority) -> ssl.SSLContext:
    tls, pair = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.serving()
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pair.certificate_pem + pair.key_pem)
        file.flush()
        tls.load_cert_chain(file.name)
    return tls
