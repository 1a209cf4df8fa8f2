"""What speaks for and against a pool, all of it in money: one function a row of SCORES.

Every score has shape (R, P) and the unit micro-yuan for the job's whole expected run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from suanli.api.policy import Effect
from suanli.base.units import MS_PER_HOUR, micro
from suanli.placement.batch import Batch, Floats
from suanli.placement.rules import matches_rp, names_rs, pairing_rs
from suanli.placement.tariff import mean_price
from suanli.placement.transfer import inputs_of, lies_at_s, outputs_of

GIB = 1 << 30
MOST_MICRO_YUAN = float(1 << 50)  # sums of all lines, each cut here, are still exact
WATT_MS_PER_KWH = 1_000 * MS_PER_HOUR

Score = Callable[[Batch], Floats]


@dataclass(frozen=True)
class Costs:
    """All scores of a batch, by the names of SCORES.

    Shapes: each of `lines` (R, P). Units: micro-yuan.
    """

    lines: Mapping[str, Floats]

    @property
    def paid_rp(self) -> Floats:
        """What the expected run is to be paid: everything but what policy adds on paper. Shape (R, P). Units: micro-yuan."""
        return np.asarray(sum(self.lines[name] for name in PAID))

    @property
    def total_rp(self) -> Floats:
        """What the plan makes small: the sum of all lines. Shape (R, P). Units: micro-yuan."""
        return np.asarray(sum(self.lines.values()))


def run_cost(b: Batch) -> Floats:
    """List price of the units: cards, or cores to the millicore. Shape (R, P). Units: micro-yuan."""
    price_p = np.array([float(micro(pool.resource.list_price)) for pool in b.pools])
    return np.asarray(_hours_rp(b) * units_rp(b) * price_p)


def energy_cost(b: Batch) -> Floats:
    """Electricity of the units at rated power x PUE, at the prices of the hours in which a run from now on is expected.

    Shape (R, P). Units: micro-yuan. Source: PUE is total over IT energy (GB/T 32910.3).
    """
    mean_rp = np.zeros((len(b.rows), len(b.pools)))
    for s, view in enumerate(b.sites):
        own = [p for p in np.flatnonzero(b.site_p == s).tolist() if b.pools[p].resource.rated_power_w]
        if own and len(b.rows):
            mean_rp[:, own] = mean_price(view.site.spec.energy, b.now_ms, b.duration_ms_rp[:, own])
    return _kwh_rp(b) * mean_rp


def transfer_cost(b: Batch) -> Floats:
    """Moving inputs to the site and outputs from it, per GiB and link of the path.

    A link that names no price, and a path that is estimated, costs the policy's transferPricePerGib. A dataset of which a
    copy lies at the site is not moved. Shape (R, P). Units: micro-yuan.
    """
    price_us = _transfer_price_us(b)
    cost_rs = np.zeros((len(b.rows), len(b.sites)))
    for r in range(len(b.rows)):
        for piece in (*inputs_of(b, r), *outputs_of(b, r)):
            cost_s = price_us[b.region_index[piece.region]] * (piece.size / GIB)
            cost_rs[r] += np.where(lies_at_s(b, piece), 0.0, cost_s)
    return np.asarray(cost_rs[:, b.site_p])


def carbon_cost(b: Batch) -> Floats:
    """Carbon of what is not green, by the grid's factor, at the policy's price per tonne (location-based).

    Shape (R, P). Units: micro-yuan.
    """
    policy = b.country.policy
    per_tonne = float(micro(policy.spec.carbon_price_per_tonne)) if policy else 0.0
    per_kwh_p = np.array(
        [
            e.grid_factor_g_per_kwh * (1.0 - float(e.green_share)) * per_tonne / 1e6
            for e in (b.sites[pool.site].site.spec.energy for pool in b.pools)
        ]
    )
    return np.asarray(_kwh_rp(b) * per_kwh_p)


def policy_weight(b: Batch) -> Floats:
    """Prefer rules and pairings take their weight off, Avoid rules put it on, per task and hour. Shape (R, P). Units: micro-yuan."""
    weight_rp = np.zeros((len(b.rows), len(b.pools)))
    task_hours_rp = _hours_rp(b) * b.tasks_r[:, None]
    if b.country.policy is None:
        return weight_rp
    for pairing in b.country.policy.spec.pairings:
        if pairing.weight is not None:
            weight_rp -= float(pairing.weight) * task_hours_rp * pairing_rs(pairing, b)[:, b.site_p]
    for rule in b.country.policy.spec.placement_rules:
        if rule.effect is Effect.REQUIRE or rule.weight is None:
            continue
        sign = -1.0 if rule.effect is Effect.PREFER else 1.0
        hit_rp = matches_rp(rule, b) & names_rs(rule, b)[:, b.site_p]
        weight_rp += sign * float(rule.weight) * task_hours_rp * hit_rp
    return weight_rp


SCORES: Mapping[str, Score] = {
    "run": run_cost,
    "energy": energy_cost,
    "transfer": transfer_cost,
    "carbon": carbon_cost,
    "policy": policy_weight,
}
# What somebody is to pay; the others are compared only.
PAID = ("run", "energy", "transfer")


def score(b: Batch) -> Costs:
    """Every line, in whole micro-yuan, cut where it is beyond any money."""
    return Costs({name: np.rint(np.clip(s(b), -MOST_MICRO_YUAN, MOST_MICRO_YUAN)) for name, s in SCORES.items()})


def _hours_rp(b: Batch) -> Floats:
    return b.duration_ms_rp / MS_PER_HOUR


def units_rp(b: Batch) -> Floats:
    """Cards or cores that the whole job holds. Shape (R, P)."""
    cards_r = (b.tasks_r * b.need_rk[:, 2]).astype(float)
    cores_r = b.tasks_r * (b.need_rk[:, 0] / 1_000)
    return np.where(b.is_card_p[None, :], cards_r[:, None], cores_r[:, None])


def watts_rp(b: Batch) -> Floats:
    """Power of the whole job, cooling and losses included. Shape (R, P). Units: W."""
    watt_p = np.array(
        [pool.resource.rated_power_w * float(b.sites[pool.site].site.spec.energy.pue) for pool in b.pools]
    )
    return np.asarray(units_rp(b) * watt_p)


def _kwh_rp(b: Batch) -> Floats:
    """Energy of the whole run."""
    return np.asarray(watts_rp(b) * (b.duration_ms_rp / WATT_MS_PER_KWH))


def _transfer_price_us(b: Batch) -> Floats:
    """Micro-yuan per GiB from every named region to every site."""
    policy = b.country.policy
    default = micro(policy.spec.transfer_price_per_gib) if policy else 0
    return np.array(
        [[float(p.price_micro_yuan_per_gib + p.unpriced * default) for p in ways] for ways in b.paths_us]
    ).reshape(len(b.region_index), len(b.sites))
