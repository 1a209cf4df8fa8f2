"""What the API servers' own histories say about a run: whether anything was doubled, lost, left over or miscounted.

Nothing here asks the operator. Moments are seconds of the loop, which no clock that was set wrong can change.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from apistore import Json
from memoryhub import FENCE, MemoryServer, Request
from standing import Hindrance, Money, Need, Standing, Stretch
from suanli.api.account import ComputeAccountSpec
from suanli.api.job import ComputeJobSpec
from suanli.base.clock import time_or_zero
from suanli.base.conditions import readable
from suanli.base.names import LABEL_EPOCH, LABEL_HUB, LABEL_JOB_UID
from suanli.base.reasons import Reason
from suanli.base.units import cpu_milli, whole
from suanli.base.untrusted import items, mapping

KNOWN_S = 12.0  # after which an edit is known, but where its events are lost
LATE_S = 15.0  # between what an operator saw and what it made of it
JOBS, PODS = "jobs", "pods"


@dataclass
class Container:
    """One container as its pod's history tells it. Units: seconds of the loop, milliseconds of the member's clock."""

    site: str
    pod_uid: str
    job_uid: str
    epoch: int
    owner: str
    cpu_milli: int
    begin_s: float
    start_ms: int
    end_s: float | None = None
    end_ms: int = 0
    succeeded: bool = False
    stopped: bool = False  # it was told to end before it ended


@dataclass(frozen=True)
class Seen:
    """One change of one object: when, and the object before and after."""

    moment_s: float
    version: int
    before: Json | None
    after: Json | None

    @property
    def uid(self) -> str:
        """Whose."""
        return str((self.after or self.before or {})["metadata"]["uid"])


@dataclass
class Evidence:
    """The histories of a hub and its members, and when the run was told to be quiet."""

    hub: MemoryServer
    members: Mapping[str, MemoryServer]
    calm_s: float  # when the last fault ended
    compared_s: float  # when at the latest hub and members were compared since
    settled_s: float  # when everything had ended and nothing was left
    quiet_s: float  # from when on nothing had to be written
    ledger: Mapping[str, tuple[int, int]]  # by job, pods and their millicores times milliseconds
    most_standing_s: float  # of a job that nothing keeps from running
    most_settling_s: float  # once every job has ended
    known_s: float = KNOWN_S  # after which an edit on the hub is known
    carried: Mapping[tuple[str, int, str], int] = field(
        default_factory=dict
    )  # by job, epoch and direction, bytes over the one link
    let_go: list[str] = field(default_factory=list)
    money: Sequence[Money] = ()  # what the ledger said of the jobs' account, where it has a limit
    task_micro_yuan: int = 0
    hindrances: list[Hindrance] = field(default_factory=list)  # what of the faults lasts beyond their end

    def changes(self, server: MemoryServer, resource: str) -> list[Seen]:
        """All changes of one resource."""
        return [
            Seen(moment, c.version, c.before, c.after)
            for moment, c in zip(server.moments_s, server.store.history, strict=True)
            if c.resource == resource
        ]

    @cached_property
    def jobs(self) -> dict[str, list[Seen]]:
        """The history of each ComputeJob, by UID."""
        found: dict[str, list[Seen]] = defaultdict(list)
        for seen in self.changes(self.hub, "computejobs"):
            found[seen.uid].append(seen)
        return found

    @cached_property
    def containers(self) -> list[Container]:
        """All that ever ran, in the order of their start."""
        found: dict[str, Container] = {}
        for site, server in self.members.items():
            for seen in self.changes(server, PODS):
                self._look_at_pod(found, site, seen)
        return sorted(found.values(), key=lambda c: (c.begin_s, c.pod_uid))

    def _look_at_pod(self, found: dict[str, Container], site: str, seen: Seen) -> None:
        known = found.get(seen.uid)
        if seen.after is None:
            if known is not None and known.end_s is None:
                known.end_s = seen.moment_s
                self.let_go.append(f"pod {known.pod_uid} of job {known.job_uid} was let go while it ran")
            return
        statuses = (seen.after.get("status") or {}).get("containerStatuses") or [{}]
        state = statuses[0].get("state") or {}
        if known is None and (told := state.get("running") or state.get("terminated")):
            metadata = seen.after["metadata"]
            labels = metadata["labels"]
            request = seen.after["spec"]["containers"][0]["resources"]["requests"]["cpu"]
            known = found[seen.uid] = Container(
                site,
                seen.uid,
                labels[LABEL_JOB_UID],
                int(labels[LABEL_EPOCH]),
                metadata["ownerReferences"][0]["uid"],
                cpu_milli(request),
                seen.moment_s,
                time_or_zero(told["startedAt"]),
            )
        if known is not None and known.end_s is None and (told := state.get("terminated")):
            known.end_s, known.end_ms = seen.moment_s, time_or_zero(told["finishedAt"])
            known.succeeded = told["exitCode"] == 0
            known.stopped = "deletionTimestamp" in seen.after["metadata"]

    @cached_property
    def ours(self) -> dict[str, frozenset[int]]:
        """By server, the versions that the operator made."""
        servers = {"hub": self.hub, **self.members}
        return {name: frozenset(v for r in s.requests for v in r.versions) for name, s in servers.items()}

    def was_ever(self, uid: str, true: Callable[[Json], object]) -> bool:
        """Whether a ComputeJob was ever so."""
        return any(seen.after is not None and true(seen.after) for seen in self.jobs.get(uid, ()))

    def is_damaged(self, uid: str) -> bool:
        """Whether somebody else ever wrote into the job's status."""
        return any(
            seen.before is not None
            and seen.after is not None
            and seen.version not in self.ours["hub"]
            and seen.before.get("status") != seen.after.get("status")
            for seen in self.jobs.get(uid, ())
        )

    def is_plain(self, uid: str) -> bool:
        """Whether nobody edited or deleted the job, damaged its status or removed its Job."""
        if self.was_ever(uid, lambda j: j["metadata"]["generation"] > 1) or self.is_damaged(uid):
            return False
        gone = any(seen.after is None for seen in self.jobs.get(uid, ()))
        return not gone and not any(job_uid == uid for _, job_uid, _, _ in self.removed_by_others)

    @cached_property
    def removed_by_others(self) -> list[tuple[str, str, int, float]]:
        """Site, job, epoch and moment of each member Job that somebody else deleted."""
        found = []
        for site, server in self.members.items():
            for seen in self.changes(server, JOBS):
                if seen.before is None or seen.version in self.ours[site] or _is_going(seen.before):
                    continue
                if seen.after is None or _is_going(seen.after):
                    labels = seen.before["metadata"]["labels"]
                    found.append((site, labels[LABEL_JOB_UID], int(labels[LABEL_EPOCH]), seen.moment_s))
        return found

    @cached_property
    def looked_s(self) -> dict[tuple[str, int], float]:
        """By job and epoch, when the pods of an attempt were read last before its Job, not complete, was told to go.

        Nobody could know of a later end.
        """
        found: dict[tuple[str, int], float] = {}
        for server in self.members.values():
            read_s: dict[str, float] = {}
            jobs = {seen.version: seen.before for seen in self.changes(server, JOBS)}
            for request in server.requests:
                if request.verb == "GET" and request.path.endswith("/pods"):
                    read_s[request.who] = request.acted_s
                stopped = [jobs.get(version) for version in request.versions] if request.verb == "DELETE" else []
                for before in stopped:
                    if before is not None and not _is_going(before) and not _is_complete(before):
                        labels = before["metadata"]["labels"]
                        uid, epoch = labels[LABEL_JOB_UID], int(labels[LABEL_EPOCH])
                        looked_s = read_s.get(request.who, -math.inf)
                        found.setdefault((uid, epoch), looked_s if request.sent_s - looked_s < LATE_S else math.inf)
        return found

    def is_known_done(self, container: Container) -> bool:
        """Whether it succeeded, and did so before it was decided to stop it."""
        looked_s = self.looked_s.get((container.job_uid, container.epoch), math.inf)
        return (
            container.succeeded
            and not container.stopped
            and container.end_s is not None
            and container.end_s <= looked_s
        )

    def given_up_s(self, uid: str) -> dict[int, float]:
        """By epoch, when the hub said that it gave up an attempt at a silent site."""
        found: dict[int, float] = {}
        for seen in self.jobs.get(uid, ()):
            for attempt in items(mapping((seen.after or {}).get("status")).get("lost")):
                found.setdefault(attempt["epoch"], seen.moment_s)
        return found

    @cached_property
    def standing(self) -> list[Stretch]:
        """Which jobs stood still after the last fault, and when. Sites and quotas have room for all by then."""
        needs = {uid: _needs(history) for uid, history in self.jobs.items()}
        for uid, of in needs.items():
            if self.jobs[uid][-1].after is None and of[-1].site:
                left_s = max(self.compared_s, self._left_s.get(uid, 0.0))  # who lists anew is not told what went before
                believed_s = [h.to_s for h in self.hindrances if h.site == of[-1].site and h.from_s <= left_s]
                of.append(Need(max([left_s, *believed_s]), 0, ""))
        runs = defaultdict(list)
        for c in self.containers:
            runs[c.job_uid].append((c.begin_s, math.inf if c.end_s is None else c.end_s))
        return list(
            Standing(needs, runs, self.hindrances, self.leads_s, self.money, self.task_micro_yuan).stretches(
                self.calm_s, self.settled_s
            )
        )

    @cached_property
    def _left_s(self) -> dict[str, float]:
        """By job, when its last Job on a member went."""
        found = dict[str, float]()
        for server in self.members.values():
            for seen in self.changes(server, JOBS):
                if seen.after is None and seen.before is not None:
                    uid = seen.before["metadata"]["labels"][LABEL_JOB_UID]
                    found[uid] = max(found.get(uid, 0.0), seen.moment_s)
        return found

    @cached_property
    def leads_s(self) -> list[float]:
        """When another leader began."""
        seen = self.changes(self.hub, "leases")
        return [
            s.moment_s for s in seen if _holder(s.after) not in ("", _holder(s.before)) and s.moment_s <= self.settled_s
        ]

    @cached_property
    def ended_s(self) -> float:
        """When the last job ended, or the last fault."""
        ends = [
            seen.moment_s
            for history in self.jobs.values()
            for seen in history
            if _tasks_to_do(seen.before) and not _tasks_to_do(seen.after)
        ]
        return min(max([self.calm_s, *ends]), self.settled_s)

    def at_the_end(self) -> Iterator[Json]:
        """The ComputeJobs that the hub holds now."""
        for seen in self.jobs.values():
            if seen[-1].after is not None:
                yield seen[-1].after


def copies_at_once(evidence: Evidence) -> list[str]:
    """F1: containers of two copies of a job at the same time, unless the job may run at least once and the older was given up."""
    found, by_job = [], defaultdict(list)
    for container in evidence.containers:
        by_job[container.job_uid].append(container)
    for uid, ran in by_job.items():
        allowed = evidence.was_ever(uid, lambda j: mapping(j.get("spec")).get("failover") == "AtLeastOnce")
        given_up_s = evidence.given_up_s(uid)
        for one, other in ((a, b) for a in ran for b in ran if a.owner != b.owner and a.begin_s <= b.begin_s):
            if one.end_s is not None and one.end_s <= other.begin_s:
                continue
            older = min(one.epoch, other.epoch)
            if allowed and one.epoch != other.epoch and given_up_s.get(older, other.begin_s + 1) <= other.begin_s:
                continue
            found.append(
                f"job {uid} runs as epoch {one.epoch} at {one.site} and as epoch {other.epoch} at {other.site}"
                f" at {other.begin_s:.2f} s"
            )
    return found


def made_without_a_word(evidence: Evidence) -> list[str]:
    """Decision 3: an attempt's Job stands on a member only after the hub has put that very epoch there."""
    words = {
        (uid, str(word.get("site")), word.get("epoch")): seen.moment_s
        for uid, history in evidence.jobs.items()
        for seen in reversed(history)
        if (word := _assignment(seen.after))
    }
    found = []
    for site, server in evidence.members.items():
        for seen in evidence.changes(server, JOBS):
            if seen.before is not None or seen.after is None:
                continue
            labels = seen.after["metadata"]["labels"]
            key = (labels[LABEL_JOB_UID], site, int(labels[LABEL_EPOCH]))
            if words.get(key, seen.moment_s + 1) > seen.moment_s:
                found.append(f"job {key[0]} was created at {site} as epoch {key[2]} without the hub's word")
    return found


def epochs_twice(evidence: Evidence) -> list[str]:
    """An epoch is one site, whatever happens to the status."""
    found = []
    for uid, history in evidence.jobs.items():
        sites: dict[int, str] = {}
        for seen in history:
            word = _assignment(seen.after)
            if word and sites.setdefault(word["epoch"], word["site"]) != word["site"]:
                found.append(f"job {uid}: epoch {word['epoch']} is at {sites[word['epoch']]} and at {word['site']}")
    return found


def lost(evidence: Evidence) -> list[str]:
    """Every job ends, and what is said to have succeeded has."""
    found = []
    for job in evidence.at_the_end():
        uid, status = job["metadata"]["uid"], job.get("status") or {}
        state, word = status.get("state"), _assignment(job)
        if not _finished(job):
            found.append(f"job {uid} never ended: {state} {status.get('reason')} {status.get('assignment')}")
        elif state == "Succeeded" and word:
            succeeded = [c for c in _attempt(evidence, uid, word["epoch"]) if c.succeeded]
            if len(succeeded) < job["spec"].get("tasks", 1):
                found.append(f"job {uid} is said to have succeeded, but {len(succeeded)} of its tasks did")
    return found


def doubled(evidence: Evidence) -> list[str]:
    """Nobody's work is done twice, unless somebody interfered, it may run at least once and was given up, or it ended as it was stopped."""
    found = []
    for uid in evidence.jobs:
        if not evidence.is_plain(uid):
            continue
        tasks = max(seen.after["spec"].get("tasks", 1) for seen in evidence.jobs[uid] if seen.after is not None)
        allowed = evidence.was_ever(uid, lambda j: mapping(j.get("spec")).get("failover") == "AtLeastOnce")
        given_up = evidence.given_up_s(uid) if allowed else {}
        epochs = {c.epoch for c in evidence.containers if c.job_uid == uid} - given_up.keys()
        whole = [epoch for epoch in epochs if sum(map(evidence.is_known_done, _attempt(evidence, uid, epoch))) >= tasks]
        if len(whole) > 1:
            found.append(f"job {uid} was done as epochs {sorted(whole)}")
    return found


def stopped_without_cause(evidence: Evidence) -> list[str]:
    """F4: an attempt that runs is stopped only when the hub says why, and what it says is true."""
    found = []
    removed = {(site, uid, epoch) for site, uid, epoch, _ in evidence.removed_by_others}
    for uid, history in evidence.jobs.items():
        for seen in history:
            word = _assignment(seen.before)
            said = _dispatched(seen.after)
            new = seen.version in evidence.ours["hub"] and said != _dispatched(seen.before)
            untrue = said == ("False", Reason.DELETED_ON_MEMBER) and not evidence.is_damaged(uid)
            if word and new and untrue and (word["site"], uid, word["epoch"]) not in removed:
                found.append(f"job {uid}: the hub says that epoch {word['epoch']} was removed, and nobody did")
    for site, server in evidence.members.items():
        stopped = {v: r for r in server.requests if r.verb == "DELETE" and "/jobs/" in r.path for v in r.versions}
        for seen in evidence.changes(server, JOBS):
            request = stopped.get(seen.version)
            if request is not None and seen.before is not None and not _is_going(seen.before):
                labels = seen.before["metadata"]["labels"]
                uid, epoch = labels[LABEL_JOB_UID], int(labels[LABEL_EPOCH])
                if not _may_stop(evidence, uid, site, epoch, request):
                    found.append(f"job {uid}: epoch {epoch} was stopped at {site} while the hub wanted it there")
    return found


def _may_stop(evidence: Evidence, uid: str, site: str, epoch: int, request: Request) -> bool:
    """Whether the hub, at some moment from which the request can come, did not want that attempt."""
    history = evidence.jobs.get(uid, [])
    for seen, following in pairwise([*history, None]):
        assert seen is not None, "only the last one is nothing"
        over = following is None or following.moment_s >= request.sent_s - LATE_S
        if seen.moment_s > request.acted_s or not over:
            continue
        word, said = _assignment(seen.after), _dispatched(seen.after)
        wanted = seen.after is not None and word is not None and (word["site"], word["epoch"]) == (site, epoch)
        later = word is not None and word["epoch"] < epoch
        if not later and (not wanted or _finished(seen.after or {}) or (said is not None and said[0] == "False")):
            return True
    return not history


def orphans(evidence: Evidence) -> list[str]:
    """Nothing of ours is left on a member."""
    return [
        f"{item['kind']} {item['metadata']['name']} is left at {site}"
        for site, server in evidence.members.items()
        for path in ("/apis/batch/v1/jobs", "/api/v1/pods")
        for item in server.items(path)
        if LABEL_HUB in (item["metadata"].get("labels") or {})
    ]


def miscounted(evidence: Evidence) -> list[str]:
    """What is in the ledger is what containers ran, and what is on the jobs too, without the attempts that were given up."""
    ran: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    kept: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for c in evidence.containers:
        for sums in (ran, kept) if c.epoch not in evidence.given_up_s(c.job_uid) else (ran,):
            pods, cpu = sums[c.job_uid]
            sums[c.job_uid] = (pods + 1, cpu + c.cpu_milli * (c.end_ms - c.start_ms))
    found = [
        f"job {uid}: the ledger has {evidence.ledger.get(uid, (0, 0))}, the member {used}"
        for uid, used in ran.items()
        if evidence.ledger.get(uid, (0, 0)) != used
    ]
    for job in evidence.at_the_end():
        uid, told = job["metadata"]["uid"], (job.get("status") or {}).get("usage") or {}
        shown = (told.get("pods", 0), int(told.get("cpuMilliMs", 0)))
        if shown != kept[uid]:
            found.append(f"job {uid}: its status says {shown}, the member {kept[uid]}")
    return found


def miscarried(evidence: Evidence) -> list[str]:
    """Inputs of every attempt that ran, and outputs of every one that succeeded, are on record as its job declares them; no others are."""
    found = []
    for uid, history in evidence.jobs.items():
        data = next((seen.after["spec"].get("data") for seen in history if seen.after is not None), None)
        if not data or evidence.is_damaged(uid):
            continue
        sizes = {"in": sum(whole(each["size"]) for each in data["inputs"]), "out": whole(data["outputs"]["size"])}
        ran = {c.epoch for c in evidence.containers if c.job_uid == uid}
        done = {epoch for epoch in ran if any(c.succeeded for c in _attempt(evidence, uid, epoch))}
        words = [
            (mapping(seen.after.get("status")).get("state"), _assignment(seen.after)) for seen in history if seen.after
        ]
        said = {word["epoch"] for state, word in words if state == "Succeeded" and word}
        must, may = {"in": ran, "out": said}, {"in": ran | said, "out": done | said}
        kept = {(epoch, way): size for (job, epoch, way), size in evidence.carried.items() if job == uid}
        due = {(epoch, way) for way, epochs in must.items() for epoch in epochs}
        for epoch, way in sorted({*kept, *due}):
            size = kept.get((epoch, way))
            if size != sizes[way] or epoch not in may[way]:
                found.append(f"job {uid}, epoch {epoch}: {size} bytes went {way}, {sizes[way]} are declared")
    return found


def quota_exceeded(evidence: Evidence) -> list[str]:
    """P1: no attempt is put on record beyond a quota of its account, its parent's or the siblings' together.

    A quota that was lowered may be unknown for `known_s`. Jobs whose status somebody damaged, or that cannot be read, count as holding
    nothing.
    """
    limits, found = _Limits(evidence), []
    held: dict[str, tuple[str, str, int]] = {}  # by UID: account, class, thousandths
    for seen in evidence.changes(evidence.hub, "computejobs") if limits.are_known else []:
        word, epoch = _assignment(seen.after), (_assignment(seen.before) or {}).get("epoch")
        held.pop(seen.uid, None)
        if word is None or seen.after is None or _finished(seen.after) or evidence.is_damaged(seen.uid):
            continue
        milli, class_ = _asked_milli(seen.after), str(word.get("class"))
        account = limits.account(seen.after["metadata"]["namespace"])
        held[seen.uid] = account, class_, milli
        if word["epoch"] == epoch or seen.version not in evidence.ours["hub"]:
            continue
        for whose, names, most in limits.of(account, class_, seen.moment_s):
            sum_milli = sum(m for name, other, m in held.values() if name in names and other == class_)
            if sum_milli > most:
                found.append(
                    f"job {seen.uid}: epoch {word['epoch']} asks for {milli} thousandths, was put on record at"
                    f" {seen.moment_s:.2f} s, and {whose} held {sum_milli} then, of {most}"
                )
    return found


def _asked_milli(job: Json) -> int:
    """The cores that a job asks for; none of one that cannot be read, or that asks for cards. Units: thousandths."""
    try:
        spec = ComputeJobSpec.model_validate(job.get("spec"))
        per_task = spec.resources.per_task
        return 0 if per_task.cards else spec.tasks * cpu_milli(per_task.cpu)
    except ValueError:
        return 0


class _Limits:
    """What quotas of classes allowed at any moment, by the hub's history of accounts."""

    def __init__(self, evidence: Evidence) -> None:
        self._known_s = evidence.known_s
        self._histories: dict[str, list[tuple[float, ComputeAccountSpec | None]]] = defaultdict(list)
        for seen in evidence.changes(evidence.hub, "computeaccounts"):
            name = (seen.after or seen.before or {})["metadata"]["name"]
            self._histories[name].append((seen.moment_s, _account(seen.after)))
        specs = {name: [spec for _, spec in history if spec] for name, history in self._histories.items()}
        self._owners = {space: name for name, seen in specs.items() for spec in seen for space in spec.namespaces}
        self._parents = {name: seen[-1].parent for name, seen in specs.items() if seen and seen[-1].parent}
        # Who takes namespaces or parents away, or makes accounts unreadable, is looked at elsewhere.
        self.are_known = bool(specs) and all(
            len(seen) == len(self._histories[name]) and len({(s.parent, *s.namespaces) for s in seen}) == 1
            for name, seen in specs.items()
        )

    def account(self, namespace: str) -> str:
        """Whose the namespace is."""
        return self._owners.get(namespace, namespace)

    def of(self, account: str, class_: str, moment_s: float) -> Iterator[tuple[str, frozenset[str], float]]:
        """Of each limit, whose it is, which accounts it counts, and the most that it allowed of late. Units: thousandths."""
        parent = self._parents.get(account)
        yield f"account {account}", frozenset({account}), self._most(account, class_, moment_s, borrows=True)
        if parent is not None:
            siblings = frozenset(name for name, other in self._parents.items() if other == parent)
            together = sum(self._most(name, class_, moment_s) for name in siblings)
            yield f"accounts of {parent}", siblings, together
            yield f"account {parent}", siblings | {parent}, self._most(parent, class_, moment_s)

    def _most(self, account: str, class_: str, moment_s: float, *, borrows: bool = False) -> float:
        """The largest in force in the last `known_s`; without bound where there was no such quota."""
        most, ends_s = 0.0, math.inf
        for begins_s, spec in [*reversed(self._histories.get(account, [])), (-math.inf, None)]:
            if begins_s <= moment_s and ends_s >= moment_s - self._known_s:
                quota = next((q for q in spec.quotas if q.class_ == class_), None) if spec else None
                if quota is None:
                    return math.inf
                most = max(most, 1_000 * (quota.nominal + (quota.borrowing_limit or 0 if borrows else 0)))
            ends_s = begins_s
        return most


def _account(raw: Json | None) -> ComputeAccountSpec | None:
    try:
        return ComputeAccountSpec.model_validate(mapping(raw).get("spec"))
    except ValueError:
        return None


def let_go_early(evidence: Evidence) -> list[str]:
    """No pod is released while it runs."""
    return list(evidence.let_go) if evidence.containers else []


def wrote_when_idle(evidence: Evidence) -> list[str]:
    """F9: when nothing happens, nothing is written but the lease."""
    return [
        f"{request.who} wrote {request.verb} {request.path} at {request.acted_s:.1f} s, when nothing was to be done"
        for server in (evidence.hub, *evidence.members.values())
        for request in server.requests
        if request.verb != "GET" and request.acted_s >= evidence.quiet_s and "/leases" not in request.path
    ]


def wrote_without_lease(evidence: Evidence) -> list[str]:
    """F5: only who holds the lease sends writes."""
    holders = [(seen.moment_s, _holder(seen.after)) for seen in evidence.changes(evidence.hub, "leases")]
    found = []
    for name, server in {"hub": evidence.hub, **evidence.members}.items():
        for request in server.requests:
            if request.verb == "GET" or "/leases" in request.path or request.who == FENCE:
                continue
            holder = next((who for moment, who in reversed(holders) if moment <= request.sent_s), "")
            if holder.rpartition("_")[0] != request.who:
                found.append(f"{request.who} sent {request.verb} {request.path} to {name} while {holder!r} led")
    return found


def stood_still(evidence: Evidence) -> list[str]:
    """When the trouble is over no job stands still for long, but while others hold the money that it needs."""
    return [
        f"job {one.job} stood still for {one.lasts_s:.0f} s from {one.from_s:.1f} s on: it was to run, nothing of it ran, and"
        " nothing kept it from it"
        for one in evidence.standing
        if one.lasts_s > evidence.most_standing_s
    ]


def turned_in_circles(evidence: Evidence) -> list[str]:
    """When the trouble is over a job is tried as often as its user allows, once more where a fault ended an attempt, and no more."""
    found = []
    for uid, history in evidence.jobs.items():
        before, began = set[int](), set[int]()
        for seen in history:
            if word := _assignment(seen.after):
                (before if seen.moment_s <= evidence.calm_s else began).add(word["epoch"])
        last = next((seen.after for seen in reversed(history) if seen.after is not None), None)
        retries, tries = mapping(mapping((last or {}).get("spec")).get("limits")).get("retries", 0), len(began - before)
        if tries > retries + 2:
            found.append(f"job {uid} was tried {tries} times after the last fault, and {retries} retries are allowed")
    return found


def settled_late(evidence: Evidence) -> list[str]:
    """When the trouble is over and every job has ended, what is left of them goes soon."""
    lasts_s = [one.to_s for one in evidence.hindrances if one.from_s <= evidence.settled_s]
    took_s = evidence.settled_s - max([evidence.ended_s, *evidence.leads_s, *lasts_s])
    return [f"it took {took_s:.0f} s to settle after all had ended"] if took_s > evidence.most_settling_s else []


ORACLES: tuple[Callable[[Evidence], list[str]], ...] = (
    copies_at_once,
    made_without_a_word,
    epochs_twice,
    lost,
    doubled,
    stopped_without_cause,
    orphans,
    miscounted,
    miscarried,
    quota_exceeded,
    let_go_early,
    wrote_when_idle,
    wrote_without_lease,
    stood_still,
    turned_in_circles,
    settled_late,
)


def violations(evidence: Evidence, *, keeps_links: bool = True) -> list[str]:
    """Everything that is wrong, by all oracles; without `keeps_links` what goes over links may go another way than at first, or none."""
    oracles = [oracle for oracle in ORACLES if keeps_links or oracle is not miscarried]
    return [f"{oracle.__name__}: {said}" for oracle in oracles for said in oracle(evidence)]


def timeline(evidence: Evidence, uid: str) -> list[str]:
    """All that happened to a job, on the hub and on its members, in order."""
    lines = []
    for name, server in {"hub": evidence.hub, **evidence.members}.items():
        by = {v: f"{r.who} {r.verb}" for r in server.requests for v in r.versions}
        for moment_s, change in zip(server.moments_s, server.store.history, strict=True):
            raw = change.after or change.before or {}
            metadata = raw["metadata"]
            if uid not in (metadata["uid"], (metadata.get("labels") or {}).get(LABEL_JOB_UID)):
                continue
            status = raw.get("status") or {}
            word, said = _assignment(raw), _dispatched(raw)
            told = (
                "gone" if change.after is None else "deleting" if _is_going(raw) else "",
                str(mapping(raw.get("spec")).get("desiredState", ""))[:20],
                status.get("phase") or status.get("state") or "",
                f"{word['site']}/{word['epoch']}" if word else "",
                f"Dispatched={said[0]}/{said[1]}" if said else "",
                *(str(c["type"]) for c in readable(status.get("conditions")) if change.resource == JOBS),
                f"(by {by.get(change.version, 'others')})",
            )
            words = " ".join(filter(None, told))
            lines.append((moment_s, f"{moment_s:8.2f} s {name:5} {change.resource} {metadata['name']} {words}"))
    return [line for _, line in sorted(lines, key=lambda one: one[0])]


def _attempt(evidence: Evidence, uid: str, epoch: int) -> list[Container]:
    return [c for c in evidence.containers if (c.job_uid, c.epoch) == (uid, epoch)]


def _assignment(job: Json | None) -> Json | None:
    """The hub's word where an attempt is, if it is one."""
    status = (job or {}).get("status")
    word: Any = status.get("assignment") if isinstance(status, dict) else None
    good = isinstance(word, dict) and isinstance(word.get("epoch"), int) and isinstance(word.get("site"), str)
    return word if good else None


def _dispatched(job: Json | None) -> tuple[str, str] | None:
    conditions = readable(((job or {}).get("status") or {}).get("conditions"))
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "Dispatched"), None)


def _needs(history: Sequence[Seen]) -> list[Need]:
    """What a job needs from each change on; one that was deleted is at its site until its Job there has gone."""
    found, been = list[Need](), frozenset[str]()
    for seen in history:
        job = seen.after or seen.before
        word = None if job is None or _finished(job) else _assignment(job)
        found.append(Need(seen.moment_s, _tasks_to_do(seen.after), str(word["site"]) if word else "", been))
        been |= {found[-1].site} - {""}
    return found


def _holder(lease: Json | None) -> str:
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def _tasks_to_do(job: Json | None) -> int:
    """Of a job that is to run and has not ended."""
    spec = mapping((job or {}).get("spec"))
    if job is None or _finished(job) or spec.get("desiredState") == "Suspended":
        return 0
    tasks = spec.get("tasks", 1)
    return tasks if isinstance(tasks, int) else 1


def _finished(job: Json) -> bool:
    conditions = readable((job.get("status") or {}).get("conditions"))
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)


def _is_complete(job: Json) -> bool:
    conditions = items(mapping(job.get("status")).get("conditions"))
    return any(c.get("type") == "Complete" and c.get("status") == "True" for c in conditions)


def _is_going(raw: Json) -> bool:
    return bool(raw["metadata"].get("deletionTimestamp"))
