"""The operator under measurement, and what it says."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.dispatch.ground import Ground
from bench.dispatch.tail import Tail, said
from suanli.kube.client import Target
from suanli.kube.local import load_target

LOOK_S = 0.25
STEP_S = 240.0  # the longest that one thing may take


class NotMeasured(Exception):
    """Something went another way than what was to be measured."""


class Operator:
    """The operator's process; started and stopped as often as is needed."""

    def __init__(self, ground: Ground) -> None:
        self.finished = 0  # jobs that it said have finished, since its start
        self._ground = ground
        # The settings are the defaults but for the lease: where servers and operator share two cores, all of them stall at times.
        self._process = ground.federation.operator(SUANLI_LOG_FORMAT="json", SUANLI_LEASE_S="60")
        self._leading_us: int | None = None
        self._tail = Tail(self._process.log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()

    @property
    def target(self) -> Target:
        """The hub as the operator reaches it."""
        return load_target(self._process.folder.with_suffix(".kubeconfig"))

    def start(self) -> None:
        """Start it anew."""
        self.finished, self._leading_us = 0, None
        self._tail = Tail(self._process.log)
        self._process.start()

    def leading_us(self) -> int:
        """When it began to lead; waits for it."""
        self.until("the operator to lead", lambda: self._leading_us)
        assert self._leading_us is not None, "it was waited for"
        return self._leading_us

    def until(self, what: str, look: Callable[[], object], most_s: float = STEP_S) -> None:
        """Look until something true comes back. Raises: NotMeasured when the operator ends, TimeoutError."""
        end = time.monotonic() + self._ground.budget.left_s(most_s)
        while not look():
            if not self._process.running:
                raise NotMeasured(f"the operator ended with {self._process.exit_code}: {self._process.words()[-2000:]}")
            if time.monotonic() > end:
                words = self._process.words()[-1000:]
                raise TimeoutError(f"waited in vain for {what}; the operator's last words: {words}")
            time.sleep(LOOK_S)
            self._listen()

    def cpu_s(self) -> float:
        """Processor time that it has used."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ask it to end. Raises: NotMeasured when it ends badly."""
        code = self._process.terminate()
        if code:
            raise NotMeasured(f"the operator ended with {code} when asked to stop: {self._process.words()[-2000:]}")

    def _listen(self) -> None:
        for line in said(self._tail.new()):
            if line.message == "leading":
                self._leading_us = line.at_us
            self.finished += line.message == "finished"
