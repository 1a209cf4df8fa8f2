"""The figures of the policy in force, computed anew now and then while something changed."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from suanli.api.job import ComputeJobSpec
from suanli.api.site import ComputeSite, ComputeUnit
from suanli.base.settings import Settings
from suanli.base.untrusted import mapping
from suanli.placement.batch import tier_of
from suanli.placement.kpis import Facts, Figure, Units, Work, figures, held_milli, shown
from suanli.placement.snapshot import Country
from suanli.reconcile.state import Mirror
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
AT_A_TIME = 250  # jobs that are looked at before others have their turn


class Indicators:
    """Keeps the figures and tells when they were computed."""

    def __init__(self, *, mirror: Mirror, settings: Settings, metrics: Metrics, computed: Callable[[], None]) -> None:
        self.figures: tuple[Figure, ...] | None = None
        self._mirror = mirror
        self._settings = settings
        self._metrics = metrics
        self._computed = computed
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something changed that they are made from."""
        self._wake.set()

    async def run(self) -> None:
        """Compute until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    await self._once()
                except Exception:
                    LOG.exception("figures of the policy not computed, will be tried again")
                    self._metrics.surprises.inc()
                    self._wake.set()
                await asyncio.sleep(self._settings.kpi_s)
        finally:
            self.figures = None
            self._metrics.kpis(())

    async def _once(self) -> None:
        policy = self._mirror.country.policy
        facts = await facts_of_hub(self._mirror)
        self.figures = await asyncio.to_thread(figures, facts) if policy else None
        kpis = shown(self.figures or (), policy.spec.targets if policy else ())
        self._metrics.kpis((kpi.name, float(kpi.value), kpi.met) for kpi in kpis if kpi.value is not None)
        self._computed()


async def facts_of_hub(mirror: Mirror) -> Facts:
    """What the hub has on record: what sites have, what jobs hold, and what those that ended have used.

    Work counts once its job has ended, at the site of its last attempt; a job that holds room counts as work of no time.
    """
    country, sites = mirror.country, dict(mirror.sites)
    resources = {(name, r.class_): r for name, site in sites.items() for r in site.spec.resources}
    held, work = Counter[tuple[str, str]](), Counter[tuple[str, str, str, str]]()
    tiers = _Tiers(country)
    for i, entry in enumerate(list(mirror.jobs.values()), 1):
        if i % AT_A_TIME == 0:
            await asyncio.sleep(0)
        assignment = entry.holds or entry.assignment
        resource = resources.get((assignment.site, assignment.class_)) if assignment else None
        if assignment is None or resource is None or entry.outline is None:
            continue
        spec, place = entry.outline, (assignment.site, assignment.class_)
        if entry.holds is not None:
            held[place] += held_milli(spec, resource)
        ran = entry.card_ms * 1_000 if resource.unit is ComputeUnit.CARD else entry.cpu_milli_ms
        work[spec.origin, tiers.of(spec), *place] += ran
    units = tuple(
        Units(sites[name], resource, 1_000 * capacity_on_record(mirror, sites[name], class_), held[name, class_])
        for (name, class_), resource in resources.items()
    )
    return Facts(country, sites, units, tuple(Work(*key, milli_ms) for key, milli_ms in work.items()))


class _Tiers:
    """The tier of a job, found once for all that have the same bound."""

    def __init__(self, country: Country) -> None:
        self._country = country
        self._found: dict[tuple[str | None, str | None], str] = {}

    def of(self, spec: ComputeJobSpec) -> str:
        """The tier's name."""
        bound = (spec.latency.tier, spec.latency.one_way) if spec.latency else (None, None)
        if bound not in self._found:
            self._found[bound] = tier_of(spec, self._country)
        return self._found[bound]


def capacity_on_record(mirror: Mirror, site: ComputeSite, class_: str) -> int:
    """Units of a class as the member's nodes were counted last; what the site declares while they never were."""
    listed = mirror.site_status(site.metadata.name).get("classes")
    for counted in listed if isinstance(listed, list) else ():
        units = mapping(counted).get("capacity", 0)
        if mapping(counted).get("class") == class_ and isinstance(units, int) and units >= 0:
            return units
    return next((r.declared_units or 0 for r in site.spec.resources if r.class_ == class_), 0)
