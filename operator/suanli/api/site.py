"""ComputeSite: one data centre, one member cluster."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    LABEL_KEY,
    Conditions,
    Date,
    DecimalText,
    FractionText,
    Int,
    LabelKey,
    Labels,
    LongName,
    Model,
    Name,
    Names,
    PositiveDecimal,
    Pue,
    Text,
    Time,
    TotalCores,
    TotalMemory,
)
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import ATOMIC, SET, keyed
from suanli.api.rule import Rule, Shape, unchanging
from suanli.base.clock import is_zone


class SiteState(StrEnum):
    """What the administrator wants of a site."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    DRAIN = "Drain"


class ComputeType(StrEnum):
    """General 通用, intelligent 智能 or super 超级 computing."""

    GENERAL = "General"
    INTELLIGENT = "Intelligent"
    SUPER = "Super"


class ComputeUnit(StrEnum):
    """What is counted of a class."""

    CARD = "Card"
    CORE = "Core"


class Precision(StrEnum):
    """Floating-point precision a performance figure is for; figures of two precisions never add up."""

    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"


class SecretRef(Model):
    """A Secret in the operator's namespace."""

    name: Annotated[
        LongName, Field(description='Name of the Secret; its key "kubeconfig" holds the member\'s kubeconfig.')
    ]


class Connection(Model):
    """How the hub reaches the member."""

    kubeconfig_secret_ref: Annotated[
        SecretRef,
        Field(description="The Secret with the member's kubeconfig, as `suanli site join` makes it."),
    ]


def _is_countable(name: str) -> bool:
    """Cores, or a resource that device plugins may offer. Source: Kubernetes, extended resources."""
    return name == "cpu" or ("/" in name and "kubernetes.io/" not in name and not name.startswith("requests."))


ResourceName = Annotated[
    LabelKey,
    Rule(
        LABEL_KEY.then(
            "(self == 'cpu' || (self.contains('/') && !self.contains('kubernetes.io/') && !self.startsWith('requests.')))"
        ),
        _is_countable,
        'is neither "cpu" nor an extended resource; write the vendor\'s domain and a name, such as "nvidia.com/gpu"',
    ),
]


class SiteResource(Model):
    """One class of compute that the site offers."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.unit == 'Core') == (self.resourceName == 'cpu')",
            lambda r: (r.unit is ComputeUnit.CORE) == (r.resource_name == "cpu"),
            'unit {unit} does not go with resourceName "{resourceName}"; a Core is counted of "cpu", a Card of an extended '
            'resource such as "nvidia.com/gpu"',
            field="unit",
        ),
    )

    class_: Annotated[
        Name, Field(alias="class", description='Name of the class that jobs ask for, such as "nvidia-a100-80g".')
    ]
    type: Annotated[
        ComputeType, Field(description="General for CPUs, Intelligent for AI accelerators, Super for supercomputing.")
    ]
    resource_name: Annotated[
        ResourceName,
        Field(
            description='Kubernetes resource that is counted: "cpu", or an extended one such as "nvidia.com/gpu" as the '
            "device plugin names it."
        ),
    ]
    unit: Annotated[
        ComputeUnit, Field(description='What is counted and priced: a Card, or a Core of the resource "cpu".')
    ]
    precision: Annotated[
        Precision, Field(description="Precision that petaflops is for; figures of two precisions never add up.")
    ] = Precision.FP32
    petaflops: Annotated[
        PositiveDecimal | None,
        Field(
            description='Petaflops of one unit at that precision as a decimal string, such as "0.312". A job runs that much longer '
            "or shorter than on the class it wishes first; classes of different precision, or without petaflops, count as equally "
            "fast."
        ),
    ] = None
    list_price: Annotated[
        DecimalText, Field(description='CNY for one unit and hour as a decimal string, such as "5.50".')
    ] = "0"
    rated_power_w: Annotated[
        Int,
        Field(
            ge=0,
            le=1_000_000,
            description="Watts of IT power of one unit under load; with energy it makes the cost of electricity and carbon.",
        ),
    ] = 0
    labels: Annotated[Labels, Field(max_length=16, description="What people want to know: chip family, vendor.")] = {}
    node_labels: Annotated[
        Labels,
        Field(
            max_length=8,
            description="Labels of the nodes that carry this class; empty: all nodes that have the resource. Classes of "
            "cards take their nodes before classes of cores, earlier classes before later ones.",
        ),
    ] = {}
    declared_units: Annotated[
        Int | None,
        Field(
            ge=0,
            le=10_000_000,
            description="Units for `suanli plan`, which asks no cluster; the operator counts the member's nodes instead.",
        ),
    ] = None


class DeclaredCapacity(Model):
    """Cores and memory for `suanli plan`; the operator counts the member's nodes instead."""

    cpu: Annotated[TotalCores, Field(description='Cores in sum, such as "24576".')]
    memory: Annotated[TotalMemory, Field(description='Memory in sum, such as "160Ti".')]


_HOUR = r"([01][0-9]|2[0-3]):[0-5][0-9]"
StartHour = Annotated[
    str,
    Field(min_length=5, max_length=5),
    Shape(rf"^{_HOUR}$", 'is not a time of day; write it in quotes from "00:00" to "23:59"'),
]
EndHour = Annotated[
    str,
    Field(min_length=5, max_length=5),
    Shape(rf"^({_HOUR}|24:00)$", 'is not a time of day; write it in quotes from "00:00" to "24:00"'),
]


class PriceBand(Model):
    """Electricity price of some hours of some months."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.from != self.to",
            lambda band: band.from_ != band.to,
            'from "{from}" to "{to}" is no time at all; for the whole day write "00:00" to "24:00"',
            field="to",
        ),
    )

    from_: Annotated[
        StartHour, Field(alias="from", description='First minute, such as "08:00", in the time zone of the schedule.')
    ]
    to: Annotated[
        EndHour,
        Field(description='End, exclusive, "24:00" at the latest; earlier than from means until then on the next day.'),
    ]
    months: Annotated[
        list[Annotated[Int, Field(ge=1, le=12)]],
        SET,
        Field(max_length=12, description="Months from 1 to 12; empty: all."),
    ] = []
    price_per_kwh: Annotated[DecimalText, Field(description='CNY per kWh as a decimal string, such as "0.684".')]


_ZONE = Shape(
    r"^(UTC|[A-Z][A-Za-z]*(/[A-Za-z0-9_+-]+)+)$",
    'is not a time zone; write a name of the IANA data base, such as "Asia/Shanghai" or "UTC"',
)
Timezone = Annotated[
    str,
    Field(max_length=64),
    _ZONE,
    # The API server asks its own data base; where that does not know the name, the error says so.
    Rule(_ZONE.then("timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0"), is_zone, _ZONE.wrong),
]


SignedPrice = Annotated[
    str,
    Field(min_length=1, max_length=14),
    Shape(
        r"^-?[0-9]{1,6}(\.[0-9]{1,6})?$",
        'is not a price in quotes; write CNY with at most six digits before and after the point, such as "0.312" or "-0.02"',
    ),
]


class HourlyPrices(Model):
    """Electricity prices hour by hour, as day-ahead markets publish them."""

    from_: Annotated[
        Time, Field(alias="from", description='Begin of the first hour, such as "2026-01-31T00:00:00+08:00".')
    ]
    prices_per_kwh: Annotated[
        list[SignedPrice],
        ATOMIC,
        Field(
            min_length=1,
            max_length=240,
            description='CNY per kWh of each hour in turn as decimal strings, such as "0.312"; below zero too. At most 336, two '
            "days. Every hour after the last one is expected to cost halfway between the price of the same hour of the last day "
            "given and the median of the last seven days'.",
        ),
    ]


class Energy(Model):
    """What the site's energy costs, in money and carbon."""

    pue: Annotated[
        Pue,
        Field(
            description='Power usage effectiveness of a year, total over IT energy, as a decimal string such as "1.18"; from '
            '"1" to "5". Above the ceiling of its cluster the site is marked as not compliant.'
        ),
    ] = "1.5"
    green_share: Annotated[
        FractionText, Field(description='Renewable share of the energy as a decimal string, "0" to "1".')
    ] = "0"
    grid_factor_g_per_kwh: Annotated[
        Int, Field(ge=0, le=5_000, description="Emission factor of the rest, in grams of CO2 per kWh.")
    ] = 0
    timezone: Annotated[
        Timezone, Field(description='IANA time zone of the price schedule, such as "Asia/Shanghai".')
    ] = "Asia/Shanghai"
    price_schedule: Annotated[
        list[PriceBand],
        ATOMIC,
        Field(
            max_length=96,
            description="Time-of-use prices; the first band that covers a moment holds. Hours without a band cost nothing.",
        ),
    ] = []
    hourly_prices: Annotated[
        HourlyPrices | None,
        Field(
            description="Prices of single hours, such as a market's of tomorrow; from their first hour on they hold in place of "
            "priceSchedule. If there is no priceSchedule, an hour of which they say nothing counts with their mean."
        ),
    ] = None


class ComputeSiteSpec(Model):
    """A data centre and how to reach it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        unchanging(
            "region",
            "a data centre does not move, and data were placed by where it stands; take it out with `suanli site leave` and "
            "join it under the right region",
        ),
    )

    region: Annotated[Name, Field(description="ComputeRegion that it stands in. Cannot be changed.")]
    operator: Annotated[Text | None, Field(description="Who runs it.")] = None
    standard_racks: Annotated[
        Int,
        Field(
            ge=0,
            le=1_000_000,
            description="Standard racks of 2.5 kW. From 3,000 a site is Large, from 10,000 Mega; HubPolicy says how many a "
            "new or grown site outside the hubs may have.",
        ),
    ] = 0
    built_on: Annotated[Date | None, Field(description='Day it went into service, such as "2023-05-01".')] = None
    connection: Annotated[
        Connection | None,
        Field(description="How the hub reaches the member; absent: the site is known, but nothing can run there."),
    ] = None
    desired_state: Annotated[
        SiteState,
        Field(
            description="Active takes jobs. Inactive takes none, and what runs there goes on. Drain takes none, and what runs there is "
            "stopped and placed elsewhere by the same rules as ever, only so many in a minute; a job that may run nowhere else waits."
        ),
    ] = SiteState.ACTIVE
    resources: Annotated[
        list[SiteResource], keyed("class"), Field(max_length=32, description="Classes of compute that it offers.")
    ] = []
    declared_capacity: Annotated[
        DeclaredCapacity | None,
        Field(description="Capacity for `suanli plan`; the operator counts the member's nodes instead."),
    ] = None
    energy: Annotated[Energy, Field(description="What its energy costs, in money and carbon.")] = Energy()
    allowed_accounts: Annotated[
        Names,
        Field(
            max_length=256,
            description="Accounts that may use it: names of ComputeAccounts, or of namespaces that no account has; empty: all.",
        ),
    ] = []
    data_domains: Annotated[
        Names,
        Field(max_length=64, description="Data domains whose data may stay here; jobs name theirs in data.domain."),
    ] = []
    cached_datasets: Annotated[
        Names,
        Field(
            max_length=256,
            description="Datasets of which a copy lies here; a job that names one in data.inputs[].dataset moves nothing for "
            "it. The administrator keeps the list true; suanli copies nothing.",
        ),
    ] = []


class ClassCapacity(Model):
    """Units of one class on the member."""

    class_: Annotated[Name, Field(alias="class", description="The class.")]
    capacity: Annotated[int, Field(ge=0, description="Units of all nodes of this class.")] = 0
    allocatable: Annotated[
        int, Field(ge=0, description="Units of ready, schedulable nodes, less what foreign pods request.")
    ] = 0
    allocated: Annotated[int, Field(ge=0, description="Units that this hub's jobs hold.")] = 0


class SiteFence(Model):
    """The member's fence, which stops AtMostOnce work when the hub has not renewed its lease."""

    lease_seconds: Annotated[
        int, Field(ge=1, description="The longest duration that a renewal of the hub may have given it.")
    ]


class ComputeSiteStatus(Model):
    """What the operator observes of the member."""

    conditions: Annotated[
        Conditions,
        Field(max_length=16, description="Ready, Reachable, CredentialsValid, PolicyCompliant, Fenced, Swept."),
    ] = []
    hub: Annotated[Name | None, Field(description="Hub it belongs to.")] = None
    side: Annotated[str | None, Field(max_length=8, description="East, West or Outside.")] = None
    size_class: Annotated[str | None, Field(max_length=8, description="Mega, Large or Medium by standard racks.")] = (
        None
    )
    classes: Annotated[
        list[ClassCapacity], keyed("class"), Field(max_length=32, description="Capacity per class.")
    ] = []
    cpu_milli: Annotated[int, Field(ge=0, description="Allocatable millicores.")] = 0
    memory_bytes: Annotated[int, Field(ge=0, description="Allocatable bytes of memory.")] = 0
    nodes: Annotated[int, Field(ge=0, description="Ready, schedulable nodes.")] = 0
    jobs: Annotated[int, Field(ge=0, description="Jobs assigned here that have not finished.")] = 0
    last_heard_from: Annotated[
        Time | None,
        Field(description="How old the figures are: when the member last answered. Absent while it answers."),
    ] = None
    fence: Annotated[
        SiteFence | None,
        Field(description="The member's fence, once one has answered; condition Fenced says whether it does."),
    ] = None
    kubernetes_version: Annotated[str | None, Field(max_length=63, description="The member's version.")] = None
    cluster_id: Annotated[
        str | None, Field(max_length=63, description="UID of the member's kube-system namespace.")
    ] = None


class ComputeSite(Resource):
    """One data centre: one member cluster."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeSite",
        plural="computesites",
        short_names=("csite",),
        namespaced=False,
        columns=(
            PrinterColumn("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether jobs can be placed here."),
            PrinterColumn("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why."),
            PrinterColumn("Region", ".spec.region", "Where it stands."),
            PrinterColumn("Side", ".status.side", "East, West or Outside."),
            PrinterColumn("State", ".spec.desiredState", "What the administrator wants."),
            PrinterColumn("Jobs", ".status.jobs", "Jobs assigned.", type="integer"),
            PrinterColumn("Nodes", ".status.nodes", "Ready nodes.", type="integer", priority=1),
            PrinterColumn("Version", ".status.kubernetesVersion", "Kubernetes version.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        ComputeSiteSpec,
        Field(
            description="Where the data centre stands, how the hub reaches its cluster, which classes of compute it offers at "
            "which price, and what its energy costs. How much is there is read from the cluster's nodes."
        ),
    ]
    status: Annotated[
        ComputeSiteStatus | None,
        Field(description="What the operator observes of the member cluster; nobody else writes it."),
    ] = None
