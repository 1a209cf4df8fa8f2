"""ComputeRegion: a city or demand area."""

from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Condition, Model, SignedDecimalText, Text
from suanli.api.kind import Kind, PrinterColumn, Resource


class ComputeRegionSpec(Model):
    """Where users sit and where sites stand."""

    display_name: Annotated[Text, Field(description="The region's name for people, in any language.")]
    latitude: Annotated[SignedDecimalText, Field(description="Degrees north as a decimal string, -90 to 90, WGS 84.")]
    longitude: Annotated[SignedDecimalText, Field(description="Degrees east as a decimal string, -180 to 180, WGS 84.")]
    province: Annotated[Text | None, Field(description="Province, municipality or autonomous region.")] = None


class ComputeRegionStatus(Model):
    """What the operator knows of the region."""

    conditions: Annotated[list[Condition], Field(max_length=8, description="Statements about the region.")] = []


class ComputeRegion(Resource):
    """A city or demand area: where users sit and where sites stand."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeRegion",
        plural="computeregions",
        short_names=("cregion",),
        namespaced=False,
        columns=(
            PrinterColumn("Name", ".spec.displayName", "The region's name for people."),
            PrinterColumn("Province", ".spec.province", "Province."),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[ComputeRegionSpec, Field(description="What the administrator declares.")]
    status: Annotated[ComputeRegionStatus | None, Field(description="What the operator observes.")] = None
