"""Tariff: a provider's price book from a day on."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Conditions, Date, Int, Model, Name, Span, Text
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import SET, keyed
from suanli.api.rule import Rule, Shape, always
from suanli.api.site import EndHour, Precision, StartHour, Timezone


class Rounding(StrEnum):
    """How the amount of a line becomes whole micro-yuan, once."""

    HALF_EVEN = "HalfEven"
    UP = "Up"


class Qos(StrEnum):
    """Quality of service that a job was sold with."""

    LOW = "Low"
    NORMAL = "Normal"
    HIGH = "High"


class DayKind(StrEnum):
    """Kinds of days: each day is of exactly one."""

    WORKDAY = "Workday"
    WEEKEND = "Weekend"
    HOLIDAY = "Holiday"


class Unit(StrEnum):
    """What a price is for."""

    CORE_HOUR = "CoreHour"
    CORE_DAY = "CoreDay"
    CARD_HOUR = "CardHour"
    CARD_DAY = "CardDay"
    NODE_HOUR = "NodeHour"
    NODE_DAY = "NodeDay"
    MEMORY_GIB_HOUR = "MemoryGiBHour"
    STORAGE_GIB_HOUR = "StorageGiBHour"
    STORAGE_TB_DAY = "StorageTBDay"
    TRANSFER_GIB = "TransferGiB"
    ENERGY_KWH = "EnergyKWh"
    CARBON_TONNE = "CarbonTonne"


WITHOUT_TIME = (Unit.TRANSFER_GIB, Unit.ENERGY_KWH, Unit.CARBON_TONNE)


class Step(StrEnum):
    """What counts whole once it has begun."""

    SECOND = "Second"
    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"


class PackagePeriod(StrEnum):
    """How long a package lasts."""

    DAY = "Day"
    MONTH = "Month"


Price = Annotated[
    str,
    Field(min_length=1, max_length=14),
    Shape(
        r"^[0-9]{1,6}(\.[0-9]{1,6})?$",
        "is not a price in quotes; write CNY, not below zero, with at most six digits before and six after the point, such as "
        '"0.12"',
    ),
]
Fee = Annotated[
    str,
    Field(min_length=1, max_length=17),
    Shape(
        r"^[0-9]{1,9}(\.[0-9]{1,6})?$",
        "is not a fee in quotes; write CNY, not below zero, with at most nine digits before and six after the point, such as "
        '"5000"',
    ),
]
Currency = Annotated[str, Field(max_length=3), Shape(r"^CNY$", 'is not a currency that bills are made in; write "CNY"')]
Volume = Annotated[Int, Field(ge=1, le=1_000_000_000_000)]
Permille = Annotated[Int, Field(ge=0, le=1_000)]


class BandHours(Model):
    """Hours of a day that are of one band."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.from < self.to",
            lambda band: band.from_ < band.to,
            'band {band} is from "{from}" to "{to}", which does not end on the same day after it began; write a band over '
            'midnight as two, one to "24:00" and one from "00:00"',
            field="to",
        ),
    )

    from_: Annotated[
        StartHour, Field(alias="from", description='First minute, such as "08:00", in the time zone of the tariff.')
    ]
    to: Annotated[EndHour, Field(description='End, exclusive, later than from on the same day, at most "24:00".')]
    band: Annotated[Name, Field(description="Name of the band, such as peak or valley; several hours may be of one.")]


def _cover_the_day(bands: Sequence[BandHours]) -> bool:
    """Whether the hours follow one another from the first minute to the last, without holes and overlaps."""
    ordered = sorted(bands, key=lambda band: band.from_)
    return ["00:00", *(band.to for band in ordered)] == [*(band.from_ for band in ordered), "24:00"]


_CHAIN = (
    "self.bands.exists_one(b, b.from == '00:00') && self.bands.exists_one(b, b.to == '24:00') && "
    "self.bands.all(b, (b.to == '24:00' || self.bands.exists_one(n, n.from == b.to)) && "
    "(b.from == '00:00' || self.bands.exists_one(p, p.to == b.from)))"
)


class Schedule(Model):
    """The bands of one kind of day in some months."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            _CHAIN,
            lambda schedule: _cover_the_day(schedule.bands),
            'the bands of schedule "{name}" leave hours of the day out or name them twice; let them follow one another from '
            '"00:00" to "24:00"',
            field="bands",
        ),
    )

    name: Annotated[Name, Field(description="The schedule's name, such as summer-workdays.")]
    months: Annotated[
        list[Annotated[Int, Field(ge=1, le=12)]],
        SET,
        Field(max_length=12, description="Months from 1 to 12; empty: all."),
    ] = []
    days: Annotated[
        list[DayKind],
        SET,
        Field(
            max_length=3,
            description="Workday, Weekend (Saturday and Sunday), Holiday (those of holidays); empty: all days.",
        ),
    ] = []
    bands: Annotated[
        list[BandHours],
        keyed("from"),
        Field(min_length=1, max_length=12, description="All hours of the day, each of one band."),
    ]


class BandPrice(Model):
    """The price in one band."""

    band: Annotated[Name, Field(description="A band of the tariff's schedules.")]
    price: Annotated[Price, Field(description='CNY for one unit in that band as a decimal string, such as "6.50".')]


BandPrices = Annotated[list[BandPrice], keyed("band"), Field(max_length=6)]


class Bracket(Model):
    """A price from some volume on."""

    above: Annotated[
        Volume,
        Field(
            description="Units that an account has used in the period before this price holds; what comes after is "
            "priced by it, not what came before."
        ),
    ]
    price: Annotated[Price, Field(description='CNY for one unit as a decimal string, such as "0.10".')]
    band_prices: Annotated[BandPrices, Field(description="Bands in which a unit costs something else.")] = []


class Item(Model):
    """What one thing costs."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.brackets) || self.brackets.map(b, b.above).isSorted()",
            lambda item: [b.above for b in item.brackets] == sorted(b.above for b in item.brackets),
            'the brackets of item "{name}" are out of order; list them by above, the smallest first',
            field="brackets",
        ),
        Rule(
            "!(has(self.step) || has(self.atLeast)) || !(self.unit in ['TransferGiB', 'EnergyKWh', 'CarbonTonne'])",
            lambda item: (item.step is None and item.at_least is None) or item.unit not in WITHOUT_TIME,
            'item "{name}" rounds time, but a {unit} has none; leave step and atLeast out',
            field="unit",
        ),
        Rule(
            "!has(self.link) || self.unit == 'TransferGiB'",
            lambda item: item.link is None or item.unit is Unit.TRANSFER_GIB,
            'item "{name}" is for link "{link}", but a {unit} goes over none; leave link out, or price a TransferGiB',
            field="link",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(self.class) || self.unit != 'TransferGiB'",
            lambda item: item.class_ is None or item.unit is not Unit.TRANSFER_GIB,
            'item "{name}" is for class "{class}", but a TransferGiB is of none; leave class out',
            field="class",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(self.precision) || self.unit != 'TransferGiB'",
            lambda item: item.precision is None or item.unit is not Unit.TRANSFER_GIB,
            'item "{name}" is for precision {precision}, but a TransferGiB is of none; leave precision out',
            field="precision",
            reason="FieldValueForbidden",
        ),
    )

    name: Annotated[Name, Field(description="The item's name, which every line of a bill shows.")]
    unit: Annotated[Unit, Field(description="What the price is for.")]
    class_: Annotated[
        Name | None,
        Field(alias="class", description="Class of compute, as sites name it; absent: whatever the class."),
    ] = None
    precision: Annotated[
        Precision | None, Field(description="Precision of the class; absent: whatever the precision.")
    ] = None
    qos: Annotated[
        Qos | None, Field(description="Quality of service of the job; absent: the same price for every one.")
    ] = None
    plan: Annotated[
        Name | None,
        Field(
            description="Only for accounts on this plan, such as spot or the name of a contract. What a plan has no item for "
            "costs what items without a plan say."
        ),
    ] = None
    link: Annotated[Name | None, Field(description="ComputeLink of a transfer; absent: whatever the link.")] = None
    price: Annotated[
        Price, Field(description='CNY for one unit as a decimal string, such as "5.50"; "0" for what is given free.')
    ]
    band_prices: Annotated[BandPrices, Field(description="Bands in which a unit costs something else.")] = []
    brackets: Annotated[
        list[Bracket],
        keyed("above"),
        Field(
            max_length=6,
            description="Other prices by what the account has used of the item in the period, free units too, smallest first.",
        ),
    ] = []
    free_per_period: Annotated[
        Volume | None, Field(description="Units that every account uses for nothing in every period; absent: none.")
    ] = None
    step: Annotated[
        Step | None,
        Field(
            description="A pod's use on one day of the tariff's time zone is counted in whole ones of these, begun ones whole; "
            "Day counts every day on which it ran. Absent: to the millisecond."
        ),
    ] = None
    at_least: Annotated[
        Span | None, Field(description='A pod\'s use on one day counts as this long at least, such as "10m".')
    ] = None


class Package(Model):
    """Units that are paid for by the day or month, whether used or not."""

    name: Annotated[Name, Field(description="The package's name, by which accounts subscribe to it.")]
    item: Annotated[Name, Field(description="Item whose units are in it.")]
    period: Annotated[PackagePeriod, Field(description="A calendar Day or Month of the tariff's time zone.")]
    included: Annotated[Volume, Field(description="Units of the item that the fee pays for in each period.")]
    fee: Annotated[Fee, Field(description='CNY for each period as a decimal string, such as "5000".')]
    overage_price: Annotated[
        Price | None,
        Field(
            description='CNY for one unit beyond those included, such as "0.07", whatever band and bracket; absent: as the item says.'
        ),
    ] = None


class CustomerClass(Model):
    """What a class of customers pays."""

    name: Annotated[Name, Field(description="The class, as accounts name it in customerClass.")]
    percent: Annotated[
        Int,
        Field(
            ge=0,
            le=100,
            description="Percent of the list price that they pay; fees and overage of packages are not reduced.",
        ),
    ]


_DAYS = "['Workday', 'Weekend', 'Holiday']"
_COVERED = (
    f"!has(self.schedules) || size(self.schedules) == 0 || [1,2,3,4,5,6,7,8,9,10,11,12].all(m, {_DAYS}.all(d, "
    "self.schedules.exists_one(s, (!has(s.months) || size(s.months) == 0 || m in s.months) && "
    "(!has(s.days) || size(s.days) == 0 || d in s.days))))"
)


def _every_day_once(schedules: Sequence[Schedule]) -> bool:
    def of(month: int, day: DayKind) -> int:
        return sum((not s.months or month in s.months) and (not s.days or day in s.days) for s in schedules)

    return not schedules or all(of(month, day) == 1 for month in range(1, 13) for day in DayKind)


def _both(field: str) -> str:
    return f"(!has(a.{field}) || !has(b.{field}) || a.{field} == b.{field})"


_PLAN = "has(a.plan) == has(b.plan) && (!has(a.plan) || a.plan == b.plan)"
_BOTH = " && ".join(map(_both, ("class", "precision", "qos", "link")))
_OVERLAP = f"a.unit.substring(0, 4) == b.unit.substring(0, 4) && {_PLAN} && {_BOTH}"


def overlap(a: Item, b: Item) -> bool:
    """Whether some use would be priced by both items."""
    pairs = ((a.class_, b.class_), (a.precision, b.precision), (a.qos, b.qos), (a.link, b.link))
    return a.unit[:4] == b.unit[:4] and a.plan == b.plan and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _are_known(spec: "TariffSpec", prices: Iterable[BandPrice]) -> bool:
    known = {hours.band for schedule in spec.schedules for hours in schedule.bands}
    return all(price.band in known for price in prices)


_IS_BAND = "has(self.schedules) && self.schedules.exists(s, s.bands.exists(h, h.band == p.band))"


class TariffSpec(Model):
    """Prices, when they hold, and for whom."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self == oldSelf",
            always,
            "a tariff cannot be changed, bills were made by it; apply another Tariff of the same provider with a later effectiveFrom",
            field="effectiveFrom",
            reason="FieldValueForbidden",
        ),
        Rule(
            _COVERED,
            lambda spec: _every_day_once(spec.schedules),
            "the schedules leave some days of a year out or cover them twice; let every month have one schedule for each of "
            "Workday, Weekend and Holiday",
            field="schedules",
        ),
        Rule(
            f"self.items.all(a, self.items.exists_one(b, {_OVERLAP}))",
            lambda spec: all(sum(overlap(a, b) for b in spec.items) == 1 for a in spec.items),
            "two items price the same use; let them differ in class, precision, qos, plan or link, or keep one of them",
            field="items",
        ),
        Rule(
            f"self.items.all(i, !has(i.bandPrices) || i.bandPrices.all(p, {_IS_BAND}))",
            lambda spec: _are_known(spec, (price for item in spec.items for price in item.band_prices)),
            "an item has a price for a band that no schedule has; name a band of the schedules in bandPrices",
            field="items",
        ),
        Rule(
            f"self.items.all(i, !has(i.brackets) || i.brackets.all(b, !has(b.bandPrices) || b.bandPrices.all(p, {_IS_BAND})))",
            lambda spec: _are_known(spec, (p for item in spec.items for b in item.brackets for p in b.band_prices)),
            "a bracket has a price for a band that no schedule has; name a band of the schedules in bandPrices",
            field="items",
        ),
        Rule(
            "!has(self.packages) || self.packages.all(p, self.items.exists(i, i.name == p.item))",
            lambda spec: {package.item for package in spec.packages} <= {item.name for item in spec.items},
            "a package is of an item that the tariff does not have; name one of items in packages[].item",
            field="packages",
        ),
        Rule(
            "!has(self.packages) || self.packages.all(p, !self.items.exists(i, i.name == p.name))",
            lambda spec: not {package.name for package in spec.packages} & {item.name for item in spec.items},
            "a package has the name of an item, and a bill could not tell them apart; give the package another name",
            field="packages",
        ),
        Rule(
            "!has(self.workdays) || !has(self.holidays) || self.workdays.all(d, !(d in self.holidays))",
            lambda spec: not set(spec.workdays) & set(spec.holidays),
            "a day stands in workdays and in holidays; keep it in one of them",
            field="workdays",
        ),
    )

    provider: Annotated[
        Text,
        Field(
            description="Whose prices they are: what runs at sites, and goes over links, with this operator is billed by them."
        ),
    ]
    effective_from: Annotated[
        Date,
        Field(
            description='First day on which they hold, such as "2026-07-01", from midnight in the time zone on, until the '
            "provider's next tariff does."
        ),
    ]
    currency: Annotated[Currency, Field(description="Currency of all prices, always CNY.")] = "CNY"
    timezone: Annotated[
        Timezone, Field(description='IANA time zone of bands, days and months, such as "Asia/Shanghai".')
    ] = "Asia/Shanghai"
    rounding: Annotated[
        Rounding,
        Field(
            description="How the amount of a line becomes whole micro-yuan, once: HalfEven, or Up for whatever is begun."
        ),
    ] = Rounding.HALF_EVEN
    schedules: Annotated[
        list[Schedule],
        keyed("name"),
        Field(
            max_length=8,
            description="Time-of-use bands; together they cover every day of a year once. Empty: no bands.",
        ),
    ] = []
    holidays: Annotated[
        list[Date], SET, Field(max_length=128, description='Days that are of kind Holiday, such as "2026-10-01".')
    ] = []
    workdays: Annotated[
        list[Date],
        SET,
        Field(
            max_length=128, description="Saturdays and Sundays that are of kind Workday, worked in exchange for others."
        ),
    ] = []
    items: Annotated[
        list[Item],
        keyed("name"),
        Field(
            min_length=1,
            max_length=64,
            description="What costs what. Use of a sort that no item is about, such as memory, is not billed; of a sort that "
            "is, every class that sites offer needs its item.",
        ),
    ]
    packages: Annotated[
        list[Package],
        keyed("name"),
        Field(
            max_length=32,
            description="What can be subscribed to; a commitment is a package of a month with its overage.",
        ),
    ] = []
    customer_classes: Annotated[
        list[CustomerClass],
        keyed("name"),
        Field(max_length=32, description="What classes of customers pay; accounts without a class pay all."),
    ] = []
    commission_permille: Annotated[
        Permille, Field(description="The platform's commission in thousandths of what is paid without tax.")
    ] = 0
    tax_permille: Annotated[
        Permille, Field(description="Tax that is in the prices, in thousandths of the price without it.")
    ] = 0


class TariffStatus(Model):
    """What the operator found about the tariff."""

    conditions: Annotated[
        Conditions,
        Field(max_length=8, description="Consistent: whether it fits the provider's sites and other tariffs."),
    ] = []


class Tariff(Resource):
    """A provider's price book from a day on."""

    kind_info: ClassVar[Kind] = Kind(
        kind="Tariff",
        plural="tariffs",
        short_names=("ctar",),
        namespaced=False,
        columns=(
            PrinterColumn("Provider", ".spec.provider", "Whose prices they are."),
            PrinterColumn("From", ".spec.effectiveFrom", "First day on which they hold."),
            PrinterColumn(
                "Consistent",
                '.status.conditions[?(@.type=="Consistent")].status',
                "Whether it fits the provider's sites and other tariffs.",
            ),
            PrinterColumn("Rounding", ".spec.rounding", "How a line is rounded.", priority=1),
            PrinterColumn("Timezone", ".spec.timezone", "Time zone of bands, days and months.", priority=1),
            PrinterColumn("Commission", ".spec.commissionPermille", "Thousandths.", type="integer", priority=1),
            PrinterColumn("Tax", ".spec.taxPermille", "Thousandths.", type="integer", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        TariffSpec,
        Field(
            description="What the use of the provider's sites costs from a day on, by item, hour, volume and customer. Cannot be "
            "changed once it is there."
        ),
    ]
    status: Annotated[
        TariffStatus | None,
        Field(description="What the operator found about the tariff; nobody else writes it."),
    ] = None
