"""What came of the jobs: pure computations over what the hub says, what the members' pods say, and what was meant to be."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from demo.cases import Case, End
from demo.country import Country
from demo.pods import PodRun, by_job
from harness import Amount
from suanli.api.job import ComputeJobSpec

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One thing that had to come true."""

    name: str
    true: bool
    text: str


@dataclass(frozen=True)
class Report:
    """The figures of a run."""

    jobs_by_site_and_tier: Mapping[tuple[str, str], int]
    violations: Sequence[str]
    east_card_ms: int
    east_in_west_card_ms: int
    metered: Amount
    pods: Amount
    waits: Mapping[str, str]
    checks: Sequence[Check]

    @property
    def ok(self) -> bool:
        """Whether all came true."""
        return all(check.true for check in self.checks)

    @property
    def east_to_west(self) -> Fraction:
        """Card-hours of eastern origin that ran in the west, of all card-hours of eastern origin."""
        return Fraction(self.east_in_west_card_ms, self.east_card_ms) if self.east_card_ms else Fraction(0)


@dataclass(frozen=True)
class Seen:
    """Everything that was looked at when the last job had ended.

    `jobs` are the hub's objects by name, the last that was seen of those that are gone; `ledger` is what the operator's ledger
    holds of jobs whose object is gone, by UID; `left` names what still runs on a member; `stories` are the words of
    `suanli explain`, by the job's name.
    """

    jobs: Mapping[str, Raw]
    gone: frozenset[str]
    runs: Sequence[PodRun]
    ledger: Mapping[str, Amount]
    left: Sequence[str]
    stories: Mapping[str, str] = field(default_factory=dict)


def compute(cases: Sequence[Case], seen: Seen, country: Country, more: Sequence[Check] = ()) -> Report:
    """The report; `more` are checks beside its own."""
    said = by_job(seen.runs)
    metered = {name: _metered(name, job, seen) for name, job in seen.jobs.items()}
    placed = {name: spec for name, job in seen.jobs.items() if (spec := _spec(job)) and site_of(job)}
    violations = [
        f"{name} at {site_of(seen.jobs[name])}"
        for name, spec in placed.items()
        if not _allowed(seen.jobs[name], spec, country)
    ]
    of_east = [r for r in seen.runs if _origin_side(r, seen, country) == "East"]
    differences = [
        f"{name}: metered {metered[name]}, pods {said.get(_uid(job), Amount())}"
        for name, job in seen.jobs.items()
        if metered[name] != said.get(_uid(job), Amount())
    ]
    unknown = set(said) - {_uid(job) for job in seen.jobs.values()}
    differences += [f"pods of an unknown job {uid}: {said[uid]}" for uid in sorted(unknown)]
    return Report(
        Counter((site_of(seen.jobs[name]), country.tier(spec)) for name, spec in placed.items()),
        violations,
        sum(r.amount.card_ms for r in of_east),
        sum(r.amount.card_ms for r in of_east if country.site_side(r.site) == "West"),
        sum(metered.values(), Amount()),
        sum((r.amount for r in seen.runs), Amount()),
        {c.name: _explained(seen.jobs[c.name]) for c in cases if c.end is End.WAITS and c.name in seen.jobs},
        [
            *(_ended_as_meant(end, cases, seen) for end in End),
            Check("tier and policy violations", not violations, few(violations) or "0"),
            Check("metered equals the members' pods", not differences, few(differences) or "difference 0"),
            Check("nothing is left running", not seen.left, few(seen.left) or "0 pods"),
            *_told_stories(seen),
            *more,
        ],
    )


def state_of(job: Raw) -> str:
    """The one word for people."""
    return str(job.get("status", {}).get("state") or "New")


def site_of(job: Raw) -> str:
    """Where it runs or ran; empty if nowhere."""
    return str(job.get("status", {}).get("assignment", {}).get("site", ""))


def why(job: Raw) -> str:
    """Why it is as it is, from the condition that says most."""
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions", [])}
    for type_, wanted in (
        ("Finished", "True"),
        ("Accepted", "False"),
        ("Placed", "False"),
        ("Running", "True"),
        ("Placed", "True"),
    ):
        found = conditions.get(type_)
        if found and found["status"] == wanted:
            return str(found.get("message") or found["reason"])
    return ""


def _explained(job: Raw) -> str:
    """The sentence, and every reason with how many sites fell to it and one of them in numbers."""
    rejections = job.get("status", {}).get("placement", {}).get("rejections", [])
    return "\n".join([why(job), *(f"  {r['count']} × {r['reason']}: {r['example']}" for r in rejections)])


def settled(case: Case, job: Raw | None, gone: bool) -> bool:
    """Whether the job has come to the end that was meant, or to another one for good."""
    if job is None:
        return False
    if case.end is End.DELETED:
        return gone
    if case.end is End.WAITS and state_of(job) in ("Waiting", "Invalid"):
        return bool(why(job))
    return any(c["type"] == "Finished" and c["status"] == "True" for c in job.get("status", {}).get("conditions", []))


def _told_stories(seen: Seen) -> Iterator[Check]:
    """Whether `suanli explain` says first where a job is, or for which reason it is nowhere, as its status does."""
    wrong = []
    for name, text in seen.stories.items():
        job, first = seen.jobs[name], text.partition("\n")[0]
        wanted = f"has its place: {site_of(job)} (" if site_of(job) else str(job["status"]["reason"])
        if wanted not in first:
            wrong.append(f"{name}: {first}")
    if seen.stories:
        yield Check("suanli explain says what the status says", not wrong, few(wrong) or f"{len(seen.stories)} jobs")


def _ended_as_meant(end: End, cases: Sequence[Case], seen: Seen) -> Check:
    """All jobs that were meant to end so did."""
    meant = [case for case in cases if case.end is end]
    wrong = []
    for case in meant:
        job = seen.jobs.get(case.name)
        if job is None or not _is(end, case.name, job, seen):
            wrong.append(f"{case.name} is {state_of(job) if job else 'not there'}: {why(job) if job else 'never seen'}")
    texts = {
        End.SUCCEEDS: "jobs of the trace succeeded",
        End.FAILS: "told to fail, failed, and is metered",
        End.DELETED: "deleted while it ran, stopped, and is metered",
        End.WAITS: "impossible, each waits and says why in numbers",
    }
    return Check(
        texts[end], not wrong, f"{len(meant) - len(wrong)} of {len(meant)}" + (f"; {few(wrong)}" if wrong else "")
    )


def _is(end: End, name: str, job: Raw, seen: Seen) -> bool:
    ran = _metered(name, job, seen).run_ms > 0
    match end:
        case End.SUCCEEDS:
            return state_of(job) == "Succeeded"
        case End.FAILS:
            return state_of(job) == "Failed" and ran
        case End.DELETED:
            return name in seen.gone and ran
        case End.WAITS:
            return (
                state_of(job) in ("Waiting", "Invalid") and not site_of(job) and bool(re.search(r"\d", _explained(job)))
            )


def _metered(name: str, job: Raw, seen: Seen) -> Amount:
    """What suanli says it used: its status, or the ledger when the object is gone."""
    if name in seen.gone:
        return seen.ledger.get(_uid(job), Amount())
    usage = job.get("status", {}).get("usage", {})
    return Amount(*(int(usage.get(key, "0")) for key in ("runMs", "cpuMilliMs", "memoryByteMs", "cardMs")))


def _allowed(job: Raw, spec: ComputeJobSpec, country: Country) -> bool:
    return country.permits(spec, site_of(job))


def _origin_side(run: PodRun, seen: Seen, country: Country) -> str:
    origins = {_uid(job): job["spec"]["origin"] for job in seen.jobs.values()}
    return country.side(origins.get(run.job_uid, ""))


def _spec(job: Raw) -> ComputeJobSpec:
    return ComputeJobSpec.model_validate(job["spec"])


def _uid(job: Raw) -> str:
    return str(job["metadata"]["uid"])


def few(texts: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
