"""A reflector: one resource of one API server, listed once and then watched, with resume, relist and back-off."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from suanli.base.untrusted import mapping, text
from suanli.kube.client import MAX_LISTED, ApiError, Json, Page, Unreachable, name_of

WATCH_S = 240
LONGEST_S = 300.0  # a server that does not end the watch itself is cut off
SILENCE_S = 90.0  # servers send bookmarks about once a minute
STEADY_S = 5.0  # a watch that held for so long begins anew at once, any other after a pause
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
BURST, BURST_S = 500, 0.25  # no server gets more than so many events into so much time of the loop that all share
RELIST = (410, 504)  # what was asked for is too old, or newer than the server knows
STALE_S = 60.0  # a server that shows what is older than what it told before catches up within this, or was restored


class Source(Protocol):
    """What a reflector needs of a client; ApiClient has it."""

    @property
    def server(self) -> str:
        """Its address, for messages."""
        ...

    def pages(self, path: str, params: Mapping[str, str], *, most: int) -> AsyncGenerator[Page, None]:
        """A list in pages. Raises: ApiError, Unreachable."""
        ...

    def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        silence_s: float,
        longest_s: float,
        rest_s: float,
        opened: Callable[[], None],
    ) -> AsyncGenerator[Json, None]:
        """Events until the server ends it. Raises: ApiError, Unreachable."""
        ...


class Reflector:
    """Keeps `items` (by `key_of`) like the server's and tells of every change.

    A dropped watch resumes at the last resourceVersion; a 410 lists again and tells the difference, and so does an event
    out of order. Events that never come are made up for by a list every `relist_s`. A list that is older than what the
    server told before is not believed. With `rest_s` events that follow one another are taken in so often only, the first at
    once. An object is passed through `keep` first, which may trim it to what is needed;
    `confirm` may refuse a list by raising.
    Source: KEP-5504, resourceVersions of one resource can be compared as numbers.
    """

    def __init__(
        self,
        client: Source,
        path: str,
        *,
        params: dict[str, str] | None = None,
        keep: Callable[[Json], Any] = lambda raw: raw,
        on_change: Callable[[str, Any, Any], None],
        on_trouble: Callable[[ApiError | Unreachable], None] = lambda error: None,
        on_heard: Callable[[], None] = lambda: None,
        confirm: Callable[[], Awaitable[None]] | None = None,
        most: int = MAX_LISTED,
        relist_s: float = math.inf,
        rest_s: float = 0.0,
    ) -> None:
        self._client = client
        self._path = path
        self._params = params or {}
        self._relist_s = relist_s
        self._rest_s = rest_s
        self._keep = keep
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._on_heard = on_heard
        self._confirm = confirm
        self._most = most
        self._version = ""
        self._newest = 0  # the highest version that the server told of
        self._listed_s = 0.0
        self._older_since_s: float | None = None  # its lists are older than that
        self._learned: dict[str, int] = {}  # since the list that is being read was begun
        self._hurry = asyncio.Event()
        self.items: dict[str, Any] = {}
        self.dropped = 0  # objects that went, so far
        self.synced = asyncio.Event()
        self.trouble: ApiError | Unreachable | None = None  # why it does not follow the server now

    async def run(self) -> None:
        """List and watch until cancelled."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            began = loop.time()
            error = await self._follow()
            steady = loop.time() - began >= STEADY_S
            pause = 0.0 if steady else min(LONGEST_PAUSE_S, pause * 2 or FIRST_PAUSE_S)
            if error is not None:
                self.trouble = error
                self._on_trouble(error)
            if isinstance(error, ApiError) and error.retry_after_s:
                await asyncio.sleep(error.retry_after_s)
            if pause and await self._wait(pause):
                pause = 0.0

    def hurry(self) -> None:
        """The server answers: cut a pause short, and let the next ones be short again."""
        self._hurry.set()

    def learn(self, raw: Json) -> None:
        """Take in what a write was answered with, unless the watch has been there already."""
        key, version = key_of(raw), _number(mapping(raw.get("metadata")).get("resourceVersion"))
        if not key or key in self.items or version <= _number(self._version):
            return
        self._learned[key] = version
        self._newest = max(self._newest, version)
        self._put(key, self._keep(raw))

    def believe(self, raw: Json) -> None:
        """Take in what was just read, though the watch has been there and did not tell of it."""
        if key := key_of(raw):
            self._put(key, self._keep(raw))

    async def _follow(self) -> ApiError | Unreachable | None:
        """List if needed, then watch until it ends; the trouble that ended it, if it was one."""
        try:
            if not self._version or self._until_list_s() <= 0:
                await self._list()
            await self._watch()
        except ApiError as error:
            watched = bool(self._version)
            if error.status in RELIST:
                self._version = ""
                return None if watched else error
            return error
        except Unreachable as error:
            return error
        return None

    def _until_list_s(self) -> float:
        return self._listed_s + self._relist_s - asyncio.get_running_loop().time()

    async def _list(self) -> None:
        began_s, told = asyncio.get_running_loop().time(), self._newest
        self._learned.clear()
        fresh, version = dict[str, Any](), ""
        async with contextlib.aclosing(self._client.pages(self._path, self._params, most=self._most)) as pages:
            async for page in pages:
                for raw in page.items:
                    key, kept = key_of(raw), self._keep(raw)
                    old = self.items.get(key)
                    # Lists of many servers may be under way: what is the same is there once.
                    fresh[key] = old if old == kept else kept
                version = page.version
        if self._confirm is not None:
            await self._confirm()
        self._check_age(_number(version), told)
        for key in [k for k in self.items if k not in fresh and self._learned.get(k, 0) <= _number(version)]:
            self._drop(key)
        for key, kept in fresh.items():
            self._put(key, kept)
        self._version, self._newest, self._listed_s = version, _number(version), began_s
        self._on_heard()
        self.synced.set()

    def _check_age(self, version: int, told: int) -> None:
        """Raises: Unreachable when the list is older than what was told before, unless that stays so: it was restored."""
        now_s = asyncio.get_running_loop().time()
        if version >= told:
            self._older_since_s = None
            return
        self._older_since_s = now_s if self._older_since_s is None else self._older_since_s
        if now_s - self._older_since_s < STALE_S:
            raise Unreachable(f"{self._client.server}{self._path} shows version {version}, but told of {told} before")

    async def _watch(self) -> None:
        lasts_s = max(1, round(min(WATCH_S, self._until_list_s())))
        params = {**self._params, "resourceVersion": self._version, "timeoutSeconds": str(lasts_s)}
        watch = self._client.watch(
            self._path,
            params,
            silence_s=SILENCE_S,
            longest_s=LONGEST_S,
            rest_s=self._rest_s,
            opened=self._opened,
        )
        loop = asyncio.get_running_loop()
        count, burst_began = 0, loop.time()
        async with contextlib.aclosing(watch) as events:
            async for event in events:
                if not self._take(event):
                    self._version = ""
                    return
                count += 1
                if count % BURST == 0:
                    await asyncio.sleep(max(0.0, burst_began + BURST_S - loop.time()))
                    burst_began = loop.time()

    def _opened(self) -> None:
        self.trouble = None

    def _take(self, event: Json) -> bool:
        """One event of the watch; false when it is older than the last one. Raises: Unreachable when it is none."""
        kind, raw = event.get("type"), event.get("object")
        if not isinstance(raw, dict) or kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise Unreachable(f"{self._client.server} sent a watch event that is none")
        self._on_heard()
        version = text(mapping(raw.get("metadata")).get("resourceVersion"), 64)
        if 0 < _number(version) < _number(self._version):
            return False
        key = key_of(raw)
        if key and kind == "DELETED":
            self._drop(key, self._keep(raw))
        elif key and kind != "BOOKMARK":
            if len(self.items) >= self._most and key not in self.items:
                raise Unreachable(f"{self._client.server}{self._path} has more than {self._most} objects")
            self._put(key, self._keep(raw))
        self._version = version or self._version
        self._newest = max(self._newest, _number(version))
        return True

    def _put(self, key: str, kept: Any) -> None:
        """Store an object and tell of it, if anything of it is new."""
        old = self.items.get(key)
        if old is None or old != kept:
            # Of equal ones the old stays: a new one in its place scatters what is alive over the heap.
            self.items[key] = kept
            self._on_change("ADDED" if old is None else "MODIFIED", kept, old)

    def _drop(self, key: str, last: Any = None) -> None:
        """Forget an object and tell of it with its last known state."""
        old = self.items.pop(key, None)
        self.dropped += 1
        if old is not None:
            self._on_change("DELETED", old if last is None else last, old)

    async def _wait(self, seconds: float) -> bool:
        """A pause; whether `hurry` cut it short."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return False
        self._hurry.clear()
        return True


def key_of(raw: Json) -> str:
    """namespace/name of an object, its name where it has no namespace; empty when it has none."""
    name, namespace = name_of(raw), text(mapping(raw.get("metadata")).get("namespace"))
    return f"{namespace}/{name}" if name and namespace else name


def _number(version: object) -> int:
    """A resourceVersion as servers make it; 0 for anything else."""
    return int(version) if isinstance(version, str) and version.isascii() and version.isdigit() else 0
