"""Takes what pods really ran into the ledger, once, off the event loop."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from suanli.api.job import Usage
from suanli.billing.usage import PodUsage, pod_usage, total
from suanli.federation.facts import OwnPod
from suanli.ledgerstore.usage import UsageStore

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Meter:
    """The ledger's only user in the operator; all its SQL runs in one thread."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._of_job: dict[str, dict[str, PodUsage]] = {}
        self._nothing: set[str] = set()  # pods that ended without having run
        self._batch: dict[str, PodUsage] = {}
        self._flush: asyncio.Task[None] | None = None

    async def load(self, job_uid: str) -> None:
        """Bring a job's records into memory; cheap when they are there."""
        if job_uid not in self._of_job:
            got = await self._in_thread(lambda: self._store.of_job(job_uid))
            self._of_job.setdefault(job_uid, {u.pod_uid: u for u in got})

    def recorded(self, job_uid: str) -> frozenset[str]:
        """The job's pods that are in the ledger or had nothing to record."""
        return frozenset(self._of_job.get(job_uid, {})) | self._nothing

    def usage(self, job_uid: str) -> Usage:
        """All that the job used."""
        return total(list(self._of_job.get(job_uid, {}).values()))

    async def record(self, pods: Iterable[tuple[str, OwnPod]], now_ms: int) -> None:
        """Put these pods' use into the ledger; returns when it is on the disk. Raises: SuanliError."""
        waits = False
        for site, pod in pods:
            usage = pod_usage(pod.raw, site=site, now_ms=now_ms)
            if usage is None:
                self._nothing.add(pod.uid)
                continue
            self._batch[usage.pod_uid] = usage
            waits = True
        if waits:
            if self._flush is None or self._flush.done():
                self._flush = asyncio.create_task(self._write())
            await asyncio.shield(self._flush)

    def forget(self, job_uid: str, pods: Iterable[str]) -> None:
        """Drop from memory what is not on the hub or any member any more."""
        self._of_job.pop(job_uid, None)
        self._nothing.difference_update(pods)

    async def close(self) -> None:
        """Finish what was begun."""
        if self._flush is not None:
            await asyncio.wait([self._flush])
        await self._in_thread(self._store.close)
        self._thread.shutdown()

    async def _write(self) -> None:
        """Everything that is due in one commit; what comes in meanwhile goes with the next."""
        while self._batch:
            await asyncio.sleep(0.02)  # one commit for the many pods that end together
            batch, self._batch = self._batch, {}
            try:
                await self._in_thread(lambda batch=batch: self._store.record(list(batch.values())))
            except BaseException:
                self._batch = {**batch, **self._batch}
                raise
            for usage in batch.values():
                self._of_job.setdefault(usage.job_uid, {}).setdefault(usage.pod_uid, usage)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
