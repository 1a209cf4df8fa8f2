"""What one more unit of a class is worth at a site, by hour.

The plan's Lagrange multipliers say what the jobs that run would save, in micro-yuan for whole expected runs, if a pool had one
unit more. A unit serves one run after the other, so the worth of an hour is that saving divided by the hours of the runs at
the margin: of those jobs for which the pool, at its price, is most nearly as good as their next best place; the mean, where
there are several, each weighted with the units that it holds. It is a price of units that can be had one by one: a gang of
eight cards gains nothing from the first seven.

Money here is what the plan compares: policy's weights and its price of carbon are in it. A job that waits has no price in it,
since nobody says what it is worth to its user: the multipliers are those of the jobs that find a place, and how many wait for
a pool is told beside its price: for them one more unit is worth more.

The prices of a later hour are those of a plan that is made then, for today's jobs that are not over by then: who found a place
runs for its expected time and keeps its right to one, who waits gets one when there is room, who is not to start before an
hour comes in then. No new jobs come, and electricity has that hour's price.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from suanli.api.site import ComputeUnit
from suanli.base.reasons import Reason
from suanli.base.units import MS_PER_HOUR, duration_ms
from suanli.placement.batch import make_batch
from suanli.placement.difference import Place
from suanli.placement.filters import sift
from suanli.placement.question import Held, Question
from suanli.placement.scores import score
from suanli.placement.snapshot import ClassRoom, Plan, WaitingJob

GIB = 1 << 30
CORE_MILLI = 1_000
MOST_PRIORITY = 1_000_000
NEARLY = 0.05  # shares of the price within which jobs are at the margin alike
NOTHING = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Worth:
    """What one more unit, core, or GiB of memory is worth for an hour at one place.

    Units: micro-yuan an hour. `hours` is the expected run of the jobs at the margin; `waiting` counts jobs that wait and could
    run there. For a class counted in cores `unit` is a core and `core` is None.
    """

    unit: float
    core: float | None
    gib: float
    hours: float
    waiting: int


@dataclass(frozen=True)
class Hour:
    """Prices at one hour; places where nothing is scarce are missing.

    `running` and `waiting` count the jobs of that hour's plan. Units: `at_ms` since the epoch.
    """

    at_ms: int
    worth: Mapping[Place, Worth]
    running: int
    waiting: int


def worth_by_hour(question: Question, held: Mapping[str, Held], hours: int) -> Iterator[Hour]:
    """The price now, and at the beginning of each hour after it. `held` are the jobs, by UID, that have their place already."""
    empty = [
        replace(view, classes={c: ClassRoom(room.empty, room.empty) for c, room in view.classes.items()})
        for view in question.sites
    ]
    until_ms = {uid: one.until_ms for uid, one in held.items()}
    jobs = {job.uid: job for job in question.waiting} | {uid: _kept(one.job) for uid, one in held.items()}
    tenancy = replace(question.tenancy, held_milli={})  # those who hold it ask for it again
    for i in range(hours):
        at_ms = question.now_ms + i * MS_PER_HOUR
        left = [job for uid, job in jobs.items() if uid not in until_ms or until_ms[uid] > at_ms]
        then = question._replace(waiting=left, sites=empty, now_ms=at_ms, tenancy=tenancy)
        plan = then.plan()
        yield _hour(then, plan)
        for job in left:
            if job.uid not in until_ms and plan.decisions[job.uid].site is not None:
                until_ms[job.uid] = at_ms + duration_ms(job.job.spec.timing.expected_duration)
                jobs[job.uid] = _kept(job)


def _kept(job: WaitingJob) -> WaitingJob:
    """A job that runs already: it has the first right to a place, and no limit to its start."""
    spec = job.job.spec
    timing = spec.timing.model_copy(update={"deadline": None, "not_before": None})
    limits = spec.limits.model_copy(update={"max_cost": None})
    kept = spec.model_copy(update={"priority": MOST_PRIORITY, "timing": timing, "limits": limits})
    return replace(job, job=job.job.model_copy(update={"spec": kept}), backoff={})


def _hour(question: Question, plan: Plan) -> Hour:
    placed = [job for job in question.waiting if plan.decisions[job.uid].site is not None]
    waits = [job for job in question.waiting if plan.decisions[job.uid].reason in _FOR_ROOM]
    if waits:
        plan = question._replace(waiting=placed).plan()  # cold: prices that made others wait would stay too high
    scarce, waiting = plan.prices.by_pool, _waiting_at(question, waits)
    hours = _margin_hours(question, placed, plan)
    found = {
        place: _worth(question, place, scarce.get(place, NOTHING), hours.get(place, 1.0), waiting[place])
        for place in sorted({*scarce, *waiting})
    }
    return Hour(question.now_ms, found, len(placed), len(waits))


# Jobs that wait for others to end; the rest wait for something that no unit mends.
_FOR_ROOM = frozenset({Reason.WAITING_FOR_CAPACITY, Reason.CAPACITY_FRAGMENTED})


def _worth(
    question: Question, place: Place, price: tuple[float, float, float, float], hours: float, waiting: int
) -> Worth:
    milli, byte, card, _ = price
    cards = _unit(question, place) is ComputeUnit.CARD
    core = milli * CORE_MILLI / hours
    return Worth(card / hours if cards else core, core if cards else None, byte * GIB / hours, hours, waiting)


def _unit(question: Question, place: Place) -> ComputeUnit:
    resources = (r for view in question.sites if view.site.metadata.name == place[0] for r in view.site.spec.resources)
    return next(r.unit for r in resources if r.class_ == place[1])


def _margin_hours(question: Question, placed: list[WaitingJob], plan: Plan) -> Mapping[Place, float]:
    """The expected run of the jobs at the margin of every pool that has a price."""
    if not plan.prices.by_pool:
        return {}
    batch = make_batch(placed, question.sites, question.country, question.now_ms)
    costs = score(batch)
    allowed_rp = sift(batch, costs).allowed_rp
    places = [(batch.sites[pool.site].site.metadata.name, pool.resource.class_) for pool in batch.pools]
    price_pk = np.array([plan.prices.by_pool.get(place, NOTHING) for place in places])
    toll_rp = (batch.need_rk * batch.tasks_r[:, None]).astype(float) @ price_pk.T
    whole_rp = np.where(allowed_rp, costs.total_rp + toll_rp, np.inf)
    weight_r = np.array([len(row.jobs) for row in batch.rows]) * batch.tasks_r
    found = {}
    for p in np.flatnonzero(price_pk.any(axis=1)).tolist():
        elsewhere_r = np.delete(whole_rp, p, axis=1).min(axis=1, initial=np.inf)
        rows = np.flatnonzero(allowed_rp[:, p] & (toll_rp[:, p] > 0) & np.isfinite(elsewhere_r))
        if len(rows):
            off = np.abs(elsewhere_r[rows] - whole_rp[rows, p]) / toll_rp[rows, p]
            rows = rows[off <= off.min() + NEARLY]
            hours = np.average(batch.duration_ms_r[rows] / MS_PER_HOUR, weights=weight_r[rows])
            found[places[p]] = float(hours)
    return found


def _waiting_at(question: Question, waits: list[WaitingJob]) -> Mapping[Place, int]:
    """How many of them could run at each place, were it not for others."""
    found: dict[Place, int] = defaultdict(int)
    if waits:
        batch = make_batch(waits, question.sites, question.country, question.now_ms)
        allowed_rp = sift(batch, score(batch)).allowed_rp
        for r, row in enumerate(batch.rows):
            for p in allowed_rp[r].nonzero()[0].tolist():
                pool = batch.pools[p]
                found[batch.sites[pool.site].site.metadata.name, pool.resource.class_] += len(row.jobs)
    return found
