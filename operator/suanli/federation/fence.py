"""The fence: runs in a member, and stops AtMostOnce work when the hub has not renewed its lease for as long as it lasts.

It starts nothing, ever, and believes no clock but its own monotonic one, except for the age of the first renewal that it sees.
Whether work may start elsewhere is decided on the hub, which waits longer than this takes. See README.md beside this file.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass

from suanli.base.clock import Clock, time_or_zero, time_text
from suanli.base.names import ANNOTATION_FENCE_SEEN, ANNOTATION_FENCED, LABEL_FAILOVER, LABEL_MANAGED, MANAGER
from suanli.base.untrusted import Raw, mapping, text
from suanli.federation.facts import own_job, own_pod
from suanli.federation.member import FENCE_LEASE
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable

LOG = logging.getLogger(__name__)
LOOK_S = 5.0  # between two looks at the lease
PATIENCE_S = 5.0  # for one request
AT_MOST_ONCE = {"labelSelector": f"{LABEL_FAILOVER}=AtMostOnce,{LABEL_MANAGED}={MANAGER}"}


@dataclass
class Countdown:
    """When the lease is over. Times are seconds of a clock that does not jump."""

    seen: str = ""  # the last renewal
    until_s: float | None = None  # None: there has been no renewal yet
    _looked_s: float | None = None  # the begin of the last look

    def look(self, lease: Raw, began_s: float, now_ms: int) -> bool:
        """Take in the lease as a look that began then has shown it; whether it was renewed since the look before.

        A renewal that the last look did not show came after that look began: so it is not older, however late it is seen.
        """
        spec = mapping(lease.get("spec"))
        stamp, lasts = text(spec.get("renewTime"), 63), spec.get("leaseDurationSeconds")
        before_s, self._looked_s = self._looked_s, began_s
        if not stamp or stamp == self.seen or not isinstance(lasts, int):
            return False
        if before_s is None:
            before_s = began_s - max(0.0, (now_ms - time_or_zero(stamp)) / 1000)
        self.seen, self.until_s = stamp, before_s + lasts
        return True

    def over(self, now_s: float) -> bool:
        """Whether it is over."""
        return self.until_s is not None and now_s >= self.until_s


class Fence:
    """Looks at the lease again and again."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._countdown = Countdown()
        self._told = False

    async def run(self) -> None:
        """Until cancelled. Raises: ApiError (401), when the account's token has run out: a fresh process has a fresh one."""
        while True:
            await self._tried(self._look())
            if self._countdown.over(asyncio.get_running_loop().time()):
                await self._tried(self._stop())
            elif self._told:
                self._told = False
                LOG.warning("the lease holds again; what was stopped stays stopped")
            await asyncio.sleep(LOOK_S)

    async def _tried(self, work: Awaitable[None]) -> None:
        """Whatever fails is done again with the next look; the countdown goes on."""
        try:
            await work
        except ApiError as error:
            if error.status == 401:
                raise
            LOG.warning("the fence was refused, will try again", extra={"error": str(error)[:300]})
        except Unreachable as error:
            LOG.warning("the fence cannot reach its API server, will try again", extra={"error": str(error)[:300]})

    async def _look(self) -> None:
        began_s = asyncio.get_running_loop().time()
        lease = await self._within(self._client.get(FENCE_LEASE))
        if self._countdown.look(lease, began_s, self._clock.now_ms()):
            seen = {"metadata": {"annotations": {ANNOTATION_FENCE_SEEN: self._countdown.seen}}}
            await self._within(self._client.patch(FENCE_LEASE, seen))

    async def _stop(self) -> None:
        """Jobs first, so that no pod comes in place of one that goes; each on its own, for all that one may be refused."""
        jobs = await self._within(self._client.list_all("/apis/batch/v1/jobs", AT_MOST_ONCE))
        for raw in jobs["items"]:
            await self._tried(self._suspend(raw))
        pods = await self._within(self._client.list_all("/api/v1/pods", AT_MOST_ONCE))
        for raw in pods["items"]:
            await self._tried(self._delete(raw))

    async def _suspend(self, raw: Json) -> None:
        job = own_job(raw)
        if job.complete or job.failed_reason or job.fenced:
            return
        if not self._told:
            self._told = True
            LOG.warning("the hub has not renewed the lease in time: AtMostOnce work is stopped")
        stamp = time_text(self._clock.now_ms())
        change = {"metadata": {"annotations": {ANNOTATION_FENCED: stamp}}, "spec": {"suspend": True}}
        await self._within(self._client.patch(f"/apis/batch/v1/namespaces/{job.namespace}/jobs/{job.name}", change))
        LOG.warning("stopped", extra={"member_job": f"{job.namespace}/{job.name}"})

    async def _delete(self, raw: Json) -> None:
        pod = own_pod(raw)
        if pod.ended or pod.deleting:
            return
        body = {"preconditions": {"uid": pod.uid}}
        await self._within(self._client.delete(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", body))

    @staticmethod
    async def _within(request: Awaitable[Json]) -> Json:
        """Its answer. Raises: ApiError, Unreachable, also when it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await request
        except TimeoutError as error:
            raise Unreachable(f"no answer in {PATIENCE_S:g} s") from error
