"""One control plane of plain processes."""

import random
import signal
import socket
import time
from functools import partial
from pathlib import Path

from localfed import layout, nodes, servers
from localfed.apiclient import ApiClient, wait_until
from localfed.binaries import Binaries
from localfed.errors import LocalfedError, ServerDied, Unsupported
from localfed.guard import Guard
from localfed.servers import Server
from localfed.spec import ClusterSpec

READY_SECONDS = 300.0
PORT_TRIES = 5
PORTS = range(16000, 32000)  # below the range outgoing connections take theirs from
LOG_TAIL_BYTES = 2000
TAKEN = "address already in use"


class ProcessCluster:
    """A cluster whose servers run under one guard, in one folder."""

    def __init__(self, spec: ClusterSpec, folder: Path, guard: Guard, binaries: Binaries) -> None:
        self.spec = spec
        self.folder = folder
        self._guard = guard
        self._binaries = binaries
        self._pids: dict[str, int] = {}
        self._port = 0
        self._api: ApiClient | None = None

    @property
    def name(self) -> str:
        """The name it was asked for by."""
        return self.spec.name

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of its administrator (group system:masters)."""
        return self.folder / "admin.kubeconfig"

    @property
    def pki(self) -> Path:
        """The folder of ca.crt, admin.crt and admin.key."""
        return self.folder / "pki"

    @property
    def audit_log(self) -> Path:
        """JSON lines, one for every write."""
        if not self.spec.audit:
            raise Unsupported(
                f"cluster {self.name!r} keeps no audit log; ask for one with ClusterSpec({self.name!r}, audit=True)"
            )
        return self.folder / "audit.log"

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of its running servers, by name."""
        return dict(self._pids)

    def boot(self) -> None:
        """Bring it up for the first time: keys, store, API server, nodes, controllers."""
        layout.write(self.folder, self.spec)
        self._boot_api()
        for node in nodes.manifests(self.spec.nodes):
            self.api.call("POST", nodes.NODES, node)
        self._boot_controllers()
        self._wait_usable()

    def stop(self) -> None:
        """End its whole control plane at once, as a power cut would; its data stay."""
        for name in list(reversed(self._pids)):
            self._end(name)

    def start(self) -> None:
        """Bring a stopped control plane back with its data, at the same URL."""
        if self._pids:
            raise LocalfedError(f"cluster {self.name!r} runs already; stop it first")
        self._boot_api()
        if self.spec.runs_workloads:
            nodes.forget_leases(self.api)
        self._boot_controllers()
        self._wait_usable()
        if self.spec.runs_workloads:
            self._show_pods()

    def pause(self) -> None:
        """Freeze its API server: connections stay open and nothing is answered."""
        self._guard.signal(self._pid("kube-apiserver"), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen API server go on."""
        self._guard.signal(self._pid("kube-apiserver"), signal.SIGCONT)

    def kill_node(self, name: str) -> None:
        """Take a node's power. Its lease is renewed no more, so it becomes NotReady; its pods say nothing more."""
        nodes.switch_off(self.api, name)
        # KWOK would still play what it has already queued for the node's pods: it is killed and forgets them.
        self._end("kwok")
        nodes.forget_leases(self.api)
        self._launch(servers.kwok())
        self._show_pods()

    def revive_node(self, name: str) -> None:
        """Give a node its power back; what ran on it has failed. Returns when it is ready."""
        nodes.switch_on(self.api, name)
        self._wait_usable()

    @property
    def api(self) -> ApiClient:
        """Raw requests as administrator."""
        if self._api is None:
            raise LocalfedError(f"cluster {self.name!r} is not up")
        return self._api

    def _boot_api(self) -> None:
        self._launch(servers.etcd())
        for attempt in range(1, PORT_TRIES + 1):
            if not self._port or not self._api:
                self._port = _free_port()
                layout.write_kubeconfigs(self.folder, self.name, self.server)
            started = self._launch(servers.apiserver(self.spec, self._port))
            self._api = ApiClient(self._port, self.pki)
            try:
                wait_until(partial(self._is_ready, started), READY_SECONDS, self._api_missing)
            except ServerDied as error:
                self._pids.pop("kube-apiserver")
                if TAKEN not in str(error) or attempt == PORT_TRIES:
                    raise
                time.sleep(0.5)
            else:
                return

    def _is_ready(self, pid: int) -> bool:
        if self._guard.poll(pid) is not None:
            raise ServerDied(
                f"kube-apiserver of cluster {self.name!r} ended; its log says:\n{self._log_tail('kube-apiserver')}"
            )
        return self.api.is_ready()

    def _boot_controllers(self) -> None:
        self._launch(servers.controller_manager(self.spec))
        if self.spec.runs_workloads:
            self._launch(servers.scheduler())
            self._launch(servers.kwok())

    def _wait_usable(self) -> None:
        """Until pods can be created (their service account is there) and every powered node takes them."""
        wait_until(self._is_usable, READY_SECONDS, self._usable_missing)

    def _show_pods(self) -> None:
        """A fresh KWOK passes over a pod that it lists a moment before it holds the pod's node: it is shown them again."""
        wait_until(lambda: not nodes.unserved(self.api), READY_SECONDS, self._unserved)
        nodes.show_pods(self.api)

    def _unserved(self) -> str:
        return f"cluster {self.name!r}: nobody serves nodes {nodes.unserved(self.api)}; see {self.folder / 'logs'}"

    def _is_usable(self) -> bool:
        for name, pid in self._pids.items():
            if self._guard.poll(pid) is not None:
                raise ServerDied(f"{name} of cluster {self.name!r} ended; its log says:\n{self._log_tail(name)}")
        account = self.api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0]
        return account == 200 and not nodes.unready(self.api)

    def _usable_missing(self) -> str:
        return f"cluster {self.name!r}: nodes {nodes.unready(self.api)} are not ready; see {self.folder / 'logs'}"

    def _api_missing(self) -> str:
        return (
            f"kube-apiserver of cluster {self.name!r} is not ready; its log says:\n{self._log_tail('kube-apiserver')}\n"
        )

    def _launch(self, server: Server) -> int:
        pid = self._guard.start(
            [str(self._binaries.path(server.name)), *server.argv],
            cwd=self.folder,
            log=self.folder / "logs" / f"{server.name}.log",
            env=servers.environment(self.folder),
        )
        self._pids[server.name] = pid
        return pid

    def _end(self, name: str) -> None:
        pid = self._pids.pop(name)
        self._guard.signal(pid, signal.SIGKILL)
        wait_until(lambda: self._guard.poll(pid) is not None, 10, lambda: f"{name} does not end", interval=0.01)

    def _pid(self, name: str) -> int:
        if name not in self._pids:
            raise LocalfedError(f"cluster {self.name!r}: {name} does not run")
        return self._pids[name]

    def _log_tail(self, name: str) -> str:
        path = self.folder / "logs" / f"{name}.log"
        return path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if path.exists() else "(no log)"


def _free_port() -> int:
    """A port nobody listens on now; somebody else may still be faster."""
    for _ in range(100):
        port = random.choice(PORTS)  # noqa: S311 - chance, not secrecy
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LocalfedError(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")
