"""What a federation that was brought up on the command line tells the later commands."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from localfed.cluster import ProcessCluster
from localfed.errors import LocalfedError

STATE = "federation.json"


@dataclass(frozen=True)
class ClusterState:
    """One cluster, as the commands need it."""

    server: str
    kubeconfig: str
    pids: Mapping[str, int]


@dataclass(frozen=True)
class State:
    """The process that holds the federation up, and its clusters (none until they are ready)."""

    pid: int
    started: str
    clusters: Mapping[str, ClusterState]

    @property
    def is_held(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started


def default_folder() -> Path:
    """Where the command line keeps its one federation: a folder of this user's."""
    return Path(os.environ.get("SUANLI_LOCALFED") or Path(tempfile.gettempdir()) / f"suanli-localfed-of-{os.getuid()}")


def write(folder: Path, clusters: Mapping[str, ProcessCluster]) -> None:
    """Tell what this process holds up."""
    told = {name: ClusterState(each.server, str(each.kubeconfig), each.pids) for name, each in clusters.items()}
    unfinished = folder / f"{STATE}.new"
    unfinished.write_text(json.dumps(asdict(State(os.getpid(), start_time(os.getpid()), told))), encoding="utf-8")
    unfinished.replace(folder / STATE)


def read(folder: Path) -> State | None:
    """The federation in `folder`; None when there is none. Raises: LocalfedError when it is somebody else's."""
    path = folder / STATE
    try:
        if path.stat().st_uid != os.getuid():
            raise LocalfedError(f"the federation in {folder} belongs to another user; name another folder with --dir")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalfedError(f"{path} cannot be read ({error.strerror}); name another folder with --dir") from error
    clusters = {name: ClusterState(**each) for name, each in document["clusters"].items()}
    return State(document["pid"], document["started"], clusters)


def require(folder: Path) -> State:
    """The federation in `folder`. Raises: LocalfedError with the remedy when there is none."""
    state = read(folder)
    if state is None or not state.is_held:
        raise LocalfedError(f"no federation is up in {folder}; bring one up with `hack/localfed up`")
    return state


def start_time(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it names one process for good. Empty when gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
