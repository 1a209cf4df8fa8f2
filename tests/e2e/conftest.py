"""One federation for the whole folder: a hub, an eastern and a western member, and the operator as a process."""

import re
from collections.abc import Callable, Generator, Iterator
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
    "SUANLI_PROBE_S": "1",
    "SUANLI_UNREACHABLE_AFTER_S": "6",
    "SUANLI_REPORT_PENDING_S": "2",
    "SUANLI_IMAGE_TIMEOUT_S": "5",
    "SUANLI_RETRY_BACKOFF_S": "1",
    "SUANLI_EXPLAIN_S": "1",
    "SUANLI_SITE_STATUS_S": "1",
    "SUANLI_KPI_S": "1",
    "SUANLI_LEASE_S": "10",
}
LAST = "test_quiet.py"
LEASE = ("lease", "suanli-operator", "--namespace", "suanli-system")
LOG = pytest.StashKey[Path]()
LOG_LINES = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent == HERE and item.path.name == LAST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the operator's last words."""
    report = yield
    log = item.config.stash.get(LOG, None)
    if report.failed and log is not None and log.exists():
        lines = log.read_text(encoding="utf-8").splitlines()[-LOG_LINES:]
        report.sections.append(("operator's log", "\n".join(line[:400] for line in lines)))
    return report


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
        commands = folder / "commands"
        commands.mkdir()
        for name in made.sites:
            (commands / f"join-{name}.log").write_text(made.join(name), encoding="utf-8")
        yield made


@pytest.fixture(scope="session")
def observer(federation: Federation) -> Iterator[Observer]:
    """All that the API servers say."""
    with Observer(federation) as watching:
        yield watching


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """The operator's settings, for a test that runs one of its own."""
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def process(federation: Federation, pytestconfig: pytest.Config) -> Iterator[OperatorProcess]:
    """The operator; it runs when somebody asks for `operator` or for a tenant."""
    with federation.operator(**SETTINGS) as made:
        pytestconfig.stash[LOG] = made.log
        yield made


def restart(federation: Federation, process: OperatorProcess) -> None:
    """Start it, and have it lead at once: a Lease runs out by itself (test_process shows it), which takes some seconds more."""
    process.kill()
    federation.hub("delete", *LEASE, "--ignore-not-found")
    process.start()
    process.wait_leading()


def lead(federation: Federation, process: OperatorProcess) -> None:
    """Have the operator lead and all sites ready."""
    if not process.running:
        restart(federation, process)
    federation.wait_ready()


@pytest.fixture(name="restart")
def _restart(federation: Federation) -> Callable[[OperatorProcess], None]:
    return lambda process: restart(federation, process)


@pytest.fixture
def operator(federation: Federation, process: OperatorProcess) -> OperatorProcess:
    """The operator, leading, with all sites ready; a test may kill or stop it."""
    lead(federation, process)
    return process


@pytest.fixture(scope="session")
def new_tenant(federation: Federation, observer: Observer, process: OperatorProcess) -> Callable[[str], Tenant]:
    """Makes a namespace of that name while the operator leads."""

    def made(name: str) -> Tenant:
        lead(federation, process)
        return Tenant(federation.hub, observer, re.sub("[^a-z0-9]+", "-", name.lower())[:50].strip("-"))

    return made


@pytest.fixture
def tenant(new_tenant: Callable[[str], Tenant], request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """A namespace of the test's own."""
    with new_tenant(request.node.name) as made:
        yield made
