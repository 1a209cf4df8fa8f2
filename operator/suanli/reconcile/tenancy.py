"""Looks after the tenants' namespaces on the members: what somebody changed there is put right."""

import asyncio
import logging

from suanli.base.settings import Settings
from suanli.federation.member import Member
from suanli.kube.client import ApiError, Unreachable
from suanli.reconcile.sites import Sites

LOG = logging.getLogger(__name__)


class Tenancy:
    """Every member that can be used is looked at in turn; nothing is written where nothing is wrong."""

    def __init__(self, *, sites: Sites, settings: Settings) -> None:
        self._sites = sites
        self._every_s = settings.tenant_mend_s
        self._told: dict[str, str] = {}  # by site, the trouble that was logged last

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            due = [(name, member) for name, member in self._sites.trusted().items() if member.usable]
            await asyncio.gather(*(self._mend(name, member) for name, member in due))

    async def _mend(self, name: str, member: Member) -> None:
        try:
            mended = await member.mend_namespaces()
        except (ApiError, Unreachable) as error:
            trouble = str(error)[:300]
            if isinstance(error, ApiError) and error.status == 403:
                trouble = f"the member's account lacks a permission ({trouble}); join the site again"
            if self._told.get(name) != trouble:
                LOG.warning("cannot look after the tenants' namespaces", extra={"site": name, "error": trouble})
            self._told[name] = trouble
            return
        self._told.pop(name, None)
        for what in mended:
            LOG.warning("put right what somebody changed on a member", extra={"site": name, "object": what})
