"""The bill of the demo: its months closed as if they were over, everybody's statement, and an audit by a program that shares no code."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from demo.pods import PodRun
from demo.report import Check, few
from harness import Amount, Federation, wait_for
from harness.shell import run
from suanli.api.statement import Role
from suanli.base.clock import time_text
from suanli.billing.period import Period, local, month

ZONE = "Asia/Shanghai"
ACCOUNT = {
    "apiVersion": "suanli.io/v1alpha1",
    "kind": "ComputeAccount",
    "metadata": {"name": "demo-lab"},
    "spec": {"namespaces": ["demo"], "customerClass": "university"},
}
PROGRAM = {
    "apiVersion": "suanli.io/v1alpha1",
    "kind": "VoucherProgram",
    "metadata": {"name": "demo-city"},
    "spec": {
        "displayName": "demo",
        "issuer": "sample-bureau",
        "flow": "DeductAtCheckout",
        "terms": [{"name": "all", "ratePermille": 200}],
        "from": "2026-01-01",
    },
}
VOUCHER = {
    "apiVersion": "suanli.io/v1alpha1",
    "kind": "Voucher",
    "metadata": {"name": "demo-lab", "namespace": "demo"},
    "spec": {"program": "demo-city", "contract": "demo", "amount": "100000000", "contractDays": 90},
}
GRANTED_S = 30.0  # the longest that is waited for the voucher


@dataclass(frozen=True)
class Money:
    """What was printed by the commands, by their words, and what had to come true."""

    printed: dict[str, str]
    checks: Sequence[Check]


def settle(
    federation: Federation, data: Path, folder: Path, runs: Sequence[PodRun], moments_ms: Iterable[int]
) -> Money:
    """Close the months of these moments, in which all ran, once the voucher is granted. Raises: CommandError, TimeoutError."""
    wait_for("the voucher to be granted", lambda: _is_granted(federation), seconds=GRANTED_S)
    printed: dict[str, str] = {}
    wrong: list[str] = []
    audited: list[str] = []
    roles: set[str] = set()
    sent = False  # anything over a link
    used = Amount()
    for period in _months(moments_ms):
        package = folder / f"evidence-{period.name}"
        asked = ("--data", data, "--period", period.name, "--now", time_text(period.end_ms))
        printed[f"suanli usage --period {period.name}"] = federation.asked("usage", *asked)
        printed[f"suanli settle --period {period.name}"] = federation.asked("settle", *asked, "--evidence", package)
        told = json.loads(federation.suanli("statement", *asked, "--output", "json"))
        wrong += [f"{period.name}: {over}" for over in told["unbalanced"]]
        roles |= {statement["role"] for statement in told["statements"]}
        bill = json.loads(federation.asked("bill", *asked, "--output", "json"))
        wrong += [f"{period.name}: {one['events']} events are not rated: {one['why']}" for one in bill["unrated"]]
        used += _used(package)
        sent = sent or '"kind":"transfer"' in (package / "usage.jsonl").read_text(encoding="utf-8")
        audited.append(run([sys.executable, "-m", "audit", str(package)], codes=(0, 1)).strip().splitlines()[-1])
    ran = replace(sum((each.amount for each in runs), Amount()), run_ms=0)
    differs = [f"billed {used}, pods {ran}"] if used != ran else []
    due = [role for role in Role if role is not Role.NETWORK or sent]
    none = [role for role in due if role not in roles]
    failed = [words for words in audited if not words.startswith("0 findings")]
    return Money(
        printed,
        [
            Check("billed use equals the members' pods", not differs, few(differs) or "difference 0"),
            Check(
                "every role has its statement",
                not none,
                f"none of {few(none)}" if none else few(sorted(roles), len(Role)),
            ),
            Check("all parties' statements add up to nothing", not wrong, few(wrong) or "0.00 CNY"),
            Check("an audit that shares no code with suanli", not failed, few(audited)),
        ],
    )


def _is_granted(federation: Federation) -> bool:
    status = federation.hub.json("get", "voucher", "demo-lab", "--namespace", "demo").get("status", {})
    return any(c["type"] == "Granted" and c["status"] == "True" for c in status.get("conditions", []))


def _months(moments: Iterable[int]) -> list[Period]:
    names = sorted({f"{at.year:04d}-{at.month:02d}" for at in (local(ms, ZONE) for ms in moments)})
    return [month(name, ZONE) for name in names]


def _used(package: Path) -> Amount:
    """Cores, memory and cards of the events that were billed."""
    sums: Counter[str] = Counter()
    for line in (package / "usage.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        sums[event["kind"]] += int(event["amount"])
    return Amount(0, sums["core-time"], sums["memory-time"], sums["card-time"])
