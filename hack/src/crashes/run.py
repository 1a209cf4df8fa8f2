"""A federation whose operator is killed at one write after another, each in a new namespace."""

import base64
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from crashes.points import Point, Trap
from crashes.proxy import Proxies
from crashes.routine import ROUTINES, Routine, Stage
from harness import CommandError, Federation, Observer, Tenant, wait_for
from harness.federation import NAMESPACE
from harness.kubeconfigs import replace_kubeconfig
from suanli.base.names import SECRET_KEY
from suanli.kube.local import load_target

LOOK_S = 0.2
NAME = "crashes"


@dataclass(frozen=True)
class Outcome:
    """What became of one run. Units: seconds; `settled_s` from the kill on, None when the write never came."""

    routine: str
    point: Point | None
    settled_s: float | None
    took_s: float
    starts: int
    writes: list[str]
    violations: list[str]


class Crashes:
    """The operator behind proxies. When the block ends, the sites are reached directly again."""

    def __init__(self, federation: Federation, observer: Observer, settings: Mapping[str, str]) -> None:
        self._federation = federation
        self._observer = observer
        self._settings = settings
        self._trap = Trap(self._job_of)
        self._stack = ExitStack()
        self._runs = 0
        self._right: list[Routine] = []

    def __enter__(self) -> Self:
        federation = self._federation
        targets = {name: load_target(cluster.kubeconfig) for name, cluster in federation.clusters.items()}
        with ExitStack() as stack:
            proxies = self._proxies = stack.enter_context(Proxies(targets, self._trap))
            for name in federation.sites:
                direct = self._secret_of(name)
                stack.callback(self._connect, name, direct)
                self._connect(name, proxies.through(name, direct))
            self._process = stack.enter_context(federation.operator(NAME, **self._settings))
            path = federation.folder / f"{NAME}.kubeconfig"
            path.write_text(proxies.through("hub", path.read_text(encoding="utf-8")), encoding="utf-8")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def calm(self, routine: str, within_s: float) -> Outcome:
        """The routine without a crash: `writes` are those at which there may be one."""
        return self._run(routine, None, within_s)

    def at(self, point: Point, within_s: float) -> Outcome:
        """The point's routine in a namespace of its own, with this crash; it waits so long for all to settle."""
        return self._run(point.routine, point, within_s)

    def _run(self, name: str, point: Point | None, within_s: float) -> Outcome:
        """That something does not come in time, or a command of a user fails, is told of this point alone."""
        try:
            return self._played(name, point, within_s)
        except (TimeoutError, CommandError, subprocess.TimeoutExpired) as error:
            return Outcome(name, point, None, 0.0, 0, [], [str(error)])

    def _played(self, name: str, point: Point | None, within_s: float) -> Outcome:
        self._runs += 1
        process, trap, hub = self._process, self._trap, self._federation.hub
        wait_for("the operator to lead", lambda: not self._start() and self._leads(), seconds=within_s)
        self._federation.wait_ready(seconds=within_s)
        log_bytes, began_s, starts = process.log.stat().st_size, time.monotonic(), 0
        with Tenant(hub, self._observer, f"{NAME}-{self._runs}") as tenant:
            routine = ROUTINES[name](Stage(hub, self._observer, tenant, process.recorded, self._proxies.cut))
            try:
                routine.prepare(within_s)
                trap.set(point, lambda: process.pid)
                routine.begin()
                since_s = time.monotonic()
                while (wrong := routine.wrong() or self._away(starts)) and (
                    time.monotonic() < (trap.sprung_s or since_s) + within_s
                ):
                    starts += self._start()
                    routine.step()
                    time.sleep(LOOK_S)
            finally:
                trap.rest()
                routine.end()
            ended_s = time.monotonic()
        if not wrong:
            self._right.append(routine)
        return Outcome(
            routine=name,
            point=point,
            settled_s=None if trap.sprung_s is None else round(ended_s - trap.sprung_s, 1),
            took_s=round(ended_s - began_s, 1),
            starts=starts,
            writes=list(trap.writes),
            violations=wrong + self._unforeseen(log_bytes),
        )

    def afterwards(self) -> list[str]:
        """What is wrong by now of all that was right: nothing may come late."""
        return [text for routine in self._right for text in routine.amiss()]

    def _start(self) -> bool:
        """Begin it again when it has ended, as a Deployment does; whether that was so."""
        if self._process.running:
            return False
        self._process.kill()
        self._process.start()
        return True

    def _leads(self) -> bool:
        return " leading " in self._process.words()

    def _away(self, starts: int) -> list[str]:
        """That the operator does not lead again, if it was killed."""
        is_away = self._trap.sprung_s is not None and not (starts and self._leads())
        return ["the operator does not lead again"] if is_away else []

    def _unforeseen(self, since: int) -> list[str]:
        """What was logged since so many bytes that nobody foresaw; a lease may be lost on a machine that has much to do."""
        lines = self._process.log.read_bytes()[since:].decode(errors="replace").splitlines()
        wrong = [line for line in lines if " ERROR " in line or line.startswith("Traceback")]
        return [f"log: {line}" for line in wrong if "the lead ended; the process ends" not in line]

    def _job_of(self, uid: str) -> str:
        job = self._observer.jobs.last.get(uid)
        return str(job["metadata"]["name"]) if job else uid

    def _secret_of(self, site: str) -> str:
        secret = self._federation.hub.json("get", "secret", f"site-{site}", "--namespace", NAMESPACE)
        return base64.b64decode(secret["data"][SECRET_KEY]).decode()

    def _connect(self, site: str, kubeconfig: str) -> None:
        replace_kubeconfig(self._federation.hub, NAMESPACE, f"site-{site}", kubeconfig)
