"""Tariffs, uses and customers for tests of money."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from manifests import Manifest, a_tariff
from suanli.api import Tariff
from suanli.api.site import ComputeUnit
from suanli.billing.event import ClassFacts, Owner, UsageEvent, UsageKind, event_id, pod_events
from suanli.billing.period import month
from suanli.billing.pricebook import PriceBook
from suanli.billing.usage import PodUsage

HUB = "hub-1"
SITE = "wuhu-dc1"
PROVIDER = "Anhui Computing"
CARRIERS = {"wuhan-wuhu": PROVIDER, "wuhu-hefei": "Anhui Roads", "wuhu-xuancheng": "Anhui Roads", "campus": ""}
HOUR = 3_600_000
DAY = 24 * HOUR
PERIOD = month("2026-11", "Asia/Shanghai")
T0 = PERIOD.start_ms  # 2026-11-01 00:00 in Shanghai, a Sunday
A100 = ClassFacts("nvidia-a100-80g", "FP16", ComputeUnit.CARD, 400, 1_200_000, 500, 200_000)
CPU = ClassFacts("cpu-x86", "FP32", ComputeUnit.CORE, 5, 1_300_000, 580, 0)


def identified(hub: str, event: UsageEvent) -> UsageEvent:
    """The event with its own id."""
    return replace(event, id=event_id(hub, event))


def an_owner(account: str = "lab", job: str = "train", qos: str = "Normal") -> Owner:
    return Owner(HUB, account, "team-a", job, qos)


def a_run(start_ms: int = T0, run_ms: int = HOUR, pod: str = "p1", job: str = "u1", **held: Any) -> PodUsage:
    """By default four cards, two cores and 1 GiB for an hour."""
    whole = {"cpu_milli": 2_000, "memory_bytes": 1 << 30, "cards": 4, **held}
    return PodUsage(pod, job, 1, SITE, A100.class_, start_ms, start_ms + run_ms, **whole)


def an_event(kind: UsageKind = UsageKind.CARD_TIME, **fields: Any) -> UsageEvent:
    """By default four cards for the first hour of the period."""
    whole = {
        "kind": kind, "site": SITE, "account": "lab", "namespace": "team-a", "job": "train", "job_uid": "u1", "epoch": 1,
        "pod_uid": "p1", "class_": A100.class_, "precision": "FP16", "start_ms": T0, "end_ms": T0 + HOUR, "amount": 4 * HOUR,
    }  # fmt: skip
    return identified(HUB, UsageEvent(id="", **{**whole, **fields}))


def tariff(manifest: Manifest) -> Tariff:
    return Tariff.model_validate(manifest)


def a_book(*manifests: Manifest) -> PriceBook:
    """The prices of the one provider of the one site and of one link, of whoever has another, and of nobody who has a third."""
    return PriceBook([tariff(m) for m in manifests or (a_tariff(),)], {SITE: PROVIDER}, carriers=CARRIERS)


def events_of(runs: Iterable[PodUsage], book: PriceBook, owner: Owner | None = None) -> list[UsageEvent]:
    return [e for run in runs for e in pod_events(run, owner or an_owner(), A100, book.borders(SITE))]


def flat(price: str = "5.50", unit: str = "CardHour", **item: Any) -> Manifest:
    """A tariff with one item, the same at every hour."""
    return a_tariff(schedules=[], packages=[], items=[{"name": "it", "unit": unit, "price": price, **item}])


def bands(*hours: tuple[str, str, str]) -> Sequence[Manifest]:
    return [{"from": begin, "to": end, "band": band} for begin, end, band in hours]
