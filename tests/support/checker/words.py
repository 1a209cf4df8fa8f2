"""Whether the example of a rejection is true: the site it names fell to that reason, and its numbers are the site's."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from checker.judge import Judge, Place, groups_of, places_of, task_of
from checker.money import CUT
from checker.moving import least_ms
from checker.room import tasks_that_fit
from checker.wire import amount, microseconds, moment_ms
from suanli.api.job import ComputeJobSpec
from suanli.api.site import ComputeSite
from suanli.placement.snapshot import WaitingJob

TAKEN = "could take it, but what is free there goes to other jobs of this plan"


def is_true(judge: Judge, job: WaitingJob, reason: str, example: str) -> bool:
    """Whether the sentence holds for the job and one class of the site that stood until this reason."""
    site, _, text = example.partition(" ")
    view = judge.views.get(site)
    if view is None:
        return False
    places = places_of(view)
    if not places:
        return text == "offers no class" or reason == "AccountNotAllowed"
    fallen = [place for place in places if judge.first_no(job, place) == reason]
    return any(SAYS[reason](judge, job, place, text) for place in fallen)


def is_time(text: str, us: int) -> bool:
    """Whether a text means that many µs, to the second from one second on."""
    return microseconds(text) == (us if us < 10**6 else -(-us // 10**6) * 10**6)


def is_yuan(text: str, micro_yuan: int) -> bool:
    """Whether a text is that amount, to the fen; far beyond any real amount, only that it is as far."""
    told = Fraction(text) * 10**6
    return abs(told - micro_yuan) <= 5001 or (told >= CUT and micro_yuan >= CUT)


def _account(_: Judge, job: WaitingJob, __: Place, text: str) -> bool:
    return text == f"is for other accounts than {job.account}"


def _class(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    wants = job.job.spec.resources
    found = re.fullmatch(r"counts (\S+) in (card|core)s, the job asks for (no cards|(\d+) cards? a task)", text)
    if found:
        cards = int(found[4] or 0)
        return (found[1], found[2]) == (place.resource.class_, place.resource.unit.value.lower()) and (
            cards == wants.per_task.cards and place.resource.class_ in wants.class_
        )
    offered = _names([p.resource.class_ for p in places_of(place.view)])
    return text == f"offers {offered}, not {_names(wants.class_)}" and place.resource.class_ not in wants.class_


def _residency(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    data, region = job.job.spec.data, place.site.spec.region
    assert data is not None
    if data.allowed_regions and region not in data.allowed_regions:
        return text == f"stands in {region}, data.allowedRegions are {_names(data.allowed_regions)}"
    if data.allowed_sites and place.site.metadata.name not in data.allowed_sites:
        return text == f"is not in data.allowedSites {_names(data.allowed_sites)}"
    return text == f"is not of data domain {data.domain}" and data.domain not in place.site.spec.data_domains


def _policy(judge: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    region = place.site.spec.region
    hub, side = judge.ways.hub(region), judge.ways.side(region)
    where = f"{side}, {hub}" if hub else "outside the hubs"
    ends = f"; rule {judge.policy_forbids(job, place)} requires "
    energy, policy = place.site.spec.energy, judge.country.policy
    green = policy.spec.green_sites if policy else None
    shares = f" with green share {energy.green_share} and PUE {energy.pue}" if green else ""
    asked = f" (greenSites: at least {green.min_green_share}, at most {green.max_pue})" if green else ""
    return text.startswith((f"is {where}{ends}", f"is outside the hubs{shares}{asked}{ends}")) and text.startswith(
        f"is {where}"
    )


def _latency(judge: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    spec, region = job.job.spec, place.site.spec.region
    way, bound = judge.ways.way(spec.origin, place.site.metadata.name, region), judge.bound_us(spec)
    if way is None:
        return text == f"stands in {region}, which is no ComputeRegion"
    found = re.fullmatch(r"is (\S+) from (\S+)( by distance)?, the bound is (\S+)", text)
    return (
        found is not None
        and bound is not None
        and is_time(found[1], way.us)
        and found[2] == spec.origin
        and bool(found[3]) == (not way.measured)
        and is_time(found[4], bound)
    )


def _cost(judge: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    found = re.fullmatch(r"would cost (\S+) CNY, limits.maxCost is (\S+) CNY", text)
    most = int(job.job.spec.limits.max_cost or 0)
    return found is not None and is_yuan(found[1], judge.paid(job, place)) and is_yuan(found[2], most)


def _deadline(judge: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    timing = job.job.spec.timing
    lasts_ms = judge.lasts_ms(job.job.spec, place.resource)
    moving_ms = least_ms(judge.ways, job.job.spec, place.site)
    found = re.fullmatch(
        r"would end (\S+)(?: and (\S+) of moving inputs)? after now, (\S+) after timing.deadline (\S+)", text
    )
    late_ms = judge.now_ms + lasts_ms + moving_ms - moment_ms(timing.deadline or "")
    return (
        found is not None
        and found[4] == timing.deadline
        and is_time(found[1], lasts_ms * 1000)
        and (is_time(found[2], moving_ms * 1000) if found[2] else moving_ms == 0)
        and is_time(found[3], late_ms * 1000)
    )


def is_told_of_checkpoint(judge: Judge, spec: ComputeJobSpec, site: ComputeSite, message: str) -> bool:
    """Whether a message says of the checkpoint what is so, and nothing where it lies nowhere."""
    lies = spec.checkpoint.site if spec.checkpoint else None
    told = message.partition("; its checkpoint ")[2]
    if lies is None:
        return not told
    if lies not in judge.ways.kept:
        return told == f"at {lies} cannot be had and counts for nothing"
    if lies == site.metadata.name:
        found = re.fullmatch(r"lies there(?:, moving it to (\S+) would cost (\S+) CNY)?", told)
        other = judge.views.get(found[1] or "") if found else None
        rightly = (
            other is not None
            and found is not None
            and is_yuan(found[2], round(judge.money.of_checkpoint(spec, other.site)))
        )
        return rightly or told == "lies there"
    found = re.fullmatch(r"comes from (\S+) for (\S+) CNY", told)
    return found is not None and found[1] == lies and is_yuan(found[2], round(judge.money.of_checkpoint(spec, site)))


def _inactive(_: Judge, __: WaitingJob, place: Place, text: str) -> bool:
    return text == f"has spec.desiredState {place.site.spec.desired_state.value}, not Active"


def _node_size(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    nodes = [node for count, node in groups_of(place.room.empty) if count]
    if not nodes:
        return text == f"has no node of {place.resource.class_}"
    found = re.fullmatch(r"has no node of (\S+) for a task of (.+); the largest has (.+)", text)
    if found is None or found[1] != place.resource.class_ or not _is_task(found[2], job.job.spec):
        return False
    if found[3] == "no card":
        return all(node[2] == 0 for node in nodes)
    if found[3] == "no pod left":
        return any(node[3] == 0 for node in nodes)
    return any(_is_amount(found[3], node[2], node[0], node[1]) for node in nodes)


def _site_size(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    found = re.fullmatch(r"holds (\d+) tasks? of (.+) on (\S+) when empty, the job has (\d+)", text)
    fits = tasks_that_fit(groups_of(place.room.empty), task_of(job.job.spec))
    return (
        found is not None
        and _is_task(found[2], job.job.spec)
        and ((int(found[1]), found[3], int(found[4])) == (fits, place.resource.class_, job.job.spec.tasks))
    )


def _not_ready(judge: Judge, _: WaitingJob, place: Place, text: str) -> bool:
    region = place.site.spec.region
    if not place.view.ready:
        return text == (place.view.not_ready or "is not ready")[: len(text)]
    return text == f"stands in {region}, which is no ComputeRegion" and region not in judge.country.regions


def _quota(judge: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    """Its numbers are checked with all denials."""
    return text.removeprefix("is out of quota: ") == judge.denied[job.uid][place.resource.class_][: len(text) - 17]


def _backoff(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    return text == job.backoff[place.site.metadata.name]


def _units(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    found = re.fullmatch(r"has (\S+) (card|core|memory)s? of (\S+) free now, the job needs (\S+)(?: cores?)?", text)
    if found is None or found[3] != place.resource.class_:
        return False
    k = ("core", "memory", "card").index(found[2])
    scale = 1000 if k == 0 else 1
    free = sum(count * node[k] for count, node in groups_of(place.room.free))
    needed = job.job.spec.tasks * task_of(job.job.spec)[k]
    return needed > free and _near(found[1], Fraction(free, scale)) and _near(found[4], Fraction(needed, scale))


def _nodes(_: Judge, job: WaitingJob, place: Place, text: str) -> bool:
    found = re.fullmatch(r"has nodes of (\S+) free for (\d+) tasks? of (.+) now, the job has (\d+)", text)
    fits = tasks_that_fit(groups_of(place.room.free), task_of(job.job.spec))
    return (
        found is not None
        and _is_task(found[3], job.job.spec)
        and ((found[1], int(found[2]), int(found[4])) == (place.resource.class_, fits, job.job.spec.tasks))
    )


def _is_task(text: str, spec: ComputeJobSpec) -> bool:
    cpu, memory, cards, _ = task_of(spec)
    return _is_amount(text, cards, cpu, memory)


def _is_amount(text: str, cards: int, cpu_milli: int, memory: int) -> bool:
    """What is 2^60 or more need not be told."""
    found = re.fullmatch(r"(?:(\d+) cards?(?:, |$))?(?:(\S+) cores?(?:, |$))?(\S+)?", text)
    return (
        found is not None
        and int(found[1] or 0) == cards
        and (_near(found[2], Fraction(cpu_milli, 1000)) if found[2] else cpu_milli >= 1 << 60)
        and (_near(found[3], Fraction(memory)) if found[3] else memory >= 1 << 60)
    )


def _near(text: str, value: Fraction) -> bool:
    """Amounts of bytes are shown with one place behind the point."""
    shown = amount(text)
    unit = amount("1" + text.lstrip("0123456789.")) if text[-1] == "i" else Fraction(0)
    return abs(shown - value) <= unit / 20


def _names(listed: list[str]) -> str:
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


SAYS: Mapping[str, Callable[[Judge, WaitingJob, Place, str], bool]] = {
    "AccountNotAllowed": _account,
    "ClassNotOffered": _class,
    "ResidencyForbids": _residency,
    "PolicyForbids": _policy,
    "LatencyBoundExceeded": _latency,
    "CostLimitExceeded": _cost,
    "DeadlineUnreachable": _deadline,
    "SiteInactive": _inactive,
    "TaskFitsNoNode": _node_size,
    "InsufficientCapacity": _site_size,
    "SiteNotReady": _not_ready,
    "QuotaExceeded": _quota,
    "SiteBackoff": _backoff,
    "WaitingForCapacity": _units,
    "CapacityFragmented": _nodes,
}
