"""Decisions in words and numbers; it only formats what filters, scores and the solver found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple, Self

import numpy as np

from suanli.api.job import CostLines, Estimate, Placement, Queue, Rejection, RunnerUp
from suanli.base.clock import LAST_MS, time_text
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import duration_text
from suanli.placement.accept import Refusal
from suanli.placement.batch import Batch, Bools, Floats, Ints
from suanli.placement.filters import MENDED_BY_WAITING, Sieve
from suanli.placement.ground import Ground
from suanli.placement.scores import Costs, moving_s
from suanli.placement.snapshot import Decision
from suanli.placement.transfer import Traffic, copies_at, inputs_of

RUNNERS_UP = 3
TOLD = 3  # reasons with their example in the message
EXAMPLE_CHARS = 512
MESSAGE_CHARS = 900
WAITS = -1


def refused(said: Refusal) -> Decision:
    """A job for which no site was asked."""
    return Decision(None, None, said.reason, said.message)


@dataclass(frozen=True)
class Ways:
    """The cheapest way to run each row at each site that has a pool.

    Shapes: `site_c` (C,) numbers in `Batch.sites`; `pool_rc` (R, C); `total_rc` (R, C) micro-yuan, infinite where the site cannot
    take the row.
    """

    site_c: Ints
    pool_rc: Ints
    total_rc: Floats

    @classmethod
    def of(cls, batch: Batch, total_rp: Floats, allowed_rp: Bools) -> Self:
        """Pools are in the order of their sites. Shapes: (R, P), (R, P)."""
        firsts, pools = batch.ground.first_pools, np.arange(len(batch.pools))
        if not len(pools):
            none = np.zeros((len(batch.rows), 0), dtype=np.int64)
            return cls(none[:0].ravel(), none, none.astype(float))
        column_p = np.searchsorted(firsts, pools, side="right") - 1
        open_rp = np.where(allowed_rp, total_rp, np.inf)
        total_rc = np.minimum.reduceat(open_rp, firsts, axis=1)
        pool_rc = np.minimum.reduceat(np.where(open_rp == total_rc[:, column_p], pools, len(pools)), firsts, axis=1)
        return cls(batch.site_p[firsts], pool_rc, total_rc)

    def nearest(self) -> tuple[list[list[int]], list[list[int]], list[list[float]]]:
        """Site, pool and cost of each row's cheapest ways, the cheapest first, one more than is told: one may be where a job runs."""
        best_rn = np.argsort(self.total_rc, axis=1, kind="stable")[:, : RUNNERS_UP + 1]
        pool_rn, total_rn = (np.take_along_axis(of_rc, best_rn, axis=1) for of_rc in (self.pool_rc, self.total_rc))
        return self.site_c[best_rn].tolist(), pool_rn.tolist(), total_rn.tolist()


class _Run(NamedTuple):
    """Jobs of one row in one pool. `sites` could take them, `cheaper` of the others cost less. Units: micro-yuan."""

    row: int
    pool: int
    site: int
    total: int
    paid: int
    sites: int
    cheaper: int


@dataclass(frozen=True)
class Said:
    """What was said of alike jobs, and the numbers that made it so.

    `nearest` are site, pool and cost of the cheapest ways, `fell` how many sites fell to each reason, with an example; `decisions`
    are by pool, that of those who wait by `WAITS`, with the numbers of each.
    """

    nearest: tuple[list[int], list[int], list[float]]
    fell: list[tuple[Reason, int, str]]
    best: list[tuple[int, RunnerUp]]
    rejections: list[Rejection]
    decisions: dict[int, tuple[tuple[float | None, ...], Decision]]


@dataclass(frozen=True)
class Memory:
    """What the last cycle said, by account and question. It holds on the same ground only: names, ways and copies are of it."""

    ground: Ground
    now_ms: int
    said: dict[tuple[str, str], Said]


class Explainer:
    """Says of each row once what its jobs share. What it said in the cycle before and would say again, it takes from there."""

    def __init__(
        self, batch: Batch, costs: Costs, sieve: Sieve, traffic: Traffic, before: Memory | None = None
    ) -> None:
        self._batch = batch
        self._traffic = traffic
        self._sieve = sieve
        self._costs = costs
        self._ways = ways = Ways.of(batch, costs.total_rp, sieve.allowed_rp)
        self._nearest = ways.nearest()
        self._names = [view.site.metadata.name for view in batch.sites]
        self._fell = sieve.counted()
        self._of_row: dict[int, Said] = {}
        self._known: dict[int, Said] = {}
        self._fallen: dict[int, Decision] = {}
        self._starts: dict[int, str] = {}
        self._before = before if before is not None and before.ground is batch.ground else None
        self.memory = Memory(batch.ground, batch.now_ms, {})

    def placed(self, rows: Ints, pools: Ints) -> Iterator[Decision]:
        """One decision for all jobs of a row that run in a pool. Shapes: (N,), (N,), rows in ascending order."""
        costs, ways, site_n = self._costs, self._ways, self._batch.site_p[pools]
        total_n, total_nc = costs.total_rp[rows, pools], ways.total_rc[rows]
        cheaper_n = ((total_nc < total_n[:, None]) & (ways.site_c != site_n[:, None])).sum(axis=1)
        paid_n = costs.paid_rp[rows, pools]
        told = (rows, pools, site_n, _whole(total_n), _whole(paid_n), np.isfinite(total_nc).sum(axis=1), cheaper_n)
        runs = map(_Run._make, zip(*(of_n.tolist() for of_n in told), strict=True))
        line_n = zip(*(_whole(line[rows, pools]).tolist() for line in costs.lines.values()), strict=True)
        for row, of_row in groupby(zip(runs, line_n, strict=True), key=lambda one: one[0].row):
            said, reads = self._said(row), bool(inputs_of(self._batch, row))
            for run, line in of_row:
                moved = self._traffic.ms(run.row, run.site) if reads else 0
                numbers = (*run[1:], *line, moved)
                decision = self._again(row, run.pool, numbers)
                if decision is None:
                    lines = {name: str(cost) for name, cost in zip(costs.lines, line, strict=True)}
                    decision = self._describe(run, lines, moved, said, reads)
                elif self._before is not None and self._before.now_ms != self._batch.now_ms:
                    decision = replace(decision, estimate=self._estimate(run, moved))
                said.decisions[run.pool] = numbers, decision
                yield decision

    def waiting(self, r: int, ahead: int) -> Decision:
        """A job of row r that found no place."""
        if r not in self._fallen:
            taken = np.flatnonzero(self._sieve.fell_rs[r] < 0)
            numbers = len(taken), int(taken[0]) if len(taken) else None
            self._fallen[r] = self._again(r, WAITS, numbers) or self._why(r, *numbers)
            self._said(r).decisions[WAITS] = numbers, self._fallen[r]
        why = self._fallen[r]
        queue = Queue(position=ahead + 1, ahead=ahead) if why.reason in MENDED_BY_WAITING else None
        return replace(why, queue=queue)

    def _said(self, r: int) -> Said:
        """What all jobs of a row share."""
        if r not in self._of_row:
            row, sieve = self._batch.rows[r], self._sieve
            sites, pools, totals = self._nearest
            nearest = sites[r], pools[r], totals[r]
            fallen = sorted((-many_r[r], first_r[r], reason) for reason, many_r, first_r in self._fell if many_r[r])
            fell = [(reason, -less, sieve.why(self._batch, r, s)[:EXAMPLE_CHARS]) for less, s, reason in fallen]
            known = self._before.said.get((row.account, row.spec.question)) if self._before is not None else None
            if known is not None and known.nearest == nearest and known.fell == fell:
                self._known[r] = known
                best, rejections = known.best, known.rejections
            else:
                best = self._best(*nearest)
                rejections = [Rejection(reason=str(reason), count=many, example=text) for reason, many, text in fell]
            self._of_row[r] = Said(nearest, fell, best, rejections, {})
            self.memory.said[row.account, row.spec.question] = self._of_row[r]
        return self._of_row[r]

    def _again(self, r: int, place: int, numbers: tuple[float | None, ...]) -> Decision | None:
        """What was said of the row in that place, if it came from the same numbers."""
        self._said(r)
        before = self._known[r].decisions.get(place) if r in self._known else None
        return before[1] if before is not None and before[0] == numbers else None

    def _describe(self, run: _Run, lines: Mapping[str, str], moved: int | None, said: Said, reads: bool) -> Decision:
        b, name = self._batch, self._names[run.site]
        path = b.paths_us[int(b.origin_r[run.row])][run.site]
        others = [way for site, way in said.best if site != run.site][:RUNNERS_UP]
        placement = Placement.trusted(
            cost=CostLines.trusted(**lines, total=str(run.total)),
            latency=duration_text(path.one_way_us),
            latency_source="Measured" if path.measured else "Estimated",
            runners_up=others,
            rejections=said.rejections,
            bound_gap_ppm=None,
        )
        tariff = b.tariff(run.row, run.pool)
        message = _praise(name, run, others) + (f"; billed by Tariff {tariff}" if tariff else "")
        message += _told_of_copies(copies_at(b, run.row, run.site)) if reads else ""
        message += self._told_of_checkpoint(run, next((site for site, _ in said.best if site != run.site), None))
        class_ = b.pools[run.pool].resource.class_
        return Decision(name, class_, Reason.PLACED, message, placement, self._estimate(run, moved))

    def _told_of_checkpoint(self, run: _Run, other: int | None) -> str:
        """What the checkpoint costs there, or what it would cost at the next best site."""
        b, kept = self._batch, self._batch.kept_r[run.row]
        if kept is None:
            checkpoint = b.rows[run.row].spec.checkpoint
            site = checkpoint.site if checkpoint else None
            return f"; its checkpoint at {site} cannot be had and counts for nothing" if site else ""
        (piece,) = (piece for piece in inputs_of(b, run.row) if piece.site is not None)
        cost_s = moving_s(b, run.row, piece)
        if kept.site != run.site:
            return f"; its checkpoint comes from {self._names[kept.site]} for {yuan_text(int(cost_s[run.site]))} CNY"
        more = (
            ""
            if other is None
            else f", moving it to {self._names[other]} would cost {yuan_text(int(cost_s[other]))} CNY"
        )
        return f"; its checkpoint lies there{more}"

    def _estimate(self, run: _Run, moved: int | None) -> Estimate:
        billed = self._batch.bill(run.row, run.pool, self._start_ms(moved or 0), self._batch.now_ms)
        return Estimate.trusted(
            cost=str(run.paid if billed is None else billed),
            transfer_time=duration_text(moved * 1_000) if moved else None,
            start=None if moved is None else self._start(moved),
        )

    def _best(self, sites: list[int], pools: list[int], totals: list[float]) -> list[tuple[int, RunnerUp]]:
        """The cheapest ways to run a row, and at which sites."""
        b = self._batch
        return [
            (
                site,
                RunnerUp.trusted(site=self._names[site], class_=b.pools[pool].resource.class_, total=str(int(total))),
            )
            for site, pool, total in zip(sites, pools, totals, strict=True)
            if total < np.inf
        ]

    def _start(self, moved_ms: int) -> str:
        """When inputs that begin to move now are there; in whole seconds, as transfer times are told."""
        if moved_ms not in self._starts:
            self._starts[moved_ms] = time_text(self._start_ms(moved_ms))
        return self._starts[moved_ms]

    def _start_ms(self, moved_ms: int) -> int:
        return min(LAST_MS, self._batch.now_ms + -(-moved_ms // 1_000) * 1_000)

    def _why(self, r: int, taken: int, first: int | None) -> Decision:
        b, rejections = self._batch, self._said(r).rejections
        if first is not None:
            name = self._names[first]
            text = f"{name} could take it, but what is free there goes to other jobs of this plan"
            rejections = _added(rejections, Rejection(reason=Reason.WAITING_FOR_CAPACITY, count=taken, example=text))
        reasons = {rejection.reason for rejection in rejections}
        reason = next((x for x in MENDED_BY_WAITING if x in reasons), Reason.NO_FEASIBLE_SITE)
        told = [f"{x.count} {x.reason} ({x.example})" for x in rejections[:TOLD]]
        told += [f"{x.count} {x.reason}" for x in rejections[TOLD:]]
        message = f"none of {len(b.sites)} sites: {'; '.join(told)}"[:MESSAGE_CHARS]
        return Decision(None, None, reason, message, Placement(rejections=rejections))


def _whole(cost_n: Floats) -> Ints:
    """Costs are whole, and are cut long before integers end. Shape (N,). Units: micro-yuan."""
    return cost_n.astype(np.int64)


def _praise(name: str, run: _Run, others: list[RunnerUp]) -> str:
    cost = f"{yuan_text(run.total)} CNY with policy weights"
    if not others:
        return f"{name}: {cost}; the only site that can take it now"
    next_ = f"{others[0].site} {yuan_text(int(others[0].total))} CNY"
    if not run.cheaper:
        return f"{name}: {cost}, the cheapest of {run.sites} sites; next {next_}"
    return f"{name}: {cost}; {run.cheaper} of {run.sites} sites are cheaper but needed by other jobs, such as {next_}"


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
