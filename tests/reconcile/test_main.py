"""The process: bad configuration ends it at once with one plain sentence, and a signal ends it in good order."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from suanli.kube.client import ApiError, Unreachable
from suanli.main import Deadline, Pulse, SystemClock, _run_until_stopped, _take_signals, _tell_end

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A way to a hub where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "hub", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "me"}}],
        "current-context": "hub",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def operator(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUANLI_", "KUBE"))}
    whole = {
        "SUANLI_DATA_DIR": str(tmp_path / "data"),
        "SUANLI_LOG_FORMAT": "text",
        "SUANLI_HTTP_PORT": "0",
        **settings,
    }
    environment = {**kept, "PYTHONPATH": str(ROOT / "operator"), **whole}
    argv = [sys.executable, "-m", "suanli", "operator"]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SUANLI_WORKERS": "none"}, ['SUANLI_WORKERS="none"', "valid integer", "Jobs taken forward"]),
        ({"SUANLI_WROKERS": "3"}, ["SUANLI_WROKERS is not a setting"]),
        ({"SUANLI_KUBECONFIG": "/nowhere/config"}, ["/nowhere/config", "no such file"]),
        ({}, ["not in a pod", "SUANLI_KUBECONFIG is not set"]),
    ],
)
def test_bad_configuration_is_one_sentence_and_exit_code_2(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    done = operator(tmp_path, **settings)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("what", ["folder", "database", "owner"])
def test_a_ledger_that_cannot_be_used_is_one_sentence_and_exit_code_2(
    tmp_path: Path, kubeconfig: Path, what: str
) -> None:
    data = tmp_path / "data"
    if what == "folder":
        data.write_text("a file stands where the folder should")
    else:
        data.mkdir()
        (data / "usage.sqlite3").write_bytes(b"not a database at all" * 400)
    if what == "owner":
        (data / "usage.sqlite3").unlink()
        (data / "usage.sqlite3").mkdir()
    done = operator(tmp_path, SUANLI_KUBECONFIG=str(kubeconfig))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(data) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_that_does_not_answer_is_one_sentence_and_exit_code_4(tmp_path: Path, kubeconfig: Path) -> None:
    done = operator(tmp_path, SUANLI_KUBECONFIG=str(kubeconfig))
    assert done.returncode == 4
    assert "the hub cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-token" not in done.stderr


class Loops:
    """What an operator does, as far as its process sees it: it watches until told, and leads until cancelled."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.leads = asyncio.Event()
        self.watch_fails: BaseException | None = None
        self.cut_off: list[int] = []

    async def watch(self, stop: asyncio.Event, started: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: self.order.append("taken by the watch"))
        started()
        if self.watch_fails is not None:
            await self.leads.wait()
            raise self.watch_fails
        await stop.wait()
        self.order.append("watch ended")

    async def lead(self) -> None:
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.order.append("lead ended")


class Held:
    """A lease that is held from the beginning."""

    def __init__(self, loops: Loops, loses: bool = False) -> None:
        self._loops = loops
        self._loses = loses

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead())
        try:
            if self._loses:
                await self._loops.leads.wait()
                return
            await work
        finally:
            work.cancel()
            await asyncio.wait([work])
            self._loops.order.append("lease released")


@pytest.fixture
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(loops: Loops, *, loses: bool = False, send: signal.Signals | None = None) -> int:
    async def whole() -> int:
        stop = asyncio.Event()
        _take_signals(stop)
        operator: Any = loops
        lease: Any = Held(loops, loses)
        deadline = Deadline(0.0, loops.cut_off.append)
        running = asyncio.ensure_future(_run_until_stopped(operator, lease, Pulse(), stop, deadline))
        if send is not None:
            await loops.leads.wait()
            os.kill(os.getpid(), send)
        return await running

    return asyncio.run(whole())


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_first_what_writes_then_the_lease_then_the_watch(number: signal.Signals) -> None:
    loops = Loops()
    assert ended(loops, send=number) == 0
    assert loops.order == ["lead ended", "lease released", "watch ended"]


@pytest.mark.usefixtures("_own_signals")
def test_a_lost_lead_ends_the_process_for_a_fresh_one(caplog: pytest.LogCaptureFixture) -> None:
    loops = Loops()
    assert ended(loops, loses=True) == 1
    assert loops.order[-1] == "watch ended"
    assert "the lead ended; the process ends so that a fresh one takes over" in caplog.text


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize(
    ("error", "trace"), [(Unreachable("the hub is away"), False), (RuntimeError("a defect"), True)]
)
def test_a_watch_that_ends_is_told_with_a_trace_only_for_a_defect(
    caplog: pytest.LogCaptureFixture, error: BaseException, trace: bool
) -> None:
    loops = Loops()
    loops.watch_fails = error
    assert ended(loops) == 1
    assert "lease released" in loops.order
    assert ("Traceback" in caplog.text or "a defect" in caplog.text) == trace
    assert ("the hub is away" in caplog.text) == (not trace)


STUCK = """
import asyncio
from suanli.kube.election import Election
from suanli.main import Deadline, Pulse, _run_until_stopped

deadline = Deadline(0.5)


class Stuck:
    async def watch(self, stop, started):
        await stop.wait()

    async def lead(self):
        while True:
            pass


async def lost(lead):
    work = asyncio.create_task(lead())
    await asyncio.sleep(0.2)
    work.cancel()
    await asyncio.wait({work})


asyncio.run(_run_until_stopped(Stuck(), Election(lost, deadline.begin), Pulse(), asyncio.Event(), deadline))
"""


def test_a_process_that_lost_the_lead_ends_though_its_loop_stands() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    argv = [sys.executable, "-c", STUCK]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert "did not end in good order within 0.5 s and is cut off" in done.stderr


def test_a_refusal_is_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    _tell_end("the lead", ApiError(403, "Forbidden", "no list"))
    assert "the lead ended: 403 Forbidden: no list" in caplog.text
    assert caplog.records[0].exc_info is None


def test_a_loop_that_stands_still_is_told() -> None:
    pulse = Pulse()
    assert pulse.wrong() == ""
    pulse._beat -= 31
    assert re.search(r"the event loop has stood for 3\d s", pulse.wrong())


def test_the_clock_is_the_machines() -> None:
    one = SystemClock().now_ms()
    assert 1_700_000_000_000 < one <= SystemClock().now_ms()
