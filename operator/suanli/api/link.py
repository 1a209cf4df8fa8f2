"""ComputeLink: one network link between two places."""

from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Condition, DecimalText, Duration, Model, Name, Quantity
from suanli.api.kind import Kind, PrinterColumn, Resource


class ComputeLinkSpec(Model):
    """A link, the same in both directions."""

    endpoints: Annotated[
        list[Name],
        Field(
            min_length=2, max_length=2, description="The two places it joins: names of ComputeRegions or ComputeSites."
        ),
    ]
    one_way: Annotated[Duration, Field(description='One-way time as measured, such as "3.2ms".')]
    bandwidth: Annotated[Quantity | None, Field(description='Bits per second, such as "400G".')] = None
    price_per_gib: Annotated[DecimalText | None, Field(description="CNY per GiB carried, decimal string.")] = None


class ComputeLinkStatus(Model):
    """What the operator knows of the link."""

    conditions: Annotated[list[Condition], Field(max_length=8, description="Resolved: both endpoints exist.")] = []


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
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[ComputeLinkSpec, Field(description="What the administrator declares.")]
    status: Annotated[ComputeLinkStatus | None, Field(description="What the operator observes.")] = None
