"""Field types that the resources share; each carries its own limits."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from suanli.api.lists import ATOMIC, SET, keyed
from suanli.api.rule import VALIDATIONS, KeysLike, Rule, Shape, broken, refused
from suanli.base.units import duration_us, micro, quantity

_put = object.__setattr__


class Model(BaseModel):
    """A frozen piece of a resource: camelCase on the wire, unknown fields refused, its rules kept."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def trusted(cls, **fields: object) -> Self:
        """An object of values that are known to be right, all fields by their names here: plans make very many, and nothing is checked."""
        made = cls.__new__(cls)
        _put(made, "__dict__", fields)
        _put(made, "__pydantic_fields_set__", set(fields))
        _put(made, "__pydantic_extra__", None)
        _put(made, "__pydantic_private__", None)
        return made

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other fields; what was derived from the old ones is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(copied).model_fields:
            del copied.__dict__[name]
        return copied

    def _checked(self) -> Self:
        errors = broken(self.rules, self, lambda: self.model_dump(mode="json", by_alias=True, exclude_none=True))
        if errors:
            raise refused(type(self).__name__, errors)
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A model without rules pays nothing for them: plans make very many."""
        schema = handler(source)
        return core_schema.no_info_after_validator_function(cls._checked, schema) if cls.rules else schema

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With the rules of the object, for the generator."""
        made = handler(core)
        if cls.rules:
            handler.resolve_ref_schema(made)[VALIDATIONS] = [rule.wire() for rule in cls.rules]
        return made


# --- names and texts

NAME = Shape(
    r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    'is not a name; use at most 63 lower-case letters, digits and "-", such as "shanghai-2"',
)
LABEL_KEY = Shape(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    'is not the name of a label; write it as "vendor" or "example.com/pool"',
)

Name = Annotated[str, Field(min_length=1, max_length=63), NAME]
LongName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Shape(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        'is not the name of an object; use lower-case letters, digits, "-" and "."',
    ),
]
Text = Annotated[
    str,
    Field(min_length=1, max_length=256),
    Shape(
        r"^[^\x00-\x1f\x7f]+$", "is not one line of text; leave out line breaks and control characters, use at most 256"
    ),
]
LabelKey = Annotated[str, Field(min_length=1, max_length=317), LABEL_KEY]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Shape(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        'is not the value of a label; use at most 63 letters, digits, "-", "_" and "."',
    ),
]
Labels = Annotated[dict[LabelKey, LabelValue], KeysLike(LABEL_KEY)]
Names = Annotated[list[Name], SET]

# --- numbers

Int = Annotated[int, Strict()]

_DECIMAL = Shape(
    r"^[0-9]{1,6}(\.[0-9]{1,6})?$",
    'is not a decimal number in quotes; write at most six digits before and after the point, such as "1.18"',
)
_SIGNED = Shape(
    r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$",
    'is not a decimal number in quotes; write it with at most six digits after the point, such as "40.41"',
)

DecimalText = Annotated[str, Field(min_length=1, max_length=13), _DECIMAL]
SignedDecimalText = Annotated[str, Field(min_length=1, max_length=20), _SIGNED]
FractionText = Annotated[
    str,
    Field(min_length=1, max_length=8),
    Shape(r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", 'is not a share in quotes; write it from "0" to "1", such as "0.65"'),
]
Digits = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9]{1,40}$")]


def _within(shape: Shape, low: int, high: int, says: str) -> Rule:
    """Bounds of a decimal number."""
    cel = shape.then(f"(double(self) >= {low}.0 && double(self) <= {high}.0)")
    return Rule(cel, lambda text: low * 1_000_000 <= micro(text) <= high * 1_000_000, says)


Latitude = Annotated[
    SignedDecimalText, _within(_SIGNED, -90, 90, "is no latitude; give degrees north of the equator, -90 to 90")
]
Longitude = Annotated[
    SignedDecimalText, _within(_SIGNED, -180, 180, "is no longitude; give degrees east of Greenwich, -180 to 180")
]
Pue = Annotated[
    DecimalText,
    _within(
        _DECIMAL, 1, 5, "is no power usage effectiveness; it is total energy over IT energy, at least 1 and at most 5"
    ),
]
PositiveDecimal = Annotated[
    DecimalText,
    Rule(_DECIMAL.then("double(self) > 0.0"), lambda text: micro(text) > 0, "is not above zero; leave the field out"),
]

# --- money, in whole micro-yuan

MicroYuan = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^-?[0-9]{1,19}$")]
Amount = Annotated[
    str,
    Field(min_length=1, max_length=15),
    Shape(
        r"^[0-9]{1,15}$", 'is not an amount; write whole micro-yuan as digits in quotes, such as "2500000" for 2.50 CNY'
    ),
]
PositiveAmount = Annotated[
    str,
    Field(min_length=1, max_length=10),
    Shape(
        r"^[1-9][0-9]{0,9}$",
        'is not an amount above zero; write whole micro-yuan as digits in quotes, such as "500000" for 0.50 CNY',
    ),
]

# --- amounts of something, as Kubernetes writes them

QUANTITY = Shape(
    r"^[0-9]{1,15}(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
    'is not a quantity in quotes; write a number with its suffix, such as "500m", "16" or "64Gi"',
)
Quantity = Annotated[str, Field(min_length=1, max_length=21), QUANTITY]


def _between(low: str, high: str, says: str) -> Rule:
    """Bounds of a quantity."""
    cel = QUANTITY.then(
        f"(quantity(self).compareTo(quantity('{low}')) >= 0 && quantity(self).compareTo(quantity('{high}')) <= 0)"
    )
    bounds: tuple[Decimal, Decimal] = (quantity(low), quantity(high))
    return Rule(cel, lambda text: bounds[0] <= quantity(text) <= bounds[1], says)


Cores = Annotated[
    Quantity, _between("1m", "1M", 'is not between 1m and 1M (a million) cores; write cores, such as "16" or "500m"')
]
Memory = Annotated[
    Quantity, _between("1Mi", "1Pi", 'is not between 1Mi and 1Pi; write bytes with a suffix, such as "64Gi"')
]
TotalCores = Annotated[
    Quantity, _between("1", "100M", 'is not between 1 and 100M cores; write cores, such as "24576" or "24k"')
]
TotalMemory = Annotated[
    Quantity, _between("1Mi", "1024Pi", 'is not between 1Mi and 1024Pi; write bytes with a suffix, such as "160Ti"')
]
Bandwidth = Annotated[
    Quantity, _between("1M", "1000P", 'is not between 1M and 1000P; write bits per second, such as "400G"')
]
DataSize = Annotated[
    Quantity, _between("1", "1024Pi", 'is not between one byte and 1024Pi; write bytes with a suffix, such as "2Ti"')
]

# --- time

DURATION = Shape(
    # No overflow in whatever holds it, and no part of a microsecond, which is the unit inside.
    r"^(0|([0-9]{1,5}(\.[0-9]{1,3})?h|[0-9]{1,7}(\.[0-9]{1,3})?m|[0-9]{1,9}(\.[0-9]{1,3})?(s|ms)|[0-9]{1,9}(us|µs))+)$",
    'is not a duration; write numbers with their units, such as "90m", "1h30m" or "3.2ms"',
)
Duration = Annotated[str, Field(min_length=1, max_length=20), DURATION]
DurationText = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[0-9.a-zµ]+$")]  # however long, in a status


def _lasting(low: str, high: str, says: str) -> Rule:
    """Bounds of a duration."""
    cel = DURATION.then(f"(duration(self) >= duration('{low}') && duration(self) <= duration('{high}'))")
    bounds = (duration_us(low), duration_us(high))
    return Rule(cel, lambda text: bounds[0] <= duration_us(text) <= bounds[1], says)


OneWay = Annotated[
    Duration, _lasting("1us", "10s", 'is not between 1us and 10s; write a time in one direction, such as "8ms"')
]
Span = Annotated[
    Duration, _lasting("1s", "8760h", 'is not between 1s and 8760h (a year); write how long, such as "90m" or "6h"')
]

_TIME = Shape(
    r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$",
    'is not a time with its zone; write it as "2026-01-31T08:00:00Z" or "2026-01-31T16:00:00+08:00"',
)
_DATE = Shape(
    r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$",
    'is not a date; write year, month and day in quotes, such as "2026-01-31"',
)


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return holds


class _InTheCalendar(Rule):
    """A time of the calendar and the clock. The API server knows the format by itself, and then sees no text any more."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "maxLength": 40, "format": "date-time", "pattern": _TIME.pattern}


Time = Annotated[str, Field(max_length=40), _TIME, _InTheCalendar("", _parses(datetime.fromisoformat), _TIME.wrong)]
_MONTH = "self.substring(5, 7)"
_LEAP = "(int(self.substring(0, 4)) % 4 == 0 && (int(self.substring(0, 4)) % 100 != 0 || int(self.substring(0, 4)) % 400 == 0))"
Date = Annotated[
    str,
    Field(min_length=10, max_length=10),
    _DATE,
    Rule(
        _DATE.then(
            f"({_MONTH} >= '01' && {_MONTH} <= '12' && self.substring(8, 10) >= '01' && int(self.substring(8, 10)) <= "
            f"({_MONTH} == '02' ? ({_LEAP} ? 29 : 28) : {_MONTH} in ['04', '06', '09', '11'] ? 30 : 31))"
        ),
        _parses(date.fromisoformat),
        'is not a day of the calendar; write year, month and day, such as "2026-01-31"',
    ),
]


class Condition(Model):
    """One statement about the object, as Kubernetes conditions are."""

    type: Annotated[str, Field(max_length=63, description="What is stated.")]
    status: Annotated[str, Field(max_length=7, pattern="^(True|False|Unknown)$", description="True, False or Unknown.")]
    reason: Annotated[str, Field(max_length=63, description="Why, as one word of the project's table of reasons.")]
    message: Annotated[str, Field(max_length=1024, description="Why, as a sentence with its numbers.")] = ""
    observed_generation: Annotated[int, Field(ge=0, description="The spec's generation that was looked at.")] = 0
    last_transition_time: Annotated[Time, Field(description="When status last changed.")]


Conditions = Annotated[list[Condition], keyed("type")]
Words = Annotated[list[Annotated[str, Field(max_length=4_096)]], ATOMIC]


class LabelSelector(Model):
    """Sites by their labels: all must match."""

    match_labels: Annotated[
        Labels,
        Field(min_length=1, max_length=16, description="Labels of the ComputeSite that must have these values."),
    ]
