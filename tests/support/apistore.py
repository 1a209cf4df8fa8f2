"""The objects of an API server in memory: versions, selectors, patches, finalizers, and a log of what changed."""

import datetime as dt
import itertools
import json
import marshal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")
KINDS = {
    "namespaces": "Namespace",
    "nodes": "Node",
    "pods": "Pod",
    "jobs": "Job",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "configmaps": "ConfigMap",
    "events": "Event",
    "leases": "Lease",
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "networkpolicies": "NetworkPolicy",
    "resourcequotas": "ResourceQuota",
    "computeregions": "ComputeRegion",
    "computelinks": "ComputeLink",
    "hubpolicies": "HubPolicy",
    "computesites": "ComputeSite",
    "computeaccounts": "ComputeAccount",
    "computejobs": "ComputeJob",
    "tariffs": "Tariff",
    "statements": "Statement",
    "voucherprograms": "VoucherProgram",
    "vouchers": "Voucher",
    "clusterroles": "ClusterRole",
    "clusterrolebindings": "ClusterRoleBinding",
    "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
    "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
}
APIS = {
    "v1": ("namespaces", "nodes", "pods", "secrets", "serviceaccounts", "configmaps", "events", "resourcequotas"),
    "networking.k8s.io/v1": ("networkpolicies",),
    "batch/v1": ("jobs",),
    "coordination.k8s.io/v1": ("leases",),
    "apps/v1": ("deployments", "replicasets"),
    "events.k8s.io/v1": ("events",),
    "rbac.authorization.k8s.io/v1": ("clusterroles", "clusterrolebindings"),
    "admissionregistration.k8s.io/v1": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    "suanli.io/v1alpha1": (
        "computeregions",
        "computelinks",
        "hubpolicies",
        "computesites",
        "computeaccounts",
        "computejobs",
        "tariffs",
        "statements",
        "voucherprograms",
        "vouchers",
    ),
}
NAMESPACED = (
    "pods",
    "secrets",
    "serviceaccounts",
    "configmaps",
    "events",
    "jobs",
    "leases",
    "deployments",
    "replicasets",
    "computejobs",
    "vouchers",
    "networkpolicies",
    "resourcequotas",
)
PLURALS = {kind: plural for plural, kind in KINDS.items()}


class Refusal(Exception):
    """What the server answers instead of the object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True)
class Path:
    """A request path, taken apart."""

    api: str  # "v1" or "batch/v1"
    resource: str
    namespace: str = ""
    name: str = ""
    sub: str = ""

    @classmethod
    def of(cls, text: str) -> "Path":
        parts = text.strip("/").split("/")
        if parts[0] == "api":
            api, rest = parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            api, rest = "/".join(parts[1:3]), parts[3:]
        else:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        if rest[0] not in KINDS:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        return cls(api, rest[0], namespace, *rest[1:3])

    @property
    def kind(self) -> str:
        return KINDS[self.resource]


@dataclass(frozen=True)
class Change:
    """One entry of the log: an object before and after; None where it was not there. Nobody changes them."""

    version: int
    api: str
    resource: str
    before: Json | None
    after: Json | None


class Store:
    """Objects by API, resource, namespace and name; every change is logged and told to listeners."""

    def __init__(self) -> None:
        self.log: list[Change] = []  # what a watch can still tell
        self.history: list[Change] = []  # all that ever happened
        self.compacted = 0
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Json]] = {}
        self._places: dict[str, Path] = {}  # by UID; also of what is gone
        self._owned: dict[str, dict[Path, None]] = {}  # by the UID of an owner, in order; also what is gone
        self._version = 100
        self._listeners: list[Callable[[Change], None]] = []
        self._snapshots: dict[str, tuple[int, list[Json]]] = {}  # of lists that are read in pages: as of when, the rest
        self._tokens = itertools.count(1)

    @property
    def version(self) -> int:
        return self._version

    # --- reading

    def get(self, path: Path, at: int | None = None) -> Json:
        """An object; `at`: as it was at that version. Raises: Refusal."""
        found = self._as_of(path, at).get((path.namespace, path.name))
        if found is None:
            raise Refusal(404, "NotFound", f'{path.resource} "{path.name}" not found')
        return copied(found)

    def objects(self, api: str) -> list[Json]:
        """All objects of one API version."""
        kinds = [objects for (held, _), objects in self._objects.items() if held == api]
        return [copied(o) for objects in kinds for _, o in sorted(objects.items())]

    def each(self, path: Path) -> Iterator[Json]:
        """The objects of a collection themselves: nobody changes them."""
        objects = sorted(self._of(path).items())
        return (o for (namespace, _), o in objects if not path.namespace or namespace == path.namespace)

    def of_uid(self, uid: str) -> Json | None:
        """The object with that UID itself, if it is there: nobody changes it."""
        place = self._places.get(uid)
        found = None if place is None else self._of(place).get((place.namespace, place.name))
        return found if found is not None and found["metadata"]["uid"] == uid else None

    def owned(self, uid: str) -> Iterator[tuple[Path, Json]]:
        """Where the objects are that name that owner, and they themselves: nobody changes them."""
        for place in list(self._owned.get(uid, ())):
            held = self._of(place).get((place.namespace, place.name))
            if held is not None and uid in _owners(held):
                yield place, held

    def list(self, path: Path, query: dict[str, str], at: int | None = None) -> Json:
        """A list, or the rest of one that was begun before; `at`: as it was at that version. Raises: Refusal."""
        if token := query.get("continue"):
            if token not in self._snapshots:
                raise Refusal(410, "Expired", "The provided continue parameter is too old")
            version, found = self._snapshots[token]
        else:
            version = self._version if at is None else at
            found = [o for _, o in sorted(self._as_of(path, at).items()) if selected(o, path, query)]
        limit = int(query.get("limit") or 0) or len(found)
        metadata: Json = {"resourceVersion": str(version)}
        if found[limit:]:
            metadata["continue"] = f"token-{next(self._tokens)}"
            self._snapshots[metadata["continue"]] = version, found[limit:]
        return {
            "apiVersion": path.api,
            "kind": f"{path.kind}List",
            "metadata": metadata,
            "items": [copied(o) for o in found[:limit]],  # what is stored is replaced, never changed
        }

    def compact(self) -> None:
        """Forget the past: older watches and lists that are being read are too old from now on."""
        self._version += 1
        self.compacted = self._version
        self.log.clear()
        self._snapshots.clear()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Tell of every change from now on; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- writing

    def create(self, path: Path, body: Json, *, dry_run: bool = False) -> Json:
        new = copied(body)
        metadata = new.setdefault("metadata", {})
        name = metadata.get("name") or f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        place = Path(path.api, path.resource, path.namespace, name)
        if path.namespace and path.resource != "namespaces" and not self._has_namespace(path.namespace):
            raise Refusal(404, "NotFound", f'namespaces "{path.namespace}" not found')
        if (path.namespace, name) in self._of(path):
            raise Refusal(409, "AlreadyExists", f'{path.resource} "{name}" already exists')
        metadata |= {"name": name, "uid": metadata.get("uid") or str(uuid.uuid4()), "generation": 1}
        metadata.setdefault("creationTimestamp", now())
        if path.namespace:
            metadata["namespace"] = path.namespace
        new |= {"apiVersion": path.api, "kind": path.kind}
        return new if dry_run else self._store(place, None, new)

    def replace(self, path: Path, body: Json) -> Json:
        before = self.get(path)
        _check_version(path, before, body)
        return self._store(path, before, _with_identity(body, before))

    def patch(self, path: Path, body: Any, kind: str, *, dry_run: bool = False) -> Json:
        if kind == "apply" and path.name and (path.namespace, path.name) not in self._of(path):
            return self.create(path, body, dry_run=dry_run)
        before = self.get(path)
        if kind == "json":
            after = _json_patched(before, body)
        else:
            _check_version(path, before, body)
            after = merged(before, body)
        if path.sub == "status":
            after = {**before, "status": after.get("status")}
        elif "status" in before:
            after = {**after, "status": before["status"]}
        after = _with_identity(after, before)
        return after if dry_run else self._store(path, before, after)

    def delete(self, path: Path, options: Json) -> Json:
        before = self.get(path)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != before["metadata"]["uid"]:
            raise Refusal(409, "Conflict", f"Precondition failed: UID in precondition: {wanted}")
        if path.resource == "namespaces" and before["metadata"].get("deletionTimestamp"):
            raise Refusal(409, "Conflict", "The system is ensuring all content is removed from this namespace.")
        if before["metadata"].get("finalizers"):
            metadata = {**before["metadata"], "deletionTimestamp": before["metadata"].get("deletionTimestamp") or now()}
            gone = self._store(path, before, {**before, "metadata": metadata})
        else:
            gone = self._remove(path, before)
        if options.get("propagationPolicy") != "Orphan":
            self._remove_dependents(path, before)
        return gone

    def put(self, raw: Json) -> Json:
        """What somebody in the cluster makes of an object, all of it: no subresources, no checks."""
        metadata = raw["metadata"]
        path = Path(raw["apiVersion"], PLURALS[raw["kind"]], metadata.get("namespace", ""), metadata["name"])
        before = self._of(path).get((path.namespace, path.name))
        if before is None:
            return self.create(path, raw)
        return self._store(path, before, _with_identity(raw, before))

    def forget(self, path: Path) -> None:
        """Take an object out as if it had never been."""
        self._of(path).pop((path.namespace, path.name), None)

    # --- inside

    def _of(self, path: Path) -> dict[tuple[str, str], Json]:
        return self._objects.setdefault((path.api, path.resource), {})

    def _as_of(self, path: Path, at: int | None) -> dict[tuple[str, str], Json]:
        """The objects of a resource as they were at a version."""
        objects = self._of(path)
        if at is None or at >= self._version:
            return objects
        objects = dict(objects)
        for change in reversed(self.history):
            if change.version <= at:
                break
            if (change.api, change.resource) == (path.api, path.resource):
                metadata = (change.after or change.before or {})["metadata"]
                key = (metadata.get("namespace", ""), metadata["name"])
                if change.before is None:
                    objects.pop(key, None)
                else:
                    objects[key] = change.before
        return objects

    def _has_namespace(self, name: str) -> bool:
        return ("", name) in self._objects.get(("v1", "namespaces"), {})

    def _store(self, path: Path, before: Json | None, after: Json) -> Json:
        metadata = after["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return self._remove(path, before or after)
        if before is not None and _content(before) == _content(after):
            return before
        self._version += 1
        stored = copied(after)
        stored["metadata"]["resourceVersion"] = str(self._version)
        if before is not None and before.get("spec") != after.get("spec"):
            stored["metadata"]["generation"] = int(before["metadata"].get("generation") or 0) + 1
        self._of(path)[path.namespace, path.name] = stored
        place = Path(path.api, path.resource, path.namespace, path.name)
        self._places[stored["metadata"]["uid"]] = place
        for uid in _owners(stored):
            self._owned.setdefault(uid, {})[place] = None
        self._tell(path, before, stored)
        return copied(stored)

    def _remove(self, path: Path, before: Json) -> Json:
        self._version += 1
        self._of(path).pop((path.namespace, path.name), None)
        self._tell(path, before, None)
        return copied(before)

    def _tell(self, path: Path, before: Json | None, after: Json | None) -> None:
        change = Change(self._version, path.api, path.resource, before, after)
        self.log.append(change)
        self.history.append(change)
        for listener in list(self._listeners):
            listener(change)

    def _remove_dependents(self, path: Path, gone: Json) -> None:
        """What the garbage collector and the namespace controller do, at once."""
        for place, _ in self.owned(gone["metadata"]["uid"]):
            self.delete(place, {})
        if path.resource == "namespaces":
            for (api, resource), objects in list(self._objects.items()):
                for namespace, name in list(objects):
                    if namespace == path.name and (namespace, name) in objects:
                        self.delete(Path(api, resource, namespace, name), {})


def _owners(raw: Json) -> list[str]:
    return [str(owner.get("uid")) for owner in raw["metadata"].get("ownerReferences") or []]


def selected(raw: Json, path: Path, query: dict[str, str]) -> bool:
    """Whether an object is asked for by namespace, labels and fields."""
    if path.namespace and raw["metadata"].get("namespace") != path.namespace:
        return False
    labels = raw["metadata"].get("labels") or {}
    for key, equal, value in _terms(query.get("labelSelector", "")):
        if (labels.get(key) == value) != equal:
            return False
    for key, equal, value in _terms(query.get("fieldSelector", "")):
        found: Any = raw
        for part in key.split("."):
            found = (found or {}).get(part)
        if ((found or "") == value) != equal:
            return False
    return True


@cache
def _terms(selector: str) -> tuple[tuple[str, bool, str], ...]:
    """Keys, whether they are to have the value or not to, and the value."""
    halves = ((term.partition("!="), term.partition("=")) for term in filter(None, selector.split(",")))
    return tuple((no[0], False, no[2]) if no[1] else (yes[0], True, yes[2]) for no, yes in halves)


def merged(old: Any, patch: Any) -> Any:
    """JSON Merge Patch, RFC 7386."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _json_patched(before: Json, steps: list[Json]) -> Json:
    """JSON Patch, RFC 6902, as far as test, add, replace and remove."""
    after = copied(before)
    for step in steps:
        *parents, last = (p.replace("~1", "/").replace("~0", "~") for p in step["path"].split("/")[1:])
        try:
            at: Any = after
            for part in parents:
                at = at[int(part)] if isinstance(at, list) else at[part]
            key: Any = int(last) if isinstance(at, list) else last
            if step["op"] == "test" and at[key] != step["value"]:
                raise Refusal(422, "Invalid", f"testing path {step['path']} failed")
            if step["op"] == "remove":
                del at[key]
            elif step["op"] in ("add", "replace"):
                at[key] = step["value"]
        except (KeyError, IndexError) as error:
            raise Refusal(422, "Invalid", f"path {step['path']} is not there") from error
    return after


def _check_version(path: Path, before: Json, body: Any) -> None:
    given = (body.get("metadata") or {}) if isinstance(body, dict) else {}
    if given.get("resourceVersion", before["metadata"]["resourceVersion"]) != before["metadata"]["resourceVersion"]:
        raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on {path.resource} "{path.name}"')
    if given.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
        raise Refusal(422, "Invalid", f'{path.resource} "{path.name}": metadata.uid: field is immutable')


def _with_identity(after: Json, before: Json) -> Json:
    """An update never changes who an object is."""
    kept = {k: before["metadata"][k] for k in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
            if k in before["metadata"]}  # fmt: skip
    metadata = {**(after.get("metadata") or {}), **kept}
    metadata.setdefault("generation", before["metadata"].get("generation", 1))
    return {**after, "apiVersion": before["apiVersion"], "kind": before["kind"], "metadata": metadata}


def _content(raw: Json) -> Json:
    metadata = {k: v for k, v in raw["metadata"].items() if k not in ("resourceVersion", "generation")}
    return {**raw, "metadata": metadata}


def copied(value: T) -> T:
    """A JSON value that shares nothing with the old one."""
    try:
        same: T = marshal.loads(marshal.dumps(value))  # type: ignore[arg-type]  # what it cannot write it says
    except ValueError:  # such as an enumeration's member
        same = json.loads(json.dumps(value))
    return same


def now() -> str:
    """The time as API servers write it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
