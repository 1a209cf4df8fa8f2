"""Gaps: pods that ran, nobody knows for how long. They are told on the statements, and nothing is billed for them."""

from collections import defaultdict
from collections.abc import Iterator

from audit.package import Finding, Package

FILE = "gaps.jsonl"


def check(package: Package) -> Iterator[Finding]:
    """Every gap is of the period and on its parties' statements, and no use of its pod is billed within it."""
    period = package.period
    told: dict[tuple[str, str], int] = defaultdict(int)
    begins: dict[str, int] = {}
    for number, gap in enumerate(package.of(FILE), 1):
        if not (gap["start_ms"] < period["end_ms"] and gap["end_ms"] > period["start_ms"]):
            yield Finding(FILE, f"line {number}", f"is not of {period['name']}")
        for party in (("Consumer", gap["account"]), ("Provider", gap["provider"])):
            told[party] += gap["pods"]
        if gap["pod_uid"]:
            begins[gap["pod_uid"]] = gap["start_ms"]
    for event in package.each("usage.jsonl") if begins else ():
        begin = begins.get(event["pod_uid"])
        if begin is not None and event["end_ms"] > begin:
            yield Finding(
                "usage.jsonl", f"event {event['id']}", "is of a time of which nobody knows whether the pod ran"
            )
    for statement in package.each("statement.json"):
        due = told.get((statement["role"], statement["party"]), 0)
        if statement["unknown_pods"] != due:
            place = f"{statement['role']} {statement['party']}"
            yield Finding("statement.json", place, f"unknown_pods is {statement['unknown_pods']} and not {due}")
