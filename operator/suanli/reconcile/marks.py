"""Records at fixed marks what pods that run on used so far, and tells what nobody will ever know. It asks no API server anything."""

import asyncio
import logging

from suanli.base.clock import Clock
from suanli.base.errors import SuanliError
from suanli.base.settings import Settings
from suanli.billing.usage import PodUsage, last_mark_ms
from suanli.federation.member import Member
from suanli.reconcile.meter import Meter
from suanli.reconcile.sites import Sites
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
LOOK_S = 60.0
MOST_AT_ONCE = 1_000  # pods of one commit: who waits for the ledger comes between two
GONE = "it is not there any more, and nobody read when it ended"


class Marks:
    """Looks at what the members' mirrors hold."""

    def __init__(self, *, sites: Sites, meter: Meter, clock: Clock, settings: Settings, metrics: Metrics) -> None:
        self._sites = sites
        self._meter = meter
        self._clock = clock
        self._every_ms = settings.usage_mark_s * 1000
        self._metrics = metrics
        self._mark_ms = 0
        self._seen: set[str] = set()  # pods that were looked at since the mark
        self._open: list[PodUsage] | None = None  # what ran at a mark, and is to be looked for; None: not read yet

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look()
            except SuanliError as error:
                LOG.warning("what runs on is not recorded yet, will be tried again", extra={"error": str(error)[:500]})
            except Exception:
                LOG.exception("recording what runs on failed unexpectedly, will be tried again")
                self._metrics.surprises.inc()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        mark_ms = last_mark_ms(self._clock.now_ms(), self._every_ms)
        if mark_ms != self._mark_ms:
            self._mark_ms, self._seen, self._open = mark_ms, set(), None
        usable = {name: member for name, member in self._sites.trusted().items() if member.usable}
        for name, member in usable.items():
            await self._record(name, member)
        if self._open is None:
            self._open = await self._meter.open_pods()
        lost = [pod for pod in self._open if pod.site in usable and not _has(usable[pod.site], pod)]
        if lost:
            await self._meter.never_known(lost, GONE, self._clock.now_ms())
        self._open = [pod for pod in self._open if pod.site not in usable]

    async def _record(self, site: str, member: Member) -> None:
        """What each of a member's pods that run used up to the mark; those that do not, and that are younger, were looked at too."""
        fresh = [pod for of_job in member.pods.values() for pod in of_job.values() if pod.uid not in self._seen]
        for begin in range(0, len(fresh), MOST_AT_ONCE):
            part = fresh[begin : begin + MOST_AT_ONCE]
            await self._meter.record_so_far(site, part, self._mark_ms, self._clock.now_ms())
            self._seen.update(pod.uid for pod in part)


def _has(member: Member, lost: PodUsage) -> bool:
    return lost.pod_uid in member.pods.get(lost.job_uid, {})
