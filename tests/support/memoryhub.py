"""An API server in this process, for tests in virtual time: versions, conflicts, patches, lists and watches; no sockets.

What a request meets on its way is programmable: it takes time, is refused, or loses its answer before or after the server
has acted. Whoever plays controllers calls `act` with the store's own methods.
"""

import asyncio
import itertools
import json
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from apistore import Change, Json, Path, Refusal, Store, copied, selected
from standstill import Standstill, outside
from suanli.base.clock import Clock, time_text_ms
from suanli.kube.client import PATCH_TYPES, ApiClient, ApiError, Target, Unreachable

KIND_OF_PATCH = {type_: kind for kind, type_ in PATCH_TYPES.items()}
FOREGROUND = "foregroundDeletion"
FENCE = "fence"  # the name of a fence's process
BOOKMARK_S = 60.0  # about what API servers do
NOTHING = Change(0, "", "", None, None)


@dataclass
class Meeting:
    """What one request meets on its way."""

    delay_s: float = 0.01
    error: ApiError | None = None  # the server's answer, without doing anything
    lost_before: bool = False  # it never comes to the server
    lost_after: bool = False  # the server acts, but its answer never comes
    late_s: float = 0.0  # the server acts so long after the client has given up
    stale_s: float = 0.0  # a read is answered with what was so long ago


@dataclass(frozen=True)
class Fate:
    """What becomes of one event of a watch on its way."""

    delay_s: float = 0.0
    copies: int = 1  # 0: it is lost
    overtaken: bool = False  # the next one comes first
    stuck: bool = False  # from here on nothing comes any more, but the watch does not end
    expired: bool = False  # instead of it comes that the past is forgotten


@dataclass(frozen=True)
class Request:
    """One request as the server saw it. Units: seconds of the loop."""

    verb: str
    path: str
    body: Any
    versions: range  # of the changes that it made
    who: str  # the process that sent it
    sent_s: float
    acted_s: float
    refused: int = 0  # the status of a refusal

    @property
    def changed(self) -> bool:
        """Whether it changed anything."""
        return bool(self.versions)


@dataclass
class Life:
    """One life of a process: what it does after its end has no effect."""

    name: str = ""
    alive: bool = True
    numbers: Iterator[int] = field(default_factory=itertools.count)  # of writes; all processes may share them
    dies: Callable[[int, str], bool] = lambda number, moment: False  # "before" or "after" the write of that number
    over: asyncio.Event = field(default_factory=asyncio.Event)
    standstill: Standstill | None = None
    stops: Callable[[str, str, str], bool] = lambda server, verb, path: (
        False
    )  # whether it stands still before that write

    def end(self) -> None:
        """SIGKILL."""
        self.alive = False
        self.over.set()

    async def pass_by(self, number: int | None, moment: str) -> None:
        """Go on, if it lives beyond this moment of the write of that number."""
        if self.alive and number is not None and self.dies(number, moment):
            self.end()
        if not self.alive:
            await asyncio.Event().wait()


class TimedStore(Store):
    """A store that dates objects by a given clock, and deletes in the foreground when asked."""

    def __init__(self, clock: Clock, name: str) -> None:
        super().__init__()
        self._clock = clock
        self._uids = (f"{name}-{n}" for n in itertools.count(1))

    def create(self, path: Path, body: Json, *, dry_run: bool = False) -> Json:
        stamp = time_text_ms(self._clock.now_ms())
        metadata = {"creationTimestamp": stamp, "uid": next(self._uids), **(body.get("metadata") or {})}
        return super().create(path, {**body, "metadata": metadata}, dry_run=dry_run)

    def delete(self, path: Path, options: Json) -> Json:
        before = self.get(path)
        metadata = before["metadata"]
        finalizers = list(metadata.get("finalizers") or [])
        if options.get("propagationPolicy") == "Foreground" and FOREGROUND not in finalizers:
            finalizers.append(FOREGROUND)
        if finalizers and not metadata.get("deletionTimestamp"):
            stamp = time_text_ms(self._clock.now_ms() + 1000 * (options.get("gracePeriodSeconds") or 0))
            self.put({**before, "metadata": {**metadata, "finalizers": finalizers, "deletionTimestamp": stamp}})
        return super().delete(path, options)


@dataclass
class MemoryServer:
    """One API server. `cut`: nothing comes through, in either direction; or only for the processes of `cut_off`."""

    clock: Clock
    cluster_id: str = "hub"
    cut: bool = False
    cut_off: set[str] = field(default_factory=set)
    fate: Callable[[str], Fate] = lambda resource: Fate()  # of an event of a resource's watches
    meet: Callable[[str, str], Meeting] = lambda verb, path: Meeting()
    requests: list[Request] = field(default_factory=list)
    moments_s: list[float] = field(default_factory=list)  # of the entries of the store's history
    _watches: "list[asyncio.Queue[Change | None]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = TimedStore(self.clock, self.cluster_id)
        self.store.listen(lambda change: self.moments_s.append(asyncio.get_running_loop().time()))
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": self.cluster_id}})

    def put(self, raw: Json) -> Json:
        """What somebody in the cluster makes of an object, all of it."""
        return self.store.put(raw)

    def get(self, path: str) -> Json:
        """An object. Raises: Refusal."""
        return self.store.get(Path.of(path))

    def items(self, path: str, true: Callable[[Json], bool] = lambda raw: True) -> list[Json]:
        """The objects of a collection of which it is true; nobody changes them."""
        return [raw for raw in self.store.each(Path.of(path)) if true(raw)]

    def delete(self, path: str, **options: Any) -> None:
        """What somebody deletes. Raises: Refusal."""
        self.store.delete(Path.of(path), options)

    def drop_watches(self) -> None:
        """End all watches at once; what they have not told is lost."""
        for queue in self._watches:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)

    def is_cut(self, who: str) -> bool:
        """Whether nothing comes through from that process."""
        return self.cut or who in self.cut_off

    def writes(self, part: str = "") -> list[Request]:
        """Requests that changed something, with `part` in their path."""
        return [r for r in self.requests if r.changed and part in r.path]

    async def ask(self, verb: str, path: str, query: Mapping[str, str], body: Any, kind: str, who: str = "") -> Json:
        """One request. Raises: ApiError, Unreachable."""
        loop = asyncio.get_running_loop()
        meeting, sent_s = self.meet(verb, path), loop.time()

        def act() -> Json:
            return self._act(verb, path, query, body, kind, meeting.stale_s, who, sent_s)

        await asyncio.sleep(meeting.delay_s)
        if self.is_cut(who) or meeting.lost_before:
            await asyncio.sleep(1.0)
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        if meeting.error is not None:
            raise meeting.error
        if meeting.late_s:
            loop.call_later(meeting.late_s, _suppressed, act)
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        answer = act()
        await asyncio.sleep(meeting.delay_s)
        if self.is_cut(who) or meeting.lost_after:
            raise Unreachable(f"the connection to {self.cluster_id} broke before the answer came")
        return answer

    def _act(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        kind: str,
        stale_s: float = 0.0,
        who: str = "",
        sent_s: float = 0.0,
    ) -> Json:
        before = self.store.version
        now_s = asyncio.get_running_loop().time()
        refused = 0
        try:
            at = self._version_at(now_s - stale_s) if stale_s else None
            return self._answer(verb, path, dict(query), body, kind, at)
        except Refusal as refusal:
            refused = refusal.status
            raise ApiError(refusal.status, refusal.reason, refusal.message) from refusal
        finally:
            versions = range(before + 1, self.store.version + 1)
            self.requests.append(Request(verb, path, body, versions, who, sent_s, now_s, refused))

    def _version_at(self, moment_s: float) -> int:
        """The version that the store had then, of those that it has not forgotten."""
        number = bisect_right(self.moments_s, moment_s)
        return max(self.store.compacted, self.store.history[number - 1].version if number else 0)

    async def events(self, path: str, query: Mapping[str, str], who: str = "") -> AsyncGenerator[Json, None]:
        """A watch. Raises: ApiError (410), Unreachable."""
        place, since = Path.of(path), int(query.get("resourceVersion") or 0)
        if self.is_cut(who):
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        if since < self.store.compacted:
            raise ApiError(410, "Expired", f"too old resource version: {since}")
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        for past in self.store.log:
            if past.version > since:
                queue.put_nowait(past)
        loop = asyncio.get_running_loop()
        end_s = loop.time() + float(query.get("timeoutSeconds") or 1800)
        held: list[Json] = []  # overtaken
        with self._watching(queue, place):
            while loop.time() < end_s:
                change = await _next_of(queue, min(end_s, loop.time() + BOOKMARK_S))
                if change is None:
                    return
                if change is NOTHING:
                    told, held = [*held, self._bookmark(place)], []
                else:
                    event = _event(change, place, dict(query))
                    if event is None:
                        continue
                    fate = self.fate(place.resource)
                    await _befall(fate)
                    told = [event] * fate.copies
                    if fate.overtaken and not held:
                        held = told
                        continue
                    told, held = [*told, *held], []
                for event in told:
                    if self.is_cut(who):
                        raise Unreachable(f"the watch of {self.cluster_id} was cut off")
                    yield copied(event)

    def _bookmark(self, place: Path) -> Json:
        metadata = {"resourceVersion": str(self.store.version)}
        return {"type": "BOOKMARK", "object": {"apiVersion": place.api, "kind": place.kind, "metadata": metadata}}

    @contextmanager
    def _watching(self, queue: "asyncio.Queue[Change | None]", place: Path) -> Iterator[None]:
        def take(change: Change) -> None:
            if (change.api, change.resource) == (place.api, place.resource):
                queue.put_nowait(change)

        end = self.store.listen(take)
        self._watches.append(queue)
        try:
            yield
        finally:
            end()
            self._watches.remove(queue)

    def _answer(self, verb: str, path: str, query: dict[str, str], body: Any, kind: str, at: int | None) -> Json:
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
        place = Path.of(path)
        if verb == "GET":
            return self.store.get(place, at) if place.name else self.store.list(place, query, at)
        if verb == "POST":
            return self.store.create(place, body)
        if verb == "PUT":
            return self.store.replace(place, body)
        if verb == "DELETE":
            return self.store.delete(place, body or {})
        return self.store.patch(place, body, kind)


class MemoryClient(ApiClient):
    """A client of such a server, of the process whose life it is."""

    def __init__(
        self,
        server: MemoryServer,
        name: str,
        life: Life | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(Target(server=f"http://{name}", ca_pem=None), name=name, may_write=may_write)
        self.closed = False
        self.token: str | None = None  # what it shows, where somebody says so
        self._memory = server
        self._life = life or Life()

    async def authenticate(self, target: Target) -> None:
        await super().authenticate(target)
        self.token, self.closed = target.token, False

    async def close(self) -> None:
        self.closed = True
        await super().close()

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        life = self._life
        number = None if method == "GET" else next(life.numbers)
        await life.pass_by(number, "before")
        if number is not None and life.standstill is not None and life.stops(self._memory.cluster_id, method, path):
            await life.standstill.here()
        self._check_may_send(method)
        sent = json.loads(json.dumps(body))
        kind = KIND_OF_PATCH.get(content_type, "")
        try:
            asked = self._memory.ask(method, path, params or {}, sent, kind, life.name)
            answer = await (asked if life.standstill is None else outside(asked))
        except (ApiError, Unreachable):
            await life.pass_by(number, "after")
            raise
        await life.pass_by(number, "after")
        return answer

    async def _unread(self, path: str, params: Mapping[str, str]) -> Callable[[], Json]:
        answer = await self._request("GET", path, params=params)
        return lambda: answer

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        silence_s: float,
        longest_s: float,
        rest_s: float = 0.0,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Json, None]:
        """Events until the server ends it. Raises: ApiError, Unreachable."""
        if self._memory.is_cut(self._life.name):
            await asyncio.sleep(1.0)
        opened()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + longest_s
        async with aclosing(self._memory.events(path, params, self._life.name)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(min(end_s, loop.time() + silence_s)):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise Unreachable(f"{self._memory.cluster_id} is silent") from error
                yield event


async def _next_of(queue: "asyncio.Queue[Change | None]", until_s: float) -> Change | None:
    """What comes first: a change, None for the watch's end, or NOTHING in time."""
    try:
        async with asyncio.timeout_at(until_s):
            return await queue.get()
    except TimeoutError:
        return NOTHING


async def _befall(fate: Fate) -> None:
    """What an event meets on its way. Raises: ApiError when the watch ends instead."""
    await asyncio.sleep(fate.delay_s)
    if fate.expired:
        raise ApiError(410, "Expired", "too old resource version")
    if fate.stuck:
        await asyncio.Event().wait()


def _suppressed(act: Callable[[], object]) -> None:
    with suppress(ApiError):
        act()


def _event(change: Change, path: Path, query: dict[str, str]) -> Json | None:
    """What a watch tells of a change: an object may come into what is selected, or leave it."""
    if (change.api, change.resource) != (path.api, path.resource):
        return None
    had = change.before is not None and selected(change.before, path, query)
    has = change.after is not None and selected(change.after, path, query)
    shown = change.after if has else change.before
    if not (had or has) or shown is None:
        return None
    shown = {**shown, "metadata": {**shown["metadata"], "resourceVersion": str(change.version)}}
    return {
        "type": "MODIFIED" if had and has else "ADDED" if has else "DELETED",
        "object": shown,
    }
