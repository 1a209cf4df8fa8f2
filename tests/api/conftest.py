"""One hub for all of the folder, with the chart's definitions and its admission policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gates import chart
from harness.shell import Kubectl, run
from localfed import ClusterSpec, provider_from_env
from verdicts import Hub

NAMESPACE = "suanli-system"


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    with provider_from_env() as provider:
        cluster = provider.up([ClusterSpec("hub")])["hub"]
        where: list[str | Path] = ["--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE, "--create-namespace"]
        run([provider.binary("helm"), "install", "suanli", chart.CHART, *where, "--set", "operator.replicas=0"])
        kubectl = Kubectl(provider.binary("kubectl"), cluster.kubeconfig)
        kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=30s")
        yield Hub(kubectl)
