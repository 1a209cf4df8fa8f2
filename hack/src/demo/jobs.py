"""Rows of the trace as ComputeJobs: what the trace does not tell is drawn by a rule from a seed.

`python -m demo.jobs --count 1000 --seed 1` prints manifests, for example for `suanli plan`.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import yaml

from demo import trace
from demo.country import ANY_TIER, Country, Rooms, load
from suanli.api.job import ComputeJobSpec
from suanli.base.names import API_VERSION
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import gang

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "national"
Classes = Mapping[tuple[str, ...], int]
A100, ASCEND, X86 = "nvidia-a100-80g", "ascend-910b", "cpu-x86"
CARDS: Classes = {(A100, ASCEND): 4, (ASCEND, A100): 3, (A100,): 2, (ASCEND,): 1}
GRAPHICS: Classes = {(A100,): 1}
CORES: Classes = {(X86,): 1}
PER_NODE = 8  # the most cards or cores that one task gets
INPUTS = {"0": 3, "20Gi": 3, "100Gi": 2, "500Gi": 1}

Manifest = dict[str, Any]
K = TypeVar("K")


@dataclass(frozen=True)
class Recipe:
    """How jobs of one category are drawn; every number is a weight."""

    slug: str
    weight: int
    tiers: Mapping[str, int]
    classes: Classes
    priority: int = 0
    data: bool = False


# Shares are samples; the categories, and which of them stay near, are the policy's.
RECIPES: Mapping[str, Recipe] = {
    "ModelTraining": Recipe("train", 20, {"cross-hub": 3, ANY_TIER: 2}, CARDS, data=True),
    "ModelInference": Recipe("infer", 20, {"region": 2, "cross-hub": 2, "city": 1}, CARDS, priority=100),
    "MachineLearning": Recipe("learn", 15, {"cross-hub": 1, ANY_TIER: 1}, CARDS, data=True),
    "Rendering": Recipe("render", 10, {"cross-hub": 1, ANY_TIER: 1}, GRAPHICS, data=True),
    "OfflineAnalytics": Recipe("analyse", 15, {"cross-hub": 2, ANY_TIER: 3}, CORES, data=True),
    "Backup": Recipe("backup", 5, {ANY_TIER: 1}, CORES, data=True),
    "IndustrialControl": Recipe("control", 5, {"city": 3, "region": 2}, CORES, priority=500),
    "Finance": Recipe("finance", 5, {"city": 1, "region": 2}, CORES, priority=200),
    "Telemedicine": Recipe("medicine", 5, {"region": 1}, CORES, priority=300),
}
ORIGINS: Mapping[str, int] = {
    "shanghai": 14, "beijing": 14, "shenzhen": 12, "guangzhou": 8, "hangzhou": 8, "wuhan": 6, "suzhou": 5, "chengdu": 5,
    "nanjing": 4, "chongqing": 4, "tianjin": 3, "xian": 3, "zhengzhou": 2, "hefei": 2, "jinan": 2, "changsha": 2, "fuzhou": 2,
    "shenyang": 1, "harbin": 1, "kunming": 1, "urumqi": 1,
}  # fmt: skip


def draw(
    rows: Sequence[TraceRow], country: Country, rooms: Rooms, seed: int, *, namespace: str = ""
) -> Iterator[tuple[TraceRow, Manifest]]:
    """A job for each row that some site of the country can hold; a row that none can is left out."""
    for index, row in enumerate(rows, start=1):
        job = _draw(index, row, country, rooms, random.Random(f"{seed}:{index}"))  # noqa: S311 - chance, not secrecy
        if job is not None:
            if namespace:
                job["metadata"]["namespace"] = namespace
            yield row, job


def _draw(index: int, row: TraceRow, country: Country, rooms: Rooms, chance: random.Random) -> Manifest | None:
    """Category, tier, classes and origin in this order, each among those that leave the job a site."""
    size = next(_shuffled(INPUTS, chance))
    for category in _shuffled({name: recipe.weight for name, recipe in RECIPES.items()}, chance):
        recipe = RECIPES[category]
        for tier in _shuffled(recipe.tiers, chance):
            for classes in _shuffled(recipe.classes, chance):
                for origin in _shuffled(ORIGINS, chance):
                    spec = _spec(category, tier, classes, origin, row, size)
                    if country.homes(ComputeJobSpec.model_validate(spec), rooms):
                        return manifest(f"{recipe.slug}-{index:04d}", spec)
    return None


def _spec(category: str, tier: str, classes: tuple[str, ...], origin: str, row: TraceRow, size: str) -> Manifest:
    tasks, each = gang(row.units, PER_NODE)
    cards = classes != (X86,)
    per_task = {"cpu": f"{6 * each if cards else each}", "memory": f"{40 * each if cards else 4 * each}Gi"}
    spec: Manifest = {
        "category": category,
        "origin": origin,
        **({} if tier == ANY_TIER else {"latency": {"tier": tier}}),
        "tasks": tasks,
        "resources": {"class": list(classes), "perTask": {**per_task, **({"cards": each} if cards else {})}},
        "template": {"image": f"example/{RECIPES[category].slug}:1", "command": ["sleep", f"{_run_s(row)}s"]},
        "timing": {"expectedDuration": f"{max(1, round(row.length_h * 60))}m"},
        "priority": RECIPES[category].priority,
    }
    if RECIPES[category].data and size != "0":
        spec["data"] = {"inputs": [{"name": "input", "region": origin, "size": size}]}
    return spec


def _run_s(row: TraceRow) -> int:
    return trace.short_run_s(row.length_h)


def manifest(name: str, spec: Manifest) -> Manifest:
    """A ComputeJob."""
    return {"apiVersion": API_VERSION, "kind": "ComputeJob", "metadata": {"name": name}, "spec": spec}


def _shuffled(weights: Mapping[K, int], chance: random.Random) -> Iterator[K]:
    """All keys in an order in which heavier ones tend to be first, drawn as they are asked for."""
    left = dict(weights)
    while left:
        key = chance.choices(list(left), list(left.values()))[0]
        del left[key]
        yield key


def text(jobs: Sequence[Manifest]) -> str:
    """The manifests as one YAML text."""
    return yaml.safe_dump_all(jobs, sort_keys=False, explicit_start=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print manifests."""
    parser = argparse.ArgumentParser(prog="python -m demo.jobs", description="ComputeJobs made of the trace sample.")
    parser.add_argument("--count", type=int, default=1000, help="how many (1000; the sample has 1200 rows)")
    parser.add_argument(
        "--seed", type=int, default=1, help="decides where in the trace to begin, and all that is drawn (1)"
    )
    parser.add_argument("--country", type=Path, default=EXAMPLE, help="folder of the country's manifests")
    args = parser.parse_args(argv)
    country = load(args.country)
    with (args.country / "trace" / "pai-sample.csv").open(encoding="utf-8") as file:
        rows = trace.read(file)
    drawn = draw(trace.rotate(rows, args.seed), country, country.declared_rooms(), args.seed)
    sys.stdout.write(text([job for _, job in islice(drawn, args.count)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
