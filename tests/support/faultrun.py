"""One run of a federation under a plan of faults, and what the API servers' histories say about it."""

import asyncio
import hashlib
import logging
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

import virtualtime
from builders import an_object
from evidence import KNOWN_S, Evidence, timeline, violations
from faultplan import HUB, Fault, FaultPlan, Trouble, draw, one_crash
from fenced import a_fence, put_lease
from people import People, Routine, finished, put_road
from simulation import Simulation, place_first
from standing import Hindrance, Money
from suanli.api.job import Estimate
from suanli.base.errors import SuanliError
from suanli.base.untrusted import mapping
from suanli.billing.ledger import Outcome as LedgerOutcome
from suanli.billing.ledger import Transfer
from suanli.kube.watch import LONGEST_PAUSE_S, SILENCE_S
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.placement.snapshot import Plan, SiteView, WaitingJob
from suanli.placement.solve import place
from suanli.reconcile.attempts import LATE_S
from suanli.reconcile.budget import backoff_ms

SITES = ("east", "west")
STEPS_S = 5.0  # what takes part in a step answers in so long
REST_S = 900.0
CALM_S = 70.0  # till tenants' namespaces have been looked at once more
QUIET_S = 45.0  # two full comparisons
# What was not told, also long after the fault where a watch has stuck, is known from the next comparison on.
UNTOLD = frozenset({Fault.EVENTS_LOST, Fault.WATCH_STUCK})
# Who met them again and again lists and watches anew after a pause.
PAUSING = frozenset(
    {
        Fault.CUT,
        Fault.FLAP,
        Fault.LOST_REQUEST,
        Fault.LOST_ANSWER,
        Fault.GONE,
        Fault.TOO_MANY,
        Fault.ERROR,
        Fault.STALE,
        Fault.EVENTS_EXPIRED,
        Fault.WATCHES_END,
        Fault.COMPACTED,
    }
)
BUDGET = "budget:payer:2026"
TASK_MICRO_YUAN, MOST_TASKS = 10_000_000, 8  # what is held for a task, and how many the budget is for at a time
SETTINGS = {
    "probe_s": 2,
    "retry_backoff_s": 0,
    "unreachable_after_s": 8,
    "dead_after_s": 15,
    "fence_lease_s": 60,
    "fence_margin_s": 60,
}


def at_rest(sim: Simulation) -> bool:
    """Everything has ended, and nothing is left of it on members."""
    return not sim.member_objects() and all(map(finished, sim.jobs().values()))


async def judged(sim: Simulation, standing_s: float = CALM_S) -> tuple[Evidence, list[str]]:
    """The histories after everything has ended and stood for so long, and what is wrong in them."""
    loop = asyncio.get_running_loop()
    calm_s = loop.time()
    await sim.until(lambda: at_rest(sim), REST_S, every=1.0)
    settled_s = loop.time()
    await asyncio.sleep(standing_s)
    quiet_s = loop.time()
    await asyncio.sleep(QUIET_S)
    await sim.end()
    evidence = evidence_of(sim, calm_s, settled_s, quiet_s)
    return evidence, violations(evidence)


def evidence_of(
    sim: Simulation, calm_s: float, settled_s: float, quiet_s: float, known_s: float = KNOWN_S, *, untold: bool = True
) -> Evidence:
    """The histories of a run that was told to be quiet then; `untold`: something of the hub is known by the next comparison only.

    Longer than all answers take, a job stands still for a create that got none and may come true, until another process leads, and
    for as long as it rests once all its retries but one are spent.
    """
    members, settings = {name: cluster.server for name, cluster in sim.clusters.items()}, sim.settings
    compared_s = calm_s + settings.full_compare_s + STEPS_S
    retries = max([mapping(job["spec"].get("limits")).get("retries", 0) for job in sim.jobs().values()], default=0)
    standing_s = max(LATE_S, settings.lease_s, backoff_ms(retries, settings) / 1000) + STEPS_S
    times = calm_s, compared_s, settled_s, quiet_s
    limits = standing_s, settings.retain_finished_s + standing_s, known_s
    evidence = Evidence(sim.hub, members, *times, sim.ledger(), *limits, sim.carried())
    if untold:
        evidence.hindrances.append(Hindrance(calm_s, compared_s))
    return evidence


class Actors(Protocol):
    """Who uses the federation while things go wrong."""

    async def act(self) -> None:
        """Until the faults end."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of one seed."""

    seed: int
    violations: list[str]
    plan: dict[str, Any]
    settled_s: float = 0.0  # after the last fault
    stood_s: float = 0.0  # the longest that a job stood still then
    met: dict[str, int] = field(default_factory=dict)  # faults that hit something
    jobs: int = 0
    containers: int = 0
    writes: int = 0
    writes_at_work: int = 0  # until everything had settled
    crashes: int = 0
    given_up: int = 0  # attempts at silent sites
    leaders: int = 0
    timeline: list[str] = field(default_factory=list)  # of the jobs of which something is wrong
    digest: str = ""  # of all histories: the same seed has the same


def outcome(seed: int) -> Outcome:
    """Run a seed, in virtual time."""
    plan = draw(seed, SITES)
    return _run(plan, lambda sim: People(sim, Random(f"people {seed}"), plan.lasts_s, quotas=plan.quotas))


def crash_outcome(write: int, moment: str) -> Outcome:
    """Run a fixed routine whose operator is killed before or after its write of that number; 0: never."""
    return _run(one_crash(write, moment, SITES, Routine.LASTS_S), Routine)


def _run(plan: FaultPlan, people: Callable[[Simulation], Actors]) -> Outcome:
    """What the operator or the run itself raises is a violation too."""

    async def whole() -> Outcome:
        with tempfile.TemporaryDirectory() as folder:
            return await _Run(plan, Path(folder), people).whole()

    logging.disable(logging.CRITICAL)
    try:
        return virtualtime.run(whole())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its seed
        return Outcome(plan.seed, [f"defect: {''.join(traceback.format_exception(error)[-2:])}"], plan.as_json())
    finally:
        logging.disable(logging.NOTSET)


class _Recorded(SqliteLedger):
    """The operator's ledger; what stands in it after each commit is kept, since its own times are those of a clock that is set."""

    def __init__(self, file: Path, money: list[Money]) -> None:
        super().__init__(file)
        self._money = money

    def commit(self, transfers: Sequence[Transfer]) -> list[LedgerOutcome]:
        """Raises: SuanliError."""
        outcomes = super().commit(transfers)
        held: Counter[str] = Counter()
        for hold in self.open_holds("job:"):
            held[hold.id.split(":")[1]] += hold.amount_micro_yuan
        unspent = TASK_MICRO_YUAN * MOST_TASKS - self.balance(BUDGET).debits_micro_yuan
        self._money.append(Money(asyncio.get_running_loop().time(), unspent, held))
        return outcomes


class _Run:
    def __init__(self, plan: FaultPlan, folder: Path, people: Callable[[Simulation], Actors]) -> None:
        self.plan = plan
        self.sim = sim = Simulation(folder, SITES, **SETTINGS)
        self.names = [f"operator-{n}" for n in range(plan.replicas)]
        self.random = Random(f"run {plan.seed}")
        self.people = people(sim)
        self.servers = {HUB: sim.hub, **{name: c.server for name, c in sim.clusters.items()}}
        self.troubles = [Trouble(plan, name, server, self.names) for name, server in self.servers.items()]
        self.crashes = 0
        self.away_s: dict[tuple[int, str], float] = {(c.write, c.moment): c.away_s for c in plan.crashes}
        self.next_away_s = 1.0
        self.away: list[Hindrance] = []
        self.money: list[Money] = []
        if plan.budgets:
            sim.ledger_at = lambda file: _Recorded(file, self.money)
            budget = {"amount": str(TASK_MICRO_YUAN * MOST_TASKS), "period": "Year"}
            spec = {"namespaces": ["team-a", "default"], "budget": budget, "marginPermille": 0}
            sim.put(an_object("ComputeAccount", "payer", spec))
        put_road(sim)
        sim.place_all = self._place
        sim.dies = self._dies
        for name, cluster in sim.clusters.items():
            cluster.start_s = lambda: self.random.choice((0.05, 0.3, 1.0))
            cluster.grace_s = lambda: self.random.choice((0.1, 1.0, 8.0))
            cluster.clock.off_ms = plan.clocks_off_ms[name]

    async def whole(self) -> Outcome:
        sim, loop = self.sim, asyncio.get_running_loop()
        fences = AsyncExitStack()
        if self.plan.fenced:
            for cluster in sim.clusters.values():
                put_lease(cluster.server)
                await fences.enter_async_context(a_fence(cluster.server, cluster.clock))
        keepers = [asyncio.ensure_future(self._keep(name)) for name in self.names]
        troubles = asyncio.gather(*(trouble.run() for trouble in self.troubles))
        await self.people.act()
        await troubles
        calm_s = loop.time()
        await self._until_settled()
        settled_s = loop.time()
        await asyncio.sleep(CALM_S)
        quiet_s = loop.time()
        await asyncio.sleep(QUIET_S)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await fences.aclose()
        await sim.end()
        return self._judged(calm_s, settled_s, quiet_s)

    async def _keep(self, name: str) -> None:
        """A replica that ends, by a crash or because it lost the lead, is begun anew, as a Deployment does."""
        while True:
            process = self.sim.start(name, elect=True)
            await process.life.over.wait()
            await self.sim.kill(name)
            away_s, self.next_away_s = self.next_away_s, 1.0
            now_s = asyncio.get_running_loop().time()
            self.away.append(Hindrance(now_s, now_s + away_s))
            await asyncio.sleep(away_s)

    def _place(self, waiting: Sequence[WaitingJob], sites: Sequence[SiteView], *args: Any, **kwargs: Any) -> Plan:
        """Anywhere, so that a new attempt is seldom where the last one was; where quotas count, as the product does."""
        if self.plan.quotas:
            return place(waiting, sites, *args, **kwargs)
        plan = place_first(waiting, self.random.sample(sites, len(sites)), *args, **kwargs)
        if not self.plan.budgets:
            return plan
        tasks = {job.uid: job.job.spec.tasks for job in waiting}
        cost = {uid: Estimate(cost=str(TASK_MICRO_YUAN * count)) for uid, count in tasks.items()}
        return Plan({uid: replace(decision, estimate=cost[uid]) for uid, decision in plan.decisions.items()})

    def _dies(self, number: int, moment: str) -> bool:
        away_s = self.away_s.pop((number, moment), None)
        if away_s is None:
            return False
        self.crashes += 1
        self.next_away_s = away_s
        return True

    async def _until_settled(self) -> None:
        with suppress(AssertionError):
            await self.sim.until(lambda: at_rest(self.sim), REST_S, every=1.0)

    def _judged(self, calm_s: float, settled_s: float, quiet_s: float) -> Outcome:
        sim = self.sim
        untold = any(window.server == HUB and window.fault in UNTOLD for window in self.plan.windows)
        known_s = KNOWN_S + (sim.settings.full_compare_s if untold else 0)
        evidence = evidence_of(sim, calm_s, settled_s, quiet_s, known_s, untold=untold)
        evidence.hindrances += self._hindrances()
        evidence.money, evidence.task_micro_yuan = self.money, TASK_MICRO_YUAN
        found = [*violations(evidence), *self._money_left()]
        found += [
            f"job {gap.job_uid}: all of it was there to be read, but it is told as a gap: {gap}" for gap in sim.gaps()
        ]
        met: Counter[str] = Counter()
        for trouble in self.troubles:
            met.update({str(fault): count for fault, count in trouble.met.items()})
        requests = [r for server in self.servers.values() for r in server.requests]
        leases = [
            c.after["spec"]["holderIdentity"] for c in sim.hub.store.history if c.resource == "leases" and c.after
        ]
        return Outcome(
            seed=self.plan.seed,
            violations=found,
            plan=self.plan.as_json(),
            settled_s=round(settled_s - calm_s, 1),
            stood_s=round(max([one.lasts_s for one in evidence.standing], default=0.0), 1),
            met=dict(met),
            jobs=len(evidence.jobs),
            containers=len(evidence.containers),
            writes=sum(r.verb != "GET" for r in requests),
            writes_at_work=sum(r.verb != "GET" and r.sent_s < settled_s for r in requests),
            crashes=self.crashes,
            given_up=sum(len(evidence.given_up_s(uid)) for uid in evidence.jobs),
            leaders=len(set(leases) - {""}),
            timeline=[
                line for uid in evidence.jobs if any(uid in text for text in found) for line in timeline(evidence, uid)
            ],
            digest=self._digest(),
        )

    def _hindrances(self) -> list[Hindrance]:
        """While no process runs, and for as long as a process may not know what is at a site."""
        lasts_s: dict[Fault, float] = {
            **dict.fromkeys(PAUSING, LONGEST_PAUSE_S),
            Fault.EVENTS_LOST: self.sim.settings.full_compare_s,
            Fault.WATCH_STUCK: SILENCE_S,
        }
        sites = [
            Hindrance(hit_s, hit_s + lasts_s[fault] + STEPS_S, name)
            for name, trouble in zip(self.servers, self.troubles, strict=True)
            for fault, hit_s in trouble.last_s.items()
            if name != HUB and fault in lasts_s
        ]
        return [*self.away, *sites]

    def _money_left(self) -> list[str]:
        """Whether the ledger kept its limits, and nothing is held once all has ended."""
        if not self.plan.budgets:
            return []
        with self.sim.open_ledger() as ledger:
            try:
                ledger.verify()
            except SuanliError as error:
                return [f"ledger: {error}"]
            held = [hold.id for hold in ledger.open_holds("job:")]
            sums = ledger.balance(BUDGET)
        wrong = [f"ledger: {id_} is held, and its job has ended" for id_ in held]
        ran = [run for run in self.sim.runs() if run.end_ms is not None and run.end_ms - run.start_ms > 1_000]
        return [*wrong, *(["ledger: jobs ran and no money was spent"] if ran and not sums.debits_micro_yuan else [])]

    def _digest(self) -> str:
        found = hashlib.sha256()
        for server in self.servers.values():
            for moment_s, change in zip(server.moments_s, server.store.history, strict=True):
                raw = change.after or change.before or {}
                found.update(f"{moment_s} {change.version} {change.resource} {raw['metadata']['uid']}".encode())
        return found.hexdigest()[:16]
