"""An API server in this process, for tests in virtual time: versions, conflicts, patches, lists and watches; no sockets.

What a request meets on its way is programmable: it takes time, is refused, or loses its answer before or after the server
has acted. Whoever plays controllers calls `act` with the store's own methods.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from apistore import Change, Json, Path, Refusal, Store, selected
from suanli.base.clock import Clock, time_text_ms
from suanli.kube.client import PATCH_TYPES, ApiClient, ApiError, Target, Unreachable

KIND_OF_PATCH = {type_: kind for kind, type_ in PATCH_TYPES.items()}
FOREGROUND = "foregroundDeletion"


@dataclass
class Meeting:
    """What one request meets on its way."""

    delay_s: float = 0.01
    error: ApiError | None = None  # the server's answer, without doing anything
    lost_before: bool = False  # it never comes to the server
    lost_after: bool = False  # the server acts, but its answer never comes
    late_s: float = 0.0  # the server acts so long after the client has given up


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    verb: str
    path: str
    body: Any
    changed: bool


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
    """One API server. `cut`: nothing comes through, in either direction."""

    clock: Clock
    cluster_id: str = "hub"
    cut: bool = False
    lag_s: Callable[[str], float] = lambda resource: 0.0  # of the events of a resource's watches
    meet: Callable[[str, str], Meeting] = lambda verb, path: Meeting()
    requests: list[Request] = field(default_factory=list)
    _closed: list[asyncio.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = TimedStore(self.clock, self.cluster_id)
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": self.cluster_id}})

    def put(self, raw: Json) -> Json:
        """What somebody in the cluster makes of an object, all of it."""
        return self.store.put(raw)

    def get(self, path: str) -> Json:
        """An object. Raises: Refusal."""
        return self.store.get(Path.of(path))

    def items(self, path: str, true: Callable[[Json], bool] = lambda raw: True) -> list[Json]:
        """The objects of a collection of which it is true."""
        return self.store.where(Path.of(path), true)

    def delete(self, path: str, **options: Any) -> None:
        """What somebody deletes. Raises: Refusal."""
        self.store.delete(Path.of(path), options)

    def drop_watches(self) -> None:
        """End all watches at once."""
        for closed in self._closed:
            closed.set()

    def writes(self, part: str = "") -> list[Request]:
        """Requests that changed something, with `part` in their path."""
        return [r for r in self.requests if r.changed and part in r.path]

    async def ask(self, verb: str, path: str, query: Mapping[str, str], body: Any, kind: str) -> Json:
        """One request. Raises: ApiError, Unreachable."""
        meeting = self.meet(verb, path)
        await asyncio.sleep(meeting.delay_s)
        if self.cut or meeting.lost_before:
            await asyncio.sleep(1.0)
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        if meeting.error is not None:
            raise meeting.error
        if meeting.late_s:
            asyncio.get_running_loop().call_later(meeting.late_s, self._act_late, verb, path, query, body, kind)
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        answer = self._act(verb, path, query, body, kind)
        await asyncio.sleep(meeting.delay_s)
        if self.cut or meeting.lost_after:
            raise Unreachable(f"the connection to {self.cluster_id} broke before the answer came")
        return answer

    def _act(self, verb: str, path: str, query: Mapping[str, str], body: Any, kind: str) -> Json:
        before = self.store.version
        try:
            return self._answer(verb, path, dict(query), body, kind)
        except Refusal as refusal:
            raise ApiError(refusal.status, refusal.reason, refusal.message) from refusal
        finally:
            self.requests.append(Request(verb, path, body, self.store.version != before))

    def _act_late(self, verb: str, path: str, query: Mapping[str, str], body: Any, kind: str) -> None:
        with suppress(ApiError):
            self._act(verb, path, query, body, kind)

    async def events(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        """A watch. Raises: ApiError (410), Unreachable."""
        place, since = Path.of(path), int(query.get("resourceVersion") or 0)
        if self.cut:
            raise Unreachable(f"{self.cluster_id} did not answer in time")
        if since < self.store.compacted:
            raise ApiError(410, "Expired", f"too old resource version: {since}")
        queue: asyncio.Queue[Change] = asyncio.Queue()
        for change in [c for c in self.store.log if c.version > since]:
            queue.put_nowait(change)
        with self._watching(queue) as closed:
            while not closed.is_set():
                first = await _first(queue, closed)
                if first is None:
                    return
                event = _event(first, place, dict(query))
                if event is None:
                    continue
                await asyncio.sleep(self.lag_s(place.resource))
                if self.cut:
                    raise Unreachable(f"the watch of {self.cluster_id} was cut off")
                yield event

    @contextmanager
    def _watching(self, queue: "asyncio.Queue[Change]") -> Iterator[asyncio.Event]:
        closed = asyncio.Event()
        end = self.store.listen(queue.put_nowait)
        self._closed.append(closed)
        try:
            yield closed
        finally:
            end()
            self._closed.remove(closed)

    def _answer(self, verb: str, path: str, query: dict[str, str], body: Any, kind: str) -> Json:
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
        place = Path.of(path)
        if verb == "GET":
            return self.store.get(place) if place.name else self.store.list(place, query)
        if verb == "POST":
            return self.store.create(place, body)
        if verb == "PUT":
            return self.store.replace(place, body)
        if verb == "DELETE":
            return self.store.delete(place, body or {})
        return self.store.patch(place, body, kind)


class MemoryClient(ApiClient):
    """A client of such a server; `alive` says whether the process that it belongs to still lives."""

    def __init__(self, server: MemoryServer, name: str, alive: Callable[[], bool] = lambda: True) -> None:
        super().__init__(Target(server=f"http://{name}", ca_pem=None), name=name)
        self._memory = server
        self._alive = alive

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        most: int = 0,
    ) -> Json:
        if not self._alive():
            await asyncio.Event().wait()
        sent = json.loads(json.dumps(body))
        answer = await self._memory.ask(method, path, params or {}, sent, KIND_OF_PATCH.get(content_type, ""))
        if not self._alive():
            await asyncio.Event().wait()
        return answer

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        silence_s: float,
        longest_s: float,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Json, None]:
        """Events until the server ends it. Raises: ApiError, Unreachable."""
        if self._memory.cut:
            await asyncio.sleep(1.0)
        opened()
        async for event in self._memory.events(path, params):
            yield event


async def _first(queue: "asyncio.Queue[Change]", closed: asyncio.Event) -> Change | None:
    """The next change; None when the watch is closed first."""
    getting, closing = asyncio.ensure_future(queue.get()), asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait({getting, closing}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()
        closing.cancel()


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
        "object": json.loads(json.dumps(shown)),
    }
