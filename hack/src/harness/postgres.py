"""A PostgreSQL server of its own in a temporary folder, on a socket that only this user reaches; for tests and benchmarks.

Run as a program it says whether there is one. The programs are the distribution's: those on PATH, else Debian's folders. PostgreSQL refuses to run as root, so root starts
it as the user `postgres` or `nobody`.
"""

import ctypes
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

REMEDY = (
    "no PostgreSQL server was found; install the distribution's package (Debian: apt-get install postgresql) or put its "
    "folder of programs on PATH"
)
READY_S = 120.0
STOP_S = 60.0
PR_SET_PDEATHSIG = 1


class NoPostgresError(Exception):
    """There is no server to be had, or it does not start."""


def programs() -> Path | None:
    """The folder that holds `postgres` and `initdb`; None when there is none."""
    on_path = shutil.which("postgres")
    places = [Path(on_path).resolve().parent] if on_path else []
    debian = Path("/usr/lib/postgresql")
    versions = [path for path in debian.iterdir() if re.fullmatch("[0-9]+", path.name)] if debian.is_dir() else []
    places += [path / "bin" for path in sorted(versions, key=lambda path: -int(path.name))]
    return next((p for p in places if (p / "postgres").is_file() and (p / "initdb").is_file()), None)


class Postgres:
    """A running server; leave the context to end it and remove its folder."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        """`settings` are such as "work_mem=8MB"."""
        self._settings = settings
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Make the server. Raises: NoPostgresError with what is missing."""
        found = programs()
        if found is None:
            raise NoPostgresError(REMEDY)
        self._programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="suanli-postgres-"))
        try:
            self._user = _user()
            if self._user:
                os.chown(self.folder, self._user["user"], self._user["group"])
            self._make()
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"postgresql://suanli@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        parent = os.getpid()
        prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

        def before_exec() -> None:
            if prctl is not None:
                prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
                if os.getppid() != parent:
                    os._exit(1)

        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "autovacuum=off", *self._settings]
        argv = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*argv, *(word for option in options for word in ("-c", option))],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=before_exec,
                **self._user,
            )
        deadline = time.monotonic() + READY_S
        while "database system is ready" not in self._log():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise NoPostgresError(f"PostgreSQL does not start; its last words: {self._log()[-500:]}")
            time.sleep(0.05)

    def crash(self) -> None:
        """End it at once, without a last write. Its data stay; it can be started again."""
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        with suppress(FileNotFoundError):
            (self.folder / "log").unlink()

    def _make(self) -> None:
        options = ["-U", "suanli", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [str(self._programs / "initdb"), "-D", str(self.folder / "data"), *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._user,
        )
        if made.returncode:
            raise NoPostgresError(f"initdb failed: {made.stderr.strip()[-500:]}")

    def _log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _end(self) -> None:
        try:
            self.crash()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _user() -> dict[str, Any]:
    """As whom root runs it; nothing for everybody else. Raises: NoPostgresError."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgresError("PostgreSQL does not run as root, and there is no user postgres or nobody; add one")


if __name__ == "__main__":
    sys.exit(None if programs() else REMEDY)
