"""Manifests of a country and its jobs from files, checked as the API server and the operator would check them."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError

from suanli.api import (
    KINDS,
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
from suanli.api.kind import parse
from suanli.api.policy import Enforcement
from suanli.base.names import API_VERSION, GROUP
from suanli.base.reasons import Reason
from suanli.base.untrusted import text as shown_text
from suanli.billing.facts import customers_of
from suanli.billing.funds import Asked, Funds, Spent, funds_of, spent_of
from suanli.billing.quote import Quotes
from suanli.placement.accounts import Accounts
from suanli.placement.consistency import link_trouble, policy_findings, site_trouble
from suanli.placement.snapshot import Country

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
NATIONAL = "national"
WHAT_IF = "WhatIf"  # no resource: what `suanli what-if` tries
DEFAULT_NAMESPACE = "default"
MAX_FILE_BYTES = 64 << 20
MAX_OBJECT_BYTES = 256 << 10  # as in the operator's mirror
MAX_SHOWN = 80
MODELS: Mapping[str, type[Resource]] = {model.kind_info.kind: model for model in PLACEMENT_KINDS}
ALL: Mapping[str, type[Resource]] = {model.kind_info.kind: model for model in KINDS}
DOCUMENT = re.compile(r"^---(?=\s|$)", re.MULTILINE)
STRING_TAG = "tag:yaml.org,2002:str"

Raw = dict[str, Any]

if TYPE_CHECKING:
    from yaml import SafeLoader as _Fastest
else:
    # libyaml's loader is several times faster; it is there in every usual build of PyYAML.
    _Fastest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fastest):
    """YAML as kubectl reads it: times and clock readings are text, and a field stands in an object once."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        """The type of a value without quotes; `12:30` would be a number of base 60."""
        tag: Any = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        is_clock = tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and ":" in str(value)
        return STRING_TAG if is_clock or tag == "tag:yaml.org,2002:timestamp" else tag

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """An object. Raises: ConstructorError where a field stands twice."""
        names = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in names:
                    raise ConstructorError(
                        None, None, f'field "{key.value}" stands twice in one object', key.start_mark
                    )
                names.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass
class Manifests:
    """All that was read, what is wrong with the rest, and what is odd about it."""

    regions: dict[str, ComputeRegion] = field(default_factory=dict)
    links: dict[str, ComputeLink] = field(default_factory=dict)
    policies: dict[str, HubPolicy] = field(default_factory=dict)
    sites: dict[str, ComputeSite] = field(default_factory=dict)
    accounts: dict[str, ComputeAccount] = field(default_factory=dict)
    tariffs: dict[str, Tariff] = field(default_factory=dict)
    jobs: dict[str, ComputeJob] = field(default_factory=dict)  # by namespace/name
    places: dict[tuple[str, str], str] = field(default_factory=dict)  # by kind and name, where it was read
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spent: dict[str, Spent] = field(default_factory=dict)  # by account, as far as its status tells it
    changes: list[tuple[str, Raw]] = field(default_factory=list)  # documents of kind WhatIf, and where they stand

    @property
    def country(self) -> Country:
        """The map with the national policy, and what runs cost by the tariffs."""
        charges = Quotes.of(self.tariffs.values(), customers_of(self.accounts.values())) if self.tariffs else None
        return Country(self.regions, self.links, self.policies.get(NATIONAL), charges=charges)

    @property
    def tenants(self) -> Accounts:
        """The accounts, and whose the namespaces are."""
        return Accounts(self.accounts)

    def funds(self, freed: Iterable[Asked], now_ms: int, timezone: str) -> Funds | None:
        """What accounts can spend; `freed` jobs hold money no more that the accounts' status counts."""
        tenants = self.tenants
        lineages = {name: [self.accounts[n] for n in tenants.lineage(name)] for name in self.accounts}
        return funds_of(lineages, self.spent, freed, now_ms, timezone)

    def says(self, kind: str, name: str, text: str) -> str:
        """A sentence about one object, with the file it stands in."""
        return f"{self.places[kind, name]}: {kind} {name}: {text}"


def read(paths: Iterable[Path]) -> Manifests:
    """Read files, and the YAML and JSON files of folders; one bad object never hides another."""
    found = Manifests()
    for path in paths:
        for file in _files(path, found.problems):
            for place, raw in _objects(file, found.problems):
                if raw.get("kind") == WHAT_IF and str(raw.get("apiVersion")).startswith(f"{GROUP}/"):
                    found.changes.append((place, raw))
                else:
                    take(found, place, raw)
    compare(found)
    return found


def _files(path: Path, problems: list[str]) -> Iterator[Path]:
    if str(path) == STDIN or path.is_file():
        yield path
    elif path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix in SUFFIXES and f.is_file())
        if not files:
            problems.append(f"{path}: there is no {', '.join(SUFFIXES)} file in it; name a folder of manifests")
        yield from files
    else:
        problems.append(f"{path}: it does not exist; name a file or folder of manifests")


def _objects(file: Path, problems: list[str]) -> Iterator[tuple[str, Raw]]:
    """Objects of a file, those of a List one by one. A document that cannot be read hides none of the others."""
    name = "standard input" if str(file) == STDIN else str(file)
    text = _text(file, name, problems)
    if text is None:
        return
    documents = [(None, text)] if file.suffix == ".json" else list(_documents(text))
    for i, (line, document) in enumerate(documents, 1):
        place = f"{name} (document {i})" if len(documents) > 1 else name
        try:
            values = [json.loads(document)] if line is None else list(yaml.load_all(document, Loader=_Loader))
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            problems.append(f"{place}: it is not YAML or JSON: {_trouble(error, line or 0)}; correct it")
            continue
        for value in values:
            if value is not None:
                yield from _listed(place, value, problems)


def _text(file: Path, name: str, problems: list[str]) -> str | None:
    try:
        if str(file) == STDIN:
            return sys.stdin.read()
        if file.stat().st_size > MAX_FILE_BYTES:
            problems.append(f"{name}: it is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
            return None
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"{name}: {error.strerror}; name a file that can be read")
    except UnicodeDecodeError as error:
        problems.append(f"{name}: it is not UTF-8 at byte {error.start}; save it as UTF-8")
    return None


def _documents(text: str) -> Iterator[tuple[int, str]]:
    """The documents of a YAML stream that hold more than comments, each with the number of lines before it."""
    begins = [match.start() for match in DOCUMENT.finditer(text)]
    line = 0
    for begin, end in zip([0, *begins], [*begins, len(text)], strict=True):
        document = text[begin:end]
        if any(row.strip() and not row.lstrip().startswith("#") for row in document.removeprefix("---").splitlines()):
            yield line, document
        line += document.count("\n")


def _listed(place: str, value: object, problems: list[str]) -> Iterator[tuple[str, Raw]]:
    if not isinstance(value, dict):
        problems.append(f"{place}: it is not an object; each document needs apiVersion, kind and metadata")
    elif value.get("kind") == "List" and isinstance(value.get("items"), list):
        for i, item in enumerate(value["items"]):
            yield from _listed(f"{place}: items[{i}]", item, problems)
    else:
        yield place, value


def _trouble(error: Exception, line: int) -> str:
    """What a parser says, in one line, with the line of the file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} (line {line + error.problem_mark.line + 1})"
    return shown_text(" ".join(str(error).split()), 200)


def take(found: Manifests, place: str, raw: Raw) -> None:
    """Put one object where it belongs. Objects of other groups are none of our business."""
    kind, version = raw.get("kind"), raw.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        found.problems.append(f"{place}: it has no apiVersion and kind; write both")
        return
    if not version.startswith(f"{GROUP}/"):
        return
    model = ALL.get(kind)
    if model is None or version != API_VERSION:
        known = f"{API_VERSION} with {', '.join(ALL)}"
        told = f'apiVersion "{shown_text(version, MAX_SHOWN)}", kind "{shown_text(kind, MAX_SHOWN)}"'
        found.problems.append(f"{place}: {told} is not known; there is {known}")
        return
    resource = _resource(found, place, model, raw)
    if resource is None or kind not in MODELS:  # vouchers and statements change no placement
        return
    name = _name(resource)
    kept = by_kind(found)[kind]
    if name in kept:
        found.problems.append(f"{place}: {kind} {name} is there twice, first in {found.places[kind, name]}; leave one")
        return
    kept[name] = resource
    found.places[kind, name] = place
    if kind == "ComputeAccount":
        found.spent |= spent_of(name, raw.get("status"))


def _resource(found: Manifests, place: str, model: type[Resource], raw: Raw) -> Resource | None:
    """The typed object; None, and its problems, if it is not one that can be meant."""
    metadata = raw.get("metadata")
    told = f"{place}: {raw['kind']} {_told(metadata) if isinstance(metadata, dict) else 'without metadata'}"
    if not is_bounded(raw) or len(json.dumps(raw.get("spec"), default=str)) > MAX_OBJECT_BYTES:
        found.problems.append(f"{told}: spec: it is larger than {MAX_OBJECT_BYTES >> 10} KiB; make it smaller")
        return None
    try:
        return parse(model, without_nulls({key: value for key, value in raw.items() if key != "status"}))
    except ValidationError as error:
        found.problems += [f"{told}: {sentence(detail)}" for detail in error.errors()]
        return None


def is_bounded(value: Any) -> bool:
    """Whether it has no more values than bytes are allowed: aliases can make much out of little."""
    left, waiting = MAX_OBJECT_BYTES, [value]
    while waiting and left >= 0:
        inner = waiting.pop()
        left -= 1
        if isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)
    return left >= 0


def without_nulls(value: Any) -> Any:
    """A field that is null is not set, for the API server as well."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _name(resource: Resource) -> str:
    """The name by which it is kept."""
    name = resource.metadata.name
    return f"{resource.metadata.namespace or DEFAULT_NAMESPACE}/{name}" if isinstance(resource, ComputeJob) else name


def _told(metadata: Mapping[str, Any]) -> str:
    """The name of an object that may be no object of ours."""
    parts = [metadata.get("namespace"), metadata.get("name")]
    return "/".join(shown_text(part, MAX_SHOWN) for part in parts if isinstance(part, str)) or "without a name"


def by_kind(found: Manifests) -> Mapping[str, dict[str, Any]]:
    """The objects of each kind, by name."""
    return {
        "ComputeRegion": found.regions,
        "ComputeLink": found.links,
        "HubPolicy": found.policies,
        "ComputeSite": found.sites,
        "ComputeAccount": found.accounts,
        "Tariff": found.tariffs,
        "ComputeJob": found.jobs,
    }


def sentence(detail: Mapping[str, Any]) -> str:
    """One thing that a model says is wrong: field, value, remedy."""
    where = ".".join(str(part) for part in detail["loc"]) or "the object"
    if detail["type"] == "missing":
        return f"{where}: it is missing; add it"
    if detail["type"] == "extra_forbidden":
        return f"{where}: there is no such field; correct its name or remove it"
    value, text = detail["input"], str(detail["msg"]).removeprefix("Value error, ")
    if isinstance(value, (dict, list)):
        return f"{where}: {text}"
    shown = shown_text(str(value), MAX_SHOWN + 1)
    return f'{where}: "{shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."}": {text}'


def compare(found: Manifests) -> None:
    """What objects say of one another. What the API server would refuse, or the operator could not use, is left out."""
    country, places = found.country, {*found.regions, *found.sites}
    tenants = found.tenants
    for name in found.accounts:
        if wrong := tenants.trouble(name):
            found.problems.append(found.says("ComputeAccount", name, wrong[1]))
    for name, link in found.links.items():
        if trouble := link_trouble(link, places):
            found.problems.append(found.says("ComputeLink", name, trouble[1]))
    for name, policy in found.policies.items():
        for finding in policy_findings(Country(found.regions, found.links, policy), found.sites.values()):
            told = found.says("HubPolicy", name, finding.text)
            (found.problems if finding.is_error else found.warnings).append(told)
        if name != NATIONAL:
            text = f'metadata.name: "{name}": only the one named {NATIONAL} is in force; give it that name'
            found.warnings.append(found.says("HubPolicy", name, text))
    for name, site in list(found.sites.items()):
        if site.spec.region not in found.regions:
            text = f'spec.region: "{site.spec.region}" is no ComputeRegion; create it or correct the name'
            found.problems.append(found.says("ComputeSite", name, text))
            del found.sites[name]
        elif trouble := site_trouble(site, country.policy):
            told = found.says("ComputeSite", name, trouble[1])
            if trouble[0] is Reason.OUTSIDE_HUBS and _is_refused(country.policy):
                found.problems.append(f"{told}; make it smaller or choose a region of a hub")
                del found.sites[name]
            else:
                found.warnings.append(told)


def _is_refused(policy: HubPolicy | None) -> bool:
    """Whether the policy has sites refused that are too large."""
    limit = policy.spec.new_build if policy else None
    return limit is not None and limit.enforcement is Enforcement.DENY


def documents(path: Path, problems: list[str]) -> Iterator[tuple[str, Raw]]:
    """All objects of a file or folder as they stand there, and where; what cannot be read is told in `problems`."""
    for file in _files(path, problems):
        yield from _objects(file, problems)
