"""What a test, a demo or a benchmark may ask of clusters, wherever they come from."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from localfed.spec import ClusterSpec


class Cluster(Protocol):
    """One running cluster."""

    @property
    def name(self) -> str:
        """The name it was asked for by."""

    @property
    def server(self) -> str:
        """The API server's URL."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of its administrator, who may do everything."""

    @property
    def audit_log(self) -> Path:
        """JSON lines, one for every write; asked for with ClusterSpec(audit=True)."""

    def stop(self) -> None:
        """End its whole control plane at once, as a power cut would; its data stay."""

    def start(self) -> None:
        """Bring a stopped control plane back with its data, at the same URL."""

    def pause(self) -> None:
        """Freeze its API server: connections stay open and nothing is answered."""

    def resume(self) -> None:
        """Let a frozen API server go on."""

    def kill_node(self, name: str) -> None:
        """Take a node's power. Nobody reports for it any more, so it becomes NotReady."""

    def revive_node(self, name: str) -> None:
        """Give a node its power back; what ran on it has failed."""


class Provider(Protocol):
    """Where clusters come from."""

    def up(self, specs: Sequence[ClusterSpec]) -> dict[str, Cluster]:
        """Bring clusters up in parallel; ready when it returns."""

    def down(self) -> None:
        """Give everything back; nothing stays."""

    def binary(self, name: str) -> Path:
        """The path of a program such as kubectl or helm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
