"""ComputeJob: what users apply."""

import json
import re
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from suanli.api.common import (
    DURATION,
    Amount,
    Conditions,
    Cores,
    DataSize,
    Digits,
    DurationText,
    Int,
    Memory,
    MicroYuan,
    Model,
    Name,
    Names,
    OneWay,
    Span,
    Time,
    Words,
)
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import ATOMIC, keyed
from suanli.api.rule import Rule, Shape, unchanging
from suanli.api.tariff import Qos
from suanli.base.units import duration_us

MOST_TEXT = 131_072
_ASKED: dict[str, Any] = {
    **dict.fromkeys(
        (
            "category",
            "origin",
            "latency",
            "tasks",
            "resources",
            "data",
            "timing",
            "priority",
            "qos",
            "checkpoint",
            "limits",
        ),
        True,
    ),
    "template": {"scratch": {"size"}},  # tariffs may price it
}


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

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.tier) || !has(self.oneWay)",
            lambda latency: latency.tier is None or latency.one_way is None,
            'oneWay "{oneWay}" stands beside tier "{tier}"; leave one of them out',
            field="oneWay",
            reason="FieldValueForbidden",
        ),
        Rule(
            "has(self.tier) || has(self.oneWay)",
            lambda latency: latency.tier is not None or latency.one_way is not None,
            "no bound is given; name a tier or a oneWay time, or leave latency out",
            field="tier",
            reason="FieldValueRequired",
        ),
    )

    tier: Annotated[
        Name | None,
        Field(description="Name of a latency tier of the policy, such as region. Exactly one of tier and oneWay."),
    ] = None
    one_way: Annotated[
        OneWay | None,
        Field(description='Longest time in one direction, such as "8ms". Exactly one of tier and oneWay.'),
    ] = None


class PerTask(Model):
    """What one task gets; requests and limits are the same."""

    cpu: Annotated[Cores, Field(description='Cores of one task, such as "16" or "500m".')]
    memory: Annotated[Memory, Field(description='Memory of one task, such as "64Gi".')]
    cards: Annotated[
        Int, Field(ge=0, le=1_024, description="Cards of one task; 0 for a class that is counted in cores.")
    ] = 0


class JobResources(Model):
    """What the job runs on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.class.all(c, self.class.exists_one(d, d == c))",
            lambda resources: len(set(resources.class_)) == len(resources.class_),
            "class {class} names one class twice; name each once, the most wished first",
            field="class",
        ),
    )

    class_: Annotated[
        list[Name],
        ATOMIC,
        Field(
            alias="class",
            min_length=1,
            max_length=8,
            description="Acceptable classes, in order of wish: the cheapest way to run it counts, among equal costs the "
            "earlier class.",
        ),
    ]
    per_task: Annotated[PerTask, Field(description="What one task gets; it fits on one node.")]


_VARIABLE = Shape(
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    'is not the name of a variable; use letters, digits and "_", and begin with no digit',
)
# The libraries inside a container choose by these among the cards that it has.
_CHOOSES_AMONG_OWN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_OF_THE_RUNTIME = (
    "^([A-Z0-9]+_VISIBLE_DEVICES|NVIDIA_MIG_(CONFIG|MONITOR)_DEVICES|NVIDIA_IMEX_CHANNELS"
    "|ASCEND_(RUNTIME_OPTIONS|RUNTIME_MOUNTS|VNPU_SPECS))$"
)
_NO_DEVICES = Rule(
    _VARIABLE.then(f"self in {json.dumps(_CHOOSES_AMONG_OWN)} || !self.matches(r'{_OF_THE_RUNTIME}')"),
    lambda name: name in _CHOOSES_AMONG_OWN or re.search(_OF_THE_RUNTIME, name) is None,
    "tells a container runtime which cards and folders of the node to hand out; leave it out and ask for cards in "
    "resources.perTask",
)


class EnvVar(Model):
    """A plain environment variable."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128),
        _VARIABLE,
        _NO_DEVICES,
        Field(description="Its name."),
    ]
    value: Annotated[
        str, Field(max_length=4_096, description="Its value, taken as it is: nothing is expanded in it.")
    ] = ""


_PATH = Shape(r"^/[A-Za-z0-9._/-]*$", 'is not a path; begin with "/" and use letters, digits, "-", "_", "." and "/"')
_LEADS_AWAY = r"(^/(dev|proc|sys)(/|$))|//|(/\.\.?(/|$))"
# Container runtimes have been led out of the container by a working directory, and past their own checks by a mount, there.
_APART = Rule(
    _PATH.then(f"!self.matches(r'{_LEADS_AWAY}')"),
    lambda path: re.search(_LEADS_AWAY, path) is None,
    'leads out of the task or into the kernel\'s folders; use a folder of its own without "//", "." and "..", such as "/scratch"',
)


class Scratch(Model):
    """Local scratch space, gone with the task."""

    size: Annotated[
        Memory, Field(description='Most that it holds, such as "100Gi"; a task that writes more is stopped.')
    ]
    mount_path: Annotated[
        str,
        Field(min_length=2, max_length=256),
        _PATH,
        _APART,
        Field(description='Where the task sees it, such as "/scratch".'),
    ]


def _text_size(template: "Template") -> int:
    words = sum(map(len, (*template.command, *template.args)))
    return words + sum(len(variable.name) + len(variable.value) for variable in template.env)


class Template(Model):
    """The one container of a task; everything else of the pod is the operator's."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.command) ? self.command.map(w, size(w)).sum() : 0) + (has(self.args) ? self.args.map(w, size(w)).sum() : 0)"
            " + (has(self.env) ? self.env.map(v, size(v.name) + (has(v.value) ? size(v.value) : 0)).sum() : 0)"
            f" <= {MOST_TEXT}",
            lambda template: _text_size(template) <= MOST_TEXT,
            f"command, args and env hold more than {MOST_TEXT} characters in sum; put what is larger into the image or into "
            "data that the task reads",
        ),
    )

    image: Annotated[
        str,
        Field(min_length=1, max_length=512),
        Shape(
            r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
            'is not the name of an image; write it as "team/train:1.4" or with its digest',
        ),
        Field(description='Container image, such as "team/train:1.4"; it runs as user 65534 without privileges.'),
    ]
    command: Annotated[Words, Field(max_length=64, description="Entry point; absent: the image's.")] = []
    args: Annotated[Words, Field(max_length=256, description="Arguments, taken as they are.")] = []
    env: Annotated[list[EnvVar], keyed("name"), Field(max_length=128, description="Environment variables.")] = []
    working_dir: Annotated[
        Annotated[str, Field(min_length=1, max_length=256), _PATH, _APART] | None,
        Field(description="Working directory; absent: the image's."),
    ] = None
    scratch: Annotated[Scratch | None, Field(description="Local scratch space, one for each task.")] = None


class DataInput(Model):
    """Data that the job reads."""

    name: Annotated[Name, Field(description="A name for it, unique in the job.")]
    region: Annotated[Name, Field(description="ComputeRegion where it lies.")]
    size: Annotated[DataSize, Field(description='Its size, such as "2Ti"; moving it is part of the cost.')]
    dataset: Annotated[
        Name | None,
        Field(
            description="Name of the dataset that it is; a site that lists it in cachedDatasets has a copy, so nothing is moved "
            "there. Absent: it is moved wherever the job runs."
        ),
    ] = None


class DataOutput(Model):
    """Data that the job writes."""

    region: Annotated[Name, Field(description="ComputeRegion where it is to go.")]
    size: Annotated[DataSize, Field(description='Its size, such as "300Gi"; moving it is part of the cost.')]


class Data(Model):
    """Where data lies and where it may go."""

    inputs: Annotated[list[DataInput], keyed("name"), Field(max_length=32, description="What the job reads.")] = []
    outputs: Annotated[DataOutput | None, Field(description="What the job writes.")] = None
    allowed_regions: Annotated[
        Names,
        Field(
            max_length=64,
            description="The job runs, and its inputs come, only to sites of these regions; empty: any. Results go where "
            "outputs says.",
        ),
    ] = []
    allowed_sites: Annotated[
        Names, Field(max_length=64, description="The job runs on these sites only; empty: any.")
    ] = []
    domain: Annotated[
        Name | None, Field(description="Data domain: the job runs only on sites that name it in dataDomains.")
    ] = None


class Checkpoint(Model):
    """What an attempt leaves behind for the next one to go on from."""

    size: Annotated[DataSize, Field(description='Its size, such as "500Gi"; moving it is part of the cost.')]
    site: Annotated[
        Name | None,
        Field(
            description="ComputeSite where it lies, also for the first attempt. Absent: where the last attempt that ran was. While "
            "that site is gone or does not answer, the checkpoint counts for nothing."
        ),
    ] = None


def _leaves_time(timing: "Timing") -> bool:
    if timing.deadline is None or timing.not_before is None:
        return True
    span = timedelta(microseconds=duration_us(timing.expected_duration))
    return datetime.fromisoformat(timing.deadline) >= datetime.fromisoformat(timing.not_before) + span


class Timing(Model):
    """When the job may, should and must run."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.deadline) || !has(self.notBefore) || !has(self.expectedDuration) || "
            + DURATION.then(
                "self.deadline >= self.notBefore + duration(self.expectedDuration)", "self.expectedDuration"
            ),
            _leaves_time,
            'deadline "{deadline}" comes before notBefore "{notBefore}" and expectedDuration "{expectedDuration}" are over; '
            "move deadline back, or the others forward",
            field="deadline",
        ),
    )

    expected_duration: Annotated[
        Span,
        Field(
            description='How long it is expected to run on the class it wishes first, such as "6h"; on another class of the same '
            "precision longer or shorter by their petaflops. For cost and deadline, and never enforced."
        ),
    ] = "1h"
    not_before: Annotated[
        Time | None, Field(description='Not to start earlier than this time, such as "2026-01-31T08:00:00Z".')
    ] = None
    deadline: Annotated[
        Time | None,
        Field(description="To be finished by then, as far as expectedDuration is right; too late, it is not started."),
    ] = None
    deferrable: Annotated[
        Span | None,
        Field(
            description='May be put off for cheaper or greener hours by this much, such as "12h", counted from when it was created '
            "or, if that is later, from notBefore; never so far that it would miss its deadline. Absent: it starts as soon as it can."
        ),
    ] = None


class Limits(Model):
    """How far the job may go."""

    rules: ClassVar[tuple[Rule, ...]] = (
        unchanging(
            "activeDeadline",
            "a running attempt keeps the limit it began with; delete the job and apply it again",
            optional=True,
            shown=False,
        ),
    )

    max_cost: Annotated[
        Amount | None,
        Field(
            description='Most micro-yuan that its expected run may cost, such as "100000000" for 100 CNY; dearer sites are '
            "ruled out. A job that is placed already is not moved by a change."
        ),
    ] = None
    retries: Annotated[
        Int,
        Field(
            ge=0, le=100, description="New attempts after attempts that failed; from the third on they come ever later."
        ),
    ] = 0
    active_deadline: Annotated[
        Span | None,
        Field(
            description='Longest time that one attempt may run, such as "12h"; then the job ends. Cannot be changed.'
        ),
    ] = None


_ANEW = "delete the job and apply it under a new name, or again once it is gone"


class ComputeJobSpec(Model):
    """A batch job of one or more equal tasks."""

    rules: ClassVar[tuple[Rule, ...]] = (
        unchanging("category", _ANEW),
        unchanging("origin", _ANEW),
        unchanging("latency", _ANEW, optional=True, shown=False),
        unchanging("tasks", _ANEW),
        unchanging("resources", _ANEW, shown=False),
        unchanging("template", _ANEW, shown=False),
        unchanging("data", _ANEW, optional=True, shown=False),
    )

    category: Annotated[
        Category,
        Field(description="What kind of work it is; rules of the policy go by it. Cannot be changed."),
    ] = Category.GENERAL
    origin: Annotated[
        Name,
        Field(
            description="ComputeRegion where the users or the data owner sit; latency is measured from there. Cannot be "
            "changed."
        ),
    ]
    latency: Annotated[
        Latency | None,
        Field(
            description="Bound on the time in one direction between origin and site; absent: any. Cannot be changed."
        ),
    ] = None
    tasks: Annotated[
        Int,
        Field(
            ge=1,
            le=10_000,
            description="Number of equal tasks; all on one site, started together or not at all. Cannot be changed.",
        ),
    ] = 1
    resources: Annotated[
        JobResources, Field(description="Classes that it can run on, and what each task gets. Cannot be changed.")
    ]
    template: Annotated[Template, Field(description="What a task runs. Cannot be changed.")]
    data: Annotated[
        Data | None, Field(description="Where its data lie and may go; absent: it moves none. Cannot be changed.")
    ] = None
    timing: Annotated[
        Timing,
        Field(description="When it may, should and must run. May be changed; it counts until the job is placed."),
    ] = Timing()
    priority: Annotated[
        Int,
        Field(
            ge=0,
            le=1_000_000,
            description="Higher goes first among the jobs that wait. May be changed; it stops no running job.",
        ),
    ] = 0
    qos: Annotated[
        Qos,
        Field(
            description="Quality of service that it is sold with; price lists may go by it. May be changed; an attempt keeps what "
            "it began with."
        ),
    ] = Qos.NORMAL
    failover: Annotated[
        Failover,
        Field(
            description="Whether a second copy may start while the site of the first is silent and the first may still run: "
            "never with AtMostOnce, allowed with AtLeastOnce. May be changed."
        ),
    ] = Failover.AT_MOST_ONCE
    checkpoint: Annotated[
        Checkpoint | None,
        Field(
            description="What an attempt goes on from after an interruption. The site where it lies is preferred by what it costs to "
            "move it to others, and among equal ones. The job itself writes and reads it. May be changed; it counts until the job is "
            "placed."
        ),
    ] = None
    limits: Annotated[Limits, Field(description="How far it may go. May be changed, but for activeDeadline.")] = (
        Limits()
    )
    desired_state: Annotated[
        JobState,
        Field(
            description="Running; or Suspended: the attempt is stopped, what ran stays metered, and Running starts it anew. "
            "May be changed."
        ),
    ] = JobState.RUNNING

    @cached_property
    def question(self) -> str:
        """What decides where it can run and what that costs: equal for jobs that placement cannot tell apart."""
        return self.model_dump_json(include=_ASKED)


class Assignment(Model):
    """Where the current attempt runs; committed here before anything is created there."""

    model_config = ConfigDict(extra="ignore")  # a later version may say more of it; what is known here decides

    site: Annotated[Name, Field(description="The ComputeSite.")]
    epoch: Annotated[int, Field(ge=1, description="Number of the attempt; only this one counts.")]
    class_: Annotated[Name, Field(alias="class", description="Class of compute.")]
    time: Annotated[Time, Field(description="When it was decided.")]


class CostLines(Model):
    """What the expected run costs at a site, in micro-yuan; the weight is the policy's, not paid."""

    run: Annotated[
        MicroYuan,
        Field(
            description="What the tariff of the site's provider bills for the run, begun when that was reckoned; without a tariff "
            "the list price of the units."
        ),
    ] = "0"
    energy: Annotated[MicroYuan, Field(description="Electricity; nothing under a tariff, whose prices have it.")] = "0"
    transfer: Annotated[MicroYuan, Field(description="Moving inputs and outputs.")] = "0"
    carbon: Annotated[MicroYuan, Field(description="Carbon at the policy's price.")] = "0"
    policy: Annotated[MicroYuan, Field(description="Weights of Prefer and Avoid rules; negative is wanted.")] = "0"
    total: Annotated[MicroYuan, Field(description="The sum.")] = "0"


class RunnerUp(Model):
    """A site that would have done as well, or nearly."""

    site: Annotated[Name, Field(description="The site.")]
    class_: Annotated[Name, Field(alias="class", description="Class of compute there.")]
    total: Annotated[MicroYuan, Field(description="What it would cost there.")]


class Rejection(Model):
    """How many sites fell to one reason."""

    reason: Annotated[str, Field(max_length=63, description="The reason.")]
    count: Annotated[int, Field(ge=1, description="Sites that fell to it.")]
    example: Annotated[str, Field(max_length=512, description="One of them, in numbers.")]


class Placement(Model):
    """Why it runs where it runs, or why it waits."""

    cost: Annotated[CostLines | None, Field(description="Cost lines at the chosen site.")] = None
    latency: Annotated[DurationText | None, Field(description="One-way time from the origin to the site.")] = None
    latency_source: Annotated[
        str | None, Field(max_length=16, description="Measured (by links) or Estimated (by distance).")
    ] = None
    runners_up: Annotated[
        list[RunnerUp], keyed("site", "class"), Field(max_length=3, description="The next best ways to run it.")
    ] = []
    rejections: Annotated[
        list[Rejection], keyed("reason"), Field(max_length=16, description="Sites ruled out, by reason.")
    ] = []
    bound_gap_ppm: Annotated[
        int | None,
        Field(
            ge=0,
            description="Proven: no way to run the jobs that this plan placed is cheaper by more than this share, in "
            "millionths.",
        ),
    ] = None


class Queue(Model):
    """Where the job stands while it waits."""

    position: Annotated[
        int, Field(ge=1, description="Position among the waiting jobs, by priority, what their accounts hold, and age.")
    ]
    ahead: Annotated[int, Field(ge=0, description="Jobs before it.")]


class Estimate(Model):
    """What is to be expected."""

    cost: Annotated[
        MicroYuan | None,
        Field(
            description="Micro-yuan of the expected run: what the tariff of the site's provider will bill it, in the first bracket of "
            "every item and without free units and packages; without a tariff by list price, with electricity and transfer."
        ),
    ] = None
    transfer_time: Annotated[
        DurationText | None,
        Field(
            description="Time to move its inputs while the jobs placed with it move theirs over the same links; absent where "
            "nothing is moved or a bandwidth is not known."
        ),
    ] = None
    start: Annotated[
        Time | None,
        Field(
            description="When it is to start: of a job that has its place, when its inputs are there, as it was placed, absent "
            "where a bandwidth is not known; of one that is put off, its planned hour."
        ),
    ] = None


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


class Setbacks(Model):
    """Attempts that ended badly without spending limits.retries, or not only those; each kind has a limit of the operator's."""

    image: Annotated[int, Field(ge=0, description="Its image could not be pulled.")] = 0
    site: Annotated[int, Field(ge=0, description="The site did not start it.")] = 0
    preempted: Annotated[int, Field(ge=0, description="The site evicted it.")] = 0


class LostAttempt(Model):
    """An attempt that was given up while its site was silent; what it ran is metered and not billed."""

    epoch: Annotated[int, Field(ge=1, description="Number of the attempt.")]
    site: Annotated[Name, Field(description="Where it ran, and may still run.")]
    time: Annotated[Time, Field(description="When it was given up.")]


class ComputeJobStatus(Model):
    """What the operator decided and observed."""

    conditions: Annotated[
        Conditions,
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
    failover: Annotated[
        Failover | None,
        Field(description="What spec.failover said when the attempt was committed; a site's fence goes by it."),
    ] = None
    lost: Annotated[
        list[LostAttempt],
        keyed("epoch"),
        Field(
            max_length=64, description="Attempts that were given up while their site was silent; usage leaves them out."
        ),
    ] = []
    checkpoint_site: Annotated[
        Name | None,
        Field(description="Where the last attempt that ran left its checkpoint, of a job that has spec.checkpoint."),
    ] = None
    placement: Annotated[Placement | None, Field(description="Why it runs there, or why it waits.")] = None
    queue: Annotated[Queue | None, Field(description="Where it stands while it waits.")] = None
    estimate: Annotated[Estimate | None, Field(description="What is to be expected.")] = None
    failures: Annotated[int, Field(ge=0, description="Attempts that failed.")] = 0
    setbacks: Annotated[
        Setbacks | None, Field(description="Attempts that ended by image or site, by kind; each kind has a limit.")
    ] = None
    started_at: Annotated[
        Time | None, Field(description="When the first container of the current attempt started.")
    ] = None
    finished_at: Annotated[Time | None, Field(description="When the job ended.")] = None
    usage: Annotated[
        Usage | None, Field(description="What its containers really ran, without attempts that were given up.")
    ] = None
    cost: Annotated[
        MicroYuan | None,
        Field(
            description="Micro-yuan that the tariffs of its sites' providers say of that use, told when an attempt ends; a bill can "
            "be lower or higher by brackets, and lower by free units and packages of the account. Absent: no tariff has a price for it."
        ),
    ] = None


class ComputeJob(Resource):
    """A batch job that suanli places, runs and meters."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeJob",
        plural="computejobs",
        short_names=("cjob",),
        namespaced=True,
        columns=(
            PrinterColumn("State", ".status.state", "Waiting, Starting, Running, Succeeded, Failed and the like."),
            PrinterColumn("Site", ".status.assignment.site", "Where it runs."),
            PrinterColumn("Class", ".status.assignment.class", "Class of compute."),
            PrinterColumn("Reason", ".status.reason", "Why it waits or how it ended."),
            PrinterColumn("Origin", ".spec.origin", "Where its users sit.", priority=1),
            PrinterColumn("Priority", ".spec.priority", "Higher goes first.", type="integer", priority=1),
            PrinterColumn("Card-hours", ".status.usage.cardHours", "Cards used.", priority=1),
            PrinterColumn("Core-hours", ".status.usage.coreHours", "Cores used.", priority=1),
            PrinterColumn("Message", '.status.conditions[?(@.type=="Placed")].message', "Why, in numbers.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        ComputeJobSpec,
        Field(
            description="What to run, on what, how near to whom, when, and how far it may go. All tasks run on one site, which "
            "is chosen by latency, policy, data, capacity and cost. What that choice stands on cannot be changed afterwards; "
            "timing, priority, qos, failover, checkpoint, limits and desiredState can."
        ),
    ]
    status: Annotated[
        ComputeJobStatus | None,
        Field(
            description="What the operator decided and observed: where the job runs and why, or why it waits, and what it "
            "used. Nobody else writes it."
        ),
    ] = None
