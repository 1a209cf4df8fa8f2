"""When jobs stood still: they were to run, nothing of them ran, and neither others nor a fault kept them from it.

Moments are seconds of the loop.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What a job needs from a moment on: nothing where it is not to run or has ended."""

    since_s: float
    tasks: int
    site: str  # where its attempt is; empty where it has none, or needs none any more
    been: frozenset[str] = frozenset()  # where older ones were: what is left of them is cleared away first


NOTHING = Need(0.0, 0, "")


@dataclass(frozen=True)
class Hindrance:
    """What of a fault lasts from one moment to another: for jobs with attempts at a site, or for all where it names none."""

    from_s: float
    to_s: float
    site: str = ""


@dataclass(frozen=True)
class Stretch:
    """A job stood still from one moment to another."""

    job: str
    from_s: float
    to_s: float

    @property
    def lasts_s(self) -> float:
        """How long."""
        return self.to_s - self.from_s


@dataclass(frozen=True)
class Money:
    """What a ledger says at a moment. Units: micro-yuan."""

    moment_s: float
    unspent: int
    held: Mapping[str, int]  # by job


@dataclass(frozen=True)
class Standing:
    """All that a job may rightly wait for, by the histories."""

    needs: Mapping[str, Sequence[Need]]  # by job, in order
    runs: Mapping[str, Sequence[tuple[float, float]]]  # by job, from when to when a container of it ran
    hindrances: Sequence[Hindrance] = ()
    begins_s: Sequence[float] = ()  # of leaders: each looks at everything anew, and for what it waits counts from then
    money: Sequence[Money] = ()  # of the account of all of them, in order; none where it has no limit
    task_micro_yuan: int = 0  # what is held for a task

    def stretches(self, from_s: float, to_s: float) -> Iterator[Stretch]:
        """All of them between two moments."""
        moments = {need.since_s for needs in self.needs.values() for need in needs}
        moments |= {moment_s for runs in self.runs.values() for run in runs for moment_s in run}
        moments |= {moment_s for one in self.hindrances for moment_s in (one.from_s, one.to_s)}
        moments |= {money.moment_s for money in self.money} | set(self.begins_s)
        between = sorted({from_s, to_s} | {moment_s for moment_s in moments if from_s < moment_s < to_s})
        for job in self.needs:
            since_s: float | None = None
            for one_s in between[:-1]:
                stands = self._stands(job, one_s)
                if since_s is not None and (one_s in self.begins_s or not stands):
                    yield Stretch(job, since_s, one_s)
                    since_s = None
                if since_s is None and stands:
                    since_s = one_s
            if since_s is not None:
                yield Stretch(job, since_s, to_s)

    def _stands(self, job: str, moment_s: float) -> bool:
        """From that moment on, until the next at which anything changes."""
        need = self._need(job, moment_s)
        if not need.tasks or any(began <= moment_s < ended for began, ended in self.runs.get(job, ())):
            return False
        if any(
            one.site in ("", need.site, *need.been) and one.from_s <= moment_s < one.to_s for one in self.hindrances
        ):
            return False
        return not self._waits_for_money(job, need, moment_s)

    def _waits_for_money(self, job: str, need: Need, moment_s: float) -> bool:
        """Whether it is to be placed, and other jobs' attempts hold what it costs."""
        number = bisect_right(self.money, moment_s, key=lambda money: money.moment_s)
        if need.site or not number:
            return False
        money = self.money[number - 1]
        held = sum(sum_ for other, sum_ in money.held.items() if other != job and self._need(other, moment_s).site)
        return money.unspent - held < need.tasks * self.task_micro_yuan

    def _need(self, job: str, moment_s: float) -> Need:
        needs = self.needs.get(job, ())
        number = bisect_right(needs, moment_s, key=lambda need: need.since_s)
        return needs[number - 1] if number else NOTHING
