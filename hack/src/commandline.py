"""What the command lines of demo and benchmarks have in common: numbers of a range, and how they are interrupted."""

import argparse
from collections.abc import Callable
from types import FrameType


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number of a range; it raises argparse.ArgumentTypeError for anything else."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Reads a number of a range; it raises argparse.ArgumentTypeError for anything else."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return read


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Takes a signal for Ctrl-C."""
    raise KeyboardInterrupt
