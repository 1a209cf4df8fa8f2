"""Holds a federation up for the command line: in the foreground, or in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from localfed import state
from localfed.errors import LocalfedError
from localfed.process import ProcessProvider
from localfed.progress import Progress
from localfed.spec import ClusterSpec

READY = b"ready\n"
DOWN_SECONDS = 60.0
GUARD_CHECK_SECONDS = 1.0


class Ended(Exception):
    """SIGTERM or SIGINT came."""


def hold(
    specs: Sequence[ClusterSpec], bin_dir: Path | None, folder: Path, ready: Callable[[], None], user: int | None
) -> None:
    """Bring a federation up, call `ready`, and keep it until SIGTERM, SIGINT or the end of its user; nothing is left then."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    progress = Progress()
    began = time.monotonic()
    try:
        with ProcessProvider(bin_dir, folder, progress.say) as provider:
            state.write(provider.folder, {})
            provider.up(specs)
            state.write(provider.folder, provider.clusters)
            progress.say(f"{len(specs)} clusters are ready after {time.monotonic() - began:.1f} s; data in {folder}")
            ready()
            while folder.exists() and (user is None or _lives(user)):
                time.sleep(GUARD_CHECK_SECONDS)
            if not folder.exists():
                raise LocalfedError(f"the federation in {folder} was ended by somebody else")
    except Ended:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        progress.say("the federation is down")


def detach(arguments: Sequence[str]) -> int:
    """Run `up --foreground` with these arguments as a process of its own; its exit code, 0 once it is ready.

    Until then the two are one: when this process is ended, the other ends too.
    """
    receive, send = os.pipe()
    with open(receive, "rb") as ready:
        holder = subprocess.Popen(
            [sys.executable, "-m", "localfed", "up", "--foreground", "--ready-fd", str(send), *arguments],
            pass_fds=[send],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(send)
        try:
            if ready.read(len(READY)) == READY:
                return 0
            return holder.wait() or 1
        except BaseException:
            holder.terminate()
            holder.wait()
            raise


def let_go(descriptor: int, folder: Path) -> None:
    """Tell the waiting `up` that all is ready, and leave its terminal; an `up` that was killed ends this too."""
    with (folder / "localfed.log").open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    try:
        os.write(descriptor, READY)
    except BrokenPipeError as error:
        raise Ended from error
    os.close(descriptor)


def end(folder: Path) -> bool:
    """End the federation in `folder`; False when there was none. Returns when it is gone."""
    held = state.read(folder)
    if held is None or not held.is_held:
        return False
    os.kill(held.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while held.is_held or folder.exists():
        if time.monotonic() > deadline:
            raise LocalfedError(
                f"process {held.pid} did not end in {DOWN_SECONDS:.0f} s; see {folder / 'localfed.log'}"
            )
        time.sleep(0.05)
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Ended
