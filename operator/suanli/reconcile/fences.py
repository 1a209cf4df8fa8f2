"""The members' fences as the hub knows them: renews their leases, and says when one has certainly acted.

A renewal is a heartbeat: one small write to each member that answers, whether anything changed or not.
Source: leases, Gray and Cheriton 1989; the holder counts early, the grantor counts late.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from suanli.base.clock import Clock, time_text
from suanli.base.conditions import readable
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import mapping, text
from suanli.federation.member import RENEWAL_S, Member
from suanli.kube.client import ApiError, Unreachable
from suanli.reconcile.attempts import LATE_S
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import Mirror

LOG = logging.getLogger(__name__)
RECENT_S = 30.0  # a fence that has seen no renewal of so long counts as silent; it looks six times meanwhile
NONE_EVERY_S = 60.0  # a member without a fence is asked so often whether it has one now


@dataclass(frozen=True)
class FenceState:
    """Whether a member's fence stands, in words; `lease_s` is the longest lease that it may hold."""

    reason: Reason
    message: str
    lease_s: int


@dataclass
class _Fence:
    """One member's fence. Times are seconds of the loop's clock."""

    may_until_s: float  # the end of the last renewal that may have come true
    lease_s: int  # the longest that may be in force
    cluster_id: str  # whose fence it is: another cluster that is joined by the same name has another, or none
    sent: deque[tuple[float, str]] = field(default_factory=deque)  # the recent renewals: when, and their stamps
    answered_s: float = 0.0  # when it was last known to have seen a recent one, or since when that can be asked
    again_s: float = 0.0  # not renewed before
    state: FenceState | None = None


class Fences:
    """By site; knows nothing of its predecessor but what is on record, and assumes that it renewed until this one began."""

    def __init__(
        self, *, mirror: Mirror, sites: Sites, clock: Clock, settings: Settings, on_change: Callable[[str], None]
    ) -> None:
        """`on_change` is told of a site whose fence stands, or does not any more."""
        self._mirror = mirror
        self._sites = sites
        self._clock = clock
        self._settings = settings
        self._on_change = on_change
        self._begun_s = 0.0
        self._fences: dict[str, _Fence] = {}

    async def run(self) -> None:
        """Renew until cancelled. Only a member that answers is renewed: what is silent is to run out."""
        loop = asyncio.get_running_loop()
        self._begun_s = loop.time()
        while True:
            due = [
                self._renew(name, member)
                for name, member in self._sites.trusted().items()
                if member.usable and self._of(name).again_s <= loop.time()
            ]
            for error in await asyncio.gather(*due, return_exceptions=True):
                if isinstance(error, BaseException):
                    LOG.error("a renewal failed unexpectedly, will be tried again", exc_info=error)
            await asyncio.sleep(self._settings.fence_renew_s)

    def state(self, name: str) -> FenceState | None:
        """What this leader has learned; None as long as it has learned nothing."""
        fence = self._known(name)
        return fence.state if fence is not None else None

    def certain_in_s(self, name: str, silent_s: float) -> float | None:
        """Seconds until whatever the fence of a silent site stops has certainly stopped; None when no fence is known to stand.

        `silent_s` is since when the site is silent. Nothing is created there from then on, but what was sent may come late.
        """
        recorded_s = self._recorded_s(name)
        known = self.state(name)
        if not recorded_s or (known is not None and known.reason is not Reason.FENCE_ANSWERS):
            return None
        fence, now_s = self._known(name), asyncio.get_running_loop().time()
        lease_s = max(recorded_s, fence.lease_s) if fence is not None else recorded_s
        renewed_s = fence.may_until_s if fence is not None else self._begun_s + LATE_S
        stopped_s = max(renewed_s + lease_s, now_s - silent_s + LATE_S) + self._settings.fence_margin_s
        return max(0.0, stopped_s - now_s)

    # --- renewing

    async def _renew(self, name: str, member: Member) -> None:
        fence, now_s = self._of(name), asyncio.get_running_loop().time
        # What is on record has to be true for the next leader too: a longer lease is sent only when it is there.
        lease_s = min(self._settings.fence_lease_s, self._recorded_s(name) or self._settings.fence_lease_s)
        fence.lease_s = max(fence.lease_s, lease_s)
        now_ms = self._clock.now_ms()
        stamp = f"{time_text(now_ms)[:-1]}.{now_ms % 1000:03d}000Z"
        before_s = fence.may_until_s
        fence.may_until_s = max(before_s, now_s() + RENEWAL_S + LATE_S)
        try:
            seen = await member.renew_fence(stamp, lease_s)
        except Unreachable:
            fence.may_until_s = max(before_s, now_s() + LATE_S)
            return
        except ApiError as error:
            fence.may_until_s = before_s if error.status < 500 else max(before_s, now_s() + LATE_S)
            self._missing(name, fence, error)
            return
        fence.may_until_s, fence.lease_s = now_s(), lease_s
        while fence.sent and fence.sent[0][0] + RECENT_S < now_s():
            fence.sent.popleft()
        has_seen = any(seen == sent for _, sent in fence.sent)
        if has_seen or not fence.sent:
            fence.answered_s = now_s()
        fence.sent.append((now_s(), stamp))
        longest_s = max(self._settings.fence_lease_s, lease_s)
        if has_seen:
            said = f"the fence answers; it stops AtMostOnce work when not renewed for {longest_s} s"
            self._learn(name, fence, FenceState(Reason.FENCE_ANSWERS, said, longest_s))
        elif now_s() - fence.answered_s >= RECENT_S:
            said = f"the fence has seen no renewal of the last {RECENT_S:.0f} s; see that `suanli fence` runs on the member"
            self._learn(name, fence, FenceState(Reason.FENCE_SILENT, said, longest_s))

    def _missing(self, name: str, fence: _Fence, error: ApiError) -> None:
        if error.status not in (403, 404):
            return
        fence.again_s = asyncio.get_running_loop().time() + NONE_EVERY_S
        said = "the member has no fence that the hub can renew; join the site again with --fence-image"
        self._learn(name, fence, FenceState(Reason.NO_FENCE, said, fence.lease_s))

    def _learn(self, name: str, fence: _Fence, state: FenceState) -> None:
        if fence.state != state:
            fence.state = state
            self._on_change(name)

    def _of(self, name: str) -> _Fence:
        fence = self._known(name)
        if fence is None:
            fence = _Fence(self._begun_s + LATE_S, self._recorded_s(name), self._cluster(name))
            self._fences[name] = fence
        return fence

    def _known(self, name: str) -> _Fence | None:
        """The fence of the cluster that the site is on record as."""
        fence = self._fences.get(name)
        return fence if fence is not None and fence.cluster_id == self._cluster(name) else None

    def _cluster(self, name: str) -> str:
        return text(self._mirror.site_status(name).get("clusterId"), 63)

    def _recorded_s(self, name: str) -> int:
        """The longest lease on record of a fence that is on record as standing; 0 for none."""
        status = self._mirror.site_status(name)
        stated = {c["type"]: c["status"] for c in readable(status.get("conditions"))}
        if stated.get("Fenced") != "True":
            return 0
        lease_s = mapping(status.get("fence")).get("leaseSeconds")
        return lease_s if isinstance(lease_s, int) and lease_s > 0 else 0
