"""Figures of the policy computed from what ran, each with what it was made from: the one place that knows them here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from suanli.api.policy import Comparison, Side
from suanli.base.units import micro
from suanli.placement.batch import Bools, bound_us
from suanli.simulate.engine import Ran
from suanli.simulate.land import Land
from suanli.simulate.meter import Bill, Meter
from suanli.simulate.workload import Workload

MICRO = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One figure. `value` is None where there is nothing to divide by; `met` where the policy has no target for it."""

    name: str
    unit: str
    numerator: float
    denominator: float
    value: float | None
    target: str = ""
    met: bool | None = None


def figures(land: Land, workload: Workload, meter: Meter, ran: Ran, bill: Bill) -> tuple[Figure, ...]:
    """All figures of one run, with the targets of the policy."""
    return tuple(_aimed(land, figure) for figure in _figures(land, workload, meter, ran, bill))


def _figures(land: Land, workload: Workload, meter: Meter, ran: Ran, bill: Bill) -> Iterator[Figure]:
    started = ran.pool_n >= 0
    place_n = np.maximum(ran.pool_n, 0)
    west_n = _west_p(land)[place_n] & started if len(land.pools) else started
    east_t = np.array([land.country.side(t.origin) == Side.EAST for t in workload.types], dtype=bool)
    east_n = east_t[workload.type_n] & started
    card_n = meter.is_card_p[place_n] & started if len(land.pools) else started
    for unit, of_unit in (("card-hours", card_n), ("core-hours", started & ~card_n)):
        if of_unit.any():
            moved, all_ = bill.unit_hours[east_n & west_n & of_unit].sum(), bill.unit_hours[east_n & of_unit].sum()
            yield _share("east-to-west-share", unit, moved, all_)
    bound_t = np.array([bound_us(t.job.spec, land.country) for t in workload.types], dtype=np.int64)
    tiered_n = np.array([t.job.spec.latency is not None for t in workload.types], dtype=bool)[workload.type_n] & started
    within_n = workload.probe.one_way_us_tp[workload.type_n, place_n] <= bound_t[workload.type_n]
    yield _share("tier-compliance", "jobs", float((tiered_n & within_n).sum()), float(tiered_n.sum()))
    yield from _energy(land, bill, place_n)


def _energy(land: Land, bill: Bill, place_n: np.ndarray) -> Iterator[Figure]:
    """What the sites' energy was like, weighted by what the jobs used of it."""
    energies = [land.site(p).spec.energy for p in range(len(land.pools))]
    pue_n = np.array([float(e.pue) for e in energies] or [1.0])[place_n]
    green_n = np.array([float(e.green_share) for e in energies] or [0.0])[place_n]
    yield _share("average-pue", "kWh", float(bill.kwh.sum()), float((bill.kwh / pue_n).sum()))
    yield _share("green-share", "kWh", float((bill.kwh * green_n).sum()), float(bill.kwh.sum()))


def _west_p(land: Land) -> Bools:
    return np.array(
        [land.country.side(land.site(p).spec.region) == Side.WEST for p in range(len(land.pools))], dtype=bool
    )


def _share(name: str, unit: str, part: float, whole: float) -> Figure:
    return Figure(name, unit, float(part), float(whole), float(part) / float(whole) if whole else None)


def _aimed(land: Land, figure: Figure) -> Figure:
    """With the policy's target, if it has one of that name."""
    policy = land.country.policy
    for target in policy.spec.targets if policy else ():
        if target.kpi != figure.name:
            continue
        least = target.comparison is Comparison.AT_LEAST
        met = None
        if figure.value is not None:
            value, aim = round(figure.value * MICRO), micro(target.value)
            met = value >= aim if least else value <= aim
        sign = "≥" if least else "≤"
        return Figure(
            figure.name, figure.unit, figure.numerator, figure.denominator, figure.value, f"{sign} {target.value}", met
        )
    return figure
