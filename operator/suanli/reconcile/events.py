"""Kubernetes Events: only what a person should act on."""

import asyncio
import logging

from suanli.base.clock import Clock, time_text_ms
from suanli.base.names import API_VERSION, short_hash
from suanli.base.reasons import Reason
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable

LOG = logging.getLogger(__name__)
MOST_WAITING = 256  # in a storm of trouble the conditions tell; events may be dropped
MAX_NOTE_BYTES = 1_000  # the API server takes 1 KiB, in bytes


class Recorder:
    """Writes warnings in the background; what cannot be written is dropped with a log line."""

    def __init__(self, hub: ApiClient, clock: Clock, instance: str) -> None:
        self._hub = hub
        self._clock = clock
        self._instance = instance
        self._waiting: asyncio.Queue[tuple[str, Json]] = asyncio.Queue(MOST_WAITING)

    def warn(self, kind: str, metadata: Json, reason: Reason, text: str) -> None:
        """Tell people of one object's trouble."""
        namespace = metadata.get("namespace") or "default"
        now = self._clock.now_ms()
        unique = short_hash(kind, str(metadata.get("uid")), reason, str(now), length=12)
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200].rstrip('-.')}.{unique}", "namespace": namespace},
            "eventTime": time_text_ms(now)[:-1] + "000Z",
            "type": "Warning",
            "reason": str(reason),
            "action": "Reconcile",
            "note": _bounded(text),
            "reportingController": "suanli.io/operator",
            "reportingInstance": self._instance[:128],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": kind,
                "name": metadata["name"],
                "namespace": metadata.get("namespace") or "",
                "uid": metadata.get("uid") or "",
            },
        }
        try:
            self._waiting.put_nowait((f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body))
        except asyncio.QueueFull:
            LOG.warning(
                "event dropped, too many are waiting",
                extra={"object": f"{kind} {metadata['name']}", "reason": str(reason)},
            )

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            path, body = await self._waiting.get()
            try:
                await self._hub.post(path, body)
            except (ApiError, Unreachable) as error:
                LOG.warning("event not written", extra={"error": str(error)[:300]})


def _bounded(text: str) -> str:
    return text.encode(errors="replace")[:MAX_NOTE_BYTES].decode(errors="ignore")
