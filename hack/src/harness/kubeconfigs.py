"""Kubeconfigs as an administrator might write them into a site's Secret, right or wrong."""

import json
from pathlib import Path
from typing import Any

import yaml

from harness.shell import Kubectl
from suanli.base.names import API_VERSION, SECRET_KEY

MARK = "c2VjcmV0LW1hcms"  # stands in wrong Secrets, and nowhere else


def cluster_of(kubeconfig: Path) -> dict[str, Any]:
    """Server and certificate authority of a kubeconfig's first cluster."""
    found: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return found


def kubeconfig(cluster: dict[str, Any], **user: Any) -> str:
    """A kubeconfig of one cluster and one user."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "member", "cluster": cluster}],
            "users": [{"name": "hub", "user": user}],
            "contexts": [{"name": "member", "context": {"cluster": "member", "user": "hub"}}],
            "current-context": "member",
        }
    )


def site_with_secret(name: str, spec: dict[str, Any], data: dict[str, str] | None, namespace: str) -> str:
    """Manifests of a ComputeSite and, unless `data` is None, of its Secret."""
    metadata = {"name": f"site-{name}", "namespace": namespace}
    connected = {**spec, "connection": {"kubeconfigSecretRef": {"name": metadata["name"]}}}
    documents: list[dict[str, Any]] = [
        {"apiVersion": API_VERSION, "kind": "ComputeSite", "metadata": {"name": name}, "spec": connected}
    ]
    if data is not None:
        documents.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    return yaml.safe_dump_all(documents)


def replace_kubeconfig(hub: Kubectl, namespace: str, secret: str, text: str) -> None:
    """Put another kubeconfig into a Secret."""
    patch = json.dumps({"stringData": {SECRET_KEY: text}})
    hub("patch", "secret", secret, "--namespace", namespace, "--type", "merge", "--patch", patch)
