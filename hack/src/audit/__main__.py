"""`hack/audit FOLDER`: is every figure of this package right, and every byte as it was sealed?"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from audit import chain, gaps, posting, rating, statements, vouchers
from audit.events import Events
from audit.package import Finding, damage, read

WRONG, UNREADABLE = 1, 2
MOST_SHOWN = 50


def audit(folder: Path, root: str = "", tree: str = "") -> tuple[list[Finding], dict[str, int]]:
    """All that is wrong, and how much was looked at. Money is looked at only in what is undamaged."""
    findings = list(damage(folder))
    if findings:
        return findings, {}
    package = read(folder)
    for name, told in (("root_hash", root), ("tree_hash", tree)):
        if told and told != package.manifest[name]:
            findings.append(Finding("manifest.json", name, f"is {package.manifest[name]}, the Statement says {told}"))
    findings += chain.check(package)
    findings += gaps.check(package)
    lines = rating.lines(package, Events(package))
    findings += rating.check(package, lines)
    replay, forbidden = chain.replay(package)
    findings += forbidden
    findings += posting.check(package, lines, replay)
    if package.party is None or package.party[0] == "Consumer":  # a seller does not see what else its customers used
        findings += vouchers.check(package, lines, replay)
    findings += statements.check(package, lines, replay)
    for name in set(package.manifest["files"]) - package.counts.keys():
        package.of(name)
    counts = {name.partition(".")[0]: package.counts[name] for name in package.manifest["files"]}
    return findings, counts


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is right; 1: something is wrong; 2: the package cannot be read."""
    parser = argparse.ArgumentParser(prog="hack/audit", description=__doc__)
    parser.add_argument("folder", type=Path, help="evidence package, as `suanli statement --evidence` writes it")
    parser.add_argument("--root", default="", help="root hash that the Statement on the hub shows")
    parser.add_argument(
        "--tree", default="", help="tree hash that it shows; it binds one party's package to the ledger"
    )
    parser.add_argument("--output", choices=("text", "json"), default="text")
    asked = parser.parse_args(argv)
    try:
        findings, counts = audit(asked.folder, asked.root, asked.tree)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        print(f"{asked.folder}: it cannot be read as an evidence package: {error!r}", file=sys.stderr)
        return UNREADABLE
    difference = sum(finding.difference for finding in findings)
    if asked.output == "json":
        rows = [vars(finding) for finding in findings]
        print(
            json.dumps(
                {"difference_micro_yuan": str(difference), "counts": counts, "findings": rows}, ensure_ascii=False
            )
        )
    else:
        for finding in findings[:MOST_SHOWN]:
            print(finding)
        if len(findings) > MOST_SHOWN:
            print(f"and {len(findings) - MOST_SHOWN} more")
        looked = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(f"looked at {looked}" if looked else "the money was not looked at: mend the damage first")
        print(f"{len(findings)} findings, {difference} micro-yuan difference")
    return WRONG if findings else 0


if __name__ == "__main__":
    sys.exit(main())
