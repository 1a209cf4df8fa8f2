"""Units of the wire (Kubernetes quantities, Go durations, decimal strings) as exact integers."""

import re
from decimal import Decimal
from functools import lru_cache

MICRO = 1_000_000
MS_PER_HOUR = 3_600_000
KEPT = 8_192  # readings that are kept: plans read the same few texts over and over

_DURATION_UNIT_US = {"us": 1, "µs": 1, "ms": 1_000, "s": MICRO, "m": 60 * MICRO, "h": 3_600 * MICRO}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|s|m|h)")
# Bounded: members send quantities too, and "1e999999999" must not become a number.
_QUANTITY = re.compile(r"([0-9]{1,24}(?:\.[0-9]{1,24})?)([eE][0-9]{1,2}|m|k|[KMGTPE]i?)?")
_MICRO = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,6})?")
_SUFFIX = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@lru_cache(maxsize=KEPT)
def duration_us(text: str) -> int:
    """A Go-style duration ("3.2ms", "1h30m", "0") in whole microseconds, rounded up.

    Raises: ValueError when it is not a duration.
    """
    if text == "0":
        return 0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'"{text}" is not a duration such as "90m", "1h30m" or "3.2ms"')
    total = sum((Decimal(number) * _DURATION_UNIT_US[unit] for number, unit in parts), Decimal(0))
    return _ceil(total)


def duration_ms(text: str) -> int:
    """A Go-style duration in whole milliseconds, rounded up."""
    return -(-duration_us(text) // 1_000)


def quantity(text: str | int) -> Decimal:
    """A Kubernetes quantity ("500m", "64Gi", 8) as an exact number of its base unit.

    Raises: ValueError when it is not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f'"{text}" is not a quantity such as "500m", "16" or "64Gi"')
    number, suffix = match.group(1), match.group(2) or ""
    if suffix[:1] in ("e", "E") and suffix not in _SUFFIX:
        return Decimal(number).scaleb(int(suffix[1:]))
    return Decimal(number) * _SUFFIX[suffix]


@lru_cache(maxsize=KEPT)
def cpu_milli(text: str | int) -> int:
    """A quantity of cores in millicores, rounded up."""
    return _ceil(quantity(text) * 1_000)


@lru_cache(maxsize=KEPT)
def whole(text: str | int) -> int:
    """A quantity of bytes, cards or bit/s as an integer, rounded up."""
    return _ceil(quantity(text))


@lru_cache(maxsize=KEPT)
def micro(text: str) -> int:
    """A decimal string with at most six places, times 10^6 ("40.41" -> 40_410_000).

    Raises: ValueError when it is not such a number.
    """
    if _MICRO.fullmatch(text) is None:
        raise ValueError(f'"{text}" is not a decimal number with at most six places such as "1.18"')
    return int(Decimal(text) * MICRO)


def decimal_text(value: int, scale: int = MICRO, places: int = 6) -> str:
    """An integer count of 1/scale as a plain decimal, rounded half up to `places` ("1.180000")."""
    sign = "-" if value < 0 else ""
    scaled = (abs(value) * 10**places * 2 + scale) // (2 * scale)
    if places == 0:
        return f"{sign}{scaled}"
    return f"{sign}{scaled // 10**places}.{scaled % 10**places:0{places}d}"


def milli_text(milli: int) -> str:
    """Thousandths for a person: "3.2", "90"."""
    return decimal_text(milli, 1_000, 3).rstrip("0").rstrip(".")


def duration_text(us: int) -> str:
    """Microseconds for a person: "3.2ms", "90m", "2h15m"."""
    if us < MICRO:
        return f"{milli_text(us)}ms"
    seconds = -(-us // MICRO)
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    text = "".join(f"{n}{u}" for n, u in ((hours, "h"), (minutes, "m"), (rest, "s")) if n)
    return text or "0s"


def bytes_text(count: int) -> str:
    """Bytes for a person: "64Gi", "1.5Ti"."""
    for power, suffix in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if count >= 1 << power:
            return decimal_text(count, 1 << power, 1).removesuffix(".0") + suffix
    return str(count)


def _ceil(value: Decimal) -> int:
    floor = int(value)
    return floor if floor == value else floor + 1
