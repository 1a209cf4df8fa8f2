"""What a job costs at a site, in exact fractions of a micro-yuan, by the descriptions of the fields."""

from fractions import Fraction

from checker.electricity import spent
from checker.rules import is_about, is_paired, names
from checker.ways import Ways
from checker.wire import amount, half_even
from suanli.api.job import ComputeJobSpec, DataInput
from suanli.api.site import ComputeSite, Energy, SiteResource
from suanli.placement.snapshot import Country

LINES = ("run", "energy", "transfer", "carbon", "policy")
PAID = ("run", "energy", "transfer")
HOUR_MS = 3_600_000
YEAR_MS = 366 * 24 * HOUR_MS
GIB = 2**30
CUT = 10**15  # amounts that large may be shown smaller than they are, but not below this


class Money:
    """Cost lines in one country at one moment."""

    def __init__(self, country: Country, ways: Ways, now_ms: int) -> None:
        self._policy = country.policy.spec if country.policy else None
        self._ways = ways
        self._now_ms = now_ms
        self._means: dict[tuple[str, int], Fraction] = {}

    def lines(self, spec: ComputeJobSpec, site: ComputeSite, resource: SiteResource, ms: int) -> dict[str, int]:
        """Every line of a run that lasts so long, in whole micro-yuan."""
        units = self._units(spec, resource)
        energy = site.spec.energy
        kwh = units * resource.rated_power_w * Fraction(energy.pue) * ms / HOUR_MS / 1000
        exact = {
            "run": units * Fraction(resource.list_price) * 10**6 * ms / HOUR_MS,
            "energy": kwh * self._mean_price(site.metadata.name, energy, ms) if kwh else Fraction(0),
            "transfer": self._transfer(spec, site),
            "carbon": self._carbon(kwh, energy),
            "policy": self._weights(spec, site, resource, Fraction(ms, HOUR_MS)),
        }
        return {name: half_even(value) for name, value in exact.items()}

    def _units(self, spec: ComputeJobSpec, resource: SiteResource) -> Fraction:
        per_task = spec.resources.per_task
        if resource.unit.value == "Card":
            return Fraction(spec.tasks * per_task.cards)
        return spec.tasks * amount(per_task.cpu)

    def _carbon(self, kwh: Fraction, energy: Energy) -> Fraction:
        if self._policy is None:
            return Fraction(0)
        tonnes = kwh * energy.grid_factor_g_per_kwh * (1 - Fraction(energy.green_share)) / 10**6
        return tonnes * Fraction(self._policy.carbon_price_per_tonne) * 10**6

    def _weights(self, spec: ComputeJobSpec, site: ComputeSite, resource: SiteResource, hours: Fraction) -> Fraction:
        total = Fraction(0)
        for rule in self._policy.placement_rules if self._policy else []:
            if rule.effect.value == "Require" or not is_about(rule, spec, resource, self._ways, self._policy):
                continue
            if names(rule, site, spec, self._ways, self._policy):
                sign = 1 if rule.effect.value == "Avoid" else -1
                total += sign * int(rule.weight or 0) * spec.tasks * hours
        for pairing in self._policy.pairings if self._policy else []:
            if is_paired(pairing, spec.origin, site, self._ways):
                total -= int(pairing.weight or 0) * spec.tasks * hours
        return total

    def _transfer(self, spec: ComputeJobSpec, site: ComputeSite) -> Fraction:
        pieces = []
        if spec.data is not None:
            pieces = [(piece.region, piece.size) for piece in spec.data.inputs if not has_copy(site, piece)]
        if spec.data is not None and spec.data.outputs is not None:
            pieces.append((spec.data.outputs.region, spec.data.outputs.size))
        moved = sum((self._moving(region, size, site) for region, size in pieces), Fraction(0))
        return moved + self.of_checkpoint(spec, site)

    def of_checkpoint(self, spec: ComputeJobSpec, site: ComputeSite) -> Fraction:
        """Nothing where it lies, or where nobody can have it; elsewhere at least the smallest amount."""
        region = checkpoint_from(self._ways, spec, site)
        return (
            max(Fraction(1), self._moving(region, spec.checkpoint.size, site))
            if region and spec.checkpoint
            else Fraction(0)
        )

    def _moving(self, region: str, size: str, site: ComputeSite) -> Fraction:
        default = Fraction(self._policy.transfer_price_per_gib) * 10**6 if self._policy else Fraction(0)
        way = self._ways.way(region, site.metadata.name, site.spec.region)
        price = default if way is None else way.price + way.unpriced * default
        return -(-amount(size) // 1) * price / GIB

    def _mean_price(self, site: str, energy: Energy, ms: int) -> Fraction:
        """Mean over the run; of what lasts longer than a leap year, over that year."""
        ms = min(ms, YEAR_MS)
        if (site, ms) not in self._means:
            self._means[site, ms] = spent(energy, self._now_ms, self._now_ms + ms) / ms
        return self._means[site, ms]


def checkpoint_from(ways: Ways, spec: ComputeJobSpec, site: ComputeSite) -> str | None:
    """The region from which the checkpoint comes to a site; None where it lies there already or cannot be had."""
    lies = spec.checkpoint.site if spec.checkpoint else None
    return ways.kept.get(lies) if lies and lies != site.metadata.name else None


def has_copy(site: ComputeSite, piece: DataInput) -> bool:
    """Whether a copy of the dataset lies at the site, so that nothing is moved."""
    return piece.dataset is not None and piece.dataset in site.spec.cached_datasets
