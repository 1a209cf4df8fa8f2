"""What accounts can still spend: made by whoever knows budgets and prepayments, asked here which jobs of a plan have to wait for money."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, Self

from suanli.api.job import Placement
from suanli.base.reasons import Reason
from suanli.placement.snapshot import Decision

# UID, account, and what the run is estimated to cost in micro-yuan.
Asked = tuple[str, str, int]


class Shortage(Protocol):
    """A limit that is in the way of a job. Units: micro-yuan."""

    @property
    def account(self) -> str:
        """Whose limit it is."""

    @property
    def field(self) -> str:
        """Where the account says it: a field of its spec, or one that begins with status."""

    @property
    def limit(self) -> str:
        """Its name among all limits."""

    @property
    def now(self) -> int:
        """What it is."""

    @property
    def short(self) -> int:
        """How much more would be enough for this job."""


class Funds(Protocol):
    """Budgets and prepayments, and what is spent and held of them."""

    def need(self, account: str, cost: int) -> int:
        """What is held for a job of an estimate. Units: micro-yuan."""

    def refused(self, asked: Iterable[Asked]) -> Mapping[str, str]:
        """By UID, the jobs for which not enough is left after those before them, and why in numbers."""

    def shortages(self, account: str, cost: int, ahead: Iterable[Asked]) -> Sequence[Shortage]:
        """The limits in the way of a job that comes after others which have their place."""

    def raised(self, limit: str, more: int) -> Self:
        """The same with so much more at that limit. Units: micro-yuan."""


def cost_of(decision: Decision) -> int:
    """What the run is estimated to cost, 0 where nobody says it. Units: micro-yuan."""
    return int(decision.estimate.cost) if decision.estimate and decision.estimate.cost else 0


def unpaid(decision: Decision, text: str) -> Decision:
    """What becomes of a job that had its place, were it not for money; its estimate is told."""
    return replace(
        decision,
        site=None,
        class_=None,
        reason=Reason.BUDGET_EXCEEDED,
        message=text[:1000],
        placement=Placement(),
        queue=None,
    )
