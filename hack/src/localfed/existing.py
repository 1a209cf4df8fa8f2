"""Clusters that already exist, such as kind's, reached through kubeconfigs."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from localfed import pki
from localfed.binaries import Binaries
from localfed.errors import LocalfedError, Unsupported
from localfed.provider import Cluster, Provider
from localfed.spec import ClusterSpec

ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Reference:
    """Where a cluster's administrator is found: a kubeconfig and a context in it (the current one when empty)."""

    path: Path
    context: str = ""


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster somebody else runs."""

    name: str
    server: str
    kubeconfig: Path

    @property
    def audit_log(self) -> Path:
        """Not to be had here."""
        self._refuse("read its audit log")

    def stop(self) -> None:
        """Not to be done here."""
        self._refuse("stop it")

    def start(self) -> None:
        """Not to be done here."""
        self._refuse("start it")

    def pause(self) -> None:
        """Not to be done here."""
        self._refuse("pause it")

    def resume(self) -> None:
        """Not to be done here."""
        self._refuse("resume it")

    def kill_node(self, name: str) -> None:
        """Not to be done here."""
        self._refuse(f"kill its node {name!r}")

    def revive_node(self, name: str) -> None:
        """Not to be done here."""
        self._refuse(f"revive its node {name!r}")

    def _refuse(self, what: str) -> NoReturn:
        raise Unsupported(
            f"cluster {self.name!r} comes from a kubeconfig, so this tool cannot {what}; "
            "unset SUANLI_CLUSTERS to use processes"
        )


class KubeconfigProvider(Provider):
    """Clusters by name from kubeconfigs. It makes and removes nothing in them; their nodes are what they are."""

    def __init__(self, references: Mapping[str, Reference], bin_dir: Path | None = None) -> None:
        self._references = dict(references)
        self._binaries = Binaries(bin_dir)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def up(self, specs: Sequence[ClusterSpec]) -> dict[str, Cluster]:
        """The clusters of these names, each seen to answer."""
        return {spec.name: self._reach(spec.name) for spec in specs}

    def down(self) -> None:
        """Forget the clusters; they stay as they are."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def binary(self, name: str) -> Path:
        """The path of a server, of kubectl or of helm, built if need be."""
        self._binaries.ensure([name])
        return self._binaries.path(name)

    def _reach(self, name: str) -> ExistingCluster:
        if name not in self._references:
            raise LocalfedError(
                f"no kubeconfig is given for cluster {name!r}, only for {', '.join(sorted(self._references))}"
            )
        reference = self._references[name]
        chosen = ["--kubeconfig", str(reference.path)]
        if reference.context:
            chosen += ["--context", reference.context]
        view = self._kubectl(name, [*chosen, "config", "view", "--minify", "--flatten", "--output=yaml"])
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="suanli-kubeconfig-")
        own = Path(self._folder.name) / f"{name}.kubeconfig"
        pki.write_private(own, view)
        self._kubectl(
            name, ["--kubeconfig", str(own), f"--request-timeout={ANSWER_SECONDS}s", "get", "--raw", "/readyz"]
        )
        return ExistingCluster(name, yaml.safe_load(view)["clusters"][0]["cluster"]["server"], own)

    def _kubectl(self, name: str, arguments: Sequence[str]) -> bytes:
        done = subprocess.run(
            [self.binary("kubectl"), *arguments], capture_output=True, check=False, env=dict(os.environ)
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise LocalfedError(f"cluster {name!r} of kubeconfig {self._references[name].path} cannot be used: {said}")
        return done.stdout


def read_references(path: Path) -> dict[str, Reference]:
    """A YAML file that maps each cluster's name to a kubeconfig, or to `kubeconfig` and `context`.

    Relative paths start at the file's folder. Raises: LocalfedError naming file, place and value.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LocalfedError(f"the cluster list {path} (SUANLI_CLUSTERS) cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LocalfedError(f"the cluster list {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not document:
        raise LocalfedError(f"the cluster list {path} must map names to kubeconfigs, such as `east: east.kubeconfig`")
    return {str(name): _reference(value, path, str(name)) for name, value in document.items()}


def _reference(value: object, path: Path, name: str) -> Reference:
    match value:
        case str(file):
            found = Reference(_resolve(path, file))
        case {"kubeconfig": str(file), "context": str(context), **rest} if not rest:
            found = Reference(_resolve(path, file), context)
        case {"kubeconfig": str(file), **rest} if not rest:
            found = Reference(_resolve(path, file))
        case _:
            raise LocalfedError(f"{path}: {name} is {value!r}; give a path, or `kubeconfig` and perhaps `context`")
    if not found.path.is_file():
        raise LocalfedError(f"{path}: {name}: there is no kubeconfig at {found.path}")
    return found


def _resolve(path: Path, file: str) -> Path:
    return path.parent / Path(file).expanduser()
