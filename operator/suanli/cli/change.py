"""The kind WhatIf: what is to be tried on a copy of the country. No resource; `suanli what-if` reads it from files.

    apiVersion: suanli.io/v1alpha1
    kind: WhatIf
    metadata: {name: zhongwei-is-lost}
    spec:
      remove:                              # objects that are no more
      - {kind: ComputeSite, name: zhongwei-dc1}
      apply: []                            # whole objects: new ones, and ones that replace their namesakes
      prices:                              # list prices; without site, of the class everywhere
      - {class: ascend-910b, factor: "1.2"}
      demand:                              # so many times the jobs that match; without match, all
      - {match: {categories: [ModelTraining], origins: [shanghai]}, factor: "2"}

The parts are done in this order; so are several documents.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from suanli.api.common import DecimalText, Model, Name
from suanli.api.job import Category
from suanli.api.policy import Side
from suanli.api.rule import Rule
from suanli.api.site import SiteResource
from suanli.base.names import API_VERSION
from suanli.base.units import MICRO, decimal_text, micro
from suanli.base.untrusted import text
from suanli.billing.funds import Spent
from suanli.cli.base import Base
from suanli.cli.manifests import (
    DEFAULT_NAMESPACE,
    MODELS,
    Manifests,
    Raw,
    by_kind,
    compare,
    is_bounded,
    sentence,
    take,
    without_nulls,
)
from suanli.placement.snapshot import WaitingJob

MOST_JOBS = 1_000_000
MOST_PRICE = 999_999 * MICRO


class Removed(Model):
    """An object that is no more."""

    kind: Literal["ComputeRegion", "ComputeLink", "HubPolicy", "ComputeSite", "ComputeAccount", "ComputeJob"]
    name: Name
    namespace: Annotated[str | None, Field(max_length=63)] = None

    @property
    def full_name(self) -> str:
        """The name by which it is kept."""
        return f"{self.namespace or DEFAULT_NAMESPACE}/{self.name}" if self.kind == "ComputeJob" else self.name


class NewPrice(Model):
    """Another list price of a class, at one site or everywhere."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            lambda price: (price.factor is None) != (price.list_price is None),
            "give either factor or listPrice",
            field="factor",
        ),
    )

    class_: Annotated[Name, Field(alias="class")]
    site: Name | None = None
    factor: DecimalText | None = None
    list_price: DecimalText | None = None


class Which(Model):
    """Jobs by what they are and where they come from: all given lists must match; an absent one matches all."""

    categories: Annotated[tuple[Category, ...], Field(max_length=16)] = ()
    origins: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    origin_sides: Annotated[tuple[Side, ...], Field(max_length=2)] = ()


class Demand(Model):
    """So many times the jobs that match."""

    match: Which = Which()
    factor: DecimalText


class WhatIfSpec(Model):
    """What is to be tried."""

    remove: Annotated[tuple[Removed, ...], Field(max_length=10_000)] = ()
    apply: Annotated[tuple[Raw, ...], Field(max_length=10_000)] = ()
    prices: Annotated[tuple[NewPrice, ...], Field(max_length=1_000)] = ()
    demand: Annotated[tuple[Demand, ...], Field(max_length=100)] = ()


class WhatIf(Model):
    """One document."""

    api_version: Literal["suanli.io/v1alpha1"]
    kind: Literal["WhatIf"]
    metadata: dict[str, Any] | None = None  # for people
    spec: WhatIfSpec


def changed(base: Base, changes: Sequence[tuple[str, Raw]]) -> Base:
    """A copy of the base with all changes made; what of them cannot be made is among its problems."""
    found, old, new = base.found, _copy(base.found), _copy(base.found)
    after = replace(base, found=new, waiting=dict(base.waiting), held=dict(base.held))
    wrong: list[str] = []
    for place, raw in changes:
        document = _document(place, raw, wrong)
        if document is not None:
            for part in PARTS:
                wrong += [f"{place}: {said}" for said in part(after, document.spec, place)]
    compare(old)  # a hub may hold what no manifest may: that is not the change's fault
    stands = {n: site for n, site in found.sites.items() if n not in old.sites and new.sites.get(n) is site}
    compare(new)
    new.sites |= stands
    new.problems = [*found.problems, *wrong, *(said for said in new.problems if said not in old.problems)]
    new.warnings = [*found.warnings, *(said for said in new.warnings if said not in old.warnings)]
    for name, held in list(after.held.items()):
        if held.site not in new.sites:
            after.waiting[name] = after.held.pop(name).job
    return after


def _copy(found: Manifests) -> Manifests:
    """The same objects, of which nothing is said yet."""
    return Manifests(
        regions=dict(found.regions),
        links=dict(found.links),
        policies=dict(found.policies),
        sites=dict(found.sites),
        accounts=dict(found.accounts),
        tariffs=dict(found.tariffs),
        jobs=dict(found.jobs),
        places=dict(found.places),
        spent=dict(found.spent),
    )


def _document(place: str, raw: Raw, problems: list[str]) -> WhatIf | None:
    if not is_bounded(raw):
        problems.append(f"{place}: WhatIf: it is too large; split it")
        return None
    try:
        return WhatIf.model_validate(without_nulls(raw))
    except ValidationError as error:
        problems += [f"{place}: WhatIf: {sentence(detail)}" for detail in error.errors()]
        return None


# --- the parts of a change


def _remove(base: Base, spec: WhatIfSpec, _: str) -> Iterator[str]:
    for i, gone in enumerate(spec.remove):
        objects = by_kind(base.found)[gone.kind]
        name = gone.full_name
        if objects.pop(name, None) is None:
            yield f'spec.remove.{i}.name: there is no {gone.kind} "{name}"{_near(name, objects)}'
        elif gone.kind == "ComputeJob":
            _forget(base, name)


def _apply(base: Base, spec: WhatIfSpec, place: str) -> Iterator[str]:
    scratch = Manifests()
    for i, raw in enumerate(spec.apply):
        if raw.get("apiVersion") != API_VERSION or raw.get("kind") not in MODELS:
            said = f'apiVersion "{text(raw.get("apiVersion"))}", kind "{text(raw.get("kind"))}" is not known'
            yield f"spec.apply.{i}: {said}; there is {API_VERSION} with {', '.join(MODELS)}"
        else:
            take(scratch, f"spec.apply.{i}", raw)
    yield from scratch.problems
    base.found.places |= {key: f"{place}: {part}" for key, part in scratch.places.items()}
    for kind, objects in by_kind(scratch).items():
        by_kind(base.found)[kind].update(objects)
    base.found.spent |= dict.fromkeys(scratch.accounts.keys() - base.found.spent.keys(), Spent()) | scratch.spent
    for name, job in scratch.jobs.items():
        _forget(base, name)
        account = job.metadata.namespace or DEFAULT_NAMESPACE
        base.waiting[name] = WaitingJob(name, job, account, base.now_ms)


def _prices(base: Base, spec: WhatIfSpec, _: str) -> Iterator[str]:
    sites = base.found.sites
    for i, price in enumerate(spec.prices):
        if price.site is not None and price.site not in sites:
            yield f'spec.prices.{i}.site: there is no ComputeSite "{price.site}"{_near(price.site, sites)}'
            continue
        hit = False
        for name in [price.site] if price.site is not None else list(sites):
            site = sites[name]
            resources = [_priced(r, price) if r.class_ == price.class_ else r for r in site.spec.resources]
            hit = hit or resources != site.spec.resources or any(r.class_ == price.class_ for r in resources)
            sites[name] = site.model_copy(update={"spec": site.spec.model_copy(update={"resources": resources})})
        if not hit:
            offered = {r.class_ for site in sites.values() for r in site.spec.resources}
            where = f"ComputeSite {price.site}" if price.site else "no site"
            does = "does not offer" if price.site else "offers"
            yield f'spec.prices.{i}.class: {where} {does} "{price.class_}"{_near(price.class_, offered)}'


def _demand(base: Base, spec: WhatIfSpec, _: str) -> Iterator[str]:
    for i, demand in enumerate(spec.demand):
        names = [name for name, job in _planned(base) if _matches(base, job, demand.match)]
        if not names:
            yield f"spec.demand.{i}.match: no job matches; correct it, or leave it out for all jobs"
            continue
        if len(base.waiting) + len(base.held) + len(names) * Decimal(demand.factor) > MOST_JOBS:
            yield f'spec.demand.{i}.factor: "{demand.factor}" makes more than {MOST_JOBS} jobs of {len(names)}; make it smaller'
            continue
        factor = micro(demand.factor)
        for k, name in enumerate(names):
            _multiply(base, name, (k + 1) * factor // MICRO - k * factor // MICRO)


PARTS: tuple[Callable[[Base, WhatIfSpec, str], Iterator[str]], ...] = (_remove, _apply, _prices, _demand)


def _planned(base: Base) -> list[tuple[str, WaitingJob]]:
    """Jobs that wait and jobs that have their place."""
    return [*base.waiting.items(), *((name, held.job) for name, held in base.held.items())]


def _matches(base: Base, job: WaitingJob, which: Which) -> bool:
    spec, country = job.job.spec, base.found.country
    return (
        (not which.categories or spec.category in which.categories)
        and (not which.origins or spec.origin in which.origins)
        and (not which.origin_sides or country.side(spec.origin) in which.origin_sides)
    )


def _multiply(base: Base, name: str, times: int) -> None:
    """So many of this job: none, itself, or itself with copies of its age."""
    job = base.waiting[name] if name in base.waiting else base.held[name].job
    if not times:
        _forget(base, name)
    for n in range(2, times + 1):
        metadata = job.job.metadata.model_copy(update={"name": f"{job.job.metadata.name}+{n}"})
        base.waiting[f"{name}+{n}"] = replace(
            job, uid=f"{job.uid}+{n}", job=job.job.model_copy(update={"metadata": metadata}), backoff={}
        )


def _forget(base: Base, name: str) -> None:
    base.waiting.pop(name, None)
    base.held.pop(name, None)


def _priced(resource: SiteResource, price: NewPrice) -> SiteResource:
    if price.list_price is not None:
        return resource.model_copy(update={"list_price": price.list_price})
    product = min(MOST_PRICE, micro(resource.list_price) * micro(price.factor or "1") // MICRO)
    return resource.model_copy(update={"list_price": decimal_text(product)})


def _near(name: str, names: Mapping[str, Any] | set[str]) -> str:
    near = get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "; correct it"
