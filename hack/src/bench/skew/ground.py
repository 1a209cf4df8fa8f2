"""A country of regions drawn from a seed: one site each, with too much demand in some and too much supply in others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from suanli.api import ComputeJob, ComputeLink, ComputeRegion, ComputeSite, HubPolicy, Resource
from suanli.base.names import API_VERSION
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, SiteView, WaitingJob
from suanli.simulate.workload import gang

CLASS = "card"
CARDS_PER_NODE = 8
GIB = 1 << 30
NODE = FreeNodes(1, 96_000, 1_024 * GIB, CARDS_PER_NODE)
SIZES: Mapping[int, int] = {1: 40, 2: 20, 4: 15, 8: 15, 16: 6, 32: 4}  # cards of a job, with weights
OTHER_DATA = 0.2  # share of jobs that read data of another region too
Json = dict[str, Any]
R = TypeVar("R", bound=Resource)


@dataclass(frozen=True)
class Wish:
    """What is asked for: the worst region's demand over its supply, and all demand over all supply."""

    regions: int
    jobs: int
    ratio: float
    load: float
    headroom: float


@dataclass(frozen=True)
class Ground:
    """One question. Units: cards by region; `supply` is all a region has, of which the solver is given less the headroom."""

    jobs: tuple[WaitingJob, ...]
    sites: tuple[SiteView, ...]
    country: Country
    demand: Mapping[str, int]
    supply: Mapping[str, int]

    @property
    def before(self) -> Mapping[str, float]:
        """Demand over supply by region, if every job ran where it comes from."""
        return {name: self.demand[name] / supply for name, supply in self.supply.items()}


def ground(wish: Wish, seed: int, units: Sequence[int] = ()) -> Ground:
    """Draw one. `units`: cards of jobs from a trace, from a place that the seed decides. Raises: ValueError where it cannot be."""
    dice = Random(f"skew:{seed}")  # noqa: S311 - chance, not secrecy
    sizes = _sizes(dice, wish.jobs, units)
    names = [f"region-{i:02d}" for i in range(wish.regions)]
    supply = _supply(dice, names, sum(sizes) / wish.load)
    demand = _targets(dice, names, supply, sum(sizes), wish.ratio)
    regions = {name: _region(dice, name) for name in names}
    links = {link.metadata.name: link for link in _links(dice, names)}
    policy = _parsed(HubPolicy, "national", {"transferPricePerGib": "0.02", "carbonPricePerTonne": "0"})
    jobs, real = _jobs(dice, sizes, demand)
    sites = tuple(_site(dice, name, supply[name], wish.headroom) for name in names)
    return Ground(jobs, sites, Country(regions, links, policy), real, supply)


def _sizes(dice: Random, count: int, units: Sequence[int]) -> list[int]:
    if not units:
        return dice.choices(list(SIZES), list(SIZES.values()), k=count)
    start = dice.randrange(len(units))
    return [units[(start + i) % len(units)] for i in range(count)]


def _supply(dice: Random, names: Sequence[str], wanted: float) -> dict[str, int]:
    """Cards of each region, in whole nodes, as many as wanted or a little more."""
    weights = [dice.uniform(0.5, 2.0) for _ in names]
    nodes = [math.ceil(wanted * w / sum(weights) / CARDS_PER_NODE) for w in weights]
    return {name: n * CARDS_PER_NODE for name, n in zip(names, nodes, strict=True)}


def _targets(
    dice: Random, names: Sequence[str], supply: Mapping[str, int], total: int, ratio: float
) -> dict[str, float]:
    """Demand of each region: the first one that can be is worst by the ratio; the others share the rest, none above it."""
    able = [name for name in names if ratio * supply[name] <= total]
    if not able:
        raise ValueError(
            f"no region is small enough to have {ratio} times its supply of all demand; take more regions or a lower --ratio"
        )
    worst = dice.choice(able)
    rest, others = total - ratio * supply[worst], [name for name in names if name != worst]
    weights = {name: supply[name] * dice.uniform(0.2, 1.6) for name in others}
    found = {worst: ratio * supply[worst]}
    for name in sorted(others, key=lambda name: -weights[name] / supply[name]):
        found[name] = min(rest * weights[name] / sum(weights.values()), 0.95 * ratio * supply[name])
        rest -= found[name]
        del weights[name]
    return found


def _jobs(
    dice: Random, sizes: Sequence[int], demand: Mapping[str, float]
) -> tuple[tuple[WaitingJob, ...], dict[str, int]]:
    """Jobs that come from where most of the demand is yet to be met, the largest first."""
    left, real, jobs = dict(demand), dict.fromkeys(demand, 0), []
    for i, size in enumerate(sorted(sizes, reverse=True)):
        origin = max(left, key=lambda name: left[name])
        left[origin] -= size
        real[origin] += size
        others = [name for name in demand if name != origin]
        other = dice.choice(others) if others and dice.random() < OTHER_DATA else None
        jobs.append(_job(dice, i, size, origin, other))
    return tuple(jobs), real


def _job(dice: Random, index: int, size: int, origin: str, other: str | None) -> WaitingJob:
    tasks, each = gang(size, CARDS_PER_NODE)
    inputs = [{"name": "own", "region": origin, "size": f"{_gib(dice)}Gi"}]
    if other:
        inputs.append({"name": "other", "region": other, "size": f"{_gib(dice)}Gi"})
    spec = {
        "category": "ModelTraining",
        "origin": origin,
        "tasks": tasks,
        "resources": {"class": [CLASS], "perTask": {"cpu": str(6 * each), "memory": f"{64 * each}Gi", "cards": each}},
        "template": {"image": "example/bench/skew:1"},
        "data": {"inputs": inputs},
        "timing": {"expectedDuration": f"{dice.choice([1, 2, 4, 8, 24])}h"},
    }
    job = ComputeJob.model_validate(_raw(ComputeJob, f"skew-{index:06d}", spec))
    return WaitingJob(f"{index:06d}", job, "bench", index)


def _gib(dice: Random) -> int:
    """Most datasets are small, few are very large."""
    return min(20_000, max(1, round(dice.lognormvariate(math.log(100), 1.5))))


def _region(dice: Random, name: str) -> ComputeRegion:
    where = {"latitude": f"{dice.uniform(22, 42):.2f}", "longitude": f"{dice.uniform(103, 121):.2f}"}
    return _parsed(ComputeRegion, name, {"displayName": name, **where})


def _links(dice: Random, names: Sequence[str]) -> list[ComputeLink]:
    """A ring, and as many chords."""
    ends = {tuple(sorted((names[i], names[i - 1]))) for i in range(len(names))}
    ends |= {tuple(sorted(dice.sample(list(names), 2))) for _ in names}
    return [_link(dice, one, other) for one, other in sorted(e for e in ends if e[0] != e[1])]


def _link(dice: Random, one: str, other: str) -> ComputeLink:
    way = {
        "endpoints": [one, other],
        "oneWay": f"{dice.randrange(1_000, 12_000)}us",
        "bandwidth": dice.choice(["100G", "400G", "1T"]),
        "pricePerGib": f"{dice.randrange(1, 6) / 100:.2f}",
    }
    return _parsed(ComputeLink, f"{one}-{other}", way)


def _site(dice: Random, region: str, cards: int, headroom: float) -> SiteView:
    """A region's site; the solver is given whole nodes, less the headroom."""
    offered = {
        "class": CLASS,
        "type": "Intelligent",
        "resourceName": "example.com/card",
        "unit": "Card",
        "listPrice": f"{dice.randrange(490, 511) / 100:.2f}",
        "ratedPowerW": 800,
    }
    energy = {
        "pue": f"{dice.randrange(115, 130) / 100:.2f}",
        "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": f"{dice.randrange(30, 80) / 100:.2f}"}],
    }
    site = _parsed(ComputeSite, f"{region}-dc1", {"region": region, "resources": [offered], "energy": energy})
    given = math.floor(cards * (1 - headroom) / CARDS_PER_NODE)
    nodes = (FreeNodes(given, NODE.cpu_milli, NODE.memory_bytes, NODE.cards),)
    return SiteView(site, ready=True, classes={CLASS: ClassRoom(nodes, nodes)})


def _raw(model: type[Resource], name: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": model.kind_info.kind, "metadata": {"name": name}, "spec": spec}


def _parsed(model: type[R], name: str, spec: Json) -> R:
    return model.model_validate(_raw(model, name, spec))
