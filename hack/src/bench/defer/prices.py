"""Hourly prices of files, and how much of them is known when."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from suanli.base.units import MS_PER_HOUR, decimal_text
from suanli.cli.scenarios import BadInput

Ints = npt.NDArray[np.int64]

BEHIND_HOURS = 168  # told of the past: the operator expects hours that are not known from them
MOST_HOURS = 240  # that a ComputeSite takes
MICRO_YUAN_PER_CNY_A_MWH = 1_000  # per kWh


@dataclass(frozen=True)
class Market:
    """The prices of one site. Shapes: `price_h` (H,) from `begin_ms` on. Units: micro-yuan per kWh."""

    name: str
    zone: str
    begin_ms: int
    price_h: Ints

    @property
    def end_ms(self) -> int:
        """The end of the last hour."""
        return self.begin_ms + len(self.price_h) * MS_PER_HOUR

    def known_until_ms(self, now_ms: int, published: time) -> int:
        """The end of the local day, and from that time of it on the end of the next."""
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
        days = 2 if local.time() >= published else 1
        return min(self.end_ms, _midnight_ms(local.date() + timedelta(days=days), zone))

    def publications_ms(self, published: time) -> list[int]:
        """When the prices of a next day become known, in the span of the file."""
        zone = ZoneInfo(self.zone)
        first = datetime.fromtimestamp(self.begin_ms / 1000, UTC).astimezone(zone).date()
        days = (self.end_ms - self.begin_ms) // (24 * MS_PER_HOUR) + 2
        moments = [_midnight_ms(first + timedelta(days=d), zone, published) for d in range(days)]
        return sorted(ms for ms in moments if self.begin_ms < ms < self.end_ms)

    def told(self, known_until_ms: int) -> tuple[int, list[str]]:
        """What a ComputeSite is told then: the first hour, and the prices up to the last that is known."""
        behind = (known_until_ms - self.begin_ms) // MS_PER_HOUR
        first = max(0, behind - min(MOST_HOURS, BEHIND_HOURS + 48))
        return self.begin_ms + first * MS_PER_HOUR, [decimal_text(int(price)) for price in self.price_h[first:behind]]

    def cut(self, begin_ms: int, end_ms: int) -> "Market":
        """A part of it."""
        first, behind = (begin_ms - self.begin_ms) // MS_PER_HOUR, (end_ms - self.begin_ms) // MS_PER_HOUR
        return Market(self.name, self.zone, begin_ms, self.price_h[first:behind])


def read_markets(named: Sequence[str], cny_per_usd: float) -> list[Market]:
    """Markets of `FILE` or `FILE@ZONE`, cut to the hours that all of them have. Raises: BadInput."""
    found = []
    for text in named:
        path, _, zone = text.partition("@")
        found.append(read_market(Path(path), zone or "UTC", cny_per_usd))
    twice = {market.name for market in found if sum(market.name == other.name for other in found) > 1}
    if twice:
        raise BadInput([f"--prices: {', '.join(sorted(twice))} is there twice; give every file once"])
    begin, end = max(m.begin_ms for m in found), min(m.end_ms for m in found)
    if end - begin < 72 * MS_PER_HOUR:
        raise BadInput(["--prices: the files have less than three days in common; give files of the same time"])
    return [market.cut(begin, end) for market in found]


def read_market(path: Path, zone: str, cny_per_usd: float) -> Market:
    """One file: a header, then an hour a line: its begin, and its price in USD per MWh. Raises: BadInput."""
    try:
        ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError):
        raise BadInput([f'--prices: {path}@{zone}: "{zone}" is no time zone, such as Europe/Berlin']) from None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput([f"{path}: cannot be read: {error}"]) from None
    begins: list[int] = []
    prices: list[int] = []
    for number, cells in enumerate(lines[1:], start=2):
        if not cells:
            continue
        begin_ms, price = _hour(path, number, cells)
        if begins and begin_ms != begins[-1] + MS_PER_HOUR:
            raise BadInput(
                [
                    f"{path}:{number}: {cells[0]} does not come one hour after the line before; fill missing hours, and put each once"
                ]
            )
        begins.append(begin_ms)
        prices.append(round(price * cny_per_usd * MICRO_YUAN_PER_CNY_A_MWH))
    if not begins:
        raise BadInput([f"{path}: has no prices; a header and lines of time and USD per MWh are expected"])
    return Market(path.name.removesuffix(".csv").lower().replace("_", "-"), zone, begins[0], np.array(prices))


def _hour(path: Path, number: int, cells: Sequence[str]) -> tuple[int, float]:
    try:
        begin = datetime.fromisoformat(cells[0])
        price = float(cells[1])
    except (ValueError, IndexError):
        raise BadInput(
            [f'{path}:{number}: "{",".join(cells)}" is no time and price; such as "2023-01-01 00:00:00+00:00,42.5"']
        ) from None
    if not math.isfinite(price) or abs(price) > 100_000:
        raise BadInput(
            [
                f"{path}:{number}: the price {cells[1]} is no amount of USD per MWh; write a number, and fill what is missing"
            ]
        )
    begin = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
    ms = round(begin.timestamp() * 1000)
    if ms % MS_PER_HOUR:
        raise BadInput([f"{path}:{number}: {cells[0]} is no whole hour; prices go by the hour"])
    return ms, price


def _midnight_ms(day: date, zone: ZoneInfo, at: time = time(0)) -> int:
    return round(datetime.combine(day, at, tzinfo=zone).timestamp() * 1000)
