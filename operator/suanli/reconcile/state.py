"""The mirror: what the hub holds, in memory. One writer: the event loop."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from suanli.api import KINDS, ComputeJob, ComputeLink, ComputeRegion, ComputeSite, HubPolicy, Resource
from suanli.api.job import Assignment
from suanli.api.kind import Metadata
from suanli.base.clock import parse_time_ms
from suanli.base.conditions import find, is_true
from suanli.kube.client import Json
from suanli.placement.snapshot import Country

MODELS: dict[str, type[Resource]] = {model.kind_info.kind: model for model in KINDS}
NATIONAL = "national"
MAX_OBJECT_BYTES = 256 << 10


@dataclass
class JobEntry:
    """One ComputeJob: its parsed spec, its status as the hub has it, and a decision not yet written."""

    uid: str
    namespace: str
    name: str
    generation: int
    version: int
    created_ms: int
    model: ComputeJob | None  # without status; None when it cannot be read
    problem: str  # why it cannot be read
    status: Json
    assumed: Assignment | None = None
    assumed_status: Json = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"ComputeJob {self.namespace}/{self.name}"

    @property
    def assignment(self) -> Assignment | None:
        """Where it is assigned, as the hub has it."""
        raw = self.status.get("assignment")
        return Assignment.model_validate(raw) if raw else None

    @property
    def holds(self) -> Assignment | None:
        """The assignment that takes room: assumed or written, of a job that has not finished."""
        if self.finished:
            return None
        return self.assumed or self.assignment

    @property
    def finished(self) -> bool:
        """Whether it has ended for good."""
        return is_true(self.status.get("conditions") or [], "Finished")

    def condition(self, type_: str) -> Json | None:
        """A condition of its status."""
        found = find(self.status.get("conditions") or [], type_)
        return dict(found) if found else None


@dataclass
class Mirror:
    """All our objects of the hub, by kind."""

    on_job: Callable[[str], None]
    on_map: Callable[[str, str], None]  # kind and name of a changed region, link, policy or site
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    by_name: dict[tuple[str, str], str] = field(default_factory=dict)
    regions: dict[str, ComputeRegion] = field(default_factory=dict)
    links: dict[str, ComputeLink] = field(default_factory=dict)
    policies: dict[str, HubPolicy] = field(default_factory=dict)
    sites: dict[str, ComputeSite] = field(default_factory=dict)
    raw: dict[tuple[str, str], Json] = field(default_factory=dict)  # of the map's objects, for their status
    problems: dict[tuple[str, str], str] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)  # by UID; of removed objects too
    _gone: set[str] = field(default_factory=set)
    _country: Country | None = None

    def apply(self, event: str | None, raw: Json) -> None:
        """Take in one object as an event or a list shows it. Older news than what is known is left aside."""
        metadata = raw.get("metadata") or {}
        uid, version = str(metadata.get("uid") or ""), _number(metadata.get("resourceVersion"))
        if not uid or version < self._versions.get(uid, 0):
            return
        known = self._versions.get(uid, 0)
        if event == "DELETED":
            self._versions[uid] = version + 1
            self._remove(raw["kind"], metadata)
        elif version > known:
            self._versions[uid] = version
            self._put(raw)

    def compare(self, kind: str, items: list[Json], listed_version: int) -> None:
        """Make the mirror equal to a full list; what the list lacks and is not newer than it is gone."""
        for raw in items:
            self.apply(None, {**raw, "kind": kind})
        present = {str(i["metadata"]["uid"]) for i in items}
        for uid, metadata in self._known(kind):
            if uid not in present and self._versions.get(uid, 0) <= listed_version:
                self._versions[uid] = listed_version
                self._remove(kind, metadata)

    def removed(self, entry: JobEntry) -> None:
        """The hub was asked and does not have this job any more."""
        metadata = {
            "uid": entry.uid,
            "namespace": entry.namespace,
            "name": entry.name,
            "resourceVersion": str(entry.version),
        }
        self.apply("DELETED", {"kind": ComputeJob.kind_info.kind, "metadata": metadata})

    def forget_removed(self) -> None:
        """Drop the versions of objects that were gone a comparison ago, when no old event can come any more."""
        live = set(self.jobs) | {str(r["metadata"]["uid"]) for r in self.raw.values()}
        for uid in self._gone - live:
            self._versions.pop(uid, None)
        self._gone = set(self._versions) - live

    @property
    def country(self) -> Country:
        """Regions, links and the national policy; the same object until one of them changes."""
        if self._country is None:
            self._country = Country(dict(self.regions), dict(self.links), self.policies.get(NATIONAL))
        return self._country

    def _known(self, kind: str) -> list[tuple[str, Json]]:
        if kind == ComputeJob.kind_info.kind:
            return [(e.uid, {"uid": e.uid, "namespace": e.namespace, "name": e.name}) for e in self.jobs.values()]
        return [(str(r["metadata"]["uid"]), r["metadata"]) for (k, _), r in self.raw.items() if k == kind]

    def _put(self, raw: Json) -> None:
        if raw["kind"] == ComputeJob.kind_info.kind:
            self._put_job(raw)
        else:
            self._put_map(raw)

    def _put_job(self, raw: Json) -> None:
        metadata = raw["metadata"]
        if metadata.get("deletionTimestamp"):
            self._remove(raw["kind"], metadata)
            return
        uid, generation = metadata["uid"], int(metadata.get("generation") or 0)
        status = raw.get("status") or {}
        old = self.jobs.get(uid)
        if old is not None and old.generation == generation:
            old.version, old.status = _number(metadata.get("resourceVersion")), status
            self.on_job(uid)
            return
        model, problem = _parsed(raw)
        self.jobs[uid] = JobEntry(
            uid=uid,
            namespace=metadata["namespace"],
            name=metadata["name"],
            generation=generation,
            version=_number(metadata.get("resourceVersion")),
            created_ms=parse_time_ms(metadata["creationTimestamp"]),
            model=model if isinstance(model, ComputeJob) else None,
            problem=problem,
            status=status,
            assumed=old.assumed if old else None,
            assumed_status=old.assumed_status if old else {},
        )
        self.by_name[metadata["namespace"], metadata["name"]] = uid
        self.on_job(uid)

    def _put_map(self, raw: Json) -> None:
        kind, name = raw["kind"], raw["metadata"]["name"]
        old = self.raw.get((kind, name))
        self.raw[kind, name] = raw
        if old is not None and _spec_mark(old) == _spec_mark(raw):
            self.on_map(kind, name)
            return
        model, problem = _parsed(raw)
        kept = self._kept(kind)
        if model is None:
            self.problems[kind, name] = problem
            kept.pop(name, None)
        else:
            self.problems.pop((kind, name), None)
            kept[name] = model
        self._country = None
        self.on_map(kind, name)

    def _kept(self, kind: str) -> dict[str, Any]:
        kinds: dict[str, dict[str, Any]] = {
            "ComputeRegion": self.regions,
            "ComputeLink": self.links,
            "HubPolicy": self.policies,
            "ComputeSite": self.sites,
        }
        return kinds[kind]

    def _remove(self, kind: str, metadata: Json) -> None:
        name = metadata["name"]
        if kind == ComputeJob.kind_info.kind:
            uid = metadata["uid"]
            self.jobs.pop(uid, None)
            if self.by_name.get((metadata["namespace"], name)) == uid:
                del self.by_name[metadata["namespace"], name]
            self.on_job(uid)
            return
        held = self.raw.get((kind, name))
        if held is None or held["metadata"]["uid"] != metadata["uid"]:
            return
        del self.raw[kind, name]
        self.problems.pop((kind, name), None)
        self._kept(kind).pop(name, None)
        self._country = None
        self.on_map(kind, name)


def _spec_mark(raw: Json) -> tuple[object, object]:
    """What changes exactly when the spec or the labels do."""
    return raw["metadata"].get("generation"), raw["metadata"].get("labels")


def _parsed(raw: Json) -> tuple[Resource | None, str]:
    """The object without its status, or the first thing that is wrong with it."""
    metadata = raw["metadata"]
    kept = {
        k: metadata.get(k)
        for k in ("name", "namespace", "uid", "generation", "labels", "creationTimestamp")
        if metadata.get(k) is not None
    }
    try:
        if len(json.dumps(raw.get("spec"))) > MAX_OBJECT_BYTES:
            return None, f"spec is larger than {MAX_OBJECT_BYTES >> 10} KiB; make it smaller"
        model = MODELS[raw["kind"]].model_validate(
            {
                "apiVersion": raw.get("apiVersion", ""),
                "kind": raw["kind"],
                "metadata": Metadata.model_validate(kept),
                "spec": raw.get("spec"),
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return None, f'{where}: "{str(first["input"])[:120]}": {first["msg"]}'
    return model, ""


def _number(version: object) -> int:
    return int(version) if isinstance(version, str) and version.isdecimal() else 0
