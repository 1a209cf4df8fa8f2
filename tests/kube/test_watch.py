"""A reflector follows its server through everything that happens to watches, and never runs wild."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest

import virtualtime
from apiserver import FakeApiServer, node
from asynctests import Happenings
from suanli.kube import watch
from suanli.kube.client import ApiError, Json, Page, Unreachable
from suanli.kube.watch import BURST, BURST_S, Reflector, key_of

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
InVirtualTime = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(autouse=True)
def short_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are their true length in virtual time only."""
    if "in_virtual_time" not in request.fixturenames:
        monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)


class Seen(Happenings):
    """What a reflector told."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, Any, Any]] = []
        self.troubles: list[ApiError | Unreachable] = []
        self.heard = 0

    def change(self, kind: str, new: Any, old: Any) -> None:
        self.changes.append((kind, new, old))
        self.happened()

    def trouble(self, error: ApiError | Unreachable) -> None:
        self.troubles.append(error)
        self.happened()

    def hear(self) -> None:
        self.heard += 1
        self.happened()

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(kind, new) for kind, new, _ in self.changes]


def _label(raw: Json) -> str:
    """What is kept in these tests: "name=value of its label v"."""
    return f"{raw['metadata']['name']}={(raw['metadata'].get('labels') or {}).get('v', '')}"


def _node(name: str, value: str = "") -> Json:
    return node(name, labels={"v": value})


@contextlib.asynccontextmanager
async def following(
    server: FakeApiServer, path: str = NODES, keep: Callable[[Json], Any] = _label, **options: Any
) -> AsyncIterator[tuple[Reflector, Seen]]:
    """A reflector that has filled itself and opened its watch."""
    seen = Seen()
    async with server.client() as client:
        reflector = Reflector(
            client,
            path,
            keep=keep,
            on_change=seen.change,
            on_trouble=seen.trouble,
            on_heard=seen.hear,
            **options,
        )
        task = asyncio.create_task(reflector.run())
        try:
            await server.until(lambda: server.watching or seen.troubles)
            yield reflector, seen
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()
    await server.until(lambda: not server.watching)


async def _is_well_again(server: FakeApiServer, reflector: Reflector, seen: Seen) -> bool:
    await server.until(lambda: server.watching)
    heard = seen.heard
    server.bookmark()
    await seen.until(lambda: seen.heard > heard)
    return reflector.trouble is None


# --- following


async def test_it_lists_once_and_then_follows() -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        server.put(_node("b", "1"))
        async with following(server) as (reflector, seen):
            assert reflector.synced.is_set()
            server.put(_node("a", "2"))
            server.put(_node("c", "1"))
            server.delete(f"{NODES}/b")
            await seen.until(lambda: len(seen.changes) == 5)
            assert reflector.items == {"a": "a=2", "c": "c=1"}
            assert seen.changes == [
                ("ADDED", "a=1", None),
                ("ADDED", "b=1", None),
                ("MODIFIED", "a=2", "a=1"),
                ("ADDED", "c=1", None),
                ("DELETED", "b=1", "b=1"),
            ]
        assert len(server.asked(f"GET {NODES}")) == 1
        assert len(server.asked(f"WATCH {NODES}")) == 1


async def test_what_changes_nothing_of_what_is_kept_is_not_told() -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        async with following(server) as (_, seen):
            server.put({**_node("a", "1"), "status": {"heartbeat": "later"}})
            server.put(_node("a", "2"))
            await seen.until(lambda: ("MODIFIED", "a=2") in seen.told)
            assert seen.told == [("ADDED", "a=1"), ("MODIFIED", "a=2")]


async def test_objects_come_into_a_selection_and_leave_it() -> None:
    async with FakeApiServer() as server:
        async with following(server, params={"labelSelector": "v=1"}) as (reflector, seen):
            server.put(_node("a", "1"))
            server.put(_node("b", "2"))
            server.put(_node("a", "2"))
            server.put(_node("b", "1"))
            await seen.until(lambda: ("ADDED", "b=1") in seen.told)
            assert [kind for kind, _ in seen.told] == ["ADDED", "DELETED", "ADDED"]
            assert reflector.items == {"b": "b=1"}
        for request in server.requests:
            assert request.query["labelSelector"] == "v=1"


async def test_a_dropped_watch_resumes_where_it_was() -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        async with following(server) as (reflector, seen):
            server.put(_node("b", "1"))
            await seen.until(lambda: len(seen.changes) == 2)
            last = server.store.version
            server.drop_watches()
            await server.until(lambda: not server.watching)
            server.put(_node("a", "2"))
            server.delete(f"{NODES}/b")
            reflector.hurry()
            await seen.until(lambda: len(seen.changes) == 4)
            assert reflector.items == {"a": "a=2"}
        assert len(server.asked(f"GET {NODES}")) == 1
        assert [r.query["resourceVersion"] for r in server.asked("WATCH *")][1] == str(last)
        assert seen.told[2:] == [("MODIFIED", "a=2"), ("DELETED", "b=1")]


async def test_a_bookmark_moves_the_place_where_it_resumes() -> None:
    async with FakeApiServer() as server:
        async with following(server) as (_, seen):
            server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "else"}})
            heard = seen.heard
            server.bookmark()
            await seen.until(lambda: seen.heard > heard)
            server.drop_watches()
            await server.until(lambda: len(server.asked("WATCH *")) == 2)
        assert server.asked("WATCH *")[1].query["resourceVersion"] == str(server.store.version)
        assert seen.changes == []


async def test_after_a_gap_it_lists_again_and_tells_the_difference() -> None:
    async with FakeApiServer() as server:
        for name in ("same", "changed", "removed"):
            server.put(_node(name, "1"))
        async with following(server) as (reflector, seen):
            server.drop_watches()
            await server.until(lambda: not server.watching)
            server.put(_node("changed", "2"))
            server.delete(f"{NODES}/removed")
            server.put(_node("new", "1"))
            server.store.compact()
            await seen.until(lambda: len(seen.changes) == 6)
            assert sorted(seen.changes[3:]) == [
                ("ADDED", "new=1", None),
                ("DELETED", "removed=1", "removed=1"),
                ("MODIFIED", "changed=2", "changed=1"),
            ]
            await server.until(lambda: server.watching)
            server.put(_node("new", "2"))
            await seen.until(lambda: reflector.items["new"] == "new=2")
        assert len(server.asked(f"GET {NODES}")) == 2
        assert not any(isinstance(t, ApiError) for t in seen.troubles), "that the past is forgotten is no trouble"


async def test_a_list_that_is_not_confirmed_changes_nothing() -> None:
    doubt: list[Unreachable] = []

    async def confirm() -> None:
        if doubt:
            raise doubt[0]

    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        async with following(server, confirm=confirm) as (reflector, seen):
            doubt.append(Unreachable("another cluster answers"))
            server.drop_watches()
            server.delete(f"{NODES}/a")
            server.store.compact()
            await seen.until(lambda: doubt[0] in seen.troubles)
            assert reflector.items == {"a": "a=1"}
            assert reflector.trouble is doubt[0]
            doubt.clear()
            reflector.hurry()
            await seen.until(lambda: ("DELETED", "a=1") in seen.told)
            assert await _is_well_again(server, reflector, seen)


async def test_trouble_is_told_and_known_until_it_is_over() -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        server.refuse(f"GET {NODES}", 403, "Forbidden", "nodes is forbidden")
        async with following(server) as (reflector, seen):
            assert str(reflector.trouble) == "403 Forbidden: nodes is forbidden"
            assert not reflector.synced.is_set()
            server.heal()
            reflector.hurry()
            await seen.until(reflector.synced.is_set)
            assert await _is_well_again(server, reflector, seen)
            assert reflector.items == {"a": "a=1"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ADDED"},
        {"type": "ADDED", "object": "x"},
        {"type": "ADDED", "object": None},
        {"type": "ADDED", "object": [1]},
        {"type": "TAKEN", "object": {"metadata": {"name": "x"}}},
        {"type": ["ADDED"], "object": {"metadata": {"name": "x"}}},
        {"object": {"metadata": {"name": "x"}}},
        {},
        {"type": "ERROR"},
        {"type": "ERROR", "object": {"code": 500, "message": "etcd is gone"}},
        b"garbage\n",
        b"[]\n",
    ],
)
async def test_what_is_no_event_ends_the_watch_and_it_resumes(event: object) -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        async with following(server) as (reflector, seen):
            server.send(event)
            await seen.until(lambda: seen.troubles)
            assert reflector.items == {"a": "a=1"}
            server.put(_node("b", "1"))
            reflector.hurry()
            await seen.until(lambda: "b" in reflector.items)
        assert len(server.asked(f"GET {NODES}")) == 1


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"metadata": None},
        {"metadata": "x"},
        {"metadata": {"name": ["x"]}},
        {"metadata": {"name": 7, "resourceVersion": {"a": 1}}},
        {"metadata": {"resourceVersion": 5}},
        {"metadata": {"name": "", "resourceVersion": ""}},
    ],
)
async def test_an_event_of_a_nameless_thing_is_passed_over(raw: Json) -> None:
    async with FakeApiServer() as server:
        server.put(_node("a", "1"))
        async with following(server) as (reflector, seen):
            for kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
                server.send({"type": kind, "object": raw})
            server.put(_node("b", "1"))
            await seen.until(lambda: "b" in reflector.items)
            assert seen.told == [("ADDED", "a=1"), ("ADDED", "b=1")]
            assert seen.troubles == []


async def test_a_version_that_no_server_gives_cannot_break_the_next_request() -> None:
    async with FakeApiServer() as server, following(server) as (reflector, seen):
        server.send(b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "\\u2028\\u0000 x"}}}\n')
        await seen.until(lambda: seen.heard == 2)
        server.refuse("WATCH *", 400, "BadRequest", "invalid resource version", times=1)
        server.drop_watches()
        await seen.until(lambda: seen.troubles)
        server.put(_node("a", "1"))
        server.refuse("WATCH *", 410, "Expired", times=1)
        reflector.hurry()
        await seen.until(lambda: "a" in reflector.items)


async def test_more_objects_than_any_cluster_has_are_not_kept() -> None:
    async with FakeApiServer() as server:
        for name in "abc":
            server.put(_node(name))
        async with following(server, most=3) as (reflector, seen):
            server.put(_node("a", "2"))
            server.put(_node("d"))
            await seen.until(lambda: seen.troubles)
            assert str(seen.troubles[0]).endswith("has more than 3 objects")
            assert sorted(reflector.items) == ["a", "b", "c"]
        async with following(server, most=2) as (reflector, seen):
            assert "lists more than 2 objects" in str(seen.troubles[0])
            assert reflector.items == {}


# --- what a write's answer teaches


async def test_what_a_write_was_answered_with_is_known_at_once() -> None:
    async with FakeApiServer() as server, following(server) as (reflector, seen):
        hold = server.hold("GET *")  # the server is asked nothing
        made = _with_version(_node("a", "1"), server.store.version + 5)
        reflector.learn(made)
        assert seen.told == [("ADDED", "a=1")]
        reflector.learn(_with_version(_node("a", "0"), server.store.version + 5))
        assert reflector.items == {"a": "a=1"}, "what is known already is newer"
        hold.release()


async def test_an_answer_older_than_the_watch_teaches_nothing() -> None:
    async with FakeApiServer() as server, following(server) as (reflector, seen):
        made = server.put(_node("a", "1"))
        server.delete(f"{NODES}/a")
        await seen.until(lambda: ("DELETED", "a=1") in seen.told)
        reflector.learn(made)
        assert reflector.items == {}, "it was deleted before the answer was read"
        reflector.learn({"metadata": {"name": 5}})
        reflector.learn({})
        assert reflector.items == {}


async def test_a_list_begun_before_the_write_does_not_undo_it() -> None:
    async with FakeApiServer() as server, following(server) as (reflector, seen):
        server.store.compact()
        held = server.hold(f"GET {NODES}")
        server.drop_watches()
        await server.until(lambda: held.waiting)
        reflector.learn(_with_version(_node("a", "1"), server.store.version + 5))
        held.release()
        await server.until(lambda: server.watching)
        assert reflector.items == {"a": "a=1"}
        # Removed while nobody watched: the next list, which is newer, says so.
        server.put(_node("b"))
        for _ in range(5):
            server.store.compact()
        server.drop_watches()
        await seen.until(lambda: ("DELETED", "a=1") in seen.told)


def _with_version(raw: Json, version: int) -> Json:
    return {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(version)}}


def test_a_key_is_namespace_and_name() -> None:
    assert key_of({"metadata": {"namespace": "n", "name": "a"}}) == "n/a"
    assert key_of({"metadata": {"name": "a"}}) == "a"
    assert key_of({"metadata": {"name": "a", "namespace": 7}}) == "a"
    assert key_of({"metadata": []}) == ""
    assert key_of({}) == ""


# --- pace, in virtual time


class Script:
    """A server that does one thing in its lists and one in its watches, and notes when it was asked."""

    server = "https://member.example"

    def __init__(self, *, listing: Exception | None = None, watching: Exception | None = None) -> None:
        self.listing = listing
        self.watching = watching
        self.lasts_s = 0.0  # how long a watch holds before it does its thing
        self.events: list[Json] = []
        self.lists: list[float] = []
        self.watches: list[float] = []

    async def pages(self, path: str, params: Mapping[str, str], *, most: int) -> AsyncGenerator[Page, None]:
        self.lists.append(asyncio.get_running_loop().time())
        if self.listing is not None:
            raise self.listing
        yield Page([], "5")

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        silence_s: float,
        longest_s: float,
        rest_s: float = 0.0,
        opened: Callable[[], None],
    ) -> AsyncGenerator[Json, None]:
        self.watches.append(asyncio.get_running_loop().time())
        opened()
        for event in self.events:
            yield event
        await asyncio.sleep(self.lasts_s)
        if self.watching is not None:
            raise self.watching


async def _run_for(script: Script, seconds: float, *, hurry_every_s: float = 0.0) -> Reflector:
    reflector = Reflector(script, NODES, on_change=lambda kind, new, old: None)
    task = asyncio.create_task(reflector.run())
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(hurry_every_s or seconds)
        if hurry_every_s:
            reflector.hurry()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), task.exception()
    return reflector


GROWING = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]


@pytest.mark.parametrize(
    "script",
    [
        Script(listing=ApiError(410, "Expired", "")),
        Script(listing=ApiError(504, "Timeout", "")),
        Script(listing=ApiError(500, "", "")),
        Script(listing=ApiError(403, "Forbidden", "")),
        Script(listing=Unreachable("refused")),
        Script(watching=ApiError(410, "Expired", "")),
        Script(watching=ApiError(504, "Timeout", "")),
    ],
    ids=["list-410", "list-504", "list-500", "list-403", "list-cut", "watch-410", "watch-504"],
)
def test_lists_that_lead_nowhere_come_ever_more_seldom(script: Script, in_virtual_time: InVirtualTime) -> None:
    in_virtual_time(_run_for(script, 120))
    assert script.lists == GROWING


@pytest.mark.parametrize(
    "script",
    [Script(), Script(watching=Unreachable("cut")), Script(watching=ApiError(403, "Forbidden", ""))],
    ids=["ended", "cut", "refused"],
)
def test_watches_that_end_at_once_come_ever_more_seldom(script: Script, in_virtual_time: InVirtualTime) -> None:
    in_virtual_time(_run_for(script, 120))
    assert script.watches == GROWING
    assert script.lists == [0.0], "the place where it resumes is kept"


def test_one_event_does_not_buy_a_watch_that_ends_at_once_more_haste(in_virtual_time: InVirtualTime) -> None:
    script = Script()
    script.events = [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "6"}}}]
    in_virtual_time(_run_for(script, 120))
    assert script.watches == GROWING


def test_a_watch_that_held_begins_anew_at_once(in_virtual_time: InVirtualTime) -> None:
    script = Script()
    script.lasts_s = 240
    in_virtual_time(_run_for(script, 1_000))
    assert script.watches == [0.0, 240.0, 480.0, 720.0, 960.0]
    script = Script(watching=ApiError(410, "Expired", ""))
    script.lasts_s = 240
    in_virtual_time(_run_for(script, 500))
    assert script.lists == [0.0, 240.0, 480.0]


def test_the_server_says_when_to_come_again(in_virtual_time: InVirtualTime) -> None:
    script = Script(listing=ApiError(429, "TooManyRequests", "", retry_after_s=20.0))
    in_virtual_time(_run_for(script, 70))
    assert script.lists == [0.0, 20.5, 41.5, 63.5]
    hurried = Script(listing=script.listing)
    in_virtual_time(_run_for(hurried, 70, hurry_every_s=1.0))
    assert hurried.lists == [0.0, 20.0, 40.0, 60.0], "to hurry cuts our own pause short, never the server's"


def test_to_hurry_cuts_a_pause_short(in_virtual_time: InVirtualTime) -> None:
    script = Script(listing=Unreachable("refused"))
    in_virtual_time(_run_for(script, 100, hurry_every_s=20.0))
    begun = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5]
    assert script.lists == [t + again for t in (0.0, 20.0, 40.0, 60.0, 80.0) for again in begun]


def test_a_server_that_came_back_and_forgot_its_past_is_listed_soon(in_virtual_time: InVirtualTime) -> None:
    """Away for 20 s: the pauses have grown to 16 s; its first answer is that it has no history to resume at."""
    script = Script()

    async def away_and_back() -> None:
        script.lasts_s = 10
        reflector = Reflector(script, NODES, on_change=lambda kind, new, old: None)
        task = asyncio.create_task(reflector.run())
        await asyncio.sleep(5)
        script.watching, script.lasts_s = Unreachable("refused"), 0
        await asyncio.sleep(25)
        script.watching = ApiError(410, "Expired", "")
        reflector.hurry()
        await asyncio.sleep(0.1)
        script.watching, script.lasts_s = None, 240
        await asyncio.sleep(10)
        task.cancel()
        await asyncio.wait([task])

    in_virtual_time(away_and_back())
    assert script.lists == [0.0, 30.5]


def test_a_flood_of_events_leaves_room_for_others(in_virtual_time: InVirtualTime) -> None:
    script = Script()
    script.events = [
        {"type": "ADDED", "object": {"metadata": {"name": f"n{i}", "resourceVersion": str(6 + i)}}}
        for i in range(10 * BURST)
    ]
    script.lasts_s = 1_000
    turns: list[tuple[float, int]] = []

    async def flooded() -> None:
        reflector = Reflector(script, NODES, on_change=lambda kind, new, old: None)
        task = asyncio.create_task(reflector.run())
        while len(reflector.items) < len(script.events):
            turns.append((asyncio.get_running_loop().time(), len(reflector.items)))
            await asyncio.sleep(BURST_S)
        task.cancel()
        await asyncio.wait([task])

    in_virtual_time(flooded())
    assert turns == [(0.0, 0), *((BURST_S * i, BURST * i) for i in range(1, 10))]


# --- servers that tell too little, too late, or what was


class Telling:
    """A server whose lists and watches are what a test says, one after the other; the last list stays."""

    server = "https://member.example"

    def __init__(self, *lists: tuple[str, str], events: Sequence[tuple[str, str, str]] = ()) -> None:
        """Lists as (name, version); events as (type, name, version)."""
        self.lists = [Page([_named(name, version)], version) for name, version in lists]
        self.events = [{"type": kind, "object": _named(name, version)} for kind, name, version in events]
        self.listed_s: list[float] = []

    async def pages(self, path: str, params: Mapping[str, str], *, most: int) -> AsyncGenerator[Page, None]:
        self.listed_s.append(asyncio.get_running_loop().time())
        yield self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        silence_s: float,
        longest_s: float,
        rest_s: float = 0.0,
        opened: Callable[[], None],
    ) -> AsyncGenerator[Json, None]:
        opened()
        told, self.events = self.events, []
        for event in told:
            yield event
        await asyncio.sleep(float(params["timeoutSeconds"]))


def _named(name: str, version: str) -> Json:
    return {"metadata": {"name": name, "resourceVersion": version}}


async def _followed(source: Telling, seconds: float, **options: Any) -> list[str]:
    reflector = Reflector(source, NODES, on_change=lambda kind, new, old: None, **options)
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])
    return sorted(raw["metadata"]["name"] for raw in reflector.items.values())


def test_an_event_out_of_order_has_all_listed_again() -> None:
    source = Telling(("a", "5"), ("b", "9"), events=[("ADDED", "c", "8"), ("ADDED", "d", "7")])
    assert virtualtime.run(_followed(source, 1.0)) == ["b"]
    assert len(source.listed_s) == 2


def test_an_event_told_twice_is_no_trouble() -> None:
    source = Telling(("a", "5"), events=[("ADDED", "b", "7"), ("ADDED", "b", "7"), ("ADDED", "c", "8")])
    assert virtualtime.run(_followed(source, 10.0)) == ["a", "b", "c"]
    assert len(source.listed_s) == 1


def test_a_list_older_than_what_was_told_is_not_believed() -> None:
    source = Telling(("a", "5"), ("old", "3"), ("old", "3"), ("b", "9"))
    assert virtualtime.run(_followed(source, 45.0, relist_s=20.0)) == ["b"]


def test_a_server_that_was_restored_from_a_backup_is_believed_after_a_minute() -> None:
    source = Telling(("a", "5"), ("old", "3"))
    assert virtualtime.run(_followed(source, 60.0, relist_s=20.0)) == ["a"]
    source = Telling(("a", "5"), ("old", "3"))
    assert virtualtime.run(_followed(source, 180.0, relist_s=20.0)) == ["old"]


def test_what_no_event_told_of_is_listed_in_time() -> None:
    source = Telling(("a", "5"), ("b", "9"))
    assert virtualtime.run(_followed(source, 25.0, relist_s=20.0)) == ["b"]
    assert source.listed_s == [0.0, 20.0]
