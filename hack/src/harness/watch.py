"""What a cluster says of its objects as it happens: `kubectl get --watch`, read as it comes."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Any, Self

from harness.shell import Kubectl

Raw = dict[str, Any]
AGAIN_S = 0.5


class Watch:
    """Every state that was seen of every object, by UID; also of those that are gone by now."""

    def __init__(self, kubectl: Kubectl, *what: str, on_event: Callable[[str, Raw], None] | None = None) -> None:
        self.last: dict[str, Raw] = {}
        self.gone: set[str] = set()
        self._states: dict[str, list[Raw]] = {}
        self._argv = [str(kubectl.binary), "--kubeconfig", str(kubectl.kubeconfig), "get", *what]
        self._argv += ["--all-namespaces", "--watch", "--output-watch-events", "--output", "json"]
        self._on_event = on_event or (lambda _kind, _object: None)
        self._closed = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def objects(self) -> list[Raw]:
        """The last that was seen of all of them."""
        return list(self.last.values())

    def states(self, uid: str) -> list[Raw]:
        """All that was seen of one of them, the oldest first."""
        return list(self._states.get(uid, []))

    def _run(self) -> None:
        """A watch that the server ends begins again with a full list."""
        while not self._closed:
            with subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            ) as process:
                self._process = process
                if self._closed:
                    process.kill()
                assert process.stdout is not None, "it is a pipe"
                for event in documents(process.stdout):
                    self._see(event["type"], event["object"])
            if not self._closed:
                time.sleep(AGAIN_S)

    def _see(self, kind: str, thing: Raw) -> None:
        metadata = thing.get("metadata", {})
        uid = metadata.get("uid")
        if not uid:
            return
        states = self._states.setdefault(uid, [])
        if not states or states[-1]["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            states.append(thing)
        self.last[uid] = thing
        if kind == "DELETED":
            self.gone.add(uid)
        self._on_event(kind, thing)


def documents(stream: IO[str]) -> Iterator[Raw]:
    """JSON documents of a stream, one a line; half a line at its end is dropped."""
    for line in stream:
        if line.endswith("\n"):
            yield json.loads(line)
