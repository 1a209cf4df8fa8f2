"""One question to placement, to be asked again with one thing changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from suanli.placement.accounts import NOBODY, Tenancy
from suanli.placement.snapshot import Country, Plan, Prices, SiteView, WaitingJob
from suanli.placement.solve import place


class Question(NamedTuple):
    """All that `place` is asked. Units: `now_ms` since the epoch."""

    waiting: Sequence[WaitingJob]
    sites: Sequence[SiteView]
    country: Country
    now_ms: int
    tenancy: Tenancy = NOBODY

    def plan(self, warm: Prices | None = None) -> Plan:
        """The production solver's answer."""
        return place(self.waiting, self.sites, self.country, self.now_ms, self.tenancy, warm=warm)

    def job(self, uid: str) -> WaitingJob:
        """One of the jobs. Raises: KeyError."""
        for job in self.waiting:
            if job.uid == uid:
                return job
        raise KeyError(uid)

    def with_job(self, job: WaitingJob) -> "Question":
        """The same with this job instead of the one that has its UID."""
        return self._replace(waiting=[job if other.uid == job.uid else other for other in self.waiting])


@dataclass(frozen=True)
class Held:
    """A job that has its place already and holds room there; the job is as if it still waited.

    Units: `paid_micro_yuan` of its expected run, None where nobody noted it; `until_ms` is when it is expected to end.
    """

    job: WaitingJob
    site: str
    class_: str
    until_ms: int
    paid_micro_yuan: int | None = None


@dataclass(frozen=True)
class Answered:
    """A question with its answer, and the jobs, by UID, that had their place before it was asked."""

    question: Question
    plan: Plan
    held: Mapping[str, Held]

    def place_of(self, uid: str) -> tuple[str, str] | None:
        """Site and class where a job is, or is to go; None while it waits."""
        if uid in self.held:
            return self.held[uid].site, self.held[uid].class_
        decision = self.plan.decisions[uid]
        return (decision.site, decision.class_) if decision.site and decision.class_ else None

    @property
    def jobs(self) -> Mapping[str, WaitingJob]:
        """All jobs by UID, with those that have their place already."""
        return {job.uid: job for job in self.question.waiting} | {uid: held.job for uid, held in self.held.items()}

    def paid(self, uid: str) -> int:
        """What a job's expected run is to be paid; nothing while it waits. Units: micro-yuan."""
        if uid in self.held:
            return self.held[uid].paid_micro_yuan or 0
        estimate = self.plan.decisions[uid].estimate
        return int(estimate.cost) if estimate and estimate.cost else 0
