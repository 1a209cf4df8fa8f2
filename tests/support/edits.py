"""Edits of every field of every kind, valid and not, drawn from a seed by what the kinds' own schemas say of the field."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any

from pydantic import ValidationError

from apistore import Json, copied
from builders import a_job, a_region, a_site, an_object
from simulation import Simulation
from suanli.api import PLACEMENT_KINDS, Tariff
from suanli.api.crd import schema

EDITS_EACH = 24
MOST_OPEN_S = 6.0
MOST = 1 << 62
ABSENT = object()
# A Tariff cannot be edited.
MODELS = {model.kind_info.kind: model for model in PLACEMENT_KINDS if model is not Tariff}


class How(StrEnum):
    """What an edit makes of a field."""

    OTHER = "Other"  # a value that is as good as the declared one
    EDGE = "Edge"  # the largest or the least, or one beyond
    WRONG_TYPE = "WrongType"
    MISSING = "Missing"
    LONG = "Long"
    UNICODE = "Unicode"


HOWS = tuple(How)


@dataclass(frozen=True)
class Field:
    """One field of one kind: "ComputeSite.spec.resources[].class"; `path` has its parts, "[]" an item, "{}" a value."""

    kind: str
    path: tuple[str, ...]

    @property
    def label(self) -> str:
        """As people write it."""
        parts = [part if part in ("[]", "{}") else f".{part}" for part in self.path]
        return self.kind + "".join(parts)


@dataclass(frozen=True)
class Edit:
    """A field of a named object is made `value` at a moment, and set back later. Units: seconds of the run."""

    field: Field
    name: str
    place: tuple[str | int, ...]
    how: How
    value: Any
    start_s: float
    end_s: float

    @property
    def label(self) -> str:
        """For people: a long value is cut."""
        shown = "absent" if self.value is ABSENT else repr(self.value)
        where = ".".join(map(str, self.place))
        return f"{self.start_s:.1f}-{self.end_s:.1f} s {self.field.kind} {self.name} {where}: {self.how} {shown[:80]}"


@cache
def fields() -> tuple[Field, ...]:
    """Every field of every kind that people write, and of every status of the map, in an order that mixes them.

    A job's status is left out: it is the only record of where an attempt is. What becomes of a damaged one, `people` ask.
    """
    found = [Field(kind, path) for kind in MODELS for path, _ in _below(("spec",), _schema(kind)["spec"])]
    statuses = [kind for kind in MODELS if kind != "ComputeJob"]
    found += [Field(kind, path) for kind in statuses for path, _ in _below(("status",), _schema(kind)["status"])]
    Random("fields").shuffle(found)
    return tuple(found)


def draw(seed: int) -> list[Edit]:
    """The edits of a seed. Seeds in a row take the fields in turn, and each field every way in turn."""
    random, whole = Random(f"edits {seed}"), fields()
    numbers = [divmod(seed * EDITS_EACH + n, len(whole)) for n in range(EDITS_EACH)]
    random.shuffle(numbers)
    edits, at_s = [], 0.0
    for met, number in numbers:
        at_s += random.expovariate(1.5)
        edits.append(_drawn(random, whole[number], met + number, at_s))
    return edits


@cache
def declared() -> tuple[Json, ...]:
    """What an administrator and two tenants keep under version control: every kind, and nearly every field of it.

    Nobody changes these objects.
    """
    return (
        a_region(province="上海市"),
        a_region("guizhou", latitude="26.65", longitude="106.63"),
        an_object("ComputeLink", "backbone", _LINK),
        an_object("HubPolicy", "national", _POLICY),
        an_object("ComputeAccount", "ministry", {"quotas": [{"type": "General", "nominal": 200}]}),
        an_object("ComputeAccount", "bureau", _ACCOUNT),
        a_site("east", metadata=_OWNED, **_SITE),
        a_site("west", metadata=_OWNED, **{**_SITE, "region": "guizhou", "connection": _connection("west")}),
        a_job("far", **_job("9", latency={"tier": "country"})),
        a_job("near", **_job("3", latency={"oneWay": "50ms"}, tasks=2, qos="High")),
        a_job("plain", template={"image": "busybox", "command": ["sleep", "6"]}),
    )


def is_taken(raw: Json) -> bool:
    """Whether the model of its kind takes it: what it refuses, the API server refuses too."""
    try:
        MODELS[raw["kind"]].model_validate({**raw, "status": None})
    except ValidationError:
        return False
    return True


def edited(raw: Json, edit: Edit) -> Json:
    """The object with that one field made so; whatever is on the way and not there is made, too."""
    return _set(raw, edit.place, edit.value)


class Editors:
    """Who makes the edits while jobs run, and sets each back."""

    def __init__(self, simulation: Simulation, edits: Sequence[Edit]) -> None:
        self.sim = simulation
        self.done: list[Edit] = []  # that changed something
        self._edits = edits
        # A spec is set back to what is declared, a status to what stood there at the begin.
        self._right = {_key(raw): {**raw, "status": self._now(*_key(raw)).get("status")} for raw in declared()}

    async def act(self) -> None:
        """All of them; afterwards everything is as it was."""
        async with asyncio.TaskGroup() as group:
            for edit in self._edits:
                group.create_task(self._one(edit))
        for (kind, name), right in self._right.items():
            status = {} if kind == "ComputeJob" else {"status": right["status"]}
            self.sim.hub.put({**self._now(kind, name), "spec": right["spec"], **status})

    async def _one(self, edit: Edit) -> None:
        key, top = (edit.field.kind, edit.name), edit.place[:2]
        await asyncio.sleep(edit.start_s)
        before = self._now(*key)
        after = edited(before, edit)
        if after != before:
            self.sim.hub.put(after)
            self.done.append(edit)
        await asyncio.sleep(edit.end_s - edit.start_s)
        self.sim.hub.put(_set(self._now(*key), top, _got(self._right[key], top)))

    def _now(self, kind: str, name: str) -> Json:
        return self.sim.of_kind(kind)[name]


def _key(raw: Json) -> tuple[str, str]:
    return str(raw["kind"]), str(raw["metadata"]["name"])


# --- what is declared

_OWNED = {"labels": {"owner": "bank"}}
_LINK = {
    "endpoints": ["shanghai", "guizhou"],
    "oneWay": "9ms",
    "bandwidth": "400G",
    "pricePerGib": "0.01",
    "operator": "Guizhou Backbone",
    "desiredState": "Up",
}
_POLICY = {
    "hubs": [
        {
            "name": "delta",
            "side": "East",
            "regions": [],
            "clusters": [{"name": "qingpu", "regions": ["shanghai"], "pueCeiling": "1.25"}],
        },
        {"name": "guizhou", "side": "West", "regions": ["guizhou"]},
    ],
    "latencyTiers": [{"name": "country", "oneWay": "40ms"}, {"name": "city", "oneWay": "1ms"}],
    "placementRules": [
        {
            "name": "west",
            "match": {
                "categories": ["Backup"],
                "originSides": ["East"],
                "computeTypes": ["General"],
                "tiers": ["any", "country"],
            },
            "effect": "Prefer",
            "sides": ["West"],
            "hubs": ["guizhou"],
            "siteSelector": {"matchLabels": {"owner": "bank"}},
            "weight": "500000",
        }
    ],
    "newBuild": {"since": "2024-01-01", "maxRacksOutsideHubs": 2999, "enforcement": "Warn"},
    "greenSites": {"minGreenShare": "0.80", "maxPue": "1.25", "tiers": ["any"]},
    "pairings": [
        {
            "from": "delta",
            "to": "guizhou",
            "kind": "Pairing",
            "siteSelector": {"matchLabels": {"owner": "bank"}},
            "weight": "500000",
        }
    ],
    "transferPricePerGib": "0.02",
    "carbonPricePerTonne": "80",
    "targets": [{"kpi": "average-pue", "comparison": "AtMost", "value": "1.5", "by": "2027-12-31"}],
}
_ACCOUNT = {
    "namespaces": ["team-a"],
    "parent": "ministry",
    "customerClass": "public",
    "plan": "spot",
    "packages": [
        {"provider": "east", "package": "flat", "since": "2026-01-01", "until": "2027-01-01"},
        {"provider": "west", "package": "flat", "since": "2026-01-01"},
    ],
    "weight": 3,
    "quotas": [
        {"class": "cpu", "nominal": 60, "borrowingLimit": 16},
        {"type": "General", "nominal": 90, "borrowingLimit": 0},
    ],
    "payment": "Postpaid",
    "budget": {"amount": "900000000000", "period": "Quarter"},
    "marginPermille": 200,
    "warnAtPercent": 90,
    "whenSpent": {"action": "Finish", "grace": "2m"},
}


def _connection(site: str) -> Json:
    return {"kubeconfigSecretRef": {"name": f"site-{site}"}}


_SITE = {
    "operator": "一家公司",
    "standardRacks": 500,
    "builtOn": "2023-05-01",
    "desiredState": "Active",
    "resources": [
        {
            "class": "cpu",
            "type": "General",
            "resourceName": "cpu",
            "unit": "Core",
            "precision": "FP64",
            "petaflops": "0.002",
            "listPrice": "0.10",
            "ratedPowerW": 6,
            "labels": {"vendor": "any"},
            "declaredUnits": 64,
        },
        {
            "class": "gpu",
            "type": "Intelligent",
            "resourceName": "nvidia.com/gpu",
            "unit": "Card",
            "nodeLabels": {"pool": "gpu"},
        },
    ],
    "declaredCapacity": {"cpu": "64", "memory": "256Gi"},
    "energy": {
        "pue": "1.2",
        "greenShare": "0.5",
        "gridFactorGPerKwh": 500,
        "timezone": "Asia/Shanghai",
        "priceSchedule": [{"from": "22:00", "to": "06:00", "months": [1, 2, 3], "pricePerKwh": "0.335"}],
        "hourlyPrices": {"from": "2026-03-01T16:00:00+08:00", "pricesPerKwh": ["0.312", "-0.02"]},
    },
    "allowedAccounts": ["bureau"],
    "dataDomains": ["health"],
    "cachedDatasets": ["maps"],
}


def _job(seconds: str, **spec: Any) -> Json:
    return {
        "category": "Backup",
        "template": {
            "image": "busybox",
            "command": ["sleep", seconds],
            "args": ["--all"],
            "env": [{"name": "A", "value": "1"}],
            "workingDir": "/work",
            "scratch": {"size": "1Gi", "mountPath": "/scratch"},
        },
        "resources": {"class": ["cpu"], "perTask": {"cpu": "1", "memory": "1Gi", "cards": 0}},
        "data": {
            "inputs": [{"name": "in", "region": "shanghai", "size": "1Gi", "dataset": "maps"}],
            "outputs": {"region": "guizhou", "size": "1Gi"},
            "allowedRegions": ["shanghai", "guizhou"],
            "allowedSites": ["east", "west"],
            "domain": "health",
        },
        "timing": {
            "expectedDuration": "1h",
            "notBefore": "2026-03-01T07:00:00Z",
            "deadline": "2026-03-09T08:00:00Z",
            "deferrable": "1s",
        },
        "priority": 3,
        "failover": "AtMostOnce",
        "checkpoint": {"size": "1Gi", "site": "east"},
        "limits": {"maxCost": "900000000", "retries": 2, "activeDeadline": "2h"},
        "desiredState": "Running",
        **spec,
    }


# --- what a field can be made

_WRONG: tuple[Any, ...] = (7, -1, 1.5, True, None, "", "seven", [], [7], [None], {}, {"a": {"b": []}}, [[["x"]]])
_UNICODE = ("上海", "é", "👩‍💻", "\u202etxt.exe", "a\x00b", "a\nb", "İ", "ａ", "ß" * 63, "x\u2028y")
# Each text of a spec has the shape of one of these.
_TEXTS = (
    *("east", "west", "shanghai", "guizhou", "cpu", "gpu", "any", "country", "team-a", "bureau", "ministry", "maps", "site-west"),
    *("0", "1", "0.5", "1.18", "5", "90", "-0.01", "64", "500m", "64Gi", "2Ti", "1M", "400G"),
    *("1us", "8ms", "10s", "1s", "6h", "8760h", "00:00", "12:30", "24:00", "UTC", "Asia/Urumqi"),
    *("2025-12-31", "2026-03-01T08:00:10Z", "2026-03-01T16:00:30+08:00", "2030-01-01T00:00:00Z"),
    *("nvidia.com/gpu", "huawei.com/npu", "/tmp", "/var/x", "team/train:1.4", "A", "上海", "1000000", "another"),
)  # fmt: skip


def _drawn(random: Random, field: Field, met: int, at_s: float) -> Edit:
    raw, place = _somewhere(random, field)
    now, told = _got(raw, place), _schema_at(field)
    how = HOWS[met % len(HOWS)]
    value = _VALUES[how](random, told, now)
    if how is How.OTHER:
        good = (v for v in value if v != now and (place[0] == "status" or is_taken(_set(raw, place, v))))
        value = next(good, ABSENT)
    return Edit(field, raw["metadata"]["name"], place, how, value, at_s, at_s + random.uniform(0.1, MOST_OPEN_S))


def _somewhere(random: Random, field: Field) -> tuple[Json, tuple[str | int, ...]]:
    """A declared object of the kind and where the field is in it; one that has the field, if there is one."""
    found = []
    for raw in declared():
        if raw["kind"] == field.kind:
            places = list(_places(raw, field.path))
            found += [(raw, place) for place in places]
    there = [(raw, place) for raw, place in found if _got(raw, place) is not ABSENT]
    return random.choice(there or found)


def _places(at: Any, path: Sequence[str]) -> Iterator[tuple[str | int, ...]]:
    if not path:
        yield ()
        return
    first, rest = path[0], path[1:]
    keys: list[str | int] = [first]
    if first == "[]":
        keys = list(range(len(at))) if isinstance(at, list) and at else [0]
    elif first == "{}":
        keys = list(at) if isinstance(at, dict) and at else ["key"]
    for key in keys:
        for place in _places(_child(at, key), rest):
            yield (key, *place)


def _others(random: Random, told: Json, now: Any) -> list[Any]:
    """What may be as good as what is there."""
    if "enum" in told:
        pool = list(told["enum"])
    elif told["type"] == "integer":
        low, high = told["minimum"], told.get("maximum", MOST)
        pool = [low, high, *(random.randint(low, min(high, low + 100)) for _ in range(4))]
    elif told["type"] == "string":
        pool = list(_TEXTS)
    elif told["type"] == "array":
        items = now if isinstance(now, list) else []
        pool = [[], items[:-1], items[::-1]]
        pool += [[*items, other] for other in _others(random, told["items"], ABSENT)]
    else:
        whole = dict(now) if isinstance(now, dict) else {}
        pool = [{k: v for k, v in whole.items() if k != key} for key in whole]
        pool += [{}, {**whole, "more": "x"}]
    random.shuffle(pool)
    return pool


def _edges(random: Random, told: Json, now: Any) -> Any:
    if told["type"] == "integer":
        low, high = told["minimum"], told.get("maximum", MOST)
        return random.choice((low - 1, low, high, high + 1, 1 << 63, -(1 << 63)))
    if told["type"] == "string":
        most = told.get("maxLength", 64)
        return random.choice(("", "a" * most, "a" * (most + 1), "1" * most, "0" * most))
    if told["type"] == "array":
        items = now if isinstance(now, list) and now else ["a"]
        most = told["maxItems"]
        return random.choice(([], items * (most // len(items)), items * (most + 1), [*items, *items]))
    return random.choice(({}, {**(now if isinstance(now, dict) else {}), "unknownField": "x"}))


def _long(random: Random, told: Json, now: Any) -> Any:
    size = random.choice((5_000, 300_000))
    if told["type"] == "integer":
        return 10 ** random.choice((19, 30, 300))
    if told["type"] == "string":
        return random.choice(("x", "9", "上")) * size
    if told["type"] == "array":
        return (now if isinstance(now, list) and now else ["x"]) * 1_000
    return {f"key-{n}": "x" for n in range(1_000)}


def _unicode(random: Random, told: Json, now: Any) -> Any:
    text = random.choice(_UNICODE)
    if told["type"] == "array":
        return [text]
    return {text: text} if told["type"] == "object" else text


_VALUES: Mapping[How, Any] = {
    How.OTHER: _others,
    How.EDGE: _edges,
    How.WRONG_TYPE: lambda random, told, now: random.choice(_WRONG),
    How.MISSING: lambda random, told, now: ABSENT,
    How.LONG: _long,
    How.UNICODE: _unicode,
}


# --- schemas and places


@cache
def _schema(kind: str) -> Json:
    found: Json = schema(MODELS[kind])["properties"]
    return found


def _below(path: tuple[str, ...], told: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    """The schema and all in it, with where it is."""
    yield path, told
    for name, child in told.get("properties", {}).items():
        yield from _below((*path, name), child)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in told:
            yield from _below((*path, mark), told[key])


@cache
def _schema_at(field: Field) -> Json:
    top = field.path[0]
    return next(told for path, told in _below((top,), _schema(field.kind)[top]) if path == field.path)


def _child(at: Any, key: str | int) -> Any:
    if isinstance(at, list) and isinstance(key, int) and key < len(at):
        return at[key]
    return at[key] if isinstance(at, dict) and key in at else ABSENT


def _got(raw: Any, place: Sequence[str | int]) -> Any:
    for key in place:
        raw = _child(raw, key)
    return raw


def _set(raw: Json, place: Sequence[str | int], value: Any) -> Json:
    made: Json = _with(raw, place, value)
    return made


def _with(at: Any, place: Sequence[str | int], value: Any) -> Any:
    if not place:
        return copied(value)
    key, rest = place[0], place[1:]
    drop = not rest and value is ABSENT
    if isinstance(key, int):
        items = list(at) if isinstance(at, list) else []
        new = [] if drop else [_with(_child(items, key), rest, value)]
        return [*items[:key], *new, *items[key + 1 :]]
    whole = dict(at) if isinstance(at, dict) else {}
    if drop:
        whole.pop(key, None)
    else:
        whole[key] = _with(whole.get(key, ABSENT), rest, value)
    return whole
