"""`./hack/bench/placement`: whole plans of large batches, from jobs as the operator holds them to one decision each.

Regions and sites lie at random; every site has nodes of eight cards, and more than enough cores and memory for them, or, with `--scarce each`,
nodes that run short of cards at some sites, of cores or of memory at others. Jobs come in classes, as templates are used again and again. A
hidden plan that keeps latency says how large each site is, so that all jobs fit at the wanted load.

With `--peers` the market that the solver gets is also given to HiGHS, as its linear relaxation, and to a min-cost flow that knows
only the tightest resource: no plan of these jobs costs less than either.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from bench.peers.ask import Asked, NoPeers, add_arguments, installed, model_of
from commandline import number, whole
from suanli.api.job import ComputeJob
from suanli.api.region import ComputeRegion
from suanli.api.site import ComputeSite
from suanli.base.names import API_VERSION
from suanli.main import look_for_circles_rarely
from suanli.placement.batch import make_batch
from suanli.placement.effort import Effort
from suanli.placement.filters import sift
from suanli.placement.scores import score
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, SiteView, WaitingJob
from suanli.placement.solve import EFFORT_MS, RESOURCES, market_of, place, solve

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SIZES = ((1_000, 20), (10_000, 20), (10_000, 100), (100_000, 20), (100_000, 50))
REGIONS = 30
MOST = 10_000_000  # jobs, sites, classes
GIB = 1 << 30
CARDS, EACH = "cards", "each"
Kind = tuple[tuple[int, ...], tuple[int, ...], int]  # cores, GiB and cards that the nodes of a site may have
NODES: dict[str, tuple[Kind, ...]] = {  # by what runs short: the kinds of sites
    CARDS: (((96, 128), (1024, 2048), 8),),
    EACH: (((96, 128), (1024, 2048), 8), ((96,), (2048,), 16), ((192,), (1024,), 24)),
}
RESOURCE_NAMES = ("millicores", "bytes", "cards", "pods")
GOALS = {(10_000, 100): 0.5, (100_000, 50): 5.0}  # seconds


@dataclass(frozen=True)
class Result:
    """What one batch came to. Units: seconds of wall and processor time, MiB of the process's peak.

    `changed` is the plan after that, when one job of a hundred is another; `changed_ratio` its processor time over the first plan's.
    """

    jobs: int
    sites: int
    classes: int
    seconds: float
    cpu_seconds: float
    warm_seconds: float
    changed_cpu_seconds: float
    changed_ratio: float
    floor_seconds: float
    peak_mib: int
    gap_percent: float
    unplaced: int
    cost_over_cheapest: float


@dataclass(frozen=True)
class Beside:
    """What a peer made of the same market: a cost that no plan of these jobs is below.

    `value_ratio` is our cost over its value, `time_ratio` our processor time from the market to the plan over its own: other work on the
    machine tells less there than in wall time. Units: seconds of wall and processor time.
    """

    peer: str
    solves: str
    status: str
    seconds: float
    cpu_seconds: float
    value: float | None
    value_ratio: float | None
    time_ratio: float | None


@dataclass(frozen=True)
class Compared(Result):
    """A batch with its peers. `cost` is micro-yuan of all that was placed; `solve_seconds` lead from the market to the plan."""

    cost: int
    solve_seconds: float
    solve_cpu_seconds: float
    peers: tuple[Beside, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 2 no peers to be had."""
    args = _arguments(argv)
    look_for_circles_rarely()  # as the operator's process does
    try:
        return _measured(args, installed(args.peer_seconds) if args.peers else None)
    except NoPeers as error:
        print(f"placement: {error}", file=sys.stderr)
        return 2


def _measured(args: argparse.Namespace, peers: Asked | None) -> int:
    results = []
    if args.output == "table":
        print(HEAD)
    for jobs, sites in [tuple(size) for size in args.size] or SIZES:
        drawn = (jobs, sites, args.classes or max(50, jobs // 20), args.load, args.seed, args.scarce)
        result = measure(*drawn)
        results.append(compare(result, *drawn, peers) if peers else result)
        if args.output == "table":
            print(_shown(results[-1]), flush=True)
    exponent = growth(results)
    if args.output == "json":
        print(json.dumps({"growth_exponent": exponent, "results": [asdict(r) for r in results]}, indent=2))
    elif exponent is not None:
        print(f"time grows as (jobs x sites)^{exponent:.2f}")
    return 0


def measure(jobs: int, sites: int, classes: int, load: float, seed: int, scarce: str = CARDS) -> Result:
    """Place one batch cold, again with its own prices, and with these when one job of a hundred is another."""
    waiting, views, country = ground(jobs, sites, classes, load, seed, scarce)
    floor = _floor(waiting)
    began, cpu = time.perf_counter(), time.process_time()
    plan = place(waiting, views, country, NOW_MS)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    began = time.perf_counter()
    place(waiting, views, country, NOW_MS, warm=plan.prices)
    warm = time.perf_counter() - began
    others = _others(waiting, seed)
    changed_cpu = time.process_time()
    place(others, views, country, NOW_MS, warm=plan.prices)
    changed_cpu = time.process_time() - changed_cpu
    placed = [d for d in plan.decisions.values() if d.site]
    totals = [(d.placement.cost, d.placement.runners_up) for d in placed]
    cost = sum(int(c.total) for c, _ in totals if c)
    least = sum(min([int(c.total), *(int(r.total) for r in others)]) for c, others in totals if c)
    return Result(
        jobs=jobs,
        sites=sites,
        classes=classes,
        seconds=round(took, 3),
        cpu_seconds=round(cpu, 3),
        warm_seconds=round(warm, 3),
        changed_cpu_seconds=round(changed_cpu, 3),
        changed_ratio=round(changed_cpu / cpu, 3) if cpu else 1.0,
        floor_seconds=round(floor, 3),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        gap_percent=plan.gap_ppm / 10_000,
        unplaced=jobs - len(placed),
        cost_over_cheapest=round(cost / least, 4) if least else 1.0,
    )


def compare(
    result: Result, jobs: int, sites: int, classes: int, load: float, seed: int, scarce: str, peers: Asked
) -> Compared:
    """The same batch once more as a bare market, ours and theirs. The relaxations are of the jobs that ours placed."""
    batch = make_batch(*ground(jobs, sites, classes, load, seed, scarce), NOW_MS)
    costs = score(batch)
    market = market_of(batch, costs, sift(batch, costs))
    began, cpu = time.perf_counter(), time.process_time()
    draft = solve(market, np.zeros((len(market.nodes), RESOURCES)), Effort(EFFORT_MS)).draft
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    model = model_of(market, draft.placed_rp.sum(axis=1))
    asked = [("HiGHS LP", "lp", "jobs in fractions, a pool's nodes as one, 1 thread")]
    if len(model.resource_k):  # else every job has its cheapest pool, and there is nothing to flow
        resource = RESOURCE_NAMES[model.resource_k[model.tightest()]]
        asked.append(("min-cost flow", "flow", f"only {resource} count, jobs in single units of them, 1 thread"))
    beside = []
    for peer, program, solves in asked:
        answer = peers.ask(program, model)
        found = answer.value is not None
        beside.append(
            Beside(
                peer=peer,
                solves=solves,
                status=answer.status,
                seconds=round(answer.seconds, 3),
                cpu_seconds=round(answer.cpu_seconds, 3),
                value=answer.value,
                value_ratio=round(draft.cost / answer.value, 6) if answer.value else None,
                time_ratio=round(cpu / answer.cpu_seconds, 2) if found and answer.cpu_seconds else None,
            )
        )
    return Compared(
        **vars(result),
        cost=draft.cost,
        solve_seconds=round(took, 3),
        solve_cpu_seconds=round(cpu, 3),
        peers=tuple(beside),
    )


def ground(
    jobs: int, sites: int, classes: int, load: float, seed: int, scarce: str = CARDS
) -> tuple[list[WaitingJob], list[SiteView], Country]:
    """A country and a batch that fits it at the load."""
    rng = np.random.default_rng(seed)
    at_r, at_s = rng.uniform((20, 80), (45, 125), (REGIONS, 2)), rng.integers(0, REGIONS, sites)
    regions = {f"r{i}": _region(i, *at_r[i].tolist()) for i in range(REGIONS)}
    country = Country(regions, {}, None)
    classes = min(classes, jobs)
    share = 1 / np.arange(1, classes + 1) ** 0.6
    count_c = 1 + rng.multinomial(jobs - classes, share / share.sum())
    need, models = [], []
    bound_us = rng.choice([4_000, 9_000, 0], classes, p=[0.1, 0.3, 0.6])
    origins = rng.integers(0, REGIONS, classes)
    km_rs = _kilometres(at_r)[:, at_s]
    weight_s = rng.dirichlet(np.full(sites, 8.0))
    used_sk = np.zeros((sites, 3))
    for c in range(classes):
        cards, tasks = int(rng.choice([1, 2, 4, 8], p=[0.4, 0.2, 0.2, 0.2])), int(rng.choice([1, 1, 2, 4]))
        cores, gib = cards * int(rng.choice([4, 8, 12])), cards * int(rng.choice([16, 32, 64, 128]))
        far_us = km_rs[origins[c]] * 7.5  # as estimated by distance
        limit = max(int(bound_us[c]), int(np.partition(far_us, min(2, sites - 1))[min(2, sites - 1)]) + 1)
        limit = limit if bound_us[c] else 0
        models.append(_job(c, f"r{origins[c]}", limit, tasks, cores, gib, cards, rng))
        open_s = weight_s * (far_us <= limit) if limit else weight_s
        used_sk += rng.multinomial(count_c[c], open_s / open_s.sum())[:, None] * (
            np.array([cores, gib, cards], dtype=float) * tasks
        )
        need.append(tasks)
    views = [
        _site(s, int(at_s[s]), used_sk[s] / load, NODES[scarce][s % len(NODES[scarce])], rng) for s in range(sites)
    ]
    order = rng.permutation(np.repeat(np.arange(classes), count_c))
    waiting = [WaitingJob(f"job-{i}", models[c], "team", NOW_MS - len(order) + i) for i, c in enumerate(order.tolist())]
    return waiting, views, country


def _region(index: int, latitude: float, longitude: float) -> ComputeRegion:
    spec = {"displayName": f"R{index}", "latitude": f"{latitude:.4f}", "longitude": f"{longitude:.4f}"}
    return ComputeRegion.model_validate(_object("ComputeRegion", f"r{index}", spec))


def _job(
    index: int, origin: str, limit_us: int, tasks: int, cores: int, gib: int, cards: int, rng: np.random.Generator
) -> ComputeJob:
    spec: dict[str, object] = {
        "category": "ModelTraining",
        "origin": origin,
        "tasks": tasks,
        "resources": {"class": ["gpu"], "perTask": {"cpu": str(cores), "memory": f"{gib}Gi", "cards": cards}},
        "template": {"image": "registry.example/train:1"},
        "timing": {"expectedDuration": f"{rng.choice([30, 60, 120, 240, 480, 1440])}m"},
    }
    if limit_us:
        spec["latency"] = {"oneWay": f"{limit_us / 1_000:g}ms"}
    return ComputeJob.model_validate(_object("ComputeJob", f"job-{index}", spec))


def _site(
    index: int, region: int, room: np.typing.NDArray[np.float64], kind: Kind, rng: np.random.Generator
) -> SiteView:
    cores, gib, cards = kind
    node = np.array([rng.choice(cores), rng.choice(gib), cards])
    nodes = int(max(4, np.ceil((room / node).max())))
    spec = {
        "region": f"r{region}",
        "operator": "operator",
        "standardRacks": 100,
        "connection": {"kubeconfigSecretRef": {"name": f"site-{index}"}},
        "resources": [
            {
                "class": "gpu",
                "type": "Intelligent",
                "resourceName": "example.com/card",
                "unit": "Card",
                "listPrice": f"{rng.uniform(3, 7):.2f}",
                "ratedPowerW": 700,
            }
        ],
        "energy": {
            "pue": f"{rng.uniform(1.1, 1.5):.2f}",
            "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": f"{rng.uniform(0.2, 1.0):.3f}"}],
        },
    }
    free = (FreeNodes(nodes, int(node[0]) * 1_000, int(node[1]) * GIB, cards),)
    return SiteView(
        ComputeSite.model_validate(_object("ComputeSite", f"site-{index}", spec)),
        ready=True,
        classes={"gpu": ClassRoom(free, free)},
    )


def _object(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _kilometres(at_r: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
    """Great circles between all regions."""
    lat, lon = np.radians(at_r).T
    cosine = np.sin(lat)[:, None] * np.sin(lat) + np.cos(lat)[:, None] * np.cos(lat) * np.cos(lon[:, None] - lon)
    return np.asarray(6_371.0 * np.arccos(np.clip(cosine, -1, 1)))


def _others(waiting: Sequence[WaitingJob], seed: int) -> list[WaitingJob]:
    """One job of a hundred has gone, and as many like them have come."""
    gone: list[int] = (
        np.random.default_rng([1, seed]).choice(len(waiting), -(-len(waiting) // 100), replace=False).tolist()
    )
    went = set(gone)
    left = [job for i, job in enumerate(waiting) if i not in went]
    return left + [replace(waiting[i], uid=f"new-{waiting[i].uid}", submitted_ms=NOW_MS) for i in gone]


def _floor(waiting: Sequence[WaitingJob]) -> float:
    """What it takes in the same process to touch every job once and make one object for it."""
    began = time.perf_counter()
    {job.uid: (job.job.spec.priority, job.submitted_ms, job.uid) for job in waiting}
    return time.perf_counter() - began


def growth(results: Sequence[Result]) -> float | None:
    """The exponent of jobs x sites by which time grows, by least squares of logarithms."""
    sizes = np.log([r.jobs * r.sites for r in results])
    if len(results) < 2 or np.ptp(sizes) == 0:
        return None
    return round(float(np.polyfit(sizes, np.log([max(1e-6, r.seconds) for r in results]), 1)[0]), 3)


HEAD = (
    f"{'jobs':>7} {'sites':>5} {'classes':>7} {'s':>8} {'cpu s':>8} {'warm s':>8} {'chg cpu s':>9} {'of full':>7} {'floor s':>8} {'goal s':>7} "
    f"{'MiB':>6} {'gap %':>8} {'unplaced':>8} {'x cheapest':>10}"
)


def _shown(r: Result) -> str:
    goal = GOALS.get((r.jobs, r.sites))
    line = (
        f"{r.jobs:>7} {r.sites:>5} {r.classes:>7} {r.seconds:>8.3f} {r.cpu_seconds:>8.3f} {r.warm_seconds:>8.3f} "
        f"{r.changed_cpu_seconds:>9.3f} {r.changed_ratio:>7.3f} {r.floor_seconds:>8.3f} {goal or '-':>7} {r.peak_mib:>6} {r.gap_percent:>8.4f} {r.unplaced:>8} "
        f"{r.cost_over_cheapest:>10.4f}"
    )
    if not isinstance(r, Compared):
        return line
    ours = (
        f"from the market to the plan {r.solve_seconds:.3f} s, {r.solve_cpu_seconds:.3f} s of processor; cost {r.cost}"
    )
    return "\n".join([line, f"{'':>7} {ours}", *(f"{'':>7} {_told(peer)}" for peer in r.peers)])


def _told(b: Beside) -> str:
    said = f"{b.peer}, {b.solves}: {b.status} in {b.seconds:.3f} s, {b.cpu_seconds:.3f} s of processor"
    if b.value is None:
        return f"{said}; no value"
    value = "" if b.value_ratio is None else f"; ours / its value {b.value_ratio:.6f}"
    times = "" if b.time_ratio is None else f", ours / its processor time {b.time_ratio:g}"
    return f"{said}; value {b.value:.0f}{value}{times}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/bench/placement",
        description="Time, memory, proven gap and jobs without a place of batches that fit, from jobs to decisions.",
    )
    parser.add_argument(
        "--size",
        type=whole(1, MOST),
        nargs=2,
        action="append",
        default=[],
        metavar=("JOBS", "SITES"),
        help="repeatable",
    )
    parser.add_argument("--classes", type=whole(1, MOST), help="different jobs in a batch (a twentieth of them)")
    parser.add_argument(
        "--load", type=number(0.05, 1.0), default=0.9, help="share of each site that the hidden plan uses (0.9)"
    )
    parser.add_argument(
        "--scarce",
        choices=tuple(NODES),
        default=CARDS,
        help="what runs short: cards everywhere, or each of cards, cores and memory at a third of the sites (cards)",
    )
    parser.add_argument("--seed", type=int, default=1, help="decides all that is drawn (1)")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
