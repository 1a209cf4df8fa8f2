"""Builds programs from their pinned Go modules, one after the other, and says how long each takes."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localfed.cache import require_free_space
from localfed.errors import LocalfedError
from localfed.gotool import build_environment, find_go
from localfed.progress import Progress
from localfed.tools import Tool

BUILD_BYTES = 6 << 30  # Go's module and build caches for all of them, and the binaries
TAIL_LINES = 15
OFFLINE = re.compile(r"dial tcp|no such host|connection refused|i/o timeout|TLS handshake|: (?:403|404|407|502|503) ")


def build(wanted: Sequence[tuple[Tool, str, Path]], cache: Path) -> None:
    """Build each (tool, program) to its path. Raises: LocalfedError with the end of the compiler's words."""
    if not wanted:
        return
    require_free_space(cache, BUILD_BYTES, "building the servers")
    progress = Progress()
    go = find_go(max(tool.go_version for tool, _, _ in wanted), cache, progress.say)
    for place, (tool, program, path) in enumerate(wanted, 1):
        with progress.step(f"building {program} {tool.version} ({place} of {len(wanted)})"):
            _build(go, tool, program, path)


def _build(go: Path, tool: Tool, program: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{program}.new")
    argv: list[str | Path] = [go, "build", "-ldflags", tool.linker_flags, "-o", unfinished, tool.programs[program]]
    with tempfile.TemporaryFile() as words:
        compiler = subprocess.Popen(
            argv,
            cwd=tool.source,
            env=build_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        try:
            code = compiler.wait()
        except BaseException:
            os.killpg(compiler.pid, signal.SIGKILL)
            compiler.wait()
            raise
        words.seek(0)
        if code:
            raise _failed(program, words.read().decode(errors="replace"))
    unfinished.replace(path)


def _failed(program: str, words: str) -> LocalfedError:
    end = "\n".join(words.strip().splitlines()[-TAIL_LINES:])
    if OFFLINE.search(words):
        remedy = "a Go module could not be fetched; make the Go module proxy reachable (GOPROXY), or give --bin"
    elif "no space left" in words:
        remedy = "the disk is full; free some, or point GOCACHE and GOMODCACHE to a larger one"
    else:
        remedy = "if the compiler was killed, this machine may have too little memory (about 3 GiB are needed)"
    return LocalfedError(f"{program} could not be built: {remedy}\n{end}")
