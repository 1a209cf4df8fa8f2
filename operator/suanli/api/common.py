"""Field types that the resources share; each carries its own limits."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from suanli.base.units import DECIMAL_PATTERN, DURATION_PATTERN, QUANTITY_PATTERN


class Model(BaseModel):
    """A frozen piece of a resource: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
LongName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ClassName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Text = Annotated[str, Field(min_length=1, max_length=256)]
LabelKey = Annotated[
    str, Field(min_length=1, max_length=316, pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Duration = Annotated[str, Field(min_length=1, max_length=32, pattern=DURATION_PATTERN)]
Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=QUANTITY_PATTERN)]
DecimalText = Annotated[str, Field(min_length=1, max_length=20, pattern=DECIMAL_PATTERN)]
SignedDecimalText = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$")]
FractionText = Annotated[str, Field(min_length=1, max_length=8, pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$")]
MicroYuan = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^-?[0-9]{1,19}$")]
Digits = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9]{1,40}$")]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
Date = Annotated[str, Field(min_length=10, max_length=10, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
HourText = Annotated[str, Field(min_length=5, max_length=5, pattern=r"^([01][0-9]|2[0-4]):[0-5][0-9]$")]


class Condition(Model):
    """One statement about the object, as Kubernetes conditions are."""

    type: Annotated[str, Field(max_length=63, description="What is stated.")]
    status: Annotated[str, Field(max_length=7, pattern="^(True|False|Unknown)$", description="True, False or Unknown.")]
    reason: Annotated[str, Field(max_length=63, description="Why, as one word of the project's table of reasons.")]
    message: Annotated[str, Field(max_length=1024, description="Why, as a sentence with its numbers.")] = ""
    observed_generation: Annotated[int, Field(ge=0, description="The spec's generation that was looked at.")] = 0
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]


class LabelSelector(Model):
    """Sites by their labels: all must match."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(max_length=16, description="Labels of the ComputeSite that must have these values."),
    ]
