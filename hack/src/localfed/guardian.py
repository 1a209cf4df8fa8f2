"""The process that owns the servers, so that whatever ends its user leaves nothing behind.

Run as `python guardian.py SOCKET LOCK PARENT FOLDER` (two descriptors, a pid, a path), with nothing but the standard
library. It starts, signals and polls servers as told on the socket, one JSON object a line, and holds the lock. When
the socket closes or PARENT ends, it kills the servers and removes FOLDER. Should it be killed itself, the kernel kills
its servers (PR_SET_PDEATHSIG) and its twin, forked before anything else, removes FOLDER.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
REMOVE_SECONDS = 20.0


def remove(folder: Path) -> None:
    """Remove `folder`, again and again while a dying server still writes into it."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)


def fork_twin(folder: Path, connection: socket.socket) -> tuple[int, int]:
    """Fork the process that removes `folder` once this one is gone; its pid, and the end that keeps it waiting."""
    watched, held = os.pipe()
    pid = os.fork()
    if pid:
        os.close(watched)
        return pid, held
    os.close(held)
    connection.close()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.read(watched, 1)
    remove(folder)
    os._exit(0)


class Guardian:
    """Keeps the servers it started, in the order they were started."""

    def __init__(self) -> None:
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._pid = os.getpid()
        self._die_with_parent = _death_signal()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one request says."""
        match request["do"]:
            case "start":
                return {"pid": self._start(request)}
            case "signal":
                self._servers[request["pid"]].send_signal(request["signal"])
                return {}
            case "poll":
                return {"code": self._servers[request["pid"]].poll()}
            case other:
                return {"error": f"unknown request {other!r}"}

    def _start(self, request: dict[str, Any]) -> int:
        def before_exec() -> None:
            self._die_with_parent(signal.SIGKILL)
            if os.getppid() != self._pid:
                os._exit(1)

        with Path(request["log"]).open("ab") as log:
            server = subprocess.Popen(
                request["argv"],
                cwd=request["cwd"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=before_exec,  # safe: this process has one thread
            )
        self._servers[server.pid] = server
        return server.pid

    def kill_all(self) -> None:
        """Kill every server, the last one started first, and wait for each."""
        for server in reversed(self._servers.values()):
            server.kill()
        for server in self._servers.values():
            server.wait()


def _death_signal() -> Callable[[int], object]:
    """A call that asks the kernel for a signal when the calling process loses its parent; nothing where it cannot."""
    if sys.platform != "linux":
        return lambda _signal: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda number: prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def serve(connection: socket.socket, parent: int, guardian: Guardian) -> None:
    """Answer requests until the socket closes, the parent ends or SIGTERM comes."""
    stopped, stop = os.pipe()
    signal.set_wakeup_fd(_nonblocking(stop))
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    watched: list[Any] = [connection, stopped]
    if hasattr(os, "pidfd_open"):
        try:
            watched.append(os.pidfd_open(parent))
        except ProcessLookupError:
            return
    pending = b""
    while True:
        ready = select.select(watched, [], [])[0]
        if ready != [connection]:
            return
        received = connection.recv(1 << 20)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            try:
                answer = guardian.answer(json.loads(line))
            except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            connection.sendall(json.dumps(answer).encode() + b"\n")


def _nonblocking(fd: int) -> int:
    os.set_blocking(fd, False)
    return fd


def main() -> None:
    """Guard until the user of the servers is gone, then leave nothing."""
    descriptor, lock, parent, folder = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    connection = socket.socket(fileno=descriptor)
    connection.set_inheritable(False)
    os.set_inheritable(lock, False)
    twin, held = fork_twin(folder, connection)
    guardian = Guardian()
    try:
        serve(connection, parent, guardian)
    except OSError:
        pass
    finally:
        guardian.kill_all()
        remove(folder)
        os.close(held)
        os.waitpid(twin, 0)


if __name__ == "__main__":
    main()
