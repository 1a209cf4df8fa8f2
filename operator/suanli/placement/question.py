"""One question to placement, to be asked again with one thing changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from suanli.placement.accounts import NOBODY, Tenancy
from suanli.placement.batch import in_order
from suanli.placement.funds import Asked, Funds, cost_of, unpaid
from suanli.placement.snapshot import Country, Decision, Plan, Prices, SiteView, WaitingJob
from suanli.placement.solve import place

ROUNDS = 8  # of plans in which those who wait for money leave their room to others


class Question(NamedTuple):
    """All that `place` is asked, and what accounts can spend, None where nothing limits them. Units: `now_ms` since the epoch."""

    waiting: Sequence[WaitingJob]
    sites: Sequence[SiteView]
    country: Country
    now_ms: int
    tenancy: Tenancy = NOBODY
    funds: Funds | None = None

    def plan(self, warm: Prices | None = None) -> Plan:
        """The production solver's answer. Jobs for which there is not enough money wait, and the others are planned without them."""
        made = place(self.waiting, self.sites, self.country, self.now_ms, self.tenancy, warm=warm)
        if self.funds is None:
            return made
        line, told, denied = in_order(self.waiting), dict[str, Decision](), dict(made.denied)
        for turn in range(ROUNDS + 1):
            said = self.funds.refused(_asked(line, made.decisions))
            told |= {uid: unpaid(made.decisions[uid], text) for uid, text in said.items()}
            if not said or turn == ROUNDS:
                break
            line = [job for job in line if job.uid not in said]
            left = [job for job in self.waiting if job.uid not in told]
            made = place(left, self.sites, self.country, self.now_ms, self.tenancy, warm=made.prices)
            denied |= made.denied
        decisions = {**made.decisions, **told}
        return replace(made, decisions={job.uid: decisions[job.uid] for job in self.waiting}, denied=denied)

    def ahead(self, uid: str, plan: Plan) -> Sequence[Asked]:
        """The jobs that have their place in a plan and come before this one in the queue, as money is asked for them."""
        return _asked(list(takewhile(lambda job: job.uid != uid, in_order(self.waiting))), plan.decisions)

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


def _asked(line: Sequence[WaitingJob], decisions: Mapping[str, Decision]) -> list[Asked]:
    """The jobs that have their place and what they cost."""
    placed = ((job, decisions[job.uid]) for job in line)
    return [(job.uid, job.account, cost_of(decision)) for job, decision in placed if decision.site is not None]
