"""One client against one server: what it asks, what it believes, and what it makes of answers that nobody should send."""

import asyncio
import gc
import gzip
import json
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from apiserver import FakeApiServer, node, serving_tls
from localfed.pki import Authority
from suanli.kube import client as client_module
from suanli.kube.addresses import Reach
from suanli.kube.client import ApiClient, ApiError, Json, Target, Unreachable

NODES = "/api/v1/nodes"
TENANT = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
SECRET = {"metadata": {"name": "s"}, "data": {"one": "1"}}


async def _all(client: ApiClient, path: str = NODES, **params: str) -> list[str]:
    return [o["metadata"]["name"] for o in (await client.list_all(path, params or None, page=2))["items"]]


async def _refused(work: Awaitable[object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await work
    return caught.value


async def _unreachable(work: Awaitable[object]) -> str:
    with pytest.raises(Unreachable) as caught:
        await work
    return str(caught.value)


# --- what it asks


async def test_objects_are_created_read_changed_and_removed() -> None:
    async with FakeApiServer() as server, server.client() as client:
        await client.post("/api/v1/namespaces", TENANT)
        made = await client.post("/api/v1/namespaces/a/secrets", SECRET)
        path = "/api/v1/namespaces/a/secrets/s"
        assert (await client.get(path))["data"] == {"one": "1"}
        changed = await client.patch(path, {"data": {"two": "2"}})
        assert changed["data"] == {"one": "1", "two": "2"}
        assert (await _refused(client.put(path, made))).status == 409, "made is an old version"
        assert (await client.put(path, {**changed, "data": {"three": "3"}}))["data"] == {"three": "3"}
        patched = await client.patch(path, [{"op": "replace", "path": "/data/three", "value": "4"}], kind="json")
        assert patched["data"] == {"three": "4"}
        await client.delete(path, {"preconditions": {"uid": made["metadata"]["uid"]}})
        assert (await _refused(client.get(path))).status == 404


async def test_a_patch_can_make_an_object_by_server_side_apply() -> None:
    async with FakeApiServer() as server, server.client() as client:
        await client.patch("/api/v1/namespaces/a", TENANT, kind="apply", params={"fieldManager": "me", "dryRun": "All"})
        assert (await _refused(client.get("/api/v1/namespaces/a"))).status == 404
        await client.patch("/api/v1/namespaces/a", TENANT, kind="apply", params={"fieldManager": "me"})
        assert server.get("/api/v1/namespaces/a")["metadata"]["name"] == "a"


async def test_every_request_carries_the_token_and_asks_for_plain_json() -> None:
    async with FakeApiServer() as server, server.client(user_agent="suanli-test") as client:
        await client.get("/version")
    headers = server.requests[0].headers
    assert headers["Authorization"] == "Bearer secret-token"
    assert (headers["Accept"], headers["Accept-Encoding"], headers["User-Agent"]) == (
        "application/json",
        "identity",
        "suanli-test",
    )


async def test_every_request_is_told_with_its_resource_and_result() -> None:
    told: list[tuple[str, str, str, str]] = []
    jobs = "/apis/suanli.io/v1alpha1/namespaces/a/computejobs"
    async with (
        FakeApiServer() as server,
        server.client("hub", observer=lambda *what: told.append(what)) as client,
    ):
        await client.post("/api/v1/namespaces", TENANT)
        await client.post(jobs, {"metadata": {"name": "j"}, "spec": {}})
        await client.patch(f"{jobs}/j/status", {"status": {"state": "New"}})
        await client.delete(f"{jobs}/j")
        await client.get("/version")
        await _refused(client.get("/api/v1/namespaces/b"))
        server.cut("GET /version")
        await _unreachable(client.get("/version"))
    assert told == [
        ("hub", "post", "namespaces", "201"),
        ("hub", "post", "computejobs", "201"),
        ("hub", "patch", "computejobs/status", "200"),
        ("hub", "delete", "computejobs", "200"),
        ("hub", "get", "version", "200"),
        ("hub", "get", "namespaces", "404"),
        ("hub", "get", "version", "error"),
    ]


async def test_no_more_requests_than_allowed_are_under_way() -> None:
    async with FakeApiServer() as server, server.client(concurrency=2) as client:
        held = server.hold("GET /version")
        asking = [asyncio.create_task(client.get("/version")) for _ in range(5)]
        await server.until(lambda: held.waiting == 2)
        server.put(node("n"))
        assert held.waiting == 2
        held.release()
        await asyncio.gather(*asking)
        assert held.waiting == 5


async def test_only_reads_are_sent_while_it_may_not_write() -> None:
    may = True
    async with FakeApiServer() as server, server.client(concurrency=1, may_write=lambda: may) as client:
        held = server.hold("POST /api/v1/namespaces")
        first = asyncio.create_task(client.post("/api/v1/namespaces", TENANT))
        await server.until(lambda: held.waiting == 1)
        waits = asyncio.create_task(client.delete("/api/v1/namespaces/a"))
        may = False  # while one is under way and one waits for its turn
        held.release()
        await first
        assert "nothing was sent" in await _unreachable(waits)
        assert server.get("/api/v1/namespaces/a")["metadata"]["name"] == "a"
        assert await _all(client) == []


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with FakeApiServer() as server, server.client() as client:
        await client.get("/version")
        assert server.requests[0].headers["Authorization"] == "Bearer secret-token"


async def test_cookies_are_not_kept() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", b"{}", headers={"Set-Cookie": "who=me; Path=/"})
        await client.get("/version")
        await client.get("/version")
        assert "Cookie" not in server.requests[1].headers


def test_a_target_never_shows_its_secrets() -> None:
    shown = repr(Target("https://a:6443", "CA", "very-secret", "CERT", "KEY"))
    assert shown == "Target(https://a:6443)"


# --- lists


async def test_a_list_is_read_in_pages_to_its_end() -> None:
    async with FakeApiServer() as server, server.client() as client:
        for name in "abcde":
            server.put(node(name, labels={"odd": str(name in "ace")}))
        assert await _all(client) == list("abcde")
        assert [r.query["limit"] for r in server.requests] == ["2", "2", "2"]
        assert await _all(client, labelSelector="odd=True") == list("ace")
        assert (await client.list_all(NODES))["metadata"]["resourceVersion"] == str(server.store.version)


async def test_a_list_that_takes_too_long_begins_anew_once() -> None:
    async with FakeApiServer() as server, server.client() as client:
        for name in "abc":
            server.put(node(name))

        def forget(request: web.Request) -> None:
            if "continue" in request.query:
                server.store.compact()

        server.fault(f"GET {NODES}", forget, times=2)
        assert await _all(client) == list("abc")
        assert ["continue" in r.query for r in server.requests] == [False, True, False, True]
        server.heal()
        server.fault(f"GET {NODES}", forget)
        assert (await _refused(_all(client))).status == 410


async def test_a_list_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGES", 7)
    more = {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": [node("n")]}
    async with FakeApiServer() as server, server.client() as client:
        server.answer(f"GET {NODES}", json.dumps(more).encode())
        assert "more than 1000000 objects or 7 pages" in await _unreachable(_all(client))
        assert len(server.requests) == 7


async def test_a_list_of_too_many_objects_is_given_up() -> None:
    async with FakeApiServer() as server, server.client() as client:
        for name in "abcdef":
            server.put(node(name))

        async def count(most: int) -> int:
            return sum([len(page.items) async for page in client.pages(NODES, page=2, most=most)])

        assert await count(6) == 6
        assert "more than 5 objects" in await _unreachable(count(5))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "ok"},
        {"items": []},
        {"metadata": {"resourceVersion": "5"}},
        {"items": "none", "metadata": {"resourceVersion": "5"}},
        {"items": {"a": 1}, "metadata": {"resourceVersion": "5"}},
        {"items": [], "metadata": {"resourceVersion": 5}},
        {"items": [], "metadata": ["resourceVersion"]},
        {"items": [], "metadata": {"resourceVersion": ""}},
    ],
)
async def test_what_is_not_a_list_is_never_taken_for_an_empty_one(body: Json) -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer(f"GET {NODES}", json.dumps(body).encode())
        assert "is not a list" in await _unreachable(client.list_all(NODES))


async def test_nonsense_in_a_list_is_left_out() -> None:
    found: list[object] = [
        1,
        None,
        "x",
        [],
        {},
        {"metadata": 3},
        {"metadata": {"name": 4}},
        {"metadata": {"name": ""}},
        node("n"),
    ]
    body = {"items": found, "metadata": {"resourceVersion": "5", "continue": ["x"]}}
    async with FakeApiServer() as server, server.client() as client:
        server.answer(f"GET {NODES}", json.dumps(body).encode())
        assert await _all(client) == ["n"]
        server.heal()
        server.answer(f"GET {NODES}", b'{"items": null, "metadata": {"resourceVersion": "5"}}')
        assert await _all(client) == []


async def test_pages_shrink_until_large_objects_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGE_BYTES", 9_000)
    async with FakeApiServer() as server, server.client() as client:
        for number in range(20):
            server.put(node(f"n{number:02}", labels={"fill": "x" * 1_500}))
        listed = (await client.list_all(NODES, page=16))["items"]
        assert [o["metadata"]["name"] for o in listed] == [f"n{number:02}" for number in range(20)]
        assert [r.query["limit"] for r in server.requests][:2] == ["16", "2"]
        server.put(node("n99", labels={"fill": "x" * 9_500}))
        assert "in one answer" in await _unreachable(client.list_all(NODES, page=16))


# --- answers that are errors


async def test_an_error_says_what_the_server_said() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.refuse("GET /version", 403, "Forbidden", 'nodes is forbidden: User "x" cannot list')
        error = await _refused(client.get("/version"))
        assert (error.status, error.reason) == (403, "Forbidden")
        assert str(error) == '403 Forbidden: nodes is forbidden: User "x" cannot list'
        assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("86400", 60.0),
        ("9" * 400, 60.0),
        ("-1", None),
        ("1.5", None),
        ("\u00b2", None),
        ("\u0663", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("", None),
    ],
)
async def test_retry_after_is_kept_within_reason(said: str, seconds: float | None) -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.refuse("GET /version", 429, "TooManyRequests", headers={"Retry-After": said})
        assert (await _refused(client.get("/version"))).retry_after_s == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", ""),
        (b"\xff\xfe\x00 \x1b[31mred", "\ufffd\ufffd   [31mred"),
        (b'["no"]', '["no"]'),
        (b'{"message": 5, "reason": {"a": 1}}', '{"message": 5, "reason": {"a": 1}}'),
        (rb'{"message": "bell \u0007 and line \u2028 break"}', "bell   and line   break"),
        (rb'{"message": "half \ud800 a pair"}', r'{"message": "half \ud800 a pair"}'),
        (b'{"message": "%s"}' % (b"x" * 9_000), "x" * 2_000),
        (b"[" * 100_000, "[" * 300),
    ],
)
async def test_an_error_is_printable_and_bounded_whatever_it_holds(body: bytes, message: str) -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", body, status=500)
        error = await _refused(client.get("/version"))
        assert (error.status, error.message) == (500, message)
        assert json.dumps(str(error), ensure_ascii=False).encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with FakeApiServer() as other, FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", b"", status=status, headers={"Location": f"{other.target.server}/version"})
        error = await _refused(client.get("/version"))
        assert error.status == status
        assert "redirect, which is not followed" in error.message
        assert other.requests == []


NO_OBJECTS = [
    b"",
    b"ok",
    b"[]",
    b'"x"',
    b"null",
    b"1",
    b'{"a":',
    b'{"a":1}{}',
    b"\xff\xff",
    b'{"a":"\xff"}',
    b'{"\xc3(":1}',
    b'{"a":"\xed\xa0\x80"}',
    rb'{"a":"\ud800"}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1e999}',
    b'{"a":' * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b"1" * 9_000,
    b'{"a":' + b"1" * 9_000 + b"}",
]


@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_an_answer_that_is_no_json_object_is_none(body: bytes) -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", body)
        assert "not a JSON object" in await _unreachable(client.get("/version"))


async def test_of_a_field_that_comes_twice_the_last_holds_and_no_number_of_a_server_is_cut() -> None:
    """API servers have integers of 64 bits; a larger one is none, and is read as a float."""
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", b'{"a":1,"a":9223372036854775807,"b":-9223372036854775808,"c":1%s}' % (b"0" * 30))
        answer = await client.get("/version")
        assert (answer["a"], answer["b"], type(answer["c"])) == ((1 << 63) - 1, -(1 << 63), float)


async def test_an_answer_is_read_up_to_a_bound() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", b'{"a": "%s"}' % (b"x" * client_module.MAX_ANSWER_BYTES))
        assert "sent more than 8 MiB in one answer" in await _unreachable(client.get("/version"))


async def test_a_compressed_answer_is_not_inflated() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer("GET /version", gzip.compress(b'{"a": "b"}'), headers={"Content-Encoding": "gzip"})
        assert "not a JSON object" in await _unreachable(client.get("/version"))


def _listed(*names: str, filler: int = 0) -> bytes:
    items = [{"metadata": {"name": name}, "filler": "x" * filler} for name in names]
    return json.dumps({"metadata": {"resourceVersion": "5"}, "items": items}).encode()


async def test_pages_of_a_list_may_be_compressed_and_nothing_else() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer(f"GET {NODES}", gzip.compress(_listed("a", "b")), headers={"Content-Encoding": "gzip"})
        assert await _all(client) == ["a", "b"]
        server.answer("POST *", gzip.compress(_listed("a")), headers={"Content-Encoding": "gzip"})
        assert "not a JSON object" in await _unreachable(client.post("/api/v1/namespaces", TENANT))
    assert [r.headers["Accept-Encoding"] for r in server.requests] == ["gzip", "identity"]


async def test_what_is_compressed_is_inflated_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGE_BYTES", 1 << 20)
    sizes: list[str] = []

    def large(request: web.Request) -> web.Response:
        sizes.append(request.query["limit"])
        filler = (2 << 20) if request.query["limit"] != "1" else 10
        return web.Response(body=gzip.compress(_listed("a", filler=filler)), headers={"Content-Encoding": "gzip"})

    async with FakeApiServer() as server, server.client() as client:
        server.fault(f"GET {NODES}", large)
        assert (await client.list_all(NODES, page=16))["items"][0]["metadata"]["name"] == "a"
        assert sizes == ["16", "2", "1"]
        server.heal()
        server.answer(f"GET {NODES}", gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"})
        assert "sent more than 1 MiB in one answer" in await _unreachable(client.list_all(NODES, page=16))


@pytest.mark.parametrize(
    "body",
    [
        b"\x1f\x8b",
        b"\x1f\x8bgarbage",
        gzip.compress(_listed("a"))[:-9],
        gzip.compress(_listed("a"))[:-8] + b"\0" * 8,
        gzip.compress(b"no JSON"),
        gzip.compress(gzip.compress(_listed("a"))),
    ],
)
async def test_what_cannot_be_inflated_is_no_list(body: bytes) -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.answer(f"GET {NODES}", body, headers={"Content-Encoding": "gzip"})
        said = await _unreachable(client.list_all(NODES))
        assert "not a JSON object" in said or "sent something compressed that" in said


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async with FakeApiServer() as server, server.client(timeout_s=0.05) as client:
        server.pause()
        assert await _unreachable(client.get("/version")) == f"{server.target.server} did not answer in time"


async def test_an_answer_that_drips_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.01)

    async with FakeApiServer() as server, server.client(timeout_s=0.2) as client:
        server.fault("GET /version", drip)
        assert "did not answer in time" in await _unreachable(client.get("/version"))


async def test_a_connection_that_breaks_is_said() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.cut("GET /version", times=2)  # a read is tried twice on a connection that may have been old
        assert "could not be reached" in await _unreachable(client.get("/version"))
        assert (await client.get("/version"))["major"] == "1", "the next request takes a new connection"
    assert "could not be reached" in await _unreachable(client.get("/version")), "nobody listens any more"
    await client.close()


# --- watches


async def _events(
    client: ApiClient, *, silence_s: float = 60, longest_s: float = 60, opened: Callable[[], None] = lambda: None
) -> list[Json]:
    params = {"resourceVersion": "0"}
    watch = client.watch(NODES, params, silence_s=silence_s, longest_s=longest_s, opened=opened)
    return [event async for event in watch]


async def test_a_watch_tells_what_happens_until_the_server_ends_it() -> None:
    async with FakeApiServer() as server, server.client() as client:
        opened = asyncio.Event()
        watching = asyncio.create_task(_events(client, opened=opened.set))
        await opened.wait()
        assert server.requests[0].query["allowWatchBookmarks"] == "true"
        await server.until(lambda: server.watching)
        server.put(node("n"))
        server.put(node("n", ready=False))
        server.send(b"\n\n  \n")
        server.delete(f"{NODES}/n")
        server.bookmark()
        server.send({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
        error = await _refused(watching)
        assert (error.status, error.reason, error.message) == (410, "Expired", "too old")


async def test_events_arrive_one_by_one() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.put(node("a"))
        server.put(node("b"))
        watch = client.watch(NODES, {"resourceVersion": "0"}, silence_s=60, longest_s=60)
        first, second = await anext(watch), await anext(watch)
        server.delete(f"{NODES}/a")
        third = await anext(watch)
        await watch.aclose()
    told = [(e["type"], e["object"]["metadata"]["name"]) for e in (first, second, third)]
    assert told == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


@pytest.mark.parametrize("much", [False, True])
async def test_a_watch_that_rests_takes_the_first_event_at_once_and_then_several(much: bool) -> None:
    async with FakeApiServer() as server, server.client() as client:
        watch = client.watch(NODES, {"resourceVersion": "0"}, silence_s=60, longest_s=60, rest_s=3_600)
        async with aclosing(watch), asyncio.timeout(60):
            coming = asyncio.ensure_future(anext(watch))
            await server.until(lambda: server.watching)
            server.put(node("a", labels={"filler": "x" * (client_module.MUCH if much else 1)}))
            assert (await coming)["object"]["metadata"]["name"] == "a"
            coming = asyncio.ensure_future(anext(watch))
            server.put(node("b"))
            await client.get("/version")
            await asyncio.wait({coming}, timeout=None if much else 0.1)
            assert coming.done() is much
            coming.cancel()
            await asyncio.wait({coming})


@pytest.mark.parametrize("tls", [False, True])
async def test_what_comes_while_a_watch_rests_is_told_afterwards(authority: Authority, tls: bool) -> None:
    large = {"filler": "x" * 5_000}
    async with FakeApiServer(authority=authority if tls else None) as server, server.client() as client:
        watch = client.watch(NODES, {"resourceVersion": "0"}, silence_s=60, longest_s=60, rest_s=0.01)
        async with aclosing(watch), asyncio.timeout(60):
            coming = asyncio.ensure_future(anext(watch))
            await server.until(lambda: server.watching)
            told = []
            for n in range(20):
                server.put(node(f"n{n}"))
                told.append((await coming)["object"]["metadata"]["name"])
                coming = asyncio.ensure_future(anext(watch))
            for n in range(20, 200):  # more than TLS buffers
                server.put(node(f"n{n}", labels=large))
            told.append((await coming)["object"]["metadata"]["name"])
            told += [(await anext(watch))["object"]["metadata"]["name"] for _ in range(179)]
        assert told == [f"n{n}" for n in range(200)]


async def test_a_watch_that_rests_hears_when_the_server_ends_it() -> None:
    async with FakeApiServer() as server, server.client() as client:
        watch = client.watch(NODES, {"resourceVersion": "0"}, silence_s=60, longest_s=60, rest_s=0.05)
        async with aclosing(watch), asyncio.timeout(60):
            coming = asyncio.ensure_future(anext(watch))
            await server.until(lambda: server.watching)
            server.put(node("a"))
            await coming
            server.drop_watches()
            with suppress(Unreachable):
                assert [event async for event in watch] == []


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "ERROR"}, 500),
        ({"type": "ERROR", "object": ["x"]}, 500),
        ({"type": "ERROR", "object": {"code": "410"}}, 500),
        ({"type": "ERROR", "object": {"code": {"a": 1}, "message": ["x"], "reason": 4}}, 500),
        ({"type": "ERROR", "object": {"code": 504, "message": "late"}}, 504),
    ],
)
async def test_an_error_in_a_watch_may_be_anything(event: Json, status: int) -> None:
    async with FakeApiServer() as server, server.client() as client:
        watching = asyncio.create_task(_events(client))
        await server.until(lambda: server.watching)
        server.send(event)
        assert (await _refused(watching)).status == status


async def test_a_watch_is_refused_like_any_request() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.refuse("WATCH *", 403, "Forbidden", "not you", times=1)
        assert (await _refused(_events(client))).message == "not you"
        server.answer("WATCH *", b"", status=307, headers={"Location": "/"}, times=1)
        assert (await _refused(_events(client))).status == 307
        server.answer("WATCH *", b"", status=204, times=1)
        assert (await _refused(_events(client))).status == 204


@pytest.mark.parametrize("line", [b"garbage", *(body for body in NO_OBJECTS if body.strip())])
async def test_a_line_that_is_no_event_ends_the_watch(line: bytes) -> None:
    async with FakeApiServer() as server, server.client() as client:
        watching = asyncio.create_task(_events(client))
        await server.until(lambda: server.watching)
        server.send(line + b"\n")
        assert "not a JSON object" in await _unreachable(watching)


async def test_an_event_without_end_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_EVENT_BYTES", 1 << 20)
    async with FakeApiServer() as server, server.client() as client:
        watching = asyncio.create_task(_events(client))
        await server.until(lambda: server.watching)
        server.send(b"x" * (3 << 20))
        assert "watch event of more than 1 MiB" in await _unreachable(watching)


async def test_silence_ends_a_watch() -> None:
    async with FakeApiServer() as server, server.client() as client:
        assert "did not answer in time" in await _unreachable(_events(client, silence_s=0.05))


async def test_a_watch_that_drips_bytes_is_ended_all_the_same() -> None:
    async with FakeApiServer() as server, server.client() as client:
        watching = asyncio.create_task(_events(client, longest_s=0.3))
        while not watching.done():
            if server.watching:
                server.send(b" ")
            await asyncio.sleep(0.01)
        assert "did not answer in time" in await _unreachable(watching)


# --- who is on the other side


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("test")


async def test_a_server_is_believed_if_its_authority_vouches_for_it(authority: Authority) -> None:
    async with FakeApiServer(authority=authority) as server:
        url, ca = server.target.server, authority.certificate_pem.decode()
        async with ApiClient(Target(url, ca), name="m") as client:
            assert (await client.get("/version"))["major"] == "1"
        async with ApiClient(Target(url, ca, tls_server_name="kubernetes.default"), name="m") as client:
            assert (await client.get("/version"))["major"] == "1"
        asked = len(server.requests)
        other = Authority("other").certificate_pem.decode()
        for target in (Target(url, other), Target(url, None), Target(url, ca, tls_server_name="other.example")):
            async with ApiClient(target, name="m") as client:
                assert "is not who its certificate authority says" in await _unreachable(client.get("/version"))
        assert len(server.requests) == asked


async def test_a_client_certificate_is_shown_where_it_is_asked_for(authority: Authority) -> None:
    async with FakeApiServer(authority=authority, asks_client=True) as server:
        url, ca, pair = server.target.server, authority.certificate_pem.decode(), authority.client("hub")
        shown = Target(url, ca, None, pair.certificate_pem.decode(), pair.key_pem.decode())
        async with ApiClient(shown, name="m") as client:
            assert (await client.get("/version"))["major"] == "1"
        async with ApiClient(Target(url, ca), name="m") as client:
            assert "could not be reached" in await _unreachable(client.get("/version"))


def test_nothing_is_left_of_a_closed_client_whose_server_does_not_say_goodbye(authority: Authority) -> None:
    event = json.dumps({"type": "ADDED", "object": node("n")}).encode() + b"\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + event
    over = threading.Event()

    def open_a_watch() -> None:
        with serving_tls(authority).wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65_536)
            connection.sendall(answer)
            over.wait(120)

    async def leave_it(target: Target) -> None:
        async with ApiClient(target, name="m") as client:
            watch = client.watch(NODES, {}, silence_s=60, longest_s=60)
            await anext(watch)
            await watch.aclose()

    with socket.create_server(("127.0.0.1", 0)) as listener, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        server = threading.Thread(target=open_a_watch)
        server.start()
        port, ca = listener.getsockname()[1], authority.certificate_pem.decode()
        asyncio.run(leave_it(Target(f"https://127.0.0.1:{port}", ca)))
        gc.collect()
        over.set()
        server.join(120)
    assert [str(each.message) for each in told] == []


def test_certificates_that_cannot_be_used_are_refused_at_once(authority: Authority) -> None:
    pair, other = authority.client("hub"), authority.client("other")
    ca, certificate, key = authority.certificate_pem.decode(), pair.certificate_pem.decode(), pair.key_pem.decode()
    broken = key.replace("M", "N", 3)
    for target in (
        Target("https://a", "no certificate"),
        Target("https://a", ca, None, certificate, broken),
        Target("https://a", ca, None, certificate, other.key_pem.decode()),
    ):
        with pytest.raises(ValueError, match="the certificates for https://a cannot be used"):
            ApiClient(target, name="m")


def test_an_encrypted_key_is_refused_and_no_password_asked_for(authority: Authority) -> None:
    pair = authority.client("hub")
    key = serialization.load_pem_private_key(pair.key_pem, password=None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    target = Target("https://a", None, None, pair.certificate_pem.decode(), encrypted.decode())
    with pytest.raises(ValueError, match="the client key is encrypted; give one that is not"):
        ApiClient(target, name="m")


async def test_a_name_does_not_lead_a_members_client_to_the_hubs_own_machine() -> None:
    async with FakeApiServer() as server:
        url = server.target.server.replace("127.0.0.1", "localhost")
        async with ApiClient(Target(url, None, reach=Reach.OUTSIDE_OR_LOOPBACK), name="m") as client:
            assert (await client.get("/version"))["major"] == "1"
        asked = len(server.requests)
        async with ApiClient(Target(url, None, reach=Reach.OUTSIDE), name="m") as client:
            assert "leads nowhere: it leads to the hub's own machine" in await _unreachable(client.get("/version"))
        assert len(server.requests) == asked


async def test_a_page_is_not_kept_while_the_next_one_comes() -> None:
    async with FakeApiServer() as server, server.client() as client:
        for name in "abc":
            server.put(node(name))
        seen = [(page, len(page.items)) async for page in client.pages(NODES, page=2)]
        assert [count for _, count in seen] == [2, 1]
        assert [page.items for page, _ in seen] == [[], []]
        assert len((await client.list_all(NODES, page=2))["items"]) == 3


async def test_pages_of_many_servers_are_used_one_after_the_other() -> None:
    turn, at_once, most = asyncio.Lock(), 0, 0

    async def read(server: FakeApiServer) -> int:
        nonlocal at_once, most
        found = 0
        async with server.client(turn=turn) as client, aclosing(client.pages(NODES, page=2)) as pages:
            async for page in pages:
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.01)
                found += len(page.items)
                at_once -= 1
        return found

    async with FakeApiServer() as one, FakeApiServer() as other:
        for server in (one, other):
            for name in "abcde":
                server.put(node(name))
        assert list(await asyncio.gather(read(one), read(other))) == [5, 5]
    assert most == 1
    assert not turn.locked()


async def test_a_server_that_does_not_answer_holds_up_no_other_ones_pages() -> None:
    turn = asyncio.Lock()
    async with (
        FakeApiServer() as silent,
        FakeApiServer() as server,
        silent.client(turn=turn) as waiting,
        server.client(turn=turn) as client,
    ):
        held = silent.hold(f"GET {NODES}")
        server.put(node("a"))
        late = asyncio.create_task(waiting.list_all(NODES))
        await silent.until(lambda: held.waiting == 1)
        assert len((await client.list_all(NODES))["items"]) == 1
        held.release()
        await late
