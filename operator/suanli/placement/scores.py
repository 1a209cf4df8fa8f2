"""What speaks for and against a pool, all of it in money: one function a row of SCORES.

Every score has shape (R, P) and the unit micro-yuan for the job's whole expected run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from suanli.base.units import MS_PER_HOUR
from suanli.placement.batch import Batch, Bools, Floats, Ints
from suanli.placement.charges import units_rp, watts_rp
from suanli.placement.freight import GIB
from suanli.placement.transfer import Piece, inputs_of, lies_at_s, outputs_of

MOST_MICRO_YUAN = float(1 << 50)  # sums of all lines, each cut here, are still exact
LEAST_OF_CHECKPOINT = 1.0  # micro-yuan, also where moving it is free: among equal sites the one that has it is better
WATT_MS_PER_KWH = 1_000 * MS_PER_HOUR

Score = Callable[[Batch], Floats]


@dataclass(frozen=True)
class Costs:
    """All scores of a batch, by the names of SCORES.

    Shapes: each of `lines` (R, P), `billed_rp` (R, P) whether a tariff says what is paid, `carried_rp` (R, P) what operators of links
    bill beside the run there. Units: micro-yuan.
    """

    lines: Mapping[str, Floats]
    billed_rp: Bools | None = None
    carried_rp: Floats | float = 0.0

    @cached_property
    def paid_rp(self) -> Floats:
        """What the expected run is to be paid: what its bill will be, or all but what is on paper. Shape (R, P). Units: micro-yuan."""
        paid_rp = np.asarray(sum(self.lines[name] for name in PAID))
        return (
            paid_rp
            if self.billed_rp is None
            else np.where(self.billed_rp, self.lines["run"] + self.carried_rp, paid_rp)
        )

    @cached_property
    def total_rp(self) -> Floats:
        """What the plan makes small: the sum of all lines. Shape (R, P). Units: micro-yuan."""
        return np.asarray(sum(self.lines.values()))


def run_cost(b: Batch) -> Floats:
    """What the tariff in force bills for the run begun now; without one, the list price of the units: cards, or cores to the millicore.

    Shape (R, P). Units: micro-yuan.
    """
    listed_rp = np.asarray(_hours_rp(b) * units_rp(b) * b.ground.list_price_p)
    return listed_rp if b.billed is None else np.where(b.billed.is_rp, b.billed.cost_rp, listed_rp)


def energy_cost(b: Batch) -> Floats:
    """Electricity; where a tariff says what is paid, it is in its prices, or an item of it: nothing. Shape (R, P). Units: micro-yuan."""
    cost_rp = electricity(b)
    return cost_rp if b.billed is None else np.where(b.billed.is_rp, 0.0, cost_rp)


def electricity(b: Batch) -> Floats:
    """Electricity of the units at rated power x PUE, at the prices of the hours in which a run from now on is expected, whoever pays it.

    Shape (R, P). Units: micro-yuan. Source: PUE is total over IT energy (GB/T 32910.3).
    """
    mean_lp = b.ground.tariffs.mean(b.site_p, b.now_ms, b.duration_ms_lp)
    return np.asarray(_kwh_rp(b) * mean_lp[b.length_r])


def preference(b: Batch) -> Ints:
    """Which of pools that cost a row the same is taken, the smallest number first: the class that it wishes first, and of one class,
    where tariffs make it the same, the pool with the least electricity. Shape (R, P).
    """
    if b.billed is None:
        return b.wish_rp
    order_rp = np.argsort(electricity(b), axis=1, kind="stable")
    return np.asarray(b.wish_rp * len(b.pools) + np.argsort(order_rp, axis=1))


def transfer_cost(b: Batch) -> Floats:
    """Moving inputs to the site and outputs from it, per GiB and link of the path.

    What a tariff of the link's operator bills goes before the price that the link names. A link with neither, and a path that is
    estimated, costs the policy's transferPricePerGib. A dataset of which a copy lies at the site is not moved, and no checkpoint
    that does. Shape (R, P). Units: micro-yuan.
    """
    cost_rs = np.zeros((len(b.rows), len(b.sites)))
    for r in range(len(b.rows)):
        for piece in (*inputs_of(b, r), *outputs_of(b, r)):
            cost_rs[r] += moving_s(b, r, piece)
    return np.asarray(cost_rs[:, b.site_p])


def moving_s(b: Batch, r: int, piece: Piece) -> Floats:
    """Moving one piece of a row between its region and every site. Shape (S,). Units: micro-yuan."""
    least = 0.0 if piece.site is None else LEAST_OF_CHECKPOINT
    cost_s = np.maximum(b.freight.prices(r, piece.region).compared_s * (piece.size / GIB), least)
    return np.where(lies_at_s(b, piece), 0.0, cost_s)


def carriage_rp(b: Batch) -> Floats:
    """What tariffs of those who run links bill for what is moved, at the prices of now; near to the micro-yuan while these hold.

    Shape (R, P). Units: micro-yuan.
    """
    cost_rs = np.zeros((len(b.rows), len(b.sites)))
    for r in range(len(b.rows)) if b.freight.may_be_billed else ():
        for piece in (*inputs_of(b, r), *outputs_of(b, r)):
            billed_s = b.freight.prices(r, piece.region).billed_s
            cost_rs[r] += np.where(lies_at_s(b, piece), 0.0, billed_s * (piece.size / GIB))
    return np.asarray(cost_rs[:, b.site_p])


def carbon_cost(b: Batch) -> Floats:
    """Carbon of what is not green, by the grid's factor, at the policy's price per tonne (location-based)."""
    return np.asarray(_kwh_rp(b) * b.ground.carbon_price_p)


def policy_weight(b: Batch) -> Floats:
    """Prefer rules and pairings take their weight off, Avoid rules put it on, per task and hour."""
    weight_op = np.array([b.ground.stance(sort).weight_p for sort in b.sorts]).reshape(len(b.sorts), len(b.pools))
    return np.asarray(_hours_rp(b) * b.tasks_r[:, None] * weight_op[b.sort_r])


SCORES: Mapping[str, Score] = {
    "run": run_cost,
    "energy": energy_cost,
    "transfer": transfer_cost,
    "carbon": carbon_cost,
    "policy": policy_weight,
}
# What somebody is to pay where no tariff says it, otherwise it is the run; the others are compared only.
PAID = ("run", "energy", "transfer")


def score(b: Batch) -> Costs:
    """Every line, in whole micro-yuan, cut where it is beyond any money."""
    lines = {name: np.clip(s(b), -MOST_MICRO_YUAN, MOST_MICRO_YUAN) for name, s in SCORES.items()}
    for line_rp in lines.values():
        np.rint(line_rp, out=line_rp)
    return Costs(lines) if b.billed is None else Costs(lines, b.billed.is_rp, np.rint(carriage_rp(b)))


def _hours_rp(b: Batch) -> Floats:
    return b.duration_ms_rp / MS_PER_HOUR


def _kwh_rp(b: Batch) -> Floats:
    """Energy of the whole run."""
    return np.asarray(watts_rp(b) * (b.duration_ms_rp / WATT_MS_PER_KWH))
