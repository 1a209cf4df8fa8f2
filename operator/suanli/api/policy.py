"""HubPolicy: the policy in force, as data."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    Condition,
    Date,
    DecimalText,
    Duration,
    LabelSelector,
    MicroYuan,
    Model,
    Name,
    SignedDecimalText,
    Text,
)
from suanli.api.job import Category
from suanli.api.kind import Kind, PrinterColumn, Resource
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
    regions: Annotated[list[Name], Field(min_length=1, max_length=64, description="ComputeRegions it covers.")]
    pue_ceiling: Annotated[DecimalText, Field(description='Highest power usage effectiveness allowed, such as "1.25".')]


class Hub(Model):
    """A national hub."""

    name: Annotated[Name, Field(description="The hub's name.")]
    side: Annotated[Side, Field(description="East or West.")]
    regions: Annotated[
        list[Name], Field(max_length=256, description="ComputeRegions that belong to the hub beside its clusters'.")
    ] = []
    clusters: Annotated[
        list[HubCluster],
        Field(max_length=32, description="Its data-centre clusters.", json_schema_extra={"x-key": "name"}),
    ] = []


class LatencyTier(Model):
    """A named bound on one-way time."""

    name: Annotated[Name, Field(description="The tier's name, such as city, region, cross-hub.")]
    one_way: Annotated[Duration, Field(description="Longest one-way time from the job's origin to its site.")]


class RuleMatch(Model):
    """Which jobs a rule is about: all given lists must match; an absent one matches all."""

    categories: Annotated[list[Category], Field(max_length=16, description="Job categories.")] = []
    origin_sides: Annotated[list[Side], Field(max_length=2, description="Sides of the job's origin region.")] = []
    compute_types: Annotated[list[ComputeType], Field(max_length=3, description="Types of the compute class.")] = []
    tiers: Annotated[
        list[Name], Field(max_length=16, description='Latency tiers; "any" is a job without a bound.')
    ] = []


class PlacementRule(Model):
    """Where matching jobs must, should or should not run."""

    name: Annotated[Name, Field(description="The rule's name, shown in explanations.")]
    match: Annotated[RuleMatch, Field(description="Which jobs it is about.")] = RuleMatch()
    effect: Annotated[
        Effect, Field(description="Require forbids all other sites; Prefer and Avoid add or take the weight.")
    ]
    sides: Annotated[list[Side], Field(max_length=2, description="Sites on these sides.")] = []
    hubs: Annotated[list[Name], Field(max_length=64, description="Sites in these hubs.")] = []
    site_selector: Annotated[LabelSelector | None, Field(description="Sites with these labels.")] = None
    weight: Annotated[
        MicroYuan | None,
        Field(description="For Prefer and Avoid: micro-yuan per task and hour that the rule is worth."),
    ] = None


class NewBuild(Model):
    """What may be built outside the hubs."""

    max_racks_outside_hubs: Annotated[
        int, Field(ge=0, le=1_000_000, description="Most standard racks (2.5 kW) of a new site outside all hubs.")
    ]
    enforcement: Annotated[
        Enforcement, Field(description="Deny refuses such a site, Warn admits it with a warning.")
    ] = Enforcement.DENY


class Pairing(Model):
    """An east-west pairing or an enclave."""

    source: Annotated[Name, Field(alias="from", description="Hub that brings the demand.")]
    target: Annotated[Name, Field(alias="to", description="Hub that brings the compute.")]
    kind: Annotated[PairingKind, Field(description="Pairing or Enclave.")]


class Target(Model):
    """A figure that a regulator reads."""

    kpi: Annotated[Name, Field(description="The figure's name, such as new-compute-hub-share.")]
    comparison: Annotated[Comparison, Field(description="AtLeast or AtMost.")]
    value: Annotated[SignedDecimalText, Field(description='The target as a decimal string, such as "0.60".')]
    by: Annotated[Date | None, Field(description="The day by which it is to be met.")] = None


class HubPolicySpec(Model):
    """Hubs, tiers, rules and targets."""

    hubs: Annotated[
        list[Hub], Field(max_length=64, description="National hubs.", json_schema_extra={"x-key": "name"})
    ] = []
    latency_tiers: Annotated[
        list[LatencyTier],
        Field(max_length=16, description="Latency tiers, one-way.", json_schema_extra={"x-key": "name"}),
    ] = []
    placement_rules: Annotated[
        list[PlacementRule], Field(max_length=128, description="Placement rules.", json_schema_extra={"x-key": "name"})
    ] = []
    new_build: Annotated[NewBuild | None, Field(description="What may be built outside the hubs.")] = None
    pairings: Annotated[
        list[Pairing],
        Field(max_length=128, description="East-west pairings and enclaves.", json_schema_extra={"x-atomic": "true"}),
    ] = []
    targets: Annotated[
        list[Target], Field(max_length=32, description="Figures to be met.", json_schema_extra={"x-key": "kpi"})
    ] = []
    transfer_price_per_gib: Annotated[
        DecimalText, Field(description="CNY per GiB over paths whose links name no price.")
    ] = "0"
    carbon_price_per_tonne: Annotated[DecimalText, Field(description="CNY per tonne of CO2 that placement counts.")] = (
        "0"
    )


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

    conditions: Annotated[list[Condition], Field(max_length=48, description="Consistent, and one per target.")] = []
    kpis: Annotated[
        list[Kpi],
        Field(max_length=32, description="Figures computed from what ran.", json_schema_extra={"x-key": "name"}),
    ] = []


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
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[HubPolicySpec, Field(description="What the administrator declares.")]
    status: Annotated[HubPolicyStatus | None, Field(description="What the operator observes.")] = None
