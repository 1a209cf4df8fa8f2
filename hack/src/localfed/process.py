"""Clusters as processes of this machine."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from localfed.binaries import SERVERS, Binaries
from localfed.cluster import ProcessCluster
from localfed.errors import LocalfedError
from localfed.guard import Guard
from localfed.leftovers import sweep
from localfed.provider import Cluster, Provider
from localfed.spec import ClusterSpec

PREFIX = "suanli-localfed-"


class ProcessProvider(Provider):
    """Real control planes on 127.0.0.1, with their data in a temporary folder.

    `bin_dir` holds the servers' binaries (else the cache, where they are built once); `folder` is where the data go,
    made here and removed at the end; `report` is told what is going on, a line at a time.
    """

    def __init__(
        self,
        bin_dir: Path | None = None,
        folder: Path | None = None,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._binaries = Binaries(bin_dir)
        self._wanted_folder = folder
        self._report = report
        self._guard: Guard | None = None
        self.clusters: dict[str, ProcessCluster] = {}

    @property
    def folder(self) -> Path:
        """The folder that holds all data of this federation."""
        return self._guarded().folder

    def up(self, specs: Sequence[ClusterSpec]) -> dict[str, Cluster]:
        """Bring clusters up in parallel, ready when it returns; if one fails, all go down. May be called for more."""
        _check_names([*self.clusters, *(spec.name for spec in specs)])
        self._binaries.ensure(SERVERS)
        guard = self._guarded()
        new = {spec.name: ProcessCluster(spec, guard.folder / spec.name, guard, self._binaries) for spec in specs}
        self.clusters.update(new)
        with ThreadPoolExecutor(max_workers=max(1, len(new))) as pool:
            try:
                for booted in as_completed([pool.submit(self._boot, cluster) for cluster in new.values()]):
                    booted.result()
            except BaseException:
                self.down()  # before the pool waits for its threads: without their guardian they end at once
                raise
        return dict(new)

    def down(self) -> None:
        """End every server and remove the folder; returns when both are gone."""
        guard, self._guard = self._guard, None
        self.clusters = {}
        if guard is not None:
            guard.close()

    def binary(self, name: str) -> Path:
        """The path of a server, of kubectl or of helm, built if need be."""
        self._binaries.ensure([name])
        return self._binaries.path(name)

    def _boot(self, cluster: ProcessCluster) -> None:
        cluster.boot()
        self._report(f"{cluster.name} is ready at {cluster.server}")

    def _guarded(self) -> Guard:
        if self._guard is None:
            self._guard = Guard(_make_folder(self._wanted_folder))
        return self._guard


def _make_folder(wanted: Path | None) -> Path:
    """The federation's own new folder, readable by its owner only."""
    if wanted is None:
        base = Path(tempfile.gettempdir())
        sweep(base, PREFIX)
        return Path(tempfile.mkdtemp(prefix=PREFIX))
    sweep(wanted.parent, wanted.name)
    try:
        wanted.mkdir(parents=True, mode=0o700)
    except FileExistsError as error:
        raise LocalfedError(
            f"the folder {wanted} exists; take one that does not, or end the federation in it with `hack/localfed down`"
        ) from error
    return wanted.resolve()


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise LocalfedError(f"two clusters are called {name!r}; each needs a name of its own")
        if not name.replace("-", "").isalnum() or not name.isascii() or name != name.lower():
            raise LocalfedError(f"{name!r} is no name for a cluster; use a-z, 0-9 and -")
