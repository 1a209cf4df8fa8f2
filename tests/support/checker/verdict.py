"""The verdict on a plan: every sentence that is not true of it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from checker.deferral import wrong_deferral
from checker.judge import MENDED, Judge, Place, groups_of, places_of, task_of
from checker.money import CUT, LINES, PAID, has_copy
from checker.moving import loads, shared_ms
from checker.quotas import Country as QuotaCountry
from checker.quotas import exceeded, wrong_words
from checker.room import Gang, fit_together
from checker.rules import is_paired
from checker.wire import moment_ms
from checker.words import TAKEN, is_time, is_told_of_checkpoint, is_true
from suanli.api.job import Rejection
from suanli.api.site import ComputeSite
from suanli.placement.accounts import NOBODY, Tenancy
from suanli.placement.snapshot import Country, Decision, Plan, SiteView, WaitingJob

RUNNERS_UP = 3
MOST_MESSAGE = 1_024
MOST_REJECTIONS = 16


def violations(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    plan: Plan,
    tenancy: Tenancy = NOBODY,
) -> list[str]:
    """What is wrong with the plan; nothing, if nothing is."""
    judge = Judge(list(sites), country, now_ms, plan.denied)
    found: list[str] = []
    if set(plan.decisions) != {job.uid for job in waiting}:
        return [f"decided are {sorted(plan.decisions)}, waiting were {sorted(job.uid for job in waiting)}"]
    if plan.gap_ppm < 0:
        found.append(f"the gap is {plan.gap_ppm}")
    for job in waiting:
        decision = plan.decisions[job.uid]
        found += [f"{job.uid}: {text}" for text in _wrong(judge, job, decision)]
    found += _wrong_times(judge, waiting, plan)
    found += _overfull(judge, waiting, plan)
    found += _queue(waiting, plan, tenancy)
    found += _enclaves(judge, waiting, plan)
    found += exceeded(tenancy, sites, waiting, plan)
    found += _denials(judge, waiting, plan, QuotaCountry(tenancy, sites))
    return found


def idle_room(
    waiting: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country, now_ms: int, plan: Plan
) -> list[str]:
    """Jobs that wait, or pay more than they need to, though a place that could take them has room as the plan leaves it."""
    judge = Judge(list(sites), country, now_ms)
    loads = _loads(judge, waiting, plan)
    found = []
    for job in waiting:
        decision = plan.decisions[job.uid]
        if judge.refusals(job) or decision.reason == "Deferred":
            continue
        here = judge.places.get((decision.site or "", decision.class_ or ""))
        most = judge.total(job, here) if here else None
        for place in judge.places.values():
            if judge.first_no(job, place) is not None or (most is not None and judge.total(job, place) >= most):
                continue
            if fit_together(groups_of(place.room.free), [*loads[place.key], _gang(job)]):
                found.append(f"{job.uid} is at {decision.site}, but {place.key} has room for {most}")
    return found


def _wrong(judge: Judge, job: WaitingJob, decision: Decision) -> Iterator[str]:
    if not decision.message or len(decision.message) > MOST_MESSAGE:
        yield f"a message of {len(decision.message)} characters"
    if len(decision.placement.rejections) > MOST_REJECTIONS:
        yield f"{len(decision.placement.rejections)} rejections"
    refusals = judge.refusals(job)
    if refusals:
        if decision.site is not None or str(decision.reason) not in refusals:
            yield f"is {decision.site} {decision.reason}, but is to be refused for {sorted(refusals)}"
        return
    if decision.reason == "Deferred":
        yield from wrong_deferral(judge, job, decision)
        return
    falls = {name: judge.site_falls_to(job, view) for name, view in judge.views.items()}
    if decision.site is None:
        yield from _wrong_waiting(judge, job, decision, falls)
    else:
        yield from _wrong_place(judge, job, decision, falls)


def _wrong_place(judge: Judge, job: WaitingJob, decision: Decision, falls: Mapping[str, str | None]) -> Iterator[str]:
    place = judge.places.get((str(decision.site), str(decision.class_)))
    if place is None:
        yield f"is at {decision.site} in class {decision.class_}, which is not there"
        return
    no = judge.first_no(job, place)
    if no is not None:
        yield f"is at {decision.site}, which falls to {no}"
    if decision.reason != "Placed" or decision.queue is not None:
        yield f"is placed for {decision.reason}, queue {decision.queue}"
    yield from _wrong_money(judge, job, place, decision)
    yield from _wrong_way(judge, job, place, decision)
    yield from _wrong_runners_up(judge, job, place, decision, falls)
    yield from _wrong_rejections(judge, job, decision.placement.rejections, falls, ())


def _wrong_money(judge: Judge, job: WaitingJob, place: Place, decision: Decision) -> Iterator[str]:
    told, own = decision.placement.cost, judge.cost(job, place)
    if told is None or decision.estimate is None or decision.estimate.cost is None:
        yield "has no cost"
        return
    lines = {line: int(getattr(told, line)) for line in LINES}
    for line in LINES:
        if not _same(lines[line], own[line]):
            yield f"{line} costs {lines[line]}, it should be {own[line]}"
    if int(told.total) != sum(lines.values()):
        yield f"the total is {told.total}, the lines are {lines}"
    if int(decision.estimate.cost) != sum(lines[line] for line in PAID):
        yield f"the estimate is {decision.estimate.cost}, the lines are {lines}"


def _wrong_way(judge: Judge, job: WaitingJob, place: Place, decision: Decision) -> Iterator[str]:
    way = judge.ways.way(job.job.spec.origin, place.site.metadata.name, place.site.spec.region)
    told = decision.placement
    if way is None or told.latency is None or not is_time(told.latency, way.us):
        yield f"latency is {told.latency}, it should be {way}"
    elif told.latency_source != ("Measured" if way.measured else "Estimated"):
        yield f"latency is {told.latency_source}, it should be {way}"


def _wrong_runners_up(
    judge: Judge, job: WaitingJob, here: Place, decision: Decision, falls: Mapping[str, str | None]
) -> Iterator[str]:
    best: dict[str, int] = {}
    for name, no in falls.items():
        if no is None and name != here.site.metadata.name:
            able = [p for p in places_of(judge.views[name]) if judge.first_no(job, p) is None]
            best[name] = min(judge.total(job, place) for place in able)
    expected = sorted(best.values())[:RUNNERS_UP]
    told = decision.placement.runners_up
    if [r.site for r in told if r.site not in best] or len({r.site for r in told}) != len(told):
        yield f"runners-up are {told}, they should be of {best}"
    elif not all(_same(int(r.total), best[r.site]) for r in told) or len(told) != len(expected):
        yield f"runners-up are {told}, they should be {best}"
    elif not all(_same(int(r.total), total) for r, total in zip(told, expected, strict=True)):
        yield f"runners-up are {told}, the best are {expected}"
    for r in told:
        place = judge.places.get((r.site, r.class_))
        if place is None or judge.first_no(job, place) is not None or not _same(judge.total(job, place), int(r.total)):
            yield f"runner-up {r} is not right"


def _wrong_waiting(judge: Judge, job: WaitingJob, decision: Decision, falls: Mapping[str, str | None]) -> Iterator[str]:
    taken = [name for name, no in falls.items() if no is None]
    rejections = decision.placement.rejections
    yield from _wrong_rejections(judge, job, rejections, falls, taken)
    if sum(r.count for r in rejections) != len(judge.views):
        yield f"{len(judge.views)} sites, rejections are {rejections}"
    reasons = {r.reason for r in rejections}
    reason = next((r for r in MENDED if r in reasons), "NoFeasibleSite")
    if decision.reason != reason:
        yield f"waits for {decision.reason}, it should be {reason}"
    for told in rejections:
        if f"{told.count} {told.reason}" not in decision.message and len(decision.message) < MOST_MESSAGE - 200:
            yield f"the message does not tell of {told.count} {told.reason}: {decision.message}"
    if (decision.queue is not None) != (reason in MENDED):
        yield f"waits for {reason} with queue {decision.queue}"


def _wrong_rejections(
    judge: Judge,
    job: WaitingJob,
    rejections: Sequence[Rejection],
    falls: Mapping[str, str | None],
    taken: Sequence[str],
) -> Iterator[str]:
    expected = Counter(no for no in falls.values() if no is not None)
    if taken:
        expected["WaitingForCapacity"] += len(taken)
    told = {r.reason: r.count for r in rejections}
    if told != dict(expected) or len(told) != len(rejections):
        yield f"rejections are {told}, they should be {dict(expected)}"
    for r in rejections:
        site, _, text = r.example.partition(" ")
        of_taken = site in taken and r.reason == "WaitingForCapacity" and text == TAKEN
        if not of_taken and not (falls.get(site) == r.reason and is_true(judge, job, r.reason, r.example)):
            yield f"{r.reason} is not so: {r.example}"
    counts = [r.count for r in rejections]
    if counts != sorted(counts, reverse=True):
        yield f"rejections are not in order: {told}"


def _wrong_times(judge: Judge, waiting: Sequence[WaitingJob], plan: Plan) -> Iterator[str]:
    """Inputs move at once, so their times are of the whole plan."""
    placed = [
        (job.uid, job.job.spec, judge.views[name].site)
        for job in waiting
        if (name := str(plan.decisions[job.uid].site)) in judge.views
    ]
    loads_ = loads(judge.ways, [(spec, site) for _, spec, site in placed])
    for uid, spec, site in placed:
        estimate = plan.decisions[uid].estimate
        told, own = estimate.transfer_time if estimate else None, shared_ms(judge.ways, spec, site, loads_)
        if not (is_time(told, own * 1000) if told and own else bool(told) == bool(own)):
            yield f"{uid}: transferTime is {told}, it should be {own} ms"
        start = estimate.start if estimate else None
        if (start is None) != (own is None) or (start and own and not _is_after(start, judge.now_ms, own)):
            yield f"{uid}: start is {start}, its inputs are there {own} ms from now"
        copies = [piece.dataset for piece in spec.data.inputs if has_copy(site, piece)] if spec.data else []
        if bool(copies) != ("read from the copy there" in plan.decisions[uid].message):
            yield f"{uid}: copies are {copies}, the message says {plan.decisions[uid].message}"
        if not is_told_of_checkpoint(judge, spec, site, plan.decisions[uid].message):
            yield f"{uid}: its checkpoint is {spec.checkpoint}, the message says {plan.decisions[uid].message}"


def _is_after(start: str, now_ms: int, own_ms: int) -> bool:
    """Whether it is that moment, to the second; what is later than a time can be written is the last that can."""
    return start == "9999-12-31T23:59:59Z" or abs(moment_ms(start) - now_ms - own_ms) < 1_000


def _overfull(judge: Judge, waiting: Sequence[WaitingJob], plan: Plan) -> Iterator[str]:
    for key, gangs in _loads(judge, waiting, plan).items():
        if not fit_together(groups_of(judge.places[key].room.free), gangs):
            yield f"{key} does not hold {gangs}"


def _denials(judge: Judge, waiting: Sequence[WaitingJob], plan: Plan, country: QuotaCountry) -> Iterator[str]:
    """Every class that a job is denied, and what its condition says."""
    for job in waiting:
        denied, classes = plan.denied.get(job.uid, {}), set(job.job.spec.resources.class_)
        for class_, text in denied.items():
            if class_ not in classes or (wrong := wrong_words(country, job, text)):
                yield f"{job.uid}: denied {class_}: {wrong}"
        said = plan.decisions[job.uid].quota
        if country.accounts and said is None:
            yield f"{job.uid}: nothing is said of quotas"
        if said is not None and (said.status is False) != (set(denied) == classes):
            yield f"{job.uid}: denied {sorted(denied)}, but {said}"


def _queue(waiting: Sequence[WaitingJob], plan: Plan, tenancy: Tenancy) -> Iterator[str]:
    """Positions count those that have one, by priority and age; between accounts by what they hold."""
    left = [(job, queue) for job in waiting if (queue := plan.decisions[job.uid].queue) is not None]
    if tenancy.accounts.by_name:
        if sorted(queue.position for _, queue in left) != list(range(1, len(left) + 1)):
            yield f"positions are {left}"
        for job, queue in left:
            for other, later in left:
                age, its_age = (job.submitted_ms, job.uid), (other.submitted_ms, other.uid)
                same = job.account == other.account and age < its_age
                priority, its_priority = job.job.spec.priority, other.job.spec.priority
                if (priority > its_priority or (priority == its_priority and same)) and queue.ahead > later.ahead:
                    yield f"{job.uid} is behind {other.uid}"
        return
    left.sort(key=lambda one: (-one[0].job.spec.priority, one[0].submitted_ms, one[0].uid))
    for ahead, (job, queue) in enumerate(left):
        if (queue.position, queue.ahead) != (ahead + 1, ahead):
            yield f"{job.uid}: queue {queue}, {ahead} are ahead"


def _enclaves(judge: Judge, waiting: Sequence[WaitingJob], plan: Plan) -> Iterator[str]:
    """In an enclave no job of others runs while one of the partner waits that would fit there if the others did not."""
    policy = judge.country.policy
    enclaves = [p for p in policy.spec.pairings if p.kind.value == "Enclave"] if policy else []
    left = [job for job in waiting if plan.decisions[job.uid].site is None and not judge.refusals(job)]
    for place in judge.places.values():

        def is_partners(job: WaitingJob, site: ComputeSite = place.site) -> bool:
            return any(is_paired(pairing, job.job.spec.origin, site, judge.ways) for pairing in enclaves)

        here = [job for job in waiting if (plan.decisions[job.uid].site, plan.decisions[job.uid].class_) == place.key]
        others = [job.uid for job in here if not is_partners(job)]
        loads = [_gang(job) for job in here if is_partners(job)]
        able = [job for job in left if others and is_partners(job) and judge.first_no(job, place) is None]
        for job in able:
            if fit_together(groups_of(place.room.free), [*loads, _gang(job)]):
                yield f"{job.uid} waits, and {others} have its place in the enclave at {place.key}"


def _loads(judge: Judge, waiting: Sequence[WaitingJob], plan: Plan) -> Mapping[tuple[str, str], list[Gang]]:
    loads: dict[tuple[str, str], list[Gang]] = defaultdict(list)
    for job in waiting:
        decision = plan.decisions[job.uid]
        if (str(decision.site), str(decision.class_)) in judge.places:
            loads[str(decision.site), str(decision.class_)].append(_gang(job))
    return loads


def _gang(job: WaitingJob) -> Gang:
    return task_of(job.job.spec), job.job.spec.tasks


def _same(told: int, own: int) -> bool:
    """Equal but for one rounding; far beyond any real amount, only that it is as far."""
    return abs(told - own) <= 1 or (min(abs(told), abs(own)) >= CUT and (told > 0) == (own > 0))
