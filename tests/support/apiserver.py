"""A small, working API server in memory on 127.0.0.1, whose faults are programmable.

    async with FakeApiServer() as server, server.client() as client:
        server.put(node("n1"))
        await client.get("/api/v1/nodes/n1")

It keeps objects, versions, lists in pages, watches that resume, patches and finalizers as the real one does; nobody runs
there: a test plays scheduler, kubelet and controllers with `put`. Verbs in patterns are HTTP's, and WATCH.
"""

import asyncio
import base64
import json
import ssl
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path as File
from types import TracebackType
from typing import Any, Self

import yaml
from aiohttp import web

from apistore import APIS, KINDS, NAMESPACED, Change, Json, Path, Refusal, Store, now, selected
from asynctests import Happenings
from localfed.pki import Authority
from suanli.kube.client import ApiClient, Target

PATCHES = {
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "merge",
    "application/apply-patch+yaml": "apply",
    "application/json-patch+json": "json",
}


@dataclass(frozen=True)
class Request:
    """What came in."""

    verb: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]

    def matches(self, pattern: str) -> bool:
        return fnmatchcase(f"{self.verb} {self.path}", pattern)


Answer = Callable[[web.Request], Any]


@dataclass
class Fault:
    """What happens to requests that match, instead of an answer; so many times, or until healed."""

    pattern: str
    answer: Answer
    times: int | None = None
    seen: int = 0


@dataclass
class Hold:
    """Requests that wait for `release`."""

    waiting: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.gate.set()


class FakeApiServer(Happenings):
    """One cluster's API server; what it can be waited `until` is looked at when a request comes, is held or is answered."""

    def __init__(self, *, minor: str = "36", authority: Authority | None = None, asks_client: bool = False) -> None:
        """With an authority it speaks TLS, and may ask for a client certificate of that authority."""
        super().__init__()
        self.store = Store()
        self.apis = set(APIS)  # those that it serves
        self.requests: list[Request] = []
        self.version: Json = {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.3"}
        self.target = Target("", authority.certificate_pem.decode() if authority else None)
        self._tls = serving_tls(authority, asks_client=asks_client) if authority else None
        self._faults: list[Fault] = []
        self._running = asyncio.Event()
        self._running.set()
        self._watches: dict[asyncio.Task[Any], asyncio.Queue[Any]] = {}
        self._runner: web.AppRunner | None = None
        self.become(str(uuid.uuid4()))

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        scheme = "https" if self._tls else "http"
        self.target = Target(f"{scheme}://127.0.0.1:{port}", self.target.ca_pem, token="secret-token")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self.resume()
        self.drop_watches()
        if self._runner is not None:
            await self._runner.cleanup()

    def client(self, name: str = "member", **options: Any) -> ApiClient:
        """A client of it, as the operator would make one."""
        return ApiClient(self.target, name=name, **options)

    def kubeconfig(self, folder: File) -> File:
        """A kubeconfig of its administrator."""
        ca = base64.b64encode((self.target.ca_pem or "").encode()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.target.server, "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": {"token": self.target.token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        path = folder / f"{self.target.server.rpartition(':')[2]}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    # --- the cluster

    def put(self, raw: Json) -> Json:
        """Create an object, or make it all that is given: status, labels and finalizers too."""
        return self.store.put(raw)

    def get(self, path: str) -> Json:
        """An object. Raises: Refusal."""
        return self.store.get(Path.of(path))

    def objects(self, path: str) -> list[Json]:
        """All objects of a collection."""
        found: list[Json] = self.store.list(Path.of(path), {})["items"]
        return found

    def delete(self, path: str) -> None:
        """What a person does with kubectl delete; finalizers hold it as they do there."""
        self.store.delete(Path.of(path), {})

    def become(self, cluster_id: str) -> None:
        """Be the cluster of that identity from now on."""
        self.store.forget(Path.of("/api/v1/namespaces/kube-system"))
        self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": cluster_id}})

    # --- what was asked of it

    def asked(self, pattern: str) -> list[Request]:
        """Requests so far that match, such as "POST /apis/batch/v1/*"."""
        return [r for r in self.requests if r.matches(pattern)]

    @property
    def writes(self) -> list[Request]:
        """All that would change something."""
        return [r for r in self.requests if r.verb not in ("GET", "WATCH")]

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    # --- its faults

    def refuse(
        self,
        pattern: str,
        status: int,
        reason: str = "",
        message: str = "no",
        *,
        times: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Answer with an error as API servers do."""
        body = json.dumps(_status(status, reason, message)).encode()
        return self.answer(pattern, body, status=status, times=times, headers=headers)

    def answer(
        self,
        pattern: str,
        body: bytes,
        *,
        status: int = 200,
        times: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Answer with these bytes."""
        given = {"Content-Type": "application/json", **(headers or {})}
        return self.fault(pattern, lambda _: web.Response(status=status, body=body, headers=given), times=times)

    def cut(self, pattern: str, *, times: int | None = None) -> Fault:
        """Close the connection without an answer."""

        def closed(request: web.Request) -> web.Response:
            assert request.transport is not None, "the connection is there"
            request.transport.abort()
            return web.Response()

        return self.fault(pattern, closed, times=times)

    def hold(self, pattern: str) -> Hold:
        """Let requests wait until released; then they are answered."""
        hold = Hold()

        async def wait(_: web.Request) -> None:
            hold.waiting += 1
            self.happened()
            await hold.gate.wait()

        self.fault(pattern, wait)
        return hold

    def fault(self, pattern: str, answer: Answer, *, times: int | None = None) -> Fault:
        """Have `answer` answer; what gives None lets the request go on."""
        fault = Fault(pattern, answer, times)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults from now on; what is held goes on."""
        self._faults.clear()

    def pause(self) -> None:
        """Freeze: connections are taken and nothing is answered."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    def drop_watches(self) -> None:
        """End all watches at once, as a server that restarts does."""
        for task in list(self._watches):
            task.cancel()

    def bookmark(self) -> None:
        """Tell all watches the version."""
        self.send({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.store.version)}}})

    def send(self, event: object) -> None:
        """Send an event, or raw bytes, to all watches, whatever they watch."""
        line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
        for queue in self._watches.values():
            queue.put_nowait(line)

    # --- HTTP

    async def _handle(self, raw: web.Request) -> web.StreamResponse:
        query = {k: str(v) for k, v in raw.query.items()}
        verb = "WATCH" if query.get("watch") else raw.method
        text = await raw.text()
        request = Request(verb, raw.path, query, json.loads(text) if text else None, dict(raw.headers))
        self.requests.append(request)
        self.happened()
        try:
            await self._running.wait()
            for fault in [f for f in self._faults if request.matches(f.pattern) and f.seen != f.times]:
                fault.seen += 1
                answer = fault.answer(raw)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is not None:
                    assert isinstance(answer, web.StreamResponse), "a fault answers with a response"
                    return answer
            if verb == "WATCH":
                return await self._watch(raw, Path.of(raw.path), query)
            await asyncio.sleep(0)
            return web.json_response(self._answer(request), status=201 if verb == "POST" else 200)
        except Refusal as refusal:
            return web.json_response(_status(refusal.status, refusal.reason, str(refusal)), status=refusal.status)
        finally:
            self.happened()

    def _answer(self, request: Request) -> Json:
        if request.path == "/version":
            return self.version
        if request.path == "/apis":
            return {"groups": [_group(api) for api in sorted(self.apis - {"v1"})]}
        if request.path == "/api":
            return {"versions": ["v1"]}
        api = request.path.removeprefix("/apis/").removeprefix("/api/")
        if api in self.apis:
            return {"resources": [_resource(plural) for plural in APIS[api]]}
        path, dry_run = Path.of(request.path), "dryRun" in request.query
        if path.api not in self.apis:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if request.verb == "GET":
            return self.store.get(path) if path.name else self.store.list(path, request.query)
        if request.verb == "POST":
            return self.store.create(path, request.body, dry_run=dry_run)
        if request.verb == "PUT":
            return self.store.replace(path, request.body)
        if request.verb == "DELETE":
            return self.store.delete(path, request.body or {})
        kind = PATCHES[request.headers["Content-Type"]]
        return self.store.patch(path, request.body, kind, dry_run=dry_run)

    async def _watch(self, raw: web.Request, path: Path, query: dict[str, str]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(raw)
        since = int(query.get("resourceVersion") or 0)
        if since < self.store.compacted:
            await answer.write(_line("ERROR", _status(410, "Expired", f"too old resource version: {since}")))
            return answer
        queue: asyncio.Queue[Any] = asyncio.Queue()
        for change in [c for c in self.store.log if c.version > since]:
            queue.put_nowait(change)
        end = self.store.listen(queue.put_nowait)
        task = asyncio.current_task()
        assert task is not None, "a request is handled in a task"
        self._watches[task] = queue
        self.happened()
        try:
            while True:
                change = await queue.get()
                await self._running.wait()
                line = change if isinstance(change, bytes) else _event(change, path, query)
                if line:
                    await answer.write(line)
        finally:
            end()
            del self._watches[task]


def serving_tls(authority: Authority, *, asks_client: bool = False) -> ssl.SSLContext:
    """How a server speaks TLS that the authority vouches for."""
    serving = authority.serving()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(serving.certificate_pem + serving.key_pem)
        file.flush()
        context.load_cert_chain(file.name)
    if asks_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority.certificate_pem.decode())
    return context


def _event(change: Change, path: Path, query: dict[str, str]) -> bytes:
    """What a watch tells of a change: an object may come into what is selected, or leave it."""
    if (change.api, change.resource) != (path.api, path.resource):
        return b""
    had = change.before is not None and selected(change.before, path, query)
    has = change.after is not None and selected(change.after, path, query)
    if not (had or has):
        return b""
    shown = change.after if has else change.before
    assert shown is not None, "one of them is there"
    shown = {**shown, "metadata": {**shown["metadata"], "resourceVersion": str(change.version)}}
    return _line("MODIFIED" if had and has else "ADDED" if has else "DELETED", shown)


def _group(api: str) -> Json:
    name, _, version = api.partition("/")
    served = {"groupVersion": api, "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _resource(plural: str) -> Json:
    names = {"name": plural, "kind": KINDS[plural], "singularName": KINDS[plural].lower()}
    return {**names, "namespaced": plural in NAMESPACED, "verbs": ["get", "list", "watch"]}


def _line(kind: str, shown: Json) -> bytes:
    return json.dumps({"type": kind, "object": shown}).encode() + b"\n"


def _status(code: int, reason: str, message: str) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


# --- objects that tests put there


def node(name: str, *, ready: bool = True, labels: dict[str, str] | None = None, **amounts: str) -> Json:
    """A node with what it can give, such as cpu="8", memory="32Gi"; 8 cores, 32Gi and 110 pods by default."""
    given = {"cpu": "8", "memory": "32Gi", "pods": "110", **amounts}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "status": {
            "allocatable": given,
            "capacity": given,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def pod_of(job: Json, index: int = 0, *, node: str = "", state: Json | None = None, phase: str = "") -> Json:
    """A pod as the Job controller makes it from a Job's template; bound to a node when one is named.

    `state` is the task's container state, such as {"running": {"startedAt": ...}}.
    """
    template, of = job["spec"]["template"], job["metadata"]
    metadata = {
        **template["metadata"],
        "name": f"{of['name']}-{index}-x1y2z",
        "namespace": of["namespace"],
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": of["name"], "uid": of["uid"], "controller": True}
        ],
    }
    spec = {**template["spec"], **({"nodeName": node} if node else {})}
    name = spec["containers"][0]["name"]
    status: Json = {"phase": phase or ("Running" if state and "running" in state else "Pending")}
    if state:
        status["containerStatuses"] = [{"name": name, "state": state}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def running(since: str = "") -> Json:
    """The state of a container that runs."""
    return {"running": {"startedAt": since or now()}}


def ended(code: int = 0, *, start: str, end: str, reason: str = "") -> Json:
    """The state of a container that has ended."""
    why = reason or ("Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": why, "startedAt": start, "finishedAt": end}}
