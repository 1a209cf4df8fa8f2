"""Who may run: whose turn it is among the accounts, and of which classes their quotas still allow as much as a job asks for.

A quota bounds what an account and all accounts below it hold of a class, or of all classes of a type: nominal, and up to
`borrowingLimit` more of what accounts of the same parent leave of their nominal. Both are sums that must stay below a bound:

    use(a) <= nominal(a) + borrowingLimit(a)           sum over siblings with such a quota of use <= sum of their nominal

The use of an account is what its jobs and those of all accounts below it hold, this plan's counted in.
The second says that what some hold above nominal is no more than what others leave below it. Jobs get their part in the order of
the queue: one that could run now takes it of every class that it may still use, wherever the plan then puts it, so that no plan
can exceed a bound. What it does not use after all is free again in the next cycle. A job that could not run now takes nothing.

Whose turn it is: of one priority the oldest job of the account with the least dominant share for its weight, then the next,
with that one counted. Source: Ghodsi et al., Dominant Resource Fairness, NSDI 2011.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heappop, heapreplace

import numpy as np

from suanli.api.account import Quota
from suanli.api.site import ComputeSite, ComputeType, ComputeUnit
from suanli.base.conditions import Condition
from suanli.base.reasons import Reason
from suanli.base.units import milli_text
from suanli.placement.accounts import Tenancy, asked_milli
from suanli.placement.batch import Batch, Bools, Pool, Row, queue_order
from suanli.placement.snapshot import Decision, WaitingJob

CONDITION = "QuotaReserved"
MOST_CHARS = 900  # of a condition's message


@dataclass(frozen=True)
class Bound:
    """One quota of one account, as a number in the sums: its own, and that of all accounts of its parent if it may borrow. `own`
    and `siblings` number these sums.
    """

    account: str
    quota: Quota
    own: int
    siblings: int | None
    parent: str

    @property
    def what(self) -> str:
        """What it bounds: a class or a type. Classes are named in lower case, so both can be keys of one table."""
        return self.quota.class_ or str(self.quota.type)


class Quotas:
    """All bounds, what is held of them, and what jobs that are ahead have taken. Units: thousandths of cards or cores."""

    def __init__(self, tenancy: Tenancy, sites: Iterable[ComputeSite]) -> None:
        self._accounts = tenancy.accounts
        self._sites = sites
        self._most: list[int] = []
        self._bounds: dict[tuple[str, str], Bound] = {}  # by account, and class or type
        self._touched: dict[tuple[str, str], tuple[Bound, ...]] = {}
        self._make_bounds()
        self._held = [0] * len(self._most)
        self._ahead = [0] * len(self._most)
        for (account, class_), milli in tenancy.held_milli.items() if self._bounds else ():
            self._add(self._held, account, [class_], milli)

    @cached_property
    def _types(self) -> Mapping[str, set[ComputeType]]:
        """The types that sites say a class is of."""
        found: dict[str, set[ComputeType]] = defaultdict(set)
        for site in self._sites:
            for resource in site.spec.resources:
                found[resource.class_].add(resource.type)
        return found

    def _make_bounds(self) -> None:
        siblings: dict[tuple[str, str], int] = {}
        for name, account in sorted(self._accounts.by_name.items()):
            parent = self._accounts.parents.get(name, "")
            for quota in account.spec.quotas:
                borrows = 1_000 * (quota.borrowing_limit or 0) if parent else 0
                what = quota.class_ or str(quota.type)
                shared = None
                if parent:
                    if (parent, what) not in siblings:
                        siblings[parent, what] = self._new(0)
                    shared = siblings[parent, what]
                    self._most[shared] += 1_000 * quota.nominal
                own = self._new(1_000 * quota.nominal + borrows)
                self._bounds[name, what] = Bound(name, quota, own, shared, parent)

    def _new(self, most: int) -> int:
        self._most.append(most)
        return len(self._most) - 1

    def bounds(self, account: str, class_: str) -> tuple[Bound, ...]:
        """The quotas that a job of the account would take of in a class, the account's own first."""
        key = account, class_
        if not self._bounds:
            return ()
        if key not in self._touched:
            # What no site offers any more may have been of any type.
            whats = [class_, *(str(t) for t in sorted(self._types.get(class_, ComputeType)))]
            lineage = self._accounts.lineage(account)
            found = (self._bounds.get((name, what)) for name in lineage for what in whats)
            self._touched[key] = tuple(bound for bound in found if bound is not None)
        return self._touched[key]

    def exceeded(self, account: str, class_: str, milli: int) -> Bound | None:
        """The first quota that would be exceeded by so much more of the class."""
        return next((bound for bound in self.bounds(account, class_) if self.short(bound, milli) > 0), None)

    def short(self, bound: Bound, milli: int) -> int:
        """How much too much it would be; below zero, how much would still be left. Units: thousandths."""
        own, siblings = self._over(bound.own), bound.siblings
        return milli + (own if siblings is None else max(own, self._over(siblings)))

    def _over(self, i: int) -> int:
        return self._held[i] + self._ahead[i] - self._most[i]

    def take(self, account: str, classes: Iterable[str], milli: int) -> None:
        """A job that may run in one of these classes goes ahead of all that are asked for after it."""
        self._add(self._ahead, account, classes, milli)

    def _add(self, sums: list[int], account: str, classes: Iterable[str], milli: int) -> None:
        bounds = (bound for class_ in classes for bound in self.bounds(account, class_))
        for i in {i for bound in bounds for i in (bound.own, bound.siblings) if i is not None}:
            sums[i] += milli

    def used(self, account: str) -> Iterator[tuple[Quota, int]]:
        """What is held of each quota of a declared account. Units: thousandths."""
        for quota in self._accounts.by_name[account].spec.quotas:
            yield quota, self._held[self._bounds[account, quota.class_ or str(quota.type)].own]

    def borrowable(self, bound: Bound) -> int:
        """How much above nominal it may hold at most as things are. Units: thousandths."""
        if bound.siblings is None:
            return 0
        own = self._held[bound.own] + self._ahead[bound.own] - 1_000 * bound.quota.nominal
        left = max(0, self._left_of_siblings(bound) - max(0, -own))
        return min(1_000 * (bound.quota.borrowing_limit or 0), max(0, own) + left)

    def lent(self, bound: Bound) -> int:
        """How much of its nominal is not there for it now, because others hold it. Units: thousandths."""
        unused = 1_000 * bound.quota.nominal - self._held[bound.own] - self._ahead[bound.own]
        return 0 if bound.siblings is None else max(0, unused - self._left_of_siblings(bound))

    def _left_of_siblings(self, bound: Bound) -> int:
        i = bound.siblings
        return 0 if i is None else max(0, self._most[i] - self._held[i] - self._ahead[i])

    def words(self, bound: Bound, milli: int, noun: str) -> str:
        """The quota in numbers, and what is asked."""
        held, ahead = self._held[bound.own], self._ahead[bound.own]
        taken = f" and jobs ahead take {milli_text(ahead)}" if ahead else ""
        lent = self.lent(bound)
        away = (
            f", of which {milli_text(lent)} are lent to accounts of {bound.parent} until their jobs end" if lent else ""
        )
        return (
            f"account {bound.account} holds {milli_text(held)} {noun}s of {bound.what}{taken}, nominal is "
            f"{bound.quota.nominal}{away}, it may borrow {milli_text(self.borrowable(bound))}; the job asks for {milli_text(milli)}"
        )


def fits_alone(quotas: Quotas, job: WaitingJob) -> bool:
    """Whether some class of the job is within the quotas beside what is held already."""
    spec = job.job.spec
    milli = asked_milli(spec)
    return any(quotas.exceeded(job.account, class_, milli) is None for class_ in spec.resources.class_)


def arranged(b: Batch, allowed_rp: Bools, quotas: Quotas, tenancy: Tenancy) -> Batch:
    """The batch with everybody's turn, and the classes that quotas do not allow each job.

    Shape: `allowed_rp` (R, P), whether a job of the row could run in the pool now if there were no quotas and no other jobs.
    """
    able_r = [{b.pools[p].resource.class_ for p in np.flatnonzero(allowed).tolist()} for allowed in allowed_rp]
    jobs = [(job, r) for r, row in enumerate(b.rows) for job in row.jobs]
    turn = turns([(job, _first(job, able_r[r])) for job, r in jobs], tenancy, capacity_milli(b.pools))
    line = sorted(jobs, key=lambda one: (-one[0].job.spec.priority, turn[one[0].uid]))
    said: dict[tuple[int, str], str] = {}  # of jobs that are alike the first stands for all
    alike: dict[tuple[int, tuple[str, ...]], int] = {}
    rows: list[list[WaitingJob]] = []
    line_j: list[int] = []
    for job, r in line:
        spec = job.job.spec
        milli, noun = asked_milli(spec), noun_of(job)
        denied: dict[str, str] = {}
        for class_ in spec.resources.class_:
            bound = quotas.exceeded(job.account, class_, milli)
            if bound is not None:
                if (r, class_) not in said:
                    said[r, class_] = quotas.words(bound, milli, noun)
                denied[class_] = said[r, class_]
        quotas.take(job.account, able_r[r].difference(denied), milli)
        row = alike.setdefault((r, tuple(denied)), len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(replace(job, turn=turn[job.uid], denied=denied))
        line_j.append(row)
    numbers = np.array(line_j, dtype=np.int64)
    if not any(denied for _, denied in alike):  # nobody is another than before: the same rows
        row_r = [alike[r, ()] for r in range(len(b.rows))]
        place = np.argsort(row_r)
        return b.in_line(tuple(Row(tuple(rows[row])) for row in row_r), np.asarray(place[numbers]))
    return replace(b, rows=tuple(Row(tuple(jobs)) for jobs in rows), line_j=numbers)


def turns(
    jobs: Sequence[tuple[WaitingJob, str | None]], tenancy: Tenancy, capacity: Mapping[str, int]
) -> dict[str, int]:
    """By UID, everybody's place among the jobs of one priority, from 0.

    Each job comes with the class that it is counted in, None if it could not run now: then it counts nothing.
    Units: `capacity` thousandths of cards or cores, by class.
    """
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for (account, class_), milli in tenancy.held_milli.items():
        held[account][class_] += milli
    by_priority: dict[int, dict[str, list[tuple[WaitingJob, str | None]]]] = defaultdict(lambda: defaultdict(list))
    for one in jobs:
        by_priority[one[0].job.spec.priority][one[0].account].append(one)

    def share(account: str) -> float:
        return dominant_share(held[account], capacity) / tenancy.accounts.weight(account)

    found: dict[str, int] = {}
    for priority in sorted(by_priority, reverse=True):
        waits = {a: deque(sorted(js, key=lambda one: queue_order(one[0]))) for a, js in by_priority[priority].items()}
        heap = [(share(account), *queue_order(line[0][0]), account) for account, line in waits.items()]
        heapify(heap)
        for n in range(sum(map(len, waits.values()))):
            account = heap[0][-1]
            job, counted_in = waits[account].popleft()
            found[job.uid] = n
            if counted_in is not None:
                held[account][counted_in] += asked_milli(job.job.spec)
            if waits[account]:
                heapreplace(heap, (share(account), *queue_order(waits[account][0][0]), account))
            else:
                heappop(heap)
    return found


def dominant_share(held: Mapping[str, int], capacity: Mapping[str, int]) -> float:
    """The largest part of any class that is held, from 0; a class of which nothing is known to be there counts nothing."""
    return max((milli / capacity[c] for c, milli in held.items() if milli and capacity.get(c)), default=0.0)


def capacity_milli(pools: Iterable[Pool]) -> Mapping[str, int]:
    """What there is of each class, taken or not. Units: thousandths of cards or cores."""
    found: Counter[str] = Counter()
    for pool in pools:
        is_card = pool.resource.unit is ComputeUnit.CARD
        found[pool.resource.class_] += sum(
            n.count * (1_000 * n.cards if is_card else n.cpu_milli) for n in pool.room.empty
        )
    return found


def condition(quotas: Quotas, job: WaitingJob, decision: Decision, asked: bool) -> Condition:
    """What a job's status says of its account's quotas; `asked` is whether they were looked at for it."""
    classes, denied = job.job.spec.resources.class_, job.denied
    if not any(quotas.bounds(job.account, class_) for class_ in classes):
        return Condition(CONDITION, True, Reason.QUOTA_UNLIMITED, "no quota is set for the account")
    if not asked:
        return Condition(CONDITION, None, decision.reason, "quotas are asked once the job could start")
    told = "; ".join(dict.fromkeys(denied.values()))
    if len(denied) == len(set(classes)):
        return Condition(CONDITION, False, Reason.QUOTA_EXCEEDED, told[:MOST_CHARS])
    text = f"the quotas of account {job.account} allow it" + (
        f", but not in {', '.join(denied)}: {told}" if denied else ""
    )
    return Condition(CONDITION, True, Reason.QUOTA_RESERVED, text[:MOST_CHARS])


def noun_of(job: WaitingJob) -> str:
    """What the job is counted in."""
    return "card" if job.job.spec.resources.per_task.cards else "core"


def _first(job: WaitingJob, able: set[str]) -> str | None:
    """The class that the job wishes first of those in which it could run now."""
    return next((class_ for class_ in job.job.spec.resources.class_ if class_ in able), None)
