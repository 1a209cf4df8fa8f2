"""What moving data costs at the prices of now: by the tariffs of those who run the links, where they say it, else by the links' own prices."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from suanli.base.units import micro
from suanli.placement.charges import Floats, Terms

if TYPE_CHECKING:
    from suanli.placement.batch import Batch

GIB = 1 << 30


class Prices(NamedTuple):
    """Of a GiB between a region and every site: what is compared, and what of it tariffs bill. Shapes: (S,). Units: micro-yuan."""

    compared_s: Floats
    billed_s: Floats


class Freight:
    """The prices of a batch, each way reckoned once."""

    def __init__(self, b: "Batch") -> None:
        self._b = b
        self._wires = [wire for wire in b.country.network.links.values() if wire.operator and b.country.charges]
        self._told: dict[Terms, dict[str, float]] = {}  # of a GiB over a link, where a tariff says it
        self._prices: dict[tuple[Terms, str], Prices] = {}
        self._nothing_s = np.zeros(len(b.sites))

    @property
    def may_be_billed(self) -> bool:
        """Whether there are tariffs, and links of somebody."""
        return bool(self._wires)

    def prices(self, r: int, region: str) -> Prices:
        """What a row pays."""
        charges, row = self._b.country.charges, self._b.rows[r]
        if charges is None or not self._wires:
            return Prices(self._b.ground.ways(region).price_s, self._nothing_s)
        key = charges.terms(row.account, str(row.spec.qos)), region
        if key not in self._prices:
            self._prices[key] = self._reckoned(*key)
        return self._prices[key]

    def _reckoned(self, terms: Terms, region: str) -> Prices:
        b, told, billed_s = self._b, self._of(terms), np.zeros(len(self._b.sites))
        compared_s = b.ground.ways(region).price_s.copy()
        default = micro(b.country.policy.spec.transfer_price_per_gib) if b.country.policy else 0
        for s, view in enumerate(b.sites):
            for wire in b.country.network.wires(region, view.site.metadata.name, view.site.spec.region):
                if (price := told.get(wire.name)) is not None:
                    billed_s[s] += price
                    compared_s[s] += price - (default if wire.price is None else wire.price)
        return Prices(compared_s, billed_s)

    def _of(self, terms: Terms) -> dict[str, float]:
        if terms not in self._told:
            charges, now_ms = self._b.country.charges, self._b.now_ms
            assert charges is not None, "there are no terms without tariffs"
            found = {wire.name: charges.carriage(wire.name, wire.operator, terms, now_ms) for wire in self._wires}
            self._told[terms] = {name: price * GIB for name, price in found.items() if price is not None}
        return self._told[terms]
