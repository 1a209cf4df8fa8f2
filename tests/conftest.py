"""The quick tests come first, those of the whole product last."""

import signal

import pytest

SERVERS = ("localfed", "api", "chart", "e2e")  # folders whose tests need control planes, in this order


def pytest_sessionstart() -> None:
    """Who runs in the background or under nohup ignores signals, and every child would: a handler is not inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = items[0].config.rootpath / "tests" if items else None
    items.sort(key=lambda item: _rank(item.path.relative_to(root).parts[0]) if root else 0)


def _rank(folder: str) -> int:
    return SERVERS.index(folder) + 1 if folder in SERVERS else 0
