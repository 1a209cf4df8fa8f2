"""Rows of a trace as jobs of a country: what the trace does not tell is drawn from a seed."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np
from pydantic import ValidationError

from suanli.api.job import ComputeJob, Timing
from suanli.api.site import ComputeUnit
from suanli.base import names
from suanli.base.clock import parse_time_ms
from suanli.base.units import MS_PER_HOUR, cpu_milli, duration_ms, whole
from suanli.placement.batch import ANY_TIER, Bools, Floats, Ints, make_batch
from suanli.placement.charges import KINDS, rates
from suanli.placement.filters import sift
from suanli.placement.network import Path
from suanli.placement.packing import Shape
from suanli.placement.scores import score
from suanli.placement.snapshot import WaitingJob
from suanli.placement.solve import place
from suanli.simulate.land import Land
from suanli.simulate.scenario import JobKind, ScenarioSpec
from suanli.simulate.trace import TraceRow

MS_PER_MINUTE = 60_000
DRAWS = 6  # kind, tier, classes, origin, input, and the error of the expected time
PATIENCE = 1_000  # the stream of chance that says who may be put off: beyond those of the redraws
LONGEST_MIN = 8_760 * 60
K = TypeVar("K")


@dataclass(frozen=True, eq=False)
class JobType:
    """Jobs that differ in nothing but their time and how long they run."""

    kind: JobKind
    tier: str
    classes: tuple[str, ...]
    origin: str
    input: str
    tasks: int
    units_per_task: int

    @property
    def units(self) -> int:
        """Cards or cores of the whole job."""
        return self.tasks * self.units_per_task

    @cached_property
    def job(self) -> ComputeJob:
        """As a ComputeJob of an hour. Raises: ValidationError where it is larger than any job may be."""
        kind, (cpu, memory, cards, _) = self.kind, self.shape
        per_task = {"cpu": f"{cpu}m", "memory": str(memory), "cards": cards}
        spec = {
            "category": kind.category,
            "origin": self.origin,
            "latency": None if self.tier == ANY_TIER else {"tier": self.tier},
            "tasks": self.tasks,
            "resources": {"class": list(self.classes), "perTask": per_task},
            "template": {"image": "simulated"},
            "priority": kind.priority,
            "data": {"inputs": [{"name": "input", "region": self.origin, "size": self.input}]}
            if self.input_bytes
            else None,
        }
        raw = {"apiVersion": names.API_VERSION, "kind": "ComputeJob", "metadata": {"name": kind.name}, "spec": spec}
        return ComputeJob.model_validate(raw)

    @cached_property
    def is_job(self) -> bool:
        """Whether it is no larger than a ComputeJob may be."""
        try:
            return bool(self.job)
        except ValidationError:
            return False

    @property
    def shape(self) -> Shape:
        """What one task takes."""
        kind, each = self.kind, self.units_per_task
        cards = each if kind.unit is ComputeUnit.CARD else 0
        return cpu_milli(kind.cpu_per_unit) * each, whole(kind.memory_per_unit) * each, cards, 1

    @property
    def input_bytes(self) -> int:
        """What it reads."""
        return whole(self.input)


@dataclass(frozen=True)
class Probe:
    """What placement says of each type in the empty country, for an hour's run.

    Shapes: (T, P) each. Units: µs; micro-yuan of `run_tp` and `policy_tp` for each hour on the class that is wished first;
    micro-yuan and ms of moving inputs. `stretch_tp` is how much longer a run takes there than on that class. Money is by list prices;
    `rate_ktp` (6, T, P) is what a job takes in a millisecond of all that tariffs may price.
    """

    allowed_tp: Bools
    one_way_us_tp: Ints
    run_tp: Floats
    policy_tp: Floats
    transfer_tp: Floats
    transfer_ms_tp: Ints
    stretch_tp: Floats
    rate_ktp: Floats


@dataclass(frozen=True)
class Workload:
    """All jobs in the order in which they come.

    Shapes: (N,) each. Units: `arrival_ms` since the epoch, `expected_min` whole minutes; `type_n` numbers `types`; `patience_ms` is
    how long a job may be put off, 0 for one that may not.
    """

    types: tuple[JobType, ...]
    probe: Probe
    type_n: Ints
    arrival_ms: Ints
    run_ms: Ints
    expected_min: Ints
    patience_ms: Ints
    left_out: int = 0
    left_out_example: str = ""

    def __len__(self) -> int:
        return len(self.type_n)

    @property
    def begin_ms(self) -> int:
        """When the first job comes; 0 without jobs."""
        return int(self.arrival_ms[0]) if len(self) else 0

    def account(self, n: int) -> str:
        """Whose job it is."""
        return self.types[int(self.type_n[n])].kind.account

    def waiting(self, n: int, *, at_once: bool = False) -> WaitingJob:
        """A job as placement is told of it; `at_once` without a word of that it may be put off."""
        patience_ms = 0 if at_once else int(self.patience_ms[n])
        job = _timed(self.types[int(self.type_n[n])], int(self.expected_min[n]), patience_ms)
        return WaitingJob(f"{n:09d}", job, self.account(n), int(self.arrival_ms[n]))


@lru_cache(maxsize=8_192)
def _timed(type_: JobType, minutes: int, patience_ms: int) -> ComputeJob:
    """A type's job with its expected time and how long it may be put off; alike jobs are one object."""
    timing = Timing(expected_duration=f"{minutes}m", deferrable=f"{patience_ms}ms" if patience_ms else None)
    spec = type_.job.spec.model_copy(update={"timing": timing})
    return type_.job.model_copy(update={"spec": spec})


def gang(units: int, most: int) -> tuple[int, int]:
    """Units as (tasks, units of each): as few equal tasks as a node's `most` allow."""
    each = max(d for d in range(1, min(most, units) + 1) if units % d == 0)
    return units // each, each


def draw(rows: Sequence[TraceRow], spec: ScenarioSpec, land: Land, seed: int) -> Workload:
    """A job for each row that some site could hold if it were empty. What comes later in the trace changes no row's draw."""
    drawn = _Drawn(spec, land)
    chosen = [0] * len(rows)
    patient_n = np.random.Generator(np.random.PCG64([PATIENCE, seed])).random(len(rows))
    wrong_n, left = np.zeros(len(rows)), list(range(len(rows)))
    for turn in range(spec.redraws + 1):
        chance = np.random.Generator(np.random.PCG64([turn, seed])).random((len(rows), DRAWS))
        for n in left:
            chosen[n] = drawn.number(rows[n].units, chance[n].tolist())
        drawn.ask()
        left = [n for n in left if not drawn.possible[chosen[n]]]
        wrong_n = chance[:, DRAWS - 1] if turn == 0 else wrong_n
        if not left:
            break
    kept = np.setdiff1d(np.arange(len(rows)), left)
    numbers, type_n = np.unique(np.array([chosen[n] for n in kept], dtype=np.int64), return_inverse=True)
    types = tuple(drawn.types[t] for t in numbers)
    run_ms = np.array([max(1, round(rows[n].length_h * MS_PER_HOUR)) for n in kept], dtype=np.int64)
    start_ms = parse_time_ms(spec.start)
    return Workload(
        types=types,
        probe=probe_of(types, land),
        type_n=type_n.reshape(-1),
        arrival_ms=np.array([start_ms + round(rows[n].arrival_h * MS_PER_HOUR) for n in kept], dtype=np.int64),
        run_ms=run_ms,
        expected_min=_expected_min(run_ms, wrong_n[kept], float(spec.duration_error)),
        patience_ms=drawn.patience_ms([chosen[n] for n in kept], patient_n[kept].tolist()),
        left_out=len(left),
        left_out_example=_why_not(drawn.types[chosen[left[0]]], land) if left else "",
    )


def probe_of(types: Sequence[JobType], land: Land) -> Probe:
    """Ask filters and scores about each type, with all sites empty."""
    jobs = [WaitingJob(str(t), type_.job, type_.kind.account, t) for t, type_ in enumerate(types)]
    b = make_batch(jobs, land.views, replace(land.country, charges=None), 0)
    costs = score(b)
    every = np.arange(len(b.rows)), np.arange(len(b.pools))
    rows = np.zeros(len(types), dtype=np.int64)
    for r, row in enumerate(b.rows):
        rows[[int(job.uid) for job in row.jobs]] = r
    rate_us = np.array([[_bytes_per_ms(path) for path in ways] for ways in b.paths_us]).reshape(-1, len(b.sites))
    bytes_t = np.array([type_.input_bytes for type_ in types], dtype=float)
    rate_ts = rate_us[b.origin_r][rows]
    return Probe(
        allowed_tp=sift(b, costs).allowed_rp[rows],
        one_way_us_tp=b.one_way_us_us[b.origin_r][:, b.site_p][rows],
        run_tp=costs.lines["run"][rows],
        policy_tp=costs.lines["policy"][rows],
        transfer_tp=costs.lines["transfer"][rows],
        transfer_ms_tp=np.ceil(bytes_t[:, None] / rate_ts[:, b.site_p]).astype(np.int64),
        stretch_tp=(b.duration_ms_rp / b.duration_ms_r[:, None])[rows],
        rate_ktp=np.stack([np.broadcast_to(r, costs.total_rp.shape)[rows] for r in rates(b, *every, KINDS).values()]),
    )


def _bytes_per_ms(path: Path) -> float:
    """How fast inputs come; where they lie already, or where nobody says, at once."""
    return path.bandwidth_bps / 8_000 if path.bandwidth_bps and path.one_way_us else np.inf


def _expected_min(run_ms: Ints, chance_n: Floats, error: float) -> Ints:
    """Run times as their users expect them: off by a factor whose logarithm is normal, then to the minute."""
    normal, factor = NormalDist(), np.ones(len(run_ms))
    if error:
        factor = np.exp([error * normal.inv_cdf(min(max(x, 1e-9), 1 - 1e-9)) for x in chance_n.tolist()])
    return np.asarray(np.clip(np.rint(run_ms * factor / MS_PER_MINUTE), 1, LONGEST_MIN).astype(np.int64))


def _why_not(type_: JobType, land: Land) -> str:
    """Why no site could take it."""
    told = f"{type_.kind.name} of {type_.origin}, {type_.units} {type_.kind.unit.lower()}s, tier {type_.tier}"
    if not type_.is_job:
        return f"{told}: it is larger than a ComputeJob may be"
    made = place([WaitingJob("0", type_.job, type_.kind.account, 0)], land.views, land.country, 0)
    return f"{told}: {made.decisions['0'].message}"


class _Drawn:
    """Types drawn so far, and which of them some site could hold."""

    def __init__(self, spec: ScenarioSpec, land: Land) -> None:
        self.types: list[JobType] = []
        self.possible: list[bool] = []
        self._land = land
        self._kinds = [_Kind(kind, spec) for kind in spec.kinds]
        self._kind = _Dice({k: kind.weight for k, kind in enumerate(spec.kinds)})
        self._numbers: dict[tuple[object, ...], int] = {}

    def number(self, units: int, chance: Sequence[float]) -> int:
        """The type of a row with these units."""
        k = self._kind.pick(chance[0])
        kind = self._kinds[k]
        drawn = (
            kind.tier.pick(chance[1]),
            kind.classes.pick(chance[2]),
            kind.origin.pick(chance[3]),
            kind.input.pick(chance[4]),
        )
        key = (k, *drawn, units)
        if key not in self._numbers:
            self._numbers[key] = len(self.types)
            self.types.append(JobType(kind.kind, *drawn, *gang(units, kind.kind.most_units_per_task)))
        return self._numbers[key]

    def patience_ms(self, numbers: Sequence[int], chance: Sequence[float]) -> Ints:
        """How long jobs of these types may be put off. Shape (N,)."""
        dice = {kind.kind.name: kind.deferrable for kind in self._kinds}
        texts = [dice[self.types[number].kind.name].pick(x) for number, x in zip(numbers, chance, strict=True)]
        return np.array([duration_ms(text) for text in texts], dtype=np.int64)

    def ask(self) -> None:
        """Have placement say of the new ones whether they are possible."""
        new = self.types[len(self.possible) :]
        jobs = [type_ for type_ in new if type_.is_job]
        able = iter([bool(allowed_p.any()) for allowed_p in probe_of(jobs, self._land).allowed_tp])
        self.possible += [type_.is_job and next(able) for type_ in new]


class _Kind:
    """A kind with the dice of its lists."""

    def __init__(self, kind: JobKind, spec: ScenarioSpec) -> None:
        self.kind = kind
        self.tier = _Dice(kind.tiers)
        self.classes = _Dice({tuple(c.names): c.weight for c in kind.classes})
        self.origin = _Dice(kind.origins or spec.origins)
        self.input = _Dice(kind.inputs or {"0": 1})
        self.deferrable = _Dice(kind.deferrable or {"0": 1})


class _Dice(Generic[K]):
    """Picks by weight."""

    def __init__(self, weights: Mapping[K, int]) -> None:
        self._names = list(weights)
        total = sum(weights.values())
        self._until = [until / total for until in accumulate(weights.values())]

    def pick(self, chance: float) -> K:
        """The one that a number of [0, 1) falls to."""
        return self._names[min(bisect_right(self._until, chance), len(self._names) - 1)]
