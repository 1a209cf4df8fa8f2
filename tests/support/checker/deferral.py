"""Whether a job may wait until the start that is planned for it, and gains by it."""

import re
from collections.abc import Iterator

from checker.judge import Judge, Place
from checker.money import CUT, LINES, PAID, Money
from checker.moving import least_ms
from checker.wire import milliseconds, moment_ms
from suanli.placement.snapshot import Decision, WaitingJob

PASSING = {None, "CostLimitExceeded", "DeadlineUnreachable", "WaitingForCapacity", "CapacityFragmented", "SiteBackoff"}
TAKEN = "what is free now goes to jobs that cannot wait; "
AHEAD_MS = 48 * 3_600_000


def wrong_deferral(judge: Judge, job: WaitingJob, decision: Decision) -> Iterator[str]:
    """What is wrong with putting the job off like this."""
    spec, timing = job.job.spec, job.job.spec.timing
    told = re.fullmatch(r"starts at (\S+) at (\S+) \((\S+)\): .+", decision.message)
    place = judge.places.get((told[2], told[3])) if told else None
    start = decision.estimate.start if decision.estimate else None
    if told is None or place is None or start is None or start != told[1] or timing.deferrable is None:
        yield f"is put off with {decision.message}"
        return
    at, lasts = moment_ms(start), judge.lasts_ms(spec, place.resource)
    since = max(job.submitted_ms, moment_ms(timing.not_before) if timing.not_before else 0)
    if not judge.now_ms < at <= min(judge.now_ms + AHEAD_MS, since + milliseconds(timing.deferrable)):
        yield f"is put off until {start}, it may wait {timing.deferrable}"
    moving = least_ms(judge.ways, spec, place.site)
    if timing.deadline is not None and at + moving + lasts > moment_ms(timing.deadline):
        yield f"is put off until {start}, beyond its deadline"
    if judge.first_no(job, place) not in PASSING:
        yield f"is put off to {place.key}, which falls to {judge.first_no(job, place)}"
    then = Money(judge.country, judge.ways, at).lines(spec, place.site, place.resource, lasts)
    most = spec.limits.max_cost
    if most is not None and sum(then[line] for line in PAID) > int(most) + 1:
        yield f"is put off to where it costs {then}"
    cost = decision.placement.cost
    if cost is None or not all(_near(int(getattr(cost, line)), then[line]) for line in LINES):
        yield f"is put off for {cost}, it should be {then}"
    at_once = [judge.total(job, other) for other in judge.places.values() if _could_go(judge, job, other, most)]
    if at_once and CUT > sum(then.values()) >= min(at_once) and not told[0].partition(": ")[2].startswith(TAKEN):
        yield f"is put off for {then}, but now it would cost {min(at_once)}"
    if decision.site is not None or decision.queue is not None or decision.placement.rejections:
        yield f"is put off with {decision}"


def _near(told: int, own: int) -> bool:
    """Equal but for roundings; far beyond any real amount, only that it is as far."""
    return abs(told - own) <= 2 or (min(abs(told), abs(own)) >= CUT and (told > 0) == (own > 0))


def _could_go(judge: Judge, job: WaitingJob, place: Place, most: str | None) -> bool:
    """Whether the place would do if it were free: nothing but room and back-off is in the way."""
    no, deadline = judge.first_no(job, place), job.job.spec.timing.deadline
    moving = least_ms(judge.ways, job.job.spec, place.site)
    ends = judge.now_ms + moving + judge.lasts_ms(job.job.spec, place.resource)
    return (
        no in PASSING
        and (most is None or judge.paid(job, place) <= int(most))
        and (deadline is None or ends <= moment_ms(deadline))
    )
