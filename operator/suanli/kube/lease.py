"""Leader election on a coordination.k8s.io/v1 Lease: at most one replica leads, and a dead one is replaced in time.

Two writers can never both succeed: every take-over and renewal is a PUT that the server checks by resourceVersion. Clocks
are not compared: a standby waits until the record has stood still for the lease's duration on its own monotonic clock,
and a leader stops itself well before that time has passed since it began its last good renewal. One that stood still for longer,
such as in a machine that was suspended, finds out with its next write (`certain`) and not only when its timers have run.
Source: the algorithm of Kubernetes' client-go leaderelection.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from suanli.kube.client import ApiError, Json, Unreachable

LOG = logging.getLogger(__name__)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
RELEASE_S = 2.0


class Requests(Protocol):
    """What the election needs of a client; ApiClient has it."""

    async def get(self, path: str) -> Json:
        """Read. Raises: ApiError, Unreachable."""
        ...

    async def post(self, path: str, body: Json) -> Json:
        """Create. Raises: ApiError, Unreachable."""
        ...

    async def put(self, path: str, body: Json) -> Json:
        """Replace this very version. Raises: ApiError, Unreachable."""
        ...


def _wall_clock() -> datetime:
    return datetime.now(UTC)


def _uptime_s() -> float:
    """Seconds of a clock that does not jump, and goes on while the machine is suspended where the system has such a one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """One replica's part in the election.

    A leader that dies is replaced within `duration_s`: the lease itself lasts two thirds of it, and is renewed and
    looked at every quarter of that.
    """

    def __init__(
        self,
        client: Requests,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration_s: float = 15.0,
        now: Callable[[], datetime] = _wall_clock,
        uptime_s: Callable[[], float] = _uptime_s,
        works: Callable[[], bool] = lambda: True,
    ) -> None:
        """Units: seconds. `now` only dates the record for people. A leader of which `works` is not true is not renewed."""
        # Unique to this life: a replica that was restarted under its old name is another one.
        self.identity = f"{identity[:200]}_{uuid.uuid4().hex[:8]}"
        self.lease_s = max(1, int(duration_s * 2 / 3))
        self.period_s = self.lease_s / 4
        self.give_up_s = self.lease_s * 0.8
        self._client = client
        self._namespace = namespace
        self._name = name
        self._path = LEASES.format(namespace=namespace)
        self._now = now
        self._uptime_s = uptime_s
        self._works = works
        self._held: Json | None = None  # the record as we last wrote it
        self._renewed = 0.0  # when the last good renewal began
        self._certain_until_s = 0.0  # of the uptime
        self._seen: Json | None = None  # somebody else's record, and since when it has stood still
        self._seen_since = 0.0
        self._trouble = ""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lead and run `lead` while it is held.

        Returns when the lead was lost, after `lead` has been cancelled and has ended, or when `lead` ends by itself; what
        it raises comes through. Cancelling stops `lead` and then releases the lease, so that a standby leads at once.
        """
        await self._acquire()
        LOG.info("took the lease", extra={"lease": self._name, "identity": self.identity})
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            await asyncio.wait({work})
            held = not renewing.done()
            renewing.cancel()
            await asyncio.wait({renewing})
            if held:
                await self._release()
        for task in (work, renewing):
            if not task.cancelled():
                task.result()

    def certain(self) -> bool:
        """Whether nobody else can lead at this moment, however long this process stood still."""
        return self._held is not None and self._uptime_s() < self._certain_until_s

    # --- taking and keeping it

    async def _acquire(self) -> None:
        while True:
            if await self._attempt():
                return
            await asyncio.sleep(self._until_next_look())

    async def _renew(self) -> None:
        """Keep it; ends when it is lost or may soon be."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.period_s)
            if not self._works():
                LOG.warning("gave the lease up, the work stands still", extra={"lease": self._name})
                return
            try:
                async with asyncio.timeout_at(self._renewed + self.give_up_s):
                    while not await self._attempt():
                        if self._held is None:
                            LOG.warning("lost the lease to another", extra={"lease": self._name})
                            return
                        await asyncio.sleep(self.period_s / 4)
            except TimeoutError:
                LOG.warning(
                    "gave the lease up, it could not be renewed",
                    extra={"lease": self._name, "for_s": round(loop.time() - self._renewed, 1), "error": self._trouble},
                )
                return

    async def _attempt(self) -> bool:
        """One try to take or renew it; whether it is ours now."""
        began, began_s = asyncio.get_running_loop().time(), self._uptime_s()
        try:
            written = await self._write()
        except _Conflict:
            return False  # the next try reads it first
        except (ApiError, Unreachable) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                LOG.warning("the lease cannot be written", extra={"lease": self._name, "error": self._trouble[:300]})
            return False
        self._trouble = ""
        self._held = written
        if written is not None:
            self._renewed = began
            self._certain_until_s = began_s + self.give_up_s
        return written is not None

    async def _write(self) -> Json | None:
        """The record as it now stands in our name; None when it is somebody else's.

        Raises: _Conflict, ApiError, Unreachable.
        """
        with contextlib.suppress(_Conflict):
            if self._held is not None:
                return await self._put(self._held)
        try:
            found = await self._client.get(f"{self._path}/{self._name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return await self._create()
        if not self._may_take(found):
            return None
        return await self._put(found)

    def _may_take(self, lease: Json) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if not holder or holder == self.identity:
            return True
        loop_now = asyncio.get_running_loop().time()
        if spec != self._seen:
            self._seen, self._seen_since = spec, loop_now
        return loop_now >= self._seen_since + self._lasts(spec)

    def _until_next_look(self) -> float:
        """Until the next regular look, or just until the holder's time is over."""
        if self._seen is None:
            return self.period_s
        left = self._seen_since + self._lasts(self._seen) - asyncio.get_running_loop().time()
        return min(self.period_s, max(left, self.period_s / 10))

    def _lasts(self, spec: Json) -> float:
        """The holder counts on what it wrote; nothing sensible: what we would have written."""
        said = spec.get("leaseDurationSeconds")
        return float(said) if isinstance(said, int) and said > 0 else float(self.lease_s)

    # --- requests

    async def _put(self, lease: Json) -> Json:
        """Write it in our name over exactly this version. Raises: _Conflict, ApiError, Unreachable."""
        spec = lease.get("spec") or {}
        now = self._stamp()
        ours = spec.get("holderIdentity") == self.identity
        fresh = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.lease_s,
            "renewTime": now,
            "acquireTime": spec.get("acquireTime", now) if ours else now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours else 1),
        }
        return await self._replace({**lease, "spec": fresh})

    async def _create(self) -> Json:
        now = self._stamp()
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.lease_s,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
        metadata = {"name": self._name, "namespace": self._namespace}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            return await self._client.post(self._path, body)
        except ApiError as error:
            if error.status == 409:
                raise _Conflict from error
            raise

    async def _replace(self, lease: Json) -> Json:
        try:
            return await self._client.put(f"{self._path}/{self._name}", lease)
        except ApiError as error:
            if error.status in (404, 409):
                raise _Conflict from error
            raise

    async def _release(self) -> None:
        """Say that nobody holds it, if it is still ours."""
        with contextlib.suppress(_Conflict, ApiError, Unreachable, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                lease = await self._client.get(f"{self._path}/{self._name}")
                spec = lease.get("spec") or {}
                if spec.get("holderIdentity") != self.identity:
                    return
                freed = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._stamp()}
                await self._replace({**lease, "spec": freed})
                LOG.info("released the lease", extra={"lease": self._name})

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Conflict(Exception):
    """The record changed or went between reading and writing it."""
