"""The mirror: what the hub holds, in memory. One writer: the event loop."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Set, ValuesView
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suanli.api import (
    PLACEMENT_KINDS,
    ComputeAccount,
    ComputeJob,
    ComputeLink,
    ComputeRegion,
    ComputeSite,
    HubPolicy,
    Resource,
    Tariff,
)
from suanli.api.common import Model
from suanli.api.job import Assignment, ComputeJobSpec, Data, Failover, JobResources, JobState, Latency, Limits, Timing
from suanli.api.kind import Metadata
from suanli.base.clock import time_or_zero
from suanli.base.conditions import readable
from suanli.base.names import GROUP, VERSION
from suanli.base.packed import packed, typical, unpacked
from suanli.base.reasons import Reason
from suanli.base.untrusted import items, mapping, text
from suanli.billing.facts import customers_of
from suanli.billing.quote import Quotes
from suanli.kube.client import Json
from suanli.placement.accounts import NOBODY, Accounts, Tenancy, asked_milli
from suanli.placement.snapshot import Country, Decision

MODELS: dict[str, type[Resource]] = {model.kind_info.kind: model for model in PLACEMENT_KINDS}
JOB, SITE = ComputeJob.kind_info.kind, ComputeSite.kind_info.kind
ACCOUNT, TARIFF = ComputeAccount.kind_info.kind, Tariff.kind_info.kind
NATIONAL = "national"
M = TypeVar("M", bound=Model)
MAX_OBJECT_BYTES = 256 << 10
MAX_COUNT = 1 << 31
MOST_AWAKE = 1_024  # jobs whose spec was read a moment ago
NO_SETBACKS: Mapping[str, int] = {}
MOST_PARTS, MOST_PART_BYTES = 4_096, 4_096  # of specs, that are kept for jobs to come
_ALIKE: dict[str, type[Model]] = {
    "latency": Latency, "resources": JobResources, "data": Data, "timing": Timing, "limits": Limits,
}  # fmt: skip
_NO_TEMPLATE = {"image": "none"}
_TYPICAL_STATUS = typical(
    {
        "conditions": [
            {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": 1,
                "lastTransitionTime": "2026-",
            }
            for type_, status, reason, message in (
                ("Accepted", "True", Reason.ACCEPTED, "the spec can be read and all it names is known"),
                ("QuotaReserved", "True", Reason.QUOTA_UNLIMITED, "no quota is set for the account"),
                ("Placed", "True", Reason.PLACED, ": CNY with policy weights, the cheapest of sites; next "),
                ("Dispatched", "True", Reason.DISPATCHED, "created at "),
                ("Running", "False", Reason.SUCCEEDED, "1 of 1 tasks started at "),
                ("Finished", "True", Reason.SUCCEEDED, "1 of 1 tasks succeeded at "),
                ("Finished", "False", Reason.NOT_FINISHED, ""),
            )
        ],
        "assignment": {"site": "", "epoch": 1, "class": "", "time": "2026-"},
        "epoch": 1,
        "placement": {
            "cost": dict.fromkeys(("run", "energy", "transfer", "carbon", "policy", "total"), "0"),
            "latency": "ms",
            "latencySource": "Measured",
            "runnersUp": [{"site": "", "class": "", "total": "0"}],
            "rejections": [],
            "boundGapPpm": 0,
        },
        "estimate": {"cost": "0", "start": "2026-"},
        "failover": Failover.AT_MOST_ONCE,
        "state": "Succeeded",
        "reason": Reason.RUNNING,
        "startedAt": "2026-",
        "finishedAt": "2026-",
        "usage": {
            **dict.fromkeys(("pods", "attempts"), 1),
            **dict.fromkeys(("runMs", "cardMs", "cpuMilliMs", "memoryByteMs"), "0"),
            **dict.fromkeys(("coreHours", "cardHours"), "0.000000"),
        },
    }
)
_TYPICAL_JOB = typical(
    {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": JOB,
        "metadata": {
            "name": "",
            "namespace": "",
            "uid": "",
            "generation": 1,
            "labels": {},
            "creationTimestamp": "2026-",
        },
        "spec": {
            "category": "ModelTraining",
            "tasks": 1,
            "origin": "",
            "resources": {"class": [""], "perTask": {"cpu": "1", "memory": "1Gi", "cards": 1}},
            "template": {"image": "", "command": [""], "args": [""], "env": [{"name": "", "value": ""}]},
            "timing": {"expectedDuration": "1h"},
            "limits": {},
            "desiredState": "Running",
        },
    }
)
MOST_DIGITS = 40  # of what a job used
MOST_DELETED = 50_000  # of the jobs that were last seen to be deleted


@dataclass(frozen=True)
class Assumption:
    """A decision that holds room already but is not committed on the hub yet."""

    assignment: Assignment
    decision: Decision
    gap_ppm: int
    decided_ms: int


@dataclass(slots=True)
class JobEntry:
    """One ComputeJob: its parsed spec, its status as the hub has it, and a decision not yet written.

    There are very many, so the status rests packed, and the spec too while the job does not wait; what is asked of all jobs at once
    lies beside them.
    """

    uid: str
    namespace: str
    name: str
    generation: int
    version: int
    created_ms: int
    outline: (
        ComputeJobSpec | None
    )  # its spec without its template, one for all that are alike; None when it cannot be read
    problem: str  # why it cannot be read
    raw_status: InitVar[object]
    _resting: bytes  # all but its status; nothing when it cannot be read
    _model: ComputeJob | None  # the same at hand, while it waits
    assumed: Assumption | None = None
    bound_epoch: int = 0  # the attempt whose tasks all hold, or held, a node
    told: tuple[str, str] = field(init=False)  # state and reason
    card_ms: int = field(init=False)  # what it used, as its status says
    cpu_milli_ms: int = field(init=False)
    assignment: Assignment | None = field(init=False)  # where it is assigned, as the hub has it
    damage: str = field(init=False)  # why its status does not say where it is assigned
    finished: bool = field(init=False)  # it has ended for good
    epoch: int = field(init=False)  # of its last attempt
    failures: int = field(init=False)
    setbacks: Mapping[str, int] = field(init=False)  # attempts that ended for no fault of the job, by kind
    lost: frozenset[int] = field(init=False)  # epochs that were given up while their site was silent
    failover: Failover | None = field(init=False)  # what the current attempt began with
    _asked: ComputeJob | None = field(init=False)  # of `_model`
    _checkpoint_site: str = field(init=False)
    _status: bytes = field(init=False)

    def __post_init__(self, raw_status: object) -> None:
        self.see(self.version, raw_status)

    def see(self, version: int, raw_status: object) -> None:
        """Take in a status. Whoever may edit it may write anything into it: what cannot be read counts as not there."""
        status = dict(mapping(raw_status))
        conditions = readable(status.get("conditions"))
        if "conditions" in status:
            status["conditions"] = conditions
        self.version, self._status = version, packed(status, _TYPICAL_STATUS)
        by_type, used = {c["type"]: c for c in conditions}, mapping(status.get("usage"))
        self.told = _told(text(status.get("state")), text(status.get("reason")))
        self.card_ms, self.cpu_milli_ms = _digits(used.get("cardMs")), _digits(used.get("cpuMilliMs"))
        self.assignment, self.damage = _assignment(status.get("assignment"), by_type.get("Placed", {}))
        self.finished = by_type.get("Finished", {}).get("status") == "True"
        self.epoch = max(_count(status.get("epoch")), self.assignment.epoch if self.assignment else 0)
        self.failures = _count(status.get("failures"))
        counted = {text(kind): _count(count) for kind, count in mapping(status.get("setbacks")).items()}
        self.setbacks = {kind: count for kind, count in counted.items() if count} or NO_SETBACKS
        self.lost = frozenset(_count(lost.get("epoch")) for lost in items(status.get("lost")))
        self.failover = next((f for f in Failover if f == status.get("failover")), None)
        self._checkpoint_site = intern(text(status.get("checkpointSite")))
        self._asked = _with_checkpoint(self._model, self._checkpoint_site)

    def rest(self) -> None:
        """Keep the spec packed only."""
        self._model = self._asked = None

    def wake(self) -> None:
        """Have the spec at hand from now on: every cycle asks for it."""
        if self._model is None:
            self._model = self.model
            self._asked = _with_checkpoint(self._model, self._checkpoint_site)

    @property
    def model(self) -> ComputeJob | None:
        """All of it but its status; None when it cannot be read."""
        return self._model or (_woken(self._resting) if self._resting else None)

    @property
    def asked(self) -> ComputeJob | None:
        """The model as placement is asked: its checkpoint lies somewhere."""
        return self._asked or _with_checkpoint(self.model, self._checkpoint_site)

    @property
    def status(self) -> Json:
        """Its status, for reading only."""
        status: Json = unpacked(self._status, _TYPICAL_STATUS)
        return status

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"ComputeJob {self.namespace}/{self.name}"

    @property
    def holds(self) -> Assignment | None:
        """The assignment that takes room: assumed or written, of a job that has not finished."""
        if self.finished:
            return None
        return self.assumed.assignment if self.assumed else self.assignment

    @property
    def suspended(self) -> bool:
        """Whether its user wants it stopped."""
        return self.outline is not None and self.outline.desired_state is JobState.SUSPENDED

    @property
    def waits(self) -> bool:
        """Whether it is to be placed."""
        return not (self.outline is None or self.finished or self.damage or self.suspended or self.holds)

    def condition(self, type_: str) -> Json | None:
        """A condition of its status."""
        return next((c for c in reversed(self.status.get("conditions", [])) if c["type"] == type_), None)

    def is_true(self, type_: str) -> bool:
        """Whether that condition is stated and true."""
        return (self.condition(type_) or {}).get("status") == "True"


JobWatcher = Callable[[str, bool], None]
"""Told of a job's UID, and whether its spec or its place changed, or it went."""
MapWatcher = Callable[[str, str, bool], None]
"""Told of kind and name of a region, link, policy, site, account or tariff, and whether its spec or labels changed, or it went."""


@dataclass
class Mirror:
    """All our objects of the hub, by kind; jobs also by what they wait for."""

    on_job: JobWatcher
    on_map: MapWatcher
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    regions: dict[str, ComputeRegion] = field(default_factory=dict)
    links: dict[str, ComputeLink] = field(default_factory=dict)
    policies: dict[str, HubPolicy] = field(default_factory=dict)
    sites: dict[str, ComputeSite] = field(default_factory=dict)
    accounts: dict[str, ComputeAccount] = field(default_factory=dict)
    tariffs: dict[str, Tariff] = field(default_factory=dict)
    raw: dict[tuple[str, str], Json] = field(default_factory=dict)  # of the map's objects, for their status
    problems: dict[tuple[str, str], str] = field(default_factory=dict)
    waiting: dict[str, JobEntry] = field(default_factory=dict)  # jobs that are to be placed
    _by_name: dict[tuple[str, str], str] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)  # by UID, of what is there
    _gone: dict[str, int] = field(default_factory=dict)  # by UID, the comparison that was the last begun when it went
    _deleted: dict[str, None] = field(
        default_factory=dict
    )  # UIDs of assigned jobs that were seen to be deleted, oldest first
    _held: dict[str, dict[str, JobEntry]] = field(default_factory=lambda: defaultdict(dict))  # by site
    _place: dict[str, str] = field(default_factory=dict)  # by UID, the site in `_held`, or "" in `waiting`
    _taken: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # by UID: namespace, class, thousandths
    _use: Counter[tuple[str, str]] = field(default_factory=Counter)  # the sums of `_taken`
    _moved: set[str] = field(default_factory=set)  # namespaces whose sums changed
    _tenants: Accounts | None = None
    _begun: int = 0  # comparisons
    _completed: int = 0  # the last comparison that is complete
    _country: Country = field(default_factory=lambda: Country({}, {}, None))
    _is_country_old: bool = True
    _quotes: Quotes | None = None
    _are_quotes_old: bool = True

    # --- what is there

    @property
    def country(self) -> Country:
        """Regions, links, the national policy and what runs cost by tariffs; the same object until one of them changes."""
        if self._is_country_old:
            policy, before = self.policies.get(NATIONAL), self._country.network
            self._country = Country(dict(self.regions), dict(self.links), policy, before, self.quotes)
            self._is_country_old = False
        return self._country

    @property
    def quotes(self) -> Quotes | None:
        """What runs cost by tariffs; None without any. What was made ready of tariffs is kept until those are others."""
        if not self.tariffs:
            return None
        if self._quotes is None or self._are_quotes_old:
            self._quotes = Quotes.of(self.tariffs.values(), customers_of(self.accounts.values()), self._quotes)
            self._are_quotes_old = False
        return self._quotes

    @property
    def tenants(self) -> Accounts:
        """All accounts together; the same object until one of them changes."""
        if self._tenants is None:
            self._tenants = Accounts(dict(self.accounts))
        return self._tenants

    @property
    def tenancy(self) -> Tenancy:
        """The accounts, and what jobs hold that are assigned or assumed somewhere."""
        if not self.accounts:
            return NOBODY
        return Tenancy.of(self.tenants, ((*place, milli) for place, milli in self._use.items()))

    def moved(self) -> list[str]:
        """The declared accounts of which jobs hold more or less than when this was asked last, with their parents."""
        owners = {self.tenants.of(namespace) for namespace in self._moved}
        self._moved.clear()
        found = dict.fromkeys(name for owner in sorted(owners) for name in self.tenants.lineage(owner))
        return [name for name in found if name in self.accounts]

    def held_at(self, site: str) -> ValuesView[JobEntry]:
        """The jobs that hold room at a site: assigned or assumed there, and not finished."""
        return self._held[site].values() if site in self._held else {}.values()

    def site_status(self, name: str) -> Mapping[str, Any]:
        """A site's status as the hub has it."""
        return mapping(self.raw.get((SITE, name), {}).get("status"))

    @property
    def begun(self) -> int:
        """Comparisons with the hub that were begun so far."""
        return self._begun

    def certainly_gone(self, uid: str, since: int) -> bool:
        """Whether the hub has no such job.

        It was seen to go, or it is missing from a whole list that was begun after the first `since` comparisons were.
        """
        return uid not in self.jobs and (uid in self._gone or self._completed > since)

    def was_deleted(self, uid: str) -> bool:
        """Whether the hub told that somebody deleted this job, which had been assigned; else it is only missing."""
        return uid in self._deleted

    # --- what comes in

    def apply(self, event: str | None, raw: Json) -> None:
        """Take in one object as an event or a list shows it. Older news than what is known is left aside."""
        metadata, kind = mapping(raw.get("metadata")), raw.get("kind")
        uid, version = str(metadata.get("uid") or ""), _number(metadata.get("resourceVersion"))
        if not uid or kind not in MODELS or not metadata.get("name") or uid in self._gone:
            return
        if event == "DELETED" or (kind == JOB and metadata.get("deletionTimestamp")):
            self._note_deleted(uid)
            self._remove(kind, uid, metadata)
        elif version > self._versions.get(uid, 0) and self._is_newest_of_name(kind, uid, version, metadata):
            self._versions[uid] = version
            if kind == JOB:
                self._put_job(uid, version, raw)
            else:
                self._put_map(kind, raw)

    def begin_comparison(self) -> int:
        """A full list of every kind is about to be read; its number."""
        self._begun += 1
        return self._begun

    def take(self, kind: str, listed: list[Json]) -> set[str]:
        """Take in a page of a full list; the UIDs in it."""
        for raw in listed:
            self.apply(None, {**raw, "kind": kind})
        return {str(mapping(raw.get("metadata")).get("uid")) for raw in listed}

    def keep_only(self, kind: str, present: Set[str], listed_version: int) -> None:
        """What a full list lacks, and what is not newer than it, is gone."""
        for uid, metadata in self._known(kind):
            if uid not in present and self._versions.get(uid, 0) <= listed_version:
                self._remove(kind, uid, metadata)

    def end_comparison(self, number: int) -> None:
        """That comparison is complete. What went before the last but one is forgotten: no event of it can come any more."""
        self._completed = max(self._completed, number)
        self._gone = {uid: last for uid, last in self._gone.items() if last >= number - 1}

    def removed(self, entry: JobEntry) -> None:
        """The hub was asked and does not have this job any more."""
        self._remove(JOB, entry.uid, {"namespace": entry.namespace, "name": entry.name})

    # --- decisions that are not written yet

    def assume(self, entry: JobEntry, assumption: Assumption) -> None:
        """Hold room for a waiting job."""
        entry.assumed = assumption
        self._sort_in(entry)

    def roll_back(self, uid: str) -> bool:
        """Give up a job's assumption; whether there was one."""
        entry = self.jobs.get(uid)
        if entry is None or entry.assumed is None:
            return False
        entry.assumed = None
        self._sort_in(entry)
        return True

    # --- jobs

    def _put_job(self, uid: str, version: int, raw: Json) -> None:
        metadata = raw["metadata"]
        generation = _count(metadata.get("generation"))
        old = self.jobs.get(uid)
        if old is not None and old.generation == generation:
            before = (old.finished, old.assignment, old.damage)
            old.see(version, raw.get("status"))
            changed = before != (old.finished, old.assignment, old.damage)
            if changed:
                old.assumed = None  # the hub has another word than the one it was decided upon
        else:
            found, problem = _parsed(raw)
            model = found if isinstance(found, ComputeJob) else None
            name = (intern(str(metadata.get("namespace") or "")), str(metadata["name"]))
            self.jobs[uid] = JobEntry(
                uid=uid,
                namespace=name[0],
                name=name[1],
                generation=generation,
                version=version,
                created_ms=time_or_zero(metadata.get("creationTimestamp")),
                outline=_outline(model.spec, raw["spec"]) if model is not None else None,
                problem=problem,
                raw_status=raw.get("status"),
                _resting=packed(_kept(raw), _TYPICAL_JOB) if model is not None else b"",
                _model=model,
                bound_epoch=old.bound_epoch if old else 0,
            )
            self._by_name[name] = uid
            changed = True
        self._sort_in(self.jobs[uid])
        self.on_job(uid, changed)

    def _sort_in(self, entry: JobEntry) -> None:
        """Keep the jobs that wait, and those that hold room by site."""
        holds = entry.holds
        place = holds.site if holds else "" if entry.waits else None
        old = self._place.get(entry.uid)
        if old is not None and old != place:
            self._sort_out(entry.uid)
        if place is not None:
            self._place[entry.uid] = place
            (self._held[place] if place else self.waiting)[entry.uid] = entry
        if place == "":
            entry.wake()
        elif entry.assumed is None:
            entry.rest()
        self._count(entry)

    def _count(self, entry: JobEntry) -> None:
        """Keep what is held of each class in each namespace."""
        holds, spec, old = entry.holds, entry.outline, self._taken.get(entry.uid)
        new = (entry.namespace, holds.class_, asked_milli(spec)) if holds and spec else None
        if new == old:
            return
        self._uncount(entry.uid)
        if new is not None:
            self._taken[entry.uid] = new
            self._use[new[:2]] += new[2]
            self._moved.add(new[0])

    def _uncount(self, uid: str) -> None:
        old = self._taken.pop(uid, None)
        if old is not None:
            self._moved.add(old[0])
            self._use[old[:2]] -= old[2]
            if not self._use[old[:2]]:
                del self._use[old[:2]]

    def _sort_out(self, uid: str) -> None:
        place = self._place.pop(uid, None)
        if place is not None:
            (self._held[place] if place else self.waiting).pop(uid, None)

    # --- the map

    def _put_map(self, kind: str, raw: Json) -> None:
        name = str(raw["metadata"]["name"])
        old = self.raw.get((kind, name))
        self.raw[kind, name] = raw
        if old is not None and _spec_mark(old) == _spec_mark(raw):
            self.on_map(kind, name, False)
            return
        model, problem = _parsed(raw)
        kept = self._kept(kind)
        if model is None:
            self.problems[kind, name] = problem
            kept.pop(name, None)
        else:
            self.problems.pop((kind, name), None)
            kept[name] = model
        self._map_changed(kind, name)

    def _map_changed(self, kind: str, name: str) -> None:
        self._are_quotes_old |= kind in (ACCOUNT, TARIFF)
        if kind == ACCOUNT:
            self._tenants = None
            self._is_country_old |= bool(self.tariffs)
        elif kind != SITE:
            self._is_country_old = True
        self.on_map(kind, name, True)

    def _kept(self, kind: str) -> dict[str, Any]:
        kinds: dict[str, dict[str, Any]] = {
            "ComputeRegion": self.regions,
            "ComputeLink": self.links,
            "HubPolicy": self.policies,
            SITE: self.sites,
            ACCOUNT: self.accounts,
            TARIFF: self.tariffs,
        }
        return kinds[kind]

    # --- what went

    def _known(self, kind: str) -> list[tuple[str, Json]]:
        if kind == JOB:
            return [(e.uid, {"namespace": e.namespace, "name": e.name}) for e in self.jobs.values()]
        return [(str(r["metadata"]["uid"]), r["metadata"]) for (k, _), r in self.raw.items() if k == kind]

    def _is_newest_of_name(self, kind: str, uid: str, version: int, metadata: Mapping[str, Any]) -> bool:
        """Whether no newer object has the name; an older one that had it must have gone, even if nobody said so."""
        name = str(metadata["name"])
        if kind == JOB:
            other = self._by_name.get((str(metadata.get("namespace") or ""), name))
        else:
            held = self.raw.get((kind, name))
            other = str(held["metadata"]["uid"]) if held else None
        if other is None or other == uid:
            return True
        if self._versions.get(other, 0) > version:
            return False
        self._remove(kind, other, metadata)
        return True

    def _note_deleted(self, uid: str) -> None:
        entry = self.jobs.get(uid)
        if entry is not None and entry.epoch:
            self._deleted[uid] = None
            if len(self._deleted) > MOST_DELETED:
                del self._deleted[next(iter(self._deleted))]

    def _remove(self, kind: str, uid: str, metadata: Mapping[str, Any]) -> None:
        self._gone[uid] = self._begun
        self._versions.pop(uid, None)
        name = str(metadata["name"])
        if kind == JOB:
            full_name = (str(metadata.get("namespace") or ""), name)
            if self._by_name.get(full_name) == uid:
                del self._by_name[full_name]
            self._sort_out(uid)
            self._uncount(uid)
            self.jobs.pop(uid, None)
            self.on_job(uid, True)
            return
        held = self.raw.get((kind, name))
        if held is None or held["metadata"]["uid"] != uid:
            return
        del self.raw[kind, name]
        self.problems.pop((kind, name), None)
        self._kept(kind).pop(name, None)
        self._map_changed(kind, name)


def _spec_mark(raw: Json) -> tuple[object, object, object]:
    """What changes exactly when the object, its spec or its labels do."""
    metadata = raw["metadata"]
    return metadata["uid"], metadata.get("generation"), metadata.get("labels")


def _parsed(raw: Json) -> tuple[Resource | None, str]:
    """The object without its status, or the first thing that is wrong with it."""
    kept = _kept(raw)
    kind, spec = kept["kind"], kept["spec"]
    try:
        if len(json.dumps(spec)) > MAX_OBJECT_BYTES:
            return None, f"spec is larger than {MAX_OBJECT_BYTES >> 10} KiB; make it smaller"
        model = MODELS[kind].model_validate(
            {
                **kept,
                "metadata": Metadata.model_validate(kept["metadata"]),
                "spec": _with_shared_parts(spec) if kind == JOB and isinstance(spec, dict) else spec,
            }
        )
    except ValidationError as error:
        return None, _first_problem(error)
    if isinstance(model, ComputeJob):
        for part in (model, model.metadata, model.spec, model.spec.template):
            _lighten(part)
    return model, ""


def _kept(raw: Json) -> Json:
    """What is read of an object beside its status."""
    metadata = raw["metadata"]
    names = ("name", "namespace", "uid", "generation", "labels", "creationTimestamp")
    return {
        "apiVersion": raw.get("apiVersion", ""),
        "kind": raw["kind"],
        "metadata": {k: metadata[k] for k in names if metadata.get(k) is not None},
        "spec": raw.get("spec"),
    }


@lru_cache(MOST_AWAKE)
def _woken(resting: bytes) -> ComputeJob:
    """A job that rests; who asks again gets the same."""
    model, _ = _parsed(unpacked(resting, _TYPICAL_JOB))
    assert isinstance(model, ComputeJob), "it could be read before"
    return model


def _outline(spec: ComputeJobSpec, raw: Json) -> ComputeJobSpec:
    """A spec without its template, one for all that are alike."""
    return _shared_part(ComputeJobSpec, {**raw, "template": _NO_TEMPLATE}) or spec


def _with_shared_parts(spec: Json) -> Json:
    """A job's spec whose parts that very many jobs have alike are read once for all."""
    parts = {name: _shared_part(model, spec[name]) for name, model in _ALIKE.items() if name in spec}
    return {**spec, **{name: part for name, part in parts.items() if part is not None}}


def _shared_part(model: type[M], raw: object) -> M | None:
    """None where it cannot be read, or is too large to be kept for others: who reads the whole tells where."""
    said = json.dumps(raw)
    found = _part(model, said) if len(said) <= MOST_PART_BYTES else None
    return found if isinstance(found, model) else None


@lru_cache(MOST_PARTS)
def _part(model: type[Model], said: str) -> Model | None:
    try:
        raw = json.loads(said)
        part = model.model_validate(_with_shared_parts(raw) if model is ComputeJobSpec else raw)
    except ValidationError:
        return None
    _lighten(part)
    return part


def _lighten(model: BaseModel) -> None:
    """Have it share the set of its given fields, which is larger than most of them."""
    object.__setattr__(model, "__pydantic_fields_set__", _given(frozenset(model.model_fields_set)))


@lru_cache(MOST_PARTS)
def _given(fields: frozenset[str]) -> set[str]:
    """Which fields were given, as models keep it: one set for all that were given the same."""
    return set(fields)


def _with_checkpoint(model: ComputeJob | None, site: str) -> ComputeJob | None:
    """The job with its checkpoint at that site, unless it has none or its user says where it lies."""
    checkpoint = model.spec.checkpoint if model is not None and site else None
    if model is None or checkpoint is None or checkpoint.site is not None:
        return model
    spec = model.spec.model_copy(update={"checkpoint": checkpoint.model_copy(update={"site": site})})
    return model.model_copy(update={"spec": spec})


def _assignment(raw: object, placed: Json) -> tuple[Assignment | None, str]:
    """The assignment of a status, or what is wrong with it: we never take it away and leave `Placed` as it is."""
    if not raw:
        missing = placed.get("status") == "True" or placed.get("reason") == Reason.STATUS_UNREADABLE
        return None, 'status.assignment: "": it is missing, though condition Placed stands' if missing else ""
    found = _shared_part(Assignment, raw)
    if found is not None:
        return found, ""
    try:
        return Assignment.model_validate(raw), ""
    except ValidationError as error:
        return None, _first_problem(error, "status.assignment")


@lru_cache(MOST_PARTS)
def _told(state: str, reason: str) -> tuple[str, str]:
    """State and reason, one for all jobs that are told the same."""
    return state, reason


def _first_problem(error: ValidationError, *above: str) -> str:
    """Field, value and what is wrong; a field that is not known has whatever name somebody gave it."""
    first = error.errors()[0]
    where = ".".join([*above, *(str(part) for part in first["loc"])])
    return f'{text(where)}: "{_shown(first["input"])}": {text(first["msg"])}'


def _shown(value: object) -> str:
    """A value as messages show it."""
    return text(str(value), 120)


def _digits(value: object) -> int:
    """A count of a status, into which whoever may edit it may write anything."""
    is_count = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS
    return int(str(value)) if is_count else 0


def _number(version: object) -> int:
    return int(version) if isinstance(version, str) and version.isascii() and version.isdecimal() else 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT else 0
