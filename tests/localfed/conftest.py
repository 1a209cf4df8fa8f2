"""One federation for all tests of this folder, and what they ask of it."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localfed import ClusterSpec, NodeShape, ProcessProvider
from localfed.cluster import ProcessCluster

PATIENT_SECONDS = 120  # what is waited for comes at once, or on a busy machine in a minute, or never
SHAPE = NodeShape(
    count=2,
    cpu="32",
    memory="256Gi",
    card_resource="nvidia.com/gpu",
    cards=8,
    labels={"card": "a100"},
    name_prefix="a100",
)


@dataclass(frozen=True)
class Pods:
    """Pods of one namespace of one cluster."""

    cluster: ProcessCluster
    namespace: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def create(self, name: str, *command: str, image: str = "example/work:1", **more: Any) -> None:
        container = {"name": "main", "image": image, "command": list(command[:1]), "args": list(command[1:])}
        spec = {"restartPolicy": "Never", "containers": [container], **more.pop("spec", {})}
        self.cluster.api.call("POST", self.path, {"metadata": {"name": name, **more}, "spec": spec})

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.api.call("GET", f"{self.path}/{name}")
        return found

    def exists(self, name: str) -> bool:
        return self.cluster.api.request("GET", f"{self.path}/{name}")[0] == 200

    def delete(self, name: str) -> None:
        self.cluster.api.call("DELETE", f"{self.path}/{name}")

    def state(self, name: str) -> dict[str, Any]:
        """The state of the pod's first container, {} while it has none."""
        statuses = self.get(name)["status"].get("containerStatuses", [])
        state: dict[str, Any] = statuses[0]["state"] if statuses else {}
        return state

    def wait(self, name: str, state: str, seconds: float = PATIENT_SECONDS) -> dict[str, Any]:
        """Until the first container is waiting, running or terminated; that state's fields."""
        eventually(lambda: state in self.state(name), seconds)
        fields: dict[str, Any] = self.state(name)[state]
        return fields


def eventually(true: Callable[[], bool], seconds: float = PATIENT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def processes_of(folder: str) -> list[str]:
    """Command lines of all processes that know this folder by argument or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            known = words + (process / "environ").read_bytes()
        except OSError:
            continue
        if folder.encode() in known:
            found.append(words.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., None]:
    return eventually


@pytest.fixture(name="processes_of")
def _processes_of() -> Callable[[str], list[str]]:
    return processes_of


RUNNING = pytest.StashKey[ProcessProvider]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """The federation ends with the folder and not with the session: servers that nobody asks take their time, too."""
    result = yield
    if nextitem is None or nextitem.path.parent != item.path.parent:
        running = item.config.stash.get(RUNNING, None)
        if running is not None:
            running.down()
    return result


@pytest.fixture(scope="session")
def federation(pytestconfig: pytest.Config) -> Iterator[ProcessProvider]:
    with ProcessProvider() as provider:
        pytestconfig.stash[RUNNING] = provider
        provider.up([ClusterSpec("hub"), ClusterSpec("east", nodes=(SHAPE,), audit=True)])
        yield provider


@pytest.fixture
def east(federation: ProcessProvider) -> ProcessCluster:
    return federation.clusters["east"]


@pytest.fixture
def pods(east: ProcessCluster, request: pytest.FixtureRequest) -> Pods:
    """Pods in a namespace of this test's own."""
    namespace = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:50].strip("-")
    east.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: east.api.request("GET", account)[0] == 200)
    return Pods(east, namespace)
