"""Leaving in memory: all that joining and running made goes, on both sides, and nothing that is somebody else's."""

from typing import Any

import pytest

from apiserver import FakeApiServer, ended, pod_of
from apistore import Change, Json
from joinable import NAMESPACE, a_hub, a_member, everything, sides, take_out
from suanli.api.job import Assignment, ComputeJobSpec
from suanli.api.site import SiteResource
from suanli.base.errors import SuanliError
from suanli.base.names import LABEL_HUB, member_account
from suanli.base.reasons import Reason
from suanli.federation import leaving
from suanli.federation.leaving import leave
from suanli.federation.render import job_manifest, namespace_manifest

HUB = "hub-cluster"
ACCOUNT = member_account(HUB)
UID = "0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55"
SYSTEM = "/api/v1/namespaces/suanli-system"
START, END = "2026-01-31T08:00:00Z", "2026-01-31T08:00:10Z"
SITES = "/apis/suanli.io/v1alpha1/computesites"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "GONE_WAIT_S", 0.2)
    monkeypatch.setattr(leaving, "SEEN_WAIT_S", 0.2)
    monkeypatch.setattr(leaving, "LOOK_EVERY_S", 0.02)


def a_compute_job(hub: FakeApiServer, *, site: str = "s", finished: bool = False) -> None:
    """A ComputeJob that is assigned to the site."""
    hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})
    status = {"assignment": {"site": site}, **({"finishedAt": END} if finished else {})}
    hub.put(
        {
            "apiVersion": "suanli.io/v1alpha1",
            "kind": "ComputeJob",
            "metadata": {"name": "train", "namespace": "team-a", "uid": UID},
            "spec": {},
            "status": status,
        }
    )


def what_a_run_leaves(member: FakeApiServer, **metadata: Any) -> None:
    """The tenant's namespace with a Job, and its pod that waits to be let go."""
    member.put(namespace_manifest(HUB, "team-a"))
    spec = {
        "origin": "shanghai",
        "resources": {"class": ["general"], "perTask": {"cpu": "2", "memory": "4Gi"}},
        "template": {"image": "registry.example/train:1"},
    }
    resource = {"class": "general", "type": "General", "resourceName": "cpu", "unit": "Core"}
    job = member.put(
        job_manifest(
            hub_id=HUB,
            namespace="team-a",
            name="train",
            uid=UID,
            spec=ComputeJobSpec.model_validate(spec),
            assignment=Assignment(site="s", epoch=1, class_="general", time=START),
            resource=SiteResource.model_validate(resource),
        )
    )
    pod = pod_of(job, node="n1", state=ended(start=START, end=END), phase="Succeeded")
    member.put({**pod, "metadata": {**pod["metadata"], **metadata}})


async def _refused(hub: FakeApiServer, member: FakeApiServer, site: str = "s") -> tuple[Reason, str]:
    before = everything(hub), everything(member)
    async with sides(hub, member) as both:
        with pytest.raises(SuanliError) as caught:
            await both.leave(site)
        assert both.told == []
    assert (everything(hub), everything(member)) == before
    return caught.value.reason, str(caught.value)


# --- what goes


async def test_leaving_takes_back_all_that_joining_made() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        before = everything(hub), everything(member)
        await both.join()
        told = await both.leave()
        assert told[:3] == [
            "hub: ComputeSite s changed",  # to Inactive
            "hub: ComputeSite s removed",
            "hub: Secret site-s removed",
        ]
        assert told[3:] == [
            *(
                f"member: {kind} {ACCOUNT} removed"
                for kind in (
                    "ClusterRoleBinding",
                    "ClusterRole",
                    "ValidatingAdmissionPolicyBinding",
                    "ValidatingAdmissionPolicy",
                    "Secret",
                    "ServiceAccount",
                )
            ),
            "member: Namespace suanli-system removed",
        ]
        assert (everything(hub), everything(member)) == before


async def test_leaving_after_a_run_leaves_nothing_of_it() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        before = everything(member)
        await both.join()
        what_a_run_leaves(member)
        a_compute_job(hub, finished=True)
        assert "member: Namespace suanli-t-team-a" in "\n".join(await both.leave())
        assert everything(member) == before
        assert hub.objects(SITES) == []


async def test_leaving_again_finds_nothing_more_to_do() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        await both.leave()
        before = everything(hub), everything(member)
        assert {line.rpartition(" ")[2] for line in await both.leave()} == {"absent"}
        assert (everything(hub), everything(member)) == before


async def test_a_leave_that_broke_off_is_taken_up_by_the_next() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        before = everything(hub), everything(member)
        await both.join()
        member.refuse("DELETE *clusterroles*", 500, "InternalError", "etcd")
        with pytest.raises(SuanliError, match="etcd"):
            await both.leave()
        member.heal()
        await both.leave()
        assert (everything(hub), everything(member)) == before


async def test_a_cluster_that_is_gone_is_taken_off_the_hub_alone() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        before = everything(hub)
        await both.join()
        asked = len(member.requests)
        await leave(both.hub, None, site="s", namespace=NAMESPACE, force=False)
        assert everything(hub) == before
        assert len(member.requests) == asked


async def test_what_others_keep_in_the_namespace_stays_without_our_marks() -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": NAMESPACE}}
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        member.put(theirs)
        assert (await both.leave())[-1] == "member: Namespace suanli-system changed"
        assert member.objects("/api/v1/configmaps") != []
        assert member.get(SYSTEM)["metadata"].get("labels") == {}
        assert member.get(SYSTEM)["metadata"].get("annotations") == {}


async def test_a_namespace_that_was_there_before_stays() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        member.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"a": "b"}}})
        await both.join()
        await both.leave()
        assert member.get(SYSTEM)["metadata"]["labels"] == {"a": "b"}


async def test_what_a_cluster_puts_into_every_namespace_is_nobodys() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        for kind, name in (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"), ("Event", "it-happened")):
            member.put({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}})
        assert (await both.leave())[-1] == "member: Namespace suanli-system removed"


async def test_where_it_cannot_be_told_who_uses_the_namespace_it_stays() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        member.refuse("GET /apis/batch/v1", 503, "ServiceUnavailable", "extension server is down")
        assert (await both.leave())[-1] == "member: Namespace suanli-system changed"


async def test_another_finalizer_holds_a_namespace_and_that_is_said() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        what_a_run_leaves(member, finalizers=["theirs.example/hold", "suanli.io/metering"])
        space = namespace_manifest(HUB, "team-a")
        member.store.put({**space, "metadata": {**space["metadata"], "finalizers": ["kubernetes"]}})
        with pytest.raises(SuanliError) as caught:
            await both.leave(force=True)
        name = space["metadata"]["name"]
        why = f"the member has not removed namespace {name} in 0 s; see what holds it, then leave again"
        assert (caught.value.reason, str(caught.value)) == (Reason.REFUSED, why)
        (pod,) = member.objects("/api/v1/pods")
        assert pod["metadata"]["finalizers"] == ["theirs.example/hold"], "theirs is not ours to take off"
        with pytest.raises(SuanliError, match="see what holds it, then leave again"):
            await both.leave(force=True)
        member.put({**pod, "metadata": {**pod["metadata"], "finalizers": []}})
        member.put({**space, "metadata": {**space["metadata"], "finalizers": []}})
        await both.leave(force=True)
        assert [n["metadata"]["name"] for n in member.objects("/api/v1/namespaces")] == ["kube-system"]


async def test_namespaces_of_another_hub_stay() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        other = namespace_manifest("other-hub", "team-a")
        member.put(other)
        await both.leave()
        names = [n["metadata"]["name"] for n in member.objects("/api/v1/namespaces")]
        assert names == ["kube-system", other["metadata"]["name"]]


# --- what is refused


async def test_a_site_with_jobs_is_not_let_go() -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            await both.join()
        a_compute_job(hub)
        assert await _refused(hub, member) == (
            Reason.SITE_IN_USE,
            '1 jobs are assigned to site "s", such as team-a/train; set its spec.desiredState to Inactive and wait until'
            " they end, or give --force to lose them",
        )
        async with sides(hub, member) as both:
            await both.leave(force=True)


async def test_a_job_that_is_assigned_while_the_site_leaves_keeps_it() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        site = hub.get(f"{SITES}/s")
        ready = {"type": "Ready", "status": "True", "observedGeneration": site["metadata"]["generation"]}
        hub.put({**site, "status": {"conditions": [ready]}})
        looked = 0

        def operator(change: Change) -> None:
            """Its last assignment comes after the first look; then it sees that the site is to get no more."""
            nonlocal looked
            after = change.after or {}
            if after.get("kind") == "ComputeSite" and after["spec"].get("desiredState") == "Inactive" and not looked:
                looked += 1
                a_compute_job(hub)
                seen = {**ready, "status": "False", "observedGeneration": after["metadata"]["generation"]}
                hub.put({**after, "status": {"conditions": [seen]}})

        hub.store.listen(operator)
        with pytest.raises(SuanliError, match="1 jobs are assigned to site") as caught:
            await both.leave()
        assert caught.value.reason is Reason.SITE_IN_USE
        assert hub.get(f"{SITES}/s")["spec"]["desiredState"] == "Inactive"
        assert member.get(SYSTEM), "nothing of it was taken away"


async def test_jobs_of_other_sites_do_not_matter() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        a_compute_job(hub, site="other")
        await both.leave()


@pytest.mark.parametrize("labels", [None, {LABEL_HUB: HUB}, {LABEL_HUB: HUB, "suanli.io/job-uid": "unknown"}])
async def test_use_that_is_not_recorded_is_not_lost_silently(labels: Json | None) -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            await both.join()
        what_a_run_leaves(member, **({"labels": labels} if labels else {}))
        reason, why = await _refused(hub, member)
        assert reason is Reason.SITE_IN_USE
        assert why.startswith("1 pods on the member are not metered yet, such as suanli-t-team-a-")
        assert why.endswith("; wait until the operator has recorded them, or give --force to lose their usage")
        async with sides(hub, member) as both:
            await both.leave(force=True)
        assert member.objects("/api/v1/pods") == []


async def test_the_hub_is_no_member() -> None:
    async with a_hub() as hub, a_member("hub") as member:
        assert await _refused(hub, member) == (
            Reason.DUPLICATE_CLUSTER,
            "the member is the hub itself; give its own --member-kubeconfig",
        )


async def test_another_hubs_cluster_is_left_alone() -> None:
    async with a_hub() as hub, a_hub("other") as other, a_member() as member:
        async with sides(other, member) as both:
            await both.join("theirs")
        assert await _refused(hub, member) == (
            Reason.JOINED_ELSEWHERE,
            'this cluster is joined to another hub (other-cluster) as site "theirs"; give the kubeconfig of site "s"',
        )


async def test_another_sites_cluster_is_left_alone() -> None:
    async with a_hub() as hub, a_member() as member, a_member("second") as second:
        async with sides(hub, member) as both:
            await both.join("s")
        async with sides(hub, second) as both:
            await both.join("t")
        assert await _refused(hub, second, "s") == (
            Reason.WRONG_CLUSTER,
            'site "s" is cluster member-cluster, this member is second-cluster; give the kubeconfig of site "s", or'
            " --member-is-gone when its cluster exists no more",
        )
        take_out(hub, f"{SYSTEM}/secrets/site-s")
        assert await _refused(hub, second, "s") == (
            Reason.JOINED_ELSEWHERE,
            'this cluster is joined as site "t", not "s"; give the kubeconfig of site "s"',
        )


async def test_a_cluster_that_was_never_joined_is_not_taken_for_the_site() -> None:
    async with a_hub() as hub, a_member() as member, a_member("fresh") as fresh:
        async with sides(hub, member) as both:
            await both.join()
        reason, why = await _refused(hub, fresh)
        assert reason is Reason.WRONG_CLUSTER
        assert 'site "s" is cluster member-cluster, this member is fresh-cluster' in why


async def test_the_members_fence_goes_too() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        before = everything(member)
        await both.join(fence_image="team/suanli:1")
        told = await both.leave()
        assert "member: Deployment suanli-fence removed" in told
        assert everything(member) == before
