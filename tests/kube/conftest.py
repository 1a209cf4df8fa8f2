"""An API server in memory that keeps Leases, and time that passes when nothing else is to be done."""

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import virtualtime
from asynctests import pytest_pyfunc_call
from suanli.kube.client import ApiError, Json, Unreachable

__all__ = ["pytest_pyfunc_call"]


class LeaseServer:
    """Leases with resourceVersions and conflicts, as an API server keeps them."""

    def __init__(self) -> None:
        self.leases: dict[str, Json] = {}
        self.writes = 0
        self._version = 0

    def get(self, path: str) -> Json:
        if path not in self.leases:
            raise ApiError(404, "NotFound", f"{path} not found")
        return copy.deepcopy(self.leases[path])

    def post(self, path: str, body: Json) -> Json:
        named = f"{path}/{body['metadata']['name']}"
        if named in self.leases:
            raise ApiError(409, "AlreadyExists", f"{named} already exists")
        return self._store(named, body)

    def put(self, path: str, body: Json) -> Json:
        now = self.get(path)
        if body["metadata"].get("resourceVersion") != now["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store(path, body)

    def edit(self, change: Callable[[Json], None]) -> None:
        """What an administrator does with kubectl edit."""
        for path, lease in list(self.leases.items()):
            changed = copy.deepcopy(lease)
            change(changed)
            self._store(path, changed)

    def _store(self, path: str, body: Json) -> Json:
        self.writes += 1
        self._version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.leases[path] = stored
        return copy.deepcopy(stored)


class LeaseClient:
    """One replica's way to the server: it takes time, breaks before or after the server acted, and may be cut."""

    def __init__(self, server: LeaseServer) -> None:
        self.cut = False
        self.refusal: ApiError | None = None
        self.delay_s: Callable[[], float] = lambda: 0.01
        self.lose_answer: Callable[[], bool] = lambda: False
        self.server = server

    async def get(self, path: str) -> Json:
        return await self._do(lambda: self.server.get(path))

    async def post(self, path: str, body: Json) -> Json:
        return await self._do(lambda: self.server.post(path, body))

    async def put(self, path: str, body: Json) -> Json:
        return await self._do(lambda: self.server.put(path, body))

    async def _do(self, work: Callable[[], Json]) -> Json:
        await asyncio.sleep(self.delay_s())
        if self.cut:
            await asyncio.sleep(5)
            raise Unreachable("the server did not answer in time")
        if self.refusal is not None:
            raise self.refusal
        answer = work()
        await asyncio.sleep(self.delay_s())
        if self.cut or self.lose_answer():
            raise Unreachable("the connection broke before the answer came")
        return answer


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def client(server: LeaseServer) -> Callable[[], LeaseClient]:
    return lambda: LeaseClient(server)


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine to its end, without waiting."""
    return virtualtime.run
