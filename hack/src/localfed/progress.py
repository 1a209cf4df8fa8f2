"""Says what is going on: one moving line on a terminal, plain lines elsewhere. All on standard error."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 60.0


class Progress:
    """Lines of progress, each with its seconds."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(f"localfed: {line}", markup=False)
        sys.stderr.flush()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Something that takes long: says it is going on, and how many seconds it took."""
        began = time.monotonic()
        with self._moving(what) if self._console.is_terminal else self._plain(what, began):
            yield
        self.say(f"{what}: {time.monotonic() - began:.0f} s")

    @contextmanager
    def _moving(self, what: str) -> Iterator[None]:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bar(*columns, console=self._console, transient=True) as bar:
            bar.add_task(f"localfed: {what}", total=None)
            yield

    @contextmanager
    def _plain(self, what: str, began: float) -> Iterator[None]:
        done = threading.Event()

        def remind() -> None:
            while not done.wait(PLAIN_SECONDS):
                self.say(f"{what}: still at it after {time.monotonic() - began:.0f} s")

        self.say(f"{what} ...")
        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield
        finally:
            done.set()
            reminder.join()
