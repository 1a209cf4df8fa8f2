"""The API server of the simulated federations behaves as a real one does, wherever the operator relies on it."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any

import virtualtime
from manifests import a_job
from memoryhub import MemoryClient, MemoryServer
from suanli.kube.client import ApiClient, ApiError, Json
from suanli.kube.local import load_target
from verdicts import Hub

NAMESPACE = "default"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
JOBS = f"/apis/suanli.io/v1alpha1/namespaces/{NAMESPACE}/computejobs"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
MEMBER_JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
Seen = dict[str, object]


def a_map(name: str, **metadata: Any) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "1"}}


def version(raw: Json) -> int:
    return int(raw["metadata"]["resourceVersion"])


async def refusal(asked: Awaitable[Json]) -> tuple[int, str]:
    """What the server says no with."""
    try:
        await asked
    except ApiError as error:
        return error.status, error.reason
    return 200, ""


async def writes(client: ApiClient) -> Seen:
    made = await client.post(MAPS, a_map("m"))
    one = f"{MAPS}/m"
    same = await client.patch(one, {"data": {"a": "1"}})
    changed = await client.patch(one, {"data": {"a": "2"}, "metadata": {"resourceVersion": str(version(made))}})
    old = {"metadata": {"resourceVersion": str(version(made))}, "data": {"a": "3"}}
    step = [{"op": "test", "path": "/data/a", "value": "9"}, {"op": "remove", "path": "/data/a"}]
    return {
        "a name is taken once": await refusal(client.post(MAPS, a_map("m"))),
        "nothing is made in no namespace": await refusal(client.post(MAPS.replace("default", "nowhere"), a_map("m"))),
        "what changes nothing keeps the version": version(same) == version(made),
        "what changes something raises it": version(changed) > version(made),
        "an older version is refused in a patch": await refusal(client.patch(one, old)),
        "an older version is refused in a replacement": await refusal(client.put(one, {**made, "data": {}})),
        "another UID is refused in a patch": await refusal(client.patch(one, {"metadata": {"uid": "other"}})),
        "but an older version before it": await refusal(
            client.patch(one, {"metadata": {**old["metadata"], "uid": "other"}})
        ),
        "a test that fails refuses a JSON patch": (await refusal(client.patch(one, step, kind="json")))[0],
        "null takes a field away": (await client.patch(one, {"data": {"a": None}})).get("data") or {},
        "another UID is refused in a deletion": await refusal(client.delete(one, {"preconditions": {"uid": "other"}})),
        "what is deleted is gone": [await refusal(client.delete(one)), await refusal(client.get(one))],
        "what is gone cannot be patched": await refusal(client.patch(one, {"data": {}})),
    }


async def finalizers(client: ApiClient) -> Seen:
    one = f"{MAPS}/held"
    await client.post(MAPS, a_map("held", finalizers=["suanli.io/metering"]))
    await client.delete(one)
    going = await client.get(one)
    await client.patch(one, [{"op": "remove", "path": "/metadata/finalizers/0"}], kind="json")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "task", "image": "x"}]}}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"suspend": True, "template": template},
    }
    job = await client.post(MEMBER_JOBS, body)
    options = {"propagationPolicy": "Foreground", "preconditions": {"uid": job["metadata"]["uid"]}}
    left = await client.delete(f"{MEMBER_JOBS}/j", options)
    return {
        "a finalizer holds what is deleted": bool(going["metadata"].get("deletionTimestamp")),
        "without it the object goes": await refusal(client.get(one)),
        "a deletion in the foreground waits": "foregroundDeletion" in left["metadata"].get("finalizers", []),
        "and says so": bool(left["metadata"].get("deletionTimestamp")),
    }


async def status(client: ApiClient) -> Seen:
    job = a_job()
    job["metadata"] = {"name": "alike", "namespace": NAMESPACE}
    made = await client.post(JOBS, job)
    one = f"{JOBS}/alike"
    told = await client.patch(f"{one}/status", {"status": {"epoch": 3}, "spec": {"priority": 7}})
    edited = await client.patch(one, {"spec": {"priority": 9}, "status": {"epoch": 5}})
    return {
        "a status is written through its own path": told["status"]["epoch"],
        "which changes nothing else": (told["spec"].get("priority", 0), told["metadata"]["generation"]),
        "a spec is written without it": (edited["spec"]["priority"], edited["status"]["epoch"]),
        "and counts generations": (made["metadata"]["generation"], edited["metadata"]["generation"]),
    }


async def leases(client: ApiClient) -> Seen:
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}
    first = await client.post(LEASES, {**body, "spec": {"holderIdentity": "one"}})
    second = await client.put(f"{LEASES}/l", {**first, "spec": {"holderIdentity": "two"}})
    third = await refusal(client.put(f"{LEASES}/l", {**first, "spec": {"holderIdentity": "three"}}))
    return {"of two who write over the same version one wins": (second["spec"]["holderIdentity"], third)}


async def lists(client: ApiClient) -> Seen:
    for name in ("p1", "p2", "p3"):
        await client.post(MAPS, a_map(name, labels={"set": "pages"}))
    selector = {"labelSelector": "set=pages"}
    first = await client.get(MAPS, {**selector, "limit": "2"})
    whole = await client.list_all(MAPS, selector, page=2)
    return {
        "a list comes in pages": (len(first["items"]), bool(first["metadata"].get("continue"))),
        "of which all are one moment": [i["metadata"]["name"] for i in whole["items"]],
    }


async def watches(client: ApiClient) -> Seen:
    since = (await client.list_all(MAPS))["metadata"]["resourceVersion"]
    one = f"{MAPS}/w"
    await client.post(MAPS, a_map("w", labels={"set": "seen"}))
    await client.patch(one, {"data": {"a": "2"}})
    await client.patch(one, {"metadata": {"labels": {"set": "out"}}})
    await client.patch(one, {"metadata": {"labels": {"set": "seen"}}})
    await client.delete(one)
    params = {"labelSelector": "set=seen", "resourceVersion": since}
    told = []
    async with aclosing(client.watch(MAPS, params, silence_s=20, longest_s=20)) as events:
        async for event in events:
            if event["type"] != "BOOKMARK":
                told.append(event)
            if len(told) == 5:
                break
    return {
        "a watch tells what came since, in order": [e["type"] for e in told],
        "with versions that rise": [version(e["object"]) for e in told] == sorted({version(e["object"]) for e in told}),
        "the last of them above the list's": version(told[-1]["object"]) > int(since),
    }


async def behaviour(client: ApiClient) -> Seen:
    parts = [await part(client) for part in (writes, finalizers, status, leases, lists, watches)]
    return {what: seen for part in parts for what, seen in part.items()}


def of_the_fake() -> Seen:
    async def whole() -> Seen:
        server = MemoryServer(virtualtime.VirtualClock())
        server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        return await behaviour(MemoryClient(server, "hub"))

    return virtualtime.run(whole())


def test_the_fake_and_a_real_server_do_the_same(hub: Hub) -> None:
    async def whole() -> Seen:
        async with ApiClient(load_target(hub.kubectl.kubeconfig), name="hub") as client:
            return await behaviour(client)

    real, fake = asyncio.run(whole()), of_the_fake()
    assert len(real) >= 25
    assert fake == real
