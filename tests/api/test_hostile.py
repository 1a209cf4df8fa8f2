"""Hostile tenants at a real API server with our definitions: whatever they write, nothing harmful reaches a member.

What it takes is rendered in process, looked at by a judge that shares no code with the operator, and shown to an API server
whose namespace enforces Pod Security "restricted".
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from harness.shell import PATIENT_S
from hostile import Attack, Fate, Way, attacks
from manifests import a_job, changed
from restricted import Whose, harm
from suanli.api import ComputeJob
from suanli.api.job import Assignment
from suanli.api.kind import parse
from suanli.api.site import SiteResource
from suanli.base.names import member_namespace
from suanli.federation.render import job_manifest, namespace_manifest
from suanli.kube.client import ApiClient, ApiError
from suanli.kube.local import load_target
from verdicts import Hub

Json = dict[str, Any]
TENANT, VICTIM, STANDING = "hostile", "victim", "standing"
HUB_ID = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60"
CARDS = {
    "class": "nvidia-a100-80g", "type": "Intelligent", "resourceName": "nvidia.com/gpu", "unit": "Card", "nodeLabels": {"pool": "a100"},
}  # fmt: skip
CORES = {"class": "general", "type": "General", "resourceName": "cpu", "unit": "Core"}
AT_ONCE = 16
LEAST = 300
UNTYPED = "failed to create typed patch object"  # an API server's 500 for what does not fit the schema


@dataclass
class Outcome:
    """What became of all attacks."""

    cases: Counter[Way] = field(default_factory=Counter)
    fates: Counter[Fate] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    harmful: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # taken, and not to be read by the operator
    rendered: int = 0
    shown: set[str] = field(default_factory=set)  # pods that an API server was shown


@pytest.fixture(scope="module")
def outcome(hub: Hub) -> Outcome:
    return asyncio.run(_attack(hub))


async def _attack(hub: Hub) -> Outcome:
    found = Outcome()
    slots = asyncio.Semaphore(AT_ONCE)
    async with _ground(hub) as client:

        async def one(attack: Attack) -> None:
            async with slots:
                await _try(client, attack, found)

        await asyncio.gather(*(one(attack) for attack in attacks()))
    return found


@asynccontextmanager
async def _ground(hub: Hub) -> AsyncIterator[ApiClient]:
    """Two tenants, a job that stands already, and a member's namespace as the operator makes it."""
    spaces: list[Json] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in (TENANT, VICTIM)]
    spaces.append(namespace_manifest(HUB_ID, TENANT))
    async with ApiClient(load_target(hub.kubectl.kubeconfig), name="hostile", concurrency=AT_ONCE) as client:
        for space in spaces:
            await client.post("/api/v1/namespaces", space)
        await client.post(_path(), a_job(STANDING))
        accounts = f"/api/v1/namespaces/{spaces[-1]['metadata']['name']}/serviceaccounts"
        query = {"fieldSelector": "metadata.name=default"}
        async with aclosing(client.watch(accounts, query, silence_s=PATIENT_S, longest_s=PATIENT_S)) as events:
            await anext(events)  # a namespace takes pods from when it has its account
        yield client
        for space in spaces:
            await client.delete(f"/api/v1/namespaces/{space['metadata']['name']}")


def _path(name: str = "") -> str:
    return f"/apis/suanli.io/v1alpha1/namespaces/{TENANT}/computejobs" + (f"/{name}" if name else "")


async def _try(client: ApiClient, attack: Attack, found: Outcome) -> None:
    found.cases[attack.way] += 1
    try:
        taken = await _send(client, attack)
    except ApiError as error:
        fate, said = Fate.REFUSED, f"{error.status} {error.message}"[:200]
    else:
        fate, said = Fate.HARMLESS, "taken"
        await _follow(client, attack, taken, found)
    found.fates[fate] += 1
    if fate is not attack.fate or (said.startswith("5") and UNTYPED not in said):
        found.surprises.append(f"{attack.way}: {attack.name}: {fate}, not {attack.fate}: {said}")


async def _send(client: ApiClient, attack: Attack) -> Json:
    """As a client does, stored nowhere. Raises: ApiError."""
    query = {"dryRun": "All", "fieldValidation": "Ignore" if attack.way.endswith("unchecked") else "Strict"}
    if attack.way in (Way.CREATE, Way.CREATE_UNCHECKED):
        return await client.post(_path(), attack.body, query)
    if attack.way is Way.APPLY:
        del query["fieldValidation"]
        query |= {"fieldManager": "tenant", "force": "true"}
        name = str(attack.body["metadata"]["name"])
        return await client.patch(_path(name), attack.body, kind="apply", params=query)
    if attack.way is Way.STATUS:
        query["fieldValidation"] = "Ignore"
        return await client.patch(f"{_path(STANDING)}/status", attack.body, params=query)
    return await client.patch(_path(STANDING), attack.body, params=query)


async def _follow(client: ApiClient, attack: Attack, taken: Json, found: Outcome) -> None:
    """Render what was taken as the operator does, and look at it."""
    try:
        job = parse(ComputeJob, taken)
    except ValidationError:
        found.unread.append(attack.name)
        return
    assert job.metadata.namespace == TENANT, f"{attack.name}: it is in {job.metadata.namespace}"
    assigned = job.status.assignment if job.status else None
    epoch = assigned.epoch if assigned else 1
    for raw in (CARDS, CORES):
        resource = SiteResource.model_validate(raw)
        assignment = {"site": "s", "epoch": epoch, "class": raw["class"], "time": "2026-01-31T08:00:00Z"}
        made = job_manifest(
            hub_id=HUB_ID,
            namespace=TENANT,
            name=job.metadata.name,
            uid=job.metadata.uid,
            spec=job.spec,
            assignment=Assignment.model_validate(assignment),
            resource=resource,
        )
        whose = Whose(
            HUB_ID,
            member_namespace(HUB_ID, TENANT),
            f"{TENANT}/{job.metadata.name}",
            taken["metadata"]["uid"],
            epoch,
            frozenset({"cpu", "memory"} | ({"nvidia.com/gpu"} if raw is CARDS else set())),
            dict(resource.node_labels),
        )
        found.rendered += 1
        found.harmful += [f"{attack.way}: {attack.name}: {wrong}" for wrong in harm(made, whose)]
        shown = json.dumps(made["spec"]["template"]["spec"], sort_keys=True)
        if shown not in found.shown:
            found.shown.add(shown)
            found.harmful += [f"{attack.way}: {attack.name}: {wrong}" for wrong in await _admitted(client, made)]


async def _admitted(client: ApiClient, job: Json) -> list[str]:
    """What a member that enforces "restricted" says to the Job's pods; nothing is stored."""
    template = job["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "p"}}
    try:
        made = await client.post(f"/api/v1/namespaces/{job['metadata']['namespace']}/pods", pod, {"dryRun": "All"})
    except ApiError as error:
        return [f"a member refuses it: {error}"[:300]]
    qos = made["status"]["qosClass"]
    return [] if qos == "Guaranteed" else [f"its pods are {qos}"]


def test_nothing_harmful_reaches_a_member(outcome: Outcome) -> None:
    assert outcome.harmful == []
    assert outcome.rendered > 200, "most of what is taken is rendered"


def test_every_attack_has_the_fate_that_it_must_have(outcome: Outcome) -> None:
    assert not outcome.surprises, "\n".join(outcome.surprises)


def test_what_the_api_server_takes_the_operator_can_read(outcome: Outcome) -> None:
    assert outcome.unread == []


def test_there_are_enough_attacks_on_every_way(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    ways = ", ".join(f"{way} {count}" for way, count in sorted(outcome.cases.items()))
    with capsys.disabled():
        print(
            f"\nS1: {outcome.cases.total()} hostile cases ({ways}): {outcome.fates[Fate.REFUSED]} refused, "
            f"{outcome.fates[Fate.HARMLESS]} taken, {outcome.rendered} Jobs rendered of these, {len(outcome.harmful)} harmful"
        )
    assert outcome.cases.total() >= LEAST
    assert min(outcome.cases[way] for way in Way) >= 20


def test_the_judge_sees_harm() -> None:
    """Each of these is what must never be, and the judge says so."""
    spec = {**a_job()["spec"], "resources": {"class": ["general"], "perTask": {"cpu": "1", "memory": "1Gi"}}}
    raw = {**a_job(), "spec": spec, "metadata": {"name": "a", "namespace": TENANT, "uid": "u"}}
    job = parse(ComputeJob, raw)
    assignment = Assignment(site="s", epoch=1, class_="general", time="2026-01-31T08:00:00Z")
    space = member_namespace(HUB_ID, TENANT)

    def made() -> Json:
        return job_manifest(
            hub_id=HUB_ID, namespace=TENANT, name="a", uid="u", spec=job.spec, assignment=assignment, resource=SiteResource.model_validate(CORES)
        )  # fmt: skip

    whose = Whose(HUB_ID, space, f"{TENANT}/a", "u", 1, frozenset({"cpu", "memory"}), {})
    assert harm(made(), whose) == []
    wrong: list[tuple[str, object]] = [
        ("metadata.namespace", "kube-system"), ("metadata.labels.x", "y"), ("metadata.annotations.x", "y"), ("metadata.ownerReferences", []),
        ("spec.completions", 10_001), ("spec.ttlSecondsAfterFinished", 0), ("spec.template.metadata.finalizers", []),
        ("spec.template.spec.hostNetwork", True), ("spec.template.spec.serviceAccountName", "a"), ("spec.template.spec.nodeSelector", {"a": "b"}),
        ("spec.template.spec.automountServiceAccountToken", True), ("spec.template.spec.securityContext.runAsUser", 0),
        ("spec.template.spec.volumes", [{"name": "scratch", "hostPath": {"path": "/"}}]), ("spec.template.spec.initContainers", []),
        ("spec.template.spec.containers.0.securityContext.privileged", True), ("spec.template.spec.containers.0.env", [{"name": "A", "value": "$(B)"}]),
        ("spec.template.spec.containers.0.env", [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]),
        ("spec.template.spec.containers.0.resources.limits", {"cpu": "9"}), ("spec.template.spec.containers.0.workingDir", "/proc/self/fd/8"),
        ("spec.template.spec.containers.0.volumeMounts.0.mountPath", "//proc"), ("spec.template.spec.containers.0.args", ["$$$(A)"]),
    ]  # fmt: skip
    unseen = [path for path, value in wrong if not harm(changed(made(), path, value), whose)]
    assert unseen == []
