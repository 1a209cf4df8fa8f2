"""Manifests of a country and its jobs from files, checked as the API server would check them."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from suanli.api import KINDS, ComputeJob, ComputeLink, ComputeRegion, ComputeSite, HubPolicy, Resource
from suanli.api.kind import parse
from suanli.base.names import API_VERSION, GROUP
from suanli.placement.consistency import link_trouble, policy_trouble, site_trouble
from suanli.placement.snapshot import Country

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
NATIONAL = "national"
DEFAULT_NAMESPACE = "default"
MAX_FILE_BYTES = 64 << 20
MODELS: Mapping[str, type[Resource]] = {model.kind_info.kind: model for model in KINDS}
# libyaml's loader is several times faster; it is there in every usual build of PyYAML.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Manifests:
    """All that was read, and what is wrong with the rest."""

    regions: dict[str, ComputeRegion] = field(default_factory=dict)
    links: dict[str, ComputeLink] = field(default_factory=dict)
    policies: dict[str, HubPolicy] = field(default_factory=dict)
    sites: dict[str, ComputeSite] = field(default_factory=dict)
    jobs: dict[str, ComputeJob] = field(default_factory=dict)  # by namespace/name
    problems: list[str] = field(default_factory=list)

    @property
    def country(self) -> Country:
        """The map with the national policy."""
        return Country(self.regions, self.links, self.policies.get(NATIONAL))


def read(paths: Iterable[Path]) -> Manifests:
    """Read files, and the YAML and JSON files of folders; one bad object never hides another."""
    found = Manifests()
    for path in paths:
        for file in _files(path, found.problems):
            for place, raw in _documents(file, found.problems):
                _take(found, place, raw)
    _compare(found)
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


def _documents(file: Path, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a file, those of a List one by one."""
    name = "standard input" if str(file) == STDIN else str(file)
    try:
        if str(file) != STDIN and file.stat().st_size > MAX_FILE_BYTES:
            problems.append(f"{name}: it is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
            return
        text = sys.stdin.read() if str(file) == STDIN else file.read_text(encoding="utf-8")
        documents = [d for d in yaml.load_all(text, Loader=LOADER) if d is not None]
    except OSError as error:
        problems.append(f"{name}: {error.strerror}; name a file that can be read")
        return
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        problems.append(f"{name}: it is not YAML or JSON: {' '.join(str(error).split())[:200]}")
        return
    for i, document in enumerate(documents, 1):
        place = f"{name} (document {i})" if len(documents) > 1 else name
        if not isinstance(document, dict):
            problems.append(f"{place}: it is not an object; each document needs apiVersion, kind and metadata")
        elif document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from ((place, item) for item in document["items"] if isinstance(item, dict))
        else:
            yield place, document


def _take(found: Manifests, place: str, raw: dict[str, Any]) -> None:
    """Put one object where it belongs. Objects of other groups are none of our business."""
    kind, version = str(raw.get("kind")), str(raw.get("apiVersion"))
    if not version.startswith(f"{GROUP}/"):
        return
    model = MODELS.get(kind)
    if model is None or version != API_VERSION:
        known = f"{API_VERSION} with {', '.join(MODELS)}"
        found.problems.append(f'{place}: apiVersion "{version}", kind "{kind}" is not known; there is {known}')
        return
    try:
        resource = parse(model, {k: v for k, v in raw.items() if k != "status"})
    except ValidationError as error:
        name = raw["metadata"].get("name") if isinstance(raw.get("metadata"), dict) else None
        found.problems += [f"{place}: {kind} {name}: {_sentence(detail)}" for detail in error.errors()]
        return
    name = resource.metadata.name
    if isinstance(resource, ComputeJob):
        name = f"{resource.metadata.namespace or DEFAULT_NAMESPACE}/{name}"
    kept = _kept(found)[kind]
    if name in kept:
        found.problems.append(f"{place}: {kind} {name} is there twice; leave one")
        return
    kept[name] = resource


def _kept(found: Manifests) -> Mapping[str, dict[str, Any]]:
    return {
        "ComputeRegion": found.regions,
        "ComputeLink": found.links,
        "HubPolicy": found.policies,
        "ComputeSite": found.sites,
        "ComputeJob": found.jobs,
    }


def _sentence(detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    shown = str(detail["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return f'{where}: "{shown}": {detail["msg"].removeprefix("Value error, ")}' if where else str(detail["msg"])


def _compare(found: Manifests) -> None:
    """What objects say of one another."""
    country, places = found.country, {*found.regions, *found.sites}
    for name, link in found.links.items():
        if trouble := link_trouble(link, places):
            found.problems.append(f"ComputeLink {name}: {trouble[1]}")
    for name, policy in found.policies.items():
        if trouble := policy_trouble(policy, found.regions):
            found.problems.append(f"HubPolicy {name}: {trouble[1]}")
    for name, site in list(found.sites.items()):
        if site.spec.region not in found.regions:
            text = f'spec.region: "{site.spec.region}" is no ComputeRegion; create it or correct the name'
            found.problems.append(f"ComputeSite {name}: {text}")
            del found.sites[name]
        elif trouble := site_trouble(site, country.policy):
            found.problems.append(f"ComputeSite {name}: {trouble[1]}")
