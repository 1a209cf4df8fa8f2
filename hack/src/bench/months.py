"""`./hack/bench/months`: random months through rating, ledger, vouchers, statements, FOCUS and evidence, each audited."""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from audit.__main__ import audit
from commandline import whole
from months import OCTOBER, packed, random_month
from suanli.api.statement import Role
from suanli.billing.evidence import Dossier
from suanli.billing.focus import COLUMNS, rows
from suanli.billing.focusrules import violations
from suanli.billing.statements import unbalanced

MOST = 10_000_000
SHOWN = 5


@dataclass
class Figures:
    """What was looked at, and what was wrong."""

    looked: Counter[str] = field(default_factory=Counter)
    difference_micro_yuan: int = 0
    wrong: list[str] = field(default_factory=list)


def look(seed: int, jobs: int, folder: Path, figures: Figures) -> None:
    """One month: sums, audit, FOCUS, and one changed byte that has to be found."""
    month = random_month(seed, jobs)
    figures.looked.update(
        months=1,
        events=len(list(month.events)),
        lines=len(month.lines),
        entries=month.root[0],
        statements=len(month.bills),
        redemptions=len(month.redeemed),
    )
    figures.wrong += [f"seed {seed}: {over}" for over in unbalanced(month.bills)]
    findings, _ = audit(packed(month, folder), month.root[1])
    figures.difference_micro_yuan += sum(finding.difference for finding in findings)
    figures.wrong += [f"seed {seed}: {finding}" for finding in findings]
    _export(seed, month, figures)
    _change(seed, folder, figures)


def _export(seed: int, month: Dossier, figures: Figures) -> None:
    consumers = [bill for bill in month.bills if bill.party.role is Role.CONSUMER]
    made = [row for b in consumers for row in rows(b, issuer="platform", names={}, corrected={OCTOBER.name: OCTOBER})]
    figures.looked.update(focus_rows=len(made))
    figures.wrong += [f"seed {seed}: {violation}" for violation in violations(COLUMNS, made)]


def _change(seed: int, folder: Path, figures: Figures) -> None:
    dice = Random(seed)  # noqa: S311 - chance, not secrecy
    path = dice.choice([path for path in sorted(folder.iterdir()) if path.stat().st_size])
    text = bytearray(path.read_bytes())
    place = dice.randrange(len(text))
    text[place] ^= 1 << dice.randrange(8)
    path.write_bytes(bytes(text))
    figures.looked.update(changed_bytes=1)
    if path.name not in {finding.file for finding in audit(folder)[0]}:
        figures.wrong.append(f"seed {seed}: byte {place} of {path.name} was changed, and nobody told")


def main(argv: Sequence[str] | None = None) -> int:
    """Look; 0 nothing is wrong, 1 something is, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="hack/bench/months", description=__doc__)
    parser.add_argument("--months", type=whole(1, MOST), default=1_000)
    parser.add_argument("--jobs", type=whole(1, MOST), default=8, help="of each month")
    parser.add_argument("--seed", type=whole(0, MOST), default=0)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args(argv)
    figures, begin = Figures(), time.process_time()
    with TemporaryDirectory(prefix="suanli-months-") as folder:
        for seed in range(args.seed, args.seed + args.months):
            look(seed, args.jobs, Path(folder) / "month", figures)
            shutil.rmtree(Path(folder) / "month")
    told = {
        **figures.looked,
        "cpu_seconds": round(time.process_time() - begin, 1),
        "difference_micro_yuan": figures.difference_micro_yuan,
        "wrong": figures.wrong,
    }
    if args.output == "json":
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        print(
            ", ".join(f"{count:,} {name}" for name, count in figures.looked.items()),
            f"in {told['cpu_seconds']} CPU seconds",
        )
        print(
            *figures.wrong[:SHOWN],
            f"{len(figures.wrong)} wrong, {figures.difference_micro_yuan} micro-yuan difference",
            sep="\n",
        )
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
