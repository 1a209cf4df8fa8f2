"""One member cluster as the hub sees it: what it has, what runs there, and whether it still answers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suanli.api.site import SiteResource
from suanli.base.clock import Clock
from suanli.base.names import FINALIZER_METERING, LABEL_HUB
from suanli.base.reasons import Reason
from suanli.federation import capacity, facts
from suanli.federation.facts import NodeFacts, OwnJob, OwnPod, PodLoad
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable
from suanli.kube.watch import Reflector

JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
OLDEST_MINOR = 31


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
        on_job: Callable[[str], None],
        on_site: Callable[[str], None],
    ) -> None:
        self.site = site
        self.health = Health(None, Reason.SYNCING, "not yet heard from")
        self.last_heard_ms = 0
        self.jobs: dict[str, dict[str, OwnJob]] = {}  # by job UID, by name
        self.pods: dict[str, dict[str, OwnPod]] = {}  # by job UID, by pod UID
        self._client = client
        self._hub_id = hub_id
        self._clock = clock
        self._probe_s = probe_s
        self._silence_ms = unreachable_after_s * 1000
        self._on_job = on_job
        self._on_site = on_site
        self._namespaces: set[str] = set()
        self._figures: tuple[object, Mapping[str, capacity.ClassFigures]] | None = None
        self._revision = 0
        self._trouble = ""
        self._began_ms = clock.now_ms()
        ours, others = f"{LABEL_HUB}={hub_id}", f"{LABEL_HUB}!={hub_id}"
        live = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
        self._nodes = self._reflector("/api/v1/nodes", {}, facts.node_facts, self._capacity_changed)
        self._foreign = self._reflector(
            "/api/v1/pods", {"labelSelector": others, "fieldSelector": live}, facts.pod_load, self._capacity_changed
        )
        self._own_jobs = self._reflector(
            "/apis/batch/v1/jobs", {"labelSelector": ours}, facts.own_job, self._job_changed
        )
        self._own_pods = self._reflector(
            "/api/v1/pods",
            {"labelSelector": ours},
            lambda raw: facts.own_pod(facts.trimmed_pod(raw)),
            self._pod_changed,
        )
        self._loads: dict[str, PodLoad] = {}

    def _reflector(
        self, path: str, params: dict[str, str], keep: Callable[[Json], Any], on_change: Callable[[str, Any, Any], None]
    ) -> Reflector:
        return Reflector(
            self._client,
            path,
            params=params,
            keep=keep,
            on_change=on_change,
            on_trouble=self._watch_trouble,
            on_heard=self._heard,
        )

    async def run(self) -> None:
        """Watch and probe until cancelled; then close the connection."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._probe())
                for reflector in (self._nodes, self._foreign, self._own_jobs, self._own_pods):
                    group.create_task(reflector.run())
        finally:
            await self._client.close()

    @property
    def synced(self) -> bool:
        """Whether every mirror has been filled once."""
        return all(r.synced.is_set() for r in (self._nodes, self._foreign, self._own_jobs, self._own_pods))

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
            await self._ensure_namespace(namespace)
        try:
            answer = await self._client.post(path, job)
        except ApiError as error:
            if error.status == 404:
                self._namespaces.discard(name)  # it was removed behind our back: the next try makes it anew
            if error.status != 409:
                raise
            answer = await self._client.get(f"{path}/{job['metadata']['name']}")
        self._put_job(facts.own_job(answer))

    async def _ensure_namespace(self, namespace: Json) -> None:
        try:
            await self._client.post("/api/v1/namespaces", namespace)
        except ApiError as error:
            if error.status != 409:
                raise
        self._namespaces.add(namespace["metadata"]["name"])

    async def delete_job(self, job: OwnJob) -> None:
        """Delete exactly this Job and, in the background, its pods. Raises: ApiError, Unreachable."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": job.uid}}
        try:
            await self._client.delete(f"{JOBS.format(namespace=job.namespace)}/{job.name}", body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def release_pod(self, pod: OwnPod) -> None:
        """Take our finalizer off a pod whose use is recorded. Raises: ApiError, Unreachable."""
        raw = pod.raw["metadata"].get("finalizers") or []
        left = [f for f in raw if f != FINALIZER_METERING]
        body: Json = {"metadata": {"uid": pod.uid, "finalizers": left or None}}
        try:
            await self._client.patch(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    # --- what it tells

    def _heard(self) -> None:
        self.last_heard_ms = self._clock.now_ms()

    def _watch_trouble(self, error: ApiError | Unreachable) -> None:
        self._trouble = _sentence(error)

    def _capacity_changed(self, kind: str, new: Any, old: Any) -> None:
        if kind == "MODIFIED" and new == old:
            return
        self._revision += 1
        self._on_site(self.site)

    def _job_changed(self, kind: str, job: OwnJob, old: OwnJob | None) -> None:
        if kind == "DELETED":
            named = self.jobs.get(job.job_uid, {})
            named.pop(job.name, None)
            if not named:
                self.jobs.pop(job.job_uid, None)
        else:
            self._put_job(job)
        self._on_job(job.job_uid)

    def _put_job(self, job: OwnJob) -> None:
        self.jobs.setdefault(job.job_uid, {})[job.name] = job

    def _pod_changed(self, kind: str, pod: OwnPod, old: OwnPod | None) -> None:
        of_job = self.pods.setdefault(pod.job_uid, {})
        if kind == "DELETED":
            of_job.pop(pod.uid, None)
            if not of_job:
                self.pods.pop(pod.job_uid, None)
        else:
            of_job[pod.uid] = pod
        holds = kind != "DELETED" and bool(pod.node) and not pod.ended
        if holds != (pod.uid in self._loads):
            if holds:
                self._loads[pod.uid] = facts.pod_load(pod.raw)
            else:
                del self._loads[pod.uid]
            self._revision += 1
            self._on_site(self.site)
        self._on_job(pod.job_uid)

    async def _probe(self) -> None:
        """Ask the member for its version and identity again and again; decide whether it is reachable."""
        while True:
            before = self.health
            try:
                version = await self._client.get("/version")
                identity = await self._client.get("/api/v1/namespaces/kube-system")
                self._heard()
                self.health = self._good_health(version, identity)
            except (ApiError, Unreachable) as error:
                self.health = self._bad_health(error)
            if self.health != before:
                self._on_site(self.site)
                if self.health.reachable and not before.reachable:
                    for uid in self.job_uids():
                        self._on_job(uid)
            await asyncio.sleep(self._probe_s)

    def _good_health(self, version: Json, identity: Json) -> Health:
        text = facts.text(version.get("gitVersion"), 63)
        cluster = facts.text(facts.mapping(identity.get("metadata")).get("uid"), 63)
        digits = "".join(c for c in facts.text(version.get("minor")) if c.isdecimal())
        if not text or not cluster or not digits:
            return Health(
                False, Reason.BAD_RESPONSE, f"{self._client.server} answers, but not as a Kubernetes API server does"
            )
        if version.get("major") != "1" or int(digits[:6]) < OLDEST_MINOR:
            return Health(
                False,
                Reason.UNSUPPORTED_VERSION,
                f"the member runs Kubernetes {text}; suanli needs 1.{OLDEST_MINOR} or newer",
                text,
                cluster,
            )
        if not self.synced:
            why = f": {self._trouble}" if self._trouble else ""
            return Health(
                None, Reason.SYNCING, f"the first lists of nodes, pods and jobs are not complete{why}", text, cluster
            )
        return Health(True, Reason.CONNECTED, f"Kubernetes {text} answers", text, cluster)

    def _bad_health(self, error: ApiError | Unreachable) -> Health:
        sentence, known = _sentence(error), self.health
        if isinstance(error, ApiError) and error.status == 401:
            text = f"the member refuses the credentials ({sentence}); join the site again"
            return Health(False, Reason.CREDENTIALS_REFUSED, text, known.version, known.cluster_id)
        if isinstance(error, ApiError) and error.status == 403:
            text = f"the member's account lacks a permission ({sentence}); join the site again"
            return Health(False, Reason.PERMISSION_DENIED, text, known.version, known.cluster_id)
        heard = max(self.last_heard_ms, self._began_ms)
        silent_ms = self._clock.now_ms() - heard
        if silent_ms < self._silence_ms:
            return known
        return Health(False, Reason.UNREACHABLE, sentence, known.version, known.cluster_id)


def _sentence(error: ApiError | Unreachable) -> str:
    return facts.text(str(error), 400)
