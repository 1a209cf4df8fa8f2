"""Decisions in words and numbers; it only formats what filters, scores and the solver found."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

import numpy as np

from suanli.api.job import CostLines, Estimate, Placement, Queue, Rejection, RunnerUp
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import duration_text
from suanli.placement.accept import Refusal
from suanli.placement.batch import Batch, Ints
from suanli.placement.filters import MENDED_BY_WAITING, Sieve
from suanli.placement.scores import Costs
from suanli.placement.snapshot import Decision
from suanli.placement.transfer import Traffic, copies_at

RUNNERS_UP = 3
TOLD = 3  # reasons with their example in the message
EXAMPLE_CHARS = 512
MESSAGE_CHARS = 900


def refused(said: Refusal) -> Decision:
    """A job for which no site was asked."""
    return Decision(None, None, said.reason, said.message)


@dataclass(frozen=True)
class Ways:
    """The cheapest way to run a row at each site that could take it, the cheapest first, and what it costs."""

    sites: list[int]
    totals: list[float]
    best: list[RunnerUp]  # one more than is told: one of them may be where it runs


class Explainer:
    """Says of each row once what its jobs share."""

    def __init__(self, batch: Batch, costs: Costs, sieve: Sieve, traffic: Traffic) -> None:
        self._batch = batch
        self._traffic = traffic
        self._sieve = sieve
        self._costs = costs
        self._total_rp = costs.total_rp
        self._paid_rp = costs.paid_rp
        self._ways: dict[int, Ways] = {}
        self._fell: dict[int, list[Rejection]] = {}
        self._placed: dict[tuple[int, int], Decision] = {}
        self._fallen: dict[int, tuple[Reason, str, list[Rejection]]] = {}

    def placed(self, r: int, p: int) -> Decision:
        """A job of row r that runs in pool p."""
        if (r, p) not in self._placed:
            self._placed[r, p] = self._describe(r, p)
        return self._placed[r, p]

    def waiting(self, r: int, ahead: int) -> Decision:
        """A job of row r that found no place."""
        if r not in self._fallen:
            self._fallen[r] = self._why(r)
        reason, message, rejections = self._fallen[r]
        queue = Queue(position=ahead + 1, ahead=ahead) if reason in MENDED_BY_WAITING else None
        return Decision(None, None, reason, message, Placement(rejections=rejections), queue=queue)

    def _describe(self, r: int, p: int) -> Decision:
        b, site = self._batch, int(self._batch.site_p[p])
        name = b.sites[site].site.metadata.name
        ways = self._ways_of(r)
        others = [way for way in ways.best if way.site != name][:RUNNERS_UP]
        total = int(self._total_rp[r, p])
        path = b.paths_us[int(b.origin_r[r])][site]
        lines = {line: str(int(cost[r, p])) for line, cost in self._costs.lines.items()}
        moved = self._traffic.ms(r, site)
        # All of it is ours: nothing is left to be validated, and there may be a hundred thousand of them.
        placement = Placement.model_construct(
            cost=CostLines.model_construct(None, **lines, total=str(total)),
            latency=duration_text(path.one_way_us),
            latency_source="Measured" if path.measured else "Estimated",
            runners_up=others,
            rejections=self._rejections(r),
        )
        estimate = Estimate.model_construct(
            cost=str(int(self._paid_rp[r, p])),
            transfer_time=duration_text(moved * 1_000) if moved else None,
        )
        resource = b.pools[p].resource
        message = _praise(name, site, total, ways, others) + _told_of_copies(copies_at(b, r, site))
        return Decision(name, resource.class_, Reason.PLACED, message, placement, estimate)

    def _ways_of(self, r: int) -> Ways:
        if r not in self._ways:
            pools = self._cheapest_ways(r)
            best = [self._runner_up(r, p) for p in pools[: RUNNERS_UP + 1].tolist()]
            self._ways[r] = Ways(self._batch.site_p[pools].tolist(), self._total_rp[r, pools].tolist(), best)
        return self._ways[r]

    def _runner_up(self, r: int, p: int) -> RunnerUp:
        return RunnerUp(
            site=self._batch.sites[int(self._batch.site_p[p])].site.metadata.name,
            class_=self._batch.pools[p].resource.class_,
            total=str(int(self._total_rp[r, p])),
        )

    def _cheapest_ways(self, r: int) -> Ints:
        """One pool of each site that could take the row, the cheapest first, then by site. Shape (N,)."""
        pools = np.flatnonzero(self._sieve.allowed_rp[r])
        pools = pools[np.lexsort((pools, self._batch.site_p[pools], self._total_rp[r, pools]))]
        first = np.sort(np.unique(self._batch.site_p[pools], return_index=True)[1])
        return np.asarray(pools[first])

    def _rejections(self, r: int) -> list[Rejection]:
        if r not in self._fell:
            self._fell[r] = self._rejected(r)
        return self._fell[r]

    def _rejected(self, r: int) -> list[Rejection]:
        """How many sites fell to each reason, most first, each with one of them in numbers."""
        sieve = self._sieve
        fell = np.flatnonzero(sieve.fell_rs[r] >= 0).tolist()
        reasons = [sieve.reason(r, s) for s in fell]
        found = []
        for reason, count in Counter(reasons).most_common():
            text = sieve.why(self._batch, r, fell[reasons.index(reason)])[:EXAMPLE_CHARS]
            found.append(Rejection(reason=str(reason), count=count, example=text))
        return found

    def _why(self, r: int) -> tuple[Reason, str, list[Rejection]]:
        b, rejections = self._batch, self._rejections(r)
        taken = [s for s in range(len(b.sites)) if self._sieve.fell_rs[r, s] < 0]
        if taken:
            name = b.sites[taken[0]].site.metadata.name
            text = f"{name} could take it, but what is free there goes to other jobs of this plan"
            rejections = _added(
                rejections, Rejection(reason=Reason.WAITING_FOR_CAPACITY, count=len(taken), example=text)
            )
        reasons = {rejection.reason for rejection in rejections}
        reason = next((x for x in MENDED_BY_WAITING if x in reasons), Reason.NO_FEASIBLE_SITE)
        told = [f"{x.count} {x.reason} ({x.example})" for x in rejections[:TOLD]]
        told += [f"{x.count} {x.reason}" for x in rejections[TOLD:]]
        return reason, f"none of {len(b.sites)} sites: {'; '.join(told)}"[:MESSAGE_CHARS], rejections


def _praise(name: str, site: int, total: int, ways: Ways, others: list[RunnerUp]) -> str:
    cost = f"{yuan_text(total)} CNY with policy weights"
    if not others:
        return f"{name}: {cost}; the only site that can take it now"
    next_ = f"{others[0].site} {yuan_text(int(others[0].total))} CNY"
    sites = len(ways.sites)
    cheaper = bisect_left(ways.totals, total) - (ways.totals[ways.sites.index(site)] < total)
    if not cheaper:
        return f"{name}: {cost}, the cheapest of {sites} sites; next {next_}"
    return f"{name}: {cost}; {cheaper} of {sites} sites are cheaper but needed by other jobs, such as {next_}"


def _told_of_copies(datasets: list[str]) -> str:
    """Why less is moved than is read."""
    if not datasets:
        return ""
    more = f" and {len(datasets) - TOLD} more" if len(datasets) > TOLD else ""
    are = "is" if len(datasets) == 1 else "are"
    return f"; {', '.join(datasets[:TOLD])}{more} {are} read from the copy there, not moved"


def _added(rejections: list[Rejection], new: Rejection) -> list[Rejection]:
    """With the new one counted in where its reason is there already."""
    same = sum(x.count for x in rejections if x.reason == new.reason)
    kept = [x for x in rejections if x.reason != new.reason]
    return sorted([*kept, new.model_copy(update={"count": new.count + same})], key=lambda x: -x.count)
