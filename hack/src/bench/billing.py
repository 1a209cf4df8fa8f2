"""`./hack/bench/billing`: how many events are rated in a second of one core, beside reading the same events from JSON.

A month of 500 accounts at 10 providers under tariffs with bands, brackets, steps, free units, packages and customer classes.
Figures are by processor time, so that others on the machine do not count; `growth` is the time of an event against that at the
size before.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from random import Random
from typing import Any

from commandline import whole
from suanli.api import Tariff
from suanli.api.site import ComputeUnit
from suanli.billing.cloudevents import written
from suanli.billing.event import ClassFacts, Owner, UsageEvent, pod_events
from suanli.billing.period import month
from suanli.billing.pricebook import PriceBook
from suanli.billing.rating import Customer, Rating, Subscription, rate
from suanli.billing.usage import PodUsage

SIZES = (10_000, 100_000, 1_000_000)
PROVIDERS, ACCOUNTS, PODS_OF_A_JOB = 10, 500, 4
HOUR = 3_600_000
PART = 10_000
HUB = "bench"
PERIOD = month("2026-11", "Asia/Shanghai")
CLASSES = (
    ClassFacts("nvidia-a100-80g", "FP16", ComputeUnit.CARD, 800, 1_170_000, 642, 750_000),
    ClassFacts("cpu-x86", "FP32", ComputeUnit.CORE, 6, 1_170_000, 642, 750_000),
)
MOST = 100_000_000


@dataclass(frozen=True)
class Line:
    """One size. Rates are events for each second of processor time."""

    events: int
    accounts: int
    lines: int
    net_micro_yuan: int
    seconds: float
    events_per_second: int
    growth: float | None
    floor_seconds: float
    floor_events_per_second: int
    times_the_floor: float
    peak_mib: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 1 some use was not rated, 2 a wrong argument."""
    args = _arguments(argv)
    lines: list[Line] = []
    if args.output == "table":
        print(HEAD)
    for size in args.events or SIZES:
        line, rating = measure(size, args.seed, lines[-1] if lines else None)
        if rating.unrated:
            print(
                f"billing: {len(rating.unrated)} kinds of use were not rated: {rating.unrated[0].why}", file=sys.stderr
            )
            return 1
        lines.append(line)
        if args.output == "table":
            print(_shown(line), flush=True)
    if args.output == "json":
        print(json.dumps({"seed": args.seed, "rating": [asdict(line) for line in lines]}, indent=2))
    return 0


def measure(size: int, seed: int, before: Line | None) -> tuple[Line, Rating]:
    """Rate so many events, and read as many from JSON."""
    book = PriceBook(
        [a_tariff(number) for number in range(PROVIDERS)], {site(n): provider(n) for n in range(PROVIDERS)}
    )
    events, customers = a_month(size, seed, book)
    began = time.process_time()
    rating = rate(events, book, customers, PERIOD)
    seconds = time.process_time() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    floor = _floor(events)
    line = Line(
        events=len(events),
        accounts=len(customers),
        lines=len(rating.lines),
        net_micro_yuan=rating.net_micro_yuan,
        seconds=round(seconds, 3),
        events_per_second=round(len(events) / seconds),
        growth=None if before is None else round(seconds / len(events) / (before.seconds / before.events), 3),
        floor_seconds=round(floor, 3),
        floor_events_per_second=round(len(events) / floor),
        times_the_floor=round(seconds / floor, 2),
        peak_mib=peak_mib,
    )
    return line, rating


def _floor(events: Sequence[UsageEvent]) -> float:
    """Seconds to read the events from JSON; they are written in parts, so that memory stays small."""
    spent = 0.0
    for first in range(0, len(events), PART):
        texts = [json.dumps(written(event, HUB)) for event in events[first : first + PART]]
        began = time.process_time()
        for text in texts:
            json.loads(text)
        spent += time.process_time() - began
    return spent


def a_month(size: int, seed: int, book: PriceBook) -> tuple[list[UsageEvent], dict[str, Customer]]:
    """Events of pods, in no order, and whose they are."""
    random = Random(f"billing {seed}")  # noqa: S311 - a benchmark's seed
    events: list[UsageEvent] = []
    for number, facts, run in pods(random):
        owner = Owner(HUB, f"account-{number % ACCOUNTS}", f"team-{number % ACCOUNTS}", f"job-{number}")
        events += pod_events(run, owner, facts, book.borders(run.site), scratch_bytes=100 << 30)
        if len(events) >= size:
            break
    events = events[:size]
    random.shuffle(events)
    return events, {customer.account: customer for customer in customers()}


def pods(random: Random) -> Iterator[tuple[int, ClassFacts, PodUsage]]:
    """Pods without end that ran up to twelve hours some time in the month, each with the number of its job and its class."""
    for pod in count():
        number = pod // PODS_OF_A_JOB
        facts, place = CLASSES[number % len(CLASSES)], site(number % PROVIDERS)
        start = PERIOD.start_ms + random.randrange(29 * 24 * HOUR)
        cards = random.randint(1, 8) if facts.unit is ComputeUnit.CARD else 0
        run = PodUsage(
            f"pod-{pod}", f"job-{number}", 1, place, facts.class_, start, start + random.randrange(HOUR // 10, 12 * HOUR),
            random.choice([500, 4_000, 16_000]), 64 << 30, cards,
        )  # fmt: skip
        yield number, facts, run


def customers() -> Iterator[Customer]:
    """The accounts, of two classes and none; a fifth of them have a package."""
    for n in range(ACCOUNTS):
        packages = (Subscription(provider(n % PROVIDERS), "commitment", "2026-01-01"),) if n % 5 == 0 else ()
        yield Customer(f"account-{n}", ("", "university", "public")[n % 3], "", packages)


def provider(number: int) -> str:
    """Its name, as sites have it."""
    return f"Provider {number}"


def site(number: int) -> str:
    """The provider's one site."""
    return f"site-{number}"


def a_tariff(number: int) -> Tariff:
    """A tariff with one of everything."""
    hours = [("00:00", "08:00", "valley"), ("08:00", "22:00", "peak"), ("22:00", "24:00", "valley")]
    bands = [{"from": begin, "to": end, "band": band} for begin, end, band in hours]
    rest = [{"from": "00:00", "to": "24:00", "band": "valley"}]
    valley = [{"band": "valley", "price": "3.90"}]
    items: list[dict[str, Any]] = [
        {"name": "a100", "unit": "CardHour", "class": "nvidia-a100-80g", "price": "5.50", "bandPrices": valley, "step": "Second",
         "brackets": [{"above": 500, "price": "5.00", "bandPrices": valley}, {"above": 2_000, "price": "4.50"}]},
        {"name": "cores-of-a100", "unit": "CoreHour", "class": "nvidia-a100-80g", "price": "0"},
        {"name": "cores", "unit": "CoreHour", "class": "cpu-x86", "price": "0.12", "atLeast": "10m",
         "brackets": [{"above": 1_000, "price": "0.10"}, {"above": 5_000, "price": "0.08"}]},
        {"name": "memory", "unit": "MemoryGiBHour", "price": "0.004"},
        {"name": "scratch", "unit": "StorageTBDay", "price": "0.50", "freePerPeriod": 30},
    ]  # fmt: skip
    commitment = {
        "name": "commitment",
        "item": "a100",
        "period": "Month",
        "included": 100,
        "fee": "390",
        "overagePrice": "4.50",
    }
    spec = {
        "provider": provider(number),
        "effectiveFrom": "2026-01-01",
        "schedules": [
            {"name": "workdays", "days": ["Workday"], "bands": bands},
            {"name": "free-days", "days": ["Weekend", "Holiday"], "bands": rest},
        ],
        "items": items,
        "packages": [commitment],
        "customerClasses": [{"name": "university", "percent": 60}, {"name": "public", "percent": 80}],
        "taxPermille": 60,
        "commissionPermille": 50,
    }
    metadata = {"name": f"tariff-{number}"}
    return Tariff.model_validate(
        {"apiVersion": "suanli.io/v1alpha1", "kind": "Tariff", "metadata": metadata, "spec": spec}
    )


HEAD = (
    f"{'events':>9} {'accounts':>8} {'lines':>8} {'net CNY':>14} {'cpu s':>8} {'events/s':>9} {'growth':>7} "
    f"{'json.loads s':>12} {'events/s':>9} {'x floor':>8} {'peak MiB':>8}"
)


def _shown(line: Line) -> str:
    growth = "-" if line.growth is None else f"{line.growth:.2f}"
    return (
        f"{line.events:>9} {line.accounts:>8} {line.lines:>8} {line.net_micro_yuan / 1e6:>14.2f} {line.seconds:>8.2f} "
        f"{line.events_per_second:>9} {growth:>7} {line.floor_seconds:>12.2f} {line.floor_events_per_second:>9} "
        f"{line.times_the_floor:>8.2f} {line.peak_mib:>8}"
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/bench/billing",
        description="Events rated for each second of processor time, beside json.loads of the same events.",
        epilog="Exit code: 0 measured, 1 some use was not rated, 2 a wrong argument.",
    )
    parser.add_argument(
        "--events",
        type=whole(1, MOST),
        action="append",
        help="how many; may be given several times (10000, 100000, 1000000)",
    )
    parser.add_argument("--seed", type=int, default=1, help="decides who ran what (1)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
