"""What goes through the proxies, and what does not when the operator is killed at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from apiserver import FakeApiServer
from crashes.points import Moment, Write
from crashes.proxy import Proxies
from localfed.pki import Authority
from suanli.kube.client import ApiClient, Unreachable
from suanli.kube.local import load_target

NAMESPACES = "/api/v1/namespaces"
NEW = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}


class Tap:
    """Kills nobody, and remembers."""

    def __init__(self, kill: Moment | None = None) -> None:
        self.kill = kill
        self.told: list[str] = []

    def comes(self, cluster: str, method: str, path: str, body: bytes) -> Write:
        self.told.append(f"{cluster} {method} {path} {body.decode()}")
        return Write("it", self.kill)

    def answered(self, write: Write, status: int) -> None:
        self.told.append(f"{write.name} {status}")

    def spring(self) -> None:
        self.told.append("killed")


@asynccontextmanager
async def behind(tap: Tap, folder: Path) -> AsyncIterator[tuple[FakeApiServer, ApiClient, Proxies]]:
    """A server, and a client of it by way of a proxy."""
    async with FakeApiServer(authority=Authority("hub")) as server:
        path = server.kubeconfig(folder)
        async with AsyncExitStack() as stack:
            proxies = Proxies({"hub": load_target(path)}, tap)
            # Not in this loop: client and server have to see their connections end.
            stack.push_async_callback(asyncio.to_thread, proxies.__exit__, None, None, None)
            proxies.__enter__()
            path.write_text(proxies.through("hub", path.read_text()))
            assert load_target(path).server != server.target.server
            async with ApiClient(load_target(path), name="hub") as client:
                yield server, client, proxies


async def test_requests_answers_and_errors_are_passed_on(tmp_path: Path) -> None:
    tap = Tap()
    async with behind(tap, tmp_path) as (server, client, _):
        assert (await client.post(NAMESPACES, NEW))["metadata"]["name"] == "new"
        assert (await client.get(f"{NAMESPACES}/new"))["metadata"]["name"] == "new"
        with pytest.raises(Exception, match="409"):
            await client.post(NAMESPACES, NEW)
        assert server.requests[0].headers["Authorization"] == "Bearer secret-token"
    sent = f"hub POST {NAMESPACES}"
    assert [told.partition(" {")[0] for told in tap.told] == [sent, "it 201", sent, "it 409"]


async def test_what_a_watch_tells_comes_as_it_happens(tmp_path: Path) -> None:
    async with behind(Tap(), tmp_path) as (server, client, _):
        events = client.watch(NAMESPACES, {"resourceVersion": "0"}, silence_s=120, longest_s=120)
        async with aclosing(events):
            while (event := await anext(events))["object"]["metadata"]["name"] != "kube-system":
                pass
            server.put(NEW)
            while (event := await anext(events))["type"] == "BOOKMARK":
                pass
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "new")


@pytest.mark.parametrize("moment", list(Moment))
async def test_who_is_killed_gets_no_answer_and_the_server_has_the_write_or_not(tmp_path: Path, moment: Moment) -> None:
    tap = Tap(moment)
    async with behind(tap, tmp_path) as (server, client, _):
        with pytest.raises(Unreachable):
            await client.post(NAMESPACES, NEW)
        there = {raw["metadata"]["name"] for raw in server.objects(NAMESPACES)}
    assert ("new" in there) == (moment is Moment.AFTER)
    assert tap.told[1:] == {Moment.BEFORE: ["killed"], Moment.AFTER: ["it 201", "killed"]}[moment]


async def test_nothing_gets_through_to_a_silent_cluster_or_from_it(tmp_path: Path) -> None:
    tap = Tap()
    async with behind(tap, tmp_path) as (server, client, proxies):
        events = client.watch(NAMESPACES, {"resourceVersion": "0"}, silence_s=120, longest_s=120)
        async with aclosing(events):
            await anext(events)
            proxies.cut("hub", True)
            with pytest.raises(Unreachable):
                await client.post(NAMESPACES, NEW)
            server.put(NEW)
            told = []
            with pytest.raises(Unreachable):
                told += [event["object"]["metadata"]["name"] async for event in events]
            assert "new" not in told
        assert tap.told == []
        proxies.cut("hub", False)
        assert (await client.get(f"{NAMESPACES}/new"))["metadata"]["name"] == "new"
