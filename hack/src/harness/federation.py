"""A hub installed from the chart by Helm, and members joined with the real command."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from harness.operator import ROOT, OperatorProcess
from harness.shell import PATIENT_S, Kubectl, run, wait_for
from localfed import Cluster, ClusterSpec, NodeShape, Provider
from suanli.cli.printing import SOME_WAIT

NAMESPACE = "suanli-system"
RELEASE = "suanli"


@dataclass(frozen=True)
class Site:
    """A member to bring up and join: its nodes, the ComputeSite's spec, and whether it keeps an audit log."""

    name: str
    nodes: tuple[NodeShape, ...]
    spec: Mapping[str, object]
    audit: bool = False


class Federation:
    """Clusters of a provider with the hub's chart installed; sites are joined one by one."""

    def __init__(self, provider: Provider, folder: Path, sites: Sequence[Site]) -> None:
        self.folder = folder
        self.sites = {site.name: site for site in sites}
        # What is missing is built before any server runs: a compiler takes the whole machine.
        self._kubectl, self._helm = provider.binary("kubectl"), provider.binary("helm")
        specs = [ClusterSpec("hub", audit=True), *(ClusterSpec(s.name, nodes=s.nodes, audit=s.audit) for s in sites)]
        self.clusters: dict[str, Cluster] = provider.up(specs)
        self.hub = Kubectl(self._kubectl, self.clusters["hub"].kubeconfig)

    def member(self, name: str) -> Kubectl:
        """kubectl with a member's admin rights."""
        return Kubectl(self._kubectl, self.clusters[name].kubeconfig)

    def install_chart(self, *values: str) -> str:
        """Install the chart on the hub; the operator runs outside, so the Deployment has no replicas."""
        sets = [word for value in ("operator.replicas=0", *values) for word in ("--set", value)]
        return run(
            [
                self._helm,
                "upgrade",
                "--install",
                RELEASE,
                ROOT / "charts" / "suanli",
                "--kubeconfig",
                self.clusters["hub"].kubeconfig,
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                *sets,
            ]
        )

    def suanli(self, *args: str | Path, codes: Collection[int] = (0,)) -> str:
        """The product's own command line; `codes` are the ends that are no errors."""
        paths = {"PYTHONPATH": str(ROOT / "operator")}
        return run([sys.executable, "-m", "suanli", *args], codes=codes, variables=paths)

    def asked(self, *args: str | Path, kubeconfig: Path | None = None, codes: Collection[int] = (0, SOME_WAIT)) -> str:
        """A planning command's answer about the hub; that jobs wait is an answer too. Raises: CommandError."""
        hub = kubeconfig or self.clusters["hub"].kubeconfig
        return self.suanli(*args, "--kubeconfig", hub, codes=codes)

    def join(self, name: str, *flags: str) -> str:
        """Join a member with `suanli site join`."""
        manifest = self.folder / f"{name}.yaml"
        body = {
            "apiVersion": "suanli.io/v1alpha1",
            "kind": "ComputeSite",
            "metadata": {"name": name},
            "spec": dict(self.sites[name].spec),
        }
        manifest.write_text(yaml.safe_dump(body))
        hub, member = self.clusters["hub"].kubeconfig, self.clusters[name].kubeconfig
        ways = ("--kubeconfig", hub, "--member-kubeconfig", member)
        return self.suanli("site", "join", name, *ways, "-f", manifest, *flags)

    def leave(self, name: str, *flags: str) -> str:
        """Take a member out with `suanli site leave`."""
        hub, member = self.clusters["hub"].kubeconfig, self.clusters[name].kubeconfig
        return self.suanli("site", "leave", name, "--kubeconfig", hub, "--member-kubeconfig", member, *flags)

    def operator(self, name: str = "operator", **settings: str) -> OperatorProcess:
        """An operator process with a token of the chart's service account and nothing more."""
        token = self.hub("create", "token", RELEASE, "-n", NAMESPACE, "--duration", "24h").strip()
        admin = yaml.safe_load(self.clusters["hub"].kubeconfig.read_text())
        cluster = admin["clusters"][0]["cluster"]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "hub", "cluster": cluster}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "operator"}}],
            "current-context": "hub",
        }
        kubeconfig = self.folder / f"{name}.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        kubeconfig.chmod(0o600)
        return OperatorProcess(kubeconfig=kubeconfig, namespace=NAMESPACE, folder=self.folder / name, settings=settings)

    def wait_ready(self, *names: str, seconds: float = PATIENT_S) -> None:
        """Until these sites are ready; all by default."""
        for name in names or tuple(self.sites):
            wait_for(f"site {name} to be ready", partial(self.site_is_ready, name), seconds=seconds)

    def site_is_ready(self, name: str) -> bool:
        """Whether the site's condition Ready is true."""
        site = self.hub.json("get", "computesite", name)
        conditions = site.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
