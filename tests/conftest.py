"""The quick tests come first, those of the whole product last. Some do more when asked for a larger size."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.shell import Kubectl
from localfed import ClusterSpec, Provider, provider_from_env

SERVERS = ("localfed", "join", "api", "chart", "scale", "e2e")  # folders whose tests need servers, in this order
PARTS = {"quick": (0,), "servers": (1, 2, 3, 4, 5), "e2e": (6,)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part",
        choices=PARTS,
        help="only tests without control planes, those with some, or those of the whole product",
    )
    parser.addoption(
        "--size",
        choices=("quick", "slow", "full"),
        default="quick",
        help="how many random ledgers, kills and races: seconds, minutes, hours (with --timeout 0 --session-timeout 0)",
    )


def pytest_sessionstart() -> None:
    """Who runs in the background or under nohup ignores signals, and every child would: a handler is not inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    with provider_from_env() as made:
        yield made


@pytest.fixture(scope="session")
def bare_hub(provider: Provider) -> Kubectl:
    """A cluster without members, shared by the folders that ask an API server what it makes of the chart."""
    cluster = provider.up([ClusterSpec("hub")])["hub"]
    return Kubectl(provider.binary("kubectl"), cluster.kubeconfig)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is of another part is not even imported."""
    part, tests = config.getoption("--part"), config.rootpath / "tests"
    if part and tests in collection_path.parents and _rank(collection_path, config) not in PARTS[part]:
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path, config))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def _rank(path: Path, config: pytest.Config) -> int:
    folder = path.relative_to(config.rootpath / "tests").parts[0]
    return SERVERS.index(folder) + 1 if folder in SERVERS else 0
