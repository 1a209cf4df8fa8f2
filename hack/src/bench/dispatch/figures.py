"""What was measured, what the goals are, and how both are shown."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

RATIO_GOAL = 0.60
HUB_WRITES_GOAL = 3.0
P99_GOAL_MS = 1000.0
Figure = float | int | None


@dataclass(frozen=True)
class Bodies:
    """Bytes of the two bodies that a dispatch writes."""

    status_patch: int
    job_create: int


@dataclass(frozen=True)
class Pace:
    """How fast jobs were dispatched, and what each cost the client in processor time."""

    jobs_per_s: float
    cpu_ms_per_job: float


@dataclass(frozen=True)
class Floor:
    """The bare client: jobs per second by concurrency in short rounds, and the rounds of full length with the best one."""

    tried: Mapping[int, float]
    concurrency: int
    rounds: tuple[Pace, ...]

    @property
    def best(self) -> Pace:
        """The fastest round."""
        return max(self.rounds, key=lambda pace: pace.jobs_per_s)


@dataclass(frozen=True)
class Dispatch:
    """The operator with all jobs waiting when it starts. Seconds count from its log line "leading"."""

    pace: Pace
    first_create_s: float
    last_create_s: float
    window_hub_writes: int  # all it wrote of jobs until the last create
    per_site: Mapping[str, int]


@dataclass(frozen=True)
class Latency:
    """From ComputeJob create to member Job create while jobs arrive at a steady rate."""

    offered_jobs_per_s: float
    created_jobs_per_s: float
    jobs: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    first_status_p50_ms: float  # of this, until the operator's first word on the hub


@dataclass(frozen=True)
class Result:
    """One run; what was not asked for is None."""

    jobs: int
    members: int
    bodies: Bodies
    floor: Floor | None
    dispatch: Dispatch | None
    hub_writes_per_job: float | None
    latency: Latency | None
    seconds: float

    @property
    def ratio(self) -> float | None:
        """The operator's rate over the floor's."""
        if self.floor is None or self.dispatch is None:
            return None
        return self.dispatch.pace.jobs_per_s / self.floor.best.jobs_per_s

    def met(self) -> dict[str, bool | None]:
        """Whether each goal was met; None where nothing was measured."""
        p99 = self.latency.p99_ms if self.latency else None
        return {
            "ratio": None if self.ratio is None else self.ratio >= RATIO_GOAL,
            "hub_writes_per_job": None
            if self.hub_writes_per_job is None
            else self.hub_writes_per_job <= HUB_WRITES_GOAL,
            "p99_ms": None if p99 is None else p99 <= P99_GOAL_MS,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that at least so many percent do not exceed.

    Raises: ValueError without values or outside 0 < percent <= 100.
    """
    if not values:
        raise ValueError("there is no percentile of no values")
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is not a percentage above 0 and up to 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def as_json(result: Result) -> str:
    """The result for programs: flat figures first, details below."""
    floor, dispatch, latency = result.floor, result.dispatch, result.latency
    flat = {
        "ratio": _rounded(result.ratio, 3),
        "floor_jobs_per_s": _rounded(floor.best.jobs_per_s if floor else None, 1),
        "operator_jobs_per_s": _rounded(dispatch.pace.jobs_per_s if dispatch else None, 1),
        "hub_writes_per_job": _rounded(result.hub_writes_per_job, 3),
        "p50_ms": _rounded(latency.p50_ms if latency else None, 1),
        "p99_ms": _rounded(latency.p99_ms if latency else None, 1),
        "jobs": result.jobs,
        "members": result.members,
        "concurrency": floor.concurrency if floor else None,
        "status_patch_bytes": result.bodies.status_patch,
        "job_create_bytes": result.bodies.job_create,
        "met": result.met(),
        "goals": {"ratio": RATIO_GOAL, "hub_writes_per_job": HUB_WRITES_GOAL, "p99_ms": P99_GOAL_MS},
    }
    details = {
        "floor": {
            "tried_jobs_per_s": {str(k): _rounded(v, 1) for k, v in floor.tried.items()},
            "rounds": [_details(asdict(pace)) for pace in floor.rounds],
        }
        if floor
        else None,
        "operator": _details(asdict(dispatch)) if dispatch else None,
        "latency": _details(asdict(latency)) if latency else None,
        "seconds": _rounded(result.seconds, 1),
    }
    return json.dumps(flat | details, indent=2)


def as_table(result: Result) -> str:
    """The result for people."""
    floor, dispatch, latency = result.floor, result.dispatch, result.latency
    lines = [
        f"jobs {result.jobs}, members {result.members}; "
        f"bodies: status patch {result.bodies.status_patch} B, member Job {result.bodies.job_create} B"
    ]
    if floor is not None:
        tried = ", ".join(f"{k}: {v:.1f}" for k, v in floor.tried.items())
        rounds = ", ".join(f"{pace.jobs_per_s:.1f}" for pace in floor.rounds)
        lines.append(f"floor      {_paced(floor.best)}; concurrency {floor.concurrency}; rounds {rounds}")
        lines.append(f"           short rounds by concurrency: {tried}")
    if dispatch is not None:
        shares = ", ".join(f"{site} {count}" for site, count in sorted(dispatch.per_site.items()))
        lines.append(f"operator   {_paced(dispatch.pace)}; {shares}")
        lines.append(
            f"           first member Job after {dispatch.first_create_s:.2f} s, last after {dispatch.last_create_s:.2f} s; "
            f"{dispatch.window_hub_writes} hub writes about jobs until then"
        )
    if result.ratio is not None:
        lines.append(f"ratio      {result.ratio:8.3f} (goal >= {RATIO_GOAL:.2f})")
    if result.hub_writes_per_job is not None:
        lines.append(f"hub writes {result.hub_writes_per_job:8.3f} per job (goal <= {HUB_WRITES_GOAL:.0f})")
    if latency is not None:
        lines.append(
            f"latency    p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms (goal <= {P99_GOAL_MS:.0f}), "
            f"slowest {latency.max_ms:.0f} ms from ComputeJob to member Job"
        )
        lines.append(
            f"           {latency.jobs} jobs at {latency.created_jobs_per_s:.1f}/s, asked for {latency.offered_jobs_per_s:.1f}/s; "
            f"first word on the hub: p50 {latency.first_status_p50_ms:.0f} ms"
        )
    lines.append(f"took {result.seconds:.0f} s")
    return "\n".join([*lines, *missed(result)])


def missed(result: Result) -> list[str]:
    """A line for each goal that was missed."""
    shown = {
        "ratio": f"ratio {result.ratio or 0:.3f} is below {RATIO_GOAL:.2f}",
        "hub_writes_per_job": f"{result.hub_writes_per_job or 0:.3f} hub writes per job are more than {HUB_WRITES_GOAL:.0f}",
        "p99_ms": f"p99 {result.latency.p99_ms if result.latency else 0:.0f} ms is above {P99_GOAL_MS:.0f} ms",
    }
    return [f"missed: {shown[goal]}" for goal, met in result.met().items() if met is False]


def _rounded(value: float | None, digits: int) -> Figure:
    return None if value is None else round(value, digits)


def _paced(pace: Pace) -> str:
    return f"{pace.jobs_per_s:8.1f} jobs/s, {pace.cpu_ms_per_job:.2f} ms of processor time each"


def _details(fields: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and name == "pace":
            found |= _details(value)
        else:
            found[name] = round(value, 3) if isinstance(value, float) else value
    return found
