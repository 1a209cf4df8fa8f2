"""A whole federation in virtual time: a hub, members whose Jobs really run, and the operator as a process that can be killed.

Every member keeps the truth about what ran on it, so that a test can compare; containers of two attempts of one job that run
at the same time are noticed the moment they do.
"""

import asyncio
import base64
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import virtualtime
from apistore import Change, Json, Refusal, merged
from builders import a_region, a_site
from memoryhub import FOREGROUND, Life, MemoryClient, MemoryServer
from standstill import Standstill
from suanli.api import PLACEMENT_KINDS
from suanli.api.job import Placement
from suanli.base.clock import time_text_ms
from suanli.base.conditions import readable
from suanli.base.errors import SuanliError
from suanli.base.names import API_VERSION, GROUP, LABEL_EPOCH, LABEL_JOB_UID, VERSION
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.units import cpu_milli
from suanli.billing.usage import Gap
from suanli.federation.credentials import write_kubeconfig
from suanli.kube.client import ApiError, Target, Unreachable
from suanli.kube.lease import Lease
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.main import LEASE
from suanli.placement.accounts import Tenancy
from suanli.placement.snapshot import Country, Decision, Plan, SiteView, WaitingJob
from suanli.reconcile.operator import Operator
from suanli.telemetry.metrics import Metrics
from virtualtime import InlinePool, VirtualClock

NAMESPACE = "suanli-system"
PODS, JOBS = "/api/v1/pods", "/apis/batch/v1/jobs"


def place_first(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    tenancy: Tenancy,
    *,
    warm: object = None,
) -> Plan:
    """Each job on the first ready site with enough cores left."""
    free = {
        (v.site.metadata.name, c): sum(n.count * n.cpu_milli for n in room.free)
        for v in sites
        if v.ready
        for c, room in v.classes.items()
    }
    decisions = {}
    for job in waiting:
        spec = job.job.spec
        asked = spec.tasks * cpu_milli(spec.resources.per_task.cpu)
        fits = (k for k in free if k[0] not in job.backoff and k[1] in spec.resources.class_ and free[k] >= asked)
        allowed = spec.data.allowed_sites if spec.data else []
        place = next((k for k in fits if not allowed or k[0] in allowed), None)
        if place is None:
            text = f"none of {len(sites)} sites has room"
            decisions[job.uid] = Decision(None, None, Reason.WAITING_FOR_CAPACITY, text)
        else:
            free[place] -= asked
            decisions[job.uid] = Decision(*place, Reason.PLACED, f"placed at {place[0]}", placement=Placement())
    return Plan(decisions)


@dataclass
class Run:
    """One container as it really ran. Units: milliseconds of the member's clock, millicores."""

    pod_uid: str
    job_uid: str
    epoch: int
    site: str
    cpu_milli: int
    start_ms: int
    owner: str  # UID of its Job on the member
    end_ms: int | None = None


@dataclass
class Cluster:
    """A member with controllers: Jobs make pods, pods run as long as their command `sleep N` says, and go when deleted."""

    name: str
    clock: VirtualClock
    starts: Callable[["Run"], None]
    ends: Callable[["Run"], None]
    start_s: Callable[[], float] = lambda: 0.3
    grace_s: Callable[[], float] = lambda: 0.5
    runs: dict[str, Run] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _begun: set[str] = field(default_factory=set)
    _succeeded: Counter[str] = field(default_factory=Counter)  # pods, by the UID of their Job

    def __post_init__(self) -> None:
        self.server = MemoryServer(self.clock, cluster_id=f"cluster-{self.name}")
        self.server.store.listen(self._changed)
        amounts = {"cpu": "64", "memory": "256Gi", "pods": "110"}
        ready = [{"type": "Ready", "status": "True"}]
        self.server.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "n1"},
                "status": {"allocatable": amounts, "capacity": amounts, "conditions": ready},
            }
        )

    @property
    def alive(self) -> list[Run]:
        """Containers that run now."""
        return [run for run in self.runs.values() if run.end_ms is None]

    def adopt(self, raw: Json) -> None:
        """Put in what ran before the simulation began: its Jobs make no pods, its pods go on as they are."""
        if raw["kind"] == "Job":
            self._begun.add(raw["metadata"]["uid"])
        self.server.put(raw)

    def stop(self) -> None:
        """The test is over."""
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Refusal as refusal:
                if refusal.status not in (404, 409):
                    raise

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self, change: Change) -> None:
        after, before = change.after, change.before
        if change.resource == "jobs" and after is not None and after["metadata"]["uid"] not in self._begun:
            self._begun.add(after["metadata"]["uid"])
            self._spawn(self._make_pods(after))
        if change.resource == "jobs" and after is not None and _deleting(after) and not _deleting(before):
            self._spawn(self._collect_soon(after["metadata"]["uid"]))
        if change.resource != "pods":
            return
        if after is None and before is not None:
            run = self.runs.get(before["metadata"]["uid"])
            if run is not None and run.end_ms is None:
                self.wrong.append(f"pod {before['metadata']['name']} was let go while it ran")
            self._spawn(self._collect(before))
        elif _deleting(after) and not _deleting(before) and after is not None:
            self._spawn(self._kill(after))

    async def _make_pods(self, job: Json) -> None:
        await asyncio.sleep(self.start_s())
        job = self._now(job)
        if job["metadata"].get("deletionTimestamp"):
            return
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "uid": job["metadata"]["uid"],
            "name": job["metadata"]["name"],
        }
        for index in range(job["spec"]["completions"]):
            template = job["spec"]["template"]
            metadata = {
                **template["metadata"],
                "name": f"{job['metadata']['name']}-{index}-{job['metadata']['uid'][-5:].strip('-')}",
                "namespace": job["metadata"]["namespace"],
                "ownerReferences": [owner],
            }
            spec = {**template["spec"], "nodeName": "n1"}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": spec,
                "status": {"phase": "Pending"},
            }
            self._spawn(self._run(self.server.put(pod)))

    async def _run(self, pod: Json) -> None:
        await asyncio.sleep(self.start_s())
        pod = self._now(pod)
        if pod["metadata"].get("deletionTimestamp"):
            return
        labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
        now_ms = self.clock.now_ms()
        run = Run(
            pod["metadata"]["uid"],
            labels[LABEL_JOB_UID],
            int(labels[LABEL_EPOCH]),
            self.name,
            cpu_milli(container["resources"]["requests"]["cpu"]),
            now_ms,
            pod["metadata"]["ownerReferences"][0]["uid"],
        )
        self.runs[run.pod_uid] = run
        self.starts(run)
        self._set(pod, "Running", {"running": {"startedAt": time_text_ms(now_ms)}})
        seconds, code = _work(container.get("command"))
        await asyncio.sleep(seconds)
        self._end(pod, code)

    async def _kill(self, pod: Json) -> None:
        """The kubelet ends a deleted pod's container; what has not started fails."""
        await asyncio.sleep(self.grace_s())
        uid = pod["metadata"]["uid"]
        if uid in self.runs:
            self._end(pod, 137)
        else:
            self.server.put({**self._now(pod), "status": {"phase": "Failed"}})

    def _end(self, pod: Json, code: int) -> None:
        run = self.runs[pod["metadata"]["uid"]]
        if run.end_ms is not None:
            return
        run.end_ms = self.clock.now_ms()
        self.ends(run)
        times = {"startedAt": time_text_ms(run.start_ms), "finishedAt": time_text_ms(run.end_ms)}
        self._set(pod, "Succeeded" if code == 0 else "Failed", {"terminated": {"exitCode": code, **times}})
        self._succeeded[run.owner] += code == 0
        self._spawn(self._judge(pod))

    async def _judge(self, pod: Json) -> None:
        """The Job controller, once a pod has ended: all succeeded, or one failed and the others are to go."""
        await asyncio.sleep(0.1)
        owner = pod["metadata"]["ownerReferences"][0]["uid"]
        job = self._job(owner)
        if job is None or job.get("status", {}).get("conditions"):
            return
        pods = self._pods_of(owner)
        phases = [p["status"]["phase"] for p in pods]
        if self._succeeded[owner] == job["spec"]["completions"]:
            self._finish(job, "Complete", "")  # also one that is being deleted, and whose pods are gone
        elif "Failed" in phases and not job["metadata"].get("deletionTimestamp"):
            left = [p for p in pods if p["status"]["phase"] not in ("Succeeded", "Failed")]
            for other in left:
                self.server.delete(
                    f"/api/v1/namespaces/{other['metadata']['namespace']}/pods/{other['metadata']['name']}"
                )
            if left:
                await asyncio.sleep(1.0)
            self._finish(self._now(job), "Failed", "BackoffLimitExceeded")

    def _finish(self, job: Json, type_: str, reason: str) -> None:
        stamp = time_text_ms(self.clock.now_ms())
        condition = {"type": type_, "status": "True", "reason": reason, "message": "", "lastTransitionTime": stamp}
        self.server.put({**job, "status": {"conditions": [condition]}})

    async def _collect(self, pod: Json) -> None:
        """The garbage collector: a Job that is deleted in the foreground goes after its last pod."""
        for owner in pod["metadata"].get("ownerReferences") or []:
            self.collect(owner["uid"])

    async def _collect_soon(self, owner: str) -> None:
        """A Job may be deleted before it has any pod."""
        await asyncio.sleep(0.1)
        self.collect(owner)

    def collect(self, owner: str) -> None:
        job = self._job(owner)
        if job is None or FOREGROUND not in (job["metadata"].get("finalizers") or []) or self._pods_of(owner):
            return
        finalizers = [f for f in job["metadata"]["finalizers"] if f != FOREGROUND]
        self.server.put({**job, "metadata": {**job["metadata"], "finalizers": finalizers}})

    def _pods_of(self, owner: str) -> list[Json]:
        """Its pods by namespace and name."""
        found = [(p.namespace, p.name, pod) for p, pod in self.server.store.owned(owner) if p.resource == "pods"]
        return [pod for *_, pod in sorted(found, key=lambda one: one[:2])]

    def _job(self, uid: str) -> Json | None:
        found = self.server.store.of_uid(uid)
        return found if found is not None and found["kind"] == "Job" else None

    def _now(self, raw: Json) -> Json:
        """The object as it is now. Raises: Refusal when it is gone."""
        metadata, api = raw["metadata"], raw["apiVersion"]
        root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        return self.server.get(f"{root}/namespaces/{metadata['namespace']}/{raw['kind'].lower()}s/{metadata['name']}")

    def _set(self, pod: Json, phase: str, state: Json | None) -> None:
        statuses = [{"name": "task", "state": state}] if state else []
        try:
            self.server.put({**self._now(pod), "status": {"phase": phase, "containerStatuses": statuses}})
        except Refusal:
            self.wrong.append(f"pod {pod['metadata']['name']} was let go before it could tell how it ended")


@dataclass
class Process:
    """One life of the operator."""

    operator: Operator
    store: UsageStore
    tasks: list[asyncio.Task[None]]
    life: Life


class Simulation:
    """A hub, members, and the operator."""

    def __init__(self, folder: Path, sites: Sequence[str] = ("east", "west"), **settings: Any) -> None:
        self.clock = VirtualClock()
        self.hub = MemoryServer(self.clock, cluster_id="hub")
        self.clusters = {name: Cluster(name, VirtualClock(), self._started, self._ended) for name in sites}
        self.doubled: list[str] = []
        self.processes: dict[str, Process] = {}
        self.numbers = itertools.count(1)  # of the operator's writes
        self.dies: Callable[[int, str], bool] = lambda number, moment: False
        self.stops: Callable[[str, str, str, str], bool] = lambda name, server, verb, path: False
        self.place_all: Callable[..., Plan] = place_first
        self.connections: list[tuple[Target, MemoryClient]] = []  # all that were ever made to a member
        self.ledger_at: Callable[[Path], SqliteLedger] = SqliteLedger
        self.ledger_trouble = ""  # why the money ledger cannot be opened
        self._folder = folder
        self._alive: dict[str, dict[str, str]] = defaultdict(dict)  # by job, by pod, the UID of its member Job
        self.settings = Settings.model_validate(
            {
                "namespace": NAMESPACE,
                "identity": "operator",
                "full_compare_s": 20,
                "retain_finished_s": 15,
                "retry_backoff_s": 5,
                "workers": 8,
                **settings,
            }
        )
        for namespace in (NAMESPACE, "team-a", "default"):
            self.hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.put(a_region())
        for name in sites:
            self.put(a_site(name))
            self.put_secret(name, name)

    def open_ledger(self) -> SqliteLedger:
        """The money ledger, of the operator and of the tests. Raises: SuanliError while `ledger_trouble` says so."""
        if self.ledger_trouble:
            raise SuanliError(Reason.LEDGER_UNUSABLE, self.ledger_trouble)
        return self.ledger_at(self._folder / "ledger.sqlite3")

    # --- what people do

    def put(self, raw: Json) -> Json:
        """Apply an object of ours; only its spec counts."""
        kept = {k: v for k, v in raw["metadata"].items() if k not in ("resourceVersion", "generation", "uid")}
        namespaced = {k: v for k, v in kept.items() if k != "creationTimestamp"}
        path = _path_of(raw)
        try:
            before = self.hub.get(path)
        except Refusal:
            return self.hub.put({**raw, "metadata": namespaced})
        return self.hub.put({**before, "spec": raw["spec"]})

    def put_secret(self, site: str, cluster: str, token: str = "t") -> None:
        """A Secret with a way to a cluster."""
        config = write_kubeconfig(
            Target(server=f"https://{cluster}.example:6443", ca_pem=None, token=token), name=cluster
        )
        self.hub.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": f"site-{site}", "namespace": NAMESPACE},
                "data": {"kubeconfig": base64.b64encode(config).decode()},
            }
        )

    def edit(self, name: str, **spec: Any) -> None:
        """Change fields of a job's spec."""
        raw = self.job(name)
        self.hub.put({**raw, "spec": merged(raw["spec"], spec)})

    def edit_site(self, name: str, **spec: Any) -> None:
        """Change fields of a site's spec."""
        raw = self.of_kind("ComputeSite")[name]
        self.hub.put({**raw, "spec": merged(raw["spec"], spec)})

    def edit_status(self, name: str, status: Any) -> None:
        """What somebody with the right to does to a job's status: a merge patch."""
        raw = self.job(name)
        self.hub.put({**raw, "status": merged(raw.get("status"), status)})

    def delete(self, name: str) -> None:
        """kubectl delete."""
        self.hub.delete(_job_path(name))

    # --- what is to be seen

    def job(self, name: str) -> Json:
        """A job on the hub."""
        return self.hub.get(_job_path(name))

    def jobs(self) -> dict[str, Json]:
        """All jobs on the hub, by name."""
        return self.of_kind("ComputeJob")

    def of_kind(self, kind: str) -> dict[str, Json]:
        """All objects of one of our kinds on the hub, by name."""
        plural = next(m.kind_info.plural for m in PLACEMENT_KINDS if m.kind_info.kind == kind)
        return {o["metadata"]["name"]: o for o in self.hub.items(f"/apis/{GROUP}/{VERSION}/{plural}")}

    def state(self, name: str) -> tuple[str, str]:
        """State and reason of a job."""
        status = self.job(name).get("status") or {}
        return str(status.get("state")), str(status.get("reason"))

    def condition(self, name: str, type_: str) -> Json:
        """A condition of a job."""
        found: Json = next(c for c in self.job(name)["status"]["conditions"] if c["type"] == type_)
        return found

    def site_condition(self, name: str, type_: str = "Ready") -> tuple[str, str]:
        """Status and reason of a site's condition."""
        site = self.hub.get(f"/apis/{API_VERSION}/computesites/{name}")
        conditions = readable(site.get("status", {}).get("conditions"))
        return next(((c["status"], c["reason"]) for c in conditions if c["type"] == type_), ("", ""))

    def truth(self) -> dict[str, tuple[int, int]]:
        """By job UID, pods that ran and their millicores times milliseconds, from the members themselves."""
        sums: dict[str, tuple[int, int]] = {}
        for run in self.runs():
            if run.end_ms is None:
                continue
            pods, cpu = sums.get(run.job_uid, (0, 0))
            sums[run.job_uid] = (pods + 1, cpu + run.cpu_milli * (run.end_ms - run.start_ms))
        return sums

    def runs(self) -> Iterator[Run]:
        """All containers that ever ran."""
        for cluster in self.clusters.values():
            yield from cluster.runs.values()

    def ledger(self) -> dict[str, tuple[int, int]]:
        """The same, from the ledger."""
        sums: dict[str, tuple[int, int]] = {}
        with UsageStore(self._folder / "usage.sqlite3") as store:
            for uid in {run.job_uid for run in self.runs()}:
                found = store.of_job(uid)
                if found:
                    sums[uid] = (len(found), sum(u.cpu_milli_ms for u in found))
        return sums

    def carried(self) -> dict[tuple[str, int, str], int]:
        """Bytes that went over links, from the ledger, by job, epoch and direction."""
        with UsageStore(self._folder / "usage.sqlite3") as store:
            legs = store.agreements_of(
                {job["metadata"]["uid"] for job in self.jobs().values()} | {run.job_uid for run in self.runs()}
            )
            return {
                (uid, epoch, one.direction): sum(leg.size for leg in of.legs if leg.direction is one.direction)
                for (uid, epoch), of in legs.items()
                for one in store.carried(uid)
                if one.epoch == epoch
            }

    def gaps(self) -> list[Gap]:
        """What the ledger says that nobody will know."""
        with UsageStore(self._folder / "usage.sqlite3") as store:
            return store.gaps(store.count())

    def member_objects(self) -> list[str]:
        """Jobs and pods that stand on the members."""
        return [
            f"{cluster.name} {o['kind']} {o['metadata']['name']}"
            for cluster in self.clusters.values()
            for path in (JOBS, PODS)
            for o in cluster.server.items(path)
        ]

    def check(self) -> None:
        """What holds at any end: no two attempts at once, nothing let go too early, and the ledger is the truth."""
        assert not self.doubled, self.doubled
        wrong = [w for cluster in self.clusters.values() for w in cluster.wrong]
        assert not wrong, wrong
        ended = {run.job_uid for run in self.runs()} - {r.job_uid for r in self.runs() if r.end_ms is None}
        truth = {uid: used for uid, used in self.truth().items() if uid in ended}
        ledger = {uid: used for uid, used in self.ledger().items() if uid in ended}
        assert ledger == truth, (ledger, truth)

    async def until(self, true: Callable[[], object], seconds: float = 120.0, every: float = 0.05) -> None:
        """Let time pass until it is true."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not true():
            assert loop.time() < end, f"it did not come true in {seconds:.0f} s: {self.shown()}"
            await asyncio.sleep(every)

    def shown(self) -> str:
        """Everything that a person would look at."""
        jobs = {
            n: [j.get("status", {}).get(k) for k in ("state", "reason", "assignment")] for n, j in self.jobs().items()
        }
        return json.dumps({"jobs": jobs, "members": self.member_objects()}, indent=1, default=str)

    # --- the operator

    @property
    def process(self) -> Process | None:
        """The only replica's life, if it lives."""
        return next(iter(self.processes.values()), None)

    def start(self, name: str = "operator", *, elect: bool = False, standstill: Standstill | None = None) -> Process:
        """A new life of a replica; `elect`: it leads only while it holds the lease; it may stand still where the loop allows it."""
        if standstill is not None:
            return standstill.enter().run(self._start, name, elect, standstill)
        return self._start(name, elect, None)

    def _start(self, name: str, elect: bool, standstill: Standstill | None) -> Process:
        assert name not in self.processes, "it lives"
        life = Life(
            name,
            numbers=self.numbers,
            dies=lambda number, moment: self.dies(number, moment),
            standstill=standstill,
            stops=lambda server, verb, path: self.stops(name, server, verb, path),
        )
        lease = Lease(
            MemoryClient(self.hub, "hub", life),
            NAMESPACE,
            LEASE,
            name,
            duration_s=self.settings.lease_s,
            uptime_s=asyncio.get_running_loop().time,
        )
        certain = lease.certain if elect else lambda: True

        def connect(target: Target, site: str) -> MemoryClient:
            cluster = target.server.removeprefix("https://").split(".")[0]
            client = MemoryClient(self.clusters[cluster].server, site, life, certain)
            client.token = target.token
            self.connections.append((target, client))
            return client

        hub = MemoryClient(self.hub, "hub", life, certain)
        store = UsageStore(self._folder / "usage.sqlite3")
        operator = Operator(
            target=Target(server="http://hub", ca_pem=None),
            hub=hub,
            hub_id="hub",
            store=store,
            clock=self.clock,
            settings=self.settings,
            metrics=Metrics(),
            connect=connect,
            place_all=self.place_all,
            ledger_thread=InlinePool(),
            open_ledger=self.open_ledger,
        )
        leading = asyncio.ensure_future(lease.run(operator.lead) if elect else operator.lead())
        leading.add_done_callback(lambda _: life.over.set())
        tasks = [
            leading,
            *(asyncio.ensure_future(self._feed(operator, hub, m.kind_info.plural)) for m in PLACEMENT_KINDS),
        ]
        self.processes[name] = process = Process(operator, store, tasks, life)
        return process

    async def kill(self, name: str = "operator") -> None:
        """SIGKILL: nothing that it does from now on has any effect."""
        process = self.processes.pop(name)
        process.life.end()
        process.store.close()  # an acknowledged record is on the disk, others are lost
        for task in process.tasks:
            task.cancel()
        await asyncio.gather(*process.tasks, return_exceptions=True)

    async def stop(self, name: str) -> None:
        """SIGTERM: what writes ends first and gives the lease back, then the rest. Raises: what ended it before."""
        process = self.processes.pop(name)
        leading, *feeds = process.tasks
        ended = []
        for tasks in ([leading], feeds):
            for task in tasks:
                task.cancel()
            ended += await asyncio.gather(*tasks, return_exceptions=True)
        process.store.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def end(self) -> None:
        """End the operator in good order, and the members with it."""
        processes, self.processes = self.processes, {}
        for process in processes.values():
            for task in process.tasks:
                task.cancel()
            ended = await asyncio.gather(*process.tasks, return_exceptions=True)
            process.store.close()
            for error in ended:
                if isinstance(error, Exception):
                    raise error
        for cluster in self.clusters.values():
            cluster.stop()

    async def _feed(self, operator: Operator, hub: MemoryClient, plural: str) -> None:
        """What kopf does: list, watch, and tell of every event."""
        path = f"/apis/{GROUP}/{VERSION}/{plural}"
        while True:
            try:
                listed = await hub.list_all(path)
                for raw in listed["items"]:
                    operator.mirror.apply(None, raw)
                version = str(listed["metadata"]["resourceVersion"])
                params = {"resourceVersion": version}
                async for event in hub.watch(path, params, silence_s=300, longest_s=300):
                    if event["type"] != "BOOKMARK":
                        operator.mirror.apply(event["type"], event["object"])
            except (ApiError, Unreachable):
                await asyncio.sleep(0.5)

    # --- the truth

    def _started(self, run: Run) -> None:
        alive = self._alive[run.job_uid]
        alive[run.pod_uid] = run.owner
        if len(set(alive.values())) > 1:
            self.doubled.append(f"job {run.job_uid} runs as {sorted(set(alive.values()))} at once")

    def _ended(self, run: Run) -> None:
        self._alive[run.job_uid].pop(run.pod_uid, None)


def _work(command: Any) -> tuple[float, int]:
    """How long a container runs by its command, and its exit code; one that cannot be run fails at once."""
    verb, *rest = command if isinstance(command, list) and command else [""]
    if verb not in ("sleep", "fail") or not rest or not str(rest[0]).isascii() or not str(rest[0]).isdecimal():
        return 0.1, 127
    return min(float(rest[0]), 1e6), 0 if verb == "sleep" else 1


def _path_of(raw: Json) -> str:
    plural = next(m.kind_info.plural for m in PLACEMENT_KINDS if m.kind_info.kind == raw["kind"])
    namespace = raw["metadata"].get("namespace")
    place = f"namespaces/{namespace}/" if namespace else ""
    return f"/apis/{API_VERSION}/{place}{plural}/{raw['metadata']['name']}"


def _job_path(name: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/team-a/computejobs/{name}"


def _deleting(raw: Json | None) -> bool:
    return raw is not None and bool(raw["metadata"].get("deletionTimestamp"))


def simulated(folder: Path, play: Callable[[Simulation], Awaitable[None]], **settings: Any) -> None:
    """Run a play in a federation with the operator running; afterwards nothing may be wrong."""

    async def whole() -> None:
        simulation = Simulation(folder, **settings)
        simulation.start()
        try:
            await play(simulation)
        finally:
            await simulation.end()
        simulation.check()

    virtualtime.run(whole())


Simulate = Callable[..., None]
"""Runs a play in a federation with the operator running; afterwards nothing may be wrong."""
