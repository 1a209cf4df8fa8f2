"""The programs this tool needs: where their source is pinned, how they are built, how they tell their version."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from localfed.errors import LocalfedError

MODULES = Path(__file__).resolve().parents[2] / "servers"  # hack/servers: one go.mod for each tool


@dataclass(frozen=True)
class Tool:
    """One Go module pinned in hack/servers/<folder>, and the programs built from it."""

    folder: str
    module: str
    programs: dict[str, str]  # binary -> package
    version_variables: tuple[str, ...] = ()  # told the version by the linker

    @property
    def source(self) -> Path:
        """The folder of its go.mod and go.sum."""
        return MODULES / self.folder

    @property
    def version(self) -> str:
        """The pinned version, v1.2.3."""
        text = (self.source / "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^(?:require)?\s*{re.escape(self.module)} (v\S+)", text, re.MULTILINE)
        if not found:
            raise LocalfedError(f"{self.source / 'go.mod'} does not require {self.module}")
        return found[1]

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        found = re.search(r"^go (\S+)", (self.source / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
        if not found:
            raise LocalfedError(f"{self.source / 'go.mod'} has no `go` line")
        return tuple(int(part) for part in found[1].split("."))

    @property
    def linker_flags(self) -> str:
        """Stripped, and with the version told."""
        major, minor, _ = self.version.removeprefix("v").split(".", 2)
        values = {"VERSION": self.version, "MAJOR": major, "MINOR": minor, "KUBERNETES_MINOR": KUBERNETES_MINOR}
        told = [f"-X {variable.format(**values)}" for variable in self.version_variables]
        return " ".join(["-s", "-w", *told])

    @property
    def build_id(self) -> str:
        """The folder of its binaries in the cache: another pin or another recipe is another folder."""
        content = b"".join((self.source / name).read_bytes() for name in ("go.mod", "go.sum"))
        digest = hashlib.sha256(content + self.linker_flags.encode()).hexdigest()[:12]
        return f"{self.folder}-{self.version}-{digest}"


def _kubernetes_version(package: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in ("gitVersion={VERSION}", "gitMajor={MAJOR}", "gitMinor={MINOR}"))


KUBERNETES_MINOR = "36"  # what Helm renders for when it asks no cluster
KUBERNETES = Tool(
    folder="kubernetes",
    module="k8s.io/kubernetes",
    programs={
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    version_variables=(
        *_kubernetes_version("k8s.io/component-base/version"),
        *_kubernetes_version("k8s.io/client-go/pkg/version"),
    ),
)
ETCD = Tool(folder="etcd", module="go.etcd.io/etcd/server/v3", programs={"etcd": "go.etcd.io/etcd/server/v3"})
KWOK = Tool(
    folder="kwok",
    module="sigs.k8s.io/kwok",
    programs={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    version_variables=("sigs.k8s.io/kwok/pkg/consts.Version={VERSION}",),
)
HELM = Tool(
    folder="helm",
    module="helm.sh/helm/v3",
    programs={"helm": "helm.sh/helm/v3/cmd/helm"},
    version_variables=(
        "helm.sh/helm/v3/internal/version.version={VERSION}",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={KUBERNETES_MINOR}",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor={KUBERNETES_MINOR}",
    ),
)
TOOLS = (KUBERNETES, ETCD, KWOK, HELM)
TOOL_OF = {program: tool for tool in TOOLS for program in tool.programs}
VERSION_ARGUMENTS = {"kubectl": ("version", "--client"), "helm": ("version", "--short")}
