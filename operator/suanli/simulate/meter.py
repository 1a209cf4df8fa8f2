"""What the jobs used and cost: every job's run at its place, until now."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from suanli.api.site import ComputeUnit
from suanli.base.units import MS_PER_HOUR, micro
from suanli.placement.batch import Bools, Floats, Ints
from suanli.placement.charges import Charges, RunPrice, Terms
from suanli.placement.tariff import Together, price_curve, together
from suanli.simulate.engine import Ran
from suanli.simulate.land import Land
from suanli.simulate.workload import MS_PER_MINUTE, Workload

GIB = 1 << 30
GRAMS_PER_TONNE = 1e6
MARGIN_MS = (
    400 * 24 * MS_PER_HOUR
)  # of prices that are summed up beyond what was asked for, so that it is done once or twice


@dataclass(frozen=True)
class Bill:
    """What attempts used and cost.

    Shapes: (A,) each, as in `Ran.attempts`. Units: `unit_hours` cards or cores times hours; kWh of the whole site, cooling and losses included; grams
    of CO2 (location-based, what is green counts none); bytes moved; micro-yuan. `policy` and `carbon` are not paid; `billed` where a tariff says what is.
    """

    unit_hours: Floats
    kwh: Floats
    carbon_g: Floats
    moved_bytes: Ints
    run: Floats
    energy: Floats
    transfer: Floats
    carbon: Floats
    policy: Floats
    billed: Bools

    @property
    def paid(self) -> Floats:
        """Run, energy and transfer; by a tariff the run alone, which is its bill."""
        return self.run + np.where(self.billed, 0.0, self.energy + self.transfer)

    @property
    def counted(self) -> Floats:
        """What suanli makes small: run, energy, transfer, carbon at its price, and the weights of the policy."""
        return self.run + self.energy + self.transfer + self.carbon + self.policy


class Meter:
    """Knows prices, powers and tariffs of every pool.

    Shapes: (P,) each; micro-yuan a unit and hour, kW a unit with the site's PUE, grams a kWh.
    """

    def __init__(self, land: Land, workload: Workload) -> None:
        self._land = land
        self._workload = workload
        sites = [land.site(p).spec.energy for p in range(len(land.pools))]
        self.is_card_p = np.array([pool.resource.unit is ComputeUnit.CARD for pool in land.pools], dtype=bool)
        self._kw_p = np.array(
            [pool.resource.rated_power_w * float(e.pue) / 1_000 for pool, e in zip(land.pools, sites, strict=True)]
        )
        self._grams_p = np.array([e.grid_factor_g_per_kwh * (1.0 - float(e.green_share)) for e in sites])
        self._site_p = np.array([pool.site for pool in land.pools], dtype=np.int64)
        self._begin_ms = workload.begin_ms
        self._prices: Together | None = None
        self._terms_of: dict[int, Terms] = {}
        self._known_until_ms = self._begin_ms
        policy = land.country.policy
        self._per_gram = float(micro(policy.spec.carbon_price_per_tonne)) / GRAMS_PER_TONNE if policy else 0.0
        # Cards, and cores, of a whole job.
        self._cards_t = np.array([t.tasks * t.shape[2] for t in workload.types], dtype=float)
        self._cores_t = np.array([t.tasks * t.shape[0] / 1_000 for t in workload.types], dtype=float)

    def units_tp(self, t: int) -> Floats:
        """Units that a job of the type holds in each pool. Shape (P,)."""
        return np.asarray(np.where(self.is_card_p, self._cards_t[t], self._cores_t[t]))

    def units_n(self, type_n: Ints, p: int) -> Floats:
        """Units that jobs of these types hold in one pool. Shape (N,)."""
        return np.asarray((self._cards_t if self.is_card_p[p] else self._cores_t)[type_n])

    def paid(self, n: int, p: int, start_ms: int, end_ms: int) -> int:
        """What the run of a job in a pool is to be paid. Units: micro-yuan."""
        at, t, run_ms = np.array([p]), int(self._workload.type_n[n]), max(0, end_ms - start_ms)
        probe, begin, lasts = self._workload.probe, np.array([start_ms]), np.array([run_ms])
        bill, billed = self._billed(np.array([t]), at, begin, lasts)
        if billed[0]:
            return round(float(bill[0]))
        power = float(self.units_tp(t)[p] * self._kw_p[p] * self._paid_per_kw(self._site_p[at], begin, lasts)[0])
        wished_hours = run_ms / MS_PER_HOUR / probe.stretch_tp[t, p]
        return round(float(probe.run_tp[t, p] * wished_hours + power + probe.transfer_tp[t, p]))

    def expected_paid(self, n: int, p: int, start_ms: int) -> int:
        """The same of one that starts then, for as long as its user expects. Units: micro-yuan."""
        run_ms = int(self._workload.expected_min[n]) * MS_PER_MINUTE
        stretch = self._workload.probe.stretch_tp[int(self._workload.type_n[n]), p]
        return self.paid(n, p, start_ms, start_ms + round(run_ms * stretch))

    def expected_p(self, n: int, start_ms: int) -> Floats:
        """What a job that starts then is expected to count, in every pool; infinite where it may not run. Shape (P,). Units: micro-yuan."""
        t, minutes = int(self._workload.type_n[n]), int(self._workload.expected_min[n])
        probe, hours = self._workload.probe, minutes / 60
        at = np.flatnonzero(probe.allowed_tp[t])
        run_ms = np.rint(minutes * MS_PER_MINUTE * probe.stretch_tp[t, at]).astype(np.int64)
        kw, start = (self.units_tp(t) * self._kw_p)[at], np.full(len(at), start_ms)
        bill, billed = self._billed(np.full(len(at), t), at, start, run_ms)
        at_list = probe.run_tp[t, at] * hours + kw * self._paid_per_kw(self._site_p[at], start, run_ms)
        carbon = kw * (run_ms / MS_PER_HOUR * self._grams_p[at] * self._per_gram)
        found_p = np.full(len(self._land.pools), np.inf)
        found_p[at] = (
            np.where(billed, bill, at_list) + probe.policy_tp[t, at] * hours + probe.transfer_tp[t, at] + carbon
        )
        return found_p

    def bill(self, ran: Ran) -> Bill:
        """Of all attempts, as far as they ran until now."""
        work, probe = self._workload, self._workload.probe
        attempts = ran.attempts
        p, t, run_ms = attempts.pool_a, work.type_n[attempts.job_a], attempts.run_ms_a
        hours = run_ms / MS_PER_HOUR
        wished_hours = hours / probe.stretch_tp[t, p]
        units = np.where(self.is_card_p[p], self._cards_t[t], self._cores_t[t])
        unit_hours = units * hours
        kwh = unit_hours * self._kw_p[p]
        price = self._paid_per_kw(self._site_p[p], attempts.start_ms_a, run_ms)
        bill, billed = self._billed(t, p, attempts.start_ms_a, run_ms)
        carbon_g = kwh * self._grams_p[p]
        input_t = np.array([type_.input_bytes for type_ in work.types], dtype=np.int64)
        return Bill(
            unit_hours=unit_hours,
            kwh=kwh,
            carbon_g=carbon_g,
            moved_bytes=np.where(probe.one_way_us_tp[t, p] > 0, input_t[t], 0),
            run=np.where(billed, bill, probe.run_tp[t, p] * wished_hours),
            energy=np.where(billed, 0.0, units * self._kw_p[p] * price),
            transfer=probe.transfer_tp[t, p],
            carbon=carbon_g * self._per_gram,
            policy=probe.policy_tp[t, p] * wished_hours,
            billed=billed,
        )

    def _billed(self, type_n: Ints, pool_n: Ints, start_ms_n: Ints, run_ms_n: Ints) -> tuple[Floats, Bools]:
        """What tariffs bill for runs, as they are told before a run (`placement.charges`), and where a tariff does. Shapes: (N,) each.

        Units: micro-yuan.
        """
        cost_n, is_n = np.zeros(len(type_n)), np.zeros(len(type_n), dtype=bool)
        charges = self._land.country.charges
        if charges is None:
            return cost_n, is_n
        groups: dict[RunPrice, list[int]] = defaultdict(list)
        for n, (t, p, at_ms) in enumerate(zip(type_n.tolist(), pool_n.tolist(), start_ms_n.tolist(), strict=True)):
            price = charges.price(self._land.site(p), self._land.pools[p].resource, self._terms(charges, t), at_ms)
            if price is not None:
                groups[price].append(n)
        for price, numbers in groups.items():
            of = np.array(numbers)
            paid_kn = price.paid(start_ms_n[of], start_ms_n[of] + run_ms_n[of])
            cost_n[of] = (self._workload.probe.rate_ktp[:, type_n[of], pool_n[of]] * paid_kn).sum(axis=0)
            is_n[of] = True
        return cost_n, is_n

    def _terms(self, charges: Charges, t: int) -> Terms:
        if t not in self._terms_of:
            type_ = self._workload.types[t]
            self._terms_of[t] = charges.terms(type_.kind.account, str(type_.job.spec.qos))
        return self._terms_of[t]

    def _paid_per_kw(self, site_n: Ints, start_ms: Ints, run_ms: Ints) -> Floats:
        """What one kW costs over each run at its site. Shape (N,). Units: micro-yuan."""
        prices = self._prices_until(int((start_ms + run_ms).max(initial=0)))
        return prices.paid(site_n, start_ms + run_ms) - prices.paid(site_n, start_ms)

    def _prices_until(self, end_ms: int) -> Together:
        """Every site's prices from the first arrival at least until then."""
        if end_ms > self._known_until_ms or self._prices is None:
            self._known_until_ms = max(end_ms, self._begin_ms) + MARGIN_MS
            energies = [view.site.spec.energy for view in self._land.sites]
            self._prices = together([price_curve(energy, self._begin_ms, self._known_until_ms) for energy in energies])
        return self._prices
