"""`suanli site`: members join the federation and leave it.

Exit codes: 0 done, 2 the input is wrong, 4 a cluster refuses or cannot be reached.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from suanli.api.common import Name
from suanli.api.kind import parse
from suanli.api.site import ComputeSite, ComputeType, ComputeUnit
from suanli.base.errors import SuanliError
from suanli.base.names import API_VERSION
from suanli.base.reasons import Reason
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import plain_errors
from suanli.federation.administered import Administered
from suanli.federation.leaving import leave as leave_federation
from suanli.federation.membership import Joining
from suanli.federation.membership import join as join_federation
from suanli.kube.client import ApiClient, Json, Target
from suanli.kube.local import load_target

site_app = typer.Typer(no_args_is_help=True, help="Join member clusters to the federation, and take them out again.")

SiteName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the ComputeSite.")]
MemberContext = Annotated[str | None, typer.Option("--member-context", help="Context in the member's kubeconfig.")]
Namespace = Annotated[str, typer.Option("--namespace", help="Namespace of the operator on the hub.")]


@site_app.command()
@grouped
def join(
    name: SiteName,
    member_kubeconfig: Annotated[
        Path, typer.Option("--member-kubeconfig", help="Administrator's kubeconfig of the member.")
    ],
    member_context: MemberContext = None,
    *,
    hub: Hub,
    namespace: Namespace = "suanli-system",
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Manifest with the ComputeSite.")] = None,
    region: Annotated[str | None, typer.Option(help="ComputeRegion of the site, instead of a manifest.")] = None,
    racks: Annotated[int, typer.Option(help="Standard racks, with --region.")] = 0,
    operated_by: Annotated[str | None, typer.Option(help="Who runs the site, with --region.")] = None,
    offers: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=RESOURCE", help="A class, such as general=cpu; with --region, repeatable."),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Address of the member's API server as the hub sees it, if it differs.")
    ] = None,
    fence_image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="suanli's image as the member can pull it: installs a fence there, which stops AtMostOnce jobs when the hub is "
            "away for too long, so that they can be started elsewhere.",
        ),
    ] = None,
) -> None:
    """Join a member: an account with least rights there, its Secret and ComputeSite on the hub. Again: repairs."""
    with plain_errors():
        _check_names(name, namespace)
        if file is not None and region is not None:
            raise _bad("give either -f or --region, not both")
        manifest = _read(name, file) if file is not None else _made(name, region, racks, operated_by, offers or [])
        member = load_target(member_kubeconfig, member_context)
        joining = Joining(name, manifest, namespace, member, server, fence_image)
        asyncio.run(_join(hub.target(), joining))
    typer.echo(f'site "{name}" has joined; `kubectl get csite {name}` shows whether it is ready')


@site_app.command()
@grouped
def leave(
    name: SiteName,
    member_kubeconfig: Annotated[
        Path | None, typer.Option("--member-kubeconfig", help="Administrator's kubeconfig of the member.")
    ] = None,
    member_context: MemberContext = None,
    *,
    hub: Hub,
    namespace: Namespace = "suanli-system",
    force: Annotated[bool, typer.Option("--force", help="Also when jobs or their usage are lost by it.")] = False,
    member_is_gone: Annotated[
        bool, typer.Option("--member-is-gone", help="The cluster exists no more: clean up the hub only.")
    ] = False,
) -> None:
    """Take a member out: what joining made goes, on both sides. Again: nothing more happens."""
    with plain_errors():
        _check_names(name, namespace)
        if (member_kubeconfig is None) != member_is_gone:
            raise _bad("give --member-kubeconfig, or --member-is-gone when the cluster exists no more")
        member = load_target(member_kubeconfig, member_context) if member_kubeconfig is not None else None
        asyncio.run(_leave(hub.target(), member, name, namespace, force=force))
    typer.echo(f'site "{name}" has left')


async def _join(hub: Target, joining: Joining) -> None:
    async with administered("member", joining.member) as member_side, administered("hub", hub) as hub_side:
        await join_federation(hub_side, member_side, joining)


async def _leave(hub: Target, member: Target | None, site: str, namespace: str, *, force: bool) -> None:
    async with AsyncExitStack() as stack:
        hub_side = await stack.enter_async_context(administered("hub", hub))
        member_side = await stack.enter_async_context(administered("member", member)) if member is not None else None
        await leave_federation(hub_side, member_side, site=site, namespace=namespace, force=force)


def _check_names(*names: str) -> None:
    for name in names:
        try:
            TypeAdapter(Name).validate_python(name)
        except ValidationError as error:
            raise _bad(f'"{name[:80]}" is not a name: lower-case letters, digits and "-", at most 63') from error


@asynccontextmanager
async def administered(name: str, target: Target) -> AsyncIterator[Administered]:
    """A cluster to change; every change is told as it is made."""
    try:
        client = ApiClient(target, name=name, concurrency=4)
    except ValueError as error:
        raise _bad(str(error)) from error
    async with client:
        yield Administered(client, lambda change: typer.echo(str(change)))


def _read(name: str, file: Path) -> Json:
    """The ComputeSite of that name in a manifest."""
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise _bad(f"{file}: {error.strerror}; name a manifest that can be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(f"{file}: it is not YAML: {' '.join(str(error).split())[:200]}") from error
    sites = [d for d in documents if isinstance(d, dict) and d.get("kind") == "ComputeSite"]
    found = [d for d in sites if isinstance(d.get("metadata"), dict) and d["metadata"].get("name") == name]
    if len(found) != 1:
        raise _bad(f'{file}: it must hold one ComputeSite named "{name}", it holds {len(found)} of {len(sites)}')
    return _checked(found[0], str(file))


def _made(name: str, region: str | None, racks: int, operated_by: str | None, offers: list[str]) -> Json | None:
    """A ComputeSite from options; None when none are given."""
    if region is None:
        if racks or operated_by or offers:
            raise _bad("--racks, --operated-by and --offers describe a new site; give its --region with them")
        return None
    spec: Json = {"region": region, "standardRacks": racks, "resources": [_class(offer) for offer in offers]}
    if operated_by is not None:
        spec["operator"] = operated_by
    return _checked(
        {"apiVersion": API_VERSION, "kind": "ComputeSite", "metadata": {"name": name}, "spec": spec}, "options"
    )


def _class(offer: str) -> Json:
    name, equals, resource = offer.partition("=")
    if not (name and equals and resource):
        raise _bad(
            f'--offers "{offer}": write it as CLASS=RESOURCE, such as general=cpu or nvidia-a100-80g=nvidia.com/gpu'
        )
    cores = resource == "cpu"
    return {
        "class": name,
        "type": str(ComputeType.GENERAL if cores else ComputeType.INTELLIGENT),
        "resourceName": resource,
        "unit": str(ComputeUnit.CORE if cores else ComputeUnit.CARD),
    }


def _checked(raw: Json, where: str) -> Json:
    """The manifest with only what a person may declare. Raises: SuanliError that names the first wrong field."""
    try:
        parse(ComputeSite, raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _bad(f'{where}: ComputeSite field {field}: "{str(first["input"])[:80]}": {first["msg"]}') from error
    kept = {k: raw["metadata"][k] for k in ("name", "labels", "annotations") if raw["metadata"].get(k)}
    return {"apiVersion": API_VERSION, "kind": "ComputeSite", "metadata": kept, "spec": raw["spec"]}


def _bad(message: str) -> SuanliError:
    return SuanliError(Reason.INVALID_SPEC, message)
