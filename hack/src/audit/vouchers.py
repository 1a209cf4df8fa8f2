"""Vouchers: what each grant and each redemption had to be, and what the ledger moved for it."""

from collections.abc import Iterator, Mapping

from audit import clawback
from audit.chain import MOVES, Replay
from audit.clawback import NEVER, Moved, share
from audit.package import Finding, Package, Record
from audit.posting import LINE, Expected, compare, quoted

GRANTS = "vouchers.jsonl"
REDEMPTIONS = "redemptions.jsonl"
PAID_FOR: Mapping[str, tuple[str, ...]] = {
    "Compute": ("core-time", "card-time", "memory-time", "node-time"),
    "Transport": ("transfer",),
}
DAY_MS = 86_400_000


def check(package: Package, lines: Mapping[str, Record], replay: Replay) -> Iterator[Finding]:
    """Grants, redemptions, and no money of vouchers beside them."""
    programs = package.of("programmes.json")
    specs = {c["voucher"]: programs[c["program_line"] - 1]["spec"] for c in package.of(GRANTS)}
    claims = {c["voucher"]: c for c in package.of(GRANTS)}
    for number, claim in enumerate(package.of(GRANTS), 1):
        if programs[claim["program_line"] - 1]["name"] != claim["program"]:
            yield Finding(GRANTS, f"line {number}, voucher {claim['voucher']}", "names the line of another programme")
        yield from _grant(number, claim, specs[claim["voucher"]], replay)
    yield from clawback.as_posted(package, replay)
    sites = _Sites(package)
    known = {**{r["line"]["id"]: r["line"] for r in package.of(clawback.REIMBURSED)}, **lines}
    money = clawback.moved(replay)
    expected: dict[str, Expected] = {}
    for number, asked in enumerate(package.of(REDEMPTIONS), 1):
        redemption = asked | {"lines": [id_ for id_ in asked["lines"] if id_ in known]}
        claim = claims[redemption["voucher"]]
        spec = specs[redemption["voucher"]]
        for id_ in [id_ for id_ in asked["lines"] if id_ not in known]:
            yield Finding(
                REDEMPTIONS, f"line {number}, voucher {redemption['voucher']}", f"line {id_} follows from nothing"
            )
        due = _due(redemption, claim, spec, known, sites, _left_of(package, redemption, money, replay))
        if spec["flow"] == "ReimburseUser" and spec["kind"] in PAID_FOR:
            yield from _paid(f"line {number}, voucher {redemption['voucher']}", redemption, claim, known, replay)
        if spec["kind"] not in PAID_FOR and not redemption["approved_by"]:
            place = f"line {number}, voucher {redemption['voucher']}"
            yield Finding(REDEMPTIONS, place, "pays for what the tenant alone says, and nobody approved that")
        told = {p["line"]: int(p["amount_micro_yuan"]) for p in redemption["parts"]}
        for line in sorted(due.keys() | told.keys()):
            over = abs(due.get(line, 0) - told.get(line, 0))
            if over:
                says = f"{told.get(line, 0)} micro-yuan for {line}, and {due.get(line, 0)} are due"
                yield Finding(REDEMPTIONS, f"line {number}, voucher {redemption['voucher']}", says, over)
        expected |= _moves(redemption, claim, spec, due, known)
    back, findings = clawback.due(package, lines, replay, {v: (c, specs[v]) for v, c in claims.items()}, _parties)
    yield from findings
    yield from _freed(package, back, claims, replay)
    expected |= back
    prefixes = tuple(f"{word}:{voucher}:" for voucher in claims for word in ("voucher", "payout"))
    there = {
        id_: t
        for id_, t in replay.transfers.items()
        if t["kind"] in MOVES and t["reference"].startswith(prefixes) and _is_of(t, lines, expected, package.period)
    }
    yield from compare(expected, there)


def _is_of(transfer: Record, lines: Mapping[str, Record], expected: Mapping[str, Expected], period: Record) -> bool:
    """Whether money of a voucher is of this package: for one of its lines, paid out or back in its time, or known to it."""
    if transfer["reference"].startswith("payout:") and period["start_ms"] <= transfer["time_ms"] < period["end_ms"]:
        return True
    return transfer["reference"].split(":", 2)[-1] in lines or transfer["id"] in expected


class _Sites:
    """Side and chip of the lines' sites: of the period's, or as they were when a line was billed that is paid back."""

    def __init__(self, package: Package) -> None:
        self._then = {r["line"]["id"]: (r["side"], r["chip"]) for r in package.of(clawback.REIMBURSED)}
        self._chips = {(site, class_): chip for site, class_, chip in package.period["chips"]}
        self._sides = package.period["sides"]

    def of(self, line: Record) -> tuple[str, str]:
        """The side and the chip."""
        now = self._sides.get(line["site"], "none"), self._chips.get((line["site"], line["class"]), "")
        return self._then.get(line["id"], now)


def _left_of(
    package: Package, redemption: Record, money: Mapping[str, Moved], replay: Replay
) -> dict[str, tuple[int, int]]:
    """What corrections had taken of each line before a redemption, and what vouchers had paid of it. Micro-yuan."""
    taken = replay.transfers.get(f"voucher:{redemption['voucher']}:{redemption['bill']}:taken")
    at = NEVER if taken is None else int(taken["sequence"])
    found = {id_: (0, money[id_].others(at) if id_ in money else 0) for id_ in redemption["lines"]}
    for each in package.of(clawback.CORRECTED):
        if each["of"] in found and clawback.began(each["line"]["id"], replay) < at:
            less, others = found[each["of"]]
            found[each["of"]] = less + int(each["amount_micro_yuan"]), others
    return found


def _paid(
    place: str, redemption: Record, claim: Record, known: Mapping[str, Record], replay: Replay
) -> Iterator[Finding]:
    """Whether the user had paid all of the bill at some moment before it was paid back, and had claimed before it was posted."""
    billed = sum(int(known[id_]["net_micro_yuan"]) for id_ in redemption["lines"])
    account, lines = f"consumer:{quoted(claim['entity'])}", set(redemption["lines"])
    taken = replay.transfers.get(f"voucher:{redemption['voucher']}:{redemption['bill']}:taken", {"sequence": NEVER})
    of_account = [t for t in replay.transfers.values() if t["kind"] in MOVES and account in (t["debit"], t["credit"])]
    posted = [t for t in of_account if t["reference"] in lines]
    last = max((t["sequence"] for t in posted), default=NEVER)
    balance, later, best = 0, 0, -NEVER
    for transfer in of_account:
        if transfer["sequence"] >= taken["sequence"]:
            break
        amount = int(transfer["amount_micro_yuan"]) * (1 if transfer["credit"] == account else -1)
        balance += amount
        if transfer["sequence"] > last and amount < 0 and LINE.fullmatch(transfer["reference"]):
            later -= amount
        if transfer["sequence"] >= last:
            best = max(best, balance + later)
    if best < 0 or int(redemption["paid_micro_yuan"]) < billed:
        owed = min(-best, billed)
        yield Finding(REDEMPTIONS, place, f"{owed} micro-yuan of bill {redemption['bill']} were not paid yet", owed)
    if any(claim["time_ms"] > t["time_ms"] for t in posted):
        yield Finding(REDEMPTIONS, place, f"was claimed after bill {redemption['bill']} was posted")


def _freed(
    package: Package, back: Mapping[str, Expected], claims: Mapping[str, Record], replay: Replay
) -> Iterator[Finding]:
    """That cap and pool got back what vouchers got back."""
    expected: dict[str, Expected] = {}
    for id_, (_, _, amount) in back.items():
        claim = claims[id_.split(":")[1]]
        group = f"voucher:{claim['voucher']}:{package.period['name']}:back"
        cap, pool = _counters(claim)
        expected[group] = (pool, cap, amount + (expected[group][2] if group in expected else 0))
    yield from compare(expected, {id_: replay.transfers[id_] for id_ in expected if id_ in replay.transfers})


def _counters(claim: Record) -> tuple[str, str]:
    """The accounts that count for cap and pool."""
    cap = f"cap:{claim['program']}:{quoted(claim['entity'])}:{claim['year']}"
    return cap, f"voucher:{claim['program']}:{claim['year']}"


def _grant(number: int, claim: Record, spec: Record, replay: Replay) -> Iterator[Finding]:
    place = f"line {number}, voucher {claim['voucher']}"
    due = min(
        left
        for left in (
            _asked(claim, spec),
            _left(_cap(claim, spec), claim["entity_before_micro_yuan"]),
            _left(spec.get("poolPerYear"), claim["pool_before_micro_yuan"]),
        )
        if left is not None
    )
    granted = int(claim["granted_micro_yuan"])
    if due != granted:
        yield Finding(GRANTS, place, f"{granted} micro-yuan were granted, {due} are due", abs(due - granted))
    for says, broken in (
        ("expires at the wrong time", claim["expires_ms"] != claim["time_ms"] + spec["validDays"] * DAY_MS),
        (
            "supplier and applicant belong together",
            spec["relatedParties"] == "Forbidden" and claim["provider"] in claim["family"],
        ),
        ("the contract is too long", claim["contract_days"] > spec.get("maxContractDays", claim["contract_days"])),
        ("is less than minAmount", _asked(claim, spec) < int(spec.get("minAmount", 1))),
        (
            "declares a class that is not its own, for a term that it opens, and nobody approved that",
            not claim["approved_by"] and _opened(claim, spec) != [],
        ),
        (
            "is a second one",
            spec["repeatedClaims"] == "Forbidden" and claim["program"] in claim["programs_of_contract"],
        ),
        (
            "stands beside another programme's",
            spec["stacking"] == "Forbidden" and set(claim["programs_of_contract"]) - {claim["program"]} != set(),
        ),
    ):
        if broken:
            yield Finding(GRANTS, place, says)
    hold = replay.transfers.get(f"voucher:{claim['voucher']}:granted")
    want = (*_counters(claim), granted, claim["expires_ms"])
    have = hold and (hold["debit"], hold["credit"], int(hold["amount_micro_yuan"]), hold["expires_ms"])
    if have != want:
        yield Finding(GRANTS, place, f"its hold in the ledger is {have} and not {want}", granted)


def _asked(claim: Record, spec: Record) -> int:
    terms = _terms(claim, spec)
    if spec["kind"] == "Deployment":
        return max((int(t["rewardPerUnit"]) * claim["units"] for t in terms), default=0)
    return int(claim["amount_micro_yuan"]) * max((t["ratePermille"] for t in terms), default=0) // 1_000


def _terms(claim: Record, spec: Record) -> list[Record]:
    return [
        t for t in spec["terms"] if not t.get("applicantClasses") or claim["applicant_class"] in t["applicantClasses"]
    ]


def _opened(claim: Record, spec: Record) -> list[Record]:
    """The terms that an applicant has by the class that it declares alone; of old claims nobody kept the own one."""
    own = claim["own_class"]
    if own is None or claim["applicant_class"] == own:
        return []
    by_own = _terms(claim | {"applicant_class": own}, spec)
    return [term for term in _terms(claim, spec) if term not in by_own]


def _cap(claim: Record, spec: Record) -> str | None:
    caps = [t.get("capPerEntityYear", spec.get("capPerEntityYear")) for t in _terms(claim, spec)]
    return None if not caps or None in caps else str(max(int(cap) for cap in caps if cap is not None))


def _left(limit: str | None, used: str) -> int | None:
    return None if limit is None else int(limit) - int(used)


def _due(
    redemption: Record,
    claim: Record,
    spec: Record,
    lines: Mapping[str, Record],
    sites: _Sites,
    left_of: Mapping[str, tuple[int, int]],
) -> dict[str, int]:
    """What a redemption had to pay, by line; of a subsidy for no line, by the bill's name."""
    left = int(redemption["remaining_micro_yuan"])
    if redemption["time_ms"] >= claim["expires_ms"]:
        return {}
    if spec["kind"] not in PAID_FOR:
        return {redemption["bill"]: left}
    due: dict[str, int] = {}
    for id_ in redemption["lines"]:
        line = lines[id_]
        side, chip = sites.of(line)
        other = redemption["subsidised"].get(id_)
        if other is not None and (other == claim["program"] or spec["stacking"] == "Forbidden"):
            continue
        if not _in_scope(line, chip, claim, spec, side):
            continue
        rates = [t["ratePermille"] for t in _terms(claim, spec) if not t.get("chips") or chip in t["chips"]]
        less, others = left_of[id_]
        amount = min(left, share(spec["flow"], int(line["net_micro_yuan"]) - less, others, max(rates, default=0)))
        if amount:
            due[id_] = amount
            left -= amount
    return due


def _in_scope(line: Record, chip: str, claim: Record, spec: Record, side: str) -> bool:
    eligible = spec.get("eligible", {})
    return (
        line["account"] == claim["entity"]
        and line["kind"] in PAID_FOR[spec["kind"]]
        and (not claim["provider"] or line["provider"] == claim["provider"])
        and ("/" not in claim["contract"] or f"{line['namespace']}/{line['job']}" == claim["contract"])
        and all(
            not eligible.get(name) or value in eligible[name]
            for name, value in (("sides", side), ("sites", line["site"]), ("classes", line["class"]), ("chips", chip))
        )
    )


def _moves(
    redemption: Record, claim: Record, spec: Record, due: Mapping[str, int], lines: Mapping[str, Record]
) -> dict[str, Expected]:
    made: dict[str, Expected] = {}
    for line, amount in due.items():
        made[f"voucher:{redemption['voucher']}:{redemption['bill']}:{line}"] = (
            *_parties(claim, spec, lines[line]["provider"] if line in lines else ""),
            amount,
        )
    return made


def _parties(claim: Record, spec: Record, provider: str) -> tuple[str, str]:
    """Who pays for a provider's line, and who gets it."""
    debtor = f"subsidy:{quoted(spec['issuer'])}"
    if spec["flow"] == "DeductAtCheckout" and provider:
        debtor += f":{quoted(provider)}"
    if spec["kind"] == "Deployment":
        return debtor, f"provider:{quoted(claim['provider'] or claim['entity'])}"
    return debtor, f"consumer:{quoted(claim['entity'])}"
