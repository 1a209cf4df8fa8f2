"""What is fixed of an attempt before it begins: whose it is, where it runs, and by what its use is rated.

Accounts, sites and prices change, jobs are deleted, and members are not believed: what is owed follows from what held here when the
attempt was sent, and from nothing that was said later.
"""

from dataclasses import dataclass

from suanli.api.job import Assignment, ComputeJobSpec
from suanli.api.link import Direction, Leg
from suanli.api.site import ComputeSite
from suanli.base.units import cpu_milli, whole
from suanli.billing.event import ClassFacts


@dataclass(frozen=True)
class Agreement:
    """One attempt of one job.

    Units: `cpu_milli`, `memory_bytes`, `scratch_bytes`, `cards` of one task; watts of one unit under load; `pue_micro` and
    `green_micro` millionths; grams CO2 per kWh; milliseconds since the epoch.
    """

    job_uid: str
    epoch: int
    namespace: str
    job: str
    account: str
    site: str
    provider: str
    class_: str
    qos: str
    unit: str  # what is counted of the class: Card or Core
    precision: str
    tasks: int
    cpu_milli: int
    memory_bytes: int
    scratch_bytes: int
    cards: int
    rated_power_w: int
    pue_micro: int
    green_micro: int
    grid_factor_g_per_kwh: int
    made_ms: int
    legs: tuple[Leg, ...] = ()  # what it sends over links, as far as it starts and succeeds

    def sends(self, direction: Direction) -> bool:
        """Whether anything goes that way."""
        return any(leg.direction is direction for leg in self.legs)


@dataclass(frozen=True, slots=True)
class Carried:
    """The legs of one attempt in one direction were used, once. Units: milliseconds since the epoch.

    Inputs count from when the attempt was sent, once a pod of it is known to have run; outputs from when its last pod ended, once it
    succeeded.
    """

    job_uid: str
    epoch: int
    direction: Direction
    at_ms: int


def agreed(
    *,
    job_uid: str,
    namespace: str,
    job: str,
    spec: ComputeJobSpec,
    assignment: Assignment,
    site: ComputeSite,
    facts: ClassFacts,
    account: str,
    now_ms: int,
    legs: tuple[Leg, ...] = (),
) -> Agreement:
    """What holds for an attempt that is about to be sent."""
    per_task, scratch = spec.resources.per_task, spec.template.scratch
    return Agreement(
        job_uid=job_uid,
        epoch=assignment.epoch,
        namespace=namespace,
        job=job,
        account=account,
        site=site.metadata.name,
        provider=provider_of(site),
        class_=assignment.class_,
        qos=str(spec.qos),
        unit=str(facts.unit),
        precision=facts.precision,
        tasks=spec.tasks,
        cpu_milli=cpu_milli(per_task.cpu),
        memory_bytes=whole(per_task.memory),
        scratch_bytes=whole(scratch.size) if scratch else 0,
        cards=per_task.cards,
        rated_power_w=facts.rated_power_w,
        pue_micro=facts.pue_micro,
        green_micro=facts.green_share_micro,
        grid_factor_g_per_kwh=facts.grid_factor_g_per_kwh,
        made_ms=now_ms,
        legs=legs,
    )


def provider_of(site: ComputeSite) -> str:
    """By whose tariffs what runs there is billed: its operator's; a site without one is its own."""
    return site.spec.operator or site.metadata.name
