"""The user's side of the guardian: starts it, and asks it to start, signal and poll servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localfed import guardian, leftovers
from localfed.errors import LocalfedError

END_SECONDS = 30.0


class Guard:
    """A guardian process and the folder that ends with it. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours, theirs = socket.socketpair()
        lock = leftovers.hold(folder)
        with (
            theirs,
            (folder / "guardian.log").open("ab") as log,
        ):  # not our own: who waits for our output would wait for ever
            told = [str(theirs.fileno()), str(lock), str(os.getpid()), str(folder)]
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, *told],
                pass_fds=[theirs.fileno(), lock],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(lock)
        self._socket = ours
        self._answers = ours.makefile("rb")
        self._turn = threading.Lock()

    @property
    def pid(self) -> int:
        """The guardian's process id."""
        return self._process.pid

    def start(self, argv: Sequence[str], *, cwd: Path, log: Path, env: Mapping[str, str]) -> int:
        """Start a server that lives no longer than the guardian; its pid."""
        answer = self._ask(do="start", argv=list(argv), cwd=str(cwd), log=str(log), env=dict(env))
        return int(answer["pid"])

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a server that was started here."""
        self._ask(do="signal", pid=pid, signal=int(number))

    def poll(self, pid: int) -> int | None:
        """The exit code of a server, None while it runs; negative for a signal."""
        code = self._ask(do="poll", pid=pid)["code"]
        return None if code is None else int(code)

    def close(self) -> None:
        """End every server and the folder; returns when both are gone."""
        with self._turn:
            self._answers.close()
            self._socket.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        guardian.remove(self.folder)

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._turn:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                line = self._answers.readline()
            except (OSError, ValueError) as error:
                raise self._gone() from error
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LocalfedError(
                f"the servers' guardian could not {request['do']} {request.get('argv', [''])[0]}: {answer['error']}"
            )
        return answer

    def _gone(self) -> LocalfedError:
        return LocalfedError(f"the federation in {self.folder} has ended; bring it up again")
