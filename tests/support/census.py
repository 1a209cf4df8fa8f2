"""Random instances placed and re-checked, and how often each kind of rule bore on them. One number makes one instance."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from checker import Judge, violations
from checker.judge import QUESTIONS
from checker.moving import least_ms
from checker.room import Undecided
from checker.rules import is_about
from suanli.api.job import Data
from suanli.placement.snapshot import Plan
from worlds import Taste, World, a_random_tenancy, a_random_world

EFFECTS = ("Require", "Prefer", "Avoid")
MATCHES = ("categories", "origin_sides", "compute_types", "tiers")
PLACES = ("sides", "hubs", "site_selector")
REFUSALS = ("UnknownRegion", "UnknownTier", "UnknownSite", "UnknownClass", "NoSites", "Suspended", "NotBefore")
DATA = ("allowed_regions", "allowed_sites", "domain", "inputs", "outputs")
ASKED = (
    "gang",
    "several wishes",
    "cards",
    "cores",
    "a tier",
    "a time of its own",
    "a checkpoint",
    "a checkpoint out of reach",
    "a cost limit",
    "a deadline with inputs",
)
AROUND = (
    "a link down",
    "a copy of a dataset",
    "a priority",
    "equal jobs",
    "a site that drains",
    "no policy",
    "quotas",
    "a family of accounts",
)
KINDS = (
    *(f"{effect} by {match}" for effect in EFFECTS for match in MATCHES),
    *(f"{effect} of {place}" for effect in EFFECTS for place in PLACES),
    *(f"falls to {reason}" for reason in QUESTIONS),
    *(f"refused for {reason}" for reason in REFUSALS),
    *(f"data with {part}" for part in DATA),
    *ASKED,
    *AROUND,
)


@dataclass
class Census:
    """What was seen. `met` counts pairs of a job and a place for rules, sites for falls, jobs and instances else."""

    instances: int = 0
    jobs: int = 0
    placed: int = 0
    undecided: int = 0  # instances with a packing that the checker could not decide
    wrong: dict[int, list[str]] = field(default_factory=dict)  # by the number of the instance
    met: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Census") -> None:
        """Count another one in."""
        self.instances += other.instances
        self.jobs += other.jobs
        self.placed += other.placed
        self.undecided += other.undecided
        self.wrong |= other.wrong
        self.met.update(other.met)

    @property
    def never_met(self) -> list[str]:
        """Kinds of rules that bore on nothing."""
        return [kind for kind in KINDS if not self.met[kind]]


def an_instance(number: int) -> World:
    """Small, so that many can be checked; of every sort that the tests of placement know."""
    dice = Random(f"census/{number}")
    sort = dice.choice(["free", "tight", "tight", "crowded", "huge"])
    jobs = dice.randint(1, 14 if sort == "crowded" else 7)
    taste = Taste(
        jobs,
        sites=dice.randint(1, 5) if dice.random() < 0.98 else 0,
        seed=number,
        one_node=dice.random() < 0.3,
        plain=sort == "tight" or dice.random() < 0.15,
        tight=sort == "tight",
        huge=sort == "huge",
        rich=dice.random() < 0.8,
    )
    world = a_random_world(taste)
    return replace(world, tenancy=a_random_tenancy(taste)) if dice.random() < 0.35 else world


def census(numbers: Iterable[int]) -> Census:
    """Place and check these instances."""
    found = Census()
    for number in numbers:
        world = an_instance(number)
        plan = world.plan()
        found.instances += 1
        found.jobs += len(world.jobs)
        found.placed += sum(d.site is not None for d in plan.decisions.values())
        found.met.update(_met(world, plan))
        try:
            wrong = violations(*world.question, plan, world.tenancy)
        except Undecided:
            found.undecided += 1
        else:
            if wrong:
                found.wrong[number] = wrong
    return found


def _met(world: World, plan: Plan) -> Iterator[str]:
    judge = Judge(list(world.sites), world.country, world.now_ms)
    yield from _around(world)
    for job in world.jobs:
        decision = plan.decisions[job.uid]
        if decision.site is None and not decision.placement.rejections:
            yield f"refused for {decision.reason}"
            continue
        for told in decision.placement.rejections:
            yield from [f"falls to {told.reason}"] * told.count
        spec, checkpoint = job.job.spec, job.job.spec.checkpoint
        yield from (f"data with {part}" for part in DATA if getattr(spec.data or Data(), part))
        told_of = {
            "gang": spec.tasks > 1,
            "several wishes": len(spec.resources.class_) > 1,
            "cards": spec.resources.per_task.cards > 0,
            "cores": spec.resources.per_task.cards == 0,
            "a tier": spec.latency is not None and spec.latency.tier is not None,
            "a time of its own": spec.latency is not None and spec.latency.one_way is not None,
            "a checkpoint": checkpoint is not None and checkpoint.site in judge.ways.kept,
            "a checkpoint out of reach": checkpoint is not None and checkpoint.site not in {None, *judge.ways.kept},
            "a cost limit": spec.limits.max_cost is not None,
            "a deadline with inputs": spec.timing.deadline is not None
            and any(least_ms(judge.ways, spec, view.site) for view in world.sites),
        }
        yield from (kind for kind, is_so in told_of.items() if is_so)
        policy = world.country.policy.spec if world.country.policy else None
        for rule in policy.placement_rules if policy else []:
            for place in judge.places.values():
                if is_about(rule, spec, place.resource, judge.ways, policy):
                    yield from (f"{rule.effect} by {match}" for match in MATCHES if getattr(rule.match, match))
                    yield from (f"{rule.effect} of {where}" for where in PLACES if getattr(rule, where))


def _around(world: World) -> Iterator[str]:
    specs = [job.job.spec for job in world.jobs]
    copies = {name for view in world.sites for name in view.site.spec.cached_datasets}
    read = {piece.dataset for spec in specs if spec.data for piece in spec.data.inputs}
    told_of = {
        "a link down": any(link.spec.desired_state.value == "Down" for link in world.country.links.values()),
        "a copy of a dataset": bool(copies & read),
        "a priority": len({spec.priority for spec in specs}) > 1,
        "equal jobs": len({spec.model_dump_json() for spec in specs}) < len(specs),
        "a site that drains": any(view.site.spec.desired_state.value == "Drain" for view in world.sites),
        "no policy": world.country.policy is None,
        "quotas": any(account.spec.quotas for account in world.tenancy.accounts.by_name.values()),
        "a family of accounts": bool(world.tenancy.accounts.parents),
    }
    yield from (kind for kind, is_so in told_of.items() if is_so)
