"""Lines as transfers: that each line was posted once, as it had to be, and that nothing else was posted for it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction

from audit.chain import FILE, MOVES, Replay
from audit.package import Finding, Package, Record

LINE = re.compile("[0-9a-f]{32}")
Expected = tuple[str, str, int]  # debit, credit, micro-yuan


def check(package: Package, lines: Mapping[str, Record], replay: Replay) -> Iterator[Finding]:
    """All transfers whose reference is a line of the period, against what the lines come to; of a seller, what it gets of them."""
    role, name = package.party or ("", "")
    seller = f"{role.lower()}:{quoted(name)}" if role in ("Provider", "Network") else ""
    posted: dict[str, dict[str, Record]] = defaultdict(dict)
    for id_, transfer in replay.transfers.items():
        if transfer["kind"] in MOVES and transfer["reference"] in lines:
            posted[transfer["reference"]][id_] = transfer
    for id_, line in lines.items():
        expected = {f"{id_}:{end}": move for end, move in transfers(line).items() if not seller or seller in move}
        there = {i: t for i, t in posted[id_].items() if not seller or seller in (t["debit"], t["credit"])}
        yield from compare(expected, there)


def compare(expected: Mapping[str, Expected], there: Mapping[str, Record]) -> Iterator[Finding]:
    """Transfers that are wrong, missing, or too many."""
    for id_ in sorted(expected.keys() | there.keys()):
        want, have = expected.get(id_), there.get(id_)
        if have is None:
            assert want is not None
            yield Finding(
                FILE, f"transfer {id_}", f"is missing: {want[2]} micro-yuan from {want[0]} to {want[1]}", want[2]
            )
            continue
        got = (have["debit"], have["credit"], int(have["amount_micro_yuan"]))
        if got != want:
            over = abs(got[2] - (want[2] if want else 0))
            told = f"{want[2]} from {want[0]} to {want[1]}" if want else "nothing"
            yield Finding(
                FILE, f"transfer {id_}", f"moves {got[2]} from {got[0]} to {got[1]}, and should move {told}", over
            )


def transfers(line: Record) -> dict[str, Expected]:
    """What a line moves, by the end of the transfer's id: tax out of the price, commission of the rest, the rest."""
    net = int(line["net_micro_yuan"])
    tax = round(Fraction(net * line["tax_permille"], 1_000 + line["tax_permille"]))
    commission = round(Fraction((net - tax) * line["commission_permille"], 1_000))
    seller = ("network" if line["kind"] == "transfer" else "provider") + ":" + quoted(line["provider"])
    paid = "consumer:" + quoted(line["account"])
    shares = {
        "tax": ("tax:payable", tax),
        "commission": ("operator:commission", commission),
        "provider": (seller, net - tax - commission),
    }
    return {
        name: (paid, account, amount) if amount > 0 else (account, paid, -amount)
        for name, (account, amount) in shares.items()
        if amount
    }


def quoted(name: str) -> str:
    """A name as a part of an account's."""
    bad = re.compile(r"[%:\s\x00-\x1f\x7f-\x9f]")
    return "".join("".join(f"%{b:02X}" for b in c.encode()) if bad.match(c) else c for c in name)


def plain(part: str) -> str:
    """The name again."""
    pieces = re.split("%([0-9A-F]{2})", part)
    return b"".join(bytes.fromhex(p) if i % 2 else p.encode() for i, p in enumerate(pieces)).decode()
