"""How often the attempts of one job may end badly, by whose doing it was, and how long it waits before the next. Pure.

What a job does by itself it would do anywhere: it is not sent from site to site for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from suanli.base.clock import time_or_zero
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.reconcile.state import JobEntry

# Spend `limits.retries`, which is its user's.
FAILURES = frozenset({Reason.FAILED, Reason.IMAGE_PULL_FAILED, Reason.DELETED_ON_MEMBER})
# Spend a budget of the operator's settings, counted in status.setbacks. Everything else is nobody's fault and is not counted.
SETBACKS = {
    Reason.IMAGE_PULL_FAILED: "image",
    Reason.GANG_TIMEOUT: "site",
    Reason.CLASS_NOT_OFFERED: "site",
    Reason.DISRUPTED: "preempted",
}


@dataclass(frozen=True)
class Spent:
    """The counts after one more attempt has ended; `over` says why it was the last, or nothing."""

    failures: int
    setbacks: Mapping[str, int]
    over: str = ""


def spend(entry: JobEntry, reason: Reason, settings: Settings) -> Spent:
    """One more attempt has ended for this reason."""
    failures, setbacks = entry.failures + (reason in FAILURES), dict(entry.setbacks)
    kind = SETBACKS.get(reason)
    if kind is not None:
        setbacks[kind] = setbacks.get(kind, 0) + 1
    retries = entry.outline.limits.retries if entry.outline else 0
    if reason in FAILURES and failures > retries:
        return Spent(failures, setbacks, f"limits.retries {retries} are spent")
    most = {"image": settings.image_retries, "site": settings.site_retries, "preempted": settings.preempted_retries}
    if kind is not None and setbacks[kind] > most[kind]:
        said = f"{setbacks[kind]} attempts ended so ({kind}), SUANLI_{kind.upper()}_RETRIES allows {most[kind]} retries"
        return Spent(failures, setbacks, said)
    return Spent(failures, setbacks)


def backoff_ms(failures: int, settings: Settings) -> int:
    """How long a job waits after so many failures: not at all after the first, then ever longer."""
    doubled = settings.retry_backoff_s * ((1 << min(max(failures - 1, 0), 30)) - 1)
    return 1000 * min(doubled, settings.retry_backoff_most_s)


def waits_until_ms(entry: JobEntry, settings: Settings) -> int:
    """Until when a job that failed is not placed again; 0 for one that did not."""
    if not entry.failures:
        return 0
    placed = entry.condition("Placed")
    if placed is None or placed.get("status") != "False":
        return 0
    return time_or_zero(placed.get("lastTransitionTime")) + backoff_ms(entry.failures, settings)
