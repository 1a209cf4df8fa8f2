"""A hub and members in memory that can be joined: they speak TLS, make tokens for accounts, and keep the fence."""

import base64
import contextlib
from collections.abc import AsyncIterator
from functools import cache

from aiohttp import web

from apiserver import FakeApiServer
from apistore import Change, Json, Path
from localfed.pki import Authority
from suanli.api.kind import parse
from suanli.api.site import ComputeSite
from suanli.federation import administered, grants
from suanli.federation.administered import Administered
from suanli.federation.leaving import leave
from suanli.federation.membership import Joining, join
from suanli.kube.client import ApiClient, Target

NAMESPACE = "suanli-system"
FENCE = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@cache
def authority() -> Authority:
    """One for all clusters of a test run."""
    return Authority("joinable")


def a_hub(name: str = "hub") -> FakeApiServer:
    """A cluster with the chart installed."""
    hub = FakeApiServer(authority=authority())
    hub.become(f"{name}-cluster")
    hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return hub


def a_member(name: str = "member") -> FakeApiServer:
    """A cluster whose controllers make tokens and whose admission keeps the fence, once it is there."""
    member = FakeApiServer(authority=authority())
    member.become(f"{name}-cluster")
    member.apis.discard("suanli.io/v1alpha1")
    member.store.listen(lambda change: _make_token(member, change))
    member.fault("POST /api/v1/namespaces", lambda request: _fenced(member, request))
    return member


def _make_token(member: FakeApiServer, change: Change) -> None:
    secret = change.after or {}
    if secret.get("type") == "kubernetes.io/service-account-token" and not secret.get("data"):
        member.put({**secret, "data": {"token": base64.b64encode(b"made-by-the-member").decode()}})


def _fenced(member: FakeApiServer, request: web.Request) -> web.Response | None:
    if "dryRun" not in request.query or not member.objects(FENCE):
        return None
    said = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": f"denied: {grants.FENCED} of its own"}
    return web.json_response(said, status=403)


def a_site(name: str, region: str = "shanghai") -> Json:
    """A ComputeSite's manifest."""
    raw = {
        "apiVersion": "suanli.io/v1alpha1",
        "kind": "ComputeSite",
        "metadata": {"name": name},
        "spec": {"region": region},
    }
    parse(ComputeSite, raw)
    return raw


class Sides:
    """Both sides as the administrator's command sees them, and what it told."""

    def __init__(self, hub: ApiClient, member: ApiClient, target: Target) -> None:
        self.told: list[str] = []
        self.hub = Administered(hub, self._tell)
        self.member = Administered(member, self._tell)
        self._target = target

    def _tell(self, change: administered.Change) -> None:
        self.told.append(str(change))

    async def join(
        self,
        site: str = "s",
        manifest: Json | None = None,
        *,
        namespace: str = NAMESPACE,
        server: str | None = None,
        fence_image: str | None = None,
    ) -> list[str]:
        """Join as `suanli site join` does; what it told."""
        self.told.clear()
        await join(
            self.hub, self.member, Joining(site, manifest or a_site(site), namespace, self._target, server, fence_image)
        )
        return list(self.told)

    async def leave(self, site: str = "s", *, force: bool = False) -> list[str]:
        """Leave as `suanli site leave` does; what it told."""
        self.told.clear()
        await leave(self.hub, self.member, site=site, namespace=NAMESPACE, force=force)
        return list(self.told)


@contextlib.asynccontextmanager
async def sides(hub: FakeApiServer, member: FakeApiServer) -> AsyncIterator[Sides]:
    """Clients of both."""
    async with hub.client("hub") as hub_client, member.client("member") as member_client:
        yield Sides(hub_client, member_client, member.target)


def everything(server: FakeApiServer) -> dict[str, Json]:
    """All objects of a cluster by kind, namespace and name, without their versions."""
    found = {}
    for api in server.apis:
        for raw in server.store.objects(api):
            metadata = {k: v for k, v in raw["metadata"].items() if k not in ("resourceVersion", "generation")}
            key = f"{raw['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
            found[key] = {**raw, "metadata": metadata}
    return found


def take_out(server: FakeApiServer, path: str) -> None:
    """An object goes behind everybody's back."""
    server.store.forget(Path.of(path))
