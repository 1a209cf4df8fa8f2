"""How much memory processes take, with what they share counted once."""

from collections.abc import Iterable
from pathlib import Path


def proportional_kib(pids: Iterable[int]) -> int:
    """The proportional set size of processes that still run: a page shared by n of them counts 1/n for each."""
    return sum(_field(pid, "Pss") for pid in pids)


def _field(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
