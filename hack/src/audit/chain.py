"""The ledger: its chain of hashes, and that no account ever passed its limits."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from audit import inclusion
from audit.package import Finding, Package, Record, canonical, sha256

FILE = "ledger.jsonl"
MOVES = ("post", "post-hold")


@dataclass
class Sums:
    """An account while the ledger is read again. Units: micro-yuan."""

    least: int | None = None
    most: int | None = None
    balance: int = 0
    held_out: int = 0
    held_in: int = 0


@dataclass
class Replay:
    """What the entries come to."""

    accounts: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    holds: dict[str, Record] = field(default_factory=dict)
    transfers: dict[str, Record] = field(default_factory=dict)


def check(package: Package) -> Iterator[Finding]:
    """The entries are those of the ledger whose root the manifest has."""
    yield from _whole(package) if package.party is None else _part(package)


def _whole(package: Package) -> Iterator[Finding]:
    """Every entry follows from the one before, and the last one is the root."""
    seen = inclusion.Growing()
    previous, count = "0" * 64, 0
    for number, entry in enumerate(package.each(FILE), 1):
        if entry["sequence"] != number or entry["previous"] != previous:
            yield Finding(FILE, f"line {number}", f"sequence {entry['sequence']} does not follow the entry before it")
        previous, count = sha256(canonical(entry)), number
        seen.add(previous)
    manifest = package.manifest
    if (count, previous) != (manifest["entries"], manifest["root_hash"]):
        yield Finding(FILE, f"line {count}", f"the chain ends in {previous}, the manifest says {manifest['root_hash']}")
    if (tree := seen.root()) != manifest["tree_hash"]:
        yield Finding(FILE, "", f"its tree of hashes is {tree}, the manifest says {manifest['tree_hash']}")


def _part(package: Package) -> Iterator[Finding]:
    """Every entry is in the tree, and so is the last one of the chain."""
    manifest, last = package.manifest, 0
    leaves = {}
    for number, entry in enumerate(package.each(FILE), 1):
        if not last < entry["sequence"] <= manifest["entries"]:
            yield Finding(FILE, f"line {number}", f"sequence {entry['sequence']} is not between {last} and the end")
        last = entry["sequence"]
        leaves[last - 1] = sha256(canonical(entry))
    end = manifest["entries"] - 1
    if leaves.setdefault(end, manifest["root_hash"]) != manifest["root_hash"]:
        yield Finding(FILE, "", f"the last entry is not the one of root {manifest['root_hash']}")
    try:
        tree = inclusion.root(manifest["entries"], leaves, [each["hash"] for each in package.of("proof.jsonl")])
    except ValueError as error:
        yield Finding("proof.jsonl", "", f"it does not fit the entries: {error}")
        return
    if tree != manifest["tree_hash"]:
        yield Finding(
            FILE,
            "",
            f"its entries are not in the ledger: they come to tree {tree}, the manifest says {manifest['tree_hash']}",
        )


def replay(package: Package) -> tuple[Replay, list[Finding]]:
    """All entries read again, and those transfers that were not allowed."""
    found, findings = Replay(), list[Finding]()
    for number, entry in enumerate(package.each(FILE), 1):
        findings += _taken(found, number, entry)
    return found, findings


def _taken(found: Replay, number: int, entry: Record) -> Iterator[Finding]:
    """Take an entry, and say what of it was not allowed."""
    if entry.get("id", "") in found.transfers:
        yield Finding(FILE, f"line {number}", f"transfer {entry['id']} is there twice")
    held = found.holds.get(entry.get("hold", ""))
    if entry["kind"] == "post-hold" and (
        held is None or int(entry["amount_micro_yuan"]) > int(held["amount_micro_yuan"])
    ):
        yield Finding(FILE, f"line {number}", f"transfer {entry['id']} posts more than was held")
    _take(found, entry)
    if entry["kind"] not in ("post", "hold"):
        return
    out, into = found.accounts[entry["debit"]], found.accounts[entry["credit"]]
    if out.least is not None and out.balance - out.held_out < out.least:
        over = out.least - (out.balance - out.held_out)
        yield Finding(FILE, f"line {number}", f"{entry['debit']} falls {over} micro-yuan below its limit", over)
    if into.most is not None and into.balance + into.held_in > into.most:
        over = into.balance + into.held_in - into.most
        yield Finding(FILE, f"line {number}", f"{entry['credit']} rises {over} micro-yuan above its limit", over)


def _take(found: Replay, entry: Record) -> None:
    kind = entry["kind"]
    if kind == "account":
        account = found.accounts[entry["name"]]
        low, high = entry["min_micro_yuan"], entry["max_micro_yuan"]
        account.least, account.most = None if low is None else int(low), None if high is None else int(high)
        return
    found.transfers[entry["id"]] = entry
    amount = int(entry["amount_micro_yuan"])
    out, into = found.accounts[entry["debit"]], found.accounts[entry["credit"]]
    if kind == "hold":
        found.holds[entry["id"]] = entry
        out.held_out += amount
        into.held_in += amount
    elif kind != "post" and (held := found.holds.pop(entry["hold"], None)) is not None:
        out.held_out -= int(held["amount_micro_yuan"])
        into.held_in -= int(held["amount_micro_yuan"])
    if kind in MOVES:
        out.balance -= amount
        into.balance += amount
