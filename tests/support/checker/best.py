"""The best plan of a small instance by trying all: fewest that wait by priority from the highest, then the least cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from checker.judge import Judge, groups_of, task_of
from checker.room import Gang, fit_together
from suanli.placement.snapshot import Country, SiteView, WaitingJob

Value = tuple[tuple[int, ...], int]


@dataclass(frozen=True)
class Best:
    """Jobs that wait, by priority from the highest, and what those that run cost."""

    waiting: tuple[int, ...]
    cost: int


def best_plan(
    waiting: Sequence[WaitingJob],
    sites: Sequence[SiteView],
    country: Country,
    now_ms: int,
    only: frozenset[str] | None = None,
) -> Best | None:
    """The best plan; with `only`, the cheapest one that runs exactly these jobs, None if there is none."""
    judge = Judge(list(sites), country, now_ms)
    jobs = [job for job in waiting if not judge.refusals(job) and (only is None or job.uid in only)]
    jobs.sort(key=lambda job: (-job.job.spec.priority, job.job.spec.model_dump_json()))
    levels = sorted({job.job.spec.priority for job in waiting if not judge.refusals(job)}, reverse=True)
    options = [
        sorted((judge.total(job, p), key) for key, p in judge.places.items() if judge.first_no(job, p) is None)
        for job in jobs
    ]
    nodes = {key: groups_of(place.room.free) for key, place in judge.places.items()}
    loads: dict[tuple[str, str], list[Gang]] = {key: [] for key in nodes}
    rest = [sum(own[0][0] if own else 0 for own in options[i:]) for i in range(len(jobs) + 1)]
    gangs = [(task_of(job.job.spec), job.job.spec.tasks) for job in jobs]
    alike = [(gangs[i], options[i], jobs[i].job.spec.priority) for i in range(len(jobs))]
    best: Value | None = None

    def visit(i: int, left: tuple[int, ...], cost: int, before: int = 0) -> None:
        """`before`: the choice of the job before; an equal one behind it chooses no earlier one."""
        nonlocal best
        if best is not None and (left, cost + rest[i]) >= best:
            return
        if i == len(jobs):
            best = (left, cost)
            return
        first = before if i and alike[i] == alike[i - 1] else 0
        for choice, (price, key) in enumerate(options[i]):
            if choice < first:
                continue
            loads[key].append(gangs[i])
            if fit_together(nodes[key], loads[key]):
                visit(i + 1, left, cost + price, choice)
            loads[key].pop()
        if only is None:
            level = levels.index(jobs[i].job.spec.priority)
            visit(i + 1, (*left[:level], left[level] + 1, *left[level + 1 :]), cost, len(options[i]))

    visit(0, (0,) * len(levels), 0)
    return None if best is None else Best(*best)
