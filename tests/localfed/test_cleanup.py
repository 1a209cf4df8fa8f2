"""Whatever ends the tool leaves no process and no folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GONE_SECONDS = 120
SCRIPT = """
import os, pathlib, shutil, sys, time
from localfed import ClusterSpec, ProcessProvider

provider = ProcessProvider()
with provider:
    {holds}
    print(provider.folder, provider._guard.pid, flush=True)
    {body}
"""
BODIES = {
    "returns": "",
    "exits": "sys.exit(3)",
    "raises": "raise RuntimeError('on purpose')",
    "exits at once": "os._exit(4)",
    "waits": "time.sleep(600)",
    "paused": "provider.clusters['hub'].pause(); time.sleep(0.2); sys.exit(0)",
}
HUB = 'provider.up([ClusterSpec("hub")])'
PROGRAM = """provider.up([])
    provider._guard.start(
        [shutil.which("sleep"), "600"], cwd=provider.folder, log=provider.folder / "log", env={"OF": str(provider.folder)}
    )"""
Run = Callable[..., tuple[subprocess.Popen[str], Path, int]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a script that holds a real hub up, or a program; its process, its folder and its guardian's pid."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str, holds: str = HUB) -> tuple[subprocess.Popen[str], Path, int]:
        script = SCRIPT.format(body=BODIES[body], holds=holds)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        user = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        started.append(user)
        assert user.stdout
        folder, guardian = user.stdout.readline().split()
        return user, Path(folder), int(guardian)

    yield start
    for user in started:
        user.kill()
        user.communicate()


@pytest.fixture
def nothing_is_left(
    processes_of: Callable[[str], list[str]], eventually: Callable[..., None]
) -> Callable[[Path, float], None]:
    def check(folder: Path, seconds: float) -> None:
        eventually(lambda: not folder.exists() and not processes_of(str(folder)), seconds)

    return check


@pytest.mark.parametrize(
    ("body", "holds"),
    [("returns", PROGRAM), ("exits", PROGRAM), ("raises", HUB), ("paused", HUB)],
    ids=["returns", "exits", "raises", "paused"],
)
def test_a_user_that_ends_by_itself_leaves_nothing_when_it_has_ended(
    body: str, holds: str, run: Run, nothing_is_left: Callable[[Path, float], None]
) -> None:
    user, folder, _ = run(body, holds)
    user.wait(GONE_SECONDS)
    nothing_is_left(folder, 0)


@pytest.mark.parametrize(
    ("number", "holds"),
    [(signal.SIGINT, PROGRAM), (signal.SIGTERM, PROGRAM), (signal.SIGKILL, HUB), (signal.SIGHUP, PROGRAM)],
    ids=["INT", "TERM", "KILL", "HUP"],
)
def test_a_user_that_is_ended_by_a_signal_leaves_nothing(
    number: signal.Signals, holds: str, run: Run, nothing_is_left: Callable[[Path, float], None]
) -> None:
    user, folder, _ = run("waits", holds)
    user.send_signal(number)
    nothing_is_left(folder, GONE_SECONDS)
    assert user.wait(GONE_SECONDS) != 0


def test_a_user_that_skips_all_clean_up_leaves_nothing(
    run: Run, nothing_is_left: Callable[[Path, float], None]
) -> None:
    user, folder, _ = run("exits at once")
    user.wait(GONE_SECONDS)
    nothing_is_left(folder, GONE_SECONDS)


def test_a_guardian_that_is_killed_leaves_nothing_though_its_user_lives(
    run: Run, processes_of: Callable[[str], list[str]], nothing_is_left: Callable[[Path, float], None]
) -> None:
    user, folder, guardian = run("waits")
    assert len(processes_of(str(folder))) == 5, "etcd, API server, controllers, the guardian and its twin"
    os.kill(guardian, signal.SIGKILL)
    nothing_is_left(folder, GONE_SECONDS)
    assert user.poll() is None


def test_a_user_killed_while_it_boots_leaves_nothing(
    tmp_path: Path, processes_of: Callable[[str], list[str]], eventually: Callable[..., None]
) -> None:
    script = "from localfed import *; ProcessProvider().up([ClusterSpec('hub'), ClusterSpec('east')])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    user = subprocess.Popen([sys.executable, "-c", script], env=env)
    eventually(lambda: len(processes_of(str(tmp_path))) > 4)
    user.kill()
    user.wait()
    eventually(lambda: not processes_of(str(tmp_path)) and not any(tmp_path.iterdir()), GONE_SECONDS)
