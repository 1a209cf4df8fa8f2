"""The chart installed on a real hub."""

from gates import chart
from harness.shell import Kubectl, run

NAMESPACE = "suanli-system"


def upgrade(hub: Kubectl, helm: str, *values: str) -> str:
    """Install the chart, or make it what these values say; what Helm tells."""
    sets = [word for value in values for word in ("--set", value)]
    where = ["--kubeconfig", str(hub.kubeconfig), "--namespace", NAMESPACE, "--create-namespace"]
    return run([helm, "upgrade", "--install", "suanli", chart.CHART, *where, *sets])
