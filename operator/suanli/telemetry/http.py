"""Probes and metrics over HTTP."""

from collections.abc import Callable

from aiohttp import web

from suanli.telemetry.metrics import CONTENT_TYPE


class ProbeServer:
    """Serves /healthz, /readyz and /metrics."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        healthy: Callable[[], str],
        ready: Callable[[], str],
        metrics: Callable[[], bytes],
    ) -> None:
        """`healthy` and `ready` give an empty string when all is well, else what is not."""
        self._address = (host, port)
        self._checks = {"/healthz": healthy, "/readyz": ready}
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; the port. Raises: OSError when the address is taken."""
        app = web.Application()
        for path in self._checks:
            app.router.add_get(path, self._check)
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._address)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Listen no longer."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _check(self, request: web.Request) -> web.Response:
        wrong = self._checks[request.path]()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    async def _scrape(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE})
