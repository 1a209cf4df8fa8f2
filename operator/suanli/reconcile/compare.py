"""The full comparison of mirror, hub and members: repairs what events lost, and finds what nobody owns."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from suanli.api import KINDS
from suanli.base.names import GROUP, VERSION
from suanli.federation.member import Member
from suanli.kube.client import ApiClient, ApiError, Unreachable
from suanli.reconcile.state import Mirror

LOG = logging.getLogger(__name__)


async def fill(hub: ApiClient, mirror: Mirror) -> None:
    """Make the mirror equal to the hub. Raises: ApiError, Unreachable."""
    for model in KINDS:
        info = model.kind_info
        listed = await hub.list_all(f"/apis/{GROUP}/{VERSION}/{info.plural}")
        mirror.compare(info.kind, listed["items"], int(listed["metadata"].get("resourceVersion") or 0))


async def run(
    hub: ApiClient,
    mirror: Mirror,
    members: Callable[[], Mapping[str, Member]],
    look_at: Callable[[str], None],
    every_s: float,
) -> None:
    """Compare again and again until cancelled; every job, and everything on a member, is looked at anew."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await fill(hub, mirror)
        except (ApiError, Unreachable) as error:
            LOG.warning("full comparison put off", extra={"error": str(error)[:300]})
            continue
        mirror.forget_removed()
        for uid in [*mirror.jobs, *(u for m in members().values() for u in m.job_uids())]:
            look_at(uid)
