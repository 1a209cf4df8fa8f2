"""The stores of one operator in a folder, with what ran, for the tests of money."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from builders import a_tariff, an_agreement
from suanli.api.tariff import Tariff
from suanli.base.units import MS_PER_HOUR
from suanli.billing.facts import Facts
from suanli.billing.ledger import Outcome, Transfer
from suanli.billing.period import month
from suanli.billing.rating import Customer
from suanli.billing.usage import PodUsage
from suanli.billing.vouchers import Claim
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books

YUAN = 1_000_000
CARD_HOUR = 5_500_000
TARIFF = {**a_tariff(), "metadata": {"name": "east-2026"}}  # all that the books keep of it
FACTS = Facts((Tariff.model_validate(TARIFF),), {"lab": Customer("lab", "university")})


class DyingLedger(SqliteLedger):
    """One whose process dies before a commit, when told."""

    left = 1 << 30

    def commit(self, transfers: Sequence[Transfer]) -> list[Outcome]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().commit(transfers)


class Shop:
    """Stores, and books over them."""

    def __init__(self, folder: Path) -> None:
        self.usage = UsageStore(folder / "usage.sqlite3")
        self.store = BookStore(folder / "books.sqlite3")
        self.ledger = DyingLedger(folder / "ledger.sqlite3")
        self.books = Books(self.usage, self.store, self.ledger, "hub")

    def ran(self, pod: str, start_ms: int, hours: int, **fields: Any) -> PodUsage:
        """A pod of four cards that is in the usage ledger, with its attempt."""
        end_ms = start_ms + hours * MS_PER_HOUR
        base = PodUsage(pod, f"u-{pod}", 1, "east", "nvidia-a100-80g", start_ms, end_ms, 2_000, 1 << 30, 4)
        usage = replace(base, **fields)
        self.usage.agree([replace(an_agreement(f"u-{pod}"), job=pod, made_ms=start_ms)])
        self.usage.record([usage])
        return usage

    def runs(self, pod: str, start_ms: int) -> PodUsage:
        """A pod of four cards that has just started, and is in no ledger yet; its attempt is."""
        self.usage.agree([replace(an_agreement(f"u-{pod}"), job=pod, made_ms=start_ms)])
        return PodUsage(pod, f"u-{pod}", 1, "east", "nvidia-a100-80g", start_ms, start_ms, 2_000, 1 << 30, 4)

    def owes(self, account: str) -> int:
        """What an account is below zero. Units: micro-yuan."""
        return -self.ledger.balance(account).posted_micro_yuan


def a_claim(voucher: str = "v1", **fields: Any) -> Claim:
    """A claim of the lab of March, for 200 CNY of a contract of its own."""
    begin_ms = month("2026-03", "Asia/Shanghai").start_ms
    base = Claim(voucher, "lab", frozenset({"lab"}), "", f"c-{voucher}", "", 200 * YUAN, 30, begin_ms)
    return replace(base, **fields)
