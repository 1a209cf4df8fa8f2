"""What would have a job placed, or placed cheaper: one thing of it is changed, and the production solver asked again.

Each row of KINDS makes changes of one kind. Only what helps is told; what a change does to other jobs is told with it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import Any, TypeVar

from suanli.api.job import Latency
from suanli.api.site import ComputeUnit
from suanli.base.clock import parse_time_ms, time_text
from suanli.base.reasons import Reason
from suanli.base.units import duration_text, duration_us
from suanli.placement.accounts import Accounts, Tenancy, asked_milli
from suanli.placement.batch import FOREVER_US, bound_us
from suanli.placement.chain import Way, chain
from suanli.placement.funds import Funds, Shortage, cost_of
from suanli.placement.question import Question
from suanli.placement.queue import Bound, Quotas
from suanli.placement.snapshot import Plan, WaitingJob

V = TypeVar("V")
MOST_PRIORITY = 1_000_000
MOST_NOMINAL = 100_000_000
MOST_CLASSES = 8
MOST_DIGITS = 15  # of limits.maxCost
LONGEST_S = 2 * 366 * 86_400  # no run is expected to last longer than a year
SOONEST_S = 60
NONE = "none"


@dataclass(frozen=True)
class Change:
    """One field of a job with another value, or of an account: then `tenancy` are the accounts with it, or `funds` what they can spend.

    `field` is one of the spec, unless it begins with status.
    """

    field: str
    before: str
    after: str
    job: WaitingJob
    account: str = ""
    tenancy: Tenancy | None = None
    funds: Funds | None = None

    @property
    def path(self) -> str:
        """The field from the object on."""
        return self.field if self.field.startswith("status.") else f"spec.{self.field}"

    def of(self, question: Question) -> Question:
        """The question so changed."""
        asked = question.with_job(self.job)
        asked = asked if self.tenancy is None else asked._replace(tenancy=self.tenancy)
        return asked if self.funds is None else asked._replace(funds=self.funds)


@dataclass(frozen=True)
class Advice:
    """A change that helps, and what the production solver does with it.

    Units: micro-yuan. `paid` for the expected run then; `saves` against now, None where the job waits now; `total` is what the
    plan compares; `others_pay` is how much more all other jobs that run then pay. `displaced` and `admitted` are the UIDs of others
    that would wait then and have a place now, and the other way round.
    """

    change: Change
    site: str
    class_: str
    paid: int
    total: int
    saves: int | None
    others_pay: int
    displaced: tuple[str, ...]
    admitted: tuple[str, ...]


class Trial:
    """One job as it is, and its question asked again with changes of it."""

    def __init__(self, question: Question, job: WaitingJob, plan: Plan) -> None:
        self.question = question
        self.job = job
        self._plan = plan
        self._now = plan.decisions[job.uid]

    @property
    def waits(self) -> bool:
        """Whether the job has no place now."""
        return self._now.site is None

    @property
    def lacks_quota(self) -> bool:
        """Whether some site fell to quotas."""
        return any(rejection.reason == Reason.QUOTA_EXCEEDED for rejection in self._now.placement.rejections)

    @property
    def lacks_money(self) -> bool:
        """Whether it has no place for want of money only."""
        return self._now.reason is Reason.BUDGET_EXCEEDED

    @cached_property
    def shortages(self) -> Sequence[Shortage]:
        """The limits in its way, beside the jobs that go first."""
        if self.question.funds is None or not self.lacks_money:
            return ()
        ahead = self.question.ahead(self.job.uid, self._plan)
        return self.question.funds.shortages(self.job.account, self.paid, ahead)

    @cached_property
    def poor(self) -> Sequence[int]:
        """What other jobs that lack money would have held. Units: micro-yuan."""
        funds, found = self.question.funds, list[int]()
        for job in self.question.waiting:
            decision = self._plan.decisions[job.uid]
            if funds is not None and job.uid != self.job.uid and decision.reason is Reason.BUDGET_EXCEEDED:
                found.append(funds.need(job.account, cost_of(decision)))
        return sorted(found)

    @cached_property
    def paid(self) -> int:
        """What its run is estimated to cost now. Units: micro-yuan."""
        return cost_of(self._now)

    @cached_property
    def _others_now(self) -> int:
        return self._others_paid(self._plan)

    def _others_paid(self, plan: Plan) -> int:
        return sum(cost_of(decision) for uid, decision in plan.decisions.items() if uid != self.job.uid)

    @cached_property
    def _open(self) -> frozenset[tuple[str, str]]:
        return frozenset((way.site, way.class_) for way in chain(self.question, self.job).ways)

    def ways(self, job: WaitingJob) -> tuple[Way, ...]:
        """The ways to run the job so changed."""
        return chain(self.question, job).ways

    def opens(self, change: Change) -> bool:
        """Whether the change opens a way that is closed now and would save something; nothing else can come of it."""
        new = [way for way in self.ways(change.job) if (way.site, way.class_) not in self._open]
        return bool(new) if self.waits else any(way.paid < self.paid for way in new)

    def tried(self, change: Change) -> Advice | None:
        """What the solver says of the change; None if that is no help."""
        plan = change.of(self.question).plan()
        then = plan.decisions[change.job.uid]
        if then.site is None or then.class_ is None or (not self.waits and cost_of(then) >= self.paid):
            return None
        cost = then.placement.cost
        return Advice(
            change,
            then.site,
            then.class_,
            paid=cost_of(then),
            total=int(cost.total) if cost else 0,
            saves=None if self.waits else self.paid - cost_of(then),
            others_pay=self._others_paid(plan) - self._others_now,
            displaced=self._lose(self._plan, plan),
            admitted=self._lose(plan, self._plan),
        )

    def least(self, values: Sequence[V], change: Callable[[V], Change]) -> Iterator[Advice]:
        """Of values that each help if the one before does, the first that helps."""
        found: Advice | None = None
        low, high = 0, len(values)
        while low < high:
            middle = (low + high) // 2 if found else high - 1  # the last first: without it none helps
            advice = self._placed(change(values[middle]))
            if advice is not None:
                high, found = middle, advice
            elif found is None:
                return
            else:
                low = middle + 1
        if found is not None:
            yield found

    def _lose(self, one: Plan, other: Plan) -> tuple[str, ...]:
        """Other jobs that have a place in one plan only."""
        placed = (uid for uid, decision in one.decisions.items() if decision.site and uid != self.job.uid)
        return tuple(uid for uid in placed if other.decisions[uid].site is None)

    def _placed(self, change: Change) -> Advice | None:
        """The same, unless it is plain that the job cannot be placed so either."""
        return self.tried(change) if self.ways(change.job) else None

    def each(self, changes: Iterator[Change]) -> Iterator[Advice]:
        """All that help."""
        for change in changes:
            if self.opens(change) and (advice := self.tried(change)) is not None:
                yield advice


Kind = Callable[[Trial], Iterator[Advice]]


def advise(question: Question, uid: str, plan: Plan) -> tuple[Advice, ...]:
    """All changes of one kind each that help, the cheapest first. `plan` is the answer to the question as it is.

    Raises: KeyError where no job of the question has that UID.
    """
    trial = Trial(question, question.job(uid), plan)
    found = [advice for kind in KINDS for advice in kind(trial)]
    return tuple(sorted(found, key=lambda a: (a.paid, a.change.field, a.change.after)))


def looser_tier(trial: Trial) -> Iterator[Advice]:
    """Every tier of the policy that allows more, and no bound at all."""
    return trial.each(_tiers(trial))


def another_class(trial: Trial) -> Iterator[Advice]:
    """A class more in the list: every other one that some site offers and that is counted as the job asks."""
    return trial.each(_classes(trial))


def cost_limit(trial: Trial) -> Iterator[Advice]:
    """The lowest limit that is enough."""
    spec = trial.job.job.spec
    if not trial.waits or spec.limits.max_cost is None:
        return
    limit = int(spec.limits.max_cost)
    free = _with(trial.job, limits=spec.limits.model_copy(update={"max_cost": None}))
    enough = sorted({way.paid for way in trial.ways(free) if way.paid > limit and len(str(way.paid)) <= MOST_DIGITS})
    yield from trial.least(enough, lambda paid: _limited(trial.job, str(paid)))


def deadline(trial: Trial) -> Iterator[Advice]:
    """A deadline that is enough: the earliest at which some way is open, or, if that one is taken, a little later."""
    timing = trial.job.job.spec.timing
    if not trial.waits or timing.deadline is None:
        return
    before_s = parse_time_ms(timing.deadline) // 1_000
    latest_s = max(before_s, trial.question.now_ms // 1_000) + LONGEST_S

    def due(at_s: int) -> Change:
        return _due(trial.job, time_text(at_s * 1_000))

    ways = len(trial.ways(due(latest_s).job))
    if ways <= len(trial.ways(trial.job)):
        return
    first_s = (
        before_s
        + 1
        + bisect_left(range(before_s + 1, latest_s), True, key=lambda at_s: len(trial.ways(due(at_s).job)) > 0)
    )
    enough = [first_s]
    while len(trial.ways(due(enough[-1]).job)) < ways:
        enough.append(min(latest_s, first_s + (SOONEST_S << len(enough) - 1)))
    yield from trial.least(enough, due)


def no_delay(trial: Trial) -> Iterator[Advice]:
    """To start as soon as it can, of a job that may be put off; where it waits for room that is no help."""
    timing = trial.job.job.spec.timing
    if trial.waits and timing.deferrable is not None:
        prompt = _with(trial.job, timing=timing.model_copy(update={"deferrable": None}))
        yield from trial.least([prompt], lambda job: Change("timing.deferrable", timing.deferrable or NONE, NONE, job))


def higher_priority(trial: Trial) -> Iterator[Advice]:
    """The lowest priority that is enough: just above one that some job has."""
    if not trial.waits or not trial.ways(trial.job):
        return
    own = trial.job.job.spec.priority
    others = {job.job.spec.priority for job in trial.question.waiting}
    enough = sorted({p + 1 for p in others | {own} if own <= p < MOST_PRIORITY})
    yield from trial.least(enough, lambda p: Change("priority", str(own), str(p), _with(trial.job, priority=p)))


def smaller_gang(trial: Trial) -> Iterator[Advice]:
    """The most tasks that find a place; the cost is that of so many tasks, each as long as before."""
    tasks = trial.job.job.spec.tasks
    if trial.waits:
        fewer = range(tasks - 1, 0, -1)
        yield from trial.least(fewer, lambda n: Change("tasks", str(tasks), str(n), _with(trial.job, tasks=n)))


def more_quota(trial: Trial) -> Iterator[Advice]:
    """The least nominal that is enough, of each quota that the job would take of in a class that it is denied."""
    if not trial.waits or not trial.lacks_quota:
        return
    question, job = trial.question, trial.job
    quotas = Quotas(question.tenancy, (view.site for view in question.sites))
    milli = asked_milli(job.job.spec)
    wanted = milli + sum(asked_milli(other.job.spec) for other in question.waiting)  # others may be ahead of it
    bounds = {
        (b.account, b.what): b for class_ in job.job.spec.resources.class_ for b in quotas.bounds(job.account, class_)
    }
    for bound in bounds.values():
        nominal = bound.quota.nominal
        least = nominal + max(1, -(-quotas.short(bound, milli) // 1_000))
        most = min(MOST_NOMINAL, nominal + max(1, -(-quotas.short(bound, wanted) // 1_000)))
        yield from trial.least(range(least, most + 1), partial(_raised, trial, bound))


def cheaper_place(trial: Trial) -> Iterator[Advice]:
    """Of a job for which money is short, the highest limit of its cost that leads to a place which can be paid."""
    if trial.lacks_money:
        less = sorted({way.paid for way in trial.ways(trial.job) if 0 <= way.paid < trial.paid}, reverse=True)
        yield from trial.least(less, lambda paid: _limited(trial.job, str(paid)))


def more_money(trial: Trial) -> Iterator[Advice]:
    """The least budget, or balance, that is enough, of each limit that is in its way; others that lack money may come before it."""
    funds = trial.question.funds
    for short in trial.shortages:
        steps = accumulate(trial.poor, initial=short.short)
        assert funds is not None, "only funds are short"
        yield from trial.least(sorted(set(steps)), partial(_funded, trial.job, funds, short))


KINDS: tuple[Kind, ...] = (
    looser_tier,
    another_class,
    cost_limit,
    deadline,
    no_delay,
    higher_priority,
    smaller_gang,
    more_quota,
    cheaper_place,
    more_money,
)


def _tiers(trial: Trial) -> Iterator[Change]:
    spec, country = trial.job.job.spec, trial.question.country
    if spec.latency is None:
        return
    bound = bound_us(spec, country)
    before = duration_text(bound) if spec.latency.tier is None else f"{spec.latency.tier} ({duration_text(bound)})"
    if spec.latency.tier is not None and bound == FOREVER_US:
        before = spec.latency.tier  # one that the policy does not have
    for us, name in sorted((duration_us(t.one_way), t.name) for t in country.tiers.values()):
        if us > bound:
            job = _with(trial.job, latency=Latency(tier=name))
            yield Change("latency", before, f"{name} ({duration_text(us)})", job)
    yield Change("latency", before, NONE, _with(trial.job, latency=None))


def _classes(trial: Trial) -> Iterator[Change]:
    resources = trial.job.job.spec.resources
    listed = list(resources.class_)
    if len(listed) >= MOST_CLASSES:
        return
    unit = ComputeUnit.CARD if resources.per_task.cards else ComputeUnit.CORE
    offered = {r.class_ for view in trial.question.sites for r in view.site.spec.resources if r.unit is unit}
    for name in sorted(offered.difference(listed)):
        wished = resources.model_copy(update={"class_": [*listed, name]})
        yield Change("resources.class", ", ".join(listed), f"also {name}", _with(trial.job, resources=wished))


def _limited(job: WaitingJob, most: str) -> Change:
    limits = job.job.spec.limits
    changed = _with(job, limits=limits.model_copy(update={"max_cost": most}))
    return Change("limits.maxCost", limits.max_cost or NONE, most, changed)


def _due(job: WaitingJob, text: str) -> Change:
    timing = job.job.spec.timing
    changed = _with(job, timing=timing.model_copy(update={"deadline": text}))
    return Change("timing.deadline", timing.deadline or NONE, text, changed)


def _raised(trial: Trial, bound: Bound, nominal: int) -> Change:
    tenancy = trial.question.tenancy
    account = tenancy.accounts.by_name[bound.account]
    raised = bound.quota.model_copy(update={"nominal": nominal})
    quotas = [raised if quota is bound.quota else quota for quota in account.spec.quotas]
    spec = account.spec.model_copy(update={"quotas": quotas})
    by_name = {**tenancy.accounts.by_name, bound.account: account.model_copy(update={"spec": spec})}
    return Change(
        f"quotas[{bound.what}].nominal",
        str(bound.quota.nominal),
        str(nominal),
        trial.job,
        bound.account,
        replace(tenancy, accounts=Accounts(by_name)),
    )


def _funded(job: WaitingJob, funds: Funds, short: Shortage, more: int) -> Change:
    then = str(short.now + more)
    return Change(short.field, str(short.now), then, job, short.account, funds=funds.raised(short.limit, more))


def _with(job: WaitingJob, **fields: Any) -> WaitingJob:
    """The job with these fields of its spec."""
    spec = job.job.spec.model_copy(update=fields)
    return replace(job, job=job.job.model_copy(update={"spec": spec}))
