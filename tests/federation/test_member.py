"""One member, seen through everything that it may be: well, slow, dead, confused, hostile, or another cluster."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from apiserver import FakeApiServer, ended, node, pod_of, running
from apistore import Json, Path, Refusal
from asynctests import Happenings
from suanli.api.job import Assignment, ComputeJobSpec
from suanli.api.site import SiteResource
from suanli.base.names import FINALIZER_METERING, LABEL_EPOCH, LABEL_HUB, LABEL_JOB_UID
from suanli.base.reasons import Reason
from suanli.federation import member as member_module
from suanli.federation.capacity import Demand
from suanli.federation.facts import OwnPod
from suanli.federation.grants import system_namespace
from suanli.federation.member import Member
from suanli.federation.render import job_manifest, namespace_manifest
from suanli.federation.tenancy import Bounds, guards
from suanli.kube import watch
from suanli.kube.client import ApiError, Unreachable

HUB = "7c1f3d0e-58a1-4a5e-8a43-2c9a1d2f4b60"
UID = "0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55"
OTHER = "1a2b3c4d-0b0c-4c3a-9c7e-3b8f1f2a4d55"
GENERAL = SiteResource.model_validate({"class": "general", "type": "General", "resourceName": "cpu", "unit": "Core"})
SPACE = namespace_manifest(HUB, "team-a")
BOUNDS = Bounds("Tenant", ("10.8.0.0/16",), 1_000)
NAMESPACE = SPACE["metadata"]["name"]
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
START, END = "2026-01-31T08:00:00Z", "2026-01-31T08:00:10Z"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(watch, "LONGEST_PAUSE_S", 0.05)


class Clock:
    def now_ms(self) -> int:
        return 1_770_000_000_000


class Told(Happenings):
    """What the member told of."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.sites = 0

    def job(self, uid: str) -> None:
        self.jobs.append(uid)
        self.happened()

    def site(self, name: str) -> None:
        assert name == "s"
        self.sites += 1
        self.happened()


@contextlib.asynccontextmanager
async def following(
    server: FakeApiServer,
    *,
    silence_s: float = 60.0,
    probe_s: float = 0.02,
    cluster_id: str = "",
    usable: bool = True,
    **options: Any,
) -> AsyncIterator[tuple[Member, Told]]:
    """A member that is being followed; by default from when it is usable."""
    told = Told()
    member = Member(
        "s",
        server.client(**options),
        hub_id=HUB,
        clock=Clock(),
        probe_s=probe_s,
        unreachable_after_s=silence_s,
        full_compare_s=300.0,
        bounds=BOUNDS,
        on_job=told.job,
        on_site=told.site,
        cluster_id=cluster_id,
    )
    task = asyncio.create_task(member.run())
    try:
        if usable:
            await told.until(lambda: member.usable)
        yield member, told
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


def a_job(uid: str = UID, epoch: int = 1, tasks: int = 1) -> Json:
    spec = {
        "origin": "shanghai",
        "tasks": tasks,
        "resources": {"class": ["general"], "perTask": {"cpu": "2", "memory": "4Gi"}},
        "template": {"image": "registry.example/train:1"},
    }
    return job_manifest(
        hub_id=HUB,
        namespace="team-a",
        name="train",
        uid=uid,
        spec=ComputeJobSpec.model_validate(spec),
        assignment=Assignment(site="s", epoch=epoch, class_="general", time=START),
        resource=GENERAL,
    )


def put_job(server: FakeApiServer, uid: str = UID, epoch: int = 1) -> Json:
    """A Job that stands on the member already."""
    with contextlib.suppress(Refusal):
        server.put(SPACE)
    return server.put(a_job(uid, epoch))


def foreign_pod(name: str, cores: int, on: str = "n1") -> Json:
    requests = {"requests": {"cpu": str(cores), "memory": f"{cores}Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"nodeName": on, "containers": [{"name": "c", "resources": requests}]},
        "status": {"phase": "Running"},
    }


def free_cores(member: Member, *unbound: Demand) -> int:
    room = member.figures((GENERAL,), unbound)["general"].room
    return sum(n.count * n.cpu_milli for n in room.free) // 1_000


def the_pod(member: Member, uid: str = UID) -> OwnPod:
    (pod,) = member.pods[uid].values()
    return pod


# --- what is there


async def test_a_member_is_usable_once_all_is_known_and_it_answers() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        server.put(node("n2", ready=False))
        server.put(foreign_pod("system", 3))
        job = put_job(server)
        server.put(pod_of(job, node="n1", state=running()))
        async with following(server) as (member, _):
            assert member.health == member_module.Health(
                True,
                Reason.CONNECTED,
                "Kubernetes v1.36.3 answers",
                "v1.36.3",
                server.get("/api/v1/namespaces/kube-system")["metadata"]["uid"],
            )
            assert member.last_heard_ms == Clock().now_ms()
            assert [n.name for n in member.nodes()] == ["n1", "n2"]
            assert [n.name for n in member.usable_nodes()] == ["n1"]
            assert [j.name for j in member.jobs[UID].values()] == [job["metadata"]["name"]]
            assert the_pod(member).started
            assert (member.bound_tasks(UID, 1), member.bound_tasks(UID, 2), member.bound_tasks(OTHER, 1)) == (1, 0, 0)
            assert member.job_uids() == {UID}
            figures = member.figures((GENERAL,), ())["general"]
            assert (figures.capacity, figures.allocatable) == (16, 5)
            assert free_cores(member) == 3
            assert free_cores(member, Demand("general", 1, 2_000, 1 << 30, 0)) == 1


async def test_it_asks_for_no_more_than_it_needs() -> None:
    async with FakeApiServer() as server:
        async with following(server):
            pass
        asked = {(r.path, r.query.get("labelSelector"), r.query.get("fieldSelector")) for r in server.asked("WATCH *")}
        live = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
        assert asked == {
            ("/api/v1/nodes", None, None),
            ("/api/v1/pods", f"{LABEL_HUB}!={HUB}", live),
            ("/api/v1/pods", f"{LABEL_HUB}={HUB}", None),
            ("/apis/batch/v1/jobs", f"{LABEL_HUB}={HUB}", None),
        }
        await server.until(lambda: not server.watching)
        assert server.writes == []


async def test_what_changes_there_changes_here() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        async with following(server) as (member, told):
            server.put(foreign_pod("system", 3))
            await told.until(lambda: free_cores(member) == 5)
            server.put(pod_of(job))
            await told.until(lambda: UID in member.pods)
            assert (free_cores(member), member.bound_tasks(UID, 1)) == (5, 0), "it has no node yet"
            server.put(pod_of(job, node="n1"))
            await told.until(lambda: free_cores(member) == 3)
            assert member.bound_tasks(UID, 1) == 1
            server.put(pod_of(job, node="n1", state=ended(start=START, end=END), phase="Succeeded"))
            await told.until(lambda: free_cores(member) == 5)
            assert member.bound_tasks(UID, 1) == 1
            server.put(node("n1", ready=False))
            await told.until(lambda: not member.usable_nodes())
            assert free_cores(member) == 0
            server.delete("/api/v1/nodes/n1")
            await told.until(lambda: not list(member.nodes()))
            server.delete(f"{JOBS}/{job['metadata']['name']}")
            await told.until(lambda: UID not in member.jobs)
            assert the_pod(member).deleting, "its finalizer holds the pod"


async def test_what_changes_nothing_here_is_not_told() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        async with following(server) as (member, told):
            sites, jobs = told.sites, len(told.jobs)
            before = member.figures((GENERAL,), ())
            for beat in range(20):
                server.put({**node("n1"), "metadata": {"name": "n1", "labels": {}, "annotations": {"beat": str(beat)}}})
                server.put({**job, "metadata": {**job["metadata"], "annotations": {"beat": str(beat)}}})
            server.put(foreign_pod("system", 1))
            await told.until(lambda: free_cores(member) == 7)
            assert told.sites <= sites + 3, "20 heartbeats are none of these"
            assert len(told.jobs) == jobs
            assert member.figures((GENERAL,), ()) is not before
            assert member.figures((GENERAL,), ()) is member.figures((GENERAL,), ())


async def test_many_changes_of_a_site_are_told_together() -> None:
    async with FakeApiServer() as server, following(server) as (member, told):
        before = told.sites
        for number in range(300):
            server.put(node(f"n{number}"))
        await told.until(lambda: len(list(member.nodes())) == 300)
        assert told.sites - before < 30


# --- what the hub does there


async def test_a_job_is_created_with_its_namespace_and_known_at_once() -> None:
    async with FakeApiServer() as server, following(server) as (member, told):
        held = server.hold("WATCH *")
        server.drop_watches()
        await server.until(lambda: held.waiting == 4)
        await _create_once_known(member, SPACE, a_job())
        (known,) = member.jobs[UID].values()
        assert (known.epoch, known.namespace, told.jobs[-1]) == (1, NAMESPACE, UID)
        assert server.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"] == SPACE["metadata"]["labels"]
        assert server.get(f"{JOBS}/{known.name}")["metadata"]["uid"] == known.uid
        await member.create_job(SPACE, a_job(OTHER))
        assert len(server.asked("POST /api/v1/namespaces")) == 1, "the namespace is known to be there"


async def test_a_namespace_is_made_once_for_all_jobs_that_wait_for_it() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        made = server.hold("POST /api/v1/namespaces")
        jobs = [asyncio.create_task(member.create_job(SPACE, a_job(f"{UID}{n}"))) for n in range(20)]
        await server.until(lambda: made.waiting)
        made.release()
        await asyncio.gather(*jobs)
        assert len(member.jobs) == 20
        wrote = Counter(request.path for request in server.writes)
        folder = f"namespaces/{NAMESPACE}"
        assert wrote == {
            "/api/v1/namespaces": 1,
            f"/apis/networking.k8s.io/v1/{folder}/networkpolicies": 1,
            f"/api/v1/{folder}/resourcequotas": 1,
            JOBS: 20,
        }


async def test_whoever_waited_for_a_namespace_that_was_refused_tries_it_himself() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        made = server.hold("POST /api/v1/namespaces")
        refused = server.refuse("POST /api/v1/namespaces", 500, times=1)
        first, second = (asyncio.create_task(member.create_job(SPACE, a_job(uid))) for uid in (UID, OTHER))
        await server.until(lambda: made.waiting)
        made.release()
        with pytest.raises(ApiError):
            await first
        await second
        assert refused.seen == 1
        assert set(member.jobs) == {OTHER}


async def test_creating_again_changes_nothing() -> None:
    async with FakeApiServer() as server:
        put_job(server)
        for guard in guards(HUB, NAMESPACE, BOUNDS):
            server.put(guard)
        version = server.store.version
        async with following(server) as (member, _):
            for _ in range(3):
                await member.create_job(SPACE, a_job())
            assert [j.epoch for j in member.jobs[UID].values()] == [1]
        assert server.store.version == version


async def test_an_old_answer_does_not_undo_what_the_watch_has_told() -> None:
    done = [{"type": "Complete", "status": "True", "lastTransitionTime": END}]
    async with FakeApiServer() as server, following(server) as (member, told):
        hold = server.hold("GET /apis/batch/*")
        job = put_job(server)
        await told.until(lambda: UID in member.jobs)
        creating = asyncio.create_task(member.create_job(SPACE, a_job()))
        await server.until(lambda: hold.waiting)
        server.put({**job, "status": {"conditions": done}})
        await told.until(lambda: all(j.complete for j in member.jobs[UID].values()))
        server.fault("GET /apis/batch/*", lambda _: web.json_response(job))
        hold.release()
        await creating
        assert all(j.complete for j in member.jobs[UID].values())


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"metadata": {"name": "x"}},
        a_job(OTHER),
        a_job(epoch=2),
        {**a_job(), "metadata": {**a_job()["metadata"], "namespace": "default"}},
        {**a_job(), "metadata": {**a_job()["metadata"], "labels": {}}},
    ],
)
async def test_another_object_in_the_jobs_place_is_not_taken_for_it(answer: Json) -> None:
    async with FakeApiServer() as server, following(server) as (member, told):
        server.answer("POST /apis/batch/*", json.dumps(answer).encode(), status=201)
        with pytest.raises(Unreachable, match=f"another object where Job {NAMESPACE}/j-{UID}-1 should be"):
            await member.create_job(SPACE, a_job())
        assert member.job_uids() == set()
        assert told.jobs == []


async def test_a_namespace_that_was_removed_is_made_anew() -> None:
    async with FakeApiServer() as server, following(server) as (member, told):
        await member.create_job(SPACE, a_job())
        server.delete(f"/api/v1/namespaces/{NAMESPACE}")
        await told.until(lambda: UID not in member.jobs)
        with pytest.raises(ApiError) as caught:
            await member.create_job(SPACE, a_job())
        assert caught.value.status == 404
        await member.create_job(SPACE, a_job())
        assert UID in member.jobs


POLICY = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/suanli"
QUOTA = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas/suanli"


async def test_a_tenants_namespace_is_bounded_before_its_first_job() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        await member.create_job(SPACE, a_job())
        made = [request.path for request in server.asked("POST *")]
        assert made == ["/api/v1/namespaces", POLICY.removesuffix("/suanli"), QUOTA.removesuffix("/suanli"), JOBS]
        assert server.get(POLICY)["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert server.get(QUOTA)["spec"]["hard"]["pods"] == "1000"


async def test_no_job_is_created_where_its_bounds_are_refused() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        server.refuse("POST *networkpolicies", 403, message='User "x" cannot create resource "networkpolicies"')
        with pytest.raises(ApiError, match='cannot create resource "networkpolicies"; join the site again'):
            await member.create_job(SPACE, a_job())
        assert server.asked(f"POST {JOBS}") == []
        server.heal()
        await member.create_job(SPACE, a_job())
        assert UID in member.jobs


async def test_what_somebody_changed_of_a_namespace_is_put_right_and_else_nothing_is_written() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        assert await member.mend_namespaces() == []
        await member.create_job(SPACE, a_job())
        server.put(namespace_manifest("another", "team-a"))
        system = {"name": "suanli-system", "labels": SPACE["metadata"]["labels"]}
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": system})
        right, version = [server.get(path) for path in (POLICY, QUOTA)], server.store.version
        assert await member.mend_namespaces() == []
        assert server.store.version == version
        space = server.get(f"/api/v1/namespaces/{NAMESPACE}")
        lax = {**space["metadata"]["labels"], "pod-security.kubernetes.io/enforce": "privileged", "team": "a"}
        server.put({**space, "metadata": {**space["metadata"], "labels": lax}})
        server.put({**right[0], "spec": {**right[0]["spec"], "egress": [{}]}})
        server.delete(QUOTA)
        told = await member.mend_namespaces()
        assert told == [
            f"Namespace {NAMESPACE}",
            f"NetworkPolicy {NAMESPACE}/suanli",
            f"ResourceQuota {NAMESPACE}/suanli",
        ]
        assert [server.get(path)["spec"] for path in (POLICY, QUOTA)] == [each["spec"] for each in right]
        assert server.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"] == {
            **SPACE["metadata"]["labels"],
            "team": "a",
        }
        bare = {k: v for k, v in right[0]["metadata"].items() if k != "labels"}
        server.put({**right[0], "metadata": bare, "spec": {"podSelector": {}}})
        assert await member.mend_namespaces() == [f"NetworkPolicy {NAMESPACE}/suanli"]
        assert server.get(POLICY)["spec"] == right[0]["spec"]
        assert await member.mend_namespaces() == []


async def test_a_member_that_cannot_be_put_right_in_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "MENDING_S", 0.05)
    async with FakeApiServer() as server, following(server) as (member, _):
        hold = server.hold("GET */networkpolicies")
        with pytest.raises(Unreachable, match="takes longer than"):
            await member.mend_namespaces()
        hold.release()


@pytest.mark.parametrize("status", [400, 403, 413, 422, 429, 500])
async def test_a_refusal_is_the_callers_to_judge(status: int) -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        server.refuse("POST *", status, message="not here")
        with pytest.raises(ApiError) as caught:
            await member.create_job(SPACE, a_job())
        assert (caught.value.status, caught.value.message) == (status, "not here")
        assert member.jobs == {}


async def test_exactly_the_known_job_is_deleted_and_its_pods_after_it() -> None:
    async with FakeApiServer() as server:
        job = put_job(server)
        server.put(pod_of(job, node="n1", state=running()))
        async with following(server) as (member, told):
            (known,) = member.jobs[UID].values()
            await member.delete_job(known)
            assert server.asked("DELETE *")[0].body == {
                "propagationPolicy": "Foreground",
                "preconditions": {"uid": known.uid},
            }
            await told.until(lambda: UID not in member.jobs and the_pod(member).deleting)
            await member.delete_job(known)
            again = put_job(server)
            await told.until(lambda: UID in member.jobs)
            await member.delete_job(known)
            assert server.get(f"{JOBS}/{known.name}")["metadata"]["uid"] == again["metadata"]["uid"]


async def test_a_pod_is_let_go_by_our_finalizer_alone() -> None:
    async with FakeApiServer() as server:
        pod = pod_of(put_job(server), node="n1", state=ended(start=START, end=END), phase="Succeeded")
        server.put({**pod, "metadata": {**pod["metadata"], "finalizers": ["a/b", FINALIZER_METERING, "c/d"]}})
        path = f"{PODS}/{pod['metadata']['name']}"
        async with following(server) as (member, told):
            server.delete(path)
            await told.until(lambda: the_pod(member).deleting)
            await member.release_pod(the_pod(member))
            assert server.get(path)["metadata"]["finalizers"] == ["a/b", "c/d"]
            await told.until(lambda: not the_pod(member).metered)
            writes = len(server.writes)
            await member.release_pod(the_pod(member))
            assert len(server.writes) == writes, "there is nothing to take off"


async def test_what_has_ended_is_found_once_where_no_watch_tells_and_a_copy_is_nobody() -> None:
    async with FakeApiServer() as server:
        job = put_job(server)
        pod = server.put(pod_of(job, node="n1"))
        copy = {**pod["metadata"], "name": "a-copy", "uid": "u-copy"}
        over = {"phase": "Succeeded", "containerStatuses": [{"name": "task", "state": ended(start=START, end=END)}]}
        server.put({**pod, "metadata": copy, "status": over})
        async with following(server) as (member, _):
            (known,) = member.jobs[UID].values()
            assert not await member.find_ended(known)
            listed = {"metadata": {"resourceVersion": "1"}, "items": [{**pod, "status": over}]}
            server.answer(f"GET {PODS}", json.dumps(listed).encode())
            assert await member.find_ended(known)
            assert the_pod(member).completed
            assert not await member.find_ended(known)
            server.refuse(f"GET {PODS}", 403, "Forbidden", "no")
            assert not await member.find_ended(known), "what cannot be asked keeps nothing from being stopped"


async def test_a_pod_that_changed_meanwhile_is_not_touched() -> None:
    async with FakeApiServer() as server:
        pod = pod_of(put_job(server), node="n1")
        server.put({**pod, "metadata": {**pod["metadata"], "finalizers": ["a/b", FINALIZER_METERING]}})
        path = f"{PODS}/{pod['metadata']['name']}"
        async with following(server) as (member, told):
            known = the_pod(member)
            server.put({**pod, "metadata": {**pod["metadata"], "finalizers": ["c/d", "a/b", FINALIZER_METERING]}})
            with pytest.raises(ApiError) as caught:
                await member.release_pod(known)
            assert caught.value.status == 422
            assert len(server.get(path)["metadata"]["finalizers"]) == 3
            await told.until(lambda: len(the_pod(member).raw["metadata"]["finalizers"]) == 3)
            await member.release_pod(the_pod(member))
            assert server.get(path)["metadata"]["finalizers"] == ["c/d", "a/b"]
            server.delete(path)
            server.put({**server.get(path), "metadata": {**pod["metadata"], "finalizers": []}})
            await member.release_pod(known)


# --- patience


async def test_nobody_waits_long_for_a_member_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "PATIENCE_S", 1.0)
    async with (
        FakeApiServer() as slow,
        FakeApiServer() as quick,
        following(slow, concurrency=2) as (stuck, told),
        following(quick) as (other, _),
    ):
        slow.pause()
        late = f"{slow.target.server} takes longer than 1 s to answer"
        tries = [asyncio.create_task(stuck.create_job(SPACE, a_job(epoch=n))) for n in range(1, 20)]
        await other.create_job(SPACE, a_job())
        for failed in await asyncio.gather(*tries, return_exceptions=True):
            assert str(failed) == late
        asked = len(slow.requests)
        with pytest.raises(Unreachable, match=late):
            await stuck.create_job(SPACE, a_job())
        assert len(slow.requests) == asked, "while it has not answered nothing more is asked of it"
        assert stuck.usable, "a member that was slow once is not lost"
        slow.resume()
        await slow.until(lambda: not stuck._stalled)
        await stuck.create_job(SPACE, a_job())
        assert UID in stuck.jobs
        assert told.jobs


async def test_one_request_that_is_not_answered_holds_no_others_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "PATIENCE_S", 1.0)
    async with FakeApiServer() as server, following(server, probe_s=3_600) as (member, _):
        await member.create_job(SPACE, a_job(epoch=1))
        held = server.hold(f"POST {JOBS}")
        waits = asyncio.create_task(member.create_job(SPACE, a_job(epoch=2)))
        await server.until(lambda: held.waiting)
        server.heal()
        await member.create_job(SPACE, a_job(epoch=3))
        with pytest.raises(Unreachable, match="takes longer than 1 s"):
            await waits
        await member.create_job(SPACE, a_job(epoch=4))
        assert {job.epoch for job in member.jobs[UID].values()} == {1, 3, 4}


async def test_a_member_that_let_somebody_wait_in_vain_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "PATIENCE_S", 0.1)
    async with FakeApiServer() as server, following(server, probe_s=3_600) as (member, _):
        held, asked = server.hold("POST *"), len(server.asked("GET /version"))
        with pytest.raises(Unreachable):
            await member.create_job(SPACE, a_job())
        await server.until(lambda: len(server.asked("GET /version")) > asked)
        held.release()


@pytest.mark.parametrize("status", [429, 500])
async def test_a_member_that_refuses_has_answered(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "PATIENCE_S", 0.1)
    async with FakeApiServer() as server, following(server) as (member, _):
        held = server.hold("POST *")
        with pytest.raises(Unreachable):
            await member.create_job(SPACE, a_job())
        held.release()
        monkeypatch.setattr(member_module, "PATIENCE_S", 10.0)
        server.refuse("GET /version", status)
        await server.until(lambda: not member._stalled)
        await member.create_job(SPACE, a_job())


# --- whether it is well


async def _asked_more_than(server: FakeApiServer, pattern: str, times: int) -> None:
    await server.until(lambda: len(server.asked(pattern)) > times)


async def _create_once_known(member: Member, space: Json, job: Json) -> None:
    """Once the member has said again which cluster it is."""
    while True:
        try:
            return await member.create_job(space, job)
        except Unreachable:
            await asyncio.sleep(0.01)


PROBES = ("GET /version", "GET /api/v1/namespaces/kube-system")


def _not_kubernetes(server: FakeApiServer) -> None:
    server.answer("*", b'{"status": "ok"}')


def _unready(server: FakeApiServer) -> None:
    server.answer("*", b"<html>502</html>", status=502)


FIRST_WORDS: list[tuple[Callable[[FakeApiServer], object], Reason, str]] = [
    (
        lambda s: s.refuse("*", 401, "Unauthorized", "expired"),
        Reason.CREDENTIALS_REFUSED,
        "refuses the credentials (401 Unauthorized: expired); join the site again",
    ),
    (
        lambda s: s.refuse("*", 403, "Forbidden", "no"),
        Reason.PERMISSION_DENIED,
        "the member's account lacks a permission (403 Forbidden: no); join the site again",
    ),
    (
        lambda s: s.refuse("GET /api/v1/pods", 403, "Forbidden", "pods"),
        Reason.PERMISSION_DENIED,
        "lacks a permission (403 Forbidden: pods)",
    ),
    (lambda s: s.refuse("*", 429, "TooManyRequests", "busy"), Reason.UNREACHABLE, "429 TooManyRequests: busy"),
    (lambda s: s.refuse("*", 500, "InternalError", "etcd"), Reason.UNREACHABLE, "500 InternalError: etcd"),
    (_unready, Reason.UNREACHABLE, "502 : <html>502</html>"),
    (lambda s: s.answer("*", b"garbage"), Reason.UNREACHABLE, "not a JSON object"),
    (
        lambda s: s.answer("*", b"", status=302, headers={"Location": "/"}),
        Reason.UNREACHABLE,
        "redirect, which is not followed",
    ),
    (lambda s: s.cut("*"), Reason.UNREACHABLE, "could not be reached"),
    (_not_kubernetes, Reason.BAD_RESPONSE, "answers, but not as a Kubernetes API server does"),
    (
        lambda s: s.version.update(minor="30"),
        Reason.UNSUPPORTED_VERSION,
        "the member runs Kubernetes v1.36.3; suanli needs 1.31 or newer",
    ),
    (lambda s: s.version.update(major="2"), Reason.UNSUPPORTED_VERSION, "suanli needs 1.31 or newer"),
    (lambda s: s.version.update(minor={"a": 1}), Reason.BAD_RESPONSE, "not as a Kubernetes API server does"),
    (lambda s: s.version.update(gitVersion=None), Reason.BAD_RESPONSE, "not as a Kubernetes API server does"),
    (
        lambda s: s.answer("GET /api/v1/nodes", b"{}"),
        Reason.SYNCING,
        "the first lists of nodes, pods and jobs are not complete: ",
    ),
]


@pytest.mark.parametrize(("spoil", "reason", "message"), FIRST_WORDS)
async def test_why_a_member_is_not_usable_is_said_and_heals(
    spoil: Callable[[FakeApiServer], object], reason: Reason, message: str
) -> None:
    async with FakeApiServer() as server:
        good = dict(server.version)
        spoil(server)
        async with following(server, silence_s=0.05, usable=False) as (member, told):
            await told.until(lambda: member.health.reason is reason and message in member.health.message)
            assert not member.usable
            assert member.health.reachable is not True
            server.heal()
            server.version.update(good)
            await told.until(lambda: member.usable)


@pytest.mark.parametrize("minor", ["31", "36", "36+", "40-eks", "1000"])
async def test_any_newer_version_will_do(minor: str) -> None:
    async with FakeApiServer(minor=minor) as server, following(server) as (member, _):
        assert member.usable


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.refuse(PROBES[0], 401, times=3),
        lambda s: s.refuse(PROBES[1], 403, times=3),
        lambda s: s.refuse(PROBES[0], 429, times=3, headers={"Retry-After": "86400"}),
        lambda s: s.refuse(PROBES[1], 500, times=3),
        lambda s: s.answer(PROBES[0], b"garbage", times=3),
        lambda s: s.answer(PROBES[1], b"{}", times=3),
        lambda s: s.answer(PROBES[0], b'{"major": "1", "minor": "9", "gitVersion": "v1.9"}', times=3),
        lambda s: s.cut(PROBES[0], times=6),
        lambda s: s.drop_watches(),
        lambda s: (s.drop_watches(), s.store.compact()),
        lambda s: (s.refuse("WATCH *", 403, times=6), s.drop_watches()),
        lambda s: (s.answer("GET /api/v1/pods*", b"{}", times=3), s.store.compact(), s.drop_watches()),
    ],
)
async def test_a_member_that_was_well_does_not_flap(spoil: Callable[[FakeApiServer], object]) -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        put_job(server)
        async with following(server) as (member, told):
            before, jobs = member.health, {uid: dict(of) for uid, of in member.jobs.items()}
            spoil(server)
            for _ in range(12):
                probed = len(server.asked(PROBES[0]))
                await _asked_more_than(server, PROBES[0], probed)
                assert member.health == before
                assert member.usable
                assert member.jobs == jobs
            await server.until(lambda: server.watching == 4)
            server.put(node("n2"))
            await told.until(lambda: len(member.usable_nodes()) == 2)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda s: s.refuse("* /api*", 401), Reason.CREDENTIALS_REFUSED),
        (lambda s: s.refuse("* /api*", 403), Reason.PERMISSION_DENIED),
        (lambda s: s.refuse("*", 500), Reason.UNREACHABLE),
        (lambda s: s.refuse("*", 429, headers={"Retry-After": "1"}), Reason.UNREACHABLE),
        (lambda s: s.answer("*", b"{}"), Reason.BAD_RESPONSE),
        (lambda s: s.answer("*", b"garbage"), Reason.UNREACHABLE),
        (lambda s: s.version.update(minor="12"), Reason.UNSUPPORTED_VERSION),
        (lambda s: s.refuse("WATCH /api/v1/pods", 403, "Forbidden", "pods"), Reason.PERMISSION_DENIED),
        (lambda s: s.answer("WATCH /apis/batch/v1/jobs", b"garbage\n"), Reason.UNREACHABLE),
        (lambda s: (s.store.compact(), s.answer("GET /api/v1/nodes", b"{}")), Reason.UNREACHABLE),
        (lambda s: s.pause(), Reason.UNREACHABLE),
    ],
)
async def test_trouble_that_stays_is_believed_and_what_is_known_is_kept(
    spoil: Callable[[FakeApiServer], object], reason: Reason
) -> None:
    async with FakeApiServer() as server:
        good = dict(server.version)
        server.put(node("n1"))
        job = put_job(server)
        server.put(pod_of(job, node="n1", state=running()))
        async with following(server, silence_s=0.1, timeout_s=0.1) as (member, told):
            cluster = member.health.cluster_id
            spoil(server)
            server.drop_watches()
            # A busy machine may itself be silent for as long as a member is waited for here.
            await told.until(lambda: not member.usable and member.health.reason is reason)
            assert member.health.reachable is False
            assert (member.health.cluster_id, member.health.version) == (cluster, "v1.36.3")
            assert member.job_uids() == {UID}
            assert the_pod(member).started
            told.jobs.clear()
            server.heal()
            server.resume()
            server.version.update(good)
            await told.until(lambda: member.usable and UID in told.jobs)


async def test_an_api_server_that_is_paused_and_goes_on_has_lost_nothing() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        async with following(server, silence_s=0.1, timeout_s=60) as (member, told):
            server.pause()
            await told.until(lambda: not member.usable)
            assert "did not answer in 0.1 s" in member.health.message
            server.put(pod_of(job, node="n1", state=running()))
            server.resume()
            await told.until(lambda: member.usable and UID in member.pods)


# --- another cluster behind the same address


async def test_another_cluster_at_the_address_is_noticed_at_once_and_its_lists_not_believed() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        async with following(server) as (member, told):
            mine = member.health.cluster_id
            held = server.hold("GET /version")
            await server.until(lambda: held.waiting)
            server.become("another-cluster")
            server.store.forget(Path.of(f"{JOBS}/{job['metadata']['name']}"))
            server.store.forget(Path.of("/api/v1/nodes/n1"))
            listed = len(server.asked("GET /apis/batch/v1/jobs"))
            server.store.compact()
            server.drop_watches()
            await server.until(lambda: len(server.asked("GET /apis/batch/v1/jobs")) > listed + 2)
            assert list(member.jobs) == [UID], "a list of another cluster says nothing of what runs here"
            assert [n.name for n in member.nodes()] == ["n1"]
            server.heal()
            held.release()
            await told.until(lambda: not member.usable)
            assert (member.health.reason, member.health.cluster_id) == (Reason.WRONG_CLUSTER, mine)
            assert member.health.message == (
                f"{server.target.server} is cluster another-cluster, site s is cluster {mine}; give it the address of its"
                " own cluster, or let it leave and join again if it was replaced"
            )
            server.become(mine)
            await told.until(lambda: member.usable)


async def test_a_cluster_that_is_not_the_sites_is_never_followed() -> None:
    async with FakeApiServer() as server:
        put_job(server)
        async with following(server, cluster_id="mine", usable=False) as (member, told):
            await told.until(lambda: member.health.reason is Reason.WRONG_CLUSTER)
            assert member.job_uids() == set()
            assert not member.synced


async def test_nothing_is_sent_after_a_connection_broke_before_the_cluster_has_said_who_it_is() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        asked = server.hold("GET /version")
        await server.until(lambda: asked.waiting)
        watches = server.hold("WATCH *")
        server.become("another-cluster")
        server.drop_watches()
        await server.until(lambda: watches.waiting == 4)
        with pytest.raises(Unreachable, match="is being asked again which cluster it is"):
            await member.create_job(SPACE, a_job())
        with pytest.raises(Unreachable, match="is being asked again which cluster it is"):
            await member.renew_fence("now", 60)
        assert not [r for r in server.requests if r.verb in ("POST", "PATCH", "DELETE")]


# --- credentials, and whose the cluster is


async def test_credentials_rotate_without_a_list_or_an_event_lost() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        async with following(server) as (member, told):
            lists = len(server.asked("GET /api/v1/nodes")) + len(server.asked("GET /apis/batch/v1/jobs"))
            before = len(server.requests)
            await member.authenticate(replace(server.target, token="a-new-token"))
            server.put(node("n2"))
            put_job(server)
            await told.until(lambda: len(member.usable_nodes()) == 2 and UID in member.jobs)
            await _create_once_known(member, SPACE, a_job(OTHER))
            assert member.usable
            assert lists == len(server.asked("GET /api/v1/nodes")) + len(server.asked("GET /apis/batch/v1/jobs"))
            assert len(server.asked("WATCH *")) >= 8, "each goes on where it was"
            # A probe that was on its way may still come with the old one.
            since = [r for r in server.requests[before:] if r.verb != "GET"]
            assert {r.headers["Authorization"] for r in since} == {"Bearer a-new-token"}


async def test_credentials_that_cannot_be_used_change_nothing() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        with pytest.raises(ValueError, match="cannot be used"):
            await member.authenticate(replace(server.target, server="https://127.0.0.1:1", ca_pem="nonsense"))
        await member.create_job(SPACE, a_job())
        assert member.usable


async def test_revoked_credentials_are_not_used_again_for_any_write() -> None:
    async with FakeApiServer() as server, following(server) as (member, _):
        await server.until(lambda: server.watching == 4)
        server.refuse("* /api*", 401)
        with pytest.raises(ApiError, match="401"):
            await member.create_job(SPACE, a_job())
        for _ in range(3):
            with pytest.raises(Unreachable, match="which cluster it is"):
                await member.create_job(SPACE, a_job())
        assert len([r for r in server.requests if r.verb == "POST"]) == 1
        server.heal()
        await _create_once_known(member, SPACE, a_job())


async def test_a_cluster_that_belongs_to_another_hub_is_not_used() -> None:
    async with FakeApiServer() as server:
        put_job(server)
        server.put(system_namespace(OTHER, "elsewhere", made=True))
        async with following(server, usable=False) as (member, told):
            await told.until(lambda: member.health.reason is Reason.JOINED_ELSEWHERE)
            assert member.health.message == (
                f"the cluster is joined to another hub ({OTHER}); let it leave there first, then join site s"
            )
            assert not member.usable
            server.put(system_namespace(HUB, "s", made=True))
            await told.until(lambda: member.usable)
        assert not [r for r in server.requests if r.verb in ("POST", "PATCH", "DELETE")]


async def test_an_account_that_may_not_ask_whose_the_cluster_is_goes_on() -> None:
    async with FakeApiServer() as server:
        server.refuse("GET /api/v1/namespaces/suanli-system", 403)
        async with following(server) as (member, _):
            assert member.usable


async def test_the_hub_is_no_member_of_its_own() -> None:
    async with FakeApiServer() as server:
        server.become(HUB)
        async with following(server, usable=False) as (member, told):
            await told.until(lambda: member.health.reason is Reason.DUPLICATE_CLUSTER)
            assert "is the hub itself" in member.health.message


# --- lists and objects that no cluster has


async def test_a_list_whose_token_expires_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "MOST_NODES", 2_500)
    async with FakeApiServer() as server:
        for number in range(1_500):
            server.put(node(f"n{number}"))

        def forget(request: web.Request) -> None:
            if "continue" in request.query:
                server.store.compact()

        server.fault("GET /api/v1/nodes", forget, times=2)
        async with following(server) as (member, _):
            assert len(list(member.nodes())) == 1_500


async def test_a_list_that_never_ends_makes_a_member_unusable_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "MOST_NODES", 50)
    more = {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": [node(f"n{n}") for n in range(20)]}
    async with FakeApiServer() as server:
        server.answer("GET /api/v1/nodes", json.dumps(more).encode())
        async with following(server, usable=False) as (member, told):
            await told.until(lambda: "lists more than 50 objects" in member.health.message)
            assert member.health.reason is Reason.SYNCING


@pytest.mark.parametrize(
    "labels",
    [
        {LABEL_HUB: HUB},
        {LABEL_HUB: HUB, LABEL_JOB_UID: OTHER, LABEL_EPOCH: "1"},
        {LABEL_HUB: HUB, LABEL_JOB_UID: UID, LABEL_EPOCH: "2"},
        {LABEL_HUB: HUB, LABEL_JOB_UID: UID, LABEL_EPOCH: "99999999999999"},
        {LABEL_HUB: HUB, LABEL_JOB_UID: "../../x", LABEL_EPOCH: "1"},
    ],
)
async def test_objects_that_claim_what_they_are_not_belong_to_no_job(labels: dict[str, str]) -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        copy = {**job, "metadata": {**job["metadata"], "labels": labels}}
        copied = pod_of(job, node="n1", state=running())
        server.put({**copied, "metadata": {**copied["metadata"], "labels": labels}})
        server.put(copy)
        async with following(server) as (member, told):
            assert member.job_uids() == set()
            assert told.jobs == []
            assert free_cores(member) == 6, "what runs there takes room, whosever it is"


async def test_a_job_has_no_more_pods_than_any_job_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_module, "MOST_PODS_OF_JOB", 3)
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        for index in range(4):
            server.put(pod_of(job, index, node="n1", state=running()))
        async with following(server) as (member, told):
            assert (len(member.pods[UID]), free_cores(member)) == (3, 0)
            server.put(pod_of(job, 0, node="n1", state=ended(start=START, end=END), phase="Succeeded"))
            await told.until(lambda: member.bound_tasks(UID, 1) == 3 and free_cores(member) == 2)


async def test_an_object_that_changes_whose_it_is_leaves_nothing_behind() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        pod = server.put(pod_of(job, node="n1", state=running()))
        async with following(server) as (member, told):
            relabelled = {**pod["metadata"]["labels"], LABEL_JOB_UID: OTHER}
            server.put({**pod, "metadata": {**pod["metadata"], "labels": relabelled}})
            server.put({**job, "metadata": {**job["metadata"], "labels": {**relabelled, LABEL_EPOCH: "7"}}})
            await told.until(lambda: not member.job_uids())
            assert free_cores(member) == 6
            server.put({**pod, "metadata": {**pod["metadata"], "labels": {}}})
            await told.until(lambda: free_cores(member) == 6 and not member._loads)


async def test_a_pod_of_the_same_name_takes_the_place_of_the_old_one() -> None:
    async with FakeApiServer() as server:
        server.put(node("n1"))
        job = put_job(server)
        old = server.put(pod_of(job, node="n1", state=running()))
        async with following(server) as (member, told):
            held = server.hold("WATCH /api/v1/pods")
            server.drop_watches()
            await server.until(lambda: held.waiting == 2)
            server.store.forget(Path.of(f"{PODS}/{old['metadata']['name']}"))
            new = server.put(pod_of(job))
            server.store.compact()
            held.release()
            await told.until(lambda: UID in member.pods and new["metadata"]["uid"] in member.pods[UID])
            assert the_pod(member).uid == new["metadata"]["uid"]
            assert free_cores(member) == 8, "the old one's room is free again"


async def test_nonsense_in_every_mirror_breaks_none() -> None:
    nonsense: list[object] = [
        {"metadata": {"name": "x", "labels": {LABEL_HUB: HUB, LABEL_JOB_UID: [1], LABEL_EPOCH: {}}, "finalizers": 4}},
        {"metadata": {"name": "y", "namespace": [], "labels": "none"}, "spec": [], "status": [1]},
        {
            "metadata": {"name": "z"},
            "status": {
                "conditions": [{"type": ["Ready"]}],
                "containerStatuses": [{"state": {"waiting": {"reason": []}}}],
            },
        },
    ]
    async with FakeApiServer() as server:
        metadata = {"resourceVersion": str(server.store.version)}
        body = json.dumps({"items": nonsense, "metadata": metadata}).encode()
        for path in ("/api/v1/nodes", "/api/v1/pods", "/apis/batch/v1/jobs"):
            server.answer(f"GET {path}", body)
        async with following(server) as (member, told):
            for raw in nonsense:
                for kind in ("MODIFIED", "DELETED", "ADDED"):
                    server.send({"type": kind, "object": raw})
            server.heal()
            server.put(node("n1"))
            await told.until(lambda: member.usable_nodes())
            assert member.job_uids() == set()
