"""The guardian starts, signals and polls servers; they and the folder end with it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localfed import LocalfedError
from localfed.guard import Guard
from localfed.leftovers import LOCK_NAME, hold, sweep

SLEEP = shutil.which("sleep") or "/bin/sleep"


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    folder = tmp_path / "federation"
    folder.mkdir()
    guard = Guard(folder)
    yield guard
    guard.close()


def _start(guard: Guard, *argv: str) -> int:
    return guard.start(argv, cwd=guard.folder, log=guard.folder / "log", env={"GREETING": "hello"})


def test_a_server_runs_in_its_folder_with_its_own_environment(guard: Guard, eventually: Callable[..., None]) -> None:
    pid = _start(guard, "/bin/sh", "-c", "pwd; echo $GREETING; exit 7")
    eventually(lambda: guard.poll(pid) is not None)
    assert guard.poll(pid) == 7
    assert (guard.folder / "log").read_text() == f"{guard.folder}\nhello\n"


def test_a_signal_reaches_its_server(guard: Guard, eventually: Callable[..., None]) -> None:
    pid = _start(guard, SLEEP, "600")
    guard.signal(pid, signal.SIGTERM)
    eventually(lambda: guard.poll(pid) is not None)
    assert guard.poll(pid) == -signal.SIGTERM


def test_what_cannot_be_started_is_said(guard: Guard) -> None:
    with pytest.raises(LocalfedError, match=r"could not start /nowhere/etcd.*No such file"):
        _start(guard, "/nowhere/etcd")
    assert guard.poll(_start(guard, SLEEP, "600")) is None, "and it goes on"


def test_closing_ends_servers_and_folder(guard: Guard, processes_of: Callable[[str], list[str]]) -> None:
    _start(guard, SLEEP, "600")
    _start(guard, "/bin/sh", "-c", "trap '' TERM; exec sleep 600")
    guard.close()
    assert not guard.folder.exists()
    assert not processes_of(str(guard.folder))
    with pytest.raises(LocalfedError, match="has ended"):
        _start(guard, SLEEP, "600")


def test_sigterm_ends_servers_and_folder(guard: Guard, eventually: Callable[..., None]) -> None:
    pid = _start(guard, SLEEP, "600")
    os.kill(guard.pid, signal.SIGTERM)
    eventually(lambda: not guard.folder.exists() and not Path(f"/proc/{pid}").exists())


def test_the_guardian_removes_the_folder_though_its_twin_is_dead(guard: Guard, eventually: Callable[..., None]) -> None:
    children: list[str] = []

    def forked() -> bool:
        children[:] = Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split()
        return len(children) == 1

    eventually(forked)
    os.kill(int(children[0]), signal.SIGKILL)
    _start(guard, SLEEP, "600")
    guard.close()
    assert not guard.folder.exists()


def test_a_folder_without_a_guardian_is_removed_by_the_next_run(guard: Guard, tmp_path: Path) -> None:
    abandoned, alien = tmp_path / "federation-old", tmp_path / "federation-alien"
    for folder in (abandoned, alien):
        folder.mkdir()
    os.close(hold(abandoned))
    assert (abandoned / LOCK_NAME).exists()
    sweep(tmp_path, "federation")
    assert not abandoned.exists()
    assert alien.exists(), "it never was a federation's"
    assert guard.folder.exists(), "its guardian lives"
