"""The hub with the chart's definitions and its admission policy."""

import pytest

from gates import chart
from harness.shell import Kubectl
from installing import upgrade
from verdicts import Hub


@pytest.fixture(scope="session")
def hub(bare_hub: Kubectl) -> Hub:
    upgrade(bare_hub, chart.helm(), "operator.replicas=0")
    bare_hub("wait", "--for=condition=Established", "crds", "--all", "--timeout=180s")
    return Hub(bare_hub)
