"""What goes wrong between the operator and each API server: a plan drawn from a seed, and how it is carried out."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from memoryhub import Fate, Meeting, MemoryServer
from suanli.kube.client import ApiError

HUB = "hub"
TROUBLE_S = 40.0
FENCED_S = 240.0  # long enough for a fence's lease and its margin to pass in a cut


class Fault(StrEnum):
    """What can go wrong on the way to one API server and back."""

    CUT = "Cut"  # nothing comes through
    CUT_REPLICA = "CutReplica"  # nothing comes through from one replica of the operator
    FLAP = "Flap"  # cut and whole again, many times
    SLOW = "Slow"
    LOST_REQUEST = "LostRequest"
    LOST_ANSWER = "LostAnswer"  # the server has acted, the client never learns it
    LATE = "Late"  # the same, but the server acts after the client has given up
    CONFLICT = "Conflict"
    GONE = "Gone"
    TOO_MANY = "TooMany"
    ERROR = "Error"
    STALE = "Stale"  # a read shows what was a moment ago
    EVENTS_SLOW = "EventsSlow"
    EVENTS_TWICE = "EventsTwice"
    EVENTS_SWAPPED = "EventsSwapped"
    EVENTS_LOST = "EventsLost"
    EVENTS_EXPIRED = "EventsExpired"  # a watch ends with 410
    WATCH_STUCK = "WatchStuck"  # a watch tells nothing more and does not end
    WATCHES_END = "WatchesEnd"
    COMPACTED = "Compacted"  # the server forgets the past, and all watches end


@dataclass(frozen=True)
class Window:
    """One fault on the way to one server for a while; `share` is how many of what it bears on it hits, of 1."""

    server: str
    fault: Fault
    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True)
class Crash:
    """The operator is killed before or after its write of that number, and comes back after a while."""

    write: int
    moment: str
    away_s: float


@dataclass(frozen=True)
class FaultPlan:
    """All that goes wrong in one run beside what people do. Units: seconds since the run's begin."""

    seed: int
    lasts_s: float
    replicas: int
    windows: tuple[Window, ...]
    crashes: tuple[Crash, ...]
    clocks_off_ms: Mapping[str, int]
    fenced: bool = False  # every member has a fence, and one of them is cut off for longer than its lease
    quotas: bool = False  # the jobs' accounts have quotas, which change, and the real solver keeps them
    budgets: bool = False  # the jobs' account has a budget for a few of them at a time

    def as_json(self) -> dict[str, Any]:
        """For people and reports."""
        return dataclasses.asdict(self)


def draw(seed: int, sites: Sequence[str]) -> FaultPlan:
    """The plan of a seed."""
    random = Random(f"plan {seed}")
    replicas = random.choice((1, 1, 2))
    crashes, write = [], 0
    for _ in range(random.choice((0, 1, 2, 3))):
        write += random.randrange(1, 40)
        crashes.append(Crash(write, random.choice(("before", "after")), random.choice((0.5, 2.0, 12.0))))
    windows = [_window(random, sites, replicas) for _ in range(random.randrange(4, 16))]
    off_ms = 300_000
    lasts_s = TROUBLE_S
    fenced = random.random() < 0.06
    if fenced:
        lasts_s, off_ms = FENCED_S, 15_000  # a fence relies on clocks that differ by 30 s at most
        cut_s = random.uniform(TROUBLE_S, 60.0)  # after all that would end it
        windows.append(Window(random.choice(sites), Fault.CUT, cut_s, cut_s + random.choice((80.0, 170.0)), 1.0))
    clocks = {site: random.randrange(-off_ms, off_ms) for site in sites}
    quotas = random.random() < 0.25
    budgets = not quotas and random.random() < 0.35
    return FaultPlan(seed, lasts_s, replicas, tuple(windows), tuple(crashes), clocks, fenced, quotas, budgets)


def one_crash(write: int, moment: str, sites: Sequence[str], lasts_s: float) -> FaultPlan:
    """Nothing goes wrong but that the operator is killed at one of its writes."""
    crashes = (Crash(write, moment, 0.5),) if write else ()
    return FaultPlan(0, lasts_s, 1, (), crashes, dict.fromkeys(sites, 0))


def _window(random: Random, sites: Sequence[str], replicas: int) -> Window:
    fault = random.choice(list(Fault))
    server = random.choice([HUB, *sites])
    if fault is Fault.CUT_REPLICA:
        server, fault = (HUB, fault) if replicas > 1 else (server, Fault.CUT)
    start_s = random.uniform(0.0, TROUBLE_S * 0.9)
    lasts_s = random.choice((1.0, 4.0, 12.0, 40.0))
    if fault in (Fault.WATCHES_END, Fault.COMPACTED):
        lasts_s = min(lasts_s, 4.0)
    return Window(server, fault, start_s, min(start_s + lasts_s, TROUBLE_S), random.choice((0.05, 0.2, 0.6, 1.0)))


class Trouble:
    """Carries out the windows of one server."""

    def __init__(self, plan: FaultPlan, name: str, server: MemoryServer, replicas: Sequence[str]) -> None:
        self.met: Counter[Fault] = Counter()
        self.last_s: dict[Fault, float] = {}  # when each hit something last, on the loop's clock
        self._lasts_s = plan.lasts_s
        self._windows = [w for w in plan.windows if w.server == name]
        self._server = server
        self._replicas = replicas
        self._random = Random(f"trouble {plan.seed} {name}")
        self._begun_s = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """From begin to end; afterwards nothing is wrong any more."""
        self._server.meet = self._meet
        self._server.fate = self._fate
        async with asyncio.TaskGroup() as group:
            for window in self._windows:
                if act := _ACTS.get(window.fault):
                    group.create_task(self._act(window, act))
        await asyncio.sleep(self._begun_s + self._lasts_s - self._now_s())
        self._server.meet = lambda verb, path: Meeting()
        self._server.fate = lambda resource: Fate()
        self._server.cut = False
        self._server.cut_off.clear()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _hit(self, faults: Mapping[Fault, Any]) -> Fault | None:
        """The fault that this request or event meets, of those that can befall it."""
        now_s = self._now_s() - self._begun_s
        for window in self._windows:
            if (
                window.fault in faults
                and window.start_s <= now_s < window.end_s
                and self._random.random() < window.share
            ):
                self.met[window.fault] += 1
                self.last_s[window.fault] = self._now_s()
                return window.fault
        return None

    def _meet(self, verb: str, path: str) -> Meeting:
        delay_s = self._random.choice((0.0, 0.01, 0.05))
        can = _OF_READS if verb == "GET" else _OF_WRITES
        fault = self._hit(can)
        return can[fault](self._random, delay_s) if fault else Meeting(delay_s)

    def _fate(self, resource: str) -> Fate:
        fault = self._hit(_OF_EVENTS)
        return _OF_EVENTS[fault](self._random) if fault else Fate()

    async def _act(self, window: Window, act: "Act") -> None:
        await asyncio.sleep(self._begun_s + window.start_s - self._now_s())
        self.met[window.fault] += 1
        await act(self, window)
        self.last_s[window.fault] = self._now_s()

    # --- faults of a whole server

    async def cut(self, window: Window) -> None:
        """With watches that break, or that stay open and tell nothing."""
        self._server.cut = True
        if self._random.random() < 0.5:
            self._server.drop_watches()
        await asyncio.sleep(window.end_s - window.start_s)
        self._server.cut = False

    async def cut_replica(self, window: Window) -> None:
        """Any of them."""
        self._server.cut_off.add(self._random.choice(self._replicas))
        self._server.drop_watches()
        await asyncio.sleep(window.end_s - window.start_s)
        self._server.cut_off.clear()

    async def flap(self, window: Window) -> None:
        """Up and down."""
        left_s = window.end_s - window.start_s
        while left_s > 0:
            self._server.cut = not self._server.cut
            if self._server.cut:
                self._server.drop_watches()
            step_s = self._random.uniform(0.2, 2.0)
            left_s -= step_s
            await asyncio.sleep(step_s)
        self._server.cut = False

    async def end_watches(self, window: Window) -> None:
        """Again and again."""
        left_s = window.end_s - window.start_s
        while left_s > 0:
            self._server.drop_watches()
            left_s -= 0.7
            await asyncio.sleep(0.7)

    async def compact(self, window: Window) -> None:
        """Once."""
        self._server.store.compact()
        self._server.drop_watches()


Act = Callable[[Trouble, Window], Any]
_ACTS: Mapping[Fault, Act] = {
    Fault.CUT: Trouble.cut,
    Fault.CUT_REPLICA: Trouble.cut_replica,
    Fault.FLAP: Trouble.flap,
    Fault.WATCHES_END: Trouble.end_watches,
    Fault.COMPACTED: Trouble.compact,
}


def _error(status: int, reason: str, retry_after_s: float | None = None) -> Callable[[Random, float], Meeting]:
    return lambda random, delay_s: Meeting(delay_s, ApiError(status, reason, "of the plan", retry_after_s))


_OF_ALL: Mapping[Fault, Callable[[Random, float], Meeting]] = {
    Fault.SLOW: lambda random, delay_s: Meeting(random.uniform(0.2, 2.5)),
    Fault.LOST_REQUEST: lambda random, delay_s: Meeting(delay_s, lost_before=True),
    Fault.LOST_ANSWER: lambda random, delay_s: Meeting(delay_s, lost_after=True),
    Fault.TOO_MANY: _error(429, "TooManyRequests", 1.0),
    Fault.ERROR: _error(500, "InternalError"),
}
_OF_READS: Mapping[Fault, Callable[[Random, float], Meeting]] = {
    **_OF_ALL,
    Fault.GONE: _error(410, "Expired"),
    Fault.STALE: lambda random, delay_s: Meeting(delay_s, stale_s=random.uniform(0.2, 5.0)),
}
_OF_WRITES: Mapping[Fault, Callable[[Random, float], Meeting]] = {
    **_OF_ALL,
    Fault.LATE: lambda random, delay_s: Meeting(delay_s, late_s=random.uniform(0.2, 6.0)),
    Fault.CONFLICT: _error(409, "Conflict"),
}
_OF_EVENTS: Mapping[Fault, Callable[[Random], Fate]] = {
    Fault.EVENTS_SLOW: lambda random: Fate(random.uniform(0.02, 2.0)),
    Fault.EVENTS_TWICE: lambda random: Fate(copies=2),
    Fault.EVENTS_SWAPPED: lambda random: Fate(overtaken=True),
    Fault.EVENTS_LOST: lambda random: Fate(copies=0),
    Fault.EVENTS_EXPIRED: lambda random: Fate(expired=True),
    Fault.WATCH_STUCK: lambda random: Fate(stuck=True),
}
