"""Takes what pods really ran into the ledger, once, off the event loop."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from suanli.api.job import Usage
from suanli.api.link import Direction
from suanli.base.errors import SuanliError
from suanli.billing.agreement import Agreement, Carried
from suanli.billing.quote import Quotes
from suanli.billing.usage import Gap, PodUsage, pod_usage, total, used_so_far
from suanli.federation.facts import OwnPod
from suanli.ledgerstore.usage import UsageStore

GATHER_S = 0.02  # one commit for the many pods that end together
LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Meter:
    """The ledger's only user in the operator; all its SQL runs in one thread."""

    def __init__(
        self,
        store: UsageStore,
        thread: Executor | None = None,
        on_gap: Callable[[str, int], None] = lambda site, pods: None,
    ) -> None:
        """`on_gap` is told of pods at a site of which nobody will know what they used."""
        self._store = store
        self._on_gap = on_gap
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._of_job: dict[str, dict[str, PodUsage]] = {}
        self._terms: dict[str, dict[int, Agreement]] = {}  # by job and epoch, what was fixed of its attempts
        self._carried: dict[str, list[Carried]] = {}  # by job, what its attempts sent over links
        self._nothing: dict[str, set[str]] = defaultdict(set)  # by job, pods that have nothing to record
        self._batch: dict[str, PodUsage] = {}
        self._agreeing: dict[tuple[str, int], Agreement] = {}  # by job and epoch, what the next commit takes
        self._given_up: dict[str, frozenset[int]] = {}  # by job, epochs of which the same holds
        self._agreed: dict[str, int] = {}  # by job, the epoch of which this process knows that it is on the disk
        self._next: asyncio.Task[None] | None = None  # the commit that takes the batch
        self._commits: set[asyncio.Task[None]] = set()
        self._over: dict[str, int] = {}  # by job, the last attempt of which all is accounted for

    async def load(self, job_uid: str) -> None:
        """Bring a job's records into memory; cheap when they are there. Raises: SuanliError."""
        if job_uid not in self._of_job:
            got, terms, carried = await self._in_thread(
                lambda: (self._store.of_job(job_uid), self._store.agreements(job_uid), self._store.carried(job_uid))
            )
            self._carried.setdefault(job_uid, carried)
            self._of_job.setdefault(job_uid, {u.pod_uid: u for u in got})
            self._terms[job_uid] = self._terms.get(job_uid, {}) | terms

    def recorded(self, job_uid: str) -> frozenset[str]:
        """The job's pods that are in the ledger or had nothing to record."""
        return frozenset((*self._of_job.get(job_uid, ()), *self._nothing.get(job_uid, ())))

    def usage(self, job_uid: str, without: Container[int] = ()) -> Usage:
        """All that the job used, without the attempts of these epochs."""
        return total(u for u in self._of_job.get(job_uid, {}).values() if u.epoch not in without)

    def cost(self, job_uid: str, quotes: Quotes | None, without: Container[int] = ()) -> int | None:
        """What that is billed; None where no tariff has a price for any of it. Units: micro-yuan."""
        if quotes is None:
            return None
        pods = [u for u in self._of_job.get(job_uid, {}).values() if u.epoch not in without]
        terms, known = self._terms.get(job_uid, {}), self._carried.get(job_uid, ())
        carried = {(one.epoch, one.direction): one for one in known if one.epoch not in without}
        for pod in pods:  # the ledger keeps it with the pod
            if (at := terms.get(pod.epoch)) is not None and at.site == pod.site and at.sends(Direction.IN):
                one = Carried(job_uid, pod.epoch, Direction.IN, at.made_ms)
                carried.setdefault((pod.epoch, Direction.IN), one)
        return quotes.used(pods, terms, carried.values())

    def ran_ms(self, job_uid: str, epoch: int, since_ms: int) -> int:
        """How long pods of one attempt ran from a moment on, in sum."""
        ran = (u for u in self._of_job.get(job_uid, {}).values() if u.epoch == epoch)
        return sum(max(0, u.end_ms - max(u.start_ms, since_ms)) for u in ran)

    def last_epoch(self, job_uid: str) -> int:
        """The job's last attempt of which anything is recorded; 0 for none."""
        return max((u.epoch for u in self._of_job.get(job_uid, {}).values()), default=0)

    async def record(self, pods: Iterable[tuple[str, OwnPod]], now_ms: int) -> None:
        """Put these pods' use into the ledger; returns when it is on the disk. Raises: SuanliError, and nothing is kept."""
        fresh = {}
        for site, pod in pods:
            usage = pod_usage(pod.raw, site=site, now_ms=now_ms)
            if usage is None:
                self._nothing[pod.job_uid].add(pod.uid)
                continue
            fresh[usage.pod_uid] = usage
            if usage.estimated:
                told = {"site": site, "pod": pod.name, "job_uid": pod.job_uid, "why": usage.note}
                LOG.warning("usage is not quite what the pod says", extra=told)
        if fresh:
            self._batch |= fresh
            await asyncio.shield(self._committing())

    async def record_so_far(self, site: str, pods: Iterable[OwnPod], mark_ms: int, now_ms: int) -> None:
        """Put into the ledger what those of these pods that run on used up to a mark. Raises: SuanliError, and nothing is kept."""

        def write() -> None:
            found = (used_so_far(pod.raw, site=site, mark_ms=mark_ms, now_ms=now_ms) for pod in pods if not pod.ended)
            usages = [usage for usage in found if usage is not None]
            if usages:
                self._store.record_so_far(usages)

        await self._in_thread(write)

    async def open_pods(self) -> list[PodUsage]:
        """What pods used up to their last mark whose end is not recorded. Raises: SuanliError."""
        return await self._in_thread(lambda: self._store.open_pods(self._store.count()))

    async def never_known(self, pods: Iterable[PodUsage], why: str, now_ms: int) -> None:
        """Tell that nobody will know what these pods used after their last mark. Raises: SuanliError, and nothing is kept."""
        gaps = [_gap_of(pod, why, now_ms) for pod in pods]
        self._tell(await self._in_thread(lambda: self._store.record_gaps(gaps)))

    def is_over(self, job_uid: str, epoch: int, tasks: int) -> bool:
        """Whether all that an attempt of so many tasks used is recorded, or was told to be unknown."""
        if self._over.get(job_uid) == epoch:
            return True
        return sum(u.epoch == epoch for u in self._of_job.get(job_uid, {}).values()) >= tasks > 0

    async def end(self, job_uid: str, epoch: int, site: str, started_ms: int, why: str, now_ms: int) -> None:
        """Tell what nobody will know of an attempt of which nothing is left. Raises: SuanliError, and nothing is kept."""

        def write() -> list[Gap]:
            pods = self._store.open_pods(self._store.count(), job_uid)
            gaps = [_gap_of(pod, why, now_ms) for pod in pods if (pod.epoch, pod.site) == (epoch, site)]
            if (missing := self._store.missing(job_uid, epoch)) > 0:
                gaps.append(Gap(site, job_uid, epoch, "", missing, started_ms, max(started_ms, now_ms), why))
            return self._store.record_gaps(gaps)

        self._tell(await self._in_thread(write))
        self._over[job_uid] = epoch

    async def agree(self, agreement: Agreement) -> None:
        """Fix what holds for an attempt; returns when it is on the disk. Raises: SuanliError; then the next commit tries again."""
        if self._agreed.get(agreement.job_uid) != agreement.epoch:
            self.expect(agreement)
            await asyncio.shield(self._committing())

    def expect(self, agreement: Agreement) -> None:
        """Have that begun, for an attempt that will be sent soon, or of which use is being recorded."""
        if self._agreed.get(agreement.job_uid) != agreement.epoch:
            self._agreeing[agreement.job_uid, agreement.epoch] = agreement
            self._terms.setdefault(agreement.job_uid, {}).setdefault(agreement.epoch, agreement)
            self._committing()

    async def succeed(self, job_uid: str, epoch: int, now_ms: int) -> bool:
        """Have it counted what an attempt that succeeded sends over links; whether that was not known. Raises: SuanliError."""
        terms, known = self._terms.get(job_uid, {}).get(epoch), self._carried.get(job_uid, [])
        counted = {one.direction for one in known if one.epoch == epoch}
        if terms is None or all(leg.direction in counted for leg in terms.legs):
            return False
        await self.agree(terms)

        def write() -> list[Carried]:
            self._store.succeed(job_uid, epoch, now_ms)
            return self._store.carried(job_uid)

        self._carried[job_uid] = await self._in_thread(write)
        return len(self._carried[job_uid]) > len(known)

    async def give_up(self, job_uid: str, epochs: frozenset[int]) -> None:
        """Have these attempts not billed; returns when that is on the disk. Raises: SuanliError."""
        if epochs - self._given_up.get(job_uid, frozenset()):
            await self._in_thread(lambda: self._store.give_up(job_uid, sorted(epochs)))
            self._given_up[job_uid] = epochs

    def forget(self, job_uid: str) -> None:
        """Drop from memory what is not on the hub or any member any more."""
        self._of_job.pop(job_uid, None)
        self._terms.pop(job_uid, None)
        self._carried.pop(job_uid, None)
        self._nothing.pop(job_uid, None)
        self._agreed.pop(job_uid, None)
        self._given_up.pop(job_uid, None)
        self._over.pop(job_uid, None)

    async def close(self) -> None:
        """Finish what was begun."""
        await asyncio.gather(*self._commits, return_exceptions=True)
        await self._in_thread(self._store.close)
        self._thread.shutdown()

    def _tell(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            self._on_gap(gap.site, gap.pods)
            LOG.warning("what ran cannot be billed: nobody knows for how long it did", extra={"gap": repr(gap)})

    def _committing(self) -> asyncio.Task[None]:
        """The commit that takes all that is due now."""
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
            self._commits.add(self._next)
            self._next.add_done_callback(self._ended)
        return self._next

    def _ended(self, commit: asyncio.Task[None]) -> None:
        """Those who wait for it hear of its trouble; where nobody does, it is tried again when somebody has to."""
        self._commits.discard(commit)
        if not commit.cancelled():
            commit.exception()

    async def _commit(self) -> None:
        """Everything that is due, at once; what comes in meanwhile goes with the next."""
        await asyncio.sleep(GATHER_S)
        batch, agreeing, self._batch, self._agreeing, self._next = self._batch, self._agreeing, {}, {}, None
        try:
            held = await self._in_thread(lambda: self._write(list(batch.values()), list(agreeing.values())))
        except SuanliError:
            self._agreeing = agreeing | self._agreeing
            raise
        self._agreed |= dict(agreeing.keys())
        for kept in held:
            told = batch[kept.pod_uid]
            if kept.job_uid == told.job_uid:
                self._of_job.setdefault(kept.job_uid, {})[kept.pod_uid] = kept
            else:  # the member has given the pod to another job since; it is paid for once
                self._nothing[told.job_uid].add(told.pod_uid)

    def _write(self, usages: list[PodUsage], agreements: list[Agreement]) -> list[PodUsage]:
        """What the ledger now holds of these pods, which may be an earlier word."""
        if agreements:
            self._store.agree(agreements)
        if not usages:
            return []
        self._store.record(usages)
        return self._store.of_pods([usage.pod_uid for usage in usages])

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _gap_of(pod: PodUsage, why: str, now_ms: int) -> Gap:
    """From the pod's last mark on."""
    return Gap(pod.site, pod.job_uid, pod.epoch, pod.pod_uid, 1, pod.end_ms, max(pod.end_ms, now_ms), why)
