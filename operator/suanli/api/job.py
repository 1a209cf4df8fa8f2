"""ComputeJob: what users apply."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    ClassName,
    Condition,
    Digits,
    Duration,
    MicroYuan,
    Model,
    Name,
    Quantity,
    Time,
)
from suanli.api.kind import Kind, PrinterColumn, Resource


class Category(StrEnum):
    """What kind of work it is, as policy names it."""

    MODEL_TRAINING = "ModelTraining"
    MODEL_INFERENCE = "ModelInference"
    MACHINE_LEARNING = "MachineLearning"
    RENDERING = "Rendering"
    OFFLINE_ANALYTICS = "OfflineAnalytics"
    BACKUP = "Backup"
    INDUSTRIAL_CONTROL = "IndustrialControl"
    FINANCE = "Finance"
    TELEMEDICINE = "Telemedicine"
    GENERAL = "General"


class JobState(StrEnum):
    """What the user wants of the job."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"


class Failover(StrEnum):
    """Whether a copy may start while an old one is not yet known to be gone."""

    AT_MOST_ONCE = "AtMostOnce"
    AT_LEAST_ONCE = "AtLeastOnce"


class Latency(Model):
    """A bound on one-way time between the job's origin and its site: a tier's name or a time."""

    tier: Annotated[Name | None, Field(description="Name of a latency tier of the policy.")] = None
    one_way: Annotated[Duration | None, Field(description='Longest one-way time, such as "8ms".')] = None


class PerTask(Model):
    """What one task gets; requests and limits are the same."""

    cpu: Annotated[Quantity, Field(description='Cores, such as "16" or "500m".')]
    memory: Annotated[Quantity, Field(description='Memory, such as "64Gi".')]
    cards: Annotated[int, Field(ge=0, le=1_024, description="Cards of the class; 0 for a class counted in cores.")] = 0


class JobResources(Model):
    """What the job runs on."""

    class_: Annotated[
        list[ClassName],
        Field(
            alias="class",
            min_length=1,
            max_length=8,
            description="Acceptable classes, in order of wish.",
            json_schema_extra={"x-set": "true"},
        ),
    ]
    per_task: Annotated[PerTask, Field(description="What one task gets.")]


class EnvVar(Model):
    """A plain environment variable."""

    name: Annotated[
        str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Its name.")
    ]
    value: Annotated[str, Field(max_length=4_096, description="Its value, taken as it is.")] = ""


class Scratch(Model):
    """Local scratch space, gone with the task."""

    size: Annotated[Quantity, Field(description='Size limit, such as "100Gi".')]
    mount_path: Annotated[
        str, Field(min_length=2, max_length=256, pattern=r"^/[A-Za-z0-9._/-]+$", description="Where the task sees it.")
    ]


class Template(Model):
    """The one container of a task; everything else of the pod is the operator's."""

    image: Annotated[
        str,
        Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", description="Container image."),
    ]
    command: Annotated[
        list[Annotated[str, Field(max_length=4_096)]],
        Field(max_length=64, description="Entry point; absent: the image's."),
    ] = []
    args: Annotated[list[Annotated[str, Field(max_length=4_096)]], Field(max_length=256, description="Arguments.")] = []
    env: Annotated[
        list[EnvVar], Field(max_length=128, description="Environment variables.", json_schema_extra={"x-key": "name"})
    ] = []
    working_dir: Annotated[
        str | None, Field(max_length=256, pattern=r"^/[A-Za-z0-9._/-]*$", description="Working directory.")
    ] = None
    scratch: Annotated[Scratch | None, Field(description="Local scratch space.")] = None


class DataInput(Model):
    """Data that the job reads."""

    name: Annotated[Name, Field(description="A name for it, unique in the job.")]
    region: Annotated[Name, Field(description="ComputeRegion where it lies.")]
    size: Annotated[Quantity, Field(description='Its size, such as "2Ti".')]


class DataOutput(Model):
    """Data that the job writes."""

    region: Annotated[Name, Field(description="ComputeRegion where it is to go.")]
    size: Annotated[Quantity, Field(description="Its size.")]


class Data(Model):
    """Where data lies and where it may go."""

    inputs: Annotated[
        list[DataInput], Field(max_length=32, description="What the job reads.", json_schema_extra={"x-key": "name"})
    ] = []
    outputs: Annotated[DataOutput | None, Field(description="What the job writes.")] = None
    allowed_regions: Annotated[
        list[Name], Field(max_length=64, description="Only sites of these regions; empty: any.")
    ] = []
    allowed_sites: Annotated[list[Name], Field(max_length=64, description="Only these sites; empty: any.")] = []
    domain: Annotated[Name | None, Field(description="Data domain: only sites that name it may run the job.")] = None


class Timing(Model):
    """When the job may, should and must run."""

    expected_duration: Annotated[
        Duration, Field(description="How long it is expected to run; used for cost, not enforced.")
    ] = "1h"
    not_before: Annotated[Time | None, Field(description="Not to start earlier.")] = None
    deadline: Annotated[Time | None, Field(description="To be finished by then, by its expected duration.")] = None
    deferrable: Annotated[
        Duration | None, Field(description="May be put off by this much for cheaper or greener hours.")
    ] = None


class Limits(Model):
    """How far the job may go."""

    max_cost: Annotated[MicroYuan | None, Field(description="Most micro-yuan that its expected run may cost.")] = None
    retries: Annotated[int, Field(ge=0, le=100, description="New attempts after a failure.")] = 0
    active_deadline: Annotated[
        Duration | None, Field(description="Longest time one attempt may run; then it is stopped.")
    ] = None


class ComputeJobSpec(Model):
    """A batch job of one or more equal tasks."""

    category: Annotated[Category, Field(description="What kind of work it is; policy goes by it.")] = Category.GENERAL
    origin: Annotated[Name, Field(description="ComputeRegion where the users or the data owner sit.")]
    latency: Annotated[Latency | None, Field(description="Bound on one-way time; absent: any.")] = None
    tasks: Annotated[
        int, Field(ge=1, le=10_000, description="Tasks; all on one site, started together or not at all.")
    ] = 1
    resources: Annotated[JobResources, Field(description="What the job runs on.")]
    template: Annotated[Template, Field(description="What a task runs.")]
    data: Annotated[Data | None, Field(description="Where its data lies and may go.")] = None
    timing: Annotated[Timing, Field(description="When it may, should and must run.")] = Timing()
    priority: Annotated[int, Field(ge=0, le=1_000_000, description="Higher goes first.")] = 0
    failover: Annotated[Failover, Field(description="Whether two copies may ever overlap.")] = Failover.AT_MOST_ONCE
    limits: Annotated[Limits, Field(description="How far it may go.")] = Limits()
    desired_state: Annotated[JobState, Field(description="Running, or Suspended to stop it and keep it.")] = (
        JobState.RUNNING
    )


class Assignment(Model):
    """Where the current attempt runs; committed here before anything is created there."""

    site: Annotated[Name, Field(description="The ComputeSite.")]
    epoch: Annotated[int, Field(ge=1, description="Number of the attempt; only this one counts.")]
    class_: Annotated[ClassName, Field(alias="class", description="Class of compute.")]
    time: Annotated[Time, Field(description="When it was decided.")]


class CostLines(Model):
    """What the expected run costs at a site, in micro-yuan; the weight is the policy's, not paid."""

    run: Annotated[MicroYuan, Field(description="List price of the units.")] = "0"
    energy: Annotated[MicroYuan, Field(description="Electricity.")] = "0"
    transfer: Annotated[MicroYuan, Field(description="Moving inputs and outputs.")] = "0"
    carbon: Annotated[MicroYuan, Field(description="Carbon at the policy's price.")] = "0"
    policy: Annotated[MicroYuan, Field(description="Weights of Prefer and Avoid rules; negative is wanted.")] = "0"
    total: Annotated[MicroYuan, Field(description="The sum.")] = "0"


class RunnerUp(Model):
    """A site that would have done as well, or nearly."""

    site: Annotated[Name, Field(description="The site.")]
    class_: Annotated[ClassName, Field(alias="class", description="Class of compute there.")]
    total: Annotated[MicroYuan, Field(description="What it would cost there.")]


class Rejection(Model):
    """How many sites fell to one reason."""

    reason: Annotated[str, Field(max_length=63, description="The reason.")]
    count: Annotated[int, Field(ge=1, description="Sites that fell to it.")]
    example: Annotated[str, Field(max_length=512, description="One of them, in numbers.")]


class Placement(Model):
    """Why it runs where it runs, or why it waits."""

    cost: Annotated[CostLines | None, Field(description="Cost lines at the chosen site.")] = None
    latency: Annotated[Duration | None, Field(description="One-way time from the origin to the site.")] = None
    latency_source: Annotated[
        str | None, Field(max_length=16, description="Measured (by links) or Estimated (by distance).")
    ] = None
    runners_up: Annotated[
        list[RunnerUp], Field(max_length=3, description="The next best sites.", json_schema_extra={"x-key": "site"})
    ] = []
    rejections: Annotated[
        list[Rejection],
        Field(max_length=16, description="Sites ruled out, by reason.", json_schema_extra={"x-key": "reason"}),
    ] = []
    bound_gap_ppm: Annotated[
        int | None, Field(ge=0, description="Proven gap of the cycle's plan to the optimum, in millionths.")
    ] = None


class Queue(Model):
    """Where the job stands while it waits."""

    position: Annotated[int, Field(ge=1, description="Position among the waiting jobs, by priority and age.")]
    ahead: Annotated[int, Field(ge=0, description="Jobs before it.")]


class Estimate(Model):
    """What is to be expected."""

    cost: Annotated[MicroYuan | None, Field(description="Micro-yuan of the expected run.")] = None
    transfer_time: Annotated[Duration | None, Field(description="Time to move its inputs.")] = None


class Usage(Model):
    """What its containers really ran, of all attempts, exact."""

    attempts: Annotated[int, Field(ge=0, description="Attempts that ran.")] = 0
    pods: Annotated[int, Field(ge=0, description="Pods that ran.")] = 0
    run_ms: Annotated[Digits, Field(description="Milliseconds that containers ran, summed over pods.")] = "0"
    cpu_milli_ms: Annotated[Digits, Field(description="Millicores times milliseconds.")] = "0"
    memory_byte_ms: Annotated[Digits, Field(description="Bytes of memory times milliseconds.")] = "0"
    card_ms: Annotated[Digits, Field(description="Cards times milliseconds.")] = "0"
    core_hours: Annotated[
        str, Field(max_length=40, pattern=r"^[0-9]+\.[0-9]{6}$", description="The same in core-hours, rounded.")
    ] = "0.000000"
    card_hours: Annotated[
        str, Field(max_length=40, pattern=r"^[0-9]+\.[0-9]{6}$", description="The same in card-hours, rounded.")
    ] = "0.000000"


class ComputeJobStatus(Model):
    """What the operator decided and observed."""

    conditions: Annotated[
        list[Condition],
        Field(max_length=16, description="Accepted, QuotaReserved, Placed, Dispatched, Running, Finished."),
    ] = []
    state: Annotated[
        str | None,
        Field(max_length=16, description="One word for people, made from the conditions; read those in programs."),
    ] = None
    reason: Annotated[
        str | None, Field(max_length=63, description="Why it is in that state, made from the conditions.")
    ] = None
    epoch: Annotated[int, Field(ge=0, description="Number of the last attempt.")] = 0
    assignment: Annotated[Assignment | None, Field(description="Where the current attempt runs.")] = None
    placement: Annotated[Placement | None, Field(description="Why it runs there, or why it waits.")] = None
    queue: Annotated[Queue | None, Field(description="Where it stands while it waits.")] = None
    estimate: Annotated[Estimate | None, Field(description="What is to be expected.")] = None
    failures: Annotated[int, Field(ge=0, description="Attempts that failed.")] = 0
    started_at: Annotated[
        Time | None, Field(description="When the first container of the current attempt started.")
    ] = None
    finished_at: Annotated[Time | None, Field(description="When the job ended.")] = None
    usage: Annotated[Usage | None, Field(description="What its containers really ran.")] = None


class ComputeJob(Resource):
    """A batch job that suanli places, runs and meters."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeJob",
        plural="computejobs",
        short_names=("cjob",),
        namespaced=True,
        columns=(
            PrinterColumn("State", ".status.state", "Waiting, Placed, Running, Succeeded, Failed, ..."),
            PrinterColumn("Site", ".status.assignment.site", "Where it runs."),
            PrinterColumn("Class", ".status.assignment.class", "Class of compute."),
            PrinterColumn("Reason", ".status.reason", "Why it waits or how it ended."),
            PrinterColumn("Origin", ".spec.origin", "Where its users sit.", priority=1),
            PrinterColumn("Card-hours", ".status.usage.cardHours", "Cards used.", priority=1),
            PrinterColumn("Core-hours", ".status.usage.coreHours", "Cores used.", priority=1),
            PrinterColumn("Message", '.status.conditions[?(@.type=="Placed")].message', "Why, in numbers.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[ComputeJobSpec, Field(description="What the user declares.")]
    status: Annotated[ComputeJobStatus | None, Field(description="What the operator decided and observed.")] = None
