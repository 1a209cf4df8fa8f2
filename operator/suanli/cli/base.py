"""What the planning commands start from: objects, what is known of the sites, and who waits and who has a place."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from suanli.api.account import Payment
from suanli.api.job import ComputeJob
from suanli.api.site import ComputeSite, ComputeUnit, SiteResource
from suanli.base.units import cpu_milli, whole
from suanli.billing.funds import Spent
from suanli.cli.manifests import DEFAULT_NAMESPACE, Manifests
from suanli.placement.accounts import Accounts, Tenancy, asked_milli
from suanli.placement.declared import declared_node
from suanli.placement.packing import MOST_SLOTS
from suanli.placement.question import Held, Question
from suanli.placement.snapshot import ClassRoom, FreeNodes, SiteView, WaitingJob

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "-f",
        "--file",
        help='Manifests: files, folders, or "-" for standard input; repeatable. Without any: the hub.',
    ),
]
MOST_NEAR = 5
ZONE = "Asia/Shanghai"  # in which periods of budgets begin, as the operator has it by default


@dataclass(frozen=True)
class Seen:
    """What the hub knows of a site: whether it is ready, and what its usable nodes have in sum.

    Units: `units` cards or cores by class; foreign pods are taken off them, our own jobs are not.
    """

    ready: bool
    not_ready: str
    units: Mapping[str, int]
    cpu_milli: int
    memory_bytes: int


@dataclass
class Base:
    """Objects, and the jobs of them that are to be planned, by full name.

    `held` jobs have their place already, `decided` is what was said when they got it, or why a job waits, `since` when; `ended` ones are
    over, each with a word on it; `seen` is what the hub knows of its sites, empty for manifests; `paid` are the jobs for which money is
    held on the hub, with what they are estimated to cost in micro-yuan.
    """

    found: Manifests
    now_ms: int
    waiting: dict[str, WaitingJob] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    since: dict[str, str] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    paid: Mapping[str, int] = field(default_factory=dict)

    def question(self) -> Question:
        """What the solver is asked."""
        taken: dict[tuple[str, str], list[ComputeJob]] = defaultdict(list)
        for held in self.held.values():
            taken[held.site, held.class_].append(held.job.job)
        views = [_view(site, self.seen.get(name), taken) for name, site in self.found.sites.items()]
        accounts = self.found.tenants
        use = [
            (one.job.job.metadata.namespace or DEFAULT_NAMESPACE, one.class_, asked_milli(one.job.job.spec))
            for one in self.held.values()
        ]
        waiting = [_of_account(job, accounts) for job in self.waiting.values()]
        freed = [
            (name, accounts.of(name.partition("/")[0]), cost)
            for name, cost in self.paid.items()
            if name not in self.held
        ]
        funds = self.found.funds(freed, self.now_ms, ZONE)
        return Question(waiting, views, self.found.country, self.now_ms, Tenancy.of(accounts, use), funds)

    def find(self, wanted: str) -> str:
        """The full name of the one job that is meant by NAME or NAMESPACE/NAME. Raises: ValueError."""
        names = [name for name in self.found.jobs if wanted in (name, name.partition("/")[2])]
        if len(names) == 1:
            return names[0]
        if names:
            raise ValueError(f'"{wanted}": there are several: {", ".join(names[:MOST_NEAR])}; give NAMESPACE/NAME')
        near = _near(wanted, self.found.jobs)
        said = f"did you mean {' or '.join(near)}?" if near else "give NAME or NAMESPACE/NAME of a ComputeJob"
        raise ValueError(f'"{wanted}": there is no such job that can be read; {said}')


def of_manifests(found: Manifests, now_ms: int) -> Base:
    """All jobs wait and have just come, in the order of their files: the earlier one is the older one.

    Of an account nothing is spent, unless a status stands beside its spec.
    """
    first_ms = now_ms - len(found.jobs)
    for name, account in found.accounts.items():
        told = found.spent.setdefault(name, Spent())
        if account.spec.payment is Payment.PREPAID and told.balance is None:
            text = "it is Prepaid, and no status says what it paid in: its jobs are planned as if that were enough"
            found.warnings.append(found.says("ComputeAccount", name, text))
    waiting = {
        name: WaitingJob(
            uid=name, job=job, account=job.metadata.namespace or DEFAULT_NAMESPACE, submitted_ms=first_ms + i
        )
        for i, (name, job) in enumerate(found.jobs.items())
    }
    return Base(found, now_ms, waiting)


def _of_account(job: WaitingJob, accounts: Accounts) -> WaitingJob:
    """The job as one of the account that its namespace belongs to."""
    account = accounts.of(job.job.metadata.namespace or DEFAULT_NAMESPACE)
    return job if job.account == account else replace(job, account=account)


def _near(wanted: str, names: Iterable[str]) -> list[str]:
    """Names that look like it."""
    by_short: dict[str, str] = {}
    for name in names:
        by_short.setdefault(name.partition("/")[2], name)
        by_short[name] = name
    return list(dict.fromkeys(by_short[near] for near in get_close_matches(wanted, by_short, n=3)))


def _view(site: ComputeSite, seen: Seen | None, taken: Mapping[tuple[str, str], list[ComputeJob]]) -> SiteView:
    """A site with each class as one large node, less what the jobs that are placed there hold."""
    rooms = {}
    for resource in site.spec.resources:
        node = _node(site, resource, seen)
        free = _less(node, taken.get((site.metadata.name, resource.class_), ()))
        rooms[resource.class_] = ClassRoom((free,), (node,))
    return SiteView(site, seen is None or seen.ready, "" if seen is None else seen.not_ready, rooms)


def _node(site: ComputeSite, resource: SiteResource, seen: Seen | None) -> FreeNodes:
    """What a class has without our jobs: as declared where that is said, else as the hub sees it."""
    if seen is None:
        return declared_node(site, resource)
    units = seen.units.get(resource.class_, 0) if resource.declared_units is None else resource.declared_units
    if resource.unit is ComputeUnit.CORE:
        return FreeNodes(1, units * 1_000, seen.memory_bytes, cards=0, pods=MOST_SLOTS)
    of_cores = sum(seen.units.get(r.class_, 0) for r in site.spec.resources if r.unit is ComputeUnit.CORE)
    return FreeNodes(1, max(0, seen.cpu_milli - of_cores * 1_000), seen.memory_bytes, units, MOST_SLOTS)


def _less(node: FreeNodes, jobs: Iterable[ComputeJob]) -> FreeNodes:
    """What is left beside these jobs."""
    cpu, memory, cards = node.cpu_milli, node.memory_bytes, node.cards
    for job in jobs:
        per_task, tasks = job.spec.resources.per_task, job.spec.tasks
        cpu -= tasks * cpu_milli(per_task.cpu)
        memory -= tasks * whole(per_task.memory)
        cards -= tasks * per_task.cards
    return FreeNodes(1, max(0, cpu), max(0, memory), max(0, cards), node.pods)
