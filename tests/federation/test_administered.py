"""One cluster as its administrator changes it: what became of each object is told, in words."""

from typing import Any

import pytest

from apiserver import FakeApiServer
from apistore import Json
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.federation import administered
from suanli.federation.administered import Administered, Change, collection_of, path_of

ROLE: Json = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "r", "labels": {"a": "b"}},
    "rules": [],
}
PATH = path_of("ClusterRole", "r")


def test_a_change_is_one_line() -> None:
    assert str(Change("member", "ClusterRole", "r", "created")) == "member: ClusterRole r created"


def test_paths_are_kubernetes_own() -> None:
    assert collection_of("ComputeJob") == "/apis/suanli.io/v1alpha1/computejobs"
    assert path_of("Secret", "s", "n") == "/api/v1/namespaces/n/secrets/s"
    assert path_of("Namespace", "n") == "/api/v1/namespaces/n"


async def test_what_became_of_an_object_is_told() -> None:
    told: list[str] = []
    async with FakeApiServer() as server, server.client("member") as client:
        side = Administered(client, lambda change: told.append(change.what))
        assert await side.find("ClusterRole", "r") is None
        await side.apply(ROLE, dry_run=True)
        assert (told, await side.find("ClusterRole", "r")) == ([], None)
        await side.apply(ROLE)
        await side.apply(ROLE)
        server.put({**server.get(PATH), "status": {"by": "a controller"}})
        await side.apply(ROLE)
        await side.apply({**ROLE, "rules": [{"verbs": ["get"]}]})
        await side.merge("ClusterRole", "r", {"metadata": {"labels": {"a": "c"}}})
        await side.merge("ClusterRole", "r", {"metadata": {"labels": {"a": "c"}}})
        await side.remove("ClusterRole", "r")
        await side.remove("ClusterRole", "r")
    assert told == ["created", "unchanged", "unchanged", "changed", "changed", "unchanged", "removed", "absent"]
    applied = server.asked("PATCH *clusterroles/r")[1]
    assert applied.query == {"fieldManager": "suanli-site-join", "force": "true"}
    assert applied.headers["Content-Type"] == "application/apply-patch+yaml"


async def test_a_kind_that_is_not_there_has_no_objects() -> None:
    async with FakeApiServer() as server, server.client() as client:
        server.apis.discard("suanli.io/v1alpha1")
        side = Administered(client, lambda change: None)
        assert await side.list_all(collection_of("ComputeSite")) == []
        assert await side.get("/apis/suanli.io/v1alpha1") is None


async def test_a_patch_of_what_has_gone_or_changed_is_nothing() -> None:
    test = [{"op": "test", "path": "/metadata/name", "value": "other"}]
    async with FakeApiServer() as server, server.client() as client:
        side = Administered(client, lambda change: None)
        await side.patch_if_unchanged(PATH, test)
        server.put(ROLE)
        await side.patch_if_unchanged(PATH, test)
        await side.patch_if_unchanged(PATH, [{"op": "replace", "path": "/metadata/labels", "value": {"c": "d"}}])
        assert server.get(PATH)["metadata"]["labels"] == {"c": "d"}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (401, Reason.PERMISSION_DENIED, "does not allow it: no; use a kubeconfig of its administrator"),
        (403, Reason.PERMISSION_DENIED, "does not allow it: no; use a kubeconfig of its administrator"),
        (409, Reason.REFUSED, "refuses: no"),
        (422, Reason.REFUSED, "refuses: no"),
        (500, Reason.REFUSED, "refuses: no"),
    ],
)
async def test_every_refusal_is_a_sentence_that_names_the_cluster(status: int, reason: Reason, words: str) -> None:
    async with FakeApiServer() as server, server.client("member") as client:
        server.refuse("*", status)
        side = Administered(client, lambda change: None)
        tries: list[Any] = [
            side.get("/version"),
            side.list_all(collection_of("Namespace")),
            side.apply(ROLE),
            side.merge("ClusterRole", "r", {}),
            side.remove("ClusterRole", "r"),
        ]
        for work in tries:
            with pytest.raises(SuanliError) as caught:
                await work
            assert caught.value.reason is reason
            assert str(caught.value) == f"the member ({server.target.server}) {words}"


@pytest.mark.parametrize("body", [b"{}", b'{"metadata": 5}', b'{"metadata": {"name": []}}'])
async def test_an_answer_that_is_no_object_is_told_as_one_that_stayed(body: bytes) -> None:
    told: list[str] = []
    async with FakeApiServer() as server, server.client("member") as client:
        server.answer("*", body)
        await Administered(client, lambda change: told.append(str(change))).apply(ROLE)
    assert told == ["member: ClusterRole r unchanged"]


@pytest.mark.parametrize("body", [b"[]", b"garbage"])
async def test_an_answer_that_is_no_json_is_a_sentence(body: bytes) -> None:
    async with FakeApiServer() as server, server.client("member") as client:
        server.answer("*", body)
        with pytest.raises(
            SuanliError, match=r"the member cannot be reached: .* not a JSON object; check its kubeconfig"
        ):
            await Administered(client, lambda change: None).apply(ROLE)


NOT_YET = (
    "failed to configure policy: failed to find resource referenced by paramKind: 'suanli.io/v1alpha1, Kind=HubPolicy'"
)


async def test_a_hub_that_has_not_learned_its_policies_parameters_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Just after the chart was installed."""
    monkeypatch.setattr(administered, "LOOK_EVERY_S", 0.01)
    told: list[str] = []
    async with FakeApiServer() as server, server.client("hub") as client:
        refused = server.refuse("PATCH *clusterroles/r", 422, "Invalid", NOT_YET, times=3)
        side = Administered(client, lambda change: told.append(change.what))
        await side.apply(ROLE, dry_run=True)
        await side.apply(ROLE)
        server.refuse("PATCH *clusterroles/r", 403, "Forbidden", "not yet synced to use for admission", times=1)
        await side.merge("ClusterRole", "r", {"metadata": {"labels": {"a": "c"}}})
    assert (told, refused.seen) == (["created", "changed"], 3)


async def test_it_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administered, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(administered, "PARAMETERS_WAIT_S", 0.05)
    async with FakeApiServer() as server, server.client("hub") as client:
        server.refuse("PATCH *clusterroles/r", 422, "Invalid", NOT_YET)
        with pytest.raises(SuanliError, match="Kind=HubPolicy") as caught:
            await Administered(client, lambda change: None).apply(ROLE)
        assert caught.value.reason is Reason.REFUSED
        assert len(server.asked("PATCH *clusterroles/r")) == 6
