"""Joining in memory: what it makes, that again changes nothing, and the one sentence for everything that can be wrong."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from apiserver import FakeApiServer
from apistore import Json
from joinable import NAMESPACE, a_hub, a_member, a_site, authority, everything, sides, take_out
from suanli.base.errors import SuanliError
from suanli.base.names import ANNOTATION_CLUSTER, ANNOTATION_SITE, LABEL_HUB, member_account
from suanli.base.reasons import Reason
from suanli.federation import membership
from suanli.federation.credentials import parse_kubeconfig
from suanli.kube.client import Target

ACCOUNT = member_account("hub-cluster")
ON_MEMBER = [
    "Namespace suanli-system",
    f"ServiceAccount {ACCOUNT}",
    f"ValidatingAdmissionPolicy {ACCOUNT}",
    f"ValidatingAdmissionPolicyBinding {ACCOUNT}",
    f"ClusterRole {ACCOUNT}",
    f"ClusterRoleBinding {ACCOUNT}",
    f"Secret {ACCOUNT}",
]
ON_HUB = ["Secret site-s", "ComputeSite s"]
SYSTEM = "/api/v1/namespaces/suanli-system"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "TOKEN_WAIT_S", 0.2)
    monkeypatch.setattr(membership, "LOOK_EVERY_S", 0.02)


def _all(what: str) -> list[str]:
    return [f"member: {each} {what}" for each in ON_MEMBER] + [f"hub: {each} {what}" for each in ON_HUB]


async def _refused(
    hub: FakeApiServer, member: FakeApiServer, site: str = "s", *, manifest: Json | None = None, **fields: Any
) -> tuple[Reason, str]:
    """Why it cannot be joined; nothing was written."""
    before = everything(hub), everything(member)
    async with sides(hub, member) as both:
        with pytest.raises(SuanliError) as caught:
            await both.join(site, manifest, **fields)
        assert both.told == []
    assert (everything(hub), everything(member)) == before
    return caught.value.reason, str(caught.value)


# --- what it makes


async def test_a_join_makes_the_account_there_and_secret_and_site_here() -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            assert await both.join() == _all("created")
        secret = hub.get("/api/v1/namespaces/suanli-system/secrets/site-s")
        assert secret["metadata"]["annotations"] == {ANNOTATION_SITE: "s", ANNOTATION_CLUSTER: "member-cluster"}
        target = parse_kubeconfig(base64.b64decode(secret["data"]["kubeconfig"]), allow_loopback=True)
        assert (target.server, target.ca_pem) == (member.target.server, member.target.ca_pem)
        assert target.token == "made-by-the-member"
        site = hub.get("/apis/suanli.io/v1alpha1/computesites/s")
        assert site["spec"] == {"region": "shanghai", "connection": {"kubeconfigSecretRef": {"name": "site-s"}}}
        assert member.get(SYSTEM)["metadata"]["labels"][LABEL_HUB] == "hub-cluster"


async def test_the_account_is_tried_before_the_hub_trusts_it() -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            await both.join()
        tried = [r for r in member.requests if r.headers["Authorization"] == "Bearer made-by-the-member"]
        assert [(r.verb, r.path) for r in tried] == [
            ("GET", "/api/v1/namespaces/kube-system"),
            ("GET", "/api/v1/nodes"),
            ("POST", "/api/v1/namespaces"),
        ]
        assert tried[-1].query == {"dryRun": "All"}, "whether the fence stands is asked, and nothing made"


async def test_the_fence_stands_before_the_token_exists() -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            await both.join()
        order = [r.path.rpartition("/")[0].rpartition("/")[2] for r in member.writes]
        assert (
            order.index("validatingadmissionpolicybindings")
            < order.index("clusterrolebindings")
            < order.index("secrets")
        )


async def test_joining_again_changes_nothing() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        before = everything(hub), everything(member)
        assert await both.join() == _all("unchanged")
        assert (everything(hub), everything(member)) == before


async def test_joining_again_repairs() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        before = everything(hub), everything(member)
        role = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{ACCOUNT}"
        member.put({**member.get(role), "rules": []})
        take_out(member, f"{SYSTEM}/serviceaccounts/{ACCOUNT}")
        take_out(hub, f"{SYSTEM}/secrets/site-s")
        told = await both.join()
        assert f"member: ClusterRole {ACCOUNT} changed" in told
        assert f"member: ServiceAccount {ACCOUNT} created" in told
        assert "hub: Secret site-s created" in told
        assert everything(member).keys() == before[1].keys()
        assert member.get(role)["rules"] == before[1][f"ClusterRole /{ACCOUNT}"]["rules"]


async def test_a_site_that_exists_keeps_its_spec() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        site = a_site("s", "zhongwei")
        hub.put({**site, "spec": {**site["spec"], "standardRacks": 7}})
        joining = membership.Joining("s", None, NAMESPACE, member.target)
        await membership.join(both.hub, both.member, joining)
        spec = hub.get("/apis/suanli.io/v1alpha1/computesites/s")["spec"]
        assert spec["connection"] == {"kubeconfigSecretRef": {"name": "site-s"}}
        assert (spec["region"], spec["standardRacks"]) == ("zhongwei", 7)


async def test_the_hub_may_see_the_member_at_another_address() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join(server="https://member.example:6443")
        secret = hub.get("/api/v1/namespaces/suanli-system/secrets/site-s")
        target = parse_kubeconfig(base64.b64decode(secret["data"]["kubeconfig"]), allow_loopback=False)
        assert target.server == "https://member.example:6443"


async def test_a_namespace_that_was_there_is_marked_but_not_called_ours() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        member.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"a": "b"}}})
        await both.join()
        metadata = member.get(SYSTEM)["metadata"]
        assert metadata["labels"]["a"] == "b"
        assert "suanli.io/made-by-join" not in metadata["annotations"]
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join()
        await both.join()
        assert member.get(SYSTEM)["metadata"]["annotations"]["suanli.io/made-by-join"] == "true"


# --- what is refused before anything is written


async def test_the_hub_cannot_join_itself() -> None:
    async with a_hub() as hub, a_member("hub") as member:
        assert await _refused(hub, member) == (
            Reason.DUPLICATE_CLUSTER,
            "the member is the hub itself; give --member-kubeconfig of another cluster",
        )


async def test_a_cluster_of_another_hub_cannot_be_joined() -> None:
    async with a_hub() as hub, a_hub("other") as other, a_member() as member:
        async with sides(other, member) as both:
            await both.join("theirs")
        assert await _refused(hub, member) == (
            Reason.JOINED_ELSEWHERE,
            'this cluster is joined to another hub (other-cluster) as site "theirs"; let it leave there first',
        )


async def test_a_cluster_has_one_name() -> None:
    async with a_hub() as hub, a_member() as member:
        async with sides(hub, member) as both:
            await both.join("first")
        why = 'this cluster is joined already as site "first"; run `suanli site leave first` first'
        assert await _refused(hub, member, "second") == (Reason.DUPLICATE_CLUSTER, why)
        take_out(member, SYSTEM)
        site = hub.get("/apis/suanli.io/v1alpha1/computesites/first")
        hub.put({**site, "status": {"clusterId": "member-cluster"}})
        assert await _refused(hub, member, "second") == (Reason.DUPLICATE_CLUSTER, why)


async def test_a_name_whose_site_is_gone_can_be_taken_again() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join("first")
        take_out(hub, "/apis/suanli.io/v1alpha1/computesites/first")
        assert "hub: ComputeSite second created" in await both.join("second")


@pytest.mark.parametrize("known_by", ["status", "secret"])
async def test_a_site_stays_the_cluster_it_is(known_by: str) -> None:
    async with a_hub() as hub, a_member() as member, a_member("new") as new:
        async with sides(hub, member) as both:
            await both.join()
        if known_by == "status":
            take_out(hub, f"{SYSTEM}/secrets/site-s")
            site = hub.get("/apis/suanli.io/v1alpha1/computesites/s")
            hub.put({**site, "status": {"clusterId": "member-cluster"}})
        assert await _refused(hub, new) == (
            Reason.WRONG_CLUSTER,
            'site "s" is cluster member-cluster, this member is new-cluster; run `suanli site leave s` first',
        )


async def test_the_chart_has_to_be_there() -> None:
    async with a_hub() as hub, a_member() as member:
        assert await _refused(hub, member, namespace="elsewhere") == (
            Reason.INVALID_SPEC,
            'the hub has no namespace "elsewhere"; install the chart first, or give its --namespace',
        )
        hub.apis.discard("suanli.io/v1alpha1")
        assert await _refused(hub, member) == (
            Reason.REFUSED,
            "the hub does not know ComputeSite; install the chart first",
        )


async def test_a_site_that_is_not_there_needs_a_manifest() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        with pytest.raises(SuanliError) as caught:
            await membership.join(both.hub, both.member, membership.Joining("s", None, NAMESPACE, member.target))
        why = 'the hub has no ComputeSite "s"; give its manifest with -f, or at least --region'
        assert (caught.value.reason, str(caught.value)) == (Reason.INVALID_SPEC, why)
        assert [*hub.writes, *member.writes] == []


async def test_what_the_hub_would_refuse_is_known_before_the_member_is_touched() -> None:
    async with a_hub() as hub, a_member() as member:
        hub.refuse("PATCH /apis/suanli.io/*", 422, "Invalid", "spec.region: no such region")
        reason, why = await _refused(hub, member)
        assert (reason, why) == (Reason.REFUSED, f"the hub ({hub.target.server}) refuses: spec.region: no such region")
        assert hub.asked("PATCH *")[0].query["dryRun"] == "All"


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ({"major": "1", "minor": "30", "gitVersion": "v1.30.9"}, "v1.30.9"),
        ({"major": "2", "minor": "40", "gitVersion": "v2.40.0"}, "v2.40.0"),
        ({"major": "1", "minor": "x", "gitVersion": ["v"]}, ""),
        ({}, ""),
    ],
)
async def test_an_old_member_is_told_to_upgrade(version: Json, shown: str) -> None:
    async with a_hub() as hub, a_member() as member:
        member.version = version
        assert await _refused(hub, member) == (
            Reason.UNSUPPORTED_VERSION,
            f'the member runs Kubernetes "{shown}"; suanli needs 1.31 or newer, upgrade it first',
        )


@pytest.mark.parametrize("server", ["http://member.example", "https://169.254.169.254", "https://a b"])
async def test_an_address_that_the_hub_may_not_use_is_refused(server: str) -> None:
    async with a_hub() as hub, a_member() as member:
        reason, why = await _refused(hub, member, server=server)
        assert reason is Reason.CREDENTIALS_MALFORMED
        assert why.startswith(f'cluster.server "{server}": ')


@pytest.mark.parametrize("side", ["hub", "member"])
async def test_who_may_not_is_told_which_kubeconfig_to_use(side: str) -> None:
    async with a_hub() as hub, a_member() as member:
        server = hub if side == "hub" else member
        server.refuse("*", 403, "Forbidden", "you are nobody")
        assert await _refused(hub, member) == (
            Reason.PERMISSION_DENIED,
            f"the {side} ({server.target.server}) does not allow it: you are nobody; use a kubeconfig of its administrator",
        )


@pytest.mark.parametrize("side", ["hub", "member"])
async def test_who_cannot_be_reached_is_told_by_name(side: str) -> None:
    async with a_hub() as hub, a_member() as member:
        server = hub if side == "hub" else member
        server.cut("*")
        reason, why = await _refused(hub, member)
        assert reason is Reason.UNREACHABLE
        assert why.startswith(f"the {side} cannot be reached: {server.target.server} could not be reached")
        assert why.endswith("; check its kubeconfig and the network")


# --- a member that makes no account, no token, no fence


async def test_a_member_without_a_token_controller_is_said() -> None:
    async with a_hub() as hub, FakeApiServer(authority=authority()) as member, sides(hub, member) as both:
        with pytest.raises(SuanliError) as caught:
            await both.join()
        assert str(caught.value) == (
            f"the member made no token for Secret suanli-system/{ACCOUNT} in 0 s; see that its kube-controller-manager runs,"
            " then join again"
        )


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (
            "***",
            f"the member made a token that cannot be read in Secret suanli-system/{ACCOUNT}; delete the Secret and join again",
        ),
        (base64.b64encode(b"\xff\xfe").decode(), "made a token that cannot be read"),
        (
            base64.b64encode(b"a\r\nX-Remote-User: b").decode(),
            "user.token: it is too long or holds characters that no token has",
        ),
        (base64.b64encode(b"x" * 20_000).decode(), "user.token: it is too long"),
    ],
)
async def test_a_token_that_is_none_is_never_sent(token: str, why: str) -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        secret = {"metadata": {"name": ACCOUNT}, "data": {"token": token}}
        member.fault(f"GET {SYSTEM}/secrets/{ACCOUNT}", lambda _: web.json_response(secret))
        with pytest.raises(SuanliError) as caught:
            await both.join()
        assert why in str(caught.value)
        assert {r.headers["Authorization"] for r in member.requests} == {"Bearer secret-token"}
        assert hub.objects("/apis/suanli.io/v1alpha1/computesites") == []


USELESS = "the account made on the member cannot be used: {}; join again"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda m: m.fault("POST /api/v1/namespaces", lambda _: web.json_response({})),
            "it can do more than it should: the admission policy that fences it in has no effect",
        ),
        (lambda m: m.refuse("POST /api/v1/namespaces", 403, "Forbidden", "no rights"), "403 Forbidden: no rights"),
        (lambda m: m.refuse("GET /api/v1/nodes", 401, "Unauthorized", "who?"), "401 Unauthorized: who?"),
        (
            lambda m: m.fault("GET /api/v1/namespaces/kube-system", _another_cluster_to_the_account),
            "another cluster answers with it",
        ),
    ],
)
async def test_an_account_that_is_not_as_it_should_be_is_not_trusted(
    spoil: Callable[[FakeApiServer], object], why: str
) -> None:
    async with a_hub() as hub, a_member() as member:
        member._faults.clear()
        spoil(member)
        async with sides(hub, member) as both:
            with pytest.raises(SuanliError) as caught:
                await both.join()
        assert (caught.value.reason, str(caught.value)) == (Reason.REFUSED, USELESS.format(why))
        assert hub.objects("/apis/suanli.io/v1alpha1/computesites") == []
        assert hub.objects("/api/v1/secrets") == []


def _another_cluster_to_the_account(request: web.Request) -> web.Response | None:
    if request.headers["Authorization"] != "Bearer made-by-the-member":
        return None
    return web.json_response({"metadata": {"name": "kube-system", "uid": "another"}})


async def test_a_join_that_broke_off_is_taken_up_by_the_next() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        hub.refuse(f"PATCH {SYSTEM}/secrets/site-s", 500, "InternalError", "etcd")
        with pytest.raises(SuanliError, match="etcd"):
            await both.join()
        hub.heal()
        assert await both.join() == [
            *(f"member: {each} unchanged" for each in ON_MEMBER),
            *(f"hub: {each} created" for each in ON_HUB),
        ]


@pytest.mark.parametrize("body", [{}, {"metadata": 5}, {"metadata": {"uid": ["x"]}}, {"kind": "Namespace", "spec": []}])
async def test_a_member_that_answers_nonsense_is_one_sentence(body: Json) -> None:
    async with a_hub() as hub, a_member() as member:
        member.fault("*", lambda _: web.Response(body=json.dumps(body).encode(), content_type="application/json"))
        assert await _refused(hub, member) == (
            Reason.BAD_RESPONSE,
            "the member has no kube-system namespace; check its kubeconfig",
        )


def test_a_joining_shows_no_secret() -> None:
    assert "secret" not in repr(membership.Joining("s", None, NAMESPACE, Target("https://a", None, "secret")))


# --- the member's fence


async def test_a_fence_is_installed_when_its_image_is_named_and_stays_when_it_is_not() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        told = await both.join(fence_image="team/suanli:1")
        made = [line for line in told if line.endswith(" suanli-fence created")]
        assert len(made) == 7
        before = everything(member)
        assert [line for line in await both.join() if "changed" in line.split()] == []
        assert everything(member) == before
        assert "member: Deployment suanli-fence changed" in await both.join(fence_image="team/suanli:2")


async def test_a_join_again_does_not_touch_what_the_lease_says() -> None:
    async with a_hub() as hub, a_member() as member, sides(hub, member) as both:
        await both.join(fence_image="team/suanli:1")
        path = "/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/suanli-fence"
        renewed = {"leaseDurationSeconds": 900, "renewTime": "2026-03-01T12:00:00.000000Z"}
        member.put({**member.get(path), "spec": renewed})
        assert "member: Lease suanli-fence unchanged" in await both.join(fence_image="team/suanli:1")
        assert member.get(path)["spec"] == renewed
