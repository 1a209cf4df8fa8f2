"""Commands a person would type, run for their output."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PATIENT_S = 180.0  # what is waited for comes in a moment, on a machine with much else to do in a minute, or never


class CommandError(Exception):
    """A command ended with an error."""


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    timeout_s: float = PATIENT_S,
    check: bool = True,
    codes: Collection[int] = (0,),
    variables: Mapping[str, str] | None = None,
) -> str:
    """The command's standard output; `codes` are the ends that are no errors, `variables` are set beside ours.

    Raises: CommandError with what it said.
    """
    done = subprocess.run(
        [str(a) for a in argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **(variables or {})},
    )
    good = done.returncode in codes
    if check and not good:
        raise CommandError(
            f"{' '.join(str(a) for a in argv)} ended with {done.returncode}: {done.stderr or done.stdout}"
        )
    return done.stdout if good else done.stdout + done.stderr


class Kubectl:
    """kubectl against one cluster."""

    def __init__(self, binary: Path, kubeconfig: Path) -> None:
        self.binary = binary
        self.kubeconfig = kubeconfig

    def __call__(self, *args: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run it."""
        return run([self.binary, "--kubeconfig", self.kubeconfig, *args], stdin=stdin, check=check)

    def json(self, *args: str) -> Any:
        """Run it with `-o json`."""
        return json.loads(self(*args, "-o", "json"))

    def apply(self, manifest: str) -> str:
        """Apply a manifest's text."""
        return self("apply", "-f", "-", stdin=manifest)


def wait_for(what: str, look: Callable[[], T], *, seconds: float = PATIENT_S, every: float = 0.25) -> T:
    """Look until something true comes back. Raises: TimeoutError that names what was waited for and what was seen."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}; last seen: {seen!r}")
        time.sleep(every)
