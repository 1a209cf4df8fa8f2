"""The operator's process: settings, hub, ledger, probes, election, and a graceful end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Timer

from suanli import __version__
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.settings import Settings, load
from suanli.base.untrusted import mapping
from suanli.kube.client import ApiClient, ApiError, Target, Unreachable
from suanli.kube.election import Election, Lead
from suanli.kube.lease import Lease
from suanli.kube.local import load_in_cluster, load_target
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.places import open_ledger
from suanli.ledgerstore.sql import SqlLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books
from suanli.reconcile.operator import Operator
from suanli.telemetry import logs
from suanli.telemetry.http import ProbeServer
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
LEASE = "suanli-operator"
USAGE = "usage.sqlite3"
LOOP_LAG_LIMIT_S = 30.0
LEAD_END_S, WATCH_END_S = 6.0, 3.0  # a signal ends the process within ten seconds
MOST_END_S = 15.0  # where the loop, or a thread, cannot end it: the machine is that busy, or something hangs
YOUNG = 20_000  # objects that are made before circles among them are looked for
SWITCH_S = 0.0005  # while a plan is made in a thread: the loop waits so long for each read and write, by default ten times as long
TLS_BUFFER = 64 << 10  # of every connection; asyncio's own is 256 KiB, and a member has half a dozen connections


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


class Deadline:
    """Ends the process for certain, whatever still keeps it; what is on the disk then is whole, as after any crash."""

    def __init__(self, seconds: float = MOST_END_S, end: Callable[[int], object] = os._exit) -> None:
        self._timer = Timer(seconds, self._over, (seconds, end))
        self._timer.daemon = True

    def begin(self) -> None:
        """The process is to end from now on. Any thread may say so, again and again."""
        with contextlib.suppress(RuntimeError):  # it was said before
            self._timer.start()

    @staticmethod
    def _over(seconds: float, end: Callable[[int], object]) -> None:
        LOG.error("the process did not end in good order within %g s and is cut off", seconds)
        end(1)


def run() -> int:
    """Run the operator until a signal ends it; the process's exit code: 0 ended, 1 lost the lead, 2 bad configuration, 4 hub unreachable."""
    try:
        settings = load(os.environ)
    except ValueError as error:
        print(f"suanli operator: {error}", file=sys.stderr)  # noqa: T201 - there is no log before the settings
        return 2
    logs.configure(settings.log_level, settings.log_format)
    if not settings.identity:
        settings = settings.model_copy(update={"identity": f"{socket.gethostname()}-{os.getpid()}"})
    try:
        target = load_target(settings.kubeconfig) if settings.kubeconfig else load_in_cluster()
        store = _open_ledger(settings)
    except SuanliError as error:
        LOG.error("bad configuration: %s", error)
        return 2
    look_for_circles_rarely()
    SSLProtocol.max_size = TLS_BUFFER
    sys.setswitchinterval(SWITCH_S)
    with store:
        return asyncio.run(_serve(settings, target, store))


def look_for_circles_rarely() -> None:
    """Hardly anything that the loops make is part of a circle: by default a tenth of their time goes into looking for them."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(YOUNG)


def _open_ledger(settings: Settings) -> UsageStore:
    """The usage ledger in the data folder. Raises: SuanliError."""
    folder = Path(settings.data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"{folder} cannot be made: {error.strerror}; set SUANLI_DATA_DIR to a folder that this user may write"
        raise SuanliError(Reason.LEDGER_UNUSABLE, text) from error
    return UsageStore(folder / USAGE)


def _open_books(settings: Settings, hub_id: str) -> Books:
    """The books of the data folder, with the money ledger. Raises: SuanliError."""
    folder = Path(settings.data_dir)
    with ExitStack() as stack:
        usage = stack.enter_context(UsageStore(folder / USAGE))
        store = stack.enter_context(BookStore(folder / "books.sqlite3"))
        ledger = stack.enter_context(_open_money(settings))
        stack.pop_all()
    return Books(usage, store, ledger, hub_id)


def _open_money(settings: Settings) -> SqlLedger:
    """The money ledger. Raises: SuanliError."""
    return open_ledger(settings.ledger or str(Path(settings.data_dir) / "ledger.sqlite3"))


async def _serve(settings: Settings, target: Target, store: UsageStore) -> int:
    metrics, pulse, stop, deadline = Metrics(), Pulse(), asyncio.Event(), Deadline()
    _take_signals(stop)
    connect = partial(
        ApiClient, target, name="hub", observer=metrics.request, user_agent=f"suanli-operator/{__version__}"
    )
    try:
        renewing = connect(concurrency=1)  # a renewal does not queue behind the jobs' writes
        lease = Lease(
            renewing,
            settings.namespace,
            LEASE,
            settings.identity,
            duration_s=settings.lease_s,
            works=lambda: not pulse.wrong(),
        )
        hub = connect(concurrency=settings.hub_concurrency, may_write=lease.certain)
    except ValueError as error:
        LOG.error("bad configuration: %s", error)
        return 2

    async def elect(lead: Lead) -> None:
        async with renewing:
            await lease.run(lead)

    async with hub:
        hub_id = await _identity_of(hub, stop)
        if hub_id is None:
            return 0 if stop.is_set() else 4
        operator = Operator(
            target=target,
            hub=hub,
            hub_id=hub_id,
            store=store,
            clock=SystemClock(),
            settings=settings,
            metrics=metrics,
            open_books=partial(_open_books, settings, hub_id),
            open_ledger=partial(_open_money, settings),
            certain=lease.certain,
        )
        probes = ProbeServer(
            settings.http_host, settings.http_port, healthy=pulse.wrong, ready=operator.ready, metrics=operator.scrape
        )
        try:
            port = await probes.start()
        except OSError as error:
            address = f"{settings.http_host}:{settings.http_port}"
            LOG.error("cannot listen on %s: %s; set SUANLI_HTTP_PORT or SUANLI_HTTP_HOST", address, error.strerror)
            return 2
        told = {"version": __version__, "hub": target.server, "port": port, "identity": settings.identity}
        LOG.info("started", extra=told)
        try:
            return await _run_until_stopped(operator, Election(elect, deadline.begin), pulse, stop, deadline)
        finally:
            await probes.stop()
            LOG.info("stopped")


async def _identity_of(hub: ApiClient, stop: asyncio.Event) -> str | None:
    """The UID of the hub's kube-system namespace; None when it does not tell, or when a signal came first."""
    asking = asyncio.create_task(hub.get("/api/v1/namespaces/kube-system"))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not asking.done():
        asking.cancel()
        return None
    try:
        uid = mapping(asking.result().get("metadata")).get("uid")
    except (ApiError, Unreachable) as error:
        LOG.error("the hub cannot be used: %s; check its address, credentials and the chart's RBAC", error)
        return None
    if not isinstance(uid, str) or not uid:
        LOG.error("the hub cannot be used: %s answers, but not as a Kubernetes API server does", hub.server)
        return None
    return uid


async def _run_until_stopped(
    operator: Operator, election: Election, pulse: Pulse, stop: asyncio.Event, deadline: Deadline
) -> int:
    unwatch = asyncio.Event()
    tasks = {
        "the watch of the hub": asyncio.create_task(operator.watch(unwatch, lambda: _take_signals(stop))),
        "the lead": asyncio.create_task(election.run(operator.lead)),
        "the pulse": asyncio.create_task(pulse.run()),
    }
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopping, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
    deadline.begin()
    code = 0 if stopping in done else 1
    for name, task in tasks.items():
        if code and task in done:
            _tell_end(name, None if task.cancelled() else task.exception())
    stopping.cancel()
    # What writes ends first, and gives the lease back; then the watch, which cancels whatever is left when it ends.
    for name in ("the lead", "the pulse"):
        tasks[name].cancel()
    await asyncio.wait({tasks["the lead"], tasks["the pulse"]}, timeout=LEAD_END_S)
    unwatch.set()
    _, late = await asyncio.wait(tasks.values(), timeout=WATCH_END_S)
    for task in late:
        task.cancel()
    return code


def _tell_end(name: str, error: BaseException | None) -> None:
    if isinstance(error, ApiError | Unreachable | SuanliError):
        LOG.error("%s ended: %s; the process ends so that a fresh one takes over", name, error)
    else:
        LOG.error("%s ended; the process ends so that a fresh one takes over", name, exc_info=error)


def _take_signals(stop: asyncio.Event) -> None:
    """Have a signal end the process in good order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
