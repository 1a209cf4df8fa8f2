"""kopf brings the hub's events into the mirror, and nothing else."""

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any

import kopf

from suanli.api import PLACEMENT_KINDS
from suanli.base.names import GROUP, VERSION
from suanli.kube.client import PAGE, Json, Target

IDLE_S = 1.0  # whoever handles an object's events holds its last one for so long
Apply = Callable[[str | None, Json], None]


class Unremembered(kopf.DiffBaseStorage):
    """kopf copies every object of every event to compare it with what was handled before; we compare by ourselves."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """Nothing of the object."""
        return {}

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was handled before."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


def registry(target: Target, apply: Apply) -> kopf.OperatorRegistry:
    """Handlers that pass every event of every kind to `apply`; none of them writes or keeps a timer."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=target.server,
            ca_data=_encoded(target.ca_pem),
            token=target.token,
            certificate_data=_encoded(target.client_cert_pem),
            private_key_data=_encoded(target.client_key_pem),
        )

    @kopf.on.startup(registry=handlers)
    def quiet(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.persistence.diffbase_storage = Unremembered()
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.watching.chunk_size = PAGE  # else a whole collection is read at once, however large it is
        settings.queueing.idle_timeout = IDLE_S
        settings.process.ultimate_exiting_timeout = None

    for model in PLACEMENT_KINDS:
        info = model.kind_info

        @kopf.on.event(GROUP, VERSION, info.plural, registry=handlers, id=f"mirror-{info.plural}")
        async def mirror(event: Any, **_: Any) -> None:
            apply(event["type"], dict(event["object"]))

    return handlers


async def run(target: Target, apply: Apply, stop: asyncio.Event, started: Callable[[], None]) -> None:
    """Watch until stopped.

    kopf takes the process's signals for itself when it starts, and cancels every task that is younger than it when it
    stops: `started` is called once the signals can be taken back, and `stop` is to be set last.
    """
    logging.getLogger("kopf.objects").setLevel(logging.ERROR)
    older = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(registry=registry(target, apply), standalone=True, clusterwide=True, stop_flag=stop)
    started()
    await kopf.run_tasks(tasks, ignored=older)


def _encoded(pem: str | None) -> str | None:
    return base64.b64encode(pem.encode()).decode() if pem else None
