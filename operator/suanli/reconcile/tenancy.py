"""Looks after the tenants' namespaces on the members: what somebody changed there is put right."""

import asyncio
import logging
import math

from suanli.base.settings import Settings
from suanli.federation.member import Member
from suanli.kube.client import ApiError, Unreachable
from suanli.reconcile.sites import Sites

LOG = logging.getLogger(__name__)
AGAIN_S = 5.0  # after a look that failed, or that a member missed because it could not be used


class Tenancy:
    """Every member is looked at as soon as it can be used, and again and again; nothing is written where nothing is wrong.

    As soon as it can be used: a leader that died may have made a namespace and not yet what bounds it.
    """

    def __init__(self, *, sites: Sites, settings: Settings) -> None:
        self._sites = sites
        self._every_s = settings.tenant_mend_s
        self._told: dict[str, str] = {}  # by site, the trouble that was logged last
        self._looked_s: dict[str, float] = {}  # by site, when the last look that came to its end began

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(min(AGAIN_S, self._every_s))
            early_s = asyncio.get_running_loop().time() - self._every_s
            usable = ((name, member) for name, member in self._sites.trusted().items() if member.usable)
            due = [(name, member) for name, member in usable if self._looked_s.get(name, -math.inf) <= early_s]
            await asyncio.gather(*(self._mend(name, member) for name, member in due))

    async def _mend(self, name: str, member: Member) -> None:
        began_s = asyncio.get_running_loop().time()
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
        self._looked_s[name] = began_s
        for what in mended:
            LOG.warning("put right what somebody changed on a member", extra={"site": name, "object": what})
