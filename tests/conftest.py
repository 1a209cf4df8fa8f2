"""The quick tests come first, those of the whole product last. Some do more when asked for a larger size."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.shell import Kubectl
from localfed import ClusterSpec, Provider, provider_from_env

# Folders after all others, in this order, by part: those that reckon for long, those that need servers, the whole product.
PARTS = {
    "quick": (),
    "long": ("placement", "simulate", "faults"),
    "servers": ("localfed", "join", "api", "chart", "scale"),
    "e2e": ("e2e",),
}
FOLDERS = [folder for folders in PARTS.values() for folder in folders]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part",
        choices=PARTS,
        help="only quick tests, those that reckon for long, those with control planes, or those of the whole product",
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
    if part and tests in collection_path.parents:
        folder = _folder(collection_path, config)
        is_wanted = folder in PARTS[part] if PARTS[part] else folder not in FOLDERS
        return None if is_wanted else True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path, config))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def _rank(path: Path, config: pytest.Config) -> int:
    folder = _folder(path, config)
    return FOLDERS.index(folder) + 1 if folder in FOLDERS else 0


def _folder(path: Path, config: pytest.Config) -> str:
    return path.relative_to(config.rootpath / "tests").parts[0]
