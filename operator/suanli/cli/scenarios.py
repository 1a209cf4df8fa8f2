"""Scenarios and traces from files."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from suanli.api.site import ComputeSite
from suanli.cli.manifests import Manifests, documents, read, sentence
from suanli.placement.accounts import Accounts
from suanli.placement.snapshot import Country
from suanli.simulate import trace
from suanli.simulate.scenario import API_VERSION, KIND, Scenario, ScenarioSpec, completed, troubles

GZIP = b"\x1f\x8b"


class BadInput(Exception):
    """What is wrong with the files, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Stage:
    """A scenario with its country."""

    name: str
    spec: ScenarioSpec
    country: Country
    sites: tuple[ComputeSite, ...]
    warnings: tuple[str, ...]
    accounts: Accounts = field(default_factory=Accounts)
    balances: Mapping[str, int] = field(default_factory=dict)  # of prepaid accounts, micro-yuan


def read_stage(path: Path) -> Stage:
    """A scenario's file or folder, and the manifests that it names. Raises: BadInput."""
    problems: list[str] = []
    told = [
        (place, raw)
        for place, raw in documents(path, problems)
        if raw.get("kind") == KIND and raw.get("apiVersion") == API_VERSION
    ]
    _stop(problems)
    if len(told) > 1:
        _stop([f"{place}: a {KIND} stands there, and one in {told[0][0]}; leave one" for place, _ in told[1:]])
    scenario, place = (_scenario(*told[0]), told[0][0]) if told else (None, str(path))
    spec = scenario.spec if scenario else ScenarioSpec()
    found = read(_country(path, spec, bool(told)))
    _stop(found.problems)
    stage = _stage(scenario.metadata.name if scenario else path.resolve().name, spec, found)
    _stop([f"{place}: {trouble}" for trouble in troubles(stage.spec, stage.country, found.sites, found.accounts)])
    if scenario is None:
        text = (
            f"{path}: there is no {KIND} in it, so every region sends as many jobs, all of category General and of no tier, on any card; "
            "write how jobs are made (docs/simulate.md)"
        )
        return replace(stage, warnings=(*stage.warnings, text))
    return stage


def read_trace(path: Path, spec: ScenarioSpec) -> trace.Trace:
    """A trace's file, plain or packed with gzip. Raises: BadInput."""
    names = spec.trace
    columns = trace.Columns(names.arrival, names.length, names.units, names.time_unit)
    try:
        return trace.read(_lines(path), columns)
    except UnicodeDecodeError as error:
        raise BadInput([f"{path}: it is not UTF-8 at byte {error.start}; save it as UTF-8"]) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput([f"{path}: it cannot be unpacked: {error}; pack it with gzip again"]) from error
    except OSError as error:
        raise BadInput([f"{path}: {error.strerror}; name a file that can be read"]) from error
    except ValueError as error:
        raise BadInput([f"{path}: {error}"]) from error


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    with gzip.open(path, "rt", encoding="utf-8-sig") if packed else path.open(encoding="utf-8-sig") as lines:
        yield from lines


def _scenario(place: str, raw: dict[str, object]) -> Scenario:
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise BadInput([f"{place}: {KIND}: {sentence(detail)}" for detail in error.errors()]) from error


def _country(path: Path, spec: ScenarioSpec, told: bool) -> list[Path]:
    """Where the manifests are: as the scenario says, seen from where it stands."""
    folder = path if path.is_dir() else path.parent
    if spec.country:
        return [folder / name for name in spec.country]
    return [folder] if told else [path]


def _stage(name: str, spec: ScenarioSpec, found: Manifests) -> Stage:
    sites = {n: site for n, site in found.sites.items() if not spec.sites or n in spec.sites}
    country = found.country
    whole = completed(spec, country, sites)
    limited = any(kind.account in found.accounts for kind in whole.kinds)
    accounts = found.tenants if limited else Accounts()
    paid_in = {account: told.balance for account, told in found.spent.items() if told.balance is not None}
    return Stage(name, whole, country, tuple(sites.values()), tuple(found.warnings), accounts, paid_in)


def _stop(problems: list[str]) -> None:
    if problems:
        raise BadInput(problems)
