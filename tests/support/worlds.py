"""Small countries, sites and jobs: builders for single cases, and random worlds drawn from a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from suanli.api import ComputeAccount, ComputeJob, ComputeLink, ComputeRegion, ComputeSite, HubPolicy
from suanli.base.names import API_VERSION
from suanli.placement.accounts import NOBODY, Accounts, Tenancy
from suanli.placement.snapshot import ClassRoom, Country, FreeNodes, Plan, Prices, SiteView, WaitingJob
from suanli.placement.solve import place

NOW_MS = 1_769_846_400_000  # 2026-01-31T08:00:00Z
GIB = 1 << 30
Raw = dict[str, Any]


@dataclass(frozen=True)
class World:
    """One question to placement."""

    jobs: tuple[WaitingJob, ...]
    sites: tuple[SiteView, ...]
    country: Country
    now_ms: int = NOW_MS
    tenancy: Tenancy = NOBODY

    def plan(self, warm: Prices | None = None) -> Plan:
        """The answer; `warm`: after another one."""
        return place(self.jobs, self.sites, self.country, self.now_ms, self.tenancy, warm=warm)

    @property
    def question(self) -> tuple[tuple[WaitingJob, ...], tuple[SiteView, ...], Country, int]:
        """As the checker takes it."""
        return self.jobs, self.sites, self.country, self.now_ms


def raw(kind: str, name: str, spec: Raw, **metadata: Any) -> Raw:
    """An object as it is applied."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def a_region(name: str, latitude: str = "30", longitude: str = "110") -> ComputeRegion:
    """A city."""
    spec = {"displayName": name, "latitude": latitude, "longitude": longitude}
    return ComputeRegion.model_validate(raw("ComputeRegion", name, spec))


def a_link(one: str, other: str, one_way: str, **spec: Any) -> ComputeLink:
    """A link, named after its ends and its time."""
    name = f"{one}-{other}-{one_way.replace('.', '-')}"
    return ComputeLink.model_validate(raw("ComputeLink", name, {"endpoints": [one, other], "oneWay": one_way, **spec}))


def a_policy(**spec: Any) -> HubPolicy:
    """The policy in force."""
    return HubPolicy.model_validate(raw("HubPolicy", "national", spec))


def a_country(
    regions: Sequence[ComputeRegion] = (), links: Sequence[ComputeLink] = (), policy: HubPolicy | None = None
) -> Country:
    """A map; without regions it has one, "here"."""
    places = regions or [a_region("here")]
    return Country({r.metadata.name: r for r in places}, {link.metadata.name: link for link in links}, policy)


def a_class(name: str = "gpu", unit: str = "Card", **more: Any) -> Raw:
    """A class of compute of a site."""
    counted = "cpu" if unit == "Core" else "example.com/card"
    kind = "General" if unit == "Core" else "Intelligent"
    return {"class": name, "type": kind, "resourceName": counted, "unit": unit, "listPrice": "1", **more}


def a_node(count: int = 1, *, cards: int = 8, cores: float = 64, memory_gib: float = 512, pods: int = 110) -> FreeNodes:
    """Equal nodes."""
    return FreeNodes(count, round(cores * 1000), round(memory_gib * GIB), cards, pods)


def a_site(
    name: str = "one",
    rooms: Mapping[str, Sequence[FreeNodes]] | None = None,
    *,
    region: str = "here",
    classes: Sequence[Raw] = (),
    empty: Mapping[str, Sequence[FreeNodes]] | None = None,
    ready: bool = True,
    not_ready: str = "",
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> SiteView:
    """A site with its nodes by class; `empty` where they are not all free."""
    free = rooms if rooms is not None else {"gpu": [a_node()]}
    whole = empty if empty is not None else free
    offered = list(classes) or [a_class(c) for c in free]
    site = raw("ComputeSite", name, {"region": region, "resources": offered, **spec}, labels=dict(labels or {}))
    room = {c: ClassRoom(tuple(nodes), tuple(whole.get(c, nodes))) for c, nodes in free.items()}
    return SiteView(ComputeSite.model_validate(site), ready, not_ready, room)


def a_job(
    name: str = "job",
    *,
    classes: Sequence[str] = ("gpu",),
    cards: int = 1,
    cores: str = "1",
    memory: str = "1Gi",
    tasks: int = 1,
    origin: str = "here",
    account: str = "team",
    submitted_ms: int = 0,
    backoff: Mapping[str, str] | None = None,
    **spec: Any,
) -> WaitingJob:
    """A job that waits; `spec` is added to its spec as it is on the wire."""
    wanted: Raw = {
        "origin": origin,
        "tasks": tasks,
        "resources": {"class": list(classes), "perTask": {"cpu": cores, "memory": memory, "cards": cards}},
        "template": {"image": "image"},
        **spec,
    }
    job = ComputeJob.model_validate(raw("ComputeJob", name, wanted, namespace=account))
    return WaitingJob(name, job, account, submitted_ms, backoff or {})


def a_world(
    jobs: Sequence[WaitingJob], sites: Sequence[SiteView], country: Country | None = None, now_ms: int = NOW_MS
) -> World:
    """A question."""
    return World(tuple(jobs), tuple(sites), country or a_country(), now_ms)


def an_account(name: str, *, created: str = "", **spec: Any) -> ComputeAccount:
    """A tenant."""
    metadata = {"creationTimestamp": created} if created else {}
    return ComputeAccount.model_validate(raw("ComputeAccount", name, spec, **metadata))


def a_tenancy(*accounts: ComputeAccount, **held: Mapping[str, int]) -> Tenancy:
    """Accounts, and what each holds by class, in whole cards or cores."""
    use = {(name, class_): 1_000 * units for name, by_class in held.items() for class_, units in by_class.items()}
    return Tenancy(Accounts({account.metadata.name: account for account in accounts}), use)


# --- random worlds


@dataclass(frozen=True)
class Taste:
    """What a random world is like."""

    jobs: int
    sites: int
    seed: int
    one_node: bool = False  # one node a pool: sums decide what fits
    plain: bool = False  # no rule forbids anything but latency, class and capacity
    tight: bool = False  # nearly every job could run nearly everywhere, were it not for the others
    huge: bool = False  # enormous numbers
    enclaves: bool = False  # hubs have built in other hubs
    rich: bool = field(default=True)  # several classes, data, schedules

    def dice(self, *what: object) -> Random:
        """Chance of its own for everything, so that a smaller world is a part of a larger one."""
        return Random(f"{self.seed}/{'/'.join(map(str, what))}")


def tastes(*, jobs: int = 12, sites: int = 5, **fixed: Any) -> SearchStrategy[Taste]:
    """Random worlds up to a size; what is not fixed is drawn, and shrinks with the size."""
    kinds: dict[str, SearchStrategy[bool]] = {
        name: st.booleans() for name in ("one_node", "plain", "tight", "rich") if name not in fixed
    }
    fewest = fixed.pop("fewest", 0)
    return st.builds(
        Taste,
        jobs=st.integers(fewest, jobs),
        sites=st.integers(min(1, fewest), sites),
        seed=st.integers(0, 1 << 30),
        **kinds,
        **{name: st.just(value) for name, value in fixed.items()},
    )


def seeded(examples: int) -> settings:
    """So many examples, the same ones every time."""
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


REGIONS = ("ash", "birch", "cedar", "doum", "elm", "fir")
CLASSES = ("gpu", "npu", "cpu")
ACCOUNTS = ("red", "blue")
CATEGORIES = ("ModelTraining", "Finance", "Backup", "General")
SIDES = ("East", "West")
TIERS = {"city": "1ms", "region": "5ms", "wide": "20ms", "wider": "20ms"}
CARDS = (1, 1, 2, 4, 8)
DATASETS = ("maps", "scans", "talks")


def a_random_world(taste: Taste) -> World:
    """A world of that taste."""
    dice = taste.dice("world")
    country = _country(taste, dice)
    sites = tuple(_site(taste, i) for i in range(taste.sites))
    jobs = tuple(_job(taste, i) for i in range(taste.jobs))
    now_ms = NOW_MS + dice.choice([0, 0, dice.randrange(400 * 86_400_000)])
    return World(jobs, sites, country, now_ms)


def a_random_tenancy(taste: Taste) -> Tenancy:
    """Accounts of the world's jobs with random quotas, some in a family, and what they hold already."""
    dice = taste.dice("tenancy")
    parents = {
        "red": dice.choice(["", "top", "top"]),
        "blue": dice.choice(["", "top", "top"]),
        "top": "",
        "idle": "top",
    }
    accounts = []
    for name, parent in parents.items():
        quotas: list[Raw] = []
        for what in ({"class": "gpu"}, {"class": "npu"}, {"type": "Intelligent"}, {"type": "General"}):
            if dice.random() < 0.5:
                lends = {"borrowingLimit": dice.choice([0, 2, 50])} if parent else {}
                quotas.append({**what, "nominal": dice.choice([0, 2, 4, 8, 16]), **lends})
        above = {"parent": parent} if parent else {}
        accounts.append(an_account(name, weight=dice.choice([1, 1, 3]), quotas=quotas, **above))
    left_out = dice.choice(["idle", "idle", "top", "blue"])
    kept = [account for account in accounts if account.metadata.name != left_out]
    held = {n: {c: dice.choice([0, 0, 1, 3, 9]) for c in CLASSES} for n in ("red", "blue", "idle")}
    return a_tenancy(*kept, **held)


def shuffled(world: World, seed: int) -> World:
    """The same question in another order."""
    dice = Random(seed)
    jobs, sites = list(world.jobs), list(world.sites)
    regions, links = list(world.country.regions.items()), list(world.country.links.items())
    for listed in (jobs, sites, regions, links):
        dice.shuffle(listed)
    country = Country(dict(regions), dict(links), world.country.policy)
    return replace(world, jobs=tuple(jobs), sites=tuple(sites), country=country)


def _some(dice: Random, listed: Sequence[str], most: int = 2) -> list[str]:
    return dice.sample(list(listed), dice.randint(1, min(most, len(listed))))


def _country(taste: Taste, dice: Random) -> Country:
    regions = []
    for name in REGIONS[: dice.randint(3, 6)]:
        north, east = dice.choice([(30.0, 110.0), (dice.uniform(-90, 90), dice.uniform(-180, 180))])
        if dice.random() < 0.8:
            north, east = dice.uniform(28, 32), dice.uniform(108, 116)
        regions.append(a_region(name, f"{north:.4f}", f"{east:.4f}"))
    links: dict[str, ComputeLink] = {}
    ends = [*REGIONS, "site-0", "site-1", "nowhere"]
    for i in range(dice.randint(0, 9)):
        one, other = dice.sample(ends, 2)
        # Times of their own, so that no two ways are equally fast and dear in different ways.
        way: Raw = {"oneWay": f"{dice.randrange(50, 9_000) * 1_000 + i * 7 + 1}us"}
        if dice.random() < 0.5:
            way["pricePerGib"] = f"{dice.randrange(1, 90) / 100:.2f}"
        if dice.random() < 0.7:
            way["bandwidth"] = dice.choice(["10G", "400G", "1T", "100M"])
        if dice.random() < 0.15:
            way["desiredState"] = "Down"
        link = raw("ComputeLink", f"link-{i}", {"endpoints": [one, other], **way})
        links[f"link-{i}"] = ComputeLink.model_validate(link)
    policy = None if dice.random() < 0.15 and not taste.plain else _policy(taste, dice)
    return Country({r.metadata.name: r for r in regions}, links, policy)


def _policy(taste: Taste, dice: Random) -> HubPolicy:
    names = list(REGIONS)
    dice.shuffle(names)
    hubs: list[Raw] = []
    for i in range(dice.randint(2, 3) if taste.enclaves else dice.randint(0, 3)):
        mine = [names.pop() for _ in range(dice.randint(1, 2)) if names]
        hub: Raw = {"name": f"hub-{i}", "side": dice.choice(SIDES), "regions": mine[:1]}
        if mine[1:]:
            hub["clusters"] = [{"name": f"cluster-{i}", "regions": mine[1:], "pueCeiling": "1.25"}]
        hubs.append(hub)
    spec: Raw = {"hubs": hubs, "latencyTiers": [{"name": n, "oneWay": t} for n, t in TIERS.items()]}
    if not taste.plain:
        spec["placementRules"] = [_rule(dice, i, hubs) for i in range(dice.choice([0, 1, 2, 4]))]
        spec |= _greens(dice)
        if dice.random() < 0.7:
            spec["newBuild"] = dice.choice(
                [{"since": "2023-01-01"}, {"maxRacksOutsideHubs": 0, "since": "2020-02-29"}, {}]
            )
    if len(hubs) > 1:
        spec["pairings"] = _enclaves(dice, hubs) if taste.enclaves else _pairings(dice, hubs)
    if taste.rich:
        spec["transferPricePerGib"] = dice.choice(["0", "0.02", "1.5"])
        spec["carbonPricePerTonne"] = dice.choice(["0", "80", "999999"])
    return a_policy(**spec)


def _greens(dice: Random) -> Raw:
    if dice.random() < 0.5:
        return {}
    least = {"minGreenShare": dice.choice(["0", "0.65", "0.9"]), "maxPue": dice.choice(["1.18", "1.5"])}
    return {"greenSites": {**least, "tiers": _some(dice, [*TIERS, "any"], 5)}}


def _pairings(dice: Random, hubs: list[Raw]) -> list[Raw]:
    """Agreements worth something; who is first in an enclave is asked of worlds of their own."""
    source, target = dice.sample([hub["name"] for hub in hubs], 2)
    pairing: Raw = {"from": source, "to": target, "kind": "Pairing"}
    if dice.random() < 0.7:
        pairing["weight"] = str(dice.choice([1, 500_000, dice.randrange(1, 10**9)]))
    if dice.random() < 0.3:
        pairing["siteSelector"] = {"matchLabels": {"grade": dice.choice(["a", "b"])}}
    return [pairing] if dice.random() < 0.6 else []


def _enclaves(dice: Random, hubs: list[Raw]) -> list[Raw]:
    names = [hub["name"] for hub in hubs]
    pairs = [dice.sample(names, 2) for _ in range(dice.randint(1, 2))]
    found: dict[tuple[str, str], Raw] = {}
    for source, target in pairs:
        found[source, target] = {"from": source, "to": target, "kind": "Enclave"}
        if dice.random() < 0.3:
            found[source, target]["siteSelector"] = {"matchLabels": {"grade": dice.choice(["a", "b"])}}
    return list(found.values())


def _rule(dice: Random, i: int, hubs: list[Raw]) -> Raw:
    match: Raw = {}
    if dice.random() < 0.6:
        match["categories"] = _some(dice, CATEGORIES)
    if dice.random() < 0.3:
        match["originSides"] = [dice.choice(SIDES)]
    if dice.random() < 0.3:
        match["computeTypes"] = [dice.choice(["General", "Intelligent", "Super"])]
    if dice.random() < 0.3:
        match["tiers"] = _some(dice, [*TIERS, "any"])
    rule: Raw = {"name": f"rule-{i}", "match": match, "effect": dice.choice(["Require", "Prefer", "Avoid"])}
    wanted = dice.choice(["sides", "hubs", "labels", "both"])
    if wanted in ("sides", "both"):
        rule["sides"] = [dice.choice(SIDES)]
    if wanted in ("hubs", "both") and hubs:
        rule["hubs"] = [dice.choice(hubs)["name"]]
    if wanted == "labels" or not (rule.get("sides") or rule.get("hubs")):
        rule["siteSelector"] = {"matchLabels": {"grade": dice.choice(["a", "b"])}}
    if rule["effect"] != "Require":
        rule["weight"] = str(dice.choice([1, 500_000, 2_000_000, dice.randrange(1, 10**9)]))
    return rule


def _site(taste: Taste, i: int) -> SiteView:
    dice = taste.dice("site", i)
    offered = list(CLASSES[: 1 + taste.rich * 2])
    if dice.random() < 0.6:
        offered = _some(dice, offered, 3) if dice.random() < 0.95 else []
    rooms, whole, classes = {}, {}, []
    for name in offered:
        classes.append(_class_of(taste, dice, name))
        whole[name] = _nodes(taste, dice, name)
        rooms[name] = [_used(dice, node) for node in whole[name]] if dice.random() < 0.3 else whole[name]
        if dice.random() < 0.03:
            del rooms[name], whole[name]
    ready = taste.plain or dice.random() < 0.9
    spec: Raw = {"desiredState": "Active" if taste.plain else dice.choice(["Active"] * 9 + ["Inactive", "Drain"])}
    if not taste.plain and dice.random() < 0.2:
        spec["allowedAccounts"] = _some(dice, ACCOUNTS)
    if dice.random() < 0.5:
        spec["dataDomains"] = _some(dice, ["health", "roads"])
    if dice.random() < 0.4:
        spec["cachedDatasets"] = _some(dice, DATASETS)
    if taste.rich:
        spec["energy"] = _energy(dice)
    region = dice.choice(REGIONS[:3] if taste.plain else [*REGIONS, "nowhere"])
    return a_site(
        f"site-{i}",
        rooms,
        region=region,
        empty=whole,
        ready=ready,
        not_ready="" if ready or dice.random() < 0.3 else "did not answer for 20s",
        labels={"grade": dice.choice(["a", "b", "c"])},
        **{**spec, "resources": classes, **_building(taste.dice("building", i))},
    )


def _building(dice: Random) -> Raw:
    built = dice.choice([None, "2022-12-31", "2023-01-01", "2025-06-30"])
    return {"standardRacks": dice.choice([0, 2_999, 3_000]), **({"builtOn": built} if built else {})}


def _class_of(taste: Taste, dice: Random, name: str) -> Raw:
    unit = "Core" if name == "cpu" else "Card"
    if dice.random() < 0.05:
        unit = "Card" if unit == "Core" else "Core"
    price = dice.choice(["0", "1", "1", "0.07", f"{dice.randrange(1, 10_000) / 1000:.3f}"])
    if taste.huge:
        price = dice.choice([price, "999999.999999"])
    made = a_class(name, unit, listPrice=price, ratedPowerW=dice.choice([0, 6, 800]))
    if dice.random() < 0.8:
        made |= {"petaflops": dice.choice(["0.312", "0.00016"]), "precision": dice.choice(["FP16", "FP32", "FP64"])}
    if unit == "Core" and dice.random() < 0.3:
        made["type"] = "Super"
    if dice.random() < 0.6:
        made |= {
            "precision": dice.choice(["FP16", "FP16", "FP32"]),
            "petaflops": dice.choice(["0.312", "1", "0.000007"]),
        }
    return made


def _nodes(taste: Taste, dice: Random, name: str) -> list[FreeNodes]:
    def node(count: int) -> FreeNodes:
        cards = 0 if name == "cpu" else dice.choice([0, 2, 4, 4, 8, 8, 8, 8])
        if taste.tight:
            return a_node(count, cards=dice.choice([0, 4, 8]) if name == "cpu" else dice.choice([4, 8]), cores=16)
        cores, memory = dice.choice([16, 16, 64]), dice.choice([16, 64, 512, 512])
        made = a_node(count, cards=cards, cores=cores, memory_gib=memory, pods=dice.choice([2, 110, 110, 110]))
        if taste.huge and dice.random() < 0.4:
            made = replace(made, cpu_milli=1 << dice.choice([40, 62, 70]), memory_bytes=1 << dice.choice([49, 60, 80]))
        return made

    if taste.one_node:
        return [node(1)]
    kinds = [node(dice.choice([0, 1, 1, 2, 4])) for _ in range(dice.choice([0, 1, 1, 2, 2]))]
    if taste.huge and dice.random() < 0.3:
        kinds.append(node(10**9))
    return kinds


def _used(dice: Random, node: FreeNodes) -> FreeNodes:
    """The same node with some of it taken."""
    left = dice.choice([0, 0.25, 0.5, 1])
    return replace(
        node,
        cpu_milli=int(node.cpu_milli * left),
        memory_bytes=int(node.memory_bytes * dice.choice([left, 1])),
        cards=int(node.cards * left),
    )


def _energy(dice: Random) -> Raw:
    clock = ["00:00", "07:30", "08:00", "18:00", "22:00"]
    bands: list[Raw] = []
    for _ in range(dice.randint(0, 4)):
        begin = dice.choice(clock)
        end = dice.choice([text for text in (*clock, "24:00") if text != begin])
        bands.append({"from": begin, "to": end, "pricePerKwh": f"{dice.randrange(0, 2_000) / 1000:.3f}"})
        if dice.random() < 0.4:
            bands[-1]["months"] = sorted(dice.sample(range(1, 13), dice.randint(1, 6)))
    hourly: Raw = {}
    if dice.random() < 0.2:
        prices = [f"{dice.randrange(-200, 2_000) / 1000:.3f}" for _ in range(dice.choice([1, 20, 30, 200]))]
        begin = dice.choice(["2026-01-30T00:00:00Z", "2026-01-31T09:00:00+08:00", "2026-02-01T00:30:00Z"])
        hourly["hourlyPrices"] = {"from": begin, "pricesPerKwh": prices}
    return hourly | {
        "pue": dice.choice(["1", "1.18", "1.5"]),
        "greenShare": dice.choice(["0", "0.65", "1"]),
        "gridFactorGPerKwh": dice.choice([0, 499, 5_000]),
        "timezone": dice.choice(["Asia/Shanghai", "Asia/Kolkata", "America/New_York", "UTC"]),
        "priceSchedule": bands,
    }


def _job(taste: Taste, i: int) -> WaitingJob:
    # Every third job or so is like another one.
    dice = taste.dice("job", i if taste.dice("twin", i).random() < 0.65 else i // 3)
    own = taste.dice("own", i)
    wanted = _some(dice, CLASSES[: 1 + taste.rich * 2], 3)
    needs_cards = wanted != ["cpu"] and dice.random() < 0.9
    spec: Raw = {"category": dice.choice(CATEGORIES), "priority": dice.choice([0, 0, 0, 5, 1_000_000])}
    if dice.random() < (0.1 if taste.tight else 0.4):
        tiers = [{"tier": name} for name in TIERS]
        spec["latency"] = dice.choice([*tiers, {"oneWay": f"{dice.randrange(1, 40_000)}us"}, {"oneWay": "9ms"}])
    spec["timing"] = {
        "expectedDuration": dice.choice(["1h", "30m", "90m", "1s", "26h", f"{dice.randrange(1, 10**5)}s"])
    }
    if not taste.plain:
        spec |= _conditions(dice, spec["timing"])
    if taste.rich:
        spec |= _data(taste, dice)
        spec |= _checkpoint(taste.dice("checkpoint", i))
        if not taste.plain and spec.get("data", {}).get("inputs") and dice.random() < 0.5:
            late = f"{dice.randrange(8, 24):02}:{dice.randrange(60):02}"
            spec["timing"] = {**spec["timing"], "deadline": f"2026-01-31T{late}:00Z"}
            spec["timing"].pop("notBefore", None)
    memory = dice.choice(["1Mi", "1Gi", "4Gi", "8Gi", "60Gi"])
    cores = dice.choice(["500m", "1", "1", "2", "8"])
    tasks = dice.choice([1, 1, 1, 2, 3, 6])
    if taste.tight:
        memory, cores, tasks = "1Gi", dice.choice(["1", "2"]), dice.choice([1, 1, 2])
    if taste.huge:
        memory = dice.choice([memory, "1Pi", "512Ti"])
        cores = dice.choice([cores, "1M"])
        tasks = dice.choice([tasks, 10_000])
        spec["timing"]["expectedDuration"] = dice.choice([spec["timing"]["expectedDuration"], "8760h"])
    return a_job(
        f"job-{i}",
        classes=wanted,
        cards=dice.choice(CARDS[:4] if taste.tight else CARDS) if needs_cards else 0,
        cores=cores,
        memory=memory,
        tasks=tasks,
        origin=dice.choice(REGIONS[:3] if taste.plain or dice.random() < 0.9 else ["atlantis"]),
        account=dice.choice(ACCOUNTS),
        submitted_ms=own.randrange(5),
        backoff={f"site-{own.randrange(4)}": f"it failed {own.randrange(3)} s ago"} if own.random() < 0.1 else {},
        **spec,
    )


def _conditions(dice: Random, timing: Raw) -> Raw:
    """Whatever else may keep a job from a site."""
    spec: Raw = {"timing": dict(timing)}
    if dice.random() < 0.1:
        early = f"2026-01-31T{dice.randrange(8, 14):02}:{dice.randrange(60):02}:00Z"
        spec["timing"]["deadline"] = dice.choice([early, early, "2027-01-31T18:00:00+08:00"])
    if dice.random() < 0.05:
        spec["timing"]["notBefore"] = dice.choice(["2020-01-01T00:00:00Z", "2026-02-01T00:00:00Z"])
    if dice.random() < 0.2:
        spec["limits"] = {"maxCost": str(dice.choice([0, 1, 1_000_000, 3_700_001, 10**9]))}
    if dice.random() < 0.02:
        spec["desiredState"] = "Suspended"
    if spec["timing"].get("notBefore") == "2026-02-01T00:00:00Z":
        spec["timing"].pop("deadline", None)
    return spec


def _checkpoint(dice: Random) -> Raw:
    if dice.random() < 0.8:
        return {}
    lies = {"site": f"site-{dice.randrange(5)}"} if dice.random() < 0.9 else {}
    return {"checkpoint": {"size": dice.choice(["1", "20Gi", "1.5Ti"]), **lies}}


def _data(taste: Taste, dice: Random) -> Raw:
    if dice.random() < 0.6:
        return {}
    data: Raw = {}
    size = dice.choice(["1", "20Gi", "1.5Ti", "1024Pi" if taste.huge else "100Gi"])
    if dice.random() < 0.5:
        data["inputs"] = [{"name": f"part-{k}", "region": dice.choice(REGIONS[:3]), "size": size} for k in range(2)]
        if dice.random() < 0.4:
            data["inputs"][0]["dataset"] = dice.choice(DATASETS)
    if dice.random() < 0.3:
        data["outputs"] = {"region": dice.choice(REGIONS[:3]), "size": "3Gi"}
    if not taste.plain and dice.random() < 0.3:
        data["allowedRegions"] = _some(dice, REGIONS[:3])
    if not taste.plain and dice.random() < 0.2:
        data["allowedSites"] = _some(dice, ["site-0", "site-1", "site-2"])
    if not taste.plain and dice.random() < 0.2:
        data["domain"] = dice.choice(["health", "roads"])
    return {"data": data}
