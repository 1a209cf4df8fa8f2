"""`./hack/bench/close`: a whole month from use to money, by the product's own path, phase by phase.

What pods ran is written into a usage ledger by a process of its own. Then the month is rated and kept in the books, posted to a
SQLite ledger, and everybody gets statements, FOCUS rows with their validator, and the evidence package, as the operator and the
commands make them. Afterwards a short month is closed in which some use of the first one came too late, and the books are opened
anew, as after a restart. With `--audit` the package is recomputed by hack/audit. The floor is json.loads of the package's own
usage events, by processor time of the same run.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from audit.__main__ import audit
from bench.billing import ACCOUNTS, CLASSES, PERIOD, PODS_OF_A_JOB, PROVIDERS, a_tariff, customers, pods, provider, site
from commandline import whole
from suanli.api.site import ComputeUnit
from suanli.api.statement import Role
from suanli.billing import focus
from suanli.billing.agreement import Agreement
from suanli.billing.evidence import Dossier
from suanli.billing.facts import Facts
from suanli.billing.focusrules import violations
from suanli.billing.period import month
from suanli.billing.statements import items, totals, unbalanced
from suanli.billing.usage import PodUsage
from suanli.cli.settle import write_package
from suanli.ledgerstore.books import BookStore
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.books import Books

NEXT = month("2026-12", "Asia/Shanghai")
AT_ONCE = 1_000  # pods of one transaction of the usage ledger
LATE = 100  # one pod of so many is heard of after the month was closed
KINDS = {
    ComputeUnit.CARD: 6,
    ComputeUnit.CORE: 5,
}  # events of one pod and hour: cards or none, cores, memory, scratch, energy, carbon
MOST = 100_000_000


@dataclass(frozen=True)
class Phase:
    """One step. `peak_mib` is what this process took at most until its end."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_mib: int


@dataclass
class Figures:
    """What was done, and what it took. Ratios are times of the floor, by processor time."""

    events: int = 0
    pods: int = 0
    lines: int = 0
    entries: int = 0
    statements: int = 0
    focus_rows: int = 0
    late_lines: int = 0
    phases: list[Phase] = field(default_factory=list)
    seconds: float = 0
    cpu_seconds: float = 0
    floor_cpu_seconds: float = 0
    times_the_floor: float = 0
    peak_mib: int = 0
    peak_of_children_mib: int = 0
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a step."""
        began, cpu = time.perf_counter(), cpu_seconds()
        yield
        spent = time.perf_counter() - began, cpu_seconds() - cpu
        self.phases.append(Phase(name, round(spent[0], 2), round(spent[1], 2), peak_mib(resource.RUSAGE_SELF)))


def cpu_seconds() -> float:
    """Processor time of this process and of its children that ended."""
    return sum(os.times()[:4])


def peak_mib(whose: int) -> int:
    """The most memory that this process, or one of its children, had."""
    return resource.getrusage(whose).ru_maxrss >> 10


def fill(folder: Path, events: int, seed: int, late: bool) -> None:
    """Write a month of use into the usage ledger: first what is heard of in time, later the rest."""
    random = Random(f"close {seed}")  # noqa: S311 - a benchmark's seed
    hours = Facts(tuple(map(a_tariff, range(PROVIDERS))), {}, {site(n): provider(n) for n in range(PROVIDERS)}).book()
    agreements: list[Agreement] = []
    known: list[PodUsage] = []
    made = 0
    with UsageStore(folder / "usage.sqlite3") as store:
        for pod, (number, facts, run) in enumerate(pods(random)):
            made += KINDS[facts.unit] * (1 + len(hours.borders(run.site)(run.start_ms, run.end_ms)))
            if pod % PODS_OF_A_JOB == 0:
                agreements.append(agreement(number))
            if (pod % LATE == LATE - 1) is late:
                known.append(run)
            if len(known) >= AT_ONCE or made >= events:
                if not late:
                    store.agree(agreements)
                store.record(known)
                agreements.clear()
                known.clear()
            if made >= events:
                break


def agreement(number: int) -> Agreement:
    """Of the one attempt of a job."""
    facts = CLASSES[number % len(CLASSES)]
    account = f"account-{number % ACCOUNTS}"
    return Agreement(
        job_uid=f"job-{number}", epoch=1, namespace=f"team-{number % ACCOUNTS}", job=f"job-{number}", account=account,
        site=site(number % PROVIDERS), provider=provider(number % PROVIDERS), class_=facts.class_,
        qos="Normal", unit=str(facts.unit), precision=facts.precision, tasks=PODS_OF_A_JOB, cpu_milli=16_000,
        memory_bytes=64 << 30, scratch_bytes=100 << 30, cards=8, rated_power_w=facts.rated_power_w, pue_micro=facts.pue_micro,
        green_micro=facts.green_share_micro, grid_factor_g_per_kwh=facts.grid_factor_g_per_kwh, made_ms=PERIOD.start_ms,
    )  # fmt: skip


def opened(folder: Path) -> Books:
    """The books of a folder, as the operator opens them."""
    return Books(
        UsageStore(folder / "usage.sqlite3"), BookStore(folder / "books.sqlite3"), SqliteLedger(folder / "ledger.sqlite3"), "bench",
    )  # fmt: skip


def measure(events: int, seed: int, folder: Path, say: Callable[[Phase], None], *, audited: bool = False) -> Figures:
    """All phases, in order."""
    found = Figures()
    facts = Facts(tuple(map(a_tariff, range(PROVIDERS))), {one.account: one for one in customers()})
    began, cpu = time.perf_counter(), cpu_seconds()
    with found.phase("use is written"):
        _in_a_process(folder, events, seed, late=False)
    say(found.phases[-1])
    books = opened(folder)
    with found.phase("rated and kept"):
        closing = books.fix(PERIOD, facts, PERIOD.end_ms)
    say(found.phases[-1])
    with found.phase("posted"):
        books.post(closing)
    say(found.phases[-1])
    with found.phase("statements"):
        dossier = books.dossier(PERIOD.name)
        found.wrong += unbalanced(dossier.bills)
        for bill in dossier.bills:
            totals(bill), items(bill)
    say(found.phases[-1])
    found.lines, found.entries, found.statements = len(dossier.lines), dossier.root[0], len(dossier.bills)
    with found.phase("FOCUS, validated"):
        found.focus_rows = _exported(dossier, folder / "focus", found.wrong)
    say(found.phases[-1])
    with found.phase("evidence"):
        write_package(dossier, folder / "evidence")
    say(found.phases[-1])
    found.seconds, found.cpu_seconds = time.perf_counter() - began, cpu_seconds() - cpu
    del dossier
    with found.phase("opened anew, closed again"):
        books.leave()
        books = opened(folder)
        books.close(PERIOD, facts, PERIOD.end_ms)
    say(found.phases[-1])
    _in_a_process(folder, events, seed, late=True)
    with found.phase("next month, 1 % late"):
        books.close(NEXT, facts, NEXT.end_ms)
        found.late_lines = len(books.lines(NEXT.name))
    say(found.phases[-1])
    books.leave()
    found.peak_mib, found.peak_of_children_mib = peak_mib(resource.RUSAGE_SELF), peak_mib(resource.RUSAGE_CHILDREN)
    if audited:  # after memory was measured: the audit is none of the product
        with found.phase("audited"):
            found.wrong += map(str, audit(folder / "evidence")[0])
        say(found.phases[-1])
    found.events, found.floor_cpu_seconds = _floor(folder / "evidence" / "usage.jsonl")
    found.times_the_floor = round(found.cpu_seconds / found.floor_cpu_seconds, 2)
    return found


def _in_a_process(folder: Path, events: int, seed: int, *, late: bool) -> None:
    process = multiprocessing.get_context("spawn").Process(target=fill, args=(folder, events, seed, late))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"close: the process that writes the use ended with {process.exitcode}")


def _exported(dossier: Dossier, folder: Path, wrong: list[str]) -> int:
    """A file for every consumer, and what the validator says of it."""
    folder.mkdir()
    count = 0
    for bill in dossier.bills:
        if bill.party.role is Role.CONSUMER:
            made = list(focus.rows(bill, issuer="platform", names={}, corrected={}))
            (folder / f"{bill.party.name}.csv").write_text(focus.csv_text(made), encoding="utf-8", newline="")
            owed = {f"{bill.party.name}-{bill.period.name}": -bill.net_micro_yuan}
            wrong += map(str, violations(focus.COLUMNS, made, owed))
            count += len(made)
    return count


def _floor(path: Path) -> tuple[int, float]:
    """How many events there are, and seconds of processor time in which they are read from JSON."""
    count, spent = 0, 0.0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            began = time.process_time()
            json.loads(line)
            spent += time.process_time() - began
            count += 1
    return count, spent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 1 something in the month is wrong, 2 a wrong argument."""
    parser = argparse.ArgumentParser(
        prog="hack/bench/close",
        description="A month of use rated, posted, closed, stated, exported as FOCUS and proven, by phase.",
        epilog="Exit code: 0 measured, 1 something in the month is wrong, 2 a wrong argument.",
    )
    parser.add_argument("--events", type=whole(1_000, MOST), default=1_000_000, help="usage events, about (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="decides who ran what (1)")
    parser.add_argument("--audit", action="store_true", help="let hack/audit recompute the evidence, too")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    args = parser.parse_args(argv)

    def say(phase: Phase) -> None:
        if args.output == "table":
            print(f"{phase.name:<26} {phase.seconds:>8.2f} {phase.cpu_seconds:>8.2f} {phase.peak_mib:>9}", flush=True)

    if args.output == "table":
        print(f"{'phase':<26} {'seconds':>8} {'cpu s':>8} {'peak MiB':>9}")
    with TemporaryDirectory(prefix="suanli-close-") as name:
        found = measure(args.events, args.seed, Path(name), say, audited=args.audit)
    if args.output == "json":
        print(json.dumps(asdict(found), indent=2))
    else:
        print(
            f"{found.events} events of {ACCOUNTS} accounts at {PROVIDERS} providers: {found.lines} lines, {found.entries} ledger "
            f"entries, {found.statements} statements, {found.focus_rows} FOCUS rows; {found.late_lines} lines of late use\n"
            f"use to evidence: {found.seconds:.1f} s, {found.cpu_seconds:.1f} of processor time, {found.times_the_floor} times "
            f"json.loads of the events ({found.floor_cpu_seconds:.1f} s)\n"
            f"peak {found.peak_mib} MiB, of the process that writes the use {found.peak_of_children_mib} MiB"
        )
        print(*found.wrong[:5], f"{len(found.wrong)} wrong", sep="\n")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
