"""What a cluster says of its objects as it happens: a list, and a watch from there on, read as they come."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlencode

from harness.shell import CommandError, Kubectl, run

Raw = dict[str, Any]
AGAIN_S = 0.5
LIST_S = 60.0


class Watch:
    """Every state that was seen of every object, by UID; also of those that are gone by now."""

    def __init__(
        self,
        kubectl: Kubectl,
        path: str,
        selector: str = "",
        on_event: Callable[[str, Raw], None] | None = None,
    ) -> None:
        """All objects at an API path, such as `/api/v1/pods`, that have these labels."""
        self.last: dict[str, Raw] = {}
        self.gone: set[str] = set()
        self._states: dict[str, list[Raw]] = {}
        self._kubectl = kubectl
        self._path = path
        self._selector = selector
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
        """A watch that the server ends, as it does after a while, is followed by a list: what went in between is missing in it."""
        while not self._closed:
            try:
                version = self._list()
            except (CommandError, subprocess.TimeoutExpired, ValueError):
                time.sleep(AGAIN_S)  # the server is away
                continue
            with subprocess.Popen(
                self._argv(watch="1", resourceVersion=version),
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

    def _list(self) -> str:
        """See all that is there, and what is not there any more; the version from which to watch."""
        listed = json.loads(run(self._argv(), timeout_s=LIST_S))
        of_all = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        there = {thing["metadata"]["uid"]: of_all | thing for thing in listed["items"]}
        for uid in [uid for uid in self.last if uid not in there and uid not in self.gone]:
            self._see("DELETED", self.last[uid])
        for thing in there.values():
            self._see("ADDED", thing)
        return str(listed["metadata"]["resourceVersion"])

    def _argv(self, **query: str) -> list[str]:
        if self._selector:
            query["labelSelector"] = self._selector
        path = f"{self._path}?{urlencode(query)}"
        return [str(self._kubectl.binary), "--kubeconfig", str(self._kubectl.kubeconfig), "get", "--raw", path]

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
