"""One federation for the whole folder: a hub, an eastern and a western member, and the operator as a process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Federation, Observer, OperatorProcess, Site, Tenant
from localfed import NodeShape, provider_from_env

HERE = Path(__file__).parent
CARDS = NodeShape(
    count=2,
    cpu="32",
    memory="256Gi",
    card_resource="nvidia.com/gpu",
    cards=8,
    labels={"pool": "a100"},
    name_prefix="a100",
)
CORES = NodeShape(count=2, cpu="16", memory="64Gi", labels={"pool": "x86"}, name_prefix="x86")
# Short times, so that a test need not wait; the full comparison keeps its default, so that nothing is owed to it.
SETTINGS = {
    "SUANLI_LOG_LEVEL": "DEBUG",
    "SUANLI_PROBE_S": "1",
    "SUANLI_UNREACHABLE_AFTER_S": "6",
    "SUANLI_REPORT_PENDING_S": "2",
    "SUANLI_IMAGE_TIMEOUT_S": "5",
    "SUANLI_RETRY_BACKOFF_S": "1",
    "SUANLI_EXPLAIN_S": "1",
    "SUANLI_SITE_STATUS_S": "1",
}
LAST = "test_quiet.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the whole session comes at its end."""
    items.sort(key=lambda item: item.path.parent == HERE and item.path.name == LAST)


def site(region: str, a100: str, x86: str) -> dict[str, Any]:
    """A ComputeSite's spec with the prices of its two classes."""
    return {
        "region": region,
        "standardRacks": 5000,
        "resources": [
            {
                "class": "nvidia-a100-80g",
                "type": "Intelligent",
                "resourceName": "nvidia.com/gpu",
                "unit": "Card",
                "listPrice": a100,
                "nodeLabels": {"pool": "a100"},
            },
            {
                "class": "cpu-x86",
                "type": "General",
                "resourceName": "cpu",
                "unit": "Core",
                "listPrice": x86,
                "nodeLabels": {"pool": "x86"},
            },
        ],
        "energy": {"pue": "1.20"},
    }


SITES = (
    Site("east", (CARDS, CORES), site("shanghai", "8.00", "0.08"), audit=True),
    Site("west", (CARDS, CORES), site("zhongwei", "4.00", "0.04"), audit=True),
)


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """The chart installed by Helm, the country applied, the members joined with the real command."""
    folder = tmp_path_factory.mktemp("federation")
    with pytest.MonkeyPatch.context() as patch, provider_from_env() as provider:
        patch.setenv("KUBECACHEDIR", str(folder / "kubectl-cache"))
        made = Federation(provider, folder, SITES)
        made.install_chart()
        made.hub("apply", "-f", HERE / "country.yaml")
        for name in made.sites:
            made.join(name)
        yield made


@pytest.fixture(scope="session")
def observer(federation: Federation) -> Iterator[Observer]:
    """All that the API servers say."""
    with Observer(federation) as watching:
        yield watching


@pytest.fixture(scope="session")
def process(federation: Federation) -> Iterator[OperatorProcess]:
    """The operator, started by the first test that wants it."""
    with federation.operator(**SETTINGS) as made:
        yield made


@pytest.fixture
def operator(federation: Federation, process: OperatorProcess) -> Iterator[OperatorProcess]:
    """The operator, leading, with all sites ready; a test may kill or stop it."""
    if not process.running:
        process.kill()
        process.start()
        process.wait_leading()
    federation.wait_ready()
    yield process
    if not process.running:
        process.kill()
        process.start()
        process.wait_leading()


@pytest.fixture
def tenant(
    federation: Federation, observer: Observer, operator: OperatorProcess, request: pytest.FixtureRequest
) -> Iterator[Tenant]:
    """A namespace of the test's own."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    with Tenant(federation.hub, observer, name) as made:
        yield made
