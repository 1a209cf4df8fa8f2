"""Members of a simulated federation with a fence: the real one, inside the member, where no link to the hub can be cut."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from apistore import Json
from builders import HUB_ID
from memoryhub import FENCE, KIND_OF_PATCH, MemoryClient, MemoryServer
from simulation import Simulation
from suanli.base.clock import Clock
from suanli.federation import grants
from suanli.federation.fence import Fence


class InsideClient(MemoryClient):
    """A client in the cluster itself."""

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
        await asyncio.sleep(0.01)
        sent: Any = json.loads(json.dumps(body))
        return self._memory._act(method, path, params or {}, sent, KIND_OF_PATCH.get(content_type, ""), who=FENCE)


def put_lease(server: MemoryServer) -> None:
    """The fence's Lease as a join makes it."""
    (lease,) = [o for o in grants.fence_objects(HUB_ID, "suanli:test") if o["kind"] == "Lease"]
    server.put(grants.system_namespace(HUB_ID, "east", made=True))
    server.put(lease)


@contextlib.asynccontextmanager
async def a_fence(server: MemoryServer, clock: Clock) -> AsyncIterator[None]:
    """One that runs meanwhile."""
    running = asyncio.ensure_future(Fence(InsideClient(server, "inside"), clock).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


@contextlib.asynccontextmanager
async def fenced(sim: Simulation, site: str = "east") -> AsyncIterator[None]:
    """The site with a fence, once the hub relies on it."""
    cluster = sim.clusters[site]
    put_lease(cluster.server)
    async with a_fence(cluster.server, cluster.clock):
        await sim.until(lambda: sim.site_condition(site, "Fenced") == ("True", "FenceAnswers"))
        yield
