"""One cluster as its administrator changes it: server-side apply and removal; every change is told."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from suanli.base.errors import SuanliError
from suanli.base.names import GROUP, VERSION
from suanli.base.reasons import Reason
from suanli.base.untrusted import mapping
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable

FIELD_MANAGER = "suanli-site-join"
# What an API server says while it has not yet learned the kind of a policy's parameters, just after chart and CRDs were installed.
# It looks for new kinds every half minute. Source: k8s.io/apiserver, admission/plugin/policy/generic.
_NOT_YET = ("failed to find resource referenced by paramKind", "not yet synced to use for admission")
PARAMETERS_WAIT_S = 60.0
LOOK_EVERY_S = 0.5

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "ComputeSite": f"/apis/{GROUP}/{VERSION}/computesites",
    "ComputeJob": f"/apis/{GROUP}/{VERSION}/computejobs",
}


@dataclass(frozen=True)
class Change:
    """What became of one object: created, changed, unchanged, removed or absent."""

    cluster: str
    kind: str
    name: str
    what: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.cluster}: {self.kind} {self.name} {self.what}"


class Administered:
    """Requests with an administrator's rights; every refusal is a sentence that names the cluster."""

    def __init__(self, client: ApiClient, report: Callable[[Change], None]) -> None:
        self.name = client.name
        self._client = client
        self._report = report

    async def get(self, path: str) -> Json | None:
        """An object, or None when it or its kind is not there. Raises: SuanliError."""
        with self._plainly():
            return await self._get(path)

    async def find(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """The same, by kind and name."""
        return await self.get(path_of(kind, name, namespace))

    async def list_all(self, path: str, selector: str = "") -> list[Json]:
        """A whole list; empty when its kind is not there. Raises: SuanliError."""
        with self._plainly():
            try:
                answer = await self._client.list_all(path, {"labelSelector": selector} if selector else None)
            except ApiError as error:
                if error.status == 404:
                    return []
                raise
        return list(answer["items"])

    async def apply(self, manifest: Json, *, dry_run: bool = False) -> Json:
        """Make the object what the manifest says; other managers' fields stay. Raises: SuanliError."""
        kind, metadata = manifest["kind"], manifest["metadata"]
        path = path_of(kind, metadata["name"], metadata.get("namespace", ""))
        params = {"fieldManager": FIELD_MANAGER, "force": "true"}
        with self._plainly():
            if dry_run:
                return await self._patched(path, manifest, kind="apply", params={**params, "dryRun": "All"})
            before = await self._get(path)
            after = await self._patched(path, manifest, kind="apply", params=params)
        self._note(kind, metadata["name"], _difference(before, after))
        return after

    async def merge(self, kind: str, name: str, body: Json, namespace: str = "") -> None:
        """Change these fields of an object. Raises: SuanliError."""
        path = path_of(kind, name, namespace)
        with self._plainly():
            before = await self._client.get(path)
            after = await self._patched(path, body)
        self._note(kind, name, _difference(before, after))

    async def merge_at(self, path: str, body: Json) -> None:
        """Change these fields of what is at a path, such as a status. Raises: SuanliError."""
        with self._plainly():
            await self._client.patch(path, body)

    async def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete the object if it is there. Raises: SuanliError."""
        what = "removed"
        with self._plainly():
            try:
                await self._client.delete(path_of(kind, name, namespace))
            except ApiError as error:
                if error.status != 404:
                    raise
                what = "absent"
        self._note(kind, name, what)

    async def patch_if_unchanged(self, path: str, change: list[Json]) -> None:
        """Carry out a JSON patch, unless the object has gone or its tests fail by now. Raises: SuanliError."""
        with self._plainly():
            try:
                await self._client.patch(path, change, kind="json")
            except ApiError as error:
                if error.status not in (404, 409, 422):
                    raise

    async def _patched(self, path: str, body: Json, **how: Any) -> Json:
        """The object after the change; while the server's own policies are not complete yet, that is waited for. Raises: ApiError, Unreachable."""
        for _ in range(int(PARAMETERS_WAIT_S / LOOK_EVERY_S)):
            try:
                return await self._client.patch(path, body, **how)
            except ApiError as error:
                if not any(words in error.message for words in _NOT_YET):
                    raise
            await asyncio.sleep(LOOK_EVERY_S)
        return await self._client.patch(path, body, **how)

    async def _get(self, path: str) -> Json | None:
        try:
            return await self._client.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _note(self, kind: str, name: str, what: str) -> None:
        self._report(Change(self.name, kind, name, what))

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        where = f"the {self.name} ({self._client.server})"
        try:
            yield
        except ApiError as error:
            if error.status in (401, 403):
                text = f"{where} does not allow it: {error.message}; use a kubeconfig of its administrator"
                raise SuanliError(Reason.PERMISSION_DENIED, text) from error
            raise SuanliError(Reason.REFUSED, f"{where} refuses: {error.message}") from error
        except Unreachable as error:
            text = f"the {self.name} cannot be reached: {error}; check its kubeconfig and the network"
            raise SuanliError(Reason.UNREACHABLE, text) from error


def collection_of(kind: str, namespace: str = "") -> str:
    """The URL path of all objects of a kind."""
    return _PATHS[kind].format(namespace=namespace)


def path_of(kind: str, name: str, namespace: str = "") -> str:
    """The URL path of one object."""
    return f"{collection_of(kind, namespace)}/{name}"


def _difference(before: Json | None, after: Json) -> str:
    if before is None:
        return "created"
    return "unchanged" if _declared(before) == _declared(after) else "changed"


def _declared(raw: Json) -> Json:
    """The object without what servers and controllers keep in it."""
    kept = mapping(raw.get("metadata")).items()
    metadata = {k: v for k, v in kept if k not in ("resourceVersion", "generation", "managedFields")}
    return {**raw, "metadata": metadata, "status": None}
