"""What runs will be billed, where a tariff says it: made by whoever knows the tariffs, asked here.

A site of which a tariff covers the class asked for is paid by that tariff, with all that the tariff has prices for, and what is moved to
and from it by the tariffs of those who run the links; any other at its list price, with electricity and transfer beside it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from suanli.api.job import ComputeJobSpec
from suanli.api.link import Leg
from suanli.api.site import ComputeSite, SiteResource
from suanli.base.units import MS_PER_HOUR, whole
from suanli.placement.tariff import LOOKED_AHEAD_MS

if TYPE_CHECKING:
    from suanli.placement.batch import Batch

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KINDS = CORES, CARDS, MEMORY, SCRATCH, ENERGY, CARBON = range(6)  # what a tariff may price, axis k
MILLIWATT_HOURS = 1_000 / MS_PER_HOUR  # that one watt makes in a millisecond
MG_PER_MWH = 1e-3  # of a grid with one gram for a kWh


# What an account's prices go by beside place and time: QOS, plan and customer class. Alike for accounts that pay the same.
Terms = tuple[str, str, str]


class RunPrice(Protocol):
    """What running costs on one class of one provider by its tariffs, on some terms."""

    def paid(self, begin_ms: Ints, end_ms: Ints) -> Floats:
        """What a task pays for each millicore, card, byte of memory, byte of scratch, mWh and mg of CO2 in each ms, over whole runs.

        Shapes: (N,), (N,) -> (6, N). Units: ms since the epoch, micro-yuan.
        """

    def edges_ms(self, since_ms: int, until_ms: int) -> Ints:
        """When prices change, strictly between two moments, ascending."""

    def tariff_at(self, at_ms: int) -> str:
        """The Tariff that holds then."""


class Charges(Protocol):
    """The tariffs in force, and who pays what by them."""

    def terms(self, account: str, qos: str) -> Terms:
        """On what terms the jobs of an account are billed."""

    def price(self, site: ComputeSite, resource: SiteResource, terms: Terms, at_ms: int) -> RunPrice | None:
        """What running there costs from a moment on; None where no tariff says it then."""

    def cost(
        self,
        site: ComputeSite,
        class_: str,
        spec: ComputeJobSpec,
        account: str,
        start_ms: int,
        duration_ms: int,
        moves: Sequence[tuple[Leg, int]] = (),
    ) -> int | None:
        """What the run of a job will be billed, with what it sends over links and when, to the micro-yuan.

        None where no tariff says it, or it runs too long to be reckoned.
        """

    def carriage(self, link: str, operator: str, terms: Terms, at_ms: int) -> float | None:
        """What a byte over a link costs then by its operator's tariff; None where none says it. Units: micro-yuan."""


@dataclass(frozen=True)
class Share:
    """Rows and pools with one price. Shapes: `rows` (R',), `pools` (P',)."""

    rows: Ints
    pools: Ints
    price: RunPrice


@dataclass(frozen=True)
class Billed:
    """What the runs of a batch, begun now, cost by tariffs.

    Shapes: `share_rp` (R, P) numbers in `shares`, -1 where no tariff says it, and where the class is one that no row on the same
    terms asks for; `cost_rp` (R, P) micro-yuan, 0 there.
    """

    share_rp: Ints
    cost_rp: Floats
    shares: tuple[Share, ...]

    @cached_property
    def is_rp(self) -> Bools:
        """Where a tariff says it. Shape (R, P)."""
        return self.share_rp >= 0

    def price(self, r: int, p: int) -> RunPrice | None:
        """By what a row pays in a pool."""
        number = int(self.share_rp[r, p])
        return self.shares[number].price if number >= 0 else None


def billed_of(b: "Batch") -> Billed | None:
    """None where there are no tariffs. Prices are looked up once for all rows on the same terms."""
    charges = b.country.charges
    if charges is None:
        return None
    share_rp = np.full((len(b.rows), len(b.pools)), -1, dtype=np.int64)
    cost_rp = np.zeros(share_rp.shape)
    shares: list[Share] = []
    for terms, rows in _by_terms(b, charges).items():
        asked_p = b.wished_rp[rows].any(axis=0)
        pools: dict[RunPrice, list[int]] = defaultdict(list)
        for p in np.flatnonzero(asked_p).tolist():
            pool = b.pools[p]
            price = charges.price(b.sites[pool.site].site, pool.resource, terms, b.now_ms)
            if price is not None:
                pools[price].append(p)
        for price, own in pools.items():
            share = Share(np.array(rows, dtype=np.int64), np.array(own, dtype=np.int64), price)
            both = np.ix_(share.rows, share.pools)
            share_rp[both] = len(shares)
            cost_rp[both] = _costs(b, share)
            shares.append(share)
    return Billed(share_rp, cost_rp, tuple(shares))


def rates(b: "Batch", rows: Ints, pools: Ints, kinds: Sequence[int]) -> Mapping[int, Floats]:
    """What a whole job takes of some kinds in a millisecond, in the units of `RunPrice.paid`.

    Shapes: `rows` (R',), `pools` (P',), each of the result (R', 1) or (R', P').
    """
    need_rk = b.need_rk[rows].astype(float)
    tasks_r = b.tasks_r[rows].astype(float)
    found: dict[int, Floats] = {}
    for kind in kinds:
        if kind in (CORES, CARDS, MEMORY):
            column = {CORES: 0, CARDS: 2, MEMORY: 1}[kind]
            found[kind] = (tasks_r * need_rk[:, column])[:, None]
        elif kind == SCRATCH:
            found[kind] = (tasks_r * [_scratch(b.rows[r].spec) for r in rows.tolist()])[:, None]
        else:
            energy = watts_rp(b)[np.ix_(rows, pools)] * MILLIWATT_HOURS
            found[kind] = energy if kind == ENERGY else energy * b.ground.grams_p[pools] * MG_PER_MWH
    return found


def units_rp(b: "Batch") -> Floats:
    """Cards or cores that the whole job holds. Shape (R, P)."""
    cards_r = (b.tasks_r * b.need_rk[:, 2]).astype(float)
    cores_r = b.tasks_r * (b.need_rk[:, 0] / 1_000)
    return np.where(b.is_card_p[None, :], cards_r[:, None], cores_r[:, None])


def watts_rp(b: "Batch") -> Floats:
    """Power of the whole job, cooling and losses included. Shape (R, P). Units: W."""
    return np.asarray(units_rp(b) * b.ground.watt_p)


def _by_terms(b: "Batch", charges: Charges) -> Mapping[Terms, list[int]]:
    found: dict[Terms, list[int]] = defaultdict(list)
    for r, row in enumerate(b.rows):
        found[charges.terms(row.account, str(row.spec.qos))].append(r)
    return found


def _costs(b: "Batch", share: Share) -> Floats:
    """Shape (R', P'). Runs of one length in pools of one speed are asked for once."""
    lengths, length_r = np.unique(b.length_r[share.rows], return_inverse=True)
    duration_lp = b.duration_ms_lp[np.ix_(lengths, share.pools)]
    if (duration_lp == duration_lp[:, :1]).all():
        duration_lp = duration_lp[:, :1]
    known_lp = np.clip(duration_lp, 1, LOOKED_AHEAD_MS)
    begin = np.full(known_lp.size, b.now_ms, dtype=np.int64)
    paid_klp = share.price.paid(begin, b.now_ms + known_lp.ravel()).reshape(-1, *known_lp.shape)
    paid_klp = paid_klp * (duration_lp / known_lp)
    kinds = np.flatnonzero(paid_klp.any(axis=(1, 2))).tolist()
    cost = np.zeros((len(share.rows), len(share.pools)))
    for kind, rate in rates(b, share.rows, share.pools, kinds).items():
        cost += rate * paid_klp[kind][length_r]
    return cost


def _scratch(spec: ComputeJobSpec) -> float:
    """Units: bytes of one task."""
    return float(whole(spec.template.scratch.size)) if spec.template.scratch else 0.0
