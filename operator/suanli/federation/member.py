"""One member cluster as the hub sees it: what it has, what runs there, and whether it still answers."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from suanli.api.site import SiteResource
from suanli.base.clock import Clock
from suanli.base.names import (
    ANNOTATION_FENCE_SEEN,
    FENCE,
    GUARD,
    LABEL_EPOCH,
    LABEL_HUB,
    LABEL_JOB_UID,
    LABEL_MANAGED,
    MANAGER,
    MEMBER_NAMESPACE_PREFIX,
    MEMBER_SYSTEM_NAMESPACE,
    OLDEST_MINOR,
    member_job_name,
    member_namespace,
)
from suanli.base.reasons import Reason
from suanli.base.untrusted import mapping, text
from suanli.federation import capacity, facts, render
from suanli.federation.facts import NodeFacts, OwnJob, OwnPod, PodLoad
from suanli.federation.tenancy import Bounds, guards, mending
from suanli.kube.client import ApiClient, ApiError, Json, NotSent, Target, Unreachable, name_of
from suanli.kube.watch import Reflector, key_of

JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
FENCE_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{MEMBER_SYSTEM_NAMESPACE}/leases/{FENCE}"
NAMESPACES = "/api/v1/namespaces"
GUARDS = {
    "NetworkPolicy": "/apis/networking.k8s.io/v1{}/networkpolicies",
    "ResourceQuota": "/api/v1{}/resourcequotas",
}
MOST_NODES, MOST_PODS = 20_000, 200_000  # Kubernetes itself promises 5,000 and 150,000
MOST_PODS_OF_JOB = 20_000  # a job has at most 10,000 tasks, and each runs once
HEARTBEATS_S = 1.0  # nodes say again and again that they are there: many are heard at a time, which costs a third
PATIENCE_S = 10.0  # with a request for a job: whoever sends one holds up nobody but this member's other jobs
RENEWAL_S = 3.0  # with the renewal of a fence: those of all members are awaited together
MENDING_S = 30.0
OWNER_EVERY_S = 60.0  # whose the cluster is, is asked so often
BELIEVED_AT_ONCE = (Reason.WRONG_CLUSTER, Reason.JOINED_ELSEWHERE, Reason.DUPLICATE_CLUSTER)
TELL_S = 0.05


@dataclass(frozen=True)
class Health:
    """Whether the member can be used, and the sentence that says why not."""

    reachable: bool | None
    reason: Reason
    message: str
    version: str = ""
    cluster_id: str = ""


class Member:
    """Mirrors of one member's nodes, pods and our Jobs, kept by watches; and the few writes the hub makes there."""

    def __init__(
        self,
        site: str,
        client: ApiClient,
        *,
        hub_id: str,
        clock: Clock,
        probe_s: float,
        unreachable_after_s: float,
        full_compare_s: float,
        bounds: Bounds,
        on_job: Callable[[str], None],
        on_site: Callable[[str], None],
        cluster_id: str = "",
    ) -> None:
        """`cluster_id` is the cluster that the site is known to be, if it is known; else the first one that answers."""
        self.site = site
        self._hub_id = hub_id
        self.health = Health(None, Reason.SYNCING, "not yet heard from")
        self.last_heard_ms = 0
        self.jobs: dict[str, dict[str, OwnJob]] = {}  # by job UID, by namespace/name
        self.pods: dict[str, dict[str, OwnPod]] = {}  # by job UID, by pod UID
        self._client = client
        self._bounds = bounds
        self._clock = clock
        self._probe_s = probe_s
        self._silence_s = unreachable_after_s
        self._on_job = on_job
        self._on_site = on_site
        self._cluster_id = cluster_id
        self._namespaces: set[str] = set()
        self._making: dict[str, asyncio.Event] = {}  # namespaces that are being made; set when that has ended
        self._figures: tuple[object, Mapping[str, capacity.ClassFigures]] | None = None
        self._revision = 0
        self._usable = -1, 0  # as of which revision, and how many
        self._loads: dict[str, PodLoad] = {}  # of our pods that hold a node, by pod UID
        self._telling: asyncio.TimerHandle | None = None
        self._stalled = ""  # how somebody waited in vain, while nothing was heard since
        self._doubts = 0  # moments from which on another cluster may stand behind the address
        self._settled = 0  # of those, the last after which it has said which cluster it is
        self._asked = asyncio.Event()  # somebody cannot go on before it has said how it is
        self._owner = ""  # the hub that the cluster says it belongs to
        self._owner_due_s = 0.0
        self._heard_s = 0.0  # on the loop's clock, which does not jump; by a watch, a list or a probe
        self._answered_s = 0.0  # the same, by an answer to a write
        self._well_s = 0.0
        self._begun_s = 0.0
        ours, others = f"{LABEL_HUB}={hub_id}", f"{LABEL_HUB}!={hub_id}"
        live = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
        others_live = {"labelSelector": others, "fieldSelector": live}
        self._nodes = self._reflector(
            "/api/v1/nodes", {}, facts.node_facts, self._capacity_changed, MOST_NODES, rest_s=HEARTBEATS_S
        )
        self._foreign = self._reflector("/api/v1/pods", others_live, facts.pod_load, self._capacity_changed)
        mine = {"labelSelector": ours}
        self._own_jobs = self._reflector(
            "/apis/batch/v1/jobs", mine, facts.own_job, self._job_changed, relist_s=full_compare_s
        )
        self._own_pods = self._reflector("/api/v1/pods", mine, _own_pod, self._pod_changed, relist_s=full_compare_s)
        self._reflectors = (self._nodes, self._foreign, self._own_jobs, self._own_pods)

    def _reflector(
        self,
        path: str,
        params: dict[str, str],
        keep: Callable[[Json], Any],
        on_change: Callable[[str, Any, Any], None],
        most: int = MOST_PODS,
        relist_s: float = math.inf,
        rest_s: float = 0.0,
    ) -> Reflector:
        return Reflector(
            self._client,
            path,
            params=params,
            keep=keep,
            on_change=on_change,
            on_heard=self._heard,
            on_trouble=self._doubt,
            confirm=self._confirm_cluster,
            most=most,
            relist_s=relist_s,
            rest_s=rest_s,
        )

    async def run(self) -> None:
        """Watch and probe until cancelled; then close the connection."""
        self._heard_s = self._begun_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._probe())
                for reflector in self._reflectors:
                    group.create_task(reflector.run())
        finally:
            if self._telling is not None:
                self._telling.cancel()
            await self._client.close()

    async def authenticate(self, target: Target) -> None:
        """Use another account at the same address from now on; mirrors stay and watches resume where they were.

        Raises: ValueError, and nothing has changed.
        """
        await self._client.authenticate(target)

    @property
    def synced(self) -> bool:
        """Whether every mirror has been filled once."""
        return all(r.synced.is_set() for r in self._reflectors)

    @property
    def usable(self) -> bool:
        """Whether its mirrors are full and it answers."""
        return self.synced and self.health.reachable is True

    # --- what is there

    def nodes(self) -> Iterable[NodeFacts]:
        """Every node."""
        nodes: dict[str, NodeFacts] = self._nodes.items
        return nodes.values()

    def usable_nodes(self) -> list[NodeFacts]:
        """Ready, schedulable nodes."""
        return [n for n in self.nodes() if n.usable]

    def count_usable(self) -> int:
        """How many those are; counted anew only when something changed."""
        if self._usable[0] != self._revision:
            self._usable = self._revision, sum(node.usable for node in self.nodes())
        return self._usable[1]

    def figures(
        self, classes: tuple[SiteResource, ...], unbound: tuple[capacity.Demand, ...]
    ) -> Mapping[str, capacity.ClassFigures]:
        """Capacity by class; computed anew only when something changed."""
        key = (self._revision, classes, unbound)
        if self._figures is None or self._figures[0] != key:
            self._figures = (
                key,
                capacity.figures(classes, self.nodes(), self._foreign.items.values(), self._loads.values(), unbound),
            )
        return self._figures[1]

    def bound_tasks(self, job_uid: str, epoch: int) -> int:
        """Tasks of an attempt that hold or held a node."""
        return sum(1 for p in self.pods.get(job_uid, {}).values() if p.epoch == epoch and (p.node or p.ended))

    def job_uids(self) -> set[str]:
        """UIDs of all ComputeJobs that have anything here."""
        return set(self.jobs) | set(self.pods)

    # --- what the hub does there

    async def create_job(self, namespace: Json, job: Json) -> None:
        """Create the attempt's Job, and its namespace when it is not there. Creating it again changes nothing.

        Raises: ApiError, Unreachable.
        """
        name = namespace["metadata"]["name"]
        path = JOBS.format(namespace=name)
        if name not in self._namespaces:
            async with self._patience(PATIENCE_S):
                await self._namespace(namespace)
        async with self._patience(PATIENCE_S):
            try:
                answer = await self._client.post(path, job)
            except ApiError as error:
                if error.status == 404:
                    self._namespaces.discard(name)  # it was removed behind our back: the next try makes it anew
                if error.status != 409:
                    raise
                answer = await self._client.get(f"{path}/{job['metadata']['name']}")
        made, wanted = facts.own_job(answer), facts.own_job(job)
        if (made.namespace, made.name, made.job_uid, made.epoch) != (name, wanted.name, wanted.job_uid, wanted.epoch):
            raise Unreachable(f"{self._client.server} has another object where Job {name}/{wanted.name} should be")
        self._own_jobs.learn(answer)

    async def _namespace(self, namespace: Json) -> None:
        """Have it there: made once, whoever else needs it too waits for that. Raises: ApiError, Unreachable."""
        name = namespace["metadata"]["name"]
        other = self._making.get(name)
        if other is not None:
            await other.wait()
            if name not in self._namespaces:
                await self._ensure_namespace(namespace)
            return
        made = self._making[name] = asyncio.Event()
        try:
            await self._ensure_namespace(namespace)
        finally:
            del self._making[name]
            made.set()

    async def _ensure_namespace(self, namespace: Json) -> None:
        name = namespace["metadata"]["name"]
        await self._ensure(NAMESPACES, namespace)
        try:
            bounds = guards(self._hub_id, name, self._bounds)
            await asyncio.gather(*(self._ensure(_guards(guard["kind"], name), guard) for guard in bounds))
        except ApiError as error:
            if "cannot create resource" not in error.message:
                raise
            raise ApiError(error.status, error.reason, f"{error.message}; join the site again") from error
        self._namespaces.add(name)

    async def _ensure(self, path: str, manifest: Json) -> bool:
        """Whether it was not there and is now. Raises: ApiError, Unreachable."""
        try:
            await self._client.post(path, manifest)
        except ApiError as error:
            if error.status != 409:
                raise
            return False
        return True

    async def mend_namespaces(self) -> list[str]:
        """Put right what somebody changed of the tenants' namespaces and of what bounds them; what was put right.

        It reads three lists; it writes nothing where nothing is wrong. Raises: ApiError, Unreachable.
        """
        try:
            async with asyncio.timeout(MENDING_S):
                return await self._mend_all()
        except TimeoutError as error:
            raise Unreachable(f"{self._client.server} takes longer than {MENDING_S:g} s to be put right") from error

    async def _mend_all(self) -> list[str]:
        ours = {"labelSelector": f"{LABEL_HUB}={self._hub_id},{LABEL_MANAGED}={MANAGER}"}
        found = (await self._client.list_all(NAMESPACES, ours))["items"]
        standing = {
            (kind, text(raw["metadata"].get("namespace"))): raw
            for kind in GUARDS
            for raw in (await self._client.list_all(_guards(kind), ours))["items"]
            if name_of(raw) == GUARD
        }
        mended = []
        for namespace in found:
            name = name_of(namespace)
            if not name.startswith(MEMBER_NAMESPACE_PREFIX) or "deletionTimestamp" in namespace["metadata"]:
                continue
            if name in self._making:
                continue  # what bounds it is under way
            if await self._mend(f"{NAMESPACES}/{name}", namespace, render.own_namespace(self._hub_id, name)):
                mended.append(f"Namespace {name}")
            for guard in guards(self._hub_id, name, self._bounds):
                kind = guard["kind"]
                if await self._mend_guard(guard, standing.get((kind, name))):
                    mended.append(f"{kind} {name}/{GUARD}")
        return mended

    async def _mend_guard(self, guard: Json, seen: Json | None) -> bool:
        path = _guards(guard["kind"], guard["metadata"]["namespace"])
        if seen is None and await self._ensure(path, guard):
            return True
        # There, but without its labels: that is why it was not listed.
        return await self._mend(f"{path}/{GUARD}", seen or {}, guard)

    async def _mend(self, path: str, seen: Json, wanted: Json) -> bool:
        patch = mending(seen, wanted)
        if patch:
            await self._client.patch(path, patch, kind="json")
        return bool(patch)

    async def find_job(self, uid: str, epoch: int, namespace: str) -> bool:
        """Whether an attempt's Job is there though no watch told of it; it is known from then on, and without it its pods are.

        Raises: ApiError, Unreachable.
        """
        place = member_namespace(self._hub_id, namespace)
        dropped, pods = self._own_jobs.dropped, list[Json]()
        known = {pod.name for pod in self.pods.get(uid, {}).values()}
        async with self._patience(PATIENCE_S):
            try:
                job = await self._client.get(f"{JOBS.format(namespace=place)}/{member_job_name(uid, epoch)}")
            except ApiError as error:
                if error.status != 404:
                    raise
                job = None
                pods = await self._pods_of(place, uid, epoch)
        if job is not None and self._own_jobs.dropped != dropped:
            raise Unreachable(f"{self._client.server} changed while it was asked")  # it may be gone by now
        if job is not None:
            self._own_jobs.believe(job)
        for pod in pods:
            if name_of(pod) not in known and key_of(pod) not in self._own_pods.items:
                self._own_pods.believe(pod)
        return job is not None

    async def _pods_of(self, place: str, uid: str, epoch: int) -> list[Json]:
        """The pods of an attempt as they are now. Raises: ApiError, Unreachable."""
        selector = {"labelSelector": f"{LABEL_HUB}={self._hub_id},{LABEL_JOB_UID}={uid},{LABEL_EPOCH}={epoch}"}
        found: list[Json] = (await self._client.list_all(f"/api/v1/namespaces/{place}/pods", selector))["items"]
        return found

    async def find_ended(self, job: OwnJob) -> bool:
        """Whether any pod of a Job has ended of which no watch has told; it is known from then on.

        A member that refuses to show them shows none. Raises: Unreachable.
        """
        known = {pod.name: pod.ended for pod in self.pods.get(job.job_uid, {}).values()}
        async with self._patience(PATIENCE_S):
            try:
                pods = await self._pods_of(job.namespace, job.job_uid, job.epoch)
            except ApiError:
                return False
        for raw in pods:
            is_there = name_of(raw) not in known or key_of(raw) in self._own_pods.items
            if is_there and not known.get(name_of(raw)) and _own_pod(raw).ended:
                self._own_pods.believe(raw)
        return sum(pod.ended for pod in self.pods.get(job.job_uid, {}).values()) > sum(known.values())

    async def delete_job(self, job: OwnJob) -> None:
        """Delete exactly this Job, its pods first: while one may run, the Job is there. Raises: ApiError, Unreachable."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": job.uid}}
        async with self._patience(PATIENCE_S):
            try:
                await self._client.delete(f"{JOBS.format(namespace=job.namespace)}/{job.name}", body)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    async def release_pod(self, pod: OwnPod) -> None:
        """Take our finalizer off a pod whose use is recorded. Raises: ApiError, Unreachable."""
        change = render.release_patch(pod.uid, pod.raw["metadata"].get("finalizers") or [])
        if not change:
            return
        async with self._patience(PATIENCE_S):
            try:
                path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
                await self._client.patch(path, change, kind="json")
            except ApiError as error:
                if error.status != 404:
                    raise

    async def renew_fence(self, stamp: str, lease_s: int) -> str:
        """Renew the lease of the member's fence; the stamp of the renewal that the fence has seen last, or nothing.

        Raises: ApiError, 404 when the member has none; Unreachable, and then it may come true later.
        """
        spec = {"holderIdentity": self._hub_id, "leaseDurationSeconds": lease_s, "renewTime": stamp}
        async with self._patience(RENEWAL_S):
            answer = await self._client.patch(FENCE_LEASE, {"spec": spec})
        return text(mapping(mapping(answer.get("metadata")).get("annotations")).get(ANNOTATION_FENCE_SEEN), 63)

    @asynccontextmanager
    async def _patience(self, seconds: float) -> AsyncIterator[None]:
        """Nobody waits longer for this member; when one waited in vain and nobody was answered, it is asked how it is.

        Raises: Unreachable; NotSent, at once while the member has not answered since such a wait, and while it has not said since a
        connection broke or its credentials were refused which cluster it is.
        """
        if self._stalled:
            raise NotSent(self._stalled)
        if self._settled != self._doubts:
            raise NotSent(f"{self._client.server} is being asked again which cluster it is")
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        try:
            async with asyncio.timeout(seconds):
                yield
            self._answered_s = now_s()
        except ApiError as error:
            self._answered_s = now_s()
            self._doubt(error)
            raise
        except TimeoutError as error:
            late = f"{self._client.server} takes longer than {seconds:g} s to answer"
            if max(self._answered_s, self._heard_s) < began_s:
                self._stalled = late
                self._asked.set()
            raise Unreachable(late) from error

    def _doubt(self, error: ApiError | Unreachable) -> None:
        """A connection broke, or we are not known there any more: nothing is sent before it has said again who it is."""
        if isinstance(error, Unreachable) or error.status == 401:
            self._doubts += 1
            self._asked.set()

    # --- what it tells

    def _heard(self) -> None:
        self.last_heard_ms = self._clock.now_ms()
        self._heard_s = asyncio.get_running_loop().time()

    def _tell_site(self) -> None:
        """Tell of a change of the site soon, of many changes once."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_S, self._told)

    def _told(self) -> None:
        self._telling = None
        self._on_site(self.site)

    def _capacity_changed(self, kind: str, new: Any, old: Any) -> None:
        self._revision += 1
        self._tell_site()

    def _job_changed(self, kind: str, job: OwnJob, old: OwnJob | None) -> None:
        if old is not None and facts.is_ours(old):
            _take_out(self.jobs, old.job_uid, f"{old.namespace}/{old.name}")
            self._on_job(old.job_uid)
        if kind != "DELETED" and facts.is_ours(job):
            self.jobs.setdefault(job.job_uid, {})[f"{job.namespace}/{job.name}"] = job
            self._on_job(job.job_uid)

    def _pod_changed(self, kind: str, pod: OwnPod, old: OwnPod | None) -> None:
        held = self._loads.pop(old.uid, None) if old is not None else None
        load = facts.pod_load(pod.raw) if kind != "DELETED" and pod.node and not pod.ended else None
        if load is not None:
            self._loads[pod.uid] = load
        if load != held:
            self._capacity_changed(kind, pod, old)
        before = self.pods.get(pod.job_uid, {}).get(pod.uid)
        if before is not None and before.completed:
            pod = replace(
                pod, completed=True
            )  # nobody can tell any more from one that succeeded when it was told to go
        if old is not None and facts.is_ours(old):
            _take_out(self.pods, old.job_uid, old.uid)
            self._on_job(old.job_uid)
        if kind != "DELETED" and facts.is_ours(pod) and len(self.pods.get(pod.job_uid, ())) < MOST_PODS_OF_JOB:
            self.pods.setdefault(pod.job_uid, {})[pod.uid] = pod
            self._on_job(pod.job_uid)

    # --- whether it is well

    async def _probe(self) -> None:
        """Ask the member for its version and identity again and again; decide whether it is reachable."""
        silent = True
        while True:
            before, doubts = self.health, self._doubts
            self._asked.clear()
            try:
                seen = self._seen(*await self._answers())
                if seen.reason not in BELIEVED_AT_ONCE:
                    self._settled = doubts
                    self._heard()
                self._stalled = ""
                if silent:
                    for reflector in self._reflectors:
                        reflector.hurry()
                silent, since_s = False, self._well_s
            except (ApiError, Unreachable) as error:
                seen, silent = self._refused(error), True
                self._stalled = self._stalled if isinstance(error, Unreachable) else ""
                since_s = self._heard_s if seen.reason is Reason.UNREACHABLE else self._well_s
            self.health = self._believed(seen, since_s)
            if self.health != before:
                self._tell_site()
                if self.health.reachable and not before.reachable:
                    for uid in self.job_uids():
                        self._on_job(uid)
            await self._until_next_probe(hurry=not silent)

    async def _answers(self) -> tuple[Json, str]:
        """Its version and which cluster it is. Raises: ApiError, Unreachable, also when it is silent for too long."""
        try:
            async with asyncio.timeout(self._silence_s):
                answers = await self._client.get("/version"), await self._cluster()
                await self._ask_owner()
                return answers
        except TimeoutError as error:
            raise Unreachable(f"{self._client.server} did not answer in {self._silence_s:g} s") from error

    async def _ask_owner(self) -> None:
        """Which hub it belongs to, as joining wrote there; accounts of older joins may not ask. Raises: ApiError, Unreachable."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._owner_due_s:
            return
        try:
            system = await self._client.get(f"/api/v1/namespaces/{MEMBER_SYSTEM_NAMESPACE}")
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            system = {}
        self._owner = text(mapping(mapping(system.get("metadata")).get("labels")).get(LABEL_HUB), 63)
        # What is wrong is asked again with every probe, so that it heals as soon as it is put right.
        self._owner_due_s = now_s + (OWNER_EVERY_S if self._owner in ("", self._hub_id) else 0.0)

    async def _until_next_probe(self, *, hurry: bool) -> None:
        """A while; but when the mirrors are full for the first time the member is to be used at once, and a doubt is to end."""
        if self.synced:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._probe_s):
                    await (self._asked.wait() if hurry else asyncio.Event().wait())
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._probe_s):
                for reflector in self._reflectors:
                    await reflector.synced.wait()

    def _believed(self, seen: Health, since_s: float) -> Health:
        """A member that was well stays so until it has not been well for a while: one bad answer is none.

        That another cluster answers, or that it is not this hub's, is believed at once: nothing may be done there.
        """
        now_s = asyncio.get_running_loop().time()
        if seen.reachable:
            self._well_s = now_s
        if seen.reachable or seen.reason in BELIEVED_AT_ONCE or now_s - since_s >= self._silence_s:
            return seen
        first_word = self.health.reachable is not True and seen.reason is not Reason.UNREACHABLE
        return seen if first_word else self.health

    def _seen(self, version: Json, cluster: str) -> Health:
        """What its answers say."""
        git = text(version.get("gitVersion"), 63)
        digits = "".join(c for c in text(version.get("minor")) if c.isdecimal())
        if not git or not cluster or not digits:
            wrong = f"{self._client.server} answers, but not as a Kubernetes API server does"
            return self._bad(Reason.BAD_RESPONSE, wrong)
        if version.get("major") != "1" or int(digits[:6]) < OLDEST_MINOR:
            old = f"the member runs Kubernetes {git}; suanli needs 1.{OLDEST_MINOR} or newer"
            return Health(False, Reason.UNSUPPORTED_VERSION, old, git, cluster)
        if cluster != (self._cluster_id or cluster):
            return self._bad(Reason.WRONG_CLUSTER, self._other(cluster))
        if cluster == self._hub_id:
            own = f"{self._client.server} is the hub itself; give site {self.site} the address of its own cluster"
            return self._bad(Reason.DUPLICATE_CLUSTER, own)
        if self._owner not in ("", self._hub_id):
            other = f"the cluster is joined to another hub ({self._owner}); let it leave there first, then join site {self.site}"
            return self._bad(Reason.JOINED_ELSEWHERE, other)
        self._cluster_id = cluster
        trouble = next((r.trouble for r in self._reflectors if r.trouble is not None), None)
        if trouble is not None and (self.synced or (isinstance(trouble, ApiError) and trouble.status in (401, 403))):
            return self._refused(trouble)
        if not self.synced:
            why = f": {_sentence(trouble)}" if trouble is not None else ""
            told = f"the first lists of nodes, pods and jobs are not complete{why}"
            # One that is slow is waited for; of one that fails to show them nobody knows what runs there.
            fails = trouble is not None and asyncio.get_running_loop().time() - self._begun_s >= self._silence_s
            return Health(False if fails else None, Reason.SYNCING, told, git, cluster)
        return Health(True, Reason.CONNECTED, f"Kubernetes {git} answers", git, cluster)

    def _refused(self, error: ApiError | Unreachable) -> Health:
        """What a request that failed says."""
        sentence = _sentence(error)
        if isinstance(error, ApiError) and error.status == 401:
            return self._bad(
                Reason.CREDENTIALS_REFUSED, f"the member refuses the credentials ({sentence}); join the site again"
            )
        if isinstance(error, ApiError) and error.status == 403:
            lacks = f"the member's account lacks a permission ({sentence}); join the site again"
            return self._bad(Reason.PERMISSION_DENIED, lacks)
        return self._bad(Reason.UNREACHABLE, sentence)

    def _bad(self, reason: Reason, message: str) -> Health:
        return Health(False, reason, message, self.health.version, self.health.cluster_id)

    async def _cluster(self) -> str:
        """The cluster that answers. Raises: ApiError, Unreachable."""
        namespace = await self._client.get("/api/v1/namespaces/kube-system")
        return text(mapping(namespace.get("metadata")).get("uid"), 63)

    async def _confirm_cluster(self) -> None:
        """A list of another cluster lacks all that runs here: it is not believed. Raises: ApiError, Unreachable."""
        cluster = await self._cluster()
        self._cluster_id = self._cluster_id or cluster
        if cluster != self._cluster_id:
            raise Unreachable(self._other(cluster))

    def _other(self, cluster: str) -> str:
        return (
            f"{self._client.server} is cluster {cluster}, site {self.site} is cluster {self._cluster_id}; give it the"
            f" address of its own cluster, or let it leave and join again if it was replaced"
        )


def _guards(kind: str, namespace: str = "") -> str:
    return GUARDS[kind].format(f"/namespaces/{namespace}" if namespace else "")


def _own_pod(raw: Json) -> OwnPod:
    return facts.own_pod(facts.trimmed_pod(raw))


def _take_out(index: dict[str, dict[str, Any]], job_uid: str, key: str) -> None:
    of_job = index.get(job_uid, {})
    of_job.pop(key, None)
    if not of_job:
        index.pop(job_uid, None)


def _sentence(error: ApiError | Unreachable) -> str:
    return text(str(error), 400)
