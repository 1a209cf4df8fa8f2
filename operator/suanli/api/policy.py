"""HubPolicy: the policy in force, as data."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    Conditions,
    Date,
    DecimalText,
    Int,
    LabelSelector,
    Model,
    Name,
    Names,
    OneWay,
    PositiveAmount,
    Pue,
    SignedDecimalText,
    Text,
)
from suanli.api.job import Category
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import SET, keyed
from suanli.api.rule import Rule
from suanli.api.site import ComputeType


class Side(StrEnum):
    """Which side of "East Data, West Compute" a hub is on."""

    EAST = "East"
    WEST = "West"


class Effect(StrEnum):
    """What a placement rule does."""

    REQUIRE = "Require"
    PREFER = "Prefer"
    AVOID = "Avoid"


class Enforcement(StrEnum):
    """What happens to an object that breaks a rule at admission."""

    DENY = "Deny"
    WARN = "Warn"


class PairingKind(StrEnum):
    """How two places work together."""

    PAIRING = "Pairing"
    ENCLAVE = "Enclave"


class Comparison(StrEnum):
    """How a target is compared."""

    AT_LEAST = "AtLeast"
    AT_MOST = "AtMost"


class HubCluster(Model):
    """A data-centre cluster of a hub."""

    name: Annotated[Name, Field(description="The cluster's name.")]
    regions: Annotated[Names, Field(min_length=1, max_length=32, description="ComputeRegions that it covers.")]
    pue_ceiling: Annotated[
        Pue,
        Field(description='Highest power usage effectiveness of its sites as a decimal string, such as "1.25".'),
    ]


class Hub(Model):
    """A national hub."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.regions) && size(self.regions) > 0) || (has(self.clusters) && size(self.clusters) > 0)",
            lambda hub: bool(hub.regions or hub.clusters),
            'hub "{name}" has no region; list its ComputeRegions here, or clusters with theirs',
            field="regions",
            reason="FieldValueRequired",
        ),
    )

    name: Annotated[Name, Field(description="The hub's name.")]
    side: Annotated[Side, Field(description="East or West: where demand arises, or where compute is to go.")]
    regions: Annotated[
        Names, Field(max_length=128, description="ComputeRegions that belong to the hub beside those of its clusters.")
    ] = []
    clusters: Annotated[
        list[HubCluster], keyed("name"), Field(max_length=16, description="Its data-centre clusters.")
    ] = []


class LatencyTier(Model):
    """A named bound on one-way time."""

    name: Annotated[
        Name,
        Rule(
            "self != 'any'",
            lambda name: name != "any",
            "stands for jobs without a bound; give the tier another name",
        ),
        Field(description="The tier's name, such as city, region or cross-hub, by which jobs ask for it."),
    ]
    one_way: Annotated[
        OneWay, Field(description='Longest time in one direction between a job\'s origin and its site, such as "20ms".')
    ]


class RuleMatch(Model):
    """Which jobs a rule is about: all given lists must match; an absent one matches all."""

    categories: Annotated[list[Category], SET, Field(max_length=16, description="Categories of jobs; empty: all.")] = []
    origin_sides: Annotated[
        list[Side], SET, Field(max_length=2, description="Sides of the job's origin region; empty: all, outside too.")
    ] = []
    compute_types: Annotated[
        list[ComputeType], SET, Field(max_length=3, description="Types of the class of compute; empty: all.")
    ] = []
    tiers: Annotated[
        Names, Field(max_length=16, description='Latency tiers; "any" is a job without a bound. Empty: all.')
    ] = []


class PlacementRule(Model):
    """Where matching jobs must, should or should not run."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.sides) && size(self.sides) > 0) || (has(self.hubs) && size(self.hubs) > 0) || has(self.siteSelector)",
            lambda rule: bool(rule.sides or rule.hubs or rule.site_selector),
            'rule "{name}" names no sites; give sides, hubs or siteSelector',
            field="sides",
            reason="FieldValueRequired",
        ),
        Rule(
            "self.effect != 'Require' || !has(self.weight)",
            lambda rule: rule.effect is not Effect.REQUIRE or rule.weight is None,
            'rule "{name}" has effect Require and weight "{weight}"; leave weight out, or make the effect Prefer or Avoid',
            field="weight",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!(self.effect in ['Prefer', 'Avoid']) || has(self.weight)",
            lambda rule: rule.effect is Effect.REQUIRE or rule.weight is not None,
            'rule "{name}" has effect {effect} and no weight; say how many micro-yuan per task and hour it is worth, such as '
            '"500000"',
            field="weight",
            reason="FieldValueRequired",
        ),
    )

    name: Annotated[Name, Field(description="The rule's name, which explanations show.")]
    match: Annotated[RuleMatch, Field(description="Which jobs the rule is about; empty: all jobs.")] = RuleMatch()
    effect: Annotated[
        Effect,
        Field(
            description="Require: matching jobs run on the named sites and nowhere else. Prefer and Avoid: the weight is "
            "taken off, or put on, what a named site costs when sites are compared; nobody pays it."
        ),
    ]
    sides: Annotated[
        list[Side],
        SET,
        Field(
            max_length=2,
            description="Sites on these sides. Given several of sides, hubs and "
            "siteSelector, a site must fit all of them.",
        ),
    ] = []
    hubs: Annotated[Names, Field(max_length=64, description="Sites in these hubs of the policy.")] = []
    site_selector: Annotated[LabelSelector | None, Field(description="Sites with these labels.")] = None
    weight: Annotated[
        PositiveAmount | None,
        Field(
            description="For Prefer and Avoid: what the rule is worth, in whole micro-yuan per task and hour, such as "
            '"500000" for 0.50 CNY.'
        ),
    ] = None


class NewBuild(Model):
    """What may be built outside the hubs."""

    max_racks_outside_hubs: Annotated[
        Int,
        Field(
            ge=0,
            le=1_000_000,
            description="Most standard racks (2.5 kW) of a new or grown site outside all hubs; 2999 refuses large ones.",
        ),
    ] = 2_999
    enforcement: Annotated[
        Enforcement, Field(description="Deny refuses a larger site, Warn admits it with a warning.")
    ] = Enforcement.DENY


class Pairing(Model):
    """An east-west pairing or an enclave."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.from != self.to",
            lambda pairing: pairing.source != pairing.target,
            'hub "{from}" is paired with itself; name another hub',
            field="to",
        ),
    )

    source: Annotated[Name, Field(alias="from", description="Hub that brings the demand.")]
    target: Annotated[Name, Field(alias="to", description="Hub that brings the compute.")]
    kind: Annotated[
        PairingKind, Field(description="Pairing: an agreement. Enclave: one side builds in the other's hub.")
    ]


class Target(Model):
    """A figure that a regulator reads."""

    kpi: Annotated[Name, Field(description="The figure's name, such as new-compute-hub-share.")]
    comparison: Annotated[Comparison, Field(description="AtLeast or AtMost.")]
    value: Annotated[SignedDecimalText, Field(description='The target as a decimal string, such as "0.60".')]
    by: Annotated[Date | None, Field(description='The day by which it is to be met, such as "2025-12-31".')] = None


class HubPolicySpec(Model):
    """Hubs, tiers, rules and targets."""

    hubs: Annotated[
        list[Hub],
        keyed("name"),
        Field(max_length=32, description="National hubs. A region belongs to one of them at most."),
    ] = []
    latency_tiers: Annotated[
        list[LatencyTier],
        keyed("name"),
        Field(max_length=16, description="Bounds on time in one direction that jobs ask for by name."),
    ] = []
    placement_rules: Annotated[
        list[PlacementRule],
        keyed("name"),
        Field(max_length=64, description="Where which jobs must, should or should not run; all rules count."),
    ] = []
    new_build: Annotated[
        NewBuild | None, Field(description="What may be built outside the hubs; absent: anything.")
    ] = None
    pairings: Annotated[
        list[Pairing],
        keyed("from", "to", "kind"),
        Field(max_length=128, description="East-west pairings and enclaves."),
    ] = []
    targets: Annotated[list[Target], keyed("kpi"), Field(max_length=32, description="Figures to be met.")] = []
    transfer_price_per_gib: Annotated[
        DecimalText,
        Field(
            description='CNY for each GiB over a link that names no price, and over a way without links, as a decimal string such as "0.02".'
        ),
    ] = "0"
    carbon_price_per_tonne: Annotated[
        DecimalText,
        Field(description="CNY per tonne of CO2 that counts when sites are compared; nobody pays it."),
    ] = "0"


class Kpi(Model):
    """One figure computed from what ran."""

    name: Annotated[Name, Field(description="The figure's name.")]
    value: Annotated[Text, Field(description="Its value.")]
    target: Annotated[Text | None, Field(description="Its target.")] = None
    met: Annotated[
        str | None, Field(max_length=7, pattern="^(True|False|Unknown)$", description="Whether it is met.")
    ] = None


class HubPolicyStatus(Model):
    """What the operator found."""

    conditions: Annotated[
        Conditions, Field(max_length=48, description="Consistent: whether its rules can all hold.")
    ] = []
    kpis: Annotated[list[Kpi], keyed("name"), Field(max_length=32, description="Figures computed from what ran.")] = []


class HubPolicy(Resource):
    """The policy in force: hubs, latency tiers, placement rules, targets."""

    kind_info: ClassVar[Kind] = Kind(
        kind="HubPolicy",
        plural="hubpolicies",
        short_names=("hubpol",),
        namespaced=False,
        columns=(
            PrinterColumn(
                "Consistent", '.status.conditions[?(@.type=="Consistent")].status', "Whether its rules can all hold."
            ),
            PrinterColumn("Reason", '.status.conditions[?(@.type=="Consistent")].reason', "Why."),
            PrinterColumn(
                "Max-racks",
                ".spec.newBuild.maxRacksOutsideHubs",
                "Most racks of a new site outside the hubs.",
                type="integer",
            ),
            PrinterColumn("Enforcement", ".spec.newBuild.enforcement", "What happens to a larger one."),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        HubPolicySpec,
        Field(
            description="Hubs and their clusters, bounds on latency by name, where which jobs run, what may be built outside "
            "the hubs, and the figures to be met. The policy named national is in force; nothing of it is built in."
        ),
    ]
    status: Annotated[
        HubPolicyStatus | None, Field(description="What the operator found about the policy; nobody else writes it.")
    ] = None
