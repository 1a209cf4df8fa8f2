"""The members: a connection for every ComputeSite whose credentials can be used, rebuilt when they change."""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass

from suanli.api.site import ComputeSite, SiteState
from suanli.base.clock import Clock, time_text
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.federation.credentials import parse_kubeconfig
from suanli.federation.member import Member
from suanli.kube.client import ApiClient, Json, Target
from suanli.kube.watch import Reflector
from suanli.reconcile.state import Mirror

LOG = logging.getLogger(__name__)
DATA_KEY = "kubeconfig"


@dataclass
class Handle:
    """One connected site."""

    target: Target
    member: Member
    task: asyncio.Task[None]


@dataclass(frozen=True)
class Credentials:
    """Whether a site's Secret can be used."""

    target: Target | None
    reason: Reason
    message: str


class Sites:
    """Connections to the members, by site name."""

    def __init__(
        self,
        *,
        hub: ApiClient,
        hub_id: str,
        mirror: Mirror,
        clock: Clock,
        settings: Settings,
        connect: Callable[[Target, str], ApiClient],
        on_job: Callable[[str], None],
        on_site: Callable[[str], None],
    ) -> None:
        self.members: dict[str, Member] = {}
        self.credentials: dict[str, Credentials] = {}
        self._hub_id = hub_id
        self._mirror = mirror
        self._clock = clock
        self._settings = settings
        self._connect = connect
        self._on_job = on_job
        self._on_site = on_site
        self._handles: dict[str, Handle] = {}
        self.secrets = Reflector(
            hub,
            f"/api/v1/namespaces/{settings.namespace}/secrets",
            on_change=self._secret_changed,
            on_trouble=lambda error: LOG.warning("cannot read the sites' Secrets", extra={"error": str(error)[:300]}),
        )

    async def sync(self, name: str) -> None:
        """Make the connection of one site what its ComputeSite and Secret say."""
        site = self._mirror.sites.get(name)
        credentials = self._read(site) if site is not None else None
        if credentials is None:
            self.credentials.pop(name, None)
        else:
            self.credentials[name] = credentials
        wanted = credentials.target if credentials else None
        handle = self._handles.get(name)
        if handle is not None and handle.target == wanted:
            return
        if handle is not None:
            await self._disconnect(name)
        if wanted is not None:
            self._begin(name, wanted)
        self._on_site(name)

    def readiness(self, name: str) -> tuple[bool, str]:
        """Whether new work can go there, and the sentence that says why not."""
        reason, text = self.state(name)
        return reason is Reason.READY, text

    def state(self, name: str) -> tuple[Reason, str]:
        """The site's readiness as a reason and a sentence."""
        site = self._mirror.sites.get(name)
        problem = self._mirror.problems.get(("ComputeSite", name))
        if site is None:
            return Reason.INVALID_SPEC, problem or "not known"
        credentials = self.credentials.get(name)
        if site.spec.region not in self._mirror.regions:
            return (
                Reason.UNKNOWN_REGION,
                f'spec.region "{site.spec.region}" is no ComputeRegion; create it or correct the field',
            )
        if credentials is None or credentials.target is None:
            return (
                (credentials.reason, credentials.message)
                if credentials
                else (Reason.NOT_CONNECTED, "not connected yet")
            )
        member = self.members[name]
        if not member.usable:
            heard = (
                f", last heard from at {time_text(member.last_heard_ms)}"
                if member.last_heard_ms and member.health.reachable is False
                else ""
            )
            return (
                member.health.reason
                if not member.usable and member.health.reason is not Reason.CONNECTED
                else Reason.SYNCING,
                member.health.message + heard,
            )
        twin = self._twin(name, member)
        if twin:
            return (
                Reason.DUPLICATE_CLUSTER,
                f"ComputeSite {twin} is the same cluster; give this one a Secret of its own cluster or delete it",
            )
        known = (self._mirror.raw["ComputeSite", name].get("status") or {}).get("clusterId")
        if known and known != member.health.cluster_id:
            return (
                Reason.WRONG_CLUSTER,
                f"the Secret leads to cluster {member.health.cluster_id}, this site was cluster {known}; leave and join again if it was replaced",
            )
        if site.spec.desired_state is not SiteState.ACTIVE:
            return (
                Reason.SITE_INACTIVE,
                f"spec.desiredState is {site.spec.desired_state}; set it to Active to place new jobs",
            )
        if not member.usable_nodes():
            return Reason.NO_CAPACITY, f"none of its {len(list(member.nodes()))} nodes is ready and schedulable"
        return Reason.READY, f"{len(member.usable_nodes())} nodes are ready"

    async def close(self) -> None:
        """Cut all connections."""
        for name in list(self._handles):
            await self._disconnect(name)

    def _read(self, site: ComputeSite) -> Credentials:
        if site.spec.connection is None:
            return Credentials(
                None, Reason.NOT_CONNECTED, "spec.connection is not set; join the site with `suanli site join`"
            )
        name = site.spec.connection.kubeconfig_secret_ref.name
        secret: Json | None = self.secrets.items.get(f"{self._settings.namespace}/{name}")
        where = f"Secret {self._settings.namespace}/{name}"
        if secret is None:
            return Credentials(
                None, Reason.CREDENTIALS_MISSING, f"{where} does not exist; create it with `suanli site join`"
            )
        encoded = (secret.get("data") or {}).get(DATA_KEY)
        if not encoded:
            return Credentials(
                None,
                Reason.CREDENTIALS_MISSING,
                f'{where} has no key "{DATA_KEY}"; create it with `suanli site join`',
            )
        try:
            data = base64.b64decode(encoded, validate=True)
            target = parse_kubeconfig(data, allow_loopback=self._settings.allow_loopback_members == "Allow")
        except (binascii.Error, SuanliError) as error:
            return Credentials(None, Reason.CREDENTIALS_MALFORMED, f"{where}: {error}")
        return Credentials(target, Reason.CREDENTIALS_VALID, f"{where} can be used")

    def _begin(self, name: str, target: Target) -> None:
        try:
            client = self._connect(target, name)
        except ValueError as error:
            self.credentials[name] = Credentials(None, Reason.CREDENTIALS_MALFORMED, str(error))
            return
        member = Member(
            name,
            client,
            hub_id=self._hub_id,
            clock=self._clock,
            probe_s=self._settings.probe_s,
            unreachable_after_s=self._settings.unreachable_after_s,
            on_job=self._on_job,
            on_site=self._on_site,
        )
        task = asyncio.create_task(member.run(), name=f"member {name}")
        task.add_done_callback(lambda t: self._ended(name, t))
        self.members[name] = member
        self._handles[name] = Handle(target, member, task)
        LOG.info("connecting to site", extra={"site": name, "server": target.server})

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        """A member's watches end only when we end them; anything else is a defect and is healed by a new connection."""
        handle = self._handles.get(name)
        if handle is None or handle.task is not task or task.cancelled():
            return
        LOG.error(
            "the watches of a site ended unexpectedly, connecting again",
            exc_info=task.exception(),
            extra={"site": name},
        )
        del self._handles[name]
        self.members.pop(name, None)
        asyncio.get_running_loop().call_later(5.0, self._on_site, name)

    async def _disconnect(self, name: str) -> None:
        handle = self._handles.pop(name)
        self.members.pop(name, None)
        handle.task.cancel()
        await asyncio.wait([handle.task])

    def _twin(self, name: str, member: Member) -> str:
        """Another site with the same cluster that was there before this one."""
        for other, known in self.members.items():
            if other != name and known.health.cluster_id and known.health.cluster_id == member.health.cluster_id:
                mine, theirs = self._mirror.sites.get(name), self._mirror.sites.get(other)
                if mine and theirs and _age(theirs) < _age(mine):
                    return other
        return ""

    def _secret_changed(self, kind: str, new: Json, old: Json | None) -> None:
        name = new["metadata"]["name"]
        for site in self._mirror.sites.values():
            if site.spec.connection is not None and site.spec.connection.kubeconfig_secret_ref.name == name:
                self._on_site(site.metadata.name)


def _age(site: ComputeSite) -> tuple[str, str]:
    return site.metadata.creation_timestamp or "", site.metadata.name
