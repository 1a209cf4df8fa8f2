"""The country, sites and jobs of the benchmark, as the operator takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.defer.prices import Market
from bench.defer.trace import Trace
from suanli.api import ComputeJob, ComputeLink, ComputeRegion, ComputeSite, HubPolicy
from suanli.api.job import Timing
from suanli.base.clock import time_text
from suanli.base.names import API_VERSION
from suanli.base.units import MS_PER_HOUR
from suanli.placement.batch import make_batch
from suanli.placement.deferral import LEEWAY_MS, work_of
from suanli.placement.horizon import Work
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, SiteView, WaitingJob

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CLASS = "units"
ARRAYS = tuple(f.name for f in fields(Work) if f.name != "fees")  # no tariff says here what is paid
AMPLE = 10**9
CHUNK = 2_000
ONE_WAY_MS = 15.0  # between any two sites: within the tier of 20 ms, beyond those of 1 and 5 ms
TIERS_MS = {"city": 1.0, "region": 5.0, "national": 20.0}
STAYING = ("city", "region")


@dataclass(frozen=True)
class Ground:
    """Jobs at sites. Shapes: `origin_j`, `tier_j` (J,): numbers of the site where the job comes from, and of its tier."""

    markets: tuple[Market, ...]
    trace: Trace
    window_ms: int
    origin_j: Ints
    tier_j: Ints

    @property
    def begin_ms(self) -> int:
        """When the trace begins."""
        return self.markets[0].begin_ms

    @property
    def arrival_ms_j(self) -> Ints:
        """When jobs come. Shape (J,)."""
        return self.begin_ms + self.trace.arrival_s_j * 1_000

    @property
    def length_ms_j(self) -> Ints:
        """How long they run. Shape (J,)."""
        return self.trace.length_s_j * 1_000

    @property
    def latest_ms_j(self) -> Ints:
        """The last moment at which they start in time: that which `deferrable` and the deadline give. Shape (J,)."""
        return self.arrival_ms_j + self.window_ms

    @property
    def may_j(self) -> Bools:
        """Sites within the latency tier, reckoned from the link's time alone. Shape (J, S)."""
        home = self.origin_j[:, None] == np.arange(len(self.markets))
        bound_ms_j = np.array(list(TIERS_MS.values()))[self.tier_j]
        return np.asarray(home | (bound_ms_j >= ONE_WAY_MS)[:, None])


def make_ground(markets: Sequence[Market], trace: Trace, window_ms: int, movable: float, seed: int) -> Ground:
    """Origins and tiers by chance; jobs that could end after the last price are left out."""
    dice = np.random.default_rng(seed)
    origin = dice.integers(0, len(markets), len(trace))
    staying = dice.integers(0, len(STAYING), len(trace))
    tier = np.where(dice.random(len(trace)) < movable, len(STAYING), staying)
    whole = Ground(tuple(markets), trace, window_ms, origin, tier)
    kept = whole.latest_ms_j + whole.length_ms_j + LEEWAY_MS <= markets[0].end_ms
    return Ground(tuple(markets), trace.only(kept), window_ms, origin[kept], tier[kept])


def country_of(markets: Sequence[Market]) -> Country:
    """A region a site, and a link between every two."""
    names = [market.name for market in markets]
    regions = {
        n: ComputeRegion.model_validate(
            _raw("ComputeRegion", n, {"displayName": n, "latitude": "30", "longitude": "110"})
        )
        for n in names
    }
    links: dict[str, ComputeLink] = {}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            spec = {"endpoints": [one, other], "oneWay": f"{ONE_WAY_MS}ms"}
            links[f"{one}-{other}"] = ComputeLink.model_validate(_raw("ComputeLink", f"l{len(links)}", spec))
    tiers = [{"name": name, "oneWay": f"{ms}ms"} for name, ms in TIERS_MS.items()]
    return Country(regions, links, HubPolicy.model_validate(_raw("HubPolicy", "national", {"latencyTiers": tiers})))


def site_of(market: Market, known_until_ms: int) -> ComputeSite:
    """The site as its administrator has it then: with the prices that are published, and nothing of those that are not."""
    begin_ms, prices = market.told(known_until_ms)
    offer = {"class": CLASS, "type": "General", "resourceName": "cpu", "unit": "Core", "ratedPowerW": 1_000}
    energy = {
        "pue": "1",
        "timezone": market.zone,
        "hourlyPrices": {"from": time_text(begin_ms), "pricesPerKwh": prices},
    }
    spec = {"region": market.name, "resources": [offer], "energy": energy}
    return ComputeSite.model_validate(_raw("ComputeSite", market.name, spec))


def work_of_jobs(ground: Ground) -> Work:
    """All jobs as the operator's planner takes them, a row a job in the order of the trace: which sites may take it, until when."""
    country = country_of(ground.markets)
    nodes = (FreeNodes(AMPLE, 10**9, 1 << 50, 0),)
    sites = [
        SiteView(site_of(market, market.begin_ms + 24 * MS_PER_HOUR), True, classes={CLASS: ClassRoom(nodes, nodes)})
        for market in ground.markets
    ]
    order = sorted(range(len(sites)), key=lambda s: sites[s].site.metadata.name)
    parts, arrival_j = [], ground.arrival_ms_j.tolist()
    for first in range(0, len(ground.trace), CHUNK):
        numbers = range(first, min(first + CHUNK, len(ground.trace)))
        jobs = [_job(ground, j, arrival_j[j]) for j in numbers]
        asked = work_of(make_batch(jobs, sites, country, arrival_j[first]))
        row_of = {job.uid: w for w, same in enumerate(asked.jobs) for job in same}
        parts.append(rows_of(asked.work, np.array([row_of[str(j)] for j in numbers])))
    columns = np.argsort(order)
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    found: dict[str, Any] = {name: part[:, columns] if part.ndim == 2 else part for name, part in joined.items()}
    return replace(parts[0], **found)


def rows_of(work: Work, rows: Ints) -> Work:
    """Some of its rows, in that order."""
    found: dict[str, Any] = {name: getattr(work, name)[rows] for name in ARRAYS}
    return replace(work, **found)


def _job(ground: Ground, j: int, arrival_ms: int) -> WaitingJob:
    """A job of the trace; of an account of its own, so that it is a row of its own."""
    length_s = int(ground.trace.length_s_j[j])
    deadline_ms = arrival_ms + ground.window_ms + length_s * 1_000 + LEEWAY_MS
    timing = Timing(
        expected_duration=f"{length_s}s", deferrable=f"{ground.window_ms // 1_000}s", deadline=time_text(deadline_ms)
    )
    alike = _alike(ground.markets[ground.origin_j[j]].name, int(ground.tier_j[j]), int(ground.trace.units_j[j]))
    job = alike.model_copy(update={"spec": alike.spec.model_copy(update={"timing": timing})})
    return WaitingJob(str(j), job, f"a{j}", arrival_ms)


@cache
def _alike(origin: str, tier: int, units: int) -> ComputeJob:
    """A job as all from there that need as much and as near."""
    spec = {
        "origin": origin,
        "latency": {"tier": list(TIERS_MS)[tier]},
        "resources": {"class": [CLASS], "perTask": {"cpu": str(units), "memory": "1Mi"}},
        "template": {"image": "work"},
    }
    return ComputeJob.model_validate(_raw("ComputeJob", "job", spec, namespace="bench"))


def _raw(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
