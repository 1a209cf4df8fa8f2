"""The files of one cluster's folder: keys, kubeconfigs, configuration, logs."""

import shutil
from pathlib import Path

from localfed import pki, servers
from localfed.pki import Authority, KeyPair
from localfed.spec import ClusterSpec

PACKAGE = Path(__file__).parent
MASTERS = "system:masters"
CLIENTS = {
    "admin": ("localfed-admin", MASTERS),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kwok": ("kwok", MASTERS),
}


def write(folder: Path, spec: ClusterSpec) -> None:
    """Lay out a new cluster's folder; what depends on the port is written by write_kubeconfigs."""
    keys = folder / "pki"
    keys.mkdir(parents=True, mode=0o700)
    (folder / "logs").mkdir()
    authority = Authority(spec.name)
    pki.write_private(keys / "ca.crt", authority.certificate_pem)
    pki.write_private(keys / "service-account.key", pki.signing_key())
    _write_pair(keys, "apiserver", authority.serving())
    for name, (user, group) in CLIENTS.items():
        _write_pair(keys, name, authority.client(user, group))
    (folder / "scheduler.yaml").write_text(servers.scheduler_config(), encoding="utf-8")
    for name in ("stages.yaml", "audit-policy.yaml"):
        shutil.copyfile(PACKAGE / name, folder / name)


def write_kubeconfigs(folder: Path, cluster: str, server: str) -> None:
    """Write the kubeconfig of the administrator and of every server that is a client."""
    keys = folder / "pki"
    for name in CLIENTS:
        pair = KeyPair((keys / f"{name}.crt").read_bytes(), (keys / f"{name}.key").read_bytes())
        pki.write_kubeconfig(folder / f"{name}.kubeconfig", cluster, server, (keys / "ca.crt").read_bytes(), pair)


def _write_pair(keys: Path, name: str, pair: KeyPair) -> None:
    pki.write_private(keys / f"{name}.crt", pair.certificate_pem)
    pki.write_private(keys / f"{name}.key", pair.key_pem)
