"""Joining a member cluster to the hub. It can be repeated: that repairs and changes no more."""

import asyncio
import base64
import binascii
from dataclasses import dataclass, replace

from suanli.base.errors import SuanliError
from suanli.base.names import (
    ANNOTATION_CLUSTER,
    ANNOTATION_SITE,
    API_VERSION,
    GROUP,
    LABEL_HUB,
    LABEL_MANAGED,
    MANAGER,
    MEMBER_SYSTEM_NAMESPACE,
    OLDEST_MINOR,
    SECRET_KEY,
    VERSION,
    member_account,
    site_secret,
)
from suanli.base.reasons import Reason
from suanli.base.untrusted import mapping, text
from suanli.federation import grants
from suanli.federation.administered import Administered, collection_of
from suanli.federation.credentials import parse_kubeconfig, write_kubeconfig
from suanli.federation.serverurl import checked_server
from suanli.kube.addresses import Reach
from suanli.kube.client import ApiClient, ApiError, Json, Target, Unreachable

TOKEN_WAIT_S = 30.0
LOOK_EVERY_S = 0.2
NAMESPACES = collection_of("Namespace")


@dataclass(frozen=True)
class Joining:
    """What is to be joined: the ComputeSite's manifest, or None to leave an existing one as it is."""

    site: str
    manifest: Json | None
    namespace: str  # of the operator on the hub
    member: Target  # the administrator's; its address and authority go into the hub's kubeconfig
    server: str | None = None  # the address as the hub sees it, if it differs
    fence_image: str | None = None  # of the member's fence; None: no fence is installed, and one that is there stays


async def join(hub: Administered, member: Administered, joining: Joining) -> None:
    """Grant the hub its account on the member, and make Secret and ComputeSite on the hub.

    Raises: SuanliError; what was made by then stays, and is taken up by the next try.
    """
    server = checked_server(joining.server or joining.member.server, Reach.OUTSIDE_OR_LOOPBACK)
    hub_id, member_id = await _check(hub, member, joining)
    system = await member.find("Namespace", MEMBER_SYSTEM_NAMESPACE)
    made = system is None or grants.ANNOTATION_MADE in _annotations(system)
    await member.apply(grants.system_namespace(hub_id, joining.site, made=made))
    for manifest in grants.account_objects(hub_id):
        await member.apply(manifest)
    token = await _token(member, hub_id)
    admin = joining.member
    account = Target(admin.server, admin.ca_pem, token, tls_server_name=admin.tls_server_name)
    kubeconfig = write_kubeconfig(replace(account, server=server), name=joining.site)
    parse_kubeconfig(kubeconfig, allow_loopback=True)  # the operator reads it just so
    await _prove(account, member_id)
    if joining.fence_image is not None:
        for manifest in grants.fence_objects(hub_id, joining.fence_image):
            await member.apply(manifest)
    await hub.apply(_secret(joining, kubeconfig, member_id))
    connection = {"kubeconfigSecretRef": {"name": site_secret(joining.site)}}
    if joining.manifest is None:
        await hub.merge("ComputeSite", joining.site, {"spec": {"connection": connection}})
    else:
        await hub.apply(_with_connection(joining.manifest, connection))


async def identity(cluster: Administered) -> str:
    """The UID of a cluster's kube-system namespace. Raises: SuanliError."""
    system = await cluster.find("Namespace", "kube-system")
    uid = text(mapping(mapping(system).get("metadata")).get("uid"))
    if not uid:
        raise SuanliError(Reason.BAD_RESPONSE, f"the {cluster.name} has no kube-system namespace; check its kubeconfig")
    return uid


async def known_cluster(hub: Administered, site: str, namespace: str) -> str:
    """The cluster that the hub knows a site as, or nothing. Raises: SuanliError."""
    found = mapping(await hub.find("ComputeSite", site))
    secret = await hub.find("Secret", site_secret(site), namespace)
    return text(mapping(found.get("status")).get("clusterId")) or text(_annotations(secret).get(ANNOTATION_CLUSTER))


async def _check(hub: Administered, member: Administered, joining: Joining) -> tuple[str, str]:
    """Everything that can be known before anything is written; the two clusters' identities."""
    hub_id, member_id = await identity(hub), await identity(member)
    if hub_id == member_id:
        raise SuanliError(
            Reason.DUPLICATE_CLUSTER, "the member is the hub itself; give --member-kubeconfig of another cluster"
        )
    await _check_version(member)
    if await hub.find("Namespace", joining.namespace) is None:
        raise SuanliError(
            Reason.INVALID_SPEC,
            f'the hub has no namespace "{joining.namespace}"; install the chart first, or give its --namespace',
        )
    if await hub.get(f"/apis/{GROUP}/{VERSION}") is None:
        raise SuanliError(Reason.REFUSED, "the hub does not know ComputeSite; install the chart first")
    await _check_site(hub, joining, member_id)
    await _check_owner(hub, member, joining, hub_id)
    return hub_id, member_id


async def _check_version(member: Administered) -> None:
    version = mapping(await member.get("/version"))
    git, minor = text(version.get("gitVersion"), 63), text(version.get("minor"), 8).rstrip("+")
    if version.get("major") != "1" or not minor.isdecimal() or int(minor) < OLDEST_MINOR:
        raise SuanliError(
            Reason.UNSUPPORTED_VERSION,
            f'the member runs Kubernetes "{git}"; suanli needs 1.{OLDEST_MINOR} or newer, upgrade it first',
        )


async def _check_site(hub: Administered, joining: Joining, member_id: str) -> None:
    """The hub's side: the site is not another cluster, and the cluster is not another site."""
    if joining.manifest is not None:
        connection = {"kubeconfigSecretRef": {"name": site_secret(joining.site)}}
        await hub.apply(_with_connection(joining.manifest, connection), dry_run=True)
    mine = await hub.find("ComputeSite", joining.site)
    if mine is None and joining.manifest is None:
        raise SuanliError(
            Reason.INVALID_SPEC,
            f'the hub has no ComputeSite "{joining.site}"; give its manifest with -f, or at least --region',
        )
    known = await known_cluster(hub, joining.site, joining.namespace)
    if known and known != member_id:
        raise SuanliError(
            Reason.WRONG_CLUSTER,
            f'site "{joining.site}" is cluster {known}, this member is {member_id}; run `suanli site leave {joining.site}` first',
        )
    for site in await hub.list_all(collection_of("ComputeSite")):
        name = site["metadata"]["name"]
        if name != joining.site and mapping(site.get("status")).get("clusterId") == member_id:
            raise _joined_as(name)


async def _check_owner(hub: Administered, member: Administered, joining: Joining, hub_id: str) -> None:
    """The member's side: it belongs to no other hub and to no other site."""
    system = await member.find("Namespace", MEMBER_SYSTEM_NAMESPACE)
    owner, site = _labels(system).get(LABEL_HUB), _annotations(system).get(ANNOTATION_SITE)
    if owner and owner != hub_id:
        raise SuanliError(
            Reason.JOINED_ELSEWHERE,
            f'this cluster is joined to another hub ({owner}) as site "{site}"; let it leave there first',
        )
    if owner and site and site != joining.site and await hub.find("ComputeSite", site) is not None:
        raise _joined_as(site)


def _joined_as(site: str) -> SuanliError:
    return SuanliError(
        Reason.DUPLICATE_CLUSTER,
        f'this cluster is joined already as site "{site}"; run `suanli site leave {site}` first',
    )


async def _token(member: Administered, hub_id: str) -> str:
    """The account's token, once the member has made it."""
    account = member_account(hub_id)
    for _ in range(int(TOKEN_WAIT_S / LOOK_EVERY_S)):
        secret = await member.find("Secret", account, MEMBER_SYSTEM_NAMESPACE)
        encoded = mapping(mapping(secret).get("data")).get("token")
        if isinstance(encoded, str) and encoded:
            try:
                return base64.b64decode(encoded, validate=True).decode("ascii")
            except (binascii.Error, ValueError) as error:
                told = f"the member made a token that cannot be read in Secret {MEMBER_SYSTEM_NAMESPACE}/{account}"
                raise SuanliError(Reason.BAD_RESPONSE, f"{told}; delete the Secret and join again") from error
        await asyncio.sleep(LOOK_EVERY_S)
    raise SuanliError(
        Reason.REFUSED,
        f"the member made no token for Secret {MEMBER_SYSTEM_NAMESPACE}/{account} in {TOKEN_WAIT_S:.0f} s; "
        "see that its kube-controller-manager runs, then join again",
    )


async def _prove(account: Target, member_id: str) -> None:
    """Use the new account, at the administrator's address; a member needs a moment to know account and fence."""
    last = "it can do more than it should: the admission policy that fences it in has no effect"
    async with ApiClient(account, name="member", concurrency=1) as client:
        for _ in range(int(TOKEN_WAIT_S / LOOK_EVERY_S)):
            try:
                system = await client.get("/api/v1/namespaces/kube-system")
                await client.get("/api/v1/nodes", {"limit": "1"})
                if mapping(system.get("metadata")).get("uid") != member_id:
                    last = "another cluster answers with it"
                    break
                if await _is_fenced(client):
                    return
            except (ApiError, Unreachable) as error:
                last = str(error)
            await asyncio.sleep(LOOK_EVERY_S)
    raise SuanliError(Reason.REFUSED, f"the account made on the member cannot be used: {last}; join again")


async def _is_fenced(client: ApiClient) -> bool:
    """Whether the member refuses what only the fence forbids; nothing is made."""
    try:
        await client.post(NAMESPACES, grants.forbidden_namespace(), {"dryRun": "All"})
    except ApiError as error:
        if error.status == 403 and grants.FENCED in error.message:
            return True
        raise
    return False


def _secret(joining: Joining, kubeconfig: bytes, member_id: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": site_secret(joining.site),
            "namespace": joining.namespace,
            "labels": {LABEL_MANAGED: MANAGER},
            "annotations": {ANNOTATION_SITE: joining.site, ANNOTATION_CLUSTER: member_id},
        },
        "type": "Opaque",
        "data": {SECRET_KEY: base64.b64encode(kubeconfig).decode()},
    }


def _with_connection(manifest: Json, connection: Json) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "ComputeSite",
        "metadata": manifest["metadata"],
        "spec": {**manifest["spec"], "connection": connection},
    }


def _annotations(raw: Json | None) -> Json:
    return dict(mapping(mapping(mapping(raw).get("metadata")).get("annotations")))


def _labels(raw: Json | None) -> Json:
    return dict(mapping(mapping(mapping(raw).get("metadata")).get("labels")))
