"""Corrections of lines that vouchers paid of: what of it had to be taken back."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit.chain import MOVES, Replay
from audit.package import Finding, Package, Record, sha256
from audit.posting import LINE, Expected, compare, transfers

CORRECTED, REIMBURSED, SUBSIDISED = "corrected.jsonl", "reimbursed.jsonl", "subsidised.jsonl"
MONEY = re.compile("voucher:([^:]+):([^:]+):([0-9a-f]{32})")  # voucher, bill or correcting line, line that was paid of
ALIKE = (
    "account",
    "namespace",
    "job",
    "job_uid",
    "site",
    "tariff",
    "item",
    "band",
    "bracket",
    "qos",
    "class",
    "precision",
    "link",
)
NEVER = 1 << 62


@dataclass
class Moved:
    """What the ledger says of vouchers' money for one line, in its order: transfers with their voucher and bill or correcting line."""

    paid: list[tuple[str, Record]] = field(default_factory=list)
    back: list[tuple[str, str, Record]] = field(default_factory=list)

    def others(self, before: int) -> int:
        """How much vouchers had paid of the line before an entry. Micro-yuan."""
        paid = sum(int(t["amount_micro_yuan"]) for _, t in self.paid if t["sequence"] < before)
        return paid - sum(int(t["amount_micro_yuan"]) for _, _, t in self.back if t["sequence"] < before)


def moved(replay: Replay) -> dict[str, Moved]:
    """All of it, by line."""
    found: dict[str, Moved] = defaultdict(Moved)
    for id_, transfer in replay.transfers.items():
        parts = MONEY.fullmatch(id_) if transfer["kind"] in MOVES else None
        if parts is None:
            continue
        voucher, by, line = parts.groups()
        if LINE.fullmatch(by):
            found[line].back.append((voucher, by, transfer))
        else:
            found[line].paid.append((voucher, transfer))
    return found


def share(flow: str, net: int, others: int, rate: int) -> int:
    """Most that a voucher pays of a line of which others pay a part. Micro-yuan."""
    left = max(0, net - others)
    return left * rate // 1_000 if flow == "ReimburseUser" else min(left, max(0, net) * rate // 1_000)


def as_posted(package: Package, replay: Replay) -> Iterator[Finding]:
    """Lines of other periods that this one goes by: each as the ledger has it, and each correction of a line like it."""
    for name in (REIMBURSED, CORRECTED):
        for record in package.of(name):
            line = record["line"]
            expected = {f"{line['id']}:{part}": move for part, move in transfers(line).items()}
            yield from compare(expected, {i: replay.transfers[i] for i in expected if i in replay.transfers})
    known = _known(package, {})
    for number, record in enumerate(package.of(CORRECTED), 1):
        line, of = record["line"], known.get(record["of"])
        if of is not None and any(line[name] != of[name] for name in ALIKE):
            yield Finding(
                CORRECTED, f"line {number}", f"{line['id']} corrects {record['of']}, which is about something else"
            )
    taken: dict[str, int] = defaultdict(int)
    for record in package.of(CORRECTED):
        taken[record["line"]["id"]] += int(record["amount_micro_yuan"])
    for record in package.of(CORRECTED):
        over = taken.pop(record["line"]["id"], 0) + int(record["line"]["net_micro_yuan"])
        if over > 0:
            yield Finding(CORRECTED, record["line"]["id"], f"takes {over} micro-yuan more than it comes to", over)


def began(line: str, replay: Replay) -> int:
    """The first entry by which a line was posted."""
    ids = (f"{line}:{part}" for part in ("tax", "commission", "provider"))
    return min((replay.transfers[i]["sequence"] for i in ids if i in replay.transfers), default=NEVER)


def due(
    package: Package,
    lines: Mapping[str, Record],
    replay: Replay,
    claims: Mapping[str, tuple[Record, Record]],
    parties: Callable[[Record, Record, str], tuple[str, str]],
) -> tuple[dict[str, Expected], list[Finding]]:
    """The transfers by which vouchers get back what this period's corrections leave them no room for.

    `claims` are claim and programme by voucher, `parties` tells debtor and payee of a provider's line.
    """
    rates = {(s["voucher"], s["line"]): int(s["rate_permille"]) for s in package.of(SUBSIDISED)}
    expected: dict[str, Expected] = {}
    findings: list[Finding] = []
    money, kept = moved(replay), dict[str, int]()
    for by, of, left in _corrections(package, lines, replay):
        if by not in lines:
            continue
        others, at = 0, began(by, replay)
        for voucher, transfer in money[of].paid if of in money else []:
            if transfer["sequence"] > at:
                continue
            if voucher not in claims or (voucher, of) not in rates:
                findings.append(Finding(SUBSIDISED, of, f"voucher {voucher} paid of it, and is missing"))
                continue
            claim, spec = claims[voucher]
            rate = rates[voucher, of]
            if rate not in [t.get("ratePermille") for t in spec["terms"]]:
                findings.append(Finding(SUBSIDISED, of, f"{rate} permille are no rate of programme {claim['program']}"))
            there = kept.setdefault(transfer["id"], int(transfer["amount_micro_yuan"]) - _back(money[of], voucher, at))
            stays = min(there, share(spec["flow"], left, others, rate))
            if stays < there:
                debtor, payee = parties(claim, spec, lines[by]["provider"])
                expected[f"voucher:{voucher}:{by}:{of}"] = (payee, debtor, there - stays)
                kept[transfer["id"]] = stays
            others += stays
    return expected, findings


def _back(money: Moved, voucher: str, before: int) -> int:
    """What a voucher got back of a line before an entry; what it gets by this period's lines comes after all of them."""
    return sum(int(t["amount_micro_yuan"]) for v, _, t in money.back if v == voucher and t["sequence"] < before)


def _corrections(package: Package, lines: Mapping[str, Record], replay: Replay) -> Iterator[tuple[str, str, int]]:
    """Which line takes from which, in order, and what is left of that then."""
    known = _known(package, lines)
    ended = {r["line"]["id"]: r["of"] for r in package.of(CORRECTED) if r["line"]["id"] not in _ids(package)}
    for award in package.period["awards"]:
        of = award["line"]["id"]
        ended[sha256("\x00".join(("dispute", of, award["dispute"])))[:32]] = of
    left: dict[str, int] = {}
    alike: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for line in sorted(known.values(), key=lambda each: began(each["id"], replay)):
        net, key = int(line["net_micro_yuan"]), tuple(line[name] for name in ALIKE)
        if net > 0:
            left[line["id"]] = net
            alike[key].append(line["id"])
            continue
        for of in [ended[line["id"]]] if line["id"] in ended else alike[key][::-1]:
            taken = min(-net, left.get(of, 0))
            if taken:
                left[of] -= taken
                net += taken
                yield line["id"], of, left[of]


def _ids(package: Package) -> Sequence[str]:
    return [line["id"] for line in package.of("billed.jsonl")]


def _known(package: Package, lines: Mapping[str, Record]) -> dict[str, Record]:
    """Lines of closed periods, and corrections of them."""
    found: dict[str, Record] = {line["id"]: line for line in package.of("billed.jsonl")}
    found |= {r["line"]["id"]: r["line"] for name in (REIMBURSED, CORRECTED) for r in package.of(name)}
    return found | {id_: line for id_, line in lines.items() if line["adjusts"]}
