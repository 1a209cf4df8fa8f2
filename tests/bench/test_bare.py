"""The bare client against a real server of this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from bench.dispatch import bare
from bench.dispatch.figures import Pace
from bench.dispatch.work import Pair
from suanli.kube.client import Target

PAIRS = [Pair("west", f"/hub/{n}", b"patch %d" % n, f"/jobs/{n}", b"job %d" % n) for n in range(40)]


@dataclass
class Server:
    """Takes any request; remembers each, and how many were there at a time."""

    refuse: str = ""
    seen: list[tuple[str, str, str, str]] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        body = (await request.read()).decode()
        await asyncio.sleep(0)  # let others in
        self.seen.append((request.method, request.path, body, request.headers.get("Content-Type", "")))
        assert request.headers["Authorization"] == "Bearer secret"
        self._now -= 1
        return web.Response(status=422 if request.path == self.refuse else 200, text="a short answer")


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Target]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        yield Target(f"http://{host}:{port}", None, token="secret")
    finally:
        await runner.cleanup()


async def dispatched(hub: Server, member: Server, concurrency: int) -> Pace:
    async with serving(hub) as at_hub, serving(member) as at_member:
        return await bare.dispatch(at_hub, {"west": at_member}, PAIRS, concurrency)


def test_every_job_is_written_once_on_each_side() -> None:
    hub, member = Server(), Server()
    pace = asyncio.run(dispatched(hub, member, 8))
    assert pace.jobs_per_s > 0
    assert pace.cpu_ms_per_job > 0
    patches = [s for s in hub.seen if s[0] == "PATCH"]
    creates = [s for s in member.seen if s[0] == "POST"]
    assert sorted(patches) == sorted(
        ("PATCH", f"/hub/{n}", f"patch {n}", "application/merge-patch+json") for n in range(40)
    )
    assert sorted(creates) == sorted(("POST", f"/jobs/{n}", f"job {n}", "application/json") for n in range(40))
    assert 1 < hub.most_at_once <= 8


def test_the_member_is_written_to_only_after_the_hub() -> None:
    one = Server()

    async def both_in_one() -> Pace:
        async with serving(one) as target:
            return await bare.dispatch(target, {"west": target}, PAIRS, 4)

    asyncio.run(both_in_one())
    order = [path for method, path, _, _ in one.seen if method != "GET"]
    assert all(order.index(f"/hub/{n}") < order.index(f"/jobs/{n}") for n in range(40))


def test_a_refused_write_ends_the_round_with_what_the_server_said() -> None:
    with pytest.raises(bare.Refused, match=r"PATCH http.*/hub/11 was answered 422: a short answer"):
        asyncio.run(dispatched(Server(refuse="/hub/11"), Server(), 4))
