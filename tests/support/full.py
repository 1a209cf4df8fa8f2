"""Worlds that are full to a share, and in which every job has a place by construction."""

from dataclasses import dataclass, replace
from random import Random

from checker import Judge
from suanli.placement.snapshot import Country, FreeNodes, SiteView, WaitingJob
from worlds import REGIONS, TIERS, Raw, World, a_class, a_country, a_job, a_node, a_policy, a_region, a_site

CARDS_A_NODE = 8
CORES_A_NODE = 64
MEMORY_GIB_A_NODE = 512
PATIENCE = 12  # draws in a row that do not fit any more


@dataclass(frozen=True)
class Fill:
    """About how many jobs such a world has, and how full it is. `scarce`: cores and memory bind as cards do."""

    jobs: int
    sites: int
    load: float
    seed: int
    scarce: bool = False


@dataclass
class _Node:
    """What is left of one node in the hidden plan."""

    cards: int
    cores: int
    memory_gib: int

    def takes(self, cards: int, cores: int, memory_gib: int) -> bool:
        """Whether one more task fits."""
        return self.cards >= cards and self.cores >= cores and self.memory_gib >= memory_gib

    def take(self, cards: int, cores: int, memory_gib: int) -> None:
        """Put one task here."""
        self.cards -= cards
        self.cores -= cores
        self.memory_gib -= memory_gib


def a_full_world(fill: Fill) -> World:
    """Jobs drawn into nodes until they are as full as asked; each then gets wishes and bounds that its hidden place keeps."""
    dice = Random(f"full/{fill.seed}")
    country = _country(dice)
    sites = tuple(_site(dice, i, fill) for i in range(fill.sites))
    judge = Judge(list(sites), country, World((), sites, country).now_ms)
    jobs: list[WaitingJob] = []
    for view in sites:
        for class_, room in view.classes.items():
            for job in _drawn(dice, fill, class_, room.free):
                jobs.append(_bound(dice, judge, view, class_, job, len(jobs)))
    dice.shuffle(jobs)
    return World(tuple(jobs), sites, country)


def _country(dice: Random) -> Country:
    regions = [a_region(n, f"{dice.uniform(22, 42):.2f}", f"{dice.uniform(102, 122):.2f}") for n in REGIONS]
    policy = a_policy(
        hubs=[
            {"name": "hub-east", "side": "East", "regions": list(REGIONS[:2])},
            {"name": "hub-west", "side": "West", "regions": list(REGIONS[2:4])},
        ],
        latencyTiers=[{"name": name, "oneWay": time} for name, time in TIERS.items()],
        placementRules=[
            {"name": "stay", "match": {"categories": ["Finance"]}, "effect": "Require", "sides": ["East"]},
            {
                "name": "go",
                "match": {"categories": ["Backup"]},
                "effect": "Prefer",
                "sides": ["West"],
                "weight": "700000",
            },
        ],
        transferPricePerGib="0.02",
    )
    return a_country(regions, policy=policy)


def _site(dice: Random, i: int, fill: Fill) -> SiteView:
    classes, rooms = [], {}
    for name in dice.sample(["gpu", "npu", "cpu"], dice.randint(1, 3)):
        size = dice.randint(1, max(1, int(fill.jobs / fill.sites * 0.5)))
        unit = "Core" if name == "cpu" else "Card"
        classes.append(
            a_class(name, unit, listPrice=f"{dice.randint(1, 900) / 100:.2f}", ratedPowerW=dice.choice([0, 500]))
        )
        cards = 0 if name == "cpu" else CARDS_A_NODE
        rooms[name] = [a_node(size, cards=cards, cores=CORES_A_NODE, memory_gib=MEMORY_GIB_A_NODE)]
    return a_site(f"site-{i}", rooms, region=dice.choice(REGIONS), resources=classes)


def _drawn(dice: Random, fill: Fill, class_: str, free: tuple[FreeNodes, ...]) -> list[Raw]:
    """Gangs that fit on the nodes together."""
    nodes = [_Node(n.cards, CORES_A_NODE, MEMORY_GIB_A_NODE) for n in free for _ in range(n.count)]
    is_core = class_ == "cpu"
    whole = len(nodes) * (CORES_A_NODE if is_core else CARDS_A_NODE)
    held, missed, jobs = 0, 0, list[Raw]()
    while missed < PATIENCE:
        each = dice.choice([1, 1, 2, 4, 8]) * (4 if is_core else 1)
        tasks = dice.choice([1, 1, 1, 2, 4])
        cores = each if is_core else dice.choice([1, 4, 8]) * each if fill.scarce else each
        memory = dice.choice([1, 16, 64]) * each if fill.scarce and not is_core else each
        shape = (0 if is_core else each, cores, memory)
        if held + tasks * each > fill.load * whole or not _fits(nodes, tasks, shape):
            missed += 1
            continue
        held, missed = held + tasks * each, 0
        jobs.append({"cards": shape[0], "cores": str(cores), "memory": f"{memory}Gi", "tasks": tasks})
    return jobs


def _fits(nodes: list[_Node], tasks: int, shape: tuple[int, int, int]) -> bool:
    """Put the gang onto the nodes if it fits."""
    trial = [replace(node) for node in nodes]
    for _ in range(tasks):
        node = next((n for n in trial if n.takes(*shape)), None)
        if node is None:
            return False
        node.take(*shape)
    nodes[:] = trial
    return True


def _bound(dice: Random, judge: Judge, view: SiteView, class_: str, job: Raw, i: int) -> WaitingJob:
    """Wishes and bounds that the hidden place keeps."""
    classes = [class_, *dice.sample([c for c in ("gpu", "npu") if c != class_], dice.randint(0, 1))]
    dice.shuffle(classes)
    spec: Raw = {"classes": ["cpu"] if class_ == "cpu" else classes, "origin": dice.choice(REGIONS[:4]), **job}
    spec["priority"] = dice.choice([0, 0, 10])
    spec["timing"] = {"expectedDuration": f"{dice.randint(1, 600)}m"}
    place = judge.places[view.site.metadata.name, class_]
    for _ in range(20):
        wishes: Raw = {"category": dice.choice(["General", "Finance", "Backup"])}
        if dice.random() < 0.5:
            wishes["latency"] = dice.choice(
                [{"tier": "region"}, {"tier": "wide"}, {"oneWay": f"{dice.randint(1, 12)}ms"}]
            )
        if dice.random() < 0.2:
            wishes["data"] = {"allowedRegions": sorted({view.site.spec.region, dice.choice(REGIONS)})}
        made = a_job(f"job-{i}", submitted_ms=i, **spec, **wishes)
        if judge.first_no(made, place) is None:
            return made
    return a_job(f"job-{i}", submitted_ms=i, **spec)
