"""ComputeSite: one data centre, one member cluster."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    ClassName,
    Condition,
    Date,
    DecimalText,
    FractionText,
    HourText,
    LabelKey,
    LabelValue,
    LongName,
    Model,
    Name,
    Quantity,
    Text,
    Time,
)
from suanli.api.kind import Kind, PrinterColumn, Resource


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

    kubeconfig_secret_ref: Annotated[SecretRef, Field(description="The Secret with the member's kubeconfig.")]


class SiteResource(Model):
    """One class of compute that the site offers."""

    class_: Annotated[
        ClassName, Field(alias="class", description="Class name that jobs ask for, such as nvidia-a100-80g.")
    ]
    type: Annotated[ComputeType, Field(description="General, Intelligent or Super.")]
    resource_name: Annotated[
        LabelKey,
        Field(description='Kubernetes resource that is counted: "cpu" or an extended one such as nvidia.com/gpu.'),
    ]
    unit: Annotated[ComputeUnit, Field(description="Card or Core.")]
    precision: Annotated[Precision, Field(description="Precision of the performance figure.")] = Precision.FP32
    petaflops: Annotated[DecimalText | None, Field(description="Petaflops of one unit at that precision.")] = None
    list_price: Annotated[
        DecimalText, Field(description="CNY for one unit and hour, until a tariff says otherwise.")
    ] = "0"
    rated_power_w: Annotated[
        int, Field(ge=0, le=1_000_000, description="Watts of IT power of one unit under load.")
    ] = 0
    labels: Annotated[
        dict[LabelKey, LabelValue], Field(max_length=16, description="Chip family, vendor and the like.")
    ] = {}
    node_labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(
            max_length=8,
            description="Labels of the nodes that carry this class; empty: all nodes that have the resource.",
        ),
    ] = {}
    declared_units: Annotated[
        int | None,
        Field(
            ge=0, le=10_000_000, description="Units for offline planning only; the operator reads the member's nodes."
        ),
    ] = None


class DeclaredCapacity(Model):
    """Cores and memory for offline planning; the operator reads the member's nodes instead."""

    cpu: Annotated[Quantity, Field(description="Cores in sum.")]
    memory: Annotated[Quantity, Field(description="Memory in sum.")]


class PriceBand(Model):
    """Electricity price of some hours of some months."""

    from_: Annotated[HourText, Field(alias="from", description='First minute, "08:00", in the schedule\'s time zone.')]
    to: Annotated[
        HourText, Field(description='End, exclusive, "24:00" at the latest; earlier than from means over midnight.')
    ]
    months: Annotated[
        list[Annotated[int, Field(ge=1, le=12)]], Field(max_length=12, description="Months 1-12; empty: all.")
    ] = []
    price_per_kwh: Annotated[DecimalText, Field(description="CNY per kWh.")]


class Energy(Model):
    """What the site's energy costs, in money and carbon."""

    pue: Annotated[
        DecimalText,
        Field(description='Power usage effectiveness, total over IT energy, yearly, such as "1.18"; at least 1.'),
    ] = "1.5"
    green_share: Annotated[FractionText, Field(description='Renewable share of the energy, "0" to "1".')] = "0"
    grid_factor_g_per_kwh: Annotated[int, Field(ge=0, le=5_000, description="Grid emission factor, gCO2 per kWh.")] = 0
    timezone: Annotated[
        str,
        Field(
            max_length=64,
            pattern=r"^[A-Za-z]+(/[A-Za-z_+-]+[0-9]*)*$",
            description="IANA time zone of the price schedule.",
        ),
    ] = "Asia/Shanghai"
    price_schedule: Annotated[
        list[PriceBand],
        Field(
            max_length=96,
            description="Time-of-use prices; the first band that covers a moment holds.",
            json_schema_extra={"x-atomic": "true"},
        ),
    ] = []


class ComputeSiteSpec(Model):
    """A data centre and how to reach it."""

    region: Annotated[Name, Field(description="ComputeRegion it stands in.")]
    operator: Annotated[Text | None, Field(description="Who runs it.")] = None
    standard_racks: Annotated[int, Field(ge=0, le=1_000_000, description="Standard racks of 2.5 kW.")] = 0
    built_on: Annotated[Date | None, Field(description="Day it went into service.")] = None
    connection: Annotated[
        Connection | None, Field(description="How the hub reaches it; absent: known, but nothing can run there.")
    ] = None
    desired_state: Annotated[SiteState, Field(description="Active, Inactive (nothing new), or Drain.")] = (
        SiteState.ACTIVE
    )
    resources: Annotated[
        list[SiteResource],
        Field(max_length=32, description="Classes of compute it offers.", json_schema_extra={"x-key": "class"}),
    ] = []
    declared_capacity: Annotated[DeclaredCapacity | None, Field(description="For offline planning only.")] = None
    energy: Annotated[Energy, Field(description="Energy efficiency, source and price.")] = Energy()
    allowed_accounts: Annotated[
        list[Name], Field(max_length=256, description="Accounts that may use it; empty: all.")
    ] = []
    data_domains: Annotated[list[Name], Field(max_length=64, description="Data domains whose data may stay here.")] = []


class ClassCapacity(Model):
    """Units of one class on the member."""

    class_: Annotated[ClassName, Field(alias="class", description="The class.")]
    capacity: Annotated[int, Field(ge=0, description="Units of all nodes of this class.")] = 0
    allocatable: Annotated[
        int, Field(ge=0, description="Units of ready, schedulable nodes, less what foreign pods request.")
    ] = 0
    allocated: Annotated[int, Field(ge=0, description="Units that this hub's jobs hold.")] = 0


class ComputeSiteStatus(Model):
    """What the operator observes of the member."""

    conditions: Annotated[
        list[Condition], Field(max_length=16, description="Ready, Reachable, CredentialsValid, PolicyCompliant.")
    ] = []
    hub: Annotated[Name | None, Field(description="Hub it belongs to.")] = None
    side: Annotated[str | None, Field(max_length=8, description="East, West or Outside.")] = None
    size_class: Annotated[str | None, Field(max_length=8, description="Mega, Large or Medium by standard racks.")] = (
        None
    )
    classes: Annotated[
        list[ClassCapacity],
        Field(max_length=32, description="Capacity per class.", json_schema_extra={"x-key": "class"}),
    ] = []
    cpu_milli: Annotated[int, Field(ge=0, description="Allocatable millicores.")] = 0
    memory_bytes: Annotated[int, Field(ge=0, description="Allocatable bytes of memory.")] = 0
    nodes: Annotated[int, Field(ge=0, description="Ready, schedulable nodes.")] = 0
    jobs: Annotated[int, Field(ge=0, description="Jobs assigned here that have not finished.")] = 0
    last_heard_from: Annotated[
        Time | None, Field(description="When the member last answered, written when it stops answering.")
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
    spec: Annotated[ComputeSiteSpec, Field(description="What the administrator declares.")]
    status: Annotated[ComputeSiteStatus | None, Field(description="What the operator observes.")] = None
