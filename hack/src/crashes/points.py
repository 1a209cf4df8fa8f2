"""Where the operator is killed: each of its writes has a name that is the same in every run of the routine."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from random import Random
from typing import Self

UNCOUNTED = {"leases", "events"}  # heartbeats, and what people read
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DRAWN = re.compile(r"-[a-z0-9]{5}$")  # what a controller adds to a pod's name
TENANT = re.compile(r"^suanli-t-[^/]*")


class Moment(StrEnum):
    """When it is killed: the server has not seen the write, or has carried it out and the operator does not know."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Point:
    """One crash in one routine."""

    routine: str
    moment: Moment
    write: str

    def __str__(self) -> str:
        return f"{self.routine} {self.moment} {self.write}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The point that is written so. Raises: ValueError."""
        routine, moment, write = text.split(" ", 2)
        return cls(routine, Moment(moment), write)


def drawn(writes: Mapping[str, Iterable[str]], seed: int, most: int | None = None) -> list[Point]:
    """Points of these writes, by routine, in an order of the seed; all of them, or so many."""
    points = [Point(name, when, write) for name, of in writes.items() for write in sorted(set(of)) for when in Moment]
    Random(seed).shuffle(points)  # noqa: S311 - chance, not secrecy
    return points[:most]


def named(cluster: str, method: str, path: str, body: bytes, job_of: Callable[[str], str]) -> str:
    """What a write is called: cluster, method and object, with jobs by their names; "" for one that does not count."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    if method not in ("POST", "PUT", "PATCH", "DELETE") or parts[0] in UNCOUNTED:
        return ""
    resource, *rest = [*parts, json.loads(body)["metadata"]["name"]] if method == "POST" else parts
    name = UID.sub(lambda found: job_of(found[0]), TENANT.sub("tenant", "/".join(rest)))
    return f"{cluster} {method} {resource}/{DRAWN.sub('', name) if resource == 'pods' else name}"


@dataclass(frozen=True)
class Write:
    """One write of the operator, and when it is to be killed at it, if it is; `name` is "" for one that does not count."""

    name: str
    kill: Moment | None = None


class Trap:
    """Counts the writes since it was set, and kills the operator at one of them."""

    def __init__(self, job_of: Callable[[str], str]) -> None:
        """`job_of` knows a job's name by its UID."""
        self._job_of = job_of
        self._seen: Counter[str] = Counter()
        self._point: Point | None = None
        self._pid: Callable[[], int] = os.getpid
        self.writes: list[str] = []
        self.sprung_s: float | None = None  # when, on the monotonic clock

    def set(self, point: Point | None, pid: Callable[[], int]) -> None:
        """From now on wait for this point; `pid` says whom to kill."""
        self._seen, self.writes, self.sprung_s = Counter(), [], None
        self._point, self._pid = point, pid

    def rest(self) -> None:
        """Kill no more; what was seen stays."""
        self._point = None

    def comes(self, cluster: str, method: str, path: str, body: bytes) -> Write:
        """A request that may change something has come."""
        name = named(cluster, method, path, body, self._job_of)
        if not name:
            return Write("")
        self._seen[name] += 1
        write, point = f"{name} #{self._seen[name]}", self._point
        return Write(write, point.moment if point is not None and point.write == write else None)

    def answered(self, write: Write, status: int) -> None:
        """What a server refused has changed nothing, and is no write."""
        if write.name and status < HTTPStatus.BAD_REQUEST:
            self.writes.append(write.name)

    def spring(self) -> None:
        """Kill it."""
        self.sprung_s = time.monotonic()
        os.kill(self._pid(), signal.SIGKILL)
