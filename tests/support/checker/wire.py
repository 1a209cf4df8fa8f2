"""Numbers of the wire, read once more: durations, quantities, decimals and times, exact."""

import math
import re
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache

_TO_US = {"us": 1, "µs": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}
_TIMES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@cache
def microseconds(text: str) -> int:
    """A duration in whole µs, what is begun counts whole."""
    whole = Fraction(0)
    for number, unit in re.findall(r"([0-9.]+)([a-zµ]+)", text):
        whole += Fraction(number) * _TO_US[unit]
    return math.ceil(whole)


def milliseconds(text: str) -> int:
    """A duration in whole ms, what is begun counts whole."""
    return math.ceil(Fraction(microseconds(text), 1000))


@cache
def amount(text: str) -> Fraction:
    """A quantity of Kubernetes."""
    number = text.rstrip("mkMGTPEi")
    unit = text[len(number) :]
    if unit.endswith("i"):
        return Fraction(number) * (1 << 10 * ("KMGTPE".index(unit[0]) + 1))
    if unit == "m":
        return Fraction(number) / 1000
    return Fraction(number) * _TIMES.get(unit, 1)


def moment_ms(text: str) -> int:
    """A time with its zone in ms since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def half_even(value: Fraction) -> int:
    """The nearest whole number, the even one of two."""
    return round(value)
