"""Joining and leaving on real clusters: what the hub's account may do there, what the fence forbids, and that nothing stays."""

import asyncio
import base64
import copy
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from typer.testing import CliRunner

from asynctests import Happenings
from harness import Federation, Kubectl, Site
from harness.shell import PATIENT_S, wait_for
from localfed import NodeShape, provider_from_env
from suanli.api.job import Assignment, ComputeJobSpec
from suanli.api.site import SiteResource
from suanli.base.names import FENCE, FINALIZER_METERING, LABEL_HUB, member_account
from suanli.cli.site import site_app
from suanli.federation.credentials import parse_kubeconfig
from suanli.federation.facts import OwnPod
from suanli.federation.member import FENCE_LEASE, GUARDS, Member
from suanli.federation.render import job_manifest, namespace_manifest
from suanli.federation.tenancy import Bounds
from suanli.kube.client import ApiClient, ApiError, Json, Target
from suanli.kube.local import load_target

T = TypeVar("T")
Until = Callable[[Callable[[], object]], Awaitable[None]]
SITE = "solo"
SYSTEM = "suanli-system"
GENERAL = {"class": "general", "type": "General", "resourceName": "cpu", "unit": "Core"}
SPEC = {"region": "shanghai", "resources": [GENERAL]}
UID = "0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
MENDED = ("namespaces", "resourcequotas", "networkpolicies.networking.k8s.io")
# What Kubernetes itself grants to whoever has an account.
OF_EVERYBODY = {
    ("selfsubjectaccessreviews.authorization.k8s.io", "create"),
    ("selfsubjectrulesreviews.authorization.k8s.io", "create"),
    ("selfsubjectreviews.authentication.k8s.io", "create"),
}
PASSING = ("events", "leases.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io")


def run(work: Coroutine[Any, Any, T]) -> T:
    async def timed() -> T:
        async with asyncio.timeout(PATIENT_S):
            return await work

    return asyncio.run(timed())


class Clusters:
    """A hub with the chart, one member, and both as their administrators and as the hub's account see them."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.hub = federation.hub
        self.member = federation.member(SITE)
        self.hub_id = _uid(self.hub)
        self.member_id = _uid(self.member)
        self.account = member_account(self.hub_id)
        self.manifest = federation.folder / "solo.yaml"
        metadata = {"name": SITE}
        self.manifest.write_text(
            yaml.safe_dump(
                {"apiVersion": "suanli.io/v1alpha1", "kind": "ComputeSite", "metadata": metadata, "spec": SPEC}
            )
        )

    def site(
        self, command: str, name: str = SITE, *flags: str | Path, hub: str = "hub", member: str = SITE
    ) -> list[str]:
        """`suanli site`; the lines it prints, or its error with its exit code."""
        clusters = self.federation.clusters
        both = ["--kubeconfig", clusters[hub].kubeconfig, "--member-kubeconfig", clusters[member].kubeconfig]
        done = CliRunner().invoke(site_app, [command, name, *map(str, (*both, *flags))])
        if done.exit_code:
            assert isinstance(done.exception, SystemExit), done.exception
            return [f"{done.exit_code} {done.stderr.strip()}"]
        return done.stdout.splitlines()

    def join(self) -> list[str]:
        return self.site("join", SITE, "-f", self.manifest)

    def administrator(self, name: str = SITE) -> ApiClient:
        return ApiClient(load_target(self.federation.clusters[name].kubeconfig), name=name)

    @property
    def granted(self) -> Target:
        """The target in the site's Secret, as the operator reads it."""
        data = self.hub.json("get", "secret", f"site-{SITE}", "-n", SYSTEM)["data"]["kubeconfig"]
        return parse_kubeconfig(base64.b64decode(data), allow_loopback=True)


def _uid(kubectl: Kubectl) -> str:
    return str(kubectl.json("get", "namespace", "kube-system")["metadata"]["uid"])


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    folder = tmp_path_factory.mktemp("join")
    with pytest.MonkeyPatch.context() as patch, provider_from_env() as provider:
        patch.setenv("KUBECACHEDIR", str(folder / "kubectl-cache"))
        federation = Federation(provider, folder, [Site(SITE, (NodeShape(count=1, cpu="8", memory="32Gi"),), SPEC)])
        federation.install_chart()
        made = Clusters(federation)
        wait_for("what Kubernetes puts into each namespace", lambda: all(map(is_furnished, (made.hub, made.member))))
        yield made


def is_furnished(kubectl: Kubectl) -> bool:
    """Whether each namespace has what a controller puts there a moment after it was made."""
    found = kubectl.json("get", "namespaces,serviceaccounts,configmaps", "--all-namespaces")["items"]
    namespaces = {each["metadata"]["name"] for each in found if each["kind"] == "Namespace"}
    accounts = {each["metadata"]["namespace"] for each in found if _named(each) == ("ServiceAccount", "default")}
    bundles = {each["metadata"]["namespace"] for each in found if _named(each) == ("ConfigMap", "kube-root-ca.crt")}
    return namespaces == accounts and bundles in (namespaces, set())  # not every cluster has who puts bundles there


def _named(each: Json) -> tuple[str, str]:
    return each["kind"], each["metadata"]["name"]


@pytest.fixture
def joined(clusters: Clusters) -> Clusters:
    """The member joined, whatever a test before did."""
    assert clusters.join()[-1].startswith(f'site "{SITE}" has joined')
    run(_fenced(clusters))
    return clusters


async def _fenced(clusters: Clusters) -> None:
    """An API server may know a policy a moment late."""
    foreign = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}}
    async with ApiClient(clusters.granted, name=SITE) as hub:
        await _until_refused(lambda: hub.post("/api/v1/namespaces", foreign, {"dryRun": "All"}), NO_NAMESPACE)


def inventory(kubectl: Kubectl) -> dict[str, str]:
    """All objects of a cluster but those that come and go by themselves, by kind, namespace and name; and their state."""
    kinds = [k for k in kubectl("api-resources", "--verbs=list", "-o", "name").split() if k not in PASSING]
    found = {}
    for each in kubectl.json("get", ",".join(kinds), "--all-namespaces")["items"]:
        metadata = each["metadata"]
        state = str(metadata.get("generation") or metadata.get("resourceVersion"))
        found[f"{each['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = state
    return found


# --- joining


def test_joining_twice_changes_nothing_and_leaving_takes_all_back(clusters: Clusters) -> None:
    before = set(inventory(clusters.hub)), set(inventory(clusters.member))
    told = clusters.join()
    assert [line.rpartition(" ")[2] for line in told[:9]] == ["created"] * 9
    kept = inventory(clusters.hub), inventory(clusters.member)
    again = clusters.join()
    assert [line.rpartition(" ")[2] for line in again[:9]] == ["unchanged"] * 9
    after = inventory(clusters.hub), inventory(clusters.member)
    assert {k: v for k, v in after[0].items() if kept[0].get(k) != v} == {}
    assert {k: v for k, v in after[1].items() if kept[1].get(k) != v and not k.startswith(("Node ", "CSINode "))} == {}
    run(_run_a_job(clusters))
    assert clusters.site("leave")[-1] == f'site "{SITE}" has left'

    def held() -> tuple[set[str], set[str]]:
        return set(inventory(clusters.hub)), set(inventory(clusters.member))

    wait_for("all to be taken back", lambda: held() == before)
    assert {line.rpartition(" ")[2] for line in clusters.site("leave")[:-1]} == {"absent"}


async def _run_a_job(clusters: Clusters) -> None:
    """A job's whole life there with the rights that were granted; at its end a pod still waits to be let go."""
    manifest, space = a_job(clusters.hub_id, "first"), namespace_manifest(clusters.hub_id, "team-a")
    async with following(clusters) as (member, changed):
        await member.create_job(space, manifest)
        await member.create_job(space, manifest)
        await changed(lambda: any(j.complete for j in member.jobs.get(UID, {}).values()))
        (job,), (pod,) = member.jobs[UID].values(), member.pods[UID].values()
        assert (pod.started, pod.ended, pod.failure) == (True, True, "")
        await member.delete_job(job)
        await changed(lambda: the(member.pods[UID]).deleting)
        assert the(member.pods[UID]).metered, "the metering finalizer holds it, and it holds its Job"
        await member.release_pod(the(member.pods[UID]))
        await changed(lambda: UID not in member.pods and UID not in member.jobs)
        await member.create_job(space, a_job(clusters.hub_id, "second", epoch=2))
        await changed(lambda: any(p.ended for p in member.pods.get(UID, {}).values()))
        await changed(lambda: any(j.complete for j in member.jobs[UID].values()))
    async with clusters.administrator("hub") as hub:
        body = {
            "apiVersion": "suanli.io/v1alpha1",
            "kind": "ComputeJob",
            "metadata": {"name": "train", "namespace": "default"},
            "spec": a_spec(),
        }
        made = await hub.post("/apis/suanli.io/v1alpha1/namespaces/default/computejobs", body)
        assert made["metadata"]["uid"] != UID
        # The second pod belongs to a job that the hub has not finished: its use would be lost.
        refused = await asyncio.to_thread(clusters.site, "leave")
        assert refused[0].startswith("4 error: 1 pods on the member are not metered yet, such as suanli-t-team-a-")
        await hub.delete(f"/apis/suanli.io/v1alpha1/namespaces/default/computejobs/{made['metadata']['name']}")
    async with clusters.administrator() as admin:
        listed = await admin.list_all("/api/v1/pods", {"labelSelector": f"{LABEL_HUB}={clusters.hub_id}"})
        (pod_left,) = listed["items"]
        assert FINALIZER_METERING in pod_left["metadata"]["finalizers"]
    async with following(clusters) as (member, changed):
        await member.release_pod(the(member.pods[UID]))
        await changed(lambda: not the(member.pods[UID]).metered)


def the(pods: dict[str, OwnPod]) -> OwnPod:
    (only,) = pods.values()
    return only


@asynccontextmanager
async def following(clusters: Clusters) -> AsyncIterator[tuple[Member, Until]]:
    """A usable Member with the granted token, and a way to wait for what it tells."""
    told = Happenings()
    member = Member(
        SITE,
        ApiClient(clusters.granted, name=SITE),
        hub_id=clusters.hub_id,
        clock=_Clock(),
        probe_s=1.0,
        unreachable_after_s=30.0,
        full_compare_s=300.0,
        bounds=Bounds("Tenant", (), 1_000),
        on_job=lambda uid: told.happened(),
        on_site=lambda site: told.happened(),
    )
    task = asyncio.create_task(member.run())
    try:
        await told.until(lambda: member.usable, PATIENT_S)
        yield member, lambda true: told.until(true, PATIENT_S)
    finally:
        task.cancel()
        await asyncio.wait([task])


class _Clock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


# --- what cannot be joined, in the words of the real servers


def test_each_thing_that_is_wrong_has_its_sentence(joined: Clusters) -> None:
    kept = inventory(joined.hub), set(inventory(joined.member))
    assert joined.site("join", "again", "--region", "shanghai") == [
        f'4 error: this cluster is joined already as site "{SITE}"; run `suanli site leave {SITE}` first'
    ]
    assert joined.site("join", "itself", "--region", "shanghai", member="hub") == [
        "4 error: the member is the hub itself; give --member-kubeconfig of another cluster"
    ]
    assert joined.site("join", SITE, "--namespace", "nowhere") == [
        '2 error: the hub has no namespace "nowhere"; install the chart first, or give its --namespace'
    ]
    no_chart = joined.site("join", "other", "--region", "r", "--namespace", "default", hub=SITE, member="hub")
    assert no_chart == ["4 error: the hub does not know ComputeSite; install the chart first"]
    assert joined.site("join", "other") == [
        '2 error: the hub has no ComputeSite "other"; give its manifest with -f, or at least --region'
    ]
    assert joined.site("leave", SITE, member="hub") == [
        "4 error: the member is the hub itself; give its own --member-kubeconfig"
    ]
    assert joined.site("leave", "other") == [
        f'4 error: this cluster is joined as site "{SITE}", not "other"; give the kubeconfig of site "other"'
    ]
    (refused,) = joined.site("join", SITE, "--region", "shanghai", "--racks", "5000000")
    assert refused.startswith('2 error: options: ComputeSite field spec.standardRacks: "5000000": ')
    assert inventory(joined.hub) == kept[0]
    assert set(inventory(joined.member)) == kept[1]


def test_a_cluster_of_another_hub_is_not_taken(joined: Clusters) -> None:
    joined.member("label", "namespace", SYSTEM, f"{LABEL_HUB}=another", "--overwrite")
    try:
        assert joined.join() == [
            f'4 error: this cluster is joined to another hub (another) as site "{SITE}"; let it leave there first'
        ]
        assert joined.site("leave") == [
            f'4 error: this cluster is joined to another hub (another) as site "{SITE}"; give the kubeconfig of site "{SITE}"'
        ]
    finally:
        joined.member("label", "namespace", SYSTEM, f"{LABEL_HUB}={joined.hub_id}", "--overwrite")


# --- rights


def test_the_account_may_do_what_the_hub_does_there_and_nothing_else(joined: Clusters) -> None:
    expected = {
        ("nodes", "list"),
        ("nodes", "watch"),
        ("pods", "list"),
        ("pods", "watch"),
        ("pods", "patch"),
        *((r, v) for r in MENDED for v in ("create", "list", "patch")),
        ("jobs.batch", "get"),
        ("jobs.batch", "list"),
        ("jobs.batch", "watch"),
        ("jobs.batch", "create"),
        ("jobs.batch", "delete"),
    }

    async def allowed() -> set[tuple[str, str]]:
        user = {
            "user": f"system:serviceaccount:{SYSTEM}:{joined.account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"],
        }
        async with joined.administrator() as admin:

            async def may(**what: str) -> bool:
                body = {"spec": {**user, "resourceAttributes": what}}
                answer = await admin.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
                return bool(answer["status"]["allowed"])

            asked = [(r, v) for r in await _resources(admin) for v in VERBS]
            answers = await asyncio.gather(*(may(**_parts(r), verb=v) for r, v in asked))
            for name in ("kube-system", SYSTEM):
                assert await may(resource="namespaces", name=name, verb="get")
            assert not await may(resource="namespaces", name="default", verb="get")
            leases = {"resource": "leases", "group": "coordination.k8s.io", "namespace": SYSTEM}
            assert await may(**leases, name=FENCE, verb="patch")
            assert not await may(**leases, name="suanli-operator", verb="patch")
            for verb in ("impersonate", "bind", "escalate"):
                assert not await may(resource="clusterroles", group="rbac.authorization.k8s.io", verb=verb)
            return {what for what, yes in zip(asked, answers, strict=True) if yes}

    assert run(allowed()) - OF_EVERYBODY == expected


async def _resources(admin: ApiClient) -> list[str]:
    """Every resource and subresource that the server knows, as "pods/status" or "jobs.batch"."""
    found = [r["name"] for r in (await admin.get("/api/v1"))["resources"]]
    for group in (await admin.get("/apis"))["groups"]:
        listed = await admin.get(f"/apis/{group['preferredVersion']['groupVersion']}")
        for resource in listed["resources"]:
            name, slash, sub = resource["name"].partition("/")
            found.append(f"{name}.{group['name']}{slash}{sub}")
    return found


def _parts(resource: str) -> dict[str, str]:
    full, _, sub = resource.partition("/")
    name, _, group = full.partition(".")
    return {"resource": name, "group": group, "subresource": sub}


# --- the fence

NOT_OURS = "the hub may write only in namespaces named suanli-t-* that are its own"
NO_NAMESPACE = "the hub may create only namespaces named suanli-t-* that are its own"
NOT_THAT = "the hub may change nothing of a pod but take off the finalizer suanli.io/metering"


def test_the_fence_forbids_namespaces_that_are_not_the_hubs_own(joined: Clusters) -> None:
    right = namespace_manifest(joined.hub_id, "fence")

    def changed(**labels: str | None) -> Json:
        made = copy.deepcopy(right)
        for key, value in labels.items():
            full = {"hub": LABEL_HUB, "enforce": "pod-security.kubernetes.io/enforce"}.get(
                key, "pod-security.kubernetes.io/enforce-version"
            )
            made["metadata"]["labels"].pop(full)
            if value is not None:
                made["metadata"]["labels"][full] = value
        return made

    async def try_all() -> None:
        async with ApiClient(joined.granted, name=SITE) as hub:
            for wrong in (
                {**right, "metadata": {**right["metadata"], "name": "tenant"}},
                {**right, "metadata": {**right["metadata"], "name": "kube-system-2"}},
                {**right, "metadata": {"name": "suanli-t-bare"}},
                changed(hub=None),
                changed(hub="another"),
                changed(enforce=None),
                changed(enforce="baseline"),
                changed(version="v1.20"),
            ):
                assert NO_NAMESPACE in await refused(hub.post("/api/v1/namespaces", wrong))
            await hub.post("/api/v1/namespaces", changed(version=None), {"dryRun": "All"})
            await hub.post("/api/v1/namespaces", right, {"dryRun": "All"})

    run(try_all())


def test_the_fence_lets_namespaces_be_put_right_and_nothing_else(joined: Clusters) -> None:
    """A Member with the hub's token mends what an administrator of the member changed, and is quiet when nothing is wrong."""
    space = namespace_manifest(joined.hub_id, "mended")
    name = space["metadata"]["name"]
    path, policies, quotas = (f"/api/v1/namespaces/{name}", *(p.format(f"/namespaces/{name}") for p in GUARDS.values()))
    enforce = "pod-security.kubernetes.io/enforce"
    wrong: list[Json] = [
        {"metadata": {"labels": {enforce: "privileged"}}},
        {"metadata": {"labels": {"team": "another"}}},
        {"metadata": {"labels": {"cost-centre": None}}},
        {"metadata": {"labels": {LABEL_HUB: "another"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": ["theirs.example/hold"]}},
    ]

    async def play() -> None:
        async with joined.administrator() as admin, ApiClient(joined.granted, name=SITE) as hub:
            async with following(joined) as (member, _):
                await member.create_job(
                    space,
                    a_job(joined.hub_id, "mended")
                    | {"metadata": {**a_job(joined.hub_id, "m")["metadata"], "namespace": name}},
                )
                assert await member.mend_namespaces() == []
                right = [await admin.get(each) for each in (path, f"{policies}/suanli", f"{quotas}/suanli")]
                await admin.patch(path, {"metadata": {"labels": {enforce: "baseline", "cost-centre": "7"}}})
                await admin.patch(
                    f"{policies}/suanli", {"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"a": "b"}}}}
                )
                await admin.patch(
                    f"{quotas}/suanli", {"spec": {"hard": {"pods": "9", "services": None, "secrets": "1"}}}
                )
                assert len(await member.mend_namespaces()) == 3
                await admin.delete(f"{policies}/suanli")
                await admin.patch(f"{quotas}/suanli", {"metadata": {"labels": None}})
                assert len(await member.mend_namespaces()) == 2
                assert await member.mend_namespaces() == []
            now = [await admin.get(each) for each in (path, f"{policies}/suanli", f"{quotas}/suanli")]
            assert [each.get("spec") for each in now] == [each.get("spec") for each in right]
            labels = {**right[0]["metadata"]["labels"], "cost-centre": "7"}
            assert [each["metadata"]["labels"] for each in now] == [
                labels,
                *(e["metadata"]["labels"] for e in right[1:]),
            ]
            for change in wrong:
                assert NO_NAMESPACE in await refused(hub.patch(path, change)), change
            theirs = {"metadata": {"name": "theirs"}, "spec": {"podSelector": {}}}
            assert "only the NetworkPolicy" in await refused(
                hub.post(policies, {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", **theirs})
            )
            assert "cannot delete resource" in await refused(hub.delete(f"{policies}/suanli"))
            default = policies.replace(name, "default")
            own = {"metadata": {"name": "suanli"}, "spec": {"podSelector": {}}}
            assert NOT_OURS in await refused(
                hub.post(default, {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", **own})
            )
            await hub.delete(
                f"/apis/batch/v1/namespaces/{name}/jobs/{a_job(joined.hub_id, 'm')['metadata']['name']}",
                {"propagationPolicy": "Background"},
            )
            await _let_go(admin, name)
            await admin.delete(path)

    run(play())


async def _let_go(admin: ApiClient, namespace: str) -> None:
    """Take the finalizers off the pods there, so that the namespace can go."""
    for pod in (await admin.list_all(f"/api/v1/namespaces/{namespace}/pods"))["items"]:
        await admin.patch(
            f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}", {"metadata": {"finalizers": None}}
        )


async def refused(work: Coroutine[Any, Any, Json]) -> str:
    with pytest.raises(ApiError) as caught:
        await work
    assert caught.value.status == 403, caught.value
    return caught.value.message


def test_the_fence_forbids_jobs_outside_of_the_hubs_namespaces(joined: Clusters) -> None:
    own, foreign = namespace_manifest(joined.hub_id, "own"), namespace_manifest("another", "theirs")
    bare: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "suanli-t-bare"}}
    manifest = a_job(joined.hub_id, "fence")

    def jobs(namespace: str) -> str:
        return f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def there(namespace: str) -> Json:
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}

    async def try_all() -> None:
        names = [n["metadata"]["name"] for n in (own, foreign, bare)]
        async with joined.administrator() as admin, ApiClient(joined.granted, name=SITE) as hub:
            for namespace in (foreign, bare):
                await admin.post("/api/v1/namespaces", namespace)
            await hub.post("/api/v1/namespaces", own)
            mine, theirs, unmarked = names
            await hub.post(jobs(mine), there(mine))
            for elsewhere in ("default", "kube-system", theirs, unmarked):
                assert NOT_OURS in await refused(hub.post(jobs(elsewhere), there(elsewhere)))
                await admin.post(jobs(elsewhere), there(elsewhere))
                name = f"{jobs(elsewhere)}/{manifest['metadata']['name']}"
                assert NOT_OURS in await refused(hub.delete(name, {"propagationPolicy": "Background"}))
                await admin.delete(name, {"propagationPolicy": "Background"})
            lax = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
            await admin.patch(f"/api/v1/namespaces/{mine}", lax)
            other = a_job(joined.hub_id, "fence", epoch=7)
            other["metadata"]["namespace"] = mine
            await _until_refused(
                lambda: hub.post(jobs(mine), other, {"dryRun": "All"}), "put the namespace's labels right or delete it"
            )
            await hub.delete(f"{jobs(mine)}/{manifest['metadata']['name']}", {"propagationPolicy": "Background"})
            for name in names:
                await admin.delete(f"/api/v1/namespaces/{name}")

    run(try_all())


def test_the_members_own_fence_may_stop_the_hubs_work_and_nothing_else(joined: Clusters) -> None:
    """A program of ours in the member; the hub may write its Lease, and no other."""
    assert joined.site("join", SITE, "-f", joined.manifest, "--fence-image", "suanli:test")[-1].startswith("site")
    own = namespace_manifest(joined.hub_id, "stopped")
    space, manifest = own["metadata"]["name"], a_job(joined.hub_id, "stopped")
    name = manifest["metadata"]["name"]
    manifest["metadata"]["namespace"] = space
    elsewhere = {**manifest, "metadata": {**manifest["metadata"], "namespace": "default"}}
    stop = {"metadata": {"annotations": {"suanli.io/fenced": "now"}}, "spec": {"suspend": True}}
    other_lease = FENCE_LEASE.replace(f"namespaces/{SYSTEM}", "namespaces/default")
    limits = "the fence may suspend Jobs and delete pods in namespaces named suanli-t-*"

    def jobs(namespace: str) -> str:
        return f"/apis/batch/v1/namespaces/{namespace}/jobs"

    async def pod_in(client: ApiClient, namespace: str) -> str:
        """One that a Job has made, once it has."""
        async with asyncio.timeout(PATIENT_S):
            while True:
                found = (await client.list_all(f"/api/v1/namespaces/{namespace}/pods"))["items"]
                if found:
                    return f"/api/v1/namespaces/{namespace}/pods/{found[0]['metadata']['name']}"
                await asyncio.sleep(0.2)

    async def try_all() -> None:
        async with joined.administrator() as admin, ApiClient(joined.granted, name=SITE) as hub:
            await hub.patch(
                FENCE_LEASE, {"spec": {"leaseDurationSeconds": 60, "renewTime": "2026-03-01T12:00:00.000000Z"}}
            )
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": FENCE}}
            await admin.post(other_lease.rpartition("/")[0], lease)
            assert NOT_OURS in await refused(hub.patch(other_lease, {"spec": {"leaseDurationSeconds": 60}}))
            await hub.post("/api/v1/namespaces", own)
            await hub.post(jobs(space), manifest)
            await admin.post(jobs("default"), elsewhere)
            account = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{FENCE}/token"
            token = (await admin.post(account, {"spec": {"expirationSeconds": 600}}))["status"]["token"]
            async with ApiClient(replace(joined.granted, token=token), name=SITE) as fence:
                await fence.get(FENCE_LEASE)
                await fence.patch(FENCE_LEASE, {"metadata": {"annotations": {"suanli.io/fence-seen": "x"}}})
                mine, theirs = await pod_in(admin, space), await pod_in(admin, "default")
                await _until_refused(lambda: fence.delete(theirs, {"dryRun": ["All"]}), limits)
                assert limits in await refused(fence.delete(theirs))
                assert limits in await refused(fence.patch(f"{jobs('default')}/{name}", stop))
                assert limits in await refused(fence.patch(f"{jobs(space)}/{name}", {"spec": {"parallelism": 0}}))
                stopped = await fence.patch(f"{jobs(space)}/{name}", stop)
                assert stopped["spec"]["suspend"]
                await fence.delete(mine)
                assert limits in await refused(fence.patch(f"{jobs(space)}/{name}", {"spec": {"suspend": False}}))
            for namespace in (space, "default"):
                await admin.delete(f"{jobs(namespace)}/{name}", {"propagationPolicy": "Background"})
            await admin.delete(other_lease)

    run(try_all())
    told = joined.site("leave", SITE, "--force")
    assert f"{SITE}: Deployment {FENCE} removed" in "\n".join(told).replace("member:", f"{SITE}:")
    assert joined.join()


def test_the_fence_lets_go_of_a_pod_and_changes_nothing_else_of_it(joined: Clusters) -> None:
    space = namespace_manifest(joined.hub_id, "pods")
    namespace = space["metadata"]["name"]
    template = a_job(joined.hub_id, "pods")["spec"]["template"]
    metadata = {"name": "p", "finalizers": ["theirs.example/hold", FINALIZER_METERING, "more.example/hold"]}
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], **metadata},
        "spec": template["spec"],
    }
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    wrong: list[Json] = [
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": [FINALIZER_METERING]}},
        {"metadata": {"finalizers": None}},
        {"metadata": {"finalizers": ["theirs.example/hold", "more.example/hold", "new.example/hold"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]}},
        {"spec": {"activeDeadlineSeconds": 1}},
        {"spec": {"containers": [{"name": "task", "image": "registry.example/other:1"}]}},
    ]

    async def try_all() -> None:
        async with joined.administrator() as admin, ApiClient(joined.granted, name=SITE) as hub:
            await hub.post("/api/v1/namespaces", space)
            await _until_there(admin, f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            await admin.post(f"/api/v1/namespaces/{namespace}/pods", pod)
            await admin.post(
                "/api/v1/namespaces/default/pods", {**pod, "metadata": {**pod["metadata"], "namespace": "default"}}
            )
            for body in wrong:
                said = await refused(hub.patch(path, body, kind="strategic"))
                assert NOT_THAT in said, (body, said)
            tolerant = [{"op": "add", "path": "/spec/tolerations/-", "value": {"operator": "Exists", "key": "any"}}]
            assert NOT_THAT in await refused(hub.patch(path, tolerant, kind="json"))
            for sub in ("status", "ephemeralcontainers", "resize"):
                assert "cannot patch resource" in await refused(hub.patch(f"{path}/{sub}", {"metadata": {}}))
            assert "cannot delete resource" in await refused(hub.delete(path))
            let_go = {"metadata": {"finalizers": ["theirs.example/hold", "more.example/hold"]}}
            assert NOT_OURS in await refused(hub.patch("/api/v1/namespaces/default/pods/p", let_go))
            assert (await hub.patch(path, let_go))["metadata"]["finalizers"] == let_go["metadata"]["finalizers"]
            for each in (path, "/api/v1/namespaces/default/pods/p"):
                await admin.delete(each, {"gracePeriodSeconds": 0})
                await admin.patch(each, {"metadata": {"finalizers": None}})
            await admin.delete(f"/api/v1/namespaces/{namespace}")

    run(try_all())


async def _until_refused(attempt: Callable[[], Coroutine[Any, Any, Json]], why: str) -> None:
    """An API server may know a policy or a namespace's labels a moment late; the attempt is a dry run."""
    said, end_s = "", time.monotonic() + PATIENT_S
    while why not in said and time.monotonic() < end_s:
        await asyncio.sleep(0.05)
        try:
            await attempt()
        except ApiError as error:
            said = error.message
    assert why in await refused(attempt())


async def _until_there(client: ApiClient, path: str) -> None:
    for _ in range(2_000):
        try:
            await client.get(path)
        except ApiError:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail(f"{path} does not come")


# --- restricted pods


def a_spec(template: Json | None = None) -> Json:
    return {
        "origin": "shanghai",
        "resources": {"class": ["general"], "perTask": {"cpu": "500m", "memory": "256Mi"}},
        "template": {"image": "registry.example/train:1", "command": ["sleep", "1"], **(template or {})},
    }


def a_job(hub_id: str, name: str, template: Json | None = None, *, epoch: int = 1) -> Json:
    return job_manifest(
        hub_id=hub_id,
        namespace="team-a",
        name=name,
        uid=UID,
        spec=ComputeJobSpec.model_validate(a_spec(template)),
        assignment=Assignment.model_validate(
            {"site": SITE, "epoch": epoch, "class": "general", "time": "2026-01-31T08:00:00Z"}
        ),
        resource=SiteResource.model_validate(GENERAL),
    )


TEMPLATES: list[Json] = [
    {},
    {"command": ["sh", "-c", "mount -o remount,rw / && nsenter -t 1 -m -- id"], "args": ["$(HOST)", "$$(X)", "$"]},
    {"env": [{"name": "LD_PRELOAD", "value": "/host/lib.so"}, {"name": "A", "value": "$(KUBERNETES_SERVICE_HOST)"}]},
    {"env": [{"name": f"V{n}", "value": "\u4e2d\U0001f600 \n\t\"'`"} for n in range(128)]},
    {"workingDir": "/var/run/secrets", "scratch": {"size": "1Gi", "mountPath": "/var/run/secrets"}},
    {"scratch": {"size": "10Gi", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}},
    {"image": "registry.example:5000/a/b/c@sha256:" + "a" * 64, "args": ["x" * 4_096] * 30},
]


def test_every_template_becomes_a_pod_that_the_restricted_profile_admits(joined: Clusters) -> None:
    space = namespace_manifest(joined.hub_id, "restricted")
    namespace = space["metadata"]["name"]

    async def admitted(admin: ApiClient, manifest: Json) -> Json:
        template = manifest["spec"]["template"]
        body = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "p"}}
        return await admin.post(f"/api/v1/namespaces/{namespace}/pods", body, {"dryRun": "All"})

    async def try_all() -> None:
        async with joined.administrator() as admin, ApiClient(joined.granted, name=SITE) as hub:
            await hub.post("/api/v1/namespaces", space)
            await _until_there(admin, f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            for template in TEMPLATES:
                manifest = a_job(joined.hub_id, "t", template)
                manifest["metadata"]["namespace"] = namespace
                await hub.post(f"/apis/batch/v1/namespaces/{namespace}/jobs", manifest, {"dryRun": "All"})
                made = await admitted(admin, manifest)
                assert made["status"]["qosClass"] == "Guaranteed", "limits are what is requested"
                assert [v for v in made["spec"].get("volumes", []) if "emptyDir" not in v] == []
            loose = a_job(joined.hub_id, "t")
            loose["spec"]["template"]["spec"]["hostNetwork"] = True
            assert "violates PodSecurity" in await refused(admitted(admin, loose))
            await admin.delete(f"/api/v1/namespaces/{namespace}")

    run(try_all())
