"""The operator's process: settings, hub, ledger, probes, election, and a graceful end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from pathlib import Path

from suanli import __version__
from suanli.base.errors import SuanliError
from suanli.base.settings import Settings, load
from suanli.kube.client import ApiClient, ApiError, Target, Unreachable
from suanli.kube.lease import Lease
from suanli.kube.local import load_in_cluster, load_target
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.operator import Operator
from suanli.telemetry import logs
from suanli.telemetry.http import ProbeServer
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
LEASE = "suanli-operator"
LOOP_LAG_LIMIT_S = 30.0


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


class Pulse:
    """Whether the event loop still turns."""

    def __init__(self) -> None:
        self._beat = time.monotonic()

    async def run(self) -> None:
        """Beat once a second until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1.0)

    def wrong(self) -> str:
        """What is wrong, or nothing."""
        lag = time.monotonic() - self._beat
        return f"the event loop has stood for {lag:.0f} s" if lag > LOOP_LAG_LIMIT_S else ""


def run() -> int:
    """Run the operator until a signal ends it; the process's exit code: 0 ended, 1 lost the lead, 2 bad configuration, 4 hub unreachable."""
    try:
        settings = load(os.environ)
    except ValueError as error:
        print(f"suanli operator: {error}")  # noqa: T201 - there is no log before the settings
        return 2
    logs.configure(settings.log_level, settings.log_format)
    if not settings.identity:
        settings = settings.model_copy(update={"identity": f"{socket.gethostname()}-{os.getpid()}"})
    try:
        target = load_target(settings.kubeconfig) if settings.kubeconfig else load_in_cluster()
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        store = UsageStore(Path(settings.data_dir) / "usage.sqlite3")
    except (SuanliError, ValueError, OSError) as error:
        LOG.error("bad configuration: %s", error)
        return 2
    try:
        return asyncio.run(_serve(settings, target, store))
    except OSError as error:
        LOG.error(
            "cannot listen on %s:%s: %s; set SUANLI_HTTP_PORT", settings.http_host, settings.http_port, error.strerror
        )
        return 2


async def _serve(settings: Settings, target: Target, store: UsageStore) -> int:
    metrics, pulse, stop = Metrics(), Pulse(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hub = ApiClient(
        target,
        name="hub",
        concurrency=settings.hub_concurrency,
        observer=metrics.request,
        user_agent=f"suanli-operator/{__version__}",
    )
    async with hub:
        try:
            identity = await hub.get("/api/v1/namespaces/kube-system")
        except (ApiError, Unreachable) as error:
            LOG.error("the hub cannot be used: %s; check its address, credentials and the chart's RBAC", error)
            return 4
        operator = Operator(
            target=target,
            hub=hub,
            hub_id=identity["metadata"]["uid"],
            store=store,
            clock=SystemClock(),
            settings=settings,
            metrics=metrics,
        )
        probes = ProbeServer(
            settings.http_host, settings.http_port, healthy=pulse.wrong, ready=operator.ready, metrics=operator.scrape
        )
        port = await probes.start()
        LOG.info(
            "started", extra={"version": __version__, "hub": target.server, "port": port, "identity": settings.identity}
        )
        lease = Lease(hub, settings.namespace, LEASE, settings.identity, duration_s=settings.lease_s)
        try:
            return await _run_until_stopped(operator, lease, pulse, stop)
        finally:
            await probes.stop()
            LOG.info("stopped")


async def _run_until_stopped(operator: Operator, lease: Lease, pulse: Pulse, stop: asyncio.Event) -> int:
    tasks = {
        "watch": asyncio.create_task(operator.watch(stop)),
        "lead": asyncio.create_task(lease.run(operator.lead)),
        "pulse": asyncio.create_task(pulse.run()),
        "stop": asyncio.create_task(stop.wait()),
    }
    done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if tasks["stop"] not in done:
        for name, task in tasks.items():
            if task in done:
                LOG.error("%s ended; the process ends so that a fresh one takes over", name, exc_info=task.exception())
        code = 1
    stop.set()
    for name in ("lead", "pulse"):
        tasks[name].cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10.0):
            await asyncio.gather(*tasks.values(), return_exceptions=True)
    return code
