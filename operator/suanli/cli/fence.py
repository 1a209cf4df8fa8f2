"""`suanli fence`: runs in a member and stops AtMostOnce work when the hub is away for too long.

Exit codes: 1 its token has run out, and a fresh process takes over; 4 there is no cluster that it could fence.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from suanli.base.errors import SuanliError
from suanli.federation.fence import Fence
from suanli.kube.client import ApiClient, ApiError, Target
from suanli.kube.local import load_in_cluster, load_target
from suanli.telemetry import logs

NO_CLUSTER = 4


def fence(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig of the member; default: the pod's account.")
    ] = None,
) -> None:
    """Fence a member in: `suanli site join --fence-image` installs it. It starts nothing, and stops what it has to."""
    try:
        target = load_target(kubeconfig) if kubeconfig is not None else load_in_cluster()
        logs.configure("INFO", "json")
        asyncio.run(_run(target))
    except (SuanliError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NO_CLUSTER) from error
    except ApiError as error:
        typer.echo(f"error: {error}; the process ends so that a fresh one takes over", err=True)
        sys.exit(1)


async def _run(target: Target) -> None:
    from suanli.main import SystemClock  # the other commands need none of what comes with it

    async with ApiClient(target, name="member", concurrency=4, user_agent="suanli-fence") as client:
        await Fence(client, SystemClock()).run()
