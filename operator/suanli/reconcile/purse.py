"""What accounts may spend: holds money in the ledger for every job before it is placed, and lets it go when the job has ended.

Only accounts with a budget or a prepayment are asked for anything. All that is known of holds is in the ledger: a fresh process reads
them, and ends those whose job, or whose attempt, is not there any more. Every step can be done again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from suanli.api.account import Payment, SpentAction, WhenSpent
from suanli.api.job import Assignment, Estimate
from suanli.base.clock import Clock, time_or_zero, time_text
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.units import duration_ms
from suanli.billing.holds import HOLD, PERMILLE, Held, Terms, read_held, settled
from suanli.billing.ledger import ACCEPTED, Balance, Ledger, LedgerAccount, Outcome, Transfer
from suanli.billing.limits import Limit, Standing, limits_of
from suanli.billing.period import calendar
from suanli.billing.posting import consumer
from suanli.placement.accounts import Accounts
from suanli.placement.snapshot import Decision
from suanli.placement.speed import Speeds
from suanli.reconcile.meter import Meter
from suanli.reconcile.sites import Sites
from suanli.reconcile.state import Assumption, JobEntry, Mirror
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
GATHER_S = 0.02  # one commit for the many jobs that are placed together
SOON_S = 0.2  # between two looks at what has ended
LOOK_S = 5.0  # between two looks at what was paid in, or at a ledger that cannot be used
READ_MS = 300_000  # between two readings of all holds: a leader that was cut off may have added one
LEAST_MORE_MS = 600_000  # a job that lasts longer is held for so much more at least
STOP_MS = 60_000  # a job that is to be stopped before its time is over is told so much earlier
MOST_AT_ONCE = 1_000  # jobs of one commit
T = TypeVar("T")
Attempt = tuple[str, int]  # job UID and epoch


@dataclass(frozen=True)
class Money:
    """What an account with a budget or prepayment has and spends. Units: micro-yuan; `limit` and `room` of the tighter one."""

    balance: int
    held: int
    spent: int
    period: str
    limit: int
    room: int
    is_low: bool
    told: str


@dataclass(frozen=True)
class _Wish:
    """What a job that was refused needs, and what was said of it."""

    need: int
    decision: Decision
    seen: tuple[object, ...]  # the numbers that it was said with


@dataclass(frozen=True)
class _Run:
    """How a running attempt stands: what it used of what is held, until when that is enough, when to ask for how much more."""

    first: Held
    held: int
    used: int
    ends_ms: int
    asks_ms: int
    more: int


class Purse:
    """The only one who holds money for jobs; all its SQL runs in one thread."""

    def __init__(
        self,
        *,
        mirror: Mirror,
        meter: Meter,
        sites: Sites,
        open_ledger: Callable[[], Ledger] | None,
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        on_room: Callable[[], None],
        on_due: Callable[[str], None],
        on_unknown: Callable[[], None],
        on_money: Callable[[str, bool], None],
        thread: Executor | None = None,
    ) -> None:
        """`open_ledger` raises SuanliError while it cannot be used; without it no account is limited.

        `on_room` is told when jobs that wait for money may be placed, `on_due` of a job that is to be looked at, `on_unknown`
        when money is held for what nobody knows, `on_money` of an account whose figures changed, and whether that is worth telling at once.
        """
        self._mirror = mirror
        self._meter = meter
        self._sites = sites
        self._open_ledger = open_ledger
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._on_room = on_room
        self._on_due = on_due
        self._on_unknown = on_unknown
        self._on_money = on_money
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="purse")
        self._ledger: Ledger | None = None
        self._trouble = ""
        self._read_ms = 0  # when all holds were read; 0: they are not known
        self._held: dict[Attempt, dict[int, Held]] = {}  # by number
        self._uids: dict[str, set[int]] = {}  # the same by job, for those who ask of every change
        self._due: set[str] = set()  # jobs that changed
        self._opened: dict[str, LedgerAccount] = {}
        self._balances: dict[str, Balance] = {}
        self._paid: dict[str, int] = {}  # by account
        self._wishes: dict[str, _Wish] = {}  # by job UID
        self._unpaid: dict[Attempt, tuple[int, str]] = {}  # when to stop, and why
        self._money: dict[str, Money] = {}
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._limits_of: Accounts | None = None
        self._limits_until_ms = 0
        self._looked_at: Mapping[str, tuple[Limit, ...]] | None = None  # the limits that are open
        self._looked_ms = 0
        self._missing: dict[str, int] = {}  # by job, comparisons begun when it was first not on the hub
        self._batch: list[tuple[list[Transfer], asyncio.Future[list[Outcome]]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except SuanliError as error:
                    await self._fail(str(error))
                except Exception:
                    LOG.exception("holding money failed unexpectedly, will be tried again")
                    self._metrics.surprises.inc()
                await asyncio.sleep(SOON_S)
                limited = self._open_ledger is not None and bool(self._limited() or self._held)
                try:
                    async with asyncio.timeout(LOOK_S if limited else None):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            while self._tasks:
                await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._ledger is not None:
                await self._in_thread(self._ledger.close)
            self._thread.shutdown(wait=False)

    # --- what others tell

    def accounts_changed(self) -> None:
        """An account is another one, or what things cost may be."""
        self._wishes.clear()
        self._wake.set()

    def job_changed(self, uid: str, spec: bool) -> None:
        """A job is another one, or went."""
        if spec:
            self._wishes.pop(uid, None)
        if uid in self._uids:
            self._due.add(uid)
            self._wake.set()

    # --- what the cycle and the workers ask

    def gate(self) -> Callable[[JobEntry], Decision | bool]:
        """Asked of the jobs that wait, in turn: whether each is to be placed now, or why it waits for money."""
        if self._open_ledger is None or not self._limited():
            return lambda entry: True
        rooms: dict[str, int] = {}

        def asked(entry: JobEntry) -> Decision | bool:
            limits = self._limits_at(entry.namespace)
            if not limits:
                return True
            if self._trouble or not self._is_known(limits):
                return self._waits_for_ledger() if self._trouble else False
            wish = self._wishes.get(entry.uid)
            need = wish.need if wish is not None else 0
            if any(self._room(limit.debit) < max(need, 1) for limit in limits):
                return self._refusal(entry, need, limits, wish.decision.estimate if wish is not None else None)
            if min(rooms.setdefault(limit.debit, self._room(limit.debit)) for limit in limits) < max(need, 1):
                return False  # others go first with what is left
            for limit in limits:
                rooms[limit.debit] -= need
            return True

        return asked

    async def take(self, entry: JobEntry, assumed: Assumption) -> Decision | None:
        """Hold what an attempt needs before it is written anywhere; why it has to wait, if it has. Asked again, the same."""
        limits = self._limits_at(entry.namespace) if self._open_ledger is not None else ()
        if not limits:
            return None
        terms = self._terms(entry, assumed.assignment, assumed.decision.estimate)
        if self._trouble or not self._is_known(limits):
            return self._waits_for_ledger()
        need = terms.need(self._margin(entry)) if terms is not None else 0
        if terms is None or not need:
            return None
        attempt, number = (entry.uid, assumed.assignment.epoch), assumed.decided_ms
        older = self._held.get(attempt, {})
        if number in older:
            return None
        held = Held(*attempt, number, need, _ways(limits), terms)
        ends = settled(older.values(), 0, number)
        try:
            outcomes = await self._send([*ends, *held.holds(number)])
        except SuanliError as error:
            await self._fail(str(error))
            return self._waits_for_ledger()
        if not _accepted(outcomes[: len(ends)]):
            self._forget_all()
            return self._waits_for_ledger()
        for one in list(older.values()):
            self._drop(one)
        if _accepted(outcomes[len(ends) :]):
            self._keep(held)
            self._wishes.pop(entry.uid, None)
            return None
        if Outcome.EXCEEDS_LIMIT not in outcomes:
            self._forget_all()
            return self._waits_for_ledger()
        return self._refusal(entry, need, limits, assumed.decision.estimate)

    def unpaid(self, uid: str, epoch: int) -> tuple[float, str] | None:
        """In how many seconds a running attempt is to be stopped because no money is there for it, and why."""
        found = self._unpaid.get((uid, epoch))
        return ((found[0] - self._clock.now_ms()) / 1000, found[1]) if found is not None else None

    def money(self, account: str) -> Money | None:
        """What an account has and spends; None while that is not known."""
        return self._money.get(account)

    def is_limited(self, account: str) -> bool:
        """Whether it has a budget or prepayment of its own."""
        declared = self._mirror.accounts.get(account)
        if declared is None or self._open_ledger is None:
            return False
        return declared.spec.budget is not None or declared.spec.payment is Payment.PREPAID

    def _terms(self, entry: JobEntry, assignment: Assignment, estimate: Estimate | None) -> Terms | None:
        """What the run is estimated to cost there, and how long to last; None where it costs nothing that is known."""
        if entry.outline is None or estimate is None or estimate.cost is None or int(estimate.cost) <= 0:
            return None
        spec = entry.outline
        lasts_ms, wishes = duration_ms(spec.timing.expected_duration), spec.resources.class_
        if assignment.class_ != wishes[0]:
            offers = [(site, offer) for site, s in self._mirror.sites.items() for offer in s.spec.resources]
            places = [(site, offer.class_) for site, offer in offers]
            if (assignment.site, assignment.class_) in places:
                lasts_ms_p = Speeds([offer for _, offer in offers]).durations_ms_p(lasts_ms, wishes)
                lasts_ms = int(lasts_ms_p[places.index((assignment.site, assignment.class_))])
        return Terms(int(estimate.cost), max(1, spec.tasks * lasts_ms))

    # --- limits

    def _limited(self) -> Mapping[str, tuple[Limit, ...]]:
        """The limits of each declared account's jobs, as far as it has any."""
        tenants, now_ms = self._mirror.tenants, self._clock.now_ms()
        if tenants is not self._limits_of or now_ms >= self._limits_until_ms:
            zone = self._settings.bill_timezone
            lines = {name: [tenants.by_name[n] for n in tenants.lineage(name)] for name in tenants.by_name}
            found = {name: limits_of(line, now_ms, zone) for name, line in lines.items()}
            self._limits = {name: limits for name, limits in found.items() if limits}
            self._limits_of, self._limits_until_ms = tenants, calendar(now_ms, 1, zone).end_ms
        return self._limits

    def _limits_at(self, namespace: str) -> tuple[Limit, ...]:
        limited = self._limited()
        return limited.get(self._mirror.tenants.of(namespace), ()) if limited else ()

    def _is_known(self, limits: Iterable[Limit]) -> bool:
        return bool(self._read_ms) and all(
            limit.debit in self._balances and limit.debit in self._opened for limit in limits
        )

    def _room(self, debit: str) -> int:
        """What can still be held at a counter; nothing at one whose period is over."""
        if debit not in self._opened or debit not in self._balances:
            return 0
        return self._balances[debit].least_micro_yuan - (self._opened[debit].min_micro_yuan or 0)

    def _margin(self, entry: JobEntry) -> int:
        return self._mirror.accounts[self._mirror.tenants.of(entry.namespace)].spec.margin_permille

    # --- one look

    async def _look(self) -> None:
        if self._open_ledger is None or not (self._limited() or self._held):
            self._tell()
            return
        if self._ledger is None:
            self._ledger = await self._in_thread(self._open_ledger)
        now_ms, limited = self._clock.now_ms(), self._limited()
        if not 0 <= now_ms - self._read_ms < READ_MS:
            for held in read_held(await self._in_thread(partial(self._ledger.open_holds, HOLD))):
                self._keep(held)
                self._due.add(held.job_uid)
            self._read_ms = now_ms
        looks = self._looked_at is not limited or not 0 <= now_ms - self._looked_ms < LOOK_S * 1000
        if looks:
            await self._open_limits(self._ledger)
            self._looked_at, self._looked_ms = limited, now_ms
        if self._trouble:
            self._trouble = ""
            LOG.info("the ledger can be used again")
            self._on_room()
        due, self._due = self._due, set()
        attempts = list(self._held) if looks else [(uid, epoch) for uid in due for epoch in self._uids.get(uid, ())]
        await asyncio.gather(*(work for attempt in attempts if (work := self._due_of(attempt)) is not None))
        self._tell()

    async def _open_limits(self, ledger: Ledger) -> None:
        """Have every limit in the ledger as it is to be; those who wait hear of room."""
        limits = {limit.debit: limit for each in self._limited().values() for limit in each}
        names = dict.fromkeys(limit.account for limit in limits.values())
        before = {debit: self._room(limit.debit) for debit, limit in limits.items() if debit in self._balances}

        def work() -> tuple[dict[str, int], list[LedgerAccount], dict[str, Balance]]:
            while True:
                paid = {name: ledger.balance(consumer(name)).posted_micro_yuan for name in names}
                wanted = [a for limit in limits.values() for a in limit.opened(paid[limit.account])]
                changed = [account for account in wanted if self._opened.get(account.name) != account]
                if changed:
                    ledger.open(changed)
                now = {limit.account: ledger.balance(consumer(limit.account)) for limit in limits.values()}
                if all(now[name].posted_micro_yuan == paid[name] for name in names):  # nobody billed it meanwhile
                    return paid, wanted, {debit: ledger.balance(debit) for debit in limits}

        self._paid, wanted, self._balances = await self._in_thread(work)
        self._opened = {account.name: account for account in wanted}
        if any(debit not in before or self._room(limit.debit) > before[debit] for debit, limit in limits.items()):
            self._on_room()

    async def _end(self, attempt: Attempt) -> None:
        """Let go what is held for an attempt that has ended, once its use is recorded; whoever crashed before does it again."""
        uid, epoch = attempt
        entry = self._mirror.jobs.get(uid)
        if not self._has_ended(uid, epoch, entry):
            return
        groups = list(self._held[attempt].values())
        await self._meter.load(uid)
        is_billed = entry is None or epoch not in entry.lost
        ran_ms = self._meter.ran_ms(uid, epoch, groups[0].since_ms) if is_billed else 0
        if entry is None:
            self._meter.forget(uid)
        used, now_ms = groups[0].terms.worth(ran_ms), self._clock.now_ms()
        over = used - sum(group.amount_micro_yuan for group in groups)
        beyond = max(0, min(over, *(self._room(debit) for group in groups for debit, _ in group.ways)))
        outcomes = await self._send(settled(groups, used, now_ms, beyond_micro_yuan=beyond))
        if beyond and Outcome.EXCEEDS_LIMIT in outcomes:  # somebody was faster; the bill has it anyway
            outcomes = await self._send(settled(groups, used, now_ms))
        if not _accepted(outcomes):
            self._forget_all()
            return
        for group in groups:
            self._drop(group)
        self._on_room()

    def _has_ended(self, uid: str, epoch: int, entry: JobEntry | None) -> bool:
        """Whether an attempt certainly runs no more and its use is recorded, or will not be billed."""
        if entry is None:
            known = any(uid in member.jobs or uid in member.pods for member in self._sites.members.values())
            gone = self._mirror.certainly_gone(uid, self._missing.setdefault(uid, self._mirror.begun))
            if not gone:
                self._on_unknown()
            return gone and not known
        if entry.finished or epoch in entry.lost:
            return True
        if entry.damage:
            return False
        holds, recorded = entry.holds, self._meter.recorded(uid)
        if holds is not None and holds.epoch == epoch:
            return False
        members = self._sites.members.values()
        jobs = any(job.epoch == epoch for member in members for job in member.jobs.get(uid, {}).values())
        pods = (pod for member in members for pod in member.pods.get(uid, {}).values() if pod.epoch == epoch)
        return not jobs and all(pod.ended and pod.uid in recorded for pod in pods)

    def _is_current(self, attempt: Attempt) -> bool:
        """Whether it is the one that runs, or is to, as the hub has it."""
        entry = self._mirror.jobs.get(attempt[0])
        if entry is None or entry.finished or entry.outline is None or entry.assignment is None:
            return False
        return entry.assignment.epoch == attempt[1]

    def _due_of(self, attempt: Attempt) -> Awaitable[None] | None:
        """What is to be done about what is held for an attempt: it has ended, a period has begun, or it lasts longer."""
        if not self._is_current(attempt):
            return self._end(attempt)
        entry, groups = self._mirror.jobs[attempt[0]], self._held[attempt]
        limits = self._limits_at(entry.namespace)
        if not limits:
            self._unpaid.pop(attempt, None)
            return None
        run, ways = self._run_of(entry, groups.values()), _ways(limits)
        if any(group.ways != ways for group in groups.values()):
            return self._move(attempt, entry, limits)
        if self._clock.now_ms() < run.asks_ms:
            self._unpaid.pop(attempt, None)
            return None
        return self._extend(attempt, entry, limits)

    def _run_of(self, entry: JobEntry, groups: Collection[Held]) -> _Run:
        """How a current attempt stands; its begin is by a member's clock, and believed if it can be true."""
        assert entry.assignment is not None, "it is the current one"
        assert entry.outline is not None, "it can be read"
        now_ms, sent_ms = self._clock.now_ms(), time_or_zero(entry.assignment.time)
        first, tasks = next(iter(groups)), entry.outline.tasks
        started_ms = time_or_zero(entry.status.get("startedAt"))
        began_ms = max(started_ms if sent_ms <= started_ms <= now_ms else sent_ms, first.since_ms)
        held = sum(group.amount_micro_yuan for group in groups)
        more_ms = max(LEAST_MORE_MS, first.terms.task_ms // tasks * self._margin(entry) // PERMILLE)
        ends_ms = began_ms + first.terms.lasts(held) // tasks
        return _Run(
            first=first,
            held=held,
            used=first.terms.worth(tasks * (now_ms - began_ms)) if started_ms else 0,
            ends_ms=ends_ms,
            asks_ms=ends_ms - more_ms // 2,
            more=first.terms.worth(tasks * more_ms),
        )

    async def _move(self, attempt: Attempt, entry: JobEntry, limits: Sequence[Limit]) -> None:
        """What was used goes to the period that is over, and the rest is held in the one that has begun."""
        groups, now_ms = list(self._held[attempt].values()), self._clock.now_ms()
        run = self._run_of(entry, groups)
        left = run.held - run.used
        if left > 0:
            held = replace(run.first, number=now_ms, amount_micro_yuan=left, ways=_ways(limits), since_ms=now_ms)
            outcomes = await self._send(_in_one([*settled(groups, run.used, now_ms), *held.holds(now_ms)]))
            if _accepted(outcomes):
                for group in groups:
                    self._drop(group)
                self._keep(held)
                return
            if Outcome.EXCEEDS_LIMIT not in outcomes:
                self._forget_all()
                return
        if now_ms >= run.asks_ms:  # there is no room for it now, so what is held has to do
            await self._extend(attempt, entry, limits)

    async def _extend(self, attempt: Attempt, entry: JobEntry, limits: Sequence[Limit]) -> None:
        """Hold more for an attempt that lasts longer than it was held for."""
        groups = self._held[attempt]
        run = self._run_of(entry, groups.values())
        number = max(run.asks_ms, max(groups) + 1)
        held = replace(run.first, number=number, amount_micro_yuan=run.more, ways=_ways(limits))
        outcomes = await self._send(held.holds(number))
        if _accepted(outcomes):
            self._keep(held)
            if self._unpaid.pop(attempt, None) is not None:
                self._on_due(entry.uid)
        elif Outcome.EXCEEDS_LIMIT in outcomes:
            self._run_out(entry, attempt, run, limits)
        else:
            self._forget_all()

    def _run_out(self, entry: JobEntry, attempt: Attempt, run: _Run, limits: Sequence[Limit]) -> None:
        """No money is there for a job that runs: its account says what becomes of it."""
        policy = self._mirror.accounts[self._mirror.tenants.of(entry.namespace)].spec.when_spent or WhenSpent()
        finishes = policy.action is SpentAction.FINISH
        stop_ms = run.ends_ms + duration_ms(policy.grace) if finishes else run.ends_ms - STOP_MS
        said = f"money was held until {time_text(run.ends_ms)}, and there is no more: {self._numbers(limits, run.more)}"
        if self._unpaid.get(attempt, (0, ""))[0] != stop_ms:
            self._unpaid[attempt] = stop_ms, f"{said}; spec.whenSpent of the account is {policy.action}"
            self._on_due(entry.uid)

    # --- what is known

    def _keep(self, held: Held) -> None:
        self._held.setdefault((held.job_uid, held.epoch), {})[held.number] = held
        self._uids.setdefault(held.job_uid, set()).add(held.epoch)

    def _drop(self, held: Held) -> None:
        attempt = (held.job_uid, held.epoch)
        groups = self._held.get(attempt, {})
        groups.pop(held.number, None)
        if not groups:
            self._held.pop(attempt, None)
            self._unpaid.pop(attempt, None)
            epochs = self._uids.get(held.job_uid, set())
            epochs.discard(held.epoch)
            if not epochs:
                self._uids.pop(held.job_uid, None)
                self._missing.pop(held.job_uid, None)

    def _forget_all(self) -> None:
        """The ledger holds something else than is known here: it is read again."""
        self._held.clear()
        self._uids.clear()
        self._read_ms = 0
        self._wake.set()

    async def _fail(self, text: str) -> None:
        if self._trouble != text:
            LOG.warning("jobs of accounts with a budget wait for the ledger", extra={"error": text[:500]})
        self._trouble = text
        self._forget_all()
        self._wake.clear()
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            try:
                await self._in_thread(ledger.close)
            except SuanliError:
                LOG.info("the ledger cannot be closed either")
        self._on_room()  # those who wait are told why

    # --- words

    def _waits_for_ledger(self) -> Decision:
        text = f"its account has a budget, and the ledger cannot be used: {self._trouble or 'it is being read'}"
        return Decision(None, None, Reason.LEDGER_UNUSABLE, text[:1000])

    def _refusal(self, entry: JobEntry, need: int, limits: Sequence[Limit], estimate: Estimate | None) -> Decision:
        """What is said to a job for which there is not enough; the same object while the numbers are the same."""
        seen = (need, *((limit.debit, self._opened[limit.debit], self._balances[limit.debit]) for limit in limits))
        before = self._wishes.get(entry.uid)
        if before is not None and before.seen == seen:
            return before.decision
        cost = int(estimate.cost) if estimate is not None and estimate.cost else 0
        text = self._numbers(limits, need, cost)[:1000]
        decision = Decision(None, None, Reason.BUDGET_EXCEEDED, text, estimate=estimate)
        self._wishes[entry.uid] = _Wish(need, decision, seen)
        return decision

    def _numbers(self, limits: Sequence[Limit], need: int, cost: int = 0) -> str:
        """The limit that is in the way, and what to do."""
        limit = next((limit for limit in limits if self._room(limit.debit) < max(need, 1)), limits[0])
        return self._standing(limit).words(need, cost)

    def _standing(self, limit: Limit) -> Standing:
        sums = self._balances[limit.debit]
        most = -(self._opened[limit.debit].min_micro_yuan or 0)
        return Standing(limit, most, -sums.posted_micro_yuan, sums.held_debits_micro_yuan)

    def _tell(self) -> None:
        """Have it written what changed of an account."""
        found: dict[str, Money] = {}
        for name, limits in self._limited().items() if self._read_ms else ():
            own = [limit for limit in limits if limit.account == name]
            if own and self._is_known(own):
                found[name] = self._figures(name, own)
        for name in {*found, *self._money}:
            old, new = self._money.get(name), found.get(name)
            if old != new and (new is not None or not self._trouble):
                is_news = old is None or new is None or (old.is_low, old.room > 0) != (new.is_low, new.room > 0)
                self._on_money(name, is_news)
        if self._read_ms:
            self._money = found

    def _figures(self, name: str, limits: Sequence[Limit]) -> Money:
        tight = min(limits, key=lambda limit: self._room(limit.debit))
        shown = next((limit for limit in limits if limit.budget is not None), limits[0])
        sums = self._balances[shown.debit]
        at_percent = self._mirror.accounts[name].spec.warn_at_percent
        standings = map(self._standing, limits)
        low = any((one.most - one.room) * 100 >= one.most * at_percent for one in standings)
        return Money(
            balance=self._paid[name],
            held=sums.held_debits_micro_yuan,
            spent=max(0, -sums.posted_micro_yuan),
            period=shown.period.name if shown.budget is not None else "",
            limit=self._standing(tight).most,
            room=self._room(tight.debit),
            is_low=low,
            told=self._numbers([tight], 0),
        )

    # --- the ledger

    async def _send(self, transfers: list[Transfer]) -> list[Outcome]:
        """Commit with all that is sent about now. Raises: SuanliError."""
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._batch.append((transfers, future))
        if self._sending is None:
            self._begin_flush()
        return await future

    def _begin_flush(self) -> None:
        self._sending = asyncio.create_task(self._flush())
        self._tasks.add(self._sending)
        self._sending.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        await asyncio.sleep(GATHER_S)
        batch, self._batch, self._sending = self._batch[:MOST_AT_ONCE], self._batch[MOST_AT_ONCE:], None
        if self._batch:
            self._begin_flush()
        try:
            outcomes = await self._commit([transfer for transfers, _ in batch for transfer in transfers])
        except Exception as error:  # noqa: BLE001 - whoever waits for it hears of it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for transfers, future in batch:
            mine, outcomes = outcomes[: len(transfers)], outcomes[len(transfers) :]
            if not future.done():
                future.set_result(mine)

    async def _commit(self, transfers: Sequence[Transfer]) -> list[Outcome]:
        """Commit, and learn what the counters came to. Raises: SuanliError."""
        ledger = self._ledger
        if ledger is None:
            raise SuanliError(Reason.LEDGER_UNUSABLE, self._trouble or "it is not open yet")
        debits = dict.fromkeys(transfer.debit for transfer in transfers)

        def work() -> tuple[list[Outcome], dict[str, Balance]]:
            return ledger.commit(transfers), {debit: ledger.balance(debit) for debit in debits}

        outcomes, balances = await self._in_thread(work)
        self._balances |= balances
        self._wake.set()
        return outcomes

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _ways(limits: Iterable[Limit]) -> tuple[tuple[str, str], ...]:
    return tuple((limit.debit, limit.credit) for limit in limits)


def _in_one(transfers: list[Transfer]) -> list[Transfer]:
    """All of them or none."""
    return [replace(transfer, linked=transfers[0].linked) for transfer in transfers]


def _accepted(outcomes: Iterable[Outcome]) -> bool:
    return ACCEPTED.issuperset(outcomes)
