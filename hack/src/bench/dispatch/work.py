"""The jobs that are dispatched, and the two bodies that dispatching one writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.dispatch.figures import Bodies
from suanli.api.job import Assignment, ComputeJobSpec, Failover
from suanli.api.site import ComputeSite
from suanli.base.names import API_VERSION, GROUP, VERSION
from suanli.federation import render

Json = dict[str, Any]
CLASS = "cpu-x86"
# Twenty kinds of jobs, all of which every site of the example country may take.
CATEGORIES = ("General", "MachineLearning", "OfflineAnalytics", "Rendering")
ORIGINS = ("shanghai", "beijing", "shenzhen", "chengdu", "xian")
RUN_S = 120  # what a job runs: dispatching 2,000 took 92 s on two cores


@dataclass(frozen=True)
class Made:
    """A ComputeJob as the hub has just made it."""

    uid: str
    namespace: str
    name: str
    version: str
    spec: Json


@dataclass(frozen=True)
class Pair:
    """What one dispatch writes: first on the hub, then on the member."""

    site: str
    patch_path: str
    patch: bytes
    create_path: str
    create: bytes


def manifest(namespace: str, index: int, *, image: str = "example/bench/work:1") -> Json:
    """A ComputeJob of one task that runs for RUN_S."""
    origin = ORIGINS[index // len(CATEGORIES) % len(ORIGINS)]
    return {
        "apiVersion": API_VERSION,
        "kind": "ComputeJob",
        "metadata": {"name": f"work-{index:05d}", "namespace": namespace},
        "spec": {
            "category": CATEGORIES[index % len(CATEGORIES)],
            "origin": origin,
            "resources": {"class": [CLASS], "perTask": {"cpu": "1", "memory": "4Gi"}},
            "template": {
                "image": image,
                "command": ["sleep", f"{RUN_S}s"],
                "env": [{"name": "SHARD", "value": f"{index:05d}"}],
            },
            "data": {"inputs": [{"name": "input", "region": origin, "size": "20Gi"}]},
            "timing": {"expectedDuration": "30m"},
        },
    }


def made(raw: Json) -> Made:
    """The hub's answer to a create."""
    metadata = raw["metadata"]
    return Made(metadata["uid"], metadata["namespace"], metadata["name"], metadata["resourceVersion"], raw["spec"])


def pair(job: Made, status: Json, site: ComputeSite, hub_id: str) -> Pair:
    """The writes that would dispatch this job to the site with a status as the operator wrote it."""
    name = site.metadata.name
    placed = {**status, "assignment": {**status["assignment"], "site": name}}
    assignment = Assignment.model_validate(placed["assignment"])
    body = render.job_manifest(
        hub_id=hub_id,
        namespace=job.namespace,
        name=job.name,
        uid=job.uid,
        spec=ComputeJobSpec.model_validate(job.spec),
        assignment=assignment,
        resource=next(r for r in site.spec.resources if r.class_ == assignment.class_),
        failover=Failover(placed["failover"]),
    )
    return Pair(
        site=name,
        patch_path=f"{jobs_path(job.namespace)}/{job.name}/status",
        patch=encoded({"metadata": {"resourceVersion": job.version, "uid": job.uid}, "status": placed}),
        create_path=f"/apis/batch/v1/namespaces/{body['metadata']['namespace']}/jobs",
        create=encoded(body),
    )


def jobs_path(namespace: str) -> str:
    """The path of a namespace's ComputeJobs."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/computejobs"


def sizes(pair: Pair) -> Bodies:
    """How large the two bodies are."""
    return Bodies(len(pair.patch), len(pair.create))


def encoded(body: Mapping[str, Any]) -> bytes:
    """JSON as the operator's client sends it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
