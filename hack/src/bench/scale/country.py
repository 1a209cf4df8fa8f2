"""The simulated hub and members."""

import asyncio
import base64
import gzip
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

from aiohttp import web

from apiserver import FakeApiServer, pod_of
from apistore import Json
from builders import a_job, a_region, a_site
from localfed.pki import Authority
from suanli.api.job import Assignment, ComputeJobSpec, Failover
from suanli.api.site import SiteResource
from suanli.base.settings import Settings
from suanli.federation.credentials import write_kubeconfig
from suanli.federation.render import job_manifest, own_namespace
from suanli.federation.tenancy import Bounds, guards
from suanli.kube.client import Target
from suanli.main import look_for_circles_rarely

NAMESPACE, HUB_ID = "suanli-system", "hub-cluster"
NAMESPACES = 200
HEARTBEAT_S = 300.0  # a kubelet renews a node's status so often when nothing changed
COMPRESSED_FROM = 128 << 10  # bytes; API servers compress longer answers, at the same level, for whoever takes that
IMAGES = 40  # that a node has pulled
CARDS = 8  # of every node
CLASS = "nvidia-a100-80g"
STAMP, BEGUN = "2026-03-01T08:00:00Z", "2026-03-01T08:00:01Z"
BOUNDS = Bounds.of(Settings(namespace=NAMESPACE, identity="scale"))
PER_TASK = {"cpu": "12", "memory": "64Gi", "cards": 1}
RESOURCE = {
    "class": CLASS,
    "type": "Intelligent",
    "unit": "Card",
    "precision": "FP16",
    "resourceName": "nvidia.com/gpu",
    "nodeLabels": {"nvidia.com/gpu.product": "A100-80GB"},
}


@dataclass(frozen=True)
class Amounts:
    """How much of everything; jobs are at the first sites, the others register later."""

    first_sites: tuple[str, ...]
    later_sites: tuple[str, ...]
    nodes_of_site: int
    running: int
    finished: int
    waiting: int

    @property
    def sites(self) -> tuple[str, ...]:
        """All of them."""
        return self.first_sites + self.later_sites

    @property
    def jobs(self) -> int:
        """In all states."""
        return self.running + self.finished + self.waiting


def job(amounts: Amounts, n: int) -> Json:
    """The n-th ComputeJob: those that run come first, then those that ended, then those that wait."""
    state = 0 if n < amounts.running else 1 if n < amounts.running + amounts.finished else 2
    spec = {
        "category": "ModelTraining",
        "resources": {"class": [CLASS], "perTask": {**PER_TASK, **({"cpu": "500"} if state == 2 else {})}},
        "template": {
            "image": f"example/train:{n % 40}",
            "command": ["python", "train.py", f"--run={n}"],
            "env": [{"name": "SEED", "value": str(n)}],
        },
        "timing": {"expectedDuration": "6h"},
    }
    metadata = {"namespace": f"team-{n % NAMESPACES}", "uid": f"{n:08x}-5f1c-4a35-9d0e-{n:012x}"}
    site = amounts.first_sites[n % len(amounts.first_sites)]
    status = (_running(site), _finished(site), None)[state]
    return _unversioned(a_job(f"train-{n}", metadata=metadata, status=status, **spec))


def site_objects(name: str, target: Target) -> list[Json]:
    """A ComputeSite and the Secret with the way to its cluster."""
    secret = base64.b64encode(write_kubeconfig(target, name=name)).decode()
    metadata = {"name": f"site-{name}", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"kubeconfig": secret}},
        _unversioned(a_site(name, resources=[RESOURCE])),
    ]


async def a_hub(stack: AsyncExitStack) -> FakeApiServer:
    """A hub with all namespaces and a region, and nothing else yet."""
    hub = await stack.enter_async_context(FakeApiServer(authority=Authority("scale")))
    hub.become(HUB_ID)
    for name in (NAMESPACE, "default", *(f"team-{n}" for n in range(NAMESPACES))):
        hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    hub.put(a_region())
    return hub


def serve_members(amounts: Amounts, pipe: Connection) -> None:
    """A process of its own: serve every site's cluster until the pipe is closed; how each is reached is sent first."""
    asyncio.run(_serve(amounts, pipe))


async def _serve(amounts: Amounts, pipe: Connection) -> None:
    authority = Authority("scale")
    async with AsyncExitStack() as stack:
        members = {}
        for name in amounts.sites:
            member = await stack.enter_async_context(FakeApiServer(authority=authority))
            member.become(f"cluster-{name}")
            nodes = Nodes(name, amounts.nodes_of_site, member)
            member.fault("GET /api/v1/nodes", nodes.listed)
            member.fault("WATCH /api/v1/nodes", nodes.watched)
            members[name] = member
        for n in range(amounts.running):
            _start(job(amounts, n), n, members, amounts)
        look_for_circles_rarely()
        pipe.send({name: (member.target.server, member.target.ca_pem) for name, member in members.items()})
        await asyncio.to_thread(pipe.poll, None)


def _start(raw: Json, n: int, members: Mapping[str, FakeApiServer], amounts: Amounts) -> None:
    """What stands on a member of a job that runs."""
    metadata, place = raw["metadata"], raw["status"]["assignment"]
    member = members[place["site"]]
    made = job_manifest(
        hub_id=HUB_ID,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        spec=ComputeJobSpec.model_validate(raw["spec"]),
        assignment=Assignment.model_validate(place),
        resource=SiteResource.model_validate(RESOURCE),
        failover=Failover.AT_MOST_ONCE,
    )
    member.put(own_namespace(HUB_ID, made["metadata"]["namespace"]))
    for guard in guards(HUB_ID, made["metadata"]["namespace"], BOUNDS):
        member.put(guard)
    node = f"{place['site']}-n{n // len(amounts.first_sites) % amounts.nodes_of_site}"
    pod = pod_of(member.put(made), node=node, state={"running": {"startedAt": BEGUN}})
    member.put({**pod, "status": {**pod["status"], **_as_kubelets_say(pod)}})


class Nodes:
    """The nodes of one member, made when they are asked for."""

    def __init__(self, site: str, count: int, member: FakeApiServer) -> None:
        self._site = site
        self._count = count
        self._member = member
        self._text = json.dumps(_node("@NAME@"))

    def listed(self, request: web.Request) -> web.Response:
        """A page of the list."""
        version = self._member.store.version
        limit, begin = int(request.query.get("limit") or self._count), int(request.query.get("continue") or 0)
        end = min(self._count, begin + limit)
        more = str(end) if end < self._count else ""
        items = ",".join(self._one(n, version) for n in range(begin, end))
        meta = json.dumps({"resourceVersion": str(version), "continue": more})
        body = f'{{"kind":"NodeList","apiVersion":"v1","metadata":{meta},"items":[{items}]}}'.encode()
        given = {"Content-Type": "application/json"}
        if len(body) < COMPRESSED_FROM or request.headers.get("Accept-Encoding") != "gzip":
            return web.Response(body=body, headers=given)
        return web.Response(body=gzip.compress(body, 1), headers={**given, "Content-Encoding": "gzip"})

    async def watched(self, request: web.Request) -> web.StreamResponse:
        """Every node's heartbeat, in turn."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        n, version = 0, self._member.store.version
        while True:
            await asyncio.sleep(HEARTBEAT_S / self._count)
            line = f'{{"type":"MODIFIED","object":{self._one(n % self._count, version + n)}}}\n'
            try:
                await answer.write(line.encode())
            except ConnectionError:
                return answer
            n += 1

    def _one(self, n: int, version: int) -> str:
        return self._text.replace("@NAME@", f"{self._site}-n{n}").replace("@VERSION@", str(version))


def _unversioned(raw: Json) -> Json:
    """As the store takes it: it gives versions itself."""
    return {**raw, "metadata": {k: v for k, v in raw["metadata"].items() if k != "resourceVersion"}}


def _condition(type_: str, status: str, reason: str, message: str) -> Json:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": STAMP,
    }


def _running(site: str) -> Json:
    return {
        "conditions": [
            _condition("Accepted", "True", "Accepted", "the spec can be read and all it names is known"),
            _condition("QuotaReserved", "True", "QuotaUnlimited", "no quota is set for the account"),
            _condition(
                "Placed",
                "True",
                "Placed",
                f"{site}: 123.45 CNY with policy weights, the cheapest of 100 sites; next {site}-b 130.00 CNY",
            ),
            _condition("Dispatched", "True", "Dispatched", f"created at {site}"),
            _condition("Running", "True", "Running", f"1 of 1 tasks started at {site}"),
            _condition("Finished", "False", "NotFinished", ""),
        ],
        "assignment": {"site": site, "epoch": 1, "class": CLASS, "time": STAMP},
        "epoch": 1,
        "placement": {
            "cost": dict.fromkeys(("run", "energy", "transfer", "carbon", "policy", "total"), "20575000"),
            "latency": "12ms",
            "latencySource": "Measured",
            "runnersUp": [{"site": f"site-{n:03d}", "class": CLASS, "total": "130000000"} for n in range(3)],
            "rejections": [],
            "boundGapPpm": 12,
        },
        "estimate": {"cost": "123450000", "start": STAMP},
        "failover": "AtMostOnce",
        "state": "Running",
        "reason": "Running",
        "startedAt": BEGUN,
    }


def _finished(site: str) -> Json:
    status = _running(site)
    ended = _condition("Finished", "True", "Succeeded", f"1 of 1 tasks succeeded at {site}")
    return {
        **status,
        "conditions": [*status["conditions"][:4], _condition("Running", "False", "Succeeded", ""), ended],
        "state": "Succeeded",
        "reason": "Succeeded",
        "finishedAt": "2026-03-01T14:00:00Z",
        "usage": {
            **dict.fromkeys(("pods", "attempts"), 0),
            **dict.fromkeys(("runMs", "cardMs", "cpuMilliMs", "memoryByteMs"), "0"),
            **dict.fromkeys(("coreHours", "cardHours"), "0.000000"),
        },
    }


def _as_kubelets_say(pod: Json) -> Json:
    """What a kubelet writes beside the state of the task. Nobody here reads it; it is there to be parsed."""
    image = pod["spec"]["containers"][0]["image"]
    statuses = [
        {
            **each,
            "image": image,
            "imageID": f"{image}@sha256:{'0' * 64}",
            "containerID": f"containerd://{'0' * 64}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "lastState": {},
        }
        for each in pod["status"]["containerStatuses"]
    ]
    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "conditions": [
            {"type": t, "status": "True", "lastProbeTime": None, "lastTransitionTime": STAMP} for t in types
        ],
        "containerStatuses": statuses,
        "hostIP": "10.0.0.1",
        "podIP": "10.1.0.1",
        "qosClass": "Guaranteed",
        "startTime": STAMP,
    }


def _node(name: str) -> Json:
    """A node with accelerators, as large as real ones."""
    amounts = {
        "cpu": "128",
        "memory": "1056Gi",
        "pods": "110",
        "nvidia.com/gpu": str(CARDS),
        "ephemeral-storage": "1800Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "gpu.8xlarge",
        "topology.kubernetes.io/region": "west",
        "topology.kubernetes.io/zone": "west-1",
        "nvidia.com/gpu.product": "A100-80GB",
        **{f"nvidia.com/gpu.{k}": "8" for k in ("count", "memory", "family", "machine", "replicas", "compute.major")},
        **{f"feature.node.kubernetes.io/cpu-cpuid.FEATURE{n}": "true" for n in range(16)},
    }
    types = ("NetworkUnavailable", "MemoryPressure", "DiskPressure", "PIDPressure")
    conditions = [
        {"type": t, "status": "False", "reason": f"No{t}", "message": "", "lastHeartbeatTime": STAMP} for t in types
    ]
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "@VERSION@",
            "creationTimestamp": STAMP,
            "labels": labels,
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": "10.0.0.0/24", "providerID": f"example:///{name}"},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [*conditions, {"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "nodeInfo": dict.fromkeys(("machineID", "systemUUID", "bootID"), "0" * 36),
            "images": [
                {"names": [f"example/image-{n}@sha256:{'0' * 64}"], "sizeBytes": 1_000_000_000} for n in range(IMAGES)
            ],
        },
    }
