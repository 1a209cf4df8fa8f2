"""What a schema lets through though nobody can reckon with it: each field is read once, before anything relies on it."""

from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from suanli.api import ComputeJob, ComputeLink, ComputeSite, HubPolicy, Resource
from suanli.base.clock import parse_time_ms
from suanli.base.units import cpu_milli, duration_us, whole

MAX_CPU_MILLI = 1_000_000 * 1_000
MAX_MEMORY_BYTES = 1 << 50
Field = tuple[str, str | None, Callable[[str], object]]


def unsound(model: Resource) -> str:
    """The first field that cannot be meant, with its value and what to do; nothing when all can."""
    for field, value, read in _fields(model):
        if value is None:
            continue
        try:
            read(value)
        except (ValueError, OverflowError, LookupError, OSError) as error:
            return f'{field}: "{value[:120]}": {str(error)[:200]}'
    return ""


def _fields(model: Resource) -> Iterator[Field]:
    if isinstance(model, ComputeJob):
        yield from _job_fields(model)
    elif isinstance(model, ComputeSite):
        yield "spec.energy.timezone", model.spec.energy.timezone, _zone
    elif isinstance(model, ComputeLink):
        yield "spec.oneWay", model.spec.one_way, duration_us
        yield "spec.bandwidth", model.spec.bandwidth, whole
    elif isinstance(model, HubPolicy):
        for tier in model.spec.latency_tiers:
            yield f"spec.latencyTiers[{tier.name}].oneWay", tier.one_way, duration_us


def _job_fields(job: ComputeJob) -> Iterator[Field]:
    spec = job.spec
    yield "spec.resources.perTask.cpu", spec.resources.per_task.cpu, _cpu
    yield "spec.resources.perTask.memory", spec.resources.per_task.memory, _memory
    yield "spec.latency.oneWay", spec.latency.one_way if spec.latency else None, duration_us
    yield "spec.template.scratch.size", spec.template.scratch.size if spec.template.scratch else None, whole
    yield "spec.timing.expectedDuration", spec.timing.expected_duration, duration_us
    yield "spec.timing.deferrable", spec.timing.deferrable, duration_us
    yield "spec.timing.notBefore", spec.timing.not_before, parse_time_ms
    yield "spec.timing.deadline", spec.timing.deadline, parse_time_ms
    yield "spec.limits.activeDeadline", spec.limits.active_deadline, duration_us
    if spec.data:
        for piece in spec.data.inputs:
            yield f"spec.data.inputs[{piece.name}].size", piece.size, whole
        yield "spec.data.outputs.size", spec.data.outputs.size if spec.data.outputs else None, whole


def _cpu(text: str) -> None:
    if cpu_milli(text) > MAX_CPU_MILLI:
        raise ValueError("no task has more than 1000000 cores; ask for less")


def _memory(text: str) -> None:
    if whole(text) > MAX_MEMORY_BYTES:
        raise ValueError("no task has more than 1 PiB of memory; ask for less")


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError('there is no such time zone; use an IANA name such as "Asia/Shanghai"') from error
