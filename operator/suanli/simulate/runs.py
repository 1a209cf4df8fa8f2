"""Several policies on the same jobs, side by side in simulated time, so that an interrupted run still compares them."""

from collections.abc import Sequence

from suanli.simulate.engine import Ran, Simulation
from suanli.simulate.land import Land
from suanli.simulate.meter import Meter
from suanli.simulate.outcome import edges, outcome
from suanli.simulate.policies import AT_ONCE, BASELINES, SUANLI, Greedy, Policy, Suanli
from suanli.simulate.purse import purse_of
from suanli.simulate.result import Asked, Result, savings
from suanli.simulate.workload import Workload

POLICIES = (SUANLI, AT_ONCE, *BASELINES)
BINS = 160


def usual(workload: Workload) -> tuple[str, ...]:
    """All policies; without `at-once` where no job may be put off, and it would be the same as suanli."""
    return tuple(name for name in POLICIES if name != AT_ONCE or workload.patience_ms.any())


class Runs:
    """The policies' simulations. Raises: KeyError for a policy that there is none of."""

    def __init__(
        self,
        land: Land,
        workload: Workload,
        policies: Sequence[str],
        *,
        seed: int,
        cycle_ms: int,
        until_ms: int | None = None,
    ) -> None:
        self._land = land
        self._workload = workload
        self.meter = Meter(land, workload)
        self._purses = {name: purse_of(land, workload, self.meter.paid) for name in policies}
        self._policies: dict[str, Policy] = {
            name: Suanli(land, workload, at_once=name == AT_ONCE, purse=purse)
            if name in (SUANLI, AT_ONCE)
            else Greedy(BASELINES[name], land, workload, self.meter.expected_p, seed, purse, self.meter.expected_paid)
            for name, purse in self._purses.items()
        }
        self._open = {
            name: Simulation(land, workload, policy, cycle_ms=cycle_ms, until_ms=until_ms, purse=self._purses[name])
            for name, policy in self._policies.items()
        }
        self._all = dict(self._open)

    def ran(self, policy: str) -> Ran:
        """What a policy's jobs did so far."""
        return self._all[policy].ran()

    @property
    def placed(self) -> int:
        """Jobs that have got a place, summed over policies."""
        return sum(run.placed for run in self._all.values())

    @property
    def wanted(self) -> int:
        """Jobs to be placed, summed over policies."""
        return len(self._workload) * len(self._all)

    @property
    def now_ms(self) -> int:
        """The moment that all have reached."""
        return min(run.now_ms for run in self._all.values())

    def advance(self) -> bool:
        """One cycle of the run that is furthest behind. False when none has anything left to do."""
        if self._open:
            name = min(self._open, key=lambda name: self._open[name].now_ms)
            if not self._open[name].advance():
                del self._open[name]
        return bool(self._open)

    def result(self, asked: Asked, *, interrupted: bool) -> Result:
        """What there is so far."""
        ran = {name: self.ran(name) for name in self._all}
        end_ms = max([asked.begin_ms, *(r.now_ms for r in ran.values())])
        bins = edges(asked.begin_ms, end_ms, BINS)
        outcomes = tuple(
            outcome(name, self._policies[name], self._land, self._workload, self.meter, r, bins, self._purses[name])
            for name, r in ran.items()
        )
        return Result(asked, interrupted or any(o.partial for o in outcomes), end_ms, outcomes, savings(outcomes))
