"""ComputeRegion: a city or demand area."""

from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Conditions, Latitude, Longitude, Model, Text
from suanli.api.kind import Kind, PrinterColumn, Resource


class ComputeRegionSpec(Model):
    """Where users sit and where sites stand."""

    display_name: Annotated[Text, Field(description="The region's name for people, in any language and script.")]
    latitude: Annotated[
        Latitude,
        Field(
            description='Degrees north in WGS 84 as a decimal string, "-90" to "90", such as "40.41". Where no path of '
            "ComputeLinks joins two places, their distance gives the estimated time between them."
        ),
    ]
    longitude: Annotated[
        Longitude, Field(description='Degrees east in WGS 84 as a decimal string, "-180" to "180", such as "115.52".')
    ]
    province: Annotated[Text | None, Field(description="Province, municipality or autonomous region.")] = None


class ComputeRegionStatus(Model):
    """What the operator knows of the region."""

    conditions: Annotated[Conditions, Field(max_length=8, description="Statements about the region.")] = []


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
    spec: Annotated[
        ComputeRegionSpec,
        Field(
            description="The place: what people call it and where it lies. Jobs name it as their origin, sites as where they "
            "stand, links as their ends, policies as part of a hub."
        ),
    ]
    status: Annotated[
        ComputeRegionStatus | None,
        Field(description="What the operator found about the region; nobody else writes it."),
    ] = None
