"""A reflector: one resource of one API server, listed once and then watched, with resume, relist and back-off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from suanli.kube.client import ApiClient, ApiError, Json, Unreachable

WATCH_S = 240
SILENCE_S = 90.0  # servers send bookmarks about once a minute


class Reflector:
    """Keeps `items` (by namespace/name) like the server's and tells of every change.

    A dropped watch resumes at the last resourceVersion; a 410 lists again and tells the difference. An object is
    passed through `keep` first, which may trim it to what is needed.
    """

    def __init__(
        self,
        client: ApiClient,
        path: str,
        *,
        params: dict[str, str] | None = None,
        keep: Callable[[Json], Any] = lambda raw: raw,
        on_change: Callable[[str, Any, Any], None],
        on_trouble: Callable[[ApiError | Unreachable], None] = lambda error: None,
        on_heard: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._path = path
        self._params = params or {}
        self._keep = keep
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._on_heard = on_heard
        self._sleep = sleep
        self._version = ""
        self.items: dict[str, Any] = {}
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        delay = 0.0
        while True:
            try:
                if not self._version:
                    await self._list()
                delay = 0.0
                await self._watch()
            except ApiError as error:
                if error.status in (410, 504):
                    self._version = ""
                    continue
                self._on_trouble(error)
                delay = max(error.retry_after_s or 0.0, min(30.0, delay * 2 or 0.5))
            except Unreachable as error:
                self._on_trouble(error)
                delay = min(30.0, delay * 2 or 0.5)
            if delay:
                await self._sleep(delay)

    async def _list(self) -> None:
        answer = await self._client.list_all(self._path, self._params)
        fresh = {}
        for raw in answer["items"]:
            key = key_of(raw)
            if key:
                fresh[key] = raw
        for key in [k for k in self.items if k not in fresh]:
            self._put(key, None)
        for key, raw in fresh.items():
            self._put(key, raw)
        self._version = str(answer["metadata"].get("resourceVersion") or "")
        self._on_heard()
        self.synced.set()

    async def _watch(self) -> None:
        params = {**self._params, "resourceVersion": self._version, "timeoutSeconds": str(WATCH_S)}
        async for event in self._client.watch(self._path, params, SILENCE_S):
            raw = event.get("object")
            if not isinstance(raw, dict):
                raise Unreachable(f"{self._client.server} sent a watch event without an object")
            self._on_heard()
            version = str((raw.get("metadata") or {}).get("resourceVersion") or "")
            if event.get("type") != "BOOKMARK":
                key = key_of(raw)
                if key:
                    self._put(key, None if event.get("type") == "DELETED" else raw, last=raw)
            if version:
                self._version = version

    def _put(self, key: str, raw: Json | None, last: Json | None = None) -> None:
        """Store one object and tell of it; a removed one is told with its last known state."""
        old = self.items.get(key)
        if raw is None:
            gone = self._keep(last) if last is not None else old
            self.items.pop(key, None)
            if gone is not None:
                self._on_change("DELETED", gone, old)
            return
        kept = self._keep(raw)
        self.items[key] = kept
        self._on_change("ADDED" if old is None else "MODIFIED", kept, old)


def key_of(raw: Json) -> str:
    """namespace/name of an object; empty when it has none."""
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return ""
    return f"{metadata.get('namespace') or ''}/{metadata['name']}"
