"""How a gate says no."""

import subprocess
from collections.abc import Sequence

COMMAND_SECONDS = 600


class Failed(Exception):
    """A gate found something; its text tells a person what, and what to do."""


def run(*argv: str) -> str:
    """A tool's output. Raises: Failed with all it said when it found something, or with the remedy when it is not there."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise Failed(f"{argv[0]} was not found; install it so that it is in PATH") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{argv[0]} did not end in {COMMAND_SECONDS} s; run it by hand: {' '.join(argv)}") from error
    if done.returncode:
        raise Failed((done.stdout + done.stderr).strip() or f"{argv[0]} ended with {done.returncode} and said nothing")
    return done.stdout


def refuse(findings: Sequence[str], remedy: str) -> None:
    """Raises: Failed when there are findings; the remedy is the last line."""
    if findings:
        raise Failed("\n".join([*findings, remedy]))
