"""One connection to one API server, in raw JSON dictionaries.

It speaks HTTP itself: it never follows a redirect, reads no proxy or credential from the environment and bounds every
answer, because the server on the other side may belong to somebody else (see hack/decisions/).
"""

import asyncio
import contextlib
import json
import ssl
import tempfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

import aiohttp
import orjson

from suanli.base.untrusted import items, mapping, text
from suanli.kube.addresses import Reach, Resolver
from suanli.kube.sockets import Sockets

Json = dict[str, Any]
MAX_ANSWER_BYTES = 8 << 20
MAX_PAGE_BYTES = 32 << 20
GZIP = b"\x1f\x8b"  # how all that is compressed so begins
MAX_EVENT_BYTES = 8 << 20
PAGE = 100  # a hundred servers may answer at once, and nobody else has a turn while one is read
MAX_PAGES = 12_500
MAX_LISTED = 1_000_000
MAX_RETRY_AFTER_S = 60.0
MUCH = 32 << 10  # bytes of a watch that came at once: whoever sends so much is not kept waiting
FINISH_S = 1.0  # requests under way have so long to end before their credentials are taken away
PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True)
class Target:
    """Where an API server is and how to speak to it. Holds secrets: never print it."""

    server: str
    ca_pem: str | None
    token: str | None = None
    client_cert_pem: str | None = None
    client_key_pem: str | None = None
    tls_server_name: str | None = None
    reach: Reach = Reach.ANYWHERE

    def __repr__(self) -> str:
        """Only the address: the rest is secret."""
        return f"Target({self.server})"


class ApiError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class Unreachable(Exception):
    """No whole answer came: refused, timed out, cut off, or not an API server's."""


class NotSent(Unreachable):
    """Nothing was sent at all, so nothing can come of it later."""


class _TooLarge(Unreachable):
    """The answer is larger than what is read."""


@dataclass(frozen=True)
class Page:
    """A piece of a list: its objects, each with a name, and the resourceVersion of the whole list."""

    items: list[Json]
    version: str


Observer = Callable[[str, str, str, str], None]
"""Told of every request: client name, verb, resource, result ("201", "error")."""


def _no_observer(client: str, verb: str, resource: str, result: str) -> None:
    """Nobody counts."""


class ApiClient:
    """Requests to one API server, at most `concurrency` at a time."""

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        concurrency: int = 32,
        timeout_s: float = 15.0,
        observer: Observer = _no_observer,
        user_agent: str = "suanli",
        may_write: Callable[[], bool] = lambda: True,
        turn: asyncio.Lock | None = None,
    ) -> None:
        """`may_write` is asked just before each request that may change something is sent.

        Clients of one `turn` have their pages read and used one after the other, and the loop turns in between.
        """
        self.name = name
        self.server = target.server
        self._base = target.server.rstrip("/")
        self._tls = _tls_context(target)
        self._tls_server_name = target.tls_server_name
        self._reach = target.reach
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, 10.0))
        self._user_agent = user_agent
        self._token = target.token
        self._concurrency = concurrency
        self._observe = observer
        self._may_write = may_write
        self._turn = turn or asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._resolver: Resolver | None = None
        self._slots = asyncio.Semaphore(concurrency)
        self._watched: set[aiohttp.StreamReader] = set()
        self._sockets = Sockets()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def authenticate(self, target: Target) -> None:
        """Be another account at the same server from now on; watches are cut off, requests have a moment to end.

        Raises: ValueError, and nothing has changed.
        """
        tls, taken = _tls_context(target), 0
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_S):
                    for _ in range(self._concurrency):
                        await self._slots.acquire()
                        taken += 1
            self._tls, self._token = tls, target.token
            for content in self._watched:
                content.set_exception(aiohttp.ClientConnectionError("other credentials are used from now on"))
            await self.close()
        finally:
            for _ in range(taken):
                self._slots.release()

    async def close(self) -> None:
        """Cut all its connections, also those where TLS still waits for the other side's goodbye."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._sockets.cut()
        if self._resolver is not None:
            await self._resolver.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """Read one object or list. Raises: ApiError, Unreachable."""
        return await self._request("GET", path, params=params)

    async def list_all(self, path: str, params: Mapping[str, str] | None = None, page: int = PAGE) -> Json:
        """Read a whole list: {"items": [...], "metadata": {"resourceVersion": ...}}. Raises: ApiError, Unreachable."""
        try:
            return await self._collected(path, params, page)
        except ApiError as error:
            if error.status != 410:
                raise
            # Reading took longer than the server keeps the moment of the first page: once more, from the beginning.
            return await self._collected(path, params, page)

    async def _collected(self, path: str, params: Mapping[str, str] | None, page: int) -> Json:
        found: list[Json] = []
        version = ""
        async with aclosing(self.pages(path, params, page)) as pages:
            async for part in pages:
                found.extend(part.items)
                version = part.version
        return {"items": found, "metadata": {"resourceVersion": version}}

    async def pages(
        self, path: str, params: Mapping[str, str] | None = None, page: int = PAGE, most: int = MAX_LISTED
    ) -> AsyncGenerator[Page, None]:
        """A list in pages, which shrink when objects are large; at most `most` objects. The next page empties the one before.
        While a page is used, no other client of the turn has one.

        Raises: ApiError (410 when the list has gone on for too long), Unreachable.
        """
        query = {**(params or {}), "limit": str(page)}
        listed = 0
        for _ in range(MAX_PAGES):
            try:
                read = await self._unread(path, query)
                async with self._turn:
                    answer = read()
                    metadata = mapping(answer.get("metadata"))
                    version = text(metadata.get("resourceVersion"), 64)
                    if not version or not isinstance(answer.get("items", ""), list | None):
                        raise Unreachable(f"{self.server}{path} answered with something that is not a list")
                    objects = [dict(i) for i in items(answer.get("items")) if name_of(i)]
                    token = text(metadata.get("continue"), 8_192)
                    del read, answer, metadata
                    listed += len(objects)
                    if listed > most:
                        break
                    yield Page(objects, version)
                    objects.clear()  # else as many pages as there are servers rest in memory while the next ones come
            except _TooLarge:
                if page == 1:
                    raise
                page = max(1, page // 8)
                query["limit"] = str(page)
                continue
            if not token:
                return
            query["continue"] = token
        raise Unreachable(f"{self.server}{path} lists more than {most} objects or {MAX_PAGES} pages")

    async def _unread(self, path: str, params: Mapping[str, str]) -> Callable[[], Json]:
        """A page that is there, compressed if the server can, to be read in its turn. Raises: ApiError, Unreachable."""
        raw = await self._sent("GET", path, params=params, most=MAX_PAGE_BYTES, encoding="gzip")
        return lambda: _parsed(_inflated(raw, self.server), self.server)

    async def post(self, path: str, body: Json, params: Mapping[str, str] | None = None) -> Json:
        """Create. Raises: ApiError (409 when it exists), Unreachable."""
        return await self._request("POST", path, body, params=params)

    async def put(self, path: str, body: Json) -> Json:
        """Replace; a resourceVersion in the body is checked by the server."""
        return await self._request("PUT", path, body)

    async def patch(
        self, path: str, body: Json | list[Json], *, kind: str = "merge", params: Mapping[str, str] | None = None
    ) -> Json:
        """Change; a resourceVersion in a merge patch is checked by the server."""
        return await self._request("PATCH", path, body, params=params, content_type=PATCH_TYPES[kind])

    async def delete(self, path: str, body: Json | None = None) -> Json:
        """Remove; `body` holds DeleteOptions such as preconditions."""
        return await self._request("DELETE", path, body)

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
        """Events of a watch until the server ends it; `opened` is told when the server has agreed to it.

        After what came nothing is read for `rest_s`, unless that was much: then what came meanwhile is read at once.

        Raises: ApiError, Unreachable (also when nothing, not even a bookmark, came for `silence_s`, and after `longest_s`).
        """
        query = {**params, "watch": "1", "allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=longest_s, sock_connect=10.0, sock_read=silence_s)
        try:
            async with self._open("GET", path, query, None, None, timeout) as answer:
                if answer.status != 200:
                    await self._refused(answer)
                opened()
                self._watched.add(answer.content)
                try:
                    async for line in _lines(answer, rest_s):
                        event = _parsed(line, self.server)
                        if event.get("type") == "ERROR":
                            status = mapping(event.get("object"))
                            code = status.get("code")
                            code = code if isinstance(code, int) else 500
                            raise _refusal(code, status, "the watch ended with an error")
                        yield event
                finally:
                    self._watched.discard(answer.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(_why(error, self.server)) from error

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        return _parsed(await self._sent(method, path, body, params=params, content_type=content_type), self.server)

    async def _sent(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        most: int = MAX_ANSWER_BYTES,
        encoding: str = "identity",
    ) -> bytes:
        """What it is answered with. Raises: ApiError, Unreachable."""
        data = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        result = "error"
        try:
            async with self._slots:
                self._check_may_send(method)
                async with self._open(method, path, params, data, content_type, self._timeout, encoding) as answer:
                    result = str(answer.status)
                    if answer.status >= 300:
                        await self._refused(answer)
                    return await _bounded(answer, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(_why(error, self.server)) from error
        finally:
            self._observe(self.name, method.lower(), _resource(path), result)

    def _check_may_send(self, method: str) -> None:
        """Raises: NotSent when it would change something and may not."""
        if method != "GET" and not self._may_write():
            raise NotSent(f"nothing was sent to {self.server}: it is not certain any more that this replica leads")

    async def _refused(self, answer: aiohttp.ClientResponse) -> NoReturn:
        """Raises: ApiError with what the server says."""
        raw = await _bounded(answer, MAX_ANSWER_BYTES)
        said = raw[:300].decode("utf-8", "replace")
        if 300 <= answer.status < 400:
            said = "it answers with a redirect, which is not followed; give the API server's own address"
        raise _refusal(answer.status, _object(raw) or {}, said, answer.headers.get("Retry-After"))

    def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        data: bytes | None,
        content_type: str | None,
        timeout: aiohttp.ClientTimeout,
        encoding: str = "identity",
    ) -> Any:
        if self._session is None:
            # Watches hold a connection each; the semaphore, not the pool, bounds the requests.
            self._resolver = Resolver(self._reach)
            connector = aiohttp.TCPConnector(
                limit=self._concurrency + 32,
                ssl=self._tls,
                keepalive_timeout=60,
                resolver=self._resolver,
                socket_factory=self._sockets.make,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={
                    "Accept": "application/json",
                    "User-Agent": self._user_agent,
                    **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
                },
                auto_decompress=False,
                read_bufsize=1 << 18,
            )
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self._session.request(
            method,
            self._base + path,
            params=dict(params or {}),
            data=data,
            headers={**headers, "Accept-Encoding": encoding},
            timeout=timeout,
            allow_redirects=False,
            server_hostname=self._tls_server_name,
        )


def _tls_context(target: Target) -> ssl.SSLContext | bool:
    if not target.server.startswith("https://"):
        return False
    try:
        context = ssl.create_default_context(cadata=target.ca_pem)
        # Many clusters' own CAs lack the extensions that Python's strict mode asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if target.client_cert_pem and target.client_key_pem:
            # OpenSSL takes a client certificate from a file only.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{target.client_cert_pem}\n{target.client_key_pem}\n")
                file.flush()
                context.load_cert_chain(file.name, password=_no_password)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or error
        raise ValueError(f"the certificates for {target.server} cannot be used: {why}") from error
    return context


def _no_password() -> str:
    """Asked for when a key is encrypted; without it OpenSSL would ask at the terminal."""
    raise ValueError("the client key is encrypted; give one that is not")


async def _bounded(answer: aiohttp.ClientResponse, most: int) -> bytes:
    parts = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 18):
        parts += chunk
        if len(parts) > most:
            raise _TooLarge(f"{answer.url.host} sent more than {most >> 20} MiB in one answer")
    return bytes(parts)


def _inflated(raw: bytes, server: str) -> bytes:
    """What was compressed, else the same; JSON never begins as a compressed answer does. Raises: Unreachable."""
    if not raw.startswith(GZIP):
        return raw
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        whole = inflate.decompress(raw, MAX_PAGE_BYTES + 1)
    except zlib.error as error:
        raise Unreachable(f"{server} sent something compressed that cannot be read") from error
    if len(whole) > MAX_PAGE_BYTES:
        raise _TooLarge(f"{server} sent more than {MAX_PAGE_BYTES >> 20} MiB in one answer")
    if not inflate.eof:
        raise Unreachable(f"{server} sent something compressed that is not whole")
    return whole


async def _lines(answer: aiohttp.ClientResponse, rest_s: float) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in answer.content.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > MAX_EVENT_BYTES:
                raise Unreachable(f"{answer.url.host} sent a watch event of more than {MAX_EVENT_BYTES >> 20} MiB")
            continue
        came = len(rest)
        *whole, tail = rest.split(b"\n")
        rest = bytearray(tail)
        for line in whole:
            if line.strip():
                yield bytes(line)
        if rest_s and came < MUCH:
            await _rest(answer, rest_s)


async def _rest(answer: aiohttp.ClientResponse, seconds: float) -> None:
    """Leave what comes to the kernel for a while."""
    transport = answer.connection.transport if answer.connection is not None else None
    if transport is None:
        return  # it has ended
    limit = getattr(transport, "set_read_buffer_limits", None)
    if limit is not None:
        limit(high=1)  # else TLS reads on, a little each time
    transport.pause_reading()
    try:
        await asyncio.sleep(seconds)
    finally:
        transport.resume_reading()


def _parsed(raw: bytes, server: str) -> Json:
    value = _object(raw)
    if value is None:
        raise Unreachable(f"{server} answered with something that is not a JSON object")
    return value


def _object(raw: bytes) -> Json | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _refusal(code: int, status: Mapping[str, Any], otherwise: str, retry_after: str | None = None) -> ApiError:
    """What an API server says with an error, printable and bounded."""
    seconds = None
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        seconds = float(min(int(retry_after[:9]), MAX_RETRY_AFTER_S))
    message = text(status.get("message"), 2_000) or text(otherwise, 300)
    return ApiError(code, text(status.get("reason"), 64), message, seconds)


def name_of(raw: Mapping[str, Any]) -> str:
    """The name of an object; empty when it has none."""
    return text(mapping(raw.get("metadata")).get("name"))


def _why(error: BaseException, server: str) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return text(f"{server} is not who its certificate authority says: {error.__cause__ or error}", 300)
    if isinstance(error, TimeoutError):
        return f"{server} did not answer in time"
    return text(f"{server} could not be reached: {error or type(error).__name__}", 300)


def _resource(path: str) -> str:
    """The resource of a request path: "computejobs/status" of /apis/suanli.io/v1alpha1/namespaces/x/computejobs/y/status."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else parts
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    return "/".join(parts[:1] + parts[2:3]) or "server"
