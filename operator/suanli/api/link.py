"""ComputeLink: one network link between two places, and what jobs send over it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Bandwidth, Conditions, DecimalText, Model, Name, OneWay, Text
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import ATOMIC
from suanli.api.rule import Rule


class LinkState(StrEnum):
    """Whether a link can be used."""

    UP = "Up"
    DOWN = "Down"


class Direction(StrEnum):
    """Which way data go, as the site of a job sees it."""

    IN = "in"  # inputs and the checkpoint, before it runs
    OUT = "out"  # outputs, after it has succeeded


@dataclass(frozen=True, slots=True)
class Leg:
    """What one attempt of a job sends over one link in one direction, by the sizes that it declares. Units: bytes."""

    direction: Direction
    link: str
    operator: str  # who is paid for it; "" for nobody
    size: int


class ComputeLinkSpec(Model):
    """A link, the same in both directions."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "size(self.endpoints) != 2 || self.endpoints[0] != self.endpoints[1]",
            lambda spec: spec.endpoints[0] != spec.endpoints[1],
            "endpoints {endpoints} join a place to itself; name two different ComputeRegions or ComputeSites",
            field="endpoints",
        ),
    )

    endpoints: Annotated[
        list[Name],
        ATOMIC,
        Field(
            min_length=2,
            max_length=2,
            description="The two places that it joins: names of ComputeRegions or ComputeSites, two different ones.",
        ),
    ]
    one_way: Annotated[
        OneWay,
        Field(
            description='Time in one direction as measured, such as "3.2ms"; half of a round trip. Placement adds up the '
            "fastest path of links."
        ),
    ]
    bandwidth: Annotated[
        Bandwidth | None,
        Field(description='Bits per second, such as "400G"; the narrowest link of a path sets how long data take.'),
    ] = None
    price_per_gib: Annotated[
        DecimalText | None,
        Field(
            description="CNY for each GiB carried, as a decimal string, by which places are compared where no Tariff of the operator "
            "has a price for the link; absent: transferPricePerGib of the policy."
        ),
    ] = None
    operator: Annotated[
        Text | None,
        Field(
            description="Who runs the link and is paid for what jobs send over it, by the TransferGiB items of this provider's "
            "Tariff. Absent: what goes over it is metered, and nobody is billed for it."
        ),
    ] = None
    desired_state: Annotated[
        LinkState,
        Field(
            description="Up carries traffic. Down is cut or taken out of use: no path goes over it until it is Up again, and "
            "jobs that are placed already stay where they are."
        ),
    ] = LinkState.UP


class ComputeLinkStatus(Model):
    """What the operator knows of the link."""

    conditions: Annotated[Conditions, Field(max_length=8, description="Resolved: whether both endpoints exist.")] = []


class ComputeLink(Resource):
    """One network link between two places (region or site)."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeLink",
        plural="computelinks",
        short_names=("clink",),
        namespaced=False,
        columns=(
            PrinterColumn("From", ".spec.endpoints[0]", "One end."),
            PrinterColumn("To", ".spec.endpoints[1]", "The other end."),
            PrinterColumn("One-way", ".spec.oneWay", "One-way time."),
            PrinterColumn("Bandwidth", ".spec.bandwidth", "Bits per second."),
            PrinterColumn("State", ".spec.desiredState", "Whether it can be used."),
            PrinterColumn(
                "Resolved", '.status.conditions[?(@.type=="Resolved")].status', "Whether both ends are known."
            ),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        ComputeLinkSpec,
        Field(
            description="The two places that the link joins, and how long, how wide and how dear the way is. Where no path of "
            "links joins two places, their distance gives an estimate, which explanations mark as such."
        ),
    ]
    status: Annotated[
        ComputeLinkStatus | None, Field(description="What the operator found about the link; nobody else writes it.")
    ] = None
