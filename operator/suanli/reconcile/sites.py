"""The members: a connection for every ComputeSite whose credentials can be used, rebuilt when they change."""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from suanli.api.site import ComputeSite, SiteState
from suanli.base.clock import Clock, time_text
from suanli.base.errors import SuanliError
from suanli.base.names import ANNOTATION_CLUSTER, SECRET_KEY
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import mapping, text
from suanli.federation.credentials import parse_kubeconfig
from suanli.federation.member import Health, Member
from suanli.federation.tenancy import Bounds
from suanli.kube.client import ApiClient, Json, Target
from suanli.kube.watch import Reflector
from suanli.reconcile.state import Mirror

LOG = logging.getLogger(__name__)
AGAIN_S = 5.0  # after a defect ended a site's watches
CLOSING_S = 3.0


@dataclass
class Handle:
    """One connected site."""

    target: Target
    cluster_id: str  # the cluster it was known to be when the connection was made; empty: not known
    member: Member
    task: asyncio.Task[None]


@dataclass(frozen=True)
class Credentials:
    """Whether a site's Secret can be used; `cluster_id` is the cluster that it says it is for."""

    target: Target | None
    reason: Reason
    message: str
    cluster_id: str = ""


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
        on_figures: Callable[[str], None],
    ) -> None:
        """`on_site` is told of a site whose connection or health changed, `on_figures` when only what is there did."""
        self.members: dict[str, Member] = {}
        self.credentials: dict[str, Credentials] = {}
        self._hub_id = hub_id
        self._mirror = mirror
        self._clock = clock
        self._settings = settings
        self._connect = connect
        self._on_job = on_job
        self._on_site = on_site
        self._on_figures = on_figures
        self._handles: dict[str, Handle] = {}
        self._told: dict[str, Health] = {}
        self._targets: dict[
            str, tuple[str, Target]
        ] = {}  # by site, its kubeconfig as the Secret has it, and what it says
        self._heard_ms: dict[str, int] = {}  # of connections that are cut, when the member last answered
        self._lost_s: dict[str, float] = {}  # since when a site has no credentials
        self._silent_s: dict[str, float] = {}  # since when it is certain that a site is silent
        self._refused: dict[str, tuple[Target, str]] = {}  # targets that no connection can be made of, and why
        self._trusted: dict[str, Member] | None = None
        self._owners_now: Mapping[str, str] | None = None
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
            self._targets.pop(name, None)
        else:
            self.credentials[name] = credentials
        wanted = credentials.target if credentials else None
        self._note_loss(name, lost=credentials is not None and wanted is None)
        expected = self._expected(name, credentials)
        handle = self._handles.get(name)
        if handle is not None and _is(handle, expected):
            if handle.target == wanted:
                return
            if (
                wanted is not None
                and _is_same_place(handle.target, wanted)
                and await self._rotate(name, handle, wanted)
            ):
                return
        if handle is None and wanted is None:
            return
        if handle is not None:
            await self._disconnect(name)
        if wanted is not None:
            self._begin(name, wanted, expected)
        self._changed(name)

    # --- what is known of them

    def trusted(self) -> Mapping[str, Member]:
        """The members of which it is certain and on record that they are the site's own cluster, and no other's."""
        if self._trusted is None:
            owners = self._owners()
            self._trusted = {
                name: member
                for name, member in self.members.items()
                if owners.get(member.health.cluster_id) == name
                and self._recorded(name) == member.health.cluster_id != ""
            }
        return self._trusted

    def usable(self, name: str) -> bool:
        """Whether what runs there is known, and can be changed."""
        member = self.trusted().get(name)
        return member is not None and member.usable

    def silence(self, name: str) -> str:
        """Why nobody can know what runs there, if that is certain."""
        if self.usable(name):
            return ""
        member, credentials = self.members.get(name), self.credentials.get(name)
        if name not in self._mirror.sites:
            problem = self._mirror.problems.get(("ComputeSite", name), "it does not exist")
            return f"ComputeSite {name} is not known: {problem}; restore it, or delete the job"
        if credentials is not None and credentials.target is None:
            if self._grace_left_s(name) > 0:
                return ""  # a Secret may be replaced in two steps
            return f"ComputeSite {name} is not connected{self._last_heard(name)}: {credentials.message}"
        if member is None:
            return ""
        if member.health.reachable is False:
            return f"{name} is silent{self._last_heard(name)}: {member.health.message}"
        twin = self._twin(name, member)
        return f"ComputeSite {name} is the same cluster as {twin}" if twin else ""

    def drains(self, name: str) -> bool:
        """Whether it is to be emptied."""
        site = self._mirror.sites.get(name)
        return site is not None and site.spec.desired_state is SiteState.DRAIN

    def look(self, name: str) -> tuple[bool, bool, bool]:
        """Whether it is usable, silent, and to be emptied; since when it is silent is remembered from here on."""
        usable, silent = self.usable(name), self.silence(name) != ""
        if silent:
            self._silent_s.setdefault(name, asyncio.get_running_loop().time())
        else:
            self._silent_s.pop(name, None)
        return usable, silent, self.drains(name)

    def silent_for_s(self, name: str) -> float:
        """Seconds since a site was first found silent; 0 if it is not."""
        now_s = asyncio.get_running_loop().time()
        return now_s - self._silent_s.get(name, now_s)

    def last_heard_ms(self, name: str) -> int:
        """When its member last answered this process; 0 for never."""
        member = self.members.get(name)
        return (member.last_heard_ms if member is not None else 0) or self._heard_ms.get(name, 0)

    def readiness(self, name: str) -> tuple[bool, str]:
        """Whether new work can go there, and the sentence that says why not."""
        reason, said = self.state(name)
        return reason is Reason.READY, said

    def state(self, name: str) -> tuple[Reason, str]:
        """The site's readiness as a reason and a sentence."""
        site = self._mirror.sites.get(name)
        if site is None:
            return Reason.INVALID_SPEC, self._mirror.problems.get(("ComputeSite", name)) or "not known"
        if site.spec.region not in self._mirror.regions:
            said = f'spec.region "{site.spec.region}" is no ComputeRegion; create it or correct the field'
            return Reason.UNKNOWN_REGION, said
        unconnected = self._connection_state(name)
        if unconnected is not None:
            return unconnected
        if site.spec.desired_state is not SiteState.ACTIVE:
            said = f"spec.desiredState is {site.spec.desired_state}; set it to Active to place new jobs"
            return Reason.SITE_INACTIVE, said
        nodes = self.members[name].count_usable()
        if not nodes:
            return (
                Reason.NO_CAPACITY,
                f"none of its {len(list(self.members[name].nodes()))} nodes is ready and schedulable",
            )
        return Reason.READY, f"{nodes} nodes are ready"

    def settling(self) -> bool:
        """Whether it is not known yet of some site whether it can be used."""
        states = (self._connection_state(name) for name in self._mirror.sites)
        return any(state is not None and state[0] is Reason.SYNCING for state in states)

    def refresh(self) -> None:
        """Something changed that decides which site a cluster counts as."""
        self._trusted = self._owners_now = None

    async def close(self) -> None:
        """Cut all connections."""
        await asyncio.gather(*(self._disconnect(name) for name in list(self._handles)))

    def _connection_state(self, name: str) -> tuple[Reason, str] | None:
        """Why nothing is known of what is there, or nothing."""
        credentials, member = self.credentials.get(name), self.members.get(name)
        if credentials is None:
            return Reason.SYNCING, "the connection is being made"
        if credentials.target is None:
            return credentials.reason, credentials.message
        if member is None:
            return Reason.SYNCING, "the connection is being made"
        health = member.health
        if not member.usable:
            reason = Reason.SYNCING if health.reason is Reason.CONNECTED else health.reason
            heard = self._last_heard(name) if health.reachable is False else ""
            return reason, f"{health.message}{heard}"
        twin = self._twin(name, member)
        if twin:
            said = f"ComputeSite {twin} is the same cluster; give this one a Secret of its own cluster or delete it"
            return Reason.DUPLICATE_CLUSTER, said
        if not self.usable(name):
            return Reason.SYNCING, "which cluster it is, is being put on record"
        return None

    def _last_heard(self, name: str) -> str:
        heard_ms = self.last_heard_ms(name)
        return f", last heard from at {time_text(heard_ms)}" if heard_ms else ""

    # --- which cluster it is

    def _recorded(self, name: str) -> str:
        return text(self._mirror.site_status(name).get("clusterId"), 63)

    def _expected(self, name: str, credentials: Credentials | None) -> str:
        """The cluster that the site is known to be: by what is on record, else by its Secret."""
        return self._recorded(name) or (credentials.cluster_id if credentials else "")

    def _owners(self) -> Mapping[str, str]:
        """By cluster, the site it counts as: one that it is on record for, else the oldest. The same until `refresh`."""
        if self._owners_now is None:
            owners: dict[str, tuple[tuple[bool, str, str], str]] = {}
            for name, member in self.members.items():
                site, cluster = self._mirror.sites.get(name), member.health.cluster_id
                if site is None or not cluster:
                    continue
                rank = (self._recorded(name) != cluster, site.metadata.creation_timestamp or "", name)
                owners[cluster] = min(owners.get(cluster, (rank, name)), (rank, name))
            self._owners_now = {cluster: name for cluster, (_, name) in owners.items()}
        return self._owners_now

    def _twin(self, name: str, member: Member) -> str:
        """Another site that the cluster counts as."""
        owner = self._owners().get(member.health.cluster_id, name)
        return "" if owner == name else owner

    # --- connections

    def _read(self, site: ComputeSite) -> Credentials:
        if site.spec.connection is None:
            return Credentials(
                None, Reason.NOT_CONNECTED, "spec.connection is not set; join the site with `suanli site join`"
            )
        name = site.spec.connection.kubeconfig_secret_ref.name
        secret: Json | None = self.secrets.items.get(f"{self._settings.namespace}/{name}")
        where = f"Secret {self._settings.namespace}/{name}"
        if secret is None:
            said = f"{where} does not exist; create it with `suanli site join`"
            return Credentials(None, Reason.CREDENTIALS_MISSING, said)
        encoded = mapping(secret.get("data")).get(SECRET_KEY)
        if not isinstance(encoded, str) or not encoded:
            said = f'{where} has no key "{SECRET_KEY}"; create it with `suanli site join`'
            return Credentials(None, Reason.CREDENTIALS_MISSING, said)
        try:
            target = self._target(site.metadata.name, encoded)
        except (binascii.Error, ValueError, SuanliError) as error:
            return Credentials(None, Reason.CREDENTIALS_MALFORMED, f"{where}: {error}")
        refused = self._refused.get(site.metadata.name)
        if refused is not None and refused[0] == target:
            return Credentials(None, Reason.CREDENTIALS_MALFORMED, f"{where}: {refused[1]}")
        cluster = mapping(mapping(secret.get("metadata")).get("annotations")).get(ANNOTATION_CLUSTER)
        return Credentials(target, Reason.CREDENTIALS_VALID, f"{where} can be used", text(cluster, 63))

    def _target(self, site: str, encoded: str) -> Target:
        """What a kubeconfig leads to, read once. Raises: ValueError, SuanliError."""
        known = self._targets.get(site)
        if known is None or known[0] != encoded:
            data = base64.b64decode(encoded, validate=True)
            target = parse_kubeconfig(data, allow_loopback=self._settings.allow_loopback_members == "Allow")
            known = self._targets[site] = (encoded, target)
        return known[1]

    async def _rotate(self, name: str, handle: Handle, target: Target) -> bool:
        """Go on with another account at the same place; whether that is possible."""
        try:
            await handle.member.authenticate(target)
        except ValueError:
            return False
        handle.target = target
        LOG.info("credentials rotated", extra={"site": name})
        self._changed(name)
        return True

    def _begin(self, name: str, target: Target, cluster_id: str) -> None:
        try:
            client = self._connect(target, name)
        except ValueError as error:
            self._refused[name] = (target, str(error))
            self.credentials[name] = Credentials(None, Reason.CREDENTIALS_MALFORMED, str(error))
            return
        self._refused.pop(name, None)
        member = Member(
            name,
            client,
            hub_id=self._hub_id,
            clock=self._clock,
            probe_s=self._settings.probe_s,
            unreachable_after_s=self._settings.unreachable_after_s,
            full_compare_s=self._settings.full_compare_s,
            bounds=Bounds.of(self._settings),
            on_job=self._on_job,
            on_site=self._member_told,
            cluster_id=cluster_id,
        )
        task = asyncio.create_task(member.run(), name=f"member {name}")
        task.add_done_callback(lambda t: self._ended(name, t))
        self.members[name] = member
        self._handles[name] = Handle(target, cluster_id, member, task)
        LOG.info("connecting to site", extra={"site": name, "server": target.server})

    def _changed(self, name: str) -> None:
        self.refresh()
        self._on_site(name)

    def _note_loss(self, name: str, *, lost: bool) -> None:
        if not lost:
            self._lost_s.pop(name, None)
        elif name not in self._lost_s:
            loop = asyncio.get_running_loop()
            self._lost_s[name] = loop.time()
            loop.call_later(self._settings.unreachable_after_s, self._changed, name)

    def _grace_left_s(self, name: str) -> float:
        now_s = asyncio.get_running_loop().time()
        return self._lost_s.get(name, now_s) + self._settings.unreachable_after_s - now_s

    def _member_told(self, name: str) -> None:
        member = self.members.get(name)
        if member is not None and self._told.get(name) is member.health:
            self._on_figures(name)
        elif member is not None:
            self._told[name] = member.health
            self._changed(name)

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
        self.refresh()
        asyncio.get_running_loop().call_later(AGAIN_S, self._changed, name)

    async def _disconnect(self, name: str) -> None:
        handle = self._handles.pop(name)
        self._heard_ms[name] = self.last_heard_ms(name)
        self.members.pop(name, None)
        self._told.pop(name, None)
        self.refresh()
        handle.task.cancel()
        await asyncio.wait([handle.task], timeout=CLOSING_S)

    def _secret_changed(self, kind: str, new: Json, old: Json | None) -> None:
        name = new["metadata"]["name"]
        for site in self._mirror.sites.values():
            if site.spec.connection is not None and site.spec.connection.kubeconfig_secret_ref.name == name:
                self._on_site(site.metadata.name)


def _is_same_place(one: Target, other: Target) -> bool:
    """Whether two targets differ in the account alone."""
    return replace(one, token=None, client_cert_pem=None, client_key_pem=None) == replace(
        other, token=None, client_cert_pem=None, client_key_pem=None
    )


def _is(handle: Handle, expected: str) -> bool:
    """Whether a connection is to the cluster that it should be to."""
    if not expected or expected == handle.cluster_id:
        return True
    return not handle.cluster_id and handle.member.health.cluster_id == expected
