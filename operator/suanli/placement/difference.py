"""Two plans side by side: who moves, who waits now and who no longer, and what each site holds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from suanli.api.site import ComputeUnit
from suanli.base.units import cpu_milli
from suanli.placement.batch import tier_of
from suanli.placement.question import Answered
from suanli.placement.snapshot import WaitingJob

Place = tuple[str, str]  # site and class


@dataclass(frozen=True)
class Difference:
    """What becomes of the jobs, by UID.

    `moved` counts jobs by where they are before and after; `came` and `went` are jobs that only one side has;
    `same_place` and `still_wait` count those for which nothing changes.
    """

    moved: Mapping[tuple[Place, Place], int]
    newly_waiting: tuple[str, ...]
    newly_placed: tuple[str, ...]
    came: tuple[str, ...]
    went: tuple[str, ...]
    same_place: int
    still_wait: int

    @property
    def nothing(self) -> bool:
        """Whether no job comes, goes, moves, or begins or ends to wait."""
        return not (self.moved or self.newly_waiting or self.newly_placed or self.came or self.went)


def compare(before: Answered, after: Answered) -> Difference:
    """Job by job."""
    old, new = before.jobs, after.jobs
    moved: Counter[tuple[Place, Place]] = Counter()
    waiting, placed = list[str](), list[str]()
    same = still = 0
    for uid in old:
        if uid not in new:
            continue
        was, will = before.place_of(uid), after.place_of(uid)
        if was is None and will is None:
            still += 1
        elif was is None:
            placed.append(uid)
        elif will is None:
            waiting.append(uid)
        elif was == will:
            same += 1
        else:
            moved[was, will] += 1
    return Difference(
        dict(sorted(moved.items(), key=lambda item: (-item[1], item[0]))),
        tuple(waiting),
        tuple(placed),
        came=tuple(uid for uid in new if uid not in old),
        went=tuple(uid for uid in old if uid not in new),
        same_place=same,
        still_wait=still,
    )


@dataclass(frozen=True)
class Use:
    """Units of one class at one site that jobs hold or are to hold, of all that are there. Units: cards, or millicores."""

    unit: ComputeUnit
    held: int
    all: int
    jobs: int


def use(answered: Answered) -> Mapping[Place, Use]:
    """The use of every class at every site."""
    held: Counter[Place] = Counter()
    jobs: Counter[Place] = Counter()
    units: dict[Place, ComputeUnit] = {}
    room: dict[Place, int] = {}
    for view in answered.question.sites:
        for resource in view.site.spec.resources:
            place = view.site.metadata.name, resource.class_
            units[place] = resource.unit
            nodes = view.classes[resource.class_].empty if resource.class_ in view.classes else ()
            room[place] = sum(n.count * (n.cards if resource.unit is ComputeUnit.CARD else n.cpu_milli) for n in nodes)
    for uid, job in answered.jobs.items():
        at = answered.place_of(uid)
        if at is not None and at in units:
            held[at] += units_of(job, units[at])
            jobs[at] += 1
    return {place: Use(unit, held[place], room[place], jobs[place]) for place, unit in units.items()}


def units_of(job: WaitingJob, unit: ComputeUnit) -> int:
    """What the whole job holds. Units: cards, or millicores."""
    per_task = job.job.spec.resources.per_task
    return job.job.spec.tasks * (per_task.cards if unit is ComputeUnit.CARD else cpu_milli(per_task.cpu))


def placed_by_tier(answered: Answered) -> Mapping[str, tuple[int, int]]:
    """By latency tier, how many of its jobs have a place, and how many there are. A place is always within the job's bound."""
    placed: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for uid, job in answered.jobs.items():
        tier = tier_of(job.job.spec, answered.question.country)
        there[tier] += 1
        placed[tier] += answered.place_of(uid) is not None
    return {tier: (placed[tier], count) for tier, count in sorted(there.items())}
