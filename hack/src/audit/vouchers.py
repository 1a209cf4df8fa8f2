"""Vouchers: what each grant and each redemption had to be, and what the ledger moved for it."""

from collections.abc import Iterator, Mapping

from audit.chain import MOVES, Replay
from audit.package import Finding, Package, Record
from audit.posting import Expected, compare, quoted

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
    expected: dict[str, Expected] = {}
    for number, redemption in enumerate(package.of(REDEMPTIONS), 1):
        claim = claims[redemption["voucher"]]
        spec = specs[redemption["voucher"]]
        due = _due(redemption, claim, spec, lines, package.period)
        told = {p["line"]: int(p["amount_micro_yuan"]) for p in redemption["parts"]}
        for line in sorted(due.keys() | told.keys()):
            over = abs(due.get(line, 0) - told.get(line, 0))
            if over:
                says = f"{told.get(line, 0)} micro-yuan for {line}, and {due.get(line, 0)} are due"
                yield Finding(REDEMPTIONS, f"line {number}, voucher {redemption['voucher']}", says, over)
        expected |= _moves(redemption, claim, spec, due, lines)
    prefixes = tuple(f"{word}:{voucher}:" for voucher in claims for word in ("voucher", "payout"))
    there = {
        id_: t
        for id_, t in replay.transfers.items()
        if t["kind"] in MOVES and t["reference"].startswith(prefixes) and _is_of(t, lines, expected)
    }
    yield from compare(expected, there)


def _is_of(transfer: Record, lines: Mapping[str, Record], expected: Mapping[str, Expected]) -> bool:
    """Whether money of a voucher is of this package: for one of its lines, or known to it."""
    return transfer["reference"].split(":", 2)[-1] in lines or transfer["id"] in expected


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
    want = (
        f"cap:{claim['program']}:{quoted(claim['entity'])}:{claim['year']}",
        f"voucher:{claim['program']}:{claim['year']}",
        granted,
        claim["expires_ms"],
    )
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


def _cap(claim: Record, spec: Record) -> str | None:
    caps = [t.get("capPerEntityYear", spec.get("capPerEntityYear")) for t in _terms(claim, spec)]
    return None if not caps or None in caps else str(max(int(cap) for cap in caps if cap is not None))


def _left(limit: str | None, used: str) -> int | None:
    return None if limit is None else int(limit) - int(used)


def _due(
    redemption: Record, claim: Record, spec: Record, lines: Mapping[str, Record], period: Record
) -> dict[str, int]:
    """What a redemption had to pay, by line; of a subsidy for no line, by the bill's name."""
    left = int(redemption["remaining_micro_yuan"])
    if redemption["time_ms"] >= claim["expires_ms"]:
        return {}
    if spec["kind"] not in PAID_FOR:
        return {redemption["bill"]: left}
    chips = {(site, class_): chip for site, class_, chip in period["chips"]}
    due: dict[str, int] = {}
    for id_ in redemption["lines"]:
        line = lines[id_]
        chip = chips.get((line["site"], line["class"]), "")
        other = redemption["subsidised"].get(id_)
        if other is not None and (other == claim["program"] or spec["stacking"] == "Forbidden"):
            continue
        if not _in_scope(line, chip, claim, spec, period["sides"].get(line["site"], "none")):
            continue
        rates = [t["ratePermille"] for t in _terms(claim, spec) if not t.get("chips") or chip in t["chips"]]
        amount = min(left, max(0, int(line["net_micro_yuan"])) * max(rates, default=0) // 1_000)
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
        provider = lines[line]["provider"] if line in lines else ""
        debtor = f"subsidy:{quoted(spec['issuer'])}"
        if spec["flow"] == "DeductAtCheckout" and provider:
            debtor += f":{quoted(provider)}"
        payee = f"consumer:{quoted(claim['entity'])}"
        if spec["kind"] == "Deployment":
            payee = f"provider:{quoted(claim['provider'] or claim['entity'])}"
        made[f"voucher:{redemption['voucher']}:{redemption['bill']}:{line}"] = (debtor, payee, amount)
    return made
