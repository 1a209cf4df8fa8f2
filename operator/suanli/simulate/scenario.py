"""How rows of a trace become jobs of a country: what the trace does not tell, as weights and times in a small YAML."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from suanli.api.common import Cores, DataSize, DecimalText, FractionText, Int, Memory, Model, Name, Span, Text, Time
from suanli.api.job import Category, Failover
from suanli.api.rule import Rule
from suanli.api.site import ComputeSite, ComputeUnit
from suanli.base.clock import parse_time_ms
from suanli.placement.batch import ANY_TIER
from suanli.placement.snapshot import Country

API_VERSION = "simulate.suanli.io/v1alpha1"
KIND = "Scenario"

SIMULATED = "simulated"
Weight = Annotated[Int, Field(ge=1, le=1_000_000)]


class TraceColumns(Model):
    """What the columns of the trace are called."""

    arrival: Annotated[Text, Field(description="When the job came, since the trace began.")] = "arrival_time"
    length: Annotated[Text, Field(description="How long it ran.")] = "length"
    units: Annotated[Text, Field(description="Cards or cores that it asked for.")] = "cpus"
    time_unit: Annotated[Literal["ms", "s", "m", "h"], Field(description="The unit of both times.")] = "h"


class Classes(Model):
    """Classes of compute that would do, best first, and how often it is these."""

    names: Annotated[list[Name], Field(min_length=1, max_length=8, description="As in spec.resources.class of a job.")]
    weight: Annotated[Weight, Field(description="How often, against the others.")] = 1


class JobKind(Model):
    """A kind of jobs. Every weight counts against the others of its list."""

    name: Annotated[Name, Field(description="The kind's name.")]
    weight: Annotated[Weight, Field(description="How often a row is of this kind.")] = 1
    category: Annotated[Category, Field(description="What policy goes by.")] = Category.GENERAL
    tiers: Annotated[
        dict[Name, Weight],
        Field(min_length=1, max_length=16, description='Latency tiers of the policy, "any" for none, with weights.'),
    ] = {ANY_TIER: 1}
    origins: Annotated[
        dict[Name, Weight],
        Field(max_length=512, description="Regions that they come from, with weights; empty: the scenario's."),
    ] = {}
    classes: Annotated[list[Classes], Field(min_length=1, max_length=32, description="What they run on, with weights.")]
    unit: Annotated[ComputeUnit, Field(description="What a unit of the trace is: a Card or a Core.")] = ComputeUnit.CARD
    cpu_per_unit: Annotated[Cores, Field(description="Cores that come with a unit.")] = "1"
    memory_per_unit: Annotated[Memory, Field(description="Memory that comes with a unit.")] = "4Gi"
    most_units_per_task: Annotated[
        Int, Field(ge=1, le=1_024, description="A row with more becomes several equal tasks.")
    ] = 8
    account: Annotated[
        Name,
        Field(
            description="ComputeAccount of the country that they are of: its quotas, weight, customer class, plan, budget and "
            "prepayment count; absent: one that nothing limits."
        ),
    ] = SIMULATED
    priority: Annotated[Int, Field(ge=0, le=1_000_000, description="Higher goes first.")] = 0
    failover: Annotated[
        Failover, Field(description="What becomes of one whose site is out of reach, as in spec.failover of a job.")
    ] = Failover.AT_MOST_ONCE
    inputs: Annotated[
        dict[Annotated[str, Field(pattern="^0$")] | DataSize, Weight],
        Field(max_length=16, description='Sizes of what they read at their origin, "0" for nothing, with weights.'),
    ] = {}
    deferrable: Annotated[
        dict[Annotated[str, Field(pattern="^0$")] | Span, Weight],
        Field(max_length=16, description='How long they may be put off, "0" for not at all, with weights.'),
    ] = {}


class Outage(Model):
    """A time in which a site is out of reach."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            lambda outage: parse_time_ms(outage.from_) < parse_time_ms(outage.to),
            'to "{to}" does not come after from "{from}"; move one of them',
            field="to",
        ),
    )

    site: Annotated[Name, Field(description="The site.")]
    from_: Annotated[Time, Field(alias="from", description="When it goes.")]
    to: Annotated[Time, Field(description="When it is back.")]


class ScenarioSpec(Model):
    """What is simulated."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "",
            lambda spec: len({kind.name for kind in spec.kinds}) == len(spec.kinds),
            "two kinds have one name; name each once",
            field="kinds",
        ),
    )

    country: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1_024)]],
        Field(
            max_length=64,
            description="Manifests of the country, files or folders seen from this file; empty: its folder.",
        ),
    ] = []
    sites: Annotated[list[Name], Field(max_length=4_096, description="Only these sites; empty: all.")] = []
    capacity_share: Annotated[
        FractionText, Field(description="What the trace's users have of what the sites declare.")
    ] = "1"
    start: Annotated[Time, Field(description="When the trace begins.")] = "2026-01-01T00:00:00+08:00"
    trace: Annotated[TraceColumns, Field(description="What the columns of the trace are called.")] = TraceColumns()
    origins: Annotated[
        dict[Name, Weight],
        Field(max_length=4_096, description="Regions that jobs come from, with weights; empty: all."),
    ] = {}
    kinds: Annotated[
        list[JobKind],
        Field(max_length=256, description="Kinds of jobs; empty: one, of any class that is counted in cards."),
    ] = []
    outages: Annotated[
        list[Outage], Field(max_length=1_024, description="When sites are out of reach; empty: never.")
    ] = []
    duration_error: Annotated[
        DecimalText,
        Field(
            description="How wrong expected run times are: standard deviation of the logarithm of expected over real."
        ),
    ] = "0"
    redraws: Annotated[
        Int,
        Field(
            ge=0,
            le=100,
            description="How often a row is drawn anew for which no site could ever take the job; then it is left out.",
        ),
    ] = 0


class ScenarioMetadata(Model):
    """The scenario's name."""

    name: Annotated[Name, Field(description="The name.")]


class Scenario(Model):
    """How rows of a trace become jobs of a country."""

    api_version: Annotated[Literal["simulate.suanli.io/v1alpha1"], Field(description="The version of this format.")]
    kind: Annotated[Literal["Scenario"], Field(description="Always Scenario.")]
    metadata: Annotated[ScenarioMetadata, Field(description="The scenario's name.")]
    spec: Annotated[ScenarioSpec, Field(description="What is simulated.")] = ScenarioSpec()


def completed(spec: ScenarioSpec, country: Country, sites: Mapping[str, ComputeSite]) -> ScenarioSpec:
    """With what was left empty: all regions alike, and one kind of jobs on any class that most sites count alike."""
    origins = spec.origins or dict.fromkeys(country.regions, 1)
    return spec.model_copy(update={"origins": origins, "kinds": spec.kinds or list(_plain_kinds(sites))})


def _plain_kinds(sites: Mapping[str, ComputeSite]) -> Iterator[JobKind]:
    """One kind on every class of cards; of cores where nobody has cards."""
    for unit in (ComputeUnit.CARD, ComputeUnit.CORE):
        names = sorted({r.class_ for site in sites.values() for r in site.spec.resources if r.unit is unit})[:8]
        if names:
            yield JobKind(name="general", classes=[Classes(names=names)], unit=unit)
            return


def troubles(
    spec: ScenarioSpec, country: Country, sites: Mapping[str, ComputeSite], accounts: Collection[str] = ()
) -> Iterator[str]:
    """What the scenario names and the country does not have, each as a sentence."""
    regions, tiers = set(country.regions), {*country.tiers, ANY_TIER}
    classes = {r.class_ for site in sites.values() for r in site.spec.resources}
    for name in spec.sites:
        if name not in sites:
            yield f'spec.sites: "{name}" is no ComputeSite of the country; correct the name'
    for outage in spec.outages:
        if outage.site not in sites:
            yield f'spec.outages: "{outage.site}" is no ComputeSite that is simulated; correct the name'
    if not sites:
        yield "spec.country: it has no ComputeSite; name the folder with the sites"
    elif not spec.kinds:
        yield "spec.kinds: no site offers a class; give the sites resources"
    for name in spec.origins:
        if name not in regions:
            yield f'spec.origins: "{name}" is no ComputeRegion of the country; correct the name'
    for kind in spec.kinds:
        yield from _kind_troubles(kind, regions, tiers, classes, accounts)


def _kind_troubles(
    kind: JobKind, regions: set[str], tiers: set[str], classes: set[str], accounts: Collection[str]
) -> Iterator[str]:
    here = f"spec.kinds[{kind.name}]"
    yield from (
        f'{here}.origins: "{name}" is no ComputeRegion of the country; correct the name'
        for name in kind.origins
        if name not in regions
    )
    yield from (
        f'{here}.tiers: "{name}" is no latency tier of HubPolicy national; it has {", ".join(sorted(tiers))}'
        for name in kind.tiers
        if name not in tiers
    )
    if kind.account != SIMULATED and kind.account not in accounts:
        yield f'{here}.account: "{kind.account}" is no ComputeAccount of the country; correct the name'
    for one in kind.classes:
        if not classes.intersection(one.names):
            yield f'{here}.classes: no site offers "{", ".join(one.names)}"; sites offer {", ".join(sorted(classes)[:8])}'
