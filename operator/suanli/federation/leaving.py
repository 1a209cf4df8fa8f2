"""Taking a member cluster out: everything that joining and running made goes, on both sides. Can be repeated."""

import asyncio
from collections.abc import Awaitable, Callable

from suanli.api.site import SiteState
from suanli.base.conditions import find, readable
from suanli.base.errors import SuanliError
from suanli.base.names import (
    ANNOTATION_SITE,
    FENCE,
    FINALIZER_METERING,
    LABEL_HUB,
    LABEL_JOB_UID,
    LABEL_MANAGED,
    MANAGER,
    MEMBER_SYSTEM_NAMESPACE,
    member_account,
    site_secret,
)
from suanli.base.reasons import Reason
from suanli.base.untrusted import Raw, items, mapping, text
from suanli.federation import grants
from suanli.federation.administered import Administered, collection_of
from suanli.federation.membership import identity, known_cluster
from suanli.federation.render import release_patch
from suanli.kube.client import Json, name_of
from suanli.kube.watch import key_of

GONE_WAIT_S = 120.0
SEEN_WAIT_S = (
    15.0  # an operator that leads writes of a site within a few seconds; one that does not run assigns nothing
)
LOOK_EVERY_S = 0.5
# What a cluster puts into every namespace by itself, and what tells nothing of who uses it.
_FURNITURE = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
_PASSING = {"events"}


async def leave(hub: Administered, member: Administered | None, *, site: str, namespace: str, force: bool) -> None:
    """Take the site out; without a member (it is gone for good) only the hub's side.

    Raises: SuanliError, SiteInUse when jobs are there and `force` is not given.
    """
    hub_id = await identity(hub)
    if member is not None:
        await _check_ours(hub, member, hub_id, site, namespace)
    if not force:
        await _check_unused(hub, member, hub_id, site)
        await _take_no_more(hub, site)
        await _check_unused(hub, member, hub_id, site)
    # The hub first: without its ComputeSite the operator begins nothing new there.
    await hub.remove("ComputeSite", site)
    await hub.remove("Secret", site_secret(site), namespace)
    if member is None:
        return
    name = member_account(hub_id)
    for kind, place in (
        ("ClusterRoleBinding", ""),
        ("ClusterRole", ""),
        ("ValidatingAdmissionPolicyBinding", ""),
        ("ValidatingAdmissionPolicy", ""),
        ("Secret", MEMBER_SYSTEM_NAMESPACE),
        ("ServiceAccount", MEMBER_SYSTEM_NAMESPACE),
    ):
        await member.remove(kind, name, place)
    await _remove_fence(member)
    await _remove_namespaces(member, hub_id)


async def _check_ours(hub: Administered, member: Administered, hub_id: str, site: str, namespace: str) -> None:
    """The member is not another hub's, and no other site."""
    member_id, known = await identity(member), await known_cluster(hub, site, namespace)
    if member_id == hub_id:
        raise SuanliError(Reason.DUPLICATE_CLUSTER, "the member is the hub itself; give its own --member-kubeconfig")
    system = mapping(mapping(await member.find("Namespace", MEMBER_SYSTEM_NAMESPACE)).get("metadata"))
    owner = mapping(system.get("labels")).get(LABEL_HUB)
    joined = mapping(system.get("annotations")).get(ANNOTATION_SITE)
    if owner and owner != hub_id:
        raise SuanliError(
            Reason.JOINED_ELSEWHERE,
            f'this cluster is joined to another hub ({owner}) as site "{joined}"; give the kubeconfig of site "{site}"',
        )
    if known and known != member_id:
        raise SuanliError(
            Reason.WRONG_CLUSTER,
            f'site "{site}" is cluster {known}, this member is {member_id}; give the kubeconfig of site "{site}",'
            " or --member-is-gone when its cluster exists no more",
        )
    if owner and joined and joined != site:
        raise SuanliError(
            Reason.JOINED_ELSEWHERE,
            f'this cluster is joined as site "{joined}", not "{site}"; give the kubeconfig of site "{site}"',
        )


async def _take_no_more(hub: Administered, site: str) -> None:
    """Have no job assigned there any more, and wait until the operator has seen that, if one looks after the site."""
    found = await hub.find("ComputeSite", site)
    if found is None or mapping(found.get("spec")).get("desiredState", SiteState.ACTIVE) != SiteState.ACTIVE:
        return
    await hub.merge("ComputeSite", site, {"spec": {"desiredState": SiteState.INACTIVE}})
    for _ in range(int(SEEN_WAIT_S / LOOK_EVERY_S)):
        if _is_seen(mapping(await hub.find("ComputeSite", site))):
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _is_seen(site: Raw) -> bool:
    """Whether the operator has written of what the site says now, or never wrote of it."""
    ready = find(readable(mapping(site.get("status")).get("conditions")), "Ready")
    return ready is None or ready.get("observedGeneration") == mapping(site.get("metadata")).get("generation")


async def _check_unused(hub: Administered, member: Administered | None, hub_id: str, site: str) -> None:
    """No job is assigned there, and no pod there still waits to be metered."""
    jobs = await hub.list_all(collection_of("ComputeJob"))
    assigned = [j for j in jobs if _site_of(j) == site and not mapping(j.get("status")).get("finishedAt")]
    if assigned:
        first = assigned[0]["metadata"]
        raise SuanliError(
            Reason.SITE_IN_USE,
            f'{len(assigned)} jobs are assigned to site "{site}", such as {first["namespace"]}/{first["name"]}; '
            "set its spec.desiredState to Inactive and wait until they end, or give --force to lose them",
        )
    if member is None:
        return
    finished = {j["metadata"]["uid"] for j in jobs if mapping(j.get("status")).get("finishedAt")}
    pods = await member.list_all("/api/v1/pods", f"{LABEL_HUB}={hub_id}")
    unmetered = [
        p for p in pods if _holds(p) and text(mapping(p["metadata"].get("labels")).get(LABEL_JOB_UID)) not in finished
    ]
    if unmetered:
        raise SuanliError(
            Reason.SITE_IN_USE,
            f"{len(unmetered)} pods on the member are not metered yet, such as {key_of(unmetered[0])}; "
            "wait until the operator has recorded them, or give --force to lose their usage",
        )


async def _remove_fence(member: Administered) -> None:
    """The fence, if there is one; its pods have to be gone before anybody can tell who else uses the namespace."""
    for kind, place in (
        ("Lease", MEMBER_SYSTEM_NAMESPACE),
        ("Deployment", MEMBER_SYSTEM_NAMESPACE),
        ("ClusterRoleBinding", ""),
        ("ClusterRole", ""),
        ("ValidatingAdmissionPolicyBinding", ""),
        ("ValidatingAdmissionPolicy", ""),
        ("ServiceAccount", MEMBER_SYSTEM_NAMESPACE),
    ):
        if await member.find(kind, FENCE, place) is not None:
            await member.remove(kind, FENCE, place)
    pods = ",".join(f"{key}={value}" for key, value in grants.FENCE_PODS.items())

    async def left() -> list[str]:
        found: list[str] = []
        for path in ("/apis/apps/v1/namespaces/{}/replicasets", "/api/v1/namespaces/{}/pods"):
            found += [name_of(o) for o in await member.list_all(path.format(MEMBER_SYSTEM_NAMESPACE), pods)]
        return found

    await _until_gone("its fence's", left)


async def _remove_namespaces(member: Administered, hub_id: str) -> None:
    """The tenants' namespaces with all that is in them, and our own; our finalizer must not hold them."""
    for namespace in await _tenants(member, hub_id):
        await _remove_namespace(member, namespace)
    system = await _remove_system(member)

    async def left() -> list[str]:
        for pod in await member.list_all("/api/v1/pods", f"{LABEL_HUB}={hub_id}"):
            await _release(member, pod)
        found = [name_of(n) for n in await _tenants(member, hub_id)]
        if system and await member.find("Namespace", MEMBER_SYSTEM_NAMESPACE):
            found.append(MEMBER_SYSTEM_NAMESPACE)
        return found

    await _until_gone("namespace", left)


async def _until_gone(what: str, look: Callable[[], Awaitable[list[str]]]) -> None:
    """Look until nothing is left. Raises: SuanliError after a while."""
    for _ in range(int(GONE_WAIT_S / LOOK_EVERY_S)):
        left = await look()
        if not left:
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise SuanliError(
        Reason.REFUSED,
        f"the member has not removed {what} {left[0]} in {GONE_WAIT_S:.0f} s; see what holds it, then leave again",
    )


async def _tenants(member: Administered, hub_id: str) -> list[Json]:
    found = await member.list_all(collection_of("Namespace"), f"{LABEL_HUB}={hub_id},{LABEL_MANAGED}={MANAGER}")
    return [n for n in found if name_of(n) != MEMBER_SYSTEM_NAMESPACE]


async def _remove_namespace(member: Administered, namespace: Json) -> None:
    """Ask for its removal once; a namespace that is on its way out refuses to be asked again."""
    if "deletionTimestamp" not in mapping(namespace.get("metadata")):
        await member.remove("Namespace", name_of(namespace))


async def _release(member: Administered, pod: Json) -> None:
    if not _holds(pod):
        return
    metadata = pod["metadata"]
    namespace, _, name = key_of(pod).rpartition("/")
    change = release_patch(text(metadata.get("uid")), metadata["finalizers"])
    await member.patch_if_unchanged(f"/api/v1/namespaces/{namespace}/pods/{name}", change)


async def _remove_system(member: Administered) -> bool:
    """Our namespace goes if joining made it and nobody else uses it; otherwise only our marks on it go. Whether it goes."""
    system = await member.find("Namespace", MEMBER_SYSTEM_NAMESPACE)
    if system is None:
        return False
    metadata = mapping(system.get("metadata"))
    made = grants.ANNOTATION_MADE in mapping(metadata.get("annotations"))
    if made and not await _used_by_others(member):
        await _remove_namespace(member, system)
        return True
    marks = {
        "labels": {LABEL_HUB: None, LABEL_MANAGED: None},
        "annotations": {ANNOTATION_SITE: None, grants.ANNOTATION_MADE: None},
    }
    await member.merge("Namespace", MEMBER_SYSTEM_NAMESPACE, {"metadata": marks})
    return False


async def _used_by_others(member: Administered) -> bool:
    """Whether anything of any kind is in the system namespace beside what a cluster puts there, or that cannot be told."""
    try:
        groups = items(mapping(await member.get("/apis")).get("groups"))
        versions = [text(mapping(group.get("preferredVersion")).get("groupVersion")) for group in groups]
        for path in ("/api/v1", *(f"/apis/{version}" for version in versions)):
            for resource in items(mapping(await member.get(path)).get("resources")):
                if await _holds_more_than_furniture(member, path, resource):
                    return True
    except SuanliError:
        return True  # such as an extension server that is down
    return False


async def _holds_more_than_furniture(member: Administered, path: str, resource: Raw) -> bool:
    kind, verbs = text(resource.get("name")), resource.get("verbs")
    if not resource.get("namespaced") or "list" not in (verbs or []) or kind in _PASSING:
        return False
    found = await member.list_all(f"{path}/namespaces/{MEMBER_SYSTEM_NAMESPACE}/{kind}")
    return any((kind, name_of(o)) not in _FURNITURE for o in found)


def _site_of(job: Json) -> object:
    return mapping(mapping(job.get("status")).get("assignment")).get("site")


def _holds(pod: Json) -> bool:
    finalizers = pod["metadata"].get("finalizers")
    return isinstance(finalizers, list) and FINALIZER_METERING in finalizers
