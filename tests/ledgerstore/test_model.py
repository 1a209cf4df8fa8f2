"""Random commits against a reference that keeps lists and adds them up anew; both stores, sizes by `--size`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from harness.postgres import Postgres
from ledgers import Place, Size
from suanli.billing.ledger import Balance, Entry, LedgerAccount, Outcome, Transfer, TransferKind
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.sql import SqlLedger

NAMES = ("consumer:a", "consumer:b", "provider:p", "cash:c")
PAIRS = (("consumer:a", "provider:p"), ("consumer:b", "provider:p"), ("consumer:a", "consumer:b"))
AMOUNTS = st.integers(10, 50)
FIRST = (
    LedgerAccount("consumer:a", min_micro_yuan=0),
    LedgerAccount("consumer:b", min_micro_yuan=-40, max_micro_yuan=80),
    LedgerAccount("provider:p", max_micro_yuan=90),
    LedgerAccount("cash:c"),
)
ENDS = (TransferKind.POST_HOLD, TransferKind.VOID_HOLD)


@dataclass
class State:
    """What was accepted, as lists."""

    time_ms: int = 0
    seen: dict[str, Transfer] = field(default_factory=dict)
    open: dict[str, Transfer] = field(default_factory=dict)
    moves: list[tuple[str, str, int]] = field(default_factory=list)

    def copy(self) -> "State":
        """Another one that starts from here; what the lists hold never changes."""
        return State(self.time_ms, dict(self.seen), dict(self.open), list(self.moves))


class Reference:
    """The rules once more, written from their description."""

    def __init__(self) -> None:
        self.limits: dict[str, LedgerAccount] = {}
        self.state = State()

    def commit(self, transfers: Sequence[Transfer]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        for index, transfer in enumerate(transfers):
            if index in outcomes:
                continue
            unit = [index]
            if transfer.linked:
                unit = [i for i, other in enumerate(transfers) if other.linked == transfer.linked]
            outcomes |= zip(unit, self.together([transfers[i] for i in unit]), strict=True)
        return [outcomes[index] for index in range(len(transfers))]

    def together(self, unit: Sequence[Transfer]) -> list[Outcome]:
        before = []
        for transfer in unit:
            if not well_formed(transfer):
                before.append(Outcome.NOT_A_TRANSFER)
            elif transfer.id in self.state.seen:
                same = self.state.seen[transfer.id] == transfer
                before.append(Outcome.EXISTS if same else Outcome.EXISTS_DIFFERENTLY)
            else:
                before.append(Outcome.LINKED_FAILED)
        if set(before) != {Outcome.LINKED_FAILED}:
            return before
        kept = self.state
        self.state = kept.copy()
        self.state.time_ms = max(kept.time_ms, *(transfer.time_ms for transfer in unit))
        self.state.open = {
            id_: hold for id_, hold in kept.open.items() if not hold.expires_ms or hold.expires_ms > self.state.time_ms
        }
        outcomes = []
        for transfer in unit:
            outcomes.append(self.one(transfer))
            if outcomes[-1] not in (Outcome.CREATED, Outcome.EXISTS):
                self.state = kept
                failed = [Outcome.LINKED_FAILED] * len(unit)
                failed[len(outcomes) - 1] = outcomes[-1]
                return failed
        return outcomes

    def one(self, t: Transfer) -> Outcome:
        state = self.state
        if t.id in state.seen:
            return Outcome.EXISTS if state.seen[t.id] == t else Outcome.EXISTS_DIFFERENTLY
        if t.kind in ENDS:
            hold = state.seen.get(t.hold)
            if hold is None or hold.kind is not TransferKind.HOLD or (hold.debit, hold.credit) != (t.debit, t.credit):
                return Outcome.HOLD_UNKNOWN
            if t.hold not in state.open:
                return Outcome.HOLD_OVER
            if t.amount_micro_yuan > hold.amount_micro_yuan:
                return Outcome.EXCEEDS_HOLD
            del state.open[t.hold]
        else:
            if not {t.debit, t.credit} <= self.limits.keys():
                return Outcome.ACCOUNT_UNKNOWN
            if t.kind is TransferKind.HOLD and t.expires_ms and t.expires_ms <= state.time_ms:
                return Outcome.HOLD_OVER
            low, high = self.limits[t.debit].min_micro_yuan, self.limits[t.credit].max_micro_yuan
            debit, credit = self.balance(t.debit), self.balance(t.credit)
            left = debit.credits_micro_yuan - debit.debits_micro_yuan - debit.held_debits_micro_yuan
            there = credit.credits_micro_yuan - credit.debits_micro_yuan + credit.held_credits_micro_yuan
            if low is not None and left - t.amount_micro_yuan < low:
                return Outcome.EXCEEDS_LIMIT
            if high is not None and there + t.amount_micro_yuan > high:
                return Outcome.EXCEEDS_LIMIT
        if t.kind is TransferKind.HOLD:
            state.open[t.id] = t
        else:
            state.moves.append((t.debit, t.credit, t.amount_micro_yuan))
        state.seen[t.id] = t
        return Outcome.CREATED

    def balance(self, name: str) -> Balance:
        moves = self.state.moves
        holds = [(hold.debit, hold.credit, hold.amount_micro_yuan) for hold in self.state.open.values()]
        return Balance(
            sum(amount for debit, _, amount in moves if debit == name),
            sum(amount for _, credit, amount in moves if credit == name),
            sum(amount for debit, _, amount in holds if debit == name),
            sum(amount for _, credit, amount in holds if credit == name),
        )


def well_formed(t: Transfer) -> bool:
    amount = t.amount_micro_yuan == 0 if t.kind is TransferKind.VOID_HOLD else t.amount_micro_yuan > 0
    expiry = not t.expires_ms or (t.kind is TransferKind.HOLD and t.expires_ms > t.time_ms)
    return t.debit != t.credit and amount and expiry and bool(t.hold) == (t.kind in ENDS)


HOLDS = st.sampled_from([f"h{n}" for n in range(8)])
POSTS = st.sampled_from([f"p{n}" for n in range(40)])


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    kind = draw(st.sampled_from([TransferKind.POST, TransferKind.POST, TransferKind.HOLD, *ENDS]))
    debit, credit = draw(
        st.sampled_from(
            [*((a, b) for a in NAMES for b in NAMES if a != b), ("cash:c", "cash:c"), ("cash:c", "consumer:never")]
        )
    )
    time_ms = draw(st.integers(0, 60))
    expires_ms = draw(st.sampled_from([0, 0, time_ms + 5, time_ms + 20])) if kind is TransferKind.HOLD else 0
    least = draw(st.sampled_from([0, 1, 1, 1])) if kind is not TransferKind.VOID_HOLD else 0
    return Transfer(
        id=draw(HOLDS if kind is TransferKind.HOLD else POSTS),
        debit=debit,
        credit=credit,
        amount_micro_yuan=draw(st.integers(least, 50)) if kind is not TransferKind.VOID_HOLD else 0,
        kind=kind,
        time_ms=time_ms,
        hold=draw(HOLDS) if kind in ENDS else "",
        expires_ms=expires_ms,
        linked=draw(st.sampled_from(["", "", "", "g", "k"])),
    )


class Model(RuleBasedStateMachine):
    """Both after the same commits."""

    opened: Callable[[], SqlLedger]

    def __init__(self) -> None:
        super().__init__()
        self.ledger = type(self).opened()
        self.reference = Reference()
        self.changed: set[str] = set()
        self.entries: list[Entry] = []
        self.number = 0
        self.open(FIRST)

    def open(self, accounts: Sequence[LedgerAccount]) -> None:
        self.ledger.open(accounts)
        self.reference.limits |= {account.name: account for account in accounts}

    @rule(batch=st.lists(transfers(), min_size=1, max_size=6))
    def commit(self, batch: list[Transfer]) -> None:
        assert self.ledger.commit(batch) == self.reference.commit(batch)

    def fresh(self, kind: TransferKind, debit: str, credit: str, amount: int, **fields: Any) -> None:
        self.number += 1
        sent = Transfer(f"n{self.number}", debit, credit, amount, kind, self.reference.state.time_ms, **fields)
        assert self.ledger.commit([sent]) == self.reference.commit([sent])

    @rule(amount=st.integers(20, 60), name=st.sampled_from(NAMES[:2]))
    def top_up(self, amount: int, name: str) -> None:
        self.fresh(TransferKind.POST, "cash:c", name, amount)

    @rule(amount=AMOUNTS, pair=st.sampled_from(PAIRS))
    def spend(self, amount: int, pair: tuple[str, str]) -> None:
        self.fresh(TransferKind.POST, *pair, amount)

    @rule(amount=AMOUNTS, pair=st.sampled_from(PAIRS), lasts_ms=st.sampled_from([0, 0, 1, 5]))
    def hold(self, amount: int, pair: tuple[str, str], lasts_ms: int) -> None:
        self.fresh(TransferKind.HOLD, *pair, amount, expires_ms=lasts_ms and self.reference.state.time_ms + lasts_ms)

    @rule(how=st.sampled_from(ENDS), part=st.integers(-20, 1), data=st.data())
    def end_a_hold(self, how: TransferKind, part: int, data: st.DataObject) -> None:
        known = [t for t in self.reference.state.seen.values() if t.kind is TransferKind.HOLD]
        if known:
            hold = data.draw(st.sampled_from(known))
            some = 0 if how is TransferKind.VOID_HOLD else max(1, hold.amount_micro_yuan + part)
            self.fresh(how, hold.debit, hold.credit, some, hold=hold.id)

    @rule(name=st.sampled_from(NAMES), low=st.sampled_from([None, -60, 0, 20]), high=st.sampled_from([None, 30]))
    def change_limits(self, name: str, low: int | None, high: int | None) -> None:
        self.changed.add(name)
        self.open([LedgerAccount(name, low, high)])

    @invariant()
    def agree(self) -> None:
        standings = {standing.account.name: standing for standing in self.ledger.standings()}
        assert {name: standing.account for name, standing in standings.items()} == self.reference.limits
        for name, standing in standings.items():
            sums, account = standing.balance, standing.account
            assert sums == self.reference.balance(name) == self.ledger.balance(name)
            if name not in self.changed:
                assert account.min_micro_yuan is None or sums.least_micro_yuan >= account.min_micro_yuan
                assert account.max_micro_yuan is None or sums.most_micro_yuan <= account.max_micro_yuan
        sums_ = [standing.balance for standing in standings.values()]
        assert sum(balance.posted_micro_yuan for balance in sums_) == 0
        assert sum(b.held_debits_micro_yuan for b in sums_) == sum(b.held_credits_micro_yuan for b in sums_)

    @invariant()
    def keep_every_entry(self) -> None:
        self.entries += self.ledger.entries(after=len(self.entries))
        assert self.ledger.root()[0] == len(self.entries)

    def teardown(self) -> None:
        assert list(self.ledger.entries()) == self.entries
        assert self.ledger.verify() == self.ledger.root()
        self.ledger.close()


PART = 250  # ledgers of one search, which remembers all that it tried


def run(name: str, opened: Callable[[], SqlLedger], ledgers: int, steps: int) -> None:
    machine = type(name, (Model,), {"opened": staticmethod(opened)})
    for begin in range(0, ledgers, PART):
        how = settings(
            max_examples=min(PART, ledgers - begin),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(machine, settings=how)


def test_random_commits_to_a_file(size: Size) -> None:
    run("Sqlite", lambda: SqliteLedger(Path(":memory:")), size.ledgers, size.steps)


def test_random_commits_to_postgres(server: Postgres, size: Size) -> None:
    run("Postgres", places(server.address), max(10, size.ledgers // 5), size.steps)


def places(address: str) -> Callable[[], SqlLedger]:
    numbers: Iterator[int] = count(1)
    return lambda: Place(address, f"model_{next(numbers)}").open()
