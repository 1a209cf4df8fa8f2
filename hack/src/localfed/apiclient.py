"""The few raw requests the tool itself makes to a cluster's API server."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from localfed.errors import LocalfedError

REQUEST_SECONDS = 30.0
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class ApiClient:
    """Requests to one API server as its administrator."""

    def __init__(self, port: int, pki: Path) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """One request; the status and the body of its answer. Raises OSError when there is no answer."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS, context=self._tls)
        payload = None if body is None else json.dumps(body).encode()
        try:
            connection.request(
                method,
                f"{path}?{urlencode(query)}" if query else path,
                payload,
                {"Content-Type": content} if payload else {},
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"no whole answer: {error!r}") from error
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """One request that must succeed; its decoded answer."""
        status, answer = self.request(method, path, body, content=content, query=query)
        if status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise LocalfedError(f"{method} {path} was answered {status}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer)

    def is_ready(self) -> bool:
        """Whether the API server answers and says it is ready."""
        try:
            return self.request("GET", "/readyz")[0] == http.HTTPStatus.OK
        except OSError:
            return False


def wait_until(done: Callable[[], bool], seconds: float, missing: Callable[[], str], interval: float = 0.1) -> None:
    """Ask `done` again and again. Raises: LocalfedError with what is `missing` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise LocalfedError(f"{missing()} (waited {seconds:.0f} s)")
        time.sleep(interval)
