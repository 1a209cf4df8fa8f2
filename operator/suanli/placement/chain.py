"""The whole chain of one job: what each site fell to, in numbers, and what the run would cost in every pool that is left."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from suanli.base.reasons import Reason
from suanli.placement.accept import refusals
from suanli.placement.batch import make_batch
from suanli.placement.filters import FILTERS, sift
from suanli.placement.question import Question
from suanli.placement.scores import score
from suanli.placement.snapshot import WaitingJob


@dataclass(frozen=True)
class Way:
    """A class at a site that could run the job, were it not for others.

    Units: micro-yuan; `lines` are the cost lines and their `total`, `paid` is what of them is to be paid, rounded up.
    """

    site: str
    class_: str
    lines: Mapping[str, int]
    paid: int

    @property
    def total(self) -> int:
        """What the plan compares: all lines. Units: micro-yuan."""
        return self.lines["total"]


@dataclass(frozen=True)
class Fallen:
    """A site that cannot take the job; `step` counts the filters from 1."""

    site: str
    step: int
    reason: Reason
    why: str


@dataclass(frozen=True)
class Chain:
    """What is left, the cheapest way first, and what fell, in the order of the filters."""

    ways: tuple[Way, ...] = ()
    fallen: tuple[Fallen, ...] = ()


STEPS = len(FILTERS)


def chain(question: Question, job: WaitingJob) -> Chain:
    """Run every filter and score over one job alone, with the classes that it is denied; empty where no site is asked for it."""
    sites, country, now_ms = question.sites, question.country, question.now_ms
    if refusals([job], sites, country, now_ms):
        return Chain()
    batch = make_batch([job], sites, country, now_ms)
    costs = score(batch)
    sieve = sift(batch, costs)
    paid_p, total_p = costs.paid_rp[0], costs.total_rp[0]
    ways = []
    for p in np.flatnonzero(sieve.allowed_rp[0]).tolist():
        s = int(batch.site_p[p])
        lines = {name: int(line[0, p]) for name, line in costs.lines.items()} | {"total": int(total_p[p])}
        class_ = batch.pools[p].resource.class_
        ways.append(Way(batch.sites[s].site.metadata.name, class_, lines, math.ceil(paid_p[p])))
    fallen = []
    for s, view in enumerate(batch.sites):
        reason = sieve.reason(0, s)
        if reason is not None:
            name = view.site.metadata.name
            why = sieve.why(batch, 0, s).removeprefix(f"{name} ")
            fallen.append(Fallen(name, int(sieve.fell_rs[0, s]) + 1, reason, why))
    return Chain(
        tuple(sorted(ways, key=lambda way: (way.total, way.site, way.class_))),
        tuple(sorted(fallen, key=lambda fell: (fell.step, fell.site))),
    )
